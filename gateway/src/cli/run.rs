//! `run`: the daemon.

use super::{Ended, print_faults};
use crate::clock::SystemClock;
use crate::config::{ClockTrust, Config};
use crate::run::{DoorsThread, Groups, Ports, build};
use crate::store::StoreError;
use crate::{supervise, telemetry};
use anyhow::Context;
use blockgate_drivers::transport::SystemConnect;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

/// Why the daemon goes on or ends.
enum Next {
    /// A person or systemd asked it to.
    Stop,
    /// The config changed: everything but the process starts anew.
    Reload(Box<Config>),
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
    loop {
        match runtime.block_on(run_config(file, &config))? {
            Next::Stop => break,
            Next::Reload(new) => config = *new,
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
async fn run_config(file: &Path, config: &Config) -> anyhow::Result<Next> {
    let clock = Arc::new(SystemClock::new(config.clock == ClockTrust::Always));
    let ports = Ports { clock, connect: Arc::new(SystemConnect) };
    let mut tries = 0;
    let (field, doors) = loop {
        match build(config, &ports, crate::new_boot_id()?) {
            // A command that looks into the store holds it for a moment only.
            Err(error) if tries < LOCK_TRIES && is_locked(&error) => {
                tries += 1;
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            built => break built?,
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
    let page = thread.handle.spawn(async move { doors.start(&opening).await }).await??;
    if let Some(page) = page {
        info!(%page, "the page listens");
    }
    supervise::notify_ready("running");
    let next = tokio::select! { biased;
        failure = groups.supervisor.failed() => Err(anyhow::anyhow!(failure)),
        next = watch_signals(file, config) => next,
    };
    if !matches!(next, Ok(Next::Reload(_))) {
        supervise::notify_stopping();
    }
    groups.stop().await;
    next
}

/// Waits for a signal that ends this run. A reload with a wrong config, or with the same, does not.
async fn watch_signals(file: &Path, config: &Config) -> anyhow::Result<Next> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! { biased;
            _ = terminate.recv() => return Ok(Next::Stop),
            _ = interrupt.recv() => return Ok(Next::Stop),
            _ = hangup.recv() => {}
        }
        supervise::notify_reloading();
        match Config::load(file) {
            Ok(new) if new.hash == config.hash => info!("the config is the same; nothing to do"),
            Ok(new) if new.state_dir != config.state_dir => {
                error!("state_dir cannot change while running; the old config is kept");
            }
            Ok(new) => {
                info!(old = %config.hash, new = %new.hash, "the config changed");
                return Ok(Next::Reload(Box::new(new)));
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
