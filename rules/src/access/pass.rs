//! Whether a credential opens a door now: the judgement that a controller makes by its list, for readers
//! whose controller the gateway is, and for plates at a lane.

use super::desired::{ALWAYS, List, NEVER, Row};
use super::event::{Denial, Hold};
use super::setup::{Holiday, Schedule};
use crate::calendar::Day;
use blockgate_types::Plate;

/// A moment as the block's people read it from a clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The day.
    pub day: Day,
    /// Minute of the day, from 0.
    pub minute: u16,
}

/// What a credential means at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It opens.
    Opens,
    /// It opens when this PIN is typed.
    AsksPin(u32),
    /// It does not.
    Denied(Denial),
}

/// Whether a card opens a door of this number. Without a moment, because the clock was never set,
/// nobody is kept from home by a day that cannot be known: rights at any time hold, others do not.
#[must_use]
pub fn card(list: &List, card: u64, door: u8, now: Option<Moment>) -> Verdict {
    judge(list, list.cards.get(&card), door, now)
}

/// Whether a plate opens a door of this number, as [`card`].
#[must_use]
pub fn plate(list: &List, plate: &Plate, door: u8, now: Option<Moment>) -> Verdict {
    judge(list, list.plates.get(plate), door, now)
}

fn judge(list: &List, row: Option<&Row>, door: u8, now: Option<Moment>) -> Verdict {
    if list.doors.get(&door).is_some_and(|(hold, _)| *hold == Hold::Locked) {
        return Verdict::Denied(Denial::Locked);
    }
    let place = usize::from(door).checked_sub(1);
    let right = row.zip(place).and_then(|(row, place)| row.doors.get(place));
    let (Some(row), Some(right)) = (row, right.copied().filter(|right| *right != NEVER)) else {
        return Verdict::Denied(Denial::NoRight);
    };
    if now.is_some_and(|now| now.day < row.from || now.day > row.to) {
        return Verdict::Denied(Denial::Expired);
    }
    let in_time = right == ALWAYS
        || now.is_some_and(|now| {
            let is_holiday = list.holidays.contains(&Holiday(now.day));
            list.plans.get(&right).is_some_and(|plan| holds(plan, is_holiday, now))
        });
    match (in_time, row.pin) {
        (false, _) => Verdict::Denied(Denial::Schedule),
        (true, 0) => Verdict::Opens,
        (true, pin) => Verdict::AsksPin(pin),
    }
}

/// Whether a schedule holds: on a holiday its holidays' windows instead of the week's.
fn holds(plan: &Schedule, is_holiday: bool, now: Moment) -> bool {
    let weekday = usize::from(now.day.weekday().to_monday_zero_offset().unsigned_abs());
    let windows = if is_holiday { Some(&plan.holidays) } else { plan.week.get(weekday) };
    windows.into_iter().flatten().any(|w| w.from <= now.minute && now.minute < w.until)
}
