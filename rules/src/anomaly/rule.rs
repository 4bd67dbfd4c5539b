//! The rules of anomalies: which meters, what counts as odd, how urgent it is and what is done. Data,
//! effective-dated like tariffs; [`super::parse`] reads them.

use super::care::Urgency;
use super::micro::Micro;
use crate::calendar::{Day, day_text};
use crate::event::{AlarmCode, Severity, Text};
use blockgate_types::{MeterId, Span, TariffId, Unit};
use serde::{Deserialize, Serialize};

/// One rule with all its revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rule {
    /// For people.
    pub label: Text,
    /// Which meters.
    pub of: Scope,
    /// By first day, ascending.
    pub revisions: Vec<Revision>,
}

/// What holds from a day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Revision {
    /// First day.
    #[serde(with = "day_text")]
    pub from: Day,
    /// The rule is switched off from then on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// What its alarms are and what is done about them.
    pub care: Plan,
    /// What counts as odd.
    pub detector: Detector,
}

/// What the alarms of a rule are and what is done about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// How urgent.
    pub severity: Severity,
    /// Whether somebody has to go, and how soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_order: Option<Urgency>,
    /// Whether the devices are checked by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckPlan>,
    /// Whether the valve of the meter concerned may be closed once a person has confirmed the alarm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_valve: bool,
    /// By how many percent the thresholds are raised for a subject whose alarm was told to be false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_false_raise_percent: Option<u32>,
}

/// How devices are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CheckPlan {
    /// How long they are read more often.
    pub lasts: Span,
    /// How often.
    pub every: Span,
}

/// Which meters a rule watches: all that fit every condition that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Scope {
    /// Registers in this unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What the meter is for; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Use>,
    /// Of accounts in these buildings; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buildings: Vec<String>,
    /// These meters; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterId>,
    /// Without these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<MeterId>,
}

/// What a meter is for, as the charges say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// One account pays for it.
    Household,
    /// Its cost is shared, or nobody is charged for it.
    Public,
    /// Sub-meters are taken out of it.
    Master,
}

/// What counts as odd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Detector {
    /// Never less than so much an hour for so long.
    ContinuousFlow {
        /// From the strongest flow to the weakest.
        steps: Vec<FlowStep>,
        /// Over when it has been below all steps for so long.
        closes_after: Span,
    },
    /// The least flow of a night is above the nights before.
    NightFlow {
        /// Minute of the day at which the night begins.
        from_minute: u16,
        /// And ends; in the same day.
        to_minute: u16,
        /// What is too much.
        steps: Vec<NightStep>,
        /// How many quiet nights are remembered.
        history: u32,
        /// Over after so many quiet nights.
        closes_after: u32,
    },
    /// A register does not move although something is used there as a rule.
    Stuck {
        /// At least so long.
        lasts: Span,
        /// And longer than the longest standstill before by this factor, in percent, and a week.
        own_percent: u32,
        /// Only where something was used on so many percent of the days before.
        used_days_percent: u32,
        /// Sooner, where other meters of the account show that somebody is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        occupied: Option<Span>,
    },
    /// A register falls, again and again.
    ReverseFlow {
        /// By at least so much in all.
        least: Micro,
        /// In at least so many steps.
        falls: u32,
    },
    /// Master less sub-meters, by CUSUM. The groups come from the charges with `minus`.
    Balance {
        /// A loss that is above the usual one by less than this an hour is no leak.
        slack: Micro,
        /// Threshold of the sum, in robust standard deviations of an hour.
        deviations: u32,
        /// And at least so much in all.
        least: Micro,
    },
    /// Hours far from what is usual at that hour of the week (median and MAD).
    UnusualHours {
        /// How many hours that follow one another.
        hours: u32,
        /// How many robust standard deviations.
        deviations: u32,
        /// And at least so many percent of the median.
        percent: u32,
        /// And at least so much more.
        least: Micro,
    },
    /// Days far from what is usual on that day of the week (median and MAD).
    UnusualDays {
        /// Whether whole buildings are looked at instead of single meters.
        #[serde(default)]
        whole_building: bool,
        /// How many days that follow one another.
        days: u32,
        /// How many robust standard deviations.
        deviations: u32,
        /// And at least so many percent of the median.
        percent: u32,
        /// And at least so much more.
        least: Micro,
    },
    /// Months outside the band around the same month of the year before.
    UnusualMonths {
        /// How many months that follow one another.
        months: u32,
        /// How many percent above or below.
        percent: u32,
        /// And at least so much.
        least: Micro,
    },
    /// A month above the same month of the year before.
    LastYear {
        /// By so many percent.
        percent: u32,
        /// And at least so much.
        least: Micro,
    },
    /// A status register that says something is wrong.
    DeviceFlag {
        /// Which registers, and what they mean.
        flags: Vec<Flag>,
    },
    /// A meter's own clock.
    MeterClock {
        /// The status register that holds it, in seconds since 1970 UTC.
        register: String,
        /// It may be off by so much.
        most: Span,
    },
    /// A state that lasts: a vehicle inside, a barrier open, a door held.
    Lasting {
        /// Which state.
        what: Lasting,
        /// For so long at most.
        most: Span,
    },
    /// Payments that look like a mistake or worse.
    Payments {
        /// The same amount from the same account again within this time.
        same_within: Span,
        /// So many refunds asked for by one person within a day.
        refunds_a_day: u32,
    },
    /// How many alarms of these rules anybody reads.
    Budget {
        /// Alarms per 100 households and month.
        per_100_households: u32,
    },
}

/// A step of continuous flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlowStep {
    /// Never less than so much an hour.
    pub least: Micro,
    /// For so long.
    pub lasts: Span,
    /// Sooner, but not before this, where the meter's own longest flow of this strength was much
    /// shorter than half of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soonest: Option<Span>,
    /// How urgent, where that is not the rule's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How soon somebody has to go, where that is not the rule's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_order: Option<Urgency>,
}

/// A step of flow at night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NightStep {
    /// Above the highest of the remembered nights by so much an hour.
    pub excess: Micro,
    /// In so many nights that follow one another.
    pub nights: u32,
}

/// A status register that says something is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Flag {
    /// Its name in the profile.
    pub register: String,
    /// The bits that count; the whole value when absent: anything but zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<u32>,
    /// What it means.
    pub meaning: Text,
}

/// States that may last too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// A vehicle is inside.
    VehicleInside,
    /// A barrier is open.
    GateOpen,
    /// A door is open.
    DoorOpen,
}

impl Lasting {
    /// The alarm that it becomes.
    #[must_use]
    pub fn code(self) -> AlarmCode {
        match self {
            Self::VehicleInside => AlarmCode::LongStay,
            Self::GateOpen => AlarmCode::GateOpen,
            Self::DoorOpen => AlarmCode::DoorHeld,
        }
    }
}

impl Rule {
    /// The revision that holds on a day; `None` before the first, and where it is switched off.
    #[must_use]
    pub fn on(&self, day: Day) -> Option<&Revision> {
        self.revisions.iter().rev().find(|r| r.from <= day).filter(|r| !r.off)
    }
}

impl Revision {
    /// Which rule and which of its revisions: `leak-water/2026-01-01/3fa9c2d1`.
    #[must_use]
    pub fn version(&self, id: &TariffId) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let hash = ring::digest::digest(&ring::digest::SHA256, &text);
        let hash = crate::hex(hash.as_ref().get(..4).unwrap_or_default());
        format!("{id}/{}/{hash}", self.from)
    }
}

impl Detector {
    /// The kind of alarm that it raises.
    #[must_use]
    pub fn code(&self) -> AlarmCode {
        match self {
            Self::ContinuousFlow { .. } => AlarmCode::ContinuousFlow,
            Self::NightFlow { .. } => AlarmCode::NightFlow,
            Self::Stuck { .. } => AlarmCode::MeterStuck,
            Self::ReverseFlow { .. } => AlarmCode::ReverseFlow,
            Self::Balance { .. } => AlarmCode::Balance,
            Self::UnusualHours { .. } => AlarmCode::UnusualUse,
            Self::UnusualDays { whole_building: true, .. } => AlarmCode::BuildingUse,
            Self::UnusualDays { whole_building: false, .. } => AlarmCode::UnusualUse,
            Self::UnusualMonths { .. } => AlarmCode::HouseholdUse,
            Self::LastYear { .. } => AlarmCode::AboveLastYear,
            Self::DeviceFlag { .. } => AlarmCode::DeviceFlag,
            Self::MeterClock { .. } => AlarmCode::MeterClock,
            Self::Lasting { what, .. } => what.code(),
            Self::Payments { .. } => AlarmCode::OddPayment,
            Self::Budget { .. } => AlarmCode::AlarmBudget,
        }
    }
}
