//! The frame around every screen: bar, sections by role, notes, and the small frame for who is not
//! logged in.

use super::components::{address, icon};
use super::text::Say;
use super::{Page, answer_html, assets};
use crate::http::auth::{Area, Role};
use crate::problem::Lang;
use maud::{DOCTYPE, Markup, html};
use std::sync::atomic::Ordering;
use warp::reply::Response;

/// A section of the page.
pub(super) struct Section {
    pub(super) path: &'static str,
    /// The begin of the paths that belong to it too.
    also: &'static [&'static str],
    area: Area,
    /// Path data on a field of 24 by 24.
    pub(super) drawing: &'static str,
    pub(super) name: fn(Say) -> &'static str,
}

/// The sections in the order of the navigation. Others add theirs here: one row, one screen.
const SECTIONS: &[Section] = &[
    Section {
        path: "/",
        also: &[],
        area: Area::Overview,
        drawing: "M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-3H4zM14 7h6V4h-6z",
        name: Say::overview,
    },
    Section {
        path: "/meters",
        also: &["/lines", "/scan", "/sheet"],
        area: Area::Meters,
        drawing: "M12 20a8 8 0 1 1 8-8M12 12l4-4M19 16v5M16.500 18.500h5",
        name: Say::meters,
    },
    Section {
        path: "/households",
        also: &["/bills", "/counter", "/receipts", "/corrections", "/rules"],
        area: Area::Money,
        drawing: "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6",
        name: Say::money_section,
    },
    Section {
        path: "/parking",
        also: &["/stays", "/unresolved", "/tariff-board"],
        area: Area::Parking,
        drawing: "M5 16l1.500-5h11l1.500 5v4h-3v-2H8v2H5zM7.500 11l1-3h7l1 3M8 14.500h.01M16 14.500h.01",
        name: Say::parking,
    },
    Section {
        path: "/doors",
        also: &["/door-events", "/controllers", "/door-rights"],
        area: Area::Parking,
        drawing: "M6 21V3h12v18M3 21h18M14.500 12h.01",
        name: Say::doors,
    },
    Section {
        path: "/alarms",
        also: &[],
        area: Area::Alarms,
        drawing: "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4",
        name: Say::alarms,
    },
    Section {
        path: "/board",
        also: &[],
        area: Area::Board,
        drawing: "M4 20V4M4 20h16M8 20v-6h3v6M14 20V8h3v12",
        name: Say::board,
    },
    Section {
        path: "/system",
        also: &["/outbox", "/audit", "/log", "/diagnostics", "/start", "/backup"],
        area: Area::System,
        drawing: "M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01",
        name: Say::system,
    },
    Section {
        path: "/users",
        also: &[],
        area: Area::Users,
        drawing: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8M2 21v-2a5 5 0 0 1 5-5h4a5 5 0 0 1 5 5v2M17 4a4 4 0 0 1 0 7M18 14a5 5 0 0 1 4 5v2",
        name: Say::users,
    },
];

const HOUSE: &str = "M4 21V9l8-6 8 6v12M9.500 21v-7h5v7";
const DOTS: &str = "M5 12h.01M12 12h.01M19 12h.01";

/// The sections that a role sees.
pub(super) fn sections(role: Role) -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().filter(move |section| role.sees(section.area))
}

impl Section {
    fn holds(&self, path: &str) -> bool {
        let under = |begin: &str| path == begin || path.starts_with(&format!("{begin}/"));
        if self.path == "/" {
            return path == "/";
        }
        under(self.path) || self.also.iter().any(|begin| under(begin))
    }
}

impl Page<'_> {
    fn head(&self, title: &str) -> Markup {
        let names = &*assets::NAMES;
        html! {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover";
            meta name="robots" content="noindex";
            @let again = self.refresh.load(Ordering::Relaxed);
            @if again > 0 { meta http-equiv="refresh" content=(again); }
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
        html! {
            a.quiet href=(address(&format!("/language/{code}"), &[("back", &self.here())])) lang=(tag) hreflang=(tag) {
                (self.view.say.other_language())
            }
        }
    }

    /// A screen of a logged-in person. `live` says whether its values follow the event stream.
    pub(super) fn framed(&self, title: &str, live: bool, content: Markup) -> Response {
        let (say, view) = (self.view.say, &self.view);
        let role = self.role.unwrap_or(Role::Auditor);
        let here = |path: &str| (self.at == path).then_some("page");
        answer_html(html! {
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
                    header.bar {
                        a.brand href="/" { (icon(HOUSE)) span { "blockgate" small { (self.gateway) } } }
                        (self.language())
                        a.quiet href="/me" aria-current=[here("/me")] title=(say.me()) { (self.user) }
                        form method="post" action="/logout" {
                            input type="hidden" name="csrf" value=(self.csrf);
                            button.quiet type="submit" { (say.log_out()) }
                        }
                    }
                    nav.tabs aria-label=(say.navigation()) {
                        @for section in sections(role) {
                            a href=(section.path) aria-current=[section.holds(&self.at).then_some("page")] {
                                (icon(section.drawing)) span { ((section.name)(say)) }
                            }
                        }
                        a.more href="/more" aria-current=[here("/more")] { (icon(DOTS)) span { (say.more()) } }
                    }
                    main #main tabindex="-1" {
                        @if self.locked { (self.unlocking()) }
                        @if let Some(note) = &self.note {
                            p.note.good[note.good].bad[!note.good] role=(if note.good { "status" } else { "alert" }) { (note.text) }
                        }
                        (content)
                    }
                    p #offline .note role="status" hidden { (say.offline()) }
                }
            }
        })
    }

    /// What stands above every screen of a locked session: read on, or give the password.
    fn unlocking(&self) -> Markup {
        let say = self.view.say;
        html! {
            section.note.late {
                strong { (say.locked()) }
                form.row method="post" action="/unlock" {
                    input type="hidden" name="csrf" value=(self.csrf);
                    input type="hidden" name="next" value=(self.here());
                    input type="hidden" name="user" value=(self.user) autocomplete="username" disabled;
                    label { (say.password())
                        input name="password" type="password" autocomplete="current-password" required;
                    }
                    button.button type="submit" { (say.unlock()) }
                }
            }
        }
    }

    /// A page for who is not logged in.
    pub(super) fn plain(&self, title: &str, content: Markup) -> Response {
        let say = self.view.say;
        answer_html(html! {
            (DOCTYPE)
            html lang=(say.0.tag()) {
                head {
                    (self.head(title))
                    script defer src={ "/assets/" (assets::NAMES.script) } {}
                }
                body data-now=(self.view.now) {
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
}

/// The list of all sections: what a narrow screen has no room for.
pub(super) fn more(page: &Page<'_>) -> Response {
    let say = page.view.say;
    let role = page.role.unwrap_or(Role::Auditor);
    page.framed(
        say.more(),
        false,
        html! {
            div.head { h1 { (say.more()) } }
            ul.menu {
                @for section in sections(role) {
                    li { a.card href=(section.path) { (icon(section.drawing)) ((section.name)(say)) } }
                }
                li { a.card href="/me" { (icon(HOUSE)) (say.me()) } }
            }
        },
    )
}
