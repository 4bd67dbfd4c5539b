//! DL/T 645, CJ/T 188 and M-Bus meters read whole, against the simulated field: alone, mixed on one
//! line, late, damaged, silent, answering for others.

use blockgate_drivers::profile::Map;
use blockgate_drivers::sim::{Fault, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_drivers::{
    Address, Framing, Line, LineSettings, Profile, Protocol, cjt188, dlt645, mbus, read_meter,
    test_read,
};
use blockgate_types::{Decimal, FaultClass, ReadFault, RegisterName, Time, Values};
use std::sync::Arc;
use std::time::Duration;

fn profile(id: &str) -> Arc<Profile> {
    Profile::shipped_by_id(id).unwrap().clone()
}

/// Values that every form of every protocol holds exactly.
fn value_of(register: &RegisterName, _now: Time) -> Decimal {
    Decimal::from(match register.as_str() {
        "valve" | "battery_low" => 0,
        "power_factor" => 1,
        name if name.starts_with("voltage") => 230,
        name if name.starts_with("current") => 5,
        name if name.starts_with("power") => 1200,
        // 36 GJ are 10,000 kWh.
        name if name.starts_with("heat") => 36,
        name if name.starts_with("energy") => 4321,
        _ => 48,
    })
}

/// The n-th address of a protocol, n from 1 to 99.
fn address(protocol: Protocol, n: u8) -> Address {
    let text = match protocol {
        Protocol::Modbus => n.to_string(),
        Protocol::Dlt645 => format!("2603055100{n:02}"),
        Protocol::Cjt188 => format!("783300112233{n:02}"),
        Protocol::Mbus if n.is_multiple_of(2) => n.to_string(),
        Protocol::Mbus => format!("123456{n:02}"),
    };
    Address::parse(protocol, &text).unwrap()
}

fn clock() -> SimClock {
    SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap())
}

fn line_to(sim: SimLine) -> Line {
    let connect = SimConnect::new().with("server:4001", sim);
    let mut settings = LineSettings::tcp("server", 4001, Framing::Rtu);
    settings.quarantine_at_open = false;
    Line::new(settings, Arc::new(connect))
}

fn others() -> impl Iterator<Item = &'static Arc<Profile>> {
    Profile::shipped().filter(|profile| profile.protocol() != Protocol::Modbus)
}

fn same(profile: &Profile, values: &Values) {
    for (spec, value) in values.iter() {
        let want = value_of(&spec.name, Time::EPOCH);
        assert_eq!(value, Some(want), "{} {}", profile.id, spec.name);
    }
}

#[tokio::test(start_paused = true)]
async fn every_shipped_model_reads_back_what_the_simulated_meter_shows() {
    for n in [1, 2] {
        for profile in others() {
            let address = address(profile.protocol(), n);
            let meter = SimMeter::new(profile.clone(), value_of);
            let mut line = line_to(SimLine::new(Framing::Rtu, clock()).with(address, meter));
            let values = read_meter(&mut line, address, profile).await.unwrap();
            same(profile, &values);
            let shown = test_read(&mut line, address, profile).await;
            same(profile, &shown.outcome.unwrap());
            let least = match profile.map() {
                Map::Dlt645(map) => map.reads.len(),
                Map::Mbus(_) => 2,
                Map::Cjt188(_) | Map::Modbus { .. } => 1,
            };
            assert_eq!(shown.exchanges.len(), least, "{}", profile.id);
            assert!(shown.exchanges.iter().all(|e| !e.reply.is_empty()), "{}", profile.id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn meters_of_four_protocols_share_one_line() {
    let ids = [
        "eastron-sdm120",
        "generic-dlt645-three-phase-tariffs",
        "generic-cjt188-cold-water",
        "generic-cjt188-heat",
        "sensus-pollucom-e",
        "itron-bm-m",
        "generic-dlt645-1997-single-phase",
    ];
    let mut sim = SimLine::new(Framing::Rtu, clock());
    let mut meters = Vec::new();
    for (id, n) in ids.into_iter().zip(1..) {
        let profile = profile(id);
        let address = address(profile.protocol(), n);
        sim = sim.with(address, SimMeter::new(profile.clone(), value_of));
        meters.push((address, profile));
    }
    let mut line = line_to(sim);
    for _round in 0..3 {
        for (address, profile) in &meters {
            let values = read_meter(&mut line, *address, profile).await.unwrap();
            same(profile, &values);
        }
    }
}

const MODELS: [&str; 3] =
    ["generic-dlt645-single-phase", "generic-cjt188-cold-water", "engelmann-waterstar"];

async fn faulty(id: &str, fault: Fault) -> (Result<Values, ReadFault>, Duration) {
    let profile = profile(id);
    let address = address(profile.protocol(), 2);
    let meter = SimMeter::new(profile.clone(), value_of).with_fault(When::Request(1), fault);
    let mut line = line_to(SimLine::new(Framing::Rtu, clock()).with(address, meter));
    let first = read_meter(&mut line, address, &profile).await;
    let before = tokio::time::Instant::now();
    // Whatever went wrong: the next reading is right.
    let second = read_meter(&mut line, address, &profile).await.unwrap();
    same(&profile, &second);
    (first, before.elapsed())
}

#[tokio::test(start_paused = true)]
async fn faults_have_their_class_and_never_spoil_the_next_reading() {
    for id in MODELS {
        let class = |outcome: Result<Values, ReadFault>| outcome.map_err(|fault| fault.class);
        let is_mbus = id == "engelmann-waterstar";
        let (silent, quarantine) = faulty(id, Fault::Silent).await;
        assert_eq!(class(silent).unwrap_err(), FaultClass::Timeout, "{id}");
        assert!(quarantine >= Duration::from_millis(1000), "{id}: {quarantine:?}");
        let late = Fault::Late(Duration::from_millis(2500));
        assert_eq!(class(faulty(id, late).await.0).unwrap_err(), FaultClass::Timeout, "{id}");
        assert_eq!(
            class(faulty(id, Fault::Garbled).await.0).unwrap_err(),
            FaultClass::Checksum,
            "{id}"
        );
        // Half of an acknowledgement of one byte is nothing.
        let half = if is_mbus { FaultClass::Timeout } else { FaultClass::Checksum };
        assert_eq!(class(faulty(id, Fault::Half).await.0).unwrap_err(), half, "{id}");
        assert!(faulty(id, Fault::Echo).await.0.is_ok(), "{id}");
        let split = Fault::Split { bytes: 3, pause: Duration::from_millis(10) };
        assert!(faulty(id, split).await.0.is_ok(), "{id}");
        if !is_mbus {
            assert!(faulty(id, Fault::Twice).await.0.is_ok(), "{id}");
            assert!(faulty(id, Fault::Prefix(vec![0x68, 0x00, 0xFE])).await.0.is_ok(), "{id}");
            let (digits, _) = faulty(id, Fault::NaN).await;
            let fault = digits.unwrap_err();
            assert_eq!(fault.class, FaultClass::Value, "{id}");
            assert!(
                fault.what.ends_with("has digits that are none: AB AB AB AB")
                    || fault.what.ends_with("has digits that are none"),
                "{fault}"
            );
        }
    }
}

// A late answer of the one protocol must not become the value of the next request, whoever is asked.
#[tokio::test(start_paused = true)]
async fn a_late_reply_is_never_the_answer_to_the_next_question() {
    for id in MODELS {
        for delay_ms in [2400_u64, 2600, 2900] {
            let profile = profile(id);
            let (one, two) = (address(profile.protocol(), 2), address(profile.protocol(), 4));
            let late = Fault::Late(Duration::from_millis(delay_ms));
            let other = |_: &RegisterName, _: Time| Decimal::from(7);
            let sim = SimLine::new(Framing::Rtu, clock())
                .with(
                    one,
                    SimMeter::new(profile.clone(), value_of).with_fault(When::Every(2), late),
                )
                .with(two, SimMeter::new(profile.clone(), other));
            let mut line = line_to(sim);
            let (mut good, mut lost) = (0, 0);
            for _ in 0..6 {
                match read_meter(&mut line, one, &profile).await {
                    Ok(values) => {
                        same(&profile, &values);
                        good += 1;
                    }
                    Err(fault) => {
                        assert_eq!(fault.class, FaultClass::Timeout, "{id}: {fault}");
                        lost += 1;
                    }
                }
                let values = read_meter(&mut line, two, &profile).await.unwrap();
                assert!(
                    values.iter().all(|(spec, value)| {
                        matches!(spec.name.as_str(), "valve" | "battery_low")
                            || value == Some(Decimal::from(7))
                    }),
                    "{id}: {values:?}"
                );
            }
            assert!(lost > 0, "{id}: {good} {lost}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_says_yes_and_does_not_move_is_found_out() {
    let authority = dlt645::order::Authority { level: 2, password: [0; 3], operator: [0; 4] };
    let deadline =
        dlt645::order::Stamp { year: 26, month: 3, day: 1, hour: 0, minute: 5, second: 0 };
    let profile = profile("generic-dlt645-single-phase");
    let own: dlt645::Address = "260305510009".parse().unwrap();
    for (fault, verified) in [(None, true), (Some(Fault::Stuck), false)] {
        let mut meter = SimMeter::new(profile.clone(), value_of);
        if let Some(fault) = fault {
            meter.add_fault(When::Always, fault);
        }
        let sim = SimLine::new(Framing::Rtu, clock()).with(Address::Dlt645(own), meter);
        let mut line = line_to(sim);
        let trip = dlt645::order::Relay::Trip;
        let report =
            dlt645::relay(&mut line, own, (authority, trip, deadline), None).await.unwrap();
        assert_eq!(report.verified, Some(verified));
        let all = dlt645::Address::ANY;
        assert!(dlt645::relay(&mut line, all, (authority, trip, deadline), None).await.is_err());
        assert_eq!(dlt645::read_address(&mut line, all, None).await, Ok(own));
    }
}

#[tokio::test(start_paused = true)]
async fn a_valve_is_ordered_once_and_its_status_read_back() {
    let profile = profile("generic-cjt188-cold-water");
    let address = address(Protocol::Cjt188, 1);
    let (Address::Cjt188(own), Map::Cjt188(map)) = (address, profile.map()) else { panic!() };
    let sim =
        SimLine::new(Framing::Rtu, clock()).with(address, SimMeter::new(profile.clone(), value_of));
    let mut line = line_to(sim.clone());
    cjt188::valve(&mut line, map.dialect, own, false, None).await.unwrap();
    let values = read_meter(&mut line, address, &profile).await.unwrap();
    assert_eq!(values.get("valve"), Some(Decimal::ONE));
    let any = cjt188::Address::ANY;
    let found = cjt188::read_address(&mut line, map.dialect, any, None).await.unwrap();
    assert_eq!(found, (own, 0x10));
    assert_eq!(sim.meter(address, |meter| meter.requests()), Some(3));
}

#[tokio::test(start_paused = true)]
async fn two_meters_that_are_selected_at_once_collide_and_one_alone_answers() {
    let profile = profile("engelmann-waterstar");
    let mut sim = SimLine::new(Framing::Rtu, clock());
    for id in ["12345678", "12345679-EFE-00-06"] {
        let address = Address::parse(Protocol::Mbus, id).unwrap();
        sim = sim.with(address, SimMeter::new(profile.clone(), value_of));
    }
    let mut line = line_to(sim);
    let read = |text: &str| mbus::Address::Secondary(text.parse().unwrap());
    let both = mbus::read(&mut line, read("1234567F"), true, None).await.unwrap_err();
    assert_eq!(both.class, FaultClass::Checksum);
    let one = mbus::read(&mut line, read("1234567F-EFE-00-06"), true, None).await.unwrap();
    assert_eq!(one[0].header.unwrap().identity.to_string(), "12345679-EFE-00-06");
    let none = mbus::read(&mut line, read("9FFFFFFF"), true, None).await.unwrap_err();
    assert_eq!(none.class, FaultClass::Timeout);
}

#[tokio::test(start_paused = true)]
async fn an_address_of_another_protocol_is_refused_before_a_byte_is_sent() {
    let profile = profile("generic-cjt188-cold-water");
    let mut line = line_to(SimLine::new(Framing::Rtu, clock()));
    let fault = read_meter(&mut line, 5.into(), &profile).await.unwrap_err();
    assert_eq!(fault.what, "5 is an address of Modbus, not of CJ/T 188");
    assert!(!line.is_connected());
}
