//! A meter that is scripted byte by byte: Modbus over TCP, RTU over TCP, or RTU on a pseudo terminal
//! (socat). It shares no code with blockgate: frames and CRC are written out here from the documents.
//!
//! It has three counters of the same shape, so that a reply to one could be taken for another's; each
//! value says which unit, which register and which request it belongs to ([`value`]).

use crate::Running;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Addresses of the counters; two registers each, read with function 4.
pub const COUNTERS: [u16; 3] = [10, 20, 30];
/// The counter that is a float (IEEE 754 single); the others are unsigned numbers.
pub const FLOAT: u16 = 30;

/// The device profile `scripted-meter` for `profiles.d`.
#[must_use]
pub fn profile() -> String {
    let mut text = "id = \"scripted-meter\"\nvendor = \"Scripted\"\nmodel = \"Meter\"\nprotocol = \"modbus\"\n\
        source = \"the tests from outside\"\nmax_block = 2\nmax_gap = 0\n\
        [serial]\nbaud = 115200\ndata_bits = 8\nparity = \"none\"\nstop_bits = 1\n"
        .to_owned();
    for address in COUNTERS {
        let format = if address == FLOAT { "f32" } else { "u32" };
        text.push_str(&format!(
            "[[register]]\nname = \"counter_{address}\"\nfc = 4\naddress = {address}\n\
             format = \"{format}\"\nunit = \"kWh\"\nrole = \"billing\"\ndecimals = 0\n"
        ));
    }
    for address in COUNTERS {
        let [high, low] = address.to_be_bytes();
        let request = with_crc(&[1, 4, high, low, 0, 2]);
        let response = with_crc(&[&[1, 4, 4], &data(1, address, 7)[..]].concat());
        text.push_str(&format!(
            "[[vector]]\nrequest = \"{}\"\nresponse = \"{}\"\n[vector.expect]\ncounter_{address} = \"{}\"\n",
            hex(&request),
            hex(&response),
            value(1, address, 7)
        ));
    }
    text
}

/// What a counter reads when a request of this number asks for it.
#[must_use]
pub fn value(unit: u8, address: u16, number: u32) -> u64 {
    let (unit, address, number) = (u64::from(unit), u64::from(address), u64::from(number));
    // A single has 24 bits: unit, address and number get what fits.
    if address == u64::from(FLOAT) {
        unit * 1_000_000 + address * 10_000 + number
    } else {
        unit * 1_000_000_000 + address * 10_000_000 + number
    }
}

/// The unit, address and number of a [`value`].
#[must_use]
pub fn of_value(value: u64) -> (u8, u16, u32) {
    let (per_unit, per_address) =
        if value >= 1_000_000_000 { (1_000_000_000, 10_000_000) } else { (1_000_000, 10_000) };
    let part = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let unit = u8::try_from(value / per_unit).unwrap_or(0);
    let address = u16::try_from(value % per_unit / per_address).unwrap_or(0);
    (unit, address, part(value % per_address))
}

#[allow(clippy::as_conversions, clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn data(unit: u8, address: u16, number: u32) -> [u8; 4] {
    let value = value(unit, address, number);
    if address == FLOAT { (value as f32).to_be_bytes() } else { (value as u32).to_be_bytes() }
}

/// What a slave does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Answers as it should.
    Honest,
    /// Says nothing.
    Silent,
    /// Answers as it should, after this many milliseconds.
    LateMs(u64),
    /// Answers as it should, twice in one breath.
    Twice,
    /// Answers in the name of the next unit.
    OtherUnit,
    /// Answers with function 3, asked was 4.
    WrongFunction,
    /// Turns one bit of the value over on the wire; on Modbus TCP, which has no CRC, of the header.
    Garbled,
    /// Sends one register and says so; two were asked for.
    OneRegister,
    /// Says two registers and sends one.
    ShortCount,
    /// The value is a NaN.
    NotANumber,
    /// An exception with this code.
    Exception(u8),
    /// A counter that stands lower than it did.
    Lower,
}

/// A request as the slave saw it, and what it did.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which unit was asked.
    pub unit: u8,
    /// Which register.
    pub address: u16,
    /// The how many-th request of this slave, from 1.
    pub number: u32,
    /// What it did with it.
    pub act: Act,
    /// The bytes it sent.
    pub reply: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    acts: BTreeMap<(u8, u16), Act>,
    requests: Vec<Request>,
    connections: usize,
}

/// How frames are put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Unit to CRC.
    Rtu,
    /// With Modbus TCP's header.
    Mbap,
}

/// A scripted meter; its thread ends with the test.
#[derive(Debug)]
pub struct Slave {
    state: Arc<Mutex<State>>,
    framing: Framing,
    line: String,
    _socat: Option<Running>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slave {
    /// Behind a TCP port.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn tcp(framing: Framing) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                lock(&shared).connections += 1;
                let _ = stream.set_nodelay(true);
                std::thread::spawn(move || serve(stream, framing, &shared));
            }
        });
        let kind = if framing == Framing::Mbap { "tcp" } else { "rtu-over-tcp" };
        let line = format!("kind = \"{kind}\"\nhost = \"127.0.0.1\"\nport = {port}\n");
        Self { state, framing, line, _socat: None }
    }

    /// On a pair of pseudo terminals that socat makes in `folder`.
    ///
    /// # Panics
    /// When socat does not make them.
    #[must_use]
    pub fn serial(folder: &Path) -> Self {
        let (ours, wire, socat) = crate::wire(folder);
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || serve(wire, Framing::Rtu, &shared));
        let line = format!("kind = \"serial\"\npath = \"{}\"\nbaud = 115200\n", ours.display());
        Self { state, framing: Framing::Rtu, line, _socat: Some(socat) }
    }

    /// The `[[line]]` of this slave, open at its end for more keys.
    #[must_use]
    pub fn line(&self, id: &str) -> String {
        format!("[[line]]\nid = \"{id}\"\n{}", self.line)
    }

    /// How its frames look.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// From now on it does this whenever that register of that unit is asked for.
    pub fn set(&self, unit: u8, address: u16, act: Act) {
        lock(&self.state).acts.insert((unit, address), act);
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }

    /// How often somebody connected; on a terminal nobody knows.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

/// Answers requests one after the other until the wire ends.
fn serve(mut wire: impl Read + Write, framing: Framing, state: &Mutex<State>) {
    let mut request = vec![0; if framing == Framing::Rtu { 8 } else { 12 }];
    while wire.read_exact(&mut request).is_ok() {
        let (head, pdu) = match framing {
            Framing::Rtu => (&request[..0], &request[..6]),
            Framing::Mbap => (&request[..6], &request[6..]),
        };
        let (unit, address) = (pdu[0], u16::from_be_bytes([pdu[2], pdu[3]]));
        let (act, number) = {
            let state = lock(state);
            let act = state.acts.get(&(unit, address)).copied().unwrap_or(Act::Honest);
            (act, u32::try_from(state.requests.len() + 1).unwrap_or(u32::MAX))
        };
        let reply = reply(framing, head, pdu, act, number);
        // Noted before it is sent: whoever sees the value finds the request.
        let seen = Request { unit, address, number, act, reply: reply.clone() };
        lock(state).requests.push(seen);
        // A device takes its time, so that a late reply is alone on the wire when it comes.
        let takes_ms = if let Act::LateMs(ms) = act { ms } else { 10 };
        crate::pause_for(Duration::from_millis(takes_ms));
        if wire.write_all(&reply).and_then(|()| wire.flush()).is_err() {
            return;
        }
    }
}

fn reply(framing: Framing, head: &[u8], pdu: &[u8], act: Act, number: u32) -> Vec<u8> {
    let (unit, function) = (pdu[0], pdu[1]);
    let address = u16::from_be_bytes([pdu[2], pdu[3]]);
    let number = if act == Act::Lower { 1 } else { number };
    let mut data = data(unit, address, number);
    if act == Act::NotANumber {
        data = f32::NAN.to_be_bytes();
    }
    let body = match act {
        Act::Silent => return Vec::new(),
        Act::OtherUnit => [&[unit + 1, function, 4], &data[..]].concat(),
        Act::WrongFunction => [&[unit, 3, 4], &data[..]].concat(),
        Act::OneRegister => [&[unit, function, 2], &data[..2]].concat(),
        Act::ShortCount => [&[unit, function, 4], &data[..2]].concat(),
        Act::Exception(code) => vec![unit, function | 0x80, code],
        Act::Honest | Act::LateMs(_) | Act::Twice | Act::Garbled | Act::NotANumber | Act::Lower => {
            [&[unit, function, 4], &data[..]].concat()
        }
    };
    let mut frame = match framing {
        Framing::Rtu => with_crc(&body),
        Framing::Mbap => {
            let length = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
            [&head[..2], &[0, 0], &length, &body].concat()
        }
    };
    match (act, framing) {
        // The value's last byte but one; the CRC stays that of the right frame.
        (Act::Garbled, Framing::Rtu) => frame[5] ^= 0x10,
        (Act::Garbled, Framing::Mbap) => frame[2] ^= 0x10,
        (Act::Twice, _) => frame = [&frame[..], &frame[..]].concat(),
        _ => {}
    }
    frame
}

/// Modbus over Serial Line V1.02, 6.2.2: CRC-16, low byte first.
fn with_crc(body: &[u8]) -> Vec<u8> {
    let mut crc = 0xFFFF_u16;
    for byte in body {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    [body, &crc.to_le_bytes()].concat()
}

/// Bytes as people write them: `01 04 0A`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}
