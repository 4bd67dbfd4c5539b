//! What a stay costs: minute by minute, as the plan says, with every part that makes the sum.
//!
//! The walk is the meaning of the plan. Each minute is put into its cycle and its window; blocks are
//! counted in the window's steps; at the end of a window's turn its cap is applied, at the end of a cycle
//! the cycle's.

use super::plan::{
    BlockRounding, CapScope, Cycle, DayType, Free, FreeMode, Plan, Progress, Renews, Seconds,
};
use crate::calendar::{Day, Zone, next_day};
use crate::money::{minus, plus, times};
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

    fn ticks(&self) -> impl Iterator<Item = (Day, u16)> + '_ {
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
}

impl Turn {
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
    let mut priced = walk(plan, minutes, given, caps)?;
    if let Some(deduct) = deduct {
        let first = walk(plan, &minutes.first(deduct.minutes), false, caps)?;
        priced.deducted = first.exact;
        priced.exact = minus(priced.exact, first.exact)?;
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

fn cycle_of(plan: &Plan, index: u32, day: Day, minute: u16) -> CycleKey {
    match plan.cycle {
        Cycle::None => CycleKey::Nth(0),
        Cycle::FromEntry => CycleKey::Nth(index.div_euclid(1_440)),
        Cycle::CivilDay => CycleKey::On(day),
        Cycle::OperatorDay { start } if minute < start => {
            CycleKey::On(day.yesterday().unwrap_or(day))
        }
        Cycle::OperatorDay { .. } => CycleKey::On(day),
    }
}

/// Where the walk is inside a window's turn.
struct Place {
    turn: Turn,
    key: CycleKey,
    /// Minutes into the block.
    into: u32,
    /// Blocks completed that count for the steps.
    blocks: u32,
}

fn walk(plan: &Plan, minutes: &Minutes, free: bool, caps: bool) -> Option<Priced> {
    let free = plan.free.as_ref().filter(|_| free);
    let all = minutes.len();
    let whole_stay = free.is_some_and(|f| {
        f.mode == FreeMode::WholeStay && f.renews == Renews::Stay && all <= f.minutes
    });
    if whole_stay {
        let turn = Turn {
            cycle: 0,
            window: None,
            from: 0,
            to: all,
            parts: Vec::new(),
            capped: Decimal::ZERO,
        };
        let turns = if all > 0 { vec![turn] } else { Vec::new() };
        return Some(Priced { turns, ..Priced::default() });
    }
    let length_of = cycle_lengths(plan, minutes, free);
    let first = minutes.runs.first().map(|(_, day, _)| *day);
    let by_entry =
        (plan.day_type == DayType::AtEntry).then(|| first.map(|day| plan.calendar.kind(day)));
    let mut priced = Priced::default();
    let mut keys: Vec<CycleKey> = Vec::new();
    let mut in_cycle: u32 = 0;
    let mut done: BTreeMap<usize, u32> = BTreeMap::new();
    let mut place: Option<Place> = None;
    let mut kind = (None, super::plan::DayKind::Workday);
    for (index, (day, minute)) in (0_u32..).zip(minutes.ticks()) {
        let key = cycle_of(plan, index, day, minute);
        if keys.last() == Some(&key) {
            in_cycle = in_cycle.saturating_add(1);
        } else {
            keys.push(key);
            in_cycle = 1;
        }
        if kind.0 != Some(day) {
            let found = by_entry.flatten().unwrap_or_else(|| plan.calendar.kind(day));
            kind = (Some(day), found);
        }
        let spared = free.is_some_and(|f| {
            let nth = if f.renews == Renews::Cycle { in_cycle } else { index.saturating_add(1) };
            match f.mode {
                FreeMode::Subtract => nth <= f.minutes,
                FreeMode::WholeStay => {
                    f.renews == Renews::Cycle
                        && length_of.get(&key).is_some_and(|length| *length <= f.minutes)
                }
                FreeMode::DeductPrice => false,
            }
        });
        let window =
            if spared { None } else { plan.windows.iter().position(|w| w.holds(minute, kind.1)) };
        let same = place.as_ref().is_some_and(|p| p.key == key && p.turn.window == window);
        if !same {
            // Minutes that are free by the free time do not end a window's turn: only its edge does.
            let between = place.take();
            close(plan, between, caps, &mut priced)?;
            let blocks = match (plan.progress, window) {
                (Progress::Stay, Some(window)) => done.get(&window).copied().unwrap_or(0),
                (Progress::Stay, None) | (Progress::Segment, _) => 0,
            };
            let cycle = keys.len().saturating_sub(1);
            let turn = Turn {
                cycle,
                window,
                from: index,
                to: index,
                parts: Vec::new(),
                capped: Decimal::ZERO,
            };
            place = Some(Place { turn, key, into: 0, blocks });
        }
        let Some(here) = place.as_mut() else { continue };
        here.turn.to = index.saturating_add(1);
        let Some(window) = window else { continue };
        count_minute(plan, window, here, &mut done)?;
    }
    close(plan, place, caps, &mut priced)?;
    finish(plan, caps, priced)
}

/// Minutes of each cycle, where free time depends on them.
fn cycle_lengths(plan: &Plan, minutes: &Minutes, free: Option<&Free>) -> BTreeMap<CycleKey, u32> {
    let needed = free.is_some_and(|f| f.mode == FreeMode::WholeStay && f.renews == Renews::Cycle);
    let mut lengths: BTreeMap<CycleKey, u32> = BTreeMap::new();
    if needed {
        for (index, (day, minute)) in (0_u32..).zip(minutes.ticks()) {
            let length = lengths.entry(cycle_of(plan, index, day, minute)).or_default();
            *length = length.saturating_add(1);
        }
    }
    lengths
}

/// One minute in a window: a block may begin or be complete.
fn count_minute(
    plan: &Plan,
    window: usize,
    here: &mut Place,
    done: &mut BTreeMap<usize, u32>,
) -> Option<()> {
    let rule = plan.windows.get(window)?;
    let (mut step, mut nth) = (0, here.blocks);
    for (index, candidate) in rule.steps.iter().enumerate() {
        step = index;
        match candidate.times {
            Some(times) if nth >= times && index.saturating_add(1) < rule.steps.len() => {
                nth = nth.saturating_sub(times);
            }
            Some(_) | None => break,
        }
    }
    let found = rule.steps.get(step)?;
    let up = rule.rounding == BlockRounding::Up;
    if here.into == 0 && up {
        due(&mut here.turn.parts, window, step, found.price)?;
    }
    here.into = here.into.saturating_add(1);
    if here.into >= found.minutes {
        if !up {
            due(&mut here.turn.parts, window, step, found.price)?;
        }
        here.into = 0;
        here.blocks = here.blocks.saturating_add(1);
        done.insert(window, here.blocks);
    }
    Some(())
}

fn due(parts: &mut Vec<Part>, window: usize, step: usize, price: Decimal) -> Option<()> {
    match parts.last_mut().filter(|part| part.step == step) {
        Some(part) => {
            part.blocks = part.blocks.saturating_add(1);
            part.amount = times(Decimal::from(part.blocks), price)?;
        }
        None => parts.push(Part { window, step, blocks: 1, price, amount: price }),
    }
    Some(())
}

/// Ends a window's turn: its cap, and its sum into its cycle's.
fn close(plan: &Plan, place: Option<Place>, caps: bool, priced: &mut Priced) -> Option<()> {
    let Some(Place { mut turn, key, .. }) = place else { return Some(()) };
    let sum = turn.amount()?;
    let cap = turn.window.and_then(|window| plan.windows.get(window)?.cap).filter(|_| caps);
    if let Some(cap) = cap.filter(|cap| sum > *cap) {
        turn.capped = minus(sum, cap)?;
    }
    let amount = turn.amount()?;
    if turn.window.is_some() {
        match priced.cycles.last_mut().filter(|(last, ..)| *last == key) {
            Some((_, sum, _)) => *sum = plus(*sum, amount)?,
            None => priced.cycles.push((key, amount, Decimal::ZERO)),
        }
    }
    priced.turns.push(turn);
    Some(())
}

/// Applies the cycles' caps.
fn finish(plan: &Plan, caps: bool, mut priced: Priced) -> Option<Priced> {
    for (index, (_, sum, off)) in priced.cycles.iter_mut().enumerate() {
        let cap = cap_of(plan, index).filter(|_| caps);
        *off = cap.filter(|cap| *sum > *cap).and_then(|cap| minus(*sum, cap)).unwrap_or_default();
        priced.exact = plus(priced.exact, minus(*sum, *off)?)?;
    }
    Some(priced)
}
