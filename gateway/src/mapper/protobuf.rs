//! The encoding of Sparkplug B: the few fields of `org.eclipse.tahu.protobuf.Payload` (proto2) that a
//! gateway sends and reads. Varints, fixed 64-bit numbers and length-delimited fields, nothing else.
//!
//! ```text
//! Payload  1 timestamp · 2 metrics* · 3 seq
//! Metric   1 name · 3 timestamp · 4 datatype · 5 is_historical · 7 is_null · 9 properties
//!          11 long · 13 double · 14 boolean · 15 string
//! PropertySet  1 keys* · 2 values*      PropertyValue  1 type · 8 string
//! ```

/// Data types of metrics (Sparkplug 3.0, 6.4.16).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// UInt64 (8).
    Unsigned(u64),
    /// Double (10).
    Double(f64),
    /// Boolean (11).
    Boolean(bool),
    /// String (12).
    Text(&'a str),
    /// A Double that nobody has read yet: `is_null`.
    Unread,
}

/// One metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric<'a> {
    /// Its name.
    pub name: &'a str,
    /// Milliseconds since 1970, UTC.
    pub timestamp: u64,
    /// From before the connection.
    pub historical: bool,
    /// Its value.
    pub value: Value<'a>,
    /// Its properties, texts.
    pub properties: &'a [(&'a str, &'a str)],
}

fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

fn number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint(field << 3, out);
    varint(value, out);
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    varint(field << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn metric(metric: &Metric<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(1, metric.name.as_bytes(), &mut out);
    number(3, metric.timestamp, &mut out);
    let kind = match metric.value {
        Value::Unsigned(_) => 8,
        Value::Double(_) | Value::Unread => 10,
        Value::Boolean(_) => 11,
        Value::Text(_) => 12,
    };
    number(4, kind, &mut out);
    if metric.historical {
        number(5, 1, &mut out);
    }
    if metric.value == Value::Unread {
        number(7, 1, &mut out);
    }
    if !metric.properties.is_empty() {
        let mut set = Vec::new();
        for (key, _) in metric.properties {
            bytes(1, key.as_bytes(), &mut set);
        }
        for (_, text) in metric.properties {
            let mut value = Vec::new();
            number(1, 12, &mut value);
            bytes(8, text.as_bytes(), &mut value);
            bytes(2, &value, &mut set);
        }
        bytes(9, &set, &mut out);
    }
    match metric.value {
        Value::Unsigned(value) => number(11, value, &mut out),
        Value::Double(value) => {
            varint(13 << 3 | 1, &mut out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Boolean(value) => number(14, u64::from(value), &mut out),
        Value::Text(value) => bytes(15, value.as_bytes(), &mut out),
        Value::Unread => {}
    }
    out
}

/// A payload's bytes; an NDEATH has no `seq`.
#[must_use]
pub fn payload(timestamp: u64, seq: Option<u8>, metrics: &[Metric<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    number(1, timestamp, &mut out);
    for one in metrics {
        bytes(2, &metric(one), &mut out);
    }
    if let Some(seq) = seq {
        number(3, u64::from(seq), &mut out);
    }
    out
}

/// The names of a payload's metrics whose value is the boolean true; `None` for what is no payload.
#[must_use]
pub fn true_metrics(payload: &[u8]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for field in fields(payload)? {
        if let (2, Field::Bytes(metric)) = field {
            let (mut name, mut value) = (None, false);
            for field in fields(metric)? {
                match field {
                    (1, Field::Bytes(text)) => name = std::str::from_utf8(text).ok(),
                    (14, Field::Number(number)) => value = number != 0,
                    _ => {}
                }
            }
            found.extend(name.filter(|_| value).map(str::to_owned));
        }
    }
    Some(found)
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// All fields of a message; `None` when it is malformed.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        let field = match key & 7 {
            0 => Field::Number(take_varint(&mut rest)?),
            1 => Field::Bytes(take(&mut rest, 8)?),
            2 => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                Field::Bytes(take(&mut rest, length)?)
            }
            5 => Field::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        found.push((key >> 3, field));
    }
    Some(found)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for place in 0..10 {
        let byte = *take(rest, 1)?.first()?;
        number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_payload_is_what_the_definition_says_byte_by_byte() {
        let one = Metric {
            name: "a",
            timestamp: 300,
            historical: true,
            value: Value::Boolean(true),
            properties: &[("u", "V")],
        };
        let metric = [
            &b"\x0a\x01a"[..],            // name
            b"\x18\xac\x02",              // timestamp 300
            b"\x20\x0b",                  // datatype 11
            b"\x28\x01",                  // is_historical
            b"\x4a\x0a",                  // properties, 10 bytes
            b"\x0a\x01u",                 //   key
            b"\x12\x05\x08\x0c\x42\x01V", // value: type 12, string
            b"\x70\x01",                  // boolean
        ]
        .concat();
        let length = u8::try_from(metric.len()).unwrap();
        let whole = [&[0x08, 0x01, 0x12, length], &metric[..], &[0x18, 0x02]].concat();
        assert_eq!(payload(1, Some(2), &[one]), whole);
    }

    proptest! {
        #[test]
        fn any_bytes_as_a_payload_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = true_metrics(&bytes);
        }

        #[test]
        fn what_is_written_is_read(name in "[a-z/ ]{1,20}", value: bool) {
            let metric = Metric { name: &name, timestamp: 7, historical: false, value: Value::Boolean(value), properties: &[] };
            let read = true_metrics(&payload(9, Some(1), &[metric])).unwrap();
            prop_assert_eq!(read, if value { vec![name] } else { vec![] });
        }
    }
}
