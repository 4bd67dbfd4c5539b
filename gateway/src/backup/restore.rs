//! Reading a backup: looking whether it is whole, and building a state folder from it.

use super::container::Opener;
use super::{
    BackupError, End, Entry, FILE_BYTES_MAX, FILES_MAX, MARK, Manifest, Place, at, check_name,
};
use crate::limits::RECORD_BYTES_MAX;
use crate::outbox::cursor::Cursor;
use crate::ports::{Disk, RealDisk};
use crate::store::checkpoint::replace;
use crate::store::journal::{Hash, Journal, Options, frame};
use serde::de::DeserializeOwned;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::Path;

/// What the cloud has confirmed, in the state folder.
const RECEIPTS: &str = "receipts";
/// Records that are made durable at once.
const AT_ONCE_BYTES: usize = 1024 * 1024;

/// SHA-256 of a file's content in hexadecimal.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a whole backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// What it says about itself.
    pub manifest: Manifest,
    /// Its records and their head; both were computed anew and agree.
    pub end: End,
    /// Its files.
    pub files: Vec<Entry>,
    /// What they hold, each as [`digest`] says it.
    pub digests: Vec<String>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// What is done with the parts as they come.
trait Taker {
    fn file(&mut self, entry: &Entry, content: &[u8]) -> Result<(), BackupError>;
    fn record(&mut self, payload: &[u8]) -> Result<(), BackupError>;
}

/// Only looks.
struct Looker;

impl Taker for Looker {
    fn file(&mut self, _: &Entry, _: &[u8]) -> Result<(), BackupError> {
        Ok(())
    }
    fn record(&mut self, _: &[u8]) -> Result<(), BackupError> {
        Ok(())
    }
}

/// Reads a backup from its first to its last byte and says what is in it. Blocks, writes nothing.
///
/// # Errors
/// [`BackupError`]: it is not whole, or cannot be opened.
pub fn look(from: impl Read, passphrase: Option<&str>) -> Result<Contents, BackupError> {
    walk(from, passphrase, &mut Looker)
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BackupError> {
    serde_json::from_slice(bytes).map_err(|_| BackupError::Damaged)
}

fn walk(
    from: impl Read,
    passphrase: Option<&str>,
    taker: &mut impl Taker,
) -> Result<Contents, BackupError> {
    let mut from = Opener::new(from, passphrase)?;
    let encrypted = from.is_encrypted();
    let (mut kind, mut bytes) = (Vec::new(), Vec::new());
    let mut next = |most: u64, bytes: &mut Vec<u8>| -> Result<u8, BackupError> {
        from.take(5, &mut kind)?;
        let (Some(&first), Some(length)) = (kind.first(), kind.get(1..5)) else {
            return Err(BackupError::Damaged);
        };
        let length = length.try_into().map(u32::from_le_bytes).map_err(|_| BackupError::Damaged)?;
        if u64::from(length) > most {
            return Err(BackupError::Damaged);
        }
        from.take(length as usize, bytes)?;
        Ok(first)
    };
    if next(FILE_BYTES_MAX, &mut bytes)? != b'M' {
        return Err(BackupError::Damaged);
    }
    let manifest: Manifest = parsed(&bytes)?;
    if manifest.version != 1 {
        return Err(BackupError::NotOurs);
    }
    let (mut files, mut digests) = (Vec::new(), Vec::new());
    let (mut records, mut head) = (0, Hash::default());
    loop {
        match next(FILE_BYTES_MAX, &mut bytes)? {
            b'F' if files.len() < FILES_MAX => {
                let entry: Entry = parsed(&bytes)?;
                check_name(&entry.name)?;
                if next(FILE_BYTES_MAX, &mut bytes)? != b'C' {
                    return Err(BackupError::Damaged);
                }
                taker.file(&entry, &bytes)?;
                digests.push(digest(&bytes));
                files.push(entry);
            }
            b'R' if bytes.len() <= RECORD_BYTES_MAX => {
                records += 1;
                head = frame::chain(records, &head, &bytes);
                taker.record(&bytes)?;
            }
            b'E' => break,
            _ => return Err(BackupError::Damaged),
        }
    }
    let end: End = parsed(&bytes)?;
    from.end()?;
    let computed = if records == 0 { String::new() } else { head.to_string() };
    if (end.records, &end.head) != (records, &computed) {
        return Err(BackupError::OtherHead);
    }
    Ok(Contents { manifest, end, files, digests, encrypted })
}

/// Writes what comes.
struct Writer<'a> {
    state: &'a Path,
    config: Option<&'a Path>,
    owner: Option<(u32, u32)>,
    journal: Journal,
}

impl Writer<'_> {
    fn commit(&mut self) -> Result<(), BackupError> {
        if let Some(batch) = self.journal.cut()? {
            batch.commit()?;
        }
        Ok(())
    }

    fn own(&self, path: &Path) -> Result<(), BackupError> {
        match self.owner {
            Some((user, group)) => chown(path, Some(user), Some(group)).map_err(at(path)),
            None => Ok(()),
        }
    }
}

impl Taker for Writer<'_> {
    fn file(&mut self, entry: &Entry, content: &[u8]) -> Result<(), BackupError> {
        let folder = match entry.place {
            Place::State => self.state,
            Place::Config => match self.config {
                Some(folder) => folder,
                None => return Ok(()),
            },
        };
        let path = folder.join(&entry.name);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(at(above))?;
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(entry.mode & 0o777).open(&path);
        let mut file = file.map_err(at(&path))?;
        file.write_all(content).map_err(at(&path))?;
        file.sync_all().map_err(at(&path))?;
        self.own(&path)
    }

    fn record(&mut self, payload: &[u8]) -> Result<(), BackupError> {
        self.journal.append(payload)?;
        if self.journal.pending_bytes() >= AT_ONCE_BYTES {
            self.commit()?;
        }
        Ok(())
    }
}

/// Whether nothing is in a folder, or it is not there; what a file system puts there by itself is nothing.
fn is_empty(dir: &Path) -> Result<bool, BackupError> {
    match fs::read_dir(dir) {
        Ok(mut rows) => Ok(!rows.any(|row| row.map_or(true, |r| r.file_name() != "lost+found"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(BackupError::Io(dir.to_owned(), e)),
    }
}

/// Notes where the backup ends: receipts for what lies behind it may mean events that were lost.
fn note_restored(state: &Path, last: u64) -> Result<(), BackupError> {
    let path = state.join(RECEIPTS);
    let mut cursor = Cursor::load(&RealDisk, &path).map_err(at(&path))?;
    cursor.restored = Some(last);
    cursor.changed();
    let Some(bytes) = cursor.to_save() else { return Ok(()) };
    replace(&RealDisk, &path, &bytes).map_err(at(&path))
}

/// Restores a backup that [`look`] has found whole into an empty state folder, its config files into
/// `config` where one is named, which must be empty too. Blocks. What is made belongs to the folder's
/// owner. Until the end [`MARK`] stands in the folder.
///
/// # Errors
/// [`BackupError`]; the mark then keeps a daemon from starting on half a journal.
pub fn restore(
    from: impl Read,
    passphrase: Option<&str>,
    state: &Path,
    config: Option<&Path>,
) -> Result<Contents, BackupError> {
    for dir in [Some(state), config].into_iter().flatten() {
        if !is_empty(dir)? {
            return Err(BackupError::NotEmpty(dir.to_owned()));
        }
        fs::create_dir_all(dir).map_err(at(dir))?;
    }
    let meta = fs::metadata(state).map_err(at(state))?;
    // Only root can give files away, and only then they are not ours anyway.
    let owner = (meta.uid() != 0).then(|| (meta.uid(), meta.gid()));
    let mark = state.join(MARK);
    fs::write(&mark, "a restore is writing into this folder\n").map_err(at(&mark))?;
    RealDisk.sync_dir(state).map_err(at(state))?;
    let journal_dir = state.join("journal");
    let (journal, _) = Journal::open(&journal_dir, Options::default())?;
    let mut writer = Writer { state, config, owner, journal };
    let contents = walk(from, passphrase, &mut writer)?;
    writer.commit()?;
    writer.own(&journal_dir)?;
    for name in RealDisk.list(&journal_dir).map_err(at(&journal_dir))? {
        writer.own(&journal_dir.join(name))?;
    }
    note_restored(state, contents.end.records)?;
    writer.own(&state.join(RECEIPTS))?;
    RealDisk.sync_dir(state).map_err(at(state))?;
    fs::remove_file(&mark).map_err(at(&mark))?;
    RealDisk.sync_dir(state).map_err(at(state))?;
    Ok(contents)
}
