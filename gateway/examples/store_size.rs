//! What the store costs: memory and time of a million readings in the trees, memory of a million
//! waiting entries in the outbox, and the time to open a journal of some gigabytes.
//!
//! `cargo run --release -p blockgate --example store_size [FOLDER] [RECORDS]`

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

use blockgate::outbox::{Class, Receipt};
use blockgate::store::Store;
use blockgate::store::journal::Position;
use blockgate::store::record::{Origin, encode};
use blockgate::store::trees::Applied;
use blockgate_rules::Event;
use blockgate_rules::event::{Reading, ReadingId, Verdict};
use blockgate_types::{ClockState, Decimal, MeterId, RegisterName, Time, Unit};
use std::path::PathBuf;
use std::time::Instant;

fn memory(what: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    println!("{what}: RSS {} MiB, peak {} MiB", line("VmRSS"), line("VmHWM"));
}

/// Hundred readings: ten records are one reading of each of a thousand meters, a quarter hour apart.
fn readings(n: u64) -> Event {
    let reading = |i: u64| Reading {
        meter: MeterId::new(&format!("m-{:04}", n % 10 * 100 + i)).unwrap(),
        register: RegisterName::new("energy_import").unwrap(),
        at: Time::from_millis(1_767_225_600_000 + (n / 10 * 900_000 + i) as i64),
        value: Decimal::new((n * 100 + i) as i64, 2),
        unit: Unit::KilowattHour,
        verdict: Verdict::Accepted {
            from: ReadingId { seq: n, index: 0 },
            used: Decimal::new(25, 2),
        },
    };
    Event::Reading { readings: (0..100).map(reading).collect() }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "store-size".to_owned()));
    let records: u64 = args.next().map_or(40_000, |n| n.parse().unwrap());
    let _ = std::fs::remove_dir_all(&dir);
    memory("before anything");
    let (store, block, _) = Store::open(&dir).unwrap();
    memory("an empty store open");

    let (mut took, mut longest) = (0, 0);
    for seq in 1..=10_000 {
        let (time, position) = (Time::EPOCH, Position::default());
        let event = readings(seq);
        let start = Instant::now();
        store.trees.apply(&[Applied { seq, time, record: &event, position }]).unwrap();
        let ns = start.elapsed().as_nanos();
        (took, longest) = (took + ns, longest.max(ns));
    }
    let each = took / 1_000_000;
    println!(
        "a million readings applied: {each} ns each, the slowest hundred {} us",
        longest / 1000
    );
    memory("after a million readings");
    let start = Instant::now();
    store.trees.durable().unwrap();
    println!("made durable in {} ms", start.elapsed().as_millis());
    memory("after that");

    let start = Instant::now();
    for seq in 1..=1_000_000 {
        store.outbox.push(&[(seq, Class::Reading, Position { segment: seq, offset: 64 })]).unwrap();
    }
    println!("a million entries pushed: {} ns each", start.elapsed().as_nanos() / 1_000_000);
    memory("with a million waiting entries");
    let start = Instant::now();
    store.outbox.receipt(&Receipt { through: Some(1_000_000), ..Receipt::default() }).unwrap();
    for _ in 0..2_000 {
        store.outbox.tend(Time::EPOCH).unwrap();
    }
    println!("all of them removed in {} ms", start.elapsed().as_millis());
    memory("after that");
    drop((store, block));

    std::fs::remove_dir_all(&dir).unwrap();
    let (mut journaled, mut block, _) = Store::open(&dir).unwrap();
    let origin =
        Origin { source: "/blockgate/t/g".to_owned(), boot: "5f0c12ab".to_owned(), epoch: None };
    let mut payload = Vec::new();
    for seq in 1..=records {
        let event = readings(seq);
        payload.clear();
        let (time, clock) = (Time::EPOCH, ClockState::Synced);
        encode(&origin, seq, time, clock, &event, &mut payload).unwrap();
        journaled.journal.append(&payload).unwrap();
        block.apply(seq, &event);
        if seq % 10 == 0 {
            let batch = journaled.journal.cut().unwrap().unwrap();
            let committed = batch.commit().unwrap();
            for (seq, position) in committed.records() {
                let (time, record) = (Time::EPOCH, &event);
                journaled.trees.apply(&[Applied { seq, time, record, position }]).unwrap();
                journaled.outbox.push(&[(seq, Class::Reading, position)]).unwrap();
            }
            journaled
                .outbox
                .receipt(&Receipt { through: Some(seq), ..Receipt::default() })
                .unwrap();
        }
        if seq == records - 1_000 {
            let batch = journaled.journal.cut().unwrap();
            assert!(batch.is_none());
            journaled.saver().save(&journaled.checkpoint(&block).unwrap()).unwrap();
        }
    }
    journaled.outbox.save().unwrap();
    memory("after journaling");
    drop(journaled);
    let start = Instant::now();
    let (_store, _, found) = Store::open(&dir).unwrap();
    println!(
        "{records} records opened in {} ms, {} replayed",
        start.elapsed().as_millis(),
        found.replayed
    );
    memory("opened again");
    std::fs::remove_dir_all(&dir).unwrap();
}
