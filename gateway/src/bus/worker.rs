//! The task of one line: waits for the next poll or for a person's read, carries it out, stamps it
//! with wall time and hands it to the engine. One request at a time; a person's read goes first. A scan
//! borrows the wire, and the polls wait.

use super::act::{At, Pending, Report};
use super::health::Health;
use super::schedule::Schedule;
use crate::board::Board;
use crate::config::MeterConfig;
use crate::ports::Clock;
use crate::scans::Job;
use crate::supervise::Progress;
use blockgate_drivers::line::Line;
use blockgate_drivers::meter::{TestRead, read_meter, test_read};
use blockgate_rules::Input;
use blockgate_types::{
    Act, Control, FaultClass, LineId, MeterId, MeterState, Observation, ReadFault, Span, Time,
    Values,
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

/// A difference between wall clock and monotonic clock beyond this is a step of the wall clock.
const STEP: Span = Span::from_secs(2);

struct Meter {
    id: MeterId,
    config: MeterConfig,
    health: Health,
}

/// The task of one line.
pub struct Worker {
    line_id: LineId,
    line: Line,
    meters: Vec<Meter>,
    schedule: Schedule,
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
        let schedule = Schedule::new(meters.iter().map(|(_, m)| m.poll_every).collect(), now);
        let meters = meters
            .into_iter()
            .map(|(id, config)| Meter { id, config, health: Health::default() })
            .collect();
        let reference = (now, Instant::now());
        let used = (Instant::now(), Duration::ZERO);
        let sampling = board.sampling.subscribe();
        Self {
            line_id,
            line,
            meters,
            schedule,
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
                    Some(Ask::Read { meter, reply }) => self.answer(&meter, reply).await,
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
        let due = self.schedule.next().map(|(due, _)| due.since(now).unwrap_or(Span::ZERO));
        let poll = Duration::from(due.unwrap_or(LOOK_AT_CLOCK).min(LOOK_AT_CLOCK));
        let looks = self.pending.iter().map(|pending| pending.next);
        let look = looks.min().map(|at| at.saturating_duration_since(Instant::now()));
        look.map_or(poll, |look| look.min(poll))
    }

    /// Tells a meter something.
    async fn act(&mut self, meter: &MeterId, act: Act, reply: oneshot::Sender<Report>) {
        let Some(place) = self.meters.iter().position(|known| known.id == *meter) else { return };
        let now = self.clock.now();
        info!(line = %self.line_id, %meter, %act, "the meter is told");
        let Some(mut at) = self.at(place) else { return };
        let pending = at.begin(place, act, now, reply).await;
        self.pending.extend(pending);
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

    /// Polls the meter that is due; false when the engine takes no more.
    async fn poll_due(&mut self) -> bool {
        let now = self.clock.now();
        let Some((due, place)) = self.schedule.next() else { return true };
        if due > now {
            return true; // only the clock was looked at
        }
        let Some(meter) = self.meters.get(place) else { return true };
        let started = Instant::now();
        let outcome = read_meter(&mut self.line, meter.config.address, &meter.config.profile).await;
        let took = started.elapsed();
        let at = self.clock.now();
        let pause = self.taken(place, at, took, &outcome);
        self.schedule.polled(at, pause);
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

    /// Notes a poll on the board and in the meter's health; says how long the meter is spared.
    fn taken(
        &mut self,
        place: usize,
        at: Time,
        took: Duration,
        outcome: &Result<Values, ReadFault>,
    ) -> Option<Span> {
        let meter = self.meters.get_mut(place)?;
        let class = outcome.as_ref().err().map(|fault| fault.class);
        let was_silent = meter.health.is_silent();
        let pause = meter.health.polled(class);
        {
            let mut meters = self.board.meters();
            let board = meters.entry(meter.id.clone()).or_default();
            board.took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
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
        let open = self.line.is_connected();
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
        pause
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

    async fn answer(&mut self, asked: &MeterId, reply: oneshot::Sender<TestRead>) {
        let Some(place) = self.meters.iter().position(|meter| meter.id == *asked) else {
            return; // the asker is told by the closed channel
        };
        let Some(meter) = self.meters.get(place) else { return };
        let (address, profile) = (meter.config.address, meter.config.profile.clone());
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
