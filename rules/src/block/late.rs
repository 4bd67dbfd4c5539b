//! Late fees in the Block: billed with the close of each month and when a household moves out; put right
//! at once when a bill is corrected, a payment turns out to be older than its booking, or a person waives
//! them.

use super::Block;
use crate::billing::Closing;
use crate::calendar::{Day, next_day, parse_day};
use crate::correction::{Correction, What};
use crate::event::{Bill, Event, Payment};
use crate::late::{Late, LateRight, LateWhy};
use crate::ledger::{Ledger, Movement};
use crate::money::Fen;
use blockgate_types::{AccountId, BillId, CommandId};
use std::collections::{BTreeMap, BTreeSet};

/// How far back the day of a payment may lie that is booked late.
const PAID_ON_MAX_DAYS: u32 = 366;

impl Block {
    /// The late fees for the days before `to` that are not billed yet, or billed too high.
    pub(super) fn late_fees<'l>(
        &'l self,
        closing: &'l Closing<'_>,
        to: Day,
    ) -> impl Iterator<Item = Bill> + 'l {
        let late = self.state.ledger.late();
        late.filter_map(move |(account, of, late)| late.monthly((account, of), to, closing))
    }

    /// The late fees of a household that moves out, with the day on which it is settled.
    pub(super) fn last_late_fees(
        &self,
        closing: &Closing<'_>,
        command: &CommandId,
        account: &AccountId,
        today: Day,
    ) -> Vec<Bill> {
        let why = LateWhy::MoveOut { settlement: command.clone() };
        let all = self.state.ledger.late_of(account).into_iter().flatten();
        let bill = |(of, late): (&BillId, &Late)| {
            late.bill((account, of), next_day(today), why.clone(), closing)
        };
        all.filter_map(bill).collect()
    }

    /// A payment with the late fees that it puts right because it was made on an earlier day.
    pub(super) fn with_late_fees(&self, payment: Payment) -> Vec<Event> {
        let mut fees = Vec::new();
        if let Movement::Paid(paid) = &payment.movement
            && paid.paid_on.is_some()
            && let Some(zone) = &self.cache.zone
        {
            let now = payment.at;
            let closing = Closing::new(&self.state.setup, zone, &self.state.meters, now, now);
            let mut ledger = self.state.ledger.only(&payment.account);
            ledger.pay(&payment, Some(zone));
            let why = LateWhy::Payment { payment: paid.payment.clone() };
            fees = too_high(&ledger, &payment.account, &why, &closing);
        }
        let fees = fees.into_iter().map(|bill| Event::Bill(Box::new(bill)));
        std::iter::once(Event::Payment(Box::new(payment))).chain(fees).collect()
    }

    /// The late fees that the differences of a correction put right, and those that it is about itself.
    pub(super) fn late_fees_put_right(
        &self,
        closing: &Closing<'_>,
        command: &CommandId,
        correction: &Correction,
        (issued, differences): (&[Bill], &[Bill]),
    ) -> Result<Vec<Bill>, String> {
        let ground = correction.ground.clone();
        let why = LateWhy::Correction { command: command.clone(), ground };
        if let What::LateFee { bill, right } = &correction.what {
            return self.late_fee_put_right(closing, bill, right, issued, why);
        }
        let mut of: BTreeMap<&AccountId, Vec<&Bill>> = BTreeMap::new();
        for bill in differences.iter().filter(|bill| bill.total_fen < Fen::ZERO) {
            of.entry(&bill.account).or_default().push(bill);
        }
        let last = last_of(issued);
        let mut fees = Vec::new();
        for (account, bills) in of {
            let mut ledger = self.state.ledger.only(account);
            let firsts: BTreeSet<&BillId> =
                bills.iter().filter_map(|b| b.corrects.as_ref()).map(|c| &c.bill).collect();
            for (of, (whose, late)) in &last {
                if *whose == account && firsts.contains(&late.first) {
                    ledger.recall_late(account, of, late);
                }
            }
            for bill in bills {
                let fund = self.state.setup.tariffs.get(&bill.tariff).and_then(|t| t.fund);
                ledger.bill(bill, fund);
            }
            fees.extend(too_high(&ledger, account, &why, closing));
        }
        Ok(fees)
    }

    /// The late fee of one bill, waived or counted to an earlier day.
    fn late_fee_put_right(
        &self,
        closing: &Closing<'_>,
        of: &BillId,
        right: &LateRight,
        issued: &[Bill],
        why: LateWhy,
    ) -> Result<Vec<Bill>, String> {
        let mut kept = self.state.ledger.late().filter(|(_, bill, _)| *bill == of);
        let kept = kept.next().map(|(account, _, late)| (account.clone(), late.clone()));
        let last =
            || last_of(issued).get(of).map(|(account, l)| ((*account).clone(), (*l).clone()));
        let (account, mut late) =
            kept.or_else(last).ok_or("no late fee is counted for this bill")?;
        let was = late.clone();
        match right {
            LateRight::Waived => late.waived = true,
            LateRight::PaidOn { day } => {
                let day = parse_day(day).ok_or("the day is not one like \"2026-05-02\"")?;
                if day > closing.zone.day(closing.now) {
                    return Err("the day has not come yet".to_owned());
                }
                if !late.paid_on(day) {
                    return Err("the bill is not paid: record its payment with paid_on".to_owned());
                }
            }
        }
        if late == was {
            return Ok(Vec::new());
        }
        let to = was.billed_to.unwrap_or_else(|| next_day(next_day(late.due)));
        Ok(late.put_right((&account, of), to, why, closing).into_iter().collect())
    }
}

/// Whether the day of a payment can be one.
pub(super) fn may_be_paid_on(day: Option<Day>, today: Day) -> Result<(), &'static str> {
    let Some(day) = day else { return Ok(()) };
    if day > today {
        return Err("paid_on has not come yet");
    }
    if crate::calendar::days_between(day, today) > PAID_ON_MAX_DAYS {
        return Err("paid_on lies more than a year back");
    }
    Ok(())
}

/// The late fees of a household of which more was billed than they come to.
fn too_high(
    ledger: &Ledger,
    account: &AccountId,
    why: &LateWhy,
    closing: &Closing<'_>,
) -> Vec<Bill> {
    let all = ledger.late_of(account).into_iter().flatten();
    let bills = all.filter_map(|(of, late)| {
        let bill = late.bill((account, of), late.billed_to?, why.clone(), closing)?;
        Some(bill).filter(|bill| bill.total_fen < Fen::ZERO)
    });
    bills.collect()
}

/// Where each late fee stood with its last bill.
fn last_of(issued: &[Bill]) -> BTreeMap<&BillId, (&AccountId, &Late)> {
    let mut last: BTreeMap<&BillId, (&AccountId, &Late)> = BTreeMap::new();
    for bill in issued {
        let Some(fee) = &bill.late_fee else { continue };
        let known = last.entry(&fee.of).or_insert((&bill.account, &fee.state));
        if fee.state.bills > known.1.bills {
            *known = (&bill.account, &fee.state);
        }
    }
    last
}

/// Whether a late fee is one of the month's bills; what puts one right is not.
pub(super) fn counts_with_the_month(bill: &Bill) -> bool {
    bill.late_fee.as_ref().is_some_and(|fee| match fee.why {
        LateWhy::Close | LateWhy::MoveOut { .. } => true,
        LateWhy::Payment { .. } | LateWhy::Correction { .. } => false,
    })
}
