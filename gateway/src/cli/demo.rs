//! `demo`: a whole simulated block on this machine.

use super::Ended;
use crate::demo::{self, Options};
use blockgate_types::{Span, Time};
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the page listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where journal, config, certificates and the cloud's events are written; a fresh folder in the
    /// system's temporary directory when absent
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Which households and faults; the same number gives the same block
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Simulated seconds a real second, after the warm-up; 0 means as fast as it can
    #[arg(long, value_name = "X")]
    speed: Option<u32>,
    /// Stops by itself after so much simulated time: 62d, 36h
    #[arg(long = "for", value_name = "DURATION")]
    lasts: Option<Span>,
    /// First simulated instant
    #[arg(long, value_name = "TIME", default_value = "2026-03-01T00:00:00+08:00")]
    from: Time,
    /// Passes this much simulated time as fast as it can before `--speed` holds, so that there are
    /// bills and curves to look at
    #[arg(long, value_name = "DURATION")]
    warm_up: Option<Span>,
    /// The broker and two lines misbehave at random, by the seed
    #[arg(long)]
    trouble: bool,
    /// Without the page
    #[arg(long)]
    headless: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let flat_out = args.lasts.is_some() || args.headless;
    let summary = demo::run(Options {
        listen: (!args.headless).then_some(args.listen),
        data: args.data.clone(),
        seed: args.seed,
        speed: args.speed.unwrap_or(if flat_out { 0 } else { 300 }),
        lasts: args.lasts,
        from: args.from,
        trouble: args.trouble,
        warm_up: args.warm_up.unwrap_or(if flat_out { Span::ZERO } else { Span::from_days(33) }),
    })?;
    println!("{}", serde_json::to_string(&summary)?);
    Ok(if summary.undelivered == 0 { Ended::Done } else { Ended::No })
}
