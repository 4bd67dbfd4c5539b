//! The demo's water: twenty meters of building 1 on an M-Bus line, one that leaks and one that
//! sticks; and the list of everything in the demo that goes wrong on purpose, so that its summary can
//! say which alarms were planted.

use super::consumption::{Household, Weeks};
use super::world::flat;
use blockgate_drivers::line::Framing;
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{SimClock, SimConnect, SimLine, SimMeter};
use blockgate_drivers::{Address, Protocol};
use blockgate_types::{Decimal, RegisterName, Span, Time};
use std::fmt::Write;
use std::sync::Arc;

/// Water meters, of the first flats.
pub const METERS: usize = 20;

const PROFILE: &str = "generic-mbus-water";
const TARGET: &str = "/dev/demo-d";

/// A toilet that runs: from when to when after the start, in which flat, how many litres an hour.
const LEAK: (i64, i64, usize, i64) = (20, 25, 6, 60);
/// A meter that sticks and is freed again.
const STUCK: (i64, i64, usize) = (16, 45, 13);

/// A minute in which the house draws more than this is one in which water runs, two litres of it: a
/// cooker, a washing machine, a boiler that heats what the shower takes.
const WATTS: u64 = 3_000;
const LITRES_A_MINUTE: u64 = 2;

/// Whatever has drawn so much for longer than this many minutes is heating.
const RUNS_MAX: u64 = 15;
/// From this minute of the day, half past midnight, to this one, five o'clock, people sleep: what draws
/// much then is heating, and no water runs for it.
const ASLEEP: (u64, u64) = (30, 300);
/// In one night of three somebody gets up once: a cistern, in litres.
const CISTERN: u64 = 6;

/// Why a month is over its budget of alarms where each of them was planted.
pub const OVER_BUDGET: &str =
    "what is planted is more than sixty households should have in a month";

const HEATER: &str = "a heater of this household switches on and off for two days on end, and the demo derives \
     its water from its electricity";

/// Something that goes wrong in the demo on purpose.
#[derive(Debug, Clone)]
pub struct Planted {
    /// The alarm's subject.
    pub subject: String,
    /// Kinds of alarm that it raises.
    pub codes: &'static [&'static str],
    /// Days after the start on which such an alarm may be raised; none where it is so all the time.
    pub days: Option<(i64, i64)>,
    /// What it is.
    pub what: &'static str,
}

impl Planted {
    /// Whether it is what an alarm of a code, a subject and so many days after the start is about.
    #[must_use]
    pub fn explains(&self, code: &str, subject: &str, day: i64) -> bool {
        // A subject that ends in a star stands for all that begin so.
        let of_it = match self.subject.strip_suffix('*') {
            Some(begin) => subject.starts_with(begin),
            None => subject == self.subject,
        };
        let in_time = self.days.is_none_or(|(from, to)| (from..=to).contains(&day));
        of_it && in_time && self.codes.contains(&code)
    }
}

/// All of it: the faults of `world` too.
#[must_use]
pub fn planted() -> Vec<Planted> {
    let meter = |kind: &str, household: usize| format!("meter/{kind}-{}", flat(household));
    let of = |subject: String, codes: &'static [&'static str], days, what: &'static str| Planted {
        subject,
        codes,
        days,
        what,
    };
    vec![
        of(
            meter("w", LEAK.2),
            &["continuous-flow", "night-flow", "unusual-use"],
            Some((LEAK.0, LEAK.1 + 1)),
            "a toilet runs for five days from day 20 on, 60 litres an hour",
        ),
        of(
            meter("w", STUCK.2),
            &["meter-stuck"],
            Some((STUCK.0, STUCK.1)),
            "a water meter sticks from day 16 to day 45",
        ),
        of(meter("w", 3), &["continuous-flow"], Some((108, 113)), HEATER),
        // The same week of its data, 24 weeks later.
        of(meter("w", 3), &["continuous-flow"], Some((276, 281)), HEATER),
        of("stay/*".to_owned(), &["long-stay"], None, "a car leaves and no camera sees it"),
        of(
            meter("m", 44),
            &["meter-offline"],
            Some((10, 10)),
            "a meter is three hours without power on day 10",
        ),
        of(
            meter("m", 10),
            &["reading-held"],
            Some((20, 20)),
            "a meter shows 500 kWh less for an hour on day 20",
        ),
    ]
}

/// Its part of the config: a line, the meters, the tariff's charge is in [`charge`].
#[must_use]
pub fn config() -> String {
    let mut text = format!(
        "\n[[line]]\nid = \"line-d\"\nkind = \"serial\"\npath = \"{TARGET}\"\nbaud = 2400\nparity = \"even\"\n\
         reply_timeout = \"500ms\"\n"
    );
    for household in 0..METERS {
        let (flat, address) = (flat(household), household + 1);
        let _ = writeln!(
            text,
            "\n[[meter]]\nid = \"w-{flat}\"\nline = \"line-d\"\naddress = {address}\nprofile = \"{PROFILE}\"\n\
             max_per_hour = \"5\"   # DN15"
        );
    }
    text
}

/// A flat's charge for water; empty where it has no water meter.
#[must_use]
pub fn charge(household: usize) -> String {
    if household >= METERS {
        return String::new();
    }
    let flat = flat(household);
    format!(
        "  {{ item = \"water\", tariff = \"water\", meter = \"w-{flat}\", register = \"volume\" }},\n"
    )
}

/// The tariff.
pub const TARIFF: &str = r#"# An example: one price for water.
[[tariff]]
id = "water"
label = { zh = "水费", en = "Water" }
currency = "CNY"
notice = "EXAMPLE: check against the price notice in force"

[[tariff.revision]]
from = "2020-01-01"
kind = "flat"
rounding = "per_line"
change_inside_period = "next_period"
unit = "m3"
price = "3.50"
"#;

/// The line with its meters.
#[must_use]
pub fn field(
    connect: SimConnect,
    weeks: &Arc<Weeks>,
    clock: SimClock,
    start: Time,
    first: usize,
) -> SimConnect {
    let Some(profile) = Profile::shipped_by_id(PROFILE) else { return connect };
    let mut wire = SimLine::new(Framing::Rtu, clock);
    for household in 0..METERS {
        let meter = SimMeter::new(profile.clone(), source(weeks, first, household, start));
        let address = Address::parse(Protocol::Mbus, &(household + 1).to_string());
        if let Ok(address) = address {
            wire = wire.with(address, meter);
        }
    }
    connect.with(TARGET, wire)
}

fn source(
    weeks: &Arc<Weeks>,
    first: usize,
    household: usize,
    start: Time,
) -> impl FnMut(&RegisterName, Time) -> Decimal + Send + use<> {
    let house = Household::new(weeks.clone(), first + household);
    // The minute of the block's day on which the demo begins: its night is the block's, whatever hour
    // its household's data stand at.
    let begins_at = minute_of_day(start);
    let taps = Taps { house, begins_at, household: u64::try_from(household).unwrap_or(0) };
    let mut counted = (0, 0); // minutes, litres
    let begins = 150_000 + u64::try_from(household).unwrap_or(0) * 31_337;
    move |_, now| {
        let minutes = |at: Time| at.since(start).map_or(0, |s| s.as_millis() / 60_000);
        let day = |n: i64| minutes(start.plus(Span::from_days(n)));
        let now = u64::try_from(minutes(now)).unwrap_or(0);
        // Minutes that were counted once are not looked at again.
        if now < counted.0 {
            counted = (0, 0);
        }
        for minute in counted.0..now {
            counted.1 += taps.litres(minute);
        }
        counted.0 = now;
        let mut litres = counted.1;
        let passed = i64::try_from(now).unwrap_or(0);
        if household == LEAK.2 {
            let leaking = passed.clamp(day(LEAK.0), day(LEAK.1)) - day(LEAK.0);
            litres += u64::try_from(leaking * LEAK.3 / 60).unwrap_or(0);
        }
        if household == STUCK.2 {
            // What passed while it stuck was never counted.
            litres = stuck(&taps, litres, now, (day(STUCK.0), day(STUCK.1)));
        }
        Decimal::new(i64::try_from(begins + litres).unwrap_or(0), 3)
    }
}

/// Minutes since midnight in the demo's zone, Asia/Shanghai, which has no daylight saving.
fn minute_of_day(at: Time) -> u64 {
    u64::try_from((at.as_millis() / 60_000 + 8 * 60).rem_euclid(1_440)).unwrap_or(0)
}

/// What a household's taps let run.
struct Taps {
    house: Household,
    begins_at: u64,
    household: u64,
}

impl Taps {
    /// Litres in a minute after the start.
    fn litres(&self, minute: u64) -> u64 {
        let (day, of_day) = ((self.begins_at + minute) / 1_440, (self.begins_at + minute) % 1_440);
        if (ASLEEP.0..ASLEEP.1).contains(&of_day) {
            let up = (day + self.household).is_multiple_of(3)
                && of_day == ASLEEP.0 + (day * 37 + self.household * 11) % (ASLEEP.1 - ASLEEP.0);
            return if up { CISTERN } else { 0 };
        }
        let draws = |minute: u64| self.house.watts(minute) > WATTS;
        let begun =
            || (1..=RUNS_MAX).any(|back| minute.checked_sub(back).is_none_or(|m| !draws(m)));
        if draws(minute) && begun() { LITRES_A_MINUTE } else { 0 }
    }
}

fn stuck(taps: &Taps, litres: u64, now: u64, (from, to): (i64, i64)) -> u64 {
    let edge = |minute: i64| u64::try_from(minute).unwrap_or(0).min(now);
    let missed: u64 = (edge(from)..edge(to)).map(|minute| taps.litres(minute)).sum();
    litres.saturating_sub(missed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planted_explains_only_its_own_alarms_in_its_own_days() {
        let planted = planted();
        let explains = |code, subject: &str, day| {
            planted.iter().any(|plant| plant.explains(code, subject, day))
        };
        let leak = format!("meter/w-{}", flat(LEAK.2));
        assert!(explains("continuous-flow", &leak, LEAK.0 + 1));
        assert!(!explains("continuous-flow", &leak, LEAK.1 + 2), "the toilet is mended by then");
        assert!(!explains("meter-stuck", &leak, LEAK.0 + 1));
        assert!(!explains("continuous-flow", "meter/w-10101", LEAK.0 + 1));
        assert!(explains("long-stay", "stay/east-17", 300));
    }

    #[test]
    fn a_house_that_heats_at_night_draws_no_water_for_it() {
        let weeks = Weeks::load().unwrap();
        let start = Time::from_millis(1_790_812_800_000); // a midnight in Shanghai less eight hours
        for household in 0..METERS {
            let taps = Taps {
                house: Household::new(weeks.clone(), household),
                begins_at: minute_of_day(start),
                household: u64::try_from(household).unwrap(),
            };
            let (mut by_day, mut by_night) = (0, 0);
            for minute in 0..28 * 1_440 {
                let of_day = (taps.begins_at + minute) % 1_440;
                let litres = taps.litres(minute);
                if (ASLEEP.0..ASLEEP.1).contains(&of_day) {
                    by_night += litres
                } else {
                    by_day += litres
                }
            }
            assert!((9 * CISTERN..=10 * CISTERN).contains(&by_night), "{household}: {by_night}");
            assert!(by_day > 28 * 20, "{household}: {by_day}");
        }
    }
}
