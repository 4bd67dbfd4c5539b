//! `demo`: a whole simulated block on this machine, with nothing installed beforehand. Simulated
//! lines whose meters replay real household consumption, an embedded MQTT broker with mutual TLS, a
//! small cloud that stores events and confirms them, the gateway itself, and its page.
//!
//! The gateway is the production one: only its clock and its lines differ. The field runtime runs in
//! paused tokio time, so a month passes as fast as the machine can poll, decide and store; broker,
//! cloud and page live in real time on the doors' thread.

pub mod broker;
pub mod cars;
pub mod certificates;
pub mod clock;
pub mod cloud;
pub mod common;
pub mod consumption;
pub mod doors;
mod trouble;
pub mod water;
pub mod world;

use crate::config::{Config, Identity, MqttConfig, Text};
use crate::mqtt::tls::TlsBroker;
use crate::ports::Clock;
use crate::run::{DoorsThread, Groups, Ports, build};
use anyhow::Context;
use blockgate_rules::event::{Alarm, AlarmChange};
use blockgate_types::{Span, Time};
use clock::{DemoClock, RealTime};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a person asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the page listens; none when headless.
    pub listen: Option<SocketAddr>,
    /// Where everything is written.
    pub data: Option<PathBuf>,
    /// Which households and faults.
    pub seed: u64,
    /// Simulated seconds a real second after the warm-up; 0 as fast as it can.
    pub speed: u32,
    /// Ends after so much simulated time.
    pub lasts: Option<Span>,
    /// First simulated instant.
    pub from: Time,
    /// Passed as fast as it can.
    pub warm_up: Span,
    /// Broker and lines misbehave at random.
    pub trouble: bool,
}

/// What came out; the demo's last line.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Readings journaled.
    pub readings: u64,
    /// Bills issued.
    pub bills: u64,
    /// Their sum.
    pub total_fen: i64,
    /// Passages of vehicles.
    pub passages: u64,
    /// Alarms raised.
    pub alarms: u64,
    /// Each of them, with what was planted in the demo that it is about.
    pub alarm_list: Vec<AlarmLine>,
    /// Alarms of which nothing planted is the reason.
    pub alarms_unexplained: u64,
    /// Events that the cloud got, each id counted once.
    pub published: u64,
    /// Events whose receipt came back.
    pub receipted: u64,
    /// Events without a receipt at the end.
    pub undelivered: u64,
    /// Holes in the sequence numbers that the cloud saw.
    pub gaps: u64,
    /// Deliveries of an id that the cloud had already.
    pub duplicates: u64,
    /// Deliveries of a known id with other bytes: never.
    pub altered: u64,
    /// Hash of the journal's last record.
    pub journal_head: String,
    /// Simulated time that passed.
    pub simulated: String,
    /// Real seconds that it took.
    pub seconds: u64,
    /// Folder with journal, config and `cloud/events.jsonl`.
    pub data: PathBuf,
}

/// An alarm of the summary.
#[derive(Debug, Clone, Serialize)]
pub struct AlarmLine {
    /// What kind.
    pub code: &'static str,
    /// What it is about.
    pub subject: String,
    /// By which rule and which of its revisions.
    pub rule: Option<String>,
    /// When it opened.
    pub raised: Time,
    /// When it closed; none where it is open.
    pub cleared: Option<Time>,
    /// What it said.
    pub text: String,
    /// What the device check found.
    pub check: Option<blockgate_rules::anomaly::care::CheckFound>,
    /// What was planted; none where nothing was.
    pub planted: Option<&'static str>,
}

/// The alarms of a run, and how many of them nothing planted explains.
fn alarm_lines(rows: Vec<(u64, Alarm)>, from: Time) -> (Vec<AlarmLine>, u64) {
    let planted = water::planted();
    let mut lines: Vec<AlarmLine> = Vec::new();
    for (_, alarm) in rows {
        let code = blockgate_rules::alarm::word(alarm.code);
        let open = lines.iter_mut().rev().find(|line| {
            line.code == code
                && line.subject == alarm.subject
                && line.rule == alarm.rule
                && line.cleared.is_none()
        });
        match (alarm.change, open) {
            (AlarmChange::Raised, _) => {
                let day = alarm.at.since(from).map_or(0, |since| since.as_millis() / 86_400_000);
                let plant = planted.iter().find(|plant| plant.explains(code, &alarm.subject, day));
                lines.push(AlarmLine {
                    code,
                    subject: alarm.subject,
                    rule: alarm.rule,
                    raised: alarm.at,
                    cleared: None,
                    text: alarm.text.en,
                    check: None,
                    planted: plant.map(|plant| plant.what),
                });
            }
            (AlarmChange::Updated | AlarmChange::Noted, Some(line)) => {
                line.text = alarm.text.en;
                line.check = alarm.check.map(|check| check.found).or(line.check);
            }
            (AlarmChange::Cleared, Some(line)) => line.cleared = Some(alarm.at),
            (AlarmChange::Updated | AlarmChange::Noted | AlarmChange::Cleared, None) => {}
        }
    }
    // A month is over its budget by the alarms that were raised in it: explained where they are.
    // In the demo's zone, eight hours ahead.
    let month =
        |at: Time| at.plus(Span::from_hours(8)).to_string().chars().take(7).collect::<String>();
    let is_budget = |line: &AlarmLine| line.code == "alarm-budget";
    let unplanted = lines.iter().filter(|line| !is_budget(line) && line.planted.is_none());
    let unplanted: Vec<String> = unplanted.map(|line| month(line.raised)).collect();
    for line in lines.iter_mut().filter(|line| is_budget(line)) {
        if !unplanted.contains(&month(line.raised)) {
            line.planted = Some(water::OVER_BUDGET);
        }
    }
    let unexplained = lines.iter().filter(|line| line.planted.is_none()).count();
    (lines, u64::try_from(unexplained).unwrap_or(0))
}

/// How long the end waits for the last receipts.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Runs the demo to its end.
///
/// # Errors
/// When a part cannot start, or failed.
pub fn run(options: Options) -> anyhow::Result<Summary> {
    let _telemetry = crate::telemetry::init(Some("warn"))?;
    crate::install_crypto();
    let data = match options.data.clone() {
        Some(data) => data,
        None => std::env::temp_dir().join(format!("blockgate-demo-{}", std::process::id())),
    };
    std::fs::create_dir_all(&data).with_context(|| data.display().to_string())?;
    let data = data.canonicalize().with_context(|| data.display().to_string())?;
    anyhow::ensure!(
        !data.join("state/journal").exists(),
        "{} holds the journal of an earlier demo: name another folder or remove it",
        data.display()
    );
    let thread = DoorsThread::start()?;
    let field =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    field.block_on(run_block(options, data, &thread))
}

async fn run_block(
    options: Options,
    data: PathBuf,
    thread: &DoorsThread,
) -> anyhow::Result<Summary> {
    let weeks = consumption::Weeks::load().map_err(|_| anyhow::anyhow!("the demo's data"))?;
    let clock = Arc::new(DemoClock::starting_at(options.from));
    let connect = world::field(&weeks, clock.for_meters(), options.from, options.seed);
    let (connect, barriers) = cars::field(connect);
    let (connect, controllers) = doors::field(connect, clock.for_meters());

    std::fs::create_dir_all(data.join("tls"))?;
    let tls = certificates::write(&data.join("tls")).context("certificates")?;
    let (cloud, broker, broker_port) = {
        let data = data.clone();
        let clock: Arc<dyn Clock> = clock.clone();
        thread.handle.spawn(async move { start_cloud(&data, &tls, clock).await }).await??
    };
    let listen = options.listen.map_or_else(|| "127.0.0.1:0".to_owned(), |a| a.to_string());
    let config = config(&data, &listen, broker_port, options.listen.is_none())?;
    let wire = connect.clone();
    let ports = Ports::real(&config.state_dir, clock.clone(), Arc::new(connect));
    let (inner, outer) = build(&config, &ports, crate::new_boot_id()?)?;
    let shared = outer.shared().clone();
    let login = shared.accounts.one_time_login().await?;
    let groups = Groups::default();
    let opening = groups.clone();
    // The doors first: while the field has no task its clock stands still.
    let page = thread.handle.spawn(async move { outer.start(&opening).await }).await??;
    greet(&data, page, &login, broker_port);
    inner.start(&groups).await?;
    let cars = cars::Cars {
        lanes: shared.lanes.clone(),
        door: shared.door.clone(),
        clock: clock.clone(),
        barriers,
        from: options.from,
        seed: options.seed,
    };
    let stop = groups.lines.stopping();
    groups.lines.spawn("cars", async move {
        cars.run(stop).await;
        Ok::<(), std::convert::Infallible>(())
    });

    let people = doors::People {
        controllers,
        door: shared.door.clone(),
        clock: clock.clone(),
        from: options.from,
    };
    let stop = groups.lines.stopping();
    groups.lines.spawn("people", async move {
        people.run(stop).await;
        Ok::<(), std::convert::Infallible>(())
    });

    let calm = CancellationToken::new();
    let troubles = options
        .trouble
        .then(|| thread.handle.spawn(trouble::run(broker, wire, options.seed, calm.clone())));

    let until = options.lasts.map(|lasts| options.from.plus(lasts));
    let started = RealTime::start();
    let pace = async {
        if options.speed == 0 {
            std::future::pending::<()>().await;
        }
        clock::pace(&clock, options.from.plus(options.warm_up), options.speed).await;
    };
    tokio::select! { biased;
        failure = groups.supervisor.failed() => return Err(failure.into()),
        () = reached(&clock, until) => {}
        _ = tokio::signal::ctrl_c() => {}
        () = pace => {}
        () = progress(&clock, &shared.board, &started, options.from, until) => {}
    }
    let ended = Clock::now(&*clock);
    calm.cancel();
    if let Some(troubles) = troubles {
        troubles.await?;
    }
    groups.stop_field().await;
    let outbox = shared.outbox.clone();
    let drained = thread.handle.spawn(async move {
        let empty = async {
            while outbox.stats().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(DRAIN_MAX, empty).await.is_ok()
    });
    drained.await?;
    let stopping = groups.clone();
    thread.handle.spawn(async move { stopping.stop().await }).await?;
    let counts = cloud.counts();
    let done = &shared.board.counts;
    let verdict =
        crate::store::journal::verify(&crate::ports::RealDisk, &config.state_dir.join("journal"))?;
    let rows = usize::try_from(crate::limits::ALARM_ROWS_MAX).unwrap_or(10_000);
    let (alarm_list, alarms_unexplained) = alarm_lines(
        shared.trees.alarms(None, rows).map_err(|why| anyhow::anyhow!("the alarms: {why}"))?,
        options.from,
    );
    Ok(Summary {
        readings: done.readings.get(),
        bills: done.bills.get(),
        total_fen: done.billed_fen.get_signed(),
        passages: shared.lanes.passages.get(),
        alarms: done.alarms.get(),
        alarm_list,
        alarms_unexplained,
        published: counts.events,
        receipted: shared.outbox.stats().through,
        undelivered: shared.outbox.stats().waiting,
        gaps: counts.gaps,
        duplicates: counts.duplicates,
        altered: counts.altered,
        journal_head: verdict.head,
        simulated: ended.since(options.from).unwrap_or(Span::ZERO).to_string(),
        seconds: started.seconds(),
        data,
    })
}

/// Writes the block's config and rules where a person can read and copy them, and reads them as the
/// daemon would.
fn config(data: &Path, listen: &str, broker: u16, headless: bool) -> anyhow::Result<Config> {
    let main = world::config(listen, broker);
    let rules = world::rules();
    std::fs::create_dir_all(data.join("rules.d"))?;
    std::fs::create_dir_all(data.join("state"))?;
    for Text { name, text } in std::iter::once(&main).chain(&rules) {
        std::fs::write(data.join(name), text)?;
    }
    crate::http::secret_file::write(&data.join("dlt645.authority"), common::AUTHORITY.as_bytes())?;
    let mut config = Config::parse(&main, &rules, &[], data).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the demo's own config: {}", faults.join("; "))
    })?;
    if headless {
        config.http = None;
    }
    Ok(config)
}

fn greet(data: &Path, page: Option<SocketAddr>, login: &(String, String), broker: u16) {
    eprintln!(
        "blockgate demo: 60 households and 89 meters on six lines, eight models of meter, all four protocols; a car park with four lanes; six doors on two controllers"
    );
    if let Some(page) = page {
        let (user, password) = login;
        eprintln!("  page     http://{page}/   user {user}   password {password}");
    }
    eprintln!(
        "  broker   mqtts://localhost:{broker} (mutual TLS, certificates in the folder's tls/)"
    );
    eprintln!("  folder   {}", data.display());
}

/// Waits for a simulated instant; for ever when there is none.
async fn reached(clock: &DemoClock, until: Option<Time>) {
    let Some(until) = until else { return std::future::pending().await };
    let now = Clock::now(clock);
    tokio::time::sleep(until.since(now).unwrap_or(Span::ZERO).into()).await;
}

/// One line a real second, on standard error.
async fn progress(
    clock: &DemoClock,
    board: &crate::board::Board,
    started: &RealTime,
    from: Time,
    until: Option<Time>,
) {
    let total = until.and_then(|until| until.since(from)).map(|span| span.as_millis().max(1));
    let mut told = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(600)).await;
        let seconds = started.seconds();
        if seconds == told {
            continue;
        }
        told = seconds;
        let now = Clock::now(clock);
        let passed = now.since(from).unwrap_or(Span::ZERO).as_millis();
        let share = total.map(|t| format!(" {:>3} %", passed * 100 / t)).unwrap_or_default();
        eprintln!(
            "{seconds:>4} s  {now}{share}  readings {}  bills {}  alarms {}  waiting for the cloud {}",
            board.counts.readings.get(),
            board.counts.bills.get(),
            board.counts.alarms.get(),
            board.outbox().waiting
        );
    }
}

/// Broker and cloud, on the present runtime. Gives the broker's port.
async fn start_cloud(
    data: &Path,
    tls: &certificates::Folder,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<(Arc<cloud::Cloud>, Arc<broker::Broker>, u16)> {
    let ends_with_the_runtime = CancellationToken::new();
    let (cert, key) = &tls.server;
    let broker = broker::Broker::new(ends_with_the_runtime.clone());
    let port = broker.listen(([127, 0, 0, 1], 0).into(), &tls.ca, (cert, key)).await?.port();
    let (cert, key) = tls.cloud.clone();
    let config = MqttConfig {
        ca: Some(tls.ca.clone()),
        cert: Some(cert),
        key: Some(key),
        ..MqttConfig::to("localhost", port, "demo-cloud")
    };
    let gateway = Identity { tenant: "demo".to_owned(), gateway: "demo-gateway".to_owned() };
    let wire = Arc::new(TlsBroker::new(&config, clock));
    std::fs::create_dir_all(data.join("cloud"))?;
    let file = data.join("cloud/events.jsonl");
    let cloud = cloud::Cloud::start(config, &gateway, wire, &file, ends_with_the_runtime)?;
    Ok((cloud, broker, port))
}
