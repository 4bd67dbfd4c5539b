//! Bytes on wires, and what they mean: lines, codecs, device profiles, and the slave side.
//!
//! This crate knows bytes, frames and devices. It must never know money, MQTT or the disk, and it
//! never reads a clock other than tokio's. Everything that comes from a wire is untrusted: nothing
//! in here panics on bytes.
//!
//! | module | what |
//! |---|---|
//! | [`transport`] | what a line can be connected to, and the port that connects it |
//! | [`mod@line`] | the wire: silence, drain, timeout, quarantine, hex trace. The only IO of the crate |
//! | [`modbus`] | Modbus RTU and MBAP frames, the judgement of replies, a decoder for people |
//! | [`dlt645`] | DL/T 645-2007 and -1997 frames and data: electricity |
//! | [`cjt188`] | CJ/T 188-2004 and -2018: water, gas, heat |
//! | [`mbus`] | M-Bus: EN 13757-2 link layer, EN 13757-3 data |
//! | [`barrier`] | cameras that read plates, barriers, LED and voice boards |
//! | [`door`] | door access controllers and readers: UHPPOTE, OSDP, Hikvision |
//! | [`decoded`] | a captured frame, explained to a person |
//! | [`profile`] | device knowledge as data: registers, scales, units, test vectors |
//! | [`act`] | relay, valve and clock: one order, and the state read back |
//! | [`meter`] | one meter read whole: values, or the one fault that prevented them |
//! | [`frozen`] | what a meter kept of its own past: daily freezes, settlements |
//! | [`scan`] | finding the meters of a line whose settings nobody knows |
//! | `sim` (feature `sim`) | the slave side with scripted faults, written apart from the master's codec |
//!
//! # Invariants
//! 1. No value is ever attributed to another register, unit or time than the one it answers: a line
//!    is used again only after a complete good exchange or after a quarantine, or for others than a device
//!    that was given up early ([`mod@line`]).
//! 2. A reading is whole: one fault in one block makes the whole poll a fault ([`meter`]).
//! 3. No bytes from a wire panic this crate.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::as_conversions
    )
)]

pub mod act;
pub mod address;
pub mod barrier;
pub mod bcd;
pub mod cjt188;
pub mod damage;
pub mod decoded;
pub mod dlt645;
pub mod door;
pub mod frozen;
pub mod hex;
pub mod line;
pub mod mbus;
pub mod measure;
pub mod meter;
pub mod modbus;
pub mod profile;
pub mod scan;
#[cfg(feature = "sim")]
pub mod sim;
mod stream;
pub mod transport;

pub use address::{Address, Protocol};
pub use decoded::Decoded;
pub use frozen::test_read_frozen;
pub use line::{AnswerTimes, Exchange, Framing, Line, LineSettings};
pub use meter::{RawExchange, TestRead, poll_meter, read_meter, test_read};
pub use profile::{Profile, ProfileErrors, devices_markdown};
pub use transport::{Connect, Parity, Stream, SystemConnect, Target, Transport};
