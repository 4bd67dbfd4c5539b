//! The routes: warp filters turn a request into an [`Ask`], the closed list of what can be asked.
//! Each has one scope, and one answer in [`super::answer`]. A refusal at any stage goes through the
//! one [`recover`], so that no text of warp's own ever leaves.

use super::auth::{Area, Caller, Scope};
use super::barrier::ParkingAsk;
use super::doors::DoorAsk;
use super::money::MoneyAsk;
use super::request::{Refused, Request, body, body_up_to, body_within, head};
use super::{answer, gate, page};
use crate::limits;
use crate::problem::{Code, Problem};
use crate::store::trees::money::Kept;
use blockgate_drivers::barrier::Vendor;
use blockgate_types::{AccountId, BillId, CameraId, DoorId, LaneId, MeterId, ScanId};
use bytes::Bytes;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, Method};
use warp::path::FullPath;
use warp::reject::{
    InvalidHeader, InvalidQuery, LengthRequired, MethodNotAllowed, MissingHeader, PayloadTooLarge,
    UnsupportedMediaType,
};
use warp::reply::Response;
use warp::{Filter, Rejection};

/// Everything that can be asked.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    Health,
    Ready,
    Metrics,
    OpenApi,
    Status,
    Meters,
    Meter(MeterId),
    History(MeterId),
    Bills,
    Bill(BillId),
    Alarms,
    Outbox,
    Events,
    Money(MoneyAsk),
    Command(Bytes),
    Scans,
    ScanBegin(Bytes),
    Scan(ScanId),
    ScanCancel(ScanId),
    PaymentStatus(Bytes),
    Camera(CameraId, Vendor, Bytes),
    Lanes,
    Lane(LaneId),
    Parking(ParkingAsk),
    Doors(DoorAsk),
    DoorOpen(DoorId, Bytes),
    Asset(String),
    Language(String),
    LoginPage,
    Login(Bytes),
    SetUpPage,
    SetUp(Bytes),
    Logout(Bytes),
    Screen(page::Screen),
    Act(page::Act, Bytes),
    /// A backup to be tried; no second one while the first is in memory.
    BackupTry(Bytes, Arc<OwnedSemaphorePermit>),
}

impl Ask {
    /// What the caller must be allowed; `None` is open to all.
    fn needs(&self) -> Option<Scope> {
        match self {
            Self::Health
            | Self::Asset(_)
            | Self::Language(_)
            | Self::LoginPage
            | Self::Login(_)
            | Self::SetUpPage
            | Self::SetUp(_) => None,
            Self::Ready | Self::Metrics => Some(Scope::Metrics),
            Self::PaymentStatus(_) => Some(Scope::PaymentStatus),
            Self::Camera(..) => Some(Scope::Camera),
            Self::OpenApi
            | Self::Status
            | Self::Meters
            | Self::Meter(_)
            | Self::History(_)
            | Self::Bills
            | Self::Bill(_)
            | Self::Alarms
            | Self::Lanes
            | Self::Lane(_)
            | Self::Parking(_)
            | Self::Doors(_)
            | Self::Outbox
            | Self::Scans
            | Self::Scan(_)
            | Self::Events
            | Self::Money(_)
            | Self::Logout(_)
            | Self::Screen(_) => Some(Scope::Read),
            Self::Act(act, _) if act.is_own() => Some(Scope::Read),
            Self::Command(_)
            | Self::DoorOpen(..)
            | Self::ScanBegin(_)
            | Self::ScanCancel(_)
            | Self::Act(..)
            | Self::BackupTry(..) => Some(Scope::Command),
        }
    }

    /// The part of the block that it shows or changes: a person's role must see it.
    fn area(&self) -> Option<Area> {
        match self {
            Self::Screen(screen) => Some(screen.area()),
            Self::Act(act, _) => Some(act.screen().area()),
            Self::BackupTry(..) => Some(Area::System),
            Self::Meters
            | Self::Meter(_)
            | Self::History(_)
            | Self::Scans
            | Self::Scan(_)
            | Self::ScanBegin(_)
            | Self::ScanCancel(_) => Some(Area::Meters),
            Self::Bills | Self::Bill(_) | Self::Money(_) => Some(Area::Money),
            Self::Lanes
            | Self::Lane(_)
            | Self::Parking(_)
            | Self::Doors(_)
            | Self::DoorOpen(..)
            | Self::PaymentStatus(_) => Some(Area::Parking),
            Self::Alarms => Some(Area::Alarms),
            Self::Outbox => Some(Area::System),
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::Status
            | Self::Events
            | Self::Command(_)
            | Self::Camera(..)
            | Self::Asset(_)
            | Self::Language(_)
            | Self::LoginPage
            | Self::Login(_)
            | Self::SetUpPage
            | Self::SetUp(_)
            | Self::Logout(_) => None,
        }
    }
}

/// Every path with its methods; `{}` is one id. Tests hold it against the filters and the OpenAPI
/// document, and a 405 takes its `Allow` from it.
pub const ROUTES: &[(&str, &str, Option<Scope>)] = &[
    ("GET", "/healthz", None),
    ("GET", "/readyz", Some(Scope::Metrics)),
    ("GET", "/metrics", Some(Scope::Metrics)),
    ("GET", "/v1/openapi.json", Some(Scope::Read)),
    ("GET", "/v1/status", Some(Scope::Read)),
    ("GET", "/v1/meters", Some(Scope::Read)),
    ("GET", "/v1/meters/{}", Some(Scope::Read)),
    ("GET", "/v1/meters/{}/history", Some(Scope::Read)),
    ("GET", "/v1/bills", Some(Scope::Read)),
    ("GET", "/v1/bills/{}", Some(Scope::Read)),
    ("GET", "/v1/alarms", Some(Scope::Read)),
    ("GET", "/v1/outbox", Some(Scope::Read)),
    ("GET", "/v1/events", Some(Scope::Read)),
    ("GET", "/v1/accounts", Some(Scope::Read)),
    ("GET", "/v1/accounts/{}", Some(Scope::Read)),
    ("GET", "/v1/accounts/{}/trail", Some(Scope::Read)),
    ("GET", "/v1/ledger", Some(Scope::Read)),
    ("GET", "/v1/receipts", Some(Scope::Read)),
    ("GET", "/v1/receipts/{}", Some(Scope::Read)),
    ("GET", "/v1/arrears", Some(Scope::Read)),
    ("GET", "/v1/figures", Some(Scope::Read)),
    ("GET", "/v1/consumption", Some(Scope::Read)),
    ("GET", "/v1/export/{}", Some(Scope::Read)),
    ("GET", "/v1/days", Some(Scope::Read)),
    ("GET", "/v1/cash-counts", Some(Scope::Read)),
    ("GET", "/v1/reconciliations", Some(Scope::Read)),
    ("GET", "/v1/settlements", Some(Scope::Read)),
    ("GET", "/v1/corrections", Some(Scope::Read)),
    ("GET", "/v1/rules", Some(Scope::Read)),
    ("POST", "/v1/preview", Some(Scope::Read)),
    ("POST", "/v1/commands", Some(Scope::Command)),
    ("GET", "/v1/scans", Some(Scope::Read)),
    ("POST", "/v1/scans", Some(Scope::Command)),
    ("GET", "/v1/scans/{}", Some(Scope::Read)),
    ("POST", "/v1/scans/{}/cancel", Some(Scope::Command)),
    ("POST", "/v1/payment-status", Some(Scope::PaymentStatus)),
    ("POST", "/v1/cameras/{}/{}", Some(Scope::Camera)),
    ("GET", "/v1/lanes", Some(Scope::Read)),
    ("GET", "/v1/stays", Some(Scope::Read)),
    ("GET", "/v1/areas", Some(Scope::Read)),
    ("GET", "/v1/unresolved", Some(Scope::Read)),
    ("GET", "/v1/lanes/{}", Some(Scope::Read)),
    ("GET", "/v1/doors", Some(Scope::Read)),
    ("GET", "/v1/doors/{}", Some(Scope::Read)),
    ("GET", "/v1/doors/{}/who-may", Some(Scope::Read)),
    ("POST", "/v1/doors/{}/open", Some(Scope::Command)),
    ("GET", "/v1/controllers", Some(Scope::Read)),
    ("GET", "/v1/door-events", Some(Scope::Read)),
    ("GET", "/assets/{}", None),
    ("GET", "/language/{}", None),
    ("GET", "/login", None),
    ("POST", "/login", None),
    ("GET", "/setup", None),
    ("POST", "/setup", None),
    ("POST", "/logout", Some(Scope::Read)),
    ("GET", "/", Some(Scope::Read)),
    ("GET", "/more", Some(Scope::Read)),
    ("GET", "/me", Some(Scope::Read)),
    ("POST", "/me/password", Some(Scope::Read)),
    ("POST", "/unlock", Some(Scope::Read)),
    ("GET", "/users", Some(Scope::Read)),
    ("POST", "/users/save", Some(Scope::Command)),
    ("POST", "/users/remove", Some(Scope::Command)),
    ("GET", "/meters", Some(Scope::Read)),
    ("GET", "/meters/{}", Some(Scope::Read)),
    ("POST", "/meters/{}/read", Some(Scope::Command)),
    ("POST", "/meters/{}/decide", Some(Scope::Command)),
    ("POST", "/meters/{}/test", Some(Scope::Command)),
    ("GET", "/meters/{}/exchange", Some(Scope::Read)),
    ("POST", "/meters/{}/exchange", Some(Scope::Command)),
    ("GET", "/lines", Some(Scope::Read)),
    ("GET", "/scan", Some(Scope::Read)),
    ("POST", "/scan/begin", Some(Scope::Command)),
    ("GET", "/scan/{}", Some(Scope::Read)),
    ("GET", "/backup", Some(Scope::Read)),
    ("POST", "/backup/take", Some(Scope::Command)),
    ("POST", "/outbox/retry", Some(Scope::Command)),
    ("POST", "/backup/try", Some(Scope::Command)),
    ("POST", "/scan/{}/add", Some(Scope::Command)),
    ("POST", "/scan/{}/add-all", Some(Scope::Command)),
    ("POST", "/scan/{}/cancel", Some(Scope::Command)),
    ("GET", "/sheet", Some(Scope::Read)),
    ("GET", "/sheet.csv", Some(Scope::Read)),
    ("GET", "/system", Some(Scope::Read)),
    ("GET", "/log", Some(Scope::Read)),
    ("GET", "/audit", Some(Scope::Read)),
    ("GET", "/diagnostics", Some(Scope::Read)),
    ("GET", "/diagnostics.json", Some(Scope::Read)),
    ("GET", "/start", Some(Scope::Read)),
    ("GET", "/households", Some(Scope::Read)),
    ("GET", "/households/{}", Some(Scope::Read)),
    ("POST", "/households/{}/pay", Some(Scope::Command)),
    ("POST", "/households/{}/deposit", Some(Scope::Command)),
    ("POST", "/households/{}/refund", Some(Scope::Command)),
    ("GET", "/households/{}/move-out", Some(Scope::Read)),
    ("POST", "/households/{}/move-out", Some(Scope::Command)),
    ("POST", "/households/{}/deposit-met", Some(Scope::Command)),
    ("GET", "/counter", Some(Scope::Read)),
    ("POST", "/counter/cash", Some(Scope::Command)),
    ("POST", "/refunds/approve", Some(Scope::Command)),
    ("POST", "/refunds/paid", Some(Scope::Command)),
    ("POST", "/refunds/void", Some(Scope::Command)),
    ("GET", "/receipts", Some(Scope::Read)),
    ("GET", "/receipts/{}", Some(Scope::Read)),
    ("GET", "/receipts/of/{}", Some(Scope::Read)),
    ("GET", "/corrections", Some(Scope::Read)),
    ("POST", "/corrections/reading", Some(Scope::Command)),
    ("POST", "/corrections/price", Some(Scope::Command)),
    ("POST", "/corrections/late-fee", Some(Scope::Command)),
    ("GET", "/rules", Some(Scope::Read)),
    ("POST", "/rules/preview", Some(Scope::Command)),
    ("POST", "/rules/apply", Some(Scope::Command)),
    ("GET", "/bills", Some(Scope::Read)),
    ("GET", "/bills/{}", Some(Scope::Read)),
    ("GET", "/outbox", Some(Scope::Read)),
    ("GET", "/alarms", Some(Scope::Read)),
    ("GET", "/alarms/{}", Some(Scope::Read)),
    ("POST", "/alarms/{}/confirm", Some(Scope::Command)),
    ("POST", "/alarms/{}/check", Some(Scope::Command)),
    ("POST", "/alarms/{}/mute", Some(Scope::Command)),
    ("POST", "/alarms/{}/unmute", Some(Scope::Command)),
    ("POST", "/alarms/{}/feedback", Some(Scope::Command)),
    ("GET", "/parking", Some(Scope::Read)),
    ("POST", "/parking/test", Some(Scope::Command)),
    ("POST", "/lanes/{}/open", Some(Scope::Command)),
    ("GET", "/stays", Some(Scope::Read)),
    ("POST", "/stays/pay", Some(Scope::Command)),
    ("POST", "/stays/close", Some(Scope::Command)),
    ("GET", "/unresolved", Some(Scope::Read)),
    ("POST", "/unresolved/settle", Some(Scope::Command)),
    ("GET", "/tariff-board", Some(Scope::Read)),
    ("GET", "/doors", Some(Scope::Read)),
    ("GET", "/doors/{}", Some(Scope::Read)),
    ("POST", "/doors/{}/open", Some(Scope::Command)),
    ("POST", "/doors/{}/hold", Some(Scope::Command)),
    ("POST", "/doors/{}/release", Some(Scope::Command)),
    ("GET", "/door-events", Some(Scope::Read)),
    ("GET", "/controllers", Some(Scope::Read)),
    ("GET", "/door-rights", Some(Scope::Read)),
    ("POST", "/door-rights/grant", Some(Scope::Command)),
    ("POST", "/door-rights/revoke", Some(Scope::Command)),
    ("POST", "/door-rights/restore", Some(Scope::Command)),
    ("POST", "/door-rights/confirm", Some(Scope::Command)),
    ("POST", "/door-rights/take-back", Some(Scope::Command)),
    ("POST", "/door-rights/emergency", Some(Scope::Command)),
    ("POST", "/door-rights/end", Some(Scope::Command)),
    ("POST", "/door-rights/lock", Some(Scope::Command)),
    ("POST", "/door-rights/release", Some(Scope::Command)),
    ("POST", "/meters/{}/estimate", Some(Scope::Command)),
    ("POST", "/meters/{}/valve", Some(Scope::Command)),
    ("POST", "/meters/{}/relay", Some(Scope::Command)),
    ("POST", "/counter/reconcile", Some(Scope::Command)),
    ("POST", "/households/{}/deduct", Some(Scope::Command)),
    ("GET", "/board", Some(Scope::Read)),
];

/// The methods that a path takes, for `Allow`.
fn methods(path: &str) -> String {
    let fits = |template: &str| {
        let (mut want, mut given) = (template.split('/'), path.split('/'));
        loop {
            match (want.next(), given.next()) {
                (None, None) => return true,
                (Some("{}"), Some(id)) if !id.is_empty() => {}
                (Some(want), Some(given)) if want == given => {}
                _ => return false,
            }
        }
    };
    let all: Vec<&str> = ROUTES.iter().filter(|(_, t, _)| fits(t)).map(|(m, _, _)| *m).collect();
    all.join(", ")
}

/// All routes behind the gate.
pub(super) fn routes(site: Arc<answer::Desk>) -> BoxedFilter<(Response,)> {
    let (gate_desk, answer_desk, page_desk) = (site.clone(), site.clone(), site);
    let admitted = head().and_then(move |request: Request| {
        let desk = gate_desk.clone();
        async move {
            let caller = gate::admit(&desk.site, &desk.shared.accounts, &request)
                .map_err(super::request::refuse)?;
            Ok::<_, Rejection>((request, caller))
        }
    });
    let answered = admitted
        .and(asks())
        .and_then(move |(request, caller): (Request, Caller), ask: Ask| {
            let desk = answer_desk.clone();
            async move {
                if let Ask::Act(act, body) = &ask
                    && must_log_in(&caller, act)
                {
                    return page::ask_again(&desk, &request, &caller, act, body)
                        .map_err(super::request::refuse);
                }
                if let Some(area) = ask.area()
                    && !caller.sees(area)
                {
                    let detail = "this part is not for your role";
                    return Err(super::request::refuse(Problem::new(Code::Forbidden, detail)));
                }
                if matches!(ask, Ask::ScanBegin(_) | Ask::ScanCancel(_)) {
                    caller.may_scan().map_err(super::request::refuse)?;
                }
                if let Some(scope) = ask.needs()
                    && !caller.may(scope)
                {
                    let detail = format!("it needs the scope {}", scope.text());
                    return Err(super::request::refuse(Problem::new(Code::Forbidden, detail)));
                }
                answer::answer(&desk, &request, &caller, ask).await.map_err(super::request::refuse)
            }
        })
        .recover(recover)
        .unify();
    head()
        .and(answered)
        .map(move |request: Request, response: Response| {
            let allow = methods(&request.path);
            let mut response = page::finish(&page_desk, &request, response);
            if response.status() == 405
                && let Ok(allow) = HeaderValue::from_str(&allow)
            {
                response.headers_mut().insert("allow", allow);
            }
            response
        })
        .boxed()
}

/// Whether a form must wait for a password: nobody is logged in, or nobody was there for a while.
fn must_log_in(caller: &Caller, act: &page::Act) -> bool {
    match caller {
        Caller::Nobody => true,
        Caller::Person(person) => person.locked && *act != page::Act::Unlock,
        Caller::Device(_) => false,
    }
}

/// Maps every rejection to a problem; [`page::finish`] writes it in the caller's language.
async fn recover(rejection: Rejection) -> Result<Response, Infallible> {
    let problem = if let Some(Refused(problem)) = rejection.find() {
        problem.clone()
    } else if rejection.is_not_found() {
        Code::NotFound.into()
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        Code::MethodNotAllowed.into()
    } else if rejection.find::<PayloadTooLarge>().is_some() {
        Code::PayloadTooLarge.into()
    } else if rejection.find::<UnsupportedMediaType>().is_some() {
        Code::UnsupportedMediaType.into()
    } else if let Some(header) = rejection.find::<InvalidHeader>() {
        Problem::new(Code::BadRequest, format!("header {}", header.name()))
    } else if let Some(header) = rejection.find::<MissingHeader>() {
        Problem::new(Code::BadRequest, format!("header {} is missing", header.name()))
    } else if rejection.find::<LengthRequired>().is_some()
        || rejection.find::<InvalidQuery>().is_some()
    {
        Code::BadRequest.into()
    } else {
        tracing::error!(?rejection, "a rejection that nobody knows");
        Code::Internal.into()
    };
    Ok(answer::refused(problem))
}

/// `GET` of a fixed path.
fn get(path: &'static str, ask: Ask) -> BoxedFilter<(Ask,)> {
    warp::path(path).and(warp::path::end()).and(warp::get()).map(move || ask.clone()).boxed()
}

/// `GET` of a path with an id.
fn get_id<I>(path: &'static str, ask: fn(I) -> Ask) -> BoxedFilter<(Ask,)>
where
    I: std::str::FromStr + Send + 'static,
{
    warp::path(path)
        .and(warp::path::param::<I>())
        .and(warp::path::end())
        .and(warp::get())
        .map(ask)
        .boxed()
}

/// `POST` with a body.
fn post(path: &'static str, ask: fn(Bytes) -> Ask) -> BoxedFilter<(Ask,)> {
    warp::path(path).and(warp::path::end()).and(warp::post()).and(body()).map(ask).boxed()
}

/// A backup to be tried. It is larger than any form, so one comes at a time.
fn backup_try() -> BoxedFilter<(Ask,)> {
    let one = Arc::new(Semaphore::new(1));
    let turn = warp::any().and_then(move || {
        let one = one.clone();
        async move {
            let busy = || Problem::new(Code::TooOften, "another backup is being tried");
            let turn = one.try_acquire_owned().map_err(|_| super::request::refuse(busy()));
            turn.map(Arc::new)
        }
    });
    warp::path("backup")
        .and(warp::path("try"))
        .and(warp::path::end())
        .and(warp::post())
        .and(turn)
        .and(body_within(limits::BACKUP_BODY_MAX, limits::BACKUP_BODY_TIMEOUT))
        .map(|turn, body| Ask::BackupTry(body, turn))
        .boxed()
}

/// The page's screens by `GET`, its forms by `POST`. A known path with another method is a 405, which
/// warp's own method filters would say of every path.
fn page_asks() -> BoxedFilter<(Ask,)> {
    let asked = || warp::method().and(warp::path::full());
    let screens = asked().and_then(|method: Method, path: FullPath| async move {
        let screen = page::Screen::of(path.as_str()).filter(|_| method == Method::GET);
        screen.map(Ask::Screen).ok_or_else(warp::reject::not_found)
    });
    let acts = asked().and_then(|method: Method, path: FullPath| async move {
        let (act, screen) = (page::Act::of(path.as_str()), page::Screen::of(path.as_str()));
        match act {
            Some(act) if method == Method::POST => Ok(act),
            None if screen.is_none() || method == Method::GET => Err(warp::reject::not_found()),
            Some(_) | None => Err(super::request::refuse(Code::MethodNotAllowed)),
        }
    });
    let acts = acts.and(body()).map(Ask::Act);
    screens.or(acts).unify().boxed()
}

fn any_of(all: Vec<BoxedFilter<(Ask,)>>) -> BoxedFilter<(Ask,)> {
    let nothing = warp::any().and_then(|| async { Err(warp::reject::not_found()) }).boxed();
    all.into_iter().fold(nothing, |some, next| some.or(next).unify().boxed())
}

fn asks() -> BoxedFilter<(Ask,)> {
    let v1 = || warp::path("v1");
    let history = v1().and(warp::path("meters")).and(warp::path::param::<MeterId>());
    let history = history.and(warp::path("history")).and(warp::path::end()).and(warp::get());
    let api = v1().and(any_of(vec![
        get("openapi.json", Ask::OpenApi),
        get("status", Ask::Status),
        get("meters", Ask::Meters),
        get_id("meters", Ask::Meter),
        get("bills", Ask::Bills),
        get_id("bills", Ask::Bill),
        get("alarms", Ask::Alarms),
        get("outbox", Ask::Outbox),
        get("events", Ask::Events),
        get("accounts", Ask::Money(MoneyAsk::Accounts)),
        get_id("accounts", |id| Ask::Money(MoneyAsk::Account(id))),
        get("ledger", Ask::Money(MoneyAsk::Ledger)),
        get("receipts", Ask::Money(MoneyAsk::Receipts)),
        get_id("receipts", |number| Ask::Money(MoneyAsk::Receipt(number))),
        get("arrears", Ask::Money(MoneyAsk::Arrears)),
        get("figures", Ask::Money(MoneyAsk::Figures)),
        get("consumption", Ask::Money(MoneyAsk::Consumption)),
        get_id("export", |name| Ask::Money(MoneyAsk::Export(name))),
        get("days", Ask::Money(MoneyAsk::Kept(Kept::Days))),
        get("cash-counts", Ask::Money(MoneyAsk::Kept(Kept::Cash))),
        get("reconciliations", Ask::Money(MoneyAsk::Kept(Kept::Reconciliations))),
        get("settlements", Ask::Money(MoneyAsk::Kept(Kept::Settlements))),
        get("corrections", Ask::Money(MoneyAsk::Kept(Kept::Corrections))),
        get("rules", Ask::Money(MoneyAsk::Rules)),
        post("preview", |body| Ask::Money(MoneyAsk::Preview(body))),
        post("commands", Ask::Command),
        get("scans", Ask::Scans),
        post("scans", Ask::ScanBegin),
        get_id("scans", Ask::Scan),
        post("payment-status", Ask::PaymentStatus),
        get("lanes", Ask::Lanes),
        get("stays", Ask::Parking(ParkingAsk::Stays)),
        get("areas", Ask::Parking(ParkingAsk::Areas)),
        get("unresolved", Ask::Parking(ParkingAsk::Unresolved)),
        get_id("lanes", Ask::Lane),
        get("doors", Ask::Doors(DoorAsk::Doors)),
        get_id("doors", |id| Ask::Doors(DoorAsk::Door(id))),
        get("controllers", Ask::Doors(DoorAsk::Controllers)),
        get("door-events", Ask::Doors(DoorAsk::Events)),
        warp::path("cameras")
            .and(warp::path::param::<CameraId>())
            .and(warp::path::param::<Vendor>())
            .and(warp::path::end())
            .and(warp::post())
            .and(body_up_to(limits::CAMERA_BODY_MAX))
            .map(Ask::Camera)
            .boxed(),
    ]));
    let cancel = v1().and(warp::path("scans")).and(warp::path::param::<ScanId>());
    let cancel = cancel.and(warp::path("cancel")).and(warp::path::end()).and(warp::post());
    let trail = v1().and(warp::path("accounts")).and(warp::path::param::<AccountId>());
    let trail = trail.and(warp::path("trail")).and(warp::path::end()).and(warp::get());
    let door = v1().and(warp::path("doors")).and(warp::path::param::<DoorId>());
    let who_may = door.and(warp::path("who-may")).and(warp::path::end()).and(warp::get());
    let open = door.and(warp::path("open")).and(warp::path::end()).and(warp::post()).and(body());
    any_of(vec![
        api.boxed(),
        who_may.map(|id| Ask::Doors(DoorAsk::WhoMay(id))).boxed(),
        open.map(Ask::DoorOpen).boxed(),
        trail.map(|id| Ask::Money(MoneyAsk::Trail(id))).boxed(),
        history.map(Ask::History).boxed(),
        cancel.map(Ask::ScanCancel).boxed(),
        get("healthz", Ask::Health),
        get("readyz", Ask::Ready),
        get("metrics", Ask::Metrics),
        get_id("assets", Ask::Asset),
        get_id("language", Ask::Language),
        get("login", Ask::LoginPage),
        post("login", Ask::Login),
        get("setup", Ask::SetUpPage),
        post("setup", Ask::SetUp),
        post("logout", Ask::Logout),
        backup_try(),
        page_asks(),
    ])
}
