//! The closed list of what the page shows and what its forms do: paths, who may, which fields.

use crate::http::auth::Area;
use blockgate_types::{AccountId, AlarmId, BillId, CommandId, DoorId, LaneId, MeterId, ScanId};

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Screen {
    Overview,
    More,
    Meters,
    Meter(MeterId),
    Exchange(MeterId),
    Lines,
    Scans,
    Scan(ScanId),
    Sheet,
    SheetFile,
    System,
    Log,
    Audit,
    Diagnostics,
    DiagnosticsFile,
    Start,
    Backup,
    Bills,
    Bill(BillId),
    Households,
    Household(AccountId),
    MoveOut(AccountId),
    Counter,
    Receipts,
    Receipt(u64),
    ReceiptOf(CommandId),
    Corrections,
    Rules,
    Outbox,
    Alarms,
    Alarm(AlarmId),
    Parking,
    Stays,
    Unresolved,
    TariffBoard,
    Doors,
    Door(DoorId),
    DoorEvents,
    Controllers,
    DoorRights,
    Board,
    Users,
    Me,
}

impl Screen {
    /// The screen of a path.
    pub(in crate::http) fn of(path: &str) -> Option<Self> {
        let words: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match words.as_slice() {
            [""] => Self::Overview,
            ["more"] => Self::More,
            ["meters"] => Self::Meters,
            ["meters", id] => Self::Meter(id.parse().ok()?),
            ["meters", id, "exchange"] => Self::Exchange(id.parse().ok()?),
            ["lines"] => Self::Lines,
            ["scan"] => Self::Scans,
            ["scan", id] => Self::Scan(id.parse().ok()?),
            ["sheet"] => Self::Sheet,
            ["sheet.csv"] => Self::SheetFile,
            ["system"] => Self::System,
            ["log"] => Self::Log,
            ["audit"] => Self::Audit,
            ["diagnostics"] => Self::Diagnostics,
            ["diagnostics.json"] => Self::DiagnosticsFile,
            ["start"] => Self::Start,
            ["backup"] => Self::Backup,
            ["bills"] => Self::Bills,
            ["bills", id] => Self::Bill(id.parse().ok()?),
            ["households"] => Self::Households,
            ["households", id] => Self::Household(id.parse().ok()?),
            ["households", id, "move-out"] => Self::MoveOut(id.parse().ok()?),
            ["counter"] => Self::Counter,
            ["receipts"] => Self::Receipts,
            ["receipts", number] => Self::Receipt(number.parse().ok()?),
            ["receipts", "of", id] => Self::ReceiptOf(id.parse().ok()?),
            ["corrections"] => Self::Corrections,
            ["rules"] => Self::Rules,
            ["outbox"] => Self::Outbox,
            ["alarms"] => Self::Alarms,
            ["alarms", id] => Self::Alarm(id.parse().ok()?),
            ["parking"] => Self::Parking,
            ["stays"] => Self::Stays,
            ["unresolved"] => Self::Unresolved,
            ["tariff-board"] => Self::TariffBoard,
            ["doors"] => Self::Doors,
            ["doors", id] => Self::Door(id.parse().ok()?),
            ["door-events"] => Self::DoorEvents,
            ["controllers"] => Self::Controllers,
            ["door-rights"] => Self::DoorRights,
            ["board"] => Self::Board,
            ["users"] => Self::Users,
            ["me"] => Self::Me,
            _ => return None,
        })
    }

    /// Its path.
    pub(in crate::http) fn path(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::More => "/more".to_owned(),
            Self::Meters => "/meters".to_owned(),
            Self::Meter(id) => format!("/meters/{id}"),
            Self::Exchange(id) => format!("/meters/{id}/exchange"),
            Self::Lines => "/lines".to_owned(),
            Self::Scans => "/scan".to_owned(),
            Self::Scan(id) => format!("/scan/{id}"),
            Self::Sheet => "/sheet".to_owned(),
            Self::SheetFile => "/sheet.csv".to_owned(),
            Self::System => "/system".to_owned(),
            Self::Log => "/log".to_owned(),
            Self::Audit => "/audit".to_owned(),
            Self::Diagnostics => "/diagnostics".to_owned(),
            Self::DiagnosticsFile => "/diagnostics.json".to_owned(),
            Self::Start => "/start".to_owned(),
            Self::Backup => "/backup".to_owned(),
            Self::Bills => "/bills".to_owned(),
            Self::Bill(id) => format!("/bills/{id}"),
            Self::Households => "/households".to_owned(),
            Self::Household(id) => format!("/households/{id}"),
            Self::MoveOut(id) => format!("/households/{id}/move-out"),
            Self::Counter => "/counter".to_owned(),
            Self::Receipts => "/receipts".to_owned(),
            Self::Receipt(number) => format!("/receipts/{number}"),
            Self::ReceiptOf(id) => format!("/receipts/of/{id}"),
            Self::Corrections => "/corrections".to_owned(),
            Self::Rules => "/rules".to_owned(),
            Self::Outbox => "/outbox".to_owned(),
            Self::Alarms => "/alarms".to_owned(),
            Self::Alarm(id) => format!("/alarms/{id}"),
            Self::Parking => "/parking".to_owned(),
            Self::Stays => "/stays".to_owned(),
            Self::Unresolved => "/unresolved".to_owned(),
            Self::TariffBoard => "/tariff-board".to_owned(),
            Self::Doors => "/doors".to_owned(),
            Self::Door(id) => format!("/doors/{id}"),
            Self::DoorEvents => "/door-events".to_owned(),
            Self::Controllers => "/controllers".to_owned(),
            Self::DoorRights => "/door-rights".to_owned(),
            Self::Board => "/board".to_owned(),
            Self::Users => "/users".to_owned(),
            Self::Me => "/me".to_owned(),
        }
    }

    /// The part that a role must see for it.
    pub(in crate::http) fn area(&self) -> Area {
        match self {
            Self::Overview | Self::More | Self::Me => Area::Overview,
            Self::Meters
            | Self::Meter(_)
            | Self::Exchange(_)
            | Self::Lines
            | Self::Scans
            | Self::Scan(_)
            | Self::Sheet
            | Self::SheetFile => Area::Meters,
            Self::Bills
            | Self::Bill(_)
            | Self::Households
            | Self::Household(_)
            | Self::MoveOut(_)
            | Self::Counter
            | Self::Receipts
            | Self::Receipt(_)
            | Self::ReceiptOf(_)
            | Self::Corrections
            | Self::Rules => Area::Money,
            Self::Outbox
            | Self::System
            | Self::Log
            | Self::Audit
            | Self::Diagnostics
            | Self::DiagnosticsFile
            | Self::Start
            | Self::Backup => Area::System,
            Self::Alarms | Self::Alarm(_) => Area::Alarms,
            Self::Parking | Self::Stays | Self::Unresolved | Self::TariffBoard => Area::Parking,
            Self::Doors
            | Self::Door(_)
            | Self::DoorEvents
            | Self::Controllers
            | Self::DoorRights => Area::Parking,
            Self::Board => Area::Board,
            Self::Users => Area::Users,
        }
    }
}

/// What a form does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Act {
    ReadMeter(MeterId),
    TestMeter(MeterId),
    DecideHeld(MeterId),
    ExchangeMeter(MeterId),
    BeginScan,
    CancelScan(ScanId),
    AddFound(ScanId),
    AddAllFound(ScanId),
    Pay(AccountId),
    TakeDeposit(AccountId),
    AskRefund(AccountId),
    MoveOut(AccountId),
    DepositMet(AccountId),
    ApproveRefund,
    RefundPaid,
    VoidRefund,
    CountCash,
    CorrectReading,
    CorrectPrice,
    CorrectLateFee,
    PreviewRules,
    ApplyRules,
    OpenLane(LaneId),
    TestPlate,
    PayStay,
    CloseStay,
    SettleParking,
    OpenDoor(DoorId),
    HoldDoor(DoorId),
    ReleaseDoor(DoorId),
    GrantCard,
    RevokeRight,
    RestoreRight,
    ConfirmArrears,
    TakeArrearsBack,
    OpenAllDoors,
    EndEmergency,
    LockDown,
    ReleaseAllDoors,
    EstimateReading(MeterId),
    MoveValve(MeterId),
    SwitchRelay(MeterId),
    Reconcile,
    DeductDeposit(AccountId),
    ConfirmAlarm(AlarmId),
    CheckAlarm(AlarmId),
    MuteAlarm(AlarmId),
    UnmuteAlarm(AlarmId),
    AlarmFeedback(AlarmId),
    SaveUser,
    RemoveUser,
    ChangePassword,
    Unlock,
    TakeBackup,
    RetryLetter,
}

impl Act {
    /// The act of a path.
    pub(in crate::http) fn of(path: &str) -> Option<Self> {
        let words: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match words.as_slice() {
            ["meters", id, "read"] => Self::ReadMeter(id.parse().ok()?),
            ["meters", id, "test"] => Self::TestMeter(id.parse().ok()?),
            ["meters", id, "exchange"] => Self::ExchangeMeter(id.parse().ok()?),
            ["scan", "begin"] => Self::BeginScan,
            ["scan", id, "cancel"] => Self::CancelScan(id.parse().ok()?),
            ["scan", id, "add"] => Self::AddFound(id.parse().ok()?),
            ["scan", id, "add-all"] => Self::AddAllFound(id.parse().ok()?),
            ["meters", id, "decide"] => Self::DecideHeld(id.parse().ok()?),
            ["households", id, "pay"] => Self::Pay(id.parse().ok()?),
            ["households", id, "deposit"] => Self::TakeDeposit(id.parse().ok()?),
            ["households", id, "refund"] => Self::AskRefund(id.parse().ok()?),
            ["households", id, "move-out"] => Self::MoveOut(id.parse().ok()?),
            ["households", id, "deposit-met"] => Self::DepositMet(id.parse().ok()?),
            ["refunds", "approve"] => Self::ApproveRefund,
            ["refunds", "paid"] => Self::RefundPaid,
            ["refunds", "void"] => Self::VoidRefund,
            ["counter", "cash"] => Self::CountCash,
            ["corrections", "reading"] => Self::CorrectReading,
            ["corrections", "price"] => Self::CorrectPrice,
            ["corrections", "late-fee"] => Self::CorrectLateFee,
            ["rules", "preview"] => Self::PreviewRules,
            ["rules", "apply"] => Self::ApplyRules,
            ["lanes", id, "open"] => Self::OpenLane(id.parse().ok()?),
            ["parking", "test"] => Self::TestPlate,
            ["stays", "pay"] => Self::PayStay,
            ["stays", "close"] => Self::CloseStay,
            ["unresolved", "settle"] => Self::SettleParking,
            ["doors", id, "open"] => Self::OpenDoor(id.parse().ok()?),
            ["doors", id, "hold"] => Self::HoldDoor(id.parse().ok()?),
            ["doors", id, "release"] => Self::ReleaseDoor(id.parse().ok()?),
            ["door-rights", "grant"] => Self::GrantCard,
            ["door-rights", "revoke"] => Self::RevokeRight,
            ["door-rights", "restore"] => Self::RestoreRight,
            ["door-rights", "confirm"] => Self::ConfirmArrears,
            ["door-rights", "take-back"] => Self::TakeArrearsBack,
            ["door-rights", "emergency"] => Self::OpenAllDoors,
            ["door-rights", "end"] => Self::EndEmergency,
            ["door-rights", "lock"] => Self::LockDown,
            ["door-rights", "release"] => Self::ReleaseAllDoors,
            ["meters", id, "estimate"] => Self::EstimateReading(id.parse().ok()?),
            ["meters", id, "valve"] => Self::MoveValve(id.parse().ok()?),
            ["meters", id, "relay"] => Self::SwitchRelay(id.parse().ok()?),
            ["counter", "reconcile"] => Self::Reconcile,
            ["households", id, "deduct"] => Self::DeductDeposit(id.parse().ok()?),
            ["alarms", id, "confirm"] => Self::ConfirmAlarm(id.parse().ok()?),
            ["alarms", id, "check"] => Self::CheckAlarm(id.parse().ok()?),
            ["alarms", id, "mute"] => Self::MuteAlarm(id.parse().ok()?),
            ["alarms", id, "unmute"] => Self::UnmuteAlarm(id.parse().ok()?),
            ["alarms", id, "feedback"] => Self::AlarmFeedback(id.parse().ok()?),
            ["users", "save"] => Self::SaveUser,
            ["users", "remove"] => Self::RemoveUser,
            ["me", "password"] => Self::ChangePassword,
            ["unlock"] => Self::Unlock,
            ["backup", "take"] => Self::TakeBackup,
            ["outbox", "retry"] => Self::RetryLetter,
            _ => return None,
        })
    }

    /// The fields of its form beside the page's own tokens.
    pub(in crate::http) fn fields(&self) -> &'static [&'static str] {
        match self {
            Self::ReadMeter(_) | Self::TestMeter(_) | Self::CancelScan(_) => &[],
            Self::ExchangeMeter(_) => &["register", "final_value", "initial_value"],
            Self::BeginScan => &["line", "place", "protocol", "units"],
            Self::AddFound(_) => &["nth", "meter_id", "profile"],
            Self::AddAllFound(_) => &["profile"],
            Self::DecideHeld(_) => &["register", "decision", "seen"],
            Self::Pay(_) => &[
                "amount",
                "channel",
                "tendered",
                "reference",
                "toward",
                "payer",
                "paid_on",
                "seen",
            ],
            Self::TakeDeposit(_) => &[
                "d_kind",
                "d_amount",
                "d_channel",
                "d_reference",
                "d_contract",
                "d_condition",
                "seen",
            ],
            Self::AskRefund(_) => &["r_source", "r_amount", "r_channel", "r_reason", "seen"],
            Self::MoveOut(_) => {
                &["until", "deduct_owed", "inspection", "damage", "damage_reason", "m_channel"]
            }
            Self::DepositMet(_) => &["deposit", "evidence"],
            Self::ApproveRefund => &["refund"],
            Self::RefundPaid => &["refund", "reference"],
            Self::VoidRefund => &["refund", "void_reason"],
            Self::CountCash => &["day", "counted", "note"],
            Self::CorrectReading => &[
                "meter",
                "register",
                "reading",
                "value",
                "reason",
                "evidence",
                "approver",
                "limit",
                "since",
                "threshold",
            ],
            Self::CorrectPrice => {
                &["tariff", "reason", "evidence", "approver", "limit", "since", "threshold"]
            }
            Self::CorrectLateFee => &[
                "late_bill",
                "right",
                "paid_on",
                "reason",
                "evidence",
                "approver",
                "limit",
                "since",
                "threshold",
            ],
            Self::PreviewRules => &["file", "month", "text"],
            Self::ApplyRules => &["file", "text", "reason", "seen"],
            Self::OpenLane(_) => &["lane", "open_reason"],
            Self::TestPlate => &["test_plate", "test_lane"],
            Self::PayStay => &["stay", "stay_amount", "stay_channel", "stay_reference"],
            Self::CloseStay => &["stay", "stay_reason"],
            Self::SettleParking => &["stay", "found"],
            Self::ConfirmAlarm(_) | Self::CheckAlarm(_) | Self::UnmuteAlarm(_) => &[],
            Self::OpenDoor(_) => &["door", "door_reason"],
            Self::HoldDoor(_) => &["hours", "hold_reason"],
            Self::ReleaseDoor(_) => &["release_reason"],
            Self::GrantCard => &[
                "grant",
                "grant_card",
                "grant_group",
                "grant_account",
                "grant_hours",
                "grant_count",
                "seen",
            ],
            Self::RevokeRight => &["of_kind", "of", "revoke_reason"],
            Self::RestoreRight => &["of_kind", "of", "seen"],
            Self::ConfirmArrears | Self::TakeArrearsBack => &["entrances", "by", "arrears_reason"],
            Self::OpenAllDoors => &["emergency_reason"],
            Self::EndEmergency => &["end_reason"],
            Self::LockDown => &["lock_reason"],
            Self::ReleaseAllDoors => &["release_all_reason"],
            Self::EstimateReading(_) => &["register", "estimate", "estimate_reason"],
            Self::MoveValve(_) | Self::SwitchRelay(_) => &["to", "act_reason"],
            Self::Reconcile => &["s_channel", "s_from", "s_to", "statement"],
            Self::DeductDeposit(_) => &["deposit", "item", "deduct", "deduct_reason", "seen"],
            Self::MuteAlarm(_) => &["days", "mute_reason"],
            Self::AlarmFeedback(_) => &["verdict", "found"],
            Self::SaveUser => &["user", "role", "password", "seen"],
            Self::RemoveUser => &["user"],
            Self::ChangePassword => &["old", "password", "again"],
            Self::Unlock => &["password", "to", "kept", "next"],
            Self::TakeBackup => &["passphrase", "again", "keys"],
            Self::RetryLetter => &["letter"],
        }
    }

    /// The screen with its form.
    pub(in crate::http) fn screen(&self) -> Screen {
        match self {
            Self::ReadMeter(id) | Self::TestMeter(id) | Self::DecideHeld(id) => {
                Screen::Meter(id.clone())
            }
            Self::ExchangeMeter(id) => Screen::Exchange(id.clone()),
            Self::BeginScan => Screen::Scans,
            Self::CancelScan(id) | Self::AddFound(id) | Self::AddAllFound(id) => {
                Screen::Scan(id.clone())
            }
            Self::Pay(id)
            | Self::TakeDeposit(id)
            | Self::AskRefund(id)
            | Self::DepositMet(id)
            | Self::DeductDeposit(id) => Screen::Household(id.clone()),
            Self::MoveOut(id) => Screen::MoveOut(id.clone()),
            Self::ApproveRefund | Self::RefundPaid | Self::VoidRefund | Self::CountCash => {
                Screen::Counter
            }
            Self::CorrectReading | Self::CorrectPrice | Self::CorrectLateFee => Screen::Corrections,
            Self::PreviewRules | Self::ApplyRules => Screen::Rules,
            Self::OpenLane(_) | Self::TestPlate => Screen::Parking,
            Self::PayStay | Self::CloseStay => Screen::Stays,
            Self::SettleParking => Screen::Unresolved,
            Self::OpenDoor(id) | Self::HoldDoor(id) | Self::ReleaseDoor(id) => {
                Screen::Door(id.clone())
            }
            Self::GrantCard
            | Self::RevokeRight
            | Self::RestoreRight
            | Self::ConfirmArrears
            | Self::TakeArrearsBack
            | Self::OpenAllDoors
            | Self::EndEmergency
            | Self::LockDown
            | Self::ReleaseAllDoors => Screen::DoorRights,
            Self::EstimateReading(id) | Self::MoveValve(id) | Self::SwitchRelay(id) => {
                Screen::Meter(id.clone())
            }
            Self::Reconcile => Screen::Counter,
            Self::ConfirmAlarm(id)
            | Self::CheckAlarm(id)
            | Self::MuteAlarm(id)
            | Self::UnmuteAlarm(id)
            | Self::AlarmFeedback(id) => Screen::Alarm(id.clone()),
            Self::SaveUser | Self::RemoveUser => Screen::Users,
            Self::ChangePassword => Screen::Me,
            Self::Unlock => Screen::Overview,
            Self::TakeBackup => Screen::Backup,
            Self::RetryLetter => Screen::Outbox,
        }
    }

    /// Whether it is for the person itself, whatever the role: not an order.
    pub(in crate::http) fn is_own(&self) -> bool {
        matches!(self, Self::ChangePassword | Self::Unlock)
    }

    /// Whether its fields are secrets, which are never sent back to the browser.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::SaveUser | Self::ChangePassword | Self::Unlock | Self::TakeBackup)
    }
}
