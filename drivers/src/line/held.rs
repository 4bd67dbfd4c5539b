//! Devices that were given up before the configured time: an answer of theirs may still come.
//!
//! The line is used for others at once, because an answer of theirs bears another address. So for as long
//! as a late answer may come:
//!
//! - whoever could not be told from such a device by the address in the answer is not asked: itself first;
//! - an answer that bears its address is passed over, and is nobody else's fault.
//!
//! One that came while nobody was asked lies in the receive buffer, and is known there until the device is
//! asked again.

use crate::address::Address;
use crate::stream::Extent;
use crate::{cjt188, dlt645, mbus, modbus};
use tokio::time::Instant;

/// More at once and the line waits as after any other time-out: more than a line has devices.
const HELD_MAX: usize = 256;

/// Who was given up, and until when an answer may come.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<(Address, Instant)>);

impl Held {
    /// Holds a device; false where there is no room.
    pub(super) fn hold(&mut self, device: Address, until: Instant) -> bool {
        self.release(device);
        if self.0.len() >= HELD_MAX {
            let now = Instant::now();
            self.0.retain(|(_, until)| *until > now);
        }
        if self.0.len() >= HELD_MAX {
            return false;
        }
        self.0.push((device, until));
        true
    }

    /// A device is asked again.
    pub(super) fn release(&mut self, device: Address) {
        self.0.retain(|(held, _)| *held != device);
    }

    /// Whether what came unasked is one answer of a device that is held, or was.
    pub(super) fn is_known(&self, received: &[u8]) -> bool {
        let whole = Extent::Whole(received.len());
        self.0.iter().any(|(held, _)| answer_of(*held, received) == whole)
    }

    /// Until when nobody may be asked whose answer could be taken for that of a held device. Whoever is
    /// asked without a name could be anybody.
    pub(super) fn until(&self, asked: Option<Address>) -> Option<Instant> {
        let now = Instant::now();
        let like = |held: &Address| asked.is_none_or(|asked| !asked.is_told_from(*held));
        let untils = self.0.iter().filter(|(held, until)| *until > now && like(held));
        untils.map(|(_, until)| *until).max()
    }

    /// Whether what came is the answer of a held device, or may become one.
    pub(super) fn late(&self, received: &[u8]) -> Extent {
        if self.0.is_empty() || received.is_empty() {
            return Extent::No;
        }
        let now = Instant::now();
        let mut open = false;
        for (held, _) in self.0.iter().filter(|(_, until)| *until > now) {
            match answer_of(*held, received) {
                Extent::Whole(len) => return Extent::Whole(len),
                Extent::Open => open = true,
                Extent::No => {}
            }
        }
        if open { Extent::Open } else { Extent::No }
    }
}

/// How far an answer of a device at the start of some bytes reaches.
fn answer_of(device: Address, received: &[u8]) -> Extent {
    let preamble = match device {
        Address::Dlt645(_) | Address::Cjt188(_) => {
            received.iter().take_while(|byte| **byte == 0xFE).count()
        }
        Address::Unit(_) | Address::Mbus(_) => 0,
    };
    let head = received.get(preamble..).unwrap_or_default();
    let extent = match device {
        Address::Unit(unit) => modbus::frame::answer_of(unit, head),
        Address::Dlt645(own) => dlt645::frame::answer_of(own, head),
        Address::Cjt188(own) => cjt188::frame::answer_of(own, head),
        Address::Mbus(own) => mbus::frame::answer_of(own, head),
    };
    match extent {
        Extent::Whole(len) => Extent::Whole(preamble + len),
        Extent::Open | Extent::No => extent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Protocol;
    use crate::hex::parse_hex;
    use std::time::Duration;

    fn address(protocol: Protocol, text: &str) -> Address {
        Address::parse(protocol, text).unwrap()
    }

    /// Each held device's answer is known by its address, whole or in the making, and no other's is.
    #[tokio::test(start_paused = true)]
    async fn an_answer_of_a_device_that_was_given_up_is_known_by_its_address() {
        use Protocol::{Cjt188, Dlt645, Mbus, Modbus};
        let secondary = "68 1B 1B 68 08 05 72 78 56 34 12 2D 2C 01 02 10 00 00 00 01 06 01 02 06 02 \
                         01 06 03 01 06 04 05 16";
        let table: &[(Protocol, &str, &str)] = &[
            (Modbus, "5", "05 04 04 3F 80 00 00 FF A8"),
            (Modbus, "5", "05 84 02 83 00"),
            (Dlt645, "260305510009", "FE FE 68 09 00 51 05 03 26 68 91 05 33 33 34 33 44 07 16"),
            (Cjt188, "12345678", "FE 68 10 78 56 34 12 00 00 00 81 03 1F 90 01 51 16"),
            (Mbus, "5", "68 03 03 68 08 05 78 85 16"),
            (Mbus, "12345678", secondary),
        ];
        for (protocol, own, frame) in table {
            let mut bytes = parse_hex(frame).unwrap();
            mend(*protocol, &mut bytes);
            let mut held = Held::default();
            assert_eq!(held.late(&bytes), Extent::No, "nobody is held");
            let until = Instant::now() + Duration::from_secs(3);
            assert!(held.hold(address(*protocol, own), until));
            assert_eq!(held.late(&bytes), Extent::Whole(bytes.len()), "{own}: {frame}");
            for cut in 1..bytes.len() {
                assert_eq!(held.late(&bytes[..cut]), Extent::Open, "{own}: {cut} bytes of {frame}");
            }
            let mut other = Held::default();
            let neighbour = if own.len() > 2 { "260305510008" } else { "6" };
            let neighbour = if *protocol == Mbus && own.len() > 2 { "12345679" } else { neighbour };
            assert!(other.hold(address(*protocol, neighbour), until));
            assert_eq!(other.late(&bytes), Extent::No, "{neighbour} is held: {frame}");
            tokio::time::advance(Duration::from_secs(4)).await;
            assert_eq!(held.late(&bytes), Extent::No, "no longer held");
            assert!(held.is_known(&bytes) && !other.is_known(&bytes), "but remembered");
            held.release(address(*protocol, own));
            assert!(!held.is_known(&bytes));
        }
    }

    /// Gives a frame of the table its right check.
    fn mend(protocol: Protocol, bytes: &mut [u8]) {
        let end = bytes.len();
        if protocol == Protocol::Modbus {
            let crc = modbus::frame::crc(&bytes[..end - 2]).to_le_bytes();
            bytes[end - 2..].copy_from_slice(&crc);
            return;
        }
        let from = bytes.iter().position(|byte| *byte == 0x68).unwrap();
        let from = if protocol == Protocol::Mbus { from + 4 } else { from };
        bytes[end - 2] = crate::damage::sum(&bytes[from..end - 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_could_be_taken_for_it_waits() {
        use Protocol::{Dlt645, Mbus, Modbus};
        let table = [
            ((Modbus, "5"), (Modbus, "5"), true),
            ((Modbus, "5"), (Modbus, "6"), false),
            ((Modbus, "5"), (Dlt645, "5"), false),
            ((Dlt645, "5"), (Dlt645, "5"), true),
            ((Dlt645, "5"), (Dlt645, "6"), false),
            ((Mbus, "5"), (Mbus, "6"), false),
            // A meter that was selected answers with its own primary address, whatever that is; and
            // an answer without a header names nobody.
            ((Mbus, "12345678"), (Mbus, "6"), true),
            ((Mbus, "5"), (Mbus, "12345678"), true),
            ((Mbus, "12345678"), (Mbus, "12345679"), true),
            ((Mbus, "12345678"), (Modbus, "6"), false),
        ];
        for ((p, given_up), (q, asked), waits) in table {
            let mut held = Held::default();
            let until = Instant::now() + Duration::from_secs(3);
            held.hold(address(p, given_up), until);
            let wait = held.until(Some(address(q, asked)));
            assert_eq!(wait, waits.then_some(until), "{given_up} was given up, {asked} is asked");
            assert_eq!(held.until(None), Some(until), "nobody knows who is asked");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_is_bounded_and_forgets_who_is_no_longer_held() {
        let mut held = Held::default();
        let until = Instant::now() + Duration::from_secs(3);
        let units = (0..=u8::MAX).map(Address::from);
        let rest = Address::parse(Protocol::Dlt645, "1").unwrap();
        assert!(units.clone().all(|unit| held.hold(unit, until)));
        assert!(units.clone().all(|unit| held.hold(unit, until)), "each stands in it once");
        assert!(!held.hold(rest, until));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(held.hold(rest, Instant::now() + Duration::from_secs(3)));
        assert_eq!(held.until(Some(1.into())), None);
    }
}
