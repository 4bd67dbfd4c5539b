use super::board::board;
use super::lines::{lines, settle};
use super::plan::{ParkingTariff, Plan};
use super::price::{Minutes, price};
use crate::calendar::Zone;
use crate::tariff::TariffFile;
use blockgate_types::{Decimal, Time};

const FILE: &str = include_str!("../../tariffs/parking.toml");

fn shipped(id: &str) -> ParkingTariff {
    let file = TariffFile::read(FILE, "parking.toml").unwrap();
    file.parking.into_iter().find(|(found, _)| found.as_str() == id).unwrap().1
}

fn plan(id: &str) -> Plan {
    shipped(id).revisions.remove(0).plan
}

fn cost(plan: &Plan, minutes: u32) -> Decimal {
    let day = crate::calendar::parse_day("2026-03-02").unwrap();
    let minutes = Minutes::civil(day, 540, i64::from(minutes) * 60, plan.seconds).unwrap();
    price(plan, &minutes, true, true).unwrap().exact
}

#[test]
fn a_longer_stay_never_costs_less() {
    for id in ["temporary", "temporary-windows", "night"] {
        let plan = plan(id);
        let mut before = Decimal::ZERO;
        for minutes in 0..3_000 {
            let now = cost(&plan, minutes);
            assert!(now >= before, "{id}: {minutes} min cost {now}, one less {before}");
            before = now;
        }
    }
}

#[test]
fn caps_hold() {
    let plan = plan("temporary");
    let cap = *plan.caps.first().unwrap();
    for days in 1..5_u32 {
        assert!(cost(&plan, days * 1_440) <= cap * Decimal::from(days));
    }
}

#[test]
fn a_day_of_23_or_25_hours_has_its_own_minutes() {
    let plan = plan("temporary-windows");
    let zone = Zone::new("Europe/Berlin").unwrap();
    let at = |text: &str| text.parse::<Time>().unwrap();
    for (from, to, hours) in [
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 23),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", 25),
    ] {
        let minutes = Minutes::between(&zone, at(from), at(to), plan.seconds).unwrap();
        assert_eq!(minutes.len(), hours * 60);
        let priced = price(&plan, &minutes, true, true).unwrap();
        let last = priced.turns.last().unwrap();
        assert_eq!(last.to, hours * 60);
    }
}

#[test]
fn lines_sum_to_the_total_to_the_fen() {
    let plan = plan("temporary-windows");
    let day = crate::calendar::parse_day("2026-03-02").unwrap();
    for minutes in [0, 1, 59, 60, 61, 700, 1_439, 1_440, 10_000] {
        let minutes = Minutes::civil(day, 1_100, minutes * 60, plan.seconds).unwrap();
        let priced = price(&plan, &minutes, true, true).unwrap();
        let mut lines = lines(&plan, &priced);
        let (exact, total) = settle(&mut lines, "CNY").unwrap();
        assert_eq!(exact, priced.exact);
        assert_eq!(lines.iter().map(|line| line.amount_fen.0).sum::<i64>(), total.0);
    }
}

#[test]
fn the_board_says_what_the_rule_charges_in_both_languages() {
    let tariff = shipped("temporary");
    let board = board(&tariff, &tariff.revisions.first().unwrap().plan);
    let zh: Vec<&str> = board.iter().map(|line| line.zh.as_str()).collect();
    let en: Vec<&str> = board.iter().map(|line| line.en.as_str()).collect();
    assert_eq!(
        zh,
        [
            "临时停车",
            "不超过 30 分钟（含）免费（每次停车一次），超过后从进场起计费",
            "全天：首 60 分钟 5 元；之后每 30 分钟 1.5 元；不足一个计费单位按一个计费单位计",
            "自进场起每 24 小时最高 25 元",
            "不足一分钟不计",
            "缴费后请在 15 分钟内离场，超过的按全程费用补差",
            "新能源汽车按 50% 收取",
        ]
    );
    assert_eq!(
        en[1],
        "Up to 30 min (included) free (once in a stay); when exceeded, charged from the entry"
    );
    assert_eq!(en[3], "At most 25 yuan for 24 hours from the entry");
}

#[test]
fn every_missing_or_senseless_switch_is_named_at_its_place() {
    let good = "[[parking]]\nid = \"p\"\nlabel = { zh = \"停\", en = \"p\" }\ncurrency = \"CNY\"\nnotice = \"n\"\n\
        [[parking.revision]]\nfrom = \"2026-01-01\"\nseconds = \"drop\"\ncycle = \"none\"\ncaps = []\n\
        cap_scope = \"stay\"\nfree = \"none\"\nrounding = \"up\"\nsteps = [{ minutes = 60, price = \"2\" }]\n\
        reentry = { effect = \"none\" }\nclass_change = \"split\"\nfree_after_change = false\n\
        after_payment = { grace_min = 15, exceeded = \"new_part\" }\nnew_energy_percent = \"100\"\n";
    assert!(TariffFile::read(good, "p.toml").is_ok());
    for switch in [
        "seconds",
        "cycle",
        "caps",
        "cap_scope",
        "free",
        "rounding",
        "steps",
        "reentry",
        "class_change",
        "free_after_change",
        "after_payment",
        "new_energy_percent",
    ] {
        let text: String = good
            .lines()
            .filter(|l| !l.starts_with(&format!("{switch} = ")))
            .map(|l| format!("{l}\n"))
            .collect();
        let faults = TariffFile::read(&text, "p.toml").unwrap_err();
        assert!(
            faults.iter().any(|f| f.message.contains(switch) && f.line > 5),
            "{switch}: {faults:?}"
        );
    }
    for (from, to, wanted) in [
        ("price = \"2\"", "price = \"-2\"", "below zero"),
        ("minutes = 60", "minutes = 0", "from 1 to"),
        ("cycle = \"none\"", "cycle = \"none\"\ncycle_start = \"07:00\"", "operator_day"),
        (
            "cycle = \"none\"",
            "cycle = \"operator_day\"\ncycle_start = \"25:00\"",
            "time of the day",
        ),
        ("caps = []", "caps = [\"0\"]", "no cap"),
        ("\"100\"", "\"101\"", "from \"0\" to \"100\""),
        ("free = \"none\"", "free = \"yes\"", "write it like"),
        ("free = \"none\"", "free = \"none\"\nday_type = \"none\"", "is for windows"),
        (
            "steps = [{ minutes = 60, price = \"2\" }]",
            "steps = [{ minutes = 60, price = \"2\" }, { minutes = 60, price = \"2\" }]",
            "only the last step",
        ),
        ("currency = \"CNY\"", "currency = \"yuan\"", "not a currency"),
        (
            "reentry = { effect = \"none\" }",
            "reentry = { effect = \"free_not_again\" }",
            "within_min",
        ),
        ("seconds = \"drop\"", "seconds = \"drop\"\nfree_minutes = 3", "unknown key"),
    ] {
        let faults = TariffFile::read(&good.replace(from, to), "p.toml").unwrap_err();
        assert!(faults.iter().any(|f| f.message.contains(wanted)), "{to}: {faults:?}");
    }
}
