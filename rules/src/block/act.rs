//! Acts on meters: who may be told what, intent, outcome, and what a restart left without one.

use super::Block;
use crate::act::{Acted, Acting, Looked};
use crate::alarm;
use crate::event::{AlarmCode, Audit, Event, Outcome};
use crate::input::{Command, Order};
use blockgate_types::{Act, ActResult, ActionId, AlarmId, Control, MeterId, Time};
use std::collections::BTreeMap;

/// Longest reason, in bytes.
const REASON_MAX: usize = 400;

/// Acts that a restart left unknown and whose meters were not asked yet; when there are more, the oldest
/// goes.
const UNSEEN_MAX: usize = 1_000;

fn subject(meter: &MeterId) -> String {
    format!("meter/{meter}")
}

impl Block {
    /// Acts that have no outcome yet.
    pub fn acts(&self) -> impl Iterator<Item = &Acting> {
        self.state.acts.values()
    }

    /// Acts that a restart left unknown and whose meters have not said yet how they stand.
    pub fn acts_to_look_at(&self) -> impl Iterator<Item = &Acting> {
        self.state.acts_unseen.values()
    }

    /// The intent of an order to a meter; `None` where the order is about something else.
    pub(super) fn decide_act(
        &self,
        now: Time,
        command: &Command,
    ) -> Option<Result<Event, &'static str>> {
        let (meter, order, reason) = match &command.order {
            Order::Relay { meter, to, reason } => (meter, Act::Relay(*to), reason.as_str()),
            Order::Valve { meter, to, reason } => (meter, Act::Valve(*to), reason.as_str()),
            Order::SetClock { meter, whole_line } => {
                (meter, if *whole_line { Act::LineClock } else { Act::Clock }, "")
            }
            Order::Resend { .. }
            | Order::RetryDeadLetter { .. }
            | Order::ReadNow { .. }
            | Order::PreviewRules { .. }
            | Order::OpenBarrier { .. }
            | Order::DecideHeld { .. }
            | Order::ExchangeMeter { .. }
            | Order::Correct(_)
            | Order::EstimateReading { .. }
            | Order::ApplyRules { .. }
            | Order::Reconcile { .. }
            | Order::CountCash { .. }
            | Order::MoveOut(_)
            | Order::RecordPayment(_)
            | Order::SettlePayment { .. }
            | Order::DepositCondition { .. }
            | Order::DeductDeposit { .. }
            | Order::RequestRefund(_)
            | Order::ApproveRefund { .. }
            | Order::RefundPaid { .. }
            | Order::VoidRefund { .. }
            | Order::PayStay(_)
            | Order::DiscountStay { .. }
            | Order::CorrectStay { .. }
            | Order::CloseStay { .. }
            | Order::SettleParking { .. }
            | Order::GrantParking { .. }
            | Order::SellPass(_)
            | Order::RevokeParking { .. }
            | Order::OpenDoor(_)
            | Order::HoldDoor(_)
            | Order::LockDown(_)
            | Order::ReleaseDoors(_)
            | Order::EmergencyOpen(_)
            | Order::EndEmergency { .. }
            | Order::Grant(_)
            | Order::Revoke(_)
            | Order::Restore { .. }
            | Order::ConfirmArrears(_)
            | Order::MuteAlarm { .. }
            | Order::UnmuteAlarm { .. }
            | Order::AlarmFeedback { .. }
            | Order::ConfirmAlarm { .. }
            | Order::CheckAlarm { .. } => return None,
        };
        if order.control() != Control::Clock
            && (reason.trim().is_empty() || reason.len() > REASON_MAX)
        {
            return Some(Err("say why, in at most 400 bytes: reason is empty or too long"));
        }
        Some(self.intend(now, command, (meter, order), reason, None))
    }

    /// The intent of an act, where the meter may be told that.
    pub(super) fn intend(
        &self,
        now: Time,
        command: &Command,
        (meter, order): (&MeterId, Act),
        reason: &str,
        alarm: Option<&AlarmId>,
    ) -> Result<Event, &'static str> {
        let setup = self.state.setup.meters.get(meter).ok_or("there is no meter of this id")?;
        if !setup.controls.contains(&order.control()) {
            return Err(match order.control() {
                Control::Relay => "this meter's controls in the config have no \"relay\"",
                Control::Valve => "this meter's controls in the config have no \"valve\"",
                Control::Clock => "this meter's controls in the config have no \"clock\"",
            });
        }
        if self.state.acts.values().any(|open| open.meter == *meter) {
            return Err("an order to this meter is still being carried out");
        }
        let action = ActionId::new(&format!("act-{}", self.state.acts_begun.saturating_add(1)));
        let action = action.map_err(|_| "no id for it")?;
        Ok(Event::Audit(Audit::MeterActing(Acting {
            action,
            meter: meter.clone(),
            at: now,
            order,
            command: command.id.clone(),
            actor: command.actor.clone(),
            reason: reason.trim().to_owned(),
            alarm: alarm.cloned(),
        })))
    }

    pub(super) fn decide_acted(&self, done: &Acted, out: &mut Vec<Event>) {
        // Answered already, or never begun: one outcome is all there is.
        let Some(acting) = self.state.acts.get(&done.action) else { return };
        self.end_act(acting, done, out);
        let said = if done.outcome == Outcome::Done {
            let (meter, action, state) = (&done.meter, &done.action, done.state);
            let (result, detail) = (done.result, &done.detail);
            serde_json::json!({
                "meter": meter, "action": action, "result": result, "state": state, "detail": detail,
            })
            .to_string()
        } else {
            format!("{}: {}", done.result.word(), done.detail)
        };
        self.decide_done(done.at, &acting.command, done.outcome, &said, out);
    }

    fn end_act(&self, acting: &Acting, done: &Acted, out: &mut Vec<Event>) {
        out.push(Event::Audit(Audit::MeterActed(done.clone())));
        let facts = BTreeMap::from([
            ("action".to_owned(), done.action.to_string()),
            ("ordered".to_owned(), acting.order.to_string()),
            ("result".to_owned(), done.result.word().to_owned()),
        ]);
        self.tell_act(&done.meter, done.at, (done.outcome != Outcome::Done).then_some(&facts), out);
    }

    /// At a start: nobody knows what became of these, and the meters are asked. Their commands are
    /// answered with all that were open.
    pub(super) fn decide_lost_acts(&self, now: Time, out: &mut Vec<Event>) {
        for acting in self.state.acts.values() {
            let done = Acted {
                action: acting.action.clone(),
                meter: acting.meter.clone(),
                at: now,
                outcome: Outcome::Unknown,
                result: ActResult::Unknown,
                state: None,
                detail: "the gateway was restarted before it was known".to_owned(),
            };
            self.end_act(acting, &done, out);
        }
    }

    /// What a meter said of itself after a restart.
    pub(super) fn decide_looked(&self, looked: &Looked, out: &mut Vec<Event>) {
        let Some(acting) = self.state.acts_unseen.get(&looked.action) else { return };
        let as_ordered = looked.state.and_then(|state| acting.order.is_done_by(state));
        out.push(Event::Audit(Audit::MeterLooked(Looked { as_ordered, ..looked.clone() })));
        // Known now, one way or the other: whoever ordered it sees it in the audit record.
        if looked.state.is_some() {
            let facts = BTreeMap::from([
                ("action".to_owned(), looked.action.to_string()),
                ("ordered".to_owned(), acting.order.to_string()),
                ("result".to_owned(), ActResult::NotMoved.word().to_owned()),
            ]);
            let still = (as_ordered == Some(false)).then_some(&facts);
            self.tell_act(&looked.meter, looked.at, still, out);
        }
    }

    fn tell_act(
        &self,
        meter: &MeterId,
        at: Time,
        facts: Option<&BTreeMap<String, String>>,
        out: &mut Vec<Event>,
    ) {
        let code = AlarmCode::MeterNotMoved;
        self.set_alarm(at, code, &subject(meter), alarm::severity(code), facts, out);
    }

    pub(super) fn apply_acting(&mut self, acting: &Acting) {
        self.state.acts_begun = self.state.acts_begun.saturating_add(1);
        self.state.acts.insert(acting.action.clone(), acting.clone());
    }

    pub(super) fn apply_acted(&mut self, done: &Acted) {
        let Some(acting) = self.state.acts.remove(&done.action) else { return };
        if done.outcome == Outcome::Unknown && done.state.is_none() {
            self.state.acts_unseen.insert(done.action.clone(), acting);
            if self.state.acts_unseen.len() > UNSEEN_MAX {
                let oldest = self.state.acts_unseen.values().min_by_key(|acting| acting.at);
                if let Some(oldest) = oldest.map(|acting| acting.action.clone()) {
                    self.state.acts_unseen.remove(&oldest);
                }
            }
        }
    }

    pub(super) fn apply_looked(&mut self, looked: &Looked) {
        if looked.state.is_some() {
            self.state.acts_unseen.remove(&looked.action);
        }
    }
}
