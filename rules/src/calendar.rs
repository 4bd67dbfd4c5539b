//! Civil time of the block: days, billing months and tier years in its zone.
//!
//! Everything is half open, `[from, to)`. A day begins where the zone says it does, so that days of
//! 23 and 25 hours are whole days; nothing here assumes that a day has 24 hours. The zone data is
//! built in: the same journal gives the same edges on every box.

use crate::event::Period;
use blockgate_types::Time;
use blockgate_types::spelled::Spelled;
use jiff::civil::Date;
use jiff::tz::TimeZone;
#[cfg(feature = "schema")]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer};

/// A day of the civil calendar.
pub type Day = Date;

/// The zone of a block, found by its IANA name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// A name that is not an IANA zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownZone(String);

impl std::fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a time zone: write it like \"Asia/Shanghai\"", self.0)
    }
}

impl std::error::Error for UnknownZone {}

impl Zone {
    /// Finds a zone in the built-in data.
    ///
    /// # Errors
    /// [`UnknownZone`] when there is none of this name.
    pub fn new(name: &str) -> Result<Self, UnknownZone> {
        let unknown = || UnknownZone(name.chars().take(80).collect());
        // Names only: not "UTC+8", nor a path, nor what the box calls local.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
        if name.is_empty() || !name.chars().all(plain) {
            return Err(unknown());
        }
        let rules = jiff::tz::db().get(name).map_err(|_| unknown())?;
        Ok(Self { name: name.to_owned(), rules })
    }

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The civil day in which a time lies.
    #[must_use]
    pub fn day(&self, at: Time) -> Day {
        jiff::Timestamp::from(at).to_zoned(self.rules.clone()).date()
    }

    /// The first moment of a day, by the zone.
    #[must_use]
    pub fn start_of(&self, day: Day) -> Time {
        match day.to_zoned(self.rules.clone()).and_then(|z| z.start_of_day()) {
            Ok(start) => Time::from(start.timestamp()),
            // A day beyond the calendar's end: never reached by a real clock.
            Err(_) => Time::MAX,
        }
    }

    /// The moment at which the zone's clock first shows `minute` (0 to 1440) of a day or, where a
    /// shift of the clock skips it, the moment of the shift's far side.
    #[must_use]
    pub fn moment(&self, day: Day, minute: u16) -> Time {
        let (hour, rest) = (minute / 60, minute % 60);
        let clock = i8::try_from(hour).ok().zip(i8::try_from(rest).ok());
        match clock {
            Some((hour, rest)) if hour < 24 => {
                let civil = day.at(hour, rest, 0, 0);
                match self.rules.to_ambiguous_zoned(civil).compatible() {
                    Ok(zoned) => Time::from(zoned.timestamp()),
                    Err(_) => Time::MAX,
                }
            }
            Some(_) | None => self.start_of(next_day(day)),
        }
    }

    /// What the zone's clock shows at a time, in minutes from 0 to 1439.
    #[must_use]
    pub fn minute_of_day(&self, at: Time) -> u16 {
        let clock = jiff::Timestamp::from(at).to_zoned(self.rules.clone()).time();
        let (hour, minute) = (u16::try_from(clock.hour()), u16::try_from(clock.minute()));
        hour.unwrap_or(0).saturating_mul(60).saturating_add(minute.unwrap_or(0))
    }

    /// The billing month in which a time lies.
    #[must_use]
    pub fn month_of(&self, at: Time) -> Month {
        Month::of(self.day(at))
    }

    /// The first moment after a month.
    #[must_use]
    pub fn end_of(&self, month: Month) -> Time {
        self.start_of(month.next().first())
    }
}

/// The day after; the calendar's last day is its own next.
#[must_use]
pub fn next_day(day: Day) -> Day {
    day.tomorrow().unwrap_or(Day::MAX)
}

/// Days in `[from, to)`; zero when `to` is not later.
#[must_use]
pub fn days_between(from: Day, to: Day) -> u32 {
    from.until(to).ok().and_then(|span| u32::try_from(span.get_days()).ok()).unwrap_or(0)
}

/// A day from its text, `2026-03-01`.
#[must_use]
pub fn parse_day(text: &str) -> Option<Day> {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| match i {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        });
    if shape { text.parse().ok() } else { None }
}

/// Serde for a day as its text.
#[expect(non_camel_case_types, reason = "stands where serde wants a module's path")]
#[derive(Debug, Clone, Copy)]
pub enum day_text {}

/// Pattern of a day in JSON Schema.
#[cfg(feature = "schema")]
const DAY_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

impl day_text {
    /// Writes `2026-03-01`.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(day: &Day, s: S) -> Result<S::Ok, S::Error> {
        match Spelled::day(*day) {
            Some(text) => s.serialize_str(text.as_str()),
            None => s.collect_str(day),
        }
    }

    /// Reads what [`parse_day`] takes.
    ///
    /// # Errors
    /// A text of another form.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Day, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        parse_day(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is not a day")))
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for day_text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A civil day: 2026-03-01",
            "type": "string",
            "pattern": DAY_PATTERN,
        })
    }
}

/// [`day_text`] for an optional day.
#[expect(non_camel_case_types, reason = "stands where serde wants a module's path")]
#[derive(Debug, Clone, Copy)]
pub enum day_text_option {}

impl day_text_option {
    /// Writes a day or null.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(day: &Option<Day>, s: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => day_text::serialize(day, s),
            None => s.serialize_none(),
        }
    }

    /// Reads a day or null.
    ///
    /// # Errors
    /// A text of another form.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Day>, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(d)?;
        let wrong = |t: &str| serde::de::Error::custom(format!("{t:?} is not a day"));
        text.map(|t| parse_day(&t).ok_or_else(|| wrong(&t))).transpose()
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for day_text_option {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OptionalDay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A civil day, or null",
            "type": ["string", "null"],
            "pattern": DAY_PATTERN,
        })
    }
}

/// A calendar month: the billing period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    first: Day,
}

impl Month {
    /// The month of a day.
    #[must_use]
    pub fn of(day: Day) -> Self {
        Self { first: day.first_of_month() }
    }

    /// Its first day.
    #[must_use]
    pub fn first(self) -> Day {
        self.first
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        let (year, month) = (self.first.year(), self.first.month());
        let next = match month.checked_add(1).filter(|month| *month <= 12) {
            Some(month) => Day::new(year, month, 1),
            None => Day::new(year.saturating_add(1), 1, 1),
        };
        Self { first: next.unwrap_or(Day::MAX) }
    }

    /// Its number of days.
    #[must_use]
    pub fn days(self) -> u32 {
        u32::try_from(self.first.days_in_month()).unwrap_or(30)
    }

    /// As a period of the block.
    #[must_use]
    pub fn period(self, zone: &Zone) -> Period {
        period(self.first, self.next().first, zone)
    }
}

impl std::fmt::Display for Month {
    /// `2026-03`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

/// `[from, to)` as events write it.
#[must_use]
pub fn period(from: Day, to: Day, zone: &Zone) -> Period {
    Period { from: day_name(from), to: day_name(to), zone: zone.name.clone() }
}

/// A day as events write it.
fn day_name(day: Day) -> String {
    Spelled::day(day).map_or_else(|| day.to_string(), |text| text.as_str().to_owned())
}

/// The day so many days later; `None` beyond the calendar's end.
#[must_use]
pub fn days_after(day: Day, days: u32) -> Option<Day> {
    day.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

/// The day so many days earlier; `None` before the calendar's begin.
#[must_use]
pub fn days_before(day: Day, days: u32) -> Option<Day> {
    day.checked_sub(jiff::Span::new().try_days(days).ok()?).ok()
}

/// The day `months` months after `day`; the last day of a shorter month. `None` beyond the calendar.
#[must_use]
pub fn months_after(day: Day, months: u32) -> Option<Day> {
    let months = i32::try_from(months).ok()?;
    day.checked_add(jiff::Span::new().try_months(months).ok()?).ok()
}

/// The first day of the tier period in which `day` lies, and of the one after it, where periods of
/// `months` months count from `month`-`day` of each year.
#[must_use]
pub fn tier_period(day: Day, months: u32, reset: (i8, i8)) -> (Day, Day) {
    let year = tier_year_start(day, reset);
    let (mut start, mut n) = (year, 0_u32);
    loop {
        n = n.saturating_add(months.max(1));
        let next = if n >= 12 { Some(next_tier_year(day, reset)) } else { months_after(year, n) };
        match next {
            Some(next) if next <= day && n < 12 => start = next,
            Some(next) => return (start, next),
            None => return (start, Day::MAX),
        }
    }
}

/// The first day of the tier year in which `day` lies, where the year begins on `month`-`day`.
#[must_use]
pub fn tier_year_start(day: Day, reset: (i8, i8)) -> Day {
    let begins = |year: i16| Day::new(year, reset.0, reset.1);
    match begins(day.year()) {
        Ok(start) if start <= day => start,
        Ok(_) | Err(_) => begins(day.year().saturating_sub(1)).unwrap_or(day),
    }
}

/// The first day of the tier year after the one in which `day` lies.
#[must_use]
pub fn next_tier_year(day: Day, reset: (i8, i8)) -> Day {
    let start = tier_year_start(day, reset);
    Day::new(start.year().saturating_add(1), reset.0, reset.1).unwrap_or(Day::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        parse_day(text).unwrap()
    }

    #[test]
    fn a_month_begins_at_the_zones_midnight() {
        for (zone, at, month, end) in [
            ("Asia/Shanghai", "2026-02-28T16:00:00Z", "2026-03", "2026-03-31T16:00:00Z"),
            ("Asia/Shanghai", "2026-02-28T15:59:59Z", "2026-02", "2026-02-28T16:00:00Z"),
            ("UTC", "2024-02-29T23:59:59Z", "2024-02", "2024-03-01T00:00:00Z"),
            // The clock changes on 29 March 2026: the month has an hour less.
            ("Europe/Berlin", "2026-03-10T00:00:00Z", "2026-03", "2026-03-31T22:00:00Z"),
            // Midnight of 1 November 2026 exists, and the day has 25 hours.
            ("America/New_York", "2026-11-01T05:00:00Z", "2026-11", "2026-12-01T05:00:00Z"),
        ] {
            let zone = Zone::new(zone).unwrap();
            let at: Time = at.parse().unwrap();
            assert_eq!(zone.month_of(at).to_string(), month);
            assert_eq!(zone.end_of(zone.month_of(at)).to_string(), end);
        }
    }

    #[test]
    fn a_day_of_23_or_25_hours_is_one_day() {
        let zone = Zone::new("Europe/Berlin").unwrap();
        for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)] {
            let start = zone.start_of(day(date));
            let end = zone.start_of(next_day(day(date)));
            assert_eq!(end.since(start).unwrap().as_millis(), hours * 3_600_000, "{date}");
        }
        // 02:30 does not exist on that day: the window begins where the clock goes on.
        assert_eq!(zone.moment(day("2026-03-29"), 150).to_string(), "2026-03-29T01:30:00Z");
        assert_eq!(zone.moment(day("2026-03-29"), 1440), zone.start_of(day("2026-03-30")));
    }

    #[test]
    fn an_unknown_zone_is_an_error() {
        for bad in ["", "Asia/Nowhere", "UTC+8", "../etc/passwd", "+08:00", "中国"] {
            assert!(Zone::new(bad).is_err(), "{bad}");
        }
        assert!(Zone::new("Asia/Shanghai").is_ok());
    }

    #[test]
    fn a_tier_year_begins_on_its_reset_day() {
        for (at, reset, start, next) in [
            ("2026-03-01", (1, 1), "2026-01-01", "2027-01-01"),
            ("2026-06-30", (7, 1), "2025-07-01", "2026-07-01"),
            ("2026-07-01", (7, 1), "2026-07-01", "2027-07-01"),
        ] {
            assert_eq!(tier_year_start(day(at), reset), day(start));
            assert_eq!(next_tier_year(day(at), reset), day(next));
        }
    }

    #[test]
    fn only_a_whole_date_is_a_day() {
        for bad in ["2026-3-1", "2026-02-30", "20260301", "2026-03-01T00:00", "", "２026-03-01"] {
            assert!(parse_day(bad).is_none(), "{bad}");
        }
        assert_eq!(days_between(day("2024-02-01"), day("2024-03-01")), 29);
        assert_eq!(days_between(day("2024-03-01"), day("2024-02-01")), 0);
    }
}
