//! The car park: lanes as they are, what a barrier would say and why, who is inside, what waits for a
//! person, and the board that is printed at the entrance.

use super::components::{View, empty, money, tabs};
use super::forms::{Field, Input, Reader};
use super::households::channels;
use super::{Act, Outcome, Page};
use crate::http::Shared;
use crate::http::answer::{Answered, Desk};
use crate::http::auth::Role;
use crate::http::request::Fields;
use crate::lanes::advice::{Advice, Decision};
use crate::problem::Problem;
use blockgate_drivers::barrier::Position;
use blockgate_rules::Fen;
use blockgate_rules::input::{Order, PayStay};
use blockgate_rules::ledger::Channel;
use blockgate_rules::parking::board::board;
use blockgate_rules::parking::state::{Stay, Unresolved, Why};
use blockgate_rules::parking::{ParkingRevision, ParkingView};
use blockgate_types::{LaneId, Plate, StayId};
use maud::{Markup, html};

/// Stays on one screen.
const ROWS: usize = 50;

fn section(page: &Page<'_>) -> Markup {
    let say = page.view.say;
    tabs(
        page,
        &[
            ("/parking", say.lanes()),
            ("/stays", say.stays()),
            ("/unresolved", say.unresolved()),
            ("/tariff-board", say.tariff_board()),
        ],
    )
}

/// A plate as the person may see it: whole for who works with vehicles, else its middle is hidden.
fn plate(page: &Page<'_>, plate: &Plate) -> String {
    match page.role {
        Some(Role::Operator | Role::Caretaker | Role::Finance) => plate.text().to_owned(),
        Some(Role::Installer | Role::Auditor) | None => plate.masked(),
    }
}

/// Lanes, spaces, and the plate test; `told` is what a tested plate would be told.
pub(super) fn show(
    desk: &Desk,
    page: &Page<'_>,
    told: Option<(&LaneId, &str, &Advice)>,
) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let shared = &desk.shared;
    let advise = shared.lanes.view();
    let parking = advise.parking();
    let lanes: Vec<LaneId> = shared.lanes.config().barriers.keys().cloned().collect();
    Ok(page.framed(
        say.parking(),
        false,
        html! {
            div.head { h1 { (say.parking()) } }
            (section(page))
            @if shared.lanes.disk_in_trouble() { p.note.bad role="alert" { (say.lanes_in_trouble()) } }
            @if let Some(parking) = parking { (areas(view, parking)) } @else { (empty(say.no_parking())) }
            @if lanes.is_empty() { (empty(say.no_lanes())) } @else {
                div.grid { @for id in &lanes { (lane(shared, page, parking, id)) } }
                (test(page, &lanes, told))
            }
        },
    ))
}

/// How many spaces are taken, area by area.
pub(super) fn areas(view: &View, parking: &ParkingView) -> Markup {
    let say = view.say;
    html! {
        div.grid.four {
            @for (id, area) in &parking.setup.areas {
                @let taken = parking.state.occupied(&parking.setup, id);
                @let share = u64::from(taken) * 100 / u64::from(area.capacity.max(1));
                div.card.stat {
                    span.name { (say.of(&area.label)) }
                    span.big { (area.capacity.saturating_sub(taken)) span.unit { " / " (area.capacity) " " (say.spaces_free()) } }
                    svg.meter viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                        rect.none width="100" height="6" {}
                        rect width=(share.min(100)) height="6" {}
                    }
                    span.small.mute { (say.fill(say.occupied(), &[&taken.to_string(), &share.to_string()])) }
                }
            }
        }
    }
}

fn lane(shared: &Shared, page: &Page<'_>, parking: Option<&ParkingView>, id: &LaneId) -> Markup {
    let (view, say) = (&page.view, page.view.say);
    let silent = shared.lanes.silent(view.now, shared.status.started);
    let heard = shared.lanes.cameras().clone();
    let barrier = shared.lanes.barriers().get(id).cloned().unwrap_or_default();
    let of = parking.and_then(|parking| parking.setup.lanes.get(id));
    let (class, position) = match shared.lanes.position(id) {
        Position::Open => ("pill good", say.arm_open()),
        Position::Closed => ("pill", say.arm_closed()),
        Position::Unknown => ("pill late", say.arm_unknown()),
    };
    let order = Order::OpenBarrier { lane: id.clone(), reason: String::new() };
    html! {
        section.card {
            header {
                h3 { @if let Some(of) = of { (say.of(&of.label)) } @else { (id) } }
                span class=(class) { (position) }
            }
            @if let Some(of) = of {
                p.small.mute { (if of.is_entry() { say.lane_in() } else if of.is_exit() { say.lane_out() } else { say.lane_between() }) " · " (id) }
            }
            dl {
                @for (camera, _) in shared.lanes.config().cameras.iter().filter(|(_, c)| c.lane == *id) {
                    @let seen = heard.get(camera).cloned().unwrap_or_default();
                    dt { (say.camera()) " " (camera) }
                    dd {
                        @if silent.get(camera).copied().unwrap_or(false) { span.pill.bad { (say.silent()) } " " }
                        @match seen.heard { Some(at) => (view.ago(at)), None => (say.never()) }
                    }
                }
                dt { (say.openings()) } dd { (barrier.opened) @if barrier.failed > 0 { " · " span.pill.bad { (barrier.failed) " " (say.openings_failed()) } } }
                @if let Some((at, outcome)) = &barrier.last { dt { (say.last_opening()) } dd { (view.ago(*at)) " · " (say.opening_outcome(outcome)) } }
            }
            @if page.may(&order) {
                details open[page.sends(&format!("/lanes/{id}/open"))] {
                    summary { (say.open_barrier()) }
                    (page.form(&format!("/lanes/{id}/open"), || html! {
                        input type="hidden" name="lane" value=(id);
                        (page.field(&Field::new("open_reason", say.open_why(), Input::Text).hint(say.open_why_hint())))
                        button.button type="submit" { (say.open_now()) }
                    }))
                }
            }
        }
    }
}

fn test(page: &Page<'_>, lanes: &[LaneId], told: Option<(&LaneId, &str, &Advice)>) -> Markup {
    let say = page.view.say;
    let choice: Vec<(String, String)> =
        lanes.iter().map(|lane| (lane.to_string(), lane.to_string())).collect();
    let (lane, plate) = told.map_or(("", ""), |(lane, plate, _)| (lane.as_str(), plate));
    html! {
        section.card #test {
            header { h2 { (say.plate_test()) } }
            p.mute { (say.plate_test_why()) }
            @if let Some((_, _, advice)) = told { (answer(&page.view, advice)) }
            (page.form("/parking/test", || html! {
                div.columns {
                    (page.field(&Field::new("test_plate", say.plate(), Input::Code).value(plate)))
                    (page.field(&Field::new("test_lane", say.lane(), Input::Choice(&choice)).value(lane)))
                }
                button.button type="submit" { (say.plate_test()) }
            }))
        }
    }
}

fn answer(view: &View, advice: &Advice) -> Markup {
    let say = view.say;
    let (class, word) = match advice.decision {
        Decision::Open => ("note good", say.told_open()),
        Decision::Pay => ("note late", say.told_pay()),
        Decision::Deny => ("note bad", say.told_deny()),
        Decision::Ask => ("note late", say.told_ask()),
    };
    let display =
        if say.0 == crate::problem::Lang::Zh { &advice.display_zh } else { &advice.display_en };
    html! {
        div class=(class) role="status" {
            strong { (word) @if advice.amount_fen > 0 { " · " (money(Fen(advice.amount_fen))) } }
            p { (say.told_reason(&advice.reason)) }
            p.small { (say.on_display()) " “" (display) "”" }
            @if let Some(stay) = &advice.stay { p.small.mono { (stay) } }
            @if let Some(until) = advice.valid_until { p.small { (say.until()) " " (view.time(until)) } }
        }
    }
}

/// What a tested plate would be told; nothing is journaled and nothing moves.
///
/// # Errors
/// Never in practice.
pub(super) fn try_plate(
    desk: &Desk,
    page: &mut Page<'_>,
    mut read: Reader<'_>,
) -> Result<Outcome, Problem> {
    let lane: Option<LaneId> = read.parsed("test_lane");
    let text = read.said("test_plate", 32);
    let plate = Plate::new(&text.to_uppercase()).ok();
    if plate.is_none() {
        read.fault("test_plate", page.view.say.no_plate());
    }
    let (Some(lane), Some(plate)) = (lane, plate) else {
        return Ok(Outcome::Again(read.typed(false), None));
    };
    let advice = desk.shared.lanes.advise(&lane, Some(&plate), None, page.view.now);
    let response = show(desk, page, Some((&lane, plate.text(), &advice)))?;
    Ok(Outcome::Shown(response))
}

/// Who is inside, longest first, with what is due.
pub(super) fn stays(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let fields = Fields::parse(page.request.query.as_bytes(), &["after"])?;
    let advise = desk.shared.lanes.view();
    let Some(parking) = advise.parking() else {
        return Ok(page.framed(
            say.stays(),
            false,
            html! { (section(page)) (empty(say.no_parking())) },
        ));
    };
    let mut all: Vec<(&StayId, &Stay)> = parking.state.stays().iter().collect();
    all.sort_by_key(|(id, stay)| (stay.entered, *id));
    let from = fields.parsed::<usize>("after")?.unwrap_or(0);
    let rows: Vec<(&StayId, &Stay)> = all.iter().skip(from).take(ROWS).copied().collect();
    let next = Some(from + ROWS).filter(|next| *next < all.len());
    Ok(page.framed(
        say.stays(),
        false,
        html! {
            div.head { h1.grow { (say.stays()) } span.mute { (say.fill(say.inside_now(), &[&all.len().to_string()])) } }
            (section(page))
            @if rows.is_empty() { (empty(say.nobody_inside())) }
            @for (id, stay) in rows { (one_stay(view, page, parking, id, stay)) }
            @if let Some(next) = next { a.button.second href={ "/stays?after=" (next) } { (say.next_page()) } }
        },
    ))
}

fn one_stay(
    view: &View,
    page: &Page<'_>,
    parking: &ParkingView,
    id: &StayId,
    stay: &Stay,
) -> Markup {
    let say = view.say;
    let due = parking.due(stay, view.now);
    let owed = due.as_ref().map_or(Fen::ZERO, |due| due.due_fen);
    let name = match (&stay.plate, &stay.ticket) {
        (Some(read), _) => plate(page, read),
        (None, Some(ticket)) => format!("{} {ticket}", say.ticket()),
        (None, None) => say.unread().to_owned(),
    };
    let pay = Order::PayStay(Box::new(PayStay {
        stay: id.clone(),
        amount_fen: owed,
        channel: Channel::Cash,
        reference: String::new(),
        tendered_fen: None,
    }));
    let close = Order::CloseStay { stay: id.clone(), reason: String::new() };
    html! {
        section.card {
            header {
                h3 { (name) }
                @if owed > Fen::ZERO { span.pill.late { (say.due_now()) " " (money(owed)) } } @else { span.pill.good { (say.nothing_due()) } }
            }
            p.small.mute {
                (say.vehicle_class(stay.class)) " · " (say.since_word()) " " (view.time(stay.entered)) " (" (view.ago(stay.entered)) ") · " (stay.lane)
                @if let Some((lane, at)) = &stay.waits { " · " span.pill.late { (say.waits_at()) " " (lane) " " (view.ago(*at)) } }
            }
            @if let Some(due) = due.as_ref().filter(|due| !due.diagram.is_empty()) {
                details { summary { (say.bill_lines()) } (super::chart::stretches(view, &due.diagram)) }
            }
            @if owed > Fen::ZERO && page.may(&pay) {
                details open[page.sends_of("/stays/pay", ("stay", id.as_str()))] {
                    summary { (say.take_payment()) " " (money(owed)) }
                    (page.form_of("/stays/pay", ("stay", id.as_str()), || html! {
                        input type="hidden" name="stay_amount" value=(owed.0);
                        (page.field(&Field::new("stay_channel", say.channel_word(), Input::Choice(&channels(page)))))
                        (page.field(&Field::new("stay_reference", say.reference(), Input::Code).optional()))
                        button.button type="submit" { (say.take_payment()) " " (money(owed)) }
                    }))
                }
            }
            @if page.may(&close) {
                details open[page.sends_of("/stays/close", ("stay", id.as_str()))] {
                    summary { (say.close_stay()) }
                    p.small.mute { (say.close_stay_why()) }
                    (page.form_of("/stays/close", ("stay", id.as_str()), || html! {
                        (page.field(&Field::new("stay_reason", say.reason(), Input::Text)))
                        button.button.second type="submit" { (say.close_stay()) }
                    }))
                }
            }
        }
    }
}

/// What waits for a person.
pub(super) fn unresolved(desk: &Desk, page: &Page<'_>) -> Answered {
    let (view, say) = (&page.view, page.view.say);
    let advise = desk.shared.lanes.view();
    let mut all: Vec<(StayId, Unresolved)> = advise.parking().map_or_else(Vec::new, |parking| {
        parking.state.unresolved().iter().map(|(id, open)| (id.clone(), open.clone())).collect()
    });
    all.sort_by_key(|(_, open)| std::cmp::Reverse(open.at));
    let shown = all.len().min(ROWS);
    Ok(page.framed(
        say.unresolved(),
        false,
        html! {
            div.head { h1.grow { (say.unresolved()) } span.mute { (all.len()) } }
            (section(page))
            p.mute { (say.unresolved_why()) }
            @if all.is_empty() { (empty(say.nothing_unresolved())) }
            @for (id, open) in all.iter().take(shown) {
                @let (what, next) = say.unresolved_kind(open.why);
                section.card {
                    header {
                        h3 { (what) }
                        span.mute.small { (view.time(open.at)) " · " (open.lane) }
                    }
                    p {
                        @if let Some(read) = &open.plate { strong { (plate(page, read)) } " · " }
                        @if open.unpaid_fen > Fen::ZERO { (say.not_charged()) " " (money(open.unpaid_fen)) " · " }
                        (next)
                    }
                    @if !open.proposals.is_empty() {
                        p.small.mute { (say.proposals()) " " @for stay in &open.proposals { span.mono { (stay) } " " } }
                    }
                    @let order = Order::SettleParking { stay: id.clone(), reason: String::new() };
                    @if page.may(&order) {
                        (page.form_of("/unresolved/settle", ("stay", id.as_str()), || html! {
                            (page.field(&Field::new("found", say.what_was_found(), Input::Text)))
                            button.button type="submit" { (say.settle()) }
                        }))
                    }
                }
            }
        },
    ))
}

/// The board at the entrance, from the rule that charges; to print.
pub(super) fn tariff_board(desk: &Desk, page: &Page<'_>) -> Answered {
    let say = page.view.say;
    let advise = desk.shared.lanes.view();
    let parking = advise.parking();
    Ok(page.framed(
        say.tariff_board(),
        false,
        html! {
            div.head.no-print { h1 { (say.tariff_board()) } }
            (section(page))
            p.mute.no-print { (say.tariff_board_why()) }
            @match parking {
                None => (empty(say.no_parking())),
                Some(parking) => {
                    @let day = parking.zone.day(page.view.now);
                    @for (id, tariff) in &parking.setup.tariffs {
                        @let now: Option<&ParkingRevision> = tariff.revision_on(day).or(tariff.revisions.last());
                        @if let Some(now) = now {
                            section.paper.a4 {
                                @for (n, line) in board(tariff, &now.plan).iter().enumerate() {
                                    @if n == 0 { h2 { (line.zh) " " span lang="en" { (line.en) } } }
                                    @else { p { (line.zh) br; span.small lang="en" { (line.en) } } }
                                }
                                p.small { (id) }
                            }
                        }
                    }
                    button.button.no-print type="button" data-print { (say.print()) }
                }
            }
        },
    ))
}

/// The order of a form of this section.
pub(super) fn order(read: &mut Reader<'_>, act: &Act) -> Option<Order> {
    match act {
        Act::OpenLane(lane) => {
            let reason = read.said("open_reason", 200);
            Some(Order::OpenBarrier { lane: lane.clone(), reason })
        }
        Act::PayStay => {
            let (stay, amount) = (read.parsed("stay"), read.parsed::<i64>("stay_amount"));
            let channel = Channel::of(&read.text("stay_channel"));
            if channel.is_none() {
                read.fault("stay_channel", read.say.not_understood());
            }
            let reference = read.text("stay_reference");
            if channel.is_some_and(|way| way != Channel::Cash) && reference.is_empty() {
                read.fault("stay_reference", read.say.reference_needed());
            }
            Some(Order::PayStay(Box::new(PayStay {
                stay: stay?,
                amount_fen: Fen(amount?),
                channel: channel?,
                reference,
                tendered_fen: None,
            })))
        }
        Act::CloseStay => {
            let stay = read.parsed("stay");
            let reason = read.said("stay_reason", 200);
            Some(Order::CloseStay { stay: stay?, reason })
        }
        Act::SettleParking => {
            let stay = read.parsed("stay");
            let reason = read.said("found", 200);
            Some(Order::SettleParking { stay: stay?, reason })
        }
        _ => None,
    }
}

impl super::text::Say {
    /// What waits, and what to do about it.
    fn unresolved_kind(self, why: Why) -> (&'static str, &'static str) {
        match why {
            Why::NoEntry => (self.why_no_entry(), self.do_no_entry()),
            Why::MissedExit => (self.why_missed_exit(), self.do_missed_exit()),
            Why::Misread => (self.why_misread(), self.do_misread()),
            Why::LetGo => (self.why_let_go(), self.do_let_go()),
            Why::Unread => (self.why_unread(), self.do_unread()),
        }
    }

    /// What came of an opening, by its word.
    fn opening_outcome(self, word: &str) -> &str {
        match word {
            "done" => self.outcome_done(),
            "failed" => self.outcome_failed(),
            "unknown" => self.outcome_unknown(),
            other => other,
        }
    }

    fn vehicle_class(self, class: blockgate_rules::parking::setup::VehicleClass) -> &'static str {
        use blockgate_rules::parking::setup::VehicleClass;
        match class {
            VehicleClass::Temporary => self.class_temporary(),
            VehicleClass::Monthly => self.class_monthly(),
            VehicleClass::Vip => self.class_vip(),
            VehicleClass::Visitor => self.class_visitor(),
            VehicleClass::Staff => self.class_staff(),
            VehicleClass::Free => self.class_free(),
            VehicleClass::Blocked => self.class_blocked(),
        }
    }

    /// Why a barrier would be told so, by the answer's stable word.
    fn told_reason(self, word: &str) -> &str {
        match word {
            "entry" => self.because_entry(),
            "permit" => self.because_permit(),
            "expired-in-grace" => self.because_grace(),
            "expired" => self.because_expired(),
            "free-time" => self.because_free(),
            "paid" => self.because_paid(),
            "nothing-due" => self.because_nothing(),
            "due" => self.because_due(),
            "grace-exceeded" => self.because_exceeded(),
            "on-account" => self.because_account(),
            "card" => self.because_card(),
            "card-short" => self.because_card_short(),
            "blocked" => self.because_blocked(),
            "full" => self.because_full(),
            "unread" => self.because_unread(),
            "no-entry" => self.because_no_entry(),
            "misread" => self.because_misread(),
            "between" => self.because_between(),
            "unknown-lane" => self.because_lane(),
            other => other,
        }
    }
}
