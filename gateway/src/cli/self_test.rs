//! `self-test`: whether this program does its work on this machine.

use super::Ended;
use crate::self_test;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the disk is tried; name the state folder's disk. The system's temporary directory when absent
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let folder = args.folder.clone().unwrap_or_else(std::env::temp_dir);
    let checks = self_test::run(&folder, |check| {
        if args.json {
            return;
        }
        let (holds, says) = match &check.outcome {
            Ok(found) => ("ok", found.clone()),
            Err(why) => ("FAIL", format!("{why:#}")),
        };
        let line = format!("{holds:<5} {:<11} {says} ({} ms)", check.name, check.took.as_millis());
        // Whoever stops reading has seen enough; the checks still end and clear up.
        let _ = writeln!(std::io::stdout(), "{line}");
    })?;
    let failed = checks.iter().filter(|check| check.outcome.is_err()).count();
    if args.json {
        let checks: Vec<_> = checks
            .iter()
            .map(|check| {
                let (found, error) = match &check.outcome {
                    Ok(found) => (Some(found.clone()), None),
                    Err(why) => (None, Some(format!("{why:#}"))),
                };
                let ms = u64::try_from(check.took.as_millis()).unwrap_or(u64::MAX);
                json!({ "name": check.name, "found": found, "error": error, "ms": ms })
            })
            .collect();
        println!("{}", json!({ "checks": checks, "failed": failed }));
    } else {
        let _ = writeln!(std::io::stdout(), "{} checks, {failed} failed", checks.len());
    }
    Ok(if failed == 0 { Ended::Done } else { Ended::No })
}
