//! When which meter of a line is polled. Pure: time comes in, meters come out.
//!
//! Polls lie on the slots of the wall clock (every 15 minutes means 00:00, 00:15, …), so that a
//! period's closing reading is taken at its edge and all meters of a line are read in one go, which
//! wakes the box once. A round that takes longer than its slot skips the slots it missed: there is
//! never a burst of late polls. Order: least due time first, then the order of the config.

use blockgate_types::{Span, Time};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The polls of one line.
#[derive(Debug)]
pub struct Schedule {
    due: BinaryHeap<Reverse<(Time, usize)>>,
    every: Vec<Span>,
    /// Meters that are read more often for a while.
    sampled: Vec<Option<Span>>,
}

impl Schedule {
    /// All meters are due at once: the first reading must not wait for a slot.
    #[must_use]
    pub fn new(every: Vec<Span>, now: Time) -> Self {
        let due = (0..every.len()).map(|meter| Reverse((now, meter))).collect();
        let sampled = vec![None; every.len()];
        Self { due, every, sampled }
    }

    /// How often a meter is polled now.
    fn every(&self, meter: usize) -> Span {
        let every = self.every.get(meter).copied().unwrap_or(Span::ZERO);
        match self.sampled.get(meter).copied().flatten() {
            Some(sampled) => every.min(sampled),
            None => every,
        }
    }

    /// Which meters are read more often from now on, and how often; the others go back to their own
    /// interval at their next poll.
    pub fn sample(&mut self, now: Time, wanted: Vec<Option<Span>>) {
        let begun: Vec<bool> = wanted
            .iter()
            .zip(&self.sampled)
            .map(|(wanted, before)| wanted.is_some() && wanted != before)
            .collect();
        self.sampled = wanted;
        let due: Vec<(Time, usize)> = self.due.drain().map(|Reverse(next)| next).collect();
        for (at, meter) in due {
            let at = match begun.get(meter) {
                Some(true) => at.min(next_slot(now, self.every(meter))),
                Some(false) | None => at,
            };
            self.due.push(Reverse((at, meter)));
        }
    }

    /// The next meter and when it is due; `None` for a line without meters.
    #[must_use]
    pub fn next(&self) -> Option<(Time, usize)> {
        self.due.peek().map(|Reverse(next)| *next)
    }

    /// The next meter was polled at `now`; its next poll is the first slot after, or after
    /// `pause` where the meter is spared.
    pub fn polled(&mut self, now: Time, pause: Option<Span>) {
        let Some(Reverse((_, meter))) = self.due.pop() else { return };
        let every = self.every(meter);
        let next = match pause {
            Some(pause) => next_slot(now.plus(pause), every),
            None => next_slot(now, every),
        };
        self.due.push(Reverse((next, meter)));
    }

    /// The wall clock was set: due times are taken anew, so that nobody waits for hours or is polled
    /// a thousand times.
    pub fn clock_set(&mut self, now: Time) {
        let meters: Vec<usize> = self.due.drain().map(|Reverse((_, meter))| meter).collect();
        for meter in meters {
            let every = self.every(meter);
            self.due.push(Reverse((next_slot(now, every), meter)));
        }
    }
}

/// The first slot after `now`; `now` itself where the slots have no length.
fn next_slot(now: Time, every: Span) -> Time {
    match now.as_millis().checked_rem(every.as_millis()) {
        Some(into) => now.plus(Span::from_millis(every.as_millis() - into)),
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        format!("2026-03-01T{text}Z").parse().unwrap()
    }

    #[test]
    fn the_first_polls_are_at_once_and_the_next_on_slots() {
        let mut schedule = Schedule::new(vec![Span::from_mins(15); 2], time("10:07:30"));
        assert_eq!(schedule.next(), Some((time("10:07:30"), 0)));
        schedule.polled(time("10:07:31"), None);
        assert_eq!(schedule.next(), Some((time("10:07:30"), 1)));
        schedule.polled(time("10:07:32"), None);
        assert_eq!(schedule.next(), Some((time("10:15:00"), 0)));
        schedule.polled(time("10:15:00"), None);
        schedule.polled(time("10:15:01"), None);
        assert_eq!(schedule.next(), Some((time("10:30:00"), 0)));
    }

    #[test]
    fn a_round_that_takes_too_long_skips_the_slots_it_missed() {
        let mut schedule = Schedule::new(vec![Span::from_secs(1)], time("10:00:00"));
        schedule.polled(time("10:00:07.5"), None);
        assert_eq!(schedule.next(), Some((time("10:00:08"), 0)));
    }

    #[test]
    fn a_spared_meter_is_asked_at_the_first_slot_after_its_pause() {
        let mut schedule = Schedule::new(vec![Span::from_secs(10); 2], time("10:00:00"));
        schedule.polled(time("10:00:01"), Some(Span::from_secs(60)));
        schedule.polled(time("10:00:02"), None);
        assert_eq!(schedule.next(), Some((time("10:00:10"), 1)));
        schedule.polled(time("10:00:10"), None);
        assert_eq!(schedule.next(), Some((time("10:00:20"), 1)));
        assert_eq!(schedule.due.iter().map(|Reverse((t, _))| *t).max(), Some(time("10:01:10")));
    }

    #[test]
    fn without_an_interval_meters_follow_one_another() {
        let mut schedule = Schedule::new(vec![Span::ZERO; 3], time("10:00:00"));
        let mut order = Vec::new();
        for ms in 1..=6 {
            order.push(schedule.next().unwrap().1);
            schedule.polled(time("10:00:00").plus(Span::from_millis(ms)), None);
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_sampled_meter_is_read_more_often_and_goes_back_to_its_own_interval() {
        let mut schedule = Schedule::new(vec![Span::from_mins(15); 2], time("10:00:00"));
        schedule.polled(time("10:00:01"), None);
        schedule.polled(time("10:00:02"), None);
        schedule.sample(time("10:02:30"), vec![None, Some(Span::from_mins(1))]);
        for minute in ["10:03:00", "10:04:00"] {
            assert_eq!(schedule.next(), Some((time(minute), 1)));
            schedule.polled(time(minute), None);
        }
        schedule.sample(time("10:04:30"), vec![None, None]);
        schedule.polled(time("10:05:00"), None);
        assert_eq!(schedule.next(), Some((time("10:15:00"), 0)));
        schedule.polled(time("10:15:01"), None);
        assert_eq!(schedule.next(), Some((time("10:15:00"), 1)));
    }

    #[test]
    fn a_clock_set_back_makes_nobody_wait() {
        let mut schedule = Schedule::new(vec![Span::from_mins(15)], time("10:00:00"));
        schedule.polled(time("10:00:01"), None);
        schedule.clock_set(time("08:00:01"));
        assert_eq!(schedule.next(), Some((time("08:15:00"), 0)));
    }
}
