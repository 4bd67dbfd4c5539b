//! What goes wrong on a simulated line, and when.

use blockgate_types::{Decimal, Time};
use std::time::Duration;

/// One thing that goes wrong with a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing comes.
    Silent,
    /// The reply comes so much later; the line serves other requests meanwhile.
    Late(Duration),
    /// One bit of the data is flipped after the CRC was made. Over MBAP, which has no CRC, the
    /// header's protocol id is damaged instead.
    Garbled,
    /// The reply bears this unit id, with a right CRC.
    WrongUnit(u8),
    /// The reply is of the other register function, with a right CRC.
    WrongFunction,
    /// One register less than asked, with a right byte count and CRC.
    TooFewRegisters,
    /// One register more than asked, with a right byte count and CRC.
    TooManyRegisters,
    /// The byte count says one more than there are data; the CRC is right.
    WrongByteCount,
    /// Every register reads "not a number": NaN, or digits that are none.
    NaN,
    /// An exception with this code.
    Exception(u8),
    /// The adaptor echoes the request before the reply.
    Echo,
    /// The first half of the reply, and then nothing.
    Half,
    /// The reply twice, glued.
    Twice,
    /// The reply in pieces of so many bytes, with a pause between two.
    Split {
        /// Bytes of a piece.
        bytes: usize,
        /// Pause between two pieces.
        pause: Duration,
    },
    /// These bytes in front of the reply.
    Prefix(Vec<u8>),
    /// These bytes behind the reply.
    Suffix(Vec<u8>),
    /// The reply to the request before this one (any unit) comes instead.
    Previous,
    /// Over MBAP: the reply bears the transaction id of the request before. On RTU as `Previous`.
    StaleTransaction,
    /// Billing registers read lower by this: a meter that was exchanged or ran backwards.
    LowerValue(Decimal),
    /// A relay or valve order is acknowledged, and nothing moves.
    Stuck,
    /// The connection is closed in place of a reply.
    Close,
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At every request.
    Always,
    /// At one request to this unit, counted from 1.
    Request(u64),
    /// At the requests from the first to the last, both included.
    Requests(u64, u64),
    /// At every n-th request.
    Every(u64),
    /// From the first time until before the second, on the simulated clock.
    Between(Time, Time),
}

impl When {
    /// Whether it applies to the `count`-th request at `now`.
    #[must_use]
    pub fn applies(self, count: u64, now: Time) -> bool {
        match self {
            Self::Always => true,
            Self::Request(n) => count == n,
            Self::Requests(first, last) => (first..=last).contains(&count),
            Self::Every(n) => n != 0 && count.is_multiple_of(n),
            Self::Between(from, until) => from <= now && now < until,
        }
    }
}
