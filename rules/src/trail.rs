//! The way of a household's money: each bill and each movement with the postings that it made and
//! where the household stood then. Made by playing the household's own events into a ledger that
//! writes down; nothing else of the block is needed.

use crate::event::Event;
use crate::ledger::{Fund, Ledger, Posting};
use crate::money::Fen;
use blockgate_types::{AccountId, TariffId, Time};
use serde::Serialize;

/// One step of a household's money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The journal record.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What: `bill`, or the movement's word.
    pub what: String,
    /// The bill, the payment, the deposit or the refund.
    pub of: String,
    /// Who ordered it; empty for a bill.
    pub actor: String,
    /// Its amount in fen.
    pub amount_fen: Fen,
    /// What was posted.
    pub postings: Vec<Posting>,
    /// What is owed afterwards.
    pub owed_fen: Fen,
    /// What is prepaid afterwards.
    pub prepaid_fen: Fen,
}

/// The steps of one household's events, in the order of the journal. Events of other households are
/// passed over. `fund` tells the fund that a tariff's bills are credited to.
#[must_use]
pub fn trail(
    account: &AccountId,
    events: &[(u64, Event)],
    fund: impl Fn(&TariffId) -> Option<Fund>,
) -> Vec<Step> {
    let mut ledger = Ledger::default();
    let mut steps = Vec::new();
    for (seq, event) in events {
        let (at, what, of, actor, amount_fen, postings) = match event {
            Event::Bill(bill) if bill.account == *account => {
                let postings = ledger.recorded(|ledger| ledger.bill(bill, fund(&bill.tariff)));
                let (at, of) = (bill.issued_at, bill.bill.to_string());
                (at, "bill".to_owned(), of, String::new(), bill.total_fen, postings)
            }
            Event::Payment(payment) if payment.account == *account => {
                let movement = &payment.movement;
                let postings = ledger.recorded(|ledger| ledger.apply(account, movement));
                let (what, of, amount) = movement.told();
                (payment.at, what.to_owned(), of, payment.actor.clone(), amount, postings)
            }
            Event::Bill(_)
            | Event::Payment(_)
            | Event::Reading { .. }
            | Event::Ledger(_)
            | Event::Notice(_)
            | Event::Alarm(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Gap(_)
            | Event::Audit(_) => continue,
        };
        let standing = ledger.standing(account);
        steps.push(Step {
            seq: *seq,
            at,
            what,
            of,
            actor,
            amount_fen,
            postings,
            owed_fen: standing.owed_fen,
            prepaid_fen: standing.prepaid_fen,
        });
    }
    steps
}
