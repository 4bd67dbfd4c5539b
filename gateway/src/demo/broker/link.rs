//! One client of the broker: its packets in and out, and the faults that were asked for.

use super::hub::Ending;
use super::{Acknowledge, Broker, CONNECT_MAX, Counts, Faults, PACKET_MAX, QUEUE_MAX, v4};
use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::{
    ConnAck, ConnAckProperties, Connect, ConnectReturnCode, Disconnect, DisconnectReasonCode,
    LastWill, Packet, PubAck, Publish, QoS, SubAck, Subscribe, SubscribeReasonCode, UnsubAck,
    UnsubAckReason, valid_filter, valid_topic,
};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Bytes of one read.
const READ_SIZE: usize = 16 * 1024;

/// Which form the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V4,
    V5,
}

/// Why a link ends.
enum End {
    /// The client said goodbye: no will.
    Goodbye,
    /// Anything else.
    Lost,
}

struct Link<'a, S> {
    broker: &'a Broker,
    stream: S,
    version: Version,
    incoming: BytesMut,
    outgoing: BytesMut,
    number: u64,
    /// QoS 1 publishes that the client has not acknowledged, and how many it takes.
    unacknowledged: u16,
    window: u16,
    pkid: u16,
    taken: u64,
}

/// Serves one client to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(broker: &Broker, stream: S) {
    let mut link = Link {
        broker,
        stream,
        version: Version::V5,
        incoming: BytesMut::with_capacity(READ_SIZE),
        outgoing: BytesMut::with_capacity(READ_SIZE),
        number: 0,
        unacknowledged: 0,
        window: u16::MAX,
        pkid: 0,
        taken: 0,
    };
    let connect = tokio::select! { biased;
        () = broker.stop.cancelled() => return,
        connect = tokio::time::timeout(CONNECT_MAX, link.connect()) => connect,
    };
    let Ok(Some((connect, will))) = connect else { return };
    let (queue, mut queued) = mpsc::channel(QUEUE_MAX);
    let (number, ending) = broker.hub().join(&connect.client_id, queue);
    link.number = number;
    let silence = Duration::from_secs(u64::from(connect.keep_alive)).mul_f64(1.5);
    let end = link.talk(&mut queued, &ending, silence).await;
    broker.hub().leave(number);
    if let (End::Lost, Some(will)) = (end, will) {
        let mut publish = Publish::new("", will.qos, will.message, None);
        publish.topic = will.topic;
        publish.retain = will.retain;
        let mut hub = broker.hub();
        hub.counts.wills += 1;
        hub.route(publish);
    }
    let _ = link.stream.shutdown().await;
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<'_, S> {
    /// Reads CONNECT and answers it; `None` when it is refused.
    async fn connect(&mut self) -> Option<(Connect, Option<LastWill>)> {
        let packet = loop {
            if let Some(version) = v4::version_of(&self.incoming) {
                self.version = if version == 4 { Version::V4 } else { Version::V5 };
                if let Some(packet) = self.parse().ok()? {
                    break packet;
                }
            }
            self.fill().await.ok()?;
        };
        let Packet::Connect(mut connect, will, _) = packet else { return None };
        let assigned = connect.client_id.is_empty().then(|| self.broker.hub().name());
        if let Some(name) = &assigned {
            connect.client_id.clone_from(name);
        }
        let faults = self.broker.faults();
        let refuse = faults.refuse.or_else(|| {
            let retained = faults.no_retain && will.as_ref().is_some_and(|w| w.retain);
            retained.then_some(ConnectReturnCode::RetainNotSupported)
        });
        self.window = connect
            .properties
            .as_ref()
            .and_then(|p| p.receive_maximum)
            .unwrap_or(if self.version == Version::V4 { 100 } else { u16::MAX });
        let code = refuse.unwrap_or(ConnectReturnCode::Success);
        let properties = connack_properties(&faults, assigned);
        let connack = ConnAck { session_present: false, code, properties };
        self.put(&Packet::ConnAck(connack)).ok()?;
        self.flush().await.ok()?;
        if refuse.is_some() {
            let mut hub = self.broker.hub();
            hub.counts = Counts { refused: hub.counts.refused + 1, ..hub.counts };
            return None;
        }
        Some((connect, will))
    }

    async fn talk(
        &mut self,
        queued: &mut mpsc::Receiver<Publish>,
        ending: &Ending,
        silence: Duration,
    ) -> End {
        let deadline = |silence: Duration| {
            let silence = if silence.is_zero() { Duration::from_secs(86_400) } else { silence };
            tokio::time::Instant::now() + silence
        };
        let mut until = deadline(silence);
        loop {
            loop {
                match self.parse() {
                    Ok(Some(packet)) => match self.take(packet).await {
                        Ok(()) => {}
                        Err(end) => return end,
                    },
                    Ok(None) => break,
                    Err(_) => return self.close(DisconnectReasonCode::MalformedPacket).await,
                }
            }
            if self.flush().await.is_err() {
                return End::Lost;
            }
            tokio::select! { biased;
                () = self.broker.stop.cancelled() => {
                    return self.close(DisconnectReasonCode::ServerShuttingDown).await;
                }
                () = ending.cut.cancelled() => return End::Lost,
                () = ending.taken_over.cancelled() => {
                    return self.close(DisconnectReasonCode::SessionTakenOver).await;
                }
                read = self.stream.read_buf(&mut self.incoming) => match read {
                    Ok(0) | Err(_) => return End::Lost,
                    Ok(_) => until = deadline(silence),
                },
                publish = queued.recv(), if self.unacknowledged < self.window => {
                    let Some(publish) = publish else { return End::Lost };
                    if self.deliver(publish, queued).is_err() {
                        return End::Lost;
                    }
                }
                () = tokio::time::sleep_until(until) => {
                    return self.close(DisconnectReasonCode::KeepAliveTimeout).await;
                }
            }
        }
    }

    /// Puts a publish and those behind it into the buffer, as many as the client takes.
    fn deliver(
        &mut self,
        first: Publish,
        queued: &mut mpsc::Receiver<Publish>,
    ) -> Result<(), Error> {
        let mut next = Some(first);
        while let Some(mut publish) = next {
            if publish.qos != QoS::AtMostOnce {
                self.pkid = self.pkid.checked_add(1).unwrap_or(1);
                publish.pkid = self.pkid;
                self.unacknowledged += 1;
            }
            self.put(&Packet::Publish(publish))?;
            let more = self.unacknowledged < self.window && self.outgoing.len() < READ_SIZE;
            next = if more { queued.try_recv().ok() } else { None };
        }
        Ok(())
    }

    async fn take(&mut self, packet: Packet) -> Result<(), End> {
        let put = match packet {
            Packet::Publish(publish) => return self.published(publish).await,
            Packet::PubAck(_) => {
                self.unacknowledged = self.unacknowledged.saturating_sub(1);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
                for filter in &unsubscribe.filters {
                    let known = self.broker.hub().unsubscribe(self.number, filter);
                    reasons.push(if known {
                        UnsubAckReason::Success
                    } else {
                        UnsubAckReason::NoSubscriptionExisted
                    });
                }
                let unsuback = UnsubAck { pkid: unsubscribe.pkid, reasons, properties: None };
                self.put(&Packet::UnsubAck(unsuback))
            }
            Packet::PingReq => self.put(&Packet::PingResp),
            Packet::Disconnect(disconnect) => {
                let will =
                    disconnect.reason_code == DisconnectReasonCode::DisconnectWithWillMessage;
                return Err(if will { End::Lost } else { End::Goodbye });
            }
            // QoS 2, enhanced authentication, and what only a broker sends.
            _ => return Err(self.close(DisconnectReasonCode::ProtocolError).await),
        };
        put.map_err(|_| End::Lost)
    }

    async fn published(&mut self, publish: Publish) -> Result<(), End> {
        let faults = self.broker.faults();
        if !faults.slow.is_zero() {
            tokio::time::sleep(faults.slow).await;
        }
        if faults.cut_after.is_some_and(|after| self.taken >= after) {
            let _ = self.flush().await; // what was taken was acknowledged
            return Err(End::Lost);
        }
        self.taken += 1;
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        if faults.choke_at.is_some_and(|bytes| publish.payload.len() >= bytes) {
            return Err(self.close(DisconnectReasonCode::PacketTooLarge).await);
        }
        if publish.qos == QoS::ExactlyOnce {
            return Err(self.close(DisconnectReasonCode::QoSNotSupported).await);
        }
        if topic.is_empty() || !valid_topic(&topic) {
            return Err(self.close(DisconnectReasonCode::TopicNameInvalid).await);
        }
        let (qos, pkid) = (publish.qos, publish.pkid);
        let mut answer = PubAck::new(pkid, None);
        match faults.reject {
            Some((part, reason)) if qos != QoS::AtMostOnce && topic.contains(&part) => {
                answer.reason = reason;
            }
            _ if faults.acknowledge == Acknowledge::Properly || qos == QoS::AtMostOnce => {
                let held = self.broker.hub().route(publish);
                for held in held {
                    held.wait().await;
                }
            }
            _ => {}
        }
        if qos == QoS::AtMostOnce || faults.acknowledge == Acknowledge::Never {
            return Ok(());
        }
        self.put(&Packet::PubAck(answer)).map_err(|_| End::Lost)
    }

    fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), Error> {
        let refused = self.broker.faults().no_subscribe;
        let mut return_codes = Vec::with_capacity(subscribe.filters.len());
        // SUBACK goes first: retained messages only wait in the queue.
        for filter in &subscribe.filters {
            return_codes.push(if refused {
                SubscribeReasonCode::NotAuthorized
            } else if valid_filter(&filter.path) && !filter.path.starts_with("$share") {
                match self.broker.hub().subscribe(self.number, filter) {
                    Some(qos) => SubscribeReasonCode::Success(qos),
                    None => SubscribeReasonCode::QuotaExceeded,
                }
            } else {
                SubscribeReasonCode::TopicFilterInvalid
            });
        }
        self.put(&Packet::SubAck(SubAck { pkid: subscribe.pkid, return_codes, properties: None }))
    }

    /// Says why (MQTT 5) and ends.
    async fn close(&mut self, reason: DisconnectReasonCode) -> End {
        if self.version == Version::V5 {
            let disconnect = Disconnect { reason_code: reason, properties: None };
            if self.put(&Packet::Disconnect(disconnect)).is_ok() {
                let _ = self.flush().await;
            }
        }
        End::Lost
    }

    fn parse(&mut self) -> Result<Option<Packet>, Error> {
        let packet = match self.version {
            Version::V5 => Packet::read(&mut self.incoming, Some(PACKET_MAX)),
            Version::V4 => v4::read(&mut self.incoming, PACKET_MAX),
        };
        match packet {
            Ok(packet) => Ok(Some(packet)),
            Err(Error::InsufficientBytes(more)) => {
                self.incoming.reserve(more.min(READ_SIZE));
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn put(&mut self, packet: &Packet) -> Result<(), Error> {
        match self.version {
            Version::V5 => match packet {
                // The library's encoder panics at a code that only MQTT 3.1.1 has.
                Packet::ConnAck(connack) => {
                    ConnAck { code: newer(connack.code), ..connack.clone() }
                        .write(&mut self.outgoing)
                        .map(|_| ())
                }
                packet => packet.write(&mut self.outgoing, None).map(|_| ()),
            },
            Version::V4 => v4::write(packet, &mut self.outgoing),
        }
    }

    async fn fill(&mut self) -> std::io::Result<()> {
        match self.stream.read_buf(&mut self.incoming).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        if !self.outgoing.is_empty() {
            self.stream.write_all_buf(&mut self.outgoing).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }
}

/// A refusal as MQTT 5 says it.
fn newer(code: ConnectReturnCode) -> ConnectReturnCode {
    match code {
        ConnectReturnCode::RefusedProtocolVersion => ConnectReturnCode::UnsupportedProtocolVersion,
        ConnectReturnCode::BadClientId => ConnectReturnCode::ClientIdentifierNotValid,
        ConnectReturnCode::ServiceUnavailable => ConnectReturnCode::ServerUnavailable,
        code => code,
    }
}

/// What we are able to do; `None` where there is nothing to say.
fn connack_properties(faults: &Faults, assigned: Option<String>) -> Option<ConnAckProperties> {
    Some(ConnAckProperties {
        session_expiry_interval: None,
        receive_max: faults.receive_max,
        max_qos: Some(1),
        retain_available: faults.no_retain.then_some(0),
        max_packet_size: Some(faults.packet_max.unwrap_or(PACKET_MAX)),
        assigned_client_identifier: assigned,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(0),
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    })
}
