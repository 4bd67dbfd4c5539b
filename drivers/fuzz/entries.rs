// What may be thrown at the drivers: each function takes any bytes and must not panic, and what it can
// check of the answer it does. The libFuzzer targets and the test on stable (drivers/tests/corpus.rs) call
// the same ones.

use blockgate_drivers::cjt188::{self, DiOrder};
use blockgate_drivers::dlt645::{self, Edition};
use blockgate_drivers::line::Verdict;
use blockgate_drivers::mbus;
use blockgate_drivers::modbus::frame as modbus_frame;
use blockgate_drivers::modbus::{Function, ReadRequest};
use blockgate_drivers::{Profile, modbus};

/// Takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// The targets by name.
pub(crate) const TARGETS: [(&str, Target); 6] = [
    ("modbus", modbus),
    ("dlt645", dlt645),
    ("cjt188", cjt188),
    ("mbus", mbus),
    ("mbus_data", mbus_data),
    ("profile", profile),
];

/// A reply must lie inside what came, and what is skipped must be there.
fn holds(verdict: &Verdict, received: &[u8]) {
    match verdict {
        Verdict::Reply { start, len } => assert!(start + len <= received.len() && *len > 0),
        Verdict::Skip(bytes) => assert!(*bytes <= received.len() && *bytes > 0),
        Verdict::More | Verdict::Wrong(..) => {}
    }
}

/// Modbus RTU and MBAP: the first five bytes are the question, the rest is what came.
pub(crate) fn modbus(data: &[u8]) {
    let _shown = modbus::decode_frame(data, None);
    let Some((&[unit, function, high, low, count], received)) = data.split_first_chunk::<5>()
    else {
        return;
    };
    let function = Function::from_code(function % 4 + 1).expect("1 to 4");
    let address = u16::from_be_bytes([high, low]);
    let Ok(read) = ReadRequest::new(function, address, u16::from(count % 125) + 1) else { return };
    let ask = modbus::Ask { unit, read };
    let mut request = Vec::new();
    modbus_frame::put_rtu(&mut request, ask);
    let verdict = modbus_frame::judge_rtu(ask, &request, received);
    holds(&verdict, received);
    if let Verdict::Reply { start, len } = verdict {
        let reply = &received[start..start + len];
        // Invariant: a reply bears our unit, and its checksum holds.
        assert!(reply[0] == unit && modbus_frame::crc_holds(reply));
        let _data = modbus_frame::reply_data(&reply[1..reply.len() - 2]);
    }
    let verdict = modbus_frame::judge_mbap(ask, address, received);
    holds(&verdict, received);
    if let Verdict::Reply { start, len } = verdict {
        assert_eq!(received[start..start + len][6], unit);
    }
}

/// DL/T 645: the first eleven bytes are the question, the rest is what came.
pub(crate) fn dlt645(data: &[u8]) {
    let _shown = dlt645::decode_frame(data);
    if let Ok(frame) = dlt645::Frame::parse(data) {
        let mut again = Vec::new();
        dlt645::frame::put(&mut again, frame.preamble, frame.address, frame.control, &frame.data);
        assert_eq!(dlt645::Frame::parse(&again).as_ref(), Ok(&frame));
        for edition in [Edition::E2007, Edition::E1997] {
            let (di, rest) = frame.data.split_at(edition.di_bytes().min(frame.data.len()));
            let di = di.iter().rev().fold(0_u32, |di, byte| (di << 8) | u32::from(*byte));
            for item in dlt645::data::items(edition, di, rest.len()).into_iter().flatten() {
                let _text = dlt645::data::text(item.form, rest);
            }
        }
    }
    let Some((question, received)) = data.split_first_chunk::<11>() else { return };
    let [a, b, c, d, e, f, control, echo @ ..] = *question;
    let address = dlt645::Address::from_wire([a, b, c, d, e, f]);
    let ask = dlt645::frame::Ask { address, control: control & 0x1F, echo: echo.to_vec() };
    let mut sent = Vec::new();
    dlt645::frame::put(&mut sent, 4, address, ask.control, &echo);
    let verdict = dlt645::frame::judge(&ask, &sent, received);
    holds(&verdict, received);
    if let Verdict::Reply { start, len } = verdict {
        let frame = dlt645::Frame::parse(&received[start..start + len]).expect("a whole frame");
        assert!(address.covers(frame.address), "another meter's reply was taken");
    }
}

/// CJ/T 188: the first ten bytes are the question, the rest is what came.
pub(crate) fn cjt188(data: &[u8]) {
    let _shown = cjt188::decode_frame(data);
    let _fields = cjt188::data::fields(data);
    let Some((question, received)) = data.split_first_chunk::<10>() else { return };
    let [a, b, c, d, e, f, g, control, high, low] = *question;
    let address = cjt188::Address::from_wire([a, b, c, d, e, f, g]);
    let (di, sequence) = (u16::from_be_bytes([high, low]), (control & 0x40 != 0).then_some(low));
    let ask = cjt188::frame::Ask { address, control: control & 0x3F, di, sequence };
    let mut sent = Vec::new();
    let wire = DiOrder::LowFirst.wire(di);
    cjt188::frame::put(&mut sent, 4, 0x10, address, ask.control, &[wire[0], wire[1], low]);
    let verdict = cjt188::frame::judge(ask, &sent, received);
    holds(&verdict, received);
    if let Verdict::Reply { start, len } = verdict {
        let frame = cjt188::Frame::parse(&received[start..start + len]).expect("a whole frame");
        assert!(address.covers(frame.address), "another meter's reply was taken");
    }
}

/// M-Bus: the first nine bytes are the question, the rest is what came.
pub(crate) fn mbus(data: &[u8]) {
    let _shown = mbus::decode_frame(data);
    if let Ok(mbus::frame::Frame::Long { ci, data, .. }) = mbus::frame::Frame::parse(data) {
        let _telegram = mbus::data::parse(ci, &data);
    }
    let Some((question, received)) = data.split_first_chunk::<9>() else { return };
    let [primary, identity @ ..] = *question;
    for address in [
        mbus::Address::Primary(primary),
        mbus::Address::Secondary(mbus::Secondary::from_wire(identity)),
    ] {
        let mut sent = Vec::new();
        mbus::frame::put_short(&mut sent, 0x5B, address.link());
        holds(&mbus::frame::judge(address, &sent, received), received);
        holds(&mbus::frame::judge_ack(&sent, received), received);
    }
}

/// The records of an M-Bus telegram: the first byte is the CI.
pub(crate) fn mbus_data(data: &[u8]) {
    if let Some((ci, rest)) = data.split_first() {
        let _telegram = mbus::data::parse(*ci, rest);
    }
}

/// A profile's file; what parses can be asked for its registers and its vectors.
pub(crate) fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(profile) = Profile::parse(text, "fuzz.toml") {
        assert!(!profile.specs().is_empty());
        assert_eq!(profile.map().protocol(), profile.protocol());
    }
}
