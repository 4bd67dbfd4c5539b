//! Leaks and oddities: found early, explained, and few enough to be believed.
//!
//! The detectors are folds of the journaled readings ([`watch`]): streaming, bounded per meter, in
//! whole numbers, and configured by effective-dated rules ([`rule`], read by [`parse`]). What one finds
//! becomes an alarm at the next tick; an alarm never changes money (statement C11).
//!
//! | module | what |
//! |---|---|
//! | [`rule`], [`parse`], [`scope`] | the rules as data, their file, which meter is watched by which |
//! | [`watch`] | the state of all detectors, and what they found |
//! | [`flow`] | flow that never stops |
//! | [`night`] | the least flow of the night against the nights before |
//! | [`still`] | registers that stand still or run backwards |
//! | [`balance`] | master less sub-meters, by CUSUM |
//! | [`usual`] | hours and days of the week, by median and MAD; a building's three days |
//! | [`months`] | the same month of the year before; a household's three months |
//! | [`lasting`] | a vehicle, a barrier, a door: states that last too long |
//! | [`payments`] | payments that look like a mistake |
//! | [`check`] | the device check that an alarm orders |
//! | [`budget`] | how many alarms there were per 100 households and month |
//! | [`care`], [`text`] | what is done about an alarm; what it says |

pub mod balance;
pub mod budget;
pub mod care;
pub mod check;
pub mod flow;
pub mod lasting;
pub mod micro;
pub mod months;
pub mod night;
pub mod parse;
pub mod payments;
pub mod rule;
pub mod scope;
pub mod still;
pub mod text;
pub mod usual;
pub mod watch;
