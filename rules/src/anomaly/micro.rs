//! Quantities of the detectors: millionths of the register's unit in 64 bits. Millilitres, milliwatt
//! hours: finer than any meter resolves, and the same on every machine.

use blockgate_types::{Decimal, Unit, parse_decimal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths in one.
const ONE: i64 = 1_000_000;

/// A quantity, or a quantity per hour. As text a decimal number of the unit: `0.0185`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Micro(pub i64);

impl Micro {
    /// The nearest quantity below; the largest one beyond 64 bits.
    #[must_use]
    pub fn of(value: Decimal) -> Self {
        let scaled = value.checked_mul(Decimal::from(ONE)).map(|v| v.floor());
        Self(scaled.and_then(|v| i64::try_from(v).ok()).unwrap_or(i64::MAX))
    }

    /// As a decimal number.
    #[must_use]
    pub fn decimal(self) -> Decimal {
        Decimal::new(self.0, 6).normalize()
    }

    /// For people, with its unit: litres below ten cubic metres, three digits otherwise.
    #[must_use]
    pub fn told(self, unit: Unit) -> String {
        let small = self.0.unsigned_abs() < 10_000_000;
        if unit == Unit::CubicMetre && small {
            format!("{} L", round(self.decimal() * Decimal::from(1000), 1))
        } else if small {
            format!("{} {unit}", round(self.decimal(), 3))
        } else {
            format!("{} {unit}", round(self.decimal(), 1))
        }
    }
}

fn round(value: Decimal, decimals: u32) -> Decimal {
    value
        .round_dp_with_strategy(decimals, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
        .normalize()
}

impl Serialize for Micro {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.decimal())
    }
}

impl<'de> Deserialize<'de> for Micro {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        parse_decimal(&text).map(Self::of).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Micro {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        blockgate_types::decimal::text::json_schema(generator)
    }
}

/// The middle of some numbers, the lower one of two; 0 of none.
#[must_use]
pub fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len().saturating_sub(1).checked_div(2).unwrap_or(0);
    sorted.get(middle).copied().unwrap_or(0)
}

/// A robust standard deviation: 1.4826 times the median distance from the median (MAD).
#[must_use]
pub fn spread(values: &[i64], median_of_them: i64) -> i64 {
    let far: Vec<i64> =
        values.iter().map(|v| v.saturating_sub(median_of_them).saturating_abs()).collect();
    part(median(&far), 14_826, 10_000)
}

/// `value × numerator ÷ denominator` in 128 bits, toward zero; `value` where the denominator is 0.
#[must_use]
pub fn part(value: i64, numerator: i64, denominator: i64) -> i64 {
    let product = i128::from(value).saturating_mul(i128::from(numerator));
    let quotient = product.checked_div(i128::from(denominator));
    quotient.map_or(value, |q| i64::try_from(q).unwrap_or(if q < 0 { i64::MIN } else { i64::MAX }))
}

/// Puts a value at the end of a ring of at most `most`; the oldest goes.
pub fn push(ring: &mut Vec<i64>, value: i64, most: usize) {
    if ring.len() >= most {
        let over = ring.len().saturating_sub(most).saturating_add(1);
        ring.drain(..over.min(ring.len()));
    }
    ring.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_spread_are_not_moved_by_one_wild_value() {
        let values = [10, 12, 11, 9, 10, 1_000_000];
        let m = median(&values);
        assert_eq!((m, spread(&values, m)), (10, 1));
        assert_eq!((median(&[]), spread(&[], 0)), (0, 0));
    }

    #[test]
    fn a_quantity_is_told_in_the_unit_that_people_say() {
        assert_eq!(Micro(98_040).told(Unit::CubicMetre), "98 L");
        assert_eq!(Micro(23_781_000).told(Unit::CubicMetre), "23.8 m3");
        assert_eq!(Micro(1_250_000).told(Unit::KilowattHour), "1.25 kWh");
        let json = serde_json::to_string(&Micro(18_500)).unwrap();
        assert_eq!(
            (json.as_str(), serde_json::from_str(&json).unwrap()),
            ("\"0.0185\"", Micro(18_500))
        );
    }

    #[test]
    fn a_ring_forgets_its_oldest() {
        let mut ring = vec![];
        for n in 0..10 {
            push(&mut ring, n, 4);
        }
        assert_eq!(ring, [6, 7, 8, 9]);
    }
}
