//! Openings of barriers: intent, outcome, and what a restart left without one.

use super::Block;
use crate::alarm;
use crate::event::{AlarmCode, Audit, Event, Outcome};
use crate::gate::{ArmPosition, Asked, Opening, OpeningOutcome};
use blockgate_types::{LaneId, Time};
use std::collections::BTreeMap;

/// The subject of a lane's alarms.
fn subject(lane: &LaneId) -> String {
    format!("lane/{lane}")
}

impl Block {
    /// Openings that have no outcome yet.
    pub fn openings(&self) -> impl Iterator<Item = &Opening> {
        self.state.openings.values()
    }

    pub(super) fn decide_opening(&self, opening: &Opening, out: &mut Vec<Event>) {
        if !self.state.openings.contains_key(&opening.action) {
            out.push(Event::Audit(Audit::GateOpening(opening.clone())));
        }
    }

    pub(super) fn decide_opened(&self, done: &OpeningOutcome, out: &mut Vec<Event>) {
        // Answered already, or never begun: one outcome is all there is.
        if !self.state.openings.contains_key(&done.action) {
            return;
        }
        out.push(Event::Audit(Audit::GateOutcome(done.clone())));
        let code = AlarmCode::GateUnknown;
        let facts = BTreeMap::from([("action".to_owned(), done.action.to_string())]);
        let facts = match done.outcome {
            Outcome::Unknown | Outcome::Failed => Some(&facts),
            Outcome::Done | Outcome::Expired | Outcome::Duplicate | Outcome::Refused => None,
        };
        self.set_alarm(done.at, code, &subject(&done.lane), alarm::severity(code), facts, out);
    }

    /// At a start: nobody knows what became of these.
    pub(super) fn decide_lost_openings(&self, now: Time, out: &mut Vec<Event>) {
        let mut lanes: BTreeMap<&LaneId, String> = BTreeMap::new();
        for opening in self.state.openings.values() {
            out.push(Event::Audit(Audit::GateOutcome(OpeningOutcome {
                action: opening.action.clone(),
                lane: opening.lane.clone(),
                at: now,
                outcome: Outcome::Unknown,
                position: ArmPosition::Unknown,
                detail: "the gateway was restarted before it was known".to_owned(),
            })));
            lanes.insert(&opening.lane, opening.action.to_string());
        }
        for (lane, action) in lanes {
            let code = AlarmCode::GateUnknown;
            let facts = BTreeMap::from([("action".to_owned(), action)]);
            self.set_alarm(now, code, &subject(lane), alarm::severity(code), Some(&facts), out);
        }
    }

    pub(super) fn decide_asked(now: Time, asks: &[Asked], out: &mut Vec<Event>) {
        let records = asks.chunks(crate::gate::ASKED_PER_RECORD_MAX);
        out.extend(
            records.map(|asks| Event::Audit(Audit::GateAsked { at: now, asks: asks.to_vec() })),
        );
    }

    pub(super) fn apply_opening(&mut self, opening: &Opening) {
        self.state.openings.insert(opening.action.clone(), opening.clone());
    }

    pub(super) fn apply_opened(&mut self, done: &OpeningOutcome) {
        self.state.openings.remove(&done.action);
    }
}
