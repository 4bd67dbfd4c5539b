//! What a register of a device means.
//!
//! A register name is open text, so that a device profile can bring its own; the names in
//! [`STANDARD`] mean the same in every profile, and the rest of blockgate relies on them.

use crate::unit::Unit;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A register's name: `[a-z][a-z0-9_]*`, at most 48 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", schemars(into = "String"))]
pub struct RegisterName(Arc<str>);

impl RegisterName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// The reason as a sentence, when the text has another form.
    pub fn new(text: &str) -> Result<Self, String> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if first && rest && text.len() <= 48 {
            Ok(Self(Arc::from(text)))
        } else {
            Err(format!("{text:?} is not a register name: write it like \"energy_import\""))
        }
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RegisterName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl std::fmt::Display for RegisterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for RegisterName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text)
    }
}

impl TryFrom<String> for RegisterName {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}

impl From<RegisterName> for String {
    fn from(name: RegisterName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// What a register is for; decides where its values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A counter that money depends on: judged, journaled and billed.
    Billing,
    /// A momentary value: shown and published live, never journaled.
    Live,
    /// A status word or a device's own number.
    Status,
}

/// One register of a device profile, after scaling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RegisterSpec {
    /// Its name.
    pub name: RegisterName,
    /// The unit of the scaled value.
    pub unit: Unit,
    /// What it is for.
    pub role: Role,
    /// Decimals of the scaled value: what the device resolves, 0 to 9.
    pub decimals: u32,
    /// Digits before the point at which a counter begins again at zero; `None` where it is not
    /// known, and then a lower value is never taken for a rollover.
    pub rollover_digits: Option<u32>,
}

/// Names with a fixed meaning, and their unit.
pub const STANDARD: &[(&str, Unit)] = &[
    ("energy_import", Unit::KilowattHour),
    ("energy_import_t1", Unit::KilowattHour),
    ("energy_import_t2", Unit::KilowattHour),
    ("energy_import_t3", Unit::KilowattHour),
    ("energy_import_t4", Unit::KilowattHour),
    ("energy_export", Unit::KilowattHour),
    ("energy_total", Unit::KilowattHour),
    ("reactive_import", Unit::KilovarHour),
    ("reactive_export", Unit::KilovarHour),
    ("voltage_l1", Unit::Volt),
    ("voltage_l2", Unit::Volt),
    ("voltage_l3", Unit::Volt),
    ("current_l1", Unit::Ampere),
    ("current_l2", Unit::Ampere),
    ("current_l3", Unit::Ampere),
    ("power_l1", Unit::Watt),
    ("power_l2", Unit::Watt),
    ("power_l3", Unit::Watt),
    ("power_total", Unit::Watt),
    ("power_factor", Unit::One),
    ("frequency", Unit::Hertz),
    ("volume", Unit::CubicMetre),
    ("volume_reverse", Unit::CubicMetre),
    ("volume_flow", Unit::CubicMetrePerHour),
    ("heat", Unit::Gigajoule),
    ("heat_flow", Unit::GigajoulePerHour),
    ("flow_speed", Unit::MetrePerSecond),
];
