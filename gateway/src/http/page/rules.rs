//! Rules in force, and a rule file tried on a month that is over before it comes in force.

use super::components::{empty, money};
use super::forms::{Field, Input, Reader};
use super::households::section;
use super::{Act, Outcome, Page, seen};
use crate::http::answer::{Answered, Desk};
use crate::http::money::{books, setup_of, today, trees};
use crate::preview::Question;
use crate::problem::{Code, Problem};
use blockgate_rules::input::Order;
use blockgate_rules::preview::Preview;
use blockgate_rules::tariff::Revision;
use maud::{Markup, html};

/// Changed bills that are shown.
const ROWS: usize = 40;

/// The page.
pub(super) fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    framed(desk, page, None)
}

fn framed(desk: &Desk, page: &Page<'_>, tried: Option<(&Preview, &Question)>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let (setup, today) = (setup_of(desk), today(desk)?);
    let applied = desk.shared.board.books().applied().clone();
    Ok(page.framed(
        say.rules(),
        false,
        html! {
            div.head { h1 { (say.rules()) } }
            (section(page))
            @if let Some((preview, question)) = tried { (result(page, preview, question, &seen::of_rules(desk, &question.file))) }
            section.card {
                header { h2 { (say.rules_in_force()) } }
                table.stack {
                    thead { tr { th { (say.tariff()) } th { (say.revision()) } th { (say.notice_from()) } } }
                    tbody {
                        @for (id, tariff) in &setup.tariffs {
                            tr {
                                td.lead { (say.of(&tariff.label)) " " span.mono.mute { (id) } }
                                td.mono data-name=(say.revision()) { (tariff.revision_on(today).map(Revision::name).unwrap_or_default()) }
                                td.wide data-name=(say.notice_from()) { (tariff.notice) }
                            }
                        }
                    }
                }
                @if !applied.is_empty() {
                    h3 { (say.rules_by_command()) }
                    @for (file, rules) in &applied {
                        div.entry {
                            p { strong { (file) } " · " (say.fill(say.version_n(), &[&rules.version.to_string()])) " · " (view.time(rules.at)) }
                            p.small.mute { (rules.by) " · " (rules.reason) }
                            details { summary { (say.rule_text()) } pre tabindex="0" { (rules.text) } }
                        }
                    }
                }
            }
            @if page.takes_money() {
                section.card #preview {
                    header { h2 { (say.try_rules()) } }
                    p.mute { (say.try_rules_why()) }
                    (page.form("/rules/preview", || html! {
                        div.columns {
                            (page.field(&Field::new("file", say.rule_name(), Input::Code).value("change").hint(say.rule_name_hint())))
                            (page.field(&Field::new("month", say.month(), Input::Month).optional().hint(say.try_month_hint())))
                        }
                        (page.field(&Field::new("text", say.rule_text(), Input::Lines(14))))
                        button.button type="submit" { (say.try_rules()) }
                    }))
                }
            }
        },
    ))
}

fn result(page: &Page<'_>, preview: &Preview, question: &Question, seen: &str) -> Markup {
    let say = page.view.say;
    let (more, less) = (preview.more, preview.less);
    html! {
        section.card #result tabindex="-1" {
            header { h2 { (say.tried()) } span.mute.num { (preview.from) " – " (preview.to) } }
            p.mute { (say.tried_why()) }
            dl.wide-list {
                dt { (say.billed_was()) } dd { (money(preview.was_fen)) }
                dt { (say.billed_would()) } dd { (money(preview.now_fen)) }
                dt { (say.pay_more()) } dd { (more.0) " · " (money(more.1)) }
                dt { (say.pay_less()) } dd { (less.0) " · " (money(less.1)) }
                dt { (say.pay_same()) } dd { (preview.same) }
            }
            @if preview.changed.is_empty() { (empty(say.no_change())) } @else {
                table.stack {
                    thead { tr { th { (say.account()) } th { (say.item()) } th.num { (say.billed_was()) } th.num { (say.billed_would()) } th.num { (say.difference()) } } }
                    tbody {
                        @for row in preview.changed.iter().take(ROWS) {
                            tr {
                                td.lead { (row.account) }
                                td data-name=(say.item()) { (say.item_name(row.item.as_str())) }
                                td.num data-name=(say.billed_was()) { (money(row.was_fen)) }
                                td.num data-name=(say.billed_would()) { (money(row.now_fen)) }
                                td.num data-name=(say.difference()) { (money(row.difference_fen)) }
                            }
                        }
                    }
                }
            }
            @if !preview.unknown.is_empty() {
                details {
                    summary { (say.cannot_tell()) " (" (preview.unknown.len()) ")" }
                    ul { @for (what, why) in preview.unknown.iter().take(ROWS) { li { span.mono { (what) } " " span lang="en" { (why) } } } }
                }
            }
            details {
                summary { (say.apply_rules()) }
                p.mute { (say.apply_rules_why()) }
                (page.form("/rules/apply", || html! {
                    (seen::field(seen))
                    input type="hidden" name="file" value=(question.file);
                    input type="hidden" name="text" value=(question.text);
                    (page.field(&Field::new("reason", say.reason(), Input::Text)))
                    button.button type="submit" { (say.apply_rules()) }
                }))
            }
        }
    }
}

/// Tries a rule file; nothing changes.
///
/// # Errors
/// What keeps it from being tried at all.
pub(super) async fn preview(
    desk: &Desk,
    page: &mut Page<'_>,
    mut read: Reader<'_>,
) -> Result<Outcome, Problem> {
    let may = page.takes_money();
    if !may {
        return Err(Code::Forbidden.into());
    }
    let question = Question {
        file: read.said("file", 64),
        text: read.said("text", 60_000),
        month: Some(read.text("month")).filter(|month| !month.is_empty()),
    };
    if !read.is_good() {
        return Ok(Outcome::Again(read.typed(false), None));
    }
    let (books, now, asked) = (books(desk), desk.shared.clock.now(), question.clone());
    let made = trees(desk, move |trees| Ok(crate::preview::run(trees, &books, &asked, now)));
    match made.await? {
        Some(Ok(preview)) => {
            page.typed = read.typed(false);
            Ok(Outcome::Shown(framed(desk, page, Some((&preview, &question)))?))
        }
        Some(Err(faults)) => {
            read.fault("text", faults.join("\n"));
            Ok(Outcome::Again(read.typed(false), None))
        }
        None => Err(Problem::new(Code::NotReady, "there are no bills to look at")),
    }
}

/// The order that puts a rule file in force.
pub(super) fn order(read: &mut Reader<'_>, _: &Act) -> Option<Order> {
    let (file, text) = (read.said("file", 64), read.said("text", 60_000));
    let reason = read.said("reason", 200);
    Some(Order::ApplyRules { file, text, reason })
}
