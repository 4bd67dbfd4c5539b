//! The cloud's side, by programs that were written from the documents alone: a client with paho-mqtt
//! that receives, deduplicates, confirms and commands; and the reference consumer with PostgreSQL.

use blockgate::demo::certificates::{Authority, Pair, Purpose};
use blockgate_e2e::broker::{Broker, PREFIX};
use blockgate_e2e::dlt645;
use blockgate_e2e::gateway::{Gateway, blockgate, private, succeeds};
use blockgate_e2e::postgres::Postgres;
use blockgate_e2e::slave::{Framing, Slave, profile};
use blockgate_e2e::{Running, python, source, wait_until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const DOOR: &str = "cafile {folder}/ca.crt\ncertfile {folder}/server.crt\n\
    keyfile {folder}/server.key\nrequire_certificate true\nallow_anonymous true\n";

/// A gateway with one meter, a broker with mutual TLS, and a certificate for the cloud.
struct Site {
    gateway: Gateway,
    broker: Broker,
    _slave: Slave,
}

fn put(folder: &Path, name: &str, pair: &Pair) {
    private(&folder.join(format!("{name}.crt")), &pair.cert);
    private(&folder.join(format!("{name}.key")), &pair.key);
}

impl Site {
    fn new(mqtt: &str) -> Self {
        let slave = Slave::tcp(Framing::Mbap);
        let gateway = Gateway::new("");
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
        gateway.write_config(&format!(
            "[mqtt]\nhost = \"localhost\"\nport = {}\nca = \"tls/ca.crt\"\ncert = \"tls/gateway.crt\"\n\
             key = \"tls/gateway.key\"\nreceipt_timeout = \"1s\"\ntelemetry_every = \"0s\"\n{mqtt}{}\
             reply_timeout = \"2s\"\n[meter_defaults]\npoll_every = \"250ms\"\nrecord_every = \"0s\"\n\
             max_per_hour = \"1000000\"\n[[meter]]\nid = \"m-1\"\nline = \"l0\"\naddress = 1\n\
             profile = \"scripted-meter\"\n",
            broker.port,
            slave.line("l0"),
        ));
        let folder = gateway.path("broker").display().to_string();
        broker.start(&DOOR.replace("{folder}", &folder));
        Self { gateway, broker, _slave: slave }
    }

    fn tls(&self, name: &str) -> String {
        self.gateway.path("tls").join(name).display().to_string()
    }
}

/// A running `cloud_client.py`.
struct Client {
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _running: Running,
}

impl Client {
    fn start(site: &Site) -> Self {
        let mut command = Command::new(python());
        command.arg(source("tests/python/cloud_client.py")).arg(site.broker.port.to_string());
        command.args(["ca.crt", "cloud.crt", "cloud.key"].map(|name| site.tls(name)));
        command.arg(source("docs/contract")).args(["t", "gw"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start(&mut command);
        let orders = running.0.stdin.take().expect("its input");
        let answers = BufReader::new(running.0.stdout.take().expect("its output"));
        Self { orders, answers, _running: running }
    }

    fn tell(&mut self, order: &str) -> Value {
        writeln!(self.orders, "{order}").expect("an order");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{order}: {e}: {line:?}"))
    }
}

#[test]
fn a_client_written_from_the_documents_receives_confirms_and_commands() {
    let mut site = Site::new("");
    let mut client = Client::start(&site);
    site.gateway.start();

    let got = client.tell("collect 6");
    assert!(got["whole"].as_u64() >= Some(6), "{got}");
    assert_eq!((&got["altered"], &got["state"]["online"]), (&json!(0), &json!(true)), "{got}");
    // What the cloud refuses is a dead letter, until a person orders that it is tried again.
    let _ = client.tell("refuse 3");
    let dead = |gateway: &Gateway| gateway.json("/v1/outbox")["dead_letters"].clone();
    site.gateway
        .wait("the refusal has come home", |gateway| (dead(gateway)[0]["seq"] == 3).then_some(()));
    let retry = r#"command retry-dead-letter {"seq":3}"#;
    let order = client.tell(retry);
    assert_eq!(order["words"], json!(["accepted", "done"]), "{order}");
    assert_eq!(dead(&site.gateway), json!([]));
    assert_eq!(client.tell("again 3"), json!({ "times": 1, "altered": 0 }));
    let twice = client.tell(retry);
    assert_eq!(twice["words"], json!(["accepted", "refused"]), "{twice}");

    let through = client.tell("confirm")["through"].as_u64().expect("a number");
    site.gateway.wait("the receipt has come home", |gateway| {
        (gateway.json("/v1/outbox")["through"].as_u64()? >= through).then_some(())
    });

    let read = client.tell(r#"command read-now {"meter":"m-1"}"#);
    assert_eq!(read["words"], json!(["accepted", "done"]), "{read}");
    assert_eq!(read["correlated"], true, "correlation data comes back: {read}");
    assert_eq!(read["topics"], json!(["rsp/read-now/mine"]), "the response topic is kept: {read}");
    let id = read["id"].as_str().expect("an id").to_owned();
    let again = client.tell(&format!("repeat {id}"));
    assert_eq!(again["words"], json!(["accepted", "duplicate"]), "{again}");

    let cases = [
        (r#"command read-now {"meter":"m-9"}"#, "refused", "command-refused"),
        (r#"command read-now {"meter":"m-1"} late"#, "expired", "command-expired"),
        (r#"command read-now {"meter":"m-1"} early"#, "refused", "command-refused"),
        (r#"command resend {"from":2,"to":1}"#, "refused", "command-refused"),
        (r#"retained read-now {"meter":"m-1"}"#, "refused", "command-retained"),
    ];
    for (order, word, code) in cases {
        let said = client.tell(order);
        let last = |key: &str| said[key].as_array().and_then(|list| list.last().cloned());
        assert_eq!(last("words"), Some(json!(word)), "{order}: {said}");
        assert_eq!(last("codes"), Some(json!(code)), "{order}: {said}");
    }
    let foreign = client.tell(r#"foreign read-now {"meter":"m-1"}"#);
    assert_eq!(foreign["words"], json!(["accepted", "done"]), "{foreign}");
    assert_eq!(foreign["elsewhere"], json!([]), "nothing is published outside: {foreign}");
    assert_eq!(foreign["topics"], json!(["rsp/read-now"]), "{foreign}");

    // The memory of commands survives a kill; what was received is received again, byte for byte.
    site.gateway.kill();
    site.gateway.start();
    let again = client.tell(&format!("repeat {id}"));
    assert_eq!(again["words"], json!(["accepted", "duplicate"]), "after a restart: {again}");
    let forgot = client.tell("forget");
    assert_eq!(forgot["words"], json!(["accepted", "done"]), "{forgot}");
    assert!(forgot["whole"].as_u64() >= forgot["wanted"].as_u64(), "all came again: {forgot}");
    assert_eq!(forgot["altered"], 0, "{forgot}");

    // One outcome each, in the journal.
    let mut outcomes = std::collections::BTreeMap::<String, u32>::new();
    for record in site.gateway.journal() {
        let data = &record["data"];
        if data["what"] == "command" && data["outcome"] != "duplicate" {
            *outcomes.entry(data["id"].to_string()).or_default() += 1;
        }
    }
    assert!(outcomes.len() >= 6 && outcomes.values().all(|n| *n == 1), "{outcomes:?}");
    site.gateway.stop();
}

/// A running reference consumer; ended when it is dropped.
struct Consumer {
    log: std::path::PathBuf,
    _running: Running,
}

impl Consumer {
    fn start(site: &Site, database: &Postgres) -> Self {
        let log = site.gateway.path("consumer.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new(python());
        command.arg(source("examples/consumer/consumer.py"));
        command.args(["--broker", &format!("localhost:{}", site.broker.port)]);
        command.args(["--ca", &site.tls("ca.crt"), "--cert", &site.tls("cloud.crt")]);
        command.args(["--key", &site.tls("cloud.key"), "--database", &database.conninfo()]);
        command.args(["--tenant", "t", "--ask-after", "1"]).stderr(Stdio::from(file));
        let running = Running::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
        Self { log, _running: running }
    }

    /// How often it has told of a fault of the database.
    fn said(&self) -> usize {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("the database: ")).count()
    }
}

/// The database has every event of the journal up to `last`, once, with its id.
fn holds_all(site: &Site, database: &Postgres) {
    let journal = site.gateway.journal();
    let last = journal.last().and_then(|record| record["seq"].as_u64()).expect("records");
    wait_until("the database has everything", Duration::from_secs(60), || {
        let through = database.ask("SELECT through FROM gateway WHERE gateway = 't/gw'").ok()?;
        (through.parse::<u64>().ok()? >= last).then_some(())
    });
    let mut wanted = String::new();
    for record in &journal {
        let (seq, id) = (&record["seq"], record["id"].as_str().unwrap_or_default());
        wanted.push_str(&format!("{seq} {id}\n"));
    }
    let query = format!(
        "SELECT string_agg(seq || ' ' || id, E'\\n' ORDER BY seq) FROM event WHERE seq <= {last}"
    );
    let kept = database.ask(&query).expect("the events");
    assert_eq!(kept.trim(), wanted.trim());
}

#[test]
fn the_reference_consumer_is_complete_and_exact_whatever_fails() {
    let mut site = Site::new("");
    let mut database = Postgres::start(&site.gateway.path("postgres"));
    let consumer = Consumer::start(&site, &database);
    site.gateway.start();
    let journal_of =
        |n: usize| move |gateway: &Gateway| (gateway.journal().len() >= n).then_some(());
    site.gateway.wait("some events", journal_of(8));
    holds_all(&site, &database);

    // The database goes away in the middle and loses nothing that was confirmed.
    database.kill();
    let events = site.gateway.journal().len();
    site.gateway.wait("more events", journal_of(events + 6));
    database.again();
    holds_all(&site, &database);

    // It goes away while nothing comes in, so that only the look for gaps meets it.
    site.gateway.stop();
    wait_until("the gateway's farewell is kept", Duration::from_secs(30), || {
        let query = "SELECT state ->> 'online' FROM gateway WHERE gateway = 't/gw'";
        (database.ask(query).ok()? == "false").then_some(())
    });
    let told = consumer.said();
    database.kill();
    wait_until("the consumer has seen it", Duration::from_secs(30), || {
        (consumer.said() > told).then_some(())
    });
    database.again();
    site.gateway.start();
    holds_all(&site, &database);

    // The consumer dies with what it held in memory.
    drop(consumer);
    let events = site.gateway.journal().len();
    site.gateway.wait("more events", journal_of(events + 6));
    let consumer = Consumer::start(&site, &database);
    holds_all(&site, &database);

    // Somebody loses an event that was confirmed: the gap is seen and asked for.
    let lost = "DELETE FROM event WHERE seq IN (3, 4); UPDATE gateway SET through = 2";
    database.ask(lost).expect("two events less");
    wait_until("what was lost has come again", Duration::from_secs(30), || {
        let found = database.ask("SELECT count(*) FROM event WHERE seq IN (3, 4)").ok()?;
        (found == "2").then_some(())
    });
    holds_all(&site, &database);

    // Another message under a known id: kept aside, and the event stays as it is.
    let first = site.gateway.journal().swap_remove(0);
    let mut forged = first.clone();
    forged["data"]["boot"] = json!("00000000");
    let mut publish = Command::new("mosquitto_pub");
    publish.args(["-h", "localhost", "-p", &site.broker.port.to_string(), "-q", "1"]);
    publish.args(["--cafile", &site.tls("ca.crt"), "--cert", &site.tls("cloud.crt")]);
    publish.args(["--key", &site.tls("cloud.key"), "-t", &format!("{PREFIX}evt/audit")]);
    succeeds(publish.args(["-m", &forged.to_string()]));
    wait_until("the forgery is kept aside", Duration::from_secs(20), || {
        (database.ask("SELECT count(*) FROM altered").ok()? == "1").then_some(())
    });
    let kept = database.ask("SELECT body #>> '{data,boot}' FROM event WHERE seq = 1");
    assert_eq!(kept.as_deref(), Ok(first["data"]["boot"].as_str().expect("a boot id")));
    holds_all(&site, &database);
    drop(consumer);
    site.gateway.stop();
}

#[test]
fn what_a_restored_gateway_counts_again_is_not_taken_for_what_it_lost() {
    let mut site = Site::new("");
    let database = Postgres::start(&site.gateway.path("postgres"));
    let consumer = Consumer::start(&site, &database);
    let journal_of =
        |n: usize| move |gateway: &Gateway| (gateway.journal().len() >= n).then_some(());
    site.gateway.start();
    site.gateway.wait("some events", journal_of(8));
    site.gateway.stop();
    let file = site.gateway.path("gw.bgbackup").display().to_string();
    let said = site.gateway.command(&["backup", &file, "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let after = said.json()["records"].as_u64().expect("a number");
    site.gateway.start();
    let events = site.gateway.journal().len();
    site.gateway.wait("more events", journal_of(events + 8));
    holds_all(&site, &database);
    site.gateway.stop();

    // The disk is lost with what came after the backup.
    let state = site.gateway.path("state");
    std::fs::rename(&state, site.gateway.path("lost")).expect("a name");
    let said = blockgate(&["restore", &file, "--state", &state.display().to_string()]);
    assert_eq!(said.code, 0, "{said:?}");
    for name in ["tokens.toml", "password"] {
        std::fs::copy(site.gateway.path("lost").join(name), state.join(name)).expect("a file");
    }
    let count = |what: &str| {
        let answer = database.ask(&format!("SELECT count(*) FROM {what}")).expect("a count");
        answer.parse::<usize>().expect("a number")
    };
    // What the lost disk held; some of it may still be on its way to the database.
    let lost_state = site.gateway.path("lost").display().to_string();
    let said = blockgate(&["journal", "verify", "--json", "--state", &lost_state]);
    let written = said.json()["records"].as_u64().expect("a number") as usize;
    let old = count("event");
    site.gateway.start();
    site.gateway.wait("it has counted beyond what it lost", journal_of(written + 4));
    let journal = site.gateway.journal_from(after + 1);
    let epoch = journal[0]["epoch"].as_str().expect("an epoch").to_owned();
    let last = journal.last().and_then(|event| event["seq"].as_u64()).expect("a seq");
    site.gateway.wait("the database has the new history", |_| {
        let query = format!("SELECT through FROM gateway WHERE gateway = 't/gw#{epoch}'");
        (database.ask(&query).ok()?.parse::<u64>().ok()? >= last).then_some(())
    });
    let new = count(&format!("event WHERE gateway = 't/gw#{epoch}' AND seq <= {last}"));
    assert_eq!((new, count("altered")), (journal.len(), 0));
    let kept = count("event WHERE gateway = 't/gw'");
    assert!(
        (old..=written).contains(&kept),
        "{old} were there, {kept} are, {written} were written"
    );
    assert_eq!(count(&format!("event WHERE gateway = 't/gw' AND seq > {written}")), 0);
    let lost = count(&format!("event WHERE gateway = 't/gw' AND seq > {after}"));
    assert!(lost >= 8 && count("lost") == lost, "{lost}: what nobody else has any more");
    site.gateway.wait("the receipts have come home", |g| {
        (g.json("/v1/outbox")["through"].as_u64()? >= last).then_some(())
    });
    drop(consumer);
    site.gateway.stop();
}

#[test]
fn certificates_are_exchanged_while_running_and_half_of_one_is_an_alarm() {
    let mut site = Site::new("");
    site.gateway.start();
    let connected = |gateway: &Gateway| {
        let status = gateway.json("/v1/status")["mqtt"].clone();
        (status["connected"] == true).then_some(status)
    };
    site.gateway.wait("the gateway is connected", connected);
    let open = |gateway: &Gateway, subject: &str| {
        let alarms = gateway.json("/v1/alarms");
        let all = alarms["open"].as_array().cloned().unwrap_or_default();
        all.into_iter().any(|a| a["code"] == "certificate" && a["subject"] == subject)
    };

    // Half of the new certificate, as a copy that is under way leaves it.
    let authority = Authority::new("the next CA").expect("a CA");
    let pair = authority.issue_for(Purpose::Client, &["gateway"], 2020..2100).expect("a pair");
    let half = &pair.cert[..pair.cert.len() / 2];
    site.gateway.write("tls/gateway.crt", half);
    site.gateway.wait("half a certificate is an alarm", |g| open(g, "files").then_some(()));
    assert!(connected(&site.gateway).is_some(), "the old ones stay in use");

    // The broker trusts both CAs; then the new pair is whole.
    let both = format!(
        "{}{}",
        std::fs::read_to_string(site.tls("ca.crt")).expect("a CA"),
        authority.pem()
    );
    site.gateway.write("broker/ca.crt", &both);
    let folder = site.gateway.path("broker").display().to_string();
    site.broker.stop();
    site.broker.start(&DOOR.replace("{folder}", &folder));
    put(&site.gateway.path("tls"), "gateway", &pair);
    site.gateway.wait("the alarm is over", |g| (!open(g, "files")).then_some(()));
    site.gateway.wait("connected with the new pair", connected);
    // The proof that it is the new one: nobody trusts the old CA any more.
    site.gateway.write("broker/ca.crt", &authority.pem());
    site.broker.stop();
    site.broker.start(&DOOR.replace("{folder}", &folder));
    site.gateway.wait("a broker that trusts only the new CA takes it", connected);
    site.gateway.stop();
}

/// One household that owes a fee, and the rule that the fee comes from.
const ACCOUNT: &str = "[[account]]\nid = \"a-1\"\nbuilding = \"1\"\narea_m2 = \"80\"\ncharges = [\n  \
    { item = \"property-fee\", tariff = \"property-fee\" },\n]\n";

#[test]
fn payments_and_rule_files_come_by_command_and_each_reference_once() {
    let mut site = Site::new("");
    let rules = std::fs::read_to_string(source("rules/tariffs/property.toml")).expect("the rule");
    site.gateway.write("rules.d/property.toml", &rules);
    let config = std::fs::read_to_string(site.gateway.config()).expect("the config");
    site.gateway.write("blockgate.toml", &format!("{config}{ACCOUNT}"));
    let mut client = Client::start(&site);
    site.gateway.start();
    client.tell("collect 4");

    let pay = r#"{"account":"a-1","amount_fen":5000,"channel":"wechat","reference":"wx-1","toward":{"of":"bills","items":["property-fee"]}}"#;
    let paid = client.tell(&format!("command record-payment {pay}"));
    assert_eq!(paid["words"], json!(["accepted", "done"]), "{paid}");
    let id = paid["id"].as_str().expect("an id").to_owned();
    let again = client.tell(&format!("repeat {id}"));
    assert_eq!(again["words"], json!(["accepted", "duplicate"]), "{again}");
    let other = client.tell(&format!("command record-payment {pay}"));
    assert_eq!(other["words"], json!(["accepted", "refused"]), "the reference is known: {other}");
    let fraction = pay.replace("5000", "50.5");
    // Not by the schema, so not by the client: mosquitto's own sends it.
    let document = format!(
        "{{\"id\":\"c-f\",\"issued_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":\"2026-01-02T00:00:00Z\",\
         \"actor\":\"x\",\"args\":{fraction}}}"
    );
    let mut publish = Command::new("mosquitto_pub");
    publish.args(["-h", "localhost", "-p", &site.broker.port.to_string(), "-q", "1"]);
    publish.args(["--cafile", &site.tls("ca.crt"), "--cert", &site.tls("cloud.crt")]);
    publish.args(["--key", &site.tls("cloud.key"), "-t", &format!("{PREFIX}cmd/record-payment")]);
    succeeds(publish.args(["-m", &document]));

    // A rule file that does not hold is refused with its faults, and nothing is in force by it.
    let wrong = r#"{"file":"fees","text":"[[tariff]]","reason":"test"}"#;
    let refused = client.tell(&format!("command apply-rules {wrong}"));
    assert_eq!(refused["words"], json!(["accepted", "refused"]), "{refused}");
    let preview = client.tell(r#"command preview-rules {"file":"fees","text":"[[tariff]]"}"#);
    assert_eq!(preview["words"], json!(["accepted", "refused"]), "{preview}");

    let journal = site.gateway.journal();
    let payments: Vec<&Value> = journal.iter().filter(|r| r["data"]["kind"] == "payment").collect();
    assert_eq!(payments.len(), 1, "{payments:?}");
    assert_eq!(payments[0]["data"]["amount_fen"], 5000, "{payments:?}");
    site.gateway.stop();
}

/// Who may switch relays from afar, and a meter that has one.
fn relay_from_afar(port: u16) -> String {
    format!(
        "[[mqtt.allow]]\nactor = \"cloud/*\"\ncommands = [\"relay\"]\n\
         [[line]]\nid = \"l1\"\nkind = \"rtu-over-tcp\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         late_reply = \"400ms\"\nreply_timeout = \"300ms\"\n\
         [[meter]]\nid = \"e-1\"\nline = \"l1\"\naddress = \"{}\"\npoll_every = \"1s\"\n\
         profile = \"generic-dlt645-energy\"\ncontrols = [\"relay\"]\n\
         authority_file = \"authority.toml\"\n",
        dlt645::ADDRESS
    )
}

#[test]
fn a_relay_order_from_afar_is_told_once_and_its_outcome_is_an_event() {
    let meter = dlt645::Meter::start();
    let mut site = Site::new("");
    private(
        &site.gateway.path("authority.toml"),
        "level = \"02\"\npassword = \"123456\"\noperator = \"00000007\"\n",
    );
    let config = std::fs::read_to_string(site.gateway.config()).expect("the config");
    let config = format!("{config}{}", relay_from_afar(meter.port()));
    site.gateway.write("blockgate.toml", &config);
    let mut client = Client::start(&site);
    site.gateway.start();
    client.tell("collect 2");
    let trip = r#"{"meter":"e-1","to":"trip","reason":"arrears"}"#;
    let done = client.tell(&format!("command relay {trip}"));
    assert_eq!(done["words"], json!(["accepted", "done"]), "{done}");
    assert!(meter.is_open());

    // What the cloud missed on `rsp/` stands in `evt/audit`: intent, outcome with the state read back, and
    // the command's own end, in this order and with the command's id.
    let id = done["id"].as_str().expect("an id").to_owned();
    let audits = |site: &Site| {
        let events = site.broker.events().into_iter().filter(|e| e["subject"] != "system");
        events.map(|event| event["data"].clone()).collect::<Vec<Value>>()
    };
    let said = wait_until("the outcome is an event", Duration::from_secs(15), || {
        let all = audits(&site);
        all.iter().any(|data| data["what"] == "command" && data["id"] == *id).then_some(all)
    });
    let place = |what: &str| said.iter().position(|data| data["what"] == what);
    let (acting, acted, command) = (place("meter-acting"), place("meter-acted"), place("command"));
    assert!(acting.is_some() && acting < acted && acted <= command, "{said:#?}");
    let acted = acted.and_then(|place| said.get(place)).expect("the outcome");
    assert_eq!(
        (&acted["result"], &acted["state"]),
        (&json!("verified"), &json!("relay-open")),
        "{acted}"
    );

    // The same document again moves nothing.
    let again = client.tell(&format!("repeat {id}"));
    assert_eq!(again["words"], json!(["accepted", "duplicate"]), "{again}");
    // The meter says yes and does not move: failed, with the reason.
    meter.set(dlt645::Does::Sticks);
    let close = r#"{"meter":"e-1","to":"close","reason":"paid"}"#;
    let stuck = client.tell(&format!("command relay {close}"));
    assert_eq!(stuck["words"], json!(["accepted", "failed"]), "{stuck}");
    assert_eq!(meter.orders().len(), 2, "each told once");
    // Whoever is not named in `[[mqtt.allow]]` for it moves nothing at all.
    let valve = client.tell(r#"command valve {"meter":"e-1","to":"close","reason":"x"}"#);
    assert_eq!((&valve["words"], &valve["codes"]), (&json!(["refused"]), &json!(["forbidden"])));
    site.gateway.stop();
}
