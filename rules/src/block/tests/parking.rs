//! Parking in the Block: who comes, who goes, what is due, who is never trapped.

use super::*;
use crate::input::{Command, Order, PayStay, SellPass};
use crate::ledger::Channel;
use crate::parking::event::{Parking, Reason, Told};
use crate::parking::setup::{Area, Lane, ParkingSetup, Permit, VehicleClass};
use crate::tariff::TariffFile;
use blockgate_types::{
    AreaId, CameraId, CommandId, LaneId, Passage, PermitId, Plate, PlateColour, PlateRead, StayId,
};

pub(super) fn plate(text: &str) -> Plate {
    Plate::new(text).unwrap()
}

pub(super) fn lane(text: &str) -> LaneId {
    LaneId::new(text).unwrap()
}

pub(super) fn account(text: &str) -> AccountId {
    AccountId::new(text).unwrap()
}

pub(super) fn permit(class: VehicleClass, plates: &[&str]) -> Permit {
    Permit {
        class,
        plates: plates.iter().map(|text| plate(text)).collect(),
        account: Some(account("a-0101")),
        on_account: false,
        prepaid: false,
        spaces: None,
        from: None,
        until: None,
        paid_fen: Fen::ZERO,
    }
}

pub(super) fn car_park() -> Setup {
    let file =
        TariffFile::read(include_str!("../../../tariffs/parking.toml"), "parking.toml").unwrap();
    let area = AreaId::new("p1").unwrap();
    let tariff: TariffId = "temporary".parse().unwrap();
    let area_setup = Area { label: text("p"), capacity: 5, within: None, tariff };
    let inwards = Lane { label: text("in"), from: None, to: Some(area.clone()), tickets: false };
    let outwards = Lane { label: text("out"), from: Some(area.clone()), to: None, tickets: false };
    let id = |text: &str| PermitId::new(text).unwrap();
    let monthly = Permit {
        until: Some(t("2026-03-20T00:00:00+08:00")),
        ..permit(VehicleClass::Monthly, &["粤B11111"])
    };
    let shared =
        Permit { spaces: Some(1), ..permit(VehicleClass::Monthly, &["粤B22221", "粤B22222"]) };
    let on_account = Permit { on_account: true, ..permit(VehicleClass::Temporary, &["粤B33333"]) };
    let parking = ParkingSetup {
        areas: [(area, area_setup)].into(),
        lanes: [(lane("in-1"), inwards), (lane("out-1"), outwards)].into(),
        tariffs: file.parking.into_iter().collect(),
        permits: [
            (id("monthly"), monthly),
            (id("shared"), shared),
            (id("on-account"), on_account),
            (id("vip"), permit(VehicleClass::Vip, &["京V08001"])),
            (id("blocked"), permit(VehicleClass::Blocked, &["沪X66666"])),
        ]
        .into(),
        account: account("car-park"),
        item: "parking".parse().unwrap(),
        duplicate_within: Span::from_secs(90),
        expired_grace: Span::from_days(3),
        retention: Span::from_days(30),
        statement_at: crate::parking::setup::half_past_five(),
    };
    let mut setup = small();
    for id in ["a-0101", "car-park"] {
        setup.accounts.entry(account(id)).or_default();
    }
    setup.parking = Some(Arc::new(parking));
    setup
}

fn world() -> World {
    let mut world = World::default();
    world.setup("2026-03-10T00:00:00+08:00", &car_park());
    world
}

pub(super) fn passage(lane_id: &str, text: Option<&str>, at: &str) -> Passage {
    Passage {
        camera: CameraId::new(&format!("c-{lane_id}")).unwrap(),
        lane: lane(lane_id),
        at: t(at),
        event: at.to_owned(),
        plate: text.map(|text| PlateRead {
            plate: plate(text),
            confidence: Some(98),
            colour: PlateColour::Blue,
        }),
        ticket: None,
        replayed: false,
    }
}

impl World {
    /// A vehicle at a lane: what the barrier is told, why, and what is due.
    pub(super) fn pass(&mut self, lane: &str, plate: &str, at: &str) -> (Told, Reason, i64) {
        let events = self.feed(&Input::Passed(passage(lane, Some(plate), at)));
        let told = events.iter().find_map(|event| {
            let Event::Parking(parking) = event else { return None };
            let Parking::Passed(passed) = &**parking else { return None };
            Some((passed.told, passed.reason, passed.due_fen.0))
        });
        told.unwrap_or_else(|| panic!("{events:?}"))
    }

    pub(super) fn order_now(&mut self, id: &str, at: &str, order: Order) -> Vec<String> {
        let now = t(at);
        let command = Command {
            id: CommandId::new(id).unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "clerk".into(),
            order,
        };
        shown(&self.feed(&Input::Command { now, clock: ClockState::Synced, command }))
    }

    pub(super) fn stay(&self, text: &str) -> Option<StayId> {
        let view = self.block.parking().unwrap();
        view.state.stay_of(&plate(text)).map(|(id, _)| id.clone())
    }

    pub(super) fn checked(self) {
        assert_eq!(self.replayed(), self.block, "state = fold(apply, journal)");
    }
}

#[test]
fn a_temporary_car_pays_by_the_board_and_has_its_grace() {
    let mut world = world();
    assert_eq!(
        world.pass("in-1", "粤A00001", "2026-03-10T09:00:00+08:00"),
        (Told::Open, Reason::Entry, 0)
    );
    // Asking changes nothing.
    let view = world.block.parking().unwrap();
    let asked = view.payment_status(
        &lane("out-1"),
        Some(&plate("粤A00001")),
        None,
        t("2026-03-10T09:30:00+08:00"),
    );
    assert_eq!((asked.told, asked.reason, asked.amount_fen.0), (Told::Open, Reason::FreeTime, 0));
    let asked = view.payment_status(
        &lane("out-1"),
        Some(&plate("粤A00001")),
        None,
        t("2026-03-10T10:31:00+08:00"),
    );
    assert_eq!((asked.told, asked.amount_fen.0), (Told::Pay, 800));
    assert_eq!(asked.display.zh, "请缴费 8.00 元");
    let stay = world.stay("粤A00001").unwrap();
    let pay = |fen, reference: &str| {
        Order::PayStay(Box::new(PayStay {
            stay: stay.clone(),
            amount_fen: Fen(fen),
            channel: Channel::Wechat,
            reference: reference.to_owned(),
            tendered_fen: None,
        }))
    };
    let said = world.order_now("p-1", "2026-03-10T10:31:00+08:00", pay(500, "w-1"));
    assert_eq!(said, ["outcome Refused another amount is due now: ask payment-status again"]);
    let said = world.order_now("p-2", "2026-03-10T10:31:00+08:00", pay(800, "w-2"));
    assert_eq!(
        said,
        [
            "audit command-accepted",
            "bill car-park parking 2026-03-10..2026-03-11 8.00",
            "payment car-park paid",
            "parking paid",
            "outcome Done"
        ]
    );
    // Twice is refused: nothing is due any more.
    let said = world.order_now("p-3", "2026-03-10T10:32:00+08:00", pay(800, "w-3"));
    assert_eq!(said, ["outcome Refused nothing is due for this stay now"]);
    assert_eq!(
        world.pass("out-1", "粤A00001", "2026-03-10T10:46:00+08:00"),
        (Told::Open, Reason::Paid, 0)
    );
    assert_eq!(world.stay("粤A00001"), None);
    assert_eq!(world.block.ledger().standing(&account("car-park")).owed_fen, Fen::ZERO);
    world.checked();
}

#[test]
fn the_grace_after_a_payment_is_exceeded_by_the_difference_alone() {
    let mut world = world();
    world.pass("in-1", "粤A00001", "2026-03-10T09:00:00+08:00");
    let stay = world.stay("粤A00001").unwrap();
    let order = PayStay {
        stay,
        amount_fen: Fen(500),
        channel: Channel::Alipay,
        reference: "x".into(),
        tendered_fen: None,
    };
    world.order_now("p-1", "2026-03-10T09:50:00+08:00", Order::PayStay(Box::new(order)));
    // 10:05 is the end of the grace; at 10:06 the stay costs 6.50, 5.00 were paid.
    assert_eq!(
        world.pass("out-1", "粤A00001", "2026-03-10T10:06:00+08:00"),
        (Told::Pay, Reason::GraceExceeded, 150)
    );
    world.checked();
}

#[test]
fn what_was_paid_before_a_block_went_on_into_a_cheaper_time_is_kept_and_the_way_out_is_free() {
    let mut setup = car_park();
    let parking = setup.parking.as_mut().map(Arc::make_mut).unwrap();
    for area in parking.areas.values_mut() {
        area.tariff = "temporary-carried".parse().unwrap();
    }
    let mut world = World::default();
    world.setup("2026-03-10T00:00:00+08:00", &setup);
    world.pass("in-1", "粤A00001", "2026-03-10T19:30:00+08:00");
    let stay = world.stay("粤A00001").unwrap();
    let order = PayStay {
        stay,
        amount_fen: Fen(400),
        channel: Channel::Alipay,
        reference: "x".into(),
        tendered_fen: None,
    };
    world.order_now("p-1", "2026-03-10T19:50:00+08:00", Order::PayStay(Box::new(order)));
    // The grace ended at 20:05. At 20:06 the block is the night's, 1.50, and 4.00 were paid.
    let (told, _, due) = world.pass("out-1", "粤A00001", "2026-03-10T20:06:00+08:00");
    assert_eq!((told, due), (Told::Open, 0));
    world.checked();
}

#[test]
fn a_resident_whose_month_ran_out_is_never_trapped() {
    let mut world = world();
    world.pass("in-1", "粤B11111", "2026-03-19T20:00:00+08:00");
    // Two days after the end: within the grace.
    let (told, reason, _) = world.pass("out-1", "粤B11111", "2026-03-22T08:00:00+08:00");
    assert_eq!((told, reason), (Told::Open, Reason::ExpiredInGrace));
    world.pass("in-1", "粤B11111", "2026-03-22T20:00:00+08:00");
    // Long after it: the time since the grace is due, the way out is open, the debt is on the list.
    let (told, reason, _) = world.pass("out-1", "粤B11111", "2026-03-25T08:00:00+08:00");
    assert_eq!((told, reason), (Told::Open, Reason::Expired));
    let view = world.block.parking().unwrap();
    let open: Vec<_> = view.state.unresolved().values().collect();
    assert_eq!(open.len(), 1);
    assert!(open[0].unpaid_fen > Fen::ZERO);
    // Whoever comes without a pass pays as everybody.
    let (told, reason, _) = world.pass("in-1", "粤B11111", "2026-03-26T08:00:00+08:00");
    assert_eq!((told, reason), (Told::Open, Reason::Expired));
    let (told, _, due) = world.pass("out-1", "粤B11111", "2026-03-26T10:00:00+08:00");
    assert_eq!((told, due), (Told::Pay, 800));
    world.checked();
}

#[test]
fn the_second_car_of_a_shared_space_pays_as_a_temporary_one() {
    let mut world = world();
    world.pass("in-1", "粤B22221", "2026-03-10T08:00:00+08:00");
    world.pass("in-1", "粤B22222", "2026-03-10T08:10:00+08:00");
    let (told, _, due) = world.pass("out-1", "粤B22222", "2026-03-10T10:10:00+08:00");
    assert_eq!((told, due), (Told::Pay, 800));
    let (told, reason, _) = world.pass("out-1", "粤B22221", "2026-03-10T10:11:00+08:00");
    assert_eq!((told, reason), (Told::Open, Reason::Permit));
    world.checked();
}

#[test]
fn a_household_pays_later_only_for_its_own_plate() {
    let mut world = world();
    world.pass("in-1", "粤B33333", "2026-03-10T08:00:00+08:00");
    let events =
        world.feed(&Input::Passed(passage("out-1", Some("粤B33333"), "2026-03-10T10:00:00+08:00")));
    assert_eq!(
        shown(&events),
        ["parking passed left open", "bill a-0101 parking 2026-03-10..2026-03-11 8.00"]
    );
    assert_eq!(world.block.ledger().standing(&account("a-0101")).owed_fen, Fen(800));
    // A stranger whose plate looks alike, and who came: he pays himself.
    world.pass("in-1", "粤B33338", "2026-03-11T08:00:00+08:00");
    let (told, _, due) = world.pass("out-1", "粤B33338", "2026-03-11T10:00:00+08:00");
    assert_eq!((told, due), (Told::Pay, 800));
    assert_eq!(world.block.ledger().standing(&account("a-0101")).owed_fen, Fen(800));
    world.checked();
}

#[test]
fn a_misread_resident_goes_out_and_is_charged_nothing() {
    for (read_in, read_out) in [
        ("京V08001", "京V0800I"),
        ("京VO8001", "京V08001"),
        ("京VO8001", "京V08O01"),
        ("京VO8001", "京VO8001"),
    ] {
        let mut world = world();
        world.pass("in-1", read_in, "2026-03-10T08:00:00+08:00");
        let (told, _, due) = world.pass("out-1", read_out, "2026-03-11T10:00:00+08:00");
        assert_eq!((told, due), (Told::Open, 0), "{read_in} {read_out}");
        assert!(world.block.parking().unwrap().state.stays().is_empty(), "{read_in} {read_out}");
        world.checked();
    }
}

#[test]
fn who_was_not_seen_coming_is_asked_for_and_residents_go() {
    let mut world = world();
    world.pass("in-1", "粤A00001", "2026-03-10T08:00:00+08:00");
    let (told, reason, _) = world.pass("out-1", "沪C99999", "2026-03-10T09:00:00+08:00");
    assert_eq!((told, reason), (Told::Ask, Reason::NoEntry));
    let (told, _, _) = world.pass("out-1", "京V08001", "2026-03-10T09:05:00+08:00");
    assert_eq!(told, Told::Open);
    // One character otherwise, and not alike: proposed, not taken.
    let (told, _, _) = world.pass("out-1", "粤A00009", "2026-03-10T09:10:00+08:00");
    assert_eq!(told, Told::Ask);
    let view = world.block.parking().unwrap();
    assert_eq!(view.state.unresolved().len(), 3);
    let proposed = view.state.unresolved().values().filter(|entry| !entry.proposals.is_empty());
    assert_eq!(proposed.count(), 1);
    world.checked();
}

#[test]
fn retransmissions_and_second_frames_are_one_passage() {
    let mut world = world();
    let first = passage("in-1", Some("粤A00001"), "2026-03-10T08:00:00+08:00");
    assert_eq!(world.feed(&Input::Passed(first.clone())).len(), 1);
    assert_eq!(world.feed(&Input::Passed(first.clone())).len(), 0);
    let second =
        Passage { event: "other".into(), at: first.at.plus(Span::from_secs(5)), ..first.clone() };
    assert_eq!(world.feed(&Input::Passed(second)).len(), 0);
    let offline = Passage { replayed: true, ..first };
    assert_eq!(world.feed(&Input::Passed(offline)).len(), 0);
    assert_eq!(world.block.parking().unwrap().state.stays().len(), 1);
    // Without an exit in between, a later entry ends the old stay without a charge, and says so.
    world.pass("in-1", "粤A00001", "2026-03-12T08:00:00+08:00");
    let view = world.block.parking().unwrap();
    assert_eq!((view.state.stays().len(), view.state.unresolved().len()), (1, 1));
    world.checked();
}

#[test]
fn the_blocked_and_the_one_too_many_stay_outside() {
    let mut world = world();
    assert_eq!(world.pass("in-1", "沪X66666", "2026-03-10T08:00:00+08:00").0, Told::Deny);
    for n in 0..5 {
        world.pass("in-1", &format!("粤A0000{n}"), &format!("2026-03-10T08:1{n}:00+08:00"));
    }
    assert_eq!(world.pass("in-1", "粤A00009", "2026-03-10T08:20:00+08:00").1, Reason::Full);
    // A resident's space is his own.
    assert_eq!(world.pass("in-1", "京V08001", "2026-03-10T08:21:00+08:00").0, Told::Open);
    world.checked();
}

#[test]
fn a_pass_is_sold_renewed_and_its_rest_given_back() {
    let mut world = world();
    let sell = |from: &str, months| {
        Order::SellPass(Box::new(SellPass {
            permit: PermitId::new("pass-1").unwrap(),
            plates: vec![plate("粤C10001")],
            account: account("a-0101"),
            from: from.to_owned(),
            months,
            price_fen: Fen(30_000),
            spaces: Some(1),
        }))
    };
    let said = world.order_now("s-1", "2026-03-10T08:00:00+08:00", sell("2026-03-10", 1));
    assert!(
        said.contains(&"bill a-0101 parking 2026-03-10..2026-04-10 300.00".to_owned()),
        "{said:?}"
    );
    let said = world.order_now("s-2", "2026-03-11T08:00:00+08:00", sell("2026-03-20", 1));
    assert!(said[0].starts_with("outcome Refused"), "{said:?}");
    let said = world.order_now("s-3", "2026-03-11T08:00:00+08:00", sell("2026-04-10", 2));
    assert!(
        said.contains(&"bill a-0101 parking 2026-04-10..2026-06-10 600.00".to_owned()),
        "{said:?}"
    );
    // 92 days from 10 March to 10 June; given back on 9 April: 61 are unused.
    let revoke = Order::RevokeParking {
        permit: PermitId::new("pass-1").unwrap(),
        reason: "moved out".into(),
    };
    let said = world.order_now("s-4", "2026-04-09T12:00:00+08:00", revoke);
    assert!(
        said.contains(&"bill a-0101 parking 2026-04-10..2026-06-10 -596.74".to_owned()),
        "{said:?}"
    );
    world.checked();
}

#[test]
fn a_visitor_parks_free_for_his_time_and_pays_for_more() {
    let mut world = world();
    let terms = Permit {
        from: Some(t("2026-03-10T08:00:00+08:00")),
        until: Some(t("2026-03-10T12:00:00+08:00")),
        ..permit(VehicleClass::Visitor, &["粤D55555"])
    };
    let grant =
        Order::GrantParking { permit: PermitId::new("v-1").unwrap(), terms: Box::new(terms) };
    assert_eq!(
        world.order_now("g-1", "2026-03-10T08:00:00+08:00", grant).last().unwrap(),
        "outcome Done"
    );
    world.pass("in-1", "粤D55555", "2026-03-10T09:00:00+08:00");
    let view = world.block.parking().unwrap();
    let ask = |at: &str| view.payment_status(&lane("out-1"), Some(&plate("粤D55555")), None, t(at));
    assert_eq!(ask("2026-03-10T11:59:00+08:00").told, Told::Open);
    let over = ask("2026-03-10T13:10:00+08:00");
    assert_eq!((over.told, over.amount_fen.0), (Told::Pay, 650));
    world.checked();
}

#[test]
fn merchants_minutes_and_coupons_come_off() {
    let mut world = world();
    world.pass("in-1", "粤A00001", "2026-03-10T09:00:00+08:00");
    let stay = world.stay("粤A00001").unwrap();
    let off = |minutes, fen| Order::DiscountStay {
        stay: stay.clone(),
        minutes,
        amount_fen: Fen(fen),
        by: "shop-7".into(),
    };
    world.order_now("d-1", "2026-03-10T10:00:00+08:00", off(60, 0));
    let view = world.block.parking().unwrap();
    let ask = |view: &crate::parking::ParkingView, at: &str| {
        view.payment_status(&lane("out-1"), Some(&plate("粤A00001")), None, t(at)).amount_fen.0
    };
    assert_eq!(ask(&view, "2026-03-10T10:25:00+08:00"), 0, "25 minutes are free");
    assert_eq!(ask(&view, "2026-03-10T11:00:00+08:00"), 500);
    world.order_now("d-2", "2026-03-10T10:30:00+08:00", off(0, 300));
    let view = world.block.parking().unwrap();
    assert_eq!(ask(&view, "2026-03-10T11:00:00+08:00"), 200);
    world.checked();
}

#[test]
fn paying_in_parts_costs_what_paying_once_costs() {
    for first in [35, 50, 61, 75, 90] {
        for then in [20, 31, 60, 200, 1_500] {
            let mut world = world();
            world.pass("in-1", "粤A00001", "2026-03-10T09:00:00+08:00");
            let entered = t("2026-03-10T09:00:00+08:00");
            let paid_at = entered.plus(Span::from_mins(first));
            let exit = paid_at.plus(Span::from_mins(then));
            let view = world.block.parking().unwrap();
            let status = |view: &crate::parking::ParkingView, at| {
                view.payment_status(&lane("out-1"), Some(&plate("粤A00001")), None, at).amount_fen
            };
            let once = status(&view, exit);
            let part = status(&view, paid_at);
            let order = PayStay {
                stay: world.stay("粤A00001").unwrap(),
                amount_fen: part,
                channel: Channel::Cash,
                reference: String::new(),
                tendered_fen: None,
            };
            let now = paid_at;
            let command = Command {
                id: CommandId::new("p").unwrap(),
                issued_at: now,
                expires_at: now.plus(Span::from_mins(1)),
                actor: "clerk".into(),
                order: Order::PayStay(Box::new(order)),
            };
            world.feed(&Input::Command { now, clock: ClockState::Synced, command });
            let rest = status(&world.block.parking().unwrap(), exit);
            assert_eq!(part.plus(rest).unwrap(), once, "{first} + {then}");
        }
    }
}

#[test]
fn plates_are_forgotten_after_their_time() {
    let mut world = world();
    world.pass("in-1", "粤A00001", "2026-03-10T09:00:00+08:00");
    world.pass("out-1", "粤A00001", "2026-03-10T09:10:00+08:00");
    world.pass("out-1", "沪C99999", "2026-03-10T09:20:00+08:00");
    let kept =
        |world: &World| serde_json::to_string(&*world.block.parking().unwrap().state).unwrap();
    assert!(kept(&world).contains("粤A00001") && kept(&world).contains("沪C99999"));
    world.pass("in-1", "粤A00002", "2026-04-10T09:00:00+08:00");
    assert!(!kept(&world).contains("粤A00001") && !kept(&world).contains("沪C99999"));
    world.checked();
}

#[test]
fn a_plate_that_never_leaves_is_told_and_one_with_a_permit_is_not() {
    let mut setup = car_park();
    setup.anomalies = crate::anomaly::parse::shipped();
    let mut world = World::default();
    world.setup("2026-03-10T00:00:00+08:00", &setup);
    world.pass("in-1", "粤B99999", "2026-03-10T08:00:00+08:00");
    world.pass("in-1", "京V08001", "2026-03-10T08:05:00+08:00");
    let long = |events: &[Event]| -> Vec<(crate::event::AlarmChange, String)> {
        let alarms = events.iter().filter_map(|event| {
            let Event::Alarm(alarm) = event else { return None };
            let is_long = alarm.code == crate::event::AlarmCode::LongStay;
            is_long.then(|| (alarm.change, alarm.subject.clone()))
        });
        alarms.collect()
    };
    assert_eq!(long(&world.tick("2026-04-08T08:00:00+08:00")), []);
    let told = long(&world.tick("2026-04-09T08:00:00+08:00"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.starts_with("stay/") && !told[0].1.contains("99999"), "no plate: {told:?}");
}
