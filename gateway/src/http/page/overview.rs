//! The first page: is everything well, and if not, where to look.

use super::components::View;
use super::{Page, alarms, faults};
use crate::board::{LineBoard, MqttBoard};
use crate::http::Shared;
use crate::http::answer::Desk;
use crate::http::wire::{self, Freshness};
use blockgate_types::{ClockState, LineId};
use maud::{Markup, html};
use std::collections::BTreeMap;
use warp::reply::Response;

/// The page.
pub(super) fn show(desk: &Desk, page: &Page<'_>) -> Response {
    let (shared, view) = (&desk.shared, &page.view);
    let say = view.say;
    let mqtt = shared.board.mqtt().clone();
    let open: Vec<_> = shared.board.alarms().values().cloned().collect();
    let lines = shared.board.lines().clone();
    page.framed(
        say.overview(),
        true,
        html! {
            div.head { h1.grow { (say.overview()) } (clock(shared, view)) }
            div.grid.four {
                (meters(shared, view))
                (cloud(view, &mqtt))
                (outbox(shared, view))
                a.card.stat href="/alarms" {
                    span.name { (say.open_alarms()) }
                    span.big data-overview="alarms" { (open.len()) }
                    @if let Some(worst) = open.iter().map(|a| a.severity).max() {
                        span.trio { (view.severity(worst)) }
                    }
                }
            }
            @if !open.is_empty() { (alarms::cards(view, &open)) }
            (line_table(view, &lines))
            (about(desk, view))
        },
    )
}

/// The clock's state: no period is closed by a clock that nobody believes.
fn clock(shared: &Shared, view: &View) -> Markup {
    let say = view.say;
    let (class, word) = match shared.clock.state() {
        ClockState::Synced => ("pill good", say.clock_synced()),
        ClockState::Holdover => ("pill late", say.clock_holdover()),
        ClockState::Unsynced => ("pill bad", say.clock_unsynced()),
    };
    html! {
        span.mute.small.num { (view.time(view.now)) }
        span class=(class) { (say.clock()) " " (word) }
    }
}

fn meters(shared: &Shared, view: &View) -> Markup {
    let say = view.say;
    let numbers = wire::overview(shared);
    let number = |name: &str| numbers[name].as_u64().unwrap_or(0);
    let all = number("good") + number("late") + number("silent");
    html! {
        a.card.stat href="/meters" {
            span.name { (say.meters_good()) }
            span.big { span data-overview="good" { (number("good")) } span.unit { " / " (all) } }
            span.trio {
                @for freshness in [Freshness::Late, Freshness::Silent] {
                    @let name = freshness.text();
                    @let class = if number(name) == 0 { "pill" } else { name };
                    span class={ "pill " (class) } {
                        span { span data-overview=(name) { (number(name)) } " "
                        (if freshness == Freshness::Late { say.late() } else { say.silent() }) }
                    }
                }
            }
        }
    }
}

/// The connection to the cloud: what is the case, in words, and when it is tried again.
pub(super) fn cloud(view: &View, mqtt: &MqttBoard) -> Markup {
    let say = view.say;
    let (class, word) = if mqtt.connected {
        ("pill good", say.connected())
    } else if mqtt.broker.is_empty() {
        ("pill", say.not_configured())
    } else {
        ("pill bad", say.disconnected())
    };
    html! {
        div.card.stat {
            span.name { (say.cloud()) }
            span { span class=(class) { (word) } }
            @if !mqtt.broker.is_empty() { span.mono { (mqtt.broker) } }
            @if let Some(since) = mqtt.since {
                @let (before, after) = say.since().split_once("{}").unwrap_or(("", ""));
                span.mute.small { (before) (view.time(since)) (after) }
            }
            @if let Some(trouble) = mqtt.trouble.as_ref().filter(|_| !mqtt.connected) {
                span.small { (say.of(&trouble.text())) " " code.mute { (trouble.word()) } }
                span.small { (say.of(&trouble.next())) }
            }
            @if let Some(at) = mqtt.retry_at.filter(|_| !mqtt.connected) {
                @let (before, after) = say.retry_at().split_once("{}").unwrap_or((say.retry_at(), ""));
                span.mute.small { (before) (view.time(at)) (after) }
            }
        }
    }
}

fn outbox(shared: &Shared, view: &View) -> Markup {
    let say = view.say;
    let board = *shared.board.outbox();
    let receipt = shared.board.mqtt().last_receipt;
    html! {
        a.card.stat href="/outbox" {
            span.name { (say.outbox()) " · " (say.waiting()) }
            span.big data-overview="waiting" { (board.waiting) }
            span.mute.small {
                @match board.oldest {
                    Some(at) => { (say.oldest()) " " (view.ago(at)) },
                    None if board.waiting == 0 => (say.nothing_waits()),
                    None => {}, // looked for about once a second
                }
            }
            span.mute.small {
                (say.last_receipt()) " " @match receipt { Some(at) => (view.ago(at)), None => (say.never()) }
            }
            @if board.dead > 0 { span.trio { span.pill.bad { (say.dead_letters()) " " (board.dead) } } }
        }
    }
}

fn line_table(view: &View, lines: &BTreeMap<LineId, LineBoard>) -> Markup {
    let say = view.say;
    html! {
        @if !lines.is_empty() {
            section.card {
                header { h2 { (say.lines()) } }
                table.stack {
                    thead { tr { th { (say.line()) } th { (say.state()) } th { (say.what()) } th.num { (say.busy()) } } }
                    tbody {
                        @for (id, line) in lines {
                            tr {
                                td.lead { (id) }
                                td data-name=(say.state()) {
                                    @if line.open { span.pill.good { (say.line_open()) } }
                                    @else { span.pill.bad { (say.line_closed()) } }
                                }
                                td data-name=(say.what()) {
                                    span {
                                        span.mono { (line.what) }
                                        @if let Some(trouble) = &line.trouble { " " span.small { (faults::told(say, trouble)) } }
                                    }
                                }
                                td.num data-name=(say.busy()) {
                                    (line.busy_permille / 10) "." (line.busy_permille % 10) " %"
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn about(desk: &Desk, view: &View) -> Markup {
    let (say, status) = (view.say, &desk.shared.status);
    html! {
        section.card {
            header { h2 { (say.gateway()) } }
            dl.wide-list {
                dt { (say.version()) } dd { (status.version) }
                dt { (say.started()) } dd { (view.time(status.started)) }
                dt { (say.boot()) } dd.mono { (status.boot) }
                dt { (say.config_hash()) } dd.mono { (status.config_hash) }
                dt { (say.head_key()) } dd.mono { (status.head_key.1) }
            }
        }
    }
}
