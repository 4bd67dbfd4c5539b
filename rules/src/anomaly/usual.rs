//! What is usual at an hour or on a day of the week: the last eight of each, their median and their
//! robust spread. A value that was found odd does not enter the memory while it is odd.

use super::flow::raise;
use super::micro::{Micro, median, part, push, spread};
use super::watch::{Opening, Turn};
use blockgate_types::Unit;
use serde::{Deserialize, Serialize};

/// Values that are remembered for each hour or day of the week.
const MEMORY: usize = 8;

/// So many must be known before one is judged.
const MEMORY_MIN: usize = 4;

/// Odd values that follow one another for longer than so many limits are the new usual.
const GIVE_IN: u32 = 8;

/// What is far from usual.
#[derive(Debug, Clone, Copy)]
pub struct Far {
    /// So many in a row.
    pub in_a_row: u32,
    /// Robust standard deviations.
    pub deviations: u32,
    /// Percent of the median.
    pub percent: u32,
    /// And so much more.
    pub least: Micro,
}

/// The memory of a week, by hour or by day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usual {
    cells: Vec<Vec<i64>>,
    run: u32,
    /// What was used in the odd ones, and what would have been usual.
    odd: (i64, i64),
    quiet: u32,
    open: bool,
}

impl Usual {
    /// Takes a value for a cell of `cells`; `when` tells people which one it is.
    #[expect(clippy::too_many_arguments, reason = "a value, its place, and how it is judged")]
    pub fn take(
        &mut self,
        cell: usize,
        cells: usize,
        value: i64,
        far: &Far,
        raised: u32,
        when: &str,
        unit: Unit,
    ) -> Option<Turn> {
        if self.cells.len() != cells {
            self.cells.resize(cells, Vec::new());
        }
        let known = self.cells.get_mut(cell)?;
        let usual = median(known);
        let deviations = part(spread(known, usual), i64::from(far.deviations), 1);
        let limit = usual
            .saturating_add(deviations)
            .max(part(usual, i64::from(far.percent), 100))
            .max(usual.saturating_add(far.least.0));
        let limit = usual.saturating_add(raise(Micro(limit.saturating_sub(usual)), raised));
        if known.len() < MEMORY_MIN || value <= limit {
            push(known, value, MEMORY);
            (self.run, self.odd) = (0, (0, 0));
            self.quiet = self.quiet.saturating_add(1);
            if self.open && self.quiet >= far.in_a_row {
                self.open = false;
                return Some(Turn::Close);
            }
            return None;
        }
        self.quiet = 0;
        self.run = self.run.saturating_add(1);
        self.odd = (self.odd.0.saturating_add(value), self.odd.1.saturating_add(usual));
        if self.run > far.in_a_row.saturating_mul(GIVE_IN) {
            push(known, value, MEMORY);
        }
        let again = self.run.checked_rem(far.in_a_row) == Some(0);
        if self.run < far.in_a_row || !again {
            return None;
        }
        self.open = true;
        Some(Turn::Open(Opening::of([
            ("day", when.to_owned()),
            ("days", self.run.to_string()),
            ("used", Micro(value).told(unit)),
            ("usual", Micro(usual).told(unit)),
            ("limit", Micro(limit).told(unit)),
            ("excess", Micro(self.odd.0.saturating_sub(self.odd.1)).told(unit)),
        ])))
    }
}

/// A day of the calendar, as the detectors need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayOf {
    /// Days since 1970.
    pub number: i32,
    /// Monday is 0.
    pub weekday: usize,
    /// `2026-03-01`.
    pub text: String,
    /// Months since year 0.
    pub month: i32,
}

/// A building's day: the sum over its meters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildingDays {
    day: DayOf,
    sum: i64,
    count: u32,
    usual: Usual,
}

impl BuildingDays {
    /// Takes one meter's day. A day is judged once every meter has told its own; when the next day
    /// begins before, with nineteen of twenty meters, in proportion.
    pub fn take(
        &mut self,
        day: &DayOf,
        used: i64,
        members: u32,
        far: &Far,
        raised: u32,
        unit: Unit,
    ) -> Option<Turn> {
        let mut turn = None;
        if day.number < self.day.number {
            return None;
        }
        if day.number > self.day.number {
            let enough = self.count.saturating_mul(20) >= members.saturating_mul(19);
            if enough && self.count < members {
                let sum = part(self.sum, i64::from(members), i64::from(self.count));
                turn = self.judge(sum, far, raised, unit);
            }
            (self.day, self.sum, self.count) = (day.clone(), 0, 0);
        }
        self.sum = self.sum.saturating_add(used);
        self.count = self.count.saturating_add(1);
        if self.count == members {
            turn = self.judge(self.sum, far, raised, unit).or(turn);
        }
        turn
    }

    fn judge(&mut self, sum: i64, far: &Far, raised: u32, unit: Unit) -> Option<Turn> {
        self.usual.take(self.day.weekday, 7, sum, far, raised, &self.day.text, unit)
    }
}
