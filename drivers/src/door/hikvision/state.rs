//! How a terminal stands: its doors, its clock, its firmware.

use super::{BadAnswer, civil, get, json_of};
use crate::barrier::Request;
use crate::door::{Civil, Control};
use serde_json::Value;

/// A terminal's doors, the first one first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Doors {
    /// How each is controlled; none where the terminal says something else.
    pub control: Vec<Option<Control>>,
    /// Whether each stands open, by its contact.
    pub open: Vec<bool>,
    /// Whether each lock is released.
    pub unlocked: Vec<bool>,
}

/// Asks how the doors stand.
#[must_use]
pub fn ask_doors() -> Request {
    get("/ISAPI/AccessControl/AcsWorkStatus?format=json")
}

/// Reads how the doors stand.
///
/// # Errors
/// [`BadAnswer`].
pub fn doors(status: u16, body: &[u8]) -> Result<Doors, BadAnswer> {
    if status == 401 {
        return Err(BadAnswer::Credentials);
    }
    let whole = json_of(body)?;
    let found = whole.get("AcsWorkStatus").ok_or(BadAnswer::Form("AcsWorkStatus"))?;
    let numbers = |key: &str| -> Vec<u64> {
        let list = found.get(key).and_then(Value::as_array).into_iter().flatten();
        list.map(|one| one.as_u64().unwrap_or(0)).collect()
    };
    let control = numbers("doorStatus").into_iter().map(|number| match number {
        2 => Some(Control::Open),
        3 => Some(Control::Locked),
        4 => Some(Control::Normal),
        _ => None,
    });
    let is_one = |key| numbers(key).into_iter().map(|number| number == 1).collect();
    Ok(Doors {
        control: control.collect(),
        open: is_one("magneticStatus"),
        unlocked: is_one("doorLockStatus"),
    })
}

/// Asks for the time.
#[must_use]
pub fn ask_time() -> Request {
    get("/ISAPI/System/time")
}

/// The terminal's civil time; none where it shows none.
#[must_use]
pub fn time(body: &[u8]) -> Option<Civil> {
    civil(between(body, "localTime")?.trim())
}

/// Sets the clock, in a zone so many minutes east of UTC.
#[must_use]
pub fn set_time(now: Civil, east_minutes: i32) -> Request {
    let (hours, minutes) = (east_minutes.abs() / 60, east_minutes.abs() % 60);
    // POSIX writes zones the other way round.
    let (sign, posix) = if east_minutes < 0 { ('-', '+') } else { ('+', '-') };
    let at = now.to_string().replace(' ', "T");
    Request {
        method: "PUT",
        path: "/ISAPI/System/time".to_owned(),
        media: "application/xml",
        body: format!(
            "<Time xmlns=\"http://www.isapi.org/ver20/XMLSchema\" version=\"2.0\"><timeMode>manual</timeMode>\
             <localTime>{at}{sign}{hours:02}:{minutes:02}</localTime>\
             <timeZone>CST{posix}{hours}:{minutes:02}:00</timeZone></Time>"
        ),
    }
}

/// Asks who it is.
#[must_use]
pub fn ask_device() -> Request {
    get("/ISAPI/System/deviceInfo")
}

/// Its firmware.
#[must_use]
pub fn firmware(body: &[u8]) -> Option<String> {
    let text = between(body, "firmwareVersion")?;
    let fine = text.len() <= 40 && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    fine.then(|| text.trim().to_owned())
}

fn between(body: &[u8], element: &str) -> Option<String> {
    let text: String = String::from_utf8_lossy(body).chars().take(20_000).collect();
    let (_, rest) = text.split_once(&format!("<{element}>"))?;
    rest.split_once('<').map(|(inside, _)| inside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_clock_and_firmware_are_read_and_nonsense_is_none() {
        let body = br#"{"AcsWorkStatus": {"doorLockStatus": [1, 0], "doorStatus": [4, 2, 1],
            "magneticStatus": [0, 1]}}"#;
        let found = doors(200, body).unwrap();
        assert_eq!(found.control, [Some(Control::Normal), Some(Control::Open), None]);
        assert_eq!((found.open, found.unlocked), (vec![false, true], vec![true, false]));
        assert_eq!(doors(401, b""), Err(BadAnswer::Credentials));
        assert!(doors(200, b"{}").is_err());
        let set = set_time(
            time(b"<Time><localTime>2026-03-02T09:00:01+08:00</localTime></Time>").unwrap(),
            480,
        );
        assert!(
            set.body.contains("<localTime>2026-03-02T09:00:01+08:00</localTime>"),
            "{}",
            set.body
        );
        assert!(set.body.contains("CST-8:00:00"), "{}", set.body);
        assert_eq!(time(b"<Time><localTime>soon</localTime></Time>"), None);
        let info = b"<DeviceInfo><firmwareVersion>V3.2.30</firmwareVersion></DeviceInfo>";
        assert_eq!(firmware(info).as_deref(), Some("V3.2.30"));
        assert_eq!(firmware(b"<a/>"), None);
    }
}
