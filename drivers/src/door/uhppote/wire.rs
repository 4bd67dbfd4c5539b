//! Bytes at their places. Reading beyond the end gives zeros, which no field takes for a value.

use super::LEN;
use crate::bcd;
use crate::door::{Civil, CivilDate};

/// A datagram that is being written.
pub(super) struct Writer(pub(super) [u8; LEN]);

impl Writer {
    pub(super) fn new(som: u8, code: u8, serial: u32) -> Self {
        let mut writer = Self([0; LEN]);
        writer.byte(0, som);
        writer.byte(1, code);
        writer.long(4, serial);
        writer
    }

    pub(super) fn byte(&mut self, at: usize, value: u8) {
        if let Some(place) = self.0.get_mut(at) {
            *place = value;
        }
    }

    pub(super) fn bytes(&mut self, at: usize, values: &[u8]) {
        for (place, value) in self.0.iter_mut().skip(at).zip(values) {
            *place = *value;
        }
    }

    pub(super) fn short(&mut self, at: usize, value: u16) {
        self.bytes(at, &value.to_le_bytes());
    }

    pub(super) fn long(&mut self, at: usize, value: u32) {
        self.bytes(at, &value.to_le_bytes());
    }

    pub(super) fn date(&mut self, at: usize, date: CivilDate) {
        let (high, low) = (two(date.year / 100), two(date.year % 100));
        self.bytes(at, &[high, low, bcd::from_two(date.month), bcd::from_two(date.day)]);
    }

    pub(super) fn civil(&mut self, at: usize, civil: Civil) {
        self.date(at, civil.date());
        let time = [civil.hour, civil.minute, civil.second].map(bcd::from_two);
        self.bytes(at.saturating_add(4), &time);
    }

    /// Minutes of the day as `HHmm`.
    pub(super) fn minutes(&mut self, at: usize, minutes: u16) {
        self.bytes(at, &[two(minutes / 60), two(minutes % 60)]);
    }
}

fn two(number: u16) -> u8 {
    bcd::from_two(u8::try_from(number % 100).unwrap_or(0))
}

/// A datagram that is being read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d>(pub(super) &'d [u8]);

impl Reader<'_> {
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    pub(super) fn flag(&self, at: usize) -> bool {
        self.byte(at) != 0
    }

    pub(super) fn short(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at.saturating_add(1))])
    }

    pub(super) fn long(&self, at: usize) -> u32 {
        let byte = |n: usize| self.byte(at.saturating_add(n));
        u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)])
    }

    fn two(&self, at: usize) -> Option<u8> {
        bcd::two(self.byte(at))
    }

    /// A date of four bytes; `None` for zeros and for digits that are none.
    pub(super) fn date(&self, at: usize) -> Option<CivilDate> {
        let two = |n: usize| self.two(at.saturating_add(n));
        let year = u16::from(two(0)?).checked_mul(100)?.checked_add(u16::from(two(1)?))?;
        let date = CivilDate { year, month: two(2)?, day: two(3)? };
        let fine = (1..=12).contains(&date.month) && (1..=31).contains(&date.day) && year >= 2000;
        fine.then_some(date)
    }

    /// A date of three bytes, of this century.
    pub(super) fn short_date(&self, at: usize) -> Option<CivilDate> {
        let two = |n: usize| self.two(at.saturating_add(n));
        let date = CivilDate {
            year: 2000_u16.checked_add(u16::from(two(0)?))?,
            month: two(1)?,
            day: two(2)?,
        };
        ((1..=12).contains(&date.month) && (1..=31).contains(&date.day)).then_some(date)
    }

    /// Hour, minute, second.
    pub(super) fn time(&self, at: usize) -> Option<(u8, u8, u8)> {
        let two = |n: usize| self.two(at.saturating_add(n));
        Some((two(0)?, two(1)?, two(2)?))
    }

    /// Date and time of seven bytes.
    pub(super) fn civil(&self, at: usize) -> Option<Civil> {
        join(self.date(at)?, self.time(at.saturating_add(4))?)
    }

    /// `HHmm` as minutes of the day.
    pub(super) fn minutes(&self, at: usize) -> Option<u16> {
        let (hour, minute) = (self.two(at)?, self.two(at.saturating_add(1))?);
        (hour < 24 && minute < 60)
            .then_some(u16::from(hour).saturating_mul(60).saturating_add(u16::from(minute)))
    }

    pub(super) fn four(&self, at: usize) -> [bool; 4] {
        [0, 1, 2, 3].map(|n: usize| self.flag(at.saturating_add(n)))
    }
}

/// A date and a time of day as one; `None` where it is no time.
pub(super) fn join(date: CivilDate, (hour, minute, second): (u8, u8, u8)) -> Option<Civil> {
    let CivilDate { year, month, day } = date;
    let civil = Civil { year, month, day, hour, minute, second };
    civil.is_plausible().then_some(civil)
}
