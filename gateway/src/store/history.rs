//! The quarter-hour history: a file for each register, in `<state>/sled/history/<meter>/<register>`.
//! Not rows of sled: a year of 1,000 meters is 400,000 register days, and sled would hold an index of
//! all of them in memory. It lies in sled's folder because it is derived like the trees, complete up
//! to the same record, and goes with them.
//!
//! ```text
//! file     chunks, appended; a later chunk of the same day is added to it
//! chunk    length of the body, u32 | crc32c of the body, u32, little-endian | body
//! body     day since 1970-01-01 UTC, u32 little-endian | points, in order
//! point    milliseconds since the point before plus a quarter hour, varint zigzag (since midnight,
//!          less a quarter hour, for the first) | decimal places, u8 | the value's digits less those
//!          of the value before, varint zigzag (all of them, where the decimal places change)
//! ```
//!
//! A power cut can leave a torn chunk, and a later start appends behind it: what is not a whole chunk
//! is passed over byte by byte. What [`super::trees::Trees::durable`] told is synced, so a torn chunk
//! holds nothing that the journal's replay does not bring again.

use crate::limits::HISTORY_DAYS_MAX;
use blockgate_rules::event::{Reading, Verdict};
use blockgate_types::{Decimal, MeterId, RegisterName, Time};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

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
            // Of what meters showed; an estimate is none of it.
            Verdict::Held { .. } | Verdict::Estimated { .. } => return,
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

/// The files.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
}

/// The day of a chunk, before its points are read.
const DAY: usize = 4;
const HEAD: usize = 8;

impl Files {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Begins with no history.
    pub(super) fn clear(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&self.dir)
    }

    pub(super) fn exist(&self) -> bool {
        self.dir.is_dir()
    }

    /// Makes all files durable at once. Blocks as long as the file system needs for all it holds back.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&File::open(&self.dir)?)?)
    }

    fn path(&self, meter: &MeterId, register: &RegisterName) -> PathBuf {
        self.dir.join(meter.as_str()).join(register.as_str())
    }

    /// Appends a day's points, and drops days that are too old once they are a tenth of the file.
    pub(super) fn append(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        day: &Day,
    ) -> io::Result<()> {
        let path = self.path(meter, register);
        let open = || File::options().append(true).create(true).open(&path);
        let mut file = match open() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(self.dir.join(meter.as_str()))?;
                open()?
            }
            opened => opened?,
        };
        let length = file.metadata()?.len();
        file.write_all(&chunk(day))?;
        if length == 0 || !self.is_long(&path, day.day)? {
            return Ok(());
        }
        let oldest = day.day.saturating_sub(HISTORY_DAYS_MAX);
        let mut kept = Vec::new();
        for (day, points) in self.read(meter, register, oldest, u32::MAX)? {
            kept.extend_from_slice(&chunk(&Day { day, points }));
        }
        let fresh = path.with_extension("new"); // a register's name has no dot
        let mut short = File::create(&fresh)?;
        short.write_all(&kept)?;
        short.sync_data()?; // the name must not come before the bytes
        std::fs::rename(fresh, path)
    }

    /// Whether a file begins with days that nobody asks for any more.
    fn is_long(&self, path: &Path, today: u32) -> io::Result<bool> {
        let mut head = [0; HEAD + DAY];
        match File::open(path)?.read_exact(&mut head) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
        let first = head.last_chunk().map_or(0, |day| u32::from_le_bytes(*day));
        Ok(first.saturating_add(HISTORY_DAYS_MAX + HISTORY_DAYS_MAX / 10) < today)
    }

    /// The days from `first` to `last` of a register, each whole.
    pub(super) fn read(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        first: u32,
        last: u32,
    ) -> io::Result<BTreeMap<u32, Vec<Point>>> {
        let bytes = match std::fs::read(self.path(meter, register)) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        let mut days: BTreeMap<u32, Vec<Point>> = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Some((body, after)) = take_chunk(rest) else {
                rest = &rest[1..];
                continue;
            };
            rest = after;
            let Some((day, points)) = body.split_first_chunk() else { continue };
            let day = u32::from_le_bytes(*day);
            if (first..=last).contains(&day) {
                let merged = days.entry(day).or_default();
                for point in unpack(points) {
                    put(merged, point);
                }
            }
        }
        Ok(days)
    }
}

fn chunk(day: &Day) -> Vec<u8> {
    let mut body = day.day.to_le_bytes().to_vec();
    pack(&day.points, &mut body);
    let mut out = u32::try_from(body.len()).unwrap_or(0).to_le_bytes().to_vec();
    out.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    out.extend_from_slice(&body);
    out
}

/// The body of a chunk that begins here, and what follows it.
fn take_chunk(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let (body, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (crc32c::crc32c(body) == u32::from_le_bytes(*crc) && !body.is_empty()).then_some((body, after))
}

fn put_number(out: &mut Vec<u8>, number: i128) {
    let mut zigzag = ((number << 1) ^ (number >> 127)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn get_number(bytes: &mut &[u8]) -> Option<i128> {
    let mut zigzag: u128 = 0;
    for shift in (0..128).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        zigzag |= u128::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
        }
    }
    None
}

/// A value's digits as a delta: a value has at most 29 of them, 97 bits with the sign.
fn pack(points: &[Point], out: &mut Vec<u8>) {
    let (mut before, mut digits, mut places) = (-i128::from(QUARTER_MS), 0, u8::MAX);
    for (ms, value) in points {
        put_number(out, i128::from(*ms) - before - i128::from(QUARTER_MS));
        before = i128::from(*ms);
        let scale = u8::try_from(value.scale()).unwrap_or(0);
        out.push(scale);
        let all = value.mantissa();
        put_number(out, if scale == places { all - digits } else { all });
        (digits, places) = (all, scale);
    }
}

/// Reads points up to the first that cannot be.
fn unpack(mut bytes: &[u8]) -> Vec<Point> {
    let mut points = Vec::new();
    let (mut before, mut digits, mut places) = (-i128::from(QUARTER_MS), 0_i128, u8::MAX);
    let mut next = || {
        before = get_number(&mut bytes)? + before + i128::from(QUARTER_MS);
        let (scale, rest) = bytes.split_first()?;
        bytes = rest;
        let number = get_number(&mut bytes)?;
        digits = if *scale == places { digits.checked_add(number)? } else { number };
        places = *scale;
        let value = Decimal::try_from_i128_with_scale(digits, u32::from(places)).ok()?;
        Some((u32::try_from(before).ok()?, value))
    };
    while let Some(point) = next() {
        points.push(point);
    }
    points
}

/// The points of a day that lie in a span of time.
pub(super) fn within(day: &Day, from: Time, to: Time) -> impl Iterator<Item = (Time, Decimal)> {
    let points = day.points.iter().map(|(ms, value)| (time(day.day, *ms), *value));
    points.filter(move |(at, _)| from <= *at && *at < to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids() -> (MeterId, RegisterName) {
        (MeterId::new("m-1").unwrap(), RegisterName::new("energy_import").unwrap())
    }

    proptest! {
        #[test]
        fn any_day_comes_back_as_it_was(
            day in any::<u32>(),
            values in prop::collection::btree_map(
                0_u32..86_400_000,
                ((-(1_i128 << 96) + 1)..(1_i128 << 96), 0_u32..29),
                1..99,
            ),
            cut in any::<prop::sample::Index>(),
        ) {
            let points: Vec<Point> = values
                .into_iter()
                .map(|(ms, (digits, scale))| (ms, Decimal::from_i128_with_scale(digits, scale)))
                .collect();
            let bytes = chunk(&Day { day, points: points.clone() });
            let (body, after) = take_chunk(&bytes).unwrap();
            prop_assert!(after.is_empty());
            prop_assert_eq!(u32::from_le_bytes(*body.first_chunk().unwrap()), day);
            let back = unpack(&body[DAY..]);
            prop_assert_eq!(&back, &points);
            let scales = |points: &[Point]| points.iter().map(|p| p.1.scale()).collect::<Vec<_>>();
            prop_assert_eq!(scales(&back), scales(&points));
            prop_assert!(take_chunk(&bytes[..cut.index(bytes.len())]).is_none());
        }
    }

    #[test]
    fn a_day_of_quarter_hours_takes_five_bytes_a_point() {
        let points =
            (0..96).map(|q| (q * QUARTER_MS + 7, Decimal::new(1_000_000 + 25 * i64::from(q), 2)));
        let bytes = chunk(&Day { day: 20_000, points: points.collect() });
        assert!(bytes.len() < 96 * 5, "{}", bytes.len());
    }

    #[test]
    fn a_torn_chunk_hides_nothing_but_itself_and_old_days_go() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(dir.path().join("history"));
        files.clear().unwrap();
        let (meter, register) = ids();
        let point = |q: u32| (q * QUARTER_MS, Decimal::from(q));
        let file = files.path(&meter, &register);
        for day in [5, 6] {
            files.append(&meter, &register, &Day { day, points: vec![point(1)] }).unwrap();
        }
        files.append(&meter, &register, &Day { day: 5, points: vec![point(2)] }).unwrap();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let days = files.read(&meter, &register, 0, 9).unwrap();
        assert_eq!(days, BTreeMap::from([(5, vec![point(1)]), (6, vec![point(1)])]));
        files.append(&meter, &register, &Day { day: 9, points: vec![point(1)] }).unwrap();
        let days = files.read(&meter, &register, 0, 9).unwrap();
        assert_eq!(days.keys().copied().collect::<Vec<_>>(), [5, 6, 9], "behind a torn chunk");

        std::fs::write(&file, &whole).unwrap();
        let today = 6 + HISTORY_DAYS_MAX + HISTORY_DAYS_MAX / 10;
        files.append(&meter, &register, &Day { day: today - 1, points: vec![point(3)] }).unwrap();
        assert_eq!(files.read(&meter, &register, 0, 6).unwrap().len(), 2, "not old enough");
        files.append(&meter, &register, &Day { day: today, points: vec![point(3)] }).unwrap();
        let days = files.read(&meter, &register, 0, u32::MAX).unwrap();
        assert_eq!(days.keys().copied().collect::<Vec<_>>(), [today - 1, today]);
    }
}
