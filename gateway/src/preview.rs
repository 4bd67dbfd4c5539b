//! A rule file against the bills of a month that is over, for page, API and command line. Reads only.

use crate::books::Books;
use crate::limits;
use crate::store::trees::Trees;
use blockgate_rules::calendar::{Month, Zone, parse_day};
use blockgate_rules::event::Bill;
use blockgate_rules::preview::{Preview, preview};
use blockgate_types::Time;

/// What is asked.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The rule file's name, for its faults.
    #[serde(default = "name")]
    pub file: String,
    /// Its text.
    pub text: String,
    /// Which month, `2026-03`; the last one that has bills where it is left out.
    #[serde(default)]
    pub month: Option<String>,
}

fn name() -> String {
    "rules.toml".to_owned()
}

/// Runs a rule file against the bills of a month.
///
/// # Errors
/// Every fault of the file, or why there is no answer.
pub fn run(
    trees: &Trees,
    books: &Books,
    question: &Question,
    now: Time,
) -> Result<Preview, Vec<String>> {
    let one = |text: String| vec![text];
    let setup = books.setup();
    let zone = Zone::new(&setup.zone).map_err(|e| one(e.to_string()))?;
    let first = match &question.month {
        Some(text) => parse_day(&format!("{text}-01"))
            .ok_or_else(|| one(format!("{text:?} is not a month like \"2026-03\"")))?,
        None => {
            let this = Month::of(zone.day(now)).first();
            let mut newest = None;
            let mut look = |row: crate::store::trees::money::BillRow<'_>| {
                let day = parse_day(row.to).and_then(|to| {
                    blockgate_rules::calendar::days_before(to, 1).map(|d| Month::of(d).first())
                });
                newest = newest.max(day.filter(|day| *day < this));
            };
            trees.each_bill(&mut look).map_err(|e| one(e.to_string()))?;
            newest.ok_or_else(|| one("there are no bills of a month that is over".to_owned()))?
        }
    };
    let month = Month::of(first);
    let (from, to) = (month.first(), month.next().first());
    let mut seqs = Vec::new();
    let mut look = |row: crate::store::trees::money::BillRow<'_>| {
        let inside = parse_day(row.to).is_some_and(|end| from < end && end <= to);
        if inside {
            seqs.push(row.seq);
        }
    };
    trees.each_bill(&mut look).map_err(|e| one(e.to_string()))?;
    if seqs.len() > limits::PREVIEW_BILLS_MAX {
        return Err(one(format!("more than {} bills in {month}", limits::PREVIEW_BILLS_MAX)));
    }
    let mut bills: Vec<Bill> = Vec::with_capacity(seqs.len());
    for seq in seqs {
        if let Some(blockgate_rules::Event::Bill(bill)) =
            trees.event(seq).map_err(|e| one(e.to_string()))?
        {
            bills.push(*bill);
        }
    }
    preview(setup, &zone, (&question.file, &question.text), &bills, (from, to), now)
}
