//! A row of the outbox in sled: up to [`ENTRIES`] waiting records of one class, packed. sled keeps
//! several hundred bytes in memory for a row, so a row of its own for each record of a long backlog
//! would cost more than the backlog's index is worth.
//!
//! ```text
//! key    seq of the first entry, u64 big-endian
//! value  per entry: seq, less the one before (the key, for the first)  varint
//!                   segment, less the one before (0, for the first)    varint
//!                   offset                                             varint
//!        crc32c of key and entries, u32 little-endian
//! varint: seven bits a byte, lowest first; the highest bit says that more follow
//! ```

use crate::store::journal::Position;

/// Entries in one row.
pub(super) const ENTRIES: usize = 256;

/// A waiting record: its seq, and where it lies.
pub(super) type Entry = (u64, Position);

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn get(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Packs entries in ascending order of seq; `None` for none.
pub(super) fn pack(entries: &[Entry]) -> Option<([u8; 8], Vec<u8>)> {
    let key = entries.first()?.0.to_be_bytes();
    let mut out = Vec::with_capacity(entries.len() * 6 + 4);
    let mut before = (entries.first()?.0, 0);
    for (seq, at) in entries {
        put(&mut out, seq - before.0);
        put(&mut out, at.segment.wrapping_sub(before.1));
        put(&mut out, u64::from(at.offset));
        before = (*seq, at.segment);
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&key), &out);
    out.extend_from_slice(&crc.to_le_bytes());
    Some((key, out))
}

/// Reads a row; `None` when it is not as it was written.
pub(super) fn unpack(key: &[u8], row: &[u8]) -> Option<Vec<Entry>> {
    let (mut rest, crc) = row.split_last_chunk::<4>()?;
    if crc32c::crc32c_append(crc32c::crc32c(key), rest).to_le_bytes() != *crc {
        return None;
    }
    let mut before = (u64::from_be_bytes(key.try_into().ok()?), 0_u64);
    let mut entries = Vec::with_capacity(ENTRIES);
    while !rest.is_empty() {
        let seq = before.0.checked_add(get(&mut rest)?)?;
        let segment = before.1.wrapping_add(get(&mut rest)?);
        let offset = u32::try_from(get(&mut rest)?).ok()?;
        entries.push((seq, Position { segment, offset }));
        before = (seq, segment);
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back_and_a_changed_byte_is_noticed(
            first in 1..u64::MAX / 2,
            steps in prop::collection::vec((1_u64..1 << 40, any::<u64>(), any::<u32>()), 0..ENTRIES),
            flip in any::<prop::sample::Index>(),
        ) {
            let mut seq = first;
            let entries: Vec<Entry> = steps.into_iter().map(|(step, segment, offset)| {
                seq += step;
                (seq, Position { segment, offset })
            }).collect();
            match pack(&entries) {
                None => prop_assert!(entries.is_empty()),
                Some((key, mut row)) => {
                    prop_assert_eq!(unpack(&key, &row), Some(entries));
                    let place = flip.index(row.len());
                    row[place] ^= 1;
                    prop_assert_eq!(unpack(&key, &row), None);
                }
            }
        }
    }

    #[test]
    fn a_row_of_neighbours_is_small() {
        let entries: Vec<Entry> = (0..ENTRIES as u64)
            .map(|n| {
                (1_000_000 + n, Position { segment: 999_000, offset: 4_000_000 + 400 * n as u32 })
            })
            .collect();
        let (_, row) = pack(&entries).unwrap();
        assert!(row.len() <= 7 * ENTRIES, "{} bytes", row.len());
    }
}
