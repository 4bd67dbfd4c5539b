//! What happens at doors, as the journal keeps it. A card's number stands here as the controller told
//! it; whose card it is does not.

use super::setup::ArrearsRule;
use crate::calendar::{Day, day_text};
use crate::event::Outcome;
use blockgate_types::{
    AccountId, ActionId, CommandId, ControllerId, DoorId, GrantId, GroupId, PersonId, Plate, Time,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Entries of one record.
pub const ENTRIES_PER_RECORD_MAX: usize = 100;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Access {
    /// Entries of a controller's memory, without a hole, each once.
    Read {
        /// Which controller.
        controller: ControllerId,
        /// When they were read.
        at: Time,
        /// In order of their index.
        entries: Vec<Entry>,
    },
    /// Entries were overwritten before they could be read.
    Lost {
        /// Which controller.
        controller: ControllerId,
        /// When it was found.
        at: Time,
        /// The first one's index.
        from: u64,
        /// The last one's.
        to: u64,
    },
    /// A controller counts anew: it was replaced or wiped. Its memory is read from the beginning.
    Renumbered {
        /// Which controller.
        controller: ControllerId,
        /// When it was found.
        at: Time,
        /// The index that was read last before.
        was: u64,
    },
    /// A door is about to be told something: written before it is.
    Acting(DoorAct),
    /// What came of it: exactly one each.
    Acted(DoorOutcome),
    /// How doors are held from now on.
    HoldSet {
        /// When.
        at: Time,
        /// Which.
        doors: BTreeSet<DoorId>,
        /// How.
        hold: Hold,
        /// Until when; until it is changed where nothing stands here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Time>,
        /// Why.
        reason: String,
        /// Who ordered it.
        actor: String,
        /// The command.
        command: CommandId,
    },
    /// Doors stand open because of an emergency, or do not any more.
    Emergency {
        /// When.
        at: Time,
        /// Whether it is on.
        on: bool,
        /// Which doors.
        doors: BTreeSet<DoorId>,
        /// `fire`, or a person's reason.
        reason: String,
        /// Who ordered it; the controller whose fire input it was.
        actor: String,
        /// The command; none for a fire input.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<CommandId>,
    },
    /// A fire input is on, or off again.
    Fire {
        /// When.
        at: Time,
        /// Of which controller.
        controller: ControllerId,
        /// Whether it is on.
        on: bool,
    },
    /// Somebody was given a right for a time.
    Granted {
        /// When.
        at: Time,
        /// Which.
        grant: GrantId,
        /// What it is.
        terms: Box<Grant>,
        /// The command.
        command: CommandId,
    },
    /// A credential or a person was shut out.
    Revoked {
        /// When.
        at: Time,
        /// What.
        of: Credential,
        /// Why.
        reason: String,
        /// The command.
        command: CommandId,
    },
    /// It counts again.
    Restored {
        /// When.
        at: Time,
        /// What.
        of: Credential,
        /// The command.
        command: CommandId,
    },
    /// A payment extended a right.
    Extended {
        /// When.
        at: Time,
        /// Of which group.
        group: GroupId,
        /// Of which household.
        account: AccountId,
        /// The last day.
        #[serde(with = "day_text")]
        until: Day,
        /// The payment.
        payment: CommandId,
    },
    /// A person confirmed that arrears may close entrances, or took that back.
    ArrearsConfirmed {
        /// When.
        at: Time,
        /// The very rule; none where it was taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<ArrearsRule>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// The command.
        command: CommandId,
    },
}

impl Access {
    /// The envelope's subject.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Read { controller, .. }
            | Self::Lost { controller, .. }
            | Self::Renumbered { controller, .. }
            | Self::Fire { controller, .. } => format!("controller/{controller}"),
            Self::Acting(act) => format!("door/{}", act.door),
            Self::Acted(done) => format!("door/{}", done.door),
            Self::Granted { grant, .. } => format!("grant/{grant}"),
            Self::HoldSet { .. }
            | Self::Emergency { .. }
            | Self::Revoked { .. }
            | Self::Restored { .. }
            | Self::Extended { .. }
            | Self::ArrearsConfirmed { .. } => "doors".to_owned(),
        }
    }
}

/// One entry of a controller's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entry {
    /// Its number in that memory.
    pub index: u64,
    /// When, by the controller's clock; when it was read where that shows no time.
    pub at: Time,
    /// The door; none for the controller itself and for a door that the config does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
    /// What.
    pub event: Happened,
    /// Why a credential was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denial>,
    /// The card's number, where one was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<u64>,
    /// Whether it led in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inward: Option<bool>,
}

/// What happened at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// A credential was taken.
    Granted,
    /// A credential was refused.
    Denied,
    /// The button inside.
    Button,
    /// It was told to open from afar.
    Remote,
    /// A super password was typed.
    SuperPassword,
    /// The contact opened.
    Opened,
    /// The contact closed.
    Closed,
    /// Opened without a right.
    Forced,
    /// Open for longer than it may be.
    HeldOpen,
    /// Reader or box were tampered with.
    Tamper,
    /// A code that says "under threat".
    Duress,
    /// The fire input.
    Fire,
    /// The "lock all" input.
    ForceLock,
    /// An input that calls for help.
    Emergency,
    /// The controller came up.
    PowerOn,
    /// Something else.
    Other,
}

/// Why a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// Not in the list, or not for this door.
    NoRight,
    /// Wrong PIN.
    Pin,
    /// Anti-passback.
    AntiPassback,
    /// More cards are needed together.
    MoreCards,
    /// The first card of the day is missing.
    FirstCard,
    /// The door is locked down.
    Locked,
    /// Another door of an interlock is open.
    Interlock,
    /// The count is used up.
    Count,
    /// Outside its schedule.
    Schedule,
    /// Beyond its validity.
    Expired,
    /// The controller waited for its host.
    Host,
    /// Without a reason.
    Other,
}

/// How a door is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// It opens for those who may.
    Normal,
    /// It stands open.
    Open,
    /// It is locked for everybody.
    Locked,
}

/// What a door is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// Open once.
    Open,
    /// Stay as it is to be held.
    Hold(Hold),
}

/// A door is told something. Carried out once, when this is durable; never repeated after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoorAct {
    /// Derived from the command and the door.
    pub action: ActionId,
    /// Which door.
    pub door: DoorId,
    /// What.
    pub told: Told,
    /// When it was decided.
    pub at: Time,
    /// The command.
    pub command: CommandId,
    /// Who ordered it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// What came of a [`DoorAct`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoorOutcome {
    /// Which.
    pub action: ActionId,
    /// Which door.
    pub door: DoorId,
    /// When it was known.
    pub at: Time,
    /// `done`, `failed`, `expired` or `unknown`.
    pub outcome: Outcome,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A right for a time: a visitor's, a craftsman's, a new card that the config does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The card that carries it.
    pub card: u64,
    /// The doors of these groups.
    pub groups: BTreeSet<GroupId>,
    /// The household that it visits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// A plate that belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<Plate>,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// How often it opens a door; as often as it is used where nothing stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// What can be shut out: one of the four.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// A grant.
    Grant(GrantId),
    /// A card, whoever has it: it was lost.
    Card(u64),
    /// A person, with all cards.
    Person(PersonId),
    /// Everybody of a household.
    Account(AccountId),
}
