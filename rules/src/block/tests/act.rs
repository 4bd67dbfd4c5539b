//! Acts on meters: one intent, one outcome, a look after a restart.

use super::meter;
use crate::Block;
use crate::act::{Acted, Acting, Looked, outcome_of};
use crate::event::{AlarmCode, Audit, Event, Outcome};
use crate::input::{Command, Input, Order};
use crate::setup::{MeterSetup, Setup};
use blockgate_types::{
    ActResult, ActionId, ClockState, CommandId, Control, MeterId, MeterState, RelayTo, Time,
};

fn at(minute: i64) -> Time {
    Time::from_millis(1_772_323_200_000 + minute * 60_000)
}

fn id() -> MeterId {
    MeterId::new("m-1").unwrap()
}

struct Player(Block, u64);

impl Player {
    /// A block with one meter whose relay may be switched.
    fn new() -> Self {
        let mut setup = Setup { zone: "Asia/Shanghai".to_owned(), ..Setup::default() };
        let relay = MeterSetup { controls: [Control::Relay].into(), ..meter() };
        setup.meters.insert(id(), relay);
        let mut play = Self(Block::new(), 0);
        play.play(&Input::Setup { now: at(0), setup: Box::new(setup) });
        play
    }

    fn play(&mut self, input: &Input) -> Vec<Event> {
        let mut out = Vec::new();
        self.0.decide(input, &mut out);
        for event in &out {
            self.1 += 1;
            // Through its bytes, as after a restart.
            let text = serde_json::to_string(event).unwrap();
            self.0.apply(self.1, &serde_json::from_str(&text).unwrap());
        }
        self.0.notice(input);
        out
    }

    fn order(&mut self, id: &str, order: Order) -> Vec<Event> {
        let command = Command {
            id: CommandId::new(id).unwrap(),
            issued_at: at(1),
            expires_at: at(60),
            actor: "person/desk".to_owned(),
            order,
        };
        self.play(&Input::Command { now: at(1), clock: ClockState::Synced, command })
    }

    fn trip(&mut self, command: &str) -> Acting {
        let events = self.order(command, trip("arrears, notice 7"));
        let [Event::Audit(Audit::CommandAccepted { .. }), Event::Audit(Audit::MeterActing(acting))] =
            events.as_slice()
        else {
            panic!("{events:?}")
        };
        acting.clone()
    }

    fn alarms(&self) -> usize {
        self.0.alarms().values().filter(|alarm| alarm.code == AlarmCode::MeterNotMoved).count()
    }
}

fn trip(reason: &str) -> Order {
    Order::Relay { meter: id(), to: RelayTo::Trip, reason: reason.to_owned() }
}

fn acted(acting: &Acting, result: ActResult, state: Option<MeterState>) -> Input {
    let (action, meter) = (acting.action.clone(), acting.meter.clone());
    let (outcome, detail) = (outcome_of(result), String::new());
    Input::MeterActed(Acted { action, meter, at: at(2), outcome, result, state, detail })
}

fn outcomes(events: &[Event]) -> Vec<(&'static str, Outcome)> {
    let of = |event: &Event| {
        if let Event::Audit(Audit::MeterActed(done)) = event {
            return Some(("act", done.outcome));
        }
        let Event::Audit(Audit::Command { outcome, .. }) = event else { return None };
        Some(("command", *outcome))
    };
    events.iter().filter_map(of).collect()
}

#[test]
fn an_act_is_an_intent_and_one_outcome_that_ends_its_command() {
    let mut play = Player::new();
    let acting = play.trip("c-1");
    assert_eq!((play.0.acts().count(), acting.action.as_str()), (1, "act-1"));
    let second = play.order("c-2", trip("again"));
    assert_eq!(outcomes(&second), [("command", Outcome::Refused)], "one at a time");
    let done = play.play(&acted(&acting, ActResult::Verified, Some(MeterState::RelayOpen)));
    assert_eq!(outcomes(&done), [("act", Outcome::Done), ("command", Outcome::Done)]);
    assert!(play.play(&acted(&acting, ActResult::NotMoved, None)).is_empty(), "one outcome");
    assert_eq!((play.0.acts().count(), play.alarms()), (0, 0));
    assert_eq!(play.trip("c-3").action.as_str(), "act-2", "no id twice");
}

#[test]
fn acknowledged_and_not_moved_is_a_failure_of_its_own_and_an_alarm_until_it_moves() {
    let mut play = Player::new();
    let acting = play.trip("c-1");
    let state = Some(MeterState::RelayClosed);
    let events = play.play(&acted(&acting, ActResult::NotMoved, state));
    assert_eq!(outcomes(&events), [("act", Outcome::Failed), ("command", Outcome::Failed)]);
    let text = serde_json::to_string(&events).unwrap();
    assert!(text.contains(r#""result":"not-moved","state":"relay-closed""#), "{text}");
    assert_eq!(play.alarms(), 1);
    let acting = play.trip("c-2");
    play.play(&acted(&acting, ActResult::Verified, Some(MeterState::RelayOpen)));
    assert_eq!(play.alarms(), 0);
}

#[test]
fn after_a_restart_an_act_is_unknown_and_never_repeated_and_the_meter_is_asked() {
    let mut play = Player::new();
    let acting = play.trip("c-1");
    let started = Input::Started {
        now: at(5),
        boot: "0000000b".to_owned(),
        version: "0".to_owned(),
        config_hash: String::new(),
    };
    let events = play.play(&started);
    let mut all = outcomes(&events);
    all.sort_by_key(|(what, _)| *what);
    assert_eq!(all, [("act", Outcome::Unknown), ("command", Outcome::Unknown)]);
    let acts = |e: &Event| matches!(e, Event::Audit(Audit::MeterActing(_)));
    assert!(!events.iter().any(acts), "never repeated");
    assert_eq!((play.0.acts().count(), play.alarms()), (0, 1));
    assert!(outcomes(&play.play(&started)).is_empty(), "not again at the next start");
    let waiting: Vec<&ActionId> = play.0.acts_to_look_at().map(|act| &act.action).collect();
    assert_eq!(waiting, [&acting.action]);
    // It could not be asked, then it could: the relay had not moved, then it had.
    for (state, waits, alarms) in [(None, 1, 1), (Some(MeterState::RelayOpen), 0, 0)] {
        let (action, meter) = (acting.action.clone(), acting.meter.clone());
        let (as_ordered, detail) = (None, String::new());
        let looked = Looked { action, meter, at: at(6), state, as_ordered, detail };
        let events = play.play(&Input::MeterLooked(looked));
        assert!(!events.is_empty());
        assert_eq!((play.0.acts_to_look_at().count(), play.alarms()), (waits, alarms));
    }
}

#[test]
fn what_the_config_does_not_allow_or_nobody_gives_a_reason_for_is_refused() {
    let mut play = Player::new();
    let other = MeterId::new("m-9").unwrap();
    for (order, why) in [
        (trip(" "), "say why"),
        (Order::SetClock { meter: id(), whole_line: true }, "have no \"clock\""),
        (
            Order::Valve { meter: id(), to: blockgate_types::ValveTo::Close, reason: "x".into() },
            "have no \"valve\"",
        ),
        (Order::SetClock { meter: other, whole_line: false }, "there is no meter of this id"),
    ] {
        let events = play.order(&format!("c-{}", play.1), order);
        let [Event::Audit(Audit::Command { outcome: Outcome::Refused, detail, .. })] =
            events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert!(detail.contains(why), "{detail}");
    }
    assert_eq!(play.0.acts().count(), 0);
}
