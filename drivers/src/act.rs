//! What changes a meter: one order, sent once and never repeated by itself, and the state that the meter
//! tells afterwards. An acknowledgement does not prove that anything moved.
//!
//! | control | DL/T 645-2007 | CJ/T 188 |
//! |---|---|---|
//! | relay | 1C, read back from status word 3 (04000503) | |
//! | valve | | A017, read back from the status of 901F |
//! | clock | 08 to the one meter; beyond five minutes 04000101 and 04000102; read back from these | |
//! | clocks of a line | 08 to 999999999999; read back from the one meter | |

use crate::address::Address;
use crate::cjt188::{self, Field, ValveState};
use crate::dlt645::order::{Authority, Relay, RelayState, STATUS_WORD_3, Stamp};
use crate::dlt645::{self, Edition};
use crate::line::{Framing, Line};
use crate::profile::{Map, Profile, SerialDefaults};
use blockgate_types::{Act, Control, FaultClass, ReadFault, RelayTo, ValveTo};

/// The data identifiers of date and time (DL/T 645-2007, table A.3).
pub const DATE: u32 = 0x0400_0101;
/// See [`DATE`].
pub const TIME: u32 = 0x0400_0102;

/// A clock that is off by more than this does not take the clock telegram (DL/T 645-2007, 7.3).
pub const CLOCK_TELEGRAM_MAX_S: u64 = 300;

/// So close to midnight no meter takes the clock telegram (DL/T 645-2007, 7.3).
const NEAR_MIDNIGHT_MIN: u16 = 5;

/// The time that a meter is to show: local civil time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Date and time.
    pub stamp: Stamp,
    /// Day of the week, 0 for Sunday.
    pub weekday: u8,
    /// Until when a meter may carry a relay order out, by its own clock.
    pub deadline: Stamp,
}

/// How an order went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// Nothing went onto the wire.
    Not(String),
    /// The meter acknowledged; a clock telegram has no acknowledgement and counts as one.
    Acknowledged,
    /// The meter refused, and says why.
    Refused(String),
    /// No good answer: it may have been carried out.
    Unanswered(ReadFault),
}

/// What a meter says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Its relay.
    Relay(RelayState),
    /// Its valve.
    Valve(ValveState),
    /// Its clock.
    Clock(Stamp),
}

/// What can be told to a meter of this profile, whatever the config allows.
#[must_use]
pub fn controls(profile: &Profile) -> &'static [Control] {
    match profile.map() {
        Map::Dlt645(map) if map.edition == Edition::E2007 => &[Control::Relay, Control::Clock],
        Map::Cjt188(_) => &[Control::Valve],
        Map::Dlt645(_) | Map::Modbus { .. } | Map::Mbus(_) => &[],
    }
}

/// A meter on its line, to be told something.
#[derive(Debug)]
pub struct Device<'a> {
    /// Its line.
    pub line: &'a mut Line,
    /// Its address.
    pub address: Address,
    /// Its profile.
    pub profile: &'a Profile,
}

impl Device<'_> {
    /// Gives an order, once. `off_s` is by how much the meter's clock is off, where that was read.
    ///
    /// May be cancelled by dropping the future; nobody knows then whether it was carried out.
    pub async fn order(
        &mut self,
        act: Act,
        authority: Option<Authority>,
        now: Now,
        off_s: Option<u64>,
    ) -> Sent {
        if !controls(self.profile).contains(&act.control()) {
            return Sent::Not(format!("{} cannot {act}", self.profile.id));
        }
        if self.line.settings().framing == Framing::Tcp {
            return Sent::Not("a Modbus TCP line carries nothing but Modbus".to_owned());
        }
        // What fails before the first byte leaves is told apart: nothing can have moved.
        if let Err(fault) = self.line.settle().await {
            return Sent::Not(fault.what);
        }
        let speed = self.profile.serial;
        match (act, self.profile.map(), self.address) {
            (Act::Relay(to), Map::Dlt645(_), Address::Dlt645(address)) => {
                let Some(authority) = authority else { return Sent::Not(NO_AUTHORITY.to_owned()) };
                let relay = match to {
                    RelayTo::Trip => Relay::Trip,
                    RelayTo::Close => Relay::Close,
                    RelayTo::Permit => Relay::PermitClose,
                };
                let order = (authority, relay, now.deadline);
                answered(dlt645::order_relay(self.line, address, order, speed).await)
            }
            (Act::Valve(to), Map::Cjt188(map), Address::Cjt188(address)) => {
                let open = to == ValveTo::Open;
                let sent = cjt188::valve(self.line, map.dialect, address, open, speed).await;
                answered(sent.map(|_| ()))
            }
            (Act::Clock, Map::Dlt645(_), Address::Dlt645(address)) => {
                self.set_clock(address, authority, now, off_s, speed).await
            }
            (Act::LineClock, Map::Dlt645(_), Address::Dlt645(_)) => {
                self.set_clocks_of_line(now, off_s).await
            }
            (Act::Relay(_) | Act::Valve(_) | Act::Clock | Act::LineClock, _, address) => {
                Sent::Not(format!("{address} is no address of {}", self.profile.protocol()))
            }
        }
    }

    /// One telegram to all meters of the line; none answers (DL/T 645-2007, 7.3).
    async fn set_clocks_of_line(&mut self, now: Now, off_s: Option<u64>) -> Sent {
        if off_s.is_some_and(|off| off > CLOCK_TELEGRAM_MAX_S) {
            let why = "its clock is off by more than five minutes, which no clock telegram mends: set it alone";
            return Sent::Not(why.to_owned());
        }
        // A telegram at the day's edge could make a meter live an edge twice, or never.
        let minute = u16::from(now.stamp.hour) * 60 + u16::from(now.stamp.minute);
        if !(NEAR_MIDNIGHT_MIN..24 * 60 - NEAR_MIDNIGHT_MIN).contains(&minute) {
            let why = "within five minutes of midnight no meter takes the clock telegram";
            return Sent::Not(why.to_owned());
        }
        match dlt645::send_clock(self.line, dlt645::Address::BROADCAST, now.stamp).await {
            Ok(()) => Sent::Acknowledged,
            Err(fault) => Sent::Unanswered(fault),
        }
    }

    async fn set_clock(
        &mut self,
        address: dlt645::Address,
        authority: Option<Authority>,
        now: Now,
        off_s: Option<u64>,
        speed: Option<SerialDefaults>,
    ) -> Sent {
        if off_s.is_none_or(|off| off <= CLOCK_TELEGRAM_MAX_S) {
            return match dlt645::send_clock(self.line, address, now.stamp).await {
                Ok(()) => Sent::Acknowledged,
                Err(fault) => Sent::Unanswered(fault),
            };
        }
        let Some(authority) = authority else { return Sent::Not(NO_AUTHORITY.to_owned()) };
        let [second, minute, hour, day, month, year] = now.stamp.wire();
        let date = [crate::bcd::from_two(now.weekday), day, month, year];
        for (di, value) in [(DATE, &date[..]), (TIME, &[second, minute, hour][..])] {
            let sent = dlt645::write(self.line, address, (di, authority), value, speed).await;
            let sent = answered(sent);
            if sent != Sent::Acknowledged {
                return sent;
            }
        }
        Sent::Acknowledged
    }

    /// Asks the meter for the state of what a control moves. Reads only.
    ///
    /// # Errors
    /// Timeout, checksum; protocol: a refusal, or an answer to another question; value: no state in it.
    pub async fn look(&mut self, control: Control) -> Result<Seen, ReadFault> {
        let speed = self.profile.serial;
        match (control, self.profile.map(), self.address) {
            (Control::Relay, Map::Dlt645(map), Address::Dlt645(address)) => {
                let word =
                    dlt645::read(self.line, map.edition, address, STATUS_WORD_3, 2, speed).await?;
                let state = RelayState::from_status_word_3(&word);
                state.map(Seen::Relay).ok_or_else(|| nothing("status word 3 has not two bytes"))
            }
            (Control::Clock, Map::Dlt645(map), Address::Dlt645(address)) => {
                let date = dlt645::read(self.line, map.edition, address, DATE, 4, speed).await?;
                let time = dlt645::read(self.line, map.edition, address, TIME, 3, speed).await?;
                let stamp = Stamp::from_wire(&time, &date);
                stamp.map(Seen::Clock).ok_or_else(|| nothing("the meter's clock shows no time"))
            }
            (Control::Valve, Map::Cjt188(map), Address::Cjt188(address)) => {
                let di = cjt188::frame::di::CURRENT;
                let content = cjt188::read(self.line, map.dialect, address, di, speed).await?;
                let fields = cjt188::data::fields(&content);
                let status = fields.into_iter().find(|(field, _)| *field == Field::Status);
                match status {
                    Some((_, Ok(cjt188::data::Content::Status(word)))) => {
                        Ok(Seen::Valve(map.status.valve(word)))
                    }
                    Some(_) | None => Err(nothing("the answer holds no status")),
                }
            }
            (Control::Relay | Control::Valve | Control::Clock, _, _) => {
                Err(nothing("this meter has no such state"))
            }
        }
    }
}

const NO_AUTHORITY: &str = "the config has no authority_file for this meter";

fn nothing(what: &str) -> ReadFault {
    ReadFault { class: FaultClass::Value, what: what.to_owned(), raw: Vec::new() }
}

/// A refusal is an answer: the meter did nothing.
fn answered(outcome: Result<(), ReadFault>) -> Sent {
    match outcome {
        Ok(()) => Sent::Acknowledged,
        Err(fault) if dlt645::is_refusal(&fault) || cjt188::is_refusal(&fault) => {
            Sent::Refused(fault.what)
        }
        Err(fault) => Sent::Unanswered(fault),
    }
}
