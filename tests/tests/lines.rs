//! Everything that a meter can do wrong on a wire, through the whole program, on a serial line, on RTU
//! over TCP and on Modbus TCP, one request at a time and several. Each value says which unit, register and request it belongs to; none is
//! ever found under another name, every fault is counted once under its class and shown with its
//! frame, and nothing of it, nor a counter that went down, gets into a bill.

use blockgate_e2e::gateway::{Gateway, succeeds};
use blockgate_e2e::slave::{Act, FLOAT, Framing, Request, Slave, hex, of_value, profile};
use blockgate_e2e::{python, source};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Half a day before the end of November in Shanghai, a minute after it, and when `close_grace` is
/// over, in Unix seconds.
const BEFORE: i64 = 1_796_054_400 - 43_200;
const AFTER: i64 = 1_796_054_400 + 60;
const GRACE_OVER: i64 = 1_796_054_400 + 3_700;

/// Beyond the lines' `reply_timeout`, well within their `late_reply`.
const LATE: Act = Act::LateMs(1100);

/// On this line a meter's requests go out in one write.
const PIPELINED: &str = "pipelined";

const CLASSES: [&str; 5] = ["timeout", "checksum", "protocol", "wrong-device", "value"];

/// Where a fault counts.
fn class(act: Act, framing: Framing) -> Option<&'static str> {
    match (act, framing) {
        (Act::Honest | Act::Twice | Act::Lower, _) => None,
        (Act::Silent | Act::LateMs(_), _) => Some("timeout"),
        // Without a CRC, a wrong bit in the header is another protocol; and a frame of MBAP says its
        // length, so that a short one need not be waited for.
        (Act::Garbled | Act::ShortCount, Framing::Rtu) => Some("checksum"),
        (Act::Garbled | Act::ShortCount, Framing::Mbap) => Some("protocol"),
        (Act::OtherUnit, _) => Some("wrong-device"),
        (Act::WrongFunction | Act::OneRegister | Act::Exception(_), _) => Some("protocol"),
        (Act::NotANumber, _) => Some("value"),
    }
}

struct Line<'g> {
    id: &'static str,
    slave: Slave,
    gateway: &'g Gateway,
}

impl Line<'_> {
    fn meter(&self, unit: u8) -> Value {
        self.gateway.json(&format!("/v1/meters/{}-{unit}", self.id))
    }

    fn answered(&self, act: Act) -> Vec<Request> {
        self.slave.requests().into_iter().filter(|request| request.act == act).collect()
    }

    /// Two further good polls of a unit.
    fn recovers(&self, unit: u8) {
        let good = |line: &Self| line.meter(unit)["polls_good"].as_u64();
        let before = good(self);
        self.gateway.wait("the meter answers again", |_| {
            (good(self) > before.map(|n| n + 1) && self.meter(unit)["fault"].is_null())
                .then_some(())
        });
    }

    /// The meter does something wrong until it is seen; then it is honest again.
    fn goes_wrong(&self, act: Act, address: u16) {
        let wanted = class(act, self.slave.framing()).expect("a fault");
        let what = format!("{} {act:?} at {address}", self.id);
        let frames = |line: &Self| -> BTreeSet<String> {
            let shown =
                |r: Request| if wanted == "timeout" { String::new() } else { hex(&r.reply) };
            line.answered(act).into_iter().map(shown).collect()
        };
        self.slave.set(1, address, act);
        self.gateway.wait(&format!("{what}: /v1/meters shows it"), |_| {
            let shown = self.meter(1)["fault"]["fault"].clone();
            let raw = shown["raw"].as_str()?;
            (shown["class"] == wanted && frames(self).contains(raw)).then_some(())
        });
        for (language, nothing) in [("en", "nothing was received"), ("zh-CN", "什么也没收到")]
        {
            let page = self.gateway.page(&format!("/meters/{}-1", self.id), language);
            let seen = frames(self)
                .into_iter()
                .any(|raw| page.contains(if raw.is_empty() { nothing } else { raw.as_str() }));
            assert!(seen, "{what}: the page shows the frame\n{page}");
        }
        self.slave.set(1, address, Act::Honest);
        self.recovers(1);
    }

    fn answers_twice(&self, address: u16) {
        self.slave.set(1, address, Act::Twice);
        self.gateway.wait("it has answered twice, twice", |_| {
            let twice = self.answered(Act::Twice);
            (twice.iter().filter(|r| r.address == address).count() >= 2).then_some(())
        });
        self.slave.set(1, address, Act::Honest);
        self.recovers(1);
    }

    /// A counter goes down: held for review, and shown as that.
    fn goes_down(&self) {
        self.slave.set(2, 10, Act::Lower);
        self.gateway.wait("the lower value is held", |_| {
            let judged = self.meter(2)["verdicts"]["counter_10"]["judged"].clone();
            (judged["verdict"] == "held").then_some(())
        });
        for (language, title) in [("en", "Readings held for review"), ("zh-CN", "待审读数")] {
            let page = self.gateway.page(&format!("/meters/{}-2", self.id), language);
            assert!(page.contains(title), "{}: {language}\n{page}", self.id);
        }
        self.gateway.wait("there is an alarm", |gateway| {
            let alarms = gateway.json("/v1/alarms").to_string();
            alarms.contains(&format!("meter/{}-2", self.id)).then_some(())
        });
        let held = self.gateway.metric("blockgate_registers_held");
        assert!(held.is_some_and(|n| n >= 1), "{held:?}");
    }

    fn everything_goes_wrong(&self) {
        self.recovers(1);
        self.recovers(2);
        for address in [10, 20] {
            self.answers_twice(address);
            self.goes_wrong(LATE, address);
        }
        for act in [
            Act::Silent,
            Act::OtherUnit,
            Act::WrongFunction,
            Act::Garbled,
            Act::OneRegister,
            Act::ShortCount,
        ] {
            self.goes_wrong(act, 20);
        }
        for code in [1, 2, 3, 4, 5, 6, 8, 10, 11] {
            self.goes_wrong(Act::Exception(code), 20);
        }
        self.goes_wrong(Act::NotANumber, FLOAT);
        self.goes_down();
        if self.id != "serial" {
            // A glitch; on the serial line it stays so over the month's end.
            self.slave.set(2, 10, Act::Honest);
            self.gateway.wait("the next true value ends it", |_| {
                let judged = self.meter(2)["verdicts"]["counter_10"]["judged"].clone();
                (judged["verdict"] == "accepted").then_some(())
            });
        }
    }

    /// What the API, the metrics and the slave have counted is the same.
    fn counts_agree(&self) {
        let requests = self.slave.requests();
        let (mut sent, mut counted) = ([0_u64; 5], [0_u64; 5]);
        for (n, name) in CLASSES.into_iter().enumerate() {
            let of_class = |r: &&Request| class(r.act, self.slave.framing()) == Some(name);
            sent[n] = requests.iter().filter(of_class).count() as u64;
            let failed = |unit| self.meter(unit)["polls_failed"][name].as_u64().unwrap_or(0);
            counted[n] = failed(1) + failed(2);
            let id = self.id;
            let series = format!("blockgate_meter_reads_total{{line=\"{id}\",result=\"{name}\"}}");
            assert_eq!(self.gateway.metric(&series), Some(counted[n]), "{series}");
            // The page has the same numbers, under the same names in both languages.
            for (language, words) in [
                ("en", ["timeout", "checksum", "protocol", "wrong device", "value"]),
                ("zh-CN", ["超时", "校验错误", "协议错误", "设备不符", "数值错误"]),
            ] {
                let page = self.gateway.page(&format!("/meters/{id}-1"), language);
                let row = format!("{} {}", words[n], failed(1));
                assert!(page.contains(&row), "{row}\n{page}");
            }
        }
        // A machine that stands still for a second makes a timeout more, or out of another fault;
        // else the numbers are the same.
        let became_timeouts = counted[0].checked_sub(sent[0]);
        let missing: u64 =
            (1..5).map(|n| sent[n].checked_sub(counted[n]).unwrap_or(u64::MAX)).sum();
        let agrees = became_timeouts.is_some_and(|more| missing <= more);
        assert!(agrees, "{}: {CLASSES:?}: sent {sent:?}, counted {counted:?}", self.id);
    }
}

fn config(lines: &[(&'static str, Slave)]) -> String {
    let mut text = "[meter_defaults]\nrecord_every = \"0s\"\n\
        max_per_hour = \"1000000\"\n"
        .to_owned();
    for (id, slave) in lines {
        text.push_str(&slave.line(id));
        text.push_str("reply_timeout = \"700ms\"\nlate_reply = \"2s\"\n");
        text.push_str(if *id == PIPELINED { "pipeline = true\n" } else { "" });
        for unit in 1..=2 {
            text.push_str(&format!(
                "[[meter]]\nid = \"{id}-{unit}\"\nline = \"{id}\"\naddress = {unit}\n\
                 profile = \"scripted-meter\"\npoll_every = \"{}\"\n[[account]]\nid = \"a-{id}-{unit}\"\ncharges = [\n\
                 {{ item = \"electricity\", tariff = \"electricity-tiered\", meter = \"{id}-{unit}\", \
                 register = \"counter_10\" }},\n]\n",
                // After a fault the same unit is mostly asked next: the reply that could be confused.
                if unit == 1 { "50ms" } else { "1500ms" }
            ));
        }
    }
    text
}

/// Every value of the journal is that of a request for this register of this unit which was answered
/// as it should be, and in time.
fn every_value_is_where_it_belongs(journal: &[Value], requests: &BTreeMap<&str, Vec<Request>>) {
    let mut seen = 0;
    for record in journal.iter().filter(|record| record["data"]["kind"] == "reading") {
        for reading in record["data"]["readings"].as_array().into_iter().flatten() {
            let text = |key: &str| reading[key].as_str().expect("text").to_owned();
            let (meter, register) = (text("meter"), text("register"));
            let value = of_value(text("value").parse().expect("a whole number"));
            let (line, unit) = meter.rsplit_once('-').expect("line and unit");
            let right = requests[line].iter().any(|request| {
                let as_asked = matches!(request.act, Act::Honest | Act::Twice);
                let lower = request.act == Act::Lower && value.2 == 1 && text("verdict") == "held";
                (request.unit, request.address) == (value.0, value.1)
                    && unit == value.0.to_string()
                    && register == format!("counter_{}", value.1)
                    && (as_asked && request.number == value.2 || lower)
            });
            assert!(right, "a value that nobody gave for it: {reading}");
            seen += 1;
        }
    }
    assert!(seen > 300, "{seen} readings");
}

#[test]
fn whatever_a_meter_does_on_the_wire_no_value_is_taken_for_another_and_none_is_billed_wrongly() {
    let folder = tempfile::tempdir().expect("a folder");
    let lines = [
        ("serial", Slave::serial(folder.path())),
        ("rtu-tcp", Slave::tcp(Framing::Rtu)),
        ("tcp", Slave::tcp(Framing::Mbap)),
        (PIPELINED, Slave::tcp(Framing::Mbap)),
    ];
    let mut gateway = Gateway::new(&config(&lines));
    gateway.write("profiles.d/scripted.toml", &profile());
    let tariffs = std::fs::read_to_string(source("rules/tariffs/electricity.toml"));
    gateway.write("rules.d/electricity.toml", &tariffs.expect("the tariffs"));

    gateway.start_at(BEFORE);
    let lines = std::thread::scope(|scope| {
        let gateway = &gateway;
        let threads = lines.map(|(id, slave)| {
            scope.spawn(move || {
                let line = Line { id, slave, gateway };
                line.everything_goes_wrong();
                line.counts_agree();
                line
            })
        });
        let lines = threads.map(|thread| thread.join().expect("the line's own message above"));
        lines.map(|line| (line.id, line.slave))
    });
    gateway.stop();

    // The month ends. Nothing is wrong any more, but the serial line's second meter stands too low:
    // its close waits for a better reading as long as the grace lasts.
    gateway.start_at(AFTER);
    gateway.wait("every meter was read after the month's end", |gateway| {
        let meters = gateway.json("/v1/meters");
        let meters = meters["meters"].as_array()?.clone();
        (meters.len() == 8 && meters.iter().all(|m| m["polls_good"].as_u64() > Some(1)))
            .then_some(())
    });
    gateway.stop();
    assert!(!gateway.journal().iter().any(|record| record["data"]["kind"] == "bill"), "too early");
    gateway.start_at(GRACE_OVER);
    gateway.wait("the month is closed", |gateway| {
        (gateway.json("/v1/bills")["bills"].as_array()?.len() >= 7).then_some(())
    });
    gateway.stop();
    let requests: BTreeMap<&str, Vec<Request>> =
        lines.iter().map(|(id, slave)| (*id, slave.requests())).collect();
    let journal = gateway.journal();
    every_value_is_where_it_belongs(&journal, &requests);
    bills_are_right(&gateway, &journal);
}

fn bills_are_right(gateway: &Gateway, journal: &[Value]) {
    let text: String = journal.iter().map(|record| format!("{record}\n")).collect();
    gateway.write("events.jsonl", &text);
    let mut command = Command::new(python());
    command.arg(source("tests/python/recompute.py"));
    let verdict = succeeds(command.arg(gateway.path("events.jsonl")).arg(gateway.folder()));
    let verdict: Value = serde_json::from_str(&verdict).expect("JSON");
    assert!(verdict["bills"].as_u64() >= Some(7) && verdict["periods"] == 1, "{verdict}");

    let held: BTreeSet<String> = journal
        .iter()
        .filter(|record| record["data"]["kind"] == "reading")
        .flat_map(|record| {
            let readings = record["data"]["readings"].as_array().cloned().unwrap_or_default();
            let seq = record["seq"].clone();
            readings.into_iter().enumerate().map(move |(n, r)| (format!("{seq}.{n}"), r))
        })
        .filter(|(_, reading)| reading["verdict"] == "held")
        .map(|(id, _)| id)
        .collect();
    assert!(held.len() >= 4, "one on each line: {held:?}");
    for bill in journal.iter().filter(|record| record["data"]["kind"] == "bill") {
        for end in ["from", "to"] {
            let id = bill["data"]["evidence"][0][end]["reading"].as_str().expect("a reading");
            assert!(!held.contains(id), "a held reading is billed: {bill}");
        }
    }
}

#[test]
fn a_port_that_is_not_there_is_told_and_found_again_when_it_is_plugged_in() {
    let mut gateway = Gateway::new("");
    gateway.write("profiles.d/scripted.toml", &profile());
    gateway.write("wire/none", "");
    let wire = gateway.path("wire");
    gateway.write_config(&format!(
        "[[line]]\nid = \"l0\"\nkind = \"serial\"\npath = \"{}\"\nlate_reply = \"200ms\"\n\
         [[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\nprofile = \"scripted-meter\"\n\
         poll_every = \"250ms\"\nmax_per_hour = \"1000000\"\n",
        wire.join("tty-ours").display()
    ));
    gateway.start();
    let why = "tty-ours: No such file or directory";
    gateway.wait("the API says why", |gateway| {
        let line = gateway.json("/v1/status")["lines"]["l0"].clone();
        (line["open"] == false && line["trouble"].as_str()?.contains(why)).then_some(())
    });
    for (language, closed) in [("en", "closed"), ("zh-CN", "未打开")] {
        let page = gateway.page("/", language);
        assert!(page.contains(closed) && page.contains("tty-ours"), "{page}");
    }
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("the line is closed"));
    assert!(line.is_some_and(|l| l.contains("WARN") && l.contains(why)), "{log}");

    let slave = Slave::serial(&wire);
    gateway
        .wait("it is read", |g| g.json("/v1/meters/m-1")["polls_good"].as_u64().filter(|n| *n > 0));
    gateway.wait("the log says so", |g| g.log().contains("the line is open again").then_some(()));
    assert!(!slave.requests().is_empty());
    gateway.stop();
}
