//! Apportionment: a cost, a loss or an income is shared among accounts, exactly.
//!
//! The total is rounded to fen once; then each account gets the whole fen of its share, and the fen
//! that are left go to the largest remainders, ties by the rule's own order (money: largest
//! remainder in integers). The shares sum to the total (invariant 4), whatever the order in which the
//! accounts are named. A negative total is shared as its absolute value and negated, so that a refund
//! mirrors its charge.
//!
//! What is shared is the bill of a charge: it names its rule by `share`. That charge's bill has a last
//! line that takes out what was shared; each account's part is a bill of its own that names it.

use crate::event::Text;
use crate::money::{Fen, plus};
use crate::setup::AccountSetup;
use blockgate_types::{AccountId, Decimal, ItemId, Span, Unit};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Most accounts that one cost is shared among: its bill is one record that names them all.
pub const MEMBERS_MAX: usize = 2_000;

/// A rule for sharing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Apportionment {
    /// For the bills of the shares.
    pub label: Text,
    /// Under which item the shares are billed.
    pub item: ItemId,
    /// A cost is paid by the accounts, an income is paid to them.
    pub direction: Direction,
    /// Whom the cost is shared among.
    pub among: Members,
    /// The parts of the total, in percent that sum to 100, each by weights of its own.
    pub parts: Vec<Portion>,
    /// What of the total is not shared and stays with the charge's own account, in percent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub borne_percent: Option<Decimal>,
    /// Who gets the fen that equal remainders compete for.
    pub tie_break: TieBreak,
    /// What a loss (master meter minus sub-meters) may be; there where the charge has sub-meters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossBound>,
}

/// Which way the money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The accounts pay.
    Cost,
    /// The accounts are paid: rent of advertising space.
    Income,
}

/// Whom a rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Members {
    /// Every account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// The accounts of these buildings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buildings: Vec<String>,
    /// The accounts of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// These accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountId>,
    /// But not these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<AccountId>,
}

impl Members {
    /// Whether an account is among them.
    #[must_use]
    pub fn has(&self, id: &AccountId, account: &AccountSetup) -> bool {
        let named = self.all
            || self.buildings.contains(&account.building)
            || account.groups.iter().any(|group| self.groups.contains(group))
            || self.accounts.contains(id);
        named && !self.except.contains(id)
    }

    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.all && self.buildings.is_empty() && self.groups.is_empty() && self.accounts.is_empty()
    }
}

/// A part of the total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Portion {
    /// Of the total.
    #[serde(with = "blockgate_types::decimal::text")]
    pub percent: Decimal,
    /// By what it is shared.
    pub by: Weighting,
}

/// By what a part is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Weighting {
    /// Floor area.
    Area,
    /// Each account the same.
    Household,
    /// Persons.
    Persons,
    /// What was billed of an item in the same period, in its unit: pumping by the water used.
    Usage {
        /// The item.
        item: ItemId,
    },
    /// The account's floor: the weight of the highest entry that is not above it.
    Floor {
        /// By lowest floor, ascending.
        floors: Vec<FloorWeight>,
    },
    /// A table by account; whom it leaves out has no weight.
    Table {
        /// The weights.
        #[serde(with = "weights_text")]
        #[cfg_attr(
            feature = "schema",
            schemars(with = "std::collections::BTreeMap<String, blockgate_types::decimal::text>")
        )]
        weights: BTreeMap<AccountId, Decimal>,
    },
}

/// The weight from a floor on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FloorWeight {
    /// Lowest floor.
    pub from: i32,
    /// Its weight.
    #[serde(with = "blockgate_types::decimal::text")]
    pub weight: Decimal,
}

/// Who gets the fen that equal remainders compete for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TieBreak {
    /// The smaller account id.
    Account,
    /// The larger weight, then the smaller account id.
    LargerWeight,
}

/// What a loss may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LossBound {
    /// Of the master meter's use, in percent.
    #[serde(with = "blockgate_types::decimal::text")]
    pub max_percent: Decimal,
    /// What happens above it.
    pub above: AboveBound,
    /// How far apart in time the readings of master and sub-meters may lie.
    pub skew_max: Span,
}

/// What happens to a loss above its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AboveBound {
    /// Nothing is billed until somebody looks.
    Hold,
    /// The bound is billed, the rest is not.
    Cap,
}

/// What was shared, on the bill of the cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Apportioned {
    /// The rule's id.
    pub rule: blockgate_types::TariffId,
    /// The rule, as it was.
    pub by: Apportionment,
    /// What was shared; negative for an income.
    pub total_fen: Fen,
    /// The sum of all weights, part by part.
    #[serde(with = "list_text")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<blockgate_types::decimal::text>"))]
    pub weights: Vec<Decimal>,
    /// Each account's share.
    pub members: Vec<Member>,
}

/// One account's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// Whose.
    pub account: AccountId,
    /// Part by part.
    pub parts: Vec<MemberPart>,
}

/// An account's share of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MemberPart {
    /// Its weight.
    #[serde(with = "blockgate_types::decimal::text")]
    pub weight: Decimal,
    /// Its fen.
    pub fen: Fen,
    /// The place of its remainder, from 1; it has a fen more where this is among the fen left over.
    pub rank: u32,
    /// Whether it got one of the fen left over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extra: bool,
}

/// Which shared cost a bill is a share of, and why it is as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ShareOf {
    /// The bill of the cost.
    pub bill: blockgate_types::BillId,
    /// What was shared.
    pub total_fen: Fen,
    /// Part by part.
    pub parts: Vec<SharePart>,
}

/// One part of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SharePart {
    /// What was shared in this part.
    pub total_fen: Fen,
    /// The sum of all weights.
    #[serde(with = "blockgate_types::decimal::text")]
    pub weights: Decimal,
    /// This account's.
    #[serde(flatten)]
    pub own: MemberPart,
}

/// A share with how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// The fen.
    pub fen: Fen,
    /// What was left of it before the fen left over were given out, as a part of `whole`.
    pub remainder: i128,
    /// The sum of all weights as an integer.
    pub whole: i128,
    /// The place of its remainder among all, from 1.
    pub rank: u32,
    /// Whether it got one of the fen left over.
    pub extra: bool,
}

/// Why a total cannot be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareError {
    /// No weight is above zero: nobody would pay.
    NoPositiveWeight,
    /// A weight is below zero.
    NegativeWeight,
    /// More digits than an exact result can have.
    TooLarge,
}

impl std::fmt::Display for ShareError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoPositiveWeight => "no weight is above zero: nobody would pay",
            Self::NegativeWeight => "a weight is below zero",
            Self::TooLarge => "the weights have too many digits to be exact",
        })
    }
}

impl std::error::Error for ShareError {}

impl ShareError {
    /// The stable word for [`crate::event::Unbilled::why`].
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPositiveWeight => "no-positive-weight",
            Self::NegativeWeight => "negative-weight",
            Self::TooLarge => "overflow",
        }
    }
}

/// Shares a total by weights, by largest remainder; `before` says which of two places goes first where
/// remainders are equal, and must be an order without ties.
///
/// # Errors
/// [`ShareError`] where there is no weight, one is negative, or the numbers are too large.
pub fn shares(
    total: Fen,
    weights: &[Decimal],
    before: impl Fn(usize, usize) -> Ordering,
) -> Result<Vec<Share>, ShareError> {
    let weights = integers(weights)?;
    let sum = weights.iter().try_fold(0_i128, |sum, w| sum.checked_add(*w));
    let sum = sum.ok_or(ShareError::TooLarge)?;
    if sum == 0 {
        return Err(ShareError::NoPositiveWeight);
    }
    let size = i128::from(total.0.unsigned_abs());
    let mut parts = Vec::with_capacity(weights.len());
    let mut left = size;
    for weight in &weights {
        let product = size.checked_mul(*weight).ok_or(ShareError::TooLarge)?;
        let (base, rest) = (product.checked_div(sum), product.checked_rem(sum));
        let (base, rest) = base.zip(rest).ok_or(ShareError::TooLarge)?;
        left = left.checked_sub(base).ok_or(ShareError::TooLarge)?;
        parts.push((base, rest));
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    let rest_at = |place: usize| parts.get(place).map_or(0, |(_, rest)| *rest);
    order.sort_by(|a, b| rest_at(*b).cmp(&rest_at(*a)).then_with(|| before(*a, *b)));
    let mut shares: Vec<Share> = Vec::with_capacity(parts.len());
    for (base, rest) in &parts {
        let fen = i64::try_from(*base).map_err(|_| ShareError::TooLarge)?;
        let (remainder, whole) = (*rest, sum);
        shares.push(Share { fen: Fen(fen), remainder, whole, rank: 0, extra: false });
    }
    for (n, place) in order.into_iter().enumerate() {
        let Some(share) = shares.get_mut(place) else { continue };
        share.rank = u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        // Fewer fen are left over than there are shares with a remainder.
        if i128::try_from(n).is_ok_and(|n| n < left) {
            share.extra = true;
            share.fen = share.fen.plus(Fen(1)).ok_or(ShareError::TooLarge)?;
        }
    }
    if total.0 < 0 {
        for share in &mut shares {
            share.fen = Fen(share.fen.0.checked_neg().ok_or(ShareError::TooLarge)?);
        }
    }
    Ok(shares)
}

/// Decimal weights as integers of the same ratio.
fn integers(weights: &[Decimal]) -> Result<Vec<i128>, ShareError> {
    if weights.iter().any(|weight| weight.is_sign_negative() && !weight.is_zero()) {
        return Err(ShareError::NegativeWeight);
    }
    let plain: Vec<Decimal> = weights.iter().map(Decimal::normalize).collect();
    let scale = plain.iter().map(Decimal::scale).max().unwrap_or_default();
    let scaled = plain.iter().map(|weight| {
        let more = scale.checked_sub(weight.scale())?;
        weight.mantissa().checked_mul(10_i128.checked_pow(more)?)
    });
    scaled.collect::<Option<Vec<i128>>>().ok_or(ShareError::TooLarge)
}

/// A shared total, member by member.
///
/// # Errors
/// [`ShareError`] of the first part that cannot be shared.
pub fn apportion(
    rule: &Apportionment,
    total: Fen,
    members: &[(AccountId, Vec<Decimal>)],
) -> Result<(Vec<Fen>, Vec<Member>), ShareError> {
    let percents: Vec<Decimal> = rule.parts.iter().map(|part| part.percent).collect();
    let totals: Vec<Fen> =
        shares(total, &percents, |a, b| a.cmp(&b))?.iter().map(|share| share.fen).collect();
    let mut shared: Vec<Member> = members
        .iter()
        .map(|(account, _)| Member { account: account.clone(), parts: Vec::new() })
        .collect();
    for (n, part_total) in totals.iter().enumerate() {
        let weight =
            |(_, weights): &(AccountId, Vec<Decimal>)| weights.get(n).copied().unwrap_or_default();
        let weights: Vec<Decimal> = members.iter().map(weight).collect();
        let by_account = |a: usize, b: usize| {
            let account = |place: usize| members.get(place).map(|(account, _)| account);
            account(a).cmp(&account(b))
        };
        let parts = shares(*part_total, &weights, |a, b| match rule.tie_break {
            TieBreak::Account => by_account(a, b),
            TieBreak::LargerWeight => {
                weights.get(b).cmp(&weights.get(a)).then_with(|| by_account(a, b))
            }
        })?;
        for ((member, share), weight) in shared.iter_mut().zip(parts).zip(weights) {
            let Share { fen, rank, extra, .. } = share;
            member.parts.push(MemberPart { weight, fen, rank, extra });
        }
    }
    Ok((totals, shared))
}

impl Member {
    /// All parts together.
    #[must_use]
    pub fn total(&self) -> Option<Fen> {
        Fen::sum(self.parts.iter().map(|part| part.fen))
    }
}

impl Apportioned {
    /// The sums of the weights, part by part.
    #[must_use]
    pub fn sums(parts: usize, members: &[Member]) -> Option<Vec<Decimal>> {
        let sum = |n: usize| {
            let weights = members.iter().filter_map(|m| m.parts.get(n)).map(|part| part.weight);
            weights.into_iter().try_fold(Decimal::ZERO, plus)
        };
        (0..parts).map(sum).collect()
    }
}

impl Weighting {
    /// The weight of an account; `used` tells what was billed of an item in the period.
    ///
    /// # Errors
    /// The word for [`crate::event::Unbilled::why`] where the account does not say what is needed.
    pub fn weight(
        &self,
        id: &AccountId,
        account: &AccountSetup,
        used: impl Fn(&ItemId) -> Decimal,
    ) -> Result<Decimal, &'static str> {
        match self {
            Self::Area => account.area_m2.ok_or("no-area"),
            Self::Household => Ok(Decimal::ONE),
            Self::Persons => account.persons.map(Decimal::from).ok_or("no-persons"),
            Self::Usage { item } => Ok(used(item)),
            Self::Floor { floors } => {
                let floor = account.floor.ok_or("no-floor")?;
                let entry = floors.iter().rev().find(|entry| entry.from <= floor);
                Ok(entry.map(|entry| entry.weight).unwrap_or_default())
            }
            Self::Table { weights } => Ok(weights.get(id).copied().unwrap_or_default()),
        }
    }

    /// The unit of its weights, as far as it has one.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match self {
            Self::Area => Unit::SquareMetre,
            Self::Household => Unit::Household,
            Self::Persons => Unit::Person,
            Self::Usage { .. } | Self::Floor { .. } | Self::Table { .. } => Unit::One,
        }
    }

    /// For bills: by what.
    #[must_use]
    pub fn words(&self) -> Text {
        let (zh, en) = match self {
            Self::Area => ("按面积", "by area"),
            Self::Household => ("按户", "by household"),
            Self::Persons => ("按人数", "by persons"),
            Self::Usage { .. } => ("按用量", "by usage"),
            Self::Floor { .. } => ("按楼层", "by floor"),
            Self::Table { .. } => ("按约定权重", "by agreed weights"),
        };
        Text { zh: zh.to_owned(), en: en.to_owned() }
    }
}

/// Serde for weights by account, as decimal strings.
mod weights_text {
    use blockgate_types::{AccountId, Decimal, parse_decimal};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        weights: &BTreeMap<AccountId, Decimal>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_map(weights.iter().map(|(account, weight)| (account, weight.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<AccountId, Decimal>, D::Error> {
        let texts = BTreeMap::<AccountId, String>::deserialize(d)?;
        let parse = |(id, text): (AccountId, String)| {
            Ok((id, parse_decimal(&text).map_err(serde::de::Error::custom)?))
        };
        texts.into_iter().map(parse).collect()
    }
}

/// Serde for a list of decimal strings.
mod list_text {
    use blockgate_types::{Decimal, parse_decimal};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(list: &[Decimal], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Decimal>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        texts.iter().map(|t| parse_decimal(t).map_err(serde::de::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fens(total: i64, weights: &[i64]) -> Result<Vec<i64>, ShareError> {
        let weights: Vec<Decimal> = weights.iter().map(|w| Decimal::new(*w, 2)).collect();
        let shares = shares(Fen(total), &weights, |a, b| a.cmp(&b))?;
        Ok(shares.iter().map(|share| share.fen.0).collect())
    }

    #[test]
    fn nobody_is_no_answer() {
        assert_eq!(fens(100, &[]), Err(ShareError::NoPositiveWeight));
        assert_eq!(fens(100, &[0, 0]), Err(ShareError::NoPositiveWeight));
        assert_eq!(fens(100, &[1, -1]), Err(ShareError::NegativeWeight));
        assert_eq!(fens(i64::MIN, &[1]), Err(ShareError::TooLarge));
        assert_eq!(fens(i64::MAX, &[1, 0]), Ok(vec![i64::MAX, 0]));
    }

    proptest! {
        // invariant 4
        #[test]
        fn shares_sum_to_the_total_and_miss_by_less_than_a_fen(
            total in -1_000_000_000_000_i64..1_000_000_000_000,
            weights in proptest::collection::vec(0_i64..1_000_000, 1..60),
        ) {
            prop_assume!(weights.iter().any(|w| *w > 0));
            let found = fens(total, &weights).unwrap();
            prop_assert_eq!(found.iter().sum::<i64>(), total);
            let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
            for (fen, weight) in found.iter().zip(&weights) {
                let off = i128::from(*fen) * sum - i128::from(total) * i128::from(*weight);
                prop_assert!(off.abs() < sum);
                prop_assert!(*weight != 0 || *fen == 0);
            }
            // A refund mirrors its charge.
            let mirrored: Vec<i64> = fens(-total, &weights).unwrap().iter().map(|f| -f).collect();
            prop_assert_eq!(mirrored, found);
        }

        #[test]
        fn the_order_of_the_accounts_does_not_matter(
            total in 0_i64..1_000_000,
            weights in proptest::collection::vec(0_i64..50, 2..20),
            turn in 0_usize..20,
            larger in any::<bool>(),
        ) {
            prop_assume!(weights.iter().any(|w| *w > 0));
            let rule = Apportionment {
                label: Text { zh: "x".into(), en: "x".into() },
                item: ItemId::new("x").unwrap(),
                direction: Direction::Cost,
                among: Members::default(),
                parts: vec![
                    Portion { percent: Decimal::from(30), by: Weighting::Area },
                    Portion { percent: Decimal::from(70), by: Weighting::Household },
                ],
                borne_percent: None,
                tie_break: if larger { TieBreak::LargerWeight } else { TieBreak::Account },
                loss: None,
            };
            let mut members: Vec<(AccountId, Vec<Decimal>)> = weights
                .iter()
                .enumerate()
                .map(|(n, w)| (AccountId::new(&format!("a-{n:02}")).unwrap(), vec![Decimal::from(*w), Decimal::ONE]))
                .collect();
            let (_, mut one) = apportion(&rule, Fen(total), &members).unwrap();
            let by = turn % members.len();
            members.rotate_left(by);
            members.swap(0, 1);
            let (_, mut other) = apportion(&rule, Fen(total), &members).unwrap();
            one.sort_by(|a, b| a.account.cmp(&b.account));
            other.sort_by(|a, b| a.account.cmp(&b.account));
            prop_assert_eq!(&one, &other);
            let sum: i64 = one.iter().map(|member| member.total().unwrap().0).sum();
            prop_assert_eq!(sum, total);
        }
    }
}
