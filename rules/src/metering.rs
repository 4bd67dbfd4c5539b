//! Judges readings. Each billing register of each good poll is accepted, taken for a rollover, held
//! for review or left out because its slot has a reading already. Never: a bill for a whole register
//! at first sight, a silent new baseline, a negative quantity, a reading that is thrown away because
//! it is odd (it is held, as evidence).
//!
//! A register that was judged is known by two [`Point`]s, the first and the last accepted one, and
//! by a running total of what passed, so that every quantity between two readings is a difference of
//! totals (invariant 6) whatever rollovers and exchanges lie between.
//!
//! A reading that only the clock's time speaks against, while nobody vouches for the clock, waits for its true time
//! and is judged by that.
//!
//! A held reading clears by itself when a later one is plausible against the last accepted one and
//! is not just the held series going on: a jump does not become true by waiting.

use crate::event::{Hold, Reading, ReadingId, Verdict};
use crate::input::UnsetSpan;
use crate::money::{minus, plus, times};
use crate::setup::{BillingRegister, MeterSetup};
use blockgate_types::{Decimal, MeterId, RegisterName, Span, TariffId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A reading that is lower by at most so many units of the last digit is [`Hold::Reverse`].
pub const REVERSE_UNITS_MAX: i64 = 3;

/// The shortest time that a rate is judged over: a poll that comes early does not look too fast.
pub const RATE_TIME_MIN: Span = Span::from_mins(1);

/// The longest time that a rate is judged over: a clock that is wrong by years must not make any jump
/// plausible. A meter that was silent for longer is held, and a person decides.
pub const RATE_TIME_MAX: Span = Span::from_days(400);

/// After so many rising readings, a held series counts as a new series: only a person ends it.
pub const HELD_SERIES: u32 = 3;

/// Readings of a register that wait for their true time; when there are more, the one is let go whose neighbours
/// stand closest together, so that they cover the whole time more and more coarsely.
pub const WAITING_MAX: usize = 32;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// What is known of one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeterState {
    /// Its billing registers, as far as they were read.
    pub registers: BTreeMap<RegisterName, RegisterState>,
    /// CT × PT as the setup says it now; 1 before it says anything.
    #[serde(with = "blockgate_types::decimal::text")]
    pub multiplier: Decimal,
    /// An offline alarm is open.
    pub offline: bool,
    /// A stuck alarm is open.
    pub stuck: bool,
    /// A held alarm is open.
    pub held: bool,
}

impl Default for MeterState {
    fn default() -> Self {
        let registers = BTreeMap::new();
        let multiplier = Decimal::ONE;
        Self { registers, multiplier, offline: false, stuck: false, held: false }
    }
}

impl MeterState {
    /// When a reading of it was last kept.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Time> {
        self.registers.values().map(|register| register.recorded_at).max()
    }
}

/// An accepted reading on the register's axis of totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Point {
    /// Which reading.
    pub reading: ReadingId,
    /// When.
    pub at: Time,
    /// The register's value.
    #[serde(with = "blockgate_types::decimal::text")]
    pub value: Decimal,
    /// What passed since the first reading, times the multiplier.
    #[serde(with = "blockgate_types::decimal::text")]
    pub total: Decimal,
    /// It was estimated, not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// The last real reading while estimates stand after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Real {
    /// It.
    pub point: Point,
    /// The estimates since then, with their times.
    pub estimates: Vec<(ReadingId, Time)>,
}

impl Real {
    /// What each estimate should have been, by the next real reading: in proportion to time, cut to
    /// the decimals of the register.
    #[must_use]
    pub fn right_values(
        &self,
        decimals: u32,
        at: Time,
        value: Decimal,
    ) -> Vec<(ReadingId, Decimal)> {
        let span = at.since(self.point.at).map(|span| Decimal::from(span.as_millis().max(1)));
        let right = |(id, when): &(ReadingId, Time)| {
            let gone = Decimal::from(when.since(self.point.at)?.as_millis());
            let all = minus(value, self.point.value)?;
            let part = times(all, gone)?.checked_div(span?)?.trunc_with_scale(decimals);
            Some((*id, plus(self.point.value, part)?))
        };
        self.estimates.iter().filter_map(right).collect()
    }
}

/// What is known of one register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegisterState {
    /// The first reading.
    pub opened: Point,
    /// The last accepted one.
    pub last: Point,
    /// When a reading, accepted or held, was last kept: marks the slot as taken.
    pub recorded_at: Time,
    /// From when on a rate is judged; the last accepted reading's time, but after an exchange that
    /// of the old device, because nobody knows the minute of the exchange.
    pub rate_from: Time,
    /// When something last passed.
    pub moved_at: Time,
    /// What is held for review.
    pub held: Option<Held>,
    /// The next edge of a billing period; a reading there is kept whatever its slot.
    pub next_edge: Time,
    /// Edges that were crossed since the last close.
    pub marks: Vec<Mark>,
    /// The last real reading, while the last one is estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real: Option<Box<Real>>,
    /// Readings of this start that wait until their true time is known, in the order in which they were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Time of use on the axis of totals, by tariff.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub windows: BTreeMap<TariffId, WindowLog>,
}

/// A held reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Held {
    /// The latest one.
    pub reading: ReadingId,
    /// When it was read.
    pub at: Time,
    /// Its value.
    #[serde(with = "blockgate_types::decimal::text")]
    pub value: Decimal,
    /// Why.
    pub why: Hold,
    /// When the first of the series was read.
    pub since: Time,
    /// How many, each higher than the one before.
    pub rising: u32,
}

/// A reading that was taken on a clock that was not set, and cannot be judged before its time is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Waiting {
    /// It, as it was journaled first.
    pub reading: ReadingId,
    /// When, by the clock that was not set; by the right one since that is known.
    pub at: Time,
    /// Its value.
    #[serde(with = "blockgate_types::decimal::text")]
    pub value: Decimal,
}

/// The two readings around an edge of a billing period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mark {
    /// The last one before.
    pub before: Point,
    /// The first one at it or after it.
    pub first: Point,
}

/// Time of use on a register's axis of totals: entry by entry, up to which total which window ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WindowLog {
    /// The total at which the log begins.
    #[serde(with = "blockgate_types::decimal::text")]
    pub base: Decimal,
    /// The entries, ascending.
    pub entries: Vec<WindowEntry>,
}

/// Up to `until`, from the entry before, `window` ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WindowEntry {
    /// The window's name.
    pub window: String,
    /// A total.
    #[serde(with = "blockgate_types::decimal::text")]
    pub until: Decimal,
}

impl WindowLog {
    /// A log that begins at a total.
    #[must_use]
    pub fn new(base: Decimal) -> Self {
        Self { base, entries: Vec::new() }
    }

    /// Writes that `window` ran up to a total.
    pub fn push(&mut self, window: &str, until: Decimal) {
        match self.entries.last_mut() {
            Some(last) if last.window == window => last.until = until,
            Some(last) if last.until >= until => {}
            Some(_) | None => {
                self.entries.push(WindowEntry { window: window.to_owned(), until });
            }
        }
    }

    /// What ran between two totals, in time order; `None` as the window where the log knows nothing.
    #[must_use]
    pub fn between(&self, from: Decimal, to: Decimal) -> Vec<(Option<&str>, Decimal)> {
        let mut parts = Vec::new();
        let mut add = |window, low: Decimal, high: Decimal| {
            if let Some(part) = minus(high, low).filter(|part| *part > Decimal::ZERO) {
                parts.push((window, part));
            }
        };
        add(None, from, to.min(self.base));
        let mut low = self.base;
        for entry in &self.entries {
            add(Some(entry.window.as_str()), low.max(from), entry.until.min(to));
            low = entry.until;
        }
        add(None, low.max(from), to);
        parts
    }

    /// Ends the log at a total that was put right: what it says beyond is gone, what is missing ran in
    /// the last window.
    pub fn end_at(&mut self, total: Decimal) {
        self.base = self.base.min(total);
        let kept = self.entries.iter().take_while(|entry| entry.until < total).count();
        self.entries.truncate(kept.saturating_add(1));
        if let Some(last) = self.entries.last_mut() {
            last.until = total;
        }
    }

    /// Forgets what lies before a total.
    pub fn forget_before(&mut self, total: Decimal) {
        let gone = self.entries.iter().take_while(|entry| entry.until <= total).count();
        if let Some(last) = gone.checked_sub(1).and_then(|last| self.entries.get(last)) {
            self.base = last.until;
            self.entries.drain(..gone);
        }
    }
}

/// How far the time of a reading can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBase {
    /// Somebody vouches for the clock.
    Set,
    /// Nobody does, in the start that began after this record: it may stand long before or behind what an
    /// earlier start has written.
    UnsetSince(u64),
}

impl TimeBase {
    /// Whether a reading that is held for this reason, after that one, says more about the clock.
    fn is_to_blame(self, why: Hold, last: ReadingId) -> bool {
        match (self, why) {
            (Self::UnsetSince(_), Hold::NotLater) => true,
            // Longer may have passed since the last start than this clock shows.
            (Self::UnsetSince(started), Hold::TooFast) => last.seq <= started,
            (Self::Set, _) | (_, Hold::Reverse | Hold::Backwards | Hold::ClockUnset) => false,
        }
    }
}

/// Judges a value of a register. `None` when there is nothing to keep: the slot has its reading, or
/// the same value is held already.
#[must_use]
pub fn judge(
    setup: &BillingRegister,
    record_every: Span,
    known: Option<&RegisterState>,
    time_base: TimeBase,
    at: Time,
    value: Decimal,
) -> Option<Verdict> {
    let Some(known) = known else { return Some(Verdict::Opened) };
    if !slot_is_free(record_every, known, at) {
        return None;
    }
    let from = known.last.reading;
    match plausible(setup, known, at, value) {
        Ok(Passed::Forward(used)) => Some(Verdict::Accepted { from, used }),
        Ok(Passed::AroundTheEnd(used)) => Some(Verdict::Rollover { from, used }),
        Err(why) if time_base.is_to_blame(why, from) => {
            let again = known.waiting.last().is_some_and(|waiting| waiting.value == value);
            (!again).then_some(Verdict::Held { from, why: Hold::ClockUnset })
        }
        Err(why) => {
            let again = known.held.as_ref().is_some_and(|h| h.why == why && h.value == value);
            (!again).then_some(Verdict::Held { from, why })
        }
    }
}

/// Judges the first reading that has waited for its time, by that time. `None` where none has.
#[must_use]
pub fn settle(setup: &BillingRegister, known: &RegisterState) -> Option<(Time, Decimal, Verdict)> {
    let Waiting { at, value, .. } = known.settling()?;
    let from = known.last.reading;
    let verdict = match plausible(setup, known, *at, *value) {
        Ok(Passed::Forward(used)) => Verdict::Accepted { from, used },
        Ok(Passed::AroundTheEnd(used)) => Verdict::Rollover { from, used },
        Err(why) => Verdict::Held { from, why },
    };
    Some((*at, *value, verdict))
}

/// Whether the slot of `at` has no reading yet. At the edge of a period there is always one more.
fn slot_is_free(record_every: Span, known: &RegisterState, at: Time) -> bool {
    slot(record_every, at) != slot(record_every, known.recorded_at)
        || record_every.is_zero()
        || (at >= known.next_edge && known.recorded_at < known.next_edge)
}

/// The number of a slot: whole lengths of `record_every` since the epoch.
#[must_use]
pub fn slot(record_every: Span, at: Time) -> i64 {
    at.as_millis().checked_div(record_every.as_millis()).unwrap_or(0)
}

/// What a plausible value means.
enum Passed {
    Forward(Decimal),
    AroundTheEnd(Decimal),
}

fn plausible(
    setup: &BillingRegister,
    known: &RegisterState,
    at: Time,
    value: Decimal,
) -> Result<Passed, Hold> {
    if at <= known.last.at {
        return Err(Hold::NotLater);
    }
    if let Some(real) = &known.real {
        // What was estimated is no evidence: the new reading is judged against the last real one.
        let (last, real) = (known.last.value, &real.point);
        let passed = if value >= real.value {
            minus(value, real.value)
        } else {
            rolled_over(setup, real.value, value)
        };
        let passed = passed.ok_or(Hold::Backwards)?;
        if !within_rate(setup, real.at, at, passed) {
            return Err(if value >= real.value { Hold::TooFast } else { Hold::Backwards });
        }
        let estimated = minus(last, real.value).ok_or(Hold::Backwards)?;
        return minus(passed, estimated).map(Passed::Forward).ok_or(Hold::Backwards);
    }
    if value >= known.last.value {
        let used = minus(value, known.last.value).ok_or(Hold::TooFast)?;
        if let Some(held) = &known.held {
            match held.why {
                Hold::TooFast if value >= held.value => return Err(Hold::TooFast),
                Hold::Backwards
                    if held.rising >= HELD_SERIES && goes_on(setup, held, at, value) =>
                {
                    return Err(Hold::Backwards);
                }
                Hold::TooFast
                | Hold::Backwards
                | Hold::Reverse
                | Hold::NotLater
                | Hold::ClockUnset => {}
            }
        }
        return if within_rate(setup, known.rate_from, at, used) {
            Ok(Passed::Forward(used))
        } else {
            Err(Hold::TooFast)
        };
    }
    if let Some(used) = rolled_over(setup, known.last.value, value)
        && within_rate(setup, known.rate_from, at, used)
    {
        return Ok(Passed::AroundTheEnd(used));
    }
    let jitter = Decimal::try_from_i128_with_scale(REVERSE_UNITS_MAX.into(), setup.decimals);
    match (minus(known.last.value, value), jitter) {
        (Some(back), Ok(jitter)) if back <= jitter => Err(Hold::Reverse),
        (Some(_) | None, Ok(_) | Err(_)) => Err(Hold::Backwards),
    }
}

/// Whether a value is what the held series would show now.
fn goes_on(setup: &BillingRegister, held: &Held, at: Time, value: Decimal) -> bool {
    value >= held.value
        && minus(value, held.value).is_some_and(|used| within_rate(setup, held.at, at, used))
}

/// The difference around the counter's end; `None` where the end is not known or does not fit.
#[must_use]
pub fn modular(setup: &BillingRegister, last: Decimal, value: Decimal) -> Option<Decimal> {
    let end = setup.rollover_at?;
    if value >= end || last >= end || value.is_sign_negative() || value >= last {
        return None;
    }
    plus(minus(end, last)?, value)
}

/// A difference around the counter's end that needs no person: at most half of what the register can show.
/// One that ran backwards by a little looks like one that went nearly all around.
fn rolled_over(setup: &BillingRegister, last: Decimal, value: Decimal) -> Option<Decimal> {
    let used = modular(setup, last, value)?;
    (plus(used, used)? <= setup.rollover_at?).then_some(used)
}

/// Whether so much can have passed since `from`: by the meter's rate over at least
/// [`RATE_TIME_MIN`] and at most [`RATE_TIME_MAX`], and one unit of the last digit more.
#[must_use]
pub fn within_rate(setup: &BillingRegister, from: Time, at: Time, used: Decimal) -> bool {
    let elapsed = at.since(from).unwrap_or_default().clamp(RATE_TIME_MIN, RATE_TIME_MAX);
    let unit = Decimal::try_from_i128_with_scale(1, setup.decimals).unwrap_or_default();
    let hour = Decimal::from(HOUR_MS);
    let limit = times(setup.max_per_hour, Decimal::from(elapsed.as_millis()))
        .zip(times(unit, hour))
        .and_then(|(limit, slack)| plus(limit, slack));
    match (times(used, hour), limit) {
        (Some(used), Some(limit)) => used <= limit,
        (Some(_) | None, Some(_) | None) => false,
    }
}

impl RegisterState {
    /// The state after the first reading.
    #[must_use]
    pub fn opened(point: Point, next_edge: Time) -> Self {
        Self {
            recorded_at: point.at,
            rate_from: point.at,
            moved_at: point.at,
            held: None,
            next_edge,
            real: None,
            waiting: Vec::new(),
            marks: Vec::new(),
            windows: BTreeMap::new(),
            last: point.clone(),
            opened: point,
        }
    }

    /// Takes a held reading.
    pub fn hold(&mut self, id: ReadingId, at: Time, value: Decimal, why: Hold) {
        let series = self.held.as_ref().filter(|held| held.why == why);
        let since = self.held.as_ref().map_or(at, |held| held.since);
        let rising = match series {
            Some(held) if value > held.value => held.rising.saturating_add(1),
            Some(_) | None => 1,
        };
        self.held = Some(Held { reading: id, at, value, why, since, rising });
        self.recorded_at = at;
        self.waiting.retain(|waiting| (waiting.at, waiting.value) != (at, value));
    }

    /// Takes a reading that waits for its time.
    pub fn wait(&mut self, reading: ReadingId, at: Time, value: Decimal) {
        if self.waiting.len() >= WAITING_MAX {
            let apart = |three: &[Waiting]| match three {
                [before, _, after] => after.at.since(before.at),
                _ => None,
            };
            let spans = self.waiting.windows(3).enumerate();
            let least = spans.min_by_key(|(_, three)| apart(three)).map_or(0, |(n, _)| n);
            self.waiting.remove(least.saturating_add(1));
        }
        self.waiting.push(Waiting { reading, at, value });
        self.recorded_at = at;
    }

    /// Lets go what waits: its time will never be known.
    pub fn forget_waiting(&mut self) {
        if !self.waiting.is_empty() {
            let held = self.held.as_ref().map(|held| held.at);
            self.recorded_at = self.last.at.max(held.unwrap_or(self.last.at));
            self.waiting.clear();
        }
    }

    /// The first reading that has waited and can be judged: it is later than the last accepted one.
    #[must_use]
    pub fn settling(&self) -> Option<&Waiting> {
        self.waiting.iter().find(|waiting| waiting.at > self.last.at)
    }

    /// Takes an accepted reading after which `used`, times the multiplier, has passed. `edge_after`
    /// tells the first edge of a billing period after a time.
    pub fn accept(&mut self, point: Point, moved: bool, edge_after: impl Fn(Time) -> Time) {
        if point.at >= self.next_edge {
            self.marks.push(Mark { before: self.last.clone(), first: point.clone() });
            self.next_edge = edge_after(point.at);
        }
        if moved {
            self.moved_at = point.at;
        }
        if point.estimated {
            let last = &self.last;
            let real = || Box::new(Real { point: last.clone(), estimates: Vec::new() });
            let real = self.real.get_or_insert_with(real);
            real.estimates.push((point.reading, point.at));
        } else {
            self.real = None;
        }
        self.recorded_at = point.at;
        self.rate_from = point.at;
        self.held = None;
        self.waiting.retain(|waiting| waiting.at > point.at);
        self.last = point;
    }
}

/// Which readings were taken at another time than they say.
#[derive(Debug, Clone, Copy)]
pub struct Restamp {
    /// Only readings of records after this one.
    pub since_seq: u64,
    /// Their times by the wrong clock, and what is to be added.
    pub span: UnsetSpan,
}

impl Restamp {
    /// The true time of what a reading says.
    fn of(&self, reading: ReadingId, at: &mut Time) {
        let UnsetSpan { from, to, by_ms } = self.span;
        if reading.seq > self.since_seq && from <= *at && *at <= to {
            *at = Time::from_millis(at.as_millis().saturating_add(by_ms));
        }
    }
}

impl RegisterState {
    /// Gives readings their true times, once the clock is known. `edge_after` tells the first edge of a
    /// billing period after a time. Edges that only the wrong clock has crossed were none.
    pub fn restamp(&mut self, restamp: &Restamp, edge_after: impl Fn(Time) -> Time) {
        let rated_from_last = self.rate_from == self.last.at;
        let held = self.held.as_ref().map(|held| held.reading);
        let waiting = self.waiting.last().map(|waiting| waiting.reading);
        let newest = self.last.reading.max(held.max(waiting).unwrap_or(self.last.reading));
        let before = self.clone();
        restamp.of(newest, &mut self.recorded_at);
        restamp.of(self.last.reading, &mut self.moved_at);
        restamp.of(self.last.reading, &mut self.rate_from);
        restamp.of(self.opened.reading, &mut self.opened.at);
        restamp.of(self.last.reading, &mut self.last.at);
        if rated_from_last {
            self.rate_from = self.last.at;
        }
        if let Some(held) = &mut self.held {
            restamp.of(held.reading, &mut held.at);
            restamp.of(held.reading, &mut held.since);
        }
        for waiting in &mut self.waiting {
            restamp.of(waiting.reading, &mut waiting.at);
        }
        if let Some(real) = &mut self.real {
            restamp.of(real.point.reading, &mut real.point.at);
            real.estimates.iter_mut().for_each(|(reading, at)| restamp.of(*reading, at));
        }
        for mark in &mut self.marks {
            restamp.of(mark.before.reading, &mut mark.before.at);
            restamp.of(mark.first.reading, &mut mark.first.at);
        }
        if *self != before {
            // It may have been moved with a clock that was set back before it was known.
            self.rate_from = self.rate_from.min(self.last.at);
            self.marks.retain(|mark| edge_after(mark.before.at) <= mark.first.at);
            self.next_edge = edge_after(self.last.at);
        }
    }
}

/// The registers of a meter in an observation that money depends on, with their values.
pub fn billing_values<'a>(
    meter: &'a MeterSetup,
    values: &'a blockgate_types::Values,
) -> impl Iterator<Item = (&'a BillingRegister, Decimal)> {
    meter.registers.iter().filter_map(|register| {
        let (_, value) = values.iter().find(|(spec, _)| spec.name == register.name)?;
        Some((register, value?))
    })
}

/// A reading as the journal keeps it.
#[must_use]
pub fn reading(
    meter: &MeterId,
    register: &BillingRegister,
    at: Time,
    value: Decimal,
    verdict: Verdict,
) -> Reading {
    let (meter, name) = (meter.clone(), register.name.clone());
    Reading { meter, register: name, at, value, unit: register.unit, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_takes_no_more_room_and_covers_the_whole_time() {
        let id = |seq| ReadingId { seq, index: 0 };
        let hour = |n: i64| Time::from_millis(n * HOUR_MS);
        let (value, total) = (Decimal::ZERO, Decimal::ZERO);
        let point = Point { reading: id(1), at: hour(500_000), value, total, estimated: false };
        let mut register = RegisterState::opened(point, Time::MAX);
        for n in 0..1_000_u32 {
            register.wait(id(u64::from(n) + 2), hour(n.into()), Decimal::from(n));
            assert!(register.waiting.len() <= WAITING_MAX);
            assert_eq!(register.waiting.last().map(|w| w.value), Some(Decimal::from(n)));
        }
        let apart = register.waiting.windows(2).map(|pair| pair[1].at.since(pair[0].at));
        assert_eq!(register.waiting[0].at, hour(0));
        assert!(apart.flatten().all(|span| span <= Span::from_hours(64)), "{:?}", register.waiting);
        assert_eq!(register.settling(), None, "none is later than the last");
        register.forget_waiting();
        assert_eq!((register.waiting.len(), register.recorded_at), (0, hour(500_000)));
    }
}
