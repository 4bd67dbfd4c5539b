//! What must hold whatever the prices are: graduated amounts never fall and adjacent quantities add up;
//! a longer stay never costs less, and caps hold. (Shares: `apportionment`; payments on the way: the
//! Block's tests of parking.)

mod rule_files;

use blockgate_rules::tariff::RateOutput;
use blockgate_types::Decimal;
use proptest::prelude::*;
use rule_files::rated;
use serde_json::json;

/// Random tiers: rising bounds, and prices in hundredths of a fen.
fn tiers() -> impl Strategy<Value = Vec<(Option<u32>, u32)>> {
    (1_usize..5, prop::collection::vec((1_u32..400, 0_u32..20_000), 5)).prop_map(
        |(count, parts)| {
            let mut bound = 0;
            let mut of = |n: usize, (width, price): (u32, u32)| {
                bound += width;
                ((n + 1 < count).then_some(bound), price)
            };
            parts.into_iter().take(count).enumerate().map(|(n, part)| of(n, part)).collect()
        },
    )
}

fn graduated(tiers: &[(Option<u32>, u32)], rounding: &str) -> String {
    let tiers: Vec<String> = tiers
        .iter()
        .map(|(up_to, price)| {
            let up_to = up_to.map(|bound| format!("up_to = \"{bound}\", ")).unwrap_or_default();
            format!("{{ {up_to}price = \"{}\" }}", Decimal::new(i64::from(*price), 4))
        })
        .collect();
    format!(
        "[[tariff]]\nid = \"t\"\nlabel = {{ zh = \"t\", en = \"t\" }}\ncurrency = \"CNY\"\nnotice = \"n\"\n\
         [[tariff.revision]]\nfrom = \"2026-01-01\"\nrounding = \"{rounding}\"\n\
         change_inside_period = \"next_period\"\nkind = \"graduated\"\nunit = \"kWh\"\n\
         tier_period = \"year\"\ntier_reset = \"01-01\"\npart_quota = \"whole\"\n\
         new_occupant = \"reset\"\ntiers = [ {} ]\n",
        tiers.join(", ")
    )
}

fn used(rule: &str, before: Decimal, usage: Decimal) -> RateOutput {
    let (usage, before) = (usage.to_string(), before.to_string());
    rated(rule, &json!({ "usage": usage, "cumulative_before": before }))
}

/// Quantities with two places.
fn quantity() -> impl Strategy<Value = Decimal> {
    (0_i64..200_000).prop_map(|hundredths| Decimal::new(hundredths, 2))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn adjacent_quantities_cost_what_both_cost_at_once(
        tiers in tiers(), before in quantity(), first in quantity(), second in quantity(),
    ) {
        let rule = graduated(&tiers, "per_bill");
        let one = used(&rule, before, first);
        let two = used(&rule, one.cumulative_after, second);
        let both = used(&rule, before, first + second);
        prop_assert_eq!(one.exact + two.exact, both.exact);
        prop_assert_eq!(two.cumulative_after, both.cumulative_after);
        // What rounding may add is half a fen a bill.
        let apart = one.total_fen.0 + two.total_fen.0 - both.total_fen.0;
        prop_assert!(apart.abs() <= 1, "{}", apart);
    }

    #[test]
    fn more_never_costs_less_where_each_tier_has_its_price(
        tiers in tiers(), before in quantity(), usage in quantity(), more in quantity(),
    ) {
        let rule = graduated(&tiers, "per_line");
        let (less, more) = (used(&rule, before, usage), used(&rule, before, usage + more));
        prop_assert!(less.exact <= more.exact && less.total_fen <= more.total_fen);
    }

    #[test]
    fn lines_sum_to_the_total_whatever_is_rounded(
        tiers in tiers(), before in quantity(), usage in quantity(),
        rounding in prop::sample::select(vec!["per_line", "per_component", "per_bill"]),
    ) {
        let output = used(&graduated(&tiers, rounding), before, usage);
        let lines: i64 = output.lines.iter().map(|line| line.amount_fen.0).sum();
        prop_assert_eq!(lines, output.total_fen.0);
        let exact: Decimal = output.lines.iter().map(|line| line.exact).sum();
        prop_assert_eq!(exact, output.exact);
    }

    #[test]
    fn a_longer_stay_never_costs_less_and_caps_hold(
        plan in plan(), minute in 0_u32..1_440, stay in 0_u32..6_000, longer in 1_u32..2_000,
    ) {
        let rule = plan.file();
        let entry = format!("2026-03-02T{:02}:{:02}:00", minute / 60, minute % 60);
        let cost = |minutes: u32| {
            let end = minute + minutes;
            let (day, end) = (2 + end / 1_440, end % 1_440);
            let exit = format!("2026-03-{day:02}T{:02}:{:02}:00", end / 60, end % 60);
            rated(&rule, &json!({ "entry": entry, "exit": exit }))
        };
        let (short, long) = (cost(stay), cost(stay + longer));
        prop_assert!(short.exact <= long.exact, "{} min {}, {} min {}\n{}", stay, short.exact,
            stay + longer, long.exact, rule);
        let lines: i64 = long.lines.iter().map(|line| line.amount_fen.0).sum();
        prop_assert_eq!(lines, long.total_fen.0);
        if let Some(cap) = plan.cap {
            // A stay touches one civil day more than it is long, a day from its entry not.
            let turns = i64::from((stay + longer).div_ceil(1_440) + u32::from(plan.cycle == "civil_day"));
            prop_assert!(long.exact <= Decimal::from(turns * i64::from(cap)), "{}", rule);
        }
    }
}

/// A plan without windows.
#[derive(Debug, Clone)]
struct Plan {
    cycle: &'static str,
    cap: Option<u32>,
    free: Option<(u32, &'static str)>,
    rounding: &'static str,
    steps: Vec<(u32, u32)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let free = (5_u32..120, prop::sample::select(vec!["subtract", "whole_stay"]));
    (
        prop::sample::select(vec!["none", "24h_from_entry", "civil_day"]),
        prop::option::of(5_u32..80),
        prop::option::of(free),
        prop::sample::select(vec!["up", "down"]),
        prop::collection::vec((15_u32..240, 0_u32..1_200), 1..4),
    )
        .prop_map(|(cycle, cap, free, rounding, steps)| {
            let cap = cap.filter(|_| cycle != "none");
            Plan { cycle, cap, free, rounding, steps }
        })
}

impl Plan {
    fn file(&self) -> String {
        let caps = self.cap.map(|cap| format!("\"{cap}\"")).unwrap_or_default();
        let free = self.free.map_or_else(
            || "\"none\"".to_owned(),
            |(minutes, mode)| {
                format!("{{ minutes = {minutes}, mode = \"{mode}\", renews = \"stay\" }}")
            },
        );
        let last = self.steps.len() - 1;
        let steps: Vec<String> = self
            .steps
            .iter()
            .enumerate()
            .map(|(n, (minutes, fen))| {
                let times = if n == last { "" } else { ", times = 1" };
                format!(
                    "{{ minutes = {minutes}, price = \"{}\"{times} }}",
                    Decimal::new(i64::from(*fen), 2)
                )
            })
            .collect();
        format!(
            "[[parking]]\nid = \"p\"\nlabel = {{ zh = \"停\", en = \"p\" }}\ncurrency = \"CNY\"\nnotice = \"n\"\n\
             [[parking.revision]]\nfrom = \"2026-01-01\"\nseconds = \"drop\"\ncycle = \"{}\"\n\
             caps = [{caps}]\ncap_scope = \"stay\"\nfree = {free}\nrounding = \"{}\"\nsteps = [{}]\n\
             reentry = {{ effect = \"none\" }}\nclass_change = \"split\"\nfree_after_change = false\n\
             after_payment = {{ grace_min = 15, exceeded = \"new_part\" }}\nnew_energy_percent = \"100\"\n",
            self.cycle,
            self.rounding,
            steps.join(", ")
        )
    }
}
