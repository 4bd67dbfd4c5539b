//! How a deposit goes back by its contract.

use super::Deposit;
use crate::calendar::{self, Day, day_text_option};
use crate::money::Fen;
use serde::{Deserialize, Serialize};

/// Most parts of a contract.
const PARTS_MAX: usize = 60;

/// How a deposit goes back by itself once its condition is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The day on which the condition is met by itself: the contract's end. None where a person says
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub on: Option<Day>,
    /// The parts, in time order; their shares sum to 100.
    pub parts: Vec<Part>,
}

/// A part of a deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// How many days after the condition is met.
    pub after_days: u32,
    /// The share in percent; the last part is what is left.
    pub percent: u32,
}

impl Release {
    /// Whether the parts are a whole, in time order.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn checked(&self) -> Result<(), &'static str> {
        let sum = self.parts.iter().fold(0_u32, |sum, part| sum.saturating_add(part.percent));
        let pairs = self.parts.iter().zip(self.parts.iter().skip(1));
        let rising = pairs.into_iter().all(|(a, b)| a.after_days < b.after_days);
        let each = self.parts.iter().all(|part| part.percent > 0 && part.after_days <= 3_660);
        if self.parts.len() > PARTS_MAX || sum != 100 || !rising || !each {
            return Err("the parts of a release rise in days (up to 3660) and sum to 100 percent");
        }
        Ok(())
    }
}

impl Deposit {
    /// The part of its contract that is due and not asked for yet: its number and its amount.
    #[must_use]
    pub fn due(&self, today: Day, release: &Release) -> Option<(u32, Fen)> {
        let place = usize::try_from(self.asked).ok()?;
        let part = release.parts.get(place)?;
        let on = calendar::days_after(self.met_on?, part.after_days)?;
        if on > today {
            return None;
        }
        let free = self.free();
        let last = place.saturating_add(1) == release.parts.len();
        let share = i128::from(self.whole_fen.0).checked_mul(i128::from(part.percent))?;
        let share = i64::try_from(share.checked_div(100)?).ok()?;
        let fen = if last { free } else { Fen(share.min(free.0)) };
        (fen > Fen::ZERO).then_some((self.asked.saturating_add(1), fen))
    }
}
