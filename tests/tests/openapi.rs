//! The API against its own document, by a program that knows nothing else of it: schemathesis makes
//! requests from the document, sound ones and odd ones. No answer is a server error, and none has a status
//! that the document does not name. Bounded, with a fixed seed; without schemathesis the test says so.

use blockgate_e2e::gateway::Gateway;
use blockgate_e2e::{python, source};
use std::process::{Command, Stdio};

#[test]
fn no_answer_of_the_api_is_a_server_error_or_undocumented() {
    let there = Command::new(python())
        .args(["-c", "import schemathesis"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        eprintln!("SKIPPED: Python has no schemathesis on this machine");
        return;
    }
    let mut gateway = Gateway::new("");
    gateway.start();
    let output = Command::new(python())
        .args(["-m", "schemathesis.cli", "run"])
        .arg(source("gateway/src/http/openapi.json"))
        .args(["--url", &format!("http://{}", gateway.address())])
        .args(["--header", &format!("Authorization: Bearer {}", Gateway::TOKEN)])
        .args(["--checks", "not_a_server_error,status_code_conformance"])
        .args(["--phases", "examples,fuzzing", "--max-examples", "5", "--seed", "7", "--no-color"])
        // A stream has no end; a scan would ask whatever address was made up.
        .args(["--exclude-path", "/v1/events", "--exclude-path", "/v1/scans"])
        .current_dir(gateway.folder())
        .output()
        .expect("python3 runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("Tested:"), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
}
