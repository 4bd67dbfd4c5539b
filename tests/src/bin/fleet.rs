//! A thousand gateways in one process: each with its own store, engine, journal, outbox and MQTT
//! client, as in production; only the lines and the page are left out. They bill a month and bring it
//! to the broker. `tests/python/fleet.py` runs it against a cluster and judges what arrived.
//!
//! ```text
//! fleet certificates FOLDER             a CA, a server for `broker`, clients `gateway` and `cloud`
//! fleet run FOLDER GATEWAYS HOST PORT SECONDS   certificates in FOLDER/tls; one JSON line a quarter second
//! ```
//!
//! The gateways close their month one after another, over SECONDS. It ends when everything has its receipt, and leaves FOLDER/expected.tsv: gateway, seq, id and
//! SHA-256 of every event that the journals hold.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of the tests")]

use anyhow::Context;
use blockgate::board::Board;
use blockgate::clock::SystemClock;
use blockgate::command::CommandDoor;
use blockgate::config::{Identity, MqttConfig, MqttVersion};
use blockgate::demo::certificates::{Authority, Pair, Purpose};
use blockgate::engine::{Engine, Shared};
use blockgate::mqtt::client::{Link, run as run_mqtt};
use blockgate::outbox::Outbox;
use blockgate::ports::Clock;
use blockgate::store::Store;
use blockgate::store::record::Origin;
use blockgate_rules::Input;
use blockgate_rules::setup::{AccountSetup, BillingRegister, Charge, MeterSetup, Setup};
use blockgate_rules::tariff::TariffFile;
use blockgate_types::{
    ClockState, Decimal, MeterId, Observation, RegisterName, RegisterSpec, Role, Span, Time, Unit,
    Values,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

const HOUSEHOLDS: i64 = 20;
const FROM: &str = "2026-10-01T00:00:00+08:00";
const DAYS: i64 = 31;

/// The simulated time while the month is read, the real one afterwards: a command has to be in time.
struct FleetClock {
    set: AtomicI64,
    real: SystemClock,
}

impl Clock for FleetClock {
    fn now(&self) -> Time {
        match self.set.load(Ordering::Relaxed) {
            0 => self.real.now(),
            set => Time::from_millis(set),
        }
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

struct Gateway {
    name: String,
    dir: PathBuf,
    board: Arc<Board>,
    outbox: Arc<Outbox>,
    clock: Arc<FleetClock>,
    hand: mpsc::Sender<Input>,
}

fn setup() -> anyhow::Result<Setup> {
    let mut setup = Setup {
        zone: "Asia/Shanghai".to_owned(),
        close_grace: Span::from_hours(1),
        ..Setup::default()
    };
    for text in [
        include_str!("../../../rules/tariffs/electricity.toml"),
        include_str!("../../../rules/tariffs/property.toml"),
    ] {
        let tariffs = TariffFile::parse(text, "").map_err(|e| anyhow::anyhow!("{e:?}"))?;
        setup.tariffs.extend(tariffs);
    }
    for n in 0..HOUSEHOLDS {
        let meter: MeterId = format!("m-{n:04}").parse()?;
        let register = BillingRegister {
            name: RegisterName::new("energy_import").map_err(anyhow::Error::msg)?,
            unit: Unit::KilowattHour,
            decimals: 2,
            rollover_at: None,
            max_per_hour: Decimal::from(20),
        };
        let of_meter = MeterSetup {
            profile: "fleet".to_owned(),
            registers: vec![register],
            multiplier: Decimal::ONE,
            record_every: Span::ZERO,
            stuck_after: None,
            offline_after: Span::from_days(400),
            controls: std::collections::BTreeSet::new(),
        };
        setup.meters.insert(meter.clone(), of_meter);
        let metered = Charge { meter: Some(meter), ..Charge::of("electricity-tiered".parse()?) };
        let charges = [
            ("electricity".parse()?, metered),
            ("property-fee".parse()?, Charge::of("property-fee".parse()?)),
        ];
        let account = AccountSetup {
            building: "1".to_owned(),
            area_m2: Some(Decimal::new(8953, 2)),
            persons: Some(3),
            charges: charges.into_iter().collect(),
            ..AccountSetup::default()
        };
        setup.accounts.insert(format!("a-{n:04}").parse()?, account);
    }
    Ok(setup)
}

fn reading(
    specs: &Arc<[RegisterSpec]>,
    household: i64,
    at: Time,
    day: i64,
) -> anyhow::Result<Input> {
    let meter: MeterId = format!("m-{household:04}").parse()?;
    let values = vec![Some(Decimal::new(100_000 + day * (500 + 7 * household), 2))];
    Ok(Input::Observed(Observation {
        meter,
        at,
        outcome: Ok(Values { specs: specs.clone(), values }),
    }))
}

fn start(
    folder: &Path,
    n: usize,
    host: &str,
    port: u16,
    stop: &CancellationToken,
) -> anyhow::Result<Gateway> {
    let name = format!("gw-{n:04}");
    let dir = folder.join("gateways").join(&name);
    let (store, block, _) = Store::open(&dir).map_err(|e| anyhow::anyhow!("{e}"))?;
    let board = Arc::new(Board::default());
    let from: Time = FROM.parse()?;
    let clock = Arc::new(FleetClock {
        set: AtomicI64::new(from.as_millis()),
        real: SystemClock::new(true),
    });
    let outbox = store.outbox.clone();
    let shared = Arc::new(Shared {
        board: board.clone(),
        trees: store.trees.clone(),
        outbox: outbox.clone(),
        clock: clock.clone(),
        durable: broadcast::channel(16).0,
    });
    let boot = format!("{n:08x}");
    let origin = Origin { source: format!("/blockgate/fleet/{name}"), boot, epoch: None };
    let (hand, inbox) = mpsc::channel(64);
    let (errand, _) = mpsc::channel(1);
    let (door, orders) = CommandDoor::new();
    let engine =
        Engine::new(store, block, shared, origin.clone(), Duration::from_millis(200), errand);
    let (stopping, who) = (stop.clone(), name.clone());
    tokio::spawn(async move {
        if let Err(error) = engine.run(inbox, orders, stopping).await {
            eprintln!("{who}: {error:#}");
        }
    });
    let tls = folder.join("tls");
    let mut config = MqttConfig::to(host, port, &format!("blockgate-{name}"));
    config.ca = Some(tls.join("ca.crt"));
    config.cert = Some(tls.join("gateway.crt"));
    config.key = Some(tls.join("gateway.key"));
    config.telemetry_every = Span::ZERO;
    config.receipt_timeout = Span::from_secs(20);
    config.keep_alive = Span::from_secs(10);
    // RabbitMQ 3.10 has nothing else; the first gateways find that out by themselves.
    config.version = if n < 5 { MqttVersion::Auto } else { MqttVersion::Three };
    let link = Link {
        config,
        identity: Identity { tenant: "fleet".to_owned(), gateway: name.clone() },
        origin,
        config_hash: "fleet".to_owned(),
        head_key: String::new(),
        outbox: outbox.clone(),
        board: board.clone(),
        door,
        clock: clock.clone(),
        beat: blockgate::limits::MQTT_LOOK_EVERY,
    };
    tokio::spawn(run_mqtt(link, stop.clone()));
    // What waits too long for its receipt is sent again, as the daemon's own task sees to.
    let (tended, now, stopping) = (outbox.clone(), clock.clone(), stop.clone());
    tokio::spawn(async move {
        while !stopping.is_cancelled() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Err(error) = tended.tend(now.now()).and_then(|()| tended.save()) {
                eprintln!("the outbox: {error}");
            }
        }
    });
    Ok(Gateway { name, dir, board, outbox, clock, hand })
}

/// A month of readings, as fast as they are taken; the bill run is the last tick.
async fn month(gateway: &Gateway, setup: Setup, specs: &Arc<[RegisterSpec]>) -> anyhow::Result<()> {
    let from: Time = FROM.parse()?;
    let clock = ClockState::Synced;
    gateway
        .hand
        .send(Input::Started {
            now: from,
            boot: "fleet".to_owned(),
            version: "fleet".to_owned(),
            config_hash: "fleet".to_owned(),
        })
        .await?;
    gateway.hand.send(Input::Setup { now: from, setup: Box::new(setup) }).await?;
    gateway.hand.send(Input::Tick { now: from, clock }).await?;
    for day in (0..=DAYS).step_by(3).chain([DAYS]) {
        let at = from.plus(Span::from_days(day));
        for household in 0..HOUSEHOLDS {
            gateway.hand.send(reading(specs, household, at, day)?).await?;
        }
    }
    Ok(())
}

#[derive(Default, serde::Serialize)]
struct Progress {
    ms: u128,
    connected: usize,
    connects: u64,
    records: i64,
    bills: i64,
    published: u64,
    waiting: u64,
    rss_mib: u64,
}

fn look(gateways: &[Gateway], began: Instant) -> Progress {
    let mut now = Progress { ms: began.elapsed().as_millis(), ..Progress::default() };
    for gateway in gateways {
        let mqtt = gateway.board.mqtt();
        now.connected += usize::from(mqtt.connected);
        now.connects += mqtt.connects;
        now.published += mqtt.published;
        drop(mqtt);
        now.records += i64::try_from(gateway.board.counts.records.get()).unwrap_or(0);
        now.bills += i64::try_from(gateway.board.counts.bills.get()).unwrap_or(0);
        now.waiting += gateway.outbox.stats().waiting;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    now.rss_mib = rss.unwrap_or(0) / 1024;
    now
}

async fn run(
    folder: PathBuf,
    count: usize,
    host: String,
    port: u16,
    seconds: u64,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let stop = CancellationToken::new();
    let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
        name: RegisterName::new("energy_import").map_err(anyhow::Error::msg)?,
        unit: Unit::KilowattHour,
        role: Role::Billing,
        decimals: 2,
        rollover_digits: None,
    }]);
    let mut gateways = Vec::with_capacity(count);
    for n in 0..count {
        gateways
            .push(start(&folder, n, &host, port, &stop).with_context(|| format!("gateway {n}"))?);
    }
    for gateway in &gateways {
        month(gateway, setup()?, &specs).await?;
    }
    // The bill run begins: the clock is the real one from here on, and the month is over.
    println!("{}", serde_json::json!({ "phase": "bill run", "ms": began.elapsed().as_millis() }));
    let gateways = Arc::new(gateways);
    let (all, pause) = (gateways.clone(), Duration::from_secs(seconds) / u32::try_from(count)?);
    let closing = tokio::spawn(async move {
        for gateway in all.iter() {
            gateway.clock.set.store(0, Ordering::Relaxed);
            let now = gateway.clock.now();
            gateway.hand.send(Input::Tick { now, clock: ClockState::Synced }).await?;
            tokio::time::sleep(pause).await;
        }
        anyhow::Ok(())
    });
    let wanted = i64::try_from(count)? * HOUSEHOLDS * 2;
    let mut quiet = 0;
    while quiet < 4 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = look(&gateways, began);
        println!("{}", serde_json::to_string(&now)?);
        quiet = if now.bills >= wanted && now.waiting == 0 { quiet + 1 } else { 0 };
    }
    closing.await??;
    stop.cancel();
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("{}", serde_json::json!({ "phase": "delivered", "ms": began.elapsed().as_millis() }));
    expected(&folder, &gateways)
}

/// What the journals hold.
fn expected(folder: &Path, gateways: &[Gateway]) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(folder.join("expected.tsv"))?);
    let disk: Arc<dyn blockgate::ports::Disk> = Arc::new(blockgate::ports::RealDisk);
    for gateway in gateways {
        let records =
            blockgate::store::journal::Records::of(disk.clone(), &gateway.dir.join("journal"));
        let mut reader = records.from(1);
        while let Some(item) = reader.read()? {
            let id = serde_json::from_slice::<serde_json::Value>(item.payload)?;
            let id = id["id"].as_str().unwrap_or_default();
            let hash = ring::digest::digest(&ring::digest::SHA256, item.payload);
            let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
            writeln!(out, "fleet/{}\t{}\t{id}\t{hash}", gateway.name, item.seq)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn certificates(folder: &Path) -> anyhow::Result<()> {
    let write = |name: &str, pair: &Pair| -> anyhow::Result<()> {
        std::fs::write(folder.join(format!("{name}.crt")), &pair.cert)?;
        std::fs::write(folder.join(format!("{name}.key")), &pair.key)?;
        Ok(())
    };
    std::fs::create_dir_all(folder)?;
    let authority = Authority::new("fleet CA")?;
    std::fs::write(folder.join("ca.crt"), authority.pem())?;
    write("server", &authority.issue(Purpose::Server, &["broker", "localhost"])?)?;
    write("gateway", &authority.issue(Purpose::Client, &["gateway"])?)?;
    write("cloud", &authority.issue(Purpose::Client, &["cloud"])?)
}

fn main() -> anyhow::Result<()> {
    blockgate::install_crypto();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["certificates", folder] => certificates(Path::new(folder)),
        ["run", folder, count, host, port, seconds] => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(8)
                .enable_all()
                .build()?;
            let (count, port, seconds) = (count.parse()?, port.parse()?, seconds.parse()?);
            let folder = PathBuf::from(folder);
            runtime.block_on(run(folder, count, host.to_owned(), port, seconds))?;
            runtime.shutdown_timeout(Duration::from_secs(5));
            Ok(())
        }
        _ => {
            anyhow::bail!("fleet certificates FOLDER | fleet run FOLDER GATEWAYS HOST PORT SECONDS")
        }
    }
}
