//! What barriers ask and cameras push. These two routes are answered before warp's: a car stands
//! there. A request that a browser or a logged-in person makes goes the common way and ends in the
//! same functions.

use super::answer::{Desk, content};
use super::auth::{Caller, Device, Refusal, Scope, Shown};

use super::request::Fields;
use super::{Response, Shared};
use crate::lanes::parking::{areas_json, stays_json, unresolved_json};
use crate::lanes::push::{self, NotTaken};
use crate::limits;
use crate::problem::{Code, Lang, Problem};
use blockgate_drivers::barrier::Vendor;
use blockgate_types::{CameraId, ClockState, LaneId, Plate, Time};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode};

const PAYMENT_STATUS: &str = "/v1/payment-status";
const CAMERAS: &str = "/v1/cameras/";

/// The way of devices around warp.
#[derive(Clone)]
pub(super) struct Barrier {
    pub(super) desk: Arc<Desk>,
}

impl Barrier {
    /// Whether a request is a device's and of one of these routes.
    pub(super) fn takes(request: &hyper::Request<Incoming>) -> bool {
        let path = request.uri().path();
        let headers = request.headers();
        *request.method() == Method::POST
            && (path == PAYMENT_STATUS || path.starts_with(CAMERAS))
            && !headers.contains_key("cookie")
            && !headers.contains_key("origin")
            && !headers.contains_key("sec-fetch-site")
    }

    /// Answers it.
    pub(super) async fn answer(self, request: hyper::Request<Incoming>, peer: IpAddr) -> Response {
        let (head, body) = request.into_parts();
        let lang =
            head.headers.get("accept-language").and_then(|v| Lang::accepted(v.to_str().ok()?));
        let answered = self.device(&head, body, peer).await;
        let mut response = answered.unwrap_or_else(|problem| {
            let document = problem.document(lang.unwrap_or(Lang::Zh), head.uri.path()).to_string();
            let mut response = content(document, "application/problem+json");
            let status = StatusCode::from_u16(problem.code.status());
            *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert("retry-after", HeaderValue::from(seconds));
            }
            if problem.code == Code::Unauthenticated {
                let how = HeaderValue::from_static("Bearer");
                response.headers_mut().insert("www-authenticate", how);
            }
            response
        });
        let headers = response.headers_mut();
        headers.insert("cache-control", HeaderValue::from_static("no-store"));
        headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
        response
    }

    async fn device(
        &self,
        head: &warp::http::request::Parts,
        body: Incoming,
        peer: IpAddr,
    ) -> Result<Response, Problem> {
        let shared = &self.desk.shared;
        self.desk.site.host_fits(host(head).as_deref())?;
        if !shared.accounts.is_set_up() {
            return Err(Code::SetUpNeeded.into());
        }
        let asks = head.uri.path() == PAYMENT_STATUS;
        let most = if asks { limits::QUESTION_BODY_MAX } else { limits::CAMERA_BODY_MAX };
        let text = |name: &str| header(&head.headers, name);
        // A known token is counted before its body is read: a flood costs no memory.
        let body = collect(body, text("content-length"), most).await?;
        let query = head.uri.query().unwrap_or_default();
        let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
        let shown = Shown {
            method: head.method.as_str(),
            target: head.uri.path_and_query().map_or(head.uri.path(), |target| target.as_str()),
            authorization: text("authorization"),
            query_token: token.as_ref().map(|(_, token)| token.as_ref()).filter(|_| !asks),
            peer,
            body: &body,
        };
        let now = shared.clock.now();
        let device = shared.accounts.devices().admit(&shown, now, shared.status.started);
        let device = device.map_err(|refusal| not_admitted(shared, refusal, now))?;
        let scope = if asks { Scope::PaymentStatus } else { Scope::Camera };
        if !device.scopes.contains(&scope) {
            let detail = format!("it needs the scope {}", scope.text());
            return Err(Problem::new(Code::Forbidden, detail));
        }
        if asks {
            return payment_status(shared, &device.name, &device.lanes, &body);
        }
        let path = head.uri.path().strip_prefix(CAMERAS).unwrap_or_default();
        let (camera, vendor) = path.split_once('/').ok_or(Code::NotFound)?;
        let camera = camera.parse::<CameraId>().map_err(|_| Code::NotFound)?;
        let vendor = vendor.parse::<Vendor>().map_err(|_| Code::NotFound)?;
        let media = text("content-type").unwrap_or_default();
        push(shared, &device.cameras, &camera, vendor, media, &body).await
    }
}

/// The host that a request names; `None` for none or two.
fn host(head: &warp::http::request::Parts) -> Option<String> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.host().to_ascii_lowercase());
    }
    let mut all = head.headers.get_all("host").iter();
    let (one, more) = (all.next()?, all.next());
    let text = one.to_str().ok().filter(|_| more.is_none())?;
    let authority: warp::http::uri::Authority = text.parse().ok()?;
    Some(authority.host().to_ascii_lowercase())
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn collect(mut body: Incoming, told: Option<&str>, most: u64) -> Result<Bytes, Problem> {
    if told.and_then(|text| text.parse::<u64>().ok()).is_some_and(|told| told > most) {
        return Err(Code::PayloadTooLarge.into());
    }
    let whole = async {
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.map_err(|fault| Problem::new(Code::BadRequest, fault.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let have = first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len();
            if u64::try_from(have).is_ok_and(|have| have > most) {
                return Err(Code::PayloadTooLarge.into());
            }
            match &first {
                None => first = Some(data),
                Some(_) => rest.extend_from_slice(&data),
            }
        }
        // Nearly always all came at once, and nothing is copied.
        let first = first.unwrap_or_default();
        if rest.is_empty() {
            return Ok(first);
        }
        let mut all = BytesMut::with_capacity(first.len() + rest.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&rest);
        Ok(all.freeze())
    };
    tokio::time::timeout(limits::HTTP_BODY_TIMEOUT, whole)
        .await
        .unwrap_or_else(|_| Err(Code::RequestTimeout.into()))
}

fn not_admitted(shared: &Shared, refusal: Refusal, now: Time) -> Problem {
    match refusal {
        Refusal::Unknown => Code::Unauthenticated.into(),
        Refusal::Replayed(holder) => {
            tracing::error!(%holder, "a recorded request of a device was sent again");
            shared.lanes.replayed(&holder, now);
            Problem::new(
                Code::Unauthenticated,
                "the request is not new: its time or nonce was used",
            )
        }
        Refusal::TooOften(seconds) => {
            Problem { code: Code::TooOften, detail: String::new(), retry_after: Some(seconds) }
        }
    }
}

/// The caller's name, and the lanes or cameras that it may name; a person may name all.
pub(super) fn caller_of(caller: &Caller) -> (String, BTreeSet<String>, BTreeSet<String>) {
    match caller {
        Caller::Device(device) => {
            let Device { name, lanes, cameras, .. } = &**device;
            (name.clone(), lanes.clone(), cameras.clone())
        }
        Caller::Person(_) | Caller::Nobody => (caller.actor(), BTreeSet::new(), BTreeSet::new()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'q> {
    #[serde(borrow)]
    lane: Cow<'q, str>,
    #[serde(borrow, default)]
    plate: Option<Cow<'q, str>>,
    #[serde(borrow, default)]
    ticket: Option<Cow<'q, str>>,
    #[serde(default)]
    at: Option<Time>,
}

#[derive(Serialize)]
struct Told<'t> {
    decision: &'t str,
    amount_fen: i64,
    currency: &'t str,
    reason: &'t str,
    stay_id: Option<&'t str>,
    display: Display<'t>,
    valid_until: Option<Time>,
    as_of: Time,
    source: &'t str,
    clock: &'t str,
}

#[derive(Serialize)]
struct Display<'t> {
    zh: &'t str,
    en: &'t str,
}

/// What a barrier is told, from memory.
///
/// # Errors
/// A question that cannot be read, a lane that is not the caller's, too many that wait for the journal.
pub(super) fn payment_status(
    shared: &Shared,
    by: &str,
    lanes: &BTreeSet<String>,
    body: &[u8],
) -> Result<Response, Problem> {
    let bad = |fault: String| Problem::new(Code::BadRequest, fault);
    let question: Question<'_> =
        serde_json::from_slice(body).map_err(|fault| bad(format!("the question: {fault}")))?;
    let lane = LaneId::new(&question.lane).map_err(|fault| bad(format!("lane: {fault}")))?;
    if !lanes.is_empty() && !lanes.contains(lane.as_str()) {
        return Err(Problem::new(Code::Forbidden, "this token asks for other lanes"));
    }
    let plate = question.plate.as_deref().filter(|text| !text.trim().is_empty());
    // A plate that cannot be one is a car that was not read; the text is not repeated anywhere.
    let plate = plate.and_then(|text| Plate::new(text).ok());
    let ticket = question.ticket.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if ticket.is_some_and(|text| text.len() > limits::TICKET_BYTES_MAX) {
        return Err(bad(format!("ticket: longer than {} bytes", limits::TICKET_BYTES_MAX)));
    }
    let now = shared.clock.now();
    // Later is a preview; earlier than a clock may be off is not believed: it would be cheaper.
    let at = question.at.filter(|at| *at > now.minus(limits::CAMERA_CLOCK_OFF)).unwrap_or(now);
    let advice = shared.lanes.advise(&lane, plate.as_ref(), ticket, at);
    if !shared.lanes.asks.note(&lane, plate.as_ref(), by, &advice, now) {
        return Err(Problem { code: Code::TooOften, detail: String::new(), retry_after: Some(1) });
    }
    let told = Told {
        decision: advice.decision.text(),
        amount_fen: advice.amount_fen,
        currency: &advice.currency,
        reason: &advice.reason,
        stay_id: advice.stay.as_deref(),
        display: Display { zh: &advice.display_zh, en: &advice.display_en },
        valid_until: advice.valid_until,
        as_of: now,
        source: advice.source,
        clock: match shared.clock.state() {
            ClockState::Synced => "synced",
            ClockState::Holdover => "holdover",
            ClockState::Unsynced => "unsynced",
        },
    };
    let body = serde_json::to_vec(&told).map_err(|_| Code::Internal)?;
    Ok(content(body, "application/json"))
}

/// A camera's push, answered in the vendor's form.
///
/// # Errors
/// What is wrong with it; nothing opens.
pub(super) async fn push(
    shared: &Arc<Shared>,
    cameras: &BTreeSet<String>,
    camera: &CameraId,
    vendor: Vendor,
    media: &str,
    body: &Bytes,
) -> Result<Response, Problem> {
    if !cameras.is_empty() && !cameras.contains(camera.as_str()) {
        return Err(Problem::new(Code::Forbidden, "this token pushes for other cameras"));
    }
    // On a task of its own: a camera that hangs up does not leave a barrier without its outcome.
    let (owned, camera, media, body) =
        (shared.clone(), camera.clone(), media.to_owned(), body.clone());
    let taken = tokio::spawn(async move {
        push::take(&owned.lanes, &*owned.clock, &camera, vendor, &media, &body).await
    });
    let taken = taken.await.map_err(|_| Code::Internal)?;
    let answer = taken.map_err(|fault| match fault {
        NotTaken::NoCamera => Problem::from(Code::NotFound),
        NotTaken::OtherVendor => Problem::new(Code::WrongCamera, "it speaks another protocol"),
        NotTaken::OtherSerial => Problem::new(Code::WrongCamera, "it has another serial number"),
        NotTaken::Bad(fault) => Problem::new(Code::BadPush, fault.to_string()),
    })?;
    Ok(content(answer.body, answer.media))
}

/// What is asked about the car park.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParkingAsk {
    /// Open stays.
    Stays,
    /// Spaces by area.
    Areas,
    /// What a person should look at.
    Unresolved,
}

/// Answers a question about the car park.
///
/// # Errors
/// [`Code::NotFound`] in a block without one.
pub(super) fn parking(shared: &Shared, ask: ParkingAsk, query: &str) -> Result<Value, Problem> {
    let known: &[&str] = match ask {
        ParkingAsk::Stays => &["after", "limit"],
        ParkingAsk::Areas | ParkingAsk::Unresolved => &[],
    };
    let fields = Fields::parse(query.as_bytes(), known)?;
    let view = shared.lanes.view();
    let view = view.parking().ok_or_else(|| {
        Problem::new(Code::NotFound, "this block has no car park: the config has no [parking]")
    })?;
    Ok(match ask {
        ParkingAsk::Stays => {
            let limit = fields.limit(100)?;
            stays_json(view, shared.clock.now(), fields.get("after"), limit)
        }
        ParkingAsk::Areas => areas_json(view),
        ParkingAsk::Unresolved => unresolved_json(view),
    })
}

/// Lanes, their cameras and barriers.
pub(super) fn lanes_json(shared: &Shared) -> Value {
    let lanes = shared.lanes.config().barriers.keys().filter_map(|id| lane_json(shared, id));
    json!({ "lanes": lanes.collect::<Vec<_>>() })
}

/// One lane; `None` where there is none.
pub(super) fn lane_json(shared: &Shared, id: &LaneId) -> Option<Value> {
    use crate::config::lanes::{FailSafe, OpenBy};
    let lanes = &shared.lanes;
    let config = lanes.config().barriers.get(id)?;
    let silent = lanes.silent(shared.clock.now(), shared.status.started);
    let heard = lanes.cameras().clone();
    let cameras = lanes.config().cameras.iter().filter(|(_, camera)| camera.lane == *id);
    let cameras = cameras.map(|(camera, config)| {
        let seen = heard.get(camera).cloned().unwrap_or_default();
        json!({
            "id": camera, "vendor": config.vendor.text(), "heard": seen.heard, "cars": seen.cars,
            "repeated": seen.repeated, "bad": seen.bad, "clock_off_ms": seen.clock_off_ms,
            "silent": silent.get(camera).copied().unwrap_or(false),
        })
    });
    let barrier = lanes.barriers().get(id).cloned().unwrap_or_default();
    Some(json!({
        "id": id,
        "cameras": cameras.collect::<Vec<_>>(),
        "barrier": {
            "vendor": config.vendor.text(),
            "open": match config.open { OpenBy::Answer => "answer", OpenBy::Command => "command" },
            "fail_safe": match config.fail_safe {
                FailSafe::Open => "open", FailSafe::Ask => "ask", FailSafe::Hold => "hold",
            },
            "position": lanes.position(id).text(),
            "opened": barrier.opened,
            "failed": barrier.failed,
            "last": barrier.last.map(|(at, outcome)| json!({ "at": at, "outcome": outcome })),
        },
        "in_trouble": lanes.disk_in_trouble(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_of_the_contract_is_read_and_others_are_not() {
        let read = |text: &str| serde_json::from_str::<Question<'_>>(text).is_ok();
        assert!(read(r#"{"lane":"n-in","plate":"粤B12345","at":"2026-03-01T08:00:00+08:00"}"#));
        assert!(read(r#"{"lane":"n-in"}"#) && read(r#"{"lane":"n-in","plate":null}"#));
        assert!(!read(r#"{"lane":"n-in","plates":"x"}"#) && !read(r#"{"plate":"x"}"#));
        assert!(!read(&format!("{{\"lane\":{}", "[".repeat(3000))));
    }
}
