//! Checkpoints: the Block as it was after a record, so that a start replays a tail and not a year.
//! Never the truth: a damaged one, or one whose hash is not the journal's, is passed over.
//!
//! ```text
//! {seq:020}.bgc
//!   0   8  magic "BGCHKP\r\n"
//!   8   4  version, 1
//!  12   4  crc32c of everything from byte 16 on
//!  16   8  seq, little-endian
//!  24  32  the journal's hash at that seq
//!  56   n  the state, JSON
//! ```

use super::journal::Hash;
use crate::ports::Disk;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"BGCHKP\r\n";
const VERSION: u32 = 1;
const HEAD: usize = 56;
/// Generations kept: a damaged newest one still leaves the one before.
const KEPT: usize = 2;

/// A state that is ready to be written once its last record is durable.
#[must_use = "a draft is not on disk before write()"]
pub struct Draft {
    /// The last record that the state contains.
    pub seq: u64,
    bytes: Vec<u8>,
}

impl Draft {
    /// Serialises the state as it is after record `seq`, whose hash is `hash`. No IO.
    ///
    /// # Errors
    /// When the state cannot be JSON.
    pub fn new<T: Serialize>(seq: u64, hash: &Hash, state: &T) -> serde_json::Result<Self> {
        let mut bytes = vec![0; HEAD];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&seq.to_le_bytes());
        bytes[24..56].copy_from_slice(&hash.0);
        serde_json::to_writer(&mut bytes, state)?;
        let crc = crc32c::crc32c(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        Ok(Self { seq, bytes })
    }

    /// Writes it, whole or not at all, and removes all but the two newest. Blocks. `seq` must be
    /// durable in the journal.
    ///
    /// # Errors
    /// The disk's. The checkpoints before are still there.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        disk.create_dir(dir)?;
        replace(disk, &dir.join(name(self.seq)), &self.bytes)?;
        let mut all: Vec<_> = list(disk, dir)?.into_iter().filter(|seq| *seq <= self.seq).collect();
        all.truncate(all.len().saturating_sub(KEPT));
        for old in all {
            disk.remove(&dir.join(name(old)))?;
        }
        Ok(())
    }
}

fn name(seq: u64) -> String {
    format!("{seq:020}.bgc")
}

fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let seq = |name: String| name.strip_suffix(".bgc")?.parse().ok();
    Ok(disk.list(dir)?.into_iter().filter_map(seq).collect())
}

/// Writes a file so that after a power cut it is the old one or the new one.
///
/// # Errors
/// The disk's.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = disk.create(&new)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    disk.rename(&new, path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}

/// Reads a whole file.
///
/// # Errors
/// The disk's.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open_read(path)?;
    let mut bytes = vec![0; usize::try_from(file.size()?).map_err(io::Error::other)?];
    let got = file.read_full_at(&mut bytes, 0)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// A checkpoint, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint<T> {
    /// The last record that the state contains.
    pub seq: u64,
    /// The journal's hash at that record.
    pub hash: Hash,
    /// The state.
    pub state: T,
}

/// A checkpoint that was passed over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Which file.
    pub file: PathBuf,
    /// Why.
    pub why: String,
}

/// The newest checkpoint that is whole and whose hash is the one that `hash_at` gives for its seq,
/// and those that were passed over.
///
/// # Errors
/// The disk's, when the folder cannot be listed, and those of `hash_at`.
pub fn load<T: DeserializeOwned, E: From<io::Error>>(
    disk: &dyn Disk,
    dir: &Path,
    mut hash_at: impl FnMut(u64) -> Result<Option<Hash>, E>,
) -> Result<(Option<Checkpoint<T>>, Vec<PassedOver>), E> {
    let mut passed = Vec::new();
    disk.create_dir(dir)?;
    for seq in list(disk, dir)?.into_iter().rev() {
        let file = dir.join(name(seq));
        let read = read_file(disk, &file).map_err(|e| e.to_string());
        match read.and_then(|bytes| parse::<T>(seq, &bytes)) {
            Ok(found) if hash_at(seq)? == Some(found.hash) => return Ok((Some(found), passed)),
            Ok(_) => {
                passed.push(PassedOver { file, why: "it is of another journal".to_owned() });
            }
            Err(why) => passed.push(PassedOver { file, why }),
        }
    }
    Ok((None, passed))
}

/// The seq of the newest whole checkpoint, whatever journal it is of; 0 without one. That record was
/// durable once.
///
/// # Errors
/// The disk's.
pub fn newest(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    disk.create_dir(dir)?;
    for seq in list(disk, dir)?.into_iter().rev() {
        let whole = |bytes: Vec<u8>| parse::<serde::de::IgnoredAny>(seq, &bytes).is_ok();
        if read_file(disk, &dir.join(name(seq))).is_ok_and(whole) {
            return Ok(seq);
        }
    }
    Ok(0)
}

fn parse<T: DeserializeOwned>(seq: u64, bytes: &[u8]) -> Result<Checkpoint<T>, String> {
    let (head, state) = bytes.split_at_checked(HEAD).ok_or("it is too short")?;
    let crc = crc32c::crc32c(&bytes[16..]).to_le_bytes();
    if head[..8] != *MAGIC || head[12..16] != crc {
        return Err("it does not match its checksum".to_owned());
    }
    if head[8..12] != VERSION.to_le_bytes() {
        return Err("it was written by a newer version".to_owned());
    }
    if head[16..24] != seq.to_le_bytes() {
        return Err("its name and its content differ".to_owned());
    }
    let mut hash = Hash::default();
    hash.0.copy_from_slice(&head[24..56]);
    let state = serde_json::from_slice(state).map_err(|e| e.to_string())?;
    Ok(Checkpoint { seq, hash, state })
}
