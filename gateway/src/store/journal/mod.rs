//! The journal: the truth (invariant 2). Append-only segment files with every event in order, gap-free
//! from 1, chained by hashes. The layout is in [`frame`].
//!
//! It must never give a number before it can be written whole, never report a record as committed
//! before the disk has it (invariant 1), and never skip a record that it once reported: a torn tail
//! is cut only where nothing was acknowledged, every other damage stops the start with its place.
//!
//! Use: [`Journal::append`] (no IO), [`Journal::cut`] gives a [`Batch`] that another thread commits
//! while appending goes on. At most one batch is on its way. After any error of writing the journal
//! is broken for good: what is on disk is known only by opening it again.
//!
//! A new segment is zeros, synced with its folder, before its first record: a commit changes no
//! length and no name, so one write and one fdatasync are enough.

pub mod frame;
mod reader;
mod scan;
mod verify;

pub use frame::Hash;
pub use reader::{Item, Reader, Records};
pub use verify::{Verdict, verify, verify_telling};

use crate::limits::{RECORD_BYTES_MAX, SEGMENT_BYTES};
use crate::ports::{Disk, DiskFile, RealDisk};
use frame::{HEAD, HEADER};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    /// The segment: its first seq.
    pub segment: u64,
    /// Byte offset of the record's head.
    pub offset: u32,
}

/// How to open a journal.
#[derive(Clone)]
pub struct Options {
    /// Whose files.
    pub disk: Arc<dyn Disk>,
    /// Length of new segments, [`SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// A seq that is known from elsewhere (checkpoint, receipts) to have been durable: a journal
    /// that ends before it is damaged, not torn.
    pub at_least: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { disk: Arc::new(RealDisk), segment_bytes: SEGMENT_BYTES, at_least: 0 }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The seq of the next record.
    pub next_seq: u64,
    /// What was cut off the end: a batch that was being written when the power went.
    pub cut: Option<Cut>,
}

/// A torn tail. Nothing of it was ever acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// In which file.
    pub file: PathBuf,
    /// From which byte on.
    pub offset: u64,
    /// The seq that the first cut record would have had; it is given again.
    pub seq: u64,
    /// How many bytes were not zero from there to the last.
    pub bytes: u64,
}

/// A place that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// In which file.
    pub file: PathBuf,
    /// At which byte.
    pub offset: u64,
    /// Which record should be there.
    pub seq: u64,
    /// What is wrong.
    pub why: &'static str,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (file, offset, seq, why) = (self.file.display(), self.offset, self.seq, self.why);
        write!(f, "{file}: byte {offset}, record {seq}: {why}")
    }
}

/// Why the journal cannot go on.
#[derive(Debug)]
pub enum JournalError {
    /// The disk failed.
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Acknowledged records are damaged or missing.
    Damaged(Damage),
    /// A record of more than [`RECORD_BYTES_MAX`] bytes, or of none.
    Length(usize),
    /// An earlier write failed, or a batch was dropped uncommitted: open the journal anew.
    Broken,
}

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io { what, path, .. } => write!(f, "cannot {what} {}", path.display()),
            Self::Damaged(damage) => write!(
                f,
                "the journal is damaged: {damage}. Records that were confirmed are affected, so nothing \
                 is cut or repaired by itself: copy the journal folder, check the disk, restore the \
                 file from a backup, then run `blockgate journal verify`"
            ),
            Self::Length(n) => {
                write!(f, "a journal record of {n} bytes; 1 to {RECORD_BYTES_MAX} are possible")
            }
            Self::Broken => {
                write!(f, "writing to the journal failed before; it must be opened anew")
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Damaged(_) | Self::Length(_) | Self::Broken => None,
        }
    }
}

/// Says where an IO error happened.
fn at<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> JournalError + 'p {
    move |source| JournalError::Io { what, path: path.to_owned(), source }
}

/// The file of a segment.
fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.bgj"))
}

/// The segments in a folder by their first seq, ascending.
fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, JournalError> {
    let names = disk.list(dir).map_err(at("list", dir))?;
    let first = |name: &String| name.strip_suffix(".bgj").filter(|n| n.len() == 20)?.parse().ok();
    Ok(names.iter().filter_map(first).collect())
}

struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// Last seq whose batch is committed.
    durable: Arc<AtomicU64>,
    in_flight: AtomicBool,
    broken: AtomicBool,
    /// The segment that is written to. Locked by the one commit on its way.
    file: Mutex<Box<dyn DiskFile>>,
    /// Whether `spare.new` holds a whole segment of synced zeros.
    spare: Mutex<Spare>,
    /// A used buffer for the next batch.
    buffer: Mutex<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spare {
    None,
    Making,
    Ready,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes for one segment.
struct Part {
    segment: u64,
    /// The hash before the segment, where this part begins it.
    begins: Option<Hash>,
    offset: u64,
    bytes: Vec<u8>,
}

/// The journal, open for appending. One writer: nothing here can be shared.
pub struct Journal {
    shared: Arc<Shared>,
    next: u64,
    head: Hash,
    segment: u64,
    /// Where the next record goes in the segment.
    end: u64,
    /// The last segment on disk ends with a seal that was written before a restart.
    sealed: bool,
    parts: Vec<Part>,
    positions: Vec<Position>,
    pending: usize,
}

impl Journal {
    /// Opens the journal in `dir`, makes it when there is none, and cuts a torn tail.
    ///
    /// Reads the last segment only; [`verify()`] reads all.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] when acknowledged records are affected, [`JournalError::Io`].
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), JournalError> {
        let Options { disk, segment_bytes, at_least } = options;
        disk.create_dir(dir).map_err(at("make", dir))?;
        if let Some(above) = dir.parent() {
            disk.sync_dir(above).map_err(at("sync", above))?;
        }
        // Left over from a crash: never a part of the journal.
        for name in disk.list(dir).map_err(at("list", dir))? {
            if name.ends_with(".new") {
                let path = dir.join(name);
                disk.remove(&path).map_err(at("remove", &path))?;
            }
        }
        let (found, cut) = match segments(&*disk, dir)?.last() {
            Some(&first) => scan::recover(&*disk, dir, first, segment_bytes, at_least)?,
            None if at_least > 0 => {
                let file = segment_path(dir, 1);
                let why = "the journal is empty, but records of it were confirmed";
                return Err(JournalError::Damaged(Damage { file, offset: 0, seq: 1, why }));
            }
            None => {
                let file = begin_segment(&*disk, dir, 1, &Hash::default(), segment_bytes, false)?;
                (scan::Found::new(file), None)
            }
        };
        let shared = Shared {
            disk,
            dir: dir.to_owned(),
            segment_bytes,
            durable: Arc::new(AtomicU64::new(found.next - 1)),
            in_flight: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            file: Mutex::new(found.file),
            spare: Mutex::new(Spare::None),
            buffer: Mutex::default(),
        };
        let journal = Self {
            shared: Arc::new(shared),
            next: found.next,
            head: found.head,
            segment: found.segment,
            end: found.end,
            sealed: found.sealed,
            parts: Vec::new(),
            positions: Vec::new(),
            pending: 0,
        };
        let opened = Opened { next_seq: journal.next, cut };
        Ok((journal, opened))
    }

    /// The seq that the next appended record gets.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The last appended record's seq and hash, committed or not; 0 before the first.
    #[must_use]
    pub fn head(&self) -> (u64, Hash) {
        (self.next - 1, self.head)
    }

    /// The last seq that is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Reads committed records, from any thread.
    #[must_use]
    pub fn records(&self) -> Records {
        let shared = &self.shared;
        let limit = Some(Arc::clone(&shared.durable));
        Records::new(Arc::clone(&shared.disk), shared.dir.clone(), limit)
    }

    /// Appends a record to the pending batch and gives its seq. No IO.
    ///
    /// # Errors
    /// [`JournalError::Length`]; nothing is appended then and the seq is not used up.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, JournalError> {
        if payload.is_empty() || payload.len() > RECORD_BYTES_MAX {
            return Err(JournalError::Length(payload.len()));
        }
        let size = HEAD + payload.len();
        // A seal must fit behind the last record.
        if self.sealed || self.end + (size + HEAD) as u64 > self.shared.segment_bytes {
            self.turn_over();
        }
        let offset = u32::try_from(self.end).map_err(|_| JournalError::Length(payload.len()))?;
        let seq = self.next;
        self.positions.push(Position { segment: self.segment, offset });
        let before = self.head;
        frame::put(&mut self.part().bytes, seq, &before, payload);
        self.head = frame::chain(seq, &before, payload);
        self.next += 1;
        self.end += size as u64;
        self.pending += size;
        Ok(seq)
    }

    /// The part that the next bytes go to.
    fn part(&mut self) -> &mut Part {
        let (segment, end) = (self.segment, self.end);
        if self.parts.is_empty() {
            let bytes = std::mem::take(&mut *lock(&self.shared.buffer));
            self.parts.push(Part { segment, begins: None, offset: end, bytes });
        }
        let last = self.parts.len() - 1;
        &mut self.parts[last]
    }

    /// Seals the segment and begins the next.
    fn turn_over(&mut self) {
        if !self.sealed {
            let (last, head) = self.head();
            frame::put_seal(&mut self.part().bytes, last, &head);
        }
        self.sealed = false;
        self.segment = self.next;
        self.end = HEADER as u64;
        let begins = Some(self.head);
        let (segment, offset) = (self.segment, self.end);
        self.parts.push(Part { segment, begins, offset, bytes: Vec::new() });
    }

    /// Bytes that wait for a commit.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending
    }

    /// Takes what is pending as a batch to commit; `None` when nothing is, or while the batch before
    /// is still on its way.
    ///
    /// # Errors
    /// [`JournalError::Broken`] after a failed commit.
    pub fn cut(&mut self) -> Result<Option<Batch>, JournalError> {
        if self.shared.broken.load(Ordering::Acquire) {
            return Err(JournalError::Broken);
        }
        if self.parts.is_empty() || self.shared.in_flight.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let synced = self.durable();
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            frame::finish(&mut part.bytes, synced);
        }
        self.pending = 0;
        Ok(Some(Batch {
            shared: Arc::clone(&self.shared),
            parts,
            through: self.next - 1,
            positions: std::mem::take(&mut self.positions),
            done: false,
        }))
    }

    /// Work for another thread when there is some: making the next segment's file ahead of need.
    /// Without it the commit that turns over makes the file itself, and takes as long.
    #[must_use]
    pub fn errand(&self) -> Option<Errand> {
        // Held only by a commit that begins a segment: ask again later instead of waiting for it.
        let mut spare = self.shared.spare.try_lock().ok()?;
        if *spare != Spare::None || self.end < self.shared.segment_bytes / 2 {
            return None;
        }
        *spare = Spare::Making;
        Some(Errand { shared: Arc::clone(&self.shared), done: false })
    }
}

/// Makes a file of zeros and syncs it, under a name that is not a segment's.
fn make_zeros(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<Box<dyn DiskFile>, JournalError> {
    let file = disk.create(path).map_err(at("create", path))?;
    scan::write_zeros(&*file, 0, bytes).map_err(at("write", path))?;
    file.sync_data().map_err(at("sync", path))?;
    Ok(file)
}

/// Begins a segment: zeros, then its header, synced, and only then its name.
fn begin_segment(
    disk: &dyn Disk,
    dir: &Path,
    first: u64,
    before: &Hash,
    bytes: u64,
    spare: bool,
) -> Result<Box<dyn DiskFile>, JournalError> {
    let path = dir.join(if spare { "spare.new" } else { "segment.new" });
    let file = if spare {
        disk.open(&path).map_err(at("open", &path))?
    } else {
        make_zeros(disk, &path, bytes)?
    };
    file.write_all_at(&frame::header(first, before), 0).map_err(at("write", &path))?;
    file.sync_data().map_err(at("sync", &path))?;
    let name = segment_path(dir, first);
    disk.rename(&path, &name).map_err(at("name", &name))?;
    disk.sync_dir(dir).map_err(at("sync", dir))?;
    Ok(file)
}

/// Making the next segment's file; see [`Journal::errand`].
pub struct Errand {
    shared: Arc<Shared>,
    done: bool,
}

impl Errand {
    /// Does it. Blocks.
    ///
    /// # Errors
    /// [`JournalError::Io`]: the disk may be full. The journal still works as long as there is room.
    pub fn run(mut self) -> Result<(), JournalError> {
        let path = self.shared.dir.join("spare.new");
        make_zeros(&*self.shared.disk, &path, self.shared.segment_bytes)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        *lock(&self.shared.spare) = if self.done { Spare::Ready } else { Spare::None };
    }
}

/// Appended records on their way to the disk. Dropping it uncommitted breaks the journal.
#[must_use = "nothing is durable before commit()"]
pub struct Batch {
    shared: Arc<Shared>,
    parts: Vec<Part>,
    through: u64,
    positions: Vec<Position>,
    done: bool,
}

/// What a commit made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The last durable seq.
    pub through: u64,
    /// Where the batch's records lie, in order; the last is that of `through`.
    pub positions: Vec<Position>,
}

impl Committed {
    /// Each record's seq and position.
    pub fn records(&self) -> impl Iterator<Item = (u64, Position)> + '_ {
        (self.through + 1 - self.positions.len() as u64..).zip(self.positions.iter().copied())
    }
}

impl Batch {
    /// Bytes to be written.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes.len()).sum()
    }

    /// Writes and syncs: one write and one fdatasync, and those of a new file once a segment. Blocks.
    ///
    /// # Errors
    /// [`JournalError::Io`]. Then it is unknown which of the records are on disk; the journal is
    /// broken and none of them may be acted on.
    pub fn commit(mut self) -> Result<Committed, JournalError> {
        let mut file = lock(&self.shared.file);
        for part in &self.parts {
            let Shared { disk, dir, segment_bytes, .. } = &*self.shared;
            if let Some(before) = &part.begins {
                let mut spare = lock(&self.shared.spare);
                let ready = *spare == Spare::Ready;
                *file = begin_segment(&**disk, dir, part.segment, before, *segment_bytes, ready)?;
                if ready {
                    *spare = Spare::None;
                }
            }
            let path = || segment_path(dir, part.segment);
            file.write_all_at(&part.bytes, part.offset).map_err(|e| at("write", &path())(e))?;
            // The bug that the simulation must catch: the sync is forgotten.
            if !cfg!(feature = "canary-sync") {
                file.sync_data().map_err(|e| at("sync", &path())(e))?;
            }
        }
        drop(file);
        self.done = true;
        self.shared.durable.store(self.through, Ordering::Release);
        if let Some(mut part) = self.parts.pop() {
            part.bytes.clear();
            *lock(&self.shared.buffer) = part.bytes;
        }
        let positions = std::mem::take(&mut self.positions);
        Ok(Committed { through: self.through, positions })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.done {
            self.shared.broken.store(true, Ordering::Release);
        }
        self.shared.in_flight.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
