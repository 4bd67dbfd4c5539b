//! Alarms of the anomaly rules in the Block, and what people do about any alarm. An alarm never
//! moves money: nothing here makes a bill, a payment or a reading (statement C11).

use super::{Block, OldAlarm};
use crate::alarm;
use crate::anomaly::care::{Feedback, FeedbackVerdict, MUTE_MAX, Mute, NOTE_MAX};
use crate::event::{Alarm, AlarmChange, Event};
use crate::input::{Command, Order};
use blockgate_types::{Act, AlarmId, MeterId, Time, ValveTo};

/// Alarms that are over and can still be spoken about; the oldest go first.
const OLD_ALARMS_MAX: usize = 1_000;

/// Mutes of alarms that are not open; when there are more, the one that ends first goes.
const MUTES_MAX: usize = 1_000;

/// The most that feedback raises a threshold by, in percent.
const RAISED_MAX: u32 = 900;

const NO_ALARM: &str = "there is no alarm of this id, or it has been over for too long";
const NOT_OPEN: &str = "no alarm of this id is open";

impl Block {
    /// What an order about an alarm means; `None` where the order is about something else.
    pub(super) fn decide_care(
        &self,
        now: Time,
        command: &Command,
    ) -> Option<Result<Vec<Event>, &'static str>> {
        let actor = command.actor.as_str();
        Some(match &command.order {
            Order::MuteAlarm { alarm, reason, until } => {
                self.mute(now, alarm, reason, *until, actor)
            }
            Order::UnmuteAlarm { alarm } => self.unmute(now, alarm),
            Order::AlarmFeedback { alarm, verdict, note } => {
                self.feedback(now, alarm, *verdict, note, actor)
            }
            Order::ConfirmAlarm { alarm, close_valve } => {
                self.confirm(now, alarm, *close_valve, command)
            }
            Order::CheckAlarm { alarm } => self.check_again(now, alarm),
            Order::Resend { .. }
            | Order::RetryDeadLetter { .. }
            | Order::ReadNow { .. }
            | Order::PreviewRules { .. }
            | Order::OpenBarrier { .. }
            | Order::Relay { .. }
            | Order::Valve { .. }
            | Order::SetClock { .. }
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
            | Order::ConfirmArrears(_) => return None,
        })
    }

    /// An alarm that is open, or was not long ago.
    fn any_alarm(&self, id: &AlarmId) -> Result<&Alarm, &'static str> {
        let old = || self.state.old_alarms.iter().rev().find(|old| old.0.id == *id);
        self.state.alarms.get(id).or_else(|| old().map(|old| &old.0)).ok_or(NO_ALARM)
    }

    fn mute(
        &self,
        now: Time,
        id: &AlarmId,
        reason: &str,
        until: Time,
        actor: &str,
    ) -> Result<Vec<Event>, &'static str> {
        let alarm = self.any_alarm(id)?;
        if reason.trim().is_empty() || reason.chars().count() > NOTE_MAX {
            return Err("a mute needs a reason of at most 400 characters");
        }
        if until <= now {
            return Err("a mute must end in the future");
        }
        if until > now.plus(MUTE_MAX) {
            return Err("a mute lasts a year at most");
        }
        let mute = Mute { reason: reason.trim().to_owned(), until, by: actor.to_owned() };
        Ok(noted(Alarm { muted: Some(Box::new(mute)), ..alarm.clone() }, now))
    }

    fn unmute(&self, now: Time, id: &AlarmId) -> Result<Vec<Event>, &'static str> {
        let alarm = self.any_alarm(id)?;
        if alarm.muted.is_none() && !self.state.mutes.contains_key(id) {
            return Err("this alarm is not muted");
        }
        Ok(noted(Alarm { muted: None, ..alarm.clone() }, now))
    }

    fn feedback(
        &self,
        now: Time,
        id: &AlarmId,
        verdict: FeedbackVerdict,
        note: &str,
        actor: &str,
    ) -> Result<Vec<Event>, &'static str> {
        let alarm = self.any_alarm(id)?;
        if note.chars().count() > NOTE_MAX {
            return Err("a note has at most 400 characters");
        }
        // Only an explicit rule lets feedback move a threshold, and at most ten times over.
        let raises_percent = match (verdict, self.revision_of(alarm, now)) {
            (FeedbackVerdict::False, Some((rule, revision))) => {
                revision.care.on_false_raise_percent.map(|more| {
                    let have = self.state.anomaly.raised_of(&rule, &alarm.subject);
                    have.saturating_add(more).min(RAISED_MAX)
                })
            }
            (FeedbackVerdict::True | FeedbackVerdict::False | FeedbackVerdict::Known, _) => None,
        };
        let feedback = Feedback {
            verdict,
            note: note.trim().to_owned(),
            by: actor.to_owned(),
            at: now,
            raises_percent,
        };
        let mut alarm = Alarm { feedback: Some(Box::new(feedback)), ..alarm.clone() };
        // Whoever reports what was found has been there.
        if let Some(order) = &mut alarm.work_order {
            order.open = false;
        }
        Ok(noted(alarm, now))
    }

    fn confirm(
        &self,
        now: Time,
        id: &AlarmId,
        close_valve: bool,
        command: &Command,
    ) -> Result<Vec<Event>, &'static str> {
        let alarm = self.state.alarms.get(id).ok_or(NOT_OPEN)?;
        let confirmed_by = Some(command.actor.clone());
        let confirmed = Alarm { confirmed_by, ..alarm.clone() };
        let mut events = noted(confirmed.clone(), now);
        if close_valve {
            let may = self.revision_of(alarm, now).is_some_and(|(_, r)| r.care.close_valve);
            if !may {
                return Err("the alarm's rule does not allow to close a valve");
            }
            let meter = alarm.subject.strip_prefix("meter/");
            let meter = meter.and_then(|meter| MeterId::new(meter).ok());
            let meter = meter.ok_or("the alarm is not about one meter")?;
            let close = (&meter, Act::Valve(ValveTo::Close));
            // Whoever confirms has the alarm before them: it is the reason.
            events.push(self.intend(now, command, close, alarm::word(alarm.code), Some(id))?);
        }
        if super::access::ends_when_confirmed(alarm.code) {
            events.push(Event::Alarm(alarm::cleared(&confirmed, now)));
        }
        Ok(events)
    }

    fn check_again(&self, now: Time, id: &AlarmId) -> Result<Vec<Event>, &'static str> {
        let alarm = self.state.alarms.get(id).ok_or(NOT_OPEN)?;
        let plan = self.revision_of(alarm, now).and_then(|(_, revision)| revision.care.check);
        plan.ok_or("the alarm's rule has no device check")?;
        if !alarm.subject.starts_with("meter/") {
            return Err("only alarms about a meter have devices to check");
        }
        Ok(noted(Alarm { check: Some(Self::check_begun(now)), ..alarm.clone() }, now))
    }

    /// Folds an alarm's change into what is open, what was, and what is muted.
    pub(super) fn fold_alarm(&mut self, alarm: &Alarm) {
        if alarm.rule.is_some() {
            let before = self.any_alarm(&alarm.id).ok().cloned();
            self.fold_rule_alarm(alarm, before.as_ref());
        }
        match alarm.change {
            AlarmChange::Raised | AlarmChange::Updated => {
                self.state.alarms.insert(alarm.id.clone(), alarm.clone());
            }
            AlarmChange::Cleared => {
                self.state.alarms.remove(&alarm.id);
                self.state.old_alarms.retain(|old| old.0.id != alarm.id);
                self.state.old_alarms.push_back(OldAlarm(alarm.clone()));
                if self.state.old_alarms.len() > OLD_ALARMS_MAX {
                    self.state.old_alarms.pop_front();
                }
            }
            AlarmChange::Noted => {
                match &alarm.muted {
                    Some(mute) => {
                        self.state.mutes.insert(alarm.id.clone(), (**mute).clone());
                    }
                    None => {
                        self.state.mutes.remove(&alarm.id);
                    }
                }
                if self.state.mutes.len() > MUTES_MAX {
                    let first = self.state.mutes.iter().min_by_key(|(_, mute)| mute.until);
                    if let Some(id) = first.map(|(id, _)| id.clone()) {
                        self.state.mutes.remove(&id);
                    }
                }
                if let Some(open) = self.state.alarms.get_mut(&alarm.id) {
                    *open = alarm.clone();
                } else if let Some(old) =
                    self.state.old_alarms.iter_mut().find(|old| old.0.id == alarm.id)
                {
                    old.0 = alarm.clone();
                }
            }
        }
    }

    /// The mute that holds for an alarm, open or not.
    pub(super) fn mute_of(&self, id: &AlarmId, now: Time) -> Option<Box<Mute>> {
        let mute = self.state.mutes.get(id).filter(|mute| now < mute.until)?;
        Some(Box::new(mute.clone()))
    }
}

fn noted(alarm: Alarm, now: Time) -> Vec<Event> {
    vec![Event::Alarm(Alarm { change: AlarmChange::Noted, at: now, ..alarm })]
}
