//! The simulator's own encoders: values into registers, frames onto the wire.

use crate::profile::Part;
use crate::profile::format::{Format, Order};
use blockgate_types::Decimal;
use rust_decimal::prelude::ToPrimitive;

/// CRC-16/MODBUS bit by bit, in the order in which it goes onto the wire.
pub(super) fn crc16(bytes: &[u8]) -> [u8; 2] {
    let mut register: u16 = 0xFFFF;
    for byte in bytes {
        register ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = register & 1 != 0;
            register >>= 1;
            if carry {
                register ^= 0xA001;
            }
        }
    }
    register.to_le_bytes()
}

/// A value's registers on the wire. What does not fit the format becomes its largest value: a meter
/// has no other way either.
pub(super) fn registers(value: Decimal, part: &Part) -> Vec<u8> {
    let raw = value.checked_div(part.scale).unwrap_or(Decimal::ZERO);
    let whole = raw.round();
    let straight: Vec<u8> = match part.format {
        Format::U16 => whole.to_u16().unwrap_or(u16::MAX).to_be_bytes().to_vec(),
        Format::I16 => whole.to_i16().unwrap_or(i16::MAX).to_be_bytes().to_vec(),
        Format::U32 => whole.to_u32().unwrap_or(u32::MAX).to_be_bytes().to_vec(),
        Format::I32 => whole.to_i32().unwrap_or(i32::MAX).to_be_bytes().to_vec(),
        Format::U64 => whole.to_u64().unwrap_or(u64::MAX).to_be_bytes().to_vec(),
        Format::I64 => whole.to_i64().unwrap_or(i64::MAX).to_be_bytes().to_vec(),
        Format::F32 => nearest::<f32>(raw).to_be_bytes().to_vec(),
        Format::F64 => nearest::<f64>(raw).to_be_bytes().to_vec(),
        Format::Bcd16 | Format::Bcd32 | Format::Bcd64 => {
            let digits = usize::from(part.format.registers()) * 4;
            let text = format!("{:0digits$}", whole.to_u64().unwrap_or(0));
            text.as_bytes()
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | (digit & 0x0F)))
                .collect()
        }
        Format::Digits8 | Format::Digits16 => {
            let digits = usize::from(part.format.registers()) * 4;
            let text = format!("{:0digits$}", whole.to_u64().unwrap_or(0));
            text.as_bytes()
                .chunks(4)
                .map(|four| four.iter().fold(0_u16, |n, digit| n * 10 + u16::from(digit & 0x0F)))
                .flat_map(u16::to_be_bytes)
                .collect()
        }
    };
    in_order(straight, part.order)
}

/// The float nearest to a decimal: the standard library's parser rounds correctly.
fn nearest<T: std::str::FromStr + Default>(value: Decimal) -> T {
    value.to_string().parse().unwrap_or_default()
}

/// From high-first bytes to the order on the wire.
pub(super) fn in_order(straight: Vec<u8>, order: Order) -> Vec<u8> {
    let mut words: Vec<[u8; 2]> = straight.as_chunks::<2>().0.to_vec();
    match order {
        Order::Abcd => {}
        Order::Cdab => words.reverse(),
        Order::Badc => words.iter_mut().for_each(|word| word.reverse()),
        Order::Dcba => {
            words.reverse();
            words.iter_mut().for_each(|word| word.reverse());
        }
    }
    words.concat()
}

/// Not a number, where the format has one; otherwise digits that are none.
pub(super) fn not_a_number(part: &Part) -> Vec<u8> {
    let straight = match part.format {
        Format::F32 => vec![0x7F, 0xC0, 0, 0],
        Format::F64 => vec![0x7F, 0xF8, 0, 0, 0, 0, 0, 0],
        Format::U16
        | Format::I16
        | Format::U32
        | Format::I32
        | Format::U64
        | Format::I64
        | Format::Bcd16
        | Format::Bcd32
        | Format::Bcd64
        | Format::Digits8
        | Format::Digits16 => vec![0xFF; usize::from(part.format.registers()) * 2],
    };
    in_order(straight, part.order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::Hex;
    use blockgate_types::parse_decimal;

    #[test]
    fn the_simulator_writes_numbers_as_meters_do() {
        for (value, format, order, scale, want) in [
            // Simulated SDM630 of pymodbus 3.16.1.
            ("230.1", Format::F32, Order::Abcd, "1", "43 66 19 9A"),
            ("12400.5", Format::F32, Order::Abcd, "1", "46 41 C2 00"),
            ("12345.67", Format::U32, Order::Abcd, "0.01", "00 12 D6 87"),
            ("-1178", Format::I16, Order::Abcd, "1", "FB 66"),
            ("70123", Format::I32, Order::Cdab, "1", "11 EB 00 01"),
            ("1234", Format::Bcd32, Order::Abcd, "1", "00 00 12 34"),
            ("12345678", Format::Digits8, Order::Abcd, "1", "04 D2 16 2E"),
            ("16909060", Format::U32, Order::Badc, "1", "02 01 04 03"),
            ("16909060", Format::U32, Order::Dcba, "1", "04 03 02 01"),
        ] {
            let scale = parse_decimal(scale).unwrap();
            let part = Part { address: 0, format, order, scale };
            let bytes = registers(parse_decimal(value).unwrap(), &part);
            assert_eq!(Hex(&bytes).to_string(), want, "{value} {format:?}");
        }
        // Modbus over Serial Line V1.02's own example frame.
        assert_eq!(crc16(&[0x01, 0x04, 0, 0, 0, 2]), [0x71, 0xCB]);
    }
}
