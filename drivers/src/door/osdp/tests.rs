use super::frame::{Frame, Reader};
use super::panel::card_number;
use super::secure::{DEFAULT_KEY, Session};
use super::*;
use crate::hex::parse_hex;
use crate::transport::Stream;
use proptest::prelude::*;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const PLAIN: &str = include_str!("../../../tests/vectors/door/osdp_plain.jsonl");
const SECURE: &str = include_str!("../../../tests/vectors/door/osdp_secure.jsonl");
const KEY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn log(text: &str) -> Vec<(Value, Vec<u8>)> {
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let bytes = parse_hex(value["hex"].as_str().unwrap()).unwrap();
        (value, bytes)
    };
    text.lines().map(line).collect()
}

#[test]
fn the_wire_logs_decode_and_are_written_again_byte_for_byte() {
    let all: Vec<_> = log(PLAIN).into_iter().chain(log(SECURE)).collect();
    assert_eq!(all.len(), 44);
    for (value, bytes) in all {
        let (id, want) = (&value["id"], &value["expected"]);
        let frame = Frame::parse(&bytes).unwrap_or_else(|why| panic!("{id}: {why}"));
        assert_eq!(u64::from(frame.address), want["address"].as_u64().unwrap(), "{id}");
        assert_eq!(frame.is_reply, want["reply"].as_bool().unwrap(), "{id}");
        assert_eq!(u64::from(frame.sequence), want["sqn"].as_u64().unwrap(), "{id}");
        assert_eq!(format!("{:02X}", frame.code), want["code"].as_str().unwrap(), "{id}");
        let block = frame.block.as_ref().map(|(kind, _)| format!("{kind:02X}"));
        assert_eq!(block.as_deref(), want["scb"].as_str(), "{id}");
        let data = parse_hex(want["data"].as_str().unwrap()).unwrap_or_default();
        assert_eq!(frame.data, data, "{id}");
        assert_eq!(frame.encode(), bytes, "{id}");
        let decoded = decode_frame(&bytes);
        let name = decoded.get("name").unwrap();
        assert!(want["name"].as_str().unwrap().split('/').any(|one| one == name), "{id}: {name}");
        let mut damaged = bytes.clone();
        damaged[4] ^= 1;
        assert!(Frame::parse(&damaged).is_err(), "{id}");
    }
}

/// Every MAC of the recorded channel follows from its key and both random numbers.
#[test]
fn the_recorded_secure_channel_follows_from_its_key() {
    let frames: Vec<Frame> =
        log(SECURE).iter().map(|(_, bytes)| Frame::parse(bytes).unwrap()).collect();
    let rnd_a = frames[4].data.clone().try_into().unwrap();
    let rnd_b = frames[5].data[8..16].try_into().unwrap();
    let mut session = Session::new(&KEY, rnd_a, rnd_b);
    assert_eq!(session.client_cryptogram(), frames[5].data[16..32]);
    assert_eq!(session.server_cryptogram().as_slice(), frames[6].data);
    assert_eq!(session.first_mac().as_slice(), frames[7].data);
    session.begin();
    let mut seen = 0;
    for frame in &frames[8..] {
        assert_eq!(Some(session.mac(&frame.head(), !frame.is_reply)), frame.mac, "{frame:?}");
        seen += 1;
    }
    assert_eq!(seen, 14);
    let other = Session::new(&DEFAULT_KEY, rnd_a, rnd_b);
    assert_ne!(other.client_cryptogram(), frames[5].data[16..32]);
}

#[test]
fn the_card_of_the_log_is_the_number_on_the_card() {
    // 26 bits 5A 12 34 40: facility 180, number 9320, parity around.
    assert_eq!(card_number(26, &[0x5A, 0x12, 0x34, 0x40]), Some(0xB4_2468));
    assert_eq!(card_number(32, &[0, 0x99, 0x7A, 0xA0]), Some(10_058_400));
    assert_eq!(card_number(26, &[0x5A]), None);
    assert_eq!(card_number(0, &[]), None);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_noise_hides_no_message(noise in proptest::collection::vec(any::<u8>(), 0..80), data in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = decode_frame(&noise);
        let mut frame = Frame::command(5, 2, command::OUT, &data);
        frame.is_reply = true;
        prop_assert_eq!(Frame::parse(&frame.encode()), Ok(frame.clone()));
        // Noise without the first byte of a message.
        let noise: Vec<u8> = noise.into_iter().filter(|byte| *byte != 0x53).collect();
        let mut reader = Reader::default();
        reader.push(&noise);
        reader.push(&frame.encode());
        prop_assert_eq!(reader.take(), Some(frame.encode()));
    }

    #[test]
    fn what_is_encrypted_is_read_again(data in proptest::collection::vec(any::<u8>(), 1..60)) {
        let mut session = Session::new(&KEY, [1; 8], [2; 8]);
        session.begin();
        prop_assert_eq!(session.decrypt(&session.encrypt(&data, true), true), Some(data));
    }
}

/// A reader in memory: proves a key, then answers each poll with what it was given.
/// What it is asked again with the same bytes it answers again, as the standard wants.
async fn reader(
    mut wire: DuplexStream,
    key: [u8; 16],
    mut tell: Vec<(u8, Vec<u8>)>,
    wire_is: Wire,
) {
    let (mut buffer, mut from) = ([0; 256], Reader::default());
    let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
    let mut session: Option<Session> = None;
    let mut secure = false;
    loop {
        let Some(whole) = from.take() else {
            match wire.read(&mut buffer).await {
                Ok(n) if n > 0 => from.push(&buffer[..n]),
                _ => return,
            }
            continue;
        };
        if let Some((_, answer)) = last.as_ref().filter(|(asked, _)| *asked == whole) {
            wire.write_all(answer).await.unwrap();
            continue;
        }
        let asked = Frame::parse(&whole).unwrap();
        let mut told =
            Frame { is_reply: true, block: None, mac: None, data: vec![], ..asked.clone() };
        match asked.code {
            command::ID => (told.code, told.data, secure) = (reply::PDID, vec![7; 12], false),
            command::CHLNG => {
                let new = Session::new(&key, asked.data.clone().try_into().unwrap(), [9; 8]);
                told.code = reply::CCRYPT;
                told.block = Some((0x12, vec![1]));
                told.data =
                    [[3; 8].to_vec(), [9; 8].to_vec(), new.client_cryptogram().to_vec()].concat();
                session = Some(new);
            }
            command::SCRYPT => {
                let session = session.as_mut().unwrap();
                assert_eq!(asked.data, session.server_cryptogram());
                (told.code, told.data) = (reply::RMAC_I, session.first_mac().to_vec());
                told.block = Some((0x14, vec![1]));
                session.begin();
                secure = true;
            }
            _ => {
                if secure {
                    let session = session.as_mut().unwrap();
                    assert_eq!(Some(session.mac(&asked.head(), true)), asked.mac);
                }
                (told.code, told.data) = tell.pop().unwrap_or((reply::ACK, vec![]));
                if secure {
                    let session = session.as_mut().unwrap();
                    if !told.data.is_empty() {
                        told.data = session.encrypt(&told.data, false);
                    }
                    told.block = Some((if told.data.is_empty() { 0x16 } else { 0x18 }, vec![]));
                    let mac = session.mac(&told.head(), false);
                    told.mac =
                        Some(if wire_is == Wire::Changed { mac.map(|byte| byte ^ 1) } else { mac });
                }
            }
        }
        if wire_is == Wire::Shared && secure && asked.code == command::POLL {
            let card = vec![0, 1, 26, 0, 1, 2, 3, 4];
            let clear =
                Frame { code: reply::RAW, data: card, block: None, mac: None, ..told.clone() };
            wire.write_all(&clear.encode()).await.unwrap();
            let other = Frame { address: 5, ..clear.clone() };
            wire.write_all(&other.encode()).await.unwrap();
            if let Some((_, recorded)) = &last {
                wire.write_all(recorded).await.unwrap();
                let mut again = Frame::parse(recorded).unwrap();
                again.sequence = asked.sequence;
                wire.write_all(&again.encode()).await.unwrap();
            }
            // A refusal in the clear does not end a channel whose reader answers as agreed.
            let refusal = Frame { code: reply::NAK, data: vec![6], ..clear };
            wire.write_all(&refusal.encode()).await.unwrap();
        }
        last = Some((whole, told.encode()));
        wire.write_all(&told.encode()).await.unwrap();
    }
}

/// What else happens on the wire.
#[derive(PartialEq)]
enum Wire {
    Quiet,
    /// Each secured answer is changed.
    Changed,
    /// Somebody else sends before the reader does.
    Shared,
}

#[tokio::test]
async fn invented_recorded_and_other_readers_messages_are_counted_and_the_right_one_still_counts() {
    let (near, far) = tokio::io::duplex(4096);
    let card = (reply::RAW, vec![0, 1, 26, 0, 0x5A, 0x12, 0x34, 0x40]);
    let served = tokio::spawn(reader(far, KEY, vec![card], Wire::Shared));
    let (mut wire, mut panel) = (Stream::boxed(near), Panel::new(101));
    panel.connect(&mut wire, Some(&KEY), false).await.unwrap();
    let told = panel.poll(&mut wire).await.unwrap();
    assert_eq!(told, Event::Card { reader: 0, bits: 26, raw: vec![0x5A, 0x12, 0x34, 0x40] });
    for _ in 0..4 {
        assert_eq!(panel.poll(&mut wire).await.unwrap(), Event::Nothing, "the card came once");
    }
    assert!(panel.is_secure());
    // Each of five polls: one of another address, one recorded, and two invented ones: in the clear, and
    // recorded with another number.
    let refused = panel.refused;
    assert_eq!((refused.strangers, refused.replayed, refused.forged), (5, 5, 10));
    served.abort();
}

#[tokio::test]
async fn what_a_reader_cannot_do_does_not_end_its_channel() {
    let (near, far) = tokio::io::duplex(1024);
    let served = tokio::spawn(reader(far, KEY, vec![(reply::NAK, vec![3])], Wire::Quiet));
    let (mut wire, mut panel) = (Stream::boxed(near), Panel::new(101));
    panel.connect(&mut wire, Some(&KEY), false).await.unwrap();
    assert!(matches!(panel.led(&mut wire, 2, 10).await, Err(Fault::Refused(3))));
    assert!(panel.is_secure());
    assert_eq!(panel.poll(&mut wire).await.unwrap(), Event::Nothing);
    served.abort();
}

#[tokio::test]
async fn a_card_comes_through_the_secure_channel_and_a_wrong_key_is_said_so() {
    let (near, far) = tokio::io::duplex(1024);
    let card = (reply::RAW, vec![0, 1, 26, 0, 0x5A, 0x12, 0x34, 0x40]);
    let served = tokio::spawn(reader(far, KEY, vec![card], Wire::Quiet));
    let (mut wire, mut panel) = (Stream::boxed(near), Panel::new(101));
    assert_eq!(panel.connect(&mut wire, Some(&KEY), false).await.unwrap(), [7; 12]);
    assert!(panel.is_secure());
    let told = panel.poll(&mut wire).await.unwrap();
    assert_eq!(told, Event::Card { reader: 0, bits: 26, raw: vec![0x5A, 0x12, 0x34, 0x40] });
    assert_eq!(panel.poll(&mut wire).await.unwrap(), Event::Nothing);
    panel.output(&mut wire, 0, Output::OnFor(30)).await.unwrap();
    let mut other = KEY;
    other[0] = 0xFF;
    assert!(matches!(panel.connect(&mut wire, Some(&other), false).await, Err(Fault::WrongKey)));
    assert!(!panel.is_secure());
    // The key that everybody knows is for installing only.
    assert!(matches!(
        panel.connect(&mut wire, Some(&DEFAULT_KEY), false).await,
        Err(Fault::WrongKey)
    ));
    served.abort();
}

#[tokio::test]
async fn a_changed_message_ends_the_channel_and_is_counted() {
    let (near, far) = tokio::io::duplex(1024);
    let card = (reply::RAW, vec![0, 1, 26, 0, 0x5A, 0x12, 0x34, 0x40]);
    let served = tokio::spawn(reader(far, KEY, vec![card], Wire::Changed));
    let (mut wire, mut panel) = (Stream::boxed(near), Panel::new(101));
    panel.connect(&mut wire, Some(&KEY), false).await.unwrap();
    assert!(matches!(panel.poll(&mut wire).await, Err(Fault::Broken)));
    assert!(!panel.is_secure() && panel.refused.forged > 0, "no card came of it");
    served.abort();
}
