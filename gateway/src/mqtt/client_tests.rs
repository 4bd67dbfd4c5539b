//! The client against the demo's broker, in memory and in paused time: every wait in here is for
//! something to happen, and a minute of backoff takes no time.

use super::*;
use crate::board::MeterBoard;
use crate::command::{Answer, Order};
use crate::demo::broker::{self, Acknowledge, Faults};
use crate::limits;
use crate::mqtt::wire::Refused;
use crate::outbox::{OutboxError, Outgoing, Receipt, ReceiptOutcome};
use crate::ports::{BrokerStream, Opening};
use blockgate_rules::event::Outcome;
use blockgate_types::{
    ClockState, Decimal, MeterId, RegisterName, RegisterSpec, Role, Time, Unit, Values,
};
use bytes::Bytes;
use rumqttc::{ConnectReturnCode, PubAckReason, Publish, PublishProperties, QoS};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Longest wait for anything, in paused time.
const LONG: Duration = Duration::from_secs(3600);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        "2026-03-01T00:15:00Z".parse().unwrap()
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// An outbox in memory that tells when it is called.
#[derive(Default)]
struct Shelf {
    inner: Mutex<Books>,
    changed: Notify,
    called: Notify,
    board: Mutex<Option<Arc<Board>>>,
}

#[derive(Debug, Default, Clone)]
struct Books {
    waiting: BTreeMap<u64, (String, Bytes)>,
    in_flight: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    dead: Vec<(u64, String)>,
    receipts: Vec<Receipt>,
    refused: Vec<Refused>,
    resets: usize,
    /// What stood on the board at each reset.
    words: Vec<String>,
}

impl Shelf {
    fn put(&self, seq: u64, kind: &str, payload: impl Into<Bytes>) {
        self.inner.lock().unwrap().waiting.insert(seq, (kind.to_owned(), payload.into()));
        self.changed.notify_one();
    }

    fn with<T>(&self, work: impl FnOnce(&mut Books) -> T) -> T {
        let out = work(&mut self.inner.lock().unwrap());
        self.called.notify_waiters();
        out
    }

    /// Waits until the books say so.
    async fn until(&self, what: impl Fn(&Books) -> bool) {
        let wait = async {
            loop {
                let called = self.called.notified();
                if what(&self.inner.lock().unwrap()) {
                    return;
                }
                called.await;
            }
        };
        let came = tokio::time::timeout(LONG, wait).await;
        assert!(came.is_ok(), "the outbox never came to this: {:?}", self.with(|b| b.clone()));
    }
}

impl Post for Shelf {
    fn take(&self, max: usize, _: Time) -> Result<Vec<Outgoing>, OutboxError> {
        Ok(self.with(|b| {
            let free = |seq: &u64| !b.in_flight.contains(seq) && !b.acknowledged.contains(seq);
            let due: Vec<u64> = b.waiting.keys().copied().filter(free).take(max).collect();
            b.in_flight.extend(&due);
            due.into_iter()
                .map(|seq| {
                    let (kind, payload) = b.waiting[&seq].clone();
                    Outgoing { seq, kind, payload }
                })
                .collect()
        }))
    }
    fn acknowledged(&self, seq: u64, _: Time) {
        self.with(|b| {
            assert!(b.in_flight.remove(&seq), "{seq} was not on its way");
            b.acknowledged.insert(seq);
        });
    }
    fn refused(&self, seq: u64, reason: &str) -> Result<(), OutboxError> {
        self.with(|b| {
            b.waiting.remove(&seq);
            b.in_flight.remove(&seq);
            b.dead.push((seq, reason.to_owned()));
        });
        Ok(())
    }
    fn refused_by_cloud(&self, refused: &Refused) -> Result<bool, OutboxError> {
        self.with(|b| b.refused.push(refused.clone()));
        Ok(true)
    }
    fn receipt(&self, receipt: &Receipt) -> Result<ReceiptOutcome, OutboxError> {
        self.with(|b| b.receipts.push(receipt.clone()));
        Ok(ReceiptOutcome::default())
    }
    fn reset_in_flight(&self) {
        let board = self.board.lock().unwrap();
        let trouble = board.as_ref().and_then(|b| b.mqtt().trouble.clone());
        self.with(|b| {
            b.in_flight.clear();
            b.resets += 1;
            b.words.extend(trouble.map(|trouble| trouble.word().to_owned()));
        });
    }
    fn changed(&self) -> &Notify {
        &self.changed
    }
    fn waiting(&self) -> u64 {
        self.inner.lock().unwrap().waiting.len() as u64
    }
}

/// A stream that is cut after so many bytes were written to it.
struct Cut {
    inner: tokio::io::DuplexStream,
    left: usize,
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let some = buf.len().min(self.left);
        if some == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, &buf[..some]);
        if let Poll::Ready(Ok(n)) = written {
            self.left -= n;
        }
        written
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The way to the demo's broker without a network.
struct Wire {
    broker: Arc<broker::Broker>,
    opened: AtomicUsize,
    /// What the next openings come to: a cut after so many bytes, or a trouble.
    next: Mutex<Vec<Result<usize, Trouble>>>,
    /// Hangs up on a CONNECT of MQTT 5 without a word, as some brokers of 3.1.1 do.
    only_old: bool,
    /// New certificate files lie there.
    renewed: AtomicBool,
}

impl Broker for Wire {
    fn open(&self) -> Opening<'_> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let next = self.next.lock().unwrap().pop().unwrap_or(Ok(usize::MAX));
        Box::pin(async move {
            let left = next?;
            let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
            let (broker, only_old) = (self.broker.clone(), self.only_old);
            tokio::spawn(async move {
                if !only_old {
                    return broker.serve(theirs).await;
                }
                let mut first = [0; 10]; // two bytes of length: there is a will
                let read = tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut first).await;
                if read.is_ok() && first[9] == 4 {
                    let (mut inner, outer) = tokio::io::duplex(64 * 1024);
                    tokio::spawn(broker.serve(outer));
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut inner, &first).await;
                    let _ = tokio::io::copy_bidirectional(&mut theirs, &mut inner).await;
                }
            });
            let stream: Box<dyn BrokerStream> = Box::new(Cut { inner: ours, left });
            Ok(stream)
        })
    }
    fn certificates(&self) -> Vec<(String, Time)> {
        vec![("client".to_owned(), Fixed.now())]
    }
    fn renewed(&self) -> bool {
        self.renewed.swap(false, Ordering::Relaxed)
    }
}

struct World {
    broker: Arc<broker::Broker>,
    wire: Arc<Wire>,
    shelf: Arc<Shelf>,
    board: Arc<Board>,
    stop: CancellationToken,
    orders: mpsc::Receiver<Order>,
    link: Option<Link<Shelf>>,
}

const PREFIX: &str = "blockgate/v1/t1/gw-7/";

impl World {
    fn new() -> Self {
        let broker = broker::Broker::new(CancellationToken::new());
        let (door, orders) = CommandDoor::new();
        let board = Arc::new(Board::default());
        let config = MqttConfig {
            telemetry_every: Span::ZERO,
            ..MqttConfig::to("broker", 8883, "blockgate-gw-7")
        };
        let shelf = Arc::new(Shelf::default());
        let link = Link {
            config,
            identity: Identity { tenant: "t1".into(), gateway: "gw-7".into() },
            origin: Origin {
                source: "/blockgate/t1/gw-7".into(),
                boot: "5f0c12ab".into(),
                epoch: None,
            },
            config_hash: "c0ffee".into(),
            head_key: "5eed".into(),
            outbox: shelf.clone(),
            board: board.clone(),
            door,
            clock: Arc::new(Fixed),
            beat: limits::MQTT_LOOK_EVERY,
        };
        Self {
            wire: Arc::new(Wire {
                broker: broker.clone(),
                opened: AtomicUsize::new(0),
                next: Mutex::default(),
                only_old: false,
                renewed: AtomicBool::new(false),
            }),
            broker,
            shelf,
            board,
            stop: CancellationToken::new(),
            orders,
            link: Some(link),
        }
    }

    fn faults(self, faults: Faults) -> Self {
        self.broker.set_faults(faults);
        self
    }

    fn start(&mut self) -> JoinHandle<Result<(), BadLevel>> {
        let link = self.link.take().unwrap();
        *self.shelf.board.lock().unwrap() = Some(self.board.clone());
        tokio::spawn(run_over(link, self.wire.clone(), self.stop.clone()))
    }

    async fn next(&self, taken: &mut mpsc::Receiver<Publish>) -> (String, Value) {
        let publish = tokio::time::timeout(LONG, taken.recv()).await.unwrap().unwrap();
        let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
        let topic = topic.strip_prefix(PREFIX).unwrap().to_owned();
        (topic, serde_json::from_slice(&publish.payload).unwrap_or(Value::Null))
    }

    async fn end(self, client: JoinHandle<Result<(), BadLevel>>) {
        self.stop.cancel();
        tokio::time::timeout(LONG, client).await.unwrap().unwrap().unwrap();
    }
}

fn event(seq: u64) -> String {
    format!("{{\"id\":\"5f0c12ab-{seq}\",\"seq\":{seq}}}")
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_out_in_order_after_the_birth_and_every_ack_is_told() {
    let mut world = World::new();
    for seq in 1..=500 {
        world.shelf.put(seq, "reading", event(seq));
    }
    let mut all = world.broker.watch("#");
    let client = world.start();
    let (topic, state) = world.next(&mut all).await;
    assert_eq!(topic, "state");
    assert_eq!((&state["online"], &state["outbox"]), (&true.into(), &500.into()));
    for seq in 1..=500u64 {
        let (topic, event) = world.next(&mut all).await;
        assert_eq!((topic.as_str(), &event["seq"]), ("evt/reading", &seq.into()));
    }
    world.shelf.until(|b| b.acknowledged.len() == 500).await;
    world.shelf.put(501, "bill", event(501));
    assert_eq!(world.next(&mut all).await.0, "evt/bill");
    world.shelf.until(|b| b.acknowledged.len() == 501).await;
    let board = world.board.mqtt().clone();
    assert!(board.connected && board.trouble.is_none() && board.connects == 1);
    assert_eq!((board.published, board.broker.as_str()), (501, "broker:8883"));
    assert_eq!(board.certificates[0].0, "client");
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn the_goodbye_says_offline_and_the_last_will_says_it_for_us() {
    let mut world = World::new();
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let client = world.start();
    assert_eq!(world.next(&mut states).await.1["online"], true);
    world.broker.cut();
    assert_eq!(world.next(&mut states).await.1["online"], false, "the will");
    assert_eq!(world.next(&mut states).await.1["online"], true, "the next connection");
    assert_eq!(world.broker.counts().wills, 1);
    let retained = || {
        let retained = world.broker.retained("blockgate/v1/t1/gw-7/state").unwrap();
        serde_json::from_slice::<Value>(&retained).unwrap()["online"].clone()
    };
    assert_eq!(retained(), true);
    world.stop.cancel();
    tokio::time::timeout(LONG, client).await.unwrap().unwrap().unwrap();
    assert_eq!(retained(), false);
    assert_eq!(world.broker.counts().wills, 1, "a goodbye needs no will");
    assert!(!world.board.mqtt().connected);
}

// invariant 8
#[tokio::test(start_paused = true)]
async fn a_connection_cut_at_any_byte_loses_nothing() {
    let payload = |seq| format!("{{\"seq\":{seq},\"pad\":\"{}\"}}", "x".repeat(40));
    // Long enough for CONNECT, SUBSCRIBE, the birth and all three events.
    for cut in (1..1200).step_by(7) {
        let mut world = World::new();
        world.wire.next.lock().unwrap().push(Ok(cut));
        for seq in 1..=3 {
            world.shelf.put(seq, "bill", payload(seq));
        }
        let mut taken = world.broker.watch("blockgate/v1/t1/gw-7/evt/#");
        let client = world.start();
        world.shelf.until(|b| b.acknowledged.len() == 3).await;
        let mut seen: BTreeMap<u64, BTreeSet<Bytes>> = BTreeMap::new();
        while let Ok(publish) = taken.try_recv() {
            let value: Value = serde_json::from_slice(&publish.payload).unwrap();
            seen.entry(value["seq"].as_u64().unwrap()).or_default().insert(publish.payload);
        }
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [1, 2, 3], "cut after {cut}");
        assert!(seen.values().all(|bytes| bytes.len() == 1), "same id, same bytes");
        world.end(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_up_and_forgets_gets_the_rest_on_the_next_connections() {
    let mut world = World::new().faults(Faults { cut_after: Some(40), ..Faults::default() });
    for seq in 1..=300 {
        world.shelf.put(seq, "reading", event(seq));
    }
    let client = world.start();
    world.shelf.until(|b| b.acknowledged.len() == 300).await;
    assert!(world.broker.counts().connects >= 8, "39 events and a birth a connection");
    world.shelf.until(|b| b.resets as u64 >= 8).await;
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_acknowledges_is_given_up_and_all_is_sent_again() {
    let mut world =
        World::new().faults(Faults { acknowledge: Acknowledge::Never, ..Faults::default() });
    world.shelf.put(1, "bill", event(1));
    let client = world.start();
    world.shelf.until(|b| b.resets == 2).await;
    world.shelf.with(|b| assert_eq!(b.words, ["no-acknowledgement"]));
    world.broker.set_faults(Faults::default());
    world.shelf.until(|b| b.acknowledged.contains(&1)).await;
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_forgetful_broker_acknowledged_still_waits_for_its_receipt() {
    let mut world =
        World::new().faults(Faults { acknowledge: Acknowledge::AndForget, ..Faults::default() });
    world.shelf.put(1, "bill", event(1));
    let client = world.start();
    world.shelf.until(|b| b.acknowledged.contains(&1)).await;
    assert_eq!(world.shelf.waiting(), 1);
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_word_on_the_board_and_its_patience() {
    use ConnectReturnCode as C;
    for (code, word, least) in [
        (C::NotAuthorized, "not-authorised", 7),
        (C::BadUserNamePassword, "not-authorised", 7),
        (C::BadAuthenticationMethod, "not-authorised", 7),
        (C::Banned, "banned", 7),
        (C::ClientIdentifierNotValid, "client-id", 7),
        (C::BadClientId, "client-id", 7),
        (C::QuotaExceeded, "quota", 7),
        (C::ServerBusy, "server-busy", 0),
        (C::ServerUnavailable, "server-busy", 0),
        (C::ServiceUnavailable, "server-busy", 0),
        (C::ConnectionRateExceeded, "server-busy", 0),
        (C::UseAnotherServer, "server-moved", 7),
        (C::ServerMoved, "server-moved", 7),
        (C::PacketTooLarge, "packet-too-large", 0),
        (C::QoSNotSupported, "unsupported", 7),
        (C::RetainNotSupported, "unsupported", 0),
        (C::UnsupportedProtocolVersion, "server-busy", 0), // said in MQTT 3.1.1, to which it falls back
        (C::RefusedProtocolVersion, "server-busy", 0),
        (C::UnspecifiedError, "protocol", 0),
        (C::MalformedPacket, "protocol", 0),
        (C::ProtocolError, "protocol", 0),
        (C::ImplementationSpecificError, "protocol", 0),
        (C::TopicNameInvalid, "protocol", 0),
        (C::PayloadFormatInvalid, "protocol", 0),
    ] {
        let mut world = World::new().faults(Faults { refuse: Some(code), ..Faults::default() });
        world.shelf.put(1, "bill", event(1));
        let began = Instant::now();
        let client = world.start();
        world.shelf.until(|b| b.resets == 2).await;
        let board = world.board.mqtt().clone();
        assert!(!board.connected && board.retry_at.is_some() && board.connects == 0);
        assert_eq!(board.trouble.unwrap().word(), word);
        assert!(began.elapsed() >= Duration::from_secs(least), "{word}: {:?}", began.elapsed());
        assert_eq!(world.broker.counts().published, 0, "nothing leaves");
        world.broker.set_faults(Faults::default());
        world.shelf.until(|b| b.acknowledged.contains(&1)).await;
        assert_eq!(world.board.mqtt().trouble, None);
        world.end(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_clients_with_one_id_do_not_throw_each_other_out_for_ever() {
    let mut world = World::new();
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let client = world.start();
    assert_eq!(world.next(&mut states).await.1["online"], true);
    let mut twin = World::new();
    twin.wire = Arc::new(Wire {
        broker: world.broker.clone(),
        opened: AtomicUsize::new(0),
        next: Mutex::default(),
        only_old: false,
        renewed: AtomicBool::new(false),
    });
    let twin_client = twin.start();
    // Ours is thrown out, and an hour passes in which both behave.
    let _ = tokio::time::timeout(LONG, std::future::pending::<()>()).await;
    let (ours, theirs) =
        (world.wire.opened.load(Ordering::Relaxed), twin.wire.opened.load(Ordering::Relaxed));
    assert!(
        (2..=30).contains(&ours) && (1..=30).contains(&theirs),
        "{ours} and {theirs} connections"
    );
    twin.end(twin_client).await;
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_for_the_broker_becomes_a_dead_letter_and_the_queue_moves_on() {
    let mut world = World::new().faults(Faults { packet_max: Some(1000), ..Faults::default() });
    world.shelf.put(1, "bill", event(1));
    world.shelf.put(2, "bill", "x".repeat(1000));
    world.shelf.put(3, "bill", event(3));
    let client = world.start();
    world.shelf.until(|b| b.acknowledged.contains(&3)).await;
    world.shelf.with(|b| {
        assert_eq!(b.dead, [(2, "packet-too-large".to_owned())]);
        assert!(b.acknowledged.contains(&1));
    });
    assert_eq!(world.broker.counts().connects, 1);
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_publish_is_tried_again_where_that_can_help_and_else_is_a_dead_letter() {
    for (reason, dead, connects) in [
        (PubAckReason::PayloadFormatInvalid, "payload-format-invalid", 1),
        (PubAckReason::TopicNameInvalid, "topic-name-invalid", 1),
        (PubAckReason::QuotaExceeded, "quota", 3),
        (PubAckReason::NotAuthorized, "not-authorised", 3),
        (PubAckReason::UnspecifiedError, "protocol", 3),
    ] {
        let reject = Some(("evt/bill".to_owned(), reason));
        let mut world = World::new().faults(Faults { reject, ..Faults::default() });
        world.shelf.put(1, "bill", event(1));
        world.shelf.put(2, "reading", event(2));
        let client = world.start();
        world.shelf.until(|b| !b.dead.is_empty() && b.acknowledged.contains(&2)).await;
        world.shelf.with(|b| assert_eq!(b.dead, [(1, dead.to_owned())]));
        assert_eq!(world.broker.counts().connects, connects, "{dead}");
        world.end(client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_makes_the_broker_hang_up_is_found_and_does_not_hold_up_the_others() {
    let mut world = World::new().faults(Faults { choke_at: Some(500), ..Faults::default() });
    for seq in 1..=100 {
        world.shelf.put(seq, "bill", event(seq));
    }
    world.shelf.put(30, "bill", "x".repeat(500));
    let client = world.start();
    world.shelf.until(|b| b.acknowledged.len() == 99).await;
    world.shelf.with(|b| assert_eq!(b.dead, [(30, "packet-too-large".to_owned())]));
    assert!(world.broker.counts().connects <= 20, "{:?}", world.broker.counts());
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_hear_receipts_nothing_is_published() {
    let mut world = World::new().faults(Faults { no_subscribe: true, ..Faults::default() });
    world.shelf.put(1, "bill", event(1));
    let client = world.start();
    world.shelf.until(|b| b.resets == 2).await;
    world.shelf.with(|b| assert_eq!(b.words, ["not-authorised"]));
    // Only last wills, which the broker published itself.
    let counts = world.broker.counts();
    assert_eq!(counts.published, counts.wills);
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_retained_messages_is_good_enough() {
    let mut world = World::new().faults(Faults { no_retain: true, ..Faults::default() });
    world.shelf.put(1, "bill", event(1));
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let client = world.start();
    world.shelf.until(|b| b.acknowledged.contains(&1)).await;
    assert_eq!(world.next(&mut states).await.1["online"], true);
    assert_eq!(world.broker.retained("blockgate/v1/t1/gw-7/state"), None);
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_with_a_small_window_gets_no_more_than_it_takes() {
    let faults = Faults { receive_max: Some(2), ..Faults::default() };
    let mut world = World::new().faults(faults);
    for seq in 1..=20 {
        world.shelf.put(seq, "reading", event(seq));
    }
    let client = world.start();
    world
        .shelf
        .until(|b| {
            assert!(b.in_flight.len() <= 2, "{:?}", b.in_flight);
            b.acknowledged.len() == 20
        })
        .await;
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn receipts_reach_the_outbox_and_bad_ones_do_not() {
    let mut world = World::new();
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let client = world.start();
    world.next(&mut states).await;
    let topic = "blockgate/v1/t1/gw-7/receipt";
    for payload in [
        "garbage",
        "{}",
        r#"{"refused":[{"id":"bill-1","code":"schema","reason":"no such account"}]}"#,
        r#"{"through":7,"ids":["5f0c12ab-9"]}"#,
    ] {
        world.broker.publish(topic, payload, false);
    }
    world.broker.publish("blockgate/v1/t1/gw-8/receipt", r#"{"through":99}"#, false);
    world.broker.publish(topic, r#"{"through":8}"#, false);
    world.shelf.until(|b| b.receipts.len() == 2).await;
    world.shelf.with(|b| {
        assert_eq!(
            b.receipts[0],
            Receipt { through: Some(7), epoch: None, ids: vec!["5f0c12ab-9".into()] }
        );
        assert_eq!(b.receipts[1].through, Some(8));
        assert_eq!(b.refused[0].id, "bill-1");
    });
    assert_eq!(world.board.mqtt().last_receipt, Some(Fixed.now()));
    world.end(client).await;
}

const READ_NOW: &str = r#"{"id":"c-1","issued_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-01T01:00:00Z","actor":"ops","args":{"meter":"m-0101"}}"#;

// invariant 7
#[tokio::test(start_paused = true)]
async fn a_command_is_accepted_handed_in_once_and_answered_once_where_it_asked() {
    let mut world = World::new();
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let mut answers = world.broker.watch("blockgate/v1/t1/gw-7/rsp/#");
    let client = world.start();
    world.next(&mut states).await;
    let send = |response_topic: &str| {
        let mut publish =
            Publish::new("blockgate/v1/t1/gw-7/cmd/read-now", QoS::AtLeastOnce, READ_NOW, None);
        publish.properties = Some(PublishProperties {
            response_topic: Some(response_topic.to_owned()),
            correlation_data: Some(Bytes::from_static(b"\x00q-7")),
            ..PublishProperties::default()
        });
        world.broker.publish_packet(publish);
    };
    send("blockgate/v1/t1/gw-7/rsp/read-now/desk-3");
    let accepted = tokio::time::timeout(LONG, answers.recv()).await.unwrap().unwrap();
    assert_eq!(accepted.topic, "blockgate/v1/t1/gw-7/rsp/read-now/desk-3");
    assert_eq!(accepted.properties.unwrap().correlation_data.unwrap(), b"\x00q-7"[..]);
    let accepted: Value = serde_json::from_slice(&accepted.payload).unwrap();
    assert_eq!((&accepted["id"], &accepted["status"]), (&"c-1".into(), &"accepted".into()));

    let order = tokio::time::timeout(LONG, world.orders.recv()).await.unwrap().unwrap();
    assert_eq!(order.command.id.as_str(), "c-1");
    let detail = r#"{"volume":"1.5"}"#.to_owned();
    // The connection is lost before the outcome is known: it goes out on the next one.
    world.broker.cut();
    while world.next(&mut states).await.1["online"] != true {}
    order.reply.send(Answer { outcome: Outcome::Done, detail }).unwrap();
    let done = tokio::time::timeout(LONG, answers.recv()).await.unwrap().unwrap();
    assert_eq!(done.topic, "blockgate/v1/t1/gw-7/rsp/read-now/desk-3");
    assert_eq!(done.properties.unwrap().correlation_data.unwrap(), b"\x00q-7"[..]);
    let done: Value = serde_json::from_slice(&done.payload).unwrap();
    assert_eq!((&done["status"], &done["result"]["volume"]), (&"done".into(), &"1.5".into()));

    // A response topic outside is not honoured.
    send("blockgate/v1/t1/gw-7/evt/bill");
    assert_eq!(world.next(&mut answers).await.0, "rsp/read-now");
    let order = tokio::time::timeout(LONG, world.orders.recv()).await.unwrap().unwrap();
    order.reply.send(Answer { outcome: Outcome::Duplicate, detail: String::new() }).unwrap();
    let (topic, answer) = world.next(&mut answers).await;
    assert_eq!((topic.as_str(), &answer["status"]), ("rsp/read-now", &"duplicate".into()));
    assert_eq!(answer["code"], "command-duplicate");
    assert!(answers.try_recv().is_err() && world.orders.try_recv().is_err());
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn retained_and_malformed_commands_are_refused_and_never_handed_in() {
    let mut world = World::new();
    let mut answers = world.broker.watch("blockgate/v1/t1/gw-7/rsp/#");
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    // Retained before we come, and retained while we are there.
    world.broker.publish("blockgate/v1/t1/gw-7/cmd/read-now", READ_NOW, true);
    let client = world.start();
    world.next(&mut states).await;
    let (_, answer) = world.next(&mut answers).await;
    assert_eq!(
        (&answer["status"], &answer["code"]),
        (&"refused".into(), &"command-retained".into())
    );
    world.broker.publish("blockgate/v1/t1/gw-7/cmd/read-now", READ_NOW, true);
    assert_eq!(world.next(&mut answers).await.1["code"], "command-retained");
    for (name, payload) in [("read-now", "{"), ("open-sesame", READ_NOW)] {
        world.broker.publish(&format!("{PREFIX}cmd/{name}"), payload, false);
        let (topic, answer) = world.next(&mut answers).await;
        assert_eq!(topic, format!("rsp/{name}"));
        assert_eq!(
            (&answer["status"], &answer["code"]),
            (&"refused".into(), &"bad-request".into())
        );
    }
    assert!(world.orders.try_recv().is_err());
    world.end(client).await;
}

// invariant 10
#[tokio::test(start_paused = true)]
async fn more_commands_than_can_be_carried_out_are_refused_as_busy() {
    let mut world = World::new();
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let mut answers = world.broker.watch("blockgate/v1/t1/gw-7/rsp/#");
    let client = world.start();
    world.next(&mut states).await;
    for n in 0..=limits::MQTT_INCOMING_MAX {
        let command = READ_NOW.replace("c-1", &format!("c-{n}"));
        world.broker.publish("blockgate/v1/t1/gw-7/cmd/read-now", command, false);
    }
    for _ in 0..limits::MQTT_INCOMING_MAX {
        assert_eq!(world.next(&mut answers).await.1["status"], "accepted");
    }
    let (_, answer) = world.next(&mut answers).await;
    assert_eq!((&answer["status"], &answer["code"]), (&"refused".into(), &"command-busy".into()));
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn live_values_go_out_at_their_pace_and_only_while_connected() {
    let mut world = World::new();
    if let Some(link) = &mut world.link {
        link.config.telemetry_every = Span::from_secs(10);
    }
    let spec = RegisterSpec {
        name: RegisterName::new("voltage_l1").unwrap(),
        unit: Unit::Volt,
        role: Role::Live,
        decimals: 1,
        rollover_digits: None,
    };
    let values = Values { specs: vec![spec].into(), values: vec![Some(Decimal::new(2301, 1))] };
    let meter = MeterBoard { last: Some((Fixed.now(), values)), ..MeterBoard::default() };
    world.board.meters().insert(MeterId::new("m-0101").unwrap(), meter);
    let mut live = world.broker.watch("blockgate/v1/t1/gw-7/tel/#");
    let began = Instant::now();
    let client = world.start();
    for n in 1..=3u32 {
        let (topic, message) = world.next(&mut live).await;
        assert_eq!(topic, "tel/live");
        assert_eq!(message["data"]["meters"][0]["values"]["voltage_l1"]["value"], "230.1");
        assert!(began.elapsed() >= Duration::from_secs(10) * n);
    }
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_minute_ends_within_two_seconds_of_the_broker_s_return() {
    let mut world = World::new();
    world.wire.next.lock().unwrap().extend((0..60).map(|_| Err(Trouble::Refused)));
    world.shelf.put(1, "bill", event(1));
    let began = Instant::now();
    let client = world.start();
    world.shelf.until(|b| b.acknowledged.contains(&1)).await;
    assert!(
        began.elapsed() >= Duration::from_secs(45) && began.elapsed() <= Duration::from_secs(90)
    );
    assert_eq!(world.wire.opened.load(Ordering::Relaxed), 61);
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_has_mqtt_3_1_1_only_is_found_out_and_served() {
    let mut world = World::new();
    Arc::get_mut(&mut world.wire).unwrap().only_old = true;
    for seq in 1..=70 {
        world.shelf.put(seq, "bill", event(seq));
    }
    let mut all = world.broker.watch("#");
    let client = world.start();
    assert_eq!(world.next(&mut all).await.1["online"], true);
    for seq in 1..=70u64 {
        let (topic, event) = world.next(&mut all).await;
        assert_eq!((topic.as_str(), &event["seq"]), ("evt/bill", &seq.into()));
    }
    world.shelf.until(|b| b.acknowledged.len() == 70).await;
    world.broker.publish(&format!("{PREFIX}receipt"), r#"{"through":70}"#, false);
    world.shelf.until(|b| b.receipts.iter().any(|r| r.through == Some(70))).await;
    // Commands are answered on the usual topic: there is no other way to name one.
    world.broker.publish(&format!("{PREFIX}cmd/read-now"), READ_NOW, false);
    let order = tokio::time::timeout(LONG, world.orders.recv()).await.unwrap().unwrap();
    assert_eq!(world.next(&mut all).await.0, "receipt");
    assert_eq!(world.next(&mut all).await.0, "cmd/read-now");
    let (topic, said) = world.next(&mut all).await;
    assert_eq!((topic.as_str(), &said["status"]), ("rsp/read-now", &"accepted".into()));
    order.reply.send(Answer { outcome: Outcome::Done, detail: String::new() }).unwrap();
    assert_eq!(world.next(&mut all).await.1["status"], "done");
    // It is remembered: the next connection begins with it.
    let opened = world.wire.opened.load(Ordering::Relaxed);
    world.broker.cut();
    assert_eq!(world.next(&mut all).await.1["online"], false);
    assert_eq!(world.next(&mut all).await.1["online"], true);
    assert_eq!(world.wire.opened.load(Ordering::Relaxed), opened + 1);
    world.end(client).await;
}

#[tokio::test(start_paused = true)]
async fn new_certificate_files_make_a_new_connection_at_once_and_in_good_order() {
    let mut world = World::new();
    let mut states = world.broker.watch("blockgate/v1/t1/gw-7/state");
    let client = world.start();
    assert_eq!(world.next(&mut states).await.1["online"], true);
    world.wire.renewed.store(true, Ordering::Relaxed);
    assert_eq!(world.next(&mut states).await.1["online"], false, "the goodbye");
    assert_eq!(world.next(&mut states).await.1["online"], true, "with the new files");
    assert_eq!(world.broker.counts().wills, 0);
    assert_eq!(world.wire.opened.load(Ordering::Relaxed), 2);
    let board = world.board.mqtt().clone();
    assert!(board.connected && board.trouble.is_none() && board.connects == 2, "{board:?}");
    world.end(client).await;
}
