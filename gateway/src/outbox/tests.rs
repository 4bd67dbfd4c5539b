use super::*;
use crate::ports::RealDisk;
use crate::store::journal::{Journal, Options};
use crate::store::record;
use crate::store::trees::Applied;

struct World {
    dir: tempfile::TempDir,
    journal: Journal,
    outbox: Outbox,
}

fn open(dir: &Path, journal: &Journal) -> Outbox {
    let (records, last) = (journal.records(), journal.head().0);
    let (trees, _) = Trees::open(dir, records.clone(), last).unwrap();
    Outbox::open(Arc::new(RealDisk), dir, Arc::new(trees), records, last).unwrap()
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(&dir.path().join("journal"), Options::default()).unwrap();
    let outbox = open(dir.path(), &journal);
    World { dir, journal, outbox }
}

impl World {
    fn push(&mut self, kinds: &[&str]) {
        let first = self.journal.next_seq();
        for (seq, kind) in (first..).zip(kinds) {
            let text = format!(
                r#"{{"id":"aa-{seq}","type":"blockgate.{kind}.v1","time":"2026-03-01T00:00:00Z"}}"#
            );
            self.journal.append(text.as_bytes()).unwrap();
        }
        let committed = self.journal.cut().unwrap().unwrap().commit().unwrap();
        let classes = kinds.iter().map(|kind| Class::of(kind));
        let all: Vec<_> = committed.records().zip(classes).map(|((s, p), c)| (s, c, p)).collect();
        self.outbox.push(&all).unwrap();
    }

    fn take(&self, max: usize) -> Vec<u64> {
        self.outbox.take(max, Time::EPOCH).unwrap().into_iter().map(|o| o.seq).collect()
    }
}

#[test]
fn bills_go_first_and_nobody_starves() {
    let mut world = world();
    world.push(&["reading"; 40]);
    world.push(&["alarm"; 40]);
    world.push(&["bill"; 40]);
    let sent = world.take(16);
    let count = |range: std::ops::RangeInclusive<u64>| {
        let class: Vec<_> = sent.iter().filter(|s| range.contains(s)).copied().collect();
        assert!(class.is_sorted(), "{class:?}");
        class.len()
    };
    assert_eq!((count(81..=120), count(41..=80), count(1..=40)), (12, 2, 2));
    assert_eq!(sent[0], 81);
    assert_eq!(world.take(1000).len(), 104);
    assert!(world.take(1).is_empty());
}

#[test]
fn what_was_not_acknowledged_is_sent_again_after_a_new_connection() {
    let mut world = world();
    world.push(&["bill"; 5]);
    assert_eq!(world.take(4), [1, 2, 3, 4]);
    world.outbox.acknowledged(2, Time::EPOCH);
    world.outbox.reset_in_flight();
    assert_eq!(world.take(9), [1, 3, 4, 5]);
    assert_eq!(world.outbox.stats().acknowledged, 1);
}

#[test]
fn an_acknowledgement_is_no_receipt_and_the_wait_for_it_grows() {
    let mut world = world();
    world.push(&["bill"]);
    let mut now = 0;
    for wait in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
        assert_eq!(world.take(9), [1]);
        world.outbox.acknowledged(1, Time::from_millis(now));
        world.outbox.tend(Time::from_millis(now + wait * 1000 - 1)).unwrap();
        assert!(world.take(9).is_empty(), "after {wait} s");
        now += wait * 1000;
        world.outbox.tend(Time::from_millis(now)).unwrap();
    }
    assert_eq!(world.outbox.stats().waiting, 1);
}

#[test]
fn a_receipt_confirms_what_it_names_and_nothing_else() {
    let mut world = world();
    world.push(&["bill"; 9]);
    world.take(9);
    let receipt = |through, ids: &[&str]| {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let outcome =
            world.outbox.receipt(&Receipt { through, ids, ..Receipt::default() }).unwrap();
        (outcome.confirmed, outcome.refused)
    };
    assert_eq!(receipt(Some(2), &[]), (2, vec![]));
    assert_eq!(receipt(Some(1), &[]), (0, vec![]));
    assert_eq!(receipt(None, &["aa-4", "aa-4", "aa-6"]), (2, vec![]));
    let unknown = |id: &str| ReceiptRefusal::Unknown(id.to_owned());
    for id in ["bb-5", "aa-10", "aa-0", "5", "", "aa-99999999999999999999"] {
        assert_eq!(receipt(None, &[id]), (0, vec![unknown(id)]), "{id:?}");
    }
    assert_eq!(receipt(Some(10), &[]).1, [ReceiptRefusal::Future { through: 10, last: 9 }]);
    assert_eq!(receipt(None, &[]).1, [ReceiptRefusal::Empty]);
    assert_eq!((world.outbox.stats().waiting, world.outbox.through()), (5, 2));
    assert_eq!(receipt(None, &["aa-3"]), (1, vec![]));
    assert_eq!(world.outbox.through(), 4);
    world.outbox.reset_in_flight();
    assert_eq!(world.take(9), [5, 7, 8, 9]);
}

#[test]
fn after_a_restore_a_receipt_confirms_only_events_of_the_history_that_it_names() {
    let mut world = world();
    world.push(&["bill"; 9]);
    // Two backups were restored: the first history ends with 3, the second with 6.
    let epoch = |after, name: &str| Epoch { after, name: name.to_owned() };
    world.outbox.set_epochs(vec![epoch(3, "bb"), epoch(6, "cc")]);
    assert_eq!(world.take(9), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let receipt = |through, epoch: Option<&str>| {
        let (through, epoch) = (Some(through), epoch.map(str::to_owned));
        let outcome = world.outbox.receipt(&Receipt { through, epoch, ..Receipt::default() });
        let outcome = outcome.unwrap();
        (outcome.confirmed, outcome.refused)
    };
    let other = |through, ours| vec![ReceiptRefusal::OtherHistory { through, ours }];
    assert_eq!(receipt(9, Some("dd")), (0, vec![ReceiptRefusal::UnknownEpoch("dd".to_owned())]));
    // The newest history is whole at the cloud, which says nothing of what came before it.
    assert_eq!(receipt(8, Some("cc")), (2, vec![]));
    assert_eq!(receipt(8, Some("cc")), (0, vec![]), "the same again");
    assert_eq!(receipt(10, Some("cc")).1, [ReceiptRefusal::Future { through: 10, last: 9 }]);
    assert_eq!((world.outbox.through(), world.outbox.stats().waiting), (0, 7));
    // Of the first one it had nine, of which six were lost with the disk.
    assert_eq!(receipt(9, None), (3, other(9, 3)));
    assert_eq!((world.outbox.through(), world.outbox.stats().waiting), (3, 4));
    assert_eq!(receipt(5, Some("bb")), (2, vec![]));
    assert_eq!(receipt(7, Some("bb")), (1, other(7, 6)));
    assert_eq!(world.outbox.through(), 8, "and what was confirmed of the third");
    world.outbox.reset_in_flight();
    assert_eq!(world.take(9), [9]);
}

#[test]
fn a_bill_that_was_lost_and_made_anew_is_not_confirmed_by_the_old_one_s_receipt() {
    let mut world = world();
    world.push(&["bill"]);
    world.outbox.set_epochs(vec![Epoch { after: 1, name: "bb".to_owned() }]);
    let payload = include_str!("../../../docs/contract/examples/0.1.0/bill.v1/bill.json");
    let bill = record::decode(payload.as_bytes()).unwrap();
    world.journal.append(payload.as_bytes()).unwrap();
    let committed = world.journal.cut().unwrap().unwrap().commit().unwrap();
    let (seq, position) = committed.records().next().unwrap();
    let applied = Applied { seq, time: bill.time, record: &bill.data, position };
    world.outbox.trees.apply(&[applied]).unwrap();
    world.outbox.push(&[(seq, Class::Bill, position)]).unwrap();
    assert_eq!(world.take(9), [1, 2]);
    let receipt = |epoch: Option<&str>| {
        let (ids, epoch) = (vec![bill.id.clone()], epoch.map(str::to_owned));
        world.outbox.receipt(&Receipt { ids, epoch, ..Receipt::default() }).unwrap().confirmed
    };
    assert_eq!((receipt(None), receipt(Some("bb"))), (0, 1));
}

#[test]
fn a_refused_message_is_kept_as_a_dead_letter_over_a_restart() {
    let mut world = world();
    world.push(&["bill"; 3]);
    world.take(3);
    world.outbox.refused(2, "payload format invalid").unwrap();
    world.outbox.save().unwrap();
    assert_eq!((world.outbox.stats().waiting, world.outbox.stats().dead), (2, 1));
    let World { dir, journal, outbox } = world;
    drop(outbox);
    let outbox = open(dir.path(), &journal);
    let reason = "payload format invalid".to_owned();
    assert_eq!(outbox.dead(None, 9).unwrap(), [DeadLetter { seq: 2, reason }]);
    assert!(outbox.dead(Some(2), 9).unwrap().is_empty());
}

#[test]
fn a_long_backlog_lies_in_sled_and_comes_back_in_order() {
    let mut world = world();
    let n = 3 * OUTBOX_WINDOW as u64;
    for _ in 0..n / 512 {
        world.push(&["reading"; 512]);
    }
    assert!(world.outbox.inner().queues[2].recent.len() <= OUTBOX_WINDOW);
    let mut expected = 1;
    while expected <= n {
        let sent = world.take(100);
        assert_eq!(sent, (expected..=n.min(expected + 99)).collect::<Vec<_>>());
        expected += 100;
        let last = *sent.last().unwrap();
        world.outbox.receipt(&Receipt { through: Some(last), ..Receipt::default() }).unwrap();
    }
    assert_eq!(world.outbox.stats().waiting, 0);
    for _ in 0..30 {
        world.outbox.tend(Time::EPOCH).unwrap();
    }
    assert!(world.outbox.trees.db().open_tree("waiting-reading").unwrap().is_empty());
}

#[test]
fn a_class_without_receipts_stops_at_its_bound_and_leaves_the_others_alone() {
    let mut world = world();
    for _ in 0..OUTBOX_UNRECEIPTED_MAX / 512 + 1 {
        world.push(&["reading"; 512]);
    }
    assert_eq!(world.take(100_000).len(), OUTBOX_UNRECEIPTED_MAX);
    world.push(&["bill"]);
    assert_eq!(world.take(9).len(), 1);
}

#[test]
fn resending_sends_the_same_bytes_receipted_or_not() {
    let mut world = world();
    world.push(&["bill"; 6]);
    let first = world.outbox.take(9, Time::EPOCH).unwrap();
    world.outbox.receipt(&Receipt { through: Some(6), ..Receipt::default() }).unwrap();
    assert_eq!(world.outbox.resend(2, 4), Ok(3));
    let again = world.outbox.take(2, Time::EPOCH).unwrap();
    assert_eq!(again, first[1..3]);
    world.outbox.acknowledged(2, Time::EPOCH);
    world.outbox.reset_in_flight();
    assert_eq!(world.outbox.take(9, Time::EPOCH).unwrap(), first[2..4]);
    for (from, to) in [(0, 1), (3, 2), (1, 7)] {
        assert!(world.outbox.resend(from, to).is_err(), "{from} to {to}");
    }
}

#[test]
fn a_dead_letter_that_is_tried_again_waits_for_its_receipt_like_any_other() {
    let mut world = world();
    world.push(&["bill", "bill", "reading"]);
    assert_eq!(world.take(9), [1, 2, 3]);
    world.outbox.refused(2, "not understood").unwrap();
    assert_eq!((world.outbox.stats().dead, world.outbox.stats().waiting), (1, 2));
    assert_eq!(world.outbox.retry(2), Ok(()));
    assert_eq!((world.outbox.stats().dead, world.outbox.stats().waiting), (0, 3));
    assert_eq!(world.take(9), [2]);
    // The second press of the button sends nothing.
    assert_eq!(world.outbox.retry(2), Err("there is no dead letter 2".to_owned()));
    assert!(world.take(9).is_empty());
    // Refused once more it is a dead letter once more, with what the cloud says now.
    world.outbox.refused(2, "still not").unwrap();
    let dead = world.outbox.dead(None, 9).unwrap();
    assert_eq!(dead, [DeadLetter { seq: 2, reason: "still not".to_owned() }]);
    assert_eq!(world.outbox.retry(2), Ok(()));
    assert_eq!(world.take(9), [2]);
    world.outbox.receipt(&Receipt { through: Some(3), ..Receipt::default() }).unwrap();
    assert_eq!((world.outbox.stats().dead, world.outbox.stats().waiting), (0, 0));
    assert!(world.outbox.retry(9).is_err());
}

#[test]
fn a_dead_letter_that_receipts_have_passed_is_sent_once_and_kept_until_the_broker_has_it() {
    let mut world = world();
    world.push(&["bill"; 3]);
    let first = world.outbox.take(9, Time::EPOCH).unwrap();
    world.outbox.refused(2, "not understood").unwrap();
    world.outbox.receipt(&Receipt { through: Some(3), ..Receipt::default() }).unwrap();
    assert_eq!((world.outbox.stats().dead, world.outbox.stats().waiting), (1, 0));
    // Two presses, one sending, the same bytes.
    assert_eq!((world.outbox.retry(2), world.outbox.retry(2)), (Ok(()), Ok(())));
    assert_eq!(world.outbox.take(9, Time::EPOCH).unwrap(), first[1..2]);
    assert_eq!(world.outbox.stats().dead, 1, "nobody has it yet");
    world.outbox.acknowledged(2, Time::EPOCH);
    assert_eq!(world.outbox.stats().dead, 0);
    // The cloud's word comes after the broker's.
    assert!(world.outbox.refused_id("aa-2", "still not").unwrap());
    assert_eq!(world.outbox.dead(None, 9).unwrap()[0].reason, "still not");
    assert_eq!(world.outbox.retry(2), Ok(()));
    assert_eq!(world.take(9), [2]);
    world.outbox.acknowledged(2, Time::EPOCH);
    let ids = vec!["aa-2".to_owned()];
    world.outbox.receipt(&Receipt { ids, ..Receipt::default() }).unwrap();
    // Confirmed by its id, a refusal that comes late is no dead letter.
    world.outbox.refused(2, "late").unwrap();
    assert_eq!(world.outbox.stats().dead, 0);
}

#[test]
fn a_dead_letter_is_tried_again_from_disk_too_and_not_twice() {
    let mut world = world();
    world.push(&["bill"; 4]);
    world.outbox.index().unwrap();
    // Opened anew: nothing is in memory, all rows are in sled.
    let World { dir, journal, outbox } = world;
    outbox.save().unwrap();
    drop(outbox);
    let outbox = open(dir.path(), &journal);
    outbox.refused(3, "not understood").unwrap();
    assert_eq!(outbox.retry(3), Ok(()));
    let seqs = |outbox: &Outbox| -> Vec<u64> {
        outbox.take(9, Time::EPOCH).unwrap().into_iter().map(|o| o.seq).collect()
    };
    assert_eq!(seqs(&outbox), [1, 2, 3, 4]);
    // Its row was read already: it comes from the journal.
    outbox.refused(2, "not understood").unwrap();
    assert_eq!(outbox.retry(2), Ok(()));
    assert_eq!(seqs(&outbox), [2]);
    outbox.receipt(&Receipt { through: Some(4), ..Receipt::default() }).unwrap();
    assert_eq!((outbox.stats().dead, outbox.stats().waiting), (0, 0));
}

#[test]
fn a_damaged_receipts_file_is_refused_with_what_to_do() {
    let mut world = world();
    world.push(&["bill"]);
    world.outbox.receipt(&Receipt { through: Some(1), ..Receipt::default() }).unwrap();
    world.outbox.save().unwrap();
    let file = world.dir.path().join("receipts");
    let good = std::fs::read(&file).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&file, bad).unwrap();
        assert!(Cursor::load(&RealDisk, &file).is_err(), "byte {place}");
    }
}

// invariant 3
#[test]
fn rows_that_sled_has_lost_silently_are_found_in_the_journal() {
    let mut world = world();
    world.push(&["bill", "reading", "alarm", "bill"]);
    world.outbox.index().unwrap();
    let World { dir, journal, outbox } = world;
    for name in ["waiting-bill", "waiting-reading", "waiting-event"] {
        outbox.trees.db().open_tree(name).unwrap().clear().unwrap();
    }
    drop(outbox);
    let world = World { outbox: open(dir.path(), &journal), dir, journal };
    assert!(world.take(9).is_empty());
    world.outbox.tend(Time::EPOCH).unwrap();
    assert_eq!(world.take(9), [1, 4, 3, 2]);
    assert_eq!(world.outbox.stats().waiting, 4);
}

#[test]
fn rows_of_a_spill_that_was_cut_off_are_written_anew() {
    let mut world = world();
    world.push(&["reading"; 300]);
    world.outbox.index().unwrap();
    let meta = world.outbox.trees.db().open_tree("waiting").unwrap();
    let told = meta.get("i").unwrap().unwrap();
    world.push(&["reading"; 300]);
    world.outbox.index().unwrap();
    meta.insert("i", told).unwrap(); // as if the power had gone between the rows and this
    drop(meta);
    let World { dir, journal, outbox } = world;
    drop(outbox);
    let outbox = open(dir.path(), &journal);
    assert_eq!(outbox.known(), 300);
    let mut reader = journal.records().from(301);
    let mut again = Vec::new();
    while let Some(item) = reader.read().unwrap() {
        again.push((item.seq, Class::Reading, item.position));
    }
    outbox.push(&again).unwrap();
    outbox.index().unwrap();
    assert_eq!(journal.next_seq(), 601);
    let world = World { dir, journal, outbox };
    assert_eq!(world.take(1000), (1..=600).collect::<Vec<_>>());
}

#[test]
fn bills_are_counted_as_they_are_confirmed_one_by_one() {
    let mut world = world();
    world.push(&["bill"; 300]);
    world.outbox.index().unwrap();
    let ids = (10..=19).map(|seq| format!("aa-{seq}")).collect();
    world.outbox.receipt(&Receipt { ids, ..Receipt::default() }).unwrap();
    world.outbox.tend(Time::EPOCH).unwrap();
    assert_eq!(world.outbox.stats().bills, 290);
    world.outbox.receipt(&Receipt { through: Some(5), ..Receipt::default() }).unwrap();
    world.outbox.tend(Time::EPOCH).unwrap();
    assert_eq!((world.outbox.stats().bills, world.outbox.stats().waiting), (285, 285));
    let sent = world.take(1000);
    assert_eq!(sent, (6..=9).chain(20..=300).collect::<Vec<_>>());
}

#[test]
fn what_happens_now_goes_before_a_backlog_that_goes_at_its_pace() {
    let mut world = world();
    let paced = |world: &World, max, backlog| {
        let (taken, old) = world.outbox.take_paced(max, backlog, Time::EPOCH).unwrap();
        (taken.into_iter().map(|o| o.seq).collect::<Vec<_>>(), old)
    };
    world.push(&["reading"; 100]);
    world.outbox.connected();
    assert_eq!(paced(&world, 64, 3), (vec![1, 2, 3], 3), "no faster than it may");
    world.push(&["alarm", "bill", "reading"]);
    assert_eq!(
        paced(&world, 64, 2),
        (vec![102, 101, 4, 5], 2),
        "live first, bills before all, but for readings: theirs is a short backlog"
    );
    assert_eq!(paced(&world, 64, 0), (vec![], 0));
    world.push(&["bill"]);
    assert_eq!(paced(&world, 64, 0), (vec![104], 0), "live needs no share of the backlog's");
    // What went ahead is not sent a second time when the backlog is read from sled.
    world.outbox.index().unwrap();
    let (rest, _) = paced(&world, 1000, 1000);
    assert_eq!(rest, (6..=100).chain([103]).collect::<Vec<_>>());
    // Without a backlog there is nothing to hold back, whether it lies in memory or in sled.
    world.push(&["reading"; 10]);
    world.outbox.index().unwrap();
    assert_eq!(paced(&world, 64, 0), ((105..=114).collect(), 0));
    // A new connection: everything that waits is backlog again.
    world.outbox.reset_in_flight();
    world.outbox.connected();
    assert_eq!(paced(&world, 64, 5).1, 5);
}

#[test]
fn readings_arrive_in_their_order_after_a_short_outage_and_live_ones_first_after_a_long_one() {
    for (backlog, in_order) in [(OUTBOX_IN_ORDER_MAX, true), (OUTBOX_IN_ORDER_MAX + 1, false)] {
        let mut world = world();
        world.push(&vec!["reading"; usize::try_from(backlog).unwrap()]);
        world.outbox.connected();
        let mut sent = Vec::new();
        while sent.len() < 1200 {
            world.push(&["reading"]);
            let (taken, _) = world.outbox.take_paced(64, 10, Time::EPOCH).unwrap();
            sent.extend(taken.into_iter().map(|message| message.seq));
        }
        assert_eq!(sent.is_sorted(), in_order, "{backlog}");
    }
}

#[test]
fn a_backlog_without_receipts_does_not_hold_live_messages_back() {
    let mut world = world();
    world.push(&vec!["reading"; OUTBOX_UNRECEIPTED_MAX + 10]);
    world.outbox.connected();
    let sent = world.outbox.take_paced(10_000, 10_000, Time::EPOCH).unwrap().0;
    assert_eq!(sent.len(), OUTBOX_UNRECEIPTED_MAX, "the class waits for a receipt");
    world.push(&["reading"]);
    let live = world.outbox.take_paced(10, 10, Time::EPOCH).unwrap().0;
    assert_eq!(live.len(), 1);
}
