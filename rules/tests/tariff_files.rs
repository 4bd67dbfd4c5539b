//! The example tariff files, and what a wrong file is told.

mod rule_files;

use blockgate_rules::tariff::TariffFile;
use rule_files::faults;

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
    assert!(seen >= 12, "{seen}");
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
7:1: "part_quota" is missing: write it like part_quota = "whole" or "by_months" or "by_days"
7:1: "new_occupant" is missing: write it like new_occupant = "inherit" or "reset"
8:8: "2026-02-30" is not a day: write it like "2026-01-01"
11:24: "change_inside_period" cannot be "sometimes": write "next_period" or "by_days" or "by_readings" or "reading_date"
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
fn the_keys_that_are_known_are_named_once_each() {
    let found = faults(&format!("{HEAD}zzzzzzzzzzzz = 1\n"));
    let (_, known) = found.split_once("known are ").unwrap_or_else(|| panic!("{found}"));
    let known: Vec<&str> = known.lines().next().unwrap_or_default().split(", ").collect();
    let once: std::collections::BTreeSet<&str> = known.iter().copied().collect();
    assert_eq!(known.len(), once.len(), "{known:?}");
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

/// The lines of a rule and an input: label, amount.
fn priced(body: &str, input: &str) -> String {
    let text = format!("{HEAD}{body}");
    match blockgate_rules::tariff::rate_document(&text, "r", input, "i") {
        Ok(output) => {
            let lines = output.lines.iter().map(|l| format!("{} {}", l.label.en, l.amount_fen));
            let lines = lines.collect::<Vec<_>>().join("; ");
            format!("{lines} = {}", output.total_fen)
        }
        Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn blocks_of_a_size_are_charged_whole_or_not_at_all() {
    for (begun, used, want) in [
        ("counts", "21", "t, 21 kWh in blocks of 10 kWh 4.50 = 4.50"),
        ("counts", "20", "t, 20 kWh in blocks of 10 kWh 3.00 = 3.00"),
        ("counts", "0", "t, 0 kWh in blocks of 10 kWh 0.00 = 0.00"),
        ("free", "29.9", "t, 29.9 kWh in blocks of 10 kWh 3.00 = 3.00"),
    ] {
        let body = format!(
            "kind = \"package\"\nunit = \"kWh\"\nprice = \"1.5\"\nsize = \"10\"\nbegun_block = \"{begun}\"\n"
        );
        assert_eq!(priced(&body, &format!(r#"{{"usage": "{used}"}}"#)), want);
    }
}

#[test]
fn instalments_sum_to_the_rounded_whole() {
    let body = r#"kind = "once"
per = "m2"
price = "0.3333"
instalments = [ { on = "2026-06-01", share = "0.3" }, { on = "2026-07-01", share = "0.3" },
{ on = "2026-08-01", share = "0.4" } ]
"#;
    // 89.53 × 0.3333 = 29.840349; by thirds of the running sum.
    let whole = priced(body, r#"{"area": "89.53"}"#);
    assert_eq!(whole, "t 8.95; t 8.95; t 11.94 = 29.84");
    let june = priced(body, r#"{"area": "89.53", "from": "2026-06-01", "to": "2026-07-01"}"#);
    assert_eq!(june, "t, 2026-06-01 8.95 = 8.95");
    assert_eq!(
        priced(body, r#"{"area": "1", "from": "2026-09-01", "to": "2026-10-01"}"#),
        " = 0.00"
    );
}

#[test]
fn a_part_of_a_tier_year_has_a_part_of_its_quota() {
    let rule = |how: &str, rounding: &str| {
        format!(
            "kind = \"graduated\"\nunit = \"m3\"\ntier_period = \"year\"\ntier_reset = \"01-01\"\n\
             part_quota = \"{how}\"\n{rounding}new_occupant = \"reset\"\n\
             tiers = [ {{ up_to = \"220\", price = \"1\" }}, {{ price = \"2\" }} ]\n"
        )
    };
    let input = r#"{"usage": "100", "quota_part": "5/12"}"#;
    // 220 × 5 / 12 = 91.666…
    for (rounding, want) in [
        ("none", "t, tier 1 91.67; t, tier 2 16.67 = 108.34"),
        ("down", "t, tier 1 91.00; t, tier 2 18.00 = 109.00"),
        ("half_up", "t, tier 1 92.00; t, tier 2 16.00 = 108.00"),
    ] {
        let rounding = format!("bound_rounding = \"{rounding}\"\n");
        assert_eq!(priced(&rule("by_months", &rounding), input), want);
    }
    let missing = priced(&rule("by_days", ""), input);
    assert!(missing.contains("\"bound_rounding\" is missing"), "{missing}");
    let idle = priced(&rule("whole", "bound_rounding = \"down\"\n"), input);
    assert!(idle.contains("\"bound_rounding\" goes with"), "{idle}");
}

const ADJUSTED: &str = r#"kind = "fixed"
per = "space"
price = "150"
proration = "free"
tax_percent = "6"
[[tariff.adjust]]
accounts = ["a-1"]
from = "2026-01-01"
to = "2027-01-01"
reason = { zh = "低保", en = "low income" }
discount_percent = "33.3"
[[tariff.adjust]]
accounts = ["a-2"]
from = "2026-01-01"
reason = { zh = "自用", en = "own use" }
exempt = true
[[tariff.adjust]]
accounts = ["a-3"]
from = "2026-01-01"
reason = { zh = "合同价", en = "by contract" }
price = "99.99"
"#;

#[test]
fn discounts_exemptions_and_own_prices_are_lines_with_their_reason() {
    for (account, on, want) in [
        ("a-1", "2026-06-01", "t 300.00; t, low income -99.90; tax 6 % 12.01 = 212.11"),
        ("a-1", "2027-01-01", "t 300.00; tax 6 % 18.00 = 318.00"),
        ("a-2", "2026-06-01", "t 300.00; t, own use -300.00; tax 6 % 0.00 = 0.00"),
        ("a-3", "2026-06-01", "t, by contract 199.98; tax 6 % 12.00 = 211.98"),
        ("a-9", "2026-06-01", "t 300.00; tax 6 % 18.00 = 318.00"),
    ] {
        let input = format!(r#"{{"months":1,"spaces":2,"account":"{account}","on":"{on}"}}"#);
        assert_eq!(priced(ADJUSTED, &input), want, "{account} {on}");
    }
    let told = priced(ADJUSTED, r#"{"months":1,"spaces":2,"account":"a-1"}"#);
    assert!(told.contains("\"on\" is missing"), "{told}");
    assert!(priced(ADJUSTED, r#"{"months":1}"#).contains("no spaces"));
}

#[test]
fn versions_with_a_gap_or_an_overlap_are_told_where() {
    let revisions = |to: &str| {
        format!(
            "{HEAD}to = \"{to}\"\nkind = \"fixed\"\nper = \"household\"\nprice = \"1\"\nproration = \"free\"\n\
             [[tariff.revision]]\nfrom = \"2026-07-01\"\nkind = \"fixed\"\nper = \"household\"\nprice = \"2\"\n\
             proration = \"free\"\nrounding = \"per_line\"\nchange_inside_period = \"by_days\"\n"
        )
    };
    assert_eq!(faults(&revisions("2026-07-01")), "valid: 1");
    assert_eq!(
        faults(&revisions("2026-06-01")),
        "10:6: no revision holds from 2026-06-01 until 2026-07-01"
    );
    assert_eq!(
        faults(&revisions("2026-08-01")),
        "10:6: two revisions hold from 2026-07-01 until 2026-08-01"
    );
    assert_eq!(
        faults(&revisions("2025-08-01")).lines().next().unwrap(),
        "10:6: \"to\" must be after \"from\""
    );
    let metered =
        format!("{HEAD}to = \"2027-01-01\"\nkind = \"flat\"\nunit = \"kWh\"\nprice = \"1\"\n");
    assert!(faults(&metered).contains("last revision has no \"to\""), "{}", faults(&metered));
}

#[test]
fn wrong_items_bindings_and_adjustments_are_told_where() {
    let item = "kind = \"once\"\nper = \"household\"\nprice = \"5\"\n";
    for (body, want) in [
        (format!("{item}on = \"2026-06-01\"\n"), "valid: 1"),
        (item.to_owned(), "\"instalments\" is missing"),
        (
            format!("{item}instalments = [ {{ on = \"2026-06-01\", share = \"0.9\" }} ]\n"),
            "13:15: the shares sum to 0.9, not to 1",
        ),
        (
            format!("{item}instalments = [ {{ on = \"2026-06-01\", share = \"0.5\" }}, {{ on = \"2026-06-01\", share = \"0.5\" }} ]\n"),
            "must rise",
        ),
        ("kind = \"seasonal\"\nper = \"m2\"\nprice = \"-5\"\n".into(), "must not be negative"),
        ("kind = \"periodic\"\nper = \"m2\"\nprice = \"5\"\nfirst = \"2026-01-01\"\nevery_months = 0\n".into(), "from 1 to 120"),
        (format!("{item}on = \"2026-06-01\"\n[[tariff.bind]]\nitem = \"x\"\n"), "14:1: nobody is named"),
        (format!("{item}on = \"2026-06-01\"\n[[tariff.bind]]\nitem = \"X\"\nall = true\n"), "is not an id"),
        (
            "kind = \"flat\"\nunit = \"kWh\"\nprice = \"1\"\n[[tariff.bind]]\nitem = \"x\"\nall = true\n".into(),
            "13:1: a metered rule is bound at the account",
        ),
        (
            format!("{item}on = \"2026-06-01\"\n[[tariff.adjust]]\naccounts = []\nfrom = \"2026-01-01\"\nreason = {{ zh = \"a\", en = \"b\" }}\nexempt = true\n"),
            "is for nobody",
        ),
        (
            format!("{item}on = \"2026-06-01\"\n[[tariff.adjust]]\naccounts = [\"a\"]\nfrom = \"2026-01-01\"\nreason = {{ zh = \"a\", en = \"b\" }}\ndiscount_percent = \"101\"\n"),
            "at most 100 percent",
        ),
    ] {
        let found = faults(&format!("{HEAD}{body}"));
        assert!(found.contains(want), "{body}\n{found}");
    }
}

#[test]
fn a_rule_is_bound_to_buildings_groups_and_accounts_or_told_that_nobody_is() {
    use blockgate_rules::setup::AccountSetup;
    use blockgate_rules::tariff::bind;
    use blockgate_types::AccountId;
    use std::collections::BTreeMap;
    let id = |text: &str| AccountId::new(text).unwrap();
    let account = |building: &str, groups: &[&str]| AccountSetup {
        building: building.into(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..AccountSetup::default()
    };
    let accounts = BTreeMap::from([
        (id("a-1"), account("1", &["fair"])),
        (id("a-2"), account("1", &[])),
        (id("a-3"), account("2", &["fair"])),
    ]);
    let rule = |binding: &str| {
        let text = format!(
            "{HEAD}kind = \"once\"\nper = \"household\"\nprice = \"5\"\non = \"2026-06-01\"\n{binding}"
        );
        TariffFile::read(&text, "f").unwrap().rules
    };
    for (names, want) in [
        ("all = true", "a-1 a-2 a-3"),
        ("buildings = [\"1\"]", "a-1 a-2"),
        ("groups = [\"fair\"]\nexcept = [\"a-3\"]", "a-1"),
        ("accounts = [\"a-2\"]\nbuildings = [\"2\"]", "a-2 a-3"),
        ("groups = [\"none\"]", "f:14:1: nobody is bound to rule \"t\" by this"),
        ("accounts = [\"a-7\"]", "f:14:1: there is no account \"a-7\""),
    ] {
        let mut bound = accounts.clone();
        let rules = rule(&format!("[[tariff.bind]]\nitem = \"fair\"\n{names}\n"));
        let found = match bind(&rules, &mut bound) {
            Ok(()) => {
                let charged = bound.iter().filter(|(_, a)| a.charges.len() == 1);
                charged.map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ")
            }
            Err(faults) => faults[0].to_string(),
        };
        assert_eq!(found, want);
    }
}

const SHARING: &str = r#"[[apportionment]]
id = "s"
label = { zh = "a", en = "b" }
item = "shared"
direction = "cost"
among = { all = true }
parts = [ { percent = "70", by = "usage", item = "heat" }, { percent = "30", by = "area" } ]
tie_break = "account"
"#;

#[test]
fn a_wrong_apportionment_is_told_where() {
    assert_eq!(faults(SHARING), "valid: 0");
    for (from, to, want) in [
        ("\"30\"", "\"29\"", "7:9: the percents of the parts must sum to 100"),
        ("all = true", "all = false", "6:9: nobody is named"),
        ("item = \"heat\"", "item = \"Heat\"", "7:50: \"Heat\" is not an id"),
        ("by = \"area\"", "by = \"area\", item = \"x\"", "\"item\" has no meaning here"),
        (
            "by = \"area\"",
            "by = \"floor\", floors = [{ from = 2, weight = \"-1\" }]",
            "must not be negative",
        ),
        ("by = \"area\"", "by = \"table\", weights = { A = \"1\" }", "\"A\" is not an id"),
        ("tie_break = \"account\"", "", "\"tie_break\" is missing"),
        (
            "tie_break = \"account\"",
            "tie_break = \"account\"\nborne_percent = \"101\"",
            "more than 100",
        ),
        ("\"cost\"", "\"income\"\nborne_percent = \"1\"", "shared as a whole"),
        (
            "tie_break = \"account\"",
            "tie_break = \"account\"\nloss = { max_percent = \"5\", above = \"hold\", skew_max = \"5\" }",
            "9:56: \"5\" is not a span of time",
        ),
    ] {
        let found = faults(&SHARING.replace(from, to));
        assert!(found.contains(want), "{to}\n{found}");
    }
}

const LATE: &str = r#"kind = "fixed"
price = "1"
per = "household"
proration = "free"
[tariff.revision.late_fee]
item = "late-fee"
label = { zh = "违约金", en = "Late fee" }
percent_per_day = "0.05"
grace_days = 5
days_from = "due"
cap_percent = "30"
rounding = "half_up"
"#;

#[test]
fn a_late_fee_names_every_term_and_a_wrong_one_is_told_where() {
    let whole = format!("{HEAD}{LATE}");
    assert_eq!(faults(&whole), "valid: 1");
    let table = whole.split_once("late_fee]").unwrap().1;
    for line in table.trim().lines() {
        let key = line.split_once(' ').unwrap().0;
        let (before, after) = whole.rsplit_once(&format!("{line}\n")).unwrap();
        let found = faults(&format!("{before}{after}"));
        assert!(found.contains(&format!("\"{key}\" is missing")), "{key}: {found}");
    }
    for (from, to, want) in [
        ("\"0.05\"", "\"-0.05\"", ":19: this must not be negative"),
        ("\"0.05\"", "\"0\"", ":19: a late fee of nothing: leave \"late_fee\" out"),
        ("\"0.05\"", "\"100.5\"", ":19: this is more than 100 percent"),
        ("\"0.05\"", "\"0.0500001\"", ":19: a percentage has at most 6 decimals"),
        ("\"0.05\"", "0.05", "write it in quotes"),
        ("\"30\"", "\"-30\"", ":15: this must not be negative"),
        ("\"30\"", "\"1001\"", ":15: this is more than 1000 percent"),
        ("= 5", "= -5", "\"grace_days\" is not a whole number like 5"),
        ("= 5", "= 367", ":14: a grace is at most 366 days"),
        ("\"due\"", "\"issue\"", "\"days_from\" cannot be \"issue\": write \"due\" or \"grace\""),
        ("\"half_up\"", "\"even\"", "write \"half_up\" or \"down\""),
        ("\"late-fee\"", "\"Late fee\"", "\"Late fee\" is not an id"),
        ("grace_days = 5", "grace_days = 5\nminimum = \"1\"", "unknown key \"minimum\""),
    ] {
        let found = faults(&whole.replace(from, to));
        assert!(found.contains(want), "{to}\n{found}");
    }
}

#[test]
fn a_late_fee_needs_a_due_day_and_an_item_of_its_own() {
    use blockgate_rules::setup::{AccountSetup, Charge, Dunning, Setup};
    use blockgate_rules::tariff::check_late_fees;
    use blockgate_types::{AccountId, ItemId, TariffId};
    let rules = TariffFile::read(&format!("{HEAD}{LATE}"), "f").unwrap().rules;
    let told = |setup: &Setup| match check_late_fees(&rules, setup) {
        Ok(()) => String::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    let mut setup = Setup::default();
    assert!(told(&setup).contains("a late fee needs a due day: the config has no [dunning]"));
    setup.dunning = Some(Dunning { due_days: 15, remind_days: 3, hour: 9 });
    assert_eq!(told(&setup), "");
    let mut account = AccountSetup::default();
    let charge = Charge::of(TariffId::new("other").unwrap());
    account.charges.insert(ItemId::new("late-fee").unwrap(), charge);
    setup.accounts.insert(AccountId::new("a-1").unwrap(), account);
    assert!(told(&setup).contains("account \"a-1\" has an item \"late-fee\" already"));
    // Nothing is asked of rules without one.
    let without = TariffFile::read(&format!("{HEAD}{}", LATE.split_once('[').unwrap().0), "f");
    assert!(check_late_fees(&without.unwrap().rules, &setup).is_ok());
}

#[test]
fn an_apportionment_is_explained_share_by_share() {
    use blockgate_rules::tariff::rate_document;
    let input = r#"{"total": "100.00", "members": {
        "a-1": {"area": "1", "used": "3"}, "a-2": {"area": "1", "used": "0"}, "a-3": {"area": "1", "used": "4"}
    }}"#;
    let output = rate_document(SHARING, "r", input, "i").unwrap();
    let lines: Vec<String> =
        output.lines.iter().map(|l| format!("{} = {}", l.label.en, l.amount_fen)).collect();
    assert_eq!(
        lines,
        [
            "a-1 by usage 3/7, remainder 1 = 30.00",
            "a-1 by area 1/3, remainder 1 = 10.00",
            "a-2 by usage 0/7, remainder 2 = 0.00",
            "a-2 by area 1/3, remainder 2 = 10.00",
            "a-3 by usage 4/7, remainder 3 = 40.00",
            "a-3 by area 1/3, remainder 3 = 10.00",
        ]
    );
    let nobody = r#"{"total": "1", "members": {"a-1": {"area": "0", "used": "0"}}}"#;
    let told = rate_document(SHARING, "r", nobody, "i").unwrap_err();
    assert!(told[0].to_string().contains("nobody would pay"), "{told:?}");
    let bare = rate_document(SHARING, "r", r#"{"total": "1", "members": {"a-1": {}}}"#, "i");
    assert!(bare.unwrap_err()[0].to_string().contains("a-1: no-area"));
}

#[test]
fn a_rule_for_sharing_needs_a_cost_and_members_without_that_item() {
    use blockgate_rules::setup::{AccountSetup, Charge};
    use blockgate_rules::tariff::check_apportionments;
    use blockgate_types::{AccountId, ItemId, TariffId};
    use std::collections::BTreeMap;
    let entries = TariffFile::read(SHARING, "f").unwrap().apportionments;
    let told = |accounts: &BTreeMap<AccountId, AccountSetup>| match check_apportionments(
        &entries, accounts,
    ) {
        Ok(()) => String::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    let mut accounts = BTreeMap::new();
    assert!(told(&accounts).contains("f:1:1: nothing is shared by rule \"s\""));
    assert!(told(&accounts).contains("nobody is bound"));
    let mut account = AccountSetup::default();
    let charge = Charge {
        share: Some(TariffId::new("s").unwrap()),
        ..Charge::of(TariffId::new("t").unwrap())
    };
    account.charges.insert(ItemId::new("lift").unwrap(), charge.clone());
    accounts.insert(AccountId::new("public").unwrap(), account.clone());
    assert_eq!(told(&accounts), "");
    account.charges.insert(ItemId::new("shared").unwrap(), charge);
    accounts.insert(AccountId::new("a-1").unwrap(), account);
    assert!(told(&accounts).contains("account \"a-1\" has an item \"shared\" already"));
}
