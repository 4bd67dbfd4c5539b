//! Acts on meters: relay, valve, clock. As with barriers ([`crate::gate`]) the intent is an event before
//! anything moves, then the gateway acts and reads the state back, then the outcome is an event, exactly
//! one each. After a restart an act without an outcome is `unknown`; it is never repeated, but the meter is
//! asked what it says of itself now.

use crate::event::Outcome;
use blockgate_types::{Act, ActResult, ActionId, AlarmId, CommandId, MeterId, MeterState, Time};
use serde::{Deserialize, Serialize};

/// What a meter is about to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acting {
    /// Names it.
    pub action: ActionId,
    /// Which meter.
    pub meter: MeterId,
    /// When it was decided.
    pub at: Time,
    /// What it is told.
    pub order: Act,
    /// By which command.
    pub command: CommandId,
    /// Who.
    pub actor: String,
    /// Why, in the person's own words.
    pub reason: String,
    /// Because of which alarm, where somebody confirmed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<AlarmId>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acted {
    /// Which.
    pub action: ActionId,
    /// Which meter.
    pub meter: MeterId,
    /// When it was known.
    pub at: Time,
    /// `done`, `failed` or `unknown`.
    pub outcome: Outcome,
    /// What exactly: acknowledged without a movement is a result of its own.
    pub result: ActResult,
    /// What the meter said of itself afterwards; absent where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MeterState>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What a meter said of itself when it was asked after an act whose outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Looked {
    /// Which act.
    pub action: ActionId,
    /// Which meter.
    pub meter: MeterId,
    /// When.
    pub at: Time,
    /// What it said; absent where it could not be asked: it is asked again at the next start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MeterState>,
    /// Whether that is what had been ordered; absent where no state tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_ordered: Option<bool>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// How a command ends by what its act came to.
#[must_use]
pub fn outcome_of(result: ActResult) -> Outcome {
    match result {
        ActResult::Verified | ActResult::Acknowledged => Outcome::Done,
        ActResult::NotMoved | ActResult::Refused | ActResult::NoAnswer | ActResult::NotSent => {
            Outcome::Failed
        }
        ActResult::Unread | ActResult::Unknown => Outcome::Unknown,
    }
}
