//! What comes into the Block. Each input carries its own time: the Block has no clock.

use crate::access::event::{Credential, Grant};
use crate::anomaly::care::FeedbackVerdict;
use crate::calendar::{Day, day_text_option};
use crate::correction::Correction;
use crate::event::Bill;
use crate::ledger::{Channel, Source, Toward};
use crate::money::Fen;
use crate::setup::Setup;
use blockgate_types::{
    AccountId, AlarmId, ClockState, CommandId, Decimal, DoorId, Frozen, GrantId, ItemId, LaneId,
    MeterId, Observation, PermitId, Plate, RegisterName, RelayTo, Span, StayId, Time, ValveTo,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Times of a clock that was not set, and what they are off by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsetSpan {
    /// The first, by the wrong clock.
    pub from: Time,
    /// The last, by the wrong clock.
    pub to: Time,
    /// What is to be added, in milliseconds.
    pub by_ms: i64,
}

/// One input to [`crate::Block::decide`].
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A poll of a meter, good or bad.
    Observed(Observation),
    /// Time passes; closes periods, raises and clears alarms of silence.
    Tick {
        /// Wall time.
        now: Time,
        /// How far it can be believed; an unsynchronised clock closes nothing (invariant 12).
        clock: ClockState,
    },
    /// The clock is known now, and what this start read before was stamped by a wrong one. Comes before the
    /// first tick with the right one.
    ClockKnown {
        /// Wall time.
        now: Time,
        /// This start's id.
        boot: String,
        /// Which times are wrong by how much.
        spans: Vec<UnsetSpan>,
    },
    /// The clock is known now: readings that waited for their time are judged, the first of each register. Comes
    /// again until none waits ([`crate::Block::has_waiting_readings`]).
    Settle {
        /// Wall time.
        now: Time,
    },
    /// The block as the config wants it now.
    Setup {
        /// Wall time.
        now: Time,
        /// The wanted setup.
        setup: Box<Setup>,
    },
    /// The process starts for the first time on what a backup held.
    Restored {
        /// Wall time.
        now: Time,
        /// The last record of the backup.
        after: u64,
        /// The name of the history that begins.
        epoch: String,
    },
    /// The process started.
    Started {
        /// Wall time.
        now: Time,
        /// This start's id, eight hexadecimal digits.
        boot: String,
        /// The program's version.
        version: String,
        /// Hash of the config files.
        config_hash: String,
    },
    /// An order from the cloud or the page.
    Command {
        /// Wall time.
        now: Time,
        /// How far it can be believed.
        clock: ClockState,
        /// The order.
        command: Command,
    },
    /// A command that the door did not let in: its sender may not order that.
    CommandRefused {
        /// Wall time.
        now: Time,
        /// The order.
        command: Command,
        /// Why, for people.
        why: String,
    },
    /// A vehicle came to a lane.
    Passed(blockgate_types::Passage),
    /// What a command that the gateway carried out came to ([`Order::Resend`],
    /// [`Order::RetryDeadLetter`], [`Order::ReadNow`]).
    CommandDone {
        /// Wall time.
        now: Time,
        /// Its id.
        id: CommandId,
        /// How it ended.
        outcome: crate::event::Outcome,
        /// The reason, for people; empty when there is none to give.
        detail: String,
    },
    /// The bills that an accepted [`Order::Correct`] may touch, first bills and corrections; none of a
    /// tier period may be left out. The Block keeps no bills: they are in the journal.
    Correct {
        /// Wall time.
        now: Time,
        /// The command's id.
        id: CommandId,
        /// What is put right.
        correction: Box<Correction>,
        /// The bills.
        issued: Vec<Bill>,
    },
    /// The payments and refunds of a channel for an accepted [`Order::Reconcile`]: those of its days,
    /// and those around them.
    Reconcile {
        /// Wall time.
        now: Time,
        /// The command.
        command: Box<Command>,
        /// The books.
        books: Vec<crate::reconcile::Booked>,
    },
    /// A state that may last too long began, or ended. To be said again after each start of the
    /// process, as long as it lasts.
    Lasting {
        /// Wall time.
        now: Time,
        /// Which state.
        what: crate::anomaly::rule::Lasting,
        /// Whose, an id: `gate/g-1`, `stay/4711`; never a plate.
        subject: String,
        /// Since when; none where it ended.
        since: Option<Time>,
    },
    /// Something about doors: what controllers told, what came of what they were told.
    Door(Box<crate::access::Heard>),
    /// A barrier is to open. The gateway acts when this is durable, and reports back by
    /// [`Input::GateOpened`].
    GateOpening(crate::gate::Opening),
    /// What came of an opening.
    GateOpened(crate::gate::OpeningOutcome),
    /// What came of telling a meter something.
    MeterActed(crate::act::Acted),
    /// What a meter said of itself after an act of unknown outcome.
    MeterLooked(crate::act::Looked),
    /// What barriers asked and were answered from memory, on facts that are durable.
    GateAsked {
        /// Wall time.
        now: Time,
        /// The questions.
        asks: Vec<crate::gate::Asked>,
    },
    /// Somebody changed or took something that no order is for: users, the config, a backup.
    Upkeep {
        /// Wall time.
        now: Time,
        /// Who: `page/admin`.
        by: String,
        /// What.
        did: crate::event::Upkeep,
    },
    /// Something about the gateway itself became true or untrue: the broker refuses us, a
    /// certificate ends, the disk fills. Raises or clears an alarm.
    Condition {
        /// Wall time.
        now: Time,
        /// Which alarm.
        code: crate::event::AlarmCode,
        /// What it is about: `mqtt`, a line's id, a file.
        subject: String,
        /// True raises or updates, false clears.
        active: bool,
        /// Numbers and names for the page and the cloud.
        facts: std::collections::BTreeMap<String, String>,
    },
}

/// The longest that a command may be good for, from `issued_at` to `expires_at`.
pub const LIFETIME_MAX: Span = Span::from_days(31);

/// How far a sender's clock may be ahead of ours.
pub const AHEAD_MAX: Span = Span::from_mins(5);

/// An order. Its id answers it exactly once (invariant 7); after `expires_at` it does nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Given by the sender.
    pub id: CommandId,
    /// When it was made.
    pub issued_at: Time,
    /// From when on it is void.
    pub expires_at: Time,
    /// Who ordered it, for the audit record.
    pub actor: String,
    /// What to do.
    #[serde(flatten)]
    pub order: Order,
}

/// What a command orders. `args` on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "name", content = "args", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Order {
    /// Publish the events `from..=to` again. Changes nothing in the Block.
    Resend {
        /// First sequence number.
        from: u64,
        /// Last sequence number.
        to: u64,
    },
    /// Send an event that the cloud refused once more, because a person has put right why. Changes nothing in the
    /// Block.
    RetryDeadLetter {
        /// Its sequence number.
        seq: u64,
    },
    /// Poll a meter now. Changes nothing in the Block by itself.
    ReadNow {
        /// Which meter.
        meter: MeterId,
        /// In place of the present values those that the meter froze by itself; they are no readings.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frozen: Option<Frozen>,
    },
    /// Open a lane's barrier once, whatever the rules say: a person is there and sees why.
    OpenBarrier {
        /// Which lane's.
        lane: LaneId,
        /// Why; not empty.
        reason: String,
    },
    /// Switch a meter's relay, and read its state back. Refused where the meter's `controls` in the config
    /// have no `relay`.
    Relay {
        /// Which meter.
        meter: MeterId,
        /// What it is to do.
        to: RelayTo,
        /// Why; not empty.
        reason: String,
    },
    /// Move a meter's valve, and read its state back; it moves for up to half a minute.
    Valve {
        /// Which meter.
        meter: MeterId,
        /// What it is to do.
        to: ValveTo,
        /// Why; not empty.
        reason: String,
    },
    /// Set a meter's clock to our time, and read it back.
    SetClock {
        /// Which meter.
        meter: MeterId,
        /// Also all others on its line, by one telegram (DL/T 645): each takes it once a day, where its clock
        /// is off by at most five minutes. Refused where one of them has no `clock` in its `controls`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        whole_line: bool,
    },
    /// Decide on a register that is held for review.
    DecideHeld {
        /// Which meter.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// How.
        decision: HeldDecision,
    },
    /// The device at a place was exchanged: the old one ended at `final_value`, the new one began
    /// at `initial_value`.
    ExchangeMeter {
        /// Which place.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// Last value of the old device.
        #[serde(with = "blockgate_types::decimal::text")]
        final_value: Decimal,
        /// First value of the new device.
        #[serde(with = "blockgate_types::decimal::text")]
        initial_value: Decimal,
    },
    /// Estimate a reading that a bill needs and the meter does not give.
    EstimateReading {
        /// Which meter.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// The value; the mean use since the first reading where it is left out.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "blockgate_types::decimal::text_option"
        )]
        value: Option<Decimal>,
        /// Why.
        reason: String,
    },
    /// Put right what was billed: the differences follow as bills of their own.
    Correct(Box<Correction>),
    /// Record money that came in, or is announced.
    RecordPayment(Box<RecordPayment>),
    /// An announced payment came in, or will not.
    SettlePayment {
        /// Which payment: the id of the command that recorded it.
        payment: CommandId,
        /// Whether it came in.
        posted: bool,
    },
    /// A deposit's condition is met, or not any more.
    DepositCondition {
        /// Which deposit.
        deposit: CommandId,
        /// Whether it is met.
        met: bool,
        /// Where the evidence is.
        evidence: String,
    },
    /// Pay what a household owes for an item from its deposit.
    DeductDeposit {
        /// Which deposit.
        deposit: CommandId,
        /// Which item.
        item: ItemId,
        /// How much.
        amount_fen: Fen,
        /// Why.
        reason: String,
    },
    /// Ask for a refund. Approved at once where its rule allows it; else a second person approves it.
    RequestRefund(Box<RequestRefund>),
    /// Approve a refund that somebody else asked for.
    ApproveRefund {
        /// Which refund: the id of the command that asked for it.
        refund: CommandId,
    },
    /// A refund was paid out.
    RefundPaid {
        /// Which refund.
        refund: CommandId,
        /// The channel's reference.
        reference: String,
    },
    /// Put a rule file in force: from its revisions' own dates on.
    ApplyRules {
        /// The file's name, an id; the same name again is the next version.
        file: String,
        /// Its text (TOML).
        text: String,
        /// Why.
        reason: String,
    },
    /// Try a rule file on the bills of a month that is over: what they would have been. Changes nothing.
    PreviewRules {
        /// The file's name, an id, for its faults.
        file: String,
        /// Its text (TOML).
        text: String,
        /// Which month, `2026-03`; the last one that has bills where it is left out.
        #[serde(default)]
        month: Option<String>,
    },
    /// Compare a channel's statement with the books.
    Reconcile {
        /// Which channel.
        channel: Channel,
        /// First day, `2026-04-05`.
        from: String,
        /// The day after the last.
        to: String,
        /// The statement (CSV).
        statement: String,
    },
    /// Cash was counted at a day's end.
    CountCash {
        /// Which day.
        day: String,
        /// How much there was.
        counted_fen: Fen,
        /// Why it differs, where it does.
        #[serde(default)]
        note: String,
    },
    /// A household moves out: settle it at once.
    MoveOut(Box<crate::settlement::MoveOut>),
    /// A refund will not be paid out.
    VoidRefund {
        /// Which refund.
        refund: CommandId,
        /// Why.
        reason: String,
    },
    /// Record the payment of what is due for a stay now.
    PayStay(Box<PayStay>),
    /// Take something off what a stay costs: a merchant's minutes, a coupon.
    DiscountStay {
        /// Which stay.
        stay: StayId,
        /// So many minutes from the entry.
        #[serde(default)]
        minutes: u32,
        /// So much.
        #[serde(default)]
        amount_fen: Fen,
        /// Who gives it.
        by: String,
    },
    /// Put right the plate or the entry of a stay.
    CorrectStay {
        /// Which stay.
        stay: StayId,
        /// Its plate.
        #[serde(default)]
        plate: Option<Plate>,
        /// When it began.
        #[serde(default)]
        entered: Option<Time>,
        /// Why.
        reason: String,
    },
    /// End a stay whose exit was missed, without a charge.
    CloseStay {
        /// Which stay.
        stay: StayId,
        /// Why.
        reason: String,
    },
    /// Take something off the list of what a person should look at.
    SettleParking {
        /// Which: as the list names it.
        stay: StayId,
        /// What was found.
        reason: String,
    },
    /// Give or change a right to park: a visitor's, a contractor's.
    GrantParking {
        /// Which.
        permit: PermitId,
        /// What it is.
        terms: Box<crate::parking::setup::Permit>,
    },
    /// Sell or renew a monthly pass.
    SellPass(Box<SellPass>),
    /// End a right to park; what of a pass is unused goes back to its account.
    RevokeParking {
        /// Which.
        permit: PermitId,
        /// Why.
        reason: String,
    },
    /// Open a door once.
    OpenDoor(OpenDoor),
    /// Hold a door open for a time.
    HoldDoor(HoldDoor),
    /// Lock doors for everybody; without doors, all whose way out needs no controller.
    LockDown(DoorsOrder),
    /// Let doors open again for those who may; without doors, all that are held.
    ReleaseDoors(DoorsOrder),
    /// Open doors because of an emergency; without doors, all. They stay open until it is ended.
    EmergencyOpen(DoorsOrder),
    /// The emergency is over.
    EndEmergency {
        /// Why.
        reason: String,
    },
    /// Give somebody a right to pass doors for a time.
    Grant(Box<GrantOrder>),
    /// Shut out a grant, a card, a person or a household.
    Revoke(Box<RevokeOrder>),
    /// What was shut out counts again.
    Restore {
        /// What.
        of: Credential,
    },
    /// Confirm, or take back, that arrears close the entrances which the warning names.
    ConfirmArrears(Box<ConfirmArrears>),
    /// Mute an alarm, open or not: nobody is sent out for it until then. The same alarm stays muted
    /// when it opens again before that.
    MuteAlarm {
        /// Which alarm.
        alarm: AlarmId,
        /// Why.
        reason: String,
        /// Until when.
        until: Time,
    },
    /// An alarm counts again.
    UnmuteAlarm {
        /// Which alarm.
        alarm: AlarmId,
    },
    /// Say whether an alarm was right; also after it is over.
    AlarmFeedback {
        /// Which alarm.
        alarm: AlarmId,
        /// Whether it was right.
        verdict: FeedbackVerdict,
        /// What was found.
        #[serde(default)]
        note: String,
    },
    /// Confirm an open alarm. With `close_valve` the valve of the meter concerned is closed, where the
    /// alarm's rule allows it.
    ConfirmAlarm {
        /// Which alarm.
        alarm: AlarmId,
        /// Whether the valve is to be closed.
        #[serde(default)]
        close_valve: bool,
    },
    /// Check the devices of an open alarm now.
    CheckAlarm {
        /// Which alarm.
        alarm: AlarmId,
    },
}

/// A door that is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OpenDoor {
    /// Which door.
    pub door: DoorId,
    /// Why; not empty.
    pub reason: String,
}

/// A door that is held open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HoldDoor {
    /// Which door.
    pub door: DoorId,
    /// Until when, at most 31 days ahead.
    pub until: Time,
    /// Why; not empty.
    pub reason: String,
}

/// Doors that are told the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DoorsOrder {
    /// Which.
    #[serde(default)]
    pub doors: BTreeSet<DoorId>,
    /// Until when; until something else is ordered where nothing stands here.
    #[serde(default)]
    pub until: Option<Time>,
    /// Why; not empty.
    pub reason: String,
}

/// A right that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct GrantOrder {
    /// Its id; the same one again replaces it.
    pub grant: GrantId,
    /// What it is.
    pub terms: Grant,
}

/// What is shut out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeOrder {
    /// What.
    pub of: Credential,
    /// Why; not empty.
    pub reason: String,
}

/// A person's word that arrears may close entrances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConfirmArrears {
    /// True confirms the rule as the config has it now, false takes that back.
    pub confirmed: bool,
    /// The entrances that it closes, as the warning names them.
    #[serde(default)]
    pub entrances: BTreeSet<DoorId>,
    /// Who: a person.
    pub by: String,
    /// Why; not empty.
    pub reason: String,
}

/// A payment for a stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PayStay {
    /// For which stay.
    pub stay: StayId,
    /// How much: exactly what is due now.
    pub amount_fen: Fen,
    /// On which way.
    pub channel: Channel,
    /// The channel's reference; the same one is not recorded twice. Empty where there is none.
    #[serde(default)]
    pub reference: String,
    /// Cash that was handed over.
    #[serde(default)]
    pub tendered_fen: Option<Fen>,
}

/// A monthly pass that is sold or renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SellPass {
    /// The permit that it is, or prolongs.
    pub permit: PermitId,
    /// Its vehicles.
    pub plates: Vec<Plate>,
    /// Who pays.
    pub account: AccountId,
    /// The first day: `2026-05-01`.
    pub from: String,
    /// For how many months, from day to day.
    pub months: u32,
    /// The price of one month.
    pub price_fen: Fen,
    /// How many of its vehicles park at once; none for all.
    #[serde(default)]
    pub spaces: Option<u32>,
}

/// Money that came in, or is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordPayment {
    /// For which household.
    pub account: AccountId,
    /// How much, more than nothing.
    pub amount_fen: Fen,
    /// On which way.
    pub channel: Channel,
    /// The channel's reference; the same one is not recorded twice. Empty where there is none.
    #[serde(default)]
    pub reference: String,
    /// Who paid, where that is not the household: an id.
    #[serde(default)]
    pub payer: Option<String>,
    /// What for.
    pub toward: Toward,
    /// Announced and not in yet.
    #[serde(default)]
    pub pending: bool,
    /// Cash that was handed over; the change follows from it.
    #[serde(default)]
    pub tendered_fen: Option<Fen>,
    /// The day on which it was paid, `2026-05-02`, where it is booked later: late fees count to there.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub paid_on: Option<Day>,
}

/// A refund that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RequestRefund {
    /// To which household.
    pub account: AccountId,
    /// From where.
    pub source: Source,
    /// How much, more than nothing.
    pub amount_fen: Fen,
    /// By which way: for a deposit the one by which it came.
    pub channel: Channel,
    /// Why.
    pub reason: String,
}

impl Order {
    /// Every order's name: what a gateway's config may allow over MQTT.
    pub const NAMES: [&'static str; 47] = [
        "resend",
        "retry-dead-letter",
        "read-now",
        "open-barrier",
        "relay",
        "valve",
        "set-clock",
        "decide-held",
        "exchange-meter",
        "correct",
        "record-payment",
        "settle-payment",
        "deposit-condition",
        "deduct-deposit",
        "request-refund",
        "approve-refund",
        "refund-paid",
        "void-refund",
        "estimate-reading",
        "apply-rules",
        "preview-rules",
        "reconcile",
        "count-cash",
        "move-out",
        "pay-stay",
        "discount-stay",
        "correct-stay",
        "close-stay",
        "settle-parking",
        "grant-parking",
        "sell-pass",
        "revoke-parking",
        "open-door",
        "hold-door",
        "lock-down",
        "release-doors",
        "emergency-open",
        "end-emergency",
        "grant",
        "revoke",
        "restore",
        "confirm-arrears",
        "mute-alarm",
        "unmute-alarm",
        "alarm-feedback",
        "confirm-alarm",
        "check-alarm",
    ];

    /// The order's name on the wire and in the audit record: `read-now`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Resend { .. } => "resend",
            Self::RetryDeadLetter { .. } => "retry-dead-letter",
            Self::ReadNow { .. } => "read-now",
            Self::OpenBarrier { .. } => "open-barrier",
            Self::Relay { .. } => "relay",
            Self::Valve { .. } => "valve",
            Self::SetClock { .. } => "set-clock",
            Self::DecideHeld { .. } => "decide-held",
            Self::ExchangeMeter { .. } => "exchange-meter",
            Self::Correct(_) => "correct",
            Self::RecordPayment(_) => "record-payment",
            Self::SettlePayment { .. } => "settle-payment",
            Self::DepositCondition { .. } => "deposit-condition",
            Self::DeductDeposit { .. } => "deduct-deposit",
            Self::RequestRefund(_) => "request-refund",
            Self::ApproveRefund { .. } => "approve-refund",
            Self::RefundPaid { .. } => "refund-paid",
            Self::VoidRefund { .. } => "void-refund",
            Self::EstimateReading { .. } => "estimate-reading",
            Self::ApplyRules { .. } => "apply-rules",
            Self::PreviewRules { .. } => "preview-rules",
            Self::Reconcile { .. } => "reconcile",
            Self::CountCash { .. } => "count-cash",
            Self::MoveOut(_) => "move-out",
            Self::PayStay(_) => "pay-stay",
            Self::DiscountStay { .. } => "discount-stay",
            Self::CorrectStay { .. } => "correct-stay",
            Self::CloseStay { .. } => "close-stay",
            Self::SettleParking { .. } => "settle-parking",
            Self::GrantParking { .. } => "grant-parking",
            Self::SellPass(_) => "sell-pass",
            Self::RevokeParking { .. } => "revoke-parking",
            Self::OpenDoor(_) => "open-door",
            Self::HoldDoor(_) => "hold-door",
            Self::LockDown(_) => "lock-down",
            Self::ReleaseDoors(_) => "release-doors",
            Self::EmergencyOpen(_) => "emergency-open",
            Self::EndEmergency { .. } => "end-emergency",
            Self::Grant(_) => "grant",
            Self::Revoke(_) => "revoke",
            Self::Restore { .. } => "restore",
            Self::ConfirmArrears(_) => "confirm-arrears",
            Self::MuteAlarm { .. } => "mute-alarm",
            Self::UnmuteAlarm { .. } => "unmute-alarm",
            Self::AlarmFeedback { .. } => "alarm-feedback",
            Self::ConfirmAlarm { .. } => "confirm-alarm",
            Self::CheckAlarm { .. } => "check-alarm",
        }
    }
}

impl Order {
    /// Whether it moves something in the world (a barrier, a door, a relay, a valve) or gives a right
    /// to pass. Over MQTT such an order needs a rule of its own in the config.
    #[must_use]
    pub fn moves_something(&self) -> bool {
        match self {
            Self::OpenBarrier { .. }
            | Self::Relay { .. }
            | Self::Valve { .. }
            | Self::SetClock { .. }
            | Self::ConfirmAlarm { close_valve: true, .. } => true,
            Self::Resend { .. }
            | Self::RetryDeadLetter { .. }
            | Self::ReadNow { .. }
            | Self::DecideHeld { .. }
            | Self::ExchangeMeter { .. }
            | Self::Correct(_)
            | Self::RecordPayment(_)
            | Self::SettlePayment { .. }
            | Self::DepositCondition { .. }
            | Self::DeductDeposit { .. }
            | Self::RequestRefund(_)
            | Self::ApproveRefund { .. }
            | Self::RefundPaid { .. }
            | Self::VoidRefund { .. }
            | Self::EstimateReading { .. }
            | Self::ApplyRules { .. }
            | Self::PreviewRules { .. }
            | Self::Reconcile { .. }
            | Self::CountCash { .. }
            | Self::MoveOut(_)
            | Self::MuteAlarm { .. }
            | Self::UnmuteAlarm { .. }
            | Self::AlarmFeedback { .. }
            | Self::ConfirmAlarm { close_valve: false, .. }
            | Self::CheckAlarm { .. }
            | Self::PayStay(_)
            | Self::DiscountStay { .. }
            | Self::CorrectStay { .. }
            | Self::CloseStay { .. }
            | Self::SettleParking { .. } => false,
            Self::GrantParking { .. } | Self::SellPass(_) | Self::RevokeParking { .. } => true,
            Self::OpenDoor(_)
            | Self::HoldDoor(_)
            | Self::LockDown(_)
            | Self::ReleaseDoors(_)
            | Self::EmergencyOpen(_)
            | Self::EndEmergency { .. }
            | Self::Grant(_)
            | Self::Revoke(_)
            | Self::Restore { .. }
            | Self::ConfirmArrears(_) => true,
        }
    }

    /// Whether it is refused while the clock is not set: it changes money, rules or something in the
    /// world, and whether it has expired cannot be known. What only reads is carried out.
    #[must_use]
    pub fn needs_true_time(&self) -> bool {
        !matches!(
            self,
            Self::Resend { .. }
                | Self::RetryDeadLetter { .. }
                | Self::ReadNow { .. }
                | Self::PreviewRules { .. }
        )
    }
}

/// What a person decides about a held register. Never a silent new baseline: each has its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum HeldDecision {
    /// The jump is real usage: bill it.
    Accept,
    /// The counter passed its end: bill the modular difference.
    Rollover,
    /// Not usage: begin anew from the held value, and bill nothing between.
    Rebase,
}
