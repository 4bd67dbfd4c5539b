//! The board: how much of what was billed came in, who owes most, what uses oddly, what the common
//! parts use, how full the car park is. Filters by time, building and item.

use super::components::{View, empty, money, unit};
use super::{Page, alarms, chart, parking};
use crate::figures::{By, Figures, Wanted};
use crate::http::answer::{Answered, Desk};
use crate::http::money::{overdue_of, public_meters, setup_of, summed, today, used, zone};
use crate::http::request::Fields;
use crate::problem::{Code, Problem};
use blockgate_rules::Fen;
use blockgate_rules::calendar::{Day, Month, days_before, next_day, parse_day};
use blockgate_rules::event::Alarm;
use blockgate_types::{Decimal, Span, Time};
use maud::{Markup, html};

/// Households on the list of arrears.
const TOP: usize = 10;
/// Public meters whose day is drawn.
const METERS: usize = 12;

fn day(fields: &Fields, name: &str, usual: Day) -> Result<Day, Problem> {
    let Some(text) = fields.get(name) else { return Ok(usual) };
    let wrong = || Problem::new(Code::BadRequest, format!("{name}: {text:?} is no day"));
    parse_day(text).ok_or_else(wrong)
}

/// The page.
pub(super) async fn show(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let known = ["from", "to", "building", "item"];
    let fields = Fields::parse(page.request.query.as_bytes(), &known)?;
    let (setup, today) = (setup_of(desk), today(desk)?);
    let to = day(&fields, "to", today)?;
    let year = days_before(to, 365).unwrap_or(to);
    let from = day(&fields, "from", Month::of(year).first())?;
    if from > to {
        return Err(Problem::new(Code::BadRequest, "from must not lie after to"));
    }
    let building = fields.get("building").map(str::to_owned);
    let item = fields.get("item").map(str::to_owned);
    let wanted = Wanted { by: By::Month, from, to: next_day(to), building: building.clone(), item };
    let (figures, _) = summed(desk, wanted).await?;
    let place = |id: &blockgate_types::AccountId| {
        setup.accounts.get(id).map_or("", |account| account.building.as_str())
    };
    let arrears: Vec<(blockgate_types::AccountId, Fen, Fen)> = {
        let books = desk.shared.board.books();
        let ledger = books.ledger();
        let fits = |id: &blockgate_types::AccountId| {
            building.as_deref().is_none_or(|wanted| place(id) == wanted)
        };
        let mut all: Vec<_> = crate::http::money::known(&setup, ledger)
            .into_iter()
            .filter(fits)
            .map(|id| {
                let owed = ledger.standing(&id).owed_fen;
                let overdue = overdue_of(ledger, &id, today);
                (id, owed, overdue)
            })
            .filter(|(_, owed, _)| *owed > Fen::ZERO)
            .collect();
        all.sort_by_key(|(_, owed, overdue)| std::cmp::Reverse((*overdue, *owed)));
        all.truncate(TOP);
        all
    };
    let odd: Vec<Alarm> =
        desk.shared.board.alarms().values().filter(|alarm| alarm.rule.is_some()).cloned().collect();
    let public = public_day(desk).await?;
    let mut buildings: Vec<&str> = setup.accounts.values().map(|a| a.building.as_str()).collect();
    buildings.sort_unstable();
    buildings.dedup();
    let mut items: Vec<&str> = setup
        .accounts
        .values()
        .flat_map(|a| a.charges.keys().map(blockgate_types::ItemId::as_str))
        .collect();
    items.sort_unstable();
    items.dedup();
    let advise = desk.shared.lanes.view();
    Ok(page.framed(
        say.board(),
        false,
        html! {
            div.head { h1 { (say.board()) } }
            form.card method="get" action="/board" {
                div.row {
                    label { (say.day_from()) input type="date" name="from" value=(from); }
                    label { (say.day_to()) input type="date" name="to" value=(to); }
                    label { (say.building())
                        select name="building" {
                            option value="" { (say.all()) }
                            @for name in &buildings { option value=(name) selected[fields.get("building") == Some(*name)] { (name) } }
                        }
                    }
                    label { (say.item())
                        select name="item" {
                            option value="" { (say.all()) }
                            @for name in &items { option value=(name) selected[fields.get("item") == Some(*name)] { (say.item_name(name)) } }
                        }
                    }
                    button.button type="submit" { (say.filter()) }
                }
            }
            (rate(view, &figures))
            section.card {
                header { h2 { (say.by_month()) } }
                (months(view, &figures))
            }
            section.card {
                header { h2 { (say.top_arrears()) } }
                @if arrears.is_empty() { (empty(say.no_arrears())) } @else {
                    table.stack {
                        thead { tr { th { (say.account()) } th { (say.building()) } th.num { (say.owed()) } th.num { (say.overdue()) } } }
                        tbody {
                            @for (id, owed, overdue) in &arrears {
                                tr {
                                    td.lead { a href={ "/households/" (id) } { (id) } }
                                    td data-name=(say.building()) { (place(id)) }
                                    td.num data-name=(say.owed()) { (money(*owed)) }
                                    td.num data-name=(say.overdue()) { (money(*overdue)) }
                                }
                            }
                        }
                    }
                }
            }
            section.card {
                header { h2 { (say.odd_points()) } span.pill.late[!odd.is_empty()] { (odd.len()) } }
                @if odd.is_empty() { (empty(say.no_odd_points())) } @else { (alarms::cards(view, &odd)) }
            }
            section.card {
                header { h2 { (say.public_use()) } }
                @if public.is_empty() { (empty(say.no_public_meters())) }
                @for (meter, name, rows) in &public {
                    h3 { a href={ "/meters/" (meter) } { (meter) } }
                    (chart::columns(view, say.hour(), rows, name, None))
                }
            }
            @if let Some(parking) = advise.parking() {
                section.card { header { h2 { (say.parking()) } a href="/parking" { (say.details()) } } (parking::areas(view, parking)) }
            }
        },
    ))
}

/// A drawing's rows: their label and their value.
type Rows = Vec<(String, Option<Decimal>)>;

/// What each public meter used in each of the last 24 hours.
async fn public_day(desk: &Desk) -> Result<Vec<(String, &'static str, Rows)>, Problem> {
    let (setup, zone) = (setup_of(desk), zone(desk)?);
    let now = desk.shared.clock.now();
    let hour = now.as_millis() / 3_600_000 * 3_600_000;
    let end = Time::from_millis(hour);
    let edges: Vec<Time> = (0..=24).map(|n| end.minus(Span::from_hours(24 - n))).collect();
    let mut all = Vec::new();
    for meter in public_meters(&setup).into_iter().take(METERS) {
        let Some((_, of, stretches)) = used(desk, &meter, None, &edges).await? else { continue };
        let rows = stretches.into_iter().map(|(at, value)| {
            let minute = zone.minute_of_day(at);
            (format!("{:02}:{:02}", minute / 60, minute % 60), value)
        });
        all.push((meter.to_string(), unit(of), rows.collect()));
    }
    Ok(all)
}

fn percent(permille: i64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// How much of what was billed came in.
fn rate(view: &View, figures: &Figures) -> Markup {
    let (say, total) = (view.say, &figures.total);
    html! {
        div.grid.four {
            div.card.stat {
                span.name { (say.collected()) }
                span.big { (total.collected_permille.map_or_else(|| "–".to_owned(), percent)) }
                @if let Some(permille) = total.collected_permille {
                    svg.meter viewBox="0 0 1000 60" preserveAspectRatio="none" aria-hidden="true" {
                        rect.none width="1000" height="60" {}
                        rect width=(permille.clamp(0, 1000)) height="60" {}
                    }
                }
            }
            div.card.stat { span.name { (say.billed()) } span.big { (money(total.billed_fen)) } span.small.mute { (say.fill(say.bills_count(), &[&total.bills.to_string()])) } }
            div.card.stat { span.name { (say.paid_in()) } span.big { (money(total.paid_fen)) } span.small.mute { (say.fill(say.payments_count(), &[&total.payments.to_string()])) } }
            div.card.stat { span.name { (say.still_owed()) } span.big { (money(total.open_fen)) } }
        }
    }
}

fn months(view: &View, figures: &Figures) -> Markup {
    let say = view.say;
    html! {
        @if figures.rows.is_empty() { (empty(say.no_bills())) } @else {
            table.stack {
                thead { tr {
                    th { (say.month()) } th.num { (say.billed()) } th.num { (say.paid_in()) }
                    th.num { (say.still_owed()) } th.num { (say.collected()) } th.num { (say.parking()) }
                } }
                tbody {
                    @for (month, sums) in figures.rows.iter().rev() {
                        tr {
                            td.lead.num { (month) }
                            td.num data-name=(say.billed()) { (money(sums.billed_fen)) }
                            td.num data-name=(say.paid_in()) { (money(sums.paid_fen)) }
                            td.num data-name=(say.still_owed()) { (money(sums.open_fen)) }
                            td.num data-name=(say.collected()) { (sums.collected_permille.map_or_else(|| "–".to_owned(), percent)) }
                            td.num data-name=(say.parking()) { (money(sums.parking_fen)) }
                        }
                    }
                }
            }
            p.small { a href="/v1/export/figures.xlsx" { (say.as_table_file()) } }
        }
    }
}
