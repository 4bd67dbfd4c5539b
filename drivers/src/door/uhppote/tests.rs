use super::reply::read_sent;
use super::*;
use crate::door::{Civil, CivilDate, Control, Denial, Entry, Happened};
use crate::hex::parse_hex;
use proptest::prelude::*;
use serde_json::Value;

const VECTORS: &str = include_str!("../../../tests/vectors/door/uhppote.jsonl");
const PEER: &str = include_str!("../../../tests/vectors/door/uhppote_peer.jsonl");

fn vectors() -> impl Iterator<Item = Value> {
    VECTORS.lines().chain(PEER.lines()).map(|line| serde_json::from_str(line).unwrap())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Every request of the vectors is read to what its source says, and written again byte for byte.
#[test]
fn requests_are_read_and_written_as_two_other_implementations_do() {
    let mut seen = 0;
    for vector in vectors().filter(|vector| vector["dir"] == "req") {
        let (id, bytes) = (&vector["id"], parse_hex(vector["hex"].as_str().unwrap()).unwrap());
        let (serial, request) = Request::read(&bytes).unwrap_or_else(|| panic!("{id}"));
        assert_eq!(request.encode(serial).as_slice(), bytes, "{id}");
        let decoded = decode_frame(&bytes);
        assert!(decoded.valid, "{id}: {decoded:?}");
        assert_eq!(decoded.kind, "request", "{id}");
        for (key, want) in vector["expected"].as_object().unwrap() {
            if key == "first_card" {
                continue;
            }
            assert_eq!(decoded.get(key), Some(text(want).as_str()), "{id}: {key}");
        }
        seen += 1;
    }
    assert_eq!(seen, 31);
}

#[test]
fn replies_and_sent_events_decode_to_what_their_sources_state() {
    let mut seen = 0;
    for vector in vectors().filter(|vector| vector["dir"] != "req") {
        let (id, bytes) = (&vector["id"], parse_hex(vector["hex"].as_str().unwrap()).unwrap());
        let expected = &vector["expected"];
        let number = |key: &str| expected[key].as_u64().unwrap();
        let serial = u32::try_from(number("serial")).unwrap();
        match expected["code"].as_str().unwrap() {
            "20" => {
                let (from, status) = read_sent(&bytes).unwrap();
                let asked = read(&Request::GetStatus, serial, &bytes).unwrap();
                assert_eq!((from, &asked), (serial, &Reply::Status(Box::new(status.clone()))));
                let newest = status.newest.unwrap();
                assert_eq!(newest.index, number("index"), "{id}");
                assert_eq!(u64::from(newest.door), number("door"), "{id}");
                assert_eq!(newest.at.unwrap().to_string(), text(&expected["timestamp"]), "{id}");
                let (what, card) = match number("reason") {
                    6 => (Happened::Denied(Denial::NoRight), Some(number("card"))),
                    44 => (Happened::Remote, None),
                    other => panic!("{id}: {other}"),
                };
                assert_eq!((newest.what, newest.card), (what, card), "{id}");
                let open: Vec<Value> = status.open.iter().map(|open| (*open).into()).collect();
                assert_eq!(Value::from(open), expected["doors_open"], "{id}");
                let clock = status.clock.unwrap().to_string();
                let want = format!(
                    "{} {}",
                    text(&expected["system_date"]),
                    text(&expected["system_time"])
                );
                assert_eq!(clock, want, "{id}");
                let inputs = u64::from(status.force_lock) + 2 * u64::from(status.fire);
                assert_eq!(inputs, number("inputs"), "{id}");
                assert_eq!(u64::from(status.sequence), number("sequence"), "{id}");
            }
            "94" => {
                let reply = read(&Request::GetDevice, serial, &bytes).unwrap();
                let Reply::Device(address, version) = reply else { panic!("{id}: {reply:?}") };
                assert_eq!(address.to_string(), text(&expected["ip"]), "{id}");
                assert_eq!(format!("{version:04x}"), text(&expected["version"]), "{id}");
            }
            "40" | "50" | "90" => {
                let code = u8::from_str_radix(expected["code"].as_str().unwrap(), 16).unwrap();
                let asked =
                    if code == 0x40 { Request::Open(3) } else { PUTS[usize::from(code == 0x90)] };
                assert_eq!(read(&asked, serial, &bytes), Ok(Reply::Done(true)), "{id}");
            }
            other => panic!("{id}: {other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, 9);
}

const DAY: CivilDate = CivilDate { year: 2026, month: 1, day: 1 };
const PUTS: [Request; 2] = [
    Request::PutCard(Card { number: 1, from: DAY, to: DAY, doors: [0; 4], pin: 0 }),
    Request::SetListener(std::net::Ipv4Addr::LOCALHOST, 40_000, 0),
];

#[test]
fn an_answer_to_another_question_or_of_another_controller_is_none() {
    let entry = |index| Entry {
        index,
        at: None,
        door: 1,
        what: Happened::Granted,
        card: Some(77),
        inward: Some(true),
    };
    let bytes = reply::write(0xB0, 7, &Reply::Event(entry(41)));
    assert_eq!(read(&Request::GetEvent(41), 7, &bytes), Ok(Reply::Event(entry(41))));
    assert_eq!(read(&Request::GetEvent(42), 7, &bytes), Err(BadReply::Stale));
    assert_eq!(read(&Request::GetEvent(0), 7, &bytes), Ok(Reply::Event(entry(41))));
    assert_eq!(read(&Request::GetEvent(41), 8, &bytes), Err(BadReply::Serial(7)));
    assert_eq!(read(&Request::GetStatus, 7, &bytes), Err(BadReply::Code(0xB0)));
    assert_eq!(read(&Request::GetEvent(41), 7, &bytes[..63]), Err(BadReply::Length(63)));
    let none = reply::write(0xB0, 7, &Reply::NoEvent);
    assert_eq!(read(&Request::GetEvent(9), 7, &none), Ok(Reply::NoEvent));
    let over = reply::write(0xB0, 7, &Reply::Overwritten);
    assert_eq!(read(&Request::GetEvent(9), 7, &over), Ok(Reply::Overwritten));
    let other = reply::write(0x80, 7, &Reply::Control(2, Control::Open, 5));
    let asked = Request::SetControl(3, Control::Open, 5);
    assert_eq!(read(&asked, 7, &other), Err(BadReply::Stale));
}

#[test]
fn a_refused_swipe_is_never_read_as_granted() {
    for reason in 0..=255 {
        assert_ne!(reason::happened(1, false, reason), Happened::Granted, "{reason}");
    }
    assert_eq!(reason::happened(1, true, 1), Happened::Granted);
    // A controller that contradicts itself is not believed.
    assert_eq!(reason::happened(1, true, 6), Happened::Denied(Denial::NoRight));
    assert!(!is_card(0) && !is_card(0x00FF_FFFF) && is_card(10_058_400));
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_read_is_written_again(bytes in proptest::collection::vec(any::<u8>(), 0..70), code in 0_usize..24) {
        let _ = decode_frame(&bytes);
        let _ = read_sent(&bytes);
        let mut bytes = bytes;
        bytes.resize(LEN, 0);
        let peer: Value = serde_json::from_str(PEER.lines().nth(code).unwrap()).unwrap();
        let hex = parse_hex(peer["hex"].as_str().unwrap()).unwrap();
        bytes[..2].copy_from_slice(&hex[..2]);
        let _ = decode_frame(&bytes);
        if let Some((serial, request)) = Request::read(&bytes) {
            prop_assert_eq!(Request::read(&request.encode(serial)), Some((serial, request)));
            let _ = read(&request, serial, &bytes);
        }
    }

    #[test]
    fn times_keep_their_digits(year in 2000_u16..2100, month in 1_u8..13, day in 1_u8..29, hour in 0_u8..24, minute in 0_u8..60, second in 0_u8..60) {
        let civil = Civil { year, month, day, hour, minute, second };
        let bytes = Request::SetTime(civil).encode(1);
        prop_assert_eq!(Request::read(&bytes), Some((1, Request::SetTime(civil))));
    }
}
