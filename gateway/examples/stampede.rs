//! How a fleet comes back after its broker was away: attempts that reach it, in portions of 250 ms, for
//! gateways that wait as they do, with `reconnect_spread`, and, as the named reference, for clients that
//! double their wait from one second to sixty without any spread, as the simplest of them do.
//!
//! `cargo run --release -p blockgate --example stampede [GATEWAYS] [SECONDS_AWAY]`

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use blockgate::mqtt::pace::Backoff;
use blockgate::mqtt::trouble::Pace;
use std::time::Duration;

const PORTION: f64 = 0.25;
const SHOWN: usize = 48;

/// When each gateway reaches the broker, in seconds after its return.
fn returns(count: u32, away: f64, mut wait: impl FnMut(u32, u32) -> f64) -> Vec<f64> {
    let one = |gateway| {
        let (mut at, mut attempt) = (0.0, 0);
        while at < away {
            at += wait(gateway, attempt);
            attempt += 1;
        }
        at - away
    };
    (0..count).map(one).collect()
}

fn curve(name: &str, returns: &[f64]) -> usize {
    let mut portions = vec![0_usize; SHOWN];
    let mut later = 0;
    for at in returns {
        let place = (at / PORTION) as usize;
        match portions.get_mut(place) {
            Some(portion) => *portion += 1,
            None => later += 1,
        }
    }
    let peak = portions.iter().copied().max().unwrap_or(0);
    println!(
        "{name}: peak {peak} in {PORTION} s, {later} come later than {} s",
        PORTION * SHOWN as f64
    );
    let bars: String = portions
        .iter()
        .map(|n| match n * 8 / peak.max(1) {
            0 if *n == 0 => ' ',
            eighths => ['▁', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighths],
        })
        .collect();
    println!("  |{bars}|");
    peak
}

fn main() {
    let mut args = std::env::args().skip(1);
    let count: u32 = args.next().map_or(1000, |n| n.parse().unwrap());
    let away: f64 = args.next().map_or(60.0, |n| n.parse().unwrap());
    println!("{count} gateways, their broker was away for {away} s");
    let reference = returns(count, away, |_, attempt| f64::from(1_u32 << attempt.min(6)).min(60.0));
    let reference = curve("no spread, 1 s doubled to 60 s (reference)", &reference);
    for spread in [0, 10, 30] {
        let mut backoffs: Vec<Backoff> = (0..count)
            .map(|n| {
                Backoff::new(&format!("blockgate-gw-{n}")).spread_over(Duration::from_secs(spread))
            })
            .collect();
        let ours = returns(count, away, |gateway, _| {
            backoffs[gateway as usize].next(Pace::Quick).as_secs_f64()
        });
        let peak = curve(&format!("blockgate, reconnect_spread = \"{spread}s\""), &ours);
        println!("  peak {:.1} times lower than the reference", reference as f64 / peak as f64);
    }
}
