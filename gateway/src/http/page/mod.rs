//! The maintenance page: HTML from the server, with a few lines of script for live values. Reading
//! and ordering work without script. Everything is inside the program: no request ever goes
//! elsewhere, and the content security policy says so to the browser.
//!
//! | module | what |
//! |---|---|
//! | `screens` | the closed list of what is shown and what forms do: paths, who may, which fields |
//! | `layout` | the frame: bar, sections by role, notes |
//! | `forms` | fields with their faults, amounts as people type them, sent once |
//! | `components` | times, ages, pills, money, tables' cells, empty states |
//! | `text`, `refusals`, `deeds` | every word in both languages; what rules refuse, in Chinese; what the audit trail tells |
//! | `seen` | what stood there when a form was opened, against what stands there now |
//! | `network` | addresses, gateway and name servers, for the first run |
//! | `chart` | drawings by the server |
//! | `backup` | a backup to take away, and one to be tried |
//! | `login` | login, first set-up, what went wrong; what was typed is kept over a login |
//! | the others | one for each section |
//!
//! A form is answered by a redirect to a screen with a note, so that a reload orders nothing; what is
//! wrong with it is shown at its fields, with what was typed.

mod adding;
mod alarms;
mod assets;
mod backup;
mod bills;
mod board;
mod chart;
mod components;
mod corrections;
mod counter;
mod deeds;
mod doors;
mod faults;
mod forms;
mod households;
mod layout;
mod lines;
mod login;
mod meters;
mod moveout;
mod network;
mod outbox;
mod overview;
mod parking;
mod refusals;
mod rights;
mod rules;
mod screens;
mod seen;
mod system;
mod text;
mod users;

pub(super) use backup::try_file as try_backup;
pub(super) use components::what_to_check;

pub(super) use screens::{Act, Screen};

use super::answer::{self, Answered, Desk, page_form, see_other};
use super::auth::{Caller, Note, Person, Role};
use super::commands;
use super::request::{Fields, Request};
use super::routes::Ask;
use crate::problem::{Code, Lang, Problem};
use blockgate_rules::Fen;
use blockgate_rules::input::Order;
use components::View;
use forms::{Reader, Typed};
use jiff::tz::TimeZone;
use maud::Markup;
use std::sync::atomic::{AtomicBool, AtomicU32};
use text::Say;
use warp::http::HeaderValue;
use warp::reply::Response;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A page on its way out.
struct Page<'r> {
    request: &'r Request,
    /// The path of the screen, which is not the request's where a form is shown again.
    at: String,
    view: View,
    csrf: String,
    user: String,
    role: Option<Role>,
    locked: bool,
    note: Option<Note>,
    typed: Typed,
    /// The form that is shown again with what was typed: where it is sent to.
    sent: Option<String>,
    /// Whether fields that are written now are of that form.
    again: AtomicBool,
    /// Whether a field has the focus.
    focused: AtomicBool,
    /// Fields so far, for their ids.
    fields: AtomicU32,
    /// After how many seconds the browser asks again by itself, where something goes on; zero for never.
    refresh: AtomicU32,
    gateway: String,
    tls: bool,
}

impl<'r> Page<'r> {
    fn new(desk: &Desk, request: &'r Request, caller: &Caller) -> Self {
        let shared = &desk.shared;
        let person = match caller {
            Caller::Person(person) => Some(person),
            Caller::Nobody | Caller::Device(_) => None,
        };
        Self {
            request,
            // A form's own path has no page to come back to.
            at: if request.mutates() { "/".to_owned() } else { request.path.clone() },
            view: view(desk, request),
            csrf: person.map_or_else(String::new, |person| person.csrf.clone()),
            user: person.map_or_else(String::new, |person| person.user.clone()),
            role: person.map(|person| person.role),
            locked: person.is_some_and(|person| person.locked),
            note: person.and_then(|person| shared.accounts.take_note(person)),
            typed: Typed::default(),
            sent: request.mutates().then(|| request.path.clone()),
            again: AtomicBool::new(false),
            focused: AtomicBool::new(false),
            fields: AtomicU32::new(0),
            refresh: AtomicU32::new(0),
            gateway: format!("{} · {}", shared.status.tenant, shared.status.gateway),
            tls: desk.site.tls,
        }
    }

    /// Whether the person may give an order of this kind now: buttons that would be refused are not
    /// shown. The server asks again when the order comes.
    fn may(&self, order: &Order) -> bool {
        !self.locked && self.role.is_some_and(|role| role.may_order(order))
    }

    /// Whether the person works at the counter.
    fn takes_money(&self) -> bool {
        let (day, note) = (String::new(), String::new());
        self.may(&Order::CountCash { day, counted_fen: Fen::ZERO, note })
    }

    /// The screen's address with what it is asked for, to come back to.
    fn here(&self) -> String {
        if self.at == self.request.path { self.request.address() } else { self.at.clone() }
    }

    /// A refusal as a note.
    fn refused(&self, problem: &Problem) -> Note {
        let lang = self.view.say.0;
        let (sentence, advice) = (problem.code.sentence(lang), problem.code.advice(lang));
        let detail = problem.detail.trim();
        let text = if detail.is_empty() {
            format!("{sentence} {advice}")
        } else {
            format!("{sentence} {} {advice}", self.view.say.told(detail))
        };
        Note { good: false, text }
    }
}

fn view(desk: &Desk, request: &Request) -> View {
    let status = &desk.shared.status;
    View {
        say: Say(request.lang),
        zone: TimeZone::get(&status.zone).unwrap_or(TimeZone::UTC),
        now: desk.shared.clock.now(),
    }
}

fn answer_html(markup: Markup) -> Response {
    answer::content(markup.into_string(), "text/html; charset=utf-8")
}

/// The page's answers.
///
/// # Errors
/// The problem to show instead.
pub(super) async fn answer(desk: &Desk, request: &Request, caller: &Caller, ask: Ask) -> Answered {
    let page = || Page::new(desk, request, caller);
    match ask {
        Ask::Asset(name) => assets::serve(&name),
        Ask::LoginPage => match caller {
            Caller::Nobody => {
                let fields = Fields::parse(request.query.as_bytes(), &["next"])?;
                Ok(login::login(&page(), None, None, fields.get("next")))
            }
            Caller::Person(_) | Caller::Device(_) => Ok(see_other("/")),
        },
        Ask::SetUpPage if desk.shared.accounts.is_set_up() => Ok(see_other("/login")),
        Ask::SetUpPage => Ok(login::set_up(&page(), None)),
        Ask::Screen(screen) => show(desk, &page(), &screen).await,
        Ask::Act(act, body) => act_on(desk, request, caller, &act, &body).await,
        // Answered before they come here; a new one that is forgotten is not found.
        _ => Err(Code::NotFound.into()),
    }
}

/// A screen.
async fn show(desk: &Desk, page: &Page<'_>, screen: &Screen) -> Answered {
    match screen {
        Screen::Overview => Ok(overview::show(desk, page)),
        Screen::More => Ok(layout::more(page)),
        Screen::Meters => meters::list(desk, page),
        Screen::Meter(id) => meters::detail(desk, page, id, None).await,
        Screen::Exchange(id) => meters::exchange(desk, page, id),
        Screen::Lines => lines::list(desk, page),
        Screen::Scans => lines::scan(desk, page),
        Screen::Scan(id) => lines::one_scan(desk, page, id),
        Screen::Sheet => lines::sheet(desk, page),
        Screen::SheetFile => lines::sheet_file(desk, page),
        Screen::System => system::show(desk, page),
        Screen::Log => system::log(page),
        Screen::Audit => system::audit(desk, page).await,
        Screen::Diagnostics => system::diagnostics(page),
        Screen::DiagnosticsFile => system::diagnostics_file(desk),
        Screen::Start => system::first_run(desk, page),
        Screen::Backup => backup::show(desk, page, None),
        Screen::Bills => bills::list(desk, page).await,
        Screen::Bill(id) => bills::detail(desk, page, id.clone()).await,
        Screen::Households => households::list(desk, page).await,
        Screen::MoveOut(id) => moveout::show(desk, page, id).await,
        Screen::Household(id) => households::show(desk, page, id).await,
        Screen::Counter => counter::show(desk, page).await,
        Screen::Receipts => counter::receipts(desk, page).await,
        Screen::Receipt(number) => counter::receipt(desk, page, *number).await,
        Screen::ReceiptOf(id) => counter::receipt_of_payment(desk, id).await,
        Screen::Corrections => corrections::show(desk, page).await,
        Screen::Rules => rules::show(desk, page),
        Screen::Outbox => outbox::show(desk, page),
        Screen::Alarms => alarms::show(desk, page).await,
        Screen::Alarm(id) => alarms::detail(desk, page, id).await,
        Screen::Parking => parking::show(desk, page, None),
        Screen::Stays => parking::stays(desk, page),
        Screen::Unresolved => parking::unresolved(desk, page),
        Screen::TariffBoard => parking::tariff_board(desk, page),
        Screen::Doors => doors::list(desk, page),
        Screen::Door(id) => doors::detail(desk, page, id),
        Screen::DoorEvents => doors::events(desk, page),
        Screen::Controllers => doors::controllers(desk, page),
        Screen::DoorRights => rights::show(desk, page),
        Screen::Board => board::show(desk, page).await,
        Screen::Users => Ok(users::show(desk, page)),
        Screen::Me => Ok(users::me(page)),
    }
}

/// What a form came to.
enum Outcome {
    /// Done: a note, and where to go on.
    Done(String, String),
    /// Something to look at, and nothing changed.
    Shown(Response),
    /// Not done: the form again, with what is wrong.
    Again(Typed, Option<Note>),
}

async fn act_on(
    desk: &Desk,
    request: &Request,
    caller: &Caller,
    act: &Act,
    body: &[u8],
) -> Answered {
    let known: Vec<&str> = act.fields().iter().copied().chain(["once"]).collect();
    let fields = page_form(request, caller, body, &known)?;
    let Caller::Person(person) = caller else { return Err(Code::Forbidden.into()) };
    let mut page = Page::new(desk, request, caller);
    page.at = act.screen().path();
    match outcome(desk, &mut page, person, act, &fields).await? {
        Outcome::Done(text, to) => {
            desk.shared.accounts.leave_note(person, Note { good: true, text });
            Ok(see_other(&to))
        }
        Outcome::Shown(response) => Ok(response),
        Outcome::Again(typed, note) => {
            page.typed = typed;
            page.note = note
                .or_else(|| Some(Note { good: false, text: page.view.say.see_fields().into() }));
            let mut response = show(desk, &page, &act.screen()).await?;
            *response.status_mut() = warp::http::StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
    }
}

async fn outcome(
    desk: &Desk,
    page: &mut Page<'_>,
    person: &Person,
    act: &Act,
    fields: &Fields,
) -> Result<Outcome, Problem> {
    let say = page.view.say;
    let mut read = Reader::new(fields, say);
    let order = match act {
        Act::Unlock => return login::unlock(desk, page, person, fields).await,
        Act::SaveUser | Act::RemoveUser | Act::ChangePassword => {
            return users::act(desk, page, person, act, read).await;
        }
        Act::TakeBackup => return backup::take(desk, page, person, read).await,
        Act::PreviewRules => return rules::preview(desk, page, read).await,
        Act::TestPlate => return parking::try_plate(desk, page, read),
        Act::OpenLane(_) | Act::PayStay | Act::CloseStay | Act::SettleParking => {
            parking::order(&mut read, act)
        }
        Act::OpenDoor(_) | Act::HoldDoor(_) | Act::ReleaseDoor(_) => {
            doors::order(page, &mut read, act)
        }
        Act::GrantCard
        | Act::RevokeRight
        | Act::RestoreRight
        | Act::ConfirmArrears
        | Act::TakeArrearsBack
        | Act::OpenAllDoors
        | Act::EndEmergency
        | Act::LockDown
        | Act::ReleaseAllDoors => rights::order(page, &mut read, act),
        Act::EstimateReading(_) | Act::MoveValve(_) | Act::SwitchRelay(_) => {
            meters::act_order(&mut read, act)
        }
        Act::ConfirmAlarm(_)
        | Act::CheckAlarm(_)
        | Act::MuteAlarm(_)
        | Act::UnmuteAlarm(_)
        | Act::AlarmFeedback(_) => alarms::order(page, &mut read, act),
        Act::ReadMeter(id) => Some(Order::ReadNow { meter: id.clone(), frozen: None }),
        Act::TestMeter(id) => return meters::test_read(desk, page, id).await,
        Act::BeginScan | Act::CancelScan(_) => return lines::act(desk, page, act, read),
        Act::AddFound(_) | Act::AddAllFound(_) => {
            return adding::act(desk, page, person, act, read).await;
        }
        Act::ExchangeMeter(_) => meters::exchange_order(&mut read, act),
        Act::DecideHeld(id) => meters::decision(desk, &mut read, id),
        Act::MoveOut(_) => moveout::order(&mut read, act),
        Act::Pay(_)
        | Act::TakeDeposit(_)
        | Act::AskRefund(_)
        | Act::DepositMet(_)
        | Act::DeductDeposit(_) => households::order(desk, &mut read, act),
        Act::ApproveRefund
        | Act::RefundPaid
        | Act::VoidRefund
        | Act::CountCash
        | Act::Reconcile => counter::order(&mut read, act),
        Act::CorrectReading | Act::CorrectPrice | Act::CorrectLateFee => {
            corrections::order(&mut read, act)
        }
        Act::ApplyRules => rules::order(&mut read, act),
        Act::RetryLetter => outbox::order(&mut read),
    };
    let Some(order) = order.filter(|_| read.is_good()) else {
        return Ok(Outcome::Again(read.typed(act.is_secret()), None));
    };
    // The second press of a button finds what the first one changed: that is no surprise to anybody.
    let sent = (person.user.clone(), format!("page {}", fields.get("once").unwrap_or_default()));
    if !desk.answers.knows(&sent) {
        if let Some(note) = seen::changed(desk, page, act, &read) {
            return Ok(Outcome::Again(read.typed(act.is_secret()), Some(note)));
        }
        desk.answers.note(sent.clone());
    }
    let caller = Caller::Person(person.clone());
    let done = commands::from_page(&desk.shared, &caller, fields.get("once"), order).await;
    let done = desk.answers.first(&sent, done);
    let to = match act {
        Act::Pay(_) | Act::TakeDeposit(_) | Act::PayStay => {
            counter::after_payment(read.raw("once"))
        }
        Act::ExchangeMeter(id) => Screen::Meter(id.clone()).path(),
        _ => act.screen().path(),
    };
    Ok(match done {
        Ok(done) => Outcome::Done(told(say, &done["detail"]), to),
        // The same form once more: what it ordered was not refused the first time.
        Err(problem) if problem.code == Code::CommandDuplicate => {
            Outcome::Done(say.done_before().to_owned(), to)
        }
        Err(problem) if matches!(problem.code, Code::Forbidden | Code::Locked) => {
            return Err(problem);
        }
        Err(problem) => {
            let note = page.refused(&problem);
            Outcome::Again(read.typed(act.is_secret()), Some(note))
        }
    })
}

/// A command's detail for people: values as `name 12.5 kWh`, else the text itself.
fn told(say: Say, detail: &serde_json::Value) -> String {
    let Some(values) = detail.as_object() else {
        let text = detail.as_str().unwrap_or("").trim();
        let rest = if text.is_empty() { String::new() } else { format!(" {}", say.told(text)) };
        return format!("{}{rest}", say.done());
    };
    let told: Vec<String> = values
        .iter()
        .filter_map(|(name, quantity)| {
            let (value, unit) = (quantity["value"].as_str()?, quantity["unit"].as_str()?);
            let unit = if unit == "1" { "" } else { unit };
            Some(format!("{} {value} {unit}", say.register(name)).trim_end().to_owned())
        })
        .collect();
    format!("{} {}", say.done(), told.join(" · "))
}

/// A form that came without a session, or in a locked one: the password is asked for, and what was
/// typed comes back after it.
pub(super) fn ask_again(
    desk: &Desk,
    request: &Request,
    caller: &Caller,
    act: &Act,
    body: &[u8],
) -> Answered {
    let page = Page::new(desk, request, caller);
    let kept = (!act.is_secret()).then(|| login::Kept::of(&request.path, body)).flatten();
    let (code, mut response) = match caller {
        Caller::Person(_) => (Code::Locked, login::locked(&page, kept.as_ref(), None)),
        Caller::Nobody | Caller::Device(_) => {
            let code = Code::Unauthenticated;
            (code, login::login(&page, Some(&code.into()), kept.as_ref(), None))
        }
    };
    if let Ok(status) = warp::http::StatusCode::from_u16(code.status()) {
        *response.status_mut() = status;
    }
    Ok(response)
}

/// What comes after a login that a form had to wait for.
pub(super) async fn resume(
    desk: &Desk,
    request: &Request,
    person: &Person,
    kept: &Fields,
) -> Option<Response> {
    let kept = login::Kept::again(kept)?;
    let mut page = Page::new(desk, request, &Caller::Person(person.clone()));
    login::resumed(desk, &mut page, kept).await
}

/// The login once more, with why it was refused, where to go after it, and the form that waits for it.
pub(super) fn refused_login(
    desk: &Desk,
    request: &Request,
    problem: &Problem,
    fields: &Fields,
) -> Response {
    let page = Page::new(desk, request, &Caller::Nobody);
    let kept = login::Kept::again(fields);
    let response = login::login(&page, Some(problem), kept.as_ref(), fields.get("next"));
    marked(response, problem)
}

/// The last hand on every response: problems are written out, in the caller's language and for a
/// program or a person; every response gets the headers that keep it safe.
pub(super) fn finish(desk: &Desk, request: &Request, mut response: Response) -> Response {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = show_problem(desk, request, &problem);
    }
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key("cache-control") {
        let cache = if request.is_api() { "no-store" } else { "no-cache" };
        headers.insert("cache-control", HeaderValue::from_static(cache));
    }
    response
}

fn show_problem(desk: &Desk, request: &Request, problem: &Problem) -> Response {
    let response = if request.is_api() {
        // A program that names no language reads the same detail everywhere.
        let asked = request.header("accept-language").and_then(Lang::accepted);
        let detail = asked.map_or_else(|| problem.detail.clone(), |l| Say(l).told(&problem.detail));
        let told = Problem { detail, ..problem.clone() };
        let document = told.document(request.lang, &request.path);
        answer::content(document.to_string(), "application/problem+json")
    } else if problem.code == Code::Unauthenticated && !request.mutates() {
        return see_other(&components::address("/login", &[("next", &request.address())]));
    } else {
        let page = Page::new(desk, request, &Caller::Nobody);
        match request.path.as_str() {
            // The form again, with what is wrong above it.
            "/login" if desk.shared.accounts.is_set_up() => {
                login::login(&page, Some(problem), None, None)
            }
            "/setup" => login::set_up(&page, Some(problem)),
            _ => login::trouble(&page, problem),
        }
    };
    marked(response, problem)
}

/// A problem's status and header fields.
fn marked(mut response: Response, problem: &Problem) -> Response {
    if let Ok(status) = warp::http::StatusCode::from_u16(problem.code.status()) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    if problem.code == Code::Unauthenticated {
        headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = problem.retry_after {
        headers.insert("retry-after", HeaderValue::from(seconds));
    }
    response
}
