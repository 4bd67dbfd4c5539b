//! The outbox: which journal records the cloud has not confirmed yet. The payloads stay in the
//! journal; sled holds one small entry a record, by class of service, and can be rebuilt from the
//! journal and the receipt cursor.

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
