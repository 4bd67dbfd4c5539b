//! The JSON of receipts, commands, responses, state and live values. Events need no encoder here:
//! the journal's bytes are the message (invariant 8).
//!
//! ```text
//! receipt  {"through":1042}  {"ids":["5f0c12ab-7","bill-…"]}  {"refused":[{"id":…,"code":…,"reason":…}]}
//! command  {"id":…,"issued_at":…,"expires_at":…,"actor":…,"args":{…}}          name = last topic level
//! response {"id":…,"name":…,"status":"accepted","code":"","reason":"","time":…,"bootid":…}
//! state    {"online":true,"bootid":…,"version":…,"config_hash":…,"head_key":…,"clockstate":…,"outbox":0,"time":…}
//! ```
//!
//! A command with a field that we do not know is refused: who sent it meant something by it. An
//! unknown field of a receipt is passed over: receipts only ever confirm.

use crate::board::MeterBoard;
use crate::limits;
use crate::problem::Code;
use blockgate_rules::event::Outcome;
use blockgate_rules::input::{Command, Order};
use blockgate_types::{ClockState, CommandId, MeterId, Span, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What the cloud confirms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Receipt {
    /// Every event up to this sequence number is stored.
    #[serde(default)]
    pub through: Option<u64>,
    /// The `epoch` of the events that are meant, where they have one: a gateway that was restored from a backup has
    /// used numbers again.
    #[serde(default)]
    pub epoch: Option<String>,
    /// These events are stored, by id.
    #[serde(default)]
    pub ids: Vec<String>,
    /// These events will never be taken: they become dead letters.
    #[serde(default)]
    pub refused: Vec<Refused>,
}

/// An event that the cloud will never take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refused {
    /// Its id.
    pub id: String,
    /// The cloud's stable word for why.
    #[serde(default)]
    pub code: String,
    /// The cloud's sentence.
    #[serde(default)]
    pub reason: String,
}

/// Reads a receipt.
///
/// # Errors
/// One sentence: no JSON object, nothing confirmed, or more than [`limits::MQTT_RECEIPT_IDS_MAX`].
pub fn receipt(payload: &[u8]) -> Result<Receipt, String> {
    if payload.len() > limits::MQTT_MESSAGE_BYTES_MAX {
        return Err(format!("longer than {} bytes", limits::MQTT_MESSAGE_BYTES_MAX));
    }
    let receipt: Receipt = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
    if receipt.through.is_none() && receipt.ids.is_empty() && receipt.refused.is_empty() {
        return Err("names nothing: \"through\", \"ids\" or \"refused\" is needed".to_owned());
    }
    if receipt.ids.len() + receipt.refused.len() > limits::MQTT_RECEIPT_IDS_MAX {
        return Err(format!("names more than {} events", limits::MQTT_RECEIPT_IDS_MAX));
    }
    Ok(receipt)
}

/// Why a command was not even handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The command's id, when it could be read.
    pub id: Option<CommandId>,
    /// Of the shared list.
    pub code: Code,
    /// One sentence in English.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    id: CommandId,
    issued_at: Time,
    expires_at: Time,
    actor: String,
    #[serde(default)]
    args: Value,
}

/// The longest that a command may be good for. Its id is remembered for longer, so that it cannot be
/// carried out twice however late it comes again.
pub const LIFETIME_MAX: Span = blockgate_rules::input::LIFETIME_MAX;

/// Longest text of who orders.
const ACTOR_MAX: usize = 128;

/// Reads a command; its name stands in the topic.
///
/// # Errors
/// [`Refusal`] for a retained message, too many bytes, another form than the contract's, an unknown
/// name, an unknown field, or an argument of the wrong kind.
pub fn command(name: &str, payload: &[u8], retained: bool) -> Result<Command, Refusal> {
    let refuse = |id: Option<CommandId>, code, reason| Refusal { id, code, reason };
    if payload.len() > limits::MQTT_COMMAND_BYTES_MAX {
        let reason = format!("a command has at most {} bytes", limits::MQTT_COMMAND_BYTES_MAX);
        return Err(refuse(None, Code::PayloadTooLarge, reason));
    }
    let document: Document = match serde_json::from_slice(payload) {
        Ok(document) => document,
        Err(e) => return Err(refuse(readable_id(payload), Code::BadRequest, e.to_string())),
    };
    let id = document.id;
    if retained {
        let reason = "a retained command is never carried out: it would come again and again";
        return Err(refuse(Some(id), Code::CommandRetained, reason.to_owned()));
    }
    if document.actor.is_empty()
        || document.actor.len() > ACTOR_MAX
        || document.actor.chars().any(char::is_control)
    {
        let reason = format!("\"actor\" names who orders, in 1 to {ACTOR_MAX} bytes");
        return Err(refuse(Some(id), Code::BadRequest, reason));
    }
    if document.expires_at <= document.issued_at {
        let reason = "\"expires_at\" must be after \"issued_at\"".to_owned();
        return Err(refuse(Some(id), Code::BadRequest, reason));
    }
    let mut tagged = Map::new();
    tagged.insert("name".to_owned(), Value::String(name.to_owned()));
    tagged.insert("args".to_owned(), document.args);
    match serde_json::from_value::<Order>(Value::Object(tagged)) {
        Ok(order) => Ok(Command {
            id,
            issued_at: document.issued_at,
            expires_at: document.expires_at,
            actor: document.actor,
            order,
        }),
        Err(e) => Err(refuse(Some(id), Code::BadRequest, e.to_string())),
    }
}

/// The id of a document that is otherwise wrong, so that its sender learns which one was refused.
fn readable_id(payload: &[u8]) -> Option<CommandId> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    CommandId::new(value.get("id")?.as_str()?).ok()
}

/// What a response says about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was handed in; its outcome follows.
    Accepted,
    /// How it ended.
    Ended(Outcome),
}

impl Status {
    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ended(Outcome::Done) => "done",
            Self::Ended(Outcome::Failed) => "failed",
            Self::Ended(Outcome::Expired) => "expired",
            Self::Ended(Outcome::Duplicate) => "duplicate",
            Self::Ended(Outcome::Refused) => "refused",
            Self::Ended(Outcome::Unknown) => "unknown",
        }
    }

    /// The code of the shared list; empty where nothing is wrong.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Accepted | Self::Ended(Outcome::Done) => "",
            Self::Ended(Outcome::Failed) => Code::CommandFailed.text(),
            Self::Ended(Outcome::Expired) => Code::CommandExpired.text(),
            Self::Ended(Outcome::Duplicate) => Code::CommandDuplicate.text(),
            Self::Ended(Outcome::Refused) => Code::CommandRefused.text(),
            Self::Ended(Outcome::Unknown) => Code::CommandUnknown.text(),
        }
    }
}

/// What every message of one start says about the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// `/blockgate/{tenant}/{gateway}`.
    pub source: String,
    /// This start's id, eight hexadecimal digits.
    pub boot: String,
    /// The program's version.
    pub version: String,
    /// Hash of the config files.
    pub config_hash: String,
    /// The public key that signs the journal's head; empty where nothing is signed.
    pub head_key: String,
}

/// A response as it stands on the wire.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResponseDocument<'a> {
    /// The command's id; null when it could not be read.
    id: Option<&'a CommandId>,
    /// The command's name.
    name: &'a str,
    /// First `accepted` (or at once an end), then how it ended.
    #[cfg_attr(feature = "schema", schemars(with = "StatusWord"))]
    status: &'static str,
    /// A stable word of the shared list of errors; empty where nothing is wrong.
    code: &'static str,
    /// One sentence for people; empty where there is none to give.
    reason: &'a str,
    /// What the command brought, for those that bring something.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    /// When it was answered.
    time: Time,
    /// This start of the gateway.
    bootid: &'a str,
}

/// The words of a response's status.
#[cfg(feature = "schema")]
#[derive()]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename_all = "lowercase"))]
#[expect(dead_code, reason = "the list for the schema; a test holds it equal to `Status::word`")]
enum StatusWord {
    Accepted,
    Done,
    Failed,
    Expired,
    Duplicate,
    Refused,
    Unknown,
}

/// A response to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The command's id; `null` on the wire when it could not be read.
    pub id: Option<CommandId>,
    /// The command's name.
    pub name: String,
    /// What became of it.
    pub status: Status,
    /// Stable word of the shared list; empty where nothing is wrong.
    pub code: &'static str,
    /// One sentence; empty where there is none to give.
    pub reason: String,
    /// What the command brought, for those that bring something.
    pub result: Option<Value>,
}

impl Response {
    /// The response's JSON.
    #[must_use]
    pub fn to_json(&self, sender: &Sender, now: Time) -> Vec<u8> {
        bytes(&ResponseDocument {
            id: self.id.as_ref(),
            name: &self.name,
            status: self.status.word(),
            code: self.code,
            reason: &self.reason,
            result: self.result.as_ref(),
            time: now,
            bootid: &sender.boot,
        })
    }

    /// The last response of a command: how it ended. A detail that is a JSON object or array is the
    /// command's result, any other text its reason.
    #[must_use]
    pub fn ended(id: CommandId, name: &str, outcome: Outcome, detail: String) -> Self {
        let status = Status::Ended(outcome);
        let result = detail
            .starts_with(['{', '['])
            .then(|| serde_json::from_str::<Value>(&detail).ok())
            .flatten();
        let reason = if result.is_some() { String::new() } else { detail };
        Self { id: Some(id), name: name.to_owned(), status, code: status.code(), reason, result }
    }
}

/// The state as it stands on the wire.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StateDocument<'a> {
    /// False in the last will and in the goodbye.
    online: bool,
    /// This start of the gateway, eight hexadecimal digits.
    bootid: &'a str,
    /// The program's version.
    version: &'a str,
    /// Hash of the config files.
    config_hash: &'a str,
    /// The Ed25519 public key that signs the journal's head, 64 hexadecimal digits.
    #[serde(skip_serializing_if = "str::is_empty")]
    head_key: &'a str,
    /// How far the gateway's clock can be believed.
    clockstate: ClockState,
    /// Events without a receipt.
    outbox: u64,
    /// When it was written; in the last will when the connection began.
    time: Time,
}

/// Whether we are there. Birth, refresh, goodbye and last will have the same fields.
#[must_use]
pub fn state(sender: &Sender, online: bool, clock: ClockState, outbox: u64, now: Time) -> Vec<u8> {
    bytes(&StateDocument {
        online,
        bootid: &sender.boot,
        version: &sender.version,
        config_hash: &sender.config_hash,
        head_key: &sender.head_key,
        clockstate: clock,
        outbox,
        time: now,
    })
}

/// Live values of up to [`limits::MQTT_LIVE_METERS_MAX`] meters in one message. They are not
/// journaled, have no sequence number, and nobody keeps them while there is no connection.
#[must_use]
pub fn live<'a>(
    sender: &Sender,
    clock: ClockState,
    now: Time,
    meters: impl Iterator<Item = (&'a MeterId, &'a MeterBoard)>,
) -> Vec<Vec<u8>> {
    let rows: Vec<Value> = meters.filter_map(|(meter, board)| live_row(meter, board)).collect();
    rows.chunks(limits::MQTT_LIVE_METERS_MAX)
        .map(|meters| {
            bytes(&json!({
                "specversion": "1.0",
                "id": format!("{}-live-{}", sender.boot, now.as_millis()),
                "source": sender.source,
                "type": "blockgate.live.v1",
                "time": now,
                "subject": "meters",
                "datacontenttype": "application/json",
                "dataschema": "urn:blockgate:live:v1",
                "bootid": sender.boot,
                "clockstate": clock,
                "data": { "kind": "live", "meters": meters },
            }))
        })
        .collect()
}

fn live_row(meter: &MeterId, board: &MeterBoard) -> Option<Value> {
    let mut row = Map::new();
    row.insert("meter".to_owned(), json!(meter));
    if let Some((at, values)) = &board.last {
        let values: Map<String, Value> = values
            .iter()
            .filter_map(|(spec, value)| {
                let value = json!({ "value": value?.to_string(), "unit": spec.unit });
                Some((spec.name.as_str().to_owned(), value))
            })
            .collect();
        row.insert("at".to_owned(), json!(at));
        row.insert("values".to_owned(), Value::Object(values));
    }
    if let Some((_, fault)) = &board.fault {
        row.insert("fault".to_owned(), json!(fault.class.text()));
    }
    (row.len() > 1).then_some(Value::Object(row))
}

/// Our own values are always JSON; an empty message is what a bug would leave.
fn bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
