//! Room that is kept for the day on which the disk is full: a file of real bytes that a start gives up
//! when there is too little left to open on. A box on a full disk then comes up, says so, and has room
//! until somebody has cleared it away.
//!
//! The rule for what goes first when there is little room ([`DISK_LOW`]): sled folders that were set aside,
//! then the ballast; live telemetry is not kept at all. The journal, the receipts and the checkpoints are
//! never given up: bills, events and readings in them have no other copy.

use crate::ports::Disk;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The file's name in the state folder.
pub const FILE: &str = "ballast";
/// Two segments of the journal and what sled needs to open.
pub const BYTES: u64 = 24 * 1024 * 1024;
/// With less than this a start makes room first.
pub const DISK_LOW: u64 = 12 * 1024 * 1024;

/// Makes room where there is too little, and the ballast where there is plenty. Gives a sentence about
/// what was given up; nothing that fails here keeps a start from going on.
pub(super) fn prepare(disk: &dyn Disk, state: &Path) -> Option<String> {
    let (free, _) = disk.space(state)?;
    let path = state.join(FILE);
    if free < DISK_LOW {
        let mut gone = Vec::new();
        for row in fs::read_dir(state).into_iter().flatten().flatten() {
            let name = row.file_name().to_string_lossy().into_owned();
            if name.starts_with("sled.broken") && fs::remove_dir_all(row.path()).is_ok() {
                gone.push(name);
            }
        }
        if fs::remove_file(&path).is_ok() {
            gone.push(FILE.to_owned());
        }
        let gone = if gone.is_empty() {
            "nothing was left to give up".to_owned()
        } else {
            format!("given up: {}", gone.join(", "))
        };
        return Some(format!("the disk is full: {} KiB were free; {gone}", free / 1024));
    }
    // Never more than a small part of what is free: the ballast must not be what fills the disk.
    if free > 8 * BYTES && !path.exists() && make(&path).is_err() {
        let _ = fs::remove_file(&path);
    }
    None
}

/// Bytes that a file system which compresses or leaves holes would not keep for us are no ballast.
fn make(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create_new(true).open(path)?;
    let mut block = vec![0_u8; 64 * 1024];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..BYTES / block.len() as u64 {
        for word in block.chunks_exact_mut(8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            word.copy_from_slice(&random.to_le_bytes());
        }
        file.write_all(&block)?;
    }
    file.sync_all()
}
