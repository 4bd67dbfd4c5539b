//! The connection to Debian's mosquitto is cut at every single byte of an event's PUBLISH on its way there, and of its
//! acknowledgement on the way back: a store, an outbox and a client of their own for each place, sixty-four at a time,
//! over a proxy that knows the packets. TLS is left out, so that each byte is one of the packet's own.

use blockgate::board::Board;
use blockgate::command::CommandDoor;
use blockgate::config::{Identity, MqttConfig};
use blockgate::mqtt::client::{self, Link};
use blockgate::mqtt::trouble::Trouble;
use blockgate::outbox::Class;
use blockgate::ports::{self, BrokerStream, Clock, Opening};
use blockgate::store::Store;
use blockgate::store::record::{self, Origin};
use blockgate_e2e::broker::Broker;
use blockgate_e2e::gateway::PATIENCE;
use blockgate_e2e::proxy::{Cut, Proxy};
use blockgate_rules::Event;
use blockgate_rules::event::Audit;
use blockgate_types::{ClockState, Span, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Events of each gateway; the second one's packets are cut.
const EVENTS: u64 = 3;
const CUT_EVENT: u32 = 2;
/// Gateways at once.
const AT_ONCE: usize = 64;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        "2026-03-01T00:15:00Z".parse().expect("a time")
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// The way to the broker: TCP to a port, without TLS.
struct Plain(u16);

impl ports::Broker for Plain {
    fn open(&self) -> Opening<'_> {
        Box::pin(async move {
            let stream = TcpStream::connect(("127.0.0.1", self.0)).await;
            let stream: Box<dyn BrokerStream> = Box::new(stream.map_err(|_| Trouble::Refused)?);
            Ok(stream)
        })
    }

    fn certificates(&self) -> Vec<(String, Time)> {
        Vec::new()
    }
}

/// A store with events that wait, and their payloads.
fn filled(state: &Path, origin: &Origin) -> (Store, Vec<Value>) {
    let (mut store, _, _) = Store::open(state).expect("a store");
    let mut payloads = Vec::new();
    for seq in 1..=EVENTS {
        let event = Event::Audit(Audit::ClockStepped { at: Fixed.now(), by_ms: 1000 });
        let mut payload = Vec::new();
        record::encode(origin, seq, Fixed.now(), ClockState::Synced, &event, &mut payload)
            .expect("an envelope");
        payloads.push(serde_json::from_slice(&payload).expect("JSON"));
        store.journal.append(&payload).expect("a record");
    }
    let committed =
        store.journal.cut().expect("a batch").expect("records").commit().expect("durable");
    let waiting: Vec<_> = committed.records().map(|(seq, at)| (seq, Class::Event, at)).collect();
    store.outbox.push(&waiting).expect("the outbox");
    (store, payloads)
}

/// One gateway, until the broker has acknowledged all its events. Gives them, and whether its connection was cut.
async fn delivers(state: &Path, broker: u16, boot: String, cut: Cut) -> (Vec<Value>, bool) {
    let origin = Origin { source: "/blockgate/t/gw".to_owned(), boot, epoch: None };
    let (store, payloads) = filled(state, &origin);
    let proxy = Proxy::start(broker, cut).await.expect("a proxy");
    let (door, _orders) = CommandDoor::new();
    let link = Link {
        config: MqttConfig {
            telemetry_every: Span::ZERO,
            ..MqttConfig::to("localhost", proxy.port, &format!("gw-{}", origin.boot))
        },
        identity: Identity { tenant: "t".to_owned(), gateway: "gw".to_owned() },
        origin,
        config_hash: "c0ffee".to_owned(),
        head_key: String::new(),
        outbox: store.outbox.clone(),
        board: Arc::new(Board::default()),
        door,
        clock: Arc::new(Fixed),
        beat: blockgate::limits::MQTT_LOOK_EVERY,
    };
    let stop = CancellationToken::new();
    let client = tokio::spawn(client::run_on(link, Arc::new(Plain(proxy.port)), stop.clone()));
    let all = async {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        while store.outbox.stats().acknowledged < EVENTS {
            look.tick().await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, all).await;
    assert!(came.is_ok(), "{cut:?}: {:?}", store.outbox.stats());
    stop.cancel();
    client.await.expect("the client's task").expect("its end");
    (payloads, proxy.struck())
}

/// Cuts at every byte of a packet, until one is shorter than the place. Gives how many places there are.
fn at_every_byte(broker: &Broker, letter: char, cut: impl Fn(usize) -> Cut) -> usize {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut places = 0;
    let mut known = BTreeMap::new();
    loop {
        let folder = tempfile::tempdir().expect("a folder");
        let batch = runtime.block_on(async {
            let gateways: Vec<_> = (places..places + AT_ONCE)
                .map(|place| {
                    let state = folder.path().join(place.to_string());
                    let boot = format!("{letter}{place:07x}");
                    let (port, cut) = (broker.port, cut(place));
                    tokio::spawn(async move { delivers(&state, port, boot, cut).await })
                })
                .collect();
            let mut ended = Vec::new();
            for gateway in gateways {
                ended.push(gateway.await.expect("a gateway"));
            }
            ended
        });
        let cuts = batch.iter().take_while(|(_, cut)| *cut).count();
        assert!(batch.iter().skip(cuts).all(|(_, cut)| !cut), "a place behind the packet's end");
        for event in batch.into_iter().flat_map(|(events, _)| events) {
            known.insert(event["id"].to_string(), event);
        }
        places += cuts;
        if cuts < AT_ONCE {
            break;
        }
    }
    // Once each by source and id, as the contract says, and none with other bytes.
    let came = blockgate_e2e::wait_until("every event has come", PATIENCE, || {
        let mut came = BTreeMap::new();
        for event in broker.deliveries() {
            if event["bootid"].as_str().is_some_and(|boot| boot.starts_with(letter)) {
                let known = came.entry(event["id"].to_string()).or_insert_with(|| event.clone());
                assert_eq!(*known, event, "the same id with other bytes");
            }
        }
        (came.len() >= known.len()).then_some(came)
    });
    assert_eq!(came, known);
    places
}

// invariant 8
#[test]
fn a_connection_to_mosquitto_cut_at_any_byte_of_a_publish_or_its_acknowledgement_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut broker = Broker::new(folder.path());
    broker.start("allow_anonymous true\n");
    let up = at_every_byte(&broker, 'a', |bytes| Cut::Publish(CUT_EVENT, bytes));
    let down = at_every_byte(&broker, 'b', |bytes| Cut::Acknowledgement(CUT_EVENT, bytes));
    eprintln!("cut at each of {up} bytes of a publish and {down} of its acknowledgement");
    assert!(up > 300 && down >= 4, "{up} and {down}: these are no whole packets");
}
