//! Below MQTT: the broker's name, TCP, certificates and the handshake, so that each way of failing
//! has its own [`Trouble`]. TLS 1.2 or newer; the server's chain and name are always checked, and
//! there is no switch that turns that off. Not a byte is sent to whom the check has not accepted.
//!
//! Certificates are judged by our own clock port, not by the system's: a box that starts in 1970
//! says `tls-not-yet-valid` and tries again once its clock is set.

use super::pace;
use super::pin::{self, Pinned};
use super::trouble::Trouble;
use crate::config::MqttConfig;
use crate::ports::{Broker, BrokerStream, Clock, Opening};
use blockgate_types::Time;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where Debian keeps the CA certificates that the system trusts (package ca-certificates).
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Longest wait for a TCP connection to one address.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

/// Most addresses of one name that are tried in one attempt.
const ADDRESSES_MAX: usize = 8;

/// Which files hold what we trust and who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    ca: PathBuf,
    own: Option<(PathBuf, PathBuf)>,
}

/// The content of [`Files`] at one reading.
#[derive(Clone, PartialEq, Eq)]
struct Content {
    ca: Vec<u8>,
    own: Option<(Vec<u8>, Vec<u8>)>,
}

/// Content that was good, and what came of it.
struct Loaded {
    content: Content,
    config: Arc<ClientConfig>,
    certificates: Vec<(String, Time)>,
}

/// The broker over TCP and TLS.
pub struct TlsBroker {
    host: String,
    port: u16,
    files: Files,
    /// A sent byte without an acknowledgement for this long ends the connection.
    user_timeout: Duration,
    clock: Arc<dyn Clock>,
    loaded: Mutex<Option<Loaded>>,
    /// SHA-256 of the public keys that the broker may have; any where there are none.
    pins: Vec<[u8; 32]>,
    /// Why the files as they are now are not used, while older ones are.
    unfit: Mutex<Option<String>>,
    /// Which of the name's addresses is tried first.
    turn: AtomicUsize,
}

impl TlsBroker {
    /// The broker of the config.
    #[must_use]
    pub fn new(config: &MqttConfig, clock: Arc<dyn Clock>) -> Self {
        let own = config.cert.clone().zip(config.key.clone());
        Self {
            host: config.host.clone(),
            port: config.port,
            files: Files { ca: config.ca.clone().unwrap_or_else(|| SYSTEM_ROOTS.into()), own },
            user_timeout: Duration::from(config.keep_alive).mul_f64(1.5),
            clock,
            loaded: Mutex::new(None),
            pins: config.pins.clone(),
            unfit: Mutex::new(None),
            turn: AtomicUsize::new(pace::seed(&config.client_id) as usize % ADDRESSES_MAX),
        }
    }

    /// Reads the files again. Files that are being replaced and do not fit at this moment leave the
    /// last good ones in use.
    fn credentials(&self) -> Result<Arc<ClientConfig>, Trouble> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = self.fresh(loaded.as_ref());
        self.note_unfit(fresh.as_ref().err());
        match (fresh, &*loaded) {
            (Ok(None), Some(old)) => Ok(old.config.clone()),
            (Ok(Some(new)), _) => {
                let config = new.config.clone();
                *loaded = Some(new);
                Ok(config)
            }
            (Err(_), Some(old)) => Ok(old.config.clone()),
            (Err(trouble), None) => Err(trouble),
            // `Ok(None)` needs something loaded.
            (Ok(None), None) => Err(Trouble::Files("nothing is loaded".to_owned())),
        }
    }

    /// What the files hold, where that is not what is loaded.
    fn fresh(&self, loaded: Option<&Loaded>) -> Result<Option<Loaded>, Trouble> {
        let content = read(&self.files)?;
        match loaded {
            Some(old) if old.content == content => Ok(None),
            _ => load(&self.files, content, &self.clock, &self.pins).map(Some),
        }
    }

    fn note_unfit(&self, trouble: Option<&Trouble>) {
        let mut unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        let now = trouble.map(|trouble| trouble.text().en);
        if let Some(why) = &now
            && *unfit != now
        {
            tracing::warn!("the certificate files are not used as they are: {why}");
        }
        *unfit = now;
    }

    async fn open_stream(&self) -> Result<Box<dyn BrokerStream>, Trouble> {
        let config = self.credentials()?;
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| Trouble::Dns(format!("{:?} is no host name", self.host)))?;
        let tcp = self.open_tcp().await?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            // TCP was there and ended without a word of TLS.
            Err(e) => Err(match of_io(&e) {
                Trouble::Closed(_) => Trouble::TlsClosed,
                other => other,
            }),
        }
    }

    async fn open_tcp(&self) -> Result<TcpStream, Trouble> {
        let mut addresses: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|e| Trouble::Dns(format!("{:?} ({e})", self.host)))?
            .take(ADDRESSES_MAX)
            .collect();
        // The nodes of a cluster under one name: gateways begin with different ones, and each attempt
        // with the next.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(addresses.len()).unwrap_or(0);
        addresses.rotate_left(first);
        let mut trouble = Trouble::Dns(format!("{:?}", self.host));
        for address in addresses {
            trouble = match tokio::time::timeout(TCP_TIMEOUT, TcpStream::connect(address)).await {
                Err(_) => Trouble::ConnectTimeout,
                Ok(Err(e)) => of_io(&e),
                Ok(Ok(stream)) => match self.tune(&stream) {
                    Ok(()) => return Ok(stream),
                    Err(e) => Trouble::Unreachable(e.to_string()),
                },
            };
        }
        Err(trouble)
    }

    fn tune(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        socket2::SockRef::from(stream).set_tcp_user_timeout(Some(self.user_timeout))
    }
}

impl Broker for TlsBroker {
    fn open(&self) -> Opening<'_> {
        Box::pin(self.open_stream())
    }

    fn certificates(&self) -> Vec<(String, Time)> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.as_ref().map(|l| l.certificates.clone()).unwrap_or_default()
    }

    fn renewed(&self) -> bool {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.is_none() {
            return false; // the next opening reads them anyway
        }
        let fresh = self.fresh(loaded.as_ref());
        self.note_unfit(fresh.as_ref().err());
        match fresh {
            Ok(Some(new)) => {
                *loaded = Some(new);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn unfit(&self) -> Option<String> {
        self.unfit.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(files: &Files) -> Result<Content, Trouble> {
    let bytes = |path: &Path| {
        std::fs::read(path).map_err(|e| Trouble::Files(format!("{} ({e})", path.display())))
    };
    Ok(Content {
        ca: bytes(&files.ca)?,
        own: match &files.own {
            Some((cert, key)) => Some((bytes(cert)?, bytes(key)?)),
            None => None,
        },
    })
}

fn load(
    files: &Files,
    content: Content,
    clock: &Arc<dyn Clock>,
    pins: &[[u8; 32]],
) -> Result<Loaded, Trouble> {
    let mut certificates = Vec::new();
    let mut roots = RootCertStore::empty();
    for cert in chain(&files.ca, &content.ca)? {
        // The system's roots are many, and not ours to renew.
        if files.ca != Path::new(SYSTEM_ROOTS) {
            certificates.push(("ca".to_owned(), not_after(&files.ca, &cert)?));
        }
        roots.add(cert).map_err(|e| unfit(&files.ca, &e.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_details(provider.clone(), Arc::new(Judge(clock.clone())))
            .with_safe_default_protocol_versions()
            .map_err(|e| Trouble::TlsOther(e.to_string()))?;
    let builder = if pins.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let verifier = Pinned::new(roots, provider, pins.to_vec())?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    };
    let config = match (&files.own, &content.own) {
        (Some((cert_file, key_file)), Some((cert, key))) => {
            let chain = chain(cert_file, cert)?;
            if let Some(own) = chain.first() {
                certificates.insert(0, ("client".to_owned(), not_after(cert_file, own)?));
            }
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(|e| unfit(key_file, &e.to_string()))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|e| unfit(key_file, &format!("does not fit the certificate: {e}")))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Loaded { content, config: Arc::new(config), certificates })
}

fn unfit(path: &Path, why: &str) -> Trouble {
    Trouble::Files(format!("{} ({why})", path.display()))
}

/// All certificates of a PEM file, at least one.
fn chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certs) if !certs.is_empty() => Ok(certs),
        Ok(_) => Err(unfit(path, "holds no certificate")),
        Err(e) => Err(unfit(path, &e.to_string())),
    }
}

/// Until when a certificate is good.
fn not_after(path: &Path, cert: &CertificateDer<'_>) -> Result<Time, Trouble> {
    let (_, parsed) = x509_parser::parse_x509_certificate(cert)
        .map_err(|_| unfit(path, "is not an X.509 certificate"))?;
    Ok(Time::from_millis(parsed.validity().not_after.timestamp().saturating_mul(1000)))
}

/// Our clock port as the one by which certificates are judged.
struct Judge(Arc<dyn Clock>);

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}

impl rustls::time_provider::TimeProvider for Judge {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.now().as_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// What an error of the socket or of TLS on it means.
pub(super) fn of_io(e: &io::Error) -> Trouble {
    if let Some(tls) = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return of_tls(tls);
    }
    match e.kind() {
        io::ErrorKind::ConnectionRefused => Trouble::Refused,
        io::ErrorKind::TimedOut => Trouble::ConnectTimeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Trouble::Closed(e.to_string()),
        _ => Trouble::Unreachable(e.to_string()),
    }
}

fn of_tls(e: &rustls::Error) -> Trouble {
    let time = |t: &UnixTime| {
        i64::try_from(t.as_secs()).ok().map(|s| Time::from_millis(s.saturating_mul(1000)))
    };
    match e {
        rustls::Error::InvalidCertificate(fault) => match fault {
            CertificateError::Expired => Trouble::TlsExpired(None),
            CertificateError::ExpiredContext { not_after, .. } => {
                Trouble::TlsExpired(time(not_after))
            }
            CertificateError::NotValidYet => Trouble::TlsNotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => {
                Trouble::TlsNotYetValid(time(not_before))
            }
            CertificateError::NotValidForName => Trouble::TlsName(Vec::new()),
            CertificateError::NotValidForNameContext { presented, .. } => {
                Trouble::TlsName(presented.clone())
            }
            // A chain to another CA of the same name fails by its signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Trouble::TlsUnknownCa
            }
            other => Trouble::TlsOther(format!("{other:?}")),
        },
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::General(why) if why == pin::WRONG => Trouble::TlsPin,
        rustls::Error::InvalidMessage(_) => {
            Trouble::TlsOther("the other side does not speak TLS".to_owned())
        }
        other => Trouble::TlsOther(other.to_string()),
    }
}

fn of_alert(alert: AlertDescription) -> Trouble {
    let about_us = match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "certificate required"
        }
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "certificate revoked",
        AlertDescription::CertificateExpired => "certificate expired",
        AlertDescription::CertificateUnknown => "certificate unknown",
        AlertDescription::UnknownCA => "issued by a CA unknown to the broker",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecryptError => "signature not accepted",
        other => return Trouble::TlsOther(format!("the broker says {other:?}")),
    };
    Trouble::TlsClientCert(about_us.to_owned())
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
