//! The LED and voice board on the camera's RS-485.
//!
//! ```text
//! DA | VR = 64 | PN = FF FF | CMD | LEN | data … | CRC-16/MODBUS, low byte first
//! address        packet             LEN counts the data
//! ```
//!
//! Command 30 speaks: an option byte, then GBK text. The display commands (6E, 62) stand in no
//! document that we have; they are not sent.

use crate::barrier::text;

/// Version byte.
const VERSION: u8 = 0x64;
/// Speak.
const VOICE: u8 = 0x30;
/// Most bytes of text: LEN is one byte and counts the option too.
const TEXT_MAX: usize = 200;

fn crc(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            let odd = crc & 1 == 1;
            crc >>= 1;
            if odd {
                crc ^= 0xA001;
            }
        }
    }
    crc
}

fn frame(command: u8, data: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(data.len()).ok()?;
    let mut frame = vec![0x00, VERSION, 0xFF, 0xFF, command, length];
    frame.extend_from_slice(data);
    let sum = crc(&frame);
    frame.extend_from_slice(&sum.to_le_bytes());
    Some(frame)
}

/// The frame that speaks a text; `None` for an empty one. A long text is cut between characters.
#[must_use]
pub fn voice(words: &str) -> Option<Vec<u8>> {
    let mut data = vec![0x01];
    for c in words.chars().filter(|c| !c.is_control()) {
        let bytes = text::to_gbk(c.encode_utf8(&mut [0; 4]));
        if data.len() + bytes.len() > TEXT_MAX {
            break;
        }
        data.extend_from_slice(&bytes);
    }
    if data.len() == 1 { None } else { frame(VOICE, &data) }
}
