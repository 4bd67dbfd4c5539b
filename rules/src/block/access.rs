//! Doors in the Block: orders, what controllers told, rights that payments extend. Nothing here changes
//! the state but [`Block::apply_access`].

use super::Block;
use crate::access::event::{
    Access, Credential, DoorAct, DoorOutcome, ENTRIES_PER_RECORD_MAX, Entry, Grant, Happened, Hold,
    Told,
};
use crate::access::setup::{AccessSetup, Exit};
use crate::access::state::GRANTS_MAX;
use crate::access::{AccessState, Heard};
use crate::alarm;
use crate::calendar::{days_after, days_before};
use crate::event::{Alarm, AlarmCode, Event, Outcome};
use crate::input::{Command, DoorsOrder, GrantOrder, Order, RevokeOrder};
use crate::ledger::{Movement, Paid, Toward};
use blockgate_types::{ActionId, ControllerId, DoorId, Span, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Longest text of a reason, in bytes.
const TEXT_MAX: usize = 200;
/// The longest that a door is held open by one order.
const HOLD_MAX: Span = Span::from_days(31);
/// The longest grant.
const GRANT_MAX: Span = Span::from_days(366);
/// Numbers that no controller keeps.
const CARD_MAX: u64 = 0xFFFF_FFFE;

const NO_DOORS: &str = "this block has no doors: the config has no [[door]]";
const NO_DOOR: &str = "there is no door of this id";
const NO_WAY_OUT: &str =
    "its way out runs over the controller: locked down it would hold people in";

/// What an order about doors means: events, and whether its outcome is still to come.
type Decided = Result<(Vec<Event>, bool), &'static str>;

impl Block {
    /// What the events say about doors; shared with those who tell the controllers.
    #[must_use]
    pub fn access(&self) -> Arc<AccessState> {
        Arc::clone(&self.state.access)
    }

    fn doors(&self) -> Result<&AccessSetup, &'static str> {
        let setup = self.state.setup.access.as_deref();
        setup.filter(|setup| !setup.doors.is_empty()).ok_or(NO_DOORS)
    }

    /// What an order about doors means; `None` for the other orders.
    pub(super) fn decide_access(&self, now: Time, command: &Command) -> Option<Decided> {
        let decided = match &command.order {
            Order::OpenDoor(order) => self.open_door(now, command, &order.door, &order.reason),
            Order::HoldDoor(order) => {
                let doors = BTreeSet::from([order.door.clone()]);
                let told =
                    DoorsOrder { doors, until: Some(order.until), reason: order.reason.clone() };
                self.hold(now, command, &told, Hold::Open)
            }
            Order::LockDown(order) => self.hold(now, command, order, Hold::Locked),
            Order::ReleaseDoors(order) => self.hold(now, command, order, Hold::Normal),
            Order::EmergencyOpen(order) => self.emergency(now, command, order),
            Order::EndEmergency { reason } => self.end_emergency(now, command, reason),
            Order::Grant(order) => self.grant(now, command, order),
            Order::Revoke(order) => self.revoke(now, command, order),
            Order::Restore { of } => {
                let known = self.state.access.revoked().contains_key(of);
                let (of, command) = (of.clone(), command.id.clone());
                if known {
                    Ok((one(Access::Restored { at: now, of, command }), false))
                } else {
                    Err("this is not shut out")
                }
            }
            Order::ConfirmArrears(order) => self.confirm_arrears(now, command, order),
            Order::Resend { .. }
            | Order::RetryDeadLetter { .. }
            | Order::ReadNow { .. }
            | Order::OpenBarrier { .. }
            | Order::DecideHeld { .. }
            | Order::ExchangeMeter { .. }
            | Order::Correct(_)
            | Order::RecordPayment(_)
            | Order::SettlePayment { .. }
            | Order::DepositCondition { .. }
            | Order::DeductDeposit { .. }
            | Order::RequestRefund(_)
            | Order::ApproveRefund { .. }
            | Order::RefundPaid { .. }
            | Order::VoidRefund { .. }
            | Order::EstimateReading { .. }
            | Order::ApplyRules { .. }
            | Order::PreviewRules { .. }
            | Order::Reconcile { .. }
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
            | Order::MuteAlarm { .. }
            | Order::UnmuteAlarm { .. }
            | Order::AlarmFeedback { .. }
            | Order::ConfirmAlarm { .. }
            | Order::CheckAlarm { .. } => return None,
        };
        Some(decided)
    }

    fn open_door(&self, now: Time, command: &Command, door: &DoorId, reason: &str) -> Decided {
        let setup = self.doors()?;
        said(reason)?;
        if !setup.doors.contains_key(door) {
            return Err(NO_DOOR);
        }
        match self.state.access.hold_of(door, now) {
            Hold::Locked => return Err("the door is locked down: release it first"),
            Hold::Open => return Err("the door stands open already"),
            Hold::Normal => {}
        }
        let act = act(now, command, door, Told::Open, reason);
        Ok((one(Access::Acting(act)), true))
    }

    fn hold(&self, now: Time, command: &Command, order: &DoorsOrder, hold: Hold) -> Decided {
        let setup = self.doors()?;
        said(&order.reason)?;
        if order.doors.iter().any(|door| !setup.doors.contains_key(door)) {
            return Err(NO_DOOR);
        }
        match order.until {
            Some(until) if until <= now => return Err("until lies in the past"),
            Some(until) if until > now.plus(HOLD_MAX) => {
                return Err("until lies more than 31 days ahead");
            }
            Some(_) | None => {}
        }
        let state = &self.state.access;
        let may_lock = |door: &&DoorId| {
            setup.doors.get(*door).is_some_and(|setup| setup.exit == Exit::Mechanical)
        };
        let doors: BTreeSet<DoorId> = match (hold, order.doors.is_empty()) {
            (Hold::Locked, false) if !order.doors.iter().all(|door| may_lock(&door)) => {
                return Err(NO_WAY_OUT);
            }
            (_, false) => order.doors.clone(),
            (Hold::Locked, true) => setup.doors.keys().filter(may_lock).cloned().collect(),
            (Hold::Normal, true) => state.holds().keys().cloned().collect(),
            (Hold::Open, true) => return Err("say which doors"),
        };
        if doors.is_empty() {
            return Err(if hold == Hold::Locked { NO_WAY_OUT } else { "no door is held" });
        }
        if hold == Hold::Locked && doors.iter().any(|door| state.emergency().contains(door)) {
            return Err("there is an emergency: its doors stay open until it is ended");
        }
        let mut events = one(Access::HoldSet {
            at: now,
            doors: doors.clone(),
            hold,
            until: if hold == Hold::Normal { None } else { order.until },
            reason: order.reason.clone(),
            actor: command.actor.clone(),
            command: command.id.clone(),
        });
        // A door that an emergency holds open is not told otherwise.
        let told = doors.iter().filter(|door| !state.emergency().contains(*door));
        let acts = told.map(|door| act(now, command, door, Told::Hold(hold), &order.reason));
        let before = events.len();
        events.extend(acts.flat_map(|act| one(Access::Acting(act))));
        let acting = events.len() > before;
        Ok((events, acting))
    }

    fn emergency(&self, now: Time, command: &Command, order: &DoorsOrder) -> Decided {
        let setup = self.doors()?;
        said(&order.reason)?;
        if order.doors.iter().any(|door| !setup.doors.contains_key(door)) {
            return Err(NO_DOOR);
        }
        let all = order.doors.is_empty();
        let doors: BTreeSet<DoorId> =
            if all { setup.doors.keys().cloned().collect() } else { order.doors.clone() };
        let mut events = one(Access::Emergency {
            at: now,
            on: true,
            doors: doors.clone(),
            reason: order.reason.clone(),
            actor: command.actor.clone(),
            command: Some(command.id.clone()),
        });
        self.emergency_alarm(now, Some(&order.reason), &mut events);
        let acts =
            doors.iter().map(|door| act(now, command, door, Told::Hold(Hold::Open), &order.reason));
        events.extend(acts.flat_map(|act| one(Access::Acting(act))));
        Ok((events, true))
    }

    fn end_emergency(&self, now: Time, command: &Command, reason: &str) -> Decided {
        said(reason)?;
        let state = &self.state.access;
        if state.emergency().is_empty() {
            return Err("there is no emergency");
        }
        if !state.fire().is_empty() {
            return Err("a fire input is still on: reset the fire alarm first");
        }
        let doors = state.emergency().clone();
        let mut after = AccessState::clone(state);
        let ended = Access::Emergency {
            at: now,
            on: false,
            doors: doors.clone(),
            reason: reason.to_owned(),
            actor: command.actor.clone(),
            command: Some(command.id.clone()),
        };
        after.apply(&ended);
        let mut events = one(ended);
        self.emergency_alarm(now, None, &mut events);
        let known = |door: &&DoorId| {
            self.state.setup.access.as_ref().is_some_and(|setup| setup.doors.contains_key(*door))
        };
        let before = events.len();
        for door in doors.iter().filter(known) {
            let told = Told::Hold(after.hold_of(door, now));
            events.extend(one(Access::Acting(act(now, command, door, told, reason))));
        }
        let acting = events.len() > before;
        Ok((events, acting))
    }

    fn emergency_alarm(&self, now: Time, reason: Option<&str>, out: &mut Vec<Event>) {
        let code = AlarmCode::DoorEmergency;
        let facts = reason.map(|why| BTreeMap::from([("reason".to_owned(), why.to_owned())]));
        self.set_alarm(now, code, "doors", alarm::severity(code), facts.as_ref(), out);
    }

    fn grant(&self, now: Time, command: &Command, order: &GrantOrder) -> Decided {
        let setup = self.doors()?;
        let terms: &Grant = &order.terms;
        if terms.card == 0 || terms.card > CARD_MAX || terms.card == 0x00FF_FFFF {
            return Err("no controller keeps a card of this number");
        }
        if terms.groups.is_empty() || terms.groups.iter().any(|g| !setup.groups.contains_key(g)) {
            return Err("give groups of the config: they say which doors");
        }
        if terms.account.as_ref().is_some_and(|a| !self.state.setup.accounts.contains_key(a)) {
            return Err("there is no account of this id");
        }
        if terms.until <= terms.from || terms.until <= now {
            return Err("until must lie after from, and in the future");
        }
        if terms.until > terms.from.plus(GRANT_MAX) {
            return Err("a grant lasts 366 days at most");
        }
        if terms.count == Some(0) {
            return Err("a grant opens at least once");
        }
        let grants = self.state.access.grants();
        let taken = |(id, used): (&blockgate_types::GrantId, &crate::access::state::Used)| {
            *id != order.grant && used.terms.card == terms.card && used.terms.until > now
        };
        if grants.iter().any(taken) {
            return Err("another grant has this card");
        }
        let live = grants.values().filter(|used| used.terms.until > now).count();
        if live >= GRANTS_MAX && !grants.contains_key(&order.grant) {
            return Err("there are as many grants as this box keeps");
        }
        let (grant, terms) = (order.grant.clone(), Box::new(terms.clone()));
        let command = command.id.clone();
        Ok((one(Access::Granted { at: now, grant, terms, command }), false))
    }

    fn revoke(&self, now: Time, command: &Command, order: &RevokeOrder) -> Decided {
        self.doors()?;
        said(&order.reason)?;
        let state = &self.state.access;
        match &order.of {
            Credential::Grant(grant) if !state.grants().contains_key(grant) => {
                return Err("there is no grant of this id");
            }
            of if state.revoked().contains_key(of) => return Err("this is shut out already"),
            Credential::Grant(_)
            | Credential::Card(_)
            | Credential::Person(_)
            | Credential::Account(_) => {}
        }
        let (of, reason) = (order.of.clone(), order.reason.clone());
        Ok((one(Access::Revoked { at: now, of, reason, command: command.id.clone() }), false))
    }

    fn confirm_arrears(
        &self,
        now: Time,
        command: &Command,
        order: &crate::input::ConfirmArrears,
    ) -> Decided {
        let setup = self.doors()?;
        said(&order.reason)?;
        if order.by.trim().is_empty() || order.by.len() > TEXT_MAX {
            return Err("say who confirms it: by is a person's name or number");
        }
        let rule = match (&setup.arrears, order.confirmed) {
            (_, false) => None,
            (None, true) => return Err("the config has no [arrears_doors]"),
            (Some(rule), true) => {
                let at_stake: BTreeSet<DoorId> =
                    setup.entrances_at_stake().into_iter().cloned().collect();
                if at_stake != order.entrances {
                    return Err("name exactly the entrances that the warning shows");
                }
                Some(rule.clone())
            }
        };
        if rule.is_none() && self.state.access.confirmed().is_none() {
            return Err("nothing is confirmed");
        }
        let (by, reason, command) = (order.by.clone(), order.reason.clone(), command.id.clone());
        Ok((one(Access::ArrearsConfirmed { at: now, rule, by, reason, command }), false))
    }

    /// What payments among events extend.
    pub(super) fn rights_extended(&self, events: &[Event]) -> Vec<Event> {
        let mut extended = Vec::new();
        let (Some(setup), Some(zone)) = (&self.state.setup.access, &self.cache.zone) else {
            return extended;
        };
        for event in events {
            let Event::Payment(payment) = event else { continue };
            let account = &payment.account;
            let paid: &Paid = match &payment.movement {
                Movement::Paid(paid) if !paid.pending => paid,
                Movement::Settled { payment, posted: true, .. } => {
                    let Some(known) = self.state.ledger.announced(payment) else { continue };
                    known.1
                }
                Movement::Paid(_)
                | Movement::Settled { .. }
                | Movement::Condition { .. }
                | Movement::Deducted { .. }
                | Movement::RefundAsked(_)
                | Movement::RefundApproved { .. }
                | Movement::RefundPaid { .. }
                | Movement::RefundVoided { .. } => continue,
            };
            // A payment for several things says of none how much of it is for it.
            let Toward::Bills { items } = &paid.toward else { continue };
            let [item] = items.as_slice() else { continue };
            for (group, terms) in &setup.groups {
                let Some(right) = terms.paid.as_ref().filter(|right| right.item == *item) else {
                    continue;
                };
                let times = paid.amount_fen.0.checked_div(right.fen.0).unwrap_or(0);
                let days = u32::try_from(times).unwrap_or(0).saturating_mul(right.days);
                let yesterday = days_before(zone.day(payment.at), 1);
                let from = self.state.access.paid_until(group, account).max(yesterday);
                let until = from.and_then(|from| days_after(from, days));
                let Some(until) = until.filter(|_| days > 0) else { continue };
                extended.extend(one(Access::Extended {
                    at: payment.at,
                    group: group.clone(),
                    account: account.clone(),
                    until,
                    payment: paid.payment.clone(),
                }));
            }
        }
        extended
    }

    /// What the gateway heard of doors.
    pub(super) fn decide_heard(&self, heard: &Heard, out: &mut Vec<Event>) {
        let state = &self.state.access;
        match heard {
            Heard::Read { controller, now, entries } => {
                self.decide_entries(controller, *now, entries, out);
            }
            Heard::Lost { controller, now, to } => {
                let from = state.cursor(controller).unwrap_or(0).saturating_add(1);
                if from <= *to {
                    let (controller, at) = (controller.clone(), *now);
                    let subject = format!("controller/{controller}");
                    out.extend(one(Access::Lost { controller, at, from, to: *to }));
                    let facts = BTreeMap::from([
                        ("from".to_owned(), from.to_string()),
                        ("to".to_owned(), to.to_string()),
                    ]);
                    let code = AlarmCode::DoorEventsLost;
                    self.set_alarm(at, code, &subject, alarm::severity(code), Some(&facts), out);
                }
            }
            Heard::Renumbered { controller, now } => {
                if let Some(was) = state.cursor(controller).filter(|was| *was > 0) {
                    let (controller, at) = (controller.clone(), *now);
                    out.extend(one(Access::Renumbered { controller, at, was }));
                }
            }
            Heard::Acted(done) => self.decide_door_acted(done, out),
            Heard::Fire { controller, now, on } => self.decide_fire(controller, *now, *on, out),
        }
    }

    fn decide_fire(&self, controller: &ControllerId, now: Time, on: bool, out: &mut Vec<Event>) {
        if self.state.access.fire().contains(controller) == on {
            return;
        }
        out.extend(one(Access::Fire { at: now, controller: controller.clone(), on }));
        let Some(setup) = self.state.setup.access.as_ref().filter(|_| on) else { return };
        let mine = setup.doors.iter().filter(|(_, door)| door.controller == *controller);
        let doors: BTreeSet<DoorId> = mine.map(|(id, _)| id.clone()).collect();
        out.extend(one(Access::Emergency {
            at: now,
            on: true,
            doors,
            reason: "fire".to_owned(),
            actor: format!("controller/{controller}"),
            command: None,
        }));
        self.emergency_alarm(now, Some("fire"), out);
    }

    fn decide_entries(
        &self,
        controller: &ControllerId,
        now: Time,
        entries: &[Entry],
        out: &mut Vec<Event>,
    ) {
        let mut last = self.state.access.cursor(controller);
        let mut fresh: Vec<Entry> = Vec::new();
        for entry in entries {
            // Known already; and nothing is taken in behind a hole, which would hide it for ever.
            let next = last.is_none_or(|last| last.checked_add(1) == Some(entry.index));
            if next && entry.index > 0 {
                last = Some(entry.index);
                fresh.push(entry.clone());
            }
        }
        let mut alarms = Alarms { block: self, changed: BTreeMap::new(), out: Vec::new() };
        for entry in &fresh {
            alarms.of(controller, entry);
        }
        let told = alarms.out;
        for part in fresh.chunks(ENTRIES_PER_RECORD_MAX) {
            let (controller, entries) = (controller.clone(), part.to_vec());
            out.extend(one(Access::Read { controller, at: now, entries }));
        }
        out.extend(told);
    }

    fn decide_door_acted(&self, done: &DoorOutcome, out: &mut Vec<Event>) {
        let state = &self.state.access;
        // Answered already, or never begun: one outcome is all there is.
        let Some(act) = state.acts().get(&done.action) else { return };
        out.extend(one(Access::Acted(done.clone())));
        let code = AlarmCode::DoorUnknown;
        let facts = BTreeMap::from([("action".to_owned(), done.action.to_string())]);
        let facts = match done.outcome {
            Outcome::Unknown => Some(&facts),
            Outcome::Done
            | Outcome::Failed
            | Outcome::Expired
            | Outcome::Duplicate
            | Outcome::Refused => None,
        };
        let subject = format!("door/{}", done.door);
        self.set_alarm(done.at, code, &subject, alarm::severity(code), facts, out);
        let others = state.acts().values().filter(|open| open.command == act.command).count();
        if others > 1 {
            return;
        }
        let failed = state.failed(&act.command) + u32::from(done.outcome != Outcome::Done);
        let (outcome, detail) = match (failed, done.outcome) {
            (0, _) => (Outcome::Done, done.detail.clone()),
            (1, outcome) if state.failed(&act.command) == 0 => {
                let outcome = match outcome {
                    Outcome::Unknown => Outcome::Unknown,
                    Outcome::Expired => Outcome::Expired,
                    Outcome::Done | Outcome::Failed | Outcome::Duplicate | Outcome::Refused => {
                        Outcome::Failed
                    }
                };
                (outcome, format!("{}: {}", done.door, done.detail))
            }
            (n, _) => (Outcome::Failed, format!("{n} doors did not confirm it")),
        };
        self.decide_done(done.at, &act.command, outcome, &detail, out);
    }

    /// At a start: nobody knows what became of these.
    pub(super) fn decide_lost_door_acts(&self, now: Time, out: &mut Vec<Event>) {
        for act in self.state.access.acts().values() {
            out.extend(one(Access::Acted(DoorOutcome {
                action: act.action.clone(),
                door: act.door.clone(),
                at: now,
                outcome: Outcome::Unknown,
                detail: "the gateway was restarted before it was known".to_owned(),
            })));
            let code = AlarmCode::DoorUnknown;
            // How a door is held is told again until it is so; an opening is not repeated.
            if act.told == Told::Open {
                let facts = BTreeMap::from([("action".to_owned(), act.action.to_string())]);
                let subject = format!("door/{}", act.door);
                self.set_alarm(now, code, &subject, alarm::severity(code), Some(&facts), out);
            }
        }
    }

    /// Folds an event of doors in.
    pub(super) fn apply_access(&mut self, event: &Access) {
        Arc::make_mut(&mut self.state.access).apply(event);
    }

    /// A household moved out; its credentials end with the day before `until`.
    pub(super) fn apply_moved_out(&mut self, settlement: &crate::settlement::Settlement) {
        if let Some(first) = crate::calendar::parse_day(&settlement.until) {
            Arc::make_mut(&mut self.state.access).move_out(&settlement.account, first);
        }
    }
}

/// Whether a person's confirmation closes an alarm: what it says happened and is over.
pub(super) fn ends_when_confirmed(code: AlarmCode) -> bool {
    matches!(
        code,
        AlarmCode::DoorForced
            | AlarmCode::DoorTamper
            | AlarmCode::DoorDuress
            | AlarmCode::DoorUnknown
            | AlarmCode::DoorEventsLost
    )
}

/// Alarms of entries that are read together: one may open and close within them.
struct Alarms<'b> {
    block: &'b Block,
    /// Opened or closed here already.
    changed: BTreeMap<(AlarmCode, String), Option<Alarm>>,
    out: Vec<Event>,
}

impl Alarms<'_> {
    fn of(&mut self, controller: &ControllerId, entry: &Entry) {
        let subject = match &entry.door {
            Some(door) => format!("door/{door}"),
            None => format!("controller/{controller}"),
        };
        match entry.event {
            Happened::Forced => self.raise(AlarmCode::DoorForced, &subject, entry),
            Happened::Tamper => self.raise(AlarmCode::DoorTamper, &subject, entry),
            Happened::Duress | Happened::Emergency => {
                self.raise(AlarmCode::DoorDuress, &subject, entry);
            }
            Happened::Granted | Happened::Closed => {
                self.clear(AlarmCode::DoorForced, &subject, entry)
            }
            Happened::Denied
            | Happened::Button
            | Happened::Remote
            | Happened::SuperPassword
            | Happened::Opened
            | Happened::HeldOpen
            | Happened::Fire
            | Happened::ForceLock
            | Happened::PowerOn
            | Happened::Other => {}
        }
    }

    fn open(&self, code: AlarmCode, subject: &str) -> Option<Alarm> {
        match self.changed.get(&(code, subject.to_owned())) {
            Some(changed) => changed.clone(),
            None => self.block.open_alarm(code, subject).cloned(),
        }
    }

    fn raise(&mut self, code: AlarmCode, subject: &str, entry: &Entry) {
        if self.open(code, subject).is_some() {
            return;
        }
        let facts = BTreeMap::from([("index".to_owned(), entry.index.to_string())]);
        let Some(raised) = alarm::raised(code, subject, alarm::severity(code), entry.at, facts)
        else {
            return;
        };
        let muted = self.block.mute_of(&raised.id, entry.at);
        let raised = Alarm { muted, ..raised };
        self.changed.insert((code, subject.to_owned()), Some(raised.clone()));
        self.out.push(Event::Alarm(raised));
    }

    fn clear(&mut self, code: AlarmCode, subject: &str, entry: &Entry) {
        let Some(open) = self.open(code, subject) else { return };
        self.changed.insert((code, subject.to_owned()), None);
        self.out.push(Event::Alarm(alarm::cleared(&open, entry.at)));
    }
}

fn act(now: Time, command: &Command, door: &DoorId, told: Told, reason: &str) -> DoorAct {
    let text = format!("{}|{door}", command.id);
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let name = format!("door-{}", crate::hex(hash.as_ref().get(..10).unwrap_or_default()));
    DoorAct {
        // Hexadecimal digits behind a letter are an id, always.
        action: ActionId::new(&name).unwrap_or_else(|_| unreachable!("an id of digits")),
        door: door.clone(),
        told,
        at: now,
        command: command.id.clone(),
        actor: command.actor.clone(),
        reason: reason.to_owned(),
    }
}

fn one(event: Access) -> Vec<Event> {
    vec![Event::Door(Box::new(event))]
}

fn said(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        return Err("say why");
    }
    if text.len() > TEXT_MAX {
        return Err("the text is too long");
    }
    Ok(())
}
