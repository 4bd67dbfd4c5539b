//! The two frames around a Modbus PDU, and the judgement of what came back.
//!
//! ```text
//! RTU   unit | function | data …                    | CRC low | CRC high        4 to 256 bytes
//! MBAP  tid high | tid low | 0 | 0 | length high | length low | unit | function | data …
//!                                                   length = unit + PDU, 2 to 254
//!
//! read request   function | address high | low | quantity high | low
//! read reply     function | byte count | data …
//! exception      function + 80H | code
//! ```
//!
//! [`judge_rtu`] and [`judge_mbap`] are pure: bytes received so far in, a [`Verdict`] out. They
//! never look at time; what to do about silence is the line's business.

use super::pdu::{Ask, Function, exception_text};
use crate::line::Verdict;
use crate::stream::Extent;
use blockgate_types::FaultClass;

/// Longest RTU frame.
pub const RTU_MAX: usize = 256;
/// Longest MBAP frame.
pub const MBAP_MAX: usize = 260;
/// Bytes of noise in front of a reply that are passed over: the glitch of a driver that is switched
/// on, never a frame.
pub const NOISE_MAX: usize = 4;

/// CRC-16/MODBUS by table: polynomial A001 reflected, initial FFFF.
const CRC_TABLE: [u16; 256] = crc_table();

// Evaluated by the compiler: a wrong index does not compile.
#[allow(clippy::indexing_slicing, clippy::as_conversions)]
const fn crc_table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u16;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

/// The CRC of some bytes; on the wire its low byte goes first.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        let [low, _] = crc.to_le_bytes();
        (crc >> 8) ^ CRC_TABLE.get(usize::from(low ^ byte)).copied().unwrap_or(0)
    })
}

/// Whether the last two bytes are the CRC of those before them.
#[must_use]
pub fn crc_holds(frame: &[u8]) -> bool {
    match frame.split_last_chunk::<2>() {
        Some((body, check)) => crc(body).to_le_bytes() == *check,
        None => false,
    }
}

/// Appends the RTU frame of a read.
pub fn put_rtu(out: &mut Vec<u8>, ask: Ask) {
    let start = out.len();
    out.push(ask.unit);
    out.extend_from_slice(&ask.read.pdu());
    let check = crc(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&check.to_le_bytes());
}

/// Appends the MBAP frame of a read.
pub fn put_mbap(out: &mut Vec<u8>, transaction: u16, ask: Ask) {
    out.extend_from_slice(&transaction.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 6, ask.unit]);
    out.extend_from_slice(&ask.read.pdu());
}

/// Bytes of the right RTU reply.
#[must_use]
pub fn rtu_reply_len(ask: Ask) -> usize {
    usize::from(ask.read.data_bytes()) + 5
}

/// Bytes of an RTU exception.
const RTU_EXCEPTION: usize = 5;

/// How an RTU frame at the start of some bytes fits a request.
enum Fit {
    /// It is not a reply to this request.
    No,
    /// It may become one.
    Open,
    /// It is one, of so many bytes.
    Whole(usize),
}

fn fit_rtu(ask: Ask, head: &[u8]) -> Fit {
    let function = ask.read.function.code();
    let length = match *head {
        [] => return Fit::Open,
        [unit, ..] if unit != ask.unit => return Fit::No,
        [_] => return Fit::Open,
        [_, f, ..] if f == function | 0x80 => RTU_EXCEPTION,
        [_, f, ..] if f != function => return Fit::No,
        [_, _, count, ..] if count != ask.read.data_bytes() => return Fit::No,
        _ => rtu_reply_len(ask),
    };
    match head.get(..length) {
        Some(frame) if crc_holds(frame) => Fit::Whole(length),
        Some(_) => Fit::No,
        None => Fit::Open,
    }
}

/// A whole and undamaged read reply or exception, whoever sent it: its length.
fn any_reply(head: &[u8]) -> Option<usize> {
    let length = match *head {
        [_, f, ..] if f & 0x80 != 0 => RTU_EXCEPTION,
        [_, 1..=4, count, ..] => usize::from(count) + 5,
        _ => return None,
    };
    head.get(..length).filter(|frame| crc_holds(frame)).map(<[u8]>::len)
}

/// How far a read reply or an exception of this unit at the start of some bytes reaches.
pub(crate) fn answer_of(unit: u8, head: &[u8]) -> Extent {
    let length = match *head {
        [is, ..] if is != unit => return Extent::No,
        [] | [_] => return Extent::Open,
        [_, f, ..] if f & 0x80 != 0 => RTU_EXCEPTION,
        [_, f, ..] if !(1..=4).contains(&f) => return Extent::No,
        [_, _] => return Extent::Open,
        [_, _, count, ..] => usize::from(count) + 5,
    };
    match head.get(..length) {
        None => Extent::Open,
        Some(frame) if crc_holds(frame) => Extent::Whole(length),
        Some(_) => Extent::No,
    }
}

/// Judges what an RTU line has received since `request` went out.
///
/// - Our own request in front is an adaptor's echo and is skipped.
/// - Up to [`NOISE_MAX`] bytes that can not begin the reply are passed over.
/// - A whole reply of another unit, function or length is wrong at once.
/// - Two replies that differ are wrong: nobody knows which is ours.
#[must_use]
pub fn judge_rtu(ask: Ask, request: &[u8], received: &[u8]) -> Verdict {
    let mut start = 0;
    while let Some(head) = received.get(start..).filter(|h| !h.is_empty() && start <= NOISE_MAX) {
        match fit_rtu(ask, head) {
            Fit::Whole(length) => return whole_rtu(start, length, head),
            // The echo of a request whose address looks like our byte count: only the whole
            // reply's CRC tells them apart, and that is still to come.
            Fit::Open => return Verdict::More,
            Fit::No if head.starts_with(request) => return Verdict::Skip(start + request.len()),
            Fit::No if request.starts_with(head) => return Verdict::More,
            Fit::No => start += 1,
        }
    }
    if let Some(length) = any_reply(received) {
        return wrong_reply(ask, received.get(..length).unwrap_or_default());
    }
    if received.len() >= rtu_reply_len(ask) {
        return Verdict::Wrong(
            FaultClass::Checksum,
            format!("{} bytes came and no undamaged reply is among them", received.len()),
        );
    }
    Verdict::More
}

fn whole_rtu(start: usize, length: usize, head: &[u8]) -> Verdict {
    if let (Some(reply), Some(rest)) = (head.get(..length), head.get(length..))
        && let Some(other) = any_reply(rest)
        && rest.get(..other) != Some(reply)
    {
        return Verdict::Wrong(
            FaultClass::Protocol,
            "two different replies came to one request: a late one, or two devices with this address"
                .to_owned(),
        );
    }
    Verdict::Reply { start, len: length }
}

fn other_unit(unit: u8, ask: Ask) -> Verdict {
    let what = format!("unit {unit} answered in place of unit {}", ask.unit);
    Verdict::Wrong(FaultClass::WrongDevice, what)
}

/// Names what is wrong with an undamaged reply that is not ours.
fn wrong_reply(ask: Ask, frame: &[u8]) -> Verdict {
    let what = match *frame {
        [unit, ..] if unit != ask.unit => return other_unit(unit, ask),
        [_, f, ..] if f & 0x7F != ask.read.function.code() => {
            format!(
                "the reply is of function {f:02X}H, asked was {:02X}H",
                ask.read.function.code()
            )
        }
        [_, _, count, ..] => {
            format!("the reply has {count} bytes of data, asked were {}", ask.read.data_bytes())
        }
        _ => "the reply is too short".to_owned(),
    };
    Verdict::Wrong(FaultClass::Protocol, what)
}

/// Judges what an MBAP connection has received since the request `transaction` went out.
///
/// A frame of another transaction is a late reply and is skipped. Everything else that is not the
/// reply is wrong, and the connection can not be trusted to be in step any more.
#[must_use]
pub fn judge_mbap(ask: Ask, transaction: u16, received: &[u8]) -> Verdict {
    let wrong = |what: String| Verdict::Wrong(FaultClass::Protocol, what);
    let Some((&[t_high, t_low, p_high, p_low, l_high, l_low], rest)) =
        received.split_first_chunk::<6>()
    else {
        return Verdict::More;
    };
    if (p_high, p_low) != (0, 0) {
        return wrong(format!("this is not Modbus TCP: protocol {p_high:02X}{p_low:02X}H, not 0"));
    }
    let length = usize::from(u16::from_be_bytes([l_high, l_low]));
    if !(3..=MBAP_MAX - 6).contains(&length) {
        return wrong(format!("the header says {length} bytes, possible are 3 to 254"));
    }
    let Some(body) = rest.get(..length) else { return Verdict::More };
    if u16::from_be_bytes([t_high, t_low]) != transaction {
        return Verdict::Skip(6 + length);
    }
    let function = ask.read.function.code();
    match *body {
        [unit, ..] if unit != ask.unit => other_unit(unit, ask),
        [_, f, _] if f == function | 0x80 => Verdict::Reply { start: 0, len: 9 },
        [_, f, ..] if f != function => {
            wrong(format!("the reply is of function {f:02X}H, asked was {function:02X}H"))
        }
        [_, _, count, ref data @ ..]
            if count == ask.read.data_bytes() && data.len() == usize::from(count) =>
        {
            Verdict::Reply { start: 0, len: 6 + length }
        }
        [_, _, count, ref data @ ..] => wrong(format!(
            "the reply counts {count} and carries {} bytes of data, asked were {}",
            data.len(),
            ask.read.data_bytes()
        )),
        _ => wrong("the reply is too short".to_owned()),
    }
}

/// The data of a reply that [`judge_rtu`] or [`judge_mbap`] found right, or its exception code.
///
/// # Errors
/// The exception's code.
pub fn reply_data(pdu: &[u8]) -> Result<&[u8], u8> {
    match pdu {
        [f, code, ..] if f & 0x80 != 0 => Err(*code),
        [_, _, data @ ..] => Ok(data),
        _ => Ok(&[]),
    }
}

/// The sentence for an exception.
#[must_use]
pub fn exception_sentence(function: Function, code: u8) -> String {
    format!("exception {code:02X}H to \"{}\": {}", function.text(), exception_text(code))
}

#[cfg(test)]
mod tests;
