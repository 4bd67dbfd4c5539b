//! The frame of CJ/T 188, and the judgement of replies.
//!
//! ```text
//! FE … | 68 | T | A0 … A6 | C | L | DI DI SER data … | CS | 16
//!       type  address low first    L data bytes        sum from 68 to the data
//! C: bit 7 reply, bit 6 refused, bits 5-0 function
//! ```
//!
//! No offset on the data. The reply may bear another type and another sequence number than the
//! request: address and identifier tie it to its question.

use crate::damage::{Damage, sum};
use crate::line::Verdict;
use crate::stream::{self, Enclosed, Extent, Misfit, enclosed, misfit};
use blockgate_types::FaultClass;

/// Preamble bytes that are sent (at least 3 are asked for; 13 have been seen in replies).
pub const PREAMBLE: usize = 4;
/// Bytes of preamble, identity text or noise that are passed over in front of a reply.
pub const NOISE_MAX: usize = 64;
/// Bytes of a frame beside its data.
pub const OVERHEAD: usize = 13;

/// Control codes, without the reply bits.
pub mod control {
    /// Read data.
    pub const READ: u8 = 0x01;
    /// Read the address of the only meter on the wire.
    pub const READ_ADDRESS: u8 = 0x03;
    /// Write data.
    pub const WRITE: u8 = 0x04;
    /// Bit of a reply.
    pub const REPLY: u8 = 0x80;
    /// Bit of a refusal.
    pub const REFUSED: u8 = 0x40;
}

/// Data identifiers.
pub mod di {
    /// Present values.
    pub const CURRENT: u16 = 0x901F;
    /// The last settlement; the eleven before it follow.
    pub const SETTLEMENT_1: u16 = 0xD120;
    /// The address.
    pub const ADDRESS: u16 = 0x810A;
    /// The valve.
    pub const VALVE: u16 = 0xA017;
}

/// In which order the two bytes of a data identifier go onto the wire: makers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiOrder {
    /// `1F 90`.
    #[default]
    LowFirst,
    /// `90 1F`.
    HighFirst,
}

impl DiOrder {
    /// An identifier as it goes onto the wire.
    #[must_use]
    pub fn wire(self, di: u16) -> [u8; 2] {
        match self {
            Self::LowFirst => di.to_le_bytes(),
            Self::HighFirst => di.to_be_bytes(),
        }
    }
}

/// How a model speaks CJ/T 188.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The type byte of requests: 10 cold water, 20 heat, 30 gas, ….
    pub meter_type: u8,
    /// Byte order of identifiers in reads.
    pub di_order: DiOrder,
    /// Byte order of identifiers in writes.
    pub write_di_order: DiOrder,
    /// Whether replies repeat the sequence number of the request; then another one is refused.
    pub check_sequence: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        let di_order = DiOrder::LowFirst;
        Self { meter_type: 0x10, di_order, write_di_order: di_order, check_sequence: false }
    }
}

/// A meter's address: fourteen hexadecimal digits, mostly decimal ones, high byte first. Pairs of `A`
/// are wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 7]);

impl Address {
    /// Whichever meter is alone on the wire.
    pub const ANY: Self = Self([0xAA; 7]);

    /// From the bytes of a frame: low byte first.
    #[must_use]
    pub fn from_wire(bytes: [u8; 7]) -> Self {
        Self(bytes)
    }

    /// As in a frame: low byte first.
    #[must_use]
    pub fn wire(self) -> [u8; 7] {
        self.0
    }

    /// Whether a meter with the address `other` is meant.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, theirs)| *mine == 0xAA || *mine == theirs)
    }

    /// Whether it can mean more than one meter.
    #[must_use]
    pub fn is_wild(self) -> bool {
        self.0.contains(&0xAA)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    /// Fourteen digits; shorter numbers are filled with zeros in front.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is not a CJ/T 188 address: up to 14 digits, the maker's code first")
        };
        if text.is_empty() || text.len() > 14 {
            return Err(wrong());
        }
        let bytes = crate::hex::parse_hex(&format!("{text:0>14}")).map_err(|_| wrong())?;
        let mut wire: [u8; 7] = bytes.try_into().map_err(|_| wrong())?;
        wire.reverse();
        Ok(Self(wire))
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FE bytes in front.
    pub preamble: usize,
    /// The type byte.
    pub meter_type: u8,
    /// Who is asked or answers.
    pub address: Address,
    /// The control byte.
    pub control: u8,
    /// The data: identifier, sequence number, content.
    pub data: Vec<u8>,
}

impl Frame {
    /// Reads exactly one frame, with or without preamble.
    ///
    /// # Errors
    /// [`Damage`]: what is wrong and at which byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let Enclosed { preamble, head, data } = enclosed(bytes, &[(0, "start")])?;
        let [_, meter_type, a0, a1, a2, a3, a4, a5, a6, control, _] = head;
        let address = Address([a0, a1, a2, a3, a4, a5, a6]);
        Ok(Self { preamble, meter_type, address, control, data: data.to_vec() })
    }
}

/// Appends a frame. Data beyond 255 bytes are cut: no request is that long.
pub fn put(
    out: &mut Vec<u8>,
    preamble: usize,
    meter_type: u8,
    address: Address,
    control: u8,
    data: &[u8],
) {
    out.extend(std::iter::repeat_n(0xFE, preamble));
    let start = out.len();
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    out.extend([0x68, meter_type]);
    out.extend(address.0);
    out.extend([control, length]);
    out.extend(data.iter().take(usize::from(length)));
    let check = sum(out.get(start..).unwrap_or_default());
    out.extend([check, 0x16]);
}

/// How far the frame at the start of some bytes reaches.
pub(crate) fn extent(head: &[u8]) -> Extent {
    match *head {
        [] => Extent::Open,
        [first, ..] if first != 0x68 => Extent::No,
        [_, _, _, _, _, _, _, _, _, _, length, ..] => {
            let len = usize::from(length) + OVERHEAD;
            match head.get(..len) {
                None => Extent::Open,
                Some([body @ .., check, 0x16]) if sum(body) == *check => Extent::Whole(len),
                Some(_) => Extent::No,
            }
        }
        _ => Extent::Open,
    }
}

/// How far a frame of this meter at the start of some bytes reaches. The type is not compared: some
/// answer with another one.
pub(crate) fn answer_of(own: Address, head: &[u8]) -> Extent {
    let is_own = head.iter().skip(2).zip(own.0).all(|(is, want)| *is == want);
    if is_own { extent(head) } else { Extent::No }
}

/// A request, as far as the reply is judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Who is asked; may be wild.
    pub address: Address,
    /// The control code of the request.
    pub control: u8,
    /// The identifier; its bytes may come back in either order.
    pub di: u16,
    /// The sequence number that the reply must repeat, where the model does.
    pub sequence: Option<u8>,
}

/// Judges what came since the request `sent` went out: address, function and identifier must be those
/// that were asked for. A refusal is a reply.
#[must_use]
pub fn judge(ask: Ask, sent: &[u8], received: &[u8]) -> Verdict {
    stream::judge(sent, received, NOISE_MAX, extent, |frame| {
        let frame = Frame::parse(frame).map_err(|damage| misfit(damage.to_string()))?;
        fits(ask, &frame)
    })
}

fn fits(ask: Ask, frame: &Frame) -> Result<(), Misfit> {
    if !ask.address.covers(frame.address) {
        let what = format!("meter {} answered in place of {}", frame.address, ask.address);
        return Err((FaultClass::WrongDevice, what));
    }
    let is = frame.control;
    if is & control::REPLY == 0 || is & 0x3F != ask.control {
        let what = format!("the answer has control code {is:02X}, asked was {:02X}", ask.control);
        return Err(misfit(what));
    }
    if is & control::REFUSED != 0 {
        return Ok(());
    }
    let Some((&[first, second, sequence], _)) = frame.data.split_first_chunk::<3>() else {
        return Err(misfit("the answer has no identifier"));
    };
    let di = [u16::from_le_bytes([first, second]), u16::from_be_bytes([first, second])];
    if !di.contains(&ask.di) {
        let what = format!("the answer is to {first:02X} {second:02X}, asked was {:04X}", ask.di);
        return Err(misfit(what));
    }
    match ask.sequence {
        Some(want) if want != sequence => Err(misfit(format!(
            "the answer bears the sequence number {sequence:02X}, asked was {want:02X}"
        ))),
        Some(_) | None => Ok(()),
    }
}
