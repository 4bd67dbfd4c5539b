//! The push of any other camera: one strict JSON object, documented in `docs/cameras.md`.
//!
//! ```text
//! {"type": "car", "id": "…", "plate": "粤B12345", "at": "2026-03-01T08:00:00+08:00",
//!  "colour": "blue", "confidence": 97, "heading": "toward", "replayed": false}
//! {"type": "input", "input": 0, "on": true}
//! {"type": "heartbeat"}
//! ```

use super::{Answer, BadPush, Colour, Heading, Reply, Report, Seen, key, plate, text};
use blockgate_types::Time;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum Push {
    Car(Car),
    Input {
        input: u8,
        on: bool,
        #[serde(default)]
        serial: Option<String>,
    },
    Heartbeat {
        #[serde(default)]
        serial: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Car {
    /// Given by the camera, the same in every repetition.
    id: String,
    plate: Option<String>,
    #[serde(default)]
    at: Option<Time>,
    #[serde(default)]
    colour: Option<String>,
    #[serde(default)]
    confidence: Option<u8>,
    #[serde(default)]
    heading: Option<Way>,
    #[serde(default)]
    replayed: bool,
    #[serde(default)]
    opened_by_camera: bool,
    #[serde(default)]
    serial: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Way {
    Toward,
    Away,
}

/// Reads a push.
///
/// # Errors
/// [`BadPush`] with the field that is wrong.
pub fn read(body: &[u8]) -> Result<Report, BadPush> {
    let text = text::decode(body, Some("utf-8"))?;
    let push = serde_json::from_str(&text)
        .map_err(|fault| BadPush::malformed(format!("the JSON: {fault}")))?;
    Ok(match push {
        Push::Car(car) => {
            let id = key(&car.id);
            let id = id.ok_or_else(|| BadPush::malformed("id must be 1 to 96 ASCII characters"))?;
            if car.confidence.is_some_and(|c| c > 100) {
                return Err(BadPush::malformed("confidence must be from 0 to 100"));
            }
            let colour = car.colour.as_deref().unwrap_or("unknown");
            Report::Car(Box::new(Seen {
                serial: car.serial.as_deref().and_then(key),
                key: Some(id),
                record: None,
                plate: plate(car.plate.as_deref().unwrap_or_default())?,
                colour: Colour::from_word(colour),
                confidence: car.confidence,
                heading: match car.heading {
                    Some(Way::Toward) => Heading::Toward,
                    Some(Way::Away) => Heading::Away,
                    None => Heading::Unknown,
                },
                at: car.at,
                replayed: car.replayed,
                opened_by_camera: car.opened_by_camera,
                trigger: None,
                fake: false,
            }))
        }
        Push::Input { input, on, serial } => {
            Report::Input { serial: serial.as_deref().and_then(key), input, on }
        }
        Push::Heartbeat { serial } => Report::Heartbeat { serial: serial.as_deref().and_then(key) },
    })
}

/// The answer: `open` is the literal that opens, everything else does not.
#[must_use]
pub fn answer(reply: &Reply) -> Answer {
    let body = json!({
        "action": if reply.open { "open" } else { "hold" },
        "display": reply.display,
        "voice": reply.voice,
    });
    Answer { media: "application/json", body: body.to_string() }
}
