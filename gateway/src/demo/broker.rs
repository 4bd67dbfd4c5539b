//! The demo's MQTT 5 broker: TLS with client certificates on loopback, QoS 0 and 1, wildcards,
//! retained messages, last will. It keeps no session: a client that comes back subscribes again, and
//! the gateway sends again what has no receipt. That is all the gateway relies on anyway.
//!
//! A slow subscriber holds its publishers back, up to [`QUEUE`] messages in memory.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::Error as CodecError;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v5::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode, UnsubAck,
    UnsubAckReason,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

/// Messages that wait for one subscriber.
const QUEUE: usize = 1024;
/// Largest packet.
const PACKET_MAX: u32 = 1024 * 1024;
/// Time for TLS handshake and CONNECT.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
struct Message {
    topic: Bytes,
    payload: Bytes,
    qos: QoS,
    retain: bool,
}

struct Subscriber {
    filters: BTreeMap<String, QoS>,
    queue: mpsc::Sender<Message>,
}

#[derive(Default)]
struct State {
    subscribers: BTreeMap<u64, Subscriber>,
    retained: BTreeMap<Bytes, Message>,
    next: u64,
}

/// The broker; clones are the same one.
#[derive(Clone, Default)]
pub struct Broker(Arc<Mutex<State>>);

/// Whether a topic fits a filter (MQTT 5, 4.7): `+` is one level, `#` the rest, and neither the
/// first level of a topic that begins with `$`.
#[must_use]
pub fn fits(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && (filter.starts_with('#') || filter.starts_with('+')) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(f), Some(t)) if f == t => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

fn lower(a: QoS, b: QoS) -> QoS {
    if a < b { a } else { b }
}

/// The TLS side from PEM files: our chain and key, and the CA that clients must come from.
///
/// # Errors
/// When a file is missing or is not what it should be.
pub fn acceptor(ca: &Path, cert: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let mut roots = rustls::RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(ca)? {
        roots.add(cert?)?;
    }
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Broker {
    /// Serves a listener for ever, each connection in a task of its own; dropping the future ends
    /// the accepting.
    pub async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(crate::limits::ACCEPT_PAUSE).await;
                continue;
            };
            // Small answers must not wait for each other.
            let _ = stream.set_nodelay(true);
            let (broker, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await
                else {
                    return;
                };
                if let Err(error) = broker.client(stream).await {
                    debug!(%error, "a client of the demo's broker went");
                }
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<()> {
        let mut wire = Wire { stream, read: BytesMut::new(), write: BytesMut::new() };
        let first = tokio::time::timeout(HANDSHAKE_MAX, wire.read()).await??;
        let Some(Packet::Connect(connect, will, _)) = first else {
            anyhow::bail!("the first packet was not CONNECT");
        };
        let code = ConnectReturnCode::Success;
        wire.send(&Packet::ConnAck(ConnAck { session_present: false, code, properties: None }))?;
        wire.flush().await?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let id = {
            let mut state = self.state();
            state.next += 1;
            let id = state.next;
            state.subscribers.insert(id, Subscriber { filters: BTreeMap::new(), queue });
            id
        };
        debug!(client = connect.client_id, "connected");
        let ended = self.converse(id, &mut wire, waiting).await;
        self.state().subscribers.remove(&id);
        if !matches!(ended, Ok(Goodbye::Asked))
            && let Some(will) = will
        {
            let (qos, retain) = (will.qos, will.retain);
            let message = Message { topic: will.topic, payload: will.message, qos, retain };
            self.publish(message).await;
        }
        ended.map(drop)
    }

    async fn converse(
        &self,
        id: u64,
        wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>,
        mut waiting: mpsc::Receiver<Message>,
    ) -> anyhow::Result<Goodbye> {
        let mut pkid: u16 = 0;
        loop {
            tokio::select! { biased;
                message = waiting.recv() => {
                    let Some(message) = message else { return Ok(Goodbye::Lost) };
                    wire.deliver(message, &mut pkid)?;
                    while let Ok(message) = waiting.try_recv() {
                        wire.deliver(message, &mut pkid)?;
                    }
                    wire.flush().await?;
                }
                packet = wire.read() => {
                    let Some(packet) = packet? else { return Ok(Goodbye::Lost) };
                    if let Some(goodbye) = self.take(id, packet, wire).await? {
                        return Ok(goodbye);
                    }
                    wire.flush().await?;
                }
            }
        }
    }

    /// Takes one packet of a client in.
    async fn take(
        &self,
        id: u64,
        packet: Packet,
        wire: &mut Wire<impl AsyncRead + AsyncWrite + Unpin>,
    ) -> anyhow::Result<Option<Goodbye>> {
        match packet {
            Packet::Publish(Publish { qos, retain, topic, pkid, payload, .. }) => {
                self.publish(Message { topic, payload, qos, retain }).await;
                if qos != QoS::AtMostOnce {
                    wire.send(&Packet::PubAck(PubAck::new(pkid, None)))?;
                }
            }
            Packet::Subscribe(subscribe) => {
                let mut return_codes = Vec::new();
                let mut retained = Vec::new();
                {
                    let mut state = self.state();
                    let State { subscribers, retained: kept, .. } = &mut *state;
                    for filter in subscribe.filters {
                        let qos = lower(filter.qos, QoS::AtLeastOnce);
                        return_codes.push(SubscribeReasonCode::Success(qos));
                        retained.extend(
                            kept.values()
                                .filter(|m| fits(&filter.path, &String::from_utf8_lossy(&m.topic)))
                                .cloned(),
                        );
                        if let Some(subscriber) = subscribers.get_mut(&id) {
                            subscriber.filters.insert(filter.path, qos);
                        }
                    }
                }
                let pkid = subscribe.pkid;
                wire.send(&Packet::SubAck(SubAck { pkid, return_codes, properties: None }))?;
                for message in retained {
                    wire.deliver(Message { qos: QoS::AtMostOnce, ..message }, &mut 0)?;
                }
            }
            Packet::Unsubscribe(unsubscribe) => {
                let mut reasons = Vec::new();
                if let Some(subscriber) = self.state().subscribers.get_mut(&id) {
                    for filter in &unsubscribe.filters {
                        subscriber.filters.remove(filter);
                        reasons.push(UnsubAckReason::Success);
                    }
                }
                let pkid = unsubscribe.pkid;
                wire.send(&Packet::UnsubAck(UnsubAck { pkid, reasons, properties: None }))?;
            }
            Packet::PingReq => wire.send(&Packet::PingResp)?,
            Packet::Disconnect(_) => return Ok(Some(Goodbye::Asked)),
            // An acknowledgement of a delivery: nothing is kept that it could end.
            Packet::PubAck(_) => {}
            other => anyhow::bail!("a client sent {other:?}"),
        }
        Ok(None)
    }

    async fn publish(&self, message: Message) {
        let topic = String::from_utf8_lossy(&message.topic).into_owned();
        let targets: Vec<(mpsc::Sender<Message>, QoS)> = {
            let mut state = self.state();
            if message.retain {
                if message.payload.is_empty() {
                    state.retained.remove(&message.topic);
                } else {
                    state.retained.insert(message.topic.clone(), message.clone());
                }
            }
            let wanted = state.subscribers.values().filter_map(|subscriber| {
                let fitting = subscriber.filters.iter().filter(|(f, _)| fits(f, &topic));
                let qos = fitting.map(|(_, qos)| *qos).reduce(|a, b| if a < b { b } else { a })?;
                Some((subscriber.queue.clone(), qos))
            });
            wanted.collect()
        };
        for (queue, qos) in targets {
            let qos = lower(qos, message.qos);
            // A subscriber that went takes nothing more.
            let _ = queue.send(Message { qos, retain: false, ..message.clone() }).await;
        }
    }
}

/// How a conversation ended.
enum Goodbye {
    /// By DISCONNECT: the will is not sent.
    Asked,
    /// Otherwise.
    Lost,
}

struct Wire<S> {
    stream: S,
    read: BytesMut,
    write: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The next packet; `None` at the end. May be dropped and called again.
    async fn read(&mut self) -> anyhow::Result<Option<Packet>> {
        loop {
            match Packet::read(&mut self.read, Some(PACKET_MAX)) {
                Ok(packet) => return Ok(Some(packet)),
                Err(CodecError::InsufficientBytes(_)) => {}
                Err(error) => anyhow::bail!("{error:?}"),
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn send(&mut self, packet: &Packet) -> anyhow::Result<()> {
        packet.write(&mut self.write, None).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        Ok(())
    }

    fn deliver(&mut self, message: Message, pkid: &mut u16) -> anyhow::Result<()> {
        let Message { topic, payload, qos, retain } = message;
        if qos != QoS::AtMostOnce {
            *pkid = if *pkid == u16::MAX { 1 } else { *pkid + 1 };
        }
        let publish = Publish { qos, retain, topic, payload, pkid: *pkid, ..Publish::default() };
        self.send(&Packet::Publish(publish))
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        if self.write.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.write).await?;
        self.write.clear();
        self.stream.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn filters_fit_as_the_standard_says() {
        for (filter, topic, want) in [
            ("a/b", "a/b", true),
            ("a/+", "a/b", true),
            ("a/+", "a/b/c", false),
            ("a/#", "a/b/c", true),
            ("a/#", "a", true),
            ("#", "a/b", true),
            ("#", "$SYS/a", false),
            ("+/b", "$SYS/b", false),
            ("a/b/c", "a/b", false),
            ("a", "a/b", false),
        ] {
            assert_eq!(fits(filter, topic), want, "{filter} {topic}");
        }
    }
}
