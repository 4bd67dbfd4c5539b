//! Meters: live values, curves, faults with what to check, held registers with what can be decided, a
//! test read with its frames, and the exchange of a device.

use super::components::{ROWS, View, address, empty, pages, polls, unit};
use super::forms::{Field, Input, Reader};
use super::lines::{installs, section};
use super::{Act, Outcome, Page, chart, faults};
use crate::http::answer::{Answered, Desk, first_billing, query, unit_of};
use crate::http::money::{used, zone};
use crate::http::request::Fields;
use crate::http::wire::{self, Freshness, MeterView};
use crate::limits;
use crate::problem::{Code, Problem};
use blockgate_drivers::meter::TestRead;
use blockgate_rules::alarm;
use blockgate_rules::calendar::{Day, Month, days_before, next_day};
use blockgate_rules::event::Verdict;
use blockgate_rules::input::{HeldDecision, Order};
use blockgate_types::{
    Decimal, MeterId, RegisterName, RegisterSpec, RelayTo, Role, Span, Time, ValveTo, parse_decimal,
};
use maud::{Markup, html};

/// Momentary values that a card shows beside the counter.
const LIVE_ON_CARD: usize = 3;

/// The list.
pub(super) fn list(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let known = ["show", "q", "line", "from"];
    let fields = Fields::parse(page.request.query.as_bytes(), &known)?;
    let trouble = fields.get("show") == Some("trouble");
    let wanted = fields.get("q").unwrap_or("").trim().to_lowercase();
    let mut all = wire::meters(&desk.shared);
    let none = if all.is_empty() {
        say.no_meters()
    } else if trouble && wanted.is_empty() {
        say.no_trouble()
    } else {
        say.no_meter_fits()
    };
    all.retain(|m| {
        let line = m.board.line.as_ref().map_or("", |line| line.as_str());
        (!trouble || m.freshness != Freshness::Good || !m.held().is_empty())
            && fields.get("line").is_none_or(|wanted| line == wanted)
            && (wanted.is_empty()
                || m.id.as_str().contains(&wanted)
                || m.accounts.iter().any(|account| account.contains(&wanted)))
    });
    let from = fields.parsed::<usize>("from")?.unwrap_or(0);
    let count = all.len();
    let shown: Vec<MeterView> = all.into_iter().skip(from).take(ROWS).collect();
    let link = |from: usize| {
        let kept = ["show", "q", "line"].into_iter();
        let kept = kept.filter_map(|name| Some((name, fields.get(name)?)));
        address("/meters", &kept.chain([("from", from.to_string().as_str())]).collect::<Vec<_>>())
    };
    let lines: Vec<String> = desk.shared.board.lines().keys().map(ToString::to_string).collect();
    Ok(page.framed(
        say.meters(),
        true,
        html! {
            div.head { h1.grow { (say.meters()) } span.mute { (count) } }
            (section(page))
            form.card method="get" action="/meters" role="search" {
                div.row {
                    label { (say.find_meter()) input name="q" type="search" value=(wanted) autocapitalize="none"; }
                    label { (say.line())
                        select name="line" {
                            option value="" { (say.all()) }
                            @for line in &lines { option value=(line) selected[fields.get("line") == Some(line.as_str())] { (line) } }
                        }
                    }
                    label { (say.state())
                        select name="show" {
                            option value="" { (say.all()) }
                            option value="trouble" selected[trouble] { (say.with_trouble()) }
                        }
                    }
                    button.button type="submit" { (say.filter()) }
                }
            }
            @if shown.is_empty() { (empty(none)) }
            div.grid { @for meter in &shown { (card(view, meter)) } }
            (pages(say, from, count, link))
        },
    ))
}

fn card(view: &View, meter: &MeterView) -> Markup {
    let say = view.say;
    let held = meter.held();
    html! {
        section.card.old[meter.freshness != Freshness::Good] data-meter=(meter.id) {
            header {
                h3 { a href={ "/meters/" (meter.id) } { (meter.id) } }
                (view.freshness(meter.freshness))
            }
            (counter(view, meter))
            (age(view, meter))
            @if let Some((_, values)) = &meter.board.last {
                dl {
                    @for (spec, value) in values.iter().filter(|(s, _)| s.role == Role::Live).take(LIVE_ON_CARD) {
                        dt { (say.register(spec.name.as_str())) } dd { (amount(view, spec, value)) }
                    }
                }
            }
            @if let Some((_, fault)) = &meter.board.fault {
                @let (class, check) = say.class(fault.class);
                div.note.late { strong { (class) } p.small { (check) } }
            }
            @if let Some((register, _, why)) = held.first() {
                div.note.late {
                    strong { (say.held_title()) }
                    p.small { (say.register(register.as_str())) " · " (say.hold(*why)) }
                    a href={ "/meters/" (meter.id) "#held" } { (say.details()) }
                }
            }
        }
    }
}

/// The first counter, large.
fn counter(view: &View, meter: &MeterView) -> Markup {
    let last = meter.board.last.as_ref();
    let first = last.and_then(|(_, values)| values.iter().find(|(s, _)| s.role == Role::Billing));
    html! {
        @match first {
            Some((spec, value)) => p.big { (amount(view, spec, value)) },
            None => p.big.mute { "–" },
        }
    }
}

fn age(view: &View, meter: &MeterView) -> Markup {
    let say = view.say;
    html! {
        p.mute.small {
            @match &meter.board.last {
                Some((at, _)) => {
                    (view.ago(*at))
                    @if meter.freshness != Freshness::Good { " · " (say.stale()) }
                },
                None => (say.never_read()),
            }
        }
    }
}

fn amount(view: &View, spec: &RegisterSpec, value: Option<Decimal>) -> Markup {
    html! {
        @match value {
            Some(value) => {
                span data-register=(spec.name) { (value) } span.unit { " " (unit(spec.unit)) }
            },
            None => span.mute data-register=(spec.name) { (view.say.no_value()) },
        }
    }
}

/// How long the curve of a meter's screen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stretch {
    Day,
    Month,
    Year,
}

/// One meter.
pub(super) async fn detail(
    desk: &Desk,
    page: &Page<'_>,
    id: &MeterId,
    test: Option<&TestRead>,
) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["span"])?;
    let span = match fields.get("span") {
        Some("month") => Stretch::Month,
        Some("year") => Stretch::Year,
        Some(_) | None => Stretch::Day,
    };
    let meter = wire::meter(&desk.shared, id).ok_or(Code::NotFound)?;
    let curve = curve(desk, page, &meter, span).await?;
    let here = |now: Stretch| (span == now).then_some("page");
    let reads = page.may(&Order::ReadNow { meter: id.clone(), frozen: None });
    Ok(page.framed(
        id.as_str(),
        true,
        html! {
            div data-meter=(id) .old[meter.freshness != Freshness::Good] {
                div.head { h1 { (id) } (view.freshness(meter.freshness)) }
                (section(page))
                @if reads {
                    div.row {
                        (page.form(&format!("/meters/{id}/read"), || html! {
                            button.button type="submit" title=(say.test_read_why()) { (say.test_read()) }
                        }))
                        (page.form(&format!("/meters/{id}/test"), || html! {
                            button.button.second type="submit" { (say.test_frames()) }
                        }))
                        @if installs(page) { a.button.second href={ "/meters/" (id) "/exchange" } { (say.exchange()) } }
                    }
                    p.small.mute { (say.test_read_why()) }
                }
                @if let Some(test) = test { (frames(view, test)) }
                (held(page, &meter))
                (fault(view, &meter))
                section.card {
                    header { h2 { (say.values()) } }
                    (counter(view, &meter)) (age(view, &meter))
                    (values(view, &meter))
                }
                section.card {
                    header {
                        h2 { (match span { Stretch::Day => say.history(), Stretch::Month => say.history_month(), Stretch::Year => say.history_year() }) }
                        nav.tabs-row aria-label=(say.curve()) {
                            a href={ "/meters/" (id) } aria-current=[here(Stretch::Day)] { "24 h" }
                            a href={ "/meters/" (id) "?span=month" } aria-current=[here(Stretch::Month)] { (say.one_month()) }
                            a href={ "/meters/" (id) "?span=year" } aria-current=[here(Stretch::Year)] { (say.one_year()) }
                        }
                    }
                    (curve)
                }
                (orders(desk, page, &meter))
                section.card { header { h2 { (say.polls()) } } (polls(view, meter.board.good, meter.board.faults)) }
                section.card { (about(view, &meter)) }
            }
        },
    ))
}

/// The curve, with the stretch before it to compare.
async fn curve(
    desk: &Desk,
    page: &Page<'_>,
    meter: &MeterView,
    span: Stretch,
) -> Result<Markup, Problem> {
    let (view, say) = (&page.view, page.view.say);
    if span == Stretch::Day {
        let register = first_billing(desk, meter);
        let unit = register.as_ref().and_then(|r| unit_of(desk, meter, r));
        let rows = match register {
            Some(register) => {
                let (id, to) = (meter.id.clone(), view.now.plus(Span::from_millis(1)));
                // The day before too, and one hour more, for the difference of the first.
                let from = view.now.minus(Span::from_hours(50));
                let limit = limits::HTTP_ROWS_MAX;
                query(desk, move |trees| trees.history(&id, &register, from, to, limit)).await?
            }
            None => Vec::new(),
        };
        return Ok(match unit {
            Some(unit) => chart::day(view, &rows, unit),
            None => empty(say.nothing_measured()),
        });
    }
    let zone = zone(desk)?;
    let today = zone.day(view.now);
    let days: Vec<Day> = if span == Stretch::Month { month_days(today) } else { year_days(today) };
    let before: Vec<Day> = days.iter().map(|day| earlier(*day, span)).collect();
    let edges = |days: &[Day]| days.iter().map(|day| zone.start_of(*day)).collect::<Vec<Time>>();
    let now = used(desk, &meter.id, None, &edges(&days)).await?;
    let then = used(desk, &meter.id, None, &edges(&before)).await?;
    let Some((_, of, stretches)) = now else { return Ok(empty(say.nothing_measured())) };
    let name = |day: &Day| {
        let text = day.to_string();
        let part = if span == Stretch::Month { text.get(5..) } else { text.get(..7) };
        part.unwrap_or_default().to_owned()
    };
    let rows: Vec<(String, Option<Decimal>)> =
        days.iter().zip(stretches).map(|(day, (_, value))| (name(day), value)).collect();
    let before: Vec<Option<Decimal>> =
        then.map_or_else(Vec::new, |(_, _, rows)| rows.into_iter().map(|(_, v)| v).collect());
    let head = if span == Stretch::Month { say.day() } else { say.month() };
    let compared = if span == Stretch::Month { say.days_before() } else { say.year_before() };
    Ok(chart::columns(view, head, &rows, unit(of), Some((compared, &before))))
}

/// The begins of the last 30 days and the end of the last one.
fn month_days(today: Day) -> Vec<Day> {
    let mut day = days_before(today, 29).unwrap_or(today);
    let mut days = vec![day];
    while day <= today {
        day = next_day(day);
        days.push(day);
    }
    days
}

/// The begins of the last twelve months and the end of the last one.
fn year_days(today: Day) -> Vec<Day> {
    let this = Month::of(today);
    let back = days_before(this.first(), 335).unwrap_or(today);
    let mut month = Month::of(back);
    let mut days = vec![month.first()];
    while month.first() <= today {
        month = month.next();
        days.push(month.first());
    }
    days
}

/// The day that is compared: thirty days or a year before.
fn earlier(day: Day, span: Stretch) -> Day {
    match span {
        Stretch::Day | Stretch::Month => days_before(day, 30).unwrap_or(day),
        Stretch::Year => Day::new(day.year() - 1, day.month(), day.day()).unwrap_or(day),
    }
}

/// What can be told to the device, and a reading in place of one that it does not give.
fn orders(desk: &Desk, page: &Page<'_>, meter: &MeterView) -> Markup {
    let say = page.view.say;
    let id = &meter.id;
    let reason = String::new;
    let valve = Order::Valve { meter: id.clone(), to: ValveTo::Close, reason: reason() };
    let relay = Order::Relay { meter: id.clone(), to: RelayTo::Trip, reason: reason() };
    let setup = desk.shared.setup();
    let registers: Vec<(String, String)> = setup.meters.get(id).map_or_else(Vec::new, |m| {
        m.registers.iter().map(|r| (r.name.to_string(), say.register(r.name.as_str()))).collect()
    });
    let valves = [
        ("close".to_owned(), say.valve_close().to_owned()),
        ("open".to_owned(), say.valve_open().to_owned()),
    ];
    let relays = [
        ("trip".to_owned(), say.relay_trip().to_owned()),
        ("close".to_owned(), say.relay_close().to_owned()),
        ("permit".to_owned(), say.relay_permit().to_owned()),
    ];
    html! {
        @if page.may(&valve) || installs(page) {
            section.card {
                header { h2 { (say.orders()) } }
                p.small.mute { (say.orders_why()) }
                @if page.may(&valve) {
                    details open[page.sends(&format!("/meters/{id}/valve"))] {
                        summary { (say.valve()) }
                        (page.form(&format!("/meters/{id}/valve"), || html! {
                            (page.field(&Field::new("to", say.valve(), Input::Choice(&valves))))
                            (page.field(&Field::new("act_reason", say.reason(), Input::Text)))
                            button.button type="submit" { (say.valve_now()) }
                        }))
                    }
                }
                @if page.may(&relay) {
                    details open[page.sends(&format!("/meters/{id}/relay"))] {
                        summary { (say.relay()) }
                        (page.form(&format!("/meters/{id}/relay"), || html! {
                            (page.field(&Field::new("to", say.relay(), Input::Choice(&relays))))
                            (page.field(&Field::new("act_reason", say.reason(), Input::Text)))
                            button.button type="submit" { (say.relay_now()) }
                        }))
                    }
                }
                @if installs(page) && !registers.is_empty() {
                    details open[page.sends(&format!("/meters/{id}/estimate"))] {
                        summary { (say.estimate()) }
                        p.small.mute { (say.estimate_why()) }
                        (page.form(&format!("/meters/{id}/estimate"), || html! {
                            (page.field(&Field::new("register", say.register_name(), Input::Choice(&registers))))
                            (page.field(&Field::new("estimate", say.value(), Input::Number).optional().hint(say.estimate_hint())))
                            (page.field(&Field::new("estimate_reason", say.reason(), Input::Text)))
                            button.button type="submit" { (say.estimate()) }
                        }))
                    }
                }
            }
        }
    }
}

/// The order of a form of this screen.
pub(super) fn act_order(read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    let to = read.text("to");
    match act {
        Act::MoveValve(meter) => {
            let reason = read.said("act_reason", 200);
            let to = if to == "open" { ValveTo::Open } else { ValveTo::Close };
            Some(Order::Valve { meter: meter.clone(), to, reason })
        }
        Act::SwitchRelay(meter) => {
            let reason = read.said("act_reason", 200);
            let to = match to.as_str() {
                "trip" => Some(RelayTo::Trip),
                "close" => Some(RelayTo::Close),
                "permit" => Some(RelayTo::Permit),
                _ => None,
            };
            if to.is_none() {
                read.fault("to", read.say.not_understood());
            }
            Some(Order::Relay { meter: meter.clone(), to: to?, reason })
        }
        Act::EstimateReading(meter) => {
            let register = RegisterName::new(&read.text("register")).ok();
            if register.is_none() {
                read.fault("register", read.say.not_understood());
            }
            let value =
                if read.text("estimate").is_empty() { None } else { read.decimal("estimate") };
            let reason = read.said("estimate_reason", 200);
            Some(Order::EstimateReading {
                meter: meter.clone(),
                register: register?,
                value,
                reason,
            })
        }
        _ => None,
    }
}

/// What was sent and received, byte by byte, and what it means.
fn frames(view: &View, test: &TestRead) -> Markup {
    let say = view.say;
    html! {
        section.card #frames {
            header { h2 { (say.test_frames()) } }
            @match &test.outcome {
                Ok(values) => {
                    p.note.good role="status" { (say.test_good()) }
                    dl { @for (spec, value) in values.iter() { dt { (say.register(spec.name.as_str())) } dd { @match value { Some(value) => { (value) " " (unit(spec.unit)) }, None => (say.no_value()) } } } }
                },
                Err(fault) => {
                    @let (class, check) = say.class(fault.class);
                    div.note.bad role="alert" { strong { (class) } p { (check) } p.small lang="en" { (fault.what) } }
                },
            }
            table.stack {
                thead { tr { th { (say.sent()) } th { (say.received()) } th.num { (say.round_trip()) } } }
                tbody {
                    @for exchange in &test.exchanges {
                        tr {
                            td.wide.mono data-name=(say.sent()) { (wire::hex_text(&exchange.request)) }
                            td.wide.mono data-name=(say.received()) { @if exchange.reply.is_empty() { (say.nothing_received()) } @else { (wire::hex_text(&exchange.reply)) } }
                            td.num data-name=(say.round_trip()) { (round_trip(exchange.round_trip)) }
                        }
                    }
                }
            }
        }
    }
}

/// In milliseconds; what is faster than one of them is no zero.
fn round_trip(span: std::time::Duration) -> String {
    if span.as_millis() == 0 { "< 1 ms".to_owned() } else { format!("{} ms", span.as_millis()) }
}

/// The exchange of a device in three steps: the old one's last reading, the new one's first, and a look
/// at both before it is booked. The steps are addresses, so that the back button goes a step back.
pub(super) fn exchange(desk: &Desk, page: &Page<'_>, id: &MeterId) -> Answered {
    let say = page.view.say;
    let known = ["register", "final_value", "initial_value"];
    let fields = Fields::parse(page.request.query.as_bytes(), &known)?;
    let meter = wire::meter(&desk.shared, id).ok_or(Code::NotFound)?;
    let last = meter.board.last.as_ref().and_then(|(_, values)| {
        let first = values.iter().find(|(spec, _)| spec.role == Role::Billing)?;
        Some((first.0.clone(), first.1))
    });
    let registers: Vec<(String, String)> =
        desk.shared.setup().meters.get(id).map_or_else(Vec::new, |m| {
            m.registers
                .iter()
                .map(|r| (r.name.to_string(), say.register(r.name.as_str())))
                .collect()
        });
    // A form that waited for a login, or was refused, brings what the steps had gathered.
    let given = |name: &str| page.typed.value(name).or_else(|| fields.get(name));
    let good = |name: &str| given(name).filter(|text| parse_decimal(text).is_ok());
    let (old, new) = (good("final_value"), good("initial_value"));
    let register = given("register").unwrap_or_default();
    let step = match (old, new) {
        (Some(_), Some(_)) => 3,
        (Some(_), None) => 2,
        (None, _) => 1,
    };
    let suggested = last.as_ref().and_then(|(_, value)| *value).map(|v| v.to_string());
    Ok(page.framed(
        say.exchange(),
        false,
        html! {
            div.head { h1.grow { (say.exchange()) } a href={ "/meters/" (id) } { (id) } }
            p.mute { (say.fill(say.exchange_step(), &[&step.to_string()])) }
            section.card {
                @match step {
                    1 => {
                        h2 { (say.exchange_old()) }
                        p { (say.exchange_old_why()) }
                        form method="get" action={ "/meters/" (id) "/exchange" } {
                            (page.field(&Field::new("register", say.register_name(), Input::Choice(&registers))))
                            (page.field(&Field::new("final_value", say.final_value(), Input::Number).value(suggested.as_deref().unwrap_or_default())))
                            button.button type="submit" { (say.next()) }
                        }
                    },
                    2 => {
                        h2 { (say.exchange_new()) }
                        p { (say.exchange_new_why()) }
                        form method="get" action={ "/meters/" (id) "/exchange" } {
                            input type="hidden" name="register" value=(register);
                            input type="hidden" name="final_value" value=(old.unwrap_or_default());
                            (page.field(&Field::new("initial_value", say.initial_value(), Input::Number).value("0")))
                            button.button type="submit" { (say.next()) }
                        }
                    },
                    _ => {
                        h2 { (say.exchange_look()) }
                        dl.wide-list {
                            dt { (say.meter()) } dd { (id) }
                            dt { (say.register_name()) } dd { (say.register(register)) }
                            dt { (say.final_value()) } dd { strong { (old.unwrap_or_default()) } }
                            dt { (say.initial_value()) } dd { strong { (new.unwrap_or_default()) } }
                        }
                        p { (say.exchange_look_why()) }
                        (page.form(&format!("/meters/{id}/exchange"), || html! {
                            input type="hidden" name="register" value=(register);
                            input type="hidden" name="final_value" value=(old.unwrap_or_default());
                            input type="hidden" name="initial_value" value=(new.unwrap_or_default());
                            button.button type="submit" { (say.exchange_now()) }
                        }))
                    }
                }
            }
            a.button.second href={ "/meters/" (id) } { (say.throw_away()) }
        },
    ))
}

/// Reads a meter through its line's task and shows the frames; nothing is journaled.
///
/// # Errors
/// [`Code::NotFound`], [`Code::Stopping`].
pub(super) async fn test_read(
    desk: &Desk,
    page: &Page<'_>,
    id: &MeterId,
) -> Result<Outcome, Problem> {
    if !page.may(&Order::ReadNow { meter: id.clone(), frozen: None }) {
        return Err(Code::Forbidden.into());
    }
    if wire::meter(&desk.shared, id).is_none() {
        return Err(Code::NotFound.into());
    }
    let read =
        tokio::time::timeout(limits::HTTP_COMMAND_TIMEOUT, desk.shared.reads.read(id, None)).await;
    let read = read.map_err(|_| Problem::from(Code::NoAnswer))?.ok_or(Code::Stopping)?;
    Ok(Outcome::Shown(detail(desk, page, id, Some(&read)).await?))
}

/// The order of an exchange.
pub(super) fn exchange_order(read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    let Act::ExchangeMeter(meter) = act else { return None };
    let register = RegisterName::new(&read.text("register")).ok();
    if register.is_none() {
        read.fault("register", read.say.not_understood());
    }
    let (old, new) = (read.decimal("final_value"), read.decimal("initial_value"));
    Some(Order::ExchangeMeter {
        meter: meter.clone(),
        register: register?,
        final_value: old?,
        initial_value: new?,
    })
}

fn values(view: &View, meter: &MeterView) -> Markup {
    let say = view.say;
    html! {
        @if let Some((_, values)) = &meter.board.last {
            table.stack {
                thead { tr { th { (say.register_name()) } th.num { (say.value()) } th { (say.role()) } th { (say.judged()) } } }
                tbody {
                    @for (spec, value) in values.iter() {
                        @let role = match spec.role {
                            Role::Billing => say.role_billing(),
                            Role::Live => say.role_live(),
                            Role::Status => say.role_status(),
                        };
                        tr {
                            td.lead { (say.register(spec.name.as_str())) }
                            td.num data-name=(say.value()) { span { (amount(view, spec, value)) } }
                            td data-name=(say.role()) { (role) }
                            td data-name=(say.judged()) {
                                @if let Some((_, verdict)) = meter.board.verdicts.get(&spec.name) { (say.verdict(verdict)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn held(page: &Page<'_>, meter: &MeterView) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    let held = meter.held();
    html! {
        @if !held.is_empty() {
            section #held .card {
                header { h2 { (say.held_title()) } span.pill.late { (held.len()) } }
                @if let Some(fault) = page.typed.fault("decision") { p.note.bad role="alert" { (fault) } }
                @for (register, at, why) in held {
                    div.note.late {
                        strong { (say.register(register.as_str())) }
                        p { (say.hold(why)) " " span.mute.small { (view.time(at)) } }
                    }
                    @let order = Order::DecideHeld {
                        meter: meter.id.clone(),
                        register: register.clone(),
                        decision: HeldDecision::Accept,
                    };
                    @if page.may(&order) {
                        (page.form(&format!("/meters/{}/decide", meter.id), || html! {
                            input type="hidden" name="register" value=(register);
                            input type="hidden" name="seen" value=(hold_of(meter, register).unwrap_or_default());
                            div.row {
                                button.button.second name="decision" value="accept" { (say.decide_accept()) }
                                button.button.second name="decision" value="rollover" { (say.decide_rollover()) }
                                button.button.second name="decision" value="rebase" { (say.decide_rebase()) }
                            }
                        }))
                    }
                }
                p.mute.small { (say.decide_sure()) }
            }
        }
    }
}

/// What a hold is about: against which reading, and why. Another reading that is held for the same
/// reason is no news; one for another reason is.
fn hold_of(meter: &MeterView, register: &RegisterName) -> Option<String> {
    match meter.board.verdicts.get(register) {
        Some((_, Verdict::Held { from, why })) => {
            Some(format!("{from} {}", alarm::hold_word(*why)))
        }
        Some(_) | None => None,
    }
}

/// What was decided about a held register; nothing where something else is held by now than was seen.
pub(super) fn decision(desk: &Desk, read: &mut Reader<'_>, meter: &MeterId) -> Option<Order> {
    if let (Ok(register), Some(view)) =
        (RegisterName::new(&read.text("register")), wire::meter(&desk.shared, meter))
    {
        let (seen, now) = (read.text("seen"), hold_of(&view, &register).unwrap_or_default());
        if !seen.is_empty() && seen != now {
            let now = if now.is_empty() { read.say.nothing_held() } else { now.as_str() };
            let text = read.say.fill(read.say.changed_meanwhile(), &[&seen, now]);
            read.fault("decision", text);
        }
    }
    let register = RegisterName::new(&read.text("register")).ok();
    let decision = match read.text("decision").as_str() {
        "accept" => Some(HeldDecision::Accept),
        "rollover" => Some(HeldDecision::Rollover),
        "rebase" => Some(HeldDecision::Rebase),
        _ => None,
    };
    if register.is_none() || decision.is_none() {
        read.fault("decision", read.say.not_understood());
    }
    Some(Order::DecideHeld { meter: meter.clone(), register: register?, decision: decision? })
}

fn fault(view: &View, meter: &MeterView) -> Markup {
    let say = view.say;
    html! {
        @if let Some((at, fault)) = &meter.board.fault {
            @let (class, check) = say.class(fault.class);
            section.card {
                header { h2 { (say.last_fault()) } span.pill.late { (class) } }
                p { (check) }
                p.small { (faults::told(say, &fault.what)) }
                p.mute.small { (view.time(*at)) }
                details {
                    summary { (say.raw_frame()) }
                    @if fault.raw.is_empty() { p.mute { (say.nothing_received()) } }
                    @else { p.mono { (wire::hex_text(&fault.raw)) } }
                }
            }
        }
    }
}

fn about(view: &View, meter: &MeterView) -> Markup {
    let (say, board) = (view.say, &meter.board);
    html! {
        dl.wide-list {
            @if let Some(line) = &board.line { dt { (say.line()) } dd { (line) } }
            dt { (say.address()) } dd { (board.address) }
            dt { (say.profile()) } dd { (board.profile) }
            dt { (say.round_trip()) } dd { (board.took_us / 1000) "." (board.took_us % 1000 / 100) " ms" }
            @if let Some((shown, wait)) = board.reply {
                @if let Some(longest) = shown.longest() {
                    dt { (say.reply_longest()) } dd { (wire::whole_ms(longest)) " ms" }
                }
                dt { (say.reply_waits()) } dd { (wire::whole_ms(wait)) " ms" }
            }
            @if !meter.accounts.is_empty() {
                dt { (say.accounts()) }
                dd {
                    @for account in &meter.accounts { a href={ "/bills?account=" (account) } { (account) } " " }
                }
            }
        }
    }
}
