//! Prices by the month that are rounded once a year: what a rule file says, and what `blockgate rate`
//! makes of it.

mod rule_files;

use blockgate_rules::tariff::{RateOutput, rate_document};
use blockgate_types::Decimal;
use proptest::prelude::*;
use rule_files::{faults, rated};
use serde_json::{Value, json};

fn rule(kind: &str, more: &str) -> String {
    format!(
        "[[tariff]]\nid = \"p\"\nlabel = {{ zh = \"物业费\", en = \"Property fee\" }}\ncurrency = \"CNY\"\n\
         notice = \"n\"\n[[tariff.revision]]\nfrom = \"2020-01-01\"\nchange_inside_period = \"by_days\"\n\
         {kind}\n{more}\n"
    )
}

const PER_AREA: &str = "kind = \"per_area\"\nprice = \"2.10\"\nproration = \"actual_days\"";
const PER_YEAR: &str = "rounding = \"per_year\"\nyear_begins = \"01-01\"";

/// One document a month, each from where the one before left the year.
fn twelve(rule: &str, input: &Value) -> Vec<RateOutput> {
    let mut outputs: Vec<RateOutput> = Vec::new();
    for _ in 0..12 {
        let mut input = input.clone();
        if let Some(before) = outputs.last() {
            input["year_before"] = serde_json::to_value(before.year_after).unwrap();
        }
        outputs.push(rated(rule, &input));
    }
    outputs
}

#[test]
fn twelve_months_add_up_to_the_year_rounded_once() {
    let year = rule(PER_AREA, PER_YEAR);
    let month = rule(PER_AREA, "rounding = \"per_line\"");
    let input = json!({ "area": "77.77", "months": 1 });
    let sum = |outputs: &[RateOutput]| outputs.iter().map(|o| o.total_fen.0).sum::<i64>();
    assert_eq!(sum(&twelve(&year, &input)), 195_980);
    let twelve_months = json!({ "area": "77.77", "months": 12 });
    assert_eq!(rated(&year, &twelve_months).total_fen.0, 195_980);
    assert_eq!(rated(&month, &twelve_months).total_fen.0, 195_984);
    // The second month: 326.634 in all, of which 163.32 was billed.
    let second = &twelve(&year, &input)[1];
    let lines: Vec<String> =
        second.lines.iter().map(|l| format!("{} {}", l.label.en, l.amount_fen)).collect();
    assert_eq!(
        lines,
        [
            "Property fee 163.32",
            "rounding carried (year so far 326.634, billed before 163.32) -0.01",
        ]
    );
    assert_eq!(second.lines[1].label.zh, "取整结转（本年累计 326.634，此前已计 163.32）");
    assert_eq!(second.total_fen.to_string(), "163.31");
    assert_eq!(second.exact.to_string(), "163.317");
    // Nothing is carried where nothing is rounded.
    let round = json!({ "area": "100", "months": 1 });
    assert!(twelve(&year, &round).iter().all(|output| output.lines.len() == 1));
}

#[test]
fn price_and_tax_are_carried_apart() {
    let taxed = rule(PER_AREA, &format!("{PER_YEAR}\ntax_percent = \"6\""));
    let outputs = twelve(&taxed, &json!({ "area": "77.77", "months": 1 }));
    let after = outputs.last().unwrap().year_after.unwrap();
    // 1,959.804 and 6 % of it: 117.58824.
    assert_eq!((after.billed_fen.0, after.tax_billed_fen.0), (195_980, 11_759));
    assert_eq!(outputs.iter().map(|o| o.total_fen.0).sum::<i64>(), 195_980 + 11_759);
    let carried = outputs.iter().flat_map(|o| &o.lines).map(|l| &l.label.zh);
    assert!(carried.clone().any(|zh| zh.starts_with("税额取整结转（")));
}

#[test]
fn a_year_names_its_begin_and_is_for_prices_by_the_month() {
    let metered = "kind = \"flat\"\nunit = \"kWh\"\nprice = \"1\"";
    let once = "kind = \"once\"\nper = \"household\"\nprice = \"5\"\non = \"2026-06-01\"";
    let fixed = "kind = \"fixed\"\nper = \"household\"\nprice = \"5\"\nproration = \"full_month\"";
    let only =
        "\"per_year\" is for prices by the month: it goes with kind \"per_area\" or \"fixed\"";
    for (kind, more, want) in [
        (PER_AREA, PER_YEAR, "valid: 1".to_owned()),
        (fixed, PER_YEAR, "valid: 1".to_owned()),
        (
            PER_AREA,
            "rounding = \"per_year\"",
            "6:1: \"year_begins\" is missing: write it like year_begins = \"01-01\"".to_owned(),
        ),
        (
            PER_AREA,
            "rounding = \"per_line\"\nyear_begins = \"01-01\"",
            "13:15: \"year_begins\" goes with rounding = \"per_year\"".to_owned(),
        ),
        (
            PER_AREA,
            "rounding = \"per_year\"\nyear_begins = \"04-15\"",
            "13:15: a year of prices by the month begins with a month: write it like \"04-01\""
                .to_owned(),
        ),
        (
            PER_AREA,
            "rounding = \"per_year\"\nyear_begins = \"02-30\"",
            "13:15: \"02-30\" is not a day of every year: write it like \"01-01\"".to_owned(),
        ),
        (metered, PER_YEAR, format!("12:12: {only}")),
        (once, PER_YEAR, format!("13:12: {only}")),
    ] {
        assert_eq!(faults(&rule(kind, more)), want, "{kind}\n{more}");
    }
}

#[test]
fn an_input_that_goes_over_the_end_of_the_year_or_has_none_is_told_so() {
    let april = rule(PER_AREA, "rounding = \"per_year\"\nyear_begins = \"04-01\"");
    let told = |rule: &str, input: Value| {
        rate_document(rule, "r", &input.to_string(), "i")
            .map_or_else(|faults| faults[0].message.clone(), |output| output.total_fen.to_string())
    };
    let days = |from: &str, to: &str| json!({ "area": "77.77", "from": from, "to": to });
    assert_eq!(told(&april, days("2026-04-01", "2027-04-01")), "1959.80");
    let over = "the input is longer than a rounding year: rate each by itself";
    assert_eq!(told(&april, days("2026-03-01", "2026-05-01")), over);
    assert_eq!(told(&april, json!({ "area": "1", "months": 13 })), over);
    let before =
        json!({ "area": "1", "months": 1, "year_before": { "exact": "1", "billed_fen": 100 } });
    let month = rule(PER_AREA, "rounding = \"per_line\"");
    assert_eq!(told(&month, before), "\"year_before\" goes with rounding = \"per_year\"");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_bills_of_a_year_add_up_to_its_rounded_sum(
        area in 1_i64..50_000,
        price in 1_i64..90_000,
        percent in 0_i64..10_000,
        ends in prop::collection::btree_set(2_i64..365, 0..14),
    ) {
        let (area, price) = (Decimal::new(area, 2), Decimal::new(price, 4));
        let kind = format!("kind = \"per_area\"\nprice = \"{price}\"\nproration = \"actual_days\"");
        let percent = Decimal::new(percent, 2);
        let adjust = format!(
            "[[tariff.adjust]]\naccounts = [\"a-1\"]\nfrom = \"2026-01-01\"\n\
             reason = {{ zh = \"低保\", en = \"low income\" }}\ndiscount_percent = \"{percent}\""
        );
        let rule = rule(&kind, &format!("{PER_YEAR}\n{adjust}"));
        let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
        let day = |n: i64| first.checked_add(jiff::Span::new().days(n)).unwrap().to_string();
        let days: Vec<i64> = [0].into_iter().chain(ends).chain([365]).collect();
        let (mut sum, mut exact, mut before) = (0, Decimal::ZERO, None);
        for pair in days.windows(2) {
            let mut input = json!({
                "area": area.to_string(), "from": day(pair[0]), "to": day(pair[1]),
                "account": "a-1", "on": "2026-06-01",
            });
            if let Some(before) = before {
                input["year_before"] = serde_json::to_value(before).unwrap();
            }
            let output = rated(&rule, &input);
            let lines: i64 = output.lines.iter().map(|line| line.amount_fen.0).sum();
            prop_assert_eq!(lines, output.total_fen.0);
            let apart = |line: &blockgate_rules::event::BillLine| {
                (line.exact * Decimal::ONE_HUNDRED - Decimal::from(line.amount_fen.0)).abs()
            };
            let near = output.lines.iter().all(|line| apart(line) <= Decimal::ONE);
            prop_assert!(near, "no line is a fen off");
            sum += output.total_fen.0;
            exact += output.exact;
            before = output.year_after;
        }
        prop_assert_eq!(before.unwrap().exact, exact);
        prop_assert_eq!(Some(sum), blockgate_rules::Fen::round(exact).map(|fen| fen.0));
    }
}
