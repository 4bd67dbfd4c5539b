//! Doors: controllers polled, their lists kept in step, doors opened by order.
//!
//! | module | what |
//! |---|---|
//! | [`worker`] | the task of one controller: what is the same for all kinds |
//! | [`lists`] | the list that each controller is to have, made anew when something changed |
//! | `uhppote` | UHPPOTE controllers: state, memory read back without a hole, list, orders |
//! | `hikvision` | Hikvision terminals, likewise |
//! | `osdp` | OSDP readers: the gateway is their controller and decides |
//! | `listener` | datagrams that controllers push, as a hint to ask them |
//! | `words` | the drivers' words in the rules' words, and back |
//!
//! # What is durable when
//!
//! The cursor of a controller's memory is the journal's: an entry is read again until the journal has
//! it, and passed over after that. An order to a door is an intent in the journal before anything is
//! sent, and is sent once. A list needs no memory: after a start it is read back from the controller
//! and compared.

mod hikvision;
pub mod listener;
pub mod lists;
mod osdp;
mod uhppote;
mod words;
pub mod worker;

use crate::board::Board;
use crate::config::doors::{ControllerConfig, DoorsConfig};
use crate::limits;
use blockgate_drivers::door::Refused;
use blockgate_rules::access::event::{DoorAct, Entry, Hold};
use blockgate_rules::access::pass::{self, Verdict};
use blockgate_rules::access::{AccessSetup, AccessState, Push};
use blockgate_rules::setup::{AccountSetup, Setup};
use blockgate_types::{AccountId, ControllerId, DoorId, LaneId, PersonId, Plate, Time};
use jiff::tz::TimeZone;
use lists::Lists;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, mpsc, watch};

/// A controller as it was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ControllerBoard {
    /// The last good answer.
    pub heard: Option<Time>,
    /// Why there is none now.
    pub trouble: Option<String>,
    /// Firmware, as `0892`.
    pub version: Option<String>,
    /// Up to where its memory was read since the start.
    pub index: Option<u64>,
    /// The newest entry that it has.
    pub newest: u64,
    /// Its clock minus ours, in milliseconds.
    pub clock_off_ms: Option<i64>,
    /// Whether its list was read back since the start.
    pub read_back: bool,
    /// Cards that it has, as far as is known.
    pub cards: usize,
    /// What is still to be pushed.
    pub pending: Pending,
    /// Changes that it took since the start.
    pub pushed: u64,
    /// Changes that it did not take, and the last one's reason.
    pub refused_pushes: u64,
    /// The last change that it did not take.
    pub last_refused: Option<String>,
    /// Packets that were refused.
    pub refused: Refused,
    /// Doors that stand open, by number.
    pub open: BTreeMap<u8, Time>,
    /// Doors whose lock is released, by number.
    pub unlocked: Vec<u8>,
    /// Its fire input.
    pub fire: bool,
    /// Readers of which the gateway is the controller.
    pub readers: Vec<ReaderBoard>,
}

/// A reader as it was last seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReaderBoard {
    /// Its address on the wire.
    pub address: u8,
    /// The number of its door.
    pub door: u8,
    /// Whether it answers.
    pub online: bool,
    /// Whether what it says is secured.
    pub secure: bool,
    /// Its key is not ours, or ours cannot be read.
    pub wrong_key: bool,
    /// Why it does not answer.
    pub trouble: Option<String>,
    /// Its housing is open.
    pub tamper: bool,
    /// Its power is low.
    pub power: bool,
}

/// What is still to be pushed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Doors that are to be held otherwise.
    pub doors: usize,
    /// Cards to take out.
    pub deletes: usize,
    /// Time profiles.
    pub profiles: usize,
    /// Cards to add or change.
    pub puts: usize,
    /// Anti-passback.
    pub others: usize,
}

impl Pending {
    /// What a list of changes makes pending.
    #[must_use]
    pub fn of(pushes: &[Push]) -> Self {
        let mut pending = Self::default();
        for push in pushes {
            *pending.place(push) += 1;
        }
        pending
    }

    /// One of them was taken.
    pub fn took(&mut self, push: &Push) {
        let place = self.place(push);
        *place = place.saturating_sub(1);
    }

    fn place(&mut self, push: &Push) -> &mut usize {
        match push {
            Push::Door(..) => &mut self.doors,
            Push::Delete(_) => &mut self.deletes,
            Push::Profile(..) => &mut self.profiles,
            Push::Put(..) => &mut self.puts,
            Push::AntiPassback(_) => &mut self.others,
        }
    }

    /// All of it.
    #[must_use]
    pub fn all(&self) -> usize {
        self.doors + self.deletes + self.profiles + self.puts + self.others
    }
}

/// An entry of a controller's memory, as the page shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Which controller.
    pub controller: ControllerId,
    /// The entry.
    pub entry: Entry,
}

/// What all doors share.
pub struct Doors {
    config: DoorsConfig,
    setup: Option<Arc<AccessSetup>>,
    accounts: BTreeMap<AccountId, AccountSetup>,
    zone: String,
    board: Arc<Board>,
    state: RwLock<Arc<AccessState>>,
    lists: Mutex<Lists>,
    acts: BTreeMap<ControllerId, mpsc::Sender<DoorAct>>,
    hints: BTreeMap<ControllerId, Arc<Notify>>,
    /// Datagrams to the listener that were no controller's.
    strangers: AtomicU64,
    boards: Mutex<BTreeMap<ControllerId, ControllerBoard>>,
    owners: BTreeMap<u64, PersonId>,
    entries: Mutex<VecDeque<Shown>>,
    /// Moves when the state changed: workers look again.
    pub changed: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a controller's task gets.
pub type End = (ControllerId, ControllerConfig, mpsc::Receiver<DoorAct>, Arc<Notify>);

impl Doors {
    /// The doors of a config, and the ends for their tasks.
    #[must_use]
    pub fn new(config: DoorsConfig, setup: &Setup, board: &Arc<Board>) -> (Arc<Self>, Vec<End>) {
        let (mut acts, mut ends) = (BTreeMap::new(), Vec::new());
        let mut hints = BTreeMap::new();
        for (id, controller) in &config.controllers {
            let (act, receiver) = mpsc::channel(limits::DOOR_ACTS_MAX);
            acts.insert(id.clone(), act);
            let hint = Arc::new(Notify::new());
            hints.insert(id.clone(), hint.clone());
            ends.push((id.clone(), controller.clone(), receiver, hint));
        }
        let people = config.people.iter();
        let owners =
            people.flat_map(|(id, person)| person.cards.iter().map(|card| (*card, id.clone())));
        let owners = owners.collect();
        let doors = Self {
            owners,
            config,
            setup: setup.access.clone(),
            accounts: setup.accounts.clone(),
            zone: setup.zone.clone(),
            board: board.clone(),
            state: RwLock::default(),
            lists: Mutex::default(),
            acts,
            hints,
            strangers: AtomicU64::new(0),
            boards: Mutex::default(),
            entries: Mutex::default(),
            changed: watch::channel(0).0,
        };
        (Arc::new(doors), ends)
    }

    /// A block without doors.
    #[must_use]
    pub fn none() -> Arc<Self> {
        Self::new(DoorsConfig::default(), &Setup::default(), &Arc::default()).0
    }

    /// The config.
    #[must_use]
    pub fn config(&self) -> &DoorsConfig {
        &self.config
    }

    /// Controllers, doors and groups; none in a block without.
    #[must_use]
    pub fn setup(&self) -> Option<&Arc<AccessSetup>> {
        self.setup.as_ref()
    }

    /// The state as of a batch that has become durable.
    pub fn publish(&self, state: Arc<AccessState>) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.send_modify(|turn| *turn = turn.wrapping_add(1));
    }

    /// The state as it was last durable.
    #[must_use]
    pub fn state(&self) -> Arc<AccessState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The lists that the controllers are to have at a time.
    #[must_use]
    pub fn lists(&self, now: Time) -> Arc<lists::Made> {
        let Some(setup) = &self.setup else { return Arc::default() };
        let state = self.state();
        let question = lists::Question {
            setup,
            people: &self.config.people,
            state: &state,
            accounts: &self.accounts,
            zone: &self.zone,
            board: &self.board,
        };
        lock(&self.lists).at(&question, now)
    }

    /// Hands a durable act to its controller's task.
    ///
    /// # Errors
    /// The act, when its door has no controller or too many wait.
    pub fn act(&self, act: DoorAct) -> Result<(), Box<DoorAct>> {
        let door = self.setup.as_ref().and_then(|setup| setup.doors.get(&act.door));
        let Some(sender) = door.and_then(|door| self.acts.get(&door.controller)) else {
            return Err(Box::new(act));
        };
        sender.try_send(act).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(act) | mpsc::error::TrySendError::Closed(act) => {
                Box::new(act)
            }
        })
    }

    /// The controllers as they were last seen, locked.
    pub fn boards(&self) -> MutexGuard<'_, BTreeMap<ControllerId, ControllerBoard>> {
        lock(&self.boards)
    }

    /// The door that a plate opens at a lane now: its holder may pass there, and the door is held
    /// neither open nor locked. `known`: whether the clock was ever set.
    #[must_use]
    pub fn opened_by(
        &self,
        lane: &LaneId,
        plate: &Plate,
        now: Time,
        known: bool,
    ) -> Option<DoorId> {
        let setup = self.setup.as_ref()?;
        let mut at_lane = setup.doors.iter().filter(|(_, door)| door.lane.as_ref() == Some(lane));
        let (id, door) = at_lane.next()?;
        let zone = TimeZone::get(&self.zone).ok()?;
        let moment = known.then(|| words::wall(now, &zone));
        let lists = self.lists(now);
        let list = lists.get(&door.controller)?;
        let held = self.state().hold_of(id, now) != Hold::Normal;
        let opens = pass::plate(list, plate, door.number, moment) == Verdict::Opens;
        (opens && !held).then(|| id.clone())
    }

    /// Somebody says that a controller has news: it is asked soon. Never more than a hint.
    pub fn hint(&self, controller: &ControllerId) {
        if let Some(hint) = self.hints.get(controller) {
            hint.notify_one();
        }
    }

    /// A datagram to the listener was no controller's.
    pub fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were since the start.
    #[must_use]
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }

    /// Whose a card is, by the config.
    #[must_use]
    pub fn owner(&self, card: u64) -> Option<&PersonId> {
        self.owners.get(&card)
    }

    /// Shows durable entries of a controller's memory.
    pub fn show(&self, controller: &ControllerId, entries: &[Entry]) {
        let mut shown = lock(&self.entries);
        for entry in entries {
            if shown.len() >= limits::DOOR_ENTRIES_SHOWN {
                shown.pop_front();
            }
            shown.push_back(Shown { controller: controller.clone(), entry: entry.clone() });
        }
    }

    /// The newest entries, the newest first.
    #[must_use]
    pub fn newest(&self, most: usize, wanted: impl Fn(&Shown) -> bool) -> Vec<Shown> {
        let shown = lock(&self.entries);
        shown.iter().rev().filter(|shown| wanted(shown)).take(most).cloned().collect()
    }
}
