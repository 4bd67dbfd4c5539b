//! The page's certificate: the configured one, or a self-signed one that is made once into the
//! state directory and known by its fingerprint. It can be exchanged while connections are open.

use super::secret_file;
use crate::config::HttpConfig;
use blockgate_types::Time;
use ring::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

/// A loaded certificate.
#[derive(Debug, Clone)]
struct Loaded {
    key: Arc<CertifiedKey>,
    fingerprint: String,
    not_after: Time,
}

/// The certificate that new connections get.
#[derive(Debug)]
pub struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    now: RwLock<Loaded>,
    /// When the files were last changed, as of the last look.
    changed: Mutex<Stamps>,
}

/// When certificate and key were last changed; `None` for a file that cannot be looked at.
type Stamps = (Option<SystemTime>, Option<SystemTime>);

fn stamps(cert: &Path, key: &Path) -> Stamps {
    let of = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    (of(cert), of(key))
}

impl Certificate {
    /// Loads the certificate of the config, or makes one in `state_dir` when it names none.
    ///
    /// # Errors
    /// When a file cannot be read or is not PEM, or key and certificate do not fit.
    pub fn open(config: &HttpConfig, state_dir: &Path) -> io::Result<Arc<Self>> {
        let (cert, key) = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => (cert.clone(), key.clone()),
            (None, None) => self_signed(config, state_dir)?,
            (Some(_), None) | (None, Some(_)) => {
                return Err(io::Error::other(
                    "http.cert and http.key must both be named, or neither",
                ));
            }
        };
        let changed = Mutex::new(stamps(&cert, &key));
        let now = RwLock::new(load(&cert, &key)?);
        Ok(Arc::new(Self { cert, key, now, changed }))
    }

    /// Reads the files again; connections that come later get the new certificate.
    ///
    /// # Errors
    /// As in [`Certificate::open`]; the old certificate stays in use.
    pub fn reload(&self) -> io::Result<()> {
        let fresh = load(&self.cert, &self.key)?;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// [`Certificate::reload`] when a file was changed since the last look; false when none was. A
    /// pair that does not fit is looked at again only when it changes again.
    ///
    /// # Errors
    /// As in [`Certificate::reload`].
    pub fn reload_changed(&self) -> io::Result<bool> {
        let found = stamps(&self.cert, &self.key);
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if *changed == found {
            return Ok(false);
        }
        *changed = found;
        drop(changed);
        self.reload().map(|()| true)
    }

    fn current(&self) -> Loaded {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// SHA-256 of the certificate, as browsers show it: `AB:CD:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.current().fingerprint
    }

    /// Until when it is good.
    #[must_use]
    pub fn not_after(&self) -> Time {
        self.current().not_after
    }

    /// TLS 1.2 and 1.3, h2 and http/1.1.
    ///
    /// # Errors
    /// Only when the crypto provider lacks a protocol version, which ring does not.
    pub fn server_config(self: &Arc<Self>) -> io::Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key)
    }
}

fn load(cert: &Path, key: &Path) -> io::Result<Loaded> {
    let of = |path: &Path, why: String| io::Error::other(format!("{}: {why}", path.display()));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| of(cert, e.to_string()))?;
    let first = chain.first().ok_or_else(|| of(cert, "holds no certificate".to_owned()))?;
    let fingerprint = colons(digest::digest(&digest::SHA256, first).as_ref());
    let (_, parsed) =
        x509_parser::parse_x509_certificate(first).map_err(|e| of(cert, e.to_string()))?;
    let not_after = Time::from_millis(parsed.validity().not_after.timestamp().saturating_mul(1000));
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| of(key, e.to_string()))?;
    let provider = rustls::crypto::ring::default_provider();
    let certified =
        CertifiedKey::from_der(chain, secret, &provider).map_err(|e| of(cert, e.to_string()))?;
    Ok(Loaded { key: Arc::new(certified), fingerprint, not_after })
}

/// Makes `page.crt` and `page.key`, unless they are there. The box may have no clock when it first
/// starts, so the certificate is good from 2020 to 2045; it is trusted by its fingerprint anyway.
fn self_signed(config: &HttpConfig, state_dir: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let (cert, key) = (state_dir.join("page.crt"), state_dir.join("page.key"));
    if cert.exists() && key.exists() {
        return Ok((cert, key));
    }
    let mut names = config.hosts.clone();
    names.push("localhost".to_owned());
    if !config.listen.ip().is_unspecified() {
        names.push(config.listen.ip().to_string());
    }
    let mut params = rcgen::CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "blockgate");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2045, 1, 1);
    let secret = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let made = params.self_signed(&secret).map_err(io::Error::other)?;
    secret_file::write(&key, secret.serialize_pem().as_bytes())?;
    secret_file::write(&cert, made.pem().as_bytes())?;
    Ok((cert, key))
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::new(), |mut out, (n, byte)| {
        let _ = write!(out, "{}{byte:02X}", if n == 0 { "" } else { ":" });
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HttpConfig {
        HttpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            cert: None,
            key: None,
            hosts: vec!["gate.example".to_owned()],
            lock_after: HttpConfig::LOCK_AFTER,
        }
    }

    #[test]
    fn a_made_certificate_stays_over_restarts_and_can_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let first = Certificate::open(&config(), dir.path()).unwrap();
        let again = Certificate::open(&config(), dir.path()).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
        assert_eq!(first.not_after().to_string(), "2045-01-01T00:00:00Z");

        std::fs::remove_file(dir.path().join("page.key")).unwrap();
        assert!(again.reload().is_err());
        assert_eq!(first.fingerprint(), again.fingerprint(), "the old one stays in use");
        assert!(again.reload_changed().is_err(), "a missing key is a change");
        assert!(!again.reload_changed().unwrap(), "and is told once");
        let fresh = Certificate::open(&config(), dir.path()).unwrap();
        assert!(again.reload_changed().unwrap());
        assert!(!again.reload_changed().unwrap());
        assert_eq!(fresh.fingerprint(), again.fingerprint());
        assert_ne!(first.fingerprint(), again.fingerprint());
    }

    #[test]
    fn a_certificate_without_its_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let half = HttpConfig { cert: Some(dir.path().join("x.crt")), ..config() };
        assert!(Certificate::open(&half, dir.path()).unwrap_err().to_string().contains("http.key"));
        let absent = HttpConfig { key: Some(dir.path().join("x.key")), ..half };
        assert!(Certificate::open(&absent, dir.path()).unwrap_err().to_string().contains("x.crt"));
    }
}
