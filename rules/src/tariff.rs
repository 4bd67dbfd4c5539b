//! Tariffs: effective-dated documents in strict TOML, validated before they are applied.

use serde::{Deserialize, Serialize};

/// A tariff with its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tariff {}
