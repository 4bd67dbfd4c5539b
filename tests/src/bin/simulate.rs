//! Lives through simulated months, two at a time on two cores, and says what is wrong.
//!
//! ```sh
//! cargo run --release -p blockgate-e2e --bin simulate -- --seeds 200
//! cargo run --release -p blockgate-e2e --bin simulate -- --seed 42          # one of them again
//! cargo run --release -p blockgate-e2e --bin simulate -- --canary sync      # must be caught
//! ```
//!
//! Exit code 0: all is well (with a canary: it was caught); 1: not so.
#![allow(clippy::print_stdout, reason = "standard output is what a program like this is for")]

use blockgate_e2e::sim::{Canary, Report, run};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

struct Asked {
    first: u64,
    seeds: u64,
    days: u32,
    canary: Canary,
    word: &'static str,
    twice: bool,
    threads: usize,
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
                trace: String::new(),
                lives: 0,
                records: 0,
                duplicates: 0,
                faults: std::collections::BTreeMap::new(),
                wrong: Some("a panic; it stands above".to_owned()),
            }
        })
    };
    let mut report = once();
    if asked.twice && report.wrong.is_none() && once().trace != report.trace {
        report.wrong = Some("the same seed was another month the second time".to_owned());
    }
    report
}

fn main() -> ExitCode {
    let Some(asked) = asked() else {
        eprintln!(
            "simulate [--seeds N] [--days N] [--from N] [--seed N] [--twice] [--canary sync|fen] [--threads N]"
        );
        return ExitCode::from(2);
    };
    let next = AtomicU64::new(asked.first);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..asked.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let caught = |r: &Report| asked.canary != Canary::None && r.wrong.is_some();
                    let reports = || reports.lock().unwrap_or_else(PoisonError::into_inner);
                    if seed >= asked.first + asked.seeds || reports().iter().any(caught) {
                        return;
                    }
                    let report = month(seed, &asked);
                    if asked.seeds == 1 {
                        println!("{report:#?}");
                    }
                    if let Some(wrong) = &report.wrong {
                        println!("seed {seed}: {wrong}");
                        println!(
                            "  again: cargo run --release -p blockgate-e2e --bin simulate -- --seed {seed} --days {}{}",
                            asked.days, asked.word
                        );
                    }
                    reports().push(report);
                }
            });
        }
    });
    let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (lives, records) = (sum(|r| r.lives.into()), sum(|r| r.records));
    let faults = sum(|r| r.faults.values().map(|n| u64::from(*n)).sum());
    let wrong = reports.iter().filter(|r| r.wrong.is_some()).count();
    println!(
        "{} months, {lives} starts, {faults} faults, {records} events at the cloud, {} of them again: {wrong} wrong",
        reports.len(),
        sum(|r| r.duplicates)
    );
    let good = if asked.canary == Canary::None { wrong == 0 } else { wrong > 0 };
    if good { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
