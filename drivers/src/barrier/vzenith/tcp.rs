//! The command channel on TCP 8131; the camera is the server.
//!
//! ```text
//! 'V' 'Z' | type | sn | length (4 bytes, big endian) | body
//! type 0: JSON in GB2312, 1: heartbeat without body, 2: binary
//! ```

use super::push;
use super::reply::{GATE_OUTPUT, PULSE_MS};
use crate::barrier::{BadPush, Report, Verdict, text};
use serde_json::{Value, json};

/// The camera's port.
pub const PORT: u16 = 8131;
/// Longest body that is taken: a result with its picture.
pub const BODY_MAX: usize = 4 * 1024 * 1024;
const HEADER: usize = 8;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// JSON, or JSON, a zero byte and a picture.
    Json(Vec<u8>),
    /// The camera lives.
    Heartbeat,
    /// Bytes of a serial port and the like.
    Binary(Vec<u8>),
}

fn encode(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or_default();
    let mut frame = vec![b'V', b'Z', kind, 0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// A command as a frame.
#[must_use]
pub fn command(body: &Value) -> Vec<u8> {
    encode(0, &text::to_gbk(&body.to_string()))
}

/// The heartbeat, to be sent about every 5 s.
#[must_use]
pub fn heartbeat() -> Vec<u8> {
    encode(1, b"")
}

/// Asks for the serial number.
#[must_use]
pub fn get_serial() -> Vec<u8> {
    command(&json!({"cmd": "getsn"}))
}

/// Subscribes to results, without pictures.
#[must_use]
pub fn subscribe() -> Vec<u8> {
    command(
        &json!({"cmd": "ivsresult", "enable": true, "format": "json", "image": false, "image_type": 0}),
    )
}

/// Pulses the output that lifts the arm. The command's name is from public clients.
#[must_use]
pub fn open() -> Vec<u8> {
    command(&json!({"cmd": "ioctl", "delay": PULSE_MS, "io": GATE_OUTPUT, "value": 2}))
}

/// Takes frames out of the bytes that come.
#[derive(Debug, Default)]
pub struct Decoder(Vec<u8>);

impl Decoder {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`BadPush`]: not the camera's protocol, or too long; the connection is of no more use then.
    pub fn take(&mut self) -> Result<Option<Frame>, BadPush> {
        let Some(header) = self.0.first_chunk::<HEADER>() else {
            let wrong = self.0.first().is_some_and(|b| *b != b'V');
            return if wrong { Err(BadPush::malformed("not VZ")) } else { Ok(None) };
        };
        let [b'V', b'Z', kind, _, a, b, c, d] = *header else {
            return Err(BadPush::malformed("not VZ"));
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > BODY_MAX {
            return Err(BadPush::Bounds("a frame is too long"));
        }
        let Some(body) = self.0.get(HEADER..HEADER + length) else { return Ok(None) };
        let frame = match kind {
            0 => Frame::Json(body.to_vec()),
            1 => Frame::Heartbeat,
            2 => Frame::Binary(body.to_vec()),
            _ => return Err(BadPush::malformed("a frame of an unknown type")),
        };
        self.0.drain(..HEADER + length);
        Ok(Some(frame))
    }
}

/// What a JSON frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A result that was subscribed to.
    Report(Report),
    /// The answer to a command; `value` where it carries one.
    Reply {
        /// What the camera says to the command.
        verdict: Verdict,
        /// The serial number and the like.
        value: Option<String>,
    },
}

/// Reads a JSON frame; a picture behind it is left out.
///
/// # Errors
/// [`BadPush`].
pub fn read(body: &[u8]) -> Result<Message, BadPush> {
    let json = body.split(|b| *b == 0).next().unwrap_or_default();
    let text = text::decode(json, Some("gb2312"))?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|fault| BadPush::malformed(format!("the JSON: {fault}")))?;
    if let Some(result) = document.get("PlateResult") {
        let serial = document.get("serialno").and_then(Value::as_str).map(str::to_owned);
        return Ok(Message::Report(Report::Car(Box::new(push::seen(result, serial)?))));
    }
    let code = push::number(document.get("state_code"));
    let code = code.ok_or_else(|| BadPush::malformed("neither a result nor a state_code"))?;
    let value = document.get("value").and_then(Value::as_str).map(str::to_owned);
    let verdict = match code {
        200 => Verdict::Accepted,
        401 | 403 => Verdict::Credentials,
        404 | 501 => Verdict::NotSupported,
        other => Verdict::Refused(format!("state_code {other}")),
    };
    Ok(Message::Reply { verdict, value })
}
