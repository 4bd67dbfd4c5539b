//! Rows about money: what figures, receipts, day closes and trails are made from without reading the
//! journal record by record.
//!
//! ```text
//! 's' seq   position | total, i64 | issued, i64 ms | flags, u8 | account 0 item 0 from 0 to 0 tariff 0 [meter 0]…
//! 'p' seq   position | at, i64 ms | amount, i64 | what, u8 | channel, u8 | receipt, u64 | account 0 reference
//! 'r' receipt  seq of the payment that got this number
//! 'k' kind, u8 | seq   position; of records about money as a whole, see Kept
//! ```

use super::{Trees, TreesError, get_position, index_key, last_seq, put_position, seq_key, wrong};
use crate::store::journal::Position;
use blockgate_rules::Event;
use blockgate_rules::Fen;
use blockgate_rules::apportionment::Weighting;
use blockgate_rules::calendar::parse_day;
use blockgate_rules::correction::{Correction, What};
use blockgate_rules::event::{Audit, Bill, Payment};
use blockgate_rules::ledger::{Channel, Movement};
use blockgate_rules::reconcile::Booked;
use blockgate_types::{AccountId, CommandId, Span, Time};
use std::collections::BTreeSet;

/// Where a bill's texts begin.
pub(super) const BILL_TEXTS: usize = 29;
/// Where a payment's texts begin.
const PAYMENT_TEXTS: usize = 38;

const CORRECTS: u8 = 1;
const SHARE: u8 = 2;
const APPORTIONED: u8 = 4;
const LATE_FEE: u8 = 8;

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
    /// Whether it is a late fee.
    pub is_late_fee: bool,
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
            | flag(bill.apportioned.is_some(), APPORTIONED)
            | flag(bill.late_fee.is_some(), LATE_FEE),
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

/// Kinds of audit records that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Days that were closed.
    Days = 1,
    /// Cash that was counted.
    Cash = 2,
    /// Statements that were compared.
    Reconciliations = 3,
    /// Households that moved out.
    Settlements = 4,
    /// Rule files that came.
    Rules = 5,
    /// Corrections.
    Corrections = 6,
}

fn kept_key(kind: Kept, seq: u64) -> [u8; 10] {
    let mut key = [0; 10];
    key[0] = b'k';
    key[1] = kind as u8;
    key[2..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Whether a row was written.
pub(super) fn put_audit(
    rows: &mut sled::Batch,
    seq: u64,
    position: Position,
    audit: &Audit,
) -> bool {
    let kind = match audit {
        Audit::DayClosed { .. } => Kept::Days,
        Audit::CashCounted { .. } => Kept::Cash,
        Audit::Reconciled { .. } => Kept::Reconciliations,
        Audit::MovedOut { .. } => Kept::Settlements,
        Audit::RulesApplied { .. } => Kept::Rules,
        Audit::Corrected { .. } => Kept::Corrections,
        _ => return false,
    };
    rows.insert(&kept_key(kind, seq)[..], &put_position(position)[..]);
    true
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
        is_late_fee: flags & LATE_FEE != 0,
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

    /// The audit records of a kind after record `after`.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn kept(
        &self,
        kind: Kept,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Audit)>, TreesError> {
        let mut out = Vec::new();
        let range = kept_key(kind, after.saturating_add(1))..=kept_key(kind, u64::MAX);
        for found in self.derived.range(range).take(limit) {
            let (key, row) = found?;
            let seq = last_seq(&key).ok_or_else(|| wrong("key"))?;
            if let Event::Audit(audit) = self.record(seq, &row)? {
                out.push((seq, audit));
            }
        }
        Ok(out)
    }

    /// The bills that a correction may touch, first ones and corrections, at most `most` and one more:
    /// the chains of bills that name what is put right with their late fees, the shared costs that these are weights of, and
    /// the shares of those costs. Rows are looked through, records read only where they matter.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn bills_of_correction(
        &self,
        correction: &Correction,
        most: usize,
    ) -> Result<Vec<Bill>, TreesError> {
        let since = parse_day(&correction.since);
        let counts = |to: &str| since.is_none() || parse_day(to).is_none_or(|to| Some(to) > since);
        let weighed = match &correction.what {
            What::Weights { bill, .. } | What::LateFee { bill, .. } => {
                self.bill_seq(bill.as_str())?
            }
            _ => None,
        };
        let late_fee = matches!(correction.what, What::LateFee { .. });
        let meter = match &correction.what {
            What::Reading { meter, .. }
            | What::Quantity { meter, .. }
            | What::MeterError { meter, .. }
            | What::Meter { meter, .. } => Some(meter.as_str()),
            What::Tariff { .. }
            | What::Basis { .. }
            | What::Weights { .. }
            | What::LateFee { .. } => None,
        };
        let named = |row: &BillRow<'_>| match &correction.what {
            What::Tariff { tariff } => row.tariff == tariff.as_str(),
            What::Basis { account, .. } => row.account == account.as_str(),
            What::Meter { account, item, .. } => {
                row.account == account.as_str() && row.item == item.as_str()
            }
            What::Weights { .. } | What::LateFee { .. } => Some(row.seq) == weighed,
            What::Reading { .. } | What::Quantity { .. } | What::MeterError { .. } => {
                meter.is_some_and(|meter| row.has_meter(meter))
            }
        };
        let mut chains: BTreeSet<(String, String)> = BTreeSet::new();
        let mut costs: Vec<u64> = Vec::new();
        self.each_bill(&mut |row| {
            if row.apportioned && counts(row.to) {
                costs.push(row.seq);
            }
            if named(&row) && (!row.is_share || late_fee) && !row.is_late_fee {
                chains.insert((row.account.to_owned(), row.item.to_owned()));
            }
        })?;
        let items: BTreeSet<&str> = chains.iter().map(|(_, item)| item.as_str()).collect();
        let mut shares: BTreeSet<(String, String, String)> = BTreeSet::new();
        let mut of_costs: BTreeSet<(String, String)> = BTreeSet::new();
        for seq in costs {
            let Some(Event::Bill(cost)) = self.event(seq)? else { continue };
            let Some(shared) = &cost.apportioned else { continue };
            let key = (cost.account.to_string(), cost.item.to_string());
            let by_use = shared.by.parts.iter().any(|part| match &part.by {
                Weighting::Usage { item } => items.contains(item.as_str()),
                _ => false,
            });
            if by_use || chains.contains(&key) {
                let (from, to) = (cost.period.from.clone(), cost.period.to.clone());
                shares.insert((shared.by.item.to_string(), from, to));
                of_costs.insert(key);
            }
        }
        let (mut wanted, mut touched) = (Vec::new(), BTreeSet::new());
        self.each_bill(&mut |row| {
            // What is put right on a bill lowers its late fee, which was billed after it.
            if row.is_late_fee {
                if touched.contains(row.account) && wanted.len() <= most {
                    wanted.push(row.seq);
                }
                return;
            }
            let of_meter = meter.is_some_and(|meter| row.has_meter(meter));
            let mut fits = of_meter;
            if !fits && counts(row.to) {
                let key = (row.account.to_owned(), row.item.to_owned());
                let share = || (row.item.to_owned(), row.from.to_owned(), row.to.to_owned());
                fits = if row.is_share && !late_fee {
                    shares.contains(&share())
                } else {
                    chains.contains(&key) || of_costs.contains(&key)
                };
            }
            if fits && wanted.len() <= most {
                touched.insert(row.account.to_owned());
                wanted.push(row.seq);
            }
        })?;
        let mut bills = Vec::with_capacity(wanted.len());
        for seq in wanted {
            if let Some(Event::Bill(bill)) = self.event(seq)? {
                bills.push(*bill);
            }
        }
        Ok(bills)
    }

    /// What the books have of a channel in `[from, to)`, and what lies within three days of it.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn booked(
        &self,
        channel: Channel,
        from: Time,
        to: Time,
    ) -> Result<Vec<Booked>, TreesError> {
        let margin = Span::from_days(3);
        let (first, last) = (from.minus(margin), to.plus(margin));
        let mut books = Vec::new();
        let mut settled = Vec::new();
        self.each_payment(0, &mut |row| {
            let inside = from <= row.at && row.at < to;
            if row.channel == Some(channel) && first <= row.at && row.at < last {
                let fen = if row.moved == Moved::Out {
                    Fen(row.amount.0.saturating_neg())
                } else {
                    row.amount
                };
                if row.reference.is_empty() && row.moved == Moved::In {
                    settled.push(row.seq);
                }
                books.push(Booked {
                    seq: row.seq,
                    at: row.at,
                    reference: row.reference.to_owned(),
                    amount_fen: fen,
                    inside,
                    pending: row.moved == Moved::Nothing,
                });
            }
            row.at < last
        })?;
        // A settled payment has its reference where it was announced.
        for seq in settled {
            let Some(Event::Payment(payment)) = self.event(seq)? else { continue };
            let Movement::Settled { payment: id, .. } = &payment.movement else { continue };
            let announced = self.announced(&payment.account, id)?;
            let Some(reference) = announced else { continue };
            books.retain(|booked| !(booked.pending && booked.reference == reference));
            if let Some(booked) = books.iter_mut().find(|booked| booked.seq == seq) {
                booked.reference = reference;
            }
        }
        Ok(books)
    }

    /// The reference under which a payment was announced.
    fn announced(&self, account: &AccountId, id: &CommandId) -> Result<Option<String>, TreesError> {
        let events = self.of_account(account, 0, crate::limits::TRAIL_MAX)?;
        Ok(events.into_iter().rev().find_map(|(_, event)| match event {
            Event::Payment(payment) => match payment.movement {
                Movement::Paid(paid) if paid.payment == *id => Some(paid.reference),
                _ => None,
            },
            _ => None,
        }))
    }
}
