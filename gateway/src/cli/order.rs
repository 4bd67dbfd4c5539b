//! `order`: tells a meter something through the running daemon, and says what came of it. Never without
//! the daemon: the order is a record in the journal before anything is sent.

use super::{CONFIG, Ended, print_faults};
use crate::config::Config;
use crate::control::{self, Ask};
use anyhow::Context;
use blockgate_rules::input::Order;
use blockgate_types::{MeterId, RelayTo, ValveTo};
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Switches a meter's relay and reads its state back
    #[command(
        after_help = "Example:\n  blockgate order relay m-0101 trip --reason 'arrears, notice 7'"
    )]
    Relay {
        /// The meter's id in the config
        meter: MeterId,
        /// trip, close, or permit: a person may close it by the meter's key
        #[arg(value_parser = relay_to)]
        to: RelayTo,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Moves a meter's valve and reads its state back; it takes up to half a minute
    #[command(
        after_help = "Example:\n  blockgate order valve w-0101 close --reason 'leak in the flat'"
    )]
    Valve {
        /// The meter's id in the config
        meter: MeterId,
        /// open or close
        #[arg(value_parser = valve_to)]
        to: ValveTo,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Sets a meter's clock to the gateway's time and reads it back
    #[command(after_help = "Example:\n  blockgate order set-clock m-0101")]
    SetClock {
        /// The meter's id in the config
        meter: MeterId,
        #[command(flatten)]
        with: With,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct With {
    /// Prints one JSON document
    #[arg(long)]
    json: bool,
    /// The config file
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

fn relay_to(text: &str) -> Result<RelayTo, &'static str> {
    match text {
        "trip" => Ok(RelayTo::Trip),
        "close" => Ok(RelayTo::Close),
        "permit" => Ok(RelayTo::Permit),
        _ => Err("there is: trip, close, permit"),
    }
}

fn valve_to(text: &str) -> Result<ValveTo, &'static str> {
    match text {
        "open" => Ok(ValveTo::Open),
        "close" => Ok(ValveTo::Close),
        _ => Err("there is: open, close"),
    }
}

impl Command {
    fn with(&self) -> &With {
        match self {
            Self::Relay { with, .. } | Self::Valve { with, .. } | Self::SetClock { with, .. } => {
                with
            }
        }
    }

    pub(super) fn json(&self) -> bool {
        self.with().json
    }

    fn order(&self) -> Order {
        match self {
            Self::Relay { meter, to, reason, .. } => {
                Order::Relay { meter: meter.clone(), to: *to, reason: reason.clone() }
            }
            Self::Valve { meter, to, reason, .. } => {
                Order::Valve { meter: meter.clone(), to: *to, reason: reason.clone() }
            }
            Self::SetClock { meter, .. } => Order::SetClock { meter: meter.clone() },
        }
    }
}

pub(super) fn run(command: &Command) -> anyhow::Result<Ended> {
    let With { json, config } = command.with();
    let config = match Config::load(config) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, *json);
            return Ok(Ended::No);
        }
    };
    let question = Ask::Order { order: Box::new(command.order()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(control::ask(&config.state_dir, &question))?;
    let answer =
        answer.context("no daemon runs for this config; an order goes through it alone")?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
    if *json {
        println!("{answer}");
    } else {
        let detail = answer.get("detail").cloned().unwrap_or_default();
        let detail = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
        println!("{}: {detail}", text("outcome"));
    }
    Ok(if text("outcome") == "done" { Ended::Done } else { Ended::No })
}
