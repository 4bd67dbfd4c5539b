//! `rate`: prices usage by a rule file, without touching any state.

use super::{Ended, print_faults};
use anyhow::Context;
use blockgate_rules::tariff::rate_document;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule file (TOML)
    #[arg(value_name = "RULE-FILE")]
    rule: PathBuf,
    /// What to price (TOML or JSON)
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let read =
        |file: &Path| std::fs::read_to_string(file).with_context(|| file.display().to_string());
    let (rule, input) = (read(&args.rule)?, read(&args.input)?);
    let rated = match rate_document(
        &rule,
        &args.rule.display().to_string(),
        &input,
        &args.input.display().to_string(),
    ) {
        Ok(rated) => rated,
        Err(faults) => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
    };
    if args.json {
        println!("{}", serde_json::to_string(&rated)?);
        return Ok(Ended::Done);
    }
    let widest = rated.lines.iter().map(|line| line.label.en.chars().count()).max();
    let wide = widest.unwrap_or(0).max(40);
    for line in &rated.lines {
        // A share of a month, or of a price that is collected in instalments.
        let share = line.days.as_ref().map(|share| format!(" × {share}")).unwrap_or_default();
        println!(
            "{:<wide$} {:>14} {:<9} × {:>10}{share} = {:>18}  → {:>12}",
            line.label.en, line.quantity, line.unit, line.unit_price, line.exact, line.amount_fen
        );
    }
    println!("{:>1$}", format!("total {}", rated.total_fen), wide.saturating_add(60));
    Ok(Ended::Done)
}
