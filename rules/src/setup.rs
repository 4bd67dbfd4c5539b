//! The block as the config wants it: meters, accounts, charges, tariffs. The engine hands it to the
//! Block as a whole ([`crate::Input::Setup`]); what differs from the state becomes events, so that
//! replay needs no config file (invariant 2).

use crate::anomaly::parse::Rules;
use crate::apportionment::Apportionment;
use crate::calendar::{Day, day_text_option};
use crate::event::Audit;
use crate::money::Fen;
use crate::tariff::Tariff;
use blockgate_types::{AccountId, Decimal, ItemId, MeterId, RegisterName, Span, TariffId, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that the rules need to know of the block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setup {
    /// IANA zone of the block: `Asia/Shanghai`. Periods begin and end by its calendar.
    pub zone: String,
    /// How long after a period's end its close waits for closing readings; after it, a charge is
    /// billed by its last reading before the end.
    pub close_grace: Span,
    /// Up to how much a refund is approved by its rule alone; above it a second person is needed.
    #[serde(default)]
    pub refund_alone_max_fen: Fen,
    /// What may be given back in a day; as much as is due where no rule bounds it.
    #[serde(default, skip_serializing_if = "RefundLimits::are_none")]
    pub refund_limits: RefundLimits,
    /// When bills are due, and when households are reminded; none where no rule says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dunning: Option<Dunning>,
    /// Meters by id.
    pub meters: BTreeMap<MeterId, MeterSetup>,
    /// Accounts by id.
    pub accounts: BTreeMap<AccountId, AccountSetup>,
    /// Tariffs by id, each with its revisions.
    pub tariffs: BTreeMap<TariffId, Tariff>,
    /// How costs are shared, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apportionments: BTreeMap<TariffId, Apportionment>,
    /// What counts as odd, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub anomalies: Rules,
    /// The car park; none for a block without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parking: Option<std::sync::Arc<crate::parking::setup::ParkingSetup>>,
    /// Doors; none for a block without controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<std::sync::Arc<crate::access::AccessSetup>>,
}

/// The most that is given back in one day, beside the second person above a bound, and how long that
/// person has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefundLimits {
    /// By one clerk: of the refunds that he asked for or approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clerk_day_max_fen: Option<Fen>,
    /// By everybody, the gateway's own refunds included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_max_fen: Option<Fen>,
    /// How many days one that was asked for waits for its approval, from 1 to 366;
    /// [`crate::ledger::REFUND_DECIDE_DAYS`] where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_days: Option<u32>,
}

impl RefundLimits {
    /// Whether there are none.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// When bills are due, and when households are reminded. A late fee is no part of it: there is none
/// unless a tariff names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Dunning {
    /// How many days after its issue a bill is due, from 1 to 366.
    pub due_days: u32,
    /// How many days before the due day the household is reminded, from 0 to 60.
    pub remind_days: u32,
    /// From which hour of the day on, civil time, 0 to 23: nobody is reminded at midnight.
    pub hour: u8,
}

/// How a household wants to be told things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NoticeTerms {
    /// On which way: `sms`, `app`, `paper`.
    pub channel: String,
    /// Its own text of a reminder, with `{account}`, `{amount}`, `{due}`, `{items}`, `{days}`; the
    /// block's own where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A meter as metering needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MeterSetup {
    /// The device profile's id, for people.
    pub profile: String,
    /// Registers with role *billing*.
    pub registers: Vec<BillingRegister>,
    /// CT × PT: a register's difference times this is the quantity used. Never zero.
    #[serde(with = "blockgate_types::decimal::text")]
    pub multiplier: Decimal,
    /// A reading is kept at the first poll of each slot of this length; zero keeps every poll.
    pub record_every: Span,
    /// An alarm when the register has not moved for this long; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck_after: Option<Span>,
    /// An alarm when no good poll came for this long.
    pub offline_after: Span,
    /// What it may be told; nothing where the config says nothing.
    #[serde(default, skip_serializing_if = "std::collections::BTreeSet::is_empty")]
    pub controls: std::collections::BTreeSet<blockgate_types::Control>,
}

/// A register that money depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BillingRegister {
    /// Its name in the profile.
    pub name: RegisterName,
    /// The unit.
    pub unit: Unit,
    /// Decimals that the device resolves.
    pub decimals: u32,
    /// The counter begins again at zero when it reaches this; `None` where not known.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub rollover_at: Option<Decimal>,
    /// The most that can pass in an hour (fuse or pipe size), in the register's unit before the
    /// multiplier; a faster register is held for review.
    #[serde(with = "blockgate_types::decimal::text")]
    pub max_per_hour: Decimal,
}

/// Who pays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountSetup {
    /// Building, for filters: `1`.
    pub building: String,
    /// Floor area in m²; charges per area need it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "blockgate_types::decimal::text_option"
    )]
    pub area_m2: Option<Decimal>,
    /// Persons in the household; quotas by household size need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persons: Option<u32>,
    /// Parking spaces; charges per space need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<u32>,
    /// The floor; shares by floor need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<i32>,
    /// Since when its present occupant lives there; tier counters begin anew on this day where
    /// their rule says so.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub occupied_from: Option<Day>,
    /// Groups that rules can be bound to: `fair-2026`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// How it wants to be told things; by `app` in the block's own words where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<NoticeTerms>,
    /// What is charged, by item; one charge an item.
    pub charges: BTreeMap<ItemId, Charge>,
}

/// One item of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Charge {
    /// By which tariff.
    pub tariff: TariffId,
    /// Which meter's register, for metered tariffs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<MeterId>,
    /// The register; the meter's first billing register when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register: Option<RegisterName>,
    /// Sub-meters whose use is not this charge's: what is billed is the loss.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub minus: Vec<SubMeter>,
    /// By which rule its bill is shared among other accounts; none where its own account pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<TariffId>,
}

/// A register of a sub-meter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubMeter {
    /// Which meter.
    pub meter: MeterId,
    /// Which register.
    pub register: RegisterName,
}

impl Charge {
    /// A charge without a meter.
    #[must_use]
    pub fn of(tariff: TariffId) -> Self {
        Self { tariff, meter: None, register: None, minus: Vec::new(), share: None }
    }
}

impl Setup {
    /// Whether a meter is there and has a register that money depends on.
    #[must_use]
    pub fn has_register(&self, meter: &MeterId) -> bool {
        self.meters.get(meter).is_some_and(|meter| !meter.registers.is_empty())
    }

    /// Follows what an audit record says of the setup; passes over every other one.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a record that sets nothing up is passed over"
    )]
    pub fn follow(&mut self, audit: &Audit) {
        match audit {
            Audit::BlockSet {
                zone,
                close_grace,
                refund_alone_max_fen,
                refund_limits,
                dunning,
                ..
            } => {
                self.refund_limits = *refund_limits;
                self.zone.clone_from(zone);
                self.close_grace = *close_grace;
                self.refund_alone_max_fen = *refund_alone_max_fen;
                self.dunning = *dunning;
            }
            Audit::MetersSet { meters, .. } => self.meters.extend(meters.clone()),
            Audit::AccountsSet { accounts, .. } => self.accounts.extend(accounts.clone()),
            Audit::TariffSet { tariff, document, .. } => {
                self.tariffs.insert(tariff.clone(), (**document).clone());
            }
            Audit::ApportionmentSet { apportionment, document, .. } => {
                self.apportionments.insert(apportionment.clone(), (**document).clone());
            }
            Audit::Removed { meters, accounts, tariffs, apportionments, .. } => {
                meters.iter().for_each(|id| drop(self.meters.remove(id)));
                accounts.iter().for_each(|id| drop(self.accounts.remove(id)));
                tariffs.iter().for_each(|id| drop(self.tariffs.remove(id)));
                apportionments.iter().for_each(|id| drop(self.apportionments.remove(id)));
            }
            _ => {}
        }
    }
}
