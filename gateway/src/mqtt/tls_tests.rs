//! Real handshakes on loopback: each way of failing has its own word, and in none of them does the
//! other side get a byte to read.

use super::*;
use crate::demo::certificates::{Authority, Pair, Purpose};
use crate::mqtt::trouble::Pace;
use blockgate_types::{ClockState, Span};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

struct Fixed(&'static str);

impl Clock for Fixed {
    fn now(&self) -> Time {
        self.0.parse().unwrap()
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

/// One handshake to be tried.
struct Case {
    trusted: Authority,
    server: Pair,
    /// What the server trusts for clients; none means that it asks for no certificate.
    clients: Option<Authority>,
    client: Option<Pair>,
    host: &'static str,
    now: &'static str,
}

impl Case {
    fn good() -> Self {
        let trusted = Authority::new("one").unwrap();
        let server = trusted.issue(Purpose::Server, &["localhost"]).unwrap();
        Self {
            trusted,
            server,
            clients: None,
            client: None,
            host: "localhost",
            now: "2026-03-01T00:00:00Z",
        }
    }

    /// What our side says, and what the server could read of us.
    async fn run(self) -> (Result<(), Trouble>, Vec<u8>) {
        self.run_pinned(Vec::new()).await
    }

    async fn run_pinned(self, pins: Vec<[u8; 32]>) -> (Result<(), Trouble>, Vec<u8>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap())
                    .unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let config = builder
            .with_single_cert(
                chain(Path::new("server"), self.server.cert.as_bytes()).unwrap(),
                PrivateKeyDer::from_pem_slice(self.server.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            if let Ok(mut stream) = acceptor.accept(tcp).await {
                let _ = stream.read_to_end(&mut seen).await;
                let _ = stream.shutdown().await;
            }
            seen
        });
        let dir = tempfile::tempdir().unwrap();
        let config = MqttConfig { pins, ..self.config(dir.path(), port) };
        let broker = TlsBroker::new(&config, Arc::new(Fixed(self.now)));
        let outcome = match broker.open().await {
            Err(trouble) => Err(trouble),
            Ok(mut stream) => talk(&mut stream).await,
        };
        (outcome, server.await.unwrap())
    }

    fn config(&self, dir: &Path, port: u16) -> MqttConfig {
        let put = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).unwrap();
            Some(dir.join(name))
        };
        MqttConfig {
            ca: put("ca.pem", &self.trusted.pem()),
            cert: self.client.as_ref().and_then(|c| put("client.pem", &c.cert)),
            key: self.client.as_ref().and_then(|c| put("client.key", &c.key)),
            telemetry_every: Span::ZERO,
            ..MqttConfig::to(self.host, port, "gw")
        }
    }
}

/// With TLS 1.3 the server judges our certificate after our handshake is done: its verdict comes
/// with the first read.
async fn talk(stream: &mut Box<dyn BrokerStream>) -> Result<(), Trouble> {
    let mut byte = [0];
    stream.write_all(b"payload").await.map_err(|e| of_io(&e))?;
    stream.flush().await.map_err(|e| of_io(&e))?;
    stream.shutdown().await.map_err(|e| of_io(&e))?;
    match stream.read(&mut byte).await {
        Ok(_) => Ok(()),
        Err(e) => Err(of_io(&e)),
    }
}

#[tokio::test]
async fn a_good_server_gets_the_payload() {
    let (outcome, seen) = Case::good().run().await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(seen, b"payload");
}

#[tokio::test]
async fn mutual_tls_gets_the_payload() {
    let mut case = Case::good();
    let clients = Authority::new("clients").unwrap();
    case.client = Some(clients.issue(Purpose::Client, &["gw"]).unwrap());
    case.clients = Some(clients);
    let (outcome, seen) = case.run().await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(seen, b"payload");
}

#[tokio::test]
async fn a_broker_that_is_not_the_right_one_gets_nothing_and_the_word_says_why() {
    let wrong_ca = || {
        let mut case = Case::good();
        case.trusted = Authority::new("two").unwrap();
        case
    };
    let same_name_other_ca = || {
        let mut case = Case::good();
        case.trusted = Authority::new("one").unwrap();
        case
    };
    let wrong_name = || {
        let mut case = Case::good();
        case.server = case.trusted.issue(Purpose::Server, &["broker.example"]).unwrap();
        case
    };
    let by_address = || {
        let mut case = Case::good();
        case.host = "127.0.0.1";
        case
    };
    let expired = || {
        let mut case = Case::good();
        case.server = case.trusted.issue_for(Purpose::Server, &["localhost"], 2021..2025).unwrap();
        case
    };
    let not_yet = || {
        let mut case = Case::good();
        case.now = "1970-01-01T00:00:10Z";
        case
    };
    let a_client_s = || {
        let mut case = Case::good();
        case.server = case.trusted.issue(Purpose::Client, &["localhost"]).unwrap();
        case
    };
    let no_client_cert = || {
        let mut case = Case::good();
        case.clients = Some(Authority::new("clients").unwrap());
        case
    };
    let foreign_client_cert = || {
        let mut case = no_client_cert();
        let other = Authority::new("others").unwrap();
        case.client = Some(other.issue(Purpose::Client, &["gw"]).unwrap());
        case
    };
    let old_client_cert = || {
        let mut case = Case::good();
        let clients = Authority::new("clients").unwrap();
        case.client = Some(clients.issue_for(Purpose::Client, &["gw"], 2021..2025).unwrap());
        case.clients = Some(clients);
        case
    };
    for (what, case, word) in [
        ("a CA that we do not trust", wrong_ca(), "tls-unknown-ca"),
        ("a CA that only has the name", same_name_other_ca(), "tls-unknown-ca"),
        ("another name", wrong_name(), "tls-name"),
        ("an address that is not in the certificate", by_address(), "tls-name"),
        ("an old certificate", expired(), "tls-expired"),
        ("our clock in 1970", not_yet(), "tls-not-yet-valid"),
        ("a client's certificate", a_client_s(), "tls-other"),
        ("no client certificate", no_client_cert(), "tls-client-cert"),
        ("a client certificate of another CA", foreign_client_cert(), "tls-client-cert"),
        ("an old client certificate", old_client_cert(), "tls-client-cert"),
    ] {
        let (outcome, seen) = case.run().await;
        let trouble = outcome.unwrap_err();
        assert_eq!(trouble.word(), word, "{what}: {trouble}");
        assert_eq!(trouble.pace(), Pace::Slow, "{what}");
        assert_eq!(seen, b"", "{what}");
        assert!(trouble.text().zh != trouble.text().en && !trouble.next().zh.is_empty());
    }
}

#[tokio::test]
async fn the_date_is_named_when_a_certificate_has_expired() {
    let mut case = Case::good();
    case.server = case.trusted.issue_for(Purpose::Server, &["localhost"], 2021..2025).unwrap();
    let trouble = case.run().await.0.unwrap_err();
    assert_eq!(trouble, Trouble::TlsExpired(Some("2025-01-01T00:00:00Z".parse().unwrap())));
}

#[tokio::test]
async fn what_does_not_listen_or_does_not_speak_tls_has_its_word() {
    let case = Case::good();
    let dir = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let open = |config: &MqttConfig| {
        let broker = TlsBroker::new(config, Arc::new(Fixed("2026-03-01T00:00:00Z")));
        async move { broker.open().await.err().map(|t| t.word()) }
    };
    let mut config = case.config(dir.path(), closed);
    assert_eq!(open(&config).await, Some("refused"));

    let plain = TcpListener::bind("localhost:0").await.unwrap();
    config.port = plain.local_addr().unwrap().port();
    let answer = tokio::spawn(async move {
        let (mut tcp, _) = plain.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    assert_eq!(open(&config).await, Some("tls-other"));
    answer.await.unwrap();

    config.host = "no-such-host.invalid".into();
    assert_eq!(open(&config).await, Some("dns"));
    config.host = "not a name".into();
    assert_eq!(open(&config).await, Some("dns"));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let mut case = Case::good();
    let authority = Authority::new("clients").unwrap();
    case.client = Some(authority.issue(Purpose::Client, &["gw"]).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let good = case.config(dir.path(), 1);
    let other = authority.issue(Purpose::Client, &["gw"]).unwrap();
    std::fs::write(dir.path().join("other.key"), &other.key).unwrap();
    std::fs::write(dir.path().join("empty"), "").unwrap();
    let with = |change: &dyn Fn(&mut MqttConfig)| {
        let mut config = good.clone();
        change(&mut config);
        TlsBroker::new(&config, Arc::new(Fixed("2026-03-01T00:00:00Z"))).credentials().err()
    };
    assert_eq!(with(&|_| {}), None);
    let missing: &dyn Fn(&mut MqttConfig) = &|c| c.ca = Some(dir.path().join("missing"));
    let empty: &dyn Fn(&mut MqttConfig) = &|c| c.ca = Some(dir.path().join("empty"));
    let key_as_cert: &dyn Fn(&mut MqttConfig) = &|c| c.cert.clone_from(&c.key);
    let cert_as_key: &dyn Fn(&mut MqttConfig) = &|c| c.key.clone_from(&c.cert);
    let other_key: &dyn Fn(&mut MqttConfig) = &|c| c.key = Some(dir.path().join("other.key"));
    for (change, file) in [
        (missing, "missing"),
        (empty, "empty"),
        (key_as_cert, "client.key"),
        (cert_as_key, "client.pem"),
        (other_key, "other.key"),
    ] {
        let trouble = with(change).unwrap();
        assert_eq!(trouble.word(), "tls-files");
        assert!(trouble.text().en.contains(file), "{trouble}");
    }
}

#[tokio::test]
async fn new_files_are_used_at_the_next_connection_and_half_written_ones_never() {
    let mut case = Case::good();
    let clients = Authority::new("clients").unwrap();
    case.client = Some(clients.issue_for(Purpose::Client, &["gw"], 2021..2027).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let broker =
        TlsBroker::new(&case.config(dir.path(), 1), Arc::new(Fixed("2026-03-01T00:00:00Z")));
    let first = broker.credentials().unwrap();
    assert_eq!(
        broker.certificates()[0],
        ("client".into(), "2027-01-01T00:00:00Z".parse().unwrap())
    );
    assert_eq!(broker.certificates()[1].0, "ca");

    let next = clients.issue_for(Purpose::Client, &["gw"], 2021..2031).unwrap();
    std::fs::write(dir.path().join("client.pem"), &next.cert).unwrap();
    assert!(Arc::ptr_eq(&broker.credentials().unwrap(), &first), "new certificate, old key");
    std::fs::write(dir.path().join("client.key"), &next.key).unwrap();
    assert!(!Arc::ptr_eq(&broker.credentials().unwrap(), &first));
    assert_eq!(broker.certificates()[0].1, "2031-01-01T00:00:00Z".parse().unwrap());
}

/// SHA-256 of a certificate's key.
fn pin_of(pair: &Pair) -> [u8; 32] {
    pin::of(&CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_pinned_broker_is_known_by_its_key_beside_everything_else() {
    let case = Case::good();
    let pins = vec![[1; 32], pin_of(&case.server)];
    assert_eq!(case.run_pinned(pins).await, (Ok(()), b"payload".to_vec()));

    // Another key below the same CA, name and dates right: the CA was tricked, or is somebody else's.
    let case = Case::good();
    let pins = vec![pin_of(&case.trusted.issue(Purpose::Server, &["localhost"]).unwrap())];
    let (outcome, seen) = case.run_pinned(pins).await;
    assert_eq!(outcome.unwrap_err().word(), "tls-pin");
    assert!(seen.is_empty(), "not a byte for it");

    // A pin widens nothing.
    let mut case = Case::good();
    case.trusted = Authority::new("two").unwrap();
    let pins = vec![pin_of(&case.server)];
    assert_eq!(case.run_pinned(pins).await.0.unwrap_err().word(), "tls-unknown-ca");
}

#[test]
fn files_that_are_exchanged_are_noticed_and_half_written_ones_are_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let mut case = Case::good();
    case.client = Some(case.trusted.issue(Purpose::Client, &["gw"]).unwrap());
    let broker = TlsBroker::new(&case.config(dir.path(), 1), Arc::new(Fixed(case.now)));
    assert!(!broker.renewed(), "nothing is in use yet");
    let before = broker.credentials().unwrap();
    assert!(!broker.renewed() && broker.unfit().is_none());

    // Half of the new certificate, then all of it without its key, then both.
    let new = case.trusted.issue(Purpose::Client, &["gw"]).unwrap();
    std::fs::write(dir.path().join("client.pem"), &new.cert[..new.cert.len() / 2]).unwrap();
    assert!(!broker.renewed());
    assert!(broker.unfit().unwrap().contains("client.pem"), "{:?}", broker.unfit());
    assert!(Arc::ptr_eq(&broker.credentials().unwrap(), &before), "the old ones stay in use");
    std::fs::write(dir.path().join("client.pem"), &new.cert).unwrap();
    assert!(!broker.renewed());
    assert!(broker.unfit().unwrap().contains("does not fit"), "{:?}", broker.unfit());
    std::fs::write(dir.path().join("client.key"), &new.key).unwrap();
    assert!(broker.renewed() && broker.unfit().is_none());
    assert!(!broker.renewed(), "once");
    assert!(!Arc::ptr_eq(&broker.credentials().unwrap(), &before));

    // A second CA beside the first, as while one follows the other; then no file at all.
    let next = Authority::new("next").unwrap();
    std::fs::write(dir.path().join("ca.pem"), format!("{}{}", case.trusted.pem(), next.pem()))
        .unwrap();
    assert!(broker.renewed());
    assert_eq!(broker.certificates().iter().filter(|(name, _)| name == "ca").count(), 2);
    std::fs::remove_file(dir.path().join("ca.pem")).unwrap();
    assert!(!broker.renewed() && broker.unfit().is_some());
    assert!(broker.credentials().is_ok());
}
