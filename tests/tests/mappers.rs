//! The mappers on a real broker, each judged by somebody who knows only its own specification
//! (`python/mappers.py`): a Sparkplug host, a Home Assistant, the platform of Alibaba's thing model.

use blockgate::demo::certificates::{Authority, Pair, Purpose};
use blockgate_e2e::broker::Broker;
use blockgate_e2e::gateway::{Gateway, private};
use blockgate_e2e::slave::{Framing, Slave, profile};
use blockgate_e2e::{Running, python, source};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

const DOOR: &str = "cafile {folder}/ca.crt\ncertfile {folder}/server.crt\n\
    keyfile {folder}/server.key\nrequire_certificate true\nallow_anonymous true\n";

struct Judge {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _running: Running,
}

impl Judge {
    fn tell(&mut self, order: &str) -> Value {
        writeln!(self.orders, "{order}").expect("an order");
        self.hear(order)
    }

    fn hear(&mut self, order: &str) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{order}: {e}: {line:?}"))
    }
}

fn put(folder: &Path, name: &str, pair: &Pair) {
    private(&folder.join(format!("{name}.crt")), &pair.cert);
    private(&folder.join(format!("{name}.key")), &pair.key);
}

#[test]
fn three_other_clouds_understand_what_the_mappers_say() {
    let slave = Slave::tcp(Framing::Mbap);
    let mut gateway = Gateway::new("");
    gateway.write("profiles.d/scripted.toml", &profile());
    let mut broker = Broker::new(&gateway.path("broker"));
    let authority = Authority::new("e2e CA").expect("a CA");
    gateway.write("tls/ca.crt", &authority.pem());
    gateway.write("broker/ca.crt", &authority.pem());
    for (folder, name, purpose, host) in [
        ("broker", "server", Purpose::Server, "localhost"),
        ("tls", "gateway", Purpose::Client, "gateway"),
        ("tls", "cloud", Purpose::Client, "cloud"),
    ] {
        let pair = authority.issue_for(purpose, &[host], 2020..2100).expect("a certificate");
        put(&gateway.path(folder), name, &pair);
    }
    private(&gateway.path("secret"), "device-secret\n");
    let to = format!(
        "host = \"localhost\"\nport = {}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
         key = \"tls/gateway.key\"\n",
        broker.port
    );
    gateway.write_config(&format!(
        "[mapper.sparkplug]\n{to}group = \"site\"\n[mapper.homeassistant]\n{to}\
         [mapper.aliyun]\n{to}product_key = \"pk1\"\ndevice_name = \"gw\"\ndevice_secret_file = \"secret\"\n\
         meter_product_key = \"pk2\"\n{}reply_timeout = \"2s\"\n[meter_defaults]\npoll_every = \"250ms\"\n\
         record_every = \"0s\"\nmax_per_hour = \"1000000\"\n[[meter]]\nid = \"m-1\"\nline = \"l0\"\n\
         address = 1\nprofile = \"scripted-meter\"\n",
        slave.line("l0"),
    ));
    let folder = gateway.path("broker").display().to_string();
    broker.start(&DOOR.replace("{folder}", &folder));
    let mut command = Command::new(python());
    command.arg(source("tests/python/mappers.py")).arg(broker.port.to_string());
    command.args(["ca.crt", "cloud.crt", "cloud.key"].map(|name| gateway.path("tls").join(name)));
    let mut running = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let orders = running.0.stdin.take().expect("its input");
    let answers = BufReader::new(running.0.stdout.take().expect("its output"));
    let mut judge = Judge { orders, answers, _running: running };
    assert_eq!(judge.hear("its start"), "listening");
    gateway.start();

    let said = judge.tell("collect");
    assert_eq!(said["births"], json!(["NBIRTH/gw"]), "{said}");
    assert_eq!(
        (&said["birth_seq"], &said["retained_sparkplug"]),
        (&json!(0), &json!(false)),
        "{said}"
    );
    assert_eq!(said["device_births"], json!(["DBIRTH/gw/m-1"]), "{said}");
    assert_eq!(said["qos"], json!([0]), "births and data at QoS 0: {said}");
    let seqs: Vec<u64> =
        said["seqs"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 256), "no gap in seq: {seqs:?}");
    let metrics = said["birth_metrics"].as_array().expect("metrics");
    for needed in ["bdSeq", "Node Control/Rebirth"] {
        assert!(metrics.contains(&json!(needed)), "{said}");
    }
    let value = &said["value"];
    assert_eq!(value["type"], 10, "a Double: {value}");
    let exact = value["properties"]["exact"].as_str().expect("the exact number");
    assert_eq!(value["double"].as_f64(), exact.parse().ok(), "{value}");

    let sensor = &said["sensors"][0];
    for key in ["unique_id", "state_topic", "availability_topic", "device", "unit_of_measurement"] {
        assert!(!sensor[key].is_null(), "{key}: {sensor}");
    }
    let topic = sensor["state_topic"].as_str().expect("a topic");
    assert!(said["states"][topic].as_str().is_some_and(|v| v.parse::<f64>().is_ok()), "{said}");
    assert_eq!(said["states"]["blockgate/ha/gw/availability"], "online", "{said}");

    let device = &said["devices"][0];
    assert_eq!(device["identity"], json!({ "productKey": "pk2", "deviceName": "m-1" }), "{said}");
    let properties = device["properties"].as_object().expect("properties");
    assert!(properties.values().all(|p| p["time"].as_u64() > Some(1_600_000_000_000)), "{said}");
    let number = properties.iter().find(|(key, _)| !key.ends_with("_text")).expect("a number");
    assert!(number.1["value"].is_i64(), "an integer: {device}");
    assert!(
        said["events"].as_array().is_some_and(|e| e.contains(&json!("event/property/post"))),
        "{said}"
    );

    let after = judge.tell("rebirth");
    assert_eq!(after["after"][0], json!(["NBIRTH", 0]), "{after}");
    assert_eq!(after["after"][1], json!(["DBIRTH", 1]), "{after}");

    let read = judge.tell(r#"service read_now {"meter":"m-1"}"#);
    assert_eq!((&read["code"], &read["data"]["status"]), (&json!(200), &json!("done")), "{read}");
    let wrong = judge.tell(r#"service read_now {"meter":"m-9"}"#);
    assert_eq!(wrong["data"]["status"], "refused", "{wrong}");
    judge.tell("deny");

    // Killed: the broker says so for it. Back again: another birth, and what was missed is historical.
    gateway.kill();
    let dead = judge.tell("deaths 2");
    assert_eq!(
        (&dead["deaths"], &dead["availability"]),
        (
            &dead["births"].as_array().map(|b| json!([b[0]])).unwrap_or_default(),
            &json!(["offline"])
        ),
        "{dead}"
    );
    gateway.start();
    gateway.wait("some more readings", |g| (g.journal().len() > 12).then_some(()));
    let back = judge.tell("deaths 2");
    assert_eq!(back["availability"], json!(["online"]), "{back}");
    // How far it came is written down behind the messages.
    gateway.wait("the mapper's place in the journal", |g| {
        g.path("state/mapper-sparkplug").exists().then_some(())
    });
    gateway.stop();
    let end = judge.tell("deaths 1");
    assert_eq!(end["availability"], json!(["offline"]), "an ordered end says so itself: {end}");
}
