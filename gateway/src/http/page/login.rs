//! Pages for who is not logged in or was away: login, first set-up, the password of a locked session,
//! and what went wrong. What a form had brought when its session was over is kept by the login form
//! itself and shown again after it, to be sent by a person: nothing is ordered by a login.

use super::forms::Typed;
use super::{Note, Outcome, Page};
use crate::http::answer::{Desk, local};
use crate::http::auth::{Person, USER};
use crate::http::page::Act;
use crate::http::request::Fields;
use crate::problem::{Code, Problem};
use maud::{Markup, html};
use warp::reply::Response;

/// A form that waits for a login.
#[derive(Debug)]
pub(super) struct Kept {
    to: String,
    fields: Vec<(String, String)>,
}

impl Kept {
    /// What a form brought; `None` where it is none of ours.
    pub(super) fn of(path: &str, body: &[u8]) -> Option<Self> {
        let act = Act::of(path).filter(|act| !act.is_secret())?;
        let fields: Vec<(String, String)> = form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .filter(|(name, _)| act.fields().contains(&name.as_str()))
            .collect();
        Some(Self { to: path.to_owned(), fields })
    }

    /// What a login form carried.
    pub(super) fn again(fields: &Fields) -> Option<Self> {
        Self::of(fields.get("to")?, fields.get("kept").unwrap_or_default().as_bytes())
    }

    fn hidden(&self) -> Markup {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&self.fields);
        html! {
            input type="hidden" name="to" value=(self.to);
            input type="hidden" name="kept" value=(body.finish());
        }
    }
}

fn notice(page: &Page<'_>, problem: Option<&Problem>) -> Markup {
    let say = page.view.say;
    html! {
        @if let Some(problem) = problem {
            div.note.bad role="alert" {
                strong { (problem.code.sentence(say.0)) }
                p { (problem.code.advice(say.0)) }
                @if !problem.detail.is_empty() { p.mono { (say.told(&problem.detail)) } }
            }
        }
    }
}

/// The login form. Pasting and password managers work.
pub(super) fn login(
    page: &Page<'_>,
    problem: Option<&Problem>,
    kept: Option<&Kept>,
    next: Option<&str>,
) -> Response {
    let say = page.view.say;
    page.plain(
        say.log_in(),
        html! {
            form.card method="post" action="/login" {
                header { h1 { (say.log_in()) } }
                p.mute { (say.login_why()) }
                (notice(page, problem))
                @if let Some(kept) = kept { p.note.good { (say.typed_is_kept()) } (kept.hidden()) }
                @if let Some(next) = next { input type="hidden" name="next" value=(next); }
                label { (say.user())
                    input name="user" value=(USER) autocomplete="username" autocapitalize="none" required;
                }
                label { (say.password())
                    input name="password" type="password" autocomplete="current-password" required autofocus;
                }
                button.button type="submit" { (say.log_in()) }
            }
            p.foot.mute.small { (say.forgot()) }
        },
    )
}

/// The password of a locked session, with what was to be sent.
pub(super) fn locked(page: &Page<'_>, kept: Option<&Kept>, problem: Option<&Problem>) -> Response {
    let say = page.view.say;
    page.plain(
        say.unlock(),
        html! {
            form.card method="post" action="/unlock" {
                header { h1 { (say.unlock()) } }
                p.mute { (say.locked()) }
                (notice(page, problem))
                input type="hidden" name="csrf" value=(page.csrf);
                @if let Some(kept) = kept { p.note.good { (say.typed_is_kept()) } (kept.hidden()) }
                input type="hidden" name="user" value=(page.user) autocomplete="username" disabled;
                label { (say.password())
                    input name="password" type="password" autocomplete="current-password" required autofocus;
                }
                button.button type="submit" { (say.unlock()) }
            }
            p.foot { a href="/" { (say.only_look()) } }
        },
    )
}

/// Opens a locked session and goes on with what was to be sent.
pub(super) async fn unlock(
    desk: &Desk,
    page: &mut Page<'_>,
    person: &Person,
    fields: &Fields,
) -> Result<Outcome, Problem> {
    let accounts = &desk.shared.accounts;
    let password = fields.get("password").unwrap_or_default();
    let kept = Kept::again(fields);
    if let Err(problem) = accounts.check(person, password).await {
        let mut response = locked(page, kept.as_ref(), Some(&problem));
        if let Ok(status) = warp::http::StatusCode::from_u16(problem.code.status()) {
            *response.status_mut() = status;
        }
        return Ok(Outcome::Shown(response));
    }
    accounts.unlock(person);
    page.locked = false;
    let shown = match kept {
        Some(kept) => resumed(desk, page, kept).await,
        None => None,
    };
    Ok(shown.map_or_else(
        || {
            let to = local(fields.get("next")).to_owned();
            Outcome::Done(page.view.say.unlocked().to_owned(), to)
        },
        Outcome::Shown,
    ))
}

/// The screen of a form that waited for a login, with what was typed in it, to be sent by a person; what it
/// says was seen is what stands there now. `None` for who may not see it.
pub(super) async fn resumed(desk: &Desk, page: &mut Page<'_>, kept: Kept) -> Option<Response> {
    let screen = Act::of(&kept.to)?.screen();
    if !page.role?.sees(screen.area()) {
        return None;
    }
    page.at = screen.path();
    page.note = Some(Note { good: true, text: page.view.say.typed_again().to_owned() });
    page.typed = Typed::of(kept.fields);
    page.sent = Some(kept.to);
    // A screen that is gone meanwhile is no reason to refuse the login.
    super::show(desk, page, &screen).await.ok()
}

/// The form for the first password.
pub(super) fn set_up(page: &Page<'_>, problem: Option<&Problem>) -> Response {
    let say = page.view.say;
    page.plain(
        say.set_up(),
        html! {
            form.card method="post" action="/setup" {
                header { h1 { (say.set_up()) } }
                p.mute { (say.set_up_why()) }
                (notice(page, problem))
                label { (say.set_up_code())
                    input name="code" autocomplete="one-time-code" autocapitalize="characters"
                        placeholder="XXXX-XXXX-XXXX" required;
                }
                input type="hidden" name="user" value=(USER) autocomplete="username" disabled;
                label { (say.new_password())
                    input name="password" type="password" autocomplete="new-password" minlength="10" required;
                }
                label { (say.again())
                    input name="again" type="password" autocomplete="new-password" minlength="10" required;
                }
                button.button type="submit" { (say.set_up_do()) }
            }
        },
    )
}

/// What went wrong, and where to go from here.
pub(super) fn trouble(page: &Page<'_>, problem: &Problem) -> Response {
    let say = page.view.say;
    let way = if problem.code == Code::SetUpNeeded {
        ("/setup", say.set_up())
    } else {
        ("/", say.back())
    };
    page.plain(
        say.problem(),
        html! {
            div.card {
                header { h1 { (say.problem()) } }
                (notice(page, Some(problem)))
                a.button href=(way.0) { (way.1) }
            }
        },
    )
}
