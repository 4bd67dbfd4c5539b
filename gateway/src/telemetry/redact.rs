//! Takes secrets out of texts that travel further than the box: lines of the log on the page and in the
//! diagnostics. Three nets, one behind the other: the secrets that the config named, by their value; what
//! stands behind a name like `password`; and what looks like a key, a token or a set-up code.
//!
//! It may take too much, a number too many, and says where it took something. It must never let one of
//! the config's own secrets through.

use crate::limits;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// What stands instead.
const GONE: &str = "[redacted]";
/// Shortest secret that is known by its value: a PIN of four digits is in half of all numbers, and is
/// caught by its name.
const KNOWN_CHARS_MIN: usize = 6;
/// Shortest run of hexadecimal digits, or of base64, that is taken for a key.
const KEY_CHARS_MIN: usize = 40;
/// Words of a name behind which a secret stands.
const SECRET: [&str; 14] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "pin",
    "cookie",
    "session",
    "csrf",
    "authorization",
    "bearer",
    "apikey",
    "psk",
];
/// Words of a name behind which long digits are no secret: frames, and what is shown to compare.
const PUBLIC: [&str; 6] = ["raw", "frame", "hash", "fingerprint", "public", "id"];

static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Remembers a secret that was read from a file, so that no text shows it.
pub fn remember(secret: &str) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if secret.chars().count() >= KNOWN_CHARS_MIN && known.len() < limits::SECRETS_KNOWN_MAX {
        known.insert(secret.to_owned());
    }
}

/// A text without its secrets.
#[must_use]
pub fn text(text: &str) -> String {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    by_shape(&by_value(text, &known))
}

/// Every text of a JSON document without its secrets; the name of a member counts as its name.
pub fn document(value: &mut Value) {
    match value {
        Value::String(inner) => *inner = text(inner),
        Value::Array(all) => all.iter_mut().for_each(document),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member {
                    Value::String(inner) if has_word(name, &SECRET) => *inner = GONE.to_owned(),
                    Value::String(inner) if has_word(name, &PUBLIC) => {
                        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
                        *inner = by_value(inner, &known);
                    }
                    _ => document(member),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn by_value(text: &str, known: &BTreeSet<String>) -> String {
    let mut found: Vec<&String> = known.iter().filter(|secret| text.contains(*secret)).collect();
    // One may be the beginning of another.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), GONE))
}

/// Whether a name has one of these words: `broker_password`, `X-Csrf-Token`, not `pinned`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let lower = name.to_ascii_lowercase();
    let mut parts = lower.split(|c: char| !c.is_ascii_alphanumeric());
    parts.any(|part| {
        words.iter().any(|word| part == *word || (word.len() > 4 && part.ends_with(word)))
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '/' | '.')
}

/// Goes through a text word by word; a secret's name takes what follows it.
fn by_shape(text: &str) -> String {
    let text = without_user_info(&without_blocks(text));
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut name = "";
    while let Some(begin) = rest.find(is_word) {
        let (between, from) = rest.split_at(begin);
        out.push_str(between);
        let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        // What is assigned keeps its name over `=`, `: "` and the like.
        let is_value = between.contains(['=', ':', '>']) && !between.contains(['\n', ',', ';']);
        if !is_value {
            name = "";
        }
        if has_word(word, &SECRET)
            && let Some((lead, past)) = value_of(after, word)
        {
            out.push_str(word);
            out.push_str(lead);
            out.push_str(GONE);
            rest = past;
        } else if is_set_up_code(word) || (looks_like_a_key(word) && !has_word(name, &PUBLIC)) {
            out.push_str(GONE);
            rest = after;
        } else {
            out.push_str(word);
            name = word;
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// What lies between a secret's name and its value, and what comes after the value; `None` where nothing
/// is assigned.
fn value_of<'t>(after: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let bearer = has_word(name, &["bearer"]);
    let signs = |c: char| matches!(c, '=' | ':' | '>' | ' ' | '"' | '\'' | '\\');
    let at = after.find(|c| !signs(c)).unwrap_or(after.len());
    let (lead, value) = after.split_at(at);
    let assigned = lead.contains(['=', ':', '>']) || (bearer && lead == " ");
    if !assigned || value.is_empty() {
        return None;
    }
    let quote = lead.chars().rev().find(|c| matches!(c, '"' | '\''));
    // The rest of a header's line may all be secret: `Cookie: a=b; session=c`, `Authorization: Basic …`.
    let header = has_word(name, &["cookie", "authorization"]);
    let ends = |c: char| match quote {
        Some(quote) => c == quote || c == '\\',
        None if header => matches!(c, '\n' | '\r'),
        None => c.is_whitespace() || matches!(c, ',' | ';' | '&' | '<' | ')' | '}' | ']' | '"'),
    };
    let end = value.find(ends).unwrap_or(value.len());
    Some((lead, &value[end..]))
}

/// Users with passwords before the host of an address: `rtsp://admin:secret@camera`.
fn without_user_info(text: &str) -> String {
    const BEGIN: &str = "://";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, from) = rest.split_at(at + BEGIN.len());
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '?');
        let authority = &from[..from.find(ends).unwrap_or(from.len())];
        let user = authority.rfind('@').filter(|user| authority[..*user].contains(':'));
        out.push_str(user.map_or("", |_| GONE));
        rest = &from[user.unwrap_or(0)..];
    }
    out.push_str(rest);
    out
}

/// `XXXX-XXXX-XXXX` as the first start shows it.
fn is_set_up_code(word: &str) -> bool {
    let one = |part: &str| {
        part.len() == 4 && part.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
    };
    word.split('-').count() == 3 && word.split('-').all(one)
}

/// Many hexadecimal digits, or base64 with letters of both cases and digits.
fn looks_like_a_key(word: &str) -> bool {
    if word.len() < KEY_CHARS_MIN {
        return false;
    }
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit());
    let has = |kind: fn(&u8) -> bool| word.bytes().any(|b| kind(&b));
    // A path or a dotted name has separators every few letters.
    let solid = word.split(['/', '.', '-', '_']).any(|part| part.len() >= KEY_CHARS_MIN / 2);
    hex || (solid
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit))
}

/// Blocks of PEM with a private key, to their end or the text's.
fn without_blocks(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN ";
    const END: &str = "-----END ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, block) = rest.split_at(at);
        out.push_str(before);
        let label = block[BEGIN.len()..].split("-----").next().unwrap_or_default();
        let end = block.find(END).and_then(|end| {
            let tail = end + END.len();
            block[tail..].find("-----").map(|dashes| tail + dashes + 5)
        });
        let (whole, after) = block.split_at(end.unwrap_or(block.len()));
        out.push_str(if label.contains("PRIVATE KEY") { GONE } else { whole });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_what_helps_stays() {
        let hex = "5eed".repeat(16);
        for (before, after) in [
            (
                "login failed password=hunter2 peer=10.0.0.7",
                "login failed password=[redacted] peer=10.0.0.7",
            ),
            (
                r#"{"user":"a","password":"x y","n":1}"#,
                r#"{"user":"a","password":"[redacted]","n":1}"#,
            ),
            (r#"body "{\"pwd\":\"x y\",\"n\":1}""#, r#"body "{\"pwd\":\"[redacted]\",\"n\":1}""#),
            ("<userPassword>geheim</userPassword>", "<userPassword>[redacted]</userPassword>"),
            ("Authorization: Basic YWRtaW46cGFzcw==", "Authorization: [redacted]"),
            ("with bearer abc.def", "with bearer [redacted]"),
            ("Cookie: a=b; session=c0ffee\nHost: x", "Cookie: [redacted]\nHost: x"),
            ("set session=abc; Path=/", "set session=[redacted]; Path=/"),
            ("pin: 7531, door b1", "pin: [redacted], door b1"),
            ("card=1 PIN=7531", "card=1 PIN=[redacted]"),
            ("broker_password = 'q w' end", "broker_password = '[redacted]' end"),
            ("rtsp://admin:pass@10.0.0.9/live", "rtsp://[redacted]@10.0.0.9/live"),
            ("http://10.0.0.9:80/a@b", "http://10.0.0.9:80/a@b"),
            (
                "open /setup with the code 7KQ2-M0XV-99AB, it",
                "open /setup with the code [redacted], it",
            ),
            (
                "key -----BEGIN EC PRIVATE KEY-----\\nabc\\n-----END EC PRIVATE KEY----- end",
                "key [redacted] end",
            ),
            ("-----BEGIN PRIVATE KEY-----\nabc", "[redacted]"),
            (
                "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
                "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
            ),
            (
                "no answer within 500 ms meter=m-0101 line=stair-1",
                "no answer within 500 ms meter=m-0101 line=stair-1",
            ),
            (
                "password_file /etc/blockgate/broker: its first line is empty",
                "password_file /etc/blockgate/broker: its first line is empty",
            ),
            ("the pin is bent, the session ended", "the pin is bent, the session ended"),
            ("AA:BB:CC:DD fingerprint", "AA:BB:CC:DD fingerprint"),
        ] {
            assert_eq!(text(before), after);
        }
        assert_eq!(text(&format!("got {hex} here")), "got [redacted] here");
        assert_eq!(
            text(&format!("raw={hex}")),
            format!("raw={hex}"),
            "frames are what support needs"
        );
        assert_eq!(text(&format!("config_hash={hex} a")), format!("config_hash={hex} a"));
        assert_eq!(text(&format!("raw=00 x={hex}")), "raw=00 x=[redacted]");
        let base64 = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
        assert_eq!(text(base64), GONE);
        let path =
            "gateway::doors::uphppote /var/lib/blockgate/state/Meters.d/page-2026-11-29.toml.new";
        assert_eq!(text(path), path);
    }

    #[test]
    fn what_the_config_named_goes_wherever_it_stands() {
        remember("swan lake 9");
        remember("swan lake 9 and more");
        remember("1234");
        assert_eq!(
            text("it said swan lake 9 and more, swan lake 9!"),
            "it said [redacted], [redacted]!"
        );
        assert_eq!(text("seq 1234"), "seq 1234", "too short to be told from a number");
        let mut value = serde_json::json!({
            "what": "tcp://swan lake 9", "api_token": "x", "n": 1, "rows": [{ "text": "password=y" }],
            "config_hash": "5eed".repeat(16),
        });
        document(&mut value);
        let want = serde_json::json!({
            "what": "tcp://[redacted]", "api_token": GONE, "n": 1, "rows": [{ "text": "password=[redacted]" }],
            "config_hash": "5eed".repeat(16),
        });
        assert_eq!(value, want);
    }
}
