//! A broker in wrong hands (`python/rogue.py`): whatever it sends, the gateway publishes below its own
//! prefix only, carries out nothing, changes nothing, and is there at the end.

use blockgate::demo::certificates::{Authority, Pair, Purpose};
use blockgate_e2e::gateway::{Gateway, private};
use blockgate_e2e::slave::{Framing, Slave, profile};
use blockgate_e2e::{Running, free_port, python, source, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Publishes of nonsense: `ROUNDS=20000` for a longer run.
const ROUNDS: u32 = 600;

fn put(folder: &Path, name: &str, pair: &Pair) {
    private(&folder.join(format!("{name}.crt")), &pair.cert);
    private(&folder.join(format!("{name}.key")), &pair.key);
}

#[test]
fn a_rogue_broker_gets_nothing_done_and_hears_nothing_that_is_not_for_it() {
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = Gateway::new("");
    gateway.write("profiles.d/scripted.toml", &profile());
    let authority = Authority::new("e2e CA").expect("a CA");
    gateway.write("tls/ca.crt", &authority.pem());
    let years = 2020..2100;
    for (name, purpose, host) in
        [("server", Purpose::Server, "localhost"), ("gateway", Purpose::Client, "gateway")]
    {
        let pair = authority.issue_for(purpose, &[host], years.clone()).expect("a certificate");
        put(&gateway.path("tls"), name, &pair);
    }
    let port = free_port();
    gateway.write_config(&format!(
        "[mqtt]\nhost = \"localhost\"\nport = {port}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
         key = \"tls/gateway.key\"\ntelemetry_every = \"1s\"\nversion = \"5\"\n{}reply_timeout = \"2s\"\n\
         [meter_defaults]\npoll_every = \"1s\"\nrecord_every = \"0s\"\nmax_per_hour = \"1000000\"\n\
         [[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\nprofile = \"scripted-meter\"\n",
        slave.line("l0"),
    ));
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let seed = std::env::var("SEED").unwrap_or_else(|_| "1".to_owned());
    let said = gateway.path("rogue.json");
    let mut command = Command::new(python());
    command.arg(source("tests/python/rogue.py")).arg(port.to_string());
    for name in ["ca.crt", "server.crt", "server.key"] {
        command.arg(gateway.path("tls").join(name));
    }
    command.args(["blockgate/v1/t/gw/", &rounds.to_string(), &seed]);
    let file = std::fs::File::create(&said).expect("a file");
    let mut rogue = Running::start(command.stdout(Stdio::from(file)));
    gateway.start();
    wait_until("the rogue broker has done its worst", Duration::from_secs(900), || {
        rogue.0.try_wait().ok().flatten()
    });
    let text = std::fs::read_to_string(&said).expect("what it said");
    let last = text.lines().last().unwrap_or_default();
    let said: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {text}"));

    assert_eq!(said["outside"], serde_json::json!([]), "published outside its prefix: {said}");
    assert_eq!(said["carried_out"], serde_json::json!([]), "a senseless command was done: {said}");
    assert!(said["statuses"]["refused"].as_u64() > Some(u64::from(rounds) / 8), "{said}");
    let good: Vec<&str> =
        said["good"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(good.contains(&"accepted") && good.contains(&"done"), "the last command: {said}");

    // What the journal says: refusals, and what happens without any broker.
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for record in gateway.journal() {
        let data = &record["data"];
        let mut kind = data["kind"].as_str().unwrap_or_default().to_owned();
        if kind == "audit" {
            kind = format!("audit/{}", data["what"].as_str().unwrap_or_default());
        }
        if let Some(outcome) = data["outcome"].as_str() {
            let id = data["id"].as_str().unwrap_or_default();
            assert!(
                outcome != "done" || id == "good-1",
                "{record}: only the good command may be carried out"
            );
        }
        *kinds.entry(kind).or_default() += 1;
    }
    for none in ["bill", "payment", "ledger", "parking", "door"] {
        assert!(!kinds.contains_key(none), "{none}: {kinds:?}");
    }
    assert!(kinds["audit/command"] >= 1, "refusals are on record: {kinds:?}");
    let log = gateway.log();
    assert!(!log.contains("panicked"), "{log}");
    gateway.stop();
}
