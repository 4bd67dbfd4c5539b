//! How long the close of a month takes from the tick that makes it due until its last bill is durable
//! and waits for the cloud: households with ten items each, through the real engine, journal, trees and
//! outbox. Beside it, in the same run, a bare loop that writes the same bytes and syncs as often, and a
//! naive program in Python with SQLite (`tests/money/naive_sqlite.py`).
//!
//! `cargo run --release -p blockgate --example month_close [FOLDER] [ROUNDS] [HOUSEHOLDS]…`
//!
//! Without numbers of households: 1,000. Up to 2,000 households are read every hour of the month, more
//! only at its begin and end.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

use blockgate::board::Board;
use blockgate::command::CommandDoor;
use blockgate::engine::{Engine, Shared};
use blockgate::limits::COMMIT_BYTES_MAX;
use blockgate::ports::Clock;
use blockgate::store::Store;
use blockgate::store::record::Origin;
use blockgate_rules::Input;
use blockgate_rules::setup::{AccountSetup, BillingRegister, Charge, MeterSetup, Setup};
use blockgate_rules::tariff::TariffFile;
use blockgate_types::{
    ClockState, Decimal, MeterId, Observation, RegisterName, RegisterSpec, Role, Span, Time, Unit,
    Values,
};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Item, tariff, and whether it is metered.
const ITEMS: [(&str, &str, bool); 10] = [
    ("electricity", "electricity-tiered", true),
    ("electricity-2", "electricity-tiered-year", true),
    ("electricity-3", "electricity-tou", true),
    ("electricity-4", "electricity-tiered-tou", true),
    ("water", "electricity-tiered", true),
    ("gas", "electricity-tiered-year", true),
    ("property", "property-fee", false),
    ("garbage", "garbage-fee", false),
    ("parking", "garbage-fee", false),
    ("security", "property-fee", false),
];

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Time {
        Time::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

fn setup(households: i64) -> Setup {
    let files = [
        include_str!("../../rules/tariffs/electricity.toml"),
        include_str!("../../rules/tariffs/water.toml"),
        include_str!("../../rules/tariffs/property.toml"),
    ];
    let mut setup = Setup {
        zone: "Asia/Shanghai".to_owned(),
        close_grace: Span::from_hours(48),
        ..Setup::default()
    };
    for text in files {
        setup.tariffs.extend(TariffFile::parse(text, "").unwrap());
    }
    for n in 0..households {
        let meter = MeterId::new(&format!("m-{n:04}")).unwrap();
        let register = BillingRegister {
            name: RegisterName::new("energy_import").unwrap(),
            unit: Unit::KilowattHour,
            decimals: 2,
            rollover_at: None,
            max_per_hour: Decimal::from(20),
        };
        let of_meter = MeterSetup {
            profile: "example".to_owned(),
            registers: vec![register],
            multiplier: Decimal::ONE,
            record_every: Span::ZERO,
            stuck_after: None,
            offline_after: Span::from_hours(2),
            controls: std::collections::BTreeSet::new(),
        };
        setup.meters.insert(meter.clone(), of_meter);
        let charge = |(item, tariff, metered): (&str, &str, bool)| {
            let meter = metered.then(|| meter.clone());
            let charge = Charge { meter, ..Charge::of(tariff.parse().unwrap()) };
            (item.parse().unwrap(), charge)
        };
        let account = AccountSetup {
            building: "1".to_owned(),
            area_m2: Some(Decimal::new(8953, 2)),
            persons: Some(3),
            charges: ITEMS.into_iter().map(charge).collect(),
            ..AccountSetup::default()
        };
        setup.accounts.insert(format!("a-{n:04}").parse().unwrap(), account);
    }
    setup
}

fn reading(specs: &Arc<[RegisterSpec]>, household: i64, at: Time, hour: i64) -> Input {
    let meter = MeterId::new(&format!("m-{household:04}")).unwrap();
    let values = vec![Some(Decimal::new(100_000 + hour * 37, 2))];
    let outcome = Ok(Values { specs: specs.clone(), values });
    Input::Observed(Observation { meter, at, outcome })
}

/// The bytes of all journal files up to their zeros, without their heads' size being known here.
fn journal_bytes(state: &Path) -> usize {
    let files = std::fs::read_dir(state.join("journal")).unwrap();
    let used = |path: PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1)
    };
    files.map(|entry| used(entry.unwrap().path())).sum()
}

/// What one close took.
struct Close {
    /// Until its last bill was durable.
    took: Duration,
    /// Until trees and outbox had it.
    followed: Duration,
    /// Time on a processor of the thread that decides, until the last bill was durable.
    decided: Duration,
    /// Journal bytes that it wrote.
    bytes: usize,
}

/// Time that this thread has been on a processor; zero where the kernel does not tell.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

async fn close(dir: &Path, households: i64) -> Close {
    let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
        name: RegisterName::new("energy_import").unwrap(),
        unit: Unit::KilowattHour,
        role: Role::Billing,
        decimals: 2,
        rollover_digits: None,
    }]);
    let start: Time = "2026-03-01T00:00:00+08:00".parse().unwrap();
    let hours = 31 * 24;
    let end = start.plus(Span::from_hours(hours));
    let clock = Arc::new(SetClock(AtomicI64::new(start.as_millis())));
    let (store, block, _) = Store::open(dir).unwrap();
    let board = Arc::new(Board::default());
    let trees = store.trees.clone();
    let shared = Arc::new(Shared {
        board: board.clone(),
        trees: store.trees.clone(),
        outbox: store.outbox.clone(),
        clock: clock.clone(),
        durable: broadcast::channel(16).0,
    });
    let origin =
        Origin { source: "/blockgate/t/g".to_owned(), boot: "example".to_owned(), epoch: None };
    let (hand, inbox) = mpsc::channel(4096);
    let (errand, _errands) = mpsc::channel(1);
    let (_door, orders) = CommandDoor::new();
    let stop = CancellationToken::new();
    let engine = Engine::new(store, block, shared, origin, Duration::from_secs(1), errand);
    let running = tokio::spawn(engine.run(inbox, orders, stop.clone()));
    let setup = Box::new(setup(households));
    hand.send(Input::Setup { now: start, setup }).await.unwrap();
    hand.send(Input::Tick { now: start, clock: ClockState::Synced }).await.unwrap();
    let every = if households > 2_000 { hours } else { 1 };
    for hour in (0..=hours).step_by(usize::try_from(every).unwrap()) {
        let at = start.plus(Span::from_hours(hour));
        if hour < hours {
            clock.0.store(at.as_millis(), Ordering::Relaxed);
        }
        for household in 0..households {
            hand.send(reading(&specs, household, at, hour)).await.unwrap();
        }
    }
    let mut look = tokio::time::interval(Duration::from_millis(1));
    let readings = households * (hours / every + 1);
    while board.counts.readings.get() < readings.unsigned_abs() {
        look.tick().await;
    }
    let before = journal_bytes(dir);
    clock.0.store(end.as_millis(), Ordering::Relaxed);
    let cpu_before = cpu();
    let began = Instant::now();
    hand.send(Input::Tick { now: end, clock: ClockState::Synced }).await.unwrap();
    let bills = households.unsigned_abs() * ITEMS.len() as u64;
    while board.counts.bills.get() < bills {
        look.tick().await;
    }
    let took = began.elapsed();
    let decided = cpu().saturating_sub(cpu_before);
    while trees.applied() < board.counts.records.get() {
        look.tick().await;
    }
    let followed = began.elapsed();
    stop.cancel();
    running.await.unwrap().unwrap();
    Close { took, followed, decided, bytes: journal_bytes(dir) - before }
}

/// Writes as many bytes into a file of zeros, a sync after each [`COMMIT_BYTES_MAX`].
fn bare(file: &Path, bytes: usize) -> Duration {
    let mut out = File::create(file).unwrap();
    out.write_all(&vec![0; bytes + COMMIT_BYTES_MAX]).unwrap();
    out.sync_all().unwrap();
    let mut out = File::options().write(true).open(file).unwrap();
    let block = vec![b'x'; COMMIT_BYTES_MAX];
    let began = Instant::now();
    for _ in 0..bytes.div_ceil(COMMIT_BYTES_MAX) {
        out.write_all(&block).unwrap();
        out.sync_data().unwrap();
    }
    began.elapsed()
}

/// The naive program; nothing where there is no Python.
fn python(dir: &Path, households: i64) -> Option<Duration> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/money/naive_sqlite.py");
    let mut run = std::process::Command::new("python3");
    let run = run.arg(program).arg(households.to_string()).arg(dir).output().ok()?;
    let seconds: f64 = String::from_utf8_lossy(&run.stdout).trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "month-close".to_owned()));
    let rounds: usize = args.next().map_or(5, |n| n.parse().unwrap());
    let mut sizes: Vec<i64> = args.map(|n| n.parse().unwrap()).collect();
    if sizes.is_empty() {
        sizes.push(1_000);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for households in sizes {
        let (mut ours, mut all, mut theirs, mut size) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let (mut naive, mut decided) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let state = dir.join(round.to_string());
            let _ = std::fs::remove_dir_all(&state);
            let Close { took, followed, decided: cpu, bytes } =
                runtime.block_on(close(&state, households));
            let file = dir.join("bare");
            theirs.push(bare(&file, bytes));
            ours.push(took);
            all.push(followed);
            decided.push(cpu);
            naive.extend(python(&dir, households));
            size = bytes;
            std::fs::remove_dir_all(&state).unwrap();
        }
        for list in [&mut ours, &mut all, &mut theirs, &mut naive, &mut decided] {
            list.sort_unstable();
        }
        let (ours, all, theirs) = (ours[rounds / 2], all[rounds / 2], theirs[rounds / 2]);
        let (bills, mib) = (households * ITEMS.len() as i64, size as f64 / 1_048_576.0);
        println!(
            "medians of {rounds} rounds: {bills} bills of {households} households, {mib:.1} MiB"
        );
        println!("durable in {} ms", ours.as_millis());
        println!("of it deciding {} ms of a processor", decided[rounds / 2].as_millis());
        println!("per 1,000 households {:.1} ms", ours.as_secs_f64() * 1e6 / households as f64);
        println!("in trees and outbox in {} ms", all.as_millis());
        println!("bare write + fdatasync of as many bytes {} ms", theirs.as_millis());
        println!("ratio to the bare write {:.1}", ours.as_secs_f64() / theirs.as_secs_f64());
        if let Some(naive) = naive.get(naive.len() / 2) {
            println!("naive Python + SQLite {} ms", naive.as_millis());
            let ratio = naive.as_secs_f64() / ours.as_secs_f64();
            println!("faster than naive Python + SQLite by {ratio:.1}");
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
