//! What an input means. Nothing here changes the state.

use super::Block;
use crate::alarm;
use crate::event::{
    Alarm, AlarmCode, Audit, Event, Gap, Hold, Outcome, Reading, Severity, Verdict,
};
use crate::input::Input;
use crate::metering::{self, MeterState, TimeBase};
use crate::setup::{MeterSetup, Setup};
use blockgate_types::{ClockState, MeterId, Observation, Time, Values};
use std::collections::BTreeMap;

use super::SETUP_CHUNK;

/// A clock that goes back by less than this was disciplined, not set.
const STEP_MIN_MS: i64 = 1_000;

impl Block {
    /// Decides what an input means, on the present state. Pure: changes nothing. Events are pushed
    /// to `out`; the caller applies them, in order, before it decides the next input, and then
    /// hands the input to [`Block::notice`].
    pub fn decide(&self, input: &Input, out: &mut Vec<Event>) {
        match input {
            Input::Observed(observation) => self.decide_observed(observation, out),
            Input::Tick { now, clock } => self.decide_tick(*now, *clock, out),
            Input::Settle { .. } => self.decide_settle(out),
            Input::ClockKnown { now, boot, spans } => Self::decide_known(*now, boot, spans, out),
            Input::Setup { now, setup } => self.decide_setup(*now, setup, out),
            Input::Restored { now, after, epoch } => {
                let (at, after, epoch) = (*now, *after, epoch.clone());
                out.push(Event::Audit(Audit::Restored { at, after, epoch }));
            }
            Input::Started { now, boot, version, config_hash } => {
                out.push(Event::Audit(Audit::Started {
                    at: *now,
                    boot: boot.clone(),
                    version: version.clone(),
                    config_hash: config_hash.clone(),
                }));
                for (id, open) in &self.state.commands_open {
                    out.push(Event::Audit(Audit::Command {
                        at: *now,
                        id: id.clone(),
                        name: open.name.clone(),
                        actor: open.actor.clone(),
                        outcome: Outcome::Unknown,
                        expires_at: open.expires_at,
                        detail: "the gateway was restarted before it was known".to_owned(),
                    }));
                }
                self.decide_lost_openings(*now, out);
                self.decide_lost_acts(*now, out);
                self.decide_lost_door_acts(*now, out);
            }
            Input::Upkeep { now, by, did } => {
                let (at, by, did) = (*now, by.clone(), did.clone());
                out.push(Event::Audit(Audit::Upkeep { at, by, did }));
            }
            Input::Door(heard) => self.decide_heard(heard, out),
            Input::GateOpening(opening) => self.decide_opening(opening, out),
            Input::GateOpened(done) => self.decide_opened(done, out),
            Input::MeterActed(done) => self.decide_acted(done, out),
            Input::MeterLooked(looked) => self.decide_looked(looked, out),
            Input::GateAsked { now, asks } => Self::decide_asked(*now, asks, out),
            Input::Command { now, clock, command } => {
                self.decide_command(*now, *clock, command, out);
            }
            Input::CommandRefused { now, command, why } => {
                self.decide_refused(*now, command, why, out);
            }
            Input::Passed(passage) => self.decide_passage(passage, out),
            Input::CommandDone { now, id, outcome, detail } => {
                self.decide_done(*now, id, *outcome, detail, out);
            }
            Input::Correct { now, id, correction, issued } => {
                self.decide_correct(*now, id, correction, issued, out);
            }
            Input::Reconcile { now, command, books } => {
                self.decide_reconcile(*now, command, books, out);
            }
            // Heard by the watch; judged by the next tick.
            Input::Lasting { .. } => {}
            Input::Condition { now, code, subject, active, facts } => {
                let severity = alarm::severity_of_condition(*code, facts);
                self.set_alarm(*now, *code, subject, severity, active.then_some(facts), out);
            }
        }
    }

    fn decide_observed(&self, observation: &Observation, out: &mut Vec<Event>) {
        let Ok(values) = &observation.outcome else { return };
        let Some(meter) = self.state.setup.meters.get(&observation.meter) else { return };
        let known = self.state.meters.get(&observation.meter);
        let (id, at) = (&observation.meter, observation.at);
        if known.is_some_and(|known| known.offline) {
            self.clear_meter_alarm(AlarmCode::MeterOffline, id, at, out);
        }
        self.decide_flags(observation, values, out);
        let readings = judge_all(id, meter, known, self.time_base(), at, values);
        if readings.is_empty() {
            return;
        }
        if let Some(gap) = self.gap(id, meter, known, at) {
            out.push(Event::Gap(gap));
        }
        let alarms = self.alarms_of(id, known, &readings);
        out.push(Event::Reading { readings });
        out.extend(alarms);
    }

    /// Slots without a reading since the meter was last heard. A register that is held keeps no
    /// reading in a slot where its value stays the same: nothing is missing then.
    fn gap(
        &self,
        id: &MeterId,
        meter: &MeterSetup,
        known: Option<&MeterState>,
        at: Time,
    ) -> Option<Gap> {
        let known = known?;
        // Nobody knows how long it was, on a clock that nobody vouches for.
        if self.watch.clock == Some(ClockState::Unsynced) {
            return None;
        }
        if meter.record_every.is_zero() || known.registers.values().any(|r| r.held.is_some()) {
            return None;
        }
        let kept = known.recorded_at()?;
        let from =
            self.watch.heard.get(id).copied().filter(|heard| *heard <= at).max(Some(kept))?;
        let slots = metering::slot(meter.record_every, at)
            .checked_sub(metering::slot(meter.record_every, from))?;
        let missing = u64::try_from(slots.checked_sub(1)?).ok().filter(|n| *n > 0)?;
        Some(Gap { meter: id.clone(), from, to: at, missing })
    }

    /// Held and stuck alarms that these readings open or close.
    pub(super) fn alarms_of(
        &self,
        id: &MeterId,
        known: Option<&MeterState>,
        readings: &[Reading],
    ) -> Vec<Event> {
        let mut out = Vec::new();
        let (mut held, mut others_held, mut moved, mut waits) = (None, false, false, false);
        for reading in readings {
            match &reading.verdict {
                // Neither believed nor doubted yet: what was held before stays so.
                Verdict::Held { why: Hold::ClockUnset, .. } => waits = true,
                Verdict::Held { why, .. } => held = Some((reading, *why)),
                Verdict::Accepted { used, .. } => moved |= !used.is_zero(),
                Verdict::Rollover { .. }
                | Verdict::Exchanged { .. }
                | Verdict::Estimated { .. }
                | Verdict::Rebased { .. } => {
                    moved = true;
                }
                Verdict::Opened => {}
            }
        }
        let Some(first) = readings.first() else { return out };
        if let Some(known) = known {
            others_held = known.registers.iter().any(|(name, register)| {
                register.held.is_some() && !readings.iter().any(|r| r.register == *name)
            });
        }
        let was_held = known.is_some_and(|known| known.held);
        match held {
            Some((reading, why)) if !was_held => {
                let facts = BTreeMap::from([
                    ("register".to_owned(), reading.register.to_string()),
                    ("value".to_owned(), reading.value.to_string()),
                    ("why".to_owned(), alarm::hold_word(why).to_owned()),
                ]);
                let severity = alarm::severity_of_hold(why);
                let subject = meter_subject(id);
                let code = AlarmCode::ReadingHeld;
                self.set_alarm(reading.at, code, &subject, severity, Some(&facts), &mut out);
            }
            None if was_held && !others_held && !waits => {
                self.clear_meter_alarm(AlarmCode::ReadingHeld, id, first.at, &mut out);
            }
            Some(_) | None => {}
        }
        if moved && known.is_some_and(|known| known.stuck) {
            self.clear_meter_alarm(AlarmCode::MeterStuck, id, first.at, &mut out);
        }
        out
    }

    fn decide_tick(&self, now: Time, clock: ClockState, out: &mut Vec<Event>) {
        self.decide_clock(now, clock, out);
        match clock {
            ClockState::Synced | ClockState::Holdover => {
                self.decide_day(now, out);
                let before = out.len();
                self.decide_expiry(now, out);
                // What expires is free again for a deposit's last part: the next tick sees it.
                if out.len() == before {
                    self.decide_release(now, out);
                }
                self.decide_dunning(now, out);
                self.decide_statements(now, out);
                self.decide_period(now, out);
            }
            // invariant 12: nothing begins or closes by a clock that cannot be believed.
            ClockState::Unsynced => {}
        }
        self.decide_silence(now, clock, out);
        self.decide_anomalies(now, out);
    }

    /// Steps of the clock, and a clock that was never set.
    fn decide_clock(&self, now: Time, clock: ClockState, out: &mut Vec<Event>) {
        const SUBJECT: &str = "clock";
        let back = self
            .watch
            .last_tick
            .map_or(0, |last| now.as_millis().saturating_sub(last.as_millis()).min(0));
        let facts = BTreeMap::from([("by_ms".to_owned(), back.to_string())]);
        if back <= -STEP_MIN_MS {
            out.push(Event::Audit(Audit::ClockStepped { at: now, by_ms: back }));
            let code = AlarmCode::ClockStepped;
            self.set_alarm(now, code, SUBJECT, alarm::severity(code), Some(&facts), out);
        } else if self.watch.highest_tick.is_none_or(|highest| now >= highest) {
            let code = AlarmCode::ClockStepped;
            self.set_alarm(now, code, SUBJECT, alarm::severity(code), None, out);
        }
        let code = AlarmCode::ClockUnsynced;
        let unsynced = clock == ClockState::Unsynced && !self.state.setup.accounts.is_empty();
        let no_facts = BTreeMap::new();
        let facts = unsynced.then_some(&no_facts);
        self.set_alarm(now, code, SUBJECT, alarm::severity(code), facts, out);
    }

    /// Meters that do not answer, and registers that do not move.
    fn decide_silence(&self, now: Time, clock: ClockState, out: &mut Vec<Event>) {
        if self.watch.silence_due.is_some_and(|due| now < due) {
            return;
        }
        for (id, meter) in &self.state.setup.meters {
            let known = self.state.meters.get(id);
            let silent = self.heard_at(id).and_then(|heard| now.since(heard));
            let offline = silent.is_some_and(|silent| silent >= meter.offline_after);
            let was_offline = known.is_some_and(|known| known.offline);
            if offline && !was_offline {
                let span = silent.unwrap_or_default();
                self.raise_meter_alarm(AlarmCode::MeterOffline, id, now, span, out);
            }
            let (Some(known), Some(stuck_after)) = (known, meter.stuck_after) else { continue };
            let still = known.registers.values().filter_map(|r| now.since(r.moved_at)).min();
            // When something last moved was written by another clock than one that was not set.
            let stuck =
                still.filter(|still| *still >= stuck_after && clock != ClockState::Unsynced);
            if let Some(still) = stuck.filter(|_| !known.stuck && !offline && !was_offline) {
                self.raise_meter_alarm(AlarmCode::MeterStuck, id, now, still, out);
            }
        }
    }

    fn raise_meter_alarm(
        &self,
        code: AlarmCode,
        id: &MeterId,
        now: Time,
        span: blockgate_types::Span,
        out: &mut Vec<Event>,
    ) {
        let seconds = span.as_millis().checked_div(1000).unwrap_or(0);
        let facts = BTreeMap::from([("seconds".to_owned(), seconds.to_string())]);
        let subject = meter_subject(id);
        self.set_alarm(now, code, &subject, alarm::severity(code), Some(&facts), out);
    }

    fn clear_meter_alarm(&self, code: AlarmCode, id: &MeterId, at: Time, out: &mut Vec<Event>) {
        let subject = meter_subject(id);
        self.set_alarm(at, code, &subject, Severity::Info, None, out);
    }

    /// Raises or updates an alarm (with facts), or clears it (without); nothing where that is how
    /// it stands.
    pub(super) fn set_alarm(
        &self,
        at: Time,
        code: AlarmCode,
        subject: &str,
        severity: Severity,
        facts: Option<&BTreeMap<String, String>>,
        out: &mut Vec<Event>,
    ) {
        if facts.is_none() && self.state.alarms.is_empty() {
            return;
        }
        let open = self.open_alarm(code, subject);
        let change = match (facts, open) {
            (Some(facts), None) => {
                let raised = alarm::raised(code, subject, severity, at, facts.clone());
                raised.map(|alarm| Alarm { muted: self.mute_of(&alarm.id, at), ..alarm })
            }
            (Some(facts), Some(open)) if open.facts != *facts => {
                Some(Alarm { severity, ..alarm::updated(open, at, facts.clone()) })
            }
            (None, Some(open)) => Some(alarm::cleared(open, at)),
            (Some(_), Some(_)) | (None, None) => None,
        };
        out.extend(change.map(Event::Alarm));
    }

    pub(super) fn open_alarm(&self, code: AlarmCode, subject: &str) -> Option<&Alarm> {
        self.state.alarms.get(&alarm::id(code, subject)?)
    }

    /// What differs from the state, in chunks.
    fn decide_setup(&self, now: Time, wanted: &Setup, out: &mut Vec<Event>) {
        if self.state.applied.is_empty() {
            self.setup_changes(now, wanted, out);
        } else {
            self.setup_changes(now, &self.with_applied(wanted), out);
        }
    }

    pub(super) fn setup_changes(&self, now: Time, wanted: &Setup, out: &mut Vec<Event>) {
        let have = &self.state.setup;
        let zone_known = crate::calendar::Zone::new(&wanted.zone).is_ok();
        let same = have.zone == wanted.zone
            && have.close_grace == wanted.close_grace
            && have.refund_alone_max_fen == wanted.refund_alone_max_fen
            && have.refund_limits == wanted.refund_limits
            && have.dunning == wanted.dunning;
        if zone_known && !same {
            out.push(Event::Audit(Audit::BlockSet {
                at: now,
                zone: wanted.zone.clone(),
                close_grace: wanted.close_grace,
                refund_alone_max_fen: wanted.refund_alone_max_fen,
                refund_limits: wanted.refund_limits,
                dunning: wanted.dunning,
            }));
        }
        if have.parking != wanted.parking {
            let parking = wanted.parking.as_ref().map(|parking| Box::new((**parking).clone()));
            out.push(Event::Audit(Audit::ParkingSet { at: now, parking }));
        }
        if have.access != wanted.access {
            let access = wanted.access.as_ref().map(|access| Box::new((**access).clone()));
            out.push(Event::Audit(Audit::AccessSet { at: now, access }));
        }
        for (id, tariff) in &wanted.tariffs {
            if have.tariffs.get(id) != Some(tariff) {
                out.push(Event::Audit(Audit::TariffSet {
                    at: now,
                    tariff: id.clone(),
                    document: Box::new(tariff.clone()),
                }));
            }
        }
        for (id, apportionment) in &wanted.apportionments {
            if have.apportionments.get(id) != Some(apportionment) {
                out.push(Event::Audit(Audit::ApportionmentSet {
                    at: now,
                    apportionment: id.clone(),
                    document: Box::new(apportionment.clone()),
                }));
            }
        }
        for (id, rule) in &wanted.anomalies {
            if have.anomalies.get(id) != Some(rule) {
                let (at, anomaly, document) = (now, id.clone(), Box::new(rule.clone()));
                out.push(Event::Audit(Audit::AnomalySet { at, anomaly, document }));
            }
        }
        for meters in changed(&have.meters, &wanted.meters) {
            out.push(Event::Audit(Audit::MetersSet { at: now, meters }));
        }
        for accounts in changed(&have.accounts, &wanted.accounts) {
            out.push(Event::Audit(Audit::AccountsSet { at: now, accounts }));
        }
        let (meters, accounts, tariffs) = (
            gone(&have.meters, &wanted.meters),
            gone(&have.accounts, &wanted.accounts),
            gone(&have.tariffs, &wanted.tariffs),
        );
        let apportionments = gone(&have.apportionments, &wanted.apportionments);
        let anomalies = gone(&have.anomalies, &wanted.anomalies);
        let nothing = meters.is_empty() && accounts.is_empty() && tariffs.is_empty();
        if !(nothing && apportionments.is_empty() && anomalies.is_empty()) {
            let at = now;
            let gone = Audit::Removed { at, meters, accounts, tariffs, apportionments, anomalies };
            out.push(Event::Audit(gone));
        }
        for id in have.meters.keys().filter(|id| !wanted.meters.contains_key(*id)) {
            for code in [AlarmCode::MeterOffline, AlarmCode::MeterStuck, AlarmCode::ReadingHeld] {
                self.clear_meter_alarm(code, id, now, out);
            }
        }
    }
}

/// The subject of a meter's alarms.
fn meter_subject(id: &MeterId) -> String {
    format!("meter/{id}")
}

/// The readings of one poll that are to be kept.
fn judge_all(
    id: &MeterId,
    meter: &MeterSetup,
    known: Option<&MeterState>,
    time_base: TimeBase,
    at: Time,
    values: &Values,
) -> Vec<Reading> {
    let mut readings = Vec::new();
    for (register, value) in metering::billing_values(meter, values) {
        let state = known.and_then(|known| known.registers.get(&register.name));
        let every = meter.record_every;
        if let Some(verdict) = metering::judge(register, every, state, time_base, at, value) {
            readings.push(metering::reading(id, register, at, value, verdict));
        }
    }
    readings
}

/// Entries of `wanted` that are new or differ, in chunks.
fn changed<K: Ord + Clone, V: PartialEq + Clone>(
    have: &BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Vec<BTreeMap<K, V>> {
    let differs = |(id, entry): &(&K, &V)| have.get(*id) != Some(*entry);
    let entries: Vec<(&K, &V)> = wanted.iter().filter(differs).collect();
    let chunk =
        |part: &[(&K, &V)]| part.iter().map(|(k, v)| ((*k).clone(), (*v).clone())).collect();
    entries.chunks(SETUP_CHUNK).map(chunk).collect()
}

/// Keys of `have` that `wanted` has not.
fn gone<K: Ord + Clone, V>(have: &BTreeMap<K, V>, wanted: &BTreeMap<K, V>) -> Vec<K> {
    have.keys().filter(|id| !wanted.contains_key(*id)).cloned().collect()
}
