//! Doors: how they stand, who may pass, what happened, what controllers still have to be told, and
//! opening one with a reason.

use super::components::{View, empty, tabs};
use super::forms::{Field, Input, Reader};
use super::{Act, Page};
use crate::http::answer::{Answered, Desk};
use crate::http::doors::{DoorAsk, answer};
use crate::http::request::Fields;
use blockgate_rules::input::{DoorsOrder, HoldDoor, OpenDoor, Order};
use blockgate_types::{DoorId, Span, Time};
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeSet;

/// Hours for which a door can be held open on the page.
const HOLD_HOURS: [i64; 4] = [1, 4, 12, 24];

/// The tabs of the doors' screens.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    tabs(
        page,
        &[
            ("/doors", say.doors()),
            ("/door-events", say.door_events()),
            ("/door-rights", say.rights()),
            ("/controllers", say.controllers()),
        ],
    )
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn moment(view: &View, value: &Value) -> Markup {
    let at: Option<Time> = value.as_str().and_then(|at| at.parse().ok());
    html! { @if let Some(at) = at { (view.time(at)) } }
}

fn rows(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// All doors.
pub(super) fn list(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let all = answer(&desk.shared, &DoorAsk::Doors, "")?;
    let doors = rows(&all["doors"]);
    Ok(page.framed(
        say.doors(),
        false,
        html! {
            div.head { h1 { (say.doors()) } }
            (section(page))
            @if let Some(since) = all["emergency"].as_str() {
                p.note.bad role="alert" { strong { (say.emergency()) } " "
                    @match since.parse() { Ok(at) => (page.view.time(at)), Err(_) => (since) }
                }
            }
            @for warning in rows(&all["warnings"]) {
                p.note.late { (text(if say.0 == crate::problem::Lang::Zh { &warning["zh"] } else { &warning["en"] })) }
            }
            @if doors.is_empty() { (empty(say.no_doors())) }
            div.grid { @for door in &doors { (one(view, page, door)) } }
        },
    ))
}

fn one(view: &View, page: &Page<'_>, door: &Value) -> Markup {
    let say = view.say;
    let id = text(&door["id"]);
    let parsed: Option<DoorId> = id.parse().ok();
    let online = door["online"].as_bool().unwrap_or(false);
    let held = door["held"].as_str().unwrap_or("normal");
    let hours: Vec<(String, String)> = HOLD_HOURS
        .iter()
        .map(|n| (n.to_string(), say.fill(say.hours_long(), &[&n.to_string()])))
        .collect();
    html! {
        section.card {
            header {
                h3 { a href={ "/doors/" (id) } { (id) } }
                @if online { span.pill.good { (say.door_online()) } } @else { span.pill.bad { (say.silent()) } }
            }
            p {
                @match held {
                    "open" => { span.pill.late { (say.held_open()) } },
                    "locked" => { span.pill.bad { (say.held_locked()) } },
                    _ => { span.pill { (say.held_normal()) } },
                }
                @if door["open_since"].is_string() { " " span.pill.late { (say.open_since()) " " (moment(view, &door["open_since"])) } }
            }
            @if held != "normal" { p.small.mute { (text(&door["held_reason"])) " " (moment(view, &door["held_until"])) } }
            @if door["last"].is_object() {
                p.small.mute { (say.door_event(&text(&door["last"]["event"]))) " · " (moment(view, &door["last"]["at"])) }
            }
            @if let Some(parsed) = parsed {
                @let open = Order::OpenDoor(OpenDoor { door: parsed.clone(), reason: String::new() });
                @let hold = Order::HoldDoor(HoldDoor { door: parsed, until: view.now, reason: String::new() });
                @if page.may(&open) {
                    details open[page.sends(&format!("/doors/{id}/open"))] {
                        summary { (say.open_door()) }
                        (page.form(&format!("/doors/{id}/open"), || html! {
                            input type="hidden" name="door" value=(id);
                            (page.field(&Field::new("door_reason", say.open_why(), Input::Text).hint(say.open_why_hint())))
                            button.button type="submit" { (say.open_now()) }
                        }))
                    }
                }
                @if page.may(&hold) {
                    @if held == "normal" {
                        details open[page.sends(&format!("/doors/{id}/hold"))] {
                            summary { (say.hold_door()) }
                            (page.form(&format!("/doors/{id}/hold"), || html! {
                                (page.field(&Field::new("hours", say.how_long(), Input::Choice(&hours))))
                                (page.field(&Field::new("hold_reason", say.reason(), Input::Text)))
                                button.button type="submit" { (say.hold_door()) }
                            }))
                        }
                    } @else {
                        (page.form(&format!("/doors/{id}/release"), || html! {
                            (page.field(&Field::new("release_reason", say.reason(), Input::Text)))
                            button.button.second type="submit" { (say.release_door()) }
                        }))
                    }
                }
            }
        }
    }
}

/// One door: who may pass it, and what happened there.
pub(super) fn detail(desk: &Desk, page: &Page<'_>, id: &DoorId) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let door = answer(&desk.shared, &DoorAsk::Door(id.clone()), "")?;
    let may = answer(&desk.shared, &DoorAsk::WhoMay(id.clone()), "limit=200")?;
    let query = format!("door={id}&limit=50");
    let events = rows(&answer(&desk.shared, &DoorAsk::Events, &query)?["events"]);
    let people = rows(&may["may"]);
    Ok(page.framed(
        id.as_str(),
        false,
        html! {
            div.head { h1 { (id) } }
            (section(page))
            (one(view, page, &door))
            section.card {
                header { h2 { (say.who_may()) } span.pill { (text(&may["all"])) } }
                @if people.is_empty() { (empty(say.nobody_may())) } @else {
                    table.stack {
                        thead { tr { th { (say.card()) } th { (say.account()) } th { (say.valid()) } } }
                        tbody {
                            @for row in &people {
                                tr {
                                    td.lead.num { (text(&row["card"])) }
                                    td data-name=(say.account()) {
                                        @if row["staff"].as_bool() == Some(true) { (say.class_staff()) } @else { (text(&row["account"])) (text(&row["grant"])) }
                                    }
                                    td data-name=(say.valid()) { (text(&row["from"])) " – " (text(&row["until"])) }
                                }
                            }
                        }
                    }
                }
            }
            section.card { header { h2 { (say.door_events()) } } (events_table(view, &events)) }
        },
    ))
}

/// What happened, newest first.
pub(super) fn events(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["door", "event"])?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", "200");
    for name in ["door", "event"] {
        if let Some(value) = fields.get(name) {
            query.append_pair(name, value);
        }
    }
    let events = rows(&answer(&desk.shared, &DoorAsk::Events, &query.finish())?["events"]);
    let doors = rows(&answer(&desk.shared, &DoorAsk::Doors, "")?["doors"]);
    Ok(page.framed(
        say.door_events(),
        false,
        html! {
            div.head { h1 { (say.door_events()) } }
            (section(page))
            form.card method="get" action="/door-events" {
                div.row {
                    label { (say.door())
                        select name="door" {
                            option value="" { (say.all()) }
                            @for door in &doors {
                                @let id = text(&door["id"]);
                                option value=(id) selected[fields.get("door") == Some(id.as_str())] { (id) }
                            }
                        }
                    }
                    label { (say.what())
                        select name="event" {
                            option value="" { (say.all()) }
                            @for word in ["granted", "denied", "forced", "held-open", "duress", "tamper"] {
                                option value=(word) selected[fields.get("event") == Some(word)] { (say.door_event(word)) }
                            }
                        }
                    }
                    button.button type="submit" { (say.filter()) }
                }
            }
            section.card { (events_table(view, &events)) }
        },
    ))
}

fn events_table(view: &View, events: &[Value]) -> Markup {
    let say = view.say;
    html! {
        @if events.is_empty() { (empty(say.no_door_events())) } @else {
            table.stack {
                thead { tr { th { (say.when()) } th { (say.door()) } th { (say.what()) } th { (say.card()) } th { (say.account()) } } }
                tbody {
                    @for event in events {
                        tr {
                            td.lead.num { (moment(view, &event["at"])) }
                            td data-name=(say.door()) { (text(&event["door"])) }
                            td data-name=(say.what()) {
                                @let word = text(&event["event"]);
                                span {
                                span.pill.good[word == "granted"].bad[matches!(word.as_str(), "forced" | "duress" | "tamper")].late[matches!(word.as_str(), "denied" | "held-open")] { (say.door_event(&word)) }
                                @if event["denied"].is_string() { " " span.small.mute { (say.denial(&text(&event["denied"]))) } }
                                }
                            }
                            td data-name=(say.card()) { (text(&event["card"])) }
                            td data-name=(say.account()) { (text(&event["account"])) (text(&event["grant"])) }
                        }
                    }
                }
            }
        }
    }
}

/// Controllers and what they still have to be told.
pub(super) fn controllers(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let all = rows(&answer(&desk.shared, &DoorAsk::Controllers, "")?["controllers"]);
    Ok(page.framed(
        say.controllers(),
        false,
        html! {
            div.head { h1 { (say.controllers()) } }
            (section(page))
            @if all.is_empty() { (empty(say.no_doors())) }
            @for one in &all {
                section.card {
                    header {
                        h2 { (text(&one["id"])) }
                        @if one["online"].as_bool() == Some(true) { span.pill.good { (say.door_online()) } } @else { span.pill.bad { (say.silent()) } }
                        @if one["in_step"].as_bool() == Some(true) { span.pill.good { (say.in_step()) } } @else { span.pill.late { (say.not_in_step()) } }
                    }
                    dl.wide-list {
                        dt { (say.profile()) } dd { (text(&one["vendor"])) " " (text(&one["version"])) }
                        dt { (say.last_heard()) } dd { (moment(view, &one["heard"])) }
                        dt { (say.cards_there()) } dd { (text(&one["cards"])) " / " (text(&one["cards_wanted"])) }
                        dt { (say.pending_pushes()) } dd { (text(&one["pending"]["all"])) }
                        @for reader in &rows(&one["readers"]) {
                            dt { (say.reader()) " " (text(&reader["address"])) }
                            dd {
                                @if reader["online"].as_bool() == Some(true) { span.pill.good { (say.door_online()) } } @else { span.pill.bad { (say.silent()) } }
                                @if reader["wrong_key"].as_bool() == Some(true) { " " span.pill.bad { (say.wrong_key()) } }
                                @else if reader["online"].as_bool() == Some(true) {
                                    @if reader["secure"].as_bool() == Some(true) { " " span.pill.good { (say.secured()) } } @else { " " span.pill.late { (say.in_the_clear()) } }
                                }
                                @if reader["tamper"].as_bool() == Some(true) { " " span.pill.bad { (say.ev_tamper()) } }
                                @if reader["power_low"].as_bool() == Some(true) { " " span.pill.late { (say.power_low()) } }
                            }
                        }
                        @if one["trouble"].is_string() { dt { (say.state()) } dd { (say.controller_away()) br; span.small.mute lang="en" { (text(&one["trouble"])) } } }
                        @if one["last_not_taken"].is_string() { dt { (say.last_fault()) } dd lang="en" { (text(&one["last_not_taken"])) } }
                    }
                }
            }
        },
    ))
}

/// The order of a form of this section.
pub(super) fn order(page: &Page<'_>, read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    match act {
        Act::OpenDoor(door) => {
            let reason = read.said("door_reason", 200);
            Some(Order::OpenDoor(OpenDoor { door: door.clone(), reason }))
        }
        Act::HoldDoor(door) => {
            let reason = read.said("hold_reason", 200);
            let hours = read.parsed::<i64>("hours").filter(|hours| HOLD_HOURS.contains(hours));
            if hours.is_none() {
                read.fault("hours", read.say.not_understood());
            }
            let until = page.view.now.plus(Span::from_hours(hours?));
            Some(Order::HoldDoor(HoldDoor { door: door.clone(), until, reason }))
        }
        Act::ReleaseDoor(door) => {
            let reason = read.said("release_reason", 200);
            let doors = BTreeSet::from([door.clone()]);
            Some(Order::ReleaseDoors(DoorsOrder { doors, until: None, reason }))
        }
        _ => None,
    }
}

impl super::text::Say {
    /// What happened at a door, by its word.
    fn denial(self, word: &str) -> &str {
        match word {
            "no-right" => self.no_right(),
            "pin" => self.no_pin(),
            "anti-passback" => self.no_passback(),
            "more-cards" => self.no_more_cards(),
            "first-card" => self.no_first_card(),
            "locked" => self.no_locked(),
            "interlock" => self.no_interlock(),
            "count" => self.no_count(),
            "schedule" => self.no_schedule(),
            "expired" => self.no_expired(),
            "host" => self.no_host(),
            other => other,
        }
    }

    fn door_event(self, word: &str) -> &str {
        match word {
            "granted" => self.ev_granted(),
            "denied" => self.ev_denied(),
            "button" => self.ev_button(),
            "remote" => self.ev_remote(),
            "super-password" => self.ev_password(),
            "opened" => self.ev_opened(),
            "closed" => self.ev_closed(),
            "forced" => self.ev_forced(),
            "held-open" => self.ev_held_open(),
            "tamper" => self.ev_tamper(),
            "duress" => self.ev_duress(),
            "fire" => self.ev_fire(),
            "force-lock" => self.ev_lock(),
            "emergency" => self.ev_emergency(),
            "power-on" => self.ev_power(),
            other => other,
        }
    }
}
