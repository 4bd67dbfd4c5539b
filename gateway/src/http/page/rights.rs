//! Rights that are given and taken by hand: visitors' cards, what is shut out, whether arrears close
//! entrances; and what is ordered of all doors at once.

use super::components::empty;
use super::doors::section;
use super::forms::{Field, Input, Reader};
use super::{Act, Page, seen};
use crate::http::answer::{Answered, Desk};
use blockgate_rules::access::event::{Credential, Grant};
use blockgate_rules::access::setup::AccessSetup;
use blockgate_rules::input::{ConfirmArrears, DoorsOrder, GrantOrder, Order, RevokeOrder};
use blockgate_types::{GrantId, GroupId, Span, Time};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// Hours for which a card is given a right on the page.
const HOURS: [i64; 6] = [4, 12, 24, 72, 168, 720];

/// Kinds of what can be shut out, as the form names them.
const KINDS: [&str; 3] = ["card", "person", "account"];

/// Grants, what is shut out, arrears, and orders to all doors.
pub(super) fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let say = page.view.say;
    let doors = &desk.shared.doors;
    let setup = doors.setup().map(|setup| &**setup);
    let state = doors.state();
    Ok(page.framed(
        say.rights(),
        false,
        html! {
            div.head { h1 { (say.rights()) } }
            (section(page))
            @if let Some(setup) = setup {
                (all_doors(page, !state.emergency().is_empty()))
                (arrears(page, setup, state.confirmed() == setup.arrears.as_ref()))
                section.card {
                    header { h2 { (say.visitors()) } }
                    @if state.grants().is_empty() { (empty(say.no_visitors())) } @else {
                        table.stack {
                            thead { tr { th { (say.visit()) } th.num { (say.card()) } th { (say.account()) } th.num { (say.until()) } th.num { (say.used_times()) } th {} } }
                            tbody { @for (id, used) in state.grants() {
                                tr {
                                    td.lead { (id) }
                                    td.num data-name=(say.card()) { (used.terms.card) }
                                    td data-name=(say.account()) { @if let Some(account) = &used.terms.account { (account) } }
                                    td.num data-name=(say.until()) { (page.view.time(used.terms.until)) }
                                    td.num data-name=(say.used_times()) { (used.times) @if let Some(count) = used.terms.count { " / " (count) } }
                                    td { (take(page, "grant", id.as_str())) }
                                }
                            } }
                        }
                    }
                    (give(page, setup, &seen::of_grants(desk)))
                }
                section.card {
                    header { h2 { (say.shut_out()) } }
                    @if state.revoked().is_empty() { (empty(say.nobody_shut_out())) } @else {
                        table.stack {
                            thead { tr { th { (say.what()) } th.num { (say.when()) } th {} } }
                            tbody { @for (of, since) in state.revoked() {
                                @let (kind, id) = named(of);
                                tr {
                                    td.lead { (say.kind_of(kind)) " " (id) }
                                    td.num data-name=(say.when()) { (page.view.time(*since)) }
                                    td { (back(page, kind, &id, *since)) }
                                }
                            } }
                        }
                    }
                    (shut_out(page))
                }
            } @else { (empty(say.no_doors())) }
        },
    ))
}

/// What is ordered of all doors at once.
fn all_doors(page: &Page<'_>, emergency: bool) -> Markup {
    let say = page.view.say;
    let told = DoorsOrder { doors: BTreeSet::new(), until: None, reason: String::new() };
    let one = |action: &str, field, word: &str, why: &str| {
        html! {
            details open[page.sends(action)] {
                summary { (word) }
                (page.form(action, || html! {
                    (page.field(&Field::new(field, say.reason(), Input::Text).hint(why)))
                    button.button type="submit" { (word) }
                }))
            }
        }
    };
    html! {
        @if page.may(&Order::EmergencyOpen(told)) {
            section.card {
                header { h2 { (say.all_doors()) } }
                @if emergency { (one("/door-rights/end", "end_reason", say.end_emergency(), say.end_emergency_why())) }
                (one("/door-rights/emergency", "emergency_reason", say.open_all(), say.open_all_why()))
                (one("/door-rights/lock", "lock_reason", say.lock_down(), say.lock_down_why()))
                (one("/door-rights/release", "release_all_reason", say.release_all(), say.release_all_why()))
            }
        }
    }
}

/// The warning that arrears close entrances, and who confirms it.
fn arrears(page: &Page<'_>, setup: &AccessSetup, confirmed: bool) -> Markup {
    let say = page.view.say;
    let at_stake = setup.entrances_at_stake();
    let names: Vec<&str> = at_stake.iter().map(|door| door.as_str()).collect();
    let names = names.join(",");
    let may = page.may(&Order::ConfirmArrears(Box::new(ConfirmArrears {
        confirmed: true,
        entrances: BTreeSet::new(),
        by: String::new(),
        reason: String::new(),
    })));
    html! {
            @if !at_stake.is_empty() {
                section.card {
                    header { h2 { (say.arrears_doors()) } @if confirmed { span.pill.bad { (say.rule_confirmed()) } } @else { span.pill.late { (say.not_confirmed()) } } }
                    p.note.late { (say.arrears_warning()) }
                    ul { @for door in &at_stake { li { (door) } } }
                    @if may {
                        (page.form(if confirmed { "/door-rights/take-back" } else { "/door-rights/confirm" }, || html! {
    input type="hidden" name="entrances" value=(names);
                            (page.field(&Field::new("by", say.who_confirms(), Input::Text).hint(say.who_confirms_hint())))
                            (page.field(&Field::new("arrears_reason", say.reason(), Input::Text)))
                            button.button type="submit" { (if confirmed { say.take_back() } else { say.confirm_arrears() }) }
                        }))
                    }
                }
            }
        }
}

fn give(page: &Page<'_>, setup: &AccessSetup, seen: &str) -> Markup {
    let say = page.view.say;
    let hours: Vec<(String, String)> = HOURS
        .iter()
        .map(|n| (n.to_string(), say.fill(say.hours_long(), &[&n.to_string()])))
        .collect();
    let groups: Vec<(String, String)> =
        setup.groups.keys().map(|id| (id.to_string(), id.to_string())).collect();
    html! {
        @if page.may(&Order::Restore { of: Credential::Card(0) }) {
            details open[page.sends("/door-rights/grant")] {
                summary { (say.give_card()) }
                (page.form("/door-rights/grant", || html! {
                    (seen::field(seen))
                    (page.field(&Field::new("grant", say.visit(), Input::Code).hint(say.visit_hint())))
                    (page.field(&Field::new("grant_card", say.card(), Input::Code)))
                    (page.field(&Field::new("grant_group", say.door_group(), Input::Choice(&groups))))
                    (page.field(&Field::new("grant_account", say.account(), Input::Code).optional()))
                    (page.field(&Field::new("grant_hours", say.how_long(), Input::Choice(&hours))))
                    (page.field(&Field::new("grant_count", say.how_often(), Input::Number).optional()))
                    button.button type="submit" { (say.give_card()) }
                }))
            }
        }
    }
}

fn take(page: &Page<'_>, kind: &str, id: &str) -> Markup {
    let say = page.view.say;
    html! {
        @if page.may(&Order::Restore { of: Credential::Card(0) }) {
            (page.form("/door-rights/revoke", || html! {
                input type="hidden" name="of_kind" value=(kind);
                input type="hidden" name="of" value=(id);
                input type="hidden" name="revoke_reason" value=(say.ended_on_page());
                button.button.second type="submit" { (say.end_visit()) }
            }))
        }
    }
}

fn back(page: &Page<'_>, kind: &str, id: &str, since: Time) -> Markup {
    let say = page.view.say;
    html! {
        @if page.may(&Order::Restore { of: Credential::Card(0) }) {
            (page.form("/door-rights/restore", || html! {
                (seen::field(&since.to_string()))
                input type="hidden" name="of_kind" value=(kind);
                input type="hidden" name="of" value=(id);
                button.button.second type="submit" { (say.let_in_again()) }
            }))
        }
    }
}

fn shut_out(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    let kinds: Vec<(String, String)> =
        KINDS.iter().map(|kind| ((*kind).to_owned(), say.kind_of(kind).to_owned())).collect();
    html! {
        @if page.may(&Order::Restore { of: Credential::Card(0) }) {
            details open[page.sends("/door-rights/revoke")] {
                summary { (say.shut_somebody_out()) }
                (page.form("/door-rights/revoke", || html! {
                    (page.field(&Field::new("of_kind", say.what(), Input::Choice(&kinds))))
                    (page.field(&Field::new("of", say.number_or_id(), Input::Code)))
                    (page.field(&Field::new("revoke_reason", say.reason(), Input::Text)))
                    button.button type="submit" { (say.shut_somebody_out()) }
                }))
            }
        }
    }
}

/// A credential's kind and what names it, as its forms say it.
pub(super) fn named_right(of: &Credential) -> (String, String) {
    let (kind, id) = named(of);
    (kind.to_owned(), id)
}

/// A credential's kind and what names it.
fn named(of: &Credential) -> (&'static str, String) {
    match of {
        Credential::Grant(id) => ("grant", id.to_string()),
        Credential::Card(number) => ("card", number.to_string()),
        Credential::Person(id) => ("person", id.to_string()),
        Credential::Account(id) => ("account", id.to_string()),
    }
}

fn credential(read: &mut Reader<'_>) -> Option<Credential> {
    match read.text("of_kind").as_str() {
        "grant" => read.parsed("of").map(Credential::Grant),
        "card" => read.parsed("of").map(Credential::Card),
        "person" => read.parsed("of").map(Credential::Person),
        "account" => read.parsed("of").map(Credential::Account),
        _ => {
            read.fault("of_kind", read.say.not_understood());
            None
        }
    }
}

/// The order of a form of this screen.
pub(super) fn order(page: &Page<'_>, read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    let all = |reason: String| DoorsOrder { doors: BTreeSet::new(), until: None, reason };
    match act {
        Act::GrantCard => {
            let grant: Option<GrantId> = read.parsed("grant");
            let card: Option<u64> = read.parsed("grant_card");
            let group: Option<GroupId> = read.parsed("grant_group");
            let optional = |read: &Reader<'_>, name: &str| {
                Some(read.text(name)).filter(|text| !text.is_empty())
            };
            let account =
                optional(read, "grant_account").and_then(|_| read.parsed("grant_account"));
            let count = optional(read, "grant_count").and_then(|_| read.parsed("grant_count"));
            let hours = read.parsed::<i64>("grant_hours").filter(|hours| HOURS.contains(hours));
            let from = page.view.now;
            let terms = Grant {
                card: card?,
                groups: BTreeSet::from([group?]),
                account,
                plate: None,
                from,
                until: from.plus(Span::from_hours(hours?)),
                count,
            };
            Some(Order::Grant(Box::new(GrantOrder { grant: grant?, terms })))
        }
        Act::RevokeRight => {
            let reason = read.said("revoke_reason", 200);
            let of = credential(read)?;
            Some(Order::Revoke(Box::new(RevokeOrder { of, reason })))
        }
        Act::RestoreRight => Some(Order::Restore { of: credential(read)? }),
        Act::ConfirmArrears | Act::TakeArrearsBack => {
            let (by, reason) = (read.said("by", 200), read.said("arrears_reason", 200));
            let confirmed = *act == Act::ConfirmArrears;
            // What the warning showed is what is confirmed; the rules refuse it where that has changed.
            let shown = read.text("entrances");
            let named = shown.split(',').filter(|name| confirmed && !name.is_empty());
            let entrances = named.filter_map(|name| name.parse().ok()).collect();
            Some(Order::ConfirmArrears(Box::new(ConfirmArrears {
                confirmed,
                entrances,
                by,
                reason,
            })))
        }
        Act::OpenAllDoors => Some(Order::EmergencyOpen(all(read.said("emergency_reason", 200)))),
        Act::EndEmergency => Some(Order::EndEmergency { reason: read.said("end_reason", 200) }),
        Act::LockDown => Some(Order::LockDown(all(read.said("lock_reason", 200)))),
        Act::ReleaseAllDoors => {
            Some(Order::ReleaseDoors(all(read.said("release_all_reason", 200))))
        }
        _ => None,
    }
}

impl super::text::Say {
    /// The word of what is shut out.
    fn kind_of(self, kind: &str) -> &'static str {
        match kind {
            "grant" => self.visit(),
            "card" => self.card(),
            "person" => self.person(),
            _ => self.account(),
        }
    }
}
