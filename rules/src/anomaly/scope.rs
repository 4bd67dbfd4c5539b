//! Which meter is watched by which rule: what the setup says about a meter, worked out once.

use super::parse::Rules;
use super::rule::{Detector, Scope, Use};
use crate::setup::{AccountSetup, Setup};
use blockgate_types::{Decimal, MeterId, RegisterName, TariffId, Unit};
use std::collections::{BTreeMap, BTreeSet};

/// A building is judged as a whole from so many meters on; fewer are just a household or two.
const BUILDING_MIN: u32 = 4;

/// Who is watched how.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// By meter.
    pub meters: BTreeMap<MeterId, Member>,
    /// Masters with their sub-meters.
    pub groups: BTreeMap<MeterId, BTreeSet<MeterId>>,
    /// How many meters a building has under a rule about whole buildings.
    pub buildings: BTreeMap<(TariffId, String), u32>,
    /// Households: what the alarm budget is per hundred of.
    pub households: u32,
}

/// What is known of one meter.
#[derive(Debug, Clone)]
pub struct Member {
    /// The register that is watched: the first billing register.
    pub register: RegisterName,
    /// Its unit.
    pub unit: Unit,
    /// One unit of its last digit, times the multiplier, in millionths.
    pub resolution: i64,
    /// What the meter is for.
    pub used_for: Use,
    /// The building of its account; empty where it has none.
    pub building: String,
    /// All meters of its account.
    pub beside: Vec<MeterId>,
    /// The rules that watch it.
    pub rules: Vec<TariffId>,
    /// The balances that it is part of: rule and master.
    pub groups: Vec<(TariffId, MeterId)>,
}

impl Plan {
    /// Works out who is watched how.
    #[must_use]
    pub fn of(setup: &Setup) -> Self {
        let mut plan = Self::default();
        let mut accounts: BTreeMap<&MeterId, (&AccountSetup, Use)> = BTreeMap::new();
        for account in setup.accounts.values() {
            for charge in account.charges.values() {
                let Some(meter) = &charge.meter else { continue };
                let used_for = match (charge.minus.is_empty(), &charge.share) {
                    (false, _) => Use::Master,
                    (true, Some(_)) => Use::Public,
                    (true, None) => Use::Household,
                };
                accounts.insert(meter, (account, used_for));
                if used_for == Use::Master {
                    let subs = charge.minus.iter().map(|sub| sub.meter.clone());
                    plan.groups.entry(meter.clone()).or_default().extend(subs);
                }
            }
        }
        let is_household = |account: &&AccountSetup| {
            account.charges.values().any(|c| c.meter.is_some() && c.share.is_none())
        };
        plan.households =
            u32::try_from(setup.accounts.values().filter(is_household).count()).unwrap_or(u32::MAX);
        for (id, meter) in &setup.meters {
            let Some(register) = meter.registers.first() else { continue };
            let (building, used_for, beside) = match accounts.get(id) {
                Some((account, used_for)) => {
                    let beside = account.charges.values().filter_map(|c| c.meter.clone());
                    (account.building.clone(), *used_for, beside.collect())
                }
                None => (String::new(), Use::Public, Vec::new()),
            };
            let digit = Decimal::try_new(1, register.decimals).unwrap_or(Decimal::ONE);
            let resolution = digit.checked_mul(meter.multiplier).unwrap_or(digit);
            let mut member = Member {
                register: register.name.clone(),
                unit: register.unit,
                resolution: super::micro::Micro::of(resolution).0.max(1),
                used_for,
                building,
                beside,
                rules: Vec::new(),
                groups: Vec::new(),
            };
            for (rule_id, rule) in &setup.anomalies {
                if !watches(&rule.of, id, &member) {
                    continue;
                }
                member.rules.push(rule_id.clone());
                if whole_building(&setup.anomalies, rule_id) && !member.building.is_empty() {
                    let key = (rule_id.clone(), member.building.clone());
                    let count = plan.buildings.entry(key).or_insert(0);
                    *count = count.saturating_add(1);
                }
            }
            plan.meters.insert(id.clone(), member);
        }
        plan.buildings.retain(|_, meters| *meters >= BUILDING_MIN);
        let groups = plan.groups.clone();
        for (master, subs) in &groups {
            let Some(unit) = plan.meters.get(master).map(|m| (m.unit, m.rules.clone())) else {
                continue;
            };
            let (unit, rules) = unit;
            let balance = |id: &TariffId| {
                let rule = setup.anomalies.get(id);
                rule.is_some_and(|rule| {
                    rule.revisions.iter().any(|r| matches!(r.detector, Detector::Balance { .. }))
                })
            };
            for rule in rules.iter().filter(|id| balance(id)) {
                for id in std::iter::once(master).chain(subs) {
                    let member = plan.meters.get_mut(id).filter(|member| member.unit == unit);
                    if let Some(member) = member {
                        member.groups.push((rule.clone(), master.clone()));
                    }
                }
            }
        }
        plan
    }
}

fn whole_building(rules: &Rules, id: &TariffId) -> bool {
    let whole = |detector: &Detector| {
        matches!(detector, Detector::UnusualDays { whole_building: true, .. })
    };
    rules.get(id).is_some_and(|rule| rule.revisions.iter().any(|r| whole(&r.detector)))
}

fn watches(scope: &Scope, id: &MeterId, member: &Member) -> bool {
    scope.unit.is_none_or(|unit| unit == member.unit)
        && (scope.uses.is_empty() || scope.uses.contains(&member.used_for))
        && (scope.buildings.is_empty() || scope.buildings.contains(&member.building))
        && (scope.meters.is_empty() || scope.meters.contains(id))
        && !scope.except.contains(id)
}
