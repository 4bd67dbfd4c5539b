//! How long the close of a month takes from the tick that makes it due until its last bill is durable
//! and waits for the cloud: 1,000 households with eight lines each, through the real engine, journal,
//! trees and outbox. Beside it a bare loop that writes the same bytes and syncs as often.
//!
//! `cargo run --release -p blockgate --example month_close [FOLDER] [ROUNDS]`

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

const HOUSEHOLDS: i64 = 1_000;
/// Item, tariff, and whether it is metered.
const ITEMS: [(&str, &str, bool); 8] = [
    ("electricity", "electricity-tiered", true),
    ("electricity-2", "electricity-tiered-year", true),
    ("electricity-3", "electricity-tou", true),
    ("electricity-4", "electricity-tiered-tou", true),
    ("water", "electricity-tiered", true),
    ("gas", "electricity-tiered-year", true),
    ("property", "property-fee", false),
    ("garbage", "garbage-fee", false),
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

fn setup() -> Setup {
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
    for n in 0..HOUSEHOLDS {
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

async fn close(dir: &Path) -> (Duration, Duration, usize) {
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
    let origin = Origin { source: "/blockgate/t/g".to_owned(), boot: "example".to_owned() };
    let (hand, inbox) = mpsc::channel(4096);
    let (errand, _errands) = mpsc::channel(1);
    let (_door, orders) = CommandDoor::new();
    let stop = CancellationToken::new();
    let engine = Engine::new(store, block, shared, origin, Duration::from_secs(1), errand);
    let running = tokio::spawn(engine.run(inbox, orders, stop.clone()));
    let setup = Box::new(setup());
    hand.send(Input::Setup { now: start, setup }).await.unwrap();
    hand.send(Input::Tick { now: start, clock: ClockState::Synced }).await.unwrap();
    for hour in 0..=hours {
        let at = start.plus(Span::from_hours(hour));
        if hour < hours {
            clock.0.store(at.as_millis(), Ordering::Relaxed);
        }
        for household in 0..HOUSEHOLDS {
            hand.send(reading(&specs, household, at, hour)).await.unwrap();
        }
    }
    let mut look = tokio::time::interval(Duration::from_millis(1));
    while board.counts.readings.get() < (HOUSEHOLDS * (hours + 1)).unsigned_abs() {
        look.tick().await;
    }
    let before = journal_bytes(dir);
    clock.0.store(end.as_millis(), Ordering::Relaxed);
    let began = Instant::now();
    hand.send(Input::Tick { now: end, clock: ClockState::Synced }).await.unwrap();
    let bills = HOUSEHOLDS.unsigned_abs() * ITEMS.len() as u64;
    while board.counts.bills.get() < bills {
        look.tick().await;
    }
    let took = began.elapsed();
    while trees.applied() < board.counts.records.get() {
        look.tick().await;
    }
    let followed = began.elapsed();
    stop.cancel();
    running.await.unwrap().unwrap();
    (took, followed, journal_bytes(dir) - before)
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

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "month-close".to_owned()));
    let rounds: usize = args.next().map_or(5, |n| n.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut ours, mut all, mut theirs, mut size) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let state = dir.join(round.to_string());
        let _ = std::fs::remove_dir_all(&state);
        let (took, followed, bytes) = runtime.block_on(close(&state));
        let file = dir.join("bare");
        theirs.push(bare(&file, bytes));
        ours.push(took);
        all.push(followed);
        size = bytes;
        std::fs::remove_dir_all(&state).unwrap();
    }
    ours.sort_unstable();
    all.sort_unstable();
    theirs.sort_unstable();
    let (ours, all, theirs) = (ours[rounds / 2], all[rounds / 2], theirs[rounds / 2]);
    let (bills, mib) = (HOUSEHOLDS * 8, size as f64 / 1_048_576.0);
    println!("medians of {rounds} rounds: {bills} bills of {HOUSEHOLDS} households, {mib:.1} MiB");
    println!("durable in {} ms", ours.as_millis());
    println!("in trees and outbox in {} ms", all.as_millis());
    println!("bare write + fdatasync of as many bytes {} ms", theirs.as_millis());
    println!("ratio {:.1}", ours.as_secs_f64() / theirs.as_secs_f64());
    std::fs::remove_dir_all(&dir).unwrap();
}
