//! Real household consumption, replayed: what a meter has counted at a point of simulated time.
//!
//! The data (`gateway/data`, with its source and licence) are 24 weeks of one house, in watts per
//! minute. Household `h` begins in its own week, takes every fifth week after it and is shifted by
//! some minutes, so that no two households are alike at any time.

use std::sync::Arc;

static DATA: &[u8] = include_bytes!("../../data/uci-household.bin");
const MINUTES: usize = 7 * 24 * 60;

/// The weeks: watt-minutes counted since Monday 00:00, at each minute.
#[derive(Debug)]
pub struct Weeks(Vec<Vec<u32>>);

/// The built-in data did not have the form that `gateway/data/README.md` describes.
#[derive(Debug, Clone, Copy)]
pub struct Malformed;

impl Weeks {
    /// Reads the built-in data.
    ///
    /// # Errors
    /// [`Malformed`], which a test excludes.
    pub fn load() -> Result<Arc<Self>, Malformed> {
        let (head, mut rest) = DATA.split_at_checked(9).ok_or(Malformed)?;
        let (magic, count) = head.split_at(8);
        if magic != b"BGHP0001" {
            return Err(Malformed);
        }
        let mut weeks = Vec::new();
        for _ in 0..count.first().copied().unwrap_or(0) {
            rest = rest.get(8..).ok_or(Malformed)?;
            let (mut watts, mut counted) = (0_i64, 0_u32);
            let mut week = Vec::with_capacity(MINUTES + 1);
            week.push(0);
            for _ in 0..MINUTES {
                let (zigzag, after) = varint(rest).ok_or(Malformed)?;
                rest = after;
                watts += (zigzag >> 1) ^ -(zigzag & 1);
                counted += u32::try_from(watts).map_err(|_| Malformed)?;
                week.push(counted);
            }
            weeks.push(week);
        }
        if weeks.is_empty() || !rest.is_empty() {
            Err(Malformed)
        } else {
            Ok(Arc::new(Self(weeks)))
        }
    }

    fn counted(&self, week: usize, minute: usize) -> u64 {
        let week = self.0.get(week % self.0.len());
        u64::from(week.and_then(|w| w.get(minute)).copied().unwrap_or(0))
    }
}

fn varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (mut value, mut shift) = (0_i64, 0);
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= i64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(i + 1..)?));
        }
    }
    None
}

/// One household.
#[derive(Debug, Clone)]
pub struct Household {
    weeks: Arc<Weeks>,
    number: usize,
    /// Watt-minutes of the whole weeks before `week`.
    before: u64,
    week: usize,
}

impl Household {
    /// Household `number`, from 0.
    #[must_use]
    pub fn new(weeks: Arc<Weeks>, number: usize) -> Self {
        Self { weeks, number, before: 0, week: 0 }
    }

    /// What it has used `minutes` after the start, in watt-hours. Never falls when time does not.
    pub fn used_wh(&mut self, minutes: u64) -> u64 {
        let (week, minute) = self.place(minutes);
        if week < self.week {
            (self.week, self.before) = (0, 0);
        }
        while self.week < week {
            self.before += self.weeks.counted(self.data_week(self.week), MINUTES);
            self.week += 1;
        }
        (self.before + self.weeks.counted(self.data_week(week), minute)) / 60
    }

    /// Average power of the minute in watts.
    #[must_use]
    pub fn watts(&self, minutes: u64) -> u64 {
        let (week, minute) = self.place(minutes);
        let week = self.data_week(week);
        self.weeks.counted(week, minute + 1) - self.weeks.counted(week, minute)
    }

    fn place(&self, minutes: u64) -> (usize, usize) {
        let shifted = usize::try_from(minutes).unwrap_or(0) + self.number * 41;
        (shifted / MINUTES, shifted % MINUTES)
    }

    fn data_week(&self, week: usize) -> usize {
        self.number * 7 + week * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_are_whole_and_real_in_size() {
        let weeks = Weeks::load().unwrap();
        assert_eq!(weeks.0.len(), 24);
        // The first week as `slice.py` printed it: 291.397 kWh, here in whole watt-hours.
        assert_eq!(weeks.counted(0, MINUTES) / 60, 291_396);
    }

    #[test]
    fn a_counter_never_runs_backwards_and_no_two_households_are_alike() {
        let weeks = Weeks::load().unwrap();
        let mut last = vec![0; 60];
        let mut houses: Vec<_> = (0..60).map(|n| Household::new(weeks.clone(), n)).collect();
        for minutes in (0..62 * 1440).step_by(15) {
            for (house, last) in houses.iter_mut().zip(&mut last) {
                let used = house.used_wh(minutes);
                assert!(used >= *last);
                *last = used;
            }
        }
        let mut ends = last.clone();
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends.len(), 60);
    }
}
