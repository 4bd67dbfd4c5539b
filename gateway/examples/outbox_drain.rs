//! How fast a full outbox drains into Debian's mosquitto over TLS with client certificates, on
//! loopback, and what of our own CPU time a message costs: journal read, topic, QoS 1 publish, TLS,
//! acknowledgement, books.
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
use blockgate::outbox::{Class, Receipt};
use blockgate::ports::Clock;
use blockgate::store::Store;
use blockgate::store::record::{self, Origin};
use blockgate_rules::Event;
use blockgate_rules::event::Audit;
use blockgate_types::{ClockState, Span, Time};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Time {
        "2026-03-01T00:15:00Z".parse().unwrap()
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// User and system time of this process, in seconds: fields 14 and 15 of proc(5), at 100 a second.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
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
        "user root\npersistence false\nlog_type error\nlistener {port} 127.0.0.1\ncafile {}\n\
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
    for round in 1..=rounds {
        let state = dir.join(format!("state-{round}"));
        let origin = Origin {
            source: "/blockgate/t1/gw-7".to_owned(),
            boot: "5f0c12ab".to_owned(),
            epoch: None,
        };
        let store = fill(&state, &origin, messages);
        drain(&store, origin, &tls, port, messages);
        drop(store);
        std::fs::remove_dir_all(&state).unwrap();
    }
    broker.kill().unwrap();
    broker.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
}

fn drain(store: &Store, origin: Origin, tls: &Folder, port: u16, messages: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let board = Arc::new(Board::default());
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
        board: board.clone(),
        door,
        clock: Arc::new(Fixed),
        beat: blockgate::limits::MQTT_LOOK_EVERY,
    };
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let (began, cpu_began) = (Instant::now(), cpu());
        let client = tokio::spawn(client::run(link, stop.clone()));
        let mut look = tokio::time::interval(Duration::from_millis(2));
        loop {
            look.tick().await;
            let published = board.mqtt().published;
            // In the cloud's place: the outbox has only so many on their way without a receipt.
            let receipt = Receipt { through: Some(published), ..Receipt::default() };
            store.outbox.receipt(&receipt).unwrap();
            if published >= messages {
                break;
            }
        }
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu() - cpu_began);
        println!(
            "{:.0} messages/s, {:.1} us CPU a message",
            messages as f64 / seconds,
            cpu / messages as f64 * 1e6
        );
        stop.cancel();
        client.await.unwrap().unwrap();
    });
}
