//! The late fees of bills: what was unpaid when, until all of a fee is billed.

use super::{Books, Fund, Ledger, Movement};
use crate::calendar::{Day, Zone};
use crate::event::{Bill, Payment};
use crate::late::{Late, LateWhy};
use crate::money::Fen;
use blockgate_types::{AccountId, BillId};
use std::collections::BTreeMap;

impl Books {
    /// Notes a bill that can become late, a late fee's own bill, and what a difference below zero takes
    /// off what bears a late fee.
    pub(super) fn note_late(&mut self, bill: &Bill) {
        if let Some(late) = Late::of(bill) {
            self.late.insert(bill.bill.clone(), late);
            return;
        }
        if let Some(fee) = &bill.late_fee {
            let Some(late) = self.late.get_mut(&fee.of) else { return };
            match &fee.why {
                LateWhy::Correction { .. } => *late = fee.state.clone(),
                LateWhy::Close | LateWhy::MoveOut { .. } | LateWhy::Payment { .. } => {
                    late.billed_fen = fee.state.billed_fen;
                    late.billed_to = fee.state.billed_to;
                    late.bills = fee.state.bills;
                    late.moved = late.steps != fee.state.steps;
                }
            }
            if late.is_over() {
                self.late.remove(&fee.of);
            }
            return;
        }
        let Some(corrects) = bill.corrects.as_ref().filter(|_| bill.total_fen < Fen::ZERO) else {
            return;
        };
        let open = self.open.get_mut(&bill.item);
        let mut open: Vec<_> = open.into_iter().flatten().collect();
        for (id, late) in self.late.iter_mut().filter(|(_, late)| late.first == corrects.bill) {
            let less = late.correct(corrects.now_fen).0;
            if let Some(open) = open.iter_mut().find(|open| open.bill == *id) {
                open.left_fen = Fen(open.left_fen.0.saturating_sub(less).max(0));
            }
        }
    }

    /// Whether one of its late fees is for a bill of this chain.
    pub(super) fn bears_late(&self, first: &BillId) -> bool {
        self.late.values().any(|late| late.first == *first)
    }

    /// Notes what is left of its bills on a day.
    fn follow(&mut self, day: Day) {
        let open = &self.open;
        self.late.retain(|id, late| {
            let list = open.get(&late.item).into_iter().flatten();
            let left = list.into_iter().find(|open| open.bill == *id);
            late.leave(day, left.map_or(Fen::ZERO, |open| open.left_fen));
            !late.is_over()
        });
    }
}

impl Ledger {
    /// Notes what is left of a household's bills, after something was posted on a day: from the next
    /// day on no late fee is counted for what was paid.
    pub fn follow_late(&mut self, account: &AccountId, day: Day) {
        if let Some(books) = self.households.get_mut(account)
            && !books.late.is_empty()
        {
            books.follow(day);
        }
    }

    /// Posts a bill as [`Ledger::bill`] does, by the calendar of late fees.
    pub fn charge(&mut self, bill: &Bill, fund: Option<Fund>, zone: Option<&Zone>) {
        self.bill(bill, fund);
        if let Some(zone) = zone {
            self.follow_late(&bill.account, zone.day(bill.issued_at));
        }
    }

    /// Posts a movement as [`Ledger::apply`] does, by the calendar of late fees: what was paid counts
    /// from the day on which it was paid, where somebody said it.
    pub fn pay(&mut self, payment: &Payment, zone: Option<&Zone>) {
        let paid_on = match &payment.movement {
            Movement::Paid(paid) => paid.paid_on,
            Movement::Settled { payment, .. } => {
                self.announced(payment).and_then(|(_, paid)| paid.paid_on)
            }
            Movement::Condition { .. }
            | Movement::Deducted { .. }
            | Movement::RefundAsked(_)
            | Movement::RefundApproved { .. }
            | Movement::RefundPaid { .. }
            | Movement::RefundVoided { .. } => None,
        };
        self.apply(&payment.account, &payment.movement);
        if let Some(zone) = zone {
            let booked = zone.day(payment.at);
            self.follow_late(&payment.account, paid_on.map_or(booked, |on| on.min(booked)));
        }
    }

    /// The late fees that are not billed to their end, by household and bill.
    pub fn late(&self) -> impl Iterator<Item = (&AccountId, &BillId, &Late)> {
        self.households.iter().flat_map(|(account, books)| {
            books.late.iter().map(move |(bill, late)| (account, bill, late))
        })
    }

    /// Those of one household.
    #[must_use]
    pub fn late_of(&self, account: &AccountId) -> Option<&BTreeMap<BillId, Late>> {
        self.households.get(account).map(|books| &books.late)
    }

    /// Takes up a late fee again that was billed to its end, as its last bill has it.
    pub fn recall_late(&mut self, account: &AccountId, of: &BillId, late: &Late) {
        if let Some(books) = self.books(account) {
            books.late.entry(of.clone()).or_insert_with(|| late.clone());
        }
    }
}
