//! CJ/T 188: water, gas and heat meters on RS-485 or M-Bus wires, editions 2004 and 2018.
//!
//! Sources: *CJ/T 188-2004*, *CJ/T 188-2018*. What the standard leaves open, or makers do their own
//! way, is a switch of the profile ([`Dialect`]): the byte order of identifiers, whether the reply
//! repeats the sequence number, which bits of the status word are the valve.
//!
//! | item | what |
//! |---|---|
//! | [`frame`] | bytes to frame and back, the judgement of replies |
//! | [`data`] | the layouts of replies, units, status |
//! | [`read`], [`read_address`], [`valve`] | exchanges over a [`crate::line::Line`] |
//! | [`decode_frame`] | a captured frame, explained |

pub mod data;
mod decode;
pub mod frame;
mod master;
#[cfg(test)]
mod tests;

pub use data::{Field, StatusMap, ValveState};
pub use decode::decode_frame;
pub use frame::{Address, DiOrder, Dialect, Frame};
pub use master::{is_refusal, read, read_address, valve};
