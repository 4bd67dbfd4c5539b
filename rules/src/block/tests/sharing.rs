//! Shared costs in the Block.

use super::*;
use crate::apportionment::*;

fn id(text: &str) -> AccountId {
    AccountId::new(text).unwrap()
}

fn item(text: &str) -> ItemId {
    ItemId::new(text).unwrap()
}

fn rule(parts: Vec<(&str, Weighting)>) -> Apportionment {
    let portion = |(percent, by)| Portion { percent: d(percent), by };
    Apportionment {
        label: text("lift, shared"),
        item: item("lift-share"),
        direction: Direction::Cost,
        among: Members { buildings: vec!["1".into()], ..Members::default() },
        parts: parts.into_iter().map(portion).collect(),
        borne_percent: None,
        tie_break: TieBreak::Account,
        loss: None,
    }
}

/// The public account's lift is metered by m-1; three accounts of building 1 share its cost; one
/// unit costs one yuan.
fn block(rule: Apportionment) -> Setup {
    let mut setup = small();
    let mut tariff = tiered();
    let Pricing::Metered(metered) = &mut tariff.revisions[0].pricing else { panic!() };
    metered.tiering = Tiering::Single;
    let prices = BTreeMap::from([("charge".to_owned(), d("1"))]);
    metered.tiers = vec![Tier { up_to: None, prices, flat: None }];
    setup.tariffs.insert(TariffId::new("one").unwrap(), tariff);
    setup.apportionments.insert(TariffId::new("lift").unwrap(), rule);
    let charge = Charge {
        meter: Some(MeterId::new("m-1").unwrap()),
        share: Some(TariffId::new("lift").unwrap()),
        ..Charge::of(TariffId::new("one").unwrap())
    };
    let public = AccountSetup {
        building: "public".into(),
        charges: BTreeMap::from([(item("lift"), charge)]),
        ..AccountSetup::default()
    };
    setup.accounts = BTreeMap::from([(id("public"), public)]);
    for (account, area, floor) in [("a-1", "89.53", 1), ("a-2", "120.66", 2), ("a-3", "64.2", 7)] {
        let account_setup = AccountSetup {
            building: "1".into(),
            area_m2: Some(d(area)),
            floor: Some(floor),
            ..AccountSetup::default()
        };
        setup.accounts.insert(id(account), account_setup);
    }
    for sub in ["m-2", "m-3"] {
        setup.meters.insert(MeterId::new(sub).unwrap(), meter());
    }
    setup
}

fn begin(setup: &Setup) -> World {
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", setup);
    for meter in ["m-1", "m-2", "m-3"] {
        world.feed(&observed(meter, t("2026-03-01T00:00:00+08:00"), Some(d("1000"))));
    }
    world.tick("2026-03-01T00:00:01+08:00");
    world
}

fn read(world: &mut World, meter: &str, value: &str) {
    world.feed(&observed(meter, t("2026-04-01T00:00:00+08:00"), Some(d(value))));
}

fn close(world: &mut World) -> Vec<String> {
    let events = world.tick("2026-04-01T00:00:01+08:00");
    assert_eq!(world.replayed(), world.block);
    shown(&events)
}

#[test]
fn a_cost_is_shared_to_the_fen_and_taken_out_of_its_own_bill() {
    let mut world = begin(&block(rule(vec![("100", Weighting::Area)])));
    read(&mut world, "m-1", "1100.01");
    let events = world.tick("2026-04-01T00:00:01+08:00");
    assert_eq!(
        shown(&events),
        [
            "bill public lift 2026-03-01..2026-04-01 0.00",
            "bill a-1 lift-share 2026-03-01..2026-04-01 32.63",
            "bill a-2 lift-share 2026-03-01..2026-04-01 43.98",
            "bill a-3 lift-share 2026-03-01..2026-04-01 23.40",
            "closed 4 100.01",
        ]
    );
    let (Event::Bill(cost), Event::Bill(share)) = (&events[0], &events[1]) else { panic!() };
    let lines: Vec<i64> = cost.lines.iter().map(|line| line.amount_fen.0).collect();
    assert_eq!(lines, [10_001, -10_001]);
    // The page can show why: 32.6301… of 100.01 by 89.53 of 274.39 m2, its place among remainders.
    let why = share.share.as_ref().unwrap();
    assert_eq!((why.total_fen, &why.bill), (Fen(10_001), &cost.bill));
    assert_eq!((why.parts[0].weights, why.parts[0].own.weight), (d("274.39"), d("89.53")));
    let extra: Vec<bool> =
        cost.apportioned.as_ref().unwrap().members.iter().map(|m| m.parts[0].extra).collect();
    assert_eq!(extra.iter().filter(|extra| **extra).count(), 2);
    assert_eq!(world.replayed(), world.block);
    // Nothing is shared twice.
    assert_eq!(shown(&world.tick("2026-04-01T00:00:30+08:00")), [""; 0]);
}

#[test]
fn a_crash_between_the_shares_leaves_none_out_and_none_twice() {
    let setup = block(rule(vec![("100", Weighting::Area)]));
    let mut undisturbed = begin(&setup);
    read(&mut undisturbed, "m-1", "1100.01");
    let whole = undisturbed.tick("2026-04-01T00:00:01+08:00");
    for kept in 1..whole.len() {
        let mut world = begin(&setup);
        read(&mut world, "m-1", "1100.01");
        for event in whole.iter().take(kept) {
            world.journal.push(event.clone());
            let seq = u64::try_from(world.journal.len()).unwrap();
            world.block.apply(seq, event);
        }
        // Meanwhile somebody moved a wall: the shares are those of the cost's bill all the same.
        let mut moved = setup.clone();
        moved.accounts.get_mut(&id("a-3")).unwrap().area_m2 = Some(d("500"));
        world.setup("2026-04-01T00:00:20+08:00", &moved);
        world.tick("2026-04-01T00:00:30+08:00");
        let bills = |events: &[Event]| -> Vec<String> {
            let bill = |e: &Event| match e {
                Event::Bill(b) => Some(format!("{} {} {}", b.bill, b.account, b.total_fen)),
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
            events.iter().filter_map(bill).collect()
        };
        assert_eq!(bills(&world.journal), bills(&whole), "after {kept}");
        assert_eq!(world.replayed(), world.block);
    }
}

#[test]
fn parts_by_floor_and_by_usage_and_what_the_block_bears_itself() {
    let floors = vec![
        FloorWeight { from: 1, weight: d("0") },
        FloorWeight { from: 2, weight: d("1") },
        FloorWeight { from: 7, weight: d("3") },
    ];
    let mut by = rule(vec![
        ("40", Weighting::Floor { floors }),
        ("60", Weighting::Usage { item: item("water") }),
    ]);
    by.borne_percent = Some(d("10"));
    let mut setup = block(by);
    for (account, meter) in [("a-1", "m-2"), ("a-2", "m-3")] {
        let charge = Charge {
            meter: Some(MeterId::new(meter).unwrap()),
            ..Charge::of(TariffId::new("one").unwrap())
        };
        setup.accounts.get_mut(&id(account)).unwrap().charges.insert(item("water"), charge);
    }
    let mut world = begin(&setup);
    read(&mut world, "m-1", "1100");
    read(&mut world, "m-2", "1010");
    read(&mut world, "m-3", "1020");
    // 90 shared: 36 by floors 0, 1, 3; 54 by water 10, 20, 0. Ten stay with the public account.
    assert_eq!(
        close(&mut world),
        [
            "bill a-1 water 2026-03-01..2026-04-01 10.00",
            "bill a-2 water 2026-03-01..2026-04-01 20.00",
            "bill public lift 2026-03-01..2026-04-01 10.00",
            "bill a-1 lift-share 2026-03-01..2026-04-01 18.00",
            "bill a-2 lift-share 2026-03-01..2026-04-01 45.00",
            "bill a-3 lift-share 2026-03-01..2026-04-01 27.00",
            "closed 6 130.00",
        ]
    );
}

fn with_loss(above: AboveBound) -> Setup {
    let mut by = rule(vec![("100", Weighting::Household)]);
    by.loss = Some(LossBound { max_percent: d("10"), above, skew_max: Span::from_hours(1) });
    let mut setup = block(by);
    let sub = |meter: &str| crate::setup::SubMeter {
        meter: MeterId::new(meter).unwrap(),
        register: RegisterName::new("energy_import").unwrap(),
    };
    let public = setup.accounts.get_mut(&id("public")).unwrap();
    public.charges.get_mut(&item("lift")).unwrap().minus = vec![sub("m-2"), sub("m-3")];
    setup
}

#[test]
fn a_loss_is_what_the_master_counts_beyond_its_subs_and_has_a_bound() {
    for (above, subs, want) in [
        // 100 by the master, 97 by the subs.
        (AboveBound::Hold, ["1047", "1050"], "bill public lift 2026-03-01..2026-04-01 0.00"),
        (AboveBound::Hold, ["1100", "1000.01"], "alarm loss Raised"),
        (AboveBound::Hold, ["1040", "1049.99"], "alarm loss Raised"),
        (AboveBound::Cap, ["1040", "1049.99"], "bill public lift 2026-03-01..2026-04-01 0.00"),
    ] {
        let mut world = begin(&with_loss(above));
        read(&mut world, "m-1", "1100");
        read(&mut world, "m-2", subs[0]);
        read(&mut world, "m-3", subs[1]);
        let said = close(&mut world);
        assert_eq!(said[0], want, "{above:?} {subs:?} {said:?}");
        if said[0].starts_with("bill") {
            let shared = if above == AboveBound::Cap { "closed 4 10.00" } else { "closed 4 3.00" };
            assert_eq!(said[4], shared);
            // The next period goes on from the same readings: nothing used, nothing lost.
            let bill = world.journal.iter().find_map(|event| match event {
                Event::Bill(bill) if bill.apportioned.is_some() => Some(bill.clone()),
                Event::Bill(_)
                | Event::Reading { .. }
                | Event::Ledger(_)
                | Event::Payment(_)
                | Event::Alarm(_)
                | Event::Notice(_)
                | Event::Parking(_)
                | Event::Door(_)
                | Event::Gap(_)
                | Event::Audit(_) => None,
            });
            assert_eq!(bill.unwrap().minus.len(), 2);
        } else {
            let word = if subs[0] == "1100" { "negative-loss" } else { "loss-above-bound" };
            assert_eq!(said.last().unwrap(), &format!("closed 0 0.00 lift={word}"));
        }
    }
}

#[test]
fn readings_that_lie_too_far_apart_make_no_loss() {
    let mut world = begin(&with_loss(AboveBound::Hold));
    read(&mut world, "m-1", "1100");
    read(&mut world, "m-2", "1050");
    world.feed(&observed("m-3", t("2026-04-01T01:00:01+08:00"), Some(d("1050"))));
    let events = world.tick("2026-04-01T02:00:00+08:00");
    assert_eq!(shown(&events).last().unwrap(), "closed 0 0.00 lift=skew");
}

#[test]
fn an_income_is_given_out_by_the_same_shares() {
    let mut by = rule(vec![("100", Weighting::Area)]);
    by.direction = Direction::Income;
    let mut world = begin(&block(by));
    read(&mut world, "m-1", "1100.01");
    assert_eq!(
        close(&mut world)[1..4],
        [
            "bill a-1 lift-share 2026-03-01..2026-04-01 -32.63",
            "bill a-2 lift-share 2026-03-01..2026-04-01 -43.98",
            "bill a-3 lift-share 2026-03-01..2026-04-01 -23.40",
        ]
    );
}

#[test]
fn a_cost_that_nobody_would_pay_stays_unbilled() {
    let by = rule(vec![("100", Weighting::Table { weights: BTreeMap::new() })]);
    let mut world = begin(&block(by));
    read(&mut world, "m-1", "1100");
    assert_eq!(close(&mut world).last().unwrap(), "closed 0 0.00 lift=no-positive-weight");
}

fn what_is_left(world: &World) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for event in &world.journal {
        if let Event::Bill(bill) = event {
            assert_eq!(Fen::sum(bill.lines.iter().map(|l| l.amount_fen)), Some(bill.total_fen));
            *sums.entry(format!("{} {}", bill.account, bill.item)).or_insert(0) += bill.total_fen.0;
        }
    }
    sums
}

#[test]
fn a_corrected_cost_is_shared_anew_and_a_corrected_use_is_a_corrected_weight() {
    use super::correcting::{correct, correction, misread};
    use crate::correction::What;
    let run = |lift: &str, water: &str, area: &str| {
        let mut setup = block(rule(vec![
            ("40", Weighting::Area),
            ("60", Weighting::Usage { item: item("water") }),
        ]));
        setup.accounts.get_mut(&id("a-3")).unwrap().area_m2 = Some(d(area));
        for (account, meter) in [("a-1", "m-2"), ("a-2", "m-3")] {
            let charge = Charge {
                meter: Some(MeterId::new(meter).unwrap()),
                ..Charge::of(TariffId::new("one").unwrap())
            };
            setup.accounts.get_mut(&id(account)).unwrap().charges.insert(item("water"), charge);
        }
        let mut world = begin(&setup);
        read(&mut world, "m-1", lift);
        read(&mut world, "m-2", water);
        read(&mut world, "m-3", "1020.01");
        close(&mut world);
        world
    };
    let mut world = run("1100.01", "1010", "64.2");
    let closing = |world: &World, account: &str| {
        let mut bills = world.journal.iter().filter_map(|event| match event {
            Event::Bill(bill) if bill.account.as_str() == account && !bill.evidence.is_empty() => {
                Some((bill.bill.clone(), bill.evidence[0].to.reading))
            }
            Event::Bill(_)
            | Event::Reading { .. }
            | Event::Ledger(_)
            | Event::Payment(_)
            | Event::Alarm(_)
            | Event::Notice(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Gap(_)
            | Event::Audit(_) => None,
        });
        bills.next().unwrap()
    };
    let (cost, lift) = closing(&world, "public");
    let other_meter = |world: &mut World, name: &str, meter: &str, reading, value: &str| {
        let mut fix = misread(reading, value);
        if let What::Reading { meter: of, .. } = &mut fix.what {
            *of = MeterId::new(meter).unwrap();
        }
        correct(world, name, &fix);
        assert_eq!(correct(world, &format!("{name}-again"), &fix).len(), 2);
    };
    other_meter(&mut world, "c-1", "m-1", lift, "1207.77");
    assert_eq!(what_is_left(&world), what_is_left(&run("1207.77", "1010", "64.2")));
    let (_, water) = closing(&world, "a-1");
    other_meter(&mut world, "c-2", "m-2", water, "1033");
    assert_eq!(what_is_left(&world), what_is_left(&run("1207.77", "1033", "64.2")));
    let weights = BTreeMap::from([(id("a-3"), "99.9".to_owned())]);
    let wrong_area = correction(What::Weights { bill: cost, part: 1, weights });
    correct(&mut world, "c-3", &wrong_area);
    assert_eq!(what_is_left(&world), what_is_left(&run("1207.77", "1033", "99.9")));
    assert_eq!(correct(&mut world, "c-4", &wrong_area).len(), 2);
}
