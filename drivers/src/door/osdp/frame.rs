//! The bytes of one message. Whatever comes from the wire is read without a panic.

/// First byte of a message.
pub const SOM: u8 = 0x53;
/// What a sender puts in front, so that the line settles.
pub const MARK: u8 = 0xFF;
/// Longest message that is read.
pub const LEN_MAX: usize = 1_440;
/// Head and check without data: 53, address, two of length, control, code, two of CRC.
const LEN_MIN: usize = 7;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// Not long enough.
    Short,
    /// Does not begin with 53.
    Start(u8),
    /// Its length is not what it says.
    Length(usize),
    /// CRC or sum do not fit.
    Check,
    /// The security block is longer than the message.
    Block,
}

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Short => f.write_str("too short"),
            Self::Start(byte) => write!(f, "begins with {byte:02X}, not 53"),
            Self::Length(says) => write!(f, "says that it has {says} bytes"),
            Self::Check => f.write_str("the check does not fit"),
            Self::Block => f.write_str("the security block is longer than the message"),
        }
    }
}

impl std::error::Error for BadFrame {}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The reader's address, 0 to 126; 127 is everybody.
    pub address: u8,
    /// From the reader.
    pub is_reply: bool,
    /// Sequence number, 0 to 3.
    pub sequence: u8,
    /// The kind of the security block (11 to 18) and what stands in it.
    pub block: Option<(u8, Vec<u8>)>,
    /// Command or answer.
    pub code: u8,
    /// Its data; encrypted in a secure channel's 17 and 18.
    pub data: Vec<u8>,
    /// Of a secure channel's 15 to 18.
    pub mac: Option<[u8; 4]>,
}

/// Whether a security block's messages end with a MAC.
#[must_use]
pub fn has_mac(block: u8) -> bool {
    (0x15..=0x18).contains(&block)
}

/// CRC-16 of CCITT, polynomial 1021, begun with 1D0F.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0x1D0F, |crc, byte| {
        let mut crc = crc ^ (u16::from(*byte) << 8);
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
        crc
    })
}

impl Frame {
    /// A command to a reader.
    #[must_use]
    pub fn command(address: u8, sequence: u8, code: u8, data: &[u8]) -> Self {
        let data = data.to_vec();
        Self { address, is_reply: false, sequence, block: None, code, data, mac: None }
    }

    /// Everything before the MAC, from 53 on; the length counts MAC and CRC.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut out = vec![SOM, (self.address & 0x7F) | if self.is_reply { 0x80 } else { 0 }, 0, 0];
        // A CRC, always: a sum does not see two bits that turn.
        out.push((self.sequence & 3) | 4 | if self.block.is_some() { 8 } else { 0 });
        if let Some((kind, rest)) = &self.block {
            out.push(u8::try_from(rest.len().saturating_add(2)).unwrap_or(u8::MAX));
            out.push(*kind);
            out.extend_from_slice(rest);
        }
        out.push(self.code);
        out.extend_from_slice(&self.data);
        let mac = if self.block.as_ref().is_some_and(|(kind, _)| has_mac(*kind)) { 4 } else { 0 };
        let len = u16::try_from(out.len().saturating_add(mac + 2)).unwrap_or(u16::MAX);
        for (place, byte) in out.iter_mut().skip(2).zip(len.to_le_bytes()) {
            *place = byte;
        }
        out
    }

    /// The whole message with its mark.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.head();
        body.extend_from_slice(self.mac.as_ref().map_or(&[][..], |mac| mac));
        body.extend_from_slice(&crc(&body).to_le_bytes());
        if !self.is_reply {
            body.insert(0, MARK);
        }
        body
    }

    /// Reads a message of exactly these bytes; a mark in front is passed over.
    ///
    /// # Errors
    /// [`BadFrame`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BadFrame> {
        let bytes = bytes.strip_prefix(&[MARK]).unwrap_or(bytes);
        let at = |n: usize| bytes.get(n).copied().ok_or(BadFrame::Short);
        if at(0)? != SOM {
            return Err(BadFrame::Start(at(0)?));
        }
        let says = usize::from(u16::from_le_bytes([at(2)?, at(3)?]));
        if says != bytes.len() || says < LEN_MIN {
            return Err(BadFrame::Length(says));
        }
        let control = at(4)?;
        let check = if control & 4 == 0 { 1 } else { 2 };
        let body = bytes.get(..says.saturating_sub(check)).ok_or(BadFrame::Short)?;
        let tail = bytes.get(body.len()..).ok_or(BadFrame::Short)?;
        let fits = match *tail {
            [sum] => body.iter().fold(sum, |all, byte| all.wrapping_add(*byte)) == 0,
            [low, high] => crc(body) == u16::from_le_bytes([low, high]),
            _ => false,
        };
        if !fits {
            return Err(BadFrame::Check);
        }
        let mut rest = body.get(5..).ok_or(BadFrame::Short)?;
        let mut block = None;
        if control & 8 != 0 {
            let len = usize::from(*rest.first().ok_or(BadFrame::Block)?);
            let whole = rest.get(..len).filter(|whole| whole.len() >= 2).ok_or(BadFrame::Block)?;
            let kind = *whole.get(1).ok_or(BadFrame::Block)?;
            block = Some((kind, whole.get(2..).unwrap_or_default().to_vec()));
            rest = rest.get(len..).ok_or(BadFrame::Block)?;
        }
        let mut mac = None;
        if block.as_ref().is_some_and(|(kind, _)| has_mac(*kind)) {
            let (before, last) = rest.split_last_chunk::<4>().ok_or(BadFrame::Short)?;
            (rest, mac) = (before, Some(*last));
        }
        let (code, data) = rest.split_first().ok_or(BadFrame::Short)?;
        let address = at(1)?;
        Ok(Self {
            address: address & 0x7F,
            is_reply: address & 0x80 != 0,
            sequence: control & 3,
            block,
            code: *code,
            data: data.to_vec(),
            mac,
        })
    }
}

/// Takes messages out of a stream of bytes; what is none is passed over.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Bytes that belonged to no message.
    pub noise: u64,
}

impl Reader {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        // No message is longer: what lies before cannot begin one that still ends.
        let over = self.buffer.len().saturating_sub(2 * LEN_MAX);
        self.drop_first(over);
    }

    /// Forgets what came.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }

    fn drop_first(&mut self, count: usize) {
        self.buffer.drain(..count.min(self.buffer.len()));
        self.noise = self.noise.saturating_add(u64::try_from(count).unwrap_or(0));
    }

    /// The next message; `None` until it is whole.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        loop {
            let start = self.buffer.iter().position(|byte| *byte == SOM);
            self.drop_first(start.unwrap_or(self.buffer.len()));
            let (low, high) = (self.buffer.get(2)?, self.buffer.get(3)?);
            let len = usize::from(u16::from_le_bytes([*low, *high]));
            if !(LEN_MIN..=LEN_MAX).contains(&len) {
                self.drop_first(1);
                continue;
            }
            let whole = self.buffer.get(..len)?.to_vec();
            if Frame::parse(&whole).is_err() {
                self.drop_first(1);
                continue;
            }
            self.buffer.drain(..len);
            return Some(whole);
        }
    }
}
