//! A household moves out: one form at the counter, one document to print and sign. It has the last readings, the
//! last bills, what was owed before, what was damaged, what happens to each deposit, what goes back and on which
//! way, and what is still to be paid. The rules make it (`rules/src/block/moveout.rs`); here nothing is computed.

use super::components::{empty, money, unit};
use super::forms::{Field, Input, Reader};
use super::households::{channels, section};
use super::{Act, Page};
use crate::http::answer::{Answered, Desk};
use crate::http::money::{known, setup_of, today, trees};
use crate::problem::Code;
use crate::store::trees::money::Kept;
use blockgate_rules::Fen;
use blockgate_rules::calendar::next_day;
use blockgate_rules::event::Audit;
use blockgate_rules::input::Order;
use blockgate_rules::ledger::Channel;
use blockgate_rules::settlement::{Damage, MoveOut, Settlement};
use blockgate_types::{AccountId, ItemId};
use maud::{Markup, html};

/// Settlements that are looked through for a household's.
const RECORDS: usize = 10_000;
/// Under which item a damage is charged.
const DAMAGE: &str = "damage";

/// The form, and the documents that were made.
pub(super) async fn show(desk: &Desk, page: &Page<'_>, id: &AccountId) -> Answered {
    let say = page.view.say;
    if !known(&setup_of(desk), desk.shared.board.books().ledger()).contains(id) {
        return Err(Code::NotFound.into());
    }
    let rows = trees(desk, |trees| trees.kept(Kept::Settlements, 0, RECORDS)).await?;
    let mine = |(_, audit): (u64, Audit)| match audit {
        Audit::MovedOut { settlement } if settlement.account == *id => Some(settlement),
        _ => None,
    };
    let made: Vec<Box<Settlement>> =
        rows.unwrap_or_default().into_iter().rev().filter_map(mine).collect();
    let today = today(desk)?;
    let days = [(today, say.today()), (next_day(today), say.tomorrow())]
        .map(|(day, word)| (day.to_string(), format!("{word} {day}")));
    let deduct = [("yes", say.deduct_yes()), ("no", say.deduct_no())]
        .map(|(word, text)| (word.to_owned(), text.to_owned()));
    let mut ways = vec![(String::new(), "–".to_owned())];
    ways.extend(channels(page));
    Ok(page.framed(
        say.move_out(),
        false,
        html! {
            div.head.no-print { h1.grow { (say.move_out()) " · " (id) } a href={ "/households/" (id) } { (say.back()) } }
            div.no-print { (section(page)) }
            @if page.takes_money() {
                section.card.no-print {
                    p.mute { (say.move_out_why()) }
                    (page.form(&format!("/households/{id}/move-out"), || html! {
                        div.columns {
                            (page.field(&Field::new("until", say.charged_until(), Input::Choice(&days)).hint(say.charged_until_hint())))
                            (page.field(&Field::new("deduct_owed", say.deduct_owed(), Input::Choice(&deduct))))
                            (page.field(&Field::new("inspection", say.inspection(), Input::Text).optional().hint(say.inspection_hint())))
                            (page.field(&Field::new("damage", say.damage_yuan(), Input::Money).optional()))
                            (page.field(&Field::new("damage_reason", say.damage_what(), Input::Text).optional()))
                            (page.field(&Field::new("m_channel", say.prepaid_back(), Input::Choice(&ways)).optional().hint(say.prepaid_back_hint())))
                        }
                        button.button type="submit" { (say.move_out_do()) }
                    }))
                }
            }
            @if made.is_empty() { (empty(say.no_settlement())) }
            @for settlement in &made {
                section.paper.a4 { (document(page, settlement)) }
                div.row.no-print { button.button.second type="button" data-print { (say.print()) } }
            }
        },
    ))
}

fn document(page: &Page<'_>, of: &Settlement) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    html! {
        h2 { "退租结算单 " span lang="en" { "MOVE-OUT SETTLEMENT" } }
        dl {
            dt { (say.account()) } dd { (of.account) }
            dt { (say.charged_until()) } dd { (of.until) }
            dt { (say.when()) } dd { (view.time(of.at)) }
            dt { (say.by()) } dd { (of.by) }
            dt { "№" } dd.mono.small { (of.settlement) }
        }
        @if !of.readings.is_empty() {
            h3 { (say.last_readings()) }
            table {
                thead { tr { th { (say.meter()) } th { (say.register_name()) } th.num { (say.opening()) } th.num { (say.closing()) } th.num { (say.used()) } } }
                tbody { @for one in &of.readings { tr {
                    td { (one.meter) } td { (say.register(one.register.as_str())) }
                    td.num { (one.from.value) } td.num { (one.to.value) @if one.to.estimated { " " (say.judged_estimated()) } }
                    td.num { (one.used) " " (unit(one.unit)) }
                } } }
            }
        }
        h3 { (say.bills()) }
        table { tbody {
            tr { td { (say.arrears_before()) } td.num { (money(of.arrears_fen)) } }
            @for bill in &of.bills { tr {
                td { a href={ "/bills/" (bill.bill) } { (say.item_name(bill.item.as_str())) } }
                td.num { (money(bill.total_fen)) }
            } }
            tr { th { (say.owed()) } th.num { (money(of.owed_fen)) } }
        } }
        @for damage in &of.damages { p.small { (say.damage_what()) ": " (damage.reason) " · " (money(damage.amount_fen)) } }
        @if !of.deposits.is_empty() {
            h3 { (say.deposits()) }
            table {
                thead { tr { th { (say.deposit()) } th.num { (say.held_deposit()) } th.num { (say.deducted()) } th.num { (say.goes_back()) } } }
                tbody { @for one in &of.deposits { tr {
                    td { (one.kind) " · " (one.contract) }
                    td.num { (money(one.held_fen)) } td.num { (money(one.deducted_fen)) } td.num { (money(one.refund_fen)) }
                } } }
            }
        }
        h3 { (say.refunds()) }
        table { tbody {
            tr { td { (say.prepaid()) } td.num { (money(of.prepaid_fen)) } }
            @for one in &of.refunds { tr {
                td { (say.channel(one.channel.word())) " · "
                    @if one.approved { (say.approved_pay_out()) } @else { (say.waits_approval()) } }
                td.num { (money(one.amount_fen)) }
            } }
            tr { th { (say.goes_back()) } th.num { (money(of.refund_fen)) } }
            tr { th { (say.left_to_pay()) } th.num { (money(of.left_to_pay_fen)) } }
        } }
        p.signatures { span { (say.signed_desk()) } span { (say.signed_household()) } span { (say.day()) } }
    }
}

/// The order of the form.
pub(super) fn order(read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    let Act::MoveOut(account) = act else { return None };
    let until = read.said("until", 10);
    let amount = read.money_or_none("damage").filter(|fen| *fen > Fen::ZERO);
    let reason = read.text("damage_reason");
    let damages = match (amount, reason.is_empty()) {
        (None, true) => Vec::new(),
        (Some(amount_fen), false) => {
            vec![Damage { item: ItemId::new(DAMAGE).ok()?, amount_fen, reason }]
        }
        (Some(_), true) => {
            read.fault("damage_reason", read.say.must_fill());
            return None;
        }
        (None, false) => {
            read.fault("damage", read.say.must_fill());
            return None;
        }
    };
    let way = read.text("m_channel");
    let channel = Channel::of(&way);
    if !way.is_empty() && channel.is_none() {
        read.fault("m_channel", read.say.not_understood());
    }
    Some(Order::MoveOut(Box::new(MoveOut {
        account: account.clone(),
        until,
        inspection: read.text("inspection"),
        damages,
        deduct: read.text("deduct_owed") == "yes",
        channel,
    })))
}
