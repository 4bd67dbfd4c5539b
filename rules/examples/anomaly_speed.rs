//! What the shipped anomaly rules cost: a fortnight of quarter-hour readings of water meters through
//! the Block, with the rules and without them, in the same run.
//!
//! `cargo run --release -p blockgate-rules --example anomaly_speed`

#![allow(clippy::print_stdout)]

use blockgate_rules::anomaly::parse::{self, Rules};
use blockgate_rules::setup::{AccountSetup, BillingRegister, Charge, MeterSetup, Setup};
use blockgate_rules::{Block, Input};
use blockgate_types::{
    AccountId, ClockState, Decimal, ItemId, MeterId, Observation, RegisterName, RegisterSpec, Role,
    Span, TariffId, Time, Unit, Values,
};
use std::sync::Arc;
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

const METERS: u32 = 500;
const SLOTS: i64 = 14 * 96;

fn main() -> Result<(), Failure> {
    let (without, bare) = run(&Rules::new())?;
    let (with, watched) = run(&parse::shipped())?;
    let samples = u64::from(METERS) * u64::try_from(SLOTS)?;
    let each = |took: Duration| took.as_nanos() / u128::from(samples);
    println!("{samples} readings of {METERS} water meters, decide and apply, one core:");
    println!("  without anomaly rules   {} ns each", each(without));
    println!("  with the shipped rules  {} ns each", each(with));
    let cost = each(with).saturating_sub(each(without)).max(1);
    println!(
        "  the detectors           {cost} ns each, {} % of the rest",
        cost * 100 / each(without).max(1)
    );
    // 4,000 meters each 900 s: nanoseconds of work in a second, as a part of a second.
    let ppm = cost * 4_000 / 900 / 1_000;
    println!("4,000 meters at 15 minutes: {ppm} millionths of one core (1 % is 10000)");
    println!("state: {} bytes of checkpoint a meter", (watched - bare) / u64::from(METERS));
    Ok(())
}

/// The time of the readings, and the length of the checkpoint after them.
fn run(rules: &Rules) -> Result<(Duration, u64), Failure> {
    let (mut block, mut seq) = (Block::new(), 0);
    let start: Time = "2026-03-01T00:00:00+08:00".parse()?;
    let setup = Box::new(setup(rules)?);
    feed(&mut block, &mut seq, &Input::Setup { now: start, setup });
    let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
        name: RegisterName::new("volume")?,
        unit: Unit::CubicMetre,
        role: Role::Billing,
        decimals: 3,
        rollover_digits: None,
    }]);
    let mut took = Duration::ZERO;
    for slot in 0..SLOTS {
        let at = start.plus(Span::from_mins(slot * 15));
        let mut polls = Vec::new();
        for n in 0..METERS {
            // A morning, an evening, and nothing at night.
            let hour = slot / 4 % 24;
            let day = slot / 96;
            let used = (hour - 6).clamp(0, 3) + (hour - 18).clamp(0, 4);
            let litres = day * 300 + used * 40 + i64::from(n) + slot % 4 * used.min(1);
            let values =
                Values { specs: specs.clone(), values: vec![Some(Decimal::new(litres, 3))] };
            let meter = MeterId::new(&format!("w-{n:04}"))?;
            polls.push(Input::Observed(Observation { meter, at, outcome: Ok(values) }));
        }
        // A measurement needs a clock; the rules have none.
        #[allow(clippy::disallowed_methods)]
        let began = std::time::Instant::now();
        for input in &polls {
            feed(&mut block, &mut seq, input);
        }
        let clock = ClockState::Unsynced;
        feed(&mut block, &mut seq, &Input::Tick { now: at, clock });
        took += began.elapsed();
    }
    Ok((took, u64::try_from(serde_json::to_vec(&block)?.len())?))
}

fn feed(block: &mut Block, seq: &mut u64, input: &Input) {
    let mut out = Vec::new();
    block.decide(input, &mut out);
    for event in &out {
        *seq += 1;
        block.apply(*seq, event);
    }
    block.notice(input);
}

fn setup(rules: &Rules) -> Result<Setup, Failure> {
    let mut setup = Setup {
        zone: "Asia/Shanghai".to_owned(),
        close_grace: Span::from_hours(48),
        anomalies: rules.clone(),
        ..Setup::default()
    };
    for n in 0..METERS {
        let meter = MeterId::new(&format!("w-{n:04}"))?;
        let register = BillingRegister {
            name: RegisterName::new("volume")?,
            unit: Unit::CubicMetre,
            decimals: 3,
            rollover_at: None,
            max_per_hour: Decimal::from(5),
        };
        setup.meters.insert(
            meter.clone(),
            MeterSetup {
                profile: "water".to_owned(),
                registers: vec![register],
                multiplier: Decimal::ONE,
                record_every: Span::from_mins(15),
                stuck_after: None,
                offline_after: Span::from_days(3650),
                controls: std::collections::BTreeSet::new(),
            },
        );
        let charge = Charge { meter: Some(meter), ..Charge::of(TariffId::new("water")?) };
        let account = AccountSetup {
            building: (n / 100).to_string(),
            charges: [(ItemId::new("water")?, charge)].into(),
            ..AccountSetup::default()
        };
        setup.accounts.insert(AccountId::new(&format!("a-{n:04}"))?, account);
    }
    Ok(setup)
}
