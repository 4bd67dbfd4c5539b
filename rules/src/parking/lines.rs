//! A stay's price as the lines of a bill, as a diagram over time, and from an input document
//! (`blockgate rate`).
//!
//! The input of a parking rule, JSON or TOML:
//!
//! | key | what |
//! |---|---|
//! | `tariff` | which `[[parking]]` of the file; may be left out where there is one |
//! | `entry`, `exit` | civil times, `2026-03-02T09:00` with or without seconds |
//! | `minutes` | how long, instead of `exit`; without `entry` from 00:00 of 2026-03-02 |
//! | `visits` | `[{ entry, exit }, …]`: several visits of one vehicle, in their order |
//! | `classes` | `[{ from, class }, …]`: what the vehicle was, from when on; the first from the entry on |
//! | `uncharged` | the classes that pay nothing: `["monthly"]` |
//! | `cap` | `false`: without any cap |
//! | `new_energy` | `true`: a new-energy vehicle |
//! | `paid_at` | a civil time inside: what is due after a payment of all that was due then |

use super::plan::{ClassChange, Exceeded, ParkingTariff, Plan};
use super::price::{Minutes, Priced, Turn, price, price_visits};
use crate::calendar::Day;
use crate::event::{BillLine, Text};
use crate::money::{Fen, minus, plus, times};
use crate::tariff::RateOutput;
use blockgate_types::{Decimal, TariffId, Unit};
use jiff::civil::DateTime;
use rust_decimal::RoundingStrategy;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

/// Most visits or classes of one input.
const LIST_MAX: usize = 1_000;

/// The input document.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StayInput {
    tariff: Option<String>,
    on: Option<String>,
    entry: Option<String>,
    exit: Option<String>,
    minutes: Option<u32>,
    visits: Option<Vec<VisitInput>>,
    classes: Option<Vec<ClassInput>>,
    uncharged: Option<Vec<String>>,
    cap: Option<bool>,
    new_energy: Option<bool>,
    paid_at: Option<String>,
}

impl StayInput {
    /// Whether the keys of a document are a stay's.
    #[must_use]
    pub fn is_asked(keys: &[&str]) -> bool {
        let own = ["entry", "exit", "minutes", "visits", "classes"];
        keys.iter().any(|key| own.contains(key))
    }

    /// Which tariff is wanted.
    #[must_use]
    pub fn tariff(&self) -> Option<&str> {
        self.tariff.as_deref()
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct VisitInput {
    entry: String,
    exit: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassInput {
    from: String,
    class: String,
}

/// One stretch of a stay's diagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stretch {
    /// Minutes from the entry.
    pub from: u32,
    /// The minute after its last.
    pub to: u32,
    /// What it is: the window, free time, or time that costs nothing.
    pub label: Text,
    /// What is due for it, before the caps of cycles.
    #[serde(with = "blockgate_types::decimal::text")]
    pub amount: Decimal,
}

/// How many digits a currency's minor unit has.
#[must_use]
pub fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "ISK" | "JPY" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "XAF" | "XOF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// An exact amount in minor units, half away from zero; `None` beyond 64 bits.
#[must_use]
pub fn to_minor(amount: Decimal, currency: &str) -> Option<Fen> {
    let scale = Decimal::from(10_u32.checked_pow(minor_digits(currency))?);
    let rounded = amount
        .checked_mul(scale)?
        .round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero);
    rounded.to_i64().map(Fen)
}

/// `07:30`.
fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute.div_euclid(60), minute.rem_euclid(60))
}

/// What a window is called: its hours, and its days where it has some.
pub(super) fn window_text(plan: &Plan, window: usize) -> Text {
    use super::plan::DayKind;
    let Some(found) = plan.windows.get(window) else {
        return Text { zh: String::new(), en: String::new() };
    };
    let hours = if (found.from, found.to) == (0, 1_440) {
        ("全天".to_owned(), "all day".to_owned())
    } else {
        let hours = format!("{}–{}", clock(found.from), clock(found.to));
        (hours.clone(), hours)
    };
    match found.days {
        None => Text { zh: hours.0, en: hours.1 },
        Some(DayKind::Workday) => {
            Text { zh: format!("工作日 {}", hours.0), en: format!("workdays {}", hours.1) }
        }
        Some(DayKind::Holiday) => {
            Text { zh: format!("节假日 {}", hours.0), en: format!("holidays {}", hours.1) }
        }
    }
}

/// What the edges of a turn's window did to its first and its last block, in brackets; empty for nothing.
fn edge_text(turn: &Turn, first: bool, last: bool) -> Text {
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    if first && turn.used_before > 0 {
        let used = turn.used_before;
        zh.push(format!("首个计费单位含此前已停 {used} 分钟"));
        en.push(format!("the first one with {used} min from before"));
    }
    if last && turn.handed_on > 0 {
        let used = turn.handed_on;
        zh.push(format!("未满的计费单位已停 {used} 分钟，转入其后时段"));
        en.push(format!("one begun, {used} min of it over, goes on in the next time"));
    }
    if last && turn.over > 0 {
        let over = turn.over;
        zh.push(format!("最后一个计费单位跨时段延续 {over} 分钟"));
        en.push(format!("the last one runs on for {over} min"));
    }
    if last && turn.kept > 0 {
        let kept = turn.kept;
        zh.push(format!("其中 {kept} 分钟按计费单位开始当日计"));
        en.push(format!("{kept} min of it by the day on which their unit began"));
    }
    if zh.is_empty() {
        return Text { zh: String::new(), en: String::new() };
    }
    Text { zh: format!("（{}）", zh.join("；")), en: format!(" ({})", en.join("; ")) }
}

/// The lines of a price, before rounding: `amount_fen` is zero until [`settle`].
#[must_use]
pub fn lines(plan: &Plan, priced: &Priced) -> Vec<BillLine> {
    let mut lines: Vec<BillLine> = Vec::new();
    for turn in &priced.turns {
        let last = turn.parts.len().saturating_sub(1);
        for (index, part) in turn.parts.iter().enumerate() {
            let step = plan.windows.get(part.window).and_then(|w| w.steps.get(part.step));
            let minutes = step.map_or(0, |step| step.minutes);
            let at = window_text(plan, part.window);
            let note = edge_text(turn, index == 0, index == last);
            lines.push(line(
                Text {
                    zh: format!("停车 {} 每 {minutes} 分钟{}", at.zh, note.zh),
                    en: format!("Parking {}, per {minutes} min{}", at.en, note.en),
                },
                Decimal::from(part.blocks),
                part.price,
                part.amount,
                turn.window.map(|window| format!("w{}", window.saturating_add(1))),
            ));
        }
        if !turn.capped.is_zero() {
            let at = turn.window.map(|window| window_text(plan, window));
            let at = at.unwrap_or(Text { zh: String::new(), en: String::new() });
            let label =
                Text { zh: format!("{} 时段封顶", at.zh), en: format!("Cap of {}", at.en) };
            lines.push(off(label, turn.capped));
        }
    }
    for (index, (_, _, capped)) in priced.cycles.iter().enumerate() {
        if !capped.is_zero() {
            let nth = index.saturating_add(1);
            let label =
                Text { zh: format!("第 {nth} 周期封顶"), en: format!("Cap of cycle {nth}") };
            lines.push(off(label, *capped));
        }
    }
    if !priced.deducted.is_zero() {
        let minutes = plan.free.as_ref().map_or(0, |free| free.minutes);
        let label = Text {
            zh: format!("减免首 {minutes} 分钟费用"),
            en: format!("First {minutes} min deducted"),
        };
        lines.push(off(label, priced.deducted));
    }
    lines
}

fn line(
    label: Text,
    quantity: Decimal,
    unit_price: Decimal,
    exact: Decimal,
    window: Option<String>,
) -> BillLine {
    BillLine {
        label,
        quantity,
        unit: Unit::One,
        unit_price,
        exact,
        amount_fen: Fen::ZERO,
        tier: None,
        window,
        component: None,
        days: None,
    }
}

/// A line that takes something off.
pub(crate) fn off(label: Text, amount: Decimal) -> BillLine {
    let less = Decimal::ZERO.checked_sub(amount).unwrap_or_default();
    line(label, Decimal::ONE, less, less, None)
}

/// Rounds: the total once, half away from zero; the lines' minor units are those of the running sum, so
/// that they add up to it (invariant 4). `None` where the numbers are too large.
#[must_use]
pub fn settle(lines: &mut [BillLine], currency: &str) -> Option<(Decimal, Fen)> {
    let (mut exact, mut before) = (Decimal::ZERO, Fen::ZERO);
    for line in lines {
        exact = plus(exact, line.exact)?;
        let until = to_minor(exact, currency)?;
        line.amount_fen = Fen(until.0.checked_sub(before.0)?);
        before = until;
    }
    Some((exact, before))
}

/// The stretches of a stay's diagram, in the order of time.
#[must_use]
pub fn stretches(plan: &Plan, priced: &Priced) -> Vec<Stretch> {
    let stretch = |turn: &Turn| Stretch {
        from: turn.from,
        to: turn.to,
        label: match turn.window {
            Some(window) => {
                let (at, note) = (window_text(plan, window), edge_text(turn, true, true));
                Text { zh: format!("{}{}", at.zh, note.zh), en: format!("{}{}", at.en, note.en) }
            }
            None => Text { zh: "免费".to_owned(), en: "free".to_owned() },
        },
        amount: turn.amount().unwrap_or_default(),
    };
    priced.turns.iter().map(stretch).collect()
}

/// The lines with the share that new-energy vehicles pay.
fn discount(plan: &Plan, lines: &mut Vec<BillLine>, new_energy: bool) -> Option<()> {
    if !new_energy || plan.new_energy_percent == Decimal::ONE_HUNDRED {
        return Some(());
    }
    let sum = lines.iter().try_fold(Decimal::ZERO, |sum, line| plus(sum, line.exact))?;
    let pays = times(sum, plan.new_energy_percent)?.checked_div(Decimal::ONE_HUNDRED)?;
    let percent = plan.new_energy_percent.normalize();
    let label = Text {
        zh: format!("新能源汽车按 {percent}% 收取"),
        en: format!("New-energy vehicle pays {percent} %"),
    };
    lines.push(off(label, minus(sum, pays)?));
    Some(())
}

/// One stay's lines, discounts of its vehicle included.
#[must_use]
pub fn stay_lines(
    plan: &Plan,
    minutes: &Minutes,
    free: bool,
    new_energy: bool,
) -> Option<(Vec<BillLine>, Priced)> {
    let priced = price(plan, minutes, free, true)?;
    let mut lines = lines(plan, &priced);
    discount(plan, &mut lines, new_energy)?;
    Some((lines, priced))
}

/// A civil time of the input.
fn civil(text: &str) -> Result<DateTime, String> {
    let shape = text.len() == 16 || text.len() == 19;
    let parsed = if shape { text.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{text:?} is not a time: write it like \"2026-03-02T09:00\""))
}

fn minutes(plan: &Plan, entry: DateTime, exit: DateTime) -> Result<Minutes, String> {
    let length = exit.duration_since(entry).as_secs();
    let minute =
        i16::from(entry.hour()).saturating_mul(60).saturating_add(i16::from(entry.minute()));
    let minute = u16::try_from(minute).unwrap_or(0);
    // Minutes count from the entry, so a second of it moves no edge of the clock.
    Minutes::civil(entry.date(), minute, length, plan.seconds)
        .ok_or_else(|| "the exit is before the entry".to_owned())
}

fn after(entry: DateTime, minutes: u32) -> Result<DateTime, String> {
    let span = jiff::SignedDuration::from_mins(i64::from(minutes));
    entry.checked_add(span).map_err(|_| "the stay is too long".to_owned())
}

/// Prices an input document by a parking tariff.
///
/// # Errors
/// What is wrong with the input.
pub fn rate_stay(
    id: TariffId,
    tariff: &ParkingTariff,
    input: &StayInput,
) -> Result<(RateOutput, Vec<Stretch>), String> {
    const TOO_LARGE: &str = "the numbers are too large";
    let entry = match &input.entry {
        Some(text) => civil(text)?,
        None => jiff::civil::date(2026, 3, 2).at(0, 0, 0, 0),
    };
    let on: Day = match &input.on {
        Some(text) => crate::calendar::parse_day(text)
            .ok_or_else(|| format!("{text:?} is not a day: write it like \"2026-01-01\""))?,
        None => match input.visits.as_ref().and_then(|visits| visits.first()) {
            Some(first) => civil(&first.entry)?.date(),
            None => entry.date(),
        },
    };
    let only = tariff.revisions.first().filter(|_| tariff.revisions.len() == 1);
    let revision = tariff.revision_on(on).or(only.filter(|_| input.entry.is_none()));
    let revision = revision.ok_or_else(|| format!("the tariff begins after {on}"))?;
    let plan = &revision.plan;
    let (caps, new_energy) = (input.cap.unwrap_or(true), input.new_energy.unwrap_or(false));
    let (mut all, mut diagram) = (Vec::new(), Vec::new());
    if let Some(visits) = &input.visits {
        if input.exit.is_some() || input.minutes.is_some() || input.classes.is_some() {
            return Err("\"visits\" stand alone: leave exit, minutes and classes out".to_owned());
        }
        all = visited(plan, visits)?;
    } else {
        let exit = match (&input.exit, input.minutes) {
            (Some(text), None) => civil(text)?,
            (None, Some(minutes)) => after(entry, minutes)?,
            (Some(_), Some(_)) => return Err("give \"exit\" or \"minutes\", not both".to_owned()),
            (None, None) => return Err("\"exit\" or \"minutes\" is missing".to_owned()),
        };
        for (from, to, free) in parts(plan, input, entry, exit)? {
            let priced = price(plan, &minutes(plan, from, to)?, free, caps).ok_or(TOO_LARGE)?;
            diagram.extend(stretches(plan, &priced));
            all.extend(lines(plan, &priced));
        }
        if let Some(text) = &input.paid_at {
            let at = civil(text)?;
            if at < entry || at > exit || input.classes.is_some() {
                return Err("\"paid_at\" lies inside of a stay of one class".to_owned());
            }
            all = after_payment(plan, entry, at, exit, all).ok_or(TOO_LARGE)?;
        }
    }
    discount(plan, &mut all, new_energy).ok_or(TOO_LARGE)?;
    let (exact, total_fen) = settle(&mut all, &tariff.currency).ok_or(TOO_LARGE)?;
    let output = RateOutput {
        tariff: id,
        tariff_revision: format!("{}/{}", revision.from, revision.hash),
        currency: tariff.currency.clone(),
        lines: all,
        exact,
        total_fen,
        cumulative_after: Decimal::ZERO,
        diagram: Vec::new(),
        year_after: None,
    };
    Ok((output, diagram))
}

/// The priced parts of a stay whose vehicle changes its class.
fn parts(
    plan: &Plan,
    input: &StayInput,
    entry: DateTime,
    exit: DateTime,
) -> Result<Vec<(DateTime, DateTime, bool)>, String> {
    let Some(classes) = input.classes.as_ref().filter(|classes| !classes.is_empty()) else {
        return Ok(vec![(entry, exit, true)]);
    };
    if classes.len() > LIST_MAX {
        return Err(format!("there are at most {LIST_MAX} classes"));
    }
    let free_of = |class: &String| input.uncharged.iter().flatten().any(|other| other == class);
    let mut marks = Vec::new();
    for class in classes {
        let at = civil(&class.from)?;
        if marks.last().is_some_and(|(before, _)| *before >= at) {
            return Err("the classes are not in the order of time".to_owned());
        }
        marks.push((at, free_of(&class.class)));
    }
    let one = |uncharged: bool| if uncharged { Vec::new() } else { vec![(entry, exit, true)] };
    Ok(match plan.class_change {
        ClassChange::AtEntry => one(marks.first().is_some_and(|(_, free)| *free)),
        ClassChange::AtExit => one(marks.last().is_some_and(|(_, free)| *free)),
        ClassChange::Split => {
            let ends = marks.iter().skip(1).map(|(at, _)| *at).chain([exit]);
            let spans = marks.iter().zip(ends).enumerate();
            spans
                .filter(|(_, ((_, uncharged), _))| !uncharged)
                .map(|(n, ((from, _), to))| (*from, to, n == 0 || plan.free_after_change))
                .collect()
        }
    })
}

fn visited(plan: &Plan, visits: &[VisitInput]) -> Result<Vec<BillLine>, String> {
    if visits.is_empty() || visits.len() > LIST_MAX {
        return Err(format!("there are 1 to {LIST_MAX} visits"));
    }
    let mut spans = Vec::new();
    let mut last: Option<DateTime> = None;
    for visit in visits {
        let (entry, exit) = (civil(&visit.entry)?, civil(&visit.exit)?);
        if last.is_some_and(|last| entry < last) {
            return Err("the visits are not in the order of time".to_owned());
        }
        let pause = last.map(|last| {
            let seconds = entry.duration_since(last).as_secs();
            // Within N minutes: the last second of the N-th counts, one more does not.
            seconds.saturating_add(59).div_euclid(60)
        });
        spans.push((minutes(plan, entry, exit)?, pause));
        last = Some(exit);
    }
    let (all, total) = price_visits(plan, &spans).ok_or("the numbers are too large")?;
    let mut lines: Vec<BillLine> = Vec::new();
    let joint = plan.cap_scope == super::plan::CapScope::Vehicle;
    for priced in &all {
        let mut own = priced.clone();
        if joint {
            // One cap for all visits of a cycle: it is taken off once, below.
            own.cycles.iter_mut().for_each(|(_, _, off)| *off = Decimal::ZERO);
        }
        lines.extend(self::lines(plan, &own));
    }
    let sum = lines.iter().try_fold(Decimal::ZERO, |sum, line| plus(sum, line.exact));
    let over = sum.and_then(|sum| minus(sum, total)).ok_or("the numbers are too large")?;
    if !over.is_zero() {
        let label = Text {
            zh: "多次进出合并封顶".to_owned(),
            en: "Cap over all visits".to_owned(),
        };
        lines.push(off(label, over));
    }
    Ok(lines)
}

/// What is due at the exit after everything was paid at a time inside.
fn after_payment(
    plan: &Plan,
    entry: DateTime,
    paid_at: DateTime,
    exit: DateTime,
    whole: Vec<BillLine>,
) -> Option<Vec<BillLine>> {
    let since = exit.duration_since(paid_at).as_secs();
    if since <= i64::from(plan.after_payment.grace_min).checked_mul(60)? {
        return Some(Vec::new());
    }
    match plan.after_payment.exceeded {
        Exceeded::FromPayment => {
            let priced = price(plan, &minutes(plan, paid_at, exit).ok()?, false, true)?;
            Some(lines(plan, &priced))
        }
        Exceeded::NewPart => {
            let paid = price(plan, &minutes(plan, entry, paid_at).ok()?, true, true)?;
            let mut lines = whole;
            let sum = lines.iter().try_fold(Decimal::ZERO, |sum, line| plus(sum, line.exact))?;
            // What was paid is not paid back where a block went on into a cheaper window.
            let less = paid.exact.min(sum);
            if !less.is_zero() {
                let label = Text { zh: "已付".to_owned(), en: "Paid already".to_owned() };
                lines.push(off(label, less));
            }
            Some(lines)
        }
    }
}

/// A stay's diagram as SVG, with a text beside each stretch for who cannot see it.
#[must_use]
pub fn diagram(stretches: &[Stretch], zh: bool) -> String {
    use std::fmt::Write as _;
    let all = stretches.iter().map(|stretch| stretch.to).max().unwrap_or(0).max(1);
    let x = |minute: u32| u64::from(minute).saturating_mul(600).div_euclid(u64::from(all));
    let mut text = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 24\" role=\"img\" class=\"stay\">",
    );
    for (index, stretch) in stretches.iter().enumerate() {
        let (from, to) = (x(stretch.from), x(stretch.to));
        let label = if zh { &stretch.label.zh } else { &stretch.label.en };
        let kind = if stretch.amount.is_zero() { "free" } else { "due" };
        // Labels are made here from numbers and fixed words: nothing in them needs escaping.
        let _ = write!(
            text,
            "<rect class=\"{kind} n{}\" x=\"{from}\" y=\"0\" width=\"{}\" height=\"24\"><title>{label} · {}–{} min · {}</title></rect>",
            index.rem_euclid(2),
            to.saturating_sub(from).max(1),
            stretch.from,
            stretch.to,
            stretch.amount.normalize()
        );
    }
    text.push_str("</svg>");
    text
}
