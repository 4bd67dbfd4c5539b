//! Commands: each that is accepted has exactly one outcome (invariant 7). The acceptance is an event
//! before anything is done, so that a restart in between answers `unknown` and never repeats.

use super::Block;
use crate::event::{Audit, Event, Outcome, Reading, Verdict};
use crate::input::{AHEAD_MAX, Command, HeldDecision, LIFETIME_MAX, Order};
use crate::metering::{self, Held, RegisterState};
use crate::money::minus;
use crate::setup::BillingRegister;
use blockgate_types::{ClockState, CommandId, Decimal, MeterId, RegisterName, Time};

impl Block {
    pub(super) fn decide_command(
        &self,
        now: Time,
        clock: ClockState,
        command: &Command,
        out: &mut Vec<Event>,
    ) {
        let answer = |outcome, detail: &str| answer(now, command, outcome, detail);
        if let Err((outcome, why)) = self.admitted(now, clock, command) {
            out.push(answer(outcome, why));
            return;
        }
        let accepted = Event::Audit(Audit::CommandAccepted {
            at: now,
            id: command.id.clone(),
            name: command.order.name().to_owned(),
            actor: command.actor.clone(),
            expires_at: Some(command.expires_at),
        });
        if clock != ClockState::Unsynced {
            // Nothing is booked into a day that is over.
            self.decide_day(now, out);
        }
        if let Some(decided) = self.decide_desk(now, command) {
            match decided {
                Ok(_) if clock == ClockState::Unsynced => {
                    out.push(answer(Outcome::Refused, UNSYNCED));
                }
                Ok((events, detail)) => {
                    out.push(accepted);
                    out.extend(events);
                    out.push(answer(Outcome::Done, &detail));
                }
                Err(why) => out.push(answer(Outcome::Refused, &why)),
            }
            return;
        }
        if let Some(decided) = self.decide_money(now, command) {
            match decided {
                Ok(_) if clock == ClockState::Unsynced => {
                    out.push(answer(Outcome::Refused, UNSYNCED))
                }
                Ok(events) => {
                    let extended = self.rights_extended(&events);
                    out.push(accepted);
                    out.extend(events);
                    out.extend(extended);
                    out.push(answer(Outcome::Done, ""));
                }
                Err(why) => out.push(answer(Outcome::Refused, why)),
            }
            return;
        }
        if let Some(decided) = self.decide_parking(now, clock, command) {
            match decided {
                Ok(events) => {
                    out.push(accepted);
                    out.extend(events);
                    out.push(answer(Outcome::Done, ""));
                }
                Err(why) => out.push(answer(Outcome::Refused, why)),
            }
            return;
        }
        if let Some(decided) = self.decide_access(now, command) {
            match decided {
                Ok((events, acting)) => {
                    out.push(accepted);
                    out.extend(events);
                    // What doors are told has its outcome when they have done it.
                    if !acting {
                        out.push(answer(Outcome::Done, ""));
                    }
                }
                Err(why) => out.push(answer(Outcome::Refused, why)),
            }
            return;
        }
        if let Some(decided) = self.decide_care(now, command) {
            match decided {
                Ok(events) => {
                    let acts = |event: &Event| matches!(event, Event::Audit(Audit::MeterActing(_)));
                    // A valve's outcome is that of the command that closes it.
                    let open = events.iter().any(acts);
                    out.push(accepted);
                    out.extend(events);
                    if !open {
                        out.push(answer(Outcome::Done, ""));
                    }
                }
                Err(why) => out.push(answer(Outcome::Refused, why)),
            }
            return;
        }
        if let Some(decided) = self.decide_act(now, command) {
            match decided {
                // The gateway acts when this is durable, and reports back by `Input::MeterActed`.
                Ok(intent) => out.extend([accepted, intent]),
                Err(why) => out.push(answer(Outcome::Refused, why)),
            }
            return;
        }
        let decided = match &command.order {
            Order::Resend { from, to } if from > to => Err("from lies after to"),
            Order::Resend { .. } | Order::RetryDeadLetter { .. } => Ok(None),
            Order::ReadNow { meter, .. } if !self.state.setup.meters.contains_key(meter) => {
                Err(NO_METER)
            }
            Order::ReadNow { .. } | Order::PreviewRules { .. } => Ok(None),
            Order::OpenBarrier { reason, .. } if reason.trim().is_empty() => {
                Err("say why: reason is empty")
            }
            Order::OpenBarrier { .. } => Ok(None),
            Order::DecideHeld { .. }
            | Order::ExchangeMeter { .. }
            | Order::EstimateReading { .. }
            | Order::Correct(_)
                if clock == ClockState::Unsynced =>
            {
                Err(UNSYNCED)
            }
            Order::RecordPayment(_)
            | Order::SettlePayment { .. }
            | Order::DepositCondition { .. }
            | Order::DeductDeposit { .. }
            | Order::RequestRefund(_)
            | Order::ApproveRefund { .. }
            | Order::RefundPaid { .. }
            | Order::VoidRefund { .. }
            | Order::ApplyRules { .. }
            | Order::CountCash { .. }
            | Order::MoveOut(_)
            | Order::PayStay(_)
            | Order::DiscountStay { .. }
            | Order::CorrectStay { .. }
            | Order::CloseStay { .. }
            | Order::SettleParking { .. }
            | Order::GrantParking { .. }
            | Order::SellPass(_)
            | Order::RevokeParking { .. }
            | Order::Relay { .. }
            | Order::Valve { .. }
            | Order::SetClock { .. }
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
            | Order::CheckAlarm { .. } => Err("not decided"),
            // The gateway looks up the payments and hands them in by `Input::Reconcile`.
            Order::Reconcile { from, to, statement, .. } => {
                super::day::may_reconcile(from, to, statement).map(|()| None)
            }
            // The gateway looks up the bills and hands them in by `Input::Correct`.
            Order::Correct(correction) => correction.checked().map(|_| None),
            Order::DecideHeld { meter, register, decision } => {
                self.decided(meter, register, *decision, now).map(Some)
            }
            Order::EstimateReading { meter, register, value, reason } => {
                self.estimated(meter, register, *value, reason, now).map(Some)
            }
            Order::ExchangeMeter { meter, register, final_value, initial_value } => {
                self.exchanged(meter, register, *final_value, *initial_value, now).map(Some)
            }
        };
        match decided {
            Err(why) => out.push(answer(Outcome::Refused, why)),
            // The gateway carries it out and reports back by `Input::CommandDone`.
            Ok(None) => out.push(accepted),
            Ok(Some(reading)) => {
                let known = self.state.meters.get(&reading.meter);
                let readings = vec![reading];
                let meter = readings.first().map(|reading| reading.meter.clone());
                let alarms = meter.map(|meter| self.alarms_of(&meter, known, &readings));
                out.push(accepted);
                out.push(Event::Reading { readings });
                out.extend(alarms.unwrap_or_default());
                out.push(answer(Outcome::Done, ""));
            }
        }
    }

    /// Whether a command may be looked at, whatever it orders.
    fn admitted(
        &self,
        now: Time,
        clock: ClockState,
        command: &Command,
    ) -> Result<(), (Outcome, &'static str)> {
        if self.state.commands_seen.has(&command.id) {
            return Err((Outcome::Duplicate, "this id was answered before"));
        }
        if now >= command.expires_at {
            return Err((Outcome::Expired, "it came after its expires_at"));
        }
        let refused = |why| Err((Outcome::Refused, why));
        match command.expires_at.since(command.issued_at) {
            None => return refused("expires_at lies before issued_at"),
            Some(life) if life > LIFETIME_MAX => {
                return refused("expires_at lies more than 31 days after issued_at");
            }
            Some(_) => {}
        }
        // A box that starts in 1970 sees every command in its future, and cannot see that one expired.
        if clock == ClockState::Unsynced {
            if command.order.needs_true_time() {
                return refused(UNSYNCED);
            }
        } else if command.issued_at > now.plus(AHEAD_MAX) {
            return refused("issued_at lies in the future: compare both clocks");
        }
        if self.state.commands_seen.is_full(now) {
            return refused(
                "too many commands are remembered: order it again when some have expired",
            );
        }
        Ok(())
    }

    /// A command that the door did not let in: who ordered it may not. It has its one outcome.
    pub(super) fn decide_refused(
        &self,
        now: Time,
        command: &Command,
        why: &str,
        out: &mut Vec<Event>,
    ) {
        out.push(if self.state.commands_seen.has(&command.id) {
            answer(now, command, Outcome::Duplicate, "this id was answered before")
        } else {
            answer(now, command, Outcome::Refused, why)
        });
    }

    pub(super) fn decide_done(
        &self,
        now: Time,
        id: &CommandId,
        outcome: Outcome,
        detail: &str,
        out: &mut Vec<Event>,
    ) {
        // Answered already, or never accepted: one outcome is all there is.
        let Some(open) = self.state.commands_open.get(id) else { return };
        out.push(Event::Audit(Audit::Command {
            at: now,
            id: id.clone(),
            name: open.name.clone(),
            actor: open.actor.clone(),
            outcome,
            expires_at: open.expires_at,
            detail: detail.to_owned(),
        }));
    }

    /// Compares a statement with the books that the gateway hands in.
    pub(super) fn decide_reconcile(
        &self,
        now: Time,
        command: &Command,
        books: &[crate::reconcile::Booked],
        out: &mut Vec<Event>,
    ) {
        let Order::Reconcile { channel, from, to, statement } = &command.order else { return };
        if !self.state.commands_open.contains_key(&command.id) {
            return; // answered already, or never accepted
        }
        match self.reconciled(now, &command.id, (*channel, from, to), statement, books) {
            Ok((events, detail)) => {
                out.extend(events);
                self.decide_done(now, &command.id, Outcome::Done, &detail, out);
            }
            Err(why) => self.decide_done(now, &command.id, Outcome::Refused, &why, out),
        }
    }

    pub(super) fn known(
        &self,
        meter: &MeterId,
        register: &RegisterName,
    ) -> Result<(&BillingRegister, &RegisterState), &'static str> {
        let setup = self.state.setup.meters.get(meter).ok_or(NO_METER)?;
        let setup = setup.registers.iter().find(|r| r.name == *register);
        let setup = setup.ok_or("the meter has no billing register of this name")?;
        let known = self.register_state(meter, register).ok_or("the register was never read")?;
        Ok((setup, known))
    }

    /// The reading that a person's decision makes of a held one.
    fn decided(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        decision: HeldDecision,
        now: Time,
    ) -> Result<Reading, &'static str> {
        let (setup, known) = self.known(meter, register)?;
        let held = known.held.as_ref().ok_or("nothing is held on this register")?;
        let at = later_than(known, held, now)?;
        let (from, last) = (known.last.reading, known.last.value);
        let verdict = match decision {
            HeldDecision::Accept => {
                let used = minus(held.value, last).filter(|used| !used.is_sign_negative());
                let used =
                    used.ok_or("the held value is lower: decide rollover, rebase or exchange")?;
                Verdict::Accepted { from, used }
            }
            HeldDecision::Rollover => {
                let used = metering::modular(setup, last, held.value);
                let used =
                    used.ok_or("no rollover: its end is not known, or the value is not lower")?;
                Verdict::Rollover { from, used }
            }
            HeldDecision::Rebase => Verdict::Rebased { from },
        };
        Ok(metering::reading(meter, setup, at, held.value, verdict))
    }

    /// The first reading of an exchanged device.
    fn exchanged(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        final_value: Decimal,
        initial_value: Decimal,
        now: Time,
    ) -> Result<Reading, &'static str> {
        let (setup, known) = self.known(meter, register)?;
        if now <= known.last.at {
            return Err(BEHIND);
        }
        if initial_value.is_sign_negative() {
            return Err("initial_value is negative");
        }
        let used = minus(final_value, known.last.value).filter(|used| !used.is_sign_negative());
        let used = used.ok_or("final_value is lower than the last accepted reading")?;
        if !metering::within_rate(setup, known.rate_from, now, used) {
            return Err("final_value is more than the meter can have counted since it was read");
        }
        let from = known.last.reading;
        let verdict = Verdict::Exchanged { from, final_value, used };
        Ok(metering::reading(meter, setup, now, initial_value, verdict))
    }
}

/// The outcome of a command.
fn answer(now: Time, command: &Command, outcome: Outcome, detail: &str) -> Event {
    Event::Audit(Audit::Command {
        at: now,
        id: command.id.clone(),
        name: command.order.name().to_owned(),
        actor: command.actor.clone(),
        outcome,
        expires_at: Some(command.expires_at),
        detail: detail.to_owned(),
    })
}

const UNSYNCED: &str = "the clock is not synchronised: a decision about money needs a true time";
const NO_METER: &str = "there is no meter of this id";
const BEHIND: &str = "the clock is behind the last accepted reading";

/// When a held value counts: when it was read, or now where the clock was wrong then.
fn later_than(known: &RegisterState, held: &Held, now: Time) -> Result<Time, &'static str> {
    if held.at > known.last.at {
        Ok(held.at)
    } else if now > known.last.at {
        Ok(now)
    } else {
        Err(BEHIND)
    }
}
