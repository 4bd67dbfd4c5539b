//! The demo's clock: a wall time that runs with the field runtime's paused tokio time, and a pacer
//! that holds it to a multiple of real time.

use crate::ports::Clock;
use blockgate_drivers::sim::SimClock;
use blockgate_types::{ClockState, Span, Time};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

/// The wall clock of a simulated block. The field thread's tokio time drives it; the other threads,
/// which live in real time, see what it last showed.
#[derive(Debug)]
pub struct DemoClock {
    field: ThreadId,
    inner: SimClock,
    shown: AtomicI64,
}

impl DemoClock {
    /// A clock that shows `start` now. To be made on the field thread, inside its runtime.
    #[must_use]
    pub fn starting_at(start: Time) -> Self {
        Self {
            field: std::thread::current().id(),
            inner: SimClock::starting_at(start),
            shown: AtomicI64::new(start.as_millis()),
        }
    }

    /// The same clock for the simulated meters.
    #[must_use]
    pub fn for_meters(&self) -> SimClock {
        self.inner
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Time {
        if std::thread::current().id() == self.field {
            let now = self.inner.now();
            self.shown.store(now.as_millis(), Ordering::Relaxed);
            return now;
        }
        Time::from_millis(self.shown.load(Ordering::Relaxed))
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// Holds paused time to `speed` times real time from `from` on, for ever: blocks the field thread,
/// which has nothing else to do, for a few milliseconds at a time.
pub async fn pace(clock: &DemoClock, from: Time, speed: u32) {
    const BEAT: Duration = Duration::from_millis(20);
    let wait = from.since(clock.now()).unwrap_or(Span::ZERO);
    tokio::time::sleep(wait.into()).await;
    loop {
        tokio::time::sleep(BEAT * speed).await;
        real_pause(BEAT);
    }
}

#[allow(clippy::disallowed_methods, reason = "paused time is held to real time by a real pause")]
fn real_pause(pause: Duration) {
    std::thread::sleep(pause);
}

/// Real time, for the person who waits.
#[derive(Debug)]
pub struct RealTime(std::time::Instant);

impl RealTime {
    #[allow(clippy::disallowed_methods, reason = "tokio's time is paused here")]
    /// Begins to count.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Whole seconds since.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.0.elapsed().as_secs()
    }
}
