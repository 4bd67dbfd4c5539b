//! From a type to the JSON Schemas of its variants, each with only the definitions that it needs.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The schema's dialect.
pub(super) const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Whether we write it or read it: what may be left out differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// What we send.
    Sent,
    /// What we take.
    Taken,
}

/// The schema of a type, with its definitions under `$defs`.
pub(super) fn of<T: JsonSchema>(side: Side) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let settings = match side {
        Side::Sent => settings.for_serialize(),
        Side::Taken => settings.for_deserialize(),
    };
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
}

/// The definitions of a root schema.
pub(super) fn definitions(root: &Value) -> Map<String, Value> {
    root.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// The variants of a tagged type: the tag's word and the schema.
pub(super) fn variants(root: &Value, tag: &str) -> Vec<(String, Value)> {
    let word = |schema: &Value| {
        let tag = schema.get("properties")?.get(tag)?;
        let one = || tag.get("enum")?.as_array()?.first();
        tag.get("const").or_else(one)?.as_str().map(str::to_owned)
    };
    let all = root.get("oneOf").and_then(Value::as_array);
    all.into_iter().flatten().filter_map(|schema| Some((word(schema)?, schema.clone()))).collect()
}

/// The definitions that a schema names, directly or by another one.
pub(super) fn needed(schema: &Value, all: &Map<String, Value>) -> Map<String, Value> {
    fn look(value: &Value, all: &Map<String, Value>, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(name) = object.get("$ref").and_then(Value::as_str)
                    && let Some(name) = name.strip_prefix("#/$defs/")
                    && found.insert(name.to_owned())
                    && let Some(definition) = all.get(name)
                {
                    look(definition, all, found);
                }
                object.values().for_each(|value| look(value, all, found));
            }
            Value::Array(list) => list.iter().for_each(|value| look(value, all, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    look(schema, all, &mut found);
    all.iter()
        .filter(|(name, _)| found.contains(*name))
        .map(|(n, s)| (n.clone(), s.clone()))
        .collect()
}

/// A document of its own: dialect, id, title, and the definitions that it needs.
pub(super) fn document(id: &str, title: &str, schema: Value, all: &Map<String, Value>) -> Value {
    let defs = needed(&schema, all);
    let mut document = Map::new();
    document.insert("$schema".to_owned(), json!(DIALECT));
    document.insert("$id".to_owned(), json!(id));
    document.insert("title".to_owned(), json!(title));
    if let Value::Object(schema) = schema {
        document.extend(schema.into_iter().filter(|(key, _)| key != "$defs" && key != "title"));
    }
    if !defs.is_empty() {
        document.insert("$defs".to_owned(), Value::Object(defs));
    }
    Value::Object(document)
}

/// The description of a schema: the type's doc comment.
pub(super) fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}
