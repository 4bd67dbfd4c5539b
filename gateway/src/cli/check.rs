//! `check`: every error of config, profiles and rules at once; with `--store` also whether this
//! version can read what is stored.

use super::{Ended, print_faults};
use crate::config::Config;
use crate::store::probe::probe;
use std::path::Path;

pub(super) fn run(file: &Path, store: bool) -> Ended {
    match Config::load(file) {
        Ok(config) => {
            println!(
                "{}: good: {} lines, {} meters, {} accounts, {} tariffs (hash {})",
                file.display(),
                config.lines.len(),
                config.meters.len(),
                config.setup.accounts.len(),
                config.setup.tariffs.len(),
                config.hash
            );
            // Not a fault: a file may hold more rules than this block needs.
            for id in config.unused_tariffs() {
                println!("note: nobody is bound to tariff {id}");
            }
            for (zh, en) in &config.doors_at.warnings {
                println!("warning: {zh}\n         {en}");
            }
            if store { check_store(&config.state_dir) } else { Ended::Done }
        }
        Err(faults) => {
            print_faults(&faults, false);
            Ended::No
        }
    }
}

fn check_store(state: &Path) -> Ended {
    match probe(state) {
        Ok(None) => println!("{}: no store yet", state.display()),
        Ok(Some(found)) => {
            println!(
                "{}: good: {} records, a start reads {} after checkpoint {}",
                state.display(),
                found.last,
                found.replayed,
                found.checkpoint
            );
            for passed in &found.passed_over {
                println!("note: passed over {passed}");
            }
        }
        Err(error) => {
            eprintln!("blockgate: {:#}", anyhow::Error::new(error));
            return Ended::No;
        }
    }
    Ended::Done
}
