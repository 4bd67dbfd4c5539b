//! Which commands are looked at at all: life, clock, memory, and those that the door refused.

use super::*;
use crate::input::{AHEAD_MAX, Command, LIFETIME_MAX, Order};
use blockgate_types::CommandId;

fn command(id: &str, issued_at: Time, expires_at: Time, order: Order) -> Command {
    let id = CommandId::new(id).unwrap();
    Command { id, issued_at, expires_at, actor: "staff".into(), order }
}

fn now() -> Time {
    t("2026-03-01T01:00:00+08:00")
}

fn said(world: &mut World, input: &Input) -> String {
    shown(&world.feed(input)).join(", ")
}

fn resend() -> Order {
    Order::Resend { from: 1, to: 1 }
}

fn money() -> Order {
    Order::SettlePayment { payment: CommandId::new("p-1").unwrap(), posted: true }
}

fn ordered(command: Command, clock: ClockState) -> Input {
    Input::Command { now: now(), clock, command }
}

#[test]
fn a_command_lives_a_bounded_time_that_begins_now_and_not_in_the_future() {
    let (minute, synced) = (Span::from_mins(1), ClockState::Synced);
    for (issued, expires, want) in [
        (now(), now().plus(minute), "audit command-accepted"),
        (now(), now().plus(LIFETIME_MAX), "audit command-accepted"),
        (
            now(),
            now().plus(LIFETIME_MAX).plus(minute),
            "outcome Refused expires_at lies more than 31 days after issued_at",
        ),
        (now().plus(AHEAD_MAX), now().plus(LIFETIME_MAX), "audit command-accepted"),
        (
            now().plus(AHEAD_MAX).plus(minute),
            now().plus(LIFETIME_MAX),
            "outcome Refused issued_at lies in the future: compare both clocks",
        ),
        (
            now().plus(Span::from_mins(3)),
            now().plus(minute),
            "outcome Refused expires_at lies before issued_at",
        ),
    ] {
        let mut world = World::default();
        let input = ordered(command("c-1", issued, expires, resend()), synced);
        assert_eq!(said(&mut world, &input), want, "{issued} {expires}");
    }
}

#[test]
fn while_the_clock_is_not_set_only_what_reads_is_carried_out() {
    let expires = now().plus(Span::from_mins(1));
    let mut world = World::default();
    let read = ordered(command("c-1", now(), expires, resend()), ClockState::Unsynced);
    assert_eq!(said(&mut world, &read), "audit command-accepted");
    let moves = ordered(command("c-2", now(), expires, money()), ClockState::Unsynced);
    assert!(said(&mut world, &moves).starts_with("outcome Refused the clock is not synchronised"));
    // A box that begins in 1970 sees every command in its future.
    let future = now().plus(Span::from_days(9000));
    let order = command("c-3", future, future.plus(Span::from_mins(1)), resend());
    assert_eq!(said(&mut world, &ordered(order, ClockState::Unsynced)), "audit command-accepted");
}

// invariant 7
#[test]
fn a_command_that_the_door_refused_has_its_one_outcome_and_no_second() {
    let expires = now().plus(Span::from_mins(1));
    let mut world = World::default();
    let order = command("c-1", now(), expires, resend());
    let why = "nobody allowed it".to_owned();
    let refused = Input::CommandRefused { now: now(), command: order.clone(), why };
    assert_eq!(said(&mut world, &refused), "outcome Refused nobody allowed it");
    assert_eq!(
        said(&mut world, &ordered(order, ClockState::Synced)),
        "outcome Duplicate this id was answered before"
    );
    assert_eq!(said(&mut world, &refused), "outcome Duplicate this id was answered before");
    assert_eq!(world.replayed(), world.block, "the memory is in the journal");
}

#[test]
fn the_memory_of_commands_survives_a_checkpoint() {
    let mut world = World::default();
    let order = command("c-1", now(), now().plus(LIFETIME_MAX), resend());
    world.feed(&ordered(order.clone(), ClockState::Synced));
    let saved = serde_json::to_string(&world.block).unwrap();
    let mut again = World { block: serde_json::from_str(&saved).unwrap(), journal: Vec::new() };
    let weeks_later = now().plus(Span::from_days(30));
    let input = Input::Command { now: weeks_later, clock: ClockState::Synced, command: order };
    assert_eq!(said(&mut again, &input), "outcome Duplicate this id was answered before");
}
