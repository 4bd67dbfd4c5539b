//! Provisioning: one file makes a box a member of a fleet. It names who the box is and where its cloud
//! is; `blockgate provision` writes both into the config, keeps the secrets beside the state, and makes
//! the key and the certificate request where the file brings no certificate.
//!
//! ```toml
//! tenant = "xinghe"
//! zone = "Asia/Shanghai"          # optional
//!
//! [mqtt]
//! host = "broker.example"
//! port = 8883                     # optional
//! ca = """PEM"""                  # or ca_file = "ca.pem", beside this file; absent: the system's
//!
//! [[gateway]]                     # one for each box; all boxes get the same file
//! id = "gw-0001"
//! serial = "10000000a1b2c3d4"     # of the board, its machine id or a MAC address
//! # cert = """PEM""", key = """PEM"""           absent: the box makes its key, and a request
//! # username = "gw-0001", password = "…"        where the broker asks for them
//! ```
//!
//! Whatever is wrong, nothing is changed: the new config is parsed as the daemon would before the first
//! file is written.

pub mod identity;

use crate::config::{Config, FileFault, Text};
use blockgate_types::strict::{Document, Fault, Table};
use identity::Identity;
use std::path::{Path, PathBuf};

/// The folder of keys and certificates in the state directory.
pub const IDENTITY: &str = "identity";

/// What a provisioning file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The operator.
    pub tenant: String,
    /// IANA zone, where the file names it.
    pub zone: Option<String>,
    /// The broker.
    pub mqtt: Mqtt,
    /// The boxes.
    pub gateways: Vec<Member>,
}

/// `[mqtt]`: where the cloud is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    /// Broker's name.
    pub host: String,
    /// Its TLS port.
    pub port: u16,
    /// CA certificates, PEM; none means the system's.
    pub ca: Option<String>,
}

/// `[[gateway]]`: one box. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id in topics.
    pub id: String,
    /// How it knows itself.
    pub serial: Option<String>,
    /// Certificate chain and key, PEM.
    pub pair: Option<(String, String)>,
    /// User name at the broker.
    pub username: Option<String>,
    /// Password at the broker.
    pub password: Option<String>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("id", &self.id)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Reads a provisioning file; `beside` resolves the files that it names.
///
/// # Errors
/// Every fault at its line and column.
pub fn parse(file: &Text, beside: &Path) -> Result<Fleet, Vec<FileFault>> {
    let document = Document::parse(&file.text);
    let root = document.root();
    let tenant = root.need_text("tenant").unwrap_or_default().to_owned();
    let zone = root.text("zone").map(str::to_owned);
    root.need("mqtt");
    let mqtt = root.table("mqtt").map(|table| {
        let ca = pem(&table, "ca", "ca_file", beside, "CERTIFICATE");
        let port = table.integer("port", 1..=65_535).unwrap_or(8883);
        let mqtt = Mqtt {
            host: table.need_text("host").unwrap_or_default().to_owned(),
            port: u16::try_from(port).unwrap_or(8883),
            ca,
        };
        table.done();
        mqtt
    });
    let gateways: Vec<Member> =
        root.tables("gateway").iter().map(|table| member(table, beside)).collect();
    if gateways.is_empty() {
        root.note("no [[gateway]]: name at least one box");
    }
    for (index, gateway) in gateways.iter().enumerate() {
        let twice = |other: &Member| {
            other.id == gateway.id || (other.serial.is_some() && other.serial == gateway.serial)
        };
        if gateways.iter().take(index).any(twice) {
            root.note(format!("two boxes have the id or the serial of {:?}", gateway.id));
        }
    }
    root.done();
    let faults = document.faults();
    match mqtt {
        Some(mqtt) if faults.is_empty() => Ok(Fleet { tenant, zone, mqtt, gateways }),
        Some(_) | None => Err(faults
            .into_iter()
            .map(|fault| FileFault { file: file.name.clone(), fault })
            .collect()),
    }
}

fn member(table: &Table<'_>, beside: &Path) -> Member {
    let cert = pem(table, "cert", "cert_file", beside, "CERTIFICATE");
    let key = pem(table, "key", "key_file", beside, "PRIVATE KEY");
    if cert.is_some() != key.is_some() {
        table.note("cert and key belong together: give both, or none and the box makes its key");
    }
    let member = Member {
        id: table.need_text("id").unwrap_or_default().to_owned(),
        serial: table.text("serial").map(str::to_owned),
        pair: cert.zip(key),
        username: table.text("username").map(str::to_owned),
        password: table.text("password").map(str::to_owned),
    };
    if member.password.is_some() && member.username.is_none() {
        table.note_at("password", "a password needs a username");
    }
    table.done();
    member
}

/// A PEM text in the file itself or in one beside it.
fn pem(
    table: &Table<'_>,
    key: &'static str,
    file_key: &'static str,
    beside: &Path,
    kind: &str,
) -> Option<String> {
    let (named, text) = match (table.text(key), table.text(file_key)) {
        (Some(_), Some(_)) => {
            table.note_at(file_key, format!("{key} and {file_key} say the same: give one of them"));
            return None;
        }
        (Some(text), None) => (key, text.to_owned()),
        (None, Some(name)) => match std::fs::read_to_string(beside.join(name)) {
            Ok(text) => (file_key, text),
            Err(error) => {
                table.note_at(file_key, format!("{name} cannot be read: {error}"));
                return None;
            }
        },
        (None, None) => return None,
    };
    if text.contains("-----BEGIN ") && text.contains(kind) {
        return Some(text);
    }
    table.note_at(named, format!("{named} holds no PEM block of a {}", kind.to_lowercase()));
    None
}

/// What this box calls itself: the board's serial number, the machine's id, MAC addresses. `root` is
/// `/`, but in tests.
#[must_use]
pub fn serials(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let files = [
        "proc/device-tree/serial-number",
        "sys/class/dmi/id/product_serial",
        "sys/class/dmi/id/board_serial",
        "etc/machine-id",
    ];
    let mut paths: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
    if let Ok(cards) = std::fs::read_dir(root.join("sys/class/net")) {
        let mut cards: Vec<PathBuf> = cards.flatten().map(|card| card.path()).collect();
        cards.sort();
        paths.extend(cards.into_iter().map(|card| card.join("address")));
    }
    for path in paths {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
        if !text.is_empty() && text != "00:00:00:00:00:00" {
            found.push(text);
        }
    }
    found
}

/// The box of the file that this one is: the one that is named, else the one whose serial is ours, else
/// the only one when it has no serial.
///
/// # Errors
/// A sentence that says how to go on.
pub fn choose<'f>(
    fleet: &'f Fleet,
    named: Option<&str>,
    serials: &[String],
) -> Result<&'f Member, String> {
    if let Some(id) = named {
        let known = || format!("the file has no gateway {id:?}");
        return fleet.gateways.iter().find(|gateway| gateway.id == id).ok_or_else(known);
    }
    let ours = |gateway: &&Member| {
        let serial = gateway.serial.as_deref();
        serial.is_some_and(|serial| serials.iter().any(|own| own.eq_ignore_ascii_case(serial)))
    };
    if let Some(found) = fleet.gateways.iter().find(ours) {
        return Ok(found);
    }
    match fleet.gateways.as_slice() {
        [only] if only.serial.is_none() => Ok(only),
        _ => Err(format!(
            "no gateway of the file has a serial of this box ({}); name it with --gateway",
            if serials.is_empty() { "it has none".to_owned() } else { serials.join(", ") }
        )),
    }
}

/// The config's text with the box's identity and broker put in; comments and everything else stay.
///
/// # Errors
/// When the text is no TOML.
pub fn edited(
    config: &str,
    fleet: &Fleet,
    member: &Member,
    identity: &Identity,
) -> Result<String, String> {
    let mut document: toml_edit::DocumentMut =
        config.parse().map_err(|error| format!("the config is no TOML: {error}"))?;
    let mut set = |table: &str, key: &str, value: Option<toml_edit::Value>| {
        let table = document.entry(table).or_insert(toml_edit::table());
        let Some(table) = table.as_table_like_mut() else { return };
        match (value, table.get_mut(key)) {
            // The comment behind the old value stays behind the new one.
            (Some(mut value), Some(item)) => {
                if let Some(old) = item.as_value() {
                    *value.decor_mut() = old.decor().clone();
                }
                *item = toml_edit::Item::Value(value);
            }
            (Some(value), None) => {
                table.insert(key, toml_edit::Item::Value(value));
            }
            (None, Some(_)) => {
                table.remove(key);
            }
            (None, None) => {}
        }
    };
    let path = |path: PathBuf| Some(path.display().to_string().into());
    set("gateway", "id", Some(member.id.as_str().into()));
    set("gateway", "tenant", Some(fleet.tenant.as_str().into()));
    if let Some(zone) = &fleet.zone {
        set("gateway", "zone", Some(zone.as_str().into()));
    }
    set("mqtt", "host", Some(fleet.mqtt.host.as_str().into()));
    set("mqtt", "port", Some(i64::from(fleet.mqtt.port).into()));
    set("mqtt", "ca", fleet.mqtt.ca.as_ref().and_then(|_| path(identity.ca())));
    set("mqtt", "cert", path(identity.cert()));
    set("mqtt", "key", path(identity.key()));
    set("mqtt", "username", member.username.as_deref().map(Into::into));
    set("mqtt", "password_file", member.password.as_ref().and_then(|_| path(identity.password())));
    Ok(document.to_string())
}

/// The faults that the daemon would find in the new config, before it is written.
///
/// # Errors
/// Those faults.
pub fn check(text: &str, file: &Path) -> Result<Config, Vec<FileFault>> {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    Config::load_with(&Text { name: file.display().to_string(), text: text.to_owned() }, folder)
}

/// A fault of a file as a whole.
#[must_use]
pub fn whole(file: &Path, message: String) -> FileFault {
    FileFault { file: file.display().to_string(), fault: Fault { line: 0, column: 0, message } }
}

#[cfg(test)]
mod tests;
