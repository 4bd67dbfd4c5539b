//! Households: found by number, building, meter or bill; where each stands, why, and what the counter
//! does for it.

use super::components::{View, empty, money, tabs};
use super::forms::{Field, Input, Reader};
use super::{Act, Page, chart, seen};
use crate::http::answer::{Answered, Desk, query, see_other};
use crate::http::money::{fund_of, known, overdue_of, setup_of, today, trees};
use crate::http::request::Fields;
use crate::limits;
use crate::problem::Code;
use crate::store::trees::BillFilter;
use blockgate_rules::Fen;
use blockgate_rules::calendar::parse_day;
use blockgate_rules::event::Bill;
use blockgate_rules::input::{Order, RecordPayment, RequestRefund};
use blockgate_rules::ledger::{Channel, Deposit, Refund, Source, Toward};
use blockgate_rules::trail::{Step, trail};
use blockgate_types::{AccountId, CommandId, ItemId};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Households on one screen.
const ROWS: usize = 50;
/// Months in the composition's drawing.
const MONTHS: usize = 12;
/// Steps of the money trail that are shown at first.
const STEPS: usize = 40;

/// The screens of this section.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    tabs(
        page,
        &[
            ("/households", say.households()),
            ("/bills", say.bills()),
            ("/counter", say.counter()),
            ("/receipts", say.receipts()),
            ("/corrections", say.corrections()),
            ("/rules", say.rules()),
        ],
    )
}

/// The search and its list.
pub(super) async fn list(desk: &Desk, page: &Page<'_>) -> Answered {
    let say = page.view.say;
    let fields = Fields::parse(page.request.query.as_bytes(), &["q", "building", "after"])?;
    let wanted = fields.get("q").unwrap_or("").trim().to_lowercase();
    if let Some(found) = exactly(desk, &wanted).await? {
        return Ok(see_other(&format!("/households/{found}")));
    }
    let (setup, today) = (setup_of(desk), today(desk)?);
    let building = |id: &AccountId| setup.accounts.get(id).map_or("", |a| a.building.as_str());
    let (rows, next) = {
        let books = desk.shared.board.books();
        let ledger = books.ledger();
        let fits = |id: &&AccountId| {
            id.as_str().contains(&wanted)
                && fields.get("after").is_none_or(|after| id.as_str() > after)
                && fields.get("building").is_none_or(|wanted| building(id) == wanted)
        };
        let all = known(&setup, ledger);
        let mut rows: Vec<(AccountId, Fen, Fen, Fen)> = all
            .iter()
            .filter(fits)
            .take(ROWS + 1)
            .map(|id| {
                let standing = ledger.standing(id);
                (id.clone(), standing.owed_fen, overdue_of(ledger, id, today), standing.prepaid_fen)
            })
            .collect();
        let next = (rows.len() > ROWS).then(|| rows.get(ROWS - 1).map(|r| r.0.clone())).flatten();
        rows.truncate(ROWS);
        (rows, next)
    };
    let mut buildings: Vec<&str> = setup.accounts.values().map(|a| a.building.as_str()).collect();
    buildings.sort_unstable();
    buildings.dedup();
    let next = next.map(|next| {
        let mut query = form_urlencoded::Serializer::new("/households?".to_owned());
        for name in ["q", "building"] {
            if let Some(value) = fields.get(name) {
                query.append_pair(name, value);
            }
        }
        query.append_pair("after", next.as_str()).finish()
    });
    Ok(page.framed(
        say.households(),
        false,
        html! {
            div.head { h1 { (say.households()) } }
            (section(page))
            form.card method="get" action="/households" role="search" {
                div.row {
                    label { (say.find_household())
                        input name="q" type="search" value=(wanted) autocapitalize="none" autofocus[page.sent.is_none()];
                    }
                    label { (say.building())
                        select name="building" {
                            option value="" { (say.all()) }
                            @for name in buildings {
                                option value=(name) selected[fields.get("building") == Some(name)] { (name) }
                            }
                        }
                    }
                    button.button type="submit" { (say.find()) }
                }
                p.small.mute { (say.find_household_why()) }
            }
            section.card {
                @if rows.is_empty() { (empty(say.no_household())) } @else {
                    table.stack {
                        thead { tr {
                            th { (say.account()) } th { (say.building()) } th.num { (say.owed()) }
                            th.num { (say.overdue()) } th.num { (say.prepaid()) }
                        } }
                        tbody {
                            @for (id, owed, overdue, prepaid) in &rows {
                                tr {
                                    td.lead { a href={ "/households/" (id) } { (id) } }
                                    td data-name=(say.building()) { (building(id)) }
                                    td.num data-name=(say.owed()) { (money(*owed)) }
                                    td.num data-name=(say.overdue()) {
                                        @if *overdue > Fen::ZERO { span.pill.bad { (money(*overdue)) } } @else { "–" }
                                    }
                                    td.num data-name=(say.prepaid()) { (money(*prepaid)) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next { a.button.second href=(next) { (say.next_page()) } }
        },
    ))
}

/// The household that a scanned or typed text names: its own number, its meter's, or a bill's.
async fn exactly(desk: &Desk, text: &str) -> Result<Option<AccountId>, crate::problem::Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let setup = setup_of(desk);
    if let Ok(id) = text.parse::<AccountId>()
        && setup.accounts.contains_key(&id)
    {
        return Ok(Some(id));
    }
    let of_meter = setup.accounts.iter().find(|(_, account)| {
        account.charges.values().any(|c| c.meter.as_ref().is_some_and(|m| m.as_str() == text))
    });
    if let Some((id, _)) = of_meter {
        return Ok(Some(id.clone()));
    }
    let Ok(bill) = text.parse() else { return Ok(None) };
    Ok(query(desk, move |archive| archive.bill(&bill)).await?.map(|(_, bill)| bill.account))
}

/// A household's picture: what its screen is made of.
struct Household {
    owed: BTreeMap<ItemId, Fen>,
    owed_fen: Fen,
    overdue: Fen,
    prepaid: Fen,
    due: BTreeMap<String, String>,
    deposits: Vec<(CommandId, Deposit)>,
    refunds: Vec<Refund>,
    expired: Vec<Refund>,
    bills: Vec<(u64, Bill)>,
    steps: Vec<Step>,
    /// What forms about its money carry.
    seen: String,
    /// What forms about its deposits carry.
    seen_deposits: String,
}

/// One household.
pub(super) async fn show(desk: &Desk, page: &Page<'_>, id: &AccountId) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let of = picture(desk, id).await?;
    let setup = setup_of(desk);
    let terms = setup.accounts.get(id);
    Ok(page.framed(
        id.as_str(),
        false,
        html! {
            div.head {
                h1.grow { (id) }
                @if let Some(terms) = terms {
                    span.mute { (say.building()) " " (terms.building)
                        @if let Some(area) = terms.area_m2 { " · " (area) " m²" }
                        @if let Some(persons) = terms.persons { " · " (say.fill(say.persons(), &[&persons.to_string()])) }
                    }
                }
            }
            (section(page))
            div.grid.four {
                div.card.stat {
                    span.name { (say.owed()) } span.big { (money(of.owed_fen)) }
                    @for (item, fen) in of.owed.iter().filter(|(_, fen)| **fen > Fen::ZERO) {
                        span.small { (say.item_name(item.as_str())) " " span.num { (money(*fen)) }
                            @if let Some(due) = of.due.get(item.as_str()) { " · " (say.fill(say.due_on(), &[due])) }
                        }
                    }
                }
                div.card.stat { span.name { (say.overdue()) } span.big.alert[of.overdue > Fen::ZERO] { (money(of.overdue)) } }
                div.card.stat { span.name { (say.prepaid()) } span.big { (money(of.prepaid)) } }
                div.card.stat {
                    span.name { (say.deposits()) }
                    span.big { (money(Fen(of.deposits.iter().fold(0, |s, (_, d)| s + d.held().0)))) }
                }
            }
            @if page.takes_money() { (pay_form(page, id, &of)) }
            section.card {
                header { h2 { (say.composition()) } }
                (chart::composition(view, &by_month(&of.bills)))
            }
            section.card {
                header { h2 { (say.bills()) } a href={ "/bills?account=" (id) } { (say.all()) } }
                @if of.bills.is_empty() { (empty(say.no_bills())) }
                @else {
                    @let newest: Vec<(u64, Bill)> = of.bills.iter().rev().take(12).cloned().collect();
                    (super::bills::table(view, &newest))
                }
            }
            (deposits(page, id, &of))
            (refunds(page, id, &of))
            p { a.button.second href={ "/households/" (id) "/move-out" } { (say.move_out()) } }
            section.card {
                header { h2 { (say.trail()) } }
                p.small.mute { (say.trail_why()) }
                @if of.steps.is_empty() { (empty(say.no_trail())) } @else { (steps(view, &of.steps)) }
            }
        },
    ))
}

async fn picture(desk: &Desk, id: &AccountId) -> Result<Household, crate::problem::Problem> {
    let (setup, today) = (setup_of(desk), today(desk)?);
    let account = id.clone();
    let events = trees(desk, move |trees| trees.of_account(&account, 0, limits::TRAIL_MAX)).await?;
    let steps = trail(id, &events.unwrap_or_default(), fund_of(desk));
    let filter = BillFilter { account: Some(id.clone()), item: None, period_from: None };
    let bills = query(desk, move |archive| archive.bills(&filter, None, limits::HTTP_ROWS_MAX));
    let bills = bills.await?;
    let books = desk.shared.board.books();
    let ledger = books.ledger();
    if !setup.accounts.contains_key(id) && !ledger.households().any(|known| known == id) {
        return Err(Code::NotFound.into());
    }
    let standing = ledger.standing(id);
    let (seen, seen_deposits) = (seen::of_standing(&standing), seen::of_deposits(ledger, id));
    let mut due = BTreeMap::new();
    for (item, open) in ledger.open_bills_of(id) {
        if let Some(day) = open.due {
            due.entry(item.to_string()).or_insert_with(|| day.to_string());
        }
    }
    let mine = ledger.deposits().iter().filter(|(_, deposit)| deposit.account == *id);
    Ok(Household {
        owed: standing.owed,
        owed_fen: standing.owed_fen,
        overdue: overdue_of(ledger, id, today),
        prepaid: standing.prepaid_fen,
        due,
        deposits: mine.map(|(id, deposit)| (id.clone(), deposit.clone())).collect(),
        refunds: ledger.refunds().values().filter(|r| r.account == *id).cloned().collect(),
        expired: ledger.expired().rev().filter(|r| r.account == *id).cloned().collect(),
        bills,
        steps,
        seen,
        seen_deposits,
    })
}

/// The newest months with what was billed in each by item.
fn by_month(bills: &[(u64, Bill)]) -> Vec<(String, BTreeMap<String, Fen>)> {
    let mut months: BTreeMap<String, BTreeMap<String, Fen>> = BTreeMap::new();
    for (_, bill) in bills {
        let month = bill.period.from.get(..7).unwrap_or_default().to_owned();
        let sum = months.entry(month).or_default().entry(bill.item.to_string()).or_default();
        *sum = Fen(sum.0.saturating_add(bill.total_fen.0));
    }
    let skip = months.len().saturating_sub(MONTHS);
    months.into_iter().skip(skip).collect()
}

/// The ways of payment with their words.
pub(super) fn channels(page: &Page<'_>) -> Vec<(String, String)> {
    let say = page.view.say;
    let mut all = vec![Channel::Cash];
    all.extend(Channel::ALL.into_iter().filter(|channel| *channel != Channel::Cash));
    all.into_iter().map(|c| (c.word().to_owned(), say.channel(c.word()).to_owned())).collect()
}

fn pay_form(page: &Page<'_>, id: &AccountId, of: &Household) -> Markup {
    let say = page.view.say;
    let owed = if of.owed_fen > Fen::ZERO { of.owed_fen.to_string() } else { String::new() };
    let toward = [
        ("bills".to_owned(), say.toward_bills().to_owned()),
        ("prepaid".to_owned(), say.toward_prepaid().to_owned()),
    ];
    html! {
        section.card #pay {
            header { h2 { (say.take_payment()) } }
            (page.form(&format!("/households/{id}/pay"), || html! {
                (seen::field(&of.seen))
                div.columns {
                    (page.field(&Field::new("amount", say.amount_yuan(), Input::Money).value(&owed)))
                    (page.field(&Field::new("channel", say.channel_word(), Input::Choice(&channels(page)))))
                    (page.field(&Field::new("tendered", say.tendered(), Input::Money).optional().hint(say.tendered_hint())))
                    (page.field(&Field::new("reference", say.reference(), Input::Code).optional().hint(say.reference_hint())))
                    (page.field(&Field::new("toward", say.toward(), Input::Choice(&toward))))
                    (page.field(&Field::new("payer", say.payer(), Input::Code).optional().hint(say.payer_hint())))
                    (page.field(&Field::new("paid_on", say.paid_on(), Input::Date).optional().hint(say.paid_on_hint())))
                }
                button.button type="submit" { (say.take_payment()) }
            }))
        }
    }
}

fn deposits(page: &Page<'_>, id: &AccountId, of: &Household) -> Markup {
    let say = page.view.say;
    html! {
        section.card #deposits {
            header { h2 { (say.deposits()) } }
            p.small.mute { (say.deposits_why()) }
            @if of.deposits.is_empty() { (empty(say.no_deposits())) }
            @for (number, deposit) in &of.deposits {
                div.entry {
                    p { strong { (deposit.kind) } " · " (say.contract()) " " (deposit.contract) " · " span.num { (money(deposit.held())) } }
                    p.small.mute {
                        (deposit.condition) " · "
                        @if deposit.met { span.pill.good { (say.condition_met()) } } @else { span.pill.late { (say.condition_open()) } }
                    }
                    @let this = ("deposit", number.as_str());
                    @if page.takes_money() && !deposit.met {
                        details open[page.sends_of(&format!("/households/{id}/deposit-met"), this)] {
                            summary { (say.condition_is_met()) }
                            (page.form_of(&format!("/households/{id}/deposit-met"), this, || html! {
                                (page.field(&Field::new("evidence", say.evidence_where(), Input::Text)))
                                button.button type="submit" { (say.save()) }
                            }))
                        }
                    }
                    @let owing: Vec<(String, String)> = of.owed.iter().filter(|(_, fen)| **fen > Fen::ZERO)
                        .map(|(item, fen)| (item.to_string(), format!("{} {}", say.item_name(item.as_str()), money(*fen)))).collect();
                    @if page.takes_money() && deposit.free() > Fen::ZERO && !owing.is_empty() {
                        details open[page.sends_of(&format!("/households/{id}/deduct"), this)] {
                            summary { (say.deduct()) }
                            (page.form_of(&format!("/households/{id}/deduct"), this, || html! {
                                (seen::field(&of.seen_deposits))
                                div.columns {
                                    (page.field(&Field::new("item", say.item(), Input::Choice(&owing))))
                                    (page.field(&Field::new("deduct", say.amount_yuan(), Input::Money)))
                                    (page.field(&Field::new("deduct_reason", say.reason(), Input::Text)))
                                }
                                button.button.second type="submit" { (say.deduct()) }
                            }))
                        }
                    }
                }
            }
            @if page.takes_money() {
                details open[page.sends(&format!("/households/{id}/deposit"))] {
                    summary { (say.take_deposit()) }
                    (page.form(&format!("/households/{id}/deposit"), || html! {
                        (seen::field(&of.seen_deposits))
                        div.columns {
                            (page.field(&Field::new("d_kind", say.deposit_kind(), Input::Text).hint(say.deposit_kind_hint())))
                            (page.field(&Field::new("d_amount", say.amount_yuan(), Input::Money)))
                            (page.field(&Field::new("d_channel", say.channel_word(), Input::Choice(&channels(page)))))
                            (page.field(&Field::new("d_reference", say.reference(), Input::Code).optional()))
                            (page.field(&Field::new("d_contract", say.contract(), Input::Text)))
                            (page.field(&Field::new("d_condition", say.deposit_condition(), Input::Text).hint(say.deposit_condition_hint())))
                        }
                        button.button type="submit" { (say.take_deposit()) }
                    }))
                }
            }
        }
    }
}

fn refunds(page: &Page<'_>, id: &AccountId, of: &Household) -> Markup {
    let say = page.view.say;
    let mut sources =
        vec![("prepaid".to_owned(), format!("{} {}", say.prepaid(), money(of.prepaid)))];
    sources.extend(of.deposits.iter().map(|(number, deposit)| {
        (
            number.to_string(),
            format!("{} {} {}", say.deposit(), deposit.kind, money(deposit.free())),
        )
    }));
    html! {
        section.card #refunds {
            header { h2 { (say.refunds()) } }
            @if of.refunds.is_empty() { (empty(say.no_refunds())) }
            @for refund in &of.refunds { (super::counter::refund(page, refund)) }
            @for refund in &of.expired { (super::counter::expired(page, refund)) }
            @if page.takes_money() && (of.prepaid > Fen::ZERO || !of.deposits.is_empty()) {
                details open[page.sends(&format!("/households/{id}/refund"))] {
                    summary { (say.ask_refund()) }
                    (page.form(&format!("/households/{id}/refund"), || html! {
                        (seen::field(&of.seen_deposits))
                        div.columns {
                            (page.field(&Field::new("r_source", say.refund_from(), Input::Choice(&sources))))
                            (page.field(&Field::new("r_amount", say.amount_yuan(), Input::Money)))
                            (page.field(&Field::new("r_channel", say.channel_word(), Input::Choice(&channels(page))).hint(say.refund_channel_hint())))
                            (page.field(&Field::new("r_reason", say.reason(), Input::Text)))
                        }
                        button.button type="submit" { (say.ask_refund()) }
                    }))
                }
            }
        }
    }
}

fn steps(view: &View, steps: &[Step]) -> Markup {
    let say = view.say;
    html! {
        table.stack {
            thead { tr {
                th { (say.when()) } th { (say.what()) } th.num { (say.amount()) }
                th.num { (say.owed_then()) } th.num { (say.prepaid_then()) } th { (say.by()) }
            } }
            tbody {
                @for step in steps.iter().rev().take(STEPS) {
                    tr {
                        td.lead.num { (view.time(step.at)) }
                        td data-name=(say.what()) {
                            @if step.what == "bill" { a href={ "/bills/" (step.of) } { (say.step(&step.what)) } }
                            @else { (say.step(&step.what)) }
                        }
                        td.num data-name=(say.amount()) { (money(step.amount_fen)) }
                        td.num data-name=(say.owed_then()) { (money(step.owed_fen)) }
                        td.num data-name=(say.prepaid_then()) { (money(step.prepaid_fen)) }
                        td.mute.small data-name=(say.by()) { (step.actor) }
                    }
                }
            }
        }
        @if steps.len() > STEPS { p.small.mute { (say.fill(say.older_steps(), &[&(steps.len() - STEPS).to_string()])) } }
    }
}

fn channel(read: &mut Reader<'_>, name: &'static str) -> Option<Channel> {
    let channel = Channel::of(&read.text(name));
    if channel.is_none() {
        read.fault(name, read.say.not_understood());
    }
    channel
}

/// The order of a form of this section.
pub(super) fn order(desk: &Desk, read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    match act {
        Act::Pay(account) => {
            let (amount, way) = (read.money("amount"), channel(read, "channel"));
            let tendered = read.money_or_none("tendered");
            let (reference, payer) = (read.text("reference"), read.text("payer"));
            if let (Some(given), Some(amount)) = (tendered, amount)
                && given < amount
            {
                read.fault("tendered", read.say.too_little());
            }
            if tendered.is_some() && way.is_some_and(|way| way != Channel::Cash) {
                read.fault("tendered", read.say.only_cash());
            }
            if way.is_some_and(|way| way != Channel::Cash) && reference.is_empty() {
                read.fault("reference", read.say.reference_needed());
            }
            let paid_on = read.text("paid_on");
            let day = parse_day(&paid_on);
            if !paid_on.is_empty() && day.is_none() {
                read.fault("paid_on", read.say.no_day());
            }
            let toward = match read.text("toward").as_str() {
                "prepaid" => Toward::Prepaid,
                _ => Toward::Bills { items: Vec::new() },
            };
            Some(Order::RecordPayment(Box::new(RecordPayment {
                account: account.clone(),
                amount_fen: amount?,
                channel: way?,
                reference,
                payer: Some(payer).filter(|payer| !payer.is_empty()),
                toward,
                pending: false,
                tendered_fen: tendered,
                paid_on: day,
            })))
        }
        Act::TakeDeposit(account) => {
            let (amount, way) = (read.money("d_amount"), channel(read, "d_channel"));
            let deposit = CommandId::new(&format!("deposit-{}", read.text("once"))).ok();
            let toward = Toward::Deposit {
                deposit: deposit?,
                kind: read.said("d_kind", 200),
                contract: read.said("d_contract", 200),
                condition: read.said("d_condition", 200),
                release: None,
            };
            Some(Order::RecordPayment(Box::new(RecordPayment {
                account: account.clone(),
                amount_fen: amount?,
                channel: way?,
                reference: read.text("d_reference"),
                payer: None,
                toward,
                pending: false,
                tendered_fen: None,
                paid_on: None,
            })))
        }
        Act::AskRefund(account) => {
            let amount = read.money("r_amount");
            let reason = read.said("r_reason", 200);
            let from = read.text("r_source");
            let mut way = channel(read, "r_channel");
            let source = if from == "prepaid" {
                Some(Source::Prepaid)
            } else {
                CommandId::new(&from).ok().map(|deposit| {
                    // A deposit goes back on the way on which it came, whatever was chosen.
                    let books = desk.shared.board.books();
                    way = books.ledger().deposits().get(&deposit).map(|d| d.channel).or(way);
                    Source::Deposit { deposit }
                })
            };
            if source.is_none() {
                read.fault("r_source", read.say.not_understood());
            }
            Some(Order::RequestRefund(Box::new(RequestRefund {
                account: account.clone(),
                source: source?,
                amount_fen: amount?,
                channel: way?,
                reason,
            })))
        }
        Act::DeductDeposit(_) => {
            let (deposit, item) = (read.parsed("deposit"), read.parsed("item"));
            let amount = read.money("deduct");
            let reason = read.said("deduct_reason", 200);
            let (deposit, item, amount_fen) = (deposit?, item?, amount?);
            Some(Order::DeductDeposit { deposit, item, amount_fen, reason })
        }
        Act::DepositMet(_) => {
            let deposit = read.parsed("deposit");
            let evidence = read.said("evidence", 200);
            Some(Order::DepositCondition { deposit: deposit?, met: true, evidence })
        }
        _ => None,
    }
}
