//! What the gateway tells the rules about doors.

use super::event::{DoorOutcome, Entry};
use blockgate_types::{ControllerId, Time};

/// One input about doors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Entries of a controller's memory, in order. Those that are known already are passed over.
    Read {
        /// Which controller.
        controller: ControllerId,
        /// When they were read.
        now: Time,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// Everything up to an index was overwritten before it was read.
    Lost {
        /// Which controller.
        controller: ControllerId,
        /// When it was found.
        now: Time,
        /// The last one that is lost.
        to: u64,
    },
    /// A controller counts anew.
    Renumbered {
        /// Which controller.
        controller: ControllerId,
        /// When it was found.
        now: Time,
    },
    /// What came of what a door was told.
    Acted(DoorOutcome),
    /// A fire input went on or off.
    Fire {
        /// Of which controller.
        controller: ControllerId,
        /// When.
        now: Time,
        /// Whether it is on.
        on: bool,
    },
}
