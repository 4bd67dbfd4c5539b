use super::*;
use crate::address::Protocol;
use std::collections::BTreeSet;

#[test]
fn every_profile_in_the_folder_is_built_in_and_bears_its_file_s_name() {
    let mut files = BTreeSet::new();
    for protocol in Protocol::ALL {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        for entry in std::fs::read_dir(format!("{folder}/{}", protocol.text())).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let profile = Profile::shipped_by_id(name.trim_end_matches(".toml"));
            assert_eq!(profile.map(|p| p.protocol()), Some(protocol), "{name}");
            files.insert(name);
        }
    }
    assert!(files.len() >= 30, "{}", files.len());
    let listed: BTreeSet<String> =
        Profile::shipped_texts().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, listed);
    for (name, text) in Profile::shipped_texts() {
        let profile = Profile::parse(text, name).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(format!("{}.toml", profile.id), *name);
    }
    assert_eq!(Profile::shipped().count(), files.len());
    let ids: Vec<&str> = Profile::shipped().map(|profile| profile.id.as_str()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn every_vector_of_every_profile_gives_the_values_it_states() {
    for profile in Profile::shipped() {
        assert!(!profile.vectors.is_empty(), "{}", profile.id);
        for vector in &profile.vectors {
            let at = format!("{}.toml:{}", profile.id, vector.line);
            run_vector(profile, vector).unwrap_or_else(|what| panic!("{at}: {what}"));
        }
        // Every register is in some vector.
        for spec in profile.specs().iter() {
            let named =
                |vector: &Vector| vector.expect.iter().any(|(n, _)| n == spec.name.as_str());
            assert!(
                profile.vectors.iter().any(named),
                "{}: {} is never tested",
                profile.id,
                spec.name
            );
        }
    }
}

fn error_lines(text: &str) -> Vec<String> {
    let errors = Profile::parse(text, "p.toml").unwrap_err();
    errors.to_string().lines().map(str::to_owned).collect()
}

const GOOD: &str = r#"id = "acme-x1"
vendor = "Acme"
model = "X1"
protocol = "modbus"
source = "manual"
max_block = 10
max_gap = 2

[[register]]
name = "energy_import"
fc = 3
address = 0
format = "u32"
scale = "0.01"
unit = "kWh"
role = "billing"
decimals = 2
rollover_digits = 6
none = ["FFFF FFFF"]

[[vector]]
request = "01 03 00 00 00 02 C4 0B"
response = "01 03 04 00 12 D6 87 E4 34"
expect = { energy_import = "12345.67" }
"#;

#[test]
fn a_wrong_profile_is_refused_with_the_place_of_every_error() {
    assert_eq!(Profile::parse(GOOD, "p.toml").map(|p| p.id), Ok("acme-x1".to_owned()));
    for (from, to, want) in [
        (
            "id = \"acme-x1\"",
            "id = \"Acme\"",
            "p.toml:1:6: an id is written like \"vendor-model\": a-z, 0-9 and -",
        ),
        (
            "\"modbus\"",
            "\"m-bus\"",
            "p.toml:4:12: \"m-bus\" is not a protocol; there is: modbus, dlt645, cjt188, mbus",
        ),
        ("max_block = 10", "max_block = 126", "p.toml:6:13: max_block is 1 to 125 registers"),
        (
            "scale = \"0.01\"",
            "scale = 0.01",
            "p.toml:14:9: invalid type: floating point `0.01`, expected a string",
        ),
        (
            "scale = \"0.01\"",
            "scale = \"1e-2\"",
            "p.toml:14:9: \"1e-2\" is not a decimal number: write it like \"12\" or \"-0.05\"",
        ),
        (
            "decimals = 2",
            "decimals = 1",
            "p.toml:17:12: the scale resolves 2 decimals: fewer would lose digits",
        ),
        ("fc = 3", "fc = 6", "p.toml:11:6: registers are read by function 3 or 4, not 6"),
        (
            "unit = \"kWh\"",
            "unit = \"W\"",
            "p.toml:15:8: energy_import is always in kWh; use scale",
        ),
        ("address = 0", "address = 65535", "p.toml:12:11: the value reaches beyond register 65535"),
        ("FFFF FFFF", "FFFF", "p.toml:19:9: the pattern needs 4 bytes"),
        (
            "expect = { energy",
            "expect = { enrgy",
            "p.toml:24:27: \"enrgy_import\" is not a register of this profile",
        ),
        (
            "rollover_digits = 6",
            "rollover_digits = 16",
            "p.toml:18:19: rollover_digits is 1 to 15 digits before the point",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        assert_eq!(error_lines(&text), [want], "{to}");
    }
    let typo = error_lines(&GOOD.replace("address", "adress"));
    assert!(typo[0].starts_with("p.toml:12:1: unknown field `adress`"), "{typo:?}");
    assert!(typo[0].ends_with("; did you mean `address`?"), "{typo:?}");
    let many = GOOD.replace("fc = 3", "fc = 9").replace("kWh", "kwh").replace("\"X1\"", "1");
    let lines: Vec<String> = error_lines(&many).iter().map(|l| l[..9].to_owned()).collect();
    assert_eq!(lines, ["p.toml:3:", "p.toml:11", "p.toml:15"]);
    // Columns count characters, not bytes.
    let chinese = GOOD.replacen("vendor = \"Acme\"", "vendor = \"安科瑞\" x", 1);
    assert!(error_lines(&chinese)[0].starts_with("p.toml:2:16: "), "{:?}", error_lines(&chinese));
    let without = GOOD.split("[[vector]]").next().unwrap();
    assert!(error_lines(without)[0].contains("at least one [[vector]]"));
}

#[test]
fn neighbours_are_read_together_and_a_value_is_never_cut() {
    let blocks = |id: &str| -> Vec<(u16, u16)> {
        let profile = Profile::shipped_by_id(id).unwrap();
        profile.plan().iter().map(|b| (b.read.address, b.read.quantity)).collect()
    };
    assert_eq!(blocks("eastron-sdm630"), [(0, 80), (342, 2)]);
    assert_eq!(blocks("eastron-sdm120"), [(0, 14), (30, 2), (70, 10), (342, 2)]);
    assert_eq!(blocks("acrel-ddsy1352"), [(0, 17)]);
    // Whole number and fraction of the accumulator come from one request.
    assert_eq!(blocks("tuf-2000m"), [(0, 16)]);
    for profile in Profile::shipped().filter(|p| p.protocol() == Protocol::Modbus) {
        let mut seen: Vec<usize> =
            profile.plan().iter().flat_map(|b| b.points.iter().map(|p| p.index)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..profile.specs().len()).collect::<Vec<_>>(), "{}", profile.id);
        assert!(profile.plan().iter().all(|b| b.read.quantity <= profile.max_block));
    }
}

#[test]
fn an_implausible_counter_is_a_fault_and_a_missing_value_is_none() {
    let profile = Profile::parse(GOOD, "p.toml").unwrap();
    let value = |hex: &str| {
        let data = crate::hex::parse_hex(hex).unwrap();
        let block = &profile.plan()[0];
        block.points[0].value(&profile.specs()[0], &data).map_err(|fault| fault.what)
    };
    assert_eq!(value("FFFF FFFF"), Ok(None));
    assert_eq!(value("05F5 E0FF"), Ok(Some("999999.99".parse().unwrap())));
    let what = "energy_import is a counter of 6 digits and reads 1000000.00";
    assert_eq!(value("05F5 E100"), Err(what.to_owned()));
}

#[test]
fn a_wrong_profile_of_another_protocol_is_refused_with_its_place() {
    let text = |id: &str| {
        let name = format!("{id}.toml");
        let (_, text) = Profile::shipped_texts().iter().find(|(n, _)| *n == name).unwrap();
        (*text).to_owned()
    };
    for (id, from, to, want) in [
        ("generic-dlt645-energy", "00010000", "0001", "hex digits"),
        ("generic-dlt645-energy", "XXXXXX.XX", "XXXXX.XX", "has 7 digits"),
        ("generic-dlt645-energy", "decimals = 2", "decimals = 1", "fewer would lose some"),
        ("generic-dlt645-energy", "[dlt645]", "[mbus]", "unknown field `edition`"),
        (
            "generic-dlt645-energy",
            "[dlt645]",
            "[mbus]\nreset = true\n[dlt645]",
            "[mbus] does not belong",
        ),
        ("generic-cjt188-heat", "\"20\"", "\"2\"", "two hex digits"),
        ("generic-cjt188-heat", "\"hours\"", "\"hour\"", "unknown variant `hour`"),
        (
            "generic-cjt188-heat",
            "di_order = \"low-first\"",
            "di_order = \"low\"",
            "unknown variant",
        ),
        ("itron-bm-m", "\"volume\"\nunit", "\"volumes\"\nunit", "is no quantity"),
        ("itron-bm-m", "[serial]", "max_block = 3\n[serial]", "max_block is for modbus"),
        ("itron-bm-m", "unit = \"m3\"", "unit = \"kWh\"", "volume is always in m3"),
    ] {
        let wrong = text(id).replacen(from, to, 1);
        assert_ne!(wrong, text(id), "{id}: {from}");
        let errors = Profile::parse(&wrong, "p.toml").unwrap_err().to_string();
        assert!(errors.contains(want), "{id}: {errors}");
    }
}

proptest::proptest! {
    // drivers: invariant 3 (lib.rs), for what a person wrote.
    #[test]
    fn a_damaged_profile_is_refused_or_taken_and_never_panics(
        which in 0_usize..10_000,
        at in 0_usize..10_000,
        cut in 0_usize..40,
        put in "[ -~]{0,8}",
    ) {
        let texts = Profile::shipped_texts();
        let text = texts[which % texts.len()].1;
        let mut from = at % text.len();
        let mut to = (from + cut).min(text.len());
        while !text.is_char_boundary(from) { from -= 1; }
        while !text.is_char_boundary(to) { to += 1; }
        let damaged = [&text[..from], &put, &text[to..]].concat();
        match Profile::parse(&damaged, "p.toml") {
            Ok(profile) => {
                for vector in &profile.vectors {
                    let _ = run_vector(&profile, vector);
                }
            }
            Err(errors) => assert!(!errors.errors.is_empty()),
        }
    }
}
