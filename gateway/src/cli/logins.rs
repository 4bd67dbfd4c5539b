//! `reset-logins`: the way back in for whoever stands at the console of the box.

use super::{CONFIG, Ended, print_faults};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::http::auth::Accounts;
use crate::ports::Clock;
use anyhow::Context;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Says that every user and password of the page is to be forgotten
    #[arg(long)]
    yes: bool,
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, false);
            return Ok(Ended::No);
        }
    };
    if !args.yes {
        eprintln!("this forgets every user and password of the page; add --yes to do it");
        return Ok(Ended::No);
    }
    let by = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let by = format!("console/{}", by.unwrap_or_default());
    let at = SystemClock::new(true).now();
    let code = Accounts::reset(&config.state_dir, at, &by)
        .with_context(|| config.state_dir.display().to_string())?;
    println!("{code}");
    eprintln!("a running daemon takes it over with: systemctl restart blockgate");
    eprintln!("then open /setup with this code; it is valid once");
    Ok(Ended::Done)
}
