//! The least flow of the night against the nights before. Abnormal nights do not enter the memory.

use super::flow::raise;
use super::micro::{Micro, part, push};
use super::rule::NightStep;
use super::watch::{Opening, Sample, Turn};
use crate::calendar::{Zone, next_day};
use blockgate_types::{Span, Time};
use serde::{Deserialize, Serialize};

/// A part of the night must be this long to have a flow of its own.
const SLICE_MIN_MS: i64 = 54 * 60 * 1000;

/// So much of a night must be known.
const COVERED_MIN_MS: i64 = 105 * 60 * 1000;

/// So many nights must be known before one is judged.
const NIGHTS_MIN: usize = 7;

/// When a night is.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Minute of the day at which it begins.
    pub from_minute: u16,
    /// And ends.
    pub to_minute: u16,
}

/// What is known of one meter's nights.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Night {
    /// The night that is going on or comes next.
    from: Time,
    to: Time,
    slice: Option<(Time, i64)>,
    least: Option<i64>,
    covered_ms: i64,
    /// The quiet nights, oldest first.
    ring: Vec<i64>,
    /// Nights in a row above each step, and the least of them.
    runs: Vec<(u32, i64)>,
    quiet: u32,
    open: bool,
}

impl Night {
    /// Takes a sample. Last but one: how many quiet nights are remembered, and how many close.
    pub fn take(
        &mut self,
        sample: &Sample,
        zone: &Zone,
        window: Window,
        steps: &[NightStep],
        (history, closes_after): (u32, u32),
        raised: u32,
    ) -> Option<Turn> {
        let mut turn = None;
        if sample.to > self.to {
            if self.to > Time::EPOCH {
                turn = self.judge(sample, steps, history, closes_after, raised);
            }
            self.next(sample.to, zone, window);
        }
        if sample.from < self.from || sample.to > self.to {
            self.slice = None;
            return turn;
        }
        let (from, used) = self.slice.unwrap_or((sample.from, 0));
        let used = used.saturating_add(sample.used);
        let length = sample.to.as_millis().saturating_sub(from.as_millis());
        if length < SLICE_MIN_MS {
            self.slice = Some((from, used));
            return turn;
        }
        self.slice = None;
        let rate = part(used, Span::from_hours(1).as_millis(), length);
        self.least = Some(self.least.map_or(rate, |least| least.min(rate)));
        self.covered_ms = self.covered_ms.saturating_add(length);
        turn
    }

    /// The first night that ends at or after a time.
    fn next(&mut self, at: Time, zone: &Zone, window: Window) {
        let today = zone.day(at);
        let ends = zone.moment(today, window.to_minute);
        let day = if at <= ends { today } else { next_day(today) };
        self.from = zone.moment(day, window.from_minute);
        self.to = zone.moment(day, window.to_minute);
        (self.slice, self.least, self.covered_ms) = (None, None, 0);
    }

    fn judge(
        &mut self,
        sample: &Sample,
        steps: &[NightStep],
        history: u32,
        closes_after: u32,
        raised: u32,
    ) -> Option<Turn> {
        let least = self.least.filter(|_| self.covered_ms >= COVERED_MIN_MS)?;
        let before = self.ring.iter().copied().max().unwrap_or(0);
        self.runs.resize(steps.len(), (0, 0));
        let known = self.ring.len() >= NIGHTS_MIN;
        let mut fired = None;
        let mut above = false;
        for (run, step) in self.runs.iter_mut().zip(steps) {
            if !known || least < before.saturating_add(raise(step.excess, raised)) {
                *run = (0, 0);
                continue;
            }
            above = true;
            let lowest = if run.0 == 0 { least } else { run.1.min(least) };
            *run = (run.0.saturating_add(1), lowest);
            if run.0 >= step.nights {
                fired = fired.or(Some(*run));
            }
        }
        if !above {
            push(&mut self.ring, least, usize::try_from(history).unwrap_or(14));
            self.quiet = self.quiet.saturating_add(1);
            if self.open && self.quiet >= closes_after {
                self.open = false;
                return Some(Turn::Close);
            }
            return None;
        }
        self.quiet = 0;
        let (nights, lowest) = fired?;
        self.open = true;
        Some(Turn::Open(Opening::of([
            ("nights", nights.to_string()),
            ("rate", Micro(lowest).told(sample.unit)),
            ("before", Micro(before).told(sample.unit)),
        ])))
    }
}
