//! Rows about money: what figures, receipts, day closes and trails are made from without reading the
//! journal record by record.
//!
//! ```text
//! 's' seq   position | total, i64 | issued, i64 ms | flags, u8 | account 0 item 0 from 0 to 0 tariff 0 [meter 0]…
//! 'p' seq   position | at, i64 ms | amount, i64 | what, u8 | channel, u8 | receipt, u64 | account 0 reference
//! 'r' receipt  seq of the payment that got this number
//! ```

use super::{Trees, TreesError, get_position, index_key, last_seq, put_position, seq_key, wrong};
use crate::store::journal::Position;
use blockgate_rules::Event;
use blockgate_rules::Fen;
use blockgate_rules::event::{Bill, Payment};
use blockgate_rules::ledger::{Channel, Movement};
use blockgate_types::{AccountId, Time};

/// Where a bill's texts begin.
pub(super) const BILL_TEXTS: usize = 29;
/// Where a payment's texts begin.
const PAYMENT_TEXTS: usize = 38;

const CORRECTS: u8 = 1;
const SHARE: u8 = 2;
const APPORTIONED: u8 = 4;

/// A bill in few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BillRow<'r> {
    /// Its record.
    pub seq: u64,
    /// Its total.
    pub total: Fen,
    /// When it was issued.
    pub issued: Time,
    /// Whether it corrects another one.
    pub corrects: bool,
    /// Whether it is a share of a shared cost.
    pub is_share: bool,
    /// Whether it is a shared cost.
    pub apportioned: bool,
    /// Whose.
    pub account: &'r str,
    /// Which item.
    pub item: &'r str,
    /// First day of its period.
    pub from: &'r str,
    /// The day after its last.
    pub to: &'r str,
    /// By which tariff.
    pub tariff: &'r str,
    /// Its meters, each followed by a zero.
    meters: &'r str,
}

impl BillRow<'_> {
    /// Whether a meter's readings are quoted on it.
    #[must_use]
    pub fn has_meter(&self, meter: &str) -> bool {
        self.meters.split('\0').any(|known| known == meter && !known.is_empty())
    }
}

/// What a payment's row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Money came in.
    In,
    /// Money went out: a refund was paid.
    Out,
    /// Nothing moved yet, or no more than between a household's own accounts.
    Nothing,
}

/// A movement in few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentRow<'r> {
    /// Its record.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// How much.
    pub amount: Fen,
    /// Which way.
    pub moved: Moved,
    /// By which channel.
    pub channel: Option<Channel>,
    /// The number of its receipt; 0 without one.
    pub receipt: u64,
    /// Whose.
    pub account: &'r str,
    /// The channel's reference.
    pub reference: &'r str,
}

pub(super) fn put_bill(rows: &mut sled::Batch, seq: u64, position: Position, bill: &Bill) {
    let mut row = put_position(position).to_vec();
    row.extend_from_slice(&bill.total_fen.0.to_be_bytes());
    row.extend_from_slice(&bill.issued_at.as_millis().to_be_bytes());
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    row.push(
        flag(bill.corrects.is_some(), CORRECTS)
            | flag(bill.share.is_some(), SHARE)
            | flag(bill.apportioned.is_some(), APPORTIONED),
    );
    let period = &bill.period;
    let ids = [bill.account.as_str(), bill.item.as_str(), &period.from, &period.to];
    let meters = bill.evidence.iter().chain(&bill.minus).map(|evidence| evidence.meter.as_str());
    for text in ids.into_iter().chain([bill.tariff.as_str()]).chain(meters) {
        row.extend_from_slice(text.as_bytes());
        row.push(0);
    }
    rows.insert(&seq_key(b's', seq)[..], row);
    let id = [b"b", bill.bill.as_str().as_bytes()].concat();
    rows.insert(id, &seq.to_be_bytes()[..]);
    rows.insert(index_key(b'a', bill.account.as_str(), seq), &[][..]);
}

pub(super) fn put_payment(rows: &mut sled::Batch, seq: u64, position: Position, payment: &Payment) {
    let (moved, amount, channel, receipt, reference) = match &payment.movement {
        Movement::Paid(paid) => {
            let moved = if paid.pending { 0 } else { 1 };
            (moved, paid.amount_fen, Some(paid.channel), paid.receipt, paid.reference.as_str())
        }
        Movement::Settled { posted, amount_fen, channel, receipt, .. } => {
            (u8::from(*posted), *amount_fen, *channel, receipt.unwrap_or_default(), "")
        }
        Movement::RefundPaid { amount_fen, channel, reference, .. } => {
            (2, *amount_fen, *channel, 0, reference.as_str())
        }
        movement => (0, movement.told().2, None, 0, ""),
    };
    let channel = channel.and_then(|c| Channel::ALL.iter().position(|known| *known == c));
    let channel = channel.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0);
    let mut row = put_position(position).to_vec();
    row.extend_from_slice(&payment.at.as_millis().to_be_bytes());
    row.extend_from_slice(&amount.0.to_be_bytes());
    row.extend_from_slice(&[moved, channel]);
    row.extend_from_slice(&receipt.to_be_bytes());
    row.extend_from_slice(payment.account.as_str().as_bytes());
    row.push(0);
    row.extend_from_slice(reference.as_bytes());
    rows.insert(&seq_key(b'p', seq)[..], row);
    rows.insert(index_key(b'a', payment.account.as_str(), seq), &[][..]);
    if receipt > 0 {
        rows.insert(&seq_key(b'r', receipt)[..], &seq.to_be_bytes()[..]);
    }
}

fn number(row: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(*row.get(at..)?.first_chunk()?))
}

fn bill_row(seq: u64, row: &[u8]) -> Option<BillRow<'_>> {
    let flags = *row.get(28)?;
    let texts = std::str::from_utf8(row.get(BILL_TEXTS..)?).ok()?;
    let mut parts = texts.splitn(6, '\0');
    Some(BillRow {
        seq,
        total: Fen(number(row, 12)?),
        issued: Time::from_millis(number(row, 20)?),
        corrects: flags & CORRECTS != 0,
        is_share: flags & SHARE != 0,
        apportioned: flags & APPORTIONED != 0,
        account: parts.next()?,
        item: parts.next()?,
        from: parts.next()?,
        to: parts.next()?,
        tariff: parts.next()?,
        meters: parts.next().unwrap_or_default(),
    })
}

fn payment_row(seq: u64, row: &[u8]) -> Option<PaymentRow<'_>> {
    let texts = std::str::from_utf8(row.get(PAYMENT_TEXTS..)?).ok()?;
    let (account, reference) = texts.split_once('\0')?;
    let place = usize::from(*row.get(29)?);
    Some(PaymentRow {
        seq,
        at: Time::from_millis(number(row, 12)?),
        amount: Fen(number(row, 20)?),
        moved: match row.get(28)? {
            1 => Moved::In,
            2 => Moved::Out,
            _ => Moved::Nothing,
        },
        channel: place.checked_sub(1).and_then(|place| Channel::ALL.get(place)).copied(),
        receipt: u64::from_be_bytes(*row.get(30..)?.first_chunk()?),
        account,
        reference,
    })
}

impl Trees {
    /// Goes through all bills in the order of their records.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn each_bill(&self, look: &mut dyn FnMut(BillRow<'_>)) -> Result<(), TreesError> {
        for found in self.derived.range(seq_key(b's', 0)..=seq_key(b's', u64::MAX)) {
            let (key, row) = found?;
            let seq = last_seq(&key).ok_or_else(|| wrong("key"))?;
            look(bill_row(seq, &row).ok_or_else(|| wrong("bill"))?);
        }
        Ok(())
    }

    /// Goes through the movements after record `after`, in the order of their records, until `look`
    /// says that it has enough.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn each_payment(
        &self,
        after: u64,
        look: &mut dyn FnMut(PaymentRow<'_>) -> bool,
    ) -> Result<(), TreesError> {
        let first = after.saturating_add(1);
        for found in self.derived.range(seq_key(b'p', first)..=seq_key(b'p', u64::MAX)) {
            let (key, row) = found?;
            let seq = last_seq(&key).ok_or_else(|| wrong("key"))?;
            if !look(payment_row(seq, &row).ok_or_else(|| wrong("payment"))?) {
                break;
            }
        }
        Ok(())
    }

    /// The bills and movements of one household after record `after`.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn of_account(
        &self,
        account: &AccountId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Event)>, TreesError> {
        let first = after.saturating_add(1);
        let (account, mut events) = (account.as_str(), Vec::new());
        let range = index_key(b'a', account, first)..=index_key(b'a', account, u64::MAX);
        for found in self.derived.range(range).take(limit) {
            let seq = last_seq(&found?.0).ok_or_else(|| wrong("key"))?;
            events.extend(self.event(seq)?.map(|event| (seq, event)));
        }
        Ok(events)
    }

    /// A bill or a movement by its record.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn event(&self, seq: u64) -> Result<Option<Event>, TreesError> {
        let row = match self.derived.get(seq_key(b's', seq))? {
            Some(row) => Some(row),
            None => self.derived.get(seq_key(b'p', seq))?,
        };
        let Some(row) = row else { return Ok(None) };
        get_position(&row).ok_or_else(|| wrong("position"))?;
        self.record(seq, &row).map(Some)
    }

    /// The record of the payment that got a receipt's number.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn receipt_seq(&self, receipt: u64) -> Result<Option<u64>, TreesError> {
        let row = self.derived.get(seq_key(b'r', receipt))?;
        row.map(|row| last_seq(&row).ok_or_else(|| wrong("receipt"))).transpose()
    }
}
