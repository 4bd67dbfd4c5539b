//! Who is connected, who wants which topic, and what is retained.

use super::Counts;
use bytes::Bytes;
use rumqttc::{Publish, QoS, SubscribeFilter, matches};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Longest time that one client's full queue holds up another that publishes.
const HOLD_MAX: Duration = Duration::from_secs(5);
/// Topics that keep a retained message; more are not retained.
const RETAINED_MAX: usize = 1024;
/// Subscriptions of one client; more are refused.
pub(super) const FILTERS_MAX: usize = 64;

/// Why a client's connection is to end.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    /// Cut without a word.
    pub(super) cut: CancellationToken,
    /// Another client has taken the id.
    pub(super) taken_over: CancellationToken,
}

/// A publish that waits for a full queue.
pub(super) struct Held {
    publish: Publish,
    queue: mpsc::Sender<Publish>,
    cut: CancellationToken,
}

impl Held {
    /// Waits until the queue has room; a client that lets it stay full is cut.
    pub(super) async fn wait(self) {
        let send = self.queue.send(self.publish);
        if tokio::time::timeout(HOLD_MAX, send).await.is_err() {
            self.cut.cancel();
        }
    }
}

struct Client {
    id: String,
    filters: Vec<SubscribeFilter>,
    queue: mpsc::Sender<Publish>,
    ending: Ending,
}

/// The lower of two, of the two that there are here.
fn lower(a: QoS, b: QoS) -> QoS {
    if a == QoS::AtMostOnce {
        a
    } else if b == QoS::AtMostOnce {
        b
    } else {
        QoS::AtLeastOnce
    }
}

/// The broker's state.
#[derive(Default)]
pub(super) struct Hub {
    next: u64,
    named: u64,
    clients: BTreeMap<u64, Client>,
    retained: BTreeMap<String, Publish>,
    taps: Vec<(String, mpsc::Sender<Publish>)>,
    pub(super) counts: Counts,
}

impl Hub {
    /// A client comes; who had its id goes.
    pub(super) fn join(&mut self, id: &str, queue: mpsc::Sender<Publish>) -> (u64, Ending) {
        for client in self.clients.values().filter(|c| c.id == id) {
            client.ending.taken_over.cancel();
        }
        self.next += 1;
        let ending = Ending { cut: CancellationToken::new(), taken_over: CancellationToken::new() };
        let client =
            Client { id: id.to_owned(), filters: Vec::new(), queue, ending: ending.clone() };
        self.clients.insert(self.next, client);
        self.counts.connects += 1;
        (self.next, ending)
    }

    /// An id for a client that brings none.
    pub(super) fn name(&mut self) -> String {
        self.named += 1;
        format!("auto-{}", self.named)
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.clients.remove(&number);
    }

    pub(super) fn cut(&mut self) {
        for client in self.clients.values() {
            client.ending.cut.cancel();
        }
    }

    pub(super) fn watch(&mut self, filter: &str, tap: mpsc::Sender<Publish>) {
        self.taps.push((filter.to_owned(), tap));
    }

    pub(super) fn retained(&self, topic: &str) -> Option<Bytes> {
        self.retained.get(topic).map(|p| p.payload.clone())
    }

    /// A client subscribes; gives the QoS that it gets, and sends what is retained.
    pub(super) fn subscribe(&mut self, number: u64, filter: &SubscribeFilter) -> Option<QoS> {
        let client = self.clients.get_mut(&number)?;
        client.filters.retain(|f| f.path != filter.path);
        if client.filters.len() >= FILTERS_MAX {
            return None;
        }
        let mut granted = filter.clone();
        granted.qos = lower(granted.qos, QoS::AtLeastOnce);
        for (topic, publish) in &self.retained {
            if matches(topic, &granted.path) {
                let mut copy = publish.clone();
                copy.qos = lower(copy.qos, granted.qos);
                let _ = client.queue.try_send(copy);
            }
        }
        let qos = granted.qos;
        client.filters.push(granted);
        Some(qos)
    }

    pub(super) fn unsubscribe(&mut self, number: u64, filter: &str) -> bool {
        let Some(client) = self.clients.get_mut(&number) else { return false };
        let before = client.filters.len();
        client.filters.retain(|f| f.path != filter);
        client.filters.len() < before
    }

    /// Takes a publish in: retains it, and puts it into the queue of everyone who wants it. Gives
    /// those whose queue is full at QoS 1: the publisher has to wait for them.
    pub(super) fn route(&mut self, mut publish: Publish) -> Vec<Held> {
        let mut held = Vec::new();
        self.counts.published += 1;
        publish.dup = false;
        publish.pkid = 0;
        let Ok(topic) = std::str::from_utf8(&publish.topic).map(str::to_owned) else { return held };
        if publish.retain {
            if publish.payload.is_empty() {
                self.retained.remove(&topic);
            } else if self.retained.len() < RETAINED_MAX || self.retained.contains_key(&topic) {
                self.retained.insert(topic.clone(), publish.clone());
            }
        }
        self.taps.retain(|(filter, tap)| {
            !matches(&topic, filter)
                || !matches!(
                    tap.try_send(publish.clone()),
                    Err(mpsc::error::TrySendError::Closed(_))
                )
        });
        for client in self.clients.values() {
            let Some(filter) = client.filters.iter().find(|f| matches(&topic, &f.path)) else {
                continue;
            };
            let mut copy = publish.clone();
            copy.qos = lower(copy.qos, filter.qos);
            copy.retain = copy.retain && filter.preserve_retain;
            let needed = copy.qos != QoS::AtMostOnce;
            if let Err(mpsc::error::TrySendError::Full(publish)) = client.queue.try_send(copy)
                && needed
            {
                let (queue, cut) = (client.queue.clone(), client.ending.cut.clone());
                held.push(Held { publish, queue, cut });
            }
        }
        held
    }
}
