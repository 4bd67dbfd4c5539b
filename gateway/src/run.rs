//! The wiring: from a config and its ports to running tasks, on one screen.
//!
//! Two runtimes. The *field* runtime has the lines and the engine; `demo` and the simulation run it
//! in paused time. The *doors* runtime, on a thread of its own, has MQTT and HTTP: it always lives in
//! real time, and a barrier's question does not wait behind a poll (ADR 0007).
//!
//! The order of stopping follows the flow of data: who asks, who answers, who remembers, who tells.

use crate::board::{Board, LineBoard};
use crate::bus::act::Report;
use crate::bus::worker::{Ask, Worker};
use crate::command::CommandDoor;
use crate::config::Config;
use crate::doors;
use crate::engine::{Engine, Errand};
use crate::http;
use crate::lanes::gate::Gate;
use crate::lanes::{Lanes, asks};
use crate::limits;
use crate::mapper;
use crate::mqtt;
use crate::outbox::Outbox;
use crate::ports::{Broker, Clock, Disk, Offload, Pulse};
use crate::scans::{Job, Place, Scans};
use crate::store::head::HeadKey;
use crate::store::journal::Records;
use crate::store::record::Origin;
use crate::store::{Folder, Store};
use crate::supervise::{Group, Supervisor, Watchdog, feed_systemd};
use crate::upkeep::Upkeep;
use anyhow::Context;
use blockgate_drivers::line::{Framing, Line, LineSettings};
use blockgate_drivers::meter::TestRead;
use blockgate_drivers::transport::{Connect, Target};
use blockgate_rules::Input;
use blockgate_rules::access::Access;
use blockgate_rules::act::{Acted, Acting, Looked, outcome_of};
use blockgate_rules::block::Epoch;
use blockgate_rules::event::{AlarmCode, Event, Outcome};
use blockgate_rules::input::{Command, Order};
use blockgate_types::{ActResult, Frozen, LineId, MeterId, MeterState, Time};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The ways to the real world that the field runtime uses.
#[derive(Clone)]
pub struct Ports {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Lines.
    pub connect: Arc<dyn Connect>,
    /// The files of the store, in the config's state folder.
    pub folder: Folder,
    /// Where what blocks runs.
    pub offload: Offload,
    /// How often the gateway looks at itself.
    pub pulse: Pulse,
    /// What outlives a reload.
    pub upkeep: Arc<Upkeep>,
}

impl Ports {
    /// The files, threads and intervals of a daemon, with this clock and these lines.
    #[must_use]
    pub fn real(state: &Path, clock: Arc<dyn Clock>, connect: Arc<dyn Connect>) -> Self {
        let (offload, pulse) = (Offload::Threads, Pulse::default());
        let folder = Folder { ballast: true, ..Folder::real(state) };
        Self { clock, connect, folder, offload, pulse, upkeep: Arc::default() }
    }
}

/// Reads of single meters, now, through the tasks of their lines.
#[derive(Clone, Default)]
pub struct Reads {
    lines: BTreeMap<MeterId, mpsc::Sender<Ask>>,
}

impl Reads {
    /// Hands a question to a meter's line; false where nobody is there to take it.
    async fn ask(&self, meter: &MeterId, ask: Ask) -> bool {
        match self.lines.get(meter) {
            Some(line) => line.send(ask).await.is_ok(),
            None => false,
        }
    }

    /// Reads a meter, or what it froze; `None` when it is not known or the gateway stops.
    pub async fn read(&self, meter: &MeterId, frozen: Option<Frozen>) -> Option<TestRead> {
        let (reply, read) = oneshot::channel();
        let ask = Ask::Read { meter: meter.clone(), frozen, reply };
        self.lines.get(meter)?.send(ask).await.ok()?;
        read.await.ok()
    }
}

/// The inner side: lines and engine.
pub struct Field {
    engine: Engine,
    inbox: mpsc::Receiver<Input>,
    orders: mpsc::Receiver<crate::command::Order>,
    hand: mpsc::Sender<Input>,
    errands: mpsc::Receiver<Errand>,
    workers: Vec<Worker>,
    scans: mpsc::Receiver<Job>,
    connect: Arc<dyn Connect>,
    gates: Vec<Gate>,
    controllers: Vec<doors::worker::Worker>,
    doors_at: Arc<doors::Doors>,
    zone: String,
    reads: Reads,
    clock: Arc<dyn Clock>,
    first: Vec<Input>,
}

/// The outer side: MQTT, page and API, control socket.
pub struct Doors {
    config: Config,
    shared: Arc<http::Shared>,
    origin: Origin,
    head_key: String,
    disk: Arc<dyn Disk>,
    offload: Offload,
    pulse: Pulse,
    hand: mpsc::Sender<Input>,
    reads: Reads,
}

/// The groups of tasks, in the order in which they stop.
#[derive(Debug, Clone)]
pub struct Groups {
    /// Knows the first failure of any task.
    pub supervisor: Supervisor,
    /// Requests and commands.
    pub doors: Group,
    /// Polls.
    pub lines: Group,
    /// The engine makes durable what it holds and ends.
    pub engine: Group,
    /// The outbox is told to the cloud as far as it goes.
    pub cloud: Group,
}

impl Default for Groups {
    fn default() -> Self {
        let supervisor = Supervisor::new();
        Self {
            doors: supervisor.group("doors"),
            lines: supervisor.group("lines"),
            engine: supervisor.group("engine"),
            cloud: supervisor.group("cloud"),
            supervisor,
        }
    }
}

impl Groups {
    /// Stops lines and engine: what was read becomes durable. To be called on the field runtime.
    pub async fn stop_field(&self) {
        self.lines.stop(limits::LINES_STOP_MAX).await;
        self.engine.stop(limits::ENGINE_STOP_MAX).await;
    }

    /// Stops all in order.
    pub async fn stop(&self) {
        self.doors.stop(limits::DOORS_STOP_MAX).await;
        self.stop_field().await;
        self.cloud.stop(limits::OUTBOX_STOP_MAX).await;
    }
}

/// Opens the store and builds both sides; nothing polls or listens yet.
///
/// # Errors
/// When the store cannot be opened: in use, or damaged, with what to do.
pub fn build(config: &Config, ports: &Ports, boot: String) -> anyhow::Result<(Field, Doors)> {
    let Ports { clock, connect, folder, offload, pulse, upkeep } = ports;
    let source = format!("/blockgate/{}/{}", config.identity.tenant, config.identity.gateway);
    let (store, block, found) = Store::open_at(folder, &mut |_, _| {})
        .with_context(|| format!("the store in {}", config.state_dir.display()))?;
    info!(
        last = found.last,
        checkpoint = found.checkpoint,
        replayed = found.replayed,
        "the store is open"
    );
    if let Some(cut) = &found.cut {
        info!(seq = cut.seq, bytes = cut.bytes, "a torn tail, never acknowledged, was cut");
    }
    let mut epochs = block.epochs().to_vec();
    if let Some(after) = found.restored {
        warn!(after, epoch = boot, "a backup was restored: another history begins behind it");
        epochs.push(Epoch { after, name: boot.clone() });
    }
    let epoch = epochs.last().map(|epoch| epoch.name.clone());
    let origin = Origin { source, boot: boot.clone(), epoch };
    store.outbox.set_epochs(epochs);
    let (key, replaced) = HeadKey::open(&config.state_dir)
        .with_context(|| format!("the key in {}", config.state_dir.display()))?;
    let board = Arc::new(Board::default());
    board.alignment().within = config.align_within;
    let (durable, _) = broadcast::channel(limits::DURABLE_RING);
    let shared = Arc::new(crate::engine::Shared {
        board: board.clone(),
        trees: store.trees.clone(),
        outbox: store.outbox.clone(),
        clock: clock.clone(),
        durable,
    });
    let (hand, inbox) = mpsc::channel(limits::INBOX_MAX);
    let (door, orders) = CommandDoor::new();
    let (errand, errands) = mpsc::channel(limits::ERRANDS_MAX);
    let (workers, reads, places) = lines(config, &board, clock, connect, &hand);
    let (scans, jobs) = Scans::new(places, clock.clone());
    upkeep.carry(&scans);
    let (lanes, ends) = Lanes::new(config.lanes_at.clone(), hand.clone());
    let (doors, controllers) = doors::Doors::new(config.doors_at.clone(), &config.setup, &board);
    show_entries(&store, &doors);
    let controllers =
        controllers.into_iter().map(|(id, config, acts, hint)| doors::worker::Worker {
            id,
            config,
            doors: doors.clone(),
            connect: connect.clone(),
            clock: clock.clone(),
            hand: hand.clone(),
            acts,
            hint,
        });
    let controllers = controllers.collect();
    let gates = ends.acts.into_iter().map(|(lane, barrier, acts, arm)| Gate {
        lane,
        config: barrier,
        lanes: lanes.clone(),
        connect: connect.clone(),
        clock: clock.clone(),
        hand: hand.clone(),
        acts,
        arm,
        locked_out: false,
    });
    let gates = gates.collect();
    // The first record of another history says so.
    let restored = found.restored.map(|after| Input::Restored {
        now: clock.now(),
        after,
        epoch: boot.clone(),
    });
    let mut first: Vec<Input> = restored.into_iter().collect();
    first.extend([
        Input::Started {
            now: clock.now(),
            boot: boot.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: config.hash.clone(),
        },
        Input::Setup { now: clock.now(), setup: Box::new(config.setup.clone()) },
    ]);
    for warning in found.warnings.iter().chain(&replaced) {
        warn!("{warning}");
        first.push(Input::Condition {
            now: clock.now(),
            code: AlarmCode::Store,
            subject: "store".to_owned(),
            active: true,
            facts: BTreeMap::from([("found".to_owned(), warning.clone())]),
        });
    }
    let status = http::Status {
        version: env!("CARGO_PKG_VERSION"),
        boot,
        config_hash: config.hash.clone(),
        head_key: (key.public(), key.id()),
        started: clock.now(),
        tenant: config.identity.tenant.clone(),
        gateway: config.identity.gateway.clone(),
        zone: config.setup.zone.clone(),
    };
    let http = Arc::new(http::Shared {
        board,
        trees: store.trees.clone(),
        outbox: store.outbox.clone(),
        door,
        clock: clock.clone(),
        accounts: upkeep.accounts(&config.state_dir)?,
        status,
        setup: RwLock::new(Arc::new(config.setup.clone())),
        durable: shared.durable.clone(),
        lanes: lanes.clone(),
        doors: doors.clone(),
        reads: reads.clone(),
        scans: Arc::new(scans),
        upkeep: upkeep.clone(),
        hand: hand.clone(),
    });
    let commit_interval = config.commit_interval.into();
    let head_key = key.public();
    let mut engine = Engine::new(store, block, shared, origin.clone(), commit_interval, errand);
    engine.with_lanes(lanes.clone(), ends.crossings);
    let doors_at = doors.clone();
    engine.with_doors(doors);
    engine.sign_heads(key);
    engine.offload_to(*offload);
    let field = Field {
        engine,
        inbox,
        orders,
        hand: hand.clone(),
        errands,
        workers,
        scans: jobs,
        connect: connect.clone(),
        gates,
        controllers,
        doors_at,
        zone: config.setup.zone.clone(),
        reads: reads.clone(),
        clock: clock.clone(),
        first,
    };
    let (disk, offload, pulse) = (folder.disk.clone(), *offload, *pulse);
    let config = config.clone();
    Ok((field, Doors { config, shared: http, origin, head_key, disk, offload, pulse, hand, reads }))
}

/// What happened at doors before this start, for the page.
fn show_entries(store: &Store, doors: &doors::Doors) {
    if doors.setup().is_none() {
        return;
    }
    let newest = match store.trees.newest(limits::DOOR_RECORDS_AT_START) {
        Ok(newest) => newest,
        Err(error) => return warn!(%error, "the doors' last entries are not shown"),
    };
    for (_, payload) in newest {
        let Ok(record) = crate::store::record::decode(&payload) else { continue };
        if let Event::Door(access) = record.data
            && let Access::Read { controller, entries, .. } = *access
        {
            doors.show(&controller, &entries);
        }
    }
}

fn lines(
    config: &Config,
    board: &Arc<Board>,
    clock: &Arc<dyn Clock>,
    connect: &Arc<dyn Connect>,
    hand: &mpsc::Sender<Input>,
) -> (Vec<Worker>, Reads, BTreeMap<LineId, Place>) {
    let mut meters_of: BTreeMap<LineId, Vec<_>> = BTreeMap::new();
    for (id, meter) in &config.meters {
        meters_of.entry(meter.line.clone()).or_default().push((id.clone(), meter.clone()));
        let mut meters = board.meters();
        let entry = meters.entry(id.clone()).or_default();
        entry.line = Some(meter.line.clone());
        entry.profile.clone_from(&meter.profile.id);
        entry.address = meter.address;
    }
    let zone = jiff::tz::TimeZone::get(&config.setup.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let (mut workers, mut reads, mut places) = (Vec::new(), Reads::default(), BTreeMap::new());
    for (id, settings) in &config.lines {
        let what = format!("{} {}", kind(settings), settings.target);
        board.lines().insert(id.clone(), LineBoard { what, ..LineBoard::default() });
        let (ask, asks) = mpsc::channel(limits::ERRANDS_MAX);
        let meters = meters_of.remove(id).unwrap_or_default();
        for (meter, _) in &meters {
            reads.lines.insert(meter.clone(), ask.clone());
        }
        let by_address = meters.iter().map(|(meter, config)| (config.address, meter.clone()));
        let (target, framing) = (settings.target.clone(), settings.framing);
        let place = Place { target, framing, asks: ask, meters: by_address.collect() };
        places.insert(id.clone(), place);
        let line = Line::new(settings.clone(), connect.clone());
        let (board, clock) = (board.clone(), clock.clone());
        let worker = Worker::new(id.clone(), line, meters, board, clock, hand.clone(), asks);
        workers.push(worker.in_zone(zone.clone()));
    }
    (workers, reads, places)
}

impl Field {
    /// Starts lines and engine on the present runtime.
    ///
    /// # Errors
    /// None in practice: the inbox is new.
    pub async fn start(self, groups: &Groups) -> anyhow::Result<()> {
        let Self { mut engine, inbox, orders, hand, errands, gates, reads, clock, .. } = self;
        let Self { workers, scans, connect, first, controllers, doors_at, zone, .. } = self;
        let mut watchdog = Watchdog::new();
        engine.watched(watchdog.part("engine"), watchdog.part("store"));
        for input in first {
            hand.send(input).await.context("the inbox")?;
        }
        groups.engine.spawn("engine", engine.run(inbox, orders, groups.engine.stopping()));
        for worker in workers {
            let (name, stop) = (worker.line_id().to_string(), groups.lines.stopping());
            let alive = watchdog.part(name.clone());
            groups.lines.spawn(name, async move {
                worker.run(alive, stop).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
        for gate in gates {
            let (name, stop) = (format!("gate {}", gate.lane), groups.lines.stopping());
            groups.lines.spawn(name, async move {
                gate.run(stop).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
        for controller in controllers {
            let (name, stop) = (format!("controller {}", controller.id), groups.lines.stopping());
            let zone = zone.clone();
            groups.lines.spawn(name, async move {
                controller.run(&zone, stop).await;
                Ok::<(), std::convert::Infallible>(())
            });
        }
        let stop = groups.lines.stopping();
        let connect_to = connect.clone();
        groups.lines.spawn("door events", async move {
            doors::listener::run(doors_at, connect_to, stop).await;
            Ok::<(), std::convert::Infallible>(())
        });
        let stop = groups.lines.stopping();
        groups.lines.spawn("scans", async move {
            run_scans(scans, connect, stop).await;
            Ok::<(), std::convert::Infallible>(())
        });
        let stop = groups.lines.stopping();
        groups.lines.spawn("errands", async move {
            run_errands(errands, reads, hand, clock, stop).await;
            Ok::<(), std::convert::Infallible>(())
        });
        let stop = groups.engine.stopping();
        groups.engine.spawn("watchdog", async move {
            feed_systemd(watchdog, stop.clone()).await;
            stop.cancelled().await; // at once without a watchdog
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(())
    }
}

/// The kind as the config writes it.
fn kind(settings: &LineSettings) -> &'static str {
    match (&settings.target, settings.framing) {
        (Target::Serial { .. }, _) => "serial",
        (Target::Tcp { .. }, Framing::Rtu) => "rtu-over-tcp",
        (Target::Tcp { .. }, Framing::Tcp) => "tcp",
    }
}

/// Scans wires that no line uses.
async fn run_scans(
    mut scans: mpsc::Receiver<Job>,
    connect: Arc<dyn Connect>,
    stop: CancellationToken,
) {
    loop {
        let job = tokio::select! { biased;
            () = stop.cancelled() => return,
            job = scans.recv() => job,
        };
        let Some(job) = job else { return stop.cancelled().await };
        job.run(connect.clone(), &stop).await;
    }
}

/// Carries out what the engine cannot: what happens on lines. Several at once, because a valve takes half
/// a minute; as many as the errands' queue holds.
async fn run_errands(
    mut errands: mpsc::Receiver<Errand>,
    reads: Reads,
    hand: mpsc::Sender<Input>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut running = tokio::task::JoinSet::new();
    loop {
        let errand = tokio::select! { biased;
            () = stop.cancelled() => return,
            Some(_) = running.join_next() => continue,
            errand = errands.recv(), if running.len() < limits::ERRANDS_MAX => errand,
        };
        let Some(errand) = errand else { return };
        let (reads, hand, clock) = (reads.clone(), hand.clone(), clock.clone());
        running.spawn(async move {
            let input = match errand {
                Errand::Read(command) => read_now(&reads, &*clock, &command).await,
                Errand::Act(acting) => Some(told(&reads, &*clock, acting).await),
                Errand::Look(acting) => Some(looked(&reads, &*clock, acting).await),
            };
            if let Some(input) = input {
                // An engine that has ended remembers what is open, and asks at its next start.
                let _ = hand.send(input).await;
            }
        });
    }
}

async fn read_now(reads: &Reads, clock: &dyn Clock, command: &Command) -> Option<Input> {
    let Order::ReadNow { meter, frozen } = &command.order else { return None };
    let (outcome, detail) = match reads.read(meter, *frozen).await {
        Some(TestRead { outcome: Ok(values), frozen_at, .. }) => {
            let rows = crate::control::values_json(&values, frozen_at.as_deref());
            (Outcome::Done, rows.to_string())
        }
        Some(TestRead { outcome: Err(fault), .. }) => (Outcome::Failed, fault.to_string()),
        None => (Outcome::Failed, "the line does not answer: the gateway stops".to_owned()),
    };
    Some(Input::CommandDone { now: clock.now(), id: command.id.clone(), outcome, detail })
}

/// Tells a meter something, once.
async fn told(reads: &Reads, clock: &dyn Clock, acting: Acting) -> Input {
    let (reply, report) = oneshot::channel();
    let ask = Ask::Act { meter: acting.meter.clone(), act: acting.order, reply };
    let report = match reads.ask(&acting.meter, ask).await {
        // A line that stops in the middle says nothing: it may have been carried out.
        true => report.await.unwrap_or_else(|_| Report {
            result: ActResult::Unknown,
            state: None,
            detail: "the gateway stopped before it was known".to_owned(),
        }),
        false => Report {
            result: ActResult::NotSent,
            state: None,
            detail: "the meter's line takes nothing: the gateway stops".to_owned(),
        },
    };
    let Report { result, state, detail } = report;
    let outcome = outcome_of(result);
    if outcome != Outcome::Done {
        tracing::error!(meter = %acting.meter, act = %acting.order, result = result.word(), why = %detail,
            "the meter did not do what it was told");
    }
    let (action, meter, at) = (acting.action, acting.meter, clock.now());
    Input::MeterActed(Acted { action, meter, at, outcome, result, state, detail })
}

/// Asks a meter how it stands, until it says.
async fn looked(reads: &Reads, clock: &dyn Clock, acting: Acting) -> Input {
    let mut detail = String::new();
    for tried in 0..limits::LOOKS_MAX {
        if tried > 0 {
            tokio::time::sleep(limits::LOOK_EVERY).await;
        }
        let (reply, seen) = oneshot::channel();
        let (meter, control) = (acting.meter.clone(), acting.order.control());
        let sent = reads.ask(&acting.meter, Ask::Look { meter, control, reply }).await;
        match if sent { seen.await.ok() } else { None } {
            Some(Ok(state)) => {
                return as_looked(acting, clock.now(), Some(state), String::new());
            }
            Some(Err(why)) => detail = why,
            None => break,
        }
    }
    as_looked(acting, clock.now(), None, detail)
}

fn as_looked(acting: Acting, at: Time, state: Option<MeterState>, detail: String) -> Input {
    let (action, meter) = (acting.action, acting.meter);
    // Whether that is what was ordered, the rules say.
    Input::MeterLooked(Looked { action, meter, at, state, as_ordered: None, detail })
}

impl Doors {
    /// What page and metrics share; `demo` asks it for its summary.
    #[must_use]
    pub fn shared(&self) -> &Arc<http::Shared> {
        &self.shared
    }

    /// Starts MQTT, HTTP and the control socket on the present runtime. Gives the page's address.
    ///
    /// # Errors
    /// When an address or the control socket cannot be listened on.
    pub async fn start(self, groups: &Groups) -> anyhow::Result<Option<SocketAddr>> {
        type Never = std::convert::Infallible;
        let doors = &groups.doors;
        let control = crate::control::listen(&self.config.state_dir)?;
        let (asked, reads, stop) = (self.shared.clone(), self.reads.clone(), doors.stopping());
        doors.spawn("control", async move {
            crate::control::run(control, asked, reads, stop).await;
            Ok::<(), Never>(())
        });
        let mut address = None;
        if let Some(http) = self.config.http.clone() {
            let listener = self.shared.upkeep.listen(&http).await.context("the page")?;
            address = Some(listener.local_addr()?);
            let (shared, dir) = (self.shared.clone(), self.config.state_dir.clone());
            let stop = doors.stopping();
            doors.spawn("http", async move { http::run(http, listener, &dir, shared, stop).await });
        } else {
            self.shared.upkeep.listen_no_more();
        }
        self.start_without_sockets(groups, None);
        Ok(address)
    }

    /// Starts what listens on no socket: the way to the cloud, over `broker` where one is given, and what
    /// the gateway notices about itself. All of a gateway that the simulation has of this side.
    pub fn start_without_sockets(self, groups: &Groups, broker: Option<Arc<dyn Broker>>) {
        type Never = std::convert::Infallible;
        let Self { config, shared, origin, head_key, hand, reads: _, disk, offload, pulse } = self;
        let doors = &groups.doors;
        let (lanes, clock) = (shared.lanes.clone(), shared.clock.clone());
        let (asked, stop) = (hand.clone(), doors.stopping());
        doors.spawn("asks", async move {
            asks::run(lanes, clock, asked, stop).await;
            Ok::<(), Never>(())
        });
        let (board, state, stop) = (shared.clone(), config.state_dir.clone(), doors.stopping());
        let looked = disk.clone();
        doors.spawn("conditions", async move {
            crate::conditions::run(board, looked, state, hand, pulse.conditions, stop).await;
            Ok::<(), Never>(())
        });
        let (outbox, clock) = (shared.outbox.clone(), shared.clock.clone());
        let stop = groups.cloud.stopping();
        groups.cloud.spawn("outbox", async move {
            tend_outbox(outbox, clock, offload, pulse.outbox, stop).await;
            Ok::<(), Never>(())
        });
        for mapper in config.mappers {
            let records = Records::of(disk.clone(), &config.state_dir.join("journal"));
            let link = mapper::Link {
                about: mapper::About::of(
                    &config.setup,
                    &config.identity.tenant,
                    &config.identity.gateway,
                ),
                config: mapper,
                records,
                outbox: shared.outbox.clone(),
                door: shared.door.clone(),
                clock: shared.clock.clone(),
                state: config.state_dir.clone(),
            };
            groups.cloud.spawn("mapper", mapper::run(link, groups.cloud.stopping()));
        }
        if let Some(mqtt) = config.mqtt {
            shared.outbox.set_receipt_timeout(mqtt.receipt_timeout);
            let link = mqtt::client::Link {
                config: mqtt,
                identity: config.identity,
                origin,
                config_hash: config.hash,
                head_key,
                outbox: shared.outbox.clone(),
                board: shared.board.clone(),
                door: shared.door.clone(),
                clock: shared.clock.clone(),
                beat: pulse.broker,
            };
            let stop = groups.cloud.stopping();
            match broker {
                Some(broker) => {
                    groups.cloud.spawn("mqtt", mqtt::client::run_on(link, broker, stop))
                }
                None => groups.cloud.spawn("mqtt", mqtt::client::run(link, stop)),
            }
        }
    }
}

/// Once a second: what waits too long for its receipt is sent again, and the receipts that came are
/// saved; for the last time at the stop.
async fn tend_outbox(
    outbox: Arc<Outbox>,
    clock: Arc<dyn Clock>,
    offload: Offload,
    every: Duration,
    stop: CancellationToken,
) {
    loop {
        let stopping = tokio::select! { biased;
            () = stop.cancelled() => true,
            () = tokio::time::sleep(every) => false,
        };
        let (tended, now) = (outbox.clone(), clock.now());
        let work = move || tended.tend(now).and_then(|()| tended.save());
        match offload.run(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the outbox could not be tended"),
            Err(error) => warn!(%error, "tending the outbox ended badly"),
        }
        if stopping {
            return;
        }
    }
}

/// The doors' runtime, on a thread of its own.
pub struct DoorsThread {
    /// To start things on it, and to block on it from outside.
    pub handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl DoorsThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread or no event queue for it.
    pub fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("doors".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            runtime.shutdown_timeout(limits::OUTBOX_STOP_MAX);
        })?;
        Ok(Self { handle, end: Some(end), thread: Some(thread) })
    }
}

impl Drop for DoorsThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by its task's group.
            let _ = thread.join();
        }
    }
}
