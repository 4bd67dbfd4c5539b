//! A simulated wire with many units.

use super::encode::crc16;
use super::fault::Fault;
use super::meter::SimMeter;
use crate::line::Framing;
use crate::transport::Transport;
use blockgate_types::{Span, Time};
use std::collections::{BTreeMap, VecDeque};
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
    fn time(self, bytes: usize) -> Duration {
        let bits = u64::try_from(bytes).unwrap_or(0).saturating_mul(self.character_bits.into());
        let micros = bits.saturating_mul(1_000_000).checked_div(self.baud.into()).unwrap_or(0);
        self.answer + Duration::from_micros(micros)
    }
}

struct Units {
    meters: BTreeMap<u8, SimMeter>,
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

/// A reply on its way: what goes out when.
struct Outgoing {
    at: Instant,
    bytes: Vec<u8>,
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

    /// Puts a meter on the wire, in place of one with the same unit id.
    #[must_use]
    pub fn with(self, unit: u8, meter: SimMeter) -> Self {
        self.put(unit, meter);
        self
    }

    /// Puts a meter on the running wire: a meter is installed or exchanged.
    pub fn put(&self, unit: u8, meter: SimMeter) {
        self.lock().meters.insert(unit, meter);
    }

    /// Takes a meter off the wire.
    pub fn remove(&self, unit: u8) -> Option<SimMeter> {
        self.lock().meters.remove(&unit)
    }

    /// Does something with a meter on the wire: scripts a fault, asks how often it was read.
    pub fn meter<T>(&self, unit: u8, act: impl FnOnce(&mut SimMeter) -> T) -> Option<T> {
        self.lock().meters.get_mut(&unit).map(act)
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
                        match self.answer(&request) {
                            Answer::Close => return Ok(()),
                            Answer::Send(replies) => {
                                for out in replies {
                                    if out.at <= Instant::now() && outgoing.is_empty() {
                                        stream.write_all(&out.bytes).await?;
                                    } else {
                                        let behind = outgoing.iter().take_while(|o| o.at <= out.at);
                                        outgoing.insert(behind.count(), out);
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Takes one whole request off the front, passing over what can not be one.
    fn take_request(&self, received: &mut Vec<u8>) -> Option<Vec<u8>> {
        match self.framing {
            Framing::Rtu => {
                while let Some(frame) = received.get(..8) {
                    let (body, check) = frame.split_at(6);
                    if crc16(body) == check {
                        return Some(received.drain(..8).collect());
                    }
                    received.remove(0);
                }
                None
            }
            Framing::Tcp => {
                let length = received.get(4..6)?;
                let length = length.iter().fold(0, |n, byte| (n << 8) | usize::from(*byte)) + 6;
                (received.len() >= length).then(|| received.drain(..length).collect())
            }
        }
    }

    fn answer(&self, request: &[u8]) -> Answer {
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
        let Some(meter) = units.meters.get_mut(&unit) else { return Answer::Send(Vec::new()) };
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
            at += pace.time(request.len() + reply.len());
        }
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
                | Fault::LowerValue(_) => {}
            }
        }
        let Some((size, pause)) = pieces else {
            return Answer::Send(vec![Outgoing { at, bytes: reply }]);
        };
        let pieces = reply.chunks(size).zip(0_u32..);
        let outgoing =
            pieces.map(|(piece, i)| Outgoing { at: at + pause * i, bytes: piece.to_vec() });
        Answer::Send(outgoing.collect())
    }
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
            | Fault::Close => {}
        }
    }
    let count = u8::try_from(pdu.len().saturating_sub(2)).unwrap_or(u8::MAX);
    if let Some(slot) = pdu.get_mut(1) {
        *slot = count.wrapping_add(count_off);
    }
}
