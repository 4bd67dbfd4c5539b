//! How fast a full outbox drains into Debian's mosquitto over TLS with client certificates, on loopback, until a cloud
//! behind the broker has confirmed it, beside a bare client of the same library that publishes as many messages as long
//! from memory: journal read, topic, QoS 1 publish, TLS, acknowledgement, books, receipts. In both cases the same cloud
//! listens, so that the broker has the same work. Both in turn, round by round; quote the share, which is out of one run.
//!
//! `cargo run --release -p blockgate --example outbox_drain [MESSAGES] [ROUNDS]`
//!
//! Needs `/usr/sbin/mosquitto` (package mosquitto).

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

use blockgate::board::Board;
use blockgate::command::CommandDoor;
use blockgate::config::{Identity, MqttConfig};
use blockgate::demo::certificates::{self, Folder};
use blockgate::mqtt::client::{self, Link};
use blockgate::mqtt::tls::TlsBroker;
use blockgate::outbox::Class;
use blockgate::ports::{Broker, Clock};
use blockgate::store::Store;
use blockgate::store::record::{self, Origin};
use blockgate_rules::Event;
use blockgate_rules::event::Audit;
use blockgate_types::{ClockState, Span, Time};
use bytes::Bytes;
use rumqttc::{
    AsyncClient, EventLoop, MqttOptions, Packet, PublishOptions, QoS, SubscribeFilterInput,
    ValidatedTopic,
};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Topics of the one gateway.
const PREFIX: &str = "blockgate/v1/t1/gw-7";
/// Requests that wait in the bare client.
const QUEUE: usize = 4096;
/// The cloud says every so often what it has.
const CONFIRM_EVERY: Duration = Duration::from_millis(5);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        "2026-03-01T00:15:00Z".parse().unwrap()
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// User and system time of this thread, in seconds: fields 14 and 15 of proc(5), at 100 a second.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11..13].iter().map(|f| f.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// A journal with so many records of about 300 bytes, all of them waiting.
fn fill(state: &Path, origin: &Origin, messages: u64) -> Store {
    let (mut store, _, _) = Store::open(state).unwrap();
    let mut bytes = 0;
    for seq in 1..=messages {
        let event = Event::Audit(Audit::ClockStepped { at: Fixed.now(), by_ms: 1000 });
        let mut payload = Vec::new();
        record::encode(origin, seq, Fixed.now(), ClockState::Synced, &event, &mut payload).unwrap();
        bytes += payload.len();
        store.journal.append(&payload).unwrap();
        if seq % 500 == 0 || seq == messages {
            let committed = store.journal.cut().unwrap().unwrap().commit().unwrap();
            let waiting: Vec<_> = committed.records().map(|(s, p)| (s, Class::Event, p)).collect();
            store.outbox.push(&waiting).unwrap();
        }
    }
    println!("{messages} messages of {} bytes", bytes as u64 / messages);
    store
}

fn mosquitto(dir: &Path, tls: &Folder) -> (Child, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = format!(
        "user root\npersistence false\nlog_type error\nmax_queued_messages 0\n\
         max_inflight_messages 0\nset_tcp_nodelay true\nlistener {port} 127.0.0.1\ncafile {}\n\
         certfile {}\nkeyfile {}\nrequire_certificate true\nallow_anonymous true\n",
        tls.ca.display(),
        tls.server.0.display(),
        tls.server.1.display()
    );
    std::fs::write(dir.join("mosquitto.conf"), conf).unwrap();
    let child = Command::new("/usr/sbin/mosquitto")
        .arg("-c")
        .arg(dir.join("mosquitto.conf"))
        .spawn()
        .unwrap();
    (child, port)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let messages: u64 = args.next().map_or(100_000, |n| n.parse().unwrap());
    let rounds: usize = args.next().map_or(5, |n| n.parse().unwrap());
    let dir = std::env::temp_dir().join(format!("outbox-drain-{}", std::process::id()));
    let tls = certificates::write(&dir.join("tls")).unwrap();
    let (mut broker, port) = mosquitto(&dir, &tls);
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let state = dir.join(format!("state-{round}"));
        let origin = Origin {
            source: "/blockgate/t1/gw-7".to_owned(),
            boot: "5f0c12ab".to_owned(),
            epoch: None,
        };
        let store = fill(&state, &origin, messages);
        let payload = store.outbox.take(1, Fixed.now()).unwrap().remove(0).payload;
        store.outbox.reset_in_flight();
        theirs.push(measure("bare client", messages, || bare(&tls, port, messages, &payload)));
        ours.push(measure("outbox", messages, || drain(&store, origin, &tls, port, messages)));
        drop(store);
        std::fs::remove_dir_all(&state).unwrap();
    }
    let (theirs, ours) = (median(theirs), median(ours));
    println!(
        "medians of {rounds} rounds: outbox with receipts {ours:.0} a second, bare client {theirs:.0}: {:.0} %",
        ours / theirs * 100.0
    );
    broker.kill().unwrap();
    broker.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Runs it and gives how many messages a second that was.
fn measure(what: &str, messages: u64, work: impl FnOnce() -> Duration) -> f64 {
    let began = cpu();
    let took = work().as_secs_f64();
    let (rate, cpu) = (messages as f64 / took, (cpu() - began) / messages as f64 * 1e6);
    println!("{what}: {rate:.0} messages/s, {cpu:.1} us CPU a message");
    rate
}

/// A client of the library alone, connected over the same TLS.
async fn connect(
    tls: &Folder,
    port: u16,
    id: &str,
    pair: &(PathBuf, PathBuf),
) -> (AsyncClient, EventLoop) {
    let config = MqttConfig {
        ca: Some(tls.ca.clone()),
        cert: Some(pair.0.clone()),
        key: Some(pair.1.clone()),
        ..MqttConfig::to("localhost", port, id)
    };
    let stream = TlsBroker::new(&config, Arc::new(Fixed)).open().await;
    let stream = Mutex::new(Some(stream.unwrap_or_else(|trouble| panic!("{}", trouble.word()))));
    let mut options = MqttOptions::new(id, ("localhost", port));
    let window = blockgate::limits::MQTT_INFLIGHT_MAX;
    options
        .set_clean_start(true)
        .set_outgoing_inflight_upper_limit(window)
        .set_max_request_batch(usize::from(window))
        .set_read_batch_size(usize::from(window))
        .set_socket_connector(move |_, _| {
            let stream = stream.lock().unwrap().take();
            async move { stream.ok_or_else(|| std::io::Error::other("a connection is opened once")) }
        });
    let (client, mut events) = AsyncClient::builder(options).capacity(QUEUE).try_build().unwrap();
    while !matches!(events.poll().await.unwrap(), rumqttc::Event::Incoming(Packet::ConnAck(_))) {}
    (client, events)
}

/// The cloud, on a thread of its own: takes every event and confirms what is whole. It ends with the token.
fn cloud(tls: &Folder, port: u16, stop: CancellationToken) -> std::thread::JoinHandle<()> {
    let (tls, (listens, ready)) = (tls.clone(), std::sync::mpsc::sync_channel(1));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, mut events) = connect(&tls, port, "cloud", &tls.cloud).await;
            let filter = SubscribeFilterInput::new(format!("{PREFIX}/evt/#"), QoS::AtLeastOnce);
            client.try_subscribe_many([filter]).unwrap();
            let through = Arc::new(AtomicU64::new(0));
            tokio::spawn(confirm(client, through.clone()));
            loop {
                let event = tokio::select! { biased;
                    () = stop.cancelled() => return,
                    event = events.poll() => event.unwrap(),
                };
                match event {
                    rumqttc::Event::Incoming(Packet::SubAck(_)) => listens.send(()).unwrap(),
                    // One class only, so that they come in their order.
                    rumqttc::Event::Incoming(Packet::Publish(publish)) => {
                        let next = through.load(Ordering::Relaxed) + 1;
                        if seq(&publish.payload) == next {
                            through.store(next, Ordering::Relaxed);
                        }
                    }
                    _ => {}
                }
            }
        });
    });
    ready.recv().unwrap();
    thread
}

/// Says every now and then up to where the cloud has everything.
async fn confirm(client: AsyncClient, through: Arc<AtomicU64>) {
    let receipts = ValidatedTopic::new(format!("{PREFIX}/receipt")).unwrap();
    let (mut every, mut said) = (tokio::time::interval(CONFIRM_EVERY), 0);
    loop {
        every.tick().await;
        let now = through.load(Ordering::Relaxed);
        if now > said {
            let receipt = format!("{{\"through\":{now}}}");
            let options = PublishOptions::at_least_once();
            client.try_publish(receipts.clone(), receipt, options).unwrap();
            said = now;
        }
    }
}

/// The number of an event, without reading all of it.
fn seq(payload: &[u8]) -> u64 {
    let text = std::str::from_utf8(payload).unwrap();
    let (_, rest) = text.split_once("\"seq\":").unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// The bare client: the same payload again and again, until the broker has acknowledged all.
fn bare(tls: &Folder, port: u16, messages: u64, payload: &Bytes) -> Duration {
    let stop = CancellationToken::new();
    let cloud = cloud(tls, port, stop.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let took = runtime.block_on(async {
        let (client, mut events) = connect(tls, port, "bare", &tls.gateway).await;
        let topic = ValidatedTopic::new(format!("{PREFIX}/evt/audit")).unwrap();
        let window = u64::from(blockgate::limits::MQTT_INFLIGHT_MAX);
        let (mut sent, mut acknowledged) = (0, 0);
        let began = Instant::now();
        while acknowledged < messages {
            while sent < messages && sent - acknowledged < window {
                let options = PublishOptions::at_least_once();
                client.try_publish(topic.clone(), payload.clone(), options).unwrap();
                sent += 1;
            }
            let event = events.poll().await.unwrap();
            acknowledged += u64::from(matches!(event, rumqttc::Event::Incoming(Packet::PubAck(_))));
        }
        began.elapsed()
    });
    stop.cancel();
    cloud.join().unwrap();
    took
}

/// Our client over a full outbox, until the cloud has confirmed all of it.
fn drain(store: &Store, origin: Origin, tls: &Folder, port: u16, messages: u64) -> Duration {
    let stop = CancellationToken::new();
    let cloud = cloud(tls, port, stop.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (door, _orders) = CommandDoor::new();
    let (cert, key) = tls.gateway.clone();
    let link = Link {
        config: MqttConfig {
            ca: Some(tls.ca.clone()),
            cert: Some(cert),
            key: Some(key),
            receipt_timeout: Span::from_secs(600),
            backfill_per_second: 0,
            telemetry_every: Span::ZERO,
            ..MqttConfig::to("localhost", port, "blockgate-gw-7")
        },
        identity: Identity { tenant: "t1".to_owned(), gateway: "gw-7".to_owned() },
        origin,
        config_hash: "c0ffee".to_owned(),
        head_key: String::new(),
        outbox: store.outbox.clone(),
        board: Arc::new(Board::default()),
        door,
        clock: Arc::new(Fixed),
        beat: blockgate::limits::MQTT_LOOK_EVERY,
    };
    let took = runtime.block_on(async {
        let began = Instant::now();
        let client = tokio::spawn(client::run(link, stop.clone()));
        let mut look = tokio::time::interval(Duration::from_millis(2));
        while store.outbox.through() < messages {
            look.tick().await;
        }
        let took = began.elapsed();
        stop.cancel();
        client.await.unwrap().unwrap();
        took
    });
    cloud.join().unwrap();
    took
}
