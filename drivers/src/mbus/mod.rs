//! M-Bus: meters on a two-wire bus, EN 13757-2 (link layer) and EN 13757-3 (data).
//!
//! | item | what |
//! |---|---|
//! | [`frame`] | bytes to frame and back: acknowledgement, short, long; addresses; judgement of replies |
//! | [`data`] | a telegram's header and records: DIF, DIFE, VIF, VIFE, values |
//! | [`vif`] | what a VIF means: quantity, unit, power of ten |
//! | [`read`] | a whole readout over a [`crate::line::Line`], all telegrams of it |
//! | [`decode_frame`] | a captured frame, explained |
//!
//! The record decoder is ours and driven by tables: what a bill depends on must say "no value" where
//! the meter does (invalid dates, error codes in digits), and must never stop in the middle of a
//! telegram without saying so.

pub mod data;
mod decode;
pub mod frame;
mod master;
#[cfg(test)]
mod tests;
pub mod vif;

pub use data::{Function, Header, Record, Telegram, Value, parse};
pub use decode::decode_frame;
pub use frame::{Address, Frame, Secondary};
pub use master::{read, select};
