//! The rules' picture of the car park as what barriers are told from memory, and as what people ask.

use super::advice::{Advice, Advise, Decision};
use blockgate_rules::parking::ParkingView;
use blockgate_rules::parking::event::{Passed, Reason, Told};
use blockgate_types::{LaneId, Plate, Time};
use serde_json::{Value, json};

impl Advise for ParkingView {
    fn advise(
        &self,
        lane: &LaneId,
        plate: Option<&Plate>,
        ticket: Option<&str>,
        at: Time,
    ) -> Advice {
        let told = self.payment_status(lane, plate, ticket, at);
        Advice {
            decision: decision(told.told),
            amount_fen: told.amount_fen.0,
            currency: told.currency,
            reason: word(told.reason),
            stay: told.stay.map(|stay| stay.to_string()),
            display_zh: told.display.zh,
            display_en: told.display.en,
            valid_until: told.valid_until,
            source: "live",
        }
    }

    fn parking(&self) -> Option<&ParkingView> {
        Some(self)
    }
}

fn decision(told: Told) -> Decision {
    match told {
        Told::Open => Decision::Open,
        Told::Pay => Decision::Pay,
        Told::Deny => Decision::Deny,
        Told::Ask => Decision::Ask,
    }
}

/// The stable word, as in its JSON.
fn word(reason: Reason) -> String {
    let value = serde_json::to_value(reason).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// What a lane is told about a passage that was decided.
#[must_use]
pub fn advice(passed: &Passed, currency: String) -> Advice {
    let display = passed.reason.display(passed.due_fen);
    Advice {
        amount_fen: passed.due_fen.0,
        currency,
        ..Advice::plain(decision(passed.told), &word(passed.reason), &display.zh, &display.en)
    }
}

/// A passage that was known already. Who stands there may pass again where the first answer let it:
/// its arm may have failed. Who comes long after may not.
#[must_use]
pub fn repeated(view: &ParkingView, passage: &blockgate_types::Passage, now: Time) -> Advice {
    let fresh = now.since(passage.at).is_none_or(|span| span <= view.setup.duplicate_within);
    let plate = passage.plate.as_ref().map(|read| &read.plate);
    let inside = plate.and_then(|plate| view.state.stay_of(plate));
    let lane = view.setup.lanes.get(&passage.lane);
    let came = inside.is_some_and(|(_, stay)| stay.lane == passage.lane);
    let left = plate.is_some_and(|plate| view.state.left_at(plate).is_some());
    let passes =
        lane.is_some_and(|lane| if lane.is_exit() { left && inside.is_none() } else { came });
    if fresh && passes {
        Advice::plain(Decision::Open, "repeated", "请通行", "go ahead")
    } else {
        Advice::plain(Decision::Deny, "repeated", "请稍候", "please wait")
    }
}

/// Stays that are open, with what is due now; plates masked.
#[must_use]
pub fn stays_json(view: &ParkingView, now: Time, after: Option<&str>, limit: usize) -> Value {
    let stays = view.state.stays().iter();
    let mut rest = stays.skip_while(|(id, _)| after.is_some_and(|after| id.as_str() <= after));
    let mut rows = Vec::new();
    let mut last = None;
    for (id, stay) in rest.by_ref().take(limit) {
        let due = view.due(stay, now);
        last = Some(id.as_str().to_owned());
        rows.push(json!({
            "id": id,
            "plate": stay.plate.as_ref().map(Plate::masked),
            "ticket": stay.ticket,
            "class": stay.class,
            "permit": stay.permit,
            "area": stay.area(),
            "lane": stay.lane,
            "entered": stay.entered,
            "due_fen": due.as_ref().map(|due| due.due_fen.0),
            "paid_fen": stay.paid_fen().0,
            "waits_at": stay.waits.as_ref().map(|(lane, _)| lane),
        }));
    }
    let more = rest.next().is_some();
    json!({ "stays": rows, "next_after": last.filter(|_| more) })
}

/// Areas with their spaces, taken and free.
#[must_use]
pub fn areas_json(view: &ParkingView) -> Value {
    let areas = view.setup.areas.iter().map(|(id, area)| {
        let occupied = view.state.occupied(&view.setup, id);
        json!({
            "id": id, "label": area.label, "capacity": area.capacity, "occupied": occupied,
            "free": area.capacity.saturating_sub(occupied), "within": area.within,
        })
    });
    json!({ "areas": areas.collect::<Vec<_>>() })
}

/// What a person should look at, with what is proposed.
#[must_use]
pub fn unresolved_json(view: &ParkingView) -> Value {
    let rows = view.state.unresolved().iter().map(|(id, open)| {
        json!({
            "id": id, "at": open.at, "lane": open.lane, "why": open.why,
            "plate": open.plate.as_ref().map(Plate::masked),
            "unpaid_fen": open.unpaid_fen.0, "proposals": open.proposals,
            "proposed": open.proposed(),
        })
    });
    json!({ "unresolved": rows.collect::<Vec<_>>() })
}
