use super::desired::{ALWAYS, Holder, Known, NEVER, desired};
use super::event::{Access, Credential, Denial, Entry, Grant, Happened, Hold};
use super::pass::{self, Moment, Verdict};
use super::people::{People, Person, faults};
use super::setup::*;
use super::state::AccessState;
use super::{Push, diff};
use crate::calendar::{Zone, parse_day};
use crate::money::Fen;
use crate::setup::AccountSetup;
use blockgate_types::{AccountId, CommandId, ControllerId, DoorId, GrantId, PersonId, Time};
use std::collections::{BTreeMap, BTreeSet};

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

fn always(open: u16, close: u16) -> [Vec<Window>; 7] {
    std::array::from_fn(|_| vec![Window { from: open, until: close }])
}

/// Two buildings with an entrance each on one controller, a gym that is paid for, and a shop whose
/// schedule has a weekend.
fn setup() -> AccessSetup {
    let door = |number, exit, entrance| DoorSetup {
        controller: id("c-1"),
        number,
        exit,
        entrance,
        unlock_s: 5,
        lane: None,
    };
    let group = |doors: &[&str]| Group {
        doors: doors.iter().map(|door| id(door)).collect(),
        ..Group::default()
    };
    let mut shop = Schedule { week: always(480, 1080), holidays: vec![] };
    shop.week[6].clear();
    shop.week[5] = vec![Window { from: 540, until: 720 }];
    let night =
        Schedule { week: always(1080, 1440), holidays: vec![Window { from: 0, until: 1440 }] };
    AccessSetup {
        controllers: [(
            id("c-1"),
            ControllerSetup { vendor: "uhppote".to_owned(), anti_passback: 0 },
        )]
        .into(),
        doors: [
            (id("b1"), door(1, Exit::Button, true)),
            (id("b2"), door(2, Exit::Button, true)),
            (id("gym"), door(3, Exit::Mechanical, false)),
            (id("shop"), door(4, Exit::Mechanical, false)),
        ]
        .into(),
        groups: [
            (id("home-1"), Group { buildings: ["1".to_owned()].into(), ..group(&["b1"]) }),
            (id("home-2"), Group { buildings: ["2".to_owned()].into(), ..group(&["b2"]) }),
            (
                id("gym"),
                Group {
                    residents: true,
                    paid: Some(PaidRight { item: id("gym"), fen: Fen(10_000), days: 30 }),
                    ..group(&["gym"])
                },
            ),
            (id("staff"), Group { staff: true, ..group(&["b1", "b2", "gym", "shop"]) }),
            (id("shop"), Group { schedule: Some(id("shop")), ..group(&["shop"]) }),
            (id("night"), Group { schedule: Some(id("night")), ..group(&["shop"]) }),
        ]
        .into(),
        schedules: [(id("shop"), shop), (id("night"), night)].into(),
        holidays: ["2026-05-01", "2026-05-02", "2026-10-01"]
            .map(|day| Holiday(parse_day(day).unwrap()))
            .into(),
        arrears: None,
    }
}

fn person(account: &str, card: u64) -> Person {
    Person { account: Some(id(account)), cards: [card].into(), ..Person::default() }
}

struct World {
    setup: AccessSetup,
    people: People,
    state: AccessState,
    accounts: BTreeMap<AccountId, AccountSetup>,
    overdue: BTreeSet<AccountId>,
    zone: Zone,
}

impl World {
    fn new() -> Self {
        let account = |building: &str| AccountSetup {
            building: building.to_owned(),
            ..AccountSetup::default()
        };
        Self {
            setup: setup(),
            people: [
                (id("p-1"), person("a-1", 101)),
                (id("p-2"), person("a-2", 102)),
                (id("guard"), Person { staff: true, cards: [900].into(), ..Person::default() }),
            ]
            .into(),
            state: AccessState::default(),
            accounts: [(id("a-1"), account("1")), (id("a-2"), account("2"))].into(),
            overdue: BTreeSet::new(),
            zone: Zone::new("Asia/Shanghai").unwrap(),
        }
    }

    fn list(&self, now: &str) -> super::List {
        let known = Known {
            setup: &self.setup,
            people: &self.people,
            state: &self.state,
            accounts: &self.accounts,
            overdue: &self.overdue,
            zone: &self.zone,
        };
        desired(&known, at(now)).remove(&id::<ControllerId>("c-1")).unwrap()
    }

    fn doors(&self, now: &str, card: u64) -> Option<[u8; 4]> {
        self.list(now).cards.get(&card).map(|row| row.doors)
    }

    fn grant(&mut self, grant: &str, card: u64, groups: &[&str], count: Option<u32>) {
        let terms = Grant {
            card,
            groups: groups.iter().map(|group| id(group)).collect(),
            account: Some(id("a-1")),
            plate: None,
            from: at("2026-04-10T09:00:00+08:00"),
            until: at("2026-04-10T18:00:00+08:00"),
            count,
        };
        self.state.apply(&Access::Granted {
            at: at("2026-04-09T09:00:00+08:00"),
            grant: id(grant),
            terms: Box::new(terms),
            command: id("cmd"),
        });
    }
}

const NOW: &str = "2026-04-10T12:00:00+08:00";

#[test]
fn a_resident_has_the_doors_of_the_building_and_staff_has_all() {
    let world = World::new();
    assert_eq!(world.doors(NOW, 101), Some([ALWAYS, NEVER, NEVER, NEVER]));
    assert_eq!(world.doors(NOW, 102), Some([NEVER, ALWAYS, NEVER, NEVER]));
    assert_eq!(world.doors(NOW, 900), Some([ALWAYS; 4]));
    assert_eq!(world.list(NOW).holders.get(&101), Some(&Holder::Person(id("p-1"))));
}

#[test]
fn a_lost_card_a_person_and_a_household_are_shut_out_and_come_back() {
    for of in [Credential::Card(101), Credential::Person(id("p-1")), Credential::Account(id("a-1"))]
    {
        let mut world = World::new();
        let (command, reason) = (id::<CommandId>("cmd"), "lost".to_owned());
        let at = at(NOW);
        world.state.apply(&Access::Revoked {
            at,
            of: of.clone(),
            reason,
            command: command.clone(),
        });
        assert_eq!(world.doors(NOW, 101), None, "{of:?}");
        assert!(world.doors(NOW, 102).is_some());
        world.state.apply(&Access::Restored { at, of, command });
        assert!(world.doors(NOW, 101).is_some());
    }
}

#[test]
fn a_contract_ends_on_its_last_day_and_a_move_out_ends_only_those_who_lived_there() {
    let mut world = World::new();
    let p: PersonId = id("p-1");
    world.people.get_mut(&p).unwrap().until = parse_day("2026-04-30");
    assert_eq!(world.list(NOW).cards[&101].to, parse_day("2026-04-30").unwrap());
    assert!(world.doors("2026-04-30T23:59:00+08:00", 101).is_some());
    assert_eq!(world.doors("2026-05-01T00:00:00+08:00", 101), None);
    // The next tenant of the same flat comes a week after the one before left.
    let mut next = person("a-2", 202);
    next.from = parse_day("2026-04-20");
    world.people.insert(id("p-9"), next);
    world.state.move_out(&id("a-2"), parse_day("2026-04-13").unwrap());
    assert!(world.doors("2026-04-12T12:00:00+08:00", 102).is_some());
    assert_eq!(world.doors("2026-04-13T00:00:00+08:00", 102), None);
    assert!(world.doors("2026-04-13T00:00:00+08:00", 202).is_some(), "the card is told ahead");
}

#[test]
fn a_visitor_has_a_window_and_a_count() {
    let mut world = World::new();
    world.grant("v-1", 555, &["home-1"], Some(2));
    assert_eq!(world.doors("2026-04-10T08:59:59+08:00", 555), None);
    assert_eq!(world.doors("2026-04-10T09:00:00+08:00", 555), Some([ALWAYS, 0, 0, 0]));
    assert_eq!(world.doors("2026-04-10T18:00:00+08:00", 555), None);
    assert_eq!(
        world.state.next_change(at("2026-04-10T09:00:00+08:00")),
        Some(at("2026-04-10T18:00:00+08:00"))
    );
    let pass = |index| Access::Read {
        controller: id("c-1"),
        at: at(NOW),
        entries: vec![Entry {
            index,
            at: at(NOW),
            door: Some(id("b1")),
            event: Happened::Granted,
            denied: None,
            card: Some(555),
            inward: Some(true),
        }],
    };
    let before = world.state.revision();
    world.state.apply(&pass(1));
    assert!(world.doors(NOW, 555).is_some() && world.state.revision() == before);
    world.state.apply(&pass(2));
    assert_eq!(world.doors(NOW, 555), None, "it opened twice");
    assert!(world.state.revision() > before, "the list has to be made anew");
    // A grant never takes the place of a resident's card.
    world.grant("v-2", 101, &["shop"], None);
    assert_eq!(world.list(NOW).holders[&101], Holder::Person(id("p-1")));
}

#[test]
fn amenities_are_for_who_paid_and_entrances_stay_open_for_who_did_not() {
    let mut world = World::new();
    world.state.apply(&Access::Extended {
        at: at(NOW),
        group: id("gym"),
        account: id("a-1"),
        until: parse_day("2026-05-09").unwrap(),
        payment: id("pay-1"),
    });
    assert_eq!(world.doors(NOW, 101), Some([ALWAYS, 0, ALWAYS, 0]));
    assert_eq!(world.doors("2026-05-10T00:00:00+08:00", 101), Some([ALWAYS, 0, 0, 0]));

    // A rule that closes the gym and the entrance of who owes.
    world.setup.arrears =
        Some(ArrearsRule { doors: [id("gym"), id("b1")].into(), overdue_days: 60 });
    world.overdue.insert(id("a-1"));
    let at_stake: Vec<&DoorId> = world.setup.entrances_at_stake();
    assert_eq!(at_stake, [&id::<DoorId>("b1")], "what the warning shows");
    assert_eq!(world.doors(NOW, 101), Some([ALWAYS, 0, 0, 0]), "the gym only: nobody confirmed");
    let confirm = |rule| Access::ArrearsConfirmed {
        at: at(NOW),
        rule,
        by: "Chen, office".to_owned(),
        reason: "resolution 7".to_owned(),
        command: id("cmd"),
    };
    world.state.apply(&confirm(world.setup.arrears.clone()));
    assert_eq!(world.doors(NOW, 101), None);
    assert!(world.doors(NOW, 102).is_some(), "who owes nothing");
    // Another rule than the one that was confirmed does not hold.
    world.setup.arrears = Some(ArrearsRule { doors: [id("b1")].into(), overdue_days: 30 });
    assert_eq!(world.doors(NOW, 101), Some([ALWAYS, 0, ALWAYS, 0]));
    world.state.apply(&confirm(None));
    world.state.apply(&confirm(world.setup.arrears.clone()));
    assert_eq!(world.doors(NOW, 101), Some([0, 0, ALWAYS, 0]));
}

#[test]
fn schedules_become_profiles_and_holidays_days_of_their_own() {
    let mut world = World::new();
    world.people.get_mut(&id::<PersonId>("p-1")).unwrap().groups.insert(id("shop"));
    world.people.get_mut(&id::<PersonId>("p-2")).unwrap().groups.extend([id("shop"), id("night")]);
    let list = world.list(NOW);
    assert_eq!(list.cards[&101].doors, [ALWAYS, 0, 0, 2]);
    assert_eq!(list.cards[&102].doors, [0, ALWAYS, 0, 3], "both schedules as one");
    // The shop: weekdays and Saturday up to the holidays, nothing on them, between them, and after.
    let mut chain = Vec::new();
    let mut next = 2;
    while next != 0 {
        let link = &list.profiles[&next];
        chain.push((
            link.from.to_string(),
            link.to.to_string(),
            link.weekdays,
            link.segments.clone(),
        ));
        next = link.linked;
    }
    let weekdays = [true, true, true, true, true, false, false];
    assert_eq!(chain.len(), 6, "{chain:?}");
    let spring = chain.iter().find(|c| c.2 == weekdays && c.0 == "2020-01-01").unwrap();
    assert_eq!(
        (spring.1.as_str(), spring.3.as_slice()),
        ("2026-04-30", &[Window { from: 480, until: 1080 }][..])
    );
    assert!(chain.iter().any(|c| c.0 == "2026-05-03" && c.1 == "2026-09-30"));
    assert!(chain.iter().any(|c| c.0 == "2026-10-02" && c.1 == "2099-12-31"));
    assert!(!chain.iter().any(|c| c.0 == "2026-05-01"), "closed on holidays: no windows");
    // Both together: 08:00 to 24:00 without a seam; the whole holiday.
    let both = &list.profiles[&3];
    assert_eq!(both.segments, [Window { from: 480, until: 1440 }]);
    assert!(list.profiles.values().any(|p| p.from.to_string() == "2026-05-01"
        && p.to.to_string() == "2026-05-02"
        && p.segments == [Window { from: 0, until: 1440 }]));
    // What cards refer to does not move when a holiday has passed.
    let later = world.list("2026-06-01T12:00:00+08:00");
    assert_eq!(later.cards, list.cards);
    assert!(later.profiles.len() < list.profiles.len());
}

#[test]
fn only_differences_are_pushed_and_in_a_safe_order() {
    let mut world = World::new();
    world.people.get_mut(&id::<PersonId>("p-1")).unwrap().groups.insert(id("shop"));
    let first = world.list(NOW);
    let mut have = super::List::default();
    let pushes = diff(&have, &first);
    assert_eq!(pushes.len(), 4 + 6 + 3, "doors, profiles, cards: {pushes:?}");
    let place = |wanted: fn(&Push) -> bool| pushes.iter().position(wanted).unwrap();
    let last_profile = pushes.iter().rposition(|p| matches!(p, Push::Profile(..))).unwrap();
    assert!(last_profile < place(|p| matches!(p, Push::Put(..))));
    pushes.iter().for_each(|push| have.took(push));
    assert!(have.is_in_step(&first) && diff(&have, &first).is_empty());
    // One card is lost, one door is held open: two frames, the door first.
    let (command, reason) = (id::<CommandId>("cmd"), "lost".to_owned());
    world.state.apply(&Access::Revoked { at: at(NOW), of: Credential::Card(102), reason, command });
    world.state.apply(&Access::HoldSet {
        at: at(NOW),
        doors: [id("shop")].into(),
        hold: Hold::Open,
        until: Some(at("2026-04-10T13:00:00+08:00")),
        reason: "delivery".to_owned(),
        actor: "guard".to_owned(),
        command: id("cmd-2"),
    });
    let then = diff(&have, &world.list(NOW));
    assert_eq!(then, [Push::Door(4, Hold::Open, 5), Push::Delete(102)]);
    then.iter().for_each(|push| have.took(push));
    // When its time is over it is normal again, without an order.
    let after = diff(&have, &world.list("2026-04-10T13:00:00+08:00"));
    assert_eq!(after, [Push::Door(4, Hold::Normal, 5)]);
}

#[test]
fn an_emergency_goes_before_every_lock() {
    let mut world = World::new();
    let all: BTreeSet<DoorId> = world.setup.doors.keys().cloned().collect();
    let hold = Access::HoldSet {
        at: at(NOW),
        doors: [id("shop")].into(),
        hold: Hold::Locked,
        until: None,
        reason: "storm".to_owned(),
        actor: "guard".to_owned(),
        command: id("cmd"),
    };
    world.state.apply(&hold);
    assert_eq!(world.list(NOW).doors[&4], (Hold::Locked, 5));
    let emergency = |on| Access::Emergency {
        at: at(NOW),
        on,
        doors: all.clone(),
        reason: "fire".to_owned(),
        actor: "controller/c-1".to_owned(),
        command: None,
    };
    world.state.apply(&emergency(true));
    assert!(world.list(NOW).doors.values().all(|door| door.0 == Hold::Open));
    world.state.apply(&emergency(false));
    assert_eq!(world.list(NOW).doors[&4].0, Hold::Locked);
    assert_eq!(world.state.emergency_since(), None);
}

#[test]
fn two_people_with_one_card_and_groups_that_are_none_are_faults() {
    let mut world = World::new();
    world.people.insert(id("p-3"), person("a-1", 101));
    world.people.get_mut(&id::<PersonId>("p-2")).unwrap().groups.insert(id("pool"));
    let found = faults(&world.people, &world.setup);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(!format!("{:?}", world.people).contains("101"), "cards are not printed");
}

#[test]
fn the_state_survives_its_own_bytes() {
    let mut world = World::new();
    world.grant("v-1", 555, &["home-1"], Some(2));
    let (command, reason) = (id::<CommandId>("cmd"), "lost".to_owned());
    world.state.apply(&Access::Revoked { at: at(NOW), of: Credential::Card(7), reason, command });
    let text = serde_json::to_string(&world.state).unwrap();
    assert_eq!(serde_json::from_str::<AccessState>(&text).unwrap(), world.state);
    assert!(world.state.grants().contains_key(&id::<GrantId>("v-1")));
}

/// As a controller judges by its time profiles: each link's days, weekdays and segments.
fn by_profiles(list: &super::List, right: u8, moment: Moment) -> bool {
    let (mut next, mut holds) = (right, false);
    while let Some(profile) = list.profiles.get(&next) {
        let weekday = usize::try_from(moment.day.weekday().to_monday_zero_offset()).unwrap();
        let days = profile.from <= moment.day && moment.day <= profile.to;
        let within = |w: &Window| w.from <= moment.minute && moment.minute < w.until;
        holds |= days && profile.weekdays[weekday] && profile.segments.iter().any(within);
        next = profile.linked;
    }
    holds
}

#[test]
fn where_the_gateway_is_the_controller_it_judges_as_a_controller_would_by_its_profiles() {
    let mut world = World::new();
    world.people.get_mut(&id("p-1")).unwrap().groups = [id("shop"), id("night")].into();
    world.people.get_mut(&id("p-2")).unwrap().groups = [id("shop")].into();
    let list = world.list("2026-04-10T09:00:00+08:00");
    let (mut day, mut passes, mut denied) = (parse_day("2026-04-10").unwrap(), 0, 0);
    for _ in 0..60 {
        for minute in (0..1_440).step_by(30) {
            let moment = Moment { day, minute };
            for card in [101, 102] {
                let right = list.cards[&card].doors[3];
                let verdict = pass::card(&list, card, 4, Some(moment));
                let opens = by_profiles(&list, right, moment);
                assert_eq!(verdict == Verdict::Opens, opens, "{card} {moment:?}: {verdict:?}");
                *(if opens { &mut passes } else { &mut denied }) += 1;
            }
        }
        day = crate::calendar::next_day(day);
    }
    assert!(passes > 1_000 && denied > 1_000, "{passes} {denied}");
}

#[test]
fn a_credential_is_denied_with_its_reason_and_a_plate_counts_where_a_door_has_a_lane() {
    let mut world = World::new();
    let plate: blockgate_types::Plate = "粤B12345".parse().unwrap();
    {
        let person = world.people.get_mut(&id("p-1")).unwrap();
        person.pin = Some(7_531);
        person.until = parse_day("2026-04-12");
        person.plates = [plate.clone()].into();
    }
    let list = world.list("2026-04-10T09:00:00+08:00");
    assert!(list.plates.is_empty(), "no door has a lane");
    world.setup.doors.get_mut(&id("b1")).unwrap().lane = Some(id("garage"));
    let list = world.list("2026-04-10T09:00:00+08:00");
    let on = |text: &str| Some(Moment { day: parse_day(text).unwrap(), minute: 600 });
    let today = on("2026-04-10");
    let denied = |why| Verdict::Denied(why);
    assert_eq!(pass::card(&list, 101, 1, today), Verdict::AsksPin(7_531));
    assert_eq!(pass::plate(&list, &plate, 1, today), Verdict::Opens, "nobody types at a lane");
    assert_eq!(pass::plate(&list, &plate, 2, today), denied(Denial::NoRight));
    let other = "粤B54321".parse().unwrap();
    assert_eq!(pass::plate(&list, &other, 1, today), denied(Denial::NoRight));
    assert_eq!(pass::card(&list, 101, 1, on("2026-04-13")), denied(Denial::Expired));
    assert_eq!(pass::card(&list, 101, 2, today), denied(Denial::NoRight));
    assert_eq!(pass::card(&list, 77, 1, today), denied(Denial::NoRight));
    assert_eq!(pass::card(&list, 101, 9, today), denied(Denial::NoRight));
    // The clock was never set: home is home, a schedule cannot be judged.
    assert_eq!(pass::card(&list, 102, 2, None), Verdict::Opens);
    // Who is shut out is so by plate too.
    let revoked = Access::Revoked {
        at: at("2026-04-10T09:00:00+08:00"),
        of: Credential::Person(id("p-1")),
        reason: "gone".to_owned(),
        command: id("c-1"),
    };
    world.state.apply(&revoked);
    let list = world.list("2026-04-10T09:00:00+08:00");
    assert_eq!(pass::plate(&list, &plate, 1, today), denied(Denial::NoRight));
    let mut locked = list;
    locked.doors.insert(2, (Hold::Locked, 5));
    assert_eq!(pass::card(&locked, 102, 2, today), denied(Denial::Locked));
}
