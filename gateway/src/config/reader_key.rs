//! The file with an OSDP reader's key: 32 hexadecimal digits in its first line. Never in the config's
//! text, never in a log.

use crate::http::secret_file;
use crate::telemetry::redact;
use blockgate_drivers::door::osdp::{DEFAULT_KEY, Key};
use std::path::Path;

/// Reads a key; others must not be able to read the file.
///
/// # Errors
/// A sentence for people, without anything of what the file holds.
pub fn read(file: &Path) -> Result<Key, String> {
    let place = file.display();
    let text = secret_file::read(file).map_err(|fault| format!("key_file {fault}"))?;
    let text = text.ok_or_else(|| format!("key_file {place}: there is no such file"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    let bytes = blockgate_drivers::hex::parse_hex(line).ok();
    let key: Option<Key> = bytes.and_then(|bytes| bytes.try_into().ok());
    match key {
        None => Err(format!("key_file {place}: it needs 32 hexadecimal digits in its first line")),
        Some(DEFAULT_KEY) => Err(format!(
            "key_file {place}: this is the key that every reader comes with, which everybody knows: \
             give the reader one of its own"
        )),
        Some(key) => {
            redact::remember(line);
            Ok(key)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_read_and_the_one_that_everybody_knows_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("reader.key");
        let told = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&file)
        };
        assert!(read(&file).unwrap_err().ends_with("there is no such file"));
        let good = "000102030405060708090A0B0C0D0E0F\n";
        assert_eq!(told(good, 0o600).unwrap()[15], 15);
        assert!(told(good, 0o644).unwrap_err().contains("0600"));
        let why = told("00010203\n", 0o600).unwrap_err();
        assert!(why.contains("32 hexadecimal digits") && !why.contains("0102"), "{why}");
        let known = "303132333435363738393A3B3C3D3E3F";
        assert!(told(known, 0o600).unwrap_err().contains("everybody knows"));
    }
}
