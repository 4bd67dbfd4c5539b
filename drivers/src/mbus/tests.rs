use super::frame::{control, judge, judge_ack, manufacturer_text, put_long, put_select, put_short};
use super::*;
use crate::damage::Damage;
use crate::hex::{Hex, parse_hex};
use crate::line::Verdict;
use blockgate_types::Decimal;
use serde_json::Value as Json;

const REPLIES: &str = include_str!("../../tests/vectors/mbus.jsonl");
const ERRORS: &str = include_str!("../../tests/vectors/mbus_errors.jsonl");
const LINK: &str = include_str!("../../tests/vectors/mbus_link.jsonl");

fn lines(text: &str) -> impl Iterator<Item = Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn reply(hex: &str) -> (u8, u8, u8, Vec<u8>) {
    let frame = Frame::parse(&parse_hex(hex).unwrap()).unwrap();
    let Frame::Long { control, address, ci, data } = frame else { panic!("{frame:?}") };
    (control, address, ci, data)
}

/// Our word for a quantity of the expected list.
fn quantity(theirs: &str) -> Option<&'static str> {
    Some(match theirs {
        "Energy" => "energy",
        "Volume" => "volume",
        "Power" => "power",
        "Volume flow" => "volume_flow",
        "Flow temperature" => "flow_temperature",
        "Return temperature" => "return_temperature",
        "Temperature difference" => "temperature_difference",
        "External temperature" => "external_temperature",
        "On time" => "on_time",
        "Operating time" => "operating_time",
        "Averaging Duration" => "averaging_duration",
        "Actuality Duration" => "actuality_duration",
        "Time point (date)" => "date",
        "Time point (date & time)" => "date_time",
        "Fabrication No" => "fabrication_number",
        "(Enhanced) Identification" => "identification",
        "H.C.A." => "heat_cost",
        "Voltage" => "voltage",
        "Current" => "current",
        "Dimensionless" => "dimensionless",
        "Error flags" => "error_flags",
        "Digital Input" => "digital_input",
        "Digital Output" => "digital_output",
        "Reset counter" => "reset_counter",
        "Customer location" => "customer_location",
        "Firmware version" => "firmware_version",
        "Software version" => "software_version",
        "Medium" => "medium",
        "Model / Version" => "model",
        "Parameter set identification" => "parameter_set",
        "Special supplier information" => "supplier_information",
        "Manufacturer specific" => "manufacturer_specific",
        "Reserved" | "" => "reserved",
        _ => return None,
    })
}

fn same_record(at: &str, ours: &Record, want: &Json) {
    let text = |key: &str| want.get(key).and_then(Json::as_str);
    let function = match text("function").unwrap() {
        "Instantaneous value" => Function::Instantaneous,
        "Maximum value" => Function::Maximum,
        "Minimum value" => Function::Minimum,
        "Value during error state" => Function::Error,
        other => panic!("{at}: {other}"),
    };
    assert_eq!(ours.function, function, "{at}");
    assert_eq!(ours.storage, want["storage"].as_u64().unwrap(), "{at}");
    assert_eq!(u64::from(ours.tariff), want["tariff"].as_u64().unwrap(), "{at}");
    assert_eq!(u64::from(ours.subunit), want["device"].as_u64().unwrap(), "{at}");
    let theirs = text("quantity").unwrap_or_default();
    match quantity(theirs) {
        Some(name) => assert_eq!(ours.meaning.quantity, name, "{at}"),
        // A unit that the meter gives as text.
        None => assert_eq!(ours.unit_text.as_deref(), Some(theirs), "{at}"),
    }
    let unit = match text("unit").unwrap_or_default() {
        "m^3" => "m3",
        "m^3/h" => "m3/h",
        "°C" => "degC",
        "Reserved" | "Units for H.C.A." => "",
        unit => unit,
    };
    assert_eq!(ours.meaning.unit, unit, "{at}");
    same_value(at, ours, text("value"));
}

fn same_value(at: &str, ours: &Record, want: Option<&str>) {
    match (&ours.value, want) {
        (Value::None(_), None) => {}
        (Value::Text(text) | Value::Stamp(text), Some(want)) => assert_eq!(text, want, "{at}"),
        (Value::Number(number), Some(want)) => {
            let want: Decimal = want.parse().or_else(|_| Decimal::from_scientific(want)).unwrap();
            // Their floats have nine digits, ours are the shortest that read back the same.
            let close = (*number - want).abs() <= want.abs() * Decimal::new(1, 6);
            assert!(*number == want || (ours.raw.len() == 4 && close), "{at}: {number} {want}");
        }
        (value, want) => panic!("{at}: {value:?}, expected {want:?}"),
    }
}

#[test]
fn every_reply_of_46_meters_decodes_to_the_values_of_independent_decoders() {
    let (mut frames, mut records) = (0, 0);
    for vector in lines(REPLIES) {
        let name = vector["frame"].as_str().unwrap();
        let (control, address, ci, data) = reply(vector["hex"].as_str().unwrap());
        assert_eq!(format!("{control:02X}"), vector["control"].as_str().unwrap(), "{name}");
        assert_eq!(u64::from(address), vector["address"].as_u64().unwrap(), "{name}");
        assert_eq!(format!("{ci:02X}"), vector["ci"].as_str().unwrap(), "{name}");
        let telegram = parse(ci, &data).unwrap();
        assert_eq!(telegram.broken, None, "{name}");
        let header = telegram.header.unwrap();
        let expected = &vector["header"];
        let id = Secondary { id: header.identity.id, ..Secondary::ANY }.to_string();
        assert_eq!(id, expected["id"].as_str().unwrap(), "{name}");
        assert_eq!(u64::from(header.access), expected["access"].as_u64().unwrap(), "{name}");
        assert_eq!(u64::from(header.status), expected["status"].as_u64().unwrap(), "{name}");
        if let Some(maker) = expected["manufacturer"].as_str() {
            let identity = header.identity;
            assert_eq!(manufacturer_text(identity.manufacturer), maker, "{name}");
            assert_eq!(u64::from(identity.version), expected["version"].as_u64().unwrap());
            assert_eq!(u64::from(identity.medium), expected["medium"].as_u64().unwrap());
            // The signature counts only where the telegram names one.
            let signature = u16::from_le_bytes(header.signature);
            assert_eq!(format!("{signature:04X}"), expected["signature"].as_str().unwrap());
        }
        let want = vector["records"].as_array().unwrap();
        if ci == 0x73 {
            for (i, (ours, want)) in telegram.records.iter().zip(want).enumerate() {
                same_fixed(&format!("{name} {i}"), ours, want);
            }
            (frames, records) = (frames + 1, records + 2);
            continue;
        }
        let mut ours = telegram.records.iter();
        for (i, want) in want.iter().enumerate() {
            let at = format!("{name} record {i}");
            match (want["function"].as_str(), want.get("dif")) {
                (Some("More records follow"), None) => assert!(telegram.more, "{at}"),
                (Some("Manufacturer specific"), None) => assert!(!telegram.more, "{at}"),
                _ => {
                    let record = ours.next().unwrap_or_else(|| panic!("{at} is missing"));
                    assert_eq!(Hex(&record.raw).to_string(), want["raw"].as_str().unwrap(), "{at}");
                    same_record(&at, record, want);
                    records += 1;
                    continue;
                }
            }
            let tail = Hex(&telegram.manufacturer_data).to_string();
            assert_eq!(tail, want["raw"].as_str().unwrap(), "{at}");
        }
        assert_eq!(ours.next(), None, "{name}");
        assert!(decode_frame(&parse_hex(vector["hex"].as_str().unwrap()).unwrap()).valid);
        frames += 1;
    }
    assert_eq!(frames, 46);
    assert!(records > 500, "{records}");
}

fn same_fixed(at: &str, ours: &Record, want: &Json) {
    let number = |text: &str| text.parse::<Decimal>().unwrap();
    let Value::Number(value) = ours.value else { panic!("{at}: {ours:?}") };
    let stated = number(want["value"].as_str().unwrap());
    let factor = match want["unit"].as_str().unwrap() {
        // "Reserved but historic": the unit of the first counter, litres, at a past date.
        "l" | "reserved but historic" => number("0.001"),
        "kWh" => number("1000"),
        other => panic!("{at}: {other}"),
    };
    assert_eq!(value, (stated * factor).normalize(), "{at}");
}

#[test]
fn damaged_and_malformed_frames_are_refused_with_their_reason() {
    for vector in lines(ERRORS) {
        let id = vector["id"].as_str().unwrap();
        let bytes = parse_hex(vector["hex"].as_str().unwrap()).unwrap();
        let frame = Frame::parse(&bytes);
        assert_eq!(frame.is_ok(), vector["link_layer_valid"] == true, "{id}: {frame:?}");
        let Ok(Frame::Long { control, ci, data, .. }) = frame else { continue };
        let decoded = decode_frame(&bytes);
        if control & !0x30 != control::RSP_UD {
            assert_eq!(decoded.kind, "request", "{id}");
            let sent = parse_hex("10 5B FE 59 16").unwrap();
            let verdict = judge(Address::Primary(0xFE), &sent, &bytes);
            assert!(matches!(verdict, Verdict::Wrong(..)), "{id}");
            continue;
        }
        match parse(ci, &data) {
            Err(what) => {
                let meaning = vector["expected"]["meaning"].as_str().unwrap();
                assert_eq!(what, format!("application error: {meaning}"), "{id}");
                assert_eq!(decoded.get("error"), Some(what.as_str()), "{id}");
            }
            Ok(telegram) => {
                let what = telegram.broken.unwrap_or_else(|| panic!("{id} is not broken"));
                assert!(what.starts_with("record "), "{id}: {what}");
                assert!(!decoded.valid, "{id}");
            }
        }
    }
    assert_eq!(
        Frame::parse(&parse_hex("68 00 00 68 08 16").unwrap()),
        Err(Damage::TooSmall { at: 2, says: 0, least: 3 })
    );
    for (hex, want) in [
        ("", "there is no start byte 68"),
        ("E6", "byte 1 is E6 and should be 68 (start)"),
        ("10 5B 01 5D 16", "the checksum in byte 4 is 5D, the sum of the bytes is 5C"),
        ("68 04 05 68 08 01 70 02 7B 16", "the two length bytes differ: 04 and 05"),
        ("68 05 05 68 08 01 70 02 7B 16", "the length in byte 2 says 5 data bytes, 4 follow"),
        ("68 04 04 68 08 01 70 02 7B 17", "byte 10 is 17 and should be 16 (end)"),
    ] {
        assert_eq!(Frame::parse(&parse_hex(hex).unwrap()).unwrap_err().to_string(), want);
    }
    let cut = parse(0x72, &[0x78, 0x56]).unwrap_err();
    assert_eq!(cut, "the header has 2 bytes and needs 12");
}

#[test]
fn the_link_layer_s_frames_are_those_of_the_standard() {
    let hexes: Vec<String> = lines(LINK).map(|v| v["hex"].as_str().unwrap().to_owned()).collect();
    let mut ours = vec![vec![0xE5]];
    for (control, address) in [(0x40, 1), (0x5B, 1), (0x7B, 1)] {
        let mut out = Vec::new();
        put_short(&mut out, control, address);
        ours.push(out);
    }
    let mut out = Vec::new();
    put_select(&mut out, "12345678".parse().unwrap());
    ours.push(out);
    let ours: Vec<String> = ours.iter().map(|bytes| Hex(bytes).to_string()).collect();
    assert_eq!(ours, hexes);
    let kinds: Vec<&str> =
        hexes.iter().map(|hex| decode_frame(&parse_hex(hex).unwrap()).kind).collect();
    assert_eq!(kinds, ["acknowledgement", "request", "request", "request", "request"]);
}

#[test]
fn a_reply_is_tied_to_its_question_by_address_or_identity() {
    // libmbus f09d613, manual_frame3.hex: address 2, meter 12345678, PAD.
    let bytes = parse_hex(
        lines(REPLIES).find(|v| v["frame"] == "manual_frame3.hex").unwrap()["hex"]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    let sent = parse_hex("10 7B 02 7D 16").unwrap();
    let whole = Verdict::Reply { start: 0, len: bytes.len() };
    assert_eq!(judge(Address::Primary(2), &sent, &bytes), whole);
    for cut in 0..bytes.len() {
        assert_eq!(judge(Address::Primary(2), &sent, &bytes[..cut]), Verdict::More, "{cut}");
    }
    let echoed = [&sent[..], &bytes].concat();
    assert_eq!(judge(Address::Primary(2), &sent, &echoed), Verdict::Skip(5));
    let wrong = |address| {
        let verdict = judge(address, &sent, &bytes);
        let Verdict::Wrong(_, what) = verdict else { panic!("{verdict:?}") };
        what
    };
    assert_eq!(wrong(Address::Primary(3)), "address 2 answered in place of 3");
    let secondary = |text: &str| Address::Secondary(text.parse().unwrap());
    assert_eq!(judge(secondary("1234FFFF"), &sent, &bytes), whole);
    assert_eq!(judge(secondary("12345678-PAD-FF-07"), &sent, &bytes), whole);
    assert!(wrong(secondary("12345679")).starts_with("meter 12345678-PAD-"));
    assert!(wrong(secondary("12345678-KAM-FF-FF")).ends_with("in place of 12345678-KAM-FF-FF"));
    assert_eq!(judge_ack(&sent, &[0xE5]), Verdict::Reply { start: 0, len: 1 });
    assert_eq!(judge_ack(&sent, &sent), Verdict::Skip(5));
    assert_eq!(judge_ack(&sent, &sent[..2]), Verdict::More);
    assert!(matches!(judge_ack(&sent, &[0xC5]), Verdict::Wrong(..)));
}

#[test]
fn identities_are_read_as_they_are_printed() {
    for text in ["12345678", "1234FFFF", "12345678-PAD-01-07", "12345678-*-01-07"] {
        assert_eq!(text.parse::<Secondary>().unwrap().to_string(), text);
    }
    for bad in [
        "",
        "1234567",
        "123456789",
        "12345678-PA-01-07",
        "12345678-PAD-1-07",
        "1234567G",
        "12345678-PAD-01",
        "12345678-PAD-01-07-1",
    ] {
        assert!(bad.parse::<Secondary>().is_err(), "{bad}");
    }
    assert!("1234FFFF".parse::<Secondary>().unwrap().is_wild());
}

#[test]
fn encrypted_data_and_reserved_fields_are_never_read_as_numbers() {
    let header = parse_hex("78 56 34 12 24 40 01 07 55 00 00 05").unwrap();
    let data = [&header[..], &[0x0C, 0x13, 0x27, 0x04, 0x85, 0x02]].concat();
    assert_eq!(parse(0x72, &data).unwrap_err(), "the data are encrypted (mode 5)");
    // Digits with a minus, digits that are an error code.
    let of = |bytes: &[u8]| parse(0x78, bytes).unwrap().records[0].value.clone();
    assert_eq!(of(&[0x0A, 0x5B, 0x12, 0xF0]), Value::Number("-12".parse().unwrap()));
    assert!(matches!(of(&[0x0A, 0x5B, 0x12, 0xA0]), Value::None(_)));
    assert!(matches!(of(&[0x02, 0x6C, 0x00, 0x00]), Value::None(_)));
    assert!(matches!(of(&[0x05, 0x5B, 0x00, 0x00, 0xC0, 0x7F]), Value::None(_)));
    assert_eq!(parse(0x78, &[0x3F]).unwrap().broken.unwrap(), "DIF 3F is reserved");
    // Storage 1 + 2·5, tariff 3, subunit 1; a text with its unit's multiplier.
    let telegram = parse(0x78, &[0xC1, 0x75, 0x13, 0x07]).unwrap();
    let record = &telegram.records[0];
    assert_eq!((record.storage, record.tariff, record.subunit), (11, 3, 1));
    assert_eq!(record.value, Value::Number("0.007".parse().unwrap()));
}

proptest::proptest! {
    // drivers: invariant 3 (lib.rs).
    #[test]
    fn any_bytes_are_explained_and_judged_without_panic(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300),
        ci in proptest::num::u8::ANY,
    ) {
        let _ = decode_frame(&bytes);
        for ci in [0x70, 0x72, 0x73, 0x78, 0x7A, ci] {
            let _ = parse(ci, &bytes);
            let mut framed = Vec::new();
            put_long(&mut framed, control::RSP_UD, 1, ci, &bytes);
            let _ = decode_frame(&framed);
            let _ = judge(Address::Secondary(Secondary::ANY), &[0x10], &framed);
        }
        let _ = judge(Address::Primary(1), &[0x10], &bytes);
        let _ = judge_ack(&[0x10], &bytes);
    }
}
