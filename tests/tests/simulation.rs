//! Some simulated months, and the proof that the judges see what is wrong. More months in less time:
//! `cargo run --release -p blockgate-e2e --bin simulate -- --seeds 1000`. The builds with a planted bug in their
//! code are tried by `.ci/run`; what is planted here lies in the simulated surroundings.

use blockgate_e2e::sim::scenario::Scenario;
use blockgate_e2e::sim::world::EDGES;
use blockgate_e2e::sim::{Canary, Report, run};
use blockgate_e2e::source;

/// Planted faults must be seen within so many months.
const CAUGHT_WITHIN: u64 = 200;
/// Days before the month's edge: not all of a month, so that it is quick without optimisation.
const DAYS: u32 = 3;

// invariant 2
#[test]
fn a_simulated_month_is_right_whatever_fails_and_the_same_seed_is_the_same_month() {
    let (one, again) = (run(1, DAYS, Canary::None), run(1, DAYS, Canary::None));
    assert_eq!(one.wrong, None, "{one:?}");
    assert_eq!(one.trace, again.trace, "{one:?}\n{again:?}");
    assert!(one.lives > 1 && one.records > 100 && !one.faults.is_empty(), "{one:?}");
}

fn caught(canary: Canary) -> Report {
    let mut months = (1..=CAUGHT_WITHIN).map(|seed| run(seed, DAYS, canary));
    let caught = months.find(|report| report.wrong.is_some());
    caught.unwrap_or_else(|| panic!("{canary:?} was not seen in {CAUGHT_WITHIN} months"))
}

#[test]
fn a_forgotten_sync_is_seen() {
    let report = caught(Canary::SkippedSync);
    let wrong = report.wrong.unwrap_or_default();
    assert!(wrong.contains("journal") || wrong.contains("start"), "{wrong}");
}

#[test]
fn a_dropped_fraction_of_a_fen_is_seen() {
    let report = caught(Canary::DroppedFen);
    assert!(report.wrong.is_some_and(|wrong| wrong.contains("the bill says")), "by the ledger");
}

#[test]
fn months_with_days_of_23_and_25_hours_are_right_in_every_zone() {
    let mut zones: Vec<_> = EDGES.iter().map(|edge| (edge.zone, edge.day)).collect();
    for seed in 1..=4 {
        // Long enough to hold the change of the clocks, but for New York in spring.
        let report = run(seed, 8, Canary::None);
        assert_eq!(report.wrong, None, "{report:?}");
        zones.retain(|zone| *zone != (report.edge.zone, report.edge.day));
    }
    assert_eq!(zones, [("Asia/Shanghai", "2026-04-01")], "the zone that has no such days");
}

#[test]
fn every_scenario_comes_out_as_it_is_written() {
    let folder = source("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|row| row.expect("a file").path())
        .collect();
    files.sort();
    assert!(files.len() >= 6, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a file");
        let scenario = Scenario::read(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        match scenario.play() {
            Err(why) => wrong.push(format!("{name}: {why}")),
            Ok(came) if came == scenario.came => {}
            Ok(came) if std::env::var_os("BLESS").is_some() => {
                std::fs::write(&file, scenario.with(&came)).expect("the file");
            }
            Ok(came) => {
                let pairs = came.lines().zip(scenario.came.lines());
                let first = pairs.take_while(|(a, b)| a == b).count();
                let here = came.lines().nth(first).unwrap_or("its end");
                let there = scenario.came.lines().nth(first).unwrap_or("its end");
                wrong.push(format!("{name}: {here}\n  where there was: {there}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n→ BLESS=1 writes what came, if it is right", wrong.join("\n"));
}

#[test]
fn a_scenario_that_cannot_be_read_says_where() {
    let read = |text: &str| Scenario::read(text).map(|_| ()).expect_err("it is wrong");
    let head = "zone Europe/Berlin\nedge 2026-04-01\n";
    for (line, why) in [
        ("2026-03-31T22:00:00Z flood", "line 3: no such trouble"),
        ("yesterday power-cut", "line 3: no time"),
        ("2026-03-31T22:00:00Z kill for ever", "line 3: no span"),
        ("days three", "line 3: no number"),
        ("hello", "line 3: neither"),
    ] {
        let said = read(&format!("{head}{line}\n"));
        assert!(said.starts_with(why), "{said}");
    }
    assert!(read("zone Asia/Tokyo\nedge 2026-04-01\n").contains("no month ends"));
}
