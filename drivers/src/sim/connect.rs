//! How a master reaches the simulated lines.

use super::barrier::SimBarrier;
use super::door::SimController;
use super::line::SimLine;
use super::terminal::SimTerminal;
use crate::profile::SerialDefaults;
use crate::transport::{Connect, Connecting, Datagrams, OpeningDatagrams, Stream, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Bytes that an in-memory pipe holds each way: more than any frame, pipelined ones included.
const PIPE: usize = 4096;
/// Datagrams that wait in an in-memory socket; more are lost.
const DATAGRAMS: usize = 64;

#[derive(Default)]
struct Inner {
    lines: BTreeMap<String, SimLine>,
    barriers: BTreeMap<String, SimBarrier>,
    controllers: BTreeMap<String, SimController>,
    terminals: BTreeMap<String, SimTerminal>,
    refused: BTreeSet<String>,
    served: BTreeMap<String, AbortHandle>,
    tasks: JoinSet<()>,
}

/// The `Connect` port of the simulation: targets are simulated lines, by the name that
/// [`Target`] prints (`/dev/ttyS1`, `10.0.0.7:502`). A new connection to a line ends the one before,
/// as with a serial device server that serves one client at a time. The tasks that serve end with
/// the last clone.
#[derive(Clone, Default)]
pub struct SimConnect(Arc<Mutex<Inner>>);

impl std::fmt::Debug for SimConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimConnect").field("lines", &self.lock().lines.keys()).finish()
    }
}

impl SimConnect {
    /// A field without lines: every target is refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a line behind a target's name.
    #[must_use]
    pub fn with(self, target: &str, line: SimLine) -> Self {
        self.lock().lines.insert(target.to_owned(), line);
        self
    }

    /// Puts a barrier behind a target's name.
    #[must_use]
    pub fn with_barrier(self, target: &str, barrier: SimBarrier) -> Self {
        self.lock().barriers.insert(target.to_owned(), barrier);
        self
    }

    /// Puts a door controller behind `host:port`.
    #[must_use]
    pub fn with_controller(self, target: &str, controller: SimController) -> Self {
        self.lock().controllers.insert(target.to_owned(), controller);
        self
    }

    /// Puts an access terminal behind `host:port`.
    #[must_use]
    pub fn with_terminal(self, target: &str, terminal: SimTerminal) -> Self {
        self.lock().terminals.insert(target.to_owned(), terminal);
        self
    }

    /// Refuses further connections to a target and ends the present one, or lets them through again.
    pub fn refuse(&self, target: &str, refuse: bool) {
        let mut inner = self.lock();
        if refuse {
            inner.refused.insert(target.to_owned());
            if let Some(task) = inner.served.remove(target) {
                task.abort();
            }
        } else {
            inner.refused.remove(target);
        }
    }

    /// Ends the present connection to a target; the next one is let through.
    pub fn hang_up(&self, target: &str) {
        if let Some(task) = self.lock().served.remove(target) {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connect for SimConnect {
    fn connect<'a>(&'a self, target: &'a Target) -> Connecting<'a> {
        Box::pin(async move {
            let name = target.to_string();
            let mut inner = self.lock();
            let barrier = inner.barriers.get(&name).filter(|_| !inner.refused.contains(&name));
            if let Some(barrier) = barrier.cloned() {
                let (near, far) = tokio::io::duplex(PIPE);
                while inner.tasks.try_join_next().is_some() {}
                inner.tasks.spawn(async move {
                    let _closed = barrier.serve(far).await;
                });
                return Ok(Stream::boxed(near));
            }
            if let Some(terminal) = inner.terminals.get(&name).cloned() {
                let (near, far) = tokio::io::duplex(PIPE);
                while inner.tasks.try_join_next().is_some() {}
                inner.tasks.spawn(async move {
                    let _closed = terminal.serve(far).await;
                });
                return Ok(Stream::boxed(near));
            }
            let line = inner.lines.get(&name).filter(|_| !inner.refused.contains(&name)).cloned();
            let Some(line) = line else {
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused"));
            };
            line.tune(match target {
                Target::Serial { baud, data_bits, parity, stop_bits, .. } => Some(SerialDefaults {
                    baud: *baud,
                    data_bits: *data_bits,
                    parity: *parity,
                    stop_bits: *stop_bits,
                }),
                Target::Tcp { .. } => None,
            });
            let (near, far) = tokio::io::duplex(PIPE);
            if let Some(before) = inner.served.remove(&name) {
                before.abort();
            }
            while inner.tasks.try_join_next().is_some() {}
            let task = inner.tasks.spawn(async move {
                // An error of an in-memory pipe is the other side's closing.
                let _closed = line.serve(far).await;
            });
            inner.served.insert(name, task);
            Ok(Stream::boxed(near))
        })
    }

    fn datagrams<'a>(&'a self, host: &'a str, port: u16) -> OpeningDatagrams<'a> {
        Box::pin(async move {
            let mut inner = self.lock();
            let controller = inner.controllers.get(&format!("{host}:{port}")).cloned();
            let controller = controller.ok_or(io::ErrorKind::HostUnreachable)?;
            let host: IpAddr = host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let far = SocketAddr::new(host, port);
            let (to, mut asked) = mpsc::channel::<Vec<u8>>(DATAGRAMS);
            let (answers, from) = mpsc::channel(DATAGRAMS);
            controller.wired(answers.clone());
            inner.tasks.spawn(async move {
                while let Some(datagram) = asked.recv().await {
                    let delay = controller.delay();
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    if let Some(answer) = controller.answer(&datagram) {
                        let _full = answers.try_send((far, answer.to_vec()));
                    }
                }
            });
            Ok(Datagrams::Memory { to, from, far })
        })
    }
}

/// Serves a simulated controller on a socket, until the future is dropped.
///
/// # Errors
/// Those of the socket.
pub async fn serve_udp(socket: UdpSocket, controller: SimController) -> io::Result<()> {
    let mut buffer = [0; 128];
    loop {
        let (n, whose) = socket.recv_from(&mut buffer).await?;
        if let Some(answer) = controller.answer(buffer.get(..n).unwrap_or_default()) {
            socket.send_to(&answer, whose).await?;
        }
    }
}

/// Serves a simulated line to every client of a listener, until the future is dropped.
///
/// # Errors
/// Those of accepting connections.
pub async fn serve_tcp(listener: TcpListener, line: SimLine) -> io::Result<()> {
    let mut clients = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        while clients.try_join_next().is_some() {}
        let line = line.clone();
        clients.spawn(async move {
            // A client that goes away is no fault of the simulated field.
            let _closed = line.serve(stream).await;
        });
    }
}
