//! The slave side: simulated meters on simulated lines, with scripted faults.
//!
//! It is written apart from the master's codec: its own CRC, its own frames, its own encoders, so
//! that an error made twice does not hide. The profiles' vectors and captured frames contradict it
//! where it is wrong. It must never use the `frame` modules of the protocols or the decoder of `profile::format`.
//!
//! | item | what |
//! |---|---|
//! | [`SimMeter`] | one unit: a profile's register image, filled by a [`Source`] |
//! | [`SimLine`] | a wire with many units; serves any byte stream, silent for absent units |
//! | [`Fault`], [`When`] | what goes wrong, and when |
//! | [`SimConnect`] | the `Connect` port whose targets are simulated lines |
//! | [`SimCamera`], [`SimBarrier`] | a camera that pushes, repeats and replays; a barrier with an arm |
//! | [`door`] | a door controller with cards, time profiles and an event memory |
//! | [`SimTerminal`] | a Hikvision access terminal with people, plans and an event memory |
//! | [`serve_udp`] | a simulated controller behind a UDP socket |
//! | [`serve_tcp`] | a simulated line behind a TCP listener |

mod barrier;
mod connect;
pub mod door;
mod encode;
mod fault;
mod line;
mod meter;
mod serial;
mod terminal;

pub use barrier::{KEPT_MAX, RESENDS, Reaction, SimBarrier, SimCamera, SimPush, SimVendor};
pub use connect::{SimConnect, serve_tcp, serve_udp};
pub use fault::{Fault, When};
pub use line::{Pace, SimClock, SimLine};
pub use meter::{SharedRegisters, SimMeter, Source};
pub use terminal::SimTerminal;
