//! When which meter of a line is polled. Pure: time comes in, meters come out.
//!
//! Polls lie on the slots of the wall clock (every 15 minutes means 00:00, 00:15, …), so that a
//! period's closing reading is taken at its edge and all meters of a line are read in one go, which
//! wakes the box once. A round that takes longer than its slot skips the slots it missed: there is
//! never a burst of late polls. Order: least due time first, then the order of the config.
//!
//! Whatever its interval, a meter is also due at the edges of its record slots (every quarter of an hour,
//! mostly): what is compared between lines, a master and its sub-meters, was read at the same time.
//!
//! Silent meters stand in a queue of their own ([`Schedule::next_spared`]): they are asked in time that
//! the others do not need.

use blockgate_types::{Span, Time};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// When a meter that was just polled is polled next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At its next slot.
    Slot,
    /// So soon, or at its next slot where that is sooner, and among the others: it missed once.
    Within(Span),
    /// It is silent: after so long, where there is time.
    Spared(Span),
}

/// The polls of one line.
#[derive(Debug)]
pub struct Schedule {
    due: BinaryHeap<Reverse<(Time, usize)>>,
    /// Silent meters.
    spared: BinaryHeap<Reverse<(Time, usize)>>,
    every: Vec<Span>,
    /// Edges at which a meter is due whatever its interval.
    record: Vec<Span>,
    /// Meters that are read more often for a while.
    sampled: Vec<Option<Span>>,
}

impl Schedule {
    /// All meters are due at once: the first reading must not wait for a slot. For each how often it is
    /// polled, and the length of its record slots (zero for none).
    #[must_use]
    pub fn new(meters: &[(Span, Span)], now: Time) -> Self {
        let due = (0..meters.len()).map(|meter| Reverse((now, meter))).collect();
        let (every, record) = meters.iter().copied().unzip();
        let sampled = vec![None; meters.len()];
        Self { due, spared: BinaryHeap::new(), every, record, sampled }
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
                Some(true) => at.min(self.slot_after(now, meter)),
                Some(false) | None => at,
            };
            self.due.push(Reverse((at, meter)));
        }
    }

    /// A meter's next slot: of its interval, or the edge of its record slot where that is sooner.
    fn slot_after(&self, now: Time, meter: usize) -> Time {
        let every = next_slot(now, self.every(meter));
        match self.record.get(meter).copied().filter(|record| !record.is_zero()) {
            Some(record) => every.min(next_slot(now, record)),
            None => every,
        }
    }

    /// The next meter that answers, or may, and when it is due; `None` where there is none.
    #[must_use]
    pub fn next(&self) -> Option<(Time, usize)> {
        self.due.peek().map(|Reverse(next)| *next)
    }

    /// The next silent meter, and from when on it may be asked.
    #[must_use]
    pub fn next_spared(&self) -> Option<(Time, usize)> {
        self.spared.peek().map(|Reverse(next)| *next)
    }

    /// A meter was polled at `now`, the one of [`Self::next`] or of [`Self::next_spared`]: its next poll
    /// is the first slot after, or as `then` says.
    pub fn polled(&mut self, meter: usize, now: Time, then: Next) {
        let is_next = |queue: &BinaryHeap<Reverse<(Time, usize)>>| {
            queue.peek().is_some_and(|Reverse((_, next))| *next == meter)
        };
        if is_next(&self.due) {
            self.due.pop();
        } else if is_next(&self.spared) {
            self.spared.pop();
        } else {
            return;
        }
        match then {
            Next::Spared(pause) => self.spared.push(Reverse((now.plus(pause), meter))),
            Next::Within(span) => {
                // A meter that is polled without a pause is not asked sooner for having missed.
                let next = self.slot_after(now, meter);
                let soon = now.plus(span);
                self.due.push(Reverse((if next <= now { soon } else { next.min(soon) }, meter)));
            }
            Next::Slot => {
                let next = self.slot_after(now, meter);
                self.due.push(Reverse((next, meter)));
            }
        }
    }

    /// The wall clock was set: due times are taken anew, so that nobody waits for hours or is polled
    /// a thousand times.
    pub fn clock_set(&mut self, now: Time) {
        let meters: Vec<usize> = self.due.drain().map(|Reverse((_, meter))| meter).collect();
        for meter in meters {
            let next = self.slot_after(now, meter);
            self.due.push(Reverse((next, meter)));
        }
        let silent: Vec<usize> = self.spared.drain().map(|Reverse((_, meter))| meter).collect();
        self.spared.extend(silent.into_iter().map(|meter| Reverse((now, meter))));
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

    fn schedule(meters: &[Span], now: &str) -> Schedule {
        let meters: Vec<(Span, Span)> = meters.iter().map(|every| (*every, Span::ZERO)).collect();
        Schedule::new(&meters, time(now))
    }

    /// The next meter was polled.
    fn polled(schedule: &mut Schedule, now: Time) {
        let (_, meter) = schedule.next().unwrap();
        schedule.polled(meter, now, Next::Slot);
    }

    #[test]
    fn the_first_polls_are_at_once_and_the_next_on_slots() {
        let mut schedule = schedule(&[Span::from_mins(15); 2], "10:07:30");
        assert_eq!(schedule.next(), Some((time("10:07:30"), 0)));
        polled(&mut schedule, time("10:07:31"));
        assert_eq!(schedule.next(), Some((time("10:07:30"), 1)));
        polled(&mut schedule, time("10:07:32"));
        assert_eq!(schedule.next(), Some((time("10:15:00"), 0)));
        polled(&mut schedule, time("10:15:00"));
        polled(&mut schedule, time("10:15:01"));
        assert_eq!(schedule.next(), Some((time("10:30:00"), 0)));
    }

    #[test]
    fn an_interval_that_misses_the_quarter_of_an_hour_does_not_miss_its_edge() {
        let quarter = Span::from_mins(15);
        let mut schedule = Schedule::new(&[(Span::from_mins(7), quarter)], time("10:00:00"));
        let mut polls = Vec::new();
        for _ in 0..5 {
            let (due, _) = schedule.next().unwrap();
            polls.push(due);
            polled(&mut schedule, due.plus(Span::from_millis(300)));
        }
        // Slots of seven minutes lie on 10:02, 10:09, 10:16: they are counted from the epoch.
        let edge = polls.iter().filter(|at| at.as_millis() % 900_000 == 0).count();
        assert_eq!(edge, 2, "{polls:?}");
        assert!(polls.contains(&time("10:15:00")), "{polls:?}");
    }

    #[test]
    fn a_round_that_takes_too_long_skips_the_slots_it_missed() {
        let mut schedule = schedule(&[Span::from_secs(1)], "10:00:00");
        polled(&mut schedule, time("10:00:07.5"));
        assert_eq!(schedule.next(), Some((time("10:00:08"), 0)));
    }

    #[test]
    fn a_spared_meter_waits_beside_the_others_and_comes_back_among_them() {
        let mut schedule = schedule(&[Span::from_secs(10); 2], "10:00:00");
        schedule.polled(0, time("10:00:01"), Next::Spared(Span::from_secs(60)));
        polled(&mut schedule, time("10:00:02"));
        assert_eq!(schedule.next(), Some((time("10:00:10"), 1)));
        polled(&mut schedule, time("10:00:10"));
        assert_eq!(schedule.next(), Some((time("10:00:20"), 1)));
        assert_eq!(schedule.next_spared(), Some((time("10:01:01"), 0)));
        schedule.polled(0, time("10:01:02"), Next::Slot);
        assert_eq!((schedule.next_spared(), schedule.due.len()), (None, 2));
    }

    #[test]
    fn a_meter_that_missed_once_is_asked_again_within_seconds_and_behind_who_is_due() {
        let mut schedule = schedule(&[Span::from_mins(15); 3], "10:00:00");
        let within = Next::Within(Span::from_secs(3));
        schedule.polled(0, time("10:00:01"), within);
        polled(&mut schedule, time("10:00:02"));
        assert_eq!(schedule.next(), Some((time("10:00:00"), 2)));
        polled(&mut schedule, time("10:00:05"));
        assert_eq!(schedule.next(), Some((time("10:00:04"), 0)));
        // Its slot is sooner.
        schedule.polled(0, time("10:14:59"), within);
        assert_eq!(schedule.next(), Some((time("10:15:00"), 0)));
        // Without an interval everybody is always due: it is not asked before its answer may come.
        let mut flat_out = Schedule::new(&[(Span::ZERO, Span::ZERO)], time("10:00:00"));
        flat_out.polled(0, time("10:00:01"), within);
        assert_eq!(flat_out.next(), Some((time("10:00:04"), 0)));
    }

    #[test]
    fn without_an_interval_meters_follow_one_another() {
        let mut schedule = schedule(&[Span::ZERO; 3], "10:00:00");
        let mut order = Vec::new();
        for ms in 1..=6 {
            order.push(schedule.next().unwrap().1);
            polled(&mut schedule, time("10:00:00").plus(Span::from_millis(ms)));
        }
        assert_eq!(order, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_sampled_meter_is_read_more_often_and_goes_back_to_its_own_interval() {
        let mut schedule = schedule(&[Span::from_mins(15); 2], "10:00:00");
        polled(&mut schedule, time("10:00:01"));
        polled(&mut schedule, time("10:00:02"));
        schedule.sample(time("10:02:30"), vec![None, Some(Span::from_mins(1))]);
        for minute in ["10:03:00", "10:04:00"] {
            assert_eq!(schedule.next(), Some((time(minute), 1)));
            polled(&mut schedule, time(minute));
        }
        schedule.sample(time("10:04:30"), vec![None, None]);
        polled(&mut schedule, time("10:05:00"));
        assert_eq!(schedule.next(), Some((time("10:15:00"), 0)));
        polled(&mut schedule, time("10:15:01"));
        assert_eq!(schedule.next(), Some((time("10:15:00"), 1)));
    }

    #[test]
    fn a_clock_set_back_makes_nobody_wait() {
        let mut schedule = schedule(&[Span::from_mins(15); 2], "10:00:00");
        polled(&mut schedule, time("10:00:01"));
        schedule.polled(1, time("10:00:02"), Next::Spared(Span::from_mins(5)));
        schedule.clock_set(time("08:00:01"));
        assert_eq!(schedule.next(), Some((time("08:15:00"), 0)));
        assert_eq!(schedule.next_spared(), Some((time("08:00:01"), 1)));
    }
}
