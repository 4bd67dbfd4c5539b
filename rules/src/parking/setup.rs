//! The car park as the config wants it: areas, lanes, who may park how.

use super::plan::ParkingTariff;
use crate::event::Text;
use crate::money::Fen;
use blockgate_types::{AccountId, AreaId, ItemId, LaneId, PermitId, Plate, Span, TariffId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that the rules need to know of a car park.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ParkingSetup {
    /// Areas by id.
    pub areas: BTreeMap<AreaId, Area>,
    /// Lanes by id.
    pub lanes: BTreeMap<LaneId, Lane>,
    /// Tariffs by id, each with its revisions.
    pub tariffs: BTreeMap<TariffId, ParkingTariff>,
    /// Permits that the config grants; others come and go by commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permits: BTreeMap<PermitId, Permit>,
    /// The account on which the bills and payments of vehicles without an account are booked.
    pub account: AccountId,
    /// The item of those bills: `parking`.
    pub item: ItemId,
    /// Two passages of one plate in lanes of the same direction within this time are one.
    pub duplicate_within: Span,
    /// So long after its end a monthly permit still counts.
    pub expired_grace: Span,
    /// So long plates of ended stays are kept in the state.
    pub retention: Span,
    /// The minute of the day at which the stays of a night have their statements: before people go to
    /// work.
    #[serde(default = "half_past_five")]
    pub statement_at: u16,
}

/// Where the config says nothing of [`ParkingSetup::statement_at`].
#[must_use]
pub const fn half_past_five() -> u16 {
    5 * 60 + 30
}

/// A part of the car park.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Area {
    /// For people.
    pub label: Text,
    /// Spaces; vehicles in areas within it count too.
    pub capacity: u32,
    /// The area in which it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<AreaId>,
    /// What temporary vehicles pay there.
    pub tariff: TariffId,
}

/// One barrier in one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lane {
    /// For people.
    pub label: Text,
    /// The area it leads from; none from the street.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AreaId>,
    /// The area it leads to; none to the street.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<AreaId>,
    /// Whether vehicles without a readable plate get a ticket here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tickets: bool,
}

impl Lane {
    /// Whether it leads in from the street.
    #[must_use]
    pub fn is_entry(&self) -> bool {
        self.from.is_none()
    }

    /// Whether it leads out to the street.
    #[must_use]
    pub fn is_exit(&self) -> bool {
        self.to.is_none()
    }
}

/// What a vehicle is to the car park.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VehicleClass {
    /// Pays by the tariff.
    Temporary,
    /// Has a monthly pass.
    Monthly,
    /// Parks free for good.
    Vip,
    /// A household's visitor, for a time.
    Visitor,
    /// Works here.
    Staff,
    /// Police, ambulance, fire brigade and the like.
    Free,
    /// Is not let in.
    Blocked,
}

impl VehicleClass {
    /// Whether it pays for its time.
    #[must_use]
    pub fn pays(self) -> bool {
        matches!(self, Self::Temporary | Self::Blocked)
    }
}

/// A right to park.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Permit {
    /// What its vehicles are.
    pub class: VehicleClass,
    /// Its vehicles.
    pub plates: Vec<Plate>,
    /// Whose it is; charges of its vehicles go there where `on_account` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Whether what its vehicles owe is charged to the account instead of at the barrier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_account: bool,
    /// A stored-value card (储值卡): what its vehicles owe is taken from what the account has prepaid, as
    /// far as that covers the whole; otherwise it is paid at the barrier.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepaid: bool,
    /// How many of its vehicles park at once; the others pay as temporary ones. None for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<u32>,
    /// From when on it holds; none from ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Until when it holds; none for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What was paid for it, for refunds of what is unused.
    #[serde(default, skip_serializing_if = "Fen::is_zero")]
    pub paid_fen: Fen,
}

impl Permit {
    /// Whether it holds at a time, without any grace.
    #[must_use]
    pub fn holds(&self, at: Time) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Until when its vehicles are not charged, a monthly pass's grace included; none for good.
    #[must_use]
    pub fn free_until(&self, expired_grace: Span) -> Option<Time> {
        let grace = if self.class == VehicleClass::Monthly { expired_grace } else { Span::ZERO };
        self.until.map(|until| until.plus(grace))
    }
}
