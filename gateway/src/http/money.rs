//! Questions about money: accounts and where they stand, the way of a household's money, receipts,
//! arrears, figures. Answered from the durable books and the derived rows; nothing here decides.

use super::answer::{Answered, Desk, attachment, content, query};
use super::request::{Fields, Request};
use crate::books::Books;
use crate::figures::table::{Cell, Table};
use crate::figures::{self, By, Wanted, forecast, usage};
use crate::limits;
use crate::problem::{Code, Problem};
use crate::receipt;
use crate::store::trees::Trees;
use crate::store::trees::money::Kept;
use blockgate_rules::Fen;
use blockgate_rules::calendar::{self, Day, Month, Zone, parse_day};
use blockgate_rules::event::{Event, Payment};
use blockgate_rules::ledger::{Channel, Deposit, Fund, Ledger, Movement, Paid};
use blockgate_rules::setup::Setup;
use blockgate_rules::trail::trail;
use blockgate_types::{AccountId, CommandId, MeterId, RegisterName, Span, TariffId, Time, Unit};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What can be asked about money.
#[derive(Debug, Clone)]
pub(super) enum MoneyAsk {
    /// All accounts and where they stand.
    Accounts,
    /// One account.
    Account(AccountId),
    /// The way of its money.
    Trail(AccountId),
    /// All books together.
    Ledger,
    /// Receipts.
    Receipts,
    /// What is printed on one.
    Receipt(u64),
    /// Who owes beyond the due day.
    Arrears,
    /// Sums by time.
    Figures,
    /// What public meters used.
    Consumption,
    /// A table as a file.
    Export(String),
    /// Records of a kind: days, cash, reconciliations, settlements, corrections.
    Kept(Kept),
    /// The rules in force, and those that came by command.
    Rules,
    /// A rule file against the bills of a month that is over.
    Preview(Bytes),
}

/// The currency of every amount.
const CURRENCY: &str = "CNY";
/// Rows without `limit`.
const ROWS: usize = 100;
/// The arrears that a board shows.
const TOP: usize = 10;

pub(super) async fn answer(desk: &Desk, request: &Request, ask: MoneyAsk) -> Answered {
    let value = match ask {
        MoneyAsk::Accounts => accounts(desk, request)?,
        MoneyAsk::Account(id) => account(desk, request, &id)?,
        MoneyAsk::Trail(id) => steps(desk, request, id).await?,
        MoneyAsk::Ledger => {
            Fields::parse(request.query.as_bytes(), &[])?;
            ledger_json(desk.shared.board.books().ledger())
        }
        MoneyAsk::Receipts => receipts(desk, request).await?,
        MoneyAsk::Receipt(number) => printed(desk, request, number).await?,
        MoneyAsk::Arrears => arrears(desk, request)?,
        MoneyAsk::Figures => figures_json(desk, request).await?,
        MoneyAsk::Consumption => consumption(desk, request).await?,
        MoneyAsk::Kept(kind) => kept(desk, request, kind).await?,
        MoneyAsk::Rules => rules(desk, request)?,
        MoneyAsk::Preview(body) => previewed(desk, request, &body).await?,
        MoneyAsk::Export(name) => return export(desk, request, &name).await,
    };
    Ok(content(value.to_string(), "application/json"))
}

pub(super) fn zone(desk: &Desk) -> Result<Zone, Problem> {
    Zone::new(&desk.shared.status.zone).map_err(|e| Problem::new(Code::Internal, e.to_string()))
}

/// The block as it is set up by durable events.
pub(super) fn setup_of(desk: &Desk) -> Arc<Setup> {
    desk.shared.board.books().setup().clone()
}

pub(super) fn today(desk: &Desk) -> Result<Day, Problem> {
    Ok(zone(desk)?.day(desk.shared.clock.now()))
}

/// Every account that the setup or the books know.
pub(super) fn known(setup: &Setup, ledger: &Ledger) -> Vec<AccountId> {
    let mut all: Vec<AccountId> =
        setup.accounts.keys().chain(ledger.households()).cloned().collect();
    all.sort();
    all.dedup();
    all
}

pub(super) fn overdue_of(ledger: &Ledger, account: &AccountId, today: Day) -> Fen {
    let open = ledger.open_bills_of(account).filter(|(_, o)| o.due.is_some_and(|due| due < today));
    Fen(open.fold(0_i64, |sum, (_, open)| sum.saturating_add(open.left_fen.0)))
}

fn accounts(desk: &Desk, request: &Request) -> Result<Value, Problem> {
    let fields = Fields::parse(request.query.as_bytes(), &["building", "after", "limit"])?;
    let (after, limit) = (fields.get("after"), fields.limit(ROWS)?);
    let (setup, today) = (setup_of(desk), today(desk)?);
    let books = desk.shared.board.books();
    let ledger = books.ledger();
    let mut deposits: BTreeMap<&AccountId, i64> = BTreeMap::new();
    for deposit in ledger.deposits().values() {
        *deposits.entry(&deposit.account).or_default() += deposit.held().0;
    }
    let building = |id: &AccountId| setup.accounts.get(id).map_or("", |a| a.building.as_str());
    let fits = |id: &AccountId| {
        after.is_none_or(|after| id.as_str() > after)
            && fields.get("building").is_none_or(|wanted| building(id) == wanted)
    };
    let all = known(&setup, ledger);
    let page: Vec<&AccountId> = all.iter().filter(|id| fits(id)).take(limit + 1).collect();
    let next = (page.len() > limit).then(|| page.get(limit.wrapping_sub(1))).flatten();
    let row = |id: &&AccountId| {
        let standing = ledger.standing(id);
        json!({
            "account": id, "building": building(id),
            "owed_fen": standing.owed_fen, "overdue_fen": overdue_of(ledger, id, today),
            "prepaid_fen": standing.prepaid_fen,
            "deposits_fen": deposits.get(*id).copied().unwrap_or(0), "currency": CURRENCY,
        })
    };
    let rows: Vec<Value> = page.iter().take(limit).map(row).collect();
    Ok(json!({ "accounts": rows, "next_after": next }))
}

fn deposit_json((id, deposit): (&CommandId, &Deposit)) -> Value {
    let mut value = json!(deposit);
    if let Some(map) = value.as_object_mut() {
        map.remove("balance");
        map.remove("reserved");
        map.insert("deposit".to_owned(), json!(id));
        map.insert("held_fen".to_owned(), json!(deposit.held()));
        map.insert("free_fen".to_owned(), json!(deposit.free()));
    }
    value
}

fn account(desk: &Desk, request: &Request, id: &AccountId) -> Result<Value, Problem> {
    Fields::parse(request.query.as_bytes(), &[])?;
    let (setup, today) = (setup_of(desk), today(desk)?);
    let books = desk.shared.board.books();
    let ledger = books.ledger();
    let of_setup = setup.accounts.get(id);
    if of_setup.is_none() && !ledger.households().any(|known| known == id) {
        return Err(Code::NotFound.into());
    }
    let open: Vec<Value> = ledger
        .open_bills_of(id)
        .map(|(item, open)| {
            json!({
                "bill": open.bill, "item": item, "issued_at": open.issued_at,
                "due": open.due.map(|due| due.to_string()), "left_fen": open.left_fen,
                "overdue": open.due.is_some_and(|due| due < today), "reminded": open.reminded,
            })
        })
        .collect();
    let deposits = ledger.deposits().iter().filter(|(_, d)| d.account == *id).map(deposit_json);
    let deposits: Vec<Value> = deposits.collect();
    let refunds: Vec<Value> =
        ledger.refunds().values().filter(|r| r.account == *id).map(|r| json!(r)).collect();
    let expired: Vec<Value> =
        ledger.expired().filter(|r| r.account == *id).map(|r| json!(r)).collect();
    let standing = ledger.standing(id);
    let charges: Map<String, Value> = of_setup
        .into_iter()
        .flat_map(|setup| &setup.charges)
        .map(|(item, charge)| (item.to_string(), json!(charge)))
        .collect();
    Ok(json!({
        "account": id, "currency": CURRENCY,
        "building": of_setup.map_or("", |setup| setup.building.as_str()),
        "area_m2": of_setup.and_then(|s| s.area_m2).map(|area| area.to_string()),
        "persons": of_setup.and_then(|s| s.persons),
        "owed": standing.owed, "owed_fen": standing.owed_fen, "prepaid_fen": standing.prepaid_fen,
        "overdue_fen": overdue_of(ledger, id, today),
        "open_bills": open, "deposits": deposits, "refunds": refunds, "refunds_expired": expired,
        "late_fees": late_fees(ledger, id, today), "charges": charges,
    }))
}

/// What the late bills of a household have cost until today, and what of that is billed.
fn late_fees(ledger: &Ledger, id: &AccountId, today: Day) -> Vec<Value> {
    let all = ledger.late_of(id).into_iter().flatten();
    let counted = all.filter_map(|(bill, late)| {
        let fee_fen = late.count(calendar::next_day(today))?.fee_fen;
        let fee = json!({
            "bill": bill, "item": late.item, "due": late.due.to_string(), "left_fen": late.left(),
            "fee_fen": fee_fen, "billed_fen": late.billed_fen,
        });
        (fee_fen != Fen::ZERO || late.billed_fen != Fen::ZERO).then_some(fee)
    });
    counted.collect()
}

/// A question of the trees; a site over invented answers has none.
pub(super) async fn trees<T: Send + 'static>(
    desk: &Desk,
    ask: impl FnOnce(&Trees) -> Result<T, crate::store::trees::TreesError> + Send + 'static,
) -> Result<Option<T>, Problem> {
    query(desk, move |archive| Ok(archive.trees().map(ask).transpose()?)).await
}

pub(super) fn fund_of(desk: &Desk) -> impl Fn(&TariffId) -> Option<Fund> + use<> {
    let setup = desk.shared.board.books().setup().clone();
    move |tariff| blockgate_rules::rulebook::fund_of(&setup, tariff)
}

async fn kept(desk: &Desk, request: &Request, kind: Kept) -> Result<Value, Problem> {
    let fields = Fields::parse(request.query.as_bytes(), &["after", "limit"])?;
    let (after, limit) = (fields.parsed::<u64>("after")?.unwrap_or(0), fields.limit(ROWS)?);
    let rows = trees(desk, move |trees| trees.kept(kind, after, limit)).await?.unwrap_or_default();
    let next = (rows.len() == limit).then(|| rows.last().map(|(seq, _)| *seq)).flatten();
    let rows: Vec<Value> =
        rows.iter().map(|(seq, audit)| json!({ "seq": seq, "record": audit })).collect();
    Ok(json!({ "records": rows, "currency": CURRENCY, "next_after": next }))
}

fn rules(desk: &Desk, request: &Request) -> Result<Value, Problem> {
    Fields::parse(request.query.as_bytes(), &[])?;
    let books = desk.shared.board.books();
    let today = today(desk)?;
    let rule = |(id, tariff): (&TariffId, &blockgate_rules::tariff::Tariff)| {
        let revisions = tariff.revisions.iter().map(|r| json!({ "name": r.name(), "rule": r }));
        let by = books.applied().iter().find(|(_, rules)| rules.replaced.contains_key(id));
        json!({
            "tariff": id, "label": tariff.label, "currency": tariff.currency,
            "notice": tariff.notice, "file": by.map(|(name, _)| name),
            "in_force": tariff.revision_on(today).map(blockgate_rules::tariff::Revision::name),
            "revisions": revisions.collect::<Vec<Value>>(),
        })
    };
    let all: Vec<Value> = books.setup().tariffs.iter().map(rule).collect();
    Ok(json!({
        "rules": all, "files": books.applied(), "apportionments": books.setup().apportionments,
    }))
}

async fn previewed(desk: &Desk, request: &Request, body: &[u8]) -> Result<Value, Problem> {
    if !request.has_type("application/json") {
        return Err(Code::UnsupportedMediaType.into());
    }
    let question: crate::preview::Question = serde_json::from_slice(body)
        .map_err(|fault| Problem::new(Code::BadRequest, format!("the question: {fault}")))?;
    let (books, now) = (books(desk), desk.shared.clock.now());
    let made = trees(desk, move |trees| Ok(crate::preview::run(trees, &books, &question, now)));
    match made.await? {
        Some(Ok(preview)) => Ok(json!({ "currency": CURRENCY, "preview": preview })),
        Some(Err(faults)) => Err(Problem::new(Code::BadRequest, faults.join("\n"))),
        None => Err(Problem::new(Code::NotReady, "there are no bills to look at")),
    }
}

async fn steps(desk: &Desk, request: &Request, id: AccountId) -> Result<Value, Problem> {
    let fields = Fields::parse(request.query.as_bytes(), &["after", "limit"])?;
    let (after, limit) = (fields.parsed::<u64>("after")?.unwrap_or(0), fields.limit(ROWS)?);
    let account = id.clone();
    // From the begin: where a household stands depends on everything before.
    let events = trees(desk, move |trees| trees.of_account(&account, 0, limits::TRAIL_MAX)).await?;
    let steps = trail(&id, &events.unwrap_or_default(), fund_of(desk));
    let page: Vec<_> = steps.into_iter().filter(|step| step.seq > after).take(limit).collect();
    let next = (page.len() == limit).then(|| page.last().map(|step| step.seq)).flatten();
    Ok(json!({ "account": id, "currency": CURRENCY, "steps": page, "next_after": next }))
}

fn ledger_json(ledger: &Ledger) -> Value {
    let of_channel = |channel: Channel| (channel.word().to_owned(), ledger.clearing(channel));
    let clearing: BTreeMap<String, Fen> = Channel::ALL.into_iter().map(of_channel).collect();
    let funds = [Fund::Maintenance, Fund::PublicIncome];
    let funds: BTreeMap<&str, Fen> =
        funds.into_iter().map(|f| (f.word(), ledger.fund(f))).collect();
    let totals = ledger.totals();
    json!({
        "receivable_fen": totals.receivable, "prepaid_fen": totals.prepaid,
        "deposits_fen": totals.deposits, "income": ledger.incomes(), "funds": funds,
        "clearing": clearing, "currency": CURRENCY,
        "trial_balance_fen": i64::try_from(ledger.trial_balance()).unwrap_or(i64::MAX),
        "next_receipt": ledger.next_receipt(),
    })
}

async fn receipts(desk: &Desk, request: &Request) -> Result<Value, Problem> {
    let fields = Fields::parse(request.query.as_bytes(), &["after", "limit", "account"])?;
    let (after, limit) = (fields.parsed::<u64>("after")?.unwrap_or(0), fields.limit(ROWS)?);
    let account = fields.get("account").map(str::to_owned);
    let rows = trees(desk, move |trees| {
        let mut rows: Vec<(u64, Value)> = Vec::new();
        trees.each_payment(after, &mut |row| {
            if row.receipt > 0 && account.as_ref().is_none_or(|wanted| row.account == wanted) {
                let channel = row.channel.map(Channel::word);
                let value = json!({
                    "receipt": row.receipt, "seq": row.seq, "at": row.at, "account": row.account,
                    "amount_fen": row.amount, "channel": channel, "reference": row.reference,
                });
                rows.push((row.seq, value));
            }
            rows.len() < limit
        })?;
        Ok(rows)
    });
    let rows = rows.await?.unwrap_or_default();
    let next = (rows.len() == limit).then(|| rows.last().map(|(seq, _)| *seq)).flatten();
    let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
    Ok(json!({ "receipts": rows, "currency": CURRENCY, "next_after": next }))
}

/// The payment of a record, its own or the announced one that it settles.
fn paid_of<'e>(payment: &'e Payment, events: &'e [(u64, Event)]) -> Option<(u64, &'e Paid)> {
    let (number, paid) = receipt::booked(&payment.movement)?;
    if let Some(paid) = paid {
        return Some((number, paid));
    }
    let Movement::Settled { payment: id, .. } = &payment.movement else { return None };
    let announced = events.iter().find_map(|(_, event)| match event {
        Event::Payment(other) => match &other.movement {
            Movement::Paid(paid) if paid.payment == *id => Some(paid),
            _ => None,
        },
        _ => None,
    });
    announced.map(|paid| (number, paid))
}

async fn printed(desk: &Desk, request: &Request, number: u64) -> Result<Value, Problem> {
    Fields::parse(request.query.as_bytes(), &[])?;
    Ok(json!(receipt_of(desk, number).await?))
}

/// What is printed on a receipt.
pub(super) async fn receipt_of(desk: &Desk, number: u64) -> Result<receipt::Receipt, Problem> {
    let found = trees(desk, move |trees| {
        let Some(seq) = trees.receipt_seq(number)? else { return Ok(None) };
        let Some(Event::Payment(payment)) = trees.event(seq)? else { return Ok(None) };
        let events = trees.of_account(&payment.account, 0, limits::TRAIL_MAX)?;
        Ok(Some((seq, payment, events)))
    });
    let (seq, payment, events) = found.await?.flatten().ok_or(Code::NotFound)?;
    let steps = trail(&payment.account, &events, fund_of(desk));
    let postings = steps.into_iter().find(|step| step.seq == seq).map(|step| step.postings);
    let (number, paid) = paid_of(&payment, &events).ok_or(Code::NotFound)?;
    Ok(receipt::receipt(number, &payment, paid, &postings.unwrap_or_default()))
}

fn arrears(desk: &Desk, request: &Request) -> Result<Value, Problem> {
    let fields = Fields::parse(request.query.as_bytes(), &["building", "limit"])?;
    let (limit, today) = (fields.limit(TOP)?, today(desk)?);
    let setup = setup_of(desk);
    let building = |id: &AccountId| setup.accounts.get(id).map_or("", |a| a.building.as_str());
    let mut all = desk.shared.board.books().ledger().overdue(today);
    all.retain(|row| fields.get("building").is_none_or(|wanted| building(&row.account) == wanted));
    let total = all.iter().fold(0_i64, |sum, row| sum.saturating_add(row.overdue_fen.0));
    let row = |row: &blockgate_rules::ledger::Arrears| {
        let mut value = json!(row);
        if let Some(map) = value.as_object_mut() {
            map.insert("building".to_owned(), json!(building(&row.account)));
            let days = calendar::days_between(row.since, today);
            map.insert("days_overdue".to_owned(), json!(days));
        }
        value
    };
    let rows: Vec<Value> = all.iter().take(limit).map(row).collect();
    Ok(json!({
        "as_of": today.to_string(), "accounts": all.len(), "overdue_fen": total,
        "currency": CURRENCY, "arrears": rows,
    }))
}

const FIGURE_FIELDS: [&str; 5] = ["by", "from", "to", "building", "item"];

fn day(fields: &Fields, name: &str, usual: Day) -> Result<Day, Problem> {
    let Some(text) = fields.get(name) else { return Ok(usual) };
    let wrong = || {
        let detail = format!("parameter {name}: {text:?} is not a day like \"2026-03-01\"");
        Problem::new(Code::BadRequest, detail)
    };
    parse_day(text).ok_or_else(wrong)
}

/// What is asked: without bounds, the year until today.
fn wanted(desk: &Desk, fields: &Fields) -> Result<Wanted, Problem> {
    let to = day(fields, "to", calendar::next_day(today(desk)?))?;
    let year_before = calendar::days_before(to, 366).unwrap_or(to);
    let from = day(fields, "from", Month::of(year_before).first())?;
    if from >= to {
        return Err(Problem::new(Code::BadRequest, "from must lie before to"));
    }
    Ok(Wanted {
        by: fields.parsed("by")?.unwrap_or(By::Month),
        from,
        to,
        building: fields.get("building").map(str::to_owned),
        item: fields.get("item").map(str::to_owned),
    })
}

/// A copy of the books, so that a long sum does not hold up who follows the journal.
pub(super) fn books(desk: &Desk) -> Books {
    desk.shared.board.books().clone()
}

pub(super) async fn summed(
    desk: &Desk,
    wanted: Wanted,
) -> Result<(figures::Figures, Option<forecast::Forecast>), Problem> {
    let (books, setup, zone) = (books(desk), setup_of(desk), zone(desk)?);
    let this_month = Month::of(today(desk)?);
    let all = Wanted { by: By::Month, from: Day::MIN, to: this_month.first(), ..wanted.clone() };
    let made = trees(desk, move |trees| {
        let shown = figures::figures(trees, &books, &setup, &zone, &wanted)?;
        let past = figures::figures(trees, &books, &setup, &zone, &all)?;
        Ok((shown, past))
    });
    let Some((shown, past)) = made.await? else {
        let rows = BTreeMap::new();
        let total = figures::Sums::default();
        return Ok((figures::Figures { rows, total, payments_by_hour: vec![0; 24] }, None));
    };
    // Months without a payment count: from the first one on, each until the one before this.
    let mut months = Vec::new();
    let first = past.rows.iter().find(|(_, sums)| sums.payments > 0);
    let mut month = first.and_then(|(name, _)| parse_day(&format!("{name}-01"))).map(Month::of);
    while let Some(at) = month.filter(|at| at.first() < this_month.first()) {
        months.push(past.rows.get(&at.to_string()).map_or(Fen::ZERO, |sums| sums.paid_fen));
        month = Some(at.next());
    }
    Ok((shown, forecast::forecast(&months)))
}

async fn figures_json(desk: &Desk, request: &Request) -> Result<Value, Problem> {
    let fields = Fields::parse(request.query.as_bytes(), &FIGURE_FIELDS)?;
    let wanted = wanted(desk, &fields)?;
    let asked = wanted.clone();
    let (figures, forecast) = summed(desk, wanted).await?;
    let row = |(time, sums): (&String, &figures::Sums)| {
        let mut value = json!(sums);
        if let Some(map) = value.as_object_mut() {
            map.insert("time".to_owned(), json!(time));
        }
        value
    };
    let rows: Vec<Value> = figures.rows.iter().map(row).collect();
    Ok(json!({
        "by": asked.by, "from": asked.from.to_string(), "to": asked.to.to_string(),
        "building": asked.building, "item": asked.item, "currency": CURRENCY,
        "rows": rows, "total": figures.total, "payments_by_hour": figures.payments_by_hour,
        "forecast": forecast,
    }))
}

/// The meters of the common parts: those whose cost is shared.
pub(super) fn public_meters(setup: &Setup) -> Vec<MeterId> {
    let charges = setup.accounts.values().flat_map(|account| account.charges.values());
    let shared = charges.filter(|charge| charge.share.is_some());
    let mut meters: Vec<MeterId> = shared.filter_map(|charge| charge.meter.clone()).collect();
    meters.sort();
    meters.dedup();
    meters
}

/// What a meter's register used between `edges`, which ascend; the first billing register where none is
/// named. `None` where there is no such meter or register.
pub(super) async fn used(
    desk: &Desk,
    meter: &MeterId,
    register: Option<&RegisterName>,
    edges: &[Time],
) -> Result<Option<(RegisterName, Unit, Vec<usage::Stretch>)>, Problem> {
    let (Some(begin), Some(end)) = (edges.first(), edges.last()) else { return Ok(None) };
    let setup = setup_of(desk);
    let Some(of) = setup.meters.get(meter) else { return Ok(None) };
    let found = of.registers.iter().find(|r| register.is_none_or(|wanted| r.name == *wanted));
    let Some(found) = found else { return Ok(None) };
    let (id, name) = (meter.clone(), found.name.clone());
    // A little more in front, so that the first stretch has a reading to begin with.
    let (before, until) = (begin.minus(Span::from_hours(2)), end.plus(Span::from_millis(1)));
    let most = limits::CONSUMPTION_READINGS_MAX;
    let readings = query(desk, move |t| t.history(&id, &name, before, until, most)).await?;
    Ok(Some((found.name.clone(), found.unit, usage::between(edges, &readings, of.multiplier))))
}

async fn consumption(desk: &Desk, request: &Request) -> Result<Value, Problem> {
    let known = ["meter", "register", "by", "from", "to"];
    let fields = Fields::parse(request.query.as_bytes(), &known)?;
    let (setup, zone) = (setup_of(desk), zone(desk)?);
    let to = day(&fields, "to", calendar::next_day(today(desk)?))?;
    let from = day(&fields, "from", calendar::days_before(to, 1).unwrap_or(to))?;
    let by = fields.get("by").unwrap_or("hour");
    let (begin, end) = (zone.start_of(from), zone.start_of(to));
    let mut edges = vec![begin];
    while let Some(last) = edges.last().copied().filter(|last| *last < end) {
        let next = match by {
            "hour" => last.plus(Span::from_hours(1)),
            "day" => zone.start_of(calendar::next_day(zone.day(last))),
            "month" => zone.end_of(zone.month_of(last)),
            _ => return Err(Problem::new(Code::BadRequest, "by must be hour, day or month")),
        };
        edges.push(next.min(end));
        if edges.len() > limits::HTTP_ROWS_MAX * 2 {
            let detail = format!("more than {} rows: ask for less at once", edges.len() - 1);
            return Err(Problem::new(Code::BadRequest, detail));
        }
    }
    let meters = match fields.parsed::<MeterId>("meter")? {
        Some(meter) if setup.meters.contains_key(&meter) => vec![meter],
        Some(_) => return Err(Code::NotFound.into()),
        None => public_meters(&setup),
    };
    let mut all = Vec::new();
    for meter in meters {
        let wanted: Option<RegisterName> = fields.parsed("register")?;
        let Some((register, unit, stretches)) = used(desk, &meter, wanted.as_ref(), &edges).await?
        else {
            continue;
        };
        let rows: Vec<Value> = stretches
            .into_iter()
            .map(|(at, used)| json!({ "from": at, "used": used.map(|used| used.to_string()) }))
            .collect();
        all.push(json!({
            "meter": meter, "register": register, "unit": unit, "rows": rows,
        }));
    }
    Ok(json!({ "by": by, "from": from.to_string(), "to": to.to_string(), "meters": all }))
}

/// The tables that can be had as a file.
const TABLES: [&str; 5] = ["figures", "fees", "arrears", "receipts", "accounts"];

async fn export(desk: &Desk, request: &Request, name: &str) -> Answered {
    let split = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "csv" | "xlsx"));
    let Some((table, kind)) = split.filter(|(table, _)| TABLES.contains(table)) else {
        return Err(Code::NotFound.into());
    };
    let fields = Fields::parse(request.query.as_bytes(), &FIGURE_FIELDS)?;
    let made = match table {
        "arrears" => arrears_table(desk)?,
        "accounts" => accounts_table(desk),
        "receipts" => receipts_table(desk).await?,
        "fees" => fees_table(&summed(desk, wanted(desk, &fields)?).await?.0),
        _ => figures_table(&summed(desk, wanted(desk, &fields)?).await?.0),
    };
    let (bytes, media) = if kind == "csv" {
        (made.csv(), "text/csv; charset=utf-8")
    } else {
        let made = tokio::task::spawn_blocking(move || made.xlsx()).await;
        let wrong = |e: String| Problem::new(Code::Internal, e);
        let bytes = made.map_err(|e| wrong(e.to_string()))?.map_err(|e| wrong(e.to_string()))?;
        (bytes, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    };
    Ok(attachment(bytes, media, name))
}

fn table(name: &str, head: &[&str]) -> Table {
    let head = head.iter().map(|text| (*text).to_owned()).collect();
    Table { name: name.to_owned(), head, rows: Vec::new() }
}

fn text(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

fn whole(n: u64) -> Cell {
    Cell::Whole(i64::try_from(n).unwrap_or(i64::MAX))
}

fn figures_table(figures: &figures::Figures) -> Table {
    let mut made = table(
        "收费统计 figures",
        &[
            "时间 time",
            "账单数 bills",
            "应收 billed",
            "欠费 open",
            "收缴率‰ collected",
            "缴费笔数 payments",
            "实收 paid",
            "退款笔数 refunds",
            "退款 refunded",
            "停车 parking",
        ],
    );
    let total = "合计 total".to_owned();
    for (time, sums) in figures.rows.iter().chain([(&total, &figures.total)]) {
        made.rows.push(vec![
            text(time),
            whole(sums.bills),
            Cell::Fen(sums.billed_fen.0),
            Cell::Fen(sums.open_fen.0),
            sums.collected_permille.map_or_else(|| text(""), Cell::Whole),
            whole(sums.payments),
            Cell::Fen(sums.paid_fen.0),
            whole(sums.refunds),
            Cell::Fen(sums.refunded_fen.0),
            Cell::Fen(sums.parking_fen.0),
        ]);
    }
    made
}

fn fees_table(figures: &figures::Figures) -> Table {
    let head = ["时间 time", "楼栋/项目 of", "名称 name", "应收 billed", "欠费 open"];
    let mut made = table("费用构成 fees", &head);
    for (time, sums) in &figures.rows {
        for (of, parts) in [("项目 item", &sums.by_item), ("楼栋 building", &sums.by_building)]
        {
            for (name, part) in parts {
                made.rows.push(vec![
                    text(time),
                    text(of),
                    text(name),
                    Cell::Fen(part.billed_fen.0),
                    Cell::Fen(part.open_fen.0),
                ]);
            }
        }
    }
    made
}

fn arrears_table(desk: &Desk) -> Result<Table, Problem> {
    let today = today(desk)?;
    let head = ["户号 account", "逾期金额 overdue", "最早到期 since", "天数 days", "账单 bills"];
    let mut made = table("欠费 arrears", &head);
    for row in desk.shared.board.books().ledger().overdue(today) {
        let days = calendar::days_between(row.since, today);
        made.rows.push(vec![
            text(&row.account),
            Cell::Fen(row.overdue_fen.0),
            text(row.since),
            Cell::Whole(days.into()),
            whole(row.bills),
        ]);
    }
    Ok(made)
}

fn accounts_table(desk: &Desk) -> Table {
    let setup = setup_of(desk);
    let head = ["户号 account", "楼栋 building", "应缴 owed", "预存 prepaid"];
    let mut made = table("户台账 accounts", &head);
    let books = desk.shared.board.books();
    for id in known(&setup, books.ledger()) {
        let standing = books.ledger().standing(&id);
        let building = setup.accounts.get(&id).map_or("", |a| a.building.as_str());
        made.rows.push(vec![
            text(&id),
            text(building),
            Cell::Fen(standing.owed_fen.0),
            Cell::Fen(standing.prepaid_fen.0),
        ]);
    }
    made
}

async fn receipts_table(desk: &Desk) -> Result<Table, Problem> {
    let head =
        ["编号 receipt", "时间 at", "户号 account", "金额 amount", "渠道 channel", "流水号 ref"];
    let mut made = table("收据 receipts", &head);
    let rows = trees(desk, move |trees| {
        let mut rows = Vec::new();
        trees.each_payment(0, &mut |row| {
            if row.receipt > 0 {
                let channel = row.channel.map_or("", Channel::word);
                rows.push(vec![
                    whole(row.receipt),
                    text(row.at),
                    text(row.account),
                    Cell::Fen(row.amount.0),
                    text(channel),
                    text(row.reference),
                ]);
            }
            rows.len() < limits::EXPORT_ROWS_MAX
        })?;
        Ok(rows)
    });
    made.rows = rows.await?.unwrap_or_default();
    Ok(made)
}
