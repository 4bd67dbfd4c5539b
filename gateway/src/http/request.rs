//! A request as the gate and the routes see it: read once, with bounds on everything.

use super::serve::Peer;
use crate::limits;
use crate::problem::{Code, Lang, Problem};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use warp::http::{HeaderMap, Method};
use warp::{Filter, Rejection, Stream};

/// Name of the cookie that keeps the language.
pub(super) const LANGUAGE_COOKIE: &str = "language";

/// A request without its body.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    /// Host name without the port; `None` when the request names none or two.
    pub(super) host: Option<String>,
    /// The same with the port.
    pub(super) authority: Option<String>,
    pub(super) peer: IpAddr,
    pub(super) lang: Lang,
}

impl Request {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// A cookie's value.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.headers, name)
    }

    /// Path and query.
    pub(super) fn address(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }

    /// Whether the request changes something.
    pub(super) fn mutates(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Whether a program asks, not a browser showing pages.
    pub(super) fn is_api(&self) -> bool {
        let path = self.path.as_str();
        path.starts_with("/v1/") || matches!(path, "/v1" | "/healthz" | "/readyz" | "/metrics")
    }

    /// Whether the body has this media type.
    pub(super) fn has_type(&self, media: &str) -> bool {
        let given = self.header("content-type").unwrap_or("");
        given.split(';').next().is_some_and(|t| t.trim().eq_ignore_ascii_case(media))
    }
}

fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all("cookie").into_iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Reads the request's head; never rejects.
pub(super) fn head() -> impl Filter<Extract = (Request,), Error = Infallible> + Clone {
    let query = warp::query::raw().or_else(|_| async { Ok::<_, Infallible>((String::new(),)) });
    let authority = warp::host::optional().or_else(|_| async { Ok::<_, Infallible>((None,)) });
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(authority)
        .and(warp::ext::optional::<Peer>())
        .map(
            |method,
             path: warp::path::FullPath,
             query,
             headers: HeaderMap,
             authority,
             peer: Option<Peer>| {
                let chosen = match cookie(&headers, LANGUAGE_COOKIE) {
                    Some("zh") => Some(Lang::Zh),
                    Some("en") => Some(Lang::En),
                    Some(_) | None => None,
                };
                let accepted = || {
                    headers.get("accept-language").and_then(|v| Lang::accepted(v.to_str().ok()?))
                };
                let lang = chosen.or_else(accepted).unwrap_or(Lang::Zh);
                let authority: Option<warp::host::Authority> = authority;
                Request {
                    method,
                    path: path.as_str().to_owned(),
                    query,
                    host: authority.as_ref().map(|a| a.host().to_ascii_lowercase()),
                    authority: authority.map(|a| a.as_str().to_ascii_lowercase()),
                    peer: peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Peer(ip)| ip),
                    headers,
                    lang,
                }
            },
        )
}

/// A refusal on its way to the one `recover`.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Problem);

impl warp::reject::Reject for Refused {}

/// Makes a rejection of a problem.
pub(super) fn refuse(problem: impl Into<Problem>) -> Rejection {
    warp::reject::custom(Refused(problem.into()))
}

/// Reads a body of at most [`limits::HTTP_BODY_MAX`] within [`limits::HTTP_BODY_TIMEOUT`], chunked or not.
pub(super) fn body() -> impl Filter<Extract = (Bytes,), Error = Rejection> + Clone {
    body_up_to(limits::HTTP_BODY_MAX)
}

/// The same with a bound of its own.
pub(super) fn body_up_to(most: u64) -> impl Filter<Extract = (Bytes,), Error = Rejection> + Clone {
    body_within(most, limits::HTTP_BODY_TIMEOUT)
}

/// The same, within a time of its own.
pub(super) fn body_within(
    most: u64,
    time: std::time::Duration,
) -> impl Filter<Extract = (Bytes,), Error = Rejection> + Clone {
    warp::body::stream().and_then(move |stream| async move {
        let whole = tokio::time::timeout(time, collect(stream, most)).await;
        whole.unwrap_or_else(|_| Err(Code::RequestTimeout.into())).map_err(refuse)
    })
}

async fn collect<B: Buf>(
    stream: impl Stream<Item = Result<B, warp::Error>>,
    most: u64,
) -> Result<Bytes, Problem> {
    let mut stream = pin!(stream);
    let mut whole = BytesMut::new();
    while let Some(part) = poll_fn(|cx| stream.as_mut().poll_next(cx)).await {
        let mut part = part.map_err(|fault| Problem::new(Code::BadRequest, fault.to_string()))?;
        let size = whole.len().saturating_add(part.remaining());
        if u64::try_from(size).is_ok_and(|size| size > most) {
            return Err(Code::PayloadTooLarge.into());
        }
        whole.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    Ok(whole.freeze())
}

/// The fields of a query or a form, each at most once, none unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Parses `a=1&b=2`.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for a field that is not in `known` or stands twice.
    pub(super) fn parse(text: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if !known.contains(&name.as_ref()) {
                let all = known.join(", ");
                let detail = format!("unknown parameter {name:?}; known here: {all}");
                return Err(Problem::new(Code::BadRequest, detail));
            }
            if fields.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Problem::new(Code::BadRequest, format!("{name} is given twice")));
            }
        }
        Ok(Self(fields))
    }

    /// All fields.
    pub(super) fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// A field's text; an empty field of a form counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A field that parses, or is absent.
    ///
    /// # Errors
    /// [`Code::BadRequest`] with the parser's own sentence.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        let wrong =
            |fault: T::Err| Problem::new(Code::BadRequest, format!("parameter {name}: {fault}"));
        self.get(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    /// `limit`, from 1 to [`limits::HTTP_ROWS_MAX`].
    ///
    /// # Errors
    /// [`Code::BadRequest`] outside of it.
    pub(super) fn limit(&self, usual: usize) -> Result<usize, Problem> {
        match self.parsed::<usize>("limit")? {
            None => Ok(usual),
            Some(limit) if (1..=limits::HTTP_ROWS_MAX).contains(&limit) => Ok(limit),
            Some(limit) => Err(Problem::new(
                Code::BadRequest,
                format!("limit must be from 1 to {}, not {limit}", limits::HTTP_ROWS_MAX),
            )),
        }
    }
}
