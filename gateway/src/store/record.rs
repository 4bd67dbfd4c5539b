//! One journal record's payload: the CloudEvents 1.0 envelope in structured JSON, byte for byte what
//! the cloud gets. So "same id, same bytes" (invariant 8) needs no second encoder, `resend` is a read,
//! and the cloud can recompute the journal's hash chain from what it received.
//!
//! ```text
//! {"specversion":"1.0","id":"5f0c12ab-1042","source":"/blockgate/{tenant}/{gateway}",
//!  "type":"blockgate.reading.v1","time":"2026-03-01T00:15:00.1Z","subject":"meters",
//!  "datacontenttype":"application/json","dataschema":"urn:blockgate:reading:v1",
//!  "seq":1042,"bootid":"5f0c12ab","clockstate":"synced","data":{"kind":"reading",…}}
//! ```
//!
//! A gateway that was restored from a backup says `"epoch":"77aa0191"` behind `bootid`: its numbers are its own only
//! together with that (ADR 0024).

use blockgate_rules::Event;
use blockgate_types::{ClockState, Time};
use serde::{Deserialize, Serialize};

/// What every record of one start shares.
#[derive(Debug, Clone)]
pub struct Origin {
    /// `/blockgate/{tenant}/{gateway}`.
    pub source: String,
    /// This start's id, eight hexadecimal digits.
    pub boot: String,
    /// The name of the history that began with a restored backup; none in a gateway that never was.
    pub epoch: Option<String>,
}

/// A record, read back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// The event's id; a bill's is the bill's own.
    pub id: String,
    /// Sequence number, gap-free from 1.
    pub seq: u64,
    /// When it was journaled.
    pub time: Time,
    /// The start that wrote it.
    pub bootid: String,
    /// The history that it belongs to; none in the first one.
    #[serde(default)]
    pub epoch: Option<String>,
    /// State of the clock then.
    pub clockstate: ClockState,
    /// The event.
    pub data: Event,
}

#[derive(Serialize)]
struct Envelope<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
    time: Time,
    subject: &'a str,
    datacontenttype: &'static str,
    dataschema: &'a str,
    seq: u64,
    bootid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    clockstate: ClockState,
    data: &'a Event,
}

/// Writes an event's envelope to `out` (which is not cleared).
///
/// # Errors
/// Only when an event cannot be JSON, which no event of ours is.
pub fn encode(
    origin: &Origin,
    seq: u64,
    time: Time,
    clock: ClockState,
    event: &Event,
    out: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let kind = event.kind();
    let id = match event {
        Event::Bill(bill) => bill.bill.as_str().to_owned(),
        Event::Reading { .. }
        | Event::Ledger(_)
        | Event::Payment(_)
        | Event::Alarm(_)
        | Event::Notice(_)
        | Event::Parking(_)
        | Event::Door(_)
        | Event::Gap(_)
        | Event::Audit(_) => format!("{}-{seq}", origin.boot),
    };
    serde_json::to_writer(
        out,
        &Envelope {
            specversion: "1.0",
            id: &id,
            source: &origin.source,
            r#type: &format!("blockgate.{kind}.v1"),
            time,
            subject: &event.subject(),
            datacontenttype: "application/json",
            dataschema: &format!("urn:blockgate:{kind}:v1"),
            seq,
            bootid: &origin.boot,
            epoch: origin.epoch.as_deref(),
            clockstate: clock,
            data: event,
        },
    )
}

/// Reads a record's payload.
///
/// # Errors
/// When the payload is not an envelope that this version knows; the text names the place.
pub fn decode(payload: &[u8]) -> serde_json::Result<Record> {
    serde_json::from_slice(payload)
}
