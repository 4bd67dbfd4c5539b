//! What goes wrong in a simulated month, and when: drawn from the seed. A seed is a swarm: each kind of
//! fault is there or not, so that some months have one trouble many times and some have all at once.

use blockgate_types::{Span, Time};
use std::collections::VecDeque;

/// splitmix64: the same seed, the same month.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.any() % (high - low).max(1)
    }

    /// Between two spans, in whole milliseconds.
    pub fn span(&mut self, low: Span, high: Span) -> Span {
        let (low, high) = (low.as_millis().unsigned_abs(), high.as_millis().unsigned_abs());
        Span::from_millis(i64::try_from(self.between(low, high)).unwrap_or(0))
    }
}

/// The kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The power goes at some moment.
    PowerCut,
    /// The power goes at the n-th call of the disk from now.
    CutAtCall,
    /// The n-th call of the disk from now fails.
    DiskError,
    /// The disk is full for a while.
    DiskFull,
    /// The process is killed.
    Kill,
    /// The process is stopped in order.
    Stop,
    /// Nothing listens where the broker was.
    BrokerAway,
    /// The broker refuses us.
    BrokerRefuses,
    /// The broker acknowledges and delivers nothing.
    BrokerForgets,
    /// The broker takes everything and answers nothing: half-open.
    BrokerMute,
    /// Connections are cut after a few messages.
    BrokerCuts,
    /// The cloud's receipts get lost.
    NoReceipts,
    /// The wall clock is wrong by hours for a while, and is believed.
    ClockStep,
    /// The wall clock is set back over the month's edge.
    ClockOverEdge,
    /// A start without a clock: 1970 until it is set.
    Clock1970,
    /// A start with a clock of 2038 that nobody vouches for.
    Clock2038,
    /// A meter answers nothing.
    MeterSilent,
    /// A meter shows less than it did.
    MeterLow,
    /// Every so many answers are garbled, late or cut.
    MeterNoise,
    /// The line's port is gone.
    LineGone,
}

impl Kind {
    /// Its word in a scenario: `power-cut`.
    #[must_use]
    pub fn word(self) -> String {
        let mut word = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.push(letter.to_ascii_lowercase());
        }
        word
    }
}

/// All of them.
pub const KINDS: [Kind; 20] = [
    Kind::PowerCut,
    Kind::CutAtCall,
    Kind::DiskError,
    Kind::DiskFull,
    Kind::Kill,
    Kind::Stop,
    Kind::BrokerAway,
    Kind::BrokerRefuses,
    Kind::BrokerForgets,
    Kind::BrokerMute,
    Kind::BrokerCuts,
    Kind::NoReceipts,
    Kind::ClockStep,
    Kind::ClockOverEdge,
    Kind::Clock1970,
    Kind::Clock2038,
    Kind::MeterSilent,
    Kind::MeterLow,
    Kind::MeterNoise,
    Kind::LineGone,
];

/// One trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// When it begins.
    pub at: Time,
    /// What.
    pub kind: Kind,
    /// How long it lasts, where it lasts.
    pub lasts: Span,
    /// A number that it needs: calls, which meter.
    pub n: u64,
    /// Whether it begins or ends.
    pub begins: bool,
}

/// The troubles of a month from `from` to `until`, whose edge is at `edge`, in order of time. The last
/// day is left in peace, so that what must come in the end can come.
#[must_use]
pub fn draw(dice: &mut Dice, from: Time, edge: Time, until: Time) -> VecDeque<Fate> {
    let calm = until.minus(Span::from_hours(24));
    let mut all = Vec::new();
    for kind in KINDS {
        if dice.any().is_multiple_of(2) {
            continue;
        }
        let times = match kind {
            Kind::ClockOverEdge => 1,
            Kind::PowerCut | Kind::CutAtCall | Kind::Kill | Kind::DiskError => dice.between(1, 5),
            _ => dice.between(1, 4),
        };
        for _ in 0..times {
            let (low, high) = match kind {
                Kind::BrokerMute | Kind::BrokerCuts => (Span::from_mins(5), Span::from_hours(2)),
                Kind::BrokerAway => (Span::from_mins(1), Span::from_hours(48)),
                Kind::DiskFull => (Span::from_mins(5), Span::from_hours(3)),
                Kind::ClockStep | Kind::ClockOverEdge => (Span::from_mins(5), Span::from_hours(5)),
                // A series that goes on below the old one waits for a person: another scenario.
                Kind::MeterLow => (Span::from_mins(5), Span::from_mins(115)),
                Kind::MeterNoise => (Span::from_hours(1), Span::from_hours(30)),
                _ => (Span::from_mins(5), Span::from_hours(12)),
            };
            let lasts = dice.span(low, high);
            let span = calm.since(from).unwrap_or(Span::ZERO);
            let mut at = from.plus(dice.span(Span::from_hours(1), span));
            if kind == Kind::ClockOverEdge {
                at = edge.plus(dice.span(Span::from_mins(1), Span::from_mins(90)));
            }
            // A meter that shows too little at the month's close leaves it open: another scenario.
            let near = at.as_millis().abs_diff(edge.as_millis());
            if kind == Kind::MeterLow && near < Span::from_hours(24).as_millis().unsigned_abs() {
                continue;
            }
            let end = at.plus(lasts).min(calm);
            if at >= calm {
                continue;
            }
            let n = dice.any();
            all.push(Fate { at, kind, lasts, n, begins: true });
            all.push(Fate { at: end, kind, lasts, n, begins: false });
        }
    }
    all.sort_by_key(|fate| (fate.at, fate.begins, fate.kind));
    all.into()
}
