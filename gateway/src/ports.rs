//! The ways to the real world: the clock and the lines (invariant 11). Everything else in this
//! crate asks these; `demo` and the simulation bring their own.
//!
//! The lines' port is [`Connect`], defined beside its user in `blockgate-drivers`.

use blockgate_types::{ClockState, Time};

/// Wall time and how far it can be believed. Durations are never taken from here but from
/// `tokio::time::Instant`, which stands still when the simulation does.
pub trait Clock: Send + Sync {
    /// Wall time now.
    fn now(&self) -> Time;
    /// Whether it can be believed.
    fn state(&self) -> ClockState;
}
