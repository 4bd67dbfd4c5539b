//! Serde for lists whose elements are texts in JSON: days and decimal numbers.

use crate::calendar::{Day, parse_day};
use blockgate_types::{Decimal, parse_decimal};
#[cfg(feature = "schema")]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer};
#[cfg(feature = "schema")]
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A set of days, `["2026-10-01", …]`.
#[expect(non_camel_case_types, reason = "stands where serde wants a module's path")]
#[derive(Debug, Clone, Copy)]
pub enum day_set {}

impl day_set {
    /// Writes the list.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(days: &BTreeSet<Day>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(days.iter().map(ToString::to_string))
    }

    /// Reads the list.
    ///
    /// # Errors
    /// A text that is no day.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeSet<Day>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        let day = |text: &String| {
            let wrong = || serde::de::Error::custom(format!("{text:?} is not a day"));
            parse_day(text).ok_or_else(wrong)
        };
        texts.iter().map(day).collect()
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for day_set {
    fn schema_name() -> Cow<'static, str> {
        "Days".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let day = generator.subschema_for::<crate::calendar::day_text>();
        json_schema!({ "type": "array", "items": day, "uniqueItems": true })
    }
}

/// A list of decimal numbers.
#[expect(non_camel_case_types, reason = "stands where serde wants a module's path")]
#[derive(Debug, Clone, Copy)]
pub enum caps {}

impl caps {
    /// Writes the list.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(numbers: &[Decimal], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(numbers.iter().map(|number| blockgate_types::decimal::canonical(*number)))
    }

    /// Reads the list.
    ///
    /// # Errors
    /// A text that is no decimal number.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Decimal>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        texts.iter().map(|text| parse_decimal(text).map_err(serde::de::Error::custom)).collect()
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for caps {
    fn schema_name() -> Cow<'static, str> {
        "DecimalList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = generator.subschema_for::<blockgate_types::decimal::text>();
        json_schema!({ "type": "array", "items": number })
    }
}
