//! What stays: the journal is the truth (`journal`), the sled trees are derived from it (`trees`)
//! and can be deleted at any time (invariant 3).
//!
//! ```text
//! <state>/format         "blockgate-state 1"
//! <state>/lock           held by the one daemon
//! <state>/journal/       the truth
//! <state>/checkpoints/   the Block, so that a start replays a tail
//! <state>/receipts       what the cloud has confirmed
//! <state>/head.key       signs the journal's head
//! <state>/ballast        room for the day on which the disk is full
//! <state>/sled/          trees and outbox, rebuildable; sled.broken-<n> were set aside
//! ```

pub mod ballast;
pub mod checkpoint;
pub mod faulty;
pub mod head;
mod history;
pub mod journal;
pub mod probe;
pub mod rebuild;
pub mod record;
pub mod trees;

use crate::outbox::cursor::Cursor;
use crate::outbox::{Class, Outbox, OutboxError, kind_of};
use crate::ports::{Disk, RealDisk};
use blockgate_rules::Block;
use journal::{Cut, Journal, JournalError};
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trees::{Applied, Trees};

/// What `<state>/format` says.
const FORMAT: &str = "blockgate-state 1\n";
/// Records that are replayed at once.
const REPLAY_AT_ONCE: usize = 64;

/// The open store of one gateway. The engine owns it; trees, outbox and records are shared.
pub struct Store {
    /// The truth; the engine alone appends.
    pub journal: Journal,
    /// Queries.
    pub trees: Arc<Trees>,
    /// What waits for the cloud.
    pub outbox: Arc<Outbox>,
    saver: Saver,
    /// Held as long as the store is open.
    _lock: File,
}

/// What opening found, for the log, the alarms and the page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Last record; 0 in an empty journal.
    pub last: u64,
    /// The checkpoint that the start began with; 0 without one.
    pub checkpoint: u64,
    /// Records replayed into the Block.
    pub replayed: u64,
    /// A torn tail that was cut.
    pub cut: Option<Cut>,
    /// Nothing was written since a backup was restored that ends with this record: another history begins.
    pub restored: Option<u64>,
    /// Sentences about what was set aside or rebuilt; each is worth an [`AlarmCode::Store`].
    ///
    /// [`AlarmCode::Store`]: blockgate_rules::event::AlarmCode::Store
    pub warnings: Vec<String>,
}

/// Why the store cannot be opened.
#[derive(Debug)]
pub enum StoreError {
    /// Another daemon holds the state folder.
    Locked(PathBuf),
    /// The folder was written by a version that this one does not know.
    Format(PathBuf, String),
    /// A restore into the folder did not come to its end.
    Restoring(PathBuf),
    /// The disk failed.
    Io(PathBuf, std::io::Error),
    /// The journal cannot be opened.
    Journal(JournalError),
    /// A record cannot be understood.
    Record(u64, serde_json::Error),
    /// The trees cannot be opened or rebuilt.
    Trees(trees::TreesError),
    /// The outbox cannot be opened.
    Outbox(OutboxError),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked(dir) => write!(
                f,
                "another blockgate is running on {}: stop it first, or give this one another state folder",
                dir.display()
            ),
            Self::Format(path, found) => write!(
                f,
                "{} says {found:?}, which this version does not know: install the version that wrote it",
                path.display()
            ),
            Self::Restoring(dir) => write!(
                f,
                "a restore into {} did not come to its end: empty the folder and restore again",
                dir.display()
            ),
            Self::Io(path, _) => write!(f, "cannot use {}", path.display()),
            Self::Journal(_) => write!(f, "the journal cannot be used"),
            Self::Record(seq, _) => {
                write!(f, "record {seq} is intact, but this version does not understand it")
            }
            Self::Trees(_) => write!(f, "the sled trees cannot be used"),
            Self::Outbox(_) => write!(f, "the outbox cannot be used"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Locked(_) | Self::Format(..) | Self::Restoring(_) => None,
            Self::Io(_, e) => Some(e),
            Self::Journal(e) => Some(e),
            Self::Record(_, e) => Some(e),
            Self::Trees(e) => Some(e),
            Self::Outbox(e) => Some(e),
        }
    }
}

/// Where a store lies.
#[derive(Clone)]
pub struct Folder {
    /// The state folder.
    pub state: PathBuf,
    /// Whose files journal, checkpoints and receipts are.
    pub disk: Arc<dyn Disk>,
    /// Length of the journal's new segments.
    pub segment_bytes: u64,
    /// Whether a ballast is kept, and given up when the disk is full: for a daemon.
    pub ballast: bool,
}

impl Folder {
    /// A folder of this machine.
    #[must_use]
    pub fn real(state: &Path) -> Self {
        let segment_bytes = crate::limits::SEGMENT_BYTES;
        let disk = Arc::new(RealDisk);
        Self { state: state.to_owned(), disk, segment_bytes, ballast: false }
    }
}

impl Store {
    /// Opens the state folder: lock, journal, checkpoint, replay into the Block and the trees, outbox.
    ///
    /// Reads the last segment and what came after the checkpoint; `journal verify` reads all.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed except a torn tail cut and sled folders set aside.
    pub fn open(state: &Path) -> Result<(Self, Block, Found), StoreError> {
        Self::open_at(&Folder::real(state), &mut |_, _| {})
    }

    /// As [`Store::open`]; `progress` is told the record that was replayed and the last one.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_at(
        folder: &Folder,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Self, Block, Found), StoreError> {
        let Folder { state, disk, segment_bytes, ballast } = folder.clone();
        let state = state.as_path();
        disk.create_dir(state).map_err(io(state))?;
        if state.join(crate::backup::MARK).exists() {
            return Err(StoreError::Restoring(state.to_owned()));
        }
        let lock = take_lock(state)?;
        let room = ballast.then(|| ballast::prepare(&*disk, state)).flatten();
        check_format(&*disk, state)?;
        let checkpoints = state.join("checkpoints");
        let receipts = state.join("receipts");
        let confirmed = Cursor::load(&*disk, &receipts).map_err(io(&receipts))?.through;
        let saved = checkpoint::newest(&*disk, &checkpoints).map_err(io(&checkpoints))?;
        let at_least = confirmed.max(saved);
        let options = journal::Options { disk: Arc::clone(&disk), segment_bytes, at_least };
        let (journal, opened) =
            Journal::open(&state.join("journal"), options).map_err(StoreError::Journal)?;
        let (last, records) = (journal.head().0, journal.records());
        let mut found = Found { last, cut: opened.cut, ..Found::default() };
        found.warnings.extend(room);

        let mut block = Block::new();
        let hash_at = |seq: u64| -> Result<Option<journal::Hash>, StoreError> {
            let mut reader = records.from(seq.saturating_add(1));
            let reached = reader.skip_to_start().map_err(StoreError::Journal)?;
            Ok(reached.then(|| reader.hash()))
        };
        let (start, passed) = checkpoint::load(&*disk, &checkpoints, hash_at)?;
        if let Some(start) = start {
            (found.checkpoint, block) = (start.seq, start.state);
        }
        let text = |p: checkpoint::PassedOver| {
            format!("the checkpoint {} was passed over: {}", p.file.display(), p.why)
        };
        found.warnings.extend(passed.into_iter().map(text));

        let (trees, aside) =
            Trees::open(state, records.clone(), last).map_err(StoreError::Trees)?;
        found.warnings.extend(aside);
        let trees = Arc::new(trees);
        let outbox =
            Outbox::open(Arc::clone(&disk), state, Arc::clone(&trees), records.clone(), last)
                .map_err(StoreError::Outbox)?;
        let outbox = Arc::new(outbox);
        let (trees_at, outbox_at) = (trees.applied(), outbox.known());
        found.restored = outbox.restored().filter(|after| *after == last);
        let store = Self {
            saver: Saver {
                disk,
                checkpoints,
                records: records.clone(),
                trees: Arc::clone(&trees),
                outbox: Arc::clone(&outbox),
            },
            journal,
            trees,
            outbox,
            _lock: lock,
        };
        let from = found.checkpoint.min(trees_at).min(outbox_at) + 1;
        store.replay(&mut block, &mut found, from, progress)?;
        if last > trees_at + crate::limits::CHECKPOINT_EVERY_RECORDS {
            store.trees.durable().map_err(StoreError::Trees)?;
        }
        Ok((store, block, found))
    }

    /// Replays the journal from record `from` into whatever has not seen it.
    // invariant 2: the Block is the fold of the journal; a checkpoint only shortens the way.
    fn replay(
        &self,
        block: &mut Block,
        found: &mut Found,
        from: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        let mut reader = self.journal.records().from(from);
        let trees_at = self.trees.applied();
        loop {
            let mut records = Vec::with_capacity(REPLAY_AT_ONCE);
            let mut waiting = Vec::with_capacity(REPLAY_AT_ONCE);
            while waiting.len() < REPLAY_AT_ONCE {
                let Some(item) = reader.read().map_err(StoreError::Journal)? else { break };
                let (seq, position) = (item.seq, item.position);
                waiting.push((seq, Class::of(&kind_of(item.payload)), position));
                if seq > found.checkpoint.min(trees_at) {
                    let record = record::decode(item.payload);
                    records.push((record.map_err(|e| StoreError::Record(seq, e))?, position));
                }
            }
            let Some(&(done, ..)) = waiting.last() else { return Ok(()) };
            for (record, _) in records.iter().filter(|(r, _)| r.seq > found.checkpoint) {
                block.apply(record.seq, &record.data);
                found.replayed += 1;
            }
            let mut applied = Vec::with_capacity(records.len());
            for (r, position) in &records {
                let (seq, time, position) = (r.seq, r.time, *position);
                applied.push(Applied { seq, time, record: &r.data, position });
            }
            self.trees.apply(&applied).map_err(StoreError::Trees)?;
            self.outbox.push(&waiting).map_err(StoreError::Outbox)?;
            progress(done, found.last);
        }
    }

    /// Takes a checkpoint of the Block, which contains every appended record. No IO; write it with
    /// [`Saver::save`] after these records are committed.
    ///
    /// # Errors
    /// When the Block cannot be JSON.
    pub fn checkpoint(&self, block: &Block) -> serde_json::Result<checkpoint::Draft> {
        let (seq, hash) = self.journal.head();
        checkpoint::Draft::new(seq, &hash, block)
    }

    /// What writes checkpoints, from another thread.
    #[must_use]
    pub fn saver(&self) -> Saver {
        self.saver.clone()
    }
}

/// Says where an IO error happened.
fn io(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    |e| StoreError::Io(path.to_owned(), e)
}

impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(PathBuf::from("checkpoints"), e)
    }
}

/// Takes the state folder's lock; the kernel frees it when the process ends, however it ends.
fn take_lock(state: &Path) -> Result<File, StoreError> {
    let path = state.join("lock");
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = options.open(&path).map_err(io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(state.to_owned())),
        Err(TryLockError::Error(e)) => Err(StoreError::Io(path, e)),
    }
}

fn check_format(disk: &dyn Disk, state: &Path) -> Result<(), StoreError> {
    let path = state.join("format");
    match checkpoint::read_file(disk, &path) {
        Ok(text) if text == FORMAT.as_bytes() => Ok(()),
        Ok(text) => {
            let found = String::from_utf8_lossy(&text).chars().take(80).collect::<String>();
            Err(StoreError::Format(path, found.trim_end().to_owned()))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            checkpoint::replace(disk, &path, FORMAT.as_bytes()).map_err(io(&path))
        }
        Err(e) => Err(StoreError::Io(path, e)),
    }
}

/// Writes checkpoints and makes trees and outbox durable with them. For `spawn_blocking`.
#[derive(Clone)]
pub struct Saver {
    disk: Arc<dyn Disk>,
    checkpoints: PathBuf,
    records: journal::Records,
    trees: Arc<Trees>,
    outbox: Arc<Outbox>,
}

impl Saver {
    /// Flushes trees and outbox, then writes the checkpoint. Blocks. A failure costs a longer
    /// replay at the next start and nothing else.
    ///
    /// # Errors
    /// [`StoreError`], also for a draft whose last record is not durable yet.
    pub fn save(&self, draft: &checkpoint::Draft) -> Result<(), StoreError> {
        if self.records.durable().is_none_or(|durable| draft.seq > durable) {
            let e = std::io::Error::other("a checkpoint of records that are not durable");
            return Err(StoreError::Io(self.checkpoints.clone(), e));
        }
        self.outbox.index().map_err(StoreError::Outbox)?;
        self.trees.durable().map_err(StoreError::Trees)?;
        self.outbox.save().map_err(StoreError::Outbox)?;
        draft.write(&*self.disk, &self.checkpoints).map_err(io(&self.checkpoints))
    }
}

#[cfg(test)]
pub(crate) mod tests;
