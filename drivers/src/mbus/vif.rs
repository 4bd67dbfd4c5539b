//! What a value information field means: EN 13757-3, tables of primary VIFs (6.4.2), of the extensions
//! FB and FD (6.4.4), and of the combinable VIFEs (6.4.5).

use crate::measure::{Dimension, Measure};
use blockgate_types::Decimal;

/// A value's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// The quantity, one of [`QUANTITIES`].
    pub quantity: &'static str,
    /// The unit of the scaled value; empty for none.
    pub unit: &'static str,
    /// What one raw unit is worth in `unit`: `multiplier × 10^exponent`.
    pub multiplier: i64,
    /// See `multiplier`.
    pub exponent: i32,
}

/// The quantities that a profile may name.
pub const QUANTITIES: &[&str] = &[
    "energy",
    "volume",
    "mass",
    "on_time",
    "operating_time",
    "power",
    "volume_flow",
    "mass_flow",
    "flow_temperature",
    "return_temperature",
    "temperature_difference",
    "external_temperature",
    "pressure",
    "heat_cost",
    "voltage",
    "current",
    "dimensionless",
    "error_flags",
    "digital_input",
    "digital_output",
    "reset_counter",
    "text",
    "reserved",
];

const fn of(quantity: &'static str, unit: &'static str, exponent: i32) -> Meaning {
    Meaning { quantity, unit, multiplier: 1, exponent }
}

const fn seconds(quantity: &'static str, n: u8) -> Meaning {
    let multiplier = match n & 3 {
        0 => 1,
        1 => 60,
        2 => 3600,
        _ => 86_400,
    };
    Meaning { quantity, unit: "s", multiplier, exponent: 0 }
}

/// The meaning of a primary VIF, its extension bit taken off.
#[must_use]
pub fn primary(vif: u8) -> Meaning {
    let n = |mask: u8| i32::from(vif & mask);
    match vif & 0x7F {
        0x00..=0x07 => of("energy", "Wh", n(7) - 3),
        0x08..=0x0F => of("energy", "J", n(7)),
        0x10..=0x17 => of("volume", "m3", n(7) - 6),
        0x18..=0x1F => of("mass", "kg", n(7) - 3),
        0x20..=0x23 => seconds("on_time", vif),
        0x24..=0x27 => seconds("operating_time", vif),
        0x28..=0x2F => of("power", "W", n(7) - 3),
        0x30..=0x37 => of("power", "J/h", n(7)),
        0x38..=0x3F => of("volume_flow", "m3/h", n(7) - 6),
        0x40..=0x47 => of("volume_flow", "m3/min", n(7) - 7),
        0x48..=0x4F => of("volume_flow", "m3/s", n(7) - 9),
        0x50..=0x57 => of("mass_flow", "kg/h", n(7) - 3),
        0x58..=0x5B => of("flow_temperature", "degC", n(3) - 3),
        0x5C..=0x5F => of("return_temperature", "degC", n(3) - 3),
        0x60..=0x63 => of("temperature_difference", "K", n(3) - 3),
        0x64..=0x67 => of("external_temperature", "degC", n(3) - 3),
        0x68..=0x6B => of("pressure", "bar", n(3) - 3),
        0x6C => of("date", "", 0),
        0x6D => of("date_time", "", 0),
        0x6E => of("heat_cost", "", 0),
        0x70..=0x73 => seconds("averaging_duration", vif),
        0x74..=0x77 => seconds("actuality_duration", vif),
        0x78 => of("fabrication_number", "", 0),
        0x79 => of("identification", "", 0),
        0x7A => of("bus_address", "", 0),
        0x7C => of("text", "", 0),
        0x7E => of("any", "", 0),
        0x7F => of("manufacturer_specific", "", 0),
        _ => of("reserved", "", 0),
    }
}

/// The meaning of the byte behind FB.
#[must_use]
pub fn extension_fb(vife: u8) -> Meaning {
    let n = i32::from(vife & 1);
    match vife & 0x7F {
        0x00 | 0x01 => of("energy", "Wh", n + 5),
        0x08 | 0x09 => of("energy", "J", n + 8),
        0x10 | 0x11 => of("volume", "m3", n + 2),
        0x18 | 0x19 => of("mass", "kg", n + 5),
        0x28 | 0x29 => of("power", "W", n + 5),
        0x30 | 0x31 => of("power", "J/h", n + 8),
        _ => of("reserved", "", 0),
    }
}

/// The meaning of the byte behind FD.
#[must_use]
pub fn extension_fd(vife: u8) -> Meaning {
    let n = |mask: u8| i32::from(vife & mask);
    match vife & 0x7F {
        0x00..=0x03 => of("credit", "", n(3) - 3),
        0x04..=0x07 => of("debit", "", n(3) - 3),
        0x08 => of("access_number", "", 0),
        0x09 => of("medium", "", 0),
        0x0A => of("manufacturer", "", 0),
        0x0B => of("parameter_set", "", 0),
        0x0C => of("model", "", 0),
        0x0D => of("hardware_version", "", 0),
        0x0E => of("firmware_version", "", 0),
        0x0F => of("software_version", "", 0),
        0x10 => of("customer_location", "", 0),
        0x11 => of("customer", "", 0),
        0x17 => of("error_flags", "", 0),
        0x18 => of("error_mask", "", 0),
        0x1A => of("digital_output", "", 0),
        0x1B => of("digital_input", "", 0),
        0x1C => of("baud", "", 0),
        0x3A => of("dimensionless", "", 0),
        0x40..=0x4F => of("voltage", "V", n(15) - 9),
        0x50..=0x5F => of("current", "A", n(15) - 12),
        0x60 => of("reset_counter", "", 0),
        0x61 => of("cumulation_counter", "", 0),
        0x62 => of("control_signal", "", 0),
        0x63 => of("day_of_week", "", 0),
        0x64 => of("week_number", "", 0),
        0x66 => of("parameter_activation", "", 0),
        0x67 => of("supplier_information", "", 0),
        _ => of("reserved", "", 0),
    }
}

/// What a combinable VIFE does to the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modifier {
    /// Multiplies by a power of ten.
    Power(i32),
    /// Says something about the value and leaves the number: positive contributions only, a limit, ….
    Qualifier(u8),
    /// What follows is the maker's own.
    Manufacturer,
}

/// The effect of a combinable VIFE.
#[must_use]
pub fn modifier(vife: u8) -> Modifier {
    match vife & 0x7F {
        byte @ 0x70..=0x77 => Modifier::Power(i32::from(byte & 7) - 6),
        0x7D => Modifier::Power(3),
        0x7F => Modifier::Manufacturer,
        byte => Modifier::Qualifier(byte),
    }
}

impl Meaning {
    /// A raw number in [`Self::unit`]; `None` when it is too large.
    #[must_use]
    pub fn scale(self, raw: Decimal) -> Option<Decimal> {
        let places = self.exponent.unsigned_abs();
        let power = if self.exponent < 0 {
            Decimal::try_new(1, places).ok()?
        } else {
            Decimal::from(10_i64.checked_pow(places)?)
        };
        let value = raw.checked_mul(Decimal::from(self.multiplier))?.checked_mul(power)?;
        Some(value.normalize())
    }

    /// The unit as a measure, for registers that have another unit.
    #[must_use]
    pub fn measure(self) -> Option<Measure> {
        use Dimension::{
            Current, Energy, Number, Power, Temperature, Time, Voltage, Volume, VolumeFlow,
        };
        Some(match self.unit {
            "Wh" => Measure::new(Energy, 3600, 0),
            "J" => Measure::new(Energy, 1, 0),
            "W" => Measure::new(Power, 1, 0),
            "m3" => Measure::new(Volume, 1, 0),
            "m3/h" => Measure::new(VolumeFlow, 1, 0),
            "m3/min" => Measure::new(VolumeFlow, 60, 0),
            "m3/s" => Measure::new(VolumeFlow, 3600, 0),
            "degC" | "K" => Measure::new(Temperature, 1, 0),
            "s" => Measure::new(Time, 1, 0),
            "V" => Measure::new(Voltage, 1, 0),
            "A" => Measure::new(Current, 1, 0),
            "" => Measure::new(Number, 1, 0),
            _ => return None,
        })
    }
}
