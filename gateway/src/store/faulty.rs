//! A disk in memory for the crash tests: what is not synced is pending, and a cut of the power loses
//! any part of it. Names are pending until their folder is synced.

use crate::ports::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the n-th call does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes: this and every later call fails.
    Cut,
    /// This call fails, later ones work.
    Error,
}

#[derive(Default)]
struct Node {
    durable: Vec<u8>,
    now: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

type Names = BTreeMap<PathBuf, Arc<Mutex<Node>>>;

#[derive(Default)]
struct State {
    now: Names,
    durable: Names,
    calls: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    random: u64,
}

impl State {
    /// xorshift64: the same seed, the same losses.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<State>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultyDisk {
    /// A disk whose call number `at` (from 1) has a fault.
    pub(crate) fn with_fault(at: u64, fault: Fault, seed: u64) -> Self {
        let disk = Self::default();
        let mut state = lock(&disk.0);
        (state.fault, state.random) = (Some((at, fault)), seed | 1);
        drop(state);
        disk
    }

    /// Whether the fault has come.
    pub(crate) fn struck(&self) -> bool {
        let state = lock(&self.0);
        state.fault.is_some_and(|(at, _)| state.calls >= at)
    }

    /// The disk after the power came back: of what was pending, each 64-byte block came through or
    /// not, as the dice fall; names that were not synced are the old ones or the new ones.
    pub(crate) fn after_the_cut(&self) -> Self {
        let mut state = lock(&self.0);
        let new_names = state.random().is_multiple_of(2);
        let names = if new_names { state.now.clone() } else { state.durable.clone() };
        let mut after = Names::new();
        for (path, node) in names {
            let node = lock(&node);
            let mut bytes = node.durable.clone();
            for (offset, written) in &node.pending {
                for (i, block) in written.chunks(64).enumerate() {
                    if !state.random().is_multiple_of(3) {
                        put(&mut bytes, offset + i * 64, block);
                    }
                }
            }
            let node = Node { now: bytes.clone(), durable: bytes, pending: Vec::new() };
            after.insert(path, Arc::new(Mutex::new(node)));
        }
        let disk = Self::default();
        (lock(&disk.0).now, lock(&disk.0).durable) = (after.clone(), after);
        disk
    }

    /// Flips one bit of a file, durably.
    pub(crate) fn flip(&self, path: &Path, byte: usize, bit: u8) {
        let state = lock(&self.0);
        let mut node = lock(&state.now[path]);
        node.now[byte] ^= 1 << bit;
        node.durable = node.now.clone();
    }

    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.0);
        state.calls += 1;
        if let Some((at, fault)) = state.fault
            && at == state.calls
        {
            state.dead = fault == Fault::Cut;
            return Err(io::Error::other("the disk failed"));
        }
        if state.dead { Err(io::Error::other("the power is off")) } else { Ok(state) }
    }

    fn find(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.call()?;
        let node = state.now.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(FaultyFile { disk: self.clone(), node: Arc::clone(node) }))
    }
}

fn put(into: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if into.len() < end {
        into.resize(end, 0);
    }
    into[offset..end].copy_from_slice(bytes);
}

impl Disk for FaultyDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.call().map(drop)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.call()?.now.insert(path.to_owned(), Arc::default());
        self.find(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.find(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.find(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let node = state.now.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.now.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let gone = self.call()?.now.remove(path);
        gone.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.call()?;
        let inside = state.now.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        state.durable.retain(|path, _| path.parent() != Some(dir));
        let now = state.now.iter().filter(|(path, _)| path.parent() == Some(dir));
        let now: Vec<_> = now.map(|(path, node)| (path.clone(), Arc::clone(node))).collect();
        state.durable.extend(now);
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    node: Arc<Mutex<Node>>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        drop(self.disk.call()?);
        let node = lock(&self.node);
        let from = node.now.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let n = from.len().min(into.len());
        into[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.call()?;
        // Every third write is a short one.
        let short = state.calls.is_multiple_of(3) && bytes.len() > 100;
        let n = if short { 1 + state.calls as usize % 99 } else { bytes.len() };
        let mut node = lock(&self.node);
        let offset = usize::try_from(offset).unwrap();
        put(&mut node.now, offset, &bytes[..n]);
        node.pending.push((offset, bytes[..n].to_vec()));
        Ok(n)
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.disk.call()?);
        let mut node = lock(&self.node);
        node.pending.clear();
        node.durable = node.now.clone();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        drop(self.disk.call()?);
        Ok(lock(&self.node).now.len() as u64)
    }
}
