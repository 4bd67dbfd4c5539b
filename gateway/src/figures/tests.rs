//! Sums over bills and movements.

use super::*;
use crate::books::Books;
use crate::store::Store;
use crate::store::record::{self, Origin};
use crate::store::trees::Applied;
use crate::store::trees::money::Kept;
use blockgate_rules::Event;
use blockgate_rules::calendar::parse_day;
use blockgate_rules::correction::{Correction, Ground, What};
use blockgate_rules::ledger::Channel;
use blockgate_types::ClockState;
use serde_json::json;

#[test]
fn parking_is_told_by_the_item_and_a_rate_is_never_rounded_up_to_all() {
    assert!(is_parking("parking") && is_parking("overtime-parking") && is_parking("parking-space"));
    assert!(!is_parking("sparking") && !is_parking("park"));
    assert_eq!(permille(Fen(100_000), Fen(1)), Some(999));
    assert_eq!(permille(Fen(100), Fen(0)), Some(1000));
    assert_eq!(permille(Fen(0), Fen(0)), None);
}

fn bill(n: u32, account: &str, item: &str, month: u32, fen: i64, meter: &str) -> Event {
    let point =
        |reading: &str| json!({ "reading": reading, "at": "2026-01-01T00:00:00Z", "value": "1" });
    let evidence = json!([{ "meter": meter, "register": "energy_import", "from": point("1.0"),
        "to": point("2.0"), "multiplier": "1", "used": "0", "unit": "kWh" }]);
    serde_json::from_value(json!({
        "kind": "bill", "bill": format!("bill-{n}"), "account": account, "item": item,
        "period": { "from": format!("2026-{month:02}-01"), "to": format!("2026-{:02}-01", month + 1),
            "zone": "Asia/Shanghai" },
        "tariff": "t-1", "tariff_revision": "2026-01-01/3fa9", "revision": 0, "currency": "CNY",
        "lines": [], "total_fen": fen, "evidence": if meter.is_empty() { json!([]) } else { evidence },
        "issued_at": format!("2026-{:02}-01T01:00:00+08:00", month + 1),
    }))
    .unwrap()
}

fn movement(account: &str, at: &str, movement: serde_json::Value) -> Event {
    let mut event = json!({ "kind": "payment", "at": at, "account": account, "actor": "desk" });
    event.as_object_mut().unwrap().extend(movement.as_object().unwrap().clone());
    serde_json::from_value(event).unwrap()
}

fn paid(id: &str, account: &str, at: &str, fen: i64, reference: &str, pending: bool) -> Event {
    let receipt = if pending { 0 } else { 1 };
    movement(
        account,
        at,
        json!({ "what": "paid", "payment": id, "amount_fen": fen, "channel": "wechat",
            "reference": reference, "toward": { "of": "bills", "items": [] }, "pending": pending,
            "receipt": receipt }),
    )
}

/// A store with these events, and the books that follow them.
fn store(events: &[Event]) -> (tempfile::TempDir, Store, Books) {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, block, _) = Store::open(dir.path()).unwrap();
    let mut books = Books::of(&block);
    let origin =
        Origin { source: "/blockgate/t/g".to_owned(), boot: "5f0c12ab".to_owned(), epoch: None };
    for event in events {
        let (seq, time) = (store.journal.next_seq(), Time::EPOCH);
        let mut payload = Vec::new();
        record::encode(&origin, seq, time, ClockState::Synced, event, &mut payload).unwrap();
        store.journal.append(&payload).unwrap();
        let committed = store.journal.cut().unwrap().unwrap().commit().unwrap();
        let position = committed.positions[0];
        store.trees.apply(&[Applied { seq, time, record: event, position }]).unwrap();
        books.take(event);
    }
    (dir, store, books)
}

fn year() -> Vec<Event> {
    vec![
        bill(1, "a-1", "electricity", 1, 1_000, "m-1"),
        bill(2, "a-2", "electricity", 1, 2_000, "m-2"),
        bill(3, "a-1", "parking", 1, 500, ""),
        paid("p-1", "a-1", "2026-02-03T09:30:00+08:00", 1_200, "w1", false),
        bill(4, "a-1", "electricity", 2, 700, "m-1"),
        paid("p-2", "a-2", "2026-03-04T23:59:00+08:00", 2_000, "w2", true),
        movement(
            "a-2",
            "2026-03-05T00:01:00+08:00",
            json!({ "what": "settled", "payment": "p-2", "posted": true, "amount_fen": 2_000,
                "channel": "wechat", "receipt": 2 }),
        ),
    ]
}

#[test]
fn what_was_billed_paid_and_is_owed_is_summed_by_month_item_building_and_channel() {
    let (_dir, store, books) = store(&year());
    let zone = Zone::new("Asia/Shanghai").unwrap();
    let day = |text| parse_day(text).unwrap();
    let wanted = Wanted {
        by: By::Month,
        from: day("2026-01-01"),
        to: day("2027-01-01"),
        building: None,
        item: None,
    };
    let setup = Setup::default();
    let made = figures(&store.trees, &books, &setup, &zone, &wanted).unwrap();
    let february = &made.rows["2026-02"];
    assert_eq!((february.bills, february.billed_fen), (3, Fen(3_500)));
    // Electricity and 2.00 of parking are paid: 3.00 are open, and a-2's 20.00 were paid in March.
    assert_eq!((february.open_fen, february.collected_permille), (Fen(300), Some(914)));
    assert_eq!((february.parking_fen, february.paid_fen), (Fen(500), Fen(1_200)));
    assert_eq!(february.by_item["parking"].open_fen, Fen(300));
    let march = &made.rows["2026-03"];
    assert_eq!((march.payments, march.paid_fen), (1, Fen(2_000)), "counted when it came in");
    assert_eq!(march.by_channel["wechat"], Fen(2_000));
    assert_eq!(made.payments_by_hour[9], 1);
    assert_eq!(made.total.open_fen, Fen(1_000));
    let one = Wanted { item: Some("parking".to_owned()), ..wanted };
    let made = figures(&store.trees, &books, &setup, &zone, &one).unwrap();
    assert_eq!((made.total.billed_fen, made.total.payments), (Fen(500), 0));
}

#[test]
fn rows_lead_to_receipts_trails_statements_and_the_bills_of_a_correction() {
    let (_dir, store, _) = store(&year());
    let trees = &store.trees;
    assert_eq!(trees.receipt_seq(1).unwrap(), Some(4));
    assert_eq!(trees.receipt_seq(2).unwrap(), Some(7), "a settled payment has its own number");
    assert_eq!(trees.receipt_seq(3).unwrap(), None);
    let account = "a-1".parse().unwrap();
    let seqs: Vec<u64> =
        trees.of_account(&account, 0, 10).unwrap().iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, [1, 3, 4, 5]);
    assert!(trees.kept(Kept::Days, 0, 10).unwrap().is_empty());
    let t = |text: &str| text.parse::<Time>().unwrap();
    let (from, to) = (t("2026-03-05T00:00:00+08:00"), t("2026-03-06T00:00:00+08:00"));
    let books = trees.booked(Channel::Wechat, from, to).unwrap();
    assert_eq!(books.len(), 1, "announced and settled are one: {books:?}");
    assert_eq!((books[0].reference.as_str(), books[0].inside), ("w2", true));
    let said = |text: &str| text.to_owned();
    let ground = Ground {
        reason: said("misread"),
        evidence: said("photograph"),
        approver: said("chief"),
        limit: said("contract"),
    };
    let what = What::Reading {
        meter: "m-1".parse().unwrap(),
        register: "energy_import".parse().unwrap(),
        reading: "2.0".parse().unwrap(),
        value: blockgate_types::Decimal::ONE,
    };
    let since = said("2026-01-01");
    let correction = Correction { ground, since, threshold_fen: Fen(0), what };
    let bills = trees.bills_of_correction(&correction, 100).unwrap();
    let ids: Vec<&str> = bills.iter().map(|bill| bill.bill.as_str()).collect();
    assert_eq!(ids, ["bill-1", "bill-4"], "the chain of the meter's charge, and nothing else");
}

/// A late fee of a bill.
fn late_fee(n: u32, account: &str, of: &str) -> Event {
    let mut event = serde_json::to_value(bill(n, account, "late-fee", 3, 10, "")).unwrap();
    event["late_fee"] = json!({ "of": of, "why": { "by": "close" }, "state": {
        "item": "electricity", "tariff": "t-1", "tariff_revision": "2026-01-01/3fa9",
        "currency": "CNY", "first": of, "principal_fen": 1_000, "due": "2026-02-16",
        "terms": { "item": "late-fee", "label": { "zh": "违约金", "en": "Late fee" },
            "percent_per_day": "0.05", "grace_days": 0, "days_from": "due", "cap_percent": "30",
            "rounding": "half_up" },
        "steps": [{ "from": "2026-02-17", "left_fen": 1_000 }], "billed_fen": 10, "bills": 1,
    } });
    serde_json::from_value(event).unwrap()
}

#[test]
fn a_correction_gets_the_late_fees_of_the_households_that_it_touches() {
    let mut events = year();
    events.extend([late_fee(8, "a-1", "bill-1"), late_fee(9, "a-2", "bill-2")]);
    let (_dir, store, _) = store(&events);
    let said = |text: &str| text.to_owned();
    let ground = Ground {
        reason: said("goodwill"),
        evidence: said("letter"),
        approver: said("chief"),
        limit: said("contract"),
    };
    let ids = |what: What| -> Vec<String> {
        let (ground, since) = (ground.clone(), said("2026-01-01"));
        let correction = Correction { ground, since, threshold_fen: Fen(0), what };
        let bills = store.trees.bills_of_correction(&correction, 100).unwrap();
        bills.iter().map(|bill| bill.bill.to_string()).collect()
    };
    let right = blockgate_rules::late::LateRight::Waived;
    let waived = What::LateFee { bill: "bill-2".parse().unwrap(), right };
    assert_eq!(ids(waived), ["bill-2", "bill-9"]);
    let by_price = What::Tariff { tariff: "t-1".parse().unwrap() };
    let all = ["bill-1", "bill-2", "bill-3", "bill-4", "bill-8", "bill-9"];
    assert_eq!(ids(by_price), all);
    let basis = blockgate_rules::event::Basis::default();
    let of_one = What::Basis { account: "a-1".parse().unwrap(), basis };
    assert_eq!(ids(of_one), ["bill-1", "bill-3", "bill-4", "bill-8"]);
}
