//! A second opinion on M-Bus: every captured telegram is read by the crate m-bus-parser as well, and each
//! value compared. Where the two disagree, the table [`EXPLAINED`] says why and how often; a disagreement
//! that it does not explain fails, and so does one that is gone.

use blockgate_drivers::mbus::data::{self, Function, Record, Value};
use blockgate_drivers::mbus::frame::Frame;
use m_bus_parser::WiredFrame;
use m_bus_parser::mbus_data::MbusData;
use m_bus_parser::user_data::DataRecords;
use m_bus_parser::user_data::data_information::{DataType, SingleEveryOrInvalid as Part, TextUnit};
use m_bus_parser::user_data::value_information::{UnitName, ValueInformation};
use std::collections::BTreeMap;

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// What the other decoder says of a record.
#[derive(Debug)]
enum Theirs<'a> {
    Number(f64),
    Text(TextUnit<'a>),
    Stamp(String),
    Nothing,
}

struct Other<'a> {
    /// The names of its units, with their powers.
    units: String,
    storage: u64,
    tariff: u64,
    device: u64,
    raw: Vec<u8>,
    value: Theirs<'a>,
}

fn part<T: std::fmt::Debug>(part: &Part<T>, digits: usize) -> String {
    match part {
        Part::Single(number) => {
            let text = format!("{number:?}");
            let number: String = text.chars().filter(char::is_ascii_digit).collect();
            if number.is_empty() { text } else { format!("{number:0>digits$}") }
        }
        Part::Every() => "every".to_owned(),
        _ => "invalid".to_owned(),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn day<A: std::fmt::Debug, B: std::fmt::Debug, C: std::fmt::Debug>(
    day: &Part<A>,
    month: &Part<B>,
    year: &Part<C>,
) -> String {
    let month = part(month, 2);
    let number = MONTHS.iter().position(|name| *name == month);
    let month = number.map_or(month, |n| format!("{:02}", n + 1));
    format!("{}-{month}-{}", part(year, 4), part(day, 2))
}

fn scaled(number: f64, meaning: Option<&ValueInformation<'_>>) -> f64 {
    let Some(meaning) = meaning else { return number };
    let exponent = i32::try_from(meaning.decimal_scale_exponent).unwrap();
    let unit = match meaning.first_unit().map(|unit| unit.name) {
        Some(UnitName::Minute) => 60.0,
        Some(UnitName::Hour) => 3_600.0,
        Some(UnitName::Day) => 86_400.0,
        _ => 1.0,
    };
    number * 10_f64.powi(exponent) * unit
}

fn others(telegram: &[u8]) -> Option<Vec<Other<'_>>> {
    let parsed = MbusData::<WiredFrame<'_>>::try_from(telegram).ok()?;
    // They refuse the whole telegram where the identification number is none (3E 02 00 05 of two
    // electricity meters); its records can be compared all the same.
    let behind_header = || match telegram {
        [_, _, _, _, _, _, 0x72, rest @ ..] => {
            Some(DataRecords::new(rest.get(12..rest.len().saturating_sub(2))?, None))
        }
        _ => None,
    };
    let mut found = Vec::new();
    for record in parsed.data_records.or_else(behind_header)?.flatten() {
        let Some(information) = record.data_information() else { continue };
        let value = match &record.data.value {
            None | Some(DataType::ManufacturerSpecific(_)) => Theirs::Nothing,
            Some(DataType::Number(n) | DataType::LossyNumber(n)) => {
                Theirs::Number(scaled(*n, record.value_information()))
            }
            Some(DataType::Text(text)) => Theirs::Text(*text),
            Some(DataType::Date(d, m, y)) => Theirs::Stamp(day(d, m, y)),
            Some(DataType::DateTime(d, m, y, hour, minute)) => {
                Theirs::Stamp(format!("{}T{}:{}", day(d, m, y), part(hour, 2), part(minute, 2)))
            }
            Some(DataType::DateTimeWithSeconds(d, m, y, hour, minute, second)) => {
                let (day, hour, minute) = (day(d, m, y), part(hour, 2), part(minute, 2));
                Theirs::Stamp(format!("{day}T{hour}:{minute}:{}", part(second, 2)))
            }
            Some(other) => Theirs::Stamp(format!("{other:?}")),
        };
        let units = record.value_information().map(|meaning| {
            let units = meaning.units();
            units.map(|unit| format!("{:?}^{}", unit.name, unit.exponent)).collect::<Vec<_>>()
        });
        found.push(Other {
            units: units.unwrap_or_default().join(" "),
            storage: information.storage_number,
            tariff: information.tariff,
            device: information.device,
            raw: record.raw_bytes().to_vec(),
            value,
        });
    }
    Some(found)
}

/// Every disagreement: the telegram, which of its records, and why.
const EXPLAINED: [(&str, std::ops::RangeInclusive<usize>, &str); 7] = [
    ("rel_padpuls3", 1..=1, "EN 13757-3, type F: day 31 is a day; they read all ones as every day"),
    (
        "REL-Relay-Padpuls2",
        1..=1,
        "type F: bit 7 of the minutes (A1) marks the time invalid; they pass over it",
    ),
    ("itron_bm_+m", 2..=2, "type G: day 0 and month 0 are no date; they give the year 2000"),
    (
        "landis+gyr_ultraheat_t230",
        32..=32,
        "type F: year 127 with month 1 and day 1 is a date that was never set; they give every year",
    ),
    (
        "ELS_Elster-F96-Plus",
        4..=5,
        "digits A to F under the function error state are the meter's error code; they drop the record",
    ),
    ("manual_frame2", 0..=1, "CI 73, the fixed structure: they give its counters no records"),
    ("sen_pollusonic_2", 0..=1, "CI 73, the fixed structure"),
];

/// Why two decoders disagree on a record; `None` where they agree.
fn verdict(ours: &Record, theirs: Option<&Other<'_>>) -> Option<&'static str> {
    let Some(theirs) = theirs else { return Some("not there") };
    match (&ours.value, &theirs.value) {
        (Value::Number(ours), Theirs::Number(theirs)) => {
            let ours: f64 = ours.to_string().parse().unwrap();
            let close = (ours - theirs).abs() <= 1e-6 * ours.abs().max(theirs.abs());
            (!close).then_some("another number")
        }
        (Value::Text(ours), Theirs::Text(theirs)) => (*theirs != **ours).then_some("another text"),
        (Value::Stamp(ours), Theirs::Stamp(theirs)) => (ours != theirs).then_some("another date"),
        (Value::None(_), Theirs::Nothing) => None,
        (Value::None(_), _) => Some("no value"),
        (_, Theirs::Nothing) => Some("nothing said"),
        (_, _) => Some("another kind"),
    }
}

/// What the other decoder found and we did not.
fn left_out(theirs: &[Other<'_>], name: &str, differ: &mut BTreeMap<String, Vec<String>>) {
    for other in theirs.iter().filter(|other| !matches!(other.value, Theirs::Nothing)) {
        let what = format!("{name}: only theirs: {:?} raw {:02X?}", other.value, other.raw);
        differ.entry("only theirs".to_owned()).or_default().push(what);
    }
}

/// Our name of each unit beside theirs, wherever a number agrees. Times are told in seconds by us. Units in
/// plain text (%RH, C, c, bat. time) are texts of the meter that they do not repeat, and where they count an
/// increment a pulse or a duration we keep the VIFE as a qualifier: no register of a profile takes such a
/// record for the plain one.
const UNITS: [(&str, &str); 20] = [
    ("", ""),
    ("%RH", ""),
    ("A", "Ampere^1"),
    ("C", ""),
    ("J", "Joul^1"),
    ("K", "Kelvin^1"),
    ("V", "Volt^1"),
    ("W", "Watt^1"),
    ("Wh", "Watt^1 Hour^1"),
    ("bat. time", ""),
    ("c", ""),
    ("degC", "Celsius^1"),
    ("m3", "Meter^3"),
    ("m3", "Meter^3 Increment^1 InputPulseOnChannel0^-1"),
    ("m3/h", "Meter^3 Hour^-1"),
    ("m3/h", "Meter^3 Hour^-1 Second^1"),
    ("s", "Day^1"),
    ("s", "Hour^1"),
    ("s", "Minute^1"),
    ("s", "Second^1"),
];

#[test]
fn every_value_of_every_telegram_agrees_with_a_second_decoder_or_the_difference_is_explained() {
    let text = include_str!("vectors/mbus.jsonl");
    let (mut agreed, mut differ) = (0, BTreeMap::<String, Vec<String>>::new());
    let mut units = BTreeMap::<(String, String), u32>::new();
    for line in text.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = vector["frame"].as_str().unwrap();
        let telegram = bytes(vector["hex"].as_str().unwrap());
        let Ok(Frame::Long { ci, data, .. }) = Frame::parse(&telegram) else {
            panic!("{name} is no frame")
        };
        let ours = data::parse(ci, &data).unwrap_or_else(|why| panic!("{name}: {why}"));
        let theirs = others(&telegram).unwrap_or_default();
        let mut from = 0;
        for (n, record) in ours.records.iter().enumerate() {
            let same = |other: &Other<'_>| {
                other.raw.ends_with(&record.raw)
                    && (other.storage, other.tariff, other.device)
                        == (record.storage, record.tariff.into(), record.subunit.into())
            };
            let place = theirs[from..].iter().position(same);
            let found = place.map(|place| &theirs[from + place]);
            if let Some(place) = place {
                left_out(&theirs[from..from + place], name, &mut differ);
                from += place + 1;
            }
            match verdict(record, found) {
                None => {
                    agreed += 1;
                    if let (Value::Number(_), Some(other)) = (&record.value, found) {
                        let pair = (record.unit().to_owned(), other.units.clone());
                        *units.entry(pair).or_default() += 1;
                    }
                }
                Some(why) => {
                    let told = found.map_or("-".to_owned(), |other| format!("{:?}", other.value));
                    let is_error = record.function == Function::Error;
                    let what = format!(
                        "{name}#{n}: {:?} {} raw {:02X?}, theirs {told}{}",
                        record.value,
                        record.unit(),
                        record.raw,
                        if is_error { " (error state)" } else { "" }
                    );
                    differ.entry(why.to_owned()).or_default().push(what);
                }
            }
        }
        left_out(&theirs[from..], name, &mut differ);
    }
    for ((ours, theirs), count) in &units {
        println!("{count:>4} numbers in {ours:?}, theirs {theirs:?}");
    }
    let pairs: Vec<(&str, &str)> = units.keys().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(pairs, UNITS, "a number is a value only with its unit");
    for (why, all) in &differ {
        println!("{why}: {}", all.len());
        for one in all {
            println!("    {one}");
        }
    }
    println!("{agreed} values agree");
    let mut left: Vec<&String> = differ.values().flatten().collect();
    for (frame, records, why) in EXPLAINED {
        for n in records.clone() {
            let named = format!("{frame}.hex#{n}: ");
            let at = left.iter().position(|one| one.starts_with(&named));
            let at = at.unwrap_or_else(|| panic!("{named} agrees now: take it out ({why})"));
            left.remove(at);
        }
    }
    assert!(left.is_empty(), "not explained: {left:#?}");
    assert!(agreed >= 560, "{agreed}");
}
