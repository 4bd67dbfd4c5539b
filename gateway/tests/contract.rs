//! The contract's files are what the code says, every message has an example that the code reads, and
//! the examples of every version are read for ever.

use blockgate::contract::{FOLDER, Way, files, messages};
use blockgate::mqtt::wire;
use blockgate::store::record;
use blockgate_rules::input::Order;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const REGENERATE: &str = "BLESS=1 cargo test -p blockgate --test contract";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(FOLDER)
}

/// Every file below a folder, by its path from there.
fn below(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut look = vec![folder.to_owned()];
    while let Some(next) = look.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                look.push(path);
            } else if let Ok(inside) = path.strip_prefix(folder) {
                found.insert(inside.display().to_string());
            }
        }
    }
    found
}

/// Files that belong to this version alone, and are written anew.
fn is_ours(path: &str) -> bool {
    let current = format!("examples/{}/", blockgate::contract::VERSION);
    path == "asyncapi.yaml" || path.starts_with("schemas/") || path.starts_with(&current)
}

#[test]
fn the_files_of_the_contract_are_what_the_code_says() {
    let wanted = files();
    if std::env::var_os("BLESS").is_some() {
        for path in below(&folder()).iter().filter(|path| is_ours(path)) {
            std::fs::remove_file(folder().join(path)).expect("an old file goes");
        }
        for file in &wanted {
            let path = folder().join(&file.path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, &file.text).expect("a file");
        }
    }
    let mut stale = Vec::new();
    for file in &wanted {
        let there = std::fs::read_to_string(folder().join(&file.path)).unwrap_or_default();
        if there != file.text {
            stale.push(file.path.clone());
        }
    }
    let names: BTreeSet<&str> = wanted.iter().map(|file| file.path.as_str()).collect();
    let there = below(&folder());
    stale.extend(there.iter().filter(|p| is_ours(p) && !names.contains(p.as_str())).cloned());
    assert!(
        stale.is_empty(),
        "{} files in {FOLDER} are not what the code says, {stale:?}: run  {REGENERATE}  and look at \
         what changed; only additions are allowed inside v1",
        stale.len()
    );
}

#[test]
fn every_message_has_an_example_that_the_code_reads() {
    for message in messages() {
        assert!(!message.examples.is_empty(), "{} has no example", message.name);
        assert!(
            message.without_example.is_empty(),
            "{}: no example that the code reads could be made for {:?}: give the words of its fields \
             a place in the tables of gateway/src/contract/sample.rs",
            message.name,
            message.without_example
        );
    }
}

/// Reads an example as the program reads the message.
fn read(message: &str, text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let bytes = serde_json::to_vec(&value).map_err(|e| e.to_string())?;
    let name = message.strip_suffix(".v1").ok_or("no version")?;
    match name {
        "receipt" => wire::receipt(&bytes).map(|_| ()),
        // What we only write: its form is held by its schema.
        "state" | "live" | "response" => Ok(()),
        command if command.starts_with("cmd-") => {
            wire::command(&command["cmd-".len()..], &bytes, false).map(|_| ()).map_err(|r| r.reason)
        }
        _ => {
            let record = record::decode(&bytes).map_err(|e| e.to_string())?;
            let again = serde_json::to_value(&record.data).map_err(|e| e.to_string())?;
            (again == value["data"]).then_some(()).ok_or_else(|| format!("was read as {again}"))
        }
    }
}

#[test]
fn the_examples_of_every_version_are_read_for_ever() {
    let examples = folder().join("examples");
    let mut read_of = std::collections::BTreeMap::new();
    for path in below(&examples) {
        let mut parts = path.split('/');
        let (version, message) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let text = std::fs::read_to_string(examples.join(&path)).expect("an example");
        if let Err(why) = read(message, &text) {
            panic!("{path}: {why}: a shipped message must be understood for ever");
        }
        *read_of.entry(version.to_owned()).or_insert(0) += 1;
    }
    assert!(read_of.values().sum::<usize>() >= 40, "{read_of:?}");
    assert!(read_of.contains_key(blockgate::contract::VERSION), "{read_of:?}");
}

#[test]
fn a_message_is_sent_or_taken_and_its_topic_says_so() {
    for message in messages() {
        let taken = message.topic == "receipt" || message.topic.starts_with("cmd/");
        assert_eq!(message.way == Way::In, taken, "{}", message.name);
    }
}

#[test]
fn every_order_has_its_message_and_the_list_of_names_is_whole() {
    let names: BTreeSet<String> =
        Order::NAMES.iter().map(|name| format!("cmd-{name}.v1")).collect();
    let messages: BTreeSet<String> =
        messages().into_iter().map(|m| m.name).filter(|name| name.starts_with("cmd-")).collect();
    assert_eq!(names.len(), Order::NAMES.len(), "a name stands twice");
    assert_eq!(names, messages);
}
