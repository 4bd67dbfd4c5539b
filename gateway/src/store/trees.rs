//! The sled trees: queries over what the journal says. Derived data only.

use super::journal::Position;
use blockgate_rules::Event;
use blockgate_rules::event::{Alarm, Bill};
use blockgate_types::{AccountId, BillId, Decimal, ItemId, MeterId, RegisterName, Time};

/// A durable record, as the trees take it in.
#[derive(Debug, Clone, Copy)]
pub struct Applied<'a> {
    /// Its seq.
    pub seq: u64,
    /// When it was journaled.
    pub time: Time,
    /// Its event.
    pub record: &'a Event,
    /// Where it lies in the journal.
    pub position: Position,
}

/// Which bills.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BillFilter {
    /// Of one account.
    pub account: Option<AccountId>,
    /// Of one item.
    pub item: Option<ItemId>,
    /// Of the service period that begins on this day, `2026-03-01`.
    pub period_from: Option<String>,
}

/// Why the trees cannot answer or take in. They can be rebuilt; the journal is not affected.
#[derive(Debug)]
pub enum TreesError {
    /// sled failed.
    Sled(sled::Error),
    /// The journal failed.
    Journal(super::journal::JournalError),
    /// A row or record cannot be read.
    Row(String),
}

impl std::fmt::Display for TreesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sled(_) => write!(f, "the sled trees failed"),
            Self::Journal(_) => write!(f, "a record of the trees cannot be read from the journal"),
            Self::Row(what) => write!(f, "a row of the trees cannot be read: {what}"),
        }
    }
}

impl std::error::Error for TreesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sled(e) => Some(e),
            Self::Journal(e) => Some(e),
            Self::Row(_) => None,
        }
    }
}

/// The trees, open. For any thread; one of them applies.
pub struct Trees {}

impl Trees {
    /// Takes in a committed batch, in order. A seq that was applied before changes nothing.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn apply(&self, batch: &[Applied<'_>]) -> Result<(), TreesError> {
        let _ = batch;
        Ok(())
    }

    /// Writes what is held back and makes everything durable. Blocks.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn durable(&self) -> Result<(), TreesError> {
        Ok(())
    }

    /// Bills in the order of their records, after record `after`.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn bills(
        &self,
        filter: &BillFilter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Bill)>, TreesError> {
        let _ = (filter, after, limit);
        Ok(Vec::new())
    }

    /// One bill and its record's seq.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn bill(&self, id: &BillId) -> Result<Option<(u64, Bill)>, TreesError> {
        let _ = id;
        Ok(None)
    }

    /// Believed readings of a register, one a quarter hour (its last), `from` ≤ time < `to`, in order.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn history(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<(Time, Decimal)>, TreesError> {
        let _ = (meter, register, from, to, limit);
        Ok(Vec::new())
    }

    /// The alarms' changes in the order of their records, after record `after`.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn alarms(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Alarm)>, TreesError> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// Keeps a live row (JSON) of a meter; one a minute, the newest.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn keep_telemetry(&self, meter: &MeterId, at: Time, row: &[u8]) -> Result<(), TreesError> {
        let _ = (meter, at, row);
        Ok(())
    }

    /// Live rows of a meter, `from` ≤ time < `to`, in order.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn telemetry(
        &self,
        meter: &MeterId,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<(Time, bytes::Bytes)>, TreesError> {
        let _ = (meter, from, to, limit);
        Ok(Vec::new())
    }
}
