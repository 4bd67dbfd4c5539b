//! The demo's cloud, and a sample of what a real one has to do: take each event once by its id, keep
//! its bytes, notice what is missing by the sequence numbers, and confirm what is kept.
//!
//! `events.jsonl` holds the events in the order in which they came, one a line, byte for byte as the
//! gateway journaled them.

use crate::config::{Identity, MqttConfig};
use crate::limits;
use crate::mqtt::topics::{BadLevel, Topics};
use crate::mqtt::trouble::Trouble;
use crate::ports::Broker;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, PublishOptions, QoS};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often what came is confirmed.
const RECEIPT_EVERY: Duration = Duration::from_millis(100);
/// Pause before another connection.
const RETRY: Duration = Duration::from_millis(500);
/// Ids in one receipt; the rest go in the next.
const IDS_MAX: usize = 1000;
/// Events that may be ahead of a missing one; more are not taken, and come again.
const AHEAD_MAX: usize = 100_000;

/// What the cloud has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events, each id once.
    pub events: u64,
    /// Deliveries of an id that was there already, with the same bytes.
    pub duplicates: u64,
    /// Deliveries of an id that was there already, with *other* bytes: never (invariant 8).
    pub altered: u64,
    /// Sequence numbers that are missing below the highest.
    pub gaps: u64,
    /// Everything up to this sequence number is there.
    pub through: u64,
    /// Messages that are no events.
    pub unreadable: u64,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    seq: u64,
}

/// What is kept: the file, and a checksum of each event.
struct Kept {
    file: BufWriter<File>,
    /// Of the events 1, 2, 3, …
    whole: Vec<u32>,
    /// Of the events behind a missing one.
    ahead: BTreeMap<u64, u32>,
    /// Ids to be confirmed one by one.
    ids: Vec<String>,
    confirmed: u64,
    counts: Counts,
}

impl Kept {
    /// Takes a delivery.
    fn take(&mut self, payload: &[u8]) -> io::Result<()> {
        let Ok(Envelope { id, seq: seq @ 1.. }) = serde_json::from_slice(payload) else {
            self.counts.unreadable += 1;
            return Ok(());
        };
        let sum = crc32c::crc32c(payload);
        let place = usize::try_from(seq - 1).unwrap_or(usize::MAX);
        let known = self.whole.get(place).or_else(|| self.ahead.get(&seq)).copied();
        if let Some(known) = known {
            if known == sum {
                self.counts.duplicates += 1;
                self.ids.push(id.into_owned()); // the receipt may have been lost
            } else {
                self.counts.altered += 1;
            }
            return Ok(());
        }
        if self.ahead.len() >= AHEAD_MAX {
            return Ok(());
        }
        self.file.write_all(payload)?;
        self.file.write_all(b"\n")?;
        self.counts.events += 1;
        self.ahead.insert(seq, sum);
        while let Some(sum) = self.ahead.remove(&(self.whole.len() as u64 + 1)) {
            self.whole.push(sum);
        }
        if self.ahead.contains_key(&seq) {
            self.ids.push(id.into_owned());
        }
        self.counts.through = self.whole.len() as u64;
        let highest = self.ahead.last_key_value().map_or(self.counts.through, |(seq, _)| *seq);
        self.counts.gaps = highest - self.counts.through - self.ahead.len() as u64;
        Ok(())
    }

    /// The next receipt, once the file has what it names; `None` when there is nothing new.
    fn receipt(&mut self, always: bool) -> io::Result<Option<String>> {
        if !always && self.confirmed == self.counts.through && self.ids.is_empty() {
            return Ok(None);
        }
        self.file.flush()?;
        self.confirmed = self.counts.through;
        let ids: Vec<String> = self.ids.drain(..self.ids.len().min(IDS_MAX)).collect();
        let mut receipt = serde_json::Map::new();
        if self.confirmed > 0 {
            receipt.insert("through".to_owned(), self.confirmed.into());
        }
        if !ids.is_empty() {
            receipt.insert("ids".to_owned(), ids.into());
        }
        Ok((!receipt.is_empty()).then(|| serde_json::Value::Object(receipt).to_string()))
    }
}

/// A running cloud for one gateway.
pub struct Cloud {
    kept: Mutex<Kept>,
}

/// Why the cloud cannot start.
#[derive(Debug)]
pub enum CloudError {
    /// Tenant or gateway cannot stand in a topic.
    Identity(BadLevel),
    /// The events' file cannot be made.
    File(io::Error),
}

impl std::fmt::Display for CloudError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity(_) => f.write_str("the demo's cloud has no topic to listen to"),
            Self::File(_) => f.write_str("the demo's cloud cannot write its events"),
        }
    }
}

impl std::error::Error for CloudError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Identity(e) => Some(e),
            Self::File(e) => Some(e),
        }
    }
}

impl Cloud {
    /// Starts a cloud that writes to a new `file` and listens, over `broker`, to one gateway.
    /// `config` says who it is to the broker. Ends with `stop`.
    ///
    /// # Errors
    /// [`CloudError`].
    pub fn start(
        config: MqttConfig,
        identity: &Identity,
        broker: Arc<dyn Broker>,
        file: &Path,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, CloudError> {
        let topics = Topics::new(identity).map_err(CloudError::Identity)?;
        let file = File::create(file).map_err(CloudError::File)?;
        let kept = Kept {
            file: BufWriter::new(file),
            whole: Vec::new(),
            ahead: BTreeMap::new(),
            ids: Vec::new(),
            confirmed: 0,
            counts: Counts::default(),
        };
        let cloud = Arc::new(Self { kept: Mutex::new(kept) });
        tokio::spawn(listen(cloud.clone(), config, topics, broker, stop));
        Ok(cloud)
    }

    /// What it has seen.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.kept().counts
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(
    cloud: Arc<Cloud>,
    config: MqttConfig,
    topics: Topics,
    broker: Arc<dyn Broker>,
    stop: CancellationToken,
) {
    loop {
        let ended = tokio::select! { biased;
            () = stop.cancelled() => return,
            ended = connection(&cloud, &config, &topics, &*broker) => ended,
        };
        tracing::debug!("the demo's cloud has lost its broker: {ended}");
        tokio::select! { biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn connection(
    cloud: &Cloud,
    config: &MqttConfig,
    topics: &Topics,
    broker: &dyn Broker,
) -> Trouble {
    let stream = match broker.open().await {
        Ok(stream) => Mutex::new(Some(stream)),
        Err(trouble) => return trouble,
    };
    let mut options =
        MqttOptions::new(config.client_id.clone(), (config.host.clone(), config.port));
    options
        .set_keep_alive(30)
        .set_max_packet_size(u32::try_from(2 * limits::MQTT_MESSAGE_BYTES_MAX).ok())
        .set_socket_connector(move |_, _| {
            let stream = stream.lock().ok().and_then(|mut slot| slot.take());
            async move { stream.ok_or_else(|| io::Error::other("a connection is opened once")) }
        });
    let (client, mut events) = AsyncClient::builder(options).capacity(64).build();
    match talk(cloud, topics, &client, &mut events).await {
        Ok(()) => Trouble::Closed("in good order".to_owned()),
        Err(why) => Trouble::Closed(why),
    }
}

async fn talk(
    cloud: &Cloud,
    topics: &Topics,
    client: &AsyncClient,
    events: &mut EventLoop,
) -> Result<(), String> {
    let mut every = tokio::time::interval(RECEIPT_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut greet = true;
    loop {
        let mut poll = std::pin::pin!(events.poll());
        let event = loop {
            tokio::select! { biased;
                event = &mut poll => break event.map_err(|e| e.to_string())?,
                _ = every.tick() => {
                    let receipt = cloud.kept().receipt(greet).map_err(|e| e.to_string())?;
                    if let Some(receipt) = receipt {
                        let options = PublishOptions::at_least_once();
                        greet = client.try_publish(topics.receipt(), receipt, options).is_err();
                    }
                }
            }
        };
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                let filters = [topics.event("+"), topics.state()]
                    .map(|f| rumqttc::SubscribeFilter::new(f, QoS::AtLeastOnce));
                client.try_subscribe_many(filters).map_err(|e| e.to_string())?;
            }
            // The gateway is there again: what it did not hear is said again.
            Event::Incoming(Packet::Publish(publish)) if publish.topic == topics.state() => {
                greet = true;
            }
            Event::Incoming(Packet::Publish(publish)) => {
                cloud.kept().take(&publish.payload).map_err(|e| e.to_string())?;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(dir: &Path) -> Kept {
        Kept {
            file: BufWriter::new(File::create(dir.join("events.jsonl")).unwrap()),
            whole: Vec::new(),
            ahead: BTreeMap::new(),
            ids: Vec::new(),
            confirmed: 0,
            counts: Counts::default(),
        }
    }

    #[test]
    fn the_cloud_keeps_each_event_once_and_knows_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = kept(dir.path());
        let event = |seq: u64| format!("{{\"id\":\"b-{seq}\",\"seq\":{seq}}}");
        for seq in [1, 2, 5, 4, 2] {
            kept.take(event(seq).as_bytes()).unwrap();
        }
        kept.take(b"{\"id\":\"b-1\",\"seq\":1,\"more\":0}").unwrap();
        kept.take(b"not json").unwrap();
        kept.take(b"{\"id\":\"b-0\",\"seq\":0}").unwrap();
        assert_eq!(
            kept.counts,
            Counts { events: 4, duplicates: 1, altered: 1, gaps: 1, through: 2, unreadable: 2 }
        );
        let receipt = kept.receipt(false).unwrap().unwrap();
        assert_eq!(receipt, r#"{"ids":["b-5","b-4","b-2"],"through":2}"#);
        assert_eq!(kept.receipt(false).unwrap(), None);
        kept.take(event(3).as_bytes()).unwrap();
        assert_eq!((kept.counts.through, kept.counts.gaps), (5, 0));
        assert_eq!(kept.receipt(false).unwrap().unwrap(), r#"{"through":5}"#);
        let lines = std::fs::read_to_string(dir.path().join("events.jsonl")).unwrap();
        assert_eq!(lines.lines().collect::<Vec<_>>(), [1, 2, 5, 4, 3].map(event));
    }
}
