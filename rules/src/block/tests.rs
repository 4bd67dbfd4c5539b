//! Tests of the Block as a whole.

mod act;
mod alarms;
mod changes;
mod clocks;
mod commands;
mod components;
mod correcting;
mod desk;
mod detecting;
mod doors;
mod dunning;
mod estimating;
mod gate;
mod golden_corrections;
mod late;
mod money;
mod parking;
mod parking_cards;
mod parking_day;
mod parking_night;
mod rounding_year;
mod scenarios;
mod sharing;
mod simulation;

use super::*;
use crate::event::{Event, Reading, Text, Verdict};
use crate::setup::{AccountSetup, BillingRegister, Charge, MeterSetup};
use crate::tariff::*;
use blockgate_types::{
    FaultClass, Observation, ReadFault, RegisterSpec, Role, Unit, Values, parse_decimal,
};
use std::sync::Arc;

pub(super) fn d(text: &str) -> Decimal {
    parse_decimal(text).unwrap()
}

pub(super) fn t(text: &str) -> Time {
    text.parse().unwrap()
}

/// A block with its journal, fed as the engine feeds it.
#[derive(Default)]
pub(super) struct World {
    pub(super) block: Block,
    pub(super) journal: Vec<Event>,
}

impl World {
    pub(super) fn feed(&mut self, input: &Input) -> Vec<Event> {
        let mut out = Vec::new();
        self.block.decide(input, &mut out);
        for event in &out {
            self.journal.push(event.clone());
            self.block.apply(u64::try_from(self.journal.len()).unwrap(), event);
            // For invariant 5: every debit has its credit, after every event of every test; of large
            // blocks after every input, because the sum goes over all accounts.
            if self.block.setup().accounts.len() < 1_000 {
                assert_eq!(self.block.ledger().trial_balance(), 0, "{event:?}");
            }
        }
        assert_eq!(self.block.ledger().trial_balance(), 0);
        self.block.notice(input);
        out
    }

    pub(super) fn tick(&mut self, now: &str) -> Vec<Event> {
        self.feed(&Input::Tick { now: t(now), clock: ClockState::Synced })
    }

    pub(super) fn read(&mut self, at: &str, value: &str) -> Vec<Event> {
        self.feed(&observed("m-1", t(at), Some(d(value))))
    }

    pub(super) fn setup(&mut self, now: &str, setup: &Setup) -> Vec<Event> {
        self.feed(&Input::Setup { now: t(now), setup: Box::new(setup.clone()) })
    }

    pub(super) fn replayed(&self) -> Block {
        let mut block = Block::new();
        for (n, event) in self.journal.iter().enumerate() {
            block.apply(u64::try_from(n + 1).unwrap(), event);
        }
        block
    }
}

pub(super) fn observed(meter: &str, at: Time, value: Option<Decimal>) -> Input {
    let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
        name: RegisterName::new("energy_import").unwrap(),
        unit: Unit::KilowattHour,
        role: Role::Billing,
        decimals: 2,
        rollover_digits: Some(4),
    }]);
    let outcome = match value {
        Some(value) => Ok(Values { specs, values: vec![Some(value)] }),
        None => Err(ReadFault { class: FaultClass::Timeout, what: "silence".into(), raw: vec![] }),
    };
    Input::Observed(Observation { meter: MeterId::new(meter).unwrap(), at, outcome })
}

pub(super) fn text(word: &str) -> Text {
    Text { zh: word.into(), en: word.into() }
}

pub(super) fn tiered() -> Tariff {
    let tier = |up_to: Option<&str>, rate: &str| Tier {
        up_to: up_to.map(d),
        prices: BTreeMap::from([("charge".to_owned(), d(rate))]),
        flat: None,
    };
    tariff(
        Pricing::Metered(Box::new(Metered {
            unit: Unit::KilowattHour,
            tiering: Tiering::Month { catch_up: CatchUp::ScaleQuota },
            tiers: vec![
                tier(Some("240"), "0.4883"),
                tier(Some("400"), "0.5383"),
                tier(None, "0.7883"),
            ],
            quota_shift: vec![],
            components: vec![Component {
                name: "charge".into(),
                label: text("x"),
                factor: Decimal::ONE,
                own: None,
            }],
            tou: None,
            base: None,
        })),
        Rounding::PerLine,
    )
}

pub(super) fn tariff(pricing: Pricing, rounding: Rounding) -> Tariff {
    Tariff {
        label: text("x"),
        currency: "CNY".into(),
        notice: "example".into(),
        fund: None,
        revisions: vec![Revision {
            from: crate::calendar::parse_day("2020-01-01").unwrap(),
            change_inside_period: PriceChange::NextPeriod,
            to: None,
            tax_percent: None,
            late_fee: None,
            rounding,
            minimum: None,
            cap: None,
            pricing,
        }],
        adjustments: vec![],
    }
}

pub(super) fn meter() -> MeterSetup {
    MeterSetup {
        profile: "sim".into(),
        registers: vec![BillingRegister {
            name: RegisterName::new("energy_import").unwrap(),
            unit: Unit::KilowattHour,
            decimals: 2,
            rollover_at: Some(d("10000")),
            max_per_hour: d("20"),
        }],
        multiplier: Decimal::ONE,
        record_every: Span::from_mins(15),
        stuck_after: Some(Span::from_days(90)),
        offline_after: Span::from_days(62),
        controls: BTreeSet::new(),
    }
}

/// One meter, one account: tiered electricity and a property fee per m².
pub(super) fn small() -> Setup {
    let per_area = Pricing::PerArea(Monthly {
        rate: d("2.10"),
        per: Unit::SquareMetre,
        proration: Proration::ActualDays,
    });
    let charge = |tariff: &str, meter: Option<&str>| Charge {
        meter: meter.map(|m| MeterId::new(m).unwrap()),
        ..Charge::of(TariffId::new(tariff).unwrap())
    };
    Setup {
        zone: "Asia/Shanghai".into(),
        close_grace: Span::from_hours(48),
        meters: BTreeMap::from([(MeterId::new("m-1").unwrap(), meter())]),
        accounts: BTreeMap::from([(
            AccountId::new("a-1").unwrap(),
            AccountSetup {
                building: "1".into(),
                area_m2: Some(d("89.53")),
                charges: BTreeMap::from([
                    (ItemId::new("electricity").unwrap(), charge("tiered", Some("m-1"))),
                    (ItemId::new("property").unwrap(), charge("area", None)),
                ]),
                ..AccountSetup::default()
            },
        )]),
        tariffs: BTreeMap::from([
            (TariffId::new("tiered").unwrap(), tiered()),
            (TariffId::new("area").unwrap(), tariff(per_area, Rounding::PerLine)),
        ]),
        ..Setup::default()
    }
}

/// What a test shows of events, one line each.
pub(super) fn shown(events: &[Event]) -> Vec<String> {
    let reading = |r: &Reading| match &r.verdict {
        Verdict::Opened => format!("opened {}", r.value),
        Verdict::Accepted { used, .. } => format!("accepted {} used {used}", r.value),
        Verdict::Rollover { used, .. } => format!("rollover {} used {used}", r.value),
        Verdict::Exchanged { used, .. } => format!("exchanged {} used {used}", r.value),
        Verdict::Rebased { .. } => format!("rebased {}", r.value),
        Verdict::Estimated { used, .. } => format!("estimated {} used {used}", r.value),
        Verdict::Held { why, .. } => format!("held {} {why:?}", r.value),
    };
    let mut lines = Vec::new();
    for event in events {
        match event {
            Event::Reading { readings } => lines.extend(readings.iter().map(reading)),
            Event::Bill(b) => lines.push(format!(
                "bill {} {} {}..{} {}",
                b.account, b.item, b.period.from, b.period.to, b.total_fen
            )),
            Event::Ledger(c) => {
                let why: Vec<String> =
                    c.unbilled.iter().map(|u| format!("{}={}", u.item, u.why)).collect();
                lines.push(
                    format!("closed {} {} {}", c.bills, c.total_fen, why.join(" "))
                        .trim_end()
                        .to_owned(),
                );
            }
            Event::Alarm(a) => {
                lines.push(format!("alarm {} {:?}", crate::alarm::word(a.code), a.change));
            }
            Event::Payment(p) => {
                let json = serde_json::to_value(&p.movement).unwrap();
                lines.push(format!("payment {} {}", p.account, json["what"].as_str().unwrap()));
            }
            Event::Notice(n) => {
                lines.push(format!("notice {} {:?} {}", n.account, n.reason, n.amount_fen));
            }
            Event::Parking(parking) => {
                let json = serde_json::to_value(parking).unwrap();
                let means =
                    json["means"]["of"].as_str().map(|m| format!(" {m}")).unwrap_or_default();
                let told = json["told"].as_str().map(|t| format!(" {t}")).unwrap_or_default();
                lines.push(format!("parking {}{means}{told}", json["what"].as_str().unwrap()));
            }
            Event::Door(door) => {
                let json = serde_json::to_value(door).unwrap();
                lines.push(format!("door {}", json["what"].as_str().unwrap()));
            }
            Event::Gap(g) => lines.push(format!("gap {}", g.missing)),
            Event::Audit(crate::event::Audit::Command { outcome, detail, .. }) => {
                lines.push(format!("outcome {outcome:?} {detail}").trim_end().to_owned());
            }
            Event::Audit(audit) => {
                let json = serde_json::to_value(audit).unwrap();
                lines.push(format!("audit {}", json["what"].as_str().unwrap()));
            }
        }
    }
    lines
}

/// A world whose charges began on 1 March 2026 with a reading of 1000.
pub(super) fn begun() -> World {
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &small());
    world.read("2026-03-01T00:00:00+08:00", "1000");
    assert_eq!(shown(&world.tick("2026-03-01T00:00:01+08:00")), ["audit charges-began"]);
    world
}
