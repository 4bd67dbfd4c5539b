//! The event stream `/v1/events`: durable events with their sequence number as `id`, replayed from a
//! bounded ring after `Last-Event-ID`, and live values without an id, which nobody needs twice.
//!
//! ```text
//! retry: 3000            once, at the beginning
//! event: live            data: {"meters":[…]}        what changed since the last one
//! event: overview        data: {"good":24,…}         when it changed
//! id: 1042
//! event: durable         data: the envelope, byte for byte as journaled and published
//! event: gap             data: {"from":12,"to":99}   these are no longer in the ring
//! :                      keep-alive
//! ```
//!
//! A reader says what it wants to hear: of a block with 3,000 meters a screen shows sixty, and a phone that has
//! to read the others' values stands still for as long as that takes.

use super::auth::{Area, Caller};
use super::{Shared, wire};
use crate::limits;
use blockgate_types::MeterId;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How often changed live values are sent.
const LIVE_EVERY: Duration = Duration::from_secs(2);
/// A quiet stream says something this often, so that a dead connection is noticed.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// The last durable events.
#[derive(Debug)]
pub(super) struct Ring {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

/// A durable event: sequence number and envelope.
type Durable = (u64, Bytes);

/// First and last sequence number that are no longer kept.
type Hole = (u64, u64);

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Durable>,
    bytes: usize,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self { kept: Mutex::default(), newest: watch::Sender::new(0) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in; the oldest go when there are too many.
    pub(super) fn push(&self, seq: u64, envelope: Bytes) {
        let mut kept = self.kept();
        kept.bytes += envelope.len();
        kept.events.push_back((seq, envelope));
        while kept.events.len() > limits::HTTP_EVENTS_MAX
            || (kept.bytes > limits::HTTP_EVENTS_BYTES_MAX && kept.events.len() > 1)
        {
            if let Some((_, gone)) = kept.events.pop_front() {
                kept.bytes -= gone.len();
            }
        }
        drop(kept);
        self.newest.send_replace(seq);
    }

    /// At most 64 events after `seq`, and the hole before the first, when there is one.
    fn after(&self, seq: u64) -> (Option<Hole>, Vec<Durable>) {
        let kept = self.kept();
        let first = kept.events.iter().find(|(at, _)| *at > seq).map(|(at, _)| *at);
        let hole = first.filter(|first| *first > seq + 1).map(|first| (seq + 1, first - 1));
        let from = kept.events.partition_point(|(at, _)| *at <= seq);
        (hole, kept.events.iter().skip(from).take(64).cloned().collect())
    }

    /// Fills the ring from the engine until the stop. What the engine sent faster than this could
    /// take is a hole, which streams are told of.
    pub(super) async fn fill(
        self: Arc<Self>,
        mut durable: broadcast::Receiver<(u64, Bytes)>,
        stop: CancellationToken,
    ) {
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = durable.recv() => event,
            };
            match event {
                // What was read from the journal at the start may come once more.
                Ok((seq, envelope)) if seq > *self.newest.borrow() => self.push(seq, envelope),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

/// The body of one stream. Ends when its feeder ends; gives its place back when dropped.
#[derive(Debug)]
pub(super) struct EventStream {
    messages: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl warp::Stream for EventStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_recv(cx).map(|message| message.map(Ok))
    }
}

/// What a reader wants to hear.
#[derive(Debug)]
pub(super) struct Wish {
    /// Live values of these meters alone; `None` for all.
    pub(super) meters: Option<BTreeSet<MeterId>>,
    /// Durable events too.
    pub(super) durable: bool,
}

/// Opens a stream. `last` is the `Last-Event-ID`; without one it begins with what comes next.
pub(super) fn open(
    shared: Arc<Shared>,
    ring: Arc<Ring>,
    caller: Caller,
    wish: Wish,
    last: Option<u64>,
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
) -> EventStream {
    let (to, messages) = mpsc::channel(limits::HTTP_STREAM_QUEUE_MAX);
    let seen = last.unwrap_or_else(|| *ring.newest.borrow());
    let (sent, overview) = (BTreeMap::new(), String::new());
    let feeder = Feeder { shared, ring, caller, wish, seen, to, sent, overview };
    tokio::spawn(feeder.run(stop));
    EventStream { messages, _place: place }
}

struct Feeder {
    shared: Arc<Shared>,
    ring: Arc<Ring>,
    caller: Caller,
    wish: Wish,
    seen: u64,
    to: mpsc::Sender<Bytes>,
    /// Of each meter the times of what was sent last.
    sent: BTreeMap<MeterId, wire::Stamp>,
    overview: String,
}

impl Feeder {
    async fn run(mut self, stop: CancellationToken) {
        let mut newest = self.ring.newest.subscribe();
        let mut live = tokio::time::interval(LIVE_EVERY);
        let mut keep_alive = tokio::time::interval(KEEP_ALIVE_EVERY);
        keep_alive.reset();
        if !self.say("retry: 3000\n\n".to_owned()) || !self.durable().await {
            return;
        }
        loop {
            let open = tokio::select! {
                biased;
                () = stop.cancelled() => false,
                () = self.to.closed() => false,
                moved = newest.changed() => moved.is_ok() && self.durable().await,
                _ = live.tick() => self.live(),
                _ = keep_alive.tick() => self.say(":\n\n".to_owned()),
            };
            if !open {
                return;
            }
        }
    }

    /// False ends the stream: the reader is gone or too slow.
    fn say(&self, message: String) -> bool {
        self.to.try_send(Bytes::from(message)).is_ok()
    }

    async fn durable(&mut self) -> bool {
        if !self.wish.durable {
            return true;
        }
        loop {
            let (hole, events) = self.ring.after(self.seen);
            if events.is_empty() {
                return true;
            }
            if !self.may_go_on() {
                return false;
            }
            if let Some((from, to)) = hole
                && !self.say(format!("event: gap\ndata: {{\"from\":{from},\"to\":{to}}}\n\n"))
            {
                return false;
            }
            for (seq, envelope) in events {
                self.seen = seq;
                // Events name households and what they owe: not for whoever sees no bills.
                if !self.caller.sees(Area::Money) {
                    continue;
                }
                let mut message = format!("id: {seq}\nevent: durable\ndata: ").into_bytes();
                message.extend_from_slice(&envelope);
                message.extend_from_slice(b"\n\n");
                // A replay may wait for its reader; the stop drops the receiver.
                if self.to.send(Bytes::from(message)).await.is_err() {
                    return false;
                }
            }
        }
    }

    /// A session that is over hears nothing more.
    fn may_go_on(&self) -> bool {
        match &self.caller {
            Caller::Person(person) => self.shared.accounts.holds(person),
            Caller::Device(_) | Caller::Nobody => true,
        }
    }

    fn live(&mut self) -> bool {
        if !self.may_go_on() {
            return false;
        }
        let changed = wire::changed_meters(&self.shared, self.wish.meters.as_ref(), &mut self.sent);
        if !changed.is_empty() {
            let data = serde_json::json!({ "meters": changed });
            if !self.say(format!("event: live\ndata: {data}\n\n")) {
                return false;
            }
        }
        let overview = wire::overview(&self.shared).to_string();
        if overview == self.overview {
            return true;
        }
        let told = self.say(format!("event: overview\ndata: {overview}\n\n"));
        self.overview = overview;
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_bounded_and_tells_what_it_has_lost() {
        let ring = Ring::new();
        for seq in 1..=600 {
            ring.push(seq, Bytes::from_static(b"{}"));
        }
        let (hole, events) = ring.after(10);
        assert_eq!(hole, Some((11, 88)));
        assert_eq!((events.len(), events[0].0), (64, 89));
        let (hole, events) = ring.after(598);
        assert_eq!((hole, events.len()), (None, 2));
        assert!(ring.after(600).1.is_empty());
        let big = Bytes::from(vec![b'x'; limits::HTTP_EVENTS_BYTES_MAX / 2 + 1]);
        for seq in 601..=603 {
            ring.push(seq, big.clone());
        }
        assert_eq!(ring.kept().events.len(), 1);
        assert_eq!(ring.kept().bytes, big.len());
    }
}
