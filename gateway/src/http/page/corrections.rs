//! Corrections: what was put right and why, and the form that puts a reading or a price right. The
//! differences follow as bills of their own; a bill that was issued never changes.

use super::components::{empty, money};
use super::forms::{Field, Input, Reader};
use super::households::section;
use super::{Act, Page};
use crate::http::answer::{Answered, Desk};
use crate::http::money::{setup_of, trees};
use crate::http::request::Fields;
use crate::store::trees::money::Kept;
use blockgate_rules::Fen;
use blockgate_rules::calendar::parse_day;
use blockgate_rules::correction::{Correction, Ground, What};
use blockgate_rules::event::Audit;
use blockgate_rules::input::Order;
use blockgate_rules::late::LateRight;
use maud::{Markup, html};

/// Corrections that are read for the list.
const RECORDS: usize = 500;
/// Corrections that are shown.
const ROWS: usize = 30;

/// Reason codes with their words.
fn reasons(page: &Page<'_>) -> Vec<(String, String)> {
    let say = page.view.say;
    let all = [
        "misread",
        "wrong-price",
        "wrong-meter",
        "wrong-area",
        "wrong-multiplier",
        "paid-earlier",
        "goodwill",
    ];
    all.into_iter().map(|code| (code.to_owned(), say.correction_reason(code).to_owned())).collect()
}

/// The page.
pub(super) async fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let known = ["meter", "register", "reading", "late_bill"];
    let fields = Fields::parse(page.request.query.as_bytes(), &known)?;
    let kept = trees(desk, |trees| trees.kept(Kept::Corrections, 0, RECORDS)).await?;
    let kept = kept.unwrap_or_default();
    let setup = setup_of(desk);
    let tariffs: Vec<(String, String)> = setup
        .tariffs
        .iter()
        .map(|(id, tariff)| (id.to_string(), say.of(&tariff.label).to_owned()))
        .collect();
    Ok(page.framed(
        say.corrections(),
        false,
        html! {
            div.head { h1 { (say.corrections()) } }
            (section(page))
            p.mute { (say.corrections_why()) }
            @if page.takes_money() {
                section.card {
                    header { h2 { (say.correct_reading()) } }
                    (page.form("/corrections/reading", || html! {
                        div.columns {
                            (page.field(&Field::new("meter", say.meter(), Input::Code).value(fields.get("meter").unwrap_or(""))))
                            (page.field(&Field::new("register", say.register_name(), Input::Code).value(fields.get("register").unwrap_or("energy_import"))))
                            (page.field(&Field::new("reading", say.reading_id(), Input::Code).value(fields.get("reading").unwrap_or("")).hint(say.reading_id_hint())))
                            (page.field(&Field::new("value", say.right_value(), Input::Number)))
                        }
                        (ground(page))
                        button.button type="submit" { (say.correct_now()) }
                    }))
                }
                section.card {
                    header { h2 { (say.correct_price()) } }
                    details open[page.sends("/corrections/price")] {
                        summary { (say.correct_price_why()) }
                        (page.form("/corrections/price", || html! {
                            (page.field(&Field::new("tariff", say.tariff(), Input::Choice(&tariffs))))
                            (ground(page))
                            button.button type="submit" { (say.correct_now()) }
                        }))
                    }
                }
                section.card #late-fee {
                    header { h2 { (say.correct_late_fee()) } }
                    details open[page.sends("/corrections/late-fee") || fields.get("late_bill").is_some()] {
                        summary { (say.correct_late_fee_why()) }
                        (page.form("/corrections/late-fee", || html! {
                            div.columns {
                                (page.field(&Field::new("late_bill", say.late_bill(), Input::Code).value(fields.get("late_bill").unwrap_or("")).hint(say.late_bill_hint())))
                                (page.field(&Field::new("right", say.late_right(), Input::Choice(&late_rights(page)))))
                                (page.field(&Field::new("paid_on", say.paid_on(), Input::Date).optional().hint(say.late_paid_on_hint())))
                            }
                            (ground(page))
                            button.button type="submit" { (say.correct_now()) }
                        }))
                    }
                }
            }
            section.card {
                header { h2 { (say.corrections_done()) } }
                @if kept.is_empty() { (empty(say.no_corrections())) } @else {
                    table.stack {
                        thead { tr {
                            th { (say.when()) } th { (say.reason()) } th.num { (say.differences()) }
                            th.num { (say.total()) } th { (say.evidence_where()) } th { (say.approver()) }
                        } }
                        tbody {
                            @for (_, audit) in kept.iter().rev().take(ROWS) {
                                @if let Audit::Corrected { at, correction, differences, total_fen, .. } = audit {
                                    tr {
                                        td.lead.num { (view.time(*at)) }
                                        td data-name=(say.reason()) { (say.correction_reason(&correction.ground.reason)) }
                                        td.num data-name=(say.differences()) { (differences) }
                                        td.num data-name=(say.total()) { (money(*total_fen)) }
                                        td data-name=(say.evidence_where()) { (correction.ground.evidence) }
                                        td data-name=(say.approver()) { (correction.ground.approver) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        },
    ))
}

/// How a late fee is put right.
fn late_rights(page: &Page<'_>) -> Vec<(String, String)> {
    let say = page.view.say;
    [("waived", say.late_waived()), ("paid-on", say.late_paid_on())]
        .map(|(word, text)| (word.to_owned(), text.to_owned()))
        .to_vec()
}

/// The fields that each correction needs: why, by what evidence, who approved it, how far back.
fn ground(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    let reasons = reasons(page);
    html! {
        div.columns {
            (page.field(&Field::new("reason", say.reason(), Input::Choice(&reasons))))
            (page.field(&Field::new("evidence", say.evidence_where(), Input::Text).hint(say.evidence_hint())))
            (page.field(&Field::new("approver", say.approver(), Input::Text)))
            (page.field(&Field::new("limit", say.limit_rule(), Input::Text).hint(say.limit_hint())))
            (page.field(&Field::new("since", say.since_day(), Input::Date).hint(say.since_hint())))
            (page.field(&Field::new("threshold", say.threshold(), Input::Money).value("0").hint(say.threshold_hint())))
        }
    }
}

/// The order of a form of this screen.
pub(super) fn order(read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    let what = match act {
        Act::CorrectReading => {
            let (meter, register) = (read.parsed("meter"), read.said("register", 64));
            let register = blockgate_types::RegisterName::new(&register).ok();
            if register.is_none() {
                read.fault("register", read.say.not_understood());
            }
            let (reading, value) = (read.parsed("reading"), read.decimal("value"));
            (|| {
                Some(What::Reading {
                    meter: meter?,
                    register: register?,
                    reading: reading?,
                    value: value?,
                })
            })()
        }
        Act::CorrectPrice => read.parsed("tariff").map(|tariff| What::Tariff { tariff }),
        Act::CorrectLateFee => {
            let bill = read.parsed("late_bill");
            let right = match read.text("right").as_str() {
                "waived" => Some(LateRight::Waived),
                "paid-on" => {
                    let day = read.said("paid_on", 10);
                    if parse_day(&day).is_none() {
                        read.fault("paid_on", read.say.no_day());
                    }
                    Some(LateRight::PaidOn { day })
                }
                _ => {
                    read.fault("right", read.say.not_understood());
                    None
                }
            };
            bill.zip(right).map(|(bill, right)| What::LateFee { bill, right })
        }
        _ => None,
    };
    let ground = Ground {
        reason: read.said("reason", 64),
        evidence: read.said("evidence", 200),
        approver: read.said("approver", 100),
        limit: read.said("limit", 200),
    };
    let since = read.said("since", 10);
    if parse_day(&since).is_none() {
        read.fault("since", read.say.no_day());
    }
    let threshold_fen = read.money_or_none("threshold").unwrap_or(Fen::ZERO);
    Some(Order::Correct(Box::new(Correction { ground, since, threshold_fen, what: what? })))
}
