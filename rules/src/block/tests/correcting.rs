//! Corrections in the Block: what should have been billed minus what was.

use super::*;
use crate::correction::{Correction, Ground, What};
use crate::event::{Audit, Basis, Bill};
use crate::input::{Command, Order};
use proptest::prelude::*;

fn ground() -> Ground {
    Ground {
        reason: "misread".into(),
        evidence: "photo 17".into(),
        approver: "manager".into(),
        limit: "24 months".into(),
    }
}

pub(super) fn correction(what: What) -> Correction {
    Correction { ground: ground(), since: "2026-01-01".into(), threshold_fen: Fen(0), what }
}

pub(super) fn bills(world: &World) -> Vec<Bill> {
    let bill = |event: &Event| match event {
        Event::Bill(bill) => Some((**bill).clone()),
        Event::Reading { .. }
        | Event::Ledger(_)
        | Event::Payment(_)
        | Event::Alarm(_)
        | Event::Notice(_)
        | Event::Parking(_)
        | Event::Door(_)
        | Event::Gap(_)
        | Event::Audit(_) => None,
    };
    world.journal.iter().filter_map(bill).collect()
}

/// Orders a correction and hands in the bills, as the gateway does.
pub(super) fn correct(world: &mut World, id: &str, correction: &Correction) -> Vec<String> {
    let now = t("2027-03-01T12:00:00+08:00");
    let id = CommandId::new(id).unwrap();
    let mut events = world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: id.clone(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "manager".into(),
            order: Order::Correct(Box::new(correction.clone())),
        },
    });
    let issued = bills(world);
    let correction = Box::new(correction.clone());
    events.extend(world.feed(&Input::Correct { now, id, correction, issued }));
    assert_eq!(world.replayed(), world.block);
    // Each household whose bills changed is told: a test of its own looks at that.
    events.retain(|event| !matches!(event, Event::Notice(_)));
    shown(&events)
}

/// A year of the first days of months: a block whose electricity is billed by a tariff, and the
/// readings from 1 January on.
pub(super) fn year(tariff: Tariff, readings: &[&str]) -> World {
    let mut setup = small();
    setup.tariffs.insert(TariffId::new("tiered").unwrap(), tariff);
    setup.meters.values_mut().for_each(|m| {
        m.registers[0].max_per_hour = d("1000");
        m.offline_after = Span::from_days(400);
    });
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.retain(|item, _| item.as_str() == "electricity");
    let mut world = World::default();
    world.setup("2026-01-01T00:00:00+08:00", &setup);
    for (n, value) in readings.iter().enumerate() {
        let at = format!("{}-{:02}-01", 2026 + n / 12, n % 12 + 1);
        world.read(&format!("{at}T00:00:00+08:00"), value);
        world.tick(&format!("{at}T00:00:01+08:00"));
    }
    world
}

/// Two tiers at 1 and 2 yuan with a bound.
pub(super) fn tiers(tiering: Tiering, bound: &str) -> Tariff {
    let mut tariff = tiered();
    let Pricing::Metered(metered) = &mut tariff.revisions[0].pricing else { panic!() };
    metered.tiering = tiering;
    metered.tiers.truncate(2);
    metered.tiers[0].up_to = Some(d(bound));
    metered.tiers[1].up_to = None;
    metered.tiers[0].prices = BTreeMap::from([("charge".into(), d("1.111"))]);
    metered.tiers[1].prices = BTreeMap::from([("charge".into(), d("2.222"))]);
    tariff
}

fn by_year(bound: &str) -> Tariff {
    tiers(Tiering::Year { reset: (1, 1), terms: CycleTerms::default() }, bound)
}

pub(super) fn by_month(bound: &str) -> Tariff {
    tiers(Tiering::Month { catch_up: CatchUp::ScaleQuota }, bound)
}

/// The id of the reading that closed bill number `n`.
fn closing_reading(world: &World, n: usize) -> ReadingId {
    bills(world)[n].evidence[0].to.reading
}

pub(super) fn misread(reading: ReadingId, value: &str) -> Correction {
    correction(What::Reading {
        meter: MeterId::new("m-1").unwrap(),
        register: RegisterName::new("energy_import").unwrap(),
        reading,
        value: d(value),
    })
}

/// Everything that was billed, by period.
pub(super) fn billed(world: &World) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for bill in bills(world) {
        let key = format!("{} {} {}", bill.account, bill.item, bill.period.from);
        *sums.entry(key).or_insert(0) += bill.total_fen.0;
    }
    sums
}

#[test]
fn a_wrong_reading_inside_a_tier_year_moves_money_between_the_bills_and_no_more() {
    // The first of March was read as 900 instead of 400.
    let mut world = year(by_year("500"), &["0", "200", "900", "950", "1000"]);
    let before = bills(&world);
    let wrong = misread(closing_reading(&world, 1), "400");
    let said = correct(&mut world, "c-1", &wrong);
    assert_eq!(
        said,
        [
            "audit command-accepted",
            "audit reading-corrected",
            "audit corrected",
            // 700 and 50 had been billed, 200 and 550 should have been.
            "bill a-1 electricity 2026-02-01..2026-03-01 -999.90",
            "bill a-1 electricity 2026-03-01..2026-04-01 999.90",
            "outcome Done 2 differences, 0.00",
        ]
    );
    // Issued bills stay as they are, byte for byte.
    assert_eq!(bills(&world)[..before.len()], before[..]);
    let difference = &bills(&world)[before.len()];
    assert_eq!(difference.lines[0].amount_fen.0, -before[1].total_fen.0);
    assert_eq!(difference.corrects.as_ref().unwrap().bill, before[1].bill);
    assert_eq!(difference.evidence[0].to.value, d("400"));
    // What an undisturbed year would have billed.
    let right = year(by_year("500"), &["0", "200", "400", "950", "1000"]);
    assert_eq!(billed(&world), billed(&right));
    // Again yields nothing but the answer.
    let again = correct(&mut world, "c-2", &wrong);
    assert_eq!(again, ["audit command-accepted", "outcome Done 0 differences, 0.00"]);
}

#[test]
fn monthly_tiers_are_rated_again_in_both_neighbouring_months() {
    let mut world = year(by_month("300"), &["0", "200", "900", "950", "1000"]);
    let wrong = misread(closing_reading(&world, 1), "400");
    correct(&mut world, "c-1", &wrong);
    let right = year(by_month("300"), &["0", "200", "400", "950", "1000"]);
    assert_eq!(billed(&world), billed(&right));
    assert_eq!(bills(&world).len(), 6);
}

#[test]
fn the_last_reading_is_put_right_where_the_next_bill_begins_and_counters_follow() {
    let mut world = year(by_year("500"), &["0", "200", "900"]);
    let wrong = misread(closing_reading(&world, 1), "400");
    correct(&mut world, "c-1", &wrong);
    world.read("2026-04-01T00:00:00+08:00", "650");
    world.tick("2026-04-01T00:00:01+08:00");
    let right = year(by_year("500"), &["0", "200", "400", "650"]);
    assert_eq!(billed(&world), billed(&right));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_change_of_price_that_came_late_changes_nothing_that_ended_before_it() {
    // 0.59 a unit, from the first of March 0.65: 18 in February, 20 in March, 17 in April.
    let priced = |late: bool| {
        let mut tariff = tiers(Tiering::Single, "1");
        let Pricing::Metered(metered) = &mut tariff.revisions[0].pricing else { panic!() };
        metered.tiers.truncate(1);
        metered.tiers[0].up_to = None;
        metered.tiers[0].prices = BTreeMap::from([("charge".into(), d("0.59"))]);
        if late {
            let mut second = tariff.revisions[0].clone();
            second.from = crate::calendar::parse_day("2026-03-01").unwrap();
            let Pricing::Metered(metered) = &mut second.pricing else { panic!() };
            metered.tiers[0].prices = BTreeMap::from([("charge".into(), d("0.65"))]);
            tariff.revisions.push(second);
        }
        tariff
    };
    let mut world = year(priced(false), &["0", "10", "28", "48", "65"]);
    let mut setup = world.block.setup().clone();
    setup.tariffs.insert(TariffId::new("tiered").unwrap(), priced(true));
    world.setup("2026-05-02T00:00:00+08:00", &setup);
    let again = correction(What::Tariff { tariff: TariffId::new("tiered").unwrap() });
    assert_eq!(
        correct(&mut world, "c-1", &again)[1..],
        [
            "audit corrected",
            "bill a-1 electricity 2026-03-01..2026-04-01 1.20",
            "bill a-1 electricity 2026-04-01..2026-05-01 1.02",
            "outcome Done 2 differences, 2.22",
        ]
    );
    assert_eq!(correct(&mut world, "c-2", &again).len(), 2);
    // Below a threshold nothing is billed, and the record says so.
    let mut small = year(priced(false), &["0", "10", "28", "48", "65"]);
    small.setup("2026-05-02T00:00:00+08:00", &setup);
    let careful = Correction { threshold_fen: Fen(110), ..again };
    let said = correct(&mut small, "c-1", &careful);
    assert_eq!(said.last().unwrap(), "outcome Done 2 differences, 1.20");
    let waived: Vec<bool> =
        bills(&small).iter().filter_map(|b| b.corrects.as_ref()).map(|c| c.waived).collect();
    assert_eq!(waived, [false, true]);
    assert_eq!(correct(&mut small, "c-2", &careful).len(), 2);
}

#[test]
fn a_wrong_area_is_rated_again_from_the_day_that_the_limit_allows() {
    let mut world = begun();
    for month in 4..7 {
        world.tick(&format!("2026-{month:02}-04T00:00:01+08:00"));
    }
    let wrong = Correction {
        since: "2026-04-01".into(),
        ..correction(What::Basis {
            account: AccountId::new("a-1").unwrap(),
            basis: Basis { area_m2: Some(d("98.53")), ..Basis::default() },
        })
    };
    assert_eq!(
        correct(&mut world, "c-1", &wrong)[1..],
        [
            "audit corrected",
            "bill a-1 property 2026-04-01..2026-05-01 18.90",
            "bill a-1 property 2026-05-01..2026-06-01 18.90",
            "outcome Done 2 differences, 37.80",
        ]
    );
    assert_eq!(correct(&mut world, "c-2", &wrong).len(), 2);
}

#[test]
fn charges_that_were_bound_to_each_others_meters_are_billed_by_their_own() {
    let mut setup = small();
    let other = |setup: &mut Setup| {
        let mut second = setup.accounts.values().next().unwrap().clone();
        let charge = second.charges.get_mut(&ItemId::new("electricity").unwrap()).unwrap();
        charge.meter = Some(MeterId::new("m-2").unwrap());
        setup.accounts.insert(AccountId::new("a-2").unwrap(), second);
    };
    other(&mut setup);
    setup.meters.insert(MeterId::new("m-2").unwrap(), meter());
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    let at = |day: &str| t(&format!("2026-{day}T00:00:00+08:00"));
    for (day, one, two) in [("03-01", "0", "0"), ("04-01", "100", "300")] {
        world.feed(&observed("m-1", at(day), Some(d(one))));
        world.feed(&observed("m-2", at(day), Some(d(two))));
        world.tick(&format!("2026-{day}T00:00:01+08:00"));
    }
    let bound = |account: &str, meter: &str| {
        correction(What::Meter {
            account: AccountId::new(account).unwrap(),
            item: ItemId::new("electricity").unwrap(),
            meter: MeterId::new(meter).unwrap(),
            register: RegisterName::new("energy_import").unwrap(),
        })
    };
    assert_eq!(
        correct(&mut world, "c-1", &bound("a-1", "m-2"))[2],
        "bill a-1 electricity 2026-03-01..2026-04-01 100.66"
    );
    assert_eq!(
        correct(&mut world, "c-2", &bound("a-2", "m-1"))[2],
        "bill a-2 electricity 2026-03-01..2026-04-01 -100.66"
    );
    assert_eq!(correct(&mut world, "c-3", &bound("a-1", "m-2")).len(), 2);
    let lost = correct(&mut world, "c-4", &bound("a-1", "m-9"));
    assert!(lost[1].starts_with("outcome Refused no bill names readings of meter m-9"), "{lost:?}");
}

#[test]
fn a_wrong_ratio_holds_for_the_whole_time_and_a_fast_meter_for_half_of_it() {
    let ratio = |up: &str, over: &str, part: &str| {
        correction(What::Quantity {
            meter: MeterId::new("m-1").unwrap(),
            register: RegisterName::new("energy_import").unwrap(),
            times: d(up),
            over: d(over),
            part: d(part),
        })
    };
    // 31 units of the register at 30 instead of 40.
    let mut world = year(by_month("100000"), &["0", "930", "1860"]);
    correct(&mut world, "c-1", &ratio("40", "30", "1"));
    assert_eq!(billed(&world), billed(&year(by_month("100000"), &["0", "1240", "2480"])));
    assert_eq!(correct(&mut world, "c-2", &ratio("40", "30", "1")).len(), 2);
    // Fast by 4 percent, 1200 metered: half of it is 600, of which 300/13 were not used.
    let mut fast = year(by_month("100000"), &["0", "1200"]);
    correct(&mut fast, "c-1", &ratio("100", "104", "0.5"));
    let difference = bills(&fast).pop().unwrap();
    assert_eq!(difference.evidence[0].used, d("1176.923077"));
}

#[test]
fn what_a_correction_lacks_is_told_and_nothing_changes() {
    let world = || year(by_year("500"), &["0", "200", "900", "950"]);
    let reading = closing_reading(&world(), 1);
    let plain = misread(reading, "400");
    let without = |change: &dyn Fn(&mut Correction)| {
        let mut wrong = plain.clone();
        change(&mut wrong);
        let mut world = world();
        let before = bills(&world);
        let said = correct(&mut world, "c-1", &wrong);
        assert_eq!(bills(&world), before);
        said.last().unwrap().clone()
    };
    type Change = Box<dyn Fn(&mut Correction)>;
    let cases: [(Change, &str); 8] = [
        (Box::new(|c: &mut Correction| c.ground.reason.clear()), "reason code"),
        (Box::new(|c: &mut Correction| c.ground.evidence.clear()), "evidence"),
        (Box::new(|c: &mut Correction| c.ground.approver = " ".into()), "approver"),
        (Box::new(|c: &mut Correction| c.ground.limit.clear()), "how far back"),
        (Box::new(|c: &mut Correction| c.since = "2026".into()), "is not a day"),
        (Box::new(|c: &mut Correction| c.threshold_fen = Fen(-1)), "negative"),
        (Box::new(move |c: &mut Correction| c.what = misread(reading, "1000").what), "negative"),
        (
            Box::new(|c: &mut Correction| {
                c.what = misread(ReadingId { seq: 9_999, index: 0 }, "1").what;
            }),
            "knows this reading",
        ),
    ];
    for (change, want) in &cases {
        let said = without(change.as_ref());
        assert!(said.starts_with("outcome Refused") && said.contains(want), "{want}: {said}");
    }
}

#[test]
fn a_correction_is_told_to_wait_for_bills_that_are_not_durable_yet() {
    let mut world = year(by_year("500"), &["0", "200", "900", "950", "1000"]);
    let wrong = misread(closing_reading(&world, 1), "400");
    let stale = bills(&world);
    correct(&mut world, "c-1", &wrong);
    let now = t("2027-03-01T12:00:00+08:00");
    let id = CommandId::new("c-2").unwrap();
    world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: id.clone(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "manager".into(),
            order: Order::Correct(Box::new(wrong.clone())),
        },
    });
    let events =
        world.feed(&Input::Correct { now, id, correction: Box::new(wrong), issued: stale });
    assert_eq!(
        shown(&events),
        ["outcome Refused an earlier correction is not durable yet: try again"]
    );
    let Some(Event::Audit(Audit::Command { .. })) = events.first() else { panic!() };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// C1, C2, C3: after corrections in any order, what was billed is what the right readings make.
    #[test]
    fn after_corrections_the_bills_are_those_of_the_right_readings(
        steps in proptest::collection::vec((1_i64..400, -90_i64..90), 4..16),
        order in proptest::collection::vec(0_usize..16, 1..8),
        yearly in any::<bool>(),
        bound in 50_i64..2_000,
    ) {
        let bound = bound.to_string();
        let tariff = || if yearly { by_year(&bound) } else { by_month(&bound) };
        let mut value = 10_000;
        let mut right = vec![value];
        let mut wrong = vec![value];
        for (step, error) in &steps {
            value += 100 + step;
            right.push(value);
            wrong.push(value + error / 2);
        }
        let places: BTreeSet<usize> = order.iter().map(|n| n % steps.len()).collect();
        let mut read = right.clone();
        for place in &places {
            read[place + 1] = wrong[place + 1];
        }
        let texts = |values: &[i64]| -> Vec<String> {
            values.iter().map(|v| Decimal::new(*v, 1).to_string()).collect()
        };
        let (read, right) = (texts(&read), texts(&right));
        let run = |texts: &[String]| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            year(tariff(), &texts)
        };
        let mut world = run(&read);
        let issued = bills(&world);
        for (n, place) in order.iter().map(|n| n % steps.len()).enumerate() {
            let fix = misread(issued[place].evidence[0].to.reading, &right[place + 1]);
            correct(&mut world, &format!("c-{n}"), &fix);
            let again = correct(&mut world, &format!("again-{n}"), &fix);
            prop_assert_eq!(again.len(), 2);
        }
        prop_assert_eq!(&bills(&world)[..issued.len()], &issued[..]);
        prop_assert_eq!(billed(&world), billed(&run(&right)));
    }
}
