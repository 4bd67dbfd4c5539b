//! The pure middle of blockgate: [`Block`] *decides* events from inputs and *applies* them to its
//! state. Nothing here waits, reads a clock, draws a random number, or touches a float; the same
//! inputs always give the same events (invariants 2 and 9).
//!
//! | module | what |
//! |---|---|
//! | [`input`] | what comes in: observations, ticks, the wanted setup, commands, conditions |
//! | [`event`] | what comes out: the journal's schema and, byte for byte, the cloud's |
//! | [`setup`] | meters, accounts and charges as the config wants them |
//! | [`money`] | fen, exact amounts, the one rounding |
//! | [`calendar`] | civil days, billing months and tier years in the block's zone |
//! | [`ledger`] | double entry: what is owed, prepaid, left as a deposit, paid |
//! | [`metering`] | judges readings: accept, rollover, hold for review, exchange |
//! | [`tariff`] | effective-dated prices: rule files, and quantity to lines |
//! | [`apportionment`] | a cost, a loss or an income shared among accounts, exactly |
//! | [`billing`] | charges, the close of a period, bills |
//! | [`rounding_year`] | what is rounded once a year: where a year stands from bill to bill |
//! | [`rulebook`], [`preview`] | rule files by command: checked, tried on past bills, laid over the config |
//! | [`reconcile`] | a channel's statement against the books |
//! | [`settlement`] | the document of a move-out |
//! | [`trail`] | the way of one household's money, posting by posting |
//! | [`late`] | late fees: what unpaid bills cost more, by the terms of their rule |
//! | [`correction`] | what should have been billed minus what was: difference bills |
//! | [`alarm`] | the texts of alarms, and how urgent they are |
//! | [`anomaly`] | leaks and oddities: detectors, their rules, device checks, the alarm budget |
//! | [`parking`] | stays: what they cost, who may come and go |
//! | [`act`] | acts on meters, relay, valve, clock: intent, outcome, a look after a restart |
//! | [`access`] | doors: who may pass, what controllers are to be told |
//! | [`gate`] | barriers as actions: intent, outcome, what was asked |
//! | [`block`] | the state as a whole: decide and apply |
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

#[cfg(all(feature = "canary-fen", not(debug_assertions)))]
compile_error!("a canary is a planted bug for the simulation: no release build takes one");

pub mod access;
pub mod act;
pub mod alarm;
pub mod anomaly;
pub mod apportionment;
pub mod billing;
pub mod block;
pub mod calendar;
pub mod correction;
pub mod event;
pub mod gate;
pub mod input;
pub mod late;
pub mod ledger;
pub mod metering;
pub mod money;
pub mod parking;
pub mod preview;
pub mod reconcile;
pub mod rounding_year;
pub mod rulebook;
pub mod settlement;
pub mod setup;
pub mod tariff;
pub mod trail;

pub use block::Block;
pub use event::Event;
pub use input::Input;
pub use money::Fen;

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text
}
