//! The doors of a whole gateway over simulated controllers, in simulated time: in step after days
//! without a network, no entry lost or doubled over a kill, and strangers who open nothing.

use blockgate::config::{Config, Text};
use blockgate::ports::{Clock, RealDisk};
use blockgate::run::{Groups, Ports, build};
use blockgate::store::journal::Records;
use blockgate::store::record;
use blockgate_drivers::barrier::Vendor;
use blockgate_drivers::door::uhppote::{Card, Request};
use blockgate_drivers::door::{Civil, Happened};
use blockgate_drivers::sim::door::SimController;
use blockgate_drivers::sim::{SimClock, SimConnect, serve_udp};
use blockgate_drivers::{Connect, SystemConnect};
use blockgate_rules::access::event::{Access, Entry};
use blockgate_rules::event::{AlarmCode, Event, Outcome};
use blockgate_rules::input::{Command, Order};
use blockgate_types::{ClockState, ControllerId, Span, Time};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SERIAL: u32 = 405_419_896;
const AT: &str = "10.0.0.9:60000";

#[derive(Debug)]
struct TestClock(SimClock);

impl Clock for TestClock {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

fn config(state: &Path, people: u32, more: &str) -> Config {
    parsed(config_text(state, people, more), state)
}

fn parsed(text: String, state: &Path) -> Config {
    let main = Text { name: "c.toml".to_owned(), text };
    Config::parse(&main, &[], &[], state).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn config_text(state: &Path, people: u32, more: &str) -> String {
    let mut text = format!(
        r#"
[gateway]
id = "gw-1"
tenant = "t-1"
zone = "Asia/Shanghai"
state_dir = "{}"

[clock]
trust = "always"

[billing]
close_grace = "24h"

[[account]]
id = "a-1"
building = "1"

[[controller]]
id = "north"
vendor = "uhppote"
serial = {SERIAL}
host = "10.0.0.9"

[[door]]
id = "b1"
controller = "north"
number = 1
exit = "button"
power_loss = "unlocked"
entrance = true

[[door]]
id = "gate"
controller = "north"
number = 2
exit = "mechanical"
power_loss = "locked"

[[schedule]]
id = "day"
weekdays = "08:00-18:00"

[[door_group]]
id = "home-1"
doors = ["b1"]
buildings = ["1"]

[[door_group]]
id = "gate"
doors = ["gate"]
residents = true
schedule = "day"
"#,
        state.display()
    );
    for n in 0..people {
        let card = 1_000_000 + n;
        write!(text, "\n[[person]]\nid = \"p-{n}\"\naccount = \"a-1\"\ncards = [\"{card}\"]\n")
            .unwrap();
    }
    text + more
}

struct Running {
    shared: Arc<blockgate::http::Shared>,
    groups: Groups,
    clock: Arc<TestClock>,
    _doors: blockgate::run::Doors,
}

impl Running {
    async fn start(state: &Path, sim: &SimController, people: u32, from: Time) -> Self {
        let connect = SimConnect::new().with_controller(AT, sim.clone());
        Self::start_as(config(state, people, ""), Arc::new(connect), from).await
    }

    async fn start_as(config: Config, connect: Arc<dyn Connect>, from: Time) -> Self {
        let clock = Arc::new(TestClock(SimClock::starting_at(from)));
        let ports = Ports::real(&config.state_dir, clock.clone(), connect);
        let (field, doors) = build(&config, &ports, "0000000a".to_owned()).unwrap();
        let (shared, groups) = (doors.shared().clone(), Groups::default());
        field.start(&groups).await.unwrap();
        Self { shared, groups, clock, _doors: doors }
    }

    async fn order(&self, id: &str, order: Value) -> (Outcome, String) {
        let now = self.clock.now();
        let command = Command {
            id: id.parse().unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(10)),
            actor: "desk".to_owned(),
            order: serde_json::from_value::<Order>(order).unwrap(),
        };
        let answer = self.shared.door.submit(command).await.unwrap_or_else(|_| panic!("closed"));
        (answer.outcome, answer.detail)
    }

    fn controller(&self) -> blockgate::doors::ControllerBoard {
        let id: ControllerId = "north".parse().unwrap();
        self.shared.doors.boards().get(&id).cloned().unwrap_or_default()
    }

    /// Whether the controller has its list and everything in its memory was read.
    fn is_in_step(&self, sim: &SimController) -> bool {
        let id: ControllerId = "north".parse().unwrap();
        let (board, newest) = (self.controller(), sim.newest());
        let read = newest == 0 || self.shared.doors.state().cursor(&id) == Some(newest);
        let wanted = self.shared.doors.lists(self.clock.now());
        let wanted: Vec<u64> = wanted[&id].cards.keys().copied().collect();
        let has: Vec<u64> = sim.cards().keys().map(|card| u64::from(*card)).collect();
        read && board.read_back && board.pending.all() == 0 && wanted == has
    }

    /// Waits until it is, at most so long in simulated time; how long it took.
    async fn in_step(&self, sim: &SimController, most: Duration) -> Duration {
        let began = Instant::now();
        while !self.is_in_step(sim) {
            assert!(began.elapsed() < most, "not in step: {:?}", self.controller());
            sleep(Duration::from_millis(250)).await;
        }
        began.elapsed()
    }
}

fn civil(day: u8) -> Civil {
    Civil { year: 2026, month: 3, day, hour: 9, minute: 0, second: 0 }
}

fn start() -> Time {
    "2026-03-02T09:00:00+08:00".parse().unwrap()
}

/// All entries that the journal holds, in its order.
fn journaled(state: &Path) -> Vec<Entry> {
    let records = Records::of(Arc::new(RealDisk), &state.join("journal"));
    let (mut reader, mut found) = (records.from(1), Vec::new());
    while let Some(item) = reader.read().unwrap() {
        let record = record::decode(item.payload).unwrap();
        if let Event::Door(access) = record.data
            && let Access::Read { entries, .. } = *access
        {
            found.extend(entries);
        }
    }
    found
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn three_days_without_a_network_end_in_step_and_a_kill_between_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let sim = SimController::new(SERIAL, civil(2));
    sim.answer_after(Duration::from_millis(2));
    let runtime_one = runtime();
    let (plugged, resumed) = runtime_one.block_on(async {
        let house = Running::start(dir.path(), &sim, 100, start()).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        assert!(sim.swipe(1, 1_000_000, true) && !sim.swipe(1, 77, true));
        house.in_step(&sim, Duration::from_secs(5)).await;

        sim.plug(false);
        // 500 changes while it is away: 350 visitors, 100 lost cards, of which 50 are found again.
        let until = house.clock.now().plus(Span::from_days(30));
        for n in 0..350_u32 {
            let terms =
                json!({"card": 5_000_000 + n, "groups": ["home-1"], "from": start(), "until": until});
            let grant =
                json!({"name": "grant", "args": {"grant": format!("v-{n}"), "terms": terms}});
            assert_eq!(house.order(&format!("g-{n}"), grant).await.0, Outcome::Done);
        }
        for n in 0..100_u32 {
            let of = json!({"card": 1_000_000 + n});
            let revoke = json!({"name": "revoke", "args": {"of": of, "reason": "lost"}});
            assert_eq!(house.order(&format!("r-{n}"), revoke).await.0, Outcome::Done);
        }
        for n in 50..100_u32 {
            let restore = json!({"name": "restore", "args": {"of": {"card": 1_000_000 + n}}});
            assert_eq!(house.order(&format!("b-{n}"), restore).await.0, Outcome::Done);
        }
        for day in 2..5 {
            sim.set_clock(civil(day));
            for n in 0..6_666_u32 {
                sim.swipe(1, 1_000_000 + n % 200, n % 2 == 0);
            }
            sleep(Duration::from_secs(86_400)).await;
        }
        sim.happen(1, Happened::Button, None);
        sim.happen(1, Happened::Tamper, None);
        let offline = house.shared.board.alarms().values().any(|alarm| alarm.code == AlarmCode::ControllerOffline);
        assert!(offline, "somebody is told that it is away");
        sim.plug(true);
        let plugged = house.clock.now();
        // A part of it comes in, then the power goes: nothing is stopped in order.
        while house.controller().index.unwrap_or(0) < 5_000 {
            sleep(Duration::from_millis(50)).await;
        }
        (plugged, house.clock.now())
    });
    drop(runtime_one);
    let before = journaled(dir.path()).len();
    assert!(before < 20_000, "{before}: the kill came between");
    let runtime_two = runtime();
    runtime_two.block_on(async {
        let house = Running::start(dir.path(), &sim, 100, resumed).await;
        house.in_step(&sim, Duration::from_secs(600)).await;
        let took = house.clock.now().since(plugged).unwrap();
        println!(
            "in step {took} after it was plugged in again, at 2 ms an answer: {} entries, {} cards; \
             requests by code {:x?}",
            sim.newest(),
            sim.cards().len(),
            sim.requests()
        );
        assert!(took < Span::from_mins(3), "{took}");
        assert_eq!(sim.cards().len(), 350 + 100 - 50);
        house.groups.stop().await;
    });
    drop(runtime_two);
    let indexes: Vec<u64> = journaled(dir.path()).iter().map(|entry| entry.index).collect();
    assert_eq!(sim.newest(), 2 + 3 * 6_666 + 2);
    assert_eq!(indexes, (1..=sim.newest()).collect::<Vec<u64>>(), "each once, in order");
}

#[test]
fn a_door_opens_once_by_order_and_never_by_a_packet() {
    let dir = tempfile::tempdir().unwrap();
    let sim = SimController::new(SERIAL, civil(2));
    runtime().block_on(async {
        let house = Running::start(dir.path(), &sim, 3, start()).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        let open =
            json!({"name": "open-door", "args": {"door": "b1", "reason": "forgot the card"}});
        assert_eq!(house.order("o-1", open.clone()).await.0, Outcome::Done);
        assert_eq!(sim.opened(1), 1);
        assert_eq!(house.order("o-1", open.clone()).await.0, Outcome::Duplicate);

        // Recorded answers, damaged ones, and a stranger's: refused, counted, an alarm, nothing opens.
        let recorded = sim.answer(&Request::GetStatus.encode(SERIAL)).unwrap();
        let opened = sim.answer(&Request::Open(2).encode(SERIAL)).unwrap();
        let by_hand = sim.opened(2);
        for _ in 0..5 {
            sim.inject(AT.parse().unwrap(), &recorded);
            sim.inject("10.0.0.66:60000".parse().unwrap(), &opened);
            sim.inject(AT.parse().unwrap(), &recorded[..30]);
            sleep(Duration::from_secs(2)).await;
        }
        let refused = house.controller().refused;
        assert!(refused.replayed >= 5 && refused.strangers >= 5, "{refused:?}");
        assert_eq!((sim.opened(1), sim.opened(2)), (1, by_hand), "nothing opened");
        let told =
            house.shared.board.alarms().values().any(|a| a.code == AlarmCode::ControllerPackets);
        assert!(told, "{:?}", house.shared.board.alarms());

        // Away: an opening is not known to be done, and is not done later.
        sim.plug(false);
        let (outcome, why) = house.order("o-2", open).await;
        assert_eq!(outcome, Outcome::Unknown, "{why}");
        sim.plug(true);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(sim.opened(1), 1);
        house.groups.stop().await;
    });
}

#[test]
fn fire_does_not_wait_until_a_long_list_is_read_back() {
    use blockgate_drivers::door::Control;
    let dir = tempfile::tempdir().unwrap();
    let sim = SimController::new(SERIAL, civil(2));
    let number = |n: u32| 4_000_000 + n;
    for n in 0..5_000 {
        let from = blockgate_drivers::door::CivilDate { year: 2026, month: 1, day: 1 };
        let card = Card { number: number(n), from, to: from, doors: [1, 0, 0, 0], pin: 0 };
        assert!(sim.answer(&Request::PutCard(card).encode(SERIAL)).is_some());
    }
    sim.answer_after(Duration::from_millis(20));
    sim.fire(true);
    runtime().block_on(async {
        let house = Running::start(dir.path(), &sim, 3, start()).await;
        let began = Instant::now();
        while sim.control(1) != Some(Control::Open) || sim.control(2) != Some(Control::Open) {
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", house.controller());
            sleep(Duration::from_millis(50)).await;
        }
        assert!(!house.controller().read_back, "100 s of cards are still to be read");
        house.groups.stop().await;
    });
}

#[test]
fn fire_opens_all_doors_of_its_controller_and_a_lock_down_spares_the_way_out() {
    use blockgate_drivers::door::Control;
    let dir = tempfile::tempdir().unwrap();
    let sim = SimController::new(SERIAL, civil(2));
    runtime().block_on(async {
        let house = Running::start(dir.path(), &sim, 3, start()).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        let lock = json!({"name": "lock-down", "args": {"reason": "storm"}});
        assert_eq!(house.order("l-1", lock).await.0, Outcome::Done);
        assert_eq!(
            (sim.control(1), sim.control(2)),
            (Some(Control::Normal), Some(Control::Locked))
        );
        sim.fire(true);
        sleep(Duration::from_secs(5)).await;
        assert_eq!((sim.control(1), sim.control(2)), (Some(Control::Open), Some(Control::Open)));
        sim.fire(false);
        sleep(Duration::from_secs(5)).await;
        let end = json!({"name": "end-emergency", "args": {"reason": "false alarm"}});
        assert_eq!(house.order("e-1", end).await.0, Outcome::Done);
        assert_eq!(
            (sim.control(1), sim.control(2)),
            (Some(Control::Normal), Some(Control::Locked))
        );
        // A controller that forgot everything gets all of it again.
        sim.wipe();
        sim.happen(0, Happened::PowerOn, None);
        sleep(Duration::from_secs(10)).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        assert_eq!(sim.control(2), Some(Control::Locked));
        house.groups.stop().await;
    });
}

#[test]
fn a_plate_at_a_lane_opens_its_door_once_for_whom_may_pass_there() {
    let dir = tempfile::tempdir().unwrap();
    let sim = SimController::new(SERIAL, civil(2));
    let more = "[[barrier]]\nlane = \"garage\"\nvendor = \"generic\"\nopen = \"answer\"\nfail_safe = \"ask\"\n\
                [[camera]]\nid = \"cam\"\nlane = \"garage\"\nvendor = \"generic\"\n\
                [[door]]\nid = \"garage\"\ncontroller = \"north\"\nnumber = 3\nexit = \"button\"\n\
                power_loss = \"unlocked\"\nlane = \"garage\"\n\
                [[door_group]]\nid = \"garage\"\ndoors = [\"garage\"]\n\
                [[person]]\nid = \"driver\"\naccount = \"a-1\"\ngroups = [\"garage\"]\nplates = [\"粤B12345\"]\n\
                [[person]]\nid = \"other\"\naccount = \"a-1\"\nplates = [\"粤B54321\"]\n";
    runtime().block_on(async {
        let connect = Arc::new(SimConnect::new().with_controller(AT, sim.clone()));
        let house = Running::start_as(config(dir.path(), 2, more), connect, start()).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        let push = async |key: &str, plate: &str, replayed: bool| {
            let at = house.clock.now();
            let body = json!({"type": "car", "id": key, "plate": plate, "at": at,
                "confidence": 99, "replayed": replayed});
            let (lanes, cam) = (&house.shared.lanes, "cam".parse().unwrap());
            let (media, body) = ("application/json", body.to_string());
            let taken = blockgate::lanes::push::take(
                lanes,
                &*house.clock,
                &cam,
                Vendor::Generic,
                media,
                body.as_bytes(),
            );
            taken.await.unwrap();
            sleep(Duration::from_secs(2)).await;
            sim.opened(3)
        };
        assert_eq!(push("p-1", "粤B54321", false).await, 0, "no right at this door");
        assert_eq!(push("p-2", "粤A00001", false).await, 0, "nobody's");
        assert_eq!(push("p-3", "粤B12345", true).await, 0, "a car of the past");
        assert_eq!(push("p-4", "粤B12345", false).await, 1);
        assert_eq!(push("p-4", "粤B12345", false).await, 1, "the camera repeats itself");
        let shut =
            json!({"name": "revoke", "args": {"of": {"person": "driver"}, "reason": "sold"}});
        assert_eq!(house.order("r-1", shut).await.0, Outcome::Done);
        assert_eq!(push("p-5", "粤B12345", false).await, 1, "shut out by plate too");
        house.groups.stop().await;
    });
}

#[test]
fn a_pushed_event_is_a_hint_to_ask_and_a_strangers_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let sim = SimController::new(SERIAL, civil(2));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let theirs = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = theirs.local_addr().unwrap();
        // The controller pushes from another socket of its own address.
        let pushes = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
        let free = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let listener = free.local_addr().unwrap();
        drop(free);
        let served = tokio::spawn(serve_udp(theirs, sim.clone()));
        let more = format!("[doors]\nlistener = \"{listener}\"\n");
        let text = config_text(dir.path(), 2, &more).replace(
            "host = \"10.0.0.9\"",
            &format!("host = \"127.0.0.1\"\nport = {}\npoll_every = \"1h\"", at.port()),
        );
        let house =
            Running::start_as(parsed(text, dir.path()), Arc::new(SystemConnect), start()).await;
        house.in_step(&sim, Duration::from_secs(20)).await;
        let told = sim.answer(&Request::GetListener.encode(SERIAL)).unwrap();
        assert_eq!(told[8..12], [127, 0, 0, 1], "it was told where to push to");
        // From now on it is asked once an hour.
        let asked = || sim.requests().values().sum::<u64>();
        let mut before = 0;
        while before != asked() {
            before = asked();
            sleep(Duration::from_millis(500)).await;
        }
        sim.swipe(1, 1_000_000, true);
        let event = sim.answer(&Request::GetStatus.encode(SERIAL)).unwrap();
        stranger.send_to(&event, listener).await.unwrap();
        pushes.send_to(&event[..60], listener).await.unwrap();
        let began = Instant::now();
        while house.shared.doors.strangers() < 2 {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{}",
                house.shared.doors.strangers()
            );
            sleep(Duration::from_millis(10)).await;
        }
        let id: ControllerId = "north".parse().unwrap();
        assert!(house.shared.doors.state().cursor(&id).is_none(), "nobody asked yet");
        pushes.send_to(&event, listener).await.unwrap();
        house.in_step(&sim, Duration::from_secs(20)).await;
        assert_eq!(house.shared.doors.state().cursor(&id), Some(1));
        house.groups.stop().await;
        served.abort();
    });
}
