//! A line as the field has it: many meters, some dead, some ill; and how much of its time is useful.

use blockgate_drivers::modbus::{ReadRequest, read_registers};
use blockgate_drivers::profile::Map;
use blockgate_drivers::sim::{Fault, Pace, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_drivers::{
    Address, Framing, Line, LineSettings, Parity, Profile, Protocol, Target, mbus, read_meter,
};
use blockgate_types::{Decimal, FaultClass, RegisterName, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn clock() -> SimClock {
    SimClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap())
}

fn serial(baud: u32) -> LineSettings {
    let (path, parity) = ("/dev/ttyS9".to_owned(), Parity::Even);
    let target = Target::Serial { path, baud, data_bits: 8, parity, stop_bits: 1 };
    let mut settings = LineSettings::new(target, Framing::Rtu);
    settings.quarantine_at_open = false;
    settings
}

/// The n-th meter of a mixed line, n from 1 to 64.
fn place(n: u8) -> (Address, Arc<Profile>) {
    let (protocol, text, id) = match n % 4 {
        0 => (Protocol::Modbus, n.to_string(), "eastron-sdm120"),
        1 => (Protocol::Dlt645, format!("{n}"), "generic-dlt645-energy"),
        2 => (Protocol::Cjt188, format!("{n}"), "generic-cjt188-cold-water"),
        _ => (Protocol::Mbus, n.to_string(), "itron-bm-m"),
    };
    (Address::parse(protocol, &text).unwrap(), Profile::shipped_by_id(id).unwrap().clone())
}

/// 64 meters, 10 of them dead, others late, damaged, doubled or answering for others: a hundred hours
/// of polls every 15 minutes, a thousand dead-device hours. No value is ever another meter's.
#[tokio::test(start_paused = true)]
async fn a_thousand_dead_device_hours_bring_no_false_value() {
    let mut sim = SimLine::new(Framing::Rtu, clock());
    for n in 1..=64_u8 {
        let (address, profile) = place(n);
        // Every meter shows its own number in every register.
        let own = move |register: &RegisterName, _: Time| match register.as_str() {
            "valve" | "battery_low" => Decimal::ZERO,
            "power_factor" => Decimal::ONE,
            _ => Decimal::from(n),
        };
        let mut meter = SimMeter::new(profile, own);
        match n {
            1..=10 => meter.add_fault(When::Always, Fault::Silent),
            11..=14 => meter.add_fault(When::Every(7), Fault::Late(Duration::from_millis(2400))),
            15..=18 => meter.add_fault(When::Every(11), Fault::Garbled),
            19..=22 => meter.add_fault(When::Every(13), Fault::Previous),
            23..=26 => meter.add_fault(When::Every(5), Fault::Half),
            27 | 28 => meter.add_fault(When::Every(3), Fault::WrongUnit(0x29)),
            _ => {}
        }
        sim.put(address, meter);
        sim = sim.clone();
    }
    let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim));
    let mut line = Line::new(serial(9600), connect);
    let (mut good, mut faults) = (0_u32, BTreeMap::<FaultClass, u32>::new());
    for _quarter in 0..400 {
        let slot = Instant::now() + Duration::from_secs(900);
        for n in 1..=64 {
            let (address, profile) = place(n);
            match read_meter(&mut line, address, &profile).await {
                Ok(values) => {
                    assert!(n > 10, "a dead meter answered");
                    for (spec, value) in values.iter().filter(|(_, v)| v.is_some()) {
                        let name = spec.name.as_str();
                        if !matches!(name, "valve" | "battery_low" | "power_factor") {
                            assert_eq!(value, Some(Decimal::from(n)), "{address} {name}");
                        }
                    }
                    good += 1;
                }
                Err(fault) => *faults.entry(fault.class).or_default() += 1,
            }
        }
        assert!(Instant::now() < slot, "a round takes longer than its quarter of an hour");
        tokio::time::sleep_until(slot).await;
    }
    assert!(faults[&FaultClass::Timeout] >= 4000, "{faults:?}");
    assert!((400 * 36..=400 * 54).contains(&good), "{good} {faults:?}");
}

/// Bytes of the requests and replies of one reading, as the traces show them.
async fn bytes_of(address: Address, profile: &Profile, sim: &SimLine) -> (usize, u32) {
    let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim.clone()));
    let mut line = Line::new(serial(115_200), connect);
    let shown = blockgate_drivers::test_read(&mut line, address, profile).await;
    // The line passes over the preamble that the simulated meters put before their answers.
    let preamble = match address.protocol() {
        Protocol::Dlt645 => 4,
        Protocol::Cjt188 => 3,
        Protocol::Modbus | Protocol::Mbus => 0,
    };
    let bytes = shown.exchanges.iter().map(|e| e.request.len() + e.reply.len() + preamble).sum();
    (bytes, u32::try_from(shown.exchanges.len()).unwrap())
}

/// What a plain sequential reader keeps between two frames: a pause long enough for every meter and
/// every adaptor, and no baud rate is looked at.
const PLAIN_PAUSE: Duration = Duration::from_millis(30);

/// One round of a plain sequential reader: the registers of a Modbus table one by one, and the plain
/// pause in front of each request. The other protocols' readings are one request a data identifier
/// for everybody.
async fn plain_round(line: &mut Line, addresses: &[Address], profile: &Profile) {
    for address in addresses {
        let (Map::Modbus { registers, .. }, Address::Unit(unit)) = (profile.map(), address) else {
            read_meter(line, *address, profile).await.unwrap();
            continue;
        };
        for register in registers {
            for part in [Some(&register.part), register.add.as_ref()].into_iter().flatten() {
                let count = part.format.registers();
                let read = ReadRequest::new(register.function, part.address, count).unwrap();
                read_registers(line, *unit, read).await.unwrap();
            }
        }
    }
}

/// One round over 64 meters: the least that bytes, the standard's silences and the meters' own time
/// allow, what the line needs, and what a plain sequential reader needs. 20 ms before each answer.
#[tokio::test(start_paused = true)]
async fn a_round_takes_hardly_longer_than_bytes_silences_and_meters_need() {
    const ANSWER: Duration = Duration::from_millis(20);
    println!("protocol     baud  least ms  taken ms   share  plain ms  its share");
    for (id, protocol) in [
        ("eastron-sdm120", Protocol::Modbus),
        ("generic-dlt645-single-phase", Protocol::Dlt645),
        ("generic-cjt188-cold-water", Protocol::Cjt188),
        ("itron-bm-m", Protocol::Mbus),
    ] {
        for baud in [2400, 9600, 115_200] {
            let profile = Profile::shipped_by_id(id).unwrap();
            let pace = Pace { baud, character_bits: 11, answer: ANSWER };
            let mut sim = SimLine::new(Framing::Rtu, clock()).paced(pace);
            let addresses: Vec<Address> =
                (1..=64).map(|n| Address::parse(protocol, &n.to_string()).unwrap()).collect();
            for address in &addresses {
                let value = |_: &RegisterName, _: Time| Decimal::ONE;
                sim = sim.with(*address, SimMeter::new(profile.clone(), value));
            }
            let (bytes, exchanges) = bytes_of(addresses[0], profile, &sim).await;
            let connect = Arc::new(SimConnect::new().with("/dev/ttyS9", sim));
            let settings = serial(baud);
            let wire = settings.characters(bytes);
            let mut line = Line::new(settings.clone(), connect.clone());
            let started = Instant::now();
            for address in &addresses {
                read_meter(&mut line, *address, profile).await.unwrap();
            }
            let taken = started.elapsed();
            drop(line);
            let plain = LineSettings { gap: PLAIN_PAUSE, ..settings };
            let mut line = Line::new(plain, connect);
            let started = Instant::now();
            plain_round(&mut line, &addresses, profile).await;
            let plain = started.elapsed();
            // 3.5 characters, above 19,200 baud 1.75 ms (Modbus over Serial Line V1.02, 2.5.1.1).
            let silence = if baud > 19_200 {
                Duration::from_micros(1750)
            } else {
                Duration::from_micros(3_500_000 * 11 / u64::from(baud))
            };
            let least = 64 * (wire + exchanges * (silence + ANSWER));
            let share_of = |taken: Duration| least.as_micros() * 1000 / taken.as_micros().max(1);
            let percent = |share: u128| format!("{}.{} %", share / 10, share % 10);
            let (share, plain_share) = (share_of(taken), share_of(plain));
            println!(
                "{:<9} {baud:>7} {:>9} {:>9}  {} {:>9}  {}",
                protocol.text(),
                least.as_millis(),
                taken.as_millis(),
                percent(share),
                plain.as_millis(),
                percent(plain_share),
            );
            assert!(share >= 950, "{id} at {baud}: {}", percent(share));
            assert!(plain_share < share, "{id} at {baud}: a plain reader is as good");
        }
    }
}

#[test]
fn the_mixed_line_has_every_protocol() {
    let kinds: std::collections::BTreeSet<Protocol> =
        (1..=64).map(|n| place(n).0.protocol()).collect();
    assert_eq!(kinds.len(), Protocol::ALL.len());
    assert!(matches!(place(3).0, Address::Mbus(mbus::Address::Primary(3))));
    assert!(matches!(place(2).1.map(), Map::Cjt188(_)));
}
