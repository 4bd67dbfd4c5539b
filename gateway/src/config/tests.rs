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

const SHARED: &str = r#"
[[meter]]
id = "m-2"
line = "b"
address = 2
profile = "eastron-sdm120"

[[account]]
id = "public"
charges = [{ item = "light", tariff = "electricity-tiered", meter = "m-1", share = "loss", minus = ["m-2"] }]

[[account]]
id = "a-1"
building = "1"
area_m2 = "89.5"
spaces = 2
floor = 7
occupied_from = "2026-03-01"
groups = ["fair"]
"#;

const RULES: &str = r#"
[[apportionment]]
id = "loss"
label = { zh = "a", en = "b" }
item = "light-share"
direction = "cost"
among = { buildings = ["1"] }
parts = [ { percent = "100", by = "area" } ]
tie_break = "account"
loss = { max_percent = "10", above = "hold", skew_max = "1h" }

[[tariff]]
id = "fair"
label = { zh = "a", en = "b" }
currency = "CNY"
notice = "n"
[[tariff.revision]]
from = "2026-01-01"
rounding = "per_line"
change_inside_period = "next_period"
kind = "once"
price = "30"
per = "household"
on = "2026-09-25"
[[tariff.bind]]
item = "fair"
groups = ["fair"]
"#;

#[test]
fn what_is_shared_and_what_is_bound_comes_from_rules_and_config_together() {
    let electricity = include_str!("../../../rules/tariffs/electricity.toml");
    let parse = |main: &str, rules: &str| {
        let rules = [text("e.toml", electricity), text("r.toml", rules)];
        Config::parse(&text("c.toml", main), &rules, &[], Path::new("/etc/blockgate"))
    };
    let main = format!("{GOOD}{SHARED}");
    let config = parse(&main, RULES).unwrap();
    let accounts: Vec<_> = config.setup.accounts.values().collect();
    let (household, public) = (accounts[0], accounts[1]);
    assert!(household.charges.keys().any(|item| item.as_str() == "fair"));
    assert_eq!((household.spaces, household.floor), (Some(2), Some(7)));
    let light = public.charges.values().next().unwrap();
    assert_eq!(light.minus[0].register.as_str(), "energy_import");
    assert_eq!(light.share.as_ref().unwrap().as_str(), "loss");
    assert_eq!(config.setup.apportionments.len(), 1);
    assert_eq!(config.unused_tariffs().count(), 3, "the other examples of the file");
    for (from, to, want) in [
        ("share = \"loss\"", "share = \"los\"", "did you mean \"loss\"?"),
        ("share = \"loss\", ", "", "a loss needs \"share\""),
        ("minus = [\"m-2\"]", "minus = [\"m-3\"]", "there is no meter \"m-3\""),
        (
            "groups = [\"fair\"]",
            "groups = []",
            "r.toml:25:1: nobody is bound to rule \"fair\" by this",
        ),
        ("building = \"1\"", "building = \"2\"", "r.toml:2:1: nobody is bound to rule \"loss\""),
        ("\"2026-03-01\"", "\"2026-03\"", "is not a day"),
    ] {
        let told: Vec<String> = match parse(&main.replace(from, to), RULES) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        };
        assert!(told.iter().any(|fault| fault.contains(want)), "{to}: {told:#?}");
    }
}

/// The config of docs/doors.md, with what it leaves out.
fn doors(more: &str) -> String {
    let page = include_str!("../../../docs/doors.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let gym = "[[door]]\nid = \"gym\"\ncontroller = \"north\"\nnumber = 2\nexit = \"mechanical\"\n\
               power_loss = \"locked\"\n";
    let account = "[[account]]\nid = \"a-0101\"\nbuilding = \"1\"\n";
    format!("{GOOD}\n{example}\n{gym}\n{account}\n{more}")
}

#[test]
fn the_doors_of_the_documentation_are_a_good_config() {
    let main = text("c.toml", &doors(""));
    let config = Config::parse(&main, &[], &[], Path::new("/etc/blockgate")).unwrap();
    let access = config.setup.access.unwrap();
    assert_eq!((access.controllers.len(), access.doors.len(), access.groups.len()), (1, 2, 2));
    let person = config.doors_at.people.values().next().unwrap();
    assert_eq!((person.cards.first(), person.pin), (Some(&10_058_400), None));
    assert!(config.doors_at.warnings.is_empty());
    // Whose card it is stays out of what the journal gets.
    assert!(!serde_json::to_string(&*access).unwrap().contains("10058400"));
}

#[test]
fn whoever_is_inside_gets_out_and_arrears_at_an_entrance_are_a_warning() {
    let arrears = "[arrears_doors]\ndoors = [\"north-1\", \"gym\"]\noverdue_days = 60\n";
    let main = text("c.toml", &doors(arrears));
    let config = Config::parse(&main, &[], &[], Path::new("/etc/blockgate")).unwrap();
    let [(zh, en)] = config.doors_at.warnings.as_slice() else { panic!() };
    assert!(zh.contains("north-1") && en.contains("north-1") && !en.contains("gym"), "{en}");
    let locked = "[[door]]\nid = \"x\"\ncontroller = \"north\"\nnumber = 3\nexit = \"button\"\npower_loss = \"locked\"\n";
    for (more, told) in [
        (locked, "must get out"),
        (
            "[[door]]\nid = \"x\"\ncontroller = \"north\"\nnumber = 1\nexit = \"button\"\npower_loss = \"unlocked\"\n",
            "has a door 1 already",
        ),
        (
            "[[door]]\nid = \"x\"\ncontroller = \"south\"\nnumber = 1\nexit = \"button\"\npower_loss = \"unlocked\"\n",
            "no [[controller]]",
        ),
        (
            "[[door]]\nid = \"x\"\ncontroller = \"north\"\nnumber = 3\npower_loss = \"unlocked\"\n",
            "exit",
        ),
        ("[[person]]\nid = \"p-2\"\ncards = [\"10058400\"]\n", "p-0101's already"),
        ("[[person]]\nid = \"p-2\"\ncards = [\"0\"]\n", "not a card's number"),
        ("[[person]]\nid = \"p-2\"\ngroups = [\"pool\"]\n", "no group pool"),
        ("[[schedule]]\nid = \"s\"\ndaily = \"18:00-08:00\"\n", "not a stretch of a day"),
        ("[[door_group]]\nid = \"g\"\ndoors = [\"attic\"]\n", "no [[door]]"),
        ("[[person]]\nid = \"p-2\"\npin = 7531\n", "pins_file"),
        (
            "[[door]]\nid = \"x\"\ncontroller = \"north\"\nnumber = 3\nexit = \"button\"\npower_loss = \"unlocked\"\nlane = \"g\"\n",
            "no [[camera]]",
        ),
    ] {
        let found = faults(&doors(more));
        assert!(found.iter().any(|fault| fault.contains(told)), "{told}: {found:?}");
    }
}

/// A wire with OSDP readers, and what is wrong with it.
#[test]
fn osdp_readers_need_a_key_or_say_so_and_a_way_out_that_needs_no_gateway() {
    let wire = "[[controller]]\nid = \"hall\"\nvendor = \"osdp\"\npath = \"/dev/ttyUSB1\"\n";
    let reader = "[[controller.reader]]\naddress = 101\ndoor = 1\n";
    let door = |exit: &str| {
        format!(
            "[[door]]\nid = \"hall-1\"\ncontroller = \"hall\"\nnumber = 1\nexit = \"{exit}\"\n\
             power_loss = \"unlocked\"\n"
        )
    };
    let good = format!("{wire}{reader}key_file = \"k\"\n{}", door("mechanical"));
    let main = text("c.toml", &doors(&good));
    let config = Config::parse(&main, &[], &[], Path::new("/etc/blockgate")).unwrap();
    let hall = &config.doors_at.controllers[&"hall".parse().unwrap()];
    let doors::Reach::Osdp { readers, .. } = &hall.reach else { panic!() };
    assert_eq!((readers[0].output, readers[0].inward), (Some(0), true));
    assert_eq!(readers[0].key_file.as_deref(), Some(Path::new("/etc/blockgate/k")));
    let clear = format!("{wire}{reader}secure_channel = \"off\"\n{}", door("mechanical"));
    let config =
        Config::parse(&text("c.toml", &doors(&clear)), &[], &[], Path::new("/etc")).unwrap();
    assert_eq!(config.doors_at.warnings.len(), 1);
    let hikvision =
        "[[controller]]\nid = \"lobby\"\nvendor = \"hikvision\"\nhost = \"10.0.9.20\"\n";
    for (more, told) in [
        (format!("{wire}{reader}{}", door("mechanical")), "secure channel is required"),
        (format!("{wire}{reader}key_file = \"k\"\n{}", door("button")), "must be \"mechanical\""),
        (format!("{wire}{}", door("mechanical")), "at least one [[controller.reader]]"),
        (format!("{wire}{reader}key_file = \"k\"\n{reader}key_file = \"k\"\n"), "has this address"),
        (format!("{wire}host = \"10.0.0.1\"\n{reader}key_file = \"k\"\n"), "give one"),
        (format!("{wire}anti_passback = \"off\"\n{reader}key_file = \"k\"\n"), "anti_passback"),
        (hikvision.to_owned(), "password_file"),
    ] {
        let found = faults(&doors(&more));
        assert!(found.iter().any(|fault| fault.contains(told)), "{told}: {found:?}");
    }
}

#[test]
fn how_long_a_refund_waits_and_what_a_late_fee_needs_are_told() {
    let late = include_str!("../../../rules/tariffs/late-fee.toml");
    let parse = |main: &str| {
        let electricity = include_str!("../../../rules/tariffs/electricity.toml");
        let rules = [text("e.toml", electricity), text("late.toml", late)];
        Config::parse(&text("c.toml", main), &rules, &[], Path::new("/etc/blockgate"))
    };
    let due = format!("{GOOD}\n[dunning]\ndue_days = 15\n");
    let with = |key: &str| due.replace("close_grace", &format!("{key}\nclose_grace"));
    let limits = |key: &str| parse(&with(key)).unwrap().setup.refund_limits.decide_days;
    assert_eq!((limits("refund_decide_days = 14"), limits("")), (Some(14), None));
    let told = |main: &str| -> String {
        let faults = parse(main).err().unwrap_or_default();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    for days in ["0", "367", "-1"] {
        let found = told(&with(&format!("refund_decide_days = {days}")));
        assert!(found.contains("refund_decide_days"), "{found}");
    }
    let found = told(GOOD);
    let want = "late.toml:4:1: a late fee needs a due day: the config has no [dunning]";
    assert!(found.contains(want), "{found}");
}
