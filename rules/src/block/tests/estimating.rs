//! Estimated readings and what becomes of them.

use super::correcting::{billed, bills, by_month, year};
use super::*;
use crate::input::{Command, Order};

fn estimate(world: &mut World, at: &str, id: &str, value: Option<&str>) -> Vec<String> {
    let now = t(at);
    shown(&world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: CommandId::new(id).unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "desk".into(),
            order: Order::EstimateReading {
                meter: MeterId::new("m-1").unwrap(),
                register: RegisterName::new("energy_import").unwrap(),
                value: value.map(d),
                reason: "the cellar is locked".into(),
            },
        },
    }))
}

/// Orders what puts estimates right, as the gateway does.
fn settle(world: &mut World, at: &str) -> usize {
    let commands = world.block.estimates_to_settle(t(at));
    for command in &commands {
        let (now, clock) = (t(at), ClockState::Synced);
        world.feed(&Input::Command { now, clock, command: command.clone() });
        let Order::Correct(correction) = &command.order else { panic!() };
        let (id, correction) = (command.id.clone(), correction.clone());
        let issued = bills(world);
        world.feed(&Input::Correct { now, id, correction, issued });
    }
    commands.len()
}

#[test]
fn an_estimate_is_billed_as_one_and_the_next_reading_puts_its_bill_right() {
    // 100 kWh in January; nothing is read on 1 March.
    let mut world = year(by_month("1000"), &["0", "100"]);
    let said = estimate(&mut world, "2026-03-01T00:00:00+08:00", "e-1", None);
    // 100 in 31 days: 90.32 in 28.
    assert_eq!(said[1], "estimated 190.32 used 90.32");
    world.tick("2026-03-01T00:00:01+08:00");
    let last = bills(&world).pop().unwrap();
    assert!(last.evidence[0].to.estimated && !last.evidence[0].from.estimated);
    assert_eq!(last.total_fen, Fen(10_035)); // 90.32 at 1.111
    // On 1 April it shows 160, less than was estimated: 60 in 59 days, 28.47 of them in February.
    let said = shown(&world.read("2026-04-01T00:00:00+08:00", "160"));
    assert_eq!(said, ["gap 2975", "accepted 160 used -30.32"]);
    assert!(world.block.has_estimates_to_settle());
    assert_eq!(settle(&mut world, "2026-04-01T00:00:01+08:00"), 1);
    assert_eq!(settle(&mut world, "2026-04-01T00:00:02+08:00"), 0, "once");
    assert!(!world.block.has_estimates_to_settle());
    world.tick("2026-04-01T00:00:03+08:00");
    let sums = billed(&world);
    // 28.47 and 31.53 at 1.111.
    assert_eq!(sums["a-1 electricity 2026-02-01"], 3_163);
    assert_eq!(sums["a-1 electricity 2026-03-01"], 3_503);
    assert!(bills(&world).iter().all(|b| b.corrects.is_some() || b.total_fen >= Fen(0)));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_reading_after_an_estimate_is_judged_by_the_last_real_one() {
    let mut world = year(by_month("1000"), &["0", "100"]);
    estimate(&mut world, "2026-03-01T00:00:00+08:00", "e-1", Some("500"));
    let said = shown(&world.read("2026-03-02T00:00:00+08:00", "900000"));
    assert!(said.contains(&"held 900000 TooFast".to_owned()), "since the last real one: {said:?}");
    let said = shown(&world.read("2026-03-03T00:00:00+08:00", "101"));
    assert!(said.contains(&"accepted 101 used -399".to_owned()), "{said:?}");
}

#[test]
fn an_estimate_that_cannot_be_is_refused_with_the_reason() {
    let mut world = year(by_month("1000"), &["0"]);
    for (id, value, why) in [
        ("e-1", None, "no base for an estimate"),
        ("e-2", Some("-1"), "not below the last reading"),
        ("e-3", Some("900000"), "cannot have counted so much"),
    ] {
        let said = estimate(&mut world, "2026-01-02T00:00:00+08:00", id, value);
        assert!(said[0].starts_with("outcome Refused") && said[0].contains(why), "{said:?}");
    }
}
