//! How long to wait between two attempts. Short at first, because most outages are a restart of the
//! broker and a backlog should be gone two seconds after it is back; long where only a person can
//! help, and very long where another client has our id. Every wait is spread by a factor that differs
//! from gateway to gateway, so that a street does not come back in one instant.

use super::trouble::Pace;
use crate::limits;
use std::time::Duration;

/// Longest wait in the first [`PATIENCE`] attempts.
const SOON: Duration = Duration::from_millis(1400);
/// Attempts that are made soon: about two minutes of them.
const PATIENCE: u32 = 100;
/// A connection that lived so long was a good one: the count begins anew.
const GOOD: Duration = Duration::from_secs(30);
/// First wait after another client took our place.
const YIELD: Duration = Duration::from_secs(60);
/// Longest wait after that.
const YIELD_MAX: Duration = Duration::from_secs(15 * 60);
/// First wait for a person.
const SLOW: Duration = Duration::from_secs(15);

/// A number that differs from gateway to gateway (FNV-1a).
pub(crate) fn seed(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// The waits of one gateway.
#[derive(Debug)]
pub struct Backoff {
    seed: u64,
    attempts: u32,
    /// Take-overs since the last long connection. Counted apart: between two of them each of the two
    /// clients has a connection that looks good.
    yielded: u32,
    /// Each wait is longer by up to this.
    spread: Duration,
}

impl Backoff {
    /// Waits that differ by this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { seed: seed(name), attempts: 0, yielded: 0, spread: Duration::ZERO }
    }

    /// With waits that are longer by up to `spread`: a thousand gateways that lose one broker come back
    /// over so long.
    #[must_use]
    pub fn spread_over(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }

    /// A connection ended after this long.
    pub fn lived(&mut self, long: Duration) {
        if long >= GOOD {
            self.attempts = 0;
        }
        if long >= 2 * YIELD_MAX {
            self.yielded = 0;
        }
    }

    /// The attempts since the last good connection.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The wait before the next attempt: between half and all of what the class allows.
    pub fn next(&mut self, pace: Pace) -> Duration {
        let doubled = |first: Duration, times: u32, max: Duration| {
            first.saturating_mul(1u32.checked_shl(times.min(20)).unwrap_or(u32::MAX)).min(max)
        };
        let longest = match pace {
            Pace::Quick => {
                doubled(SOON, self.attempts.saturating_sub(PATIENCE), limits::MQTT_BACKOFF_MAX)
            }
            Pace::Slow => doubled(SLOW, self.attempts, limits::MQTT_BACKOFF_MAX),
            Pace::Yield => {
                self.yielded = self.yielded.saturating_add(1);
                doubled(YIELD, self.yielded - 1, YIELD_MAX)
            }
        };
        self.attempts = self.attempts.saturating_add(1);
        let share = f64::from(self.dice()) / 65_535.0;
        longest / 2 + (longest / 2).mul_f64(share) + self.spread.mul_f64(share)
    }

    /// Splitmix64 of the name and the attempt: the same gateway waits the same in a repeated test.
    fn dice(&self) -> u16 {
        let mut z =
            self.seed.wrapping_add(u64::from(self.attempts).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u16::try_from((z ^ (z >> 31)) & 0xffff).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // invariant 10
    #[test]
    fn waits_are_short_in_a_short_outage_and_bounded_in_a_long_one() {
        let mut backoff = Backoff::new("gw-7");
        let mut sum = Duration::ZERO;
        for attempt in 0..1000 {
            let wait = backoff.next(Pace::Quick);
            assert!(wait >= SOON / 2 && wait <= limits::MQTT_BACKOFF_MAX, "{attempt}: {wait:?}");
            if attempt < 80 {
                assert!(wait <= SOON);
                sum += wait;
            }
        }
        assert!(sum > Duration::from_secs(60), "a minute's outage stays in the quick part");
        assert!(backoff.next(Pace::Quick) >= limits::MQTT_BACKOFF_MAX / 2);
    }

    #[test]
    fn a_clone_is_given_room_and_a_wrong_password_is_not_hammered() {
        let (mut slow, mut yielding) = (Backoff::new("a"), Backoff::new("a"));
        let slow: Vec<_> = (0..5).map(|_| slow.next(Pace::Slow).as_secs()).collect();
        assert!(slow.iter().all(|s| (7..=60).contains(s)) && slow[4] >= 30, "{slow:?}");
        let long: Vec<_> = (0..8).map(|_| yielding.next(Pace::Yield).as_secs()).collect();
        assert!(long.iter().all(|s| (30..=900).contains(s)) && long[7] >= 450, "{long:?}");
    }

    #[test]
    fn two_gateways_do_not_come_back_together() {
        let waits = |name: &str| {
            let mut backoff = Backoff::new(name);
            (0..20).map(|_| backoff.next(Pace::Quick)).collect::<Vec<_>>()
        };
        assert_ne!(waits("gw-1"), waits("gw-2"));
        assert_eq!(waits("gw-1"), waits("gw-1"));
    }
}
