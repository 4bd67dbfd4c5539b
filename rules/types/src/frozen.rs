//! What a meter kept of its own past: its counters at the end of a day or of a settlement month.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which of the values that a meter froze by itself. On every surface a word: `day-1` is the last midnight's,
/// `month-1` the last settlement's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Frozen {
    /// The n-th last daily freeze, 1 to 62.
    Day(u8),
    /// The n-th last settlement, 1 to 12.
    Month(u8),
}

impl Frozen {
    /// Days that a meter keeps at most (DL/T 645-2007, annex A).
    pub const DAYS_MAX: u8 = 62;
    /// Settlements that a meter keeps at most.
    pub const MONTHS_MAX: u8 = 12;
}

impl std::fmt::Display for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(n) => write!(f, "day-{n}"),
            Self::Month(n) => write!(f, "month-{n}"),
        }
    }
}

impl std::str::FromStr for Frozen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |n: &str, max: u8| {
            let good = n.parse::<u8>().ok().filter(|n| (1..=max).contains(n));
            good.filter(|_| !n.starts_with(['0', '+']))
        };
        let found = match text.split_once('-') {
            Some(("day", n)) => number(n, Self::DAYS_MAX).map(Self::Day),
            Some(("month", n)) => number(n, Self::MONTHS_MAX).map(Self::Month),
            _ => None,
        };
        let (days, months) = (Self::DAYS_MAX, Self::MONTHS_MAX);
        found.ok_or_else(|| {
            format!("{text:?}: write day-1 to day-{days} or month-1 to month-{months}")
        })
    }
}

impl Serialize for Frozen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Frozen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Frozen {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Frozen".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(day-([1-9]|[1-5][0-9]|6[0-2])|month-([1-9]|1[0-2]))$",
            "description": "Values that a meter froze by itself: day-1 is the last midnight's, month-1 the last settlement's.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_a_day_or_a_month_that_a_meter_may_keep() {
        for (text, frozen) in [
            ("day-1", Frozen::Day(1)),
            ("day-62", Frozen::Day(62)),
            ("month-12", Frozen::Month(12)),
        ] {
            assert_eq!(text.parse(), Ok(frozen));
            assert_eq!(frozen.to_string(), text);
        }
        for text in ["", "day", "day-", "day-0", "day-01", "day-+1", "day-63", "month-13", "week-1"]
        {
            assert!(text.parse::<Frozen>().is_err(), "{text}");
        }
    }
}
