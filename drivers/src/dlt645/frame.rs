//! The frame of DL/T 645-2007, clause 5, and the judgement of replies.
//!
//! ```text
//! FE … | 68 | A0 … A5 | 68 | C | L | data + 33H … | CS | 16
//!        address low byte first    L data bytes     sum from the first 68 to the data
//! C: bit 7 reply, bit 6 refused, bit 5 more follows, bits 4-0 function
//! ```
//!
//! `16` and `68` occur inside address, data and checksum: frames are found by length and sum alone.

use crate::damage::{Damage, sum};
use crate::line::Verdict;
use crate::stream::{self, Enclosed, Extent, Misfit, enclosed, misfit};
use blockgate_types::FaultClass;

/// Preamble bytes that are sent: they wake the receiver of an infrared head or a sleepy adaptor
/// (5.2.1: 1 to 4 FE).
pub const PREAMBLE: usize = 4;
/// Bytes of preamble or noise that are passed over in front of a reply.
pub const NOISE_MAX: usize = 32;
/// Most data bytes of a read (5.2.6).
pub const DATA_MAX: usize = 200;
/// Bytes of a frame beside its data.
pub const OVERHEAD: usize = 12;

/// Control codes of the 2007 edition (clause 7), without the reply bits.
pub mod control {
    /// Broadcast clock.
    pub const CLOCK: u8 = 0x08;
    /// Read data.
    pub const READ: u8 = 0x11;
    /// Read what follows.
    pub const FOLLOW_UP: u8 = 0x12;
    /// Read the address of the only meter on the wire.
    pub const READ_ADDRESS: u8 = 0x13;
    /// Write data.
    pub const WRITE: u8 = 0x14;
    /// Freeze.
    pub const FREEZE: u8 = 0x16;
    /// Trip or close the relay, alarm, keep power (supplement of 2014).
    pub const RELAY: u8 = 0x1C;
    /// Bit of a reply.
    pub const REPLY: u8 = 0x80;
    /// Bit of a refusal.
    pub const REFUSED: u8 = 0x40;
    /// Bit of a reply that goes on.
    pub const MORE: u8 = 0x20;
    /// Read data, edition 1997.
    pub const READ_1997: u8 = 0x01;
    /// Read what follows, edition 1997.
    pub const FOLLOW_UP_1997: u8 = 0x02;
}

/// Which edition a meter speaks.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum Edition {
    /// DL/T 645-2007: four bytes of data identifier.
    #[default]
    #[serde(rename = "2007")]
    E2007,
    /// DL/T 645-1997: two bytes of data identifier, other control codes.
    #[serde(rename = "1997")]
    E1997,
}

impl Edition {
    /// Bytes of a data identifier.
    #[must_use]
    pub fn di_bytes(self) -> usize {
        match self {
            Self::E2007 => 4,
            Self::E1997 => 2,
        }
    }

    /// The control code of a read.
    #[must_use]
    pub fn read_code(self) -> u8 {
        match self {
            Self::E2007 => control::READ,
            Self::E1997 => control::READ_1997,
        }
    }

    /// The control code that asks for what follows.
    #[must_use]
    pub fn follow_up_code(self) -> u8 {
        match self {
            Self::E2007 => control::FOLLOW_UP,
            Self::E1997 => control::FOLLOW_UP_1997,
        }
    }

    /// A data identifier as it goes onto the wire: low byte first.
    #[must_use]
    pub fn di_wire(self, di: u32) -> Vec<u8> {
        di.to_le_bytes().into_iter().take(self.di_bytes()).collect()
    }
}

/// A meter's address: twelve decimal digits, printed as on the meter's face. Pairs of `A` in it are
/// wildcards (5.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 6]);

impl Address {
    /// Every meter, none answers.
    pub const BROADCAST: Self = Self([0x99; 6]);
    /// Whichever meter is alone on the wire.
    pub const ANY: Self = Self([0xAA; 6]);

    /// From the bytes of a frame: low byte first.
    #[must_use]
    pub fn from_wire(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// As in a frame: low byte first.
    #[must_use]
    pub fn wire(self) -> [u8; 6] {
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
        self == Self::BROADCAST || self.0.contains(&0xAA)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    /// Twelve digits as on the meter's face; shorter numbers are filled with zeros in front.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is not a DL/T 645 address: up to 12 digits, as on the meter's face")
        };
        if text.is_empty() || text.len() > 12 {
            return Err(wrong());
        }
        let bytes = crate::hex::parse_hex(&format!("{text:0>12}")).map_err(|_| wrong())?;
        let good = |byte: &u8| *byte == 0xAA || crate::bcd::two(*byte).is_some();
        if !bytes.iter().all(good) {
            return Err(wrong());
        }
        let mut wire: [u8; 6] = bytes.try_into().map_err(|_| wrong())?;
        wire.reverse();
        Ok(Self(wire))
    }
}

/// A frame, its data without the offset of 33H.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FE bytes in front.
    pub preamble: usize,
    /// Who is asked or answers.
    pub address: Address,
    /// The control byte.
    pub control: u8,
    /// The data, 33H taken off.
    pub data: Vec<u8>,
}

impl Frame {
    /// Reads exactly one frame, with or without preamble.
    ///
    /// # Errors
    /// [`Damage`]: what is wrong and at which byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        let starts = [(0, "start"), (7, "second start")];
        let Enclosed { preamble, head, data } = enclosed(bytes, &starts)?;
        let [_, a0, a1, a2, a3, a4, a5, _, control, _] = head;
        let address = Address([a0, a1, a2, a3, a4, a5]);
        let data = data.iter().map(|byte| byte.wrapping_sub(0x33)).collect();
        Ok(Self { preamble, address, control, data })
    }
}

/// Appends a frame with `preamble` FE bytes; adds 33H to the data. Data beyond 255 bytes are cut:
/// no request is that long.
pub fn put(out: &mut Vec<u8>, preamble: usize, address: Address, control: u8, data: &[u8]) {
    out.extend(std::iter::repeat_n(0xFE, preamble));
    let start = out.len();
    let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
    out.push(0x68);
    out.extend(address.0);
    out.extend([0x68, control, length]);
    out.extend(data.iter().take(usize::from(length)).map(|byte| byte.wrapping_add(0x33)));
    let check = sum(out.get(start..).unwrap_or_default());
    out.extend([check, 0x16]);
}

/// How far the frame at the start of some bytes reaches.
pub(crate) fn extent(head: &[u8]) -> Extent {
    match *head {
        [] => Extent::Open,
        [first, ..] if first != 0x68 => Extent::No,
        [_, _, _, _, _, _, _, second, ..] if second != 0x68 => Extent::No,
        [_, _, _, _, _, _, _, _, _, length, ..] => {
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

/// How far a frame of this meter at the start of some bytes reaches.
pub(crate) fn answer_of(own: Address, head: &[u8]) -> Extent {
    let is_own = head.iter().skip(1).zip(own.0).all(|(is, want)| *is == want);
    if is_own { extent(head) } else { Extent::No }
}

/// A request, as far as the reply is judged by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who is asked; may be wild.
    pub address: Address,
    /// The control code of the request.
    pub control: u8,
    /// What the reply's data begin with: the DI low byte first, or nothing.
    pub echo: Vec<u8>,
}

/// Judges what came since the request `sent` went out: address, function and data identifier must be
/// those that were asked for. A refusal is a reply.
#[must_use]
pub fn judge(ask: &Ask, sent: &[u8], received: &[u8]) -> Verdict {
    stream::judge(sent, received, NOISE_MAX, extent, |frame| {
        let frame = Frame::parse(frame).map_err(|damage| misfit(damage.to_string()))?;
        fits(ask, &frame)
    })
}

fn fits(ask: &Ask, frame: &Frame) -> Result<(), Misfit> {
    if !ask.address.covers(frame.address) {
        let what = format!("meter {} answered in place of {}", frame.address, ask.address);
        return Err((FaultClass::WrongDevice, what));
    }
    let kind = control::REPLY | control::REFUSED | control::MORE;
    let (function, is) = (frame.control & !kind, frame.control);
    if is & control::REPLY == 0 || function != ask.control {
        let what = format!("the answer has control code {is:02X}, asked was {:02X}", ask.control);
        return Err(misfit(what));
    }
    if is & control::REFUSED == 0 && !frame.data.starts_with(&ask.echo) {
        let got = frame.data.get(..ask.echo.len()).unwrap_or(&frame.data);
        let show = |di: &[u8]| di.iter().rev().map(|b| format!("{b:02X}")).collect::<String>();
        let what = format!("the answer is to {}, asked was {}", show(got), show(&ask.echo));
        return Err(misfit(what));
    }
    Ok(())
}

/// What the error byte of a refusal says, bit by bit (clause 7.1.4).
#[must_use]
pub fn refusal_text(error: u8) -> String {
    const BITS: [&str; 7] = [
        "another error",
        "no such data",
        "wrong password or not authorised",
        "the baud rate can not be changed",
        "too many seasons",
        "too many day tables",
        "too many tariffs",
    ];
    let set = BITS.iter().enumerate().filter(|(bit, _)| error >> bit & 1 == 1);
    let words: Vec<&str> = set.map(|(_, word)| *word).collect();
    if words.is_empty() { "no reason given".to_owned() } else { words.join(", ") }
}
