//! The power goes, or the disk fails, at every single call of a run; and every bit flips.

use super::*;
use crate::store::faulty::{Fault, FaultyDisk};

const SEGMENT: u64 = 2048;

fn payload(seq: u64, run: u64) -> Vec<u8> {
    format!("{{\"seq\":{seq},\"run\":{run},\"pad\":\"{}\"}}", "x".repeat(seq as usize * 7 % 90))
        .into()
}

fn options(disk: &FaultyDisk) -> Options {
    Options { disk: Arc::new(disk.clone()), segment_bytes: SEGMENT, at_least: 0 }
}

/// Appends 120 records in batches of 1 to 5 until the disk fails; gives the last acknowledged seq.
fn run(disk: &FaultyDisk, number: u64) -> Result<u64, u64> {
    let Ok((mut journal, _)) = Journal::open(Path::new("/j"), options(disk)) else { return Err(0) };
    let mut acknowledged = journal.durable();
    let end = acknowledged + 120;
    while journal.next_seq() <= end {
        for _ in 0..=journal.next_seq() % 5 {
            let seq = journal.next_seq();
            journal.append(&payload(seq, number)).unwrap();
        }
        if let Some(errand) = journal.errand() {
            let _ = errand.run();
        }
        let batch = journal.cut().unwrap().unwrap();
        match batch.commit() {
            Ok(committed) => acknowledged = committed.through,
            Err(_) => {
                assert!(matches!(journal.cut(), Err(JournalError::Broken)));
                return Err(acknowledged);
            }
        }
    }
    Ok(acknowledged)
}

/// Every acknowledged record is there, unchanged and in order, and the chain holds.
fn judge(disk: &FaultyDisk, acknowledged: u64, what: &str) {
    let opened = Journal::open(Path::new("/j"), options(disk));
    let (journal, _) = opened.unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut reader = journal.records().from(1);
    let mut seen = 0;
    while let Some(item) = reader.read().unwrap_or_else(|e| panic!("{what}: {e}")) {
        seen += 1;
        assert_eq!(item.seq, seen, "{what}");
        let ours = [1, 2].map(|number| payload(seen, number));
        assert!(ours.iter().any(|p| p == item.payload), "{what}: record {seen}");
    }
    assert!(seen >= acknowledged, "{what}: {acknowledged} acknowledged, {seen} there");
    let verdict = verify(disk, Path::new("/j")).unwrap();
    assert_eq!((verdict.last, verdict.damage, verdict.cut), (seen, vec![], None), "{what}");
    assert_eq!(verdict.head, reader.hash().to_string(), "{what}");
}

// invariant 1
// invariant 2
#[test]
fn no_acknowledged_record_is_lost_when_the_power_goes_at_any_call() {
    for seed in [3, 7_919, 104_729] {
        let mut at = 1;
        loop {
            let disk = FaultyDisk::with_fault(at, Fault::Cut, seed * 31 + at);
            let acknowledged = run(&disk, 1).unwrap_or_else(|acknowledged| acknowledged);
            if !disk.struck() {
                break;
            }
            let what = format!("seed {seed}, cut at call {at}");
            let after = disk.after_the_cut();
            judge(&after, acknowledged, &what);
            // Life goes on behind the cut, over whatever had lain there.
            let again = run(&after, 2).unwrap_or_else(|_| panic!("{what}: the second run failed"));
            judge(&after, again, &what);
            at += 1;
        }
        assert!(at > 100, "the run had only {at} calls");
    }
}

// invariant 1
#[test]
fn no_acknowledged_record_is_lost_when_any_call_fails() {
    let mut at = 1;
    loop {
        let disk = FaultyDisk::with_fault(at, Fault::Error, at);
        let acknowledged = run(&disk, 1).unwrap_or_else(|acknowledged| acknowledged);
        if !disk.struck() {
            break;
        }
        judge(&disk, acknowledged, &format!("error at call {at}"));
        judge(&disk.after_the_cut(), acknowledged, &format!("error at call {at}, then a cut"));
        at += 1;
    }
    assert!(at > 100, "the run had only {at} calls");
}

// invariant 2
#[test]
fn a_flipped_bit_is_found_at_its_place_or_lies_where_nothing_was_acknowledged() {
    let disk = FaultyDisk::default();
    let (mut journal, _) = Journal::open(Path::new("/j"), options(&disk)).unwrap();
    let mut batches = Vec::new();
    for _ in 0..4 {
        for _ in 0..3 {
            let seq = journal.next_seq();
            journal.append(&payload(seq, 1)).unwrap();
        }
        batches.push(journal.cut().unwrap().unwrap().commit().unwrap());
    }
    drop(journal);
    let file = segment_path(Path::new("/j"), 1);
    let places: Vec<_> = batches.iter().flat_map(|b| b.positions.clone()).collect();
    let end_of = |i: usize| places.get(i + 1).map_or(SEGMENT, |p| u64::from(p.offset));
    for byte in 0..SEGMENT {
        let bit = (byte * 5 % 8) as u8;
        let hurt = disk.after_the_cut();
        hurt.flip(&file, byte as usize, bit);
        let what = format!("bit {bit} of byte {byte}");
        let record = (0..places.len()).find(|i| byte < end_of(*i)).unwrap();
        match Journal::open(Path::new("/j"), options(&hurt)) {
            Err(JournalError::Damaged(damage)) => {
                let header = byte < HEADER as u64;
                let place = if header { 0 } else { u64::from(places[record].offset) };
                let seq = if header { 1 } else { record as u64 + 1 };
                assert_eq!((damage.offset, damage.seq), (place, seq), "{what}");
            }
            Err(other) => panic!("{what}: {other}"),
            Ok((journal, opened)) => {
                // Only the newest batch, which no later record vouches for, or the zeros after it.
                assert!(record >= 9 && byte >= u64::from(places[9].offset), "{what}: {opened:?}");
                judge(&hurt, opened.next_seq - 1, &what);
                assert!(opened.next_seq > record as u64, "{what}");
                drop(journal);
                let known = Options { at_least: 12, ..options(&hurt) };
                let lost = opened.next_seq <= 12;
                assert_eq!(Journal::open(Path::new("/j"), known).is_err(), lost, "{what}");
            }
        }
    }
}
