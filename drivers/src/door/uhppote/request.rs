//! What a controller is asked and told.

use super::wire::{Reader, Writer};
use super::{DOORS, LEN, MAGIC, SOM};
use crate::door::{Civil, CivilDate, Control};
use std::net::Ipv4Addr;

/// A card as a controller keeps it. Put again, it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Card {
    /// Its number; see [`super::is_card`].
    pub number: u32,
    /// First day.
    pub from: CivilDate,
    /// Last day.
    pub to: CivilDate,
    /// For each door: 0 no, 1 always, 2 to 254 by that time profile.
    pub doors: [u8; DOORS],
    /// PIN, at most 999999; 0 for none.
    pub pin: u32,
}

/// A time profile: weekdays and up to three segments; others may be linked to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profile {
    /// Its number, 2 to 254.
    pub id: u8,
    /// First day.
    pub from: CivilDate,
    /// Last day.
    pub to: CivilDate,
    /// Monday first.
    pub weekdays: [bool; 7],
    /// Minutes of the day, from and until; equal ones are none. The end's minute is inside.
    pub segments: [(u16, u16); 3],
    /// The next profile that holds as well; 0 for none.
    pub linked: u8,
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Who is there; with serial 0 everybody answers.
    GetDevice,
    /// State of the doors, and the newest event.
    GetStatus,
    /// Its clock.
    GetTime,
    /// Sets its clock.
    SetTime(Civil),
    /// Opens a door for its delay.
    Open(u8),
    /// Adds or replaces a card.
    PutCard(Card),
    /// Takes a card out.
    DeleteCard(u32),
    /// Takes all cards out.
    DeleteCards,
    /// How many cards it keeps.
    CountCards,
    /// A card by its number.
    GetCard(u32),
    /// A card by its place, from 1.
    GetCardAt(u32),
    /// Sets how a door is controlled: mode, and for how many seconds an opening unlocks.
    SetControl(u8, Control, u8),
    /// How a door is controlled.
    GetControl(u8),
    /// Anti-passback: 0 off, 1 (1:2)(3:4), 2 (1,3):(2,4), 3 1:(2,3), 4 1:(2,3,4).
    SetAntiPassback(u8),
    /// Anti-passback as it is.
    GetAntiPassback,
    /// Sets a time profile.
    SetProfile(Profile),
    /// A time profile.
    GetProfile(u8),
    /// Clears all time profiles.
    ClearProfiles,
    /// Whether contacts and buttons make events too.
    RecordSpecial(bool),
    /// Where events are sent to as they happen, and every how many seconds the status is (0 never).
    SetListener(Ipv4Addr, u16, u8),
    /// Where events are sent to.
    GetListener,
    /// The event of an index; 0 is the oldest, FFFFFFFF the newest.
    GetEvent(u32),
    /// Notes in the controller up to where a client has read.
    SetIndex(u32),
    /// Up to where a client has read.
    GetIndex,
}

impl Request {
    /// The code; the reply has the same.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::GetDevice => 0x94,
            Self::GetStatus => 0x20,
            Self::GetTime => 0x32,
            Self::SetTime(_) => 0x30,
            Self::Open(_) => 0x40,
            Self::PutCard(_) => 0x50,
            Self::DeleteCard(_) => 0x52,
            Self::DeleteCards => 0x54,
            Self::CountCards => 0x58,
            Self::GetCard(_) => 0x5A,
            Self::GetCardAt(_) => 0x5C,
            Self::SetControl(..) => 0x80,
            Self::GetControl(_) => 0x82,
            Self::SetAntiPassback(_) => 0x84,
            Self::GetAntiPassback => 0x86,
            Self::SetProfile(_) => 0x88,
            Self::GetProfile(_) => 0x98,
            Self::ClearProfiles => 0x8A,
            Self::RecordSpecial(_) => 0x8E,
            Self::SetListener(..) => 0x90,
            Self::GetListener => 0x92,
            Self::GetEvent(_) => 0xB0,
            Self::SetIndex(_) => 0xB2,
            Self::GetIndex => 0xB4,
        }
    }

    /// Its datagram for the controller of a serial number.
    #[must_use]
    pub fn encode(&self, serial: u32) -> [u8; LEN] {
        let mut out = Writer::new(SOM, self.code(), serial);
        match self {
            Self::GetDevice
            | Self::GetStatus
            | Self::GetTime
            | Self::CountCards
            | Self::GetAntiPassback
            | Self::GetListener
            | Self::GetIndex => {}
            Self::SetTime(time) => out.civil(8, *time),
            Self::Open(n)
            | Self::GetControl(n)
            | Self::SetAntiPassback(n)
            | Self::GetProfile(n) => {
                out.byte(8, *n);
            }
            Self::PutCard(card) => put_card(&mut out, card),
            Self::DeleteCard(n) | Self::GetCard(n) | Self::GetCardAt(n) | Self::GetEvent(n) => {
                out.long(8, *n);
            }
            Self::DeleteCards | Self::ClearProfiles => out.long(8, MAGIC),
            Self::SetControl(door, control, delay) => {
                out.bytes(8, &[*door, mode(*control), *delay]);
            }
            Self::SetProfile(profile) => put_profile(&mut out, profile),
            Self::RecordSpecial(on) => out.byte(8, u8::from(*on)),
            Self::SetListener(address, port, interval) => {
                out.bytes(8, &address.octets());
                out.short(12, *port);
                out.byte(14, *interval);
            }
            Self::SetIndex(index) => {
                out.long(8, *index);
                out.long(12, MAGIC);
            }
        }
        out.0
    }

    /// Reads a request, for simulators and for people; `None` where it is none that is known here.
    #[must_use]
    pub fn read(datagram: &[u8]) -> Option<(u32, Self)> {
        let d = Reader(datagram);
        if datagram.len() != LEN || d.byte(0) != SOM {
            return None;
        }
        let (n, long) = (d.byte(8), d.long(8));
        let magic = |at| (d.long(at) == MAGIC).then_some(());
        let request = match d.byte(1) {
            0x94 => Self::GetDevice,
            0x20 => Self::GetStatus,
            0x32 => Self::GetTime,
            0x30 => Self::SetTime(d.civil(8)?),
            0x40 => Self::Open(n),
            0x50 => Self::PutCard(card(&d)?),
            0x52 => Self::DeleteCard(long),
            0x54 => magic(8).map(|()| Self::DeleteCards)?,
            0x58 => Self::CountCards,
            0x5A => Self::GetCard(long),
            0x5C => Self::GetCardAt(long),
            0x80 => Self::SetControl(n, control(d.byte(9))?, d.byte(10)),
            0x82 => Self::GetControl(n),
            0x84 => Self::SetAntiPassback(n),
            0x86 => Self::GetAntiPassback,
            0x88 => Self::SetProfile(profile(&d)?),
            0x98 => Self::GetProfile(n),
            0x8A => magic(8).map(|()| Self::ClearProfiles)?,
            0x8E => Self::RecordSpecial(d.flag(8)),
            0x90 => {
                let address = Ipv4Addr::new(d.byte(8), d.byte(9), d.byte(10), d.byte(11));
                Self::SetListener(address, d.short(12), d.byte(14))
            }
            0x92 => Self::GetListener,
            0xB0 => Self::GetEvent(long),
            0xB2 => magic(12).map(|()| Self::SetIndex(long))?,
            0xB4 => Self::GetIndex,
            _ => return None,
        };
        Some((d.long(4), request))
    }
}

/// Mode byte of door control.
#[must_use]
pub(super) fn mode(control: Control) -> u8 {
    match control {
        Control::Open => 1,
        Control::Locked => 2,
        Control::Normal => 3,
    }
}

/// What a mode byte means.
#[must_use]
pub(super) fn control(mode: u8) -> Option<Control> {
    match mode {
        1 => Some(Control::Open),
        2 => Some(Control::Locked),
        3 => Some(Control::Normal),
        _ => None,
    }
}

pub(super) fn put_card(out: &mut Writer, card: &Card) {
    out.long(8, card.number);
    out.date(12, card.from);
    out.date(16, card.to);
    out.bytes(20, &card.doors);
    // Three bytes: what lies above has no place.
    out.bytes(24, card.pin.to_le_bytes().get(..3).unwrap_or_default());
}

pub(super) fn card(d: &Reader<'_>) -> Option<Card> {
    Some(Card {
        number: d.long(8),
        from: d.date(12)?,
        to: d.date(16)?,
        doors: [20, 21, 22, 23].map(|at| d.byte(at)),
        pin: u32::from_le_bytes([d.byte(24), d.byte(25), d.byte(26), 0]),
    })
}

pub(super) fn put_profile(out: &mut Writer, profile: &Profile) {
    out.byte(8, profile.id);
    out.date(9, profile.from);
    out.date(13, profile.to);
    out.bytes(17, &profile.weekdays.map(u8::from));
    let ends = profile.segments.iter().flat_map(|(from, until)| [*from, *until]);
    for (at, minutes) in [24, 26, 28, 30, 32, 34].into_iter().zip(ends) {
        out.minutes(at, minutes);
    }
    out.byte(36, profile.linked);
}

pub(super) fn profile(d: &Reader<'_>) -> Option<Profile> {
    let segment = |at: usize| Some((d.minutes(at)?, d.minutes(at.saturating_add(2))?));
    Some(Profile {
        id: d.byte(8),
        from: d.date(9)?,
        to: d.date(13)?,
        weekdays: [17, 18, 19, 20, 21, 22, 23].map(|at| d.flag(at)),
        segments: [segment(24)?, segment(28)?, segment(32)?],
        linked: d.byte(36),
    })
}
