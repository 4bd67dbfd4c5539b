//! The API's answers. Reads come from the board and the archive; the only change is a command.

use super::auth::{Caller, Login, Origin};
use super::barrier;
use super::certificate::Certificate;
use super::commands::{self, Answers};
use super::events::{self, Ring};
use super::gate::Site;
use super::request::{Fields, LANGUAGE_COOKIE, Request};
use super::routes::Ask;
use super::{Shared, archive, metrics, page, wire};
use crate::problem::{Code, Problem};
use crate::scans::Wanted;
use crate::store::trees::BillFilter;
use blockgate_types::{MeterId, RegisterName, Role, Span, Time};
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::Reply;
use warp::http::{HeaderValue, StatusCode};
use warp::reply::Response;

/// The OpenAPI 3.1 document; a test holds it against the routes.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// For how long a browser is told to keep that somebody logged in with it: half a year.
const BROWSER_AGE_S: u32 = 15_552_000;

/// Rows of a query without `limit`.
const ROWS: usize = 100;

/// What every answer needs.
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    pub(super) site: Site,
    pub(super) certificate: Option<Arc<Certificate>>,
    pub(super) ring: Arc<Ring>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) answers: Arc<Answers>,
    pub(super) stop: CancellationToken,
}

pub(super) type Answered = Result<Response, Problem>;

/// A response that carries a problem; [`page::finish`] writes it out.
pub(super) fn refused(problem: Problem) -> Response {
    let mut response = Response::default();
    let status = StatusCode::from_u16(problem.code.status());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(problem);
    response
}

/// A body with its media type.
pub(super) fn content(body: impl Into<Bytes>, media: &'static str) -> Response {
    let mut response = Response::new(body.into().into());
    response.headers_mut().insert("content-type", HeaderValue::from_static(media));
    response
}

/// The same as a file to keep, under a name of ours.
pub(super) fn attachment(body: impl Into<Bytes>, media: &'static str, name: &str) -> Response {
    let mut response = content(body, media);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert("content-disposition", value);
    }
    response
}

fn json_of(value: &Value) -> Response {
    content(value.to_string(), "application/json")
}

/// Sends the browser elsewhere; `to` is a path of ours.
pub(super) fn see_other(to: &str) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    // A path from a form can hold what no header may.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert("location", to);
    response
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append("set-cookie", value);
    }
    response
}

/// Runs a query of the archive off the runtime's threads.
///
/// # Errors
/// [`Code::Internal`], the reason in the log.
pub(super) async fn query<T: Send + 'static>(
    desk: &Desk,
    ask: impl FnOnce(&dyn archive::Archive) -> Result<T, archive::Fault> + Send + 'static,
) -> Result<T, Problem> {
    let trees = desk.shared.trees.clone();
    let done = tokio::task::spawn_blocking(move || ask(trees.as_ref())).await;
    done.map_err(|fault| fault.to_string())
        .and_then(|d| d.map_err(|fault| fault.to_string()))
        .map_err(|fault| {
            tracing::error!(%fault, "a query failed");
            Code::Internal.into()
        })
}

/// Answers what an admitted and allowed caller asks.
///
/// # Errors
/// The problem to show instead.
pub(super) async fn answer(desk: &Desk, request: &Request, caller: &Caller, ask: Ask) -> Answered {
    let shared = &desk.shared;
    let no_query = |answered: Answered| Fields::parse(request.query.as_bytes(), &[]).and(answered);
    match ask {
        Ask::Health => Ok(json_of(&json!({ "status": "ok" }))),
        Ask::Ready => ready(desk).await,
        Ask::Metrics => {
            let text = metrics::render(shared, desk.certificate.as_deref());
            Ok(content(text, "text/plain; version=0.0.4; charset=utf-8"))
        }
        Ask::OpenApi => Ok(content(OPENAPI, "application/json")),
        Ask::Status => no_query(Ok(json_of(&wire::status_json(shared)))),
        Ask::Meters => {
            let all: Vec<Value> = wire::meters(shared).iter().map(wire::meter_json).collect();
            no_query(Ok(json_of(&json!({ "meters": all }))))
        }
        Ask::Meter(id) => {
            let view = wire::meter(shared, &id).ok_or(Code::NotFound)?;
            no_query(Ok(json_of(&wire::meter_json(&view))))
        }
        Ask::History(id) => history(desk, request, id).await,
        Ask::Bills => bills(desk, request).await,
        Ask::Bill(id) => {
            let found = query(desk, move |trees| trees.bill(&id)).await?;
            let (seq, bill) = found.ok_or(Code::NotFound)?;
            no_query(Ok(json_of(&json!({ "seq": seq, "bill": bill }))))
        }
        Ask::Alarms => alarms(desk, request).await,
        Ask::Outbox => no_query(Ok(json_of(&wire::outbox_json(shared)))),
        Ask::Events => stream(desk, request, caller),
        Ask::Money(ask) => super::money::answer(desk, request, ask).await,
        Ask::PaymentStatus(body) => {
            let (by, lanes, _) = barrier::caller_of(caller);
            barrier::payment_status(shared, &by, &lanes, &body)
        }
        Ask::Camera(camera, vendor, body) => {
            let (_, _, cameras) = barrier::caller_of(caller);
            let media = request.header("content-type").unwrap_or_default();
            barrier::push(shared, &cameras, &camera, vendor, media, &body).await
        }
        Ask::Parking(ask) => Ok(json_of(&barrier::parking(shared, ask, &request.query)?)),
        Ask::Doors(ask) => Ok(json_of(&super::doors::answer(shared, &ask, &request.query)?)),
        Ask::DoorOpen(door, body) => {
            if !request.has_type("application/json") {
                return Err(Code::UnsupportedMediaType.into());
            }
            let done = commands::open_door(shared, caller, door, &body).await?;
            Ok(json_of(&done))
        }
        Ask::Lanes => no_query(Ok(json_of(&barrier::lanes_json(shared)))),
        Ask::Lane(id) => {
            let lane = barrier::lane_json(shared, &id).ok_or(Code::NotFound)?;
            no_query(Ok(json_of(&lane)))
        }
        Ask::Command(body) => {
            if !request.has_type("application/json") {
                return Err(Code::UnsupportedMediaType.into());
            }
            let key = request.header("idempotency-key");
            let done = commands::take(shared, &desk.answers, caller, key, &body).await?;
            Ok(json_of(&done))
        }
        Ask::Scans => no_query(Ok(json_of(&shared.scans.json()))),
        Ask::Scan(id) => {
            let scan = shared.scans.one(&id).ok_or(Code::NotFound)?;
            no_query(Ok(json_of(&scan)))
        }
        Ask::ScanBegin(body) => {
            if !request.has_type("application/json") {
                return Err(Code::UnsupportedMediaType.into());
            }
            let wanted: Wanted = serde_json::from_slice(&body)
                .map_err(|fault| Problem::new(Code::BadRequest, format!("the scan: {fault}")))?;
            Ok(json_of(&shared.scans.begin(&wanted)?))
        }
        Ask::ScanCancel(id) => Ok(json_of(&shared.scans.cancel(&id).ok_or(Code::NotFound)?)),
        Ask::Language(lang) => language(desk, request, &lang),
        Ask::Login(body) => {
            let fields = form(request, &body, &["user", "password", "next", "to", "kept"])?;
            let (user, password) = (fields.get("user"), fields.get("password"));
            let (user, password) = (user.unwrap_or(""), password.unwrap_or(""));
            let login = shared.accounts.log_in(origin(desk, request), user, password).await;
            shared.tell_accounts().await;
            let login = match login {
                Ok(login) => login,
                Err(problem) => return Ok(page::refused_login(desk, request, &problem, &fields)),
            };
            // The session that came with the login is over: none goes on under another name.
            if let Caller::Person(before) = caller {
                shared.accounts.log_out(before);
            }
            let person = shared.accounts.person(&login.cookie, true);
            if let Some(person) = person
                && let Some(resumed) = page::resume(desk, request, &person, &fields).await
            {
                return Ok(with_login(desk, resumed, &login));
            }
            Ok(entered(desk, &login, local(fields.get("next"))))
        }
        Ask::SetUp(body) => {
            let fields = form(request, &body, &["code", "password", "again"])?;
            let password = fields.get("password").unwrap_or("");
            if fields.get("again").unwrap_or("") != password {
                return Err(Problem::new(Code::BadRequest, "the two passwords differ"));
            }
            let code = fields.get("code").unwrap_or("");
            let login = shared.accounts.set_up(origin(desk, request), code, password).await?;
            Ok(entered(desk, &login, "/start"))
        }
        Ask::Logout(body) => {
            page_form(request, caller, &body, &[])?;
            if let Caller::Person(person) = caller {
                shared.accounts.log_out(person);
            }
            let gone = format!("{}=; Max-Age=0{}", desk.site.cookie(), desk.site.attributes());
            Ok(with_cookie(see_other("/login"), &gone))
        }
        Ask::BackupTry(body, _turn) => page::try_backup(desk, request, caller, body).await,
        Ask::Asset(_) | Ask::LoginPage | Ask::SetUpPage | Ask::Screen(_) | Ask::Act(..) => {
            page::answer(desk, request, caller, ask).await
        }
    }
}

/// A form's fields.
///
/// # Errors
/// [`Code::UnsupportedMediaType`], [`Code::BadRequest`].
pub(super) fn form(request: &Request, body: &[u8], known: &[&str]) -> Result<Fields, Problem> {
    if request.has_type("application/x-www-form-urlencoded") {
        Fields::parse(body, known)
    } else {
        Err(Code::UnsupportedMediaType.into())
    }
}

/// A form of a logged-in person's page, with the page's token checked.
///
/// # Errors
/// As [`form`]; [`Code::CrossSite`] for a wrong token, [`Code::Forbidden`] for who has no session.
pub(super) fn page_form(
    request: &Request,
    caller: &Caller,
    body: &[u8],
    known: &[&str],
) -> Result<Fields, Problem> {
    let Caller::Person(person) = caller else {
        return Err(Problem::new(
            Code::Forbidden,
            "the page's forms are for people; use /v1/commands",
        ));
    };
    let known: Vec<&str> = known.iter().copied().chain(["csrf"]).collect();
    let fields = form(request, body, &known)?;
    super::gate::token_fits(&person.csrf, fields.get("csrf"))?;
    Ok(fields)
}

/// A path of ours to go on to; never another site.
pub(super) fn local(next: Option<&str>) -> &str {
    match next {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') =>
        {
            path
        }
        Some(_) | None => "/",
    }
}

/// Where a login comes from.
fn origin<'r>(desk: &Desk, request: &'r Request) -> Origin<'r> {
    Origin { peer: request.peer, browser: request.cookie(desk.site.browser_cookie()) }
}

/// The cookies of a login: the session's, and the browser's own where it is new.
fn with_login(desk: &Desk, response: Response, login: &Login) -> Response {
    let (site, attributes) = (&desk.site, desk.site.attributes());
    let response =
        with_cookie(response, &format!("{}={}{attributes}", site.cookie(), login.cookie));
    match &login.browser {
        Some(known) => {
            let name = site.browser_cookie();
            with_cookie(response, &format!("{name}={known}; Max-Age={BROWSER_AGE_S}{attributes}"))
        }
        None => response,
    }
}

fn entered(desk: &Desk, login: &Login, next: &str) -> Response {
    with_login(desk, see_other(next), login)
}

fn language(desk: &Desk, request: &Request, lang: &str) -> Answered {
    if !matches!(lang, "zh" | "en") {
        return Err(Code::NotFound.into());
    }
    let fields = Fields::parse(request.query.as_bytes(), &["back"])?;
    let cookie = format!("{LANGUAGE_COOKIE}={lang}; Max-Age=31536000{}", desk.site.attributes());
    Ok(with_cookie(see_other(local(fields.get("back"))), &cookie))
}

/// Ready: the store answers. The cloud has no say in it.
async fn ready(desk: &Desk) -> Answered {
    match query(desk, |trees| trees.alarms(None, 1)).await {
        Ok(_) => Ok(json_of(&json!({ "status": "ready" }))),
        Err(_) => Err(Problem::new(Code::NotReady, "the store does not answer")),
    }
}

async fn history(desk: &Desk, request: &Request, id: MeterId) -> Answered {
    let known = ["register", "from", "to", "limit"];
    let fields = Fields::parse(request.query.as_bytes(), &known)?;
    let view = wire::meter(&desk.shared, &id).ok_or(Code::NotFound)?;
    let now = desk.shared.clock.now();
    let to: Time = fields.parsed("to")?.unwrap_or(now);
    let from: Time = fields.parsed("from")?.unwrap_or(to.minus(Span::from_hours(24)));
    if from > to {
        return Err(Problem::new(Code::BadRequest, "from must not be after to"));
    }
    let limit = fields.limit(crate::limits::HTTP_ROWS_MAX)?;
    let register = match fields.get("register") {
        Some(name) => RegisterName::new(name).map_err(|why| Problem::new(Code::BadRequest, why))?,
        None => first_billing(desk, &view).ok_or(Code::NotFound)?,
    };
    let unit = unit_of(desk, &view, &register);
    let asked = register.clone();
    let rows = query(desk, move |trees| trees.history(&id, &asked, from, to, limit)).await?;
    let rows: Vec<Value> =
        rows.iter().map(|(at, value)| json!({ "at": at, "value": value.to_string() })).collect();
    Ok(json_of(&json!({
        "meter": view.id, "register": register, "unit": unit, "from": from, "to": to, "readings": rows,
    })))
}

/// The meter's first billing register.
pub(super) fn first_billing(desk: &Desk, view: &wire::MeterView) -> Option<RegisterName> {
    let setup = desk.shared.setup();
    let wanted =
        setup.meters.get(&view.id).and_then(|m| m.registers.first()).map(|r| r.name.clone());
    let seen = || {
        let (_, values) = view.board.last.as_ref()?;
        values
            .iter()
            .find(|(spec, _)| spec.role == Role::Billing)
            .map(|(spec, _)| spec.name.clone())
    };
    wanted.or_else(seen)
}

/// A register's unit, as far as config or device say it.
pub(super) fn unit_of(
    desk: &Desk,
    view: &wire::MeterView,
    register: &RegisterName,
) -> Option<blockgate_types::Unit> {
    let setup = desk.shared.setup();
    let wanted = setup.meters.get(&view.id);
    let wanted =
        wanted.and_then(|m| m.registers.iter().find(|r| r.name == *register)).map(|r| r.unit);
    let seen = || {
        let (_, values) = view.board.last.as_ref()?;
        values.specs.iter().find(|s| s.name == *register).map(|s| s.unit)
    };
    wanted.or_else(seen)
}

async fn bills(desk: &Desk, request: &Request) -> Answered {
    let known = ["account", "item", "period_from", "after", "limit"];
    let fields = Fields::parse(request.query.as_bytes(), &known)?;
    let filter = BillFilter {
        account: fields.parsed("account")?,
        item: fields.parsed("item")?,
        period_from: fields.get("period_from").map(str::to_owned),
    };
    let (after, limit) = (fields.parsed::<u64>("after")?, fields.limit(ROWS)?);
    let rows = query(desk, move |trees| trees.bills(&filter, after, limit)).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|(seq, _)| *seq)).flatten();
    let rows: Vec<Value> =
        rows.iter().map(|(seq, bill)| json!({ "seq": seq, "bill": bill })).collect();
    Ok(json_of(&json!({ "bills": rows, "next_after": next })))
}

async fn alarms(desk: &Desk, request: &Request) -> Answered {
    let fields = Fields::parse(request.query.as_bytes(), &["after", "limit"])?;
    let (after, limit) = (fields.parsed::<u64>("after")?, fields.limit(ROWS)?);
    let rows = query(desk, move |trees| trees.alarms(after, limit)).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|(seq, _)| *seq)).flatten();
    let rows: Vec<Value> =
        rows.iter().map(|(seq, alarm)| json!({ "seq": seq, "alarm": alarm })).collect();
    let open: Vec<Value> = desk.shared.board.alarms().values().map(|alarm| json!(alarm)).collect();
    let budget = json!(*desk.shared.board.budget());
    let answer = json!({ "open": open, "changes": rows, "budget": budget, "next_after": next });
    Ok(json_of(&answer))
}

fn stream(desk: &Desk, request: &Request, caller: &Caller) -> Answered {
    let fields = Fields::parse(request.query.as_bytes(), &["meters", "durable"])?;
    let parse = |id: &str| {
        let wrong = |fault| Problem::new(Code::BadRequest, format!("parameter meters: {fault}"));
        id.parse::<MeterId>().map_err(wrong)
    };
    let meters = fields.all().get("meters").map(|text| text.split(',').filter(|id| !id.is_empty()));
    let wish = events::Wish {
        meters: meters.map(|ids| ids.map(parse).collect()).transpose()?,
        durable: fields.parsed::<bool>("durable")?.unwrap_or(true),
    };
    let last = match request.header("last-event-id") {
        None | Some("") => None,
        Some(id) => Some(id.parse::<u64>().map_err(|_| {
            Problem::new(Code::BadRequest, "Last-Event-ID must be a sequence number")
        })?),
    };
    let place = desk.streams.clone().try_acquire_owned().map_err(|_| Code::TooManyStreams)?;
    let stream = events::open(
        desk.shared.clone(),
        desk.ring.clone(),
        caller.clone(),
        wish,
        last,
        place,
        desk.stop.clone(),
    );
    let mut response = warp::reply::stream(stream).into_response();
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/event-stream"));
    Ok(response)
}
