//! Pricing without state: a tariff file and an input document to lines. `blockgate rate` is this
//! function and two files.
//!
//! The input is JSON or TOML with decimal strings:
//!
//! | key | what |
//! |---|---|
//! | `tariff` | which tariff of the file; may be left out where there is one |
//! | `on` | the day whose revision prices; may be left out where there is one |
//! | `usage` | a metered quantity |
//! | `peak`, `valley` or `windows` | metered quantities by window |
//! | `intervals` | `[["peak", "1.5"], …]` in time order, for `allocation = "chronological"` |
//! | `cumulative_before` | the tier counter before; zero when left out |
//! | `months` | whole months to charge for, or whose quota holds |
//! | `from`, `to` | days `[from, to)` to charge for, by calendar months; of a price that is due on days, what is due in them; without them the whole of it |
//! | `quota_part` | the part of a tier period whose quota holds, `"7/12"` |
//! | `year_before` | of a tariff that is rounded once a year, what the year came to so far: `{ exact = "163.317", billed_fen = 16332 }`, like `year_after` of the answer; nothing when left out |
//! | `area`, `persons`, `spaces` | of the household |
//! | `total`, `members` | a cost in yuan and among whom it is shared: `{ a-1 = { area = "89.53" } }` with `area`, `persons`, `floor`, `used` |
//! | `apportionment` | by which rule of the file; may be left out where there is one |
//! | `account` | whose adjustments hold, on the day `on` |

use super::binding::ApportionmentEntry;
use super::parse::{RuleError, TariffFile};
use super::rate::{MonthPart, Quantity, Usage, rate};
use super::read::Faults;
use super::{Adjustment, BasePrice, Dated, Pricing, Revision, Rounding, Tariff};
use crate::apportionment::{Apportioned, Direction, Portion, apportion};
use crate::calendar::{self, Day, Month, parse_day};
use crate::event::{BillLine, Text};
use crate::money::Fen;
use crate::parking::ParkingTariff;
use crate::parking::lines::{StayInput, Stretch, rate_stay};
use crate::rounding_year::YearSum;
use crate::setup::AccountSetup;
use blockgate_types::{AccountId, Decimal, TariffId, Unit, parse_decimal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most months that one input may charge for.
pub const MONTHS_MAX: u32 = 1_200;

/// What a document costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RateOutput {
    /// By which tariff.
    pub tariff: TariffId,
    /// By which revision of it; empty for an apportionment.
    pub tariff_revision: String,
    /// ISO 4217; empty for an apportionment, which has the currency of what it shares.
    pub currency: String,
    /// The lines; they sum to the total.
    pub lines: Vec<BillLine>,
    /// The exact sum in yuan.
    #[serde(with = "blockgate_types::decimal::text")]
    pub exact: Decimal,
    /// The total.
    pub total_fen: Fen,
    /// The tier counter afterwards.
    #[serde(with = "blockgate_types::decimal::text")]
    pub cumulative_after: Decimal,
    /// A stay's stretches of time, for its diagram.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagram: Vec<Stretch>,
    /// What the rounding year came to afterwards, where the tariff is rounded once a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year_after: Option<YearSum>,
}

/// The input document.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct RateInput {
    tariff: Option<String>,
    on: Option<String>,
    usage: Option<String>,
    peak: Option<String>,
    valley: Option<String>,
    windows: Option<BTreeMap<String, String>>,
    intervals: Option<Vec<(String, String)>>,
    cumulative_before: Option<String>,
    months: Option<u32>,
    from: Option<String>,
    to: Option<String>,
    area: Option<String>,
    persons: Option<u32>,
    spaces: Option<u32>,
    quota_part: Option<String>,
    year_before: Option<YearSum>,
    account: Option<String>,
    total: Option<String>,
    apportionment: Option<String>,
    members: Option<BTreeMap<String, MemberInput>>,
}

/// What weighs for an account.
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
struct MemberInput {
    area: Option<String>,
    persons: Option<u32>,
    floor: Option<i32>,
    used: Option<String>,
}

/// Prices an input document by a tariff file.
///
/// # Errors
/// Every fault of the tariff file, or what is wrong with the input; each names its file.
pub fn rate_document(
    rule_text: &str,
    rule_name: &str,
    input_text: &str,
    input_name: &str,
) -> Result<RateOutput, Vec<RuleError>> {
    let file = TariffFile::read(rule_text, rule_name)?;
    let keys = keys(input_text);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    if !file.parking.is_empty() && (StayInput::is_asked(&keys) || file.rules.is_empty()) {
        return parked(file.parking, input_text, input_name);
    }
    let input: RateInput = read(input_text, input_name)?;
    let tariffs = file.rules.into_iter().map(|rule| (rule.id, rule.tariff)).collect();
    let fault = |message: String| {
        let file = input_name.to_owned();
        vec![RuleError { file, line: 1, column: 1, message }]
    };
    if input.total.is_some() || input.members.is_some() {
        return shared(file.apportionments, &input).map_err(fault);
    }
    let (id, tariff) = choose(tariffs, input.tariff.as_deref()).map_err(fault)?;
    let revision = revision(&tariff, input.on.as_deref()).map_err(fault)?;
    let mut usage = usage(&input, revision).map_err(fault)?;
    usage.adjustments = adjustments(&tariff, &input).map_err(fault)?;
    let rated = rate(&tariff.label, revision, &usage).map_err(|error| fault(error.to_string()))?;
    Ok(RateOutput {
        tariff: id,
        tariff_revision: revision.name(),
        currency: tariff.currency.clone(),
        lines: rated.lines,
        exact: rated.exact,
        total_fen: rated.total_fen,
        cumulative_after: rated.after,
        diagram: Vec::new(),
        year_after: rated.years.last().map(|year| year.after),
    })
}

/// The keys of a document, whatever they hold.
fn keys(text: &str) -> Vec<String> {
    if text.trim_start().starts_with('{') {
        let object: Result<BTreeMap<String, serde::de::IgnoredAny>, _> = serde_json::from_str(text);
        return object.map(|object| object.into_keys().collect()).unwrap_or_default();
    }
    let table: Result<toml::Table, _> = toml::from_str(text);
    table.map(|table| table.into_iter().map(|(key, _)| key).collect()).unwrap_or_default()
}

/// Prices a stay.
fn parked(
    tariffs: Vec<(TariffId, ParkingTariff)>,
    input_text: &str,
    input_name: &str,
) -> Result<RateOutput, Vec<RuleError>> {
    let input: StayInput = read(input_text, input_name)?;
    let fault = |message: String| {
        let file = input_name.to_owned();
        vec![RuleError { file, line: 1, column: 1, message }]
    };
    let (id, tariff) = choose(tariffs, input.tariff()).map_err(fault)?;
    let (mut output, diagram) = rate_stay(id, &tariff, &input).map_err(fault)?;
    output.diagram = diagram;
    Ok(output)
}

/// Shares a cost among members: a line for each part of each share, with its weight and the place of
/// its remainder.
fn shared(rules: Vec<ApportionmentEntry>, input: &RateInput) -> Result<RateOutput, String> {
    let known = rules.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>().join(", ");
    let wanted = input.apportionment.as_deref();
    let mut left = rules.into_iter().filter(|e| wanted.is_none_or(|w| e.id.as_str() == w));
    let entry = left.next().ok_or(format!("the file has no such apportionment; it has {known}"))?;
    if left.next().is_some() {
        return Err(format!("\"apportionment\" is missing: the file has {known}"));
    }
    let total =
        number("total", input.total.as_deref())?.ok_or("\"total\" is missing: write \"453.56\"")?;
    let fen = Fen::round(total).ok_or("the total is too large")?;
    let fen = match entry.rule.direction {
        Direction::Cost => fen,
        Direction::Income => Fen(fen.0.checked_neg().ok_or("the total is too large")?),
    };
    let mut members = Vec::new();
    for (name, member) in input.members.iter().flatten() {
        let id = AccountId::new(name).map_err(|error| error.to_string())?;
        let account = AccountSetup {
            area_m2: number("area", member.area.as_deref())?,
            persons: member.persons,
            floor: member.floor,
            ..AccountSetup::default()
        };
        let used = number("used", member.used.as_deref())?;
        let weight = |part: &Portion| {
            let weight = part.by.weight(&id, &account, |_| used.unwrap_or_default());
            weight.map_err(|why| format!("account {name}: {why}"))
        };
        let weights = entry.rule.parts.iter().map(weight).collect::<Result<Vec<_>, _>>()?;
        members.push((id, weights));
    }
    let (totals, members) = apportion(&entry.rule, fen, &members).map_err(|e| e.to_string())?;
    let sums = Apportioned::sums(totals.len(), &members).ok_or("the weights are too large")?;
    let mut lines = Vec::new();
    for member in &members {
        let parts = member.parts.iter().zip(&totals).zip(&sums).zip(&entry.rule.parts);
        for (((own, part_total), sum), portion) in parts {
            let (words, weight) = (portion.by.words(), own.weight.normalize());
            let exact = Decimal::new(part_total.0, 2).checked_mul(own.weight);
            let exact = exact.and_then(|exact| exact.checked_div(*sum));
            let exact = exact.ok_or("the weights are too large")?.round_dp(12);
            let (rank, sum) = (own.rank, sum.normalize());
            let (more_zh, more_en) =
                if own.extra { ("，多 1 分", ", one fen more") } else { ("", "") };
            let account = &member.account;
            let label = Text {
                zh: format!("{account} {} {weight}/{sum}，余数第 {rank}{more_zh}", words.zh),
                en: format!("{account} {} {weight}/{sum}, remainder {rank}{more_en}", words.en),
            };
            lines.push(BillLine {
                label,
                quantity: Decimal::ONE,
                unit: Unit::One,
                unit_price: exact,
                exact,
                amount_fen: own.fen,
                tier: None,
                window: None,
                component: None,
                days: None,
            });
        }
    }
    Ok(RateOutput {
        tariff: entry.id,
        tariff_revision: String::new(),
        currency: String::new(),
        lines,
        exact: Decimal::new(fen.0, 2),
        total_fen: fen,
        cumulative_after: Decimal::ZERO,
        diagram: Vec::new(),
        year_after: None,
    })
}

/// JSON where it begins with a brace, else TOML.
fn read<T: serde::de::DeserializeOwned>(text: &str, name: &str) -> Result<T, Vec<RuleError>> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            vec![RuleError { file: name.to_owned(), line, column, message: error.to_string() }]
        });
    }
    toml::from_str(text).map_err(|error| {
        let mut faults = Faults::new(name, text);
        faults.at(&error.span().unwrap_or(0..0), error.message().to_owned());
        faults.sorted()
    })
}

fn choose<T>(tariffs: Vec<(TariffId, T)>, wanted: Option<&str>) -> Result<(TariffId, T), String> {
    let known: Vec<String> = tariffs.iter().map(|(id, _)| id.to_string()).collect();
    let known = known.join(", ");
    let mut left = match wanted {
        Some(wanted) => tariffs.into_iter().filter(|(id, _)| id.as_str() == wanted).collect(),
        None => tariffs,
    };
    match (left.pop(), left.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(format!("\"tariff\" is missing: the file has {known}")),
        (None, _) => Err(format!("the file has no such tariff; it has {known}")),
    }
}

fn revision<'t>(tariff: &'t Tariff, on: Option<&str>) -> Result<&'t Revision, String> {
    match (on, tariff.revisions.as_slice()) {
        (None, [one]) => Ok(one),
        (None, _) => Err("\"on\" is missing: the tariff has several revisions".to_owned()),
        (Some(text), _) => {
            let day = day(text)?;
            let begins = tariff.revisions.first().is_some_and(|first| day < first.from);
            let why = if begins { "begins after" } else { "ended before or on" };
            tariff.revision_on(day).ok_or(format!("the tariff {why} {day}"))
        }
    }
}

fn day(text: &str) -> Result<Day, String> {
    parse_day(text).ok_or_else(|| format!("{text:?} is not a day: write it like \"2026-01-01\""))
}

/// The number of a key.
fn number(key: &str, text: Option<&str>) -> Result<Option<Decimal>, String> {
    let parsed = text.map(|text| parse_decimal(text).map_err(|error| format!("{key}: {error}")));
    parsed.transpose()
}

/// How many months are charged for, or bring their quota.
fn month_count(input: &RateInput) -> Result<Option<u32>, String> {
    match input.months {
        Some(0) => Err("months: 0 months cost nothing; write 1 or more".to_owned()),
        Some(months) if months > MONTHS_MAX => Err(format!("more than {MONTHS_MAX} months")),
        months => Ok(months),
    }
}

fn usage(input: &RateInput, revision: &Revision) -> Result<Usage, String> {
    let quantity = match &revision.pricing {
        Pricing::PerArea(_) | Pricing::Fixed(_) => Quantity::Months(months(input)?),
        Pricing::Dated(dated) => due(input, dated)?,
        Pricing::Metered(_) => metered(input)?,
    };
    let has_usage = input.usage.is_some() || input.peak.is_some() || input.valley.is_some();
    let has_usage = has_usage || input.windows.is_some() || input.intervals.is_some();
    if has_usage && matches!(quantity, Quantity::Months(_) | Quantity::Due(_)) {
        return Err("a price by the month has no metered usage".to_owned());
    }
    let mut usage = Usage::of(quantity);
    if let Pricing::Metered(metered) = &revision.pricing
        && let Some(base) = &metered.base
    {
        usage.base = Some(match &base.price {
            BasePrice::Month(_) => Quantity::Months(months(input)?),
            BasePrice::Season(dated) => due(input, dated)?,
        });
    }
    let before = number("cumulative_before", input.cumulative_before.as_deref())?;
    usage.before = before.unwrap_or_default();
    usage.months = month_count(input)?.unwrap_or(1);
    usage.persons = input.persons;
    usage.spaces = input.spaces;
    usage.area_m2 = number("area", input.area.as_deref())?;
    usage.part = input.quota_part.as_deref().map(part).transpose()?;
    usage.year.sum = year_before(input, revision)?;
    Ok(usage)
}

/// What the rounding year came to before; nothing where the revision has none.
fn year_before(input: &RateInput, revision: &Revision) -> Result<YearSum, String> {
    let Rounding::PerYear { begins } = revision.rounding else {
        let told = "\"year_before\" goes with rounding = \"per_year\"";
        return input.year_before.map_or(Ok(YearSum::default()), |_| Err(told.to_owned()));
    };
    let months = month_count(input)?.unwrap_or(1);
    let days = input.from.as_deref().zip(input.to.as_deref());
    let over = match days {
        Some((from, to)) => day(to)? > calendar::next_tier_year(day(from)?, begins),
        None => months > 12,
    };
    if over {
        return Err("the input is longer than a rounding year: rate each by itself".to_owned());
    }
    Ok(input.year_before.unwrap_or_default())
}

fn part(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{text:?} is not a part of a tier period: write it like \"7/12\"");
    let (part, of) = text.split_once('/').ok_or_else(wrong)?;
    let (part, of) = (part.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
    if 0 < part && part <= of { Ok((part, of)) } else { Err(wrong()) }
}

/// What is due in the input's days, or the whole.
fn due(input: &RateInput, dated: &Dated) -> Result<Quantity, String> {
    match (&input.from, &input.to) {
        (None, None) => Ok(Quantity::Due(dated.whole())),
        (Some(from), Some(to)) => {
            let (from, to) = (day(from)?, day(to)?);
            let years = to.year().saturating_sub(from.year());
            if from >= to || years > 100 {
                return Err("\"from\" must be before \"to\", by at most 100 years".to_owned());
            }
            Ok(Quantity::Due(dated.due_in(from, to)))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err("give both \"from\" and \"to\", or none".to_owned())
        }
    }
}

/// The adjustments of the input's account on its day.
fn adjustments(tariff: &Tariff, input: &RateInput) -> Result<Vec<Adjustment>, String> {
    let Some(account) = &input.account else { return Ok(Vec::new()) };
    let account = AccountId::new(account).map_err(|error| error.to_string())?;
    let mine = || tariff.adjustments.iter().filter(|a| a.accounts.contains(&account));
    match &input.on {
        Some(on) => {
            let on = day(on)?;
            Ok(mine().filter(|adjustment| adjustment.holds(&account, on)).cloned().collect())
        }
        None if mine().next().is_some() => {
            Err("\"on\" is missing: this account has adjustments that hold for a time".to_owned())
        }
        None => Ok(Vec::new()),
    }
}

fn metered(input: &RateInput) -> Result<Quantity, String> {
    let pair = |(name, text): (&String, &String)| -> Result<(String, Decimal), String> {
        Ok((name.clone(), parse_decimal(text).map_err(|error| format!("{name}: {error}"))?))
    };
    let named = [("peak", &input.peak), ("valley", &input.valley)];
    let mut windows = BTreeMap::new();
    for (name, text) in named {
        if let Some(used) = number(name, text.as_deref())? {
            windows.insert(name.to_owned(), used);
        }
    }
    for (name, used) in input.windows.iter().flatten().map(pair).collect::<Result<Vec<_>, _>>()? {
        if windows.insert(name.clone(), used).is_some() {
            return Err(format!("the window {name:?} is given twice"));
        }
    }
    match (number("usage", input.usage.as_deref())?, windows.is_empty(), &input.intervals) {
        (Some(used), true, None) => Ok(Quantity::Plain(used)),
        // Intervals say more than sums; sums beside them must say the same.
        (None, sums_missing, Some(list)) => {
            let pairs = list.iter().map(|(name, text)| pair((name, text)));
            let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
            if !sums_missing && !same_sums(&windows, &pairs) {
                return Err("the intervals do not add up to the windows".to_owned());
            }
            Ok(Quantity::Intervals(pairs))
        }
        (None, false, None) => Ok(Quantity::Windows(windows)),
        (None, true, None) => Err("\"usage\" is missing: write usage = \"123.4\"".to_owned()),
        (Some(_), _, _) => Err("give \"usage\" or the use by window, not both".to_owned()),
    }
}

fn same_sums(windows: &BTreeMap<String, Decimal>, list: &[(String, Decimal)]) -> bool {
    let mut left = windows.clone();
    for (name, used) in list {
        let rest = left.get(name).and_then(|rest| crate::money::minus(*rest, *used));
        let Some(rest) = rest else { return false };
        left.insert(name.clone(), rest);
    }
    left.values().all(Decimal::is_zero)
}

fn months(input: &RateInput) -> Result<Vec<MonthPart>, String> {
    match (month_count(input)?, &input.from, &input.to) {
        (Some(months), None, None) => {
            Ok((0..months).map(|_| MonthPart { days: 1, of: 1 }).collect())
        }
        (None, Some(from), Some(to)) => {
            let (from, to) = (day(from)?, day(to)?);
            if from >= to {
                return Err("\"from\" must be before \"to\"".to_owned());
            }
            let mut parts = Vec::new();
            let mut month = Month::of(from);
            while month.first() < to {
                if parts.len() >= usize::try_from(MONTHS_MAX).unwrap_or(0) {
                    return Err(format!("more than {MONTHS_MAX} months"));
                }
                let (low, high) = (from.max(month.first()), to.min(month.next().first()));
                parts.push(MonthPart { days: calendar::days_between(low, high), of: month.days() });
                month = month.next();
            }
            Ok(parts)
        }
        (Some(_), _, _) => Err("give \"months\", or \"from\" and \"to\", not both".to_owned()),
        (None, _, _) => Err("\"months\" is missing: write months = 1".to_owned()),
    }
}
