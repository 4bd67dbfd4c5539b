//! What every part of blockgate speaks of: quantities and units, time, typed ids, registers and
//! observations. No money, no IO, no floats (invariant 9).
//!
//! | module | what |
//! |---|---|
//! | [`decimal`] | the one strict parser and printer of decimal numbers |
//! | [`mod@unit`] | the closed list of units |
//! | [`time`] | points in time (UTC, milliseconds), spans, the state of the clock |
//! | [`id`] | typed ids: meter, line, account, item, … |
//! | [`register`] | what a device's register means: name, unit, role |
//! | [`observation`] | what one poll of one meter brought, good or bad |
//! | [`act`] | what changes a meter, and what it says of itself afterwards |
//! | [`plate`] | a number plate, masked wherever it is printed |
//! | [`passage`] | what a camera saw at a lane |
//! | [`spelled`] | the texts of numbers, days and times without an allocation |
//! | [`strict`] | the reader of strict TOML: every fault at its line and column |
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::wildcard_enum_match_arm
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod act;
pub mod decimal;
pub mod frozen;
pub mod id;
pub mod observation;
pub mod passage;
pub mod plate;
pub mod register;
pub mod spelled;
pub mod strict;
pub mod time;
pub mod unit;

pub use act::{Act, ActResult, Control, MeterState, RelayTo, ValveTo};
pub use decimal::{Decimal, parse_decimal};
pub use frozen::Frozen;
pub use id::{
    AccountId, ActionId, AlarmId, AreaId, BillId, CameraId, CommandId, ControllerId, DoorId,
    GrantId, GroupId, IdError, ItemId, LaneId, LineId, MeterId, PermitId, PersonId, ScanId,
    ScheduleId, StayId, TariffId,
};
pub use observation::{FaultClass, Observation, ReadFault, Values};
pub use passage::{Passage, PlateColour, PlateRead};
pub use plate::{Plate, PlateError};
pub use register::{RegisterName, RegisterSpec, Role};
pub use time::{ClockState, Span, Time, TimeError};
pub use unit::Unit;
