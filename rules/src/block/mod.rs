//! The Block: the state of a residential block as the fold of its events.
//!
//! [`Block::decide`] looks and says what happens; [`Block::apply`] alone changes what is known
//! (invariant 2). Beside that the Block keeps a *watch*: what it heard since the start of the
//! process and never wrote down, such as when a meter last answered. The watch is no part of the
//! state: it is not saved, two Blocks are equal whatever their watches hold, and no amount of money
//! depends on it; it only times alarms.

mod access;
mod act;
mod anomaly;
mod apply;
mod clock;
mod command;
mod correct;
mod day;
mod decide;
mod detect;
mod dunning;
mod estimate;
mod gate;
mod late;
mod money;
mod moveout;
mod night;
mod park;
mod period;
mod refund_day;
mod release;
mod replay;
mod rules;
mod share;

use money::GATEWAY;
pub(crate) use period::terms;
pub(crate) use share::{amount_line, share_bill};

use crate::act::Acting;
use crate::anomaly::budget::Budget;
use crate::anomaly::care::Mute;
use crate::anomaly::check::Running;
use crate::anomaly::lasting::States;
use crate::anomaly::payments::Recent;
use crate::anomaly::scope::Plan;
use crate::anomaly::watch::Watcher;
use crate::billing::{ChargeState, Counter, EndedCharge};
use crate::calendar::{Day, Zone, day_text_option};
use crate::event::{Alarm, Bill, Hold, ReadingId};
use crate::gate::Opening;
use crate::input::Input;
use crate::ledger::Ledger;
use crate::metering::{MeterState, RegisterState};
use crate::money::Fen;
use crate::rounding_year::AllYears;
use crate::setup::Setup;
use blockgate_types::{
    AccountId, ActionId, AlarmId, BillId, ClockState, CommandId, Decimal, ItemId, MeterId,
    RegisterName, Span, TariffId, Time,
};
use replay::Seen;
pub use replay::{COMMANDS_SEEN_LEAST, COMMANDS_SEEN_MAX};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Entries of a setup in one event.
pub const SETUP_CHUNK: usize = 100;

/// How soon after a tick the next one can be of use.
const TICK_AGAIN: Span = Span::from_secs(1);

/// How soon after a tick it is of use to look again for closing readings.
const CLOSE_AGAIN: Span = Span::from_secs(10);

/// The Block. Serialised whole as a checkpoint; equal journals give equal Blocks (invariant 2).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "State", into = "State")]
pub struct Block {
    state: State,
    cache: Cache,
    watch: Watch,
}

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.state == other.state
    }
}

impl Eq for Block {}

/// What the events say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct State {
    setup: Setup,
    meters: BTreeMap<MeterId, MeterState>,
    charges: BTreeMap<AccountId, BTreeMap<ItemId, ChargeState>>,
    ended: Vec<EndedCharge>,
    counters: BTreeMap<AccountId, BTreeMap<ItemId, Counter>>,
    /// What is rounded once a year.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rounding_years: AllYears,
    /// First day of the month that closes next; `None` until the first charge began.
    #[serde(with = "day_text_option")]
    open_month: Option<Day>,
    /// Bills of the open month that are out already.
    issued: Issued,
    /// What was billed in the open month of items that costs are shared by.
    used: BTreeMap<AccountId, BTreeMap<ItemId, Used>>,
    /// Shared costs of which not every share is billed yet.
    pending: Vec<Pending>,
    ledger: Ledger,
    /// The day whose money is being counted.
    #[serde(default)]
    day: day::DayBook,
    /// What was given back today.
    #[serde(default, skip_serializing_if = "refund_day::RefundDay::is_empty")]
    refund_day: refund_day::RefundDay,
    /// Estimates that a real reading has put right, until their bills are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    estimates: Vec<Estimate>,
    /// Rule files in force by command, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    applied: BTreeMap<String, crate::rulebook::AppliedRules>,
    /// Who is in the car park; shared with those who answer barriers.
    #[serde(default)]
    parking: std::sync::Arc<crate::parking::state::ParkingState>,
    /// What the events say about doors; shared with those who tell the controllers.
    #[serde(default)]
    access: std::sync::Arc<crate::access::AccessState>,
    /// Bills that were corrected, with the number of the last correction.
    corrected: BTreeMap<BillId, u32>,
    alarms: BTreeMap<AlarmId, Alarm>,
    /// Alarms that are over, the newest last.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    old_alarms: VecDeque<OldAlarm>,
    /// What is muted, whether it is open or not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    mutes: BTreeMap<AlarmId, Mute>,
    /// What the detectors know.
    #[serde(default)]
    anomaly: Watcher,
    /// Payments of late.
    #[serde(default)]
    payments: Recent,
    /// Alarms that the rules raised, by month.
    #[serde(default)]
    budget: Budget,
    commands_seen: Seen,
    commands_open: BTreeMap<CommandId, OpenCommand>,
    /// Barriers that were told to open, until it is known what came of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    openings: BTreeMap<ActionId, Opening>,
    /// Meters that were told something, until it is known what came of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    acts: BTreeMap<ActionId, Acting>,
    /// Acts of unknown outcome whose meters have not said yet how they stand.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    acts_unseen: BTreeMap<ActionId, Acting>,
    /// How many acts there were.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    acts_begun: u64,
    /// Histories that began with a restored backup, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    epochs: Vec<Epoch>,
    /// The record of the newest start: what stands behind it was read by this process.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    started: u64,
}

/// A history that began with a restored backup: its records count on from the backup's last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// The last record of the backup.
    pub after: u64,
    /// Its name.
    pub name: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it in by reference")]
fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

/// An estimate that a real reading has put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Estimate {
    meter: MeterId,
    register: RegisterName,
    reading: ReadingId,
    /// What it should have been.
    #[serde(with = "blockgate_types::decimal::text")]
    value: Decimal,
    /// By which real reading.
    by: ReadingId,
}

/// An alarm that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct OldAlarm(Alarm);

/// Bills of a period whose close has begun.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Issued {
    bills: u64,
    total_fen: Fen,
    /// The close itself has begun: the period was over when one of them was issued.
    #[serde(default)]
    closing: bool,
}

/// A quantity, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Used(#[serde(with = "blockgate_types::decimal::text")] Decimal);

/// The bill of a shared cost, and whose shares are billed already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    bill: Box<Bill>,
    done: BTreeSet<AccountId>,
}

/// A command that was accepted and has no outcome yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OpenCommand {
    name: String,
    actor: String,
    #[serde(default)]
    expires_at: Option<Time>,
}

/// What follows from the state and would be slow to find each time.
#[derive(Debug, Clone, Default)]
struct Cache {
    zone: Option<Zone>,
    /// Tariffs with windows that are charged on a register.
    windows: BTreeMap<(MeterId, RegisterName), BTreeSet<TariffId>>,
    /// When prices change by readings, by register.
    changes: BTreeMap<(MeterId, RegisterName), Vec<Time>>,
    /// Items whose billed use is a weight.
    used_items: BTreeSet<ItemId>,
    /// Which meter is watched by which anomaly rule, once somebody asked.
    plan: std::sync::OnceLock<Plan>,
    /// What is on the stored-value cards of the car park, by account; shared with those who answer
    /// barriers.
    cards: std::sync::Arc<BTreeMap<AccountId, Fen>>,
}

/// What was heard since the start of the process and is no part of the state.
#[derive(Debug, Clone, Default)]
struct Watch {
    /// Silence counts from here at the earliest: after a start or a step of the clock every meter
    /// has its whole time to answer.
    grace_from: Option<Time>,
    /// When each meter last answered well.
    heard: BTreeMap<MeterId, Time>,
    last_tick: Option<Time>,
    highest_tick: Option<Time>,
    clock: Option<ClockState>,
    /// A lower bound of the next silence that can raise an alarm; `None` when it must be found anew.
    silence_due: Option<Time>,
    /// The day whose notices are all out.
    told: Option<Day>,
    /// The morning whose statements of the car park are all out.
    stated: Option<Day>,
    /// States that may last too long.
    states: States,
    /// Device checks that run.
    checks: Vec<Running>,
}

impl From<State> for Block {
    fn from(state: State) -> Self {
        let mut block = Self { state, cache: Cache::default(), watch: Watch::default() };
        block.cache.zone = Zone::new(&block.state.setup.zone).ok();
        block.find_window_users();
        block.find_used_items();
        block.find_plan();
        block.find_cards();
        block
    }
}

impl From<Block> for State {
    fn from(block: Block) -> Self {
        block.state
    }
}

/// Where a register of a meter stands, for the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterView {
    /// The last accepted reading.
    pub reading: ReadingId,
    /// Its value.
    pub value: Decimal,
    /// When.
    pub at: Time,
    /// The value that is held for review, since when and why.
    pub held: Option<(Decimal, Time, Hold)>,
}

impl Block {
    /// An empty Block, before any event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The setup as applied.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.state.setup
    }

    /// The accounts of the ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.state.ledger
    }

    /// Histories that began with a restored backup, the oldest first.
    #[must_use]
    pub fn epochs(&self) -> &[Epoch] {
        &self.state.epochs
    }

    /// Open alarms by id.
    #[must_use]
    pub fn alarms(&self) -> &BTreeMap<AlarmId, Alarm> {
        &self.state.alarms
    }

    /// Where a register stands; `None` before its first reading.
    #[must_use]
    pub fn register(&self, meter: &MeterId, register: &RegisterName) -> Option<RegisterView> {
        let known = self.register_state(meter, register)?;
        Some(RegisterView {
            reading: known.last.reading,
            value: known.last.value,
            at: known.last.at,
            held: known.held.as_ref().map(|held| (held.value, held.since, held.why)),
        })
    }

    fn register_state(&self, meter: &MeterId, register: &RegisterName) -> Option<&RegisterState> {
        self.state.meters.get(meter)?.registers.get(register)
    }

    /// Hears an input *after* it was decided: moves the watch, which only times alarms of silence
    /// and of the clock. Without it an offline alarm goes by kept readings alone.
    pub fn notice(&mut self, input: &Input) {
        match input {
            Input::Observed(observation) => {
                if observation.outcome.is_ok() {
                    match self.watch.heard.get_mut(&observation.meter) {
                        Some(heard) => *heard = observation.at,
                        None if self.state.setup.meters.contains_key(&observation.meter) => {
                            self.watch.heard.insert(observation.meter.clone(), observation.at);
                        }
                        None => {}
                    }
                }
            }
            Input::Tick { now, clock } => {
                self.watch.tick(*now, *clock);
                self.notices_are_out(*now);
                self.statements_are_out(*now);
            }
            Input::Restored { .. } => {}
            Input::Started { now, .. } => {
                self.watch.grace_from = Some(*now);
                self.watch.silence_due = None;
            }
            Input::Setup { .. } => self.watch.silence_due = None,
            Input::ClockKnown { now, .. } => self.notice_known(*now),
            Input::Settle { .. } => self.watch.clock = Some(ClockState::Synced),
            Input::Command { .. }
            | Input::CommandRefused { .. }
            | Input::Upkeep { .. }
            | Input::CommandDone { .. }
            | Input::Correct { .. }
            | Input::Reconcile { .. }
            | Input::Passed(_)
            | Input::GateOpening(_)
            | Input::Door(_)
            | Input::GateOpened(_)
            | Input::GateAsked { .. }
            | Input::MeterActed(_)
            | Input::MeterLooked(_)
            | Input::Condition { .. } => {}
            Input::Lasting { what, subject, since, .. } => {
                self.watch.states.hear(*what, subject, *since);
            }
        }
        self.notice_checks(input);
        if self.watch.silence_due.is_none() {
            self.watch.silence_due = Some(self.silence_due());
        }
    }

    /// When a [`Input::Tick`] can next change something: the next period's end, the next silence
    /// alarm, a charge that is to begin. `None` when nothing is set up. May be early, is never late.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        let (state, watch) = (&self.state, &self.watch);
        if state.setup.meters.is_empty() && state.setup.accounts.is_empty() {
            return None;
        }
        if state.issued.closing {
            return watch.last_tick.or(Some(Time::EPOCH));
        }
        let silence = watch.silence_due.unwrap_or_else(|| self.silence_due());
        let waits = watch.last_tick.map_or(Time::EPOCH, |last| last.plus(CLOSE_AGAIN));
        let close = match self.period_end() {
            _ if self.has_charges_to_begin() => waits,
            Some(end) => end.max(waits),
            None => Time::MAX,
        };
        let soonest = watch.last_tick.map_or(Time::EPOCH, |last| last.plus(TICK_AGAIN));
        let expiry = state.ledger.next_expiry().unwrap_or(Time::MAX).max(waits);
        let once_a_day = [
            self.notices_due(),
            self.statements_due(),
            self.day_due(),
            self.release_due(),
            self.anomaly_due(),
        ];
        let daily = once_a_day.into_iter().flatten().min().unwrap_or(Time::MAX);
        Some(silence.min(close).min(expiry).min(daily).max(soonest))
    }

    /// Whether a close has begun and is not done: it goes on with the next tick, at once.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state.issued.closing
    }

    /// The end of the month that closes next.
    fn period_end(&self) -> Option<Time> {
        let (month, zone) = (self.state.open_month?, self.cache.zone.as_ref()?);
        Some(zone.end_of(crate::calendar::Month::of(month)))
    }

    /// The earliest time at which a meter can have been silent or still for too long.
    fn silence_due(&self) -> Time {
        let mut due = Time::MAX;
        for (id, meter) in &self.state.setup.meters {
            let known = self.state.meters.get(id);
            if !known.is_some_and(|known| known.offline) {
                due = due.min(self.heard_at(id).unwrap_or_default().plus(meter.offline_after));
            }
            if let (Some(known), Some(stuck_after)) = (known, meter.stuck_after) {
                for register in known.registers.values().filter(|_| !known.stuck) {
                    due = due.min(register.moved_at.plus(stuck_after));
                }
            }
        }
        due
    }

    /// When a meter last answered well, as far as is known; not before the grace began.
    fn heard_at(&self, meter: &MeterId) -> Option<Time> {
        let kept = self.state.meters.get(meter).and_then(MeterState::recorded_at);
        let heard = self.watch.heard.get(meter).copied();
        kept.max(heard).max(self.watch.grace_from)
    }
}

impl Watch {
    /// Something new can be silent for too long at this time.
    fn due_by(&mut self, due: Option<Time>) {
        if let (Some(known), Some(due)) = (self.silence_due, due) {
            self.silence_due = Some(known.min(due));
        }
    }

    fn tick(&mut self, now: Time, clock: ClockState) {
        let stepped = self.last_tick.is_some_and(|last| now < last);
        let found = self.clock == Some(ClockState::Unsynced) && clock != ClockState::Unsynced;
        if stepped || found || self.grace_from.is_none() {
            self.grace_from = Some(now);
            if stepped {
                // What was heard lies in a time that has not come.
                self.heard.clear();
            }
        }
        self.last_tick = Some(now);
        self.highest_tick = self.highest_tick.max(Some(now));
        self.clock = Some(clock);
        self.silence_due = None;
    }
}

#[cfg(test)]
mod tests;
