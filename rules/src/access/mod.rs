//! Doors: who may pass where and when, what the controllers are to be told, and what happened.
//!
//! | module | what |
//! |---|---|
//! | [`setup`] | controllers, doors, groups, schedules, as the config wants them |
//! | [`people`] | people and their credentials: in the gateway only, never in the journal |
//! | [`event`] | what happens, as the journal keeps it |
//! | [`heard`] | what the gateway tells |
//! | [`state`] | the fold of the events: cursors, grants, revocations, how doors are held |
//! | [`profile`] | schedules as the time profiles of a controller |
//! | [`mod@desired`] | the list that each controller is to have |
//! | [`mod@diff`] | what has to be pushed so that it has it |
//! | [`pass`] | whether a credential opens a door now, where the gateway is the controller |
//!
//! # What must never happen
//! 1. A door never opens because of what a controller says; only an order opens it, once. Where the
//!    gateway is the controller (readers, plates at a lane), only a credential of the list does.
//! 2. An entry of a controller's memory is journaled once, and none is passed over in silence.
//! 3. A household's own entrance is not taken away for arrears unless a rule says so and a named person
//!    confirmed that very rule.
//! 4. The way out does not depend on a right: a door whose way out runs over the controller is never
//!    locked down, and fire opens.

pub mod desired;
pub mod diff;
pub mod event;
pub mod heard;
pub mod pass;
pub mod people;
pub mod profile;
pub mod setup;
pub mod state;
#[cfg(test)]
mod tests;

pub use desired::{List, Right, Row, desired};
pub use diff::{Push, diff};
pub use event::Access;
pub use heard::Heard;
pub use people::{People, Person};
pub use setup::AccessSetup;
pub use state::AccessState;
