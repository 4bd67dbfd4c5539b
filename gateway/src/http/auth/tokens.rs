//! Tokens of devices and scrapers: `tokens.toml` in the state directory, 0600, holds the SHA-256 of
//! each token and what it may do.
//!
//! ```text
//! [tokens.prometheus]
//! sha256 = "64 hexadecimal digits"
//! scopes = ["metrics"]
//! ```

use super::sessions::{Hash, hash};
use std::collections::{BTreeMap, BTreeSet};

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
}

/// A token's holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its name in `tokens.toml`.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
}

/// All tokens, by their hash. Looking a hash up leaks nothing about a token of 256 random bits.
#[derive(Debug, Default)]
pub(super) struct Tokens(BTreeMap<Hash, Device>);

impl Tokens {
    /// Reads `tokens.toml`.
    ///
    /// # Errors
    /// The first fault, with its place.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = BTreeMap::new();
        let parsed: toml::Table = toml::from_str(text).map_err(|e| e.to_string())?;
        for (key, value) in &parsed {
            if key != "tokens" {
                return Err(format!("unknown key {key:?}; known here: tokens"));
            }
            let table = value.as_table().ok_or("tokens must be a table")?;
            for (name, entry) in table {
                let (hash, device) = entry
                    .as_table()
                    .ok_or_else(|| "must be a table".to_owned())
                    .and_then(|entry| token(name, entry))
                    .map_err(|why| format!("tokens.{name}: {why}"))?;
                if tokens.insert(hash, device).is_some() {
                    return Err(format!("tokens.{name}: another token has the same sha256"));
                }
            }
        }
        Ok(Self(tokens))
    }

    /// The holder of a token.
    pub(super) fn find(&self, token: &str) -> Option<&Device> {
        self.0.get(&hash(token))
    }
}

fn token(name: &str, entry: &toml::Table) -> Result<(Hash, Device), String> {
    if let Some(key) = entry.keys().find(|k| !matches!(k.as_str(), "sha256" | "scopes")) {
        return Err(format!("unknown key {key:?}; known here: sha256, scopes"));
    }
    let digits = entry.get("sha256").and_then(toml::Value::as_str).ok_or("sha256 is missing")?;
    let hash = unhex(digits).ok_or("sha256 must be 64 hexadecimal digits")?;
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
    Ok((hash, Device { name: name.to_owned(), scopes }))
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
            ("[tokens", "tokens"),
        ] {
            let fault = Tokens::parse(text).unwrap_err();
            assert!(fault.contains(why), "{text}: {fault}");
        }
    }
}
