//! Measures the Block on one core: readings a second, and the close of a month.
//!
//! `cargo run --release -p blockgate-rules --example speed`

#![allow(clippy::print_stdout)]

use blockgate_rules::event::Event;
use blockgate_rules::setup::{AccountSetup, BillingRegister, Charge, MeterSetup, Setup};
use blockgate_rules::tariff::TariffFile;
use blockgate_rules::{Block, Input};
use blockgate_types::{
    AccountId, ClockState, Decimal, ItemId, MeterId, Observation, RegisterName, RegisterSpec, Role,
    Span, Time, Unit, Values,
};
use std::sync::Arc;

const METERS: u32 = 1_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (name, every) in
        [("every poll kept", Span::ZERO), ("one poll in 15 kept", Span::from_mins(15))]
    {
        let mut block = Block::new();
        let mut seq = 0;
        let start: Time = "2026-03-01T00:00:00+08:00".parse()?;
        feed(
            &mut block,
            &mut seq,
            &Input::Setup { now: start, setup: Box::new(setup(every, false)?) },
        );
        for input in observations(start, 1) {
            feed(&mut block, &mut seq, &input);
        }
        feed(&mut block, &mut seq, &Input::Tick { now: start, clock: ClockState::Synced });
        let polls = observations(start.plus(Span::from_mins(1)), 60);
        // A measurement needs a clock; the rules have none.
        #[allow(clippy::disallowed_methods)]
        let began = std::time::Instant::now();
        for input in &polls {
            feed(&mut block, &mut seq, input);
        }
        let took = began.elapsed();
        let each = took.as_nanos() / u128::try_from(polls.len())?;
        println!("{name}: {} observations, {each} ns each", polls.len());
    }
    close()
}

fn feed(block: &mut Block, seq: &mut u64, input: &Input) -> usize {
    let mut out = Vec::new();
    block.decide(input, &mut out);
    for event in &out {
        *seq += 1;
        block.apply(*seq, event);
    }
    block.notice(input);
    out.iter().filter(|event| matches!(event, Event::Bill(_))).count()
}

/// One poll a minute of each meter.
fn observations(start: Time, minutes: i64) -> Vec<Input> {
    let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
        name: RegisterName::new("energy_import").unwrap_or_else(|e| panic!("{e}")),
        unit: Unit::KilowattHour,
        role: Role::Billing,
        decimals: 2,
        rollover_digits: None,
    }]);
    let mut polls = Vec::new();
    for minute in 0..minutes {
        for meter in 0..METERS {
            let Ok(meter) = MeterId::new(&format!("m-{meter:04}")) else { continue };
            let at = start.plus(Span::from_mins(minute));
            let value = Decimal::new(100_000 + minute, 2);
            let values = Values { specs: specs.clone(), values: vec![Some(value)] };
            polls.push(Input::Observed(Observation { meter, at, outcome: Ok(values) }));
        }
    }
    polls
}

fn setup(record_every: Span, by_window: bool) -> Result<Setup, Box<dyn std::error::Error>> {
    let files = [
        include_str!("../tariffs/electricity.toml"),
        include_str!("../tariffs/water.toml"),
        include_str!("../tariffs/property.toml"),
    ];
    let mut setup = Setup {
        zone: "Asia/Shanghai".to_owned(),
        close_grace: Span::from_hours(48),
        ..Setup::default()
    };
    for text in files {
        let tariffs = TariffFile::parse(text, "").map_err(|e| format!("{e:?}"))?;
        setup.tariffs.extend(tariffs);
    }
    for n in 0..METERS {
        let meter = MeterId::new(&format!("m-{n:04}"))?;
        let register = BillingRegister {
            name: RegisterName::new("energy_import")?,
            unit: Unit::KilowattHour,
            decimals: 2,
            rollover_at: None,
            max_per_hour: Decimal::from(20),
        };
        setup.meters.insert(
            meter.clone(),
            MeterSetup {
                profile: "speed".to_owned(),
                registers: vec![register],
                multiplier: Decimal::ONE,
                record_every,
                stuck_after: None,
                offline_after: Span::from_hours(2),
                controls: std::collections::BTreeSet::new(),
            },
        );
        let mut account = AccountSetup {
            building: "1".to_owned(),
            area_m2: Some(Decimal::new(8953, 2)),
            persons: Some(3),
            ..AccountSetup::default()
        };
        for (item, tariff, metered) in [
            ("electricity", "electricity-tiered", true),
            ("electricity-2", "electricity-tiered-year", true),
            ("electricity-3", "electricity-tou", true),
            ("electricity-4", "electricity-tiered-tou", true),
            ("water", "electricity-tiered", true),
            ("gas", "electricity-tiered-year", true),
            ("property", "property-fee", false),
            ("garbage", "garbage-fee", false),
        ] {
            if tariff.ends_with("tou") && !by_window {
                continue;
            }
            let meter = metered.then(|| meter.clone());
            let charge = Charge { meter, ..Charge::of(tariff.parse()?) };
            account.charges.insert(ItemId::new(item)?, charge);
        }
        setup.accounts.insert(AccountId::new(&format!("a-{n:04}"))?, account);
    }
    Ok(setup)
}

/// A month of readings, then its close.
fn close() -> Result<(), Box<dyn std::error::Error>> {
    let (mut block, mut seq) = (Block::new(), 0);
    let start: Time = "2026-03-01T00:00:00+08:00".parse()?;
    let end: Time = "2026-04-01T00:00:00+08:00".parse()?;
    feed(
        &mut block,
        &mut seq,
        &Input::Setup { now: start, setup: Box::new(setup(Span::ZERO, true)?) },
    );
    feed(&mut block, &mut seq, &Input::Tick { now: start, clock: ClockState::Synced });
    for hour in 0..=31 * 24 {
        let at = start.plus(Span::from_hours(hour));
        for mut input in observations(at, 1) {
            if let Input::Observed(Observation { outcome: Ok(values), .. }) = &mut input {
                values.values = vec![Some(Decimal::new(100_000 + hour * 37, 2))];
            }
            feed(&mut block, &mut seq, &input);
        }
    }
    #[allow(clippy::disallowed_methods)]
    let began = std::time::Instant::now();
    let mut out = Vec::new();
    block.decide(&Input::Tick { now: end, clock: ClockState::Synced }, &mut out);
    let decided = began.elapsed();
    let bills = out.iter().filter(|event| matches!(event, Event::Bill(_))).count();
    for event in &out {
        seq += 1;
        block.apply(seq, event);
    }
    let applied = began.elapsed().saturating_sub(decided);
    println!("close: {bills} bills of {METERS} households: decide {decided:?}, apply {applied:?}");
    Ok(())
}
