//! Payments that look like a mistake: the same amount from the same household again within minutes,
//! and one person who asks for many refunds in a day.

use super::micro::part;
use super::watch::{Opening, Turn};
use crate::ledger::Movement;
use crate::money::Fen;
use blockgate_types::{AccountId, Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Payments and refunds that are remembered.
const MEMORY: usize = 500;

/// An alarm of a payment is over by itself after this, looked at or not.
pub const OPEN_FOR: Span = Span::from_days(7);

/// What was paid and refunded lately.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    paid: VecDeque<(Time, AccountId, Fen)>,
    asked: VecDeque<(Time, String, Fen)>,
}

impl Recent {
    /// Takes a movement of money; gives the subject and what is odd about it.
    pub fn take(
        &mut self,
        at: Time,
        account: &AccountId,
        movement: &Movement,
        same_within: Span,
        refunds_a_day: u32,
    ) -> Option<(String, Turn)> {
        match movement {
            Movement::Paid(paid) => {
                let since = at.minus(same_within);
                let same = |(when, whose, amount): &&(Time, AccountId, Fen)| {
                    *when >= since && whose == account && *amount == paid.amount_fen
                };
                let count = self.paid.iter().filter(same).count();
                let total = sum(self.paid.iter().filter(same).map(|p| p.2)).plus(paid.amount_fen);
                keep(&mut self.paid, (at, account.clone(), paid.amount_fen));
                let words =
                    ("同一户短时间内重复缴纳同一金额", "the same amount from one household again");
                (count > 0).then(|| {
                    (format!("account/{account}"), odd(words, count.saturating_add(1), total))
                })
            }
            Movement::RefundAsked(refund) => {
                let since = at.minus(Span::from_days(1));
                let same = |(when, who, _): &&(Time, String, Fen)| {
                    *when >= since && *who == refund.asked_by
                };
                let count = self.asked.iter().filter(same).count().saturating_add(1);
                let total =
                    sum(self.asked.iter().filter(same).map(|p| p.2)).plus(refund.amount_fen);
                keep(&mut self.asked, (at, refund.asked_by.clone(), refund.amount_fen));
                let many = u32::try_from(count).is_ok_and(|count| count >= refunds_a_day);
                let words =
                    ("同一人一天内申请多笔退款", "many refunds asked for by one person in a day");
                // Whose name it is stays out of the alarm: the audit records say it.
                many.then(|| ("refunds".to_owned(), odd(words, count, total)))
            }
            Movement::Settled { .. }
            | Movement::Condition { .. }
            | Movement::Deducted { .. }
            | Movement::RefundApproved { .. }
            | Movement::RefundPaid { .. }
            | Movement::RefundVoided { .. } => None,
        }
    }
}

fn sum(amounts: impl Iterator<Item = Fen>) -> Fen {
    Fen::sum(amounts).unwrap_or_default()
}

fn keep<T>(ring: &mut VecDeque<T>, entry: T) {
    if ring.len() >= MEMORY {
        ring.pop_front();
    }
    ring.push_back(entry);
}

fn odd((zh, en): (&str, &str), count: usize, total: Option<Fen>) -> Turn {
    let fen = total.unwrap_or_default().0;
    let amount = format!("{}.{:02}", part(fen, 1, 100), fen.unsigned_abs() % 100);
    Turn::Open(Opening::of([
        ("what_zh", zh.to_owned()),
        ("what_en", en.to_owned()),
        ("count", count.to_string()),
        ("amount", amount),
    ]))
}
