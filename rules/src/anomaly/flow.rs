//! Flow that never stops. A pipe that leaks lets pass its leak in *every* hour, while people pause:
//! so what counts is the least hour of a run, not the sum. A run is made of slices of an hour, longer
//! where the register is too coarse to show the step's flow in one hour; a slice below the step ends
//! it. A gap in the readings proves nothing: it neither ends a run nor makes it count.

use super::micro::{Micro, part};
use super::rule::FlowStep;
use super::watch::{Opening, Sample, Turn};
use crate::anomaly::care::Urgency;
use crate::event::Severity;
use blockgate_types::{Span, Time, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A slice of the flow.
const SLICE: Span = Span::from_hours(1);

/// How long a run's length is remembered: twice this at most.
const MEMORY: Span = Span::from_days(45);

/// An open alarm tells its numbers again this often.
const TELL_AGAIN: Span = Span::from_days(1);

/// What is known of one meter's continuous flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    tracks: Vec<Track>,
    /// The step whose alarm is open.
    open: Option<usize>,
    told_at: Time,
    /// Since when the open step's flow has paused.
    broken_at: Option<Time>,
    since: Time,
}

/// One step's run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Track {
    /// The slice that is being filled.
    from: Option<Time>,
    used: i64,
    /// The run.
    run: Option<Run>,
    /// The longest runs of this and the last memory, in milliseconds.
    longest: (i64, i64),
    memory_from: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    since: Time,
    least: i64,
    used: i64,
    sure_ms: i64,
    gap_ms: i64,
}

impl Track {
    fn longest_ms(&self) -> i64 {
        self.longest.0.max(self.longest.1)
    }

    fn remember(&mut self, at: Time) {
        if at.since(self.memory_from).is_none_or(|passed| passed >= MEMORY) {
            self.longest = (0, self.longest.0);
            self.memory_from = at;
        }
        if let Some(run) = self.run.take() {
            self.longest.0 = self.longest.0.max(run.sure_ms);
        }
    }

    /// Takes a sample; true where a slice below the step ended.
    fn take(&mut self, sample: &Sample, least: i64, slice_ms: i64) -> bool {
        let from = *self.from.get_or_insert(sample.from);
        self.used = self.used.saturating_add(sample.used);
        let length = sample.to.as_millis().saturating_sub(from.as_millis());
        if length < part(slice_ms, 9, 10) {
            return false;
        }
        let (used, rate) = (self.used, part(self.used, SLICE.as_millis(), length));
        (self.from, self.used) = (None, 0);
        if rate < least {
            self.remember(sample.to);
            return true;
        }
        let fresh = Run { since: from, least: i64::MAX, used: 0, sure_ms: 0, gap_ms: 0 };
        let run = self.run.get_or_insert(fresh);
        run.used = run.used.saturating_add(used);
        if length > slice_ms.saturating_mul(2) {
            run.gap_ms = run.gap_ms.saturating_add(length);
            if run.gap_ms > run.sure_ms.max(SLICE.as_millis().saturating_mul(12)) {
                self.run = None;
            }
        } else {
            run.sure_ms = run.sure_ms.saturating_add(length);
            run.least = run.least.min(rate);
        }
        false
    }
}

impl Flow {
    /// Takes a sample; `raised` percent are added to the thresholds.
    pub fn take(
        &mut self,
        sample: &Sample,
        steps: &[FlowStep],
        closes_after: Span,
        raised: u32,
    ) -> Option<Turn> {
        if self.tracks.len() != steps.len() {
            self.tracks.resize(steps.len(), Track::default());
        }
        if self.since == Time::EPOCH {
            self.since = sample.from;
        }
        let learnt = sample.to.since(self.since).is_some_and(|s| s >= Span::from_days(30));
        let mut fired = None;
        let mut paused = false;
        let mut goes_on = false;
        for (n, (track, step)) in self.tracks.iter_mut().zip(steps).enumerate() {
            let least = raise(step.least, raised);
            let coarse = part(sample.resolution.saturating_mul(2), SLICE.as_millis(), least.max(1));
            let ended = track.take(sample, least, coarse.max(SLICE.as_millis()));
            paused |= ended && self.open == Some(n);
            let Some(run) = &track.run else { continue };
            let lasts = needed(step, track.longest_ms(), learnt);
            goes_on |= run.sure_ms >= lasts.checked_div(2).unwrap_or(0);
            if fired.is_none() && run.sure_ms >= lasts {
                fired = Some(n);
            }
        }
        self.turn(sample, steps, fired, paused, goes_on, closes_after)
    }

    fn turn(
        &mut self,
        sample: &Sample,
        steps: &[FlowStep],
        fired: Option<usize>,
        paused: bool,
        goes_on: bool,
        closes_after: Span,
    ) -> Option<Turn> {
        if paused && self.broken_at.is_none() {
            self.broken_at = Some(sample.to);
        }
        if goes_on {
            self.broken_at = None;
        }
        match (self.open, fired) {
            (None, Some(n)) => {
                self.open = Some(n);
                self.told_at = sample.to;
                Some(Turn::Open(self.opening(n, steps, sample.unit)?))
            }
            (Some(open), Some(n)) if n < open || sample.to >= self.told_at.plus(TELL_AGAIN) => {
                // A weaker step's run is longer; the stronger one says how urgent it is.
                let n = n.min(open);
                let opening = self
                    .opening(n, steps, sample.unit)
                    .or_else(|| fired.and_then(|fired| self.opening(fired, steps, sample.unit)))?;
                self.open = Some(n);
                self.told_at = sample.to;
                Some(Turn::Open(opening))
            }
            (Some(_), _) => {
                let broken = self.broken_at.and_then(|at| sample.to.since(at))?;
                if broken < closes_after {
                    return None;
                }
                (self.open, self.broken_at) = (None, None);
                Some(Turn::Close)
            }
            (None, None) => {
                self.broken_at = None;
                None
            }
        }
    }

    fn opening(&self, n: usize, steps: &[FlowStep], unit: Unit) -> Option<Opening> {
        let (run, step) = (self.tracks.get(n)?.run.as_ref()?, steps.get(n)?);
        let ms = run.sure_ms.saturating_add(run.gap_ms);
        let hours = ms.checked_div(SLICE.as_millis()).unwrap_or(0);
        let facts = [
            ("hours", hours.to_string()),
            ("rate", Micro(run.least).told(unit)),
            ("used", Micro(run.used).told(unit)),
            ("since", run.since.to_string()),
            ("step", step.least.told(unit)),
        ];
        Some(Opening::of(facts).by(step.severity, step.work_order))
    }
}

/// A threshold with what false alarms have added to it.
pub(super) fn raise(least: Micro, raised: u32) -> i64 {
    part(least.0, i64::from(raised).saturating_add(100), 100)
}

/// How long a run must last: less than the step says where the meter itself never came near.
fn needed(step: &FlowStep, longest_ms: i64, learnt: bool) -> i64 {
    let lasts = step.lasts.as_millis();
    match step.soonest.filter(|_| learnt) {
        Some(soonest) => longest_ms.saturating_mul(2).clamp(soonest.as_millis(), lasts),
        None => lasts,
    }
}

impl Opening {
    /// With its own urgency, where it has one.
    fn by(mut self, severity: Option<Severity>, work_order: Option<Urgency>) -> Self {
        self.severity = severity;
        self.work_order = work_order;
        self
    }

    /// With facts.
    pub(super) fn of<const N: usize>(facts: [(&str, String); N]) -> Self {
        let facts: BTreeMap<String, String> =
            facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Self { severity: None, work_order: None, facts }
    }
}
