//! The quarter-hour history: how one day of one register is packed into a row of the trees.
//!
//! ```text
//! key    'h' | meter | 0 | register | 0 | day since 1970-01-01 UTC, u32 big-endian
//! value  one entry a quarter hour, in order:  millisecond of the day, u32 big-endian |
//!        length, u8 | the value as decimal text
//! ```

use super::trees::TreesError;
use blockgate_rules::event::{Reading, Verdict};
use blockgate_types::{Decimal, MeterId, RegisterName, Time, parse_decimal};
use std::collections::BTreeMap;

const DAY_MS: i64 = 86_400_000;
const QUARTER_MS: u32 = 900_000;

/// One reading: millisecond of its day, and its value.
pub(super) type Point = (u32, Decimal);

/// A day of a register.
#[derive(Debug, Default, Clone)]
pub(super) struct Day {
    /// Days since 1970-01-01 UTC.
    pub(super) day: u32,
    pub(super) points: Vec<Point>,
}

/// Splits a time into day and millisecond of the day.
pub(super) fn split(at: Time) -> (u32, u32) {
    let ms = at.as_millis();
    let (day, rest) = (ms / DAY_MS, ms % DAY_MS);
    (u32::try_from(day).unwrap_or(u32::MAX), u32::try_from(rest).unwrap_or(0))
}

fn time(day: u32, ms: u32) -> Time {
    Time::from_millis(i64::from(day) * DAY_MS + i64::from(ms))
}

/// Puts a point in its quarter hour's place; a later one of the same quarter hour wins.
pub(super) fn put(points: &mut Vec<Point>, point: Point) -> bool {
    let quarter = point.0 / QUARTER_MS;
    match points.binary_search_by_key(&quarter, |p| p.0 / QUARTER_MS) {
        Ok(place) => {
            if points[place].0 <= point.0 {
                points[place] = point;
            }
            false
        }
        Err(place) => {
            points.insert(place, point);
            true
        }
    }
}

/// Readings that are not in the trees yet.
#[derive(Debug, Default)]
pub(super) struct Staged {
    meters: BTreeMap<MeterId, Vec<(RegisterName, Day)>>,
    /// Days that were over when a reading of the next came.
    over: Vec<(MeterId, RegisterName, Day)>,
    pub(super) points: usize,
}

impl Staged {
    /// Takes a reading in, when it is believed.
    pub(super) fn take(&mut self, reading: &Reading) {
        match reading.verdict {
            Verdict::Held { .. } => return,
            Verdict::Opened
            | Verdict::Accepted { .. }
            | Verdict::Rollover { .. }
            | Verdict::Exchanged { .. }
            | Verdict::Rebased { .. } => {}
        }
        let (day, ms) = split(reading.at);
        if !self.meters.contains_key(&reading.meter) {
            self.meters.insert(reading.meter.clone(), Vec::new());
        }
        let Some(registers) = self.meters.get_mut(&reading.meter) else { return };
        let place = registers.iter().position(|(name, _)| *name == reading.register);
        let place = place.unwrap_or_else(|| {
            registers.push((reading.register.clone(), Day { day, points: Vec::new() }));
            registers.len() - 1
        });
        let staged = &mut registers[place].1;
        if staged.day != day {
            let over = std::mem::replace(staged, Day { day, points: Vec::new() });
            if !over.points.is_empty() {
                self.over.push((reading.meter.clone(), reading.register.clone(), over));
            }
        }
        self.points += usize::from(put(&mut staged.points, (ms, reading.value)));
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> Vec<(MeterId, RegisterName, Day)> {
        let mut all = std::mem::take(&mut self.over);
        for (meter, registers) in std::mem::take(&mut self.meters) {
            for (register, day) in registers {
                if !day.points.is_empty() {
                    all.push((meter.clone(), register, day));
                }
            }
        }
        self.points = 0;
        all
    }

    /// What is staged of one register, day by day.
    pub(super) fn days(&self, meter: &MeterId, register: &RegisterName) -> Vec<Day> {
        let over = self.over.iter().filter(|(m, r, _)| m == meter && r == register);
        let mut days: Vec<_> = over.map(|(_, _, day)| day.clone()).collect();
        let now = self.meters.get(meter).into_iter().flatten();
        days.extend(now.filter(|(r, _)| r == register).map(|(_, day)| day.clone()));
        days
    }
}

/// What the rows of a register begin with.
pub(super) fn prefix(meter: &MeterId, register: &RegisterName) -> Vec<u8> {
    let mut key = vec![b'h'];
    key.extend_from_slice(meter.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(register.as_str().as_bytes());
    key.push(0);
    key
}

/// A row's key.
pub(super) fn key(prefix: &[u8], day: u32) -> Vec<u8> {
    [prefix, &day.to_be_bytes()].concat()
}

/// A row's value.
pub(super) fn encode(points: &[Point]) -> Vec<u8> {
    let mut out = Vec::with_capacity(points.len() * 14);
    for (ms, value) in points {
        let text = value.to_string();
        out.extend_from_slice(&ms.to_be_bytes());
        out.push(u8::try_from(text.len()).unwrap_or(0)); // a Decimal has at most 31 characters
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Reads a row.
pub(super) fn decode(mut row: &[u8]) -> Result<Vec<Point>, TreesError> {
    let wrong = || TreesError::Row("history".to_owned());
    let mut points = Vec::new();
    while let Some((ms, rest)) = row.split_first_chunk() {
        let (len, rest) = rest.split_first().ok_or_else(wrong)?;
        let (text, rest) = rest.split_at_checked(usize::from(*len)).ok_or_else(wrong)?;
        let text = std::str::from_utf8(text).map_err(|_| wrong())?;
        points.push((u32::from_be_bytes(*ms), parse_decimal(text).map_err(|_| wrong())?));
        row = rest;
    }
    Ok(points)
}

/// The points of a day that lie in a span of time.
pub(super) fn within(day: &Day, from: Time, to: Time) -> impl Iterator<Item = (Time, Decimal)> {
    let points = day.points.iter().map(|(ms, value)| (time(day.day, *ms), *value));
    points.filter(move |(at, _)| from <= *at && *at < to)
}
