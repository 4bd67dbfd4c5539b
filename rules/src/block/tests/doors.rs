//! Doors in the Block: memory without holes, orders with one outcome, and always a way out.

use crate::Block;
use crate::access::Heard;
use crate::access::event::{Access, DoorOutcome, Entry, Happened, Hold, Told};
use crate::access::setup::{
    AccessSetup, ArrearsRule, ControllerSetup, DoorSetup, Exit, Group, PaidRight,
};
use crate::event::{Alarm, AlarmChange, AlarmCode, Audit, Event, Outcome};
use crate::input::{Command, Input, Order};
use crate::money::Fen;
use crate::setup::{AccountSetup, Setup};
use blockgate_types::{ClockState, Time};
use std::sync::Arc;

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn at(minute: i64) -> Time {
    Time::from_millis(1_772_323_200_000 + minute * 60_000)
}

fn setup() -> Setup {
    let door = |number, exit, entrance| DoorSetup {
        controller: id("c-1"),
        number,
        exit,
        entrance,
        unlock_s: 5,
        lane: None,
    };
    let access = AccessSetup {
        controllers: [(
            id("c-1"),
            ControllerSetup { vendor: "uhppote".to_owned(), anti_passback: 0 },
        )]
        .into(),
        doors: [
            (id("b1"), door(1, Exit::Button, true)),
            (id("gym"), door(2, Exit::Mechanical, false)),
        ]
        .into(),
        groups: [(
            id("gym"),
            Group {
                doors: [id("gym")].into(),
                residents: true,
                paid: Some(PaidRight { item: id("gym"), fen: Fen(10_000), days: 30 }),
                ..Group::default()
            },
        )]
        .into(),
        arrears: Some(ArrearsRule { doors: [id("b1")].into(), overdue_days: 60 }),
        ..AccessSetup::default()
    };
    Setup {
        zone: "Asia/Shanghai".to_owned(),
        accounts: [(id("a-1"), AccountSetup::default())].into(),
        access: Some(Arc::new(access)),
        ..Setup::default()
    }
}

struct Player(Block, u64);

impl Player {
    fn new() -> Self {
        let mut player = Self(Block::new(), 0);
        player.play(&Input::Setup { now: at(0), setup: Box::new(setup()) });
        player
    }

    fn play(&mut self, input: &Input) -> Vec<Event> {
        let mut out = Vec::new();
        self.0.decide(input, &mut out);
        for event in &out {
            self.1 += 1;
            let text = serde_json::to_string(event).unwrap();
            self.0.apply(self.1, &serde_json::from_str(&text).unwrap());
        }
        self.0.notice(input);
        // A checkpoint of it is the same Block.
        let text = serde_json::to_string(&self.0).unwrap();
        assert!(serde_json::from_str::<Block>(&text).unwrap() == self.0);
        out
    }

    fn order(&mut self, name: &str, minute: i64, order: serde_json::Value) -> Vec<Event> {
        let command = Command {
            id: id(name),
            issued_at: at(minute),
            expires_at: at(minute + 10),
            actor: "desk".to_owned(),
            order: serde_json::from_value::<Order>(order).unwrap(),
        };
        let (now, clock) = (at(minute), ClockState::Synced);
        self.play(&Input::Command { now, clock, command })
    }

    fn heard(&mut self, heard: Heard) -> Vec<Event> {
        self.play(&Input::Door(Box::new(heard)))
    }

    fn alarms(&self) -> Vec<AlarmCode> {
        self.0.alarms().values().map(|alarm| alarm.code).collect()
    }
}

fn outcome_of(events: &[Event]) -> Option<(Outcome, String)> {
    events.iter().find_map(|event| {
        let Event::Audit(Audit::Command { outcome, detail, .. }) = event else { return None };
        Some((*outcome, detail.clone()))
    })
}

fn entry(index: u64, event: Happened) -> Entry {
    Entry {
        index,
        at: at(1),
        door: Some(id("b1")),
        event,
        denied: None,
        card: Some(7),
        inward: None,
    }
}

fn read(entries: Vec<Entry>) -> Heard {
    Heard::Read { controller: id("c-1"), now: at(2), entries }
}

#[test]
fn entries_are_journaled_once_and_never_behind_a_hole() {
    let mut play = Player::new();
    let entries = |range: std::ops::RangeInclusive<u64>| {
        range.map(|n| entry(n, Happened::Granted)).collect::<Vec<_>>()
    };
    let indexes = |events: &[Event]| -> Vec<u64> {
        let reads = events.iter().filter_map(|event| {
            let Event::Door(door) = event else { return None };
            let Access::Read { entries, .. } = &**door else { return None };
            Some(entries.clone())
        });
        reads.flatten().map(|entry| entry.index).collect()
    };
    // The first ones that are there: the memory began at 5.
    assert_eq!(indexes(&play.heard(read(entries(5..=8)))), [5, 6, 7, 8]);
    // The same and more, as after a restart: once.
    assert_eq!(indexes(&play.heard(read(entries(6..=10)))), [9, 10]);
    assert!(play.heard(read(entries(5..=10))).is_empty(), "a replay says nothing new");
    // Behind a hole: not taken, the cursor waits.
    assert!(play.heard(read(entries(13..=14))).is_empty());
    let cursor = |play: &Player| play.0.access().cursor(&id("c-1"));
    assert_eq!(cursor(&play), Some(10));
    // What was overwritten is told, and an alarm that a person closes.
    let lost = play.heard(Heard::Lost { controller: id("c-1"), now: at(3), to: 12 });
    let told = serde_json::to_value(&lost[0]).unwrap();
    assert_eq!(
        (told["what"].as_str(), told["from"].as_u64(), told["to"].as_u64()),
        (Some("lost"), Some(11), Some(12))
    );
    assert_eq!(play.alarms(), [AlarmCode::DoorEventsLost]);
    assert_eq!(indexes(&play.heard(read(entries(13..=14)))), [13, 14]);
    let alarm = play.0.alarms().keys().next().unwrap().to_string();
    play.order("c-1", 4, serde_json::json!({"name":"confirm-alarm","args":{"alarm":alarm}}));
    assert!(play.alarms().is_empty());
    // Another controller in its place counts from 1.
    play.heard(Heard::Renumbered { controller: id("c-1"), now: at(5) });
    assert_eq!(indexes(&play.heard(read(entries(1..=2)))), [1, 2]);
}

#[test]
fn a_door_that_is_forced_is_an_alarm_until_it_is_closed_even_within_one_reading() {
    let mut play = Player::new();
    play.heard(read(vec![entry(1, Happened::Forced), entry(2, Happened::Tamper)]));
    let mut codes = play.alarms();
    codes.sort();
    assert_eq!(codes, [AlarmCode::DoorForced, AlarmCode::DoorTamper]);
    play.heard(read(vec![entry(3, Happened::Closed)]));
    assert_eq!(play.alarms(), [AlarmCode::DoorTamper]);
    let events = play.heard(read(vec![
        entry(4, Happened::Forced),
        entry(5, Happened::Closed),
        entry(6, Happened::Duress),
    ]));
    let changes: Vec<(AlarmCode, AlarmChange)> = events
        .iter()
        .filter_map(|event| {
            let Event::Alarm(Alarm { code, change, .. }) = event else { return None };
            Some((*code, *change))
        })
        .collect();
    assert_eq!(
        changes,
        [
            (AlarmCode::DoorForced, AlarmChange::Raised),
            (AlarmCode::DoorForced, AlarmChange::Cleared),
            (AlarmCode::DoorDuress, AlarmChange::Raised),
        ]
    );
}

fn acts(play: &Player) -> Vec<crate::access::event::DoorAct> {
    play.0.access().acts().values().cloned().collect()
}

fn done(play: &mut Player, outcome: Outcome) -> Vec<Event> {
    let act = acts(play).remove(0);
    play.heard(Heard::Acted(DoorOutcome {
        action: act.action,
        door: act.door,
        at: at(9),
        outcome,
        detail: "said the controller".to_owned(),
    }))
}

#[test]
fn an_opening_is_intended_carried_out_once_and_has_one_outcome() {
    let mut play = Player::new();
    let open =
        |reason: &str| serde_json::json!({"name":"open-door","args":{"door":"b1","reason":reason}});
    assert_eq!(outcome_of(&play.order("c-0", 1, open(" "))).unwrap().0, Outcome::Refused);
    let events = play.order("c-1", 1, open("forgot the card"));
    assert_eq!(outcome_of(&events), None, "its outcome is the door's");
    assert_eq!((acts(&play).len(), acts(&play)[0].told), (1, Told::Open));
    // The same order again, and an old one, do nothing.
    let again = play.order("c-1", 2, open("forgot the card"));
    assert_eq!(outcome_of(&again).unwrap().0, Outcome::Duplicate);
    let command = Command {
        id: id("c-2"),
        issued_at: at(-20),
        expires_at: at(-10),
        actor: "desk".to_owned(),
        order: serde_json::from_value(open("recorded")).unwrap(),
    };
    let old = play.play(&Input::Command { now: at(3), clock: ClockState::Synced, command });
    assert_eq!(outcome_of(&old).unwrap().0, Outcome::Expired);
    assert_eq!(acts(&play).len(), 1);
    let answered = done(&mut play, Outcome::Done);
    assert_eq!(outcome_of(&answered).unwrap().0, Outcome::Done);
    assert!(acts(&play).is_empty());
    // After a restart nobody knows, it is an alarm, and it is not repeated.
    play.order("c-3", 4, open("again"));
    play.play(&Input::Started {
        now: at(5),
        boot: "0000000b".to_owned(),
        version: "0".to_owned(),
        config_hash: String::new(),
    });
    assert!(acts(&play).is_empty());
    assert_eq!(play.alarms(), [AlarmCode::DoorUnknown]);
}

#[test]
fn a_door_whose_way_out_needs_the_controller_is_never_locked_down() {
    let mut play = Player::new();
    let lock = |doors: serde_json::Value| serde_json::json!({"name":"lock-down","args":{"doors":doors,"reason":"storm"}});
    let refused = play.order("c-1", 1, lock(serde_json::json!(["b1"])));
    let (outcome, why) = outcome_of(&refused).unwrap();
    assert_eq!(outcome, Outcome::Refused);
    assert!(why.contains("way out"), "{why}");
    // All that can be.
    play.order("c-2", 1, lock(serde_json::json!([])));
    assert_eq!(acts(&play).iter().map(|act| act.door.as_str()).collect::<Vec<_>>(), ["gym"]);
    assert_eq!(outcome_of(&done(&mut play, Outcome::Done)).unwrap().0, Outcome::Done);
    let state = play.0.access();
    assert_eq!(
        (state.hold_of(&id("gym"), at(2)), state.hold_of(&id("b1"), at(2))),
        (Hold::Locked, Hold::Normal)
    );
    let refused = play.order(
        "c-3",
        2,
        serde_json::json!({"name":"open-door","args":{"door":"gym","reason":"x"}}),
    );
    assert_eq!(outcome_of(&refused).unwrap().0, Outcome::Refused);
}

#[test]
fn fire_opens_and_stays_open_until_a_person_ends_it() {
    let mut play = Player::new();
    let lock = serde_json::json!({"name":"lock-down","args":{"reason":"storm"}});
    play.order("c-1", 1, lock.clone());
    done(&mut play, Outcome::Done);
    let fire = |on| Heard::Fire { controller: id("c-1"), now: at(2), on };
    let events = play.heard(fire(true));
    assert_eq!(events.len(), 3, "fire, emergency, alarm: {events:?}");
    assert!(play.heard(fire(true)).is_empty(), "once");
    let holds = |play: &Player| {
        let state = play.0.access();
        ["b1", "gym"].map(|door| state.hold_of(&id(door), at(3)))
    };
    assert_eq!(holds(&play), [Hold::Open; 2]);
    assert_eq!(play.alarms(), [AlarmCode::DoorEmergency]);
    // Nobody locks now, and nobody ends it while the input is on.
    assert_eq!(outcome_of(&play.order("c-2", 3, lock)).unwrap().0, Outcome::Refused);
    let end = serde_json::json!({"name":"end-emergency","args":{"reason":"all out"}});
    assert_eq!(outcome_of(&play.order("c-3", 3, end.clone())).unwrap().0, Outcome::Refused);
    play.heard(fire(false));
    assert_eq!(holds(&play), [Hold::Open; 2], "it stays open");
    play.order("c-4", 4, end);
    assert_eq!(acts(&play).len(), 2);
    done(&mut play, Outcome::Failed);
    let answered = done(&mut play, Outcome::Done);
    let (outcome, detail) = outcome_of(&answered).unwrap();
    assert_eq!(outcome, Outcome::Failed, "{detail}");
    assert_eq!(holds(&play), [Hold::Normal, Hold::Locked]);
    assert!(play.alarms().is_empty());
    // A block-wide emergency by order leaves its record.
    let events =
        play.order("c-5", 5, serde_json::json!({"name":"emergency-open","args":{"reason":"gas"}}));
    let record = events.iter().find_map(|event| {
        let Event::Door(door) = event else { return None };
        let Access::Emergency { actor, reason, doors, command, .. } = &**door else { return None };
        Some((actor.clone(), reason.clone(), doors.len(), command.clone()))
    });
    assert_eq!(record.unwrap(), ("desk".to_owned(), "gas".to_owned(), 2, Some(id("c-5"))));
}

#[test]
fn a_payment_extends_a_right_and_one_that_is_announced_only_when_it_comes_in() {
    let mut play = Player::new();
    let pay = |amount: i64, pending: bool, reference: &str| {
        serde_json::json!({"name":"record-payment","args":{"account":"a-1","amount_fen":amount,
            "channel":"cash","reference":reference,"toward":{"of":"bills","items":["gym"]},"pending":pending}})
    };
    let until = |play: &Player| {
        play.0.access().paid_until(&id("gym"), &id("a-1")).map(|day| day.to_string())
    };
    let events = play.order("p-1", 1, pay(25_000, false, ""));
    assert_eq!(outcome_of(&events).unwrap().0, Outcome::Done, "{events:?}");
    // 2026-03-01 08:00 in Shanghai; two whole amounts of 100 yuan are 60 days from today on.
    assert_eq!(until(&play).as_deref(), Some("2026-04-29"));
    play.order("p-2", 2, pay(10_000, true, "wx-1"));
    assert_eq!(until(&play).as_deref(), Some("2026-04-29"), "announced only");
    play.order(
        "p-3",
        3,
        serde_json::json!({"name":"settle-payment","args":{"payment":"p-2","posted":true}}),
    );
    assert_eq!(until(&play).as_deref(), Some("2026-05-29"));
}

#[test]
fn entrances_close_for_arrears_only_when_a_named_person_names_them() {
    let mut play = Player::new();
    let confirm = |entrances: serde_json::Value, by: &str| {
        serde_json::json!({"name":"confirm-arrears","args":{"confirmed":true,"entrances":entrances,
            "by":by,"reason":"resolution 7"}})
    };
    let refused = |events: Vec<Event>| outcome_of(&events).unwrap().0 == Outcome::Refused;
    assert!(refused(play.order("c-1", 1, confirm(serde_json::json!(["b1"]), " "))));
    assert!(refused(play.order("c-2", 1, confirm(serde_json::json!([]), "Chen"))));
    assert!(play.0.access().confirmed().is_none());
    play.order("c-3", 1, confirm(serde_json::json!(["b1"]), "Chen"));
    assert!(play.0.access().confirmed().is_some());
}

#[test]
fn grants_are_checked_and_ended() {
    let mut play = Player::new();
    let grant = |card: u64, group: &str| {
        serde_json::json!({"name":"grant","args":{"grant":format!("v-{card}"),"terms":{"card":card,
            "groups":[group],"account":"a-1","from":at(0),"until":at(600),"count":2}}})
    };
    let outcome = |events: Vec<Event>| outcome_of(&events).unwrap().0;
    assert_eq!(outcome(play.order("c-1", 1, grant(0, "gym"))), Outcome::Refused);
    assert_eq!(outcome(play.order("c-2", 1, grant(555, "pool"))), Outcome::Refused);
    assert_eq!(outcome(play.order("c-3", 1, grant(555, "gym"))), Outcome::Done);
    assert_eq!(play.0.access().grants().len(), 1);
    let revoke =
        serde_json::json!({"name":"revoke","args":{"of":{"grant":"v-555"},"reason":"left"}});
    assert_eq!(outcome(play.order("c-4", 1, revoke.clone())), Outcome::Done);
    assert!(play.0.access().grants().is_empty());
    assert_eq!(outcome(play.order("c-5", 1, revoke)), Outcome::Refused);
}

/// What is said of each order: its JSON, and whether its outcome is the doors' to say.
fn every_order() -> Vec<(&'static str, serde_json::Value, bool)> {
    let order =
        |name: &str, args: serde_json::Value| serde_json::json!({"name": name, "args": args});
    let terms =
        serde_json::json!({"card": 555, "groups": ["gym"], "from": at(0), "until": at(600)});
    vec![
        ("open", order("open-door", serde_json::json!({"door": "b1", "reason": "x"})), true),
        (
            "hold",
            order("hold-door", serde_json::json!({"door": "gym", "until": at(60), "reason": "x"})),
            true,
        ),
        (
            "release",
            order("release-doors", serde_json::json!({"doors": ["gym"], "reason": "x"})),
            true,
        ),
        ("lock", order("lock-down", serde_json::json!({"doors": ["gym"], "reason": "x"})), true),
        ("emergency", order("emergency-open", serde_json::json!({"reason": "x"})), true),
        ("end", order("end-emergency", serde_json::json!({"reason": "x"})), true),
        ("grant", order("grant", serde_json::json!({"grant": "v-1", "terms": terms})), false),
        (
            "revoke",
            order("revoke", serde_json::json!({"of": {"card": 101}, "reason": "lost"})),
            false,
        ),
        ("restore", order("restore", serde_json::json!({"of": {"card": 101}})), false),
        (
            "confirm",
            order(
                "confirm-arrears",
                serde_json::json!({"confirmed": true, "entrances": ["b1"], "by": "Chen", "reason": "x"}),
            ),
            false,
        ),
    ]
}

#[test]
fn every_order_has_one_outcome_and_a_stale_or_repeated_one_does_nothing() {
    let mut play = Player::new();
    for (minute, (name, order, at_doors)) in (1_i64..).zip(every_order()) {
        let told = |events: &[Event]| {
            events.iter().filter(|event| matches!(event, Event::Door(_))).count()
        };
        // Recorded: it had expired before it came.
        let command = Command {
            id: id(&format!("{name}-old")),
            issued_at: at(-20),
            expires_at: at(-10),
            actor: "desk".to_owned(),
            order: serde_json::from_value(order.clone()).unwrap(),
        };
        let (now, clock) = (at(minute), ClockState::Synced);
        let state = play.0.access();
        let events = play.play(&Input::Command { now, clock, command });
        assert_eq!(outcome_of(&events).unwrap().0, Outcome::Expired, "{name}");
        assert_eq!(told(&events), 0, "{name}");
        assert!(play.0.access() == state, "{name}: nothing changed");

        let events = play.order(name, minute, order.clone());
        assert!(told(&events) > 0, "{name}: {events:?}");
        let mut outcomes: Vec<Outcome> = outcome_of(&events).into_iter().map(|o| o.0).collect();
        assert_eq!(outcomes.is_empty(), at_doors, "{name}");
        while !acts(&play).is_empty() {
            outcomes.extend(outcome_of(&done(&mut play, Outcome::Done)).map(|o| o.0));
        }
        assert_eq!(outcomes, [Outcome::Done], "{name}");

        let state = play.0.access();
        let events = play.order(name, minute, order);
        assert_eq!(outcome_of(&events).unwrap().0, Outcome::Duplicate, "{name}");
        assert_eq!(told(&events), 0, "{name}");
        assert!(play.0.access() == state, "{name}: nothing changed");
    }
    assert!(play.0.access().holds().values().all(|held| held.hold == Hold::Locked));
}
