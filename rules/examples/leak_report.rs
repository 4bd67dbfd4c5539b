//! What the shipped anomaly rules find in real household water, how soon, and how often they are
//! wrong, beside two baselines on the same readings. The households with odd numbers were used to
//! choose the thresholds; the table is about those with even numbers.
//!
//! `cargo run --release -p blockgate-rules --example leak_report [-- --tuning] [-- READINGS.csv]`

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "leak_report/baseline.rs"]
mod baseline;
#[path = "leak_report/block.rs"]
mod block;
#[path = "leak_report/data.rs"]
mod data;

use block::{Fed, raised};
use blockgate_rules::anomaly::parse::{self, Rules};
use blockgate_rules::event::Alarm;
use blockgate_types::{Span, Time};
use data::{House, Point};

type Failure = Box<dyn std::error::Error>;

/// How long an injected fault is watched.
const WATCHED: Span = Span::from_days(14);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tuning = arguments.iter().any(|argument| argument == "--tuning");
    let file = arguments.iter().find(|argument| !argument.starts_with("--"));
    let houses = match file {
        Some(path) => data::from_csv(&std::fs::read_to_string(path)?).ok_or("not such a CSV")?,
        None => data::built_in().ok_or("the built-in data")?,
    };
    // Every second one, whatever they are called.
    let half: Vec<House> = houses
        .into_iter()
        .enumerate()
        .filter(|(n, _)| file.is_some() || (n % 2 == 0) == tuning)
        .map(|(_, house)| house)
        .collect();
    let rules = parse::shipped();
    println!("Data: DAIAD trial A smart water meters (swm_trialA), CC BY-SA 4.0.");
    let which = match (file, tuning) {
        (Some(_), _) => "all households of the file",
        (None, true) => "the households that the thresholds were chosen on (odd numbers)",
        (None, false) => "households that were not used for choosing thresholds (even numbers)",
    };
    println!("{} households: {which}.\n", half.len());
    let years = false_alarms(&half, &rules)?;
    leaks(&half, &years, &rules)?;
    faults(&half, &years, &rules)?;
    building(&half, &rules)?;
    Ok(())
}

/// A household's year without any injected fault.
struct Year {
    /// The block after each reading, at some of them: to go on from there with a fault.
    marks: Vec<(usize, Fed)>,
    /// All changes of alarms.
    alarms: Vec<Alarm>,
}

/// Where faults are injected: the first covered start in each month after the first.
fn starts(house: &House, number: usize) -> Vec<(usize, bool)> {
    let Some((begin, _)) = house.readings.first() else { return Vec::new() };
    let mut found = Vec::new();
    for month in 1..12 {
        let hour = i64::try_from(number * 7 + month * 5).unwrap_or(0) % 24;
        let month = i64::try_from(month).unwrap_or(0);
        let at = begin.plus(Span::from_hours(month * 30 * 24 + 5 * 24 + hour));
        let Some(index) = house.readings.iter().position(|(when, _)| *when >= at) else { continue };
        let covered = house.is_covered(at, Span::from_days(7));
        found.push((index, covered));
    }
    found
}

fn false_alarms(houses: &[House], rules: &Rules) -> Result<Vec<Year>, Failure> {
    let mut years = Vec::new();
    let (mut count, mut hours) = (0, 0);
    let (mut continuous, mut least) = (0, 0);
    println!(
        "Alarms in the untouched year. Every one is counted as false, although some look like leaks:"
    );
    for (number, house) in houses.iter().enumerate() {
        let mut fed = Fed::new(&[&house.name], None, rules)?;
        let wanted: Vec<usize> =
            starts(house, number).into_iter().map(|(index, _)| index).collect();
        let mut year = Year { marks: Vec::new(), alarms: Vec::new() };
        for (index, point) in house.readings.iter().enumerate() {
            if wanted.contains(&index) {
                year.marks.push((index, fed.clone()));
            }
            year.alarms.extend(fed.read(&house.name, *point)?);
        }
        hours += house.covered_hours();
        continuous += baseline::continuous(&house.readings).len();
        least += baseline::least_night_flow(&house.readings, GAMMA_PERCENT).len();
        years.push(year);
    }
    // All rules together, those about whole buildings too: one block of all households.
    let names: Vec<&str> = houses.iter().map(|house| house.name.as_str()).collect();
    let mut fed = Fed::new(&names, None, rules)?;
    for (at, who, litres) in merged(houses) {
        let alarms = fed.read(names.get(who).copied().unwrap_or(""), (at, litres))?;
        for alarm in raised(&alarms) {
            println!("  {} {} {} {}", alarm.at, rule(alarm), alarm.subject, alarm.text.en);
            count += 1;
        }
    }
    if count == 0 {
        println!("  none");
    }
    let months = hours / 730;
    println!(
        "\nFalse alarms per 100 households and month ({months} household-months with readings):"
    );
    for (name, count) in [
        ("blockgate, all shipped rules together", count),
        ("24 h continuous flow", continuous),
        ("LeakDB minimum night flow", least),
    ] {
        println!("  {name:<40} {:>5}  ({count} alarms)", per_100(count, months));
    }
    println!();
    Ok(years)
}

/// The readings of all households in the order of time.
fn merged(houses: &[House]) -> Vec<(Time, usize, i64)> {
    let mut all: Vec<(Time, usize, i64)> = Vec::new();
    for (n, house) in houses.iter().enumerate() {
        all.extend(house.readings.iter().map(|(at, litres)| (*at, n, *litres)));
    }
    all.sort_unstable();
    all
}

/// LeakDB's gamma; the smallest flow at night is zero nearly everywhere, so that it hardly matters.
const GAMMA_PERCENT: i64 = 10;

fn per_100(count: usize, months: i64) -> String {
    let hundredths = i64::try_from(count).unwrap_or(0) * 10_000 / months.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn rule(alarm: &Alarm) -> &str {
    alarm.rule.as_deref().and_then(|rule| rule.split('/').next()).unwrap_or("?")
}

/// Delays of one detector, and how many faults there were.
#[derive(Default)]
struct Delays {
    hours: Vec<i64>,
    all: usize,
}

impl Delays {
    fn add(&mut self, found: Option<Time>, from: Time) {
        self.all += 1;
        let hours =
            |at: Time| at.since(from).map(|delay| (delay.as_millis() + 3_599_999) / 3_600_000);
        self.hours.extend(found.and_then(hours));
    }

    fn row(&mut self) -> String {
        self.hours.sort_unstable();
        let percent = self.hours.len() * 1000 / self.all.max(1);
        let middle = self.hours.get(self.hours.len() / 2).copied().unwrap_or(0);
        let last = self.hours.last().copied().unwrap_or(0);
        format!(
            "{:>3}.{} % of {:<3}  median {middle:>3} h, longest {last:>3} h",
            percent / 10,
            percent % 10,
            self.all
        )
    }
}

/// The readings from a start on, with a fault.
fn with_fault<'h>(
    house: &'h House,
    start: usize,
    lasts: Span,
    fault: impl Fn(Time, i64, Point) -> i64 + 'h,
) -> impl Iterator<Item = Point> + 'h {
    let before = start.saturating_sub(1);
    let base = house.readings.get(before).copied().unwrap_or((Time::EPOCH, 0));
    let end = base.0.plus(lasts);
    let after = house.readings.iter().skip(start).take_while(move |(at, _)| *at <= end);
    after.map(move |(at, litres)| (*at, fault(base.0, base.1, (*at, *litres))))
}

fn leak(litres_an_hour: i64) -> impl Fn(Time, i64, Point) -> i64 {
    move |from, _, (at, litres)| {
        let ms = at.since(from).map_or(0, Span::as_millis);
        litres + litres_an_hour * ms / 3_600_000
    }
}

fn leaks(houses: &[House], years: &[Year], rules: &Rules) -> Result<(), Failure> {
    let _ = rules;
    println!("Injected leaks, one in each month of each household; 14 days are watched:");
    for litres in [5, 20, 100, 400] {
        let mut rows = [Delays::default(), Delays::default(), Delays::default(), Delays::default()];
        let mut spoilt = 0;
        for (number, (house, year)) in houses.iter().zip(years).enumerate() {
            for (start, covered) in starts(house, number) {
                let Some((_, fed)) = year.marks.iter().find(|(index, _)| *index == start) else {
                    continue;
                };
                let from = house.readings.get(start.saturating_sub(1)).map_or(Time::EPOCH, |p| p.0);
                // An alarm of the untouched year in the same days would be taken for a find.
                let near = |at: Time| at >= from && at <= from.plus(WATCHED);
                if fed.has_open() || raised(&year.alarms).any(|alarm| near(alarm.at)) {
                    spoilt += 1;
                    continue;
                }
                let mut fed = fed.clone();
                let faulty: Vec<Point> = with_fault(house, start, WATCHED, leak(litres)).collect();
                let mut found = None;
                for point in &faulty {
                    let alarms = fed.read(&house.name, *point)?;
                    if let Some(alarm) = raised(&alarms).next() {
                        found = Some(alarm.at);
                        break;
                    }
                }
                rows[if covered { 0 } else { 1 }].add(found, from);
                if covered {
                    let whole: Vec<Point> = house
                        .readings
                        .iter()
                        .take(start)
                        .copied()
                        .chain(faulty.iter().copied())
                        .collect();
                    let first = |alarms: Vec<Time>| alarms.into_iter().find(|at| *at > from);
                    rows[2].add(first(baseline::continuous(&whole)), from);
                    rows[3].add(first(baseline::least_night_flow(&whole, GAMMA_PERCENT)), from);
                }
            }
        }
        let [ours, gaps, continuous, least] = &mut rows;
        println!("  {litres:>3} l/h  blockgate                  {}", ours.row());
        println!("           24 h continuous flow       {}", continuous.row());
        println!("           LeakDB minimum night flow  {}", least.row());
        println!(
            "           blockgate, where readings are missing for hours or days: {}",
            gaps.row()
        );
        println!("           ({spoilt} starts left out: an alarm of the untouched year is near)");
    }
    println!();
    Ok(())
}

fn faults(houses: &[House], years: &[Year], rules: &Rules) -> Result<(), Failure> {
    let _ = rules;
    println!(
        "Injected faults of meters, in households that use water on most days; 45 days are watched:"
    );
    let lasts = Span::from_days(45);
    for (name, wanted) in [("stuck", "stuck-water"), ("runs backwards", "reverse-water")] {
        let mut row = Delays::default();
        let mut others = 0;
        for (number, (house, year)) in houses.iter().zip(years).enumerate() {
            for (start, covered) in starts(house, number) {
                let Some((_, fed)) = year.marks.iter().find(|(index, _)| *index == start) else {
                    continue;
                };
                let from = house.readings.get(start.saturating_sub(1)).map_or(Time::EPOCH, |p| p.0);
                if !covered
                    || !house.is_covered(from, lasts)
                    || fed.has_open()
                    || !is_used(house, start)
                {
                    continue;
                }
                let fault = |_: Time, base: i64, (_, litres): Point| match name {
                    "stuck" => base,
                    _ => (2 * base - litres).max(0),
                };
                let mut fed = fed.clone();
                let mut found = None;
                for point in with_fault(house, start, lasts, fault) {
                    let alarms = fed.read(&house.name, point)?;
                    others += raised(&alarms).filter(|alarm| rule(alarm) != wanted).count();
                    found =
                        raised(&alarms).find(|alarm| rule(alarm) == wanted).map(|alarm| alarm.at);
                    if found.is_some() {
                        break;
                    }
                }
                row.add(found, from);
            }
        }
        println!("  {name:<16} {}   (other alarms meanwhile: {others})", row.row());
    }
    println!();
    Ok(())
}

/// Whether something was used on two of three days of the month before.
fn is_used(house: &House, start: usize) -> bool {
    let before: Vec<Point> =
        house.readings.iter().take(start).rev().take(30 * 24).copied().collect();
    let mut days: Vec<i64> = before
        .windows(2)
        .filter(|pair| matches!(pair, [(_, after), (_, before)] if after > before))
        .filter_map(|pair| Some(pair.first()?.0.as_millis() / 86_400_000))
        .collect();
    days.dedup();
    days.len() >= 20
}

/// A building whose master counts what its households use, and a leak in a common pipe.
fn building(houses: &[House], rules: &Rules) -> Result<(), Failure> {
    let good: Vec<&House> = houses.iter().filter(|house| house.covered_hours() > 8_300).collect();
    println!(
        "A building of {} households with few holes in their readings, and a master over them:",
        good.len()
    );
    let names: Vec<String> = good.iter().map(|house| house.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let from = good.iter().filter_map(|house| house.readings.first()).map(|p| p.0).max();
    let until = good.iter().filter_map(|house| house.readings.last()).map(|p| p.0).min();
    let (Some(from), Some(until)) = (from, until) else { return Ok(()) };
    let good: Vec<House> = good.into_iter().cloned().collect();
    let mut merged = merged(&good);
    let hours = until.since(from).map_or(0, Span::as_millis) / 3_600_000;
    for hour in 0..hours {
        let at = from.plus(Span::from_hours(hour));
        let sum = good.iter().map(|house| register_at(house, at)).sum();
        merged.push((at, usize::MAX, sum));
    }
    merged.sort_unstable();
    for litres in [0, 20, 100, 400] {
        let leak_from = from.plus(Span::from_days(150));
        let mut fed = Fed::new(&names, Some("Master"), rules)?;
        let (mut found, mut false_ones) = (None, 0);
        let mut text = String::new();
        for (at, who, value) in &merged {
            let name = names.get(*who).copied().unwrap_or("Master");
            let ms = at.since(leak_from).map_or(0, Span::as_millis);
            let leak = if *who == usize::MAX { litres * ms / 3_600_000 } else { 0 };
            for alarm in fed.read(name, (*at, value + leak))? {
                let balance = rule(&alarm) == "balance-water";
                let is_raised = raised(std::slice::from_ref(&alarm)).next().is_some();
                if balance && is_raised && (*at < leak_from || litres == 0) {
                    false_ones += 1;
                } else if balance && is_raised && found.is_none() {
                    found = at.since(leak_from).map(|delay| delay.as_millis() / 3_600_000);
                    text.clone_from(&alarm.text.en);
                }
                if litres == 0 && is_raised && rule(&alarm).starts_with("building") {
                    println!("        {} {} {}", alarm.at, rule(&alarm), alarm.text.en);
                }
            }
            if found.is_some() {
                break;
            }
        }
        match (litres, found) {
            (0, _) => println!("    no leak  {false_ones} alarms of the balance in the year"),
            (_, Some(delay)) => println!("  {litres:>3} l/h    found after {delay} h: {text}"),
            (_, None) => println!("  {litres:>3} l/h    not found"),
        }
    }
    Ok(())
}

/// A household's register at a time, between its readings.
fn register_at(house: &House, at: Time) -> i64 {
    let after = house.readings.partition_point(|(when, _)| *when <= at);
    let next = house.readings.get(after);
    let before = after.checked_sub(1).and_then(|n| house.readings.get(n));
    match (before, next) {
        (Some((from, low)), Some((to, high))) => {
            let whole = to.since(*from).map_or(1, Span::as_millis).max(1);
            let part = at.since(*from).map_or(0, Span::as_millis);
            low + (high - low) * part / whole
        }
        (Some((_, low)), None) => *low,
        (None, Some((_, high))) => *high,
        (None, None) => 0,
    }
}
