//! Money: whole fen with checked arithmetic, and the one rounding.

use blockgate_types::Decimal;
use rust_decimal::RoundingStrategy;
use serde::{Deserialize, Serialize};

/// An amount in the currency's minor unit (fen), signed. Every sum is checked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fen(pub i64);

impl Fen {
    /// Nothing.
    pub const ZERO: Self = Self(0);

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
        let fen = yuan
            .checked_mul(Decimal::ONE_HUNDRED)?
            .round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
        fen.to_i64().map(Self)
    }
}

impl std::fmt::Display for Fen {
    /// Yuan with two decimals: `-12.05`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, size) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:02}", size / 100, size % 100)
    }
}
