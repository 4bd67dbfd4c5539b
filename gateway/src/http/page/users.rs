//! Who may come in, and as what; and everybody's own password.

use super::forms::{Field, Input, Reader};
use super::text::Say;
use super::{Act, Outcome, Page};
use crate::http::answer::Desk;
use crate::http::auth::{Caller, Person, Role};
use crate::problem::{Code, Problem};
use blockgate_rules::event::Upkeep;
use maud::html;
use warp::reply::Response;

impl Say {
    /// A role's name, and what it is for.
    pub(super) fn of_role(self, role: Role) -> (&'static str, &'static str) {
        match role {
            Role::Operator => (self.role_operator(), self.role_operator_why()),
            Role::Installer => (self.role_installer(), self.role_installer_why()),
            Role::Caretaker => (self.role_caretaker(), self.role_caretaker_why()),
            Role::Finance => (self.role_finance(), self.role_finance_why()),
            Role::Auditor => (self.role_auditor(), self.role_auditor_why()),
        }
    }
}

/// The page.
pub(super) fn show(desk: &Desk, page: &Page<'_>) -> Response {
    let say = page.view.say;
    let people = desk.shared.accounts.people();
    let roles: Vec<(String, String)> = Role::ALL
        .iter()
        .rev()
        .map(|role| {
            let (name, why) = say.of_role(*role);
            (role.text().to_owned(), format!("{name}: {why}"))
        })
        .collect();
    page.framed(
        say.users(),
        false,
        html! {
            div.head { h1 { (say.users()) } }
            @if !page.locked {
                section.card {
                    header { h2 { (say.user_save()) } }
                    p.mute { (say.user_save_why()) }
                    (page.form("/users/save", || html! {
                        (page.field(&Field::new("user", say.user(), Input::Code).hint(say.user_hint())))
                        (page.field(&Field::new("role", say.role_word(), Input::Choice(&roles))))
                        (page.field(&Field::new("password", say.password(), Input::NewPassword).optional().hint(say.password_hint())))
                        button.button type="submit" { (say.save()) }
                    }))
                }
            }
            section.card {
                header { h2 { (say.users_who()) } }
                table.stack {
                    thead { tr { th { (say.user()) } th { (say.role_word()) } th { (say.may()) } th {} } }
                    tbody {
                        @for (name, role) in &people {
                            @let (word, why) = say.of_role(*role);
                            tr {
                                td.lead { (name) }
                                td data-name=(say.role_word()) { (word) }
                                td.wide.mute.small { (why) }
                                td {
                                    @if !page.locked {
                                        details {
                                            summary { (say.change_user()) " " (name) }
                                            (page.form("/users/save", || html! {
                                                input type="hidden" name="user" value=(name);
                                                input type="hidden" name="seen" value=(role.text());
                                                (page.field(&Field::new("role", say.role_word(), Input::Choice(&roles)).value(role.text())))
                                                (page.field(&Field::new("password", say.password(), Input::NewPassword).optional().hint(say.password_hint())))
                                                button.button type="submit" { (say.save()) }
                                            }))
                                        }
                                    }
                                    @if !page.locked && *name != page.user {
                                        (page.form_of("/users/remove", ("user", name), || html! {
                                            button.button.second type="submit" { (say.remove()) " " (name) }
                                        }))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}

/// The person's own page.
pub(super) fn me(page: &Page<'_>) -> Response {
    let say = page.view.say;
    page.framed(
        say.me(),
        false,
        html! {
            div.head { h1 { (page.user) } }
            @if let Some(role) = page.role {
                @let (word, why) = say.of_role(role);
                section.card { p { strong { (word) } } p.mute { (why) } }
            }
            section.card {
                header { h2 { (say.change_password()) } }
                (page.form("/me/password", || html! {
                    (page.field(&Field::new("old", say.old_password(), Input::Password)))
                    (page.field(&Field::new("password", say.new_password(), Input::NewPassword)))
                    (page.field(&Field::new("again", say.again(), Input::NewPassword)))
                    button.button type="submit" { (say.change_password()) }
                }))
                p.mute.small { (say.change_password_why()) }
            }
        },
    )
}

/// Saves or removes a user, or changes the person's own password.
///
/// # Errors
/// [`Code::Forbidden`] for who may not.
pub(super) async fn act(
    desk: &Desk,
    page: &Page<'_>,
    person: &Person,
    act: &Act,
    mut read: Reader<'_>,
) -> Result<Outcome, Problem> {
    let (say, accounts) = (page.view.say, &desk.shared.accounts);
    let mut did = None;
    let done = match act {
        Act::SaveUser => {
            let name = read.said("user", 32);
            let role = Role::of(&read.text("role"));
            if role.is_none() {
                read.fault("role", say.not_understood());
            }
            let password = read.raw("password").to_owned();
            // Somebody else may have changed the user since the form was shown.
            let seen = Role::of(&read.text("seen"));
            let now = accounts.people().into_iter().find(|(user, _)| *user == name);
            if let Some(seen) = seen
                && now.as_ref().map(|(_, role)| *role) != Some(seen)
            {
                let word = |role: Role| say.of_role(role).0;
                let now = now.map_or(say.removed(), |(_, role)| word(role));
                let text = say.fill(say.user_changed_meanwhile(), &[&name, word(seen), now]);
                let note = super::Note { good: false, text };
                return Ok(Outcome::Again(read.typed(true), Some(note)));
            }
            match role.filter(|_| read.is_good()) {
                Some(role) => {
                    let password = Some(password.as_str()).filter(|text| !text.is_empty());
                    let done = accounts.set_person(&name, role, password).await;
                    if done.is_ok() {
                        let (by, role) = (&person.user, role.text());
                        tracing::warn!(%by, user = %name, role, "a user was saved");
                        let (role, password) = (role.to_owned(), password.is_some());
                        did = Some(Upkeep::UserSaved { user: name, role, password });
                    }
                    done
                }
                None => return Ok(Outcome::Again(read.typed(true), None)),
            }
        }
        Act::RemoveUser => {
            let name = read.said("user", 32);
            if name == person.user {
                return Err(Problem::new(Code::BadRequest, "nobody removes themselves"));
            }
            let done = accounts.remove_person(&name);
            if done.is_ok() {
                tracing::warn!(by = %person.user, user = %name, "a user was removed");
                did = Some(Upkeep::UserRemoved { user: name });
            }
            done
        }
        _ => {
            read.said("old", 1024);
            read.said("password", 1024);
            let (old, new) = (read.raw("old").to_owned(), read.raw("password").to_owned());
            if read.raw("again") != new {
                read.fault("again", say.passwords_differ());
            }
            if !read.is_good() {
                return Ok(Outcome::Again(read.typed(true), None));
            }
            match accounts.check(person, &old).await {
                Ok(()) => {
                    let done = accounts.set_person(&person.user, person.role, Some(&new)).await;
                    if done.is_ok() {
                        did = Some(Upkeep::PasswordChanged { user: person.user.clone() });
                    }
                    done
                }
                Err(problem) => Err(problem),
            }
        }
    };
    if let Some(did) = did {
        desk.shared.tell(Caller::Person(person.clone()).actor(), did).await;
    }
    Ok(match done {
        Ok(()) => Outcome::Done(say.done().to_owned(), act.screen().path()),
        Err(problem) => {
            let note = page.refused(&problem);
            Outcome::Again(read.typed(true), Some(note))
        }
    })
}
