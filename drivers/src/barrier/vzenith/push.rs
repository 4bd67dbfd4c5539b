//! What the camera pushes: `AlarmInfoPlate`, `AlarmGioIn`, `SerialData`, `TriggerImage`, heartbeats.

use crate::barrier::{BadPush, Colour, Heading, Report, Seen, key, multipart, plate, text};
use blockgate_types::Time;
use serde_json::Value;

/// Reads a push.
///
/// # Errors
/// [`BadPush`].
pub fn read(media: &str, body: &[u8]) -> Result<Report, BadPush> {
    if multipart::is_multipart(media) {
        return heartbeat(&multipart::parts(media, body)?);
    }
    let text = text::decode(body, text::charset(media))?;
    let trimmed = text.trim_start();
    if !trimmed.starts_with('{') && trimmed.contains("serialno=") {
        return Ok(Report::Heartbeat { serial: form_serial(trimmed) });
    }
    let document: Value = serde_json::from_str(&text)
        .map_err(|fault| BadPush::malformed(format!("the JSON: {fault}")))?;
    json(&document)
}

fn json(document: &Value) -> Result<Report, BadPush> {
    if let Some(alarm) = document.get("AlarmInfoPlate") {
        let result = alarm.pointer("/result/PlateResult");
        let result = result.ok_or_else(|| BadPush::malformed("result.PlateResult is missing"))?;
        return Ok(Report::Car(Box::new(seen(result, text_of(alarm.get("serialno")))?)));
    }
    if let Some(alarm) = document.get("AlarmGioIn") {
        let result = alarm.pointer("/result/TriggerResult");
        let result = result.ok_or_else(|| BadPush::malformed("result.TriggerResult is missing"))?;
        let input = number(result.get("source")).and_then(|n| u8::try_from(n).ok());
        let input = input.ok_or_else(|| BadPush::malformed("source is not an input"))?;
        let on = number(result.get("value")).is_some_and(|n| n != 0);
        let serial = text_of(alarm.get("serialno")).and_then(|s| key(&s));
        return Ok(Report::Input { serial, input, on });
    }
    if document.get("SerialData").is_some() {
        return Ok(Report::Other("serial data"));
    }
    if document.get("TriggerImage").is_some() {
        return Ok(Report::Other("picture"));
    }
    if let Some(serial) = document.get("serialno").or_else(|| document.get("heartbeat")) {
        return Ok(Report::Heartbeat { serial: text_of(Some(serial)).and_then(|s| key(&s)) });
    }
    Err(BadPush::malformed("neither AlarmInfoPlate nor another push that is known"))
}

/// A `PlateResult`, as HTTP and the TCP channel have it.
///
/// # Errors
/// [`BadPush`].
pub fn seen(result: &Value, serial: Option<String>) -> Result<Seen, BadPush> {
    let license = result.get("license").and_then(Value::as_str);
    let license = license.ok_or_else(|| BadPush::malformed("license is not a text"))?;
    let serial = serial.and_then(|s| key(&s));
    let record = number(result.get("plateid")).or_else(|| number(result.get("id")));
    let seconds = number(result.pointer("/timeStamp/Timeval/sec"));
    // Whether plateid begins anew after a reset is not known [C]: the second belongs to the key.
    let own_key = match (&serial, record) {
        (Some(serial), Some(record)) => {
            key(&format!("{serial}/{record}/{}", seconds.unwrap_or_default()))
        }
        (None, _) | (Some(_), None) => None,
    };
    let opened_by_camera = result
        .get("gioouts")
        .and_then(Value::as_array)
        .is_some_and(|outs| outs.iter().any(|out| number(out.get("ctrltype")) == Some(2)));
    Ok(Seen {
        serial,
        key: own_key,
        record,
        plate: plate(license)?,
        colour: colour(number(result.get("colorType")), number(result.get("type"))),
        confidence: number(result.get("confidence")).and_then(|n| u8::try_from(n.min(100)).ok()),
        heading: match number(result.get("direction")) {
            Some(3) => Heading::Away,
            Some(4) => Heading::Toward,
            Some(_) | None => Heading::Unknown,
        },
        at: seconds.filter(|s| *s > 0).map(|s| Time::from_millis(s.saturating_mul(1000))),
        replayed: number(result.get("isoffline")) == Some(1),
        opened_by_camera,
        trigger: number(result.get("triggerType")).map(|n| n.to_string()),
        fake: number(result.get("is_fake_plate")) == Some(1)
            || number(result.get("type")) == Some(29),
    })
}

/// `colorType`, else what the plate's `type` says. Types 11 and 12 mean other things to older
/// firmware, so they say nothing.
fn colour(colour: Option<i64>, kind: Option<i64>) -> Colour {
    match (colour, kind) {
        (Some(1), _) => Colour::Blue,
        (Some(2), _) => Colour::Yellow,
        (Some(3), _) => Colour::White,
        (Some(4), _) => Colour::Black,
        (Some(5), _) => Colour::Green,
        (Some(6), _) => Colour::YellowGreen,
        (_, Some(1)) => Colour::Blue,
        (_, Some(2 | 10 | 14)) => Colour::Black,
        (_, Some(3 | 4 | 13)) => Colour::Yellow,
        (_, Some(5..=9 | 15..=17)) => Colour::White,
        (_, Some(19)) => Colour::Green,
        (_, Some(20)) => Colour::YellowGreen,
        _ => Colour::Unknown,
    }
}

/// Newer firmware writes `ionum` as text, older as a number.
pub(super) fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(n) => n.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_of(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

/// The form carries `pass_wd` in clear: nothing but the serial number is kept of it.
fn heartbeat(parts: &[multipart::Part<'_>]) -> Result<Report, BadPush> {
    let serial = parts.iter().find(|part| part.name == "serialno");
    let serial = serial.and_then(|part| key(&String::from_utf8_lossy(part.bytes)));
    if serial.is_none() && !parts.iter().any(|part| part.name == "device_name") {
        return Err(BadPush::malformed("a form without serialno and device_name"));
    }
    Ok(Report::Heartbeat { serial })
}

fn form_serial(text: &str) -> Option<String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == "serialno").find_map(|(_, value)| key(value))
}
