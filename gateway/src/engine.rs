//! The single writer. Every input is decided by the Block on a state that has seen all inputs before
//! it, the events are applied and appended to the journal, and a batch of them is made durable at
//! once. Only then does anything leave: a command is answered, the page shows them, and one batch
//! after another goes to the trees and the outbox on a thread of its own (invariant 1).
//!
//! While one batch is on its way to the disk the next is decided: the journal's CPU work and its
//! waiting overlap. At most one batch is under way; when the next has grown to
//! [`limits::COMMIT_BYTES_MAX`] meanwhile, the inbox waits, and with it the lines.
//!
//! Any error of the journal ends the process: what is in memory may be ahead of the disk, and a
//! replay heals it. An error of the trees does not: they are derived.

mod acts;
mod doors;
mod lanes;
mod unset;

use crate::board::{Board, HeadBoard};
use crate::books::Books;
use crate::command::{Answer, Order};
use crate::limits;
use crate::outbox::{Class, Outbox};
use crate::ports::{Clock, Offload};
use crate::store::head::HeadKey;
use crate::store::journal::{Batch, Committed};
use crate::store::record::{self, Origin};
use crate::store::trees::{Applied, Trees};
use crate::store::{Saver, Store, checkpoint};
use crate::supervise::Progress;
use anyhow::Context;
use blockgate_rules::act::Acting;
use blockgate_rules::anomaly::budget::Report;
use blockgate_rules::calendar::{Zone, parse_day};
use blockgate_rules::event::{
    Alarm, AlarmChange, Audit, Bill, Event, Outcome, READINGS_PER_RECORD_MAX,
};
use blockgate_rules::input;
use blockgate_rules::reconcile::Booked;
use blockgate_rules::{Block, Input};
use blockgate_types::{AlarmId, CommandId, Span, Time};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// What the engine cannot do itself: something on a line. Sent out once a command was taken; an act once
/// its intent is durable.
#[derive(Debug)]
pub enum Errand {
    /// A read, for its command.
    Read(input::Command),
    /// A meter is told something.
    Act(Acting),
    /// A meter is asked how it stands, after an act of unknown outcome.
    Look(Acting),
}

/// What the engine shares with the rest.
pub struct Shared {
    /// Live values and states.
    pub board: Arc<Board>,
    /// Derived trees.
    pub trees: Arc<Trees>,
    /// What waits for the cloud.
    pub outbox: Arc<Outbox>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Durable events for open event streams: sequence number and envelope.
    pub durable: broadcast::Sender<(u64, Bytes)>,
}

/// The longest that no tick comes: a step of the clock is noticed within it.
const TICK_MAX: Span = Span::from_mins(1);

/// A record that was applied and appended, until it is durable.
struct Appended {
    seq: u64,
    time: Time,
    event: Event,
    /// The envelope, once it is encoded.
    payload: Bytes,
}

/// One batch on its way to the disk, and what is released when it has arrived.
struct Commit {
    task: JoinHandle<anyhow::Result<()>>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// The open alarms as of this batch, where they changed.
    alarms: Option<(BTreeMap<AlarmId, Alarm>, Report)>,
    /// The Block as of this batch, when a checkpoint is due.
    draft: Option<checkpoint::Draft>,
    lanes: lanes::Waiting,
    acts: Vec<Errand>,
    doors: doors::Waiting,
}

impl Commit {
    /// Waits for the disk.
    async fn done(mut self) -> anyhow::Result<Durable> {
        (&mut self.task).await.context("the commit's thread")??;
        let Self { answers, alarms, draft, lanes, doors, acts, .. } = self;
        Ok(Durable { answers, alarms, draft, lanes, doors, acts })
    }
}

/// What is released by a batch that became durable.
struct Durable {
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    alarms: Option<(BTreeMap<AlarmId, Alarm>, Report)>,
    draft: Option<checkpoint::Draft>,
    lanes: lanes::Waiting,
    acts: Vec<Errand>,
    doors: doors::Waiting,
}

/// Waits for the commit under way, for ever when there is none. May be dropped and called again.
async fn finished(commit: &mut Option<Commit>) -> anyhow::Result<Durable> {
    let Some(open) = commit else { return std::future::pending().await };
    let joined = (&mut open.task).await;
    let Some(Commit { answers, alarms, draft, lanes, doors, acts, .. }) = commit.take() else {
        return std::future::pending().await;
    };
    joined.context("the commit's thread")??;
    Ok(Durable { answers, alarms, draft, lanes, doors, acts })
}

/// What a command needed from the trees.
enum Found {
    Bills(Vec<Bill>),
    Books(Vec<Booked>),
    /// What a rule file would have done, as JSON.
    Preview(String),
}

/// A command whose facts are being looked up, off the engine's thread.
struct Looking {
    command: input::Command,
    tried: u32,
    /// The newest bill as the look-up began; when there are newer ones at its end, it begins anew.
    last_bill: u64,
    task: JoinHandle<Result<Found, String>>,
}

/// Waits for the look-up under way, for ever when there is none. May be dropped and called again.
async fn looked(looking: &mut Option<Looking>) -> (Looking, Result<Found, String>) {
    let Some(open) = looking else { return std::future::pending().await };
    let found = (&mut open.task).await;
    let Some(done) = looking.take() else { return std::future::pending().await };
    (done, found.unwrap_or_else(|error| Err(error.to_string())))
}

/// How often a look-up is begun anew when bills came meanwhile.
const LOOK_AGAIN_MAX: u32 = 5;

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A durable batch on its way to trees and outbox.
struct Following {
    committed: Committed,
    appended: Vec<Appended>,
    /// A close is under way: the rest of its bills is more urgent.
    closing: bool,
}

/// Who takes durable batches into trees and outbox.
enum Follower {
    Thread(SyncSender<Following>),
    /// Whoever made them durable.
    Here,
}

/// On a blocking thread: the journal. Waits when trees and outbox are far behind.
fn make_durable(
    batch: Batch,
    appended: Vec<Appended>,
    closing: bool,
    shared: &Shared,
    follower: &Follower,
) -> anyhow::Result<()> {
    let committed = batch.commit()?;
    let mut appended = appended;
    for record in &mut appended {
        note(&shared.board, &record.event);
        // Nobody may listen; a stream that lags asks the trees.
        let _ = shared.durable.send((record.seq, std::mem::take(&mut record.payload)));
    }
    let following = Following { committed, appended, closing };
    match follower {
        Follower::Thread(batches) => {
            let sent = batches.send(following).is_ok();
            anyhow::ensure!(sent, "the thread of trees and outbox has ended");
            Ok(())
        }
        Follower::Here => take_in(following, shared),
    }
}

/// On a thread of its own: takes durable batches, in order, into what is derived from the journal.
/// sled takes longer to take in a bill's rows than the journal to make it durable: while a close is under
/// way its bills wait, so that the processors make the others durable first. The trees come first, so that
/// a receipt that names a bill by its id finds it.
fn follow(batches: &Receiver<Following>, shared: &Shared) -> anyhow::Result<()> {
    let mut held: Vec<Following> = Vec::new();
    for following in batches {
        let closing = following.closing;
        held.push(following);
        let records: usize = held.iter().map(|held| held.appended.len()).sum();
        if !closing || records >= limits::FOLLOWING_HELD_MAX {
            held.drain(..).try_for_each(|following| take_in(following, shared))?;
        }
    }
    held.into_iter().try_for_each(|following| take_in(following, shared))
}

/// Takes one durable batch into trees and outbox.
fn take_in(following: Following, shared: &Shared) -> anyhow::Result<()> {
    let Following { committed, appended, .. } = following;
    let mut applied = Vec::with_capacity(appended.len());
    let mut waiting = Vec::with_capacity(appended.len());
    for ((seq, position), record) in committed.records().zip(&appended) {
        anyhow::ensure!(seq == record.seq, "record {} was committed as {seq}", record.seq);
        let Appended { time, event, .. } = record;
        applied.push(Applied { seq, time: *time, record: event, position });
        waiting.push((seq, Class::of(event.kind()), position));
    }
    // The trees can be rebuilt; that they fail must not stop the journal.
    if let Err(error) = shared.trees.apply(&applied) {
        error!(%error, "the trees did not take a batch in; rebuild them");
    }
    if let Err(error) = shared.outbox.push(&waiting) {
        error!(%error, "the outbox did not take a batch in; the next start will");
    }
    *shared.board.outbox() = shared.outbox.stats();
    Ok(())
}

/// Counts a durable event and shows its verdicts on the board.
fn note(board: &Board, event: &Event) {
    board.counts.records.add(1);
    match event {
        Event::Reading { readings } => {
            board.counts.readings.add(i64::try_from(readings.len()).unwrap_or(0));
            let mut meters = board.meters();
            for reading in readings {
                let Some(meter) = meters.get_mut(&reading.meter) else { continue };
                let verdict = (reading.at, reading.verdict.clone());
                match meter.verdicts.get_mut(&reading.register) {
                    Some(place) => *place = verdict,
                    None => {
                        meter.verdicts.insert(reading.register.clone(), verdict);
                    }
                }
            }
        }
        Event::Bill(bill) => {
            board.counts.bills.add(1);
            board.counts.billed_fen.add(bill.total_fen.0);
        }
        Event::Alarm(alarm) => match alarm.change {
            AlarmChange::Raised => board.counts.alarms.add(1),
            AlarmChange::Updated | AlarmChange::Cleared | AlarmChange::Noted => {}
        },
        Event::Audit(Audit::Command { id, name, outcome: Outcome::Unknown, .. }) => {
            let mut unknown = board.unknown();
            if unknown.len() < limits::MQTT_UNKNOWN_MAX {
                unknown.push((id.clone(), name.clone()));
            }
        }
        Event::Audit(Audit::HeadSigned { at, through, hash, .. }) => {
            *board.head() = Some(HeadBoard { at: *at, through: *through, hash: hash.clone() });
        }
        Event::Ledger(_)
        | Event::Payment(_)
        | Event::Notice(_)
        | Event::Parking(_)
        | Event::Door(_)
        | Event::Gap(_)
        | Event::Audit(_) => {}
    }
    board.books().take(event);
}

/// Where the readings of `next` stand in the record of `event`, when they fit in.
fn room(event: &Event, next: &Event) -> Option<u16> {
    match (event, next) {
        (Event::Reading { readings }, Event::Reading { readings: more })
            if readings.len() + more.len() <= READINGS_PER_RECORD_MAX =>
        {
            u16::try_from(readings.len()).ok()
        }
        (_, _) => None,
    }
}

/// A rule file tried on the bills of a month, as the result of a command.
fn tried_rules(
    trees: &Trees,
    books: &Books,
    file: &str,
    text: &str,
    month: Option<&String>,
    now: Time,
) -> Result<Found, String> {
    let (file, text, month) = (file.to_owned(), text.to_owned(), month.cloned());
    let question = crate::preview::Question { file, text, month };
    let preview = crate::preview::run(trees, books, &question, now);
    let mut preview = preview.map_err(|faults| faults.join("; "))?;
    let changed = preview.changed.len();
    preview.changed.truncate(limits::PREVIEW_ROWS_MAX);
    let mut said = serde_json::to_value(&preview).map_err(|e| e.to_string())?;
    if let Some(said) = said.as_object_mut() {
        said.insert("changed_bills".to_owned(), changed.into());
    }
    Ok(Found::Preview(said.to_string()))
}

/// What a command needs from the trees.
fn look(trees: &Trees, order: &input::Order, zone: &str) -> Result<Found, String> {
    match order {
        input::Order::Correct(correction) => {
            let most = limits::CORRECTION_BILLS_MAX;
            let bills = trees.bills_of_correction(correction, most).map_err(|e| e.to_string())?;
            if bills.len() > most {
                return Err(format!("it touches more than {most} bills: narrow it by \"since\""));
            }
            Ok(Found::Bills(bills))
        }
        input::Order::Reconcile { channel, from, to, .. } => {
            let zone = Zone::new(zone).map_err(|e| e.to_string())?;
            let days = parse_day(from).zip(parse_day(to)).ok_or("from and to are no days")?;
            let (from, to) = (zone.start_of(days.0), zone.start_of(days.1));
            trees.booked(*channel, from, to).map(Found::Books).map_err(|e| e.to_string())
        }
        _ => Err("nothing to look up".to_owned()),
    }
}

/// The single writer.
pub struct Engine {
    block: Block,
    store: Store,
    saver: Saver,
    shared: Arc<Shared>,
    origin: Origin,
    commit_interval: Duration,
    offload: Offload,
    /// The record that is still being filled: readings are gathered in it. Applied, not encoded.
    filling: Option<Appended>,
    /// Records encoded since the last cut, with what the trees and the outbox need.
    appended: Vec<Appended>,
    /// Length of the last envelope: room for the next.
    envelope_len: usize,
    /// Answers that wait for the next commit.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    /// Commands that wait for what they need from the trees, with how often they were tried.
    lookups: VecDeque<(input::Command, u32)>,
    /// The one that is being looked up.
    looking: Option<Looking>,
    /// Commands that were taken and whose errand is out.
    out: BTreeMap<CommandId, oneshot::Sender<Answer>>,
    errands: mpsc::Sender<Errand>,
    events: Vec<Event>,
    alarms_changed: bool,
    urgent: bool,
    since_checkpoint: u64,
    /// The newest bill of this run; 0 before the first.
    last_bill: u64,
    /// Durable batches on their way to trees and outbox.
    follower: Option<(SyncSender<Following>, std::thread::JoinHandle<anyhow::Result<()>>)>,
    /// The checkpoint that is being written.
    saving: Option<JoinHandle<()>>,
    /// Signs of life: of the decisions, and of the batch that is on its way to the disk.
    alive: Option<(Progress, Progress)>,
    barriers: lanes::Barriers,
    at_doors: doors::AtDoors,
    heads: Heads,
    acts: acts::Acts,
    unset: unset::Unset,
}

/// When the journal's head is signed.
#[derive(Default)]
struct Heads {
    key: Option<Arc<HeadKey>>,
    /// When the next one is due; none before this run's first record.
    at: Option<Instant>,
    /// A bill run has issued bills since the last one.
    bills: bool,
    /// Anything was appended since.
    any: bool,
}

impl Engine {
    /// An engine over an opened store and the Block that it gave.
    #[must_use]
    pub fn new(
        store: Store,
        block: Block,
        shared: Arc<Shared>,
        origin: Origin,
        commit_interval: Duration,
        errands: mpsc::Sender<Errand>,
    ) -> Self {
        shared.board.alarms().clone_from(block.alarms());
        *shared.board.budget() = block.alarm_budget();
        *shared.board.books() = Books::of(&block);
        *shared.board.outbox() = shared.outbox.stats();
        Self {
            saver: store.saver(),
            store,
            block,
            shared,
            origin,
            commit_interval,
            offload: Offload::Threads,
            filling: None,
            appended: Vec::new(),
            envelope_len: 0,
            answers: Vec::new(),
            lookups: VecDeque::new(),
            looking: None,
            out: BTreeMap::new(),
            errands,
            events: Vec::new(),
            alarms_changed: false,
            urgent: false,
            since_checkpoint: 0,
            last_bill: 0,
            follower: None,
            saving: None,
            alive: None,
            barriers: lanes::Barriers::default(),
            at_doors: doors::AtDoors::default(),
            heads: Heads::default(),
            acts: acts::Acts::default(),
            unset: unset::Unset::default(),
        }
    }

    /// Where what blocks runs; on threads until it is said.
    pub fn offload_to(&mut self, offload: Offload) {
        self.offload = offload;
    }

    /// Signs the journal's head from now on: once at the start, every [`limits::HEAD_EVERY`], after every
    /// bill run, and at the stop.
    pub fn sign_heads(&mut self, key: HeadKey) {
        self.heads.key = Some(Arc::new(key));
    }

    /// Signs the head when it is time, or `now`.
    fn sign_head(&mut self, now: bool) -> anyhow::Result<()> {
        let Some(key) = self.heads.key.clone().filter(|_| self.heads.any) else { return Ok(()) };
        let due = self.heads.at.is_none_or(|at| at <= Instant::now());
        let run_is_over = self.heads.bills && !self.block.is_closing();
        if !(now || due || run_is_over) {
            return Ok(());
        }
        self.close_record()?;
        let (through, hash) = self.store.journal.head();
        let at = self.shared.clock.now();
        self.append(key.sign(&self.origin.source, through, &hash, at))?;
        self.heads.at = Some(Instant::now() + limits::HEAD_EVERY);
        (self.heads.bills, self.heads.any) = (false, false);
        Ok(())
    }

    /// Shows the watchdog that decisions and commits move.
    pub fn watched(&mut self, engine: Progress, store: Progress) {
        store.idle();
        self.alive = Some((engine, store));
    }

    /// Decides inputs until told to stop; then makes durable what it holds, writes a checkpoint and
    /// gives it back.
    ///
    /// # Errors
    /// The journal's: the process must end and start from the disk.
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Input>,
        mut orders: mpsc::Receiver<Order>,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(limits::ENGINE_BATCH_MAX);
        let mut commit: Option<Commit> = None;
        let mut commit_at: Option<Instant> = None;
        let mut tick_at = Instant::now();
        let mut orders_open = true;
        let mut crossings = self.barriers.crossings.take();
        self.unset.begin();
        self.look_at_the_clock()?;
        loop {
            self.end_lost_openings()?;
            self.end_lost_door_acts()?;
            self.sign_head(false)?;
            self.end_lost_acts()?;
            if commit.is_none() && self.has_pending() {
                let at = *commit_at.get_or_insert_with(|| Instant::now() + self.commit_interval);
                if self.urgent || self.is_full() || at <= Instant::now() {
                    commit = self.begin_commit()?;
                    commit_at = None;
                }
            }
            self.settle_estimates()?;
            if !self.lookups.is_empty() && self.looking.is_none() {
                self.begin_lookup()?;
            }
            let waiting = self.looking.is_none() && !self.lookups.is_empty();
            let room = !self.is_full();
            if let Some((engine, _)) = &self.alive {
                engine.moved();
                engine.idle_until(tick_at);
            }
            tokio::select! { biased;
                () = stop.cancelled(), if !inbox.is_closed() => {
                    inbox.close();
                    orders.close();
                    crossings = None;
                }
                done = finished(&mut commit) => {
                    let done = done.context("making a batch durable")?;
                    self.release(done);
                }
                looked = looked(&mut self.looking), if room => self.looked(looked)?,
                car = lanes::next(&mut crossings), if room => match car {
                    Some(car) => self.take_crossing(car)?,
                    None => crossings = None,
                },
                order = orders.recv(), if room && orders_open => match order {
                    Some(order) => self.take_order(order)?,
                    None => orders_open = false,
                },
                taken = inbox.recv_many(&mut batch, limits::ENGINE_BATCH_MAX), if room => {
                    if taken == 0 {
                        break; // closed and empty
                    }
                    self.look_at_the_clock()?;
                    for input in batch.drain(..) {
                        self.hear(&input)?;
                        self.step(&input)?;
                    }
                    if self.block.is_closing() {
                        tick_at = Instant::now(); // a close that has begun is not left until the next due time
                    }
                }
                () = wait_until(commit_at), if commit.is_none() => {}
                // The trees follow on a thread of their own; they tell nobody when they have.
                () = tokio::time::sleep(limits::TREES_LOOK_EVERY), if waiting => {}
                () = tokio::time::sleep_until(tick_at), if room || !self.block.is_closing() => {
                    self.look_at_the_clock()?;
                    self.settle_readings()?;
                    let now = self.shared.clock.now();
                    let clock = self.shared.clock.state();
                    self.step(&Input::Tick { now, clock })?;
                    self.sample();
                    tick_at = Instant::now() + self.until_tick(now);
                }
            }
        }
        if let Some(open) = commit.take() {
            let done = open.done().await?;
            self.release(done);
        }
        self.sign_head(true)?;
        if let Some(last) = self.begin_commit()? {
            let done = last.done().await?;
            self.release(done);
        }
        if let Some((sender, following)) = self.follower.take() {
            drop(sender);
            let joined = tokio::task::spawn_blocking(move || following.join()).await?;
            joined.map_err(|_| anyhow::anyhow!("the thread of trees and outbox panicked"))??;
        }
        if let Some(saving) = self.saving.take() {
            saving.await.context("the checkpoint's thread")?;
        }
        if let Some(draft) = self.draft() {
            self.save(draft).await.context("the checkpoint's thread")?;
        }
        Ok(())
    }

    fn has_pending(&self) -> bool {
        self.filling.is_some() || !self.appended.is_empty()
    }

    fn is_full(&self) -> bool {
        self.store.journal.pending_bytes() >= limits::COMMIT_BYTES_MAX
    }

    /// Tells the lines which meters a device check wants to be read more often.
    fn sample(&self) {
        let wanted = self.block.sampling();
        self.shared.board.sampling.send_if_modified(|told| {
            let changed = *told != wanted;
            if changed {
                *told = wanted;
            }
            changed
        });
    }

    fn until_tick(&self, now: Time) -> Duration {
        if self.block.is_closing() {
            return Duration::ZERO; // it goes on as soon as what waits was taken in
        }
        let wait = self.block.next_due().map(|at| at.since(now).unwrap_or(Span::ZERO));
        // Never at once: a due time that a tick did not move must not turn into a busy loop.
        wait.unwrap_or(TICK_MAX).clamp(Span::from_millis(50), TICK_MAX).into()
    }

    /// Decides one input, applies and appends what it means.
    fn step(&mut self, input: &Input) -> anyhow::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        self.block.decide(input, &mut events);
        let bills = events.iter().take_while(|event| matches!(event, Event::Bill(_))).count();
        if bills >= limits::BILLS_AHEAD_MIN {
            self.append_bills(events.drain(..bills).collect())?;
        }
        for event in events.drain(..) {
            self.append(event)?;
        }
        self.events = events;
        self.block.notice(input);
        Ok(())
    }

    /// Applies an event and puts it into a record: readings that follow one another share one.
    fn append(&mut self, event: Event) -> anyhow::Result<()> {
        self.see(&event);
        self.see_doors(&event);
        self.heads.any = true;
        self.see_act(&event);
        match &event {
            Event::Alarm(_) => {
                self.alarms_changed = true;
                self.urgent = true;
            }
            Event::Audit(Audit::Command { id, outcome, detail, .. }) => {
                self.urgent = true;
                if let Some(reply) = self.out.remove(id) {
                    let answer = Answer { outcome: *outcome, detail: detail.clone() };
                    self.answers.push((reply, answer));
                }
            }
            Event::Reading { .. }
            | Event::Bill(_)
            | Event::Ledger(_)
            | Event::Payment(_)
            | Event::Notice(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Gap(_)
            | Event::Audit(_) => {}
        }
        let mut event = event;
        if let Some(record) = &mut self.filling
            && let Some(first) = room(&record.event, &event)
        {
            self.block.apply_from(record.seq, first, &event);
            match record.event.gather(event) {
                Ok(()) => return Ok(()),
                Err(back) => event = back,
            }
        }
        self.close_record()?;
        let seq = self.store.journal.next_seq();
        if let Event::Bill(bill) = &event {
            self.last_bill = seq;
            // A car's bill at a barrier is no bill run.
            self.heads.bills |= bill.stay.is_none() && bill.permit.is_none();
        }
        self.block.apply(seq, &event);
        self.filling =
            Some(Appended { seq, time: self.shared.clock.now(), event, payload: Bytes::new() });
        Ok(())
    }

    /// Applies the bills of a close, and writes their envelopes on another processor meanwhile. The journal
    /// gets what it would get one by one.
    fn append_bills(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        self.close_record()?;
        let first = self.store.journal.next_seq();
        let (time, clock) = (self.shared.clock.now(), self.shared.clock.state());
        let (origin, room) = (self.origin.clone(), self.envelope_len);
        let encode = || -> anyhow::Result<Vec<Vec<u8>>> {
            let encoded = events.iter().zip(first..).map(|(event, seq)| {
                let mut envelope = Vec::with_capacity(room);
                record::encode(&origin, seq, time, clock, event, &mut envelope)?;
                Ok(envelope)
            });
            encoded.collect()
        };
        let envelopes = std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("envelopes".to_owned());
            let writer = builder.spawn_scoped(scope, encode);
            for (event, seq) in events.iter().zip(first..) {
                self.see(event);
                self.block.apply(seq, event);
                self.last_bill = seq;
                // A car's bill at a barrier is no bill run.
                let is_run = matches!(event, Event::Bill(bill) if !bill.is_parking());
                self.heads.bills |= is_run;
            }
            self.heads.any = true;
            match writer.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(envelopes)) => envelopes,
                Ok(Err(_)) => anyhow::bail!("the thread that writes envelopes panicked"),
                Err(_) => encode(), // no thread to be had: here, then
            }
        })?;
        for ((event, envelope), seq) in events.into_iter().zip(envelopes).zip(first..) {
            let given = self.store.journal.append(&envelope)?;
            anyhow::ensure!(given == seq, "the journal gave {given} for record {seq}");
            self.envelope_len = envelope.len();
            let payload = Bytes::from(envelope);
            self.appended.push(Appended { seq, time, event, payload });
        }
        Ok(())
    }

    /// Encodes the record that was being filled and hands it to the journal.
    fn close_record(&mut self) -> anyhow::Result<()> {
        let Some(mut record) = self.filling.take() else { return Ok(()) };
        let mut envelope = Vec::with_capacity(self.envelope_len);
        let clock = self.shared.clock.state();
        let Appended { seq, time, event, .. } = &record;
        record::encode(&self.origin, *seq, *time, clock, event, &mut envelope)?;
        let given = self.store.journal.append(&envelope)?;
        anyhow::ensure!(given == record.seq, "the journal gave {given} for record {}", record.seq);
        self.envelope_len = envelope.len();
        record.payload = Bytes::from(envelope);
        self.appended.push(record);
        Ok(())
    }

    /// Takes an order: what the Block answers at once is answered after the next commit, the rest
    /// becomes an errand.
    fn take_order(&mut self, order: Order) -> anyhow::Result<()> {
        let Order { command, refused, reply } = order;
        if self.out.contains_key(&command.id) {
            let detail = "still being carried out".to_owned();
            let _ = reply.send(Answer { outcome: Outcome::Duplicate, detail });
            return Ok(());
        }
        let id = command.id.clone();
        self.out.insert(id.clone(), reply);
        let (now, clock) = (self.shared.clock.now(), self.shared.clock.state());
        if let Some(why) = refused {
            return self.step(&Input::CommandRefused { now, command, why: why.to_owned() });
        }
        self.step(&Input::Command { now, clock, command: command.clone() })?;
        if !self.out.contains_key(&id) {
            return Ok(()); // decided: the answer waits for the commit
        }
        match &command.order {
            input::Order::Resend { from, to } => {
                let (outcome, detail) = match self.shared.outbox.resend(*from, *to) {
                    Ok(count) => (Outcome::Done, format!("{count} events")),
                    Err(why) => (Outcome::Refused, why),
                };
                self.done(&command, outcome, detail)?;
            }
            input::Order::RetryDeadLetter { seq } => {
                let (outcome, detail) = match self.shared.outbox.retry(*seq) {
                    Ok(()) => (Outcome::Done, String::new()),
                    Err(why) => (Outcome::Refused, why),
                };
                self.done(&command, outcome, detail)?;
            }
            input::Order::ReadNow { .. } => {
                if self.errands.try_send(Errand::Read(command.clone())).is_err() {
                    self.done(&command, Outcome::Failed, "too many reads wait".to_owned())?;
                }
            }
            // Looked up on a thread of their own: the lines do not wait for it.
            input::Order::Correct(_)
            | input::Order::Reconcile { .. }
            | input::Order::PreviewRules { .. } => {
                self.lookups.push_back((command, 0));
                self.begin_lookup()?;
            }
            // Their controllers' tasks carry them out, when the intent is durable.
            input::Order::OpenDoor(_)
            | input::Order::HoldDoor(_)
            | input::Order::LockDown(_)
            | input::Order::ReleaseDoors(_)
            | input::Order::EmergencyOpen(_)
            | input::Order::EndEmergency { .. } => {}
            input::Order::OpenBarrier { lane, reason } => {
                self.open_barrier(&command, lane, reason)?;
            }
            // Their intent is in this batch; the line hears of it when that is durable.
            input::Order::Relay { .. }
            | input::Order::Valve { .. }
            | input::Order::SetClock { .. }
            | input::Order::ConfirmAlarm { close_valve: true, .. } => {}
            input::Order::DecideHeld { .. }
            | input::Order::ExchangeMeter { .. }
            | input::Order::RecordPayment(_)
            | input::Order::SettlePayment { .. }
            | input::Order::DepositCondition { .. }
            | input::Order::DeductDeposit { .. }
            | input::Order::RequestRefund(_)
            | input::Order::ApproveRefund { .. }
            | input::Order::RefundPaid { .. }
            | input::Order::VoidRefund { .. }
            | input::Order::EstimateReading { .. }
            | input::Order::ApplyRules { .. }
            | input::Order::CountCash { .. }
            | input::Order::MoveOut(_)
            | input::Order::MuteAlarm { .. }
            | input::Order::UnmuteAlarm { .. }
            | input::Order::AlarmFeedback { .. }
            | input::Order::ConfirmAlarm { close_valve: false, .. }
            | input::Order::CheckAlarm { .. }
            | input::Order::PayStay(_)
            | input::Order::DiscountStay { .. }
            | input::Order::CorrectStay { .. }
            | input::Order::CloseStay { .. }
            | input::Order::SettleParking { .. }
            | input::Order::GrantParking { .. }
            | input::Order::SellPass(_)
            | input::Order::RevokeParking { .. }
            | input::Order::Grant(_)
            | input::Order::Revoke(_)
            | input::Order::Restore { .. }
            | input::Order::ConfirmArrears(_) => {
                self.done(&command, Outcome::Failed, "not decided".to_owned())?;
            }
        }
        Ok(())
    }

    /// Orders what puts estimated readings right, once a real one is there.
    fn settle_estimates(&mut self) -> anyhow::Result<()> {
        if !self.block.has_estimates_to_settle() {
            return Ok(());
        }
        let (now, clock) = (self.shared.clock.now(), self.shared.clock.state());
        for command in self.block.estimates_to_settle(now) {
            self.step(&Input::Command { now, clock, command: command.clone() })?;
            if self.block.is_open(&command.id) {
                self.lookups.push_back((command, 0));
            }
        }
        Ok(())
    }

    /// Begins the next look-up, one at a time.
    fn begin_lookup(&mut self) -> anyhow::Result<()> {
        if self.looking.is_some() {
            return Ok(());
        }
        let Some((command, tried)) = self.lookups.pop_front() else { return Ok(()) };
        // The trees follow the journal: a bill that they do not have yet would be passed over, and its
        // difference never billed.
        if self.shared.trees.applied() < self.last_bill {
            // They are on their way: the loop looks again in a moment.
            self.lookups.push_front((command, tried));
            return Ok(());
        }
        let (trees, order) = (self.shared.trees.clone(), command.order.clone());
        let zone = self.block.setup().zone.clone();
        let (shared, now) = (self.shared.clone(), self.shared.clock.now());
        let task = self.offload.run(move || match &order {
            input::Order::PreviewRules { file, text, month } => {
                let books = Books::clone(&shared.board.books());
                tried_rules(&trees, &books, file, text, month.as_ref(), now)
            }
            _ => look(&trees, &order, &zone),
        });
        self.looking = Some(Looking { command, tried, last_bill: self.last_bill, task });
        Ok(())
    }

    /// Hands in what was looked up.
    fn looked(&mut self, (done, found): (Looking, Result<Found, String>)) -> anyhow::Result<()> {
        let Looking { command, tried, last_bill, .. } = done;
        let now = self.shared.clock.now();
        let is_bills = matches!(found, Ok(Found::Bills(_)));
        if is_bills && last_bill != self.last_bill && tried < LOOK_AGAIN_MAX {
            self.lookups.push_back((command, tried + 1));
            return self.begin_lookup();
        }
        match (found, &command.order) {
            (Ok(Found::Bills(_)), _) if last_bill != self.last_bill => {
                let detail = "bills are just being written: order it again in a moment".to_owned();
                self.done(&command, Outcome::Refused, detail)?;
            }
            (Ok(Found::Bills(issued)), input::Order::Correct(correction)) => {
                let (id, correction) = (command.id.clone(), correction.clone());
                self.step(&Input::Correct { now, id, correction, issued })?;
            }
            (Ok(Found::Books(books)), _) => {
                self.step(&Input::Reconcile { now, command: Box::new(command), books })?;
            }
            (Ok(Found::Preview(preview)), _) => self.done(&command, Outcome::Done, preview)?,
            (Ok(Found::Bills(_)), _) => {
                self.done(&command, Outcome::Failed, "not a correction".to_owned())?;
            }
            (Err(why), _) => self.done(&command, Outcome::Refused, why)?,
        }
        self.begin_lookup()
    }

    fn done(
        &mut self,
        command: &input::Command,
        outcome: Outcome,
        detail: String,
    ) -> anyhow::Result<()> {
        self.step(&Input::CommandDone {
            now: self.shared.clock.now(),
            id: command.id.clone(),
            outcome,
            detail,
        })
    }

    /// Sends what was appended to the disk, on a blocking thread.
    fn begin_commit(&mut self) -> anyhow::Result<Option<Commit>> {
        self.close_record()?;
        let Some(batch) = self.store.journal.cut()? else { return Ok(None) };
        let appended = std::mem::take(&mut self.appended);
        let (shared, follower) = (self.shared.clone(), self.follower()?);
        let closing = self.block.is_closing();
        self.urgent = false;
        self.since_checkpoint += u64::try_from(appended.len()).unwrap_or(0);
        let task =
            self.offload.run(move || make_durable(batch, appended, closing, &shared, &follower));
        if let Some(errand) = self.store.journal.errand() {
            self.offload.run(move || {
                if let Err(error) = errand.run() {
                    warn!(%error, "the journal's next file was not made ahead");
                }
            });
        }
        let alarms = std::mem::take(&mut self.alarms_changed)
            .then(|| (self.block.alarms().clone(), self.block.alarm_budget()));
        // Nothing is pending now: the Block is the fold of exactly what this batch completes.
        let saved = self.saving.as_ref().is_none_or(JoinHandle::is_finished);
        let due = self.since_checkpoint >= limits::CHECKPOINT_EVERY_RECORDS && saved;
        let draft = due.then(|| self.draft()).flatten();
        if let Some((_, store)) = &self.alive {
            store.moved();
        }
        let (lanes, doors) = (self.cut_lanes(), self.cut_doors());
        let acts = std::mem::take(&mut self.acts.waiting);
        let answers = std::mem::take(&mut self.answers);
        Ok(Some(Commit { task, answers, alarms, draft, lanes, doors, acts }))
    }

    /// Where durable batches go; its thread is started with the first. Not a task of the runtime's
    /// pool: while one of those runs, a paused clock stands still.
    fn follower(&mut self) -> anyhow::Result<Follower> {
        if self.offload == Offload::Inline {
            return Ok(Follower::Here);
        }
        if let Some((sender, _)) = &self.follower {
            return Ok(Follower::Thread(sender.clone()));
        }
        let (sender, batches) = sync_channel(limits::FOLLOWING_BATCHES_MAX);
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name("follower".to_owned());
        let thread = thread.spawn(move || follow(&batches, &shared));
        self.follower = Some((sender.clone(), thread.context("the thread of trees and outbox")?));
        Ok(Follower::Thread(sender))
    }

    /// A batch is durable: what waited for it goes out.
    fn release(&mut self, done: Durable) {
        if let Some((_, store)) = &self.alive {
            store.idle();
        }
        if let Some((alarms, budget)) = done.alarms {
            *self.shared.board.alarms() = alarms;
            *self.shared.board.budget() = budget;
        }
        self.release_lanes(done.lanes);
        self.release_acts(done.acts);
        self.release_doors(done.doors);
        // Last: whoever is answered and looks at once finds what was answered.
        for (reply, answer) in done.answers {
            // Whoever asked may have gone; the outcome is journaled all the same.
            let _ = reply.send(answer);
        }
        if let Some(draft) = done.draft {
            self.saving = Some(self.save(draft));
        }
    }

    /// A checkpoint of everything applied; it may be written once that is durable.
    fn draft(&mut self) -> Option<checkpoint::Draft> {
        self.since_checkpoint = 0;
        match self.store.checkpoint(&self.block) {
            Ok(draft) => Some(draft),
            Err(error) => {
                error!(%error, "the state cannot be written as a checkpoint");
                None
            }
        }
    }

    /// Writes a checkpoint while decisions go on.
    fn save(&self, draft: checkpoint::Draft) -> JoinHandle<()> {
        let saver = self.saver.clone();
        self.offload.run(move || {
            if let Err(error) = saver.save(&draft) {
                warn!(%error, "no checkpoint; the next start takes longer");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::bill;
    use blockgate_types::ClockState;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Time {
            Time::from_millis(1_772_323_200_000)
        }

        fn state(&self) -> ClockState {
            ClockState::Synced
        }
    }

    fn correction(id: &str) -> input::Command {
        let text = format!(
            r#"{{"id":"{id}","issued_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-02T00:00:00Z",
               "actor":"clerk","name":"correct","args":{{"ground":{{"reason":"wrong-price",
               "evidence":"notice 7","approver":"chief","limit":"contract"}},"since":"2026-01-01",
               "threshold_fen":0,"what":{{"of":"tariff","tariff":"t-1"}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[tokio::test]
    async fn a_correction_waits_for_the_bills_that_the_trees_do_not_have_yet() {
        let dir = tempfile::tempdir().unwrap();
        let (store, block, _) = Store::open(dir.path()).unwrap();
        let shared = Arc::new(Shared {
            board: Arc::default(),
            trees: store.trees.clone(),
            outbox: store.outbox.clone(),
            clock: Arc::new(Fixed),
            durable: broadcast::channel(16).0,
        });
        let origin =
            Origin { source: "/blockgate/t/g".to_owned(), boot: "b".to_owned(), epoch: None };
        let (errand, _errands) = mpsc::channel(1);
        let second = Duration::from_secs(1);
        let mut engine = Engine::new(store, block, shared, origin, second, errand);
        engine.append(bill(1)).unwrap();
        let (reply, answer) = oneshot::channel();
        engine.take_order(Order { command: correction("c-1"), reply, refused: None }).unwrap();
        assert!(engine.looking.is_none(), "the trees do not have the bill yet");
        let done = engine.begin_commit().unwrap().unwrap().done().await.unwrap();
        engine.release(done);
        // What was committed reaches the trees.
        let (sender, following) = engine.follower.take().unwrap();
        drop(sender);
        following.join().unwrap().unwrap();
        engine.begin_lookup().unwrap();
        // A bill that comes while it is looked up lets it look again.
        engine.append(bill(2)).unwrap();
        let found = looked(&mut engine.looking).await;
        engine.looked(found).unwrap();
        assert!(engine.looking.is_none() && engine.lookups.len() == 1, "it waits for the new one");
        let done = engine.begin_commit().unwrap().unwrap().done().await.unwrap();
        engine.release(done);
        let (sender, following) = engine.follower.take().unwrap();
        drop(sender);
        following.join().unwrap().unwrap();
        engine.begin_lookup().unwrap();
        let found = looked(&mut engine.looking).await;
        engine.looked(found).unwrap();
        let done = engine.begin_commit().unwrap().unwrap().done().await.unwrap();
        engine.release(done);
        assert!(!answer.await.unwrap().detail.is_empty());
    }
}
