//! Scans: what they want, what they say, and that a line goes on afterwards.

use super::*;
use crate::board::Board;
use crate::bus::worker::Worker;
use crate::config::{Config, MeterConfig, Text};
use crate::supervise::Watchdog;
use blockgate_drivers::line::{Line, LineSettings};
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{SimClock, SimConnect, SimLine, SimMeter};
use blockgate_types::{ClockState, Decimal, RegisterName};
use std::time::Duration;

const SLOW: SerialDefaults =
    SerialDefaults { baud: 2400, data_bits: 8, parity: Parity::Even, stop_bits: 1 };

struct Wall(SimClock);

impl Clock for Wall {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

fn clock() -> SimClock {
    SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap())
}

fn port() -> Target {
    serial_port("/dev/ttyS9").unwrap()
}

fn meter(protocol: Protocol, address: &str, id: &str) -> (Address, SimMeter) {
    let value = |_: &RegisterName, _: Time| Decimal::ONE;
    let profile = Profile::shipped_by_id(id).unwrap().clone();
    (Address::parse(protocol, address).unwrap(), SimMeter::new(profile, value))
}

/// A line at 2,400 8E1 with two meters of which the config knows one.
fn field() -> SimLine {
    let mut line = SimLine::new(Framing::Rtu, clock());
    for (protocol, address, id) in [
        (Protocol::Dlt645, "161", "generic-dlt645-energy"),
        (Protocol::Cjt188, "78330011223344", "generic-cjt188-cold-water"),
    ] {
        let (address, meter) = meter(protocol, address, id);
        line = line.with(address, meter).at_speed(address, SLOW);
    }
    line
}

#[tokio::test(start_paused = true)]
async fn a_line_is_scanned_by_its_own_task_and_polled_again_afterwards() {
    let (clock, board) = (Arc::new(Wall(clock())), Arc::new(Board::default()));
    let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", field()));
    let (id, known): (LineId, MeterId) = ("l-1".parse().unwrap(), "m-1".parse().unwrap());
    let address = Address::parse(Protocol::Dlt645, "161").unwrap();
    let config = MeterConfig {
        line: id.clone(),
        address,
        profile: Profile::shipped_by_id("generic-dlt645-energy").unwrap().clone(),
        poll_every: Span::from_secs(10),
        record_every: Span::ZERO,
        authority_file: None,
        controls: std::collections::BTreeSet::new(),
    };
    let settings = LineSettings::new(port(), Framing::Rtu);
    let (asks, asked) = mpsc::channel(4);
    let (inbox, mut polls) = mpsc::channel(1000);
    let line = Line::new(settings, connect.clone());
    let meters = vec![(known.clone(), config)];
    let worker = Worker::new(id.clone(), line, meters, board, clock.clone(), inbox, asked);
    let stop = CancellationToken::new();
    let alive = Watchdog::new().part("l-1");
    let running = tokio::spawn(worker.run(alive, stop.clone()));
    let meters = BTreeMap::from([(address, known.clone())]);
    let place = Place { target: port(), framing: Framing::Rtu, asks, meters };
    let (scans, _jobs) = Scans::new(BTreeMap::from([(id.clone(), place)]), clock);
    let wanted = Wanted { line: Some(id), ..Wanted::default() };
    let wanted = Wanted { protocols: vec!["dlt645".into(), "cjt188".into()], ..wanted };
    let begun = scans.begin(&wanted).unwrap();
    assert_eq!((&begun["id"], &begun["state"]), (&"scan-1".into(), &"waiting".into()));
    assert_eq!(scans.begin(&wanted).unwrap_err().code, Code::ScanBusy, "one at a time");
    let id = ScanId::new("scan-1").unwrap();
    let mut seen_left = 0;
    let end = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = scans.one(&id).unwrap();
        seen_left += u32::from(now["remaining_s"].as_i64().unwrap() > 0);
        if now["state"] == "done" {
            break now;
        }
    };
    assert!(seen_left > 10, "it says how long it takes");
    let found: Vec<(&str, &str, &Value)> = end["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["address"].as_str().unwrap(), f["serial"].as_str().unwrap(), &f["meter"]))
        .collect();
    let of = |id: &str| Value::from(id);
    assert_eq!(
        found,
        [("000000000161", "2400 8E1", &of("m-1")), ("78330011223344", "2400 8E1", &Value::Null)]
    );
    let config = end["config"].as_str().unwrap();
    assert!(!config.contains("[[line]]") && config.contains("line = \"l-1\""), "{config}");
    assert!(config.contains("# 000000000161 is meter m-1 already"), "{config}");
    while polls.try_recv().is_ok() {}
    let next = polls.recv().await.unwrap();
    assert!(matches!(next, blockgate_rules::Input::Observed(o) if o.outcome.is_ok()));
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_new_wire_is_scanned_beside_the_lines_and_a_cancelled_scan_keeps_what_it_found() {
    let clock: Arc<dyn Clock> = Arc::new(Wall(clock()));
    let (scans, mut jobs) = Scans::new(BTreeMap::new(), clock);
    let wanted = Wanted { port: Some("/dev/ttyS9".into()), ..Wanted::default() };
    scans.begin(&wanted).unwrap();
    let id = ScanId::new("scan-1").unwrap();
    let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", field()));
    let never = CancellationToken::new();
    let job = jobs.recv().await.unwrap();
    let running = tokio::spawn(async move { job.run(connect, &never).await });
    while scans.one(&id).unwrap()["found"].as_array().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scans.cancel(&id).unwrap();
    running.await.unwrap();
    let end = scans.one(&id).unwrap();
    assert_eq!((&end["state"], end["found"].as_array().unwrap().len()), (&"cancelled".into(), 1));
    assert!(end["config"].as_str().unwrap().starts_with("[[line]]\nid = \"line-1\"\n"), "{end}");
    // The next one may begin; nobody takes it: the gateway stops.
    scans.begin(&wanted).unwrap();
    drop(jobs);
    let id = ScanId::new("scan-2").unwrap();
    assert_eq!(scans.one(&id).unwrap()["state"], "cancelled");
    assert_eq!(scans.json()["scans"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_wanted_is_read_or_refused_with_what_is_wrong() {
    let wanted = |text: &str| serde_json::from_str::<Wanted>(text);
    for (text, why) in [
        ("{}", "give one of line, port and tcp"),
        (r#"{"line":"l-1","tcp":"h:1"}"#, "give one of line, port and tcp"),
        (r#"{"port":"ttyUSB0"}"#, "\"ttyUSB0\" is no serial port like /dev/ttyUSB0"),
        (
            r#"{"port":"/dev/../etc/shadow"}"#,
            "\"/dev/../etc/shadow\" is no serial port like /dev/ttyUSB0",
        ),
        (r#"{"port":"/etc/shadow"}"#, "\"/etc/shadow\" is no serial port like /dev/ttyUSB0"),
        (r#"{"port":"/dev/.."}"#, "\"/dev/..\" is no serial port like /dev/ttyUSB0"),
        (r#"{"tcp":":4001"}"#, "\":4001\" is not host:port"),
        (r#"{"tcp":"host:x"}"#, "\"host:x\" is not host:port"),
    ] {
        assert_eq!(wanted(text).unwrap().target().unwrap_err(), why);
    }
    for (text, why) in [
        (r#"{"units":"0-3"}"#, "write it like 1-32; units are 1 to 247"),
        (r#"{"bauds":[7]}"#, "7 is no baud rate: 300 to 4000000"),
        (
            r#"{"protocols":["x"]}"#,
            "there is no protocol \"x\"; there are: modbus, dlt645, cjt188, mbus",
        ),
    ] {
        assert_eq!(wanted(text).unwrap().plan().unwrap_err(), why);
    }
    assert!(wanted(r#"{"ports":"/dev/ttyS0"}"#).is_err());
    assert_eq!((units("1-32"), units("7")), (Ok((1, 32)), Ok((7, 7))));
}

#[test]
fn what_was_found_becomes_config_that_is_taken() {
    let found = |protocol, address: &str, profile: &str, speed| Found {
        address: Address::parse(protocol, address).unwrap(),
        speed: Some(speed),
        what: protocol.to_string(),
        profile: Some(profile.to_owned()),
    };
    let fast = SerialDefaults { baud: 9600, parity: Parity::None, ..SLOW };
    let found = [
        found(Protocol::Dlt645, "161", "generic-dlt645-single-phase", SLOW),
        found(Protocol::Mbus, "12345678-SEN-08-04", "sensus-pollucom-e", SLOW),
        found(Protocol::Modbus, "7", "eastron-sdm120", fast),
    ];
    let config = config_text(&port(), None, &BTreeMap::new(), &found);
    let whole = format!(
        "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\n[billing]\n\
         close_grace = \"24h\"\n[meter_defaults]\nmax_per_hour = \"30\"\n{config}"
    );
    let text = Text { name: "c.toml".to_owned(), text: whole };
    let folder = std::path::Path::new("/etc/blockgate");
    let config = Config::parse(&text, &[], &[], folder);
    let config = config.unwrap_or_else(|faults| panic!("{faults:?}\n{}", text.text));
    let addresses: Vec<String> =
        config.meters.values().map(|meter| meter.address.to_string()).collect();
    assert_eq!(addresses, ["000000000161", "12345678-SEN-08-04"]);
    assert!(text.text.contains("# 7 (Modbus) answers at 9600 8N1, not at 2400 8E1"));
}
