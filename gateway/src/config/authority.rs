//! The file with which a meter is told something: level, password and operator of DL/T 645. Never in the
//! config's text, never in a log.
//!
//! ```toml
//! level = "02"             # 00 to 97; 98 and 99 ask for a security chip
//! password = "000000"      # six digits, as the meter's manual prints them
//! operator = "00000000"    # eight digits; may be left out
//! ```

use crate::http::secret_file;
use blockgate_drivers::dlt645::order::Authority;
use blockgate_types::strict::Document;
use std::path::Path;

/// Reads an authority; others must not be able to read the file.
///
/// # Errors
/// A sentence for people, without anything of what the file holds.
pub fn read(file: &Path) -> Result<Authority, String> {
    let place = file.display();
    let text = secret_file::read(file).map_err(|fault| format!("authority_file {fault}"))?;
    let text = text.ok_or_else(|| format!("authority_file {place}: there is no such file"))?;
    parse(&text).map_err(|why| format!("authority_file {place}: {why}"))
}

fn parse(text: &str) -> Result<Authority, &'static str> {
    const FORM: &str = "it needs level = \"02\", password = \"\u{2026}\" with six digits and, where it is \
                        asked for, operator = \"\u{2026}\" with eight, and nothing else";
    let document = Document::parse(text);
    let root = document.root();
    let level = root.need_text("level").and_then(digits::<1>);
    let password = root.need_text("password").and_then(digits::<3>);
    let operator = root.text("operator").map_or(Some([0; 4]), digits::<4>);
    root.done();
    // The faults themselves could quote the secret.
    if !document.faults().is_empty() {
        return Err(FORM);
    }
    let (Some([level]), Some(password), Some(operator)) = (level, password, operator) else {
        return Err(FORM);
    };
    if level >= 0x98 {
        return Err("levels 98 and 99 ask for a cipher of a security chip, which nobody here has");
    }
    Ok(Authority { level, password, operator })
}

/// Digits as printed, high first, to bytes in the order of the wire, low first.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_number = text.len() == 2 * N && text.bytes().all(|b| b.is_ascii_digit());
    let bytes = blockgate_drivers::hex::parse_hex(text).ok().filter(|_| is_number)?;
    let mut bytes: [u8; N] = bytes.try_into().ok()?;
    bytes.reverse();
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_file_says_who_orders_and_a_wrong_one_says_nothing_of_its_secret() {
        let good =
            parse("level = \"02\"\npassword = \"123456\"\noperator = \"00000007\"\n").unwrap();
        assert_eq!(
            (good.level, good.password, good.operator),
            (2, [0x56, 0x34, 0x12], [7, 0, 0, 0])
        );
        assert_eq!(parse("level = \"04\"\npassword = \"000000\"").unwrap().operator, [0; 4]);
        for bad in [
            "password = \"123456\"",
            "level = \"02\"\npassword = \"12345x\"",
            "level = \"02\"\npassword = \"1234567\"",
            "level = \"02\"\npassword = \"123456\"\npin = \"1\"",
            "level = \"98\"\npassword = \"123456\"",
        ] {
            let why = parse(bad).unwrap_err();
            assert!(!why.contains("1234"), "{why}");
        }
        assert!(!format!("{good:?}").contains("52"), "{good:?}");
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("authority.toml");
        assert!(read(&file).unwrap_err().ends_with("there is no such file"));
        std::fs::write(&file, "level = \"02\"\npassword = \"123456\"").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read(&file).unwrap_err().contains("0600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&file).unwrap().level, 2);
    }
}
