//! An electricity meter on DL/T 645-2007, behind a transparent serial server or on a wire, scripted byte by
//! byte from the standard. It shares no code with blockgate: frames and sums are written out here.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Address 260305510009, low byte first.
const OWN: [u8; 6] = [0x09, 0x00, 0x51, 0x05, 0x03, 0x26];
/// To this address everybody listens, and nobody answers.
const EVERYBODY: [u8; 6] = [0x99; 6];
/// The address as the config writes it.
pub const ADDRESS: &str = "260305510009";
/// Level 02, password 123456, operator 00000007, in the order of the wire.
const AUTHORITY: [u8; 8] = [0x02, 0x56, 0x34, 0x12, 0x07, 0x00, 0x00, 0x00];

/// What the meter does with a relay order (control code 1C).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It acknowledges and moves.
    Moves,
    /// It acknowledges, and the relay is stuck.
    Sticks,
    /// It moves, and its acknowledgement is lost.
    Mute,
}

#[derive(Debug)]
struct State {
    does: Does,
    open: bool,
    /// Relay orders that came, data without the offset.
    orders: Vec<Vec<u8>>,
    energy: u32,
    /// What its clock shows, `ss mm hh DD MM YY` in BCD; it stands still until it is set.
    clock: [u8; 6],
    /// By which control codes the clock was set.
    set_by: Vec<u8>,
}

/// The meter; clones are the same one.
#[derive(Debug, Clone)]
pub struct Meter {
    state: Arc<Mutex<State>>,
    port: u16,
}

impl Meter {
    /// Listens on a free port and answers one client after the other.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its port").port();
        let meter = Self { port, ..Self::off_wire() };
        let serving = meter.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                serving.serve(client);
            }
        });
        meter
    }

    /// One that nobody has put on a wire yet: [`Self::hear`] is its wire.
    #[must_use]
    pub fn off_wire() -> Self {
        let state = State {
            does: Does::Moves,
            open: false,
            orders: Vec::new(),
            energy: 100,
            clock: [0; 6],
            set_by: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), port: 0 }
    }

    /// Takes what came over a wire, `received`, and answers what was for it.
    pub fn hear(&self, received: &mut Vec<u8>) -> Vec<u8> {
        let mut said = Vec::new();
        while let Some((control, data)) = take_frame(received) {
            said.extend(self.answer(control, &data).unwrap_or_default());
        }
        said
    }

    /// Its clock shows this, `ss mm hh DD MM YY` in BCD.
    pub fn show(&self, clock: [u8; 6]) {
        self.state().clock = clock;
    }

    /// By which control codes its clock was set: 08 is the telegram, 14 a write.
    #[must_use]
    pub fn clock_set_by(&self) -> Vec<u8> {
        self.state().set_by.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it does with relay orders from now on.
    pub fn set(&self, does: Does) {
        self.state().does = does;
    }

    /// Relay orders that came so far, their data without the offset.
    #[must_use]
    pub fn orders(&self) -> Vec<Vec<u8>> {
        self.state().orders.clone()
    }

    /// Whether power is cut.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().open
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut client: std::net::TcpStream) {
        let (mut received, mut bytes) = (Vec::new(), [0; 256]);
        while let Ok(len @ 1..) = client.read(&mut bytes) {
            received.extend_from_slice(&bytes[..len]);
            let said = self.hear(&mut received);
            if client.write_all(&said).is_err() {
                return;
            }
        }
    }

    fn answer(&self, control: u8, data: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.state();
        match (control, data) {
            (0x11, [0x00, 0x00, 0x01, 0x00]) => {
                state.energy += 1;
                let two = |n: u32| u8::try_from(n % 100 / 10 * 16 + n % 10).unwrap_or(0);
                let digits = [two(state.energy), two(state.energy / 100), 0, 0];
                Some(frame(0x91, &[data, &digits].concat()))
            }
            // Status word 3: bit 4 is the relay.
            (0x11, [0x03, 0x05, 0x00, 0x04]) => {
                let word = [if state.open { 0x10 } else { 0x00 }, 0x00];
                Some(frame(0x91, &[data, &word].concat()))
            }
            // Date (WW DD MM YY) and time (ss mm hh).
            (0x11, [0x01, 0x01, 0x00, 0x04]) => {
                let [_, _, _, day, month, year] = state.clock;
                Some(frame(0x91, &[data, &[0x00, day, month, year]].concat()))
            }
            (0x11, [0x02, 0x01, 0x00, 0x04]) => {
                let [second, minute, hour, ..] = state.clock;
                Some(frame(0x91, &[data, &[second, minute, hour]].concat()))
            }
            // The last daily freeze: its time (mm hh DD MM YY) and the forward block, total and tariffs.
            (0x11, [0x01, 0x00, 0x06, 0x05]) => {
                Some(frame(0x91, &[data, &[0x00, 0x00, 0x28, 0x11, 0x26]].concat()))
            }
            (0x11, [0x01, 0x01, 0x06, 0x05]) => {
                let block = [[0x56, 0x34, 0x12, 0x00], [0; 4], [0; 4], [0; 4], [0; 4]].concat();
                Some(frame(0x91, &[data, &block].concat()))
            }
            // The energy of the last settlement.
            (0x11, [0x01, 0x00, 0x01, 0x00]) => {
                Some(frame(0x91, &[data, &[0x99, 0x33, 0x12, 0x00]].concat()))
            }
            (0x11, _) => Some(frame(0xD1, &[0x02])),
            // The clock telegram has no answer.
            (0x08, [second, minute, hour, day, month, year]) => {
                state.clock = [*second, *minute, *hour, *day, *month, *year];
                state.set_by.push(0x08);
                None
            }
            (0x14, [_, _, _, _, rest @ ..]) if rest.get(..8) != Some(&AUTHORITY[..]) => {
                Some(frame(0xD4, &[0x04]))
            }
            (0x14, [0x01, 0x01, 0x00, 0x04, _, _, _, _, _, _, _, _, _, day, month, year]) => {
                state.clock[3..].copy_from_slice(&[*day, *month, *year]);
                state.set_by.push(0x14);
                Some(frame(0x94, &[]))
            }
            (0x14, [0x02, 0x01, 0x00, 0x04, _, _, _, _, _, _, _, _, second, minute, hour]) => {
                state.clock[..3].copy_from_slice(&[*second, *minute, *hour]);
                state.set_by.push(0x14);
                Some(frame(0x94, &[]))
            }
            (0x14, _) => Some(frame(0xD4, &[0x02])),
            (0x1C, _) => {
                state.orders.push(data.to_vec());
                if data.get(..8) != Some(&AUTHORITY[..]) {
                    return Some(frame(0xDC, &[0x04]));
                }
                if state.does != Does::Sticks {
                    state.open = data.get(8) == Some(&0x1A);
                }
                (state.does != Does::Mute).then(|| frame(0x9C, &[]))
            }
            _ => None,
        }
    }
}

/// Takes a whole frame for this meter off the front, passing over what is for others; its control code
/// and its data without the offset.
fn take_frame(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let heads = [OWN, EVERYBODY].map(|to| [&[0x68], &to[..], &[0x68]].concat());
    loop {
        let is_head = |bytes: &[u8]| heads.iter().any(|head| head == bytes);
        let Some(start) = received.windows(8).position(is_head) else {
            let keep = received.len().saturating_sub(8);
            received.drain(..keep);
            return None;
        };
        received.drain(..start);
        let len = usize::from(*received.get(9)?) + 12;
        if received.len() < len {
            return None;
        }
        let frame: Vec<u8> = received.drain(..len).collect();
        let (body, end) = frame.split_at(len - 2);
        let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if end == [sum, 0x16] {
            return Some((
                body[8],
                body[10..].iter().map(|byte| byte.wrapping_sub(0x33)).collect(),
            ));
        }
    }
}

fn frame(control: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = [&[0x68], &OWN[..], &[0x68, control]].concat();
    frame.push(u8::try_from(data.len()).expect("a short answer"));
    frame.extend(data.iter().map(|byte| byte.wrapping_add(0x33)));
    let sum = frame.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum, 0x16]);
    [&[0xFE, 0xFE][..], &frame].concat()
}
