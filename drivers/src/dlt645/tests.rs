use super::frame::{Ask, control, judge};
use super::order::{Authority, Relay, RelayState, Stamp, relay_data, write_data};
use super::*;
use crate::hex::{Hex, parse_hex};
use crate::line::Verdict;
use serde_json::Value;

const VECTORS: &str = include_str!("../../tests/vectors/dlt645.jsonl");
const PEER: &str = include_str!("../../tests/vectors/dlt645_peer.jsonl");

fn vectors(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// Holds a frame against everything that its vector states; says how many statements it checked.
fn agrees(id: &str, hex: &str, expected: &Value) -> usize {
    let bytes = parse_hex(hex).unwrap();
    let decoded = decode_frame(&bytes);
    assert!(decoded.valid, "{id}: {decoded:?}");
    let frame = Frame::parse(&bytes).unwrap();
    assert_eq!(frame.preamble as u64, expected["preamble"].as_u64().unwrap(), "{id}");
    let mut checked = 1;
    let numbers: Vec<String> = decoded
        .values
        .iter()
        .map(|(_, value)| value.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    for (key, want) in expected.as_object().unwrap() {
        let field = |name: &str| decoded.get(name).unwrap_or_else(|| panic!("{id}: no {name}"));
        let first = |name: &str| field(name).split(' ').next().unwrap_or_default().to_owned();
        match key.as_str() {
            "address" => assert_eq!(field("address"), want, "{id}"),
            "control" => assert_eq!(first("control"), *want, "{id}"),
            "data" => assert_eq!(field("data"), want, "{id}"),
            "di" => assert_eq!(field("di"), want, "{id}"),
            "value" => assert_eq!(numbers, [want.as_str().unwrap()], "{id}"),
            "values" => {
                let want: Vec<&str> =
                    want.as_array().unwrap().iter().map(|v| v.as_str().unwrap_or("no")).collect();
                assert_eq!(numbers, want, "{id}");
            }
            "unit" => {
                let unit = want.as_str().unwrap().replace("°C", "degC");
                let with_unit = |(_, v): &&(String, String)| *v != "no value";
                for (_, value) in decoded.values.iter().filter(with_unit) {
                    assert_eq!(value.split_once(' ').map_or("", |(_, u)| u), unit, "{id}");
                }
            }
            "error" => assert_eq!(first("error code"), *want, "{id}"),
            "meter_address" => assert_eq!(field("meter address"), want, "{id}"),
            "password_level" => assert_eq!(field("password level"), want, "{id}"),
            "password" => assert_eq!(field("password"), want, "{id}"),
            "operator" => assert_eq!(field("operator"), want, "{id}"),
            "n1" => assert_eq!(first("order"), *want, "{id}"),
            "n2" => assert_eq!(field("n2"), want, "{id}"),
            "deadline" => assert!(want.as_str().unwrap().starts_with(field("deadline")), "{id}"),
            "clock" => assert_eq!(field("clock"), want, "{id}"),
            "value_raw" => assert_eq!(field("value"), want, "{id}"),
            "preamble" | "quantity" | "deadline_raw" => continue,
            other => panic!("{id}: {other} is not checked"),
        }
        checked += 1;
    }
    checked
}

#[test]
fn every_captured_frame_decodes_to_what_its_source_states() {
    let (mut good, mut bad, mut checked) = (0, 0, 0);
    for vector in vectors(VECTORS) {
        let id = text(&vector, "id").unwrap();
        let hex = text(&vector, "hex").unwrap();
        if vector["valid"] == true {
            checked += agrees(id, hex, &vector["expected"]);
            good += 1;
        } else {
            let reject = text(&vector, "reject").unwrap();
            let error = Frame::parse(&parse_hex(hex).unwrap()).unwrap_err().to_string();
            for word in reject.split([' ', ',']).filter(|w| w.len() <= 2 && !w.is_empty()) {
                assert!(error.contains(word), "{id}: {reject} / {error}");
            }
            assert!(!decode_frame(&parse_hex(hex).unwrap()).valid, "{id}");
            bad += 1;
        }
    }
    assert_eq!((good, bad), (26, 4));
    assert!(checked > 100, "{checked}");
}

#[test]
fn requests_and_replies_of_an_independent_meter_agree() {
    for vector in vectors(PEER) {
        let id = text(&vector, "id").unwrap();
        let request = text(&vector, "request").unwrap();
        agrees(id, request, &vector["expected"]["request"]);
        // What we would send is what the peer's own client sent.
        let frame = Frame::parse(&parse_hex(request).unwrap()).unwrap();
        let mut ours = Vec::new();
        frame::put(&mut ours, frame.preamble, frame.address, frame.control, &frame.data);
        assert_eq!(Hex(&ours).to_string(), request, "{id}");
        let Some(reply) = text(&vector, "reply") else { continue };
        agrees(id, reply, &vector["expected"]["reply"]);
        let echo = match frame.control {
            control::READ => frame.data.clone(),
            _ => Vec::new(),
        };
        let ask = Ask { address: frame.address, control: frame.control, echo };
        let reply = parse_hex(reply).unwrap();
        let whole = Verdict::Reply { start: 4, len: reply.len() - 4 };
        assert_eq!(judge(&ask, &ours, &reply), whole, "{id}");
        for cut in 0..reply.len() {
            assert_eq!(judge(&ask, &ours, &reply[..cut]), Verdict::More, "{id} at {cut}");
        }
        // An adaptor's echo in front, with and without the preamble.
        for echo in [&ours[..], &ours[4..]] {
            let received = [echo, &reply].concat();
            let verdict = judge(&ask, &ours, &received);
            let Verdict::Skip(n) = verdict else { panic!("{id}: {verdict:?}") };
            assert_eq!(judge(&ask, &ours, &received[n..]), whole, "{id}");
        }
    }
}

fn ask(di: u32) -> (Ask, Vec<u8>) {
    let address = "000000000161".parse().unwrap();
    let echo = Edition::E2007.di_wire(di);
    let mut sent = Vec::new();
    frame::put(&mut sent, 4, address, control::READ, &echo);
    (Ask { address, control: control::READ, echo }, sent)
}

#[test]
fn an_answer_of_another_meter_or_to_another_question_is_wrong() {
    let energy = parse_hex("68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16").unwrap();
    let (good, sent) = ask(0x0001_0000);
    assert_eq!(judge(&good, &sent, &energy), Verdict::Reply { start: 0, len: 20 });
    // A late answer: the question was the current's.
    let (other, sent) = ask(0x0202_0100);
    let verdict = judge(&other, &sent, &energy);
    let Verdict::Wrong(_, what) = verdict else { panic!("{verdict:?}") };
    assert_eq!(what, "the answer is to 00010000, asked was 02020100");
    let (mut good, sent) = ask(0x0001_0000);
    good.address = "000000000162".parse().unwrap();
    let verdict = judge(&good, &sent, &energy);
    let Verdict::Wrong(_, what) = verdict else { panic!("{verdict:?}") };
    assert_eq!(what, "meter 000000000161 answered in place of 000000000162");
    // Two different answers glued: nobody knows which is ours.
    let (good, sent) = ask(0x0001_0000);
    let mut second = Vec::new();
    frame::put(&mut second, 0, good.address, 0x91, &parse_hex("00 00 01 00 27 00 00 00").unwrap());
    let verdict = judge(&good, &sent, &[energy.clone(), second].concat());
    assert!(matches!(verdict, Verdict::Wrong(..)), "{verdict:?}");
    let twice = judge(&good, &sent, &[energy.clone(), energy].concat());
    assert_eq!(twice, Verdict::Reply { start: 0, len: 20 });
}

#[test]
fn a_damaged_frame_says_which_byte() {
    for (hex, want) in [
        ("", "there is no start byte 68"),
        ("FE FE", "there is no start byte 68"),
        ("FE 67 01", "byte 2 is 67 and should be 68 (start)"),
        ("68 61 01", "the frame has 3 bytes and needs at least 12"),
        ("68 61 01 00 00 00 00 69 91 00 00 16", "byte 8 is 69 and should be 68 (second start)"),
        (
            "68 61 01 00 00 00 00 68 91 09 33 33 34 33 59 33 33 33 8A 16",
            "the length in byte 10 says 9 data bytes, 8 follow",
        ),
        (
            "68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8B 16",
            "the checksum in byte 19 is 8B, the sum of the bytes is 8A",
        ),
        (
            "68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 17",
            "byte 20 is 17 and should be 16 (end)",
        ),
    ] {
        let error = Frame::parse(&parse_hex(hex).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), want, "{hex}");
    }
}

#[test]
fn orders_are_written_as_captured_ones() {
    let authority = Authority { level: 2, password: [0; 3], operator: [0x31; 4] };
    let deadline = Stamp { year: 99, month: 1, day: 1, hour: 1, minute: 1, second: 1 };
    let data = relay_data(authority, Relay::Close, deadline);
    assert_eq!(Hex(&data).to_string(), "02 00 00 00 31 31 31 31 1C 00 01 01 01 01 01 99");
    let data = write_data(0x0460_0101, authority, &[0x3C, 0x00]);
    assert_eq!(Hex(&data).to_string(), "01 01 60 04 02 00 00 00 31 31 31 31 3C 00");
    let mut clock = Vec::new();
    let now = Stamp { year: 17, month: 6, day: 5, hour: 10, minute: 22, second: 51 };
    order::put_clock(&mut clock, Address::BROADCAST, now);
    assert_eq!(
        Hex(&clock).to_string(),
        "FE FE FE FE 68 99 99 99 99 99 99 68 08 06 84 55 43 38 39 4A 4B 16"
    );
    assert_eq!(RelayState::from_status_word_3(&[0x10, 0]), Some(RelayState::Open));
    assert_eq!(RelayState::from_status_word_3(&[0x40, 0]), Some(RelayState::Closed));
    assert_eq!(RelayState::from_status_word_3(&[0x10]), None);
}

#[test]
fn addresses_are_read_as_on_the_meter_s_face() {
    let address = |text: &str| text.parse::<Address>();
    assert_eq!(address("161").unwrap().to_string(), "000000000161");
    assert_eq!(address("260305510009").unwrap().wire(), [0x09, 0x00, 0x51, 0x05, 0x03, 0x26]);
    for bad in ["", "1234567890123", "12345678901x", "12345678901F", "A"] {
        assert!(address(bad).is_err(), "{bad}");
    }
    let mask = address("AAAAAAAA0009").unwrap();
    assert!(mask.is_wild() && mask.covers(address("260305510009").unwrap()));
    assert!(!mask.covers(address("260305510008").unwrap()));
    assert!(!address("260305510009").unwrap().is_wild());
}

#[test]
fn older_meters_have_their_own_identifiers() {
    // DL/T 645-1997: 9010, forward total. Made by us after the standard's frame.
    let mut bytes = Vec::new();
    let address = "000000000161".parse().unwrap();
    frame::put(&mut bytes, 2, address, 0x81, &[0x10, 0x90, 0x56, 0x34, 0x12, 0x00]);
    let decoded = decode_frame(&bytes);
    assert_eq!(decoded.framing, "DL/T 645-1997");
    assert_eq!(
        decoded.values,
        [("forward active energy, total".to_owned(), "1234.56 kWh".to_owned())]
    );
    assert_eq!(decoded.get("di"), Some("9010"));
}

proptest::proptest! {
    // drivers: invariant 3 (lib.rs).
    #[test]
    fn any_bytes_are_explained_and_judged_without_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        control in proptest::num::u8::ANY,
        data in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        di in proptest::num::u32::ANY,
        length in 0_usize..300,
    ) {
        let _ = decode_frame(&bytes);
        let (question, sent) = ask(0x0001_0000);
        let _ = judge(&question, &sent, &bytes);
        let mut framed = Vec::new();
        frame::put(&mut framed, 1, question.address, control, &data);
        proptest::prop_assert_eq!(Frame::parse(&framed).unwrap().data, data);
        let _ = decode_frame(&framed);
        for edition in [Edition::E2007, Edition::E1997] {
            for item in data::items(edition, di, length).unwrap_or_default() {
                let _ = data::text(item.form, &bytes);
            }
        }
    }
}
