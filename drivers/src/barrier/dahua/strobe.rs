//! The strobe (道闸) command of `trafficSnap.cgi`. The camera has no position to read back.

use crate::barrier::{GateCommand, Request, Verdict};

/// The command; the plate is not sent along: it would stand in the camera's access log.
#[must_use]
pub fn command(channel: u32, command: GateCommand) -> Request {
    let path = match command {
        GateCommand::Open => format!(
            "/cgi-bin/trafficSnap.cgi?action=openStrobe&channel={channel}&info.openType=Normal"
        ),
        GateCommand::Close => {
            format!("/cgi-bin/trafficSnap.cgi?action=closeStrobe&channel={channel}")
        }
    };
    Request { method: "GET", path, media: "", body: String::new() }
}

/// What the camera says to it: `OK`, or `Error` with lines behind it.
#[must_use]
pub fn verdict(status: u16, body: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(body.get(..body.len().min(200)).unwrap_or_default());
    let text = text.trim();
    match status {
        401 => Verdict::Credentials,
        200..=299 if text.is_empty() || text.eq_ignore_ascii_case("ok") => Verdict::Accepted,
        404 | 501 => Verdict::NotSupported,
        _ => {
            let words: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
            Verdict::Refused(format!("HTTP {status} {words}").trim_end().to_owned())
        }
    }
}
