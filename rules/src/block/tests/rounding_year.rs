//! Rounded once a year in the Block: whatever happens in a year, its bills add up to its rounded sum.

use super::correcting::{bills, correct, correction};
use super::*;
use crate::correction::What;
use crate::event::{Basis, Bill};

const BY_YEAR: Rounding = Rounding::PerYear { begins: (1, 1) };

fn day(text: &str) -> Day {
    crate::calendar::parse_day(text).unwrap()
}

fn fee(rounding: Rounding) -> Tariff {
    let price =
        Monthly { rate: d("2.10"), per: Unit::SquareMetre, proration: Proration::ActualDays };
    tariff(Pricing::PerArea(price), rounding)
}

/// A price of its own from a day on.
fn from(tariff: &mut Tariff, on: &str, rate: &str) {
    let mut next = tariff.revisions[0].clone();
    next.from = day(on);
    next.change_inside_period = PriceChange::ByDays;
    let Pricing::PerArea(monthly) = &mut next.pricing else { panic!() };
    monthly.rate = d(rate);
    tariff.revisions.push(next);
}

/// One household of 77.77 m² with a property fee.
fn block(tariff: Tariff) -> Setup {
    let mut setup = small();
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.retain(|item, _| item.as_str() == "property");
    account.area_m2 = Some(d("77.77"));
    setup.meters.clear();
    setup.tariffs = BTreeMap::from([(TariffId::new("area").unwrap(), tariff)]);
    setup
}

fn account(setup: &mut Setup) -> &mut AccountSetup {
    setup.accounts.values_mut().next().unwrap()
}

fn begun_on(on: &str, setup: &Setup) -> World {
    let mut world = World::default();
    world.setup(&format!("{on}T00:00:00+08:00"), setup);
    world.tick(&format!("{on}T00:00:01+08:00"));
    world
}

/// Lets the months before these first days pass.
fn close(world: &mut World, firsts: &[&str]) {
    for first in firsts {
        world.tick(&format!("{first}T00:00:01+08:00"));
        // A second look finds nothing to do.
        assert_eq!(shown(&world.tick(&format!("{first}T00:00:09+08:00"))), [""; 0]);
    }
    assert_eq!(world.replayed(), world.block);
}

/// The first days of the months after those of a year.
const REST: [&str; 12] = [
    "2026-02-01",
    "2026-03-01",
    "2026-04-01",
    "2026-05-01",
    "2026-06-01",
    "2026-07-01",
    "2026-08-01",
    "2026-09-01",
    "2026-10-01",
    "2026-11-01",
    "2026-12-01",
    "2027-01-01",
];

fn total(world: &World) -> i64 {
    bills(world).iter().map(|bill| bill.total_fen.0).sum()
}

/// Every bill goes on from where the one before it left its year, and is what the year says.
fn is_followed(world: &World) {
    let mut years: BTreeMap<String, crate::rounding_year::YearSum> = BTreeMap::new();
    for bill in bills(world) {
        let lines: i64 = bill.lines.iter().map(|line| line.amount_fen.0).sum();
        assert_eq!(lines, bill.total_fen.0, "{bill:?}");
        for rounded in &bill.rounded_years {
            let known = years.get(&rounded.year).copied().unwrap_or_default();
            assert_eq!(rounded.before, known, "{bill:?}");
            assert_eq!(Fen::round(rounded.after.exact), Some(rounded.after.billed_fen));
            years.insert(rounded.year.clone(), rounded.after);
        }
    }
}

#[test]
fn twelve_monthly_bills_add_up_to_the_year_rounded_once() {
    let mut world = begun_on("2026-01-01", &block(fee(BY_YEAR)));
    close(&mut world, &REST);
    assert_eq!(total(&world), 195_980);
    let mut apart = begun_on("2026-01-01", &block(fee(Rounding::PerLine)));
    close(&mut apart, &REST);
    assert_eq!(total(&apart), 195_984);
    let amounts: Vec<String> = bills(&world).iter().map(|b| b.total_fen.to_string()).collect();
    assert_eq!(amounts[..4], ["163.32", "163.31", "163.32", "163.32"]);
    is_followed(&world);
    // The next year begins anew.
    close(&mut world, &["2027-02-01"]);
    let last = bills(&world).pop().unwrap();
    assert_eq!(last.total_fen.to_string(), "163.32");
    assert_eq!(last.rounded_years[0].year, "2027-01-01");
    assert_eq!(last.rounded_years[0].before, crate::rounding_year::YearSum::default());
}

#[test]
fn a_year_that_begins_in_april_and_a_charge_that_begins_in_a_month_are_rounded_once_too() {
    let april = fee(Rounding::PerYear { begins: (4, 1) });
    let mut world = begun_on("2026-02-12", &block(april));
    close(&mut world, &REST[1..]);
    // 17 of 28 days of February, March; then April to December by themselves.
    let february = d("163.317") * d("17") / d("28");
    let first = Fen::round(february + d("163.317")).unwrap();
    let rest = Fen::round(d("163.317") * d("9")).unwrap();
    assert_eq!(total(&world), first.0 + rest.0);
    is_followed(&world);
}

#[test]
fn a_price_that_changes_inside_the_year_and_inside_a_month_goes_on_with_its_sum() {
    let mut tariff = fee(BY_YEAR);
    from(&mut tariff, "2026-07-11", "2.30");
    let mut world = begun_on("2026-01-01", &block(tariff));
    close(&mut world, &REST);
    let (old, new) = (d("163.317"), d("178.871"));
    let july = old * d("10") / d("31") + new * d("21") / d("31");
    let year = old * d("6") + july + new * d("5");
    assert_eq!(Some(Fen(total(&world))), Fen::round(year));
    is_followed(&world);
}

#[test]
fn a_new_occupant_begins_sums_of_their_own() {
    let mut setup = block(fee(BY_YEAR));
    let mut world = begun_on("2026-01-01", &setup);
    close(&mut world, &REST[..4]);
    account(&mut setup).occupied_from = Some(day("2026-05-15"));
    world.setup("2026-05-15T09:00:00+08:00", &setup);
    close(&mut world, &REST[4..]);
    let years: Vec<String> =
        bills(&world).iter().map(|bill| bill.rounded_years[0].year.clone()).collect();
    // The month in which the household changes is still the old one's bill.
    assert_eq!(years[4..6], ["2026-01-01", "2026-01-01/2026-05-15"]);
    // 816.585 and 1,143.219.
    assert_eq!(total(&world), 81_659 + 114_322);
    is_followed(&world);
}

#[test]
fn a_move_out_bills_its_days_in_the_old_years_sums_and_who_comes_begins_with_the_rest() {
    use crate::input::{Command, Order};
    let mut setup = block(fee(BY_YEAR));
    let mut world = begun_on("2026-01-01", &setup);
    close(&mut world, &REST[..4]);
    let now = t("2026-05-14T19:00:00+08:00");
    let order = Order::MoveOut(Box::new(crate::settlement::MoveOut {
        account: AccountId::new("a-1").unwrap(),
        until: "2026-05-15".into(),
        inspection: String::new(),
        damages: vec![],
        deduct: false,
        channel: None,
    }));
    world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: CommandId::new("m-1").unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "desk".into(),
            order,
        },
    });
    account(&mut setup).occupied_from = Some(day("2026-05-15"));
    world.setup("2026-05-15T09:00:00+08:00", &setup);
    close(&mut world, &REST[4..]);
    let month = d("163.317");
    let old = Fen::round(month * d("4") + month * d("14") / d("31")).unwrap();
    let new = Fen::round(month * d("17") / d("31") + month * d("7")).unwrap();
    assert_eq!(bills(&world).len(), 13);
    assert_eq!(total(&world), old.0 + new.0);
    is_followed(&world);
}

#[test]
fn a_bill_that_catches_up_over_the_turn_of_the_year_is_in_both_years() {
    let mut setup = block(fee(BY_YEAR));
    let mut world = begun_on("2026-10-01", &setup);
    close(&mut world, &["2026-11-01"]);
    account(&mut setup).area_m2 = None;
    world.setup("2026-11-02T00:00:00+08:00", &setup);
    close(&mut world, &["2026-12-01", "2027-01-01"]);
    account(&mut setup).area_m2 = Some(d("77.77"));
    world.setup("2027-01-02T00:00:00+08:00", &setup);
    close(&mut world, &["2027-02-01", "2027-03-01"]);
    let bills = bills(&world);
    let periods: Vec<(&str, &str)> =
        bills.iter().map(|b| (b.period.from.as_str(), b.period.to.as_str())).collect();
    assert_eq!(
        periods,
        [("2026-10-01", "2026-11-01"), ("2026-11-01", "2027-02-01"), ("2027-02-01", "2027-03-01")]
    );
    assert_eq!(bills[1].rounded_years.len(), 2);
    // 489.951 of the first year, 326.634 of the second.
    assert_eq!(total(&world), 48_995 + 32_663);
    is_followed(&world);
    // Put right, it is put right in both.
    let basis = Basis { area_m2: Some(d("80.01")), ..Basis::default() };
    let account = AccountId::new("a-1").unwrap();
    correct(&mut world, "c-1", &correction(What::Basis { account, basis }));
    // 504.063 and 336.042.
    assert_eq!(total(&world), 50_406 + 33_604);
    is_followed(&world);
}

/// The price of March was another one, and that came to light after so many months.
fn march_was(rate: &str, months: usize) -> (World, Setup) {
    let mut setup = block(fee(BY_YEAR));
    let mut world = begun_on("2026-01-01", &setup);
    close(&mut world, &REST[..months]);
    let tariff = setup.tariffs.values_mut().next().unwrap();
    from(tariff, "2026-03-01", rate);
    from(tariff, "2026-04-01", "2.10");
    world.setup(&format!("{}T09:00:00+08:00", REST[months - 1]), &setup);
    (world, setup)
}

fn by_tariff() -> What {
    What::Tariff { tariff: TariffId::new("area").unwrap() }
}

fn differences(world: &World) -> Vec<Bill> {
    bills(world).into_iter().filter(|bill| bill.corrects.is_some()).collect()
}

#[test]
fn a_correction_of_one_month_is_one_bill_and_the_year_stays_exact() {
    let (mut world, _) = march_was("2.20", 6);
    correct(&mut world, "c-1", &correction(by_tariff()));
    let made = differences(&world);
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].period.from, "2026-03-01");
    // 979.902 was billed as 979.90; with 171.094 in place of 163.317 it is 987.679.
    assert_eq!(total(&world), 98_768);
    is_followed(&world);
    // Again yields nothing, and so it does after more months.
    let again = correct(&mut world, "c-2", &correction(by_tariff()));
    assert_eq!(again.last().unwrap(), "outcome Done 0 differences, 0.00");
    // The other corrections of these tests say that it is March 2027 then.
    close(&mut world, &REST[6..]);
    assert_eq!(total(&world), 196_758); // 1,967.581
    let again = correct(&mut world, "c-3", &correction(by_tariff()));
    assert_eq!(again.last().unwrap(), "outcome Done 0 differences, 0.00");
    is_followed(&world);
}

#[test]
fn years_that_are_over_are_corrected_and_put_right_again() {
    let mut world = begun_on("2026-01-01", &block(fee(BY_YEAR)));
    close(&mut world, &REST);
    close(&mut world, &["2027-02-01", "2027-03-01"]);
    let area = |area: &str| {
        let account = AccountId::new("a-1").unwrap();
        let basis = Basis { area_m2: Some(d(area)), ..Basis::default() };
        let mut right = correction(What::Basis { account, basis });
        right.since = "2026-04-01".to_owned();
        right
    };
    correct(&mut world, "c-1", &area("78.03"));
    // 3 × 163.317 and 9 × 163.863, then 2 × 163.863 of the second year.
    assert_eq!(total(&world), 196_472 + 32_773);
    is_followed(&world);
    correct(&mut world, "c-2", &area("77.77"));
    assert_eq!(total(&world), 195_980 + 32_663);
    is_followed(&world);
}

#[test]
fn what_is_below_the_threshold_is_waived_and_does_not_come_again_with_the_next_month() {
    let (mut world, _) = march_was("2.101", 6);
    let before = total(&world);
    let small = crate::correction::Correction { threshold_fen: Fen(50), ..correction(by_tariff()) };
    correct(&mut world, "c-1", &small);
    assert_eq!(differences(&world).len(), 1);
    assert!(differences(&world)[0].corrects.as_ref().unwrap().waived);
    assert_eq!(total(&world), before);
    close(&mut world, &REST[6..]);
    is_followed(&world);
    // 1,959.88177 in all, without the 8 fen that 979.902 and 979.97977 are apart.
    assert_eq!(total(&world), 195_988 - 8);
    let again = correct(&mut world, "c-2", &small);
    assert_eq!(again.last().unwrap(), "outcome Done 0 differences, 0.00");
}

#[test]
fn a_place_of_rounding_that_changes_late_is_put_right_either_way() {
    for (was, now, want) in
        [(Rounding::PerLine, BY_YEAR, 48_995), (BY_YEAR, Rounding::PerLine, 48_996)]
    {
        let mut setup = block(fee(was));
        let mut world = begun_on("2026-01-01", &setup);
        close(&mut world, &REST[..3]);
        *setup.tariffs.values_mut().next().unwrap() = fee(now);
        world.setup("2026-04-01T09:00:00+08:00", &setup);
        correct(&mut world, "c-1", &correction(by_tariff()));
        assert_eq!(total(&world), want);
        let again = correct(&mut world, "c-2", &correction(by_tariff()));
        assert_eq!(again.last().unwrap(), "outcome Done 0 differences, 0.00");
        close(&mut world, &REST[3..]);
        let year = if now == BY_YEAR { 195_980 } else { 195_984 };
        assert_eq!(total(&world), year);
        is_followed(&world);
    }
}

#[test]
fn an_ended_charge_and_a_new_one_in_one_close_share_the_year() {
    let mut setup = block(fee(BY_YEAR));
    setup.tariffs.insert(TariffId::new("other").unwrap(), fee(BY_YEAR));
    let mut world = begun_on("2026-01-01", &setup);
    close(&mut world, &REST[..2]);
    let charges = &mut account(&mut setup).charges;
    let property = ItemId::new("property").unwrap();
    let was = charges.remove(&property).unwrap();
    world.setup("2026-03-11T00:00:00+08:00", &setup);
    world.tick("2026-03-11T00:00:01+08:00");
    let charges = &mut account(&mut setup).charges;
    charges.insert(property, Charge { tariff: TariffId::new("other").unwrap(), ..was });
    world.setup("2026-03-21T00:00:00+08:00", &setup);
    world.tick("2026-03-21T00:00:01+08:00");
    close(&mut world, &REST[2..3]);
    let months = d("163.317") * d("2") + d("163.317") * d("21") / d("31");
    assert_eq!(bills(&world).len(), 4);
    assert_eq!(Some(Fen(total(&world))), Fen::round(months));
    is_followed(&world);
}

#[test]
fn a_preview_of_a_month_goes_on_from_where_that_months_year_stood() {
    let file = |rate: &str| {
        format!(
            "[[tariff]]\nid = \"area\"\nlabel = {{ zh = \"x\", en = \"x\" }}\ncurrency = \"CNY\"\n\
             notice = \"example\"\n[[tariff.revision]]\nfrom = \"2026-01-01\"\nkind = \"per_area\"\n\
             rounding = \"per_year\"\nyear_begins = \"01-01\"\nchange_inside_period = \"by_days\"\n\
             price = \"{rate}\"\nproration = \"actual_days\"\n"
        )
    };
    // 816.585 was billed as 816.59, so that the difference is 7.77; in March itself it would have been 7.78.
    let (mut world, setup) = march_was("2.20", 5);
    correct(&mut world, "c-1", &correction(by_tariff()));
    let zone = Zone::new("Asia/Shanghai").unwrap();
    let of = |month: &str| -> Vec<Bill> {
        bills(&world).into_iter().filter(|bill| bill.period.from == month).collect()
    };
    let now = t("2027-03-02T00:00:00+08:00");
    let preview = |month: (&str, &str), rate: &str| {
        let days = (day(month.0), day(month.1));
        let text = file(rate);
        crate::preview::preview(&setup, &zone, ("f", &text), &of(month.0), days, now).unwrap()
    };
    let february = preview(("2026-02-01", "2026-03-01"), "2.10");
    assert_eq!((february.same, february.changed.len()), (1, 0));
    assert_eq!(february.was_fen.to_string(), "163.31");
    let march = preview(("2026-03-01", "2026-04-01"), "2.20");
    assert_eq!((march.same, march.changed.len()), (1, 0));
    // 559.944 less the 326.64 that the year was billed beside March.
    let dear = preview(("2026-03-01", "2026-04-01"), "3.00");
    assert_eq!(
        (dear.was_fen.to_string(), dear.now_fen.to_string()),
        ("171.09".into(), "233.30".into())
    );
}

#[test]
fn a_shared_cost_that_is_rounded_once_a_year_is_shared_and_put_right() {
    use crate::apportionment::{Apportionment, Direction, Members, Portion, TieBreak, Weighting};
    let mut setup = block(fee(BY_YEAR));
    let rule = Apportionment {
        label: text("garden, shared"),
        item: ItemId::new("garden-share").unwrap(),
        direction: Direction::Cost,
        among: Members { buildings: vec!["2".into()], ..Members::default() },
        parts: vec![Portion { percent: d("100"), by: Weighting::Area }],
        borne_percent: None,
        tie_break: TieBreak::Account,
        loss: None,
    };
    setup.apportionments.insert(TariffId::new("garden").unwrap(), rule);
    let property = ItemId::new("property").unwrap();
    account(&mut setup).charges.get_mut(&property).unwrap().share =
        Some(TariffId::new("garden").unwrap());
    for (id, area) in [("b-1", "50"), ("b-2", "70"), ("b-3", "33.3")] {
        let member = AccountSetup {
            building: "2".into(),
            area_m2: Some(d(area)),
            ..AccountSetup::default()
        };
        setup.accounts.insert(AccountId::new(id).unwrap(), member);
    }
    // In the second case the year moves and no fen of the months so far: 979.902 and 979.9043331.
    for (rate, first_half, year) in [("2.20", 98_768, 196_758), ("2.10003", 97_990, 195_981)] {
        let mut setup = setup.clone();
        let mut world = begun_on("2026-01-01", &setup);
        close(&mut world, &REST[..6]);
        assert_eq!(total(&world), 97_990);
        let tariff = setup.tariffs.values_mut().next().unwrap();
        from(tariff, "2026-03-01", rate);
        from(tariff, "2026-04-01", "2.10");
        world.setup("2026-07-01T09:00:00+08:00", &setup);
        correct(&mut world, "c-1", &correction(by_tariff()));
        assert_eq!(total(&world), first_half);
        let again = correct(&mut world, "c-2", &correction(by_tariff()));
        assert_eq!(again.last().unwrap(), "outcome Done 0 differences, 0.00");
        close(&mut world, &REST[6..]);
        assert_eq!(total(&world), year);
        is_followed(&world);
    }
}

/// What the bills should come to: of each year, what its bills were rated at last, rounded once.
fn rounded_years(world: &World) -> i64 {
    let all = bills(world);
    let mut latest: BTreeMap<String, &Bill> = BTreeMap::new();
    for bill in &all {
        latest.insert(bill.period.from.clone(), bill);
    }
    let mut years: BTreeMap<&str, Decimal> = BTreeMap::new();
    for bill in latest.values() {
        // The first line of a difference takes back what was billed.
        let lines = bill.lines.iter().skip(usize::from(bill.corrects.is_some()));
        let exact: Decimal = lines.map(|line| line.exact).sum();
        *years.entry(&bill.rounded_years[0].year).or_default() += exact;
    }
    years.values().map(|exact| Fen::round(*exact).unwrap().0).sum()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 48,
        ..proptest::prelude::ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_corrected_between_its_bills_a_year_adds_up(
        steps in proptest::collection::vec(
            (1_i64..20_000, 0_usize..14, proptest::bool::ANY), 14..15),
    ) {
        let mut setup = block(fee(BY_YEAR));
        let mut world = begun_on("2026-01-01", &setup);
        let firsts = REST.iter().copied().chain(["2027-02-01", "2027-03-01"]);
        let since = |n: usize| match n {
            0 => "2026-01-01",
            n if n <= 12 => REST[n - 1],
            _ => "2027-02-01",
        };
        for (n, (first, (area, back, corrects))) in firsts.zip(&steps).enumerate() {
            close(&mut world, &[first]);
            let area = Some(Decimal::new(*area, 2));
            if *corrects {
                let basis = Basis { area_m2: area, ..Basis::default() };
                let account = AccountId::new("a-1").unwrap();
                let mut right = correction(What::Basis { account, basis });
                right.since = since(*back).to_owned();
                correct(&mut world, &format!("c-{n}"), &right);
                let again = correct(&mut world, &format!("again-{n}"), &right);
                let nothing = "outcome Done 0 differences, 0.00";
                proptest::prop_assert_eq!(again.last().unwrap(), nothing);
            } else {
                account(&mut setup).area_m2 = area;
                world.setup(&format!("{first}T08:00:00+08:00"), &setup);
            }
            proptest::prop_assert_eq!(total(&world), rounded_years(&world));
            is_followed(&world);
        }
    }
}
