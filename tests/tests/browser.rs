//! The page in a real browser: Debian's Chromium walks every section of a running demo in both
//! languages, on four widths. Where there is no Chromium, or its driver, the test says so.

use blockgate_e2e::demo::Demo;
use blockgate_e2e::person::Person;
use blockgate_e2e::{python, source, wait_until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a first look may take, compressed: page, style, script and icon; with a chart it may be more.
const FIRST_LOOK_MAX: u64 = 60 * 1024;

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

fn walk(language: &str, widths: &str) {
    if !has_browser() {
        eprintln!("SKIPPED: no chromium, chromium-driver or Python's selenium on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), 60);
    let person = Person::log_in(demo.page, &demo.user, &demo.password);
    wait_until("March is billed", Duration::from_secs(60), || {
        person.see("/bills?item=electricity").contains("href=\"/bills/bill-").then_some(())
    });
    let output = Command::new(python())
        .arg(source("tests/python/walk.py"))
        .args([&format!("http://{}", demo.page), &demo.user, &demo.password, language])
        .arg(screenshots())
        .arg(widths)
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen: Value = serde_json::from_str(told.trim())
        .unwrap_or_else(|e| panic!("{e}: {told}\n{}", String::from_utf8_lossy(&output.stderr)));
    assert!(seen["pages"].as_u64() > Some(60), "{seen:#}");
    for what in ["wide", "console", "elsewhere", "axe", "small", "status"] {
        let found = seen[what].as_array().expect("a list");
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
    for (path, bytes) in seen["bytes"].as_object().expect("a table") {
        assert!(bytes.as_u64() <= Some(FIRST_LOOK_MAX), "{path}: {bytes} bytes compressed");
    }
}

#[test]
fn a_browser_finds_nothing_wrong_in_chinese_on_the_smallest_and_the_widest_screen() {
    walk("zh", "320,1280");
}

#[test]
fn a_browser_finds_nothing_wrong_in_chinese_on_a_phone_and_a_tablet() {
    walk("zh", "390,768");
}

#[test]
fn a_browser_finds_nothing_wrong_in_english_on_the_smallest_and_the_widest_screen() {
    walk("en", "320,1280");
}

#[test]
fn a_browser_finds_nothing_wrong_in_english_on_a_phone_and_a_tablet() {
    walk("en", "390,768");
}
