//! Alarms: what is open, what to do about it, and what was.

use super::Page;
use super::components::View;
use crate::http::answer::{Answered, Desk, query};
use crate::http::request::Fields;
use crate::limits;
use blockgate_rules::event::{Alarm, AlarmChange, Severity};
use maud::{Markup, html};

/// Open alarms as cards, the most urgent first.
pub(super) fn cards(view: &View, open: &[Alarm]) -> Markup {
    let say = view.say;
    let mut open: Vec<&Alarm> = open.iter().collect();
    open.sort_by(|a, b| b.severity.cmp(&a.severity).then(b.since.cmp(&a.since)));
    html! {
        @for alarm in open {
            @let class = match alarm.severity {
                Severity::Critical => "note bad",
                Severity::Warning => "note late",
                Severity::Info => "note",
            };
            section class=(class) {
                p {
                    (view.severity(alarm.severity)) " "
                    span.small.mute { (subject(alarm)) " · " (view.ago(alarm.since)) }
                }
                strong { (say.of(&alarm.text)) }
                p { (say.of(&alarm.next)) }
            }
        }
    }
}

fn subject(alarm: &Alarm) -> Markup {
    html! {
        @match alarm.subject.strip_prefix("meter/") {
            Some(meter) => a href={ "/meters/" (meter) } { (meter) },
            None => (alarm.subject),
        }
    }
}

/// The page.
pub(super) async fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["after"])?;
    let after = fields.parsed::<u64>("after")?;
    let rows = query(desk, move |trees| trees.alarms(after, limits::HTTP_ROWS_MAX)).await?;
    let open: Vec<Alarm> = desk.shared.board.alarms().values().cloned().collect();
    let next =
        (rows.len() == limits::HTTP_ROWS_MAX).then(|| rows.last().map(|(seq, _)| *seq)).flatten();
    Ok(page.framed(
        say.alarms(),
        true,
        html! {
            div.head { h1.grow { (say.alarms()) } }
            section.card {
                header { h2 { (say.open_alarms()) } }
                @if open.is_empty() { p.mute { (say.no_alarms()) } } @else { (cards(view, &open)) }
            }
            section.card {
                header { h2 { (say.alarm_history()) } }
                @if rows.is_empty() { p.mute { (say.no_history()) } } @else { (history(view, &rows)) }
                @if let Some(next) = next {
                    a.button.second href={ "/alarms?after=" (next) } { (say.next_page()) }
                }
            }
        },
    ))
}

fn history(view: &View, rows: &[(u64, Alarm)]) -> Markup {
    let say = view.say;
    html! {
        table.stack {
            thead { tr { th { (say.when()) } th { (say.change()) } th { (say.what()) } th { (say.next_step()) } } }
            tbody {
                @for (_, alarm) in rows.iter().rev() {
                    tr {
                        td.lead.num { (view.time(alarm.at)) }
                        td data-name=(say.change()) {
                            @match alarm.change {
                                AlarmChange::Raised => (view.severity(alarm.severity)),
                                AlarmChange::Updated | AlarmChange::Noted => span.pill { (say.updated()) },
                                AlarmChange::Cleared => span.pill.good { (say.cleared()) },
                            }
                        }
                        td.wide { (say.of(&alarm.text)) " " span.mute.small { (subject(alarm)) } }
                        td.wide.mute.small {
                            @if alarm.change != AlarmChange::Cleared { (say.of(&alarm.next)) }
                        }
                    }
                }
            }
        }
    }
}
