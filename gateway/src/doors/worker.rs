//! The task of one controller: what is the same for every kind of them. How each kind is asked stands in
//! a module of its name.

use super::{ControllerBoard, Doors, hikvision, osdp, uhppote, words};
use crate::config::doors::{ControllerConfig, Reach};
use crate::limits;
use crate::ports::Clock;
use blockgate_drivers::transport::Connect;
use blockgate_rules::Input;
use blockgate_rules::access::event::{DoorAct, DoorOutcome};
use blockgate_rules::access::{Heard, List};
use blockgate_rules::anomaly::rule::Lasting;
use blockgate_rules::event::{AlarmCode, Outcome};
use blockgate_types::{ControllerId, DoorId, Span, Time};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An order that its controller could not do in this time is too late: whoever waited is gone.
const TOO_LATE: Span = Span::from_secs(20);
/// A controller's clock that is off by more is set.
pub(super) const CLOCK_OFF: Span = Span::from_secs(5);
/// After an absence of this length the list is read back again.
pub(super) const AWAY: Span = Span::from_mins(10);
/// Each list is read back this often, whatever is known.
pub(super) const READ_BACK_EVERY: Span = Span::from_hours(24);
/// What is pending for longer is an alarm.
const BEHIND_AFTER: Span = Span::from_mins(10);

/// The task of one controller.
pub struct Worker {
    /// Which.
    pub id: ControllerId,
    /// How it is reached.
    pub config: ControllerConfig,
    /// What all doors share.
    pub doors: Arc<Doors>,
    /// The way to it.
    pub connect: Arc<dyn Connect>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The engine.
    pub hand: mpsc::Sender<Input>,
    /// What it is to do.
    pub acts: mpsc::Receiver<DoorAct>,
    /// Somebody says that it has news.
    pub hint: Arc<Notify>,
}

/// Why a step ended early.
pub(super) enum Failed {
    /// The controller does not answer, with why.
    Away(String),
    /// The engine has ended.
    Over,
}

pub(super) type Step<T> = Result<T, Failed>;

/// When a task goes on after a step.
pub(super) enum Next {
    /// There is more to do.
    AtOnce,
    /// At this moment, within the rate of its pushes.
    At(Instant),
    /// At its next poll.
    Idle,
}

/// What a task does next.
pub(super) enum Turn {
    /// Carries an order out.
    Act(DoorAct),
    /// Looks at its controller.
    Look,
    /// Nothing more.
    Over,
}

/// When the task of a controller looks at it.
pub(super) struct Pace {
    wake: Instant,
    /// How long one is left alone that did not answer: longer and longer.
    pause: Duration,
    poll_every: Duration,
    changed: watch::Receiver<u64>,
}

impl Pace {
    /// A step has been made.
    pub(super) fn after(&mut self, next: &Next) {
        self.pause = limits::CONTROLLER_AWAY_MIN;
        self.wake = match next {
            Next::AtOnce => Instant::now(),
            Next::At(at) => *at,
            Next::Idle => Instant::now() + self.poll_every,
        };
    }

    /// The controller did not answer.
    pub(super) fn away(&mut self) {
        self.pause = (self.pause * 2).min(limits::CONTROLLER_AWAY_MAX);
        self.wake = Instant::now() + self.pause.max(self.poll_every);
    }
}

/// What is remembered about a controller for its alarms.
pub(super) struct Watch {
    /// When it was begun.
    pub(super) began: Time,
    /// The last good answer.
    pub(super) last_good: Option<Time>,
    behind_since: Option<Time>,
    refused_seen: u64,
    refused_at: Option<Time>,
    told: BTreeMap<(AlarmCode, String), bool>,
}

impl Watch {
    pub(super) fn new(began: Time) -> Self {
        Self {
            began,
            last_good: None,
            behind_since: None,
            refused_seen: 0,
            refused_at: None,
            told: BTreeMap::new(),
        }
    }
}

impl Worker {
    /// Works until told to stop.
    pub async fn run(self, zone: &str, stop: CancellationToken) {
        let Some(setup) = self.doors.setup().cloned() else { return };
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let mut changed = self.doors.changed.subscribe();
        // The first state is published when the engine has taken the config in.
        tokio::select! { biased;
            () = stop.cancelled() => return,
            published = changed.wait_for(|turn| *turn > 0) => if published.is_err() { return },
        }
        drop(changed);
        match self.config.reach.clone() {
            Reach::Uhppote { serial, host, port } => {
                let task = uhppote::task::Task::new(self, serial, host, port);
                task.run(setup, zone, stop).await;
            }
            Reach::Hikvision { target, user, password_file } => {
                let task = hikvision::Task::new(self, target, user, password_file);
                task.run(setup, zone, stop).await;
            }
            Reach::Osdp { target, readers, duress_pin } => {
                let task = osdp::Task::new(self, target, readers, duress_pin, setup, zone);
                task.run(stop).await;
            }
        }
    }

    /// The pace of its task, which begins with a look.
    pub(super) fn pace(&self) -> Pace {
        Pace {
            wake: Instant::now(),
            pause: limits::CONTROLLER_AWAY_MIN,
            poll_every: self.config.poll_every.into(),
            changed: self.doors.changed.subscribe(),
        }
    }

    /// Waits for what its task does next. A change, which may be how a door is held, and a hint, which is
    /// asked about and never believed, bring the next look nearer; many of them no nearer than one.
    pub(super) async fn turn(&mut self, pace: &mut Pace, stop: &CancellationToken) -> Turn {
        loop {
            tokio::select! { biased;
                () = stop.cancelled() => return Turn::Over,
                act = self.acts.recv() => return act.map_or(Turn::Over, Turn::Act),
                () = tokio::time::sleep_until(pace.wake) => return Turn::Look,
                () = self.hint.notified() => {}
                _ = pace.changed.changed() => {}
            }
            pace.wake = pace.wake.min(Instant::now() + limits::DOORS_LOOK_AFTER);
        }
    }

    /// Whether the next change of a list may be pushed, after the pause that its rate asks for: whoever
    /// waits at a door does not wait for a list, nor does the next look at `until`.
    pub(super) async fn may_push(&self, next_push: Instant, until: Instant) -> bool {
        if next_push > Instant::now() {
            if next_push > until {
                return false;
            }
            tokio::time::sleep_until(next_push).await;
        }
        self.acts.is_empty() && Instant::now() < until
    }

    /// The pause between two pushes.
    pub(super) fn push_gap(&self) -> Duration {
        Duration::from_secs(1) / self.config.push_per_second.max(1)
    }

    /// Changes what people see of it.
    pub(super) fn board(&self, change: impl FnOnce(&mut ControllerBoard)) {
        change(self.doors.boards().entry(self.id.clone()).or_default());
    }

    /// The list that it is to have.
    pub(super) fn wanted(&self) -> Arc<List> {
        self.doors.lists(self.clock.now()).get(&self.id).cloned().unwrap_or_default()
    }

    pub(super) async fn tell(&self, heard: Heard) -> Step<()> {
        self.hand.send(Input::Door(Box::new(heard))).await.map_err(|_| Failed::Over)
    }

    /// Since when a door stands open; none when it is closed again.
    pub(super) async fn lasts(&self, door: &DoorId, since: Option<Time>, now: Time) -> Step<()> {
        let (what, subject) = (Lasting::DoorOpen, format!("door/{door}"));
        let input = Input::Lasting { now, what, subject, since };
        self.hand.send(input).await.map_err(|_| Failed::Over)
    }

    /// Its doors by number, with their ids.
    pub(super) fn door(&self, number: u8) -> Option<DoorId> {
        words::door_of(self.doors.setup()?, &self.id, number)
    }

    /// What came of an order: exactly once each.
    pub(super) async fn report(&self, act: DoorAct, outcome: Outcome, detail: String) -> Step<()> {
        if outcome != Outcome::Done {
            tracing::error!(controller = %self.id, action = %act.action, why = %detail,
                "a door did not do what it was told");
        }
        let (action, door, at) = (act.action, act.door, self.clock.now());
        self.tell(Heard::Acted(DoorOutcome { action, door, at, outcome, detail })).await
    }

    /// Whether an order came too late: whoever waited is gone.
    pub(super) fn is_late(&self, act: &DoorAct) -> bool {
        self.clock.now().since(act.at).is_some_and(|span| span > TOO_LATE)
    }

    /// Alarms about the controller itself, told when they change.
    pub(super) async fn judge(&self, watch: &mut Watch) -> Step<()> {
        let now = self.clock.now();
        let silent = now.since(watch.last_good.unwrap_or(watch.began));
        let offline = silent.is_some_and(|span| span > self.config.offline_after);
        let trouble = {
            let boards = self.doors.boards();
            boards.get(&self.id).and_then(|board| board.trouble.clone())
        };
        let subject = format!("controller/{}", self.id);
        self.condition(watch, AlarmCode::ControllerOffline, &subject, offline, trouble).await?;
        self.judge_list(watch, offline).await
    }

    /// Alarms about what is pending and about packets that were refused.
    pub(super) async fn judge_list(&self, watch: &mut Watch, offline: bool) -> Step<()> {
        let now = self.clock.now();
        let subject = format!("controller/{}", self.id);
        let (pending, refused, last) = {
            let boards = self.doors.boards();
            let board = boards.get(&self.id);
            let all = board.map_or(0, |board| board.pending.all());
            let refused = board.map_or(0, |board| board.refused.all());
            (all, refused, board.and_then(|board| board.last_refused.clone()))
        };
        let waits = pending > 0 && !offline;
        watch.behind_since = watch.behind_since.filter(|_| waits).or(waits.then_some(now));
        let behind = watch
            .behind_since
            .and_then(|since| now.since(since))
            .is_some_and(|span| span > BEHIND_AFTER);
        self.condition(watch, AlarmCode::ControllerBehind, &subject, behind, last).await?;

        if refused > watch.refused_seen {
            (watch.refused_seen, watch.refused_at) = (refused, Some(now));
        }
        let fresh = |at: Time| now.since(at).is_none_or(|span| span <= limits::REPLAY_ALARM);
        let strange = watch.refused_at.is_some_and(fresh);
        self.condition(watch, AlarmCode::ControllerPackets, &subject, strange, None).await
    }

    /// Raises or clears an alarm, once for each change.
    pub(super) async fn condition(
        &self,
        watch: &mut Watch,
        code: AlarmCode,
        subject: &str,
        active: bool,
        why: Option<String>,
    ) -> Step<()> {
        let key = (code, subject.to_owned());
        if watch.told.get(&key) == Some(&active) {
            return Ok(());
        }
        watch.told.insert(key, active);
        let why = why.filter(|_| active);
        let facts = why.map(|why| BTreeMap::from([("why".to_owned(), why)])).unwrap_or_default();
        let (now, subject) = (self.clock.now(), subject.to_owned());
        let input = Input::Condition { now, code, subject, active, facts };
        self.hand.send(input).await.map_err(|_| Failed::Over)
    }
}
