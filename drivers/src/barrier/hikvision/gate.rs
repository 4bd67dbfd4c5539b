//! The barrier's command and position. Which path a model knows differs: the next one is tried only
//! after `notSupport`, never after a timeout, because the first may have opened.

use crate::barrier::xml::{self, Tree};
use crate::barrier::{GateCommand, Position, Request, Verdict};

/// The ways to command the barrier of a channel, in the order in which they are tried.
#[must_use]
pub fn ways(channel: u32, command: GateCommand) -> Vec<Request> {
    let word = match command {
        GateCommand::Open => "open",
        GateCommand::Close => "close",
    };
    let put = |path: String, body: String| Request {
        method: "PUT",
        path,
        media: "application/xml",
        body: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}"),
    };
    let gate = format!("<BarrierGate><ctrlMode>{word}</ctrlMode></BarrierGate>");
    let mut ways = vec![
        put(format!("/ISAPI/Parking/channels/{channel}/barrierGate"), gate.clone()),
        put(
            format!("/ISAPI/Traffic/channels/{channel}/entranceAndExit/barrierGate/1/control"),
            gate.clone(),
        ),
        put(format!("/ISAPI/Traffic/channels/{channel}/barrierControl"), gate),
    ];
    if command == GateCommand::Open {
        let output = "<IOPortData><outputState>high</outputState></IOPortData>";
        ways.push(put("/ISAPI/System/IO/outputs/1/trigger".to_owned(), output.to_owned()));
    }
    ways
}

/// What the camera says to a command. `Accepted` comes with a locked gate too.
#[must_use]
pub fn verdict(status: u16, body: &[u8]) -> Verdict {
    if status == 401 {
        return Verdict::Credentials;
    }
    let text = xml::decode(body, "");
    let tree = text.as_ref().ok().and_then(|text| Tree::parse(text.trim_start()).ok());
    let field = |name: &str| tree.as_ref().and_then(|t| t.text(name)).unwrap_or_default();
    match (field("statusCode"), field("subStatusCode")) {
        ("1", _) => Verdict::Accepted,
        (_, sub) if sub.eq_ignore_ascii_case("notSupport") => Verdict::NotSupported,
        ("", _) if status == 404 || status == 405 => Verdict::NotSupported,
        ("", _) if (200..300).contains(&status) => Verdict::Accepted,
        ("", _) => Verdict::Refused(format!("HTTP {status}")),
        (code, sub) => {
            let words: String = format!("statusCode {code} {} {sub}", field("statusString"))
                .chars()
                .take(120)
                .collect();
            Verdict::Refused(words.trim_end().to_owned())
        }
    }
}

/// Asks where the arm is.
#[must_use]
pub fn ask_position(channel: u32) -> Request {
    let path = format!("/ISAPI/Parking/channels/{channel}/barrierGate/barrierGateStatus");
    Request { method: "GET", path, media: "", body: String::new() }
}

/// Where the arm is; `None` when the answer does not say it.
#[must_use]
pub fn position(body: &[u8]) -> Option<Position> {
    let text = xml::decode(body, "").ok()?;
    let tree = Tree::parse(text.trim_start()).ok()?;
    match tree.leaf("barrierGateStatus").or_else(|| tree.leaf("status"))? {
        "0" => Some(Position::Unknown),
        "1" => Some(Position::Closed),
        "2" => Some(Position::Open),
        _ => None,
    }
}
