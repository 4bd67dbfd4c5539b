//! UHPPOTE UT0311-L0x: fixed datagrams of 64 bytes over UDP, port 60000, without any authentication.
//! Whoever reaches the port rules the door: the segment must be its own.
//!
//! ```text
//! 0    1     2..4  4..8          8..64
//! SOM  code  00 00 serial u32le  body, unused bytes 0
//! ```
//!
//! Numbers are little endian, dates and times are BCD. Public knowledge of the protocol:
//! uhppoted/uhppote-core (MIT).
//!
//! | module | what |
//! |---|---|
//! | [`request`] | what a controller is asked and told |
//! | [`reply`] | what it answers |
//! | [`reason`] | its reason numbers in our words |
//! | [`client`] | one question at a time, and what of the answers counts |
//! | [`decode`] | a captured datagram, explained |

pub mod client;
pub mod decode;
pub mod reason;
pub mod reply;
pub mod request;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{Client, NoAnswer};
pub use decode::decode_frame;
pub use reply::{BadReply, Reply, Status, read};
pub use request::{Card, Profile, Request};

/// Bytes of every datagram.
pub const LEN: usize = 64;
/// The port that a controller listens on.
pub const PORT: u16 = 60_000;
/// First byte.
pub const SOM: u8 = 0x17;
/// First byte of events of firmware 6.62.
pub const SOM_662: u8 = 0x19;
/// What commands with lasting consequences carry.
pub(crate) const MAGIC: u32 = 0x55AA_AA55;
/// Doors of the largest controller.
pub const DOORS: usize = 4;
/// The first number that a time profile can have.
pub const PROFILE_FIRST: u8 = 2;
/// The last one.
pub const PROFILE_LAST: u8 = 254;

/// Whether a controller can keep a card of this number.
#[must_use]
pub fn is_card(number: u32) -> bool {
    !matches!(number, 0 | 0xFFFF_FFFF | 0x00FF_FFFF)
}
