//! One gateway in a folder of its own: its config, its daemon, the command line beside it, and its
//! page, first set up with the code from the log as a person would.

use crate::page::{self, Reply};
use crate::{Outcome, Running, binary, faketime, wait_until};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Seek};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a start and what follows from it may take on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// The token in `tokens.toml`, and its SHA-256.
const TOKEN: &str = "e2e-token";
const TOKEN_SHA256: &str = "cc318af2129b329b084ebdf17f2608bf3d8a7da6082f345cebf205833876fd88";

/// The head of every config here; lines, meters and the rest come below it.
const HEAD: &str = "[gateway]\nid = \"gw\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\n\
    state_dir = \"state\"\n[clock]\ntrust = \"always\"\n[billing]\nclose_grace = \"1h\"\n\
    [store]\ncommit_interval = \"50ms\"\n";

/// Where the page listens: any free port, which the log then names.
const PAGE: &str = "[http]\nlisten = \"127.0.0.1:0\"\n";

/// What a command said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output as the one JSON document that `--json` promises.
    ///
    /// # Panics
    /// When there is none, or anything else beside it.
    #[must_use]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.out);
        parsed.unwrap_or_else(|e| panic!("not one JSON document ({e}): {self:?}"))
    }
}

/// Runs a command like [`Gateway::daemon`] to its end; `None` where it still runs after some seconds, and is
/// ended then.
///
/// # Panics
/// When it cannot be run.
pub fn ends(mut command: Command) -> Option<Said> {
    let (out, err) = (tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file"));
    let copy = |file: &File| Stdio::from(file.try_clone().expect("a handle"));
    command.stdin(Stdio::null()).stdout(copy(&out)).stderr(copy(&err));
    let mut running = Running::start(&mut command);
    let wait =
        || wait_until("it ends", Duration::from_secs(8), || running.0.try_wait().ok().flatten());
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait)).ok();
    let text = |mut file: File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("what it said");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    ended.map(|status| Said { code: status.code().unwrap_or(-1), out: text(out), err: text(err) })
}

/// Runs `blockgate` with these arguments to its end.
///
/// # Panics
/// When it cannot be run, or does not end within [`PATIENCE`].
pub fn blockgate<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(arguments: &[S]) -> Said {
    let file = || tempfile::tempfile().expect("a file");
    let copy = |file: &File| Stdio::from(file.try_clone().expect("a handle"));
    let text = |mut file: File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("what it said");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err) = (file(), file());
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).stdout(copy(&out)).stderr(copy(&err));
    let mut running = Running::start(&mut command);
    let status = wait_until(&format!("{arguments:?} ends"), PATIENCE, || {
        running.0.try_wait().ok().flatten()
    });
    Said { code: status.code().unwrap_or(-1), out: text(out), err: text(err) }
}

/// A gateway and everything it keeps.
#[derive(Debug)]
pub struct Gateway {
    folder: tempfile::TempDir,
    daemon: Option<Running>,
    page: Option<SocketAddr>,
    /// Length of the log when the daemon was last started or told to reload.
    log_from: usize,
}

impl Gateway {
    /// The token in its `tokens.toml`: reads, metrics and orders.
    pub const TOKEN: &str = TOKEN;

    /// A folder with a config of the usual head and `rest` below it. Nothing runs yet.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(rest: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = Self { folder, daemon: None, page: None, log_from: 0 };
        std::fs::create_dir(gateway.path("state")).expect("a folder");
        let tokens = format!(
            "[tokens.e2e]\nsha256 = \"{TOKEN_SHA256}\"\nscopes = [\"read\", \"metrics\", \"command\"]\n"
        );
        private(&gateway.path("state/tokens.toml"), &tokens);
        gateway.write_config(rest);
        gateway
    }

    /// A path below its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The config file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.path("blockgate.toml")
    }

    /// Replaces the config below the usual head.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_config(&self, rest: &str) {
        self.write("blockgate.toml", &format!("{HEAD}{PAGE}{rest}"));
    }

    /// Writes a file below its folder, and the folders on the way.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        std::fs::write(path, text).expect("a file");
    }

    /// Runs a command with `--config` of this gateway.
    pub fn command(&self, arguments: &[&str]) -> Said {
        let config = self.config().display().to_string();
        blockgate(&[arguments, &["--config", &config]].concat())
    }

    /// The daemon's command, to be changed before [`Self::start_as`].
    #[must_use]
    pub fn daemon(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(self.config());
        command
    }

    /// Starts the daemon, waits until its page answers, and sets the page up the first time.
    ///
    /// # Panics
    /// When it ends, or does not come up.
    pub fn start(&mut self) {
        self.start_as(self.daemon());
    }

    /// As [`Self::start`], with a command of one's own.
    ///
    /// # Panics
    /// When it ends, or does not come up.
    pub fn start_as(&mut self, mut command: Command) {
        self.log_from = self.log().len();
        let log = || {
            let file =
                std::fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log"));
            Stdio::from(file.expect("a log"))
        };
        command.stdin(Stdio::null()).stdout(log()).stderr(log());
        self.daemon = Some(Running::start(&mut command));
        self.come_up();
    }

    /// As [`Self::start`], by a clock that shows `wanted` now, in Unix seconds, and goes on from there.
    ///
    /// # Panics
    /// When it ends, or does not come up.
    #[allow(clippy::disallowed_methods, reason = "libfaketime counts from real time")]
    pub fn start_at(&mut self, wanted: i64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let ahead = wanted - i64::try_from(now).expect("a time");
        let mut command = self.daemon();
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME", format!("{ahead:+}"))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1");
        self.start_as(command);
    }

    /// Runs a daemon whose disk may fail at any call, until it ends by itself or `enough` says that it has run
    /// for long enough; it is killed then. Gives how many records it said it had made durable: what the world
    /// could see of them. Its log is [`Self::log_since`].
    ///
    /// # Panics
    /// When neither comes.
    pub fn run_frail(&mut self, mut command: Command, enough: impl Fn(u64) -> bool) -> u64 {
        const SERIES: &str = "blockgate_journal_records_total ";
        self.log_from = self.log().len();
        let log = || {
            let file =
                std::fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log"));
            Stdio::from(file.expect("a log"))
        };
        command.stdin(Stdio::null()).stdout(log()).stderr(log());
        self.daemon = Some(Running::start(&mut command));
        let bearer = format!("Bearer {TOKEN}");
        let durable = std::cell::Cell::new(0);
        wait_until("it ends, or has run for long enough", PATIENCE, || {
            let running = self.is_running();
            let said = self.log_since();
            let page = said
                .rsplit_once("the page listens page=")
                .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<SocketAddr>().ok());
            // It may end while it is asked.
            let fields = [("Authorization", bearer.as_str())];
            let reply = page.and_then(|page| page::ask(page, "GET", "/metrics", &fields, "").ok());
            let count = reply.and_then(|reply| {
                reply.body.lines().find_map(|line| line.strip_prefix(SERIES)?.trim().parse().ok())
            });
            durable.set(durable.get().max(count.unwrap_or(0)));
            (!running || enough(durable.get())).then_some(())
        });
        self.kill();
        durable.get()
    }

    /// Tells the daemon to read its config again (SIGHUP). Gives back what it then logs until `until`
    /// stands in it.
    ///
    /// # Panics
    /// When it does not come.
    pub fn reload(&mut self, until: &str) -> String {
        self.log_from = self.log().len();
        let pid = self.daemon.as_ref().expect("a daemon").0.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(sent.is_ok_and(|s| s.success()), "SIGHUP to {pid}");
        self.wait(until, |g| g.log_since().contains(until).then_some(()));
        self.log_since()
    }

    /// Waits for the page of this start; to be called after a reload that took a new config.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn come_up(&mut self) {
        let page = self.wait("the page listens", |gateway| {
            let log = gateway.log_since();
            let (_, rest) = log.rsplit_once("the page listens page=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        self.page = Some(page);
        self.wait("the page answers", |_| page::ask(page, "GET", "/healthz", &[], "").ok());
        if !self.path("state/password").exists() {
            self.set_up(page);
        }
    }

    /// The first set-up, as a person does it: the code from the log, a new password.
    fn set_up(&self, page: SocketAddr) {
        let code = self.wait("the set-up code stands in the log", |gateway| {
            let log = gateway.log();
            let (_, rest) = log.rsplit_once("code=")?;
            Some(rest.split_whitespace().next()?.trim_matches('"').to_owned())
        });
        let form = format!("code={code}&password=a+long+password&again=a+long+password");
        let origin = format!("http://{page}");
        let fields =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin.as_str())];
        let reply = page::ask(page, "POST", "/setup", &fields, &form).expect("the page");
        assert!(matches!(reply.status, 200..=399), "{reply:?}");
    }

    /// Where the page listens.
    ///
    /// # Panics
    /// When the daemon does not run.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.page.expect("a page")
    }

    /// Asks the page or the API with the token, in a language.
    ///
    /// # Panics
    /// When the page does not answer.
    #[must_use]
    pub fn get(&self, path: &str, language: &str) -> Reply {
        let bearer = format!("Bearer {TOKEN}");
        let fields = [("Authorization", bearer.as_str()), ("Accept-Language", language)];
        let page = self.page.expect("a page");
        page::ask(page, "GET", path, &fields, "")
            .unwrap_or_else(|e| panic!("{path}: {e}\n{}", self.log_end()))
    }

    /// Hands a command in over HTTP; the status and the answer.
    ///
    /// # Panics
    /// When the page does not answer.
    #[must_use]
    pub fn order(&self, command: &Value) -> (u16, Value) {
        let bearer = format!("Bearer {TOKEN}");
        let json = ("Content-Type", "application/json");
        let fields = [("Authorization", bearer.as_str()), ("Accept-Language", "en"), json];
        let page = self.page.expect("a page");
        let reply = page::ask(page, "POST", "/v1/commands", &fields, &command.to_string())
            .unwrap_or_else(|e| panic!("{command}: {e}\n{}", self.log_end()));
        (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
    }

    /// A route's JSON.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn json(&self, path: &str) -> Value {
        let reply = self.get(path, "en");
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap_or_else(|e| panic!("{path}: {e}: {}", reply.body))
    }

    /// The text that a person sees on a page in a language, `en` or `zh-CN`: without tags, blanks
    /// gathered.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn page(&self, path: &str, language: &str) -> String {
        let reply = self.get(path, language);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        let pieces =
            reply.body.split('<').map(|piece| piece.split_once('>').map_or(piece, |p| p.1));
        pieces.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
    }

    /// One series of `/metrics`, its name with labels as it stands there.
    ///
    /// # Panics
    /// When the page does not answer.
    #[must_use]
    pub fn metric(&self, series: &str) -> Option<u64> {
        let reply = self.get("/metrics", "en");
        assert_eq!(reply.status, 200, "{}", reply.body);
        let line = reply.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
    }

    /// Stops the daemon in order (SIGTERM).
    ///
    /// # Panics
    /// When it does not end, or says that it failed.
    pub fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.terminate();
            let status = daemon.0.wait().expect("its status");
            assert!(status.success(), "{status}\n{}", self.log_end());
        }
        self.page = None;
    }

    /// Ends the daemon at once (SIGKILL).
    pub fn kill(&mut self) {
        self.daemon = None;
        self.page = None;
    }

    /// Everything the daemon has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// What it logged since the last start or reload.
    #[must_use]
    pub fn log_since(&self) -> String {
        self.log().get(self.log_from..).unwrap_or_default().to_owned()
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Waits for something that a running daemon brings about.
    ///
    /// # Panics
    /// When it does not come within [`PATIENCE`], or the daemon ends; with the end of the log.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let looked = std::panic::AssertUnwindSafe(|| {
            wait_until(what, PATIENCE, || {
                let found = look(self);
                assert!(found.is_some() || self.is_running(), "the daemon has ended");
                found
            })
        });
        std::panic::catch_unwind(looked)
            .unwrap_or_else(|_| panic!("{what}; the log ends with\n{}", self.log_end()))
    }

    fn is_running(&self) -> bool {
        let Some(daemon) = &self.daemon else { return true };
        // A process that has ended and was not waited for is a zombie.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.0.id()));
        stat.is_ok_and(|s| !s.rsplit(") ").next().is_some_and(|s| s.starts_with('Z')))
    }

    /// The journal's records in order, as `journal export` gives them.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn journal(&self) -> Vec<Value> {
        self.journal_from(1)
    }

    /// As [`Self::journal`], from a sequence number on.
    ///
    /// # Panics
    /// When the command fails.
    #[must_use]
    pub fn journal_from(&self, from: u64) -> Vec<Value> {
        let said = self.command(&["journal", "export", "--from", &from.to_string()]);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }
}

/// Writes a file that only its owner may read.
///
/// # Panics
/// When it cannot be written.
pub fn private(path: &Path, text: &str) {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("its text");
}

/// Runs a program of the tests to its end.
///
/// # Panics
/// When it cannot be run or fails.
pub fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", Outcome::of(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
