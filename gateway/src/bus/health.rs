//! How long a silent meter is spared. A dead meter costs its timeout at every poll, as much as fifteen
//! live ones; so after a few timeouts in a row it is asked less often, and once it answers, as before.
//! Only silence counts: a damaged or wrong answer comes from a meter that is there.

use blockgate_types::{FaultClass, Span};

/// Timeouts in a row before a meter is spared.
const PATIENCE: u32 = 3;
/// The first pause; it doubles with each further timeout.
const PAUSE_MIN: Span = Span::from_secs(10);
/// The longest pause: a meter that comes back is noticed within it.
const PAUSE_MAX: Span = Span::from_mins(5);

/// The health of one meter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    timeouts: u32,
}

impl Health {
    /// Takes a poll's outcome, and says how long the meter is spared.
    pub fn polled(&mut self, fault: Option<FaultClass>) -> Option<Span> {
        match fault {
            Some(FaultClass::Timeout) => self.timeouts = self.timeouts.saturating_add(1),
            Some(FaultClass::Checksum | FaultClass::Protocol | FaultClass::Value) | None => {
                self.timeouts = 0;
            }
        }
        let beyond = self.timeouts.checked_sub(PATIENCE)?;
        let pause = PAUSE_MIN.as_millis().saturating_mul(1_i64 << beyond.min(16));
        Some(Span::from_millis(pause).min(PAUSE_MAX))
    }

    /// Whether the meter has been silent for longer than patience lasts.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.timeouts >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_meter_is_asked_less_and_less_often_until_it_answers() {
        let mut health = Health::default();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            pauses
                .push(health.polled(Some(FaultClass::Timeout)).map_or(0, |p| p.as_millis() / 1000));
        }
        assert_eq!(pauses, [0, 0, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert!(health.is_silent());
        assert_eq!(health.polled(None), None);
        assert_eq!(health, Health::default());
    }

    #[test]
    fn a_meter_that_answers_wrongly_is_not_spared() {
        let mut health = Health::default();
        for class in [FaultClass::Checksum, FaultClass::Protocol, FaultClass::Value] {
            for _ in 0..10 {
                assert_eq!(health.polled(Some(class)), None);
            }
        }
    }
}
