//! Every message of the contract: its topic, its schema, its examples.

use super::sample::{alternatives, sample};
use super::schema::{self, Side};
use crate::mqtt::wire;
use crate::problem::Code;
use crate::store::record::{self, Origin};
use blockgate_rules::Event;
use blockgate_rules::event::Outcome;
use blockgate_rules::input::Order;
use blockgate_types::{ClockState, CommandId, Time};
use serde_json::{Map, Value, json};

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The gateway.
    Out,
    /// The cloud.
    In,
}

/// One message type.
#[derive(Debug, Clone)]
pub struct Message {
    /// File name of its schema: `bill.v1`, `cmd-resend.v1`.
    pub name: String,
    /// Who sends it.
    pub way: Way,
    /// Below `blockgate/v1/{tenant}/{gateway}/`.
    pub topic: String,
    /// One line.
    pub title: String,
    /// From the type's documentation.
    pub description: String,
    /// Media type.
    pub content_type: &'static str,
    /// JSON Schema 2020-12 of the whole message.
    pub schema: Value,
    /// Golden examples by name.
    pub examples: Vec<(String, Value)>,
    /// Alternatives of the type that have no example, because none could be made that the code reads.
    pub without_example: Vec<String>,
}

const CLOUDEVENTS: &str = "application/cloudevents+json";
const JSON: &str = "application/json";

/// Every message, events first.
#[must_use]
pub fn messages() -> Vec<Message> {
    let mut all = events();
    all.push(state());
    all.push(live());
    all.push(receipt());
    all.extend(commands());
    all.push(response());
    all
}

/// The events of the journal, by kind.
fn events() -> Vec<Message> {
    let root = schema::of::<Event>(Side::Sent);
    let defs = schema::definitions(&root);
    let found = schema::variants(&root, "kind").into_iter();
    found.map(|(kind, data)| event(&kind, &data, &defs)).collect()
}

fn event(kind: &str, data: &Value, defs: &Map<String, Value>) -> Message {
    let whole = json!({
        "description": schema::description(data),
        "type": "object",
        "properties": envelope(kind, true, data),
        "required": ["specversion", "id", "source", "type", "time", "subject", "datacontenttype",
            "dataschema", "seq", "bootid", "clockstate", "data"],
    });
    let name = format!("{kind}.v1");
    let title = format!("Event of kind {kind}");
    let mut message = Message {
        schema: schema::document(&format!("urn:blockgate:message:{name}"), &title, whole, defs),
        topic: format!("evt/{kind}"),
        way: Way::Out,
        description: schema::description(data),
        content_type: CLOUDEVENTS,
        examples: Vec::new(),
        without_example: Vec::new(),
        name,
        title,
    };
    let mut seq = 1042;
    for way in alternatives(data, defs) {
        let label = ["what", "movement", "change"].iter().find_map(|tag| constant(&way, tag));
        let label = label.unwrap_or_else(|| kind.to_owned());
        match richest(&way, defs, |data| encoded(data, seq)) {
            Ok(example) => {
                let numbered = |name: &str| {
                    let rest = name.strip_prefix(label.as_str());
                    rest.is_some_and(|rest| {
                        rest.trim_start_matches([
                            '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
                        ])
                        .is_empty()
                    })
                };
                let taken = message.examples.iter().filter(|(name, _)| numbered(name)).count();
                let label = if taken == 0 { label } else { format!("{label}-{}", taken + 1) };
                message.examples.push((label, example));
                seq += 1;
            }
            Err(why) => message.without_example.push(format!("{label} ({why})")),
        }
    }
    message
}

/// The example that says the most and that the code reads: everything, else the least with whatever
/// may be added to it.
fn richest(
    way: &Value,
    defs: &Map<String, Value>,
    read: impl Fn(&Value) -> Result<Value, String>,
) -> Result<Value, String> {
    let all = sample(way, defs, true);
    if let Ok(example) = read(&all) {
        return Ok(example);
    }
    let mut least = sample(way, defs, false);
    let mut example = read(&least)?;
    for (key, value) in all.as_object().into_iter().flatten() {
        let mut more = least.clone();
        if let Some(more) = more.as_object_mut() {
            more.entry(key.clone()).or_insert_with(|| value.clone());
        }
        if more != least
            && let Ok(read) = read(&more)
        {
            (least, example) = (more, read);
        }
    }
    Ok(example)
}

fn constant(schema: &Value, tag: &str) -> Option<String> {
    schema.get("properties")?.get(tag)?.get("const")?.as_str().map(str::to_owned)
}

/// The properties of an envelope (CloudEvents 1.0 with our extensions).
fn envelope(kind: &str, journaled: bool, data: &Value) -> Value {
    let mut properties = json!({
        "specversion": { "const": "1.0" },
        "id": { "type": "string", "minLength": 1, "maxLength": 128,
            "description": "The same event has the same id and the same bytes, however often it comes: deduplicate by it and `epoch`" },
        "source": { "type": "string", "pattern": "^/blockgate/[a-z0-9._-]+/[a-z0-9._-]+$",
            "description": "/blockgate/{tenant}/{gateway}" },
        "type": { "const": format!("blockgate.{kind}.v1") },
        "time": { "type": "string", "format": "date-time", "description": "When it was journaled, UTC" },
        "subject": { "type": "string", "description": "What it is about: account/a-0101. Never a name, plate or flat" },
        "datacontenttype": { "const": JSON },
        "dataschema": { "const": format!("urn:blockgate:{kind}:v1") },
        "bootid": { "type": "string", "pattern": "^[0-9a-f]{8}$", "description": "The start of the gateway that wrote it" },
        "clockstate": { "enum": ["synced", "holdover", "unsynced"], "description": "How far `time` can be believed" },
        "data": data,
    });
    if journaled && let Some(properties) = properties.as_object_mut() {
        let seq = json!({ "type": "integer", "minimum": 1,
            "description": "Counts the gateway's events without a gap, over restarts: a number that is missing was not received" });
        properties.insert("seq".to_owned(), seq);
        let epoch = json!({ "type": "string", "pattern": "^[0-9a-f]{8}$",
            "description": "Only since the gateway was restored from a backup: the history in which `seq` counts" });
        properties.insert("epoch".to_owned(), epoch);
    }
    properties
}

fn origin() -> Origin {
    Origin { source: "/blockgate/t1/gw-7".to_owned(), boot: "5f0c12ab".to_owned(), epoch: None }
}

fn now() -> Time {
    Time::from_millis(1_772_324_100_100)
}

/// The whole message of an example, by the one encoder.
///
/// # Errors
/// Why the code cannot read it.
fn encoded(data: &Value, seq: u64) -> Result<Value, String> {
    let event: Event = serde_json::from_value(data.clone()).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    record::encode(&origin(), seq, now(), ClockState::Synced, &event, &mut bytes)
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

/// The commands, by name.
fn commands() -> Vec<Message> {
    let root = schema::of::<Order>(Side::Taken);
    let defs = schema::definitions(&root);
    let found = schema::variants(&root, "name").into_iter();
    found.map(|(name, order)| command(&name, &order, &defs)).collect()
}

fn command(order: &str, variant: &Value, defs: &Map<String, Value>) -> Message {
    let args = variant.get("properties").and_then(|p| p.get("args")).cloned();
    let args = args.unwrap_or_else(|| json!({ "type": "object" }));
    let defs_of_id = schema::of::<CommandId>(Side::Taken);
    let whole = json!({
        "description": schema::description(variant),
        "type": "object",
        "properties": {
            "id": schema::document("", "", defs_of_id, &Map::new()).as_object().map(|id| {
                id.iter().filter(|(k, _)| !k.starts_with('$') && *k != "title")
                    .map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>()
            }),
            "issued_at": { "type": "string", "format": "date-time" },
            "expires_at": { "type": "string", "format": "date-time",
                "description": format!("After issued_at, by at most {} h; from then on it is void", wire::LIFETIME_MAX.as_millis() / 3_600_000) },
            "actor": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000-\\u001f\\u007f]+$",
                "description": "Who orders it: role/who" },
            "args": args,
        },
        "required": ["id", "issued_at", "expires_at", "actor", "args"],
        "additionalProperties": false,
    });
    let name = format!("cmd-{order}.v1");
    let title = format!("Command {order}");
    let id = format!("urn:blockgate:message:{name}");
    let mut message = Message {
        schema: schema::document(&id, &title, whole, defs),
        topic: format!("cmd/{order}"),
        way: Way::In,
        description: schema::description(variant),
        content_type: JSON,
        examples: Vec::new(),
        without_example: Vec::new(),
        name,
        title,
    };
    for (number, way) in alternatives(&args, defs).iter().enumerate() {
        let label = ["of", "from", "by"].iter().find_map(|tag| constant(way, tag));
        let label = label.unwrap_or_else(|| {
            if number == 0 { "order".to_owned() } else { format!("order-{}", number + 1) }
        });
        let read = |args: &Value| {
            let example = json!({
                "id": format!("c-2026-03-01-{:04}", number + 1),
                "issued_at": "2026-03-01T00:15:00Z",
                "expires_at": "2026-03-01T00:20:00Z",
                "actor": "clerk/desk-1",
                "args": args,
            });
            let bytes = serde_json::to_vec(&example).map_err(|e| e.to_string())?;
            wire::command(order, &bytes, false).map(|_| example).map_err(|refusal| refusal.reason)
        };
        match richest(way, defs, read) {
            Ok(example) => message.examples.push((label, example)),
            Err(why) => message.without_example.push(format!("{label} ({why})")),
        }
    }
    message
}

/// A message whose schema comes from one type.
fn plain(
    name: &str,
    way: Way,
    topic: &str,
    title: &str,
    schema: Value,
    examples: Vec<(String, Value)>,
) -> Message {
    let defs = schema::definitions(&schema);
    let description = schema::description(&schema);
    let id = format!("urn:blockgate:message:{name}");
    Message {
        schema: schema::document(&id, title, schema, &defs),
        name: name.to_owned(),
        way,
        topic: topic.to_owned(),
        title: title.to_owned(),
        description,
        content_type: JSON,
        examples,
        without_example: Vec::new(),
    }
}

fn sender() -> wire::Sender {
    wire::Sender {
        source: origin().source,
        boot: origin().boot,
        version: super::VERSION.to_owned(),
        config_hash: "c0ffee0123456789".to_owned(),
        head_key: "5eed".repeat(16),
    }
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn state() -> Message {
    let one = |name: &str, online| {
        let bytes = wire::state(&sender(), online, ClockState::Synced, 3, now());
        (name.to_owned(), parsed(&bytes))
    };
    let schema = schema::of::<wire::StateDocument<'_>>(Side::Sent);
    plain(
        "state.v1",
        Way::Out,
        "state",
        "Whether the gateway is there",
        schema,
        vec![one("online", true), one("offline", false)],
    )
}

fn live() -> Message {
    let data = json!({
        "type": "object",
        "properties": {
            "kind": { "const": "live" },
            "meters": { "type": "array", "items": { "type": "object", "properties": {
                "meter": { "type": "string" },
                "at": { "type": "string", "format": "date-time" },
                "values": { "type": "object", "additionalProperties": { "type": "object", "properties": {
                    "value": { "type": "string" }, "unit": { "type": "string" } }, "required": ["value", "unit"] } },
                "fault": { "type": "string" },
            }, "required": ["meter"] } },
        },
        "required": ["kind", "meters"],
    });
    let schema = json!({
        "description": "The newest values of meters. Not journaled, without a sequence number, QoS 0: thinned or dropped at will",
        "type": "object",
        "properties": envelope("live", false, &data),
        "required": ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "bootid", "clockstate", "data"],
    });
    let example = json!({
        "specversion": "1.0", "id": "5f0c12ab-live-1772324100100", "source": origin().source,
        "type": "blockgate.live.v1", "time": now(), "subject": "meters", "datacontenttype": JSON,
        "dataschema": "urn:blockgate:live:v1", "bootid": origin().boot, "clockstate": "synced",
        "data": { "kind": "live", "meters": [
            { "meter": "m-0101", "at": now(), "values": { "voltage_l1": { "value": "229.8", "unit": "V" } } },
            { "meter": "m-0102", "fault": "timeout" } ] },
    });
    let mut message = plain(
        "live.v1",
        Way::Out,
        "tel/live",
        "Live values",
        schema,
        vec![("live".to_owned(), example)],
    );
    message.content_type = JSON;
    message
}

fn receipt() -> Message {
    let examples = [
        ("through", json!({ "through": 1042 })),
        ("epoch", json!({ "through": 1042, "epoch": "77aa0191" })),
        ("ids", json!({ "ids": ["5f0c12ab-1043", "bill-5d1c0f3a9b7e4826"] })),
        (
            "refused",
            json!({ "refused": [{ "id": "5f0c12ab-1044", "code": "schema", "reason": "unknown account" }] }),
        ),
    ];
    let readable = examples.into_iter().filter(|(_, example)| {
        serde_json::to_vec(example).is_ok_and(|bytes| wire::receipt(&bytes).is_ok())
    });
    let examples = readable.map(|(name, example)| (name.to_owned(), example)).collect();
    let schema = schema::of::<wire::Receipt>(Side::Taken);
    plain("receipt.v1", Way::In, "receipt", "What the cloud has stored", schema, examples)
}

fn response() -> Message {
    let id = CommandId::new("c-2026-03-01-0001").ok();
    let one = |name: &str,
               status: wire::Status,
               code: &'static str,
               reason: &str,
               result: Option<Value>| {
        let response = wire::Response {
            id: id.clone(),
            name: name.to_owned(),
            status,
            code,
            reason: reason.to_owned(),
            result,
        };
        let word = status.word();
        let place = if code.is_empty() || word != "refused" {
            word.to_owned()
        } else {
            format!("{word}-{code}")
        };
        (place, parsed(&response.to_json(&sender(), now())))
    };
    let ended = |outcome, reason: &str| {
        let status = wire::Status::Ended(outcome);
        one("read-now", status, status.code(), reason, None)
    };
    let values = json!({ "energy_import": { "value": "312.50", "unit": "kWh" } });
    let examples = vec![
        one("read-now", wire::Status::Accepted, "", "", None),
        one("read-now", wire::Status::Ended(Outcome::Done), "", "", Some(values)),
        ended(Outcome::Failed, "no answer within 1 s"),
        ended(Outcome::Expired, "it came after its expires_at"),
        ended(Outcome::Duplicate, "this id was answered before"),
        ended(Outcome::Refused, "there is no meter of this id"),
        one(
            "read-now",
            wire::Status::Ended(Outcome::Refused),
            Code::CommandRetained.text(),
            "a retained command is never carried out",
            None,
        ),
        ended(Outcome::Unknown, "the gateway was restarted meanwhile"),
    ];
    let schema = schema::of::<wire::ResponseDocument<'_>>(Side::Sent);
    plain("response.v1", Way::Out, "rsp/{command}", "What became of a command", schema, examples)
}
