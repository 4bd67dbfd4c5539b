//! Typed ids. An id is text that people chose in the config (`m-0101`, `a-0101`) or that blockgate
//! derived from content (`bill-…`); the type keeps a meter's id out of an account's place.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Longest id, in bytes.
pub const ID_MAX: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdError(String);

impl std::fmt::Display for IdError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} is not an id: 1 to {ID_MAX} of the characters a-z 0-9 . _ -, the first a letter or a digit",
            self.0
        )
    }
}

impl std::error::Error for IdError {}

fn check(text: &str) -> Result<(), IdError> {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'));
    if first && rest && text.len() <= ID_MAX {
        Ok(())
    } else {
        Err(IdError(text.chars().take(80).collect()))
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(try_from = "String")]
        #[cfg_attr(feature = "schema", schemars(into = "String", extend("pattern" = "^[a-z0-9][a-z0-9._-]*$", "maxLength" = 64)))]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes an id.
            ///
            /// # Errors
            /// [`IdError`] for an empty or long text and for other characters than `a-z 0-9 . _ -`.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // By hand: `into` would copy the text for each id that is written.
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    )*};
}

ids! {
    /// A meter, as the config names it. Stays with the place: an exchanged device keeps the id.
    MeterId,
    /// A line: a serial port, a serial server's TCP port or a Modbus TCP address.
    LineId,
    /// An account: who pays. A household, a shop, the common parts.
    AccountId,
    /// What is charged: `electricity`, `property-fee`.
    ItemId,
    /// A tariff document.
    TariffId,
    /// A bill; derived from what it bills (invariant 8).
    BillId,
    /// An alarm; derived from its subject and its kind.
    AlarmId,
    /// A command, given by its sender.
    CommandId,
    /// A lane of a car park: one barrier, one direction.
    LaneId,
    /// An area of a car park.
    AreaId,
    /// A camera that reads plates.
    CameraId,
    /// A stay of a vehicle; derived from its entry.
    StayId,
    /// A vehicle's right to park: a monthly pass, a household's visitor.
    PermitId,
    /// A door.
    DoorId,
    /// A door access controller.
    ControllerId,
    /// Somebody who may pass doors; never a name.
    PersonId,
    /// A group: who may pass which doors.
    GroupId,
    /// When a right holds.
    ScheduleId,
    /// A right to pass doors for a time: a visitor's.
    GrantId,
    /// A scan of a line, since the start of the process.
    ScanId,
    /// An act on a device, a barrier's opening; derived from the record that ordered it.
    ActionId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_lower_case_text() {
        for good in ["a", "m-0101", "0.x_y-z", &"a".repeat(64)] {
            assert_eq!(MeterId::new(good).unwrap().to_string(), good);
        }
        for bad in ["", "-a", "A", "a b", "a/b", "é", "a\n", "#", "+", &"a".repeat(65)] {
            assert!(MeterId::new(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<MeterId>("\"A\"").is_err());
    }
}
