//! A cold water meter with a valve on CJ/T 188-2004, scripted byte by byte from the standard. It shares no
//! code with blockgate: frames and sums are written out here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Address 78330007061326, low byte first.
const OWN: [u8; 7] = [0x26, 0x13, 0x06, 0x07, 0x00, 0x33, 0x78];
/// The address as the config writes it.
pub const ADDRESS: &str = "78330007061326";

#[derive(Debug)]
struct State {
    closed: bool,
    /// Where the valve is going, and after how many further readings it is there.
    moving: Option<(bool, u32)>,
    /// Valve orders that came: the data behind identifier and sequence number.
    orders: Vec<Vec<u8>>,
}

/// The meter; clones are the same one.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Mutex<State>>);

impl Default for Meter {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { closed: false, moving: None, orders: Vec::new() })))
    }
}

impl Meter {
    /// Takes what came over a wire, `received`, and answers what was for it.
    pub fn hear(&self, received: &mut Vec<u8>) -> Vec<u8> {
        let mut said = Vec::new();
        while let Some((control, data)) = take_frame(received) {
            said.extend(self.answer(control, &data).unwrap_or_default());
        }
        said
    }

    /// Whether its valve is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Valve orders that came so far: 55 opens, 99 closes.
    #[must_use]
    pub fn orders(&self) -> Vec<Vec<u8>> {
        self.state().orders.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, control: u8, data: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.state();
        let head = data.get(..3)?;
        match (control, data) {
            (0x01, [0x1F, 0x90, _]) => {
                // The valve moves between two looks.
                state.moving = match state.moving {
                    Some((to, 0)) => {
                        state.closed = to;
                        None
                    }
                    Some((to, looks)) => Some((to, looks - 1)),
                    None => None,
                };
                // 68.00 m3 now and 0.00 at the settlement, no clock.
                let volumes = [0x00, 0x68, 0x00, 0x00, 0x2C, 0x00, 0x00, 0x00, 0x00, 0x2C];
                Some(frame(0x81, &[head, &volumes, &[0; 7], &status(state.closed)].concat()))
            }
            // The last settlement: the counter alone, 61.25 m3.
            (0x01, [0x20, 0xD1, _]) => {
                Some(frame(0x81, &[head, &[0x25, 0x61, 0x00, 0x00, 0x2C]].concat()))
            }
            (0x04, [0xA0, 0x17, _, order @ ..] | [0x17, 0xA0, _, order @ ..]) => {
                state.orders.push(order.to_vec());
                match order {
                    [0x55] => state.moving = Some((false, 1)),
                    [0x99] => state.moving = Some((true, 1)),
                    _ => {}
                }
                // The acknowledgement tells where the valve stands now, not where it goes.
                Some(frame(0x84, &[head, &status(state.closed)].concat()))
            }
            _ => None,
        }
    }
}

/// Bits 1 and 0: the valve.
fn status(closed: bool) -> [u8; 2] {
    [u8::from(closed), 0x00]
}

/// Takes a whole frame for this meter off the front, passing over what is for others; its control code
/// and its data.
fn take_frame(received: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let head = [&[0x68, 0x10], &OWN[..]].concat();
    loop {
        let Some(start) = received.windows(head.len()).position(|bytes| bytes == head) else {
            let keep = received.len().saturating_sub(head.len());
            received.drain(..keep);
            return None;
        };
        received.drain(..start);
        let len = usize::from(*received.get(10)?) + 13;
        if received.len() < len {
            return None;
        }
        let frame: Vec<u8> = received.drain(..len).collect();
        let (body, end) = frame.split_at(len - 2);
        let sum = body.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if end == [sum, 0x16] {
            return Some((body[9], body[11..].to_vec()));
        }
    }
}

fn frame(control: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = [&[0x68, 0x10], &OWN[..], &[control]].concat();
    frame.push(u8::try_from(data.len()).expect("a short answer"));
    frame.extend(data);
    let sum = frame.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    frame.extend([sum, 0x16]);
    [&[0xFE; 3][..], &frame].concat()
}
