//! Corrections of shared costs: the cost is rated again, or its weights are, and every share follows.

use super::{
    Chain, Correction, Facts, Issued, TOO_LARGE, What, again, corrected, days, facts_of, fen_line,
    taken_back,
};
use crate::apportionment::{Apportioned, Direction, Member, apportion};
use crate::billing::Closing;
use crate::block::share_bill;
use crate::event::{Bill, Corrects};
use crate::money::{Fen, minus, plus, times};
use blockgate_types::{AccountId, CommandId, Decimal, parse_decimal};

/// Adds the differences of shared costs and of their shares; `out` has those of other bills, whose use
/// can be a weight.
pub(super) fn differences(
    closing: &Closing<'_>,
    command: &CommandId,
    correction: &Correction,
    issued: &Issued<'_>,
    out: &mut Vec<Bill>,
) -> Result<(), String> {
    let since = correction.checked()?;
    let first = |bill: &&Bill| bill.apportioned.is_some() && bill.corrects.is_none();
    let own = out.len();
    for first in issued.bills.iter().filter(first) {
        let cost = issued.chain(first)?;
        let Some(shared) = &cost.latest.apportioned else { continue };
        if days(first)?.1 <= since {
            continue;
        }
        let was = facts_of(cost.latest)?;
        let facts = corrected(correction, &cost, &was, issued.bills)?;
        let moved = out.get(..own).unwrap_or_default();
        let weights = weights(correction, &cost, shared, issued, moved)?;
        let by_tariff =
            matches!(&correction.what, What::Tariff { tariff } if *tariff == first.tariff);
        if facts.is_none() && weights.is_none() && !by_tariff {
            continue;
        }
        let facts = facts.unwrap_or_else(|| was.clone());
        let weights = weights.unwrap_or_else(|| weights_of(shared));
        cost_again(closing, command, correction, &cost, &was, &facts, &weights, issued, out)?;
    }
    Ok(())
}

type Weights = Vec<(AccountId, Vec<Decimal>)>;

fn weights_of(shared: &Apportioned) -> Weights {
    let of = |member: &Member| member.parts.iter().map(|part| part.weight).collect();
    shared.members.iter().map(|member| (member.account.clone(), of(member))).collect()
}

/// The weights as the correction has them; `None` where they stay.
fn weights(
    correction: &Correction,
    cost: &Chain<'_>,
    shared: &Apportioned,
    issued: &Issued<'_>,
    moved: &[Bill],
) -> Result<Option<Weights>, String> {
    let was = weights_of(shared);
    let mut now = was.clone();
    if let What::Weights { bill, part, weights } = &correction.what
        && *bill == cost.first.bill
    {
        let place = part.checked_sub(1).filter(|place| *place < shared.by.parts.len());
        let place = place.ok_or("the cost has no such part")?;
        for (account, text) in weights {
            let weight = parse_decimal(text).map_err(|error| error.to_string())?;
            let member = now.iter_mut().find(|(known, _)| known == account);
            let (_, parts) =
                member.ok_or_else(|| format!("{account} has no share of this cost"))?;
            if let Some(old) = parts.get_mut(place) {
                *old = weight;
            }
        }
    }
    for (place, portion) in shared.by.parts.iter().enumerate() {
        let crate::apportionment::Weighting::Usage { item } = &portion.by else { continue };
        let same = |bill: &&Bill| bill.item == *item && bill.period == cost.first.period;
        for bill in moved.iter().filter(same) {
            let Some(first) = bill.corrects.as_ref().map(|corrects| &corrects.bill) else {
                continue;
            };
            let first =
                issued.bills.iter().find(|b| b.bill == *first).ok_or("a bill is missing")?;
            let before = issued.chain(first)?.latest.used();
            let shift = bill.used().zip(before).and_then(|(new, old)| minus(new, old));
            let shift = shift.ok_or(TOO_LARGE)?;
            let member = now.iter_mut().find(|(account, _)| *account == bill.account);
            if let Some(weight) = member.and_then(|(_, parts)| parts.get_mut(place)) {
                *weight = plus(*weight, shift).ok_or(TOO_LARGE)?;
            }
        }
    }
    Ok((now != was).then_some(now))
}

#[expect(clippy::too_many_arguments, reason = "what one correction of one cost is made from")]
fn cost_again(
    closing: &Closing<'_>,
    command: &CommandId,
    correction: &Correction,
    cost: &Chain<'_>,
    was: &Facts,
    facts: &Facts,
    weights: &Weights,
    issued: &Issued<'_>,
    out: &mut Vec<Bill>,
) -> Result<(), String> {
    let (first, latest) = (cost.first, cost.latest);
    let Some(shared) = &latest.apportioned else { return Ok(()) };
    let years = issued.years(&first.account, &first.item);
    // Shared costs carry the difference in their shares: no threshold of their own.
    let whole = Correction { threshold_fen: Fen(0), ..correction.clone() };
    let mut bill = again(closing, command, &whole, cost, days(first)?, facts, (None, &years))?;
    let total = bill.corrects.as_ref().map_or(Fen::ZERO, |corrects| corrects.now_fen);
    let borne = shared.by.borne_percent.unwrap_or_default();
    let borne = times(Decimal::new(total.0, 2), borne)
        .and_then(|part| times(part, Decimal::new(1, 2)))
        .and_then(Fen::round)
        .ok_or(TOO_LARGE)?;
    let given = total.0.checked_sub(borne.0).ok_or(TOO_LARGE)?;
    let out_fen = Fen(given.checked_neg().ok_or(TOO_LARGE)?);
    let signed = match shared.by.direction {
        Direction::Cost => Fen(given),
        Direction::Income => out_fen,
    };
    let (totals, members) = apportion(&shared.by, signed, weights).map_err(|e| e.to_string())?;
    let sums = Apportioned::sums(totals.len(), &members).ok_or(TOO_LARGE)?;
    let label = crate::event::Text { zh: "分摊".to_owned(), en: "shared out".to_owned() };
    bill.lines.push(fen_line(label, out_fen));
    bill.total_fen = Fen::sum(bill.lines.iter().map(|line| line.amount_fen)).ok_or(TOO_LARGE)?;
    let (rule, by) = (shared.rule.clone(), shared.by.clone());
    let now = Apportioned { rule, by, total_fen: signed, weights: sums, members };
    let in_year = bill.rounded_years.iter().any(|year| year.before != year.after);
    let same = facts == was && now == **shared && !in_year;
    bill.apportioned = Some(Box::new(now.clone()));
    if let Some(corrects) = &mut bill.corrects {
        corrects.now_fen = borne;
    }
    if same {
        return Ok(());
    }
    out.push(bill.clone());
    for member in &now.members {
        let known = issued.shares.get(&(&first.bill, &member.account)).copied();
        let Some(mut share) =
            share_bill(&Bill { bill: first.bill.clone(), ..bill.clone() }, member, closing.now)
        else {
            return Err(TOO_LARGE.to_owned());
        };
        let charge = match known {
            Some(known) => Some(issued.chain(known)?),
            None => None,
        };
        let charged = charge.as_ref().map_or(Fen::ZERO, |charge| charge.charged);
        let now_fen = share.total_fen;
        let difference = Fen(now_fen.0.checked_sub(charged.0).ok_or(TOO_LARGE)?);
        if difference == Fen::ZERO {
            continue;
        }
        if let Some(charge) = &charge {
            share.lines.insert(0, taken_back(charge.first, charged)?);
        }
        let of = charge.as_ref().map_or(&share.bill, |charge| &charge.first.bill).clone();
        share.revision =
            charge.as_ref().map_or(1, |charge| charge.latest.revision.saturating_add(1));
        let key = ["correction", of.as_str(), &share.revision.to_string()];
        share.bill = crate::billing::bill_id(&key).ok_or(TOO_LARGE)?;
        share.total_fen = difference;
        share.due = closing.due(difference);
        share.late = first.late.clone().filter(|_| share.due.is_some());
        share.corrects = Some(Box::new(Corrects {
            bill: of,
            command: command.clone(),
            was_fen: charged,
            now_fen,
            counter_was: None,
            waived: false,
            ground: correction.ground.clone(),
        }));
        out.push(share);
    }
    Ok(())
}
