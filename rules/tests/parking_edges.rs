//! Blocks at the edges of windows and of days: `block_at_edge`, and `day_type = "per_block"`. Worked
//! examples with their arithmetic, and random plans and stays against a list of minutes that is cut to
//! blocks one after the other and knows no code of the rules.

use blockgate_rules::parking::board::board;
use blockgate_rules::tariff::{RateOutput, TariffFile, rate_document};
use blockgate_types::Decimal;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const EDGES: [&str; 3] = ["lapses", "carries", "price_at_start"];

/// A rule file around the switches in question.
fn rule(switches: &str) -> String {
    format!(
        "[[parking]]\nid = \"edges\"\nlabel = {{ zh = \"边\", en = \"edges\" }}\ncurrency = \"CNY\"\nnotice = \"n\"\n\
         [[parking.revision]]\nfrom = \"2000-01-01\"\nseconds = \"drop\"\ncap_scope = \"stay\"\n\
         reentry = {{ effect = \"none\" }}\nclass_change = \"split\"\nfree_after_change = false\n\
         after_payment = {{ grace_min = 15, exceeded = \"new_part\" }}\nnew_energy_percent = \"100\"\n{switches}"
    )
}

fn rated(rule: &str, entry: &str, exit: &str) -> RateOutput {
    let input = format!("{{\"entry\":\"{entry}\",\"exit\":\"{exit}\"}}");
    let rated = rate_document(rule, "rule.toml", &input, "input.json");
    let rated = rated.unwrap_or_else(|faults| panic!("{faults:?}\n{rule}\n{input}"));
    let sum: i64 = rated.lines.iter().map(|line| line.amount_fen.0).sum();
    assert_eq!(sum, rated.total_fen.0, "the lines sum to the total");
    rated
}

/// By day 60 min at 5 and by night 60 min at 2, a started block counts.
const DAY_NIGHT: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:00\", to = \"08:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }] }";

/// The same, and an incomplete block is free.
const DAY_NIGHT_DOWN: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"down\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:00\", to = \"08:00\", rounding = \"down\", steps = [{ minutes = 60, price = \"2\" }] }";

/// By night 30 min at 2.
const SHORT_NIGHT: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:00\", to = \"08:00\", rounding = \"up\", steps = [{ minutes = 30, price = \"2\" }] }";

/// By night 90 min at 2.
const LONG_NIGHT: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:00\", to = \"08:00\", rounding = \"up\", steps = [{ minutes = 90, price = \"2\" }] }";

/// By night at most 3 in a turn.
const CAPPED_NIGHT: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:00\", to = \"08:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }], cap = \"3\" }";

/// Free between 20:00 and 20:30 and after midnight.
const WITH_GAP: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:30\", to = \"24:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"3\" }] }";

/// The same, and an incomplete block is free.
const WITH_GAP_DOWN: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"down\", steps = [{ minutes = 60, price = \"5\" }] },
    { from = \"20:30\", to = \"24:00\", rounding = \"down\", steps = [{ minutes = 60, price = \"3\" }] }";

/// By day the first hour at 5, each more at 3.
const STEPS: &str = "{ from = \"08:00\", to = \"20:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"5\", times = 1 }, { minutes = 60, price = \"3\" }] },
    { from = \"20:00\", to = \"08:00\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }] }";

/// Workdays at 6, holidays at 2.
const DAYS: &str = "{ from = \"00:00\", to = \"24:00\", days = \"workday\", rounding = \"up\", steps = [{ minutes = 60, price = \"6\" }] },
    { from = \"00:00\", to = \"24:00\", days = \"holiday\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }] }";

/// A workday's price changes at midnight too.
const DAYS_AND_HOURS: &str = "{ from = \"08:00\", to = \"24:00\", days = \"workday\", rounding = \"up\", steps = [{ minutes = 60, price = \"6\" }] },
    { from = \"00:00\", to = \"08:00\", days = \"workday\", rounding = \"up\", steps = [{ minutes = 60, price = \"4\" }] },
    { from = \"00:00\", to = \"24:00\", days = \"holiday\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }] }";

/// A workday is free after midnight, a holiday before 10:00.
const EVENING_AND_HOLIDAY: &str = "{ from = \"18:00\", to = \"24:00\", days = \"workday\", rounding = \"up\", steps = [{ minutes = 60, price = \"6\" }] },
    { from = \"10:00\", to = \"24:00\", days = \"holiday\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }] }";

/// A workday is free after midnight, a holiday never.
const EVENING_OR_HOLIDAY: &str = "{ from = \"18:00\", to = \"24:00\", days = \"workday\", rounding = \"up\", steps = [{ minutes = 60, price = \"6\" }] },
    { from = \"00:00\", to = \"24:00\", days = \"holiday\", rounding = \"up\", steps = [{ minutes = 60, price = \"2\" }] }";

const PLAIN: &str = "cycle = \"none\"\ncaps = []\nfree = \"none\"\nprogress = \"segment\"\n";
const OVER_STAY: &str = "cycle = \"none\"\ncaps = []\nfree = \"none\"\nprogress = \"stay\"\n";
const BY_DAY: &str = "cycle = \"civil_day\"\ncaps = []\nfree = \"none\"\nprogress = \"segment\"\n";
const CAPPED: &str = "cycle = \"none\"\ncaps = [\"6\"]\nfree = \"none\"\nprogress = \"segment\"\n";
const FIRST_HOUR: &str = "cycle = \"none\"\ncaps = []\nfree = { minutes = 60, mode = \"deduct_price\", renews = \"stay\" }\nprogress = \"segment\"\n";
const FIRST_20: &str = "cycle = \"none\"\ncaps = []\nfree = { minutes = 20, mode = \"deduct_price\", renews = \"stay\" }\nprogress = \"segment\"\n";
const LATER: &str = "cycle = \"none\"\ncaps = []\nfree = { minutes = 20, mode = \"subtract\", renews = \"stay\" }\nprogress = \"segment\"\n";

/// 2026-03-06 is a Friday.
fn calendar(day_type: &str) -> String {
    let list = if day_type == "none" {
        ""
    } else {
        "calendar = { holidays = [], make_up_workdays = [] }\n"
    };
    format!("day_type = \"{day_type}\"\n{list}")
}

#[test]
fn worked_examples_of_a_block_at_the_edge_of_a_window() {
    // Each with what it costs where the block lapses / carries / has the price at its start.
    let cases = [
        // One window: 5 each way. Up to the edge itself too.
        (PLAIN, DAY_NIGHT, "T19:30", "T19:50", ["5", "5", "5"]),
        (PLAIN, DAY_NIGHT, "T19:30", "T20:00", ["5", "5", "5"]),
        // One minute more. 19:30 5, 20:00 2 / 30 + 1 min of one that stops by night: 2 / 19:30 5.
        (PLAIN, DAY_NIGHT, "T19:30", "T20:01", ["7", "2", "5"]),
        // 19:30 5, 20:00 2, 21:00 2 / until 20:30 2, 20:30 2 / until 20:30 5, 20:30 2.
        (PLAIN, DAY_NIGHT, "T19:30", "T21:15", ["9", "4", "7"]),
        // The other way: 07:30 2, 08:00 5 / until 08:30 5, 08:30 5 / until 08:30 2, 08:30 5.
        (PLAIN, DAY_NIGHT, "T07:30", "T08:45", ["7", "10", "7"]),
        // Complete at the edge: nothing to carry. 19:00 5, 20:00 2.
        (PLAIN, DAY_NIGHT, "T19:00", "T20:30", ["7", "7", "7"]),
        // Only complete ones. None / until 20:30 2 / until 20:30 5.
        (PLAIN, DAY_NIGHT_DOWN, "T19:30", "T20:45", ["0", "2", "5"]),
        (PLAIN, DAY_NIGHT_DOWN, "T19:30", "T20:29", ["0", "0", "0"]),
        // 50 min used, a block of the night has 30. 19:10 5, 20:00 2 / complete with the first minute,
        // 20:01, 2; 20:01 2 / until 20:10 5.
        (PLAIN, SHORT_NIGHT, "T19:10", "T20:10", ["7", "4", "5"]),
        // 50 min used, a block of the night has 90. 19:10 5, 20:00 2 / until 20:40 2; / until 20:10 5,
        // 20:10 2. With a minute more, carried, the next one is begun: 2 + 2.
        (PLAIN, LONG_NIGHT, "T19:10", "T20:40", ["7", "2", "7"]),
        (PLAIN, LONG_NIGHT, "T19:10", "T20:41", ["7", "4", "7"]),
        // The cap of a night takes what is due in it. 5 + min(3 × 2, 3) / min(3 × 2, 3) until 22:30 /
        // until 20:30 5, then min(2 × 2, 3).
        (PLAIN, CAPPED_NIGHT, "T19:30", "T22:30", ["8", "3", "8"]),
        // The cap of a cycle, 6: 9 / 4 / 7 from above.
        (CAPPED, DAY_NIGHT, "T19:30", "T21:15", ["6", "4", "6"]),
        // Time that is free. 19:40 5, 20:30 3, 21:30 3 / 20 min, then until 21:10 3, 21:10 3 / until
        // 20:40 5, 20:40 3.
        (PLAIN, WITH_GAP, "T19:40", "T21:35", ["11", "6", "8"]),
        // It stops where parking is free: in the window that it came from. 5 each way; a block that runs
        // on is complete at 20:40.
        (PLAIN, WITH_GAP, "T19:40", "T20:10", ["5", "5", "5"]),
        (PLAIN, WITH_GAP_DOWN, "T19:40", "T20:30", ["0", "0", "0"]),
        // Not complete / 20 + 20 min / complete at 20:40.
        (PLAIN, WITH_GAP_DOWN, "T19:40", "T20:50", ["0", "0", "5"]),
        // Over a whole night that is free: 23:30 3, 08:00 5 / 30 + 30 min 5 / until 00:30 3, 08:00 5.
        (PLAIN, WITH_GAP, "T23:30", "+T08:30", ["8", "5", "8"]),
        // A cycle's edge ends a block: 23:30 2, 00:00 2.
        (BY_DAY, DAY_NIGHT, "T23:30", "+T00:30", ["4", "4", "4"]),
        // So it does where it is in time that is free: 23:30 3, 08:00 5 of the next day.
        (BY_DAY, WITH_GAP, "T23:30", "+T08:30", ["8", "8", "8"]),
        // Steps begin anew. 18:30 5, 19:30 3, twelve hours of the night 24, 08:00 5 / until 19:30 5, until
        // 20:30 to 07:30 12 × 2, until 08:30 5 / until 19:30 5, until 20:30 3, until 07:30 11 × 2, until
        // 08:30 2.
        (PLAIN, STEPS, "T18:30", "+T08:30", ["37", "34", "32"]),
        // Blocks are remembered: only complete ones, of the window in which they were. 5, 3 (cut, not
        // counted), 24, 08:00 3 / 5, 24, the second by day 3 / 5, 3, 22, 2.
        (OVER_STAY, STEPS, "T18:30", "+T08:30", ["35", "32", "32"]),
        // The first hour deducted. 9 − (5 + 2) / 4 − 2 / 7 − 5.
        (FIRST_HOUR, DAY_NIGHT, "T19:30", "T21:15", ["2", "2", "2"]),
        // The first 20 min, which alone cost 5, of a stay of 7 / 2 / 5: never below nothing.
        (FIRST_20, DAY_NIGHT, "T19:30", "T20:15", ["2", "0", "0"]),
        // The clock starts at 19:50. 5 + 2 / until 20:50 2 / until 20:50 5.
        (LATER, DAY_NIGHT, "T19:30", "T20:40", ["7", "2", "5"]),
    ];
    for (switches, windows, entry, exit, wanted) in cases {
        let entry = format!("2026-03-02{entry}");
        let exit = match exit.strip_prefix('+') {
            Some(clock) => format!("2026-03-03{clock}"),
            None => format!("2026-03-02{exit}"),
        };
        for (edge, wanted) in EDGES.into_iter().zip(wanted) {
            let text = format!(
                "{switches}{}block_at_edge = \"{edge}\"\nwindows = [\n    {windows}\n]\n",
                calendar("none")
            );
            let found = rated(&rule(&text), &entry, &exit);
            let wanted: Decimal = wanted.parse().unwrap();
            assert_eq!(found.exact, wanted, "{edge}, {entry} to {exit}: {text}{found:#?}");
        }
        // Left out it lapses.
        let text = format!("{switches}{}windows = [\n    {windows}\n]\n", calendar("none"));
        let wanted: Decimal = wanted[0].parse().unwrap();
        assert_eq!(rated(&rule(&text), &entry, &exit).exact, wanted, "{text}");
    }
}

#[test]
fn what_was_paid_before_an_edge_is_not_paid_back_after_it() {
    // At 19:50 the block is the day's, 5; at 20:15 it is the night's, 2, and grace is over. At 21:35 the stay
    // costs 2 + 2, at 22:35 2 + 2 + 2: 1 more than was paid.
    let text = format!(
        "{PLAIN}{}block_at_edge = \"carries\"\nwindows = [\n{DAY_NIGHT}\n]\n",
        calendar("none")
    );
    for (exit, due) in [("T20:00", 0), ("T20:15", 0), ("T21:30", 0), ("T22:30", 100)] {
        let input = format!(
            "{{\"entry\":\"2026-03-02T19:30\",\"paid_at\":\"2026-03-02T19:50\",\"exit\":\"2026-03-02{exit}\"}}"
        );
        let found = rate_document(&rule(&text), "rule.toml", &input, "input.json").unwrap();
        assert_eq!(found.total_fen.0, due, "{exit}: {found:#?}");
    }
}

#[test]
fn worked_examples_of_a_block_that_passes_midnight_into_a_weekend() {
    // Friday to Saturday; what it costs by segment, by entry, by block.
    const KINDS: [&str; 3] = ["per_segment", "at_entry", "per_block"];
    let cases = [
        // 23:30 6, 00:00 2 / 23:30 6 / 23:30 to 00:30 6.
        ("lapses", DAYS, "T23:30", "T00:30", ["8", "6", "6"]),
        // 6, 2 / 6, 6 / 6 until 00:30, then a block of Saturday's 2.
        ("lapses", DAYS, "T23:30", "T00:45", ["8", "12", "8"]),
        // By segment the block is Saturday's where it ends: 2, 2. By block there is no edge: 6, 2.
        ("carries", DAYS, "T23:30", "T00:45", ["4", "12", "8"]),
        ("price_at_start", DAYS, "T23:30", "T00:45", ["8", "12", "8"]),
        // An edge of the clock. Lapsed: 6, and Saturday's 2 from 00:00 on; by entry 6 and 4.
        ("lapses", DAYS_AND_HOURS, "T23:30", "T00:45", ["8", "10", "8"]),
        // Until 00:30 2, then 2 / 4, 4 / Friday's block is complete in the night of a workday: 4, 2.
        ("carries", DAYS_AND_HOURS, "T23:30", "T00:45", ["4", "8", "6"]),
        // Until 00:30 6, then 2 / 4 / 2.
        ("price_at_start", DAYS_AND_HOURS, "T23:30", "T00:45", ["8", "10", "8"]),
        // Friday has no window after midnight: the kind is decided anew. 2, 2 / stands still: 6 / 2, 2.
        ("carries", EVENING_OR_HOLIDAY, "T23:30", "T00:45", ["4", "6", "4"]),
        // 6, 2 / 6, free / the block ends at its edge, 6, and 00:00 is Saturday's 2.
        ("lapses", EVENING_OR_HOLIDAY, "T23:30", "T00:45", ["8", "6", "8"]),
        // A pause until 10:00 of Saturday, 30 + 30 min: 2 / on until 18:00 and not so long: 6 / 2.
        ("carries", EVENING_AND_HOLIDAY, "T23:30", "T10:30", ["2", "6", "2"]),
        // By entry the pause ends at 18:00: 6.
        ("carries", EVENING_AND_HOLIDAY, "T23:30", "T18:30", ["18", "6", "18"]),
    ];
    for (edge, windows, entry, exit, wanted) in cases {
        let (entry, exit) = (format!("2026-03-06{entry}"), format!("2026-03-07{exit}"));
        for (kind, wanted) in KINDS.into_iter().zip(wanted) {
            let text = format!(
                "{PLAIN}{}block_at_edge = \"{edge}\"\nwindows = [\n    {windows}\n]\n",
                calendar(kind)
            );
            let found = rated(&rule(&text), &entry, &exit);
            let wanted: Decimal = wanted.parse().unwrap();
            assert_eq!(found.exact, wanted, "{kind}, {entry} to {exit}: {text}{found:#?}");
        }
    }
}

/// splitmix64: the same plans on every box.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 16).unwrap() % n
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[derive(Debug, Clone)]
struct Span {
    from: usize,
    to: usize,
    /// `Some(true)`: workdays.
    days: Option<bool>,
    /// Minutes, price, how many.
    steps: Vec<(usize, i64, Option<usize>)>,
    up: bool,
    cap: Option<i64>,
}

#[derive(Debug, Clone)]
struct Board {
    spans: Vec<Span>,
    cycle: &'static str,
    cycle_start: usize,
    caps: Vec<i64>,
    /// Minutes, mode, renews.
    free: Option<(usize, &'static str, &'static str)>,
    progress: &'static str,
}

fn clock(minute: usize) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl Board {
    fn any(dice: &mut Dice) -> Self {
        let mut marks: Vec<usize> = (0..2 + dice.below(3)).map(|_| dice.below(96) * 15).collect();
        marks.extend(dice.one_in(3).then_some(0));
        marks.sort_unstable();
        marks.dedup();
        if marks.len() < 2 {
            marks = vec![480, 1_200];
        }
        let mut spans = Vec::new();
        for (n, from) in marks.iter().enumerate() {
            let to = marks.get(n + 1).unwrap_or(&marks[0]);
            if dice.one_in(5) && n > 0 {
                continue;
            }
            let kinds: &[Option<bool>] = match dice.below(4) {
                0 => &[Some(true)],
                1 => &[Some(true), Some(false)],
                _ => &[None],
            };
            for days in kinds {
                spans.push(Span::any(dice, *from, *to, *days));
            }
        }
        if dice.one_in(4) {
            let over = Span::any(dice, dice.0 as usize % 700, 800, Some(false));
            spans.insert(0, over);
        }
        let free = dice.one_in(3).then(|| {
            let mode = dice.of(&["subtract", "whole_stay", "deduct_price"]);
            let renews = if mode == "deduct_price" { "stay" } else { dice.of(&["stay", "cycle"]) };
            (dice.of(&[10, 30, 60, 120]), mode, renews)
        });
        Self {
            spans,
            cycle: dice.of(&["none", "24h_from_entry", "civil_day", "operator_day"]),
            cycle_start: dice.below(1_440),
            caps: dice.of(&[&[][..], &[], &[25], &[10, 40]]).to_vec(),
            free,
            progress: dice.of(&["segment", "stay"]),
        }
    }

    fn has_days(&self) -> bool {
        self.spans.iter().any(|span| span.days.is_some())
    }

    fn file(&self, edge: &str, day_type: &str) -> String {
        let mut text = format!("cycle = \"{}\"\nprogress = \"{}\"\n", self.cycle, self.progress);
        if self.cycle == "operator_day" {
            writeln!(text, "cycle_start = \"{}\"", clock(self.cycle_start)).unwrap();
        }
        let caps: Vec<String> = self.caps.iter().map(|cap| format!("\"{cap}\"")).collect();
        writeln!(text, "caps = [{}]\nblock_at_edge = \"{edge}\"", caps.join(", ")).unwrap();
        match self.free {
            None => text.push_str("free = \"none\"\n"),
            Some((minutes, mode, renews)) => writeln!(
                text,
                "free = {{ minutes = {minutes}, mode = \"{mode}\", renews = \"{renews}\" }}"
            )
            .unwrap(),
        }
        writeln!(text, "day_type = \"{day_type}\"").unwrap();
        if day_type != "none" {
            text.push_str(
                "calendar = { holidays = [\"2026-03-04\"], make_up_workdays = [\"2026-03-14\"] }\n",
            );
        }
        text.push_str("windows = [\n");
        for span in &self.spans {
            write!(text, "{{ from = \"{}\", to = \"{}\", ", clock(span.from), clock(span.to))
                .unwrap();
            if let Some(workday) = span.days {
                write!(text, "days = \"{}\", ", if workday { "workday" } else { "holiday" })
                    .unwrap();
            }
            if let Some(cap) = span.cap {
                write!(text, "cap = \"{cap}\", ").unwrap();
            }
            write!(text, "rounding = \"{}\", steps = [", if span.up { "up" } else { "down" })
                .unwrap();
            for (minutes, price, times) in &span.steps {
                let times = times.map(|times| format!(", times = {times}")).unwrap_or_default();
                write!(text, "{{ minutes = {minutes}, price = \"{price}\"{times} }}, ").unwrap();
            }
            text.push_str("] },\n");
        }
        text.push_str("]\n");
        rule(&text)
    }
}

impl Span {
    fn any(dice: &mut Dice, from: usize, to: usize, days: Option<bool>) -> Self {
        let count = 1 + dice.below(3);
        let steps = (1..=count).map(|n| {
            let minutes = dice.of(&[5, 7, 15, 30, 45, 60, 60, 90, 120, 600, 2_000]);
            let price = i64::try_from(dice.below(10)).unwrap();
            (minutes, price, (n < count).then(|| 1 + dice.below(3)))
        });
        let steps = steps.collect();
        let cap = dice.one_in(5).then(|| 1 + i64::try_from(dice.below(15)).unwrap());
        Self { from, to, days, steps, up: !dice.one_in(3), cap }
    }

    fn holds(&self, minute: usize, workday: bool) -> bool {
        let inside = if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        };
        inside && self.days.is_none_or(|days| days == workday)
    }
}

/// Whether a day of March 2026 is a workday; the first is a Sunday.
fn is_workday(day: usize) -> bool {
    match day {
        4 => false,
        14 => true,
        other => !matches!(other % 7, 0 | 1),
    }
}

/// A minute of a stay.
#[derive(Debug, Clone, Copy)]
struct Minute {
    of_day: usize,
    workday: bool,
    cycle: usize,
    spared: bool,
}

/// The list of a stay's minutes; `start` counts from the beginning of March.
fn list(board: &Board, day_type: &str, start: usize, length: usize, free: bool) -> Vec<Minute> {
    let mut minutes: Vec<Minute> = (0..length)
        .map(|n| {
            let at = start + n;
            let day = if day_type == "at_entry" { start / 1_440 } else { at / 1_440 };
            let cycle = match board.cycle {
                "none" => 0,
                "24h_from_entry" => n / 1_440,
                "civil_day" => at / 1_440,
                _ => (at + 1_440 - board.cycle_start) / 1_440,
            };
            Minute { of_day: at % 1_440, workday: is_workday(day), cycle, spared: false }
        })
        .collect();
    let Some((free_minutes, mode, renews)) = board.free.filter(|_| free) else { return minutes };
    let mut parts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, minute) in minutes.iter().enumerate() {
        parts.entry(if renews == "cycle" { minute.cycle } else { 0 }).or_default().push(n);
    }
    for part in parts.into_values() {
        let spared = match mode {
            "subtract" => part.len().min(free_minutes),
            "whole_stay" if part.len() <= free_minutes => part.len(),
            _ => 0,
        };
        for n in part.into_iter().take(spared) {
            minutes[n].spared = true;
        }
    }
    minutes
}

/// Which windows the minutes went to, and what is due in each turn.
#[derive(Default)]
struct Ledger {
    /// Window, cycle, dues, complete blocks.
    turns: Vec<(Option<usize>, usize, Vec<i64>, usize)>,
    /// Over the stay, by window.
    complete: BTreeMap<usize, usize>,
    torn: bool,
}

impl Ledger {
    /// The turn of the next minute.
    fn turn(&mut self, window: Option<usize>, cycle: usize, stay: bool) -> usize {
        let goes_on = self.turns.last().is_some_and(|t| t.0 == window && t.1 == cycle);
        if !goes_on || self.torn {
            let known = window.and_then(|w| self.complete.get(&w).copied()).unwrap_or(0);
            self.turns.push((window, cycle, Vec::new(), if stay { known } else { 0 }));
            self.torn = false;
        }
        self.turns.len() - 1
    }
}

fn block_of(span: &Span, number: usize) -> (usize, i64) {
    let mut list = Vec::new();
    for (minutes, price, times) in &span.steps {
        list.extend(std::iter::repeat_n((*minutes, *price), times.unwrap_or(1)));
    }
    *list.get(number).unwrap_or_else(|| list.last().unwrap())
}

/// What a stay costs in whole yuan.
fn oracle(board: &Board, edge: &str, day_type: &str, start: usize, length: usize) -> i64 {
    let deducts = board.free.filter(|free| free.1 == "deduct_price");
    let sum = |length, free| {
        sum(board, edge, day_type == "per_block", &list(board, day_type, start, length, free))
    };
    let whole = sum(length, deducts.is_none());
    deducts.map_or(whole, |(first, ..)| whole - sum(length.min(first), false).min(whole))
}

fn sum(board: &Board, edge: &str, per_block: bool, minutes: &[Minute]) -> i64 {
    let stay = board.progress == "stay";
    let find = |n: usize, workday: bool| {
        board.spans.iter().position(|span| span.holds(minutes[n].of_day, workday))
    };
    let mut ledger = Ledger::default();
    let mut n = 0;
    while n < minutes.len() {
        let first = minutes[n];
        let window = if first.spared { None } else { find(n, first.workday) };
        let Some(mut window) = window else {
            ledger.turn(None, first.cycle, stay);
            n += 1;
            continue;
        };
        // A block begins with this minute; it takes the minutes that follow, one after the other.
        let (mut kind, mut used, mut turn, mut torn) = (Some(first.workday), 0, 0, false);
        let mut complete = false;
        while let Some(minute) = minutes.get(n).filter(|m| m.cycle == first.cycle && !complete) {
            let own = if per_block { kind.unwrap_or(minute.workday) } else { minute.workday };
            let here = find(n, own);
            match edge {
                "lapses" if here != Some(window) => break,
                "price_at_start" => torn |= here != Some(window),
                "carries" => match here.or_else(|| find(n, minute.workday)) {
                    Some(next) => {
                        kind = Some(if here.is_some() { own } else { minute.workday });
                        window = next;
                    }
                    None => {
                        kind = None;
                        ledger.turn(None, minute.cycle, stay);
                        n += 1;
                        continue;
                    }
                },
                _ => {}
            }
            turn = ledger.turn(Some(window), minute.cycle, stay);
            used += 1;
            n += 1;
            complete = used >= block_of(&board.spans[window], ledger.turns[turn].3).0;
        }
        let span = &board.spans[window];
        if complete || span.up {
            let price = block_of(span, ledger.turns[turn].3).1;
            ledger.turns[turn].2.push(price);
        }
        if complete {
            ledger.turns[turn].3 += 1;
            ledger.complete.insert(window, ledger.turns[turn].3);
        }
        ledger.torn |= torn;
    }
    let mut cycles: BTreeMap<usize, i64> = BTreeMap::new();
    for (window, cycle, dues, _) in ledger.turns {
        let Some(window) = window else { continue };
        let due: i64 = dues.iter().sum();
        *cycles.entry(cycle).or_default() +=
            board.spans[window].cap.map_or(due, |cap| due.min(cap));
    }
    let last = board.caps.len().saturating_sub(1);
    let capped =
        |(n, due): (usize, i64)| board.caps.get(n.min(last)).map_or(due, |cap| due.min(*cap));
    cycles.into_values().enumerate().map(capped).sum()
}

fn civil(minute: usize) -> String {
    format!("2026-03-{:02}T{}", minute / 1_440, clock(minute % 1_440))
}

fn cost(file: &str, start: usize, length: usize) -> Decimal {
    rated(file, &civil(start), &civil(start + length)).exact
}

fn day_types(board: &Board) -> &'static [&'static str] {
    if board.has_days() { &["per_segment", "at_entry", "per_block"] } else { &["none"] }
}

/// A stay that begins in the first half of March.
fn stay(dice: &mut Dice) -> (usize, usize) {
    let start = (1 + dice.below(14)) * 1_440 + dice.below(1_440);
    (start, dice.of(&[180, 600, 1_440, 4_000]))
}

#[test]
fn random_plans_and_stays_cost_what_a_list_of_minutes_says_for_every_combination() {
    let mut dice = Dice(38);
    let mut differ = 0;
    for number in 0..400 {
        let board = Board::any(&mut dice);
        let (start, longest) = stay(&mut dice);
        let length = 1 + dice.below(longest);
        let mut prices = Vec::new();
        for edge in EDGES {
            for day_type in day_types(&board) {
                let file = board.file(edge, day_type);
                let wanted = Decimal::from(oracle(&board, edge, day_type, start, length));
                let found = cost(&file, start, length);
                assert_eq!(
                    found,
                    wanted,
                    "plan {number}, {} and {length} min: {file}",
                    civil(start)
                );
                prices.push(found);
            }
        }
        differ += usize::from(prices.iter().any(|price| *price != prices[0]));
    }
    assert!(differ > 100, "the switches decide something: {differ}");
}

#[test]
fn a_longer_stay_never_costs_less_but_where_a_block_is_carried_into_a_cheaper_window() {
    let mut dice = Dice(4);
    for number in 0..16 {
        let mut board = Board::any(&mut dice);
        let (start, _) = stay(&mut dice);
        let step = 1 + dice.below(23);
        for edge in EDGES {
            if edge == "carries" {
                // Where only complete blocks are due, what was due stays due.
                board.spans.iter_mut().for_each(|span| span.up = false);
                board.free = None;
            }
            for day_type in day_types(&board) {
                let file = board.file(edge, day_type);
                let mut before = Decimal::ZERO;
                for length in (0..2_000).step_by(step * 5) {
                    let now = cost(&file, start, length);
                    assert!(now >= before, "plan {number}, {length} min: {now} < {before}: {file}");
                    before = now;
                }
            }
        }
    }
    // The exception, by hand above: 5 until 20:00, 2 with the minute after it.
    let file = format!(
        "{PLAIN}{}block_at_edge = \"carries\"\nwindows = [\n{DAY_NIGHT}\n]\n",
        calendar("none")
    );
    let until = |exit: &str| rated(&rule(&file), "2026-03-02T19:30", exit).exact;
    assert!(until("2026-03-02T20:01") < until("2026-03-02T20:00"));
}

#[test]
fn in_one_window_every_value_costs_the_same() {
    let mut dice = Dice(7);
    let mut seen = 0;
    while seen < 150 {
        let board = Board::any(&mut dice);
        let (start, _) = stay(&mut dice);
        let length = 1 + dice.below(400);
        let minutes = list(&board, "per_segment", start, length, true);
        let kinds = [true, false].map(|kind| minutes.iter().any(|m| m.workday == kind));
        let mut windows: Vec<Option<usize>> = Vec::new();
        for minute in &minutes {
            for kind in [true, false].into_iter().zip(kinds).filter(|(_, is)| *is).map(|(k, _)| k) {
                windows.push(board.spans.iter().position(|s| s.holds(minute.of_day, kind)));
            }
        }
        windows.dedup();
        if windows.len() != 1 || windows[0].is_none() {
            continue;
        }
        seen += 1;
        for day_type in day_types(&board) {
            let [a, b, c] = EDGES.map(|edge| cost(&board.file(edge, day_type), start, length));
            assert!(a == b && b == c, "{} and {length} min: {a}, {b}, {c}", civil(start));
        }
    }
}

#[test]
fn the_board_the_lines_and_the_diagram_say_what_becomes_of_a_block() {
    let told = |edge: &str, kind: &str, windows: &str| {
        let text = format!(
            "{PLAIN}{}block_at_edge = \"{edge}\"\nwindows = [\n{windows}\n]\n",
            calendar(kind)
        );
        let file = TariffFile::read(&rule(&text), "p.toml").unwrap();
        let (_, tariff) = file.parking.first().unwrap();
        let lines = board(tariff, &tariff.revisions[0].plan);
        let all = |pick: fn(&blockgate_rules::event::Text) -> &str| {
            lines.iter().map(pick).collect::<Vec<_>>().join("\n")
        };
        let rated = rated(&rule(&text), "2026-03-06T19:30", "2026-03-07T00:45");
        let labels: Vec<_> = rated.lines.iter().map(|line| line.label.clone()).collect();
        (all(|t| &t.zh), all(|t| &t.en), labels, rated.lines.len())
    };
    let (zh, en, labels, _) = told("carries", "none", DAY_NIGHT);
    assert!(
        zh.contains("跨时段时未满的计费单位接续计时，只计一次，按其结束时所在时段计价"),
        "{zh}"
    );
    assert!(en.contains("goes on: charged once, by the time in which it ends"), "{en}");
    assert!(zh.contains("次序在每个时段重新起算") && !zh.contains("跨时段重新起算"), "{zh}");
    assert!(!en.contains("Units begin anew"), "{en}");
    assert_eq!(labels[0].zh, "停车 20:00–08:00 每 60 分钟（首个计费单位含此前已停 30 分钟）");
    assert_eq!(
        labels[0].en,
        "Parking 20:00–08:00, per 60 min (the first one with 30 min from before)"
    );
    let (zh, en, ..) = told("carries", "none", WITH_GAP);
    assert!(zh.contains("（不收费时段除外）") && en.contains("after any free time"), "{zh}\n{en}");
    let (zh, en, labels, _) = told("price_at_start", "none", DAY_NIGHT);
    assert!(zh.contains("跨时段时未满的计费单位按其开始时所在时段计价，满后再起算下一个"), "{zh}");
    assert!(en.contains("runs on at the price of its start; the next begins after it"), "{en}");
    assert_eq!(labels[0].zh, "停车 08:00–20:00 每 60 分钟（最后一个计费单位跨时段延续 30 分钟）");
    assert_eq!(labels[0].en, "Parking 08:00–20:00, per 60 min (the last one runs on for 30 min)");
    let (zh, en, labels, count) = told("lapses", "per_block", DAYS);
    assert!(zh.contains("工作日、节假日按每个计费单位开始当日计（含调休）"), "{zh}");
    assert!(en.contains("Workday or holiday by the day on which a unit begins"), "{en}");
    assert!(!zh.contains("未满的计费单位") && !en.contains("not complete"), "{zh}\n{en}");
    assert_eq!(count, 2, "{labels:?}");
    assert!(labels[0].zh.ends_with("（其中 30 分钟按计费单位开始当日计）"), "{labels:?}");
    assert!(labels[0].en.ends_with("(30 min of it by the day on which their unit began)"));
}

#[test]
fn a_wrong_value_is_named_at_its_place() {
    let text = format!(
        "{PLAIN}{}block_at_edge = \"lapses\"\nwindows = [\n{DAY_NIGHT}\n]\n",
        calendar("none")
    );
    let good = rule(&text);
    assert!(TariffFile::read(&good, "p.toml").is_ok());
    let whole_day = "rounding = \"up\"\nsteps = [{ minutes = 60, price = \"2\" }]\n";
    let without_windows = rule(&format!(
        "cycle = \"none\"\ncaps = []\nfree = \"none\"\n{whole_day}block_at_edge = \"carries\"\n"
    ));
    for (text, key, wanted) in [
        (good.replace("\"lapses\"", "\"rolls\""), "block_at_edge", "\"price_at_start\""),
        (good.replace("\"lapses\"", "3"), "block_at_edge", "write it in quotes"),
        (
            good.replace("day_type = \"none\"", "day_type = \"by_block\""),
            "day_type",
            "\"per_block\"",
        ),
        (
            good.replace("day_type = \"none\"", "day_type = \"per_block\""),
            "day_type",
            "no window has days",
        ),
        (without_windows, "block_at_edge", "block_at_edge is for windows"),
    ] {
        let line = text.lines().position(|line| line.starts_with(key)).unwrap() + 1;
        let faults = TariffFile::read(&text, "p.toml").unwrap_err();
        let told = faults.iter().any(|f| f.line == line && f.message.contains(wanted));
        assert!(told, "{key}: {faults:?}");
    }
}

#[test]
fn a_rule_that_leaves_the_new_key_out_keeps_its_hash() {
    let hash = |key: &str| {
        let text = format!("{PLAIN}{}{key}windows = [\n{DAY_NIGHT}\n]\n", calendar("none"));
        let file = TariffFile::read(&rule(&text), "p.toml").unwrap();
        let revision = file.parking[0].1.revisions[0].clone();
        (revision.hash, serde_json::to_string(&revision.plan).unwrap())
    };
    let (left_out, plan) = hash("");
    assert!(!plan.contains("block_at_edge"), "{plan}");
    assert_eq!(hash("block_at_edge = \"lapses\"\n").0, left_out);
    assert_ne!(hash("block_at_edge = \"carries\"\n").0, left_out);
}
