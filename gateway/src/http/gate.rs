//! The gate before every route: host name, set-up, who asks, and where a change comes from. What it
//! lets through carries a [`Caller`]; what that caller may do is each route's [`Scope`].

use super::auth::{Accounts, Caller};
use super::request::Request;
use crate::problem::{Code, Problem};
use std::net::IpAddr;

/// What the gate knows of the site.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Names beside addresses and `localhost` under which the page may be asked for.
    pub(super) hosts: Vec<String>,
    /// Whether connections are TLS.
    pub(super) tls: bool,
}

impl Site {
    /// The session cookie's name. Only a Secure cookie may be called `__Host-…`, and browsers keep
    /// no Secure cookie of plain HTTP.
    pub(super) fn cookie(&self) -> &'static str {
        if self.tls { "__Host-session" } else { "session" }
    }

    /// The name of the cookie of a browser in which somebody has logged in.
    pub(super) fn browser_cookie(&self) -> &'static str {
        if self.tls { "__Host-browser" } else { "browser" }
    }

    /// The attributes of every cookie of ours.
    pub(super) fn attributes(&self) -> &'static str {
        if self.tls {
            "; Path=/; HttpOnly; SameSite=Strict; Secure"
        } else {
            "; Path=/; HttpOnly; SameSite=Strict"
        }
    }

    /// Whether a request names a host of ours.
    ///
    /// # Errors
    /// [`Code::HostNotAllowed`].
    pub(super) fn host_fits(&self, host: Option<&str>) -> Result<(), Problem> {
        match host {
            Some(host) if self.knows(host) => Ok(()),
            Some(host) => {
                let host: String = host.chars().take(80).collect();
                Err(Problem::new(Code::HostNotAllowed, host))
            }
            None => Err(Problem::new(Code::HostNotAllowed, "the request names no host, or two")),
        }
    }

    /// A rebound name is never an address, so every address is fine; names must be known.
    fn knows(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        bare.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// Paths that a person needs before anybody knows them.
fn open(path: &str) -> bool {
    path == "/login" || path.starts_with("/assets/") || path.starts_with("/language/")
}

/// Decides who asks.
///
/// # Errors
/// [`Code::HostNotAllowed`], [`Code::SetUpNeeded`], [`Code::Unauthenticated`], [`Code::CrossSite`].
pub(super) fn admit(
    site: &Site,
    accounts: &Accounts,
    request: &Request,
) -> Result<Caller, Problem> {
    if request.path == "/healthz" {
        return Ok(Caller::Nobody);
    }
    site.host_fits(request.host.as_deref())?;
    let path = request.path.as_str();
    let set_up = path == "/setup" || (path != "/login" && open(path));
    if !accounts.is_set_up() && !set_up {
        return Err(Code::SetUpNeeded.into());
    }
    let caller = caller(site, accounts, request)?;
    if request.mutates() {
        same_site(&caller, request)?;
    }
    // A form that comes too late for its session gets the login with what was typed in it.
    let form = request.mutates() && super::page::Act::of(path).is_some();
    match caller {
        Caller::Nobody if !set_up && !open(path) && !form => Err(Code::Unauthenticated.into()),
        caller => Ok(caller),
    }
}

fn caller(site: &Site, accounts: &Accounts, request: &Request) -> Result<Caller, Problem> {
    if let Some(given) = request.header("authorization") {
        let token = given.split_once(' ').filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let device = token.and_then(|(_, token)| accounts.device(token.trim()));
        return device.map(Caller::Device).ok_or_else(|| Code::Unauthenticated.into());
    }
    // An open event stream is nobody at the screen, nor is a script that asks again and again, as for the log.
    let script = request.path == "/v1/events" || request.header("sec-fetch-dest") == Some("empty");
    let touch = request.mutates() || !script;
    let person = request.cookie(site.cookie()).and_then(|c| accounts.person(c, touch));
    Ok(person.map_or(Caller::Nobody, Caller::Person))
}

/// A browser says where a change comes from; only our own pages may order one. A token's holder is
/// no browser, and one that says it is stays out.
fn same_site(caller: &Caller, request: &Request) -> Result<(), Problem> {
    let fetch = request.header("sec-fetch-site");
    let origin = request.header("origin");
    let ours = match (fetch, origin) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => origin
            .split_once("://")
            .is_some_and(|(_, host)| Some(host.to_ascii_lowercase()) == request.authority),
        (None, None) => matches!(caller, Caller::Device(_)),
    };
    if !ours {
        return Err(Code::CrossSite.into());
    }
    match caller {
        Caller::Person(person) if request.is_api() => {
            token_fits(&person.csrf, request.header("x-csrf-token"))
        }
        Caller::Person(_) | Caller::Device(_) | Caller::Nobody => Ok(()),
    }
}

/// Compares a page's token in constant time.
///
/// # Errors
/// [`Code::CrossSite`].
pub(super) fn token_fits(want: &str, given: Option<&str>) -> Result<(), Problem> {
    let given = given.unwrap_or("");
    let differ = want.bytes().zip(given.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    if want.len() == given.len() && differ == 0 { Ok(()) } else { Err(Code::CrossSite.into()) }
}
