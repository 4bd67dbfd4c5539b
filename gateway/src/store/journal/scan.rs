//! Reading a segment from the front, and judging its end.

use super::frame::{self, HEAD, HEADER, Hash, Head};
use super::{Cut, Damage, JournalError, at, segment_path};
use crate::ports::{Disk, DiskFile};
use std::io;
use std::path::Path;

/// What is read at once.
const WINDOW: usize = 64 * 1024;

/// A moving view of a file, so that a segment is never whole in memory.
pub(super) struct Window {
    pub(super) file: Box<dyn DiskFile>,
    bytes: Vec<u8>,
    from: u64,
}

impl Window {
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file, bytes: Vec::new(), from: 0 }
    }

    /// The bytes from `offset`, `len` of them, fewer at the end of the file.
    pub(super) fn get(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let inside =
            offset >= self.from && offset + len as u64 <= self.from + self.bytes.len() as u64;
        if !inside {
            self.bytes.resize(len.max(WINDOW), 0);
            self.from = offset;
            let got = self.file.read_full_at(&mut self.bytes, offset)?;
            self.bytes.truncate(got);
        }
        let start = (offset - self.from) as usize;
        let end = (start + len).min(self.bytes.len());
        Ok(self.bytes.get(start..end).unwrap_or_default())
    }

    /// Forgets what was read: the file may have grown into its zeros.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }
}

/// What lies at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The expected record.
    Record(Head),
    /// The segment's seal.
    Seal,
    /// Zeros, or the end of the file.
    Nothing,
    /// Something else.
    Bad(&'static str),
}

/// Reads what lies at `offset`, where record `seq` after `before` should be.
pub(super) fn step(window: &mut Window, offset: u64, seq: u64, before: &Hash) -> io::Result<Step> {
    let head = window.get(offset, HEAD)?;
    if head.iter().all(|b| *b == 0) {
        return Ok(Step::Nothing);
    }
    let Some(head) = Head::read(head) else {
        return Ok(Step::Bad("this is not the head of a record"));
    };
    if !head.holds(window.get(offset, head.size())?) {
        return Ok(Step::Bad("the record does not match its checksum"));
    }
    let wanted = if head.len.is_some() { seq } else { seq - 1 };
    Ok(if head.seq != wanted {
        Step::Bad("another record lies here")
    } else if head.before != *before {
        Step::Bad("the record does not continue the hash chain")
    } else if head.len.is_some() {
        Step::Record(head)
    } else {
        Step::Seal
    })
}

/// Reads a segment's header and checks that it is that of segment `first`.
pub(super) fn open_segment(
    disk: &dyn Disk,
    dir: &Path,
    first: u64,
) -> Result<(Window, Hash), JournalError> {
    let path = segment_path(dir, first);
    let file = disk.open_read(&path).map_err(at("open", &path))?;
    let mut window = Window::new(file);
    let bytes = window.get(0, HEADER).map_err(at("read", &path))?;
    let damaged =
        |why| JournalError::Damaged(Damage { file: path.clone(), offset: 0, seq: first, why });
    match frame::read_header(bytes) {
        Ok((own, before)) if own == first => Ok((window, before)),
        Ok(_) => Err(damaged("the segment's header and name differ")),
        Err(why) => Err(damaged(why)),
    }
}

/// What lies behind the last good record of the last segment.
pub(super) struct Tail {
    /// End of the last byte that is not zero.
    pub(super) end: u64,
    /// A good record was found that was written when `seq` was durable already.
    pub(super) proof: bool,
}

/// Looks through the bytes from `offset` to the end for a proof that record `seq`, which should lie
/// at `offset`, had been durable. A batch that was being written can be there in any part, in any
/// order of blocks; but its records all say `synced` < `seq`.
pub(super) fn tail(window: &mut Window, offset: u64, seq: u64) -> io::Result<Tail> {
    let mut found = Tail { end: offset, proof: false };
    let mut place = offset;
    loop {
        let bytes = window.get(place, WINDOW)?;
        let had = bytes.len();
        if had == 0 {
            return Ok(found);
        }
        let mut candidates = Vec::new();
        let mut skip = 0;
        while let Some(n) = bytes.get(skip..).and_then(|b| b.iter().position(|b| *b != 0)) {
            let last = bytes.iter().rposition(|b| *b != 0).unwrap_or(0);
            found.end = found.end.max(place + last as u64 + 1);
            // A head can begin with up to three zero bytes of its length.
            for at in (skip + n).saturating_sub(3)..=skip + n {
                candidates.push(place + at as u64);
            }
            skip += n + 1;
        }
        candidates.dedup();
        let mut seen = 0;
        for at in candidates {
            if at < seen {
                continue;
            }
            seen = at + 1;
            if let Some(head) = Head::read(window.get(at, HEAD)?)
                && head.synced >= seq
                && head.seq >= seq
                && head.holds(window.get(at, head.size())?)
            {
                found.proof = true;
            }
        }
        place += had as u64;
    }
}

/// The end of the last segment.
pub(super) struct Found {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) segment: u64,
    pub(super) next: u64,
    pub(super) head: Hash,
    pub(super) end: u64,
    pub(super) sealed: bool,
}

impl Found {
    /// An empty journal.
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        let (head, end) = (Hash::default(), HEADER as u64);
        Self { file, segment: 1, next: 1, head, end, sealed: false }
    }
}

/// Writes zeros from `from` to `to`.
pub(super) fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = [0; WINDOW];
    let mut at = from;
    while at < to {
        let n = (to - at).min(WINDOW as u64) as usize;
        file.write_all_at(&zeros[..n], at)?;
        at += n as u64;
    }
    Ok(())
}

/// Finds the end of the last segment and cuts a torn tail.
pub(super) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    first: u64,
    segment_bytes: u64,
    at_least: u64,
) -> Result<(Found, Option<Cut>), JournalError> {
    let path = segment_path(dir, first);
    let read = |e| at("read", &path)(e);
    let (mut window, mut head) = open_segment(disk, dir, first)?;
    let (mut next, mut end) = (first, HEADER as u64);
    let (sealed, why) = loop {
        match step(&mut window, end, next, &head).map_err(read)? {
            Step::Record(record) => {
                let payload = &window.get(end, record.size()).map_err(read)?[HEAD..];
                head = frame::chain(next, &head, payload);
                next += 1;
                end += record.size() as u64;
            }
            Step::Seal => break (true, "bytes lie behind the segment's seal"),
            Step::Nothing => break (false, "the record is missing"),
            Step::Bad(why) => break (false, why),
        }
    };
    let after = if sealed { end + HEAD as u64 } else { end };
    let tail = tail(&mut window, after, next).map_err(read)?;
    if tail.proof || next <= at_least {
        let damage = Damage { file: path, offset: end, seq: next, why };
        return Err(JournalError::Damaged(damage));
    }
    let file = disk.open(&path).map_err(at("open", &path))?;
    let mut cut = None;
    if tail.end > after {
        write_zeros(&*file, after, tail.end).map_err(at("write", &path))?;
        cut = Some(Cut { file: path.clone(), offset: after, seq: next, bytes: tail.end - after });
    }
    let size = file.size().map_err(at("read", &path))?;
    if size < segment_bytes && !sealed {
        write_zeros(&*file, size, segment_bytes).map_err(at("write", &path))?;
    }
    // Also without a cut: the last batch may have reached the page cache only, and what is reported
    // from here on as durable must be.
    file.sync_data().map_err(at("sync", &path))?;
    Ok((Found { file, segment: first, next, head, end, sealed }, cut))
}
