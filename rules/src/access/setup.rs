//! Controllers, doors, groups and schedules as the config wants them. No person stands here.

use crate::calendar::{Day, day_text};
use crate::money::Fen;
use blockgate_types::{AccountId, ControllerId, DoorId, GroupId, ItemId, LaneId, ScheduleId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most schedules of a block: rights are kept as sets of them.
pub const SCHEDULES_MAX: usize = 60;

/// Everything that the rules need to know of doors.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccessSetup {
    /// Controllers by id.
    pub controllers: BTreeMap<ControllerId, ControllerSetup>,
    /// Doors by id.
    pub doors: BTreeMap<DoorId, DoorSetup>,
    /// Groups by id: who may pass which doors, when.
    pub groups: BTreeMap<GroupId, Group>,
    /// Schedules by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<ScheduleId, Schedule>,
    /// Days on which a schedule's `holidays` hold instead of its week.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub holidays: BTreeSet<Holiday>,
    /// Where arrears close doors; none where they close none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrears: Option<ArrearsRule>,
}

/// A controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ControllerSetup {
    /// Whose protocol it speaks: `uhppote`, `hikvision`, `osdp`.
    pub vendor: String,
    /// Anti-passback by the controller's own number: 0 off, 1 doors (1:2)(3:4), 2 (1,3):(2,4),
    /// 3 1:(2,3), 4 1:(2,3,4).
    #[serde(default)]
    pub anti_passback: u8,
}

/// A door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DoorSetup {
    /// Its controller.
    pub controller: ControllerId,
    /// Its number there, from 1.
    pub number: u8,
    /// How one gets out.
    pub exit: Exit,
    /// A household needs it to get home: never taken away for arrears without a confirmed rule.
    #[serde(default)]
    pub entrance: bool,
    /// For how many seconds an opening unlocks it, 1 to 255.
    pub unlock_s: u8,
    /// The lane whose plates open it, where it is a garage's door or a barrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneId>,
}

/// How one gets out through a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By a handle or a bar that needs no power and no controller.
    Mechanical,
    /// By a button that the controller reads.
    Button,
    /// By a reader on the inside.
    Reader,
}

/// Who may pass which doors. A person belongs to it by name, household, building, or as staff.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Group {
    /// Its doors.
    pub doors: BTreeSet<DoorId>,
    /// All residents of these buildings.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub buildings: BTreeSet<String>,
    /// All of these households.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<AccountId>,
    /// All residents.
    #[serde(default)]
    pub residents: bool,
    /// All staff.
    #[serde(default)]
    pub staff: bool,
    /// When; always where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleId>,
    /// Only who has paid: a payment extends the right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<PaidRight>,
}

/// A right that payments extend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PaidRight {
    /// A payment toward this item.
    pub item: ItemId,
    /// For each whole amount of this much, above zero.
    pub fen: Fen,
    /// Extends the household's right by so many days.
    pub days: u32,
}

/// When a right holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Schedule {
    /// Monday first; windows of each day in order, none of which touch.
    pub week: [Vec<Window>; 7],
    /// Windows of holidays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Window>,
}

/// A stretch of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// Minute of the day, from 0.
    pub from: u16,
    /// The minute after the last, to 1440.
    pub until: u16,
}

/// A day that is a holiday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Holiday(#[serde(with = "day_text")] pub Day);

/// Arrears close doors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArrearsRule {
    /// Which.
    pub doors: BTreeSet<DoorId>,
    /// For households that owe something for more than so many days after its due day.
    pub overdue_days: u32,
}

impl AccessSetup {
    /// The doors of the arrears rule through which a household gets home: closed only when a person
    /// has confirmed the rule.
    #[must_use]
    pub fn entrances_at_stake(&self) -> Vec<&DoorId> {
        let Some(rule) = &self.arrears else { return Vec::new() };
        let is_entrance = |id: &&DoorId| self.doors.get(*id).is_some_and(|door| door.entrance);
        rule.doors.iter().filter(is_entrance).collect()
    }
}
