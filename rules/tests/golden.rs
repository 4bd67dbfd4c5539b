//! The golden vectors: each rule becomes a tariff file mechanically, each case an input document.

use blockgate_rules::tariff::rate_document;
use serde_json::Value;
use std::fmt::Write as _;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The tariff file of a rule, for a case.
fn tariff_file(rule: &Value, input: &Value) -> String {
    let mut toml =
        String::from("[[tariff]]\nid = \"golden\"\nlabel = { zh = \"金\", en = \"golden\" }\n");
    writeln!(toml, "currency = {}\nnotice = \"golden\"", rule["currency"]).unwrap();
    toml.push_str(
        "[[tariff.revision]]\nfrom = \"2000-01-01\"\nchange_inside_period = \"by_days\"\n",
    );
    let rounding = match input["rounding"].as_str() {
        Some("per_component") => "per_component",
        Some("each_month") => "per_line",
        None | Some("once") => "per_bill",
        Some(other) => panic!("{other}"),
    };
    writeln!(toml, "rounding = \"{rounding}\"").unwrap();
    let kind = text(&rule["kind"]);
    const SEASON: &str = "instalments = [{ on = \"11-15\", share = \"1\" }]";
    if kind == "area_season" {
        let price = &rule["price_per_m2"];
        writeln!(toml, "kind = \"seasonal\"\nper = \"m2\"\nprice = {price}\n{SEASON}").unwrap();
        return toml;
    }
    if kind == "two_part" {
        let (unit, price) = match input["gj"].as_str() {
            Some(_) => ("GJ", &rule["per_gj_printed"]),
            None => ("kWh", &rule["per_kwh"]),
        };
        writeln!(toml, "kind = \"flat\"\nunit = \"{unit}\"\nprice = {price}").unwrap();
        let label = "{ zh = \"基本\", en = \"base\" }";
        let base = format!("price = {}, per = \"m2\", period = \"season\"", rule["base_per_m2"]);
        writeln!(toml, "base = {{ label = {label}, {base}, {SEASON} }}").unwrap();
        return toml;
    }
    if kind == "credit_note" {
        let cents = input["plan_cents"].as_i64().unwrap();
        let percent = text(&input["vat"]).trim_end_matches('%');
        writeln!(toml, "kind = \"fixed\"\nper = \"household\"\nproration = \"actual_days\"")
            .unwrap();
        writeln!(toml, "price = \"{}\"\ntax_percent = \"{percent}\"", cents / 100).unwrap();
        return toml;
    }
    if kind == "area_month" {
        let proration = match input["basis"].as_str() {
            Some("actual_days") | None => "actual_days",
            Some("fixed_30") => "fixed_30",
            Some(other) => panic!("{other}"),
        };
        writeln!(
            toml,
            "kind = \"per_area\"\nprice = {}\nproration = \"{proration}\"",
            rule["price"]
        )
        .unwrap();
        return toml;
    }
    // A unit that tariffs do not have, such as a call, is a plain number.
    let unit = rule["unit"].as_str().filter(|unit| ["kWh", "m3"].contains(unit)).unwrap_or("1");
    writeln!(toml, "unit = \"{unit}\"").unwrap();
    toml.push_str(match kind {
        "volume" => "kind = \"volume\"\n",
        "graduated" | "graduated_flat" => {
            "kind = \"graduated\"\ntier_period = \"year\"\ntier_reset = \"01-01\"\n"
        }
        "graduated_tou" => {
            "kind = \"graduated_tou\"\ntier_period = \"year\"\ntier_reset = \"01-01\"\n"
        }
        other => panic!("{other} is no kind"),
    });
    if kind.starts_with("graduated") {
        toml.push_str("new_occupant = \"inherit\"\n");
        match input["quota_scale"]["bound_rounding"].as_str() {
            Some(how) => {
                writeln!(toml, "part_quota = \"by_months\"\nbound_rounding = \"{how}\"").unwrap();
            }
            None => toml.push_str("part_quota = \"whole\"\n"),
        }
    }
    if kind == "graduated_tou" {
        let allocation = input["allocation"].as_str().unwrap_or("prorata");
        writeln!(toml, "across_windows = \"by_time\"\nallocation = \"{allocation}\"").unwrap();
        toml.push_str("windows = [");
        for (name, span) in [("peak", "06:00-22:00"), ("valley", "22:00-06:00")] {
            let label = "{ zh = \"段\", en = \"window\" }";
            write!(toml, "{{ name = \"{name}\", label = {label}, spans = [\"{span}\"] }}, ")
                .unwrap();
        }
        toml.push_str("]\n");
    }
    let tiers = rule["tiers"].as_array().unwrap();
    if let Some(components) = tiers[0]["components"].as_object() {
        toml.push_str("components = [");
        for name in components.keys() {
            let label = format!("{{ zh = \"{name}\", en = \"{name}\" }}");
            write!(toml, "{{ name = \"{name}\", label = {label}, factor = \"1\" }}, ").unwrap();
        }
        toml.push_str("]\n");
    }
    if let Some(shift) = input["quota_shift"].as_array() {
        let add: Vec<&Value> = shift.iter().take(tiers.len() - 1).collect();
        let add = serde_json::to_string(&add).unwrap();
        writeln!(toml, "household_quota = [{{ persons_from = 5, add = {add} }}]").unwrap();
    }
    toml.push_str("tiers = [\n");
    for tier in tiers {
        let mut parts = Vec::new();
        if let Some(bound) = tier["up_to"].as_str() {
            parts.push(format!("up_to = \"{bound}\""));
        }
        if let Some(rate) = tier["rate"].as_str() {
            parts.push(format!("price = \"{rate}\""));
        } else {
            let several = tier["components"].as_object();
            let several = several.unwrap_or_else(|| tier.as_object().unwrap());
            let prices = several.iter().filter(|(name, _)| *name != "up_to");
            let prices = prices.map(|(name, price)| format!("{name} = {price}"));
            parts.push(format!("prices = {{ {} }}", prices.collect::<Vec<_>>().join(", ")));
        }
        if let Some(flat) = tier["flat"].as_str() {
            parts.push(format!("flat = \"{flat}\""));
        }
        writeln!(toml, "{{ {} }},", parts.join(", ")).unwrap();
    }
    toml.push_str("]\n");
    toml
}

/// The input document of a case.
fn input_document(input: &Value) -> String {
    let mut document = serde_json::Map::new();
    for (key, value) in input.as_object().unwrap() {
        let (key, value) = match key.as_str() {
            "rounding" | "basis" | "allocation" => continue, // fields of the rule
            "quota_shift" => ("persons", Value::from(5)),
            "quota_scale" => {
                let part = format!("{}/{}", value["num"], value["den"]).replace('"', "");
                ("quota_part", Value::from(part))
            }
            "kwh" | "gj" => ("usage", value.clone()),
            // A part of the month of 30 days that ends with its days.
            "days" => {
                let (days, _) = text(value).split_once('/').unwrap();
                let first = 31 - days.parse::<u32>().unwrap();
                document.insert("from".into(), Value::from(format!("2026-04-{first:02}")));
                ("to", Value::from("2026-05-01"))
            }
            "plan_cents" | "vat" | "net_cents" | "tax_cents" => continue,
            "to_excl" => ("to", value.clone()),
            "months" => ("months", Value::from(text(value).parse::<u32>().unwrap())),
            other => (other, value.clone()),
        };
        document.insert(key.to_owned(), value);
    }
    Value::from(document).to_string()
}

#[test]
fn every_golden_case_gives_its_amount_to_the_fen_and_its_exact_value() {
    let (rules, cases) = (vectors("rules.json"), vectors("cases.json"));
    let mut priced = 0;
    for case in cases.as_array().unwrap() {
        let (id, rule) = (text(&case["case_id"]), &rules[text(&case["rule_id"])]);
        let file = tariff_file(rule, &case["input"]);
        let input = input_document(&case["input"]);
        let output = rate_document(&file, "rule", &input, "input")
            .unwrap_or_else(|errors| panic!("{id}: {errors:#?}\n{file}\n{input}"));
        assert_eq!(output.total_fen.to_string(), text(&case["expected"]), "{id}");
        // Months that are rounded each, and net and tax: the vector's exact value is the sum after
        // rounding.
        if case["input"]["rounding"] != "each_month" && rule["kind"] != "credit_note" {
            let exact = blockgate_types::decimal::canonical(output.exact);
            assert_eq!(exact, text(&case["exact"]), "{id}");
        }
        let sum: i64 = output.lines.iter().map(|line| line.amount_fen.0).sum();
        assert_eq!(sum, output.total_fen.0, "{id}");
        lines_agree(id, &case["lines"], &output.lines);
        priced += 1;
    }
    assert_eq!(priced, cases.as_array().unwrap().len());
    assert_eq!(priced, 52);
}

/// The price of a part of a charging session as a tariff file, and its quantity: a part is an item of its
/// own, with its own tax. Time is priced by the hour or by the minute, whichever is a decimal number.
fn session_part(part: &Value, currency: &Value, taxed: bool) -> (String, String) {
    use blockgate_types::{Decimal, decimal::canonical, parse_decimal};
    let number = |key: &str| parse_decimal(text(&part[key])).unwrap();
    let (kind, price, input) = match text(&part["dim"]) {
        "flat" => {
            let kind =
                "kind = \"fixed\"\nper = \"household\"\nproration = \"full_month\"".to_owned();
            (kind, number("price"), "{\"months\": 1}".to_owned())
        }
        "energy" => {
            let kind = "kind = \"flat\"\nunit = \"kWh\"".to_owned();
            (kind, number("price_per_kwh"), format!("{{\"usage\": {}}}", part["kwh"]))
        }
        "time" | "parking" | "reservation" => {
            let (minutes, hour) = (part["billed_min"].as_i64().unwrap(), Decimal::from(60));
            let (minutes, per_hour) = (Decimal::from(minutes), number("price_per_hour"));
            let exact = |n: Decimal| n.normalize().scale() <= 6;
            let (unit, used, price) = if exact(minutes / hour) {
                ("h", minutes / hour, per_hour)
            } else {
                assert!(exact(per_hour / hour), "{part}");
                ("1", minutes, per_hour / hour)
            };
            let kind = format!("kind = \"flat\"\nunit = \"{unit}\"");
            (kind, price, format!("{{\"usage\": \"{}\"}}", canonical(used)))
        }
        other => panic!("{other}"),
    };
    let tax = if taxed { format!("tax_percent = \"{}\"\n", part["vat"]) } else { String::new() };
    let file = format!(
        "[[tariff]]\nid = \"golden\"\nlabel = {{ zh = \"金\", en = \"golden\" }}\ncurrency = {currency}\n\
         notice = \"golden\"\n[[tariff.revision]]\nfrom = \"2000-01-01\"\nrounding = \"per_line\"\n\
         change_inside_period = \"by_days\"\n{kind}\nprice = \"{}\"\n{tax}",
        canonical(price)
    );
    (file, input)
}

#[test]
fn every_golden_charging_session_gives_its_amount_as_the_sum_of_its_parts() {
    let vectors = vectors("ocpi.json");
    let cases = vectors["cases"].as_array().unwrap();
    for case in cases {
        let id = text(&case["case_id"]);
        let taxed = case["input"]["tax"] == "included";
        let mut sum = 0;
        for part in case["input"]["parts"].as_array().unwrap() {
            let (file, input) = session_part(part, &case["currency"], taxed);
            let output = rate_document(&file, "rule", &input, "input")
                .unwrap_or_else(|errors| panic!("{id}: {errors:#?}\n{file}\n{input}"));
            sum += output.total_fen.0;
        }
        assert_eq!(blockgate_rules::Fen(sum).to_string(), text(&case["expected"]), "{id}");
    }
    assert_eq!(cases.len(), 13);
}

/// The vector's lines, where it has them: the same quantity and price in each tier and component.
fn lines_agree(id: &str, wanted: &Value, lines: &[blockgate_rules::event::BillLine]) {
    use blockgate_types::{decimal::canonical, parse_decimal};
    for want in wanted.as_array().unwrap() {
        let number = |key: &str| canonical(parse_decimal(text(&want[key])).unwrap());
        let component = text(&want["component"]);
        let found = lines.iter().find(|line| {
            line.tier == want["tier"].as_u64().and_then(|t| u32::try_from(t).ok())
                && line.component.as_deref().unwrap_or("charge") == component
        });
        let found = found.unwrap_or_else(|| panic!("{id}: no line {want}"));
        assert_eq!(canonical(found.quantity), number("qty"), "{id} {want}");
        assert_eq!(canonical(found.unit_price), number("price"), "{id} {want}");
        assert_eq!(canonical(found.exact), number("amount_exact"), "{id} {want}");
    }
}

#[test]
fn the_same_facts_make_other_money_by_the_switch_alone() {
    let rules = vectors("rules.json");
    let rule = &rules["sh_elec_tou_year"];
    let price = |allocation: &str| {
        let input = serde_json::json!({
            "cumulative_before": "3000", "peak": "200", "valley": "100", "allocation": allocation,
        });
        let mut document = input_document(&input);
        if allocation == "chronological" {
            document = serde_json::json!({
                "cumulative_before": "3000",
                "intervals": [["valley", "50"], ["peak", "200"], ["valley", "50"]],
            })
            .to_string();
        }
        let output = rate_document(&tariff_file(rule, &input), "r", &document, "i").unwrap();
        output.total_fen.to_string()
    };
    // By hand: 3000 + 300 crosses the bound of 3120 after 120.
    assert_eq!(price("prorata"), "163.10"); // 80 and 40 below; 120 and 60 above
    assert_eq!(price("peak_first"), "161.90"); // 120 peak below; 80 peak, 100 valley above
    assert_eq!(price("valley_first"), "164.90"); // 100 valley, 20 peak below; 180 peak above
    assert_eq!(price("chronological"), "163.40"); // 50 valley, 70 peak below; 130, 50 above
}

#[test]
fn an_input_that_does_not_fit_is_told_what_is_missing() {
    let rules = vectors("rules.json");
    let tiered = tariff_file(&rules["bj_elec_year"], &serde_json::json!({}));
    let tou = tariff_file(&rules["zj_elec_tou_year"], &serde_json::json!({}));
    let area = tariff_file(&rules["prop_fee_month"], &serde_json::json!({}));
    for (file, input, want) in [
        (&tiered, "{}", "\"usage\" is missing"),
        (&tiered, r#"{"usage": 5}"#, "invalid type"),
        (&tiered, r#"{"usage": "1e3"}"#, "is not a decimal number"),
        (&tiered, r#"{"usage": "-1"}"#, "below zero"),
        (&tiered, r#"{"usage": "5", "cumulative_before": "-4"}"#, "below zero"),
        (&tiered, r#"{"usage": "5", "cumulative_before": "1e3"}"#, "cumulative_before: \"1e3\""),
        (&tiered, r#"{"usage": "5", "months": 0}"#, "months: 0"),
        (&area, r#"{"area": "1", "months": 0}"#, "months: 0"),
        (&area, r#"{"area": "one", "months": 1}"#, "area: \"one\""),
        (&tiered, r#"{"usagee": "1"}"#, "unknown field"),
        (&tiered, "usage = 5", "invalid type"),
        (&tiered, r#"{"usage": "1", "on": "1999-12-31"}"#, "begins after"),
        (&tiered, r#"{"usage": "1", "tariff": "x"}"#, "no such tariff"),
        (
            &tiered,
            r#"{"usage": "99999999999999999999999", "cumulative_before": "0.1"}"#,
            "too large",
        ),
        (&tiered, r#"{"peak": "1"}"#, "as one number"),
        (&tou, r#"{"usage": "1"}"#, "by window"),
        (&tou, r#"{"windows": {"night": "1"}}"#, "no window \"night\""),
        (&area, r#"{"months": 1}"#, "no area"),
        (&area, r#"{"area": "1", "months": 1, "usage": "1"}"#, "no metered usage"),
        (&area, r#"{"area": "1", "months": 999999999}"#, "more than"),
        (&area, r#"{"area": "1", "from": "2026-03-01", "to": "2026-03-01"}"#, "must be before"),
    ] {
        let errors = rate_document(file, "r", input, "i").unwrap_err();
        let told = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.starts_with("i:1:") && told.contains(want), "{input}: {told}");
    }
}

/// Two other ways to share, which the rules do not use; the file has them beside the shares so that each case
/// shows what it would come to: each share rounded by itself, and the running sum rounded.
fn rounded_each_and_cumulative(
    total: i64,
    weights: &[blockgate_types::Decimal],
) -> (Vec<i64>, Vec<i64>) {
    let scale = weights.iter().map(|weight| weight.scale()).max().unwrap();
    let whole =
        |weight: &blockgate_types::Decimal| weight.mantissa() * 10_i128.pow(scale - weight.scale());
    let weights: Vec<i128> = weights.iter().map(whole).collect();
    let sum: i128 = weights.iter().sum();
    // Half away from zero, in integers.
    let part = |of: i128| {
        let (twice, total) = (2 * sum, i128::from(total));
        let rounded = (2 * total.abs() * of + sum) / twice * total.signum();
        i64::try_from(rounded).unwrap()
    };
    let each = weights.iter().map(|weight| part(*weight)).collect();
    let mut before = 0;
    let running = weights.iter().map(|weight| {
        before += weight;
        part(before) - part(before - weight)
    });
    (each, running.collect())
}

#[test]
fn every_golden_apportionment_gives_its_shares() {
    use blockgate_rules::Fen;
    use blockgate_rules::apportionment::{ShareError, shares};
    use blockgate_types::{Decimal, parse_decimal};
    let (mut seen, mut missed) = (0, 0);
    for case in vectors("apportion.json").as_array().unwrap() {
        let id = text(&case["case_id"]);
        let weights: Vec<Decimal> = case["weights"]
            .as_array()
            .unwrap()
            .iter()
            .map(|weight| parse_decimal(text(weight)).unwrap())
            .collect();
        let tie = text(&case["tie_break"]);
        let key = |place: usize| case["keys"][place].as_str().unwrap_or_default();
        let found =
            shares(Fen(case["total_minor"].as_i64().unwrap()), &weights, |a, b| match tie {
                "position" => a.cmp(&b),
                "key" => key(a).cmp(key(b)),
                "larger_weight" => weights[b].cmp(&weights[a]).then(a.cmp(&b)),
                other => panic!("{other}"),
            });
        match case["expected_minor"].as_array() {
            Some(wanted) => {
                let wanted: Vec<i64> = wanted.iter().map(|fen| fen.as_i64().unwrap()).collect();
                let found: Vec<i64> = found.unwrap().iter().map(|share| share.fen.0).collect();
                assert_eq!(found, wanted, "{id}");
                let total = case["total_minor"].as_i64().unwrap();
                let (each, cumulative) = rounded_each_and_cumulative(total, &weights);
                assert_eq!(case["naive_rounding"], serde_json::json!(each), "{id}");
                let error = each.iter().sum::<i64>() - total;
                assert_eq!(case["naive_error_minor"], error, "{id}");
                assert_eq!(case["cumulative_method"], serde_json::json!(cumulative), "{id}");
                // Only rounding each share misses the total.
                assert_eq!(found.iter().sum::<i64>(), total, "{id}");
                assert_eq!(cumulative.iter().sum::<i64>(), total, "{id}");
                missed += usize::from(error != 0);
            }
            None => {
                assert_eq!(case["error"], "no_positive_weight");
                assert_eq!(found, Err(ShareError::NoPositiveWeight), "{id}");
            }
        }
        seen += 1;
    }
    assert_eq!((seen, missed), (11, 6));
}
