//! The demo's cloud: subscribes to every event, stores each once in `cloud/events.jsonl`, and confirms
//! with receipts what it has stored. It knows nothing of the gateway's insides: what it counts is what
//! it was sent.

use super::certificates::Folder;
use anyhow::Context;
use bytes::Bytes;
use rumqttc::mqttbytes::QoS;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, PublishOptions};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tracing::warn;

/// Events after which a receipt is sent at once; fewer are confirmed when nothing more comes.
const RECEIPT_EVERY: u64 = 64;
/// Wait for more events before a receipt.
const QUIET: Duration = Duration::from_millis(20);
/// Wait before the next attempt to connect.
const RECONNECT: Duration = Duration::from_millis(200);

/// What the cloud has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events, each id once.
    pub events: u64,
    /// Deliveries of an id that was stored already.
    pub duplicates: u64,
    /// Deliveries of a known id with other bytes: never (invariant 8).
    pub altered: u64,
    /// Sequence numbers missing below the highest.
    pub gaps: u64,
}

#[derive(Default)]
struct State {
    counts: Counts,
    /// Everything up to here is stored.
    through: u64,
    /// Stored above it.
    above: BTreeSet<u64>,
    /// Hash of each stored event by id.
    hashes: BTreeMap<String, [u8; 32]>,
}

/// The cloud, running.
#[derive(Default)]
pub struct Cloud(Mutex<State>);

impl Cloud {
    /// What it has seen so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = state.above.last().copied().unwrap_or(state.through);
        let above = u64::try_from(state.above.len()).unwrap_or(0);
        Counts { gaps: highest - state.through - above, ..state.counts }
    }

    /// Stores an event; false when its id was stored before.
    fn store(&self, payload: &[u8], file: &mut impl Write) -> anyhow::Result<bool> {
        #[derive(serde::Deserialize)]
        struct Head {
            id: String,
            seq: u64,
        }
        let head: Head = serde_json::from_slice(payload).context("an event is not JSON")?;
        let digest = ring::digest::digest(&ring::digest::SHA256, payload);
        let hash: [u8; 32] = digest.as_ref().try_into().context("a hash of 32 bytes")?;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.hashes.get(&head.id) {
            let altered = *known != hash;
            state.counts.duplicates += 1;
            state.counts.altered += u64::from(altered);
            return Ok(false);
        }
        file.write_all(payload)?;
        file.write_all(b"\n")?;
        state.hashes.insert(head.id, hash);
        state.counts.events += 1;
        state.above.insert(head.seq);
        while let Some(next) = state.above.first().copied()
            && next == state.through + 1
        {
            state.above.pop_first();
            state.through = next;
        }
        Ok(true)
    }

    fn through(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).through
    }
}

/// Starts the cloud on the present runtime: connects to the broker on `port` and stores into
/// `dir/events.jsonl`. Ends with the runtime.
///
/// # Errors
/// When a certificate or the file cannot be used.
pub fn start(dir: &Path, folder: &Folder, port: u16, prefix: &str) -> anyhow::Result<Arc<Cloud>> {
    std::fs::create_dir_all(dir)?;
    let file = std::fs::File::create(dir.join("events.jsonl"))?;
    let (cert, key) = &folder.cloud;
    let tls = client(&folder.ca, cert, key)?;
    let mut options = MqttOptions::new("demo-cloud", ("localhost", port));
    options.set_socket_connector(move |_, _| {
        let tls = tls.clone();
        async move {
            let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
            tls.connect(name, TcpStream::connect(("127.0.0.1", port)).await?).await
        }
    });
    options.set_keep_alive(30);
    options.set_unlimited_incoming_packet_size();
    let cloud = Arc::new(Cloud::default());
    tokio::spawn(run(cloud.clone(), options, prefix.to_owned(), std::io::BufWriter::new(file)));
    Ok(cloud)
}

/// Receives for ever; hands payloads over.
async fn receive(
    mut events: EventLoop,
    client: AsyncClient,
    topic: String,
    stored: mpsc::Sender<Bytes>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                // A full queue means that the connection is gone again.
                let _ = client.try_subscribe(topic.as_str(), QoS::AtLeastOnce);
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                if stored.send(publish.payload).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(error) => {
                warn!(%error, "the demo's cloud has lost the broker");
                tokio::time::sleep(RECONNECT).await;
            }
        }
    }
}

/// TLS to the broker, with our own certificate.
fn client(ca: &Path, cert: &Path, key: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(ca)? {
        roots.add(cert?)?;
    }
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn run(
    cloud: Arc<Cloud>,
    options: MqttOptions,
    prefix: String,
    mut file: std::io::BufWriter<std::fs::File>,
) {
    let (client, events) = AsyncClient::builder(options).capacity(64).build();
    let (events_topic, receipt_topic) = (format!("{prefix}evt/#"), format!("{prefix}receipt"));
    let (received, mut payloads) = mpsc::channel(256);
    tokio::spawn(receive(events, client.clone(), events_topic, received));
    let mut confirmed = 0;
    loop {
        match tokio::time::timeout(QUIET, payloads.recv()).await {
            Ok(Some(payload)) => {
                if let Err(error) = cloud.store(&payload, &mut file) {
                    warn!(%error, "the demo's cloud did not store an event");
                }
                if cloud.through() < confirmed + RECEIPT_EVERY {
                    continue;
                }
            }
            Ok(None) => return,
            Err(_) => {}
        }
        let through = cloud.through();
        if through > confirmed && file.flush().is_ok() {
            let receipt = format!("{{\"through\":{through}}}");
            let options = PublishOptions::new(QoS::AtLeastOnce);
            if client.try_publish(receipt_topic.as_str(), receipt, options).is_ok() {
                confirmed = through;
            }
        }
    }
}
