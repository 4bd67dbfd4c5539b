//! The accept loop under warp: TLS beyond loopback, a limit on every wait and every count, and a
//! stop that ends within [`limits::HTTP_STOP_TIMEOUT`] even with event streams open. warp's own
//! server has no TLS and no header timeout.

use super::barrier::Barrier;
use super::certificate::Certificate;
use crate::config::HttpConfig;
use crate::limits;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use warp::{Filter, Rejection, Reply};

/// The address that a request came from, as an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A bound listener with its certificate.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Arc<Certificate>>,
}

impl Server {
    /// Takes a bound listener. TLS is used when a certificate is named, and always beyond loopback.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn open(config: &HttpConfig, listener: TcpListener, state_dir: &Path) -> io::Result<Self> {
        let tls =
            config.cert.is_some() || config.key.is_some() || !config.listen.ip().is_loopback();
        let certificate = if tls { Some(Certificate::open(config, state_dir)?) } else { None };
        let address = listener.local_addr()?;
        if let Some(certificate) = &certificate {
            tracing::info!(%address, fingerprint = %certificate.fingerprint(), "page over HTTPS");
        } else {
            tracing::info!(%address, "page over plain HTTP, on loopback only");
        }
        Ok(Self { listener, address, certificate })
    }

    /// The address, with the port that the system chose for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate; `None` on plain HTTP.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// When the TLS setup cannot be made.
    pub(super) async fn serve<F>(
        self,
        filter: F,
        fast: Option<Barrier>,
        stop: CancellationToken,
    ) -> io::Result<()>
    where
        F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
        F::Extract: Reply,
        F::Future: Send,
    {
        let tls = match &self.certificate {
            Some(certificate) => Some(TlsAcceptor::from(certificate.server_config()?)),
            None => None,
        };
        let grace = GracefulShutdown::new();
        let slots = Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX));
        let peers = Peers::default();
        loop {
            let (socket, peer) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(fault) => {
                        // Out of file descriptors, most of all: wait for some to come free.
                        tracing::warn!(%fault, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
            let Some(place) = peers.enter(peer.ip()) else { continue };
            let connection = Connection { socket, peer: peer.ip(), _slot: slot, _place: place };
            let (filter, fast) = (filter.clone(), fast.clone());
            tokio::spawn(connection.run(tls.clone(), filter, fast, grace.watcher()));
        }
        drop(self.listener);
        if tokio::time::timeout(limits::HTTP_STOP_TIMEOUT, grace.shutdown()).await.is_err() {
            tracing::warn!("connections were still open at the stop and were cut");
        }
        Ok(())
    }
}

struct Connection {
    socket: TcpStream,
    peer: IpAddr,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

impl Connection {
    async fn run<F>(
        self,
        tls: Option<TlsAcceptor>,
        filter: F,
        fast: Option<Barrier>,
        watcher: Watcher,
    ) where
        F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
        F::Extract: Reply,
        F::Future: Send,
    {
        let _ = self.socket.set_nodelay(true);
        let Some(tls) = tls else {
            return converse(self.socket, self.peer, false, filter, fast, watcher).await;
        };
        let shaken = tokio::time::timeout(limits::HTTP_HANDSHAKE_TIMEOUT, tls.accept(self.socket));
        if let Ok(Ok(stream)) = shaken.await {
            let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            converse(stream, self.peer, h2, filter, fast, watcher).await;
        }
    }
}

enum Way<F, C> {
    Fast(F),
    Common(C),
}

/// Serves one connection. The protocol is known (by ALPN, or HTTP/1.1 on plain TCP), so that no
/// silent client can wait before the header timeout begins.
async fn converse<S, F>(
    stream: S,
    peer: IpAddr,
    h2: bool,
    filter: F,
    fast: Option<Barrier>,
    watcher: Watcher,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Filter<Error = Rejection> + Clone + Send + Sync + 'static,
    F::Extract: Reply,
    F::Future: Send,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER_TIMEOUT)
        .max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(32)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(Duration::from_secs(20));
    let builder = if h2 { builder.http2_only() } else { builder.http1_only() };
    let routes = TowerToHyperService::new(warp::service(filter));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let way = match &fast {
            Some(fast) if Barrier::takes(&request) => Way::Fast(fast.clone().answer(request, peer)),
            Some(_) | None => {
                request.extensions_mut().insert(Peer(peer));
                Way::Common(routes.call(request))
            }
        };
        async move {
            match way {
                Way::Fast(answer) => Ok(answer.await),
                Way::Common(answer) => answer.await,
            }
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(fault) = watcher.watch(connection).await {
        tracing::debug!(%fault, "a connection ended early");
    }
}

/// Connections by address, at most [`limits::HTTP_CONNECTIONS_PER_ADDRESS_MAX`] each.
#[derive(Debug, Clone, Default)]
struct Peers(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One counted connection; gives its place back when dropped.
#[derive(Debug)]
struct Place(Peers, IpAddr);

impl Peers {
    fn enter(&self, peer: IpAddr) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_insert(0);
        if *count >= limits::HTTP_CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), peer))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn started(
        stop: &CancellationToken,
    ) -> (SocketAddr, tokio::task::JoinHandle<io::Result<()>>) {
        let config = HttpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            cert: None,
            key: None,
            hosts: Vec::new(),
            lock_after: HttpConfig::LOCK_AFTER,
        };
        let listener = crate::http::bind(&config).await.unwrap();
        let server = Server::open(&config, listener, Path::new("/nonexistent")).unwrap();
        let address = server.address();
        let hello = warp::path("hello").map(|| "hello");
        (address, tokio::spawn(server.serve(hello, None, stop.clone())))
    }

    #[tokio::test(start_paused = true)]
    async fn a_half_sent_header_and_a_silent_connection_are_closed() {
        let stop = CancellationToken::new();
        let (address, task) = started(&stop).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        let mut silent = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nX-").await.unwrap();
        let began = tokio::time::Instant::now();
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).await.unwrap();
        silent.read_to_end(&mut rest).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
        assert!(began.elapsed() < limits::HTTP_HEADER_TIMEOUT * 2, "{:?}", began.elapsed());
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_address_gets_only_its_share_of_connections() {
        let stop = CancellationToken::new();
        let (address, task) = started(&stop).await;
        let mut held = Vec::new();
        for _ in 0..limits::HTTP_CONNECTIONS_PER_ADDRESS_MAX {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut start = [0; 12];
            socket.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"HTTP/1.1 200");
            held.push(socket);
        }
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut rest = Vec::new();
        // Closed with or without a reset, but never answered.
        let _ = refused.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        stop.cancel();
        task.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn with_a_certificate_the_page_speaks_tls_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (cert, key) = (dir.path().join("a.crt"), dir.path().join("a.key"));
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let config = HttpConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            cert: Some(cert),
            key: Some(key),
            hosts: Vec::new(),
            lock_after: HttpConfig::LOCK_AFTER,
        };
        let stop = CancellationToken::new();
        let listener = crate::http::bind(&config).await.unwrap();
        let server = Server::open(&config, listener, dir.path()).unwrap();
        let address = server.address();
        let hello = warp::path("hello").map(|| "hello");
        let task = tokio::spawn(server.serve(hello, None, stop.clone()));

        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut tls =
            tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, socket).await.unwrap();
        let request = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        tls.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"hello"));

        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.windows(5).any(|w| w == b"hello"), "no plain HTTP where TLS is spoken");
        stop.cancel();
        task.await.unwrap().unwrap();
    }
}
