//! The name of one reading, as bills quote it.

use serde::{Deserialize, Serialize};

/// Names one reading: the record's sequence number and the place in it. Prints as `1042.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReadingId {
    /// Sequence number of the journal record.
    pub seq: u64,
    /// Index in the record, from 0.
    pub index: u16,
}

impl std::fmt::Display for ReadingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.seq, self.index)
    }
}

impl std::str::FromStr for ReadingId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a reading's id like \"1042.3\"");
        let (seq, index) = text.split_once('.').ok_or_else(wrong)?;
        Ok(Self {
            seq: seq.parse().map_err(|_| wrong())?,
            index: index.parse().map_err(|_| wrong())?,
        })
    }
}

impl Serialize for ReadingId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ReadingId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ReadingId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Sequence number of the journal record and place in it: 1042.3",
            "type": "string",
            "pattern": "^[0-9]+\\.[0-9]+$",
        })
    }
}

impl<'de> Deserialize<'de> for ReadingId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
