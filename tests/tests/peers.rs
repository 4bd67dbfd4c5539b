//! The daemon among programs that nobody here wrote: pymodbus meters on three transports, Debian's
//! mosquitto with client certificates and without persistence, a paho consumer. Broker and daemon are
//! killed in the middle of a month's close; the consumer ends with every event, and the bills are
//! those of an undisturbed run.

use blockgate_e2e::{Outcome, Running, binary, faketime, free_port, python, source, wait_until};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PREFIX: &str = "blockgate/v1/t/gw/";
/// Real seconds between the start and the month's edge.
const LEAD: u64 = 25;

#[allow(clippy::disallowed_methods, reason = "the meters and libfaketime count from real time")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

/// Everything around one daemon, in one folder.
struct Site {
    folder: tempfile::TempDir,
    broker_port: u16,
    edge: u64,
    /// Seconds by which the daemon's clock is ahead.
    ahead: u64,
    meters: Vec<Running>,
    broker: Option<Running>,
    consumer: Option<Running>,
    daemon: Option<Running>,
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self, name: &str) -> Stdio {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.path(name));
        Stdio::from(file.expect("a log"))
    }

    fn start(&self, name: &str, command: &mut Command) -> Running {
        let log = format!("{name}.log");
        Running::start(command.stdin(Stdio::null()).stdout(self.log(&log)).stderr(self.log(&log)))
    }

    fn new() -> Self {
        let edge = now() + LEAD;
        // 2026-11-30T16:00:00Z is midnight in Shanghai, the end of November.
        let month = 1_796_054_400;
        let folder = tempfile::tempdir().expect("a folder");
        let (meters, broker, consumer, daemon) = (Vec::new(), None, None, None);
        let broker_port = free_port();
        let mut site = Self {
            folder,
            broker_port,
            edge,
            ahead: month - edge,
            meters,
            broker,
            consumer,
            daemon,
        };
        blockgate::demo::certificates::write(&site.path("tls")).expect("certificates");
        site.start_meters();
        site.write_broker();
        site
    }

    fn start_meters(&mut self) {
        let edge = self.edge.to_string();
        let (tcp, rtu_tcp) = (free_port(), free_port());
        let (ours, theirs) = (self.path("tty-ours"), self.path("tty-theirs"));
        let pty = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
        let socat = self.start("socat", Command::new("socat").args([pty(&ours), pty(&theirs)]));
        wait_until("socat has made its pair", Duration::from_secs(10), || {
            (ours.exists() && theirs.exists()).then_some(())
        });
        self.meters.push(socat);
        let theirs = theirs.display().to_string();
        for (kind, place) in
            [("tcp", tcp.to_string()), ("rtutcp", rtu_tcp.to_string()), ("rtu", theirs)]
        {
            let mut command = Command::new(python());
            command.arg(source("tests/python/meters.py")).args([kind, &place, &edge]);
            let running = self.start(&format!("meters-{kind}"), &mut command);
            self.meters.push(running);
        }
        for port in [tcp, rtu_tcp] {
            wait_until("pymodbus listens", Duration::from_secs(20), || {
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
        self.write_config(tcp, rtu_tcp, &ours);
    }

    fn write_config(&self, tcp: u16, rtu_tcp: u16, tty: &Path) {
        let mut text = format!(
            "[gateway]\nid = \"gw\"\ntenant = \"t\"\nzone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n\
             [clock]\ntrust = \"always\"\n[billing]\nclose_grace = \"1h\"\n\
             [store]\ncommit_interval = \"50ms\"\n\
             [mqtt]\nhost = \"localhost\"\nport = {}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
             key = \"tls/gateway.key\"\nreceipt_timeout = \"2s\"\n\
             [meter_defaults]\npoll_every = \"1s\"\nrecord_every = \"1s\"\nmax_per_hour = \"100000\"\n\
             [[line]]\nid = \"l0\"\nkind = \"tcp\"\nhost = \"127.0.0.1\"\nport = {tcp}\n\
             [[line]]\nid = \"l1\"\nkind = \"rtu-over-tcp\"\nhost = \"127.0.0.1\"\nport = {rtu_tcp}\n\
             late_reply = \"200ms\"\n\
             [[line]]\nid = \"l2\"\nkind = \"serial\"\npath = \"{}\"\nbaud = 9600\nlate_reply = \"200ms\"\n",
            self.broker_port,
            tty.display()
        );
        for line in 0..3 {
            for unit in 1..=4 {
                let tariff = if unit % 2 == 0 { "electricity-tiered" } else { "electricity-tou" };
                write!(
                    text,
                    "[[meter]]\nid = \"m-{line}{unit}\"\nline = \"l{line}\"\naddress = {unit}\n\
                     profile = \"eastron-sdm630\"\nrecord = [\"energy_import\"]\n\
                     [[account]]\nid = \"a-{line}{unit}\"\narea_m2 = \"8{line}.{unit}5\"\ncharges = [\n\
                     {{ item = \"electricity\", tariff = \"{tariff}\", meter = \"m-{line}{unit}\", register = \"energy_import\" }},\n]\n"
                )
                .expect("text");
            }
        }
        std::fs::write(self.path("blockgate.toml"), text).expect("the config");
        std::fs::create_dir_all(self.path("rules.d")).expect("a folder");
        std::fs::create_dir_all(self.path("state")).expect("a folder");
        let rules = source("rules/tariffs/electricity.toml");
        std::fs::copy(rules, self.path("rules.d/electricity.toml")).expect("the tariffs");
    }

    fn write_broker(&self) {
        let tls = self.path("tls").display().to_string();
        let text = format!(
            "persistence false\nallow_anonymous true\nlog_type all\nuser root\n\
             listener {} 127.0.0.1\ncafile {tls}/ca.crt\ncertfile {tls}/server.crt\n\
             keyfile {tls}/server.key\nrequire_certificate true\n",
            self.broker_port
        );
        std::fs::write(self.path("mosquitto.conf"), text).expect("the broker's config");
    }

    fn start_broker(&mut self) {
        let config = self.path("mosquitto.conf");
        let mosquitto = ["/usr/sbin/mosquitto", "mosquitto"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("mosquitto");
        let running = self.start("mosquitto", Command::new(mosquitto).arg("-c").arg(config));
        self.broker = Some(running);
    }

    fn start_consumer(&mut self) {
        let mut command = Command::new(python());
        command.arg(source("tests/python/collect.py")).arg(self.broker_port.to_string());
        command.arg(self.path("tls")).arg(PREFIX).arg(self.events());
        self.consumer = Some(self.start("collect", &mut command));
    }

    fn events(&self) -> PathBuf {
        self.path("events.jsonl")
    }

    fn start_daemon(&mut self) {
        let mut command = Command::new(binary());
        command
            .arg("run")
            .arg("--config")
            .arg(self.path("blockgate.toml"))
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME", format!("+{}", self.ahead))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1");
        self.daemon = Some(self.start("daemon", &mut command));
    }

    /// Everything up to here has its receipt, as the running daemon says.
    fn confirmed(&self) -> u64 {
        let socket = self.path("state/control.sock");
        if std::os::unix::net::UnixStream::connect(socket).is_err() {
            return 0; // still starting: the command must not take the store from it
        }
        let answer = Command::new(binary())
            .args(["outbox", "--json", "--state"])
            .arg(self.path("state"))
            .output();
        let Ok(answer) = answer else { return 0 };
        let answer = serde_json::from_slice::<serde_json::Value>(&answer.stdout);
        answer.ok().and_then(|v| v["through"].as_u64()).unwrap_or(0)
    }

    /// The sequence numbers at the consumer, ascending, each once.
    fn seqs(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.events()).unwrap_or_default();
        let mut seqs: Vec<u64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|event| event["seq"].as_u64())
            .collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }

    fn received(&self, what: &str) -> usize {
        std::fs::read_to_string(self.events()).map_or(0, |text| text.matches(what).count())
    }

    /// Runs until the month is closed and the cloud has confirmed everything.
    fn finish(&mut self) -> Vec<serde_json::Value> {
        let logs = |site: &Self| {
            let log = std::fs::read_to_string(site.path("daemon.log")).unwrap_or_default();
            log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
        };
        wait_until("the month's ledger has reached the consumer", Duration::from_secs(120), || {
            let closed = self.received("\"kind\":\"ledger\"") > 0;
            let running = self.daemon.as_mut().is_some_and(|d| matches!(d.0.try_wait(), Ok(None)));
            assert!(running, "the daemon has ended:\n{}", logs(self));
            closed.then_some(())
        });
        let highest = self.seqs().last().copied().unwrap_or(0);
        let begin = now();
        wait_until("the cloud's receipts have come home", Duration::from_secs(90), || {
            let confirmed = self.confirmed();
            assert!(now() < begin + 60, "{confirmed} of {highest} confirmed:\n{}", logs(self));
            (confirmed >= highest).then_some(())
        });
        if let Some(daemon) = &mut self.daemon {
            daemon.terminate();
        }
        wait_until("no event is missing at the consumer", Duration::from_secs(30), || {
            let seqs = self.seqs();
            (seqs.last() == Some(&(seqs.len() as u64))).then_some(())
        });
        let output = Command::new(python())
            .arg(source("tests/python/recompute.py"))
            .args([&self.events(), self.folder.path()])
            .output()
            .expect("python3 runs");
        assert!(output.status.success(), "{}", Outcome::of(&output));
        self.bills()
    }

    /// The bills by account, without what differs between two runs: ids of readings, times.
    fn bills(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.events()).expect("the events");
        let mut bills: Vec<serde_json::Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|event| event["data"]["kind"] == "bill")
            .map(|mut event| {
                let data = event["data"].take();
                serde_json::json!({
                    "bill": data["bill"], "account": data["account"], "item": data["item"],
                    "period": data["period"], "lines": data["lines"], "total": data["total_fen"],
                })
            })
            .collect();
        bills.sort_by_key(ToString::to_string);
        bills.dedup();
        bills
    }
}

fn undisturbed() -> Vec<serde_json::Value> {
    let mut site = Site::new();
    site.start_broker();
    site.start_consumer();
    site.start_daemon();
    site.finish()
}

/// Three kills of each, spread around the month's edge.
fn disturbed() -> Vec<serde_json::Value> {
    let mut site = Site::new();
    // The broker is not even there at first.
    site.start_consumer();
    site.start_daemon();
    let begin = now();
    let at = |second: u64| {
        wait_until("the next fault is due", Duration::from_secs(120), || {
            (now() >= begin + second).then_some(())
        });
    };
    at(3);
    site.start_broker();
    for (second, broker) in [(8, true), (12, false), (17, true), (LEAD, false), (LEAD + 2, true)] {
        at(second);
        if broker {
            if let Some(broker) = &mut site.broker {
                broker.kill();
            }
            at(second + 1);
            site.start_broker();
        } else {
            if let Some(daemon) = &mut site.daemon {
                daemon.kill();
            }
            site.start_daemon();
        }
    }
    at(LEAD + 5);
    if let Some(daemon) = &mut site.daemon {
        daemon.kill();
    }
    site.start_daemon();
    site.finish()
}

// invariant 1
// invariant 8
#[test]
fn six_kills_around_a_months_close_change_no_bill_and_lose_no_event() {
    // Both are waited for, whatever becomes of the other: each ends the processes that it started.
    let (rough, calm) = std::thread::scope(|scope| {
        let (rough, calm) = (scope.spawn(disturbed), scope.spawn(undisturbed));
        (rough.join(), calm.join())
    });
    let calm = calm.expect("the undisturbed run");
    let rough = rough.expect("the disturbed run");
    assert_eq!(calm.len(), 12, "{calm:#?}");
    assert_eq!(rough, calm);
}
