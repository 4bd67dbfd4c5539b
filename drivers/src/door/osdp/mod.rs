//! OSDP v2 (IEC 60839-11-5): readers on RS-485, the gateway as control panel, with secure channel.
//!
//! ```text
//! [FF] 53 addr len16le ctrl [scb] code data.. [mac4] crc16le|sum
//! ```
//!
//! `ctrl`: bits 0-1 the sequence number (0 begins anew, then 1, 2, 3, 1 …), bit 2 a CRC instead of a
//! sum, bit 3 a security block. A reader answers a repeated number with its last answer again and does
//! nothing twice.
//!
//! | module | what |
//! |---|---|
//! | [`frame`] | bytes of a message, and their check |
//! | [`secure`] | keys, cryptograms, MACs and encryption of the secure channel |
//! | [`panel`] | the control panel: one reader on one wire |
//! | [`decode`] | a captured message, explained |

pub mod decode;
pub mod frame;
pub mod panel;
pub mod secure;
#[cfg(test)]
mod tests;

pub use decode::decode_frame;
pub use frame::{BadFrame, Frame};
pub use panel::{Event, Fault, Output, Panel, card_number, facility_number};
pub use secure::{DEFAULT_KEY, Key};

/// Commands of a control panel.
pub mod command {
    /// Anything new?
    pub const POLL: u8 = 0x60;
    /// Who are you?
    pub const ID: u8 = 0x61;
    /// What can you do?
    pub const CAP: u8 = 0x62;
    /// State of the housing and the power.
    pub const LSTAT: u8 = 0x64;
    /// State of the inputs.
    pub const ISTAT: u8 = 0x65;
    /// Switch an output.
    pub const OUT: u8 = 0x68;
    /// Light a LED.
    pub const LED: u8 = 0x69;
    /// Sound the buzzer.
    pub const BUZ: u8 = 0x6A;
    /// Begin a secure channel.
    pub const CHLNG: u8 = 0x76;
    /// Go on with it.
    pub const SCRYPT: u8 = 0x77;
}

/// Answers of a reader.
pub mod reply {
    /// Done.
    pub const ACK: u8 = 0x40;
    /// Not done, with a reason.
    pub const NAK: u8 = 0x41;
    /// Who it is.
    pub const PDID: u8 = 0x45;
    /// What it can do.
    pub const PDCAP: u8 = 0x46;
    /// State of the housing and the power.
    pub const LSTATR: u8 = 0x48;
    /// State of the inputs.
    pub const ISTATR: u8 = 0x49;
    /// State of the outputs.
    pub const OSTATR: u8 = 0x4A;
    /// A card, bit by bit.
    pub const RAW: u8 = 0x50;
    /// Keys that were pressed.
    pub const KEYPAD: u8 = 0x53;
    /// The reader's cryptogram.
    pub const CCRYPT: u8 = 0x76;
    /// The first MAC.
    pub const RMAC_I: u8 = 0x78;
    /// Ask again later.
    pub const BUSY: u8 = 0x79;
}
