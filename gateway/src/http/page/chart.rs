//! Drawings by the server: usage by the hour, what bills are made of, a stay's time line. Each has its
//! numbers as a table or list too; a drawing alone says nothing to who cannot see it.

use super::components::{View, money, unit};
use blockgate_rules::Fen;
use blockgate_rules::parking::lines::Stretch;
use blockgate_types::{Decimal, Span, Time, Unit};
use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

const HOURS: i64 = 24;
const HOUR_MS: i64 = 3_600_000;
/// The drawing's field; its units become pixels on a phone.
const WIDTH: i64 = 360;
const HEIGHT: i64 = 170;
const LEFT: i64 = 4;
const TOP: i64 = 20;
const BOTTOM: i64 = 22;

/// A reading this near before an hour's end stands for it; over a longer hole nothing is drawn.
const READING_NEAR: Span = Span::from_mins(30);

/// Usage by hour: the hour's begin, and the difference of the counter over it where both ends are
/// known. Differences below zero (an exchanged or rebased device) are not drawn.
pub(super) fn by_hour(rows: &[(Time, Decimal)], now: Time) -> Vec<(Time, Option<Decimal>)> {
    let end = now.as_millis() / HOUR_MS * HOUR_MS + HOUR_MS;
    (0..HOURS)
        .map(|n| {
            let from = Time::from_millis(end - (HOURS - n) * HOUR_MS);
            let to = from.plus(Span::from_hours(1));
            let near = |t: Time, when: Time| t.since(when).is_some_and(|age| age <= READING_NEAR);
            // The present hour is measured up to its last reading.
            let newest = rows.last().map_or(to, |(when, _)| to.min(*when).max(from));
            let at = |t: Time| rows.iter().rev().find(|(when, _)| *when <= t && near(t, *when));
            let used = match (at(from), at(to.min(newest))) {
                (Some((a, first)), Some((b, last))) if a < b => {
                    last.checked_sub(*first).filter(|d| !d.is_sign_negative())
                }
                _ => None,
            };
            (from, used)
        })
        .collect()
}

/// Usage by the hour, beside the same hours of the day before.
pub(super) fn day(view: &View, rows: &[(Time, Decimal)], of: Unit) -> Markup {
    let say = view.say;
    let hours = by_hour(rows, view.now);
    let before = by_hour(rows, view.now.minus(Span::from_hours(HOURS)));
    let before: Vec<Option<Decimal>> = before.into_iter().map(|(_, used)| used).collect();
    let hours: Vec<(String, Option<Decimal>)> =
        hours.into_iter().map(|(from, used)| (clock(view, from), used)).collect();
    columns(view, say.hour(), &hours, unit(of), Some((say.day_before(), &before)))
}

fn clock(view: &View, at: Time) -> String {
    jiff::Timestamp::from(at).to_zoned(view.zone.clone()).strftime("%H:%M").to_string()
}

/// Shades that differ in lightness as well as in colour; more items share the last one.
const SHADES: usize = 6;

/// Columns of any rows, with the same numbers as a table; `of` is the unit. What is compared stands
/// behind each column as a line at its height.
pub(super) fn columns(
    view: &View,
    head: &str,
    rows: &[(String, Option<Decimal>)],
    of: &str,
    compared: Option<(&str, &[Option<Decimal>])>,
) -> Markup {
    let say = view.say;
    // Where nothing was measured then, there is nothing to compare.
    let compared = compared.filter(|(_, before)| before.iter().any(Option::is_some));
    let (name, before) = compared.unwrap_or(("", &[]));
    let measured = rows.iter().filter_map(|(_, used)| *used);
    let Some(most) = measured.chain(before.iter().filter_map(|used| *used)).max() else {
        return html! { p.mute { (say.nothing_measured()) } };
    };
    let then = |n: usize| before.get(n).copied().flatten();
    let all = rows.iter().filter_map(|(_, u)| *u).try_fold(Decimal::ZERO, Decimal::checked_add);
    let all = all.map_or_else(String::new, |all| format!("{} {of}", all.normalize()));
    let summary = say.fill(say.columns_text(), &[&all, &format!("{} {of}", most.normalize())]);
    let floor = HEIGHT - BOTTOM;
    let count = i64::try_from(rows.len()).unwrap_or(1).max(1);
    // Tenths of a unit, so that 31 days fill the field as 24 hours do.
    let step = (WIDTH - 2 * LEFT) * 10 / count;
    let tenths = |n: i64| format!("{}.{}", n / 10, n % 10);
    let height = |used: Decimal| {
        let share = used
            .checked_mul(Decimal::from(floor - TOP))
            .and_then(|u| if most.is_zero() { Some(Decimal::ZERO) } else { u.checked_div(most) });
        share.and_then(|s| s.round().to_i64()).unwrap_or(0).clamp(1, floor - TOP)
    };
    let every = usize::try_from(count).unwrap_or(1).div_ceil(6).max(1);
    html! {
        p.mute.small { (summary) }
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(summary) {
            line x1="0" x2=(WIDTH) y1=(floor) y2=(floor) {}
            text x="0" y=(TOP - 6) { (most.normalize()) " " (of) }
            @for (n, (label, used)) in rows.iter().enumerate() {
                @let x = LEFT * 10 + i64::try_from(n).unwrap_or(0) * step;
                @match used {
                    Some(used) => {
                        @let h = height(*used);
                        rect x=(tenths(x)) y=(floor - h) width=(tenths((step - 20).max(10))) height=(h) {}
                    },
                    None => { rect.none x=(tenths(x)) y=(floor - 2) width=(tenths((step - 20).max(10))) height="2" {} },
                }
                @if let Some(then) = then(n) {
                    @let (left, y) = (x - 5, floor - height(then));
                    line.then x1=(tenths(left)) x2=(tenths(left + step - 10)) y1=(y) y2=(y) {}
                }
                @if n % every == 0 { text x=(tenths(x)) y=(HEIGHT - 6) { (label) } }
            }
        }
        @if !before.is_empty() { p.small.mute { span.then-key aria-hidden="true" { "▬ " } (name) } }
        details {
            summary { (say.history_table()) }
            table {
                thead { tr { th { (head) } th.num { (say.usage()) } @if !before.is_empty() { th.num { (name) } } } }
                tbody {
                    @for (n, (label, used)) in rows.iter().enumerate() {
                        tr {
                            td.num { (label) }
                            td.num { @match used { Some(used) => { (used.normalize()) " " (of) }, None => "–" } }
                            @if !before.is_empty() { td.num { @match then(n) { Some(used) => { (used.normalize()) " " (of) }, None => "–" } } }
                        }
                    }
                }
            }
        }
    }
}

/// What was billed by month and item, as columns.
pub(super) fn composition(view: &View, months: &[(String, BTreeMap<String, Fen>)]) -> Markup {
    let say = view.say;
    let sum = |items: &BTreeMap<String, Fen>| items.values().map(|fen| fen.0.max(0)).sum::<i64>();
    let Some((newest, parts)) = months.last() else {
        return html! { p.mute { (say.composition_none()) } };
    };
    let most = months.iter().map(|(_, items)| sum(items)).max().unwrap_or(0).max(1);
    let mut items: Vec<&str> =
        months.iter().flat_map(|(_, items)| items.keys().map(String::as_str)).collect();
    items.sort_unstable();
    items.dedup();
    let shade = |item: &str| items.iter().position(|i| *i == item).unwrap_or(0).min(SHADES - 1);
    let all = money(Fen(sum(parts)));
    let summary = say.fill(say.composition_text(), &[newest, &all]);
    let count = i64::try_from(months.len()).unwrap_or(1).max(6);
    let (floor, step) = (HEIGHT - BOTTOM, (WIDTH - 2 * LEFT) / count);
    let height = |fen: i64| fen.max(0) * (floor - TOP) / most;
    html! {
        p { (summary) }
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(summary) {
            line x1="0" x2=(WIDTH) y1=(floor) y2=(floor) {}
            @for (n, (month, of)) in (0_i64..).zip(months) {
                @let x = LEFT + n * step;
                @for (item, bottom, fen) in stacked(of) {
                    @let (low, high) = (height(bottom), height(bottom + fen));
                    rect class={ "s" (shade(item)) } x=(x) y=(floor - high) width=((step - 5).min(40)) height=((high - low).max(1)) {}
                }
                @if n % 2 == 0 || months.len() <= 6 { text x=(x) y=(HEIGHT - 6) { (month.get(2..).unwrap_or_default()) } }
            }
        }
        ul.legend {
            @for (item, fen) in parts {
                li {
                    svg viewBox="0 0 10 10" aria-hidden="true" { rect class={ "s" (shade(item)) } width="10" height="10" {} }
                    span { (say.item_name(item)) } span.num { (money(*fen)) }
                }
            }
        }
        details {
            summary { (say.history_table()) }
            table {
                thead { tr { th { (say.month()) } @for item in &items { th.num { (say.item_name(item)) } } th.num { (say.total()) } } }
                tbody {
                    @for (month, of) in months.iter().rev() {
                        tr {
                            td { (month) }
                            @for item in &items { td.num { (of.get(*item).map_or_else(|| "–".to_owned(), |f| f.to_string())) } }
                            td.num { (Fen(of.values().map(|f| f.0).sum())) }
                        }
                    }
                }
            }
        }
    }
}

/// The parts of a column from below, each with what lies under it; what is below zero is not drawn.
fn stacked(of: &BTreeMap<String, Fen>) -> Vec<(&str, i64, i64)> {
    let mut bottom = 0;
    let mut parts = Vec::new();
    for (item, fen) in of.iter().filter(|(_, fen)| fen.0 > 0) {
        parts.push((item.as_str(), bottom, fen.0));
        bottom += fen.0;
    }
    parts
}

/// A stay's time line, with what is due for each stretch.
pub(super) fn stretches(view: &View, all: &[Stretch]) -> Markup {
    let say = view.say;
    let end = all.iter().map(|s| i64::from(s.to)).max().unwrap_or(0).max(1);
    let x = |minute: u32| i64::from(minute) * WIDTH / end;
    let length = |s: &Stretch| {
        let minutes = s.to.saturating_sub(s.from);
        format!("{}:{:02}", minutes / 60, minutes % 60)
    };
    html! {
        @if !all.is_empty() {
            svg.chart viewBox={ "0 0 " (WIDTH) " 30" } role="img" aria-label=(say.parking_time()) {
                @for (n, s) in all.iter().enumerate() {
                    @let free = s.amount.is_zero();
                    rect class={ "s" (if free { 5 } else { n % 2 }) } x=(x(s.from)) y="4" width=((x(s.to) - x(s.from)).max(1)) height="20" {}
                }
            }
            table {
                thead { tr { th { (say.label()) } th.num { (say.length()) } th.num { (say.amount()) } } }
                tbody {
                    @for s in all { tr { td { (say.of(&s.label)) } td.num { (length(s)) } td.num { (yuan(s.amount)) } } }
                }
            }
        }
    }
}

/// An amount that need not be whole fen, with two decimals at least: `¥ 6.50`.
fn yuan(amount: Decimal) -> String {
    let mut amount = amount.normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    format!("¥\u{a0}{amount}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_without_both_ends_has_no_usage() {
        let t = |text: &str| text.parse::<Time>().unwrap();
        let d = |text: &str| blockgate_types::parse_decimal(text).unwrap();
        let rows = [
            (t("2026-03-01T06:45:00Z"), d("9.0")),
            (t("2026-03-01T09:45:00Z"), d("10.0")),
            (t("2026-03-01T10:45:00Z"), d("10.4")),
            (t("2026-03-01T11:10:00Z"), d("2.0")),
        ];
        let hours = by_hour(&rows, t("2026-03-01T11:30:00Z"));
        assert_eq!(hours.len(), 24);
        let used: Vec<Option<String>> =
            hours.iter().rev().take(3).map(|(_, u)| u.map(|u| u.to_string())).collect();
        assert_eq!(used, [None, Some("0.4".to_owned()), None]);
    }
}
