//! The simulation: a month in the life of the whole gateway, as fast as the machine can. The engine, the
//! lines' workers, the store, the outbox and the MQTT client are the production ones; their clock, their
//! disk, their wire and their broker are simulated, on one runtime in paused time, so that a seed is the
//! same month each time ([ADR 0025]). The page and the control socket are left out: their sockets are real.
//!
//! [ADR 0025]: ../../../docs/adr/0025-one-runtime-for-the-simulation.md
//!
//! | module | what |
//! |---|---|
//! | [`fate`] | what goes wrong, and when, by the seed |
//! | [`world`] | meters, clock, broker, cloud |
//! | [`judge`] | what must hold afterwards |
//! | [`scenario`] | a month that somebody wrote down, and what came of it |
#![allow(clippy::missing_panics_doc, reason = "a panic here is a failed test, and says so")]

pub mod fate;
pub mod judge;
pub mod scenario;
pub mod world;

use blockgate::config::{Config, Text};
use blockgate::demo::broker::{Acknowledge, Broker, Faults};
use blockgate::ports::{Clock, Offload, Pulse};
use blockgate::run::{Groups, Ports, build};
use blockgate::store::Folder;
use blockgate::store::faulty::{Fault, FaultyDisk};
use blockgate_drivers::sim::{Fault as MeterFault, SimClock, When};
use blockgate_types::{Decimal, Span, Time};
use fate::{Dice, Fate, Kind};
use ring::digest::{Context, SHA256};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use world::{Cloud, EDGES, Edge, SharedCloud, Wall, Way};

/// A fault that is planted in the gateway's surroundings as if it were in its code, to see that the judges
/// see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canary {
    /// None: the gateway as it is.
    None,
    /// No call of fdatasync reaches the disk: as if the code forgot it.
    SkippedSync,
    /// The price that the gateway rates by is one ten-thousandth of a yuan lower than the one on the
    /// notice: as if a fraction were dropped.
    DroppedFen,
}

/// What came of a month.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Where, and which month's edge.
    pub edge: Edge,
    /// The hash of [`Self::story`].
    pub trace: String,
    /// Everything that came to the cloud, in its order, each life's end, and the journal's head.
    pub story: Story,
    /// Starts of the process.
    pub lives: u32,
    /// Records of the cloud.
    pub records: u64,
    /// Deliveries that came again.
    pub duplicates: u64,
    /// How often each kind of trouble came.
    pub faults: BTreeMap<Kind, u32>,
    /// What is wrong; nothing where all is well.
    pub wrong: Option<String>,
}

/// What came of a month, line by line.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Story(pub Vec<String>);

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines", self.0.len())
    }
}

impl Story {
    /// The hash of it.
    #[must_use]
    pub fn trace(&self) -> String {
        let mut trace = Context::new(&SHA256);
        for line in &self.0 {
            trace.update(line.as_bytes());
            trace.update(b"\n");
        }
        trace.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// The first line that is another one in `other`: its number, and both.
    #[must_use]
    pub fn parts_from(&self, other: &Self) -> Option<(usize, String, String)> {
        let line = |story: &Self, n: usize| story.0.get(n).cloned().unwrap_or_default();
        let n = (0..self.0.len().max(other.0.len())).find(|n| self.0.get(*n) != other.0.get(*n))?;
        Some((n + 1, line(self, n), line(other, n)))
    }
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The power went.
    Cut,
    /// The process was killed, or ended by itself on a fault of the disk.
    Killed,
    /// In order.
    Stopped,
    /// The month is over; in order.
    Over,
}

/// What lasts from one life to the next.
struct World {
    folder: Folder,
    disk: FaultyDisk,
    config: Config,
    cloud: SharedCloud,
    off_ms: Arc<AtomicI64>,
    unsynced: Arc<AtomicBool>,
    away: Arc<AtomicBool>,
    confirms: Arc<AtomicBool>,
    broker: Faults,
    full: u32,
    gone: u32,
    meters: Vec<world::MeterFault>,
    log: Vec<String>,
    faults: BTreeMap<Kind, u32>,
}

/// Length of the simulated journal's segments: a month fills some.
const SEGMENT: u64 = 1_200_000;
/// A password file that no password opens: the page is not there.
const PASSWORD: &str = "operator operator $argon2id$v=19$m=19456,t=2,p=1$c2ltdWxhdGlvbg$\
    3q2+7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
/// The signing key of every simulated gateway, so that heads are the same each time. It signs nothing real.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n\
    -----END PRIVATE KEY-----\n";

/// A month to live through.
struct Plan {
    seed: u64,
    edge: Edge,
    from: Time,
    until: Time,
    fates: VecDeque<Fate>,
    dice: Dice,
    /// Whether sled's folder is deleted between lives, now and then.
    forgets_trees: bool,
}

impl Plan {
    /// The last `days` before an edge, at least 2 and at most 31, and nearly two days behind it.
    fn before(seed: u64, edge: Edge, days: u32) -> Self {
        let from =
            Time::from_millis(edge.at - i64::from(days.clamp(2, 31)) * 86_400_000 - 7_200_000);
        let until = Time::from_millis(edge.at + 40 * 3_600_000);
        let (fates, dice) = (VecDeque::new(), Dice::new(seed));
        Self { seed, edge, from, until, fates, dice, forgets_trees: true }
    }
}

/// Lives through the month of a seed, in a folder of its own for what is not simulated (sled): the last
/// `days` of a month, at least 2 and at most 31, and nearly two days of the next.
#[must_use]
pub fn run(seed: u64, days: u32, canary: Canary) -> Report {
    let folder = tempfile::tempdir().expect("a folder");
    let place = usize::try_from(seed % EDGES.len() as u64).unwrap_or(0);
    let edge = EDGES[place];
    let mut plan = Plan::before(seed, edge, days);
    plan.fates = fate::draw(&mut plan.dice, plan.from, Time::from_millis(edge.at), plan.until);
    let mut world = World::new(folder.path(), seed, edge.zone, canary);
    lived(&mut world, plan)
}

thread_local! {
    /// The first panic of this thread's month, and where it was: a task that nobody waits for takes its panic with it.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes the panics of every thread from now on; they are printed as before.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANIC.with_borrow_mut(|noted| noted.get_or_insert_with(|| panic.to_string()).len());
            before(panic);
        }));
    });
    PANIC.take();
}

/// Lives through it.
fn lived(world: &mut World, plan: Plan) -> Report {
    let Plan { seed, edge, from, until, mut fates, mut dice, forgets_trees } = plan;
    note_panics();
    world.plan_meters(&fates);
    let (mut at, mut lives) = (from, 0);
    let wrong = loop {
        lives += 1;
        let life = live(world, &mut fates, seed, lives, at, until);
        let (ended, then) = match life {
            Ok(life) => life,
            Err(wrong) => break Some(wrong),
        };
        world.log.push(format!("{ended:?} {then}"));
        if let Err(wrong) = world.after(ended) {
            break Some(format!("after life {lives}, which ended at {then} ({ended:?}): {wrong}"));
        }
        if ended == Ended::Over {
            break None;
        }
        let sled = world.folder.state.join("sled");
        if dice.any().is_multiple_of(4) && forgets_trees {
            let _ = std::fs::remove_dir_all(&sled); // derived data (invariant 3)
        }
        at = then.plus(dice.span(Span::from_secs(2), Span::from_mins(30)));
        at = at.min(until.minus(Span::from_hours(20)).max(then));
    };
    let wrong = wrong.or_else(|| PANIC.take().map(|panic| format!("a task is lost: {panic}")));
    let judged = match wrong {
        Some(wrong) => Err(wrong),
        None => judge::all_is_well(&world.folder, &world.cloud, edge, until),
    };
    let cloud = world::lock(&world.cloud);
    let came = cloud.deliveries.iter().map(|event| String::from_utf8_lossy(event).into_owned());
    let ends = world.log.iter().cloned().chain(judged.clone().ok());
    let story = Story(came.chain(ends).collect());
    let (records, duplicates) = (cloud.whole, cloud.duplicates);
    drop(cloud);
    let (faults, wrong) = (world.faults.clone(), judged.err());
    Report { seed, edge, trace: story.trace(), story, lives, records, duplicates, faults, wrong }
}

impl World {
    fn new(dir: &Path, seed: u64, zone: &str, canary: Canary) -> Self {
        let state = dir.join("state");
        std::fs::create_dir_all(&state).expect("a folder");
        for (name, content) in [("password", PASSWORD), ("head.key", KEY)] {
            crate::gateway::private(&state.join(name), content);
        }
        let price = if canary == Canary::DroppedFen { "0.5468" } else { "0.5469" };
        let text = |name: &str, text| Text { name: name.to_owned(), text };
        let config = Config::parse(
            &text("blockgate.toml", world::config(zone)),
            &[text("rules.d/flat.toml", world::tariff(price))],
            &[],
            dir,
        );
        let config = config.unwrap_or_else(|faults| panic!("{}", faults[0]));
        let disk = FaultyDisk::with_fault(u64::MAX, Fault::Error, seed);
        if canary == Canary::SkippedSync {
            disk.lie();
        }
        let folder =
            Folder { state, disk: Arc::new(disk.clone()), segment_bytes: SEGMENT, ballast: false };
        Self {
            folder,
            disk,
            config,
            cloud: Arc::new(std::sync::Mutex::new(Cloud::default())),
            off_ms: Arc::default(),
            unsynced: Arc::default(),
            away: Arc::default(),
            confirms: Arc::new(AtomicBool::new(true)),
            broker: Faults::default(),
            full: 0,
            gone: 0,
            meters: Vec::new(),
            log: Vec::new(),
            faults: BTreeMap::new(),
        }
    }

    /// What the meters do wrong is known to them from the beginning.
    fn plan_meters(&mut self, fates: &VecDeque<Fate>) {
        for fate in fates.iter().filter(|fate| fate.begins) {
            let when = When::Between(fate.at, fate.at.plus(fate.lasts));
            let meter = usize::try_from(fate.n % 3).unwrap_or(0);
            let fault = match fate.kind {
                Kind::MeterSilent => MeterFault::Silent,
                Kind::MeterLow => MeterFault::LowerValue(Decimal::from(100)),
                Kind::MeterNoise => match fate.n % 5 {
                    0 => MeterFault::Garbled,
                    1 => MeterFault::Late(Duration::from_millis(700)),
                    2 => MeterFault::Half,
                    3 => MeterFault::Previous,
                    _ => MeterFault::WrongUnit(9),
                },
                _ => continue,
            };
            self.meters.push((meter, when, fault));
        }
    }

    /// A failure as it reads wherever the simulated state lies: the trace is the same each time.
    fn named(&self, text: &str) -> String {
        text.replace(&self.config.state_dir.display().to_string(), "STATE")
    }

    /// The process is gone; what the disk has after it.
    fn after(&mut self, ended: Ended) -> Result<(), String> {
        if ended == Ended::Cut {
            self.disk = self.disk.after_the_cut();
            self.folder.disk = Arc::new(self.disk.clone());
        }
        self.disk.mend();
        self.disk.fill(false);
        let judged = judge::nothing_that_left_is_lost(&self.folder, &self.cloud);
        self.disk.fill(self.full > 0);
        judged
    }

    /// Something begins or ends. Gives how the life ends by it, if it does.
    fn apply(&mut self, fate: &Fate, hub: &Broker, truth: Time) -> Option<Ended> {
        let begins = fate.begins;
        if begins {
            *self.faults.entry(fate.kind).or_default() += 1;
        }
        match fate.kind {
            Kind::PowerCut if begins => return Some(Ended::Cut),
            Kind::Kill if begins => return Some(Ended::Killed),
            Kind::Stop if begins => return Some(Ended::Stopped),
            Kind::CutAtCall if begins => self.disk.plan(1 + fate.n % 400, Fault::Cut),
            Kind::DiskError if begins => self.disk.plan(1 + fate.n % 400, Fault::Error),
            Kind::PowerCut | Kind::Kill | Kind::Stop | Kind::CutAtCall | Kind::DiskError => {}
            Kind::DiskFull => {
                self.full = if begins { self.full + 1 } else { self.full.saturating_sub(1) };
                self.disk.fill(self.full > 0);
            }
            Kind::BrokerAway => {
                self.away.store(begins, Ordering::Relaxed);
                if begins {
                    hub.cut();
                }
            }
            Kind::BrokerRefuses => {
                use rumqttc::ConnectReturnCode as Code;
                let codes = [
                    Code::ServerBusy,
                    Code::ServerUnavailable,
                    Code::NotAuthorized,
                    Code::Banned,
                    Code::QuotaExceeded,
                    Code::UseAnotherServer,
                ];
                let code = codes[usize::try_from(fate.n).unwrap_or(0) % codes.len()];
                self.broker.refuse = begins.then_some(code);
                if begins {
                    hub.cut();
                }
            }
            Kind::BrokerForgets | Kind::BrokerMute => {
                self.broker.acknowledge = match (begins, fate.kind) {
                    (true, Kind::BrokerForgets) => Acknowledge::AndForget,
                    (true, _) => Acknowledge::Never,
                    (false, _) => Acknowledge::Properly,
                };
            }
            Kind::BrokerCuts => {
                self.broker.cut_after = begins.then_some(1 + fate.n % 9);
                if begins {
                    hub.cut();
                }
            }
            Kind::NoReceipts => self.confirms.store(!begins, Ordering::Relaxed),
            Kind::ClockStep | Kind::ClockOverEdge => {
                let hours = i64::try_from(fate.n % 7).unwrap_or(0) - 3;
                let off = if fate.kind == Kind::ClockOverEdge { -2 } else { hours };
                self.off_ms.store(if begins { off * 3_600_000 } else { 0 }, Ordering::Relaxed);
            }
            // The process starts anew with a clock that is not set.
            Kind::Clock1970 | Kind::Clock2038 => {
                let year_2038 = 2_147_483_640_000;
                let wall = if fate.kind == Kind::Clock1970 { 0 } else { year_2038 };
                let off = if begins { wall - truth.as_millis() } else { 0 };
                self.off_ms.store(off, Ordering::Relaxed);
                self.unsynced.store(begins, Ordering::Relaxed);
                if begins {
                    return Some(Ended::Cut);
                }
            }
            Kind::LineGone => {
                self.gone = if begins { self.gone + 1 } else { self.gone.saturating_sub(1) };
            }
            Kind::MeterSilent | Kind::MeterLow | Kind::MeterNoise => {}
        }
        hub.set_faults(self.broker.clone());
        None
    }
}

/// One life of the process, from its start to its end. Gives how and when it ended.
fn live(
    world: &mut World,
    fates: &mut VecDeque<Fate>,
    seed: u64,
    number: u32,
    from: Time,
    until: Time,
) -> Result<(Ended, Time), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|e| e.to_string())?;
    let boot = format!("{:08x}", seed.wrapping_mul(1009).wrapping_add(number.into()) & 0xffff_ffff);
    let mut ended = runtime.block_on(life(world, fates, boot, from, until));
    if let Ok((how @ Ended::Killed, _)) = &mut ended
        && world.disk.is_off()
    {
        *how = Ended::Cut; // the power had gone, and the kill came before anybody noticed
    }
    if matches!(ended, Ok((Ended::Cut, _))) {
        world.disk.cut();
    }
    drop(runtime); // whatever still ran is gone
    ended
}

async fn life(
    world: &mut World,
    fates: &mut VecDeque<Fate>,
    boot: String,
    from: Time,
    until: Time,
) -> Result<(Ended, Time), String> {
    let truth = SimClock::starting_at(from);
    let clock: Arc<dyn Clock> =
        Arc::new(Wall { truth, off_ms: world.off_ms.clone(), unsynced: world.unsynced.clone() });
    let connect = world::field(truth, &world.meters);
    let ports = Ports {
        clock,
        connect: Arc::new(connect.clone()),
        folder: world.folder.clone(),
        offload: Offload::Inline,
        pulse: Pulse {
            conditions: Duration::from_secs(300),
            outbox: Duration::from_secs(60),
            broker: Duration::from_secs(60),
        },
        upkeep: Arc::default(),
    };
    let hub = Broker::new(CancellationToken::new());
    hub.set_faults(world.broker.clone());
    let (field, doors) = match build(&world.config, &ports, boot) {
        Ok(built) => built,
        // A start on a failing or full disk fails with a sentence, and is made again.
        Err(error) if world.disk.struck() || world.full > 0 => {
            world.log.push(world.named(&format!("no start: {error:#}")));
            return Ok((Ended::Killed, later(world, fates, &hub, from)));
        }
        Err(error) => return Err(format!("it does not start: {error:#}")),
    };
    tokio::spawn(world::keep(hub.clone(), world.cloud.clone(), world.confirms.clone()));
    let groups = Groups::default();
    field.start(&groups).await.map_err(|e| e.to_string())?;
    let way = Way { hub: hub.clone(), away: world.away.clone() };
    doors.start_without_sockets(&groups, Some(Arc::new(way)));
    world::unplug(&connect, world.gone > 0);
    loop {
        let now = truth.now();
        let next = fates.front().map_or(until, |fate| fate.at.min(until));
        let wait = next.since(now).unwrap_or(Span::ZERO);
        let failed = tokio::select! { biased;
            failure = groups.supervisor.failed() => Some(failure),
            () = tokio::time::sleep(wait.into()) => None,
        };
        let now = truth.now();
        if let Some(failure) = failed {
            // A fault that is planned after the power went does not bring it back.
            let expected = world.disk.struck() || world.disk.is_off() || world.full > 0;
            if !expected {
                return Err(format!("it ended by itself at {now}: {failure}"));
            }
            world.log.push(world.named(&failure.to_string()));
            let cut = world.disk.is_off();
            let then = if world.full > 0 { later(world, fates, &hub, now) } else { now };
            return Ok((if cut { Ended::Cut } else { Ended::Killed }, then));
        }
        if now >= until {
            groups.stop().await;
            return Ok((Ended::Over, truth.now()));
        }
        let Some(fate) = fates.pop_front() else { continue };
        let ended = world.apply(&fate, &hub, now);
        world::unplug(&connect, world.gone > 0);
        match ended {
            None => {}
            Some(Ended::Stopped) => {
                groups.stop().await;
                return Ok((Ended::Stopped, truth.now()));
            }
            Some(ended) => return Ok((ended, now)),
        }
    }
}

/// Nobody can start on a full disk that needs room: time passes until something changes.
fn later(world: &mut World, fates: &mut VecDeque<Fate>, hub: &Broker, now: Time) -> Time {
    let mut at = now;
    while world.full > 0
        && let Some(fate) = fates.pop_front()
    {
        at = at.max(fate.at);
        let _ = world.apply(&fate, hub, at); // a process that is not there cannot be killed
    }
    at.plus(Span::from_secs(5))
}
