//! How long the close of a month takes from the tick that makes it due until its last bill is durable
//! and waits for the cloud: households with ten items each, through the real engine, journal, trees and
//! outbox. Beside it, in the same run, a bare loop that writes the same bytes and syncs as often, and a
//! naive program in Python with SQLite (`tests/money/naive_sqlite.py`) that makes the same bills: with SQLite's
//! own rollback journal and with a write-ahead log, storing their lines only and the whole of them.
//!
//! `cargo run --release -p blockgate --example month_close [FOLDER] [ROUNDS] [HOUSEHOLDS]…`
//!
//! Without numbers of households: 1,000. Up to 2,000 households are read every hour of the month, more
//! only at its begin and end. Python runs for up to 10,000 households. Time on processors stands beside each
//! time: on a machine with other work it is what can be compared.

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
    /// Time on processors of all threads, until the last bill was durable.
    worked: Duration,
    /// The same, until trees and outbox had it.
    worked_in_all: Duration,
    /// What the process held in memory at the most, in MiB.
    peak_mib: u64,
    /// Journal bytes that it wrote.
    bytes: usize,
}

/// Time that this thread has been on a processor; zero where the kernel does not tell.
fn cpu() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next().and_then(|n| n.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// Time that all threads have been on processors, to a hundredth of a second; those that have ended count too.
fn cpu_of_all() -> Duration {
    let told = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the program's name, which may hold anything: user and system time are the 12th and 13th.
    let after = told.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// The most memory that the process has held so far, in MiB.
fn peak_mib() -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
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
    let (cpu_before, all_before) = (cpu(), cpu_of_all());
    let began = Instant::now();
    hand.send(Input::Tick { now: end, clock: ClockState::Synced }).await.unwrap();
    let bills = households.unsigned_abs() * ITEMS.len() as u64;
    while board.counts.bills.get() < bills {
        look.tick().await;
    }
    let took = began.elapsed();
    let decided = cpu().saturating_sub(cpu_before);
    let worked = cpu_of_all().saturating_sub(all_before);
    while trees.applied() < board.counts.records.get() {
        look.tick().await;
    }
    let followed = began.elapsed();
    let worked_in_all = cpu_of_all().saturating_sub(all_before);
    let peak_mib = peak_mib();
    stop.cancel();
    running.await.unwrap().unwrap();
    let bytes = journal_bytes(dir) - before;
    Close { took, followed, decided, worked, worked_in_all, peak_mib, bytes }
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

/// How the naive program stores: SQLite's journal, and what of a bill.
const NAIVE: [(&str, &str); 4] =
    [("delete", "whole"), ("wal", "whole"), ("delete", "lines"), ("wal", "lines")];

/// The naive program: how long it took, and how long on a processor; nothing where there is no Python.
fn python(dir: &Path, households: i64, (journal, what): (&str, &str)) -> Option<[Duration; 2]> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/money/naive_sqlite.py");
    let mut run = std::process::Command::new("python3");
    let run = run.arg(program).arg(households.to_string()).arg(dir).args([journal, what]);
    let said = String::from_utf8_lossy(&run.output().ok()?.stdout).into_owned();
    let mut seconds = said.split_whitespace().map(|text| text.parse().ok());
    let mut next = || Some(Duration::from_secs_f64(seconds.next()??));
    Some([next()?, next()?])
}

/// The middle one.
fn median(times: impl IntoIterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
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
        let (mut ours, mut bare_loop) = (Vec::new(), Vec::new());
        let mut naive = [const { Vec::new() }; NAIVE.len()];
        for round in 0..rounds {
            let state = dir.join(round.to_string());
            let _ = std::fs::remove_dir_all(&state);
            let close = runtime.block_on(close(&state, households));
            bare_loop.push(bare(&dir.join("bare"), close.bytes));
            ours.push(close);
            std::fs::remove_dir_all(&state).unwrap();
            for (times, how) in naive.iter_mut().zip(NAIVE).filter(|_| households <= 10_000) {
                times.extend(python(&dir, households, how));
            }
        }
        let of = |time: fn(&Close) -> Duration| median(ours.iter().map(time)).unwrap_or_default();
        let bills = households * ITEMS.len() as i64;
        let bytes = ours.first().map_or(0, |close| close.bytes);
        let (took, worked) = (of(|close| close.took), of(|close| close.worked));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mib = bytes as f64 / 1_048_576.0;
        println!("{bills} bills of {households} households, {mib:.1} MiB; medians of {rounds}");
        println!("durable: {:.0} ms, {:.0} ms on processors", ms(took), ms(worked));
        println!("of it deciding, on one: {:.0} ms", ms(of(|close| close.decided)));
        println!("a bill: {:.1} µs", took.as_secs_f64() * 1e6 / bills as f64);
        let (followed, all) = (of(|close| close.followed), of(|close| close.worked_in_all));
        println!("in trees and outbox: {:.0} ms, {:.0} ms on processors", ms(followed), ms(all));
        let peak = ours.iter().map(|close| close.peak_mib).max().unwrap_or(0);
        println!("memory at the most: {peak} MiB");
        let bare_loop = median(bare_loop).unwrap_or_default();
        println!("bare write + fdatasync of as many bytes: {:.0} ms", ms(bare_loop));
        for ((journal, what), times) in NAIVE.iter().zip(&naive) {
            let (Some(time), Some(on)) =
                (median(times.iter().map(|t| t[0])), median(times.iter().map(|t| t[1])))
            else {
                continue;
            };
            println!(
                "naive Python + SQLite ({journal}, {what}): {:.0} ms, {:.0} ms on a processor; {:.1} times ours, \
                 {:.1} times by processors",
                ms(time),
                ms(on),
                time.as_secs_f64() / took.as_secs_f64(),
                on.as_secs_f64() / worked.as_secs_f64(),
            );
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
