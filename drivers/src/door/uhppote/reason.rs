//! The reason numbers of events in the words that all controllers share.

use crate::door::{Denial, Happened};

/// What an event of a kind, with a reason, says. `kind`: 1 swipe, 2 door, button or remote, 3 alarm.
/// Where kind and reason contradict one another, `granted` decides: a refusal is never read as a
/// grant.
#[must_use]
pub fn happened(kind: u8, granted: bool, reason: u8) -> Happened {
    let denied = match reason {
        5 => Some(Denial::Host),
        6 => Some(Denial::NoRight),
        7 => Some(Denial::Pin),
        8 => Some(Denial::AntiPassback),
        9 => Some(Denial::MoreCards),
        10 => Some(Denial::FirstCard),
        11 => Some(Denial::Locked),
        12 => Some(Denial::Interlock),
        13 => Some(Denial::Count),
        15 => Some(Denial::Schedule),
        18 => Some(Denial::Other),
        _ => None,
    };
    match (kind, reason) {
        (1, _) if granted && denied.is_none() => Happened::Granted,
        (1, _) => Happened::Denied(denied.unwrap_or(Denial::Other)),
        (2, 20) => Happened::Button,
        (2, 23) => Happened::Opened,
        (2, 24) => Happened::Closed,
        (2, 25) => Happened::SuperPassword,
        (2 | 3, 28) => Happened::PowerOn,
        (2, 44 | 45) => Happened::Remote,
        (3, 34) => Happened::Duress,
        (3, 37) => Happened::HeldOpen,
        (3, 38) => Happened::Forced,
        (3, 39) => Happened::Fire,
        (3, 40) => Happened::ForceLock,
        (3, 41) => Happened::Tamper,
        (3, 43) => Happened::Emergency,
        (_, other) => Happened::Other(other),
    }
}
