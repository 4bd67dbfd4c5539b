//! What the camera wants to be answered. A denial is the full object: without it some firmware counts
//! the push as failed, stores it and sends it again for ever.

use super::board;
use crate::barrier::{Answer, Reply, Report};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Output that lifts the arm.
pub const GATE_OUTPUT: u8 = 0;
/// How long the output is pulsed, in milliseconds; the firmware's own for `info: ok`.
pub const PULSE_MS: u32 = 500;

/// The answer to a report.
#[must_use]
pub fn answer(report: &Report, reply: &Reply) -> Answer {
    let body = match report {
        Report::Car(seen) => {
            let mut fields = Map::new();
            if seen.replayed {
                // A car of the past opens nothing now; the next record is asked for.
                let record = seen.record.unwrap_or_default();
                fields.insert(
                    "ContinuePushOffline".to_owned(),
                    json!({"plateid": record, "continue": 1}),
                );
            } else if reply.open {
                fields.insert("info".to_owned(), json!("ok"));
                fields.insert("channelNum".to_owned(), json!(GATE_OUTPUT));
                if let Some(record) = seen.record {
                    fields.insert("plateid".to_owned(), json!(record));
                }
            } else {
                fields.insert("info".to_owned(), json!("no"));
                fields.insert("content".to_owned(), json!("retransfer_stop"));
                fields.insert("is_pay".to_owned(), json!("false"));
            }
            let mut frames = Vec::new();
            if !seen.replayed {
                frames.extend(reply.voice.as_deref().and_then(board::voice));
            }
            if !frames.is_empty() || (!reply.open && !seen.replayed) {
                fields.insert("serialData".to_owned(), serial_data(&frames));
            }
            json!({ "Response_AlarmInfoPlate": fields })
        }
        Report::Input { .. } => json!({"Response_AlarmGioIn": {"info": "ok"}}),
        // A heartbeat's answer may carry no command but the comet poll's; an empty one is safe.
        Report::Heartbeat { .. } => json!({"Response_Heartbeat": {"info": "no"}}),
        Report::Other(_) => json!({"Response_AlarmInfoPlate": {"info": "no"}}),
    };
    Answer { media: "application/json", body: body.to_string() }
}

/// `dataLen` is the decoded length: the firmware believes it.
fn serial_data(frames: &[Vec<u8>]) -> Value {
    let all = frames.iter().map(
        |frame| json!({"serialChannel": 0, "data": STANDARD.encode(frame), "dataLen": frame.len()}),
    );
    Value::Array(all.collect())
}

/// What answers a comet poll when the barrier is to open now: an output pulse, never with `info: ok`,
/// which would pulse twice.
#[must_use]
pub fn comet_open() -> Answer {
    let pulse = json!({"io": GATE_OUTPUT, "value": 2, "delay": PULSE_MS});
    let body = json!({"Response_AlarmInfoPlate": {"ivs_ioctrl": pulse}}).to_string();
    Answer { media: "application/json", body }
}
