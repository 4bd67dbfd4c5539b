//! Requests to cameras and barriers: HTTP/1.1 with Digest or Basic (RFC 7616, RFC 7617), and
//! Vzenith's TCP channel. One connection a request; nothing is repeated here but the one request that
//! a Digest challenge asks for.

use crate::limits;
use blockgate_drivers::barrier::vzenith::tcp;
use blockgate_drivers::barrier::{Request, Verdict};
use blockgate_drivers::transport::{Connect, Target};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use md5::Digest as _;
use std::fmt::Write as _;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Whom we are to the device.
#[derive(Clone)]
pub struct Login {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(…)")
    }
}

/// What a device answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Bytes,
}

/// Sends a request; a Digest challenge is answered once.
///
/// # Errors
/// When the device cannot be reached, does not answer in time, or answers too much. It may have acted.
pub async fn send(
    connect: &dyn Connect,
    target: &Target,
    login: Option<&Login>,
    request: &Request,
) -> io::Result<Answered> {
    let (answered, challenge) = once(connect, target, request, None).await?;
    let (401, Some(login), Some(challenge)) = (answered.status, login, challenge) else {
        return Ok(answered);
    };
    let Some(header) = authorization(login, request.method, &request.path, &challenge, &cnonce()?)
    else {
        return Ok(answered);
    };
    Ok(once(connect, target, request, Some(header)).await?.0)
}

async fn once(
    connect: &dyn Connect,
    target: &Target,
    request: &Request,
    authorization: Option<String>,
) -> io::Result<(Answered, Option<String>)> {
    let exchange = async {
        let stream = TokioIo::new(connect.connect(target).await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(io::Error::other)?;
        let mut head = hyper::Request::builder()
            .method(request.method)
            .uri(&request.path)
            .header("host", target.to_string())
            .header("connection", "close");
        if !request.media.is_empty() {
            head = head.header("content-type", request.media);
        }
        if let Some(authorization) = authorization {
            head = head.header("authorization", authorization);
        }
        let body = Full::new(Bytes::from(request.body.clone()));
        let request = head.body(body).map_err(io::Error::other)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            let challenges = response.headers().get_all("www-authenticate");
            let texts: Vec<String> =
                challenges.iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
            let digest =
                texts.iter().find(|t| t.get(..6).is_some_and(|k| k.eq_ignore_ascii_case("digest")));
            let challenge = digest.or_else(|| texts.first()).cloned();
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), limits::DEVICE_ANSWER_MAX);
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok((Answered { status, body }, challenge))
        };
        tokio::pin!(answer, connection);
        tokio::select! { biased;
            answered = &mut answer => answered,
            ended = &mut connection => match ended {
                // The answer may be read already; it decides.
                Ok(()) => answer.await,
                Err(fault) => Err(io::Error::other(fault)),
            },
        }
    };
    tokio::time::timeout(limits::DEVICE_TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn cnonce() -> io::Result<String> {
    let mut bytes = [0; 8];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| io::Error::other("no random numbers"))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn field<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    let mut rest = challenge;
    // Values in quotes may hold commas: qop="auth,auth-int".
    while let Some((key, behind)) = rest.split_once('=') {
        let key = key.rsplit([',', ' ']).next().unwrap_or_default().trim();
        let (value, after) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = after;
    }
    None
}

/// The `Authorization` header that a challenge wants; `None` for one that we cannot answer.
fn authorization(
    login: &Login,
    method: &str,
    path: &str,
    challenge: &str,
    cnonce: &str,
) -> Option<String> {
    let kind = challenge.split(' ').next().unwrap_or_default();
    if kind.eq_ignore_ascii_case("basic") {
        use base64::Engine as _;
        let pair = format!("{}:{}", login.user, login.password);
        return Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)));
    }
    if !kind.eq_ignore_ascii_case("digest") {
        return None;
    }
    let (realm, nonce) = (field(challenge, "realm")?, field(challenge, "nonce")?);
    let algorithm = field(challenge, "algorithm");
    let sum: fn(&str) -> String = match algorithm.map(str::to_ascii_uppercase).as_deref() {
        None | Some("MD5") => |text| hex(&md5::Md5::digest(text.as_bytes())),
        Some("SHA-256") => {
            |text| hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
        }
        Some(_) => return None,
    };
    let first = sum(&format!("{}:{realm}:{}", login.user, login.password));
    let second = sum(&format!("{method}:{path}"));
    let auth = field(challenge, "qop").is_some_and(|q| q.split(',').any(|q| q.trim() == "auth"));
    let response = if auth {
        sum(&format!("{first}:{nonce}:00000001:{cnonce}:auth:{second}"))
    } else {
        sum(&format!("{first}:{nonce}:{second}"))
    };
    let mut header = format!(
        "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", response=\"{response}\"",
        login.user
    );
    if auth {
        let _ = write!(header, ", qop=auth, nc=00000001, cnonce=\"{cnonce}\"");
    }
    if let Some(algorithm) = algorithm {
        let _ = write!(header, ", algorithm={algorithm}");
    }
    if let Some(opaque) = field(challenge, "opaque") {
        let _ = write!(header, ", opaque=\"{opaque}\"");
    }
    Some(header)
}

/// Opens a Vzenith barrier on its TCP channel and reads the verdict.
///
/// # Errors
/// As [`send`].
pub async fn vzenith_open(connect: &dyn Connect, target: &Target) -> io::Result<Verdict> {
    let exchange = async {
        let mut stream = connect.connect(target).await?;
        stream.write_all(&tcp::open()).await?;
        stream.flush().await?;
        let (mut decoder, mut buffer) = (tcp::Decoder::default(), [0; 4096]);
        loop {
            while let Some(frame) = decoder.take().map_err(io::Error::other)? {
                if let tcp::Frame::Json(body) = frame
                    && let Ok(tcp::Message::Reply { verdict, .. }) = tcp::read(&body)
                {
                    return Ok(verdict);
                }
            }
            match stream.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => decoder.push(buffer.get(..n).unwrap_or_default()),
            }
        }
    };
    tokio::time::timeout(limits::DEVICE_TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // RFC 7616, 3.9.1.
        let login = Login { user: "Mufasa".to_owned(), password: "Circle of Life".to_owned() };
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        let challenge = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let header =
                authorization(&login, "GET", "/dir/index.html", &challenge(algorithm), cnonce);
            assert!(header.unwrap().contains(&format!("response=\"{response}\"")), "{algorithm}");
        }
        // RFC 2617 without qop, and Basic.
        let old =
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        let login = Login { user: "Mufasa".to_owned(), password: "Circle Of Life".to_owned() };
        let header = authorization(&login, "GET", "/dir/index.html", old, "").unwrap();
        assert!(header.contains("response=\"670fd8c2df070c60b045671b8b24ff02\""), "{header}");
        let basic = authorization(&login, "GET", "/", "Basic realm=\"x\"", "").unwrap();
        assert!(basic.starts_with("Basic TXVmYXNhOk"), "{basic}");
        assert_eq!(authorization(&login, "GET", "/", "Negotiate", ""), None);
        assert_eq!(authorization(&login, "GET", "/", "Digest nonsense", ""), None);
    }
}
