//! Reading the journal: in order from any seq, or one record by its place.

use super::frame::{self, HEAD, HEADER, Hash, Head};
use super::scan::{self, Step, Window};
use super::{Damage, JournalError, Position, at, segment_path, segments};
use crate::ports::{Disk, DiskFile};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// One record, as [`Reader::read`] gives it.
#[derive(Debug, Clone, Copy)]
pub struct Item<'r> {
    /// Its number.
    pub seq: u64,
    /// Where it lies.
    pub position: Position,
    /// The last seq that was durable when it was written.
    pub synced: u64,
    /// The chain's hash with this record.
    pub hash: Hash,
    /// The envelope's bytes.
    pub payload: &'r [u8],
}

/// Reads records in order and checks checksum and hash chain of each. Holds one record and a window
/// of 64 KiB, however long the journal is. Works in another process while the daemon appends.
pub struct Reader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    limit: Option<Arc<AtomicU64>>,
    from: u64,
    next: u64,
    before: Hash,
    open: Option<(u64, Window, u64)>,
}

impl Reader {
    /// A reader that begins with record `from` (at least 1). Without `limit` it ends where the
    /// journal does, which for a running daemon may include records that are not durable yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path, from: u64, limit: Option<Arc<AtomicU64>>) -> Self {
        let (from, before) = (from.max(1), Hash::default());
        Self { disk, dir: dir.to_owned(), limit, from, next: 0, before, open: None }
    }

    /// The hash of the last record that was read; with [`Reader::skip_to_start`], that before `from`.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.before
    }

    /// Goes to the first record's place, so that [`Reader::hash`] is that of the record before it.
    /// Gives whether the journal reaches up to there.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn skip_to_start(&mut self) -> Result<bool, JournalError> {
        while self.next < self.from {
            if !self.advance()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next record; `None` at the end, from where it can be asked again later.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] at the first record that is not as it was written,
    /// [`JournalError::Io`].
    pub fn read(&mut self) -> Result<Option<Item<'_>>, JournalError> {
        if !self.skip_to_start()? {
            return Ok(None);
        }
        let seq = self.next;
        let Some((head, position)) = self.step()? else { return Ok(None) };
        let path = segment_path(&self.dir, position.segment);
        let Some((_, window, _)) = &mut self.open else { return Ok(None) };
        let bytes =
            window.get(u64::from(position.offset), head.size()).map_err(at("read", &path))?;
        let payload = bytes.get(HEAD..).unwrap_or_default();
        Ok(Some(Item { seq, position, synced: head.synced, hash: self.before, payload }))
    }

    /// Steps over one record while looking for the start.
    fn advance(&mut self) -> Result<bool, JournalError> {
        if self.open.is_none() {
            let all = segments(&*self.disk, &self.dir)?;
            let before = all.iter().rev().find(|first| **first <= self.from);
            let Some(&first) = before.or(all.first()) else { return Ok(false) };
            if first > self.from {
                return Err(self.damaged(self.from, 0, self.from, "the segment is missing"));
            }
            self.enter(first)?;
            return Ok(true);
        }
        Ok(self.step()?.is_some())
    }

    fn enter(&mut self, first: u64) -> Result<(), JournalError> {
        let (window, before) = scan::open_segment(&*self.disk, &self.dir, first)?;
        if self.open.is_some() && before != self.before {
            let why = "the segment does not continue the hash chain";
            return Err(self.damaged(first, 0, first, why));
        }
        (self.next, self.before) = (first, before);
        self.open = Some((first, window, HEADER as u64));
        Ok(())
    }

    fn damaged(&self, segment: u64, offset: u64, seq: u64, why: &'static str) -> JournalError {
        let file = segment_path(&self.dir, segment);
        JournalError::Damaged(Damage { file, offset, seq, why })
    }

    /// Passes the next record and gives its head and place.
    fn step(&mut self) -> Result<Option<(Head, Position)>, JournalError> {
        let mut again = false;
        loop {
            if self.limit.as_ref().is_some_and(|l| self.next > l.load(Ordering::Acquire)) {
                return Ok(None);
            }
            let Some((first, window, offset)) = &mut self.open else { return Ok(None) };
            let (first, place) = (*first, *offset);
            let path = segment_path(&self.dir, first);
            let read = |e| at("read", &path)(e);
            let step = scan::step(window, place, self.next, &self.before).map_err(read)?;
            match step {
                Step::Record(head) => {
                    let payload = &window.get(place, head.size()).map_err(read)?[HEAD..];
                    self.before = frame::chain(self.next, &self.before, payload);
                    self.next += 1;
                    *offset += head.size() as u64;
                    let offset = u32::try_from(place).unwrap_or(u32::MAX);
                    return Ok(Some((head, Position { segment: first, offset })));
                }
                Step::Seal => {
                    if !segments(&*self.disk, &self.dir)?.contains(&self.next) {
                        let later = segments(&*self.disk, &self.dir)?.last() > Some(&first);
                        let why = "the segment that should follow is missing";
                        let lost = || Err(self.damaged(self.next, 0, self.next, why));
                        return if later { lost() } else { Ok(None) };
                    }
                    self.enter(self.next)?;
                }
                // The window may be older than the file: look once more before judging.
                Step::Nothing | Step::Bad(_) if !again => {
                    window.forget();
                    again = true;
                }
                Step::Nothing | Step::Bad(_) => {
                    let why = match step {
                        Step::Bad(why) => why,
                        Step::Nothing | Step::Record(_) | Step::Seal => "the record is missing",
                    };
                    let proof = scan::tail(window, place, self.next).map_err(read)?.proof;
                    window.forget();
                    let known = self.limit.is_some(); // its limit says that the record is durable
                    let last = segments(&*self.disk, &self.dir)?.last() == Some(&first);
                    return if proof || known || !last {
                        Err(self.damaged(first, place, self.next, why))
                    } else {
                        Ok(None)
                    };
                }
            }
        }
    }
}

/// A segment by its first seq, and its file.
type OpenSegment = (u64, Arc<dyn DiskFile>);

/// Committed records by place or in order; cheap to clone, for any thread.
#[derive(Clone)]
pub struct Records {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    limit: Option<Arc<AtomicU64>>,
    /// The segments read last, newest at the end.
    open: Arc<Mutex<Vec<OpenSegment>>>,
}

/// Segment files kept open for [`Records::read_at`].
const OPEN_MAX: usize = 4;

impl Records {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf, limit: Option<Arc<AtomicU64>>) -> Self {
        Self { disk, dir, limit, open: Arc::default() }
    }

    /// The records of a journal that another process may be writing.
    #[must_use]
    pub fn of(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self::new(disk, dir.to_owned(), None)
    }

    /// The last seq that is durable; `None` where another process writes.
    #[must_use]
    pub fn durable(&self) -> Option<u64> {
        self.limit.as_ref().map(|l| l.load(Ordering::Acquire))
    }

    /// Reads in order from a seq.
    #[must_use]
    pub fn from(&self, seq: u64) -> Reader {
        Reader::new(Arc::clone(&self.disk), &self.dir, seq, self.limit.clone())
    }

    /// The payload of record `seq`, which lies at `position`. Its checksum and number are checked;
    /// the chain is not.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when another record or none lies there, [`JournalError::Io`].
    pub fn read_at(&self, seq: u64, position: Position) -> Result<Bytes, JournalError> {
        let path = segment_path(&self.dir, position.segment);
        let read = |e| at("read", &path)(e);
        let file = self.file(position.segment, &path)?;
        let offset = u64::from(position.offset);
        let mut bytes = vec![0; 4096];
        let got = file.read_full_at(&mut bytes, offset).map_err(read)?;
        bytes.truncate(got);
        let why = "the record is not where it was written";
        let damaged = || JournalError::Damaged(Damage { file: path.clone(), offset, seq, why });
        let head = Head::read(&bytes).filter(|h| h.seq == seq && h.len.is_some());
        let head = head.ok_or_else(damaged)?;
        if head.size() > bytes.len() {
            let had = bytes.len();
            bytes.resize(head.size(), 0);
            let more = file.read_full_at(&mut bytes[had..], offset + had as u64).map_err(read)?;
            bytes.truncate(had + more);
        }
        if !head.holds(&bytes) {
            return Err(damaged());
        }
        bytes.truncate(head.size());
        Ok(Bytes::from(bytes).slice(HEAD..))
    }

    fn file(&self, segment: u64, path: &Path) -> Result<Arc<dyn DiskFile>, JournalError> {
        let mut open = super::lock(&self.open);
        if let Some((_, file)) = open.iter().find(|(first, _)| *first == segment) {
            return Ok(Arc::clone(file));
        }
        let file: Arc<dyn DiskFile> = self.disk.open_read(path).map_err(at("open", path))?.into();
        if open.len() >= OPEN_MAX {
            open.remove(0);
        }
        open.push((segment, Arc::clone(&file)));
        Ok(file)
    }
}
