//! `preview`: a rule file against the bills of a month that is over, through the running daemon or from
//! its state folder. Changes nothing.

use super::{Ended, print_faults};
use crate::books::Books;
use crate::config::Config;
use crate::control::{self, Ask};
use crate::preview::{self, Question};
use crate::store::Store;
use anyhow::Context;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Most rows that are printed for people; `--json` has all.
const ROWS: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The rule file (TOML)
    #[arg(value_name = "RULE-FILE")]
    rule: PathBuf,
    /// Which month, like 2026-03; the last one that has bills where it is left out
    #[arg(long, value_name = "MONTH")]
    month: Option<String>,
    /// The config file
    #[arg(long, value_name = "FILE", default_value = super::CONFIG)]
    config: PathBuf,
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let text =
        std::fs::read_to_string(&args.rule).with_context(|| args.rule.display().to_string())?;
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
    };
    let file = args.rule.display().to_string();
    let question = Question { file, text, month: args.month.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = Ask::Preview { question: Box::new(question.clone()) };
    let answer = match runtime.block_on(control::ask(&config.state_dir, &ask))? {
        Some(answer) => answer,
        None => {
            let (store, block, _) = Store::open(&config.state_dir)?;
            let now = crate::ports::Clock::now(&crate::clock::SystemClock::new(true));
            answer(preview::run(&store.trees, &Books::of(&block), &question, now))
        }
    };
    if args.json {
        println!("{answer}");
    }
    if let Some(faults) = answer.get("errors").and_then(Value::as_array) {
        for fault in faults.iter().filter_map(Value::as_str) {
            eprintln!("{fault}");
        }
        eprintln!("{} faults; nothing is applied", faults.len());
        return Ok(Ended::No);
    }
    if !args.json {
        print(&answer);
    }
    Ok(Ended::Done)
}

/// The answer of the daemon and of the command line.
pub(crate) fn answer(made: Result<blockgate_rules::preview::Preview, Vec<String>>) -> Value {
    match made {
        Ok(preview) => json!({ "preview": preview }),
        Err(faults) => json!({ "errors": faults }),
    }
}

fn print(answer: &Value) {
    let preview = &answer["preview"];
    let fen = |value: &Value| blockgate_rules::Fen(value.as_i64().unwrap_or(0)).to_string();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!("{} .. {}", text(&preview["from"]), text(&preview["to"]));
    let rows = preview["changed"].as_array().map(Vec::as_slice).unwrap_or_default();
    println!("{:<20} {:<16} {:>12} {:>12} {:>12}", "account", "item", "was", "now", "difference");
    for row in rows.iter().take(ROWS) {
        println!(
            "{:<20} {:<16} {:>12} {:>12} {:>12}",
            text(&row["account"]),
            text(&row["item"]),
            fen(&row["was_fen"]),
            fen(&row["now_fen"]),
            fen(&row["difference_fen"])
        );
    }
    if rows.len() > ROWS {
        println!("… and {} more (--json has all)", rows.len() - ROWS);
    }
    for (charge, why) in preview["unknown"].as_object().into_iter().flatten() {
        println!("{charge}: {}", why.as_str().unwrap_or_default());
    }
    println!(
        "{} bills stay the same; {} households pay {} more, {} pay {} less; {} → {} in all",
        preview["same"],
        preview["more"][0],
        fen(&preview["more"][1]),
        preview["less"][0],
        fen(&preview["less"][1]),
        fen(&preview["was_fen"]),
        fen(&preview["now_fen"])
    );
}
