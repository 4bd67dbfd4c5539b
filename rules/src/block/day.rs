//! The close of a day: what came in and went out by each channel, which receipts were given. Closed by
//! itself when the next day has begun; nothing is booked into a day that is over.

use super::Block;
use crate::calendar::Day;
use crate::event::{Audit, ChannelDay, Event, Payment};
use crate::input::{Command, Order};
use crate::ledger::{Channel, Movement};
use crate::money::Fen;
use crate::reconcile::{Booked, STATEMENT_MAX, reconcile, statement};
use blockgate_types::{CommandId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Closed days whose cash can still be counted.
const CASH_DAYS_MAX: usize = 62;

/// The day that is open, and the cash of the days before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(super) struct DayBook {
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::calendar::day_text_option"
    )]
    day: Option<Day>,
    #[serde(default)]
    channels: BTreeMap<Channel, ChannelDay>,
    #[serde(default)]
    first_receipt: u64,
    #[serde(default)]
    last_receipt: u64,
    /// What cash came in less what went out, by day.
    #[serde(default)]
    cash: BTreeMap<String, Fen>,
}

/// Whether a reconciliation can be looked at: its days, and the length of the statement.
pub(super) fn may_reconcile(from: &str, to: &str, statement: &str) -> Result<(), &'static str> {
    if statement.len() > STATEMENT_MAX {
        return Err("the statement is too long: split it");
    }
    let days = crate::calendar::parse_day(from).zip(crate::calendar::parse_day(to));
    let good = days.is_some_and(|(from, to)| from < to);
    if good { Ok(()) } else { Err("from and to are days like \"2026-04-05\", from before to") }
}

impl Block {
    /// What an order of the desk means, with a sentence about it; `None` for the other orders.
    pub(super) fn decide_desk(
        &self,
        now: Time,
        command: &Command,
    ) -> Option<Result<(Vec<Event>, String), String>> {
        if let Order::ApplyRules { file, text, reason } = &command.order {
            return Some(self.rules_applied(now, command, (file, text, reason)));
        }
        if let Order::CountCash { day, counted_fen, note } = &command.order {
            return Some(self.cash_counted(now, command, (day, *counted_fen, note)));
        }
        if let Order::MoveOut(order) = &command.order {
            return Some(self.moved_out(now, command, order));
        }
        None
    }

    /// Closes the open day when another one has begun.
    pub(super) fn decide_day(&self, now: Time, out: &mut Vec<Event>) {
        let (Some(zone), Some(open)) = (&self.cache.zone, self.state.day.day) else { return };
        if zone.day(now) <= open {
            return;
        }
        let book = &self.state.day;
        out.push(Event::Audit(Audit::DayClosed {
            at: now,
            day: open.to_string(),
            channels: book.channels.clone(),
            first_receipt: book.first_receipt,
            last_receipt: book.last_receipt,
        }));
    }

    /// When the open day can be closed.
    pub(super) fn day_due(&self) -> Option<Time> {
        let (zone, open) = (self.cache.zone.as_ref()?, self.state.day.day?);
        Some(zone.start_of(crate::calendar::next_day(open)))
    }

    /// Counts a movement into its day.
    pub(super) fn apply_to_day(&mut self, payment: &Payment) {
        let Some(zone) = &self.cache.zone else { return };
        let (came_in, fen, channel, receipt) = match &payment.movement {
            Movement::Paid(paid) if !paid.pending => {
                (true, paid.amount_fen, Some(paid.channel), paid.receipt)
            }
            Movement::Settled { posted: true, amount_fen, channel, receipt, .. } => {
                (true, *amount_fen, *channel, receipt.unwrap_or_default())
            }
            Movement::RefundPaid { amount_fen, channel, .. } => (false, *amount_fen, *channel, 0),
            Movement::Paid(_)
            | Movement::Settled { .. }
            | Movement::Condition { .. }
            | Movement::Deducted { .. }
            | Movement::RefundAsked(_)
            | Movement::RefundApproved { .. }
            | Movement::RefundVoided { .. } => return,
        };
        let Some(channel) = channel else { return };
        let book = &mut self.state.day;
        book.day.get_or_insert_with(|| zone.day(payment.at));
        let of = book.channels.entry(channel).or_default();
        let add = |sum: Fen| Fen(sum.0.saturating_add(fen.0));
        if came_in {
            of.payments = of.payments.saturating_add(1);
            of.paid_fen = add(of.paid_fen);
        } else {
            of.refunds = of.refunds.saturating_add(1);
            of.refunded_fen = add(of.refunded_fen);
        }
        if receipt > 0 {
            if book.first_receipt == 0 {
                book.first_receipt = receipt;
            }
            book.last_receipt = receipt;
        }
    }

    pub(super) fn apply_day_closed(&mut self, day: &str, channels: &BTreeMap<Channel, ChannelDay>) {
        let book = &mut self.state.day;
        let cash = channels.get(&Channel::Cash).map_or(Fen::ZERO, ChannelDay::net);
        book.cash.insert(day.to_owned(), cash);
        while book.cash.len() > CASH_DAYS_MAX {
            book.cash.pop_first();
        }
        let cash = std::mem::take(&mut book.cash);
        *book = DayBook { cash, ..DayBook::default() };
    }

    /// Cash that was counted at a day's end, against what the books say of that day.
    pub(super) fn cash_counted(
        &self,
        now: Time,
        command: &Command,
        (day, counted, note): (&str, Fen, &str),
    ) -> Result<(Vec<Event>, String), String> {
        if counted < Fen::ZERO || note.len() > 200 {
            return Err("cash is not below zero, and a note has at most 200 bytes".to_owned());
        }
        let book = &self.state.day;
        let open = book.day.is_some_and(|open| open.to_string() == day);
        let expected = if open {
            Some(book.channels.get(&Channel::Cash).map_or(Fen::ZERO, ChannelDay::net))
        } else {
            book.cash.get(day).copied()
        };
        let expected = expected.ok_or("the books have no money of that day")?;
        let difference = Fen(counted.0.saturating_sub(expected.0));
        if difference != Fen::ZERO && note.trim().is_empty() {
            return Err(format!("{difference} yuan differ: a note must say why"));
        }
        let counted = Audit::CashCounted {
            at: now,
            id: command.id.clone(),
            by: command.actor.clone(),
            day: day.to_owned(),
            expected_fen: expected,
            counted_fen: counted,
            difference_fen: difference,
            note: note.to_owned(),
        };
        Ok((vec![Event::Audit(counted)], format!("difference {difference}")))
    }

    /// A statement against the books that the gateway hands in.
    pub(super) fn reconciled(
        &self,
        now: Time,
        id: &CommandId,
        (channel, from, to): (Channel, &str, &str),
        text: &str,
        books: &[Booked],
    ) -> Result<(Vec<Event>, String), String> {
        let lines = statement(text).map_err(|faults| faults.join("\n"))?;
        let made = reconcile(&lines, books);
        let detail = serde_json::to_string(&made).unwrap_or_default();
        let reconciled = Audit::Reconciled {
            at: now,
            id: id.clone(),
            channel,
            from: from.to_owned(),
            to: to.to_owned(),
            result: Box::new(made),
        };
        Ok((vec![Event::Audit(reconciled)], detail))
    }
}
