//! The command line from outside: every error of a config at once, exit codes, help that holds, one
//! JSON document, and what is left of a journal that somebody damaged.

use blockgate_e2e::gateway::{Gateway, PATIENCE, Said, blockgate};
use blockgate_e2e::slave::{Act, Framing, Slave, of_value, profile};
use blockgate_e2e::{Running, source, wait_until};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Every file and folder below a folder.
fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.extend(tree(&entry.path()));
        found.insert(entry.path());
    }
    found
}

/// A config with one fault in nearly every line; a fault's line is marked `#!`, with what its message
/// must say behind it.
const WRONG: &str = r#"[gateway]
id = "gw"
tenant = "t"
zone = "Asia/Shangai"                  #! "Asia/Shangai" is not a time zone
state_dir = "never-made"
sate_dir = "x"                         #! unknown key "sate_dir"; did you mean "state_dir"?

[billing]
close_grace = "24 hours"               #! close_grace: "24 hours" is not a span of time: write it like 500ms, 90s, 15m, 2h or 62d

[mqttt]                                #! unknown key "mqttt"; did you mean "mqtt"?
host = "broker.example"

[mqtt]
host = "broker.example"
prot = 8883                            #! unknown key "prot"; did you mean "port"?
password_file = "secret"               #! a password needs a username
keep_alive = "1ms"                     #! keep_alive must be from

[http]
listen = "somewhere"                   #! listen must be an address with a port, like "127.0.0.1:8080", not "somewhere"

[[line]]
id = "a"
kind = "serial"
path = "/dev/ttyUSB0"
baud = "9600"                          #! baud must be a whole number from 300 to 4000000, not string

[[line]]
id = "d"
kind = "serial"
path = "/dev/ttyUSB0"                  #! line a uses /dev/ttyUSB0 already: one wire has one master

[[line]]
id = "b"
kind = "tpc"                           #! kind cannot be "tpc"; there are: serial, rtu-over-tcp, tcp; did you mean "tcp"?
host = "10.0.0.7"

[[meter]]
id = "m-1"
line = "a"
address = 1
profile = "eastron-sdm12"              #! there is no profile "eastron-sdm12"; did you mean "eastron-sdm120"?
max_per_hour = "27.6"

[[meter]]
id = "m-2"
line = "A"                             #! line: "A" is not an id
address = 300                          #! address must be a whole number from 1 to 247
profile = "eastron-sdm120"
max_per_hour = 27.6                    #! max_per_hour must be a decimal number in quotes

[[meter]]
id = "m-3"
line = "c"                             #! there is no line "c"
address = 7
profile = "eastron-sdm120"
max_per_hour = "27.6"

[[meter]]
id = "m-4"
line = "a"
address = 9
profile = "eastron-sdm120"
max_per_hour = "27.6"

[[meter]]                              #! meter m-4 has address 9 on line a already
id = "m-5"
line = "a"
address = 9
profile = "eastron-sdm120"
max_per_hour = "27.6"

[[account]]
id = "a-1"
charges = [
  { item = "electricity", tariff = "electricity-flat",             #! there is no tariff "electricity-flat"; there is none at all
    meter = "m-44" }, #! there is no meter "m-44"; did you mean "m-4"?
]

[[account]]
id = "a-2"
charges = [
  { item = "electricity", tariff = "electricity-flat", meter = "m-4" },
]
"#;

const WRONG_TARIFF: &str = r#"[[tariff]]
id = "electricity-flat"
label = { zh = "电价", en = "Electricity" }
currency = "CNY"
notice = "EXAMPLE"

[[tariff.revision]]
from = "2020-13-01"                    #! "2020-13-01" is not a day: write it like "2026-01-01"
kind = "flat"
rounding = "per_line"
change_inside_period = "by_days"
unit = "kWh"
price = 0.5                            #! this is a float: write it in quotes
"#;

const WRONG_PROFILE: &str = r#"id = "own"                             #! an id is written like "vendor-model"
vendor = "Own"
model = "Meter"
protocol = "modbus"
source = "nothing"
max_block = 80
max_gap = 0

[[register]]
name = "energy_import"
fc = 4
address = 0
format = "f23"                         #! unknown variant `f23`, expected one of `u16`
unit = "kWh"
role = "billing"
decimals = 2
"#;

/// `file:line:` and the message's part for every marked line.
fn marked(file: &str, text: &str) -> Vec<(String, String)> {
    let lines = text.lines().enumerate().filter_map(|(n, line)| Some((n, line.split_once("#! ")?)));
    lines.map(|(n, (_, want))| (format!("{file}:{}:", n + 1), want.trim().to_owned())).collect()
}

/// `file:line:column: message`.
fn is_fault(line: &str) -> bool {
    let Some((_, rest)) = line.split_once(".toml:") else { return false };
    let mut parts = rest.splitn(3, ':');
    let number =
        |part: Option<&str>| part.and_then(|p| p.parse::<u32>().ok()).is_some_and(|n| n > 0);
    number(parts.next()) && number(parts.next()) && parts.next().is_some_and(|m| m.len() > 5)
}

#[test]
fn every_error_of_a_wrong_config_is_told_at_once_and_nothing_is_started_or_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut wanted = Vec::new();
    for (name, text) in [
        ("blockgate.toml", WRONG),
        ("rules.d/bad.toml", WRONG_TARIFF),
        ("profiles.d/own.toml", WRONG_PROFILE),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        wanted.extend(marked(&path.display().to_string(), text));
    }
    let before = tree(folder.path());
    let config = folder.path().join("blockgate.toml").display().to_string();
    let mut told: Vec<String> = Vec::new();
    for command in ["check", "run"] {
        let said = blockgate(&[command, "--config", &config]);
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{command}: {said:?}");
        for (place, message) in &wanted {
            let found = said.err.lines().any(|l| l.starts_with(place) && l.contains(message));
            assert!(found, "{command}: {place} … {message}\nnot in\n{}", said.err);
        }
        let (faults, rest): (Vec<&str>, Vec<&str>) = said.err.lines().partition(|l| is_fault(l));
        assert_eq!(faults.len(), wanted.len(), "{command}: each fault once\n{}", said.err);
        let s = format!("{} errors; nothing was done", faults.len());
        assert_eq!(rest, [s.as_str()], "{command}: only faults and their number\n{}", said.err);
        assert_eq!(tree(folder.path()), before, "{command} writes nothing");
        if told.is_empty() {
            told = faults.iter().map(ToString::to_string).collect();
        }
        assert_eq!(told, faults, "run says what check says");
    }
    // As JSON too, where a command has it.
    let said = blockgate(&["read", "m-1", "--json", "--config", &config]);
    assert_eq!(said.code, 1);
    let errors = said.json()["errors"].as_array().map(Vec::len);
    assert_eq!(errors, Some(told.len()), "{said:?}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("blockgate.toml");
    std::fs::write(&config, "[gateway]\nid = \"gw\ntenant = \"t\"\n").expect("a file");
    let said = blockgate(&["check", "--config", &config.display().to_string()]);
    assert_eq!(said.code, 1);
    let place = format!("{}:2:", config.display());
    assert!(said.err.lines().any(|line| line.starts_with(&place)), "{}", said.err);
    // An editor wrote the comment in GBK.
    std::fs::write(&config, b"[gateway]\nid = \"gw\" # \xD6\xD0\xB9\xFA\n").expect("a file");
    let said = blockgate(&["check", "--config", &config.display().to_string()]);
    let want = format!("{}:2:13: this character is not UTF-8", config.display());
    assert!(said.code == 1 && said.err.starts_with(&want), "{want}\n{}", said.err);
}

/// The lines of a meter with three counters on one line, and a daemon's worth of config around it.
fn one_meter(slave: &Slave) -> String {
    let mut text = slave.line("l0");
    text.push_str(
        "reply_timeout = \"2s\"\nlate_reply = \"200ms\"\n[meter_defaults]\npoll_every = \"50ms\"\n\
         record_every = \"0s\"\nmax_per_hour = \"1000000\"\n",
    );
    for unit in 1..=2 {
        text.push_str(&format!(
            "[[meter]]\nid = \"m-{unit}\"\nline = \"l0\"\naddress = {unit}\nprofile = \"scripted-meter\"\n"
        ));
    }
    text
}

fn with_one_meter() -> (Gateway, Slave) {
    let slave = Slave::tcp(Framing::Mbap);
    let gateway = Gateway::new(&one_meter(&slave));
    gateway.write("profiles.d/scripted.toml", &profile());
    (gateway, slave)
}

/// Runs the daemon until it has journaled a few dozen records, and stops it in order.
fn with_journal() -> (Gateway, Slave) {
    let (mut gateway, slave) = with_one_meter();
    gateway.start();
    gateway.wait("thirty records", |g| {
        (g.json("/v1/outbox")["waiting"].as_u64()? >= 30).then_some(())
    });
    // Rules and accounts have records of their own, whose number grows with what is shipped.
    gateway.wait("twenty of them readings", |g| {
        let show = g.command(&["journal", "show", "--kind", "reading"]);
        (show.out.lines().count() >= 20).then_some(())
    });
    gateway.stop();
    (gateway, slave)
}

#[test]
fn every_command_keeps_to_the_four_exit_codes() {
    let (gateway, slave) = with_journal();
    let config = gateway.config().display().to_string();
    let rule = source("rules/tariffs/electricity.toml").display().to_string();
    gateway.write("usage.toml", "tariff = \"electricity-tiered\"\nusage = \"312.5\"\n");
    gateway.write("bad-usage.toml", "tariff = \"electricity-tiered\"\nusage = \"-1\"\n");
    gateway.write("wrong.toml", "[gateway]\n");
    std::fs::create_dir(gateway.path("empty")).expect("a folder");
    let path = |name: &str| gateway.path(name).display().to_string();
    let (usage, bad, wrong) = (path("usage.toml"), path("bad-usage.toml"), path("wrong.toml"));
    let (none, empty) = (path("none"), path("empty"));
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    slave.set(2, 10, Act::Exception(2));
    let good = "01 04 04 46 40 E6 B6 24 CE";
    let c = config.as_str();
    let cases: &[(i32, &[&str])] = &[
        (0, &["--help"]),
        (0, &["--version"]),
        (2, &[]),
        (2, &["rnu"]),
        (0, &["check", "--config", c]),
        (1, &["check", "--config", &wrong]),
        (1, &["check", "--config", &none]),
        (2, &["check", "--conf", c]),
        (1, &["run", "--config", &wrong]),
        (2, &["run", "now"]),
        (0, &["read", "m-1", "--config", c]),
        (1, &["read", "m-2", "--config", c]),
        (1, &["read", "m-9", "--config", c]),
        (1, &["read", "m-1", "--config", &wrong]),
        (2, &["read", "not an id", "--config", c]),
        (0, &["decode", "modbus", good]),
        (1, &["decode", "modbus", "01 04 04 46 40 E6 B6 24 CF"]),
        (1, &["decode", "modbus", good, "--profile", "nobody"]),
        (2, &["decode", "morse", good]),
        (2, &["decode", "modbus", good, "--address", "72"]),
        (0, &["rate", &rule, "--input", &usage]),
        (1, &["rate", &rule, "--input", &bad]),
        (1, &["rate", &wrong, "--input", &usage]),
        (2, &["rate", &rule]),
        (3, &["rate", &none, "--input", &usage]),
        (0, &["journal", "verify", "--config", c]),
        (1, &["journal", "verify", "--config", &wrong]),
        (2, &["journal", "verify", "--from", "1"]),
        (3, &["journal", "verify", "--state", &none]),
        (0, &["journal", "show", "--config", c]),
        (1, &["journal", "show", "--config", &wrong]),
        (2, &["journal", "show", "--from", "first"]),
        (2, &["journal", "show", "--kind", "bil"]),
        (3, &["journal", "show", "--state", &empty]),
        (0, &["journal", "export", "--config", c]),
        (1, &["journal", "export", "--config", &wrong]),
        (2, &["journal", "export", "--to", "3"]),
        (3, &["journal", "export", "--state", &none]),
        (2, &["journal"]),
        (0, &["outbox", "--config", c]),
        (1, &["outbox", "--config", &wrong]),
        (2, &["outbox", "--all"]),
        (3, &["outbox", "--state", &none]),
        (3, &["outbox", "--state", &empty]),
        (0, &["profile", "list"]),
        (0, &["profile", "check", &path("profiles.d/scripted.toml")]),
        (1, &["profile", "check", &wrong]),
        (2, &["profile", "check"]),
        (0, &["rebuild", "--config", c]),
        (1, &["rebuild", "--config", &wrong]),
        (2, &["rebuild", "now"]),
        (3, &["rebuild", "--state", &none]),
        (3, &["rebuild", "--state", &empty]),
        (0, &["backup", &path("b"), "--config", c]),
        (3, &["backup", &path("b"), "--config", c]),
        (1, &["backup", &path("b2"), "--config", &wrong]),
        (1, &["backup", &path("b2"), "--config", c, "--keys"]),
        (2, &["backup"]),
        (0, &["restore", &path("b"), "--dry-run"]),
        (0, &["restore", &path("b"), "--state", &path("new"), "--json"]),
        (1, &["restore", &path("b"), "--state", &path("new")]),
        (1, &["restore", &wrong, "--dry-run"]),
        (2, &["restore", &path("b")]),
        (3, &["restore", &none, "--dry-run"]),
        (0, &["demo", "--for", "1h", "--headless", "--data", &path("demo")]),
        (2, &["demo", "--for", "soon"]),
        (3, &["demo", "--for", "1h", "--listen", &taken, "--data", &path("demo-2")]),
    ];
    for (code, arguments) in cases {
        let said = blockgate(arguments);
        assert_eq!(said.code, *code, "{arguments:?}: {said:?}");
        let told = format!("{}{}", said.out, said.err);
        assert!(!told.trim().is_empty(), "{arguments:?} says nothing: {said:?}");
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    }
    assert_eq!(tree(&gateway.path("none")).len() + tree(&gateway.path("empty")).len(), 0);
    assert!(!gateway.path("none").exists(), "a wrong path makes no state");
}

#[test]
fn the_help_of_every_command_has_an_example_and_those_that_touch_nothing_work_as_printed() {
    let commands: &[&[&str]] = &[
        &["run"],
        &["demo"],
        &["check"],
        &["read"],
        &["decode"],
        &["rate"],
        &["preview"],
        &["board"],
        &["contract"],
        &["provision"],
        &["certificate"],
        &["certificate", "show"],
        &["certificate", "request"],
        &["certificate", "install"],
        &["journal"],
        &["journal", "verify"],
        &["journal", "show"],
        &["journal", "export"],
        &["outbox"],
        &["order"],
        &["order", "relay"],
        &["order", "valve"],
        &["order", "set-clock"],
        &["backup"],
        &["restore"],
        &["order", "open-door"],
        &["order", "hold-door"],
        &["order", "lock-down"],
        &["order", "release-doors"],
        &["order", "emergency-open"],
        &["order", "end-emergency"],
        &["order", "revoke-card"],
        &["order", "grant"],
        &["order", "revoke"],
        &["order", "restore"],
        &["order", "confirm-arrears"],
        &["doors"],
        &["reset-logins"],
        &["self-test"],
        &["rebuild"],
        &["scan"],
        &["profile"],
        &["profile", "check"],
        &["profile", "list"],
    ];
    let mut listed: BTreeSet<String> = BTreeSet::new();
    for command in commands {
        let said = blockgate(&[command, &["--help"][..]].concat());
        assert_eq!(said.code, 0, "{command:?}");
        let shown = format!("\n  blockgate {}", command.join(" "));
        let other = format!("&& blockgate {}", command.join(" "));
        assert!(said.out.contains(&shown) || said.out.contains(&other), "{}", said.out);
        listed.insert(command[0].to_owned());
    }
    // Nothing is missing above: the program's own list.
    let said = blockgate(&["--help"]);
    let list = said.out.split("Commands:").nth(1).and_then(|l| l.split("\n\n").next());
    let list: BTreeSet<String> = list
        .expect("a list of commands")
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    assert_eq!(list, listed);

    // In a folder with the shipped tariffs and the usage file as the help prints it.
    let folder = tempfile::tempdir().expect("a folder");
    let help = blockgate(&["rate", "--help"]).out;
    let usage = help.split("usage.toml:\n").nth(1).expect("the help has a usage.toml");
    std::fs::write(folder.path().join("usage.toml"), usage).expect("a file");
    std::fs::copy(source("rules/tariffs/electricity.toml"), folder.path().join("electricity.toml"))
        .expect("the tariffs");
    let program = blockgate_e2e::binary();
    for command in ["rate", "decode"] {
        let help = blockgate(&[command, "--help"]).out;
        for example in help.lines().filter_map(|line| line.trim().strip_prefix("blockgate ")) {
            let said = Command::new("sh")
                .current_dir(folder.path())
                .env("PROGRAM", &program)
                .args(["-c", &format!("\"$PROGRAM\" {example}")])
                .output()
                .expect("a shell");
            assert!(said.status.success(), "{example}: {said:?}");
        }
    }
}

#[test]
fn decode_and_rate_print_one_json_document_whatever_they_are_given() {
    let decode = |hex: &str, more: &[&str]| {
        blockgate(&[&["decode", "modbus", hex, "--json"], more].concat())
    };
    // The reply printed in Eastron's protocol description, and the value read off it.
    let named: &[&str] = &["--profile", "eastron-sdm630", "--address", "72"];
    let said = decode("0104044640E6B624CE", named);
    let json = said.json();
    assert_eq!((said.code, &json["valid"]), (0, &true.into()));
    assert_eq!(json["framing"], "Modbus RTU");
    assert_eq!(json["values"]["energy_import"], "12345.68 kWh");
    for (hex, why) in [
        ("01 04 04 46 40 E6 B6 24 CF", "wrong"),
        ("01 04 04 46 40 E6", ""),
        ("not hex", "not hexadecimal"),
        ("0", "not hexadecimal"),
        ("", ""),
    ] {
        let said = decode(hex, &[]);
        let json = said.json();
        assert_eq!((said.code, &json["valid"]), (1, &false.into()), "{hex}: {said:?}");
        assert!(json.to_string().contains(why), "{hex}: {json}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("usage.toml");
    let rate = |text: &str| {
        std::fs::write(&input, text).expect("a file");
        let rule = source("rules/tariffs/electricity.toml");
        let arguments = [
            "rate",
            &rule.display().to_string(),
            "--input",
            &input.display().to_string(),
            "--json",
        ];
        blockgate(&arguments)
    };
    // 240 kWh at 0.4883 yuan and 72.5 kWh at 0.5383: 117.192 and 39.02675 yuan, each to the fen.
    let said = rate("tariff = \"electricity-tiered\"\nusage = \"312.5\"\n");
    let json = said.json();
    assert_eq!(said.code, 0);
    let amounts: Vec<_> =
        json["lines"].as_array().into_iter().flatten().map(|l| &l["amount_fen"]).collect();
    assert_eq!(amounts, [11719, 3903]);
    assert_eq!((&json["total_fen"], &json["currency"]), (&15622.into(), &"CNY".into()));
    for wrong in ["usage = \"1\"\n", "tariff = \"no\"\nusage = \"1\"\n", "usage = 312.5\n", "}{"] {
        let said = rate(wrong);
        assert_eq!(said.code, 1, "{wrong}: {said:?}");
        assert!(said.json()["errors"].as_array().is_some_and(|e| !e.is_empty()), "{said:?}");
    }
    let said = blockgate(&["rate", "/nowhere.toml", "--input", "/nowhere.toml", "--json"]);
    assert_eq!(said.code, 3);
    assert!(said.json()["error"].as_str().is_some_and(|e| e.contains("/nowhere.toml")), "{said:?}");
}

/// The records of a journal's first segment: sequence number, byte, and bytes with their heads.
/// Little-endian, 64 bytes of header, then 56 bytes of head before each payload.
fn frames(segment: &[u8]) -> Vec<(u64, usize, usize)> {
    let (mut at, mut found) = (64, Vec::new());
    let number =
        |at: usize| segment.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    while let Some(length) = number(at).filter(|n| !matches!(*n, 0 | u32::MAX)) {
        let seq = number(at + 8).map_or(0, u64::from);
        let size = 56 + usize::try_from(length).unwrap_or(0);
        found.push((seq, at, size));
        at += size;
    }
    found
}

/// A copy of a state folder's journal, alone.
fn copied(gateway: &Gateway, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let (from, to) = (gateway.path("state/journal"), gateway.path(name).join("journal"));
    std::fs::create_dir_all(&to).expect("a folder");
    let mut files: Vec<_> = std::fs::read_dir(from).expect("a journal").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut change = Some(change);
    for file in files {
        let mut bytes = std::fs::read(file.path()).expect("a segment");
        if let Some(change) = change.take() {
            change(&mut bytes);
        }
        std::fs::write(to.join(file.file_name()), bytes).expect("a segment");
    }
    gateway.path(name).display().to_string()
}

#[test]
fn a_journal_that_a_real_run_made_is_shown_exported_and_verified_and_damage_is_named() {
    let (gateway, _slave) = with_journal();
    let verify = |state: &str| blockgate(&["journal", "verify", "--json", "--state", state]);
    let state = gateway.path("state").display().to_string();

    let said = verify(&state);
    let json = said.json();
    assert_eq!((said.code, &json["whole"]), (0, &true.into()), "{said:?}");
    let last = json["last"].as_u64().expect("a number");
    assert!(last >= 30 && json["records"] == last && json["first"] == 1, "{json}");
    assert!(json["head"].as_str().is_some_and(|h| h.len() == 64), "{json}");

    let records = gateway.journal();
    let seqs: Vec<u64> = records.iter().filter_map(|r| r["seq"].as_u64()).collect();
    assert_eq!(seqs, (1..=last).collect::<Vec<_>>());
    let said = gateway.command(&["journal", "show", "--from", "4", "--to", "6"]);
    let shown: Vec<serde_json::Value> =
        said.out.lines().map(|l| serde_json::from_str(l).expect("a record")).collect();
    assert_eq!(shown, records[3..6]);
    let said = gateway.command(&["journal", "show", "--kind", "reading"]);
    let readings = records.iter().filter(|r| r["type"] == "blockgate.reading.v1").count();
    assert!(readings >= 20 && said.out.lines().count() == readings, "{readings}");
    // Whoever has seen enough closes the pipe.
    let mut command = Command::new(blockgate_e2e::binary());
    command.args(["journal", "export", "--state", &state]).stdout(Stdio::piped());
    let mut head = command.stderr(Stdio::piped()).spawn().expect("blockgate runs");
    drop(head.stdout.take());
    let output = head.wait_with_output().expect("its end");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");

    // One bit of one record in the middle.
    let mut hit = (0, 0, 0);
    let flipped = copied(&gateway, "flipped", |bytes| {
        let all = frames(bytes);
        assert_eq!(all.len(), seqs.len());
        hit = all[all.len() / 2];
        bytes[hit.1 + 56 + 20] ^= 1;
    });
    let said = verify(&flipped);
    assert_eq!(said.code, 1, "{said:?}");
    let damage = said.json()["damage"].clone();
    let named = format!("00000000000000000001.bgj: byte {}, record {}:", hit.1, hit.0);
    assert!(damage[0].as_str().is_some_and(|d| d.contains(&named)), "{named}\n{damage}");
    let said = blockgate(&["journal", "verify", "--state", &flipped]);
    assert!(said.code == 1 && said.out.contains(&named), "{said:?}");
    // What stands before the damage can still be had; the answer is no all the same.
    let said = blockgate(&["journal", "export", "--state", &flipped]);
    assert_eq!((said.code, said.out.lines().count() as u64), (1, hit.0 - 1), "{said:?}");
    assert!(said.err.contains(&named), "{said:?}");
    // Nobody starts on it, and nobody repairs it by himself.
    let before = std::fs::read(format!("{flipped}/journal/00000000000000000001.bgj")).expect("it");
    for command in ["rebuild", "outbox"] {
        let said = blockgate(&[command, "--state", &flipped]);
        assert!(said.code == 3 && said.err.contains(&named), "{command}: {said:?}");
    }
    let after = std::fs::read(format!("{flipped}/journal/00000000000000000001.bgj")).expect("it");
    assert!(before == after, "the damaged file was changed");

    // The power went in the middle of the last record.
    let torn = copied(&gateway, "torn", |bytes| {
        let (_, at, size) = *frames(bytes).last().expect("records");
        bytes.truncate(at + size - 9);
    });
    let said = verify(&torn);
    let json = said.json();
    assert_eq!(
        (said.code, &json["whole"], &json["last"]),
        (0, &true.into(), &(last - 1).into()),
        "{said:?}"
    );
    assert!(json["torn_tail_bytes"].as_u64().is_some_and(|n| n > 0), "{json}");
    let said = blockgate(&["rebuild", "--state", &torn]);
    assert_eq!(
        (said.code, said.out.trim()),
        (0, format!("rebuilt from {} records", last - 1).as_str())
    );
    let json = verify(&torn).json();
    assert!(json["torn_tail_bytes"].is_null() && json["last"] == last - 1, "cut: {json}");
}

#[test]
fn outbox_and_read_go_through_the_daemon_when_there_is_one_and_rebuild_waits_for_its_end() {
    let (mut gateway, slave) = with_one_meter();
    let read = |gateway: &Gateway| gateway.command(&["read", "m-1", "--raw", "--json"]);
    let values = |said: &Said| -> Vec<(u8, u16, u32)> {
        let json = said.json();
        let rows = json["values"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| of_value(row["value"].as_str().expect("text").parse().expect("a number")))
            .collect()
    };
    // Without a daemon the command is the line's master.
    let said = read(&gateway);
    assert_eq!(
        (said.code, values(&said)),
        (0, vec![(1, 10, 1), (1, 20, 2), (1, 30, 3)]),
        "{said:?}"
    );
    assert_eq!(said.json()["exchanges"].as_array().map(Vec::len), Some(3));
    assert!(
        said.json()["exchanges"][0]["reply"].as_str().is_some_and(|r| r.contains(" 01 04 04 ")),
        "{said:?}"
    );
    let said = gateway.command(&["read", "m-11"]);
    assert!(said.err.contains("there is no meter m-11; did you mean m-1?"), "{said:?}");

    gateway.start();
    let before = slave.connections();
    let said = read(&gateway);
    let numbers: Vec<(u8, u16)> =
        values(&said).iter().map(|(unit, address, _)| (*unit, *address)).collect();
    assert_eq!((said.code, numbers), (0, vec![(1, 10), (1, 20), (1, 30)]), "{said:?}");
    assert_eq!(slave.connections(), before, "one line, one master: the daemon");
    slave.set(1, 20, Act::Exception(4));
    let said = read(&gateway);
    assert_eq!((said.code, &said.json()["class"]), (1, &"protocol".into()), "{said:?}");
    slave.set(1, 20, Act::Honest);
    let said = gateway.command(&["read", "m-11", "--json"]);
    assert!(said.code == 1 && said.json()["error"] == "there is no meter m-11", "{said:?}");

    let outbox = |gateway: &Gateway| {
        let said = gateway.command(&["outbox", "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        said.json()
    };
    let waiting =
        gateway.wait("records wait", |g| outbox(g)["waiting"].as_u64().filter(|n| *n >= 20));

    // The journal can be looked at while it is written, and looks whole.
    for _ in 0..5 {
        let said = gateway.command(&["journal", "verify", "--json"]);
        assert!(said.code == 0 && said.json()["whole"] == true, "{said:?}");
        let seqs: Vec<_> = gateway.journal().iter().map(|r| r["seq"].as_u64()).collect();
        assert_eq!(seqs, (1..).map(Some).take(seqs.len()).collect::<Vec<_>>());
    }

    // A second daemon, and a rebuild, are told who is there.
    let (second, rebuild) = std::thread::scope(|scope| {
        let second = scope.spawn(|| gateway.command(&["run"]));
        let rebuild = scope.spawn(|| gateway.command(&["rebuild"]));
        (second.join().expect("run"), rebuild.join().expect("rebuild"))
    });
    for said in [&second, &rebuild] {
        assert_eq!(said.code, 3, "{said:?}");
        let state = gateway.path("state").display().to_string();
        let sentence =
            said.err.lines().find(|line| line.starts_with("blockgate: ")).expect("a sentence");
        assert!(sentence.contains(&state) && sentence.contains("another"), "{sentence}");
    }
    let more = gateway.wait("the first daemon goes on", |g| {
        outbox(g)["waiting"].as_u64().filter(|n| *n > waiting)
    });
    gateway.stop();

    let alone = outbox(&gateway);
    let last = gateway.journal().len() as u64;
    assert!(
        alone["waiting"].as_u64() >= Some(more) && alone["waiting"].as_u64() <= Some(last),
        "{alone}"
    );
    let said = gateway.command(&["rebuild"]);
    assert_eq!(
        (said.code, said.out.trim()),
        (0, format!("rebuilt from {last} records").as_str()),
        "{said:?}"
    );
    assert_eq!(outbox(&gateway), alone, "the same answer as before");
}

#[test]
fn a_daemon_that_cannot_start_ends_with_a_sentence() {
    let (gateway, _slave) = with_one_meter();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let text = std::fs::read_to_string(gateway.config()).expect("the config");
    gateway.write("blockgate.toml", &text.replace("127.0.0.1:0", &taken));
    let said = gateway.command(&["run"]);
    assert!(said.code == 3 && said.err.contains(&format!("http.listen {taken}")), "{said:?}");
    // A state folder of a later version is left alone.
    gateway.write("blockgate.toml", &text);
    gateway.write("state/format", "blockgate-state 2\n");
    let before = tree(&gateway.path("state"));
    let said = gateway.command(&["run"]);
    assert!(said.code == 3 && said.err.contains("install the version that wrote it"), "{said:?}");
    assert_eq!(tree(&gateway.path("state")), before);
}

#[test]
fn a_reload_that_cannot_start_leaves_the_old_config_running() {
    let (mut gateway, _slave) = with_one_meter();
    gateway.start();
    let hash = |gateway: &Gateway| gateway.json("/v1/status")["config_hash"].clone();
    let good = hash(&gateway);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    let text = std::fs::read_to_string(gateway.config()).expect("the config");
    gateway.write("blockgate.toml", &text.replace("127.0.0.1:0", &taken));
    let log = gateway.reload("the page listens");
    let told = "the new config cannot run, the old one goes on: ";
    let line = log.lines().find(|line| line.contains(told)).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("ERROR") && line.contains(&format!("http.listen {taken}")), "{line}");
    gateway.come_up();
    assert_eq!(hash(&gateway), good);
    gateway.wait("it polls as before", |g| {
        g.json("/v1/meters/m-1")["polls_good"].as_u64().filter(|n| *n > 2)
    });
    // Where the journal lies is not changed on the way either.
    gateway
        .write("blockgate.toml", &text.replace("state_dir = \"state\"", "state_dir = \"moved\""));
    let log = gateway.reload("state_dir cannot change while running; the old config is kept");
    assert!(!log.contains("blockgate starts"), "{log}");
    assert!(!gateway.path("moved").exists());
    gateway.stop();
}

#[test]
fn a_signal_that_comes_while_the_daemon_starts_is_not_lost_and_kills_nothing() {
    let (mut gateway, _slave) = with_one_meter();
    gateway.start();
    // The second daemon waits for the first one's store: it is in the middle of its start.
    let mut command = gateway.daemon();
    let mut second = Running::start(command.stdin(Stdio::null()).stderr(Stdio::piped()));
    let pid = second.0.id();
    wait_until("it listens for SIGHUP", PATIENCE, || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        (caught & 1 == 1).then_some(()) // SIGHUP is signal 1
    });
    for signal in ["-HUP", "-TERM"] {
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
        assert!(sent.is_ok_and(|s| s.success()), "{signal}");
    }
    wait_until("it ends", PATIENCE, || second.0.try_wait().ok().flatten());
    let mut said = String::new();
    let mut pipe = second.0.stderr.take().expect("its log");
    std::io::Read::read_to_string(&mut pipe, &mut said).expect("text");
    assert_eq!(second.0.wait().ok().and_then(|s| s.code()), Some(0), "{said}");
    assert!(said.contains("blockgate has stopped"), "{said}");
    gateway.wait("the first one goes on", |g| g.json("/v1/meters/m-1")["polls_good"].as_u64());
    gateway.stop();
}
