//! A relay through the whole program: by the command line and over HTTP, at a meter that nobody here wrote
//! the codec of. An acknowledgement is not believed, a password is in no log, and a kill between intent and
//! outcome repeats nothing.

use blockgate_e2e::Running;
use blockgate_e2e::dlt645::{ADDRESS, Does, Meter};
use blockgate_e2e::gateway::{Gateway, private};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

fn config(port: u16) -> String {
    format!(
        "[meter_defaults]\npoll_every = \"1s\"\nmax_per_hour = \"100000\"\n\
         authority_file = \"authority.toml\"\n\
         [[line]]\nid = \"l-1\"\nkind = \"rtu-over-tcp\"\nhost = \"127.0.0.1\"\nport = {port}\n\
         reply_timeout = \"300ms\"\nlate_reply = \"400ms\"\n\
         [[meter]]\nid = \"m-1\"\nline = \"l-1\"\naddress = \"{ADDRESS}\"\n\
         profile = \"generic-dlt645-energy\"\ncontrols = [\"relay\"]\n"
    )
}

fn audits(gateway: &Gateway, what: &str) -> Vec<Value> {
    let all = gateway.journal().into_iter().map(|record| record["data"].clone());
    all.filter(|data| data["what"] == what).collect()
}

/// A time from now, as the system says it.
fn time(from_now: &str) -> String {
    let said = Command::new("date").args(["-u", "-d", from_now, "+%Y-%m-%dT%H:%M:%SZ"]).output();
    String::from_utf8_lossy(&said.expect("date").stdout).trim().to_owned()
}

#[test]
fn a_relay_is_told_once_and_believed_only_when_its_state_says_so() {
    let meter = Meter::start();
    let mut gateway = Gateway::new(&config(meter.port()));
    let file = gateway.path("authority.toml");
    let secret = |password: &str| {
        let text = format!("level = \"02\"\npassword = \"{password}\"\noperator = \"00000007\"\n");
        private(&file, &text);
    };
    secret("123456");
    let config = gateway.config().display().to_string();
    let relay = |gateway: &Gateway, to: &str| {
        let words = ["order", "relay", "m-1", to, "--reason", "arrears, notice 7"];
        let said = gateway.command(&[&words[..], &["--json"]].concat());
        (said.code, said.json())
    };
    gateway.start();
    gateway.wait("the meter is read", |gateway| {
        (gateway.json("/v1/meters/m-1")["polls_good"].as_u64() > Some(0)).then_some(())
    });
    let (code, done) = relay(&gateway, "trip");
    assert_eq!((code, &done["outcome"]), (0, &json!("done")), "{done}");
    let (result, state) = (&done["detail"]["result"], &done["detail"]["state"]);
    assert_eq!((result, state), (&json!("verified"), &json!("relay-open")));
    assert!(meter.is_open());

    // It says yes and does not move: a result of its own, and an alarm until it moves.
    meter.set(Does::Sticks);
    let (code, done) = relay(&gateway, "close");
    assert_eq!((code, &done["outcome"]), (1, &json!("failed")), "{done}");
    assert!(done["detail"].as_str().is_some_and(|why| why.starts_with("not-moved: ")), "{done}");
    let open = |gateway: &Gateway| {
        let alarms = gateway.json("/v1/alarms")["open"].to_string();
        alarms.contains("meter-not-moved")
    };
    assert!(open(&gateway));
    meter.set(Does::Moves);
    assert_eq!(relay(&gateway, "close").1["outcome"], "done");
    assert!(!open(&gateway) && !meter.is_open());

    // A wrong password is refused by the meter, with its reason.
    secret("000000");
    let (_, done) = relay(&gateway, "trip");
    let why = done["detail"].as_str().unwrap_or_default().to_owned();
    assert!(why.starts_with("refused: ") && why.contains("password"), "{done}");
    secret("123456");

    // The same document over HTTP.
    let order = json!({
        "id": "c-1", "issued_at": time("now"), "expires_at": time("5 minutes"), "actor": "desk",
        "name": "relay", "args": {"meter": "m-1", "to": "permit", "reason": "paid"},
    });
    let (status, done) = gateway.order(&order);
    assert_eq!((status, &done["detail"]["result"]), (200, &json!("acknowledged")), "{done}");
    assert_eq!(gateway.order(&order).0, 409, "an id is answered once");

    // Killed between intent and outcome: unknown, the state is read back, nothing is sent again.
    meter.set(Does::Mute);
    let sent = meter.orders().len();
    let words = ["order", "relay", "m-1", "trip", "--reason", "x", "--config", &config];
    let asking = Command::new(blockgate_e2e::binary())
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut asking = Running(asking.expect("the command line"));
    gateway.wait("the order is on the wire", |_| (meter.orders().len() > sent).then_some(()));
    gateway.kill();
    let code = asking.0.wait().expect("its end").code();
    assert!(code != Some(0), "nobody said that it was done");
    gateway.start();
    gateway.wait("the meter said how it stands", |gateway| {
        let looked = audits(gateway, "meter-looked");
        looked.iter().any(|l| l["state"] == "relay-open" && l["as_ordered"] == true).then_some(())
    });
    assert_eq!(meter.orders().len(), sent + 1, "told once");
    let unknown = audits(&gateway, "meter-acted").into_iter().filter(|a| a["outcome"] == "unknown");
    assert_eq!(unknown.count(), 1);
    let commands = audits(&gateway, "command");
    let unknown = commands.iter().filter(|c| c["name"] == "relay" && c["outcome"] == "unknown");
    assert_eq!(unknown.count(), 1, "{commands:?}");
    assert!(!open(&gateway), "what it says is what was ordered");

    // The password is nowhere but in its file: not as digits, not as bytes of a frame.
    let journal = gateway.journal().iter().map(Value::to_string).collect::<String>();
    for text in [gateway.log(), journal] {
        for secret in ["123456", "56 34 12", "563412", "89 67 45", "896745"] {
            assert!(!text.contains(secret), "{secret} is in\n{text}");
        }
    }
    gateway.stop();
}
