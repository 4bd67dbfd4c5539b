//! What people do about alarms: mutes, feedback, confirmations.

use super::*;
use crate::anomaly::care::FeedbackVerdict;
use crate::event::{Alarm, AlarmChange, AlarmCode};
use crate::input::{Command, Order};
use blockgate_types::CommandId;

pub(super) fn order(world: &mut World, now: &str, order: Order) -> Vec<Event> {
    let id = format!("c-{}", world.journal.len());
    let command = Command {
        id: CommandId::new(&id).unwrap(),
        issued_at: t(now),
        expires_at: t(now).plus(Span::from_mins(1)),
        actor: "clerk".into(),
        order,
    };
    world.feed(&Input::Command { now: t(now), clock: ClockState::Synced, command })
}

fn condition(world: &mut World, now: &str, active: bool) -> Option<Alarm> {
    let events = world.feed(&Input::Condition {
        now: t(now),
        code: AlarmCode::BrokerDown,
        subject: "mqtt".into(),
        active,
        facts: BTreeMap::new(),
    });
    alarm(&events)
}

pub(super) fn alarm(events: &[Event]) -> Option<Alarm> {
    events.iter().find_map(|event| {
        let Event::Alarm(alarm) = event else { return None };
        Some(alarm.clone())
    })
}

#[test]
fn a_muted_alarm_stays_muted_when_it_opens_again_until_the_mute_ends() {
    let mut world = World::default();
    let id = condition(&mut world, "2026-03-01T00:00:00Z", true).unwrap().id;
    let mute = Order::MuteAlarm {
        alarm: id.clone(),
        reason: "the provider works on it".into(),
        until: t("2026-03-03T00:00:00Z"),
    };
    let noted = order(&mut world, "2026-03-01T01:00:00Z", mute);
    assert_eq!(shown(&noted)[1..], ["alarm broker-down Noted", "outcome Done"]);
    assert_eq!(alarm(&noted).unwrap().muted.unwrap().by, "clerk");
    condition(&mut world, "2026-03-01T02:00:00Z", false);
    let again = condition(&mut world, "2026-03-02T00:00:00Z", true).unwrap();
    assert_eq!(again.muted.unwrap().reason, "the provider works on it");
    condition(&mut world, "2026-03-02T01:00:00Z", false);
    assert_eq!(condition(&mut world, "2026-03-04T00:00:00Z", true).unwrap().muted, None);
    let unmuted = order(&mut world, "2026-03-04T00:00:01Z", Order::UnmuteAlarm { alarm: id });
    assert_eq!(alarm(&unmuted).unwrap().muted, None);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn feedback_is_kept_also_after_the_alarm_is_over() {
    let mut world = World::default();
    let id = condition(&mut world, "2026-03-01T00:00:00Z", true).unwrap().id;
    condition(&mut world, "2026-03-01T02:00:00Z", false);
    let note = "a digger cut the line".to_owned();
    let verdict = FeedbackVerdict::True;
    let said = Order::AlarmFeedback { alarm: id, verdict, note };
    let said = alarm(&order(&mut world, "2026-03-02T00:00:00Z", said)).unwrap();
    assert_eq!((said.change, said.feedback.unwrap().verdict), (AlarmChange::Noted, verdict));
    assert!(world.block.alarms().is_empty(), "saying so does not open it again");
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn what_cannot_be_done_about_an_alarm_is_refused_with_a_reason() {
    let mut world = World::default();
    let id = condition(&mut world, "2026-03-01T00:00:00Z", true).unwrap().id;
    let until = t("2026-03-02T00:00:00Z");
    let mute =
        |reason: &str, until| Order::MuteAlarm { alarm: id.clone(), reason: reason.into(), until };
    let none = AlarmId::new("alarm-none").unwrap();
    let cases = [
        (mute(" ", until), "a mute needs a reason of at most 400 characters"),
        (mute("x", t("2026-03-01T00:00:00Z")), "a mute must end in the future"),
        (mute("x", t("2028-03-01T00:00:00Z")), "a mute lasts a year at most"),
        (Order::UnmuteAlarm { alarm: id.clone() }, "this alarm is not muted"),
        (
            Order::ConfirmAlarm { alarm: id.clone(), close_valve: true },
            "the alarm's rule does not allow to close a valve",
        ),
        (Order::ConfirmAlarm { alarm: none, close_valve: false }, "no alarm of this id is open"),
    ];
    for (what, why) in cases {
        let answer = order(&mut world, "2026-03-01T01:00:00Z", what);
        assert_eq!(shown(&answer), [format!("outcome Refused {why}")]);
    }
}

#[test]
fn the_orders_of_alarms_have_their_names_on_the_wire() {
    let text = r#"{"id":"c-1","issued_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-02T00:00:00Z",
        "actor":"clerk","name":"mute-alarm","args":{"alarm":"alarm-1","reason":"pool",
        "until":"2026-03-05T00:00:00Z"}}"#;
    let command: Command = serde_json::from_str(text).unwrap();
    assert_eq!(command.order.name(), "mute-alarm");
    let text = text.replace("mute-alarm", "alarm-feedback");
    assert!(serde_json::from_str::<Command>(&text).is_err(), "foreign arguments are refused");
}
