//! What the client needs of the outbox.

use super::wire::Refused;
use crate::outbox::{Outbox, OutboxError, Outgoing, Receipt, ReceiptOutcome};
use blockgate_types::Time;
use tokio::sync::Notify;

/// Characters of the cloud's reason that are kept.
const REASON_MAX: usize = 200;

/// The outbox as the client sees it; tests bring their own.
pub(super) trait Post: Send + Sync {
    /// See [`Outbox::take`].
    ///
    /// # Errors
    /// [`OutboxError`].
    fn take(&self, max: usize, now: Time) -> Result<Vec<Outgoing>, OutboxError>;
    /// See [`Outbox::take_paced`].
    ///
    /// # Errors
    /// [`OutboxError`].
    fn take_paced(
        &self,
        max: usize,
        _backlog: usize,
        now: Time,
    ) -> Result<(Vec<Outgoing>, usize), OutboxError> {
        Ok((self.take(max, now)?, 0))
    }
    /// See [`Outbox::connected`].
    fn connected(&self) {}
    /// See [`Outbox::acknowledged`].
    fn acknowledged(&self, seq: u64, now: Time);
    /// See [`Outbox::refused`].
    ///
    /// # Errors
    /// [`OutboxError`].
    fn refused(&self, seq: u64, reason: &str) -> Result<(), OutboxError>;
    /// The cloud will never take this event; false when we have none of that id.
    ///
    /// # Errors
    /// [`OutboxError`].
    fn refused_by_cloud(&self, refused: &Refused) -> Result<bool, OutboxError>;
    /// See [`Outbox::receipt`].
    ///
    /// # Errors
    /// [`OutboxError`].
    fn receipt(&self, receipt: &Receipt) -> Result<ReceiptOutcome, OutboxError>;
    /// See [`Outbox::reset_in_flight`].
    fn reset_in_flight(&self);
    /// See [`Outbox::changed`].
    fn changed(&self) -> &Notify;
    /// Events without a receipt.
    fn waiting(&self) -> u64;
}

impl Post for Outbox {
    fn take(&self, max: usize, now: Time) -> Result<Vec<Outgoing>, OutboxError> {
        self.take(max, now)
    }

    fn take_paced(
        &self,
        max: usize,
        backlog: usize,
        now: Time,
    ) -> Result<(Vec<Outgoing>, usize), OutboxError> {
        self.take_paced(max, backlog, now)
    }

    fn connected(&self) {
        self.connected();
    }

    fn acknowledged(&self, seq: u64, now: Time) {
        self.acknowledged(seq, now);
    }

    fn refused(&self, seq: u64, reason: &str) -> Result<(), OutboxError> {
        self.refused(seq, reason)
    }

    fn refused_by_cloud(&self, refused: &Refused) -> Result<bool, OutboxError> {
        let why: String = match refused.reason.as_str() {
            "" => refused.code.clone(),
            reason => format!("{}: {reason}", refused.code),
        };
        self.refused_id(&refused.id, &why.chars().take(REASON_MAX).collect::<String>())
    }

    fn receipt(&self, receipt: &Receipt) -> Result<ReceiptOutcome, OutboxError> {
        self.receipt(receipt)
    }

    fn reset_in_flight(&self) {
        self.reset_in_flight();
    }

    fn changed(&self) -> &Notify {
        self.changed()
    }

    fn waiting(&self) -> u64 {
        self.stats().waiting
    }
}
