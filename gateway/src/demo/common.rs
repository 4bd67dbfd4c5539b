//! The demo's common parts: the stairs' light and the lift of each building on DL/T 645, with relays that
//! can be switched, and the gardens' taps on CJ/T 188, with valves. Nobody is billed for them: they show
//! the two protocols, and what `blockgate order` does.

use blockgate_drivers::line::Framing;
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{SimClock, SimConnect, SimLine, SimMeter};
use blockgate_drivers::{Address, Protocol};
use blockgate_types::{Decimal, RegisterName, Time};
use std::fmt::Write;

/// Meters of the common parts.
pub const METERS: usize = 9;

const BUILDINGS: u64 = 3;
const ELECTRICITY: (&str, &str) = ("generic-dlt645-energy", "/dev/demo-e");
const WATER: (&str, &str) = ("generic-cjt188-cold-water", "/dev/demo-f");

/// The authority with which the relays are switched, for `dlt645.authority`: as meters leave the factory.
pub const AUTHORITY: &str = "level = \"02\"\npassword = \"000000\"\noperator = \"00000000\"\n";

/// What hangs on a meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Light,
    Lift,
    Tap,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Lift => "lift",
            Self::Tap => "tap",
        }
    }

    /// What it uses in an hour of the day: watt-hours or litres.
    fn in_hour(self, hour: u64) -> u64 {
        let is_night = !(6..18).contains(&hour);
        match self {
            Self::Light => {
                if is_night {
                    420
                } else {
                    60
                }
            }
            Self::Lift => {
                if is_night {
                    180
                } else {
                    740
                }
            }
            Self::Tap => {
                if hour == 6 {
                    180
                } else {
                    0
                }
            }
        }
    }
}

fn electricity() -> impl Iterator<Item = (String, String, What, u64)> {
    let of = |building: u64| [(building, What::Light, 1), (building, What::Lift, 2)];
    (1..=BUILDINGS).flat_map(of).map(|(building, what, n)| {
        let id = format!("p-{building}-{}", what.word());
        (id, format!("2026030{building}000{n}"), what, building)
    })
}

fn water() -> impl Iterator<Item = (String, String, What, u64)> {
    (1..=BUILDINGS).map(|building| {
        (format!("p-{building}-tap"), format!("7833001122330{building}"), What::Tap, building)
    })
}

/// Its part of the config.
#[must_use]
pub fn config() -> String {
    let mut text = String::new();
    let line = |text: &mut String, id: &str, path: &str| {
        let _ = writeln!(
            text,
            "\n[[line]]\nid = \"{id}\"\nkind = \"serial\"\npath = \"{path}\"\nbaud = 2400\nparity = \"even\"\n\
             reply_timeout = \"500ms\""
        );
    };
    line(&mut text, "line-e", ELECTRICITY.1);
    for (id, address, _, _) in electricity() {
        let _ = writeln!(
            text,
            "\n[[meter]]\nid = \"{id}\"\nline = \"line-e\"\naddress = \"{address}\"\nprofile = \"{}\"\n\
             controls = [\"relay\", \"clock\"]\nauthority_file = \"dlt645.authority\"",
            ELECTRICITY.0
        );
    }
    line(&mut text, "line-f", WATER.1);
    for (id, address, _, _) in water() {
        let _ = writeln!(
            text,
            "\n[[meter]]\nid = \"{id}\"\nline = \"line-f\"\naddress = \"{address}\"\nprofile = \"{}\"\n\
             max_per_hour = \"5\"\nrecord = [\"volume\"]\ncontrols = [\"valve\"]",
            WATER.0
        );
    }
    text
}

/// The two lines with their meters.
#[must_use]
pub fn field(connect: SimConnect, clock: SimClock, start: Time) -> SimConnect {
    let mut connect = connect;
    let lines = [
        (ELECTRICITY, Protocol::Dlt645, electricity().collect::<Vec<_>>()),
        (WATER, Protocol::Cjt188, water().collect()),
    ];
    for ((profile, path), protocol, meters) in lines {
        let Some(profile) = Profile::shipped_by_id(profile) else { continue };
        let mut wire = SimLine::new(Framing::Rtu, clock);
        for (_, address, what, building) in meters {
            let Ok(address) = Address::parse(protocol, &address) else { continue };
            wire =
                wire.with(address, SimMeter::new(profile.clone(), source(what, building, start)));
        }
        connect = connect.with(path, wire);
    }
    connect
}

/// A counter in kWh or m³, in thousandths.
fn source(
    what: What,
    building: u64,
    start: Time,
) -> impl FnMut(&RegisterName, Time) -> Decimal + Send + use<> {
    let begins = 1_000_000 + building * 271_828;
    // The hour of the day at the start, in China.
    let first = u64::try_from(start.as_millis() / 3_600_000 + 8).unwrap_or(0) % 24;
    let mut counted = (0, 0); // hours, watt-hours or litres
    move |name, now| {
        if matches!(name.as_str(), "valve" | "battery_low" | "volume_settled") {
            return Decimal::ZERO;
        }
        let minutes = now.since(start).map_or(0, |span| span.as_millis() / 60_000);
        let minutes = u64::try_from(minutes).unwrap_or(0);
        let hour = minutes / 60;
        if hour < counted.0 {
            counted = (0, 0);
        }
        for hour in counted.0..hour {
            counted.1 += what.in_hour((first + hour) % 24);
        }
        counted.0 = hour;
        let part = what.in_hour((first + hour) % 24) * (minutes % 60) / 60;
        Decimal::new(i64::try_from(begins + counted.1 + part).unwrap_or(0), 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_only_grows_and_a_day_is_a_day() {
        let start: Time = "2026-03-01T00:00:00Z".parse().unwrap();
        let mut light = source(What::Light, 1, start);
        let name = RegisterName::new("energy_import").unwrap();
        let at = |hours: i64| start.plus(blockgate_types::Span::from_hours(hours));
        let values: Vec<Decimal> = (0..=48).map(|hours| light(&name, at(hours))).collect();
        assert!(values.is_sorted(), "{values:?}");
        let day = values[24] - values[0];
        assert_eq!((day, values[48] - values[24]), ("5.760".parse().unwrap(), day));
        assert_eq!(electricity().count() + water().count(), METERS);
    }
}
