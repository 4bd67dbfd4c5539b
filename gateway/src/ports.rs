//! The ways to the real world: the clock, the disk, the lines and the broker (invariant 11). Everything else in
//! this crate asks these; `demo` and the simulation bring their own.
//!
//! The lines' port is `Connect`, defined beside its user in `blockgate-drivers`.

use crate::limits;
use crate::mqtt::trouble::Trouble;
use blockgate_types::{ClockState, Time};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// Where work runs that blocks: the disk, the trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offload {
    /// On threads of the runtime's pool.
    #[default]
    Threads,
    /// As a task like all others: the same inputs then give the same order of events. For the simulation.
    Inline,
}

impl Offload {
    /// Runs it.
    pub fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Self::Threads => tokio::task::spawn_blocking(work),
            Self::Inline => tokio::spawn(async move { work() }),
        }
    }
}

/// How often the gateway looks at itself and at its outbox. The simulation passes months and looks less
/// often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pulse {
    /// At itself: [`limits::CONDITIONS_EVERY`].
    pub conditions: Duration,
    /// At overdue messages and receipts: [`limits::OUTBOX_TEND_EVERY`].
    pub outbox: Duration,
    /// At its connection to the broker: [`limits::MQTT_LOOK_EVERY`].
    pub broker: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            conditions: limits::CONDITIONS_EVERY,
            outbox: limits::OUTBOX_TEND_EVERY,
            broker: limits::MQTT_LOOK_EVERY,
        }
    }
}

/// Wall time and how far it can be believed. Durations are never taken from here but from
/// `tokio::time::Instant`, which stands still when the simulation does.
pub trait Clock: Send + Sync {
    /// Wall time now.
    fn now(&self) -> Time;
    /// Whether it can be believed.
    fn state(&self) -> ClockState;
    /// Who sets it and how far it may be off; `None` where nobody can say.
    fn discipline(&self) -> Option<Discipline> {
        None
    }
}

/// Who sets a clock, and how well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discipline {
    /// The program that sets it, as far as it is known: `chrony`, `systemd-timesyncd`.
    pub source: Option<&'static str>,
    /// What is still to be corrected, in microseconds; positive where the clock is behind.
    pub offset_us: i64,
    /// The most that the clock can be off, in microseconds.
    pub error_us: i64,
}

/// A connection to the broker, below MQTT: certificates checked, encrypted, both ways.
pub trait BrokerStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> BrokerStream for T {}

/// A connection that is being opened.
pub type Opening<'a> =
    Pin<Box<dyn Future<Output = Result<Box<dyn BrokerStream>, Trouble>> + Send + 'a>>;

/// The way to the broker.
pub trait Broker: Send + Sync {
    /// Opens a new connection; names are looked up and files read anew each time.
    ///
    /// Errors: the [`Trouble`] that stood in the way. Nothing of ours has left the box then.
    fn open(&self) -> Opening<'_>;

    /// Until when the certificates that we use are good, by name. Empty before the first opening.
    fn certificates(&self) -> Vec<(String, Time)>;

    /// Whether the files of our certificates hold other, good ones than the open connection uses: time
    /// for a new connection.
    fn renewed(&self) -> bool {
        false
    }

    /// Why the files as they are now are not used, while older ones are.
    fn unfit(&self) -> Option<String> {
        None
    }
}

/// The files of the journal, the checkpoints and the receipts. What was written is durable only
/// after the file's [`DiskFile::sync_data`], a new name only after its folder's [`Disk::sync_dir`].
/// All calls block; the sled trees are derived data and keep their own files.
pub trait Disk: Send + Sync {
    /// Makes a folder and those above it; an existing one is fine.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// A new, empty file to read and write; what had the name before is gone.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file to read and write.
    ///
    /// # Errors
    /// The operating system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file to read only.
    ///
    /// # Errors
    /// The operating system's.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in the same folder; replaces what had it, at once.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that are free for us, and bytes in all, where they are known.
    fn space(&self, dir: &Path) -> Option<(u64, u64)>;
}

/// One open file of a [`Disk`].
pub trait DiskFile: Send + Sync {
    /// Reads up to `into.len()` bytes; 0 at the end.
    ///
    /// # Errors
    /// The operating system's.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes up to `bytes.len()` bytes; a short write is not an error.
    ///
    /// # Errors
    /// The operating system's.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the bytes durable, and the length where it changed (fdatasync).
    ///
    /// # Errors
    /// The operating system's. After one the file must not be trusted: close it and read again.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn size(&self) -> io::Result<u64>;

    /// Writes all bytes, however often the system takes less.
    ///
    /// # Errors
    /// The first error; `WriteZero` when nothing is taken.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads until `into` is full or the file ends; gives how much was read.
    ///
    /// # Errors
    /// The first error.
    fn read_full_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> Option<(u64, u64)> {
        let disk = rustix::fs::statvfs(dir).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some((bytes(disk.f_bavail), bytes(disk.f_blocks)))
    }
}

impl DiskFile for File {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
