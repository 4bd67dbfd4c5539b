use super::frame::{Ask, control, judge};
use super::*;
use crate::hex::parse_hex;
use crate::line::Verdict;
use serde_json::Value;

const VECTORS: &str = include_str!("../../tests/vectors/cjt188.jsonl");
const STREAM: &str = include_str!("../../tests/vectors/cjt188_stream.jsonl");

fn agrees(id: &str, hex: &str, expected: &Value) {
    let decoded = decode_frame(&parse_hex(hex).unwrap());
    assert!(decoded.valid, "{id}: {decoded:?}");
    for (key, want) in expected.as_object().unwrap() {
        let field = |name: &str| decoded.get(name).unwrap_or_else(|| panic!("{id}: no {name}"));
        let first = |name: &str| field(name).split(' ').next().unwrap_or_default().to_owned();
        let is = match key.as_str() {
            "preamble" => Value::from(field("preamble").parse::<u64>().unwrap()),
            "address" | "ser" | "status" => Value::from(field(key)),
            "type" | "control" | "di" | "current" | "settlement" | "settlement_heat" | "heat"
            | "power" | "flow" | "volume" | "hours" | "write" => Value::from(first(key)),
            "di_wire" => Value::from(field("di order").split(',').next().unwrap()),
            "di_order" => Value::from(field("di order").split(", ").nth(1).unwrap()),
            "supply_c" => Value::from(first("supply_temperature")),
            "return_c" => Value::from(first("return_temperature")),
            "time" => match field("time") {
                "none" => Value::Null,
                time => Value::from(time),
            },
            key if key.ends_with("_unit") => {
                let code = u8::from_str_radix(want.as_str().unwrap(), 16).unwrap();
                let text = field(key.trim_end_matches("_unit"));
                let unit = text.split_once(' ').map_or("", |(_, unit)| unit);
                assert_eq!(Some(unit), data::unit(code).map(|(text, _)| text), "{id}: {key}");
                continue;
            }
            "time_order" => continue,
            other => panic!("{id}: {other} is not checked"),
        };
        assert_eq!(is, *want, "{id}: {key}");
    }
}

#[test]
fn every_captured_frame_decodes_to_what_its_source_states() {
    let (mut good, mut bad) = (0, 0);
    for line in VECTORS.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| vector.get(key).and_then(Value::as_str);
        let (id, hex) = (text("id").unwrap(), text("hex").unwrap());
        if vector["valid"] == true {
            agrees(id, hex, &vector["expected"]);
            good += 1;
        } else {
            let error = Frame::parse(&parse_hex(hex).unwrap()).unwrap_err().to_string();
            for word in text("reject").unwrap().split([' ', ',']).filter(|w| w.len() == 2) {
                assert!(error.contains(word), "{id}: {error}");
            }
            bad += 1;
        }
    }
    assert_eq!((good, bad), (21, 2));
    for line in STREAM.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let (id, hex) = (vector["id"].as_str().unwrap(), vector["hex"].as_str().unwrap());
        agrees(id, hex, &vector["expected"]["frame"]);
        let decoded = decode_frame(&parse_hex(hex).unwrap());
        assert_eq!(decoded.get("identity"), vector["expected"]["identity"].as_str(), "{id}");
    }
}

const REPLY: &str = "FE FE FE 68 10 01 00 00 05 08 00 00 81 16 90 1F 00 00 23 01 00 2C 00 00 00 00 \
                     2C 00 00 00 00 00 00 00 00 00 48 16";

fn ask(address: &str, di: u16, sequence: Option<u8>) -> Ask {
    Ask { address: address.parse().unwrap(), control: control::READ, di, sequence }
}

#[test]
fn a_reply_is_tied_to_its_question_by_address_and_identifier() {
    let reply = parse_hex(REPLY).unwrap();
    let sent = parse_hex("FE FE FE FE 68 10 01 00 00 05 08 00 00 01 03 1F 90 00 39 16").unwrap();
    let right = ask("00000805000001", 0x901F, None);
    // Asked low byte first, answered high byte first.
    let whole = Verdict::Reply { start: 3, len: reply.len() - 3 };
    assert_eq!(judge(right, &sent, &reply), whole);
    for cut in 0..reply.len() {
        assert_eq!(judge(right, &sent, &reply[..cut]), Verdict::More, "{cut}");
    }
    let wrong = |ask: Ask| {
        let verdict = judge(ask, &sent, &reply);
        let Verdict::Wrong(_, what) = verdict else { panic!("{verdict:?}") };
        what
    };
    assert_eq!(
        wrong(ask("00000805000002", 0x901F, None)),
        "meter 00000805000001 answered in place of 00000805000002"
    );
    assert_eq!(
        wrong(ask("00000805000001", 0xD120, None)),
        "the answer is to 90 1F, asked was D120"
    );
    assert_eq!(
        wrong(ask("00000805000001", 0x901F, Some(7))),
        "the answer bears the sequence number 00, asked was 07"
    );
    assert_eq!(judge(ask("AAAAAAAAAAAAAA", 0x901F, Some(0)), &sent, &reply), whole);
}

#[test]
fn the_status_word_is_read_by_the_model_s_own_bits() {
    let standard = StatusMap::default();
    assert_eq!(standard.valve([0x00, 0]), ValveState::Open);
    assert_eq!(standard.valve([0x05, 0]), ValveState::Closed);
    assert_eq!(standard.valve([0x03, 0]), ValveState::Fault);
    assert!(standard.battery_low([0x04, 0]) && !standard.battery_low([0x20, 0]));
    let vendor = StatusMap { valve_mask: 0xC0, open: 0x00, closed: 0x40, battery_mask: 0x20 };
    assert_eq!(vendor.valve([0x41, 0]), ValveState::Closed);
    assert!(vendor.battery_low([0x20, 0]));
}

#[test]
fn what_is_not_there_is_no_value_and_what_is_not_digits_is_refused() {
    let mut content = vec![0xFF; 19];
    content[..5].copy_from_slice(&[0x23, 0x01, 0x00, 0x00, 0x2C]);
    let fields = data::fields(&content);
    let of = |field| fields.iter().find(|(f, _)| *f == field).unwrap().1.clone();
    assert_eq!(of(Field::Settlement), Ok(data::Content::Amount(None, 0xFF)));
    assert_eq!(of(Field::Time), Ok(data::Content::Time(None)));
    content[0] = 0x2A;
    assert!(data::fields(&content)[0].1.is_err());
    assert!(data::fields(&content[..18]).is_empty());
    // A clock written most significant byte first.
    let time = parse_hex("20 16 07 15 09 59 58").unwrap();
    content[10..17].copy_from_slice(&time);
    let stamp = data::Content::Time(Some("2016-07-15 09:59:58".to_owned()));
    assert_eq!(data::fields(&content)[2].1, Ok(stamp));
}

proptest::proptest! {
    // drivers: invariant 3 (lib.rs).
    #[test]
    fn any_bytes_are_explained_and_judged_without_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        control in proptest::num::u8::ANY,
        data in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
    ) {
        let _ = decode_frame(&bytes);
        let question = ask("00000805000001", 0x901F, Some(1));
        let _ = judge(question, &[0x68], &bytes);
        let mut framed = Vec::new();
        frame::put(&mut framed, 1, 0x10, question.address, control, &data);
        proptest::prop_assert_eq!(Frame::parse(&framed).unwrap().data, data);
        let _ = decode_frame(&framed);
        let _ = judge(question, &[0x69], &framed);
    }
}
