//! `order`: tells a meter or a door something through the running daemon, and says what came of it. Never without
//! the daemon: the order is a record in the journal before anything is sent.

use super::{CONFIG, Ended, print_faults};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::control::{self, Ask};
use crate::ports::Clock as _;
use anyhow::Context;
use blockgate_rules::access::event::{Credential, Grant};
use blockgate_rules::input::{
    ConfirmArrears, DoorsOrder, GrantOrder, HoldDoor, OpenDoor, Order, RevokeOrder,
};
use blockgate_types::{
    AccountId, DoorId, GrantId, GroupId, MeterId, PersonId, Plate, RelayTo, Time, ValveTo,
};
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
    /// Gives a card a right for a time: a visitor, a craftsman
    #[command(
        after_help = "Example:\n  blockgate order grant visit-7 --card 20000001 --group home-1 \
        --until 2026-05-01T18:00:00+08:00 --count 2"
    )]
    Grant {
        /// Its id; the same one again replaces it
        grant: GrantId,
        /// The card's number
        #[arg(long)]
        card: u64,
        /// Groups of the config; they say which doors
        #[arg(long = "group", value_name = "GROUP", required = true)]
        groups: Vec<GroupId>,
        /// The household that it visits
        #[arg(long)]
        account: Option<AccountId>,
        /// A plate that belongs to it
        #[arg(long)]
        plate: Option<Plate>,
        /// From when; now where it is left out
        #[arg(long, value_name = "TIME")]
        from: Option<Time>,
        /// Until when, at most 366 days
        #[arg(long, value_name = "TIME")]
        until: Time,
        /// How often it opens a door
        #[arg(long)]
        count: Option<u32>,
        #[command(flatten)]
        with: With,
    },
    /// Shuts a grant, a card, a person or a household out
    #[command(
        after_help = "Example:\n  blockgate order revoke --person p-0101 --reason 'moved out'"
    )]
    Revoke {
        #[command(flatten)]
        of: Of,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Lets a card, a person or a household pass again that was shut out
    #[command(after_help = "Example:\n  blockgate order restore --card 10058400")]
    Restore {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        with: With,
    },
    /// Confirms, as a named person, that arrears close the entrances that the warning shows
    #[command(after_help = "Example:\n  blockgate order confirm-arrears --by 'Li Na, 007' \
        --entrance north-1 --reason 'assembly of 3 May'\n  blockgate order confirm-arrears --take-back \
        --by 'Li Na, 007' --reason 'appeal'")]
    ConfirmArrears {
        /// Exactly the entrances that `blockgate doors` warns of
        #[arg(long = "entrance", value_name = "DOOR")]
        entrances: Vec<DoorId>,
        /// Takes the confirmation back
        #[arg(long, conflicts_with = "entrances")]
        take_back: bool,
        /// Who: a person
        #[arg(long, value_name = "NAME")]
        by: String,
        /// Why; it stands in the audit record
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        with: With,
    },
    /// Sets a meter's clock to the gateway's time and reads it back
    #[command(after_help = "Examples:\n  blockgate order set-clock m-0101\n  \
        blockgate order set-clock m-0101 --whole-line")]
    SetClock {
        /// The meter's id in the config
        meter: MeterId,
        /// Also the clocks of all other DL/T 645 meters on its line, by one telegram that each takes once a
        /// day and within five minutes
        #[arg(long)]
        whole_line: bool,
        #[command(flatten)]
        with: With,
    },
}

/// What is shut out, or not any more: one of them.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Of {
    /// A grant's id
    #[arg(long)]
    grant: Option<GrantId>,
    /// A card's number, whoever has it
    #[arg(long)]
    card: Option<u64>,
    /// A person of the config, with all cards
    #[arg(long)]
    person: Option<PersonId>,
    /// Everybody of a household
    #[arg(long)]
    account: Option<AccountId>,
}

impl Of {
    /// Which one; the command line lets exactly one through.
    fn credential(&self) -> Credential {
        let Self { grant, card, person, account } = self;
        let grant = || grant.clone().map(Credential::Grant);
        let card = || card.map(Credential::Card);
        let person = || person.clone().map(Credential::Person);
        let account = || account.clone().map(Credential::Account);
        let found = grant().or_else(card).or_else(person).or_else(account);
        found.unwrap_or_else(|| unreachable!("the command line wants one of them"))
    }
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
            | Self::Grant { with, .. }
            | Self::Revoke { with, .. }
            | Self::Restore { with, .. }
            | Self::ConfirmArrears { with, .. }
            | Self::Valve { with, .. }
            | Self::SetClock { with, .. } => with,
        }
    }

    pub(super) fn json(&self) -> bool {
        self.with().json
    }

    /// The order; `now` is when a grant begins that does not say so.
    fn order(&self, now: Time) -> Order {
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
            Self::Grant { grant, card, groups, account, plate, from, until, count, .. } => {
                let terms = Grant {
                    card: *card,
                    groups: groups.iter().cloned().collect(),
                    account: account.clone(),
                    plate: plate.clone(),
                    from: from.unwrap_or(now),
                    until: *until,
                    count: *count,
                };
                Order::Grant(Box::new(GrantOrder { grant: grant.clone(), terms }))
            }
            Self::Revoke { of, reason, .. } => {
                Order::Revoke(Box::new(RevokeOrder { of: of.credential(), reason: reason.clone() }))
            }
            Self::Restore { of, .. } => Order::Restore { of: of.credential() },
            Self::ConfirmArrears { entrances, take_back, by, reason, .. } => {
                Order::ConfirmArrears(Box::new(ConfirmArrears {
                    confirmed: !take_back,
                    entrances: entrances.iter().cloned().collect(),
                    by: by.clone(),
                    reason: reason.clone(),
                }))
            }
            Self::SetClock { meter, whole_line, .. } => {
                Order::SetClock { meter: meter.clone(), whole_line: *whole_line }
            }
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
    let question = Ask::Order { order: Box::new(command.order(SystemClock::new(true).now())) };
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
