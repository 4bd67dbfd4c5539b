//! The system's clock, and whether the kernel believes in it.

use crate::ports::Clock;
use blockgate_types::{ClockState, Time};
use std::sync::atomic::{AtomicBool, Ordering};

/// The wall clock of this machine.
#[derive(Debug)]
pub struct SystemClock {
    trusted: bool,
    was_synced: AtomicBool,
}

impl SystemClock {
    /// `trusted`: the clock is right, whatever the kernel says (`[clock] trust = "always"`).
    #[must_use]
    pub fn new(trusted: bool) -> Self {
        Self { trusted, was_synced: AtomicBool::new(false) }
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the port")]
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let ms = since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        Time::from_millis(ms)
    }

    fn state(&self) -> ClockState {
        if self.trusted {
            return ClockState::Synced;
        }
        if kernel_synced() {
            self.was_synced.store(true, Ordering::Relaxed);
            ClockState::Synced
        } else if self.was_synced.load(Ordering::Relaxed) {
            ClockState::Holdover
        } else {
            ClockState::Unsynced
        }
    }
}

/// Whether chrony, systemd-timesyncd or another has told the kernel that its clock is right
/// (adjtimex(2): the state is not `TIME_ERROR` and `STA_UNSYNC` is not set).
#[allow(unsafe_code)]
fn kernel_synced() -> bool {
    // SAFETY: `timex` is a plain C structure for which all zeros is a valid value, and with `modes`
    // zero `adjtimex` only reads the kernel's state into it.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    state >= 0 && state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0
}
