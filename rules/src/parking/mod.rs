//! Parking: what a stay costs, who may come and go, and what the barrier is told.
//!
//! | module | what |
//! |---|---|
//! | [`plan`] | a parking tariff as data: every switch of a board's small print |
//! | `parse` | `[[parking]]` in rule files, every fault at its place |
//! | `walk` | the minutes of a stay, one after the other, put into blocks: the meaning of a tariff |
//! | [`price`] | a stay's minutes, and what they cost under caps and free time |
//! | [`setup`] | areas, lanes, permits, as the config wants them |
//! | [`event`] | what happens, as the journal keeps it |
//! | [`state`] | who is inside: the fold of the events |
//! | [`judge`] | what a passage means, what is due, what the barrier is told |
//! | [`near`] | plates that a camera may have taken for one another |
//! | [`lines`] | a price as the lines of a bill, as a diagram, and a whole input document |
//! | [`board`] | the printed board, made from the rule, so that both cannot disagree |

pub mod board;
pub mod event;
pub mod judge;
pub mod lines;
pub mod lists;
pub mod near;
pub(crate) mod parse;
pub mod plan;
pub mod price;
pub mod setup;
pub mod state;
pub(crate) mod walk;

#[cfg(test)]
mod tests;

pub use event::Parking;
pub use judge::{Decision, ParkingView};
pub use parse::minute as minute_of_day;
pub use plan::{ParkingRevision, ParkingTariff, Plan};
