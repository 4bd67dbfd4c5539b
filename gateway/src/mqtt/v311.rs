//! MQTT 3.1.1 (OASIS standard, 2014) for brokers that have nothing else: a stream that speaks it
//! outside and MQTT 5 inside. So there is one session code for both versions, with one set of tests.
//!
//! ```text
//! session ─► client library ─► MQTT 5 packets ─► [ here ] ─► MQTT 3.1.1 packets ─► TLS
//! ```
//!
//! What 3.1.1 does not have is empty: properties, reasons in a PUBACK, response topic and correlation
//! data (the command's id stands in the JSON), a DISCONNECT of the broker's. A retained message that
//! comes live looks like any other there, so a retained command is refused only when it was there
//! before us; the replay memory refuses it from the second time on.

use crate::limits;
use crate::ports::BrokerStream;
use bytes::{Buf, BufMut, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait for the wire before a write waits too.
const WAITING_MAX: usize = 2 * limits::MQTT_MESSAGE_BYTES_MAX;
/// Longest packet of either side.
const PACKET_MAX: usize = 2 * limits::MQTT_MESSAGE_BYTES_MAX;
/// Bytes that are read from the wire at once.
const CHUNK: usize = 8 * 1024;

/// A stream to a broker of MQTT 3.1.1, for a client of MQTT 5.
pub(crate) struct V311 {
    inner: Box<dyn BrokerStream>,
    /// From the client, not yet a whole packet.
    from_client: BytesMut,
    /// For the wire.
    to_wire: BytesMut,
    /// From the wire, not yet a whole packet.
    from_wire: BytesMut,
    /// For the client.
    to_client: BytesMut,
}

impl V311 {
    /// Over an open stream.
    pub(crate) fn new(inner: Box<dyn BrokerStream>) -> Self {
        let empty = BytesMut::new;
        Self {
            inner,
            from_client: empty(),
            to_wire: empty(),
            from_wire: empty(),
            to_client: empty(),
        }
    }

    fn write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.to_wire.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.to_wire))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.to_wire.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for V311 {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.to_client.is_empty() {
                let length = this.to_client.len().min(buf.remaining());
                buf.put_slice(&this.to_client.split_to(length));
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; CHUNK];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(())); // the end
            }
            this.from_wire.extend_from_slice(read.filled());
            while let Some(packet) = take(&mut this.from_wire)? {
                to_five(packet.first, &packet.body, &mut this.to_client)?;
            }
        }
    }
}

impl AsyncWrite for V311 {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.to_wire.len() + this.from_client.len() > WAITING_MAX {
            ready!(this.write_out(cx))?;
        }
        this.from_client.extend_from_slice(buf);
        while let Some(packet) = take(&mut this.from_client)? {
            to_three(packet.first, &packet.body, &mut this.to_wire)?;
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_out(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_out(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A whole packet: its first byte, and what follows its length.
struct Whole {
    first: u8,
    body: BytesMut,
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a packet of MQTT 3.1.1")
}

/// Takes the next whole packet out of a buffer; `None` until more has come.
fn take(buffer: &mut BytesMut) -> io::Result<Option<Whole>> {
    let Some(&first) = buffer.first() else { return Ok(None) };
    let (mut length, mut used) = (0usize, 1usize);
    loop {
        if used > 4 {
            return Err(malformed());
        }
        let Some(&byte) = buffer.get(used) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * (used - 1));
        used += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > PACKET_MAX {
        return Err(malformed());
    }
    if buffer.len() < used + length {
        return Ok(None);
    }
    buffer.advance(used);
    Ok(Some(Whole { first, body: buffer.split_to(length) }))
}

/// A packet's body, read from the front.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn bytes(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Two bytes of length and what they announce, together.
    fn text(&mut self) -> io::Result<&'a [u8]> {
        let whole = self.0;
        let length = self.bytes(2)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        self.bytes(length)?;
        whole.get(..2 + length).ok_or_else(malformed)
    }

    /// Passes over the properties of MQTT 5.
    fn skip_properties(&mut self) -> io::Result<()> {
        let mut length = 0usize;
        for place in 0..4 {
            let byte = self.bytes(1)?[0];
            length |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return self.bytes(length).map(|_| ());
            }
        }
        Err(malformed())
    }
}

fn put(first: u8, parts: &[&[u8]], out: &mut BytesMut) {
    out.put_u8(first);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let low = u8::try_from(length % 128).unwrap_or(0);
        length /= 128;
        out.put_u8(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    for part in parts {
        out.put_slice(part);
    }
}

/// A packet of the client's in the old form.
fn to_three(first: u8, body: &[u8], out: &mut BytesMut) -> io::Result<()> {
    let mut rest = Body(body);
    match first >> 4 {
        1 => {
            rest.text()?; // MQTT
            let fixed = rest.bytes(4)?; // level, flags, keep-alive
            let flags = fixed[1];
            rest.skip_properties()?;
            let id = rest.text()?;
            let mut tail: Vec<u8> = Vec::new();
            if flags & 0b100 != 0 {
                rest.skip_properties()?;
                tail.extend_from_slice(rest.text()?);
                tail.extend_from_slice(rest.text()?);
            }
            tail.extend_from_slice(rest.0); // user name and password
            put(first, &[&[0, 4], b"MQTT", &[4], &fixed[1..], id, &tail], out);
        }
        3 => {
            let topic = rest.text()?;
            let id = if first & 0b110 == 0 { &[][..] } else { rest.bytes(2)? };
            rest.skip_properties()?;
            put(first, &[topic, id, rest.0], out);
        }
        // The reason and its properties stand behind the packet id.
        4 => put(first, &[rest.bytes(2)?], out),
        8 => {
            let id = rest.bytes(2)?;
            rest.skip_properties()?;
            let mut filters: Vec<u8> = Vec::new();
            while !rest.0.is_empty() {
                filters.extend_from_slice(rest.text()?);
                filters.push(rest.bytes(1)?[0] & 0b11);
            }
            put(first, &[id, &filters], out);
        }
        10 => {
            let id = rest.bytes(2)?;
            rest.skip_properties()?;
            put(first, &[id, rest.0], out);
        }
        12 => put(first, &[], out),
        14 => put(first, &[], out),
        _ => return Err(malformed()),
    }
    Ok(())
}

/// A packet of the broker's in the new form.
fn to_five(first: u8, body: &[u8], out: &mut BytesMut) -> io::Result<()> {
    let mut rest = Body(body);
    match first >> 4 {
        2 => {
            let said = rest.bytes(2)?;
            // 3.1.1 clause 3.2.2.3 → 5.0 clause 3.2.2.2.
            let code = match said[1] {
                0 => 0x00,
                1 => 0x84,
                2 => 0x85,
                3 => 0x88,
                4 => 0x86,
                5 => 0x87,
                _ => 0x80,
            };
            put(first, &[&[said[0] & 1, code, 0]], out);
        }
        3 => {
            let topic = rest.text()?;
            let id = if first & 0b110 == 0 { &[][..] } else { rest.bytes(2)? };
            put(first, &[topic, id, &[0], rest.0], out);
        }
        4 => put(first, &[rest.bytes(2)?], out),
        9 => {
            let id = rest.bytes(2)?;
            put(first, &[id, &[0], rest.0], out);
        }
        13 => put(first, &[], out),
        _ => return Err(malformed()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn three(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (mut buffer, mut out) = (BytesMut::from(bytes), BytesMut::new());
        while let Some(packet) = take(&mut buffer)? {
            to_three(packet.first, &packet.body, &mut out)?;
        }
        Ok(out.to_vec())
    }

    fn five(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (mut buffer, mut out) = (BytesMut::from(bytes), BytesMut::new());
        while let Some(packet) = take(&mut buffer)? {
            to_five(packet.first, &packet.body, &mut out)?;
        }
        Ok(out.to_vec())
    }

    #[test]
    fn what_the_client_says_is_said_in_the_old_form() {
        for (what, new, old) in [
            (
                "CONNECT with properties, will and user",
                b"\x10\x24\0\x04MQTT\x05\xc6\0\x3c\x05\x11\0\0\0\x0a\0\x02id\x02\x01\x01\0\x01w\0\x01p\0\x01u\0\x02pw"
                    .as_slice(),
                b"\x10\x1b\0\x04MQTT\x04\xc6\0\x3c\0\x02id\0\x01w\0\x01p\0\x01u\0\x02pw".as_slice(),
            ),
            (
                "PUBLISH at QoS 1 with a content type",
                b"\x32\x0e\0\x01t\0\x07\x06\x03\0\x03a/bpp",
                b"\x32\x07\0\x01t\0\x07pp",
            ),
            ("PUBLISH at QoS 0", b"\x30\x05\0\x01t\0p", b"\x30\x04\0\x01tp"),
            ("PUBACK with a reason", b"\x40\x04\0\x07\x10\0", b"\x40\x02\0\x07"),
            ("SUBSCRIBE with options", b"\x82\x07\0\x01\0\0\x01t\x29", b"\x82\x06\0\x01\0\x01t\x01"),
            ("PINGREQ", b"\xc0\0", b"\xc0\0"),
            ("DISCONNECT with a reason", b"\xe0\x02\x04\0", b"\xe0\0"),
        ] {
            assert_eq!(three(new).unwrap(), old, "{what}");
        }
    }

    #[test]
    fn what_the_broker_says_is_understood_in_the_new_form() {
        for (what, old, new) in [
            ("CONNACK", b"\x20\x02\0\0".as_slice(), b"\x20\x03\0\0\0".as_slice()),
            ("CONNACK, not authorised", b"\x20\x02\0\x05", b"\x20\x03\0\x87\0"),
            ("CONNACK, version", b"\x20\x02\0\x01", b"\x20\x03\0\x84\0"),
            ("SUBACK", b"\x90\x04\0\x01\x01\x80", b"\x90\x05\0\x01\0\x01\x80"),
            ("PUBLISH, retained, QoS 1", b"\x33\x07\0\x01t\0\x07pp", b"\x33\x08\0\x01t\0\x07\0pp"),
            ("PUBACK", b"\x40\x02\0\x07", b"\x40\x02\0\x07"),
            ("PINGRESP", b"\xd0\0", b"\xd0\0"),
        ] {
            assert_eq!(five(old).unwrap(), new, "{what}");
        }
    }

    #[test]
    fn a_packet_in_pieces_waits_for_its_end() {
        let mut buffer = BytesMut::from(&b"\x30\x80"[..]);
        assert!(take(&mut buffer).unwrap().is_none());
        let mut buffer = BytesMut::from(&b"\x30\x04\0\x01"[..]);
        assert!(take(&mut buffer).unwrap().is_none());
        let mut buffer = BytesMut::from(&b"\x30\xff\xff\xff\xff\x01"[..]);
        assert!(take(&mut buffer).is_err(), "five bytes of length");
        let mut buffer = BytesMut::from(&b"\x30\xff\xff\xff\x7f"[..]);
        assert!(take(&mut buffer).is_err(), "longer than any packet");
    }

    proptest! {
        #[test]
        fn any_bytes_of_either_side_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = three(&bytes);
            let _ = five(&bytes);
        }

        #[test]
        fn a_publish_keeps_its_topic_and_payload(topic in "[a-z/]{1,20}", payload in prop::collection::vec(any::<u8>(), 0..300), wide: bool) {
            let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
            let (first, id): (u8, &[u8]) = if wide { (0x32, &[0, 9]) } else { (0x30, &[]) };
            let mut old = BytesMut::new();
            put(first, &[&length, topic.as_bytes(), id, &payload], &mut old);
            prop_assert_eq!(three(&five(&old).unwrap()).unwrap(), old.to_vec());
        }
    }
}
