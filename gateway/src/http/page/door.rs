//! Pages for who is not logged in: login, first set-up, and what went wrong.

use super::Page;
use crate::http::answer::Answered;
use crate::http::auth::USER;
use crate::http::request::Fields;
use crate::problem::{Code, Problem};
use maud::{Markup, html};
use warp::reply::Response;

fn notice(page: &Page<'_>, problem: Option<&Problem>) -> Markup {
    let lang = page.view.say.0;
    html! {
        @if let Some(problem) = problem {
            div.note.bad role="alert" {
                strong { (problem.code.sentence(lang)) }
                p { (problem.code.advice(lang)) }
                @if !problem.detail.is_empty() { p.mono { (problem.detail) } }
            }
        }
    }
}

/// The login form. Pasting and password managers work.
pub(super) fn login(page: &Page<'_>, problem: Option<&Problem>) -> Answered {
    let say = page.view.say;
    let fields = if page.request.mutates() {
        Fields::default()
    } else {
        Fields::parse(page.request.query.as_bytes(), &["next"])?
    };
    Ok(page.plain(
        say.log_in(),
        html! {
            form.card method="post" action="/login" {
                header { h1 { (say.log_in()) } }
                p.mute { (say.login_why()) }
                (notice(page, problem))
                @if let Some(next) = fields.get("next") { input type="hidden" name="next" value=(next); }
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
    ))
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
