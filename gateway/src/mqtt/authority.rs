//! Who may order what over MQTT. The broker says who may publish at all; here the gateway decides for
//! itself, so that a broker in wrong hands opens nothing:
//!
//! - without `[[mqtt.allow]]` everything may be ordered but what moves something in the world: no
//!   barrier, door, relay or valve, and no right to pass one;
//! - with it, only what a rule allows this actor; and where the rule names a key, only what is signed
//!   by it (Ed25519, RFC 8032).
//!
//! ```text
//! plain    {"id":…,"issued_at":…,"expires_at":…,"actor":…,"args":{…}}
//! signed   {"signed":"<the plain document as text>","signature":"<128 hexadecimal digits>"}
//!          over  topic LF text:  a document for another gateway or command is worth nothing here
//! ```

use blockgate_rules::input::Command;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use std::borrow::Cow;

/// One `[[mqtt.allow]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom: an actor as the command writes it, or its beginning with `*` at the end.
    pub actor: String,
    /// What: names of commands, or `*` for all.
    pub commands: Vec<String>,
    /// Whose signature it needs.
    pub key: Option<[u8; 32]>,
}

/// All rules; none is the default above.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authority(pub Vec<Rule>);

/// A command's document and the signature over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    /// The plain document.
    pub(crate) text: Cow<'a, [u8]>,
    signature: Option<Vec<u8>>,
}

/// Takes a signed document out of its wrapping; anything else is the document itself.
pub(crate) fn open(payload: &[u8]) -> Opened<'_> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wrapping {
        signed: String,
        signature: String,
    }
    match serde_json::from_slice::<Wrapping>(payload) {
        Ok(wrapping) => Opened {
            text: Cow::Owned(wrapping.signed.into_bytes()),
            // One that is no number of bytes is one that does not hold.
            signature: Some(unhex(&wrapping.signature).unwrap_or_default()),
        },
        Err(_) => Opened { text: Cow::Borrowed(payload), signature: None },
    }
}

/// Bytes of a text of hexadecimal digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

impl Authority {
    /// Whether this command may be carried out; it came on `topic`.
    ///
    /// # Errors
    /// Why not, one sentence.
    pub(crate) fn judge(
        &self,
        topic: &str,
        opened: &Opened<'_>,
        command: &Command,
    ) -> Result<(), &'static str> {
        if self.0.is_empty() {
            return if command.order.moves_something() {
                Err("what moves something is ordered over MQTT only where [[mqtt.allow]] allows it")
            } else {
                Ok(())
            };
        }
        let name = command.order.name();
        let mut unsigned = false;
        for rule in self.0.iter().filter(|rule| rule.names(&command.actor, name)) {
            match &rule.key {
                None => return Ok(()),
                Some(key) if opened.holds(topic, key) => return Ok(()),
                Some(_) => unsigned = true,
            }
        }
        Err(if unsigned {
            "this actor's signature is needed for it, and this is not one"
        } else {
            "no [[mqtt.allow]] allows this actor to order it"
        })
    }
}

impl Rule {
    fn names(&self, actor: &str, command: &str) -> bool {
        let whom = match self.actor.strip_suffix('*') {
            Some(beginning) => actor.starts_with(beginning),
            None => actor == self.actor,
        };
        whom && self.commands.iter().any(|c| c == "*" || c == command)
    }
}

impl Opened<'_> {
    fn holds(&self, topic: &str, key: &[u8; 32]) -> bool {
        let Some(signature) = &self.signature else { return false };
        let said = [topic.as_bytes(), b"\n", &self.text].concat();
        UnparsedPublicKey::new(&ED25519, key).verify(&said, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::wire;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    const TOPIC: &str = "blockgate/v1/t1/gw-7/cmd/read-now";
    const PLAIN: &str = r#"{"id":"c-1","issued_at":"2026-03-01T00:00:00Z","expires_at":"2026-03-01T00:05:00Z","actor":"guard/gate-2","args":{"meter":"m-0101"}}"#;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn rule(actor: &str, commands: &[&str], key: Option<[u8; 32]>) -> Rule {
        let commands = commands.iter().map(|c| (*c).to_owned()).collect();
        Rule { actor: actor.to_owned(), commands, key }
    }

    fn judged(rules: Vec<Rule>, payload: &str) -> Result<(), &'static str> {
        let opened = open(payload.as_bytes());
        let command = wire::command("read-now", &opened.text, false).unwrap();
        Authority(rules).judge(TOPIC, &opened, &command)
    }

    #[test]
    fn an_actor_may_order_what_a_rule_allows_and_nothing_else() {
        for (actor, commands, may) in [
            ("guard/gate-2", &["read-now"][..], true),
            ("guard/*", &["resend", "read-now"], true),
            ("*", &["*"], true),
            ("guard/gate-2", &["resend"], false),
            ("guard/gate", &["read-now"], false),
            ("clerk/*", &["*"], false),
            ("guard/*", &[], false),
            ("", &["*"], false),
        ] {
            assert_eq!(judged(vec![rule(actor, commands, None)], PLAIN).is_ok(), may, "{actor}");
        }
        assert!(judged(Vec::new(), PLAIN).is_ok(), "without rules: it moves nothing");
    }

    #[test]
    fn a_rule_with_a_key_wants_its_signature_over_this_topic_and_text() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let rules = || vec![rule("guard/*", &["read-now"], Some(key))];
        let signed = |topic: &str, text: &str| {
            let signature = hex(pair.sign(format!("{topic}\n{text}").as_bytes()).as_ref());
            serde_json::json!({ "signed": PLAIN, "signature": signature }).to_string()
        };
        assert_eq!(judged(rules(), &signed(TOPIC, PLAIN)), Ok(()));
        for (what, payload) in [
            ("no signature", PLAIN.to_owned()),
            ("for another gateway", signed("blockgate/v1/t1/gw-8/cmd/read-now", PLAIN)),
            ("for another command", signed("blockgate/v1/t1/gw-7/cmd/open-barrier", PLAIN)),
            ("over another text", signed(TOPIC, "{}")),
            ("no hexadecimal", serde_json::json!({"signed": PLAIN, "signature": "xy"}).to_string()),
            ("empty", serde_json::json!({ "signed": PLAIN, "signature": "" }).to_string()),
        ] {
            let why = judged(rules(), &payload).unwrap_err();
            assert!(why.contains("signature"), "{what}: {why}");
        }
        let others = vec![rule("guard/*", &["read-now"], Some([9; 32]))];
        assert!(judged(others, &signed(TOPIC, PLAIN)).is_err(), "somebody else's key");
    }

    #[test]
    fn hexadecimal_is_read_whole_or_not_at_all() {
        assert_eq!(unhex("00fF"), Some(vec![0, 255]));
        for wrong in ["0", "0g", "é0", " 00"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }
}
