//! `check`: every error of config, profiles and rules at once.

use super::{Ended, print_faults};
use crate::config::Config;
use std::path::Path;

pub(super) fn run(file: &Path) -> Ended {
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
            Ended::Done
        }
        Err(faults) => {
            print_faults(&faults, false);
            Ended::No
        }
    }
}
