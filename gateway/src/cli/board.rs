//! `board`: what is printed at a car park's entrance, from the rule that charges.

use super::{Ended, print_faults};
use anyhow::Context;
use blockgate_rules::calendar::parse_day;
use blockgate_rules::parking::board::board;
use blockgate_rules::tariff::TariffFile;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule file (TOML)
    #[arg(value_name = "RULE-FILE")]
    rule: PathBuf,
    /// Which [[parking]] of it; absent: all
    #[arg(long, value_name = "ID")]
    tariff: Option<String>,
    /// The day for which it is printed; absent: the newest revision
    #[arg(long, value_name = "DAY")]
    on: Option<String>,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let name = args.rule.display().to_string();
    let text = std::fs::read_to_string(&args.rule).with_context(|| name.clone())?;
    let file = match TariffFile::read(&text, &name) {
        Ok(file) => file,
        Err(faults) => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
    };
    let on = match args.on.as_deref().map(|text| (text, parse_day(text))) {
        Some((text, None)) => anyhow::bail!("{text:?} is not a day: write it like 2026-05-01"),
        Some((_, day)) => day,
        None => None,
    };
    let mut boards = Vec::new();
    for (id, tariff) in &file.parking {
        if args.tariff.as_deref().is_some_and(|wanted| wanted != id.as_str()) {
            continue;
        }
        let revision = match on {
            Some(day) => tariff.revision_on(day),
            None => tariff.revisions.last(),
        };
        if let Some(revision) = revision {
            boards.push((id.to_string(), board(tariff, &revision.plan)));
        }
    }
    if boards.is_empty() {
        eprintln!("blockgate: {name} has no such parking tariff on that day");
        return Ok(Ended::No);
    }
    if args.json {
        let boards: Vec<_> = boards
            .iter()
            .map(|(id, lines)| serde_json::json!({ "tariff": id, "lines": lines }))
            .collect();
        println!("{}", serde_json::to_string(&boards)?);
        return Ok(Ended::Done);
    }
    for (id, lines) in boards {
        println!("[{id}]");
        for line in lines {
            println!("{}\n  {}", line.zh, line.en);
        }
    }
    Ok(Ended::Done)
}
