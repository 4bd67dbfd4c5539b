//! The price of parking as data: what a board's small print says, one field for each switch, none with a
//! silent default.
//!
//! The vocabulary: a stay is cut to minutes, counted from the entry; each minute belongs to the day, the
//! window and the cycle in which it begins. A *window* has *steps*: blocks of minutes with a price, in
//! order, the last one repeats. A *cycle* is the time after which blocks begin anew and for which a cap
//! holds.

use super::lists::{caps, day_set};
use crate::calendar::Day;
use crate::event::Text;
use blockgate_types::Decimal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A parking tariff with its revisions, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ParkingTariff {
    /// For people.
    pub label: Text,
    /// ISO 4217.
    pub currency: String,
    /// The notice or contract that it comes from.
    pub notice: String,
    /// By effective date; a stay is priced by the revision of the day on which it began.
    pub revisions: Vec<ParkingRevision>,
}

impl ParkingTariff {
    /// The revision for a stay that begins on a day.
    #[must_use]
    pub fn revision_on(&self, day: Day) -> Option<&ParkingRevision> {
        self.revisions.iter().rev().find(|revision| revision.from <= day)
    }
}

/// A tariff from one day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ParkingRevision {
    /// First day.
    #[serde(with = "crate::calendar::day_text")]
    pub from: Day,
    /// Content hash, eight hexadecimal digits.
    pub hash: String,
    /// The price.
    pub plan: Plan,
}

/// How a stay is priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// Whether a started minute counts.
    pub seconds: Seconds,
    /// When blocks begin anew, and what a cap holds for.
    pub cycle: Cycle,
    /// Caps of the first, second, … cycle; the last one repeats; empty without a cap.
    #[serde(with = "caps")]
    pub caps: Vec<Decimal>,
    /// For whom a cap holds.
    pub cap_scope: CapScope,
    /// The free time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<Free>,
    /// The windows of a day; time outside of all is free. Never empty.
    pub windows: Vec<Window>,
    /// Whether steps begin anew in each window's turn.
    pub progress: Progress,
    /// What becomes of a begun block where a window ends. What a rule file that does not say it means is
    /// left out here too, so that such a rule keeps its hash.
    #[serde(default, skip_serializing_if = "BlockAtEdge::is_lapses")]
    pub block_at_edge: BlockAtEdge,
    /// By which day a window for workdays or holidays is chosen.
    pub day_type: DayType,
    /// Holidays and make-up workdays.
    #[serde(default)]
    pub calendar: Calendar,
    /// What another visit soon after means.
    pub reentry: Reentry,
    /// What holds when a vehicle's class changes inside.
    pub class_change: ClassChange,
    /// Whether a later part of a stay has free time again.
    pub free_after_change: bool,
    /// What holds after a payment inside.
    pub after_payment: AfterPayment,
    /// What new-energy vehicles pay of each price, in percent; 100 for the same.
    #[serde(with = "blockgate_types::decimal::text")]
    pub new_energy_percent: Decimal,
}

/// Switch 1: what a begun minute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Seconds {
    /// The stay is cut to whole minutes.
    Drop,
    /// A started minute counts.
    Up,
}

/// Switch 3: the time a cap holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cycle {
    /// The whole stay.
    None,
    /// 24 hours from the entry, again and again.
    #[serde(rename = "24h_from_entry")]
    FromEntry,
    /// The calendar's day.
    CivilDay,
    /// The operator's day, which begins at a minute of the clock.
    OperatorDay {
        /// Minute of the day, 0 to 1439.
        start: u16,
    },
}

/// Whether the visits of a vehicle in one cycle share its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CapScope {
    /// Each stay alone.
    Stay,
    /// All visits of the vehicle in the same cycle.
    Vehicle,
}

/// Switch 2: the free time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Free {
    /// Exactly so long is free.
    pub minutes: u32,
    /// What happens when it is exceeded.
    pub mode: FreeMode,
    /// Whether it comes again in each cycle.
    pub renews: Renews,
}

/// What happens when the free time is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FreeMode {
    /// The clock starts that much later.
    Subtract,
    /// Everything is charged from the first minute.
    WholeStay,
    /// The price of the first minutes is deducted.
    DeductPrice,
}

/// How often there is free time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Renews {
    /// Once in a stay.
    Stay,
    /// In each cycle.
    Cycle,
}

/// A part of the day with its prices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// From this minute of the day on.
    pub from: u16,
    /// Until this one, not included; below or equal to `from` it passes midnight.
    pub to: u16,
    /// Only on such days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<DayKind>,
    /// Blocks in order; the last one repeats.
    pub steps: Vec<Step>,
    /// What a begun block is.
    pub rounding: BlockRounding,
    /// The most for one turn of this window.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub cap: Option<Decimal>,
}

impl Window {
    /// Whether it holds at a minute of a day of a kind.
    #[must_use]
    pub fn holds(&self, minute: u16, kind: DayKind) -> bool {
        if self.days.is_some_and(|days| days != kind) {
            return false;
        }
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

/// Blocks of one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// Length of a block, at least one minute.
    pub minutes: u32,
    /// Price of a block.
    #[serde(with = "blockgate_types::decimal::text")]
    pub price: Decimal,
    /// How many such blocks; `None` for all that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

/// Switch 1: what a begun block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BlockRounding {
    /// A started block is due.
    Up,
    /// Only a complete block is due.
    Down,
}

/// Switch 4: what becomes of a begun block where its window ends. It never passes the edge of a cycle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BlockAtEdge {
    /// It ends there, its rest lapses; the next window begins with a block of its own.
    #[default]
    Lapses,
    /// It goes on: its minutes used count towards the first block of the next window, and it is due once,
    /// in the window in which it is complete or in which it stops. Time outside of all windows is a pause.
    Carries,
    /// It runs its whole length at the price of its start, whatever window it reaches; the next block
    /// begins where it ends.
    PriceAtStart,
}

impl BlockAtEdge {
    /// Whether it ends with its window.
    #[must_use]
    pub fn is_lapses(&self) -> bool {
        *self == Self::Lapses
    }
}

/// Switch 5: where steps begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// With each turn of a window.
    Segment,
    /// Complete blocks already used in this window are remembered over the stay.
    Stay,
}

/// Switch 7: by which day a window is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DayType {
    /// By the day of each minute.
    PerSegment,
    /// By the day of the entry.
    AtEntry,
    /// By the day on which a block begins, for the whole block. Decided anew for a block that goes on after
    /// time outside of all windows.
    PerBlock,
    /// Prices do not depend on it.
    None,
}

/// Kinds of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DayKind {
    /// Monday to Friday, and make-up workdays.
    Workday,
    /// Saturday, Sunday, holidays.
    Holiday,
}

/// Which days are holidays (and the workdays that make up for them, 调休).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Calendar {
    /// Holidays.
    #[serde(default, with = "day_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub holidays: BTreeSet<Day>,
    /// Saturdays and Sundays on which people work.
    #[serde(default, with = "day_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub make_up_workdays: BTreeSet<Day>,
}

impl Calendar {
    /// What kind a day is.
    #[must_use]
    pub fn kind(&self, day: Day) -> DayKind {
        use jiff::civil::Weekday;
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        if self.make_up_workdays.contains(&day) {
            DayKind::Workday
        } else if self.holidays.contains(&day) || weekend {
            DayKind::Holiday
        } else {
            DayKind::Workday
        }
    }
}

/// Switch 5: another visit soon after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case", tag = "effect")]
pub enum Reentry {
    /// A visit of its own.
    None,
    /// No free time again for a vehicle that comes back within so many minutes of its exit.
    FreeNotAgain {
        /// Minutes, included.
        within_min: u32,
    },
}

/// What holds when a vehicle's class changes inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ClassChange {
    /// Each part is priced as a stay of its own.
    Split,
    /// The whole stay by its class at the entry.
    AtEntry,
    /// The whole stay by its class at the exit.
    AtExit,
}

/// Switch 6: after a payment before the exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AfterPayment {
    /// So many minutes after a payment the way out is free.
    pub grace_min: u32,
    /// What is due when they are exceeded.
    pub exceeded: Exceeded,
}

/// What is due when the grace after a payment is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Exceeded {
    /// The price of the whole stay less what was paid.
    NewPart,
    /// The price of a stay that begins with the payment, without free time.
    FromPayment,
}
