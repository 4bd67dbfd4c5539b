//! The wire form, by table, by golden text and with any bytes.

use super::*;
use blockgate_types::{
    Decimal, FaultClass, ReadFault, RegisterName, RegisterSpec, Role, Unit, Values,
};
use proptest::prelude::*;

fn sender() -> Sender {
    Sender {
        source: "/blockgate/t1/gw-7".into(),
        boot: "5f0c12ab".into(),
        version: "0.1.0".into(),
        config_hash: "c0ffee".into(),
        head_key: "5eed".into(),
    }
}

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn receipts_confirm_by_sequence_by_id_or_refuse() {
    let ids = |ids: &[&str]| ids.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    for (json, want) in [
        (r#"{"through":1042}"#, Some(Receipt { through: Some(1042), ..Receipt::default() })),
        (r#"{"ids":["a","b"]}"#, Some(Receipt { ids: ids(&["a", "b"]), ..Receipt::default() })),
        (
            r#"{"through":7,"ids":["x"],"refused":[{"id":"y","code":"schema","reason":"no"}],"later":1}"#,
            Some(Receipt {
                through: Some(7),
                epoch: None,
                ids: ids(&["x"]),
                refused: vec![Refused {
                    id: "y".into(),
                    code: "schema".into(),
                    reason: "no".into(),
                }],
            }),
        ),
        ("{}", None),
        (r#"{"ids":[]}"#, None),
        (r#"{"through":-1}"#, None),
        (r#"{"through":1.5}"#, None),
        (r#"{"through":"7"}"#, None),
        (r#"{"ids":"a"}"#, None),
        (r#"{"ids":[1]}"#, None),
        (r#"{"refused":[{"code":"x"}]}"#, None),
        (r#"{"through":7}{"through":8}"#, None),
        ("7", None),
        ("", None),
    ] {
        assert_eq!(receipt(json.as_bytes()).ok(), want, "{json}");
    }
    let many = format!("{{\"ids\":[{}\"x\"]}}", "\"x\",".repeat(limits::MQTT_RECEIPT_IDS_MAX));
    assert!(receipt(many.as_bytes()).is_err());
}

const GOOD: &str = r#"{"id":"c-1","issued_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-01T00:05:00Z","actor":"ops","args":{"meter":"m-0101"}}"#;

#[test]
fn a_command_is_read_with_its_name_from_the_topic() {
    let command = command("read-now", GOOD.as_bytes(), false).unwrap();
    assert_eq!(command.id.as_str(), "c-1");
    assert_eq!(command.actor, "ops");
    assert_eq!(command.expires_at, at("2026-03-01T00:05:00Z"));
    assert_eq!(
        command.order,
        Order::ReadNow { meter: MeterId::new("m-0101").unwrap(), frozen: None }
    );
}

#[test]
fn bad_commands_are_refused_with_a_code_and_the_id_where_it_can_be_read() {
    let resend = GOOD.replace(r#"{"meter":"m-0101"}"#, r#"{"from":1,"to":2}"#);
    assert!(command("resend", resend.as_bytes(), false).is_ok());
    let deep = GOOD.replace(r#""m-0101""#, &format!("{}1{}", "[".repeat(5000), "]".repeat(5000)));
    let huge = GOOD.replace("m-0101", &"m".repeat(limits::MQTT_COMMAND_BYTES_MAX));
    for (name, payload, id, code) in [
        ("open-sesame", GOOD.to_owned(), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("m-0101", "M 1"), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("\"meter\"", "\"metre\""), Some("c-1"), "bad-request"),
        (
            "read-now",
            GOOD.replace("\"m-0101\"", "\"m-0101\",\"force\":true"),
            Some("c-1"),
            "bad-request",
        ),
        ("read-now", GOOD.replace("\"args\"", "\"arguments\""), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("\"actor\"", "\"sudo\":1,\"actor\""), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("\"id\":\"c-1\"", "\"id\":\"C 1\""), None, "bad-request"),
        ("read-now", GOOD.replace("\"id\":\"c-1\",", ""), None, "bad-request"),
        ("read-now", GOOD.replace("ops", ""), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("ops", &"o".repeat(129)), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("ops", "a\\nb"), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("00:05:00Z", "00:00:00Z"), Some("c-1"), "bad-request"),
        ("read-now", GOOD.replace("00:05:00Z", "soon"), Some("c-1"), "bad-request"),
        ("resend", resend.replace("\"from\":1", "\"from\":-1"), Some("c-1"), "bad-request"),
        ("resend", resend.replace("\"to\":2", "\"to\":2e9"), Some("c-1"), "bad-request"),
        ("read-now", deep, None, "bad-request"),
        ("read-now", huge, None, "payload-too-large"),
        ("read-now", format!("{GOOD}x"), None, "bad-request"),
        ("read-now", "[]".to_owned(), None, "bad-request"),
        ("read-now", String::new(), None, "bad-request"),
    ] {
        let refusal = command(name, payload.as_bytes(), false).unwrap_err();
        let shown: String = payload.chars().take(160).collect();
        assert_eq!(refusal.id.as_ref().map(CommandId::as_str), id, "{name} {shown}");
        assert_eq!(refusal.code.text(), code, "{name} {shown}");
        assert!(!refusal.reason.is_empty());
    }
}

#[test]
fn a_retained_command_is_refused() {
    let refusal = command("read-now", GOOD.as_bytes(), true).unwrap_err();
    assert_eq!(refusal.code.text(), "command-retained");
    assert_eq!(refusal.id.unwrap().as_str(), "c-1");
}

#[test]
fn state_keeps_its_golden_form() {
    let now = at("2026-03-01T00:15:00Z");
    assert_eq!(
        text(state(&sender(), true, ClockState::Synced, 3, now)),
        r#"{"online":true,"bootid":"5f0c12ab","version":"0.1.0","config_hash":"c0ffee","head_key":"5eed","clockstate":"synced","outbox":3,"time":"2026-03-01T00:15:00Z"}"#
    );
    let keys = |online| {
        let value: Map<String, Value> =
            serde_json::from_slice(&state(&sender(), online, ClockState::Unsynced, 0, now))
                .unwrap();
        value.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(true), keys(false), "birth and last will have the same fields");
}

#[test]
fn responses_keep_their_golden_form() {
    let now = at("2026-03-01T00:15:00Z");
    let id = CommandId::new("c-1").unwrap();
    let accepted = Response {
        id: Some(id.clone()),
        name: "read-now".into(),
        status: Status::Accepted,
        code: "",
        reason: String::new(),
        result: None,
    };
    assert_eq!(
        text(accepted.to_json(&sender(), now)),
        r#"{"id":"c-1","name":"read-now","status":"accepted","code":"","reason":"","time":"2026-03-01T00:15:00Z","bootid":"5f0c12ab"}"#
    );
    for (outcome, status, code) in [
        (Outcome::Done, "done", ""),
        (Outcome::Failed, "failed", "command-failed"),
        (Outcome::Expired, "expired", "command-expired"),
        (Outcome::Duplicate, "duplicate", "command-duplicate"),
        (Outcome::Refused, "refused", "command-refused"),
        (Outcome::Unknown, "unknown", "command-unknown"),
    ] {
        let response = Response::ended(id.clone(), "resend", outcome, "why".into());
        let json = text(response.to_json(&sender(), now));
        assert_eq!(
            json,
            format!(
                r#"{{"id":"c-1","name":"resend","status":"{status}","code":"{code}","reason":"why","time":"2026-03-01T00:15:00Z","bootid":"5f0c12ab"}}"#
            )
        );
    }
    let read = Response::ended(id, "read-now", Outcome::Done, r#"{"volume":"1.5"}"#.into());
    assert_eq!(
        text(read.to_json(&sender(), now)),
        r#"{"id":"c-1","name":"read-now","status":"done","code":"","reason":"","result":{"volume":"1.5"},"time":"2026-03-01T00:15:00Z","bootid":"5f0c12ab"}"#
    );
}

#[test]
fn live_values_go_out_as_strings_with_units_and_at_most_a_hundred_meters_a_message() {
    let now = at("2026-03-01T00:15:00Z");
    let spec = RegisterSpec {
        name: RegisterName::new("voltage_l1").unwrap(),
        unit: Unit::Volt,
        role: Role::Live,
        decimals: 1,
        rollover_digits: None,
    };
    let fault = ReadFault { class: FaultClass::Timeout, what: "no answer".into(), raw: vec![] };
    let good = MeterBoard {
        last: Some((
            now,
            Values {
                specs: vec![spec.clone(), spec].into(),
                values: vec![Some(Decimal::new(2301, 1)), None],
            },
        )),
        ..MeterBoard::default()
    };
    let bad = MeterBoard { fault: Some((now, fault)), ..MeterBoard::default() };
    let never = MeterBoard::default();
    let names: Vec<MeterId> =
        (0..150).map(|n| MeterId::new(&format!("m-{n:03}")).unwrap()).collect();
    let boards = names.iter().enumerate().map(|(n, id)| {
        (
            id,
            match n {
                0 => &bad,
                1 => &never,
                _ => &good,
            },
        )
    });
    let messages = live(&sender(), ClockState::Synced, now, boards);
    let counts: Vec<usize> = messages
        .iter()
        .map(|m| {
            let value: Value = serde_json::from_slice(m).unwrap();
            value["data"]["meters"].as_array().unwrap().len()
        })
        .collect();
    assert_eq!(counts, [100, 49], "a meter that was never seen is left out");
    let first: Value = serde_json::from_slice(&messages[0]).unwrap();
    assert_eq!(first["data"]["meters"][0], json!({"meter":"m-000","fault":"timeout"}));
    assert_eq!(
        first["data"]["meters"][1],
        json!({"meter":"m-002","at":"2026-03-01T00:15:00Z",
               "values":{"voltage_l1":{"value":"230.1","unit":"V"}}})
    );
}

proptest! {
    #[test]
    fn any_bytes_are_survived(payload in prop::collection::vec(any::<u8>(), 0..400), name in ".{0,20}") {
        let _ = receipt(&payload);
        prop_assert!(command(&name, &payload, false).is_err());
    }

    #[test]
    fn a_damaged_command_is_refused_or_still_names_the_same_order(at in 0..GOOD.len(), byte in any::<u8>()) {
        let mut payload = GOOD.as_bytes().to_vec();
        payload[at] = byte;
        if let Ok(command) = command("read-now", &payload, false) {
            let reads = matches!(command.order, Order::ReadNow { .. });
            prop_assert!(reads);
            prop_assert!(command.expires_at > command.issued_at);
        }
    }
}
