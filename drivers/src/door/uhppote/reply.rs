//! What a controller answers, and the events that it sends by itself.

use super::reason::happened;
use super::request::{self, Card, Profile, Request};
use super::wire::{Reader, Writer, join};
use super::{DOORS, LEN, SOM, SOM_662};
use crate::door::{Civil, Control, Entry, Happened};
use std::net::Ipv4Addr;

/// Why a datagram is not the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadReply {
    /// Not 64 bytes.
    Length(usize),
    /// Another first byte.
    Start(u8),
    /// From another controller.
    Serial(u32),
    /// An answer to something else.
    Code(u8),
    /// A field that is none.
    Field(&'static str),
    /// The answer to an earlier question of the same kind.
    Stale,
}

impl std::fmt::Display for BadReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Length(n) => write!(f, "a datagram of {n} bytes, not 64"),
            Self::Start(byte) => write!(f, "begins with {byte:02X}, not 17"),
            Self::Serial(serial) => write!(f, "from the controller {serial}, which was not asked"),
            Self::Code(code) => write!(f, "an answer of code {code:02X} to another question"),
            Self::Field(name) => write!(f, "{name} is no value"),
            Self::Stale => f.write_str("the answer to an earlier question"),
        }
    }
}

impl std::error::Error for BadReply {}

/// A controller's state, as it says it when asked, and with each event that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The newest event; `None` where its memory is empty.
    pub newest: Option<Entry>,
    /// Which doors stand open.
    pub open: [bool; DOORS],
    /// Which buttons are pressed.
    pub buttons: [bool; DOORS],
    /// Which locks are released.
    pub unlocked: [bool; DOORS],
    /// Its own error number; 0 is none.
    pub error: u8,
    /// The "lock all" input is on.
    pub force_lock: bool,
    /// The fire input is on.
    pub fire: bool,
    /// Its clock.
    pub clock: Option<Civil>,
    /// Number of the datagram, of firmware that counts them.
    pub sequence: u32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Who it is: address, firmware as `0892`.
    Device(Ipv4Addr, u16),
    /// Its state.
    Status(Box<Status>),
    /// Its clock.
    Time(Option<Civil>),
    /// Whether it did it.
    Done(bool),
    /// A card; `None` where there is none.
    Card(Option<Card>),
    /// The card at a place was deleted.
    Deleted,
    /// How many cards.
    Count(u32),
    /// How a door is controlled: door, mode, delay in seconds.
    Control(u8, Control, u8),
    /// Anti-passback.
    AntiPassback(u8),
    /// A time profile; `None` where it is not set.
    Profile(Option<Profile>),
    /// Where events go.
    Listener(Ipv4Addr, u16, u8),
    /// An event.
    Event(Entry),
    /// There is no event of this index.
    NoEvent,
    /// The event of this index was overwritten.
    Overwritten,
    /// Up to where a client has read.
    Index(u32),
}

/// Reads the answer to `asked` of the controller `serial`.
///
/// # Errors
/// [`BadReply`]: it is none. It may be a late answer to an earlier question, or not the controller's.
pub fn read(asked: &Request, serial: u32, datagram: &[u8]) -> Result<Reply, BadReply> {
    let d = head(datagram, SOM)?;
    if d.long(4) != serial {
        return Err(BadReply::Serial(d.long(4)));
    }
    if d.byte(1) != asked.code() {
        return Err(BadReply::Code(d.byte(1)));
    }
    let address = || Ipv4Addr::new(d.byte(8), d.byte(9), d.byte(10), d.byte(11));
    Ok(match asked {
        Request::GetDevice => {
            Reply::Device(address(), u16::from_be_bytes([d.byte(26), d.byte(27)]))
        }
        Request::GetStatus => Reply::Status(Box::new(status(&d))),
        Request::GetTime | Request::SetTime(_) => Reply::Time(d.civil(8)),
        Request::Open(_)
        | Request::PutCard(_)
        | Request::DeleteCard(_)
        | Request::DeleteCards
        | Request::SetAntiPassback(_)
        | Request::ClearProfiles
        | Request::RecordSpecial(_)
        | Request::SetListener(..)
        | Request::SetProfile(_)
        | Request::SetIndex(_) => Reply::Done(match d.byte(8) {
            0 => false,
            1 => true,
            _ => return Err(BadReply::Field("the flag")),
        }),
        Request::GetCard(number) => {
            let reply = card(&d)?;
            if matches!(&reply, Reply::Card(Some(card)) if card.number != *number) {
                return Err(BadReply::Stale);
            }
            reply
        }
        Request::GetCardAt(_) => card(&d)?,
        Request::CountCards => Reply::Count(d.long(8)),
        Request::SetControl(door, ..) | Request::GetControl(door) => {
            if d.byte(8) != *door {
                return Err(BadReply::Stale);
            }
            let control = request::control(d.byte(9)).ok_or(BadReply::Field("the mode"))?;
            Reply::Control(d.byte(8), control, d.byte(10))
        }
        Request::GetAntiPassback => Reply::AntiPassback(d.byte(8)),
        Request::GetProfile(id) => match d.byte(8) {
            0 => Reply::Profile(None),
            n if n == *id => Reply::Profile(request::profile(&d)),
            _ => return Err(BadReply::Stale),
        },
        Request::GetListener => Reply::Listener(address(), d.short(12), d.byte(14)),
        Request::GetEvent(index) => event(&d, *index)?,
        Request::GetIndex => Reply::Index(d.long(8)),
    })
}

/// Reads an event that a controller sends by itself: its serial number and state. It is not
/// acknowledged and may be anybody's; it is only ever a hint to ask.
///
/// # Errors
/// [`BadReply`].
pub fn read_sent(datagram: &[u8]) -> Result<(u32, Status), BadReply> {
    let d = match datagram.first() {
        Some(&SOM_662) => head(datagram, SOM_662)?,
        _ => head(datagram, SOM)?,
    };
    if d.byte(1) != Request::GetStatus.code() {
        return Err(BadReply::Code(d.byte(1)));
    }
    Ok((d.long(4), status(&d)))
}

fn head(datagram: &[u8], som: u8) -> Result<Reader<'_>, BadReply> {
    if datagram.len() != LEN {
        return Err(BadReply::Length(datagram.len()));
    }
    let d = Reader(datagram);
    if d.byte(0) != som { Err(BadReply::Start(d.byte(0))) } else { Ok(d) }
}

/// The entry whose fields begin at 8.
fn entry(d: &Reader<'_>) -> Entry {
    let (kind, card) = (d.byte(12), d.long(16));
    let what = happened(kind, d.flag(13), d.byte(27));
    // What is no swipe carries something else where a card would stand: who sent a command.
    let has_card = kind == 1 || what == Happened::Duress;
    Entry {
        index: u64::from(d.long(8)),
        at: d.civil(20),
        door: d.byte(14),
        what,
        card: (has_card && card != 0).then_some(u64::from(card)),
        inward: match (kind, d.byte(15)) {
            (1, 1) => Some(true),
            (1, 2) => Some(false),
            _ => None,
        },
    }
}

fn event(d: &Reader<'_>, asked: u32) -> Result<Reply, BadReply> {
    let index = d.long(8);
    // 0 and FFFFFFFF ask for the oldest and the newest, whatever their numbers.
    if !matches!(asked, 0 | u32::MAX) && index != asked && index != 0 {
        return Err(BadReply::Stale);
    }
    Ok(match d.byte(12) {
        0xFF => Reply::Overwritten,
        0 => Reply::NoEvent,
        _ if index == 0 => Reply::NoEvent,
        _ => Reply::Event(entry(d)),
    })
}

fn status(d: &Reader<'_>) -> Status {
    let newest = (d.long(8) != 0 && d.byte(12) != 0).then(|| entry(d));
    let (relays, inputs) = (d.byte(49), d.byte(50));
    Status {
        newest,
        open: d.four(28),
        buttons: d.four(32),
        unlocked: [1, 2, 4, 8].map(|bit| relays & bit != 0),
        error: d.byte(36),
        force_lock: inputs & 1 != 0,
        fire: inputs & 2 != 0,
        clock: d.short_date(51).zip(d.time(37)).and_then(|(date, time)| join(date, time)),
        sequence: d.long(40),
    }
}

fn card(d: &Reader<'_>) -> Result<Reply, BadReply> {
    match d.long(8) {
        0 => Ok(Reply::Card(None)),
        u32::MAX => Ok(Reply::Deleted),
        _ => request::card(d).map(|card| Reply::Card(Some(card))).ok_or(BadReply::Field("a date")),
    }
}

/// Writes the answer to a request, for simulators.
pub(crate) fn write(code: u8, serial: u32, reply: &Reply) -> [u8; LEN] {
    let mut out = Writer::new(SOM, code, serial);
    match reply {
        Reply::Device(address, version) => {
            out.bytes(8, &address.octets());
            out.bytes(26, &version.to_be_bytes());
            out.date(28, crate::door::CivilDate { year: 2018, month: 11, day: 5 });
        }
        Reply::Status(status) => put_status(&mut out, status),
        Reply::Time(time) => {
            if let Some(time) = time {
                out.civil(8, *time);
            }
        }
        Reply::Done(done) => out.byte(8, u8::from(*done)),
        Reply::Card(None) | Reply::Profile(None) | Reply::NoEvent => {}
        Reply::Card(Some(card)) => request::put_card(&mut out, card),
        Reply::Deleted => out.long(8, u32::MAX),
        Reply::Count(n) | Reply::Index(n) => out.long(8, *n),
        Reply::Control(door, control, delay) => {
            out.bytes(8, &[*door, request::mode(*control), *delay]);
        }
        Reply::AntiPassback(mode) => out.byte(8, *mode),
        Reply::Profile(Some(profile)) => request::put_profile(&mut out, profile),
        Reply::Listener(address, port, interval) => {
            out.bytes(8, &address.octets());
            out.short(12, *port);
            out.byte(14, *interval);
        }
        Reply::Event(entry) => put_entry(&mut out, entry),
        Reply::Overwritten => out.byte(12, 0xFF),
    }
    out.0
}

fn put_status(out: &mut Writer, status: &Status) {
    if let Some(newest) = &status.newest {
        put_entry(out, newest);
    }
    out.bytes(28, &status.open.map(u8::from));
    out.bytes(32, &status.buttons.map(u8::from));
    out.byte(36, status.error);
    out.long(40, status.sequence);
    let relays = status.unlocked.iter().zip([1, 2, 4, 8]).filter(|(on, _)| **on);
    out.byte(49, relays.fold(0, |all, (_, bit)| all | bit));
    out.byte(50, u8::from(status.force_lock) | (u8::from(status.fire) << 1));
    if let Some(clock) = status.clock {
        let two = crate::bcd::from_two;
        out.bytes(37, &[clock.hour, clock.minute, clock.second].map(two));
        let year = u8::try_from(clock.year % 100).unwrap_or(0);
        out.bytes(51, &[year, clock.month, clock.day].map(two));
    }
}

/// Kind, whether granted, and reason of what happened: the inverse of [`happened`].
fn numbers(what: Happened) -> (u8, bool, u8) {
    use crate::door::Denial;
    match what {
        Happened::Granted => (1, true, 1),
        Happened::Denied(why) => {
            let reason = match why {
                Denial::Host => 5,
                Denial::NoRight => 6,
                Denial::Pin => 7,
                Denial::AntiPassback => 8,
                Denial::MoreCards => 9,
                Denial::FirstCard => 10,
                Denial::Locked => 11,
                Denial::Interlock => 12,
                Denial::Count => 13,
                Denial::Schedule => 15,
                Denial::Expired | Denial::Other => 18,
            };
            (1, false, reason)
        }
        Happened::Button => (2, true, 20),
        Happened::Opened => (2, true, 23),
        Happened::Closed => (2, true, 24),
        Happened::SuperPassword => (2, true, 25),
        Happened::PowerOn => (3, true, 28),
        Happened::Remote => (2, true, 44),
        Happened::Duress => (3, false, 34),
        Happened::HeldOpen => (3, false, 37),
        Happened::Forced => (3, false, 38),
        Happened::Fire => (3, false, 39),
        Happened::ForceLock => (3, false, 40),
        Happened::Tamper => (3, false, 41),
        Happened::Emergency => (3, false, 43),
        // This kind tells only that it began.
        Happened::FireOver => (3, false, 0),
        Happened::Other(reason) => (3, false, reason),
    }
}

fn put_entry(out: &mut Writer, entry: &Entry) {
    let (kind, granted, reason) = numbers(entry.what);
    out.long(8, u32::try_from(entry.index).unwrap_or(u32::MAX));
    out.bytes(12, &[kind, u8::from(granted), entry.door]);
    out.byte(
        15,
        match entry.inward {
            Some(true) | None => 1,
            Some(false) => 2,
        },
    );
    out.long(16, entry.card.and_then(|card| u32::try_from(card).ok()).unwrap_or(0));
    if let Some(at) = entry.at {
        out.civil(20, at);
    }
    out.byte(27, reason);
}
