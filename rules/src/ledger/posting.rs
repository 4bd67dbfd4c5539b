//! Postings written down one by one: where money came from and where it went (钱从哪里扣,退到哪里去).
//! The ledger itself keeps balances alone; whoever wants the way replays one household's events into
//! a ledger that records.

use super::{Ledger, Name};
use crate::money::Fen;
use serde::Serialize;

/// One posting: `debit` is debited and `credit` credited by the same fen, more than nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Posting {
    /// The account that is debited: `receivable/water`, `prepaid`, `deposit/d-7`, `income/water`,
    /// `fund/maintenance`, `clearing/cash`.
    pub debit: String,
    /// The account that is credited.
    pub credit: String,
    /// How much.
    pub amount_fen: Fen,
}

/// Writes postings down while somebody asks for them.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Option<Vec<Posting>>);

// No part of the books: two ledgers are equal whatever their recorders hold.
impl PartialEq for Recorder {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Recorder {}

impl Recorder {
    pub(super) fn write(&mut self, debit: Name<'_>, credit: Name<'_>, fen: Fen) {
        let Some(list) = &mut self.0 else { return };
        let (debit, credit) = if fen < Fen::ZERO { (credit, debit) } else { (debit, credit) };
        if fen != Fen::ZERO {
            let amount_fen = Fen(fen.0.saturating_abs());
            list.push(Posting { debit: debit.text(), credit: credit.text(), amount_fen });
        }
    }
}

impl Name<'_> {
    /// The account's name without the household.
    fn text(&self) -> String {
        match self {
            Self::Receivable(_, item) => format!("receivable/{item}"),
            Self::Prepaid(_) => "prepaid".to_owned(),
            Self::Deposit(id) => format!("deposit/{id}"),
            Self::Income(item) => format!("income/{item}"),
            Self::Fund(fund) => format!("fund/{}", fund.word()),
            Self::Clearing(channel) => format!("clearing/{}", channel.word()),
        }
    }
}

impl Ledger {
    /// Runs `change` and gives the postings that it made.
    pub fn recorded(&mut self, change: impl FnOnce(&mut Self)) -> Vec<Posting> {
        self.recorder.0 = Some(Vec::new());
        change(self);
        self.recorder.0.take().unwrap_or_default()
    }
}
