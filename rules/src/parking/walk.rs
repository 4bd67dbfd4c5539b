//! The walk over a stay's minutes: the meaning of a plan. Each minute is put into its cycle and its window,
//! and blocks are counted in the window's steps.
//!
//! A block is due when it is complete. One that is cut short (by the end of the stay, the edge of its
//! cycle, or the edge of its window where blocks lapse there) is due where a started block counts.

use super::plan::{
    BlockAtEdge, BlockRounding, Cycle, DayKind, DayType, Free, FreeMode, Plan, Progress, Renews,
    Window,
};
use super::price::{CycleKey, Minutes, Part, Turn};
use crate::calendar::Day;
use crate::money::times;
use blockgate_types::Decimal;
use std::collections::BTreeMap;

/// What a walk finds.
pub(super) struct Walked {
    /// The turns of windows in the order of time, before any cap.
    pub turns: Vec<Turn>,
    /// The cycles in the order of time.
    pub cycles: Vec<CycleKey>,
}

/// Walks the minutes of a stay. `None` where the numbers leave 28 digits.
pub(super) fn walk(plan: &Plan, minutes: &Minutes, free: Option<&Free>) -> Option<Walked> {
    let all = minutes.len();
    let whole_stay = free.is_some_and(|f| {
        f.mode == FreeMode::WholeStay && f.renews == Renews::Stay && all <= f.minutes
    });
    if whole_stay {
        let turns = if all > 0 { vec![Turn::new(0, None, 0, all)] } else { Vec::new() };
        return Some(Walked { turns, cycles: Vec::new() });
    }
    let length_of = cycle_lengths(plan, minutes, free);
    let by_entry = (plan.day_type == DayType::AtEntry)
        .then(|| minutes.first_day().map(|day| plan.calendar.kind(day)))
        .flatten();
    let mut walk = Walk::new(plan);
    let mut in_cycle: u32 = 0;
    let mut kind = (None, DayKind::Workday);
    for (index, (day, minute)) in (0_u32..).zip(minutes.ticks()) {
        let cycle = cycle_of(plan, index, day, minute);
        if walk.cycles.last() == Some(&cycle) {
            in_cycle = in_cycle.saturating_add(1);
        } else {
            walk.begin_cycle(cycle)?;
            in_cycle = 1;
        }
        if kind.0 != Some(day) {
            kind = (Some(day), by_entry.unwrap_or_else(|| plan.calendar.kind(day)));
        }
        let spared = free.is_some_and(|f| {
            let nth = if f.renews == Renews::Cycle { in_cycle } else { index.saturating_add(1) };
            match f.mode {
                FreeMode::Subtract => nth <= f.minutes,
                FreeMode::WholeStay => {
                    f.renews == Renews::Cycle
                        && length_of.get(&cycle).is_some_and(|length| *length <= f.minutes)
                }
                FreeMode::DeductPrice => false,
            }
        });
        // Free time lies where a stay or a cycle begins: no block is begun then.
        let window = if spared { None } else { walk.window(minute, kind.1)? };
        walk.count(index, window, kind.1)?;
    }
    walk.cut()?;
    Some(Walked { turns: walk.turns, cycles: walk.cycles })
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

/// A block that is begun and not complete.
struct Begun {
    /// The turn in which it was last counted.
    turn: usize,
    window: usize,
    step: usize,
    /// Minutes of it that are over.
    used: u32,
    /// The kind of day that holds for it, where that is decided by blocks.
    kind: Option<DayKind>,
    /// It runs beyond its window.
    over: bool,
}

struct Walk<'p> {
    plan: &'p Plan,
    turns: Vec<Turn>,
    cycles: Vec<CycleKey>,
    begun: Option<Begun>,
    /// Complete blocks that count for the steps of the present turn.
    blocks: u32,
    /// Complete blocks of each window over the stay.
    done: BTreeMap<usize, u32>,
    /// The next minute begins a turn, whatever its window.
    ends: bool,
}

impl<'p> Walk<'p> {
    fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            turns: Vec::new(),
            cycles: Vec::new(),
            begun: None,
            blocks: 0,
            done: BTreeMap::new(),
            ends: true,
        }
    }

    fn begin_cycle(&mut self, cycle: CycleKey) -> Option<()> {
        self.cut()?;
        self.cycles.push(cycle);
        self.ends = true;
        Some(())
    }

    /// Ends the begun block before it is complete.
    fn cut(&mut self) -> Option<()> {
        let Some(begun) = self.begun.take() else { return Some(()) };
        self.ends |= begun.over;
        match self.plan.windows.get(begun.window)?.rounding {
            BlockRounding::Up => self.due(begun.turn, begun.window, begun.step),
            BlockRounding::Down => Some(()),
        }
    }

    fn holding(&self, minute: u16, kind: DayKind) -> Option<usize> {
        self.plan.windows.iter().position(|window| window.holds(minute, kind))
    }

    /// The window that prices a minute of a day of the kind `today`; the outer `None` where the numbers
    /// are too large.
    #[expect(clippy::option_option, reason = "the outer one is a fault, the inner one free time")]
    fn window(&mut self, minute: u16, today: DayKind) -> Option<Option<usize>> {
        let Some((within, kept)) = self.begun.as_ref().map(|begun| (begun.window, begun.kind))
        else {
            return Some(self.holding(minute, today));
        };
        let found = self.holding(minute, kept.unwrap_or(today));
        if found == Some(within) && self.begun.as_ref().is_some_and(|begun| !begun.over) {
            return Some(found);
        }
        Some(match self.plan.block_at_edge {
            BlockAtEdge::Lapses => {
                self.cut()?;
                self.holding(minute, today)
            }
            BlockAtEdge::Carries if found.is_some() => found,
            BlockAtEdge::Carries => {
                // Its kind of day has no window here: the kind is decided anew.
                let found = self.holding(minute, today);
                let anew = kept.and(found).map(|_| today);
                if let Some(begun) = self.begun.as_mut() {
                    begun.kind = anew;
                }
                found
            }
            BlockAtEdge::PriceAtStart => {
                if let Some(begun) = self.begun.as_mut() {
                    begun.over = true;
                }
                Some(within)
            }
        })
    }

    /// Counts a minute: a turn, a block may begin, a block may be complete.
    fn count(&mut self, index: u32, window: Option<usize>, today: DayKind) -> Option<()> {
        if self.ends || self.turns.last().is_none_or(|turn| turn.window != window) {
            self.begin_turn(index, window)?;
        }
        let last = self.turns.len().checked_sub(1)?;
        let turn = self.turns.get_mut(last)?;
        turn.to = index.saturating_add(1);
        let Some(window) = window else { return Some(()) };
        let rule = self.plan.windows.get(window)?;
        let (step, minutes) = step_of(rule, self.blocks)?;
        let by_block = self.plan.day_type == DayType::PerBlock;
        let fresh = || Begun { turn: last, window, step, used: 0, kind: None, over: false };
        let begun = self.begun.get_or_insert_with(fresh);
        (begun.turn, begun.window, begun.step) = (last, window, step);
        if by_block {
            let kind = *begun.kind.get_or_insert(today);
            let keeps = kind != today && rule.days.is_some() && !begun.over;
            turn.kept = turn.kept.saturating_add(u32::from(keeps));
        }
        turn.over = turn.over.saturating_add(u32::from(begun.over));
        begun.used = begun.used.saturating_add(1);
        if begun.used >= minutes {
            self.ends |= begun.over;
            self.begun = None;
            self.due(last, window, step)?;
            self.blocks = self.blocks.saturating_add(1);
            self.done.insert(window, self.blocks);
        }
        Some(())
    }

    fn begin_turn(&mut self, index: u32, window: Option<usize>) -> Option<()> {
        let cycle = self.cycles.len().saturating_sub(1);
        let mut turn = Turn::new(cycle, window, index, index);
        if let (Some(begun), Some(_)) = (&self.begun, window) {
            turn.used_before = begun.used;
            self.turns.get_mut(begun.turn)?.handed_on = begun.used;
        }
        self.turns.push(turn);
        self.ends = false;
        self.blocks = match (self.plan.progress, window) {
            (Progress::Stay, Some(window)) => self.done.get(&window).copied().unwrap_or(0),
            (Progress::Stay, None) | (Progress::Segment, _) => 0,
        };
        Some(())
    }

    /// A block is due in a turn.
    fn due(&mut self, turn: usize, window: usize, step: usize) -> Option<()> {
        let price = self.plan.windows.get(window)?.steps.get(step)?.price;
        let parts = &mut self.turns.get_mut(turn)?.parts;
        match parts.last_mut().filter(|part| part.step == step) {
            Some(part) => {
                part.blocks = part.blocks.saturating_add(1);
                part.amount = times(Decimal::from(part.blocks), price)?;
            }
            None => parts.push(Part { window, step, blocks: 1, price, amount: price }),
        }
        Some(())
    }
}

/// The step of a window's block with a number, from 0, and its minutes.
fn step_of(rule: &Window, number: u32) -> Option<(usize, u32)> {
    let (mut step, mut nth) = (0, number);
    for (index, candidate) in rule.steps.iter().enumerate() {
        step = index;
        match candidate.times {
            Some(times) if nth >= times && index.saturating_add(1) < rule.steps.len() => {
                nth = nth.saturating_sub(times);
            }
            Some(_) | None => break,
        }
    }
    rule.steps.get(step).map(|found| (step, found.minutes))
}
