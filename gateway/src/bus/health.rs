//! How long a silent meter is spared, and what silent meters may cost the others. A poll without an
//! answer takes as long as fifteen live ones: the time-out, and on a serial wire the silence after it, in
//! which a late answer may still come. So a meter that does not answer is asked less and less often, in
//! time that nobody else needs; where there is none, all silent meters of a line together get a small
//! share of it. Once one answers, it is polled as before.
//!
//! A meter that has answered before and misses once is asked again soon, with all the time that is
//! configured: what was noise costs no reading of a quarter-hour. If it misses that too it is silent.
//!
//! Only silence counts: a damaged or wrong answer comes from a meter that is there. It is asked again soon
//! too, once.

use super::schedule::Next;
use blockgate_types::{FaultClass, Span};
use std::time::Duration;
use tokio::time::Instant;

/// Timeouts in a row before a meter is spared that has answered before: the first may come early
/// (`blockgate_drivers::line::answers`), the second does not.
const PATIENCE: u32 = 2;
/// The same for one that never has: a wrong address, a meter that is not wired yet.
const PATIENCE_NEVER: u32 = 1;
/// The first pause; it doubles with each further timeout.
const PAUSE_MIN: Span = Span::from_secs(10);
/// The longest pause: where the line has time to spare, a meter that comes back is noticed within it.
const PAUSE_MAX: Span = Span::from_mins(5);
/// Of the time of a line that has none to spare, silent meters get one part in so many together.
const SHARE: u32 = 64;
/// However many fell silent at once: after so long one of them is asked again.
const DEBT_MAX: Duration = Duration::from_secs(32 * 60);

/// The health of one meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    timeouts: u32,
    answered: bool,
    /// The last answer was damaged, or another meter's.
    damaged: bool,
}

impl Health {
    /// Takes a poll's outcome, and says when the meter is polled next. `again` is how soon after a miss
    /// its answer cannot come late any more.
    pub fn polled(&mut self, fault: Option<FaultClass>, again: Span) -> Next {
        let was_damaged = self.damaged;
        match fault {
            Some(FaultClass::Timeout) => self.timeouts = self.timeouts.saturating_add(1),
            Some(FaultClass::Checksum | FaultClass::WrongDevice) => {
                *self = Self { timeouts: 0, answered: true, damaged: true };
                return if was_damaged { Next::Slot } else { Next::Within(again) };
            }
            Some(FaultClass::Protocol | FaultClass::Value) | None => {
                *self = Self { timeouts: 0, answered: true, damaged: false };
            }
        }
        let Some(beyond) = self.timeouts.checked_sub(self.patience()) else {
            return if self.timeouts == 0 { Next::Slot } else { Next::Within(again) };
        };
        let pause = PAUSE_MIN.as_millis().saturating_mul(1_i64 << beyond.min(16));
        Next::Spared(Span::from_millis(pause).min(PAUSE_MAX))
    }

    fn patience(self) -> u32 {
        if self.answered { PATIENCE } else { PATIENCE_NEVER }
    }

    /// Whether the meter has been silent for longer than patience lasts.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.timeouts >= self.patience()
    }
}

/// When a line without time to spare may ask a silent meter again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowance {
    from: Option<Instant>,
}

impl Allowance {
    /// Whether it may now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.from.is_none_or(|from| from <= Instant::now())
    }

    /// A meter was asked in time that others needed, and is silent. What ten cost that die together is
    /// paid back before any of them is asked again.
    pub fn spend(&mut self, cost: Duration) {
        let now = Instant::now();
        let from = self.from.map_or(now, |from| from.max(now)) + cost * (SHARE - 1);
        self.from = Some(from.min(now + DEBT_MAX));
    }

    /// A silent meter answers: where a whole line came back the next one is asked at once.
    pub fn open(&mut self) {
        self.from = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGAIN: Span = Span::from_secs(3);

    /// In seconds: 0 for the next slot.
    fn pauses(mut health: Health) -> Vec<i64> {
        let mut pause = || match health.polled(Some(FaultClass::Timeout), AGAIN) {
            Next::Slot => 0,
            Next::Within(span) => -span.as_millis() / 1000,
            Next::Spared(span) => span.as_millis() / 1000,
        };
        (0..8).map(|_| pause()).collect()
    }

    #[test]
    fn a_silent_meter_is_asked_less_and_less_often_until_it_answers() {
        let mut health = Health::default();
        assert_eq!(health.polled(None, AGAIN), Next::Slot);
        // Once more among the others, three seconds later; then it is spared.
        assert_eq!(pauses(health), [-3, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(pauses(Health::default()), [10, 20, 40, 80, 160, 300, 300, 300]);
        let mut silent = Health::default();
        silent.polled(Some(FaultClass::Timeout), AGAIN);
        assert!(silent.is_silent());
        assert_eq!(silent.polled(None, AGAIN), Next::Slot);
        assert_eq!(silent, health);
    }

    #[test]
    fn a_meter_that_answers_wrongly_is_not_spared() {
        for class in FaultClass::ALL.into_iter().filter(|class| *class != FaultClass::Timeout) {
            let mut health = Health::default();
            let nexts: Vec<Next> = (0..10).map(|_| health.polled(Some(class), AGAIN)).collect();
            // What noise spoilt is asked for once more; what the meter itself says is not.
            let is_noise = matches!(class, FaultClass::Checksum | FaultClass::WrongDevice);
            let first = if is_noise { Next::Within(AGAIN) } else { Next::Slot };
            assert_eq!(nexts[0], first, "{class:?}");
            assert!(nexts[1..].iter().all(|next| *next == Next::Slot), "{class:?}: {nexts:?}");
            health.polled(None, AGAIN);
            assert_eq!(health.polled(Some(class), AGAIN), first, "{class:?}, after a good one");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_meters_get_one_part_in_sixty_four_of_a_busy_line() {
        let mut allowance = Allowance::default();
        assert!(allowance.is_open());
        allowance.spend(Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(188)).await;
        assert!(!allowance.is_open());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(allowance.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn what_meters_cost_that_die_together_is_paid_back_and_the_debt_has_a_bound() {
        let mut allowance = Allowance::default();
        (0..3).for_each(|_| allowance.spend(Duration::from_secs(3)));
        tokio::time::advance(Duration::from_secs(3 * 189 - 1)).await;
        assert!(!allowance.is_open());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(allowance.is_open());
        (0..200).for_each(|_| allowance.spend(Duration::from_secs(3)));
        tokio::time::advance(DEBT_MAX).await;
        assert!(allowance.is_open());
        allowance.spend(Duration::from_secs(3));
        allowance.open();
        assert!(allowance.is_open(), "one of them is back");
    }
}
