//! The contract with the cloud as documents: AsyncAPI 3, one JSON Schema (2020-12) for each message
//! type, and golden examples. Everything is made from the types that encode and decode the messages,
//! so that a new event or order is in the documents the moment it is in the code.
//!
//! | module | what |
//! |---|---|
//! | `schema` | from a type to the schemas of its variants |
//! | `sample` | an example from a schema, which the code must then be able to read |
//! | [`messages`] | the list: every message, its topic, schema and examples |
//! | `asyncapi` | the list as an AsyncAPI document |

mod asyncapi;
mod messages;
mod sample;
mod schema;

pub use messages::{Message, Way, messages};

/// Where the sources keep the generated files, from the root of the tree.
pub const FOLDER: &str = "docs/contract";

/// One generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Below the contract's folder: `schemas/bill.v1.json`.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// All files of the contract, in order of path.
#[must_use]
pub fn files() -> Vec<File> {
    let messages = messages();
    let mut files = vec![
        File { path: "asyncapi.yaml".to_owned(), text: asyncapi::document(&messages) },
        File { path: "CHANGES.md".to_owned(), text: CHANGES.to_owned() },
    ];
    for message in &messages {
        let path = format!("schemas/{}.json", message.name);
        files.push(File { path, text: pretty(&message.schema) });
        for (name, example) in &message.examples {
            let path = format!("examples/{VERSION}/{}/{name}.json", message.name);
            files.push(File { path, text: pretty(example) });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The version of the contract's examples: the program's.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What changed in the contract, by version; written by people.
const CHANGES: &str = include_str!("../../../docs/contract/CHANGES.md");

fn pretty(value: &serde_json::Value) -> String {
    // Our own values are always JSON.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
