//! The board: what is live and not durable. The buses, the engine, the outbox and the MQTT client
//! write to it; the page, `/metrics`, `/v1/events` and the live topic read it. Nothing here decides
//! about money.
//!
//! Every lock is held for a copy, never across an await.

use crate::books::Books;
use crate::mqtt::trouble::Trouble;
use blockgate_drivers::{Address, AnswerTimes};
use blockgate_rules::anomaly::budget::Report;
use blockgate_rules::event::{Alarm, Verdict};
use blockgate_types::{
    AlarmId, CommandId, FaultClass, LineId, MeterId, ReadFault, RegisterName, Span, Time, Values,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A meter as it was last seen.
#[derive(Debug, Clone, Default)]
pub struct MeterBoard {
    /// Its line.
    pub line: Option<LineId>,
    /// Its device profile.
    pub profile: String,
    /// Address on the line.
    pub address: Address,
    /// The last good values and when they came.
    pub last: Option<(Time, Values)>,
    /// The last fault and when it came; kept until a good poll comes.
    pub fault: Option<(Time, ReadFault)>,
    /// Good polls since the start.
    pub good: u64,
    /// Faults since the start, by class in the order of [`FaultClass::ALL`].
    pub faults: [u64; FaultClass::ALL.len()],
    /// Round trip of the last poll in microseconds.
    pub took_us: u64,
    /// How long it takes to answer, and for how long the next answer is waited.
    pub reply: Option<(AnswerTimes, Duration)>,
    /// The last journaled verdict of each billing register.
    pub verdicts: BTreeMap<RegisterName, (Time, Verdict)>,
}

impl MeterBoard {
    /// Counts one fault.
    pub fn count(&mut self, class: FaultClass) {
        if let Some(place) = FaultClass::ALL.iter().position(|c| *c == class) {
            self.faults[place] += 1;
        }
    }
}

/// A line as its bus sees it.
#[derive(Debug, Clone, Default)]
pub struct LineBoard {
    /// `rtu`, `rtu-over-tcp` or `tcp`, and where to.
    pub what: String,
    /// Whether the port or connection is open.
    pub open: bool,
    /// Why not, when it is not.
    pub trouble: Option<String>,
    /// Share of time in which the wire was used, in thousandths, over the last round.
    pub busy_permille: u32,
    /// How long polls took.
    pub polls: Durations,
}

/// A histogram of how long things took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Durations {
    counts: [u64; Durations::UP_TO_MS.len()],
    all: u64,
    sum_us: u64,
}

impl Durations {
    /// Upper bounds of the buckets, in milliseconds.
    pub const UP_TO_MS: [u32; 9] = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        let place = Self::UP_TO_MS.iter().position(|ms| took.as_millis() <= u128::from(*ms));
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count += 1;
        }
        self.all += 1;
        self.sum_us += u64::try_from(took.as_micros()).unwrap_or(0);
    }

    /// For each bound how many took no longer, as Prometheus counts.
    pub fn up_to(&self) -> impl Iterator<Item = (u32, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::UP_TO_MS.into_iter().zip(sums)
    }

    /// How many in all, and how long together in microseconds.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.all, self.sum_us)
    }
}

/// How close together the readings at the edges of quarter-hours lie: what is compared between lines, a
/// master and its sub-meters, is only as good as that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alignment {
    /// The bound that the config states.
    pub within: Span,
    /// The quarter-hour that is being read.
    pub now: Edge,
    /// The one before it: complete.
    pub last: Edge,
}

/// The readings at one edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edge {
    /// The edge.
    pub at: Time,
    /// Meters that were read for it, those left out that had been silent before.
    pub meters: u64,
    /// From the edge to the last of these readings: the bound of how far two of them lie apart.
    pub spread: Span,
}

impl Alignment {
    /// A meter's first reading behind an edge. Gives the edge before it when that is over.
    pub fn note(&mut self, edge: Time, at: Time) -> Option<Edge> {
        let mut over = None;
        if edge > self.now.at {
            over = (self.now.meters > 0).then_some(self.now);
            self.last = self.now;
            self.now = Edge { at: edge, ..Edge::default() };
        }
        if edge == self.now.at {
            self.now.meters += 1;
            self.now.spread = self.now.spread.max(at.since(edge).unwrap_or(Span::ZERO));
        }
        over
    }
}

/// The connection to the broker.
#[derive(Debug, Clone, Default)]
pub struct MqttBoard {
    /// Where to: `host:port`.
    pub broker: String,
    /// Whether the broker has accepted us.
    pub connected: bool,
    /// Since when it is so.
    pub since: Option<Time>,
    /// Why there is no connection; `None` while there is one.
    pub trouble: Option<Trouble>,
    /// When the next attempt begins, while there is none.
    pub retry_at: Option<Time>,
    /// Connections since the start.
    pub connects: u64,
    /// Last receipt from the cloud.
    pub last_receipt: Option<Time>,
    /// Messages acknowledged by the broker since the start.
    pub published: u64,
    /// Until when our client certificate and the CA's are good.
    pub certificates: Vec<(String, Time)>,
    /// Why new certificate files are not used.
    pub unfit: Option<String>,
}

/// The journal's head as it was signed last in this run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct HeadBoard {
    /// When.
    pub at: Time,
    /// The last record that it vouches for.
    pub through: u64,
    /// That record's hash.
    pub hash: String,
}

/// The outbox in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxBoard {
    /// Events without a receipt.
    pub waiting: u64,
    /// Of these, bills.
    pub bills: u64,
    /// Acknowledged by the broker and not receipted.
    pub acknowledged: u64,
    /// Refused by the cloud or too large.
    pub dead: u64,
    /// Oldest waiting event's time.
    pub oldest: Option<Time>,
    /// Everything up to this sequence number is receipted.
    pub through: u64,
}

/// The disk that holds the state folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskBoard {
    /// Bytes that we can still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A number that only grows, since the start of the process.
#[derive(Debug, Default)]
pub struct Count(AtomicI64);

impl Count {
    /// Adds.
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number; for amounts of money, which may be negative.
    #[must_use]
    pub fn get_signed(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> u64 {
        u64::try_from(self.get_signed()).unwrap_or(0)
    }
}

/// What was made durable since the start of the process.
#[derive(Debug, Default)]
pub struct Counts {
    /// Readings.
    pub readings: Count,
    /// Bills.
    pub bills: Count,
    /// Their sum in fen.
    pub billed_fen: Count,
    /// Alarms raised.
    pub alarms: Count,
    /// Journal records.
    pub records: Count,
}

/// The whole board.
#[derive(Debug, Default)]
pub struct Board {
    /// What was made durable.
    pub counts: Counts,
    meters: Mutex<BTreeMap<MeterId, MeterBoard>>,
    lines: Mutex<BTreeMap<LineId, LineBoard>>,
    mqtt: Mutex<MqttBoard>,
    outbox: Mutex<OutboxBoard>,
    alarms: Mutex<BTreeMap<AlarmId, Alarm>>,
    disk: Mutex<Option<DiskBoard>>,
    unknown: Mutex<Vec<(CommandId, String)>>,
    books: Mutex<Books>,
    head: Mutex<Option<HeadBoard>>,
    budget: Mutex<Report>,
    alignment: Mutex<Alignment>,
    /// Meters that a device check has read more often, and how often: the engine says it, the lines
    /// follow.
    pub sampling: watch::Sender<BTreeMap<MeterId, Span>>,
}

/// A poisoned lock only means that a reader panicked; the values are whole (they are set at once).
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// The meters, locked.
    pub fn meters(&self) -> MutexGuard<'_, BTreeMap<MeterId, MeterBoard>> {
        lock(&self.meters)
    }

    /// How many alarms the rules raised, by month, locked.
    pub fn budget(&self) -> MutexGuard<'_, Report> {
        lock(&self.budget)
    }

    /// How close together readings of an edge lie, locked.
    pub fn alignment(&self) -> MutexGuard<'_, Alignment> {
        lock(&self.alignment)
    }

    /// The lines, locked.
    pub fn lines(&self) -> MutexGuard<'_, BTreeMap<LineId, LineBoard>> {
        lock(&self.lines)
    }

    /// The connection to the broker, locked.
    pub fn mqtt(&self) -> MutexGuard<'_, MqttBoard> {
        lock(&self.mqtt)
    }

    /// The outbox's numbers, locked.
    pub fn outbox(&self) -> MutexGuard<'_, OutboxBoard> {
        lock(&self.outbox)
    }

    /// The state folder's disk, once it was looked at, locked.
    pub fn disk(&self) -> MutexGuard<'_, Option<DiskBoard>> {
        lock(&self.disk)
    }

    /// Commands by id and name whose outcome a restart made unknown, and whose sender has not been told
    /// on `rsp/` yet; locked.
    pub fn unknown(&self) -> MutexGuard<'_, Vec<(CommandId, String)>> {
        lock(&self.unknown)
    }

    /// The journal's head that was signed last and is durable, locked.
    pub fn head(&self) -> MutexGuard<'_, Option<HeadBoard>> {
        lock(&self.head)
    }

    /// Where every household's money stands by durable events, locked.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// Open alarms whose record is durable, locked.
    pub fn alarms(&self) -> MutexGuard<'_, BTreeMap<AlarmId, Alarm>> {
        lock(&self.alarms)
    }
}
