//! What the Block decides: the journal's schema. An event's JSON is what the journal keeps and, as
//! `data` of the envelope, what the cloud gets, byte for byte. A field may be added; the meaning of
//! a shipped one never changes (ARCHITECTURE: bills are events, never recomputed).
//!
//! One journal record holds one [`Event`]; readings are gathered, up to
//! [`READINGS_PER_RECORD_MAX`] in one record.

mod bill;
mod reading_id;

pub use bill::{
    Basis, Bill, BillHead, BillLine, Corrects, Evidence, EvidenceReading, Period, StayBill,
    TierCounter,
};
pub use reading_id::ReadingId;

use crate::anomaly::care::{DeviceCheck, Feedback, Mute, WorkOrder};
use crate::apportionment::Apportionment;
use crate::calendar::{Day, day_text_option};
use crate::ledger::{Channel, Movement};
use crate::money::Fen;
use crate::setup::{AccountSetup, MeterSetup};
use crate::tariff::Tariff;
use blockgate_types::{
    AccountId, AlarmId, BillId, CommandId, Decimal, ItemId, LineId, MeterId, RegisterName, Span,
    TariffId, Time, Unit,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most readings in one record: about 25 KiB of JSON.
pub const READINGS_PER_RECORD_MAX: usize = 100;

/// One event. The tag is the `kind` of topic and envelope type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// Judged readings.
    Reading {
        /// In the order in which they were taken.
        readings: Vec<Reading>,
    },
    /// A bill.
    Bill(Box<Bill>),
    /// A period of the whole block was closed.
    Ledger(PeriodClosed),
    /// Something happened in the car park.
    Parking(Box<crate::parking::Parking>),
    /// Something happened at doors.
    Door(Box<crate::access::Access>),
    /// Money moved, or is going to.
    Payment(Box<Payment>),
    /// What a household is to be told.
    Notice(Box<Notice>),
    /// An alarm opened, changed or closed.
    Alarm(Alarm),
    /// A hole in a meter's readings, found when it answered again.
    Gap(Gap),
    /// What was done to the block, and by whom.
    Audit(Audit),
}

impl Event {
    /// The kind: topic `evt/{kind}`, type `blockgate.{kind}.v1`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Reading { .. } => "reading",
            Self::Bill(_) => "bill",
            Self::Ledger(_) => "ledger",
            Self::Parking(_) => "parking",
            Self::Door(_) => "door",
            Self::Payment(_) => "payment",
            Self::Notice(_) => "notice",
            Self::Alarm(_) => "alarm",
            Self::Gap(_) => "gap",
            Self::Audit(_) => "audit",
        }
    }

    /// The envelope's subject: what it is about. Never a name, plate or flat.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Reading { .. } => "meters".to_owned(),
            Self::Bill(bill) => format!("account/{}", bill.account),
            Self::Ledger(_) => "block".to_owned(),
            Self::Parking(event) => event.subject(),
            Self::Door(event) => event.subject(),
            Self::Payment(payment) => format!("account/{}", payment.account),
            Self::Notice(notice) => format!("account/{}", notice.account),
            Self::Alarm(alarm) => format!("alarm/{}", alarm.id),
            Self::Gap(gap) => format!("meter/{}", gap.meter),
            Self::Audit(_) => "gateway".to_owned(),
        }
    }

    /// Puts `next` into this event when both are readings and there is room; else gives it back.
    ///
    /// # Errors
    /// `next` itself, when it needs a record of its own.
    #[expect(clippy::result_large_err, reason = "the caller gets its own event back, not an error")]
    pub fn gather(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::Reading { readings }, Self::Reading { readings: more })
                if readings.len() + more.len() <= READINGS_PER_RECORD_MAX =>
            {
                readings.extend(more);
                Ok(())
            }
            (_, next) => Err(next),
        }
    }
}

/// One judged reading of one register, as read: before the multiplier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reading {
    /// Which meter.
    pub meter: MeterId,
    /// Which register.
    pub register: RegisterName,
    /// When it was read.
    pub at: Time,
    /// The register's value.
    #[serde(with = "blockgate_types::decimal::text")]
    pub value: Decimal,
    /// Its unit.
    pub unit: Unit,
    /// How it was judged.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What metering decided about a reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The first of this register: a baseline, nothing is used yet.
    Opened,
    /// Plausible; `used` passed since the reading `from`.
    Accepted {
        /// The reading before.
        from: ReadingId,
        /// Register difference, before the multiplier.
        #[serde(with = "blockgate_types::decimal::text")]
        used: Decimal,
    },
    /// The counter passed its end; `used` is the modular difference.
    Rollover {
        /// The reading before.
        from: ReadingId,
        /// Modular difference, before the multiplier.
        #[serde(with = "blockgate_types::decimal::text")]
        used: Decimal,
    },
    /// First reading of an exchanged device; `used` is the rest of the old one.
    Exchanged {
        /// The last reading of the old device before this.
        from: ReadingId,
        /// The old device's last value.
        #[serde(with = "blockgate_types::decimal::text")]
        final_value: Decimal,
        /// Rest of the old device, before the multiplier.
        #[serde(with = "blockgate_types::decimal::text")]
        used: Decimal,
    },
    /// Not read: estimated, because a bill was due and the meter gave none. Billed like a reading, and
    /// put right by the next real one.
    Estimated {
        /// The reading before.
        from: ReadingId,
        /// What is taken to have passed, before the multiplier.
        #[serde(with = "blockgate_types::decimal::text")]
        used: Decimal,
        /// Why, and by what.
        why: String,
    },
    /// A person began anew from this value; nothing is billed between.
    Rebased {
        /// The reading before.
        from: ReadingId,
    },
    /// Not believed: kept as evidence, never billed, waits for a decision or for better readings.
    Held {
        /// The last accepted reading.
        from: ReadingId,
        /// Why.
        why: Hold,
    },
}

/// Why a reading is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// Lower by no more than a few units of the last digit: reverse flow or a jittering counter.
    Reverse,
    /// Lower than before, and no plausible rollover: exchanged without a record, or misread.
    Backwards,
    /// More than the meter's fuse or pipe can let pass in the time.
    TooFast,
    /// Its time is not after the reading before: the clock was set back.
    NotLater,
    /// Read on a clock that nobody vouches for, whose time it cannot be judged by. It comes again with its
    /// true time once that is known.
    ClockUnset,
}

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Text {
    /// Simplified Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

/// All bills of one period are out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeriodClosed {
    /// Which period.
    pub period: Period,
    /// How many bills.
    pub bills: u64,
    /// Their sum.
    pub total_fen: Fen,
    /// Charges that could not be billed, with the reason; they follow in the next period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unbilled: Vec<Unbilled>,
    /// When.
    pub closed_at: Time,
}

/// A movement of a household's money, as a command ordered it or a rule made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Payment {
    /// When.
    pub at: Time,
    /// Whose.
    pub account: AccountId,
    /// Who ordered it; `gateway` where a rule did.
    pub actor: String,
    /// What moved.
    #[serde(flatten)]
    pub movement: Movement,
}

/// What a household is to be told. The gateway says what and when; the cloud brings it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notice {
    /// When it was decided.
    pub at: Time,
    /// To whom.
    pub account: AccountId,
    /// On which way the household wants it: `sms`, `app`, `paper`; `app` where it said nothing.
    pub channel: String,
    /// Why.
    pub reason: NoticeReason,
    /// What it says; the household's own text where it has one.
    pub text: Text,
    /// How much it is about, in fen; below zero where money comes back.
    pub amount_fen: Fen,
    /// Until when that is to be paid.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub due: Option<Day>,
    /// Which bills it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bills: Vec<BillId>,
}

/// Why a household is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NoticeReason {
    /// Something is to be paid soon.
    Reminder,
    /// Something was to be paid and was not.
    Overdue,
    /// A bill was corrected.
    Correction,
    /// A deposit or a refund moved on.
    Refund,
    /// A price changes.
    Rules,
    /// What a car that was inside over night has come to.
    Parking,
}

/// What came in and went out by a channel on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChannelDay {
    /// Payments.
    pub payments: u64,
    /// Their sum.
    pub paid_fen: Fen,
    /// Refunds that were paid out.
    pub refunds: u64,
    /// Their sum.
    pub refunded_fen: Fen,
}

impl ChannelDay {
    /// What came in less what went out.
    #[must_use]
    pub fn net(&self) -> Fen {
        Fen(self.paid_fen.0.saturating_sub(self.refunded_fen.0))
    }
}

/// A charge without a bill in a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unbilled {
    /// Whose.
    pub account: AccountId,
    /// Which item.
    pub item: ItemId,
    /// Why, as a stable word: `no-reading`, `held`, `no-meter`, `no-tariff`, `no-area`,
    /// `no-persons`, `no-spaces`, `no-floor`, `no-positive-weight`, `negative-weight`,
    /// `too-many-members`, `no-apportionment`, `skew`, `negative-loss`, `loss-above-bound`,
    /// `overflow`.
    pub why: String,
}

/// An alarm's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Alarm {
    /// Derived from code and subject; the same alarm has the same id each time it opens.
    pub id: AlarmId,
    /// Opened, changed or closed.
    pub change: AlarmChange,
    /// What kind.
    pub code: AlarmCode,
    /// What it is about: `meter/m-0101`, `mqtt`.
    pub subject: String,
    /// How urgent.
    pub severity: Severity,
    /// When this change was decided.
    pub at: Time,
    /// When it opened.
    pub since: Time,
    /// Its numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What is the case, one sentence.
    pub text: Text,
    /// What to do, one sentence.
    pub next: Text,
    /// By which rule, with the revision's first day and the hash of its content:
    /// `leak-water/2026-01-01/3fa9c2d1`; absent for what the gateway says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whether and how long it is muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<Box<Mute>>,
    /// What somebody found out about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Box<Feedback>>,
    /// The work order that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_order: Option<WorkOrder>,
    /// What the device check found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<DeviceCheck>>,
    /// Who confirmed it, where somebody did: a valve is closed only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
}

/// What happened to an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum AlarmChange {
    /// It is new.
    Raised,
    /// Its facts or its severity changed.
    Updated,
    /// It is over.
    Cleared,
    /// Somebody did something about it (muted it, confirmed it, said whether it was right), whether
    /// it is open or over; the condition itself is as it was.
    Noted,
}

/// How urgent an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look this week.
    Warning,
    /// Somebody should look today: money or safety waits.
    Critical,
}

/// The kinds of alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AlarmCode {
    /// No good poll for the meter's `offline_after`.
    MeterOffline,
    /// A register is held for review.
    ReadingHeld,
    /// A register has not moved for the meter's `stuck_after`.
    MeterStuck,
    /// Charges could not be billed at a period's close.
    Unbilled,
    /// A loss is negative, above its bound, or of readings that lie too far apart in time.
    Loss,
    /// The clock is not synchronised; closing waits.
    ClockUnsynced,
    /// The wall clock was set back or jumped.
    ClockStepped,
    /// The broker cannot be reached or refuses us.
    BrokerDown,
    /// A certificate ends soon, has ended, or does not fit.
    Certificate,
    /// The cloud refused a message; it lies among the dead letters.
    DeadLetter,
    /// The store was damaged and rebuilt, or the disk is full.
    Store,
    /// Something flows without a pause for longer than it may.
    ContinuousFlow,
    /// The least flow of the night is above what it was in the nights before.
    NightFlow,
    /// A register runs backwards.
    ReverseFlow,
    /// What a master meter counts is more than its sub-meters count, and more than it was.
    Balance,
    /// A meter's use is far from what is usual at that time of the week.
    UnusualUse,
    /// A building's use is unusual on days that follow one another.
    BuildingUse,
    /// A household's use is unusual in months that follow one another.
    HouseholdUse,
    /// More was used than in the same period of the year before.
    AboveLastYear,
    /// A device reports a fault, an opened cover or a low battery.
    DeviceFlag,
    /// A meter's own clock is wrong.
    MeterClock,
    /// A vehicle has been inside for longer than is plausible.
    LongStay,
    /// A barrier has been open for too long.
    GateOpen,
    /// A door has been open for too long.
    DoorHeld,
    /// A payment, a refund or a series of them is odd.
    OddPayment,
    /// There were more alarms in a month than anybody reads.
    AlarmBudget,
    /// A camera or barrier does not report, or cannot be reached.
    CameraOffline,
    /// Whether a barrier opened is not known: a restart came between, or its arm did not show it.
    GateUnknown,
    /// A meter's relay, valve or clock did not do what was ordered, or it is not known.
    MeterNotMoved,
    /// A lane works by its fail-safe policy: what it decides cannot be made durable.
    LaneFailSafe,
    /// A device's signed request came twice: it was recorded and is replayed.
    DeviceReplay,
    /// A door was opened without a right.
    DoorForced,
    /// A reader or a controller's box was tampered with.
    DoorTamper,
    /// Somebody called for help at a door, or typed the code that says "under threat".
    DoorDuress,
    /// Doors stand open because of a fire or an emergency.
    DoorEmergency,
    /// Whether a door opened is not known.
    DoorUnknown,
    /// A controller overwrote entries of its memory before they could be read.
    DoorEventsLost,
    /// A door controller or a reader does not answer.
    ControllerOffline,
    /// Packets came that are not the controller's: forged, recorded, or from another address.
    ControllerPackets,
    /// A reader has another key than the config says.
    ControllerKey,
    /// The power of a reader or a controller is low or failing.
    ControllerPower,
    /// A controller does not have the list that it should have, or cannot keep it.
    ControllerBehind,
}

/// A hole in a meter's readings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gap {
    /// Which meter.
    pub meter: MeterId,
    /// Last reading before.
    pub from: Time,
    /// First reading after.
    pub to: Time,
    /// Slots without a reading.
    pub missing: u64,
}

/// What was done to the block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Audit {
    /// The process started.
    Started {
        /// When.
        at: Time,
        /// This start's id, eight hexadecimal digits.
        boot: String,
        /// Its version.
        version: String,
        /// Hash of its config.
        config_hash: String,
    },
    /// The car park was set up or changed.
    ParkingSet {
        /// When.
        at: Time,
        /// Its new form; none where the block has none any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parking: Option<Box<crate::parking::setup::ParkingSetup>>,
    },
    /// Doors were set up or changed.
    AccessSet {
        /// When.
        at: Time,
        /// Their new form; none where the block has none any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        access: Option<Box<crate::access::AccessSetup>>,
    },
    /// What holds for the whole block was set.
    BlockSet {
        /// When.
        at: Time,
        /// IANA zone.
        zone: String,
        /// How long after a period's end its close waits for closing readings.
        close_grace: Span,
        /// Up to how much a refund needs no second person.
        #[serde(default, skip_serializing_if = "Fen::is_zero")]
        refund_alone_max_fen: Fen,
        /// What may be given back in a day.
        #[serde(default, skip_serializing_if = "crate::setup::RefundLimits::are_none")]
        refund_limits: crate::setup::RefundLimits,
        /// When bills are due and who is reminded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dunning: Option<crate::setup::Dunning>,
    },
    /// Meters were set up or changed.
    MetersSet {
        /// When.
        at: Time,
        /// The new form of each.
        meters: BTreeMap<MeterId, MeterSetup>,
    },
    /// Accounts were set up or changed.
    AccountsSet {
        /// When.
        at: Time,
        /// The new form of each.
        accounts: BTreeMap<AccountId, AccountSetup>,
    },
    /// A tariff came or changed.
    TariffSet {
        /// When.
        at: Time,
        /// Which.
        tariff: TariffId,
        /// Its new form, all revisions.
        document: Box<Tariff>,
    },
    /// A rule for sharing costs came or changed.
    ApportionmentSet {
        /// When.
        at: Time,
        /// Which.
        apportionment: TariffId,
        /// Its new form.
        document: Box<Apportionment>,
    },
    /// An anomaly rule came or changed.
    AnomalySet {
        /// When.
        at: Time,
        /// Which.
        anomaly: TariffId,
        /// Its new form.
        document: Box<crate::anomaly::rule::Rule>,
    },
    /// A journaled reading was put right; what was billed by it follows as differences.
    ReadingCorrected {
        /// When.
        at: Time,
        /// The command that ordered it.
        id: CommandId,
        /// Which meter.
        meter: MeterId,
        /// Which register.
        register: RegisterName,
        /// Which reading.
        reading: ReadingId,
        /// Its value until now.
        #[serde(with = "blockgate_types::decimal::text")]
        was: Decimal,
        /// Its value from now on.
        #[serde(with = "blockgate_types::decimal::text")]
        value: Decimal,
    },
    /// A correction was carried out.
    Corrected {
        /// When.
        at: Time,
        /// The command that ordered it.
        id: CommandId,
        /// What was put right, and why.
        correction: Box<crate::correction::Correction>,
        /// How many bills have a difference.
        differences: u64,
        /// The sum of the differences.
        total_fen: Fen,
    },
    /// A rule file came in force by command; the rules, bindings and shares that change follow.
    RulesApplied {
        /// When.
        at: Time,
        /// The command that ordered it.
        id: CommandId,
        /// The file's name.
        file: String,
        /// What it says, which version of it, and what it replaced.
        rules: Box<crate::rulebook::AppliedRules>,
    },
    /// A day is over: what came in and went out, and which receipts were given.
    DayClosed {
        /// When.
        at: Time,
        /// Which day, `2026-04-05`.
        day: String,
        /// By channel.
        channels: BTreeMap<Channel, ChannelDay>,
        /// The first receipt's number; 0 where none was given.
        first_receipt: u64,
        /// The last one's.
        last_receipt: u64,
    },
    /// Cash was counted.
    CashCounted {
        /// When.
        at: Time,
        /// The command that says it.
        id: CommandId,
        /// By whom.
        by: String,
        /// Of which day.
        day: String,
        /// What the books say.
        expected_fen: Fen,
        /// What there was.
        counted_fen: Fen,
        /// Counted less expected.
        difference_fen: Fen,
        /// Why they differ.
        note: String,
    },
    /// A channel's statement was compared with the books.
    Reconciled {
        /// When.
        at: Time,
        /// The command that ordered it.
        id: CommandId,
        /// Which channel.
        channel: Channel,
        /// First day.
        from: String,
        /// The day after the last.
        to: String,
        /// How they compare, each difference by its name.
        result: Box<crate::reconcile::Reconciliation>,
    },
    /// A household moved out and was settled; its bills, deductions and refunds stand before this.
    MovedOut {
        /// The document.
        settlement: Box<crate::settlement::Settlement>,
    },
    /// Charges begin to run: new ones, at the first tick with a clock that can be believed.
    ChargesBegan {
        /// When.
        at: Time,
        /// The first civil day that they charge for, `2026-03-10`.
        on: String,
        /// Which.
        charges: Vec<ChargeId>,
    },
    /// Meters, accounts or tariffs went; their history stays, and what is not billed yet follows at
    /// the period's close.
    Removed {
        /// When.
        at: Time,
        /// Meters.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        meters: Vec<MeterId>,
        /// Accounts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        accounts: Vec<AccountId>,
        /// Tariffs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tariffs: Vec<TariffId>,
        /// Rules for sharing costs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        apportionments: Vec<TariffId>,
        /// Anomaly rules.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        anomalies: Vec<TariffId>,
    },
    /// A barrier is about to open: written before anything moves.
    GateOpening(crate::gate::Opening),
    /// What came of an opening: exactly one each.
    GateOutcome(crate::gate::OpeningOutcome),
    /// What barriers asked and were answered from memory.
    GateAsked {
        /// When it was written.
        at: Time,
        /// The questions, those that are alike in one row.
        asks: Vec<crate::gate::Asked>,
    },
    /// A meter is about to be told something: written before anything is sent.
    MeterActing(crate::act::Acting),
    /// What came of it: exactly one each.
    MeterActed(crate::act::Acted),
    /// What a meter said of itself after an act of unknown outcome.
    MeterLooked(crate::act::Looked),
    /// A command was accepted; its outcome follows (invariant 7). One without an outcome at the
    /// next start is answered `unknown`.
    CommandAccepted {
        /// When.
        at: Time,
        /// Its id.
        id: CommandId,
        /// Its name: `read-now`.
        name: String,
        /// Who ordered it.
        actor: String,
        /// When it becomes void; for so long its id is remembered at least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Time>,
    },
    /// The outcome of a command: exactly one each that was accepted (invariant 7). `expired`,
    /// `refused` and `duplicate` come without an acceptance before.
    Command {
        /// When.
        at: Time,
        /// Its id.
        id: CommandId,
        /// Its name: `read-now`.
        name: String,
        /// Who ordered it.
        actor: String,
        /// How it ended.
        outcome: Outcome,
        /// When the command becomes void; for so long its id is remembered at least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Time>,
        /// The reason, for people; empty when there is none to give.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
    /// A backup was restored: the first record of another history. What this gateway wrote behind `after` before that is
    /// lost here, and the numbers from there on are used again; every record from this one on says `epoch`.
    Restored {
        /// When the gateway started on it.
        at: Time,
        /// The last record of the backup.
        after: u64,
        /// The new history's name: the id of the start that began it, eight hexadecimal digits.
        epoch: String,
    },
    /// The journal's head, signed: what stands up to there can no longer be changed unseen by whoever
    /// has kept this. At each start, at least once an hour, and with every bill run.
    HeadSigned {
        /// When.
        at: Time,
        /// The last record that it vouches for.
        through: u64,
        /// That record's hash in the chain, 64 hexadecimal digits.
        hash: String,
        /// Id of the key: the first 16 digits of the public key's SHA-256.
        key: String,
        /// The Ed25519 public key, 64 hexadecimal digits.
        public_key: String,
        /// The signature, 128 hexadecimal digits, over the lines `blockgate-head-1`, source, `through`,
        /// `hash` and `at`, each with a line feed.
        signature: String,
    },
    /// Somebody changed or took something that no order is for: users, the config, a backup.
    Upkeep {
        /// When.
        at: Time,
        /// Who: `page/admin`.
        by: String,
        /// What.
        did: Upkeep,
    },
    /// The wall clock moved otherwise than time.
    ClockStepped {
        /// The time after the step.
        at: Time,
        /// By how many milliseconds; negative when it was set back.
        by_ms: i64,
    },
    /// The clock is known now. What this start read before, on a clock that was not set, was taken at
    /// another time than it says: the readings stay as they were journaled, and this is added to their times.
    ClockCorrected {
        /// When that was found, by the right clock.
        at: Time,
        /// The start whose readings are meant, eight hexadecimal digits: `bootid` of their envelopes.
        boot: String,
        /// The first time, by the wrong clock, for which this holds.
        from: Time,
        /// The last one.
        to: Time,
        /// How many milliseconds later than they say they were taken; negative where earlier.
        by_ms: i64,
    },
}

/// What was done to the gateway itself. No password and no passphrase ever stands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "done", rename_all = "kebab-case")]
pub enum Upkeep {
    /// A user was let in or changed.
    UserSaved {
        /// The login name.
        user: String,
        /// The role from now on.
        role: String,
        /// Whether a password was set.
        password: bool,
    },
    /// A user may not come in any more.
    UserRemoved {
        /// The login name.
        user: String,
    },
    /// A person changed their own password.
    PasswordChanged {
        /// The login name.
        user: String,
    },
    /// Meters that a scan had found were written into the config.
    MetersAdded {
        /// On which line.
        line: LineId,
        /// Which.
        meters: Vec<MeterId>,
        /// Hash of the whole config with them.
        config_hash: String,
    },
    /// All logins were forgotten at the console, and a new set-up code made. It comes once more at each
    /// start until somebody has set a password again.
    LoginsReset {
        /// When, by the clock of that moment.
        at: Time,
    },
    /// A user's name is tried with wrong passwords, so that tries from unknown browsers wait now.
    LoginsBraked {
        /// The login name.
        user: String,
        /// How many tries were wrong until now.
        wrong: u32,
    },
    /// A backup was taken away.
    BackupTaken {
        /// Records of the journal in it.
        records: u64,
        /// Whether keys and passwords are in it.
        keys: bool,
    },
}

/// Names one charge: an item of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChargeId {
    /// Whose.
    pub account: AccountId,
    /// Which item.
    pub item: ItemId,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Carried out.
    Done,
    /// Tried, and did not succeed.
    Failed,
    /// Came too late.
    Expired,
    /// Its id was answered before.
    Duplicate,
    /// Not allowed or not possible.
    Refused,
    /// Begun before a restart, outcome not known.
    Unknown,
}
