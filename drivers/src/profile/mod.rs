//! Device knowledge as data: one strict TOML file a model, with its own test vectors.
//!
//! A profile says which registers a model has, how they are written and what they mean. It has no
//! templates and no expressions: formats and word orders are closed lists ([`mod@format`]). Numbers that
//! scale a value are decimal strings. Each file carries `[[vector]]` tables, a request and its
//! response with the expected values, and a test runs all of them.
//!
//! ```toml
//! id = "acme-x1"                    # vendor-model, the file's name
//! vendor = "Acme"
//! model = "X1"
//! protocol = "modbus"
//! source = "X1 manual, edition 3"   # where the register map comes from
//! notes = "…"                       # optional, for docs/devices.md
//! max_block = 80                    # registers in one request, 1 to 125
//! max_gap = 4                       # unused registers that are read along to save a request
//!
//! [serial]                          # as the device leaves its factory
//! baud = 9600
//! data_bits = 8
//! parity = "none"
//! stop_bits = 1
//!
//! [[register]]
//! name = "energy_import"
//! fc = 4                            # 3 holding, 4 input
//! address = 72                      # as on the wire, from 0
//! format = "f32"
//! order = "ABCD"                    # optional
//! scale = "1"                       # optional; value = raw × scale
//! unit = "kWh"
//! role = "billing"                  # billing, live, status
//! decimals = 2
//! rollover_digits = 6               # optional: digits before the point of a counter
//! none = ["FFFFFFFF"]               # optional: raw patterns that mean "no value"
//! add = { address = 74, format = "f32" }   # optional: a second part that is added
//! ```
//!
//! The other protocols have no `max_block` and `max_gap`; a table of their own says how the model
//! speaks, and a register says where it stands in that protocol's words. `optional = true` means that
//! a meter may have no such data: then the register has no value and the reading stays good.
//!
//! ```toml
//! protocol = "dlt645"
//! [dlt645]
//! edition = "2007"                  # or "1997"; 2007 where the table is missing
//! [[register]]
//! di = "00010000"                   # data identifier, high byte first
//! offset = 0                        # optional: bytes before the value inside a block
//! digits = "XXXXXX.XX"              # as the standard writes it
//! signed = false                    # optional: the top bit is the sign
//! # name, scale, unit, role, decimals, rollover_digits as above
//!
//! protocol = "cjt188"
//! [cjt188]
//! meter_type = "10"                 # type byte of requests
//! di_order = "low-first"            # or "high-first": 1F 90 or 90 1F
//! write_di_order = "low-first"      # optional: as di_order
//! check_sequence = false            # optional: the reply repeats the request's number
//! status = { valve_mask = "03", open = "00", closed = "01", battery_mask = "04" }   # optional
//! [[register]]
//! field = "current"                 # settlement, heat, power, flow, volume, valve, …
//! scale = "1"                       # optional, beside the unit that the meter says
//! decimals = 2
//!
//! protocol = "mbus"
//! [mbus]
//! reset = true                      # optional: the meter acknowledges SND_NKE
//! [[register]]
//! quantity = "energy"               # and optional: function, storage, tariff, subunit, vife, nth
//! decimals = 3
//! ```

mod cjt188;
mod devices;
mod dlt645;
pub mod format;
mod map;
mod mbus;
mod parse;
mod parse_meters;
mod plan;
mod shipped;
#[cfg(test)]
mod tests;
mod vector;

pub use cjt188::{Cjt188Map, Cjt188Point};
pub use devices::devices_markdown;
pub use dlt645::{Dlt645Map, Dlt645Point, Dlt645Read};
pub use map::Map;
pub(crate) use map::judged;
pub use mbus::{MbusMap, MbusPoint};
pub use parse::{ProfileError, ProfileErrors};
pub use plan::{Block, Point};
pub use vector::run_vector;

use crate::address::Protocol;
use crate::modbus::{Function, ReadRequest};
use crate::transport::Parity;
use blockgate_types::{Decimal, ReadFault, RegisterSpec};
use format::{Format, Order};
use std::sync::Arc;
use std::time::Duration;

/// Serial settings as the device leaves its factory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialDefaults {
    /// Bits per second.
    pub baud: u32,
    /// Data bits of a character.
    pub data_bits: u8,
    /// Parity.
    pub parity: Parity,
    /// Stop bits.
    pub stop_bits: u8,
}

impl SerialDefaults {
    /// The time that so many characters need at this speed.
    #[must_use]
    pub fn characters(self, count: usize) -> Duration {
        let parity = match self.parity {
            Parity::None => 0,
            Parity::Even | Parity::Odd => 1,
        };
        let bits = 1 + u64::from(self.data_bits) + parity + u64::from(self.stop_bits);
        let bits = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(bits);
        let micros = bits.saturating_mul(1_000_000).checked_div(u64::from(self.baud));
        Duration::from_micros(micros.unwrap_or(0))
    }
}

/// A number in the device's registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// First register, as on the wire: from 0.
    pub address: u16,
    /// How it is written.
    pub format: Format,
    /// In which order.
    pub order: Order,
    /// What one raw unit is worth in the register's unit.
    pub scale: Decimal,
}

/// A register of a profile: what it means ([`Profile::specs`] at the same index) and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    /// The table it stands in.
    pub function: Function,
    /// The number.
    pub part: Part,
    /// A second number that is added: the fraction of a counter kept apart.
    pub add: Option<Part>,
    /// Raw bytes, in wire order, that mean "no value".
    pub none: Vec<Vec<u8>>,
}

/// A request, its response, and what the response says; from the profile's own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// The request's bytes.
    pub request: Vec<u8>,
    /// The response's bytes.
    pub response: Vec<u8>,
    /// Register names and their values; `None` is "no value".
    pub expect: Vec<(String, Option<Decimal>)>,
    /// Line of the file where it stands.
    pub line: usize,
}

/// A device model: its registers and how to read them.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// `vendor-model`, the same as the file's name.
    pub id: String,
    /// The vendor's name.
    pub vendor: String,
    /// The model's name as printed on the device.
    pub model: String,
    /// Where the register map comes from.
    pub source: String,
    /// What an installer should know; may be empty.
    pub notes: String,
    /// Serial settings as the device leaves its factory; `None` for a device without a serial port.
    pub serial: Option<SerialDefaults>,
    /// Most registers in one Modbus request; 0 for another protocol.
    pub max_block: u16,
    /// Most unused registers between two used ones of one request.
    pub max_gap: u16,
    /// The file's test vectors.
    pub vectors: Vec<Vector>,
    specs: Arc<[RegisterSpec]>,
    map: Map,
}

impl Profile {
    /// Reads a profile's file. `file_name` only stands in front of the errors.
    ///
    /// # Errors
    /// All that is wrong with it, each with line and column.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ProfileErrors> {
        parse::parse(text, file_name)
    }

    /// The profiles that are built in, in the order of their ids.
    pub fn shipped() -> impl Iterator<Item = &'static Arc<Self>> {
        shipped::all().iter()
    }

    /// A built-in profile by its id.
    #[must_use]
    pub fn shipped_by_id(id: &str) -> Option<&'static Arc<Self>> {
        Self::shipped().find(|profile| profile.id == id)
    }

    /// The texts of the built-in profiles: file name and content, for a copy that a person edits.
    #[must_use]
    pub fn shipped_texts() -> &'static [(&'static str, &'static str)] {
        shipped::TEXTS
    }

    /// What each register means; shared by every reading.
    #[must_use]
    pub fn specs(&self) -> &Arc<[RegisterSpec]> {
        &self.specs
    }

    /// Where each register stands, in the order of [`Self::specs`].
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The protocol of the device.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.map.protocol()
    }

    /// Where each register of a Modbus device stands, in the order of [`Self::specs`]; none for
    /// another protocol.
    #[must_use]
    pub fn registers(&self) -> &[Register] {
        match &self.map {
            Map::Modbus { registers, .. } => registers,
            Map::Dlt645(_) | Map::Cjt188(_) | Map::Mbus(_) => &[],
        }
    }

    /// The registers that lie wholly inside the reply to any request, with their values.
    pub fn values_in<'a>(
        &'a self,
        read: ReadRequest,
        data: &'a [u8],
    ) -> impl Iterator<Item = (&'a RegisterSpec, Result<Option<Decimal>, ReadFault>)> + 'a {
        plan::points_of(self.registers(), read).into_iter().filter_map(move |point| {
            let spec = self.specs.get(point.index)?;
            Some((spec, point.value(spec, data)))
        })
    }

    /// The requests that read a whole Modbus device; none for another protocol.
    #[must_use]
    pub fn plan(&self) -> &[Block] {
        match &self.map {
            Map::Modbus { plan, .. } => plan,
            Map::Dlt645(_) | Map::Cjt188(_) | Map::Mbus(_) => &[],
        }
    }
}
