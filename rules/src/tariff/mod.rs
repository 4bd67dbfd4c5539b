//! Tariffs: effective-dated documents. What changes money is a field of the document, and a
//! document that leaves one out is not valid: nothing is decided silently (the fourteen switches).
//!
//! | module | what |
//! |---|---|
//! | this | the document as the Block keeps it |
//! | [`parse`] | strict TOML tariff files, every fault at once with line and column |
//! | [`binding`] | which accounts a rule is for, and what some of them pay otherwise |
//! | [`document`] | pricing without state: `blockgate rate` |
//! | [`rate`] | quantity to lines: the only place where a price meets a quantity |

pub mod binding;
mod component;
pub mod document;
mod items;
mod late;
pub mod parse;
pub mod rate;
pub(crate) mod read;

pub use binding::{
    Adjustment, Binding, Change, RuleEntry, RuleFile, bind, check_apportionments, check_late_fees,
};
pub use document::{RateOutput, rate_document};
pub use parse::{RuleError, TariffFile};

use crate::calendar::{self, Day, Month, day_text, day_text_option};
use crate::event::Text;
use crate::late::LateTerms;
use crate::ledger::Fund;
use blockgate_types::{Decimal, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A tariff with its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tariff {
    /// For bills.
    pub label: Text,
    /// ISO 4217. Amounts are in its hundredths.
    pub currency: String,
    /// Where the price comes from: the notice's name and date, for people.
    pub notice: String,
    /// The fund that its bills are credited to; income of their item where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fund: Option<Fund>,
    /// By effective date, ascending; never empty.
    pub revisions: Vec<Revision>,
    /// What some accounts pay otherwise: discounts, exemptions, a price of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adjustments: Vec<Adjustment>,
}

/// What holds from a day on, until the next revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Revision {
    /// First day.
    #[serde(with = "day_text")]
    pub from: Day,
    /// The day after its last; none where it holds until the next one, or for good. A charge pays
    /// nothing for the days after a last revision that ends.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub to: Option<Day>,
    /// How this revision begins when its first day lies inside a billing period.
    pub change_inside_period: PriceChange,
    /// Where amounts are rounded.
    pub rounding: Rounding,
    /// The least that a bill amounts to, in yuan; none when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub minimum: Option<Decimal>,
    /// The most that a bill amounts to, in yuan; none when absent.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub cap: Option<Decimal>,
    /// Value added tax on top of the prices, in percent; none where the prices contain it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub tax_percent: Option<Decimal>,
    /// What a bill by this revision costs more where it is paid late; nothing when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_fee: Option<Box<LateTerms>>,
    /// The prices.
    pub pricing: Pricing,
}

/// How a new revision begins inside a billing period (switch 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PriceChange {
    /// The period ends by the prices with which it began.
    NextPeriod,
    /// The quantity is spread evenly over the period's days, each priced by its own revision.
    ByDays,
    /// The whole period is priced by the revision of its last day, the day of the closing reading.
    ReadingDate,
    /// Divided at the reading that lies at the change, or in proportion to time between the two
    /// readings around it; by days where no reading lies after the change inside the period, and for
    /// prices by the month.
    ByReadings,
}

/// Where amounts are rounded to fen, half away from zero (switch 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Each line.
    PerLine,
    /// The sum of each component; its lines share the fen by largest remainder.
    PerComponent,
    /// The sum of the bill; its lines share the fen by largest remainder.
    PerBill,
    /// The sum of the year so far, less what the year was billed before; prices by the month only. What
    /// that is more or less than the bill's own rounded sum is a line of its own.
    PerYear {
        /// Month and day on which the year begins: the first of a month.
        begins: (i8, i8),
    },
}

/// Prices by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Pricing {
    /// For a quantity that a meter counts: kinds `flat`, `graduated`, `volume`, `package`,
    /// `tou`, `graduated_tou`.
    Metered(Box<Metered>),
    /// For floor area, by the month: kind `per_area`. The price is per m² and month.
    PerArea(Monthly),
    /// By the month: kind `fixed`.
    Fixed(Monthly),
    /// Due on days: kinds `once`, `seasonal`, `periodic`.
    Dated(Dated),
}

/// A price that is due on certain days, to whoever is charged on that day: a repair, a season of
/// heating in instalments, a quarterly rent. It is not divided by days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dated {
    /// Yuan for each of `per`, for the whole of the item or of one season or cycle.
    #[serde(with = "blockgate_types::decimal::text")]
    pub rate: Decimal,
    /// What the rate is for: a household, a person, a parking space or m² of floor area.
    pub per: Unit,
    /// When.
    pub due: DueOn,
}

/// When a dated price is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum DueOn {
    /// Once, in instalments: kind `once`.
    Once {
        /// Ascending; their shares sum to one.
        instalments: Vec<Instalment>,
    },
    /// Every year, in instalments: kind `seasonal`.
    Yearly {
        /// In the order in which a season is collected; their shares sum to one.
        instalments: Vec<YearlyInstalment>,
    },
    /// Every so many months, counted from a day: kind `periodic`.
    Every {
        /// From 1 to 120.
        months: u32,
        /// The first due day.
        #[serde(with = "day_text")]
        first: Day,
    },
}

/// A part of a price that is due on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instalment {
    /// The day.
    #[serde(with = "day_text")]
    pub on: Day,
    /// Above zero, at most one.
    #[serde(with = "blockgate_types::decimal::text")]
    pub share: Decimal,
}

/// A part of a price that is due on a day of every year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct YearlyInstalment {
    /// Month and day.
    pub on: (i8, i8),
    /// Above zero, at most one.
    #[serde(with = "blockgate_types::decimal::text")]
    pub share: Decimal,
}

/// A part that is due: its day, and which part of the whole it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuePart {
    /// The day; none where a whole season or cycle is priced without a date.
    pub on: Option<Day>,
    /// The sum of the shares before it.
    pub before: Decimal,
    /// Its own share.
    pub share: Decimal,
}

impl Dated {
    /// The parts that are due in `[from, to)`, in time order.
    #[must_use]
    pub fn due_in(&self, from: Day, to: Day) -> Vec<DuePart> {
        let inside = |on: &Day| from <= *on && *on < to;
        let mut parts = Vec::new();
        match &self.due {
            DueOn::Once { instalments } => {
                let dated = instalments.iter().map(|part| (Some(part.on), part.share));
                parts = running(dated);
            }
            DueOn::Yearly { instalments } => {
                for year in from.year().saturating_sub(1)..=to.year() {
                    let day = |(month, day): (i8, i8)| Day::new(year, month, day).ok();
                    let dated = instalments.iter().map(|part| (day(part.on), part.share));
                    parts.extend(running(dated));
                }
            }
            DueOn::Every { months, first } => {
                let mut n = 0_u32;
                while let Some(on) = calendar::months_after(*first, n.saturating_mul(*months)) {
                    if on >= to || *months == 0 {
                        break;
                    }
                    let whole =
                        DuePart { on: Some(on), before: Decimal::ZERO, share: Decimal::ONE };
                    if on >= from {
                        parts.push(whole);
                    }
                    n = n.saturating_add(1);
                }
            }
        }
        parts.retain(|part| part.on.as_ref().is_some_and(inside));
        parts.sort_by_key(|part| part.on);
        parts
    }

    /// All parts of one whole, without days.
    #[must_use]
    pub fn whole(&self) -> Vec<DuePart> {
        match &self.due {
            DueOn::Once { instalments } => running(instalments.iter().map(|p| (None, p.share))),
            DueOn::Yearly { instalments } => running(instalments.iter().map(|p| (None, p.share))),
            DueOn::Every { .. } => running([(None, Decimal::ONE)]),
        }
    }
}

/// Parts with the sum of the shares before each.
fn running(parts: impl IntoIterator<Item = (Option<Day>, Decimal)>) -> Vec<DuePart> {
    let mut before = Decimal::ZERO;
    let step = |(on, share): (Option<Day>, Decimal)| {
        let part = DuePart { on, before, share };
        before = before.checked_add(share).unwrap_or(before);
        part
    };
    parts.into_iter().map(step).collect()
}

/// A price that stands beside a metered one on the same bill: the base of a two-part tariff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Base {
    /// For bills.
    pub label: Text,
    /// The price.
    pub price: BasePrice,
}

/// How a base price is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum BasePrice {
    /// By the month.
    Month(Monthly),
    /// By the season, in instalments.
    Season(Dated),
}

/// Prices for a metered quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metered {
    /// The unit of prices and bounds; the meter's register must have the same.
    pub unit: Unit,
    /// How the tiers work.
    pub tiering: Tiering,
    /// The tiers, ascending, the last without a bound; one tier for `flat` and `tou`. Of components
    /// with tiers of their own they have no price.
    pub tiers: Vec<Tier>,
    /// More quota for larger households, by persons, ascending; empty when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quota_shift: Vec<QuotaShift>,
    /// What the price is made of; one entry when it has no parts.
    pub components: Vec<Component>,
    /// Time of use; absent for the other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tou: Option<TimeOfUse>,
    /// A base price beside it; none where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
}

impl Metered {
    /// Whether a quota of it, or of one of its components, is larger for larger households.
    #[must_use]
    pub fn depends_on_persons(&self) -> bool {
        let own = self.components.iter().filter_map(|component| component.own.as_ref());
        !self.quota_shift.is_empty() || own.into_iter().any(|own| !own.quota_shift.is_empty())
    }
}

/// How tiers work (switch 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Tiering {
    /// Each unit at the price of the tier in which it lies; the counter begins anew with each bill.
    Month {
        /// What a bill over several months gets.
        catch_up: CatchUp,
    },
    /// The same, counted over a tier year.
    Year {
        /// Month and day on which the counter begins anew.
        reset: (i8, i8),
        /// What a part of a year and a new occupant get.
        #[serde(default, skip_serializing_if = "CycleTerms::is_plain")]
        terms: CycleTerms,
    },
    /// The same, counted over cycles of two or four months, which count from the reset day.
    Months {
        /// 2 or 4.
        months: u32,
        /// Month and day on which a cycle begins.
        reset: (i8, i8),
        /// What a part of a cycle and a new occupant get.
        #[serde(default, skip_serializing_if = "CycleTerms::is_plain")]
        terms: CycleTerms,
    },
    /// Blocks of a size at a price each; what is left over is a block or nothing.
    Package {
        /// Of the unit.
        #[serde(with = "blockgate_types::decimal::text")]
        size: Decimal,
        /// Whether a block that was begun counts.
        begun: BegunBlock,
    },
    /// All units at the price of the tier that contains the total, its bound included.
    Volume,
    /// There is one tier only.
    Single,
}

/// What a part of a tier period and a new occupant get (switch 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CycleTerms {
    /// The quota of a charge that is there for a part of the period only.
    pub part_quota: PartQuota,
    /// Where the bounds of such a part go.
    pub bound_rounding: BoundRounding,
    /// Whether a new occupant goes on with the old one's counter.
    pub new_occupant: NewOccupant,
}

impl CycleTerms {
    /// The terms of tariffs from before there was a choice.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// The quota of a charge that is there for a part of the tier period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PartQuota {
    /// The whole quota.
    #[default]
    Whole,
    /// As many parts of it as the period has months left; a month that was begun counts.
    ByMonths,
    /// As many parts of it as the period has days left.
    ByDays,
}

/// Where the bounds of a part of a tier period go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BoundRounding {
    /// Where they fall, to six decimals.
    #[default]
    None,
    /// Down to a whole unit.
    Down,
    /// To the nearest whole unit, half upwards.
    HalfUp,
}

/// What happens to the tier counter when the occupant changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NewOccupant {
    /// It goes on.
    #[default]
    Inherit,
    /// It begins anew, with the quota of the rest of the period.
    Reset,
}

/// Whether a block that was begun counts (switch 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BegunBlock {
    /// As a whole one.
    Counts,
    /// Not at all.
    Free,
}

impl Tiering {
    /// The months of a tier period, the day on which it begins, and its terms; `None` where nothing
    /// is counted from bill to bill.
    #[must_use]
    pub fn cycle(&self) -> Option<(u32, (i8, i8), CycleTerms)> {
        match *self {
            Self::Year { reset, terms } => Some((12, reset, terms)),
            Self::Months { months, reset, terms } => Some((months, reset, terms)),
            Self::Month { .. } | Self::Volume | Self::Package { .. } | Self::Single => None,
        }
    }
}

/// The quota of a bill that covers several months because an earlier one could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Every month brings its quota.
    ScaleQuota,
    /// The quota of one month.
    KeepQuota,
}

/// One tier: the part of the quantity below `up_to` and not below the tier before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tier {
    /// Its upper end; `None` for the last.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub up_to: Option<Decimal>,
    /// Yuan per unit, by component or, with time of use, by window.
    #[serde(with = "prices_text")]
    #[cfg_attr(
        feature = "schema",
        schemars(with = "std::collections::BTreeMap<String, blockgate_types::decimal::text>")
    )]
    pub prices: BTreeMap<String, Decimal>,
    /// A fixed amount in yuan, due once the tier is reached; tier 1's always.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub flat: Option<Decimal>,
}

/// More quota for a household of at least `persons_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QuotaShift {
    /// From how many persons on.
    pub persons_from: u32,
    /// What is added to each bound.
    #[serde(with = "decimals_text")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<blockgate_types::decimal::text>"))]
    pub add: Vec<Decimal>,
}

/// A part of the price that rides on the same reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Component {
    /// Its name in `prices`.
    pub name: String,
    /// For bills.
    pub label: Text,
    /// The share of the quantity that it is charged for: sewage on 0.9 of the water.
    #[serde(with = "blockgate_types::decimal::text")]
    pub factor: Decimal,
    /// Tiers of its own; none where it has a price in each of the tariff's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Box<OwnTiers>>,
}

/// Tiers of one component, on the axis and in the tier period of its tariff: the same counter, part
/// quotas and rounding of bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnTiers {
    /// Which quantity the bounds are of.
    pub bounds_on: BoundsOn,
    /// Ascending, the last without a bound. A free part is a first tier whose price is zero.
    pub tiers: Vec<OwnTier>,
    /// More quota for larger households, by persons, ascending; empty when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quota_shift: Vec<QuotaShift>,
}

/// One of a component's own tiers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnTier {
    /// Its upper end; `None` for the last.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub up_to: Option<Decimal>,
    /// Yuan per unit.
    #[serde(with = "blockgate_types::decimal::text")]
    pub price: Decimal,
}

/// Which quantity a component's own bounds are of (switch 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BoundsOn {
    /// What the meter counted. The part in a tier is multiplied by the factor afterwards.
    Metered,
    /// What is charged for: the quantity times the component's factor.
    Charged,
}

/// Time-of-use windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimeOfUse {
    /// The windows; together they cover each minute of a day once.
    pub windows: Vec<Window>,
    /// How windows meet tiers; absent where there is one tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<Allocation>,
    /// Where the use between two readings goes when a window ends between them.
    pub across_windows: AcrossWindows,
}

/// One window of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// Its name in `prices`: `peak`.
    pub name: String,
    /// For bills.
    pub label: Text,
    /// Half-open spans in minutes from midnight, civil time, each inside one day.
    pub spans: Vec<(u16, u16)>,
}

/// How time-of-use quantities are put into tiers (switch 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// Every tier gets the windows in the bill's ratio.
    Prorata,
    /// The window named `peak` fills the tiers first, then the others in the order of the file.
    PeakFirst,
    /// The window named `valley` fills the tiers first, then the others in the order of the file.
    ValleyFirst,
    /// As the use came, in time order.
    Chronological,
}

/// Where the use between two readings goes when a window ends between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AcrossWindows {
    /// Spread evenly over the time; the remainder of the division goes to the last part.
    ByTime,
    /// To the window in which the later reading lies.
    AtEnd,
}

/// A price by the month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Monthly {
    /// Yuan per m² and month, or yuan per month.
    #[serde(with = "blockgate_types::decimal::text")]
    pub rate: Decimal,
    /// What the rate is for.
    pub per: Unit,
    /// What a part of a month costs.
    pub proration: Proration,
}

/// What a part of a month costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Proration {
    /// Its days, of the days that this month has.
    ActualDays,
    /// Its days, of 30; never more than the month.
    #[serde(rename = "fixed_30")]
    Fixed30,
    /// As much as the whole month.
    FullMonth,
    /// Nothing.
    Free,
}

impl Tariff {
    /// The revision that holds on a day; `None` before the first and after the end of the last.
    #[must_use]
    pub fn revision_on(&self, day: Day) -> Option<&Revision> {
        let latest = self.revisions.iter().rev().find(|r| r.from <= day);
        latest.filter(|revision| revision.to.is_none_or(|to| day < to))
    }

    /// The first day on which revision number `n` prices: its own, or the next period's (switch 10).
    #[must_use]
    pub fn effective(&self, n: usize, revision: &Revision) -> Day {
        let month = Month::of(revision.from);
        match revision.change_inside_period {
            PriceChange::NextPeriod if n > 0 && month.first() != revision.from => {
                month.next().first()
            }
            PriceChange::NextPeriod
            | PriceChange::ByDays
            | PriceChange::ByReadings
            | PriceChange::ReadingDate => revision.from,
        }
    }

    /// The first day on which revision number `n` prices in a bill for `[from, to)`.
    #[must_use]
    pub fn begins(&self, n: usize, revision: &Revision, from: Day, to: Day) -> Day {
        let inside = from < revision.from && revision.from < to;
        match revision.change_inside_period {
            PriceChange::ReadingDate if n > 0 && inside => from,
            PriceChange::ReadingDate
            | PriceChange::NextPeriod
            | PriceChange::ByDays
            | PriceChange::ByReadings => self.effective(n, revision),
        }
    }

    /// The revision that prices a day; `None` before the first and after the end of the last.
    #[must_use]
    pub fn pricing_on(&self, day: Day) -> Option<&Revision> {
        let mut dated = self.revisions.iter().enumerate().rev();
        let latest = dated.find(|(n, revision)| self.effective(*n, revision) <= day);
        latest.map(|(_, r)| r).filter(|revision| revision.to.is_none_or(|to| day < to))
    }

    /// The revision that prices a day of a bill for `[from, to)`.
    #[must_use]
    pub fn pricing_in(&self, day: Day, from: Day, to: Day) -> Option<&Revision> {
        let mut dated = self.revisions.iter().enumerate().rev();
        let latest = dated.find(|(n, revision)| self.begins(*n, revision, from, to) <= day);
        latest.map(|(_, r)| r).filter(|revision| revision.to.is_none_or(|to| day < to))
    }

    /// The days on which readings divide the use of a period between two prices.
    pub fn changes_by_readings(&self) -> impl Iterator<Item = Day> {
        let by_readings = |r: &&Revision| r.change_inside_period == PriceChange::ByReadings;
        self.revisions.iter().skip(1).filter(by_readings).map(|revision| revision.from)
    }

    /// Whether a price of it, or a quota, depends on so many of a unit.
    #[must_use]
    pub fn is_per(&self, unit: Unit) -> bool {
        self.revisions.iter().any(|revision| match &revision.pricing {
            Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => monthly.per == unit,
            Pricing::Dated(dated) => dated.per == unit,
            Pricing::Metered(metered) => {
                let base = metered.base.as_ref().is_some_and(|base| match &base.price {
                    BasePrice::Month(monthly) => monthly.per == unit,
                    BasePrice::Season(dated) => dated.per == unit,
                });
                base || (unit == Unit::Person && metered.depends_on_persons())
            }
        })
    }

    /// Whether a tariff needs a meter.
    #[must_use]
    pub fn is_metered(&self) -> bool {
        self.revisions.iter().any(|r| matches!(r.pricing, Pricing::Metered(_)))
    }

    /// Whether it is rounded once a year.
    #[must_use]
    pub fn rounds_by_year(&self) -> bool {
        self.revisions.iter().any(|r| matches!(r.rounding, Rounding::PerYear { .. }))
    }

    /// Whether it has time-of-use windows.
    #[must_use]
    pub fn has_windows(&self) -> bool {
        self.revisions.iter().any(|r| r.time_of_use().is_some())
    }
}

impl Revision {
    /// Effective date and content: `2026-01-01/3fa94c0d11e27b65`. The same content has the same
    /// name on every box.
    #[must_use]
    pub fn name(&self) -> String {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
        format!("{}/{}", self.from, crate::hex(hash.as_ref().get(..8).unwrap_or_default()))
    }

    /// Its windows, where it has time of use.
    #[must_use]
    pub fn time_of_use(&self) -> Option<&TimeOfUse> {
        match &self.pricing {
            Pricing::Metered(metered) => metered.tou.as_ref(),
            Pricing::PerArea(_) | Pricing::Fixed(_) | Pricing::Dated(_) => None,
        }
    }
}

impl TimeOfUse {
    /// The window of a minute of the day, and the minute at which it ends.
    #[must_use]
    pub fn at(&self, minute: u16) -> Option<(&Window, u16)> {
        self.windows.iter().find_map(|window| {
            let span = window.spans.iter().find(|(from, to)| *from <= minute && minute < *to)?;
            Some((window, span.1))
        })
    }
}

/// Serde for prices: a map of decimal strings.
mod prices_text {
    use blockgate_types::{Decimal, parse_decimal};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        prices: &BTreeMap<String, Decimal>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_map(prices.iter().map(|(name, price)| (name, price.to_string())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<BTreeMap<String, Decimal>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(d)?;
        texts
            .into_iter()
            .map(|(name, text)| Ok((name, parse_decimal(&text).map_err(serde::de::Error::custom)?)))
            .collect()
    }
}

/// Serde for a list of decimal strings.
mod decimals_text {
    use blockgate_types::{Decimal, parse_decimal};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(list: &[Decimal], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Decimal>, D::Error> {
        let texts = Vec::<String>::deserialize(d)?;
        texts.iter().map(|t| parse_decimal(t).map_err(serde::de::Error::custom)).collect()
    }
}
