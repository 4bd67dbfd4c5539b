//! An HTTP client of a few lines: one request, one connection, plain HTTP on loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status; 0 when the connection ended without one.
    pub status: u16,
    /// Status line and header fields as they came.
    pub head: String,
    /// The body, its transfer coding undone.
    pub body: String,
}

/// Sends a request and reads the answer to its end.
///
/// # Errors
/// When nobody listens, or the connection breaks.
pub fn ask(
    to: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Reply> {
    ask_bytes(to, method, path, fields, body.as_bytes()).map(|(reply, _)| reply)
}

/// As [`ask`], with bodies of any bytes; the answer's beside its text.
///
/// # Errors
/// When nobody listens, or the connection breaks.
pub fn ask_bytes(
    to: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<(Reply, Vec<u8>)> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
    let mut body = bytes.get(split + 4..).unwrap_or_default().to_vec();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let text = String::from_utf8_lossy(&body).into_owned();
    Ok((Reply { status, head, body: text }, body))
}

/// RFC 9112, 7.1: size in hexadecimal, the bytes, and so on until a size of zero.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else { break };
        let Some(chunk) = rest.get(end + 2..end + 2 + size).filter(|c| !c.is_empty()) else {
            break;
        };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}
