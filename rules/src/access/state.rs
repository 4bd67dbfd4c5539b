//! What the events say about doors.

use super::event::{Access, Credential, DoorAct, Entry, Grant, Happened, Hold};
use super::setup::ArrearsRule;
use crate::calendar::{Day, day_text};
use crate::event::Outcome;
use blockgate_types::{
    AccountId, ActionId, CommandId, ControllerId, DoorId, GrantId, GroupId, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most grants that are kept; one that is over makes room.
pub const GRANTS_MAX: usize = 20_000;

/// The state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccessState {
    /// Up to which index each controller's memory was read.
    cursors: BTreeMap<ControllerId, u64>,
    /// Grants that are not over.
    grants: BTreeMap<GrantId, Used>,
    /// Shut out.
    #[serde(with = "pairs")]
    revoked: BTreeMap<Credential, Time>,
    /// Doors that are not held normally.
    holds: BTreeMap<DoorId, Held>,
    /// Doors that stand open because of an emergency.
    emergency: BTreeSet<DoorId>,
    /// Since when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emergency_since: Option<Time>,
    /// Controllers whose fire input is on.
    fire: BTreeSet<ControllerId>,
    /// The last day of rights that payments extend.
    paid: BTreeMap<GroupId, BTreeMap<AccountId, Until>>,
    /// The rule that somebody confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirmed: Option<ArrearsRule>,
    /// The first day after households moved out.
    moved_out: BTreeMap<AccountId, Until>,
    /// What doors were told, until it is known what came of it.
    acts: BTreeMap<ActionId, DoorAct>,
    /// Of commands that tell several doors something: how many did not do it.
    failed: BTreeMap<CommandId, u32>,
    /// Counts what changes a controller's list.
    revision: u64,
}

/// A grant and how often it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The grant.
    pub terms: Grant,
    /// How often it opened a door.
    pub times: u32,
}

/// How a door is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// How.
    pub hold: Hold,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Why.
    pub reason: String,
    /// Who ordered it.
    pub actor: String,
}

/// A day, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Until(#[serde(with = "day_text")] Day);

/// A map with keys that are no texts, as a list of pairs.
mod pairs {
    use super::{BTreeMap, Credential, Time};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        map: &BTreeMap<Credential, Time>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<Credential, Time>, D::Error> {
        Ok(Vec::<(Credential, Time)>::deserialize(d)?.into_iter().collect())
    }
}

impl AccessState {
    /// Up to which index a controller's memory was read; none before the first.
    #[must_use]
    pub fn cursor(&self, controller: &ControllerId) -> Option<u64> {
        self.cursors.get(controller).copied()
    }

    /// Grants by id.
    #[must_use]
    pub fn grants(&self) -> &BTreeMap<GrantId, Used> {
        &self.grants
    }

    /// What is shut out, and since when.
    #[must_use]
    pub fn revoked(&self) -> &BTreeMap<Credential, Time> {
        &self.revoked
    }

    /// Doors that are not held normally.
    #[must_use]
    pub fn holds(&self) -> &BTreeMap<DoorId, Held> {
        &self.holds
    }

    /// Doors that stand open because of an emergency.
    #[must_use]
    pub fn emergency(&self) -> &BTreeSet<DoorId> {
        &self.emergency
    }

    /// Since when there is an emergency.
    #[must_use]
    pub fn emergency_since(&self) -> Option<Time> {
        self.emergency_since
    }

    /// Controllers whose fire input is on.
    #[must_use]
    pub fn fire(&self) -> &BTreeSet<ControllerId> {
        &self.fire
    }

    /// The arrears rule that somebody confirmed.
    #[must_use]
    pub fn confirmed(&self) -> Option<&ArrearsRule> {
        self.confirmed.as_ref()
    }

    /// The last day of a right that payments extend.
    #[must_use]
    pub fn paid_until(&self, group: &GroupId, account: &AccountId) -> Option<Day> {
        self.paid.get(group)?.get(account).map(|until| until.0)
    }

    /// The first day after a household moved out.
    #[must_use]
    pub fn moved_out(&self, account: &AccountId) -> Option<Day> {
        self.moved_out.get(account).map(|until| until.0)
    }

    /// What doors were told and is not known to be done.
    #[must_use]
    pub fn acts(&self) -> &BTreeMap<ActionId, DoorAct> {
        &self.acts
    }

    /// How many doors did not do what a command told them.
    #[must_use]
    pub fn failed(&self, command: &CommandId) -> u32 {
        self.failed.get(command).copied().unwrap_or(0)
    }

    /// Moves when something changed that the controllers' lists depend on.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How a door is to be held at a time.
    #[must_use]
    pub fn hold_of(&self, door: &DoorId, now: Time) -> Hold {
        if self.emergency.contains(door) {
            return Hold::Open;
        }
        let held = self.holds.get(door);
        let held = held.filter(|held| held.until.is_none_or(|until| now < until));
        held.map_or(Hold::Normal, |held| held.hold)
    }

    /// When a grant or a hold begins or ends next, after `now`.
    #[must_use]
    pub fn next_change(&self, now: Time) -> Option<Time> {
        let grants = self.grants.values().flat_map(|used| [used.terms.from, used.terms.until]);
        let holds = self.holds.values().filter_map(|held| held.until);
        grants.chain(holds).filter(|at| *at > now).min()
    }

    /// A household moved out; `first` is the first day on which it is no more.
    pub(crate) fn move_out(&mut self, account: &AccountId, first: Day) {
        self.moved_out.insert(account.clone(), Until(first));
        self.changed();
    }

    fn changed(&mut self) {
        self.revision = self.revision.saturating_add(1);
    }

    pub(crate) fn apply(&mut self, event: &Access) {
        match event {
            Access::Read { controller, entries, .. } => {
                for entry in entries {
                    self.used(entry);
                }
                if let Some(last) = entries.last() {
                    self.cursors.insert(controller.clone(), last.index);
                }
            }
            Access::Lost { controller, to, .. } => {
                self.cursors.insert(controller.clone(), *to);
            }
            Access::Renumbered { controller, .. } => {
                self.cursors.insert(controller.clone(), 0);
            }
            Access::Acting(act) => {
                self.acts.insert(act.action.clone(), act.clone());
            }
            Access::Acted(done) => {
                let Some(act) = self.acts.remove(&done.action) else { return };
                if done.outcome != Outcome::Done {
                    let failed = self.failed.entry(act.command.clone()).or_default();
                    *failed = failed.saturating_add(1);
                }
                if !self.acts.values().any(|open| open.command == act.command) {
                    self.failed.remove(&act.command);
                }
            }
            Access::HoldSet { doors, hold, until, reason, actor, .. } => {
                for door in doors {
                    if *hold == Hold::Normal {
                        self.holds.remove(door);
                        continue;
                    }
                    let (reason, actor) = (reason.clone(), actor.clone());
                    let held = Held { hold: *hold, until: *until, reason, actor };
                    self.holds.insert(door.clone(), held);
                }
                self.changed();
            }
            Access::Emergency { at, on, doors, .. } => {
                if *on {
                    self.emergency.extend(doors.iter().cloned());
                    self.emergency_since.get_or_insert(*at);
                } else {
                    self.emergency.retain(|door| !doors.contains(door));
                    if self.emergency.is_empty() {
                        self.emergency_since = None;
                    }
                }
                self.changed();
            }
            Access::Fire { controller, on, .. } => {
                if *on {
                    self.fire.insert(controller.clone());
                } else {
                    self.fire.remove(controller);
                }
            }
            Access::Granted { at, grant, terms, .. } => {
                self.grants.retain(|_, used| used.terms.until > *at);
                self.grants.insert(grant.clone(), Used { terms: (**terms).clone(), times: 0 });
                self.revoked.remove(&Credential::Grant(grant.clone()));
                self.changed();
            }
            Access::Revoked { at, of, .. } => {
                match of {
                    Credential::Grant(grant) => {
                        self.grants.remove(grant);
                    }
                    Credential::Card(_) | Credential::Person(_) | Credential::Account(_) => {
                        self.revoked.insert(of.clone(), *at);
                    }
                }
                self.changed();
            }
            Access::Restored { of, .. } => {
                self.revoked.remove(of);
                self.changed();
            }
            Access::Extended { group, account, until, .. } => {
                let accounts = self.paid.entry(group.clone()).or_default();
                accounts.insert(account.clone(), Until(*until));
                self.changed();
            }
            Access::ArrearsConfirmed { rule, .. } => {
                self.confirmed.clone_from(rule);
                self.changed();
            }
        }
    }

    /// A card that opened a door may be a grant's: one use less is left.
    fn used(&mut self, entry: &Entry) {
        let (Happened::Granted, Some(card)) = (entry.event, entry.card) else { return };
        let of_card = |used: &&mut Used| {
            let terms = &used.terms;
            terms.card == card && terms.from <= entry.at && entry.at < terms.until
        };
        let Some(used) = self.grants.values_mut().find(of_card) else { return };
        used.times = used.times.saturating_add(1);
        if used.terms.count.is_some_and(|count| used.times >= count) {
            self.changed();
        }
    }
}
