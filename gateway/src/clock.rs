//! The system's clock, and whether the kernel believes in it.

use crate::ports::{Clock, Discipline};
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
        if kernel().is_some_and(|kernel| kernel.synced) {
            self.was_synced.store(true, Ordering::Relaxed);
            ClockState::Synced
        } else if self.was_synced.load(Ordering::Relaxed) {
            ClockState::Holdover
        } else {
            ClockState::Unsynced
        }
    }

    fn discipline(&self) -> Option<Discipline> {
        let kernel = kernel()?;
        let source = SOURCES.iter().find(|(path, _)| std::path::Path::new(path).exists());
        Some(Discipline {
            source: source.map(|(_, name)| *name),
            offset_us: kernel.offset_us,
            error_us: kernel.error_us,
        })
    }
}

/// What a program that sets the clock leaves while it runs.
const SOURCES: [(&str, &str); 4] = [
    ("/run/chrony", "chrony"),
    ("/run/systemd/timesync", "systemd-timesyncd"),
    ("/run/ntpd.pid", "ntpd"),
    ("/run/ntpsec", "ntpsec"),
];

/// What the kernel says of its clock.
struct Kernel {
    synced: bool,
    offset_us: i64,
    error_us: i64,
}

/// Whether chrony, systemd-timesyncd or another has told the kernel that its clock is right
/// (adjtimex(2): the state is not `TIME_ERROR` and `STA_UNSYNC` is not set); `None` where the kernel does
/// not let itself be asked.
#[allow(unsafe_code)]
#[allow(clippy::useless_conversion, reason = "a long has 32 bits on some of our targets")]
fn kernel() -> Option<Kernel> {
    // SAFETY: `timex` is a plain C structure for which all zeros is a valid value, and with `modes`
    // zero `adjtimex` only reads the kernel's state into it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    // The offset counts in nanoseconds where the status says so.
    let unit = if timex.status & libc::STA_NANO == 0 { 1 } else { 1000 };
    (state >= 0).then(|| Kernel {
        synced: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        offset_us: i64::from(timex.offset) / unit,
        error_us: i64::from(timex.maxerror),
    })
}
