//! Master less sub-meters, hour by hour, as a one-sided CUSUM: `S = max(0, S + x - usual - k)`. Every
//! meter's hours come by interpolation between its readings, so that all are over the same instants;
//! an hour counts once each member has told it. `usual` and the spread come from the losses of the
//! last week, and stand still while an alarm is open.

use super::flow::raise;
use super::micro::{Micro, median, part, push, spread};
use super::watch::{Opening, Turn};
use blockgate_types::{MeterId, Unit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Hours of losses that are remembered.
const MEMORY: usize = 168;

/// So many must be known before one is judged.
const MEMORY_MIN: usize = 72;

/// Hours that wait for a member; older ones are given up.
const WAITING_MAX: usize = 72;

/// What is a leak.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A loss so much above the usual one, per hour, is none.
    pub slack: Micro,
    /// Threshold in robust standard deviations of an hour.
    pub deviations: u32,
    /// And at least so much in all.
    pub least: Micro,
}

/// A master and its sub-meters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Hours that not every member has told: sum of what was told (master positive, subs negative),
    /// and who has.
    waiting: BTreeMap<i64, (i64, BTreeSet<MeterId>)>,
    ring: Vec<i64>,
    usual: i64,
    spread: i64,
    sum: i64,
    /// Since the sum left zero: hours and their losses.
    hours: u32,
    lost: i64,
    open: bool,
    told_hours: u32,
    /// Hours since the sum left zero at which the alarm is told again.
    below: u32,
}

impl Balance {
    /// Takes what one member used in an hour; `signed` is negative for a sub-meter.
    #[expect(clippy::too_many_arguments, reason = "an hour, its place, and how it is judged")]
    pub fn take(
        &mut self,
        hour: i64,
        member: &MeterId,
        signed: i64,
        members: usize,
        limits: &Limits,
        raised: u32,
        unit: Unit,
    ) -> Option<Turn> {
        let entry = self.waiting.entry(hour).or_default();
        if !entry.1.insert(member.clone()) {
            return None;
        }
        entry.0 = entry.0.saturating_add(signed);
        let mut turn = None;
        if entry.1.len() == members {
            let loss = entry.0;
            self.waiting.remove(&hour);
            turn = self.judge(loss, limits, raised, unit);
        }
        while self.waiting.len() > WAITING_MAX {
            self.waiting.pop_first();
        }
        turn
    }

    fn judge(&mut self, loss: i64, limits: &Limits, raised: u32, unit: Unit) -> Option<Turn> {
        if self.ring.len() < MEMORY_MIN {
            push(&mut self.ring, loss, MEMORY);
            return None;
        }
        if self.spread == 0 && self.usual == 0 || (!self.open && self.sum == 0) {
            self.usual = median(&self.ring);
            self.spread = spread(&self.ring, self.usual).max(1);
        }
        // Half a standard deviation, the classic choice, or the rule's slack.
        let slack = raise(limits.slack, raised).max(part(self.spread, 1, 2));
        let excess = loss.saturating_sub(self.usual).saturating_sub(slack);
        // One wild hour (a reading that came late) must not be a leak.
        let excess = excess.min(self.spread.saturating_mul(4).max(slack.saturating_mul(4)));
        let threshold = self.spread.saturating_mul(i64::from(limits.deviations));
        let threshold = raise(Micro(threshold.max(limits.least.0)), raised);
        self.sum = self.sum.saturating_add(excess).clamp(0, threshold.saturating_mul(2));
        if self.sum == 0 {
            (self.hours, self.lost) = (0, 0);
        } else {
            self.hours = self.hours.saturating_add(1);
            self.lost = self.lost.saturating_add(loss);
        }
        if self.sum == 0 || (!self.open && self.sum < part(threshold, 1, 4)) {
            push(&mut self.ring, loss, MEMORY);
        }
        if self.open {
            self.below = if excess < 0 { self.below.saturating_add(1) } else { 0 };
            if self.below >= 24 {
                *self = Self {
                    ring: std::mem::take(&mut self.ring),
                    waiting: std::mem::take(&mut self.waiting),
                    ..Self::default()
                };
                return Some(Turn::Close);
            }
            if self.hours < self.told_hours.saturating_add(24) {
                return None;
            }
        } else if self.sum < threshold {
            return None;
        }
        (self.open, self.told_hours) = (true, self.hours);
        let hours = i64::from(self.hours.max(1));
        let rate = self.lost.checked_div(hours).unwrap_or(0);
        let excess = self.lost.saturating_sub(self.usual.saturating_mul(hours));
        Some(Turn::Open(Opening::of([
            ("loss", Micro(rate).told(unit)),
            ("usual", Micro(self.usual).told(unit)),
            ("excess", Micro(excess).told(unit)),
            ("hours", self.hours.to_string()),
        ])))
    }
}
