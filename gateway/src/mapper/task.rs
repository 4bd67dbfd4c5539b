//! One mapper's connection, for ever, and its place in the journal. The place is a small file in the
//! state folder; it moves when what an event became was sent (and answered, where an answer is due). A
//! mapper that is new begins at the journal's end: the past belongs to the native contract.
//!
//! MQTT 3.1.1 is spoken, which every such broker has.

use super::aliyun::Aliyun;
use super::homeassistant::HomeAssistant;
use super::sparkplug::Sparkplug;
use super::{About, Incoming, Mapper, MapperConfig, MapperKind, Message};
use crate::command::CommandDoor;
use crate::limits;
use crate::mqtt::authority::{self, Authority};
use crate::mqtt::pace::Backoff;
use crate::mqtt::tls::TlsBroker;
use crate::mqtt::trouble::Trouble;
use crate::mqtt::v311::V311;
use crate::mqtt::wire::{self, Status};
use crate::outbox::Outbox;
use crate::ports::{Broker, BrokerStream, Clock};
use crate::store::journal::Records;
use crate::store::record;
use bytes::Bytes;
use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, PublishOptions, QoS,
    SubscribeFilter,
};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Events whose messages are on their way at once.
const EVENTS_AT_ONCE: usize = 16;
/// Time for the answers to one portion; then the connection is given up and the portion sent again.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Messages that wait in the library.
const QUEUE_MAX: usize = 16 * 1024;

/// What a mapper works with.
pub struct Link {
    /// Its section.
    pub config: MapperConfig,
    /// The gateway and its meters.
    pub about: About,
    /// The journal's records.
    pub records: Records,
    /// Tells which of them are durable.
    pub outbox: Arc<Outbox>,
    /// Where its commands go.
    pub door: CommandDoor,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// The state folder.
    pub state: PathBuf,
}

/// How a command that came in ended: handle, status, reason.
type Outcome = (String, &'static str, String);

/// What stays from one connection to the next.
struct Carried {
    mapper: Box<dyn Mapper>,
    /// The last event that is done with.
    place: u64,
    running: JoinSet<Option<Outcome>>,
}

fn mapper(kind: &MapperKind, clock: &dyn Clock) -> std::io::Result<Box<dyn Mapper>> {
    Ok(match kind {
        MapperKind::Aliyun { product_key, device_name, device_secret_file, meter_product_key } => {
            let secret = std::fs::read(device_secret_file)?;
            Box::new(Aliyun::new(product_key, device_name, &secret, meter_product_key, clock.now()))
        }
        MapperKind::Sparkplug { group } => Box::new(Sparkplug::new(group)),
        MapperKind::HomeAssistant { prefix } => Box::new(HomeAssistant::new(prefix)),
    })
}

/// Runs a mapper until `stop`.
///
/// # Errors
/// When its secret cannot be read.
pub async fn run(link: Link, stop: CancellationToken) -> std::io::Result<()> {
    let file = link.state.join(format!("mapper-{}", link.config.kind.name()));
    let said = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let mut carried = Carried {
        mapper: mapper(&link.config.kind, &*link.clock)?,
        place: said.unwrap_or_else(|| link.outbox.known()).min(link.outbox.known()),
        running: JoinSet::new(),
    };
    let broker = TlsBroker::new(&link.config.mqtt, link.clock.clone());
    let mut backoff =
        Backoff::new(&format!("{}-{}", link.config.mqtt.client_id, link.config.kind.name()));
    while !stop.is_cancelled() {
        let began = Instant::now();
        let trouble = match connection(&link, &mut carried, &broker, &file, &stop).await {
            Ok(()) => break,
            Err(trouble) => trouble,
        };
        keep(&file, carried.place);
        backoff.lived(began.elapsed());
        let wait = backoff.next(trouble.pace());
        if backoff.attempts().is_power_of_two() {
            let mapper = link.config.kind.name();
            tracing::warn!(mapper, word = trouble.word(), "no connection: {}", trouble.text().en);
        }
        tokio::select! { biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    keep(&file, carried.place);
    Ok(())
}

/// Keeps the place; one that is lost means that some events go out twice.
fn keep(file: &std::path::Path, place: u64) {
    let new = file.with_extension("new");
    let kept =
        std::fs::write(&new, format!("{place}\n")).and_then(|()| std::fs::rename(&new, file));
    if let Err(error) = kept {
        tracing::warn!(%error, "a mapper's place in the journal is not kept");
    }
}

fn options(
    link: &Link,
    carried: &mut Carried,
    stream: Box<dyn BrokerStream>,
) -> Result<MqttOptions, Trouble> {
    let config = &link.config.mqtt;
    let hello = carried.mapper.hello(&link.about, link.clock.now());
    let id = hello.client_id.unwrap_or_else(|| config.client_id.clone());
    let mut options = MqttOptions::new(id, (config.host.clone(), config.port));
    options
        .set_keep_alive(u16::try_from(Duration::from(config.keep_alive).as_secs()).unwrap_or(60))
        .set_clean_start(true)
        .set_max_packet_size(u32::try_from(limits::MQTT_MESSAGE_BYTES_MAX).ok());
    if let Some(will) = hello.will {
        let qos = if will.assured { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        options.set_last_will(LastWill::new(will.topic, will.payload, qos, will.retain, None));
    }
    let own = match (&config.username, &config.password_file) {
        (Some(user), Some(file)) => {
            let password = std::fs::read(file)
                .map_err(|e| Trouble::Files(format!("{} ({e})", file.display())))?;
            Some((user.clone(), Bytes::copy_from_slice(password.trim_ascii_end())))
        }
        (Some(user), None) => Some((user.clone(), Bytes::new())),
        (None, _) => None,
    };
    if let Some((user, password)) =
        hello.login.map(|(user, word)| (user, Bytes::from(word))).or(own)
    {
        options.set_credentials(user, password);
    }
    let stream = Mutex::new(Some(V311::new(stream)));
    options.set_socket_connector(move |_, _| {
        let stream = stream.lock().ok().and_then(|mut slot| slot.take());
        async move { stream.ok_or_else(|| std::io::Error::other("a connection is opened once")) }
    });
    Ok(options)
}

/// A portion of events on its way.
#[derive(Default)]
struct Portion {
    through: u64,
    answers: BTreeSet<String>,
    publishes: usize,
    began: Option<Instant>,
}

impl Portion {
    fn is_done(&self) -> bool {
        self.answers.is_empty() && self.publishes == 0
    }
}

async fn connection(
    link: &Link,
    carried: &mut Carried,
    broker: &TlsBroker,
    file: &std::path::Path,
    stop: &CancellationToken,
) -> Result<(), Trouble> {
    let stream = tokio::select! { biased;
        () = stop.cancelled() => return Ok(()),
        stream = broker.open() => stream?,
    };
    let options = options(link, carried, stream)?;
    let protocol = |e: &dyn std::fmt::Display| Trouble::Protocol(e.to_string());
    let (client, mut events) =
        AsyncClient::builder(options).capacity(QUEUE_MAX).try_build().map_err(|e| protocol(&e))?;
    let mut talk = Talk {
        link,
        carried,
        client,
        open: false,
        late_until: link.outbox.known(),
        portion: Portion::default(),
        leaving: None,
    };
    talk.drive(&mut events, file, stop).await
}

struct Talk<'a> {
    link: &'a Link,
    carried: &'a mut Carried,
    client: AsyncClient,
    open: bool,
    /// What was journaled up to here was journaled before this connection.
    late_until: u64,
    portion: Portion,
    leaving: Option<Instant>,
}

impl Talk<'_> {
    async fn drive(
        &mut self,
        events: &mut EventLoop,
        file: &std::path::Path,
        stop: &CancellationToken,
    ) -> Result<(), Trouble> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut kept = Instant::now();
        loop {
            let mut poll = pin!(events.poll());
            let event = loop {
                let staying = self.leaving.is_none();
                tokio::select! { biased;
                    event = &mut poll => break event,
                    () = stop.cancelled(), if staying => {
                        if !self.open {
                            return Ok(());
                        }
                        let words = self.carried.mapper.farewell(&self.link.about, self.link.clock.now());
                        self.send(words)?;
                        self.leaving = Some(Instant::now() + Duration::from_millis(500));
                    }
                    Some(ended) = self.carried.running.join_next(), if !self.carried.running.is_empty() => {
                        if let Ok(Some((handle, status, reason))) = ended {
                            let messages = self.carried.mapper.ended(&handle, status, &reason);
                            self.send(messages)?;
                        }
                    }
                    _ = look.tick() => {
                        match self.leaving {
                            Some(until) if Instant::now() >= until => {
                                let _ = self.client.try_disconnect_now();
                                return Ok(());
                            }
                            Some(_) => {}
                            None => self.look()?,
                        }
                        if kept.elapsed() >= Duration::from_secs(2) {
                            kept = Instant::now();
                            keep(file, self.carried.place);
                        }
                    }
                }
            };
            match event {
                Ok(Event::Incoming(packet)) => self.incoming(packet)?,
                Ok(_) => {}
                Err(_) if self.leaving.is_some() => return Ok(()),
                Err(e) => return Err(crate::mqtt::faults::of_poll(&e, None)),
            }
        }
    }

    fn incoming(&mut self, packet: Packet) -> Result<(), Trouble> {
        let (about, now) = (&self.link.about, self.link.clock.now());
        match packet {
            Packet::ConnAck(_) => {
                let filters = self.carried.mapper.listens(about);
                let filters =
                    filters.into_iter().map(|f| SubscribeFilter::new(f, QoS::AtLeastOnce));
                self.client.try_subscribe_many(filters).map_err(|_| full())
            }
            Packet::SubAck(_) if !self.open => {
                self.open = true;
                let messages = self.carried.mapper.born(about, now);
                tracing::info!(mapper = self.link.config.kind.name(), "connected");
                self.send(messages)
            }
            Packet::PubAck(_) => {
                self.portion.publishes = self.portion.publishes.saturating_sub(1);
                self.done();
                Ok(())
            }
            Packet::Publish(publish) => {
                let Ok(topic) = std::str::from_utf8(&publish.topic) else { return Ok(()) };
                let taken = self.carried.mapper.incoming(about, topic, &publish.payload, now);
                if let Some((id, good)) = taken.answer {
                    if !good {
                        tracing::warn!(
                            mapper = self.link.config.kind.name(),
                            "a message was answered with no"
                        );
                    }
                    self.portion.answers.remove(&id);
                    self.done();
                }
                if let Some(command) = taken.command.filter(|_| !publish.retain) {
                    self.order(command);
                }
                self.send(taken.messages)
            }
            _ => Ok(()),
        }
    }

    /// A command goes through the same door; what moves something is not ordered on this way.
    fn order(&mut self, incoming: Incoming) {
        let Incoming { name, document, handle } = incoming;
        let door = self.link.door.clone();
        let busy = self.carried.running.len() >= limits::MQTT_INCOMING_MAX;
        self.carried.running.spawn(async move {
            let refused = Status::Ended(blockgate_rules::event::Outcome::Refused).word();
            if busy {
                return Some((
                    handle,
                    refused,
                    "too many commands are being carried out".to_owned(),
                ));
            }
            let opened = authority::open(&document);
            let command = match wire::command(&name, &opened.text, false) {
                Ok(command) => command,
                Err(refusal) => return Some((handle, refused, refusal.reason)),
            };
            let answer = match Authority::default().judge("", &opened, &command) {
                Ok(()) => door.submit(command).await,
                Err(why) => door.refuse(command, why).await,
            };
            let answer = answer.ok()?;
            Some((handle, Status::Ended(answer.outcome).word(), answer.detail))
        });
    }

    fn send(&mut self, messages: Vec<Message>) -> Result<(), Trouble> {
        for message in messages {
            let options = if message.assured {
                PublishOptions::at_least_once()
            } else {
                PublishOptions::at_most_once()
            };
            let options = options.retain(message.retain);
            self.client.try_publish(message.topic, message.payload, options).map_err(|_| full())?;
            if message.assured {
                self.portion.publishes += 1;
            }
            self.portion.answers.extend(message.awaits);
            self.portion.began.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// A portion that is done moves the place.
    fn done(&mut self) {
        if self.portion.is_done() {
            self.carried.place = self.carried.place.max(self.portion.through);
            self.portion = Portion::default();
        }
    }

    /// Takes the next portion out of the journal, when the one before is done.
    fn look(&mut self) -> Result<(), Trouble> {
        self.done();
        if !self.portion.is_done() {
            let late = self.portion.began.is_some_and(|began| began.elapsed() > ANSWER_MAX);
            return if late { Err(Trouble::NoAcknowledgement) } else { Ok(()) };
        }
        let durable = self.link.outbox.known();
        if !self.open || self.carried.place >= durable {
            return Ok(());
        }
        let mut reader = self.link.records.from(self.carried.place + 1);
        let mut taken = 0;
        let mut messages = Vec::new();
        while taken < EVENTS_AT_ONCE {
            let item = match reader.read() {
                Ok(Some(item)) if item.seq <= durable => item,
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(%error, "a mapper cannot read the journal");
                    return Err(Trouble::Closed("our own journal does not answer".to_owned()));
                }
            };
            let seq = item.seq;
            if let Ok(record) = record::decode(item.payload) {
                messages.extend(self.carried.mapper.event(
                    &self.link.about,
                    &record,
                    seq <= self.late_until,
                ));
            }
            self.portion.through = seq;
            taken += 1;
        }
        self.send(messages)?;
        self.done();
        Ok(())
    }
}

fn full() -> Trouble {
    Trouble::Protocol("the client library takes no more".to_owned())
}
