//! History that somebody changed: the journal of a real run is written anew with one bill's reading
//! changed, chained again, and even signed again with the box's own key. What the cloud has kept shows it.
//! And the history that a backup carries to another box.

use blockgate::store::head::HeadKey;
use blockgate::store::journal::{Hash, Journal, Options};
use blockgate_e2e::gateway::{Gateway, Said, blockgate, private};
use blockgate_e2e::slave::{Framing, Slave, profile};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A gateway that has run twice, and what the cloud would have of its journal.
fn ran_twice() -> (Gateway, Vec<String>) {
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = Gateway::new(&format!(
        "{}[[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\nprofile = \"scripted-meter\"\n\
         poll_every = \"100ms\"\nrecord_every = \"0s\"\nmax_per_hour = \"1000000000000\"\n",
        slave.line("l0")
    ));
    gateway.write("profiles.d/scripted.toml", &profile());
    for run in 1..=2 {
        gateway.start();
        gateway.wait("readings are journaled", |g| {
            let show = g.command(&["journal", "show", "--kind", "reading"]);
            (show.out.lines().count() >= run * 6).then_some(())
        });
        let status = gateway.json("/v1/status");
        assert!(status["head"]["last"]["through"].as_u64() > Some(0), "{}", status["head"]);
        gateway.stop();
    }
    let said = gateway.command(&["journal", "export"]);
    assert_eq!(said.code, 0, "{said:?}");
    (gateway, said.out.lines().map(str::to_owned).collect())
}

fn is_head(record: &str) -> bool {
    record.contains("\"what\":\"head-signed\"")
}

fn parsed(record: &str) -> Value {
    serde_json::from_str(record).expect("JSON")
}

/// Writes the payloads as a new journal, chained anew; heads are signed anew where there is a key.
fn chained_anew(state: &Path, records: &[String], key: Option<&HeadKey>) {
    let journal = state.join("journal");
    std::fs::create_dir_all(state).expect("a folder");
    std::fs::copy(state.with_file_name("state").join("format"), state.join("format"))
        .expect("the format");
    let (mut journal, _) = Journal::open(&journal, Options::default()).expect("a journal");
    for record in records {
        let mut text = record.clone();
        if let Some(key) = key.filter(|_| is_head(record)) {
            let mut record = parsed(record);
            let (seq, hash): (u64, Hash) = journal.head();
            let at = record["data"]["at"].as_str().and_then(|at| at.parse().ok()).expect("a time");
            let source = record["source"].as_str().expect("a source");
            record["data"] = serde_json::to_value(key.sign(source, seq, &hash, at)).expect("JSON");
            text = record.to_string();
        }
        journal.append(text.as_bytes()).expect("a record");
        journal.cut().expect("no error").expect("a batch").commit().expect("the disk");
    }
}

fn verify(state: &Path, more: &[&str]) -> Said {
    let state = state.display().to_string();
    blockgate(&[&["journal", "verify", "--state", &state][..], more].concat())
}

#[test]
fn a_history_that_was_changed_and_chained_again_is_caught_by_the_signed_heads() {
    let (gateway, records) = ran_twice();
    let state = gateway.path("state");
    let heads: Vec<Value> =
        records.iter().filter(|record| is_head(record)).map(|record| parsed(record)).collect();
    assert!(heads.len() >= 4, "one at each start and one at each stop: {}", heads.len());
    let text: String = heads.iter().map(|head| format!("{head}\n")).collect();
    gateway.write("heads.jsonl", &text);
    let kept = gateway.path("heads.jsonl").display().to_string();
    let key = heads[0]["data"]["key"].as_str().expect("a key").to_owned();
    let last = heads[heads.len() - 1]["data"]["through"].as_u64().expect("a seq");

    // As it is, everything agrees; with another key than the trusted one nothing does.
    let said = verify(&state, &["--head", &kept, "--key", &key, "--json"]);
    let json = said.json();
    assert_eq!((said.code, &json["history_holds"]), (0, &true.into()), "{said:?}");
    assert_eq!(json["heads_agreeing"], heads.len(), "{json}");
    assert_eq!(json["head_keys"], serde_json::json!([key]));
    let said = verify(&state, &["--head", &kept, "--key", "0123456789abcdef"]);
    assert!(said.code == 1 && said.out.contains("signed by another key"), "{said:?}");

    // One reading is changed.
    let mut changed = records.clone();
    let reading =
        changed.iter_mut().find(|r| r.contains("\"kind\":\"reading\"")).expect("a reading");
    let from = parsed(reading)["seq"].as_u64().expect("a seq");
    *reading = reading.replacen("\"value\":\"", "\"value\":\"9", 1);
    // Chained again: the heads inside tell.
    let plain = gateway.path("chained");
    chained_anew(&plain, &changed, None);
    let said = verify(&plain, &["--json"]);
    let json = said.json();
    assert_eq!((said.code, &json["whole"]), (1, &true.into()), "whole by its chain: {said:?}");
    assert!(json["heads_contradicted"].as_array().is_some_and(|a| !a.is_empty()), "{json}");
    // Signed again with the stolen key: whole by itself, and the cloud's head tells.
    let (stolen, _) = HeadKey::open(&state).expect("the key");
    let signed = gateway.path("signed");
    chained_anew(&signed, &changed, Some(&stolen));
    let said = verify(&signed, &[]);
    assert!(said.code == 0 && said.out.contains("the journal is whole"), "{said:?}");
    let said = verify(&signed, &["--head", &kept, "--key", &key]);
    assert_eq!(said.code, 1, "{said:?}");
    let told = format!("REWRITTEN: record {last} has the hash ");
    assert!(said.out.contains(&told) && said.out.contains("not the history"), "{said:?}");
    let agreeing = said.out.lines().filter(|line| line.contains(" agrees: ")).count();
    let before = heads.iter().filter(|h| h["data"]["through"].as_u64() < Some(from)).count();
    assert_eq!(agreeing, before, "the heads of before the change agree: {said:?}");
    // The end is cut off.
    let short = gateway.path("short");
    let end = usize::try_from(last - 1).expect("a number");
    chained_anew(&short, &records[..end], None);
    let said = verify(&short, &["--head", &kept]);
    let told = format!("SHORT: the journal ends with record {}", last - 1);
    assert!(said.code == 1 && said.out.contains(&told), "{said:?}");

    for (name, text) in [("none.json", "{}"), ("no.json", "x"), ("empty.json", "")] {
        gateway.write(name, text);
        let said = verify(&state, &["--head", &gateway.path(name).display().to_string()]);
        assert!(said.code == 3 && said.err.contains(name), "{said:?}");
    }
}

#[test]
fn a_backup_made_while_the_daemon_runs_becomes_the_same_gateway_on_another_box() {
    let (mut gateway, before) = ran_twice();
    private(&gateway.path("passphrase"), "swan lake\n");
    let phrase = gateway.path("passphrase").display().to_string();
    let file = gateway.path("gw.bgbackup").display().to_string();
    gateway.start();
    gateway.wait("the new start is journaled", |g| {
        (g.json("/v1/outbox")["waiting"].as_u64()? > before.len() as u64).then_some(())
    });
    let said =
        gateway.command(&["backup", &file, "--keys", "--passphrase-file", &phrase, "--json"]);
    let made = said.json();
    assert!(said.code == 0 && made["while_running"] == true, "{said:?}");
    let records = made["records"].as_u64().expect("a number");
    assert!(records > before.len() as u64, "{made}");
    gateway.stop();

    let (state, etc) = (gateway.path("new/state"), gateway.path("new"));
    let dry = blockgate(&["restore", &file, "--dry-run", "--passphrase-file", &phrase, "--json"]);
    assert_eq!((dry.code, &dry.json()["restored"]), (0, &false.into()), "{dry:?}");
    assert!(!etc.exists(), "a dry run writes nothing");
    let target = state.display().to_string();
    let wrong = blockgate(&["restore", &file, "--state", &target]);
    assert!(wrong.code == 1 && wrong.err.contains("口令"), "in both languages: {wrong:?}");
    let config = gateway.path("new/etc").display().to_string();
    let said = blockgate(&[
        "restore",
        &file,
        "--state",
        &target,
        "--config-to",
        &config,
        "--passphrase-file",
        &phrase,
    ]);
    assert_eq!(said.code, 0, "{said:?}");

    // The same journal up to there, the same key; the old box's is a continuation.
    let export = |state: &str| blockgate(&["journal", "export", "--state", state]);
    let (old, new) = (export(&gateway.path("state").display().to_string()), export(&target));
    assert!(old.out.starts_with(&new.out) && new.out.lines().count() as u64 == records);
    let verdict = verify(&state, &["--json"]).json();
    assert_eq!((&verdict["head"], &verdict["history_holds"]), (&made["head"], &true.into()));
    let key = |dir: &Path| std::fs::read(dir.join("head.key")).expect("a key");
    assert_eq!(key(&state), key(&gateway.path("state")));
    let conf = std::fs::read(Path::new(&config).join("blockgate.toml")).expect("the config");
    assert_eq!(conf, std::fs::read(gateway.config()).expect("the config"));
    let again = blockgate(&["restore", &file, "--state", &target, "--passphrase-file", &phrase]);
    assert!(again.code == 1 && again.err.contains("is not empty"), "{again:?}");

    // The new box goes on under another epoch, whose first record says where it begins. The old one's events have the
    // same numbers and are other events.
    let old = gateway.journal_from(records + 1);
    std::fs::rename(gateway.path("state"), gateway.path("lost")).expect("a name");
    std::fs::rename(&state, gateway.path("state")).expect("a name");
    for _ in 0..2 {
        gateway.start();
        gateway.stop();
    }
    let new = gateway.journal_from(records + 1);
    let epoch = &new[0]["bootid"];
    assert_eq!(
        (&new[0]["data"]["what"], &new[0]["data"]["after"], &new[0]["data"]["epoch"]),
        (&"restored".into(), &records.into(), epoch),
        "{}",
        new[0]
    );
    assert!(new.iter().all(|event| &event["epoch"] == epoch), "also after another start");
    assert!(old.iter().all(|event| event["epoch"].is_null()));
    let key = |event: &Value| [&event["epoch"], &event["seq"]].map(Value::to_string);
    let known: BTreeSet<_> = old.iter().map(key).collect();
    assert_eq!(old[0]["seq"], new[0]["seq"], "the same number");
    assert!(new.iter().all(|event| !known.contains(&key(event))), "another key");
    let verified = gateway.command(&["journal", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
}
