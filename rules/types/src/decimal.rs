//! Decimal numbers as blockgate takes and prints them.
//!
//! `rust_decimal` accepts more than a meter, a tariff or a message may say (`1e3`, `1_000`, `+1`,
//! `.5`) and rounds a string of more than 28 digits without a word; JSON and TOML numbers would go
//! through binary floats. So a quantity always enters as a *string*, and through [`parse_decimal`].

use crate::spelled::Spelled;
pub use rust_decimal::Decimal;
#[cfg(feature = "schema")]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer};

/// Most digits that a quantity may have, both sides of the point together.
pub const DIGITS_MAX: usize = 24;

/// Why a string is not a decimal number for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecimalError {
    /// Not of the form `-?(0|[1-9][0-9]*)(\.[0-9]+)?`.
    Form(String),
    /// More than [`DIGITS_MAX`] digits.
    TooLong(String),
}

impl std::fmt::Display for DecimalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Form(text) => {
                write!(f, "{text:?} is not a decimal number: write it like \"12\" or \"-0.05\"")
            }
            Self::TooLong(text) => {
                write!(f, "{text:?} has more than {DIGITS_MAX} digits")
            }
        }
    }
}

impl std::error::Error for DecimalError {}

/// Parses `-?(0|[1-9][0-9]*)(\.[0-9]+)?` with at most [`DIGITS_MAX`] digits, exactly.
///
/// # Errors
/// [`DecimalError`] when the text has another form or too many digits.
pub fn parse_decimal(text: &str) -> Result<Decimal, DecimalError> {
    let form = || DecimalError::Form(text.chars().take(40).collect());
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(form()),
        None => (digits, ""),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(form());
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Err(form());
    }
    if whole.len() + fraction.len() > DIGITS_MAX {
        return Err(DecimalError::TooLong(text.chars().take(40).collect()));
    }
    let value = Decimal::from_str_exact(text).map_err(|_| form())?;
    // "-0" prints as "-0" and equals 0: there is only one zero here.
    Ok(if value.is_zero() { value.abs() } else { value })
}

/// The shortest text of a number: no trailing zeros, no negative zero. Two equal numbers print alike.
#[must_use]
pub fn canonical(value: Decimal) -> String {
    value.normalize().to_string()
}

/// Pattern of a decimal in JSON Schema: what [`parse_decimal`] takes.
#[cfg(feature = "schema")]
const PATTERN: &str = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$";

/// Serde for a decimal that travels as a string (`"12.50"`); numbers are refused. A type and not a
/// module, so that schemars finds the schema by the path that serde calls.
#[expect(non_camel_case_types, reason = "stands where serde wants a module's path")]
#[derive(Debug, Clone, Copy)]
pub enum text {}

impl text {
    /// Writes the number as a string with the decimals it has.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(value: &Decimal, s: S) -> Result<S::Ok, S::Error> {
        match Spelled::decimal(*value) {
            Some(text) => s.serialize_str(text.as_str()),
            None => s.collect_str(value),
        }
    }

    /// Reads a string by [`parse_decimal`].
    ///
    /// # Errors
    /// A number that is not a string, or a string of another form.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Decimal, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        parse_decimal(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for text {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A decimal number as text, never a JSON number: 12.50",
            "type": "string",
            "pattern": PATTERN,
        })
    }
}

/// [`text`] for an optional number.
#[expect(non_camel_case_types, reason = "stands where serde wants a module's path")]
#[derive(Debug, Clone, Copy)]
pub enum text_option {}

impl text_option {
    /// Writes a string or null.
    ///
    /// # Errors
    /// Only those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<Decimal>, s: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => text::serialize(value, s),
            None => s.serialize_none(),
        }
    }

    /// Reads a string or null.
    ///
    /// # Errors
    /// A number that is not a string, or a string of another form.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Decimal>, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.map(|t| parse_decimal(&t).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(feature = "schema")]
impl JsonSchema for text_option {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OptionalDecimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A decimal number as text, or null",
            "type": ["string", "null"],
            "pattern": PATTERN,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimals_are_numbers() {
        for (text, want) in [
            ("0", Some("0")),
            ("-0", Some("0")),
            ("-0.00", Some("0.00")),
            ("12.50", Some("12.50")),
            ("-3.1", Some("-3.1")),
            ("123456789012345678901234", Some("123456789012345678901234")),
            ("1234567890123456789012345", None),
            ("", None),
            ("-", None),
            (".5", None),
            ("5.", None),
            ("+1", None),
            ("1e3", None),
            ("1_000", None),
            ("007", None),
            ("1,5", None),
            (" 1", None),
            ("1.2.3", None),
            ("NaN", None),
        ] {
            assert_eq!(parse_decimal(text).ok().map(|v| v.to_string()).as_deref(), want, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(mantissa: i64, scale in 0_u32..8) {
            let value = Decimal::new(mantissa, scale);
            proptest::prop_assert_eq!(parse_decimal(&value.to_string()).unwrap(), value);
            proptest::prop_assert_eq!(parse_decimal(&canonical(value)).unwrap(), value);
        }
    }
}
