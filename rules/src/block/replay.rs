//! The memory of commands that were answered: the same id is never carried out twice, neither after
//! a restart nor after weeks (invariant 7). It is part of the state, so the journal's replay brings
//! it back.
//!
//! An id may be forgotten only when no copy of its command can be good any more, because the copy has
//! expired. So the memory is as long as the commands live, which [`LIFETIME_MAX`] bounds; and when it
//! is full of ids that may still come, further commands are refused rather than old ones forgotten.

use crate::input::LIFETIME_MAX;
use blockgate_types::{CommandId, Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Ids that are kept whether they have expired or not: a clock that jumps forward and back again must
/// not empty the memory.
pub const COMMANDS_SEEN_LEAST: usize = 4096;
/// Ids that are remembered at most.
pub const COMMANDS_SEEN_MAX: usize = 65_536;
/// How long beyond its expiry an id is remembered: our clock may be set back by so much.
const MARGIN: Span = Span::from_hours(24);

/// Ids of commands, each until when a copy may be good.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<CommandId, Time>", into = "BTreeMap<CommandId, Time>")]
pub(super) struct Seen {
    until: BTreeMap<CommandId, Time>,
    ends: BTreeSet<(Time, CommandId)>,
}

impl From<BTreeMap<CommandId, Time>> for Seen {
    fn from(until: BTreeMap<CommandId, Time>) -> Self {
        let ends = until.iter().map(|(id, end)| (*end, id.clone())).collect();
        Self { until, ends }
    }
}

impl From<Seen> for BTreeMap<CommandId, Time> {
    fn from(seen: Seen) -> Self {
        seen.until
    }
}

impl Seen {
    /// Whether this id was answered before.
    pub(super) fn has(&self, id: &CommandId) -> bool {
        self.until.contains_key(id)
    }

    /// Whether no further id can be remembered at `now`.
    pub(super) fn is_full(&self, now: Time) -> bool {
        let first = self.ends.first().map(|(end, _)| *end);
        self.until.len() >= COMMANDS_SEEN_MAX && first.is_some_and(|end| end >= now)
    }

    /// Remembers an id; forgets those that cannot come again.
    pub(super) fn remember(&mut self, at: Time, id: &CommandId, expires_at: Option<Time>) {
        while self.until.len() >= COMMANDS_SEEN_LEAST
            && let Some((end, _)) = self.ends.first()
            && *end < at
            && let Some((_, old)) = self.ends.pop_first()
        {
            self.until.remove(&old);
        }
        if self.until.len() >= COMMANDS_SEEN_MAX || self.has(id) {
            return; // a refusal for fullness is not remembered either
        }
        let longest = at.plus(LIFETIME_MAX);
        let end = expires_at.map_or(longest, |end| end.min(longest)).plus(MARGIN);
        self.until.insert(id.clone(), end);
        self.ends.insert((end, id.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> CommandId {
        CommandId::new(&format!("c-{n}")).unwrap()
    }

    fn at(minutes: i64) -> Time {
        Time::from_millis(1_772_323_200_000).plus(Span::from_mins(minutes))
    }

    #[test]
    fn an_id_is_forgotten_only_when_no_copy_of_it_can_be_good() {
        let mut seen = Seen::default();
        let day = 24 * 60;
        for n in 0..COMMANDS_SEEN_LEAST {
            seen.remember(at(0), &id(n), Some(at(5)));
        }
        seen.remember(at(10), &id(9_999), Some(at(20)));
        assert!(seen.has(&id(0)), "expired, and within the margin");
        seen.remember(at(day + 6), &id(10_000), Some(at(day + 7)));
        assert!(!seen.has(&id(0)) && seen.has(&id(9_999)));
        let again: Seen = BTreeMap::from(seen.clone()).into();
        assert_eq!(again, seen);
    }

    #[test]
    fn a_full_memory_forgets_nothing_that_may_come_again() {
        let mut seen = Seen::default();
        for n in 0..COMMANDS_SEEN_MAX + 10 {
            seen.remember(at(0), &id(n), Some(at(60)));
        }
        assert!(seen.is_full(at(1)) && seen.has(&id(0)));
        assert_eq!(seen.until.len(), COMMANDS_SEEN_MAX);
        let later = 3 * 24 * 60;
        assert!(!seen.is_full(at(later)));
        seen.remember(at(later), &id(1_000_000), Some(at(later + 1)));
        assert!(seen.has(&id(1_000_000)));
        assert!(seen.until.len() <= COMMANDS_SEEN_LEAST);
    }

    #[test]
    fn a_clock_that_jumps_forward_does_not_empty_the_memory() {
        let mut seen = Seen::default();
        for n in 0..100 {
            seen.remember(at(0), &id(n), Some(at(5)));
        }
        seen.remember(at(50 * 365 * 24 * 60), &id(500), None);
        assert!(seen.has(&id(0)));
    }
}
