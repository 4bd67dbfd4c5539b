//! What happens in a car park, as the journal keeps it and the cloud gets it (`evt/parking`).

use super::lines::Stretch;
use super::setup::{Permit, VehicleClass};
use crate::event::{BillLine, Text};
use crate::money::Fen;
use blockgate_types::{AreaId, CommandId, Passage, PermitId, Plate, StayId, TariffId, Time};
use serde::{Deserialize, Serialize};

/// One event of a car park.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Parking {
    /// A vehicle came to a lane.
    Passed(Box<Passed>),
    /// A stay was paid for, wholly or in part.
    Paid {
        /// When.
        at: Time,
        /// Which stay.
        stay: StayId,
        /// How much.
        amount_fen: Fen,
        /// The command that recorded it.
        payment: CommandId,
        /// Until when the way out is free.
        until: Time,
    },
    /// A merchant or the operator takes something off.
    Discounted {
        /// When.
        at: Time,
        /// Which stay.
        stay: StayId,
        /// So many minutes from the entry are free.
        minutes: u32,
        /// So much is taken off what is due.
        amount_fen: Fen,
        /// Who gives it.
        by: String,
        /// The command that ordered it.
        command: CommandId,
    },
    /// A stay ended otherwise than by a passage.
    Ended {
        /// When.
        at: Time,
        /// Which stay.
        stay: StayId,
        /// How.
        how: EndedHow,
        /// What was still due and is not charged.
        unpaid_fen: Fen,
        /// Why, where a person decided it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// A person put a stay right.
    Corrected {
        /// When.
        at: Time,
        /// Which stay.
        stay: StayId,
        /// Its plate from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plate: Option<Plate>,
        /// When it began, from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entered: Option<Time>,
        /// Why.
        reason: String,
        /// The command that ordered it.
        command: CommandId,
    },
    /// A vehicle's right to park was given, changed or prolonged.
    PermitSet {
        /// When.
        at: Time,
        /// Which.
        permit: PermitId,
        /// What it is now.
        terms: Box<Permit>,
        /// The command that ordered it.
        command: CommandId,
    },
    /// A right to park ended.
    PermitEnded {
        /// When.
        at: Time,
        /// Which.
        permit: PermitId,
        /// Why.
        reason: String,
        /// The command that ordered it.
        command: CommandId,
    },
    /// What a stay of a night has come to by the morning. Nothing is charged by it.
    Stated(Box<Statement>),
    /// Something that a person should settle was settled.
    Settled {
        /// When.
        at: Time,
        /// Which: the stay, or the id of the passage.
        stay: StayId,
        /// What was found.
        reason: String,
        /// The command that said so.
        command: CommandId,
    },
}

impl Parking {
    /// The envelope's subject: never a plate.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Passed(passed) => format!("lane/{}", passed.passage.lane),
            Self::Paid { stay, .. }
            | Self::Discounted { stay, .. }
            | Self::Ended { stay, .. }
            | Self::Corrected { stay, .. }
            | Self::Settled { stay, .. } => format!("stay/{stay}"),
            Self::Stated(statement) => format!("stay/{}", statement.stay),
            Self::PermitSet { permit, .. } | Self::PermitEnded { permit, .. } => {
                format!("permit/{permit}")
            }
        }
    }
}

/// What a stay would pay if it ended now, written once for each night that it was inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Statement {
    /// When: what is due is as of then.
    pub at: Time,
    /// The morning, in the block's zone.
    pub day: String,
    /// Which stay.
    pub stay: StayId,
    /// The account that it will be charged to at the exit, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<blockgate_types::AccountId>,
    /// Since when it is inside.
    pub entered: Time,
    /// The lines of everything from the entry on.
    pub lines: Vec<BillLine>,
    /// What is due beyond what was paid.
    pub due_fen: Fen,
    /// The stay's time line.
    pub diagram: Vec<Stretch>,
    /// For whoever parks.
    pub text: Text,
}

/// A vehicle at a lane, what it means and what the barrier was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Passed {
    /// What was seen.
    pub passage: Passage,
    /// What it means.
    pub means: Means,
    /// What the barrier was told.
    pub told: Told,
    /// What is due, where something is.
    #[serde(default, skip_serializing_if = "Fen::is_zero")]
    pub due_fen: Fen,
    /// Why.
    pub reason: Reason,
}

/// What a passage means for stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Means {
    /// A stay begins.
    Entered {
        /// The new stay.
        stay: StayId,
        /// What the vehicle is.
        class: VehicleClass,
        /// By which permit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permit: Option<PermitId>,
        /// In which area.
        area: AreaId,
        /// By which tariff it is priced.
        tariff: TariffId,
        /// Whether it has free time: not where it comes back soon after.
        free: bool,
        /// The ticket's number, where there is no plate.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
        /// A stay of the same plate that never saw its exit: it ends with this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instead_of: Option<StayId>,
    },
    /// A stay goes on in another area.
    Moved {
        /// Which stay.
        stay: StayId,
        /// Where it is now.
        area: AreaId,
    },
    /// A stay ends; nothing is due any more, or it is charged to an account.
    Left {
        /// Which stay.
        stay: StayId,
        /// Whether the plate was read as at the entry.
        exact: bool,
        /// What goes to the account, where something does.
        #[serde(default, skip_serializing_if = "Fen::is_zero")]
        charged_fen: Fen,
        /// What is due and was let go: a resident is never trapped.
        #[serde(default, skip_serializing_if = "Fen::is_zero")]
        unpaid_fen: Fen,
    },
    /// A stay waits at the barrier for its payment.
    Waits {
        /// Which stay.
        stay: StayId,
    },
    /// A vehicle with a right to park leaves, and nobody saw it come.
    LeftUnseen {
        /// By which permit.
        permit: PermitId,
    },
    /// Nobody knows it; a person should look.
    Unknown {
        /// Stays that it may be, the likeliest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        proposals: Vec<StayId>,
    },
    /// It was not let in.
    Refused,
}

/// What the barrier is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// Open.
    Open,
    /// Show what is due; open when it is paid.
    Pay,
    /// Stay closed.
    Deny,
    /// Call the operator.
    Ask,
}

/// Why the barrier was told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Welcome: a temporary vehicle.
    Entry,
    /// A permit holds.
    Permit,
    /// A monthly pass ran out; its grace holds.
    ExpiredInGrace,
    /// A permit ran out: what is due goes to the account, or on the list; the way out is free.
    Expired,
    /// Within the free time.
    FreeTime,
    /// Paid, and within the grace.
    Paid,
    /// Nothing is due.
    NothingDue,
    /// Something is due.
    Due,
    /// The grace after the payment is over: more is due.
    GraceExceeded,
    /// Charged to the account.
    OnAccount,
    /// Taken from the stored-value card.
    Card,
    /// The stored-value card does not cover what is due.
    CardShort,
    /// Not let in.
    Blocked,
    /// No space.
    Full,
    /// No plate and no ticket.
    Unread,
    /// Nobody saw it come.
    NoEntry,
    /// Read otherwise than at the entry, and the likeliest is taken.
    Misread,
    /// Goes from one area to another.
    Between,
    /// The lane is not in the config.
    UnknownLane,
}

impl Reason {
    /// What the display shows, in both languages; the amount is in yuan.
    #[must_use]
    pub fn display(self, due: Fen) -> Text {
        let text = |zh: &str, en: &str| Text { zh: zh.to_owned(), en: en.to_owned() };
        match self {
            Self::Entry => text("欢迎光临", "Welcome"),
            Self::Permit => text("欢迎回家", "Welcome home"),
            Self::ExpiredInGrace => {
                text("月卡已到期，请续费", "Monthly pass has ended, please renew")
            }
            Self::Expired => {
                text("月卡已过期，请到物业续费", "Monthly pass is over, please see the office")
            }
            Self::FreeTime => text("免费时段，一路平安", "Free time, good-bye"),
            Self::Paid => text("已缴费，一路平安", "Paid, good-bye"),
            Self::NothingDue => text("一路平安", "Good-bye"),
            Self::Due => {
                Text { zh: format!("请缴费 {due} 元"), en: format!("Please pay {due} yuan") }
            }
            Self::GraceExceeded => Text {
                zh: format!("超时请补缴 {due} 元"),
                en: format!("Please pay {due} yuan more"),
            },
            Self::OnAccount => text("已记入住户账户，一路平安", "Charged to the account, good-bye"),
            Self::Card => text("已从储值卡扣款，一路平安", "Taken from your card, good-bye"),
            Self::CardShort => Text {
                zh: format!("储值卡余额不足，请缴费 {due} 元"),
                en: format!("Card balance too low, please pay {due} yuan"),
            },
            Self::Blocked => text("禁止入场，请联系管理员", "No entry, please call"),
            Self::Full => text("车位已满", "Full"),
            Self::Unread => {
                text("未识别车牌，请取票或呼叫管理员", "Plate not read, take a ticket or call")
            }
            Self::NoEntry => text("无入场记录，请呼叫管理员", "No entry found, please call"),
            Self::Misread => text("请核对车牌", "Please check the plate"),
            Self::Between => text("请通行", "Go ahead"),
            Self::UnknownLane => text("车道未配置", "This lane is not set up"),
        }
    }
}

/// How a stay ended without a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EndedHow {
    /// It was paid for while it waited at the barrier, which opened.
    PaidAtBarrier,
    /// A person opened the barrier for it.
    LetOut,
    /// A person closed it: its exit was missed.
    MissedExit,
}
