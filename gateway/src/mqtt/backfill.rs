//! How fast a backlog goes out after a long time without the broker: so many messages a second, and
//! what happens now goes before it. A box whose line is thin stays usable, and a thousand of them that
//! come back at once do not bury their broker.

use std::time::Duration;
use tokio::time::Instant;

/// A bucket of messages that fills by the second.
#[derive(Debug)]
pub(super) struct Backfill {
    /// Messages a second; 0 is without a bound.
    rate: u32,
    /// Thousandths of a message.
    filled: u64,
    at: Instant,
}

/// How often a backlog that has used up its share looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Backfill {
    /// A bucket with a first portion in it.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, filled: u64::from(rate / 4).max(1) * 1000, at: Instant::now() }
    }

    /// How many may go now.
    pub(super) fn allowed(&mut self) -> usize {
        if self.rate == 0 {
            return usize::MAX;
        }
        let (rate, now) = (u64::from(self.rate), Instant::now());
        let passed = u64::try_from((now - self.at).as_millis()).unwrap_or(u64::MAX);
        self.at = now;
        let most = (rate / 4).max(1) * 1000;
        self.filled = self.filled.saturating_add(passed.saturating_mul(rate)).min(most);
        usize::try_from(self.filled / 1000).unwrap_or(usize::MAX)
    }

    /// So many went.
    pub(super) fn spent(&mut self, messages: usize) {
        let messages = u64::try_from(messages).unwrap_or(u64::MAX);
        self.filled = self.filled.saturating_sub(messages.saturating_mul(1000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // invariant 10
    #[tokio::test(start_paused = true)]
    async fn a_backlog_goes_out_at_its_rate_and_not_faster() {
        let mut backfill = Backfill::new(500);
        let began = Instant::now();
        let mut sent = 0;
        while sent < 5000 {
            let now = backfill.allowed().min(64);
            backfill.spent(now);
            sent += now;
            tokio::time::advance(LOOK_AGAIN).await;
        }
        let seconds = began.elapsed().as_secs();
        assert!((7..=11).contains(&seconds), "5000 at 500/s took {seconds} s");
        assert_eq!(Backfill::new(0).allowed(), usize::MAX);
        let mut slow = Backfill::new(1);
        assert_eq!(slow.allowed(), 1);
        slow.spent(1);
        assert_eq!(slow.allowed(), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(slow.allowed(), 1);
    }
}
