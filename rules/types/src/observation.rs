//! What one poll of one meter brought.

use crate::decimal::Decimal;
use crate::id::MeterId;
use crate::register::RegisterSpec;
use crate::time::Time;
use std::sync::Arc;

/// The values of one poll, in the order of the profile's registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// The profile's registers; shared by every observation of that profile.
    pub specs: Arc<[RegisterSpec]>,
    /// One value a register; `None` where the device says "no value" (NaN, FF..FF).
    pub values: Vec<Option<Decimal>>,
}

impl Values {
    /// The registers with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&RegisterSpec, Option<Decimal>)> {
        self.specs.iter().zip(self.values.iter().copied())
    }

    /// The value of a register by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Decimal> {
        self.iter().find(|(spec, _)| spec.name.as_str() == name).and_then(|(_, value)| value)
    }
}

/// The classes in which faults are counted; each points an installer to another place.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// No answer in time: wiring, address, baud rate, power.
    Timeout,
    /// A damaged answer: noise, termination, two masters.
    Checksum,
    /// A well-formed answer that is not the one to our question: wrong length, exception.
    Protocol,
    /// Another meter answered in place of the one that was asked: two meters with one address, a second
    /// master, or answers that come too late.
    #[serde(rename = "wrong-device")]
    WrongDevice,
    /// An answer whose content cannot be a value: NaN, digits that are none, out of range.
    Value,
}

impl FaultClass {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Timeout, Self::Checksum, Self::Protocol, Self::WrongDevice, Self::Value];

    /// The word used in metrics, messages and config.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Checksum => "checksum",
            Self::Protocol => "protocol",
            Self::WrongDevice => "wrong-device",
            Self::Value => "value",
        }
    }
}

/// Why a poll brought no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFault {
    /// Where it counts.
    pub class: FaultClass,
    /// One plain sentence in English, without a trailing full stop.
    pub what: String,
    /// The bytes received, as they came, for the page and the log. Empty when nothing came.
    pub raw: Vec<u8>,
}

impl std::fmt::Display for ReadFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.class.text(), self.what)
    }
}

impl std::error::Error for ReadFault {}

/// One poll of one meter: values, or why there are none.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Which meter.
    pub meter: MeterId,
    /// Wall time at which the last answer had arrived.
    pub at: Time,
    /// What came.
    pub outcome: Result<Values, ReadFault>,
}
