//! A person at the page, without scripts: logs in, opens a screen, fills a form in and sends it, as a
//! browser would. The page's own tokens come from the form that was opened.

use crate::page::{self, Reply};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A logged-in person.
#[derive(Debug)]
pub struct Person {
    page: SocketAddr,
    cookie: String,
}

fn encoded(fields: &BTreeMap<String, String>) -> String {
    let one = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
            out
        })
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", one(name), one(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The value of an attribute in a tag's text.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let plain = value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    Some(plain.replace("&amp;", "&"))
}

/// Where an answer leads.
#[must_use]
pub fn location(reply: &Reply) -> Option<String> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    };
    reply.head.lines().find_map(field)
}

impl Person {
    /// Logs in.
    ///
    /// # Panics
    /// When the page does not let them.
    #[must_use]
    pub fn log_in(page: SocketAddr, user: &str, password: &str) -> Self {
        let fields: BTreeMap<String, String> = [("user", user), ("password", password)]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        let reply = post(page, "/login", "", &encoded(&fields));
        assert_eq!(reply.status, 303, "{reply:?}");
        let cookie = reply.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let value = value.trim().split(';').next()?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.to_owned())
        });
        Self { page, cookie: cookie.expect("a cookie") }
    }

    /// Opens a screen, in English.
    ///
    /// # Panics
    /// When the page does not answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        let fields = [("Cookie", self.cookie.as_str()), ("Accept-Language", "en")];
        page::ask(self.page, "GET", path, &fields, "").expect("the page")
    }

    /// A screen's HTML.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn see(&self, path: &str) -> String {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body
    }

    /// Opens `screen`, fills its form for `action` in, and says what would be sent.
    ///
    /// # Panics
    /// When there is no such form.
    #[must_use]
    pub fn fill(&self, screen: &str, action: &str, typed: &[(&str, &str)]) -> String {
        filled(&self.see(screen), action, typed)
    }

    /// Sends what [`Person::fill`] said.
    ///
    /// # Panics
    /// When the page does not answer.
    #[must_use]
    pub fn send(&self, action: &str, body: &str) -> Reply {
        post(self.page, action, &self.cookie, body)
    }

    /// Sends a form and gets a file: the answer and its bytes.
    ///
    /// # Panics
    /// When the page does not answer.
    #[must_use]
    pub fn fetch(&self, action: &str, media: &str, body: &[u8]) -> (Reply, Vec<u8>) {
        let origin = format!("http://{}", self.page);
        let fields = [
            ("Content-Type", media),
            ("Origin", origin.as_str()),
            ("Cookie", self.cookie.as_str()),
            ("Accept-Language", "en"),
        ];
        page::ask_bytes(self.page, "POST", action, &fields, body).expect("the page")
    }

    /// Fills a form in and sends it; where it leads.
    ///
    /// # Panics
    /// When it comes back with a fault.
    #[must_use]
    pub fn submit(&self, screen: &str, action: &str, typed: &[(&str, &str)]) -> String {
        let reply = self.send(action, &self.fill(screen, action, typed));
        assert_eq!(reply.status, 303, "{action}: {}", reply.body);
        location(&reply).expect("a redirect")
    }
}

/// Fills the form for `action` of a screen that is open.
///
/// # Panics
/// When it has no such form.
#[must_use]
pub fn filled(html: &str, action: &str, typed: &[(&str, &str)]) -> String {
    let (_, form) = html
        .split_once(&format!("<form method=\"post\" action=\"{action}\">"))
        .unwrap_or_else(|| panic!("no form for {action}: {html}"));
    let (form, _) = form.split_once("</form>").expect("a form's end");
    let mut fields = BTreeMap::new();
    for tag in form.split('<').filter(|tag| tag.starts_with("input")) {
        if let Some(name) = attribute(tag, "name") {
            fields.insert(name, attribute(tag, "value").unwrap_or_default());
        }
    }
    for (name, value) in typed {
        fields.insert((*name).to_owned(), (*value).to_owned());
    }
    encoded(&fields)
}

fn post(page: SocketAddr, path: &str, cookie: &str, body: &str) -> Reply {
    let origin = format!("http://{page}");
    let fields = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Origin", origin.as_str()),
        ("Cookie", cookie),
        ("Accept-Language", "en"),
    ];
    page::ask(page, "POST", path, &fields, body).expect("the page")
}
