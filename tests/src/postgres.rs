//! Debian's PostgreSQL on loopback, in a folder of its own, as an unprivileged user.

use crate::gateway::succeeds;
use crate::{Running, free_port, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A running database server; ended when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    running: Option<Running>,
}

/// Debian's folder of the newest PostgreSQL that is installed.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    succeeds(Command::new("id").arg("-u")).trim() == "0"
}

impl Postgres {
    /// A new database in `folder`, started.
    ///
    /// # Panics
    /// When PostgreSQL is not installed (scripts/test.sh does that) or does not come up.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let bin = programs().expect("Debian's package postgresql is not installed");
        std::fs::create_dir_all(folder).expect("a folder");
        if is_root() {
            // It refuses to run as root, and must find its way through the folders above.
            let mut above = Some(folder);
            while let Some(path) = above.filter(|path| *path != Path::new("/tmp")) {
                let mode = std::fs::metadata(path).map_or(0o755, |m| m.permissions().mode());
                let _ = std::fs::set_permissions(path, PermissionsExt::from_mode(mode | 0o111));
                above = path.parent().filter(|path| path.starts_with("/tmp"));
            }
            succeeds(Command::new("chown").arg("postgres:").arg(folder));
        }
        let mut postgres =
            Self { bin, folder: folder.to_owned(), port: free_port(), running: None };
        let data = folder.join("data");
        let mut init = postgres.program("initdb");
        init.args(["--auth=trust", "--username=blockgate", "--encoding=UTF8", "--pgdata"]);
        succeeds(init.arg(data));
        postgres.again();
        postgres
    }

    fn program(&self, name: &str) -> Command {
        let program = self.bin.join(name);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command.current_dir("/");
        command
    }

    /// Starts it once more after [`Self::kill`].
    ///
    /// # Panics
    /// When it does not come up.
    pub fn again(&mut self) {
        let log = self.folder.with_extension("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut server = self.program("postgres");
        server.arg("-D").arg(self.folder.join("data")).args(["-h", "127.0.0.1", "-p"]);
        server.arg(self.port.to_string()).arg("-k").arg(&self.folder);
        let out = Stdio::from(log.try_clone().expect("a handle"));
        server.stdin(Stdio::null()).stdout(out).stderr(Stdio::from(log));
        self.running = Some(Running::start(&mut server));
        wait_until("PostgreSQL answers", Duration::from_secs(60), || {
            self.ask("SELECT 1").ok().filter(|said| said == "1")
        });
    }

    /// Ends it at once, as a power cut would for its processes.
    ///
    /// # Panics
    /// When its process id cannot be read.
    pub fn kill(&mut self) {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "-m", "immediate", "-D"]).arg(self.folder.join("data"));
        succeeds(&mut stop);
        self.running = None;
    }

    /// How a client connects.
    #[must_use]
    pub fn conninfo(&self) -> String {
        format!("host=127.0.0.1 port={} user=blockgate dbname=postgres", self.port)
    }

    /// A query's only value, as text.
    ///
    /// # Errors
    /// What `psql` said.
    pub fn ask(&self, query: &str) -> Result<String, String> {
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["-X", "-A", "-t", "-c", query, "-d", &self.conninfo()]);
        let said = psql.output().map_err(|e| e.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if said.status.success() { Ok(text(&said.stdout)) } else { Err(text(&said.stderr)) }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.running.is_some() {
            let mut stop = self.program("pg_ctl");
            stop.args(["stop", "-m", "immediate", "-D"]).arg(self.folder.join("data"));
            // An error says that it has ended already.
            let _ = stop.output();
        }
    }
}
