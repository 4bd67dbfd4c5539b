//! Where a meter stands on its line, in the form of its protocol.

use crate::{cjt188, dlt645, mbus};

/// The protocol of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Modbus RTU or TCP.
    Modbus,
    /// DL/T 645-2007 or -1997.
    Dlt645,
    /// CJ/T 188-2004 or -2018.
    Cjt188,
    /// M-Bus, EN 13757.
    Mbus,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Modbus, Self::Dlt645, Self::Cjt188, Self::Mbus];

    /// The word in profiles and on the command line.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Modbus => "modbus",
            Self::Dlt645 => "dlt645",
            Self::Cjt188 => "cjt188",
            Self::Mbus => "mbus",
        }
    }

    /// The protocol of a word.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.text() == text)
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Modbus => "Modbus",
            Self::Dlt645 => "DL/T 645",
            Self::Cjt188 => "CJ/T 188",
            Self::Mbus => "M-Bus",
        })
    }
}

/// A meter's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// Modbus unit id: 1 to 247 on a serial line; 0, 1 or 255 for a device that is alone on TCP.
    Unit(u8),
    /// Twelve digits.
    Dlt645(dlt645::Address),
    /// Fourteen digits.
    Cjt188(cjt188::Address),
    /// Primary, or by identity.
    Mbus(mbus::Address),
}

impl Address {
    /// Reads an address as config and command line write it.
    ///
    /// # Errors
    /// A sentence that says how such an address is written.
    pub fn parse(protocol: Protocol, text: &str) -> Result<Self, String> {
        match protocol {
            Protocol::Modbus => match text.parse() {
                Ok(unit @ 1..=247) => Ok(Self::Unit(unit)),
                Ok(_) | Err(_) => Err(format!("{text} is not a Modbus address: 1 to 247")),
            },
            Protocol::Dlt645 => {
                one(text.parse::<dlt645::Address>()?, text, |a| a.is_wild()).map(Self::Dlt645)
            }
            Protocol::Cjt188 => {
                one(text.parse::<cjt188::Address>()?, text, |a| a.is_wild()).map(Self::Cjt188)
            }
            Protocol::Mbus => match text.parse() {
                Ok(primary @ 1..=250) => Ok(Self::Mbus(mbus::Address::Primary(primary))),
                Ok(_) => Err(format!("{text} is not an M-Bus address: 1 to 250, or 8 digits")),
                Err(_) => one(text.parse::<mbus::Secondary>()?, text, |a| a.is_wild())
                    .map(|secondary| Self::Mbus(mbus::Address::Secondary(secondary))),
            },
        }
    }

    /// The protocol it belongs to.
    #[must_use]
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Unit(_) => Protocol::Modbus,
            Self::Dlt645(_) => Protocol::Dlt645,
            Self::Cjt188(_) => Protocol::Cjt188,
            Self::Mbus(_) => Protocol::Mbus,
        }
    }

    /// Whether no answer of `other` can pass for one of this meter, by the address that it bears. A
    /// selected M-Bus meter answers with a primary address of its own, and not every answer has a
    /// header: among selected meters nobody is sure.
    pub(crate) fn is_told_from(self, other: Self) -> bool {
        use mbus::Address::Secondary;
        match (self, other) {
            (Self::Mbus(Secondary(_)), Self::Mbus(_))
            | (Self::Mbus(_), Self::Mbus(Secondary(_))) => false,
            (Self::Unit(_) | Self::Dlt645(_) | Self::Cjt188(_) | Self::Mbus(_), other) => {
                self != other
            }
        }
    }
}

/// An address that means one meter.
fn one<A: Copy>(address: A, text: &str, wild: impl Fn(A) -> bool) -> Result<A, String> {
    if wild(address) {
        return Err(format!("{text} has wildcards: a meter's address names one meter"));
    }
    Ok(address)
}

impl Default for Address {
    fn default() -> Self {
        Self::Unit(0)
    }
}

impl From<u8> for Address {
    fn from(unit: u8) -> Self {
        Self::Unit(unit)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unit(unit) => unit.fmt(f),
            Self::Dlt645(address) => address.fmt(f),
            Self::Cjt188(address) => address.fmt(f),
            Self::Mbus(address) => address.fmt(f),
        }
    }
}

impl serde::Serialize for Address {
    /// Small numbers as numbers, the others as text: leading zeros count.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unit(number) | Self::Mbus(mbus::Address::Primary(number)) => {
                to.serialize_u8(*number)
            }
            Self::Dlt645(_) | Self::Cjt188(_) | Self::Mbus(mbus::Address::Secondary(_)) => {
                to.collect_str(self)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_its_protocol_s_form_and_names_one_meter() {
        use Protocol::{Cjt188, Dlt645, Mbus, Modbus};
        for (protocol, text, want) in [
            (Modbus, "247", "247"),
            (Dlt645, "161", "000000000161"),
            (Cjt188, "78330011223344", "78330011223344"),
            (Mbus, "250", "250"),
            (Mbus, "12345678", "12345678"),
            (Mbus, "00000001-PAD-01-07", "00000001-PAD-01-07"),
        ] {
            let address = Address::parse(protocol, text).unwrap();
            assert_eq!((address.to_string().as_str(), address.protocol()), (want, protocol));
        }
        for (protocol, text) in [
            (Modbus, "0"),
            (Modbus, "248"),
            (Dlt645, "AAAAAAAAAAAA"),
            (Dlt645, "999999999999"),
            (Cjt188, "AAAAAAAAAAAAAA"),
            (Mbus, "0"),
            (Mbus, "251"),
            (Mbus, "1234FFFF"),
        ] {
            assert!(Address::parse(protocol, text).is_err(), "{text}");
        }
        let json = |protocol, text: &str| {
            serde_json::to_string(&Address::parse(protocol, text).unwrap()).unwrap()
        };
        assert_eq!((json(Modbus, "7"), json(Dlt645, "7")), ("7".into(), "\"000000000007\"".into()));
    }
}
