//! The connection to the cloud, for ever: connect, talk (`session`), and when it ends for
//! whatever reason, throw away the library's client and everything it remembers, put what was in
//! flight back into the outbox, wait, and build a new one. The consumer deduplicates by id.

use super::commands::Commands;
use super::pace::Backoff;
use super::post::Post;
use super::session::{End, Session};
use super::tls::TlsBroker;
use super::topics::{BadLevel, Topics};
use super::trouble::Trouble;
use super::v311::V311;
use super::wire::Sender;
use crate::board::Board;
use crate::command::CommandDoor;
use crate::config::{Identity, MqttConfig, MqttVersion};
use crate::limits;
use crate::outbox::Outbox;
use crate::ports::{Broker, Clock};
use crate::store::record::Origin;
use blockgate_types::Span;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest time for name, TCP and TLS together; a slow key takes its seconds.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// Connections in a row that end without CONNACK before the other version of MQTT is tried.
const MUTE_MAX: u32 = 2;

/// What the client works with.
pub struct Link<O = Outbox> {
    /// Where to, and who we are to the broker.
    pub config: MqttConfig,
    /// Who we are to the cloud.
    pub identity: Identity,
    /// What our records say about us.
    pub origin: Origin,
    /// Hash of the config files.
    pub config_hash: String,
    /// The public key that signs the journal's head.
    pub head_key: String,
    /// What waits.
    pub outbox: Arc<O>,
    /// What is live; the client writes its own part.
    pub board: Arc<Board>,
    /// Where commands go.
    pub door: CommandDoor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// How often the connection looks at itself: [`limits::MQTT_LOOK_EVERY`].
    pub beat: Duration,
}

/// Sends what waits in the outbox until `stop`, then says goodbye.
///
/// # Errors
/// [`BadLevel`] when tenant or gateway cannot stand in a topic; nothing else ends it.
pub async fn run(link: Link, stop: CancellationToken) -> Result<(), BadLevel> {
    let broker = Arc::new(TlsBroker::new(&link.config, link.clock.clone()));
    run_over(link, broker, stop).await
}

/// What stays the same from one connection to the next.
pub(super) struct Steady {
    pub(super) config: MqttConfig,
    pub(super) topics: Topics,
    pub(super) sender: Sender,
    pub(super) outbox: Arc<dyn Post>,
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) beat: Duration,
}

/// What one connection leaves to the next.
pub(super) struct Carried {
    /// Commands whose outcome is not known yet.
    pub(super) commands: Commands,
    /// An event that the broker would not take, and how often.
    pub(super) suspect: Option<(u64, u8)>,
    /// Events at once. Halved when a connection ends before one of them was acknowledged, so that
    /// what the broker cannot bear is found; grows again with each acknowledgement.
    pub(super) window: u16,
    /// Whether the broker keeps retained messages; assumed until it says no.
    pub(super) retain: bool,
    /// Whether MQTT 3.1.1 is spoken.
    pub(super) old: bool,
    /// Whether the last connection came as far as CONNACK.
    pub(super) greeted: bool,
}

/// As [`run`], over another way to the broker: the simulation's.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    link: Link,
    broker: Arc<dyn Broker>,
    stop: CancellationToken,
) -> Result<(), BadLevel> {
    run_over(link, broker, stop).await
}

async fn run_over<O: Post + 'static>(
    link: Link<O>,
    broker: Arc<dyn Broker>,
    stop: CancellationToken,
) -> Result<(), BadLevel> {
    let mut backoff =
        Backoff::new(&link.config.client_id).spread_over(link.config.reconnect_spread.into());
    let mut carried = Carried {
        commands: Commands::new(link.door, link.config.authority.clone()),
        suspect: None,
        window: limits::MQTT_INFLIGHT_MAX,
        retain: true,
        old: link.config.version == MqttVersion::Three,
        greeted: true,
    };
    // Connections in a row that were closed without a word: how some brokers say that they have no
    // MQTT 5 (RabbitMQ 3.10 does).
    let mut mute = 0_u32;
    let steady = Steady {
        topics: Topics::new(&link.identity)?,
        sender: Sender {
            source: link.origin.source,
            boot: link.origin.boot,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            config_hash: link.config_hash,
            head_key: link.head_key,
        },
        config: link.config,
        outbox: link.outbox,
        board: link.board,
        clock: link.clock,
        beat: link.beat,
    };
    steady.board.mqtt().broker = format!("{}:{}", steady.config.host, steady.config.port);
    while !stop.is_cancelled() {
        steady.outbox.reset_in_flight();
        let began = Instant::now();
        carried.greeted = false;
        let trouble = match connection(&steady, &mut carried, &*broker, &stop).await {
            End::Stopped if stop.is_cancelled() => break,
            End::Stopped => {
                tracing::info!("the certificate files are new: connecting again with them");
                continue;
            }
            End::Trouble(trouble) => trouble,
        };
        if trouble == Trouble::Unsupported("retained messages".to_owned()) && carried.retain {
            carried.retain = false;
            continue;
        }
        mute = match trouble {
            Trouble::Closed(_) if !carried.greeted => mute.saturating_add(1),
            _ => 0,
        };
        let said = trouble == Trouble::Unsupported("MQTT 5".to_owned());
        if steady.config.version == MqttVersion::Auto && (said || mute >= MUTE_MAX) {
            mute = 0;
            carried.old = !carried.old;
            if carried.old {
                tracing::info!("the broker has no MQTT 5: MQTT 3.1.1 is spoken");
                continue;
            }
        }
        backoff.lived(began.elapsed());
        let wait = backoff.next(trouble.pace());
        steady.down(&trouble, backoff.attempts(), wait);
        tokio::select! { biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    steady.outbox.reset_in_flight();
    steady.stopped();
    Ok(())
}

/// One connection, from the name's lookup to its end.
async fn connection(
    steady: &Steady,
    carried: &mut Carried,
    broker: &dyn Broker,
    stop: &CancellationToken,
) -> End {
    let opened = tokio::select! { biased;
        () = stop.cancelled() => return End::Stopped,
        opened = tokio::time::timeout(OPEN_MAX, broker.open()) => opened,
    };
    {
        let mut board = steady.board.mqtt();
        board.certificates = broker.certificates();
        board.unfit = broker.unfit();
    }
    match opened {
        Err(_) => End::Trouble(Trouble::ConnectTimeout),
        Ok(Err(trouble)) => End::Trouble(trouble),
        Ok(Ok(stream)) => {
            let stream = if carried.old { Box::new(V311::new(stream)) } else { stream };
            match Session::over(steady, carried, stream) {
                Ok((mut session, mut events)) => {
                    let leave = stop.child_token();
                    let renewed = async {
                        renewed(steady, broker).await;
                        leave.cancel();
                        std::future::pending::<()>().await;
                    };
                    tokio::select! { biased;
                        end = session.drive(&mut events, &leave) => end,
                        () = renewed => End::Stopped,
                    }
                }
                Err(trouble) => End::Trouble(trouble),
            }
        }
    }
}

/// Waits until the certificate files are other ones, and good.
async fn renewed(steady: &Steady, broker: &dyn Broker) {
    loop {
        tokio::time::sleep(limits::MQTT_CERTIFICATE_LOOK_EVERY.max(steady.beat)).await;
        let renewed = broker.renewed();
        let mut board = steady.board.mqtt();
        board.unfit = broker.unfit();
        board.certificates = broker.certificates();
        if renewed {
            return;
        }
    }
}

impl Steady {
    /// The broker has accepted us.
    pub(super) fn up(&self) {
        let mut board = self.board.mqtt();
        board.connected = true;
        board.since = Some(self.clock.now());
        board.trouble = None;
        board.retry_at = None;
        board.connects += 1;
        drop(board);
        tracing::info!(broker = self.config.host, "connected to the broker");
    }

    fn down(&self, trouble: &Trouble, attempts: u32, wait: Duration) {
        let now = self.clock.now();
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let mut board = self.board.mqtt();
        let new = board.trouble.as_ref().is_none_or(|old| old.word() != trouble.word());
        if board.connected || board.since.is_none() {
            board.since = Some(now);
        }
        board.connected = false;
        board.trouble = Some(trouble.clone());
        let retry_at = now.plus(Span::from_millis(wait_ms));
        board.retry_at = Some(retry_at);
        drop(board);
        // A change is told; that it lasts is told at the 2nd, 4th, 8th, … attempt.
        if new || attempts.is_power_of_two() {
            tracing::warn!(
                word = trouble.word(),
                attempts,
                %retry_at,
                "no connection to the broker: {} {}",
                trouble.text().en,
                trouble.next().en
            );
        }
    }

    fn stopped(&self) {
        let mut board = self.board.mqtt();
        board.connected = false;
        board.since = Some(self.clock.now());
        board.retry_at = None;
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
