//! The anomaly rules at work in the Block: readings and payments are folded into the detectors, and
//! what these found becomes alarms at the next tick. Nothing here moves money (statement C11).

use super::Block;
use crate::alarm;
use crate::anomaly::care::{CheckFound, DeviceCheck, WorkOrder};
use crate::anomaly::check::{self, Running};
use crate::anomaly::micro::Micro;
use crate::anomaly::rule::{Detector, Flag, Lasting, Revision, Rule};
use crate::anomaly::scope::Plan;
use crate::anomaly::watch::{Around, Found, Key, Sample};
use crate::anomaly::{budget, lasting, payments, text};
use crate::calendar::Day;
use crate::event::{Alarm, AlarmChange, AlarmCode, Event, Payment, Reading};
use crate::input::Input;
use blockgate_types::{Decimal, MeterId, Observation, Role, Span, TariffId, Time, Values};
use std::collections::BTreeMap;

/// What a found oddity looks like as an alarm.
type Facts = BTreeMap<String, String>;

impl Block {
    /// Which meter is watched by which rule is worked out anew when it is asked for next: a block is set up
    /// in many records, and each of them would go through all meters.
    pub(super) fn change_plan(&mut self) {
        self.cache.plan.take();
    }

    /// The same, and forgets what was learned for rules and meters that are gone.
    pub(super) fn find_plan(&mut self) {
        self.change_plan();
        let setup = &self.state.setup;
        self.state.anomaly.forget(&setup.anomalies, |meter| setup.has_register(meter));
    }

    /// The same, where some meters were set.
    pub(super) fn find_plan_of<'m>(&mut self, meters: impl IntoIterator<Item = &'m MeterId>) {
        self.change_plan();
        let setup = &self.state.setup;
        let gone = meters.into_iter().filter(|meter| !setup.has_register(meter));
        self.state.anomaly.forget_meters(gone);
    }

    fn plan(&self) -> &Plan {
        self.cache.plan.get_or_init(|| Plan::of(&self.state.setup))
    }

    /// How many alarms the rules raised, by month, per 100 households.
    #[must_use]
    pub fn alarm_budget(&self) -> budget::Report {
        let most = self.state.setup.anomalies.values().find_map(|rule| {
            let revision = rule.revisions.last().filter(|revision| !revision.off)?;
            let Detector::Budget { per_100_households } = revision.detector else { return None };
            Some(per_100_households)
        });
        budget::Report::of(&self.state.budget, self.plan().households, most)
    }

    /// How often meters are to be read now, beside their own schedule: device checks run.
    #[must_use]
    pub fn sampling(&self) -> BTreeMap<MeterId, Span> {
        let mut wanted: BTreeMap<MeterId, Span> = BTreeMap::new();
        for running in &self.watch.checks {
            for meter in running.meters() {
                let every = wanted.entry(meter.clone()).or_insert(running.plan.every);
                *every = running.plan.every.min(*every);
            }
        }
        wanted
    }

    /// Folds in what passed since the reading before; times the multiplier.
    pub(super) fn fold_used(&mut self, reading: &Reading, from: Time, used: Decimal) {
        let Some(zone) = &self.cache.zone else { return };
        let plan = self.cache.plan.get_or_init(|| Plan::of(&self.state.setup));
        let Some(member) = plan.meters.get(&reading.meter) else { return };
        if member.register != reading.register {
            return;
        }
        let (resolution, unit) = (member.resolution, member.unit);
        let sample = Sample { from, to: reading.at, used: Micro::of(used).0, resolution, unit };
        let around = Around { zone, rules: &self.state.setup.anomalies, plan };
        self.state.anomaly.take(around, &reading.meter, &sample);
    }

    /// Folds in a reading that is held: one that is lower may be reverse flow.
    pub(super) fn fold_held(&mut self, reading: &Reading, high: Decimal, multiplier: Decimal) {
        let Some(zone) = &self.cache.zone else { return };
        let plan = self.cache.plan.get_or_init(|| Plan::of(&self.state.setup));
        let Some(member) = plan.meters.get(&reading.meter) else { return };
        if member.register != reading.register || reading.value >= high {
            return;
        }
        let micro = |value: Decimal| Micro::of(value.checked_mul(multiplier).unwrap_or(value)).0;
        let around = Around { zone, rules: &self.state.setup.anomalies, plan };
        let (high, value) = (micro(high), micro(reading.value));
        self.state.anomaly.fell(around, &reading.meter, reading.at, high, value);
    }

    /// Folds in a movement of money.
    pub(super) fn fold_payment(&mut self, payment: &Payment) {
        let Some(zone) = &self.cache.zone else { return };
        // The car park's account takes the payments of all strangers: like amounts mean nothing there.
        let parking = self.state.setup.parking.as_ref();
        if parking.is_some_and(|parking| parking.account == payment.account) {
            return;
        }
        let day = zone.day(payment.at);
        let (at, account, movement) = (payment.at, &payment.account, &payment.movement);
        for (id, rule) in &self.state.setup.anomalies {
            let Some(revision) = rule.on(day) else { continue };
            let Detector::Payments { same_within, refunds_a_day } = &revision.detector else {
                continue;
            };
            let recent = &mut self.state.payments;
            if let Some((subject, turn)) =
                recent.take(at, account, movement, *same_within, *refunds_a_day)
            {
                self.state.anomaly.turned(id, revision, &subject, Some(turn));
            }
            return; // one memory of payments: one rule
        }
    }

    /// Counts a rule's alarm, and lets the detectors know that it was told.
    pub(super) fn fold_rule_alarm(&mut self, alarm: &Alarm, before: Option<&Alarm>) {
        let Some(id) = rule_of(alarm) else { return };
        let key: Key = (id, alarm.subject.clone());
        let month = self.cache.zone.as_ref().map_or(0, |zone| month_of(zone.day(alarm.since)));
        match alarm.change {
            AlarmChange::Raised => {
                if alarm.code != AlarmCode::AlarmBudget {
                    self.state.budget.raised(month, alarm.muted.is_some());
                }
                self.state.anomaly.told(&key, true);
            }
            AlarmChange::Updated => self.state.anomaly.told(&key, true),
            AlarmChange::Cleared => self.state.anomaly.told(&key, false),
            AlarmChange::Noted => {
                let verdict =
                    |alarm: &Alarm| alarm.feedback.as_ref().map(|feedback| feedback.verdict);
                if alarm.code != AlarmCode::AlarmBudget {
                    self.state.budget.told(month, before.and_then(verdict), verdict(alarm));
                }
                if let Some(percent) = alarm.feedback.as_ref().and_then(|f| f.raises_percent) {
                    self.state.anomaly.raise(key, percent);
                }
            }
        }
    }

    /// The rule's revision behind an alarm, as it holds now.
    pub(super) fn revision_of(&self, alarm: &Alarm, now: Time) -> Option<(TariffId, &Revision)> {
        let id = rule_of(alarm)?;
        let day = self.cache.zone.as_ref()?.day(now);
        let revision = self.state.setup.anomalies.get(&id)?.on(day)?;
        Some((id, revision))
    }

    /// What the detectors found becomes alarms, and what is over ends them.
    pub(super) fn decide_anomalies(&self, now: Time, out: &mut Vec<Event>) {
        let rules = &self.state.setup.anomalies;
        for key in self.state.anomaly.changed() {
            let Some(rule) = rules.get(&key.0) else { continue };
            let code = rule.revisions.first().map(|revision| revision.detector.code());
            let Some(code) = code else { continue };
            let found = self.state.anomaly.found().get(key);
            self.say(now, key, code, found, out);
        }
        let day = self.cache.zone.as_ref().map(|zone| zone.day(now));
        for alarm in self.state.alarms.values() {
            let Some(id) = rule_of(alarm) else { continue };
            let holds = day.is_some_and(|day| rules.get(&id).is_some_and(|r| r.on(day).is_some()));
            let gone = alarm.subject.strip_prefix("meter/").is_some_and(|meter| {
                MeterId::new(meter).is_ok_and(|id| !self.state.setup.meters.contains_key(&id))
            });
            let old = alarm.code == AlarmCode::OddPayment
                && (alarm.feedback.is_some() || now >= alarm.since.plus(payments::OPEN_FOR));
            if !holds || gone || old {
                out.push(Event::Alarm(alarm::cleared(alarm, now)));
            }
        }
        if let Some(day) = day {
            self.decide_lasting(now, day, out);
            self.decide_budget(now, day, out);
        }
        for running in self.watch.checks.iter().filter(|running| now >= running.until()) {
            if let Some(alarm) = self.state.alarms.get(&running.alarm) {
                let check = Some(Box::new(running.result(now)));
                let facts = alarm.facts.clone();
                out.push(Event::Alarm(Alarm { check, ..alarm::updated(alarm, now, facts) }));
            }
        }
    }

    /// Raises, updates or clears a rule's alarm.
    fn say(
        &self,
        now: Time,
        key: &Key,
        code: AlarmCode,
        found: Option<&Found>,
        out: &mut Vec<Event>,
    ) {
        let (id, subject) = key;
        let Some(alarm_id) = alarm::id_by(code, subject, id) else { return };
        let open = self.state.alarms.get(&alarm_id);
        let Some(found) = found else {
            out.extend(open.map(|open| Event::Alarm(alarm::cleared(open, now))));
            return;
        };
        let (sentence, next) = text::sentences(code, &found.facts);
        let muted = self.mute_of(&alarm_id, now);
        let since = open.map_or(now, |open| open.since);
        let reported = open.is_some_and(|open| open.feedback.is_some());
        let work_order = found.work_order.filter(|_| muted.is_none()).map(|urgency| {
            let before = open.and_then(|open| open.work_order.as_ref());
            let since = before.filter(|order| order.urgency == urgency).map_or(now, |_| since);
            WorkOrder { urgency, due: since.plus(urgency.within()), open: !reported }
        });
        let raised = Alarm {
            id: alarm_id,
            change: if open.is_some() { AlarmChange::Updated } else { AlarmChange::Raised },
            code,
            subject: subject.clone(),
            severity: found.severity,
            at: now,
            since,
            facts: found.facts.clone(),
            text: sentence,
            next,
            rule: Some(found.version.clone()),
            muted,
            feedback: open.and_then(|open| open.feedback.clone()),
            work_order,
            check: open.and_then(|open| open.check.clone()),
            confirmed_by: open.and_then(|open| open.confirmed_by.clone()),
        };
        out.push(Event::Alarm(raised));
    }

    /// Says something that no fold found: facts where it is odd, none where it is not.
    fn say_now(
        &self,
        now: Time,
        (id, revision): (&TariffId, &Revision),
        subject: &str,
        facts: Option<Facts>,
        out: &mut Vec<Event>,
    ) {
        let code = revision.detector.code();
        let Some(alarm_id) = alarm::id_by(code, subject, id) else { return };
        let open = self.state.alarms.get(&alarm_id);
        let key = (id.clone(), subject.to_owned());
        match (facts, open) {
            (Some(facts), open) if open.is_none_or(|open| open.facts != facts) => {
                let found = Found {
                    severity: revision.care.severity,
                    work_order: revision.care.work_order,
                    facts,
                    version: revision.version(id),
                    raised: open.is_some(),
                };
                self.say(now, &key, code, Some(&found), out);
            }
            (None, Some(_)) => self.say(now, &key, code, None, out),
            (Some(_), _) | (None, None) => {}
        }
    }

    /// The rules that hold on a day, with their revisions.
    fn rules_on(&self, day: Day) -> impl Iterator<Item = (&TariffId, &Revision)> {
        let rules = self.state.setup.anomalies.iter();
        rules.filter_map(move |(id, rule): (&TariffId, &Rule)| Some((id, rule.on(day)?)))
    }

    fn decide_lasting(&self, now: Time, day: Day, out: &mut Vec<Event>) {
        for (id, revision) in self.rules_on(day) {
            let Detector::Lasting { what, most } = &revision.detector else { continue };
            for (subject, facts) in self.watch.states.too_long(*what, *most, now) {
                self.say_now(now, (id, revision), subject, Some(facts), out);
            }
            if *what == Lasting::VehicleInside {
                // A permit's vehicle may stand in its space for a summer.
                let stays = self.state.parking.stays().iter();
                for (id_of, stay) in stays.filter(|(_, stay)| stay.permit.is_none()) {
                    let facts = lasting::too_long(*most, stay.entered, now);
                    if facts.is_some() {
                        let subject = format!("stay/{id_of}");
                        self.say_now(now, (id, revision), &subject, facts, out);
                    }
                }
            }
            let code = revision.detector.code();
            let over = self.state.alarms.values().filter(|alarm| {
                alarm.code == code
                    && rule_of(alarm).as_ref() == Some(id)
                    && match self.lasts(*what, &alarm.subject) {
                        Some(lasts) => !lasts,
                        // After a start it may be that nobody has said it yet.
                        None => self.watch.grace_from.is_none_or(|f| now >= f.plus(STATES_GRACE)),
                    }
            });
            out.extend(over.map(|alarm| Event::Alarm(alarm::cleared(alarm, now))));
        }
    }

    /// Whether a state goes on: a stay of the car park, or what was heard since the start.
    fn lasts(&self, what: Lasting, subject: &str) -> Option<bool> {
        match subject.strip_prefix("stay/") {
            Some(id) if what == Lasting::VehicleInside => {
                let heard = self.watch.states.lasts(what, subject);
                let inside = || self.state.parking.stays().keys().any(|stay| stay.as_str() == id);
                Some(heard.unwrap_or_else(inside))
            }
            Some(_) | None => self.watch.states.lasts(what, subject),
        }
    }

    fn decide_budget(&self, now: Time, day: Day, out: &mut Vec<Event>) {
        for (id, revision) in self.rules_on(day) {
            let Detector::Budget { per_100_households } = &revision.detector else { continue };
            let month = month_of(day);
            let count = self.state.budget.of(month);
            let counted = count.raised.saturating_sub(count.muted).saturating_sub(count.told_true);
            let households = self.plan().households;
            let rate = budget::per_100_households_milli(counted, households);
            // A block of fifty has half an alarm a month: three are needed before anybody complains.
            let over = rate > i64::from(*per_100_households).saturating_mul(1000) && counted >= 3;
            let facts = over.then(|| {
                let rate = Decimal::new(rate, 3).round_dp(1).normalize().to_string();
                [
                    ("month", budget::text(month)),
                    ("rate", rate),
                    ("budget", per_100_households.to_string()),
                    ("alarms", counted.to_string()),
                ]
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
            });
            self.say_now(now, (id, revision), "block", facts, out);
        }
    }

    /// Status words and the clock of a device.
    pub(super) fn decide_flags(
        &self,
        observation: &Observation,
        values: &Values,
        out: &mut Vec<Event>,
    ) {
        let statuses = || values.iter().filter(|(spec, _)| spec.role == Role::Status);
        if self.state.setup.anomalies.is_empty() || statuses().next().is_none() {
            return;
        }
        let (Some(zone), Some(member)) =
            (&self.cache.zone, self.plan().meters.get(&observation.meter))
        else {
            return;
        };
        let subject = format!("meter/{}", observation.meter);
        let day = zone.day(observation.at);
        for id in &member.rules {
            let revision = self.state.setup.anomalies.get(id).and_then(|rule| rule.on(day));
            let Some(revision) = revision else { continue };
            let facts = match &revision.detector {
                Detector::DeviceFlag { flags } => {
                    // A register that gave no value this time says nothing: the alarm stays.
                    let known = |flag: &&Flag| values.get(&flag.register).is_some();
                    if !flags.iter().any(|flag| known(&flag)) {
                        continue;
                    }
                    flags.iter().find_map(|flag| {
                        let value = values.get(&flag.register)?;
                        check::is_set(value, flag.mask).then(|| flag_facts(flag, value))
                    })
                }
                Detector::MeterClock { register, most } => {
                    let Some(value) = values.get(register) else { continue };
                    clock_facts(observation.at, value, *most, self.open(id, revision, &subject))
                }
                Detector::ContinuousFlow { .. }
                | Detector::NightFlow { .. }
                | Detector::Stuck { .. }
                | Detector::ReverseFlow { .. }
                | Detector::Balance { .. }
                | Detector::UnusualHours { .. }
                | Detector::UnusualDays { .. }
                | Detector::UnusualMonths { .. }
                | Detector::LastYear { .. }
                | Detector::Lasting { .. }
                | Detector::Payments { .. }
                | Detector::Budget { .. } => continue,
            };
            self.say_now(observation.at, (id, revision), &subject, facts, out);
        }
    }

    fn open(&self, id: &TariffId, revision: &Revision, subject: &str) -> Option<&Alarm> {
        self.state.alarms.get(&alarm::id_by(revision.detector.code(), subject, id)?)
    }

    /// When a tick can next change something of this: at once where something was found.
    pub(super) fn anomaly_due(&self) -> Option<Time> {
        if !self.state.anomaly.changed().is_empty() {
            return Some(Time::EPOCH);
        }
        self.watch.checks.iter().map(Running::until).min()
    }

    /// Begins and ends device checks, and lets those that run hear a poll.
    pub(super) fn notice_checks(&mut self, input: &Input) {
        match input {
            Input::Observed(observation) => {
                if self.watch.checks.is_empty() {
                    return;
                }
                let flags: Vec<Flag> = self.flags_of(observation.at);
                let is_flag = |name: &str, value: Decimal| {
                    flags.iter().any(|f| f.register == name && check::is_set(value, f.mask))
                };
                for running in &mut self.watch.checks {
                    running.hear(observation, is_flag);
                }
            }
            Input::Tick { now, .. } => {
                let alarms = &self.state.alarms;
                self.watch.checks.retain(|running| {
                    *now < running.until() && alarms.contains_key(&running.alarm)
                });
                self.begin_checks(*now);
            }
            Input::Started { .. }
            | Input::Restored { .. }
            | Input::ClockKnown { .. }
            | Input::Setup { .. }
            | Input::Command { .. }
            | Input::CommandDone { .. }
            | Input::CommandRefused { .. }
            | Input::Upkeep { .. }
            | Input::Correct { .. }
            | Input::Reconcile { .. }
            | Input::Lasting { .. }
            | Input::Passed(_)
            | Input::GateOpening(_)
            | Input::Door(_)
            | Input::GateOpened(_)
            | Input::GateAsked { .. }
            | Input::MeterActed(_)
            | Input::MeterLooked(_)
            | Input::Settle { .. }
            | Input::Condition { .. } => {}
        }
    }

    fn begin_checks(&mut self, now: Time) {
        let mut begun = Vec::new();
        for alarm in self.state.alarms.values() {
            let asked = alarm.check.as_ref().is_some_and(|check| check.to.is_none());
            let fresh = alarm.check.is_none()
                && alarm.muted.is_none()
                && now < alarm.since.plus(check::FRESH);
            let runs = self.watch.checks.iter().any(|running| running.alarm == alarm.id);
            if runs || !(asked || fresh) {
                continue;
            }
            if self.watch.checks.len().saturating_add(begun.len()) >= check::CHECKS_MAX {
                break;
            }
            let plan = self.revision_of(alarm, now).and_then(|(_, revision)| revision.care.check);
            let Some(plan) = plan else { continue };
            let setup = &self.state.setup;
            begun.extend(Running::of(alarm, plan, now, self.plan(), setup));
        }
        self.watch.checks.extend(begun);
    }

    fn flags_of(&self, at: Time) -> Vec<Flag> {
        let Some(zone) = &self.cache.zone else { return Vec::new() };
        let detectors = self.rules_on(zone.day(at)).map(|(_, revision)| &revision.detector);
        let mut found = Vec::new();
        for detector in detectors {
            if let Detector::DeviceFlag { flags } = detector {
                found.extend(flags.iter().cloned());
            }
        }
        found
    }

    /// A check that was ordered: the alarm says that it runs.
    pub(super) fn check_begun(now: Time) -> Box<DeviceCheck> {
        let (meters, loss_per_hour) = (Vec::new(), None);
        let found = CheckFound::Running;
        Box::new(DeviceCheck { from: now, to: None, meters, loss_per_hour, found })
    }
}

/// How long after a start nobody has said yet which states last.
const STATES_GRACE: Span = Span::from_mins(5);

/// The rule that an alarm was raised by.
pub(super) fn rule_of(alarm: &Alarm) -> Option<TariffId> {
    let rule = alarm.rule.as_deref()?;
    TariffId::new(rule.split('/').next()?).ok()
}

/// Months since year 0.
fn month_of(day: Day) -> i32 {
    i32::from(day.year())
        .saturating_mul(12)
        .saturating_add(i32::from(day.month()))
        .saturating_sub(1)
}

fn flag_facts(flag: &Flag, value: Decimal) -> Facts {
    let facts = [
        ("register", flag.register.clone()),
        ("value", value.normalize().to_string()),
        ("meaning_zh", flag.meaning.zh.clone()),
        ("meaning_en", flag.meaning.en.clone()),
    ];
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// How far a meter's clock is off; an open alarm closes only below half of the limit, and tells its
/// number again only when it has doubled.
fn clock_facts(at: Time, value: Decimal, most: Span, open: Option<&Alarm>) -> Option<Facts> {
    let shown = i64::try_from(value.trunc()).ok()?;
    let off = shown.saturating_sub(at.as_millis().checked_div(1000).unwrap_or(0));
    let limit = most.as_millis().checked_div(1000).unwrap_or(0);
    let far = off.saturating_abs();
    let Some(open) = open else {
        return (far > limit).then(|| Facts::from([("seconds".to_owned(), off.to_string())]));
    };
    if far <= limit.checked_div(2).unwrap_or(0) {
        return None;
    }
    let told = open.facts.get("seconds").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    if far > told.saturating_abs().saturating_mul(2) {
        return Some(Facts::from([("seconds".to_owned(), off.to_string())]));
    }
    Some(open.facts.clone())
}
