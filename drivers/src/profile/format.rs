//! How a number stands in registers: a closed list of formats and of word orders.

use blockgate_types::Decimal;
use std::fmt::Write as _;

/// How a value is written in registers. A format that is not here needs code, never an expression in
/// a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Unsigned, one register.
    U16,
    /// Two's complement, one register.
    I16,
    /// Unsigned, two registers.
    U32,
    /// Two's complement, two registers.
    I32,
    /// Unsigned, four registers.
    U64,
    /// Two's complement, four registers.
    I64,
    /// IEEE 754 single, two registers.
    F32,
    /// IEEE 754 double, four registers.
    F64,
    /// Packed BCD, 4 digits.
    Bcd16,
    /// Packed BCD, 8 digits.
    Bcd32,
    /// Packed BCD, 16 digits.
    Bcd64,
    /// Two registers that hold four decimal digits each as a number from 0 to 9999.
    Digits8,
    /// Four registers of that kind.
    Digits16,
}

impl Format {
    /// How many registers it fills: 1, 2 or 4.
    #[must_use]
    pub fn registers(self) -> u16 {
        match self {
            Self::U16 | Self::I16 | Self::Bcd16 => 1,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 | Self::Digits8 => 2,
            Self::U64 | Self::I64 | Self::F64 | Self::Bcd64 | Self::Digits16 => 4,
        }
    }

    /// Whether it is a binary float, whose values need rounding.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// The order of bytes; A is the most significant. With four registers the same rule holds for words
/// and for the bytes inside a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub enum Order {
    /// High word first, high byte first: what Modbus itself prescribes for a word.
    #[default]
    #[serde(rename = "ABCD")]
    Abcd,
    /// Low word first, high byte first.
    #[serde(rename = "CDAB")]
    Cdab,
    /// High word first, low byte first.
    #[serde(rename = "BADC")]
    Badc,
    /// Low word first, low byte first: little endian throughout.
    #[serde(rename = "DCBA")]
    Dcba,
}

impl Order {
    fn low_word_first(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    fn low_byte_first(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    /// The bytes of a value in the order A B C D, right-aligned in eight; `None` for another length
    /// than 2, 4 or 8 bytes.
    #[must_use]
    pub fn straighten(self, wire: &[u8]) -> Option<[u8; 8]> {
        if !matches!(wire.len(), 2 | 4 | 8) {
            return None;
        }
        let mut number: u64 = 0;
        let mut put = |word: &[u8]| {
            if let [first, second] = *word {
                let (high, low) =
                    if self.low_byte_first() { (second, first) } else { (first, second) };
                number = (number << 16) | u64::from(u16::from_be_bytes([high, low]));
            }
        };
        if self.low_word_first() {
            wire.chunks_exact(2).rev().for_each(&mut put);
        } else {
            wire.chunks_exact(2).for_each(&mut put);
        }
        Some(number.to_be_bytes())
    }
}

/// Why bytes are not a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatError {
    /// Not the bytes of this format: our own mistake, never the device's.
    Length,
    /// Not a number or infinite.
    NotFinite,
    /// A half-byte above 9, or four digits above 9999.
    NotDigits,
    /// Beyond 15 digits before the point.
    TooLarge,
}

impl std::fmt::Display for FormatError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Length => "holds another number of bytes than its format has",
            Self::NotFinite => "is not a number (NaN or infinite)",
            Self::NotDigits => "has digits that are none",
            Self::TooLarge => "is too large to be a reading",
        })
    }
}

impl Format {
    /// The number in the bytes of its registers, unscaled.
    ///
    /// A float becomes the shortest decimal that reads back as the same float: 0x43664CCD is
    /// 230.3, not 230.30000305….
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn decode(self, order: Order, wire: &[u8]) -> Result<Decimal, FormatError> {
        if wire.len() != usize::from(self.registers()) * 2 {
            return Err(FormatError::Length);
        }
        let eight = order.straighten(wire).ok_or(FormatError::Length)?;
        let [.., c, d] = eight;
        let [_, _, _, _, four @ ..] = eight;
        match self {
            Self::U16 => Ok(u16::from_be_bytes([c, d]).into()),
            Self::I16 => Ok(i16::from_be_bytes([c, d]).into()),
            Self::U32 => Ok(u32::from_be_bytes(four).into()),
            Self::I32 => Ok(i32::from_be_bytes(four).into()),
            Self::U64 => Ok(u64::from_be_bytes(eight).into()),
            Self::I64 => Ok(i64::from_be_bytes(eight).into()),
            Self::F32 => {
                let x = f32::from_be_bytes(four);
                shortest(x, f64::from(x))
            }
            Self::F64 => {
                let x = f64::from_be_bytes(eight);
                shortest(x, x)
            }
            Self::Bcd16 | Self::Bcd32 | Self::Bcd64 => {
                let half_bytes = eight.into_iter().flat_map(|b| [b >> 4, b & 0x0F]);
                digits(half_bytes.map(u64::from), 10)
            }
            Self::Digits8 | Self::Digits16 => {
                let words = eight.as_chunks::<2>().0.iter();
                digits(words.map(|w| u64::from(u16::from_be_bytes(*w))), 10_000)
            }
        }
    }
}

fn digits(places: impl Iterator<Item = u64>, base: u64) -> Result<Decimal, FormatError> {
    let mut number: u64 = 0;
    for place in places {
        if place >= base {
            return Err(FormatError::NotDigits);
        }
        // At most sixteen digits: no overflow.
        number = number.wrapping_mul(base).wrapping_add(place);
    }
    Ok(number.into())
}

/// Longest text of a float between the two bounds below: sign, "0.", 15 zeros, 17 digits.
const FLOAT_TEXT_MAX: usize = 40;

/// The shortest decimal of a float `x`, whose magnitude is that of `wide`.
fn shortest(x: impl std::fmt::Display, wide: f64) -> Result<Decimal, FormatError> {
    if !wide.is_finite() {
        return Err(FormatError::NotFinite);
    }
    if wide.abs() >= 1e15 {
        return Err(FormatError::TooLarge);
    }
    // Below any decimals that a profile can name: no reading, and hundreds of digits long.
    if wide.abs() < 1e-12 {
        return Ok(Decimal::ZERO);
    }
    let mut text = Text { bytes: [0; FLOAT_TEXT_MAX], len: 0 };
    // A text that does not fit is cut, far behind the last decimal that a profile can name.
    let _cut = write!(text, "{x}");
    text.number().ok_or(FormatError::TooLarge)
}

/// Decimals that are kept of a float: far more than a profile can name.
const SCALE_MAX: u32 = 24;

/// A short text on the stack.
struct Text {
    bytes: [u8; FLOAT_TEXT_MAX],
    len: usize,
}

impl Text {
    /// The number that a float printed: `-?[0-9]+(\.[0-9]+)?`. At most 17 digits stand behind the
    /// leading zeros, so that they fit 64 bits; what lies behind [`SCALE_MAX`] decimals is cut.
    fn number(&self) -> Option<Decimal> {
        let (mut mantissa, mut scale, mut point, mut sign) = (0_i64, 0_u32, false, 1);
        for byte in self.bytes.get(..self.len)? {
            match byte {
                b'-' => sign = -1,
                b'.' => point = true,
                b'0'..=b'9' if scale < SCALE_MAX => {
                    let digit = i64::from(byte & 0x0F);
                    mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
                    scale += u32::from(point);
                }
                b'0'..=b'9' => break,
                _ => return None,
            }
        }
        Decimal::try_new(mantissa.checked_mul(sign)?, scale).ok()
    }
}

impl std::fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        let fits = s.len().min(free.len());
        if let (Some(to), Some(from)) = (free.get_mut(..fits), s.as_bytes().get(..fits)) {
            to.copy_from_slice(from);
        }
        self.len += fits;
        if fits == s.len() { Ok(()) } else { Err(std::fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::parse_hex;

    fn decode(format: Format, order: Order, hex: &str) -> String {
        match format.decode(order, &parse_hex(hex).unwrap()) {
            Ok(value) => value.to_string(),
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn every_format_reads_its_registers() {
        use Format as F;
        use Order::Abcd;
        for (format, hex, want) in [
            (F::U16, "FFFF", "65535"),
            (F::I16, "FFFF", "-1"),
            (F::U32, "0001 0000", "65536"),
            (F::I32, "FFFF FFFE", "-2"),
            (F::U64, "0000 0001 0000 0000", "4294967296"),
            (F::I64, "FFFF FFFF FFFF FFFF", "-1"),
            (F::U64, "FFFF FFFF FFFF FFFF", "18446744073709551615"),
            (F::F32, "4640 E6B6", "12345.678"),
            (F::F32, "4366 199A", "230.1"),
            (F::F32, "C2C8 0000", "-100"),
            (F::F32, "8000 0000", "0"),
            (F::F32, "0000 0001", "0"),
            (F::F32, "7FC0 0000", "NotFinite"),
            (F::F32, "FF80 0000", "NotFinite"),
            (F::F32, "7F7F FFFF", "TooLarge"),
            (F::F64, "40C8 1CD6 E978 D4FE", "12345.679"),
            (F::F64, "7FF0 0000 0000 0000", "NotFinite"),
            (F::F64, "0000 0000 0000 0001", "0"),
            (F::F64, "3FD5 5555 5555 5555", "0.3333333333333333"),
            (F::Bcd16, "9876", "9876"),
            (F::Bcd32, "0012 3456", "123456"),
            (F::Bcd32, "00A2 3456", "NotDigits"),
            (F::Bcd32, "FFFF FFFF", "NotDigits"),
            (F::Bcd64, "9999 9999 9999 9999", "9999999999999999"),
            (F::Digits8, "04D2 162E", "12345678"),
            (F::Digits8, "04D2 2710", "NotDigits"),
            (F::Digits16, "0001 0000 0000 0002", "1000000000002"),
            (F::U32, "0001", "Length"),
            (F::U16, "0001 0002", "Length"),
        ] {
            assert_eq!(decode(format, Abcd, hex), want, "{format:?} {hex}");
        }
    }

    #[test]
    fn the_word_order_belongs_to_the_point() {
        for (order, hex) in [
            (Order::Abcd, "0102 0304"),
            (Order::Cdab, "0304 0102"),
            (Order::Badc, "0201 0403"),
            (Order::Dcba, "0403 0201"),
        ] {
            assert_eq!(decode(Format::U32, order, hex), 0x0102_0304.to_string(), "{order:?}");
        }
        let low_first = decode(Format::U64, Order::Cdab, "0708 0506 0304 0102");
        assert_eq!(low_first, 0x0102_0304_0506_0708_u64.to_string());
    }

    proptest::proptest! {
        #[test]
        fn any_registers_are_a_number_or_an_error(bytes: [u8; 8], float: bool) {
            for order in [Order::Abcd, Order::Cdab, Order::Badc, Order::Dcba] {
                let format = if float { Format::F64 } else { Format::Bcd64 };
                let _ = format.decode(order, &bytes);
                if let Some(four) = bytes.first_chunk::<4>() {
                    let _ = Format::F32.decode(order, four);
                }
            }
        }

        #[test]
        fn a_float_of_ordinary_size_reads_back_as_itself(x in -1.0e9_f32..1.0e9) {
            let value = Format::F32.decode(Order::Abcd, &x.to_be_bytes()).unwrap();
            if x.abs() >= 1e-6 {
                proptest::prop_assert_eq!(value.to_string().parse::<f32>().unwrap(), x);
            }
        }
    }
}
