//! What meters are told, over a wire and from afar: a clock, a relay and a valve of two protocols on one
//! serial line; a meter of PyPI's dlt645, which nobody here wrote; and a relay order that comes over MQTT
//! stands in `cloud.rs`.

use blockgate_e2e::gateway::{Gateway, private};
use blockgate_e2e::{Running, cjt188, dlt645, free_port, python, source, wait_until, wire};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

const AUTHORITY: &str = "level = \"02\"\npassword = \"123456\"\noperator = \"00000007\"\n";

/// A time from now, as the system says it.
fn time(from_now: &str, zone: &str, format: &str) -> String {
    let said = Command::new("date").env("TZ", zone).args(["-d", from_now, format]).output();
    String::from_utf8_lossy(&said.expect("date").stdout).trim().to_owned()
}

/// What a meter's clock shows that is off by so much: `ss mm hh DD MM YY`, in the block's zone.
fn clock(from_now: &str) -> [u8; 6] {
    let text = time(from_now, "UTC-8", "+%S %M %H %d %m %y");
    let bytes = text.split(' ').map(|two| u8::from_str_radix(two, 16).expect("two digits"));
    bytes.collect::<Vec<u8>>().try_into().expect("six of them")
}

/// A command by HTTP; its outcome and what is said of it. One that did not end as done is a problem, and has
/// a sentence in place of an outcome.
fn ordered(gateway: &Gateway, name: &str, args: &Value) -> (Value, Value) {
    let id = format!("c-{name}-{}", gateway.journal().len());
    let at = |from_now| time(from_now, "UTC", "+%Y-%m-%dT%H:%M:%SZ");
    let document = json!({
        "id": id, "issued_at": at("now"), "expires_at": at("5 minutes"), "actor": "desk/e2e",
        "name": name, "args": args,
    });
    let (_, said) = gateway.order(&document);
    (said["outcome"].clone(), said["detail"].clone())
}

fn audits(gateway: &Gateway, what: &str) -> Vec<Value> {
    let all = gateway.journal().into_iter().map(|record| record["data"].clone());
    all.filter(|data| data["what"] == what).collect()
}

fn is_read(gateway: &Gateway, meters: &[&str]) {
    for meter in meters {
        gateway.wait(&format!("{meter} is read"), |gateway| {
            gateway.json(&format!("/v1/meters/{meter}"))["polls_good"].as_u64().filter(|n| *n > 0)
        });
    }
}

#[test]
fn a_clock_a_relay_and_a_valve_of_two_protocols_on_one_serial_wire() {
    let (electricity, water) = (dlt645::Meter::off_wire(), cjt188::Meter::default());
    let mut gateway = Gateway::new("");
    let (path, mut far, _socat) = wire(gateway.folder());
    let (meter, valve) = (electricity.clone(), water.clone());
    std::thread::spawn(move || {
        let (mut for_one, mut for_other, mut bytes) = (Vec::new(), Vec::new(), [0; 256]);
        while let Ok(len @ 1..) = far.read(&mut bytes) {
            for_one.extend_from_slice(&bytes[..len]);
            for_other.extend_from_slice(&bytes[..len]);
            let said = [meter.hear(&mut for_one), valve.hear(&mut for_other)].concat();
            if far.write_all(&said).is_err() {
                return;
            }
        }
    });
    gateway.write_config(&format!(
        "[meter_defaults]\npoll_every = \"1s\"\nmax_per_hour = \"100000\"\n\
         authority_file = \"authority.toml\"\n\
         [[line]]\nid = \"l-1\"\nkind = \"serial\"\npath = \"{}\"\nbaud = 9600\n\
         reply_timeout = \"300ms\"\nlate_reply = \"400ms\"\n\
         [[meter]]\nid = \"m-1\"\nline = \"l-1\"\naddress = \"{}\"\n\
         profile = \"generic-dlt645-energy\"\ncontrols = [\"relay\", \"clock\"]\n\
         [[meter]]\nid = \"w-1\"\nline = \"l-1\"\naddress = \"{}\"\n\
         profile = \"generic-cjt188-cold-water\"\ncontrols = [\"valve\"]\n",
        path.display(),
        dlt645::ADDRESS,
        cjt188::ADDRESS,
    ));
    private(&gateway.path("authority.toml"), AUTHORITY);
    gateway.start();
    is_read(&gateway, &["m-1", "w-1"]);
    assert_eq!(gateway.json("/v1/meters/w-1")["last"]["values"]["volume"]["value"], "68.00");

    // How long it takes to answer is learned and shown; until it has answered often enough it gets all the
    // time that the config gives.
    let reply = gateway.json("/v1/meters/m-1")["reply_ms"].clone();
    let whole = |key: &str| reply[key].as_u64();
    assert!(whole("waits") == Some(300) && whole("longest") >= whole("last"), "{reply}");
    for (language, words) in
        [("en", "Waits for an answer 300 ms"), ("zh-CN", "等待应答至多 300 ms")]
    {
        let page = gateway.page("/meters/m-1", language);
        assert!(page.contains(words), "{page}");
    }

    // Ninety seconds are what the clock telegram is for; an hour is a write, with the password.
    let right = |by: &[u8], gateway: &Gateway| {
        let (outcome, detail) = ordered(gateway, "set-clock", &json!({"meter": "m-1"}));
        assert_eq!((&outcome, &detail["result"]), (&json!("done"), &json!("verified")), "{detail}");
        assert_eq!(electricity.clock_set_by(), by);
    };
    electricity.show(clock("90 seconds ago"));
    right(&[0x08], &gateway);
    electricity.show(clock("1 hour"));
    right(&[0x08, 0x14, 0x14], &gateway);
    private(&gateway.path("authority.toml"), &AUTHORITY.replace("123456", "000000"));
    electricity.show(clock("1 hour"));
    let (outcome, detail) = ordered(&gateway, "set-clock", &json!({"meter": "m-1"}));
    assert_eq!(outcome, Value::Null, "not done: {detail}");
    assert!(detail.as_str().is_some_and(|why| why.starts_with("refused: ")), "{detail}");
    assert_eq!(electricity.clock_set_by().len(), 3, "and nothing was set");
    private(&gateway.path("authority.toml"), AUTHORITY);

    // The telegram to the whole line goes to this meter too; one that is an hour off takes none.
    let args = json!({"meter": "m-1", "whole_line": true});
    electricity.show(clock("90 seconds"));
    let (outcome, detail) = ordered(&gateway, "set-clock", &args);
    assert_eq!((&outcome, &detail["result"]), (&json!("done"), &json!("verified")), "{detail}");
    assert_eq!(electricity.clock_set_by(), [0x08, 0x14, 0x14, 0x08]);
    electricity.show(clock("1 hour"));
    let (_, detail) = ordered(&gateway, "set-clock", &args);
    assert!(detail.as_str().is_some_and(|why| why.starts_with("not-sent: ")), "{detail}");

    // What the meters froze themselves: by the command line, through the daemon, and no reading comes of it.
    let frozen = |meter: &str, which: &str| {
        let said = gateway.command(&["read", meter, "--frozen", which, "--json"]);
        (said.code, said.json()["values"].clone())
    };
    let row =
        |name: &str, value: &str, unit: &str| json!({"name": name, "value": value, "unit": unit});
    let mut day = row("energy_import", "1234.56", "kWh");
    day["at"] = json!("2026-11-28 00:00");
    assert_eq!(frozen("m-1", "day-1"), (0, json!([day])));
    assert_eq!(frozen("m-1", "month-1"), (0, json!([row("energy_import", "1233.99", "kWh")])));
    assert_eq!(frozen("w-1", "month-1"), (0, json!([row("volume", "61.25", "m3")])));
    assert_eq!(frozen("w-1", "day-1"), (1, Value::Null), "CJ/T 188 keeps months only");
    let said = gateway.command(&["read", "m-1", "--frozen", "day-63"]);
    assert!(said.code == 2 && said.err.contains("day-1 to day-62"), "{said:?}");
    let (outcome, detail) =
        ordered(&gateway, "read-now", &json!({"meter": "m-1", "frozen": "day-1"}));
    assert_eq!(outcome, "done", "{detail}");
    assert!(detail.to_string().contains("1234.56"), "{detail}");
    let last = gateway.json("/v1/meters/m-1")["last"]["values"]["energy_import"]["value"].clone();
    assert_ne!(last, "1234.56");

    // A relay on the same wire.
    for (to, open) in [("trip", true), ("close", false)] {
        let args = json!({"meter": "m-1", "to": to, "reason": "e2e"});
        let (outcome, detail) = ordered(&gateway, "relay", &args);
        assert_eq!((&outcome, &detail["result"]), (&json!("done"), &json!("verified")), "{detail}");
        assert_eq!(electricity.is_open(), open);
    }

    // A valve moves for a while; it is believed when its status says so, told once, and the
    // electricity meter is read meanwhile.
    for (to, order, closed) in [("close", 0x99, true), ("open", 0x55, false)] {
        let polls = |gateway: &Gateway| gateway.json("/v1/meters/m-1")["polls_good"].as_u64();
        let (before, told) = (polls(&gateway), water.orders().len());
        let args = json!({"meter": "w-1", "to": to, "reason": "e2e"});
        let (outcome, detail) = ordered(&gateway, "valve", &args);
        assert_eq!((&outcome, &detail["result"]), (&json!("done"), &json!("verified")), "{detail}");
        let state = format!("valve-{}", if closed { "closed" } else { "open" });
        assert_eq!(detail["state"], state, "{detail}");
        assert_eq!(water.is_closed(), closed);
        assert_eq!(water.orders()[told..], [vec![order]], "told once");
        assert!(polls(&gateway) > before, "the line polls on");
    }

    // Each is an intent in the journal, then one outcome; what a meter cannot do never gets that far.
    let (intents, outcomes) = (audits(&gateway, "meter-acting"), audits(&gateway, "meter-acted"));
    assert_eq!((intents.len(), outcomes.len()), (9, 9), "{outcomes:#?}");
    let args = json!({"meter": "w-1", "to": "trip", "reason": "e2e"});
    assert_eq!(ordered(&gateway, "relay", &args).0, Value::Null, "refused with a problem");
    assert_eq!(audits(&gateway, "meter-acting").len(), 9);
    gateway.stop();
}

/// PyPI's dlt645 as the meter: its values are read, and its refusal of relay orders (it knows no 1C) is told
/// as a refusal and never as done.
#[test]
fn a_meter_of_pypi_s_dlt645_is_read_and_its_refusal_is_told() {
    let has = Command::new(python()).args(["-c", "import dlt645"]).stderr(Stdio::null()).status();
    if !has.is_ok_and(|status| status.success()) {
        println!("skipped: {} has no dlt645 (tests/requirements.txt)", python().display());
        return;
    }
    let port = free_port();
    let mut gateway = Gateway::new(&format!(
        "[meter_defaults]\npoll_every = \"1s\"\nmax_per_hour = \"100000\"\n\
         authority_file = \"authority.toml\"\n\
         [[line]]\nid = \"l-1\"\nkind = \"rtu-over-tcp\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         late_reply = \"1500ms\"\n\
         [[meter]]\nid = \"m-1\"\nline = \"l-1\"\naddress = \"260305510009\"\n\
         profile = \"generic-dlt645-single-phase\"\ncontrols = [\"relay\"]\n"
    ));
    private(&gateway.path("authority.toml"), AUTHORITY);
    let log = std::fs::File::create(gateway.path("peer.log")).expect("a log");
    let copy = log.try_clone().expect("a handle");
    let mut command = Command::new(python());
    command.arg(source("tests/python/dlt645_meter.py")).arg(port.to_string());
    let _peer = Running::start(command.stdin(Stdio::null()).stdout(log).stderr(copy));
    wait_until("the peer listens", Duration::from_secs(20), || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    gateway.start();
    is_read(&gateway, &["m-1"]);
    let values = gateway.json("/v1/meters/m-1")["last"]["values"].clone();
    for (register, value, unit) in [
        ("energy_import", "1234.56", "kWh"),
        ("voltage_l1", "229.7", "V"),
        ("current_l1", "5.123", "A"),
        ("power_total", "1176.6", "W"),
        ("power_factor", "0.501", "1"),
    ] {
        assert_eq!(values[register], json!({"value": value, "unit": unit}), "{values}");
    }
    let args = json!({"meter": "m-1", "to": "trip", "reason": "e2e"});
    let (outcome, detail) = ordered(&gateway, "relay", &args);
    assert_eq!(outcome, Value::Null, "not done: {detail}");
    assert_eq!(detail, "refused: the meter refuses: another error");
    assert_eq!(audits(&gateway, "meter-acted")[0]["result"], "refused");
    gateway.stop();
}
