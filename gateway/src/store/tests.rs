use super::*;
use crate::outbox::Receipt;
use blockgate_rules::Event;
use blockgate_rules::event::{Bill, Period, Reading, ReadingId, Verdict};
use blockgate_types::{ClockState, MeterId, RegisterName, Time, Unit, parse_decimal};
use record::Origin;
use trees::BillFilter;

fn origin() -> Origin {
    Origin { source: "/blockgate/t/g".to_owned(), boot: "5f0c12ab".to_owned(), epoch: None }
}

fn minute(n: u64) -> Time {
    Time::from_millis(1_772_323_200_000 + i64::try_from(n).unwrap() * 60_000)
}

fn reading(n: u64) -> Event {
    let from = ReadingId { seq: 1, index: 0 };
    let used = parse_decimal("1").unwrap();
    let reading = |m: u64| Reading {
        meter: MeterId::new(&format!("m-{m}")).unwrap(),
        register: RegisterName::new("energy_import").unwrap(),
        at: minute(n),
        value: parse_decimal(&format!("{n}.25")).unwrap(),
        unit: Unit::KilowattHour,
        verdict: Verdict::Accepted { from, used },
    };
    Event::Reading { readings: (0..3).map(reading).collect() }
}

pub(crate) fn bill(n: u64) -> Event {
    Event::Bill(Box::new(Bill {
        bill: format!("bill-{n}").parse().unwrap(),
        account: format!("a-{}", n % 3).parse().unwrap(),
        item: "electricity".parse().unwrap(),
        period: Period {
            from: format!("2026-{:02}-01", 1 + n % 12),
            to: "2026-12-31".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
        },
        tariff: "t-1".parse().unwrap(),
        tariff_revision: "2026-01-01/3fa9".to_owned(),
        revision: 0,
        currency: "CNY".to_owned(),
        lines: Vec::new(),
        total_fen: blockgate_rules::Fen::default(),
        evidence: Vec::new(),
        minus: Vec::new(),
        apportioned: None,
        basis: None,
        corrects: None,
        share: None,
        tier_counter: None,
        rounded_years: Vec::new(),
        issued_at: minute(n),
        due: None,
        stay: None,
        permit: None,
        late: None,
        late_fee: None,
    }))
}

/// Journals `count` events, every tenth of them a bill, as the engine does.
pub(crate) fn journal(store: &mut Store, block: &mut Block, count: u64) {
    for _ in 0..count {
        let seq = store.journal.next_seq();
        let event = if seq.is_multiple_of(10) { bill(seq) } else { reading(seq) };
        let mut payload = Vec::new();
        let synced = ClockState::Synced;
        record::encode(&origin(), seq, minute(seq), synced, &event, &mut payload).unwrap();
        store.journal.append(&payload).unwrap();
        let committed = store.journal.cut().unwrap().unwrap().commit().unwrap();
        let position = committed.positions[0];
        block.apply(seq, &event);
        store.trees.apply(&[Applied { seq, time: minute(seq), record: &event, position }]).unwrap();
        store.outbox.push(&[(seq, Class::of(event.kind()), position)]).unwrap();
    }
}

/// Everything that the trees and the outbox can be asked.
fn answers(store: &Store) -> String {
    let trees = &store.trees;
    let mut text = String::new();
    for account in [None, Some("a-0"), Some("a-2")] {
        let account = account.map(|a| a.parse().unwrap());
        let filter = BillFilter { account, ..BillFilter::default() };
        let mut after = None;
        while let Some((last, page)) = {
            let page = trees.bills(&filter, after, 7).unwrap();
            page.last().map(|(seq, _)| *seq).map(|seq| (seq, page))
        } {
            text += &format!("{page:?}\n");
            after = Some(last);
        }
    }
    let from = BillFilter { period_from: Some("2026-03-01".to_owned()), ..Default::default() };
    text += &format!("{:?}\n", trees.bills(&from, None, 500).unwrap());
    text += &format!("{:?}\n", trees.bill(&"bill-20".parse().unwrap()).unwrap());
    let (meter, register) =
        (MeterId::new("m-1").unwrap(), RegisterName::new("energy_import").unwrap());
    let history = trees.history(&meter, &register, Time::EPOCH, Time::MAX, 10_000).unwrap();
    text += &format!("{history:?}\n");
    text += &format!("{:?} {:?}\n", trees.alarms(None, 500).unwrap(), store.outbox.stats());
    text
}

fn drain(store: &Store) -> Vec<(u64, String, bytes::Bytes)> {
    let mut all = Vec::new();
    loop {
        let some = store.outbox.take(64, Time::EPOCH).unwrap();
        if some.is_empty() {
            all.sort();
            return all;
        }
        all.extend(some.into_iter().map(|o| (o.seq, o.kind, o.payload)));
    }
}

// invariant 3
// invariant 8
#[test]
fn deleting_the_sled_folder_changes_no_answer_and_no_waiting_message() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut block, _) = Store::open(dir.path()).unwrap();
    journal(&mut store, &mut block, 400);
    store.saver().save(&store.checkpoint(&block).unwrap()).unwrap();
    journal(&mut store, &mut block, 300);
    store
        .outbox
        .receipt(&Receipt {
            through: Some(120),
            ids: vec!["bill-130".into()],
            ..Receipt::default()
        })
        .unwrap();
    store.outbox.refused(140, "too large").unwrap();
    store.outbox.save().unwrap();
    store.outbox.tend(minute(0)).unwrap();
    let before = (answers(&store), drain(&store));
    assert_eq!(before.1.len(), 700 - 120 - 2);
    drop(store);
    for round in 0..2 {
        if round == 1 {
            std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
        }
        let (store, replayed, found) = Store::open(dir.path()).unwrap();
        assert_eq!((found.last, found.checkpoint, found.replayed), (700, 400, 300));
        assert_eq!(replayed, block);
        store.outbox.tend(minute(0)).unwrap();
        store.outbox.tend(minute(0)).unwrap();
        assert!((answers(&store), drain(&store)) == before, "round {round}");
        let blobs = dir.path().join("sled/blobs");
        assert!(!blobs.exists() || std::fs::read_dir(blobs).unwrap().next().is_none());
    }
}

#[test]
fn a_second_daemon_on_the_same_folder_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Locked(_))));
    drop(store);
    assert!(Store::open(dir.path()).is_ok());
}

#[test]
fn a_state_folder_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("format"), "blockgate-state 2\n").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Format(..))));
}

#[test]
fn broken_trees_are_set_aside_and_rebuilt_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut block, _) = Store::open(dir.path()).unwrap();
    journal(&mut store, &mut block, 50);
    store.saver().save(&store.checkpoint(&block).unwrap()).unwrap();
    let before = answers(&store);
    drop(store);
    for round in 1..=4 {
        std::fs::write(dir.path().join("sled/conf"), [0xff; 64]).unwrap();
        let (store, _, found) = Store::open(dir.path()).unwrap();
        assert!(found.warnings[0].contains(&format!("sled.broken-{round}")), "{found:?}");
        assert_eq!(answers(&store).lines().next(), before.lines().next());
        drop(store);
    }
    let kept = RealDisk.list(dir.path()).unwrap();
    assert_eq!(kept.iter().filter(|n| n.starts_with("sled.broken-")).count(), 2);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut block, _) = Store::open(dir.path()).unwrap();
    for _ in 0..3 {
        journal(&mut store, &mut block, 20);
        store.saver().save(&store.checkpoint(&block).unwrap()).unwrap();
    }
    drop(store);
    let folder = dir.path().join("checkpoints");
    let names = RealDisk.list(&folder).unwrap();
    assert_eq!(names.len(), 2);
    let path = folder.join(&names[1]);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (_, again, found) = Store::open(dir.path()).unwrap();
    assert_eq!((found.checkpoint, found.replayed, found.warnings.len()), (40, 20, 1));
    assert_eq!(again, block);
}

#[test]
fn a_journal_that_ends_before_a_confirmed_record_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut block, _) = Store::open(dir.path()).unwrap();
    journal(&mut store, &mut block, 20);
    store.outbox.receipt(&Receipt { through: Some(20), ..Default::default() }).unwrap();
    store.outbox.save().unwrap();
    drop(store);
    let file = dir.path().join("journal/00000000000000000001.bgj");
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.iter().rposition(|b| *b != 0).unwrap();
    bytes[end] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let Err(StoreError::Journal(e)) = Store::open(dir.path()) else { panic!("it opened") };
    assert!(e.to_string().contains("record 20"), "{e}");
}

fn one(meter: &str, at: Time, value: &str, verdict: Verdict) -> Event {
    Event::Reading {
        readings: vec![Reading {
            meter: MeterId::new(meter).unwrap(),
            register: RegisterName::new("energy_import").unwrap(),
            at,
            value: parse_decimal(value).unwrap(),
            unit: Unit::KilowattHour,
            verdict,
        }],
    }
}

fn trees(dir: &Path) -> Trees {
    let records = journal::Records::of(Arc::new(RealDisk), &dir.join("journal"));
    Trees::open(dir, records, u64::MAX).unwrap().0
}

#[test]
fn a_folder_that_was_just_closed_is_not_taken_for_broken() {
    let dir = tempfile::tempdir().unwrap();
    let records = journal::Records::of(Arc::new(RealDisk), &dir.path().join("journal"));
    let mut seq = 0;
    for n in 0..100 {
        let (trees, aside) = Trees::open(dir.path(), records.clone(), u64::MAX).unwrap();
        assert_eq!(aside, None);
        for _ in 0..(n % 37) * 29 {
            seq += 1;
            trees.keep_telemetry(&MeterId::new("m-1").unwrap(), minute(seq), &[7; 500]).unwrap();
        }
        if n % 5 == 0 {
            trees.durable().unwrap();
        }
    }
}

fn take_in(trees: &Trees, seq: u64, record: &Event) {
    let position = journal::Position::default();
    trees.apply(&[Applied { seq, time: Time::EPOCH, record, position }]).unwrap();
}

fn history_of(trees: &Trees, from: Time, to: Time, limit: usize) -> Vec<(u64, String)> {
    let (meter, register) =
        (MeterId::new("m-1").unwrap(), RegisterName::new("energy_import").unwrap());
    let rows = trees.history(&meter, &register, from, to, limit).unwrap();
    let minutes = |at: Time| (at.as_millis() - minute(0).as_millis()) as u64 / 60_000;
    rows.into_iter().map(|(at, value)| (minutes(at), value.to_string())).collect()
}

#[test]
fn the_history_keeps_the_last_believed_reading_of_each_quarter_hour() {
    let dir = tempfile::tempdir().unwrap();
    let trees = trees(dir.path());
    let (from, why) = (ReadingId::default(), blockgate_rules::event::Hold::Backwards);
    let mut seq = 0;
    for flush in [false, true, false] {
        for (m, value, held) in [
            (0, "1", false),
            (14, "2.50", false),
            (15, "3", false),
            (20, "0", true),
            (1500, "9", false),
        ] {
            seq += 1;
            let verdict = if held { Verdict::Held { from, why } } else { Verdict::Opened };
            take_in(&trees, seq, &one("m-1", minute(m), value, verdict));
            take_in(&trees, seq, &one("m-10", minute(m), "77", Verdict::Opened));
        }
        let expected = [(14, "2.50".to_owned()), (15, "3".to_owned()), (1500, "9".to_owned())];
        assert_eq!(history_of(&trees, Time::EPOCH, Time::MAX, 99), expected);
        assert_eq!(history_of(&trees, Time::EPOCH, Time::MAX, 2), expected[..2]);
        assert_eq!(history_of(&trees, minute(15), minute(1500), 99), expected[1..2]);
        assert!(history_of(&trees, Time::MAX, Time::EPOCH, 99).is_empty());
        if flush {
            trees.durable().unwrap();
        }
    }
}

#[test]
fn history_and_telemetry_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let trees = trees(dir.path());
    let meter = MeterId::new("m-1").unwrap();
    for day in 0..500 {
        let event = one("m-1", minute(day * 24 * 60), "1", Verdict::Opened);
        take_in(&trees, day + 1, &event);
        if day % 5 == 4 {
            trees.durable().unwrap();
        }
    }
    let days = history_of(&trees, Time::EPOCH, Time::MAX, 9999);
    let most = crate::limits::HISTORY_DAYS_MAX as usize;
    assert!((most..=most + most / 10 + 2).contains(&days.len()), "{} days", days.len());
    assert_eq!(days.last().unwrap().0, 499 * 24 * 60);
    let ring = crate::limits::TELEMETRY_ROWS_PER_METER_MAX;
    for n in 0..ring as u64 + 10 {
        trees.keep_telemetry(&meter, minute(n), b"{}").unwrap();
    }
    let rows = trees.telemetry(&meter, Time::EPOCH, Time::MAX, 9999).unwrap();
    assert_eq!((rows.len(), rows[0].0), (ring, minute(10)));
    let long = vec![b'x'; crate::limits::TREES_VALUE_BYTES_MAX + 1];
    assert!(trees.keep_telemetry(&meter, minute(0), &long).is_err());
}

#[test]
fn the_newest_records_come_in_order_with_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut block, _) = Store::open(dir.path()).unwrap();
    assert!(store.trees.newest(5).unwrap().is_empty());
    journal(&mut store, &mut block, 23);
    let last = store.journal.head().0;
    let newest = store.trees.newest(5).unwrap();
    assert_eq!(
        newest.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        (last - 4..=last).collect::<Vec<_>>()
    );
    assert_eq!(record::decode(&newest[4].1).unwrap().seq, last);
    assert_eq!(store.trees.newest(100).unwrap().len() as u64, last, "all there are");
}
