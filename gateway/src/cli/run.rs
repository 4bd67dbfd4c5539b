//! `run`: the daemon.

use super::{Ended, print_faults};
use crate::clock::SystemClock;
use crate::config::{ClockTrust, Config};
use crate::run::{DoorsThread, Groups, Ports, build};
use crate::store::StoreError;
use crate::upkeep::Upkeep;
use crate::{supervise, telemetry};
use anyhow::Context;
use blockgate_drivers::transport::SystemConnect;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// Why the daemon goes on or ends.
enum Next {
    /// A person or systemd asked it to.
    Stop,
    /// The config changed: everything but the process starts anew.
    Reload(Box<Config>),
    /// This config could not be started; nothing of it runs.
    NotStarted(anyhow::Error),
}

/// The signals, listened for once and from before the first start on: one that comes while a config
/// starts or stops waits for its turn, and none ends the process by itself.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// A person or systemd asks for the end.
    async fn stop(&mut self) {
        tokio::select! { biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

pub(super) fn run(file: &Path) -> anyhow::Result<Ended> {
    let mut config = match Config::load(file) {
        Ok(config) => config,
        Err(faults) => {
            print_faults(&faults, false);
            return Ok(Ended::No);
        }
    };
    let _telemetry = telemetry::init(None)?;
    crate::install_crypto();
    std::fs::create_dir_all(&config.state_dir)
        .with_context(|| config.state_dir.display().to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen()?
    };
    let upkeep = Arc::new(Upkeep::of(file));
    let mut before = None;
    loop {
        match runtime.block_on(run_config(file, &config, &mut signals, &upkeep))? {
            Next::Stop => break,
            Next::Reload(new) => before = Some(std::mem::replace(&mut config, *new)),
            // Nobody may be near a gateway whose config was changed from afar.
            Next::NotStarted(error) => {
                let Some(old) = before.take() else { return Err(error) };
                error!("the new config cannot run, the old one goes on: {error:#}");
                config = old;
            }
        }
    }
    info!("blockgate has stopped");
    Ok(Ended::Done)
}

/// How often a store that another process holds is tried again: five seconds in all.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

fn is_locked(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(StoreError::Locked(_))))
}

/// Runs one config until the process is asked to stop or to take another one.
async fn run_config(
    file: &Path,
    config: &Config,
    signals: &mut Signals,
    upkeep: &Arc<Upkeep>,
) -> anyhow::Result<Next> {
    let clock = Arc::new(SystemClock::new(config.clock == ClockTrust::Always));
    let mut ports = Ports::real(&config.state_dir, clock, Arc::new(SystemConnect));
    ports.upkeep = upkeep.clone();
    let mut tries = 0;
    let (field, doors) = loop {
        match build(config, &ports, crate::new_boot_id()?) {
            // A command that looks into the store holds it for a moment only.
            Err(error) if tries < LOCK_TRIES && is_locked(&error) => {
                tries += 1;
                tokio::select! { biased;
                    () = signals.stop() => return Ok(Next::Stop),
                    () = tokio::time::sleep(LOCK_PAUSE) => {}
                }
            }
            Err(error) => return Ok(Next::NotStarted(error)),
            Ok(built) => break built,
        }
    };
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config_hash = %config.hash,
        lines = config.lines.len(),
        meters = config.meters.len(),
        "blockgate starts"
    );
    let groups = Groups::default();
    let thread = DoorsThread::start()?;
    field.start(&groups).await?;
    let opening = groups.clone();
    let scans = doors.shared().scans.clone();
    match thread.handle.spawn(async move { doors.start(&opening).await }).await? {
        Ok(Some(page)) => info!(%page, "the page listens"),
        Ok(None) => {}
        Err(error) => {
            groups.stop().await;
            return Ok(Next::NotStarted(error));
        }
    }
    supervise::notify_ready("running");
    let next = tokio::select! { biased;
        failure = groups.supervisor.failed() => Err(anyhow::anyhow!(failure)),
        next = watch_signals(file, config, signals, upkeep) => Ok(next),
    };
    if !matches!(next, Ok(Next::Reload(_))) {
        supervise::notify_stopping();
    }
    groups.stop().await;
    upkeep.keep(&scans);
    next
}

/// Waits for a signal that ends this run. A reload with a wrong config, or with the same, does not.
async fn watch_signals(
    file: &Path,
    config: &Config,
    signals: &mut Signals,
    upkeep: &Upkeep,
) -> Next {
    loop {
        tokio::select! { biased;
            _ = signals.terminate.recv() => return Next::Stop,
            _ = signals.interrupt.recv() => return Next::Stop,
            _ = signals.hangup.recv() => {}
            () = upkeep.asked() => info!("the page asked for a reload"),
        }
        supervise::notify_reloading();
        match Config::load(file) {
            Ok(new) if new.hash == config.hash => info!("the config is the same; nothing to do"),
            Ok(new) if new.state_dir != config.state_dir => {
                error!("state_dir cannot change while running; the old config is kept");
            }
            Ok(new) => {
                info!(old = %config.hash, new = %new.hash, "the config changed");
                return Next::Reload(Box::new(new));
            }
            Err(faults) => {
                for fault in &faults {
                    error!("{fault}");
                }
                warn!(errors = faults.len(), "the new config is wrong; the old one is kept");
            }
        }
        supervise::notify_ready("running");
    }
}
