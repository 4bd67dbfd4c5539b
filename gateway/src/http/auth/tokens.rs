//! Tokens of devices and scrapers: `tokens.toml` in the state directory, 0600, holds the SHA-256 of
//! each token and what it may do.
//!
//! ```text
//! [tokens.prometheus]
//! sha256 = "64 hexadecimal digits"
//! scopes = ["metrics"]
//!
//! [tokens.gate-north]              # a barrier that signs its requests
//! hmac_key = "64 hexadecimal digits"
//! scopes = ["payment-status"]
//! lanes = ["north-in", "north-out"]
//! addresses = ["192.168.1.20"]
//! rate_per_second = 50
//! ```

use super::sessions::{Hash, hash};
use crate::limits;
use ring::hmac;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What a caller may do. Each route needs exactly one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Scope {
            $($(#[$doc])* $name,)*
        }

        impl Scope {
            /// Every scope with its word in `tokens.toml`.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($text, Self::$name),)*];

            /// Its word.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

scopes! {
    /// Ask whether a stay is paid, and nothing else: barriers.
    PaymentStatus = "payment-status",
    /// Read `/metrics` and `/readyz`.
    Metrics = "metrics",
    /// Read meters, bills, alarms, outbox, status and the event stream.
    Read = "read",
    /// Order something.
    Command = "command",
    /// Push what a camera saw.
    Camera = "camera",
}

/// A token's holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in `tokens.toml`.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// For which cameras it may push; all where none is named.
    pub cameras: BTreeSet<String>,
    /// For which lanes it may ask; all where none is named.
    pub lanes: BTreeSet<String>,
    /// From where; anywhere where none is named.
    pub addresses: BTreeSet<IpAddr>,
    /// Requests a second.
    pub rate_per_second: u32,
}

/// What a token's holder shows.
enum Secret {
    /// A token of which this is the hash.
    Bearer(Hash),
    /// Signatures with this key.
    Signing(Arc<hmac::Key>),
}

/// All tokens, by their hash, and all signing keys, by their holder's name. Looking a hash up leaks
/// nothing about a token of 256 random bits.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    bearers: BTreeMap<Hash, Arc<Device>>,
    signers: BTreeMap<String, (Arc<Device>, Arc<hmac::Key>)>,
}

impl Tokens {
    /// Reads `tokens.toml`.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Self::default();
        let parsed: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        for (key, value) in &parsed {
            if key != "tokens" {
                return Err(format!("unknown key {key:?}; known here: tokens"));
            }
            let table = value.as_table().ok_or("tokens must be a table")?;
            for (name, entry) in table {
                let (secret, device) = entry
                    .as_table()
                    .ok_or_else(|| "must be a table".to_owned())
                    .and_then(|entry| token(name, entry))
                    .map_err(|why| format!("tokens.{name}: {why}"))?;
                let device = Arc::new(device);
                match secret {
                    Secret::Bearer(hash) => {
                        if tokens.bearers.insert(hash, device).is_some() {
                            return Err(format!(
                                "tokens.{name}: another token has the same sha256"
                            ));
                        }
                    }
                    Secret::Signing(key) => {
                        tokens.signers.insert(name.clone(), (device, key));
                    }
                }
            }
        }
        Ok(tokens)
    }

    /// The holder of a token.
    pub(super) fn find(&self, token: &str) -> Option<&Arc<Device>> {
        self.bearers.get(&hash(token))
    }

    /// The holder of a signing key, by name.
    pub(super) fn signer(&self, name: &str) -> Option<&(Arc<Device>, Arc<hmac::Key>)> {
        self.signers.get(name)
    }
}

const KEYS: [&str; 7] =
    ["sha256", "hmac_key", "scopes", "cameras", "lanes", "addresses", "rate_per_second"];

fn token(name: &str, entry: &toml::Table) -> Result<(Secret, Device), String> {
    if let Some(key) = entry.keys().find(|k| !KEYS.contains(&k.as_str())) {
        return Err(format!("unknown key {key:?}; known here: {}", KEYS.join(", ")));
    }
    let text = |key: &str| entry.get(key).and_then(toml::Value::as_str);
    let secret = match (text("sha256"), text("hmac_key")) {
        (Some(digits), None) => {
            Secret::Bearer(unhex(digits).ok_or("sha256 must be 64 hexadecimal digits")?)
        }
        (None, Some(digits)) => {
            let bytes = unhex(digits).ok_or("hmac_key must be 64 hexadecimal digits")?;
            Secret::Signing(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
        }
        (None, None) => return Err("sha256 is missing, or hmac_key".to_owned()),
        (Some(_), Some(_)) => return Err("give sha256 or hmac_key, not both".to_owned()),
    };
    let words = entry.get("scopes").and_then(toml::Value::as_array).ok_or("scopes is missing")?;
    let mut scopes = BTreeSet::new();
    for word in words {
        let known = Scope::WORDS.iter().find(|(text, _)| word.as_str() == Some(text));
        let Some((_, scope)) = known else {
            let all: Vec<&str> = Scope::WORDS.iter().map(|(text, _)| *text).collect();
            return Err(format!("scopes cannot have {word}; there are: {}", all.join(", ")));
        };
        scopes.insert(*scope);
    }
    let rate = match entry.get("rate_per_second") {
        None => limits::DEVICE_RATE,
        Some(rate) => {
            let rate = rate.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            rate.ok_or("rate_per_second must be a whole number above 0")?
        }
    };
    let mut addresses = BTreeSet::new();
    for address in texts(entry, "addresses")? {
        let parsed: IpAddr =
            address.parse().map_err(|_| format!("{address:?} is not an IP address"))?;
        addresses.insert(parsed);
    }
    let device = Device {
        name: name.to_owned(),
        scopes,
        cameras: texts(entry, "cameras")?,
        lanes: texts(entry, "lanes")?,
        addresses,
        rate_per_second: rate,
    };
    Ok((secret, device))
}

fn texts(entry: &toml::Table, key: &str) -> Result<BTreeSet<String>, String> {
    let Some(list) = entry.get(key) else { return Ok(BTreeSet::new()) };
    let list = list.as_array().ok_or_else(|| format!("{key} must be a list of texts"))?;
    let texts = list.iter().map(|text| text.as_str().map(str::to_owned));
    texts.collect::<Option<_>>().ok_or_else(|| format!("{key} must be a list of texts"))
}

fn unhex(digits: &str) -> Option<Hash> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut out = [0; 32];
    for (place, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_hash_and_has_its_scopes() {
        // sha256("secret")
        let text = "[tokens.prometheus]\nsha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"\nscopes = [\"metrics\", \"read\"]\n";
        let tokens = Tokens::parse(text).unwrap();
        let device = tokens.find("secret").unwrap();
        assert_eq!(device.name, "prometheus");
        assert!(
            device.scopes.contains(&Scope::Metrics) && !device.scopes.contains(&Scope::Command)
        );
        assert_eq!(tokens.find("Secret"), None);
        assert_eq!(Tokens::parse("").unwrap().find("secret"), None);
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_reason() {
        let good = "a".repeat(64);
        for (text, why) in [
            ("x = 1", "unknown key \"x\""),
            ("[tokens.a]\nscopes = []", "sha256 is missing"),
            ("[tokens.a]\nsha256 = \"zz\"\nscopes = []", "64 hexadecimal"),
            (&format!("[tokens.a]\nsha256 = \"{good}\""), "scopes is missing"),
            (&format!("[tokens.a]\nsha256 = \"{good}\"\nscopes = [\"all\"]"), "there are: payment"),
            (&format!("[tokens.a]\nsha256 = \"{good}\"\nscopes = []\nx = 1"), "unknown key \"x\""),
            (
                &format!("[tokens.a]\nsha256 = \"{good}\"\nhmac_key = \"{good}\"\nscopes = []"),
                "not both",
            ),
            (
                &format!("[tokens.a]\nsha256 = \"{good}\"\nscopes = []\nrate_per_second = 0"),
                "above 0",
            ),
            (
                &format!("[tokens.a]\nsha256 = \"{good}\"\nscopes = []\naddresses = [\"x\"]"),
                "not an IP address",
            ),
            ("[tokens", "tokens"),
        ] {
            let fault = Tokens::parse(text).unwrap_err();
            assert!(fault.contains(why), "{text}: {fault}");
        }
    }
}
