//! Late fees: billed with each close, put right by what turns out later.

use super::correcting::{bills, correction};
use super::*;
use crate::correction::{Correction, What};
use crate::event::{Basis, Bill};
use crate::input::{Command, Order, RecordPayment};
use crate::late::{DaysFrom, LateRight, LateRounding, LateTerms, LateWhy};
use crate::ledger::{Channel, Fund, Toward};
use crate::settlement::MoveOut;
use crate::setup::Dunning;

fn account() -> AccountId {
    AccountId::new("a-1").unwrap()
}

fn fee() -> ItemId {
    ItemId::new("late-fee").unwrap()
}

/// 0.05 % a day, once five days of grace are over; at most 30 %.
fn terms() -> LateTerms {
    LateTerms {
        item: fee(),
        label: Text { zh: "违约金".into(), en: "Late fee".into() },
        percent_per_day: d("0.05"),
        grace_days: 5,
        days_from: DaysFrom::Due,
        cap_percent: d("30"),
        rounding: LateRounding::HalfUp,
    }
}

fn block(terms: Option<LateTerms>) -> Setup {
    let mut setup = small();
    setup.dunning = Some(Dunning { due_days: 15, remind_days: 0, hour: 23 });
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.retain(|item, _| item.as_str() == "property");
    let area = setup.tariffs.get_mut(&TariffId::new("area").unwrap()).unwrap();
    area.revisions[0].late_fee = terms.map(Box::new);
    setup
}

/// March's property fee, 188.01, is billed on 1 April and due on 16 April.
fn billed(terms: Option<LateTerms>) -> World {
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &block(terms));
    world.tick("2026-03-01T00:00:01+08:00");
    world.tick("2026-04-01T00:00:01+08:00");
    world
}

fn feed(world: &mut World, at: &str, id: &str, order: Order) -> Vec<String> {
    let now = t(at);
    let said = world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: CommandId::new(id).unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "desk".into(),
            order,
        },
    });
    assert_eq!(world.replayed(), world.block);
    shown(&said)
}

fn pay(world: &mut World, at: &str, id: &str, fen: i64, paid_on: Option<&str>) -> Vec<String> {
    let order = Order::RecordPayment(Box::new(RecordPayment {
        account: account(),
        amount_fen: Fen(fen),
        channel: Channel::BankTransfer,
        reference: String::new(),
        payer: None,
        toward: Toward::Bills { items: vec![ItemId::new("property").unwrap()] },
        pending: false,
        tendered_fen: None,
        paid_on: paid_on.map(|day| crate::calendar::parse_day(day).unwrap()),
    }));
    feed(world, at, id, order)
}

/// The bills among the events of a month's close, sorted.
fn close(world: &mut World, first: &str) -> Vec<String> {
    let mut said = shown(&world.tick(&format!("{first}T00:00:01+08:00")));
    said.retain(|line| line.starts_with("bill"));
    said.sort();
    assert_eq!(world.replayed(), world.block);
    said
}

fn fees(world: &World) -> Vec<Bill> {
    bills(world).into_iter().filter(|bill| bill.late_fee.is_some()).collect()
}

/// Orders a correction and hands in every bill, as the gateway does.
fn correct(world: &mut World, at: &str, id: &str, what: What) -> Vec<String> {
    let correction = Box::new(Correction { since: "2026-03-01".into(), ..correction(what) });
    let mut said = feed(world, at, id, Order::Correct(correction.clone()));
    let issued = bills(world);
    let (now, id) = (t(at), CommandId::new(id).unwrap());
    let more = world.feed(&Input::Correct { now, id, correction, issued });
    assert_eq!(world.replayed(), world.block);
    said.extend(shown(&more));
    said.retain(|line| !line.starts_with("audit") && !line.starts_with("notice"));
    said
}

fn smaller_flat() -> What {
    let basis = Basis { area_m2: Some(d("59.53")), ..Basis::default() };
    What::Basis { account: account(), basis }
}

#[test]
fn without_a_rule_there_is_no_late_fee_however_long_nothing_is_paid() {
    let mut world = billed(None);
    for month in 5..=12 {
        close(&mut world, &format!("2026-{month:02}-01"));
    }
    assert!(bills(&world).iter().all(|bill| bill.item.as_str() == "property"));
    assert_eq!(world.block.ledger().late().count(), 0);
}

#[test]
fn each_close_bills_the_days_since_the_last_one_under_an_item_of_its_own() {
    let mut world = billed(Some(terms()));
    let said = shown(&world.tick("2026-05-01T00:00:01+08:00"));
    assert_eq!(
        said[..3],
        [
            "bill a-1 late-fee 2026-04-17..2026-05-01 1.32", // 14 days of 0.094005
            "bill a-1 property 2026-04-01..2026-05-01 188.01",
            "closed 2 189.33",
        ]
    );
    assert_eq!(
        close(&mut world, "2026-06-01"),
        [
            "bill a-1 late-fee 2026-05-01..2026-06-01 2.91", // 45 days: 4.23
            "bill a-1 late-fee 2026-05-17..2026-06-01 1.41",
            "bill a-1 property 2026-05-01..2026-06-01 188.01",
        ]
    );
    let ledger = world.block.ledger();
    assert_eq!(ledger.income(&fee()), Fen(132 + 291 + 141));
    assert_eq!(ledger.income(&ItemId::new("property").unwrap()), Fen(3 * 18_801));
    // The fee bears none itself: its due day passes, and it is in arrears like everything else.
    let late: Vec<_> = ledger.late().map(|(_, _, late)| late.item.to_string()).collect();
    assert_eq!(late, ["property"; 3]);
    let arrears = ledger.overdue(crate::calendar::parse_day("2026-06-01").unwrap());
    assert_eq!(arrears[0].by_item[&fee()], Fen(132));
}

#[test]
fn the_bill_of_a_fee_explains_itself_and_its_bytes_are_a_contract() {
    let mut world = billed(Some(terms()));
    world.tick("2026-05-01T00:00:01+08:00");
    close(&mut world, "2026-06-01");
    let of = bills(&world)[0].bill.clone();
    let second = fees(&world).into_iter().rfind(|b| b.late_fee.as_ref().unwrap().of == of).unwrap();
    let json = serde_json::to_value(&second).unwrap();
    assert_eq!(
        json["lines"][0]["label"]["en"],
        "Late fee, due 2026-04-16, 188.01 yuan unpaid, 0.05% a day, 2026-04-17 to 2026-05-31"
    );
    assert_eq!(json["lines"][0]["quantity"], "45");
    assert_eq!(
        (&json["lines"][0]["unit"], &json["lines"][0]["unit_price"]),
        (&"day".into(), &"0.094005".into())
    );
    assert_eq!(
        (&json["lines"][0]["exact"], &json["lines"][0]["amount_fen"]),
        (&"4.230225".into(), &423.into())
    );
    assert_eq!(json["lines"][1]["amount_fen"], -132);
    assert_eq!(
        json["late_fee"],
        serde_json::json!({
            "of": of, "why": { "by": "close" },
            "state": {
                "item": "property", "tariff": "area", "tariff_revision": second.tariff_revision,
                "currency": "CNY", "first": of, "principal_fen": 18_801, "due": "2026-04-16",
                "terms": {
                    "item": "late-fee", "label": { "zh": "违约金", "en": "Late fee" },
                    "percent_per_day": "0.05", "grace_days": 5, "days_from": "due",
                    "cap_percent": "30", "rounding": "half_up",
                },
                "steps": [{ "from": "2026-04-17", "left_fen": 18_801 }],
                "billed_fen": 423, "billed_to": "2026-06-01", "bills": 2,
            },
        })
    );
    let first = serde_json::to_value(&bills(&world)[0]).unwrap();
    assert_eq!(first["late"]["percent_per_day"], "0.05", "the household knows it from the bill");
}

#[test]
fn it_ends_at_its_cap() {
    let mut world = billed(Some(LateTerms { cap_percent: d("2"), ..terms() }));
    let of = bills(&world)[0].bill.clone();
    for month in 5..=9 {
        close(&mut world, &format!("2026-{month:02}-01"));
    }
    let fees = fees(&world);
    let of_march = || fees.iter().filter(|bill| bill.late_fee.as_ref().unwrap().of == of);
    assert_eq!(of_march().map(|bill| bill.total_fen.0).sum::<i64>(), 376); // of 3.7602
    assert_eq!(of_march().count(), 2, "there is nothing more to bill");
    let last = of_march().next_back().unwrap();
    assert!(last.lines.iter().any(|line| line.label.en == "cap: 2% of the bill's 188.01 yuan"));
}

#[test]
fn who_pays_within_the_grace_pays_none_and_who_pays_later_until_that_day() {
    let mut world = billed(Some(terms()));
    pay(&mut world, "2026-04-21T20:00:00+08:00", "p-1", 18_801, None);
    assert_eq!(world.block.ledger().late().count(), 0, "nothing is to be counted any more");
    assert_eq!(close(&mut world, "2026-05-01").len(), 1);

    let mut world = billed(Some(terms()));
    pay(&mut world, "2026-04-20T20:00:00+08:00", "p-1", 8_801, None);
    pay(&mut world, "2026-04-22T20:00:00+08:00", "p-2", 10_000, None);
    // Six days of 100.00: what was paid within the grace cost nothing.
    assert_eq!(close(&mut world, "2026-05-01")[0], "bill a-1 late-fee 2026-04-17..2026-05-01 0.30");
    assert!(!close(&mut world, "2026-06-01").iter().any(|line| line.contains("..2026-05-01")));
}

#[test]
fn a_payment_that_was_made_before_it_was_booked_puts_the_fee_right_at_once() {
    let mut world = billed(Some(terms()));
    close(&mut world, "2026-05-01");
    let at = "2026-05-04T10:00:00+08:00";
    let refused = pay(&mut world, at, "p-0", 18_801, Some("2026-05-05"));
    assert_eq!(refused, ["outcome Refused paid_on has not come yet"]);
    let refused = pay(&mut world, at, "p-00", 18_801, Some("2025-05-01"));
    assert_eq!(refused, ["outcome Refused paid_on lies more than a year back"]);
    // The bank had it on 26 April: ten days, 0.94 instead of 1.32.
    let said = pay(&mut world, at, "p-1", 18_801, Some("2026-04-26"));
    assert_eq!(
        said,
        [
            "audit command-accepted",
            "payment a-1 paid",
            "bill a-1 late-fee 2026-04-17..2026-05-01 -0.38",
            "outcome Done",
        ]
    );
    let last = fees(&world).pop().unwrap();
    let payment = CommandId::new("p-1").unwrap();
    assert_eq!(last.late_fee.unwrap().why, LateWhy::Payment { payment });
    assert_eq!(world.block.ledger().income(&fee()), Fen(94));
    assert!(!close(&mut world, "2026-06-01").iter().any(|line| line.contains("04-17")));
    // The month's sums have the month's bills alone.
    let closed = shown(&world.journal).into_iter().rfind(|line| line.starts_with("closed"));
    assert_eq!(closed.as_deref(), Some("closed 2 189.42"));
}

#[test]
fn a_bill_that_was_too_high_gives_back_its_late_fee_paid_or_not() {
    // Not paid: 30 m² too many, 63.00 of 188.01.
    let mut world = billed(Some(terms()));
    close(&mut world, "2026-05-01");
    let said = correct(&mut world, "2026-05-03T10:00:00+08:00", "c-1", smaller_flat());
    let fee_line = "bill a-1 late-fee 2026-04-17..2026-05-01 -0.44"; // 14 days of 125.01: 0.88
    assert!(said.iter().any(|line| line == fee_line), "{said:?}");
    assert!(said.last().unwrap().starts_with("outcome Done 3 differences, -126."), "{said:?}");
    let again = correct(&mut world, "2026-05-03T11:00:00+08:00", "c-2", smaller_flat());
    assert_eq!(again, ["outcome Done 0 differences, 0.00"]);
    // From then on it counts on what is right: 45 days of 125.01, 2.81, less 0.88.
    let later = close(&mut world, "2026-06-01");
    assert!(
        later.contains(&"bill a-1 late-fee 2026-05-01..2026-06-01 1.93".to_owned()),
        "{later:?}"
    );

    // Paid, billed and forgotten: the fee's own bill says what is needed.
    let mut world = billed(Some(terms()));
    pay(&mut world, "2026-04-30T10:00:00+08:00", "p-1", 18_801, None);
    close(&mut world, "2026-05-01");
    let march = bills(&world)[0].bill.clone();
    assert!(world.block.ledger().late().all(|(_, of, _)| *of != march));
    let said = correct(&mut world, "2026-05-03T10:00:00+08:00", "c-1", smaller_flat());
    assert!(said.iter().any(|line| line == fee_line), "{said:?}");
    let why = fees(&world).pop().unwrap().late_fee.unwrap().why;
    assert!(matches!(why, LateWhy::Correction { ground, .. } if ground.reason == "misread"));
    let again = correct(&mut world, "2026-05-03T11:00:00+08:00", "c-2", smaller_flat());
    assert_eq!(again, ["outcome Done 0 differences, 0.00"]);
}

#[test]
fn a_correction_that_goes_up_has_a_due_day_and_a_late_fee_of_its_own() {
    let mut world = billed(Some(terms()));
    let march = bills(&world)[0].bill.clone();
    let larger = Basis { area_m2: Some(d("99.53")), ..Basis::default() };
    let what = What::Basis { account: account(), basis: larger };
    // 21.00 more, billed on 20 April, due on 5 May; taken back on 10 June.
    correct(&mut world, "2026-04-20T10:00:00+08:00", "c-1", what);
    let more = bills(&world).pop().unwrap();
    assert_eq!((more.total_fen, more.due.unwrap().to_string()), (Fen(2_100), "2026-05-05".into()));
    close(&mut world, "2026-05-01");
    close(&mut world, "2026-06-01");
    let of = |world: &World, id: &BillId| -> i64 {
        let fees = fees(world).into_iter().filter(|b| b.late_fee.as_ref().unwrap().of == *id);
        fees.map(|bill| bill.total_fen.0).sum()
    };
    assert_eq!((of(&world, &march), of(&world, &more.bill)), (423, 27)); // 26 days of 21.00
    let basis = Basis { area_m2: Some(d("89.53")), ..Basis::default() };
    let what = What::Basis { account: account(), basis };
    correct(&mut world, "2026-06-10T10:00:00+08:00", "c-2", what);
    assert_eq!((of(&world, &march), of(&world, &more.bill)), (423, 0), "the supplement's alone");
}

#[test]
fn a_fee_is_waived_with_a_reason_once_and_for_good() {
    let mut world = billed(Some(terms()));
    close(&mut world, "2026-05-01");
    let march = bills(&world)[0].bill.clone();
    let waived = What::LateFee { bill: march, right: LateRight::Waived };
    let said = correct(&mut world, "2026-05-03T10:00:00+08:00", "c-1", waived.clone());
    assert_eq!(
        said,
        ["bill a-1 late-fee 2026-04-17..2026-05-01 -1.32", "outcome Done 1 differences, -1.32"]
    );
    let again = correct(&mut world, "2026-05-03T11:00:00+08:00", "c-2", waived);
    assert_eq!(again, ["outcome Done 0 differences, 0.00"]);
    assert!(
        !close(&mut world, "2026-06-01").iter().any(|line| line.contains("05-01..2026-06-01 2."))
    );
    // Before anything of it was billed it is written down all the same.
    let april = bills(&world).into_iter().find(|b| b.period.from == "2026-05-01").unwrap().bill;
    let what = What::LateFee { bill: april.clone(), right: LateRight::Waived };
    let said = correct(&mut world, "2026-06-03T11:00:00+08:00", "c-3", what);
    assert!(said[0].ends_with(" 0.00"), "{said:?}");
    close(&mut world, "2026-07-01");
    let of = |bill: &Bill| bill.late_fee.as_ref().unwrap().of == april;
    assert_eq!(fees(&world).iter().filter(|bill| of(bill)).count(), 1);
    // A bill that bears none.
    let unknown = What::LateFee { bill: BillId::new("bill-x").unwrap(), right: LateRight::Waived };
    let said = correct(&mut world, "2026-07-03T11:00:00+08:00", "c-4", unknown);
    assert_eq!(said, ["outcome Refused no late fee is counted for this bill"]);
}

#[test]
fn a_fee_is_counted_to_the_day_on_which_the_bill_was_paid_in_fact() {
    let mut world = billed(Some(terms()));
    let march = bills(&world)[0].bill.clone();
    let paid_on = |day: &str| What::LateFee {
        bill: march.clone(),
        right: LateRight::PaidOn { day: day.to_owned() },
    };
    let at = "2026-05-03T10:00:00+08:00";
    let said = correct(&mut world, at, "c-0", paid_on("2026-04-25"));
    assert_eq!(said, ["outcome Refused the bill is not paid: record its payment with paid_on"]);
    pay(&mut world, "2026-04-30T10:00:00+08:00", "p-1", 18_801, None);
    close(&mut world, "2026-05-01");
    // 9 days instead of 14.
    let said = correct(&mut world, at, "c-1", paid_on("2026-04-25"));
    assert_eq!(said[0], "bill a-1 late-fee 2026-04-17..2026-05-01 -0.47");
    let again = correct(&mut world, at, "c-2", paid_on("2026-04-25"));
    assert_eq!(again, ["outcome Done 0 differences, 0.00"]);
    let said = correct(&mut world, at, "c-3", paid_on("2026-04-18"));
    assert_eq!(said[0], "bill a-1 late-fee 2026-04-17..2026-05-01 -0.85", "within the grace");
    let said = correct(&mut world, at, "c-4", paid_on("2026-06-18"));
    assert_eq!(said, ["outcome Refused the day has not come yet"]);
}

#[test]
fn who_moves_out_is_settled_with_the_late_fee_of_that_day() {
    let mut world = billed(Some(terms()));
    let order = Order::MoveOut(Box::new(MoveOut {
        account: account(),
        until: "2026-04-26".into(),
        inspection: String::new(),
        damages: vec![],
        deduct: false,
        channel: None,
    }));
    let said = feed(&mut world, "2026-04-26T10:00:00+08:00", "m-1", order);
    assert!(said.contains(&"bill a-1 late-fee 2026-04-17..2026-04-27 0.94".to_owned()), "{said:?}");
    pay(&mut world, "2026-04-26T11:00:00+08:00", "p-1", 100_000, None);
    let closed = close(&mut world, "2026-05-01");
    // When it was paid stands on a last bill of the fee.
    assert_eq!(closed[0], "bill a-1 late-fee 2026-04-17..2026-05-01 0.00");
    assert_eq!(world.block.ledger().late().count(), 0);
}

#[test]
fn a_fund_gets_its_bills_and_never_their_late_fees() {
    let mut setup = block(Some(terms()));
    let area = setup.tariffs.get_mut(&TariffId::new("area").unwrap()).unwrap();
    area.fund = Some(Fund::Maintenance);
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    for at in ["2026-03-01", "2026-04-01", "2026-05-01"] {
        world.tick(&format!("{at}T00:00:01+08:00"));
    }
    assert_eq!(world.block.ledger().fund(Fund::Maintenance), Fen(2 * 18_801));
    assert_eq!(world.block.ledger().income(&fee()), Fen(132));
}

#[test]
fn a_later_rule_changes_nothing_for_what_was_billed_before() {
    let mut world = billed(Some(terms()));
    world.setup("2026-04-05T00:00:00+08:00", &block(None));
    assert_eq!(close(&mut world, "2026-05-01")[0], "bill a-1 late-fee 2026-04-17..2026-05-01 1.32");
    let dearer = LateTerms { percent_per_day: d("1"), ..terms() };
    world.setup("2026-05-02T00:00:00+08:00", &block(Some(dearer)));
    // April was billed while there was no rule.
    let closed = close(&mut world, "2026-06-01");
    assert_eq!(closed[0], "bill a-1 late-fee 2026-05-01..2026-06-01 2.91");
    assert_eq!(closed.len(), 2, "{closed:?}");
}

// invariant 12
#[test]
fn a_clock_that_is_not_set_counts_no_late_fee() {
    let mut world = billed(Some(terms()));
    let now = t("2026-05-01T00:00:01+08:00");
    let said = world.feed(&Input::Tick { now, clock: ClockState::Unsynced });
    assert!(said.iter().all(|event| !matches!(event, Event::Bill(_))));
    // Set back by three weeks, a payment is taken to be made then: never to the household's harm.
    world.tick("2026-05-01T00:00:02+08:00");
    pay(&mut world, "2026-04-10T00:00:00+08:00", "p-1", 18_801, None);
    close(&mut world, "2026-06-01");
    assert!(world.block.ledger().income(&fee()) <= Fen(132 + 141));
}

#[test]
fn a_close_that_was_cut_off_goes_on_and_bills_each_fee_once() {
    let mut whole = billed(Some(terms()));
    whole.tick("2026-05-01T00:00:01+08:00");
    whole.tick("2026-06-01T00:00:01+08:00");
    let wanted: i64 = bills(&whole).iter().map(|bill| bill.total_fen.0).sum();
    let closed = |event: &Event| matches!(event, Event::Ledger(_));
    let last = whole.journal.iter().rposition(closed).unwrap();
    let before = whole.journal[..last].iter().rposition(closed).unwrap();
    assert!(last - before >= 4, "two late fees and a bill lie between");
    for cut in before + 1..last {
        let journal = whole.journal[..cut].to_vec();
        let mut world = World { block: Block::new(), journal };
        world.block = world.replayed();
        world.tick("2026-06-01T00:00:02+08:00");
        let sum: i64 = bills(&world).iter().map(|bill| bill.total_fen.0).sum();
        assert_eq!(sum, wanted, "cut after {cut} records");
        let ids: BTreeSet<BillId> = bills(&world).into_iter().map(|bill| bill.bill).collect();
        assert_eq!(ids.len(), bills(&whole).len());
    }
}

#[test]
fn what_is_given_back_on_a_paid_bill_pays_the_oldest_that_is_open() {
    let mut world = billed(Some(terms()));
    pay(&mut world, "2026-04-10T10:00:00+08:00", "p-1", 18_801, None);
    close(&mut world, "2026-05-01");
    // March is paid; April is open, and 63.00 of each were too much.
    correct(&mut world, "2026-05-03T10:00:00+08:00", "c-1", smaller_flat());
    let ledger = world.block.ledger();
    let open: Vec<i64> = ledger.open_bills().map(|(_, _, open)| open.left_fen.0).collect();
    assert_eq!(open, [18_801 - 6_300 - 6_300]);
    assert_eq!(ledger.standing(&account()).owed_fen, Fen(18_801 - 6_300 - 6_300));
    let (_, _, late) = ledger.late().next().unwrap();
    assert_eq!(late.left(), Fen(18_801 - 6_300 - 6_300));
}
