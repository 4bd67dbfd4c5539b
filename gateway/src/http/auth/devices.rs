//! Devices: who holds a token or signs, whether a signed request was heard before, and how often one
//! may ask. Nothing here waits, and no lock is held longer than a look-up takes.
//!
//! A signed request carries
//! ```text
//! Authorization: HMAC-SHA256 name="gate-north", time="2026-03-01T00:00:00Z", nonce="…", mac="…"
//! ```
//! where `mac` is HMAC-SHA256 in hexadecimal over
//! `METHOD \n PATH?QUERY \n time \n nonce \n hex(SHA-256(body))`, and `nonce` 16 to 64 characters that
//! the device never uses again. A request outside of the window or with a known nonce was recorded:
//! 401, and an alarm. The window begins with the process, so that a restart forgets nothing that it
//! would still take.

use super::tokens::{Device, Tokens};
use crate::limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use blockgate_types::Time;
use ring::{digest, hmac};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// What a request shows of its sender.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its path with the query.
    pub target: &'r str,
    /// Its `Authorization` header.
    pub authorization: Option<&'r str>,
    /// A token in the query: for cameras that can send no header.
    pub query_token: Option<&'r str>,
    /// Where it comes from.
    pub peer: IpAddr,
    /// Its body.
    pub body: &'r [u8],
}

/// Why a device is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No token that is known, a wrong signature, another address.
    Unknown,
    /// A recorded request of this holder.
    Replayed(String),
    /// It asks too often; again after so many seconds.
    TooOften(u64),
}

/// All devices.
#[derive(Debug)]
pub struct Devices {
    tokens: Tokens,
    paces: Mutex<BTreeMap<String, Pace>>,
    nonces: Mutex<Nonces>,
}

impl Devices {
    pub(super) fn new(tokens: Tokens) -> Self {
        Self { tokens, paces: Mutex::default(), nonces: Mutex::default() }
    }

    /// The holder of a bearer token.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Option<Arc<Device>> {
        self.tokens.find(token).cloned()
    }

    /// Lets a device in. `began`: since when this process listens.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn admit(&self, shown: &Shown<'_>, now: Time, began: Time) -> Result<Arc<Device>, Refusal> {
        let device = self.known(shown, now, began)?;
        if !device.addresses.is_empty() && !device.addresses.contains(&shown.peer.to_canonical()) {
            return Err(Refusal::Unknown);
        }
        self.pace(&device)?;
        Ok(device)
    }

    /// Counts one request of a device.
    ///
    /// # Errors
    /// [`Refusal::TooOften`].
    pub fn pace(&self, device: &Device) -> Result<(), Refusal> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match paces.get_mut(&device.name) {
            Some(pace) => pace.take(device.rate_per_second, now),
            None => {
                let mut pace = Pace { left: f64::from(device.rate_per_second), at: now };
                let taken = pace.take(device.rate_per_second, now);
                paces.insert(device.name.clone(), pace);
                taken
            }
        }
    }

    fn known(&self, shown: &Shown<'_>, now: Time, began: Time) -> Result<Arc<Device>, Refusal> {
        let bearer = |token: &str| self.bearer(token.trim()).ok_or(Refusal::Unknown);
        let Some(header) = shown.authorization else {
            return bearer(shown.query_token.ok_or(Refusal::Unknown)?);
        };
        let (kind, rest) = header.split_once(' ').ok_or(Refusal::Unknown)?;
        if kind.eq_ignore_ascii_case("bearer") {
            return bearer(rest);
        }
        if kind.eq_ignore_ascii_case("basic") {
            // Cameras that know a password: any user, the token as password.
            let text = STANDARD.decode(rest.trim()).ok().and_then(|b| String::from_utf8(b).ok());
            let text = text.ok_or(Refusal::Unknown)?;
            return bearer(text.split_once(':').ok_or(Refusal::Unknown)?.1);
        }
        if kind.eq_ignore_ascii_case("hmac-sha256") {
            return self.signed(shown, rest, now, began);
        }
        Err(Refusal::Unknown)
    }

    fn signed(
        &self,
        shown: &Shown<'_>,
        fields: &str,
        now: Time,
        began: Time,
    ) -> Result<Arc<Device>, Refusal> {
        let field = |name: &str| {
            let found = fields.split(',').filter_map(|pair| pair.split_once('='));
            let found = found.map(|(key, value)| (key.trim(), value.trim().trim_matches('"')));
            found.clone().find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let name = field("name").ok_or(Refusal::Unknown)?;
        let (time, nonce) = (field("time"), field("nonce"));
        let (time, nonce) = (time.ok_or(Refusal::Unknown)?, nonce.ok_or(Refusal::Unknown)?);
        let mac = field("mac").and_then(unhex).ok_or(Refusal::Unknown)?;
        let (device, key) = self.tokens.signer(name).ok_or(Refusal::Unknown)?;
        let text = signed_text(shown.method, shown.target, time, nonce, shown.body);
        // The signature first: who cannot sign raises no alarm and fills no memory.
        hmac::verify(key, text.as_bytes(), &mac).map_err(|_| Refusal::Unknown)?;
        let at: Time = time.parse().map_err(|_| Refusal::Unknown)?;
        let nonce_fits = (16..=64).contains(&nonce.len());
        let off = i64::try_from(at.as_millis().abs_diff(now.as_millis())).unwrap_or(i64::MAX);
        if !nonce_fits {
            return Err(Refusal::Unknown);
        }
        if off > limits::SIGNED_WINDOW.as_millis() || at < began {
            return Err(Refusal::Replayed(device.name.clone()));
        }
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        match nonces.enter(&device.name, nonce, Instant::now()) {
            Entered::New => Ok(device.clone()),
            Entered::Known => Err(Refusal::Replayed(device.name.clone())),
            Entered::Full => Err(Refusal::TooOften(1)),
        }
    }
}

/// What a signature is made over.
#[must_use]
pub(crate) fn signed_text(
    method: &str,
    target: &str,
    time: &str,
    nonce: &str,
    body: &[u8],
) -> String {
    let mut text = format!("{method}\n{target}\n{time}\n{nonce}\n");
    for byte in digest::digest(&digest::SHA256, body).as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..64).step_by(2).map(pair).collect()
}

/// How often one device may ask: a second's worth at once, then by the rate.
#[derive(Debug)]
struct Pace {
    left: f64,
    at: Instant,
}

impl Pace {
    fn take(&mut self, rate: u32, now: Instant) -> Result<(), Refusal> {
        let rate = f64::from(rate);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate).min(rate.max(1.0));
        self.at = now;
        if self.left < 1.0 {
            return Err(Refusal::TooOften(1));
        }
        self.left -= 1.0;
        Ok(())
    }
}

enum Entered {
    New,
    Known,
    Full,
}

/// Nonces within twice the window: those of a clock ahead of ours too.
#[derive(Debug, Default)]
struct Nonces {
    known: BTreeSet<Arc<str>>,
    order: VecDeque<(Instant, Arc<str>)>,
}

impl Nonces {
    fn enter(&mut self, name: &str, nonce: &str, now: Instant) -> Entered {
        let kept = std::time::Duration::from(limits::SIGNED_WINDOW) * 2;
        while let Some((at, _)) = self.order.front()
            && now.saturating_duration_since(*at) > kept
        {
            if let Some((_, old)) = self.order.pop_front() {
                self.known.remove(&old);
            }
        }
        let key: Arc<str> = Arc::from(format!("{name}/{nonce}"));
        if self.known.contains(&key) {
            return Entered::Known;
        }
        if self.known.len() >= limits::NONCES_MAX {
            return Entered::Full;
        }
        self.known.insert(key.clone());
        self.order.push_back((now, key));
        Entered::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blockgate_types::Span;
    use std::time::Duration;

    const KEY: [u8; 32] = [7; 32];

    fn devices() -> Devices {
        let hex: String = KEY.iter().map(|b| format!("{b:02x}")).collect();
        let bearer: String = digest::digest(&digest::SHA256, b"secret")
            .as_ref()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let text = format!(
            "[tokens.gate]\nhmac_key = \"{hex}\"\nscopes = [\"payment-status\"]\n\
             [tokens.cam]\nsha256 = \"{bearer}\"\nscopes = [\"camera\"]\naddresses = [\"192.0.2.7\"]\nrate_per_second = 2\n"
        );
        Devices::new(Tokens::parse(&text).unwrap())
    }

    fn sign(time: &str, nonce: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
        let mac = hmac::sign(&key, signed_text("POST", "/x", time, nonce, body).as_bytes());
        let mac: String = mac.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("HMAC-SHA256 name=\"gate\", time=\"{time}\", nonce=\"{nonce}\", mac=\"{mac}\"")
    }

    fn shown<'r>(header: &'r str, body: &'r [u8]) -> Shown<'r> {
        Shown {
            method: "POST",
            target: "/x",
            authorization: Some(header),
            query_token: None,
            peer: [192, 0, 2, 7].into(),
            body,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signed_request_is_taken_once_and_within_its_minute() {
        let devices = devices();
        let now: Time = "2026-03-01T00:10:00Z".parse().unwrap();
        let began = now.minus(Span::from_hours(1));
        let good = sign("2026-03-01T00:10:00Z", "0123456789abcdef", b"body");
        assert_eq!(devices.admit(&shown(&good, b"body"), now, began).unwrap().name, "gate");
        let replayed = Err(Refusal::Replayed("gate".to_owned()));
        assert_eq!(devices.admit(&shown(&good, b"body"), now, began), replayed);
        // Recorded, and played five minutes later; or after a restart.
        let later = now.plus(Span::from_mins(5));
        assert_eq!(devices.admit(&shown(&good, b"body"), later, began), replayed);
        let fresh = sign("2026-03-01T00:10:00Z", "fedcba9876543210", b"body");
        let restarted = now.plus(Span::from_secs(1));
        assert_eq!(devices.admit(&shown(&fresh, b"body"), restarted, restarted), replayed);
        // Changed, or signed by another: unknown, and no alarm.
        for (header, body) in [
            (fresh.clone(), b"other".as_slice()),
            (fresh.replace("fedc", "fedd"), b"body"),
            (fresh.replace("name=\"gate\"", "name=\"cam\""), b"body"),
            (sign("2026-03-01T00:10:00Z", "short", b"body"), b"body"),
            ("HMAC-SHA256 name=\"gate\"".to_owned(), b"body"),
            ("Digest x".to_owned(), b"body"),
        ] {
            let got = devices.admit(&shown(&header, body), now, began);
            assert_eq!(got, Err(Refusal::Unknown), "{header}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_comes_as_bearer_password_or_query_from_its_address_and_at_its_rate() {
        let devices = devices();
        let (now, began) = (Time::EPOCH.plus(Span::from_hours(9)), Time::EPOCH);
        let basic = format!("Basic {}", STANDARD.encode("admin:secret"));
        let mut asked = shown("Bearer secret", b"");
        assert!(devices.admit(&asked, now, began).is_ok());
        asked.authorization = Some(&basic);
        assert!(devices.admit(&asked, now, began).is_ok());
        assert_eq!(devices.admit(&asked, now, began), Err(Refusal::TooOften(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        asked.authorization = None;
        asked.query_token = Some("secret");
        assert!(devices.admit(&asked, now, began).is_ok());
        asked.peer = [192, 0, 2, 8].into();
        assert_eq!(devices.admit(&asked, now, began), Err(Refusal::Unknown));
        asked.query_token = None;
        assert_eq!(devices.admit(&asked, now, began), Err(Refusal::Unknown));
    }
}
