//! The counter: what came in today, refunds that wait, cash that was counted, days that are closed,
//! receipts to print.

use super::components::{View, empty, money};
use super::forms::{Field, Input, Reader};
use super::households::{channels, section};
use super::{Act, Page};
use crate::http::answer::{Answered, Desk, see_other};
use crate::http::money::{receipt_of, today, trees, zone};
use crate::http::request::Fields;
use crate::receipt::Receipt;
use crate::store::trees::money::Kept;
use blockgate_rules::Fen;
use blockgate_rules::calendar::{days_before, next_day, parse_day};
use blockgate_rules::event::{Audit, Event};
use blockgate_rules::input::Order;
use blockgate_rules::ledger::{Channel, Movement, Refund};
use blockgate_rules::reconcile::Difference;
use blockgate_types::{CommandId, Time};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Receipts on one screen.
const ROWS: usize = 50;
/// Closed days that are shown.
const DAYS: usize = 14;
/// Records that are read for them.
const RECORDS: usize = 500;

/// A payment of today.
struct Paid {
    seq: u64,
    receipt: u64,
    at: Time,
    account: String,
    amount: Fen,
    channel: Option<Channel>,
}

async fn payments(desk: &Desk, after: u64) -> Result<Vec<Paid>, crate::problem::Problem> {
    let rows = trees(desk, move |trees| {
        let mut rows: Vec<Paid> = Vec::new();
        trees.each_payment(after, &mut |row| {
            if row.receipt > 0 {
                rows.push(Paid {
                    seq: row.seq,
                    receipt: row.receipt,
                    at: row.at,
                    account: row.account.to_owned(),
                    amount: row.amount,
                    channel: row.channel,
                });
            }
            true
        })?;
        Ok(rows)
    });
    Ok(rows.await?.unwrap_or_default())
}

/// The page.
pub(super) async fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let (today, zone) = (today(desk)?, zone(desk)?);
    let begin = zone.start_of(today);
    let paid: Vec<Paid> =
        payments(desk, 0).await?.into_iter().filter(|row| row.at >= begin).collect();
    let mut by: BTreeMap<Option<Channel>, (u64, Fen)> = BTreeMap::new();
    for row in &paid {
        let (count, sum) = by.entry(row.channel).or_default();
        *count += 1;
        *sum = Fen(sum.0.saturating_add(row.amount.0));
    }
    let days = trees(desk, |trees| trees.kept(Kept::Days, 0, RECORDS)).await?.unwrap_or_default();
    let cash = trees(desk, |trees| trees.kept(Kept::Cash, 0, RECORDS)).await?.unwrap_or_default();
    let statements = trees(desk, |trees| trees.kept(Kept::Reconciliations, 0, RECORDS)).await?;
    let statements = statements.unwrap_or_default();
    let (refunds, gone): (Vec<Refund>, Vec<Refund>) = {
        let books = desk.shared.board.books();
        let gone = books.ledger().expired().rev().take(ROWS).cloned().collect();
        (books.ledger().refunds().values().cloned().collect(), gone)
    };
    let yesterday = days_before(today, 1).unwrap_or(today).to_string();
    Ok(page.framed(
        say.counter(),
        false,
        html! {
            div.head { h1 { (say.counter()) } }
            (section(page))
            form.card method="get" action="/households" role="search" {
                div.row {
                    label { (say.find_household()) input name="q" type="search" autocapitalize="none" autofocus[page.sent.is_none()]; }
                    button.button type="submit" { (say.find()) }
                }
                p.small.mute { (say.find_household_why()) }
            }
            section.card {
                header { h2 { (say.today()) } span.mute.num { (today) } }
                @if paid.is_empty() { (empty(say.no_payments_today())) } @else {
                    table {
                        thead { tr { th { (say.channel_word()) } th.num { (say.count()) } th.num { (say.total()) } } }
                        tbody {
                            @for (channel, (count, sum)) in &by {
                                tr {
                                    td { (channel.map_or("", |c| say.channel(c.word()))) }
                                    td.num { (count) } td.num { (money(*sum)) }
                                }
                            }
                        }
                        tfoot { tr {
                            td { (say.total()) } td.num { (paid.len()) }
                            td.num { (money(Fen(paid.iter().fold(0, |s, p| s + p.amount.0)))) }
                        } }
                    }
                }
            }
            section.card #refunds {
                header { h2 { (say.refund_queue()) } span.pill.late[!refunds.is_empty()] { (refunds.len()) } }
                @if refunds.is_empty() { (empty(say.no_refunds())) }
                @for one in &refunds { (refund(page, one)) }
                @if !gone.is_empty() {
                    details {
                        summary { (say.fill(say.refunds_expired(), &[&gone.len().to_string()])) }
                        @for one in &gone { (expired(page, one)) }
                    }
                }
            }
            section.card #cash {
                header { h2 { (say.count_cash()) } }
                p.small.mute { (say.count_cash_why()) }
                @if page.takes_money() {
                    details open[page.sends("/counter/cash")] {
                        summary { (say.count_cash()) }
                        (page.form("/counter/cash", || html! {
                            div.columns {
                                (page.field(&Field::new("day", say.day(), Input::Date).value(&yesterday)))
                                (page.field(&Field::new("counted", say.counted(), Input::Money)))
                                (page.field(&Field::new("note", say.note_word(), Input::Text).optional().hint(say.count_note_hint())))
                            }
                            button.button type="submit" { (say.count_cash()) }
                        }))
                    }
                }
                (counts(view, &cash))
            }
            @if page.takes_money() {
                section.card #statement {
                    header { h2 { (say.reconcile()) } }
                    p.small.mute { (say.reconcile_why()) }
                    details open[page.sends("/counter/reconcile")] {
                        summary { (say.reconcile()) }
                        @let usual = yesterday.as_str();
                        (page.form("/counter/reconcile", || html! {
                            div.columns {
                                (page.field(&Field::new("s_channel", say.channel_word(), Input::Choice(&channels(page)))))
                                (page.field(&Field::new("s_from", say.day_from(), Input::Date).value(usual)))
                                (page.field(&Field::new("s_to", say.day_to(), Input::Date).value(usual)))
                            }
                            (page.field(&Field::new("statement", say.statement(), Input::Lines(8)).hint(say.statement_hint())))
                            button.button type="submit" { (say.reconcile()) }
                        }))
                    }
                    (reconciled(view, &statements))
                }
            }
            section.card #days {
                header { h2 { (say.days_closed()) } }
                p.small.mute { (say.days_closed_why()) }
                (closed(view, &days))
            }
        },
    ))
}

fn counts(view: &View, cash: &[(u64, Audit)]) -> Markup {
    let say = view.say;
    html! {
        @if !cash.is_empty() {
            table.stack {
                thead { tr {
                    th { (say.day()) } th.num { (say.expected()) } th.num { (say.counted()) }
                    th.num { (say.difference()) } th { (say.by()) }
                } }
                tbody {
                    @for (_, audit) in cash.iter().rev().take(DAYS) {
                        @if let Audit::CashCounted { day, by, expected_fen, counted_fen, difference_fen, note, .. } = audit {
                            tr {
                                td.lead { (day) }
                                td.num data-name=(say.expected()) { (money(*expected_fen)) }
                                td.num data-name=(say.counted()) { (money(*counted_fen)) }
                                td.num data-name=(say.difference()) {
                                    @if *difference_fen == Fen::ZERO { "0.00" } @else { span.pill.bad { (money(*difference_fen)) } }
                                }
                                td.small data-name=(say.by()) { (by) @if !note.is_empty() { " · " (note) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Statements that were compared, newest first, each with what does not agree.
fn reconciled(view: &View, all: &[(u64, Audit)]) -> Markup {
    let say = view.say;
    html! {
        @for (_, audit) in all.iter().rev().take(DAYS) {
            @if let Audit::Reconciled { at, channel, from, to, result, .. } = audit {
                div.entry {
                    p {
                        strong { (say.channel(channel.word())) } " · " (from) " – " (to) " · " (view.time(*at)) " "
                        @if result.differences.is_empty() { span.pill.good { (say.all_agree()) } }
                        @else { span.pill.bad { (say.fill(say.differ(), &[&result.differences.len().to_string()])) } }
                    }
                    p.small.mute { (say.statement()) " " (money(result.statement_fen)) " · " (say.expected()) " " (money(result.books_fen)) " · " (say.fill(say.matched(), &[&result.matched.to_string()])) }
                    @if !result.differences.is_empty() {
                        ul { @for one in &result.differences { li { (difference(view, one)) } } }
                    }
                }
            }
        }
    }
}

fn difference(view: &View, one: &Difference) -> Markup {
    let say = view.say;
    let (word, line, booked) = match one {
        Difference::NotInBooks { line } => (say.not_in_books(), Some(line), None),
        Difference::NotOnStatement { booked } => (say.not_on_statement(), None, Some(booked)),
        Difference::AmountDiffers { line, booked } => {
            (say.amount_differs(), Some(line), Some(booked))
        }
        Difference::OtherDay { line, booked } => (say.other_day(), Some(line), Some(booked)),
        Difference::StillPending { line, booked } => {
            (say.still_pending(), Some(line), Some(booked))
        }
        Difference::NoReference { booked } => (say.no_reference(), None, Some(booked)),
        Difference::TwiceInBooks { booked } => (say.twice_in_books(), None, Some(booked)),
    };
    html! {
        strong { (word) } " "
        @if let Some(line) = line { span.mono { (line.reference) } " " (money(line.amount_fen)) " " }
        @if let Some(booked) = booked { span.mono { (booked.reference) } " " (money(booked.amount_fen)) " " (view.time(booked.at)) }
    }
}

fn closed(view: &View, days: &[(u64, Audit)]) -> Markup {
    let say = view.say;
    html! {
        @if days.is_empty() { (empty(say.no_days())) } @else {
            table.stack {
                thead { tr {
                    th { (say.day()) } th { (say.channel_word()) } th.num { (say.paid_in()) }
                    th.num { (say.paid_out()) } th.num { (say.receipts()) }
                } }
                tbody {
                    @for (_, audit) in days.iter().rev().take(DAYS) {
                        @if let Audit::DayClosed { day, channels, first_receipt, last_receipt, .. } = audit {
                            @for (channel, of) in channels {
                                tr {
                                    td.lead { (day) }
                                    td data-name=(say.channel_word()) { (say.channel(channel.word())) }
                                    td.num data-name=(say.paid_in()) { (money(of.paid_fen)) " · " (of.payments) }
                                    td.num data-name=(say.paid_out()) { (money(of.refunded_fen)) " · " (of.refunds) }
                                    td.num data-name=(say.receipts()) { (first_receipt) "–" (last_receipt) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A refund, where it stands and what can be done.
pub(super) fn refund(page: &Page<'_>, refund: &Refund) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    let this = ("refund", refund.refund.as_str());
    html! {
        div.entry {
            (what(page, refund))
            p.small.mute {
                (say.asked_by()) " " (refund.asked_by) " · "
                @match refund.expires_at {
                    None => {
                        span.pill.late { (say.waits_approval()) }
                        @if let Some(by) = refund.decide_by { " " (say.until()) " " (view.time(by)) }
                    }
                    Some(at) => { span.pill.good { (say.approved_pay_out()) } " " (say.until()) " " (view.time(at)) }
                }
            }
            @if page.takes_money() {
                div.row {
                    @if refund.expires_at.is_none() && refund.asked_by == format!("page/{}", page.user) {
                        p.small.mute { (say.not_by_yourself()) }
                    } @else if refund.expires_at.is_none() {
                        (page.form_of("/refunds/approve", this, || html! {
                            button.button type="submit" { (say.approve()) }
                        }))
                    } @else {
                        (page.form_of("/refunds/paid", this, || html! {
                            label { (say.reference()) input name="reference" autocapitalize="none"; }
                            button.button type="submit" { (say.paid_out_now()) }
                        }))
                    }
                }
                details open[page.sends_of("/refunds/void", this)] {
                    summary { (say.void_refund()) }
                    (page.form_of("/refunds/void", this, || html! {
                        (page.field(&Field::new("void_reason", say.reason(), Input::Text)))
                        button.button.second type="submit" { (say.void_refund()) }
                    }))
                }
            }
        }
    }
}

/// A refund whose time was over.
pub(super) fn expired(page: &Page<'_>, refund: &Refund) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    let why =
        if refund.expires_at.is_some() { say.expired_unpaid() } else { say.expired_undecided() };
    html! {
        div.entry {
            (what(page, refund))
            p.small.mute {
                span.pill { (say.outcome_expired()) } " " (why)
                @if let Some(at) = refund.ends() { " · " (view.time(at)) }
            }
        }
    }
}

/// To whom, how much, on which way and why.
fn what(page: &Page<'_>, refund: &Refund) -> Markup {
    let say = page.view.say;
    html! {
        p {
            a href={ "/households/" (refund.account) } { (refund.account) } " · "
            strong.num { (money(refund.amount_fen)) } " · " (say.channel(refund.channel.word()))
            " · " (refund.reason)
        }
    }
}

/// The list of receipts, newest first.
pub(super) async fn receipts(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["before"])?;
    let before = fields.parsed::<u64>("before")?.unwrap_or(u64::MAX);
    let mut rows = payments(desk, 0).await?;
    rows.retain(|row| row.seq < before);
    let more = rows.len() > ROWS;
    let rows: Vec<Paid> = rows.into_iter().rev().take(ROWS).collect();
    let next = rows.last().map(|row| row.seq).filter(|_| more);
    Ok(page.framed(
        say.receipts(),
        false,
        html! {
            div.head { h1 { (say.receipts()) } }
            (section(page))
            section.card {
                @if rows.is_empty() { (empty(say.no_receipts())) } @else {
                    table.stack {
                        thead { tr {
                            th { (say.receipt()) } th.num { (say.when()) } th { (say.account()) }
                            th { (say.channel_word()) } th.num { (say.amount()) }
                        } }
                        tbody {
                            @for row in &rows {
                                tr {
                                    td.lead { a href={ "/receipts/" (row.receipt) } { "№ " (row.receipt) } }
                                    td.num data-name=(say.when()) { (view.time(row.at)) }
                                    td data-name=(say.account()) { a href={ "/households/" (row.account) } { (row.account) } }
                                    td data-name=(say.channel_word()) { (row.channel.map_or("", |c| say.channel(c.word()))) }
                                    td.num data-name=(say.amount()) { (money(row.amount)) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next { a.button.second href={ "/receipts?before=" (next) } { (say.next_page()) } }
        },
    ))
}

/// The receipt of a payment by the payment's id, as soon as it is written.
pub(super) async fn receipt_of_payment(desk: &Desk, id: &CommandId) -> Answered {
    let wanted = id.clone();
    let found = trees(desk, move |trees| {
        let mut seqs: Vec<u64> = Vec::new();
        trees.each_payment(0, &mut |row| {
            if row.receipt > 0 {
                seqs.push(row.seq);
            }
            true
        })?;
        for seq in seqs.into_iter().rev().take(200) {
            if let Some(Event::Payment(payment)) = trees.event(seq)?
                && let Movement::Paid(paid) = &payment.movement
                && paid.payment == wanted
            {
                return Ok(Some(paid.receipt));
            }
        }
        Ok(None)
    });
    match found.await?.flatten() {
        Some(number) => Ok(see_other(&format!("/receipts/{number}"))),
        // The rows follow the journal within moments; the list has it then.
        None => Ok(see_other("/receipts")),
    }
}

/// One receipt, to look at and to print on either paper.
pub(super) async fn receipt(desk: &Desk, page: &Page<'_>, number: u64) -> Answered {
    let say = page.view.say;
    let fields = Fields::parse(page.request.query.as_bytes(), &["paper"])?;
    let wide = fields.get("paper") == Some("a4");
    let receipt = receipt_of(desk, number).await?;
    let here = |now: bool| now.then_some("page");
    Ok(page.framed(
        say.receipt(),
        false,
        html! {
            div.head.no-print {
                h1.grow { (say.receipt()) " № " (number) }
                div.tabs-row {
                    a href={ "/receipts/" (number) "?paper=80" } aria-current=[here(!wide)] { "80 mm" }
                    a href={ "/receipts/" (number) "?paper=a4" } aria-current=[here(wide)] { "A4" }
                }
            }
            section class=(if wide { "paper a4" } else { "paper roll" }) { (printed(page, &receipt)) }
            div.row.no-print {
                button.button type="button" data-print { (say.print()) }
                a.button.second href={ "/households/" (receipt.account) } { (receipt.account) }
                a.button.second href="/counter" { (say.counter()) }
            }
            p.small.mute.no-print { (say.print_why()) }
        },
    ))
}

fn printed(page: &Page<'_>, receipt: &Receipt) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    let at: Option<Time> = receipt.at.parse().ok();
    html! {
        h2 { "收据 " span lang="en" { "RECEIPT" } }
        dl {
            dt { (say.receipt()) } dd { (format!("{:08}", receipt.receipt)) }
            dt { (say.when()) } dd { @if let Some(at) = at { (view.time(at)) } }
            dt { (say.account()) } dd { (receipt.account) }
            @if let Some(payer) = &receipt.payer { dt { (say.payer()) } dd { (payer) } }
        }
        dl.ruled {
            @for (name, fen) in &receipt.toward { dt { (say.item_name(name)) } dd { (money(*fen)) } }
        }
        dl.ruled {
            dt { strong { (say.total()) } } dd { strong { (money(receipt.amount_fen)) } }
        }
        p.capital { (receipt.amount_capital) }
        dl {
            dt { (say.channel_word()) } dd { (say.channel(receipt.channel)) }
            @if !receipt.reference.is_empty() { dt { (say.reference()) } dd { (receipt.reference) } }
            @if let Some(change) = receipt.change_fen {
                dt { (say.tendered()) } dd { (money(Fen(receipt.amount_fen.0.saturating_add(change.0)))) }
                dt { (say.change_back()) } dd { (money(change)) }
            }
            dt { (say.cashier()) } dd { (receipt.actor) }
        }
        p.small { (page.gateway) }
    }
}

/// The order of a form of this screen.
pub(super) fn order(read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    match act {
        Act::ApproveRefund => Some(Order::ApproveRefund { refund: read.parsed("refund")? }),
        Act::RefundPaid => {
            let refund = read.parsed("refund");
            Some(Order::RefundPaid { refund: refund?, reference: read.text("reference") })
        }
        Act::VoidRefund => {
            let refund = read.parsed("refund");
            let reason = read.said("void_reason", 200);
            Some(Order::VoidRefund { refund: refund?, reason })
        }
        Act::CountCash => {
            let day = read.said("day", 10);
            let counted = read.money_or_none("counted");
            if counted.is_none() {
                read.fault("counted", read.say.must_fill());
            }
            let note = read.text("note");
            Some(Order::CountCash { day, counted_fen: counted?, note })
        }
        Act::Reconcile => {
            let channel = Channel::of(&read.text("s_channel"));
            if channel.is_none() {
                read.fault("s_channel", read.say.not_understood());
            }
            let (from, last) = (read.said("s_from", 10), read.said("s_to", 10));
            let to = parse_day(&last).map(next_day);
            if to.is_none() {
                read.fault("s_to", read.say.no_day());
            }
            let statement = read.said("statement", 48 * 1024);
            let to = to?.to_string();
            Some(Order::Reconcile { channel: channel?, from, to, statement })
        }
        _ => None,
    }
}

/// Where the clerk goes on after a payment: to its receipt.
pub(super) fn after_payment(once: &str) -> String {
    format!("/receipts/of/page-{}", once.to_ascii_lowercase())
}
