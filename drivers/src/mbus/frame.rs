//! The frames of EN 13757-2 (IEC 60870-5-2, format class FT 1.2), addresses, and the judgement of
//! replies.
//!
//! ```text
//! acknowledgement   E5
//! short             10 | C | A | CS | 16
//! long              68 | L | L | 68 | C | A | CI | data … | CS | 16     L = 3 + data
//! CS: the sum from C to the last byte before it
//! ```

use crate::damage::{Damage, sum};
use crate::line::Verdict;
use crate::stream::{self, Extent, Misfit, misfit};
use blockgate_types::FaultClass;

/// Bytes of noise that are passed over in front of a reply.
pub const NOISE_MAX: usize = 8;
/// The acknowledgement.
pub const ACK: u8 = 0xE5;
/// Bytes of the longest frame.
pub const LONG_MAX: usize = 261;

/// C fields (EN 13757-2, 5.7).
pub mod control {
    /// Resets the link: the next request bears FCB 1.
    pub const SND_NKE: u8 = 0x40;
    /// Sends data, FCB 0.
    pub const SND_UD: u8 = 0x53;
    /// Asks for data, FCB 0; 7B with FCB 1.
    pub const REQ_UD2: u8 = 0x5B;
    /// The frame count bit.
    pub const FCB: u8 = 0x20;
    /// A reply with data; bits 4 and 5 are access demand and data flow control.
    pub const RSP_UD: u8 = 0x08;
}

/// The address to which selected meters answer.
pub const SELECTED: u8 = 0xFD;
/// The address at which every meter answers: for one meter on the wire.
pub const TEST: u8 = 0xFE;

/// Identity of a meter for secondary addressing (EN 13757-3, 11.3); `F` digits and FF bytes are
/// wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secondary {
    /// Identification number, eight digits, low byte first.
    pub id: [u8; 4],
    /// Manufacturer, two bytes as on the wire; FFFF for any.
    pub manufacturer: [u8; 2],
    /// Version; FF for any.
    pub version: u8,
    /// Medium; FF for any.
    pub medium: u8,
}

impl Secondary {
    /// Every meter.
    pub const ANY: Self =
        Self { id: [0xFF; 4], manufacturer: [0xFF; 2], version: 0xFF, medium: 0xFF };

    /// The eight bytes of a selection.
    #[must_use]
    pub fn wire(self) -> [u8; 8] {
        let ([a, b, c, d], [m, n]) = (self.id, self.manufacturer);
        [a, b, c, d, m, n, self.version, self.medium]
    }

    /// From the eight bytes of a header.
    #[must_use]
    pub fn from_wire([a, b, c, d, m, n, version, medium]: [u8; 8]) -> Self {
        Self { id: [a, b, c, d], manufacturer: [m, n], version, medium }
    }

    /// Whether the meter `other` is selected by this one.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        let nibble = |mine: u8, theirs: u8| mine == 0x0F || mine == theirs;
        let mut digits = self.id.iter().zip(other.id);
        let id = digits.all(|(mine, theirs)| {
            nibble(mine >> 4, theirs >> 4) && nibble(mine & 0x0F, theirs & 0x0F)
        });
        let maker = self.manufacturer == [0xFF; 2] || self.manufacturer == other.manufacturer;
        let byte = |mine: u8, theirs: u8| mine == 0xFF || mine == theirs;
        id && maker && byte(self.version, other.version) && byte(self.medium, other.medium)
    }

    /// Whether it can mean more than one meter: a digit of the number is open.
    #[must_use]
    pub fn is_wild(self) -> bool {
        self.id.iter().any(|byte| byte >> 4 == 0x0F || byte & 0x0F == 0x0F)
    }
}

/// Three letters of a manufacturer's two bytes (EN 13757-3, 5.5).
#[must_use]
pub fn manufacturer_text(wire: [u8; 2]) -> String {
    let code = u16::from_le_bytes(wire);
    let letter = |shift: u16| {
        let five = u8::try_from(code >> shift & 0x1F).unwrap_or(0);
        char::from(five + 0x40)
    };
    [letter(10), letter(5), letter(0)].into_iter().collect()
}

/// The two bytes of three capital letters.
#[must_use]
pub fn manufacturer_wire(text: &str) -> Option<[u8; 2]> {
    let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
    let mut code: u16 = 0;
    for letter in letters {
        if !letter.is_ascii_uppercase() {
            return None;
        }
        code = code << 5 | u16::from(letter - 0x40);
    }
    Some(code.to_le_bytes())
}

impl std::fmt::Display for Secondary {
    /// `12345678`, or with what else is given `12345678-PAD-01-07`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id.iter().rev().try_for_each(|byte| write!(f, "{byte:02X}"))?;
        if (self.manufacturer, self.version, self.medium) == ([0xFF; 2], 0xFF, 0xFF) {
            return Ok(());
        }
        let maker = match self.manufacturer {
            [0xFF, 0xFF] => "*".to_owned(),
            wire => manufacturer_text(wire),
        };
        write!(f, "-{maker}-{:02X}-{:02X}", self.version, self.medium)
    }
}

impl std::str::FromStr for Secondary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not an M-Bus identity: 8 digits, as printed on the meter, or with \
                 maker, version and medium \"12345678-PAD-01-07\""
            )
        };
        let mut parts = text.split('-');
        let digits = parts.next().filter(|id| id.len() == 8).ok_or_else(wrong)?;
        let bytes = crate::hex::parse_hex(digits).map_err(|_| wrong())?;
        let mut id: [u8; 4] = bytes.try_into().map_err(|_| wrong())?;
        id.reverse();
        let mut secondary = Self { id, ..Self::ANY };
        if let Some(maker) = parts.next() {
            if maker != "*" {
                secondary.manufacturer = manufacturer_wire(maker).ok_or_else(wrong)?;
            }
            for slot in [&mut secondary.version, &mut secondary.medium] {
                let byte = parts.next().filter(|byte| byte.len() == 2).ok_or_else(wrong)?;
                *slot = u8::from_str_radix(byte, 16).map_err(|_| wrong())?;
            }
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(secondary) }
    }
}

/// How a meter is addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// By the link layer's address, 1 to 250 (0 for a new meter, FE for the only one on the wire).
    Primary(u8),
    /// By its identity.
    Secondary(Secondary),
}

impl Address {
    /// The link layer's address in requests and replies.
    #[must_use]
    pub fn link(self) -> u8 {
        match self {
            Self::Primary(address) => address,
            Self::Secondary(_) => SELECTED,
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Primary(address) => address.fmt(f),
            Self::Secondary(secondary) => secondary.fmt(f),
        }
    }
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// E5.
    Ack,
    /// Five bytes.
    Short {
        /// C field.
        control: u8,
        /// Address.
        address: u8,
    },
    /// With data; a control frame is one without.
    Long {
        /// C field.
        control: u8,
        /// Address.
        address: u8,
        /// CI field: what the data are.
        ci: u8,
        /// The data.
        data: Vec<u8>,
    },
}

impl Frame {
    /// Reads exactly one frame.
    ///
    /// # Errors
    /// [`Damage`]: what is wrong and at which byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, Damage> {
        match bytes {
            [ACK] => Ok(Self::Ack),
            [0x10, rest @ ..] => short(rest, bytes.len()),
            [0x68, ..] => long(bytes),
            [] => Err(Damage::NoStart),
            [is, ..] => Err(Damage::Byte { at: 1, is: *is, want: 0x68, what: "start" }),
        }
    }
}

fn short(rest: &[u8], len: usize) -> Result<Frame, Damage> {
    let &[control, address, check, end] = rest else {
        return Err(if len < 5 {
            Damage::Short { has: len, needs: 5 }
        } else {
            Damage::Length { at: 1, says: 2, follow: len - 3 }
        });
    };
    let want = sum(&[control, address]);
    if check != want {
        return Err(Damage::Checksum { at: 4, is: check, want });
    }
    if end != 0x16 {
        return Err(Damage::Byte { at: 5, is: end, want: 0x16, what: "end" });
    }
    Ok(Frame::Short { control, address })
}

fn long(bytes: &[u8]) -> Result<Frame, Damage> {
    let Some((&[_, first, second, start], rest)) = bytes.split_first_chunk::<4>() else {
        return Err(Damage::Short { has: bytes.len(), needs: 9 });
    };
    if first != second {
        return Err(Damage::TwoLengths { first, second });
    }
    if start != 0x68 {
        return Err(Damage::Byte { at: 4, is: start, want: 0x68, what: "second start" });
    }
    if first < 3 {
        return Err(Damage::TooSmall { at: 2, says: first, least: 3 });
    }
    let [body @ .., check, end] = rest else {
        return Err(Damage::Short { has: bytes.len(), needs: 9 });
    };
    if body.len() != usize::from(first) {
        return Err(Damage::Length { at: 2, says: first.into(), follow: body.len() });
    }
    let want = sum(body);
    if *check != want {
        return Err(Damage::Checksum { at: bytes.len() - 1, is: *check, want });
    }
    if *end != 0x16 {
        return Err(Damage::Byte { at: bytes.len(), is: *end, want: 0x16, what: "end" });
    }
    match body {
        [control, address, ci, data @ ..] => {
            Ok(Frame::Long { control: *control, address: *address, ci: *ci, data: data.to_vec() })
        }
        _ => Err(Damage::TooSmall { at: 2, says: first, least: 3 }),
    }
}

/// Appends a short frame.
pub fn put_short(out: &mut Vec<u8>, control: u8, address: u8) {
    out.extend([0x10, control, address, control.wrapping_add(address), 0x16]);
}

/// Appends a long frame. Data beyond 252 bytes are cut: no request is that long.
pub fn put_long(out: &mut Vec<u8>, control: u8, address: u8, ci: u8, data: &[u8]) {
    let data = data.get(..252).unwrap_or(data);
    let length = u8::try_from(data.len() + 3).unwrap_or(u8::MAX);
    out.extend([0x68, length, length, 0x68]);
    let start = out.len();
    out.extend([control, address, ci]);
    out.extend(data);
    let check = sum(out.get(start..).unwrap_or_default());
    out.extend([check, 0x16]);
}

/// Appends the selection of a meter: SND_UD to FD with CI 52.
pub fn put_select(out: &mut Vec<u8>, secondary: Secondary) {
    put_long(out, control::SND_UD | control::FCB, SELECTED, 0x52, &secondary.wire());
}

/// How far the long frame at the start of some bytes reaches.
pub(crate) fn extent(head: &[u8]) -> Extent {
    match *head {
        [] => Extent::Open,
        [first, ..] if first != 0x68 => Extent::No,
        [_, a, b, ..] if a != b || a < 3 => Extent::No,
        [_, _, _, start, ..] if start != 0x68 => Extent::No,
        [_, length, ..] => {
            let len = usize::from(length) + 6;
            match head.get(..len) {
                None => Extent::Open,
                Some(frame) if Frame::parse(frame).is_ok() => Extent::Whole(len),
                Some(_) => Extent::No,
            }
        }
        _ => Extent::Open,
    }
}

/// How far a readout of this meter at the start of some bytes reaches.
pub(crate) fn answer_of(own: Address, head: &[u8]) -> Extent {
    let Extent::Whole(len) = extent(head) else { return extent(head) };
    let is_own = match head.get(..len).map(Frame::parse) {
        Some(Ok(Frame::Long { control, address, ci, data })) => {
            fits(own, control, address).is_ok() && identity(own, ci, &data).is_ok()
        }
        Some(Ok(Frame::Short { .. } | Frame::Ack) | Err(_)) | None => false,
    };
    if is_own { Extent::Whole(len) } else { Extent::No }
}

/// Judges what came after a request for data: a long frame of the meter that was asked.
#[must_use]
pub fn judge(address: Address, sent: &[u8], received: &[u8]) -> Verdict {
    stream::judge(sent, received, NOISE_MAX, extent, |frame| {
        match Frame::parse(frame).map_err(|damage| misfit(damage.to_string()))? {
            Frame::Long { control: is, address: from, ci, data } => {
                fits(address, is, from)?;
                identity(address, ci, &data)
            }
            Frame::Short { .. } | Frame::Ack => Err(misfit("an acknowledgement in place of data")),
        }
    })
}

/// The link layer: C field and address. A meter that was selected answers with FD or with its own
/// primary address; one that was asked at FE with its own.
fn fits(address: Address, control: u8, from: u8) -> Result<(), Misfit> {
    if control & !0x30 != control::RSP_UD {
        let what = format!("the answer has C field {control:02X}, not one of a reply (08)");
        return Err(misfit(what));
    }
    match address {
        Address::Primary(TEST) | Address::Secondary(_) => Ok(()),
        Address::Primary(asked) if asked == from => Ok(()),
        Address::Primary(asked) => {
            let what = format!("address {from} answered in place of {asked}");
            Err((FaultClass::WrongDevice, what))
        }
    }
}

/// The identity in a long or fixed header must be that which was selected.
fn identity(address: Address, ci: u8, data: &[u8]) -> Result<(), Misfit> {
    let Address::Secondary(asked) = address else { return Ok(()) };
    let answered = match (ci, data) {
        (0x72, [a, b, c, d, m, n, version, medium, ..]) => {
            Secondary::from_wire([*a, *b, *c, *d, *m, *n, *version, *medium])
        }
        (0x73, [a, b, c, d, ..]) => Secondary { id: [*a, *b, *c, *d], ..asked },
        _ => return Ok(()),
    };
    if asked.covers(answered) {
        return Ok(());
    }
    Err((FaultClass::WrongDevice, format!("meter {answered} answered in place of {asked}")))
}

/// Judges what came after a request that is acknowledged with E5. Behind noise it is not taken: one
/// byte proves too little.
#[must_use]
pub fn judge_ack(sent: &[u8], received: &[u8]) -> Verdict {
    match received {
        [ACK, ..] => Verdict::Reply { start: 0, len: 1 },
        _ if received.starts_with(sent) => Verdict::Skip(sent.len()),
        _ if sent.starts_with(received) => Verdict::More,
        // Two meters that answer at once; or a late answer.
        _ => Verdict::Wrong(FaultClass::Checksum, "not the acknowledgement E5".to_owned()),
    }
}
