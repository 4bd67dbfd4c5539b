//! The gateway daemon: wiring of lines, engine, store, outbox, MQTT and the local page. How a frame
//! is made is known to `blockgate-drivers`, how a price is made to `blockgate-rules`; this crate
//! knows neither.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | the config file, with every error at its line and column |
//! | [`limits`] | every bound in one place (invariant 10) |
//! | [`ports`] | clock, lines: the only ways to the real world (invariant 11) |
//! | [`board`] | what is live: last values, faults, connection states; shared with page and metrics |
//! | [`store`] | journal (truth), sled trees (derived), checkpoint, rebuild |
//! | [`outbox`] | what waits for the cloud until its receipt |
//! | [`http`] | the local API, the event stream, metrics and the page |
//! | [`problem`] | the one list of errors, in both languages |
//! | [`mqtt`] | topics, wire form, client |
//! | [`demo`] | a whole simulated block on this machine |

pub mod board;
pub mod command;
pub mod config;
pub mod demo;
pub mod http;
pub mod limits;
pub mod mqtt;
pub mod outbox;
pub mod ports;
pub mod problem;
pub mod store;
pub mod supervise;
pub mod telemetry;
