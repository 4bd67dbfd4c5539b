//! Packed decimal digits, low byte first: how DL/T 645, CJ/T 188 and M-Bus write numbers.

use blockgate_types::Decimal;

/// Why bytes are not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDigits;

impl std::fmt::Display for NotDigits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("has digits that are none")
    }
}

/// The number in packed digits, low byte first, with so many decimals.
///
/// With `signed` the top bit of the highest byte is the sign (DL/T 645-2007, annex A). Bytes that are
/// all FF are "no value". At most eight bytes.
///
/// # Errors
/// A digit above 9.
pub fn decode(bytes: &[u8], decimals: u32, signed: bool) -> Result<Option<Decimal>, NotDigits> {
    if bytes.is_empty() || bytes.len() > 8 {
        return Err(NotDigits);
    }
    if bytes.iter().all(|byte| *byte == 0xFF) {
        return Ok(None);
    }
    let mut number: i64 = 0;
    let mut negative = false;
    for (i, byte) in bytes.iter().rev().enumerate() {
        let byte = if i == 0 && signed {
            negative = byte & 0x80 != 0;
            byte & 0x7F
        } else {
            *byte
        };
        for digit in [byte >> 4, byte & 0x0F] {
            if digit > 9 {
                return Err(NotDigits);
            }
            number = number.wrapping_mul(10).wrapping_add(i64::from(digit));
        }
    }
    let number = Decimal::try_new(number, decimals).map_err(|_| NotDigits)?;
    Ok(Some(if negative && !number.is_zero() { -number } else { number }))
}

/// Two decimal digits of one byte; `None` where they are none.
#[must_use]
pub fn two(byte: u8) -> Option<u8> {
    let (high, low) = (byte >> 4, byte & 0x0F);
    (high <= 9 && low <= 9).then_some(high * 10 + low)
}

/// One byte of two digits, 0 to 99; larger numbers lose their hundreds.
#[must_use]
pub fn from_two(number: u8) -> u8 {
    let number = number % 100;
    ((number / 10) << 4) | (number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_signs_and_missing_values_are_told_apart() {
        let read = |bytes: &[u8], decimals, signed| {
            decode(bytes, decimals, signed).map(|v| v.map(|v| v.to_string()))
        };
        assert_eq!(read(&[0x56, 0x34, 0x12, 0x00], 2, false), Ok(Some("1234.56".to_owned())));
        assert_eq!(read(&[0x12, 0x25, 0x80], 4, true), Ok(Some("-0.2512".to_owned())));
        assert_eq!(read(&[0x12, 0x25, 0x80], 4, false), Ok(Some("80.2512".to_owned())));
        assert_eq!(read(&[0x00, 0x80], 1, true), Ok(Some("0.0".to_owned())));
        assert_eq!(read(&[0xFF, 0xFF], 1, true), Ok(None));
        assert_eq!(read(&[0x0A], 0, false), Err(NotDigits));
        assert_eq!(read(&[0xFF, 0x0F], 0, false), Err(NotDigits));
        assert_eq!(read(&[], 0, false), Err(NotDigits));
        assert_eq!((two(0x59), two(0x5A), from_two(59)), (Some(59), None, 0x59));
    }
}
