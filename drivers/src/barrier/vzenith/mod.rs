//! Vzenith 臻识 and 芊熠 R-series, and the many that copy them (ALPHADIGI).
//!
//! The camera is the HTTP client: it pushes, and the answer opens. It knows no authentication, so the
//! gateway wants its serial number and a token in the address. `[C]` marks what stands in no document
//! that we have.

pub mod board;
pub mod push;
pub mod reply;
pub mod tcp;
