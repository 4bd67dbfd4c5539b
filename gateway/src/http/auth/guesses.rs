//! Brakes for guessed passwords: a wait that grows with each wrong try from one source, and a
//! bucket for all sources together. Nobody is locked out for ever, and a try that must wait never
//! reaches the hash.

use crate::limits;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait after many wrong tries.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// Tries of all sources that may come at once.
const BUCKET_MAX: u32 = 60;
/// One more try of all sources comes free this often.
const BUCKET_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Source {
    wrong: u32,
    /// No try before this.
    not_before: Instant,
}

/// The brakes. One entry a source address; an IPv6 source is its /64 network.
#[derive(Debug)]
pub(super) struct Guesses {
    sources: BTreeMap<IpAddr, Source>,
    bucket: u32,
    filled: Instant,
}

impl Guesses {
    pub(super) fn new(now: Instant) -> Self {
        Self { sources: BTreeMap::new(), bucket: BUCKET_MAX, filled: now }
    }

    /// Takes a try from `peer`, counted as wrong until [`Guesses::right`] says otherwise, so that
    /// tries at the same moment cannot slip through together.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn take(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let key = network(peer);
        if let Some(source) = self.sources.get(&key)
            && now < source.not_before
        {
            return Err(source.not_before - now);
        }
        let due = now.saturating_duration_since(self.filled).as_secs() / BUCKET_EVERY.as_secs();
        if due > 0 {
            let due = u32::try_from(due).unwrap_or(u32::MAX);
            self.bucket = self.bucket.saturating_add(due).min(BUCKET_MAX);
            self.filled = now;
        }
        if self.bucket == 0 {
            return Err(BUCKET_EVERY);
        }
        self.bucket -= 1;
        if !self.sources.contains_key(&key) && self.sources.len() >= limits::GUESS_SOURCES_MAX {
            let oldest = self.sources.iter().min_by_key(|(_, s)| s.not_before).map(|(k, _)| *k);
            if let Some(oldest) = oldest {
                self.sources.remove(&oldest);
            }
        }
        let source = self.sources.entry(key).or_insert(Source { wrong: 0, not_before: now });
        source.wrong = source.wrong.saturating_add(1);
        let wait =
            Duration::from_secs(1_u64 << source.wrong.saturating_sub(1).min(10)).min(WAIT_MAX);
        source.not_before = now + wait;
        Ok(())
    }

    /// The last try from `peer` was right: it need not wait any more.
    pub(super) fn right(&mut self, peer: IpAddr) {
        self.sources.remove(&network(peer));
    }
}

/// The address, or the /64 of an IPv6 address: one host has all of it.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_quick_guesses_few_reach_the_hash_and_another_source_still_gets_in() {
        let mut guesses = Guesses::new(Instant::now());
        let (attacker, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut reached = 0;
        for _ in 0..1000 {
            if guesses.take(attacker, Instant::now()).is_ok() {
                reached += 1;
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(reached <= 8, "{reached} of 1000 guesses in 100 s reached the hash");
        assert_eq!(guesses.take(other, Instant::now()), Ok(()));
        guesses.right(other);
        assert_eq!(guesses.take(other, Instant::now()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_to_a_quarter_of_an_hour_and_no_further() {
        let mut guesses = Guesses::new(Instant::now());
        let peer = "2001:db8::1".parse().unwrap();
        let neighbour = "2001:db8::2".parse().unwrap();
        let mut waits = Vec::new();
        for _ in 0..12 {
            guesses.take(peer, Instant::now()).unwrap();
            let wait = guesses.take(neighbour, Instant::now()).unwrap_err();
            waits.push(wait.as_secs());
            tokio::time::advance(wait).await;
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[11], 900);
    }

    #[tokio::test(start_paused = true)]
    async fn many_sources_together_are_held_back_and_remembered_within_a_bound() {
        let mut guesses = Guesses::new(Instant::now());
        let mut reached = 0;
        for n in 0..2000_u32 {
            if guesses.take(IpAddr::V4(n.into()), Instant::now()).is_ok() {
                reached += 1;
            }
        }
        assert_eq!(reached, 60);
        for n in 0..2000_u32 {
            tokio::time::advance(BUCKET_EVERY).await;
            let _ = guesses.take(IpAddr::V4((n + 5000).into()), Instant::now());
        }
        assert!(guesses.sources.len() <= limits::GUESS_SOURCES_MAX);
    }
}
