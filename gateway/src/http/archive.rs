//! What page and API ask about the past. The derived trees answer it; tests and the page's example
//! bring invented answers.

use crate::store::trees::{BillFilter, Trees};
use blockgate_rules::event::{Alarm, Bill};
use blockgate_types::{BillId, Decimal, MeterId, RegisterName, Time};
use bytes::Bytes;

/// Why a query has no answer; for the log.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Queries over what is durable. They read the disk: call them off the runtime's threads.
pub trait Archive: Send + Sync {
    /// Bills that fit, in the order of their records, after record `after`.
    ///
    /// # Errors
    /// When the trees cannot be read.
    fn bills(
        &self,
        filter: &BillFilter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Bill)>, Fault>;

    /// One bill and its record's sequence number.
    ///
    /// # Errors
    /// When the trees cannot be read.
    fn bill(&self, id: &BillId) -> Result<Option<(u64, Bill)>, Fault>;

    /// Believed readings of a register, `from` ≤ time < `to`, in order.
    ///
    /// # Errors
    /// When the trees cannot be read.
    fn history(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<(Time, Decimal)>, Fault>;

    /// The alarms' changes in the order of their records, after record `after`.
    ///
    /// # Errors
    /// When the trees cannot be read.
    fn alarms(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Alarm)>, Fault>;

    /// The newest `limit` durable events in order: sequence number and envelope.
    ///
    /// # Errors
    /// When the journal cannot be read.
    fn newest(&self, _limit: usize) -> Result<Vec<(u64, Bytes)>, Fault> {
        Ok(Vec::new())
    }

    /// The trees themselves, for what is summed up over all bills and movements; invented answers have
    /// none.
    fn trees(&self) -> Option<&Trees> {
        None
    }
}

impl Archive for Trees {
    fn trees(&self) -> Option<&Self> {
        Some(self)
    }

    fn bills(
        &self,
        filter: &BillFilter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Bill)>, Fault> {
        Ok(Self::bills(self, filter, after, limit)?)
    }

    fn bill(&self, id: &BillId) -> Result<Option<(u64, Bill)>, Fault> {
        Ok(Self::bill(self, id)?)
    }

    fn history(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<(Time, Decimal)>, Fault> {
        Ok(Self::history(self, meter, register, from, to, limit)?)
    }

    fn alarms(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Alarm)>, Fault> {
        Ok(Self::alarms(self, after, limit)?)
    }

    fn newest(&self, limit: usize) -> Result<Vec<(u64, Bytes)>, Fault> {
        Ok(Self::newest(self, limit)?)
    }
}
