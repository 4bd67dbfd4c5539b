//! One connection to the broker, from CONNECT to its end. It is driven by one task: the library's
//! `poll` is never dropped half-way (it would lose what it has read), and the outbox is asked for
//! more only when there is nothing left to read, so that many publishes leave in one write.
//!
//! Order: CONNECT with last will → SUBSCRIBE to receipts and commands → state → events. Nothing is
//! published before the cloud's answers can reach us.

use super::backfill::{Backfill, LOOK_AGAIN};
use super::client::{Carried, Steady};
use super::commands::{Address, Answered};
use super::faults::{self, Verdict};
use super::flight::{Carries, Flight};
use super::topics::Incoming;
use super::trouble::Trouble;
use super::watched::{Seen, Watched};
use super::wire::{self, Response};
use crate::limits;
use crate::outbox::Receipt;
use crate::ports::BrokerStream;
use blockgate_rules::event::Outcome;
use bytes::Bytes;
use rumqttc::{
    AsyncClient, ConnAck, Event, EventLoop, LastWill, MqttOptions, Outgoing as Sent, Packet,
    PubAck, Publish, PublishOptions, PublishProperties, QoS, SubAck, SubscribeFilterInput,
    SubscribeReasonCode, ValidatedTopic,
};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Time for CONNACK.
const CONNACK_MAX: Duration = Duration::from_secs(30);
/// A broker that leaves one message without an acknowledgement for so long is given up.
const PUBACK_MAX: Duration = Duration::from_secs(60);
/// How often the retained state is written anew.
const STATE_EVERY: Duration = Duration::from_secs(60);
/// Time for the last acknowledgements and the goodbye.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// Requests that wait in the library: a full window, answers to all commands, and live values.
const QUEUE_MAX: usize = limits::MQTT_INFLIGHT_MAX as usize + 2 * limits::MQTT_INCOMING_MAX + 64;
/// Publishes beside the events; when there are more, answers are left out.
const ANSWERS_MAX: usize = 2 * limits::MQTT_INCOMING_MAX;
/// Refusals of one event after which it is a dead letter, so that the queue moves on.
const TRIES_MAX: u8 = 3;
/// Bytes of a PUBLISH beside topic, payload and content type: header, lengths, packet id.
const PUBLISH_OVERHEAD: usize = 16;
/// CloudEvents' MQTT binding names structured events so.
const CLOUDEVENTS: &str = "application/cloudevents+json";

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As ordered.
    Stopped,
    /// By this.
    Trouble(Trouble),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// CONNECT is out.
    Connecting,
    /// SUBSCRIBE is out.
    Subscribing,
    /// Events go out.
    Open,
    /// Only the goodbye is left, until then at the latest.
    Leaving(Instant),
    /// DISCONNECT is in the library's hands.
    Left,
}

/// One connection.
pub(super) struct Session<'a> {
    steady: &'a Steady,
    carried: &'a mut Carried,
    client: AsyncClient,
    seen: Seen,
    phase: Phase,
    flight: Flight,
    /// Events at once, by the broker's Receive Maximum and our own bound.
    window: usize,
    /// Largest packet that the broker takes.
    packet_max: usize,
    /// A silence longer than this means that the other side is gone.
    silence_max: Duration,
    heard: Instant,
    /// When the present phase began.
    began: Instant,
    /// An event was acknowledged on this connection.
    any_taken: bool,
    /// The outbox may have more to take.
    more: bool,
    /// How fast what waited may go.
    backfill: Backfill,
    /// When what waited may go on.
    again_at: Option<Instant>,
    topics: BTreeMap<String, ValidatedTopic>,
    state_at: Instant,
    live_at: Instant,
}

impl<'a> Session<'a> {
    /// A client of the library over an open stream. It connects when it is driven.
    pub(super) fn over(
        steady: &'a Steady,
        carried: &'a mut Carried,
        stream: Box<dyn BrokerStream>,
    ) -> Result<(Self, EventLoop), Trouble> {
        let seen = Seen::default();
        let options = options(steady, carried.retain, Watched::new(stream, seen.clone()))?;
        let silence_max = options.keep_alive().mul_f64(1.5);
        let (client, events) = AsyncClient::builder(options)
            .capacity(QUEUE_MAX)
            .try_build()
            .map_err(|e| Trouble::Protocol(e.to_string()))?;
        let now = Instant::now();
        let session = Self {
            steady,
            carried,
            client,
            seen,
            phase: Phase::Connecting,
            flight: Flight::default(),
            window: usize::from(limits::MQTT_INFLIGHT_MAX),
            packet_max: limits::MQTT_MESSAGE_BYTES_MAX + 1024,
            silence_max,
            heard: now,
            began: now,
            any_taken: false,
            more: true,
            backfill: Backfill::new(steady.config.backfill_per_second),
            again_at: None,
            topics: BTreeMap::new(),
            state_at: now,
            live_at: now,
        };
        Ok((session, events))
    }

    /// Talks until the end.
    pub(super) async fn drive(&mut self, events: &mut EventLoop, stop: &CancellationToken) -> End {
        let end = self.talk(events, stop).await;
        match &end {
            End::Trouble(trouble) => self.suspect(trouble).err().unwrap_or(end),
            End::Stopped => end,
        }
    }

    /// After a connection that ended before any of its events was acknowledged: perhaps one of them
    /// is more than the broker can bear. The window closes until a single event is left in it; if the
    /// broker then says again and again that it does not want that one, it is a dead letter.
    fn suspect(&mut self, trouble: &Trouble) -> Result<(), End> {
        let Some(seq) = self.flight.first_event().filter(|_| !self.any_taken) else {
            return Ok(());
        };
        if self.carried.window > 1 {
            self.carried.window /= 2;
            return Ok(());
        }
        match trouble {
            Trouble::PacketTooLarge
            | Trouble::NotAuthorised
            | Trouble::Quota
            | Trouble::Protocol(_) => {
                if self.tried(seq) >= TRIES_MAX {
                    self.carried.suspect = None;
                    self.dead_letter(seq, trouble.word())?;
                }
                Ok(())
            }
            // A network says nothing about the event.
            _ => Ok(()),
        }
    }

    /// Counts that the broker did not take an event, and gives how often that was in a row.
    fn tried(&mut self, seq: u64) -> u8 {
        let times = match self.carried.suspect {
            Some((suspect, times)) if suspect == seq => times.saturating_add(1),
            Some(_) | None => 1,
        };
        self.carried.suspect = Some((seq, times));
        times
    }

    async fn talk(&mut self, events: &mut EventLoop, stop: &CancellationToken) -> End {
        let mut beat = tokio::time::interval(self.steady.beat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut poll = pin!(events.poll());
            let event = loop {
                let open = self.phase == Phase::Open;
                let staying =
                    matches!(self.phase, Phase::Connecting | Phase::Subscribing | Phase::Open);
                let done = tokio::select! { biased;
                    event = &mut poll => break event,
                    () = stop.cancelled(), if staying => self.leave(),
                    answered = self.carried.commands.next(), if open && !self.carried.commands.is_empty() => {
                        answered.map_or(Ok(()), |answered| self.answer(answered))
                    }
                    () = std::future::ready(()), if open && self.more && self.room() > 0 => {
                        self.refill()
                    }
                    () = self.steady.outbox.changed().notified(), if open && !self.more => {
                        self.more = true;
                        Ok(())
                    }
                    () = until(self.again_at), if open && !self.more => {
                        (self.more, self.again_at) = (true, None);
                        Ok(())
                    }
                    _ = beat.tick() => self.beat(),
                };
                if let Err(end) = done {
                    return end;
                }
            };
            let done = match event {
                Ok(event) => self.event(event),
                Err(_) if self.phase == Phase::Left => Err(End::Stopped),
                Err(e) => Err(End::Trouble(faults::of_poll(&e, self.seen.take()))),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    fn event(&mut self, event: Event) -> Result<(), End> {
        let packet = match event {
            Event::Incoming(packet) => packet,
            Event::Outgoing(Sent::Publish(0)) => return Ok(()),
            Event::Outgoing(Sent::Publish(pkid)) => {
                return if self.flight.sent(pkid) { Ok(()) } else { Err(lost_count()) };
            }
            // Two publishes under one id: never, as long as the window is the library's own.
            Event::Outgoing(Sent::AwaitAck(_)) => return Err(lost_count()),
            Event::Outgoing(Sent::Disconnect) if self.phase == Phase::Left => {
                return Err(End::Stopped);
            }
            Event::Outgoing(_) | Event::Auth(_) => return Ok(()),
        };
        self.heard = Instant::now();
        match packet {
            Packet::ConnAck(connack) => self.connected(&connack),
            Packet::SubAck(suback) => self.subscribed(&suback),
            Packet::PubAck(puback) => self.puback(&puback),
            Packet::Publish(publish) => self.incoming(&publish),
            // The library answers or counts the rest itself.
            _ => Ok(()),
        }
    }

    fn connected(&mut self, connack: &ConnAck) -> Result<(), End> {
        self.carried.greeted = true;
        if let Some(properties) = &connack.properties {
            if properties.max_qos == Some(0) {
                return Err(End::Trouble(Trouble::Unsupported("QoS 1".to_owned())));
            }
            if properties.retain_available == Some(0) {
                self.carried.retain = false;
            }
            if let Some(most) = properties.receive_max {
                self.window = self.window.min(usize::from(most));
            }
            if let Some(most) = properties.max_packet_size {
                self.packet_max = self.packet_max.min(usize::try_from(most).unwrap_or(usize::MAX));
            }
            if let Some(seconds) = properties.server_keep_alive {
                self.silence_max = Duration::from_secs(u64::from(seconds)).mul_f64(1.5);
            }
        }
        let topics = &self.steady.topics;
        let filters = [topics.receipt(), topics.commands()].map(|filter| {
            // Without this a retained command that comes live would look like any other.
            SubscribeFilterInput::new(filter, QoS::AtLeastOnce).preserve_retain(true)
        });
        self.client.try_subscribe_many(filters).map_err(|_| full())?;
        self.phase = Phase::Subscribing;
        self.began = Instant::now();
        Ok(())
    }

    fn subscribed(&mut self, suback: &SubAck) -> Result<(), End> {
        for code in &suback.return_codes {
            match code {
                SubscribeReasonCode::Success(QoS::AtMostOnce) => {
                    // Receipts and commands may get lost then; both are repeated by their sender.
                    tracing::warn!("the broker grants QoS 0 only for receipts and commands");
                }
                SubscribeReasonCode::Success(_) => {}
                SubscribeReasonCode::NotAuthorized => {
                    return Err(End::Trouble(Trouble::NotAuthorised));
                }
                SubscribeReasonCode::WildcardSubscriptionsNotSupported => {
                    let what = "wildcard subscriptions".to_owned();
                    return Err(End::Trouble(Trouble::Unsupported(what)));
                }
                other => {
                    return Err(End::Trouble(Trouble::Protocol(format!("SUBACK says {other:?}"))));
                }
            }
        }
        self.phase = Phase::Open;
        self.more = true;
        self.steady.outbox.connected();
        self.state(true)?;
        self.tell_unknown()?;
        self.steady.up();
        Ok(())
    }

    fn puback(&mut self, puback: &PubAck) -> Result<(), End> {
        match self.flight.answered(puback.pkid) {
            Some(Carries::Event(seq)) => self.judged(seq, puback)?,
            Some(Carries::State | Carries::Response) => {}
            None => return Err(lost_count()),
        }
        let last = matches!(self.phase, Phase::Leaving(_)) && self.flight.is_empty();
        self.left(last)
    }

    fn judged(&mut self, seq: u64, puback: &PubAck) -> Result<(), End> {
        match faults::of_puback(puback.reason) {
            Verdict::Taken => {
                self.steady.outbox.acknowledged(seq, self.steady.clock.now());
                self.steady.board.mqtt().published += 1;
                self.any_taken = true;
                self.carried.window = (self.carried.window + 1).min(limits::MQTT_INFLIGHT_MAX);
                if self.carried.suspect.is_some_and(|(suspect, _)| suspect == seq) {
                    self.carried.suspect = None;
                }
                Ok(())
            }
            Verdict::Never(reason) => self.dead_letter(seq, reason),
            Verdict::NotNow(trouble) => {
                self.any_taken = true; // answered, at least: no need to look for it
                if self.tried(seq) < TRIES_MAX {
                    return Err(End::Trouble(trouble));
                }
                self.carried.suspect = None;
                self.dead_letter(seq, trouble.word())
            }
        }
    }

    fn dead_letter(&mut self, seq: u64, reason: &str) -> Result<(), End> {
        tracing::warn!(seq, reason, "an event cannot be delivered and lies among the dead letters");
        match self.steady.outbox.refused(seq, reason) {
            Ok(()) => Ok(()),
            Err(e) => Err(outbox_failed(&e)),
        }
    }

    fn incoming(&mut self, publish: &Publish) -> Result<(), End> {
        match self.steady.topics.parse(&publish.topic) {
            Some(Incoming::Receipt) => self.receipt(&publish.payload),
            Some(Incoming::Command(name)) => {
                let properties = publish.properties.as_ref();
                let asked = properties.and_then(|p| p.response_topic.as_deref());
                let correlation = properties
                    .and_then(|p| p.correlation_data.clone())
                    .filter(|data| data.len() <= limits::MQTT_CORRELATION_MAX);
                let address =
                    Address { topic: self.steady.topics.answer_to(name, asked), correlation };
                let commands = &mut self.carried.commands;
                let topic = self.steady.topics.command(name);
                let answered =
                    commands.take(&topic, name, &publish.payload, publish.retain, address);
                self.answer(answered)
            }
            None => Ok(()),
        }
    }

    fn receipt(&mut self, payload: &[u8]) -> Result<(), End> {
        let said = match wire::receipt(payload) {
            Ok(said) => said,
            Err(why) => {
                tracing::warn!("a receipt is not taken: {why}");
                return Ok(());
            }
        };
        let outbox = &self.steady.outbox;
        for refused in &said.refused {
            match outbox.refused_by_cloud(refused) {
                Ok(true) => tracing::warn!(
                    code = refused.code,
                    "the cloud refuses an event; it lies among the dead letters"
                ),
                Ok(false) => tracing::warn!("the cloud refuses an event that we do not know"),
                Err(e) => return Err(outbox_failed(&e)),
            }
        }
        if said.through.is_some() || !said.ids.is_empty() {
            let receipt = Receipt { through: said.through, epoch: said.epoch, ids: said.ids };
            match outbox.receipt(&receipt) {
                Ok(outcome) if outcome.refused.is_empty() => {}
                Ok(outcome) => tracing::warn!(
                    parts = outcome.refused.len(),
                    "a receipt names what we do not have: {:?}",
                    outcome.refused.first()
                ),
                Err(e) => return Err(outbox_failed(&e)),
            }
        }
        self.steady.board.mqtt().last_receipt = Some(self.steady.clock.now());
        Ok(())
    }

    /// How many events may follow those that are on their way.
    fn room(&self) -> usize {
        self.window.min(usize::from(self.carried.window)).saturating_sub(self.flight.len())
    }

    /// Hands the next events over, as many as may be on their way.
    fn refill(&mut self) -> Result<(), End> {
        let room = self.room();
        let backlog = self.backfill.allowed();
        let taken = self.steady.outbox.take_paced(room, backlog, self.steady.clock.now());
        let (batch, old) = match taken {
            Ok(taken) => taken,
            Err(e) => return Err(outbox_failed(&e)),
        };
        self.backfill.spent(old);
        self.more = batch.len() == room;
        if !self.more && old >= backlog {
            self.again_at = Some(Instant::now() + LOOK_AGAIN);
        }
        for event in batch {
            let topic = self.event_topic(&event.kind)?;
            let size = event.payload.len() + self.steady.topics.prefix().len() + event.kind.len();
            if event.payload.len() > limits::MQTT_MESSAGE_BYTES_MAX
                || size + CLOUDEVENTS.len() + PUBLISH_OVERHEAD > self.packet_max
            {
                self.dead_letter(event.seq, "packet-too-large")?;
                continue;
            }
            let properties = PublishProperties {
                content_type: Some(CLOUDEVENTS.to_owned()),
                ..PublishProperties::default()
            };
            let options = PublishOptions::at_least_once().properties(properties);
            self.client.try_publish(topic, event.payload, options).map_err(|_| full())?;
            self.flight.queue(Carries::Event(event.seq));
        }
        Ok(())
    }

    fn event_topic(&mut self, kind: &str) -> Result<ValidatedTopic, End> {
        if let Some(topic) = self.topics.get(kind) {
            return Ok(topic.clone());
        }
        // Kinds are a closed list of ours.
        let topic = ValidatedTopic::new(self.steady.topics.event(kind))
            .map_err(|e| End::Trouble(Trouble::Protocol(e.to_string())))?;
        self.topics.insert(kind.to_owned(), topic.clone());
        Ok(topic)
    }

    fn answer(&mut self, (address, response): Answered) -> Result<(), End> {
        if self.flight.len() >= self.window + ANSWERS_MAX {
            tracing::warn!("an answer is left out: the broker does not take them fast enough");
            return Ok(());
        }
        let payload = response.to_json(&self.steady.sender, self.steady.clock.now());
        let properties = PublishProperties {
            content_type: Some("application/json".to_owned()),
            correlation_data: address.correlation,
            ..PublishProperties::default()
        };
        let options = PublishOptions::at_least_once().properties(properties);
        self.client.try_publish(address.topic, payload, options).map_err(|_| full())?;
        self.flight.queue(Carries::Response);
        Ok(())
    }

    fn state(&mut self, online: bool) -> Result<(), End> {
        let steady = self.steady;
        let payload = wire::state(
            &steady.sender,
            online,
            steady.clock.state(),
            steady.outbox.waiting(),
            steady.clock.now(),
        );
        let options = PublishOptions::at_least_once().retain(self.carried.retain);
        self.client.try_publish(steady.topics.state(), payload, options).map_err(|_| full())?;
        self.flight.queue(Carries::State);
        self.state_at = Instant::now();
        Ok(())
    }

    /// Answers the commands that a restart cut off, once.
    fn tell_unknown(&mut self) -> Result<(), End> {
        let unknown = std::mem::take(&mut *self.steady.board.unknown());
        for (id, name) in unknown {
            let address = Address { topic: self.steady.topics.response(&name), correlation: None };
            let why = "the gateway was restarted before it was known".to_owned();
            self.answer((address, Response::ended(id, &name, Outcome::Unknown, why)))?;
        }
        Ok(())
    }

    /// Live values at QoS 0: what does not fit now is dropped, the next ones are newer.
    fn live(&mut self) {
        let steady = self.steady;
        let messages = {
            let meters = steady.board.meters();
            wire::live(&steady.sender, steady.clock.state(), steady.clock.now(), meters.iter())
        };
        for message in messages {
            let options = PublishOptions::at_most_once();
            if self.client.try_publish(steady.topics.live(), message, options).is_err() {
                break;
            }
        }
        self.live_at = Instant::now();
    }

    /// Once a second: is the other side alive, and is it time for state and live values?
    fn beat(&mut self) -> Result<(), End> {
        match self.phase {
            Phase::Connecting => return Ok(()), // the library has its own bound
            Phase::Leaving(until) => {
                return self.left(self.flight.is_empty() || Instant::now() >= until);
            }
            Phase::Left => return Err(End::Stopped),
            Phase::Subscribing | Phase::Open => {}
        }
        if !self.silence_max.is_zero() && self.heard.elapsed() > self.silence_max {
            return Err(End::Trouble(Trouble::KeepAliveTimeout));
        }
        let subscribing = (self.phase == Phase::Subscribing).then_some(self.began);
        if subscribing.or(self.flight.oldest()).is_some_and(|t| t.elapsed() > PUBACK_MAX) {
            return Err(End::Trouble(Trouble::NoAcknowledgement));
        }
        if self.phase == Phase::Open {
            self.more = true; // whatever was missed
            if self.state_at.elapsed() >= STATE_EVERY {
                self.state(true)?;
            }
            let every = Duration::from(self.steady.config.telemetry_every);
            if !every.is_zero() && self.live_at.elapsed() >= every {
                self.live();
            }
        }
        Ok(())
    }

    /// Begins the goodbye.
    fn leave(&mut self) -> Result<(), End> {
        if self.phase != Phase::Open {
            return Err(End::Stopped);
        }
        self.state(false)?;
        self.phase = Phase::Leaving(Instant::now() + LEAVE_MAX);
        Ok(())
    }

    fn left(&mut self, ready: bool) -> Result<(), End> {
        if ready {
            self.phase = Phase::Left;
            self.client.try_disconnect_now().map_err(|_| End::Stopped)?;
        }
        Ok(())
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn lost_count() -> End {
    End::Trouble(Trouble::Protocol("an acknowledgement for nothing that we sent".to_owned()))
}

fn full() -> End {
    End::Trouble(Trouble::Protocol("the client library takes no more".to_owned()))
}

/// Reading the journal or sled failed. The connection ends, and the next attempt asks again.
fn outbox_failed(e: &dyn std::error::Error) -> End {
    tracing::error!("the outbox does not answer: {e}");
    End::Trouble(Trouble::Closed("our own outbox does not answer".to_owned()))
}

fn options(steady: &Steady, retain: bool, stream: Watched) -> Result<MqttOptions, Trouble> {
    let config = &steady.config;
    let mut options =
        MqttOptions::new(config.client_id.clone(), (config.host.clone(), config.port));
    let keep_alive = Duration::from(config.keep_alive).as_secs();
    options
        .set_keep_alive(u16::try_from(keep_alive).unwrap_or(u16::MAX))
        .set_clean_start(true)
        .set_connect_timeout(CONNACK_MAX)
        .set_outgoing_inflight_upper_limit(limits::MQTT_INFLIGHT_MAX)
        .set_max_request_batch(usize::from(limits::MQTT_INFLIGHT_MAX))
        .set_read_batch_size(usize::from(limits::MQTT_INFLIGHT_MAX))
        .set_receive_maximum(u16::try_from(limits::MQTT_INCOMING_MAX).ok())
        .set_max_packet_size(u32::try_from(limits::MQTT_MESSAGE_BYTES_MAX).ok())
        .set_last_will(LastWill::new(
            steady.topics.state(),
            wire::state(
                &steady.sender,
                false,
                steady.clock.state(),
                steady.outbox.waiting(),
                steady.clock.now(),
            ),
            QoS::AtLeastOnce,
            retain,
            None,
        ));
    // Together: each of the library's two setters forgets what the other one set.
    match (&config.username, &config.password_file) {
        (Some(user), Some(file)) => {
            let password = std::fs::read(file)
                .map_err(|e| Trouble::Files(format!("{} ({e})", file.display())))?;
            let password = Bytes::copy_from_slice(password.trim_ascii_end());
            options.set_credentials(user.clone(), password);
        }
        (Some(user), None) => {
            options.set_username(user.clone());
        }
        // The config has no password without a user.
        (None, _) => {}
    }
    // The stream is open already: this only hands it over, once.
    let stream = Mutex::new(Some(stream));
    options.set_socket_connector(move |_, _| {
        let stream = stream.lock().ok().and_then(|mut slot| slot.take());
        async move { stream.ok_or_else(|| std::io::Error::other("a connection is opened once")) }
    });
    Ok(options)
}
