//! Style, script and icon, inside the program. The name carries the content's hash: browsers keep
//! them for ever, and an upgrade is seen at once.

use crate::http::answer::{Answered, content};
use crate::problem::Code;
use ring::digest;
use std::sync::LazyLock;
use warp::http::HeaderValue;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// The names of the assets.
pub(super) struct Names {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

pub(super) static NAMES: LazyLock<Names> = LazyLock::new(|| Names {
    style: name("page", "css", STYLE),
    script: name("page", "js", SCRIPT),
    icon: name("icon", "svg", ICON),
});

fn name(stem: &str, ending: &str, content: &str) -> String {
    let hash = digest::digest(&digest::SHA256, content.as_bytes());
    let short: String = hash.as_ref().iter().take(5).map(|b| format!("{b:02x}")).collect();
    format!("{stem}.{short}.{ending}")
}

/// An asset by name; an old name is not found.
pub(super) fn serve(name: &str) -> Answered {
    let names = &*NAMES;
    let mut response = if name == names.style {
        content(STYLE, "text/css; charset=utf-8")
    } else if name == names.script {
        content(SCRIPT, "text/javascript; charset=utf-8")
    } else if name == names.icon {
        content(ICON, "image/svg+xml")
    } else {
        return Err(Code::NotFound.into());
    };
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert("cache-control", forever);
    Ok(response)
}
