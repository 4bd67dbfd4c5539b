//! Modbus: RTU on serial lines, RTU inside TCP, and Modbus TCP (MBAP).
//!
//! Sources: *Modbus Application Protocol V1.1b3* (PDU, exceptions, quantities), *Modbus over Serial
//! Line V1.02* (RTU frame, CRC, silences), *Modbus Messaging on TCP/IP V1.0b* (MBAP).
//!
//! The frames and the judgement of replies are ours ([`frame`]), because a reply must be checked
//! against its request before anyone sees a number: unit, function, byte count, CRC or transaction
//! id. tokio-modbus compares the byte count by a debug assertion only, and on RTU it returns a late
//! reply as the answer to the next request (`tests/late_reply.rs` shows it). Its public types serve
//! where they are safe: the PDU decoder for other functions than reads, and the exception codes.
//!
//! This module must never do IO; [`read_registers`] goes through [`crate::line::Line`].

pub mod decode;
pub mod frame;
mod master;
pub mod pdu;

pub use decode::{Context, decode_frame};
pub use master::{read_pipelined, read_registers};
pub use pdu::{Ask, Function, ReadRequest, exception_text};
