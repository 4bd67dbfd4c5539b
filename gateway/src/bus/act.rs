//! Telling a meter something: the order goes out once, then its state is looked at until it shows what was
//! ordered or time is up. Between two looks the line polls on: a valve moves for half a minute.

use crate::config::authority;
use blockgate_drivers::Address;
use blockgate_drivers::act::{Device, Now, Seen, Sent};
use blockgate_drivers::cjt188::ValveState;
use blockgate_drivers::dlt645::order::{RelayState, Stamp};
use blockgate_drivers::line::Line;
use blockgate_drivers::profile::Profile;
use blockgate_types::{Act, ActResult, Control, MeterState, Time};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a meter may take to show what was ordered, and how often it is asked meanwhile.
fn looks(control: Control) -> (Duration, Duration) {
    match control {
        Control::Relay => (Duration::from_secs(10), Duration::from_secs(2)),
        // CJ/T 188 valves move for 5 to 30 s.
        Control::Valve => (Duration::from_secs(45), Duration::from_secs(3)),
        Control::Clock => (Duration::ZERO, Duration::from_secs(1)),
    }
}

/// A clock that is off by more than this is wrong; reading it takes a second or two on a slow wire.
const CLOCK_RIGHT_S: u64 = 5;

/// How long a meter may wait before it carries a relay order out, by its own clock.
const DEADLINE: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// What came of telling a meter something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What exactly.
    pub result: ActResult,
    /// What the meter says of itself now.
    pub state: Option<MeterState>,
    /// For people.
    pub detail: String,
}

/// An order that went out and has not shown its effect yet.
pub(super) struct Pending {
    /// The meter's place in its line.
    pub(super) place: usize,
    pub(super) next: Instant,
    act: Act,
    acknowledged: bool,
    until: Instant,
    last: Result<MeterState, String>,
    reply: oneshot::Sender<Report>,
}

/// Where a meter is and what it may be told with.
pub(super) struct At<'a> {
    pub(super) line: &'a mut Line,
    pub(super) address: Address,
    pub(super) profile: &'a Profile,
    pub(super) authority_file: Option<&'a Path>,
    pub(super) zone: &'a TimeZone,
}

impl At<'_> {
    fn device(&mut self) -> Device<'_> {
        Device { line: self.line, address: self.address, profile: self.profile }
    }

    /// Sends the order and looks for the first time; what is not decided by that is pending.
    pub(super) async fn begin(
        &mut self,
        place: usize,
        act: Act,
        now: Time,
        reply: oneshot::Sender<Report>,
    ) -> Option<Pending> {
        let not_sent = |detail: String| Report { result: ActResult::NotSent, state: None, detail };
        let authority = match self.authority_file.map(authority::read).transpose() {
            Ok(authority) => authority,
            Err(why) => return done(reply, not_sent(why)),
        };
        let off_s = match act {
            Act::Clock | Act::LineClock => self.clock_off(now).await,
            Act::Relay(_) | Act::Valve(_) => None,
        };
        let Some(stamps) = stamps(now, self.zone) else {
            return done(reply, not_sent("the clock shows no time that can be sent".to_owned()));
        };
        let sent = self.device().order(act, authority, stamps, off_s).await;
        let (acknowledged, why) = match sent {
            Sent::Not(why) => return done(reply, not_sent(why)),
            Sent::Refused(detail) => {
                return done(reply, Report { result: ActResult::Refused, state: None, detail });
            }
            Sent::Acknowledged => (true, String::new()),
            Sent::Unanswered(fault) => (false, fault.what),
        };
        let (within, every) = looks(act.control());
        let until = Instant::now() + within;
        let last = Err(why);
        let pending =
            Pending { place, next: Instant::now() + every, act, acknowledged, until, last, reply };
        self.go_on(pending, now).await
    }

    /// Looks once more.
    pub(super) async fn go_on(&mut self, mut pending: Pending, now: Time) -> Option<Pending> {
        match self.look(pending.act.control(), now).await {
            Ok(state) => pending.last = Ok(state),
            // What was seen before counts for more than an answer that is lost.
            Err(why) if pending.last.is_err() => pending.last = Err(why),
            Err(_) => {}
        }
        let is_done = pending.last.as_ref().ok().and_then(|state| pending.act.is_done_by(*state));
        let (_, every) = looks(pending.act.control());
        let no_state_tells = pending.last.is_ok() && is_done.is_none();
        if is_done == Some(true) || no_state_tells || Instant::now() >= pending.until {
            let report = pending.report();
            return done(pending.reply, report);
        }
        pending.next = Instant::now() + every;
        Some(pending)
    }

    /// What the meter says of itself.
    pub(super) async fn look(&mut self, control: Control, now: Time) -> Result<MeterState, String> {
        let begun = Instant::now();
        let seen = self.device().look(control).await.map_err(|fault| fault.what)?;
        Ok(match seen {
            Seen::Relay(RelayState::Open) => MeterState::RelayOpen,
            Seen::Relay(RelayState::Closed) => MeterState::RelayClosed,
            Seen::Valve(ValveState::Open) => MeterState::ValveOpen,
            Seen::Valve(ValveState::Closed) => MeterState::ValveClosed,
            Seen::Valve(ValveState::Fault) => MeterState::ValveFault,
            Seen::Clock(stamp) => {
                let passed = i64::try_from(begun.elapsed().as_millis()).unwrap_or(0);
                let now = now.plus(blockgate_types::Span::from_millis(passed));
                match off_by(stamp, now, self.zone) {
                    Some(off) if off <= CLOCK_RIGHT_S => MeterState::ClockRight,
                    Some(_) | None => MeterState::ClockWrong,
                }
            }
        })
    }

    /// By how many seconds the meter's clock is off; unknown where it cannot be read.
    async fn clock_off(&mut self, now: Time) -> Option<u64> {
        match self.device().look(Control::Clock).await {
            Ok(Seen::Clock(stamp)) => off_by(stamp, now, self.zone),
            Ok(Seen::Relay(_) | Seen::Valve(_)) | Err(_) => None,
        }
    }
}

impl Pending {
    fn report(&self) -> Report {
        let state = self.last.as_ref().ok().copied();
        let is_done = state.and_then(|state| self.act.is_done_by(state));
        let says = state.map_or("nothing", MeterState::word);
        let (result, detail) = match (self.acknowledged, state.is_some(), is_done) {
            (_, _, Some(true)) => (ActResult::Verified, String::new()),
            (true, _, Some(false)) => {
                let why = format!("the meter said yes and did not: it says {says}");
                (ActResult::NotMoved, why)
            }
            (true, true, None) => {
                let why = format!("the meter says {says}; no state proves this order");
                (ActResult::Acknowledged, why)
            }
            (true, false, None) => {
                let why = self.last.as_ref().err().cloned().unwrap_or_default();
                (ActResult::Unread, format!("the meter said yes; its state cannot be read: {why}"))
            }
            (false, _, Some(false)) => {
                (ActResult::NoAnswer, format!("no answer to the order; the meter says {says}"))
            }
            (false, _, None) => {
                let why = self.last.as_ref().err().cloned().unwrap_or_default();
                (ActResult::Unknown, format!("it may have been carried out: {why}"))
            }
        };
        Report { result, state, detail }
    }
}

/// Whoever asked may have gone; the gateway then reports it as unknown at its next start.
fn done(reply: oneshot::Sender<Report>, report: Report) -> Option<Pending> {
    let _ = reply.send(report);
    None
}

fn civil(at: Time, zone: &TimeZone) -> Option<DateTime> {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).ok()?;
    Some(at.to_zoned(zone.clone()).datetime())
}

fn stamp(at: DateTime) -> Option<Stamp> {
    let small = |n: i8| u8::try_from(n).ok();
    Some(Stamp {
        year: u8::try_from(at.year().rem_euclid(100)).ok()?,
        month: small(at.month())?,
        day: small(at.day())?,
        hour: small(at.hour())?,
        minute: small(at.minute())?,
        second: small(at.second())?,
    })
}

fn stamps(now: Time, zone: &TimeZone) -> Option<Now> {
    let now = civil(now, zone)?;
    let weekday = u8::try_from(now.weekday().to_sunday_zero_offset()).ok()?;
    let deadline = stamp(now.checked_add(DEADLINE).ok()?)?;
    Some(Now { stamp: stamp(now)?, weekday, deadline })
}

/// By how many seconds a meter's clock is off; two-digit years lie in this century.
fn off_by(stamp: Stamp, now: Time, zone: &TimeZone) -> Option<u64> {
    let small = |n: u8| i8::try_from(n).ok();
    let shown = DateTime::new(
        2000 + i16::from(stamp.year),
        small(stamp.month)?,
        small(stamp.day)?,
        small(stamp.hour)?,
        small(stamp.minute)?,
        small(stamp.second)?,
        0,
    );
    let off = shown.ok()?.duration_since(civil(now, zone)?);
    Some(off.as_secs().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_s_clock_is_compared_in_the_block_s_zone() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        let now: Time = "2026-03-01T16:00:30Z".parse().unwrap();
        let sent = stamps(now, &zone).unwrap();
        // Midnight in Shanghai, a Monday.
        assert_eq!((sent.stamp.day, sent.stamp.hour, sent.stamp.second), (2, 0, 30));
        assert_eq!((sent.weekday, sent.deadline.minute), (1, 10));
        assert_eq!(off_by(sent.stamp, now, &zone), Some(0));
        let late = Stamp { second: 12, ..sent.stamp };
        assert_eq!(off_by(late, now, &zone), Some(18));
        let no_day = Stamp { month: 2, day: 30, ..sent.stamp };
        assert_eq!(off_by(no_day, now, &zone), None);
    }
}
