//! A simulated wire with many units.

use super::encode::crc16;
use super::fault::Fault;
use super::meter::SimMeter;
use super::serial::{self, Request};
use crate::address::Address;
use crate::line::Framing;
use crate::profile::SerialDefaults;
use crate::transport::Transport;
use blockgate_types::{Span, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

/// The simulated clock: a wall time that runs with tokio's.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: Time,
    origin: Instant,
}

impl SimClock {
    /// A clock that shows `start` now.
    #[must_use]
    pub fn starting_at(start: Time) -> Self {
        Self { start, origin: Instant::now() }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Time {
        let elapsed = self.origin.elapsed().as_millis();
        self.start.plus(Span::from_millis(i64::try_from(elapsed).unwrap_or(i64::MAX)))
    }
}

/// The speed of the wire. A reply is whole when request and reply have gone over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Bits per second.
    pub baud: u32,
    /// Bits of one character, 10 or 11.
    pub character_bits: u32,
    /// How long the device thinks before it answers.
    pub answer: Duration,
}

impl Pace {
    /// How long so many bytes are on the wire.
    fn wire(self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(0).saturating_mul(self.character_bits.into());
        let micros = bits.saturating_mul(1_000_000).checked_div(self.baud.into()).unwrap_or(0);
        Duration::from_micros(micros)
    }
}

struct Units {
    meters: BTreeMap<Address, SimMeter>,
    /// Meters that hear one speed only, and the speed at which the wire is used now.
    speeds: BTreeMap<Address, SerialDefaults>,
    used_at: Option<SerialDefaults>,
    /// M-Bus meters that are selected.
    selected: BTreeSet<Address>,
    clock: SimClock,
    pace: Option<Pace>,
    previous: Vec<u8>,
    previous_transaction: [u8; 2],
}

/// A wire with units on it. Clones are the same wire: one serves, another scripts faults.
#[derive(Clone)]
pub struct SimLine {
    framing: Framing,
    units: Arc<Mutex<Units>>,
}

impl std::fmt::Debug for SimLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = self.lock();
        f.debug_struct("SimLine")
            .field("framing", &self.framing)
            .field("units", &units.meters.keys())
            .finish_non_exhaustive()
    }
}

/// A reply on its way: from when it is on the wire, and when it is whole.
struct Outgoing {
    from: Instant,
    at: Instant,
    bytes: Vec<u8>,
}

impl Outgoing {
    /// Whether it is on the wire at some time of a span.
    fn meets(&self, from: Instant, until: Instant) -> bool {
        self.from < until && from < self.at
    }

    /// Somebody else talked meanwhile.
    fn garble(&mut self) {
        self.bytes.iter_mut().for_each(|byte| *byte = byte.rotate_left(3) ^ 0xA5);
    }
}

/// Puts a reply among those on their way. Two that are on the wire at the same time spoil each other.
fn enqueue(outgoing: &mut VecDeque<Outgoing>, mut out: Outgoing) {
    let (from, until) = (out.from, out.at);
    for other in outgoing.iter_mut().filter(|other| other.meets(from, until)) {
        other.garble();
        out.garble();
    }
    let behind = outgoing.iter().take_while(|other| other.at <= out.at).count();
    outgoing.insert(behind, out);
}

/// What serving one request comes to.
enum Answer {
    Close,
    Send(Vec<Outgoing>),
}

impl SimLine {
    /// A wire without units.
    #[must_use]
    pub fn new(framing: Framing, clock: SimClock) -> Self {
        let units = Units {
            meters: BTreeMap::new(),
            speeds: BTreeMap::new(),
            used_at: None,
            selected: BTreeSet::new(),
            clock,
            pace: None,
            previous: Vec::new(),
            previous_transaction: [0; 2],
        };
        Self { framing, units: Arc::new(Mutex::new(units)) }
    }

    /// Lets the bytes take their time.
    #[must_use]
    pub fn paced(self, pace: Pace) -> Self {
        self.lock().pace = Some(pace);
        self
    }

    /// Puts a meter on the wire, in place of one with the same address.
    #[must_use]
    pub fn with(self, address: impl Into<Address>, meter: SimMeter) -> Self {
        self.put(address, meter);
        self
    }

    /// Puts a meter on the running wire: a meter is installed or exchanged.
    pub fn put(&self, address: impl Into<Address>, meter: SimMeter) {
        self.lock().meters.insert(address.into(), meter);
    }

    /// Lets a meter hear one speed only: to any other it is deaf.
    #[must_use]
    pub fn at_speed(self, address: impl Into<Address>, speed: SerialDefaults) -> Self {
        self.lock().speeds.insert(address.into(), speed);
        self
    }

    /// The wire is used at this speed from now on.
    pub(super) fn tune(&self, speed: Option<SerialDefaults>) {
        self.lock().used_at = speed;
    }

    /// Takes a meter off the wire.
    pub fn remove(&self, address: impl Into<Address>) -> Option<SimMeter> {
        self.lock().meters.remove(&address.into())
    }

    /// Does something with a meter on the wire: scripts a fault, asks how often it was read.
    pub fn meter<T>(
        &self,
        address: impl Into<Address>,
        act: impl FnOnce(&mut SimMeter) -> T,
    ) -> Option<T> {
        self.lock().meters.get_mut(&address.into()).map(act)
    }

    fn lock(&self) -> MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection until the other side closes it or a fault does.
    ///
    /// # Errors
    /// Those of the stream.
    pub async fn serve(&self, mut stream: impl Transport) -> io::Result<()> {
        let mut received = Vec::with_capacity(512);
        let mut outgoing: VecDeque<Outgoing> = VecDeque::new();
        loop {
            let next = outgoing.front().map(|out| out.at);
            tokio::select! {
                biased;
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    if let Some(out) = outgoing.pop_front() {
                        stream.write_all(&out.bytes).await?;
                    }
                }
                read = stream.read_buf(&mut received) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    while let Some(request) = self.take_request(&mut received) {
                        if self.is_talked_over(&request, &mut outgoing) {
                            continue;
                        }
                        match self.answer(&request) {
                            Answer::Close => return Ok(()),
                            Answer::Send(replies) => {
                                for out in replies {
                                    if out.at <= Instant::now() && outgoing.is_empty() {
                                        stream.write_all(&out.bytes).await?;
                                    } else {
                                        enqueue(&mut outgoing, out);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Whether somebody answers while the request is on the wire: nobody understands either of them.
    fn is_talked_over(&self, request: &[u8], outgoing: &mut VecDeque<Outgoing>) -> bool {
        let Some(pace) = self.lock().pace.filter(|_| self.framing == Framing::Rtu) else {
            return false;
        };
        let (from, mut is) = (Instant::now(), false);
        let until = from + pace.wire(request.len());
        for other in outgoing.iter_mut().filter(|other| other.meets(from, until)) {
            other.garble();
            is = true;
        }
        is
    }

    /// Takes one whole request off the front, passing over what can not be one.
    fn take_request(&self, received: &mut Vec<u8>) -> Option<Vec<u8>> {
        match self.framing {
            Framing::Rtu => match serial::first_request(received) {
                Some((start, end, request)) => {
                    // A preamble takes its time on the wire too, and is echoed.
                    let before = received.get(..start).unwrap_or_default();
                    let preamble = before.iter().rev().take_while(|byte| **byte == 0xFE).count();
                    let preamble = if request == Request::Modbus { 0 } else { preamble };
                    let start = start - preamble;
                    received.drain(..start);
                    Some(received.drain(..end - start).collect())
                }
                None => {
                    // What can not be the beginning of a request any more.
                    let keep = received.len().saturating_sub(REQUEST_MAX);
                    received.drain(..keep);
                    None
                }
            },
            Framing::Tcp => {
                let length = received.get(4..6)?;
                let length = length.iter().fold(0, |n, byte| (n << 8) | usize::from(*byte)) + 6;
                (received.len() >= length).then(|| received.drain(..length).collect())
            }
        }
    }

    fn answer(&self, request: &[u8]) -> Answer {
        if self.framing == Framing::Rtu
            && let Some((_, _, other)) = serial::first_request(request)
            && other != Request::Modbus
        {
            return self.answer_other(request, &other);
        }
        let mut units = self.lock();
        let body = match self.framing {
            Framing::Rtu => request.get(..6),
            Framing::Tcp => request.get(6..12),
        };
        let Some(&[unit, code, a_high, a_low, q_high, q_low]) = body else {
            return Answer::Send(Vec::new());
        };
        let now = units.clock.now();
        let pace = units.pace;
        if !hears(&units.speeds, units.used_at, &Address::Unit(unit)) {
            return Answer::Send(Vec::new());
        }
        let Some(meter) = units.meters.get_mut(&Address::Unit(unit)) else {
            return Answer::Send(Vec::new());
        };
        let faults = meter.count(now);
        let address = u16::from_be_bytes([a_high, a_low]);
        let quantity = u16::from_be_bytes([q_high, q_low]);
        let mut pdu = vec![code, 0];
        let refused = faults
            .iter()
            .find_map(|fault| if let Fault::Exception(code) = fault { Some(*code) } else { None });
        let outcome = match refused {
            Some(code) => Err(code),
            None => meter.read(code, address, quantity, now, &faults, &mut pdu),
        };
        let mut answering = unit;
        match outcome {
            Err(exception) => pdu = vec![code | 0x80, exception],
            Ok(()) => spoil_pdu(&mut pdu, &faults),
        }
        for fault in &faults {
            if let Fault::WrongUnit(other) = fault {
                answering = *other;
            }
        }
        let mut reply = self.frame(request, answering, &pdu);
        if faults.iter().any(|f| matches!(f, Fault::StaleTransaction))
            && self.framing == Framing::Tcp
        {
            let stale = units.previous_transaction;
            for (slot, byte) in reply.iter_mut().zip(stale) {
                *slot = byte;
            }
        }
        let right = reply.clone();
        if faults.iter().any(|f| matches!(f, Fault::Previous)) {
            reply.clone_from(&units.previous);
        }
        units.previous = right;
        units.previous_transaction = request.first_chunk::<2>().copied().unwrap_or_default();
        drop(units);
        self.dispatch(request, reply, &faults, pace)
    }

    /// What DL/T 645, CJ/T 188 and M-Bus meters answer, all together.
    fn answer_other(&self, request: &[u8], asked: &Request) -> Answer {
        let mut units = self.lock();
        let (now, pace) = (units.clock.now(), units.pace);
        let Units { meters, selected, speeds, used_at, .. } = &mut *units;
        if let Request::Mbus(0x73 | 0x53, 0xFD, data) = asked {
            let fits = |own: &Address| is_selected_by(own, data);
            *selected = meters.keys().filter(|own| fits(own)).copied().collect();
        }
        let (mut replies, mut faults) = (Vec::new(), Vec::new());
        let concerned =
            |own: &Address| concerns(asked, own, selected) && hears(speeds, *used_at, own);
        for (own, meter) in meters.iter_mut().filter(|(own, _)| concerned(own)) {
            let these = meter.count(now);
            let reply = match (asked, own) {
                (Request::Dlt645(_, control, data), Address::Dlt645(own)) => {
                    meter.answer_dlt645(own.wire(), *control, data, now, &these)
                }
                (Request::Cjt188(kind, _, control, data), Address::Cjt188(own)) => {
                    meter.answer_cjt188((*kind, own.wire()), *control, data, now, &these)
                }
                (Request::Mbus(0x5B | 0x7B, _, _), own) => meter.answer_mbus(own, now, &these),
                (Request::Mbus(..), _) => vec![0xE5],
                (Request::Dlt645(..) | Request::Cjt188(..) | Request::Modbus, _) => Vec::new(),
            };
            if !reply.is_empty() && !these.contains(&Fault::Silent) {
                replies.push(reply);
            }
            faults.extend(these);
        }
        let right = serial::collide(&replies);
        let mut reply = right.clone();
        if faults.contains(&Fault::Previous) {
            reply.clone_from(&units.previous);
        }
        units.previous = right;
        drop(units);
        if reply.is_empty() {
            return Answer::Send(Vec::new());
        }
        self.dispatch(request, reply, &faults, pace)
    }

    fn frame(&self, request: &[u8], unit: u8, pdu: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Rtu => {
                let mut frame = vec![unit];
                frame.extend_from_slice(pdu);
                let check = crc16(&frame);
                frame.extend_from_slice(&check);
                frame
            }
            Framing::Tcp => {
                let mut frame = request.get(..2).unwrap_or_default().to_vec();
                let [high, low] = u16::try_from(pdu.len() + 1).unwrap_or(0).to_be_bytes();
                frame.extend_from_slice(&[0, 0, high, low, unit]);
                frame.extend_from_slice(pdu);
                frame
            }
        }
    }

    /// Faults that concern bytes and time, after the frame was made.
    fn dispatch(
        &self,
        request: &[u8],
        mut reply: Vec<u8>,
        faults: &[Fault],
        pace: Option<Pace>,
    ) -> Answer {
        let mut at = Instant::now();
        if let Some(pace) = pace {
            at += pace.wire(request.len()) + pace.answer + pace.wire(reply.len());
        }
        // A reply that takes no time is on the wire for none.
        let takes = pace.map_or(Duration::ZERO, |pace| pace.wire(reply.len()));
        let mut pieces = None;
        for fault in faults {
            match fault {
                Fault::Silent => return Answer::Send(Vec::new()),
                Fault::Close => return Answer::Close,
                Fault::Late(by) => at += *by,
                Fault::Garbled => match self.framing {
                    // In the middle: in the data, or in an exception's code.
                    Framing::Rtu => flip(&mut reply, |len| len / 2),
                    Framing::Tcp => flip(&mut reply, |_| 2),
                },
                Fault::Half => reply.truncate(reply.len() / 2),
                Fault::Twice => reply.extend_from_within(..),
                Fault::Prefix(bytes) => reply = [bytes.as_slice(), &reply].concat(),
                Fault::Suffix(bytes) => reply.extend_from_slice(bytes),
                Fault::Echo => reply = [request, &reply].concat(),
                Fault::Split { bytes, pause } => pieces = Some(((*bytes).max(1), *pause)),
                Fault::WrongUnit(_)
                | Fault::WrongFunction
                | Fault::TooFewRegisters
                | Fault::TooManyRegisters
                | Fault::WrongByteCount
                | Fault::NaN
                | Fault::Exception(_)
                | Fault::Previous
                | Fault::StaleTransaction
                | Fault::LowerValue(_)
                | Fault::Stuck => {}
            }
        }
        let Some((size, pause)) = pieces else {
            return Answer::Send(vec![Outgoing { from: at - takes, at, bytes: reply }]);
        };
        let pieces = reply.chunks(size).zip(0_u32..);
        let outgoing = pieces.map(|(piece, i)| {
            let at = at + pause * i;
            Outgoing { from: at, at, bytes: piece.to_vec() }
        });
        Answer::Send(outgoing.collect())
    }
}

/// Bytes of the longest request.
const REQUEST_MAX: usize = 300;

/// Whether a meter hears what is sent at a speed.
fn hears(
    speeds: &BTreeMap<Address, SerialDefaults>,
    used_at: Option<SerialDefaults>,
    own: &Address,
) -> bool {
    speeds.get(own).is_none_or(|speed| used_at.is_none_or(|used| used == *speed))
}

/// Whether a meter answers to a request.
fn concerns(asked: &Request, own: &Address, selected: &BTreeSet<Address>) -> bool {
    match (asked, own) {
        (Request::Dlt645(address, _, _), own) => SimMeter::is_dlt645(own, *address),
        (Request::Cjt188(_, address, _, _), Address::Cjt188(own)) => {
            address.iter().zip(own.wire()).all(|(asked, own)| *asked == 0xAA || *asked == own)
        }
        (Request::Mbus(_, 0xFD, _), own) => selected.contains(own),
        (Request::Mbus(_, 0xFE, _), Address::Mbus(_)) => true,
        (Request::Mbus(_, to, _), Address::Mbus(crate::mbus::Address::Primary(own))) => to == own,
        (Request::Cjt188(..) | Request::Mbus(..) | Request::Modbus, _) => false,
    }
}

/// Whether the eight bytes of a selection, behind its CI, fit a meter: F digits and FF bytes fit all.
fn is_selected_by(own: &Address, selection: &[u8]) -> bool {
    let Address::Mbus(crate::mbus::Address::Secondary(own)) = own else { return false };
    let (own, Some(asked)) = (own.wire(), selection.get(1..9)) else { return false };
    let nibble = |asked: u8, own: u8| asked == 0x0F || asked == own;
    own.iter().zip(asked).enumerate().all(|(i, (own, asked))| match i {
        0..=3 => nibble(asked >> 4, own >> 4) && nibble(asked & 15, own & 15),
        _ => *asked == 0xFF || asked == own,
    })
}

fn flip(bytes: &mut [u8], at: impl FnOnce(usize) -> usize) {
    let at = at(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x10;
    }
}

/// Sets the byte count, right or wrong, and the faults that concern the data.
fn spoil_pdu(pdu: &mut Vec<u8>, faults: &[Fault]) {
    let mut count_off = 0;
    for fault in faults {
        match fault {
            Fault::TooFewRegisters => pdu.truncate(pdu.len().saturating_sub(2)),
            Fault::TooManyRegisters => pdu.extend_from_slice(&[0, 0]),
            Fault::WrongByteCount => count_off = 1,
            Fault::WrongFunction => {
                if let Some(code) = pdu.first_mut() {
                    *code = if *code == 3 { 4 } else { 3 };
                }
            }
            Fault::Silent
            | Fault::Late(_)
            | Fault::Garbled
            | Fault::WrongUnit(_)
            | Fault::NaN
            | Fault::Exception(_)
            | Fault::Echo
            | Fault::Half
            | Fault::Twice
            | Fault::Split { .. }
            | Fault::Prefix(_)
            | Fault::Suffix(_)
            | Fault::Previous
            | Fault::StaleTransaction
            | Fault::LowerValue(_)
            | Fault::Stuck
            | Fault::Close => {}
        }
    }
    let count = u8::try_from(pdu.len().saturating_sub(2)).unwrap_or(u8::MAX);
    if let Some(slot) = pdu.get_mut(1) {
        *slot = count.wrapping_add(count_off);
    }
}
