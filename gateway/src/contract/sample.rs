//! An example from a schema: every field there is, one element for each alternative of a list. The
//! words come from tables by the type's and the field's name, so that an example reads like the block
//! that it could come from. Whether the code can read an example is for the caller to see.

use serde_json::{Map, Value, json};

/// Deeper than any message: ends a schema that contains itself.
const DEPTH_MAX: usize = 24;

/// Examples by the name of a type.
const TYPES: &[(&str, &str)] = &[
    ("AccountId", "a-0101"),
    ("AlarmId", "alarm-meter-offline-m-0101"),
    ("BillId", "bill-5d1c0f3a9b7e4826"),
    ("CommandId", "c-2026-03-01-0001"),
    ("Day", "2026-03-01"),
    ("OptionalDay", "2026-03-01"),
    ("Decimal", "312.50"),
    ("OptionalDecimal", "312.50"),
    ("ItemId", "electricity"),
    ("LineId", "line-1"),
    ("Frozen", "day-1"),
    ("AreaId", "p1"),
    ("CameraId", "cam-in-1"),
    ("LaneId", "in-1"),
    ("ControllerId", "north"),
    ("DoorId", "north-1"),
    ("GrantId", "visit-1"),
    ("GroupId", "home-1"),
    ("PersonId", "p-0101"),
    ("ScheduleId", "day"),
    ("PermitId", "pass-1"),
    ("Plate", "粤B12345"),
    ("StayId", "stay-5d1c0f3a9b7e4826aa01"),
    ("MeterId", "m-0101"),
    ("ReadingId", "1042.3"),
    ("RegisterName", "energy_import"),
    ("Span", "15m"),
    ("TariffId", "electricity-tiered"),
    ("Time", "2026-03-01T00:15:00Z"),
    ("Unit", "kWh"),
];

/// Examples by the name of a field, where the type is plain text or a plain number.
const FIELDS: &[(&str, &str)] = &[
    ("actor", "clerk/desk-1"),
    ("approver", "chief/desk-2"),
    ("boot", "5f0c12ab"),
    ("bootid", "5f0c12ab"),
    ("component", "sewage"),
    ("config_hash", "c0ffee0123456789"),
    ("currency", "CNY"),
    ("days", "19/30"),
    ("door", "door-1"),
    ("en", "Electricity, tier 1"),
    ("evidence", "notice 7"),
    ("facts", "missing"),
    ("from", "2026-03-01"),
    ("hash", "9f3c52d1b0a7486e9f3c52d1b0a7486e9f3c52d1b0a7486e9f3c52d1b0a7486e"),
    ("head_key", "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed"),
    ("id", "m-0101"),
    ("lane", "lane-in"),
    ("on", "2026-03-01"),
    ("owner", "a-0101"),
    ("payer", "a-0101"),
    ("period", "2026"),
    ("plate", "粤B12345"),
    ("public_key", "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed"),
    ("reason", "measured again"),
    ("reference", "pay-20260301-0001"),
    ("subject", "meter/m-0101"),
    ("tariff_revision", "2026-01-01/3fa94c01"),
    ("to", "2026-04-01"),
    ("version", "0.1.0"),
    ("why", "no-reading"),
    ("zh", "电费，第一档"),
    ("zone", "Asia/Shanghai"),
];

/// An example of a schema; `full` gives what may be left out as well.
pub(super) fn sample(schema: &Value, defs: &Map<String, Value>, full: bool) -> Value {
    Maker { defs, full }.make(schema, "", "", 0)
}

/// The alternatives of a schema, looked for behind its name; itself when it has none.
pub(super) fn alternatives(schema: &Value, defs: &Map<String, Value>) -> Vec<Value> {
    let whole = resolved(schema, defs);
    match whole.get("oneOf").and_then(Value::as_array) {
        Some(ways) => ways.iter().map(|way| merged(&without(&whole, "oneOf"), way)).collect(),
        None => vec![whole],
    }
}

struct Maker<'a> {
    defs: &'a Map<String, Value>,
    full: bool,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, kind: &str, field: &str, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        let named = schema.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
        let kind = named.unwrap_or(kind);
        let schema = resolved(schema, self.defs);
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|l| l.first()) {
            return first.clone();
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(ways) = schema.get(word).and_then(Value::as_array) {
                let real = ways.iter().find(|way| way.get("type") != Some(&json!("null")));
                let Some(way) = real else { return Value::Null };
                let named =
                    way.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next());
                let whole = merged(&without(&schema, word), &resolved(way, self.defs));
                return self.make(&whole, named.unwrap_or(kind), field, depth + 1);
            }
        }
        match type_of(&schema) {
            "object" => self.object(&schema, field, depth),
            "array" => self.array(&schema, field, depth),
            "string" => Value::String(text(kind, field, &schema)),
            "integer" => integer(kind, field),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, field: &str, depth: usize) -> Value {
        let mut object = Map::new();
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (key, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if self.full || required.contains(&key.as_str()) {
                object.insert(key.clone(), self.make(property, "", key, depth + 1));
            }
        }
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let of_patterns = patterns.and_then(|p| p.values().next());
        let more = schema.get("additionalProperties").filter(|more| more.is_object());
        if let Some(value) = of_patterns.or(more)
            && object.is_empty()
        {
            let names = schema.get("propertyNames");
            let named = names.map(|names| self.make(names, "", field, depth + 1));
            let key = named.as_ref().and_then(Value::as_str).filter(|key| *key != "example");
            let key = key.map_or_else(|| key_of(field), str::to_owned);
            object.insert(key, self.make(value, "", field, depth + 1));
        }
        Value::Object(object)
    }

    fn array(&self, schema: &Value, field: &str, depth: usize) -> Value {
        if let Some(places) = schema.get("prefixItems").and_then(Value::as_array) {
            return places.iter().map(|place| self.make(place, "", field, depth + 1)).collect();
        }
        let Some(items) = schema.get("items") else { return Value::Array(Vec::new()) };
        let ways = alternatives(items, self.defs);
        if ways.len() > 1 && ways.iter().all(|way| type_of(way) == "object") {
            return ways.iter().map(|way| self.make(way, "", field, depth + 1)).collect();
        }
        Value::Array(vec![self.make(items, "", field, depth + 1)])
    }
}

/// The schema behind a name, with what stands beside the name.
fn resolved(schema: &Value, defs: &Map<String, Value>) -> Value {
    let mut schema = schema.clone();
    for _ in 0..DEPTH_MAX {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let name = name.strip_prefix("#/$defs/").unwrap_or_default();
            let Some(definition) = defs.get(name) else { break };
            schema = merged(definition, &without(&schema, "$ref"));
        } else if let Some(parts) = schema.get("allOf").and_then(Value::as_array).cloned() {
            schema = without(&schema, "allOf");
            for part in parts {
                schema = merged(&schema, &resolved(&part, defs));
            }
        } else {
            break;
        }
    }
    schema
}

fn without(schema: &Value, key: &str) -> Value {
    let mut schema = schema.clone();
    if let Some(object) = schema.as_object_mut() {
        object.remove(key);
    }
    schema
}

/// Two schemas that both hold.
fn merged(one: &Value, other: &Value) -> Value {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one.clone() };
    let mut all = one.clone();
    for (key, value) in other {
        match (all.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(more)) if key == "properties" => {
                there.extend(more.clone());
            }
            (Some(Value::Array(there)), Value::Array(more)) if key == "required" => {
                there.extend(more.clone());
            }
            _ => {
                all.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(all)
}

fn type_of(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => several.first().and_then(Value::as_str).unwrap_or("null"),
        _ if schema.get("properties").is_some() => "object",
        _ => "null",
    }
}

fn known(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(key, _)| *key == name).map(|(_, text)| *text)
}

fn text(kind: &str, field: &str, schema: &Value) -> String {
    let by_format = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => Some("2026-03-01T00:15:00Z"),
        _ => None,
    };
    known(TYPES, kind)
        .or(by_format)
        .or_else(|| known(FIELDS, field))
        .unwrap_or("example")
        .to_owned()
}

/// The key of a map that stands under this field.
fn key_of(field: &str) -> String {
    let singular = match field {
        "accounts" | "weights" => "a-0101",
        "meters" => "m-0101",
        "charges" | "items" => "electricity",
        "channels" => "cash",
        "facts" => "missing",
        other => other,
    };
    if singular.is_empty() { "key".to_owned() } else { singular.to_owned() }
}

fn integer(kind: &str, field: &str) -> Value {
    match (kind, field) {
        ("Fen", _) => json!(4321),
        (_, "revision") => json!(0),
        (_, "from" | "seq" | "through") => json!(1042),
        (_, "to") => json!(1050),
        (_, _) => json!(1),
    }
}
