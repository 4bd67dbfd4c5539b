//! Door access controllers: what they tell and what they are told.
//!
//! | module | what |
//! |---|---|
//! | [`hikvision`] | Hikvision access terminals over ISAPI |
//! | [`osdp`] | OSDP v2 readers on RS-485, with secure channel |
//! | [`uhppote`] | UHPPOTE UT0311-L0x and its kin: 64-byte datagrams |
//!
//! This crate knows bytes and devices. Who may pass, and why, is the rules' business; a codec only
//! says what a controller said, in words that are the same for all of them.
//!
//! # Invariants
//! 1. No bytes from a controller panic this crate.
//! 2. A reply is taken for an answer only when it comes from the controller that was asked, names its
//!    serial number and the code of the question, and where the protocol echoes an index, that index.

pub mod hikvision;
pub mod osdp;
pub mod uhppote;

/// Messages that were refused: none of them opened anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refused {
    /// From another address than the device's.
    pub strangers: u64,
    /// Damaged or invented: of another serial number or code, with a MAC that does not fit, in the clear
    /// within a secure channel.
    pub forged: u64,
    /// An answer to an earlier question that was answered already: recorded and sent again.
    pub replayed: u64,
}

impl Refused {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.strangers.saturating_add(self.forged).saturating_add(self.replayed)
    }

    /// Adds others.
    pub fn add(&mut self, others: Self) {
        self.strangers = self.strangers.saturating_add(others.strangers);
        self.forged = self.forged.saturating_add(others.forged);
        self.replayed = self.replayed.saturating_add(others.replayed);
    }
}

/// A point in civil time as a controller writes it: without a zone, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Civil {
    /// Year, 2000 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

impl Civil {
    /// Whether every part is within its range; the calendar itself (30 February) is not asked.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        (2000..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=31).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
    }

    /// The date alone.
    #[must_use]
    pub fn date(self) -> CivilDate {
        CivilDate { year: self.year, month: self.month, day: self.day }
    }
}

impl std::fmt::Display for Civil {
    /// `2026-03-01 08:00:59`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hour, minute, second, .. } = self;
        write!(f, "{} {hour:02}:{minute:02}:{second:02}", self.date())
    }
}

/// A civil date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CivilDate {
    /// Year, 2000 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

impl std::fmt::Display for CivilDate {
    /// `2026-03-01`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// What a controller says happened at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happened {
    /// A credential was taken.
    Granted,
    /// A credential was refused.
    Denied(Denial),
    /// The button inside.
    Button,
    /// It was told to open from afar.
    Remote,
    /// A super password was typed.
    SuperPassword,
    /// The contact opened.
    Opened,
    /// The contact closed.
    Closed,
    /// Opened without a right.
    Forced,
    /// Open for longer than it may be.
    HeldOpen,
    /// The reader or the box was tampered with.
    Tamper,
    /// A code that says "under threat".
    Duress,
    /// The fire input.
    Fire,
    /// The fire input is off again.
    FireOver,
    /// The "lock all" input.
    ForceLock,
    /// An input that calls for help.
    Emergency,
    /// The controller came up.
    PowerOn,
    /// Something else, by the controller's own number.
    Other(u8),
}

/// Why a credential was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// It is not in the list, or not for this door.
    NoRight,
    /// Wrong PIN.
    Pin,
    /// Anti-passback.
    AntiPassback,
    /// More cards are needed together.
    MoreCards,
    /// The first card of the day is missing.
    FirstCard,
    /// The door is locked down.
    Locked,
    /// Another door of an interlock is open.
    Interlock,
    /// The count is used up.
    Count,
    /// Outside its schedule.
    Schedule,
    /// Beyond its validity.
    Expired,
    /// Waited for the gateway (PC control).
    Host,
    /// Refused, without a reason.
    Other,
}

/// One entry of a controller's event memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the controller's memory; counts up from 1.
    pub index: u64,
    /// When, by the controller's own clock; `None` where that is no time.
    pub at: Option<Civil>,
    /// Which door of the controller, from 1; 0 for the controller itself.
    pub door: u8,
    /// What.
    pub what: Happened,
    /// The card's number, where a card was shown.
    pub card: Option<u64>,
    /// Which way: true is in.
    pub inward: Option<bool>,
}

/// How a door is controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Control {
    /// Unlocked until told otherwise.
    Open,
    /// Locked for everybody.
    Locked,
    /// Opens for those who may.
    Normal,
}
