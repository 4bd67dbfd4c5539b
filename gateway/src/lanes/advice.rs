//! What a barrier is told. Anything but the literal `open` means: do not open.

use blockgate_rules::parking::ParkingView;
use blockgate_types::{LaneId, Plate, Time};

/// What to do at a barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Let it through.
    Open,
    /// So much is to be paid first.
    Pay,
    /// Not this one.
    Deny,
    /// A person must look.
    Ask,
}

impl Decision {
    /// Its word.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pay => "pay",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

/// What a lane is told, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What to do.
    pub decision: Decision,
    /// What is to be paid, in fen.
    pub amount_fen: i64,
    /// ISO 4217.
    pub currency: String,
    /// Why, a stable word.
    pub reason: String,
    /// The stay that it is about.
    pub stay: Option<String>,
    /// One line for the display and the loudspeaker: zh-CN.
    pub display_zh: String,
    /// The same in English.
    pub display_en: String,
    /// Until when it holds: an amount grows, a grace ends.
    pub valid_until: Option<Time>,
    /// `live`, or `fail-safe` while the disk is in trouble.
    pub source: &'static str,
}

impl Advice {
    /// An advice without money.
    #[must_use]
    pub fn plain(decision: Decision, reason: &str, zh: &str, en: &str) -> Self {
        Self {
            decision,
            amount_fen: 0,
            currency: "CNY".to_owned(),
            reason: reason.to_owned(),
            stay: None,
            display_zh: zh.to_owned(),
            display_en: en.to_owned(),
            valid_until: None,
            source: "live",
        }
    }
}

/// A state of parking that can be asked. Pure: the same question gets the same answer, and asking
/// changes nothing.
pub trait Advise: Send + Sync {
    /// What a lane is told about a vehicle: by its plate, or by the ticket that it took.
    fn advise(
        &self,
        lane: &LaneId,
        plate: Option<&Plate>,
        ticket: Option<&str>,
        at: Time,
    ) -> Advice;

    /// The car park behind it; `None` where there is none.
    fn parking(&self) -> Option<&ParkingView> {
        None
    }
}

/// A block without parking: a person must look.
#[derive(Debug, Clone, Copy)]
pub struct NoParking;

impl Advise for NoParking {
    fn advise(&self, _: &LaneId, _: Option<&Plate>, _: Option<&str>, _: Time) -> Advice {
        Advice::plain(Decision::Ask, "unknown-lane", "请联系值班人员", "please call the attendant")
    }
}
