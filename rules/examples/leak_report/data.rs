//! The households of `rules/tests/data/daiad-water.bin`, or of a CSV of the same form.

use blockgate_types::{Span, Time};

/// The time of a reading, and the register in litres.
pub(crate) type Point = (Time, i64);

/// One household's year.
#[derive(Clone)]
pub(crate) struct House {
    /// `W01`.
    pub(crate) name: String,
    /// In the order of time.
    pub(crate) readings: Vec<Point>,
}

static PACKED: &[u8] = include_bytes!("../../tests/data/daiad-water.bin");

/// The built-in households.
pub(crate) fn built_in() -> Option<Vec<House>> {
    let (head, mut rest) = PACKED.split_at_checked(9)?;
    if !head.starts_with(b"BGWR0001") {
        return None;
    }
    let mut houses = Vec::new();
    for _ in 0..*head.get(8)? {
        let (name, after) = rest.split_at_checked(3)?;
        rest = after;
        let name = String::from_utf8(name.to_vec()).ok()?;
        let count = varint(&mut rest)?;
        let (mut minute, mut litres) = (-60, 0);
        let mut readings = Vec::new();
        for _ in 0..count {
            minute += varint(&mut rest)? + 60;
            litres += varint(&mut rest)?;
            readings.push((local(minute * 60_000), litres));
        }
        houses.push(House { name, readings });
    }
    rest.is_empty().then_some(houses)
}

/// The households of a CSV: household, local_time, register_litres.
pub(crate) fn from_csv(text: &str) -> Option<Vec<House>> {
    let mut houses: Vec<House> = Vec::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let mut fields = line.split(',');
        let (name, at, litres) = (fields.next()?, fields.next()?, fields.next()?);
        let at: Time = format!("{at}+08:00").parse().ok()?;
        let litres = litres.trim().parse().ok()?;
        match houses.iter_mut().find(|house| house.name == name) {
            Some(house) => house.readings.push((at, litres)),
            None => houses.push(House { name: name.to_owned(), readings: vec![(at, litres)] }),
        }
    }
    Some(houses)
}

/// Local times of the trial are taken for those of the block, UTC+8: night is night.
fn local(ms: i64) -> Time {
    Time::from_millis(ms).minus(Span::from_hours(8))
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0_i64, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= i64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some((value >> 1) ^ -(value & 1));
        }
    }
}

impl House {
    /// Household-months that the readings cover: hours with a reading, by 730.
    pub(crate) fn covered_hours(&self) -> i64 {
        let mut hours: Vec<i64> =
            self.readings.iter().map(|(at, _)| at.as_millis() / 3_600_000).collect();
        hours.dedup();
        i64::try_from(hours.len()).unwrap_or(0)
    }

    /// Whether the readings from a time on are good enough to judge a detector by: most hours of the
    /// week after have one, and no hole is longer than six hours.
    pub(crate) fn is_covered(&self, from: Time, lasts: Span) -> bool {
        let until = from.plus(lasts);
        let inside: Vec<Time> = self
            .readings
            .iter()
            .map(|(at, _)| *at)
            .filter(|at| *at >= from && *at <= until)
            .collect();
        let hours = lasts.as_millis() / 3_600_000;
        let enough = i64::try_from(inside.len()).unwrap_or(0) * 100 >= hours * 80;
        let mut last = from;
        for at in &inside {
            if at.since(last).is_some_and(|gap| gap > Span::from_hours(6)) {
                return false;
            }
            last = *at;
        }
        enough && until.since(last).is_some_and(|gap| gap <= Span::from_hours(6))
    }
}
