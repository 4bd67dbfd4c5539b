//! The full check of a journal, for `blockgate journal verify`: reads everything, changes nothing.

use super::frame::{self, HEAD, HEADER, Hash};
use super::scan::{self, Step};
use super::{Cut, Damage, JournalError, at, segment_path, segments};
use crate::ports::Disk;
use std::path::Path;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Good records.
    pub records: u64,
    /// Segment files.
    pub segments: u64,
    /// First good record's seq; 0 when there is none.
    pub first: u64,
    /// Last good record's seq.
    pub last: u64,
    /// Hash of the last record, 64 hexadecimal digits: the whole journal's fingerprint.
    pub head: String,
    /// A torn tail, which the next start cuts.
    pub cut: Option<Cut>,
    /// Everything that is not as it was written. Empty = the journal is whole.
    pub damage: Vec<Damage>,
}

/// Checks every record of the journal in `dir`. After damage it goes on with the next segment.
///
/// # Errors
/// [`JournalError::Io`] only; damage is part of the verdict.
pub fn verify(disk: &dyn Disk, dir: &Path) -> Result<Verdict, JournalError> {
    verify_telling(disk, dir, &mut |_, _, _| {})
}

/// As [`verify`]; `tell` gets each good record's seq, hash and payload, in order.
///
/// # Errors
/// As [`verify`].
pub fn verify_telling(
    disk: &dyn Disk,
    dir: &Path,
    tell: &mut dyn FnMut(u64, &Hash, &[u8]),
) -> Result<Verdict, JournalError> {
    let mut verdict = Verdict::default();
    let all = segments(disk, dir)?;
    verdict.segments = all.len() as u64;
    // What the next segment must begin with; `None` after damage.
    let mut wanted = Some((1, Hash::default()));
    let mut head = Hash::default();
    for (index, &first) in all.iter().enumerate() {
        let last = index + 1 == all.len();
        let path = segment_path(dir, first);
        let mut hurt = |offset, seq, why| {
            verdict.damage.push(Damage { file: path.clone(), offset, seq, why });
        };
        let (mut window, before) = match scan::open_segment(disk, dir, first) {
            Ok(open) => open,
            Err(JournalError::Damaged(damage)) => {
                verdict.damage.push(damage);
                wanted = None;
                continue;
            }
            Err(other) => return Err(other),
        };
        match wanted {
            Some((seq, _)) if seq != first => {
                hurt(0, seq, "the segment that should follow is missing")
            }
            Some((_, hash)) if hash != before => {
                hurt(0, first, "the segment does not continue the hash chain");
            }
            Some(_) | None => {}
        }
        let read = |e| at("read", &path)(e);
        let (mut next, mut end) = (first, HEADER as u64);
        head = before;
        wanted = loop {
            let why = match scan::step(&mut window, end, next, &head).map_err(read)? {
                Step::Record(record) => {
                    let payload = &window.get(end, record.size()).map_err(read)?[HEAD..];
                    head = frame::chain(next, &head, payload);
                    tell(next, &head, payload);
                    verdict.first = if verdict.first == 0 { next } else { verdict.first };
                    (verdict.last, verdict.records) = (next, verdict.records + 1);
                    end += record.size() as u64;
                    next += 1;
                    continue;
                }
                Step::Seal => {
                    let tail = scan::tail(&mut window, end + HEAD as u64, next).map_err(read)?;
                    if tail.end > end + HEAD as u64 {
                        hurt(end + HEAD as u64, next, "bytes lie behind the segment's seal");
                    }
                    break Some((next, head));
                }
                Step::Nothing => "the record is missing",
                Step::Bad(why) => why,
            };
            let tail = scan::tail(&mut window, end, next).map_err(read)?;
            if !last || tail.proof {
                hurt(end, next, why);
                break None;
            }
            if tail.end > end {
                let bytes = tail.end - end;
                verdict.cut = Some(Cut { file: path.clone(), offset: end, seq: next, bytes });
            }
            break Some((next, head));
        };
    }
    verdict.head = head.to_string();
    Ok(verdict)
}
