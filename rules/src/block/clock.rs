//! A clock that was not set, once it is known: what was read by it gets its true time. The readings stay as
//! they were journaled; the state that the next readings and bills are judged by moves.

use super::Block;
use super::apply::next_change;
use crate::event::{Audit, Event};
use crate::input::UnsetSpan;
use crate::metering::{self, Restamp, TimeBase};
use blockgate_types::{ClockState, Span, Time};

/// By so much a clock may be set back that was ahead and believed.
const STEP_BELIEVED_MAX: Span = Span::from_hours(24);

impl Block {
    pub(super) fn decide_known(now: Time, boot: &str, spans: &[UnsetSpan], out: &mut Vec<Event>) {
        for UnsetSpan { from, to, by_ms } in spans.iter().copied() {
            let boot = boot.to_owned();
            out.push(Event::Audit(Audit::ClockCorrected { at: now, boot, from, to, by_ms }));
        }
    }

    /// How far the time of what is read now can be believed.
    pub(super) fn time_base(&self) -> TimeBase {
        match self.watch.clock {
            Some(ClockState::Unsynced) => TimeBase::UnsetSince(self.state.started),
            Some(ClockState::Synced | ClockState::Holdover) | None => TimeBase::Set,
        }
    }

    /// Whether readings wait that have their true time now.
    #[must_use]
    pub fn has_waiting_readings(&self) -> bool {
        let mut registers = self.state.meters.values().flat_map(|meter| meter.registers.values());
        registers.any(|register| register.settling().is_some())
    }

    /// The first of each register comes again, with its true time.
    pub(super) fn decide_settle(&self, out: &mut Vec<Event>) {
        for (id, known) in &self.state.meters {
            let Some(meter) = self.state.setup.meters.get(id) else { continue };
            let settled = meter.registers.iter().filter_map(|register| {
                let state = known.registers.get(&register.name)?;
                let (at, value, verdict) = metering::settle(register, state)?;
                Some(metering::reading(id, register, at, value, verdict))
            });
            let readings: Vec<_> = settled.collect();
            if !readings.is_empty() {
                let alarms = self.alarms_of(id, Some(known), &readings);
                out.push(Event::Reading { readings });
                out.extend(alarms);
            }
        }
    }

    /// What waited for an earlier start's time has none.
    pub(super) fn forget_waiting(&mut self) {
        let meters = self.state.meters.values_mut();
        for register in meters.flat_map(|meter| meter.registers.values_mut()) {
            register.forget_waiting();
        }
    }

    /// Moves what this start has read, and nothing older: every box begins in the same 1970.
    pub(super) fn apply_corrected(&mut self, from: Time, to: Time, by_ms: i64) {
        let span = UnsetSpan { from, to, by_ms };
        let restamp = Restamp { since_seq: self.state.started, span };
        let zone = self.cache.zone.as_ref();
        let month = |at: Time| zone.map_or(Time::MAX, |zone| zone.end_of(zone.month_of(at)));
        for (id, meter) in &mut self.state.meters {
            for (name, register) in &mut meter.registers {
                let changes = self.cache.changes.get(&(id.clone(), name.clone()));
                let edge = |at| next_change(changes, at).unwrap_or(Time::MAX).min(month(at));
                register.restamp(&restamp, edge);
            }
        }
    }

    /// The clock was set back: what was read on it before lies in the future, and more time has passed since then
    /// than the next reading will show. `by_ms` is below zero. By more than a day it is a clock that failed, and may
    /// come again as it was: no jump is to be plausible then.
    pub(super) fn apply_stepped(&mut self, now: Time, by_ms: i64) {
        if by_ms < -STEP_BELIEVED_MAX.as_millis() {
            return;
        }
        let meters = self.state.meters.values_mut();
        for register in meters.flat_map(|meter| meter.registers.values_mut()) {
            if register.last.at > now {
                let from = register.rate_from.as_millis().saturating_add(by_ms);
                register.rate_from = Time::from_millis(from);
            }
        }
    }

    /// What was heard lies in times that were not.
    pub(super) fn notice_known(&mut self, now: Time) {
        let watch = &mut self.watch;
        watch.grace_from = Some(now);
        watch.heard.clear();
        (watch.last_tick, watch.highest_tick) = (None, None);
        watch.silence_due = None;
    }
}
