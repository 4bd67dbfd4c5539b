//! Physical quantities of meters that say their unit themselves: CJ/T 188 by a unit byte, M-Bus by a
//! VIF. A value is converted by what the meter says, never by assumption.

use blockgate_types::{Decimal, Unit};

/// What is measured, with its base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// J.
    Energy,
    /// W.
    Power,
    /// m³.
    Volume,
    /// m³/h.
    VolumeFlow,
    /// °C, differences in K.
    Temperature,
    /// s.
    Time,
    /// V.
    Voltage,
    /// A.
    Current,
    /// A number, a code, a count.
    Number,
}

/// A unit: its dimension, and what one of it is in the dimension's base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// What is measured.
    pub dimension: Dimension,
    /// Base units in one of this unit.
    pub base: Decimal,
}

impl Measure {
    /// A unit of which one is `mantissa × 10^-scale` base units.
    #[must_use]
    pub fn new(dimension: Dimension, mantissa: i64, scale: u32) -> Self {
        let base = Decimal::try_new(mantissa, scale).unwrap_or(Decimal::ONE);
        Self { dimension, base }
    }

    /// The measure of a register's unit; `None` for units that no such meter has.
    #[must_use]
    pub fn of(unit: Unit) -> Option<Self> {
        use Dimension::{
            Current, Energy, Number, Power, Temperature, Time, Voltage, Volume, VolumeFlow,
        };
        let known = [
            (Unit::KilowattHour, Energy, 3_600_000),
            (Unit::Gigajoule, Energy, 1_000_000_000),
            (Unit::CubicMetre, Volume, 1),
            (Unit::Volt, Voltage, 1),
            (Unit::Ampere, Current, 1),
            (Unit::Watt, Power, 1),
            (Unit::Kilowatt, Power, 1000),
            (Unit::Celsius, Temperature, 1),
            (Unit::CubicMetrePerHour, VolumeFlow, 1),
            (Unit::Hour, Time, 3600),
            (Unit::One, Number, 1),
        ];
        let (_, dimension, base) = known.into_iter().find(|(known, _, _)| *known == unit)?;
        Some(Self::new(dimension, base, 0))
    }

    /// A value of this unit in the unit `to`; `None` where they measure different things or the
    /// number is too large.
    #[must_use]
    pub fn convert(self, value: Decimal, to: Unit) -> Option<Decimal> {
        let to = Self::of(to).filter(|to| to.dimension == self.dimension)?;
        if to.base == self.base {
            return Some(value);
        }
        value.checked_mul(self.base)?.checked_div(to.base).map(|value| value.normalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_converted_exactly_or_not_at_all() {
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        let kwh = Measure::of(Unit::KilowattHour).unwrap();
        assert_eq!(kwh.convert(number("54427.88"), Unit::Gigajoule), Some(number("195.940368")));
        assert_eq!(kwh.convert(number("54427.88"), Unit::KilowattHour), Some(number("54427.88")));
        assert_eq!(kwh.convert(number("1"), Unit::CubicMetre), None);
        assert_eq!(kwh.convert(number("1"), Unit::Var), None);
        let litre = Measure::new(Dimension::Volume, 1, 3);
        assert_eq!(litre.convert(number("135"), Unit::CubicMetre), Some(number("0.135")));
    }
}
