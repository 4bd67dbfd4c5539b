//! What is asked: a function, an address, a quantity; and what an exception says.

/// Most registers that one read may ask for (Application Protocol V1.1b3, 6.3 and 6.4).
pub const REGISTERS_MAX: u16 = 125;
/// Most coils or inputs that one read may ask for (6.1 and 6.2).
pub const BITS_MAX: u16 = 2000;

/// The read functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// 01: read coils.
    Coils,
    /// 02: read discrete inputs.
    DiscreteInputs,
    /// 03: read holding registers.
    HoldingRegisters,
    /// 04: read input registers.
    InputRegisters,
}

impl Function {
    /// The function code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Coils => 1,
            Self::DiscreteInputs => 2,
            Self::HoldingRegisters => 3,
            Self::InputRegisters => 4,
        }
    }

    /// The function of a code, where it is a read.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Coils),
            2 => Some(Self::DiscreteInputs),
            3 => Some(Self::HoldingRegisters),
            4 => Some(Self::InputRegisters),
            _ => None,
        }
    }

    /// The function's name in the standard's words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Coils => "read coils",
            Self::DiscreteInputs => "read discrete inputs",
            Self::HoldingRegisters => "read holding registers",
            Self::InputRegisters => "read input registers",
        }
    }
}

/// One read: a table, where it begins, how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadRequest {
    /// Which table.
    pub function: Function,
    /// First register or coil, as on the wire: from 0.
    pub address: u16,
    /// Registers (03, 04: 1 to 125) or coils (01, 02: 1 to 2000).
    pub quantity: u16,
}

impl ReadRequest {
    /// Checks the quantity against the standard's limits and the end of the address space.
    ///
    /// # Errors
    /// A sentence that names the limit.
    pub fn new(function: Function, address: u16, quantity: u16) -> Result<Self, String> {
        let most = match function {
            Function::Coils | Function::DiscreteInputs => BITS_MAX,
            Function::HoldingRegisters | Function::InputRegisters => REGISTERS_MAX,
        };
        if quantity == 0 || quantity > most {
            return Err(format!(
                "{} takes a quantity of 1 to {most}, not {quantity}",
                function.text()
            ));
        }
        if u32::from(address) + u32::from(quantity) > 65_536 {
            return Err(format!("{quantity} from address {address} reach beyond 65535"));
        }
        Ok(Self { function, address, quantity })
    }

    /// Bytes of data in the right reply, 1 to 250: the value of its byte count.
    #[must_use]
    pub fn data_bytes(self) -> u8 {
        let bytes = match self.function {
            Function::Coils | Function::DiscreteInputs => self.quantity.div_ceil(8),
            Function::HoldingRegisters | Function::InputRegisters => {
                self.quantity.saturating_mul(2)
            }
        };
        u8::try_from(bytes).unwrap_or(u8::MAX)
    }

    /// The five bytes of the request's PDU.
    #[must_use]
    pub fn pdu(self) -> [u8; 5] {
        let [address_high, address_low] = self.address.to_be_bytes();
        let [quantity_high, quantity_low] = self.quantity.to_be_bytes();
        [self.function.code(), address_high, address_low, quantity_high, quantity_low]
    }
}

/// A read, and whom it asks: what a reply is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Unit id: 1 to 247 on a serial line; 0, 1 or 255 for a device that is alone on TCP.
    pub unit: u8,
    /// What is read.
    pub read: ReadRequest,
}

/// What an exception code means, in plain English (Application Protocol V1.1b3, section 7).
#[must_use]
pub fn exception_text(code: u8) -> &'static str {
    use tokio_modbus::ExceptionCode as E;
    match E::new(code) {
        E::IllegalFunction => "the device does not know this function",
        E::IllegalDataAddress => "the device has no register at this address",
        E::IllegalDataValue => "the device refuses this quantity or value",
        E::ServerDeviceFailure => "the device reports a failure of its own",
        E::Acknowledge => "the device accepted and needs longer",
        E::ServerDeviceBusy => "the device is busy",
        E::MemoryParityError => "the device reports a memory error",
        E::GatewayPathUnavailable => "the gateway has no path to the device",
        E::GatewayTargetDevice => "the gateway's device did not answer",
        E::Custom(_) => "an exception that the standard does not name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_outside_the_standard_are_refused() {
        use Function::{Coils, HoldingRegisters};
        for (function, address, quantity, good) in [
            (HoldingRegisters, 0, 1, true),
            (HoldingRegisters, 0, 125, true),
            (HoldingRegisters, 0, 126, false),
            (HoldingRegisters, 0, 0, false),
            (HoldingRegisters, 65_535, 1, true),
            (HoldingRegisters, 65_535, 2, false),
            (Coils, 0, 2000, true),
            (Coils, 0, 2001, false),
        ] {
            let read = ReadRequest::new(function, address, quantity);
            assert_eq!(read.is_ok(), good, "{function:?} {address} {quantity}");
        }
        assert_eq!(ReadRequest::new(Coils, 0, 9).unwrap().data_bytes(), 2);
        assert_eq!(ReadRequest::new(HoldingRegisters, 0, 125).unwrap().data_bytes(), 250);
    }

    #[test]
    fn tokio_modbus_reads_our_requests_as_we_mean_them() {
        for (function, code) in [
            (Function::Coils, 1),
            (Function::DiscreteInputs, 2),
            (Function::HoldingRegisters, 3),
            (Function::InputRegisters, 4),
        ] {
            assert_eq!(function.code(), code);
            assert_eq!(Function::from_code(code), Some(function));
            let read = ReadRequest::new(function, 0x1234, 17).unwrap();
            let theirs =
                tokio_modbus::Request::try_from(bytes::Bytes::copy_from_slice(&read.pdu()));
            use tokio_modbus::Request as R;
            let want = match function {
                Function::Coils => R::ReadCoils(0x1234, 17),
                Function::DiscreteInputs => R::ReadDiscreteInputs(0x1234, 17),
                Function::HoldingRegisters => R::ReadHoldingRegisters(0x1234, 17),
                Function::InputRegisters => R::ReadInputRegisters(0x1234, 17),
            };
            assert_eq!(theirs.unwrap(), want);
        }
    }
}
