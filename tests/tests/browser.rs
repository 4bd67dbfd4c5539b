//! The page in a real browser: Debian's Chromium walks every section of a running demo in both
//! languages, on four widths. Where there is no Chromium, or its driver, the test says so.

use blockgate_e2e::{Running, binary, free_port, python, source, wait_until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A demo with a month's close behind it, and its login.
struct Demo {
    _running: Running,
    base: String,
    user: String,
    password: String,
}

fn demo(folder: &Path) -> Demo {
    let (port, told) = (free_port(), folder.join("demo.err"));
    let listen = format!("127.0.0.1:{port}");
    let err = std::fs::File::create(&told).expect("a file");
    let mut command = Command::new(binary());
    command
        .args(["demo", "--from", "2026-03-30T00:00:00+08:00", "--warm-up", "3d", "--speed", "60"])
        .args(["--listen", &listen, "--data"])
        .arg(folder.join("data"))
        .env("BLOCKGATE_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(err);
    let running = Running::start(&mut command);
    let (user, password) = wait_until("the demo says its login", Duration::from_secs(30), || {
        let text = std::fs::read_to_string(&told).ok()?;
        let (_, rest) = text.split_once("   user ")?;
        let mut words = rest.split_whitespace();
        let user = words.next()?.to_owned();
        (words.next() == Some("password"))
            .then(|| words.next())
            .flatten()
            .map(|p| (user, p.to_owned()))
    });
    Demo { _running: running, base: format!("http://{listen}"), user, password }
}

fn has_browser() -> bool {
    let here = ["/usr/bin/chromium", "/usr/bin/chromedriver"].iter().all(|p| Path::new(p).exists());
    let modules = Command::new(python())
        .args(["-c", "import selenium, axe_core_python"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    here && modules
}

/// Where screenshots stay for whoever wants to look at them.
fn screenshots() -> PathBuf {
    std::env::var_os("BLOCKGATE_SCREENSHOTS")
        .map_or_else(|| source("target").join("screenshots"), PathBuf::from)
}

fn walk(language: &str) {
    if !has_browser() {
        eprintln!("SKIPPED: no chromium, chromium-driver or Python's selenium on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let demo = demo(folder.path());
    let output = Command::new(python())
        .arg(source("tests/python/walk.py"))
        .args([&demo.base, &demo.user, &demo.password, language])
        .arg(screenshots())
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen: Value = serde_json::from_str(told.trim())
        .unwrap_or_else(|e| panic!("{e}: {told}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert!(seen["pages"].as_u64() > Some(100), "{seen:#}");
    for what in ["wide", "console", "elsewhere", "axe", "small", "status"] {
        let found = seen[what].as_array().expect("a list");
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
}

#[test]
fn a_browser_finds_nothing_wrong_with_any_section_in_chinese() {
    walk("zh");
}

#[test]
fn a_browser_finds_nothing_wrong_with_any_section_in_english() {
    walk("en");
}
