//! Anomaly rules in rule files: strict TOML beside tariffs. Every fault is found at once, at its line
//! and column; an unknown key names the nearest known one.
//!
//! ```toml
//! [[anomaly]]
//! id = "leak-water"
//! kind = "continuous_flow"
//! label = { zh = "疑似漏水", en = "Suspected leak" }
//! of = { unit = "m3", uses = ["household"] }   # unit, uses, buildings, meters, except
//!
//! [[anomaly.revision]]
//! from = "2026-01-01"
//! severity = "warning"                         # info, warning, critical
//! work_order = "week"                          # now, today, week, planned; none where left out
//! check = { lasts = "20m", every = "60s" }     # read the meters more often; none where left out
//! close_valve = "on_confirmation"              # never where left out
//! on_false = { raise_percent = 25 }            # what a "false" changes; nothing where left out
//! steps = [ { least = "0.05", lasts = "20h", soonest = "12h" } ]
//! closes_after = "48h"
//! ```
//!
//! `off = true` in a revision ends the rule on that day; a rule of the same id replaces a shipped one.

use super::care::Urgency;
use super::micro::Micro;
use super::rule::{
    CheckPlan, Detector, Flag, FlowStep, Lasting, NightStep, Plan, Revision, Rule, Scope, Use,
};
use crate::calendar::parse_day;
use crate::event::{Severity, Text};
use blockgate_types::strict::{Document, Fault, Table};
use blockgate_types::{Decimal, MeterId, Span, TariffId};
use std::collections::BTreeMap;

/// Most rules in all files together.
pub const RULES_MAX: usize = 100;

/// Most steps of a rule.
pub const STEPS_MAX: usize = 6;

/// Rules by id.
pub type Rules = BTreeMap<TariffId, Rule>;

/// The rules that come with blockgate; a rule of the same id in `rules.d` replaces one.
pub const SHIPPED: &str = include_str!("../../anomalies/default.toml");

/// The shipped rules, read.
#[must_use]
pub fn shipped() -> Rules {
    // A test reads them; what cannot be read would be no rule.
    read(SHIPPED).unwrap_or_default()
}

/// Reads the `[[anomaly]]` tables of a file; other tables are left to their own readers.
///
/// # Errors
/// Every fault, by place.
pub fn read(text: &str) -> Result<Rules, Vec<Fault>> {
    let document = Document::parse(text);
    let root = document.root();
    let mut rules = Rules::new();
    for table in root.tables("anomaly") {
        let Some((id, rule)) = rule(&table) else { continue };
        if rules.insert(id.clone(), rule).is_some() {
            table.note_at("id", format!("there are two anomaly rules \"{id}\""));
        }
    }
    if rules.len() > RULES_MAX {
        document.note(0..0, format!("there are more than {RULES_MAX} anomaly rules"));
    }
    if document.is_clean() { Ok(rules) } else { Err(document.faults()) }
}

fn rule(table: &Table<'_>) -> Option<(TariffId, Rule)> {
    let id: Option<TariffId> = table.need_parsed("id");
    table.need("kind");
    let kind = table.word("kind", KINDS);
    let label = both(table, "label");
    let of = table.table("of").map(|of| scope(&of)).unwrap_or_default();
    table.need("revision");
    let mut revisions: Vec<Revision> = Vec::new();
    for entry in table.tables("revision") {
        let Some(kind) = kind else { continue };
        let revision = revision(&entry, kind);
        entry.done();
        let Some(revision) = revision else { continue };
        if revisions.last().is_some_and(|last| last.from >= revision.from) {
            entry.note_at("from", "the first days of revisions must rise");
        }
        revisions.push(revision);
    }
    table.done();
    Some((id?, Rule { label: label?, of, revisions }))
        .filter(|(_, rule)| !rule.revisions.is_empty())
}

fn scope(table: &Table<'_>) -> Scope {
    let words = [("household", Use::Household), ("public", Use::Public), ("master", Use::Master)];
    let mut uses = Vec::new();
    for text in table.texts("uses") {
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, found)) => uses.push(*found),
            None => table.note_at("uses", format!("{text:?} is not household, public or master")),
        }
    }
    let meters = |key| {
        let ids = table.texts(key).into_iter();
        let mut found = Vec::new();
        for text in ids {
            match MeterId::new(text) {
                Ok(id) => found.push(id),
                Err(error) => table.note_at(key, error.to_string()),
            }
        }
        found
    };
    let scope = Scope {
        unit: table.parsed("unit"),
        uses,
        buildings: table.texts("buildings").into_iter().map(str::to_owned).collect(),
        meters: meters("meters"),
        except: meters("except"),
    };
    table.done();
    scope
}

fn both(table: &Table<'_>, key: &'static str) -> Option<Text> {
    table.need(key);
    let entry = table.table(key)?;
    let (zh, en) = (entry.need_text("zh"), entry.need_text("en"));
    entry.done();
    Some(Text { zh: zh?.to_owned(), en: en?.to_owned() })
}

const SEVERITIES: &[(&str, Severity)] =
    &[("info", Severity::Info), ("warning", Severity::Warning), ("critical", Severity::Critical)];

const URGENCIES: &[(&str, Urgency)] = &[
    ("now", Urgency::Now),
    ("today", Urgency::Today),
    ("week", Urgency::Week),
    ("planned", Urgency::Planned),
];

fn revision(table: &Table<'_>, kind: Kind) -> Option<Revision> {
    let from = table.need_text("from").and_then(|text| {
        let day = parse_day(text);
        if day.is_none() {
            table.note_at("from", format!("{text:?} is not a day: write it like \"2026-01-01\""));
        }
        day
    });
    let off = table.flag("off").unwrap_or(false);
    table.need("severity");
    let severity = table.word("severity", SEVERITIES);
    let work_order = table.word("work_order", URGENCIES);
    let check = table.table("check").and_then(|check| {
        let lasts = span(&check, "lasts", Span::from_mins(1), Span::from_hours(24));
        let every = span(&check, "every", Span::from_secs(10), Span::from_hours(1));
        check.done();
        Some(CheckPlan { lasts: lasts?, every: every? })
    });
    let close_valve = table.word("close_valve", &[("on_confirmation", true), ("never", false)]);
    let on_false = table.table("on_false").and_then(|entry| {
        let raise = number(&entry, "raise_percent", 1..=1000);
        entry.done();
        raise
    });
    let care = severity.map(|severity| Plan {
        severity,
        work_order,
        check,
        close_valve: close_valve.unwrap_or(false),
        on_false_raise_percent: on_false,
    });
    let detector = detector(table, kind);
    Some(Revision { from: from?, off, care: care?, detector: detector? })
}

#[derive(Clone, Copy)]
enum Kind {
    ContinuousFlow,
    NightFlow,
    Stuck,
    ReverseFlow,
    Balance,
    UnusualHours,
    UnusualDays,
    UnusualMonths,
    LastYear,
    DeviceFlag,
    MeterClock,
    Lasting,
    Payments,
    Budget,
}

const KINDS: &[(&str, Kind)] = &[
    ("continuous_flow", Kind::ContinuousFlow),
    ("night_flow", Kind::NightFlow),
    ("stuck", Kind::Stuck),
    ("reverse_flow", Kind::ReverseFlow),
    ("balance", Kind::Balance),
    ("unusual_hours", Kind::UnusualHours),
    ("unusual_days", Kind::UnusualDays),
    ("unusual_months", Kind::UnusualMonths),
    ("last_year", Kind::LastYear),
    ("device_flag", Kind::DeviceFlag),
    ("meter_clock", Kind::MeterClock),
    ("lasting", Kind::Lasting),
    ("payments", Kind::Payments),
    ("budget", Kind::Budget),
];

const DAY: Span = Span::from_days(1);

fn detector(table: &Table<'_>, kind: Kind) -> Option<Detector> {
    Some(match kind {
        Kind::ContinuousFlow => {
            let steps = flow_steps(table);
            let closes_after =
                span(table, "closes_after", Span::from_hours(1), Span::from_days(60));
            Detector::ContinuousFlow { steps: steps?, closes_after: closes_after? }
        }
        Kind::NightFlow => {
            let (from_minute, to_minute) = night(table)?;
            let steps = night_steps(table);
            let history = number(table, "history", 3..=60);
            let closes_after = number(table, "closes_after", 1..=30);
            Detector::NightFlow {
                from_minute,
                to_minute,
                steps: steps?,
                history: history?,
                closes_after: closes_after?,
            }
        }
        Kind::Stuck => {
            let lasts = span(table, "lasts", Span::from_hours(1), Span::from_days(400));
            let own_percent = number(table, "own_percent", 100..=1000);
            let used_days_percent = number(table, "used_days_percent", 0..=100);
            let occupied = table
                .has("occupied")
                .then(|| span(table, "occupied", DAY, Span::from_days(100)))
                .flatten();
            Detector::Stuck {
                lasts: lasts?,
                own_percent: own_percent?,
                used_days_percent: used_days_percent?,
                occupied,
            }
        }
        Kind::ReverseFlow => {
            let (least, falls) = (micro(table, "least"), number(table, "falls", 1..=100));
            Detector::ReverseFlow { least: least?, falls: falls? }
        }
        Kind::Balance => {
            let slack = micro(table, "slack");
            let deviations = number(table, "deviations", 1..=100);
            let least = micro(table, "least");
            Detector::Balance { slack: slack?, deviations: deviations?, least: least? }
        }
        Kind::UnusualHours => {
            let hours = number(table, "hours", 1..=168);
            let (deviations, percent, least) = unusual(table);
            Detector::UnusualHours {
                hours: hours?,
                deviations: deviations?,
                percent: percent?,
                least: least?,
            }
        }
        Kind::UnusualDays => {
            let whole_building = table.flag("whole_building").unwrap_or(false);
            let days = number(table, "days", 1..=31);
            let (deviations, percent, least) = unusual(table);
            Detector::UnusualDays {
                whole_building,
                days: days?,
                deviations: deviations?,
                percent: percent?,
                least: least?,
            }
        }
        Kind::UnusualMonths => {
            let months = number(table, "months", 1..=12);
            let percent = number(table, "percent", 1..=1000);
            let least = micro(table, "least");
            Detector::UnusualMonths { months: months?, percent: percent?, least: least? }
        }
        Kind::LastYear => {
            let percent = number(table, "percent", 1..=1000);
            let least = micro(table, "least");
            Detector::LastYear { percent: percent?, least: least? }
        }
        Kind::DeviceFlag => Detector::DeviceFlag { flags: flags(table)? },
        Kind::MeterClock => {
            let register = table.need_text("register").map(str::to_owned);
            let most = span(table, "most", Span::from_secs(1), DAY);
            Detector::MeterClock { register: register?, most: most? }
        }
        Kind::Lasting => {
            let words = [
                ("vehicle_inside", Lasting::VehicleInside),
                ("gate_open", Lasting::GateOpen),
                ("door_open", Lasting::DoorOpen),
            ];
            table.need("what");
            let what = table.word("what", &words);
            let most = span(table, "most", Span::from_secs(10), Span::from_days(400));
            Detector::Lasting { what: what?, most: most? }
        }
        Kind::Payments => {
            let same_within = span(table, "same_within", Span::from_secs(1), Span::from_days(31));
            let refunds_a_day = number(table, "refunds_a_day", 2..=1000);
            Detector::Payments { same_within: same_within?, refunds_a_day: refunds_a_day? }
        }
        Kind::Budget => Detector::Budget {
            per_100_households: number(table, "per_100_households", 1..=10_000)?,
        },
    })
}

fn unusual(table: &Table<'_>) -> (Option<u32>, Option<u32>, Option<Micro>) {
    let deviations = number(table, "deviations", 1..=100);
    let percent = number(table, "percent", 100..=10_000);
    (deviations, percent, micro(table, "least"))
}

fn flow_steps(table: &Table<'_>) -> Option<Vec<FlowStep>> {
    let entries = entries(table, "steps")?;
    let mut steps: Vec<FlowStep> = Vec::new();
    for entry in &entries {
        let least = micro(entry, "least");
        let lasts = span(entry, "lasts", Span::from_hours(1), Span::from_days(60));
        let soonest = entry
            .has("soonest")
            .then(|| span(entry, "soonest", Span::from_hours(1), Span::from_days(60)))
            .flatten();
        let severity = entry.word("severity", SEVERITIES);
        let work_order = entry.word("work_order", URGENCIES);
        entry.done();
        let (least, lasts) = (least?, lasts?);
        if soonest.is_some_and(|soonest| soonest > lasts) {
            entry.note_at("soonest", "soonest must not be longer than lasts");
        }
        if steps.last().is_some_and(|last| last.least <= least) {
            entry.note_at("least", "steps go from the strongest flow to the weakest");
        }
        steps.push(FlowStep { least, lasts, soonest, severity, work_order });
    }
    Some(steps)
}

fn night_steps(table: &Table<'_>) -> Option<Vec<NightStep>> {
    let entries = entries(table, "steps")?;
    let mut steps = Vec::new();
    for entry in &entries {
        let (excess, nights) = (micro(entry, "excess"), number(entry, "nights", 1..=30));
        entry.done();
        steps.push(NightStep { excess: excess?, nights: nights? });
    }
    Some(steps)
}

fn flags(table: &Table<'_>) -> Option<Vec<Flag>> {
    let entries = entries(table, "flags")?;
    let mut flags = Vec::new();
    for entry in &entries {
        let register = entry.need_text("register").map(str::to_owned);
        let mask = entry.has("mask").then(|| number(entry, "mask", 1..=u32::MAX)).flatten();
        let meaning = both(entry, "meaning");
        entry.done();
        flags.push(Flag { register: register?, mask, meaning: meaning? });
    }
    Some(flags)
}

fn entries<'d>(table: &Table<'d>, key: &'static str) -> Option<Vec<Table<'d>>> {
    table.need(key);
    let entries = table.tables(key);
    if table.has(key) && (entries.is_empty() || entries.len() > STEPS_MAX) {
        table.note_at(key, format!("{key} has 1 to {STEPS_MAX} entries"));
        return None;
    }
    (!entries.is_empty()).then_some(entries)
}

/// `night = "02:00-05:00"`.
fn night(table: &Table<'_>) -> Option<(u16, u16)> {
    let text = table.need_text("night")?;
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then(|| hour.saturating_mul(60).saturating_add(minute))
    };
    let found = text.split_once('-').and_then(|(a, b)| minute(a).zip(minute(b)));
    match found {
        Some((from, to)) if to >= from.saturating_add(120) => Some((from, to)),
        Some(_) | None => {
            let message = format!(
                "{text:?} is not two hours or more of one night: write it like \"02:00-05:00\""
            );
            table.note_at("night", message);
            None
        }
    }
}

fn span(table: &Table<'_>, key: &'static str, min: Span, max: Span) -> Option<Span> {
    let span: Span = table.need_parsed(key)?;
    if span < min || span > max {
        table.note_at(key, format!("{key} must be from {min} to {max}, not {span}"));
        return None;
    }
    Some(span)
}

fn number(
    table: &Table<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    table.need(key);
    let range = i64::from(*range.start())..=i64::from(*range.end());
    table.integer(key, range).and_then(|n| u32::try_from(n).ok())
}

fn micro(table: &Table<'_>, key: &'static str) -> Option<Micro> {
    table.need(key);
    let value = table.decimal(key)?;
    if value < Decimal::ZERO || value > Decimal::from(1_000_000) {
        table.note_at(key, format!("{key} must be from 0 to 1000000"));
        return None;
    }
    Some(Micro::of(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read_and_each_kind_is_among_them() {
        let rules = read(SHIPPED).unwrap_or_else(|faults| panic!("{faults:#?}"));
        for (word, _) in KINDS {
            assert!(SHIPPED.contains(&format!("kind = \"{word}\"")), "{word}");
        }
        assert!(rules.values().all(|rule| !rule.label.zh.is_empty() && !rule.label.en.is_empty()));
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Rules>(&json).unwrap(), rules);
    }

    #[test]
    fn every_fault_of_a_rule_is_found_at_its_place() {
        let text = "[[anomaly]]\nid = \"x\"\nkind = \"continuous_flow\"\nlabel = { zh = \"a\", en = \"b\" }\n\
            of = { unit = \"m4\", use = [\"household\"] }\n[[anomaly.revision]]\nfrom = \"2026-13-01\"\n\
            severity = \"urgent\"\nclosses_after = \"2d\"\nsteps = [ { least = 0.05, lasts = \"90d\" } ]\n";
        let faults: Vec<String> = read(text).unwrap_err().iter().map(ToString::to_string).collect();
        for (place, part) in [
            ("5:15", "m4"),
            ("5:21", "did you mean \"uses\"?"),
            ("6:1", "closes_after is missing"),
            ("7:8", "is not a day"),
            ("8:12", "there are: info, warning, critical"),
            ("9:1", "did you mean \"closes_after\"?"),
            ("10:21", "a decimal number in quotes"),
            ("10:35", "must be from 1h to 60d"),
        ] {
            let found =
                faults.iter().any(|f| f.starts_with(&format!("{place}: ")) && f.contains(part));
            assert!(found, "{place} {part}: {faults:#?}");
        }
    }

    #[test]
    fn a_revision_holds_from_its_first_day_until_it_is_switched_off() {
        let text = "[[anomaly]]\nid = \"x\"\nkind = \"reverse_flow\"\nlabel = { zh = \"a\", en = \"b\" }\n\
            [[anomaly.revision]]\nfrom = \"2026-01-01\"\nseverity = \"info\"\nleast = \"0.01\"\nfalls = 2\n\
            [[anomaly.revision]]\nfrom = \"2026-03-01\"\noff = true\nseverity = \"info\"\nleast = \"0.01\"\nfalls = 2\n";
        let rules = read(text).unwrap();
        let rule = rules.values().next().unwrap();
        let on = |day: &str| rule.on(parse_day(day).unwrap()).is_some();
        assert_eq!(
            [on("2025-12-31"), on("2026-01-01"), on("2026-02-28"), on("2026-03-01")],
            [false, true, true, false]
        );
    }
}
