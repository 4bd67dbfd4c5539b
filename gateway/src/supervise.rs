//! Tasks that have an owner: they start in a [`Group`], an unexpected end is noticed, they stop in
//! the order in which data flows, and systemd's watchdog is fed only while work goes on.
//!
//! It must never restart a task inside the process: a task that failed leaves state behind that
//! nobody has checked. The process ends, the unit starts it again, and the journal's replay heals
//! (invariant 2). Every time limit here is from [`crate::limits`] (invariant 10).

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

/// A task that ended although nobody had asked it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its group: `lines`.
    pub group: &'static str,
    /// The task: a line's id, `engine`.
    pub task: String,
    /// Its error or panic, one sentence; empty when it simply returned.
    pub why: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { group, task, why } = self;
        if why.is_empty() {
            write!(f, "{group}: task {task} ended by itself")
        } else {
            write!(f, "{group}: task {task} failed: {why}")
        }
    }
}

impl std::error::Error for Failure {}

/// The owner of all groups; knows the first failure.
#[derive(Debug, Clone)]
pub struct Supervisor {
    failed: watch::Sender<Option<Failure>>,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self { failed: watch::channel(None).0 }
    }
}

impl Supervisor {
    /// Without any group yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A new, empty group.
    #[must_use]
    pub fn group(&self, name: &'static str) -> Group {
        Group {
            name,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            failed: self.failed.clone(),
        }
    }

    /// Waits for the first failure in any group. Never returns while all goes well.
    pub async fn failed(&self) -> Failure {
        let mut failed = self.failed.subscribe();
        loop {
            let found = failed.borrow_and_update().clone();
            if let Some(failure) = found {
                return failure;
            }
            if failed.changed().await.is_err() {
                // Not reachable while `self` holds a sender; waiting is the honest answer.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Tasks that stop together: one token to ask them, one tracker to wait for them.
#[derive(Debug, Clone)]
pub struct Group {
    name: &'static str,
    stop: CancellationToken,
    tasks: TaskTracker,
    failed: watch::Sender<Option<Failure>>,
}

impl Group {
    /// The token that asks this group's tasks to end.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task on the present runtime. It must return `Ok` soon after [`Self::stopping`] is
    /// cancelled; an error, a panic or a return before that is a [`Failure`].
    pub fn spawn<F, E>(&self, task: impl Into<String>, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        self.spawn_on(&Handle::current(), task, work);
    }

    /// Like [`Self::spawn`], on another runtime (the doors have their own).
    pub fn spawn_on<F, E>(&self, runtime: &Handle, task: impl Into<String>, work: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        let (group, task, stop) = (self.name, task.into(), self.stop.clone());
        let failed = self.failed.clone();
        let running = runtime.spawn(work);
        // The watching task is the tracked one: it ends after the work, and outlives its panic.
        self.tasks.spawn_on(
            async move {
                let why = match running.await {
                    Ok(Ok(())) if stop.is_cancelled() => return,
                    Ok(Ok(())) => String::new(),
                    // With its causes, where it has some: which file, which error of the system.
                    Ok(Err(error)) => format!("{error:#}"),
                    Err(join) if join.is_panic() => panic_text(join.into_panic().as_ref()),
                    Err(_) => return, // its runtime is gone, and so is everybody who could care
                };
                let failure = Failure { group, task, why };
                error!(group, "{failure}");
                failed.send_if_modified(|first| {
                    let is_first = first.is_none();
                    first.get_or_insert(failure);
                    is_first
                });
            },
            runtime,
        );
    }

    /// Asks all tasks to end and waits for them, at most `grace`. False when some still run; the
    /// stop goes on without them.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        let ended = timeout(grace, self.tasks.wait()).await.is_ok();
        if ended {
            debug!(group = self.name, "stopped");
        } else {
            let running = self.tasks.len();
            warn!(group = self.name, running, ?grace, "still running; going on without it");
        }
        ended
    }
}

/// What a panic said.
fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let said = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("panic: {}", said.unwrap_or_else(|| "without a text".to_owned()))
}

/// Stops groups one after another, along the flow of data: the doors take no more requests, each
/// line ends the exchange on its wire, the engine makes durable what it holds, the outbox tells.
/// False when some group was left running. The graces together stay below the unit's
/// `TimeoutStopSec`.
pub async fn stop_in_order(groups: &[(&Group, Duration)]) -> bool {
    let mut all = true;
    for (group, grace) in groups {
        all &= group.stop(*grace).await;
    }
    all
}

/// Tells systemd that the start is over. Without systemd this and its neighbours do nothing.
pub fn notify_ready(status: &str) {
    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(status)]);
}

/// Shows one line in `systemctl status`.
pub fn notify_status(status: &str) {
    notify(&[sd_notify::NotifyState::Status(status)]);
}

/// Tells systemd that the configuration is being read again; [`notify_ready`] must follow.
pub fn notify_reloading() {
    match sd_notify::NotifyState::monotonic_usec_now() {
        // systemd 253 and later ends a unit whose RELOADING=1 comes without the time.
        Ok(now) => notify(&[sd_notify::NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "no monotonic time: the reload is not announced"),
    }
}

/// Tells systemd that the stop has begun.
pub fn notify_stopping() {
    notify(&[sd_notify::NotifyState::Stopping]);
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd was not told");
    }
}

/// Feeds systemd's watchdog when the unit has one, until `stop`. Returns at once without one.
pub async fn feed_systemd(watchdog: Watchdog, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    info!(?limit, "watchdog");
    watchdog.run(limit, stop, || notify(&[sd_notify::NotifyState::Watchdog])).await;
}

/// One part's sign of life. Cheap to clone and to call.
///
/// A part calls [`Self::moved`] whenever a piece of work begins or ends, and says with
/// [`Self::idle`] or [`Self::idle_until`] that it now waits for work. Who works and does not move,
/// or oversleeps, is stuck.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Part>);

#[derive(Debug)]
struct Part {
    name: String,
    moves: AtomicU64,
    idle: Mutex<Idle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Idle {
    /// At work.
    No,
    /// Waits for work until this instant.
    Until(Instant),
    /// Waits for work that may never come.
    Open,
}

impl Part {
    /// A poisoned lock only means that a caller panicked; the value is set whole.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    /// A piece of work begins or ends.
    pub fn moved(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
        *self.0.idle() = Idle::No;
    }

    /// Nothing to do before `at`. The instant is of the runtime on which the watchdog runs.
    pub fn idle_until(&self, at: Instant) {
        *self.0.idle() = Idle::Until(at);
    }

    /// Nothing to do until somebody asks.
    pub fn idle(&self) {
        *self.0.idle() = Idle::Open;
    }
}

/// Looks whether every named part still moves.
#[derive(Debug, Default)]
pub struct Watchdog {
    parts: Vec<(Arc<Part>, u64)>,
}

impl Watchdog {
    /// Without any part yet: always content.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a part: `engine`, `store`, a line's id. It counts as at work from now on.
    pub fn part(&mut self, name: impl Into<String>) -> Progress {
        let part = Arc::new(Part {
            name: name.into(),
            moves: AtomicU64::new(1), // the first look finds it moved: it has just been made
            idle: Mutex::new(Idle::No),
        });
        self.parts.push((Arc::clone(&part), 0));
        Progress(part)
    }

    /// The parts that have not moved since the last look and are not idle.
    pub fn stuck(&mut self, now: Instant) -> Vec<String> {
        let mut stuck = Vec::new();
        for (part, seen) in &mut self.parts {
            let moves = part.moves.load(Ordering::Relaxed);
            let moved = std::mem::replace(seen, moves) != moves;
            let idle = match *part.idle() {
                Idle::No => false,
                Idle::Until(at) => now <= at,
                Idle::Open => true,
            };
            if !moved && !idle {
                stuck.push(part.name.clone());
            }
        }
        stuck
    }

    /// Looks four times within `limit` and calls `feed` each time when nothing is stuck, until
    /// `stop`. So a part may work for half the limit without a move and is not punished for it.
    pub async fn run(mut self, limit: Duration, stop: CancellationToken, mut feed: impl FnMut()) {
        let every = (limit / 4).max(Duration::from_millis(1));
        let mut looks = interval_at(Instant::now() + every, every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! { biased;
                () = stop.cancelled() => return,
                now = looks.tick() => {
                    let stuck = self.stuck(now);
                    if stuck.is_empty() {
                        feed();
                    } else {
                        error!(?stuck, ?limit, "no progress; the watchdog is not fed");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fed(watchdog: Watchdog, limit: Duration, stop: &CancellationToken) -> Arc<AtomicU64> {
        let count = Arc::new(AtomicU64::new(0));
        let (seen, stop) = (Arc::clone(&count), stop.clone());
        tokio::spawn(watchdog.run(limit, stop, move || {
            seen.fetch_add(1, Ordering::Relaxed);
        }));
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_moves_keeps_the_watchdog_fed_and_one_that_hangs_starves_it() {
        let mut watchdog = Watchdog::new();
        let (engine, store) = (watchdog.part("engine"), watchdog.part("store"));
        let count = fed(watchdog, 4 * SECOND, &CancellationToken::new());
        for _ in 0..10 {
            engine.moved();
            store.moved();
            tokio::time::advance(SECOND).await;
            tokio::task::yield_now().await;
        }
        let before = count.load(Ordering::Relaxed);
        assert!(before >= 9, "fed {before} times in ten looks");
        store.moved();
        for _ in 0..10 {
            engine.moved(); // the store hangs
            tokio::time::advance(SECOND).await;
            tokio::task::yield_now().await;
        }
        let after = count.load(Ordering::Relaxed);
        assert!(after <= before + 2, "fed {after} times although the store hung");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_part_is_not_stuck_until_it_oversleeps() {
        let mut watchdog = Watchdog::new();
        let line = watchdog.part("line-a");
        let start = Instant::now();
        assert!(watchdog.stuck(start).is_empty(), "it has just been made");
        line.idle_until(start + 60 * SECOND);
        assert!(watchdog.stuck(start + 60 * SECOND).is_empty(), "it sleeps as it said");
        assert_eq!(watchdog.stuck(start + 61 * SECOND), ["line-a"], "it overslept");
        line.moved();
        assert!(watchdog.stuck(start + 62 * SECOND).is_empty(), "it woke up");
        assert_eq!(watchdog.stuck(start + 63 * SECOND), ["line-a"], "work takes too long");
        line.idle();
        assert!(watchdog.stuck(start + 9_999 * SECOND).is_empty(), "nobody asks it for anything");
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_ends_with_its_token() {
        let stop = CancellationToken::new();
        let running = tokio::spawn(Watchdog::new().run(4 * SECOND, stop.clone(), || {}));
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn groups_stop_in_order_and_each_finishes_its_work_first() {
        let supervisor = Supervisor::new();
        let (doors, engine) = (supervisor.group("doors"), supervisor.group("engine"));
        let (tell, mut told) = tokio::sync::mpsc::channel(8);
        for (group, name, work) in [(&doors, "doors", 3 * SECOND), (&engine, "engine", SECOND)] {
            let (stop, tell) = (group.stopping(), tell.clone());
            group.spawn(name, async move {
                stop.cancelled().await;
                tokio::time::sleep(work).await;
                tell.send(name).await.map_err(|e| e.to_string())
            });
        }
        drop(tell);
        assert!(stop_in_order(&[(&doors, 5 * SECOND), (&engine, 5 * SECOND)]).await);
        assert_eq!((told.recv().await, told.recv().await), (Some("doors"), Some("engine")));
        assert_eq!(told.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_left_after_its_grace() {
        let group = Supervisor::new().group("lines");
        group.spawn("deaf", std::future::pending::<Result<(), String>>());
        let before = Instant::now();
        assert!(!group.stop(2 * SECOND).await);
        assert_eq!(before.elapsed(), 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_a_panic_and_an_early_end_are_failures_and_the_first_one_counts() {
        type End = fn() -> Result<(), String>;
        let cases: [(&str, End); 3] = [
            ("lines: task t failed: port gone", || Err("port gone".to_owned())),
            ("lines: task t failed: panic: our bug", || panic!("our bug")),
            ("lines: task t ended by itself", || Ok(())),
        ];
        for (want, end) in cases {
            let supervisor = Supervisor::new();
            let group = supervisor.group("lines");
            group.spawn("t", async move { end() });
            assert_eq!(supervisor.failed().await.to_string(), want);
            group.spawn("later", async { Err::<(), _>("another") });
            group.stop(SECOND).await;
            assert_eq!(supervisor.failed().await.to_string(), want, "the first one counts");
        }
    }
}
