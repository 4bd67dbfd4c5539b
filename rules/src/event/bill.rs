//! Bills: what is to be paid, line by line, and what it comes from.

use super::{ReadingId, Text};
use crate::apportionment::{Apportioned, ShareOf};
use crate::calendar::{Day, day_text_option};
use crate::late::{LateFee, LateTerms};
use crate::money::Fen;
use crate::rounding_year::RoundedYear;
use crate::tariff::Tariff;
use blockgate_types::{
    AccountId, BillId, CommandId, Decimal, ItemId, MeterId, RegisterName, TariffId, Time, Unit,
};
use serde::{Deserialize, Serialize};

/// A bill: one item of one account for one period. Immutable; a correction is another revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bill {
    /// Derived from account, item, period, tariff revision and revision (invariant 8).
    pub bill: BillId,
    /// Who pays.
    pub account: AccountId,
    /// What for.
    pub item: ItemId,
    /// Service period.
    pub period: Period,
    /// Tariff and its revision.
    pub tariff: TariffId,
    /// The tariff revision's effective date and content hash: `2026-01-01/3fa9…`; several, joined
    /// by `+`, where a price change splits the period by days.
    pub tariff_revision: String,
    /// 0 for the first issue; a correction counts up.
    pub revision: u32,
    /// ISO 4217.
    pub currency: String,
    /// The lines; they sum to the total (invariant 4).
    pub lines: Vec<BillLine>,
    /// Sum of the lines' `amount_fen`.
    pub total_fen: Fen,
    /// The readings that the quantity comes from (invariant 6); empty for charges without a meter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The readings of sub-meters whose use is taken out: the lines bill the loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub minus: Vec<Evidence>,
    /// How the total was shared among other accounts; the last line takes it out of this bill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apportioned: Option<Box<Apportioned>>,
    /// What the price was for beside the readings, where it depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// Which bill this one corrects, and why; its total is the difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Box<Corrects>>,
    /// Of which shared cost this bill is a part, and why it is as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Box<ShareOf>>,
    /// The tier counter before and after, where the tariff has tiers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier_counter: Option<TierCounter>,
    /// The rounding years before and after, where the tariff is rounded once a year.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounded_years: Vec<RoundedYear>,
    /// When it was decided.
    pub issued_at: Time,
    /// The last day on which it is paid in time; none where no rule gives one or nothing is to pay.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub due: Option<Day>,
    /// Of which stay it is, with its diagram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<Box<StayBill>>,
    /// Of which right to park it is the price, or what is given back of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<blockgate_types::PermitId>,
    /// What it costs more where it is paid late; nothing where no rule says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<LateTerms>>,
    /// Of which bill it is the late fee, and how it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_fee: Option<Box<LateFee>>,
}

/// What every bill says, of a first issue. What a bill says beyond that is added to what [`BillHead::bill`]
/// makes of it.
#[derive(Debug, Clone)]
pub struct BillHead {
    /// As [`Bill::bill`].
    pub bill: BillId,
    /// Who pays.
    pub account: AccountId,
    /// What for.
    pub item: ItemId,
    /// Service period.
    pub period: Period,
    /// By which tariff.
    pub tariff: TariffId,
    /// As [`Bill::tariff_revision`].
    pub tariff_revision: String,
    /// ISO 4217.
    pub currency: String,
    /// The lines; they sum to the total.
    pub lines: Vec<BillLine>,
    /// Sum of the lines' `amount_fen`.
    pub total_fen: Fen,
    /// When it was decided.
    pub issued_at: Time,
    /// The last day on which it is paid in time.
    pub due: Option<Day>,
}

impl BillHead {
    /// A bill that says no more: without readings, of no stay, bearing no late fee.
    #[must_use]
    pub fn bill(self) -> Bill {
        Bill {
            bill: self.bill,
            account: self.account,
            item: self.item,
            period: self.period,
            tariff: self.tariff,
            tariff_revision: self.tariff_revision,
            revision: 0,
            currency: self.currency,
            lines: self.lines,
            total_fen: self.total_fen,
            evidence: Vec::new(),
            minus: Vec::new(),
            apportioned: None,
            basis: None,
            corrects: None,
            share: None,
            tier_counter: None,
            rounded_years: Vec::new(),
            issued_at: self.issued_at,
            due: self.due,
            stay: None,
            permit: None,
            late: None,
            late_fee: None,
        }
    }
}

/// The stay that a bill is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StayBill {
    /// Which stay.
    pub stay: blockgate_types::StayId,
    /// When it began.
    pub entered: Time,
    /// Until when it is billed.
    pub until: Time,
    /// Its stretches of time and what is due for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagram: Vec<crate::parking::lines::Stretch>,
}

/// What a price was for, beside readings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Basis {
    /// Floor area.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub area_m2: Option<Decimal>,
    /// Persons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persons: Option<u32>,
    /// Parking spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<u32>,
    /// Since when the occupant of then lived there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub occupied_from: Option<Day>,
}

impl Basis {
    /// Of a household's terms, what a tariff's prices depend on; `None` where that is nothing.
    #[must_use]
    pub fn of(tariff: &Tariff, terms: &crate::billing::Terms) -> Option<Self> {
        let needs = |unit| tariff.is_per(unit);
        let basis = Self {
            area_m2: terms.area_m2.filter(|_| needs(Unit::SquareMetre)),
            persons: terms.persons.filter(|_| needs(Unit::Person)),
            spaces: terms.spaces.filter(|_| needs(Unit::Space)),
            occupied_from: terms
                .occupied_from
                .filter(|_| tariff.is_metered() || tariff.rounds_by_year()),
        };
        (basis != Self::default()).then_some(basis)
    }
}

/// Which bill is corrected, and why (statements C1 to C10 of the corrections).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Corrects {
    /// The first bill of this account, item and period.
    pub bill: BillId,
    /// The command that ordered it.
    pub command: CommandId,
    /// What was billed before, all corrections until then included.
    pub was_fen: Fen,
    /// What the bill should have been.
    pub now_fen: Fen,
    /// The tier counter after the period as it was, where it moved.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub counter_was: Option<Decimal>,
    /// Whether the difference is below the small-amount threshold: recorded and not billed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
    /// Why, with evidence and approver.
    pub ground: crate::correction::Ground,
}

impl Bill {
    /// Whether it is for parking: made when it happens, not at a month's close.
    #[must_use]
    pub fn is_parking(&self) -> bool {
        self.stay.is_some() || self.permit.is_some()
    }

    /// What passed on its meters, without that of sub-meters; `None` beyond what is exact.
    #[must_use]
    pub fn used(&self) -> Option<Decimal> {
        let sum = |sum, evidence: &Evidence| crate::money::plus(sum, evidence.used);
        let all = self.evidence.iter().try_fold(Decimal::ZERO, sum)?;
        let subs = self.minus.iter().try_fold(Decimal::ZERO, sum)?;
        crate::money::minus(all, subs)
    }
}

/// Civil dates, half open, in the block's zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Period {
    /// First day, `2026-03-01`.
    pub from: String,
    /// Day after the last, `2026-04-01`.
    pub to: String,
    /// IANA zone.
    pub zone: String,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BillLine {
    /// For people.
    pub label: Text,
    /// How much.
    #[serde(with = "blockgate_types::decimal::text")]
    pub quantity: Decimal,
    /// Of what.
    pub unit: Unit,
    /// Yuan per unit.
    #[serde(with = "blockgate_types::decimal::text")]
    pub unit_price: Decimal,
    /// Quantity × price, unrounded, in yuan.
    #[serde(with = "blockgate_types::decimal::text")]
    pub exact: Decimal,
    /// Rounded by the tariff's rule.
    pub amount_fen: Fen,
    /// Tier, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// Time-of-use window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// Component of the price (`sewage`), where the tariff has several on one reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The share of a month that the line is for, `19/30`, or of a price that is collected in
    /// instalments, `0.5`; absent for a whole one. `exact` is then quantity × price × share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<String>,
}

/// Two readings and what passed between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evidence {
    /// Which meter.
    pub meter: MeterId,
    /// Which register.
    pub register: RegisterName,
    /// The opening reading.
    pub from: EvidenceReading,
    /// The closing reading.
    pub to: EvidenceReading,
    /// CT × PT.
    #[serde(with = "blockgate_types::decimal::text")]
    pub multiplier: Decimal,
    /// Sum of the accepted differences between the two, times the multiplier. Equals
    /// (to − from) × multiplier unless a rollover, an exchange or a rebase lies between.
    #[serde(with = "blockgate_types::decimal::text")]
    pub used: Decimal,
    /// The unit.
    pub unit: Unit,
}

/// A journaled reading as a bill quotes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EvidenceReading {
    /// It was estimated, not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// Which record.
    pub reading: ReadingId,
    /// When.
    pub at: Time,
    /// The register's value, as on the meter's display.
    #[serde(with = "blockgate_types::decimal::text")]
    pub value: Decimal,
}

/// Where an account stands in its tier period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TierCounter {
    /// The tier period: `2026`, `2026-03`, or the first day of one that begins otherwise; with `/` and
    /// a day where an occupant moved in whose counter began anew.
    pub period: String,
    /// Quantity before this bill.
    #[serde(with = "blockgate_types::decimal::text")]
    pub before: Decimal,
    /// Quantity after it.
    #[serde(with = "blockgate_types::decimal::text")]
    pub after: Decimal,
    /// The first day that is counted, where that is not the period's first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub from: Option<Day>,
}
