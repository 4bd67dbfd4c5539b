//! Barriers as actions. An opening has an id and exactly one outcome: the intent is an event before
//! anything moves, then the gateway acts, then the outcome is an event. After a restart an opening
//! without an outcome is `unknown` and an alarm; it is never repeated blindly.

use crate::event::Outcome;
use blockgate_types::{ActionId, LaneId, Time};
use serde::{Deserialize, Serialize};

/// Why a barrier opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum OpeningCause {
    /// A vehicle may pass.
    Passage {
        /// Its reason, a stable word.
        reason: String,
    },
    /// A person or the cloud ordered it.
    Command {
        /// The command.
        id: blockgate_types::CommandId,
        /// Who.
        actor: String,
        /// Why, in the person's own words.
        reason: String,
    },
}

/// A barrier that is to open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Opening {
    /// Names it.
    pub action: ActionId,
    /// Which lane's barrier.
    pub lane: LaneId,
    /// When it was decided.
    pub at: Time,
    /// Why.
    pub cause: OpeningCause,
}

/// Where the arm was seen after the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ArmPosition {
    /// The device has no way to tell, or did not.
    #[default]
    Unknown,
    /// Down.
    Closed,
    /// Up.
    Open,
}

/// What came of an opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpeningOutcome {
    /// Which.
    pub action: ActionId,
    /// Which lane's barrier.
    pub lane: LaneId,
    /// When it was known.
    pub at: Time,
    /// `done`, `failed` or `unknown`.
    pub outcome: Outcome,
    /// Where the arm was seen.
    pub position: ArmPosition,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// A barrier's questions of a moment, all alike, and what they were answered: one row, however often
/// it asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Asked {
    /// Which lane.
    pub lane: LaneId,
    /// The plate, masked: who it was stands in the stay.
    pub plate: String,
    /// Who asked: the token's name.
    pub by: String,
    /// `open`, `pay`, `deny` or `ask`.
    pub decision: String,
    /// Why, a stable word.
    pub reason: String,
    /// What was to be paid.
    #[serde(default, skip_serializing_if = "crate::money::Fen::is_zero")]
    pub amount_fen: crate::money::Fen,
    /// The first of them.
    pub first: Time,
    /// The last of them.
    pub last: Time,
    /// How many.
    pub times: u64,
}

/// Rows of one record.
pub const ASKED_PER_RECORD_MAX: usize = 500;
