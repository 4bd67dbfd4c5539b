//! What a captured frame says to a person: the result of every `decode`.

use crate::modbus::ReadRequest;

/// A frame, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// `Modbus RTU`, `Modbus TCP`, `DL/T 645-2007`, `CJ/T 188`, `M-Bus`, `UHPPOTE`, `OSDP`.
    pub framing: &'static str,
    /// `request`, `reply`, `exception`, … or `unknown`.
    pub kind: &'static str,
    /// Whether everything that can be checked holds.
    pub valid: bool,
    /// Names and values, in the order of the bytes.
    pub fields: Vec<(String, String)>,
    /// The Modbus read request that it is, where it is one.
    pub request: Option<ReadRequest>,
    /// Readings: names with their values and units.
    pub values: Vec<(String, String)>,
}

impl Decoded {
    /// A frame of which nothing is known yet.
    #[must_use]
    pub fn of(framing: &'static str) -> Self {
        Self {
            framing,
            kind: "unknown",
            valid: false,
            fields: Vec::new(),
            request: None,
            values: Vec::new(),
        }
    }

    /// Adds a field.
    pub fn field(&mut self, name: &str, value: impl Into<String>) {
        self.fields.push((name.to_owned(), value.into()));
    }

    /// Adds a reading; without a unit where `unit` is empty.
    pub fn value(&mut self, name: impl Into<String>, value: impl std::fmt::Display, unit: &str) {
        let text = if unit.is_empty() { value.to_string() } else { format!("{value} {unit}") };
        self.values.push((name.into(), text));
    }

    /// Says what is wrong; the frame is not valid.
    pub fn wrong(&mut self, what: impl Into<String>) {
        self.valid = false;
        self.field("error", what);
    }

    /// The field or reading of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let pairs = self.fields.iter().chain(&self.values);
        pairs.clone().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}
