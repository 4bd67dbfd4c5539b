//! The demo from outside: two billing periods of sixty households, and a second ledger that knows
//! nothing of blockgate's code.

use blockgate_e2e::{Outcome, binary, python, source};
use std::path::Path;
use std::process::Command;

fn recompute(events: &Path, folder: &Path) -> (bool, serde_json::Value) {
    let output = Command::new(python())
        .arg(source("tests/python/recompute.py"))
        .args([events, folder])
        .output()
        .expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let json = serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    });
    (output.status.success(), json)
}

// invariant 4
// invariant 6
#[test]
fn two_billing_periods_agree_with_an_independent_ledger_to_the_fen() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("demo");
    let output = Command::new(binary())
        .args(["demo", "--for", "62d", "--headless", "--data"])
        .arg(&data)
        .output()
        .expect("the demo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let outcome = Outcome::of(&output);
    assert!(output.status.success(), "{outcome}");
    let summary: serde_json::Value = serde_json::from_str(text.trim()).expect("one JSON line");

    let events = data.join("cloud/events.jsonl");
    let (agrees, ledger) = recompute(&events, &data);
    assert!(agrees, "{ledger:#}");
    // Two items for sixty households, and water for twenty of them, in two months; the rest are stays in
    // the car park.
    let stays = ledger["stays"].as_u64().expect("a number");
    assert_eq!(summary["bills"], 280 + stays, "{summary}");
    assert!(stays > 100 && summary["passages"].as_u64() > Some(stays), "{summary}");
    one_leak_and_one_stuck_meter_are_told_and_nothing_else_is_unexplained(&summary);
    // The common parts on DL/T 645 and CJ/T 188: every quarter of an hour of 62 days, but for the edges.
    let told = std::fs::read_to_string(&events).expect("the events");
    for meter in ["p-1-light", "p-2-lift", "p-3-tap"] {
        let readings = told.matches(&format!("\"meter\":\"{meter}\"")).count();
        assert!(readings > 62 * 90, "{meter}: {readings}");
    }
    for key in ["bills", "total_fen"] {
        assert_eq!(summary[key], ledger[key], "{key}");
    }
    assert_eq!(summary["published"], ledger["events"]);
    assert_eq!(summary["receipted"], summary["published"], "{summary}");
    for key in ["undelivered", "gaps", "altered"] {
        assert_eq!(summary[key], 0, "{key}: {summary}");
    }

    one_fen_is_noticed(&events, &data, folder.path());
}

fn one_leak_and_one_stuck_meter_are_told_and_nothing_else_is_unexplained(
    summary: &serde_json::Value,
) {
    let alarms = summary["alarm_list"].as_array().expect("a list");
    for code in ["continuous-flow", "meter-stuck"] {
        let found = alarms.iter().find(|alarm| alarm["code"] == code);
        let found = found.unwrap_or_else(|| panic!("no {code}: {summary:#}"));
        assert!(found["planted"].is_string() && found["cleared"].is_string(), "{found:#}");
        assert!(found["check"].is_string(), "its devices were checked: {found:#}");
    }
    assert_eq!(summary["alarms_unexplained"], 0, "{summary:#}");
}

/// A ledger that cannot fail proves nothing: the same events with one fen more on one bill.
fn one_fen_is_noticed(events: &Path, data: &Path, scratch: &Path) {
    let text = std::fs::read_to_string(events).expect("the events");
    let bill = text.lines().find(|l| l.contains("\"kind\":\"bill\"")).expect("a bill");
    let mut event: serde_json::Value = serde_json::from_str(bill).expect("JSON");
    let fen = event["data"]["lines"][0]["amount_fen"].as_i64().expect("fen");
    event["data"]["lines"][0]["amount_fen"] = (fen + 1).into();
    let wrong = scratch.join("wrong.jsonl");
    std::fs::write(&wrong, text.replace(bill, &event.to_string())).expect("a file");
    let (agrees, ledger) = recompute(&wrong, data);
    assert!(!agrees, "a fen too much went unnoticed: {ledger}");
}
