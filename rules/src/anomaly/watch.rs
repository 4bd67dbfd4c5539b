//! What the detectors know: a fold of the readings, and therefore a part of the Block's state. It is
//! bounded per meter, saved with the checkpoint, and the same after every replay. What a detector
//! finds waits here until a tick makes an alarm of it; nothing here touches money.

use super::balance::{self, Balance};
use super::care::Urgency;
use super::flow::Flow;
use super::micro::part;
use super::months::{Band, Months};
use super::night::{Night, Window};
use super::parse::Rules;
use super::rule::{Detector, Revision};
use super::scope::{Member, Plan};
use super::still::{Limits, Reverse, Still};
use super::usual::{BuildingDays, DayOf, Far, Usual};
use crate::calendar::{Day, Zone, next_day};
use crate::event::Severity;
use blockgate_types::{MeterId, Span, TariffId, Time, Unit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Hours and days are divided by interpolation over gaps up to this long; a longer one leaves them out.
const GAP_MAX: Span = Span::from_days(3);

/// What passed between two readings.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The earlier reading.
    pub from: Time,
    /// The later one.
    pub to: Time,
    /// In millionths of the unit, multiplier included.
    pub used: i64,
    /// What the register resolves, in the same.
    pub resolution: i64,
    /// The register's unit.
    pub unit: Unit,
}

/// What a detector says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It is odd; said again with other numbers while it stays so.
    Open(Opening),
    /// It is over.
    Close,
}

/// An oddity's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// How urgent, where that is not the rule's.
    pub severity: Option<Severity>,
    /// How soon somebody has to go, where that is not the rule's.
    pub work_order: Option<Urgency>,
    /// Its numbers.
    pub facts: BTreeMap<String, String>,
}

/// Something odd that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How urgent.
    pub severity: Severity,
    /// Whether somebody has to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_order: Option<Urgency>,
    /// Its numbers.
    pub facts: BTreeMap<String, String>,
    /// By which revision it was found.
    pub version: String,
    /// An alarm was raised for it.
    pub raised: bool,
}

/// A rule's finding about a subject.
pub type Key = (TariffId, String);

/// The state of all detectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watcher {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    meters: BTreeMap<MeterId, MeterWatch>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    balances: BTreeMap<TariffId, BTreeMap<MeterId, Balance>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    buildings: BTreeMap<TariffId, BTreeMap<String, BuildingDays>>,
    /// What is odd now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "keyed")]
    found: BTreeMap<Key, Found>,
    /// Of this, what no alarm tells yet; and what is over and still has one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    changed: BTreeSet<Key>,
    /// By how many percent thresholds are raised, after feedback.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "keyed")]
    raised: BTreeMap<Key, u32>,
}

/// One meter's detectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct MeterWatch {
    /// The running hour, by number since 1970, and day.
    hour: i64,
    hour_used: i64,
    hour_gap: bool,
    day: DayOf,
    day_from: Time,
    day_to: Time,
    day_used: i64,
    day_gap: bool,
    /// What a day uses, smoothed, for the question whether somebody is there.
    day_mean: i64,
    last_day: i64,
    parts: BTreeMap<TariffId, Part>,
}

/// One detector's memory of one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Part {
    Flow(Flow),
    Night(Night),
    Still(Still),
    Reverse(Reverse),
    Hours(Usual),
    Days(Usual),
    Months(Months),
}

/// Where the detectors run: the zone and the rules.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The block's zone.
    pub zone: &'a Zone,
    /// The rules.
    pub rules: &'a Rules,
    /// Which meter is watched by which rule.
    pub plan: &'a Plan,
}

impl Watcher {
    /// Folds in what passed on a meter's watched register between two readings.
    pub fn take(&mut self, around: Around<'_>, meter: &MeterId, sample: &Sample) {
        let Some(member) = around.plan.meters.get(meter) else { return };
        if sample.to <= sample.from || (member.rules.is_empty() && member.groups.is_empty()) {
            return;
        }
        let mut watch = self.meters.remove(meter).unwrap_or_default();
        watch.enter(around.zone, sample.from);
        let subject = format!("meter/{meter}");
        let today = watch.day_on(around.zone, sample.to);
        for id in &member.rules {
            let Some(revision) = around.rules.get(id).and_then(|rule| rule.on(today)) else {
                continue;
            };
            let raised = self.raised_of(id, &subject);
            let occupied = || self.is_occupied(member, meter);
            let turn = watch.sampled(id, revision, sample, around.zone, raised, occupied);
            self.turned(id, revision, &subject, turn);
        }
        let closed = watch.divide(around.zone, sample);
        for (hour, used) in closed.hours {
            self.hour(around, meter, member, &mut watch, today, (hour, used), sample.unit);
        }
        for (day, used) in closed.days {
            self.day(around, meter, member, &mut watch, today, (&day, used), sample.unit);
        }
        self.meters.insert(meter.clone(), watch);
    }

    /// Folds in a register that shows less than it did; both values in millionths.
    pub fn fell(&mut self, around: Around<'_>, meter: &MeterId, at: Time, high: i64, value: i64) {
        let Some(member) = around.plan.meters.get(meter) else { return };
        let day = around.zone.day(at);
        let subject = format!("meter/{meter}");
        for id in &member.rules {
            let revision = around.rules.get(id).and_then(|rule| rule.on(day));
            let Some(revision) = revision else { continue };
            let Detector::ReverseFlow { least, falls } = &revision.detector else { continue };
            let raised = self.raised_of(id, &subject);
            let watch = self.meters.entry(meter.clone()).or_default();
            let part = watch.parts.entry(id.clone());
            let part = part.or_insert_with(|| Part::Reverse(Reverse::default()));
            let Part::Reverse(reverse) = part else { continue };
            let turn = reverse.fell(high, value, *least, *falls, raised, member.unit);
            self.turned(id, revision, &subject, turn);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one hour of one meter, and where it belongs")]
    fn hour(
        &mut self,
        around: Around<'_>,
        meter: &MeterId,
        member: &Member,
        watch: &mut MeterWatch,
        today: Day,
        (hour, used): (i64, i64),
        unit: Unit,
    ) {
        let subject = format!("meter/{meter}");
        for id in &member.rules {
            let Some(revision) = around.rules.get(id).and_then(|rule| rule.on(today)) else {
                continue;
            };
            let Detector::UnusualHours { hours, deviations, percent, least } = &revision.detector
            else {
                continue;
            };
            let far =
                Far { in_a_row: *hours, deviations: *deviations, percent: *percent, least: *least };
            let raised = self.raised_of(id, &subject);
            let part =
                watch.parts.entry(id.clone()).or_insert_with(|| Part::Hours(Usual::default()));
            let Part::Hours(usual) = part else { continue };
            // The hours of a week from Monday in UTC: shifted alike in every week.
            let cell = usize::try_from(hour.saturating_add(72).rem_euclid(168)).unwrap_or(0);
            let turn = usual.take(cell, 168, used, &far, raised, &watch.day.text, unit);
            self.turned(id, revision, &subject, turn);
        }
        for (id, master) in &member.groups {
            let Some(revision) = around.rules.get(id).and_then(|rule| rule.on(today)) else {
                continue;
            };
            let Detector::Balance { slack, deviations, least } = &revision.detector else {
                continue;
            };
            let Some(members) = around.plan.groups.get(master) else { continue };
            let subject = format!("meter/{master}");
            let raised = self.raised_of(id, &subject);
            let limits = balance::Limits { slack: *slack, deviations: *deviations, least: *least };
            let groups = self.balances.entry(id.clone()).or_default();
            let group = groups.entry(master.clone()).or_default();
            let signed = if meter == master { used } else { used.saturating_neg() };
            let count = members.len().saturating_add(1);
            let turn = group.take(hour, meter, signed, count, &limits, raised, unit);
            self.turned(id, revision, &subject, turn);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one day of one meter, and where it belongs")]
    fn day(
        &mut self,
        around: Around<'_>,
        meter: &MeterId,
        member: &Member,
        watch: &mut MeterWatch,
        today: Day,
        (day, used): (&DayOf, i64),
        unit: Unit,
    ) {
        watch.last_day = used;
        watch.day_mean = watch
            .day_mean
            .saturating_add(used.saturating_sub(watch.day_mean).checked_div(14).unwrap_or(0));
        let own = format!("meter/{meter}");
        for id in &member.rules {
            let Some(revision) = around.rules.get(id).and_then(|rule| rule.on(today)) else {
                continue;
            };
            let turn = match &revision.detector {
                Detector::UnusualDays { whole_building: true, .. } => None,
                Detector::UnusualDays { days, deviations, percent, least, .. } => {
                    let far = Far {
                        in_a_row: *days,
                        deviations: *deviations,
                        percent: *percent,
                        least: *least,
                    };
                    let raised = self.raised_of(id, &own);
                    let part = watch
                        .parts
                        .entry(id.clone())
                        .or_insert_with(|| Part::Days(Usual::default()));
                    let Part::Days(usual) = part else { continue };
                    usual.take(day.weekday, 7, used, &far, raised, &day.text, unit)
                }
                Detector::UnusualMonths { months, percent, least } => {
                    let band =
                        Band { months: *months, percent: *percent, least: *least, below_too: true };
                    watch.month(id, day.month, used, &band, self.raised_of(id, &own), unit)
                }
                Detector::LastYear { percent, least } => {
                    let band =
                        Band { months: 1, percent: *percent, least: *least, below_too: false };
                    watch.month(id, day.month, used, &band, self.raised_of(id, &own), unit)
                }
                Detector::ContinuousFlow { .. }
                | Detector::NightFlow { .. }
                | Detector::Stuck { .. }
                | Detector::ReverseFlow { .. }
                | Detector::Balance { .. }
                | Detector::UnusualHours { .. }
                | Detector::DeviceFlag { .. }
                | Detector::MeterClock { .. }
                | Detector::Lasting { .. }
                | Detector::Payments { .. }
                | Detector::Budget { .. } => None,
            };
            self.turned(id, revision, &own, turn);
            let Detector::UnusualDays { whole_building: true, days, deviations, percent, least } =
                &revision.detector
            else {
                continue;
            };
            let key = (id.clone(), member.building.clone());
            let Some(members) = around.plan.buildings.get(&key).copied() else { continue };
            let far =
                Far { in_a_row: *days, deviations: *deviations, percent: *percent, least: *least };
            let subject = format!("building/{}", member.building);
            let raised = self.raised_of(id, &subject);
            let buildings = self.buildings.entry(id.clone()).or_default();
            let building = buildings.entry(member.building.clone()).or_default();
            let turn = building.take(day, used, members, &far, raised, unit);
            self.turned(id, revision, &subject, turn);
        }
    }

    /// Whether the other meters of a meter's account show that somebody is there: yesterday each used
    /// at least half of what it does as a rule, and there is one.
    fn is_occupied(&self, member: &Member, meter: &MeterId) -> bool {
        let others = member.beside.iter().filter(|other| *other != meter);
        let mut any = false;
        for other in others.filter_map(|other| self.meters.get(other)) {
            if other.day_mean <= 0 || other.last_day < part(other.day_mean, 1, 2) {
                return false;
            }
            any = true;
        }
        any
    }

    pub(crate) fn turned(
        &mut self,
        id: &TariffId,
        revision: &Revision,
        subject: &str,
        turn: Option<Turn>,
    ) {
        let Some(turn) = turn else { return };
        let key = (id.clone(), subject.to_owned());
        match turn {
            Turn::Open(opening) => {
                let raised = self.found.get(&key).is_some_and(|found| found.raised);
                let found = Found {
                    severity: opening.severity.unwrap_or(revision.care.severity),
                    work_order: opening.work_order.or(revision.care.work_order),
                    facts: opening.facts,
                    version: revision.version(id),
                    raised,
                };
                self.found.insert(key.clone(), found);
                self.changed.insert(key);
            }
            Turn::Close => {
                // What was over before anybody heard of it stays unsaid.
                match self.found.remove(&key) {
                    Some(found) if found.raised => self.changed.insert(key),
                    Some(_) | None => self.changed.remove(&key),
                };
            }
        }
    }

    /// What is odd now, by rule and subject.
    #[must_use]
    pub fn found(&self) -> &BTreeMap<Key, Found> {
        &self.found
    }

    /// What the alarms do not say yet.
    #[must_use]
    pub fn changed(&self) -> &BTreeSet<Key> {
        &self.changed
    }

    /// An alarm's event says what was found.
    pub fn told(&mut self, key: &Key, open: bool) {
        self.changed.remove(key);
        match self.found.get_mut(key) {
            Some(found) if open => found.raised = true,
            Some(_) => {
                self.found.remove(key);
            }
            None => {}
        }
    }

    /// By how many percent a rule's thresholds are raised for a subject.
    #[must_use]
    pub fn raised_of(&self, id: &TariffId, subject: &str) -> u32 {
        if self.raised.is_empty() {
            return 0;
        }
        self.raised.get(&(id.clone(), subject.to_owned())).copied().unwrap_or(0)
    }

    /// Feedback raised a rule's thresholds for a subject.
    pub fn raise(&mut self, key: Key, percent: u32) {
        let raised = self.raised.entry(key).or_insert(0);
        *raised = percent;
    }

    /// Forgets meters and rules that are gone.
    pub fn forget(&mut self, rules: &Rules, is_watched: impl Fn(&MeterId) -> bool) {
        self.meters.retain(|meter, _| is_watched(meter));
        for watch in self.meters.values_mut() {
            watch.parts.retain(|id, _| rules.contains_key(id));
        }
        self.balances.retain(|id, _| rules.contains_key(id));
        self.buildings.retain(|id, _| rules.contains_key(id));
        self.raised.retain(|(id, _), _| rules.contains_key(id));
        let found = std::mem::take(&mut self.found);
        for (key, found) in found {
            if rules.contains_key(&key.0) {
                self.found.insert(key, found);
            } else {
                self.changed.remove(&key);
            }
        }
    }
}

impl Watcher {
    /// Forgets what was learned of some meters.
    pub fn forget_meters<'m>(&mut self, meters: impl IntoIterator<Item = &'m MeterId>) {
        meters.into_iter().for_each(|meter| drop(self.meters.remove(meter)));
    }
}

/// Hours and days that a sample closed, with what was used in each.
#[derive(Default)]
struct Closed {
    hours: Vec<(i64, i64)>,
    days: Vec<(DayOf, i64)>,
}

const HOUR_MS: i64 = 3_600_000;

impl MeterWatch {
    /// Begins the running hour and day where nothing runs yet.
    fn enter(&mut self, zone: &Zone, at: Time) {
        if self.day_to == Time::EPOCH {
            self.begin_day(zone, at);
            self.hour = at.as_millis().div_euclid(HOUR_MS);
            // The day in which a meter begins is never whole.
            (self.day_gap, self.hour_gap) = (true, true);
        }
    }

    fn begin_day(&mut self, zone: &Zone, at: Time) {
        let day = zone.day(at);
        self.day_from = zone.start_of(day);
        self.day_to = zone.start_of(next_day(day));
        let number = i64::from(crate::calendar::days_between(EPOCH_DAY, day));
        let month = i32::from(day.year()).saturating_mul(12).saturating_add(i32::from(day.month()));
        self.day = DayOf {
            number: i32::try_from(number).unwrap_or(0),
            weekday: usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or(0),
            text: day.to_string(),
            month: month.saturating_sub(1),
        };
        (self.day_used, self.day_gap) = (0, false);
    }

    /// The day of a time, without asking the zone where it is the running one.
    fn day_on(&self, zone: &Zone, at: Time) -> Day {
        if at >= self.day_from && at < self.day_to {
            crate::calendar::parse_day(&self.day.text).unwrap_or_else(|| zone.day(at))
        } else {
            zone.day(at)
        }
    }

    fn sampled(
        &mut self,
        id: &TariffId,
        revision: &Revision,
        sample: &Sample,
        zone: &Zone,
        raised: u32,
        occupied: impl FnOnce() -> bool,
    ) -> Option<Turn> {
        match &revision.detector {
            Detector::ContinuousFlow { steps, closes_after } => {
                let part = self.part(id, || Part::Flow(Flow::default()));
                let Part::Flow(flow) = part else { return None };
                flow.take(sample, steps, *closes_after, raised)
            }
            Detector::NightFlow { from_minute, to_minute, steps, history, closes_after } => {
                let part = self.part(id, || Part::Night(Night::default()));
                let Part::Night(night) = part else { return None };
                let window = Window { from_minute: *from_minute, to_minute: *to_minute };
                night.take(sample, zone, window, steps, (*history, *closes_after), raised)
            }
            Detector::Stuck { lasts, own_percent, used_days_percent, occupied: sooner } => {
                let part = self.part(id, || Part::Still(Still::default()));
                let Part::Still(still) = part else { return None };
                let limits = Limits {
                    lasts: *lasts,
                    own_percent: *own_percent,
                    used_days_percent: *used_days_percent,
                    occupied: *sooner,
                };
                still.take(sample, &limits, raised, occupied)
            }
            Detector::ReverseFlow { .. } if sample.used > 0 => match self.parts.get_mut(id) {
                Some(Part::Reverse(reverse)) => reverse.rose(),
                Some(_) | None => None,
            },
            Detector::ReverseFlow { .. }
            | Detector::Balance { .. }
            | Detector::UnusualHours { .. }
            | Detector::UnusualDays { .. }
            | Detector::UnusualMonths { .. }
            | Detector::LastYear { .. }
            | Detector::DeviceFlag { .. }
            | Detector::MeterClock { .. }
            | Detector::Lasting { .. }
            | Detector::Payments { .. }
            | Detector::Budget { .. } => None,
        }
    }

    /// The detector's memory; made anew where the rule was of another kind before.
    fn part(&mut self, id: &TariffId, fresh: impl Fn() -> Part) -> &mut Part {
        let made = fresh();
        let part = self.parts.entry(id.clone()).or_insert_with(fresh);
        if std::mem::discriminant(part) != std::mem::discriminant(&made) {
            *part = made;
        }
        part
    }

    fn month(
        &mut self,
        id: &TariffId,
        month: i32,
        used: i64,
        band: &Band,
        raised: u32,
        unit: Unit,
    ) -> Option<Turn> {
        let part = self.part(id, || Part::Months(Months::default()));
        let Part::Months(months) = part else { return None };
        months.take(month, used, band, raised, unit)
    }

    /// Divides a sample among hours and days, and gives those that it closes.
    fn divide(&mut self, zone: &Zone, sample: &Sample) -> Closed {
        let mut closed = Closed::default();
        let length = sample.to.as_millis().saturating_sub(sample.from.as_millis());
        if length > GAP_MAX.as_millis() {
            self.begin_day(zone, sample.to);
            self.hour = sample.to.as_millis().div_euclid(HOUR_MS);
            (self.hour_used, self.hour_gap, self.day_gap) = (0, true, true);
            return closed;
        }
        let up_to =
            |edge: i64| part(sample.used, edge.saturating_sub(sample.from.as_millis()), length);
        let mut given = 0;
        let last = sample.to.as_millis();
        while let Some(edge) = self.hour.checked_add(1).and_then(|h| h.checked_mul(HOUR_MS))
            && edge <= last
        {
            let until = up_to(edge.max(sample.from.as_millis()));
            let used = self.hour_used.saturating_add(until.saturating_sub(given));
            if !self.hour_gap {
                closed.hours.push((self.hour, used));
            }
            given = until;
            (self.hour, self.hour_used, self.hour_gap) = (self.hour.saturating_add(1), 0, false);
        }
        self.hour_used = self.hour_used.saturating_add(sample.used.saturating_sub(given));
        let mut given = 0;
        while self.day_to <= sample.to {
            let until = up_to(self.day_to.max(sample.from).as_millis());
            let used = self.day_used.saturating_add(until.saturating_sub(given));
            if !self.day_gap {
                closed.days.push((self.day.clone(), used));
            }
            given = until;
            let next = self.day_to;
            self.begin_day(zone, next);
            if self.day_to <= next {
                break; // the calendar's end
            }
        }
        self.day_used = self.day_used.saturating_add(sample.used.saturating_sub(given));
        closed
    }
}

/// 1970-01-01.
const EPOCH_DAY: Day = jiff::civil::date(1970, 1, 1);

/// A map with pairs as keys, as a list: JSON has no such keys.
mod keyed {
    use super::Key;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<V: Serialize, S: Serializer>(
        map: &BTreeMap<Key, V>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_seq(map)
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<Key, V>, D::Error> {
        Ok(Vec::<(Key, V)>::deserialize(d)?.into_iter().collect())
    }
}
