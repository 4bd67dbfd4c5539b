//! Some simulated months, and the proof that the judges see what is wrong. More months in less time:
//! `cargo run --release -p blockgate-e2e --bin simulate -- --seeds 200`.

use blockgate_e2e::sim::{Canary, Report, run};

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
