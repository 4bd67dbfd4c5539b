//! The config file as installers write it, and as they get it wrong.

use super::*;

fn text(name: &str, text: &str) -> Text {
    Text { name: name.to_owned(), text: text.to_owned() }
}

const GOOD: &str = r#"
[gateway]
id = "gw-1"
tenant = "t"
zone = "Asia/Shanghai"
state_dir = "state"

[clock]
trust = "always"

[billing]
close_grace = "24h"

[mqtt]
host = "broker.example"

[http]
listen = "127.0.0.1:8080"

[meter_defaults]
max_per_hour = "27.6"

[[line]]
id = "a"
kind = "serial"
path = "/dev/ttyUSB0"
baud = 2400
parity = "even"

[[line]]
id = "b"
kind = "tcp"
host = "10.0.0.7"

[[meter]]
id = "m-1"
line = "b"
address = 1
profile = "eastron-sdm120"
"#;

fn faults(main: &str) -> Vec<String> {
    match Config::parse(&text("c.toml", main), &[], &[], Path::new("/etc/blockgate")) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_good_config_is_taken_with_its_defaults() {
    let main = text("c.toml", GOOD);
    let config = Config::parse(&main, &[], &[], Path::new("/etc/blockgate")).unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/blockgate/state"));
    assert_eq!(config.lines.len(), 2);
    let meter = config.setup.meters.values().next().unwrap();
    assert_eq!(meter.record_every.to_string(), "15m");
    assert_eq!(meter.registers[0].max_per_hour.to_string(), "27.6");
    assert_eq!(config.mqtt.unwrap().client_id, "blockgate-gw-1");
    assert_eq!(config.hash.len(), 16);
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let bad = GOOD
        .replace("zone = \"Asia/Shanghai\"", "zone = \"Asia/Shangai\"")
        .replace("kind = \"tcp\"", "kind = \"tpc\"")
        .replace("address = 1", "adress = 1")
        .replace("baud = 2400", "baud = \"2400\"")
        .replace("profile = \"eastron-sdm120\"", "profile = \"eastron-sdm12\"");
    let found = faults(&bad);
    for want in [
        "c.toml:5:8: \"Asia/Shangai\" is not a time zone",
        "c.toml:27:8: baud must be a whole number from 300 to 4000000, not string",
        "c.toml:32:8: kind cannot be \"tpc\"; there are: serial, rtu-over-tcp, tcp; did you mean \"tcp\"?",
        "c.toml:38:1: unknown key \"adress\"; did you mean \"address\"?",
        "c.toml:39:11: there is no profile \"eastron-sdm12\"; did you mean \"eastron-sdm120\"?",
    ] {
        assert!(found.iter().any(|f| f.starts_with(want)), "{want}\nnot in\n{}", found.join("\n"));
    }
}

#[test]
fn two_meters_cannot_have_one_address() {
    let twice = format!(
        "{GOOD}\n[[meter]]\nid = \"m-2\"\nline = \"b\"\naddress = 1\nprofile = \"eastron-sdm120\"\n"
    );
    let found = faults(&twice);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("meter m-1 has address 1 on line b already"), "{found:?}");
}

#[test]
fn a_number_that_would_go_through_a_float_is_refused() {
    let found = faults(&GOOD.replace("max_per_hour = \"27.6\"", "max_per_hour = 27.6"));
    assert!(found[0].contains("decimal number in quotes"), "{found:?}");
}

#[test]
fn the_config_that_the_package_ships_and_the_readme_s_example_are_good() {
    let packaged = include_str!("../../../packaging/blockgate.toml");
    assert_eq!(faults(packaged), Vec::<String>::new());

    let readme = include_str!("../../../README.md");
    let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let tariffs =
        text("rules.d/electricity.toml", include_str!("../../../rules/tariffs/electricity.toml"));
    let main = text("README.md", example.unwrap());
    let parsed = Config::parse(&main, &[tariffs], &[], Path::new("/etc/blockgate"));
    assert!(parsed.is_ok(), "{parsed:?}");
}

#[test]
fn meters_of_other_protocols_have_addresses_of_their_own_form() {
    let meter = |id: &str, line: &str, address: &str, profile: &str| {
        format!(
            "[[meter]]\nid = {id:?}\nline = {line:?}\naddress = {address}\nprofile = {profile:?}\n"
        )
    };
    let electricity = meter("e", "a", "\"000000000161\"", "generic-dlt645-single-phase");
    let water = meter("w", "a", "\"78330011223344\"", "generic-cjt188-cold-water");
    let heat = meter("h", "a", "5", "sensus-pollucom-e");
    let more = meter("i", "a", "\"12345678\"", "sensus-pollucom-e");
    let main = text("c.toml", &[GOOD, &electricity, &water, &heat, &more].concat());
    let config = Config::parse(&main, &[], &[], Path::new("/etc/blockgate")).unwrap();
    let addresses: Vec<String> = config.meters.values().map(|m| m.address.to_string()).collect();
    assert_eq!(addresses, ["000000000161", "5", "12345678", "1", "78330011223344"]);
    for (bad, want) in [
        (
            meter("e", "a", "161", "generic-dlt645-single-phase"),
            "c.toml:43:11: address must be a string in quotes, not integer",
        ),
        (
            meter("e", "a", "\"AAAAAAAAAAAA\"", "generic-dlt645-single-phase"),
            "c.toml:43:11: AAAAAAAAAAAA has wildcards: a meter's address names one meter",
        ),
        (
            meter("e", "b", "\"161\"", "generic-dlt645-single-phase"),
            "c.toml:42:8: a line of kind \"tcp\" carries Modbus TCP only; DL/T 645 needs serial or \
             rtu-over-tcp",
        ),
        (
            meter("h", "a", "251", "sensus-pollucom-e"),
            "c.toml:43:11: address must be a whole number from 1 to 250, not 251",
        ),
        (
            meter("m", "a", "\"5\"", "eastron-sdm120"),
            "c.toml:43:11: address must be a whole number from 1 to 247, not string",
        ),
    ] {
        assert_eq!(faults(&[GOOD, &bad].concat()), [want], "{bad}");
    }
    let twice = [electricity.clone(), electricity.replace("\"e\"", "\"f\"")].concat();
    let twice = faults(&[GOOD, &twice].concat());
    assert!(twice[0].contains("has address 000000000161 on line a already"), "{twice:?}");
}
