//! `EventNotificationAlert`: pushed as multipart with pictures, or as XML alone.

use crate::barrier::multipart::{self, Part};
use crate::barrier::xml::{self, Tree};
use crate::barrier::{Answer, BadPush, Colour, Heading, Report, Seen, key, plate};
use blockgate_types::Time;

/// Reads a push.
///
/// # Errors
/// [`BadPush`].
pub fn read(media: &str, body: &[u8]) -> Result<Report, BadPush> {
    if !multipart::is_multipart(media) {
        return alert(media, body);
    }
    let parts = multipart::parts(media, body)?;
    let is_xml = |part: &&Part<'_>| {
        part.media.contains("xml")
            || part.name.ends_with(".xml")
            || part.bytes.trim_ascii_start().starts_with(b"<")
    };
    match parts.iter().find(is_xml) {
        Some(part) => alert(&part.media, part.bytes),
        // Pictures that follow a plate (`hasMoreData`) come alone.
        None if !parts.is_empty() => Ok(Report::Other("picture")),
        None => Err(BadPush::malformed("multipart without a part")),
    }
}

/// One alert, from a push or from the alert stream.
///
/// # Errors
/// [`BadPush`].
pub fn alert(media: &str, bytes: &[u8]) -> Result<Report, BadPush> {
    let text = xml::decode(bytes, media)?;
    let tree = Tree::parse(text.trim_start())?;
    if tree.root() != "EventNotificationAlert" {
        return Err(BadPush::malformed("not an EventNotificationAlert"));
    }
    let kind = tree.text("eventType").unwrap_or_default();
    let serial = tree.text("serialNumber").or_else(|| tree.text("macAddress")).and_then(key);
    match kind.to_ascii_lowercase().as_str() {
        "anpr" | "vehicledetection" => car(&tree, serial),
        "videoloss" if tree.text("eventState") == Some("inactive") => {
            Ok(Report::Heartbeat { serial })
        }
        "heartbeat" => Ok(Report::Heartbeat { serial }),
        "io" => {
            let port = tree.text("inputIOPortID").or_else(|| tree.text("dynInputIOPortID"));
            let input = port.and_then(|p| p.parse::<u8>().ok()).unwrap_or(1).saturating_sub(1);
            let on = tree.text("eventState") == Some("active");
            Ok(Report::Input { serial, input, on })
        }
        _ => Ok(Report::Other("event")),
    }
}

fn car(tree: &Tree<'_>, serial: Option<String>) -> Result<Report, BadPush> {
    let license = tree.text("originalLicensePlate").or_else(|| tree.text("licensePlate"));
    let told = tree.text("detectType").or_else(|| tree.text("alarmDataType"));
    let seen = Seen {
        serial,
        key: tree.text("UUID").and_then(key),
        record: None,
        plate: plate(license.unwrap_or_default())?,
        colour: Colour::from_word(tree.text("plateColor").unwrap_or_default()),
        confidence: tree.text("confidenceLevel").and_then(|t| t.parse().ok()).filter(|c| *c <= 100),
        heading: match tree.text("direction") {
            Some("forward") => Heading::Toward,
            Some("reverse") => Heading::Away,
            Some(_) | None => Heading::Unknown,
        },
        at: tree.text("dateTime").and_then(|text| text.parse::<Time>().ok()),
        replayed: tree.text("isDataRetransmission") == Some("true"),
        // 0: the camera's own list decides.
        opened_by_camera: tree.text("barrierGateCtrlType") == Some("0")
            && tree.text("listType") == Some("white"),
        trigger: told.map(str::to_owned),
        fake: false,
    };
    Ok(Report::Car(Box::new(seen)))
}

/// What the camera wants at once, whatever is decided.
#[must_use]
pub fn receipt() -> Answer {
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ResponseStatus version=\"2.0\" \
                xmlns=\"http://www.isapi.org/ver20/XMLSchema\"><requestURL></requestURL>\
                <statusCode>1</statusCode><statusString>OK</statusString>\
                <subStatusCode>ok</subStatusCode></ResponseStatus>\n";
    Answer { media: "application/xml", body: body.to_owned() }
}
