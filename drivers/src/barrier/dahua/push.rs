//! The JSON push of newer firmware (`TollgateInfo`, `KeepAlive`), and a part of the stream posted as
//! it is. The field names come from public clients.

use super::snap;
use crate::barrier::{Answer, BadPush, Colour, Heading, Report, Seen, key, multipart, plate, text};
use serde_json::{Value, json};

/// Reads a push.
///
/// # Errors
/// [`BadPush`].
pub fn read(media: &str, body: &[u8]) -> Result<Report, BadPush> {
    if multipart::is_multipart(media) {
        let parts = multipart::parts(media, body)?;
        let text = parts.iter().find(|part| !part.media.trim_start().starts_with("image/"));
        return match text {
            Some(part) => read_text(&part.media, part.bytes),
            None if parts.is_empty() => Err(BadPush::malformed("multipart without a part")),
            None => Ok(Report::Other("picture")),
        };
    }
    read_text(media, body)
}

fn read_text(media: &str, body: &[u8]) -> Result<Report, BadPush> {
    let text = text::decode(body, text::charset(media))?;
    if !text.trim_start().starts_with('{') {
        return snap::part(media, body);
    }
    let document: Value = serde_json::from_str(&text)
        .map_err(|fault| BadPush::malformed(format!("the JSON: {fault}")))?;
    let serial = |at: &str| document.pointer(at).and_then(Value::as_str).and_then(key);
    if document.get("Active").is_some() {
        return Ok(Report::Heartbeat { serial: serial("/DeviceID") });
    }
    let Some(found) = document.pointer("/Picture/Plate") else {
        return Err(BadPush::malformed("neither Picture.Plate nor Active"));
    };
    let exists = found.get("IsExist").and_then(Value::as_bool).unwrap_or(true);
    let license = found.get("PlateNumber").and_then(Value::as_str).filter(|_| exists);
    let snap = |name: &str| document.pointer(&format!("/Picture/SnapInfo/{name}"));
    let device = snap("DeviceID").and_then(Value::as_str).and_then(key);
    let taken = snap("SnapTime").and_then(Value::as_str).unwrap_or_default();
    let number = found.get("UploadNum").and_then(Value::as_i64);
    // The snapshot's time is local and without offset: it tells repetitions apart, no more.
    let own = device
        .as_ref()
        .filter(|_| !taken.is_empty())
        .and_then(|device| key(&format!("{device}/{taken}/{}", number.unwrap_or_default())));
    let heading = snap("Direction").and_then(Value::as_str);
    let seen = Seen {
        serial: device,
        key: own,
        record: number,
        plate: plate(license.unwrap_or_default())?,
        colour: Colour::from_word(
            found.get("PlateColor").and_then(Value::as_str).unwrap_or_default(),
        ),
        confidence: found
            .get("Confidence")
            .and_then(Value::as_u64)
            .and_then(|c| u8::try_from(c.min(100)).ok()),
        heading: match heading {
            Some("Obverse") => Heading::Toward,
            Some("Reverse") => Heading::Away,
            Some(_) | None => Heading::Unknown,
        },
        at: None,
        replayed: false,
        opened_by_camera: snap("OpenStrobe").and_then(Value::as_bool).unwrap_or(false),
        trigger: None,
        fake: false,
    };
    Ok(Report::Car(Box::new(seen)))
}

/// What the camera wants at once.
#[must_use]
pub fn receipt(report: &Report) -> Answer {
    let device = match report {
        Report::Car(seen) => seen.serial.clone(),
        Report::Heartbeat { serial } | Report::Input { serial, .. } => serial.clone(),
        Report::Other(_) => None,
    };
    let body = json!({"Result": true, "DeviceID": device.unwrap_or_default(), "Message": "ok"});
    Answer { media: "application/json", body: body.to_string() }
}
