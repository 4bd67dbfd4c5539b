//! What a line can be connected to, and the port through which it is.
//!
//! [`Connect`] is one of the ports of the daemon: in production [`SystemConnect`] opens serial ports
//! and TCP connections, in the simulation another implementor hands out in-memory pipes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio_serial::SerialStream;

/// Anything that carries bytes both ways.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Parity of a serial character.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even: the default of Modbus over serial line.
    Even,
    /// Odd.
    Odd,
}

/// Where a line leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A serial port of this machine.
    Serial {
        /// Its device file: `/dev/ttyUSB0`.
        path: String,
        /// Bits per second, 300 to 4,000,000.
        baud: u32,
        /// Data bits of a character: 5 to 8.
        data_bits: u8,
        /// The parity bit.
        parity: Parity,
        /// Stop bits: 1 or 2.
        stop_bits: u8,
    },
    /// A TCP server: a meter, a Modbus gateway or a serial device server.
    Tcp {
        /// Name or address.
        host: String,
        /// Port; 502 is Modbus TCP's own.
        port: u16,
    },
}

impl Target {
    /// Bits of one character on the wire, start and parity included; 0 for TCP.
    #[must_use]
    pub fn character_bits(&self) -> u32 {
        match self {
            Self::Serial { data_bits, parity, stop_bits, .. } => {
                let parity_bits = match parity {
                    Parity::None => 0,
                    Parity::Even | Parity::Odd => 1,
                };
                1 + u32::from(*data_bits) + parity_bits + u32::from(*stop_bits)
            }
            Self::Tcp { .. } => 0,
        }
    }
}

impl std::fmt::Display for Target {
    /// `/dev/ttyUSB0` or `host:port`: the name by which a line's far end is known.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serial { path, .. } => f.write_str(path),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// A connected transport. TCP and serial stand here by name, so that a poll of the common kinds is
/// not a call through a table; everything else is boxed.
pub enum Stream {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A serial port.
    Serial(SerialStream),
    /// Anything else: a pipe in memory, a pseudo terminal.
    Boxed(Box<dyn Transport>),
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Stream::Tcp",
            Self::Serial(_) => "Stream::Serial",
            Self::Boxed(_) => "Stream::Boxed",
        })
    }
}

impl Stream {
    /// Takes any other transport.
    pub fn boxed(transport: impl Transport + 'static) -> Self {
        Self::Boxed(Box::new(transport))
    }

    /// As `AsyncRead::poll_read`, without the pin: every transport here is `Unpin`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Serial(serial) => Pin::new(serial).poll_read(cx, buf),
            Self::Boxed(other) => Pin::new(other.as_mut()).poll_read(cx, buf),
        }
    }

    /// As `AsyncWrite::poll_write`.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Serial(serial) => Pin::new(serial).poll_write(cx, bytes),
            Self::Boxed(other) => Pin::new(other.as_mut()).poll_write(cx, bytes),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Self::poll_read(self.get_mut(), cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write(self.get_mut(), cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Serial(serial) => Pin::new(serial).poll_flush(cx),
            Self::Boxed(other) => Pin::new(other.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Serial(serial) => Pin::new(serial).poll_shutdown(cx),
            Self::Boxed(other) => Pin::new(other.as_mut()).poll_shutdown(cx),
        }
    }
}

/// The future of a connection attempt.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send + 'a>>;

/// The port through which lines are connected: the system's in production, the simulated field's in
/// the simulation. It has no timeout of its own: the line's `connect_timeout` bounds it.
pub trait Connect: Send + Sync {
    /// Opens a target.
    ///
    /// # Errors
    /// Why it could not be opened; the line reports it and tries again with backoff.
    fn connect<'a>(&'a self, target: &'a Target) -> Connecting<'a>;

    /// Opens a socket for datagrams to and from a device.
    ///
    /// # Errors
    /// Why it could not be opened; `Unsupported` where a field has no such devices.
    fn datagrams<'a>(&'a self, host: &'a str, port: u16) -> OpeningDatagrams<'a> {
        let _ = (host, port);
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    /// Opens a socket that devices send datagrams to by themselves.
    ///
    /// # Errors
    /// Why it could not be opened; `Unsupported` where a field has no such devices.
    fn listen(&self, at: SocketAddr) -> OpeningListener<'_> {
        let _ = at;
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// The future of a socket that devices send to.
pub type OpeningListener<'a> = Pin<Box<dyn Future<Output = io::Result<UdpSocket>> + Send + 'a>>;

/// The future of a socket for datagrams that is being opened.
pub type OpeningDatagrams<'a> = Pin<Box<dyn Future<Output = io::Result<Datagrams>> + Send + 'a>>;

/// Datagrams to one device. What comes from elsewhere is handed up with its address: the caller
/// refuses and counts it.
#[derive(Debug)]
pub enum Datagrams {
    /// A UDP socket, not connected: the system would drop strangers' datagrams unseen.
    Udp {
        /// The socket.
        socket: UdpSocket,
        /// The device.
        far: SocketAddr,
    },
    /// Channels of the simulated field.
    Memory {
        /// To the device.
        to: mpsc::Sender<Vec<u8>>,
        /// From it, and from others.
        from: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
        /// The device.
        far: SocketAddr,
    },
}

impl Datagrams {
    /// The device's address.
    #[must_use]
    pub fn far(&self) -> SocketAddr {
        match self {
            Self::Udp { far, .. } | Self::Memory { far, .. } => *far,
        }
    }

    /// Sends a datagram to the device; one that finds no room is lost, as on a network.
    ///
    /// # Errors
    /// The system's.
    pub async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp { socket, far } => socket.send_to(datagram, far).await.map(drop),
            Self::Memory { to, .. } => {
                let _lost = to.try_send(datagram.to_vec());
                Ok(())
            }
        }
    }

    /// The next datagram, and whose it is. A longer one is cut to `into`.
    ///
    /// # Errors
    /// The system's.
    pub async fn receive(&mut self, into: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            Self::Udp { socket, .. } => socket.recv_from(into).await,
            Self::Memory { from, .. } => {
                let Some((whose, datagram)) = from.recv().await else {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                };
                Ok((copy(&datagram, into), whose))
            }
        }
    }

    /// A datagram that is here already; `None` where none is.
    pub fn try_receive(&mut self, into: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match self {
            Self::Udp { socket, .. } => socket.try_recv_from(into).ok(),
            Self::Memory { from, .. } => {
                let (whose, datagram) = from.try_recv().ok()?;
                Some((copy(&datagram, into), whose))
            }
        }
    }
}

fn copy(datagram: &[u8], into: &mut [u8]) -> usize {
    into.iter_mut().zip(datagram).map(|(place, byte)| *place = *byte).count()
}

/// Opens real serial ports and TCP connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemConnect;

impl Connect for SystemConnect {
    fn connect<'a>(&'a self, target: &'a Target) -> Connecting<'a> {
        Box::pin(async move {
            match target {
                Target::Serial { path, baud, data_bits, parity, stop_bits } => {
                    open_serial(path, *baud, *data_bits, *parity, *stop_bits).map(Stream::Serial)
                }
                Target::Tcp { host, port } => open_tcp(host, *port).await.map(Stream::Tcp),
            }
        })
    }

    fn datagrams<'a>(&'a self, host: &'a str, port: u16) -> OpeningDatagrams<'a> {
        Box::pin(async move {
            let mut addresses = tokio::net::lookup_host((host, port)).await?;
            let far = addresses.next().ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("the name {host} has no address"))
            })?;
            let any = if far.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).await?;
            Ok(Datagrams::Udp { socket, far })
        })
    }

    fn listen(&self, at: SocketAddr) -> OpeningListener<'_> {
        Box::pin(UdpSocket::bind(at))
    }
}

fn open_serial(
    path: &str,
    baud: u32,
    data_bits: u8,
    parity: Parity,
    stop_bits: u8,
) -> io::Result<SerialStream> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let data_bits = tokio_serial::DataBits::try_from(data_bits)
        .map_err(|()| wrong("data bits must be 5 to 8"))?;
    let stop_bits = tokio_serial::StopBits::try_from(stop_bits)
        .map_err(|()| wrong("stop bits must be 1 or 2"))?;
    let parity = match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let builder = tokio_serial::new(path, baud)
        .data_bits(data_bits)
        .parity(parity)
        .stop_bits(stop_bits)
        .flow_control(tokio_serial::FlowControl::None);
    SerialStream::open(&builder).map_err(io::Error::from)
}

/// Tries every address of the name in turn. `nodelay` because a request is one small segment that
/// must not wait; keepalive so that a firewall does not forget a connection that polls rarely.
async fn open_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut failure = None;
    for address in tokio::net::lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_keepalive(true)?;
        match socket.connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("the name {host} has no address"))
    }))
}
