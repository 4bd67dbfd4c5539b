//! The config file: `/etc/blockgate/blockgate.toml`, rules and profiles beside it.

use blockgate_types::Span;
use std::path::PathBuf;

/// `[mqtt]`: the way to the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MqttConfig {
    /// Broker's name or address; the certificate must carry it.
    pub host: String,
    /// Its TLS port, 8883 by custom.
    pub port: u16,
    /// PEM file with the CA certificates that are trusted; none means the system's.
    pub ca: Option<PathBuf>,
    /// Our certificate chain, PEM, for mutual TLS.
    pub cert: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// File that holds the password (0600).
    pub password_file: Option<PathBuf>,
    /// Client id; `blockgate-{gateway}` when absent.
    pub client_id: String,
    /// MQTT keep-alive.
    pub keep_alive: Span,
    /// An event without a receipt for this long is sent again.
    pub receipt_timeout: Span,
    /// Live values are published this often; zero never.
    pub telemetry_every: Span,
}

/// `[http]`: the page and the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// `127.0.0.1:8080`; another address than loopback needs a certificate.
    pub listen: std::net::SocketAddr,
    /// PEM certificate chain; one is made when the address is not loopback and none is named.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Names under which the page may be asked for, beside addresses (DNS rebinding).
    pub hosts: Vec<String>,
}

/// `[gateway]`: who we are; the topic prefix and the envelope's source come from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tenant, an id.
    pub tenant: String,
    /// Gateway, an id.
    pub gateway: String,
}
