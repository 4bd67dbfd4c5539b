//! Rules that change, begin, end and divide inside a period, in the Block.

use super::*;
use crate::calendar::{Month, parse_day};

fn day(text: &str) -> Day {
    parse_day(text).unwrap()
}

/// A block with one metered item by a tariff, open since 1 March 2026 at 1000.
fn metered(tariff: Tariff, change: impl Fn(&mut AccountSetup)) -> (World, Setup) {
    let mut setup = small();
    setup.tariffs.insert(TariffId::new("tiered").unwrap(), tariff);
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.retain(|item, _| item.as_str() == "electricity");
    change(account);
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    (world, setup)
}

/// The lines of the bills among events.
fn lines(events: &[Event]) -> String {
    let mut lines = Vec::new();
    for event in events {
        if let Event::Bill(bill) = event {
            let each =
                bill.lines.iter().map(|l| format!("{} {}", l.quantity.normalize(), l.amount_fen));
            lines.push(format!("{} = {}", each.collect::<Vec<_>>().join(", "), bill.total_fen));
        }
    }
    lines.join("; ")
}

fn two_prices(change: PriceChange, from: &str) -> Tariff {
    let mut tariff = tiered();
    for (n, (price, from)) in [("2.00", "2020-01-01"), ("2.50", from)].into_iter().enumerate() {
        let mut revision = tariff.revisions[0].clone();
        revision.from = day(from);
        revision.change_inside_period = change;
        let Pricing::Metered(metered) = &mut revision.pricing else { panic!() };
        metered.tiering = Tiering::Single;
        metered.tiers.truncate(1);
        metered.tiers[0].up_to = None;
        metered.tiers[0].prices = BTreeMap::from([("charge".into(), d(price))]);
        if n == 0 { tariff.revisions[0] = revision } else { tariff.revisions.push(revision) }
    }
    tariff
}

#[test]
fn a_price_change_is_divided_by_readings_or_goes_by_the_reading_date() {
    let run = |change: PriceChange, readings: &[(&str, &str)]| {
        let (mut world, _) = metered(two_prices(change, "2026-03-13"), |_| {});
        for (at, value) in readings {
            world.read(&format!("2026-{at}:00+08:00"), value);
        }
        let events = world.tick("2026-04-01T00:00:01+08:00");
        assert_eq!(world.replayed(), world.block);
        lines(&events)
    };
    let end = ("04-01T00:00", "1060");
    // A reading at the change itself.
    let at = run(PriceChange::ByReadings, &[("03-12T12:00", "1040"), ("03-13T00:00", "1050"), end]);
    assert_eq!(at, "50 100.00, 10 25.00 = 125.00");
    // The change lies half way between two readings: 1040 and 1050.
    let between =
        run(PriceChange::ByReadings, &[("03-12T12:00", "1040"), ("03-13T12:00", "1050"), end]);
    assert_eq!(between, "45 90.00, 15 37.50 = 127.50");
    // Nothing was read in between: 12 of 31 days, by time between the two readings.
    let none = run(PriceChange::ByReadings, &[end]);
    assert_eq!(none, "23.225806 46.45, 36.774194 91.94 = 138.39");
    let date = run(PriceChange::ReadingDate, &[("03-13T00:00", "1050"), end]);
    assert_eq!(date, "60 150.00 = 150.00");
    let days = run(PriceChange::ByDays, &[("03-13T00:00", "1050"), end]);
    assert_eq!(days, "23.225806 46.45, 36.774194 91.94 = 138.39");
}

#[test]
fn a_price_of_the_reading_date_changes_nothing_that_ended_before_it() {
    let (mut world, _) = metered(two_prices(PriceChange::ReadingDate, "2026-04-01"), |_| {});
    world.read("2026-04-01T00:00:00+08:00", "1060");
    let march = world.tick("2026-04-01T00:00:01+08:00");
    assert_eq!(lines(&march), "60 120.00 = 120.00");
    world.read("2026-05-01T00:00:00+08:00", "1120");
    assert_eq!(lines(&world.tick("2026-05-01T00:00:01+08:00")), "60 150.00 = 150.00");
}

fn yearly(terms: CycleTerms, months: u32) -> Tariff {
    let mut tariff = tiered();
    let Pricing::Metered(metered) = &mut tariff.revisions[0].pricing else { panic!() };
    metered.tiering = match months {
        12 => Tiering::Year { reset: (1, 1), terms },
        _ => Tiering::Months { months, reset: (1, 1), terms },
    };
    metered.tiers = vec![metered.tiers[0].clone(), metered.tiers[1].clone()];
    metered.tiers[0].up_to = Some(d("120"));
    metered.tiers[1].up_to = None;
    metered.tiers[0].prices = BTreeMap::from([("charge".into(), d("1"))]);
    metered.tiers[1].prices = BTreeMap::from([("charge".into(), d("2"))]);
    tariff
}

#[test]
fn a_charge_that_begins_inside_a_tier_period_has_the_quota_of_the_rest() {
    let terms = |part_quota| CycleTerms {
        part_quota,
        bound_rounding: BoundRounding::None,
        new_occupant: NewOccupant::Inherit,
    };
    // From 1 March: 10 of 12 months, 306 of 365 days; 2 of 4 months; a whole period of 2.
    for (months, part, want) in [
        (12, PartQuota::Whole, "120 120.00, 30 60.00 = 180.00"),
        (12, PartQuota::ByMonths, "100 100.00, 50 100.00 = 200.00"),
        (12, PartQuota::ByDays, "100.602739726027 100.60, 49.397260273973 98.79 = 199.39"),
        (4, PartQuota::ByMonths, "60 60.00, 90 180.00 = 240.00"),
        (2, PartQuota::ByMonths, "120 120.00, 30 60.00 = 180.00"),
    ] {
        let (mut world, _) = metered(yearly(terms(part), months), |_| {});
        world.read("2026-04-01T00:00:00+08:00", "1150");
        assert_eq!(lines(&world.tick("2026-04-01T00:00:01+08:00")), want, "{months} {part:?}");
        // The counter goes on to the end of its period, then begins anew with the whole quota.
        world.read("2026-05-01T00:00:00+08:00", "1200");
        world.tick("2026-05-01T00:00:01+08:00");
        world.read("2026-06-01T00:00:00+08:00", "1300");
        let may = lines(&world.tick("2026-06-01T00:00:01+08:00"));
        let anew = if months == 12 { "100 200.00 = 200.00" } else { "100 100.00 = 100.00" };
        assert_eq!(may, anew, "{months} {part:?}");
        assert_eq!(world.replayed(), world.block);
    }
}

#[test]
fn a_new_occupant_inherits_the_counter_or_begins_anew() {
    for (new_occupant, want) in [
        (NewOccupant::Inherit, "31 62.00 = 62.00"),
        // 16 days of the old occupant at the second tier, 15 of the new one at the first.
        (NewOccupant::Reset, "16 32.00, 15 15.00 = 47.00"),
    ] {
        let terms = CycleTerms {
            part_quota: PartQuota::ByMonths,
            bound_rounding: BoundRounding::Down,
            new_occupant,
        };
        let (mut world, mut setup) = metered(yearly(terms, 12), |_| {});
        world.read("2026-05-01T00:00:00+08:00", "1200");
        world.tick("2026-05-03T00:00:01+08:00");
        world.tick("2026-05-03T00:00:02+08:00");
        setup.accounts.values_mut().for_each(|a| a.occupied_from = Some(day("2026-05-17")));
        world.setup("2026-05-17T10:00:00+08:00", &setup);
        world.read("2026-06-01T00:00:00+08:00", "1231");
        assert_eq!(lines(&world.tick("2026-06-01T00:00:01+08:00")), want);
        assert_eq!(world.replayed(), world.block);
    }
}

#[test]
fn items_are_billed_on_their_days_and_to_whom_is_there_then() {
    let dated = |rate: &str, per, due| {
        let pricing = Pricing::Dated(Dated { rate: d(rate), per, due });
        tariff(pricing, Rounding::PerLine)
    };
    let half = |on: &str| Instalment { on: day(on), share: d("0.5") };
    let mut setup = small();
    for (id, rule) in [
        (
            "once",
            dated(
                "99.99",
                Unit::Household,
                DueOn::Once { instalments: vec![half("2026-03-10"), half("2026-04-10")] },
            ),
        ),
        (
            "season",
            dated(
                "24",
                Unit::SquareMetre,
                DueOn::Yearly {
                    instalments: vec![YearlyInstalment { on: (3, 31), share: d("1") }],
                },
            ),
        ),
        (
            "quarter",
            dated("450", Unit::Space, DueOn::Every { months: 3, first: day("2026-01-01") }),
        ),
    ] {
        setup.tariffs.insert(TariffId::new(id).unwrap(), rule);
    }
    let account = setup.accounts.values_mut().next().unwrap();
    account.spaces = Some(2);
    setup.meters.clear();
    account.charges = ["once", "season", "quarter"]
        .into_iter()
        .map(|id| (ItemId::new(id).unwrap(), Charge::of(TariffId::new(id).unwrap())))
        .collect();
    let mut world = World::default();
    world.setup("2026-03-05T00:00:00+08:00", &setup);
    world.tick("2026-03-05T00:00:01+08:00");
    let mut seen = Vec::new();
    for at in ["2026-04-01", "2026-05-01", "2026-06-01"] {
        seen.extend(shown(&world.tick(&format!("{at}T00:00:01+08:00"))));
    }
    assert_eq!(
        seen,
        [
            "bill a-1 once 2026-03-05..2026-04-01 50.00",
            "bill a-1 season 2026-03-05..2026-04-01 2148.72",
            "closed 2 2198.72",
            "bill a-1 once 2026-04-01..2026-05-01 49.99",
            "bill a-1 quarter 2026-03-05..2026-05-01 900.00",
            "closed 2 949.99",
            "closed 0 0.00",
        ]
    );
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_discount_that_begins_inside_a_period_is_for_its_own_days() {
    let mut rule = tiered();
    let Pricing::Metered(plain) = &mut rule.revisions[0].pricing else { panic!() };
    plain.tiering = Tiering::Single;
    plain.tiers =
        vec![Tier { up_to: None, prices: BTreeMap::from([("charge".into(), d("1"))]), flat: None }];
    rule.adjustments = vec![Adjustment {
        accounts: vec![AccountId::new("a-1").unwrap()],
        from: day("2026-03-17"),
        to: None,
        reason: text("low income"),
        change: Change::Discount { percent: d("50") },
    }];
    let (mut world, _) = metered(rule, |_| {});
    world.read("2026-04-01T00:00:00+08:00", "1310");
    let march = lines(&world.tick("2026-04-01T00:00:01+08:00"));
    assert_eq!(march, "160 160.00, 150 150.00, 1 -75.00 = 235.00");
}

#[test]
fn a_month_of_thirty_days_is_a_whole_one_wherever_its_price_changes() {
    // Month, day of the change, and what 30.00 a month become when 60.00 hold from then on.
    let cases = [
        ("2026-01", 1, "60.00"),
        ("2026-01", 2, "1.00+58.00"),
        ("2026-01", 16, "15.00+30.00"),
        ("2026-01", 31, "30.00"),
        ("2026-02", 2, "1.00+58.00"),
        ("2026-02", 3, "2.00+56.00"),
        ("2026-02", 15, "14.00+32.00"),
        ("2026-02", 28, "27.00+6.00"),
        ("2026-04", 16, "15.00+30.00"),
        ("2026-04", 30, "29.00+2.00"),
    ];
    for (month, on, want) in cases {
        let price =
            |rate| Monthly { rate: d(rate), per: Unit::Month, proration: Proration::Fixed30 };
        let mut fixed = tariff(Pricing::Fixed(price("30.00")), Rounding::PerLine);
        let mut next = fixed.revisions[0].clone();
        (next.from, next.pricing) =
            (day(&format!("{month}-{on:02}")), Pricing::Fixed(price("60.00")));
        next.change_inside_period = PriceChange::ByDays;
        fixed.revisions.push(next);
        let (mut setup, mut world) = (small(), World::default());
        let account = setup.accounts.values_mut().next().unwrap();
        account.charges.retain(|item, _| item.as_str() == "property");
        setup.meters.clear();
        setup.tariffs = BTreeMap::from([(TariffId::new("area").unwrap(), fixed)]);
        let first = day(&format!("{month}-01"));
        world.setup(&format!("{first}T00:00:00+08:00"), &setup);
        world.tick(&format!("{first}T00:00:01+08:00"));
        let events = world.tick(&format!("{}T00:00:01+08:00", Month::of(first).next().first()));
        let got: Vec<String> = events
            .iter()
            .filter_map(|event| if let Event::Bill(bill) = event { Some(bill) } else { None })
            .flat_map(|bill| bill.lines.iter().map(|line| line.amount_fen.to_string()))
            .collect();
        assert_eq!(got.join("+"), want, "{month} from {on}");
    }
}
