//! What a rule file comes to, for tests of rule files.
#![allow(dead_code, reason = "each test file uses its part")]

use blockgate_rules::tariff::{RateOutput, TariffFile, rate_document};
use serde_json::Value;

/// The faults of a file, one line each: line, column, message; or how many tariffs it has.
pub(crate) fn faults(text: &str) -> String {
    match TariffFile::parse(text, "f.toml") {
        Ok(tariffs) => format!("valid: {}", tariffs.len()),
        Err(list) => {
            let lines = list.iter().map(|e| format!("{}:{}: {}", e.line, e.column, e.message));
            lines.collect::<Vec<_>>().join("\n")
        }
    }
}

/// What `blockgate rate` makes of a rule file and an input.
pub(crate) fn rated(rule: &str, input: &Value) -> RateOutput {
    let output = rate_document(rule, "rule.toml", &input.to_string(), "input.json");
    output.unwrap_or_else(|faults| panic!("{faults:?}\n{rule}\n{input}"))
}
