//! The contract's documents judged from outside: what `blockgate contract` writes holds by validators
//! that are not ours, and so does what the tree keeps of earlier versions.

use blockgate_e2e::gateway::{blockgate, succeeds};
use blockgate_e2e::{python, source};
use std::path::Path;
use std::process::Command;

fn judged(folder: &Path) -> String {
    let mut judge = Command::new(python());
    judge.arg(source("tests/python/contract.py")).arg(folder);
    succeeds(judge.arg(source("tests/data/asyncapi/3.0.0.json.gz")))
}

#[test]
fn what_the_program_writes_holds_by_independent_validators() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("contract").display().to_string();
    let said = blockgate(&["contract", "--out", &out, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said: serde_json::Value = serde_json::from_str(&said.out).expect("one JSON document");
    assert!(said["files"].as_array().is_some_and(|files| files.len() > 60), "{said}");
    let judged = judged(Path::new(&out));
    assert!(judged.contains(" spoilt ones do not"), "{judged}");
}

#[test]
fn the_examples_of_every_version_hold_by_the_present_schemas() {
    let judged = judged(&source("docs/contract"));
    assert!(judged.contains(" versions hold"), "{judged}");
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_its_name() {
    let said = blockgate(&["contract", "--out", "/proc/none"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("/proc/none"), "{said:?}");
}
