//! A telegram: header and records (EN 13757-3, 5 and 6).
//!
//! ```text
//! CI 72   id 4 | maker 2 | version | medium | access | status | signature 2 | record …
//! CI 7A   access | status | signature 2 | record …           CI 78   record …
//! CI 73   id 4 | access | status | medium and unit 2 | counter 4 | counter 4
//! CI 70   application error
//! record  DIF | DIFE … | VIF | VIFE … | data
//! ```

use super::frame::Secondary;
use super::vif::{self, Meaning, Modifier};
use crate::bcd;
use crate::profile::format::{Format, Order};
use blockgate_types::Decimal;

/// What kind of value a record holds (EN 13757-3, table of function fields).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Function {
    /// At the moment of the readout.
    #[default]
    Instantaneous,
    /// The largest of a period.
    Maximum,
    /// The smallest of a period.
    Minimum,
    /// While the meter was in error.
    Error,
}

/// Identity and state of the meter, from a long header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Identity.
    pub identity: Secondary,
    /// Counts the readouts.
    pub access: u8,
    /// Status: bit 2 power low, 3 permanent error, 4 temporary error, 5 to 7 the maker's.
    pub status: u8,
    /// Encryption: 0000 for none.
    pub signature: [u8; 2],
}

/// A record's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number in the record's unit.
    Number(Decimal),
    /// Text.
    Text(String),
    /// `2012-07-10`, `2012-07-10T15:25`, `2012-07-10T15:25:30`.
    Stamp(String),
    /// The meter says that there is no value, and how.
    None(&'static str),
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What kind of value.
    pub function: Function,
    /// 0 present, from 1 on stored.
    pub storage: u64,
    /// Tariff; 0 for the total.
    pub tariff: u32,
    /// Unit inside the device.
    pub subunit: u32,
    /// Quantity and unit.
    pub meaning: Meaning,
    /// The unit's name where the meter gives one as text.
    pub unit_text: Option<String>,
    /// VIFEs that qualify the value, extension bits taken off; those behind 7F are the maker's own.
    pub qualifiers: Vec<u8>,
    /// The value.
    pub value: Value,
    /// The data bytes as they came.
    pub raw: Vec<u8>,
}

impl Record {
    /// The unit's name.
    #[must_use]
    pub fn unit(&self) -> &str {
        self.unit_text.as_deref().unwrap_or(self.meaning.unit)
    }
}

/// A telegram, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Telegram {
    /// Who answers; none for CI 78 and 7A.
    pub header: Option<Header>,
    /// The records that could be read.
    pub records: Vec<Record>,
    /// Whether the next telegram goes on.
    pub more: bool,
    /// The maker's own bytes at the end.
    pub manufacturer_data: Vec<u8>,
    /// Why the rest could not be read. What stands before is right.
    pub broken: Option<String>,
}

/// Records of one telegram: the bytes of a frame hold less.
const RECORDS_MAX: usize = 128;
/// DIFEs and VIFEs of one record (EN 13757-3, 6.3.5 and 6.4.3).
const EXTENSIONS_MAX: usize = 10;

/// Takes the data behind a CI field apart.
///
/// # Errors
/// A sentence: an application error of the meter, a header that is cut, encrypted data, a CI that no
/// reply with data has.
pub fn parse(ci: u8, data: &[u8]) -> Result<Telegram, String> {
    match ci {
        0x72 => {
            let Some((head, records)) = data.split_first_chunk::<12>() else {
                return Err(format!("the header has {} bytes and needs 12", data.len()));
            };
            let [a, b, c, d, m, n, version, medium, access, status, s0, s1] = *head;
            let identity = Secondary::from_wire([a, b, c, d, m, n, version, medium]);
            let header = Header { identity, access, status, signature: [s0, s1] };
            let mut telegram = records_of([s0, s1], records)?;
            telegram.header = Some(header);
            Ok(telegram)
        }
        0x7A => match data.split_first_chunk::<4>() {
            Some((&[_, _, s0, s1], records)) => records_of([s0, s1], records),
            None => Err(format!("the header has {} bytes and needs 4", data.len())),
        },
        0x78 => records_of([0, 0], data),
        0x73 => fixed(data),
        0x70 => Err(format!("application error: {}", application_error(data.first().copied()))),
        _ => Err(format!("CI {ci:02X} is not that of a reply with data")),
    }
}

/// What an application error says (EN 13757-3, table of error codes).
#[must_use]
pub fn application_error(code: Option<u8>) -> &'static str {
    match code {
        None | Some(0) => "unspecified error",
        Some(1) => "unknown CI field",
        Some(2) => "buffer too long",
        Some(3) => "too many records",
        Some(4) => "premature end of a record",
        Some(5) => "more than 10 DIFEs",
        Some(6) => "more than 10 VIFEs",
        Some(8) => "busy",
        Some(9) => "too many readouts",
        Some(_) => "an error that the standard does not name",
    }
}

fn records_of(signature: [u8; 2], bytes: &[u8]) -> Result<Telegram, String> {
    // The low five bits of the high byte are the encryption mode; some old meters fill the word
    // with other numbers and send plain records, which begin with a sensible DIF all the same.
    let [_, mode] = signature;
    let encrypted = mode & 0x1F != 0 && matches!(mode & 0x1F, 4 | 5 | 7 | 13);
    if encrypted && bytes.get(..2) != Some(&[0x2F, 0x2F]) {
        return Err(format!("the data are encrypted (mode {})", mode & 0x1F));
    }
    let mut telegram = Telegram::default();
    let mut cursor = Cursor(bytes);
    while telegram.records.len() < RECORDS_MAX {
        let Some(dif) = cursor.byte() else { break };
        match dif {
            0x2F => {}
            0x0F | 0x1F => {
                telegram.more = dif == 0x1F;
                telegram.manufacturer_data = cursor.0.to_vec();
                break;
            }
            0x3F..=0x7F if dif & 0x0F == 0x0F => {
                telegram.broken = Some(format!("DIF {dif:02X} is reserved"));
                break;
            }
            dif => match record(dif, &mut cursor) {
                Ok(record) => telegram.records.push(record),
                Err(what) => {
                    let number = telegram.records.len() + 1;
                    telegram.broken = Some(format!("record {number}: {what}"));
                    break;
                }
            },
        }
    }
    Ok(telegram)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

fn record(dif: u8, cursor: &mut Cursor<'_>) -> Result<Record, &'static str> {
    let function = match dif >> 4 & 3 {
        0 => Function::Instantaneous,
        1 => Function::Maximum,
        2 => Function::Minimum,
        _ => Function::Error,
    };
    let (mut storage, mut tariff, mut subunit) = (u64::from(dif >> 6 & 1), 0_u32, 0_u32);
    let mut extended = dif & 0x80 != 0;
    let mut k = 0;
    while extended {
        let dife = cursor.byte().ok_or("it ends inside the DIFEs")?;
        if k >= EXTENSIONS_MAX {
            return Err("it has more than 10 DIFEs");
        }
        storage |= u64::from(dife & 0x0F) << (1 + 4 * k);
        tariff |= u32::from(dife >> 4 & 3) << (2 * k);
        subunit |= u32::from(dife >> 6 & 1) << k;
        extended = dife & 0x80 != 0;
        k += 1;
    }
    let (meaning, unit_text, qualifiers) = value_information(cursor)?;
    let raw = data_bytes(dif & 0x0F, cursor).ok_or("its data end too early")?;
    let (kind, raw) = raw;
    let value = content(kind, raw, &meaning);
    let raw = raw.to_vec();
    Ok(Record { function, storage, tariff, subunit, meaning, unit_text, qualifiers, value, raw })
}

type Information = (Meaning, Option<String>, Vec<u8>);

fn value_information(cursor: &mut Cursor<'_>) -> Result<Information, &'static str> {
    const CUT: &str = "it ends inside the VIFEs";
    let vif = cursor.byte().ok_or("it has no VIF")?;
    let mut last = vif;
    let mut unit_text = None;
    let mut meaning = match vif {
        0xFB => {
            last = cursor.byte().ok_or(CUT)?;
            vif::extension_fb(last)
        }
        0xFD => {
            last = cursor.byte().ok_or(CUT)?;
            vif::extension_fd(last)
        }
        _ => vif::primary(vif),
    };
    if vif & 0x7F == 0x7C {
        let length = cursor.byte().ok_or("its unit text is cut")?;
        let text = cursor.take(length.into()).ok_or("its unit text is longer than the telegram")?;
        unit_text = Some(reversed(text));
    }
    let mut qualifiers = Vec::new();
    let mut own = vif & 0x7F == 0x7F;
    while last & 0x80 != 0 {
        last = cursor.byte().ok_or(CUT)?;
        if qualifiers.len() >= EXTENSIONS_MAX {
            return Err("it has more than 10 VIFEs");
        }
        match vif::modifier(last) {
            Modifier::Power(power) if !own => meaning.exponent += power,
            Modifier::Manufacturer => {
                own = true;
                qualifiers.push(0x7F);
            }
            Modifier::Power(_) | Modifier::Qualifier(_) => qualifiers.push(last & 0x7F),
        }
    }
    Ok((meaning, unit_text, qualifiers))
}

fn reversed(bytes: &[u8]) -> String {
    bytes.iter().rev().filter(|b| **b != 0).map(|b| char::from(*b)).collect()
}

/// How the data bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Integer,
    Float,
    Digits { negative: bool },
    Text,
}

fn data_bytes<'a>(nibble: u8, cursor: &mut Cursor<'a>) -> Option<(Kind, &'a [u8])> {
    let digits = Kind::Digits { negative: false };
    let (kind, length) = match nibble {
        1..=4 => (Kind::Integer, usize::from(nibble)),
        5 => (Kind::Float, 4),
        6 => (Kind::Integer, 6),
        7 => (Kind::Integer, 8),
        9..=12 => (digits, usize::from(nibble - 8)),
        14 => (digits, 6),
        13 => {
            let lvar = cursor.byte()?;
            match lvar {
                0x00..=0xBF => (Kind::Text, lvar.into()),
                0xC0..=0xC9 => (digits, usize::from(lvar - 0xC0)),
                0xD0..=0xD9 => (Kind::Digits { negative: true }, usize::from(lvar - 0xD0)),
                0xE0..=0xEF => (Kind::Integer, usize::from(lvar - 0xE0)),
                0xF0..=0xFA => (Kind::Float, usize::from(lvar - 0xF0)),
                _ => return None,
            }
        }
        // 0 no data, 8 selection for readout; 15 does not come here.
        _ => (Kind::None, 0),
    };
    cursor.take(length).map(|bytes| (kind, bytes))
}

const NO_DATE: &str = "the date is marked invalid or is not set";

fn content(kind: Kind, raw: &[u8], meaning: &Meaning) -> Value {
    let dated = matches!(meaning.quantity, "date" | "date_time");
    if dated && kind == Kind::Integer {
        return stamp(raw).map_or(Value::None(NO_DATE), Value::Stamp);
    }
    let number = match kind {
        Kind::None => return Value::None("the record has no data"),
        Kind::Text => return Value::Text(reversed(raw)),
        Kind::Integer => integer(raw).ok_or("the number is too long"),
        Kind::Float => match raw.len() {
            4 => Format::F32.decode(Order::Dcba, raw).map_err(|_| "it is not a number"),
            8 => Format::F64.decode(Order::Dcba, raw).map_err(|_| "it is not a number"),
            _ => Err("it is not a number"),
        },
        Kind::Digits { negative } => digits(raw, negative),
    };
    match number {
        Ok(number) => match meaning.scale(number) {
            Some(value) => Value::Number(value),
            None => Value::None("the number is too large"),
        },
        Err(why) => Value::None(why),
    }
}

/// Two's complement, low byte first, up to eight bytes.
fn integer(raw: &[u8]) -> Option<Decimal> {
    let fill = if raw.last()? & 0x80 != 0 { 0xFF } else { 0 };
    let mut eight = [fill; 8];
    eight.get_mut(..raw.len())?.copy_from_slice(raw);
    Some(i64::from_le_bytes(eight).into())
}

/// Packed digits; F in the highest place is a minus (EN 13757-3, annex B), other digits above 9 are
/// an error code.
fn digits(raw: &[u8], negative: bool) -> Result<Decimal, &'static str> {
    const CODE: &str = "digits A to F: an error code of the meter";
    let mut bytes = raw.to_vec();
    let mut negative = negative;
    if let Some(high) = bytes.last_mut().filter(|high| **high & 0xF0 == 0xF0) {
        *high &= 0x0F;
        negative = true;
    }
    match bcd::decode(&bytes, 0, false) {
        Ok(Some(number)) if negative && !number.is_zero() => Ok(-number),
        Ok(Some(number)) => Ok(number),
        Ok(None) | Err(_) => Err(CODE),
    }
}

/// Types F, G, I and J of EN 13757-3, annex B; `None` for dates that are none.
fn stamp(raw: &[u8]) -> Option<String> {
    let date = |low: u8, high: u8| {
        let (day, month, year) = (low & 0x1F, high & 0x0F, low >> 5 | (high & 0xF0) >> 1);
        let year = match year {
            0..=80 => 2000 + u16::from(year),
            81..=99 => 1900 + u16::from(year),
            _ => return None,
        };
        let good = (1..=31).contains(&day) && (1..=12).contains(&month);
        good.then(|| format!("{year}-{month:02}-{day:02}"))
    };
    let clock = |hour: u8, minute: u8| {
        let (hour, minute) = (hour & 0x1F, minute & 0x3F);
        (hour < 24 && minute < 60).then(|| format!("{hour:02}:{minute:02}"))
    };
    match *raw {
        [low, high] => date(low, high),
        [minute, ..] if raw.len() == 4 && minute & 0x80 != 0 => None,
        [_, minute, ..] if raw.len() == 6 && minute & 0x80 != 0 => None,
        [minute, hour, low, high] => Some(format!("{}T{}", date(low, high)?, clock(hour, minute)?)),
        [second, minute, hour, low, high, _] => {
            let (date, clock) = (date(low, high)?, clock(hour, minute)?);
            Some(format!("{date}T{clock}:{:02}", second & 0x3F))
        }
        [second, minute, hour] => Some(format!("{}:{:02}", clock(hour, minute)?, second & 0x3F)),
        _ => None,
    }
}

/// The fixed structure (EN 1434-3): two counters, in digits unless bit 0 of the status is set.
fn fixed(data: &[u8]) -> Result<Telegram, String> {
    let Ok([a, b, c, d, access, status, m0, m1, counters @ ..]) = <[u8; 16]>::try_from(data) else {
        return Err(format!("the fixed structure has {} bytes and needs 16", data.len()));
    };
    let medium = m0 >> 6 | (m1 >> 6) << 2;
    let identity = Secondary { id: [a, b, c, d], manufacturer: [0, 0], version: 0, medium };
    let header = Header { identity, access, status, signature: [0, 0] };
    let (first, second) = counters.split_at(4);
    let first_unit = fixed_unit(m0 & 0x3F);
    // 3E: the same quantity at a past date.
    let historic = m1 & 0x3F == 0x3E;
    let second_unit = if historic { first_unit } else { fixed_unit(m1 & 0x3F) };
    let record = |raw: &[u8], meaning: Meaning, storage| {
        let kind = if status & 1 == 0 { Kind::Digits { negative: false } } else { Kind::Integer };
        Record {
            function: Function::Instantaneous,
            storage,
            tariff: 0,
            subunit: 0,
            meaning,
            unit_text: None,
            qualifiers: Vec::new(),
            value: content(kind, raw, &meaning),
            raw: raw.to_vec(),
        }
    };
    let stored = u64::from(historic || status & 2 != 0);
    let records = vec![record(first, first_unit, 0), record(second, second_unit, stored)];
    Ok(Telegram { header: Some(header), records, ..Telegram::default() })
}

/// A unit of the fixed structure: three powers of ten each.
fn fixed_unit(code: u8) -> Meaning {
    let of = |quantity, unit, first: u8, exponent: i32| Meaning {
        quantity,
        unit,
        multiplier: 1,
        exponent: exponent + i32::from(code - first),
    };
    match code {
        0x02..=0x04 => of("energy", "Wh", 0x02, 0),
        0x05..=0x07 => of("energy", "Wh", 0x05, 3),
        0x08..=0x0A => of("energy", "Wh", 0x08, 6),
        0x0B..=0x0D => of("energy", "J", 0x0B, 3),
        0x0E..=0x10 => of("energy", "J", 0x0E, 6),
        0x11..=0x13 => of("energy", "J", 0x11, 9),
        0x14..=0x16 => of("power", "W", 0x14, 0),
        0x17..=0x19 => of("power", "W", 0x17, 3),
        0x1A..=0x1C => of("power", "W", 0x1A, 6),
        0x26..=0x28 => of("volume", "m3", 0x26, -6),
        0x29..=0x2B => of("volume", "m3", 0x29, -3),
        0x2C..=0x2E => of("volume", "m3", 0x2C, 0),
        0x2F..=0x31 => of("volume_flow", "m3/h", 0x2F, -6),
        0x32..=0x34 => of("volume_flow", "m3/h", 0x32, -3),
        0x35..=0x37 => of("volume_flow", "m3/h", 0x35, 0),
        0x38 => of("flow_temperature", "degC", 0x38, -3),
        0x39 => of("heat_cost", "", 0x39, 0),
        other => of("reserved", "", other, 0),
    }
}

/// A medium's name (EN 13757-3, table of device types).
#[must_use]
pub fn medium_text(medium: u8) -> &'static str {
    match medium {
        0x00 => "other",
        0x01 => "oil",
        0x02 => "electricity",
        0x03 => "gas",
        0x04 => "heat (return)",
        0x05 => "steam",
        0x06 => "warm water",
        0x07 => "water",
        0x08 => "heat cost allocator",
        0x09 => "compressed air",
        0x0A => "cooling (return)",
        0x0B => "cooling (flow)",
        0x0C => "heat (flow)",
        0x0D => "heat and cooling",
        0x0E => "bus or system",
        0x15 => "hot water",
        0x16 => "cold water",
        0x20 => "breaker, electricity",
        0x21 => "valve",
        _ => "unknown",
    }
}
