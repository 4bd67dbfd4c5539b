//! `late_fee` of a revision: every key must be there; without the table there is no late fee.

use super::parse::not_negative;
use super::read::{Faults, Table};
use crate::late::{DaysFrom, LateRounding, LateTerms};
use blockgate_types::{Decimal, ItemId};

const LIKE: &str = "{ item = \"late-fee\", label = { zh = \"违约金\", en = \"Late fee\" }, \
                    percent_per_day = \"0.05\", grace_days = 5, days_from = \"due\", \
                    cap_percent = \"30\", rounding = \"half_up\" }";

const KEYS: &[&str] =
    &["item", "label", "percent_per_day", "grace_days", "days_from", "cap_percent", "rounding"];

/// Most decimals of a percentage: with a sum in fen and a number of days they stay exact.
const DECIMALS_MAX: u32 = 6;

/// Most days of grace.
const GRACE_MAX: u32 = 366;

/// Most that a late fee may come to, in percent of its bill.
const CAP_MAX: Decimal = Decimal::from_parts(1_000, 0, 0, false, 0);

pub(super) fn late_fee(table: &Table<'_, '_>, faults: &mut Faults<'_>) -> Option<LateTerms> {
    let table = table.table("late_fee", LIKE, faults)?;
    table.only(KEYS, faults);
    let item = table.text("item", "\"late-fee\"", faults);
    let item = item.and_then(|id| match ItemId::new(id) {
        Ok(id) => Some(id),
        Err(error) => {
            faults.at(&table.place_of("item"), error.to_string());
            None
        }
    });
    let label = table.label("label", faults);
    let percent_per_day = percent(&table, "percent_per_day", Decimal::ONE_HUNDRED, faults);
    let cap_percent = percent(&table, "cap_percent", CAP_MAX, faults);
    let grace_days = table.number("grace_days", faults);
    if grace_days.is_some_and(|days| days > GRACE_MAX) {
        let message = format!("a grace is at most {GRACE_MAX} days");
        faults.at(&table.place_of("grace_days"), message);
    }
    let words = [("due", DaysFrom::Due), ("grace", DaysFrom::Grace)];
    let days_from = table.choice("days_from", &words, faults);
    let words = [("half_up", LateRounding::HalfUp), ("down", LateRounding::Down)];
    let rounding = table.choice("rounding", &words, faults);
    Some(LateTerms {
        item: item?,
        label: label?,
        percent_per_day: percent_per_day?,
        grace_days: grace_days?,
        days_from: days_from?,
        cap_percent: cap_percent?,
        rounding: rounding?,
    })
}

/// A percentage above nothing and at most `most`.
fn percent(
    table: &Table<'_, '_>,
    key: &str,
    most: Decimal,
    faults: &mut Faults<'_>,
) -> Option<Decimal> {
    let percent = table.decimal(key, faults)?;
    let place = table.place_of(key);
    let percent = not_negative(percent, &place, faults)?;
    if percent.is_zero() {
        faults.at(&place, "a late fee of nothing: leave \"late_fee\" out where there is none");
    } else if percent > most {
        faults.at(&place, format!("this is more than {most} percent"));
    } else if percent.normalize().scale() > DECIMALS_MAX {
        faults.at(&place, format!("a percentage has at most {DECIMALS_MAX} decimals"));
    }
    Some(percent)
}
