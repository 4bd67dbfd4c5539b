//! A small MQTT broker for the demo and for tests: MQTT 5 and 3.1.1, QoS 0 and 1, wildcards, retained
//! messages, last will, take-over of a client id, bounded queues. It keeps no sessions, so whoever
//! comes back finds nothing waiting: the case that a gateway has to survive anyway. [`Faults`] makes
//! it misbehave on request. It is not meant for a network that others use.
//!
//! | module | what |
//! |---|---|
//! | `hub` | who is connected, who wants which topic, what is retained |
//! | `link` | one client: its packets and its faults |
//! | `v4` | the packets of MQTT 3.1.1 in terms of those of MQTT 5 |

mod hub;
mod link;
mod v4;

use bytes::Bytes;
use hub::Hub;
use rumqttc::{ConnectReturnCode, PubAckReason, Publish};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Clients at once; more are closed at once.
const CLIENTS_MAX: usize = 64;
/// Messages that wait for one client; more hold back whoever publishes at QoS 1.
const QUEUE_MAX: usize = 4096;
/// Largest packet.
const PACKET_MAX: u32 = 1024 * 1024;
/// Time for a handshake and for CONNECT.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the broker does to QoS 1 publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acknowledge {
    /// Delivers and acknowledges.
    #[default]
    Properly,
    /// Acknowledges and delivers nothing: a broker that crashed before its disk had it.
    AndForget,
    /// Takes them and never answers.
    Never,
}

/// How the broker misbehaves; the default is not at all. Counts begin with each connection.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// CONNECT is answered with this.
    pub refuse: Option<ConnectReturnCode>,
    /// The connection is cut instead of taking the publish after so many.
    pub cut_after: Option<u64>,
    /// What becomes of QoS 1 publishes.
    pub acknowledge: Acknowledge,
    /// QoS 1 publishes on topics that hold this text are answered with this reason, and not delivered.
    pub reject: Option<(String, PubAckReason)>,
    /// A payload of this many bytes ends the connection with 0x95, and nothing in its packet's
    /// neighbourhood is acknowledged; CONNACK does not say so.
    pub choke_at: Option<usize>,
    /// Each packet is taken after this pause.
    pub slow: Duration,
    /// CONNACK's Receive Maximum.
    pub receive_max: Option<u16>,
    /// CONNACK's Maximum Packet Size.
    pub packet_max: Option<u32>,
    /// The broker cannot retain; a retained will is refused.
    pub no_retain: bool,
    /// SUBSCRIBE is refused.
    pub no_subscribe: bool,
}

/// Numbers for tests and the demo's summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// CONNECTs that were accepted.
    pub connects: u64,
    /// CONNECTs that were refused.
    pub refused: u64,
    /// Publishes taken.
    pub published: u64,
    /// Wills published.
    pub wills: u64,
}

/// A running broker; ends when its token does.
pub struct Broker {
    hub: Arc<Mutex<Hub>>,
    faults: Mutex<Faults>,
    slots: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Broker {
    /// A broker without a listener: clients come by [`Broker::serve`].
    #[must_use]
    pub fn new(stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            hub: Arc::default(),
            faults: Mutex::default(),
            slots: Arc::new(Semaphore::new(CLIENTS_MAX)),
            stop,
        })
    }

    /// Listens for TLS and gives the address; clients must show a certificate of `ca`.
    ///
    /// # Errors
    /// When a file cannot be used or the address is taken.
    pub async fn listen(
        self: &Arc<Self>,
        address: SocketAddr,
        ca: &Path,
        (cert, key): (&Path, &Path),
    ) -> io::Result<SocketAddr> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(ca, cert, key)?));
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        tokio::spawn(accept(self.clone(), listener, acceptor));
        Ok(bound)
    }

    /// Serves one client on an open stream, to its end.
    pub async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin>(self: Arc<Self>, stream: S) {
        let Ok(_slot) = self.slots.clone().try_acquire_owned() else { return };
        link::serve(&self, stream).await;
    }

    /// Changes how the broker misbehaves, for what comes from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Cuts every connection without a word.
    pub fn cut(&self) {
        self.hub().cut();
    }

    /// Publishes from inside.
    pub fn publish(&self, topic: &str, payload: impl Into<Bytes>, retain: bool) {
        let mut publish = Publish::new(topic, rumqttc::QoS::AtLeastOnce, payload, None);
        publish.retain = retain;
        self.publish_packet(publish);
    }

    /// Publishes from inside, with properties.
    pub fn publish_packet(&self, publish: Publish) {
        self.hub().route(publish);
    }

    /// What is published on topics of this filter from now on; the newest are dropped when nobody
    /// takes them.
    #[must_use]
    pub fn watch(&self, filter: &str) -> mpsc::Receiver<Publish> {
        let (tap, taken) = mpsc::channel(QUEUE_MAX);
        self.hub().watch(filter, tap);
        taken
    }

    /// What is retained on a topic.
    #[must_use]
    pub fn retained(&self, topic: &str) -> Option<Bytes> {
        self.hub().retained(topic)
    }

    /// The numbers.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.hub().counts
    }

    fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(broker: Arc<Broker>, listener: TcpListener, acceptor: TlsAcceptor) {
    let stop = broker.stop.clone();
    loop {
        let accepted = tokio::select! { biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((tcp, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let _ = tcp.set_nodelay(true);
        let (broker, acceptor, stop) = (broker.clone(), acceptor.clone(), stop.clone());
        tokio::spawn(async move {
            let handshake = tokio::time::timeout(CONNECT_MAX, acceptor.accept(tcp));
            let stream = tokio::select! { biased;
                () = stop.cancelled() => return,
                stream = handshake => stream,
            };
            if let Ok(Ok(stream)) = stream {
                broker.serve(stream).await;
            }
        });
    }
}

fn server_config(ca: &Path, cert: &Path, key: &Path) -> io::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(ca).map_err(io::Error::other)? {
        roots.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(io::Error::other)?;
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(cert).map_err(io::Error::other)?.collect();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(clients)
        .with_single_cert(
            chain.map_err(io::Error::other)?,
            PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?,
        )
        .map_err(io::Error::other)
}
