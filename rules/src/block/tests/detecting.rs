//! The anomaly rules in the Block.

use super::alarms::{alarm, order};
use super::*;
use crate::act::Acted;
use crate::anomaly::care::{CheckFound, FeedbackVerdict, Urgency};
use crate::anomaly::parse;
use crate::anomaly::rule::Lasting;
use crate::event::{Alarm, AlarmChange, AlarmCode, Audit, Outcome, Severity};
use crate::input::{Order, RecordPayment};
use crate::ledger::{Channel, Toward};
use blockgate_types::{Act, ActResult, Control, MeterState, ValveTo};

const START: &str = "2026-01-05T00:00:00+08:00";

/// Two water meters of one household each and a public electricity meter, with these rules.
fn water(rules: &str) -> Setup {
    let register = |name: &str, unit, decimals| BillingRegister {
        name: RegisterName::new(name).unwrap(),
        unit,
        decimals,
        rollover_at: None,
        max_per_hour: d("50"),
    };
    let meter = |register| MeterSetup {
        registers: vec![register],
        record_every: Span::ZERO,
        stuck_after: None,
        offline_after: Span::from_days(3000),
        controls: BTreeSet::from([Control::Valve]),
        ..meter()
    };
    let volume = || register("volume", Unit::CubicMetre, 3);
    let mut setup = Setup {
        zone: "Asia/Shanghai".into(),
        close_grace: Span::from_hours(1),
        anomalies: parse::read(rules).unwrap_or_else(|faults| panic!("{faults:?}")),
        ..Setup::default()
    };
    for (id, meter) in
        [("w-1", meter(volume())), ("w-2", meter(volume())), ("w-9", meter(volume()))]
    {
        setup.meters.insert(MeterId::new(id).unwrap(), meter);
    }
    let light = meter(register("energy_import", Unit::KilowattHour, 2));
    setup.meters.insert(MeterId::new("e-9").unwrap(), light);
    for (account, id, minus) in
        [("a-1", "w-1", vec![]), ("a-2", "w-2", vec![]), ("a-9", "w-9", vec!["w-1", "w-2"])]
    {
        let minus = minus.into_iter().map(|id| crate::setup::SubMeter {
            meter: MeterId::new(id).unwrap(),
            register: RegisterName::new("volume").unwrap(),
        });
        let charge = Charge {
            meter: Some(MeterId::new(id).unwrap()),
            minus: minus.collect(),
            ..Charge::of(TariffId::new("none").unwrap())
        };
        let account_setup = AccountSetup {
            building: "1".into(),
            charges: BTreeMap::from([(ItemId::new("water").unwrap(), charge)]),
            ..AccountSetup::default()
        };
        setup.accounts.insert(AccountId::new(account).unwrap(), account_setup);
    }
    setup
}

/// Reads a meter, with status registers beside the billing one, and ticks.
fn read(
    world: &mut World,
    id: &str,
    at: Time,
    value: Decimal,
    status: &[(&str, i64)],
) -> Vec<Event> {
    let name = if id.starts_with('e') { "energy_import" } else { "volume" };
    let unit = if id.starts_with('e') { Unit::KilowattHour } else { Unit::CubicMetre };
    let spec = |name: &str, unit, role| RegisterSpec {
        name: RegisterName::new(name).unwrap(),
        unit,
        role,
        decimals: 3,
        rollover_digits: None,
    };
    let mut specs = vec![spec(name, unit, Role::Billing)];
    specs.extend(status.iter().map(|(name, _)| spec(name, Unit::One, Role::Status)));
    let mut values = vec![Some(value)];
    values.extend(status.iter().map(|(_, value)| Some(Decimal::from(*value))));
    let values = Values { specs: Arc::from(specs), values };
    let meter = MeterId::new(id).unwrap();
    let observed = Input::Observed(Observation { meter, at, outcome: Ok(values) });
    let mut events = world.feed(&observed);
    // Nothing is closed by an unsynchronised clock: these tests are about alarms.
    events.extend(world.feed(&Input::Tick { now: at, clock: ClockState::Unsynced }));
    events
}

fn litres(n: i64) -> Decimal {
    Decimal::new(n, 3)
}

fn of_rules(events: &[Event]) -> Vec<Alarm> {
    let alarms = events.iter().filter_map(|event| {
        let Event::Alarm(alarm) = event else { return None };
        alarm.rule.is_some().then(|| alarm.clone())
    });
    alarms.collect()
}

fn world_of(rules: &str) -> World {
    let mut world = World::default();
    world.setup(START, &water(rules));
    world
}

fn rule(kind: &str, more: &str) -> String {
    format!(
        "[[anomaly]]\nid = \"r-1\"\nkind = \"{kind}\"\nlabel = {{ zh = \"甲\", en = \"A\" }}\n\
         [[anomaly.revision]]\nfrom = \"2020-01-01\"\nseverity = \"warning\"\n{more}\n"
    )
}

fn flow() -> String {
    rule(
        "continuous_flow",
        "work_order = \"today\"\nclose_valve = \"on_confirmation\"\non_false = { raise_percent = 50 }\n\
         closses_after",
    )
    .replace("closses_after", "closes_after = \"24h\"\nsteps = [ { least = \"0.05\", lasts = \"24h\" } ]")
}

/// Hours of a household that uses 20 L in two of three hours, with a leak from an hour on to another.
fn hours(
    world: &mut World,
    id: &str,
    from: i64,
    to: i64,
    leak: i64,
    value: &mut i64,
) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    for hour in from..to {
        *value += leak + if hour % 3 == 0 { 0 } else { 20 };
        let at = t(START).plus(Span::from_hours(hour));
        alarms.extend(of_rules(&read(world, id, at, litres(*value), &[])));
    }
    alarms
}

#[test]
fn a_leak_opens_an_alarm_with_its_numbers_tells_it_again_and_closes_it_when_it_is_mended() {
    let mut world = world_of(&flow());
    let mut value = 1_000;
    assert_eq!(hours(&mut world, "w-1", 0, 100, 0, &mut value), []);
    let found = hours(&mut world, "w-1", 100, 172, 80, &mut value);
    let changes: Vec<AlarmChange> = found.iter().map(|alarm| alarm.change).collect();
    assert_eq!(changes, [AlarmChange::Raised, AlarmChange::Updated, AlarmChange::Updated]);
    let first = &found[0];
    assert_eq!((first.code, first.severity), (AlarmCode::ContinuousFlow, Severity::Warning));
    assert_eq!(first.at, t(START).plus(Span::from_hours(123)));
    assert_eq!(
        first.text.en,
        "It has flowed for 24 hours without a pause, at least 80 L an hour, 2240 L in all."
    );
    assert!(first.text.zh.contains("80 L") && !first.next.zh.is_empty());
    assert!(first.rule.as_ref().unwrap().starts_with("r-1/2020-01-01/"), "{first:?}");
    let work = first.work_order.clone().unwrap();
    assert_eq!((work.urgency, work.open), (Urgency::Today, true));
    assert_eq!(work.due, first.at.plus(Span::from_days(1)));
    let over = hours(&mut world, "w-1", 172, 240, 0, &mut value);
    assert_eq!(over.last().unwrap().change, AlarmChange::Cleared);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_leak_is_found_all_the_same_when_the_process_starts_anew_every_few_hours() {
    let run = |restart: bool| {
        let mut world = world_of(&flow());
        let mut value = 1_000;
        let mut found = hours(&mut world, "w-1", 0, 50, 0, &mut value);
        for hour in (50..90).step_by(5) {
            found.extend(hours(&mut world, "w-1", hour, hour + 5, 80, &mut value));
            if restart {
                let saved = serde_json::to_string(&world.block).unwrap();
                let block: Block = serde_json::from_str(&saved).unwrap();
                assert_eq!(block, world.block);
                world.block = block;
            }
        }
        found
            .iter()
            .map(|alarm| (alarm.change, alarm.at, alarm.text.en.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(true), run(false));
    assert_eq!(run(false).len(), 1);
}

#[test]
fn a_valve_is_closed_by_the_rule_and_the_person_who_confirms() {
    let mut world = world_of(&flow());
    let mut value = 1_000;
    let id = hours(&mut world, "w-1", 0, 30, 60, &mut value)[0].id.clone();
    let confirm = Order::ConfirmAlarm { alarm: id.clone(), close_valve: true };
    let answer = order(&mut world, "2026-01-06T06:00:01+08:00", confirm);
    let who = alarm(&answer).unwrap().confirmed_by.unwrap();
    let acting = world.block.acts().next().unwrap().clone();
    assert_eq!((acting.meter.as_str(), acting.order), ("w-1", Act::Valve(ValveTo::Close)));
    assert_eq!((acting.actor, acting.alarm), (who, Some(id)));
    let ended = |events: &[Event]| {
        let of = |event: &Event| {
            let Event::Audit(Audit::Command { outcome, .. }) = event else { return None };
            Some(*outcome)
        };
        events.iter().find_map(of)
    };
    assert_eq!(ended(&answer), None, "the valve still moves");
    let done = Acted {
        action: acting.action,
        meter: acting.meter,
        at: t("2026-01-06T06:00:30+08:00"),
        outcome: Outcome::Done,
        result: ActResult::Verified,
        state: Some(MeterState::ValveClosed),
        detail: String::new(),
    };
    assert_eq!(ended(&world.feed(&Input::MeterActed(done))), Some(Outcome::Done));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn an_alarm_never_changes_money() {
    let money = |rules: bool| {
        let mut setup = small();
        if rules {
            setup.anomalies = parse::shipped();
            let text = rule(
                "continuous_flow",
                "closes_after = \"24h\"\nsteps = [ { least = \"0.05\", lasts = \"24h\" } ]",
            );
            setup.anomalies.extend(parse::read(&text).unwrap());
        }
        let mut world = World::default();
        let mut alarms = 0;
        world.setup("2026-03-01T00:00:00+08:00", &setup);
        for hour in 0..=31 * 24 {
            let at = t("2026-03-01T00:00:00+08:00").plus(Span::from_hours(hour));
            alarms +=
                of_rules(&world.feed(&observed("m-1", at, Some(Decimal::from(1000 + hour))))).len();
            alarms +=
                of_rules(&world.feed(&Input::Tick { now: at, clock: ClockState::Synced })).len();
        }
        let money: Vec<String> = world
            .journal
            .iter()
            .filter(|event| matches!(event, Event::Bill(_) | Event::Ledger(_) | Event::Payment(_)))
            .map(|event| {
                let mut json = serde_json::to_value(event).unwrap();
                // The rules are journaled too: the readings' sequence numbers differ by that.
                json.as_object_mut().unwrap().remove("evidence");
                json.to_string()
            })
            .collect();
        (money, serde_json::to_string(world.block.ledger()).unwrap(), alarms)
    };
    let (with, without) = (money(true), money(false));
    assert!(with.2 > 0 && without.2 == 0, "there were alarms to compare with: {}", with.2);
    assert!(with.0.len() >= 3, "and money: {:?}", with.0);
    assert_eq!((with.0, with.1), (without.0, without.1));
}

#[test]
fn feedback_moves_a_threshold_only_by_the_rule_and_says_by_how_much() {
    let mut world = world_of(&flow());
    let mut value = 1_000;
    let id = hours(&mut world, "w-1", 0, 30, 60, &mut value)[0].id.clone();
    let said = |verdict| Order::AlarmFeedback { alarm: id.clone(), verdict, note: String::new() };
    let answer = order(&mut world, "2026-01-06T06:00:01+08:00", said(FeedbackVerdict::Known));
    assert_eq!(alarm(&answer).unwrap().feedback.unwrap().raises_percent, None);
    let answer = order(&mut world, "2026-01-06T06:00:02+08:00", said(FeedbackVerdict::False));
    let noted = alarm(&answer).unwrap();
    assert_eq!(noted.feedback.unwrap().raises_percent, Some(50));
    assert!(!noted.work_order.unwrap().open, "whoever says so has looked");
    // 60 L an hour is below 50 L and a half more; 80 L is not.
    hours(&mut world, "w-1", 30, 80, 0, &mut value);
    assert_eq!(hours(&mut world, "w-1", 80, 140, 60, &mut value), []);
    assert_eq!(hours(&mut world, "w-1", 140, 170, 80, &mut value).len(), 1);
    let month = &world.block.alarm_budget().months[0];
    assert_eq!((month.count.raised, month.count.told_false, month.count.known), (2, 1, 0));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_muted_alarm_sends_nobody_out_and_checks_nothing() {
    let mut world = world_of(&flow());
    let mut value = 1_000;
    let id = hours(&mut world, "w-1", 0, 30, 60, &mut value)[0].id.clone();
    let until = t("2026-02-01T00:00:00Z");
    order(
        &mut world,
        "2026-01-06T06:00:01+08:00",
        Order::MuteAlarm { alarm: id, reason: "pool".into(), until },
    );
    hours(&mut world, "w-1", 30, 80, 0, &mut value);
    let again = hours(&mut world, "w-1", 80, 110, 80, &mut value);
    assert_eq!(again[0].change, AlarmChange::Raised);
    assert_eq!(
        (again[0].work_order.clone(), again[0].muted.clone().unwrap().reason),
        (None, "pool".into())
    );
    assert!(world.block.sampling().is_empty());
    assert_eq!(world.block.alarm_budget().months[0].count.muted, 1);
}

#[test]
fn a_device_check_reads_more_often_and_its_result_is_added_to_the_alarm() {
    let mut world = world_of(
        &flow()
            .replace("closes_after", "check = { lasts = \"10m\", every = \"60s\" }\ncloses_after"),
    );
    let mut value = 1_000;
    hours(&mut world, "w-1", 0, 25, 90, &mut value);
    let wanted = world.block.sampling();
    let names: Vec<&str> = wanted.keys().map(MeterId::as_str).collect();
    assert_eq!(names, ["w-1", "w-9"], "the meter, and the master over it");
    assert_eq!(wanted.values().next(), Some(&Span::from_mins(1)));
    let begun = t(START).plus(Span::from_hours(24));
    let mut found = Vec::new();
    for minute in 1..=11 {
        value += 2;
        let at = begun.plus(Span::from_mins(minute));
        found.extend(of_rules(&read(&mut world, "w-9", at, litres(value + 5_000), &[])));
        found.extend(of_rules(&read(&mut world, "w-1", at, litres(value), &[("valve", 0)])));
    }
    let check = found.into_iter().find_map(|alarm| alarm.check).unwrap();
    assert_eq!(check.found, CheckFound::Flows);
    let of_meter = &check.meters[0];
    assert_eq!((of_meter.per_hour, of_meter.status["valve"].as_str()), (Some(d("0.12")), "0"));
    assert!(world.block.sampling().is_empty(), "and then no more");
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_master_is_checked_with_its_sub_meters_and_the_loss_is_stated() {
    let text = rule("balance", "check = { lasts = \"10m\", every = \"60s\" }\nslack = \"0.005\"\ndeviations = 8\nleast = \"0.2\"")
        .replace("[[anomaly.revision]]", "of = { uses = [\"master\"] }\n[[anomaly.revision]]");
    let mut world = world_of(&text);
    let mut found = Vec::new();
    let (mut one, mut two, mut master) = (0, 0, 0);
    for hour in 0..240 {
        one += 10 + hour % 7;
        two += 20 + hour % 5;
        master += 30 + hour % 7 + hour % 5 + hour % 2 + if hour >= 200 { 50 } else { 0 };
        let at = t(START).plus(Span::from_hours(hour));
        for (id, value) in [("w-1", one), ("w-2", two), ("w-9", master)] {
            found.extend(of_rules(&read(&mut world, id, at, litres(value), &[])));
        }
    }
    let first = &found[0];
    assert_eq!((first.code, first.subject.as_str()), (AlarmCode::Balance, "meter/w-9"));
    assert!(first.at <= t(START).plus(Span::from_hours(210)), "{}", first.at);
    assert!(first.text.en.starts_with("Master less sub-meters is 5"), "{}", first.text.en);
    let checked = found.iter().find_map(|alarm| alarm.check.as_ref().filter(|c| c.to.is_some()));
    assert_eq!(checked.map(|check| check.meters.len()), Some(3));
}

#[test]
fn a_meter_that_runs_backwards_is_told_from_one_misread_value() {
    let text = rule("reverse_flow", "least = \"0.02\"\nfalls = 3");
    let mut world = world_of(&text);
    let t0 = t(START);
    let at = |n: i64| t0.plus(Span::from_hours(n));
    read(&mut world, "w-1", at(0), litres(1_000), &[]);
    read(&mut world, "w-1", at(1), litres(1_100), &[]);
    assert_eq!(of_rules(&read(&mut world, "w-1", at(2), litres(900), &[])), [], "misread once");
    assert_eq!(of_rules(&read(&mut world, "w-1", at(3), litres(1_110), &[])), []);
    let mut found = Vec::new();
    for (n, value) in [(4, 1_100), (5, 1_090), (6, 1_080), (7, 1_070)] {
        found.extend(of_rules(&read(&mut world, "w-1", at(n), litres(value), &[])));
    }
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].text.en, "The register went from 1.11 back to 1.08: 30 L backwards.");
    let over = of_rules(&read(&mut world, "w-1", at(9), litres(1_200), &[]));
    assert_eq!(over[0].change, AlarmChange::Cleared);
}

#[test]
fn a_stuck_meter_is_found_sooner_when_another_meter_shows_that_somebody_is_there() {
    let text = rule(
        "stuck",
        "lasts = \"21d\"\nown_percent = 200\nused_days_percent = 60\noccupied = \"7d\"",
    );
    let mut setup = water(&text);
    let charge = Charge {
        meter: Some(MeterId::new("e-9").unwrap()),
        ..Charge::of(TariffId::new("none").unwrap())
    };
    let account = setup.accounts.get_mut(&"a-1".parse().unwrap()).unwrap();
    account.charges.insert(ItemId::new("electricity").unwrap(), charge);
    let found = |electricity: bool| {
        let mut world = World::default();
        world.setup(START, &setup);
        let (mut water, mut power) = (0, 0);
        for hour in 0..24 * 60 {
            let at = t(START).plus(Span::from_hours(hour));
            let stuck = hour >= 24 * 30;
            water += if stuck || hour % 4 > 0 { 0 } else { 30 };
            power += if stuck && !electricity { 0 } else { 300 };
            let mut alarms = of_rules(&read(&mut world, "w-1", at, litres(water), &[]));
            alarms.extend(of_rules(&read(&mut world, "e-9", at, litres(power), &[])));
            if let Some(alarm) = alarms.iter().find(|alarm| alarm.subject == "meter/w-1") {
                return at.since(t(START)).map(|s| (s.as_millis() / 86_400_000 - 30, alarm.code));
            }
        }
        None
    };
    assert_eq!(found(true), Some((6, AlarmCode::MeterStuck)));
    assert_eq!(found(false), Some((20, AlarmCode::MeterStuck)));
}

#[test]
fn three_days_of_a_building_are_odd_and_one_is_not() {
    let text = rule(
        "unusual_days",
        "whole_building = true\ndays = 3\ndeviations = 6\npercent = 130\nleast = \"0.2\"",
    );
    // Four meters make a building: the rule watches these two and two more.
    let mut setup = water(&text);
    for id in ["w-3", "w-4"] {
        let meter = setup.meters[&"w-1".parse().unwrap()].clone();
        setup.meters.insert(MeterId::new(id).unwrap(), meter);
        let mut account = setup.accounts[&"a-1".parse().unwrap()].clone();
        account.charges.get_mut(&"water".parse().unwrap()).unwrap().meter =
            Some(MeterId::new(id).unwrap());
        setup.accounts.insert(AccountId::new(&format!("a-{id}")).unwrap(), account);
    }
    setup.meters.remove(&"w-9".parse().unwrap());
    setup.accounts.remove(&"a-9".parse().unwrap());
    let found = |odd: std::ops::Range<i64>| {
        let mut world = World::default();
        world.setup(START, &setup);
        let mut alarms = Vec::new();
        for day in 0..60 {
            let at = t(START).plus(Span::from_hours(day * 24));
            for (n, id) in ["w-1", "w-2", "w-3", "w-4"].into_iter().enumerate() {
                let before: i64 = (0..day)
                    .map(|d| 200 + (d * 7) % 11 + if odd.contains(&d) { 150 } else { 0 })
                    .sum();
                let n = i64::try_from(n).unwrap();
                alarms.extend(of_rules(&read(&mut world, id, at, litres(n + before), &[])));
            }
        }
        alarms
    };
    assert_eq!(found(40..41), []);
    let alarms = found(40..44);
    assert_eq!(
        (alarms[0].code, alarms[0].subject.as_str()),
        (AlarmCode::BuildingUse, "building/1")
    );
    assert_eq!(alarms[0].facts["days"], "3");
    assert_eq!(alarms.last().unwrap().change, AlarmChange::Cleared);
}

#[test]
fn months_are_held_against_the_year_before() {
    let household = rule("unusual_months", "months = 3\npercent = 30\nleast = \"1\"");
    let equipment = rule("last_year", "percent = 30\nleast = \"1\"");
    let found = |text: &str, id: &str| {
        let mut world = world_of(text);
        let (mut value, mut alarms) = (0, Vec::new());
        for day in 0..730 {
            // From the eighteenth month on half as much again.
            value += if day >= 510 { 450 } else { 300 };
            let at = t("2026-01-01T00:00:00+08:00").plus(Span::from_days(day));
            alarms.extend(of_rules(&read(&mut world, id, at, litres(value), &[])));
        }
        alarms
    };
    let alarms = found(&household, "w-1");
    let (first, facts) = (&alarms[0], &alarms[0].facts);
    assert_eq!(
        (first.code, facts["months"].as_str(), facts["month"].as_str()),
        (AlarmCode::HouseholdUse, "3", "2027-08")
    );
    let alarms = found(&equipment, "e-9");
    assert_eq!(alarms[0].code, AlarmCode::AboveLastYear);
    assert_eq!(
        (alarms[0].facts["percent"].as_str(), alarms[0].facts["month"].as_str()),
        ("50", "2027-06")
    );
}

#[test]
fn a_lamp_circuit_that_burns_all_night_is_odd_by_its_hours_of_the_week() {
    let text = rule("unusual_hours", "hours = 6\ndeviations = 8\npercent = 150\nleast = \"0.5\"");
    let mut world = world_of(&text);
    let (mut value, mut alarms) = (0, Vec::new());
    for hour in 0..24 * 56 {
        let night = (18..24).contains(&(hour % 24));
        let left_on = (24 * 50..24 * 51).contains(&hour);
        value += if night || left_on { 2_000 } else { 100 };
        let at = t(START).plus(Span::from_hours(hour + 1));
        alarms.extend(of_rules(&read(&mut world, "e-9", at, litres(value), &[])));
    }
    assert_eq!(alarms[0].code, AlarmCode::UnusualUse);
    assert_eq!(alarms[0].at, t(START).plus(Span::from_hours(24 * 50 + 6)));
    assert_eq!(alarms.last().unwrap().change, AlarmChange::Cleared);
}

#[test]
fn flags_and_clocks_of_devices_become_alarms_and_go_with_hysteresis() {
    let flags = rule(
        "device_flag",
        "flags = [ { register = \"battery_low\", meaning = { zh = \"电池不足\", en = \"battery low\" } }, { register = \"st\", mask = 4, meaning = { zh = \"空管\", en = \"empty pipe\" } } ]",
    );
    let mut world = world_of(&flags);
    let at = |n: i64| t(START).plus(Span::from_hours(n));
    let mut turn =
        |n, status: &[(&str, i64)]| of_rules(&read(&mut world, "w-1", at(n), litres(n), status));
    assert_eq!(turn(0, &[("battery_low", 0), ("st", 3)]), []);
    let low = turn(1, &[("battery_low", 1), ("st", 3)]);
    assert_eq!(low[0].text.en, "The device's status battery_low is 1: battery low.");
    assert_eq!(turn(2, &[]), [], "a poll without the register says nothing");
    assert_eq!(turn(3, &[("battery_low", 0), ("st", 4)])[0].facts["meaning_en"], "empty pipe");
    assert_eq!(turn(4, &[("battery_low", 0), ("st", 0)])[0].change, AlarmChange::Cleared);

    let clock = rule("meter_clock", "register = \"device_clock\"\nmost = \"5m\"");
    let mut clocks = world_of(&clock);
    let mut turn = |n: i64, off: i64| {
        let shown = at(n).as_millis() / 1000 + off;
        let found =
            of_rules(&read(&mut clocks, "w-1", at(n), litres(n), &[("device_clock", shown)]));
        found.first().map(|alarm| (alarm.change, alarm.facts["seconds"].clone()))
    };
    assert_eq!(turn(0, 299), None);
    assert_eq!(turn(1, -310), Some((AlarmChange::Raised, "-310".into())));
    assert_eq!(turn(2, -320), None);
    assert_eq!(turn(3, -700), Some((AlarmChange::Updated, "-700".into())));
    assert_eq!(turn(4, -200), None, "not yet good enough");
    assert_eq!(turn(5, 20).map(|turn| turn.0), Some(AlarmChange::Cleared));
}

#[test]
fn a_barrier_that_stays_open_and_a_plate_that_never_leaves_are_told() {
    let text = rule("lasting", "what = \"gate_open\"\nmost = \"10m\"");
    let mut world = world_of(&text);
    let at = |mins: i64| t(START).plus(Span::from_mins(mins));
    let tick = |world: &mut World, mins| {
        of_rules(&world.feed(&Input::Tick { now: at(mins), clock: ClockState::Synced }))
    };
    let state = |world: &mut World, mins, since: Option<Time>| {
        let (now, what, subject) = (at(mins), Lasting::GateOpen, "gate/g-1".to_owned());
        world.feed(&Input::Lasting { now, what, subject, since });
    };
    state(&mut world, 0, Some(at(0)));
    assert_eq!(tick(&mut world, 9), []);
    let open = tick(&mut world, 10);
    assert_eq!((open[0].code, open[0].subject.as_str()), (AlarmCode::GateOpen, "gate/g-1"));
    assert_eq!(open[0].text.en, "The barrier has been open for 10 minutes.");
    state(&mut world, 12, None);
    assert_eq!(tick(&mut world, 13)[0].change, AlarmChange::Cleared);
}

#[test]
fn the_same_payment_again_within_minutes_is_odd_and_changes_nothing() {
    let text = rule("payments", "same_within = \"10m\"\nrefunds_a_day = 3");
    let mut world = World::default();
    let setup = Setup { anomalies: parse::read(&text).unwrap(), ..small() };
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    let mut pay = |now: &str, fen: i64| {
        let payment = RecordPayment {
            account: AccountId::new("a-1").unwrap(),
            amount_fen: Fen(fen),
            channel: Channel::Cash,
            reference: String::new(),
            payer: None,
            toward: Toward::Prepaid,
            pending: false,
            tendered_fen: None,
            paid_on: None,
        };
        order(&mut world, now, Order::RecordPayment(Box::new(payment)));
        of_rules(&world.tick(now))
    };
    assert_eq!(pay("2026-03-02T10:00:00+08:00", 5_000), []);
    assert_eq!(pay("2026-03-02T10:20:00+08:00", 5_000), [], "twenty minutes later");
    let odd = pay("2026-03-02T10:21:00+08:00", 5_000);
    assert_eq!((odd[0].code, odd[0].subject.as_str()), (AlarmCode::OddPayment, "account/a-1"));
    assert_eq!(odd[0].text.en, "the same amount from one household again: 2, 100.00 yuan in all.");
    let over = of_rules(&world.tick("2026-03-10T10:21:00+08:00"));
    assert_eq!(over[0].change, AlarmChange::Cleared);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_rule_that_is_taken_away_takes_its_alarms_with_it() {
    let mut world = world_of(&flow());
    let mut value = 1_000;
    assert_eq!(hours(&mut world, "w-1", 0, 30, 60, &mut value).len(), 1);
    world.setup(
        "2026-01-06T07:00:00+08:00",
        &Setup { anomalies: BTreeMap::new(), ..water(&flow()) },
    );
    let gone = of_rules(&world.tick("2026-01-06T07:00:01+08:00"));
    assert_eq!(gone[0].change, AlarmChange::Cleared);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn who_is_watched_is_worked_out_when_it_is_asked_for_and_not_with_each_record_of_a_set_up() {
    let mut world = begun();
    let plan = |world: &World| world.block.cache.plan.get().map(|plan| plan.meters.len());
    world.read("2026-03-01T01:00:00+08:00", "1001");
    assert_eq!(plan(&world), Some(1), "a reading asks");
    let mut setup = small();
    let households = 3 * SETUP_CHUNK;
    for n in 0..households {
        let mut account = setup.accounts[&AccountId::new("a-1").unwrap()].clone();
        account.charges.values_mut().for_each(|charge| {
            charge.meter = charge.meter.as_ref().map(|_| MeterId::new(&format!("m-b{n}")).unwrap());
        });
        setup.meters.insert(MeterId::new(&format!("m-b{n}")).unwrap(), meter());
        setup.accounts.insert(AccountId::new(&format!("b-{n}")).unwrap(), account);
    }
    let said = world.setup("2026-03-02T00:00:00+08:00", &setup);
    assert!(said.len() >= 6, "{} records", said.len());
    assert_eq!(plan(&world), None, "none of them asks");
    world.read("2026-03-02T01:00:00+08:00", "1002");
    assert_eq!(plan(&world), Some(households + 1));
    // What was learned of a meter stays, until it is gone.
    assert_eq!(world.replayed(), world.block);
    world.setup("2026-03-03T00:00:00+08:00", &Setup::default());
    assert_eq!(world.replayed(), world.block);
}
