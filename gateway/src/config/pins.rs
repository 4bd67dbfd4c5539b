//! The file with people's PINs: never in the config's text, never in a log. Controllers judge by
//! themselves and so must be given the PIN itself; a hash of six digits would be undone in a moment, and
//! so hides nothing. What protects it is that nobody else may read the file.
//!
//! ```text
//! # person PIN
//! p-0101 7531
//! ```

use crate::http::secret_file;
use crate::telemetry::redact;
use blockgate_types::PersonId;
use std::collections::BTreeMap;
use std::path::Path;

/// The largest PIN that every controller keeps.
const PIN_MAX: u32 = 999_999;

/// Reads it; others must not be able to.
///
/// # Errors
/// A sentence for people, without anything of what the file holds.
pub(super) fn read(file: &Path) -> Result<BTreeMap<PersonId, u32>, String> {
    let text = secret_file::read(file).map_err(|fault| format!("pins_file {fault}"))?;
    let text =
        text.ok_or_else(|| format!("pins_file {}: there is no such file", file.display()))?;
    let pins = parse(&text).map_err(|why| format!("pins_file {}: {why}", file.display()))?;
    pins.values().for_each(|pin| redact::remember(&pin.to_string()));
    Ok(pins)
}

fn parse(text: &str) -> Result<BTreeMap<PersonId, u32>, String> {
    let mut pins = BTreeMap::new();
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| format!("line {}: {what}", place + 1);
        let form = || fault("it is not a person and a PIN from 1 to 999999 without leading zeros");
        let (person, pin) = line.split_once(char::is_whitespace).ok_or_else(form)?;
        let person: PersonId = person.parse().map_err(|_| form())?;
        let pin = pin.trim();
        let digits = pin.bytes().all(|b| b.is_ascii_digit()) && !pin.starts_with('0');
        let pin: Option<u32> = pin.parse().ok().filter(|pin| digits && (1..=PIN_MAX).contains(pin));
        if pins.insert(person, pin.ok_or_else(form)?).is_some() {
            return Err(fault("this person has a PIN already"));
        }
    }
    Ok(pins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn pins_are_read_and_a_wrong_line_says_nothing_of_them() {
        let pins = parse("# people\n\np-1 7531\np-2\t 999999\n").unwrap();
        assert_eq!(pins.into_values().collect::<Vec<u32>>(), [7_531, 999_999]);
        for bad in ["p-1", "p-1 0123", "p-1 1234567", "p-1 12a4", "p 1 1", "p-1 1234\np-1 1235"] {
            let why = parse(bad).unwrap_err();
            assert!(why.starts_with("line ") && !why.contains("123"), "{why}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pins");
        assert!(read(&file).unwrap_err().ends_with("there is no such file"));
        std::fs::write(&file, "p-1 7531").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&file).unwrap_err().contains("0600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&file).unwrap().len(), 1);
    }
}
