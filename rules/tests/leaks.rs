//! The shipped anomaly rules on real household water (`rules/tests/data`): a few households of those
//! that the thresholds were not chosen on. The whole report is `cargo run --release -p blockgate-rules
//! --example leak_report`.

#![allow(clippy::unwrap_used)]

#[path = "../examples/leak_report/block.rs"]
mod block;
#[path = "../examples/leak_report/data.rs"]
#[allow(dead_code, reason = "the report reads other files too")]
mod data;

use block::{Fed, raised};
use blockgate_rules::anomaly::parse;
use blockgate_types::{Span, Time};
use data::House;

fn houses(names: &[&str]) -> Vec<House> {
    let mut houses = data::built_in().unwrap();
    houses.retain(|house| names.contains(&house.name.as_str()));
    houses
}

/// Feeds a household up to a day, then with a leak; gives the delay of the first alarm.
fn found(house: &House, day: i64, litres_an_hour: i64) -> Option<Span> {
    let mut fed = Fed::new(&[&house.name], None, &parse::shipped()).unwrap();
    let from: Time = house.readings[0].0.plus(Span::from_days(day));
    for (at, litres) in &house.readings {
        let ms = at.since(from).map_or(0, Span::as_millis);
        let leak = litres_an_hour * ms / 3_600_000;
        let alarms = fed.read(&house.name, (*at, litres + leak)).unwrap();
        if let Some(alarm) = raised(&alarms).next() {
            return alarm.at.since(from);
        }
    }
    None
}

#[test]
fn leaks_in_real_households_are_found_in_their_time() {
    for house in houses(&["W02", "W12", "W34", "W44"]) {
        assert!(
            house.is_covered(house.readings[0].0.plus(Span::from_days(60)), Span::from_days(7))
        );
        for (litres, within) in [(5, 7 * 24), (20, 72), (100, 48), (400, 24)] {
            let delay = found(&house, 60, litres);
            let in_time = delay.is_some_and(|delay| delay <= Span::from_hours(within));
            assert!(in_time, "{} {litres} l/h: {delay:?}", house.name);
        }
    }
}

#[test]
fn a_year_of_real_households_without_a_known_leak_raises_no_alarm() {
    for house in houses(&["W02", "W14", "W24", "W40"]) {
        let mut fed = Fed::new(&[&house.name], None, &parse::shipped()).unwrap();
        for point in &house.readings {
            let alarms = fed.read(&house.name, *point).unwrap();
            let told: Vec<&String> = raised(&alarms).map(|alarm| &alarm.text.en).collect();
            assert!(told.is_empty(), "{} {}: {told:?}", house.name, point.0);
        }
        assert!(!fed.has_open());
    }
}
