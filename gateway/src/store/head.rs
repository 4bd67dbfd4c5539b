//! The signed head: who cuts, changes or writes the journal anew cannot also change what was signed
//! and published before. The chain alone shows damage; it does not show a history that was changed
//! and chained again, because whoever has the disk can compute hashes. A head that the cloud has can.
//!
//! ```text
//! <state>/head.key       Ed25519, PKCS #8 in PEM, 0600; made at the first start
//! signature = Ed25519 over the UTF-8 text
//!   blockgate-head-1\n{source}\n{through}\n{hash}\n{at}\n
//! ```
//!
//! It must never sign a head that is not the journal's own, and never show the key. The head is a
//! record of the journal itself (`audit`, `head-signed`), so it leaves the box as every event does:
//! durable first, until its receipt (invariant 1).

use super::journal::{Hash, JournalError, Verdict, verify_telling};
use crate::http::secret_file;
use crate::ports::Disk;
use blockgate_rules::event::{Audit, Event};
use blockgate_types::Time;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// The key's file in the state folder.
pub const FILE: &str = "head.key";
const DOMAIN: &str = "blockgate-head-1";

/// What is signed.
fn text(source: &str, through: u64, hash: &str, at: Time) -> String {
    format!("{DOMAIN}\n{source}\n{through}\n{hash}\n{at}\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The first 16 hexadecimal digits of the public key's SHA-256: how people compare keys.
#[must_use]
pub fn key_id(public: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, public);
    hex(digest.as_ref()).chars().take(16).collect()
}

/// The key that signs heads.
pub struct HeadKey {
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeadKey({})", self.id())
    }
}

impl HeadKey {
    /// Reads the key of a state folder, or makes it. A file that holds no key any more is set aside
    /// for a new key: evidence goes on, and the cloud sees that the key is another one. Gives a
    /// sentence about that, which is worth an alarm.
    ///
    /// # Errors
    /// When the file cannot be read or written, or others could read it, or the system has no random
    /// numbers.
    pub fn open(state: &Path) -> io::Result<(Self, Option<String>)> {
        let path = state.join(FILE);
        let broken = match secret_file::read(&path) {
            Ok(Some(pem)) => match parse(&pem) {
                Some(pair) => return Ok((Self { pair }, None)),
                None => true,
            },
            Ok(None) => false,
            // Flipped bits need not be UTF-8.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => true,
            Err(e) => return Err(e),
        };
        if broken {
            std::fs::rename(&path, state.join("head.key.broken"))?;
        }
        let made = Self::make()?;
        let pem = pem(&made.0);
        secret_file::write(&path, pem.as_bytes())?;
        let key = Self { pair: made.1 };
        let warning = broken.then(|| {
            format!(
                "head.key was damaged and lies in head.key.broken; heads are signed by a new key, {}: \
                 tell the cloud",
                key.id()
            )
        });
        Ok((key, warning))
    }

    fn make() -> io::Result<(Vec<u8>, Ed25519KeyPair)> {
        let random = ring::rand::SystemRandom::new();
        let none = |_| io::Error::other("the system gives no random numbers");
        let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(none)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())
            .map_err(|e| io::Error::other(e.to_string()))?;
        Ok((document.as_ref().to_vec(), pair))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        key_id(self.pair.public_key().as_ref())
    }

    /// The public key, 64 hexadecimal digits.
    #[must_use]
    pub fn public(&self) -> String {
        hex(self.pair.public_key().as_ref())
    }

    /// The head of a journal as the event that is journaled next.
    #[must_use]
    pub fn sign(&self, source: &str, through: u64, hash: &Hash, at: Time) -> Event {
        let hash = hash.to_string();
        let signature = self.pair.sign(text(source, through, &hash, at).as_bytes());
        Event::Audit(Audit::HeadSigned {
            at,
            through,
            hash,
            key: self.id(),
            public_key: self.public(),
            signature: hex(signature.as_ref()),
        })
    }
}

fn parse(pem: &str) -> Option<Ed25519KeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    // As openssl writes it, too: without the public key.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// A signed head, as somebody kept it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Head {
    /// Of which gateway: `/blockgate/{tenant}/{gateway}`.
    #[serde(default)]
    pub source: String,
    /// When it was signed.
    pub at: Time,
    /// The last record that it vouches for.
    pub through: u64,
    /// That record's hash, 64 hexadecimal digits.
    pub hash: String,
    /// Id of the key.
    pub key: String,
    /// The public key, 64 hexadecimal digits.
    pub public_key: String,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

impl Head {
    /// The head in a record, where the record is one.
    #[must_use]
    pub fn of(source: &str, event: &Event) -> Option<Self> {
        let Event::Audit(Audit::HeadSigned { at, through, hash, key, public_key, signature }) =
            event
        else {
            return None;
        };
        Some(Self {
            source: source.to_owned(),
            at: *at,
            through: *through,
            hash: hash.clone(),
            key: key.clone(),
            public_key: public_key.clone(),
            signature: signature.clone(),
        })
    }

    /// Reads heads as the cloud has them: the events themselves (CloudEvents), or their `data` with
    /// `source` beside it; one document, or one a line. Events of other kinds are passed over.
    ///
    /// # Errors
    /// A sentence with the line.
    pub fn read_all(text: &str) -> Result<Vec<Self>, String> {
        #[derive(Deserialize)]
        struct Envelope {
            source: String,
            data: serde_json::Value,
        }
        let mut heads = Vec::new();
        let documents = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
        for document in documents {
            let document = document.map_err(|e| format!("it is no JSON: {e}"))?;
            let head: Self = match document.get("data") {
                Some(data) if data.get("what").and_then(|w| w.as_str()) != Some("head-signed") => {
                    continue;
                }
                Some(_) => {
                    let envelope: Envelope =
                        serde_json::from_value(document).map_err(|e| e.to_string())?;
                    let head: Self =
                        serde_json::from_value(envelope.data).map_err(|e| e.to_string())?;
                    Self { source: envelope.source, ..head }
                }
                None => serde_json::from_value(document).map_err(|e| e.to_string())?,
            };
            heads.push(head);
        }
        if heads.is_empty() { Err("it holds no signed head".to_owned()) } else { Ok(heads) }
    }

    /// Whether the signature is that of the public key in it, and the key's id is right.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let (Some(public), Some(signature)) = (unhex(&self.public_key), unhex(&self.signature))
        else {
            return false;
        };
        let text = text(&self.source, self.through, &self.hash, self.at);
        key_id(&public) == self.key
            && UnparsedPublicKey::new(&ED25519, public).verify(text.as_bytes(), &signature).is_ok()
    }
}

/// What a signed head says about a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Testimony {
    /// The journal has this very record: up to it nothing was changed.
    Agrees,
    /// Nobody who has the key signed this.
    NotSigned,
    /// Another key than the one that was asked for signed it.
    OtherKey,
    /// The journal has another history than the one that was signed.
    Rewritten {
        /// The record's hash in the journal.
        found: String,
    },
    /// The journal ends before the signed record.
    Short {
        /// Its last record.
        last: u64,
    },
}

impl Testimony {
    /// Judges one head by the hash that the journal has for its record; `last` is the journal's last
    /// record, `wanted` the public key or key id that is trusted, where somebody said one.
    #[must_use]
    pub fn judge(head: &Head, found: Option<&Hash>, last: u64, wanted: Option<&str>) -> Self {
        if !head.is_signed() {
            return Self::NotSigned;
        }
        if wanted.is_some_and(|w| {
            !w.eq_ignore_ascii_case(&head.key) && !w.eq_ignore_ascii_case(&head.public_key)
        }) {
            return Self::OtherKey;
        }
        match found {
            None => Self::Short { last },
            Some(found) if found.to_string() == head.hash => Self::Agrees,
            Some(found) => Self::Rewritten { found: found.to_string() },
        }
    }

    /// The verdict as a sentence.
    #[must_use]
    pub fn sentence(&self, head: &Head) -> String {
        let (through, at, key) = (head.through, head.at, &head.key);
        match self {
            Self::Agrees => format!(
                "the head of {at} agrees: up to record {through} this is the history that was signed by {key}"
            ),
            Self::NotSigned => {
                format!(
                    "the head of {at} is not signed by the key that it names: it proves nothing"
                )
            }
            Self::OtherKey => format!("the head of {at} is signed by another key, {key}"),
            Self::Rewritten { found } => format!(
                "REWRITTEN: record {through} has the hash {found}, and on {at} the hash {} was signed by {key}",
                head.hash
            ),
            Self::Short { last } => format!(
                "SHORT: the journal ends with record {last}, and on {at} record {through} was signed by \
                 {key}: records are missing"
            ),
        }
    }
}

/// What a journal and the heads in it and beside it say about each other.
#[derive(Debug, Default)]
pub struct Evidence {
    /// Heads in the journal that agree with the records before them.
    pub agreeing: u64,
    /// Sentences about those that do not: the journal was written anew after they were signed.
    pub contradicted: Vec<String>,
    /// Ids of the keys that signed them, in order of their first head.
    pub keys: Vec<String>,
    /// What the heads that somebody else kept say, in their order.
    pub testimonies: Vec<(Head, Testimony)>,
}

impl Evidence {
    /// Whether nothing contradicts the journal.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.contradicted.is_empty()
            && self.testimonies.iter().all(|(_, testimony)| *testimony == Testimony::Agrees)
    }
}

/// The full check of the journal in `dir`, together with the heads in it and `kept` ones; `wanted` is
/// the public key or key id that is trusted.
///
/// # Errors
/// [`JournalError::Io`] only.
pub fn examine(
    disk: &dyn Disk,
    dir: &Path,
    kept: Vec<Head>,
    wanted: Option<&str>,
) -> Result<(Verdict, Evidence), JournalError> {
    let asked: BTreeSet<u64> = kept.iter().map(|head| head.through).collect();
    let (mut evidence, mut found) = (Evidence::default(), BTreeMap::new());
    let mut before = (0, Hash::default());
    let verdict = verify_telling(disk, dir, &mut |seq, hash, payload| {
        if let Some(head) = in_record(payload) {
            let is_before = before.0 == head.through && before.1.to_string() == head.hash;
            if is_before && head.is_signed() {
                evidence.agreeing += 1;
            } else {
                let at = head.at;
                evidence.contradicted.push(format!(
                    "record {seq}: the head that was signed at {at} is not that of the records before it"
                ));
            }
            if !evidence.keys.contains(&head.key) {
                evidence.keys.push(head.key);
            }
        }
        if asked.contains(&seq) {
            found.insert(seq, *hash);
        }
        before = (seq, *hash);
    })?;
    evidence.testimonies = kept
        .into_iter()
        .map(|head| {
            let testimony = Testimony::judge(&head, found.get(&head.through), verdict.last, wanted);
            (head, testimony)
        })
        .collect();
    Ok((verdict, evidence))
}

/// The head in a record's payload. Most records are none, and are not parsed.
fn in_record(payload: &[u8]) -> Option<Head> {
    const WORD: &[u8] = b"\"head-signed\"";
    if !payload.windows(WORD.len()).any(|window| window == WORD) {
        return None;
    }
    Head::read_all(std::str::from_utf8(payload).ok()?).ok()?.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Time {
        Time::from_millis(1_772_323_200_000)
    }

    #[test]
    fn the_key_is_made_once_is_ours_alone_and_a_damaged_one_is_replaced_and_told() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (key, warning) = HeadKey::open(dir.path()).unwrap();
        assert_eq!(warning, None);
        let path = dir.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, warning) = HeadKey::open(dir.path()).unwrap();
        assert_eq!((again.public(), warning), (key.public(), None));
        let whole = std::fs::read(&path).unwrap();
        for place in [0, whole.len() / 2] {
            let mut bytes = whole.clone();
            bytes[place] ^= 0x81;
            std::fs::write(&path, bytes).unwrap();
            let (new, warning) = HeadKey::open(dir.path()).unwrap();
            assert_ne!(new.public(), key.public());
            assert!(warning.unwrap().contains(&new.id()));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(HeadKey::open(dir.path()).unwrap_err().to_string().contains("0600"));
    }

    #[test]
    fn every_part_of_a_head_is_under_its_signature() {
        let dir = tempfile::tempdir().unwrap();
        let (key, _) = HeadKey::open(dir.path()).unwrap();
        let hash = Hash([7; 32]);
        let head =
            Head::of("/blockgate/t/g", &key.sign("/blockgate/t/g", 42, &hash, at())).unwrap();
        assert!(head.is_signed());
        let other = HeadKey::open(tempfile::tempdir().unwrap().path()).unwrap().0;
        for wrong in [
            Head { source: "/blockgate/t/h".to_owned(), ..head.clone() },
            Head { through: 43, ..head.clone() },
            Head { at: Time::from_millis(at().as_millis() + 1), ..head.clone() },
            Head { hash: Hash([8; 32]).to_string(), ..head.clone() },
            Head { key: other.id(), ..head.clone() },
            Head { key: other.id(), public_key: other.public(), ..head.clone() },
            Head { signature: "zz".to_owned(), ..head.clone() },
            Head { signature: String::new(), ..head.clone() },
        ] {
            assert!(!wrong.is_signed(), "{wrong:?}");
            assert_eq!(Testimony::judge(&wrong, Some(&hash), 50, None), Testimony::NotSigned);
        }
        let judge = |found, last, key| Testimony::judge(&head, found, last, key);
        let other = other.id();
        assert_eq!(judge(Some(&hash), 50, None), Testimony::Agrees);
        assert_eq!(judge(Some(&hash), 50, Some(head.key.as_str())), Testimony::Agrees);
        assert_eq!(judge(Some(&hash), 50, Some(other.as_str())), Testimony::OtherKey);
        assert_eq!(judge(None, 41, None), Testimony::Short { last: 41 });
        let found = Hash([9; 32]);
        let rewritten = Testimony::Rewritten { found: found.to_string() };
        assert_eq!(judge(Some(&found), 50, None), rewritten);
    }

    #[test]
    fn heads_are_read_as_the_cloud_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let (key, _) = HeadKey::open(dir.path()).unwrap();
        let event = key.sign("/blockgate/t/g", 42, &Hash([7; 32]), at());
        let envelope = serde_json::json!({ "source": "/blockgate/t/g", "data": event });
        let other =
            serde_json::json!({ "source": "/blockgate/t/g", "data": { "kind": "reading" } });
        let mut bare = serde_json::to_value(&event).unwrap();
        bare["source"] = "/blockgate/t/g".into();
        for text in [
            envelope.to_string(),
            bare.to_string(),
            format!("{other}\n{envelope}\n{other}\n"),
            serde_json::to_string_pretty(&envelope).unwrap(),
        ] {
            let heads = Head::read_all(&text).unwrap();
            assert!(heads.len() == 1 && heads[0].is_signed(), "{text}");
        }
        for text in ["", "{", "[]", &other.to_string(), r#"{"through":1}"#] {
            assert!(Head::read_all(text).is_err(), "{text}");
        }
    }
}
