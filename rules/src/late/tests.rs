//! What a late fee comes to, without a Block.

use super::*;
use crate::calendar::parse_day;
use blockgate_types::parse_decimal;
use proptest::prelude::*;

fn day(text: &str) -> Day {
    parse_day(text).unwrap()
}

fn terms(percent: &str, grace_days: u32, days_from: DaysFrom, cap: &str) -> LateTerms {
    LateTerms {
        item: ItemId::new("late-fee").unwrap(),
        label: Text { zh: "违约金".into(), en: "Late fee".into() },
        percent_per_day: parse_decimal(percent).unwrap(),
        grace_days,
        days_from,
        cap_percent: parse_decimal(cap).unwrap(),
        rounding: LateRounding::HalfUp,
    }
}

/// A bill that was due on 16 April 2026.
fn late(fen: i64, terms: LateTerms) -> Late {
    let due = day("2026-04-16");
    Late {
        item: ItemId::new("property").unwrap(),
        tariff: "property".parse().unwrap(),
        tariff_revision: "2026-01-01/0".into(),
        currency: "CNY".into(),
        first: BillId::new("bill-1").unwrap(),
        above_fen: Fen::ZERO,
        principal_fen: Fen(fen),
        due,
        terms,
        steps: vec![Step { from: calendar::next_day(due), left_fen: Fen(fen) }],
        waived: false,
        billed_fen: Fen::ZERO,
        billed_to: None,
        bills: 0,
        moved: false,
    }
}

fn fee(late: &Late, to: &str) -> i64 {
    late.count(day(to)).unwrap().fee_fen.0
}

#[test]
fn the_days_after_the_due_day_cost_a_share_of_what_is_unpaid() {
    // 188.01 yuan at 0.05 % a day: 0.094005 yuan for each.
    let cases = [
        // Grace, from where, the day after the last, fen.
        (0, DaysFrom::Due, "2026-04-17", 0), // no day after the due day yet
        (0, DaysFrom::Due, "2026-04-18", 9),
        (0, DaysFrom::Due, "2026-05-01", 132), // 14 days: 1.31607
        (5, DaysFrom::Due, "2026-04-22", 0),   // the fifth day of grace is over
        (5, DaysFrom::Due, "2026-04-23", 56),  // the sixth day, and those of grace with it: 0.56403
        (5, DaysFrom::Grace, "2026-04-23", 9), // the sixth day alone
        (5, DaysFrom::Grace, "2026-05-01", 85), // 9 days: 0.846045
        (0, DaysFrom::Due, "2028-04-16", 5_640), // 30 % of 188.01 is 56.403: cut off
    ];
    for (grace, from, to, fen) in cases {
        let late = late(18_801, terms("0.05", grace, from, "30"));
        assert_eq!(fee(&late, to), fen, "{grace} days, {from:?}, to {to}");
    }
}

#[test]
fn half_a_fen_goes_up_or_is_not_charged_as_the_rule_says() {
    // 10.00 yuan, 1 % a day but for a twentieth: 0.095.
    for (rounding, fen) in [(LateRounding::HalfUp, 10), (LateRounding::Down, 9)] {
        let late = late(1_000, LateTerms { rounding, ..terms("0.95", 0, DaysFrom::Due, "100") });
        assert_eq!(fee(&late, "2026-04-18"), fen, "{rounding:?}");
    }
    // The cap is never passed, not by half a fen: 12.5 of 25.
    let capped = late(25, terms("50", 0, DaysFrom::Due, "50"));
    assert_eq!(fee(&capped, "2026-04-18"), 12);
}

#[test]
fn what_is_paid_stops_counting_on_the_next_day_and_within_the_grace_it_never_counted() {
    let mut late = late(10_000, terms("0.1", 3, DaysFrom::Due, "100"));
    // 60 yuan within the grace, on its last day; 30 five days later; the rest on 30 April.
    late.leave(day("2026-04-19"), Fen(4_000));
    late.leave(day("2026-04-24"), Fen(1_000));
    late.leave(day("2026-04-30"), Fen::ZERO);
    let counted = late.count(day("2026-06-01")).unwrap();
    // 8 days of 40.00 and 6 of 10.00.
    assert_eq!(counted.fee_fen, Fen(32 + 6));
    let days: Vec<String> = counted.lines.iter().map(|line| line.quantity.to_string()).collect();
    assert_eq!(days, ["8", "6"]);
    assert!(counted.lines[0].label.zh.contains("欠 40.00 元，每日 0.1%，2026-04-17 至 2026-04-24"));
    assert!(counted.lines[0].label.en.contains("40.00 yuan unpaid, 0.1% a day"));
    assert!(!late.is_over(), "it is not billed yet");
    let billed = Late { billed_fen: Fen(38), bills: 1, ..late.clone() };
    assert!(!billed.is_over(), "its bill does not say when it was paid");
    assert!(Late { moved: false, ..billed }.is_over());
    // All of it had been paid on the 18th.
    assert!(late.paid_on(day("2026-04-18")));
    assert_eq!(fee(&late, "2026-06-01"), 0);
}

#[test]
fn a_payment_that_is_booked_late_counts_from_its_own_day() {
    let mut late = late(10_000, terms("0.1", 0, DaysFrom::Due, "100"));
    late.leave(day("2026-04-26"), Fen(7_000));
    late.leave(day("2026-04-20"), Fen(2_000)); // 50.00, paid before the 30.00
    // 4 days of 100.00, 6 of 50.00, then 20.00.
    assert_eq!(fee(&late, "2026-05-01"), 40 + 30 + 8);
    assert_eq!(late.left(), Fen(2_000));
}

#[test]
fn a_bill_that_was_too_high_bore_too_much_and_its_supplement_goes_first() {
    let mut first = late(10_000, terms("0.1", 0, DaysFrom::Due, "10"));
    assert_eq!(first.correct(Fen(7_000)), Fen(3_000));
    assert_eq!(fee(&first, "2026-04-27"), 70);
    assert_eq!(fee(&first, "2027-04-27"), 700, "the cap is a share of what was right");
    assert_eq!(first.correct(Fen(8_000)), Fen::ZERO, "what is billed more has a bill of its own");
    let mut supplement = Late { above_fen: Fen(10_000), ..late(2_000, first.terms.clone()) };
    assert_eq!(supplement.correct(Fen(11_500)), Fen(500));
    assert_eq!(supplement.correct(Fen(9_000)), Fen(1_500));
    assert_eq!(fee(&supplement, "2026-04-27"), 0);
}

#[test]
fn what_cannot_be_counted_exactly_is_not_counted() {
    let late = late(i64::MAX, terms("99.999999", 0, DaysFrom::Due, "999.999999"));
    assert_eq!(late.count(Day::MAX), None);
}

prop_compose! {
    fn any_late()(
        fen in 1_i64..100_000_000,
        percent in 1_i64..5_000_000,
        grace in 0_u32..40,
        grace_counts in any::<bool>(),
        cap in 1_i64..1_000_000,
        down in any::<bool>(),
    ) -> Late {
        let from = if grace_counts { DaysFrom::Due } else { DaysFrom::Grace };
        let percent = Decimal::new(percent, 6).to_string();
        let cap = Decimal::new(cap, 4).to_string();
        let rounding = if down { LateRounding::Down } else { LateRounding::HalfUp };
        late(fen, LateTerms { rounding, ..terms(&percent, grace, from, &cap) })
    }
}

/// So many days after the due day.
fn after(late: &Late, days: u32) -> Day {
    calendar::days_after(late.due, days).unwrap()
}

proptest! {
    #[test]
    fn it_is_never_above_its_cap_nor_begins_within_the_grace_nor_falls_with_time(
        late in any_late(), days in 0_u32..2_000, more in 0_u32..400,
    ) {
        let counted = late.count(after(&late, days)).unwrap();
        let most = Decimal::from(late.principal_fen.0) * late.terms.cap_percent;
        prop_assert!(Decimal::from(counted.fee_fen.0) * Decimal::ONE_HUNDRED <= most);
        // `to` is the day after the last: the first day after the grace counts from there on.
        if days <= late.terms.grace_days + 1 {
            prop_assert_eq!(counted.fee_fen, Fen::ZERO);
        }
        let later = late.count(after(&late, days + more)).unwrap();
        prop_assert!(later.fee_fen >= counted.fee_fen);
        // invariant 4
        prop_assert_eq!(Fen::sum(counted.lines.iter().map(|l| l.amount_fen)), Some(counted.fee_fen));
    }

    #[test]
    fn days_add_up_at_a_constant_principal_and_postings_leave_no_fen(
        late in any_late(), cuts in proptest::collection::vec(1_u32..60, 1..12),
    ) {
        let exact = |to: Day| -> Decimal {
            late.count(to).unwrap().lines.iter().filter(|l| l.unit == Unit::Day).map(|l| l.exact).sum()
        };
        let (mut days, mut billed) = (late.terms.grace_days + 1, 0);
        let mut stands = late.clone();
        let one = exact(after(&late, days + 2)) - exact(after(&late, days + 1));
        for cut in cuts {
            let (from, to) = (after(&late, days + 1), after(&late, days + 1 + cut));
            prop_assert_eq!(exact(to) - exact(from), one * Decimal::from(cut));
            let fee = stands.count(to).unwrap().fee_fen;
            billed += fee.0 - stands.billed_fen.0;
            stands.billed_fen = fee;
            days += cut;
        }
        prop_assert_eq!(billed, late.count(after(&late, days + 1)).unwrap().fee_fen.0);
    }

    #[test]
    fn what_is_paid_earlier_never_costs_more(
        late in any_late(), paid in 1_i64..100_000_000, first in 0_u32..300, later in 0_u32..300,
    ) {
        let left = Fen((late.principal_fen.0 - paid).max(0));
        let (mut early, mut tardy) = (late.clone(), late.clone());
        early.leave(after(&late, first), left);
        tardy.leave(after(&late, first + later), left);
        let end = after(&late, 700);
        prop_assert!(early.count(end).unwrap().fee_fen <= tardy.count(end).unwrap().fee_fen);
        // Booked late with its own day it is the same as booked in time.
        let mut booked = late.clone();
        booked.leave(after(&late, first), left);
        prop_assert_eq!(early, booked);
    }
}
