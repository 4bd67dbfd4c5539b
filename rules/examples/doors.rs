//! A full reconciliation: 5,000 people, 60 doors on 15 controllers. How long it takes to compute every
//! list and its difference, and how many frames are pushed at first, after one lost card, and after
//! nothing.
//!
//! `cargo run --release -p blockgate-rules --example doors`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a figure, not a program"
)]
#![allow(clippy::disallowed_methods, reason = "it measures")]

use blockgate_rules::access::desired::{Known, desired};
use blockgate_rules::access::event::{Access, Credential};
use blockgate_rules::access::people::{People, Person};
use blockgate_rules::access::setup::{
    AccessSetup, ControllerSetup, DoorSetup, Exit, Group, Holiday, Schedule, Window,
};
use blockgate_rules::access::{AccessState, List, diff};
use blockgate_rules::calendar::{Zone, parse_day};
use blockgate_rules::setup::AccountSetup;
use blockgate_types::{AccountId, ControllerId, DoorId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

const PEOPLE: u64 = 5_000;
const CONTROLLERS: u8 = 15;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// 15 buildings of two entrances and two common doors each: the entrances for who lives there, the
/// common ones for all, by three schedules.
fn setup() -> AccessSetup {
    let mut setup = AccessSetup::default();
    let mut common: [BTreeSet<DoorId>; 3] = Default::default();
    for n in 0..CONTROLLERS {
        let controller: ControllerId = id(&format!("c-{n:02}"));
        let vendor = "uhppote".to_owned();
        setup.controllers.insert(controller.clone(), ControllerSetup { vendor, anti_passback: 0 });
        let mut own = BTreeSet::new();
        for number in 1..=4_u8 {
            let door: DoorId = id(&format!("d-{n:02}-{number}"));
            let (controller, exit) = (controller.clone(), Exit::Button);
            let entrance = number <= 2;
            let of = DoorSetup { controller, number, exit, entrance, unlock_s: 5, lane: None };
            setup.doors.insert(door.clone(), of);
            if entrance {
                own.insert(door)
            } else {
                common[usize::from(n % 3)].insert(door)
            };
        }
        let buildings = [n.to_string()].into();
        setup.groups.insert(
            id(&format!("home-{n:02}")),
            Group { doors: own, buildings, ..Group::default() },
        );
    }
    for (n, doors) in common.into_iter().enumerate() {
        let (from, until) = (360 + 60 * u16::try_from(n).unwrap(), 1_320);
        let week = std::array::from_fn(|_| vec![Window { from, until }]);
        let schedule = id(&format!("s-{n}"));
        setup.schedules.insert(id(&format!("s-{n}")), Schedule { week, holidays: Vec::new() });
        let group = Group { doors, residents: true, schedule: Some(schedule), ..Group::default() };
        setup.groups.insert(id(&format!("common-{n}")), group);
    }
    setup.holidays =
        ["2026-05-01", "2026-10-01"].map(|day| Holiday(parse_day(day).unwrap())).into();
    setup
}

fn main() {
    let setup = setup();
    let (mut people, mut accounts) = (People::new(), BTreeMap::new());
    for n in 0..PEOPLE {
        let account: AccountId = id(&format!("a-{:04}", n / 3));
        let building = (n / 3 % u64::from(CONTROLLERS)).to_string();
        accounts.insert(account.clone(), AccountSetup { building, ..AccountSetup::default() });
        let cards = [1_000_000 + n].into();
        people.insert(
            id(&format!("p-{n:04}")),
            Person { account: Some(account), cards, ..Person::default() },
        );
    }
    let (mut state, overdue) = (AccessState::default(), BTreeSet::new());
    let zone = Zone::new("Asia/Shanghai").unwrap();
    let now: Time = "2026-04-10T12:00:00+08:00".parse().unwrap();
    let mut have: BTreeMap<ControllerId, List> =
        setup.controllers.keys().map(|id| (id.clone(), List::default())).collect();
    let mut run = |name: &str, block: &mut dyn FnMut() -> AccessState| {
        let state = block();
        let known = Known {
            setup: &setup,
            people: &people,
            state: &state,
            accounts: &accounts,
            overdue: &overdue,
            zone: &zone,
        };
        let mut best = None;
        let mut pushes = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            let wanted = desired(&known, now);
            let frames: Vec<_> =
                wanted.iter().map(|(id, list)| (id.clone(), diff(&have[id], list))).collect();
            let took = began.elapsed();
            best = Some(best.map_or(took, |best| took.min(best)));
            pushes = frames;
        }
        let frames: usize = pushes.iter().map(|(_, pushes)| pushes.len()).sum();
        for (id, pushes) in &pushes {
            let list = have.get_mut(id).unwrap();
            pushes.iter().for_each(|push| list.took(push));
        }
        let cards: usize = have.values().map(|list| list.cards.len()).sum();
        println!(
            "{name}: {:?} for all lists and differences, {frames} frames, {cards} cards",
            best.unwrap()
        );
    };
    println!(
        "{} people, {} doors, {} controllers",
        people.len(),
        setup.doors.len(),
        setup.controllers.len()
    );
    run("first", &mut || state.clone());
    run("nothing changed", &mut || state.clone());
    // The fold of one event.
    let lost = serde_json::json!({"kind":"door","what":"revoked","at":now,"of":Credential::Card(1_000_007),
        "reason":"lost","command":"c-1"});
    let event: blockgate_rules::Event = serde_json::from_value(lost).unwrap();
    let mut block = blockgate_rules::Block::new();
    block.apply(1, &event);
    state = AccessState::clone(&block.access());
    assert!(
        matches!(event, blockgate_rules::Event::Door(door) if matches!(*door, Access::Revoked { .. }))
    );
    run("one card lost", &mut || state.clone());
}
