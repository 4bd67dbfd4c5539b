//! What people and rules do about an alarm: mute it, say whether it was true, send somebody, check
//! the devices. All of it travels on the alarm itself, so that the page and the cloud see one thing.

use blockgate_types::{Decimal, MeterId, RegisterName, Span, Time, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest reason or note, in characters.
pub const NOTE_MAX: usize = 400;

/// The longest that an alarm can be muted.
pub const MUTE_MAX: Span = Span::from_days(366);

/// An alarm is muted: it stays in the list, and nobody is sent out or woken for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mute {
    /// Why; never empty.
    pub reason: String,
    /// From then on it counts again.
    pub until: Time,
    /// Who muted it.
    pub by: String,
}

/// What somebody found out about an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Feedback {
    /// Whether it was right.
    pub verdict: FeedbackVerdict,
    /// What was found; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: Time,
    /// By how many percent the rule's thresholds are raised for this subject from now on; only where
    /// the rule itself says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raises_percent: Option<u32>,
}

/// Whether an alarm was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FeedbackVerdict {
    /// It was: there is a leak, a fault, a mistake.
    True,
    /// There was nothing.
    False,
    /// It is so, and it is meant to be: a pool is being filled, a flat stands empty.
    Known,
}

impl FeedbackVerdict {
    /// The stable word, as in its JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Known => "known",
        }
    }
}

/// Somebody has to go and look: open as long as its alarm is open and nobody has reported back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkOrder {
    /// How soon.
    pub urgency: Urgency,
    /// By when, from the urgency and when the alarm opened.
    pub due: Time,
    /// Whether it still has to be done.
    pub open: bool,
}

/// How soon somebody has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Within an hour: water runs.
    Now,
    /// Within a day.
    Today,
    /// Within a week.
    Week,
    /// With the next round: within thirty days.
    Planned,
}

impl Urgency {
    /// How long there is from the opening of the alarm on.
    #[must_use]
    pub fn within(self) -> Span {
        match self {
            Self::Now => Span::from_hours(1),
            Self::Today => Span::from_days(1),
            Self::Week => Span::from_days(7),
            Self::Planned => Span::from_days(30),
        }
    }

    /// The stable word, as in its JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Today => "today",
            Self::Week => "week",
            Self::Planned => "planned",
        }
    }
}

/// What a device check found: the meters concerned were read much more often for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeviceCheck {
    /// When it began.
    pub from: Time,
    /// When it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
    /// Each meter's part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterCheck>,
    /// What the master meter counted in the time less what its sub-meters counted, per hour, where a
    /// master was checked.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub loss_per_hour: Option<Decimal>,
    /// What it comes to.
    pub found: CheckFound,
}

/// One meter of a device check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeterCheck {
    /// Which meter.
    pub meter: MeterId,
    /// Which register.
    pub register: RegisterName,
    /// Good polls in the time.
    pub polls: u32,
    /// Polls that failed.
    pub failed: u32,
    /// What passed per hour, times the multiplier; absent with fewer than two good polls.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub per_hour: Option<Decimal>,
    /// Its unit.
    pub unit: Unit,
    /// Status words as last read, by register name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub status: BTreeMap<String, String>,
}

/// What a device check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CheckFound {
    /// It runs.
    Running,
    /// Something flows, all the time.
    Flows,
    /// Nothing flows now.
    Quiet,
    /// A meter moves backwards.
    Reverse,
    /// A status word reports a fault.
    Flagged,
    /// The meters gave no answer that says anything.
    NoAnswer,
}
