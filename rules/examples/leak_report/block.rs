//! A block of water meters with the shipped anomaly rules, fed as the engine feeds it.

use super::data::Point;
use blockgate_rules::anomaly::parse::Rules;
use blockgate_rules::event::{Alarm, AlarmChange, Event};
use blockgate_rules::setup::{AccountSetup, BillingRegister, Charge, MeterSetup, Setup, SubMeter};
use blockgate_rules::{Block, Input};
use blockgate_types::{
    AccountId, ClockState, Decimal, ItemId, MeterId, Observation, RegisterName, RegisterSpec, Role,
    Span, TariffId, Time, Unit, Values,
};
use std::sync::Arc;

type Failure = Box<dyn std::error::Error>;

/// A block and how many of its records were applied.
#[derive(Clone)]
pub(crate) struct Fed {
    block: Block,
    seq: u64,
    specs: Arc<[RegisterSpec]>,
}

impl Fed {
    /// A block of these meters; with `master` one more, of which the others are sub-meters.
    pub(crate) fn new(
        meters: &[&str],
        master: Option<&str>,
        rules: &Rules,
    ) -> Result<Self, Failure> {
        let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
            name: RegisterName::new("volume")?,
            unit: Unit::CubicMetre,
            role: Role::Billing,
            decimals: 3,
            rollover_digits: Some(5),
        }]);
        let mut setup = Setup {
            zone: "Asia/Shanghai".to_owned(),
            close_grace: Span::from_hours(48),
            anomalies: rules.clone(),
            ..Setup::default()
        };
        let volume = RegisterName::new("volume")?;
        for name in meters.iter().copied().chain(master) {
            let meter = MeterId::new(&name.to_lowercase())?;
            let most = if Some(name) == master { 100 } else { 5 };
            let register = BillingRegister {
                name: volume.clone(),
                unit: Unit::CubicMetre,
                decimals: 3,
                rollover_at: Some(Decimal::from(100_000)),
                // A DN15 household meter lets pass 3.1 m³ an hour for a while.
                max_per_hour: Decimal::from(most),
            };
            setup.meters.insert(
                meter.clone(),
                MeterSetup {
                    profile: "water".to_owned(),
                    registers: vec![register],
                    multiplier: Decimal::ONE,
                    record_every: Span::ZERO,
                    stuck_after: None,
                    offline_after: Span::from_days(3650),
                    controls: std::collections::BTreeSet::new(),
                },
            );
            let mut charge = Charge { meter: Some(meter), ..Charge::of(TariffId::new("water")?) };
            if Some(name) == master {
                for sub in meters {
                    let meter = MeterId::new(&sub.to_lowercase())?;
                    charge.minus.push(SubMeter { meter, register: volume.clone() });
                }
            }
            let account = AccountSetup {
                building: "1".to_owned(),
                charges: [(ItemId::new("water")?, charge)].into(),
                ..AccountSetup::default()
            };
            setup.accounts.insert(AccountId::new(&format!("a-{}", name.to_lowercase()))?, account);
        }
        let mut fed = Self { block: Block::new(), seq: 0, specs };
        let now = Time::EPOCH;
        fed.feed(&Input::Setup { now, setup: Box::new(setup) });
        Ok(fed)
    }

    fn feed(&mut self, input: &Input) -> Vec<Alarm> {
        let mut events = Vec::new();
        self.block.decide(input, &mut events);
        let mut alarms = Vec::new();
        for event in events {
            self.seq += 1;
            self.block.apply(self.seq, &event);
            if let Event::Alarm(alarm) = event {
                alarms.push(alarm);
            }
        }
        self.block.notice(input);
        alarms
    }

    /// Feeds a reading and a tick after it; gives what the rules raised, told again or cleared.
    pub(crate) fn read(&mut self, name: &str, (at, litres): Point) -> Result<Vec<Alarm>, Failure> {
        let values =
            Values { specs: self.specs.clone(), values: vec![Some(Decimal::new(litres, 3))] };
        let meter = MeterId::new(&name.to_lowercase())?;
        let mut alarms =
            self.feed(&Input::Observed(Observation { meter, at, outcome: Ok(values) }));
        // Nothing is billed here: the clock never becomes good enough for it.
        let clock = ClockState::Unsynced;
        alarms.extend(self.feed(&Input::Tick { now: at, clock }));
        alarms.retain(|alarm| alarm.rule.is_some());
        Ok(alarms)
    }

    /// Whether a rule's alarm about a meter is open.
    pub(crate) fn has_open(&self) -> bool {
        self.block.alarms().values().any(|alarm| alarm.rule.is_some())
    }
}

/// Alarms that opened.
pub(crate) fn raised(alarms: &[Alarm]) -> impl Iterator<Item = &Alarm> {
    alarms.iter().filter(|alarm| alarm.change == AlarmChange::Raised)
}
