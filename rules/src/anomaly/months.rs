//! Months against the same month of the year before: equipment that uses more than it did, and
//! households that have been outside their band for months.

use super::flow::raise;
use super::micro::{Micro, part, push};
use super::watch::{Opening, Turn};
use blockgate_types::Unit;
use serde::{Deserialize, Serialize};

/// Months that are remembered: two years and the running one.
const MEMORY: usize = 25;

/// A month's use counts only where so many of its days are known.
const DAYS_MIN: u32 = 20;

/// How a month is judged.
#[derive(Debug, Clone, Copy)]
pub struct Band {
    /// So many months in a row.
    pub months: u32,
    /// Percent around the same month of the year before.
    pub percent: u32,
    /// And at least so much.
    pub least: Micro,
    /// Whether too little counts as well.
    pub below_too: bool,
}

/// One meter's months.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Months {
    /// The running month, counted from year 0.
    month: i32,
    used: i64,
    days: u32,
    /// The months before, the newest last, -1 where it is not known.
    ring: Vec<i64>,
    run: u32,
    open: bool,
}

impl Months {
    /// Takes a day of a month (`year × 12 + month - 1`).
    pub fn take(
        &mut self,
        month: i32,
        used: i64,
        band: &Band,
        raised: u32,
        unit: Unit,
    ) -> Option<Turn> {
        let mut turn = None;
        if month != self.month {
            if self.month > 0 && month > self.month {
                turn = self.close(band, raised, unit);
                for _ in 1..month.saturating_sub(self.month).min(25) {
                    push(&mut self.ring, -1, MEMORY);
                }
            }
            (self.month, self.used, self.days) = (month, 0, 0);
        }
        self.used = self.used.saturating_add(used);
        self.days = self.days.saturating_add(1);
        turn
    }

    fn close(&mut self, band: &Band, raised: u32, unit: Unit) -> Option<Turn> {
        let used = if self.days >= DAYS_MIN { self.used } else { -1 };
        let before = self.ring.len().checked_sub(12).and_then(|n| self.ring.get(n)).copied();
        push(&mut self.ring, used, MEMORY);
        let before = before.filter(|before| *before >= 0 && used >= 0);
        let far = before.is_some_and(|before| {
            let width = part(before, i64::from(band.percent), 100).max(band.least.0);
            let width = raise(Micro(width), raised);
            let apart = used.saturating_sub(before);
            apart > width || (band.below_too && apart < width.saturating_neg())
        });
        let Some(before) = before.filter(|_| far) else {
            self.run = 0;
            return std::mem::take(&mut self.open).then_some(Turn::Close);
        };
        self.run = self.run.saturating_add(1);
        if self.run < band.months {
            return None;
        }
        self.open = true;
        let apart = used.saturating_sub(before);
        let percent = part(apart, 100, before.max(1));
        let (year, month) =
            (self.month.div_euclid(12), self.month.rem_euclid(12).saturating_add(1));
        Some(Turn::Open(Opening::of([
            ("month", format!("{year:04}-{month:02}")),
            ("months", self.run.to_string()),
            ("used", Micro(used).told(unit)),
            ("before", Micro(before).told(unit)),
            ("percent", percent.to_string()),
        ])))
    }
}
