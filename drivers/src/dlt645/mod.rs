//! DL/T 645: electricity meters on RS-485, editions 2007 and 1997.
//!
//! Sources: *DL/T 645-2007* with its supplement of 2014-07 (control code 1C), *DL/T 645-1997*.
//!
//! | item | what |
//! |---|---|
//! | [`frame`] | bytes to frame and back, the judgement of replies |
//! | [`data`] | what a data identifier (DI) means, and how its bytes are written |
//! | [`order`] | relay, clock and write requests; what the meter's state says about the relay |
//! | [`read`], [`read_address`], [`relay`] | exchanges over a [`crate::line::Line`] |
//! | [`decode_frame`] | a captured frame, explained |
//!
//! An acknowledgement is not the effect: [`relay`] reads the state back.

pub mod data;
mod decode;
pub mod frame;
mod master;
pub mod order;
#[cfg(test)]
mod tests;

pub use decode::decode_frame;
pub use frame::{Address, Edition, Frame};
pub use master::{
    RelayReport, is_no_such_data, is_refusal, order_relay, read, read_address, relay, send_clock,
    write,
};
