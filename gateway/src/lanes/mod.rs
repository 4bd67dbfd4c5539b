//! Lanes: what cameras push and barriers ask, answered from memory, and barriers that open.
//!
//! | module | what |
//! |---|---|
//! | [`advice`] | what a barrier is told: open, pay, deny, ask, with why and how much |
//! | [`push`] | a camera's push: read, decided, durable, answered |
//! | [`asks`] | what barriers asked and were answered, gathered for the journal |
//! | [`gate`] | the task of one lane's barrier: act, read the arm's position back, report |
//! | [`parking`] | the rules' picture of the car park as an [`advice`] |
//! | [`client`] | requests to devices: HTTP with Digest, Vzenith's TCP channel |
//!
//! # How the disk is kept off the answer (invariant 1)
//!
//! An answer from memory carries no event: it is read from the state of parking as of the last
//! *durable* batch, which [`Lanes::publish`] shows after the batch's fsync. What makes it `open` (a
//! pass, a payment, an entry within its free time) was durable before. That the question was asked is
//! journaled a moment later, those alike in one row. A camera's push is different: it makes the
//! passage, and the camera forgets it when answered. So its answer waits for the fsync, and the
//! barrier's opening is a durable intent before anything moves.
//!
//! When the disk does not take a batch for [`limits::DISK_TROUBLE_AFTER`], each lane works by its
//! `fail_safe`, with an alarm.

pub mod advice;
pub mod asks;
pub mod client;
pub mod gate;
pub mod parking;
pub mod push;

use crate::board::Count;
use crate::config::lanes::{BarrierConfig, CameraConfig, FailSafe, LanesConfig};
use crate::limits;
use advice::{Advice, Advise, Decision, NoParking};
use asks::Asks;
use blockgate_drivers::barrier::Position;
use blockgate_rules::Input;
use blockgate_rules::gate::Opening;
use blockgate_types::{CameraId, CommandId, LaneId, Passage, Plate, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// A vehicle that a camera reported, on its way to the engine.
#[derive(Debug)]
pub struct Crossing {
    /// What was seen.
    pub passage: Passage,
    /// Where the decision goes, once it is durable.
    pub reply: oneshot::Sender<Crossed>,
}

/// What became of a [`Crossing`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    /// What the lane is told.
    pub advice: Advice,
    /// The opening that was decided with it: intended, durable, to be carried out.
    pub opening: Option<Opening>,
}

/// A durable opening for the task of its barrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What was decided.
    pub opening: Opening,
    /// The command that waits for its outcome.
    pub command: Option<CommandId>,
    /// The answer to a push carries it out; only the arm is watched.
    pub answered: bool,
}

/// A camera as it was last heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraBoard {
    /// The last push or heartbeat.
    pub heard: Option<Time>,
    /// Cars that it reported since the start.
    pub cars: u64,
    /// Repetitions among them.
    pub repeated: u64,
    /// Pushes that could not be read.
    pub bad: u64,
    /// Its clock minus ours at the last push, in milliseconds.
    pub clock_off_ms: Option<i64>,
}

/// A barrier as it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BarrierBoard {
    /// The last opening and what came of it.
    pub last: Option<(Time, String)>,
    /// Openings that were done, and those that were not, since the start.
    pub opened: u64,
    /// Those that failed or are unknown.
    pub failed: u64,
}

/// What lanes share.
pub struct Lanes {
    config: LanesConfig,
    view: RwLock<Arc<dyn Advise>>,
    crossings: mpsc::Sender<Crossing>,
    hand: mpsc::Sender<Input>,
    acts: BTreeMap<LaneId, mpsc::Sender<Act>>,
    positions: BTreeMap<LaneId, watch::Sender<Position>>,
    turns: BTreeMap<CameraId, tokio::sync::Mutex<push::Recent>>,
    cameras: Mutex<BTreeMap<CameraId, CameraBoard>>,
    barriers: Mutex<BTreeMap<LaneId, BarrierBoard>>,
    /// Since when a batch is on its way to the disk.
    committing: Mutex<Option<Instant>>,
    /// Recorded requests of devices that came again: holder and last time.
    replays: Mutex<BTreeMap<String, Time>>,
    /// What barriers asked.
    pub asks: Asks,
    /// Passages that were decided since the start.
    pub passages: Count,
}

/// The ends that others hold.
pub struct Ends {
    /// For the engine.
    pub crossings: mpsc::Receiver<Crossing>,
    /// For each barrier's task.
    pub acts: Vec<(LaneId, BarrierConfig, mpsc::Receiver<Act>, watch::Receiver<Position>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    /// The lanes of a config, and the ends for engine and barriers.
    #[must_use]
    pub fn new(config: LanesConfig, hand: mpsc::Sender<Input>) -> (Arc<Self>, Ends) {
        let (crossing, crossings) = mpsc::channel(limits::CROSSINGS_MAX);
        let (mut acts, mut ends, mut positions) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        for (lane, barrier) in &config.barriers {
            let (act, receiver) = mpsc::channel(limits::ACTS_MAX);
            let (position, seen) = watch::channel(Position::Unknown);
            acts.insert(lane.clone(), act);
            positions.insert(lane.clone(), position);
            ends.push((lane.clone(), barrier.clone(), receiver, seen));
        }
        let turns = config.cameras.keys().map(|id| (id.clone(), tokio::sync::Mutex::default()));
        let lanes = Self {
            turns: turns.collect(),
            config,
            view: RwLock::new(Arc::new(NoParking)),
            crossings: crossing,
            hand,
            acts,
            positions,
            cameras: Mutex::default(),
            barriers: Mutex::default(),
            committing: Mutex::default(),
            replays: Mutex::default(),
            asks: Asks::default(),
            passages: Count::default(),
        };
        (Arc::new(lanes), Ends { crossings, acts: ends })
    }

    /// A block without lanes.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Self::new(LanesConfig::default(), mpsc::channel(1).0).0
    }

    /// The config.
    #[must_use]
    pub fn config(&self) -> &LanesConfig {
        &self.config
    }

    /// A camera of the config.
    #[must_use]
    pub fn camera(&self, id: &CameraId) -> Option<&CameraConfig> {
        self.config.cameras.get(id)
    }

    /// Shows the state of parking as of a batch that has become durable.
    pub fn publish(&self, view: Arc<dyn Advise>) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// The state of parking as it was last durable.
    #[must_use]
    pub fn view(&self) -> Arc<dyn Advise> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that a batch goes to the disk, or that none does.
    pub fn committing(&self, is: bool) {
        let mut since = lock(&self.committing);
        *since = if is { since.or_else(|| Some(Instant::now())) } else { None };
    }

    /// Whether the disk has not taken what was decided for too long.
    #[must_use]
    pub fn disk_in_trouble(&self) -> bool {
        lock(&self.committing).is_some_and(|since| since.elapsed() > limits::DISK_TROUBLE_AFTER)
    }

    /// What a lane does while the disk is in trouble; asks for a person where nothing is set.
    #[must_use]
    pub fn fail_safe(&self, lane: &LaneId) -> FailSafe {
        self.config.barriers.get(lane).map_or(FailSafe::Ask, |barrier| barrier.fail_safe)
    }

    /// What a barrier that asks is told, from memory. Nothing waits here.
    #[must_use]
    pub fn advise(
        &self,
        lane: &LaneId,
        plate: Option<&Plate>,
        ticket: Option<&str>,
        at: Time,
    ) -> Advice {
        if self.disk_in_trouble() {
            return Advice::fail_safe(self.fail_safe(lane));
        }
        self.view().advise(lane, plate, ticket, at)
    }

    /// Hands a durable opening to its barrier's task.
    ///
    /// # Errors
    /// The act, when the lane has no barrier or too many wait.
    pub fn act(&self, act: Act) -> Result<(), Box<Act>> {
        let Some(sender) = self.acts.get(&act.opening.lane) else { return Err(Box::new(act)) };
        sender.try_send(act).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(act) | mpsc::error::TrySendError::Closed(act) => {
                Box::new(act)
            }
        })
    }

    /// Shows where an arm is.
    pub fn arm(&self, lane: &LaneId, position: Position) {
        if let Some(sender) = self.positions.get(lane) {
            sender.send_replace(position);
        }
    }

    /// Where an arm was last seen.
    #[must_use]
    pub fn position(&self, lane: &LaneId) -> Position {
        self.positions.get(lane).map_or(Position::Unknown, |sender| *sender.borrow())
    }

    /// The cameras as they were last heard, locked.
    pub fn cameras(&self) -> MutexGuard<'_, BTreeMap<CameraId, CameraBoard>> {
        lock(&self.cameras)
    }

    /// The barriers as they were last seen, locked.
    pub fn barriers(&self) -> MutexGuard<'_, BTreeMap<LaneId, BarrierBoard>> {
        lock(&self.barriers)
    }

    /// Notes that somebody replays a device's recorded request.
    pub fn replayed(&self, holder: &str, now: Time) {
        lock(&self.replays).insert(holder.to_owned(), now);
    }

    /// Holders whose requests were replayed, and when last.
    #[must_use]
    pub fn replays(&self) -> BTreeMap<String, Time> {
        lock(&self.replays).clone()
    }

    /// Cameras that are silent for longer than they may be; `began`: since when we listen.
    #[must_use]
    pub fn silent(&self, now: Time, began: Time) -> BTreeMap<CameraId, bool> {
        let cameras = self.cameras();
        let silent = self.config.cameras.iter().filter_map(|(id, config)| {
            let heard = cameras.get(id).and_then(|camera| camera.heard).unwrap_or(began);
            let after = config.offline_after?;
            Some((id.clone(), now.since(heard.max(began)).is_some_and(|span| span > after)))
        });
        silent.collect()
    }
}

impl Advice {
    /// What a lane is told while the disk is in trouble.
    #[must_use]
    pub fn fail_safe(policy: FailSafe) -> Self {
        let (decision, zh, en) = match policy {
            FailSafe::Open => (Decision::Open, "请通行", "please pass"),
            FailSafe::Ask => (Decision::Ask, "请联系值班人员", "please call the attendant"),
            FailSafe::Hold => (Decision::Deny, "请稍候", "please wait"),
        };
        Self { source: "fail-safe", ..Self::plain(decision, "fail-safe", zh, en) }
    }
}
