//! Hikvision access terminals over ISAPI (HTTP with Digest): a door is told, people and cards are put, and
//! the event memory is read back by serial number.
//!
//! An event stream may break off and a push may be lost; `AcsEvent` searched from the last serial number
//! on is what has no hole. A page has at most thirty rows.
//!
//! | module | what |
//! |---|---|
//! | this one | orders to doors, events |
//! | [`people`] | people and cards: put, taken out, read back |
//! | [`plan`] | schedules as week plans, holidays and templates |
//! | [`state`] | doors, clock and firmware |
//!
//! ```text
//! PUT  /ISAPI/AccessControl/RemoteControl/door/1          <RemoteControlDoor><cmd>open</cmd>…
//! POST /ISAPI/AccessControl/AcsEvent?format=json          {"AcsEventCond":{…,"beginSerialNo":25524}}
//! POST /ISAPI/AccessControl/UserInfo/Record?format=json   PUT …/Modify   PUT …/Delete
//! POST /ISAPI/AccessControl/CardInfo/Record?format=json   PUT …/Modify   PUT …/Delete
//! ```

pub mod people;
pub mod plan;
pub mod state;

pub use people::User;
pub use plan::Document;

use super::{Civil, Control, Denial, Entry, Happened};
use crate::barrier::Request;
use serde_json::{Value, json};

/// Rows of one page of a search.
pub const PAGE_MAX: u32 = 30;
/// Longest answer that is looked into.
const BODY_MAX: usize = 256 * 1024;

/// What a door is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Open once.
    Open,
    /// Stay so.
    Hold(Control),
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadAnswer {
    /// It is no JSON of the form that is known, or too long.
    Form(&'static str),
    /// User or password are wrong: stop, or the device locks the account.
    Credentials,
    /// The device will not; its own words.
    Refused(String),
}

impl std::fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Form(what) => write!(f, "the answer has no {what}"),
            Self::Credentials => f.write_str("the device refuses user or password"),
            Self::Refused(why) => write!(f, "the device refuses it: {why}"),
        }
    }
}

impl std::error::Error for BadAnswer {}

/// Tells a door, from 1.
#[must_use]
pub fn tell(door: u8, told: Told) -> Request {
    let word = match told {
        Told::Open => "open",
        Told::Hold(Control::Open) => "alwaysOpen",
        Told::Hold(Control::Locked) => "alwaysClose",
        Told::Hold(Control::Normal) => "resume",
    };
    Request {
        method: "PUT",
        path: format!("/ISAPI/AccessControl/RemoteControl/door/{door}"),
        media: "application/xml",
        body: format!(
            "<RemoteControlDoor xmlns=\"http://www.isapi.org/ver20/XMLSchema\" version=\"2.0\"><cmd>{word}</cmd></RemoteControlDoor>"
        ),
    }
}

fn post(method: &'static str, what: &str, body: &Value) -> Request {
    Request {
        method,
        path: format!("/ISAPI/AccessControl/{what}?format=json"),
        media: "application/json",
        body: body.to_string(),
    }
}

/// Asks for the events from a serial number on; `position` is how many of them were read already.
#[must_use]
pub fn search(from: u64, position: u32) -> Request {
    let condition = json!({
        "searchID": format!("blockgate-{from}"),
        "searchResultPosition": position,
        "maxResults": PAGE_MAX,
        "major": 0,
        "minor": 0,
        "beginSerialNo": from,
    });
    post("POST", "AcsEvent", &json!({ "AcsEventCond": condition }))
}

fn get(path: &str) -> Request {
    Request { method: "GET", path: path.to_owned(), media: "", body: String::new() }
}

/// Whether an order was taken. The door's own state is told by its next event.
///
/// # Errors
/// [`BadAnswer`].
pub fn taken(status: u16, body: &[u8]) -> Result<(), BadAnswer> {
    if status == 401 {
        return Err(BadAnswer::Credentials);
    }
    let text: String = String::from_utf8_lossy(body).chars().take(2_000).collect();
    let good = (200..300).contains(&status)
        && !text.contains("<statusCode>")
        && !text.contains("\"statusCode\"")
        || text.contains("<statusCode>1</statusCode>")
        || text.replace(char::is_whitespace, "").contains("\"statusCode\":1");
    if good {
        return Ok(());
    }
    let word = ["subStatusCode", "statusString"].iter().find_map(|name| {
        let after = text.split(name).nth(1)?;
        let word: String = after
            .chars()
            .skip_while(|c| !c.is_alphanumeric())
            .take_while(|c| c.is_alphanumeric())
            .collect();
        (!word.is_empty()).then_some(word)
    });
    Err(BadAnswer::Refused(word.unwrap_or_else(|| format!("HTTP {status}"))))
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its events in the order of their serial numbers.
    pub entries: Vec<Entry>,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Reads a page.
///
/// # Errors
/// [`BadAnswer`].
pub fn page(status: u16, body: &[u8]) -> Result<Page, BadAnswer> {
    if status == 401 {
        return Err(BadAnswer::Credentials);
    }
    let whole = json_of(body)?;
    let found = whole.get("AcsEvent").ok_or(BadAnswer::Form("AcsEvent"))?;
    let word = found.get("responseStatusStrg").and_then(Value::as_str);
    let word = word.ok_or(BadAnswer::Form("responseStatusStrg"))?;
    let rows = found.get("InfoList").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        entries.push(entry(row, "major", "minor", "time").ok_or(BadAnswer::Form("serialNo"))?);
    }
    entries.sort_by_key(|entry| entry.index);
    Ok(Page { entries, more: word.eq_ignore_ascii_case("MORE") })
}

/// Reads an event that the device sends by itself. It is only ever a hint to search.
///
/// # Errors
/// [`BadAnswer`].
pub fn pushed(body: &[u8]) -> Result<Entry, BadAnswer> {
    // A picture may follow, cut off; the JSON part stands first and whole.
    let start = body.iter().position(|byte| *byte == b'{').ok_or(BadAnswer::Form("JSON"))?;
    let rest = body.get(start..).unwrap_or_default();
    let first = serde_json::Deserializer::from_slice(rest).into_iter::<Value>().next();
    let whole = first.and_then(Result::ok).ok_or(BadAnswer::Form("JSON"))?;
    let event =
        whole.get("AccessControllerEvent").ok_or(BadAnswer::Form("AccessControllerEvent"))?;
    let mut found =
        entry(event, "majorEventType", "subEventType", "").ok_or(BadAnswer::Form("serialNo"))?;
    found.at = whole.get("dateTime").and_then(Value::as_str).and_then(civil);
    Ok(found)
}

fn json_of(body: &[u8]) -> Result<Value, BadAnswer> {
    if body.len() > BODY_MAX {
        return Err(BadAnswer::Form("bound: it is too long"));
    }
    serde_json::from_slice(body).map_err(|_| BadAnswer::Form("JSON"))
}

fn entry(row: &Value, major: &str, minor: &str, time: &str) -> Option<Entry> {
    let number = |key: &str| row.get(key).and_then(Value::as_u64);
    let card = row.get("cardNo").and_then(Value::as_str).and_then(|text| text.parse().ok());
    Some(Entry {
        index: number("serialNo")?,
        at: row.get(time).and_then(Value::as_str).and_then(civil),
        door: number("doorNo").and_then(|n| u8::try_from(n).ok()).unwrap_or(1),
        what: happened(number(major)?, number(minor)?),
        card,
        inward: number("cardReaderNo").map(|reader| reader % 2 == 1),
    })
}

/// The civil part of `2026-07-16T19:24:29-05:00`: the device's own clock.
fn civil(text: &str) -> Option<Civil> {
    let two = |from: usize| -> Option<u8> { text.get(from..from.checked_add(2)?)?.parse().ok() };
    let civil = Civil {
        year: text.get(0..4)?.parse().ok()?,
        month: two(5)?,
        day: two(8)?,
        hour: two(11)?,
        minute: two(14)?,
        second: two(17)?,
    };
    civil.is_plausible().then_some(civil)
}

/// What the device's numbers say. Major 5 are events at doors; what is not known is never a grant.
#[must_use]
pub fn happened(major: u64, minor: u64) -> Happened {
    match (major, minor) {
        // Card, card and PIN, fingerprint, face.
        (5, 1 | 2 | 38 | 75) => Happened::Granted,
        (5, 3..=5) => Happened::Denied(Denial::Pin),
        (5, 6) => Happened::Denied(Denial::NoRight),
        (5, 7) => Happened::Denied(Denial::Schedule),
        (5, 8) => Happened::Denied(Denial::Expired),
        (5, 9 | 39 | 76) => Happened::Denied(Denial::NoRight),
        (5, 10) => Happened::Denied(Denial::AntiPassback),
        (5, 11) => Happened::Denied(Denial::Interlock),
        (5, 12..=20) => Happened::Denied(Denial::Other),
        (5, 23) => Happened::Button,
        (5, 25) => Happened::Opened,
        (5, 26) => Happened::Closed,
        (5, 27) => Happened::Forced,
        (5, 28) => Happened::HeldOpen,
        // Alarms: the box, a reader or the security module is taken off; a code under threat; the panic
        // button; the fire input, and that it is over.
        (1, 0x404 | 0x406 | 0x40F | 0x41E) => Happened::Tamper,
        (1, 0x40A) => Happened::Duress,
        (1, 0x41C) => Happened::Emergency,
        (1, 0x415 | 0x416 | 0x418) => Happened::Fire,
        (1, 0x417 | 0x419) => Happened::FireOver,
        (2, 0x400) => Happened::PowerOn,
        // Operations: somebody opened it from afar.
        (3, 0x400) => Happened::Remote,
        (_, other) => Happened::Other(u8::try_from(other & 0xFF).unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = include_bytes!("../../../tests/vectors/door/hikvision_access_event.json");
    const OPEN: &str = include_str!("../../../tests/vectors/door/hikvision_open_door.xml");

    #[test]
    fn a_door_is_told_as_public_integrations_do() {
        let request = tell(1, Told::Open);
        assert_eq!((request.method, request.body.as_str()), ("PUT", OPEN.trim_end()));
        assert_eq!(request.path, "/ISAPI/AccessControl/RemoteControl/door/1");
        assert!(tell(2, Told::Hold(Control::Locked)).body.contains("<cmd>alwaysClose</cmd>"));
    }

    #[test]
    fn a_pushed_event_is_read_also_with_a_picture_that_breaks_off() {
        let mut body = b"--boundary\r\nContent-Type: application/json\r\n\r\n".to_vec();
        body.extend_from_slice(EVENT);
        body.extend_from_slice(b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n\xFF\xD8\xFF");
        for body in [EVENT, &body] {
            let entry = pushed(body).unwrap();
            assert_eq!(
                (entry.index, entry.what, entry.inward),
                (25_523, Happened::Granted, Some(true))
            );
            assert_eq!(entry.at.unwrap().to_string(), "2026-07-16 19:24:29");
        }
        assert!(pushed(b"nothing").is_err() && pushed(b"{}").is_err());
    }

    /// A terminal in memory: the rows from a serial number on, page by page.
    fn answer(newest: u64, request: &Request) -> Vec<u8> {
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let number = |key: &str| asked["AcsEventCond"][key].as_u64().unwrap();
        let from = number("beginSerialNo") + number("searchResultPosition");
        let until = newest.min(from + number("maxResults") - 1);
        let rows: Vec<Value> = (from..=until)
            .map(|serial| {
                json!({"major":5,"minor":6,"time":"2026-03-01T08:00:00+08:00",
                "cardNo":"10058400","serialNo":serial,"doorNo":1,"cardReaderNo":2})
            })
            .collect();
        let word = if until < newest { "MORE" } else { "OK" };
        json!({"AcsEvent":{"searchID":"x","responseStatusStrg":word,"numOfMatches":rows.len(),
            "totalMatches":newest,"InfoList":rows}})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn the_memory_is_read_back_page_by_page_without_a_hole() {
        let (mut read, mut position) = (Vec::new(), 0);
        loop {
            let page = page(200, &answer(100, &search(26, position))).unwrap();
            position += u32::try_from(page.entries.len()).unwrap();
            read.extend(page.entries.iter().map(|entry| entry.index));
            if !page.more {
                break;
            }
        }
        assert_eq!(read, (26..=100).collect::<Vec<u64>>());
        assert_eq!(page(401, b""), Err(BadAnswer::Credentials));
        assert!(page(200, b"{\"AcsEvent\":{}}").is_err() && page(200, b"[").is_err());
    }

    #[test]
    fn what_is_not_known_is_never_a_grant_and_refusals_are_said() {
        let granted: Vec<u64> =
            (0..=255).filter(|minor| happened(5, *minor) == Happened::Granted).collect();
        assert_eq!(granted, [1, 2, 38, 75]);
        for major in [0, 1, 2, 3, 4, 6] {
            assert!((0..=0x500).all(|minor| happened(major, minor) != Happened::Granted));
        }
        assert_eq!((happened(1, 0x418), happened(1, 0x419)), (Happened::Fire, Happened::FireOver));
        assert_eq!((happened(1, 0x404), happened(1, 0x40A)), (Happened::Tamper, Happened::Duress));
        assert_eq!(
            taken(200, b"<ResponseStatus><statusCode>1</statusCode></ResponseStatus>"),
            Ok(())
        );
        assert_eq!(taken(200, b"{\"statusCode\": 1, \"statusString\": \"OK\"}"), Ok(()));
        assert_eq!(
            taken(400, b"{\"statusCode\":6,\"subStatusCode\":\"employeeNoAlreadyExist\"}"),
            Err(BadAnswer::Refused("employeeNoAlreadyExist".to_owned()))
        );
        assert_eq!(taken(401, b""), Err(BadAnswer::Credentials));
    }
}
