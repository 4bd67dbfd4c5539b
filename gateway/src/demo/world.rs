//! The demo's block: 60 households on three lines, five models of meter, a few things that go wrong.

use super::consumption::{Household, Weeks};
use super::{common, water};
use crate::config::Text;
use blockgate_drivers::line::Framing;
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{Fault, SimClock, SimConnect, SimLine, SimMeter, When};
use blockgate_types::{Decimal, RegisterName, Span, Time};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Households of the block.
pub const HOUSEHOLDS: usize = 60;
const PER_LINE: usize = 20;

/// The lines: id, target as the config names it, kind, framing.
const LINES: [(&str, &str, &str, Framing); 3] = [
    ("line-a", "/dev/demo-a", "serial", Framing::Rtu),
    ("line-b", "serial-server.demo:4001", "rtu-over-tcp", Framing::Rtu),
    ("line-c", "gateway.demo:502", "tcp", Framing::Tcp),
];

/// The models, one after the other along a line.
const MODELS: [&str; 5] =
    ["eastron-sdm120", "acrel-ddsy1352", "eastron-sdm630", "schneider-iem3155", "acrel-adl3000"];

fn model(household: usize) -> &'static str {
    MODELS.get(household % MODELS.len()).copied().unwrap_or("eastron-sdm120")
}

/// Flat 0101 is the first of building 1.
pub(super) fn flat(household: usize) -> String {
    format!(
        "{}{:02}{:02}",
        household / PER_LINE + 1,
        household % PER_LINE / 4 + 1,
        household % 4 + 1
    )
}

/// The config of the block, as an installer would have written it.
#[must_use]
pub fn config(listen: &str, broker_port: u16) -> Text {
    let mut text = String::from(
        "# The demo's block. Written by `blockgate demo`; copy what you need.\n\n\
         [gateway]\nid = \"demo-gateway\"\ntenant = \"demo\"\nzone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n\n\
         [clock]\ntrust = \"always\"\n\n[billing]\nclose_grace = \"6h\"\n\n[dunning]\ndue_days = 15\n\n",
    );
    let _ = writeln!(
        text,
        "[mqtt]\nhost = \"localhost\"\nport = {broker_port}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
         key = \"tls/gateway.key\"\n\n[http]\nlisten = \"{listen}\"\n\n[meter_defaults]\npoll_every = \"15m\"\n\
         record_every = \"15m\"\nmax_per_hour = \"27.6\"   # 100 A on one phase\n\
         offline_after = \"1h\"\n"
    );
    for (id, target, kind, _) in LINES {
        let _ = match target.split_once(':') {
            Some((host, port)) => writeln!(
                text,
                "\n[[line]]\nid = \"{id}\"\nkind = \"{kind}\"\nhost = \"{host}\"\nport = {port}\nreply_timeout = \"500ms\""
            ),
            None => writeln!(
                text,
                "\n[[line]]\nid = \"{id}\"\nkind = \"{kind}\"\npath = \"{target}\"\nbaud = 9600\nreply_timeout = \"500ms\""
            ),
        };
    }
    text.push_str(&water::config());
    text.push_str(&common::config());
    for household in 0..HOUSEHOLDS {
        let (line, _, _, _) = LINES[household / PER_LINE];
        let (flat, model) = (flat(household), model(household));
        let address = household % PER_LINE + 1;
        let (building, area) = (household / PER_LINE + 1, area_m2(household));
        let _ = writeln!(
            text,
            "\n[[meter]]\nid = \"m-{flat}\"\nline = \"{line}\"\naddress = {address}\nprofile = \"{model}\"\n\
             record = [\"energy_import\"]\n\n[[account]]\nid = \"a-{flat}\"\nbuilding = \"{building}\"\n\
             area_m2 = \"{area}\"\ncharges = [\n  {{ item = \"electricity\", tariff = \"{}\", meter = \"m-{flat}\", \
             register = \"energy_import\" }},\n{}  {{ item = \"property-fee\", tariff = \"property-fee\" }},\n]",
            if household % 3 == 2 { "electricity-tou" } else { "electricity-tiered" },
            water::charge(household),
        );
    }
    text.push_str(&super::cars::config());
    text.push_str(&super::doors::config());
    Text { name: "blockgate.toml".to_owned(), text }
}

/// Floor area of a household: from 58.20 to about 130 m², never a round number.
fn area_m2(household: usize) -> Decimal {
    let hundredths = 5_820 + (household * 1_237) % 7_300;
    Decimal::new(i64::try_from(hundredths).unwrap_or(0), 2)
}

/// The simulated field behind the config's lines. `seed` chooses the households' weeks.
#[must_use]
pub fn field(weeks: &Arc<Weeks>, clock: SimClock, start: Time, seed: u64) -> SimConnect {
    let first = usize::try_from(seed.saturating_sub(1) % 1_000).unwrap_or(0) * HOUSEHOLDS;
    let mut connect = SimConnect::new();
    for (line, (_, target, _, framing)) in LINES.into_iter().enumerate() {
        let mut wire = SimLine::new(framing, clock);
        for place in 0..PER_LINE {
            let household = line * PER_LINE + place;
            let Some(profile) = Profile::shipped_by_id(model(household)) else { continue };
            let meter = SimMeter::new(profile.clone(), source(weeks, first + household, start));
            let unit = u8::try_from(place + 1).unwrap_or(1);
            wire = wire.with(unit, with_faults(meter, line, place, start));
        }
        connect = connect.with(target, wire);
    }
    common::field(water::field(connect, weeks, clock, start, first), clock, start)
}

/// What goes wrong in the demo's field: a few meters show what an installer will meet.
fn with_faults(meter: SimMeter, line: usize, place: usize, start: Time) -> SimMeter {
    let day = |n: i64, hour: i64| start.plus(Span::from_hours(n * 24 + hour));
    match (line, place) {
        // A slow meter: its answer comes after the timeout, when the next question is already due.
        (0, 6) => meter.with_fault(When::Every(397), Fault::Late(Duration::from_millis(700))),
        // Noise on the wire.
        (1, 2) => meter.with_fault(When::Every(251), Fault::Garbled),
        // Two hours without power.
        (2, 4) => meter.with_fault(When::Between(day(10, 12), day(10, 15)), Fault::Silent),
        // An hour of lower values: held for review, never billed.
        (0, 10) => meter.with_fault(
            When::Between(day(20, 8), day(20, 9)),
            Fault::LowerValue(Decimal::from(500)),
        ),
        (2, 9) => meter.with_fault(When::Every(613), Fault::NaN),
        _ => meter,
    }
}

fn source(
    weeks: &Arc<Weeks>,
    household: usize,
    start: Time,
) -> impl FnMut(&RegisterName, Time) -> Decimal + Send + use<> {
    let mut house = Household::new(weeks.clone(), household);
    let offset_wh = 1_000_000 + u64::try_from(household).unwrap_or(0) * 137_911;
    move |register, now| {
        let minutes = now.since(start).map_or(0, |s| s.as_millis() / 60_000);
        let minutes = u64::try_from(minutes).unwrap_or(0);
        let milli = |value: u64| Decimal::new(i64::try_from(value).unwrap_or(0), 3);
        let watts = house.watts(minutes);
        // Lower voltage under load, as at the end of a feeder.
        let volts_milli = 231_500_u64.saturating_sub(watts / 2);
        match register.as_str() {
            "energy_import" | "energy_total" | "energy_import_t3" => {
                milli(offset_wh + house.used_wh(minutes))
            }
            "power_l1" | "power_total" => Decimal::from(watts),
            "voltage_l1" | "voltage_l2" | "voltage_l3" => milli(volts_milli),
            "current_l1" => milli(watts * 1_000_000 / volts_milli.max(1)),
            "frequency" => milli(50_000 + minutes % 40 - 20),
            "power_factor" => milli(960),
            _ => Decimal::ZERO,
        }
    }
}

/// The tariffs of the demo.
#[must_use]
pub fn rules() -> Vec<Text> {
    [
        ("rules.d/electricity.toml", include_str!("../../../rules/tariffs/electricity.toml")),
        ("rules.d/parking.toml", include_str!("../../../rules/tariffs/parking.toml")),
        ("rules.d/water.toml", water::TARIFF),
        ("rules.d/property.toml", include_str!("../../../rules/tariffs/property.toml")),
    ]
    .into_iter()
    .map(|(name, text)| Text { name: name.to_owned(), text: text.to_owned() })
    .collect()
}
