//! Vectors of the vendors, and what a hostile or broken camera may send.

use super::vzenith::{board, reply, tcp};
use super::*;
use crate::hex::parse_hex;
use serde_json::Value;

const VZENITH: &[u8] = include_bytes!("../../tests/vectors/barrier/vzenith_push.json");
const PUSHES: &str = include_str!("../../tests/vectors/barrier/vzenith_pushes.jsonl");
const REPLIES: &str = include_str!("../../tests/vectors/barrier/vzenith_replies.jsonl");
const TCP: &str = include_str!("../../tests/vectors/barrier/vzenith_tcp8131.jsonl");
const BOARD: &str = include_str!("../../tests/vectors/barrier/led_voice.jsonl");
const ANPR: &[u8] = include_bytes!("../../tests/vectors/barrier/hikvision_anpr.xml");
const STATUS: &str = include_str!("../../tests/vectors/barrier/hikvision_status.xml");
const SNAP: &[u8] = include_bytes!("../../tests/vectors/barrier/dahua_snapmanager.bin");

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter(|l| !l.trim().is_empty()).map(|l| serde_json::from_str(l).unwrap())
}

fn car(report: Report) -> Seen {
    let Report::Car(seen) = report else { panic!("{report:?}") };
    *seen
}

fn vzenith(license: &str) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(VZENITH).unwrap();
    document["AlarmInfoPlate"]["result"]["PlateResult"]["license"] = license.into();
    document.to_string().into_bytes()
}

#[test]
fn the_push_of_the_vzenith_manual_is_read_whole() {
    let seen = car(read(Vendor::Vzenith, "application/json", VZENITH).unwrap());
    assert_eq!(seen.plate.as_deref(), Some("粤Z9065澳"));
    assert_eq!(seen.serial.as_deref(), Some("fe71e106-57263272"));
    assert_eq!(seen.key.as_deref(), Some("fe71e106-57263272/21085/1686299994"));
    assert_eq!((seen.record, seen.confidence, seen.colour), (Some(21085), Some(96), Colour::Black));
    assert_eq!(seen.at, Some("2023-06-09T16:39:54+08:00".parse().unwrap()));
    assert!(!seen.replayed && !seen.opened_by_camera && !seen.fake);
    let input = lines(PUSHES).next().unwrap()["body"].to_string();
    assert_eq!(
        read(Vendor::Vzenith, "", input.as_bytes()).unwrap(),
        Report::Input { serial: Some("d85b1269-8f942256".to_owned()), input: 3, on: true }
    );
}

#[test]
fn vzenith_is_answered_as_its_manual_and_its_firmware_want_it() {
    let vectors: Vec<Value> = lines(REPLIES).map(|l| l["body"].clone()).collect();
    let mut seen = car(read(Vendor::Vzenith, "", VZENITH).unwrap());
    let says = |seen: &Seen, reply: &Reply| -> Value {
        let report = Report::Car(Box::new(seen.clone()));
        serde_json::from_str(&answer(Vendor::Vzenith, &report, reply).body).unwrap()
    };
    let open = Reply { open: true, ..Reply::default() };
    assert_eq!(says(&seen, &open), vectors[0], "allow");
    assert_eq!(says(&seen, &Reply::default()), vectors[1], "deny");
    let voice = Reply { voice: Some("请缴费".to_owned()), ..Reply::default() };
    let spoken = says(&seen, &voice)["Response_AlarmInfoPlate"]["serialData"][0].clone();
    assert_eq!(spoken["dataLen"], 15, "6 + option + 6 GBK bytes + 2");
    seen.replayed = true;
    seen.record = Some(123);
    assert_eq!(says(&seen, &open), vectors[2], "a car of the past opens nothing");
    let comet: Value = serde_json::from_str(&reply::comet_open().body).unwrap();
    assert_eq!(
        comet["Response_AlarmInfoPlate"]["ivs_ioctrl"],
        vectors[3]["Response_AlarmInfoPlate"]["ivs_ioctrl"]
    );
}

#[test]
fn the_tcp_channel_frames_as_captured() {
    let by_id = |id: &str| {
        let line = lines(TCP).find(|l| l["id"] == id).unwrap();
        parse_hex(line["hex"].as_str().unwrap()).unwrap()
    };
    assert_eq!(tcp::heartbeat(), by_id("vz-tcp-heartbeat"));
    assert_eq!(tcp::get_serial(), by_id("vz-tcp-getsn"));
    assert_eq!(tcp::open(), by_id("vz-tcp-ioctl"));
    let mut decoder = tcp::Decoder::default();
    let mut all = tcp::heartbeat();
    all.extend(tcp::get_serial());
    let mut frames = Vec::new();
    for byte in all {
        decoder.push(&[byte]);
        frames.extend(decoder.take().unwrap());
    }
    assert_eq!(frames, [tcp::Frame::Heartbeat, tcp::Frame::Json(b"{\"cmd\":\"getsn\"}".to_vec())]);
    decoder.push(b"VZ\x00\x00\xff\xff\xff\xff");
    assert!(decoder.take().is_err(), "four gigabytes are not waited for");
    let mut result = text::to_gbk("{\"PlateResult\":{\"license\":\"鲁B12345\",\"plateid\":7}}");
    result.extend_from_slice(b"\0\xff\xd8picture");
    let tcp::Message::Report(report) = tcp::read(&result).unwrap() else { panic!() };
    assert_eq!(car(report).plate.as_deref(), Some("鲁B12345"));
    let said = tcp::read(b"{\"value\":\"abc\",\"state_code\":200}").unwrap();
    let value = Some("abc".to_owned());
    assert_eq!(said, tcp::Message::Reply { verdict: Verdict::Accepted, value });
}

#[test]
fn the_board_speaks_the_captured_frame() {
    for line in lines(BOARD) {
        let want = parse_hex(line["hex"].as_str().unwrap()).unwrap();
        assert_eq!(board::voice(line["expected"]["text"].as_str().unwrap()), Some(want));
    }
    assert_eq!(board::voice(""), None);
    assert!(board::voice(&"车".repeat(500)).unwrap().len() <= 208, "cut, not broken");
}

#[test]
fn a_hikvision_event_is_read_as_xml_and_in_multipart() {
    let check = |report: Report| {
        let seen = car(report);
        assert_eq!(seen.plate.as_deref(), Some("ABC1234"));
        assert_eq!(seen.key.as_deref(), Some("a0fe72d4-3652-464a-aebd-3f9190010236"));
        assert_eq!(seen.heading, Heading::Toward);
        assert_eq!(seen.at, Some("2024-05-07T10:48:03.847Z".parse().unwrap()));
        assert_eq!(seen.confidence, Some(98));
    };
    check(read(Vendor::Hikvision, "application/xml; charset=\"UTF-8\"", ANPR).unwrap());
    let mut body = b"--x\r\nContent-Disposition: form-data; name=\"anpr.xml\"\r\nContent-Type: application/xml\r\n\r\n".to_vec();
    body.extend_from_slice(ANPR);
    body.extend_from_slice(b"\r\n--x\r\nContent-Disposition: form-data; name=\"a.jpg\"\r\nContent-Type: image/jpeg\r\nContent-Length: 15\r\n\r\n\xff\xd8\r\n--x\r\n\r\n<\r\n\xd9\r\n--x--\r\n");
    check(read(Vendor::Hikvision, "multipart/form-data; boundary=x", &body).unwrap());
    let parts = multipart::parts("multipart/form-data; boundary=x", &body).unwrap();
    assert_eq!(parts.len(), 2, "a picture may contain the boundary");
    // Without the parameter, and with the dashes in it.
    check(read(Vendor::Hikvision, "multipart/form-data", &body).unwrap());
    check(read(Vendor::Hikvision, "multipart/form-data; boundary=--x", &body).unwrap());
    // Cut in the middle of the picture: the plate is there.
    check(
        read(Vendor::Hikvision, "multipart/form-data; boundary=x", &body[..body.len() - 20])
            .unwrap(),
    );
}

#[test]
fn a_hikvision_barrier_says_accepted_refused_and_where_its_arm_is() {
    use hikvision::gate;
    let samples: Vec<&str> = STATUS.split("<ResponseStatus>").skip(1).collect();
    let sample = |n: usize| {
        let inner = samples[n].split("</ResponseStatus>").next().unwrap();
        format!("<ResponseStatus xmlns=\"http://www.isapi.org/x\">{inner}</ResponseStatus>")
    };
    assert_eq!(gate::verdict(200, sample(0).as_bytes()), Verdict::Accepted);
    assert_eq!(gate::verdict(403, sample(1).as_bytes()), Verdict::NotSupported);
    assert_eq!(gate::verdict(401, b""), Verdict::Credentials);
    assert_eq!(gate::verdict(404, b"<html>"), Verdict::NotSupported);
    assert!(matches!(gate::verdict(500, b"\xff"), Verdict::Refused(_)));
    for (code, position) in
        [("0", Position::Unknown), ("1", Position::Closed), ("2", Position::Open)]
    {
        let body = format!(
            "<BarrierGateStatus><barrierGateStatus>{code}</barrierGateStatus></BarrierGateStatus>"
        );
        assert_eq!(gate::position(body.as_bytes()), Some(position));
    }
    assert_eq!(gate::position(b"<a/>"), None);
    let ways = gate::ways(1, GateCommand::Open);
    assert_eq!(ways[0].path, "/ISAPI/Parking/channels/1/barrierGate");
    assert!(ways[0].body.ends_with("<BarrierGate><ctrlMode>open</ctrlMode></BarrierGate>"));
}

#[test]
fn the_dahua_stream_is_framed_by_length_and_read() {
    for size in [1, 7, SNAP.len()] {
        let mut stream =
            multipart::Stream::new("multipart/x-mixed-replace; boundary=myboundary").unwrap();
        let mut reports = Vec::new();
        for piece in SNAP.chunks(size) {
            stream.push(piece);
            while let Some((media, bytes)) = stream.take().unwrap() {
                reports.push(dahua::snap::part(&media, &bytes).unwrap());
            }
        }
        // The last heartbeat ends with the next delimiter.
        stream.push(b"--myboundary\r\n");
        while let Some((media, bytes)) = stream.take().unwrap() {
            reports.push(dahua::snap::part(&media, &bytes).unwrap());
        }
        assert_eq!(reports.len(), 3, "{reports:?}");
        let seen = car(reports.remove(0));
        assert_eq!(seen.plate.as_deref(), Some("ZZZ12345"));
        assert_eq!(reports, [Report::Other("picture"), Report::Heartbeat { serial: None }]);
    }
    let push = r#"{"Picture":{"Plate":{"IsExist":true,"PlateNumber":"浙A12345","PlateColor":"Blue","Confidence":255},
        "SnapInfo":{"DeviceID":"cam-7","SnapTime":"2026-03-01 08:00:00"}}}"#;
    let report = read(Vendor::Dahua, "application/json", push.as_bytes()).unwrap();
    assert!(answer(Vendor::Dahua, &report, &Reply::default()).body.contains("\"Result\":true"));
    let seen = car(report);
    assert_eq!((seen.plate.as_deref(), seen.colour), (Some("浙A12345"), Colour::Blue));
    let path = dahua::strobe::command(1, GateCommand::Open).path;
    assert!(path.contains("action=openStrobe") && !path.contains("plate"));
    assert_eq!(dahua::strobe::verdict(200, b"OK\r\n"), Verdict::Accepted);
    assert!(matches!(dahua::strobe::verdict(400, b"Error\r\n"), Verdict::Refused(_)));
}

#[test]
fn the_generic_push_is_strict_and_says_what_is_wrong() {
    let good = r#"{"type":"car","id":"1","plate":"粤b·d12345","at":"2026-03-01T08:00:00+08:00","colour":"green","heading":"toward"}"#;
    let seen = car(read(Vendor::Generic, "", good.as_bytes()).unwrap());
    assert_eq!((seen.plate.as_deref(), seen.colour), (Some("粤BD12345"), Colour::Green));
    for (bad, why) in [
        (r#"{"type":"car","plate":"A"}"#, "id"),
        (r#"{"type":"car","id":"1","plates":"A"}"#, "plates"),
        (r#"{"type":"car","id":"1","confidence":101}"#, "confidence"),
        (r#"{"type":"bus"}"#, "bus"),
        (r#"{"type":"car","id":"1","plate":"粤B1234567890123456789"}"#, "too long"),
        ("[]", "JSON"),
    ] {
        let fault = read(Vendor::Generic, "", bad.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(why), "{bad}: {fault}");
    }
    let open = Reply { open: true, ..Reply::default() };
    assert!(
        answer(Vendor::Generic, &Report::Other(""), &open).body.contains("\"action\":\"open\"")
    );
}

#[test]
fn plates_are_read_in_utf8_and_in_every_chinese_encoding() {
    let provinces = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼";
    for province in provinces.chars() {
        let license = format!("{province}B12345");
        let body = String::from_utf8(vzenith(&license)).unwrap();
        for (media, bytes) in [
            ("application/json", body.clone().into_bytes()),
            ("application/json", text::to_gbk(&body)),
            ("application/json; charset=gb2312", text::to_gbk(&body)),
            // Declared wrongly.
            ("application/json; charset=gb2312", body.clone().into_bytes()),
        ] {
            let seen = car(read(Vendor::Vzenith, media, &bytes).unwrap());
            // Three bytes of UTF-8 that are GBK by chance cannot be told apart when GBK is declared.
            if media.ends_with("gb2312") && bytes == body.as_bytes() {
                continue;
            }
            assert_eq!(seen.plate.as_deref(), Some(license.as_str()), "{media}");
        }
    }
    for (text, want) in [
        ("_无_", None),
        (" ", None),
        ("粤Ｂ１２３４５", Some("粤B12345")),
        ("蓝粤B12345", Some("粤B12345")),
        ("黑A·12345", Some("黑A12345")),
        ("ABC 123-D", Some("ABC123D")),
        ("使123456", Some("使123456")),
    ] {
        assert_eq!(plate(text).unwrap().as_deref(), want, "{text}");
    }
    assert!(plate("粤B\u{0}12345").is_err() && plate("粤B\u{fffd}2345").is_err());
}

#[test]
fn bombs_are_refused_before_they_are_built() {
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><EventNotificationAlert><eventType>&b;</eventType></EventNotificationAlert>";
    let outside = "<!DOCTYPE l [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><EventNotificationAlert><licensePlate>&x;</licensePlate></EventNotificationAlert>";
    let deep = "<a>".repeat(200_000);
    let wide =
        format!("<EventNotificationAlert>{}</EventNotificationAlert>", "<a/>".repeat(100_000));
    for text in [bomb, outside, &deep, &wide] {
        assert!(read(Vendor::Hikvision, "application/xml", text.as_bytes()).is_err());
    }
    let json = format!("{{\"AlarmInfoPlate\":{}", "[".repeat(100_000));
    assert!(read(Vendor::Vzenith, "", json.as_bytes()).is_err());
    let parts = "--x\r\n\r\n\r\n".repeat(multipart::PARTS_MAX + 1);
    let many = multipart::parts("multipart/form-data; boundary=x", parts.as_bytes());
    assert_eq!(many, Err(BadPush::Bounds("too many parts")));
    let long = vzenith(&"A".repeat(10 * 1024 * 1024));
    assert!(matches!(read(Vendor::Vzenith, "", &long), Err(BadPush::Bounds(_))));
}

#[test]
fn a_heartbeat_keeps_no_password() {
    let body = b"--b\r\nContent-Disposition: form-data; name=\"device_name\"\r\n\r\nIVS\r\n--b\r\nContent-Disposition: form-data; name=\"pass_wd\"\r\n\r\nhunter2\r\n--b\r\nContent-Disposition: form-data; name=\"serialno\"\r\n\r\nabc-1\r\n--b--\r\n";
    let report = read(Vendor::Vzenith, "multipart/form-data; boundary=b", body).unwrap();
    assert_eq!(report, Report::Heartbeat { serial: Some("abc-1".to_owned()) });
}

/// Damages a good push: cuts, flips, doubles.
fn damaged(base: &[u8], edits: &[(u16, u8, u8)]) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for (at, kind, value) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = usize::from(*at) % bytes.len();
        match kind % 4 {
            0 => bytes[at] = *value,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, *value),
            _ => {
                let tail = bytes[at..].to_vec();
                bytes.extend_from_slice(&tail);
            }
        }
    }
    bytes
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(
        std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
    ))]

    #[test]
    fn no_bytes_of_a_camera_panic_and_no_bad_plate_comes_out(
        which in 0_usize..4,
        media in proptest::sample::select(vec![
            "", "application/json", "application/xml; charset=gbk", "multipart/form-data; boundary=myboundary",
            "multipart/form-data", "text/plain; charset=gb2312", "multipart/", "multipart/x; boundary=\"\"",
        ]),
        edits in proptest::collection::vec(
            (proptest::num::u16::ANY, proptest::num::u8::ANY, proptest::num::u8::ANY), 0..6),
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        for base in [VZENITH, ANPR, SNAP, noise.as_slice()] {
            let bytes = damaged(base, &edits);
            let vendor = Vendor::WORDS[which].1;
            if let Ok(report) = read(vendor, media, &bytes) {
                if let Report::Car(seen) = &report {
                    let fine = |p: &String| p.chars().count() <= PLATE_CHARS_MAX
                        && !p.chars().any(|c| c.is_control() || c == '\u{fffd}');
                    proptest::prop_assert!(seen.plate.as_ref().is_none_or(fine), "{:?}", seen.plate);
                }
                // No report opens by itself: only a reply that says so.
                let said = answer(vendor, &report, &Reply::default()).body;
                let opens = said.contains("\"info\":\"ok\"") && !said.contains("AlarmGioIn")
                    || said.contains("\"action\":\"open\"") || said.contains("ivs_ioctrl");
                proptest::prop_assert!(!opens, "{said}");
            }
            let mut decoder = tcp::Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.take() {
                if let tcp::Frame::Json(body) = frame { let _ = tcp::read(&body); }
            }
            let _ = tcp::read(&bytes);
            let _ = hikvision::gate::verdict(200, &bytes);
            let _ = hikvision::gate::position(&bytes);
            let _ = dahua::strobe::verdict(200, &bytes);
            if let Ok(mut stream) = multipart::Stream::new("multipart/x-mixed-replace; boundary=myboundary") {
                stream.push(&bytes);
                for _ in 0..100 {
                    match stream.take() {
                        Ok(Some((media, bytes))) => { let _ = dahua::snap::part(&media, &bytes); }
                        Ok(None) | Err(_) => break,
                    }
                }
            }
        }
    }
}
