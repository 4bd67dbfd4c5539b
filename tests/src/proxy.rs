//! A TCP proxy between a client and a real broker that knows where MQTT packets begin and end, and cuts the first
//! connection in the middle of one: after so many bytes of an event's PUBLISH on its way to the broker, or of the
//! broker's acknowledgement on its way back. Later connections it leaves alone.
//!
//! It passes whole packets on, and must never change or reorder a byte before the cut.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// MQTT 5.0, 2.1.2: the packet types that matter here.
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;

/// Where the first connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Only so many bytes of the n-th event's PUBLISH (from 1) reach the broker.
    Publish(u32, usize),
    /// Only so many bytes of the acknowledgement of the n-th event reach the client.
    Acknowledgement(u32, usize),
}

/// A running proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens, on loopback.
    pub port: u16,
    struck: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy to a port on loopback.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(to: u16, cut: Cut) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let struck = Arc::new(AtomicBool::new(false));
        let mark = struck.clone();
        let task = tokio::spawn(async move {
            let mut plan = Some(cut);
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                // One client, one connection at a time: the next one comes after this one's end.
                if carry(near, far, plan.take()).await {
                    mark.store(true, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { port, struck, task })
    }

    /// Whether the connection was cut: false when the packet is shorter than the cut's place.
    #[must_use]
    pub fn struck(&self) -> bool {
        self.struck.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came from one side and is no whole packet yet.
#[derive(Debug, Default)]
struct Packets(Vec<u8>);

impl Packets {
    /// The next whole packet.
    fn next(&mut self) -> Option<Vec<u8>> {
        // MQTT 5.0, 2.1.4: the remaining length, seven bits a byte, the lowest first.
        let (mut length, mut head) = (0_usize, 1);
        loop {
            let byte = *self.0.get(head)?;
            length |= usize::from(byte & 0x7f) << (7 * (head - 1));
            head += 1;
            if byte & 0x80 == 0 || head > 4 {
                break;
            }
        }
        let whole = head + length;
        (self.0.len() >= whole).then(|| self.0.drain(..whole).collect())
    }
}

fn kind(packet: &[u8]) -> u8 {
    packet.first().map_or(0, |first| first >> 4)
}

/// What follows the fixed header.
fn body(packet: &[u8]) -> &[u8] {
    let length = packet.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count();
    packet.get(2 + length..).unwrap_or_default()
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// The packet id of an event's PUBLISH; `None` for everything else.
fn event(packet: &[u8]) -> Option<u16> {
    let body = body(packet);
    let topic = usize::from(number(body, 0)?);
    let is_event = body.get(2..2 + topic)?.windows(5).any(|part| part == b"/evt/");
    (kind(packet) == PUBLISH && is_event).then(|| number(body, 2 + topic))?
}

/// Carries one connection to its end; true when it was cut.
async fn carry(mut near: TcpStream, mut far: TcpStream, plan: Option<Cut>) -> bool {
    let (mut up, mut down) = (Packets::default(), Packets::default());
    let (mut events, mut asked) = (0, BTreeSet::new());
    let (mut from_near, mut from_far) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! { biased;
            read = near.read(&mut from_near) => match read {
                Ok(length @ 1..) => up.0.extend_from_slice(&from_near[..length]),
                Ok(0) | Err(_) => return false,
            },
            read = far.read(&mut from_far) => match read {
                Ok(length @ 1..) => down.0.extend_from_slice(&from_far[..length]),
                Ok(0) | Err(_) => return false,
            },
        }
        while let Some(packet) = up.next() {
            let mut goes = packet.len();
            if let Some(id) = event(&packet) {
                events += 1;
                match plan {
                    Some(Cut::Publish(n, bytes)) if n == events => goes = bytes.min(goes),
                    Some(Cut::Acknowledgement(n, _)) if n == events => {
                        asked.insert(id);
                    }
                    Some(Cut::Publish(..) | Cut::Acknowledgement(..)) | None => {}
                }
            }
            if far.write_all(&packet[..goes]).await.is_err() || goes < packet.len() {
                return goes < packet.len();
            }
        }
        while let Some(packet) = down.next() {
            let mut goes = packet.len();
            let answered = (kind(&packet) == PUBACK).then(|| number(body(&packet), 0)).flatten();
            if let (Some(Cut::Acknowledgement(_, bytes)), Some(id)) = (plan, answered)
                && asked.contains(&id)
            {
                goes = bytes.min(goes);
            }
            if near.write_all(&packet[..goes]).await.is_err() || goes < packet.len() {
                return goes < packet.len();
            }
        }
    }
}
