//! How many alarms the rules raised per 100 households and month, and how many of them were right:
//! precision is the product, so the gateway measures its own.

use super::care::FeedbackVerdict;
use super::micro::part;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Months that are remembered.
pub const MONTHS_MAX: usize = 25;

/// One month's alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Count {
    /// Alarms that rules raised.
    pub raised: u32,
    /// Of these, under a mute.
    pub muted: u32,
    /// Told to be true.
    #[serde(rename = "true")]
    pub told_true: u32,
    /// Told to be false.
    #[serde(rename = "false")]
    pub told_false: u32,
    /// Told to be known.
    pub known: u32,
}

/// The months, counted from year 0 (`year × 12 + month - 1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    months: BTreeMap<i32, Count>,
}

impl Budget {
    /// A rule raised an alarm.
    pub fn raised(&mut self, month: i32, muted: bool) {
        let count = self.months.entry(month).or_default();
        count.raised = count.raised.saturating_add(1);
        count.muted = count.muted.saturating_add(u32::from(muted));
        while self.months.len() > MONTHS_MAX {
            self.months.pop_first();
        }
    }

    /// Somebody said whether an alarm of a month was right; `before` is what was said of it before.
    pub fn told(
        &mut self,
        month: i32,
        before: Option<FeedbackVerdict>,
        now: Option<FeedbackVerdict>,
    ) {
        let Some(count) = self.months.get_mut(&month) else { return };
        let mut add = |verdict: Option<FeedbackVerdict>, more: bool| {
            let place = match verdict {
                Some(FeedbackVerdict::True) => &mut count.told_true,
                Some(FeedbackVerdict::False) => &mut count.told_false,
                Some(FeedbackVerdict::Known) => &mut count.known,
                None => return,
            };
            *place = if more { place.saturating_add(1) } else { place.saturating_sub(1) };
        };
        add(before, false);
        add(now, true);
    }

    /// The months, the newest last: `2026-03` and its count.
    pub fn months(&self) -> impl DoubleEndedIterator<Item = (String, Count)> {
        self.months.iter().map(|(month, count)| (text(*month), *count))
    }

    /// One month's count.
    #[must_use]
    pub fn of(&self, month: i32) -> Count {
        self.months.get(&month).copied().unwrap_or_default()
    }
}

/// What the page and the metrics show: the months, the newest last, and what the budget is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// Households that the numbers are per hundred of.
    pub households: u32,
    /// Alarms per 100 households and month that the rules allow; none without a rule of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_100_households_max: Option<u32>,
    /// By month.
    pub months: Vec<Month>,
}

/// A month of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Month {
    /// `2026-03`.
    pub month: String,
    /// What was raised and what was said of it.
    #[serde(flatten)]
    pub count: Count,
    /// Alarms per 100 households, to a tenth.
    pub per_100_households: String,
    /// Told to be true, of all that somebody judged, in percent; none where nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right_percent: Option<u32>,
}

impl Report {
    /// The report of a budget.
    #[must_use]
    pub fn of(budget: &Budget, households: u32, most: Option<u32>) -> Self {
        let months = budget.months().map(|(month, count)| {
            let judged =
                count.told_true.saturating_add(count.told_false).saturating_add(count.known);
            let right = count.told_true.saturating_add(count.known).saturating_mul(100);
            let tenths = per_100_households_milli(count.raised, households).checked_div(100);
            let tenths = tenths.unwrap_or(0);
            Month {
                month,
                count,
                per_100_households: format!("{}.{}", part(tenths, 1, 10), tenths % 10),
                right_percent: right.checked_div(judged),
            }
        });
        Self { households, per_100_households_max: most, months: months.collect() }
    }
}

/// `2026-03`.
#[must_use]
pub fn text(month: i32) -> String {
    format!("{:04}-{:02}", month.div_euclid(12), month.rem_euclid(12).saturating_add(1))
}

/// Alarms per 100 households, in thousandths.
#[must_use]
pub fn per_100_households_milli(alarms: u32, households: u32) -> i64 {
    part(i64::from(alarms), 100_000, i64::from(households.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_that_changes_is_counted_once() {
        let mut budget = Budget::default();
        budget.raised(24_312, false);
        budget.told(24_312, None, Some(FeedbackVerdict::False));
        budget.told(24_312, Some(FeedbackVerdict::False), Some(FeedbackVerdict::True));
        let (month, count) = budget.months().next_back().unwrap();
        assert_eq!((month.as_str(), count.told_true, count.told_false), ("2026-01", 1, 0));
        assert_eq!(per_100_households_milli(3, 60), 5_000);
    }
}
