//! A start without a set clock: how the wrong clock stood to the time that passes, so that what was read by
//! it gets its true time once the clock is known.

use super::Engine;
use crate::limits;
use blockgate_rules::Input;
use blockgate_rules::input::UnsetSpan;
use blockgate_rules::metering::WAITING_MAX;
use blockgate_types::{ClockState, Span, Time};
use std::collections::VecDeque;
use tokio::time::Instant;

/// Less than this between two looks is a clock that is disciplined, and none that is set.
const STEP_MIN_MS: i64 = 1_000;

/// Times by one setting of a clock that nobody vouches for.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Time,
    to: Time,
    /// What the wall clock showed when this process had run for no time.
    base_ms: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Unset {
    began: Option<Instant>,
    /// Whether the clock is still looked at.
    open: bool,
    looked_ms: i64,
    stretches: VecDeque<Stretch>,
}

impl Unset {
    /// The process begins: its clock may not be set yet.
    pub(super) fn begin(&mut self) {
        (self.began, self.open) = (Some(Instant::now()), true);
    }

    /// Looks at the clock after `ran_ms` of this process; gives what is to be put right, at the end.
    fn look(&mut self, now: Time, state: ClockState, ran_ms: i64) -> Vec<UnsetSpan> {
        let base_ms = now.as_millis().saturating_sub(ran_ms);
        let passed = Span::from_millis(ran_ms.saturating_sub(self.looked_ms));
        self.looked_ms = ran_ms;
        let known = state != ClockState::Unsynced;
        let same = self
            .stretches
            .back_mut()
            .filter(|last| base_ms.abs_diff(last.base_ms) < STEP_MIN_MS.unsigned_abs());
        match same {
            Some(last) => last.to = last.to.max(now),
            None => {
                // Somebody set it since the last look; until when is not known better than that.
                if let Some(last) = self.stretches.back_mut() {
                    last.to = last.to.plus(passed);
                }
                if !known {
                    if self.stretches.len() == limits::CLOCK_STRETCHES_MAX {
                        self.stretches.pop_front();
                    }
                    self.stretches.push_back(Stretch { from: now, to: now, base_ms });
                }
            }
        }
        if !known {
            return Vec::new();
        }
        self.open = false;
        let off = |stretch: &Stretch| base_ms.saturating_sub(stretch.base_ms);
        let wrong = self.stretches.drain(..).filter(|s| off(s).abs() >= STEP_MIN_MS);
        wrong.map(|s| UnsetSpan { from: s.from, to: s.to, by_ms: off(&s) }).collect()
    }
}

impl Engine {
    /// As long as the clock of this start was never known: looks at it before anything is taken in.
    pub(super) fn look_at_the_clock(&mut self) -> anyhow::Result<()> {
        let Some(began) = self.unset.began.filter(|_| self.unset.open) else { return Ok(()) };
        let (now, state) = (self.shared.clock.now(), self.shared.clock.state());
        let ran_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let spans = self.unset.look(now, state, ran_ms);
        if !spans.is_empty() {
            tracing::warn!(
                by_ms = spans.last().map_or(0, |span| span.by_ms),
                "the clock is known now; what was read before gets its true time"
            );
            let boot = self.origin.boot.clone();
            self.step(&Input::ClockKnown { now, boot, spans })?;
        }
        self.settle_readings()
    }

    /// Has the readings judged that waited for their time, before anything is closed by it.
    pub(super) fn settle_readings(&mut self) -> anyhow::Result<()> {
        let (now, state) = (self.shared.clock.now(), self.shared.clock.state());
        if state == ClockState::Unsynced {
            return Ok(());
        }
        // One of each register a turn.
        for _ in 0..WAITING_MAX {
            if !self.block.has_waiting_readings() {
                break;
            }
            self.step(&Input::Settle { now })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn what_was_read_on_an_unset_clock_is_off_by_what_it_was_set_by() {
        let (unset, known) = (ClockState::Unsynced, ClockState::Synced);
        let mut clock = Unset::default();
        clock.begin();
        assert_eq!(clock.look(at(0), unset, 0), []);
        assert_eq!(clock.look(at(60_010), unset, 60_000), []);
        // Somebody sets it, by hand and wrongly; and later it is known.
        assert_eq!(clock.look(at(1_000_090_000), unset, 90_000), []);
        assert_eq!(clock.look(at(1_000_120_000), unset, 120_000), []);
        let (first, second) = (clock.look(at(5_000_150_000), known, 150_000), clock.open);
        let wanted = [
            UnsetSpan { from: at(0), to: at(90_010), by_ms: 5_000_000_000 },
            UnsetSpan { from: at(1_000_090_000), to: at(1_000_150_000), by_ms: 4_000_000_000 },
        ];
        assert_eq!((&first[..], second), (&wanted[..], false));
    }

    #[test]
    fn a_clock_that_was_right_all_the_time_puts_nothing_right() {
        let mut clock = Unset::default();
        clock.begin();
        assert_eq!(clock.look(at(1_000), ClockState::Unsynced, 0), []);
        assert_eq!(clock.look(at(61_400), ClockState::Synced, 60_000), []);
        assert!(!clock.open);
    }

    #[test]
    fn a_clock_that_jumps_for_ever_takes_no_more_room() {
        let mut clock = Unset::default();
        clock.begin();
        for n in 0..1_000 {
            clock.look(at(n * 1_000_000), ClockState::Unsynced, n);
        }
        assert_eq!(clock.stretches.len(), limits::CLOCK_STRETCHES_MAX);
    }
}
