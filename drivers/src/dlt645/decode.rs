//! A captured frame, explained: `blockgate decode dlt645 HEX`.

use super::data;
use super::frame::{Edition, Frame, control, refusal_text};
use super::order::Relay;
use crate::decoded::Decoded;
use crate::hex::Hex;

/// Explains one frame, with its readings where the identifier is known.
#[must_use]
pub fn decode_frame(bytes: &[u8]) -> Decoded {
    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(damage) => {
            let mut decoded = Decoded::of("DL/T 645");
            decoded.wrong(damage.to_string());
            return decoded;
        }
    };
    let function = frame.control & 0x1F;
    let edition = if matches!(function, 0x01..=0x04) { Edition::E1997 } else { Edition::E2007 };
    let mut decoded = Decoded::of(match edition {
        Edition::E2007 => "DL/T 645-2007",
        Edition::E1997 => "DL/T 645-1997",
    });
    decoded.valid = true;
    decoded.field("preamble", frame.preamble.to_string());
    decoded.field("address", frame.address.to_string());
    let what = function_text(edition, function);
    decoded.field("control", format!("{:02X} {what}", frame.control));
    decoded.field("data", Hex(&frame.data).to_string());
    if frame.control & control::REPLY == 0 {
        decoded.kind = "request";
        request(&mut decoded, edition, &frame);
    } else if frame.control & control::REFUSED != 0 {
        decoded.kind = "refusal";
        match frame.data.first() {
            Some(error) => {
                decoded.field("error code", format!("{error:02X} {}", refusal_text(*error)));
            }
            None => decoded.wrong("a refusal without its error byte"),
        }
    } else {
        decoded.kind = "reply";
        if frame.control & control::MORE != 0 {
            decoded.field("more", "another frame follows");
        }
        reply(&mut decoded, edition, &frame);
    }
    decoded
}

fn function_text(edition: Edition, function: u8) -> &'static str {
    match (edition, function) {
        (_, control::CLOCK) => "broadcast clock",
        (Edition::E2007, control::READ) | (Edition::E1997, control::READ_1997) => "read",
        (Edition::E2007, control::FOLLOW_UP) | (Edition::E1997, control::FOLLOW_UP_1997) => {
            "read what follows"
        }
        (_, control::READ_ADDRESS) => "read address",
        (_, control::WRITE) | (Edition::E1997, 0x04) => "write",
        (_, 0x15) => "write address",
        (_, control::FREEZE) => "freeze",
        (_, 0x17) => "change baud rate",
        (_, 0x18) => "change password",
        (_, 0x19) => "clear demand",
        (_, 0x1A) => "clear meter",
        (_, 0x1B) => "clear events",
        (_, control::RELAY) => "relay",
        _ => "another function",
    }
}

/// The identifier at the start of the data, and the rest.
fn di_of(edition: Edition, data: &[u8]) -> Option<(u32, &[u8])> {
    let (wire, rest) = data.split_at_checked(edition.di_bytes())?;
    let di = wire.iter().rev().fold(0, |di, byte| di << 8 | u32::from(*byte));
    Some((di, rest))
}

fn di_text(edition: Edition, di: u32) -> String {
    match edition {
        Edition::E2007 => format!("{di:08X}"),
        Edition::E1997 => format!("{di:04X}"),
    }
}

fn request(decoded: &mut Decoded, edition: Edition, frame: &Frame) {
    match (frame.control & 0x1F, frame.data.as_slice()) {
        (control::RELAY, data) if edition == Edition::E2007 => relay(decoded, data),
        (control::CLOCK, [ss, mm, hh, day, month, year]) => decoded
            .field("clock", format!("{year:02X}-{month:02X}-{day:02X} {hh:02X}:{mm:02X}:{ss:02X}")),
        (control::READ_ADDRESS, []) => {}
        (control::CLOCK | control::READ_ADDRESS, data) => {
            decoded.wrong(format!("{} data bytes do not belong to this request", data.len()));
        }
        (function, data) => {
            let Some((di, rest)) = di_of(edition, data) else {
                if edition == Edition::E1997 || matches!(function, 0x11 | 0x12 | 0x14) {
                    decoded.wrong("the data identifier is missing");
                }
                return;
            };
            if !matches!(function, 0x11 | 0x12 | 0x14 | 0x01..=0x04) {
                return;
            }
            decoded.field("di", di_text(edition, di));
            match (function, rest) {
                (control::FOLLOW_UP, [sequence]) => {
                    decoded.field("sequence", sequence.to_string());
                }
                (control::WRITE, [level, p0, p1, p2, operator @ ..]) if operator.len() >= 4 => {
                    authority(decoded, *level, [*p0, *p1, *p2], operator.get(..4));
                    let value = operator.get(4..).unwrap_or_default();
                    decoded.field("value", Hex(value).to_string());
                }
                (control::WRITE, _) => decoded.wrong("password or operator is missing"),
                _ => name(decoded, edition, di),
            }
        }
    }
}

/// What a request asks for, in words.
fn name(decoded: &mut Decoded, edition: Edition, di: u32) {
    // One value is enough to name a block.
    if let Some(first) = data::items(edition, di, 0).and_then(|items| items.into_iter().next()) {
        decoded.field("asks for", first.name);
    }
}

fn authority(decoded: &mut Decoded, level: u8, password: [u8; 3], operator: Option<&[u8]>) {
    let plain = |bytes: &[u8]| bytes.iter().rev().map(|b| format!("{b:02X}")).collect::<String>();
    decoded.field("password level", format!("{level:02X}"));
    decoded.field("password", plain(&password));
    decoded.field("operator", plain(operator.unwrap_or_default()));
}

fn relay(decoded: &mut Decoded, data: &[u8]) {
    let [level, p0, p1, p2, c0, c1, c2, c3, n1, n2, deadline @ ..] = data else {
        decoded.wrong("a relay order has 16 data bytes");
        return;
    };
    authority(decoded, *level, [*p0, *p1, *p2], Some(&[*c0, *c1, *c2, *c3]));
    let order = Relay::from_code(*n1).map_or("an order that is not known", Relay::text);
    decoded.field("order", format!("{n1:02X} {order}"));
    decoded.field("n2", format!("{n2:02X}"));
    match deadline {
        [ss, mm, hh, day, month, year] => decoded.field(
            "deadline",
            format!("{year:02X}-{month:02X}-{day:02X} {hh:02X}:{mm:02X}:{ss:02X}"),
        ),
        _ => decoded.wrong("a relay order has 16 data bytes"),
    }
}

fn reply(decoded: &mut Decoded, edition: Edition, frame: &Frame) {
    match frame.control & 0x1F {
        control::READ_ADDRESS => match frame.data.first_chunk::<6>() {
            Some(own) if frame.data.len() == 6 => {
                decoded.field("meter address", super::Address::from_wire(*own).to_string());
            }
            _ => decoded.wrong("the answer holds no address"),
        },
        function if function == edition.read_code() || function == edition.follow_up_code() => {
            let Some((di, rest)) = di_of(edition, &frame.data) else {
                return decoded.wrong("the data identifier is missing");
            };
            decoded.field("di", di_text(edition, di));
            if function == edition.follow_up_code() {
                decoded.field("follow-up data", Hex(rest).to_string());
                return;
            }
            match data::items(edition, di, rest.len()) {
                Some(items) => values(decoded, &items, rest),
                None => decoded.field("value", Hex(rest).to_string()),
            }
        }
        _ => {}
    }
}

fn values(decoded: &mut Decoded, items: &[data::Item], mut rest: &[u8]) {
    for item in items {
        let Some((bytes, behind)) = rest.split_at_checked(item.form.bytes()) else {
            decoded.wrong(format!("the bytes of {} are missing", item.name));
            return;
        };
        rest = behind;
        match data::text(item.form, bytes) {
            Ok(text) if text == "no value" => decoded.value(item.name.clone(), text, ""),
            Ok(text) => decoded.value(item.name.clone(), text, item.unit),
            Err(error) => decoded.wrong(format!("{}: {error}", item.name)),
        }
    }
    if !rest.is_empty() {
        decoded.field("behind the values", Hex(rest).to_string());
    }
}
