//! Openings of barriers.

use crate::Block;
use crate::event::{AlarmCode, Audit, Event, Outcome};
use crate::gate::{ArmPosition, Opening, OpeningCause, OpeningOutcome};
use crate::input::Input;
use blockgate_types::{ActionId, LaneId, Time};

fn at(minute: i64) -> Time {
    Time::from_millis(1_772_323_200_000 + minute * 60_000)
}

fn opening() -> Opening {
    Opening {
        action: ActionId::new("open-17").unwrap(),
        lane: LaneId::new("north-in").unwrap(),
        at: at(0),
        cause: OpeningCause::Passage { reason: "resident".to_owned() },
    }
}

fn outcome(outcome: Outcome, position: ArmPosition) -> Input {
    let Opening { action, lane, .. } = opening();
    let detail = String::new();
    Input::GateOpened(OpeningOutcome { action, lane, at: at(1), outcome, position, detail })
}

struct Player(Block, u64);

impl Player {
    fn new() -> Self {
        Self(Block::new(), 0)
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

    fn unknown_gates(&self) -> usize {
        self.0.alarms().values().filter(|a| a.code == AlarmCode::GateUnknown).count()
    }
}

#[test]
fn an_opening_has_an_intent_and_one_outcome() {
    let mut play = Player::new();
    let intent = play.play(&Input::GateOpening(opening()));
    assert!(matches!(intent.as_slice(), [Event::Audit(Audit::GateOpening(_))]), "{intent:?}");
    assert!(play.play(&Input::GateOpening(opening())).is_empty(), "the same opening once");
    assert_eq!(play.0.openings().count(), 1);
    let done = play.play(&outcome(Outcome::Done, ArmPosition::Open));
    assert!(matches!(done.as_slice(), [Event::Audit(Audit::GateOutcome(_))]), "{done:?}");
    assert!(play.play(&outcome(Outcome::Failed, ArmPosition::Unknown)).is_empty(), "one outcome");
    assert_eq!((play.0.openings().count(), play.unknown_gates()), (0, 0));
}

#[test]
fn after_a_restart_an_opening_is_unknown_and_an_alarm_until_the_next_one_is_done() {
    let mut play = Player::new();
    play.play(&Input::GateOpening(opening()));
    let started = Input::Started {
        now: at(5),
        boot: "0000000b".to_owned(),
        version: "0".to_owned(),
        config_hash: String::new(),
    };
    let events = play.play(&started);
    let unknown = |e: &Event| matches!(e, Event::Audit(Audit::GateOutcome(o)) if o.outcome == Outcome::Unknown);
    assert_eq!(events.iter().filter(|e| unknown(e)).count(), 1, "{events:?}");
    assert_eq!((play.0.openings().count(), play.unknown_gates()), (0, 1));
    // Not again at the next start, and no second outcome.
    assert!(!play.play(&started).iter().any(unknown));
    assert!(play.play(&outcome(Outcome::Done, ArmPosition::Open)).is_empty());
    let mut next = opening();
    next.action = ActionId::new("open-18").unwrap();
    play.play(&Input::GateOpening(next.clone()));
    play.play(&Input::GateOpened(OpeningOutcome {
        action: next.action,
        lane: next.lane,
        at: at(9),
        outcome: Outcome::Done,
        position: ArmPosition::Open,
        detail: String::new(),
    }));
    assert_eq!(play.unknown_gates(), 0, "the arm moves again");
}
