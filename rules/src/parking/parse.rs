//! Rule files for parking: `[[parking]]` beside `[[tariff]]` in the same files.
//!
//! ```toml
//! [[parking]]
//! id = "visitors"
//! label = { zh = "临时停车", en = "Visitors' parking" }
//! currency = "CNY"
//! notice = "the notice or contract that it comes from"
//!
//! [[parking.revision]]
//! from = "2026-01-01"
//! seconds = "drop"                  # drop, up: whether a started minute counts
//! cycle = "24h_from_entry"          # none, 24h_from_entry, civil_day, operator_day (with cycle_start = "07:00")
//! caps = ["20"]                     # of the first, second … cycle, the last repeats; [] for none
//! cap_scope = "stay"                # stay, vehicle: visits in one cycle share the cap
//! free = { minutes = 90, mode = "whole_stay", renews = "cycle" }   # or "none"
//!                                   # mode: subtract, whole_stay, deduct_price; renews: stay, cycle
//! rounding = "up"                   # up: a started block is due; down: only a complete one
//! steps = [ { minutes = 120, price = "5", times = 1 }, { minutes = 60, price = "1" } ]
//! reentry = { effect = "none" }     # or { effect = "free_not_again", within_min = 60 }
//! class_change = "split"            # split, at_entry, at_exit
//! free_after_change = false         # whether a later part of a stay has free time again
//! after_payment = { grace_min = 15, exceeded = "new_part" }        # new_part, from_payment
//! new_energy_percent = "100"        # what new-energy vehicles pay of each price
//! ```
//!
//! Instead of `rounding` and `steps` for the whole day there may be windows, and then three switches more:
//!
//! ```toml
//! progress = "segment"              # segment: steps begin anew with each turn of a window; stay: not
//! block_at_edge = "lapses"          # lapses, carries, price_at_start: a block that its window's end cuts;
//!                                   # left out it lapses
//! day_type = "per_segment"          # per_segment, at_entry, per_block; "none" where no window has days
//! windows = [
//!   { from = "07:00", to = "19:00", days = "workday", rounding = "up", steps = [ … ], cap = "10" },
//!   { from = "19:00", to = "07:00", rounding = "up", steps = [ … ] },
//! ]
//! calendar = { holidays = ["2026-10-01"], make_up_workdays = ["2026-10-10"] }   # where windows have days
//! ```
//!
//! Time outside of all windows is free. Where two windows hold, the first one counts.

use super::plan::{
    AfterPayment, BlockAtEdge, BlockRounding, Calendar, CapScope, ClassChange, Cycle, DayKind,
    DayType, Exceeded, Free, FreeMode, ParkingRevision, ParkingTariff, Plan, Progress, Reentry,
    Renews, Seconds, Step, Window,
};
use crate::calendar::parse_day;
use crate::tariff::read::{Faults, Table};
use blockgate_types::{Decimal, TariffId};
use std::collections::BTreeSet;

/// Most windows of a plan, and most steps of a window.
const LIST_MAX: usize = 64;
/// Longest block or free time, in minutes: a year.
const MINUTES_MAX: u32 = 527_040;

const REVISION: &[&str] = &[
    "from",
    "seconds",
    "cycle",
    "cycle_start",
    "caps",
    "cap_scope",
    "free",
    "rounding",
    "steps",
    "windows",
    "progress",
    "block_at_edge",
    "day_type",
    "calendar",
    "reentry",
    "class_change",
    "free_after_change",
    "after_payment",
    "new_energy_percent",
];

/// Reads one `[[parking]]`.
pub(crate) fn parking(
    table: &Table<'_, '_>,
    faults: &mut Faults<'_>,
) -> Option<(TariffId, ParkingTariff)> {
    table.only(&["id", "label", "currency", "notice", "revision"], faults);
    let id = table.text("id", "\"visitors\"", faults).and_then(|text| {
        let id = TariffId::new(text);
        if let Err(error) = &id {
            faults.at(&table.place_of("id"), error.to_string());
        }
        id.ok()
    });
    let label = table.label("label", faults);
    let currency = table.text("currency", "\"CNY\"", faults);
    let shape = |c: &&str| c.len() == 3 && c.bytes().all(|b| b.is_ascii_uppercase());
    if let Some(wrong) = currency.filter(|c| !shape(c)) {
        let message = format!("{wrong:?} is not a currency: write it like \"CNY\"");
        faults.at(&table.place_of("currency"), message);
    }
    let notice = table.text("notice", "\"the notice it comes from\"", faults);
    let mut revisions: Vec<ParkingRevision> = Vec::new();
    for revision in table.tables("revision", "[[parking.revision]]", faults) {
        let Some(read) = self::revision(&revision, faults) else { continue };
        if revisions.last().is_some_and(|before| before.from >= read.from) {
            let message = "a revision begins on or before the one above it: put them in order";
            faults.at(&revision.place_of("from"), message);
        }
        revisions.push(read);
    }
    let (label, currency, notice) = (label?, currency?.to_owned(), notice?.to_owned());
    if revisions.is_empty() {
        return None;
    }
    Some((id?, ParkingTariff { label, currency, notice, revisions }))
}

fn revision(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<ParkingRevision> {
    table.only(REVISION, faults);
    let from = table.day("from", faults);
    let plan = plan(table, faults);
    let (from, plan) = (from?, plan?);
    // The plan's JSON is its canonical form: the same switches have the same hash.
    let text = serde_json::to_vec(&plan).unwrap_or_default();
    let hash = ring::digest::digest(&ring::digest::SHA256, &text);
    let hash = crate::hex(hash.as_ref().get(..4).unwrap_or_default());
    Some(ParkingRevision { from, hash, plan })
}

fn plan(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Plan> {
    let seconds = table.choice("seconds", &[("drop", Seconds::Drop), ("up", Seconds::Up)], faults);
    let cycle = cycle(table, faults);
    let caps = table.decimals("caps", faults);
    for cap in caps.iter().filter(|cap| cap.is_sign_negative() || cap.is_zero()) {
        faults.at(&table.place_of("caps"), format!("a cap of {cap} is no cap: leave it out"));
    }
    let scopes = [("stay", CapScope::Stay), ("vehicle", CapScope::Vehicle)];
    let cap_scope = table.choice("cap_scope", &scopes, faults);
    let free = free(table, faults);
    let windows = windows(table, faults);
    let has_windows = table.has("windows");
    let has_days = windows.iter().any(|window| window.days.is_some());
    let progress = if has_windows {
        let words = [("segment", Progress::Segment), ("stay", Progress::Stay)];
        table.choice("progress", &words, faults)
    } else {
        refuse(table, "progress", "progress is for windows", faults);
        Some(Progress::Segment)
    };
    let block_at_edge = if has_windows && table.has("block_at_edge") {
        let words = [
            ("lapses", BlockAtEdge::Lapses),
            ("carries", BlockAtEdge::Carries),
            ("price_at_start", BlockAtEdge::PriceAtStart),
        ];
        table.choice("block_at_edge", &words, faults)
    } else {
        refuse(table, "block_at_edge", "block_at_edge is for windows", faults);
        Some(BlockAtEdge::Lapses)
    };
    let day_type = if has_windows {
        let words = [
            ("per_segment", DayType::PerSegment),
            ("at_entry", DayType::AtEntry),
            ("per_block", DayType::PerBlock),
            ("none", DayType::None),
        ];
        let found = table.choice("day_type", &words, faults);
        if found.is_some_and(|found| (found == DayType::None) == has_days) {
            let message = "day_type is \"none\" exactly where no window has days";
            faults.at(&table.place_of("day_type"), message);
        }
        found
    } else {
        refuse(table, "day_type", "day_type is for windows", faults);
        Some(DayType::None)
    };
    let calendar = if has_days {
        calendar(table, faults)
    } else {
        refuse(table, "calendar", "no window has days, so a calendar changes nothing", faults);
        Some(Calendar::default())
    };
    let reentry = reentry(table, faults);
    let changes = [
        ("split", ClassChange::Split),
        ("at_entry", ClassChange::AtEntry),
        ("at_exit", ClassChange::AtExit),
    ];
    let class_change = table.choice("class_change", &changes, faults);
    let free_after_change = table.flag("free_after_change", faults);
    let after_payment = after_payment(table, faults);
    let new_energy = table.decimal("new_energy_percent", faults);
    let hundred = Decimal::ONE_HUNDRED;
    if new_energy.is_some_and(|percent| percent.is_sign_negative() || percent > hundred) {
        let message = "new_energy_percent is from \"0\" to \"100\"";
        faults.at(&table.place_of("new_energy_percent"), message);
    }
    if windows.is_empty() {
        return None;
    }
    Some(Plan {
        seconds: seconds?,
        cycle: cycle?,
        caps,
        cap_scope: cap_scope?,
        free: free?,
        windows,
        progress: progress?,
        block_at_edge: block_at_edge?,
        day_type: day_type?,
        calendar: calendar?,
        reentry: reentry?,
        class_change: class_change?,
        free_after_change: free_after_change?,
        after_payment: after_payment?,
        new_energy_percent: new_energy?,
    })
}

fn refuse(table: &Table<'_, '_>, key: &str, why: &str, faults: &mut Faults<'_>) {
    if table.has(key) {
        faults.at(&table.place_of(key), format!("{why}: leave \"{key}\" out"));
    }
}

fn cycle(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Cycle> {
    let words = [
        ("none", Cycle::None),
        ("24h_from_entry", Cycle::FromEntry),
        ("civil_day", Cycle::CivilDay),
        ("operator_day", Cycle::OperatorDay { start: 0 }),
    ];
    let cycle = table.choice("cycle", &words, faults);
    match cycle {
        Some(Cycle::OperatorDay { .. }) => {
            let start = clock(table, "cycle_start", faults)?;
            Some(Cycle::OperatorDay { start: start.checked_rem(1_440).unwrap_or(0) })
        }
        Some(Cycle::None | Cycle::FromEntry | Cycle::CivilDay) | None => {
            refuse(table, "cycle_start", "only an operator_day has a start", faults);
            cycle
        }
    }
}

/// `"07:30"` as a minute of the day; `"24:00"` is the day's end.
fn clock(table: &Table<'_, '_>, key: &str, faults: &mut Faults<'_>) -> Option<u16> {
    let text = table.text(key, "\"07:30\"", faults)?;
    let minute = minute(text);
    if minute.is_none() {
        let message = format!("{text:?} is not a time of the day: write it like \"07:30\"");
        faults.at(&table.place_of(key), message);
    }
    minute
}

/// A minute of the day from its text, as in a tariff: `07:30`, at the end of a day `24:00`.
#[must_use]
pub fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse::<u16>().ok() } else { None }
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let sum = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && sum <= 1_440).then_some(sum)
}

#[expect(clippy::option_option, reason = "the outer one is a fault, the inner one no free time")]
fn free(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Option<Free>> {
    const LIKE: &str = "{ minutes = 30, mode = \"whole_stay\", renews = \"stay\" } or \"none\"";
    if table.is_text("free", "none") {
        return Some(None);
    }
    let free = table.table("free", LIKE, faults)?;
    free.only(&["minutes", "mode", "renews"], faults);
    let minutes = length(&free, "minutes", faults);
    let modes = [
        ("subtract", FreeMode::Subtract),
        ("whole_stay", FreeMode::WholeStay),
        ("deduct_price", FreeMode::DeductPrice),
    ];
    let mode = free.choice("mode", &modes, faults);
    let renews = free.choice("renews", &[("stay", Renews::Stay), ("cycle", Renews::Cycle)], faults);
    if mode == Some(FreeMode::DeductPrice) && renews == Some(Renews::Cycle) {
        faults.at(&free.place_of("renews"), "deduct_price is once in a stay: renews = \"stay\"");
    }
    Some(Some(Free { minutes: minutes?, mode: mode?, renews: renews? }))
}

fn length(table: &Table<'_, '_>, key: &str, faults: &mut Faults<'_>) -> Option<u32> {
    let minutes = table.number(key, faults)?;
    if minutes == 0 || minutes > MINUTES_MAX {
        faults.at(&table.place_of(key), format!("\"{key}\" is from 1 to {MINUTES_MAX}"));
        return None;
    }
    Some(minutes)
}

fn windows(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Vec<Window> {
    const LIKE: &str = "{ from = \"07:00\", to = \"19:00\", rounding = \"up\", steps = [ … ] }";
    if !table.has("windows") {
        let (rounding, steps) = priced(table, faults);
        return match (rounding, steps) {
            (Some(rounding), Some(steps)) => {
                vec![Window { from: 0, to: 1_440, days: None, steps, rounding, cap: None }]
            }
            _ => Vec::new(),
        };
    }
    refuse(table, "steps", "windows have their own steps", faults);
    refuse(table, "rounding", "windows have their own rounding", faults);
    let mut windows = Vec::new();
    let given = table.tables("windows", LIKE, faults);
    if given.is_empty() || given.len() > LIST_MAX {
        faults.at(&table.place_of("windows"), format!("there are 1 to {LIST_MAX} windows"));
    }
    for window in given {
        window.only(&["from", "to", "days", "steps", "rounding", "cap"], faults);
        let (from, to) = (clock(&window, "from", faults), clock(&window, "to", faults));
        let days = if window.has("days") {
            let words = [("workday", DayKind::Workday), ("holiday", DayKind::Holiday)];
            window.choice("days", &words, faults)
        } else {
            None
        };
        let cap = window.optional_decimal("cap", faults);
        if cap.is_some_and(|cap| cap.is_sign_negative() || cap.is_zero()) {
            faults.at(&window.place_of("cap"), "a cap is more than nothing: leave it out for none");
        }
        let (rounding, steps) = priced(&window, faults);
        if let (Some(from), Some(to), Some(rounding), Some(steps)) = (from, to, rounding, steps) {
            if from == to {
                let message = "a window of the whole day is written without windows";
                faults.at(&window.place_of("to"), message);
            }
            windows.push(Window { from, to, days, steps, rounding, cap });
        }
    }
    windows
}

fn priced(
    table: &Table<'_, '_>,
    faults: &mut Faults<'_>,
) -> (Option<BlockRounding>, Option<Vec<Step>>) {
    const LIKE: &str = "{ minutes = 60, price = \"2\" }";
    let words = [("up", BlockRounding::Up), ("down", BlockRounding::Down)];
    let rounding = table.choice("rounding", &words, faults);
    let given = table.tables("steps", LIKE, faults);
    let count = given.len();
    if table.has("steps") && (count == 0 || count > LIST_MAX) {
        faults.at(&table.place_of("steps"), format!("there are 1 to {LIST_MAX} steps"));
    }
    let mut steps = Vec::new();
    for (index, step) in given.iter().enumerate() {
        step.only(&["minutes", "price", "times"], faults);
        let minutes = length(step, "minutes", faults);
        let price = step.decimal("price", faults);
        if price.is_some_and(|price| price.is_sign_negative()) {
            faults.at(&step.place_of("price"), "a price is not below zero");
        }
        let last = index.saturating_add(1) == count;
        let times = if step.has("times") { step.number("times", faults) } else { None };
        if times == Some(0) {
            faults.at(&step.place_of("times"), "\"times\" is at least 1");
        }
        if !last && times.is_none() {
            faults.at(&step.place, "only the last step repeats for ever: give \"times\"");
        }
        if let (Some(minutes), Some(price)) = (minutes, price) {
            steps.push(Step { minutes, price, times });
        }
    }
    (rounding, (!steps.is_empty() && steps.len() == count).then_some(steps))
}

fn calendar(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Calendar> {
    const LIKE: &str = "{ holidays = [], make_up_workdays = [] }";
    let calendar = table.table("calendar", LIKE, faults)?;
    calendar.only(&["holidays", "make_up_workdays"], faults);
    let mut list = |key: &str| {
        let mut days = BTreeSet::new();
        for (text, place) in calendar.texts(key, "[\"2026-10-01\"]", faults) {
            match parse_day(text) {
                Some(day) => {
                    days.insert(day);
                }
                None => faults.at(&place, format!("{text:?} is not a day like \"2026-10-01\"")),
            }
        }
        days
    };
    let (holidays, make_up_workdays) = (list("holidays"), list("make_up_workdays"));
    if let Some(day) = holidays.intersection(&make_up_workdays).next() {
        faults.at(&calendar.place, format!("{day} is a holiday and a make-up workday"));
    }
    Some(Calendar { holidays, make_up_workdays })
}

fn reentry(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<Reentry> {
    const LIKE: &str = "{ effect = \"none\" }";
    let reentry = table.table("reentry", LIKE, faults)?;
    reentry.only(&["effect", "within_min"], faults);
    let words = [("none", false), ("free_not_again", true)];
    if reentry.choice("effect", &words, faults)? {
        return Some(Reentry::FreeNotAgain { within_min: length(&reentry, "within_min", faults)? });
    }
    refuse(&reentry, "within_min", "without an effect it means nothing", faults);
    Some(Reentry::None)
}

fn after_payment(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<AfterPayment> {
    const LIKE: &str = "{ grace_min = 15, exceeded = \"new_part\" }";
    let after = table.table("after_payment", LIKE, faults)?;
    after.only(&["grace_min", "exceeded"], faults);
    let grace_min = after.number("grace_min", faults);
    if grace_min.is_some_and(|minutes| minutes > 1_440) {
        faults.at(&after.place_of("grace_min"), "a grace is at most a day");
    }
    let words = [("new_part", Exceeded::NewPart), ("from_payment", Exceeded::FromPayment)];
    let exceeded = after.choice("exceeded", &words, faults);
    Some(AfterPayment { grace_min: grace_min?, exceeded: exceeded? })
}
