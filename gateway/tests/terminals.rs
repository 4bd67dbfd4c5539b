//! A Hikvision access terminal of a whole gateway, in simulated time: people, cards and schedules in
//! step, its memory read back by serial number without a hole, orders that count only when the lock shows
//! them, a password that is not tried until the user is locked.

use blockgate::config::{Config, Text};
use blockgate::ports::{Clock, RealDisk};
use blockgate::run::{Groups, Ports, build};
use blockgate::store::journal::Records;
use blockgate::store::record;
use blockgate_drivers::sim::{SimClock, SimConnect, SimTerminal};
use blockgate_rules::access::event::{Access, Entry, Happened};
use blockgate_rules::event::{AlarmCode, Event, Outcome};
use blockgate_rules::input::{Command, Order};
use blockgate_types::{ClockState, ControllerId, Span, Time};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const AT: &str = "10.0.0.8:80";
const PASSWORD: &str = "Terminal-7";

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

fn secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn config(state: &Path, people: u32) -> Config {
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

[doors]
holidays = ["2026-05-01", "2026-05-02"]
pins_file = "pins"

[[account]]
id = "a-1"
building = "1"

[[controller]]
id = "lobby"
vendor = "hikvision"
host = "10.0.0.8"
user = "admin"
password_file = "lobby.password"
push_per_second = 1000

[[door]]
id = "b1"
controller = "lobby"
number = 1
exit = "button"
power_loss = "unlocked"
entrance = true

[[door]]
id = "gate"
controller = "lobby"
number = 2
exit = "mechanical"
power_loss = "locked"

[[schedule]]
id = "day"
weekdays = "08:00-18:00"
holidays = "09:00-12:00"

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
    secret(&state.join("pins"), "p-1 7531\n");
    let main = Text { name: "c.toml".to_owned(), text };
    Config::parse(&main, &[], &[], state).unwrap_or_else(|faults| panic!("{faults:?}"))
}

struct Running {
    shared: Arc<blockgate::http::Shared>,
    groups: Groups,
    clock: Arc<TestClock>,
    _doors: blockgate::run::Doors,
}

impl Running {
    async fn start(state: &Path, sim: &SimTerminal, people: u32, from: Time) -> Self {
        let clock = Arc::new(TestClock(SimClock::starting_at(from)));
        let connect = SimConnect::new().with_terminal(AT, sim.clone());
        let config = config(state, people);
        let ports = Ports::real(&config.state_dir, clock.clone(), Arc::new(connect));
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

    fn board(&self) -> blockgate::doors::ControllerBoard {
        self.shared.doors.boards().get(&lobby()).cloned().unwrap_or_default()
    }

    fn is_in_step(&self, sim: &SimTerminal) -> bool {
        let (board, newest) = (self.board(), sim.newest());
        let read = newest == 0 || self.shared.doors.state().cursor(&lobby()) == Some(newest);
        let wanted = self.shared.doors.lists(self.clock.now());
        let wanted: Vec<u64> = wanted[&lobby()].cards.keys().copied().collect();
        read && board.read_back && board.pending.all() == 0 && wanted == sim.cards()
    }

    async fn in_step(&self, sim: &SimTerminal, most: Duration) -> Duration {
        let began = Instant::now();
        while !self.is_in_step(sim) {
            assert!(began.elapsed() < most, "not in step: {:?} {:?}", self.board(), sim.requests());
            sleep(Duration::from_millis(250)).await;
        }
        began.elapsed()
    }

    fn alarm(&self, code: AlarmCode) -> bool {
        self.shared.board.alarms().values().any(|alarm| alarm.code == code)
    }
}

fn lobby() -> ControllerId {
    "lobby".parse().unwrap()
}

fn start() -> Time {
    "2026-03-02T09:00:00+08:00".parse().unwrap()
}

fn journaled(state: &Path) -> Vec<Access> {
    let records = Records::of(Arc::new(RealDisk), &state.join("journal"));
    let (mut reader, mut found) = (records.from(1), Vec::new());
    while let Some(item) = reader.read().unwrap() {
        let record = record::decode(item.payload).unwrap();
        if let Event::Door(access) = record.data {
            found.push(*access);
        }
    }
    found
}

fn entries(state: &Path) -> Vec<Entry> {
    let all = journaled(state).into_iter();
    all.filter_map(|access| match access {
        Access::Read { entries, .. } => Some(entries),
        _ => None,
    })
    .flatten()
    .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

#[test]
fn a_terminal_ends_in_step_after_days_and_no_entry_is_lost_or_doubled_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    secret(&dir.path().join("lobby.password"), PASSWORD);
    let sim = SimTerminal::new(2, PASSWORD);
    sim.add_person("local-boss", 77);
    let one = runtime();
    let resumed = one.block_on(async {
        let house = Running::start(dir.path(), &sim, 40, start()).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        assert!(!sim.people().contains_key("local-boss"), "the list is the whole list");
        let person = &sim.people()["1000001"];
        assert_eq!((&person["password"], &person["doorRight"]), (&json!("7531"), &json!("1,2")));
        assert_eq!(person["name"], "1000001", "no name leaves the gateway");
        let plan = &person["RightPlan"][1]["planTemplateNo"];
        let template = sim.document(&format!("UserRightPlanTemplate/{}", plan.as_str().unwrap()));
        assert_eq!(template.unwrap()["UserRightPlanTemplate"]["weekPlanNo"], 2);
        let holiday = sim.document("UserRightHolidayPlanCfg/1").unwrap();
        assert_eq!(holiday["UserRightHolidayPlanCfg"]["endDate"], "2026-05-02");
        let before = sim.requests();

        // Nothing is told again where nothing changed; one change is one change.
        sleep(Duration::from_secs(30)).await;
        let lost = json!({"name": "revoke", "args": {"of": {"card": 1_000_000}, "reason": "lost"}});
        assert_eq!(house.order("r-0", lost).await.0, Outcome::Done);
        house.in_step(&sim, Duration::from_secs(10)).await;
        let after = sim.requests();
        let told = |what: &str| after.get(what).copied().unwrap_or(0) - before.get(what).copied().unwrap_or(0);
        assert_eq!(told("PUT AccessControl/UserInfo/Delete"), 1);
        assert_eq!(told("POST AccessControl/UserInfo/Record"), 0);
        assert_eq!(told("PUT AccessControl/UserRightWeekPlanCfg"), 0);

        sim.plug(false);
        let until = house.clock.now().plus(Span::from_days(30));
        for n in 0..60_u32 {
            let terms =
                json!({"card": 5_000_000 + n, "groups": ["home-1"], "from": start(), "until": until});
            let grant = json!({"name": "grant", "args": {"grant": format!("v-{n}"), "terms": terms}});
            assert_eq!(house.order(&format!("g-{n}"), grant).await.0, Outcome::Done);
        }
        for n in 0..2_000_u64 {
            sim.swipe(1, 1_000_000 + n % 80);
        }
        sleep(Duration::from_secs(2 * 86_400)).await;
        assert!(house.alarm(AlarmCode::ControllerOffline), "somebody is told that it is away");
        sim.plug(true);
        while house.board().index.unwrap_or(0) < 700 {
            sleep(Duration::from_millis(20)).await;
        }
        house.clock.now()
    });
    drop(one);
    assert!(entries(dir.path()).len() < 2_000, "the kill came between");
    runtime().block_on(async {
        let house = Running::start(dir.path(), &sim, 40, resumed).await;
        let took = house.in_step(&sim, Duration::from_secs(300)).await;
        println!(
            "in step {took:?} after the start: {} events, requests {:?}",
            sim.newest(),
            sim.requests()
        );
        assert!(house.board().clock_off_ms.is_some());
        house.groups.stop().await;
    });
    let indexes: Vec<u64> = entries(dir.path()).iter().map(|entry| entry.index).collect();
    assert_eq!(indexes, (1..=sim.newest()).collect::<Vec<u64>>(), "each once, in order");
}

#[test]
fn an_order_counts_when_the_lock_shows_it_and_doors_are_held_fire_opens() {
    let dir = tempfile::tempdir().unwrap();
    secret(&dir.path().join("lobby.password"), PASSWORD);
    let sim = SimTerminal::new(2, PASSWORD);
    runtime().block_on(async {
        let house = Running::start(dir.path(), &sim, 3, start()).await;
        house.in_step(&sim, Duration::from_secs(60)).await;
        let open = json!({"name": "open-door", "args": {"door": "b1", "reason": "no card"}});
        assert_eq!(house.order("o-1", open.clone()).await.0, Outcome::Done);
        assert_eq!(house.order("o-1", open.clone()).await.0, Outcome::Duplicate);
        assert_eq!(sim.opened(1), 1);
        // The lock shows what is open for as long as it is.
        sleep(Duration::from_secs(10)).await;
        sim.stick(true);
        let (outcome, why) = house.order("o-2", open.clone()).await;
        assert_eq!(outcome, Outcome::Unknown, "it took the order and moved nothing: {why}");
        assert!(house.alarm(AlarmCode::DoorUnknown));
        sim.stick(false);

        let lock = json!({"name": "lock-down", "args": {"reason": "storm"}});
        assert_eq!(house.order("l-1", lock).await.0, Outcome::Done);
        assert_eq!((sim.status(1), sim.status(2)), (Some(4), Some(3)), "the way out stays");
        sim.happen(1, 0x418, 0);
        sleep(Duration::from_secs(5)).await;
        assert_eq!((sim.status(1), sim.status(2)), (Some(2), Some(2)), "fire opens all");
        let end = json!({"name": "end-emergency", "args": {"reason": "false alarm"}});
        assert_eq!(house.order("e-1", end.clone()).await.0, Outcome::Refused, "still on");
        sim.happen(1, 0x419, 0);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(house.order("e-2", end).await.0, Outcome::Done);
        sleep(Duration::from_secs(3)).await;
        assert_eq!((sim.status(1), sim.status(2)), (Some(4), Some(3)));

        // Somebody turns it at the terminal itself: it is told again what is wanted.
        sim.happen(5, 27, 1);
        sim.contact(1, true);
        sleep(Duration::from_secs(3)).await;
        assert!(house.alarm(AlarmCode::DoorForced));
        sim.contact(1, false);
        sleep(Duration::from_secs(3)).await;
        assert!(!house.alarm(AlarmCode::DoorForced));
        let seen = entries(dir.path());
        assert!(seen.iter().any(|entry| entry.event == Happened::Remote && entry.door.is_some()));
        house.groups.stop().await;
    });
}

#[test]
fn a_wrong_password_is_not_tried_again_and_a_terminal_that_counts_anew_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lobby.password");
    secret(&file, "wrong");
    let sim = SimTerminal::new(2, PASSWORD).with_memory(100);
    runtime().block_on(async {
        let house = Running::start(dir.path(), &sim, 3, start()).await;
        sleep(Duration::from_secs(10 * 60)).await;
        assert_eq!(sim.unauthorized(), 1, "once, not until its user is locked out");
        assert!(house.alarm(AlarmCode::ControllerOffline));
        assert!(house.board().trouble.unwrap().contains("user or password"));
        let open = json!({"name": "open-door", "args": {"door": "b1", "reason": "x"}});
        assert_eq!(house.order("o-1", open).await.0, Outcome::Failed, "nothing was sent");
        secret(&file, PASSWORD);
        house.in_step(&sim, Duration::from_secs(60)).await;
        assert!(!house.alarm(AlarmCode::ControllerOffline));

        // More than it can keep while it is away: what is gone is said.
        for _ in 0..10 {
            sim.swipe(1, 1_000_000);
        }
        house.in_step(&sim, Duration::from_secs(10)).await;
        sim.plug(false);
        for _ in 0..150 {
            sim.swipe(1, 1_000_000);
        }
        sleep(Duration::from_secs(60)).await;
        sim.plug(true);
        house.in_step(&sim, Duration::from_secs(120)).await;
        assert!(house.alarm(AlarmCode::DoorEventsLost));
        let lost = journaled(dir.path()).into_iter().find_map(|access| match access {
            Access::Lost { from, to, .. } => Some((from, to)),
            _ => None,
        });
        assert_eq!(lost, Some((11, 60)));

        // Another terminal in its place.
        sim.wipe();
        sim.swipe(1, 5);
        house.in_step(&sim, Duration::from_secs(60)).await;
        let anew = journaled(dir.path())
            .into_iter()
            .any(|a| matches!(a, Access::Renumbered { was: 160, .. }));
        assert!(anew);
        house.groups.stop().await;
    });
}
