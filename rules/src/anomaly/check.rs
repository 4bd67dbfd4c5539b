//! The device check: an alarm has the meters concerned read much more often for a while, and looks at
//! what comes: how fast each register moves, what the status words say, what a master counts that its
//! sub-meters do not. Nothing of it is journaled but the result, on the alarm; a restart begins a
//! check that had not ended again.

use super::care::{CheckFound, DeviceCheck, MeterCheck};
use super::rule::CheckPlan;
use super::scope::Plan;
use crate::event::Alarm;
use crate::money::{minus, plus, times};
use crate::setup::Setup;
use blockgate_types::{
    AlarmId, Decimal, MeterId, Observation, RegisterName, Role, Span, Time, Unit,
};
use std::collections::BTreeMap;

/// Checks at once; more wait for a place.
pub const CHECKS_MAX: usize = 8;

/// Meters of one check; a master with more sub-meters is checked without them.
pub const METERS_MAX: usize = 64;

/// An alarm that opened longer ago than this is not checked by itself.
pub const FRESH: Span = Span::from_days(2);

/// A check that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// For which alarm.
    pub alarm: AlarmId,
    /// How.
    pub plan: CheckPlan,
    /// When it began.
    pub from: Time,
    meters: BTreeMap<MeterId, Seen>,
    master: Option<MeterId>,
}

#[derive(Debug, Clone)]
struct Seen {
    register: RegisterName,
    unit: Unit,
    multiplier: Decimal,
    first: Option<(Time, Decimal)>,
    last: Option<(Time, Decimal)>,
    fell: bool,
    polls: u32,
    failed: u32,
    status: BTreeMap<String, String>,
    flagged: bool,
}

impl Running {
    /// A check of the meters that an alarm is about; `None` where there are none.
    #[must_use]
    pub fn of(
        alarm: &Alarm,
        plan: CheckPlan,
        now: Time,
        who: &Plan,
        setup: &Setup,
    ) -> Option<Self> {
        let meter = MeterId::new(alarm.subject.strip_prefix("meter/")?).ok()?;
        let mut ids = vec![meter.clone()];
        let subs = who.groups.get(&meter);
        if let Some(subs) = subs.filter(|subs| subs.len() < METERS_MAX) {
            ids.extend(subs.iter().cloned());
        } else if let Some(master) =
            who.groups.iter().find(|(_, subs)| subs.contains(&meter)).map(|(master, _)| master)
        {
            ids.push(master.clone());
        }
        let meters = ids.into_iter().filter_map(|id| {
            let (member, meter) = (who.meters.get(&id)?, setup.meters.get(&id)?);
            let seen = Seen {
                register: member.register.clone(),
                unit: member.unit,
                multiplier: meter.multiplier,
                first: None,
                last: None,
                fell: false,
                polls: 0,
                failed: 0,
                status: BTreeMap::new(),
                flagged: false,
            };
            Some((id, seen))
        });
        let meters: BTreeMap<MeterId, Seen> = meters.collect();
        let master = (subs.is_some() && meters.len() > 1).then(|| meter.clone());
        meters.contains_key(&meter).then(|| Self {
            alarm: alarm.id.clone(),
            plan,
            from: now,
            meters,
            master,
        })
    }

    /// The meters that are read more often.
    pub fn meters(&self) -> impl Iterator<Item = &MeterId> {
        self.meters.keys()
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Time {
        self.from.plus(self.plan.lasts)
    }

    /// Hears a poll. `is_flag` says whether a status register's value reports a fault.
    pub fn hear(&mut self, observation: &Observation, is_flag: impl Fn(&str, Decimal) -> bool) {
        let Some(seen) = self.meters.get_mut(&observation.meter) else { return };
        let Ok(values) = &observation.outcome else {
            seen.failed = seen.failed.saturating_add(1);
            return;
        };
        seen.polls = seen.polls.saturating_add(1);
        for (spec, value) in values.iter() {
            let Some(value) = value else { continue };
            match spec.role {
                Role::Billing if spec.name == seen.register => {
                    seen.fell |= seen.last.is_some_and(|(_, last)| value < last);
                    seen.first.get_or_insert((observation.at, value));
                    seen.last = Some((observation.at, value));
                }
                Role::Status => {
                    seen.flagged |= is_flag(spec.name.as_str(), value);
                    seen.status.insert(spec.name.to_string(), value.normalize().to_string());
                }
                Role::Billing | Role::Live => {}
            }
        }
    }

    /// What it comes to.
    #[must_use]
    pub fn result(&self, now: Time) -> DeviceCheck {
        let meters: Vec<MeterCheck> = self
            .meters
            .iter()
            .map(|(id, seen)| MeterCheck {
                meter: id.clone(),
                register: seen.register.clone(),
                polls: seen.polls,
                failed: seen.failed,
                per_hour: seen.per_hour(),
                unit: seen.unit,
                status: seen.status.clone(),
            })
            .collect();
        let loss_per_hour = self.master.as_ref().and_then(|master| {
            let rate = |id: &MeterId| self.meters.get(id).and_then(Seen::per_hour);
            let subs = self.meters.keys().filter(|id| *id != master);
            let subs = subs.map(rate).try_fold(Decimal::ZERO, |sum, rate| plus(sum, rate?))?;
            minus(rate(master)?, subs)
        });
        let any = |test: fn(&Seen) -> bool| self.meters.values().any(test);
        let rates = || meters.iter().filter_map(|meter| meter.per_hour);
        let found = if any(|seen| seen.flagged) {
            CheckFound::Flagged
        } else if any(|seen| seen.fell) {
            CheckFound::Reverse
        } else if rates().next().is_none() {
            CheckFound::NoAnswer
        } else if rates().any(|rate| rate > Decimal::ZERO) {
            CheckFound::Flows
        } else {
            CheckFound::Quiet
        };
        DeviceCheck { from: self.from, to: Some(now), meters, loss_per_hour, found }
    }
}

impl Seen {
    fn per_hour(&self) -> Option<Decimal> {
        let ((from, first), (to, last)) = (self.first?, self.last?);
        let ms = to.since(from).filter(|span| !span.is_zero())?.as_millis();
        let used = times(minus(last, first)?, self.multiplier)?;
        let rate = times(used, Decimal::from(3_600_000))?.checked_div(Decimal::from(ms))?;
        Some(
            rate.round_dp_with_strategy(4, rust_decimal::RoundingStrategy::MidpointAwayFromZero)
                .normalize(),
        )
    }
}

/// Whether a status register's value is a flag that is set.
#[must_use]
pub fn is_set(value: Decimal, mask: Option<u32>) -> bool {
    let Some(mask) = mask else { return !value.is_zero() };
    let bits = u64::try_from(value.trunc()).unwrap_or(0);
    bits & u64::from(mask) != 0
}
