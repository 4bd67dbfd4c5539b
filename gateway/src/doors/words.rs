//! The drivers' words in the rules' words, and back: the same for every kind of controller.

use blockgate_drivers::door::{self, Civil, CivilDate, Control};
use blockgate_rules::access::event::{self, Hold};
use blockgate_rules::access::pass::Moment;
use blockgate_rules::access::setup::AccessSetup;
use blockgate_rules::calendar::Day;
use blockgate_types::{ControllerId, DoorId, Time};
use jiff::tz::TimeZone;

/// How a door is held, in the controller's words.
pub(super) fn control(hold: Hold) -> Control {
    match hold {
        Hold::Normal => Control::Normal,
        Hold::Open => Control::Open,
        Hold::Locked => Control::Locked,
    }
}

/// How a door is held, in the rules' words.
pub(super) fn hold(control: Control) -> Hold {
    match control {
        Control::Normal => Hold::Normal,
        Control::Open => Hold::Open,
        Control::Locked => Hold::Locked,
    }
}

pub(super) fn date(day: Day) -> CivilDate {
    let part = |n: i8| u8::try_from(n).unwrap_or(1);
    let year = u16::try_from(day.year()).unwrap_or(2000);
    CivilDate { year, month: part(day.month()), day: part(day.day()) }
}

pub(super) fn day(date: CivilDate) -> Option<Day> {
    let part = |n: u8| i8::try_from(n).ok();
    Day::new(i16::try_from(date.year).ok()?, part(date.month)?, part(date.day)?).ok()
}

/// A controller's civil time as a moment, by the block's zone; `None` where it is none.
pub(super) fn moment(civil: Civil, zone: &TimeZone) -> Option<Time> {
    let part = |n: u8| i8::try_from(n).ok();
    let time =
        jiff::civil::Time::new(part(civil.hour)?, part(civil.minute)?, part(civil.second)?, 0);
    let civil = day(civil.date())?.to_datetime(time.ok()?);
    let zoned = zone.to_ambiguous_zoned(civil).compatible().ok()?;
    Some(Time::from(zoned.timestamp()))
}

/// A moment as the controller's civil time, to the second.
pub(super) fn civil(at: Time, zone: &TimeZone) -> Civil {
    let zoned = jiff::Timestamp::from(at).to_zoned(zone.clone());
    let CivilDate { year, month, day } = date(zoned.date());
    let part = |n: i8| u8::try_from(n).unwrap_or(0);
    Civil {
        year,
        month,
        day,
        hour: part(zoned.hour()),
        minute: part(zoned.minute()),
        second: part(zoned.second()),
    }
}

/// What a clock on the wall shows.
pub(super) fn wall(at: Time, zone: &TimeZone) -> Moment {
    let now = jiff::Timestamp::from(at).to_zoned(zone.clone());
    let part = |n: i8| u16::try_from(n).unwrap_or(0);
    let minute = part(now.hour()).saturating_mul(60).saturating_add(part(now.minute()));
    Moment { day: now.date(), minute }
}

/// The door of a controller's number.
pub(super) fn door_of(
    setup: &AccessSetup,
    controller: &ControllerId,
    number: u8,
) -> Option<DoorId> {
    let is = |(_, door): &(&DoorId, &blockgate_rules::access::setup::DoorSetup)| {
        door.controller == *controller && door.number == number
    };
    setup.doors.iter().find(is).map(|(id, _)| id.clone())
}

/// An entry of the controller's memory in the rules' words; `now` where its clock showed no time.
pub(super) fn entry(
    told: &door::Entry,
    setup: &AccessSetup,
    controller: &ControllerId,
    zone: &TimeZone,
    now: Time,
) -> event::Entry {
    let (event, denied) = happened(told.what);
    event::Entry {
        index: told.index,
        at: told.at.and_then(|civil| moment(civil, zone)).unwrap_or(now),
        door: door_of(setup, controller, told.door),
        event,
        denied,
        card: told.card,
        inward: told.inward,
    }
}

fn happened(what: door::Happened) -> (event::Happened, Option<event::Denial>) {
    use blockgate_rules::access::event::Happened as To;
    use door::Happened as From;
    let event = match what {
        From::Denied(why) => return (To::Denied, Some(denial(why))),
        From::Granted => To::Granted,
        From::Button => To::Button,
        From::Remote => To::Remote,
        From::SuperPassword => To::SuperPassword,
        From::Opened => To::Opened,
        From::Closed => To::Closed,
        From::Forced => To::Forced,
        From::HeldOpen => To::HeldOpen,
        From::Tamper => To::Tamper,
        From::Duress => To::Duress,
        From::Fire => To::Fire,
        From::ForceLock => To::ForceLock,
        From::Emergency => To::Emergency,
        From::PowerOn => To::PowerOn,
        From::FireOver | From::Other(_) => To::Other,
    };
    (event, None)
}

fn denial(why: door::Denial) -> event::Denial {
    use blockgate_rules::access::event::Denial as To;
    use door::Denial as From;
    match why {
        From::NoRight => To::NoRight,
        From::Pin => To::Pin,
        From::AntiPassback => To::AntiPassback,
        From::MoreCards => To::MoreCards,
        From::FirstCard => To::FirstCard,
        From::Locked => To::Locked,
        From::Interlock => To::Interlock,
        From::Count => To::Count,
        From::Schedule => To::Schedule,
        From::Expired => To::Expired,
        From::Host => To::Host,
        From::Other => To::Other,
    }
}
