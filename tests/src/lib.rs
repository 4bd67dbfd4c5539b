//! What the tests from outside share: where the program is, how it is started and ended, and what a
//! run said. Nothing here calls the rules: the judges are programs of their own, in `python/`.
//!
//! | module | what |
//! |---|---|
//! | [`gateway`] | one gateway in a folder of its own: config, daemon, commands, page |
//! | [`page`] | an HTTP client of a few lines |
//! | [`person`] | a person at the page, without scripts: screens and forms |
//! | [`demo`] | a running demo with a month's close behind it |
//! | [`proxy`] | a proxy that cuts the connection to a broker at a byte |
//! | [`shim`] | disk calls of a real daemon that fail at a number |
//! | [`slave`] | a meter that is scripted byte by byte, over TCP or a pseudo terminal |
//! | [`postgres`] | Debian's PostgreSQL, as an unprivileged user |
//! | [`sim`] | a simulated month of the whole gateway, by a seed |
//! | [`broker`] | Debian's mosquitto, and its own clients as the cloud |

pub mod broker;
pub mod cjt188;
pub mod demo;
pub mod dlt645;
pub mod gateway;
pub mod page;
pub mod person;
pub mod postgres;
pub mod proxy;
pub mod shim;
pub mod sim;
pub mod slave;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A pair of pseudo terminals that socat makes in `folder`: the path of the near end, the far end opened,
/// and socat.
///
/// # Panics
/// When socat does not make them.
#[must_use]
pub fn wire(folder: &Path) -> (PathBuf, std::fs::File, Running) {
    let (ours, theirs) = (folder.join("tty-ours"), folder.join("tty-theirs"));
    let pty = |path: &PathBuf| format!("pty,raw,echo=0,link={}", path.display());
    let mut command = Command::new("socat");
    command.args([pty(&ours), pty(&theirs)]).stdin(std::process::Stdio::null());
    let socat = Running::start(&mut command);
    wait_until("socat has made its pair", Duration::from_secs(20), || {
        (ours.exists() && theirs.exists()).then_some(())
    });
    let open = std::fs::OpenOptions::new().read(true).write(true).open(&theirs);
    (ours, open.expect("a terminal"), socat)
}

/// A file of the tree, by its path from the root.
#[must_use]
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The `blockgate` program under test: `BLOCKGATE_BIN`, else the release build beside this test.
///
/// # Panics
/// When there is none: build it with `cargo build --release`.
#[must_use]
pub fn binary() -> PathBuf {
    let named = std::env::var_os("BLOCKGATE_BIN").map(PathBuf::from);
    let built = std::env::current_exe().ok().and_then(|test| {
        let target = test.parent()?.parent()?.parent()?;
        ["release", "debug"]
            .iter()
            .map(|profile| target.join(profile).join("blockgate"))
            .find(|path| path.exists())
    });
    let found = named.or(built).filter(|path| path.exists());
    found.expect("no blockgate program: cargo build --release --package blockgate")
}

/// The Python with the peers of `requirements.txt`: `BLOCKGATE_PYTHON`, else `.venv`, else the system's.
#[must_use]
pub fn python() -> PathBuf {
    let named = std::env::var_os("BLOCKGATE_PYTHON").map(PathBuf::from);
    let venv = source(".venv/bin/python");
    named.unwrap_or(if venv.exists() { venv } else { PathBuf::from("python3") })
}

/// What a program said at its end; for a failure's message.
#[derive(Debug)]
pub struct Outcome(String);

impl Outcome {
    /// Exit code and both outputs.
    #[must_use]
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self(format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr)))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A process that this test started; ended when it is dropped.
#[derive(Debug)]
pub struct Running(pub Child);

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let child = command.spawn();
        Self(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Ends it at once, as a power cut would for the process (SIGKILL), and waits for its end.
    pub fn kill(&mut self) {
        // An error says that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Asks it to end (SIGTERM) and waits.
    ///
    /// # Panics
    /// When `kill` cannot be run, or it does not end within 30 s.
    pub fn terminate(&mut self) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.is_ok_and(|s| s.success()), "SIGTERM to {pid}");
        wait_until("the process has ended", Duration::from_secs(30), || {
            self.0.try_wait().ok().flatten()
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a condition, looking at it again and again.
///
/// # Panics
/// When it does not come true in time.
pub fn wait_until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    #[allow(clippy::disallowed_methods, reason = "these tests watch real processes in real time")]
    let begin = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < limit, "not within {limit:?}: {what}");
        pause();
    }
}

fn pause() {
    pause_for(Duration::from_millis(20));
}

#[allow(
    clippy::disallowed_methods,
    reason = "between two looks at a real process; a slave that is late"
)]
fn pause_for(time: Duration) {
    std::thread::sleep(time);
}

/// A TCP port on loopback that nobody listens on, for a program that cannot choose one itself. Never
/// the same one twice in a process, apart from those of other test processes, and below the ports that
/// Linux gives to connections by itself.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const PORTS: u32 = 12_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(64);
    let next = || begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
    std::iter::repeat_with(|| u16::try_from(FIRST + next()).unwrap_or(0))
        .take(1000)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// Debian's libfaketime, for `LD_PRELOAD`.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn faketime() -> PathBuf {
    let found = ["x86_64", "aarch64"]
        .map(|arch| format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1"))
        .map(PathBuf::from);
    let found = found.into_iter().find(|path| path.exists());
    found.expect("Debian's package libfaketime is not installed: scripts/test.sh installs it")
}
