//! What an event changes. The meaning of an event that was ever shipped does not change: decide may
//! learn, apply remembers.

use super::{Block, Epoch, OpenCommand, Pending, State, Used};
use crate::apportionment::{Portion, Weighting};
use crate::billing::{ChargeState, Counter, EndedCharge, Source};
use crate::calendar::{Day, Month, Zone, parse_day};
use crate::event::{
    Alarm, AlarmChange, AlarmCode, Audit, Bill, Event, Hold, Outcome, PeriodClosed, Reading,
    ReadingId, Verdict,
};
use crate::metering::{Point, RegisterState, WindowLog};
use crate::money::{plus, times};
use crate::setup::{AccountSetup, Setup};
use crate::tariff::{AcrossWindows, Tariff};
use blockgate_types::{AccountId, Decimal, ItemId, MeterId, RegisterName, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most windows that the time between two readings is spread over; the rest is one part more.
const SPREAD_PARTS_MAX: usize = 1_000;

impl Block {
    /// Applies one event, as journaled under `seq`.
    pub fn apply(&mut self, seq: u64, event: &Event) {
        self.apply_from(seq, 0, event);
    }

    /// Applies an event whose readings stand at `first` and after it in the record `seq`: the caller
    /// gathers the readings of several inputs into one record ([`Event::gather`]) and applies each
    /// before it decides the next input.
    pub fn apply_from(&mut self, seq: u64, first: u16, event: &Event) {
        match event {
            Event::Reading { readings } => {
                let mut index = first;
                for reading in readings {
                    self.apply_reading(ReadingId { seq, index }, reading);
                    index = index.saturating_add(1);
                }
            }
            Event::Bill(bill) => self.apply_bill(bill),
            Event::Ledger(closed) => self.apply_closed(closed),
            Event::Alarm(alarm) => self.apply_alarm(alarm),
            Event::Payment(payment) => {
                self.apply_to_day(payment);
                self.apply_to_refund_day(payment);
                self.state.ledger.pay(payment, self.cache.zone.as_ref());
                self.fold_payment(payment);
                self.find_card(&payment.account);
            }
            Event::Notice(notice) => self.apply_notice(notice),
            Event::Parking(event) => self.apply_parking(event),
            Event::Door(event) => self.apply_access(event),
            Event::Gap(_) => {}
            Event::Audit(audit) => {
                if matches!(audit, Audit::Started { .. }) {
                    self.state.started = seq;
                    self.forget_waiting();
                }
                self.apply_audit(audit);
            }
        }
    }

    fn apply_reading(&mut self, id: ReadingId, reading: &Reading) {
        let zone = self.cache.zone.as_ref();
        let changes = &self.cache.changes;
        let edge_after = |at: Time| {
            let month = zone.map_or(Time::MAX, |zone| zone.end_of(zone.month_of(at)));
            if changes.is_empty() {
                return month;
            }
            let key = (reading.meter.clone(), reading.register.clone());
            next_change(changes.get(&key), at).map_or(month, |change| change.min(month))
        };
        let tariffs = &self.state.setup.tariffs;
        // The hot path: no clone of an id where the register is known.
        let meter = self.state.meters.get_mut(&reading.meter);
        let multiplier = meter.as_ref().map_or(Decimal::ONE, |meter| meter.multiplier);
        let Some(known) = meter.and_then(|meter| meter.registers.get_mut(&reading.register)) else {
            let point = Point {
                reading: id,
                at: reading.at,
                value: reading.value,
                total: Decimal::ZERO,
                estimated: false,
            };
            let mut state = RegisterState::opened(point, edge_after(reading.at));
            let key = (reading.meter.clone(), reading.register.clone());
            for tariff in self.cache.windows.get(&key).into_iter().flatten() {
                state.windows.insert(tariff.clone(), WindowLog::new(Decimal::ZERO));
            }
            let meter = self.state.meters.entry(key.0).or_default();
            meter.registers.insert(key.1, state);
            let setup = self.state.setup.meters.get(&reading.meter);
            let stuck_after = setup.and_then(|setup| setup.stuck_after);
            self.watch.due_by(stuck_after.map(|span| reading.at.plus(span)));
            return;
        };
        let (used, moved) = match &reading.verdict {
            Verdict::Held { why: Hold::ClockUnset, .. } => {
                return known.wait(id, reading.at, reading.value);
            }
            Verdict::Held { why, .. } => {
                let high = known.last.value;
                known.hold(id, reading.at, reading.value, *why);
                return self.fold_held(reading, high, multiplier);
            }
            Verdict::Accepted { used, .. } | Verdict::Rollover { used, .. } => {
                (*used, !used.is_zero())
            }
            Verdict::Exchanged { used, .. } | Verdict::Estimated { used, .. } => (*used, true),
            Verdict::Opened | Verdict::Rebased { .. } => (Decimal::ZERO, true),
        };
        // Beyond 28 digits nothing is exact any more: the total stays, and nothing is billed twice.
        let total = times(used, multiplier).and_then(|used| plus(known.last.total, used));
        let total = total.unwrap_or(known.last.total);
        if total != known.last.total
            && let Some(zone) = zone
        {
            for (tariff, log) in &mut known.windows {
                if total < known.last.total {
                    // Less than was estimated has passed.
                    log.end_at(total);
                } else if let Some(tariff) = tariffs.get(tariff) {
                    write_windows(tariff, zone, &known.last, reading.at, total, log);
                }
            }
        }
        let rated_before = known.last.at;
        let estimated = matches!(reading.verdict, Verdict::Estimated { .. });
        let (at, value) = (reading.at, reading.value);
        let point = Point { reading: id, at, value, total, estimated };
        if let Some(real) = known.real.as_ref().filter(|_| !estimated) {
            let setup = self.state.setup.meters.get(&reading.meter);
            let of = setup.and_then(|m| m.registers.iter().find(|r| r.name == reading.register));
            let decimals = of.map_or(0, |register| register.decimals);
            for (estimate, value) in real.right_values(decimals, at, value) {
                self.state.estimates.push(super::Estimate {
                    meter: reading.meter.clone(),
                    register: reading.register.clone(),
                    reading: estimate,
                    value,
                    by: id,
                });
            }
        }
        known.accept(point, moved, edge_after);
        if matches!(reading.verdict, Verdict::Exchanged { .. }) {
            known.rate_from = rated_before;
        }
        self.fold_used(reading, rated_before, times(used, multiplier).unwrap_or_default());
    }

    fn apply_bill(&mut self, bill: &Bill) {
        let fund = self.state.setup.tariffs.get(&bill.tariff).and_then(|tariff| tariff.fund);
        self.state.ledger.charge(bill, fund, self.cache.zone.as_ref());
        self.find_card(&bill.account);
        if bill.corrects.is_some() {
            return self.apply_difference(bill);
        }
        // A stay's or a pass's bill is no charge of a month: the month's close does not count it.
        let other = bill.late_fee.is_some() && !super::late::counts_with_the_month(bill);
        if bill.is_parking() || other {
            return;
        }
        super::period::add_issued(&mut self.state.issued, bill.total_fen);
        let end = self.state.open_month.zip(self.cache.zone.as_ref());
        let end = end.map(|(month, zone)| zone.end_of(Month::of(month)));
        self.state.issued.closing |= end.is_some_and(|end| bill.issued_at >= end);
        if bill.late_fee.is_some() {
            return;
        }
        if let Some(counted) = &bill.tier_counter {
            let counter = Counter::after(counted);
            let items = self.state.counters.entry(bill.account.clone()).or_default();
            items.insert(bill.item.clone(), counter);
        }
        self.fold_years(bill);
        if self.cache.used_items.contains(&bill.item) {
            let items = self.state.used.entry(bill.account.clone()).or_default();
            let used = items.entry(bill.item.clone()).or_insert(Used(Decimal::ZERO));
            // Beyond 28 digits nothing is exact any more: what was counted so far stays.
            used.0 = bill.used().and_then(|more| plus(used.0, more)).unwrap_or(used.0);
        }
        if let Some(share) = &bill.share {
            for pending in self.state.pending.iter_mut().filter(|p| p.bill.bill == share.bill) {
                pending.done.insert(bill.account.clone());
            }
            self.state.pending.retain(|pending| pending.open().next().is_some());
            return;
        }
        if bill.apportioned.is_some() {
            let bill = Box::new(bill.clone());
            self.state.pending.push(Pending { bill, done: BTreeSet::new() });
        }
        let Some(to) = parse_day(&bill.period.to) else { return };
        let ended = self.state.ended.iter_mut().find(|ended| {
            ended.account == bill.account
                && ended.item == bill.item
                // One that is billed to its end has no more bills: the next is the new charge's.
                && ended.state.from < ended.to
                && ended.state.from.to_string() == bill.period.from
        });
        let charge = match ended {
            Some(ended) => Some(&mut ended.state),
            None => {
                let items = self.state.charges.get_mut(&bill.account);
                items.and_then(|items| items.get_mut(&bill.item))
            }
        };
        let Some(charge) = charge else { return };
        charge.from = to;
        let main = bill.evidence.iter().map(|evidence| (evidence, false));
        for (evidence, is_sub) in main.chain(bill.minus.iter().map(|evidence| (evidence, true))) {
            let register = self.state.meters.get(&evidence.meter);
            let register = register.and_then(|m| m.registers.get(&evidence.register));
            let point = register.and_then(|register| find_point(register, evidence.to.reading));
            let sources = if is_sub { &mut charge.minus } else { &mut charge.sources };
            let source = sources.iter_mut().find(|source| {
                source.meter == evidence.meter
                    && source.register == evidence.register
                    && source.open.as_ref().is_none_or(|o| o.reading == evidence.from.reading)
            });
            if let (Some(source), Some(point)) = (source, point) {
                source.open = Some(point);
            }
        }
        // A closed source that is billed to its end has done its part.
        let open = |source: &Source| match (&source.open, &source.closed) {
            (Some(open), Some(closed)) => open.reading < closed.reading,
            (None, Some(_)) | (_, None) => true,
        };
        charge.sources.retain(open);
        charge.minus.retain(open);
    }

    /// Takes in what a bill says of its rounding years.
    pub(super) fn fold_years(&mut self, bill: &Bill) {
        if !bill.rounded_years.is_empty() {
            let items = self.state.rounding_years.entry(bill.account.clone()).or_default();
            items.entry(bill.item.clone()).or_default().fold(&bill.rounded_years);
        }
    }

    fn apply_closed(&mut self, closed: &PeriodClosed) {
        self.state.issued = super::Issued::default();
        self.state.used.clear();
        let (Some(to), Some(zone)) = (parse_day(&closed.period.to), &self.cache.zone) else {
            return;
        };
        self.state.open_month = Some(to);
        self.state.ended.retain(|ended| ended.to > to);
        let (begin, end) = (zone.start_of(to), zone.end_of(Month::of(to)));
        let mut needed: BTreeMap<(&MeterId, &RegisterName), Decimal> = BTreeMap::new();
        let begun = self.state.charges.values().flat_map(BTreeMap::values);
        for charge in begun.chain(self.state.ended.iter().map(|ended| &ended.state)) {
            for source in &charge.sources {
                let from = source.open.as_ref().map_or(Decimal::ZERO, |open| open.total);
                let least = needed.entry((&source.meter, &source.register)).or_insert(from);
                *least = from.min(*least);
            }
        }
        for (id, meter) in &mut self.state.meters {
            for (name, register) in &mut meter.registers {
                if self.cache.changes.is_empty() {
                    register.marks.retain(|mark| mark.first.at >= end);
                    let from = needed.get(&(id, name)).copied().unwrap_or(register.last.total);
                    register.windows.values_mut().for_each(|log| log.forget_before(from));
                    continue;
                }
                let changes = self.cache.changes.get(&(id.clone(), name.clone()));
                register.marks.retain(|mark| {
                    let change = next_change(changes, mark.before.at.max(begin));
                    mark.first.at >= end || change.is_some_and(|change| change <= mark.first.at)
                });
                let from = needed.get(&(id, name)).copied().unwrap_or(register.last.total);
                register.windows.values_mut().for_each(|log| log.forget_before(from));
            }
        }
    }

    fn apply_alarm(&mut self, alarm: &Alarm) {
        self.fold_alarm(alarm);
        let open = match alarm.change {
            // A rule's alarm says nothing about the meter's own states.
            _ if alarm.rule.is_some() => return,
            AlarmChange::Raised | AlarmChange::Updated => true,
            AlarmChange::Cleared => false,
            AlarmChange::Noted => return,
        };
        let id = alarm.subject.strip_prefix("meter/").and_then(|id| MeterId::new(id).ok());
        let Some(id) = id else { return };
        let set = |meter: &mut crate::metering::MeterState| match alarm.code {
            AlarmCode::MeterOffline => meter.offline = open,
            AlarmCode::MeterStuck => meter.stuck = open,
            AlarmCode::ReadingHeld => meter.held = open,
            AlarmCode::Unbilled
            | AlarmCode::Loss
            | AlarmCode::ClockUnsynced
            | AlarmCode::ClockStepped
            | AlarmCode::BrokerDown
            | AlarmCode::Certificate
            | AlarmCode::DeadLetter
            | AlarmCode::Store
            | AlarmCode::ContinuousFlow
            | AlarmCode::NightFlow
            | AlarmCode::ReverseFlow
            | AlarmCode::Balance
            | AlarmCode::UnusualUse
            | AlarmCode::BuildingUse
            | AlarmCode::HouseholdUse
            | AlarmCode::AboveLastYear
            | AlarmCode::DeviceFlag
            | AlarmCode::MeterClock
            | AlarmCode::LongStay
            | AlarmCode::GateOpen
            | AlarmCode::DoorHeld
            | AlarmCode::OddPayment
            | AlarmCode::AlarmBudget
            | AlarmCode::CameraOffline
            | AlarmCode::GateUnknown
            | AlarmCode::MeterNotMoved
            | AlarmCode::LaneFailSafe
            | AlarmCode::DeviceReplay
            | AlarmCode::DoorForced
            | AlarmCode::DoorTamper
            | AlarmCode::DoorDuress
            | AlarmCode::DoorEmergency
            | AlarmCode::DoorUnknown
            | AlarmCode::DoorEventsLost
            | AlarmCode::ControllerOffline
            | AlarmCode::ControllerPackets
            | AlarmCode::ControllerKey
            | AlarmCode::ControllerPower
            | AlarmCode::ControllerBehind => {}
        };
        let meter = self.state.setup.meters.get(&id);
        let spans = meter.map(|m| m.offline_after.min(m.stuck_after.unwrap_or(m.offline_after)));
        set(self.state.meters.entry(id).or_default());
        self.watch.due_by(spans.map(|span| alarm.at.plus(span)));
    }

    fn apply_audit(&mut self, audit: &Audit) {
        let setup = &mut self.state.setup;
        match audit {
            Audit::ClockCorrected { from, to, by_ms, .. } => {
                self.apply_corrected(*from, *to, *by_ms);
            }
            Audit::Restored { after, epoch, .. } => {
                self.state.epochs.push(Epoch { after: *after, name: epoch.clone() });
            }
            Audit::ClockStepped { at, by_ms } => self.apply_stepped(*at, *by_ms),
            Audit::Started { .. } | Audit::Upkeep { .. } | Audit::HeadSigned { .. } => {}
            Audit::ParkingSet { parking, .. } => {
                setup.parking =
                    parking.as_ref().map(|parking| std::sync::Arc::new((**parking).clone()));
                self.find_cards();
            }
            Audit::AccessSet { access, .. } => {
                setup.access =
                    access.as_ref().map(|access| std::sync::Arc::new((**access).clone()));
            }
            Audit::BlockSet {
                zone,
                close_grace,
                refund_alone_max_fen,
                refund_limits,
                dunning,
                ..
            } => {
                setup.refund_limits = *refund_limits;
                setup.refund_alone_max_fen = *refund_alone_max_fen;
                setup.dunning = *dunning;
                setup.zone.clone_from(zone);
                setup.close_grace = *close_grace;
                self.cache.zone = Zone::new(zone).ok();
                self.find_edges();
            }
            Audit::MetersSet { meters, .. } => {
                setup.meters.extend(meters.clone());
                for (id, meter) in meters {
                    self.state.meters.entry(id.clone()).or_default().multiplier = meter.multiplier;
                }
                self.find_sources();
                self.find_plan_of(meters.keys());
                self.watch.silence_due = None;
            }
            Audit::AccountsSet { at, accounts } => {
                self.set_accounts(*at, accounts);
                self.change_plan();
            }
            Audit::TariffSet { tariff, document, .. } => {
                setup.tariffs.insert(tariff.clone(), (**document).clone());
                self.find_window_users();
            }
            Audit::ChargesBegan { on, charges, .. } => {
                let Some(on) = parse_day(on) else { return };
                self.state.open_month.get_or_insert(Month::of(on).first());
                let of: BTreeSet<&AccountId> = charges.iter().map(|id| &id.account).collect();
                for id in charges {
                    let items = self.state.charges.entry(id.account.clone()).or_default();
                    let state = ChargeState { from: on, sources: Vec::new(), minus: Vec::new() };
                    items.entry(id.item.clone()).or_insert(state);
                }
                self.bind_sources(of);
            }
            Audit::Corrected { .. } | Audit::CashCounted { .. } | Audit::Reconciled { .. } => {}
            Audit::MovedOut { settlement } => self.apply_moved_out(settlement),
            Audit::RulesApplied { file, rules, .. } => {
                self.state.applied.insert(file.clone(), (**rules).clone());
            }
            Audit::DayClosed { day, channels, .. } => self.apply_day_closed(day, channels),
            Audit::ReadingCorrected { meter, register, reading, value, .. } => {
                self.apply_reading_corrected(meter, register, *reading, *value);
            }
            Audit::ApportionmentSet { apportionment, document, .. } => {
                setup.apportionments.insert(apportionment.clone(), (**document).clone());
                self.find_used_items();
            }
            Audit::AnomalySet { anomaly, document, .. } => {
                setup.anomalies.insert(anomaly.clone(), (**document).clone());
                self.find_plan();
            }
            Audit::Removed { at, meters, accounts, tariffs, apportionments, anomalies } => {
                for id in anomalies {
                    setup.anomalies.remove(id);
                }
                for id in meters {
                    setup.meters.remove(id);
                }
                for id in tariffs {
                    setup.tariffs.remove(id);
                }
                for id in apportionments {
                    setup.apportionments.remove(id);
                }
                for id in accounts {
                    if let Some(old) = self.state.setup.accounts.remove(id) {
                        self.end_charges(*at, id, &old, None);
                    }
                }
                self.find_window_users();
                self.find_used_items();
                self.find_plan();
                self.watch.silence_due = None;
            }
            Audit::GateOpening(opening) => self.apply_opening(opening),
            Audit::GateOutcome(done) => self.apply_opened(done),
            Audit::GateAsked { .. } => {}
            Audit::MeterActing(acting) => self.apply_acting(acting),
            Audit::MeterActed(done) => self.apply_acted(done),
            Audit::MeterLooked(looked) => self.apply_looked(looked),
            Audit::CommandAccepted { at, id, name, actor, expires_at } => {
                let (name, actor) = (name.clone(), actor.clone());
                let open = OpenCommand { name, actor, expires_at: *expires_at };
                self.state.commands_open.insert(id.clone(), open);
                self.state.commands_seen.remember(*at, id, *expires_at);
            }
            // A duplicate was answered for itself: the first one still waits for its own outcome.
            Audit::Command { outcome: Outcome::Duplicate, .. } => {}
            Audit::Command { at, id, expires_at, .. } => {
                self.state.estimates.retain(|estimate| estimate.command().as_ref() != Some(id));
                self.state.commands_open.remove(id);
                self.state.commands_seen.remember(*at, id, *expires_at);
            }
        }
    }

    fn set_accounts(&mut self, at: Time, accounts: &BTreeMap<AccountId, AccountSetup>) {
        let mut all_new = true;
        for (id, account) in accounts {
            if let Some(old) = self.state.setup.accounts.insert(id.clone(), account.clone()) {
                all_new = false;
                self.end_charges(at, id, &old, Some(account));
            }
        }
        self.bind_sources(accounts.keys());
        if all_new {
            // A block is set up a hundred accounts at a time: those that are there are not looked at again.
            self.add_window_users(accounts.keys());
            self.add_changes(accounts.keys());
        } else {
            self.find_window_users();
        }
    }

    /// Charges that `new` has no more are billed to the day on which they ended.
    fn end_charges(
        &mut self,
        at: Time,
        id: &AccountId,
        old: &AccountSetup,
        new: Option<&AccountSetup>,
    ) {
        let (Some(zone), Some(open)) = (&self.cache.zone, self.state.open_month) else { return };
        let gone = |item: &ItemId| new.is_none_or(|new| !new.charges.contains_key(item));
        let last = Month::of(open).next().first();
        for (item, charge) in old.charges.iter().filter(|(item, _)| gone(item)) {
            let begun = self.state.charges.get_mut(id);
            let Some(mut state) = begun.and_then(|items| items.remove(item)) else { continue };
            for source in state.sources.iter_mut().chain(&mut state.minus) {
                close_source(source, &self.state.meters);
            }
            // A wrong clock ends a charge inside what is not closed yet, and never before it began.
            let to: Day = zone.day(at).min(last).max(state.from);
            let terms = super::period::terms(old, charge);
            let (account, item) = (id.clone(), item.clone());
            self.state.ended.push(EndedCharge { account, item, terms, state, to });
        }
        if self.state.charges.get(id).is_some_and(BTreeMap::is_empty) {
            self.state.charges.remove(id);
        }
    }

    /// After a change of zone: the edge that each register comes to next.
    fn find_edges(&mut self) {
        let Some(zone) = &self.cache.zone else { return };
        let registers = self.state.meters.values_mut().flat_map(|m| m.registers.values_mut());
        for register in registers {
            register.next_edge = zone.end_of(zone.month_of(register.last.at));
        }
        self.find_changes();
    }

    /// The moments at which readings divide the use of a period between two prices, by register; a
    /// reading is kept there, whatever its slot.
    fn find_changes(&mut self) {
        self.cache.changes.clear();
        let all: Vec<AccountId> = self.state.setup.accounts.keys().cloned().collect();
        self.add_changes(&all);
    }

    /// The same, of some accounts.
    fn add_changes<'a>(&mut self, accounts: impl IntoIterator<Item = &'a AccountId>) {
        let State { setup, meters, .. } = &mut self.state;
        let Some(zone) = &self.cache.zone else { return };
        let mut found = BTreeSet::new();
        let of = accounts.into_iter().filter_map(|id| setup.accounts.get(id));
        for charge in of.flat_map(|account| account.charges.values()) {
            let Some(tariff) = setup.tariffs.get(&charge.tariff) else { continue };
            let mut days = tariff.changes_by_readings().peekable();
            let Some(key) = days.peek().and_then(|_| source_of(setup, charge)) else { continue };
            let moments = self.cache.changes.entry(key.clone()).or_default();
            moments.extend(days.map(|day| zone.start_of(day)));
            found.insert(key);
        }
        for (meter, register) in found {
            let key = (meter, register);
            let Some(moments) = self.cache.changes.get_mut(&key) else { continue };
            moments.sort_unstable();
            moments.dedup();
            let known = meters.get_mut(&key.0).and_then(|m| m.registers.get_mut(&key.1));
            if let Some(known) = known
                && let Some(change) = next_change(Some(moments), known.last.at)
            {
                known.next_edge = known.next_edge.min(change);
            }
        }
    }

    /// Binds each charge to the register that its setup names now; the one before is closed at its
    /// last reading.
    fn find_sources(&mut self) {
        let all: Vec<AccountId> = self.state.charges.keys().cloned().collect();
        self.bind_sources(&all);
        self.find_window_users();
    }

    /// The same, of some accounts.
    fn bind_sources<'a>(&mut self, accounts: impl IntoIterator<Item = &'a AccountId>) {
        let State { setup, meters, charges, .. } = &mut self.state;
        for id in accounts {
            let (Some(account), Some(items)) = (setup.accounts.get(id), charges.get_mut(id)) else {
                continue;
            };
            for (item, state) in items.iter_mut() {
                let Some(charge) = account.charges.get(item) else { continue };
                find_subs(charge, state, meters);
                let Some(wanted) = source_of(setup, charge) else { continue };
                let present = state.sources.last().filter(|source| source.closed.is_none());
                if present.is_some_and(|p| p.meter == wanted.0 && p.register == wanted.1) {
                    continue;
                }
                if let Some(present) = state.sources.last_mut() {
                    close_source(present, meters);
                }
                state.sources.retain(|source| source.open.is_some() || source.closed.is_some());
                let register = meters.get(&wanted.0).and_then(|m| m.registers.get(&wanted.1));
                let open = register.map(|register| register.last.clone());
                let (meter, register) = wanted;
                state.sources.push(Source { meter, register, open, closed: None });
            }
        }
    }

    /// Finds the items whose billed use is a weight of an apportionment.
    pub(super) fn find_used_items(&mut self) {
        let rules = self.state.setup.apportionments.values();
        let parts = rules.flat_map(|rule| &rule.parts);
        let item = |part: &Portion| match &part.by {
            Weighting::Usage { item } => Some(item.clone()),
            Weighting::Area
            | Weighting::Household
            | Weighting::Persons
            | Weighting::Floor { .. }
            | Weighting::Table { .. } => None,
        };
        self.cache.used_items = parts.filter_map(item).collect();
    }

    /// Finds the registers on which a tariff with windows is charged, and begins its log there.
    pub(super) fn find_window_users(&mut self) {
        self.cache.windows.clear();
        let all: Vec<AccountId> = self.state.setup.accounts.keys().cloned().collect();
        self.add_window_users(&all);
        self.find_changes();
    }

    /// The same, of some accounts.
    fn add_window_users<'a>(&mut self, accounts: impl IntoIterator<Item = &'a AccountId>) {
        let State { setup, meters, .. } = &mut self.state;
        for account in accounts.into_iter().filter_map(|id| setup.accounts.get(id)) {
            for charge in account.charges.values() {
                let tariff = setup.tariffs.get(&charge.tariff);
                let Some(key) =
                    tariff.filter(|t| t.has_windows()).and_then(|_| source_of(setup, charge))
                else {
                    continue;
                };
                let register = meters.get_mut(&key.0).and_then(|m| m.registers.get_mut(&key.1));
                if let Some(register) = register {
                    let base = register.last.total;
                    register
                        .windows
                        .entry(charge.tariff.clone())
                        .or_insert_with(|| WindowLog::new(base));
                }
                self.cache.windows.entry(key).or_default().insert(charge.tariff.clone());
            }
        }
    }
}

/// The first of a register's moments after a time.
pub(super) fn next_change(moments: Option<&Vec<Time>>, at: Time) -> Option<Time> {
    moments?.iter().copied().find(|moment| *moment > at)
}

/// The register that a charge is metered by; `None` without a known meter.
fn source_of(setup: &Setup, charge: &crate::setup::Charge) -> Option<(MeterId, RegisterName)> {
    let id = charge.meter.as_ref()?;
    let meter = setup.meters.get(id)?;
    let name = match &charge.register {
        Some(name) => name.clone(),
        None => meter.registers.first()?.name.clone(),
    };
    Some((id.clone(), name))
}

/// Binds the sub-meters that a charge names now; those that it names no more are closed.
fn find_subs(
    charge: &crate::setup::Charge,
    state: &mut ChargeState,
    meters: &BTreeMap<MeterId, crate::metering::MeterState>,
) {
    let same = |source: &Source, sub: &crate::setup::SubMeter| {
        source.closed.is_none() && source.meter == sub.meter && source.register == sub.register
    };
    for source in &mut state.minus {
        if !charge.minus.iter().any(|sub| same(source, sub)) {
            close_source(source, meters);
        }
    }
    state.minus.retain(|source| source.open.is_some() || source.closed.is_none());
    for sub in &charge.minus {
        if !state.minus.iter().any(|source| same(source, sub)) {
            let register = meters.get(&sub.meter).and_then(|m| m.registers.get(&sub.register));
            let open = register.map(|register| register.last.clone());
            let (meter, register) = (sub.meter.clone(), sub.register.clone());
            state.minus.push(Source { meter, register, open, closed: None });
        }
    }
}

/// Closes a source at its register's last reading.
fn close_source(source: &mut Source, meters: &BTreeMap<MeterId, crate::metering::MeterState>) {
    if source.closed.is_none() {
        let register = meters.get(&source.meter).and_then(|m| m.registers.get(&source.register));
        source.closed = register.map(|register| register.last.clone());
        if let (None, Some(register)) = (&source.open, register) {
            source.open = Some(register.opened.clone());
        }
    }
}

/// The point of a reading that the register still knows.
pub(super) fn find_point(register: &RegisterState, id: ReadingId) -> Option<Point> {
    let marks = register.marks.iter().flat_map(|mark| [&mark.before, &mark.first]);
    let mut points = marks.chain([&register.last, &register.opened]);
    points.find(|point| point.reading == id).cloned()
}

/// Writes in which windows the time between two readings lies, up to the new total.
fn write_windows(
    tariff: &Tariff,
    zone: &Zone,
    last: &Point,
    at: Time,
    total: Decimal,
    log: &mut WindowLog,
) {
    use crate::tariff::TimeOfUse;
    let tou_on = |day: Day| tariff.pricing_on(day).and_then(|r| r.time_of_use());
    let window_at = |at: Time| -> Option<(&TimeOfUse, &str, Time)> {
        let day = zone.day(at);
        let tou = tou_on(day)?;
        let (window, end) = tou.at(zone.minute_of_day(at))?;
        Some((tou, window.name.as_str(), zone.moment(day, end)))
    };
    let before_end = Time::from_millis(at.as_millis().saturating_sub(1)).max(last.at);
    let Some((tou, window, _)) = window_at(before_end) else { return };
    if tou.across_windows == AcrossWindows::AtEnd {
        log.push(window, total);
        return;
    }
    let span = Decimal::from(at.since(last.at).unwrap_or_default().as_millis().max(1));
    let used = crate::money::minus(total, last.total).unwrap_or_default();
    let mut moment = last.at;
    for _ in 0..SPREAD_PARTS_MAX {
        let Some((_, name, end)) = window_at(moment) else { break };
        if end >= at || end <= moment {
            log.push(name, total);
            return;
        }
        // From the begin of the interval, so that rounding never adds up.
        let gone = Decimal::from(end.since(last.at).unwrap_or_default().as_millis());
        let part = times(used, gone).and_then(|p| p.checked_div(span)).unwrap_or_default();
        let until = plus(last.total, part.trunc_with_scale(SPREAD_DECIMALS));
        log.push(name, until.unwrap_or(last.total));
        moment = end;
    }
    log.push(window, total);
}

/// Decimals to which the use between two readings is spread over windows.
const SPREAD_DECIMALS: u32 = 6;
