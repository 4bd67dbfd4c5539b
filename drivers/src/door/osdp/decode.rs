//! A captured message, explained to a person.

use super::frame::Frame;
use crate::Decoded;
use crate::hex::Hex;

/// Explains a message. Data of a secure channel stay closed: their key is not here.
#[must_use]
pub fn decode_frame(bytes: &[u8]) -> Decoded {
    let mut out = Decoded::of("OSDP");
    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(why) => {
            out.wrong(why.to_string());
            return out;
        }
    };
    out.valid = true;
    out.kind = if frame.is_reply { "reply" } else { "command" };
    out.field("address", frame.address.to_string());
    out.field("sequence", frame.sequence.to_string());
    if let Some((kind, _)) = &frame.block {
        out.field("security block", format!("{kind:02X}"));
    }
    out.field("code", format!("{:02X}", frame.code));
    out.field("name", name(frame.is_reply, frame.code));
    out.field("data", Hex(&frame.data).to_string());
    if let Some(mac) = &frame.mac {
        out.field("mac", Hex(mac).to_string());
    }
    let at = |n: usize| frame.data.get(n).copied().unwrap_or(0);
    let clear = frame.mac.is_none();
    if clear && frame.is_reply && frame.code == super::reply::RAW {
        let bits = u16::from_le_bytes([at(2), at(3)]);
        let raw = frame.data.get(4..).unwrap_or_default();
        out.field("bits", bits.to_string());
        if let Some(number) = super::panel::card_number(bits, raw) {
            out.field("card", number.to_string());
        }
    }
    out
}

/// The standard's name of a code.
#[must_use]
pub fn name(is_reply: bool, code: u8) -> &'static str {
    match (is_reply, code) {
        (false, 0x60) => "POLL",
        (false, 0x61) => "ID",
        (false, 0x62) => "CAP",
        (false, 0x64) => "LSTAT",
        (false, 0x65) => "ISTAT",
        (false, 0x66) => "OSTAT",
        (false, 0x67) => "RSTAT",
        (false, 0x68) => "OUT",
        (false, 0x69) => "LED",
        (false, 0x6A) => "BUZ",
        (false, 0x6B) => "TEXT",
        (false, 0x6E) => "COMSET",
        (false, 0x75) => "KEYSET",
        (false, 0x76) => "CHLNG",
        (false, 0x77) => "SCRYPT",
        (false, 0x7C) => "FILETRANSFER",
        (true, 0x40) => "ACK",
        (true, 0x41) => "NAK",
        (true, 0x45) => "PDID",
        (true, 0x46) => "PDCAP",
        (true, 0x48) => "LSTATR",
        (true, 0x49) => "ISTATR",
        (true, 0x4A) => "OSTATR",
        (true, 0x4B) => "RSTATR",
        (true, 0x50) => "RAW",
        (true, 0x51) => "FMT",
        (true, 0x53) => "KEYPAD",
        (true, 0x54) => "COM",
        (true, 0x76) => "CCRYPT",
        (true, 0x78) => "RMAC_I",
        (true, 0x79) => "BUSY",
        _ => "unknown",
    }
}
