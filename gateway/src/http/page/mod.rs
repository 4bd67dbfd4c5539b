//! The maintenance page: HTML from the server, with a few lines of script for live values. Reading
//! and ordering work without script. Everything is inside the program: no request ever goes
//! elsewhere, and the content security policy says so to the browser.

mod alarms;
mod assets;
mod bills;
mod chart;
mod door;
mod meters;
mod outbox;
mod overview;
mod parts;
mod text;

use super::answer::{self, Answered, Desk, page_form, see_other};
use super::auth::{Caller, Note};
use super::commands;
use super::request::Request;
use super::routes::Ask;
use crate::problem::{Code, Lang, Problem};
use blockgate_rules::input::{HeldDecision, Order};
use blockgate_types::{MeterId, RegisterName};
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, html};
use parts::{View, icon};
use text::Say;
use warp::http::HeaderValue;
use warp::reply::Response;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The navigation: path, and the drawing of its entry.
const TABS: [(&str, &str); 5] = [
    ("/", "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z"),
    ("/meters", "M12 20a8 8 0 1 1 8-8M12 12l4-4M19 16v5M16.500 18.500h5"),
    ("/bills", "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6"),
    ("/outbox", "M4 14v5h16v-5M12 15V4M8 8l4-4 4 4"),
    ("/alarms", "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4"),
];

/// A page on its way out.
struct Page<'r> {
    request: &'r Request,
    view: View,
    csrf: String,
    note: Option<Note>,
    gateway: String,
    tls: bool,
}

impl<'r> Page<'r> {
    fn new(desk: &Desk, request: &'r Request, caller: &Caller) -> Self {
        let shared = &desk.shared;
        let (csrf, note) = match caller {
            Caller::Person(person) => (person.csrf.clone(), shared.accounts.take_note(person)),
            Caller::Nobody | Caller::Device(_) => (String::new(), None),
        };
        Self {
            request,
            view: view(desk, request),
            csrf,
            note,
            gateway: format!("{} · {}", shared.status.tenant, shared.status.gateway),
            tls: desk.site.tls,
        }
    }

    fn head(&self, title: &str) -> Markup {
        let names = &*assets::NAMES;
        html! {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover";
            meta name="robots" content="noindex";
            title { (title) " · blockgate" }
            link rel="icon" href={ "/assets/" (names.icon) };
            link rel="stylesheet" href={ "/assets/" (names.style) };
        }
    }

    fn language(&self) -> Markup {
        let (code, tag) = match self.view.say.0 {
            Lang::Zh => ("en", Lang::En.tag()),
            Lang::En => ("zh", Lang::Zh.tag()),
        };
        // A form's own path has no page to come back to.
        let back = if self.request.mutates() { "/" } else { self.request.path.as_str() };
        html! {
            a.quiet href={ "/language/" (code) "?back=" (back) } lang=(tag) hreflang=(tag) {
                (self.view.say.other_language())
            }
        }
    }

    /// A page inside the frame of the logged-in.
    fn framed(&self, title: &str, live: bool, content: Markup) -> Response {
        let (say, view) = (self.view.say, &self.view);
        let names = [say.overview(), say.meters(), say.bills(), say.outbox(), say.alarms()];
        let here = |path: &str| {
            if path == "/" { self.request.path == "/" } else { self.request.path.starts_with(path) }
        };
        html_page(html! {
            (DOCTYPE)
            html lang=(say.0.tag()) {
                head {
                    (self.head(title))
                    script defer src={ "/assets/" (assets::NAMES.script) } {}
                }
                body.framed data-live=[live.then_some("")] data-now=(view.now)
                    data-seconds=(say.seconds_ago()) data-minutes=(say.minutes_ago())
                    data-hours=(say.hours_ago()) data-days=(say.days_ago()) data-none=(say.no_value())
                    data-good=(say.good()) data-late=(say.late()) data-silent=(say.silent()) {
                    a.skip href="#main" { (say.skip()) }
                    div.bar {
                        a.brand href="/" { (icon(HOUSE)) span { "blockgate" small { (self.gateway) } } }
                        (self.language())
                        form method="post" action="/logout" {
                            (self.csrf())
                            button.quiet type="submit" { (say.log_out()) }
                        }
                    }
                    nav.tabs aria-label=(say.navigation()) {
                        @for ((path, drawing), name) in TABS.iter().zip(names) {
                            a href=(path) aria-current=[here(path).then_some("page")] {
                                (icon(drawing)) span { (name) }
                            }
                        }
                    }
                    main #main {
                        @if let Some(note) = &self.note {
                            p.note.good[note.good].bad[!note.good] role="status" { (note.text) }
                        }
                        (content)
                    }
                    p #offline .note role="status" hidden { (say.offline()) }
                }
            }
        })
    }

    /// A page for who is not logged in.
    fn plain(&self, title: &str, content: Markup) -> Response {
        let say = self.view.say;
        html_page(html! {
            (DOCTYPE)
            html lang=(say.0.tag()) {
                head { (self.head(title)) }
                body {
                    main.door #main {
                        div.brand { (icon(HOUSE)) span { "blockgate" small { (self.gateway) } } }
                        (content)
                        p.foot { (self.language()) }
                        @if !self.tls { p.foot.mute.small { (say.plain_http()) } }
                    }
                }
            }
        })
    }

    /// The hidden field that every form of a session carries.
    fn csrf(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.csrf); }
    }
}

const HOUSE: &str = "M4 21V9l8-6 8 6v12M9.500 21v-7h5v7";

fn view(desk: &Desk, request: &Request) -> View {
    let status = &desk.shared.status;
    View {
        say: Say(request.lang),
        zone: TimeZone::get(&status.zone).unwrap_or(TimeZone::UTC),
        now: desk.shared.clock.now(),
    }
}

fn html_page(markup: Markup) -> Response {
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
            Caller::Nobody => door::login(&page(), None),
            Caller::Person(_) | Caller::Device(_) => Ok(see_other("/")),
        },
        Ask::SetUpPage if desk.shared.accounts.is_set_up() => Ok(see_other("/login")),
        Ask::SetUpPage => Ok(door::set_up(&page(), None)),
        Ask::OverviewPage => Ok(overview::show(desk, &page())),
        Ask::MetersPage => meters::list(desk, &page()),
        Ask::MeterPage(id) => meters::detail(desk, &page(), &id).await,
        Ask::MeterRead(id, body) => {
            page_form(request, caller, &body, &[])?;
            Ok(ordered(desk, request, caller, &id, Order::ReadNow { meter: id.clone() }).await)
        }
        Ask::MeterDecide(id, body) => {
            let order = decision(request, caller, &id, &body)?;
            Ok(ordered(desk, request, caller, &id, order).await)
        }
        Ask::BillsPage => bills::list(desk, &page()).await,
        Ask::BillPage(id) => bills::detail(desk, &page(), id).await,
        Ask::OutboxPage => outbox::show(desk, &page()),
        Ask::AlarmsPage => alarms::show(desk, &page()).await,
        // Answered before they come here; a new one that is forgotten is not found.
        _ => Err(Code::NotFound.into()),
    }
}

fn decision(
    request: &Request,
    caller: &Caller,
    meter: &MeterId,
    body: &[u8],
) -> Result<Order, Problem> {
    let fields = page_form(request, caller, body, &["register", "decision"])?;
    let register = RegisterName::new(fields.get("register").unwrap_or(""))
        .map_err(|why| Problem::new(Code::BadRequest, why))?;
    let decision = match fields.get("decision") {
        Some("accept") => HeldDecision::Accept,
        Some("rollover") => HeldDecision::Rollover,
        Some("rebase") => HeldDecision::Rebase,
        other => {
            let detail =
                format!("decision cannot be {other:?}; there are: accept, rollover, rebase");
            return Err(Problem::new(Code::BadRequest, detail));
        }
    };
    Ok(Order::DecideHeld { meter: meter.clone(), register, decision })
}

/// Orders, leaves a note with the outcome, and sends the browser back to the meter: a reload does
/// not order again.
async fn ordered(
    desk: &Desk,
    request: &Request,
    caller: &Caller,
    meter: &MeterId,
    order: Order,
) -> Response {
    let say = Say(request.lang);
    let note = match commands::from_page(&desk.shared, caller, order).await {
        Ok(done) => {
            Note { good: true, text: say.fill(say.done(), &[&outcome_text(say, &done["detail"])]) }
        }
        Err(problem) => {
            let lang = request.lang;
            let (sentence, advice) = (problem.code.sentence(lang), problem.code.advice(lang));
            Note { good: false, text: format!("{sentence} {} {advice}", problem.detail) }
        }
    };
    if let Caller::Person(person) = caller {
        desk.shared.accounts.leave_note(person, note);
    }
    see_other(&format!("/meters/{meter}"))
}

/// A command's detail for people: values as `name 12.5 kWh`, else the text itself.
fn outcome_text(say: Say, detail: &serde_json::Value) -> String {
    let Some(values) = detail.as_object() else {
        return detail.as_str().unwrap_or("").to_owned();
    };
    let told: Vec<String> = values
        .iter()
        .filter_map(|(name, quantity)| {
            let (value, unit) = (quantity["value"].as_str()?, quantity["unit"].as_str()?);
            let unit = if unit == "1" { "" } else { unit };
            Some(format!("{} {value} {unit}", say.register(name)).trim_end().to_owned())
        })
        .collect();
    told.join(" · ")
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
    let mut response = if request.is_api() {
        let document = problem.document(request.lang, &request.path);
        answer::content(document.to_string(), "application/problem+json")
    } else if problem.code == Code::Unauthenticated && !request.mutates() {
        return see_other(&format!("/login?next={}", request.path));
    } else {
        let page = Page::new(desk, request, &Caller::Nobody);
        match request.path.as_str() {
            // The form again, with what is wrong above it.
            "/login" if desk.shared.accounts.is_set_up() => {
                door::login(&page, Some(problem)).unwrap_or_else(|_| door::trouble(&page, problem))
            }
            "/setup" => door::set_up(&page, Some(problem)),
            _ => door::trouble(&page, problem),
        }
    };
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
