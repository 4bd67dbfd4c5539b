//! MQTT 3.1.1 (OASIS standard, 2014) in terms of the packets of MQTT 5: the same fields without
//! properties and with shorter lists of codes. Only what a broker reads and writes at QoS 0 and 1.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::{Error, check, qos};
use rumqttc::{
    Connect, ConnectAuth, ConnectReturnCode, Disconnect, DisconnectReasonCode, LastWill, Packet,
    PubAck, Publish, QoS, Subscribe, SubscribeFilter, SubscribeReasonCode, Unsubscribe,
};

/// The protocol level of a CONNECT packet at the start of a buffer, once that much has come.
pub(super) fn version_of(buffer: &[u8]) -> Option<u8> {
    // Fixed header with 1 to 4 bytes of length, then 0 4 M Q T T level.
    let lengths = buffer.get(1..)?.iter().take(4).take_while(|b| **b & 0x80 != 0).count();
    buffer.get(1 + lengths + 1 + 6).copied()
}

/// Takes the next packet out of a buffer.
pub(super) fn read(buffer: &mut BytesMut, max: u32) -> Result<Packet, Error> {
    let header = check(buffer.iter(), Some(max))?;
    let mut body = buffer.split_to(header.frame_length()).freeze();
    let first = body.first().copied().ok_or(Error::MalformedPacket)?;
    let lengths = body.iter().skip(1).take(4).take_while(|b| **b & 0x80 != 0).count();
    body.advance(2 + lengths);
    match first >> 4 {
        1 => connect(body),
        3 => publish(first & 0x0f, body),
        4 => Ok(Packet::PubAck(PubAck::new(number(&mut body)?, None))),
        8 => {
            let pkid = number(&mut body)?;
            let mut filters = Vec::new();
            while body.has_remaining() {
                let path = text(&mut body)?;
                let wanted = qos(byte(&mut body)? & 0b11)?;
                filters.push(SubscribeFilter::new(path, wanted));
            }
            Ok(Packet::Subscribe(Subscribe { pkid, filters, properties: None }))
        }
        10 => {
            let pkid = number(&mut body)?;
            let mut filters = Vec::new();
            while body.has_remaining() {
                filters.push(text(&mut body)?);
            }
            Ok(Packet::Unsubscribe(Unsubscribe { pkid, filters, properties: None }))
        }
        12 => Ok(Packet::PingReq),
        14 => Ok(Packet::Disconnect(Disconnect {
            reason_code: DisconnectReasonCode::NormalDisconnection,
            properties: None,
        })),
        other => Err(Error::InvalidPacketType(other)),
    }
}

fn connect(mut body: Bytes) -> Result<Packet, Error> {
    if text(&mut body)? != "MQTT" {
        return Err(Error::InvalidProtocol);
    }
    let level = byte(&mut body)?;
    if level != 4 {
        return Err(Error::InvalidProtocolLevel(level));
    }
    let flags = byte(&mut body)?;
    let keep_alive = number(&mut body)?;
    let client_id = text(&mut body)?;
    let will = if flags & 0b100 == 0 {
        None
    } else {
        let topic = text(&mut body)?;
        let message = bytes(&mut body)?;
        let wanted = qos((flags >> 3) & 0b11)?;
        Some(LastWill::new(topic, message.to_vec(), wanted, flags & 0b10_0000 != 0, None))
    };
    // User and password, if any, are not looked at: certificates decide.
    let connect = Connect { keep_alive, client_id, clean_start: true, properties: None };
    Ok(Packet::Connect(connect, will, ConnectAuth::None))
}

fn publish(flags: u8, mut body: Bytes) -> Result<Packet, Error> {
    let topic = text(&mut body)?;
    let qos = qos((flags >> 1) & 0b11)?;
    let pkid = if qos == QoS::AtMostOnce { 0 } else { number(&mut body)? };
    let mut publish = Publish::new(topic, qos, body, None);
    publish.dup = flags & 0b1000 != 0;
    publish.retain = flags & 1 != 0;
    publish.pkid = pkid;
    Ok(Packet::Publish(publish))
}

/// Writes a packet in the old form.
pub(super) fn write(packet: &Packet, out: &mut BytesMut) -> Result<(), Error> {
    match packet {
        Packet::ConnAck(connack) => {
            out.put_slice(&[0x20, 2, u8::from(connack.session_present), code(connack.code)]);
        }
        Packet::Publish(publish) => {
            let wide = publish.qos != QoS::AtMostOnce;
            let first = 0x30 | (u8::from(wide) << 1) | u8::from(publish.retain);
            out.put_u8(first);
            length(2 + publish.topic.len() + 2 * usize::from(wide) + publish.payload.len(), out);
            out.put_u16(u16::try_from(publish.topic.len()).map_err(|_| Error::PayloadTooLong)?);
            out.put_slice(&publish.topic);
            if wide {
                out.put_u16(publish.pkid);
            }
            out.put_slice(&publish.payload);
        }
        Packet::PubAck(puback) => {
            // No reason codes here: a refused publish can only be acknowledged.
            out.put_slice(&[0x40, 2]);
            out.put_u16(puback.pkid);
        }
        Packet::SubAck(suback) => {
            out.put_u8(0x90);
            length(2 + suback.return_codes.len(), out);
            out.put_u16(suback.pkid);
            for code in &suback.return_codes {
                out.put_u8(match code {
                    SubscribeReasonCode::Success(QoS::AtMostOnce) => 0,
                    SubscribeReasonCode::Success(_) => 1,
                    _ => 0x80,
                });
            }
        }
        Packet::UnsubAck(unsuback) => {
            out.put_slice(&[0xb0, 2]);
            out.put_u16(unsuback.pkid);
        }
        Packet::PingResp => out.put_slice(&[0xd0, 0]),
        _ => return Err(Error::IncorrectPacketFormat),
    }
    Ok(())
}

fn code(code: ConnectReturnCode) -> u8 {
    match code {
        ConnectReturnCode::Success => 0,
        ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => 2,
        ConnectReturnCode::BadUserNamePassword => 4,
        ConnectReturnCode::NotAuthorized | ConnectReturnCode::Banned => 5,
        _ => 3,
    }
}

fn length(mut length: usize, out: &mut BytesMut) {
    loop {
        let low = u8::try_from(length % 128).unwrap_or(0);
        length /= 128;
        if length == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

fn byte(body: &mut Bytes) -> Result<u8, Error> {
    if body.is_empty() { Err(Error::MalformedPacket) } else { Ok(body.get_u8()) }
}

fn number(body: &mut Bytes) -> Result<u16, Error> {
    if body.len() < 2 { Err(Error::MalformedPacket) } else { Ok(body.get_u16()) }
}

fn bytes(body: &mut Bytes) -> Result<Bytes, Error> {
    let length = usize::from(number(body)?);
    if body.len() < length { Err(Error::MalformedPacket) } else { Ok(body.split_to(length)) }
}

fn text(body: &mut Bytes) -> Result<String, Error> {
    String::from_utf8(bytes(body)?.to_vec()).map_err(|_| Error::MalformedPacket)
}
