//! States that last: a vehicle inside, a barrier open, a door open. Whoever knows the state says when
//! it began and when it ended ([`crate::Input::Lasting`]), and says it again after a restart; what is
//! too long is the rules' business. The subject is an id (`gate/g-1`, `stay/4711`), never a plate.

use super::rule::Lasting;
use blockgate_types::{Span, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most states that are watched at once; more are not watched.
pub const STATES_MAX: usize = 10_000;

/// The states that go on, and since when.
#[derive(Debug, Clone, Default)]
pub struct States {
    since: BTreeMap<(Lasting, String), Time>,
    /// Ended ones; known to be over.
    over: BTreeSet<(Lasting, String)>,
}

impl States {
    /// A state began, or ended.
    pub fn hear(&mut self, what: Lasting, subject: &str, since: Option<Time>) {
        let key = (what, subject.to_owned());
        match since {
            Some(since) if self.since.len() < STATES_MAX || self.since.contains_key(&key) => {
                self.over.remove(&key);
                self.since.insert(key, since);
            }
            Some(_) => {}
            None => {
                self.since.remove(&key);
                if self.over.len() < STATES_MAX {
                    self.over.insert(key);
                }
            }
        }
    }

    /// Whether a state goes on; `None` where nobody has said anything of it since the start.
    #[must_use]
    pub fn lasts(&self, what: Lasting, subject: &str) -> Option<bool> {
        let key = (what, subject.to_owned());
        let over = self.over.contains(&key);
        if self.since.contains_key(&key) { Some(true) } else { over.then_some(false) }
    }

    /// Forgets the end of a state whose alarm was closed.
    pub fn closed(&mut self, what: Lasting, subject: &str) {
        self.over.remove(&(what, subject.to_owned()));
    }

    /// Of one kind, those that have lasted too long: subject and facts.
    pub fn too_long(
        &self,
        what: Lasting,
        most: Span,
        now: Time,
    ) -> impl Iterator<Item = (&str, BTreeMap<String, String>)> {
        self.since
            .iter()
            .filter(move |((kind, _), _)| *kind == what)
            .filter_map(move |((_, id), since)| Some((id.as_str(), too_long(most, *since, now)?)))
    }

    /// When the next state of a kind can be too long.
    #[must_use]
    pub fn next(&self, what: Lasting, most: Span, now: Time) -> Option<Time> {
        let of_kind = self.since.iter().filter(|((kind, _), _)| *kind == what);
        of_kind.map(|(_, since)| since.plus(most)).filter(|due| *due > now).min()
    }
}

/// The facts of a state that has lasted too long; `None` of one that has not. The numbers move in
/// steps, so that an alarm is not told again every second.
#[must_use]
pub fn too_long(most: Span, since: Time, now: Time) -> Option<BTreeMap<String, String>> {
    const HOUR_MS: i64 = 3_600_000;
    let lasted = now.since(since).filter(|lasted| *lasted >= most)?;
    let whole = |ms: i64| lasted.as_millis().checked_div(ms).unwrap_or(0);
    // Ten minutes of the first hour, then hours, then days.
    let minutes = match whole(HOUR_MS) {
        0 => {
            whole(600_000).saturating_mul(10).max(most.as_millis().checked_div(60_000).unwrap_or(0))
        }
        hours if hours < 48 => hours.saturating_mul(60),
        hours => hours.checked_div(24).unwrap_or(0).saturating_mul(24 * 60),
    };
    let hours = minutes.checked_div(60).unwrap_or(0).to_string();
    let most = most.as_millis().checked_div(HOUR_MS).unwrap_or(0).to_string();
    let facts = [
        ("minutes", minutes.to_string()),
        ("hours", hours),
        ("most", most),
        ("since", since.to_string()),
    ];
    Some(facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_too_long_only_after_its_time_and_is_forgotten_when_it_ends() {
        let t = |text: &str| text.parse::<Time>().unwrap();
        let since = t("2026-03-01T08:00:00Z");
        let mut states = States::default();
        states.hear(Lasting::GateOpen, "gate/g-1", Some(since));
        let count = |states: &States, now| {
            states.too_long(Lasting::GateOpen, Span::from_mins(10), t(now)).count()
        };
        assert_eq!(count(&states, "2026-03-01T08:09:59Z"), 0);
        assert_eq!(count(&states, "2026-03-01T08:10:00Z"), 1);
        assert_eq!(
            states
                .too_long(Lasting::DoorOpen, Span::from_mins(1), since.plus(Span::from_hours(1)))
                .count(),
            0
        );
        let due = states.next(Lasting::GateOpen, Span::from_mins(10), since);
        assert_eq!(due, Some(t("2026-03-01T08:10:00Z")));
        states.hear(Lasting::GateOpen, "gate/g-1", None);
        assert_eq!(count(&states, "2026-03-01T09:00:00Z"), 0);
    }

    #[test]
    fn the_numbers_of_a_state_that_goes_on_move_in_steps() {
        let since: Time = "2026-03-01T08:00:00Z".parse().unwrap();
        let minutes = |mins| {
            too_long(Span::from_mins(5), since, since.plus(Span::from_mins(mins)))
                .map(|f| f["minutes"].clone())
        };
        let told: Vec<_> =
            [4, 5, 9, 12, 59, 61, 119, 3000].map(minutes).into_iter().flatten().collect();
        assert_eq!(told, ["5", "5", "10", "50", "60", "60", "2880"]);
    }
}
