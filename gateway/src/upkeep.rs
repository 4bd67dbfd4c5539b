//! What people do to the gateway itself from its page, and what a reload of the config leaves as it was:
//! who is logged in, what scans found, the socket on which the page listens.
//!
//! A changed config is taken over by building everything but the process anew ([`crate::cli`]'s `run`).
//! The page orders that too, so whoever ordered it must find the page again: the listening socket stays
//! open meanwhile and browsers wait instead of being refused, and their sessions are carried over.
//!
//! It must never write outside the state folder (ADR 0031).

use crate::config::added::{self, NewLine, NewMeter};
use crate::config::{Config, FileFault, HttpConfig};
use crate::http;
use crate::http::auth::Accounts;
use crate::limits;
use crate::scans::{Scan, Scans};
use blockgate_drivers::Protocol;
use blockgate_drivers::profile::Profile;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What outlives a reload, and the way to ask for one.
#[derive(Default)]
pub struct Upkeep {
    /// The config file; none where the config comes from elsewhere (the demo).
    file: Option<PathBuf>,
    asked: Notify,
    /// One writer of `meters.d` at a time.
    writing: Mutex<()>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    accounts: Option<Arc<Accounts>>,
    scans: Vec<Arc<Scan>>,
    begun: u64,
    listener: Option<(SocketAddr, std::net::TcpListener)>,
}

/// Why meters were not added.
#[derive(Debug)]
pub enum NotAdded {
    /// This gateway has no config file.
    NoFile,
    /// The config with them would be refused; these are its faults.
    Faults(Vec<FileFault>),
    /// None of what was wanted can be; a sentence for people.
    Why(String),
    /// The file cannot be read or written.
    Io(io::Error),
}

impl Upkeep {
    /// For a gateway whose config stands in a file.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..Self::default() }
    }

    /// The config file.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The profiles of `profiles.d` for a protocol; none where the config cannot be read now.
    #[must_use]
    pub fn own_profiles(&self, protocol: Protocol) -> Vec<String> {
        let Some(folder) = self.file.as_deref().and_then(Path::parent) else { return Vec::new() };
        let Ok(rows) = std::fs::read_dir(folder.join("profiles.d")) else { return Vec::new() };
        let texts = rows.flatten().filter_map(|row| std::fs::read_to_string(row.path()).ok());
        let profiles = texts.filter_map(|text| Profile::parse(&text, "profiles.d").ok());
        profiles.filter(|p| p.protocol() == protocol).map(|p| p.id).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody asks for a reload.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Asks for a reload, once the answer that says so is on its way.
    pub fn ask(self: &Arc<Self>) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limits::RELOAD_AFTER).await;
            this.asked.notify_one();
        });
    }

    /// The accounts of this start, with the sessions of the one before.
    ///
    /// # Errors
    /// As [`Accounts::open`].
    pub fn accounts(&self, state_dir: &Path) -> io::Result<Arc<Accounts>> {
        let accounts = Accounts::open(state_dir)?;
        let mut kept = self.kept();
        if let Some(before) = kept.accounts.take() {
            accounts.go_on_from(&before);
        }
        let accounts = Arc::new(accounts);
        kept.accounts = Some(accounts.clone());
        Ok(accounts)
    }

    /// Gives the scans of the start before to this one's.
    pub fn carry(&self, scans: &Scans) {
        let kept = self.kept();
        scans.go_on_from(&kept.scans, kept.begun);
    }

    /// Remembers the scans for the next start.
    pub fn keep(&self, scans: &Scans) {
        let (all, begun) = scans.all();
        let mut kept = self.kept();
        (kept.scans, kept.begun) = (all, begun);
    }

    /// The page's socket: the one of the start before where it is for the same address, so that nobody
    /// is refused in between.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn listen(&self, config: &HttpConfig) -> io::Result<TcpListener> {
        // Taken out, and so closed where the address is another one now.
        let before = self.kept().listener.take().filter(|(at, _)| *at == config.listen);
        let listener = match before {
            Some((_, listener)) => TcpListener::from_std(listener)?,
            None => http::bind(config).await?,
        };
        // Without a config file there is no reload, and the socket may close with the page.
        if self.file.is_some() {
            let std = listener.into_std()?;
            let copy = std.try_clone()?;
            self.kept().listener = Some((config.listen, copy));
            return TcpListener::from_std(std);
        }
        Ok(listener)
    }

    /// Closes the page's socket, for a config without a page.
    pub fn listen_no_more(&self) {
        self.kept().listener = None;
    }

    /// Writes a line and meters that are new into `meters.d`. The whole config with them is read as
    /// `blockgate check` does before the old file is replaced, and the file is durable before this
    /// returns the new config. Blocks.
    ///
    /// # Errors
    /// [`NotAdded`]; nothing was written then.
    pub fn add(
        &self,
        choose: impl FnOnce(&Config) -> Result<(Option<NewLine>, Vec<NewMeter>), NotAdded>,
    ) -> Result<Config, NotAdded> {
        let file = self.file.as_deref().ok_or(NotAdded::NoFile)?;
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // From the disk: a person may have edited it since the last reload.
        let now = Config::load(file).map_err(NotAdded::Faults)?;
        let (line, meters) = choose(&now)?;
        let folder = now.state_dir.join(added::FOLDER);
        let path = folder.join(added::FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(NotAdded::Io(error)),
        };
        let text = added::with(&text, line.as_ref(), &meters)
            .map_err(|why| NotAdded::Io(io::Error::other(why)))?;
        let new = Config::load_adding(file, added::FILE, &text).map_err(NotAdded::Faults)?;
        std::fs::create_dir_all(&folder).map_err(NotAdded::Io)?;
        // Whoever administers the box reads it as they read the config.
        http::secret_file::replace(&path, text.as_bytes(), 0o640).map_err(NotAdded::Io)?;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockgate_drivers::Address;

    const MAIN: &str = "[gateway]\nid = \"g\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\n\
        state_dir = \"state\"\n[billing]\nclose_grace = \"1h\"\n[[line]]\nid = \"l\"\nkind = \"tcp\"\n\
        host = \"127.0.0.1\"\n";

    fn meter(most: Option<&'static str>) -> NewMeter {
        NewMeter {
            id: "m-1".parse().unwrap(),
            line: "l".parse().unwrap(),
            address: Address::parse(Protocol::Modbus, "1").unwrap(),
            profile: "eastron-sdm120".to_owned(),
            max_per_hour: most,
            what: String::new(),
        }
    }

    #[test]
    fn what_the_config_would_not_take_is_not_written_and_what_it_takes_is_there_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (main, state) = (dir.path().join("blockgate.toml"), dir.path().join("state"));
        std::fs::write(&main, MAIN).unwrap();
        let upkeep = Upkeep::of(&main);
        let faults = match upkeep.add(|_| Ok((None, vec![meter(None)]))) {
            Err(NotAdded::Faults(faults)) => faults,
            other => panic!("{other:?}"),
        };
        assert!(faults[0].to_string().contains("max_per_hour is missing"), "{faults:?}");
        assert!(!state.join(added::FOLDER).exists());
        let new = upkeep.add(|_| Ok((None, vec![meter(Some("30"))]))).unwrap();
        assert_eq!(new.hash, Config::load(&main).unwrap().hash);
        assert_eq!(
            std::fs::read_to_string(&main).unwrap(),
            MAIN,
            "the config itself is not touched"
        );
        // The same again is a fault, and the file stays as it was.
        let path = state.join(added::FOLDER).join(added::FILE);
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(
            upkeep.add(|_| Ok((None, vec![meter(Some("30"))]))),
            Err(NotAdded::Faults(_))
        ));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(matches!(Upkeep::default().add(|_| Ok((None, vec![]))), Err(NotAdded::NoFile)));
    }

    #[tokio::test]
    async fn the_pages_socket_is_the_same_one_after_a_reload_and_another_for_another_address() {
        let dir = tempfile::tempdir().unwrap();
        let upkeep = Upkeep::of(&dir.path().join("blockgate.toml"));
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config = |listen| HttpConfig {
            listen,
            cert: None,
            key: None,
            hosts: Vec::new(),
            lock_after: HttpConfig::LOCK_AFTER,
        };
        let first = upkeep.listen(&config(any)).await.unwrap();
        let at = first.local_addr().unwrap();
        drop(first);
        // Nobody accepts now, and still nobody is refused.
        let waiting = tokio::net::TcpStream::connect(at).await.unwrap();
        let second = upkeep.listen(&config(any)).await.unwrap();
        assert_eq!(second.local_addr().unwrap(), at);
        let (_, peer) = second.accept().await.unwrap();
        assert_eq!(peer, waiting.local_addr().unwrap());
        let other: SocketAddr = "[::1]:0".parse().unwrap();
        drop(second);
        if upkeep.listen(&config(other)).await.is_ok() {
            assert!(tokio::net::TcpStream::connect(at).await.is_err(), "the old one is closed");
        }
    }
}
