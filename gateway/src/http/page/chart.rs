//! A day's usage as bars, an hour each: drawn by the server, with the same numbers as a table.

use super::parts::{View, unit};
use blockgate_types::{Decimal, Span, Time, Unit};
use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive;

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

/// The card's content.
pub(super) fn show(view: &View, rows: &[(Time, Decimal)], of: Option<Unit>) -> Markup {
    let say = view.say;
    let hours = by_hour(rows, view.now);
    let most = hours.iter().filter_map(|(_, used)| *used).max();
    let (Some(most), Some(unit)) = (most, of.map(unit)) else {
        return html! { p.mute { (say.history_none()) } };
    };
    let all = hours.iter().filter_map(|(_, u)| *u).try_fold(Decimal::ZERO, Decimal::checked_add);
    let all = all.map_or_else(String::new, |all| format!("{all} {unit}"));
    let summary = say.fill(say.history_text(), &[&all, &format!("{most} {unit}")]);
    html! {
        p.mute.small { (summary) }
        (drawing(view, &hours, most, &summary))
        details {
            summary { (say.history_table()) }
            table {
                thead { tr { th { (say.hour()) } th.num { (say.usage()) } } }
                tbody {
                    @for (from, used) in &hours {
                        tr {
                            td.num { (clock(view, *from)) }
                            td.num { @match used { Some(used) => { (used) " " (unit) }, None => "–" } }
                        }
                    }
                }
            }
        }
    }
}

fn clock(view: &View, at: Time) -> String {
    jiff::Timestamp::from(at).to_zoned(view.zone.clone()).strftime("%H:%M").to_string()
}

fn drawing(view: &View, hours: &[(Time, Option<Decimal>)], most: Decimal, summary: &str) -> Markup {
    let floor = HEIGHT - BOTTOM;
    let step = (WIDTH - 2 * LEFT) / HOURS;
    let height = |used: Decimal| {
        let share = used.checked_mul(Decimal::from(floor - TOP)).and_then(|u| u.checked_div(most));
        share.and_then(|s| s.round().to_i64()).unwrap_or(0).clamp(1, floor - TOP)
    };
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(summary) {
            line x1="0" x2=(WIDTH) y1=(floor) y2=(floor) {}
            line x1="0" x2=(WIDTH) y1=(TOP) y2=(TOP) {}
            text x="0" y=(TOP - 6) { (most) }
            @for (n, (from, used)) in (0_i64..).zip(hours) {
                @let x = LEFT + n * step;
                @match used {
                    Some(used) => {
                        @let h = height(*used);
                        rect x=(x) y=(floor - h) width=(step - 3) height=(h) rx="2" {}
                    },
                    None => { rect.none x=(x) y=(floor - 2) width=(step - 3) height="2" {} },
                }
                @if n % 6 == 0 { text x=(x) y=(HEIGHT - 6) { (clock(view, *from)) } }
            }
        }
    }
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
