//! Two baselines on the same readings: 24 hours without a zero hour, and LeakDB's minimum night flow.

use super::data::Point;
use blockgate_types::{Span, Time};
use std::collections::VecDeque;

/// Makers of meters: an alarm after 24 hours without an hour of no use; over with such an hour.
pub(crate) fn continuous(readings: &[Point]) -> Vec<Time> {
    let mut alarms = Vec::new();
    let (mut since, mut open) = (None, false);
    for pair in readings.windows(2) {
        let [(from, before), (to, after)] = pair else { continue };
        if after <= before {
            (since, open) = (None, false);
            continue;
        }
        let begun = *since.get_or_insert(*from);
        if !open && to.since(begun).is_some_and(|lasted| lasted >= Span::from_hours(24)) {
            alarms.push(*to);
            open = true;
        }
    }
    alarms
}

/// LeakDB `algorithmMNF`: each day's least flow against the least of the last ten days; an alarm where
/// the excess is above gamma times that. Days with an alarm do not enter the window. One alarm for
/// days that follow one another.
pub(crate) fn least_night_flow(readings: &[Point], gamma_percent: i64) -> Vec<Time> {
    let mut window: VecDeque<i64> = VecDeque::new();
    let (mut alarms, mut open) = (Vec::new(), false);
    let day_of = |at: Time| at.plus(Span::from_hours(8)).as_millis() / 86_400_000;
    let mut least: Option<i64> = None;
    for pair in readings.windows(2) {
        let [(from, before), (to, after)] = pair else { continue };
        let ms = to.as_millis() - from.as_millis();
        // Millilitres an hour.
        let rate = ((after - before).max(0) * 1000 * 3_600_000).checked_div(ms).unwrap_or(0);
        if day_of(*from) == day_of(*to) {
            least = Some(least.map_or(rate, |least| least.min(rate)));
            continue;
        }
        if let Some(least) = least.take() {
            let usual = window.iter().copied().min();
            let odd = usual.is_some_and(|usual| {
                window.len() == 10 && (least - usual) * 100 > gamma_percent * usual
            });
            if odd && !open {
                alarms.push(*to);
            }
            open = odd;
            if !odd {
                window.push_back(least);
                if window.len() > 10 {
                    window.pop_front();
                }
            }
        }
    }
    alarms
}
