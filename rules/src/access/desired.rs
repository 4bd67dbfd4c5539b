//! The list that each controller is to have: a pure function of config, people, state and day.

use super::event::{Credential, Hold};
use super::people::{People, Person};
use super::profile::{self, EARLIEST, LATEST, Profile};
use super::setup::{AccessSetup, Holiday, Schedule};
use super::state::AccessState;
use crate::calendar::{Day, Zone};
use crate::setup::AccountSetup;
use blockgate_types::{AccountId, ControllerId, DoorId, GrantId, GroupId, PersonId, Plate, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Doors of the largest controller.
pub const DOORS: usize = 4;

/// What a card may at a door.
pub type Right = u8;
/// No right.
pub const NEVER: Right = 0;
/// At any time; larger numbers are time profiles.
pub const ALWAYS: Right = 1;

/// A card of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// First day.
    pub from: Day,
    /// Last day.
    pub to: Day,
    /// For each door of the controller.
    pub doors: [Right; DOORS],
    /// PIN; 0 for none.
    pub pin: u32,
}

/// Whose a card is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A person of the config.
    Person(PersonId),
    /// A grant.
    Grant(GrantId),
}

/// A controller's list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// Cards by number.
    pub cards: BTreeMap<u64, Row>,
    /// Whose they are.
    pub holders: BTreeMap<u64, Holder>,
    /// Time profiles by number.
    pub profiles: BTreeMap<u8, Profile>,
    /// The schedules behind the profiles that rights refer to: what controllers are told that know weeks
    /// and holidays, and what is judged by where the gateway is the controller.
    pub plans: BTreeMap<Right, Schedule>,
    /// Days on which the schedules' holidays hold.
    pub holidays: BTreeSet<Holiday>,
    /// Plates that open doors with a lane.
    pub plates: BTreeMap<Plate, Row>,
    /// How its doors are held, and for how many seconds an opening unlocks.
    pub doors: BTreeMap<u8, (Hold, u8)>,
    /// Anti-passback.
    pub anti_passback: u8,
}

/// What the lists are made from.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Controllers, doors, groups.
    pub setup: &'a AccessSetup,
    /// People.
    pub people: &'a People,
    /// What the events say.
    pub state: &'a AccessState,
    /// Households, for their buildings.
    pub accounts: &'a BTreeMap<AccountId, AccountSetup>,
    /// Households that the arrears rule concerns now.
    pub overdue: &'a BTreeSet<AccountId>,
    /// The block's zone.
    pub zone: &'a Zone,
}

/// A set of schedules as bits; the highest is "always".
type Set = u64;
const ALWAYS_BIT: Set = 1 << 63;

/// A door by its place: index of the controller, number from 0.
type Place = (usize, usize);

/// A group with the places of its doors, and when it holds.
type Resolved<'a> = (&'a GroupId, Vec<Place>, Set);
/// A card that is to stand in a controller's list, before its profiles have numbers.
type Wanted = (u64, [Set; DOORS], Row, Holder);
/// A plate, likewise.
type WantedPlate = (Plate, [Set; DOORS], Row);

struct Plan<'a> {
    known: Known<'a>,
    today: Day,
    now: Time,
    groups: Vec<Resolved<'a>>,
    controllers: usize,
    /// Doors that arrears close, by place.
    closed: BTreeSet<Place>,
    /// Controllers with a door that plates open, by place.
    lanes: BTreeSet<usize>,
}

/// The lists, by controller.
#[must_use]
pub fn desired(known: &Known<'_>, now: Time) -> BTreeMap<ControllerId, List> {
    let setup = known.setup;
    let plan = Plan::new(*known, now);
    let count = plan.controllers;
    let mut cards: Vec<Vec<Wanted>> = vec![Vec::new(); count];
    let mut plates: Vec<Vec<WantedPlate>> = vec![Vec::new(); count];
    let mut sets = vec![[0_u64; DOORS]; count];
    for (id, person) in known.people {
        let Some((from, to)) = plan.days_of(id, person) else { continue };
        sets.fill([0; DOORS]);
        plan.person_sets(person, &mut sets);
        let pin = person.pin.unwrap_or(0);
        let row = Row { from, to, doors: [NEVER; DOORS], pin };
        let fine = |card: &&u64| !known.state.revoked().contains_key(&Credential::Card(**card));
        for card in person.cards.iter().filter(fine) {
            for (list, sets) in cards.iter_mut().zip(&sets).filter(|(_, s)| **s != [0; DOORS]) {
                list.push((*card, *sets, row, Holder::Person(id.clone())));
            }
        }
        // A PIN is typed after a card: nobody types one at a lane.
        plan.add_plates(&person.plates, &sets, Row { pin: 0, ..row }, &mut plates);
    }
    for (id, used) in known.state.grants() {
        let terms = &used.terms;
        let over = now < terms.from || now >= terms.until;
        let spent = terms.count.is_some_and(|count| used.times >= count);
        let lost = known.state.revoked().contains_key(&Credential::Card(terms.card));
        let account = terms.account.clone().map(Credential::Account);
        let host = account.is_some_and(|account| known.state.revoked().contains_key(&account));
        if over || spent || lost || host {
            continue;
        }
        sets.fill([0; DOORS]);
        plan.grant_sets(&terms.groups, &mut sets);
        let (from, to) = (known.zone.day(terms.from), known.zone.day(terms.until));
        let row = Row { from, to, doors: [NEVER; DOORS], pin: 0 };
        for (list, sets) in cards.iter_mut().zip(&sets).filter(|(_, s)| **s != [0; DOORS]) {
            list.push((terms.card, *sets, row, Holder::Grant(id.clone())));
        }
        plan.add_plates(&terms.plate, &sets, row, &mut plates);
    }
    let lists = setup.controllers.iter().zip(cards.into_iter().zip(plates));
    lists.map(|((id, _), (cards, plates))| (id.clone(), plan.list(id, cards, plates))).collect()
}

impl<'a> Plan<'a> {
    fn new(known: Known<'a>, now: Time) -> Self {
        let setup = known.setup;
        let places: BTreeMap<&ControllerId, usize> =
            setup.controllers.keys().enumerate().map(|(place, id)| (id, place)).collect();
        let place_of = |id: &DoorId| -> Option<Place> {
            let door = setup.doors.get(id)?;
            let number = usize::from(door.number.checked_sub(1)?);
            Some((*places.get(&door.controller)?, number))
        };
        let bits: BTreeMap<_, Set> =
            setup.schedules.keys().take(62).enumerate().map(|(n, id)| (id, 1 << n)).collect();
        let groups = setup.groups.iter().map(|(id, group)| {
            let doors = group.doors.iter().filter_map(place_of).collect();
            let set = match &group.schedule {
                None => ALWAYS_BIT,
                Some(schedule) => bits.get(schedule).copied().unwrap_or(0),
            };
            (id, doors, set)
        });
        let groups = groups.collect();
        let closed = closed(&known).into_iter().filter_map(place_of).collect();
        let with_lane = setup.doors.values().filter(|door| door.lane.is_some());
        let lanes = with_lane.filter_map(|door| places.get(&door.controller).copied()).collect();
        let (today, controllers) = (known.zone.day(now), setup.controllers.len());
        Self { known, today, now, groups, controllers, closed, lanes }
    }

    /// The first and the last day of somebody; `None` for who is shut out, gone, or over.
    fn days_of(&self, id: &PersonId, person: &Person) -> Option<(Day, Day)> {
        let state = self.known.state;
        let revoked = state.revoked();
        if !revoked.is_empty() {
            let account = person.account.clone().map(Credential::Account);
            let household = account.is_some_and(|account| revoked.contains_key(&account));
            if household || revoked.contains_key(&Credential::Person(id.clone())) {
                return None;
            }
        }
        let (from, mut to) = (person.from.unwrap_or(EARLIEST), person.until.unwrap_or(LATEST));
        let left = person.account.as_ref().and_then(|account| state.moved_out(account));
        // Whoever came after the household moved out is the next one's.
        if let Some(left) = left.filter(|left| from < *left) {
            to = to.min(crate::calendar::days_before(left, 1)?);
        }
        (to >= self.today && from <= to).then_some((from, to))
    }

    fn person_sets(&self, person: &Person, sets: &mut [[Set; DOORS]]) {
        let Known { setup, accounts, state, overdue, .. } = self.known;
        let owes = person.account.as_ref().is_some_and(|account| overdue.contains(account));
        for (id, doors, set) in &self.groups {
            let Some(group) = setup.groups.get(*id) else { continue };
            if !person.is_of(id, group, accounts) {
                continue;
            }
            if group.paid.is_some() && !person.staff {
                let until = person.account.as_ref().and_then(|a| state.paid_until(id, a));
                if until.is_none_or(|until| until < self.today) {
                    continue;
                }
            }
            for (controller, number) in doors {
                if owes && !person.staff && self.closed.contains(&(*controller, *number)) {
                    continue;
                }
                let place = sets.get_mut(*controller).and_then(|doors| doors.get_mut(*number));
                if let Some(place) = place {
                    *place |= set;
                }
            }
        }
    }

    fn grant_sets(&self, wanted: &BTreeSet<GroupId>, sets: &mut [[Set; DOORS]]) {
        for (_, doors, set) in self.groups.iter().filter(|(id, ..)| wanted.contains(*id)) {
            for (controller, number) in doors {
                let place = sets.get_mut(*controller).and_then(|doors| doors.get_mut(*number));
                if let Some(place) = place {
                    *place |= set;
                }
            }
        }
    }

    /// Plates with the rights of their holder, for the controllers whose doors they open.
    fn add_plates<'p>(
        &self,
        of: impl IntoIterator<Item = &'p Plate>,
        sets: &[[Set; DOORS]],
        row: Row,
        into: &mut [Vec<WantedPlate>],
    ) {
        if self.lanes.is_empty() {
            return;
        }
        for plate in of {
            for place in &self.lanes {
                let set = sets.get(*place).filter(|sets| **sets != [0; DOORS]);
                if let (Some(sets), Some(list)) = (set, into.get_mut(*place)) {
                    list.push((plate.clone(), *sets, row));
                }
            }
        }
    }

    fn list(&self, id: &ControllerId, cards: Vec<Wanted>, plates: Vec<WantedPlate>) -> List {
        let setup = self.known.setup;
        // Single schedules first, in the config's order: their numbers do not move when somebody
        // needs two of them together.
        let mut used: BTreeSet<(u32, Set)> = BTreeSet::new();
        let of_plates = plates.iter().flat_map(|(_, sets, _)| sets);
        for set in cards.iter().flat_map(|(_, sets, ..)| sets).chain(of_plates) {
            if *set != 0 && set & ALWAYS_BIT == 0 {
                used.insert((set.count_ones(), *set));
            }
        }
        let schedules: Vec<&Schedule> = setup.schedules.values().collect();
        let of = |set: Set| {
            let is_in = |(n, _): &(usize, &&Schedule)| (set >> n) & 1 == 1;
            schedules.iter().enumerate().filter(is_in).map(|(_, s)| *s).collect::<Vec<_>>()
        };
        let wanted: Vec<Vec<&Schedule>> = used.iter().map(|(_, set)| of(*set)).collect();
        let (profiles, heads) = profile::profiles(setup, &wanted, self.today);
        let numbers: BTreeMap<Set, Right> =
            used.iter().zip(&heads).map(|((_, set), head)| (*set, head.unwrap_or(NEVER))).collect();
        let mut list = List { profiles, ..List::default() };
        let told = wanted.iter().zip(&heads);
        let told = told.filter_map(|(set, head)| Some(((*head)?, profile::union(set))));
        list.plans = told.collect();
        if !list.plans.is_empty() {
            list.holidays.clone_from(&setup.holidays);
        }
        let rights = |sets: [Set; DOORS]| {
            sets.map(|set| match set {
                0 => NEVER,
                set if set & ALWAYS_BIT != 0 => ALWAYS,
                set => numbers.get(&set).copied().unwrap_or(NEVER),
            })
        };
        for (plate, sets, row) in plates {
            let doors = rights(sets);
            if doors != [NEVER; DOORS] {
                list.plates.entry(plate).or_insert(Row { doors, ..row });
            }
        }
        for (card, sets, row, holder) in cards {
            let doors = rights(sets);
            if doors == [NEVER; DOORS] {
                continue;
            }
            // People come first: a grant never takes the place of a resident's card.
            if let std::collections::btree_map::Entry::Vacant(place) = list.cards.entry(card) {
                place.insert(Row { doors, ..row });
                list.holders.insert(card, holder);
            }
        }
        let mine = setup.doors.iter().filter(|(_, door)| door.controller == *id);
        list.doors = mine
            .map(|(id, door)| {
                (door.number, (self.known.state.hold_of(id, self.now), door.unlock_s))
            })
            .collect();
        list.anti_passback = setup.controllers.get(id).map_or(0, |c| c.anti_passback);
        list
    }
}

/// The doors that arrears close now: an entrance only where somebody confirmed this very rule.
fn closed<'a>(known: &Known<'a>) -> Vec<&'a DoorId> {
    let Some(rule) = &known.setup.arrears else { return Vec::new() };
    let confirmed = known.state.confirmed() == Some(rule);
    let closes =
        |id: &&DoorId| known.setup.doors.get(*id).is_some_and(|door| confirmed || !door.entrance);
    rule.doors.iter().filter(closes).collect()
}
