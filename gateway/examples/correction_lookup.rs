//! How long the look-up of a correction's bills takes among many, and what of it the engine waits for
//! (nothing: it runs beside it). Beside it, in the same run, reading every bill's record as a plain
//! filter would.
//!
//! `cargo run --release -p blockgate --example correction_lookup [FOLDER] [BILLS]`

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

use blockgate::store::Store;
use blockgate::store::record::{self, Origin};
use blockgate::store::trees::{Applied, BillFilter};
use blockgate_rules::correction::{Correction, Ground, What};
use blockgate_rules::{Event, Fen};
use blockgate_types::{ClockState, Decimal, Time};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

fn bill(n: u64) -> Event {
    let (household, month) = (n % 1_000, n / 1_000 % 240);
    let day = |month: u64| format!("{:04}-{:02}-01", 2007 + month / 12, month % 12 + 1);
    let point = |k: u64| json!({ "reading": format!("{}.0", n + k), "at": "2026-01-01T00:00:00Z", "value": "1" });
    serde_json::from_value(json!({
        "kind": "bill", "bill": format!("bill-{n}"), "account": format!("a-{household}"),
        "item": "electricity", "period": { "from": day(month), "to": day(month + 1),
        "zone": "Asia/Shanghai" }, "tariff": "t-1", "tariff_revision": "2026-01-01/3fa9",
        "revision": 0, "currency": "CNY", "lines": [{ "label": { "zh": "电", "en": "electricity" },
        "quantity": "1", "unit": "kWh", "unit_price": "0.5", "exact": "0.5", "amount_fen": 50 }],
        "total_fen": 50, "evidence": [{ "meter": format!("m-{household}"),
        "register": "energy_import", "from": point(0), "to": point(1), "multiplier": "1",
        "used": "1", "unit": "kWh" }], "issued_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "correction-lookup".to_owned()));
    let count: u64 = args.next().map_or(200_000, |n| n.parse().unwrap());
    let _ = std::fs::remove_dir_all(&dir);
    let (mut store, _, _) = Store::open(&dir).unwrap();
    let origin =
        Origin { source: "/blockgate/t/g".to_owned(), boot: "example".to_owned(), epoch: None };
    let mut batch = Vec::new();
    for n in 0..count {
        let (seq, event) = (store.journal.next_seq(), bill(n));
        let mut payload = Vec::new();
        let (time, clock) = (Time::EPOCH, ClockState::Synced);
        record::encode(&origin, seq, time, clock, &event, &mut payload).unwrap();
        store.journal.append(&payload).unwrap();
        batch.push((seq, event));
        if batch.len() == 200 || n + 1 == count {
            let committed = store.journal.cut().unwrap().unwrap().commit().unwrap();
            let places: Vec<_> = committed.records().collect();
            let applied: Vec<Applied<'_>> = places
                .iter()
                .zip(&batch)
                .map(|((seq, position), (_, record))| Applied {
                    seq: *seq,
                    time,
                    record,
                    position: *position,
                })
                .collect();
            store.trees.apply(&applied).unwrap();
            batch.clear();
        }
    }
    let said = || "example".to_owned();
    let what = What::Reading {
        meter: "m-7".parse().unwrap(),
        register: "energy_import".parse().unwrap(),
        reading: "8.0".parse().unwrap(),
        value: Decimal::ONE,
    };
    let ground = Ground { reason: said(), evidence: said(), approver: said(), limit: said() };
    let since = "2007-01-01".to_owned();
    let correction = Correction { ground, since, threshold_fen: Fen(0), what };
    let began = Instant::now();
    let found = store.trees.bills_of_correction(&correction, 200_000).unwrap().len();
    let ours = began.elapsed();
    let began = Instant::now();
    let all = store.trees.bills(&BillFilter::default(), None, usize::MAX).unwrap().len();
    let plain = began.elapsed();
    println!("{found} of {all} bills in {} ms, off the engine's thread", ours.as_millis());
    println!("reading every record: {} ms", plain.as_millis());
    println!("ratio {:.1}", plain.as_secs_f64() / ours.as_secs_f64());
    std::fs::remove_dir_all(&dir).unwrap();
}
