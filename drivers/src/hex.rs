//! Bytes as hexadecimal text, and back.

/// Shows bytes as upper-case hex with a blank between two bytes: `01 04 00 00 00 02 71 CB`.
///
/// Formatting happens only when the text is wanted, so that a disabled trace costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

/// Reads hex text in either case; blanks, line ends, `:` and `-` between bytes are skipped.
///
/// # Errors
/// A sentence that names the first character that is no hex digit, or says that a digit is missing.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high: Option<u8> = None;
    for (at, c) in text.chars().enumerate() {
        match (c.to_digit(16).and_then(|d| u8::try_from(d).ok()), high) {
            (Some(digit), None) => high = Some(digit << 4),
            (Some(digit), Some(h)) => {
                bytes.push(h | digit);
                high = None;
            }
            (None, None) if c.is_whitespace() || matches!(c, ':' | '-') => {}
            (None, _) => return Err(format!("character {} ({c:?}) is not a hex digit", at + 1)),
        }
    }
    if high.is_some() {
        return Err("the last byte has only one hex digit".to_owned());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_text_is_read_back() {
        let bytes = [0x01, 0x04, 0xAB, 0xff];
        assert_eq!(Hex(&bytes).to_string(), "01 04 AB FF");
        for text in ["01 04 AB FF", "0104abff", "01:04:ab:FF\n", " 01-04 AB ff "] {
            assert_eq!(parse_hex(text).unwrap(), bytes, "{text}");
        }
        for bad in ["0", "01 0", "0 1", "0x01", "GG", "01 04 é"] {
            assert!(parse_hex(bad).is_err(), "{bad}");
        }
    }
}
