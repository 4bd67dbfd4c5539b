//! The master's side: exchanges over a line.

use super::data::CONTENT_MAX;
use super::frame::{self, Address, Ask, Dialect, Frame, OVERHEAD, PREAMBLE, control, di};
use crate::line::Line;
use crate::profile::SerialDefaults;
use blockgate_types::{FaultClass, ReadFault};

/// Reads an identifier; the content behind identifier and sequence number.
///
/// # Errors
/// Timeout, checksum; protocol: a refusal or an answer to another question.
pub async fn read(
    line: &mut Line,
    dialect: Dialect,
    address: Address,
    di: u16,
    speed: Option<SerialDefaults>,
) -> Result<Vec<u8>, ReadFault> {
    let wire = dialect.di_order.wire(di);
    exchange(line, dialect, (address, control::READ, di), &wire, &[], speed)
        .await
        .map(|frame| frame.data.get(3..).unwrap_or_default().to_vec())
}

/// Asks the only meter on the wire for its address.
///
/// # Errors
/// Timeout, checksum, protocol.
pub async fn read_address(
    line: &mut Line,
    dialect: Dialect,
    mask: Address,
    speed: Option<SerialDefaults>,
) -> Result<(Address, u8), ReadFault> {
    let wire = dialect.di_order.wire(di::ADDRESS);
    let what = (mask, control::READ_ADDRESS, di::ADDRESS);
    let frame = exchange(line, dialect, what, &wire, &[], speed).await?;
    Ok((frame.address, frame.meter_type))
}

/// Orders the valve open or closed, once, and gives the status word of the acknowledgement. The
/// acknowledgement proves nothing: the valve moves for 5 to 30 s, and only the status of a later
/// [`read`] says where it stands.
///
/// # Errors
/// The order's own fault; protocol: refused. After any other fault nobody knows whether it was
/// carried out: read the status before doing it again.
pub async fn valve(
    line: &mut Line,
    dialect: Dialect,
    address: Address,
    open: bool,
    speed: Option<SerialDefaults>,
) -> Result<[u8; 2], ReadFault> {
    if address.is_wild() {
        let what = "a valve order goes to one meter, never to a wildcard".to_owned();
        return Err(ReadFault { class: FaultClass::Protocol, what, raw: Vec::new() });
    }
    let wire = dialect.write_di_order.wire(di::VALVE);
    let order = if open { 0x55 } else { 0x99 };
    let what = (address, control::WRITE, di::VALVE);
    let frame = exchange(line, dialect, what, &wire, &[order], speed).await?;
    Ok(frame.data.get(3..5).and_then(|status| status.try_into().ok()).unwrap_or_default())
}

async fn exchange(
    line: &mut Line,
    dialect: Dialect,
    (address, control_code, di): (Address, u8, u16),
    wire: &[u8; 2],
    content: &[u8],
    speed: Option<SerialDefaults>,
) -> Result<Frame, ReadFault> {
    let [_, sequence] = line.next_transaction().to_be_bytes();
    let mut data = wire.to_vec();
    data.push(sequence);
    data.extend(content);
    let (preamble, kind) = (PREAMBLE, dialect.meter_type);
    line.request.clear();
    frame::put(&mut line.request, preamble, kind, address, control_code, &data);
    let sequence = dialect.check_sequence.then_some(sequence);
    let ask = Ask { address, control: control_code, di, sequence };
    line.send().await?;
    let sent = line.request.clone();
    let bytes = sent.len() + CONTENT_MAX + OVERHEAD + PREAMBLE;
    let reply = line.receive_at(bytes, speed, |got| frame::judge(ask, &sent, got)).await?.to_vec();
    let fault = |what: String, raw| ReadFault { class: FaultClass::Protocol, what, raw };
    let frame = Frame::parse(&reply).map_err(|damage| fault(damage.to_string(), reply.clone()))?;
    if frame.control & control::REFUSED != 0 {
        let status = crate::hex::Hex(frame.data.get(1..).unwrap_or_default()).to_string();
        return Err(fault(format!("the meter refuses, status {status}"), reply));
    }
    Ok(frame)
}

/// Whether a fault is the meter's own refusal: it is there, and did nothing.
#[must_use]
pub fn is_refusal(fault: &ReadFault) -> bool {
    Frame::parse(&fault.raw).is_ok_and(|frame| frame.control & control::REFUSED != 0)
}
