//! What replies hold (CJ/T 188-2004, 7 and annex): layouts by length, units, times, status.

use super::frame::DiOrder;
use crate::bcd;
use crate::measure::{Dimension, Measure};
use blockgate_types::Decimal;

/// A value of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Water or gas: the counter.
    Current,
    /// Water or gas: the counter at the last settlement day.
    Settlement,
    /// Heat: the counter at the last settlement day.
    SettlementHeat,
    /// Heat: the counter.
    Heat,
    /// Heat: power.
    Power,
    /// Heat: flow.
    Flow,
    /// Heat: volume that went through.
    Volume,
    /// Heat: supply temperature, °C.
    SupplyTemperature,
    /// Heat: return temperature, °C.
    ReturnTemperature,
    /// Heat: working time, h.
    Hours,
    /// The meter's clock.
    Time,
    /// The status word.
    Status,
    /// The valve as the status word tells it: 0 open, 1 closed, 2 fault.
    Valve,
    /// Whether the battery is low: 0 no, 1 yes.
    BatteryLow,
}

impl Field {
    /// The word that profiles and `decode` use.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Settlement => "settlement",
            Self::SettlementHeat => "settlement_heat",
            Self::Heat => "heat",
            Self::Power => "power",
            Self::Flow => "flow",
            Self::Volume => "volume",
            Self::SupplyTemperature => "supply_temperature",
            Self::ReturnTemperature => "return_temperature",
            Self::Hours => "hours",
            Self::Time => "time",
            Self::Status => "status",
            Self::Valve => "valve",
            Self::BatteryLow => "battery_low",
        }
    }
}

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Four bytes of digits and a unit byte.
    Amount {
        /// Decimals.
        decimals: u32,
    },
    /// Digits in a fixed unit.
    Digits {
        /// Bytes.
        bytes: usize,
        /// Decimals.
        decimals: u32,
        /// The unit.
        measure: (Dimension, i64),
    },
    /// Seven bytes of digits.
    Time,
    /// Two bytes.
    Status,
}

impl Form {
    fn bytes(self) -> usize {
        match self {
            Self::Amount { .. } => 5,
            Self::Digits { bytes, .. } => bytes,
            Self::Time => 7,
            Self::Status => 2,
        }
    }
}

const AMOUNT: Form = Form::Amount { decimals: 2 };
const DEGREES: Form = Form::Digits { bytes: 3, decimals: 2, measure: (Dimension::Temperature, 1) };

const WATER: &[(Field, Form)] = &[
    (Field::Current, AMOUNT),
    (Field::Settlement, AMOUNT),
    (Field::Time, Form::Time),
    (Field::Status, Form::Status),
];

const HEAT: &[(Field, Form)] = &[
    (Field::SettlementHeat, AMOUNT),
    (Field::Heat, AMOUNT),
    (Field::Power, AMOUNT),
    (Field::Flow, Form::Amount { decimals: 4 }),
    (Field::Volume, AMOUNT),
    (Field::SupplyTemperature, DEGREES),
    (Field::ReturnTemperature, DEGREES),
    (Field::Hours, Form::Digits { bytes: 3, decimals: 0, measure: (Dimension::Time, 3600) }),
    (Field::Time, Form::Time),
    (Field::Status, Form::Status),
];

/// One volume, as some small meters and the settlements D120 to D12B answer.
const SHORT: &[(Field, Form)] = &[(Field::Current, AMOUNT)];

/// The fields of a reply's content (behind identifier and sequence number), by its length.
#[must_use]
pub fn layout(content: usize) -> Option<&'static [(Field, Form)]> {
    match content {
        5 | 6 => Some(SHORT),
        19 => Some(WATER),
        43 => Some(HEAT),
        _ => None,
    }
}

/// Bytes of the content of each layout, the longest last.
pub const CONTENT_MAX: usize = 43;
/// Bytes of identifier and sequence number in front of the content.
pub const DATA_HEAD: usize = 3;

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A number with its unit byte; `None` is "no value".
    Amount(Option<Decimal>, u8),
    /// A number of a fixed unit.
    Plain(Option<Decimal>, Measure),
    /// `YYYY-MM-DD hh:mm:ss`; `None` where the clock is not set or there is none.
    Time(Option<String>),
    /// The status word.
    Status([u8; 2]),
}

/// Takes a reply's content apart.
///
/// # Errors
/// Field by field: digits that are none.
#[must_use]
pub fn fields(content: &[u8]) -> Vec<(Field, Result<Content, String>)> {
    let mut rest = content;
    let mut found = Vec::new();
    for (field, form) in layout(content.len()).unwrap_or_default() {
        let Some((bytes, behind)) = rest.split_at_checked(form.bytes()) else { break };
        rest = behind;
        found.push((*field, one(*form, bytes)));
    }
    found
}

fn one(form: Form, bytes: &[u8]) -> Result<Content, String> {
    let digits = |bytes, decimals| {
        bcd::decode(bytes, decimals, false)
            .map_err(|error| format!("{error}: {}", crate::hex::Hex(bytes)))
    };
    match (form, bytes) {
        (Form::Amount { decimals }, [number @ .., unit]) => {
            Ok(Content::Amount(digits(number, decimals)?, *unit))
        }
        (Form::Digits { decimals, measure: (dimension, base), .. }, number) => {
            Ok(Content::Plain(digits(number, decimals)?, Measure::new(dimension, base, 0)))
        }
        (Form::Time, stamp) => Ok(Content::Time(time(stamp))),
        (Form::Status, [first, second]) => Ok(Content::Status([*first, *second])),
        (Form::Amount { .. } | Form::Status, _) => Err("the bytes are missing".to_owned()),
    }
}

/// The clock, low byte first, or on some water meters high byte first.
fn time(bytes: &[u8]) -> Option<String> {
    let wire: [u8; 7] = bytes.try_into().ok()?;
    let mut low_first = wire;
    low_first.reverse();
    stamp(low_first).or_else(|| stamp(wire))
}

/// A stamp of century, year, month, day, hour, minute, second.
fn stamp(bytes: [u8; 7]) -> Option<String> {
    let digits: Vec<u8> = bytes.iter().map_while(|byte| bcd::two(*byte)).collect();
    let [century, year, month, day, hour, minute, second] = *digits.as_slice() else {
        return None;
    };
    let good = (19..=20).contains(&century)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let text =
        format!("{century:02}{year:02}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    good.then_some(text)
}

/// The unit of a unit byte, with its name (CJ/T 188-2004, table of units).
#[must_use]
pub fn unit(code: u8) -> Option<(&'static str, Measure)> {
    use Dimension::{Energy, Power, Volume, VolumeFlow};
    let (text, dimension, mantissa, scale) = match code {
        0x01 => ("J", Energy, 1, 0),
        0x02 => ("Wh", Energy, 3600, 0),
        0x05 => ("kWh", Energy, 3_600_000, 0),
        0x08 => ("MWh", Energy, 3_600_000_000, 0),
        0x0A => ("MWh x 100", Energy, 360_000_000_000, 0),
        0x0B => ("kJ", Energy, 1000, 0),
        0x0E => ("MJ", Energy, 1_000_000, 0),
        0x11 => ("GJ", Energy, 1_000_000_000, 0),
        0x13 => ("GJ x 100", Energy, 100_000_000_000, 0),
        0x14 => ("W", Power, 1, 0),
        0x17 => ("kW", Power, 1000, 0),
        0x1A => ("MW", Power, 1_000_000, 0),
        0x29 => ("L", Volume, 1, 3),
        0x2C => ("m3", Volume, 1, 0),
        0x32 => ("L/h", VolumeFlow, 1, 3),
        0x35 => ("m3/h", VolumeFlow, 1, 0),
        _ => return None,
    };
    Some((text, Measure::new(dimension, mantissa, scale)))
}

/// The valve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValveState {
    /// Water flows.
    Open,
    /// It does not.
    Closed,
    /// The meter says that the valve is broken, or something that its profile does not know.
    Fault,
}

/// Which bits of the status word's first byte mean what: makers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusMap {
    /// The bits of the valve.
    pub valve_mask: u8,
    /// Their value when it is open.
    pub open: u8,
    /// Their value when it is closed.
    pub closed: u8,
    /// The bits of the low battery.
    pub battery_mask: u8,
}

impl Default for StatusMap {
    /// CJ/T 188-2004: D1 D0 00 open, 01 closed, 11 fault; D2 battery low.
    fn default() -> Self {
        Self { valve_mask: 0x03, open: 0x00, closed: 0x01, battery_mask: 0x04 }
    }
}

impl StatusMap {
    /// The valve in a status word.
    #[must_use]
    pub fn valve(self, status: [u8; 2]) -> ValveState {
        let [first, _] = status;
        match first & self.valve_mask {
            bits if bits == self.open => ValveState::Open,
            bits if bits == self.closed => ValveState::Closed,
            _ => ValveState::Fault,
        }
    }

    /// Whether the battery is low.
    #[must_use]
    pub fn battery_low(self, status: [u8; 2]) -> bool {
        let [first, _] = status;
        first & self.battery_mask != 0
    }
}

/// The identifier of two wire bytes, and in which order they stand: the order that gives a known
/// group of identifiers.
#[must_use]
pub fn identifier(first: u8, second: u8) -> (u16, DiOrder) {
    let known = |high: u8| matches!(high, 0x81 | 0x90 | 0x91 | 0xA0 | 0xA1 | 0xD1..=0xD4);
    if known(second) && !known(first) {
        (u16::from_le_bytes([first, second]), DiOrder::LowFirst)
    } else {
        (u16::from_be_bytes([first, second]), DiOrder::HighFirst)
    }
}

/// What an identifier means, in words.
#[must_use]
pub fn identifier_text(di: u16) -> String {
    match di {
        0x901F => "present values".to_owned(),
        0xD120..=0xD12B => format!("settlement {} back", di - 0xD11F),
        0x9102 => "price table".to_owned(),
        0x9103 => "settlement day".to_owned(),
        0x9104 => "reading day".to_owned(),
        0x9105 => "purchase".to_owned(),
        0x9106 => "key version".to_owned(),
        0x810A => "address".to_owned(),
        0xA010 => "price table (write)".to_owned(),
        0xA011 => "settlement day (write)".to_owned(),
        0xA012 => "reading day (write)".to_owned(),
        0xA013 => "purchase (write)".to_owned(),
        0xA014 => "new key (write)".to_owned(),
        0xA015 => "clock (write)".to_owned(),
        0xA016 => "base of the counter (write)".to_owned(),
        0xA017 => "valve".to_owned(),
        0xA018 => "address (write)".to_owned(),
        0xA019 => "end of factory state".to_owned(),
        _ => "another identifier".to_owned(),
    }
}
