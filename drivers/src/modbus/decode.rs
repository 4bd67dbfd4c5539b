//! A captured frame, explained: `blockgate decode modbus HEX`.
//!
//! The bytes come from a person's trace and may be anything. What they are is found out by what
//! holds: a CRC makes it RTU, a header whose length is right makes it MBAP. A read request and a read
//! reply can have the same length, so a request is told from a reply by its byte count.

use super::frame::{crc, crc_holds};
use super::pdu::{Function, ReadRequest, exception_text};
use crate::decoded::Decoded;
use crate::hex::Hex;
use crate::profile::Profile;
use bytes::Bytes;

/// A profile, and which request the frame answers, to name its registers.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The device's profile.
    pub profile: &'a Profile,
    /// First register that was asked for; a reply does not say it.
    pub address: u16,
}

/// Decodes one frame. With a context, a read reply's registers are named and scaled.
#[must_use]
pub fn decode_frame(bytes: &[u8], context: Option<Context<'_>>) -> Decoded {
    let mut decoded = match mbap_body(bytes) {
        // One MBAP frame in 65,536 ends in what is a CRC of the rest: then the one whose PDU means something.
        Some((.., pdu)) if crc_holds(bytes) && bytes.len() >= 4 && !means_something(pdu) => {
            rtu(bytes)
        }
        Some((transaction, unit, pdu)) => {
            let mut decoded = Decoded::of("Modbus TCP");
            decoded.valid = true;
            decoded.field("transaction", transaction.to_string());
            decoded.field("unit", unit.to_string());
            decoded.pdu(pdu);
            decoded
        }
        None => rtu(bytes),
    };
    if let (Some(context), true, "reply") = (context, decoded.valid, decoded.kind) {
        decoded.name_registers(bytes, context);
    }
    decoded
}

/// Transaction, unit and PDU of a frame whose MBAP header holds.
fn mbap_body(bytes: &[u8]) -> Option<(u16, u8, &[u8])> {
    let (&[t_high, t_low, 0, 0, l_high, l_low, unit], pdu) = bytes.split_first_chunk::<7>()? else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([l_high, l_low]));
    (length == pdu.len() + 1 && (1..=253).contains(&pdu.len()))
        .then(|| (u16::from_be_bytes([t_high, t_low]), unit, pdu))
}

/// Whether a PDU is a request, a reply or an exception that is known.
fn means_something(pdu: &[u8]) -> bool {
    let mut decoded = Decoded::of("");
    decoded.valid = true;
    decoded.pdu(pdu);
    decoded.valid && matches!(decoded.kind, "request" | "reply" | "exception")
}

fn rtu(bytes: &[u8]) -> Decoded {
    let mut decoded = Decoded::of("Modbus RTU");
    let [unit, middle @ .., low, high] = bytes else {
        decoded.field("error", "a frame has at least 4 bytes".to_owned());
        return decoded;
    };
    decoded.field("unit", unit.to_string());
    decoded.valid = (4..=256).contains(&bytes.len());
    decoded.pdu(middle);
    let body = bytes.get(..bytes.len().saturating_sub(2)).unwrap_or_default();
    let right = crc(body).to_le_bytes();
    if right == [*low, *high] {
        decoded.field("crc", format!("{} right", Hex(&right)));
    } else {
        decoded.valid = false;
        decoded
            .field("crc", format!("{} wrong, it should be {}", Hex(&[*low, *high]), Hex(&right)));
    }
    decoded
}

impl Decoded {
    fn pdu(&mut self, pdu: &[u8]) {
        match *pdu {
            [] => self.wrong("there is no function code".to_owned()),
            [f, code] if f & 0x80 != 0 => {
                self.kind = "exception";
                let name = Function::from_code(f & 0x7F).map_or("another function", Function::text);
                self.field("function", format!("{:02X}H {name}", f & 0x7F));
                self.field("exception", format!("{code:02X}H {}", exception_text(code)));
            }
            [f, ref rest @ ..] => match Function::from_code(f) {
                Some(function) => {
                    self.field("function", format!("{f:02X}H {}", function.text()));
                    self.read(function, rest);
                }
                None => self.other(f, pdu),
            },
        }
    }

    fn read(&mut self, function: Function, rest: &[u8]) {
        let bits = matches!(function, Function::Coils | Function::DiscreteInputs);
        match *rest {
            [count, ref data @ ..]
                if usize::from(count) == data.len() && count > 0 && (bits || count % 2 == 0) =>
            {
                self.kind = "reply";
                self.field("byte count", count.to_string());
                self.data(function, data);
            }
            [a_high, a_low, q_high, q_low] => {
                self.kind = "request";
                let address = u16::from_be_bytes([a_high, a_low]);
                let quantity = u16::from_be_bytes([q_high, q_low]);
                self.field("address", format!("{address} ({address:04X}H)"));
                self.field("quantity", quantity.to_string());
                match ReadRequest::new(function, address, quantity) {
                    Ok(request) => self.request = Some(request),
                    Err(what) => self.wrong(what),
                }
            }
            [count, ref data @ ..] => {
                self.kind = "reply";
                self.wrong(format!("the byte count is {count}, and {} bytes follow", data.len()));
            }
            [] => self.wrong("the frame ends after the function code".to_owned()),
        }
    }

    fn data(&mut self, function: Function, data: &[u8]) {
        match function {
            Function::Coils | Function::DiscreteInputs => {
                let bits = data.iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit) & 1));
                let bits: String = bits.map(|bit| if bit == 1 { '1' } else { '0' }).collect();
                self.field("bits, first one first", bits);
            }
            Function::HoldingRegisters | Function::InputRegisters => {
                let words = data.chunks(2).map(|word| format!("{}", Hex(word)).replace(' ', ""));
                self.field("registers", words.collect::<Vec<_>>().join(" "));
            }
        }
    }

    /// A function that is no read: tokio-modbus's decoder tells what it knows of those whose length
    /// is fixed. Its decoder of the others trusts the quantity: 0FH indexes beyond the bytes, 10H and
    /// 17H overflow.
    fn other(&mut self, function: u8, pdu: &[u8]) {
        self.field("function", format!("{function:02X}H"));
        let bytes = Bytes::copy_from_slice(pdu);
        let fixed = matches!(function, 0x05 | 0x06 | 0x11 | 0x16);
        let known = fixed.then(|| tokio_modbus::Request::try_from(bytes).ok()).flatten();
        match known {
            Some(request) => self.field("as a request", format!("{request:?}")),
            None => self.field("data", Hex(pdu.get(1..).unwrap_or_default()).to_string()),
        }
    }

    fn name_registers(&mut self, bytes: &[u8], context: Context<'_>) {
        let pdu = match self.framing {
            "Modbus TCP" => bytes.get(7..),
            _ => bytes.get(1..bytes.len().saturating_sub(2)),
        };
        let Some([code, _, data @ ..]) = pdu else { return };
        let quantity = u16::try_from(data.len() / 2).unwrap_or(0);
        let request = Function::from_code(*code)
            .and_then(|function| ReadRequest::new(function, context.address, quantity).ok());
        let Some(request) = request else { return };
        for (spec, value) in context.profile.values_in(request, data) {
            let text = match value {
                Ok(Some(value)) => format!("{value} {}", spec.unit),
                Ok(None) => "no value".to_owned(),
                Err(fault) => fault.what,
            };
            self.values.push((spec.name.to_string(), text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::parse_hex;

    fn lines(hex: &str) -> String {
        let d = decode_frame(&parse_hex(hex).unwrap(), None);
        let fields = d.fields.iter().map(|(name, value)| format!("{name}: {value}"));
        let valid = if d.valid { "valid" } else { "INVALID" };
        format!("{} {} {valid}; {}", d.framing, d.kind, fields.collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn a_captured_frame_is_explained() {
        for (hex, want) in [
            // TUF-2000M manual; worked example of Modbus over Serial Line; pymodbus 3.16.1.
            (
                "01 03 00 00 00 0A C5 CD",
                "Modbus RTU request valid; unit: 1; function: 03H read holding registers; address: 0 (0000H); quantity: 10; crc: C5 CD right",
            ),
            (
                "01 04 04 42 48 0A 3D A8 9B",
                "Modbus RTU reply valid; unit: 1; function: 04H read input registers; byte count: 4; registers: 4248 0A3D; crc: A8 9B right",
            ),
            (
                "01 84 02 C2 C1",
                "Modbus RTU exception valid; unit: 1; function: 04H read input registers; exception: 02H the device has no register at this address; crc: C2 C1 right",
            ),
            (
                "00 06 00 00 00 06 01 04 01 F4 00 02",
                "Modbus TCP request valid; transaction: 6; unit: 1; function: 04H read input registers; address: 500 (01F4H); quantity: 2",
            ),
            (
                "00 02 00 00 00 07 01 04 04 45 35 10 00",
                "Modbus TCP reply valid; transaction: 2; unit: 1; function: 04H read input registers; byte count: 4; registers: 4535 1000",
            ),
            (
                "01 04 04 42 48 0A 3D A8 9C",
                "Modbus RTU reply INVALID; unit: 1; function: 04H read input registers; byte count: 4; registers: 4248 0A3D; crc: A8 9C wrong, it should be A8 9B",
            ),
            (
                "00 02 00 00 00 07 01 04 06 45 35 10 00",
                "Modbus TCP reply INVALID; transaction: 2; unit: 1; function: 04H read input registers; error: the byte count is 6, and 4 bytes follow",
            ),
            (
                "00 01 00 00 00 05 01 01 02 05 80",
                "Modbus TCP reply valid; transaction: 1; unit: 1; function: 01H read coils; byte count: 2; bits, first one first: 1010000000000001",
            ),
            (
                "00 01 00 00 00 06 01 06 00 10 00 03",
                "Modbus TCP unknown valid; transaction: 1; unit: 1; function: 06H; as a request: WriteSingleRegister(16, 3)",
            ),
            ("01", "Modbus RTU unknown INVALID; error: a frame has at least 4 bytes"),
            ("", "Modbus RTU unknown INVALID; error: a frame has at least 4 bytes"),
        ] {
            assert_eq!(lines(hex), want, "{hex}");
        }
    }

    #[test]
    fn with_a_profile_the_registers_have_names() {
        let profile = Profile::shipped_by_id("eastron-sdm630").unwrap();
        let bytes = parse_hex("01 04 04 46 40 E6 B6 24 CE").unwrap();
        let at = |address| decode_frame(&bytes, Some(Context { profile, address })).values;
        assert_eq!(at(72), [("energy_import".to_owned(), "12345.68 kWh".to_owned())]);
        assert_eq!(at(73), []);
    }

    proptest::proptest! {
        // drivers: invariant 3 (lib.rs).
        #[test]
        fn any_bytes_are_explained_without_panic(
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
            function in 0_u8..0x30,
        ) {
            let profile = Profile::shipped_by_id("tuf-2000m").unwrap();
            let _ = decode_frame(&bytes, Some(Context { profile, address: 0 }));
            let length = u16::try_from(bytes.len() + 2).unwrap().to_be_bytes();
            let framed = [&[0, 1, 0, 0, length[0], length[1], 1, function], &bytes[..]].concat();
            let _ = decode_frame(&framed, Some(Context { profile, address: 0 }));
        }
    }
}
