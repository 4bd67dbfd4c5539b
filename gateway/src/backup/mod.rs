//! `backup` and `restore`: one file from which a gateway can be built again on another box.
//!
//! A backup holds what cannot be derived: the journal's payloads in order up to a durable record, what
//! the cloud has confirmed, the config, and by choice the keys. Not its segments: a restore appends the
//! payloads again, so the chain is computed anew and must come to the hash that the backup states. Trees,
//! outbox and checkpoints are built by the first start (invariants 2 and 3).
//!
//! It can be made while the daemon runs: the journal only grows, and the daemon says how far it is
//! durable. A restore never writes into a folder that holds anything, and a half-done one is told by the
//! next start ([`MARK`]).
//!
//! ```text
//! stream in the container (see `container`), each part: kind, 1 byte | length, 4 bytes little-endian | bytes
//!   'M'  the manifest, JSON; first
//!   'F'  a file: JSON {"place":"state"|"config","name":…,"mode":…}, then a part 'C' with its content
//!   'R'  a record's payload, from 1 on
//!   'E'  {"records":…,"head":…}; last
//! ```

mod container;
mod restore;
#[cfg(test)]
mod tests;

pub use restore::{Contents, digest, look, restore};

use crate::config::Config;
use crate::ports::RealDisk;
use crate::store::journal::{JournalError, Records};
use blockgate_rules::event::Text;
use blockgate_types::Time;
use container::Sealer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Stands in a state folder while a restore writes into it; no daemon starts on such a folder.
pub const MARK: &str = "restoring";
/// The largest file that is taken in; config, keys and receipts are far smaller.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Files in all.
const FILES_MAX: usize = 4096;

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    /// The program that made it.
    pub program: String,
    /// When.
    pub made: Time,
    /// Tenant.
    pub tenant: String,
    /// Gateway.
    pub gateway: String,
    /// Whether keys and passwords are in it.
    pub keys: bool,
}

/// Where a file belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Into the state folder.
    State,
    /// Beside the config file.
    Config,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Where it belongs.
    pub place: Place,
    /// Its path below that.
    pub name: PathBuf,
    /// Permissions.
    pub mode: u32,
}

/// The end of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Records of the journal.
    pub records: u64,
    /// Hash of the last one.
    pub head: String,
}

/// Why there is no backup, or nothing restored.
#[derive(Debug)]
pub enum BackupError {
    /// The backup's file cannot be read or written.
    File(io::Error),
    /// Another file cannot be.
    Io(PathBuf, io::Error),
    /// The journal cannot be read or written.
    Journal(JournalError),
    /// It is no backup of blockgate, or of a later version.
    NotOurs,
    /// It ends before its end.
    CutShort,
    /// A byte of it was changed.
    Damaged,
    /// It is encrypted, and no passphrase was given.
    NeedsPassphrase,
    /// The passphrase is another one (or the first bytes were changed).
    Passphrase,
    /// Keys were asked for without a passphrase.
    KeysInTheOpen,
    /// Cryptography failed; no random numbers, or no memory.
    Crypto,
    /// The records do not come to the hash that the backup states.
    OtherHead,
    /// The folder holds something already.
    NotEmpty(PathBuf),
    /// A file's path would leave its folder, or there are too many, or one is too large.
    Refused(String),
}

impl BackupError {
    /// What is wrong and what to do, in both languages.
    #[must_use]
    pub fn text(&self) -> Text {
        let (en, zh) = match self {
            Self::File(e) => (format!("the backup's file: {e}"), format!("备份文件：{e}")),
            Self::Io(path, e) => {
                (format!("{}: {e}", path.display()), format!("{}：{e}", path.display()))
            }
            Self::Journal(e) => (
                format!("the journal: {e}"),
                format!("账本：{e}。没有写出备份；请先运行 blockgate journal verify"),
            ),
            Self::NotOurs => (
                "it is no backup of blockgate, or one of a later version".to_owned(),
                "这不是 blockgate 的备份，或者是更新版本的备份".to_owned(),
            ),
            Self::CutShort => (
                "the backup ends before its end: it was not copied whole; nothing was restored"
                    .to_owned(),
                "备份不完整：文件没有拷贝完；没有恢复任何内容".to_owned(),
            ),
            Self::Damaged => (
                "the backup is damaged: a byte of it is not as it was written; nothing was restored, \
                 take another copy"
                    .to_owned(),
                "备份已损坏：内容与写入时不同；没有恢复任何内容，请换一份备份".to_owned(),
            ),
            Self::NeedsPassphrase => (
                "the backup is encrypted: name its passphrase with --passphrase-file".to_owned(),
                "备份已加密：请用 --passphrase-file 给出口令".to_owned(),
            ),
            Self::Passphrase => (
                "the passphrase is not the one of this backup (or its first bytes were changed)"
                    .to_owned(),
                "口令不对（或文件开头已被改动）".to_owned(),
            ),
            Self::KeysInTheOpen => (
                "keys and passwords go into an encrypted backup only: add --passphrase-file".to_owned(),
                "密钥和密码只能放进加密的备份：请加上 --passphrase-file".to_owned(),
            ),
            Self::Crypto => (
                "the system gives no random numbers or no memory for the passphrase".to_owned(),
                "系统没有提供随机数，或内存不足以处理口令".to_owned(),
            ),
            Self::OtherHead => (
                "the records in it do not come to the hash that it states; nothing was restored"
                    .to_owned(),
                "备份里的记录与它声明的哈希不一致；没有恢复任何内容".to_owned(),
            ),
            Self::NotEmpty(dir) => (
                format!(
                    "{} is not empty: a restore never writes over what is there; name an empty folder, or \
                     move this one away first",
                    dir.display()
                ),
                format!(
                    "{} 不是空的：恢复从不覆盖已有内容；请指定空文件夹，或先把它移走",
                    dir.display()
                ),
            ),
            Self::Refused(what) => {
                (format!("not taken: {what}"), format!("不予处理：{what}"))
            }
        };
        Text { zh, en }
    }
}

impl std::fmt::Display for BackupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.text().en)
    }
}

impl std::error::Error for BackupError {}

impl From<io::Error> for BackupError {
    fn from(e: io::Error) -> Self {
        Self::File(e)
    }
}

impl From<JournalError> for BackupError {
    fn from(e: JournalError) -> Self {
        Self::Journal(e)
    }
}

/// Says which file it was.
fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError + '_ {
    |e| BackupError::Io(path.to_owned(), e)
}

/// What goes into a backup.
#[derive(Debug)]
pub struct Request<'a> {
    /// The config and its file.
    pub config: (&'a Config, &'a Path),
    /// Whether keys and passwords go in.
    pub keys: bool,
    /// Encrypts it.
    pub passphrase: Option<&'a str>,
    /// The last record that is durable, where the daemon runs and says so; else all there are.
    pub durable: Option<u64>,
    /// Now.
    pub made: Time,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Records and head.
    pub end: End,
    /// Files in it.
    pub files: u64,
    /// Files that the config names and that lie elsewhere, or that were left out: a person must see to them.
    pub left_out: Vec<PathBuf>,
}

/// Puts a part into the stream.
fn part<W: Write>(to: &mut Sealer<W>, kind: u8, bytes: &[u8]) -> Result<(), BackupError> {
    let length =
        u32::try_from(bytes.len()).map_err(|_| BackupError::Refused("a part".to_owned()))?;
    to.put(&[kind])?;
    to.put(&length.to_le_bytes())?;
    to.put(bytes)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, BackupError> {
    serde_json::to_vec(value).map_err(|e| BackupError::Refused(e.to_string()))
}

/// Writes a backup. Blocks.
///
/// # Errors
/// [`BackupError`]; what was written so far is not a backup.
pub fn write<W: Write>(to: W, request: &Request<'_>) -> Result<(W, Written), BackupError> {
    if request.keys && request.passphrase.is_none() {
        return Err(BackupError::KeysInTheOpen);
    }
    let (config, file) = request.config;
    let state = &config.state_dir;
    let mut to = Sealer::new(to, request.passphrase)?;
    let manifest = Manifest {
        version: 1,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        made: request.made,
        tenant: config.identity.tenant.clone(),
        gateway: config.identity.gateway.clone(),
        keys: request.keys,
    };
    part(&mut to, b'M', &json(&manifest)?)?;
    // Receipts before the journal: a cursor that is older than the journal sends something again, one
    // that is newer would name records that the backup does not have.
    let (entries, left_out) = entries(config, file, request.keys)?;
    for (entry, path) in &entries {
        let content = std::fs::read(path).map_err(at(path))?;
        part(&mut to, b'F', &json(entry)?)?;
        part(&mut to, b'C', &content)?;
    }
    let mut reader = Records::of(Arc::new(RealDisk), &state.join("journal")).from(1);
    let mut end = End { records: 0, head: String::new() };
    while request.durable.is_none_or(|durable| end.records < durable) {
        let Some(item) = reader.read()? else { break };
        part(&mut to, b'R', item.payload)?;
        end = End { records: item.seq, head: item.hash.to_string() };
    }
    part(&mut to, b'E', &json(&end)?)?;
    let files = entries.len() as u64;
    Ok((to.end()?, Written { end, files, left_out }))
}

/// The files that go in, and those that a person must see to.
type Entries = (Vec<(Entry, PathBuf)>, Vec<PathBuf>);

fn entries(config: &Config, file: &Path, keys: bool) -> Result<Entries, BackupError> {
    let state = &config.state_dir;
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (mut found, mut left_out) = (BTreeSet::new(), Vec::new());
    // What can be derived, what is the journal's, and what belongs to a running process.
    let derived = [
        "journal",
        "sled",
        "checkpoints",
        "lock",
        "format",
        crate::control::SOCKET,
        MARK,
        crate::store::ballast::FILE,
    ];
    let mut names = Vec::new();
    for row in std::fs::read_dir(state).map_err(at(state))? {
        let row = row.map_err(at(state))?;
        let name = row.file_name().to_string_lossy().into_owned();
        let is_file = row.file_type().map_err(at(state))?.is_file();
        let is_derived =
            derived.contains(&name.as_str()) || name.ends_with(".new") || name.contains(".broken");
        if is_file && !is_derived {
            names.push((Place::State, PathBuf::from(&name), state.join(&name)));
        }
    }
    for below in ["rules.d", "profiles.d"] {
        let Ok(rows) = std::fs::read_dir(folder.join(below)) else { continue };
        for row in rows {
            let row = row.map_err(at(folder))?;
            let name = Path::new(below).join(row.file_name());
            if name.extension().is_some_and(|e| e == "toml") {
                names.push((Place::Config, name, row.path()));
            }
        }
    }
    // What the page added belongs to the state folder and reads like the config.
    if let Ok(rows) = std::fs::read_dir(state.join(crate::config::added::FOLDER)) {
        for row in rows {
            let row = row.map_err(at(state))?;
            let name = Path::new(crate::config::added::FOLDER).join(row.file_name());
            if name.extension().is_some_and(|e| e == "toml") {
                names.push((Place::State, name, row.path()));
            }
        }
    }
    if let Some(name) = file.file_name() {
        names.push((Place::Config, name.into(), file.to_owned()));
    }
    let mqtt = config.mqtt.iter().flat_map(|m| [&m.ca, &m.cert, &m.key, &m.password_file]);
    let http = config.http.iter().flat_map(|h| [&h.cert, &h.key]);
    let base = folder.canonicalize().map_err(at(folder))?;
    for path in mqtt.chain(http).flatten() {
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        match whole.strip_prefix(&base) {
            Ok(name) if whole.is_file() => {
                names.push((Place::Config, name.to_owned(), path.clone()));
            }
            _ => left_out.push(path.clone()),
        }
    }
    for (place, name, path) in names {
        let meta = std::fs::metadata(&path).map_err(at(&path))?;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 == 0 && !keys {
            left_out.push(path);
            continue;
        }
        if meta.len() > FILE_BYTES_MAX || found.len() >= FILES_MAX {
            return Err(BackupError::Refused(format!("{}: too large", path.display())));
        }
        check_name(&name)?;
        found.insert((Entry { place, name, mode }, path));
    }
    Ok((found.into_iter().collect(), left_out))
}

/// A path that stays below its folder.
fn check_name(name: &Path) -> Result<(), BackupError> {
    let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    let some = name.components().next().is_some();
    if inside && some { Ok(()) } else { Err(BackupError::Refused(name.display().to_string())) }
}
