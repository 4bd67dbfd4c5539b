//! A captured frame, explained: `blockgate decode mbus HEX`.

use super::data::{self, Function, Record, Value};
use super::frame::{Frame, Secondary, control, manufacturer_text};
use crate::decoded::Decoded;
use crate::hex::Hex;

/// Explains one frame, with the readings of a reply.
#[must_use]
pub fn decode_frame(bytes: &[u8]) -> Decoded {
    let mut decoded = Decoded::of("M-Bus");
    match Frame::parse(bytes) {
        Err(damage) => decoded.wrong(damage.to_string()),
        Ok(Frame::Ack) => {
            decoded.valid = true;
            decoded.kind = "acknowledgement";
        }
        Ok(Frame::Short { control, address }) => {
            decoded.valid = true;
            decoded.kind = "request";
            link(&mut decoded, control, address);
        }
        Ok(Frame::Long { control, address, ci, data }) => {
            decoded.valid = true;
            let reply = control & !0x30 == control::RSP_UD;
            decoded.kind = if reply { "reply" } else { "request" };
            link(&mut decoded, control, address);
            decoded.field("ci", format!("{ci:02X} {}", ci_text(ci)));
            if reply {
                telegram(&mut decoded, ci, &data);
            } else {
                request(&mut decoded, ci, &data);
            }
        }
    }
    decoded
}

fn link(decoded: &mut Decoded, control: u8, address: u8) {
    let fcb =
        |text: &str| format!("{control:02X} {text}, FCB {}", u8::from(control & control::FCB != 0));
    let text = match control {
        control::SND_NKE => "40 reset the link (SND_NKE)".to_owned(),
        0x53 | 0x73 => fcb("send data (SND_UD)"),
        0x5B | 0x7B => fcb("ask for data (REQ_UD2)"),
        0x5A | 0x7A => fcb("ask for alarms (REQ_UD1)"),
        _ if control & !0x30 == control::RSP_UD => format!("{control:02X} reply (RSP_UD)"),
        _ => format!("{control:02X} another function"),
    };
    decoded.field("control", text);
    let text = match address {
        0xFD => "253 the selected meter".to_owned(),
        0xFE => "254 whichever meter is on the wire".to_owned(),
        0xFF => "255 all meters, none answers".to_owned(),
        _ => address.to_string(),
    };
    decoded.field("address", text);
}

fn ci_text(ci: u8) -> &'static str {
    match ci {
        0x50 => "application reset",
        0x51 => "data to the meter",
        0x52 => "select a meter",
        0x70 => "application error",
        0x72 => "long header",
        0x73 => "fixed structure",
        0x78 => "no header",
        0x7A => "short header",
        0xB8..=0xBF => "change the baud rate",
        _ => "another structure",
    }
}

fn request(decoded: &mut Decoded, ci: u8, bytes: &[u8]) {
    match (ci, <[u8; 8]>::try_from(bytes)) {
        (0x52, Ok(wire)) => decoded.field("selects", Secondary::from_wire(wire).to_string()),
        (0x52, Err(_)) => decoded.wrong("a selection has 8 bytes"),
        _ if bytes.is_empty() => {}
        _ => decoded.field("data", Hex(bytes).to_string()),
    }
}

fn telegram(decoded: &mut Decoded, ci: u8, bytes: &[u8]) {
    let telegram = match data::parse(ci, bytes) {
        Ok(telegram) => telegram,
        // The meter's own error report is a good frame.
        Err(what) if ci == 0x70 => return decoded.field("error", what),
        Err(what) => return decoded.wrong(what),
    };
    if let Some(header) = telegram.header {
        let identity = header.identity;
        decoded.field("id", Secondary { id: identity.id, ..Secondary::ANY }.to_string());
        if ci == 0x72 {
            decoded.field("manufacturer", manufacturer_text(identity.manufacturer));
            decoded.field("version", identity.version.to_string());
        }
        let medium = data::medium_text(identity.medium);
        decoded.field("medium", format!("{:02X} {medium}", identity.medium));
        decoded.field("access", header.access.to_string());
        decoded.field("status", status_text(header.status));
        if header.signature != [0, 0] {
            decoded.field("signature", Hex(&header.signature).to_string());
        }
    }
    for record in &telegram.records {
        let (name, unit) = (record_name(record), record.unit());
        match &record.value {
            Value::Number(number) => decoded.value(name, number, unit),
            Value::Text(text) => decoded.value(name, format!("{text:?}"), ""),
            Value::Stamp(stamp) => decoded.value(name, stamp, ""),
            Value::None(why) => decoded.value(name, format!("no value ({why})"), ""),
        }
    }
    if !telegram.manufacturer_data.is_empty() {
        decoded.field("the maker's own", Hex(&telegram.manufacturer_data).to_string());
    }
    if telegram.more {
        decoded.field("more", "another telegram follows");
    }
    if let Some(what) = telegram.broken {
        decoded.wrong(what);
    }
}

fn status_text(status: u8) -> String {
    const BITS: [(u8, &str); 3] =
        [(0x04, "power low"), (0x08, "permanent error"), (0x10, "temporary error")];
    let set = BITS.iter().filter(|(bit, _)| status & bit != 0).map(|(_, text)| *text);
    let words: Vec<&str> = set.collect();
    let text = if words.is_empty() { "no error".to_owned() } else { words.join(", ") };
    format!("{status:02X} {text}")
}

/// `energy, maximum, storage 1, tariff 2, subunit 1, VIFE 3B`: what is not 0 is said.
fn record_name(record: &Record) -> String {
    let mut name = record.meaning.quantity.to_owned();
    match record.function {
        Function::Instantaneous => {}
        Function::Maximum => name.push_str(", maximum"),
        Function::Minimum => name.push_str(", minimum"),
        Function::Error => name.push_str(", in error state"),
    }
    for (what, n) in [
        ("storage", record.storage),
        ("tariff", record.tariff.into()),
        ("subunit", record.subunit.into()),
    ] {
        if n > 0 {
            name.push_str(&format!(", {what} {n}"));
        }
    }
    if !record.qualifiers.is_empty() {
        name.push_str(&format!(", VIFE {}", Hex(&record.qualifiers)));
    }
    name
}
