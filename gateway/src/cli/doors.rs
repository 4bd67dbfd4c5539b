//! `doors`: doors and controllers as the running daemon sees them, and what is pending.

use super::{CONFIG, Ended, print_faults};
use crate::config::Config;
use crate::control::{self, Ask};
use anyhow::Context;
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Prints one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, args.json);
            return Ok(Ended::No);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(control::ask(&config.state_dir, &Ask::Doors))?;
    let answer = answer.context("no daemon runs for this config; it alone knows the doors")?;
    if args.json {
        println!("{answer}");
        return Ok(Ended::Done);
    }
    let rows = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |row: &Value, key: &str| match row.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    for row in rows("controllers") {
        let pending = row.get("pending").map_or_else(String::new, |pending| text(pending, "all"));
        println!(
            "controller {}: online {}, in step {}, {pending} pending, {} unread, {} cards",
            text(&row, "id"),
            text(&row, "online"),
            text(&row, "in_step"),
            text(&row, "unread"),
            text(&row, "cards"),
        );
        for reader in row.get("readers").and_then(Value::as_array).into_iter().flatten() {
            println!(
                "  reader {}: door {}, online {}, secured {}, tamper {}, power low {}{}",
                text(reader, "address"),
                text(reader, "door"),
                text(reader, "online"),
                text(reader, "secure"),
                text(reader, "tamper"),
                text(reader, "power_low"),
                match reader.get("trouble").and_then(Value::as_str) {
                    Some(why) => format!(": {why}"),
                    None => String::new(),
                },
            );
        }
    }
    for row in rows("doors") {
        println!(
            "door {}: {}, way out {}, open since {}",
            text(&row, "id"),
            text(&row, "held"),
            text(&row, "exit"),
            text(&row, "open_since"),
        );
    }
    for warning in rows("warnings") {
        println!("warning: {}\n         {}", text(&warning, "zh"), text(&warning, "en"));
    }
    Ok(Ended::Done)
}
