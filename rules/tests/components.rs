//! Components with tiers of their own, or a free part: what rides on one reading and is priced by other
//! bounds.

mod rule_files;

use blockgate_rules::event::BillLine;
use blockgate_rules::tariff::RateOutput;
use blockgate_types::Decimal;
use proptest::prelude::*;
use rule_files::{faults, rated};
use serde_json::{Value, json};

/// A water tariff by a tier period, with `sewage` as a component is written.
fn water(period: &str, sewage: &str, tiers: &str) -> String {
    format!(
        "[[tariff]]\nid = \"w\"\nlabel = {{ zh = \"水费\", en = \"Water\" }}\ncurrency = \"CNY\"\n\
         notice = \"n\"\n[[tariff.revision]]\nfrom = \"2020-01-01\"\nkind = \"graduated\"\n\
         rounding = \"per_component\"\nchange_inside_period = \"by_days\"\nunit = \"m3\"\n{period}\n\
         components = [\n{{ name = \"water\", label = {{ zh = \"自来水\", en = \"water\" }}, factor = \"1\" }},\n\
         {{ name = \"sewage\", label = {{ zh = \"污水\", en = \"sewage\" }}, {sewage} }},\n]\n\
         tiers = [{tiers}]\n"
    )
}

const FOUR_MONTHS: &str = "tier_period = \"4_months\"\ntier_reset = \"01-01\"\npart_quota = \"whole\"\n\
                           new_occupant = \"inherit\"";
const YEAR: &str = "tier_period = \"year\"\ntier_reset = \"01-01\"\npart_quota = \"by_months\"\n\
                    bound_rounding = \"half_up\"\nnew_occupant = \"inherit\"";
const MONTH: &str = "tier_period = \"month\"\ncatch_up = \"scale_quota\"";

/// `component tier quantity × price = amount`, one a line.
fn shown(output: &RateOutput) -> Vec<String> {
    let line = |line: &BillLine| {
        let (component, tier) = (line.component.as_deref().unwrap_or("-"), line.tier);
        let tier = tier.map_or_else(|| "-".to_owned(), |tier| tier.to_string());
        let (quantity, price) = (line.quantity.normalize(), line.unit_price.normalize());
        format!("{component} {tier} {quantity} × {price} = {}", line.amount_fen)
    };
    output.lines.iter().map(line).collect()
}

fn exact_of(output: &RateOutput, component: &str) -> Decimal {
    let lines = output.lines.iter().filter(|line| line.component.as_deref() == Some(component));
    lines.map(|line| line.exact).sum()
}

/// The same money as the vectors, whose tiers carry the free part in each component.
#[test]
fn a_free_part_of_the_sewage_gives_the_amounts_of_the_golden_four_months() {
    let vectors = |file: &str| -> Value {
        let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let tiers: Vec<String> = vectors("rules.json")["hk_water_4m"]["tiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tier| {
            let up_to = tier["up_to"].as_str().map(|b| format!("up_to = \"{b}\", "));
            let (up_to, price) = (up_to.unwrap_or_default(), &tier["components"]["water"]);
            format!("{{ {up_to}prices = {{ water = {price} }} }}")
        })
        .collect();
    let rule = |sewage: &str| water(FOUR_MONTHS, sewage, &tiers.join(", "));
    let short = rule("factor = \"1\", free = \"12\", price = \"2.92\"");
    let long = "factor = \"1\", tiers = [{ up_to = \"12\", price = \"0\" }, { price = \"2.92\" }]";
    let mut seen = 0;
    for case in vectors("cases.json").as_array().unwrap() {
        if case["rule_id"] != "hk_water_4m" {
            continue;
        }
        let output = rated(&short, &case["input"]);
        assert_eq!(output.total_fen.to_string(), case["expected"].as_str().unwrap());
        assert_eq!(
            blockgate_types::decimal::canonical(output.exact),
            case["exact"].as_str().unwrap()
        );
        // Written as tiers it is the same tariff.
        assert_eq!(rated(&rule(long), &case["input"]), output);
        seen += 1;
    }
    assert_eq!(seen, 3);
    assert_eq!(
        shown(&rated(&short, &json!({ "usage": "80" }))),
        [
            "water 1 12 × 0 = 0.00",
            "water 2 31 × 4.16 = 128.96",
            "water 3 19 × 6.45 = 122.55",
            "water 4 18 × 9.05 = 162.90",
            "sewage 1 12 × 0 = 0.00",
            "sewage 2 68 × 2.92 = 198.56",
        ]
    );
    let labels: Vec<String> =
        rated(&short, &json!({ "usage": "13" })).lines.into_iter().map(|l| l.label.zh).collect();
    assert_eq!(labels.last().unwrap(), "水费 污水 第2档");
}

const BEIJING: &str = "{ up_to = \"180\", prices = { water = \"2.07\" } }, \
                       { up_to = \"260\", prices = { water = \"4.07\" } }, { prices = { water = \"6.07\" } }";
const SEWAGE: &str = "tiers = [{ up_to = \"100\", price = \"1.00\" }, { price = \"1.50\" }]";

#[test]
fn the_components_bound_is_crossed_in_the_middle_of_a_year_on_the_quantity_that_the_rule_names() {
    let input = json!({ "cumulative_before": "90", "usage": "30" });
    for (bounds_on, want) in [
        // 90 to 120 m3 metered: 10 below the bound of 100 and 20 above, nine tenths of each.
        ("metered", ["sewage 1 9 × 1 = 9.00", "sewage 2 18 × 1.5 = 27.00"]),
        // 81 to 108 m3 charged: 19 below 100 and 8 above.
        ("charged", ["sewage 1 19 × 1 = 19.00", "sewage 2 8 × 1.5 = 12.00"]),
    ] {
        let sewage = format!("factor = \"0.9\", bounds_on = \"{bounds_on}\", {SEWAGE}");
        let output = rated(&water(YEAR, &sewage, BEIJING), &input);
        assert_eq!(shown(&output)[0], "water 1 30 × 2.07 = 62.10");
        assert_eq!(shown(&output)[1..], want);
        // The counter is the meter's, whatever a component counts on.
        assert_eq!(output.cumulative_after, Decimal::from(120));
    }
}

#[test]
fn own_bounds_take_part_quotas_household_sizes_and_months_like_the_tariffs() {
    let sewage = |more: &str| format!("factor = \"1\", {SEWAGE}{more}");
    // Half a year: 50; rounded: 7/12 of 100 is 58.
    for (part, want) in [("6/12", ["1 50", "2 10"]), ("7/12", ["1 58", "2 2"])] {
        let input = json!({ "usage": "60", "quota_part": part });
        let lines = shown(&rated(&water(YEAR, &sewage(""), BEIJING), &input));
        for (line, want) in lines.iter().filter(|l| l.starts_with("sewage")).zip(want) {
            assert!(line.starts_with(&format!("sewage {want} ×")), "{line}");
        }
    }
    // Two months bring two quotas where the tariff says so.
    let input = json!({ "usage": "250", "months": 2 });
    let lines = shown(&rated(&water(MONTH, &sewage(""), BEIJING), &input));
    assert_eq!(lines[1..], ["sewage 1 200 × 1 = 200.00", "sewage 2 50 × 1.5 = 75.00"]);
    // A larger household gets more of the water, and of the sewage what its own list says.
    let shifted = |quota: &str| {
        let rule = water(YEAR, &sewage(&format!(", household_quota = {quota}")), BEIJING);
        let shift = "household_quota = [{ persons_from = 5, add = [\"60\", \"60\"] }]\ntiers = [{ up_to = \"180\"";
        let rule = rule.replace("tiers = [{ up_to = \"180\"", shift);
        let input = json!({ "usage": "220", "persons": 6 });
        shown(&rated(&rule, &input))
    };
    assert_eq!(
        shifted("\"none\""),
        ["water 1 220 × 2.07 = 455.40", "sewage 1 100 × 1 = 100.00", "sewage 2 120 × 1.5 = 180.00"]
    );
    assert_eq!(
        shifted("[{ persons_from = 6, add = [\"30\"] }]")[1..],
        ["sewage 1 130 × 1 = 130.00", "sewage 2 90 × 1.5 = 135.00"]
    );
}

#[test]
fn nothing_used_is_a_line_of_each_component_in_the_tier_where_it_stands() {
    let rule = water(YEAR, &format!("factor = \"1\", {SEWAGE}"), BEIJING);
    let lines = shown(&rated(&rule, &json!({ "cumulative_before": "150", "usage": "0" })));
    assert_eq!(lines, ["water 1 0 × 2.07 = 0.00", "sewage 2 0 × 1.5 = 0.00"]);
}

#[test]
fn tax_and_the_place_of_rounding_hold_for_own_tiers_too() {
    let rule = |rounding: &str| {
        let rule = water(YEAR, "factor = \"1\", free = \"10\", price = \"0.333\"", BEIJING);
        rule.replace("per_component\"", &format!("{rounding}\"\ntax_percent = \"6\""))
    };
    // Water 11 × 2.07 = 22.77, sewage 1 × 0.333.
    let input = json!({ "usage": "11" });
    for rounding in ["per_line", "per_component", "per_bill"] {
        let output = rated(&rule(rounding), &input);
        assert_eq!(output.total_fen.to_string(), "24.49", "{rounding}");
        assert_eq!(output.exact.to_string(), "24.48918");
    }
}

#[test]
fn a_wrong_component_is_told_where() {
    // The component stands in line 19; its own keys begin in column 69.
    for (sewage, want) in [
        ("factor = \"1\", free = \"12\", price = \"1\"", "valid: 1"),
        ("factor = \"1\", free = \"12\", price = \"1\", bounds_on = \"charged\"", "valid: 1"),
        (
            "factor = \"0.9\", free = \"12\", price = \"1\"",
            "19:1: \"bounds_on\" is missing: write it like bounds_on = \"metered\" or \"charged\"",
        ),
        (
            "factor = \"0.9\", bounds_on = \"billed\", free = \"12\", price = \"1\"",
            "\"bounds_on\" cannot be \"billed\"",
        ),
        ("factor = \"1\", free = \"12\"", "\"price\" is missing"),
        ("factor = \"1\", free = \"0\", price = \"1\"", "a free part of nothing"),
        ("factor = \"1\", free = \"-1\", price = \"1\"", "this must not be negative"),
        ("factor = \"1\", free = \"12\", price = \"-1\"", "this must not be negative"),
        ("factor = \"1\", free = 12, price = \"1\"", "write it in quotes"),
        (
            "factor = \"1\", free = \"12\", tiers = [{ price = \"1\" }]",
            "\"free\" is short for a first tier at 0",
        ),
        ("factor = \"1\", tiers = []", "there is no tier"),
        (
            "factor = \"1\", tiers = [{ up_to = \"5\", price = \"1\" }]",
            "the last tier has no \"up_to\"",
        ),
        (
            "factor = \"1\", tiers = [{ price = \"1\" }, { price = \"2\" }]",
            "\"up_to\" is missing: only the last tier has no end",
        ),
        (
            "factor = \"1\", tiers = [{ up_to = \"-5\", price = \"1\" }, { price = \"2\" }]",
            "\"up_to\" must be more than 0",
        ),
        (
            "factor = \"1\", tiers = [{ up_to = \"9\", price = \"1\" }, { up_to = \"8\", price = \"1\" }, { price = \"2\" }]",
            "\"up_to\" must be more than 9",
        ),
        (
            "factor = \"1\", tiers = [{ up_to = \"9\", price = \"-1\" }, { price = \"2\" }]",
            "this must not be negative",
        ),
        (
            "factor = \"1\", price = \"9\", tiers = [{ price = \"1\" }]",
            "there are several prices: they stand in \"tiers\"",
        ),
        ("factor = \"1\", tiers = [{ price = \"1\", flat = \"2\" }]", "unknown key \"flat\""),
        (
            "factor = \"1\", price = \"9\"",
            "\"price\" goes with \"tiers\" or \"free\" of a component",
        ),
        (
            "factor = \"1\", bounds_on = \"metered\"",
            "\"bounds_on\" goes with \"tiers\" or \"free\"",
        ),
        (
            "factor = \"1\", free = \"9\", price = \"1\", household_quota = [{ persons_from = 5, add = [] }]",
            "\"add\" needs one number for each of 1 bounds",
        ),
        ("factor = \"1\", free = \"9\", cost = \"1\"", "unknown key \"cost\""),
    ] {
        let found = faults(&water(YEAR, sewage, BEIJING));
        assert!(found.contains(want), "{sewage}\n{found}");
    }
    let free = "factor = \"1\", free = \"12\", price = \"1\"";
    // Priced twice, priced nowhere, and a switch that the tariff makes necessary.
    let twice = BEIJING.replace("\"2.07\"", "\"2.07\", sewage = \"1\"");
    let found = faults(&water(YEAR, free, &twice));
    assert_eq!(found, "21:54: \"sewage\" has tiers of its own: its prices stand at the component");
    let found = faults(&water(YEAR, "factor = \"1\"", BEIJING));
    assert!(found.contains("\"sewage\" is missing"), "{found}");
    let shift = "household_quota = [{ persons_from = 5, add = [\"1\", \"1\"] }]\ntiers = [{ up_to = \"180\"";
    let shifted = water(YEAR, free, BEIJING).replace("tiers = [{ up_to = \"180\"", shift);
    let found = faults(&shifted);
    assert!(found.contains("19:1: \"household_quota\" is missing"), "{found}");
    // Without a tier period nothing counts; nothing else is told of the component.
    for period in ["flat", "volume"] {
        let found = faults(&water("", free, BEIJING).replace("graduated", period));
        let of_it: Vec<&str> = found.lines().filter(|line| line.contains("component")).collect();
        let want = "\"free\" of a component needs a tier period: kind \"graduated\"";
        assert!(matches!(of_it[..], [one] if one.ends_with(want)), "{found}");
        assert!(!found.contains("sewage"), "{found}");
    }
    // Somebody has to use the tariff's tiers.
    let all_own = water(YEAR, free, "{ prices = {} }").replacen("factor = \"1\"", free, 1);
    let found = faults(&all_own);
    assert!(found.contains("every component has tiers of its own"), "{found}");
    // A price of one's own is in place of one price, and here are two.
    let adjust = "[[tariff.adjust]]\naccounts = [\"a-1\"]\nfrom = \"2026-01-01\"\n\
                  reason = { zh = \"合同\", en = \"contract\" }\nprice = \"1\"\n";
    let one = water(YEAR, free, "{ prices = { water = \"2\" } }");
    let found = faults(&format!("{one}{adjust}"));
    assert!(found.contains("more than one price"), "{found}");
}

/// Own tiers: widths and prices in hundredths of a fen.
fn own_tiers() -> impl Strategy<Value = String> {
    prop::collection::vec((1_u32..300, 0_u32..20_000), 1..4).prop_map(|steps| {
        let (last, mut bound) = (steps.len() - 1, 0);
        let tier = |(n, (width, price)): (usize, (u32, u32))| {
            bound += width;
            let up_to = if n < last { format!("up_to = \"{bound}\", ") } else { String::new() };
            format!("{{ {up_to}price = \"{}\" }}", Decimal::new(i64::from(price), 4))
        };
        let tiers: Vec<String> = steps.into_iter().enumerate().map(tier).collect();
        format!("tiers = [{}]", tiers.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn adjacent_bills_of_a_tier_period_add_up_to_one_in_each_component(
        tiers in own_tiers(),
        factor in 1_i64..150,
        charged in any::<bool>(),
        before in 0_i64..30_000,
        uses in prop::collection::vec(0_i64..12_000, 1..6),
        part in 1_u32..=12,
    ) {
        let bounds_on = if charged { "charged" } else { "metered" };
        let factor = Decimal::new(factor, 2);
        let sewage = format!("factor = \"{factor}\", bounds_on = \"{bounds_on}\", {tiers}");
        let rule = water(YEAR, &sewage, BEIJING);
        let bill = |before: Decimal, usage: Decimal| {
            let (before, usage) = (before.to_string(), usage.to_string());
            let part = format!("{part}/12");
            let input = json!({ "cumulative_before": before, "usage": usage, "quota_part": part });
            rated(&rule, &input)
        };
        let before = Decimal::new(before, 2);
        let (mut at, mut sums) = (before, [Decimal::ZERO; 2]);
        for used in &uses {
            let output = bill(at, Decimal::new(*used, 2));
            at = output.cumulative_after;
            for (sum, component) in sums.iter_mut().zip(["water", "sewage"]) {
                *sum += exact_of(&output, component);
            }
            let lines: i64 = output.lines.iter().map(|line| line.amount_fen.0).sum();
            prop_assert_eq!(lines, output.total_fen.0);
        }
        let once = bill(before, Decimal::new(uses.iter().sum(), 2));
        prop_assert_eq!(sums, ["water", "sewage"].map(|component| exact_of(&once, component)));
        prop_assert_eq!(at, once.cumulative_after);
        let charged: Decimal = once
            .lines.iter().filter(|l| l.component.as_deref() == Some("sewage")).map(|l| l.quantity).sum();
        prop_assert_eq!(charged, (at - before) * factor);
    }
}
