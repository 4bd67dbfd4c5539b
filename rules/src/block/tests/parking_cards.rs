//! Stored-value cards (储值卡): a car park's wallet that opens the barrier as far as it reaches.

use super::parking::{account, car_park, lane, permit, plate};
use super::*;
use crate::input::{Order, PayStay, RecordPayment};
use crate::ledger::{Channel, Toward};
use crate::parking::event::{Reason, Told};
use crate::parking::setup::{Permit, VehicleClass};
use blockgate_types::PermitId;

const CARD: &str = "a-card";
const PLATE: &str = "粤B44444";

fn card() -> Permit {
    Permit {
        prepaid: true,
        account: Some(account(CARD)),
        ..permit(VehicleClass::Temporary, &[PLATE])
    }
}

fn world() -> World {
    let mut setup = car_park();
    setup.accounts.entry(account(CARD)).or_default();
    let mut parking = (**setup.parking.as_ref().unwrap()).clone();
    parking.permits.insert(PermitId::new("card").unwrap(), card());
    setup.parking = Some(Arc::new(parking));
    let mut world = World::default();
    world.setup("2026-03-10T00:00:00+08:00", &setup);
    world
}

fn top_up(world: &mut World, id: &str, at: &str, fen: i64) {
    let payment = RecordPayment {
        account: account(CARD),
        amount_fen: Fen(fen),
        channel: Channel::Cash,
        reference: String::new(),
        payer: None,
        toward: Toward::Prepaid,
        pending: false,
        tendered_fen: None,
        paid_on: None,
    };
    let said = world.order_now(id, at, Order::RecordPayment(Box::new(payment)));
    assert_eq!(said.last().unwrap(), "outcome Done", "{said:?}");
}

fn balance(world: &World) -> i64 {
    world.block.ledger().prepaid_fen(&account(CARD)).0
}

#[test]
fn a_card_pays_as_far_as_it_reaches_and_never_in_part() {
    let mut world = world();
    top_up(&mut world, "top-1", "2026-03-10T07:00:00+08:00", 1_000);
    world.pass("in-1", PLATE, "2026-03-10T08:00:00+08:00");
    // What is told from memory is what is decided.
    let view = world.block.parking().unwrap();
    let asked = view.payment_status(
        &lane("out-1"),
        Some(&plate(PLATE)),
        None,
        t("2026-03-10T10:00:00+08:00"),
    );
    assert_eq!((asked.told, asked.reason, asked.amount_fen), (Told::Open, Reason::Card, Fen::ZERO));
    drop(view);
    let out = parking::passage("out-1", Some(PLATE), "2026-03-10T10:00:00+08:00");
    assert_eq!(
        shown(&world.feed(&Input::Passed(out))),
        ["parking passed left open", "bill a-card parking 2026-03-10..2026-03-11 8.00"]
    );
    assert_eq!(balance(&world), 200);
    assert_eq!(world.block.ledger().standing(&account(CARD)).owed_fen, Fen::ZERO);

    // 2.00 are left and 8.00 due: nothing is taken from the card.
    world.pass("in-1", PLATE, "2026-03-11T08:00:00+08:00");
    assert_eq!(
        world.pass("out-1", PLATE, "2026-03-11T10:00:00+08:00"),
        (Told::Pay, Reason::CardShort, 800)
    );
    assert_eq!(balance(&world), 200);
    // Topped up at the counter, the next look lets it go.
    top_up(&mut world, "top-2", "2026-03-11T10:01:00+08:00", 750);
    assert_eq!(
        world.pass("out-1", PLATE, "2026-03-11T10:02:00+08:00"),
        (Told::Open, Reason::Card, 0)
    );
    assert_eq!(balance(&world), 0);
    world.checked();
}

#[test]
fn who_pays_at_the_barrier_keeps_what_is_on_the_card() {
    let mut world = world();
    top_up(&mut world, "top-1", "2026-03-10T07:00:00+08:00", 300);
    world.pass("in-1", PLATE, "2026-03-10T08:00:00+08:00");
    world.pass("out-1", PLATE, "2026-03-10T10:00:00+08:00");
    let pay = PayStay {
        stay: world.stay(PLATE).unwrap(),
        amount_fen: Fen(800),
        channel: Channel::Wechat,
        reference: "w-1".into(),
        tendered_fen: None,
    };
    let said = world.order_now("p-1", "2026-03-10T10:00:20+08:00", Order::PayStay(Box::new(pay)));
    assert_eq!(said.last().unwrap(), "outcome Done", "{said:?}");
    assert_eq!((balance(&world), world.stay(PLATE)), (300, None));
    world.checked();
}

#[test]
fn another_cars_plate_that_looks_alike_takes_nothing_from_a_card() {
    let mut world = world();
    top_up(&mut world, "top-1", "2026-03-10T07:00:00+08:00", 10_000);
    world.pass("in-1", "粤B44A44", "2026-03-10T08:00:00+08:00");
    let (told, _, due) = world.pass("out-1", "粤B44A44", "2026-03-10T10:00:00+08:00");
    assert_eq!((told, due, balance(&world)), (Told::Pay, 800, 10_000));
    // The card's car, read otherwise at the entry: likely it, and not charged by a likeness.
    world.pass("in-1", "粤B4444A", "2026-03-11T08:00:00+08:00");
    world.pass("out-1", PLATE, "2026-03-11T10:00:00+08:00");
    assert_eq!(balance(&world), 10_000);
    world.checked();
}

#[test]
fn a_card_is_given_and_taken_by_command_and_needs_an_account() {
    let mut world = world();
    let grant = |terms: Permit| Order::GrantParking {
        permit: PermitId::new("card-2").unwrap(),
        terms: Box::new(terms),
    };
    let (at, own) = ("2026-03-10T07:00:00+08:00", "粤B77777");
    let of = |terms: Permit| Permit { plates: vec![plate(own)], ..terms };
    let without = Permit { account: None, ..of(card()) };
    let said = world.order_now("g-1", at, grant(without));
    assert_eq!(
        said,
        ["outcome Refused prepaid needs an account, whose prepaid money is on the card"]
    );
    let both = Permit { on_account: true, ..of(card()) };
    let said = world.order_now("g-2", at, grant(both));
    assert_eq!(said, ["outcome Refused a permit is prepaid or on_account, not both"]);
    let terms = Permit { account: Some(account("a-0101")), ..of(card()) };
    let said = world.order_now("g-3", at, grant(terms));
    assert_eq!(said.last().unwrap(), "outcome Done");
    assert!(world.block.is_card(&account("a-0101")));
    let revoke = Order::RevokeParking {
        permit: PermitId::new("card-2").unwrap(),
        reason: "handed back".into(),
    };
    world.order_now("r-1", at, revoke);
    assert!(!world.block.is_card(&account("a-0101")));
    world.checked();
}
