//! The golden vectors of parking: each plan becomes a rule file mechanically, each case an input document.
//! `parking.json` has published prices; `parking_random.json` has random plans and stays, priced by a minute
//! walk that was written in another language and knows no code of ours.

use blockgate_rules::tariff::{RateOutput, rate_document};
use serde_json::{Value, json};
use std::fmt::Write as _;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A JSON value as inline TOML.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts = map.iter().filter(|(_, v)| !v.is_null());
            let parts = parts.map(|(k, v)| format!("{k} = {}", toml(v))).collect::<Vec<_>>();
            format!("{{ {} }}", parts.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// The rule file of a plan; switches that the vectors leave open are set here.
fn rule_file(currency: &str, plan: &Value, calendar: &Value, input: &Value) -> String {
    let mut text = format!(
        "[[parking]]\nid = \"golden\"\nlabel = {{ zh = \"金\", en = \"golden\" }}\ncurrency = \"{currency}\"\n\
         notice = \"golden\"\n[[parking.revision]]\nfrom = \"2000-01-01\"\n"
    );
    let mut plan = plan.clone();
    let map = plan.as_object_mut().unwrap();
    for key in ["cycle", "cycle_start", "seconds", "progress", "day_type", "class_change"] {
        if let Some(value) = input.get(key) {
            map.insert(key.to_owned(), value.clone());
        }
    }
    let caps = match (map.remove("cap"), map.remove("caps")) {
        (Some(cap), None) => json!([cap]),
        (None, Some(caps)) => caps,
        _ => json!([]),
    };
    map.insert("caps".to_owned(), caps);
    let free = map.remove("free");
    let mut free = free.or(input.get("free").map(|_| json!({ "renews": "stay" })));
    if let Some(free) = free.as_mut().and_then(Value::as_object_mut) {
        for (from, to) in [("free", "mode"), ("free_minutes", "minutes"), ("free_renews", "renews")]
        {
            if let Some(value) = input.get(from) {
                free.insert(to.to_owned(), value.clone());
            }
        }
        if free["mode"] == "deduct_price" {
            free.insert("renews".to_owned(), json!("stay"));
        }
    }
    map.insert("free".to_owned(), free.unwrap_or(json!("none")));
    map.remove("uncharged_classes");
    for (key, value) in [
        ("cap_scope", json!("stay")),
        ("reentry", json!({ "effect": "none" })),
        ("class_change", json!("split")),
        ("free_after_change", json!(true)),
        ("after_payment", json!({ "grace_min": 15, "exceeded": "new_part" })),
        ("new_energy_percent", json!("100")),
    ] {
        map.entry(key.to_owned()).or_insert(value);
    }
    let days = map.get("windows").is_some_and(|w| w.to_string().contains("\"days\""));
    if !map.contains_key("windows") {
        map.remove("progress");
        map.remove("day_type");
    } else {
        map.entry("progress".to_owned()).or_insert(json!("segment"));
        if !days {
            map.insert("day_type".to_owned(), json!("none"));
        }
    }
    if days {
        let list = |key: &str| calendar.get(key).cloned().unwrap_or(json!([]));
        let calendar =
            json!({ "holidays": list("holidays"), "make_up_workdays": list("make_up_workdays") });
        map.insert("calendar".to_owned(), calendar);
    }
    for (key, value) in map {
        writeln!(text, "{key} = {}", toml(value)).unwrap();
    }
    text
}

fn document(input: &Value) -> String {
    let mut document = input.clone();
    let map = document.as_object_mut().unwrap();
    map.retain(|key, _| {
        ["entry", "exit", "minutes", "visits", "classes", "cap"].contains(&key.as_str())
    });
    if map.contains_key("classes") {
        map.insert("uncharged".to_owned(), json!(["monthly"]));
    }
    document.to_string()
}

fn rated(name: &str, rule: &str, input: &Value) -> RateOutput {
    let rated = rate_document(rule, "rule.toml", &document(input), "input.json");
    rated.unwrap_or_else(|faults| panic!("{name}: {faults:?}\n{rule}\n{input}"))
}

fn minor(expected: &str, digits: usize) -> i64 {
    let (whole, part) = expected.split_once('.').unwrap_or((expected, ""));
    format!("{whole}{part:0<digits$}").parse().unwrap()
}

#[test]
fn every_published_price_of_parking_is_met() {
    let vectors = vectors("parking.json");
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 50);
    for case in cases {
        let name = case["case_id"].as_str().unwrap();
        let rule = &vectors["rules"][case["rule_id"].as_str().unwrap()];
        let currency = rule["currency"].as_str().unwrap();
        let file = rule_file(currency, &rule["plan"], &rule["calendar"], &case["input"]);
        let output = rated(name, &file, &case["input"]);
        let digits = if currency == "JPY" { 0 } else { 2 };
        let expected = case["expected"].as_str().unwrap();
        assert_eq!(output.total_fen.0, minor(expected, digits), "{name}: {output:#?}");
        let sum: i64 = output.lines.iter().map(|line| line.amount_fen.0).sum();
        assert_eq!(sum, output.total_fen.0, "{name}: the lines sum to the total");
    }
}

#[test]
fn random_plans_cost_what_an_independent_minute_walk_says() {
    let vectors = vectors("parking_random.json");
    for (number, case) in vectors["cases"].as_array().unwrap().iter().enumerate() {
        let name = format!("random case {number}");
        let file = rule_file("CNY", &case["plan"], &vectors["calendar"], &case["input"]);
        let output = rated(&name, &file, &case["input"]);
        let expected = minor(case["expected"].as_str().unwrap(), 2);
        assert_eq!(output.total_fen.0, expected, "{name}: {file}\n{}\n{output:#?}", case["input"]);
        let sum: i64 = output.lines.iter().map(|line| line.amount_fen.0).sum();
        assert_eq!(sum, expected, "{name}: the lines sum to the total");
    }
}
