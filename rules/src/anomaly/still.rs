//! Registers that stand still, and registers that run backwards.

use super::flow::raise;
use super::micro::{Micro, part};
use super::watch::{Opening, Sample, Turn};
use blockgate_types::{Span, Time, Unit};
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// So many days must be known before a standstill means anything.
const DAYS_MIN: u32 = 14;

/// A margin over the longest standstill before.
const MARGIN: Span = Span::from_days(7);

/// What counts as stuck.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At least so long.
    pub lasts: Span,
    /// Times the longest before, in percent.
    pub own_percent: u32,
    /// Used on so many percent of the days before.
    pub used_days_percent: u32,
    /// Sooner where somebody is there.
    pub occupied: Option<Span>,
}

/// One meter's standstills.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Still {
    since: Option<Time>,
    longest_ms: i64,
    /// Days with use before the standstill, newest in the lowest bit.
    days: u64,
    known: u32,
    day: i64,
    used_today: bool,
    open: bool,
    told_at: Time,
}

impl Still {
    /// How long it has stood still.
    #[must_use]
    pub fn lasts(&self, at: Time) -> Option<Span> {
        self.since.and_then(|since| at.since(since))
    }

    /// Takes a sample. `is_occupied` is asked only when the answer matters.
    pub fn take(
        &mut self,
        sample: &Sample,
        limits: &Limits,
        raised: u32,
        is_occupied: impl FnOnce() -> bool,
    ) -> Option<Turn> {
        let day = sample.to.as_millis().checked_div(DAY_MS).unwrap_or(0);
        if day != self.day {
            if self.since.is_none() || self.used_today {
                self.days = (self.days << 1) | u64::from(self.used_today);
                self.known = self.known.saturating_add(1).min(64);
            }
            (self.day, self.used_today) = (day, false);
        }
        if sample.used != 0 {
            self.used_today = true;
            if let Some(span) = self.lasts(sample.to) {
                self.longest_ms = self.longest_ms.max(span.as_millis());
                // The days of a standstill that is over were days without use.
                let missed = span.as_millis().checked_div(DAY_MS).unwrap_or(0);
                let missed = u32::try_from(missed).unwrap_or(64).min(64);
                self.days = self.days.checked_shl(missed).unwrap_or(0);
                self.known = self.known.saturating_add(missed).min(64);
            }
            self.since = None;
            return std::mem::take(&mut self.open).then_some(Turn::Close);
        }
        let since = *self.since.get_or_insert(sample.from);
        let stood = sample.to.as_millis().saturating_sub(since.as_millis());
        if self.known < DAYS_MIN || stood < DAY_MS {
            return None;
        }
        let known = 1_u64.checked_shl(self.known).map_or(u64::MAX, |bit| bit.wrapping_sub(1));
        let used = (self.days & known).count_ones().saturating_mul(100);
        if used.checked_div(self.known).unwrap_or(0) < limits.used_days_percent {
            return None;
        }
        let own = part(self.longest_ms, i64::from(limits.own_percent), 100);
        let margin = if self.longest_ms > 0 { MARGIN.as_millis().min(own) } else { 0 };
        let needed = limits.lasts.as_millis().max(own.saturating_add(margin));
        let needed = raise(Micro(needed), raised);
        let sooner = limits.occupied.filter(|span| stood >= span.as_millis());
        let occupied = stood < needed && sooner.is_some() && is_occupied();
        if stood < needed && !occupied && !self.open {
            return None;
        }
        if self.open && sample.to < self.told_at.plus(Span::from_days(7)) {
            return None;
        }
        (self.open, self.told_at) = (true, sample.to);
        let days = |ms: i64| ms.checked_div(DAY_MS).unwrap_or(0).to_string();
        let mut opening = Opening::of([
            ("days", days(stood)),
            ("before", days(self.longest_ms)),
            ("since", since.to_string()),
        ]);
        if occupied {
            opening.facts.insert("occupied".to_owned(), "true".to_owned());
        }
        Some(Turn::Open(opening))
    }
}

/// One register's falls since it was highest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reverse {
    high: i64,
    low: i64,
    falls: u32,
    open: bool,
    told: i64,
}

impl Reverse {
    /// The register shows less than it did.
    pub fn fell(
        &mut self,
        high: i64,
        value: i64,
        least: Micro,
        falls: u32,
        raised: u32,
        unit: Unit,
    ) -> Option<Turn> {
        if self.high != high || self.falls == 0 {
            *self = Self { high, low: high, open: self.open, ..Self::default() };
        }
        if value >= self.low {
            return None;
        }
        self.low = value;
        self.falls = self.falls.saturating_add(1);
        let back = high.saturating_sub(value);
        let enough = self.falls >= falls && back >= raise(least, raised);
        if !enough || (self.open && back < self.told.saturating_mul(2)) {
            return None;
        }
        (self.open, self.told) = (true, back);
        Some(Turn::Open(Opening::of([
            ("high", Micro(high).decimal().to_string()),
            ("value", Micro(value).decimal().to_string()),
            ("back", Micro(back).told(unit)),
            ("falls", self.falls.to_string()),
        ])))
    }

    /// The register goes forward again, or was begun anew.
    pub fn rose(&mut self) -> Option<Turn> {
        let open = self.open;
        *self = Self::default();
        open.then_some(Turn::Close)
    }
}
