//! Doors: controllers polled, their lists kept in step, doors opened by order.
//!
//! | module | what |
//! |---|---|
//! | [`worker`] | the task of one controller: state, memory read back without a hole, list, orders |
//! | [`lists`] | the list that each controller is to have, made anew when something changed |
//! | [`uhppote`] | the rules' words as requests of UHPPOTE controllers, and back |
//!
//! # What is durable when
//!
//! The cursor of a controller's memory is the journal's: an entry is read again until the journal has
//! it, and passed over after that. An order to a door is an intent in the journal before anything is
//! sent, and is sent once. A list needs no memory: after a start it is read back from the controller
//! and compared.

pub mod lists;
pub mod uhppote;
pub mod worker;

use crate::board::Board;
use crate::config::doors::{ControllerConfig, DoorsConfig};
use crate::limits;
use blockgate_drivers::door::uhppote::Refused;
use blockgate_rules::access::event::{DoorAct, Entry};
use blockgate_rules::access::{AccessSetup, AccessState};
use blockgate_rules::setup::{AccountSetup, Setup};
use blockgate_types::{AccountId, ControllerId, PersonId, Time};
use lists::Lists;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{mpsc, watch};

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
pub type End = (ControllerId, ControllerConfig, mpsc::Receiver<DoorAct>);

impl Doors {
    /// The doors of a config, and the ends for their tasks.
    #[must_use]
    pub fn new(config: DoorsConfig, setup: &Setup, board: &Arc<Board>) -> (Arc<Self>, Vec<End>) {
        let (mut acts, mut ends) = (BTreeMap::new(), Vec::new());
        for (id, controller) in &config.controllers {
            let (act, receiver) = mpsc::channel(limits::DOOR_ACTS_MAX);
            acts.insert(id.clone(), act);
            ends.push((id.clone(), controller.clone(), receiver));
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
