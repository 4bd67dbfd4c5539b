//! Anomaly rules: the shipped ones, and those of `rules.d`, of which one with the same id replaces a
//! shipped one.

use super::{FileFault, Text};
use blockgate_rules::anomaly::parse::{self, Rules};
use blockgate_rules::setup::Setup;
use blockgate_types::strict::{Fault, nearest};
use blockgate_types::{MeterId, TariffId};
use std::collections::BTreeMap;

/// Reads the rules of all files.
pub(super) fn read(texts: &[Text], faults: &mut Vec<FileFault>) -> Rules {
    let mut own = Rules::new();
    let mut files: BTreeMap<TariffId, &str> = BTreeMap::new();
    for text in texts {
        match parse::read(&text.text) {
            Ok(rules) => {
                for (id, rule) in rules {
                    if let Some(other) = files.insert(id.clone(), &text.name) {
                        let message = format!("anomaly rule {id} stands in {other} already");
                        faults.push(fault(text, &id, message));
                    }
                    own.insert(id, rule);
                }
            }
            Err(errors) => {
                for error in errors {
                    // Faults of syntax were found by the reader of the tariffs already.
                    let place = |known: &FileFault| {
                        known.file == text.name
                            && (known.fault.line, known.fault.column) == (error.line, error.column)
                    };
                    if !faults.iter().any(place) {
                        faults.push(FileFault { file: text.name.clone(), fault: error });
                    }
                }
            }
        }
    }
    let mut rules = parse::shipped();
    rules.extend(own);
    rules
}

/// Notes rules that name meters or buildings which are not there.
pub(super) fn check(setup: &Setup, texts: &[Text], faults: &mut Vec<FileFault>) {
    let known: Vec<&str> = setup.meters.keys().map(MeterId::as_str).collect();
    let buildings: Vec<&str> =
        setup.accounts.values().map(|account| account.building.as_str()).collect();
    for (id, rule) in &setup.anomalies {
        let Some(text) = texts.iter().find(|text| line_of(&text.text, id).is_some()) else {
            continue;
        };
        for meter in rule.of.meters.iter().chain(&rule.of.except) {
            if !setup.meters.contains_key(meter) {
                let near = nearest(meter.as_str(), &known);
                let near = near.map(|near| format!("; did you mean \"{near}\"?"));
                let near = near.unwrap_or_default();
                let message = format!("anomaly rule {id}: there is no meter \"{meter}\"{near}");
                faults.push(fault(text, id, message));
            }
        }
        for building in &rule.of.buildings {
            if !buildings.contains(&building.as_str()) {
                let message =
                    format!("anomaly rule {id}: no account is in building \"{building}\"");
                faults.push(fault(text, id, message));
            }
        }
    }
}

fn fault(text: &Text, id: &TariffId, message: String) -> FileFault {
    let line = line_of(&text.text, id).unwrap_or(1);
    FileFault { file: text.name.clone(), fault: Fault { line, column: 1, message } }
}

/// The line, from 1, at which a rule of an id stands in a text.
fn line_of(text: &str, id: &TariffId) -> Option<usize> {
    let wanted = format!("\"{id}\"");
    let mut inside = false;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.starts_with("[[anomaly]]");
        }
        let value = line.strip_prefix("id").map(|rest| rest.trim_start());
        let value = value.and_then(|rest| rest.strip_prefix('=')).map(str::trim_start);
        if inside && value.is_some_and(|value| value.starts_with(&wanted)) {
            return Some(n + 1);
        }
    }
    None
}
