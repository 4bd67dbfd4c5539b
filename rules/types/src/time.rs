//! Points in time and spans. Inside blockgate time is UTC in whole milliseconds; civil time exists
//! only where a calendar is asked (`rules::calendar`).

use crate::spelled::Spelled;
use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z. Prints and parses as RFC 3339.
///
/// The range is that of the years 1970 to 9999: a box whose clock lies before is at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// Why a text is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeError(String);

impl std::fmt::Display for TimeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::error::Error for TimeError {}

impl Time {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-30T22:00:00Z, the last second that jiff can write.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// From milliseconds since the epoch; values outside the range become the nearest bound.
    #[must_use]
    pub fn from_millis(ms: i64) -> Self {
        Self(ms.clamp(0, Self::MAX.0))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This time plus a span; stays inside the range.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_add(span.as_millis()))
    }

    /// This time minus a span; stays inside the range.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_sub(span.as_millis()))
    }

    /// The span since an earlier time; `None` when `earlier` is later: a clock was set back.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Span> {
        (self.0 >= earlier.0).then(|| Span(self.0.saturating_sub(earlier.0)))
    }
}

impl From<jiff::Timestamp> for Time {
    fn from(t: jiff::Timestamp) -> Self {
        Self::from_millis(t.as_millisecond())
    }
}

impl From<Time> for jiff::Timestamp {
    fn from(t: Time) -> Self {
        // The range of `Time` lies inside jiff's, so the default is never taken.
        Self::from_millisecond(t.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Time {
    /// RFC 3339 in UTC: `2026-03-01T00:15:00Z`, with milliseconds only where there are some.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        jiff::Timestamp::from(*self).fmt(f)
    }
}

impl std::str::FromStr for Time {
    type Err = TimeError;

    /// Takes RFC 3339 with an offset.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parsed: jiff::Timestamp = text
            .parse()
            .map_err(|_| TimeError(format!("{text:?} is not a time like 2026-03-01T00:15:00Z")))?;
        let ms = parsed.as_millisecond();
        if (0..=Self::MAX.0).contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(TimeError(format!("{text:?} lies outside the years 1970 to 9999")))
        }
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match Spelled::time((*self).into()) {
            Some(text) => s.serialize_str(text.as_str()),
            None => s.collect_str(self),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A UTC time, RFC 3339: 2026-03-01T00:15:00Z",
            "type": "string",
            "format": "date-time",
        })
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A span of time in whole milliseconds, never negative. In config `"90s"`, `"15m"`, `"2h"`, `"62d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// From milliseconds; a negative number is zero.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 { 0 } else { ms })
    }

    /// From seconds.
    #[must_use]
    pub const fn from_secs(s: i64) -> Self {
        Self::from_millis(s.saturating_mul(1000))
    }

    /// From minutes.
    #[must_use]
    pub const fn from_mins(m: i64) -> Self {
        Self::from_secs(m.saturating_mul(60))
    }

    /// From hours.
    #[must_use]
    pub const fn from_hours(h: i64) -> Self {
        Self::from_mins(h.saturating_mul(60))
    }

    /// From days of 24 hours.
    #[must_use]
    pub const fn from_days(d: i64) -> Self {
        Self::from_hours(d.saturating_mul(24))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(u64::try_from(span.0).unwrap_or(0))
    }
}

impl std::fmt::Display for Span {
    /// The largest unit that divides it: `15m`, `90s`, `250ms`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (size, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
            if self.0 != 0 && self.0 % size == 0 {
                return write!(f, "{}{name}", self.0 / size);
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { write!(f, "{}ms", self.0) }
    }
}

impl std::str::FromStr for Span {
    type Err = TimeError;

    /// Takes a whole number and one of `ms s m h d`.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let wrong = || {
            TimeError(format!(
                "{text:?} is not a span of time: write it like 500ms, 90s, 15m, 2h or 62d"
            ))
        };
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let size: i64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: i64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(size).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A span of time: 90s, 15m, 2h, 62d, 500ms",
            "type": "string",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// How far the wall clock can be believed (trust: S18, T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ClockState {
    /// The kernel says that the clock is disciplined.
    Synced,
    /// It was, since the last start of the box, and is not now.
    Holdover,
    /// It never was since the box started: no period closes (invariant 12).
    Unsynced,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_print_as_they_are_written() {
        for text in ["0s", "250ms", "90s", "15m", "2h", "62d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for bad in ["", "15", "m", "-1s", "1.5h", "1 h", "1w", "99999999999999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn times_print_as_rfc_3339() {
        let t: Time = "2026-03-01T08:15:00+08:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-03-01T00:15:00Z");
        assert_eq!(t.plus(Span::from_millis(5)).to_string(), "2026-03-01T00:15:00.005Z");
        assert!("2026-03-01T08:15:00".parse::<Time>().is_err(), "no offset");
        assert!("1969-12-31T23:59:59Z".parse::<Time>().is_err());
        assert_eq!(Time::EPOCH.since(t), None);
        for bound in [Time::EPOCH, Time::MAX] {
            assert_eq!(bound.to_string().parse(), Ok(bound));
        }
    }
}
