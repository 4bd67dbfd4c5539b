//! A disk in memory that fails on purpose, for the crash tests and the simulation: what is not synced is
//! pending, and a cut of the power loses any part of it. Names are pending until their folder is synced.
//! The same seed loses the same.

use crate::ports::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the n-th call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
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
    struck: bool,
    dead: bool,
    full: bool,
    lies: bool,
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
pub struct FaultyDisk(Arc<Mutex<State>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultyDisk {
    /// A disk whose call number `at` (from 1) has a fault.
    #[must_use]
    pub fn with_fault(at: u64, fault: Fault, seed: u64) -> Self {
        let disk = Self::default();
        let mut state = lock(&disk.0);
        (state.fault, state.random) = (Some((at, fault)), seed | 1);
        drop(state);
        disk
    }

    /// Plans a fault for the call that comes so many calls from now; 1 is the next one.
    pub fn plan(&self, calls: u64, fault: Fault) {
        let mut state = lock(&self.0);
        (state.fault, state.struck) = (Some((state.calls + calls, fault)), false);
    }

    /// Forgets the fault that was planned.
    pub fn mend(&self) {
        lock(&self.0).fault = None;
    }

    /// The power goes, or is off: every call fails from now on.
    pub fn cut(&self) {
        lock(&self.0).dead = true;
    }

    /// A full disk takes no new file and no byte beyond a file's end; what is there can be overwritten.
    pub fn fill(&self, full: bool) {
        lock(&self.0).full = full;
    }

    /// A disk that says "synced" and does nothing: as a program that forgot to sync.
    pub fn lie(&self) {
        lock(&self.0).lies = true;
    }

    /// Whether the power is off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        lock(&self.0).dead
    }

    /// Whether the fault has come.
    #[must_use]
    pub fn struck(&self) -> bool {
        lock(&self.0).struck
    }

    /// The disk after the power came back: of what was pending, each 64-byte block came through or
    /// not, as the dice fall; names that were not synced are the old ones or the new ones.
    #[must_use]
    pub fn after_the_cut(&self) -> Self {
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
        let mut new = lock(&disk.0);
        (new.now, new.durable) = (after.clone(), after);
        (new.random, new.full, new.lies) = (state.random, state.full, state.lies);
        drop(new);
        disk
    }

    /// Flips one bit of a file, durably. Nothing happens where there is no such byte.
    pub fn flip(&self, path: &Path, byte: usize, bit: u8) {
        let state = lock(&self.0);
        let Some(node) = state.now.get(path) else { return };
        let mut node = lock(node);
        if let Some(byte) = node.now.get_mut(byte) {
            *byte ^= 1 << (bit % 8);
        }
        node.durable = node.now.clone();
    }

    fn call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.0);
        state.calls += 1;
        if let Some((at, fault)) = state.fault
            && at == state.calls
        {
            state.struck = true;
            state.dead |= fault == Fault::Cut;
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

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl Disk for FaultyDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.call().map(drop)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.call()?;
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.now.insert(path.to_owned(), Arc::default());
        drop(state);
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
        let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
        Ok(inside.filter_map(name).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        if state.lies {
            return Ok(());
        }
        state.durable.retain(|path, _| path.parent() != Some(dir));
        let now = state.now.iter().filter(|(path, _)| path.parent() == Some(dir));
        let now: Vec<_> = now.map(|(path, node)| (path.clone(), Arc::clone(node))).collect();
        state.durable.extend(now);
        Ok(())
    }

    fn space(&self, _: &Path) -> Option<(u64, u64)> {
        const ALL: u64 = 100 << 20;
        let full = lock(&self.0).full;
        Some((if full { 0 } else { ALL / 2 }, ALL))
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
        let from = node.now.get(place(offset)?..).unwrap_or_default();
        let n = from.len().min(into.len());
        into[..n].copy_from_slice(&from[..n]);
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.call()?;
        // Every third write is a short one.
        let short = state.calls.is_multiple_of(3) && bytes.len() > 100;
        let n = if short { place(1 + state.calls % 99)? } else { bytes.len() };
        let mut node = lock(&self.node);
        let offset = place(offset)?;
        if state.full && offset + n > node.now.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        put(&mut node.now, offset, &bytes[..n]);
        node.pending.push((offset, bytes[..n].to_vec()));
        Ok(n)
    }

    fn sync_data(&self) -> io::Result<()> {
        let lies = self.disk.call()?.lies;
        let mut node = lock(&self.node);
        if !lies {
            for (offset, written) in std::mem::take(&mut node.pending) {
                put(&mut node.durable, offset, &written);
            }
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        drop(self.disk.call()?);
        Ok(lock(&self.node).now.len() as u64)
    }
}
