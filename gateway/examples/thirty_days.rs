//! Thirty days without a way to the cloud, and then one of 512 kbit/s: 1,000 meters every quarter of an hour, three
//! lanes with 3,000 passages a day each, 60 bills a day. What the backlog takes of disk and memory, how long it
//! takes to drain, in which order it arrives, and how long what is new waits meanwhile.
//!
//! `cargo run --release -p blockgate --example thirty_days [FOLDER] [DAYS] [BITS_A_SECOND]`
//!
//! Journal, trees, outbox and MQTT client are the real ones, on a real disk; the events are written as the engine
//! writes them, those of a quarter of an hour in one batch. The broker is in memory, and its line a token bucket in
//! paused time, so that hours of draining pass as fast as the machine can.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

use blockgate::board::Board;
use blockgate::command::CommandDoor;
use blockgate::config::{Identity, MqttConfig};
use blockgate::demo::broker::Broker as Hub;
use blockgate::limits;
use blockgate::mqtt::client::{self, Link};
use blockgate::outbox::{Class, Outbox};
use blockgate::ports::{self, BrokerStream, Clock, Opening};
use blockgate::store::Store;
use blockgate::store::record::{Origin, encode};
use blockgate::store::trees::Applied;
use blockgate_rules::Event;
use blockgate_rules::event::{Reading, ReadingId, Verdict};
use blockgate_types::{BillId, ClockState, Decimal, MeterId, RegisterName, Span, Time, Unit};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

const METERS: u64 = 1_000;
/// Passages of three lanes, and bills, in a day.
const PASSAGES: u64 = 9_000;
const BILLS: u64 = 60;
const QUARTERS: u64 = 96;
const QUARTER: Duration = Duration::from_secs(900);
/// The first of March, midnight in Shanghai.
const BEGIN: i64 = 1_772_294_400_000;
/// What the cloud waits before it confirms, and the most ids that it then names.
const RECEIPT_EVERY: Duration = Duration::from_secs(2);
const IDS_MAX: usize = 500;

/// The clock of the drain: paused time.
struct Running {
    from: Time,
    began: Instant,
}

impl Clock for Running {
    fn now(&self) -> Time {
        let ms = i64::try_from(self.began.elapsed().as_millis()).unwrap();
        self.from.plus(Span::from_millis(ms))
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// One side of a line that takes so many bits a second from us; what comes back is not held up.
struct Narrow {
    inner: DuplexStream,
    bytes_a_second: u64,
    /// When what was written so far is through.
    through: Instant,
    waits: Option<Pin<Box<Sleep>>>,
}

/// As much as a modem takes before the writer has to wait.
const BUFFER: Duration = Duration::from_millis(500);

impl AsyncRead for Narrow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Narrow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if let Some(waits) = &mut self.waits {
            ready!(waits.as_mut().poll(cx));
            self.waits = None;
        }
        let now = Instant::now();
        if self.through > now + BUFFER {
            let mut waits = Box::pin(tokio::time::sleep_until(self.through - BUFFER / 2));
            let polled = waits.as_mut().poll(cx);
            self.waits = Some(waits);
            ready!(polled);
        }
        // An Ethernet frame at a time, with what TCP, IP and the frame add.
        let piece = bytes.len().min(1_400);
        let wrote = ready!(Pin::new(&mut self.inner).poll_write(cx, &bytes[..piece]))?;
        let costs = Duration::from_nanos((wrote as u64 + 66) * 1_000_000_000 / self.bytes_a_second);
        self.through = self.through.max(now) + costs;
        Poll::Ready(Ok(wrote))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

struct Way {
    hub: Arc<Hub>,
    bytes_a_second: u64,
}

impl ports::Broker for Way {
    fn open(&self) -> Opening<'_> {
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(16 * 1024);
            tokio::spawn(self.hub.clone().serve(far));
            let (bytes_a_second, through) = (self.bytes_a_second, Instant::now());
            let narrow = Narrow { inner: near, bytes_a_second, through, waits: None };
            let stream: Box<dyn BrokerStream> = Box::new(narrow);
            Ok(stream)
        })
    }

    fn certificates(&self) -> Vec<(String, Time)> {
        Vec::new()
    }
}

/// Writes events as the engine does.
struct Writer {
    store: Store,
    origin: Origin,
    passed: Event,
    bill: Event,
    bills: u64,
    rounds: u64,
}

impl Writer {
    fn event(text: &str) -> Event {
        let envelope: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::from_value(envelope["data"].clone()).unwrap()
    }

    fn new(store: Store) -> Self {
        let origin = Origin {
            source: "/blockgate/t/g".to_owned(),
            boot: "5f0c12ab".to_owned(),
            epoch: None,
        };
        let mut bill =
            Self::event(include_str!("../../docs/contract/examples/0.1.0/bill.v1/bill.json"));
        if let Event::Bill(bill) = &mut bill {
            // The example has every field that there is; a month's bill for a meter has these.
            (bill.minus, bill.apportioned, bill.corrects) = (Vec::new(), None, None);
            (bill.share, bill.stay, bill.permit) = (None, None, None);
        }
        Self {
            store,
            origin,
            passed: Self::event(include_str!(
                "../../docs/contract/examples/0.1.0/parking.v1/passed.json"
            )),
            bill,
            bills: 0,
            rounds: 0,
        }
    }

    fn next_bill(&mut self) -> Event {
        self.bills += 1;
        let mut event = self.bill.clone();
        if let Event::Bill(bill) = &mut event {
            bill.bill = BillId::new(&format!("bill-{:016x}", self.bills)).unwrap();
        }
        event
    }

    /// One reading of every meter, a hundred in a record.
    fn round(&mut self, at: Time) -> Vec<Event> {
        self.rounds += 1;
        let (round, name) = (self.rounds, RegisterName::new("energy_import").unwrap());
        let reading = |meter: u64| Reading {
            meter: MeterId::new(&format!("m-{meter:04}")).unwrap(),
            register: name.clone(),
            at,
            value: Decimal::new(i64::try_from(round * 25 + meter).unwrap(), 2),
            unit: Unit::KilowattHour,
            verdict: Verdict::Accepted {
                from: ReadingId { seq: round, index: 0 },
                used: Decimal::new(25, 2),
            },
        };
        (0..METERS / 100)
            .map(|n| Event::Reading { readings: (n * 100..(n + 1) * 100).map(reading).collect() })
            .collect()
    }

    /// Makes a batch durable and hands it to trees and outbox.
    fn write(&mut self, at: Time, events: &[Event]) -> std::ops::RangeInclusive<u64> {
        let (first, mut payload) = (self.store.journal.next_seq(), Vec::new());
        for (seq, event) in (first..).zip(events) {
            payload.clear();
            encode(&self.origin, seq, at, ClockState::Synced, event, &mut payload).unwrap();
            self.store.journal.append(&payload).unwrap();
        }
        let committed = self.store.journal.cut().unwrap().unwrap().commit().unwrap();
        if let Some(errand) = self.store.journal.errand() {
            errand.run().unwrap();
        }
        let (mut applied, mut waiting) = (Vec::new(), Vec::new());
        for ((seq, position), record) in committed.records().zip(events) {
            applied.push(Applied { seq, time: at, record, position });
            waiting.push((seq, Class::of(record.kind()), position));
        }
        self.store.trees.apply(&applied).unwrap();
        self.store.outbox.push(&waiting).unwrap();
        first..=committed.through
    }

    fn quarter(&mut self, n: u64, at: Time) -> std::ops::RangeInclusive<u64> {
        let mut events = self.round(at);
        let share = |of: u64| (n + 1) * of / QUARTERS - n * of / QUARTERS;
        events.extend((0..share(PASSAGES)).map(|_| self.passed.clone()));
        for _ in 0..share(BILLS) {
            events.push(self.next_bill());
        }
        self.write(at, &events)
    }
}

fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    (line("VmRSS"), line("VmHWM"))
}

fn size(folder: &Path) -> u64 {
    let mut bytes = 0;
    for row in std::fs::read_dir(folder).unwrap().flatten() {
        let path = row.path();
        bytes += if path.is_dir() { size(&path) } else { row.metadata().unwrap().len() };
    }
    bytes
}

/// What came, and when.
#[derive(Default)]
struct Came {
    /// First deliveries by class, in their order.
    order: Vec<(u64, Class, Time)>,
    at: BTreeMap<u64, Time>,
    bytes: u64,
    again: u64,
}

/// The cloud: notes what comes and confirms it a little later.
async fn cloud(hub: Arc<Hub>, clock: Arc<Running>, came: Arc<Mutex<Came>>) {
    #[derive(serde::Deserialize)]
    struct Envelope {
        id: String,
        seq: u64,
    }
    let mut events = hub.watch("blockgate/v1/t/g/evt/+");
    let (mut ids, mut whole): (Vec<String>, u64) = (Vec::new(), 0);
    let mut receipts = tokio::time::interval(RECEIPT_EVERY);
    loop {
        tokio::select! { biased;
            event = events.recv() => {
                let Some(publish) = event else { return };
                let Envelope { id, seq } = serde_json::from_slice(&publish.payload).unwrap();
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let class = Class::of(topic.rsplit('/').next().unwrap_or_default());
                let mut came = came.lock().unwrap();
                came.bytes += publish.payload.len() as u64;
                ids.push(id);
                if came.at.contains_key(&seq) {
                    came.again += 1;
                    continue;
                }
                let now = clock.now();
                came.at.insert(seq, now);
                came.order.push((seq, class, now));
                while came.at.contains_key(&(whole + 1)) {
                    whole += 1;
                }
            }
            _ = receipts.tick() => {
                let named: Vec<String> = ids.drain(..ids.len().min(IDS_MAX)).collect();
                if !named.is_empty() {
                    let mut receipt = serde_json::json!({ "ids": named });
                    if whole > 0 {
                        receipt["through"] = whole.into();
                    }
                    hub.publish("blockgate/v1/t/g/receipt", receipt.to_string(), false);
                }
            }
        }
    }
}

async fn tend(outbox: Arc<Outbox>, clock: Arc<Running>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        outbox.tend(clock.now()).unwrap();
        outbox.save().unwrap();
    }
}

fn spread(what: &str, mut waits: Vec<i64>) {
    waits.sort_unstable();
    let at = |share: usize| waits[(waits.len() * share / 100).min(waits.len() - 1)];
    if waits.is_empty() {
        return println!("  {what}: none came");
    }
    println!(
        "  {what}: {} came, waited {} ms in the middle, {} ms at 99 %, {} ms at most",
        waits.len(),
        at(50),
        at(99),
        waits[waits.len() - 1]
    );
}

async fn drain(writer: &mut Writer, from: Time, bytes_a_second: u64) {
    let clock = Arc::new(Running { from, began: Instant::now() });
    let hub = Hub::new(CancellationToken::new());
    let (came, board) = (Arc::new(Mutex::new(Came::default())), Arc::new(Board::default()));
    let (door, _orders) = CommandDoor::new();
    let outbox = writer.store.outbox.clone();
    outbox.set_receipt_timeout(Span::from_mins(5));
    let link = Link {
        config: MqttConfig {
            receipt_timeout: Span::from_mins(5),
            telemetry_every: Span::ZERO,
            ..MqttConfig::to("broker", 8883, "blockgate-g")
        },
        identity: Identity { tenant: "t".to_owned(), gateway: "g".to_owned() },
        origin: writer.origin.clone(),
        config_hash: "c0ffee".to_owned(),
        head_key: String::new(),
        outbox: outbox.clone(),
        board,
        door,
        clock: clock.clone(),
        beat: limits::MQTT_LOOK_EVERY,
    };
    let last_old = writer.store.journal.durable();
    let old = outbox.stats().waiting;
    tokio::spawn(cloud(hub.clone(), clock.clone(), came.clone()));
    tokio::spawn(tend(outbox.clone(), clock.clone()));
    let stop = CancellationToken::new();
    let way = Arc::new(Way { hub, bytes_a_second });
    let client = tokio::spawn(client::run_on(link, way, stop.clone()));
    // Life goes on: a round every quarter of an hour, and passages and bills as they come.
    let mut made: BTreeMap<u64, Time> = BTreeMap::new();
    let (mut round, mut passage, mut bill) = (
        tokio::time::interval(QUARTER),
        tokio::time::interval(Duration::from_secs(86_400 / PASSAGES)),
        tokio::time::interval(Duration::from_secs(86_400 / BILLS)),
    );
    let mut look = tokio::time::interval(Duration::from_secs(5));
    let mut peak = 0;
    loop {
        let events = tokio::select! { biased;
            _ = look.tick() => {
                peak = peak.max(memory().0);
                let came = came.lock().unwrap();
                if came.at.range(..=last_old).count() as u64 >= old {
                    break;
                }
                continue;
            }
            _ = bill.tick() => vec![writer.next_bill()],
            _ = passage.tick() => vec![writer.passed.clone()],
            _ = round.tick() => writer.round(clock.now()),
        };
        let now = clock.now();
        for seq in writer.write(now, &events) {
            made.insert(seq, now);
        }
    }
    stop.cancel();
    let _ended = client.await;
    let came = came.lock().unwrap();
    let took = clock.now().since(from).unwrap_or_default().as_millis() / 1000;
    println!(
        "drained in {took} s of line time: {} events, {} MiB of payload, {} kbit/s; {} came again",
        came.at.range(..=last_old).count(),
        came.bytes >> 20,
        i64::try_from(came.bytes).unwrap() * 8 / 1000 / took.max(1),
        came.again
    );
    println!("memory while it drained: {peak} MiB at most");
    println!("when the backlog was through, and whether in order:");
    for (class, name) in
        [(Class::Bill, "bills"), (Class::Event, "passages"), (Class::Reading, "readings")]
    {
        let rows = || came.order.iter().filter(|(seq, of, _)| *seq <= last_old && *of == class);
        let ordered = rows().zip(rows().skip(1)).all(|((a, ..), (b, ..))| a < b);
        let end = rows().map(|(.., at)| *at).max().unwrap_or(from);
        let after = end.since(from).unwrap_or_default().as_millis() / 1000;
        println!(
            "  {name}: {} through after {after} s, oldest first: {}",
            rows().count(),
            if ordered { "yes" } else { "NO" }
        );
    }
    println!("what was new meanwhile:");
    for (class, name) in [
        (Class::Bill, "bills"),
        (Class::Event, "passages"),
        (Class::Reading, "records of readings"),
    ] {
        let waits = came.order.iter().filter(|(seq, of, _)| *seq > last_old && *of == class);
        let wait = |seq: &u64, at: &Time| at.as_millis() - made[seq].as_millis();
        spread(name, waits.map(|(seq, _, at)| wait(seq, at)).collect());
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "thirty-days".to_owned()));
    let days: u64 = args.next().map_or(30, |n| n.parse().unwrap());
    let bits: u64 = args.next().map_or(512_000, |n| n.parse().unwrap());
    let _ = std::fs::remove_dir_all(&folder);
    let (store, _, _) = Store::open(&folder).unwrap();
    let mut writer = Writer::new(store);
    let at = |quarter: u64| Time::from_millis(BEGIN + i64::try_from(quarter).unwrap() * 900_000);
    let began = std::time::Instant::now();
    println!("before anything: {} MiB", memory().0);
    for day in 0..days {
        for n in 0..QUARTERS {
            writer.quarter(n, at(day * QUARTERS + n));
        }
        if (day + 1) % 10 == 0 || day + 1 == days {
            writer.store.outbox.index().unwrap();
            let (now, peak) = memory();
            println!(
                "day {}: {} records wait, journal {} MiB, all of the state {} MiB, memory {now} MiB ({peak} at most)",
                day + 1,
                writer.store.outbox.stats().waiting,
                size(&folder.join("journal")) >> 20,
                size(&folder) >> 20
            );
        }
    }
    println!("written in {} s", began.elapsed().as_secs());
    let began = std::time::Instant::now();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(drain(&mut writer, at(days * QUARTERS), bits / 8));
    println!("it took {} s of this machine", began.elapsed().as_secs());
    drop(writer);
    std::fs::remove_dir_all(&folder).unwrap();
}
