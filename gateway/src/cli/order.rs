//! `order`: tells a meter or a door something through the running daemon, and says what came of it. Never without
//! the daemon: the order is a record in the journal before anything is sent.

use super::{CONFIG, Ended, print_faults};
use crate::config::Config;
use crate::control::{self, Ask};
use anyhow::Context;
use blockgate_rules::access::event::Credential;
use blockgate_rules::input::{DoorsOrder, HoldDoor, OpenDoor, Order, RevokeOrder};
use blockgate_types::{DoorId, MeterId, RelayTo, Time, ValveTo};
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
    /// Opens a door once
    #[command(
        after_help = "Example:\n  blockgate order open-door north-1 --reason 'forgot the card'"
    )]
    OpenDoor {
        /// The door's id in the config
        door: DoorId,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Holds a door open until a time
    #[command(after_help = "Example:\n  \
        blockgate order hold-door north-1 --until 2026-05-01T18:00:00+08:00 --reason delivery")]
    HoldDoor {
        /// The door's id in the config
        door: DoorId,
        /// Until when, at most 31 days ahead
        #[arg(long, value_name = "TIME")]
        until: Time,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Locks doors for everybody; all whose way out is mechanical, where none is named
    #[command(after_help = "Example:\n  blockgate order lock-down --reason 'storm'")]
    LockDown {
        /// Doors by their ids in the config
        doors: Vec<DoorId>,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Lets doors open again for those who may; all that are held, where none is named
    #[command(
        after_help = "Example:\n  blockgate order release-doors --reason 'the storm is over'"
    )]
    ReleaseDoors {
        /// Doors by their ids in the config
        doors: Vec<DoorId>,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Opens doors because of an emergency; all, where none is named
    #[command(
        after_help = "Example:\n  blockgate order emergency-open --reason 'gas in building 2'"
    )]
    EmergencyOpen {
        /// Doors by their ids in the config
        doors: Vec<DoorId>,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Ends the emergency: doors are held as before
    #[command(
        after_help = "Example:\n  blockgate order end-emergency --reason 'everybody is safe'"
    )]
    EndEmergency {
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Shuts a card out, whoever has it
    #[command(after_help = "Example:\n  blockgate order revoke-card 10058400 --reason 'lost'")]
    RevokeCard {
        /// The card's number
        card: u64,
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
            Self::Relay { with, .. }
            | Self::OpenDoor { with, .. }
            | Self::HoldDoor { with, .. }
            | Self::LockDown { with, .. }
            | Self::ReleaseDoors { with, .. }
            | Self::EmergencyOpen { with, .. }
            | Self::EndEmergency { with, .. }
            | Self::RevokeCard { with, .. }
            | Self::Valve { with, .. }
            | Self::SetClock { with, .. } => with,
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
            Self::OpenDoor { door, reason, .. } => {
                Order::OpenDoor(OpenDoor { door: door.clone(), reason: reason.clone() })
            }
            Self::HoldDoor { door, until, reason, .. } => Order::HoldDoor(HoldDoor {
                door: door.clone(),
                until: *until,
                reason: reason.clone(),
            }),
            Self::LockDown { doors, reason, .. } => Order::LockDown(told(doors, reason)),
            Self::ReleaseDoors { doors, reason, .. } => Order::ReleaseDoors(told(doors, reason)),
            Self::EmergencyOpen { doors, reason, .. } => Order::EmergencyOpen(told(doors, reason)),
            Self::EndEmergency { reason, .. } => Order::EndEmergency { reason: reason.clone() },
            Self::RevokeCard { card, reason, .. } => Order::Revoke(Box::new(RevokeOrder {
                of: Credential::Card(*card),
                reason: reason.clone(),
            })),
            Self::SetClock { meter, .. } => Order::SetClock { meter: meter.clone() },
        }
    }
}

fn told(doors: &[DoorId], reason: &str) -> DoorsOrder {
    let doors = doors.iter().cloned().collect();
    DoorsOrder { doors, until: None, reason: reason.to_owned() }
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
