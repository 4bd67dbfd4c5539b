//! The task of one line: waits for the next poll or for a person's read, carries it out, stamps it
//! with wall time and hands it to the engine. One request at a time; a person's read goes first. A scan
//! borrows the wire, and the polls wait.

use super::act::{At, Pending, Report};
use super::health::{Allowance, Health};
use super::schedule::{Next, Schedule};
use crate::board::Board;
use crate::config::MeterConfig;
use crate::ports::Clock;
use crate::scans::Job;
use crate::supervise::Progress;
use blockgate_drivers::act::controls;
use blockgate_drivers::frozen::test_read_frozen;
use blockgate_drivers::line::{AnswerTimes, Framing, Line};
use blockgate_drivers::meter::{TestRead, poll_meter, test_read};
use blockgate_rules::Input;
use blockgate_types::{
    Act, ActResult, Control, FaultClass, Frozen, LineId, MeterId, MeterState, Observation,
    ReadFault, Span, Time, Values,
};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// What is asked of a line beside its polls; it goes before them.
#[derive(Debug)]
pub enum Ask {
    /// A person's read of one meter, now.
    Read {
        /// Which meter of this line.
        meter: MeterId,
        /// What it froze, in place of the present values: no reading comes of it.
        frozen: Option<Frozen>,
        /// Where the frames and the values go.
        reply: oneshot::Sender<TestRead>,
    },
    /// A scan of the whole line; polls wait for its end.
    Scan(Job),
    /// Something that a meter is told, once; journaled before.
    Act {
        /// Which meter of this line.
        meter: MeterId,
        /// What it is told.
        act: Act,
        /// Where it goes what came of it.
        reply: oneshot::Sender<Report>,
    },
    /// What a meter says of itself. Reads only.
    Look {
        /// Which meter of this line.
        meter: MeterId,
        /// About what.
        control: Control,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<MeterState, String>>,
    },
}

/// The wire's use is shown over at least this long.
const USE_WINDOW: Duration = Duration::from_secs(60);

/// How long a meter waits whose line is closed.
const LINE_PAUSE: Span = Span::from_secs(10);

/// A quarter of an hour.
const QUARTER_MS: i64 = 15 * 60 * 1000;

/// Whose turn it is.
enum Turn {
    /// A meter's, and whether it costs nobody else anything, should it be silent.
    Poll(usize, bool),
    /// Nobody's for so long.
    Wait(Span),
}

/// A difference between wall clock and monotonic clock beyond this is a step of the wall clock.
const STEP: Span = Span::from_secs(2);

struct Meter {
    id: MeterId,
    config: MeterConfig,
    health: Health,
    /// How long it takes to answer.
    answers: AnswerTimes,
    /// The quarter-hour for which it was read last.
    edge: Time,
}

/// The task of one line.
pub struct Worker {
    line_id: LineId,
    line: Line,
    meters: Vec<Meter>,
    schedule: Schedule,
    /// What silent meters may cost the others.
    allowance: Allowance,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    inbox: mpsc::Sender<Input>,
    asks: mpsc::Receiver<Ask>,
    /// Meters that a device check has read more often.
    sampling: watch::Receiver<BTreeMap<MeterId, Span>>,
    /// Wall and monotonic time, read together: what the wall clock should say later.
    reference: (Time, Instant),
    /// Where the meters' clocks are.
    zone: TimeZone,
    /// Orders that went out and have not shown their effect yet.
    pending: Vec<Pending>,
    /// Since when the wire's use is counted, and for how long it was in use since.
    used: (Instant, Duration),
}

impl Worker {
    /// A worker for a line and its meters.
    #[must_use]
    pub fn new(
        line_id: LineId,
        line: Line,
        meters: Vec<(MeterId, MeterConfig)>,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        inbox: mpsc::Sender<Input>,
        asks: mpsc::Receiver<Ask>,
    ) -> Self {
        let now = clock.now();
        let slots: Vec<(Span, Span)> =
            meters.iter().map(|(_, meter)| (meter.poll_every, meter.record_every)).collect();
        let schedule = Schedule::new(&slots, now);
        let meters = meters
            .into_iter()
            .map(|(id, config)| {
                let (health, answers) = (Health::default(), AnswerTimes::default());
                Meter { id, config, health, answers, edge: Time::EPOCH }
            })
            .collect();
        let reference = (now, Instant::now());
        let used = (Instant::now(), Duration::ZERO);
        let sampling = board.sampling.subscribe();
        Self {
            line_id,
            line,
            meters,
            schedule,
            allowance: Allowance::default(),
            board,
            clock,
            inbox,
            asks,
            sampling,
            reference,
            zone: TimeZone::UTC,
            pending: Vec::new(),
            used,
        }
    }

    /// In which zone the meters' clocks run; UTC where nothing is said.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    /// The line's id.
    #[must_use]
    pub fn line_id(&self) -> &LineId {
        &self.line_id
    }

    /// Polls until told to stop; the exchange on the wire is finished first. `alive` shows the
    /// watchdog that it goes on.
    pub async fn run(mut self, alive: Progress, stop: CancellationToken) {
        let (mut asks_open, mut sampling_open) = (true, true);
        loop {
            let wait = self.until_next();
            alive.moved();
            if !wait.is_zero() {
                alive.idle_until(Instant::now() + wait);
            }
            tokio::select! { biased;
                () = stop.cancelled() => return,
                ask = self.asks.recv(), if asks_open => match ask {
                    Some(Ask::Read { meter, frozen, reply }) => {
                        self.answer(&meter, frozen, reply).await;
                    }
                    Some(Ask::Scan(job)) => self.scan(job, &alive, &stop).await,
                    Some(Ask::Act { meter, act, reply }) => self.act(&meter, act, reply).await,
                    Some(Ask::Look { meter, control, reply }) => {
                        let seen = self.look(&meter, control).await;
                        // Whoever asked may have gone.
                        let _ = reply.send(seen);
                    }
                    None => asks_open = false,
                },
                changed = self.sampling.changed(), if sampling_open => match changed {
                    Ok(()) => self.sample(),
                    Err(_) => sampling_open = false,
                },
                () = sleep(wait) => {
                    self.look_again().await;
                    if !self.poll_due().await { return }
                }
            }
        }
    }

    /// Follows what the device checks want to be read more often.
    fn sample(&mut self) {
        let wanted = self.sampling.borrow_and_update().clone();
        let of_line = self.meters.iter().map(|meter| wanted.get(&meter.id).copied()).collect();
        self.schedule.sample(self.clock.now(), of_line);
    }

    /// How long until the next poll is due. Short where there is none, so that a step of the wall
    /// clock is noticed.
    fn until_next(&mut self) -> Duration {
        const LOOK_AT_CLOCK: Span = Span::from_secs(60);
        let now = self.clock.now();
        let (wall, then) = self.reference;
        let passed = i64::try_from(then.elapsed().as_millis()).unwrap_or(i64::MAX);
        let expected = wall.plus(Span::from_millis(passed));
        let off = now.as_millis().abs_diff(expected.as_millis());
        if off > STEP.as_millis().unsigned_abs() {
            self.schedule.clock_set(now);
            self.reference = (now, Instant::now());
        }
        let poll: Duration = match self.turn(now) {
            Turn::Poll(..) => Duration::ZERO,
            Turn::Wait(span) => span.min(LOOK_AT_CLOCK).into(),
        };
        let looks = self.pending.iter().map(|pending| pending.next);
        let look = looks.min().map(|at| at.saturating_duration_since(Instant::now()));
        look.map_or(poll, |look| look.min(poll))
    }

    /// Tells a meter something.
    async fn act(&mut self, meter: &MeterId, act: Act, reply: oneshot::Sender<Report>) {
        let Some(place) = self.meters.iter().position(|known| known.id == *meter) else { return };
        let now = self.clock.now();
        if let Some(detail) = self.whom_it_would_reach(act) {
            let _ = reply.send(Report { result: ActResult::NotSent, state: None, detail });
            return;
        }
        info!(line = %self.line_id, %meter, %act, "the meter is told");
        let Some(mut at) = self.at(place) else { return };
        let pending = at.begin(place, act, now, reply).await;
        self.pending.extend(pending);
    }

    /// Why a telegram to the whole line is not sent: meters that would take it and may not be told that.
    fn whom_it_would_reach(&self, act: Act) -> Option<String> {
        if act != Act::LineClock {
            return None;
        }
        let may_not = |meter: &&Meter| {
            let takes = controls(&meter.config.profile).contains(&Control::Clock);
            takes && !meter.config.controls.contains(&Control::Clock)
        };
        let names: Vec<&str> =
            self.meters.iter().filter(may_not).map(|meter| meter.id.as_str()).collect();
        let why = "the controls of these meters of the line have no \"clock\"";
        (!names.is_empty()).then(|| format!("{why}: {}", names.join(", ")))
    }

    /// Asks a meter how it stands.
    async fn look(&mut self, meter: &MeterId, control: Control) -> Result<MeterState, String> {
        let gone = || format!("there is no meter {meter} on this line");
        let place = self.meters.iter().position(|known| known.id == *meter).ok_or_else(gone)?;
        let now = self.clock.now();
        self.at(place).ok_or_else(gone)?.look(control, now).await
    }

    /// Looks at the meters that have not shown yet what they were told.
    async fn look_again(&mut self) {
        for pending in std::mem::take(&mut self.pending) {
            if pending.next > Instant::now() {
                self.pending.push(pending);
                continue;
            }
            let now = self.clock.now();
            let Some(mut at) = self.at(pending.place) else { continue };
            let pending = at.go_on(pending, now).await;
            self.pending.extend(pending);
        }
    }

    fn at(&mut self, place: usize) -> Option<At<'_>> {
        let meter = self.meters.get(place)?;
        Some(At {
            line: &mut self.line,
            address: meter.config.address,
            profile: &meter.config.profile,
            authority_file: meter.config.authority_file.as_deref(),
            zone: &self.zone,
        })
    }

    /// What a silent meter costs: its time-out, and on a serial wire the silence that follows.
    fn cost_of_silence(&self) -> Duration {
        let settings = self.line.settings();
        match settings.framing {
            Framing::Rtu => settings.reply_timeout.max(settings.late_reply_max),
            Framing::Tcp => settings.reply_timeout,
        }
    }

    /// Whose turn it is. Silent meters are asked in time that nobody else needs, or else within their
    /// allowance; never while the readings of a record slot's edge are under way.
    fn turn(&self, now: Time) -> Turn {
        let wait = |at: Time| at.since(now).unwrap_or(Span::ZERO);
        let (live, spared) = (self.schedule.next(), self.schedule.next_spared());
        if let Some((due, place)) = spared
            && due <= now
        {
            let until_live = live.map(|(due, _)| Duration::from(wait(due)));
            let is_slack = until_live.is_none_or(|until| until >= self.cost_of_silence());
            if is_slack || (self.allowance.is_open() && !self.is_at_edge(now)) {
                return Turn::Poll(place, is_slack);
            }
        }
        match (live, spared) {
            (Some((due, place)), _) if due <= now => Turn::Poll(place, true),
            (Some((due, _)), Some((spared, _))) if spared > now => {
                Turn::Wait(wait(due).min(wait(spared)))
            }
            (Some((due, _)), _) => Turn::Wait(wait(due)),
            (None, Some((spared, _))) => Turn::Wait(wait(spared)),
            (None, None) => Turn::Wait(Span::from_mins(1)),
        }
    }

    /// Whether meters still wait to be read for the edge of a record slot.
    fn is_at_edge(&self, now: Time) -> bool {
        self.schedule.next().is_some_and(|(due, _)| due <= now && due.as_millis() % QUARTER_MS == 0)
    }

    /// Polls the meter whose turn it is; false when the engine takes no more.
    async fn poll_due(&mut self) -> bool {
        let now = self.clock.now();
        let Turn::Poll(place, is_free) = self.turn(now) else {
            return true; // only the clock was looked at
        };
        let Some(meter) = self.meters.get_mut(place) else { return true };
        let started = Instant::now();
        let MeterConfig { address, profile, .. } = &meter.config;
        let outcome = poll_meter(&mut self.line, *address, profile, &mut meter.answers).await;
        let took = started.elapsed();
        let at = self.clock.now();
        let then = self.taken(place, at, took, &outcome);
        self.schedule.polled(place, at, then);
        // What a meter cost that is silent, where others wait meanwhile.
        let others_wait = self.schedule.next().is_some_and(|(due, _)| due <= at);
        if matches!(then, Next::Spared(_)) && (!is_free || others_wait) {
            self.allowance.spend(self.cost_of_silence().max(took));
        }
        self.hand_in(place, at, outcome).await
    }

    async fn hand_in(
        &mut self,
        place: usize,
        at: Time,
        outcome: Result<Values, ReadFault>,
    ) -> bool {
        let Some(meter) = self.meters.get(place) else { return true };
        let observation = Observation { meter: meter.id.clone(), at, outcome };
        self.inbox.send(Input::Observed(observation)).await.is_ok()
    }

    /// Notes a poll on the board and in the meter's health; says when the meter is polled next.
    fn taken(
        &mut self,
        place: usize,
        at: Time,
        took: Duration,
        outcome: &Result<Values, ReadFault>,
    ) -> Next {
        let again = Span::from_millis(
            i64::try_from(self.cost_of_silence().as_millis()).unwrap_or(i64::MAX),
        );
        let settings = self.line.settings();
        let configured = settings.reply_timeout;
        let waits_less = settings.framing == Framing::Rtu;
        let Some(meter) = self.meters.get_mut(place) else { return Next::Slot };
        let class = outcome.as_ref().err().map(|fault| fault.class);
        let was_silent = meter.health.is_silent();
        let open = self.line.is_connected();
        // A closed line says nothing about its meters.
        let then = match class {
            Some(FaultClass::Timeout) if !open => Next::Spared(LINE_PAUSE),
            _ => meter.health.polled(class, again),
        };
        if was_silent && !meter.health.is_silent() {
            self.allowance.open();
        }
        if outcome.is_ok() {
            align(&self.board, meter, at);
        }
        {
            let mut meters = self.board.meters();
            let board = meters.entry(meter.id.clone()).or_default();
            board.took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let shorter = meter.answers.wait(configured).filter(|_| waits_less);
            board.reply = Some((meter.answers, shorter.unwrap_or(configured)));
            match outcome {
                Ok(values) => {
                    board.last = Some((at, values.clone()));
                    board.good += 1;
                    board.fault = None;
                }
                Err(fault) => {
                    board.count(fault.class);
                    board.fault = Some((at, fault.clone()));
                }
            }
        }
        self.used.1 += took;
        let counted = self.used.0.elapsed();
        {
            let mut lines = self.board.lines();
            if let Some(line) = lines.get_mut(&self.line_id) {
                line.open = open;
                line.polls.add(took);
                if counted >= USE_WINDOW {
                    let permille = self.used.1.as_micros() * 1000 / counted.as_micros().max(1);
                    line.busy_permille = u32::try_from(permille).unwrap_or(1000).min(1000);
                    self.used = (Instant::now(), Duration::ZERO);
                }
                let trouble = match outcome {
                    Err(fault) if !open => Some(fault.what.clone()),
                    Ok(_) | Err(_) => None,
                };
                match (&line.trouble, &trouble) {
                    (None, Some(why)) => warn!(line = %self.line_id, %why, "the line is closed"),
                    (Some(_), None) => info!(line = %self.line_id, "the line is open again"),
                    (None, None) | (Some(_), Some(_)) => {}
                }
                line.trouble = trouble;
            }
        }
        let (line, id) = (&self.line_id, &meter.id);
        match outcome {
            Ok(_) if was_silent => info!(%line, meter = %id, "answers again"),
            Ok(_) => {}
            Err(fault) if meter.health.is_silent() && !was_silent => {
                warn!(%line, meter = %id, class = fault.class.text(), why = %fault.what,
                      "does not answer; it is asked less often now");
            }
            Err(fault) if fault.class == FaultClass::Timeout => {
                debug!(%line, meter = %id, why = %fault.what, "timeout");
            }
            Err(fault) => {
                debug!(%line, meter = %id, class = fault.class.text(), why = %fault.what,
                       raw = %blockgate_drivers::hex::Hex(&fault.raw), "bad answer");
            }
        }
        then
    }

    /// Lends the wire to a scan.
    async fn scan(&mut self, job: Job, alive: &Progress, stop: &CancellationToken) {
        // A scan takes as long as it takes, and has a bound of its own.
        alive.idle();
        self.line.close();
        job.run(self.line.connector(), stop).await;
        self.line.unsettle();
        alive.moved();
    }

    async fn answer(
        &mut self,
        asked: &MeterId,
        frozen: Option<Frozen>,
        reply: oneshot::Sender<TestRead>,
    ) {
        let Some(place) = self.meters.iter().position(|meter| meter.id == *asked) else {
            return; // the asker is told by the closed channel
        };
        let Some(meter) = self.meters.get(place) else { return };
        let (address, profile) = (meter.config.address, meter.config.profile.clone());
        if let Some(which) = frozen {
            let read = test_read_frozen(&mut self.line, address, &profile, which).await;
            let _ = reply.send(read); // as below
            return;
        }
        let started = Instant::now();
        let read = test_read(&mut self.line, address, &profile).await;
        let at = self.clock.now();
        self.taken(place, at, started.elapsed(), &read.outcome);
        self.hand_in(place, at, read.outcome.clone()).await;
        // The asker may have gone; the reading counts all the same.
        let _ = reply.send(read);
    }
}

/// A wait that costs nothing when it is none; the poll itself gives way to others.
async fn sleep(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

/// Notes a meter's first reading behind the edge of a quarter-hour.
fn align(board: &Board, meter: &mut Meter, at: Time) {
    let edge = Time::from_millis(at.as_millis() - at.as_millis().rem_euclid(QUARTER_MS));
    let before = std::mem::replace(&mut meter.edge, edge);
    // One that was silent, or that nobody polls every quarter of an hour, says nothing about the others.
    if edge.since(before).is_none_or(|span| span.as_millis() != QUARTER_MS) {
        return;
    }
    let mut alignment = board.alignment();
    let within = alignment.within;
    if let Some(over) = alignment.note(edge, at).filter(|over| over.spread > within) {
        warn!(edge = %over.at, spread = %over.spread, %within, meters = over.meters,
              "the readings of a quarter-hour lie further apart than align_within");
    }
}

#[cfg(test)]
mod tests;
