//! Figures: what was billed, paid, given back and is still owed, by time, building, item and channel;
//! what public meters used by the hour; what money is to be expected. Made from the derived rows and
//! the durable books; nothing here changes anything.
//!
//! | module | what |
//! |---|---|
//! | this | sums by time |
//! | [`forecast`] | the next month's money from the past, with the error it would have made |
//! | [`usage`] | what public meters used, by hour, day or month |
//! | [`table`] | the same as rows for people: CSV and XLSX |

pub mod forecast;
pub mod table;
pub mod usage;

use crate::books::Books;
use crate::store::trees::money::Moved;
use crate::store::trees::{Trees, TreesError};
use blockgate_rules::Fen;
use blockgate_rules::calendar::{Day, Zone};
use blockgate_rules::setup::Setup;
use blockgate_types::Time;
use serde::Serialize;
use std::collections::BTreeMap;

/// How long a row of figures is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// A day each.
    Day,
    /// A month each.
    Month,
    /// A year each.
    Year,
}

impl std::str::FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "day" => Ok(Self::Day),
            "month" => Ok(Self::Month),
            "year" => Ok(Self::Year),
            other => Err(format!("{other:?} is not day, month or year")),
        }
    }
}

/// Of what figures are asked.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// How long a row is.
    pub by: By,
    /// First day.
    pub from: Day,
    /// The day after the last.
    pub to: Day,
    /// Of one building.
    pub building: Option<String>,
    /// Of one item; payments have none and are left out then.
    pub item: Option<String>,
}

/// Sums of one stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Bills that were issued, corrections too.
    pub bills: u64,
    /// Their sum.
    pub billed_fen: Fen,
    /// What of them is still owed.
    pub open_fen: Fen,
    /// What of them was paid, in thousandths; none where nothing was billed.
    pub collected_permille: Option<i64>,
    /// Payments that came in.
    pub payments: u64,
    /// Their sum.
    pub paid_fen: Fen,
    /// Refunds that were paid out.
    pub refunds: u64,
    /// Their sum.
    pub refunded_fen: Fen,
    /// What of the bills is for parking.
    pub parking_fen: Fen,
    /// Billed and still owed, by item.
    pub by_item: BTreeMap<String, Part>,
    /// The same by building.
    pub by_building: BTreeMap<String, Part>,
    /// What came in, by channel.
    pub by_channel: BTreeMap<String, Fen>,
}

/// What was billed of something, and what of it is still owed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Billed.
    pub billed_fen: Fen,
    /// Still owed.
    pub open_fen: Fen,
}

/// Everything that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The rows by the begin of each stretch: `2026-03-01`, `2026-03`, `2026`.
    pub rows: BTreeMap<String, Sums>,
    /// All of them together.
    pub total: Sums,
    /// Payments by the hour of the day at which they came, 0 to 23.
    pub payments_by_hour: Vec<u64>,
}

/// Whether an item is about parking: `parking`, `parking-space`, `overtime-parking`.
#[must_use]
pub fn is_parking(item: &str) -> bool {
    item.split('-').any(|word| word == "parking")
}

fn add(sum: &mut Fen, more: Fen) {
    *sum = Fen(sum.0.saturating_add(more.0));
}

/// Sums up bills and movements.
///
/// # Errors
/// [`TreesError`].
pub fn figures(
    trees: &Trees,
    books: &Books,
    setup: &Setup,
    zone: &Zone,
    wanted: &Wanted,
) -> Result<Figures, TreesError> {
    let buildings: BTreeMap<&str, &str> =
        setup.accounts.iter().map(|(id, a)| (id.as_str(), a.building.as_str())).collect();
    let building = |account: &str| buildings.get(account).copied().unwrap_or_default();
    let lies =
        |account: &str| wanted.building.as_ref().is_none_or(|wanted| building(account) == wanted);
    let of_item = |item: &str| wanted.item.as_ref().is_none_or(|wanted| wanted == item);
    let mut days: Days = Days::default();
    let mut name = |at: Time| -> Option<String> {
        let day = days.of(zone, at);
        (wanted.from <= day && day < wanted.to).then(|| match wanted.by {
            By::Day => day.to_string(),
            By::Month => format!("{:04}-{:02}", day.year(), day.month()),
            By::Year => format!("{:04}", day.year()),
        })
    };
    let mut rows: BTreeMap<String, Sums> = BTreeMap::new();
    let mut total = Sums::default();
    trees.each_bill(&mut |bill| {
        if !lies(bill.account) || !of_item(bill.item) {
            return;
        }
        let Some(name) = name(bill.issued) else { return };
        for sums in [rows.entry(name).or_default(), &mut total] {
            sums.bills += 1;
            add(&mut sums.billed_fen, bill.total);
            if is_parking(bill.item) {
                add(&mut sums.parking_fen, bill.total);
            }
            add(&mut sums.by_item.entry(bill.item.to_owned()).or_default().billed_fen, bill.total);
            let place = sums.by_building.entry(building(bill.account).to_owned()).or_default();
            add(&mut place.billed_fen, bill.total);
        }
    })?;
    for (account, item, open) in books.ledger().open_bills() {
        if !lies(account.as_str()) || !of_item(item.as_str()) {
            continue;
        }
        let Some(name) = name(open.issued_at) else { continue };
        for sums in [rows.entry(name).or_default(), &mut total] {
            add(&mut sums.open_fen, open.left_fen);
            add(&mut sums.by_item.entry(item.to_string()).or_default().open_fen, open.left_fen);
            let place = sums.by_building.entry(building(account.as_str()).to_owned());
            add(&mut place.or_default().open_fen, open.left_fen);
        }
    }
    let mut payments_by_hour = vec![0_u64; 24];
    trees.each_payment(0, &mut |row| {
        if row.moved == Moved::Nothing || !lies(row.account) || wanted.item.is_some() {
            return true;
        }
        let Some(name) = name(row.at) else { return true };
        for sums in [rows.entry(name).or_default(), &mut total] {
            if row.moved == Moved::In {
                sums.payments += 1;
                add(&mut sums.paid_fen, row.amount);
                let channel = row.channel.map_or("", |channel| channel.word());
                add(sums.by_channel.entry(channel.to_owned()).or_default(), row.amount);
            } else {
                sums.refunds += 1;
                add(&mut sums.refunded_fen, row.amount);
            }
        }
        if row.moved == Moved::In {
            let hour = usize::from(zone.minute_of_day(row.at) / 60);
            if let Some(count) = payments_by_hour.get_mut(hour) {
                *count += 1;
            }
        }
        true
    })?;
    for sums in rows.values_mut().chain([&mut total]) {
        sums.collected_permille = permille(sums.billed_fen, sums.open_fen);
    }
    Ok(Figures { rows, total, payments_by_hour })
}

/// What of a billed sum was paid, in thousandths, cut off: 999 is never shown as all.
#[must_use]
pub fn permille(billed: Fen, open: Fen) -> Option<i64> {
    let paid = i128::from(billed.0) - i128::from(open.0);
    let of = i128::from(billed.0);
    (of > 0).then(|| i64::try_from((paid * 1000).div_euclid(of)).unwrap_or(0))
}

/// Civil days of times that mostly lie near one another: the zone is asked once a day.
#[derive(Default)]
struct Days {
    known: Option<(Time, Time, Day)>,
}

impl Days {
    fn of(&mut self, zone: &Zone, at: Time) -> Day {
        if let Some((from, to, day)) = self.known
            && from <= at
            && at < to
        {
            return day;
        }
        let day = zone.day(at);
        let next = blockgate_rules::calendar::next_day(day);
        self.known = Some((zone.start_of(day), zone.start_of(next), day));
        day
    }
}

#[cfg(test)]
mod tests;
