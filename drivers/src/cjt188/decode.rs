//! A captured frame, explained: `blockgate decode cjt188 HEX`.

use super::data::{self, Content, DATA_HEAD, StatusMap, ValveState};
use super::frame::{DiOrder, Frame, control};
use crate::decoded::Decoded;
use crate::hex::Hex;

/// Explains one frame, with its readings. Text in front, as meters that report by themselves send it,
/// is taken for their identity.
#[must_use]
pub fn decode_frame(bytes: &[u8]) -> Decoded {
    let mut decoded = Decoded::of("CJ/T 188");
    let text = bytes.iter().take_while(|b| b.is_ascii_graphic() && **b != 0x68).count();
    let (identity, rest) = bytes.split_at_checked(text).unwrap_or((&[], bytes));
    let (identity, parsed) = match Frame::parse(rest) {
        Ok(frame) => (identity, Ok(frame)),
        Err(_) => (&[][..], Frame::parse(bytes)),
    };
    let frame = match parsed {
        Ok(frame) => frame,
        Err(damage) => {
            decoded.wrong(damage.to_string());
            return decoded;
        }
    };
    decoded.valid = true;
    if !identity.is_empty() {
        decoded.field("identity", String::from_utf8_lossy(identity));
    }
    decoded.field("preamble", frame.preamble.to_string());
    decoded.field("type", format!("{:02X} {}", frame.meter_type, type_text(frame.meter_type)));
    decoded.field("address", frame.address.to_string());
    let function = match frame.control & 0x3F {
        control::READ => "read",
        control::READ_ADDRESS => "read address",
        control::WRITE => "write",
        0x09 => "read key version",
        0x15 => "write address",
        0x16 => "set base",
        _ => "another function",
    };
    decoded.field("control", format!("{:02X} {function}", frame.control));
    let reply = frame.control & control::REPLY != 0;
    if reply && frame.control & control::REFUSED != 0 {
        decoded.kind = "refusal";
        let (sequence, status) = frame.data.split_at_checked(1).unwrap_or_default();
        decoded.field("ser", Hex(sequence).to_string());
        decoded.field("status", Hex(status).to_string());
        return decoded;
    }
    decoded.kind = if reply { "reply" } else { "request" };
    let Some((&[first, second, sequence], content)) = frame.data.split_first_chunk::<DATA_HEAD>()
    else {
        decoded.wrong("identifier or sequence number is missing");
        return decoded;
    };
    let (di, order) = data::identifier(first, second);
    decoded.field("di", format!("{di:04X} {}", data::identifier_text(di)));
    let order = match order {
        DiOrder::LowFirst => "low first",
        DiOrder::HighFirst => "high first",
    };
    decoded.field("di order", format!("{first:02X} {second:02X}, {order}"));
    decoded.field("ser", format!("{sequence:02X}"));
    if content.is_empty() {
        return decoded;
    }
    match (reply, frame.control & 0x3F, di) {
        (true, control::READ, _) if data::layout(content.len()).is_some() => {
            readings(&mut decoded, content);
        }
        (true, control::WRITE, 0xA017) => status(&mut decoded, content),
        (false, control::WRITE, 0xA017) => {
            let order = match content {
                [0x55] => "55 open",
                [0x99] => "99 close",
                _ => "",
            };
            let shown = if order.is_empty() { Hex(content).to_string() } else { order.to_owned() };
            decoded.field("write", shown);
        }
        (false, control::WRITE, _) => decoded.field("write", Hex(content).to_string()),
        _ => decoded.field("content", Hex(content).to_string()),
    }
    decoded
}

fn readings(decoded: &mut Decoded, content: &[u8]) {
    for (field, result) in data::fields(content) {
        match result {
            Ok(Content::Amount(value, code)) => {
                let unit = data::unit(code)
                    .map_or_else(|| format!("(unit {code:02X})"), |(text, _)| text.to_owned());
                match value {
                    Some(value) => decoded.value(field.text(), value, &unit),
                    None => decoded.value(field.text(), "no value", ""),
                }
            }
            Ok(Content::Plain(value, measure)) => {
                let degrees = measure.dimension == crate::measure::Dimension::Temperature;
                let unit = if degrees { "degC" } else { "h" };
                match value {
                    Some(value) => decoded.value(field.text(), value, unit),
                    None => decoded.value(field.text(), "no value", ""),
                }
            }
            Ok(Content::Time(time)) => {
                decoded.value(field.text(), time.unwrap_or_else(|| "none".to_owned()), "");
            }
            Ok(Content::Status(word)) => status(decoded, &word),
            Err(error) => decoded.wrong(format!("{} {error}", field.text())),
        }
    }
}

fn status(decoded: &mut Decoded, word: &[u8]) {
    decoded.field("status", Hex(word).to_string());
    if let [first, second] = *word {
        let map = StatusMap::default();
        let valve = match map.valve([first, second]) {
            ValveState::Open => "open",
            ValveState::Closed => "closed",
            ValveState::Fault => "fault",
        };
        decoded.field("valve, by the standard", valve);
        let battery = if map.battery_low([first, second]) { "low" } else { "good" };
        decoded.field("battery, by the standard", battery);
    }
}

fn type_text(kind: u8) -> &'static str {
    match kind {
        0x10 => "cold water",
        0x11 => "hot water",
        0x12 => "drinking water",
        0x13 => "reclaimed water",
        0x20 => "heat",
        0x21 => "cold",
        0x22 => "heat and cold",
        0x30 => "gas",
        0x40 => "another meter",
        0x14..=0x19 => "water, by the maker",
        0x23..=0x29 => "heat, by the maker",
        _ => "by the maker",
    }
}
