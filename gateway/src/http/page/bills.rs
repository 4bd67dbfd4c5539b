//! Bills: every line with its quantity, price, exact and rounded amount, and the two readings that
//! the quantity comes from. Nothing is computed here; the page shows what was journaled.

use super::Page;
use super::chart;
use super::components::{View, address, money as cny, unit};
use super::households::section;
use crate::http::answer::{Answered, Desk, query};
use crate::http::request::Fields;
use crate::problem::Code;
use crate::store::trees::BillFilter;
use blockgate_rules::apportionment::ShareOf;
use blockgate_rules::event::{
    Bill, BillLine, Corrects, Evidence, EvidenceReading, Period, StayBill,
};
use blockgate_rules::money::Fen;
use blockgate_types::BillId;
use maud::{Markup, html};

/// Bills on one page.
const ROWS: usize = 50;

/// The list.
pub(super) async fn list(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let known = ["account", "item", "month", "after"];
    let fields = Fields::parse(page.request.query.as_bytes(), &known)?;
    let filter = BillFilter {
        account: fields.parsed("account")?,
        item: fields.parsed("item")?,
        period_from: fields.get("month").map(|month| format!("{month}-01")),
    };
    let after = fields.parsed::<u64>("after")?;
    let rows = query(desk, move |trees| trees.bills(&filter, after, ROWS)).await?;
    let next = (rows.len() == ROWS).then(|| rows.last().map(|(seq, _)| *seq)).flatten();
    let next = next.map(|next| {
        let mut query = form_urlencoded::Serializer::new("/bills?".to_owned());
        for name in ["account", "item", "month"] {
            if let Some(value) = fields.get(name) {
                query.append_pair(name, value);
            }
        }
        query.append_pair("after", &next.to_string()).finish()
    });
    Ok(page.framed(
        say.bills(),
        false,
        html! {
            div.head { h1 { (say.bills()) } }
            (section(page))
            form.card method="get" action="/bills" {
                div.row {
                    label { (say.account()) input name="account" value=[fields.get("account")] autocapitalize="none"; }
                    label { (say.item()) input name="item" value=[fields.get("item")] autocapitalize="none"; }
                    label { (say.month()) input name="month" type="month" value=[fields.get("month")] placeholder="2026-03"; }
                    button.button type="submit" { (say.filter()) }
                }
            }
            section.card {
                @if rows.is_empty() { p.mute { (say.no_bills()) } } @else { (table(view, &rows)) }
            }
            div.row {
                @if after.is_some() { a.button.second href="/bills" { (say.first_page()) } }
                @if let Some(next) = next { a.button.second href=(next) { (say.next_page()) } }
            }
        },
    ))
}

pub(super) fn table(view: &View, rows: &[(u64, Bill)]) -> Markup {
    let say = view.say;
    html! {
        table.stack {
            thead { tr {
                th { (say.bill()) } th { (say.account()) } th { (say.item()) } th.num { (say.period()) } th.num { (say.total()) }
            } }
            tbody {
                @for (seq, bill) in rows {
                    tr {
                        td.lead { a href={ "/bills/" (bill.bill) } { "№ " (seq) } @if bill.revision > 0 { " " span.pill.late { (revision(view, bill)) } } }
                        td data-name=(say.account()) { a href={ "/households/" (bill.account) } { (bill.account) } }
                        td data-name=(say.item()) { (say.item_name(bill.item.as_str())) }
                        td.num data-name=(say.period()) { (period(&bill.period)) }
                        td.num data-name=(say.total()) { strong { (money(bill.total_fen, &bill.currency)) } }
                    }
                }
            }
        }
    }
}

/// `2026-03`, or both days where it is no whole month.
fn period(period: &Period) -> String {
    match (period.from.strip_suffix("-01"), period.to.strip_suffix("-01")) {
        (Some(month), Some(next)) if follows(month, next) => month.to_owned(),
        _ => format!("{} – {}", period.from, period.to),
    }
}

fn follows(month: &str, next: &str) -> bool {
    let number = |text: &str| {
        let (year, month) = text.split_once('-')?;
        Some(year.parse::<i32>().ok()? * 12 + month.parse::<i32>().ok()?)
    };
    matches!((number(month), number(next)), (Some(a), Some(b)) if b == a + 1)
}

fn money(amount: Fen, currency: &str) -> String {
    if currency == "CNY" { format!("¥\u{a0}{amount}") } else { format!("{amount} {currency}") }
}

fn revision(view: &View, bill: &Bill) -> String {
    let say = view.say;
    match bill.revision {
        0 => say.first_issue().to_owned(),
        n => say.fill(say.correction(), &[&n.to_string()]),
    }
}

/// One bill.
pub(super) async fn detail(desk: &Desk, page: &Page<'_>, id: BillId) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    Fields::parse(page.request.query.as_bytes(), &[])?;
    let (seq, bill) = query(desk, move |trees| trees.bill(&id)).await?.ok_or(Code::NotFound)?;
    Ok(page.framed(
        say.bill(),
        false,
        html! {
            div.head { h1.grow { (bill.account) " · " (say.item_name(bill.item.as_str())) " · " span.num { (period(&bill.period)) } } }
            section.card {
                p.big { (money(bill.total_fen, &bill.currency)) }
                dl.wide-list {
                    dt { (say.account()) } dd { a href={ "/households/" (bill.account) } { (bill.account) } }
                    dt { (say.period()) } dd { (bill.period.from) " – " (bill.period.to) " " span.mute { (bill.period.zone) } }
                    dt { (say.tariff()) } dd { (bill.tariff) " " span.mono.mute { (bill.tariff_revision) } }
                    dt { (say.revision()) } dd { (revision(view, &bill)) }
                    dt { (say.issued()) } dd { (view.time(bill.issued_at)) }
                    @if let Some(due) = bill.due { dt { (say.due()) } dd { (due) } }
                    @if let Some(late) = &bill.late {
                        dt { (say.late_title()) }
                        dd { (say.fill(say.late_terms(), &[&late.percent_per_day.to_string(), &late.grace_days.to_string(), &late.cap_percent.to_string()])) }
                    }
                    @if let Some(fee) = &bill.late_fee {
                        dt { (say.late_of()) } dd { a href={ "/bills/" (fee.of) } { (fee.of) } }
                    }
                    dt { (say.bill_id()) } dd.mono { (bill.bill) " · № " (seq) }
                }
            }
            @if let Some(corrects) = &bill.corrects { (corrected(view, corrects)) }
            section.card { header { h2 { (say.bill_lines()) } } (lines(view, &bill)) }
            @if let Some(stay) = &bill.stay { (parked(view, stay)) }
            @if let Some(share) = &bill.share { (shared(view, share)) }
            // A stay has its time line, a share its cost, a late fee its terms: they say what the bill stands on.
            @let told = bill.stay.is_some() || bill.share.is_some() || bill.late_fee.is_some();
            @if !bill.evidence.is_empty() || !told {
                section.card { header { h2 { (say.evidence()) } } (evidence(page, &bill)) }
            }
            @if let (Some(fee), true) = (&bill.late_fee, page.takes_money()) {
                p { a.button.second href={ "/corrections?late_bill=" (fee.of) "#late-fee" } { (say.correct_late_fee()) } }
            }
        },
    ))
}

fn corrected(view: &View, corrects: &Corrects) -> Markup {
    let say = view.say;
    html! {
        section.card {
            header { h2 { (say.corrects_title()) } }
            dl.wide-list {
                dt { (say.corrects_bill()) } dd { a href={ "/bills/" (corrects.bill) } { (corrects.bill) } }
                dt { (say.billed_was()) } dd { (cny(corrects.was_fen)) }
                dt { (say.billed_should()) } dd { (cny(corrects.now_fen)) }
                dt { (say.reason()) } dd { (say.correction_reason(&corrects.ground.reason)) }
                dt { (say.evidence_where()) } dd { (corrects.ground.evidence) }
                dt { (say.approver()) } dd { (corrects.ground.approver) }
            }
            @if corrects.waived { p.mute { (say.waived()) } }
        }
    }
}

/// A stay's time line with what each stretch costs.
fn parked(view: &View, stay: &StayBill) -> Markup {
    let say = view.say;
    html! {
        section.card {
            header { h2 { (say.parking_time()) } }
            p { (view.time(stay.entered)) " – " (view.time(stay.until)) }
            (chart::stretches(view, &stay.diagram))
        }
    }
}

/// How the share of a common cost came about.
fn shared(view: &View, share: &ShareOf) -> Markup {
    let say = view.say;
    html! {
        section.card {
            header { h2 { (say.share_title()) } }
            p { (say.fill(say.share_text(), &[&cny(share.total_fen)])) " "
                a href={ "/bills/" (share.bill) } { (say.details()) } }
            table.stack {
                thead { tr { th.num { (say.share_part()) } th.num { (say.share_weight()) } th.num { (say.share_weights()) } th.num { (say.amount()) } } }
                tbody {
                    @for part in &share.parts {
                        tr {
                            td.num data-name=(say.share_part()) { (cny(part.total_fen)) }
                            td.num data-name=(say.share_weight()) { (part.own.weight) }
                            td.num data-name=(say.share_weights()) { (part.weights) }
                            td.num data-name=(say.amount()) { (cny(part.own.fen)) }
                        }
                    }
                }
            }
        }
    }
}

fn lines(view: &View, bill: &Bill) -> Markup {
    let say = view.say;
    html! {
        table.stack {
            thead { tr {
                th { (say.label()) } th.num { (say.quantity()) } th.num { (say.unit_price()) }
                th.num { (say.exact()) } th.num { (say.amount()) }
            } }
            tbody { @for line in &bill.lines { (line_row(view, bill, line)) } }
            tfoot { tr {
                td.lead { (say.total()) } td {} td {} td {}
                td.num data-name=(say.total()) { (money(bill.total_fen, &bill.currency)) }
            } }
        }
        @if let Some(counter) = &bill.tier_counter {
            p.mute.small {
                (say.fill(say.tier_counter(), &[&counter.period, &counter.before.to_string(), &counter.after.to_string()]))
            }
        }
        @for rounded in &bill.rounded_years {
            @let (before, after) = (&rounded.before, &rounded.after);
            p.mute.small {
                (say.fill(say.rounded_year(), &[
                    &rounded.year,
                    &before.exact.normalize().to_string(), &before.billed_fen.to_string(),
                    &after.exact.normalize().to_string(), &after.billed_fen.to_string(),
                ]))
            }
        }
    }
}

fn line_row(view: &View, bill: &Bill, line: &BillLine) -> Markup {
    let say = view.say;
    html! {
        tr {
            td.lead {
                (say.of(&line.label))
                @if let Some(tier) = line.tier { " " span.pill { (say.fill(say.tier(), &[&tier.to_string()])) } }
                @for part in [&line.window, &line.component].into_iter().flatten() { " " span.pill { (part) } }
            }
            td.num data-name=(say.quantity()) { (line.quantity) " " (unit(line.unit)) }
            td.num data-name=(say.unit_price()) {
                "× " (line.unit_price)
                @if let Some(days) = &line.days { " × " (days) }
            }
            td.num.mute data-name=(say.exact()) { (line.exact) }
            td.num data-name=(say.amount()) { (money(line.amount_fen, &bill.currency)) }
        }
    }
}

fn evidence(page: &Page<'_>, bill: &Bill) -> Markup {
    let say = page.view.say;
    html! {
        @if bill.evidence.is_empty() { p.mute { (say.no_evidence()) } }
        @for evidence in &bill.evidence {
            p { a href={ "/meters/" (evidence.meter) } { (evidence.meter) } " · " (say.register(evidence.register.as_str())) }
            table.stack {
                thead { tr { th {} th.num { (say.value()) } th.num { (say.when()) } th.num { (say.reading_id()) } @if page.takes_money() { th {} } } }
                tbody {
                    (reading(page, say.opening(), evidence, &evidence.from))
                    (reading(page, say.closing(), evidence, &evidence.to))
                }
                tfoot { tr {
                    td.lead { (say.used()) }
                    td.num data-name=(say.used()) { (evidence.used) " " (unit(evidence.unit)) }
                    td.num data-name=(say.multiplier()) { "× " (evidence.multiplier) }
                    td {}
                    @if page.takes_money() { td {} }
                } }
            }
        }
    }
}

fn reading(page: &Page<'_>, name: &str, evidence: &Evidence, reading: &EvidenceReading) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    // What is known already is not to be typed once more.
    let correct = || {
        let reading = reading.reading.to_string();
        let (meter, register) = (evidence.meter.as_str(), evidence.register.as_str());
        let known = [("meter", meter), ("register", register), ("reading", reading.as_str())];
        address("/corrections", &known)
    };
    html! {
        tr {
            td.lead { (name) }
            td.num data-name=(say.value()) { (reading.value) " " (unit(evidence.unit)) }
            td.num data-name=(say.when()) { (view.time(reading.at)) }
            td.num data-name=(say.reading_id()) { (reading.reading) }
            @if page.takes_money() { td { a href=(correct()) { (say.correct_this()) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_month_is_told_as_one() {
        for (from, to, want) in [
            ("2026-03-01", "2026-04-01", "2026-03"),
            ("2026-12-01", "2027-01-01", "2026-12"),
            ("2026-03-12", "2026-04-01", "2026-03-12 – 2026-04-01"),
            ("2026-01-01", "2026-04-01", "2026-01-01 – 2026-04-01"),
        ] {
            let zone = "Asia/Shanghai".to_owned();
            let text = period(&Period { from: from.to_owned(), to: to.to_owned(), zone });
            assert_eq!(text, want);
        }
    }
}
