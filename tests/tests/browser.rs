//! The page in a real browser: Debian's Chromium walks every section of a running demo in both
//! languages, on four widths. Where there is no Chromium, or its driver, the test says so.

use blockgate_e2e::demo::Demo;
use blockgate_e2e::gateway::Gateway;
use blockgate_e2e::person::Person;
use blockgate_e2e::{python, source, wait_until};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(180);

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

/// A block that is lived in: no list of it is empty, and each kind of thing is there at least once.
fn lived_in(folder: &Path) -> Demo {
    let demo = Demo::start(folder, 60);
    let person = Person::log_in(demo.page, &demo.user, &demo.password);
    wait_until("March is billed", PATIENCE, || {
        person.see("/bills?item=electricity").contains("href=\"/bills/bill-").then_some(())
    });
    // What is paid before midnight is not of the day that is looked at.
    wait_until("the warm-up is over", PATIENCE, || {
        person.see("/counter").contains(">2026-04-02<").then_some(())
    });
    // All doors are opened for a drill, which is an alarm; a card is shut out, a visitor's let in.
    let drill = [("emergency_reason", "a drill")];
    let _ = person.submit("/door-rights", "/door-rights/emergency", &drill);
    let lost = [("of_kind", "card"), ("of", "20000001"), ("revoke_reason", "lost")];
    let _ = person.submit("/door-rights", "/door-rights/revoke", &lost);
    // Money that was paid ahead is asked back.
    let households = person.see("/households");
    let (_, first) = households.split_once("href=\"/households/").expect("a household");
    let household = format!("/households/{}", first.split('"').next().expect("its id"));
    let ahead = [("amount", "500"), ("channel", "cash"), ("toward", "prepaid")];
    let _ = person.submit(&household, &format!("{household}/pay"), &ahead);
    let back =
        [("r_source", "prepaid"), ("r_amount", "20"), ("r_channel", "cash"), ("r_reason", "moved")];
    wait_until("the money is there", PATIENCE, || {
        let action = format!("{household}/refund");
        let sent = person.send(&action, &person.fill(&household, &action, &back));
        (sent.status == 303).then_some(())
    });
    // A line is looked through; what it finds does not matter here.
    let lines = person.see("/scan");
    let (_, line) = lines.split_once("name=\"line\"").expect("a choice of lines");
    let line = line.split("<option value=\"").find_map(|row| {
        let id = row.split('"').next()?;
        (!id.is_empty() && !id.starts_with('>') && !id.contains(' ')).then(|| id.to_owned())
    });
    let wish = [("line", line.as_deref().expect("a line")), ("protocol", "modbus"), ("units", "1")];
    let scan = person.submit("/scan", "/scan/begin", &wish);
    wait_until("the scan is over", PATIENCE, || {
        (!person.see(&scan).contains("http-equiv=\"refresh\"")).then_some(())
    });
    demo
}

/// Runs one of the walks and gives what it saw.
fn seen(script: &str, demo: &Demo, arguments: &[&str]) -> Value {
    let output = Command::new(python())
        .arg(source("tests/python").join(script))
        .args([&format!("http://{}", demo.page), &demo.user, &demo.password])
        .args(arguments)
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(told.trim())
        .unwrap_or_else(|e| panic!("{e}: {told}\n{}", String::from_utf8_lossy(&output.stderr)))
}

fn nothing_in(seen: &Value, kinds: &[&str]) {
    for what in kinds {
        let found = seen[*what].as_array().expect("a list");
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
}

fn walk(language: &str, widths: &str) {
    if !has_browser() {
        eprintln!("SKIPPED: no chromium, chromium-driver or Python's selenium on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let demo = lived_in(folder.path());
    let shots = screenshots().display().to_string();
    let seen = seen("walk.py", &demo, &[language, &shots, widths]);
    assert!(seen["pages"].as_u64() > Some(80), "{seen:#}");
    let kinds = ["wide", "console", "elsewhere", "axe", "small", "status", "empty"];
    nothing_in(&seen, &kinds);
    for (path, bytes) in seen["bytes"].as_object().expect("a table") {
        assert!(bytes.as_u64() <= Some(FIRST_LOOK_MAX), "{path}: {bytes} bytes compressed");
    }
    // A new screen is walked too.
    let walked: Vec<String> = seen["sections"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|section| section.as_str()?.split('?').next())
        .map(|section| section.split('/').next_back().map_or("", |end| end).to_owned())
        .collect();
    for (method, path, _) in blockgate::http::ROUTES {
        let end = path.rsplit('/').next().unwrap_or_default();
        let of_one = end == "{}";
        let known = walked.iter().any(|one| one == end || (of_one && one.starts_with('{')));
        let page = *method == "GET" && !path.starts_with("/v1") && !NO_SCREENS.contains(path);
        assert!(!page || known, "{path} is not in SECTIONS of tests/python/pages.py");
    }
}

/// What answers a `GET` and is no screen of a logged-in person.
const NO_SCREENS: [&str; 10] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/assets/{}",
    "/language/{}",
    "/login",
    "/setup",
    "/diagnostics.json",
    "/sheet.csv",
    "/receipts/of/{}",
];

#[test]
fn the_keyboard_scripts_off_and_large_letters_reach_everything() {
    if !has_browser() {
        eprintln!("SKIPPED: no chromium, chromium-driver or Python's selenium on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let demo = lived_in(folder.path());
    for language in ["zh", "en"] {
        let seen = seen("reach.py", &demo, &[language]);
        assert!(seen["controls"].as_u64() > Some(800), "{seen:#}");
        let kinds = ["missing", "keyboard", "log", "scripts_off", "large", "contained"];
        nothing_in(&seen, &kinds);
    }
}

#[test]
fn a_page_that_nobody_touches_only_reads_and_keeps_what_was_typed() {
    if !has_browser() {
        eprintln!("SKIPPED: no chromium, chromium-driver or Python's selenium on this machine");
        return;
    }
    // The first line belongs to `[http]`, which stands above it.
    let rest = "lock_after = \"8s\"\n[[line]]\nid = \"a\"\nkind = \"tcp\"\nhost = \"127.0.0.1\"\nport = 1\n";
    let mut gateway = Gateway::new(rest);
    gateway.start();
    let output = Command::new(python())
        .arg(source("tests/python/idle.py"))
        .args([&format!("http://{}", gateway.address()), "admin", "a long password", "en"])
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen: Value = serde_json::from_str(told.trim())
        .unwrap_or_else(|e| panic!("{e}: {told}\n{}", String::from_utf8_lossy(&output.stderr)));
    nothing_in(&seen, &["locked"]);
}

#[test]
fn nothing_is_done_twice_or_lost_and_nothing_stale_looks_fresh() {
    if !has_browser() {
        eprintln!("SKIPPED: no chromium, chromium-driver or Python's selenium on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let demo = lived_in(folder.path());
    let seen = seen("behave.py", &demo, &["en"]);
    nothing_in(
        &seen,
        &["missing", "twice", "wrong", "expired", "stale", "typed_again", "passwords"],
    );
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
