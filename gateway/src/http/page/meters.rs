//! Meters: live values, faults with what to check, held registers with what can be decided, and a
//! test read.

use super::components::{View, unit};
use super::forms::Reader;
use super::{Page, chart};
use crate::http::answer::{Answered, Desk, first_billing, query, unit_of};
use crate::http::request::Fields;
use crate::http::wire::{self, Freshness, MeterView};
use crate::limits;
use crate::problem::Code;
use blockgate_rules::input::{HeldDecision, Order};
use blockgate_types::{Decimal, FaultClass, MeterId, RegisterName, RegisterSpec, Role, Span};
use maud::{Markup, html};

/// Momentary values that a card shows beside the counter.
const LIVE_ON_CARD: usize = 3;

/// The list.
pub(super) fn list(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["show"])?;
    let trouble = fields.get("show") == Some("trouble");
    let mut all = wire::meters(&desk.shared);
    let none = if all.is_empty() { say.no_meters() } else { say.no_trouble() };
    if trouble {
        all.retain(|m| m.freshness != Freshness::Good || !m.held().is_empty());
    }
    let here = |now: bool| now.then_some("page");
    Ok(page.framed(
        say.meters(),
        true,
        html! {
            div.head {
                h1.grow { (say.meters()) }
                div.tabs-row {
                    a href="/meters" aria-current=[here(!trouble)] { (say.all()) }
                    a href="/meters?show=trouble" aria-current=[here(trouble)] { (say.with_trouble()) }
                }
            }
            @if all.is_empty() { p.card.mute { (none) } }
            div.grid { @for meter in &all { (card(view, meter)) } }
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

/// One meter.
pub(super) async fn detail(desk: &Desk, page: &Page<'_>, id: &MeterId) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    Fields::parse(page.request.query.as_bytes(), &[])?;
    let meter = wire::meter(&desk.shared, id).ok_or(Code::NotFound)?;
    let register = first_billing(desk, &meter);
    let unit = register.as_ref().and_then(|r| unit_of(desk, &meter, r));
    let rows = match register {
        Some(register) => {
            let (id, to) = (id.clone(), view.now.plus(Span::from_millis(1)));
            // One hour more, for the difference of the first.
            let from = view.now.minus(Span::from_hours(26));
            let limit = limits::HTTP_ROWS_MAX;
            query(desk, move |trees| trees.history(&id, &register, from, to, limit)).await?
        }
        None => Vec::new(),
    };
    Ok(page.framed(
        id.as_str(),
        true,
        html! {
            div data-meter=(id) .old[meter.freshness != Freshness::Good] {
                div.head {
                    h1 { (id) } (view.freshness(meter.freshness)) span.grow {}
                    @if page.may(&Order::ReadNow { meter: id.clone() }) {
                        (page.form(&format!("/meters/{id}/read"), html! {
                            button.button type="submit" title=(say.test_read_why()) { (say.test_read()) }
                        }))
                    }
                }
                (held(page, &meter))
                (fault(view, &meter))
                section.card {
                    header { h2 { (say.values()) } }
                    (counter(view, &meter)) (age(view, &meter))
                    (values(view, &meter))
                }
                section.card { header { h2 { (say.history()) } } (chart::show(view, &rows, unit)) }
                section.card { header { h2 { (say.polls()) } } (polls(view, &meter)) }
                section.card { (about(view, &meter)) }
            }
        },
    ))
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
                        (page.form(&format!("/meters/{}/decide", meter.id), html! {
                            input type="hidden" name="register" value=(register);
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

/// What was decided about a held register.
pub(super) fn decision(read: &mut Reader<'_>, meter: &MeterId) -> Option<Order> {
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
                p.mute.small { span lang="en" { (fault.what) } " · " (view.time(*at)) }
                details {
                    summary { (say.raw_frame()) }
                    @if fault.raw.is_empty() { p.mute { (say.nothing_received()) } }
                    @else { p.mono { (wire::hex_text(&fault.raw)) } }
                }
            }
        }
    }
}

fn polls(view: &View, meter: &MeterView) -> Markup {
    let say = view.say;
    html! {
        table.stack {
            thead { tr { th { (say.result()) } th.num { (say.count()) } th { (say.what_to_check()) } } }
            tbody {
                tr {
                    td.lead { (say.class_good()) }
                    td.num data-name=(say.count()) { (meter.board.good) }
                    td {}
                }
                @for (class, count) in FaultClass::ALL.into_iter().zip(meter.board.faults) {
                    @let (name, check) = say.class(class);
                    tr {
                        td.lead { (name) }
                        td.num data-name=(say.count()) { (count) }
                        td.wide.mute.small { @if count > 0 { (check) } }
                    }
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
            @if !meter.accounts.is_empty() {
                dt { (say.accounts()) }
                dd {
                    @for account in &meter.accounts { a href={ "/bills?account=" (account) } { (account) } " " }
                }
            }
        }
    }
}
