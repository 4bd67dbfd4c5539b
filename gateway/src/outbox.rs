//! The outbox: which journal records the cloud has not confirmed yet. The payloads stay in the
//! journal; here is one small entry a record, by class of service. The newest entries are in memory,
//! a backlog's in sled. What is confirmed stands in `<state>/receipts` (see [`cursor`]); so the
//! waiting set is always journal minus receipts, and sled may be deleted (invariant 3).
//!
//! It must never hold a record that is not durable (invariant 1), never let go of one without a
//! receipt, and never change a byte of what it sends (invariant 8).
//!
//! ```text
//! sled trees "waiting-bill", "waiting-event", "waiting-reading"
//!   see block.rs
//! sled tree "waiting"
//!   'i'                          rows are complete up to this seq, u64 big-endian | crc32c
//! ```

mod block;
pub mod cursor;
mod queue;
#[cfg(test)]
mod tests;

use crate::board::OutboxBoard;
use crate::limits::{
    self, DEAD_LETTERS_MAX, OUTBOX_IN_ORDER_MAX, OUTBOX_LIVE_ROOM, OUTBOX_RESENDS_MAX,
    OUTBOX_UNRECEIPTED_MAX, OUTBOX_WINDOW,
};
use crate::ports::Disk;
use crate::store::journal::{JournalError, Position, Reader, Records};
use crate::store::trees::{Trees, TreesError};
use blockgate_rules::block::Epoch;
use blockgate_types::{Span, Time};
use bytes::Bytes;
use cursor::Cursor;
use queue::Queue;
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Class of service, in the order in which a backlog is sent: bills first, then events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Bills, payments, ledger: never discarded.
    Bill,
    /// Alarms, audit, gaps: never discarded.
    Event,
    /// Readings: never discarded.
    Reading,
}

impl Class {
    /// The class of an event kind.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        match kind {
            "bill" | "payment" | "ledger" => Self::Bill,
            "reading" => Self::Reading,
            _ => Self::Event,
        }
    }
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The record's seq.
    pub seq: u64,
    /// The topic's last part: `bill`.
    pub kind: String,
    /// The envelope, as journaled.
    pub payload: Bytes,
}

/// The cloud's confirmation, as it comes on `receipt`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Everything of the epoch up to this seq is safe.
    #[serde(default)]
    pub through: Option<u64>,
    /// Which history is meant, as the events say it: none is the first one.
    #[serde(default)]
    pub epoch: Option<String>,
    /// These events are safe.
    #[serde(default)]
    pub ids: Vec<String>,
}

/// What a receipt did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiptOutcome {
    /// Records that waited and are confirmed now.
    pub confirmed: u64,
    /// What was not taken, and why.
    pub refused: Vec<ReceiptRefusal>,
}

/// A part of a receipt that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiptRefusal {
    /// `through` is past our last durable record: a receipt for another gateway, or for a journal
    /// that was lost.
    Future {
        /// What it said.
        through: u64,
        /// Our last durable record.
        last: u64,
    },
    /// `through` means events that were lost before a backup was restored. Confirmed is what the backup held of them.
    OtherHistory {
        /// What it said.
        through: u64,
        /// The last record that we have of that history.
        ours: u64,
    },
    /// We have no history of this name.
    UnknownEpoch(String),
    /// No event of ours has this id.
    Unknown(String),
    /// Nothing in it.
    Empty,
}

/// A message that cannot be delivered, kept until a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record's seq.
    pub seq: u64,
    /// Why: the cloud's reason code or ours.
    pub reason: String,
}

/// Why the outbox cannot answer.
#[derive(Debug)]
pub enum OutboxError {
    /// sled failed.
    Sled(sled::Error),
    /// The journal failed.
    Journal(JournalError),
    /// The trees failed.
    Trees(TreesError),
    /// The receipts' file failed.
    Io(std::io::Error),
}

impl std::fmt::Display for OutboxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sled(_) => write!(f, "the outbox's sled trees failed"),
            Self::Journal(_) => write!(f, "a waiting record cannot be read from the journal"),
            Self::Trees(_) => write!(f, "a bill cannot be looked up"),
            Self::Io(_) => write!(f, "the receipts cannot be read or saved"),
        }
    }
}

impl std::error::Error for OutboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sled(e) => Some(e),
            Self::Journal(e) => Some(e),
            Self::Trees(e) => Some(e),
            Self::Io(e) => Some(e),
        }
    }
}

impl From<sled::Error> for OutboxError {
    fn from(e: sled::Error) -> Self {
        Self::Sled(e)
    }
}

/// Whose turn it is. A class that has nothing gives its turn to the first that has. So of 16
/// messages of a full backlog 12 are bills, 2 events and 2 readings: nobody starves.
const TURNS: [Class; 16] = {
    use Class::{Bill as B, Event as E, Reading as R};
    [B, B, B, E, B, B, B, R, B, B, B, E, B, B, B, R]
};
const CLASSES: [Class; 3] = [Class::Bill, Class::Event, Class::Reading];
/// Rows of sled that are read or removed at once.
const ROWS_AT_ONCE: usize = 512;

struct Inner {
    cursor: Cursor,
    /// The last record that was pushed.
    last: u64,
    /// sled has a row for every waiting record up to here.
    indexed: u64,
    queues: [Queue; 3],
    meta: sled::Tree,
    turn: usize,
    resends: VecDeque<(u64, u64)>,
    /// Reads the first range of `resends`.
    resending: Option<Reader>,
    /// Sent again by command, not yet acknowledged. They are not waiting.
    resent: BTreeSet<u64>,
    /// Dead letters that a person had sent again although the cloud's receipts had passed them: refused once more,
    /// they are dead letters again.
    retried: BTreeSet<u64>,
    acknowledged: u64,
    oldest: Option<(u64, Time)>,
    /// What has this number or a higher one is live: it came since we are connected.
    live_from: u64,
    /// Histories that began with a restored backup.
    epochs: Vec<Epoch>,
}

/// The outbox, shared by the engine (pushes) and the MQTT client (takes).
pub struct Outbox {
    disk: Arc<dyn Disk>,
    file: PathBuf,
    records: Records,
    trees: Arc<Trees>,
    inner: Mutex<Inner>,
    changed: Notify,
    /// First wait for a receipt, in milliseconds.
    receipt_ms: AtomicI64,
}

/// What of a payload tells where it goes, and its time.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    r#type: std::borrow::Cow<'a, str>,
    time: Time,
}

fn envelope(payload: &[u8]) -> Option<Envelope<'_>> {
    serde_json::from_slice(payload).ok()
}

/// Whether an id is that of one start alone. A bill's is not: one that was lost with a disk and made anew has the same.
fn is_numbered(id: &str, seq: u64) -> bool {
    id.rsplit_once('-').is_some_and(|(_, number)| number == seq.to_string())
}

/// The kind in an envelope: `bill` of `blockgate.bill.v1`.
#[must_use]
pub fn kind_of(payload: &[u8]) -> String {
    let whole = envelope(payload);
    let kind = whole.as_ref().and_then(|e| e.r#type.strip_prefix("blockgate.")?.split('.').next());
    kind.unwrap_or("audit").to_owned()
}

impl Outbox {
    /// Opens the outbox. Records after [`Outbox::known`] must then be pushed again, in order.
    ///
    /// # Errors
    /// [`OutboxError`]. A damaged receipts' file is an error: without it everything would be sent
    /// again; removing the file does exactly that.
    pub fn open(
        disk: Arc<dyn Disk>,
        state: &Path,
        trees: Arc<Trees>,
        records: Records,
        last: u64,
    ) -> Result<Self, OutboxError> {
        let file = state.join("receipts");
        let cursor = Cursor::load(&*disk, &file).map_err(OutboxError::Io)?;
        let db = trees.db();
        let meta = db.open_tree("waiting")?;
        let said = meta.get("i")?.and_then(|row| {
            let (number, crc) = row.split_first_chunk::<8>()?;
            let good = crc == crc32c::crc32c(number).to_be_bytes();
            good.then_some(u64::from_be_bytes(*number)).filter(|n| *n <= last)
        });
        let through = cursor.through;
        let indexed = said.unwrap_or(0).max(through);
        let queue = |name: &str| -> Result<Queue, OutboxError> {
            let tree = db.open_tree(name)?;
            if said.is_none() {
                tree.clear()?; // rows of a start that never told how far they go
            }
            Ok(Queue::new(tree, through))
        };
        let mut queues =
            [queue("waiting-bill")?, queue("waiting-event")?, queue("waiting-reading")?];
        for queue in &mut queues {
            queue.forget_after(indexed)?;
        }
        queues[0].count(&cursor)?;
        let inner = Inner {
            cursor,
            last: indexed,
            indexed,
            queues,
            meta,
            turn: 0,
            resends: VecDeque::new(),
            resending: None,
            resent: BTreeSet::new(),
            retried: BTreeSet::new(),
            acknowledged: 0,
            oldest: None,
            live_from: u64::MAX,
            epochs: Vec::new(),
        };
        let inner = Mutex::new(inner);
        let receipt_ms = i64::try_from(limits::RECEIPT_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
        let (changed, receipt_ms) = (Notify::new(), AtomicI64::new(receipt_ms));
        Ok(Self { disk, file, records, trees, inner, changed, receipt_ms })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the journal ended when a backup was restored, the last time.
    #[must_use]
    pub fn restored(&self) -> Option<u64> {
        self.inner().cursor.restored
    }

    /// The histories that began with a restored backup, the oldest first: receipts are told apart by them.
    pub fn set_epochs(&self, epochs: Vec<Epoch>) {
        self.inner().epochs = epochs;
    }

    /// The last record that the outbox knows.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.inner().last
    }

    /// The receipt cursor: a record that the cloud has confirmed was durable here.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.inner().cursor.through
    }

    /// Adds records that are durable, in order. Those that are known already change nothing.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn push(&self, records: &[(u64, Class, Position)]) -> Result<(), OutboxError> {
        let mut inner = self.inner();
        for &(seq, class, position) in records {
            if seq > inner.last {
                inner.last = seq;
                if !inner.cursor.settled(seq) {
                    inner.queues[class as usize].recent.push_back((seq, position));
                }
            }
        }
        if inner.queues.iter().map(|q| q.recent.len()).sum::<usize>() > OUTBOX_WINDOW {
            inner.spill()?;
        }
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// A connection begins: what is pushed from now on is live, what waits already is backlog.
    pub fn connected(&self) {
        let mut inner = self.inner();
        inner.live_from = inner.last + 1;
    }

    /// As [`Outbox::take`], but what is live goes first, and of the backlog and of what is sent again
    /// by command there are at most `backlog`. Gives how many of it there are.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn take_paced(
        &self,
        max: usize,
        backlog: usize,
        now: Time,
    ) -> Result<(Vec<Outgoing>, usize), OutboxError> {
        let mut inner = self.inner();
        let (mut out, mut old): (Vec<Outgoing>, usize) = (Vec::new(), 0);
        while out.len() < max {
            let next = match inner.next_live() {
                Some(live) => Some(live),
                None if inner.has_backlog() && old >= backlog => None,
                None => inner.next(now)?,
            };
            let Some((seq, position)) = next else { break };
            old += usize::from(seq < inner.live_from);
            let payload = self.records.read_at(seq, position).map_err(OutboxError::Journal)?;
            out.push(Outgoing { seq, kind: kind_of(&payload), payload });
        }
        while out.len() < max && old < backlog {
            let Some(again) = inner.next_resend(&self.records)? else { break };
            if out.iter().all(|o| o.seq != again.seq) {
                old += 1;
                out.push(again);
            }
        }
        Ok((out, old))
    }

    /// The next messages, at most `max`; they are on their way until acknowledged, refused or
    /// [`Outbox::reset_in_flight`]. Reads the journal.
    ///
    /// Bills go before events, events before readings, each class in order of seq; but of 16 turns
    /// two belong to events and two to readings, so that neither starves behind the other.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn take(&self, max: usize, now: Time) -> Result<Vec<Outgoing>, OutboxError> {
        let mut inner = self.inner();
        let mut out: Vec<Outgoing> = Vec::new();
        while out.len() < max {
            let Some((seq, position)) = inner.next(now)? else { break };
            let payload = self.records.read_at(seq, position).map_err(OutboxError::Journal)?;
            out.push(Outgoing { seq, kind: kind_of(&payload), payload });
        }
        while out.len() < max {
            let Some(again) = inner.next_resend(&self.records)? else { break };
            if out.iter().all(|o| o.seq != again.seq) {
                out.push(again);
            }
        }
        Ok(out)
    }

    /// The broker has acknowledged it (PUBACK). It stays until its receipt.
    pub fn acknowledged(&self, seq: u64, now: Time) {
        let mut inner = self.inner();
        inner.resent.remove(&seq);
        if inner.retried.contains(&seq) {
            inner.cursor.unbury(seq);
        }
        if inner.queues.iter_mut().any(|q| q.acknowledge(seq, now)) {
            inner.acknowledged += 1;
        }
    }

    /// It cannot be delivered: to the dead letters, for good. When these are full it is tried again
    /// later instead.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn refused(&self, seq: u64, reason: &str) -> Result<(), OutboxError> {
        let mut inner = self.inner();
        if inner.cursor.settled(seq) || seq > inner.last {
            inner.resent.remove(&seq);
            if inner.retried.remove(&seq) {
                inner.cursor.bury(seq, reason);
            }
            return Ok(());
        }
        if inner.cursor.bury(seq, reason) {
            inner.drop_one(seq);
        }
        Ok(())
    }

    /// The cloud says by its id that it will never take an event: to the dead letters. False when no
    /// event of ours has this id.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn refused_id(&self, id: &str, reason: &str) -> Result<bool, OutboxError> {
        let seq = self.seq_of(&self.inner(), id)?;
        match seq {
            Some(seq) => self.refused(seq, reason).map(|()| true),
            None => Ok(false),
        }
    }

    /// Takes a receipt in.
    ///
    /// # Errors
    /// [`OutboxError`]; a receipt that names what we do not know is an outcome, not an error.
    pub fn receipt(&self, receipt: &Receipt) -> Result<ReceiptOutcome, OutboxError> {
        let mut outcome = ReceiptOutcome::default();
        let mut inner = self.inner();
        let before = inner.waiting();
        if receipt.through.is_none() && receipt.ids.is_empty() {
            outcome.refused.push(ReceiptRefusal::Empty);
        }
        let Some((from, to)) = inner.numbers_of(receipt.epoch.as_deref()) else {
            let name = receipt.epoch.clone().unwrap_or_default();
            outcome.refused.push(ReceiptRefusal::UnknownEpoch(name));
            return Ok(outcome);
        };
        match receipt.through {
            Some(through) if through > inner.last && to == u64::MAX => {
                let last = inner.last;
                outcome.refused.push(ReceiptRefusal::Future { through, last });
            }
            Some(through) => {
                if through > to {
                    outcome.refused.push(ReceiptRefusal::OtherHistory { through, ours: to });
                }
                inner.confirm_part(from, through.min(to))?;
            }
            None => {}
        }
        for id in &receipt.ids {
            match self.seq_of(&inner, id)? {
                Some(seq) if !(from..=to).contains(&seq) && !is_numbered(id, seq) => {
                    outcome.refused.push(ReceiptRefusal::Unknown(id.clone()));
                }
                Some(seq) if inner.cursor.settled(seq) => {
                    if inner.retried.remove(&seq) {
                        inner.cursor.unbury(seq);
                    }
                }
                Some(seq) => {
                    inner.cursor.confirm(seq);
                    inner.drop_one(seq);
                    let through = inner.cursor.through;
                    inner.confirm_through(through)?;
                }
                None => outcome.refused.push(ReceiptRefusal::Unknown(id.clone())),
            }
        }
        outcome.confirmed = before - inner.waiting();
        drop(inner);
        self.changed.notify_one(); // a class may have waited for room
        Ok(outcome)
    }

    /// The record that has this id, when it is ours.
    fn seq_of(&self, inner: &Inner, id: &str) -> Result<Option<u64>, OutboxError> {
        let bill = self.trees.bill_seq(id).map_err(OutboxError::Trees)?;
        let number = || id.rsplit_once('-').and_then(|(_, seq)| seq.parse::<u64>().ok());
        let Some(seq) = bill.or_else(number).filter(|s| (1..=inner.last).contains(s)) else {
            return Ok(None);
        };
        if inner.cursor.settled(seq) {
            return Ok(Some(seq)); // said twice; which boot it was no longer matters
        }
        for queue in &inner.queues {
            if let Some(position) = queue.position(seq)? {
                let read = self.records.read_at(seq, position).map_err(OutboxError::Journal)?;
                return Ok(envelope(&read).filter(|e| e.id == id).map(|_| seq));
            }
        }
        Ok(None)
    }

    /// After a new connection: what was sent and not acknowledged is to be sent again.
    pub fn reset_in_flight(&self) {
        let mut inner = self.inner();
        inner.queues.iter_mut().for_each(Queue::reset);
        // One range each; they are rare and few.
        for seq in std::mem::take(&mut inner.resent).into_iter().rev() {
            match inner.resends.front_mut() {
                Some((from, _)) if *from == seq + 1 => *from = seq,
                Some(_) | None => inner.resends.push_front((seq, seq)),
            }
        }
        inner.resending = None;
        drop(inner);
        self.changed.notify_one();
    }

    /// Sends `from..=to` again, receipted or not, behind what waits; gives how many these are.
    ///
    /// # Errors
    /// A sentence, when the range is empty or past the last record, or too many wait already.
    pub fn resend(&self, from: u64, to: u64) -> Result<u64, String> {
        let mut inner = self.inner();
        let last = inner.last;
        if from == 0 || from > to {
            return Err(format!("from {from} to {to} is no range: from 1 on, and from <= to"));
        }
        if to > last {
            return Err(format!("the last record is {last}: there is no {to} to send"));
        }
        if inner.resends.len() >= OUTBOX_RESENDS_MAX {
            return Err(format!("{OUTBOX_RESENDS_MAX} ranges wait to be sent again: try later"));
        }
        inner.resends.push_back((from, to));
        drop(inner);
        self.changed.notify_one();
        Ok(to - from + 1)
    }

    /// Sends a dead letter again. It waits as any other event does, until its receipt or a new refusal; where the
    /// cloud's receipts have passed it already, it is sent once, and stays a dead letter until the broker has it.
    ///
    /// # Errors
    /// A sentence, when there is no such dead letter, or too many wait already to be sent again.
    pub fn retry(&self, seq: u64) -> Result<(), String> {
        let mut inner = self.inner();
        if !inner.cursor.dead.contains_key(&seq) {
            return Err(format!("there is no dead letter {seq}"));
        }
        if inner.resends.len() >= OUTBOX_RESENDS_MAX {
            return Err(format!("{OUTBOX_RESENDS_MAX} ranges wait to be sent again: try later"));
        }
        let read = self.records.from(seq).read().map(|item| {
            let item = item.filter(|item| item.seq == seq)?;
            Some((Class::of(&kind_of(item.payload)), item.position))
        });
        let Ok(Some((class, position))) = read else {
            return Err(format!("the journal has no record {seq} that can be read"));
        };
        if inner.cursor.confirmed(seq) {
            if !inner.resends.contains(&(seq, seq)) {
                inner.resends.push_back((seq, seq));
            }
            inner.retried.insert(seq);
            if inner.retried.len() > DEAD_LETTERS_MAX {
                inner.retried.pop_first();
            }
        } else {
            inner.cursor.unbury(seq);
            let indexed = inner.indexed;
            inner.queues[class as usize].revive(seq, position, indexed);
        }
        drop(inner);
        self.changed.notify_one();
        Ok(())
    }

    /// What is due by `now`: acknowledged messages without a receipt are sent again, confirmed rows
    /// removed, a few at a time. Call about once a second.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn tend(&self, now: Time) -> Result<(), OutboxError> {
        let mut inner = self.inner();
        let mut due = false;
        let first = Span::from_millis(self.receipt_ms.load(Ordering::Relaxed));
        let through = inner.cursor.through;
        for queue in &mut inner.queues {
            due |= queue.overdue(now, first);
            queue.sweep(through, ROWS_AT_ONCE)?;
        }
        let Inner { queues, cursor, .. } = &mut *inner;
        queues[0].count(cursor)?;
        due |= inner.look_for_lost(&self.records)?;
        let oldest = inner.oldest_waiting()?;
        if inner.oldest.map(|(seq, _)| seq) != oldest.map(|(seq, _)| seq) {
            inner.oldest = None;
            if let Some((seq, position)) = oldest {
                let payload = self.records.read_at(seq, position).map_err(OutboxError::Journal)?;
                inner.oldest = envelope(&payload).map(|e| (seq, e.time));
            }
        }
        drop(inner);
        if due {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Saves receipts and dead letters when they have changed. Blocks; call about once a second and
    /// at the stop.
    ///
    /// # Errors
    /// [`OutboxError`]; the receipts since the last save are asked for again after a restart.
    pub fn save(&self) -> Result<(), OutboxError> {
        let Some(bytes) = self.inner().cursor.to_save() else { return Ok(()) };
        let saved = crate::store::checkpoint::replace(&*self.disk, &self.file, &bytes);
        saved.map_err(|e| {
            self.inner().cursor.changed();
            OutboxError::Io(e)
        })
    }

    /// Writes what waits to sled, so that the next start need not look for it in the journal. The
    /// caller makes the trees durable after it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn index(&self) -> Result<(), OutboxError> {
        self.inner().spill()
    }

    /// The dead letters in order, after `after`.
    ///
    /// # Errors
    /// None today; kept for a list that outgrows memory.
    pub fn dead(&self, after: Option<u64>, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        let inner = self.inner();
        let dead = inner.cursor.dead.range(after.map_or(0, |a| a.saturating_add(1))..);
        let letter =
            |(seq, reason): (&u64, &String)| DeadLetter { seq: *seq, reason: reason.clone() };
        Ok(dead.take(limit).map(letter).collect())
    }

    /// How long a message waits for its receipt before it is sent again the first time; doubled each
    /// time. [`limits::RECEIPT_TIMEOUT`] until it is set.
    pub fn set_receipt_timeout(&self, first: Span) {
        self.receipt_ms.store(first.as_millis().max(1), Ordering::Relaxed);
    }

    /// Told when there is something to take.
    #[must_use]
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    /// The numbers for board, page and metrics. The count of bills may be high for some seconds after
    /// a receipt for a long backlog.
    #[must_use]
    pub fn stats(&self) -> OutboxBoard {
        let inner = self.inner();
        OutboxBoard {
            waiting: inner.waiting(),
            bills: inner.queues[0].waiting(inner.indexed),
            acknowledged: inner.queues.iter().map(Queue::acknowledged).sum(),
            dead: inner.cursor.dead.len() as u64,
            oldest: inner.oldest.map(|(_, time)| time),
            through: inner.cursor.through,
        }
    }
}

impl Inner {
    /// Records without a receipt that are not dead.
    fn waiting(&self) -> u64 {
        self.last.saturating_sub(self.cursor.through) - self.cursor.above(self.last)
    }

    /// The next one that came since we are connected, marked as sent; bills first. Readings wait for a short backlog of
    /// their own, unless that waits for receipts.
    fn next_live(&mut self) -> Option<(u64, Position)> {
        let (from, indexed) = (self.live_from, self.indexed);
        self.queues.iter_mut().zip(CLASSES).find_map(|(queue, class)| {
            let flights = queue.flights();
            let first = queue.first_before(from, indexed);
            let short = first.is_some_and(|first| from - first <= OUTBOX_IN_ORDER_MAX);
            if class == Class::Reading && short && flights < OUTBOX_UNRECEIPTED_MAX {
                return None;
            }
            let room = flights < OUTBOX_UNRECEIPTED_MAX + OUTBOX_LIVE_ROOM;
            room.then(|| queue.send_live(from)).flatten()
        })
    }

    /// Whether something of before the connection is still to be sent.
    fn has_backlog(&self) -> bool {
        let (from, indexed) = (self.live_from, self.indexed);
        self.queues.iter().any(|queue| queue.first_before(from, indexed).is_some())
    }

    /// The next message, marked as sent.
    fn next(&mut self, now: Time) -> Result<Option<(u64, Position)>, OutboxError> {
        let turn = TURNS[self.turn % TURNS.len()];
        for class in std::iter::once(turn).chain(CLASSES) {
            let queue = &mut self.queues[class as usize];
            if queue.flights() < OUTBOX_UNRECEIPTED_MAX
                && let Some(sent) = queue.send(self.indexed, &self.cursor, now)?
            {
                self.turn = (self.turn + 1) % TURNS.len();
                return Ok(Some(sent));
            }
        }
        Ok(None)
    }

    /// The next record of a range that is to be sent again.
    fn next_resend(&mut self, records: &Records) -> Result<Option<Outgoing>, OutboxError> {
        while let Some(&(from, to)) = self.resends.front() {
            let reader = self.resending.get_or_insert_with(|| records.from(from));
            match reader.read().map_err(OutboxError::Journal)? {
                Some(item) if item.seq <= to && self.resent.len() < OUTBOX_UNRECEIPTED_MAX => {
                    let payload = Bytes::copy_from_slice(item.payload);
                    let seq = item.seq;
                    if seq == to {
                        self.resends.pop_front();
                        self.resending = None;
                    } else if let Some((from, _)) = self.resends.front_mut() {
                        *from = seq + 1;
                    }
                    self.resent.insert(seq);
                    return Ok(Some(Outgoing { seq, kind: kind_of(&payload), payload }));
                }
                Some(_) => {
                    self.resending = None; // read again when there is room
                    return Ok(None);
                }
                None => {
                    self.resends.pop_front();
                    self.resending = None;
                }
            }
        }
        Ok(None)
    }

    /// The first and last number that a history has here; `None` for a name that is none of ours.
    fn numbers_of(&self, epoch: Option<&str>) -> Option<(u64, u64)> {
        let begun = match epoch {
            None => 0,
            Some(name) => 1 + self.epochs.iter().position(|epoch| epoch.name == name)?,
        };
        let from = begun.checked_sub(1).and_then(|at| self.epochs.get(at));
        let to = self.epochs.get(begun).map_or(u64::MAX, |next| next.after);
        Some((from.map_or(1, |epoch| epoch.after + 1), to))
    }

    /// Confirms what one history has up to a number; what lies before it is another one's.
    fn confirm_part(&mut self, from: u64, through: u64) -> Result<(), OutboxError> {
        if from <= self.cursor.through + 1 {
            return self.confirm_through(through);
        }
        for seq in self.cursor.open_from(from)..=through {
            self.cursor.confirm(seq);
            self.drop_one(seq);
        }
        Ok(())
    }

    fn confirm_through(&mut self, through: u64) -> Result<(), OutboxError> {
        self.cursor.confirm_through(through);
        let through = self.cursor.through;
        for queue in &mut self.queues {
            queue.drop_through(through);
            queue.sweep(through, ROWS_AT_ONCE)?;
        }
        Ok(())
    }

    fn drop_one(&mut self, seq: u64) {
        self.queues.iter_mut().for_each(|q| q.drop_one(seq));
    }

    /// Writes the entries that are in memory only to sled.
    fn spill(&mut self) -> Result<(), OutboxError> {
        if self.indexed == self.last {
            return Ok(());
        }
        let (indexed, last) = (self.indexed, self.last);
        self.queues.iter_mut().try_for_each(|q| q.spill(indexed, last))?;
        let number = last.to_be_bytes();
        let row = [&number[..], &crc32c::crc32c(&number).to_be_bytes()].concat();
        self.meta.insert("i", row)?;
        self.indexed = last;
        Ok(())
    }

    /// Nothing is in memory or sled and yet records wait: sled has lost rows (flipped bits can do that
    /// without an error). They are taken from the journal, some at a time.
    fn look_for_lost(&mut self, records: &Records) -> Result<bool, OutboxError> {
        let indexed = self.indexed;
        if self.waiting() == 0 || !self.queues.iter().all(|q| q.idle(indexed)) {
            return Ok(false);
        }
        let mut reader = records.from(self.cursor.through + 1);
        let mut found = 0;
        while found < ROWS_AT_ONCE
            && let Some(item) = reader.read().map_err(OutboxError::Journal)?
            && item.seq <= self.last
        {
            if !self.cursor.settled(item.seq) {
                let class = Class::of(&kind_of(item.payload));
                self.queues[class as usize].put_back(item.seq, item.position);
                found += 1;
            }
        }
        Ok(found > 0)
    }

    fn oldest_waiting(&self) -> Result<Option<(u64, Position)>, OutboxError> {
        let mut oldest: Option<(u64, Position)> = None;
        for queue in &self.queues {
            let first = queue.oldest(self.indexed, &self.cursor)?;
            oldest = oldest.into_iter().chain(first).min();
        }
        Ok(oldest)
    }
}
