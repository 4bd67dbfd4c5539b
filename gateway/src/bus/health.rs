//! How long a silent meter is spared, and what silent meters may cost the others. A poll without an
//! answer takes as long as fifteen live ones: the time-out, and on a serial wire the silence after it, in
//! which a late answer may still come. So a meter that does not answer is asked less and less often, in
//! time that nobody else needs; where there is none, all silent meters of a line together get a small
//! share of it. Once one answers, it is polled as before.
//!
//! Only silence counts: a damaged or wrong answer comes from a meter that is there.

use blockgate_types::{FaultClass, Span};
use std::time::Duration;
use tokio::time::Instant;

/// Timeouts in a row before a meter is spared that has answered before.
const PATIENCE: u32 = 3;
/// The same for one that never has: a wrong address, a meter that is not wired yet.
const PATIENCE_NEVER: u32 = 1;
/// The first pause; it doubles with each further timeout.
const PAUSE_MIN: Span = Span::from_secs(10);
/// The longest pause: where the line has time to spare, a meter that comes back is noticed within it.
const PAUSE_MAX: Span = Span::from_mins(5);
/// Of the time of a line that has none to spare, silent meters get one part in so many together.
const SHARE: u32 = 64;

/// The health of one meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    timeouts: u32,
    answered: bool,
}

impl Health {
    /// Takes a poll's outcome, and says how long the meter is spared.
    pub fn polled(&mut self, fault: Option<FaultClass>) -> Option<Span> {
        match fault {
            Some(FaultClass::Timeout) => self.timeouts = self.timeouts.saturating_add(1),
            Some(
                FaultClass::Checksum
                | FaultClass::Protocol
                | FaultClass::WrongDevice
                | FaultClass::Value,
            )
            | None => *self = Self { timeouts: 0, answered: true },
        }
        let beyond = self.timeouts.checked_sub(self.patience())?;
        let pause = PAUSE_MIN.as_millis().saturating_mul(1_i64 << beyond.min(16));
        Some(Span::from_millis(pause).min(PAUSE_MAX))
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

    /// A silent meter was asked in time that others needed, and did not answer.
    pub fn spend(&mut self, cost: Duration) {
        self.from = Some(Instant::now() + cost * (SHARE - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(mut health: Health) -> Vec<i64> {
        let mut pause =
            || health.polled(Some(FaultClass::Timeout)).map_or(0, |p| p.as_millis() / 1000);
        (0..8).map(|_| pause()).collect()
    }

    #[test]
    fn a_silent_meter_is_asked_less_and_less_often_until_it_answers() {
        let mut health = Health::default();
        assert_eq!(health.polled(None), None);
        assert_eq!(pauses(health), [0, 0, 10, 20, 40, 80, 160, 300]);
        assert_eq!(pauses(Health::default()), [10, 20, 40, 80, 160, 300, 300, 300]);
        let mut silent = Health::default();
        silent.polled(Some(FaultClass::Timeout));
        assert!(silent.is_silent());
        assert_eq!(silent.polled(None), None);
        assert_eq!(silent, health);
    }

    #[test]
    fn a_meter_that_answers_wrongly_is_not_spared() {
        let mut health = Health::default();
        for class in FaultClass::ALL.into_iter().filter(|class| *class != FaultClass::Timeout) {
            for _ in 0..10 {
                assert_eq!(health.polled(Some(class)), None);
            }
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
}
