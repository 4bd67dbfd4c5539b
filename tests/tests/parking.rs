//! A car park from outside: cameras push, a barrier asks, the cloud is away all the time, and the daemon
//! dies in between.

use blockgate_e2e::gateway::{Gateway, private};
use blockgate_e2e::page::{self, Reply};
use blockgate_e2e::source;
use blockgate_types::{Span, Time};
use serde_json::{Value, json};

/// SHA-256 of `camera-token` and of `barrier-token`.
const TOKENS: &str = "[tokens.camera]\nsha256 = \"51f67e4b6df7d98116f20ec8b9c5646598b5427b0bb3e7bde450299165f68b6b\"\nscopes = [\"camera\"]\n\
    [tokens.barrier]\nsha256 = \"b56805574f6747d85386072f1765ed01250a492907aee7d9f542e0951d1cbcd9\"\nscopes = [\"payment-status\"]\nrate_per_second = 1000\n";

const CAR_PARK: &str = r#"
[parking]
account = "a-parking"
duplicate_within = "30s"
expired_grace = "5d"
retention = "30d"

[[account]]
id = "a-parking"
building = "parking"

[[area]]
id = "yard"
capacity = 10
tariff = "temporary"

[[lane]]
id = "in"
to = "yard"

[[lane]]
id = "out"
from = "yard"

[[camera]]
id = "cam-in"
lane = "in"
vendor = "generic"

[[camera]]
id = "cam-out"
lane = "out"
vendor = "generic"

[[camera]]
id = "cam-dahua"
lane = "in"
vendor = "dahua"

[[camera]]
id = "cam-hik"
lane = "in"
vendor = "hikvision"

[[barrier]]
lane = "in"
vendor = "generic"
open = "answer"
fail_safe = "ask"

[[barrier]]
lane = "out"
vendor = "generic"
open = "answer"
fail_safe = "open"

[[permit]]
id = "p-1"
class = "monthly"
plates = ["粤B12345"]
account = "a-parking"
"#;

fn push(gateway: &Gateway, camera: &str, media: &str, body: &str) -> Reply {
    let fields = [("Authorization", "Bearer camera-token"), ("Content-Type", media)];
    page::ask(gateway.address(), "POST", &format!("/v1/cameras/{camera}"), &fields, body)
        .expect("the page")
}

/// A car at a generic camera; the action that is answered.
fn car(gateway: &Gateway, camera: &str, id: &str, plate: &str) -> String {
    let body = json!({"type": "car", "id": id, "plate": plate});
    let reply = push(gateway, &format!("{camera}/generic"), "application/json", &body.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer: Value = serde_json::from_str(&reply.body).expect("JSON");
    answer["action"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn asked(gateway: &Gateway, token: &str, question: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let fields = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let body = question.to_string();
    let reply = page::ask(gateway.address(), "POST", "/v1/payment-status", &fields, &body);
    let reply = reply.expect("the page");
    (reply.status, serde_json::from_str(&reply.body).unwrap_or_default())
}

/// A gateway with a car park. Its broker is a port where nobody listens.
fn car_park() -> Gateway {
    let gateway = Gateway::new("");
    let rules = std::fs::read_to_string(source("rules/tariffs/parking.toml")).expect("the rules");
    gateway.write("rules.d/parking.toml", &rules);
    let tokens = std::fs::read_to_string(gateway.path("state/tokens.toml")).expect("tokens");
    private(&gateway.path("state/tokens.toml"), &format!("{tokens}{TOKENS}"));
    gateway.write_config(CAR_PARK);
    gateway
}

fn records(gateway: &Gateway, what: &str) -> usize {
    let journal = gateway.journal();
    journal.iter().filter(|record| record["data"]["what"] == what).count()
}

#[test]
fn a_car_park_answers_with_the_cloud_away_and_remembers_through_a_kill() {
    let mut gateway = car_park();
    gateway.start();
    assert_eq!(car(&gateway, "cam-in", "1", "粤A11111"), "open");
    assert_eq!(car(&gateway, "cam-in", "1", "粤A11111"), "open", "its answer was lost: again");
    assert_eq!(car(&gateway, "cam-in", "2", "粤B12345"), "open");
    assert_eq!(records(&gateway, "passed"), 2, "a repetition is no passage");

    let question = json!({"lane": "out", "plate": "粤A11111"});
    let (status, told) = asked(&gateway, "barrier-token", &question);
    assert_eq!(
        (status, &told["decision"], &told["reason"]),
        (200, &json!("open"), &json!("free-time"))
    );
    // What it would be told two hours from now.
    let as_of: Time = told["as_of"].as_str().and_then(|text| text.parse().ok()).expect("a time");
    let later = as_of.plus(Span::from_mins(119)).to_string();
    let question = json!({"lane": "out", "plate": "粤A11111", "at": later});
    let (_, told) = asked(&gateway, "barrier-token", &question);
    assert_eq!((&told["decision"], &told["amount_fen"]), (&json!("pay"), &json!(800)), "{told}");
    // Nobody may ask with a camera's token, or for a vehicle that is no question.
    let (status, _) = asked(&gateway, "camera-token", &question);
    assert_eq!(status, 403);
    let (status, _) = asked(&gateway, "barrier-token", &json!({"lane": "out", "plates": "x"}));
    assert_eq!(status, 400);

    gateway.kill();
    gateway.start();
    let stays = gateway.json("/v1/stays");
    assert_eq!(stays["stays"].as_array().map(Vec::len), Some(2), "{stays}");
    assert!(!stays.to_string().contains("11111"), "plates are masked: {stays}");
    assert_eq!(car(&gateway, "cam-in", "1", "粤A11111"), "open", "the same record once more");
    assert_eq!(car(&gateway, "cam-out", "3", "粤B12345"), "open");
    assert_eq!(car(&gateway, "cam-out", "4", "粤A11111"), "open", "within its free time");
    assert_ne!(car(&gateway, "cam-out", "5", "湘C98765"), "open", "nobody saw it come");
    assert_eq!(records(&gateway, "passed"), 5);
    let unresolved = gateway.json("/v1/unresolved");
    let row = &unresolved["unresolved"][0];
    assert_eq!(row["why"], "no-entry", "{unresolved}");
    assert!(row["proposed"]["zh"].is_string() && row["proposed"]["en"].is_string());
    assert!(!gateway.log().contains("11111"), "no plate in the log");
    gateway.stop();
}

#[test]
fn no_broken_push_opens_anything_or_stops_the_lanes() {
    let mut gateway = car_park();
    gateway.start();
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"bbbbbbbbbb\"><!ENTITY c \
        \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><EventNotificationAlert>&c;&c;&c;</EventNotificationAlert>";
    let deep = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
    let cut = "--x\r\nContent-Disposition: form-data; name=\"anpr.xml\"\r\n\r\n<EventNotif";
    let pushes: [(&str, &str, &str); 9] = [
        ("cam-hik/hikvision", "application/xml", bomb),
        ("cam-hik/hikvision", "application/xml", &deep),
        ("cam-hik/hikvision", "multipart/form-data; boundary=x", cut),
        ("cam-hik/hikvision", "multipart/form-data", cut),
        ("cam-dahua/dahua", "application/json", "{\"Picture\": [[[[[[[["),
        ("cam-dahua/dahua", "application/json; charset=GB2312", "{\"a\": \"粤\"}"),
        ("cam-in/generic", "application/json", "{\"type\": \"car\", \"id\": 5}"),
        ("cam-in/generic", "application/json", "{\"type\":\"car\",\"id\":\"1\",\"open\":true}"),
        ("cam-in/generic", "text/plain", "\u{0}\u{1}open"),
    ];
    for (camera, media, body) in pushes {
        let reply = push(&gateway, camera, media, body);
        assert!((400..500).contains(&reply.status), "{camera} {media}: {reply:?}");
        assert!(!reply.body.contains("\"open\""), "{reply:?}");
    }
    let reply =
        push(&gateway, "cam-of-nobody/generic", "application/json", "{\"type\":\"heartbeat\"}");
    assert_eq!(reply.status, 404, "{reply:?}");
    assert_eq!(records(&gateway, "passed"), 0);
    assert_eq!(records(&gateway, "gate-opening"), 0);
    assert_eq!(car(&gateway, "cam-in", "1", "粤A11111"), "open", "and the lanes work");
    gateway.stop();
}
