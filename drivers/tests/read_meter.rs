//! Whole readings through the line, the codec and the profile, against the simulated field.

use blockgate_drivers::sim::{
    Fault, SharedRegisters, SimClock, SimConnect, SimLine, SimMeter, When,
};
use blockgate_drivers::{Framing, Line, LineSettings, Profile, Protocol, read_meter, test_read};
use blockgate_types::{Decimal, FaultClass, ReadFault, RegisterName, Time, Values, parse_decimal};
use std::sync::Arc;
use std::time::Duration;

const FRAMINGS: [Framing; 2] = [Framing::Rtu, Framing::Tcp];

fn profile(id: &str) -> Arc<Profile> {
    Profile::shipped_by_id(id).unwrap().clone()
}

fn decimal(text: &str) -> Decimal {
    parse_decimal(text).unwrap()
}

/// A value that every format of every shipped profile can hold exactly enough.
fn value_of(register: &RegisterName, _now: Time) -> Decimal {
    match register.as_str() {
        "power_factor" => decimal("0.95"),
        "frequency" => decimal("50.01"),
        "ct_ratio" => decimal("40"),
        "power_apparent" => decimal("350"),
        name if name.starts_with("voltage") => decimal("230.1"),
        name if name.starts_with("current") => decimal("1.25"),
        name if name.starts_with("power") => decimal("-345"),
        "volume_flow" | "heat_flow" | "flow_speed" => decimal("1.5"),
        _ => decimal("12345.25"),
    }
}

fn clock() -> SimClock {
    SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap())
}

/// A line to one simulated unit 5 with the given faults.
fn line(framing: Framing, profile: &Arc<Profile>, faults: &[(When, Fault)]) -> (Line, SimConnect) {
    let mut meter = SimMeter::new(profile.clone(), value_of);
    for (when, fault) in faults {
        meter.add_fault(*when, fault.clone());
    }
    let sim = SimLine::new(framing, clock()).with(5, meter);
    let connect = SimConnect::new().with("meter:502", sim);
    let settings = LineSettings::tcp("meter", 502, framing);
    (Line::new(settings, Arc::new(connect.clone())), connect)
}

#[tokio::test(start_paused = true)]
async fn every_shipped_model_reads_back_what_the_simulated_device_shows() {
    for framing in FRAMINGS {
        for pipeline in [false, true] {
            for profile in Profile::shipped().filter(|p| p.protocol() == Protocol::Modbus) {
                let (line, _field) = line(framing, profile, &[]);
                let mut settings = line.settings().clone();
                settings.pipeline = pipeline;
                let mut line = Line::new(settings, Arc::new(_field));
                let values = read_meter(&mut line, 5.into(), profile).await.unwrap();
                for (spec, value) in values.iter() {
                    let want = value_of(&spec.name, Time::EPOCH);
                    assert_eq!(value, Some(want), "{} {} {framing:?}", profile.id, spec.name);
                }
            }
        }
    }
}

async fn outcome(framing: Framing, fault: Fault) -> Result<Values, ReadFault> {
    let profile = profile("eastron-sdm630");
    let (mut line, _field) = line(framing, &profile, &[(When::Request(1), fault)]);
    let first = read_meter(&mut line, 5.into(), &profile).await;
    // Whatever went wrong: the next reading is right.
    let second = read_meter(&mut line, 5.into(), &profile).await.unwrap();
    assert_eq!(second.get("energy_import"), Some(decimal("12345.25")));
    assert_eq!(second.get("voltage_l2"), Some(decimal("230.1")));
    first
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_counted_where_an_installer_must_look() {
    use FaultClass::{Checksum, Protocol, Timeout, Value, WrongDevice};
    let split = Fault::Split { bytes: 7, pause: Duration::from_millis(20) };
    for (fault, rtu, tcp) in [
        (Fault::Silent, Some(Timeout), Some(Timeout)),
        (Fault::Late(Duration::from_millis(1500)), Some(Timeout), Some(Timeout)),
        (Fault::Garbled, Some(Checksum), Some(Protocol)),
        (Fault::WrongUnit(6), Some(WrongDevice), Some(WrongDevice)),
        (Fault::WrongFunction, Some(Protocol), Some(Protocol)),
        (Fault::TooFewRegisters, Some(Protocol), Some(Protocol)),
        (Fault::TooManyRegisters, Some(Protocol), Some(Protocol)),
        (Fault::WrongByteCount, Some(Checksum), Some(Protocol)),
        (Fault::NaN, Some(Value), Some(Value)),
        (Fault::Exception(2), Some(Protocol), Some(Protocol)),
        (Fault::Exception(0x0B), Some(Protocol), Some(Protocol)),
        (Fault::Half, Some(Checksum), Some(Checksum)),
        (Fault::Close, Some(Timeout), Some(Timeout)),
        (Fault::StaleTransaction, None, Some(Timeout)),
        (Fault::Echo, None, Some(Protocol)),
        (Fault::Twice, None, None),
        (split, None, None),
        (Fault::Prefix(vec![0x00]), None, Some(Protocol)),
        (Fault::Prefix(vec![0xFF, 0x05, 0xFF]), None, Some(Protocol)),
        (Fault::Suffix(vec![0x00]), None, Some(Protocol)),
        (Fault::LowerValue(Decimal::ONE), None, None),
    ] {
        for (framing, want) in [(Framing::Rtu, rtu), (Framing::Tcp, tcp)] {
            let got = outcome(framing, fault.clone()).await;
            let class = got.as_ref().err().map(|fault| fault.class);
            assert_eq!(class, want, "{fault:?} {framing:?}: {got:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_absent_unit_is_silence_and_costs_its_neighbour_nothing_but_the_wait() {
    for framing in FRAMINGS {
        let profile = profile("eastron-sdm120");
        let (mut line, _field) = line(framing, &profile, &[]);
        let fault = read_meter(&mut line, 9.into(), &profile).await.unwrap_err();
        assert_eq!(fault.to_string(), "timeout: no answer within 1000 ms");
        assert!(read_meter(&mut line, 5.into(), &profile).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_cannot_connect_says_so_at_once_and_tries_again_later() {
    let profile = profile("eastron-sdm120");
    let (mut line, field) = line(Framing::Tcp, &profile, &[]);
    field.refuse("meter:502", true);
    let first = read_meter(&mut line, 5.into(), &profile).await.unwrap_err();
    assert_eq!(first.what, "cannot connect to meter:502: connection refused");
    let second = read_meter(&mut line, 5.into(), &profile).await.unwrap_err();
    assert_eq!(second.what, "not connected to meter:502; next attempt in 1000 ms");
    field.refuse("meter:502", false);
    tokio::time::advance(Duration::from_millis(1001)).await;
    assert!(read_meter(&mut line, 5.into(), &profile).await.is_ok());
    // A connection that was closed between two polls is opened again without a fault.
    field.hang_up("meter:502");
    tokio::time::advance(Duration::from_secs(900)).await;
    assert!(read_meter(&mut line, 5.into(), &profile).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_counter_beyond_its_digits_is_a_fault_with_its_whole_frame() {
    let profile = profile("acrel-ddsy1352");
    let registers = SharedRegisters::default();
    let name = RegisterName::new("energy_import").unwrap();
    registers.set(&name, decimal("1000000"));
    let sim =
        SimLine::new(Framing::Tcp, clock()).with(5, SimMeter::new(profile.clone(), registers));
    let connect = SimConnect::new().with("meter:502", sim);
    let settings = LineSettings::tcp("meter", 502, Framing::Tcp);
    let mut line = Line::new(settings, Arc::new(connect));
    let fault = read_meter(&mut line, 5.into(), &profile).await.unwrap_err();
    assert_eq!(fault.class, FaultClass::Value);
    assert_eq!(fault.what, "energy_import is a counter of 6 digits and reads 1000000.00");
    assert_eq!(fault.raw[6..8], [5, 3], "unit and function of the frame");
    assert!(fault.raw.windows(4).any(|w| w == [0x05, 0xF5, 0xE1, 0x00]), "{:02X?}", fault.raw);
}

#[tokio::test(start_paused = true)]
async fn a_test_read_shows_every_frame() {
    let profile = profile("eastron-sdm120");
    let (mut line, _field) =
        line(Framing::Rtu, &profile, &[(When::Request(2), Fault::Exception(4))]);
    let shown = test_read(&mut line, 5.into(), &profile).await;
    assert_eq!(shown.exchanges.len(), 2);
    assert_eq!(shown.exchanges[1].request[..6], [5, 4, 0, 30, 0, 2]);
    assert_eq!(shown.exchanges[1].reply[..3], [5, 0x84, 4]);
    let what = shown.outcome.unwrap_err().what;
    assert_eq!(
        what,
        "exception 04H to \"read input registers\": the device reports a failure of its own"
    );
    let again = test_read(&mut line, 5.into(), &profile).await;
    assert_eq!(again.exchanges.len(), profile.plan().len());
    assert!(again.outcome.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_pipelined_reading_is_whole_or_a_fault_and_the_next_one_is_right() {
    let profile = profile("eastron-sdm120");
    for n in 1..=4 {
        for fault in [
            Fault::Exception(2),
            Fault::Silent,
            Fault::Late(Duration::from_millis(1200)),
            Fault::StaleTransaction,
            Fault::TooFewRegisters,
            Fault::NaN,
            Fault::Half,
            Fault::Close,
        ] {
            let (single, field) =
                line(Framing::Tcp, &profile, &[(When::Request(n), fault.clone())]);
            let mut settings = single.settings().clone();
            settings.pipeline = true;
            let mut line = Line::new(settings, Arc::new(field));
            assert!(read_meter(&mut line, 5.into(), &profile).await.is_err(), "{fault:?} at {n}");
            let next = read_meter(&mut line, 5.into(), &profile).await.unwrap();
            for (spec, value) in next.iter() {
                let want = Some(value_of(&spec.name, Time::EPOCH));
                assert_eq!(value, want, "{} after {fault:?} at {n}", spec.name);
            }
        }
    }
}
