//! Alarms: what, since when, why, what to do about it, and what people did: confirmed, muted, said
//! whether it was right.

use super::components::{View, empty};
use super::forms::{Field, Input, Reader};
use super::{Act, Page};
use crate::http::answer::{Answered, Desk, query};
use crate::http::request::Fields;
use crate::limits;
use crate::problem::Code;
use blockgate_rules::anomaly::care::FeedbackVerdict;
use blockgate_rules::event::{Alarm, AlarmChange, Severity};
use blockgate_rules::input::Order;
use blockgate_types::{AlarmId, Span};
use maud::{Markup, html};

/// Days for which an alarm can be muted on the page.
const MUTE_DAYS: [i64; 4] = [1, 7, 30, 90];

/// Open alarms as cards, the most urgent first.
pub(super) fn cards(view: &View, open: &[Alarm]) -> Markup {
    let say = view.say;
    let mut open: Vec<&Alarm> = open.iter().collect();
    open.sort_by(|a, b| {
        let muted = |alarm: &Alarm| alarm.muted.is_some();
        muted(a).cmp(&muted(b)).then(b.severity.cmp(&a.severity)).then(b.since.cmp(&a.since))
    });
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
                    @if alarm.muted.is_some() { " " span.pill { (say.muted()) } }
                    @if alarm.confirmed_by.is_some() { " " span.pill.good { (say.confirmed()) } }
                }
                strong { (say.of(&alarm.text)) }
                p { (say.of(&alarm.next)) }
                a href={ "/alarms/" (alarm.id) } { (say.alarm_more()) }
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
                header { h2 { (say.open_alarms()) } span.pill.late[!open.is_empty()] { (open.len()) } }
                @if open.is_empty() { (empty(say.no_alarms())) } @else { (cards(view, &open)) }
            }
            section.card {
                header { h2 { (say.alarm_history()) } }
                @if rows.is_empty() { (empty(say.no_history())) } @else { (history(view, &rows)) }
                @if let Some(next) = next {
                    a.button.second href={ "/alarms?after=" (next) } { (say.next_page()) }
                }
            }
        },
    ))
}

/// One alarm: its numbers, what can be done, what was done.
pub(super) async fn detail(desk: &Desk, page: &Page<'_>, id: &AlarmId) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let open = desk.shared.board.alarms().get(id).cloned();
    let wanted = id.clone();
    let rows: Vec<(u64, Alarm)> = query(desk, move |trees| {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let rows = trees.alarms(after, limits::HTTP_ROWS_MAX)?;
            after = rows.last().map(|(seq, _)| *seq);
            let full = rows.len() == limits::HTTP_ROWS_MAX;
            all.extend(rows.into_iter().filter(|(_, alarm)| alarm.id == wanted));
            if !full {
                return Ok(all);
            }
        }
    })
    .await?;
    let is_open = open.is_some();
    let alarm = open.or_else(|| rows.last().map(|(_, alarm)| alarm.clone()));
    let alarm = alarm.ok_or(Code::NotFound)?;
    Ok(page.framed(
        say.alarm(),
        false,
        html! {
            div.head {
                h1.grow { (say.of(&alarm.text)) }
                @if is_open { (view.severity(alarm.severity)) } @else { span.pill.good { (say.cleared()) } }
            }
            section.card {
                header { h2 { (say.next_step()) } }
                p { (say.of(&alarm.next)) }
            }
            section.card {
                header { h2 { (say.why()) } }
                dl.wide-list {
                    dt { (say.about_what()) } dd { (subject(&alarm)) }
                    dt { (say.since_word()) } dd { (view.time(alarm.since)) " (" (view.ago(alarm.since)) ")" }
                    @for (name, value) in &alarm.facts { dt { (say.fact(name)) } dd { (value) } }
                    @if let Some(rule) = &alarm.rule { dt { (say.by_rule()) } dd.mono { (rule) } }
                    @if let Some(order) = &alarm.work_order {
                        dt { (say.go_until()) } dd { (view.time(order.due)) @if !order.open { " " span.pill.good { (say.reported_back()) } } }
                    }
                    @if let Some(by) = &alarm.confirmed_by { dt { (say.confirmed()) } dd { (by) } }
                    @if let Some(mute) = &alarm.muted {
                        dt { (say.muted()) } dd { (mute.reason) " · " (mute.by) " · " (say.until()) " " (view.time(mute.until)) }
                    }
                    @if let Some(told) = &alarm.feedback {
                        dt { (say.feedback()) } dd { (say.verdict_word(told.verdict)) " " (told.note) " · " (told.by) " · " (view.time(told.at)) }
                    }
                }
            }
            (acts(page, &alarm, is_open))
            section.card {
                header { h2 { (say.alarm_history()) } }
                @if rows.is_empty() { (empty(say.no_history())) } @else { (history(view, &rows)) }
            }
        },
    ))
}

fn acts(page: &Page<'_>, alarm: &Alarm, is_open: bool) -> Markup {
    let say = page.view.say;
    let id = &alarm.id;
    let confirm = Order::ConfirmAlarm { alarm: id.clone(), close_valve: false };
    let days: Vec<(String, String)> = MUTE_DAYS
        .iter()
        .map(|n| (n.to_string(), say.fill(say.days_long(), &[&n.to_string()])))
        .collect();
    let verdicts: Vec<(String, String)> =
        [FeedbackVerdict::True, FeedbackVerdict::Known, FeedbackVerdict::False]
            .into_iter()
            .map(|v| (v.word().to_owned(), say.verdict_word(v).to_owned()))
            .collect();
    html! {
        @if page.may(&confirm) {
            section.card {
                header { h2 { (say.what_you_can_do()) } }
                @if is_open {
                    div.row {
                        @if alarm.confirmed_by.is_none() {
                            (page.form(&format!("/alarms/{id}/confirm"), || html! { button.button type="submit" { (say.confirm()) } }))
                        }
                        (page.form(&format!("/alarms/{id}/check"), || html! { button.button.second type="submit" { (say.check_devices()) } }))
                        @if alarm.muted.is_some() {
                            (page.form(&format!("/alarms/{id}/unmute"), || html! { button.button.second type="submit" { (say.unmute()) } }))
                        }
                    }
                    p.small.mute { (say.confirm_why()) }
                }
                details open[page.sends(&format!("/alarms/{id}/feedback"))] {
                    summary { (say.feedback()) }
                    (page.form(&format!("/alarms/{id}/feedback"), || html! {
                        (page.field(&Field::new("verdict", say.was_it_right(), Input::Choice(&verdicts))))
                        (page.field(&Field::new("found", say.what_was_found(), Input::Text).optional()))
                        button.button type="submit" { (say.save()) }
                    }))
                }
                details open[page.sends(&format!("/alarms/{id}/mute"))] {
                    summary { (say.mute()) }
                    p.small.mute { (say.mute_why()) }
                    (page.form(&format!("/alarms/{id}/mute"), || html! {
                        (page.field(&Field::new("days", say.how_long(), Input::Choice(&days))))
                        (page.field(&Field::new("mute_reason", say.reason(), Input::Text)))
                        button.button type="submit" { (say.mute()) }
                    }))
                }
            }
        }
    }
}

/// The order of a form of this section.
pub(super) fn order(page: &Page<'_>, read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    match act {
        Act::ConfirmAlarm(alarm) => {
            Some(Order::ConfirmAlarm { alarm: alarm.clone(), close_valve: false })
        }
        Act::CheckAlarm(alarm) => Some(Order::CheckAlarm { alarm: alarm.clone() }),
        Act::UnmuteAlarm(alarm) => Some(Order::UnmuteAlarm { alarm: alarm.clone() }),
        Act::MuteAlarm(alarm) => {
            let reason = read.said("mute_reason", 400);
            let days = read.parsed::<i64>("days").filter(|days| MUTE_DAYS.contains(days));
            if days.is_none() {
                read.fault("days", read.say.not_understood());
            }
            let until = page.view.now.plus(Span::from_days(days?));
            Some(Order::MuteAlarm { alarm: alarm.clone(), reason, until })
        }
        Act::AlarmFeedback(alarm) => {
            let all = [FeedbackVerdict::True, FeedbackVerdict::False, FeedbackVerdict::Known];
            let word = read.text("verdict");
            let verdict = all.into_iter().find(|verdict| verdict.word() == word);
            if verdict.is_none() {
                read.fault("verdict", read.say.not_understood());
            }
            let note = read.text("found");
            Some(Order::AlarmFeedback { alarm: alarm.clone(), verdict: verdict?, note })
        }
        _ => None,
    }
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
                        td.wide { span { a href={ "/alarms/" (alarm.id) } { (say.of(&alarm.text)) } " " span.mute.small { (subject(alarm)) } } }
                        td.wide.mute.small {
                            @if alarm.change != AlarmChange::Cleared { (say.of(&alarm.next)) }
                        }
                    }
                }
            }
        }
    }
}

impl super::text::Say {
    /// Whether an alarm was right.
    fn verdict_word(self, verdict: FeedbackVerdict) -> &'static str {
        match verdict {
            FeedbackVerdict::True => self.verdict_true(),
            FeedbackVerdict::False => self.verdict_false(),
            FeedbackVerdict::Known => self.verdict_known(),
        }
    }

    /// A fact's name; one that is not known stands for itself.
    fn fact(self, name: &str) -> String {
        let known = match name {
            "meter" => Some(self.meter()),
            "register" => Some(self.register_name()),
            "value" => Some(self.value()),
            "line" => Some(self.line()),
            "seconds" => Some(self.fact_seconds()),
            "minutes" => Some(self.fact_minutes()),
            "hours" => Some(self.fact_hours()),
            "limit" => Some(self.fact_limit()),
            "used" | "use" => Some(self.used()),
            "unit" => Some(self.fact_unit()),
            "since" | "from" => Some(self.since_word()),
            "last" => Some(self.fact_last()),
            "reason" | "why" => Some(self.reason()),
            _ => None,
        };
        known.map_or_else(|| name.replace(['_', '-'], " "), str::to_owned)
    }
}
