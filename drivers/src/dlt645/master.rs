//! The master's side: exchanges over a line.

use super::frame::{self, Address, Ask, DATA_MAX, Edition, Frame, OVERHEAD, PREAMBLE, control};
use super::order::{self, Authority, Relay, RelayState, STATUS_WORD_3, Stamp};
use crate::line::Line;
use crate::profile::SerialDefaults;
use blockgate_types::{FaultClass, ReadFault};

/// Most follow-up frames of one read: a load profile has no more, and a meter that never ends is ill.
const FOLLOW_UPS_MAX: u8 = 32;

/// Reads a data identifier, with what follows; the bytes behind the DI, in the order of the wire.
///
/// `speed` is that of the wire where the line itself does not know it (a serial device server).
/// `length` is the number of data bytes that are expected, which only gives the reply its time.
///
/// # Errors
/// Timeout, checksum; protocol: a refusal, with its reason, or an answer to another question.
pub async fn read(
    line: &mut Line,
    edition: Edition,
    address: Address,
    di: u32,
    length: usize,
    speed: Option<SerialDefaults>,
) -> Result<Vec<u8>, ReadFault> {
    let wire = edition.di_wire(di);
    let mut data = Vec::new();
    for sequence in 0..=FOLLOW_UPS_MAX {
        let mut question = wire.clone();
        let control = if sequence == 0 {
            edition.read_code()
        } else {
            if edition == Edition::E2007 {
                question.push(sequence);
            }
            edition.follow_up_code()
        };
        let ask = Ask { address, control, echo: wire.clone() };
        let expected = if sequence == 0 { length + wire.len() } else { DATA_MAX };
        let mut reply = exchange(line, &ask, &question, expected, speed).await?;
        let mut piece = reply.data.split_off(wire.len().min(reply.data.len()));
        if sequence > 0 && edition == Edition::E2007 && piece.pop() != Some(sequence) {
            return Err(protocol(format!("follow-up frame {sequence} bears another number")));
        }
        data.append(&mut piece);
        if reply.control & control::MORE == 0 {
            return Ok(data);
        }
    }
    Err(protocol(format!("more than {FOLLOW_UPS_MAX} frames follow")))
}

/// Asks the only meter on the wire for its address. With a partly wild `mask` any one that fits may
/// answer; two that do collide, which reads as a checksum fault.
///
/// # Errors
/// Timeout, checksum, protocol.
pub async fn read_address(
    line: &mut Line,
    mask: Address,
    speed: Option<SerialDefaults>,
) -> Result<Address, ReadFault> {
    let ask = Ask { address: mask, control: control::READ_ADDRESS, echo: Vec::new() };
    let reply = exchange(line, &ask, &[], 6, speed).await?;
    let own = reply.data.first_chunk::<6>().map(|bytes| Address::from_wire(*bytes));
    match own {
        Some(own) if mask.covers(own) => Ok(own),
        Some(own) => {
            let what = format!("meter {own} answered, asked was {mask}");
            Err(ReadFault { class: FaultClass::WrongDevice, what, raw: Vec::new() })
        }
        None => Err(protocol("the answer holds no address".to_owned())),
    }
}

/// Sends the clock telegram to one meter, or to all by [`Address::BROADCAST`]. Nobody answers; should
/// somebody do, the line's quarantine before the next request hears it.
///
/// # Errors
/// Timeout: no connection.
pub async fn send_clock(line: &mut Line, to: Address, now: Stamp) -> Result<(), ReadFault> {
    line.request.clear();
    order::put_clock(&mut line.request, to, now);
    line.send().await
}

/// Gives one relay order: who orders, what, and until when the meter may carry it out by its own clock.
/// It is sent once, whatever happens: after a fault nobody knows whether it was carried out, and the
/// caller must look before doing it again. The acknowledgement proves nothing either.
///
/// # Errors
/// The order's own fault; protocol: refused, with the reason.
pub async fn order_relay(
    line: &mut Line,
    address: Address,
    (authority, relay, deadline): (Authority, Relay, Stamp),
    speed: Option<SerialDefaults>,
) -> Result<(), ReadFault> {
    if address.is_wild() {
        return Err(protocol("a relay order goes to one meter, never to a wildcard".to_owned()));
    }
    let data = order::relay_data(authority, relay, deadline);
    let ask = Ask { address, control: control::RELAY, echo: Vec::new() };
    line.request.clear();
    frame::put(&mut line.request, PREAMBLE, address, ask.control, &data);
    line.send_secret().await?;
    answer(line, &ask, 0, speed).await.map(|_| ())
}

/// Writes a data identifier of one meter, once; bytes in the order of the wire.
///
/// # Errors
/// The write's own fault; protocol: refused, with the reason.
pub async fn write(
    line: &mut Line,
    address: Address,
    (di, authority): (u32, Authority),
    value: &[u8],
    speed: Option<SerialDefaults>,
) -> Result<(), ReadFault> {
    if address.is_wild() {
        return Err(protocol("a write goes to one meter, never to a wildcard".to_owned()));
    }
    let data = order::write_data(di, authority, value);
    let ask = Ask { address, control: control::WRITE, echo: Vec::new() };
    line.request.clear();
    frame::put(&mut line.request, PREAMBLE, address, ask.control, &data);
    line.send_secret().await?;
    answer(line, &ask, 0, speed).await.map(|_| ())
}

/// What a relay order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayReport {
    /// The state that the meter tells after the order; `None` where it could not be read.
    pub state: Option<RelayState>,
    /// Whether the state proves the order: `Some(false)` means that the meter said yes and the relay
    /// did not move. `None`: no state proves this order, or it could not be read.
    pub verified: Option<bool>,
}

/// Gives one relay order by [`order_relay`] and reads the state back.
///
/// # Errors
/// The order's own. A fault of reading the state is none.
pub async fn relay(
    line: &mut Line,
    address: Address,
    order: (Authority, Relay, Stamp),
    speed: Option<SerialDefaults>,
) -> Result<RelayReport, ReadFault> {
    order_relay(line, address, order, speed).await?;
    let word = read(line, Edition::E2007, address, STATUS_WORD_3, 2, speed).await;
    let state = word.ok().and_then(|word| RelayState::from_status_word_3(&word));
    let (_, relay, _) = order;
    let verified = relay.proof().zip(state).map(|(want, is)| want == is);
    Ok(RelayReport { state, verified })
}

/// One request, one reply. A refusal is a fault of class protocol with the meter's reason.
async fn exchange(
    line: &mut Line,
    ask: &Ask,
    data: &[u8],
    expected: usize,
    speed: Option<SerialDefaults>,
) -> Result<Frame, ReadFault> {
    line.request.clear();
    frame::put(&mut line.request, PREAMBLE, ask.address, ask.control, data);
    line.send().await?;
    answer(line, ask, expected, speed).await
}

/// The reply to what was sent.
async fn answer(
    line: &mut Line,
    ask: &Ask,
    expected: usize,
    speed: Option<SerialDefaults>,
) -> Result<Frame, ReadFault> {
    let sent = line.request.clone();
    let bytes = sent.len() + expected + OVERHEAD + PREAMBLE;
    let reply = line.receive_at(bytes, speed, |got| frame::judge(ask, &sent, got)).await?.to_vec();
    let frame = Frame::parse(&reply).map_err(|damage| protocol(damage.to_string()))?;
    if frame.control & control::REFUSED != 0 {
        let error = frame.data.first().copied().unwrap_or(0);
        let what = format!("the meter refuses: {}", frame::refusal_text(error));
        return Err(ReadFault { class: FaultClass::Protocol, what, raw: reply });
    }
    Ok(frame)
}

fn protocol(what: String) -> ReadFault {
    ReadFault { class: FaultClass::Protocol, what, raw: Vec::new() }
}

/// Whether a fault is the meter's own "no such data": the meter is there and has no such register.
#[must_use]
pub fn is_no_such_data(fault: &ReadFault) -> bool {
    let refused = Frame::parse(&fault.raw).ok().filter(|f| f.control & control::REFUSED != 0);
    refused.is_some_and(|frame| frame.data.first().is_some_and(|error| error & 0x02 != 0))
}

/// Whether a fault is the meter's own refusal: it is there, and did nothing.
#[must_use]
pub fn is_refusal(fault: &ReadFault) -> bool {
    Frame::parse(&fault.raw).is_ok_and(|frame| frame.control & control::REFUSED != 0)
}
