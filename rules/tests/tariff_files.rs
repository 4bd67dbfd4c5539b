//! The example tariff files, and what a wrong file is told.

use blockgate_rules::tariff::TariffFile;

#[test]
fn every_example_file_is_valid_and_survives_the_journals_json() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tariffs");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let tariffs = TariffFile::parse(&text, &path.display().to_string());
        for (id, tariff) in tariffs.unwrap_or_else(|e| panic!("{e:#?}")) {
            assert!(tariff.notice.starts_with("EXAMPLE"), "{id} looks like a price in force");
            let json = serde_json::to_string(&tariff).unwrap();
            let back: blockgate_rules::tariff::Tariff = serde_json::from_str(&json).unwrap();
            assert_eq!(back, tariff);
            seen += 1;
        }
    }
    assert!(seen >= 6, "{seen}");
}

/// One line a fault: line, column, message.
fn faults(text: &str) -> String {
    match TariffFile::parse(text, "f.toml") {
        Ok(tariffs) => format!("valid: {}", tariffs.len()),
        Err(list) => {
            let lines = list.iter().map(|e| format!("{}:{}: {}", e.line, e.column, e.message));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn every_fault_of_a_file_is_found_at_once_with_its_place() {
    let text = r#"# 电价
[[tariff]]
id = "Tiered"
label = { zh = "电", eng = "x" }
currency = "JPY"
notice = "x"
[[tariff.revision]]
from = "2026-02-30"
kind = "graduated"
rounding = "per_line"
change_inside_period = "sometimes"
units = "kWh"
tier_period = "year"
tiers = [ { up_to = "240", price = 0.4883 }, { up_to = "200", price = "1e3" }, { price = "-1" } ]
[[tariffs]]
"#;
    assert_eq!(
        faults(text),
        r#"3:6: "Tiered" is not an id: 1 to 64 of the characters a-z 0-9 . _ -, the first a letter or a digit
4:9: "en" is missing: write it like en = "Electricity"
4:21: unknown key "eng"; did you mean "en"?
5:12: "JPY" is not a currency of hundredths: write it like "CNY"
7:1: "unit" is missing: write it like unit = "kWh" or "m3" or "GJ" or "kvarh" or "h" or "1"
7:1: "tier_reset" is missing: write it like tier_reset = "01-01"
8:8: "2026-02-30" is not a day: write it like "2026-01-01"
11:24: "change_inside_period" cannot be "sometimes": write "next_period" or "by_days"
12:1: unknown key "units"; did you mean "unit"?
14:36: this is a float: write it in quotes, like "0.4883"
14:56: "up_to" must be more than 240
14:71: "1e3" is not a decimal number: write it like "12" or "-0.05"
14:90: this must not be negative
15:3: unknown key "tariffs"; did you mean "tariff"?"#
    );
}

const HEAD: &str = r#"[[tariff]]
id = "t"
label = { zh = "t", en = "t" }
currency = "CNY"
notice = "n"
[[tariff.revision]]
from = "2026-01-01"
rounding = "per_line"
change_inside_period = "next_period"
"#;

#[test]
fn no_switch_that_changes_money_has_a_silent_default() {
    let tou = r#"unit = "kWh"
across_windows = "by_time"
prices = { peak = "1", valley = "1" }
windows = [{ name = "peak", label = { zh = "a", en = "b" }, spans = ["06:00-22:00"] },
{ name = "valley", label = { zh = "a", en = "b" }, spans = ["22:00-06:00"] }]
"#;
    for (kind, body, keys) in [
        ("flat", "unit = \"kWh\"\nprice = \"1\"\n".to_owned(), vec!["unit", "price"]),
        (
            "per_area",
            "price = \"1\"\nproration = \"free\"\n".to_owned(),
            vec!["price", "proration"],
        ),
        (
            "fixed",
            "price = \"1\"\nper = \"person\"\nproration = \"free\"\n".to_owned(),
            vec!["per"],
        ),
        ("tou", tou.to_owned(), vec!["across_windows", "windows", "prices"]),
    ] {
        let whole = format!("{HEAD}kind = \"{kind}\"\n{body}");
        assert_eq!(faults(&whole), "valid: 1", "{kind}");
        for key in ["rounding", "change_inside_period", "from"].into_iter().chain(keys) {
            let mut without = String::new();
            let mut skipping = false;
            for line in whole.lines() {
                let starts = line.starts_with(&format!("{key} ="));
                skipping = starts || (skipping && line.starts_with('{'));
                if !skipping {
                    without.push_str(line);
                    without.push('\n');
                }
            }
            let found = faults(&without);
            assert!(found.contains(&format!("\"{key}\" is missing")), "{kind} {key}: {found}");
        }
    }
}

#[test]
fn windows_cover_each_minute_of_a_day_once() {
    for (spans, want) in [
        (r#"["06:00-22:00"]"#, "no window covers 22:00-24:00"),
        (r#"["07:00-24:00"]"#, "no window covers 06:00-07:00"),
        (r#"["05:00-24:00"]"#, "two windows cover 05:00-06:00"),
        (r#"["06:00-06:00"]"#, "is not a span"),
        (r#"["6:00-24:00"]"#, "is not a span"),
        (r#"["06:00-24:00"]"#, "valid: 1"),
        (r#"["06:00-22:00", "22:00-00:00"]"#, "valid: 1"),
    ] {
        let text = format!(
            r#"{HEAD}kind = "tou"
unit = "kWh"
across_windows = "at_end"
prices = {{ peak = "1", valley = "1" }}
windows = [{{ name = "peak", label = {{ zh = "a", en = "b" }}, spans = {spans} }},
{{ name = "valley", label = {{ zh = "a", en = "b" }}, spans = ["00:00-06:00"] }}]
"#
        );
        let found = faults(&text);
        assert!(found.contains(want), "{spans}: {found}");
    }
}

#[test]
fn a_key_of_another_kind_is_not_taken() {
    let found =
        faults(&format!("{HEAD}kind = \"flat\"\nunit = \"kWh\"\nprice = \"1\"\ntiers = []\n"));
    assert_eq!(found, "13:1: \"tiers\" has no meaning in kind \"flat\"");
}

#[test]
fn broken_toml_is_a_fault_with_its_place_too() {
    let found = faults("[[tariff]\nid = \"a\"\nid = \"b\"\n");
    assert!(found.lines().count() >= 2, "{found}");
    assert!(found.starts_with("1:"), "{found}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_fail_without_a_fault(text in "[\\[\\]a-z\"={},.0-9\n中 ]{0,200}") {
        if let Err(list) = TariffFile::parse(&text, "f") {
            proptest::prop_assert!(!list.is_empty());
        }
    }
}
