//! The closed list of units that registers, prices and bills use.

use serde::{Deserialize, Serialize};

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A unit, written as people of the trade write it (`kWh`, `m3`, `V`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Unit {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Unit {
            /// Every unit, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The unit's text, the same in config, messages and on the page.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

units! {
    /// Active energy.
    KilowattHour = "kWh",
    /// Reactive energy.
    KilovarHour = "kvarh",
    /// Volume of water or gas.
    CubicMetre = "m3",
    /// Heat.
    Gigajoule = "GJ",
    /// Voltage.
    Volt = "V",
    /// Current.
    Ampere = "A",
    /// Active power.
    Watt = "W",
    /// Active power.
    Kilowatt = "kW",
    /// Apparent power.
    VoltAmpere = "VA",
    /// Reactive power.
    Var = "var",
    /// Frequency.
    Hertz = "Hz",
    /// Temperature.
    Celsius = "degC",
    /// Volume flow.
    CubicMetrePerHour = "m3/h",
    /// Flow of heat.
    GigajoulePerHour = "GJ/h",
    /// Speed of flow.
    MetrePerSecond = "m/s",
    /// Phase angle.
    Degree = "deg",
    /// Duration of operation.
    Hour = "h",
    /// Floor area.
    SquareMetre = "m2",
    /// Number of months.
    Month = "month",
    /// Number of days.
    Day = "day",
    /// Number of persons.
    Person = "person",
    /// Number of households.
    Household = "household",
    /// Number of parking spaces.
    Space = "space",
    /// A number without a unit: power factor, ratio, counter, status word.
    One = "1",
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl std::str::FromStr for Unit {
    type Err = String;

    /// Takes exactly the text that [`Unit::text`] prints.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|u| u.text() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|u| u.text()).collect();
            format!("{text:?} is not a unit; there are: {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_parses_to_itself_and_no_text_stands_twice() {
        for unit in Unit::ALL {
            assert_eq!(unit.text().parse::<Unit>().as_ref(), Ok(unit));
            let json = serde_json::to_string(unit).unwrap();
            assert_eq!(json, format!("{:?}", unit.text()));
        }
        assert!("kwh".parse::<Unit>().is_err());
    }
}
