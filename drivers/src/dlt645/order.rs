//! What changes a meter: relay, clock, write. Each is one request; none is ever repeated by itself.

use super::frame::{Address, control};
use crate::bcd::{from_two, two};

/// Who gives the order (clause 7.2): without the right password the meter refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    /// Password level: 02 for most, 04 for less; 98 asks for a security chip and can not be given.
    pub level: u8,
    /// Password, six digits, as bytes in the order of the wire: P0 P1 P2.
    pub password: [u8; 3],
    /// Operator code, in the order of the wire: C0 to C3.
    pub operator: [u8; 4],
}

impl std::fmt::Debug for Authority {
    /// Without the password: what is debugged is logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority(level {:02X})", self.level)
    }
}

/// What a relay order does (supplement of 2014, N1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// 1A: opens the relay.
    Trip,
    /// 1B: permits closing; a person presses the meter's key.
    PermitClose,
    /// 1C: closes the relay.
    Close,
    /// 2A: alarm on.
    AlarmOn,
    /// 2B: alarm off.
    AlarmOff,
    /// 3A: keeps power: trip orders have no effect.
    KeepPower,
    /// 3B: ends keeping power.
    EndKeepPower,
}

impl Relay {
    /// The byte N1.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Trip => 0x1A,
            Self::PermitClose => 0x1B,
            Self::Close => 0x1C,
            Self::AlarmOn => 0x2A,
            Self::AlarmOff => 0x2B,
            Self::KeepPower => 0x3A,
            Self::EndKeepPower => 0x3B,
        }
    }

    /// The order of a byte N1.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        use Relay::{AlarmOff, AlarmOn, Close, EndKeepPower, KeepPower, PermitClose, Trip};
        let all = [Trip, PermitClose, Close, AlarmOn, AlarmOff, KeepPower, EndKeepPower];
        all.into_iter().find(|relay| relay.code() == code)
    }

    /// What it does, in plain words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::PermitClose => "permit closing by the key",
            Self::Close => "close",
            Self::AlarmOn => "alarm on",
            Self::AlarmOff => "alarm off",
            Self::KeepPower => "keep power",
            Self::EndKeepPower => "end keeping power",
        }
    }

    /// The relay's state that proves the order, where there is one.
    #[must_use]
    pub fn proof(self) -> Option<RelayState> {
        match self {
            Self::Trip => Some(RelayState::Open),
            Self::Close => Some(RelayState::Closed),
            Self::PermitClose
            | Self::AlarmOn
            | Self::AlarmOff
            | Self::KeepPower
            | Self::EndKeepPower => None,
        }
    }
}

/// The relay as the meter's status word 3 tells it (04000503, bit 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelayState {
    /// Power flows.
    Closed,
    /// Power is cut.
    Open,
}

/// The data identifier of status word 3.
pub const STATUS_WORD_3: u32 = 0x0400_0503;

impl RelayState {
    /// From the two bytes of status word 3, low byte first; `None` where they are not there.
    #[must_use]
    pub fn from_status_word_3(bytes: &[u8]) -> Option<Self> {
        let [low, _high] = *bytes else { return None };
        Some(if low & 0x10 == 0 { Self::Closed } else { Self::Open })
    }
}

/// A point of the meter's local time, two digits of the year. Sub-meters keep local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Year, 0 to 99.
    pub year: u8,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

impl Stamp {
    /// `ss mm hh DD MM YY`, as clock and deadline go onto the wire.
    #[must_use]
    pub fn wire(self) -> [u8; 6] {
        [self.second, self.minute, self.hour, self.day, self.month, self.year].map(from_two)
    }

    /// From the data of 04000102 (`ss mm hh`) and 04000101 (`WW DD MM YY`); `None` where they are no
    /// time: digits that are none, or all zero, as after a flat battery.
    #[must_use]
    pub fn from_wire(time: &[u8], date: &[u8]) -> Option<Self> {
        let (&[second, minute, hour], &[_, day, month, year]) = (time, date) else { return None };
        let [second, minute, hour] = [second, minute, hour].map(two);
        let [day, month, year] = [day, month, year].map(two);
        let within =
            |n: Option<u8>, range: std::ops::RangeInclusive<u8>| n.filter(|n| range.contains(n));
        Some(Self {
            year: within(year, 0..=99)?,
            month: within(month, 1..=12)?,
            day: within(day, 1..=31)?,
            hour: within(hour, 0..=23)?,
            minute: within(minute, 0..=59)?,
            second: within(second, 0..=59)?,
        })
    }
}

/// The data of a relay order. The meter ignores it after `deadline` by its own clock.
#[must_use]
pub fn relay_data(authority: Authority, relay: Relay, deadline: Stamp) -> Vec<u8> {
    let mut data = vec![authority.level];
    data.extend(authority.password);
    data.extend(authority.operator);
    data.extend([relay.code(), 0x00]);
    data.extend(deadline.wire());
    data
}

/// The data of a write: identifier, authority, value in the order of the wire.
#[must_use]
pub fn write_data(di: u32, authority: Authority, value: &[u8]) -> Vec<u8> {
    let mut data = di.to_le_bytes().to_vec();
    data.push(authority.level);
    data.extend(authority.password);
    data.extend(authority.operator);
    data.extend(value);
    data
}

/// Appends the broadcast clock. No meter answers; each takes it at most once a day and only where its
/// clock is off by at most five minutes (clause 7.3).
pub fn put_clock(out: &mut Vec<u8>, to: Address, now: Stamp) {
    super::frame::put(out, super::frame::PREAMBLE, to, control::CLOCK, &now.wire());
}
