//! Quantity to lines: the only place where a price meets a quantity. Pure; knows no state.
//!
//! Bounds are half open on the axis that counts from the begin of the tier period: the quantity in a
//! tier is the length of `[before, before + used)` inside `[lower, up_to)`. Amounts stay exact until
//! the revision's one rounding; the lines sum to the total (invariant 4).

use super::{
    Adjustment, Allocation, BasePrice, BegunBlock, BoundRounding, BoundsOn, CatchUp, Change,
    Component, Dated, DuePart, Metered, Monthly, OwnTiers, Pricing, QuotaShift, Revision, Rounding,
    Tiering, Window,
};
use crate::event::{BillLine, Text};
use crate::money::{Fen, minus, plus, share_fen, times};
use crate::rounding_year::{RoundedYear, YearStanding, YearSum};
use blockgate_types::{Decimal, Unit};
use rust_decimal::RoundingStrategy;
use std::collections::BTreeMap;

/// Decimals to which a quantity is split over tiers where the split does not come out even; the rest
/// goes to the last tier, so that nothing is lost.
const SPLIT_DECIMALS: u32 = 6;

/// What is priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// How much.
    pub quantity: Quantity,
    /// The tier counter before; zero where the tariff has none.
    pub before: Decimal,
    /// Months whose quota holds: 1, or more where [`CatchUp::ScaleQuota`] says so.
    pub months: u32,
    /// Persons of the household, where known.
    pub persons: Option<u32>,
    /// Floor area in m², where known.
    pub area_m2: Option<Decimal>,
    /// Parking spaces, where known.
    pub spaces: Option<u32>,
    /// The part of a tier period whose quota holds, `(7, 12)`; none for a whole one.
    pub part: Option<(u32, u32)>,
    /// What a base price beside a metered one is charged for; none where there is none.
    pub base: Option<Quantity>,
    /// What this account pays otherwise.
    pub adjustments: Vec<Adjustment>,
    /// Where its rounding year stood before the bill, for [`Rounding::PerYear`].
    pub year: YearStanding,
}

impl Usage {
    /// A quantity, and nothing known beside it.
    #[must_use]
    pub fn of(quantity: Quantity) -> Self {
        Self {
            quantity,
            before: Decimal::ZERO,
            months: 1,
            persons: None,
            area_m2: None,
            spaces: None,
            part: None,
            base: None,
            adjustments: Vec::new(),
            year: YearStanding::default(),
        }
    }
}

/// A quantity in the form that the tariff's kind needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quantity {
    /// One number.
    Plain(Decimal),
    /// By time-of-use window.
    Windows(BTreeMap<String, Decimal>),
    /// By time-of-use window, in time order.
    Intervals(Vec<(String, Decimal)>),
    /// Months and parts of months.
    Months(Vec<MonthPart>),
    /// Parts of a dated price that are due.
    Due(Vec<DuePart>),
}

/// A month, or the part of it that is charged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthPart {
    /// Days charged for.
    pub days: u32,
    /// Days of the month; 30 where it is counted as so many.
    pub of: u32,
}

/// What a quantity costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// The lines; their `amount_fen` sum to the total.
    pub lines: Vec<BillLine>,
    /// The exact sum in yuan.
    pub exact: Decimal,
    /// The total.
    pub total_fen: Fen,
    /// The tier counter afterwards.
    pub after: Decimal,
    /// Its rounding years before and after it, where the tariff has them.
    pub years: Vec<RoundedYear>,
}

/// Why a quantity has no price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateError {
    /// More digits than an exact result can have.
    Overflow,
    /// A price per area without an area.
    NoArea,
    /// A quota by household size without the number of persons.
    NoPersons,
    /// A price per parking space without their number.
    NoSpaces,
    /// The quantity is negative.
    Negative,
    /// The quantity has another form than the tariff's kind needs; what it needs.
    WrongQuantity(&'static str),
    /// A window that the tariff does not know.
    UnknownWindow(String),
}

impl std::fmt::Display for RateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overflow => f.write_str("the numbers are too large to be exact"),
            Self::NoArea => f.write_str("the tariff is per m2 and the input has no area"),
            Self::NoPersons => f.write_str(
                "the price depends on the household's size and the input has no persons",
            ),
            Self::NoSpaces => f.write_str("the tariff is per space and the input has no spaces"),
            Self::Negative => f.write_str("a quantity below zero cannot be priced"),
            Self::WrongQuantity(needs) => write!(f, "this tariff needs {needs}"),
            Self::UnknownWindow(name) => write!(f, "the tariff has no window {name:?}"),
        }
    }
}

impl std::error::Error for RateError {}

impl RateError {
    /// The stable word for [`crate::event::Unbilled::why`].
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::NoArea => "no-area",
            Self::NoPersons => "no-persons",
            Self::NoSpaces => "no-spaces",
            Self::Negative | Self::WrongQuantity(_) | Self::UnknownWindow(_) => "no-tariff",
        }
    }
}

/// Prices one quantity by one revision.
///
/// # Errors
/// [`RateError`] when the quantity does not fit the revision, or the result is not exact.
pub fn rate(label: &Text, revision: &Revision, usage: &Usage) -> Result<Rated, RateError> {
    rate_parts(label, &[(revision, usage.clone())])
}

/// Prices the parts of one bill, each by its own revision. Minimum and cap are those of the last.
///
/// # Errors
/// [`RateError`] when a quantity does not fit its revision, or a result is not exact.
pub fn rate_parts(label: &Text, parts: &[(&Revision, Usage)]) -> Result<Rated, RateError> {
    let mut whole = Rated {
        lines: Vec::new(),
        exact: Decimal::ZERO,
        total_fen: Fen::ZERO,
        after: Decimal::ZERO,
        years: Vec::new(),
    };
    for (revision, usage) in parts {
        let year = year_of(&mut whole.years, revision, usage);
        let (mut lines, after) = part_lines(label, revision, usage, year)?;
        whole.lines.append(&mut lines);
        whole.after = after;
    }
    if let Some((last, _)) = parts.last() {
        bound_total(last, &mut whole.lines)?;
    }
    for line in &whole.lines {
        whole.exact = plus(whole.exact, line.exact).ok_or(RateError::Overflow)?;
    }
    whole.total_fen =
        Fen::sum(whole.lines.iter().map(|line| line.amount_fen)).ok_or(RateError::Overflow)?;
    Ok(whole)
}

/// The rounding year that a part is in, as the parts before it left it.
fn year_of<'y>(
    years: &'y mut Vec<RoundedYear>,
    revision: &Revision,
    usage: &Usage,
) -> Option<&'y mut YearSum> {
    let Rounding::PerYear { .. } = revision.rounding else { return None };
    let YearStanding { year, sum } = &usage.year;
    if !years.iter().any(|known| known.year == *year) {
        years.push(RoundedYear { year: year.clone(), before: *sum, after: *sum });
    }
    years.iter_mut().find(|known| known.year == *year).map(|known| &mut known.after)
}

/// The rounded lines of one part: what is due on days, what was used, what the account pays
/// otherwise, the tax.
fn part_lines(
    label: &Text,
    revision: &Revision,
    usage: &Usage,
    mut year: Option<&mut YearSum>,
) -> Result<(Vec<BillLine>, Decimal), RateError> {
    let own = usage.adjustments.iter().rev().find_map(|adjustment| match adjustment.change {
        Change::OwnPrice { price } => Some((price, &adjustment.reason)),
        Change::Discount { .. } => None,
    });
    let of_own = own.map(|(price, reason)| {
        (at_price(&revision.pricing, price), line_label(label, None, Some(reason)))
    });
    let (pricing, label) = match &of_own {
        Some((pricing, label)) => (pricing, label),
        None => (&revision.pricing, label),
    };
    let (mut due, mut lines, mut after) = (Vec::new(), Vec::new(), Decimal::ZERO);
    match pricing {
        Pricing::Metered(metered) => {
            (lines, after) = metered_lines(label, metered, usage)?;
            if let Some(base) = &metered.base {
                let label = line_label(label, None, Some(&base.label));
                let quantity = usage.base.as_ref();
                let missing = RateError::WrongQuantity("the months of its base price");
                let quantity = quantity.ok_or(missing)?;
                match &base.price {
                    BasePrice::Month(monthly) => {
                        lines.extend(month_lines(&label, monthly, quantity, usage)?);
                    }
                    BasePrice::Season(dated) => due = due_lines(&label, dated, quantity, usage)?,
                }
            }
        }
        Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => {
            lines = month_lines(label, monthly, &usage.quantity, usage)?;
        }
        Pricing::Dated(dated) => due = due_lines(label, dated, &usage.quantity, usage)?,
    }
    let mut sum = exact_sum(due.iter().chain(&lines))?;
    for adjustment in &usage.adjustments {
        let Change::Discount { percent } = adjustment.change else { continue };
        let less = percent_of(sum, percent)?;
        let exact = less.checked_mul(Decimal::NEGATIVE_ONE).ok_or(RateError::Overflow)?;
        sum = minus(sum, less).ok_or(RateError::Overflow)?;
        lines.push(plain_line(line_label(label, None, Some(&adjustment.reason)), exact));
    }
    round_lines(&mut lines, revision.rounding)?;
    if let Some(year) = &mut year {
        let before = year.billed_fen;
        let fen = year.add(sum).ok_or(RateError::Overflow)?;
        lines.extend(carried(("", ""), (year.exact, before), fen, &lines)?);
    }
    due.append(&mut lines);
    if let Some(percent) = revision.tax_percent {
        let words = Text { zh: format!("税 {percent}%"), en: format!("tax {percent} %") };
        let mut line = plain_line(words, percent_of(sum, percent)?);
        // Net and tax are rounded apart, then added.
        line.amount_fen = Fen::round(line.exact).ok_or(RateError::Overflow)?;
        let mut tax = vec![line];
        if let Some(year) = &mut year {
            let before = year.tax_billed_fen;
            let exact = exact_sum(&tax)?;
            let fen = year.add_tax(exact).ok_or(RateError::Overflow)?;
            tax.extend(carried(("税额", " of the tax"), (year.tax_exact, before), fen, &tax)?);
        }
        due.append(&mut tax);
    }
    Ok((due, after))
}

/// The line between what lines come to by themselves and what their rounding year leaves to be billed;
/// none where that is the same.
fn carried(
    (of_zh, of_en): (&str, &str),
    (year, before): (Decimal, Fen),
    fen: Fen,
    lines: &[BillLine],
) -> Result<Option<BillLine>, RateError> {
    let own = Fen::sum(lines.iter().map(|line| line.amount_fen)).ok_or(RateError::Overflow)?;
    let amount_fen = Fen(fen.0.checked_sub(own.0).ok_or(RateError::Overflow)?);
    let year = year.normalize();
    let label = Text {
        zh: format!("{of_zh}取整结转（本年累计 {year}，此前已计 {before}）"),
        en: format!("rounding{of_en} carried (year so far {year}, billed before {before})"),
    };
    let line = BillLine { amount_fen, ..plain_line(label, Decimal::ZERO) };
    Ok(Some(line).filter(|line| !line.amount_fen.is_zero()))
}

fn exact_sum<'l>(lines: impl IntoIterator<Item = &'l BillLine>) -> Result<Decimal, RateError> {
    let mut lines = lines.into_iter();
    lines.try_fold(Decimal::ZERO, |sum, line| plus(sum, line.exact)).ok_or(RateError::Overflow)
}

fn percent_of(sum: Decimal, percent: Decimal) -> Result<Decimal, RateError> {
    let part = times(sum, percent).and_then(|part| times(part, Decimal::new(1, 2)));
    part.ok_or(RateError::Overflow)
}

/// A line that is an amount and nothing else, not rounded yet.
fn plain_line(label: Text, exact: Decimal) -> BillLine {
    BillLine {
        label,
        quantity: Decimal::ONE,
        unit: Unit::One,
        unit_price: exact,
        exact,
        amount_fen: Fen::ZERO,
        tier: None,
        window: None,
        component: None,
        days: None,
    }
}

/// The pricing with a price of one's own in place of its one price.
fn at_price(pricing: &Pricing, price: Decimal) -> Pricing {
    let mut pricing = pricing.clone();
    match &mut pricing {
        Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => monthly.rate = price,
        Pricing::Dated(dated) => dated.rate = price,
        Pricing::Metered(metered) => {
            let prices = metered.tiers.iter_mut().flat_map(|tier| tier.prices.values_mut());
            prices.for_each(|old| *old = price);
        }
    }
    pricing
}

/// How many of what a price is for.
fn count_of(per: Unit, usage: &Usage) -> Result<Decimal, RateError> {
    let count = if per == Unit::SquareMetre {
        usage.area_m2.ok_or(RateError::NoArea)?
    } else if per == Unit::Person {
        Decimal::from(usage.persons.ok_or(RateError::NoPersons)?)
    } else if per == Unit::Space {
        Decimal::from(usage.spaces.ok_or(RateError::NoSpaces)?)
    } else {
        Decimal::ONE
    };
    if count.is_sign_negative() { Err(RateError::Negative) } else { Ok(count) }
}

/// The lines of a price that is due on days. The fen of a part are the difference of the rounded
/// sums before and after it, so that all parts together are the rounded whole.
fn due_lines(
    label: &Text,
    dated: &Dated,
    quantity: &Quantity,
    usage: &Usage,
) -> Result<Vec<BillLine>, RateError> {
    let Quantity::Due(parts) = quantity else {
        return Err(RateError::WrongQuantity("no metered usage: it is due on days"));
    };
    let count = count_of(dated.per, usage)?;
    let whole = times(count, dated.rate).ok_or(RateError::Overflow)?;
    let mut lines = Vec::with_capacity(parts.len());
    for part in parts {
        let until = plus(part.before, part.share).ok_or(RateError::Overflow)?;
        let fen = |share| times(whole, share).and_then(Fen::round).ok_or(RateError::Overflow);
        let amount = fen(until)?.0.checked_sub(fen(part.before)?.0).ok_or(RateError::Overflow)?;
        let on = part.on.map(|day| Text { zh: day.to_string(), en: day.to_string() });
        let exact = times(whole, part.share).ok_or(RateError::Overflow)?;
        lines.push(BillLine {
            quantity: count,
            unit: dated.per,
            unit_price: dated.rate,
            amount_fen: Fen(amount),
            days: (part.share != Decimal::ONE).then(|| part.share.normalize().to_string()),
            ..plain_line(line_label(label, None, on.as_ref()), exact)
        });
    }
    Ok(lines)
}

/// Rounds where the revision says so.
fn round_lines(lines: &mut [BillLine], rounding: Rounding) -> Result<(), RateError> {
    let mut groups: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (place, line) in lines.iter_mut().enumerate() {
        match rounding {
            Rounding::PerLine => {
                line.amount_fen = Fen::round(line.exact).ok_or(RateError::Overflow)?
            }
            Rounding::PerComponent => {
                groups.entry(line.component.clone()).or_default().push(place);
            }
            Rounding::PerBill | Rounding::PerYear { .. } => {
                groups.entry(None).or_default().push(place)
            }
        }
    }
    for places in groups.values() {
        let amounts: Vec<Decimal> =
            places.iter().filter_map(|p| lines.get(*p)).map(|line| line.exact).collect();
        let sum = amounts.iter().try_fold(Decimal::ZERO, |sum, more| plus(sum, *more));
        let total = sum.and_then(Fen::round).ok_or(RateError::Overflow)?;
        let shares = share_fen(total, &amounts).ok_or(RateError::Overflow)?;
        for (place, share) in places.iter().zip(shares) {
            if let Some(line) = lines.get_mut(*place) {
                line.amount_fen = share;
            }
        }
    }
    Ok(())
}

/// Minimum and cap, each as a line of its own.
fn bound_total(revision: &Revision, lines: &mut Vec<BillLine>) -> Result<(), RateError> {
    let total = Fen::sum(lines.iter().map(|line| line.amount_fen)).ok_or(RateError::Overflow)?;
    let (least, most) = (revision.minimum, revision.cap);
    let (bound, zh, en) = match (least, most) {
        (Some(least), _) if Fen::round(least).is_some_and(|fen| total < fen) => {
            (least, "最低收费补差", "up to the minimum charge")
        }
        (_, Some(most)) if Fen::round(most).is_some_and(|fen| total > fen) => {
            (most, "封顶减免", "down to the maximum charge")
        }
        _ => return Ok(()),
    };
    let fen = Fen::round(bound).ok_or(RateError::Overflow)?;
    let amount_fen = Fen(fen.0.checked_sub(total.0).ok_or(RateError::Overflow)?);
    let exact = Decimal::new(amount_fen.0, 2);
    let label = Text { zh: zh.to_owned(), en: en.to_owned() };
    lines.push(BillLine { amount_fen, ..plain_line(label, exact) });
    Ok(())
}

/// The lines of a price by the month: one a month, so that each is rounded by itself.
fn month_lines(
    label: &Text,
    monthly: &Monthly,
    quantity: &Quantity,
    usage: &Usage,
) -> Result<Vec<BillLine>, RateError> {
    use super::Proration;
    let Quantity::Months(parts) = quantity else {
        return Err(RateError::WrongQuantity("months: a price by the month has no metered usage"));
    };
    let count = count_of(monthly.per, usage)?;
    let mut lines = Vec::with_capacity(parts.len());
    for part in parts {
        let (days, of) = match monthly.proration {
            _ if part.days >= part.of => (1, 1),
            Proration::ActualDays => (part.days, part.of),
            Proration::Fixed30 => (part.days.min(30), 30),
            Proration::FullMonth if part.days > 0 => (1, 1),
            Proration::FullMonth | Proration::Free => (0, 1),
        };
        // A part of a month that costs nothing is a line of its own: the bill says so.
        let quantity = if days == 0 { Decimal::ZERO } else { count };
        let whole = times(quantity, monthly.rate).ok_or(RateError::Overflow)?;
        // Multiplied before it is divided, so that only what does not come out even is cut, at 28 digits.
        let exact = times(whole, Decimal::from(days))
            .and_then(|amount| amount.checked_div(Decimal::from(of)))
            .map(|amount| cut(amount, 12))
            .ok_or(RateError::Overflow)?;
        lines.push(BillLine {
            label: label.clone(),
            quantity,
            unit: monthly.per,
            unit_price: monthly.rate,
            exact,
            amount_fen: Fen::ZERO,
            tier: None,
            window: None,
            component: None,
            days: (of > 1).then(|| format!("{days}/{of}")),
        });
    }
    Ok(lines)
}

/// Rounded half away from zero to so many decimals.
fn cut(value: Decimal, decimals: u32) -> Decimal {
    value.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero)
}

/// The lines of a metered quantity, and the tier counter afterwards.
fn metered_lines(
    label: &Text,
    metered: &Metered,
    usage: &Usage,
) -> Result<(Vec<BillLine>, Decimal), RateError> {
    let total = total_of(metered, &usage.quantity)?;
    // Of what lies below zero no tier would take anything: use would cost nothing.
    if usage.before.is_sign_negative() && !usage.before.is_zero() {
        return Err(RateError::Negative);
    }
    let after = plus(usage.before, total).ok_or(RateError::Overflow)?;
    if let Tiering::Package { size, begun } = metered.tiering {
        return Ok((vec![package_line(label, metered, size, begun, total)?], after));
    }
    let bounds = bounds(metered, usage)?;
    // By tier, then by component or window.
    let mut parts: Vec<(usize, &str, Decimal)> = Vec::new();
    let mut reached = vec![false; metered.tiers.len()];
    match (&usage.quantity, &metered.tou) {
        (Quantity::Plain(used), None) => {
            let split = match metered.tiering {
                Tiering::Volume => volume(&bounds, *used),
                Tiering::Month { .. }
                | Tiering::Year { .. }
                | Tiering::Months { .. }
                | Tiering::Package { .. }
                | Tiering::Single => per_tier(&bounds, usage.before, *used)?,
            };
            for (tier, quantity) in split.iter().enumerate() {
                let in_volume = metered.tiering == Tiering::Volume && !quantity.1;
                if let Some(flag) = reached.get_mut(tier) {
                    *flag = quantity.1 || (tier == 0 && !in_volume);
                }
                let shared = metered.components.iter().filter(|component| component.own.is_none());
                for component in shared.filter(|_| !quantity.0.is_zero()) {
                    let charged = times(quantity.0, component.factor).ok_or(RateError::Overflow)?;
                    parts.push((tier, component.name.as_str(), charged));
                }
            }
            if !used.is_zero() {
                for (component, own) in with_own_tiers(metered) {
                    parts.extend(own_parts(metered, component, own, usage, *used)?);
                }
            }
        }
        (Quantity::Windows(_) | Quantity::Intervals(_), Some(tou)) => {
            parts = in_windows(&bounds, usage, total, tou.allocation)?;
        }
        (Quantity::Plain(_), Some(_)) => {
            return Err(RateError::WrongQuantity("the usage by window: peak, valley or windows"));
        }
        (_, _) => return Err(RateError::WrongQuantity("the usage as one number")),
    }
    if parts.is_empty() {
        parts = nothing_used(metered, &bounds, usage)?;
    }
    let mut lines = Vec::with_capacity(parts.len());
    for (tier, name, quantity) in parts {
        lines.push(metered_line(label, metered, tier, name, quantity)?);
    }
    for (tier, step) in
        metered.tiers.iter().enumerate().filter(|(t, _)| reached.get(*t) == Some(&true))
    {
        if let Some(flat) = step.flat.filter(|flat| !flat.is_zero()) {
            lines.push(flat_line(label, tier, flat));
        }
    }
    Ok((lines, after))
}

/// A line that says that nothing was used: a bill has at least one line.
fn nothing_used<'m>(
    metered: &'m Metered,
    bounds: &[Option<Decimal>],
    usage: &Usage,
) -> Result<Vec<(usize, &'m str, Decimal)>, RateError> {
    let tier = tier_at(bounds, usage.before);
    let names: Vec<&String> = match &metered.tou {
        Some(tou) => tou.windows.iter().map(|w| &w.name).collect(),
        None => metered.components.iter().filter(|c| c.own.is_none()).map(|c| &c.name).collect(),
    };
    let mut parts: Vec<(usize, &str, Decimal)> =
        names.into_iter().map(|name| (tier, name.as_str(), Decimal::ZERO)).collect();
    for (component, own) in with_own_tiers(metered) {
        parts.extend(own_parts(metered, component, own, usage, Decimal::ZERO)?);
    }
    Ok(parts)
}

/// The tier in which the next unit lies.
fn tier_at(bounds: &[Option<Decimal>], before: Decimal) -> usize {
    let open = |bound: &Option<Decimal>| bound.is_none_or(|bound| before < bound);
    bounds.iter().position(open).unwrap_or_default()
}

fn with_own_tiers(metered: &Metered) -> impl Iterator<Item = (&Component, &OwnTiers)> {
    metered.components.iter().filter_map(|component| Some((component, component.own.as_deref()?)))
}

/// What is charged for in each of a component's own tiers (switch 11); its tier with nothing where
/// that is none.
fn own_parts<'m>(
    metered: &Metered,
    component: &'m Component,
    own: &OwnTiers,
    usage: &Usage,
    used: Decimal,
) -> Result<Vec<(usize, &'m str, Decimal)>, RateError> {
    let up_to: Vec<Option<Decimal>> = own.tiers.iter().map(|tier| tier.up_to).collect();
    let bounds = shifted(&up_to, &own.quota_shift, metered.tiering, usage)?;
    let (on_axis, after) = match own.bounds_on {
        BoundsOn::Metered => (Decimal::ONE, component.factor),
        BoundsOn::Charged => (component.factor, Decimal::ONE),
    };
    let before = times(usage.before, on_axis).ok_or(RateError::Overflow)?;
    let used = times(used, on_axis).ok_or(RateError::Overflow)?;
    let mut parts = Vec::with_capacity(1);
    for (tier, (part, reached)) in per_tier(&bounds, before, used)?.into_iter().enumerate() {
        if reached {
            let charged = times(part, after).ok_or(RateError::Overflow)?;
            parts.push((tier, component.name.as_str(), charged));
        }
    }
    if parts.is_empty() {
        parts.push((tier_at(&bounds, before), component.name.as_str(), Decimal::ZERO));
    }
    Ok(parts)
}

fn total_of(metered: &Metered, quantity: &Quantity) -> Result<Decimal, RateError> {
    let known = |name: &String| {
        let windows = metered.tou.as_ref().map(|tou| tou.windows.as_slice()).unwrap_or_default();
        windows.iter().any(|w: &Window| w.name == *name)
    };
    let list: Vec<Decimal> = match quantity {
        Quantity::Plain(used) => vec![*used],
        Quantity::Windows(windows) => {
            if let Some(name) = windows.keys().find(|name| metered.tou.is_some() && !known(name)) {
                return Err(RateError::UnknownWindow(name.clone()));
            }
            windows.values().copied().collect()
        }
        Quantity::Intervals(list) => {
            if let Some((name, _)) = list.iter().find(|(n, _)| metered.tou.is_some() && !known(n)) {
                return Err(RateError::UnknownWindow(name.clone()));
            }
            list.iter().map(|(_, used)| *used).collect()
        }
        Quantity::Months(_) | Quantity::Due(_) => {
            return Err(RateError::WrongQuantity("a metered usage, not months"));
        }
    };
    if list.iter().any(|used| used.is_sign_negative() && !used.is_zero()) {
        return Err(RateError::Negative);
    }
    list.into_iter().try_fold(Decimal::ZERO, plus).ok_or(RateError::Overflow)
}

/// The tariff's upper bounds as they hold for a usage.
fn bounds(metered: &Metered, usage: &Usage) -> Result<Vec<Option<Decimal>>, RateError> {
    let up_to: Vec<Option<Decimal>> = metered.tiers.iter().map(|tier| tier.up_to).collect();
    shifted(&up_to, &metered.quota_shift, metered.tiering, usage)
}

/// Upper bounds after household size, months, and the part of a tier period.
fn shifted(
    up_to: &[Option<Decimal>],
    shifts: &[QuotaShift],
    tiering: Tiering,
    usage: &Usage,
) -> Result<Vec<Option<Decimal>>, RateError> {
    let shift = match (shifts, usage.persons) {
        ([], _) => None,
        (_, None) => return Err(RateError::NoPersons),
        (shifts, Some(persons)) => shifts.iter().rev().find(|s| s.persons_from <= persons),
    };
    let months = match tiering {
        Tiering::Month { catch_up: CatchUp::ScaleQuota } => usage.months.max(1),
        Tiering::Month { catch_up: CatchUp::KeepQuota }
        | Tiering::Year { .. }
        | Tiering::Months { .. }
        | Tiering::Volume
        | Tiering::Package { .. }
        | Tiering::Single => 1,
    };
    let rounding = tiering.cycle().map(|(_, _, terms)| terms.bound_rounding);
    let mut bounds = Vec::with_capacity(up_to.len());
    for (place, up_to) in up_to.iter().enumerate() {
        let Some(bound) = *up_to else {
            bounds.push(None);
            continue;
        };
        let more = shift.and_then(|s| s.add.get(place)).copied().unwrap_or_default();
        let bound = plus(bound, more).and_then(|b| times(b, Decimal::from(months)));
        let bound = bound.and_then(|bound| part_bound(bound, usage.part, rounding));
        bounds.push(Some(bound.ok_or(RateError::Overflow)?));
    }
    Ok(bounds)
}

/// A bound for a part of a tier period: multiplied, then divided, then rounded (switch 8).
fn part_bound(
    bound: Decimal,
    part: Option<(u32, u32)>,
    rounding: Option<BoundRounding>,
) -> Option<Decimal> {
    let Some((part, of)) = part.filter(|(part, of)| part != of) else { return Some(bound) };
    let share = times(bound, Decimal::from(part))?.checked_div(Decimal::from(of))?;
    Some(match rounding.unwrap_or_default() {
        BoundRounding::None => cut(share, 12),
        BoundRounding::Down => share.floor(),
        BoundRounding::HalfUp => cut(share, 0),
    })
}

/// Blocks of a size at a price each.
fn package_line(
    label: &Text,
    metered: &Metered,
    size: Decimal,
    begun: BegunBlock,
    used: Decimal,
) -> Result<BillLine, RateError> {
    let prices = metered.tiers.first().and_then(|tier| tier.prices.values().next());
    let price = *prices.ok_or(RateError::Overflow)?;
    let rest = used.checked_rem(size).ok_or(RateError::Overflow)?;
    let whole = minus(used, rest).and_then(|whole| whole.checked_div(size));
    let begun = if begun == BegunBlock::Counts && !rest.is_zero() { 1_u32 } else { 0 };
    let blocks = whole.and_then(|whole| plus(whole, Decimal::from(begun)));
    let blocks = blocks.ok_or(RateError::Overflow)?.normalize();
    let (size, unit) = (size.normalize(), metered.unit);
    let words = Text {
        zh: format!("{} {unit}，每 {size} {unit}", used.normalize()),
        en: format!("{} {unit} in blocks of {size} {unit}", used.normalize()),
    };
    let exact = times(blocks, price).ok_or(RateError::Overflow)?;
    let label = line_label(label, None, Some(&words));
    Ok(BillLine { quantity: blocks, unit_price: price, ..plain_line(label, exact) })
}

/// The part of `[before, before + used)` in each tier, and whether the tier is reached.
fn per_tier(
    bounds: &[Option<Decimal>],
    before: Decimal,
    used: Decimal,
) -> Result<Vec<(Decimal, bool)>, RateError> {
    let end = plus(before, used).ok_or(RateError::Overflow)?;
    let mut lower = Decimal::ZERO;
    let mut split = Vec::with_capacity(bounds.len());
    for bound in bounds {
        let top = bound.map_or(end, |bound| bound.min(end));
        let part = minus(top, lower.max(before)).ok_or(RateError::Overflow)?.max(Decimal::ZERO);
        split.push((part, !part.is_zero()));
        lower = bound.unwrap_or(end);
    }
    Ok(split)
}

/// All of it in the tier that contains it, bound included.
fn volume(bounds: &[Option<Decimal>], used: Decimal) -> Vec<(Decimal, bool)> {
    let tier = bounds.iter().position(|bound| bound.is_none_or(|bound| used <= bound));
    let here = |place| Some(place) == tier;
    (0..bounds.len()).map(|p| (if here(p) { used } else { Decimal::ZERO }, here(p))).collect()
}

/// Windows × tiers.
fn in_windows<'u>(
    bounds: &[Option<Decimal>],
    usage: &'u Usage,
    total: Decimal,
    allocation: Option<Allocation>,
) -> Result<Vec<(usize, &'u str, Decimal)>, RateError> {
    let mut sums: Vec<(&str, Decimal)> = Vec::new();
    let order: Vec<(&str, Decimal)> = match &usage.quantity {
        Quantity::Windows(windows) => windows.iter().map(|(n, used)| (n.as_str(), *used)).collect(),
        Quantity::Intervals(list) => list.iter().map(|(n, used)| (n.as_str(), *used)).collect(),
        Quantity::Plain(_) | Quantity::Months(_) | Quantity::Due(_) => Vec::new(),
    };
    for (name, used) in &order {
        match sums.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum = plus(*sum, *used).ok_or(RateError::Overflow)?,
            None => sums.push((name, *used)),
        }
    }
    let first = match allocation {
        None | Some(Allocation::Prorata) => return prorata(bounds, usage.before, total, &sums),
        Some(Allocation::Chronological) => {
            if !matches!(usage.quantity, Quantity::Intervals(_)) {
                return Err(RateError::WrongQuantity("the usage as intervals in time order"));
            }
            sums = order;
            None
        }
        Some(Allocation::PeakFirst) => Some("peak"),
        Some(Allocation::ValleyFirst) => Some("valley"),
    };
    sums.sort_by_key(|(name, _)| first.is_some_and(|first| *name != first));
    let mut found: BTreeMap<(usize, &str), Decimal> = BTreeMap::new();
    let mut before = usage.before;
    for (name, used) in sums {
        for (tier, (part, _)) in per_tier(bounds, before, used)?.into_iter().enumerate() {
            if !part.is_zero() {
                let sum = found.entry((tier, name)).or_default();
                *sum = plus(*sum, part).ok_or(RateError::Overflow)?;
            }
        }
        before = plus(before, used).ok_or(RateError::Overflow)?;
    }
    Ok(found.into_iter().map(|((tier, name), used)| (tier, name, used)).collect())
}

/// Every tier gets the windows in the bill's ratio; what the split leaves goes to the last tier.
fn prorata<'u>(
    bounds: &[Option<Decimal>],
    before: Decimal,
    total: Decimal,
    sums: &[(&'u str, Decimal)],
) -> Result<Vec<(usize, &'u str, Decimal)>, RateError> {
    let split = per_tier(bounds, before, total)?;
    let last = split.iter().rposition(|(part, _)| !part.is_zero());
    let mut parts = Vec::new();
    let mut rests: Vec<Decimal> = sums.iter().map(|(_, used)| *used).collect();
    for (tier, (in_tier, _)) in split.iter().enumerate().filter(|(_, (q, _))| !q.is_zero()) {
        for ((name, used), rest) in sums.iter().zip(rests.iter_mut()) {
            let part = if Some(tier) == last {
                *rest
            } else {
                times(*in_tier, *used)
                    .and_then(|product| product.checked_div(total))
                    .map(|part| part.trunc_with_scale(SPLIT_DECIMALS))
                    .ok_or(RateError::Overflow)?
            };
            *rest = minus(*rest, part).ok_or(RateError::Overflow)?;
            if !part.is_zero() {
                parts.push((tier, *name, part));
            }
        }
    }
    Ok(parts)
}

fn metered_line(
    label: &Text,
    metered: &Metered,
    tier: usize,
    name: &str,
    quantity: Decimal,
) -> Result<BillLine, RateError> {
    let unknown = || RateError::UnknownWindow(name.to_owned());
    let window = metered.tou.as_ref().and_then(|t| t.windows.iter().find(|w| w.name == name));
    let component = metered.components.iter().find(|c| c.name == name);
    let (price, tiers) = match component.and_then(|component| component.own.as_deref()) {
        Some(own) => (own.tiers.get(tier).map(|tier| tier.price), own.tiers.len()),
        None => {
            let step = metered.tiers.get(tier).ok_or(RateError::Overflow)?;
            (step.prices.get(name).copied(), metered.tiers.len())
        }
    };
    let price = price.ok_or_else(unknown)?;
    let several = metered.components.len() > 1;
    let part = match (window, component) {
        (Some(window), _) => Some(&window.label),
        (None, Some(component)) if several => Some(&component.label),
        (None, _) => None,
    };
    let number =
        (tiers > 1).then(|| u32::try_from(tier).ok().and_then(|t| t.checked_add(1))).flatten();
    Ok(BillLine {
        label: line_label(label, number, part),
        quantity,
        unit: metered.unit,
        unit_price: price,
        exact: times(quantity, price).ok_or(RateError::Overflow)?,
        amount_fen: Fen::ZERO,
        tier: number,
        window: window.map(|window| window.name.clone()),
        component: (several && window.is_none()).then(|| name.to_owned()),
        days: None,
    })
}

fn flat_line(label: &Text, tier: usize, flat: Decimal) -> BillLine {
    let number = u32::try_from(tier).ok().and_then(|t| t.checked_add(1));
    let fixed = Text { zh: "固定费".to_owned(), en: "fixed part".to_owned() };
    BillLine { tier: number, ..plain_line(line_label(label, number, Some(&fixed)), flat) }
}

fn line_label(label: &Text, tier: Option<u32>, part: Option<&Text>) -> Text {
    let number = tier.map(|tier| tier.to_string());
    let joined = |label: &str, joint: &str, part: Option<&str>, tier: [&str; 2]| {
        let all = [joint, part.unwrap_or_default()];
        let part = if part.is_some() { all } else { [""; 2] };
        let [before, after] = if number.is_some() { tier } else { [""; 2] };
        [label, part[0], part[1], before, number.as_deref().unwrap_or_default(), after].concat()
    };
    Text {
        zh: joined(&label.zh, " ", part.map(|part| part.zh.as_str()), [" 第", "档"]),
        en: joined(&label.en, ", ", part.map(|part| part.en.as_str()), [", tier ", ""]),
    }
}
