//! A running demo with its page, a month's close behind it, and the login that it printed.

use crate::{Running, binary, free_port, wait_until};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A demo that ends with this value.
#[derive(Debug)]
pub struct Demo {
    _running: Running,
    /// Where its page is.
    pub page: SocketAddr,
    /// Its user.
    pub user: String,
    /// The password, made for this run.
    pub password: String,
}

impl Demo {
    /// Starts one: two days before the end of March 2026, three days as fast as it can, then at `speed`
    /// simulated seconds a second.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, speed: u32) -> Self {
        let page: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let told = folder.join("demo.err");
        let err = std::fs::File::create(&told).expect("a file");
        let mut command = Command::new(binary());
        command
            .args(["demo", "--from", "2026-03-30T00:00:00+08:00", "--warm-up", "3d"])
            .args(["--speed", &speed.to_string(), "--listen", &page.to_string(), "--data"])
            .arg(folder.join("data"))
            .env("BLOCKGATE_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(err);
        let running = Running::start(&mut command);
        let login = || {
            let text = std::fs::read_to_string(&told).ok()?;
            let (_, rest) = text.split_once("   user ")?;
            let mut words = rest.split_whitespace();
            let user = words.next()?.to_owned();
            let password = words.next().filter(|word| *word == "password").and(words.next())?;
            Some((user, password.to_owned()))
        };
        let (user, password) = wait_until("the demo's login", Duration::from_secs(60), login);
        Self { _running: running, page, user, password }
    }
}
