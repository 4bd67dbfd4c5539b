//! The journal's bytes. Numbers are little-endian.
//!
//! ```text
//! segment file {first_seq:020}.bgj, 8 MiB of zeros when new, then from the front:
//!
//! header, 64 bytes
//!   0   8  magic "BGJRNL\r\n"
//!   8   4  version, 1
//!  12   4  zero
//!  16   8  first seq of this segment
//!  24  32  hash of the record before it (zeros before seq 1)
//!  56   4  zero
//!  60   4  crc32c of bytes 0..60
//!
//! record, 56 bytes and the payload
//!   0   4  payload length, 1 to RECORD_BYTES_MAX; 0 = nothing more here
//!   4   4  crc32c of bytes 0..4, 8..56 and the payload
//!   8   8  seq
//!  16   8  synced: last seq that was durable when this record was written
//!  24  32  hash of the record before
//!  56   n  payload: the envelope, JSON
//!
//! seal, 56 bytes, after the last record of a full segment
//!   0   4  0xFFFFFFFF
//!   4   4  crc32c of bytes 0..4 and 8..56
//!   8   8  seq of the last record
//!  16   8  synced
//!  24  32  hash of the last record
//!
//! hash of a record = SHA-256("blockgate-journal-1\n" | seq, 8 bytes big-endian | hash before | payload)
//! ```
//!
//! `synced` is not part of the hash: whoever received the payloads in order can recompute the chain.

use crate::limits::RECORD_BYTES_MAX;
use ring::digest::{Context, SHA256};

/// Length of a segment's header.
pub const HEADER: usize = 64;
/// Length of a record's head and of a seal.
pub const HEAD: usize = 56;
const MAGIC: &[u8; 8] = b"BGJRNL\r\n";
const VERSION: u32 = 1;
const SEAL: u32 = u32::MAX;
const DOMAIN: &[u8] = b"blockgate-journal-1\n";

/// A SHA-256 value of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Hash(pub [u8; 32]);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The chain's next hash.
#[must_use]
pub fn chain(seq: u64, before: &Hash, payload: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(DOMAIN);
    context.update(&seq.to_be_bytes());
    context.update(&before.0);
    context.update(payload);
    let mut hash = Hash::default();
    hash.0.copy_from_slice(context.finish().as_ref());
    hash
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn hash_at(bytes: &[u8], at: usize) -> Option<Hash> {
    Some(Hash(*bytes.get(at..)?.first_chunk()?))
}

/// A segment's header.
#[must_use]
pub fn header(first: u64, before: &Hash) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[16..24].copy_from_slice(&first.to_le_bytes());
    out[24..56].copy_from_slice(&before.0);
    let crc = crc32c::crc32c(&out[..60]);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a header: first seq and the hash before it; the error says what is wrong.
///
/// # Errors
/// A sentence part, for [`super::JournalError::Damaged`].
pub fn read_header(bytes: &[u8]) -> Result<(u64, Hash), &'static str> {
    let parts = (|| {
        let crc = u32_at(bytes, 60)? == crc32c::crc32c(bytes.get(..60)?);
        let magic = bytes.get(..8)? == MAGIC;
        Some((crc, magic, u32_at(bytes, 8)?, u64_at(bytes, 16)?, hash_at(bytes, 24)?))
    })();
    match parts {
        None => Err("the segment is shorter than its header"),
        Some((_, false, ..)) => Err("this is not a journal segment"),
        Some((false, ..)) => Err("the segment's header does not match its checksum"),
        Some((true, true, VERSION, first, before)) => Ok((first, before)),
        Some((true, true, ..)) => Err("the segment was written by a newer version"),
    }
}

/// Appends a record with `synced` and checksum still to be set by [`finish`].
pub fn put(out: &mut Vec<u8>, seq: u64, before: &Hash, payload: &[u8]) {
    let len = u32::try_from(payload.len()).unwrap_or(SEAL);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&before.0);
    out.extend_from_slice(payload);
}

/// Appends a seal, likewise unfinished.
pub fn put_seal(out: &mut Vec<u8>, last: u64, head: &Hash) {
    out.extend_from_slice(&SEAL.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&last.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&head.0);
}

/// Sets `synced` and checksum of every record and seal in `bytes`.
pub fn finish(bytes: &mut [u8], synced: u64) {
    let mut rest = bytes;
    while rest.len() >= HEAD {
        let len = match u32_at(rest, 0) {
            Some(SEAL) | None => HEAD,
            Some(len) => HEAD + len as usize,
        };
        let (this, after) = rest.split_at_mut(len.min(rest.len()));
        this[16..24].copy_from_slice(&synced.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&this[..4]), &this[8..]);
        this[4..8].copy_from_slice(&crc.to_le_bytes());
        rest = after;
    }
}

/// A record's or seal's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Payload length; `None` for a seal.
    pub len: Option<usize>,
    /// Record's seq; a seal's is the last record's.
    pub seq: u64,
    /// Last seq that was durable when this was written.
    pub synced: u64,
    /// Hash of the record before; a seal's is the last record's.
    pub before: Hash,
}

impl Head {
    /// Bytes of the whole record or seal.
    #[must_use]
    pub fn size(&self) -> usize {
        HEAD + self.len.unwrap_or(0)
    }

    /// Reads a head whose numbers make sense; its checksum is looked at by [`Head::holds`].
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let len = match u32_at(bytes, 0)? {
            SEAL => None,
            len => Some(len as usize).filter(|len| (1..=RECORD_BYTES_MAX).contains(len)),
        };
        if len.is_none() && u32_at(bytes, 0)? != SEAL {
            return None;
        }
        let (seq, synced) = (u64_at(bytes, 8)?, u64_at(bytes, 16)?);
        // A seal is written after its last record and in the same batch.
        let order = if len.is_some() { synced < seq } else { synced <= seq };
        order.then_some(Self { len, seq, synced, before: hash_at(bytes, 24)? })
    }

    /// Whether `bytes`, which begin with this head, hold it whole and with the right checksum.
    #[must_use]
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let Some(this) = bytes.get(..self.size()) else { return false };
        let crc = crc32c::crc32c_append(crc32c::crc32c(&this[..4]), &this[8..]);
        u32_at(this, 4) == Some(crc)
    }
}
