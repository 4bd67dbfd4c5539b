//! What has to be pushed so that a controller has its list, in the order in which it is safe: how doors
//! are held, then what is taken away, then time profiles before the cards that refer to them.

use super::desired::{List, Row};
use super::event::Hold;
use super::profile::Profile;
use std::collections::BTreeSet;

/// One order to a controller: one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// How a door is held: its number, how, for how many seconds an opening unlocks.
    Door(u8, Hold, u8),
    /// Takes a card out.
    Delete(u64),
    /// Sets a time profile.
    Profile(u8, Profile),
    /// Adds or replaces a card.
    Put(u64, Row),
    /// Sets anti-passback.
    AntiPassback(u8),
}

/// What is pushed so that `have` becomes `want`. Time profiles that nobody refers to any more stay.
#[must_use]
pub fn diff(have: &List, want: &List) -> Vec<Push> {
    let mut pushes = Vec::new();
    for (number, held) in &want.doors {
        if have.doors.get(number) != Some(held) {
            pushes.push(Push::Door(*number, held.0, held.1));
        }
    }
    // A door that is to stand open comes before one that is to be locked.
    pushes.sort_by_key(|push| !matches!(push, Push::Door(_, Hold::Open, _)));
    for card in have.cards.keys().filter(|card| !want.cards.contains_key(*card)) {
        pushes.push(Push::Delete(*card));
    }
    let changed: BTreeSet<u8> = want
        .profiles
        .iter()
        .filter(|(id, profile)| have.profiles.get(*id) != Some(*profile))
        .map(|(id, _)| *id)
        .collect();
    // From above: a profile is there before another one links to it.
    for id in changed.iter().rev() {
        if let Some(profile) = want.profiles.get(id) {
            pushes.push(Push::Profile(*id, profile.clone()));
        }
    }
    for (card, row) in &want.cards {
        if have.cards.get(card) != Some(row) {
            pushes.push(Push::Put(*card, *row));
        }
    }
    if have.anti_passback != want.anti_passback {
        pushes.push(Push::AntiPassback(want.anti_passback));
    }
    pushes
}

impl List {
    /// Takes in what a controller has confirmed.
    pub fn took(&mut self, push: &Push) {
        match push {
            Push::Door(number, hold, unlock_s) => {
                self.doors.insert(*number, (*hold, *unlock_s));
            }
            Push::Delete(card) => {
                self.cards.remove(card);
            }
            Push::Profile(id, profile) => {
                self.profiles.insert(*id, profile.clone());
            }
            Push::Put(card, row) => {
                self.cards.insert(*card, *row);
            }
            Push::AntiPassback(mode) => self.anti_passback = *mode,
        }
    }

    /// Whether it is in step with what is wanted.
    #[must_use]
    pub fn is_in_step(&self, want: &Self) -> bool {
        diff(self, want).is_empty()
    }
}
