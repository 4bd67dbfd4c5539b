//! Bills that are not paid yet: what is due when, who is in arrears, who was reminded.
//!
//! A household's money pays an item, not a bill; of an item's bills the oldest is paid first. After
//! every posting the open bills of an item therefore sum to what is owed for it.

use super::{Books, Ledger};
use crate::calendar::{Day, day_text, day_text_option};
use crate::event::{Bill, Notice, NoticeReason};
use crate::money::Fen;
use blockgate_types::{AccountId, BillId, ItemId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bill of which something is still owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OpenBill {
    /// Which.
    pub bill: BillId,
    /// When it was issued.
    pub issued_at: Time,
    /// The last day on which it is paid in time; none where no rule gives one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub due: Option<Day>,
    /// What is still owed of it.
    pub left_fen: Fen,
    /// Its household was reminded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reminded: bool,
    /// Its household was told that it is overdue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warned: bool,
}

/// What a household owes beyond its due day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arrears {
    /// Who.
    pub account: AccountId,
    /// How much altogether.
    pub overdue_fen: Fen,
    /// The oldest due day.
    #[serde(with = "day_text")]
    pub since: Day,
    /// How many bills.
    pub bills: u64,
    /// By item.
    pub by_item: BTreeMap<ItemId, Fen>,
}

impl Books {
    /// Notes a bill that was just posted: what is due, or what a difference below zero takes off the
    /// bill that it corrects.
    pub(super) fn note_bill(&mut self, bill: &Bill) {
        if bill.total_fen > Fen::ZERO {
            let open = OpenBill {
                bill: bill.bill.clone(),
                issued_at: bill.issued_at,
                due: bill.due,
                left_fen: bill.total_fen,
                reminded: false,
                warned: false,
            };
            match self.open.get_mut(&bill.item) {
                Some(list) => list.push(open),
                None => {
                    self.open.insert(bill.item.clone(), vec![open]);
                }
            }
        } else if let Some(corrects) = &bill.corrects
            && !self.bears_late(&corrects.bill)
            && let Some(list) = self.open.get_mut(&bill.item)
        {
            let of = list.iter_mut().find(|open| open.bill == corrects.bill);
            if let Some(open) = of {
                let less = bill.total_fen.0.saturating_neg();
                open.left_fen = Fen(open.left_fen.0.saturating_sub(less).max(0));
            }
        }
    }

    /// Its open bills by item, oldest first.
    fn open(&self) -> impl Iterator<Item = (&ItemId, &OpenBill)> {
        self.open.iter().flat_map(|(item, list)| list.iter().map(move |open| (item, open)))
    }

    /// Takes what was paid off the open bills, the oldest first, until they sum to what is owed.
    pub(super) fn trim(&mut self) {
        let receivable = &self.receivable;
        self.open.retain(|item, list| {
            let owed = receivable.get(item).map_or(0, |fen| fen.0.max(0));
            let sum = list.iter().fold(0_i64, |sum, open| sum.saturating_add(open.left_fen.0));
            let mut over = sum.saturating_sub(owed);
            for open in list.iter_mut() {
                if over <= 0 {
                    break;
                }
                let part = over.min(open.left_fen.0);
                open.left_fen = Fen(open.left_fen.0.saturating_sub(part));
                over = over.saturating_sub(part);
            }
            list.retain(|open| open.left_fen > Fen::ZERO);
            !list.is_empty()
        });
    }
}

impl Ledger {
    /// The open bills of all households, by household and item, oldest first.
    pub fn open_bills(&self) -> impl Iterator<Item = (&AccountId, &ItemId, &OpenBill)> {
        self.households.iter().flat_map(|(account, books)| {
            books.open().map(move |(item, open)| (account, item, open))
        })
    }

    /// The open bills of one household.
    pub fn open_bills_of(&self, account: &AccountId) -> impl Iterator<Item = (&ItemId, &OpenBill)> {
        self.households.get(account).into_iter().flat_map(Books::open)
    }

    /// Who owes anything whose due day lies before `today`, the most first.
    #[must_use]
    pub fn overdue(&self, today: Day) -> Vec<Arrears> {
        let mut all: Vec<Arrears> = Vec::new();
        for (account, item, open) in self.open_bills() {
            let Some(due) = open.due.filter(|due| *due < today) else { continue };
            if all.last().is_none_or(|last| last.account != *account) {
                all.push(Arrears {
                    account: account.clone(),
                    overdue_fen: Fen::ZERO,
                    since: due,
                    bills: 0,
                    by_item: BTreeMap::new(),
                });
            }
            let Some(last) = all.last_mut() else { continue };
            let add = |sum: Fen| Fen(sum.0.saturating_add(open.left_fen.0));
            last.overdue_fen = add(last.overdue_fen);
            last.since = last.since.min(due);
            last.bills = last.bills.saturating_add(1);
            let of_item = last.by_item.entry(item.clone()).or_default();
            *of_item = add(*of_item);
        }
        all.sort_by(|a, b| {
            b.overdue_fen.cmp(&a.overdue_fen).then_with(|| a.account.cmp(&b.account))
        });
        all
    }

    /// The households that the books know.
    pub fn households(&self) -> impl Iterator<Item = &AccountId> {
        self.households.keys()
    }

    /// Notes that a household was told of its open bills: reminded, or warned that they are overdue.
    pub fn notice(&mut self, notice: &Notice) {
        let overdue = match notice.reason {
            NoticeReason::Reminder => false,
            NoticeReason::Overdue => true,
            NoticeReason::Correction
            | NoticeReason::Refund
            | NoticeReason::Rules
            | NoticeReason::Parking => return,
        };
        let bills = &notice.bills;
        let Some(books) = self.households.get_mut(&notice.account) else { return };
        let open = books.open.values_mut().flatten();
        for open in open.filter(|open| bills.contains(&open.bill)) {
            open.reminded = true;
            open.warned |= overdue;
        }
    }
}
