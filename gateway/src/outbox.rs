//! The outbox: which journal records the cloud has not confirmed yet. The payloads stay in the
//! journal; sled holds one small entry a record, by class of service, and can be rebuilt from the
//! journal and the receipt cursor.

use crate::board::OutboxBoard;
use crate::store::journal::{JournalError, Position};
use blockgate_types::Time;
use bytes::Bytes;
use serde::Deserialize;
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
    /// Everything up to this seq is safe.
    #[serde(default)]
    pub through: Option<u64>,
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
    /// The receipts' file failed.
    Io(std::io::Error),
}

impl std::fmt::Display for OutboxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sled(_) => write!(f, "the outbox's sled trees failed"),
            Self::Journal(_) => write!(f, "a waiting record cannot be read from the journal"),
            Self::Io(_) => write!(f, "the receipts cannot be saved"),
        }
    }
}

impl std::error::Error for OutboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sled(e) => Some(e),
            Self::Journal(e) => Some(e),
            Self::Io(e) => Some(e),
        }
    }
}

/// The outbox, shared by the engine (pushes) and the MQTT client (takes).
#[derive(Default)]
pub struct Outbox {
    changed: Notify,
}

impl Outbox {
    /// Adds records that are durable, in order.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn push(&self, records: &[(u64, Class, Position)]) -> Result<(), OutboxError> {
        let _ = records;
        self.changed.notify_one();
        Ok(())
    }

    /// The next messages, at most `max`; they are on their way until acknowledged, refused or
    /// [`Outbox::reset_in_flight`]. `now` starts the time of each receipt. Reads the journal.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn take(&self, max: usize, now: Time) -> Result<Vec<Outgoing>, OutboxError> {
        let _ = (max, now);
        Ok(Vec::new())
    }

    /// The broker has acknowledged it (PUBACK). It stays until its receipt.
    pub fn acknowledged(&self, seq: u64, now: Time) {
        let _ = (seq, now);
    }

    /// It cannot be delivered: to the dead letters.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn refused(&self, seq: u64, reason: &str) -> Result<(), OutboxError> {
        let _ = (seq, reason);
        Ok(())
    }

    /// Takes a receipt in.
    ///
    /// # Errors
    /// [`OutboxError`]; a receipt that names what we do not know is an outcome, not an error.
    pub fn receipt(&self, receipt: &Receipt) -> Result<ReceiptOutcome, OutboxError> {
        let _ = receipt;
        Ok(ReceiptOutcome::default())
    }

    /// After a new connection: what was sent and not acknowledged is to be sent again.
    pub fn reset_in_flight(&self) {}

    /// Sends `from..=to` again, receipted or not; gives how many there are of these.
    ///
    /// # Errors
    /// A sentence, when the range is empty or past the last record, or too many wait already.
    pub fn resend(&self, from: u64, to: u64) -> Result<u64, String> {
        let _ = (from, to);
        Ok(0)
    }

    /// What is due by `now`: acknowledged messages without a receipt are sent again, confirmed rows
    /// removed, a few at a time. Call about once a second.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn tend(&self, now: Time) -> Result<(), OutboxError> {
        let _ = now;
        Ok(())
    }

    /// Saves the receipt cursor when it has moved. Blocks; call about once a second and at the stop.
    ///
    /// # Errors
    /// [`OutboxError`]; the receipts since the last save are asked for again after a restart.
    pub fn save(&self) -> Result<(), OutboxError> {
        Ok(())
    }

    /// The dead letters in order, after `after`.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn dead(&self, after: Option<u64>, limit: usize) -> Result<Vec<DeadLetter>, OutboxError> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// Told when there is something to take.
    #[must_use]
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    /// The numbers for board, page and metrics.
    #[must_use]
    pub fn stats(&self) -> OutboxBoard {
        OutboxBoard::default()
    }
}
