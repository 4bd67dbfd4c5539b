//! 3,000 meters of four protocols on 47 simulated lines, each read every quarter of an hour by the whole
//! gateway (lines, engine, journal with its fsyncs, trees), and how much of one core that takes.
//!
//! ```text
//! taskset -c 0 cargo run --release -p blockgate --example block_of_3000 -- FOLDER [HOURS]
//! ```
//!
//! The field's time is paused: the quarter-hours pass as fast as the machine can. What it prints is the
//! process's CPU time, all threads, with the simulated meters' own share in it.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use blockgate::config::{Config, Text};
use blockgate::demo::clock::DemoClock;
use blockgate::run::{Groups, Ports, build};
use blockgate_drivers::line::Framing;
use blockgate_drivers::profile::Profile;
use blockgate_drivers::sim::{Pace, SimConnect, SimLine, SimMeter};
use blockgate_drivers::{Address, Protocol};
use blockgate_types::{Decimal, RegisterName, Time};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const LINES: usize = 47;
const METERS: usize = 3_000;
/// A quarter of an hour.
const QUARTER: Duration = Duration::from_secs(900);

/// Protocol, profile and speed of the n-th line.
fn kind(line: usize) -> (Protocol, &'static str, u32) {
    match line % 4 {
        0 => (Protocol::Modbus, "eastron-sdm120", 9600),
        1 => (Protocol::Dlt645, "generic-dlt645-energy", 2400),
        2 => (Protocol::Cjt188, "generic-cjt188-cold-water", 2400),
        _ => (Protocol::Mbus, "itron-bm-m", 2400),
    }
}

/// Which meters stand on the n-th line: their numbers there, from 1.
fn places(line: usize) -> std::ops::RangeInclusive<usize> {
    1..=(METERS / LINES + usize::from(line < METERS % LINES))
}

fn config(folder: &std::path::Path) -> Config {
    let mut text =
        "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n\
                    [billing]\nclose_grace = \"1h\"\n[meter_defaults]\npoll_every = \"15m\"\n\
                    max_per_hour = \"1000\"\n"
            .to_owned();
    for line in 0..LINES {
        let (protocol, profile, baud) = kind(line);
        write!(
            text,
            "[[line]]\nid = \"l-{line}\"\nkind = \"serial\"\npath = \"/dev/sim{line}\"\nbaud = {baud}\n\
             parity = \"even\"\n"
        )
        .unwrap();
        for n in places(line) {
            let address = match protocol {
                Protocol::Modbus | Protocol::Mbus => n.to_string(),
                Protocol::Dlt645 | Protocol::Cjt188 => format!("\"{n}\""),
            };
            write!(
                text,
                "[[meter]]\nid = \"m-{line}-{n}\"\nline = \"l-{line}\"\naddress = {address}\n\
                 profile = \"{profile}\"\n"
            )
            .unwrap();
        }
    }
    let text = Text { name: "block.toml".to_owned(), text };
    Config::parse(&text, &[], &[], folder).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn field(clock: &DemoClock) -> SimConnect {
    let mut connect = SimConnect::new();
    for line in 0..LINES {
        let (protocol, profile, baud) = kind(line);
        let pace = Pace { baud, character_bits: 11, answer: Duration::from_millis(20) };
        let mut sim = SimLine::new(Framing::Rtu, clock.for_meters()).paced(pace);
        for n in places(line) {
            let address = Address::parse(protocol, &n.to_string()).unwrap();
            // A counter that moves with time, so that every reading is a new one.
            let value = |name: &RegisterName, now: Time| match name.as_str() {
                "valve" | "battery_low" => Decimal::ZERO,
                "power_factor" => Decimal::ONE,
                _ => Decimal::from(now.as_millis() / 1000 % 1_000_000) / Decimal::from(100),
            };
            let profile = Profile::shipped_by_id(profile).unwrap().clone();
            sim = sim.with(address, SimMeter::new(profile, value));
        }
        connect = connect.with(&format!("/dev/sim{line}"), sim);
    }
    connect
}

/// CPU time of this process so far: user and system, all threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10) // USER_HZ is 100 on every Linux that there is
}

async fn run(folder: PathBuf, hours: u32) {
    let clock = Arc::new(DemoClock::starting_at("2026-03-01T00:00:00Z".parse().unwrap()));
    let connect = Arc::new(field(&clock));
    let config = config(&folder);
    let ports = Ports::real(&config.state_dir, clock.clone(), connect);
    let (field, doors) = build(&config, &ports, "5f0c12ab".to_owned()).unwrap();
    let board = doors.shared().board.clone();
    let groups = Groups::default();
    field.start(&groups).await.unwrap();
    // The first hour's checkpoints, connections and first readings are not the everyday.
    tokio::time::sleep(QUARTER * 4).await;
    let good =
        |board: &blockgate::board::Board| board.meters().values().map(|m| m.good).sum::<u64>();
    let (cpu_before, good_before) = (cpu(), good(&board));
    tokio::time::sleep(QUARTER * 4 * hours).await;
    let (spent, polls) = (cpu() - cpu_before, good(&board) - good_before);
    let last = board.alignment().last;
    let failed: u64 = board.meters().values().map(|m| m.faults.iter().sum::<u64>()).sum();
    groups.stop_field().await;
    let quarters = hours * 4;
    let each = spent / quarters;
    println!(
        "{METERS} meters on {LINES} lines, {quarters} quarter-hours: {polls} good polls, {failed} failed"
    );
    println!("CPU {} ms a quarter-hour, simulated meters included", each.as_millis());
    println!(
        "margin on one core: {} times; {} µs a poll",
        QUARTER.as_millis() / each.as_millis().max(1),
        spent.as_micros() / u128::from(polls.max(1)),
    );
    println!(
        "readings of the last edge: {} meters within {} ms",
        last.meters,
        last.spread.as_millis()
    );
}

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "block-of-3000".to_owned()));
    let hours = args.next().map_or(6, |n| n.parse().unwrap());
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(folder.clone(), hours));
    std::fs::remove_dir_all(&folder).unwrap();
}
