//! People and their credentials. They are read from the config and stay in the gateway: the journal,
//! and with it the cloud, gets the number of a card that was shown and never whose it is.

use super::setup::{AccessSetup, Group};
use crate::calendar::Day;
use crate::setup::AccountSetup;
use blockgate_types::{AccountId, GroupId, PersonId, Plate};
use std::collections::{BTreeMap, BTreeSet};

/// People by id.
pub type People = BTreeMap<PersonId, Person>;

/// Somebody who may pass doors.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Whose household.
    pub account: Option<AccountId>,
    /// Works here.
    pub staff: bool,
    /// Groups by name, beside those by building, household and staff.
    pub groups: BTreeSet<GroupId>,
    /// Card numbers.
    pub cards: BTreeSet<u64>,
    /// PIN to the card, where doors ask for one.
    pub pin: Option<u32>,
    /// Plates, for lanes that are doors.
    pub plates: BTreeSet<Plate>,
    /// First day.
    pub from: Option<Day>,
    /// Last day: the end of a tenant's contract.
    pub until: Option<Day>,
}

impl std::fmt::Debug for Person {
    /// Without credentials: what is printed travels.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("account", &self.account)
            .field("staff", &self.staff)
            .field("groups", &self.groups)
            .field("cards", &self.cards.len())
            .finish_non_exhaustive()
    }
}

impl Person {
    /// Whether somebody is of a group, whatever was paid.
    #[must_use]
    pub fn is_of(
        &self,
        id: &GroupId,
        group: &Group,
        accounts: &BTreeMap<AccountId, AccountSetup>,
    ) -> bool {
        if self.groups.contains(id) || (self.staff && group.staff) {
            return true;
        }
        let Some(account) = &self.account else { return false };
        let building = || accounts.get(account).map(|setup| setup.building.as_str());
        group.residents
            || group.accounts.contains(account)
            || (!group.buildings.is_empty()
                && building().is_some_and(|building| group.buildings.contains(building)))
    }
}

/// What is wrong with people: cards that two have, groups that are none.
#[must_use]
pub fn faults(people: &People, setup: &AccessSetup) -> Vec<(PersonId, String)> {
    let mut found = Vec::new();
    let mut owners: BTreeMap<u64, &PersonId> = BTreeMap::new();
    for (id, person) in people {
        for card in &person.cards {
            if let Some(other) = owners.insert(*card, id) {
                found.push((id.clone(), format!("the card {card} is {other}'s already")));
            }
        }
        for group in person.groups.iter().filter(|group| !setup.groups.contains_key(*group)) {
            found.push((id.clone(), format!("there is no group {group}")));
        }
    }
    found
}
