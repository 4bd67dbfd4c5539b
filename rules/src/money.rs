//! Money: whole fen with checked arithmetic, and the one rounding.

use blockgate_types::Decimal;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

/// An amount in the currency's minor unit (fen), signed. Every sum is checked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Fen(pub i64);

impl Fen {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` beyond 64 bits.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The sum of many, or `None` beyond 64 bits.
    #[must_use]
    pub fn sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::plus)
    }

    /// An exact amount in yuan rounded to fen, half away from zero (四舍五入); `None` beyond 64 bits.
    #[must_use]
    pub fn round(yuan: Decimal) -> Option<Self> {
        use rust_decimal::prelude::ToPrimitive;
        // The bug that the simulation must catch: the fraction is dropped.
        const HOW: RoundingStrategy = if cfg!(feature = "canary-fen") {
            RoundingStrategy::ToZero
        } else {
            RoundingStrategy::MidpointAwayFromZero
        };
        let fen = yuan.checked_mul(Decimal::ONE_HUNDRED)?.round_dp_with_strategy(0, HOW);
        fen.to_i64().map(Self)
    }
}

impl std::fmt::Display for Fen {
    /// Yuan with two decimals: `-12.05`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, size) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        if f.width().is_some() {
            return f.pad(&format!("{sign}{}.{:02}", size / 100, size % 100));
        }
        write!(f, "{sign}{}.{:02}", size / 100, size % 100)
    }
}

/// `a × b` without any loss; `None` where 28 digits do not hold it. (`checked_mul` alone rounds.)
#[must_use]
pub fn times(a: Decimal, b: Decimal) -> Option<Decimal> {
    let (a, b) = (a.normalize(), b.normalize());
    let product = a.checked_mul(b)?;
    let exact = product.is_zero() || product.scale() == a.scale().checked_add(b.scale())?;
    let lost = product.is_zero() && !a.is_zero() && !b.is_zero();
    (exact && !lost).then_some(product)
}

/// `a + b` without any loss; `None` where 28 digits do not hold it. (`checked_add` alone absorbs.)
#[must_use]
pub fn plus(a: Decimal, b: Decimal) -> Option<Decimal> {
    let sum = a.checked_add(b)?;
    (sum.scale() >= a.scale().max(b.scale()) || exact_sum(a, b, sum)).then_some(sum)
}

/// `a − b` without any loss; `None` where 28 digits do not hold it.
#[must_use]
pub fn minus(a: Decimal, b: Decimal) -> Option<Decimal> {
    // There is one zero only: none that is negative, none with decimals.
    plus(a, if b.is_zero() { Decimal::ZERO } else { -b })
}

/// Whether a sum of fewer decimals than its parts is exact all the same: their last ones were zeros.
fn exact_sum(a: Decimal, b: Decimal, sum: Decimal) -> bool {
    sum.scale() >= a.normalize().scale().max(b.normalize().scale())
}

/// Shares `total` over exact amounts in yuan, by largest remainder: each amount's fen are cut off,
/// and the fen that are left go to the largest cut-off parts, the earlier line first. The shares sum
/// to the total exactly (invariant 4). `None` where the numbers are too large, or where `total` is
/// not the rounded sum of `amounts`.
#[must_use]
pub fn share_fen(total: Fen, amounts: &[Decimal]) -> Option<Vec<Fen>> {
    use rust_decimal::prelude::ToPrimitive;
    let mut shares = Vec::with_capacity(amounts.len());
    let mut rests = Vec::with_capacity(amounts.len());
    for (place, yuan) in amounts.iter().enumerate() {
        let fen = times(*yuan, Decimal::ONE_HUNDRED)?;
        let whole = fen.floor();
        shares.push(Fen(whole.to_i64()?));
        rests.push((minus(fen, whole)?, place));
    }
    let missing = total.0.checked_sub(Fen::sum(shares.iter().copied())?.0)?;
    let missing = usize::try_from(missing).ok().filter(|n| *n <= shares.len())?;
    rests.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, place) in rests.into_iter().take(missing) {
        let share = shares.get_mut(place)?;
        *share = share.plus(Fen(1))?;
    }
    Some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockgate_types::parse_decimal;

    fn d(text: &str) -> Decimal {
        parse_decimal(text).unwrap()
    }

    #[test]
    fn half_a_fen_is_rounded_away_from_zero() {
        for (yuan, fen) in [("0.125", 13), ("-0.125", -13), ("0.1249", 12), ("2.5", 250)] {
            assert_eq!(Fen::round(d(yuan)), Some(Fen(fen)), "{yuan}");
        }
        assert_eq!(Fen::round(Decimal::MAX), None);
        assert_eq!(Fen(-5).to_string(), "-0.05");
        assert_eq!(Fen(i64::MIN).to_string(), "-92233720368547758.08");
    }

    #[test]
    fn what_cannot_be_held_exactly_is_refused_and_never_rounded() {
        assert_eq!(times(d("1.23456789012345"), d("1.234567890123456")), None);
        assert_eq!(plus(Decimal::MAX, d("0.4")), None);
        assert_eq!(times(Decimal::MAX, d("2")), None);
        assert_eq!(times(d("0.50"), d("2.0")), Some(d("1")));
        assert_eq!(plus(d("0.50"), d("-0.5")), Some(d("0")));
    }

    proptest::proptest! {
        // invariant 4
        #[test]
        fn shares_of_a_rounded_sum_add_up_to_it(parts in proptest::collection::vec((-1_000_000_000_i64..1_000_000_000, 0_u32..7), 1..20)) {
            let amounts: Vec<Decimal> = parts.iter().map(|(m, s)| Decimal::new(*m, *s)).collect();
            let sum = amounts.iter().try_fold(Decimal::ZERO, |a, b| plus(a, *b)).unwrap();
            let total = Fen::round(sum).unwrap();
            let shares = share_fen(total, &amounts).unwrap();
            proptest::prop_assert_eq!(Fen::sum(shares.iter().copied()), Some(total));
            for (share, exact) in shares.iter().zip(&amounts) {
                let off = Decimal::from(share.0).checked_sub(*exact * Decimal::ONE_HUNDRED).unwrap();
                proptest::prop_assert!(off.abs() <= Decimal::ONE);
            }
        }
    }
}
