//! Lives through simulated months, two at a time on two cores, and says what is wrong.
//!
//! ```sh
//! cargo run --release -p blockgate-e2e --bin simulate -- --seeds 1000
//! cargo run --release -p blockgate-e2e --bin simulate -- --seed 42          # one of them again
//! cargo run --release -p blockgate-e2e --bin simulate -- --seed 42 --story FILE  # and all that came of it
//! cargo run -p blockgate-e2e --features canary-sync --bin simulate -- --days 3
//! ```
//!
//! The last one is a build of the gateway with a planted bug (`canary-sync`: the journal's fdatasync is
//! forgotten; `canary-fen`: fractions of a fen are dropped): it must be caught. `--canary sync|fen` plants the
//! like in the simulated surroundings of a right gateway.
//!
//! Exit code 0: all is well (with a canary: it was caught); 1: not so. Progress goes to standard error.
#![allow(clippy::print_stdout, reason = "standard output is what a program like this is for")]

use blockgate_e2e::sim::world::EDGES;
use blockgate_e2e::sim::{Canary, Report, Story, run};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How the program itself was built to be wrong: arguments of cargo that build it so again.
const BUILD: &str = match (cfg!(feature = "canary-sync"), cfg!(feature = "canary-fen")) {
    (true, false) => "--features canary-sync ",
    (false, true) => "--features canary-fen ",
    (true, true) => "--features canary-sync,canary-fen ",
    (false, false) => "--release ",
};
/// Whether something must be caught.
const PLANTED: bool = cfg!(any(feature = "canary-sync", feature = "canary-fen"));
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

struct Asked {
    first: u64,
    seeds: u64,
    days: u32,
    canary: Canary,
    word: &'static str,
    twice: bool,
    story: Option<PathBuf>,
    threads: usize,
}

impl Asked {
    /// Whether one month that is wrong is what this run is for.
    fn must_catch(&self) -> bool {
        PLANTED || self.canary != Canary::None
    }
}

fn asked() -> Option<Asked> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut asked = Asked {
        first: 1,
        seeds: 200,
        days: 31,
        canary: Canary::None,
        word: "",
        twice: false,
        story: None,
        threads: cores,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--twice" {
            asked.twice = true;
            continue;
        }
        let value = arguments.next()?;
        match name.as_str() {
            "--seeds" => asked.seeds = value.parse().ok()?,
            "--days" => asked.days = value.parse().ok()?,
            "--from" => asked.first = value.parse().ok()?,
            "--seed" => (asked.first, asked.seeds) = (value.parse().ok()?, 1),
            "--story" => asked.story = Some(value.into()),
            "--threads" => asked.threads = value.parse().ok()?,
            "--canary" => {
                (asked.canary, asked.word) = match value.as_str() {
                    "sync" => (Canary::SkippedSync, " --canary sync"),
                    "fen" => (Canary::DroppedFen, " --canary fen"),
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(asked)
}

/// The month of a seed; a panic is a finding like any other.
fn month(seed: u64, asked: &Asked) -> Report {
    let once = || {
        std::panic::catch_unwind(|| run(seed, asked.days, asked.canary)).unwrap_or_else(|_| {
            Report {
                seed,
                edge: EDGES[0],
                trace: String::new(),
                story: Story::default(),
                lives: 0,
                records: 0,
                duplicates: 0,
                faults: std::collections::BTreeMap::new(),
                wrong: Some("a panic; it stands above".to_owned()),
            }
        })
    };
    let mut report = once();
    if let Some(file) = &asked.story
        && let Err(error) = std::fs::write(file, report.story.0.join("\n"))
    {
        eprintln!("{}: {error}", file.display());
    }
    if asked.twice
        && report.wrong.is_none()
        && let Some((line, first, second)) = report.story.parts_from(&once().story)
    {
        report.wrong = Some(format!(
            "the same seed was another month the second time, from line {line} on:\n  {first}\n  {second}"
        ));
    }
    report
}

/// Months so far, told now and then.
struct Told {
    began: Instant,
    last: Instant,
}

#[allow(clippy::disallowed_methods, reason = "a program that says how long it takes")]
fn now() -> Instant {
    Instant::now()
}

impl Told {
    fn tell(&mut self, asked: &Asked, reports: &[Report]) {
        let now = now();
        if now.duration_since(self.last) < TELL_EVERY {
            return;
        }
        self.last = now;
        let wrong = reports.iter().filter(|r| r.wrong.is_some()).count();
        let (done, took) = (reports.len() as u64, now.duration_since(self.began).as_millis());
        let each = took / u128::from(done.max(1));
        let left = u128::from(asked.seeds.saturating_sub(done)) * each / 1000;
        eprintln!("{done} of {} months, {each} ms each, {left} s left, {wrong} wrong", asked.seeds);
    }
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprintln!(
            "simulate [--seeds N] [--days N] [--from N] [--seed N] [--twice] [--story FILE] [--canary sync|fen] [--threads N]"
        );
        return ExitCode::from(2);
    };
    let next = AtomicU64::new(asked.first);
    let began = now();
    let reports = Mutex::new((Vec::<Report>::new(), Told { began, last: began }));
    std::thread::scope(|scope| {
        for _ in 0..asked.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let reports = || reports.lock().unwrap_or_else(PoisonError::into_inner);
                    let caught = || reports().0.iter().any(|r| r.wrong.is_some());
                    if seed >= asked.first + asked.seeds || (asked.must_catch() && caught()) {
                        return;
                    }
                    let mut report = month(seed, &asked);
                    if asked.seeds == 1 {
                        println!("{report:#?}");
                    }
                    if let Some(wrong) = &report.wrong {
                        println!("seed {seed} ({}, {}): {wrong}", report.edge.zone, report.edge.day);
                        println!(
                            "  again: cargo run {BUILD}-p blockgate-e2e --bin simulate -- --seed {seed} --days {}{}",
                            asked.days, asked.word
                        );
                    }
                    report.story = Story::default(); // a thousand of them would fill the memory
                    let mut reports = reports();
                    reports.0.push(report);
                    let (reports, told) = &mut *reports;
                    told.tell(&asked, reports);
                }
            });
        }
    });
    let (reports, _) = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (lives, records) = (sum(|r| r.lives.into()), sum(|r| r.records));
    let faults = sum(|r| r.faults.values().map(|n| u64::from(*n)).sum());
    let wrong = reports.iter().filter(|r| r.wrong.is_some()).count();
    println!(
        "{} months, {lives} starts, {faults} faults, {records} events at the cloud, {} of them again: {wrong} wrong, \
         in {} s",
        reports.len(),
        sum(|r| r.duplicates),
        now().duration_since(began).as_secs()
    );
    if asked.must_catch() {
        println!("the planted bug was {}", if wrong > 0 { "caught" } else { "NOT caught" });
    }
    if asked.must_catch() == (wrong > 0) { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
