//! A scan of simulated lines whose settings nobody knows.

use blockgate_drivers::profile::SerialDefaults;
use blockgate_drivers::scan::{Plan, Progress, scan};
use blockgate_drivers::sim::{Fault, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_drivers::transport::Connecting;
use blockgate_drivers::{Address, Framing, Parity, Profile, Protocol, Target};
use blockgate_drivers::{Connect, Stream, dlt645};
use blockgate_types::{Decimal, RegisterName, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn value_of(register: &RegisterName, _now: Time) -> Decimal {
    Decimal::from(match register.as_str() {
        "valve" | "battery_low" => 0,
        "power_factor" => 1,
        "frequency" => 50,
        name if name.starts_with("voltage") => 230,
        _ => 36,
    })
}

fn target() -> Target {
    let path = "/dev/ttyS9".to_owned();
    Target::Serial { path, baud: 9600, data_bits: 8, parity: Parity::None, stop_bits: 1 }
}

fn speed(baud: u32, parity: Parity) -> SerialDefaults {
    SerialDefaults { baud, data_bits: 8, parity, stop_bits: 1 }
}

fn clock() -> SimClock {
    SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn twenty_meters_of_four_protocols_are_found_with_their_speeds_and_profiles() {
    let slow = speed(2400, Parity::Even);
    let fast = speed(9600, Parity::None);
    let mut want: BTreeMap<String, (SerialDefaults, Option<&str>)> = BTreeMap::new();
    let mut sim = SimLine::new(Framing::Rtu, clock());
    let mut add = |protocol, text: &str, id: &'static str, speed, guess| {
        let address = Address::parse(protocol, text).unwrap();
        let profile = Profile::shipped_by_id(id).unwrap().clone();
        sim = sim.clone().with(address, SimMeter::new(profile, value_of)).at_speed(address, speed);
        want.insert(address.to_string(), (speed, guess));
    };
    for n in 0..8 {
        let id = "generic-dlt645-single-phase";
        add(Protocol::Dlt645, &format!("20231122{:04}", n * 37), id, slow, Some(id));
    }
    let id = "generic-dlt645-three-phase-tariffs";
    add(Protocol::Dlt645, "202311229900", id, slow, Some(id));
    for n in 0..5 {
        let id = "generic-cjt188-cold-water";
        add(Protocol::Cjt188, &format!("783300112233{:02}", n * 11), id, slow, Some(id));
    }
    for (text, id) in [
        ("12345678-SEN-08-04", "sensus-pollucom-e"),
        ("12349678-SEN-08-04", "sensus-pollucom-e"),
        ("80000001-EFE-00-06", "engelmann-waterstar"),
    ] {
        add(Protocol::Mbus, text, id, slow, Some(id));
    }
    for unit in ["3", "17", "200"] {
        add(Protocol::Modbus, unit, "tuf-2000m", fast, None);
    }
    let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim.clone()));
    let plan = Plan { reply_timeout: Duration::from_millis(300), ..Plan::default() };
    let (mut steps, mut last) = (0, Duration::MAX);
    let started = tokio::time::Instant::now();
    let report = scan(&target(), connect, &plan, |progress| {
        if let Progress::Step { step, steps: all, remaining, speed, .. } = progress {
            assert_eq!((*step, *all), (steps + 1, 32));
            assert!(*remaining < last, "{remaining:?}");
            (steps, last) = (steps + 1, *remaining);
            // Modbus begins where meters of other protocols answered.
            assert!(steps != 25 || *speed == Some(slow));
        }
    })
    .await;
    let took = started.elapsed();
    let found: BTreeMap<String, SerialDefaults> =
        report.found.iter().map(|f| (f.address.to_string(), f.speed.unwrap())).collect();
    let speeds: BTreeMap<String, SerialDefaults> =
        want.iter().map(|(address, (speed, _))| (address.clone(), *speed)).collect();
    assert_eq!(found, speeds);
    assert_eq!(report.found.len(), 20);
    for found in &report.found {
        if let Some(guess) = want[&found.address.to_string()].1 {
            assert_eq!(found.profile.as_deref(), Some(guess), "{}", found.address);
        }
    }
    // Each address of each wildcard-less protocol at each speed would be years; even the units of
    // Modbus and M-Bus alone, one by one at eight speeds, are more requests than the whole scan.
    let one_by_one: Duration =
        plan.speeds.iter().map(|s| 500 * plan.silent_time(Some(*s), Protocol::Mbus)).sum();
    println!(
        "20 meters found in {} s, {} requests; units and primary addresses one by one: {} s, \
         without the meters that have neither",
        took.as_secs(),
        report.requests,
        one_by_one.as_secs()
    );
    assert!(report.requests < 8 * (247 + 250), "{}", report.requests);
    assert!(took < one_by_one, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_scan_only_reads_and_says_what_it_could_not_tell_apart() {
    let profile = Profile::shipped_by_id("generic-dlt645-single-phase").unwrap();
    let address = Address::parse(Protocol::Dlt645, "161").unwrap();
    let meter = SimMeter::new(profile.clone(), value_of).with_fault(When::Always, Fault::Garbled);
    let sim = SimLine::new(Framing::Rtu, clock()).with(address, meter);
    let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim.clone()));
    let plan = Plan {
        speeds: vec![speed(9600, Parity::Even)],
        protocols: vec![Protocol::Dlt645],
        ..Plan::default()
    };
    let report = scan(&target(), connect, &plan, |_| {}).await;
    assert_eq!(report.found, []);
    assert_eq!(
        report.notes,
        ["damaged answers at 000000000161: two meters with one address, or noise"]
    );
    assert_eq!(sim.meter(address, |meter| meter.relay_is_open()), Some(false));
    // A port that is not there is said once.
    let nowhere = Arc::new(SimConnect::new());
    let report = scan(&target(), nowhere, &Plan::default(), |_| {}).await;
    assert!(report.notes[0].starts_with("cannot connect to /dev/ttyS9"), "{:?}", report.notes);
    assert_eq!(report.notes.len(), 1);
}

/// A meter alone on its wire that puts the wildcards of a read into its answer, as the meter server of
/// PyPI dlt645 3.2.0 does; its address it tells only when asked for it.
struct Parrot;

impl Connect for Parrot {
    fn connect<'a>(&'a self, _target: &'a Target) -> Connecting<'a> {
        let (near, mut far) = tokio::io::duplex(512);
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut bytes = [0; 64];
            while let Ok(len @ 1..) = far.read(&mut bytes).await {
                let Ok(request) = dlt645::Frame::parse(&bytes[..len]) else { continue };
                let own: dlt645::Address = "260305510009".parse().unwrap();
                let (address, data) = match request.control {
                    0x13 => (own, own.wire().to_vec()),
                    0x11 if request.address.covers(own) => {
                        (request.address, [&request.data[..], &[0x01, 0, 0, 0]].concat())
                    }
                    _ => continue,
                };
                let mut reply = Vec::new();
                dlt645::frame::put(&mut reply, 0, address, request.control | 0x80, &data);
                if far.write_all(&reply).await.is_err() {
                    return;
                }
            }
        });
        Box::pin(async move { Ok(Stream::boxed(near)) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_meter_that_repeats_wildcards_is_asked_for_its_address() {
    let plan = Plan {
        speeds: vec![speed(2400, Parity::Even)],
        protocols: vec![Protocol::Dlt645],
        ..Plan::default()
    };
    let report = scan(&target(), Arc::new(Parrot), &plan, |_| {}).await;
    let found: Vec<String> = report.found.iter().map(|f| f.address.to_string()).collect();
    assert_eq!(found, ["260305510009"]);
}
