//! A number plate. Personal data: `Display` and `Debug` show it masked, so that no log line, error or
//! metric can carry one by mistake; the whole text is had by [`Plate::text`] alone.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// Longest plate, in characters; GA 36-2018 plates have seven or eight.
pub const PLATE_CHARS_MAX: usize = 12;

/// A number plate as it is compared: full-width forms folded, letters upper case, separators gone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Plate(Arc<str>);

/// A text that is no plate. Does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlateError;

impl std::fmt::Display for PlateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "not a number plate: 2 to {PLATE_CHARS_MAX} letters, digits and Chinese characters, like 粤B12345"
        )
    }
}

impl std::error::Error for PlateError {}

impl Plate {
    /// Reads a plate as cameras and people write it: `粤B·12345`, `粤b 12345`, `粤Ｂ１２３４５`.
    ///
    /// # Errors
    /// [`PlateError`] for an empty or long text, and for other characters than letters, digits and
    /// Chinese characters. Words by which cameras say that they read none (`_无_`, `unknown`) are no
    /// plates.
    pub fn new(text: &str) -> Result<Self, PlateError> {
        let mut plate = String::with_capacity(text.len());
        for c in text.chars() {
            match fold(c) {
                '·' | '•' | '・' | '.' | '-' | ' ' | '\u{3000}' | '－' => {}
                c if c.is_ascii_alphanumeric() => plate.push(c.to_ascii_uppercase()),
                c if is_han(c) => plate.push(c),
                _ => return Err(PlateError),
            }
        }
        let chars = plate.chars().count();
        let none = matches!(
            plate.as_str(),
            "无" | "无牌" | "无牌车" | "UNKNOWN" | "NOPLATE" | "NULL" | "NONE"
        );
        if !(2..=PLATE_CHARS_MAX).contains(&chars) || none {
            return Err(PlateError);
        }
        Ok(Self(Arc::from(plate)))
    }

    /// The whole plate. For comparing, for the people whose work it is, and for what the cloud needs;
    /// never for a log line, a topic or a metric.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The plate with its middle hidden: `粤B·1••45`.
    #[must_use]
    pub fn masked(&self) -> String {
        self.to_string()
    }
}

impl std::fmt::Display for Plate {
    /// Masked: the first two characters, one more, dots, and the last two.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let chars = self.0.chars().count();
        for (index, c) in self.0.chars().enumerate() {
            if index == 2 && chars >= 7 {
                f.write_str("·")?;
            }
            let shown = if chars >= 7 {
                index < 3 || index.saturating_add(2) >= chars
            } else {
                index == 0 || index.saturating_add(1) == chars
            };
            if shown { write!(f, "{c}")? } else { f.write_str("•")? }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Plate {
    /// Masked.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plate({self})")
    }
}

impl std::str::FromStr for Plate {
    type Err = PlateError;
    fn from_str(text: &str) -> Result<Self, PlateError> {
        Self::new(text)
    }
}

/// The whole text: the journal is the evidence of who parked.
impl Serialize for Plate {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Plate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Plate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Plate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number plate without separators: 粤B12345",
            "examples": ["粤B12345"],
            "type": "string",
            "minLength": 2,
            "maxLength": PLATE_CHARS_MAX,
        })
    }
}

/// Full-width letters and digits as their plain forms.
fn fold(c: char) -> char {
    match c {
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => {
            let plain = u32::from(c).checked_sub(0xFEE0).and_then(char::from_u32);
            plain.unwrap_or(c)
        }
        other => other,
    }
}

/// CJK unified ideographs: provinces and the special plates' 警 学 港 澳 挂 领 使 应急.
fn is_han(c: char) -> bool {
    ('\u{4E00}'..='\u{9FFF}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plate_has_one_form_however_it_is_written() {
        let plate = Plate::new("粤B12345").unwrap();
        for text in ["粤B·12345", "粤b 12345", "粤Ｂ１２３４５", "粤B-123.45", "粤B・12345"]
        {
            assert_eq!(Plate::new(text), Ok(plate.clone()), "{text}");
        }
        for text in ["沪AD12345", "粤Z1234港", "京A1234警", "京0012345"] {
            assert_eq!(Plate::new(text).unwrap().text(), text);
        }
    }

    #[test]
    fn what_is_no_plate_is_refused_and_not_repeated() {
        for text in
            ["", "粤", "无", "_无_", "无牌车", "unknown", "<script>", "粤B12345\n", &"A".repeat(13)]
        {
            let error = Plate::new(text).unwrap_err().to_string();
            assert!(text.len() < 4 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_printed_plate_is_masked() {
        for (text, shown) in
            [("粤B12345", "粤B·1••45"), ("沪AD12345", "沪A·D•••45"), ("AB12", "A••2")]
        {
            let plate = Plate::new(text).unwrap();
            assert_eq!(plate.to_string(), shown);
            assert_eq!(format!("{plate:?}"), format!("Plate({shown})"));
        }
    }
}
