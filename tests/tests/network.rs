//! A line that loses packets, holds them up and goes away again and again, between a real daemon and Debian's
//! mosquitto, over TLS: in a network namespace of its own, which the test makes and which goes with it.
//!
//! The kernel's token bucket lets 512 kbit/s through to the broker and keeps three packets; what comes meanwhile is
//! dropped, as by a bad modem. For a flap it keeps none, so that nothing passes and nobody is told: half-open.
//!
//! Needs `unshare`, iproute2 and the kernel's `htb`, `bfifo` and `u32`; without them it counts as ignored.

use blockgate_e2e::broker::Broker;
use blockgate_e2e::gateway::{Gateway, succeeds};
use blockgate_e2e::slave::{Framing, Slave, profile};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;

const NAME: &str = "through_loss_delay_and_a_flapping_link_everything_arrives_once_and_unchanged";
/// Set for the part that runs in the namespace.
const INSIDE: &str = "BLOCKGATE_INSIDE";
/// What fits in front of the narrow place: three packets.
const NARROW: &str = "4500";
/// Nothing fits: the line is gone.
const GONE: &str = "1";

fn main() {
    let inside = std::env::var_os(INSIDE).is_some();
    let missing = !inside
        && !namespace("ip link set lo up").output().is_ok_and(|output| {
            let works = output.status.success();
            works && namespace(&narrow(1)).output().is_ok_and(|output| output.status.success())
        });
    if missing {
        eprintln!("ignored: loss and delay need unshare, tc and the kernel's htb, bfifo and u32");
    }
    let trial = Trial::test(NAME, move || {
        if inside {
            through_loss_delay_and_a_flapping_link_everything_arrives_once_and_unchanged();
        } else {
            let own = std::env::current_exe().expect("this program").display().to_string();
            let mut again = namespace(&format!("exec '{own}' --exact {NAME}"));
            let output = again.env(INSIDE, "1").output().expect("a namespace");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() {
                return Err(Failed::from(said));
            }
            eprint!("{said}");
        }
        Ok(())
    });
    let trial = trial.with_ignored_flag(missing);
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

/// A shell in a new network namespace, with a loopback of its own whose packets are as long as Ethernet's.
fn namespace(what: &str) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let mut command = Command::new("unshare");
    command.args(if root { &["-n"][..] } else { &["-Urn"][..] });
    let what = format!("set -e; ip link set lo up; ip link set lo mtu 1500 gso_max_segs 1; {what}");
    command.args(["sh", "-c", &what]);
    command
}

/// What makes the way to a port narrow.
fn narrow(port: u16) -> String {
    let class = "tc class add dev lo parent 1: classid";
    let filter = "tc filter add dev lo parent 1: protocol ip u32 match ip";
    format!(
        "tc qdisc add dev lo root handle 1: htb default 1; \
         {class} 1:1 htb rate 10gbit quantum 60000; {class} 1:2 htb rate 512kbit quantum 1600; \
         tc qdisc add dev lo parent 1:2 handle 20: bfifo limit {NARROW}; \
         {filter} dport {port} 0xffff flowid 1:2; {filter} sport {port} 0xffff flowid 1:2"
    )
}

/// How much fits in front of the narrow place.
fn room(bytes: &str) {
    let change = ["qdisc", "change", "dev", "lo", "parent", "1:2", "handle", "20:", "bfifo"];
    succeeds(Command::new("tc").args(change).args(["limit", bytes]));
}

/// Packets that were dropped there so far.
fn dropped() -> u64 {
    let said = succeeds(Command::new("tc").args(["-s", "qdisc", "show", "dev", "lo"]));
    let (_, here) = said.split_once("qdisc bfifo 20:").expect("the narrow place");
    let (_, count) = here.split_once("(dropped ").expect("its numbers");
    count.split(',').next().and_then(|count| count.parse().ok()).expect("a number")
}

fn through_loss_delay_and_a_flapping_link_everything_arrives_once_and_unchanged() {
    const FLAPS: u64 = 5;
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = Gateway::new("");
    blockgate::demo::certificates::write(&gateway.path("tls")).expect("certificates");
    let mut broker = Broker::new(&gateway.path("broker"));
    let tls = gateway.path("tls").display().to_string();
    broker.start(&format!(
        "allow_anonymous true\ncafile {tls}/ca.crt\ncertfile {tls}/server.crt\n\
         keyfile {tls}/server.key\nrequire_certificate true\n"
    ));
    gateway.write("profiles.d/scripted-meter.toml", &profile());
    gateway.write_config(&format!(
        "[mqtt]\nhost = \"localhost\"\nport = {}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
         key = \"tls/gateway.key\"\nreceipt_timeout = \"5s\"\nkeep_alive = \"5s\"\n\
         [meter_defaults]\npoll_every = \"100ms\"\nrecord_every = \"0s\"\n\
         max_per_hour = \"1000000000000\"\n\
         {}[[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\nprofile = \"scripted-meter\"\n",
        broker.port,
        slave.line("l0")
    ));
    succeeds(Command::new("sh").args(["-c", &narrow(broker.port)]));
    gateway.start();
    gateway
        .wait("events come over the narrow line", |_| (broker.whole_through() > 40).then_some(()));
    let records = |g: &Gateway| g.metric("blockgate_journal_records_total").unwrap_or(0);
    for _ in 0..FLAPS {
        room(GONE);
        let from = records(&gateway);
        gateway.wait("readings go on without a line", |g| (records(g) > from + 8).then_some(()));
        room(NARROW);
        let (came, from) = (broker.whole_through(), records(&gateway));
        gateway.wait("readings go on with a line", |g| (records(g) > from + 4).then_some(()));
        broker.confirm(came);
    }
    let until = records(&gateway);
    gateway.wait("everything up to now has arrived", |_| {
        (broker.whole_through() >= until).then_some(())
    });
    let lost = dropped();
    gateway.kill();
    let journal: BTreeMap<u64, Value> = gateway
        .journal()
        .into_iter()
        .map(|event| (event["seq"].as_u64().expect("a seq"), event))
        .collect();
    let events = broker.events();
    for event in &events {
        let seq = event["seq"].as_u64().expect("a seq");
        assert_eq!(journal.get(&seq), Some(event), "event {seq} is not what was journaled");
    }
    assert!(lost > 0, "the line lost nothing, so nothing was shown");
    eprintln!(
        "{} events over a line that dropped {lost} packets and was gone {FLAPS} times",
        events.len()
    );
}
