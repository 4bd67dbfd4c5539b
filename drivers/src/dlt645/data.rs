//! What a data identifier means (DL/T 645-2007 annex A; 1997 annex A) and how its bytes are written.

use super::frame::Edition;
use crate::bcd;
use crate::hex::Hex;

/// How one value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Packed digits, low byte first.
    Number {
        /// Bytes.
        bytes: usize,
        /// Decimals.
        decimals: u32,
        /// Whether the top bit is the sign.
        signed: bool,
    },
    /// A time stamp, low byte first; the pattern names the bytes from the highest: `YYMMDDhhmm`.
    Stamp(&'static str),
    /// Text, low byte first, filled with NUL.
    Text(usize),
    /// A status word or a number of its own: shown as hexadecimal, high byte first.
    Word(usize),
}

impl Form {
    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Number { bytes, .. } | Self::Text(bytes) | Self::Word(bytes) => bytes,
            Self::Stamp(pattern) => pattern.len() / 2,
        }
    }
}

/// One value of a data identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub name: String,
    /// How it is written.
    pub form: Form,
    /// Its unit; empty for none.
    pub unit: &'static str,
}

fn number(name: impl Into<String>, format: &str, unit: &'static str, signed: bool) -> Item {
    let digits = format.bytes().filter(|b| *b == b'X').count();
    let decimals = format.split_once('.').map_or(0, |(_, after)| after.len());
    let decimals = u32::try_from(decimals).unwrap_or(0);
    let form = Form::Number { bytes: digits / 2, decimals, signed };
    Item { name: name.into(), form, unit }
}

fn other(name: &str, form: Form) -> Vec<Item> {
    vec![Item { name: name.to_owned(), form, unit: "" }]
}

/// The values of a data identifier, in the order of its bytes; `None` for one that is not known here.
/// The number of values of a block depends on the meter: `length` bytes are filled.
#[must_use]
pub fn items(edition: Edition, di: u32, length: usize) -> Option<Vec<Item>> {
    match edition {
        Edition::E2007 => items_2007(di, length),
        Edition::E1997 => items_1997(di, length),
    }
}

const ENERGY_KINDS: [(&str, &str); 9] = [
    ("combined active energy", "kWh"),
    ("forward active energy", "kWh"),
    ("reverse active energy", "kWh"),
    ("combined reactive 1 energy", "kvarh"),
    ("combined reactive 2 energy", "kvarh"),
    ("quadrant 1 reactive energy", "kvarh"),
    ("quadrant 2 reactive energy", "kvarh"),
    ("quadrant 3 reactive energy", "kvarh"),
    ("quadrant 4 reactive energy", "kvarh"),
];

fn tariff(n: u8) -> String {
    match n {
        0 => "total".to_owned(),
        1 => "tariff 1 (sharp)".to_owned(),
        2 => "tariff 2 (peak)".to_owned(),
        3 => "tariff 3 (flat)".to_owned(),
        4 => "tariff 4 (valley)".to_owned(),
        _ => format!("tariff {n}"),
    }
}

/// Repeats an item for total and tariffs, as many as the bytes hold.
fn block(name: &str, format: &str, unit: &'static str, signed: bool, length: usize) -> Vec<Item> {
    let size = number("", format, unit, signed).form.bytes();
    let count = length.checked_div(size).unwrap_or(0).clamp(1, 64);
    let tariffs = (0..=63).take(count);
    tariffs.map(|n| number(format!("{name}, {}", tariff(n)), format, unit, signed)).collect()
}

fn past(days: u8) -> String {
    match days {
        0 => String::new(),
        n => format!(", settlement {n} back"),
    }
}

fn items_2007(di: u32, length: usize) -> Option<Vec<Item>> {
    let [d3, d2, d1, d0] = di.to_be_bytes();
    match (d3, d2, d1, d0) {
        (0x00, kind, part, back) if back <= 12 => {
            let (name, unit) = ENERGY_KINDS.get(usize::from(kind))?;
            let (name, signed) = (format!("{name}{}", past(back)), matches!(kind, 0 | 3 | 4));
            Some(match part {
                0xFF => block(&name, "XXXXXX.XX", unit, signed, length),
                part => {
                    let name = format!("{name}, {}", tariff(part));
                    vec![number(name, "XXXXXX.XX", unit, signed)]
                }
            })
        }
        (0x01, kind @ 1..=8, part @ 0..=63, back) if back <= 12 => {
            let (name, unit) = ENERGY_KINDS.get(usize::from(kind))?;
            let name = format!("maximum demand of {name}{}, {}", past(back), tariff(part));
            let unit = if *unit == "kWh" { "kW" } else { "kvar" };
            let when = other("occurred", Form::Stamp("YYMMDDhhmm"));
            Some([vec![number(name, "XX.XXXX", unit, true)], when].concat())
        }
        (0x02, 0x80, 0x00, what) => momentary_others(what),
        (0x02, kind, part, 0) => momentary(kind, part, length),
        (0x04, 0x00, group, what) => parameters(group, what),
        (0x05, 0x00 | 0x01 | 0x06 | 0x07, part, _) => frozen(d2, part, length),
        _ => None,
    }
}

fn momentary_others(what: u8) -> Option<Vec<Item>> {
    let one = |name: &str, format, unit, signed| Some(vec![number(name, format, unit, signed)]);
    match what {
        1 => one("neutral current", "XXX.XXX", "A", true),
        2 => one("frequency", "XX.XX", "Hz", false),
        3 => one("average power of one minute", "XX.XXXX", "kW", true),
        4 => one("present active demand", "XX.XXXX", "kW", true),
        5 => one("present reactive demand", "XX.XXXX", "kvar", true),
        6 => one("present apparent demand", "XX.XXXX", "kVA", true),
        7 => one("internal temperature", "XXX.X", "degC", true),
        8 => one("clock battery", "XX.XX", "V", false),
        9 => one("meter reading battery", "XX.XX", "V", false),
        10 => one("battery working time", "XXXXXXXX", "min", false),
        _ => None,
    }
}

fn momentary(kind: u8, part: u8, length: usize) -> Option<Vec<Item>> {
    // Powers and factor have a total at part 0; voltage, current and angle begin at phase 1.
    let (name, format, unit, signed, total) = match kind {
        1 => ("voltage", "XXX.X", "V", false, false),
        2 => ("current", "XXX.XXX", "A", true, false),
        3 => ("active power", "XX.XXXX", "kW", true, true),
        4 => ("reactive power", "XX.XXXX", "kvar", true, true),
        5 => ("apparent power", "XX.XXXX", "kVA", true, true),
        6 => ("power factor", "X.XXX", "", true, true),
        7 => ("phase angle", "XXX.X", "deg", false, false),
        _ => return None,
    };
    let named = |n: u8| match n {
        0 => format!("{name} total"),
        n => format!("{name} L{n}"),
    };
    match part {
        0 if !total => None,
        0..=3 => Some(vec![number(named(part), format, unit, signed)]),
        0xFF => {
            let size = number("", format, unit, signed).form.bytes();
            let count = length.checked_div(size).unwrap_or(0).clamp(1, 4);
            let first = u8::from(!total);
            let phases = (first..=3).take(count);
            Some(phases.map(|n| number(named(n), format, unit, signed)).collect())
        }
        _ => None,
    }
}

fn parameters(group: u8, what: u8) -> Option<Vec<Item>> {
    let one = |name: &str, format| Some(vec![number(name, format, "", false)]);
    match (group, what) {
        (1, 1) => Some(other("date", Form::Stamp("YYMMDDWW"))),
        (1, 2) => Some(other("time", Form::Stamp("hhmmss"))),
        (4, 1) => Some(other("address", Form::Word(6))),
        (4, 2) => Some(other("meter number", Form::Word(6))),
        (4, 3) => Some(other("asset code", Form::Text(32))),
        (4, 4) => Some(other("rated voltage", Form::Text(6))),
        (4, 5) => Some(other("rated current", Form::Text(6))),
        (4, 6) => Some(other("maximum current", Form::Text(6))),
        (4, 9) => one("active constant, imp/kWh", "XXXXXX"),
        (4, 10) => one("reactive constant, imp/kvarh", "XXXXXX"),
        (5, n @ 1..=7) => Some(other(&format!("status word {n}"), Form::Word(2))),
        _ => None,
    }
}

fn frozen(kind: u8, part: u8, length: usize) -> Option<Vec<Item>> {
    let kind = match kind {
        0 => "timed freeze",
        1 => "instant freeze",
        6 => "daily freeze",
        _ => "hourly freeze",
    };
    match part {
        0 => Some(other(&format!("{kind}, time"), Form::Stamp("YYMMDDhhmm"))),
        1..=8 => {
            let (name, unit) = ENERGY_KINDS.get(usize::from(part))?;
            let signed = matches!(part, 3 | 4);
            Some(block(&format!("{kind}, {name}"), "XXXXXX.XX", unit, signed, length))
        }
        _ => None,
    }
}

/// DL/T 645-1997, annex A: `9xyz` energies, `B6xy` momentary values, `C0xy` clock and numbers.
fn items_1997(di: u32, length: usize) -> Option<Vec<Item>> {
    let one = |name: String, format, unit| Some(vec![number(name, format, unit, false)]);
    match di {
        0x9010..=0x982F => {
            let [_, _, high, low] = di.to_be_bytes();
            let (name, unit) = match (high & 0x03, low >> 4) {
                (0, 1) => ("forward active energy", "kWh"),
                (0, 2) => ("reverse active energy", "kWh"),
                (1, 1) => ("forward reactive energy", "kvarh"),
                (1, 2) => ("reverse reactive energy", "kvarh"),
                _ => return None,
            };
            let when = match high & 0x0C {
                0 => "",
                4 => ", last month",
                8 => ", month before last",
                _ => return None,
            };
            let name = format!("{name}{when}");
            match low & 0x0F {
                0x0F => Some(block(&name, "XXXXXX.XX", unit, false, length)),
                n => one(format!("{name}, {}", tariff(n)), "XXXXXX.XX", unit),
            }
        }
        0xB611..=0xB613 => one(format!("voltage L{}", di & 0x0F), "XXXX", "V"),
        0xB621..=0xB623 => one(format!("current L{}", di & 0x0F), "XX.XX", "A"),
        0xB630 => one("active power total".to_owned(), "XX.XXXX", "kW"),
        0xB631..=0xB633 => one(format!("active power L{}", di & 0x0F), "XX.XXXX", "kW"),
        0xB640 => one("reactive power total".to_owned(), "XX.XX", "kvar"),
        0xB650 => one("power factor total".to_owned(), "X.XXX", ""),
        0xC010 => Some(other("date", Form::Stamp("YYMMDDWW"))),
        0xC011 => Some(other("time", Form::Stamp("hhmmss"))),
        0xC032 => Some(other("meter number", Form::Word(6))),
        _ => None,
    }
}

/// The text of one value: a number without its unit, a stamp, a word; `no value` where the meter has
/// none.
///
/// # Errors
/// The bytes are not what the form says.
pub fn text(form: Form, bytes: &[u8]) -> Result<String, String> {
    if bytes.len() != form.bytes() {
        return Err(format!("{} bytes in place of {}", bytes.len(), form.bytes()));
    }
    match form {
        Form::Number { decimals, signed, .. } => match bcd::decode(bytes, decimals, signed) {
            Ok(Some(number)) => Ok(number.to_string()),
            Ok(None) => Ok("no value".to_owned()),
            Err(error) => Err(format!("{} {error}", Hex(bytes))),
        },
        Form::Stamp(pattern) => Ok(stamp(pattern, bytes)),
        Form::Text(_) => {
            let text = bytes.iter().rev().filter(|b| **b != 0).map(|b| char::from(*b));
            Ok(text.filter(|c| !c.is_control()).collect())
        }
        Form::Word(_) => Ok(bytes.iter().rev().map(|b| format!("{b:02X}")).collect()),
    }
}

/// `YY-MM-DD hh:mm:ss` from the bytes of a stamp, as far as the pattern has them; `none` where it is
/// all zeros or FF.
fn stamp(pattern: &str, bytes: &[u8]) -> String {
    if bytes.iter().all(|b| *b == 0) && pattern.starts_with("YY")
        || bytes.iter().all(|b| *b == 0xFF)
    {
        return "none".to_owned();
    }
    let mut text = String::new();
    let names = pattern.as_bytes().chunks(2);
    for (name, byte) in names.zip(bytes.iter().rev()) {
        let before = match name {
            b"MM" | b"DD" => "-",
            b"hh" | b"WW" => " ",
            _ => ":",
        };
        if !text.is_empty() {
            text.push_str(before);
        }
        text.push_str(&format!("{byte:02X}"));
    }
    text
}
