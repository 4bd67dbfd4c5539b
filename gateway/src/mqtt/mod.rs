//! The way to the cloud: MQTT 5 over TLS. What waits in the outbox is published at QoS 1 and stays
//! there until the cloud's own receipt; commands come in and are answered.
//!
//! | module | what |
//! |---|---|
//! | [`topics`] | the topic tree below `blockgate/v1/{tenant}/{gateway}/` |
//! | [`wire`] | receipts, commands, responses, state and live values as JSON |
//! | [`authority`] | who may order what |
//! | [`pace`] | how long to wait between two attempts |
//! | [`trouble`] | why there is no connection: a closed list with a stable word each |
//!
//! This module must never decide about money, never log a payload, and never lean on QoS 2, on
//! retained messages or on a broker's session: what the broker forgets is sent again from the outbox.

pub mod authority;
mod backfill;
pub mod client;
mod commands;
pub(crate) mod faults;
mod flight;
pub mod pace;
mod pin;
mod post;
mod session;
pub mod tls;
pub mod topics;
pub mod trouble;
pub(crate) mod v311;
mod watched;
pub mod wire;
