//! Brakes for guessed passwords. Where a try comes from is counted, and whose name it is tried on: many
//! addresses that share one name between them are as slow as one. A browser that its user has logged in
//! with before has a brake of its own and waits for nobody else's tries, so that no one keeps a clerk out
//! by guessing. Nobody is locked out for ever, and a try that must wait never reaches the hash.

use super::sessions::Hash;
use crate::limits;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait of one source after many wrong tries.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// Wrong tries on one name that nobody waits for, from all places together: people mistype.
const NAME_FREE: u32 = 5;
/// Longest wait for a name: its owner may be the one who waits.
const NAME_WAIT_MAX: Duration = Duration::from_secs(60);
/// A name that nobody tries for this long is as good as new.
const NAME_FORGET: Duration = Duration::from_secs(60 * 60);
/// Tries of all sources that may come at once.
const BUCKET_MAX: u32 = 60;
/// One more try of all sources comes free this often.
const BUCKET_EVERY: Duration = Duration::from_secs(1);

/// Where a try comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// An address; of IPv6 its /64 network, all of which one host has.
    Network(IpAddr),
    /// A browser in which this very user has logged in before, or a session of theirs.
    Known(Hash),
}

impl Source {
    /// The source of an address.
    pub(super) fn of(peer: IpAddr) -> Self {
        Self::Network(match peer.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        })
    }
}

/// The name that is tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// A user's.
    User(String),
    /// Nobody's: one of a few that all such names share, so that waiting does not tell which names there are.
    Nobody(u8),
}

/// Why a try must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brake {
    /// This source was wrong before.
    Source,
    /// This name is being tried from several places.
    Name,
    /// All tries together are too many.
    All,
}

#[derive(Debug)]
struct Tries {
    wrong: u32,
    /// No try before this.
    not_before: Instant,
}

#[derive(Debug)]
struct NameTries {
    tries: Tries,
    last: Instant,
    /// It is told to the audit trail when this many were wrong.
    tell_at: u32,
}

/// The brakes.
#[derive(Debug)]
pub(super) struct Guesses {
    sources: BTreeMap<Source, Tries>,
    /// At most [`limits::USERS_MAX`] users of a time, and 256 that are nobody's.
    names: BTreeMap<Name, NameTries>,
    bucket: u32,
    filled: Instant,
}

/// `1, 2, 4 …` seconds, no more than `most`.
fn doubled(nth: u32, most: Duration) -> Duration {
    Duration::from_secs(1_u64 << nth.min(10)).min(most)
}

impl Guesses {
    pub(super) fn new(now: Instant) -> Self {
        Self { sources: BTreeMap::new(), names: BTreeMap::new(), bucket: BUCKET_MAX, filled: now }
    }

    /// Takes a try, counted as wrong until [`Guesses::right`] says otherwise, so that tries at the same
    /// moment cannot slip through together.
    ///
    /// # Errors
    /// Which brake holds, and how long to wait.
    pub(super) fn take(
        &mut self,
        source: &Source,
        name: Option<&Name>,
        now: Instant,
    ) -> Result<(), (Brake, Duration)> {
        let left =
            |tries: &Tries| Some(tries.not_before.duration_since(now)).filter(|d| !d.is_zero());
        if let Some(wait) = self.sources.get(source).and_then(left) {
            return Err((Brake::Source, wait));
        }
        if matches!(source, Source::Network(_)) {
            self.names.retain(|_, name| now < name.last + NAME_FORGET);
            let held = name.and_then(|name| self.names.get(name)).and_then(|n| left(&n.tries));
            if let Some(wait) = held {
                return Err((Brake::Name, wait));
            }
            self.draw(now)?;
            if let Some(name) = name {
                self.count_name(name, now);
            }
        }
        self.count_source(source, now);
        Ok(())
    }

    /// Draws from the bucket of all.
    fn draw(&mut self, now: Instant) -> Result<(), (Brake, Duration)> {
        let due = now.saturating_duration_since(self.filled).as_secs() / BUCKET_EVERY.as_secs();
        if due > 0 {
            let due = u32::try_from(due).unwrap_or(u32::MAX);
            self.bucket = self.bucket.saturating_add(due).min(BUCKET_MAX);
            self.filled = now;
        }
        self.bucket = self.bucket.checked_sub(1).ok_or((Brake::All, BUCKET_EVERY))?;
        Ok(())
    }

    fn count_name(&mut self, name: &Name, now: Instant) {
        let fresh = || NameTries {
            tries: Tries { wrong: 0, not_before: now },
            last: now,
            tell_at: NAME_FREE,
        };
        let of = self.names.entry(name.clone()).or_insert_with(fresh);
        of.last = now;
        of.tries.wrong = of.tries.wrong.saturating_add(1);
        if let Some(nth) = of.tries.wrong.checked_sub(NAME_FREE) {
            of.tries.not_before = now + doubled(nth, NAME_WAIT_MAX);
        }
    }

    fn count_source(&mut self, source: &Source, now: Instant) {
        if !self.sources.contains_key(source) && self.sources.len() >= limits::GUESS_SOURCES_MAX {
            let oldest =
                self.sources.iter().min_by_key(|(_, s)| s.not_before).map(|(k, _)| k.clone());
            if let Some(oldest) = oldest {
                self.sources.remove(&oldest);
            }
        }
        let tries =
            self.sources.entry(source.clone()).or_insert(Tries { wrong: 0, not_before: now });
        tries.wrong = tries.wrong.saturating_add(1);
        tries.not_before = now + doubled(tries.wrong.saturating_sub(1), WAIT_MAX);
    }

    /// The last try was right: its source need not wait any more. What others tried on the name stays
    /// counted, else each login of its owner would give them new tries.
    pub(super) fn right(&mut self, source: &Source, name: Option<&Name>) {
        self.sources.remove(source);
        if matches!(source, Source::Network(_))
            && let Some(of) = name.and_then(|name| self.names.get_mut(name))
        {
            of.tries.wrong = of.tries.wrong.saturating_sub(1);
            if of.tries.wrong < NAME_FREE {
                of.tries.not_before = of.last;
            }
        }
    }

    /// A try on a user's name was wrong. The number of wrong tries where the audit trail should hear of
    /// them: the first that makes others wait, then ten times as many, so that no guessing fills the disk.
    pub(super) fn wrong(&mut self, name: &Name) -> Option<u32> {
        let of = self.names.get_mut(name)?;
        let told = matches!(name, Name::User(_)) && of.tries.wrong >= of.tell_at;
        told.then(|| {
            of.tell_at = of.tries.wrong.saturating_mul(10);
            of.tries.wrong
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(n: u32) -> Source {
        Source::of(IpAddr::V4(n.into()))
    }

    fn clerk() -> Name {
        Name::User("clerk".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_thousand_quick_guesses_few_reach_the_hash_and_another_source_still_gets_in() {
        let mut guesses = Guesses::new(Instant::now());
        let (attacker, other) = (v4(1), v4(2));
        let mut reached = 0;
        for _ in 0..1000 {
            if guesses.take(&attacker, None, Instant::now()).is_ok() {
                reached += 1;
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(reached <= 8, "{reached} of 1000 guesses in 100 s reached the hash");
        assert_eq!(guesses.take(&other, None, Instant::now()), Ok(()));
        guesses.right(&other, None);
        assert_eq!(guesses.take(&other, None, Instant::now()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_to_a_quarter_of_an_hour_and_no_further() {
        let mut guesses = Guesses::new(Instant::now());
        let peer = Source::of("2001:db8::1".parse().unwrap());
        let neighbour = Source::of("2001:db8::2".parse().unwrap());
        let mut waits = Vec::new();
        for _ in 0..12 {
            guesses.take(&peer, None, Instant::now()).unwrap();
            let (brake, wait) = guesses.take(&neighbour, None, Instant::now()).unwrap_err();
            assert_eq!(brake, Brake::Source);
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
            if guesses.take(&v4(n), None, Instant::now()).is_ok() {
                reached += 1;
            }
        }
        assert_eq!(reached, 60);
        for n in 0..2000_u32 {
            tokio::time::advance(BUCKET_EVERY).await;
            let _ = guesses.take(&v4(n + 5000), None, Instant::now());
        }
        assert!(guesses.sources.len() <= limits::GUESS_SOURCES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_addresses_try_one_name_no_faster_than_once_a_minute() {
        let mut guesses = Guesses::new(Instant::now());
        let mut reached = 0;
        for n in 0..10_000 {
            if guesses.take(&v4(n), Some(&clerk()), Instant::now()).is_ok() {
                reached += 1;
            }
            tokio::time::advance(Duration::from_millis(360)).await;
        }
        // An hour: five without a wait, those of the growing wait, then one a minute.
        assert!((50..=75).contains(&reached), "{reached} of 10,000 guesses in an hour");
        // Another user from the same places is not held up.
        let other = Name::User("chief".to_owned());
        assert_eq!(guesses.take(&v4(77), Some(&other), Instant::now()), Ok(()));
        tokio::time::advance(NAME_FORGET).await;
        assert_eq!(guesses.take(&v4(78), Some(&clerk()), Instant::now()), Ok(()));
        assert_eq!(guesses.names.len(), 1, "names that nobody tries are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_known_browser_gets_in_while_others_try_the_name_and_helps_them_in_nothing() {
        let mut guesses = Guesses::new(Instant::now());
        let own = Source::Known([7; 32]);
        for n in 0..400 {
            let _ = guesses.take(&v4(n), Some(&clerk()), Instant::now());
        }
        let (brake, wait) = guesses.take(&v4(500), Some(&clerk()), Instant::now()).unwrap_err();
        assert_eq!(brake, Brake::Name);
        assert!(wait <= NAME_WAIT_MAX);
        assert_eq!(guesses.take(&own, Some(&clerk()), Instant::now()), Ok(()));
        guesses.right(&own, Some(&clerk()));
        let still = guesses.take(&v4(501), Some(&clerk()), Instant::now());
        assert_eq!(still, Err((Brake::Name, wait)), "its login frees no try for others");
        // Who took that browser away guesses no faster than from one address.
        let mut reached = 0;
        for _ in 0..1000 {
            reached += u32::from(guesses.take(&own, Some(&clerk()), Instant::now()).is_ok());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(reached <= 8, "{reached}");
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_tries_on_a_name_are_told_a_few_times_and_those_on_nobodys_name_never() {
        let mut guesses = Guesses::new(Instant::now());
        let mut told = Vec::new();
        for n in 0..600 {
            tokio::time::advance(NAME_WAIT_MAX).await;
            guesses.take(&v4(n), Some(&clerk()), Instant::now()).unwrap();
            told.extend(guesses.wrong(&clerk()));
            guesses.take(&v4(n + 1000), Some(&Name::Nobody(3)), Instant::now()).unwrap();
            assert_eq!(guesses.wrong(&Name::Nobody(3)), None);
        }
        assert_eq!(told, [5, 50, 500]);
    }
}
