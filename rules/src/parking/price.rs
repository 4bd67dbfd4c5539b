//! What a stay costs, with every part that makes the sum: a stay's minutes, walked as the plan says; the
//! cap of each window's turn, then the cap of each cycle.

use super::plan::{CapScope, FreeMode, Plan, Seconds};
use super::walk::{Walked, walk};
use crate::calendar::{Day, Zone, next_day};
use crate::money::{minus, plus};
use blockgate_types::{Decimal, Time};
use std::collections::BTreeMap;

/// The longest stay that is priced, in minutes: 366 days. A longer one is priced as one of so long: a car
/// that was forgotten is a matter for people.
pub const STAY_MINUTES_MAX: u32 = 527_040;

/// How long the clock is followed without asking the zone again. Shifts of clocks lie on such edges.
const LOOK_MINUTES: i64 = 15;

/// A stay's minutes on the clock of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minutes {
    /// Runs in which the clock simply goes on: how many minutes, on which day, from which minute of it.
    runs: Vec<(u32, Day, u16)>,
}

impl Minutes {
    /// The minutes of a stay, by the zone's clock; `None` when it ends before it begins.
    #[must_use]
    pub fn between(zone: &Zone, entry: Time, exit: Time, seconds: Seconds) -> Option<Self> {
        let count = count(exit.as_millis().checked_sub(entry.as_millis())?, seconds)?;
        let mut minutes = Self { runs: Vec::new() };
        let mut done: u32 = 0;
        while done < count {
            let at =
                entry.plus(blockgate_types::Span::from_secs(i64::from(done).saturating_mul(60)));
            let (day, minute) = (zone.day(at), zone.minute_of_day(at));
            // To the next edge of the UTC clock, which shifts keep to.
            let into = at.as_millis().div_euclid(60_000).rem_euclid(LOOK_MINUTES);
            let ahead = u32::try_from(LOOK_MINUTES.saturating_sub(into)).unwrap_or(1);
            let length = ahead.min(count.saturating_sub(done));
            minutes.push(length, day, minute);
            done = done.saturating_add(length);
        }
        Some(minutes)
    }

    /// The minutes of a stay by a clock that is never shifted: `entry` as a day and a minute of it, and how
    /// long the stay is in seconds.
    #[must_use]
    pub fn civil(day: Day, minute: u16, length_s: i64, seconds: Seconds) -> Option<Self> {
        let mut minutes = Self { runs: Vec::new() };
        minutes.push(count(length_s.checked_mul(1_000)?, seconds)?, day, minute);
        Some(minutes)
    }

    /// Puts a run at the end, cut at midnight.
    fn push(&mut self, length: u32, day: Day, minute: u16) {
        let (mut left, mut day, mut minute) = (length, day, minute);
        while left > 0 {
            let length = left.min(u32::from(1_440_u16.saturating_sub(minute)).max(1));
            match self.runs.last_mut() {
                Some((run, on, from))
                    if *on == day && u32::from(*from).saturating_add(*run) == u32::from(minute) =>
                {
                    *run = run.saturating_add(length);
                }
                _ => self.runs.push((length, day, minute)),
            }
            left = left.saturating_sub(length);
            (day, minute) = (next_day(day), 0);
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.runs.iter().fold(0, |sum, (length, ..)| sum.saturating_add(*length))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The first ones.
    #[must_use]
    pub fn first(&self, count: u32) -> Self {
        let mut left = count;
        let mut runs = Vec::new();
        for (length, day, minute) in &self.runs {
            let length = left.min(*length);
            if length > 0 {
                runs.push((length, *day, *minute));
            }
            left = left.saturating_sub(length);
        }
        Self { runs }
    }

    /// The day of the first one.
    pub(super) fn first_day(&self) -> Option<Day> {
        self.runs.first().map(|(_, day, _)| *day)
    }

    /// Each one: its day and its minute of the day.
    pub(super) fn ticks(&self) -> impl Iterator<Item = (Day, u16)> + '_ {
        self.runs.iter().flat_map(|(length, day, from)| {
            (0..*length)
                .map(move |n| (*day, from.saturating_add(u16::try_from(n).unwrap_or(u16::MAX))))
        })
    }
}

fn count(millis: i64, seconds: Seconds) -> Option<u32> {
    let whole = match seconds {
        Seconds::Drop => millis.div_euclid(60_000),
        Seconds::Up => millis.checked_add(59_999)?.div_euclid(60_000),
    };
    (millis >= 0).then(|| u32::try_from(whole).unwrap_or(u32::MAX).min(STAY_MINUTES_MAX))
}

/// One part of a price, in the order of time: a window's turn in one cycle, one step of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Index of the plan's window.
    pub window: usize,
    /// Index of the window's step.
    pub step: usize,
    /// Blocks that are due.
    pub blocks: u32,
    /// Price of one.
    pub price: Decimal,
    /// Blocks × price.
    pub amount: Decimal,
}

/// One turn of a window, or time that costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The cycle in which it lies, from 0.
    pub cycle: usize,
    /// The window; `None` for free time and time outside of all windows.
    pub window: Option<usize>,
    /// The first minute of the stay that belongs to it.
    pub from: u32,
    /// The minute after the last.
    pub to: u32,
    /// What is due for it, before the window's cap.
    pub parts: Vec<Part>,
    /// What the window's cap takes off.
    pub capped: Decimal,
    /// Minutes that its first block had used in windows before, where blocks carry over an edge.
    pub used_before: u32,
    /// Minutes used of a block that went on from here to another window.
    pub handed_on: u32,
    /// Minutes that its last block ran beyond its window, at the price of its start.
    pub over: u32,
    /// Minutes of another kind of day, that a block begun before midnight kept in its window.
    pub kept: u32,
}

impl Turn {
    /// One in which nothing is due yet.
    pub(super) fn new(cycle: usize, window: Option<usize>, from: u32, to: u32) -> Self {
        Self {
            cycle,
            window,
            from,
            to,
            parts: Vec::new(),
            capped: Decimal::ZERO,
            used_before: 0,
            handed_on: 0,
            over: 0,
            kept: 0,
        }
    }

    /// What is due for it after the window's cap.
    #[must_use]
    pub fn amount(&self) -> Option<Decimal> {
        let sum = self.parts.iter().try_fold(Decimal::ZERO, |sum, part| plus(sum, part.amount))?;
        minus(sum, self.capped)
    }
}

/// A stay's price and what it is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Priced {
    /// In the order of time.
    pub turns: Vec<Turn>,
    /// Sum of each cycle before its cap, and what the cap takes off.
    pub cycles: Vec<(CycleKey, Decimal, Decimal)>,
    /// What the free time takes off, where its price is deducted.
    pub deducted: Decimal,
    /// What is left.
    pub exact: Decimal,
}

/// Names a cycle; two visits of a vehicle on one day have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CycleKey {
    /// The n-th of the stay.
    Nth(u32),
    /// A calendar's or an operator's day.
    On(Day),
}

/// Prices a stay. `free`: whether it has free time; `caps`: whether caps hold. `None` where the numbers
/// leave 28 digits.
#[must_use]
pub fn price(plan: &Plan, minutes: &Minutes, free: bool, caps: bool) -> Option<Priced> {
    let deduct = plan.free.as_ref().filter(|f| free && f.mode == FreeMode::DeductPrice);
    let given = if deduct.is_some() { false } else { free };
    let mut priced = sum_up(plan, minutes, given, caps)?;
    if let Some(deduct) = deduct {
        let first = sum_up(plan, &minutes.first(deduct.minutes), false, caps)?;
        // A block that is carried into a cheaper window costs less than its beginning alone would.
        priced.deducted = first.exact.min(priced.exact);
        priced.exact = minus(priced.exact, priced.deducted)?;
    }
    Some(priced)
}

/// Prices several visits of one vehicle, in their order: which have free time again, and what they pay
/// together where they share a cap. Each visit is its minutes, and how many minutes after the exit before
/// it began (`None` for the first).
#[must_use]
pub fn price_visits(
    plan: &Plan,
    visits: &[(Minutes, Option<i64>)],
) -> Option<(Vec<Priced>, Decimal)> {
    use super::plan::Reentry;
    let mut all = Vec::new();
    for (minutes, pause) in visits {
        let again = match (plan.reentry, pause) {
            (Reentry::FreeNotAgain { within_min }, Some(pause)) => *pause <= i64::from(within_min),
            (Reentry::None, _) | (_, None) => false,
        };
        all.push(price(plan, minutes, !again, true)?);
    }
    if plan.cap_scope == CapScope::Stay {
        let sum = all.iter().try_fold(Decimal::ZERO, |sum, one| plus(sum, one.exact))?;
        return Some((all, sum));
    }
    let mut joint: BTreeMap<CycleKey, Decimal> = BTreeMap::new();
    for (key, sum, _) in all.iter().flat_map(|one| &one.cycles) {
        let entry = joint.entry(*key).or_default();
        *entry = plus(*entry, *sum)?;
    }
    let mut total = Decimal::ZERO;
    for (index, sum) in joint.into_values().enumerate() {
        total = plus(total, cap_of(plan, index).map_or(sum, |cap| sum.min(cap)))?;
    }
    Some((all, total))
}

fn cap_of(plan: &Plan, cycle: usize) -> Option<Decimal> {
    plan.caps.get(cycle.min(plan.caps.len().saturating_sub(1))).copied()
}

/// Adds up what the walk found: the caps of windows, then those of cycles.
fn sum_up(plan: &Plan, minutes: &Minutes, free: bool, caps: bool) -> Option<Priced> {
    let Walked { turns, cycles } = walk(plan, minutes, plan.free.as_ref().filter(|_| free))?;
    let mut priced = Priced::default();
    for mut turn in turns {
        let sum = turn.amount()?;
        let cap = turn.window.and_then(|window| plan.windows.get(window)?.cap).filter(|_| caps);
        if let Some(cap) = cap.filter(|cap| sum > *cap) {
            turn.capped = minus(sum, cap)?;
        }
        let amount = turn.amount()?;
        if turn.window.is_some() {
            let key = *cycles.get(turn.cycle)?;
            match priced.cycles.last_mut().filter(|(last, ..)| *last == key) {
                Some((_, sum, _)) => *sum = plus(*sum, amount)?,
                None => priced.cycles.push((key, amount, Decimal::ZERO)),
            }
        }
        priced.turns.push(turn);
    }
    for (index, (_, sum, off)) in priced.cycles.iter_mut().enumerate() {
        let cap = cap_of(plan, index).filter(|_| caps);
        *off = cap.filter(|cap| *sum > *cap).and_then(|cap| minus(*sum, cap)).unwrap_or_default();
        priced.exact = plus(priced.exact, minus(*sum, *off)?)?;
    }
    Some(priced)
}
