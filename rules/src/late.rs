//! Late fees (滞纳金, 违约金): what a bill costs more for each day that it is unpaid after its due day.
//! There is none unless the rule that prices the bill names one; the terms stand on the bill itself, so
//! that a later rule changes nothing for it.
//!
//! A day counts where something of the bill was still owed as it began: who pays on the day after the
//! due day is one day late. What is paid until the grace is over costs nothing. The fee of a bill up to
//! a day is one exact sum, cut at its cap and rounded once; what of it was billed before is taken off.
//! It therefore does not depend on how often it is billed, and what lowers the sum (a corrected bill,
//! a payment that was made on an earlier day, a waiver) gives a bill below zero by itself.
//!
//! It never bears a late fee itself, and a correction never makes one larger: what is billed more by a
//! correction has a due day of its own.

use crate::billing::Closing;
use crate::block::amount_line;
use crate::calendar::{self, Day, day_text, day_text_option};
use crate::correction::Ground;
use crate::event::{Bill, BillHead, BillLine, Text};
use crate::money::{Fen, minus, plus, share_fen, times};
use blockgate_types::{AccountId, BillId, CommandId, Decimal, ItemId, TariffId, Unit};
use serde::{Deserialize, Serialize};

/// What late payment costs, as a tariff's revision has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LateTerms {
    /// Under which item it is charged: income of its own.
    pub item: ItemId,
    /// For bills.
    pub label: Text,
    /// Percent of what is unpaid, for each day.
    #[serde(with = "blockgate_types::decimal::text")]
    pub percent_per_day: Decimal,
    /// So many days after the due day cost nothing where the bill is paid until then.
    pub grace_days: u32,
    /// From where the days count once the grace is over.
    pub days_from: DaysFrom,
    /// The most that it comes to, in percent of the bill.
    #[serde(with = "blockgate_types::decimal::text")]
    pub cap_percent: Decimal,
    /// How the sum becomes fen.
    pub rounding: LateRounding,
}

/// From where the days of a late fee count once the grace is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DaysFrom {
    /// From the due day: the days of grace count too.
    Due,
    /// From the end of the grace.
    Grace,
}

/// How the sum of a late fee becomes fen; never more than its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LateRounding {
    /// Half away from zero.
    HalfUp,
    /// A begun fen is not charged.
    Down,
}

/// From a day on, so much is unpaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// The first day.
    #[serde(with = "day_text")]
    pub from: Day,
    /// What was unpaid as it began.
    pub left_fen: Fen,
}

/// Where the late fee of one bill stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Late {
    /// The item of the bill.
    pub item: ItemId,
    /// By which tariff it is.
    pub tariff: TariffId,
    /// By which revision of it.
    pub tariff_revision: String,
    /// ISO 4217.
    pub currency: String,
    /// The first bill of its account, item and period; the bill itself where it corrects none.
    pub first: BillId,
    /// What was billed for the period before this bill: the part above it is this bill's.
    #[serde(default, skip_serializing_if = "Fen::is_zero")]
    pub above_fen: Fen,
    /// What the bill comes to, corrections taken off: the cap is a share of it.
    pub principal_fen: Fen,
    /// The last day on which it was paid in time.
    #[serde(with = "day_text")]
    pub due: Day,
    /// By which terms.
    pub terms: LateTerms,
    /// What was unpaid, from the day after the due day on.
    pub steps: Vec<Step>,
    /// Nothing is asked for any more: it was waived.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// What was billed of the fee.
    #[serde(default, skip_serializing_if = "Fen::is_zero")]
    pub billed_fen: Fen,
    /// The day after the last one that was billed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub billed_to: Option<Day>,
    /// How many bills it had.
    #[serde(default)]
    pub bills: u32,
    /// What was unpaid when is known better than its last bill says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
}

/// What a late fee's bill says beside its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LateFee {
    /// For which bill.
    pub of: BillId,
    /// Where the fee of that bill stands with this one.
    pub state: Late,
    /// Why it is billed.
    pub why: LateWhy,
}

/// Why a late fee is billed, or put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum LateWhy {
    /// A month was closed.
    Close,
    /// The household moves out.
    MoveOut {
        /// The settlement.
        settlement: CommandId,
    },
    /// A payment was made on an earlier day than it was booked.
    Payment {
        /// Which.
        payment: CommandId,
    },
    /// The bill was corrected, or the fee waived.
    Correction {
        /// The command that ordered it.
        command: CommandId,
        /// Why, with evidence and approver.
        ground: Ground,
    },
}

/// How a late fee is put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "how", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LateRight {
    /// None is asked for, now and later.
    Waived,
    /// What was paid last was paid on this day already, `2026-05-02`.
    PaidOn {
        /// The day.
        day: String,
    },
}

/// Days with the same unpaid sum.
struct Stretch {
    from: Day,
    to: Day,
    left: Fen,
}

/// What a late fee comes to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its lines, rounded so that they sum to the total.
    pub lines: Vec<BillLine>,
    /// The total.
    pub fee_fen: Fen,
}

impl Late {
    /// Where the fee of a bill stands as it is issued; `None` where it bears none.
    #[must_use]
    pub fn of(bill: &Bill) -> Option<Self> {
        let (terms, due) = (bill.late.as_deref()?.clone(), bill.due?);
        if bill.total_fen <= Fen::ZERO || bill.late_fee.is_some() {
            return None;
        }
        let corrects = bill.corrects.as_ref();
        Some(Self {
            item: bill.item.clone(),
            tariff: bill.tariff.clone(),
            tariff_revision: bill.tariff_revision.clone(),
            currency: bill.currency.clone(),
            first: corrects.map_or(&bill.bill, |corrects| &corrects.bill).clone(),
            above_fen: corrects.map_or(Fen::ZERO, |corrects| corrects.was_fen),
            principal_fen: bill.total_fen,
            due,
            terms,
            steps: vec![Step { from: calendar::next_day(due), left_fen: bill.total_fen }],
            waived: false,
            billed_fen: Fen::ZERO,
            billed_to: None,
            bills: 0,
            moved: false,
        })
    }

    /// What is unpaid as far as is known.
    #[must_use]
    pub fn left(&self) -> Fen {
        self.steps.last().map_or(Fen::ZERO, |step| step.left_fen)
    }

    /// What was unpaid as a day began.
    fn left_on(&self, day: Day) -> Fen {
        let step = self.steps.iter().rev().find(|step| step.from <= day);
        step.or(self.steps.first()).map_or(Fen::ZERO, |step| step.left_fen)
    }

    /// Notes on a day that so much is left: what was paid counts from the next day on.
    pub fn leave(&mut self, day: Day, left: Fen) {
        let less = self.left().0.saturating_sub(left.0);
        if less == 0 {
            return;
        }
        self.lower_after(day, less);
    }

    /// What was paid last was paid on this day; false where something is left.
    pub fn paid_on(&mut self, day: Day) -> bool {
        let is_paid = self.left() == Fen::ZERO;
        if is_paid {
            self.lower_after(day, i64::MAX);
        }
        is_paid
    }

    /// Takes so many fen off what was unpaid after a day.
    fn lower_after(&mut self, day: Day, less: i64) {
        let from = calendar::next_day(day.max(self.due));
        let before = self.left_on(from);
        let place = self.steps.partition_point(|step| step.from < from);
        if self.steps.get(place).is_none_or(|step| step.from != from) {
            self.steps.insert(place, Step { from, left_fen: before });
        }
        self.lower(from, less);
    }

    /// Takes so many fen off what was unpaid from a day on.
    fn lower(&mut self, from: Day, less: i64) {
        for step in self.steps.iter_mut().filter(|step| step.from >= from) {
            let left = Fen(step.left_fen.0.saturating_sub(less).max(0));
            self.moved |= left != step.left_fen;
            step.left_fen = left;
        }
        self.steps.dedup_by(|later, kept| later.left_fen == kept.left_fen);
    }

    /// The period should have been billed with `now` in all: takes off what of that is this bill's.
    /// How much it was.
    pub fn correct(&mut self, now: Fen) -> Fen {
        let own = now.0.saturating_sub(self.above_fen.0).clamp(0, self.principal_fen.0);
        let less = self.principal_fen.0.saturating_sub(own);
        self.principal_fen = Fen(own);
        self.lower(Day::MIN, less);
        Fen(less)
    }

    /// The first day that costs something.
    fn first_day(&self) -> Option<Day> {
        let late = calendar::next_day(self.due);
        match self.terms.days_from {
            DaysFrom::Due => Some(late),
            DaysFrom::Grace => calendar::days_after(late, self.terms.grace_days),
        }
    }

    /// The days before `to` that cost something. What was paid until the grace was over costs nothing.
    fn stretches(&self, to: Day) -> Option<Vec<Stretch>> {
        let graced = calendar::days_after(calendar::next_day(self.due), self.terms.grace_days)?;
        let mut found = Vec::new();
        if self.waived || to <= graced {
            return Some(found);
        }
        let mut from = self.first_day()?;
        let mut left = self.left_on(graced);
        for step in self.steps.iter().filter(|step| graced < step.from && step.from < to) {
            found.push(Stretch { from, to: step.from, left });
            (from, left) = (step.from, step.left_fen);
        }
        found.push(Stretch { from, to, left });
        found.retain(|stretch| stretch.left > Fen::ZERO && stretch.from < stretch.to);
        Some(found)
    }

    /// What the fee comes to for the days before `to`, all of them; `None` beyond what is exact.
    #[must_use]
    pub fn count(&self, to: Day) -> Option<Counted> {
        let (mut lines, mut sum) = (Vec::new(), Decimal::ZERO);
        let rate = times(self.terms.percent_per_day, Decimal::new(1, 2))?;
        for stretch in self.stretches(to)? {
            let line = self.line(&stretch, rate)?;
            sum = plus(sum, line.exact)?;
            lines.push(line);
        }
        let most = times(Decimal::new(self.principal_fen.0, 2), self.terms.cap_percent)?;
        let most = times(most, Decimal::new(1, 2))?;
        let most = floor(most)?;
        let rounded = match self.terms.rounding {
            LateRounding::HalfUp => Fen::round(sum)?,
            LateRounding::Down => floor(sum)?,
        };
        if rounded > most {
            let exact = minus(Decimal::new(most.0, 2), sum)?;
            let (percent, of) = (self.terms.cap_percent.normalize(), self.principal_fen);
            let label = Text {
                zh: format!("封顶：账单 {of} 元的 {percent}%"),
                en: format!("cap: {percent}% of the bill's {of} yuan"),
            };
            lines.push(amount_line(label, exact, Fen::ZERO));
        }
        let fee_fen = rounded.min(most);
        let exacts: Vec<Decimal> = lines.iter().map(|line| line.exact).collect();
        for (line, fen) in lines.iter_mut().zip(share_fen(fee_fen, &exacts)?) {
            line.amount_fen = fen;
        }
        Some(Counted { lines, fee_fen })
    }

    fn line(&self, stretch: &Stretch, rate: Decimal) -> Option<BillLine> {
        let days = calendar::days_between(stretch.from, stretch.to);
        let last = calendar::days_before(stretch.to, 1)?;
        let (from, left, due) = (stretch.from, stretch.left, self.due);
        let percent = self.terms.percent_per_day.normalize();
        let unit_price = times(Decimal::new(left.0, 2), rate)?;
        Some(BillLine {
            label: Text {
                zh: format!(
                    "{}，应于 {due} 前缴清，欠 {left} 元，每日 {percent}%，{from} 至 {last}",
                    self.terms.label.zh
                ),
                en: format!(
                    "{}, due {due}, {left} yuan unpaid, {percent}% a day, {from} to {last}",
                    self.terms.label.en
                ),
            },
            quantity: Decimal::from(days),
            unit: Unit::Day,
            unit_price,
            exact: times(Decimal::from(days), unit_price)?,
            amount_fen: Fen::ZERO,
            tier: None,
            window: None,
            component: None,
            days: None,
        })
    }

    /// The bill of what the fee comes to for the days before `to`, less what was billed; `None` where
    /// nothing is to be billed and nothing put right.
    #[must_use]
    pub fn bill(
        &self,
        of: (&AccountId, &BillId),
        to: Day,
        why: LateWhy,
        closing: &Closing<'_>,
    ) -> Option<Bill> {
        self.put_right(of, to, why, closing).filter(|bill| bill.total_fen != Fen::ZERO)
    }

    /// The same, also where it comes to nothing: what was put right is written down.
    #[must_use]
    pub fn put_right(
        &self,
        (account, of): (&AccountId, &BillId),
        to: Day,
        why: LateWhy,
        closing: &Closing<'_>,
    ) -> Option<Bill> {
        let Counted { mut lines, fee_fen } = self.count(to)?;
        let total_fen = Fen(fee_fen.0.checked_sub(self.billed_fen.0)?);
        if self.billed_fen != Fen::ZERO {
            let label = Text { zh: "已计收".to_owned(), en: "billed before".to_owned() };
            let before = Fen(self.billed_fen.0.checked_neg()?);
            lines.push(amount_line(label, Decimal::new(before.0, 2), before));
        }
        let begin = self.first_day()?;
        let from = self.billed_to.filter(|from| total_fen > Fen::ZERO && *from < to);
        let period = calendar::period(from.unwrap_or(begin), to, closing.zone);
        let bills = self.bills.checked_add(1)?;
        let key = ["late-fee", of.as_str(), &bills.to_string()];
        let billed_to = self.billed_to.max(Some(to));
        let state = Self { billed_fen: fee_fen, billed_to, bills, moved: false, ..self.clone() };
        Some(Bill {
            late_fee: Some(Box::new(LateFee { of: of.clone(), state, why })),
            ..BillHead {
                bill: crate::billing::bill_id(&key)?,
                account: account.clone(),
                item: self.terms.item.clone(),
                period,
                tariff: self.tariff.clone(),
                tariff_revision: self.tariff_revision.clone(),
                currency: self.currency.clone(),
                lines,
                total_fen,
                issued_at: closing.now,
                due: closing.due(total_fen),
            }
            .bill()
        })
    }

    /// The day after the last one on which anything can change the fee; `None` while something is left.
    fn ends(&self) -> Option<Day> {
        let last = self.steps.last().filter(|step| step.left_fen == Fen::ZERO)?;
        let graced = calendar::days_after(self.due, self.terms.grace_days.saturating_add(1))?;
        Some(calendar::next_day(last.from.max(graced)))
    }

    /// Whether all of it is billed, for good.
    fn is_billed(&self) -> bool {
        let counted = self.ends().and_then(|end| self.count(end));
        counted.is_some_and(|counted| counted.fee_fen == self.billed_fen)
    }

    /// Whether nothing of it is to be billed any more, and its last bill says all that is known.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_billed() && (!self.moved || self.bills == 0)
    }

    /// Its bill at a month's close: what the days before `to` cost and was not billed. Where that is
    /// nothing, but what was unpaid when is known better now, a last one without an amount says so: a
    /// correction years later counts by it.
    #[must_use]
    pub fn monthly(
        &self,
        of: (&AccountId, &BillId),
        to: Day,
        closing: &Closing<'_>,
    ) -> Option<Bill> {
        let to = self.billed_to.map_or(to, |billed| billed.max(to));
        if to <= self.due || (!self.moved && self.billed_to == Some(to)) {
            return None;
        }
        let last = self.moved && self.bills > 0 && self.is_billed();
        if !last && self.count(to)?.fee_fen == self.billed_fen {
            return None;
        }
        self.put_right(of, to, LateWhy::Close, closing)
    }
}

/// An exact amount in yuan in whole fen, cut off.
fn floor(yuan: Decimal) -> Option<Fen> {
    use rust_decimal::prelude::ToPrimitive;
    times(yuan, Decimal::ONE_HUNDRED)?.floor().to_i64().map(Fen)
}

#[cfg(test)]
mod tests;
