use super::*;
use crate::hex::parse_hex;
use crate::modbus::{ReadRequest, decode_frame};
use proptest::prelude::*;

/// Captured frames: pymodbus 3.16.1 as a simulated meter, and worked examples; the source stands in
/// each line.
const VECTORS: &str = include_str!("../../../tests/vectors/modbus.jsonl");

fn ask(unit: u8, function: Function, address: u16, quantity: u16) -> Ask {
    Ask { unit, read: ReadRequest::new(function, address, quantity).unwrap() }
}

fn number(value: &serde_json::Value) -> u16 {
    u16::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn captured_frames_of_other_programs_are_ours_byte_for_byte() {
    for line in VECTORS.lines() {
        let vector: serde_json::Value = serde_json::from_str(line).unwrap();
        let expected = &vector["expected"];
        let function = Function::from_code(number(&expected["fc"]) as u8).unwrap();
        let unit = number(&expected["unit"]) as u8;
        let ask = ask(unit, function, number(&expected["address"]), number(&expected["quantity"]));
        let request = parse_hex(vector["request"].as_str().unwrap()).unwrap();
        let mut ours = Vec::new();
        let tcp = vector["transport"] == "tcp";
        let transaction = u16::from_be_bytes([request[0], request[1]]);
        if tcp {
            put_mbap(&mut ours, transaction, ask);
        } else {
            put_rtu(&mut ours, ask);
        }
        assert_eq!(ours, request, "{line}");
        assert_eq!(decode_frame(&request, None).request, Some(ask.read), "{line}");
        let Some(reply) = vector["reply"].as_str() else { continue };
        let reply = parse_hex(reply).unwrap();
        let (verdict, pdu) = if tcp {
            (judge_mbap(ask, transaction, &reply), &reply[7..])
        } else {
            (judge_rtu(ask, &request, &reply), &reply[1..reply.len() - 2])
        };
        assert_eq!(verdict, Verdict::Reply { start: 0, len: reply.len() }, "{line}");
        assert!(decode_frame(&reply, None).valid, "{line}");
        match (reply_data(pdu), &expected["registers"]) {
            (Ok(data), serde_json::Value::Array(words)) => {
                let words: String = words.iter().map(|word| word.as_str().unwrap()).collect();
                assert_eq!(data, parse_hex(&words).unwrap(), "{line}");
            }
            (Err(code), _) => assert_eq!(u16::from(code), number(&expected["exception"]), "{line}"),
            (Ok(_), _) => panic!("the vector has no registers: {line}"),
        }
    }
}

#[test]
fn an_incomplete_rtu_reply_is_never_judged_before_its_time() {
    let ask = ask(1, Function::InputRegisters, 70, 2);
    let mut request = Vec::new();
    put_rtu(&mut request, ask);
    let reply = parse_hex("01 04 04 42 48 0A 3D A8 9B").unwrap();
    for cut in 0..reply.len() {
        assert_eq!(judge_rtu(ask, &request, &reply[..cut]), Verdict::More, "{cut} bytes");
    }
    let echoed = [request.clone(), reply].concat();
    for cut in 0..8 {
        assert_eq!(judge_rtu(ask, &request, &echoed[..cut]), Verdict::More, "{cut} bytes of echo");
    }
    assert_eq!(judge_rtu(ask, &request, &echoed), Verdict::Skip(8));
}

#[test]
fn the_echo_of_a_request_that_looks_like_a_reply_is_told_apart_by_the_crc() {
    // Address 0400H and two registers: the echo's third byte is the reply's byte count.
    let ask = ask(1, Function::InputRegisters, 0x0400, 2);
    let mut request = Vec::new();
    put_rtu(&mut request, ask);
    let mut reply = vec![1, 4, 4, 9, 8, 7, 6];
    reply.extend_from_slice(&crc(&reply).to_le_bytes());
    assert_eq!(judge_rtu(ask, &request, &request), Verdict::More);
    let echoed = [request.clone(), reply.clone()].concat();
    assert_eq!(judge_rtu(ask, &request, &echoed), Verdict::Skip(8));
    assert_eq!(judge_rtu(ask, &request, &reply), Verdict::Reply { start: 0, len: 9 });
}

fn function() -> impl Strategy<Value = Function> {
    prop_oneof![
        Just(Function::Coils),
        Just(Function::DiscreteInputs),
        Just(Function::HoldingRegisters),
        Just(Function::InputRegisters),
    ]
}

proptest! {
    #[test]
    fn what_we_ask_decodes_to_what_we_asked(
        unit: u8, transaction: u16, function in function(), address in 0_u16..60_000,
        quantity in 1_u16..=125,
    ) {
        let ask = ask(unit, function, address, quantity);
        let (mut rtu, mut mbap) = (Vec::new(), Vec::new());
        put_rtu(&mut rtu, ask);
        put_mbap(&mut mbap, transaction, ask);
        prop_assert!(crc_holds(&rtu));
        // Of coils, four bytes behind the function are also a reply where the first counts the rest.
        let bits = matches!(function, Function::Coils | Function::DiscreteInputs);
        prop_assume!(!(bits && address >> 8 == 3));
        for (frame, framing) in [(mbap, "Modbus TCP"), (rtu, "Modbus RTU")] {
            let decoded = decode_frame(&frame, None);
            prop_assert_eq!((decoded.framing, decoded.request), (framing, Some(ask.read)));
            prop_assert!(decoded.valid);
        }
    }

    // drivers: invariant 3 (lib.rs); and a verdict never points outside of what was received.
    #[test]
    fn any_bytes_are_judged(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), function in function(),
        quantity in 1_u16..=125, head: bool,
    ) {
        let ask = ask(1, function, 0x0102, quantity);
        let mut request = Vec::new();
        put_rtu(&mut request, ask);
        let front = if head { vec![1, function.code(), ask.read.data_bytes()] } else { Vec::new() };
        let bytes = [front, bytes].concat();
        for verdict in [judge_rtu(ask, &request, &bytes), judge_mbap(ask, 0, &bytes)] {
            match verdict {
                Verdict::More | Verdict::Wrong(..) => {}
                Verdict::Skip(n) => prop_assert!(n > 0 && n <= bytes.len()),
                Verdict::Reply { start, len } => prop_assert!(start + len <= bytes.len()),
            }
        }
    }

    #[test]
    fn a_single_flipped_bit_never_passes(data: [u8; 8], at in 0_usize..13, bit in 0_u8..8) {
        let ask = ask(7, Function::HoldingRegisters, 0x2000, 4);
        let mut request = Vec::new();
        put_rtu(&mut request, ask);
        let mut reply = [&[7, 3, 8], &data[..]].concat();
        reply.extend_from_slice(&crc(&reply).to_le_bytes());
        let right = judge_rtu(ask, &request, &reply);
        prop_assert_eq!(right, Verdict::Reply { start: 0, len: 13 });
        reply[at] ^= 1 << bit;
        let passes = matches!(judge_rtu(ask, &request, &reply), Verdict::Reply { .. });
        prop_assert!(!passes);
    }
}
