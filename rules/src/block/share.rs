//! Shared costs at a period's close. The bill of the cost comes first and names every share, so that
//! what is left of them after a crash is made from it and from nothing else.

use super::{Block, Pending, Used};
use crate::apportionment::{
    Apportioned, Apportionment, Direction, MEMBERS_MAX, Member, ShareOf, SharePart, apportion,
};
use crate::billing::{Closing, Due, bill_id};
use crate::event::{Bill, BillHead, BillLine, Event, Text};
use crate::money::{Fen, times};
use blockgate_types::{AccountId, Decimal, ItemId, Time, Unit};
use std::collections::BTreeMap;

/// What was billed in the period of items that costs are shared by.
pub(super) type UsedItems = BTreeMap<AccountId, BTreeMap<ItemId, Used>>;

impl Pending {
    /// The shares that are not billed yet.
    pub(super) fn open(&self) -> impl Iterator<Item = &Member> {
        let members = self.bill.apportioned.iter().flat_map(|shared| &shared.members);
        members.filter(|member| is_billed(member) && !self.done.contains(&member.account))
    }
}

/// An account without any weight gets no bill.
pub(super) fn is_billed(member: &Member) -> bool {
    member.parts.iter().any(|part| !part.weight.is_zero())
}

impl Block {
    /// What was billed so far, with the bills of this close.
    pub(super) fn used_with(&self, made: &[Event]) -> UsedItems {
        let mut used = self.state.used.clone();
        if self.cache.used_items.is_empty() {
            return used;
        }
        for event in made {
            let Event::Bill(bill) = event else { continue };
            let Some(more) = bill.used().filter(|_| self.cache.used_items.contains(&bill.item))
            else {
                continue;
            };
            let items = used.entry(bill.account.clone()).or_default();
            let sum = items.entry(bill.item.clone()).or_insert(Used(Decimal::ZERO));
            sum.0 = crate::money::plus(sum.0, more).unwrap_or(sum.0);
        }
        used
    }

    /// The bill of a shared cost and those of its shares; empty when its days are billed already.
    pub(super) fn share_out(
        &self,
        closing: &Closing<'_>,
        due: &Due<'_>,
        used: &UsedItems,
        now: Time,
    ) -> Result<Vec<Bill>, &'static str> {
        let rule_id = due.terms.charge.share.as_ref().ok_or("no-apportionment")?;
        let rule = self.state.setup.apportionments.get(rule_id).ok_or("no-apportionment")?;
        let Some(mut cost) = closing.bill(due)? else { return Ok(Vec::new()) };
        let borne = rule.borne_percent.unwrap_or_default();
        let borne = times(Decimal::new(cost.total_fen.0, 2), borne);
        let borne = borne.and_then(|part| times(part, Decimal::new(1, 2))).and_then(Fen::round);
        let total = cost.total_fen.0.checked_sub(borne.ok_or("overflow")?.0).ok_or("overflow")?;
        let signed = match rule.direction {
            Direction::Cost => Fen(total),
            Direction::Income => Fen(total.checked_neg().ok_or("overflow")?),
        };
        let members = self.members(rule, due.account, used)?;
        let (totals, members) = apportion(rule, signed, &members).map_err(|e| e.word())?;
        let weights = Apportioned::sums(totals.len(), &members).ok_or("overflow")?;
        let count = members.iter().filter(|member| is_billed(member)).count();
        let label = Text {
            zh: format!("分摊给 {count} 户"),
            en: format!("shared among {count} accounts"),
        };
        let exact = Decimal::new(total.checked_neg().ok_or("overflow")?, 2);
        cost.lines.push(amount_line(label, exact, Fen(total.checked_neg().ok_or("overflow")?)));
        cost.total_fen = Fen(cost.total_fen.0.checked_sub(total).ok_or("overflow")?);
        let (rule_id, by) = (rule_id.clone(), rule.clone());
        let shared = Apportioned { rule: rule_id, by, total_fen: signed, weights, members };
        cost.apportioned = Some(Box::new(shared));
        let shares: Vec<Bill> = cost
            .apportioned
            .iter()
            .flat_map(|shared| &shared.members)
            .filter(|member| is_billed(member))
            .filter_map(|member| share_bill(&cost, member, now))
            .collect();
        // A share that cannot be billed would be a part of the cost that nobody pays.
        if shares.len() != count {
            return Err("overflow");
        }
        Ok(std::iter::once(cost).chain(shares).collect())
    }

    /// Whom a cost is shared among, with their weights.
    fn members(
        &self,
        rule: &Apportionment,
        own: &AccountId,
        used: &UsedItems,
    ) -> Result<Vec<(AccountId, Vec<Decimal>)>, &'static str> {
        let mut members = Vec::new();
        let accounts = self.state.setup.accounts.iter();
        for (id, account) in accounts.filter(|(id, a)| *id != own && rule.among.has(id, a)) {
            let used_of = |item: &ItemId| {
                let used = used.get(id).and_then(|items| items.get(item));
                used.map(|used| used.0).unwrap_or_default()
            };
            let weights = rule.parts.iter().map(|part| part.by.weight(id, account, used_of));
            members.push((id.clone(), weights.collect::<Result<Vec<_>, _>>()?));
        }
        if members.len() > MEMBERS_MAX {
            return Err("too-many-members");
        }
        Ok(members)
    }
}

pub(crate) fn amount_line(label: Text, exact: Decimal, amount_fen: Fen) -> BillLine {
    BillLine {
        label,
        quantity: Decimal::ONE,
        unit: Unit::One,
        unit_price: exact,
        exact,
        amount_fen,
        tier: None,
        window: None,
        component: None,
        days: None,
    }
}

/// The bill of one share, from the bill of the cost alone.
pub(crate) fn share_bill(cost: &Bill, member: &Member, now: Time) -> Option<Bill> {
    let shared = cost.apportioned.as_ref()?;
    let (mut lines, mut parts) = (Vec::new(), Vec::new());
    for (n, own) in member.parts.iter().enumerate() {
        let fens = shared.members.iter().filter_map(|m| m.parts.get(n)).map(|part| part.fen);
        let total_fen = Fen::sum(fens)?;
        let weights = *shared.weights.get(n)?;
        let by = &shared.by.parts.get(n)?.by;
        let exact = Decimal::new(total_fen.0, 2).checked_mul(own.weight)?.checked_div(weights)?;
        let words = by.words();
        let label = Text {
            zh: format!("{} {}", shared.by.label.zh, words.zh),
            en: format!("{}, {}", shared.by.label.en, words.en),
        };
        lines.push(amount_line(label, exact.round_dp(12), own.fen));
        parts.push(SharePart { total_fen, weights, own: own.clone() });
    }
    let item = &shared.by.item;
    let to_pay = member.total().is_some_and(|total| total > Fen::ZERO);
    let key = ["share", cost.bill.as_str(), member.account.as_str(), item.as_str(), "0"];
    Some(Bill {
        share: Some(Box::new(ShareOf {
            bill: cost.bill.clone(),
            total_fen: shared.total_fen,
            parts,
        })),
        late: cost.late.clone().filter(|_| to_pay),
        ..BillHead {
            bill: bill_id(&key)?,
            account: member.account.clone(),
            item: item.clone(),
            period: cost.period.clone(),
            tariff: cost.tariff.clone(),
            tariff_revision: cost.tariff_revision.clone(),
            currency: cost.currency.clone(),
            total_fen: member.total()?,
            lines,
            issued_at: now,
            due: cost.due.filter(|_| to_pay),
        }
        .bill()
    })
}
