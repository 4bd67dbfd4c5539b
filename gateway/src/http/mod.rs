//! The way in for people and systems on the spot: the local API, the event stream, metrics, and the
//! maintenance page.
//!
//! It must never decide anything about money or devices: it reads the board and the derived trees,
//! and hands orders to the one door ([`crate::command`]). Nothing but `/healthz`, the login and
//! set-up pages and their assets answers a caller that is not known.
//!
//! | module | what |
//! |---|---|
//! | [`serve`] | accept loop: TLS, timeouts, counts, stop |
//! | [`certificate`] | the page's certificate, configured or made |
//! | [`auth`] | people, sessions, tokens |
//! | `gate` | host names, who asks, where a change comes from |
//! | `routes` | the closed list of what can be asked |
//! | `answer` | the API's answers |
//! | `money` | questions about accounts, receipts, arrears, figures |
//! | `barrier` | what barriers ask and cameras push, before warp |
//! | `doors` | questions about doors, controllers, who may pass |
//! | [`wire`] | its JSON |
//! | `events`, `commands`, `metrics` | the event stream, orders, Prometheus |
//! | `page` | the maintenance page, without JavaScript too |
//! | [`archive`] | what is asked about the past |

mod answer;
pub mod archive;
pub mod auth;
mod barrier;
pub mod certificate;
mod commands;
mod doors;
mod events;
mod gate;
mod metrics;
mod money;
mod page;
mod request;
mod routes;
pub(crate) mod secret_file;
pub mod serve;
#[cfg(test)]
mod tests;
pub mod wire;

pub use routes::ROUTES;

use crate::board::Board;
use crate::command::CommandDoor;
use crate::config::HttpConfig;
use crate::limits;
use crate::outbox::Outbox;
use crate::ports::Clock;
use archive::Archive;
use blockgate_rules::Input;
use blockgate_rules::event::Upkeep;
use blockgate_rules::setup::Setup;
use blockgate_types::Time;
use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::{Arc, RwLock};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use warp::reply::Response;

/// Who this gateway is and since when it runs.
#[derive(Debug, Clone)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// This start's id.
    pub boot: String,
    /// Hash of the config.
    pub config_hash: String,
    /// The public key that signs the journal's head, and its id.
    pub head_key: (String, String),
    /// When the process started.
    pub started: Time,
    /// Tenant.
    pub tenant: String,
    /// Gateway.
    pub gateway: String,
    /// IANA zone in which the page shows times.
    pub zone: String,
}

/// What the answers share.
pub struct Shared {
    /// Live values and states.
    pub board: Arc<Board>,
    /// Queries about the past.
    pub trees: Arc<dyn Archive>,
    /// What waits for the cloud.
    pub outbox: Arc<Outbox>,
    /// The one door for orders.
    pub door: CommandDoor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Who may come in.
    pub accounts: Arc<auth::Accounts>,
    /// Who we are.
    pub status: Status,
    /// The block as the config wants it; for names.
    pub setup: RwLock<Arc<Setup>>,
    /// Durable events as the engine commits them: sequence number and envelope.
    pub durable: broadcast::Sender<(u64, Bytes)>,
    /// Cameras, barriers, and what they are told.
    pub lanes: Arc<crate::lanes::Lanes>,
    /// Doors, controllers and their lists.
    pub doors: Arc<crate::doors::Doors>,
    /// Test reads of meters, with their frames.
    pub reads: crate::run::Reads,
    /// Scans of lines.
    pub scans: Arc<crate::scans::Scans>,
    /// The config's file, and what outlives its reload.
    pub upkeep: Arc<crate::upkeep::Upkeep>,
    /// What is told to the journal beside orders.
    pub hand: mpsc::Sender<Input>,
}

impl Shared {
    /// Tells the journal what a person did to the gateway itself.
    pub(crate) async fn tell(&self, by: String, did: Upkeep) {
        let input = Input::Upkeep { now: self.clock.now(), by, did };
        // An engine that has ended ends the process too; the change itself was made.
        let _ = self.hand.send(input).await;
    }

    /// Tells the journal what the accounts have for it.
    pub(crate) async fn tell_accounts(&self) {
        for (by, did) in self.accounts.take_untold() {
            self.tell(by, did).await;
        }
    }
}

/// Doors and controllers as the API answers them, in one document.
#[must_use]
pub fn doors_json(shared: &Shared) -> serde_json::Value {
    doors::whole(shared)
}

/// Binds the configured address.
///
/// # Errors
/// When it is taken or not ours.
pub async fn bind(config: &HttpConfig) -> io::Result<TcpListener> {
    TcpListener::bind(config.listen).await.map_err(|fault| {
        io::Error::new(fault.kind(), format!("http.listen {}: {fault}", config.listen))
    })
}

/// Serves page and API until `stop`, and ends within [`limits::HTTP_STOP_TIMEOUT`] then.
///
/// # Errors
/// When the certificate cannot be used.
pub async fn run(
    config: HttpConfig,
    listener: TcpListener,
    state_dir: &Path,
    shared: Arc<Shared>,
    stop: CancellationToken,
) -> io::Result<()> {
    let server = serve::Server::open(&config, listener, state_dir)?;
    shared.accounts.lock_after(config.lock_after.into());
    if let Some(code) = shared.accounts.take_set_up_code() {
        // The one time that it is shown: whoever reads the box's own log stands beside the box.
        // In the text too: `journalctl` shows no fields of its own accord.
        tracing::warn!(%code, "no password yet: open /setup with the code {code}, it is valid once");
    }
    shared.tell_accounts().await;
    let ring = Arc::new(events::Ring::new());
    let durable = shared.durable.subscribe();
    let archive = shared.trees.clone();
    // What a stream that was open before the restart asks for with its `Last-Event-ID`.
    match tokio::task::spawn_blocking(move || archive.newest(limits::HTTP_EVENTS_MAX)).await {
        Ok(Ok(events)) => events.into_iter().for_each(|(seq, event)| ring.push(seq, event)),
        Ok(Err(error)) => tracing::warn!(%error, "event streams begin with what comes next"),
        Err(error) => tracing::warn!(%error, "event streams begin with what comes next"),
    }
    let filling = tokio::spawn(ring.clone().fill(durable, stop.clone()));
    let desk = Arc::new(answer::Desk {
        site: gate::Site { hosts: config.hosts, tls: server.certificate().is_some() },
        certificate: server.certificate().cloned(),
        shared,
        ring,
        streams: Arc::new(Semaphore::new(limits::HTTP_STREAMS_MAX)),
        answers: Arc::default(),
        stop: stop.clone(),
    });
    let renewing = server.certificate().cloned().map(|c| tokio::spawn(renew(c, stop.clone())));
    let fast = barrier::Barrier { desk: desk.clone() };
    let served = server.serve(routes::routes(desk), Some(fast), stop).await;
    filling.abort();
    if let Some(renewing) = renewing {
        renewing.abort();
    }
    served
}

/// Looks for a renewed certificate until `stop`, so that whatever renews it need tell nobody.
async fn renew(certificate: Arc<certificate::Certificate>, stop: CancellationToken) {
    loop {
        tokio::select! { biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limits::CERTIFICATE_LOOK_EVERY) => {}
        }
        let looked = certificate.clone();
        match tokio::task::spawn_blocking(move || looked.reload_changed()).await {
            Ok(Ok(true)) => {
                let (fingerprint, until) = (certificate.fingerprint(), certificate.not_after());
                tracing::info!(%fingerprint, %until, "the page has a new certificate");
            }
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the page's new certificate cannot be used; the old one stays");
            }
            Err(error) => tracing::warn!(%error, "looking for a new certificate ended badly"),
        }
    }
}
