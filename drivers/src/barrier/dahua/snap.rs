//! The `snapManager.cgi` stream: text parts `Events[0].TrafficCar.PlateNumber=…`, pictures and
//! heartbeats. Framed by [`Stream`](crate::barrier::multipart::Stream).

use crate::barrier::{BadPush, Colour, Heading, Report, Request, Seen, key, plate, text};
use blockgate_types::Time;
use std::collections::BTreeMap;

/// Lines of one event.
const LINES_MAX: usize = 1024;

/// The request that opens the stream.
#[must_use]
pub fn attach(channel: u32) -> Request {
    let path = format!(
        "/cgi-bin/snapManager.cgi?action=attachFileProc&channel={channel}&heartbeat=5&Flags[0]=Event&Events=[All]"
    );
    Request { method: "GET", path, media: "", body: String::new() }
}

/// Reads one part of the stream.
///
/// # Errors
/// [`BadPush`].
pub fn part(media: &str, bytes: &[u8]) -> Result<Report, BadPush> {
    if media.trim_start().starts_with("image/") {
        return Ok(Report::Other("picture"));
    }
    let text = text::decode(bytes, text::charset(media))?;
    if text.trim().eq_ignore_ascii_case("heartbeat") {
        return Ok(Report::Heartbeat { serial: None });
    }
    let mut fields = BTreeMap::new();
    for (count, line) in text.lines().enumerate() {
        if count >= LINES_MAX {
            return Err(BadPush::Bounds("an event has too many lines"));
        }
        if let Some((name, value)) = line.split_once('=') {
            let name = name.trim();
            let name = name.strip_prefix("Events[0].").unwrap_or(name);
            fields.insert(name, value.trim());
        }
    }
    let field = |name: &str| fields.get(name).copied().filter(|v| !v.is_empty());
    let code = field("EventBaseInfo.Code").or_else(|| field("Code"));
    let Some(license) = field("TrafficCar.PlateNumber").or_else(|| field("Object.Text")) else {
        // A junction event without a plate is a car that was not read.
        return match code {
            Some("TrafficJunction" | "TrafficTollGate" | "TrafficManualSnap") => {
                Ok(Report::Car(Box::new(seen("", &field)?)))
            }
            Some(_) => Ok(Report::Other("event")),
            None => Err(BadPush::malformed("neither an event nor a heartbeat")),
        };
    };
    Ok(Report::Car(Box::new(seen(license, &field)?)))
}

fn seen<'f>(license: &str, field: &dyn Fn(&str) -> Option<&'f str>) -> Result<Seen, BadPush> {
    let utc = field("UTC").and_then(|t| t.parse::<i64>().ok()).filter(|s| *s > 0);
    // GroupID and index stand for one snapshot; PTS only orders the stream.
    let own = match (field("GroupID"), field("IndexInGroup"), field("PTS")) {
        (Some(group), index, _) => Some(format!("g{group}/{}", index.unwrap_or("0"))),
        (None, _, Some(pts)) => Some(format!("p{pts}/{}", utc.unwrap_or_default())),
        (None, _, None) => None,
    };
    let heading = field("TrafficCar.Direction").or_else(|| field("JunctionDirection"));
    Ok(Seen {
        serial: field("TrafficCar.MachineName").and_then(key),
        key: own.as_deref().and_then(key),
        record: None,
        plate: plate(license)?,
        colour: Colour::from_word(field("TrafficCar.PlateColor").unwrap_or_default()),
        confidence: field("Object.Confidence").and_then(|t| t.parse().ok()).map(|c: u16| {
            // 0 to 255 in some firmware.
            u8::try_from(c.min(100)).unwrap_or(100)
        }),
        heading: match heading {
            Some("Obverse" | "Forward" | "Approach") => Heading::Toward,
            Some("Reverse" | "Backward" | "Leave") => Heading::Away,
            Some(_) | None => Heading::Unknown,
        },
        at: utc.map(|s| Time::from_millis(s.saturating_mul(1000))),
        replayed: false,
        opened_by_camera: false,
        trigger: field("EventBaseInfo.Code").map(str::to_owned),
        fake: false,
    })
}
