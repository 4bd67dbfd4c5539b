//! What meters froze by themselves, read from the simulated field, and what the bytes are on the wire.

use blockgate_drivers::frozen::{Kept, read_frozen};
use blockgate_drivers::sim::{SimClock, SimConnect, SimLine, SimMeter};
use blockgate_drivers::{
    Address, Framing, Line, LineSettings, Profile, Protocol, test_read_frozen,
};
use blockgate_types::{Decimal, FaultClass, Frozen, ReadFault, RegisterName, Time, parse_decimal};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

/// Every register counts the days since the epoch, tariffs in tenths above it.
fn days(register: &RegisterName, at: Time) -> Decimal {
    let days = Decimal::from(at.as_millis() / DAY_MS);
    match register.as_str().rsplit_once("_t") {
        Some((_, tariff)) => {
            let tenths = parse_decimal(&format!("0.{tariff}")).unwrap_or_default();
            days.checked_add(tenths).unwrap()
        }
        None if register.as_str() == "power_factor" => Decimal::ONE,
        None => days,
    }
}

/// 2026-03-01, noon.
fn line(protocol: Protocol, number: &str, id: &str) -> (Line, Address, Arc<Profile>) {
    let clock = SimClock::starting_at("2026-03-01T12:00:00Z".parse().unwrap());
    let profile = Profile::shipped_by_id(id).unwrap().clone();
    let address = Address::parse(protocol, number).unwrap();
    let sim = SimLine::new(Framing::Rtu, clock).with(address, SimMeter::new(profile.clone(), days));
    let connect = SimConnect::new().with("server:4001", sim);
    let mut settings = LineSettings::tcp("server", 4001, Framing::Rtu);
    settings.quarantine_at_open = false;
    (Line::new(settings, Arc::new(connect)), address, profile)
}

async fn kept(protocol: Protocol, id: &str, which: &str) -> Result<Kept, ReadFault> {
    let (mut line, address, profile) = line(protocol, "12", id);
    read_frozen(&mut line, address, &profile, which.parse::<Frozen>().unwrap()).await
}

fn shown(kept: &Kept) -> String {
    let values = kept.values.iter().map(|(spec, value)| {
        let value = value.map_or("no value".to_owned(), |value| value.to_string());
        format!("{} {value} {}", spec.name, spec.unit.text())
    });
    values.collect::<Vec<_>>().join(", ")
}

/// The meters stand in China: the last midnight there was at 16:00 of day 20,512 since the epoch.
#[tokio::test(start_paused = true)]
async fn a_meter_s_days_and_months_are_read_under_the_names_of_its_profile() {
    use Protocol::{Cjt188, Dlt645};
    let tariffs = |days: u32| {
        format!(
            "energy_import {days} kWh, energy_import_t1 {days}.1 kWh, energy_import_t2 {days}.2 kWh, \
             energy_import_t3 {days}.3 kWh, energy_import_t4 {days}.4 kWh"
        )
    };
    let table: &[(Protocol, &str, &str, Option<&str>, String)] = &[
        (
            Dlt645,
            "generic-dlt645-energy",
            "day-1",
            Some("2026-03-01 00:00"),
            "energy_import 20512 kWh".to_owned(),
        ),
        (
            Dlt645,
            "generic-dlt645-energy",
            "day-62",
            Some("2025-12-30 00:00"),
            "energy_import 20451 kWh".to_owned(),
        ),
        (Dlt645, "generic-dlt645-energy", "month-1", None, "energy_import 20482 kWh".to_owned()),
        (
            Dlt645,
            "generic-dlt645-1997-single-phase",
            "month-2",
            None,
            "energy_import 20452 kWh".to_owned(),
        ),
        (Cjt188, "generic-cjt188-cold-water", "month-12", None, "volume 20152.00 m3".to_owned()),
        (
            Cjt188,
            "generic-cjt188-cold-water-high-first",
            "month-1",
            None,
            "volume 20482.00 m3".to_owned(),
        ),
    ];
    for (protocol, id, which, at, values) in table {
        let kept = kept(*protocol, id, which)
            .await
            .unwrap_or_else(|fault| panic!("{id} {which}: {fault:?}"));
        assert_eq!((kept.at.as_deref(), shown(&kept)), (*at, values.clone()), "{id} {which}");
    }
    for (which, days) in [("day-2", 20_511), ("month-3", 20_422)] {
        let kept = kept(Dlt645, "generic-dlt645-single-phase-tariffs", which).await.unwrap();
        assert!(shown(&kept).starts_with(&tariffs(days)), "{which}: {}", shown(&kept));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_protocol_does_not_keep_is_said_and_not_asked() {
    use Protocol::{Cjt188, Dlt645, Mbus, Modbus};
    for (protocol, id, which) in [
        (Modbus, "eastron-sdm120", "day-1"),
        (Mbus, "itron-bm-m", "month-1"),
        (Cjt188, "generic-cjt188-cold-water", "day-1"),
        (Dlt645, "generic-dlt645-1997-single-phase", "day-1"),
        (Dlt645, "generic-dlt645-1997-single-phase", "month-3"),
    ] {
        let fault = kept(protocol, id, which).await.unwrap_err();
        let what = format!("{id} keeps nothing of {which} that can be read");
        assert_eq!((fault.class, fault.what), (FaultClass::Protocol, what));
    }
}

/// The requests, written out: DI low byte first, 33 added.
#[tokio::test(start_paused = true)]
async fn the_identifiers_are_those_of_the_standards() {
    let hex = |bytes: &[u8]| {
        let body = bytes.iter().skip_while(|byte| **byte == 0xFE);
        body.map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
    };
    let table: &[(Protocol, &str, &str, &[&str])] = &[
        // DL/T 645-2007: 05060003 and 05060103.
        (
            Protocol::Dlt645,
            "generic-dlt645-energy",
            "day-3",
            &[
                "68 12 00 00 00 00 00 68 11 04 36 33 39 38 D1 16",
                "68 12 00 00 00 00 00 68 11 04 36 34 39 38 D2 16",
            ],
        ),
        // 00010002.
        (
            Protocol::Dlt645,
            "generic-dlt645-energy",
            "month-2",
            &["68 12 00 00 00 00 00 68 11 04 35 33 34 33 C6 16"],
        ),
        // DL/T 645-1997: 9410.
        (
            Protocol::Dlt645,
            "generic-dlt645-1997-single-phase",
            "month-1",
            &["68 12 00 00 00 00 00 68 01 02 43 C7 EF 16"],
        ),
    ];
    for (protocol, id, which, requests) in table {
        let (mut line, address, profile) = line(*protocol, "12", id);
        let read = test_read_frozen(&mut line, address, &profile, which.parse().unwrap()).await;
        let sent: Vec<String> =
            read.exchanges.iter().map(|exchange| hex(&exchange.request)).collect();
        assert_eq!(sent, *requests, "{id} {which}");
    }
    // CJ/T 188: D121, low byte first.
    let (mut line, address, profile) = line(Protocol::Cjt188, "12", "generic-cjt188-cold-water");
    let read = test_read_frozen(&mut line, address, &profile, Frozen::Month(2)).await;
    let sent = hex(&read.exchanges[0].request);
    assert!(sent.starts_with("68 10 12 00 00 00 00 00 00 01 03 21 D1 "), "{sent}");
}
