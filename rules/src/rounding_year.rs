//! Rounding once a year: a bill is the rounded sum of its year so far, less what the year was billed
//! before (switch 12). So twelve bills add up to the year rounded once, whatever their months are.
//!
//! A bill says where the year stood before and after it; the Block folds these, and knows of every
//! account and item what the next bill goes on from. A year belongs to the household: where another
//! moves in, its sums begin anew. Price and tax are rounded apart, so they are counted apart.

use crate::calendar::{self, Day};
use crate::money::{Fen, minus, plus};
use blockgate_types::{AccountId, Decimal, ItemId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Years that are kept of an account and item; a correction that reaches farther back is refused.
const KEPT: usize = 16;

/// What a rounding year came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct YearSum {
    /// Of the prices, unrounded, in yuan.
    #[serde(with = "blockgate_types::decimal::text")]
    pub exact: Decimal,
    /// What of it was billed.
    pub billed_fen: Fen,
    /// Of the tax on top of them, unrounded, in yuan.
    #[serde(
        default,
        skip_serializing_if = "Decimal::is_zero",
        with = "blockgate_types::decimal::text"
    )]
    pub tax_exact: Decimal,
    /// What of it was billed.
    #[serde(default, skip_serializing_if = "Fen::is_zero")]
    pub tax_billed_fen: Fen,
}

impl YearSum {
    /// Adds prices; what is to be billed for them.
    pub(crate) fn add(&mut self, exact: Decimal) -> Option<Fen> {
        let (exact, fen) = (plus(self.exact, exact)?, self.billed_fen);
        (self.exact, self.billed_fen) = (exact, Fen::round(exact)?);
        self.billed_fen.0.checked_sub(fen.0).map(Fen)
    }

    /// Adds tax; what is to be billed for it.
    pub(crate) fn add_tax(&mut self, exact: Decimal) -> Option<Fen> {
        let (exact, fen) = (plus(self.tax_exact, exact)?, self.tax_billed_fen);
        (self.tax_exact, self.tax_billed_fen) = (exact, Fen::round(exact)?);
        self.tax_billed_fen.0.checked_sub(fen.0).map(Fen)
    }

    fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            exact: plus(self.exact, other.exact)?,
            billed_fen: self.billed_fen.plus(other.billed_fen)?,
            tax_exact: plus(self.tax_exact, other.tax_exact)?,
            tax_billed_fen: self.tax_billed_fen.plus(other.tax_billed_fen)?,
        })
    }

    fn minus(self, other: Self) -> Option<Self> {
        Some(Self {
            exact: minus(self.exact, other.exact)?,
            billed_fen: Fen(self.billed_fen.0.checked_sub(other.billed_fen.0)?),
            tax_exact: minus(self.tax_exact, other.tax_exact)?,
            tax_billed_fen: Fen(self.tax_billed_fen.0.checked_sub(other.tax_billed_fen.0)?),
        })
    }
}

/// A rounding year and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct YearStanding {
    /// Its first day, `2026-01-01`; with `/` and a day where an occupant moved in inside it.
    pub year: String,
    /// What it came to.
    pub sum: YearSum,
}

/// A rounding year before and after a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RoundedYear {
    /// Its first day, `2026-01-01`; with `/` and a day where an occupant moved in inside it.
    pub year: String,
    /// What it came to before this bill.
    pub before: YearSum,
    /// What it came to with it.
    pub after: YearSum,
}

/// The rounding years of an account and item, the one that was begun last at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Years(Vec<YearStanding>);

/// The rounding years of all accounts.
pub type AllYears = BTreeMap<AccountId, BTreeMap<ItemId, Years>>;

/// The name of the rounding year of a day, where years begin on `begins`: its first day, and the day on
/// which the occupant moved in inside it.
#[must_use]
pub fn name(day: Day, begins: (i8, i8), occupied_from: Option<Day>) -> String {
    let start = calendar::tier_year_start(day, begins);
    match occupied_from.filter(|moved| start < *moved && *moved <= day) {
        Some(moved) => format!("{start}/{moved}"),
        None => start.to_string(),
    }
}

impl Years {
    /// What a year came to so far; nothing where it was not begun.
    #[must_use]
    pub fn of(&self, year: &str) -> YearSum {
        let found = self.0.iter().find(|standing| standing.year == year);
        found.map(|standing| standing.sum).unwrap_or_default()
    }

    /// Takes in what a bill says of its years. A sum that is not exact any more stays as it was.
    pub fn fold(&mut self, bill: &[RoundedYear]) {
        for rounded in bill {
            match self.0.iter_mut().find(|standing| standing.year == rounded.year) {
                Some(standing) => {
                    let moved = rounded.after.minus(rounded.before);
                    let sum = moved.and_then(|moved| standing.sum.plus(moved));
                    standing.sum = sum.unwrap_or(standing.sum);
                }
                None => {
                    let (year, sum) = (rounded.year.clone(), rounded.after);
                    self.0.push(YearStanding { year, sum });
                    if self.0.len() > KEPT {
                        self.0.remove(0);
                    }
                }
            }
        }
    }

    /// The same with all that is counted billed as it is rounded, where not every bill of a year is known.
    pub(crate) fn balance(&mut self) {
        for standing in &mut self.0 {
            let sum = &mut standing.sum;
            sum.billed_fen = Fen::round(sum.exact).unwrap_or(sum.billed_fen);
            sum.tax_billed_fen = Fen::round(sum.tax_exact).unwrap_or(sum.tax_billed_fen);
        }
    }

    /// The years without what some bills were in them; `None` where one of these is not kept any more.
    pub(crate) fn without(&self, parts: &Self) -> Option<Self> {
        let mut left = self.clone();
        for part in parts.0.iter().filter(|part| part.sum != YearSum::default()) {
            let standing = left.0.iter_mut().find(|standing| standing.year == part.year)?;
            standing.sum = standing.sum.minus(part.sum)?;
        }
        Some(left)
    }

    /// What bills are in their years: the sum of what each added.
    pub(crate) fn parts<'b>(bills: impl IntoIterator<Item = &'b [RoundedYear]>) -> Option<Self> {
        let mut parts = Self::default();
        for rounded in bills.into_iter().flatten() {
            let moved = rounded.after.minus(rounded.before)?;
            match parts.0.iter_mut().find(|part| part.year == rounded.year) {
                Some(part) => part.sum = part.sum.plus(moved)?,
                None => parts.0.push(YearStanding { year: rounded.year.clone(), sum: moved }),
            }
        }
        Some(parts)
    }

    /// What a difference bill says: these years before it, and with `now` in place of what the bill was
    /// in them, which is `left` out of them.
    pub(crate) fn moved(&self, parts: &Self, left: &Self, now: &[RoundedYear]) -> Vec<RoundedYear> {
        let mut moved: Vec<RoundedYear> = Vec::new();
        for rounded in now {
            let (year, before) = (rounded.year.clone(), self.of(&rounded.year));
            moved.push(RoundedYear { year, before, after: rounded.after });
        }
        for part in &parts.0 {
            if !now.iter().any(|rounded| rounded.year == part.year) {
                let (before, after) = (self.of(&part.year), left.of(&part.year));
                moved.push(RoundedYear { year: part.year.clone(), before, after });
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockgate_types::parse_decimal;

    fn d(text: &str) -> Decimal {
        parse_decimal(text).unwrap()
    }

    fn day(text: &str) -> Day {
        calendar::parse_day(text).unwrap()
    }

    fn bill(years: &Years, year: &str, exact: &str) -> (Fen, RoundedYear) {
        let before = years.of(year);
        let mut after = before;
        let fen = after.add(d(exact)).unwrap();
        (fen, RoundedYear { year: year.to_owned(), before, after })
    }

    #[test]
    fn a_year_is_named_by_its_first_day_and_by_who_moved_in_inside_it() {
        for (on, begins, moved, want) in [
            ("2026-03-01", (1, 1), None, "2026-01-01"),
            ("2026-03-01", (4, 1), None, "2025-04-01"),
            ("2026-03-01", (1, 1), Some("2026-02-10"), "2026-01-01/2026-02-10"),
            ("2026-03-01", (1, 1), Some("2026-03-02"), "2026-01-01"),
            ("2026-03-01", (1, 1), Some("2026-01-01"), "2026-01-01"),
            ("2026-03-01", (1, 1), Some("2019-05-05"), "2026-01-01"),
        ] {
            assert_eq!(name(day(on), begins, moved.map(day)), want);
        }
    }

    #[test]
    fn what_is_billed_is_the_rounded_sum_less_what_was_billed() {
        let mut years = Years::default();
        let mut billed = Vec::new();
        for _ in 0..4 {
            let (fen, rounded) = bill(&years, "2026-01-01", "0.004");
            years.fold(&[rounded]);
            billed.push(fen.0);
        }
        assert_eq!(billed, [0, 1, 0, 1]);
        assert_eq!(years.of("2026-01-01").billed_fen, Fen(2));
        assert_eq!(years.of("2027-01-01"), YearSum::default());
    }

    #[test]
    fn a_year_that_is_not_kept_any_more_is_not_taken_apart() {
        let mut years = Years::default();
        let mut first = None;
        for n in 0..=KEPT {
            let (_, rounded) = bill(&years, &format!("{}-01-01", 2000 + n), "0.004");
            first = first.or(Some(rounded.clone()));
            years.fold(&[rounded]);
        }
        let first = first.unwrap();
        let parts = |rounded: &RoundedYear| Years::parts([std::slice::from_ref(rounded)]).unwrap();
        assert_eq!(years.without(&parts(&first)), None);
        // A bill that was nothing in it needs no year.
        let nothing = RoundedYear { after: first.before, ..first };
        assert_eq!(years.without(&parts(&nothing)), Some(years.clone()));
    }
}
