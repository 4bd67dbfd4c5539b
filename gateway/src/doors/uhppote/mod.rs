//! UHPPOTE controllers: the rules' words as their requests, and what they say in the rules' words.
//! [`task`] is the task of one.

pub(super) mod task;

use super::words::{control, date, day};
use blockgate_drivers::door::uhppote::{Card, Profile, Request};
use blockgate_rules::access::profile;
use blockgate_rules::access::setup::Window;
use blockgate_rules::access::{Push, Row};

/// What is sent for a change; `None` for one that this kind of controller cannot keep.
pub(super) fn request(push: &Push) -> Option<Request> {
    Some(match push {
        Push::Door(number, hold, unlock_s) => {
            Request::SetControl(*number, control(*hold), *unlock_s)
        }
        Push::Delete(card) => Request::DeleteCard(u32::try_from(*card).ok()?),
        Push::Put(number, row) => Request::PutCard(Card {
            number: u32::try_from(*number).ok()?,
            from: date(row.from),
            to: date(row.to),
            doors: row.doors,
            pin: row.pin,
        }),
        Push::Profile(id, profile) => {
            let mut segments = [(0, 0); 3];
            for (place, window) in segments.iter_mut().zip(&profile.segments) {
                // The last minute is inside: a window never lasts a minute longer than it says.
                *place = (window.from, window.until.saturating_sub(1));
            }
            Request::SetProfile(Profile {
                id: *id,
                from: date(profile.from),
                to: date(profile.to),
                weekdays: profile.weekdays,
                segments,
                linked: profile.linked,
            })
        }
        Push::AntiPassback(mode) => Request::SetAntiPassback(*mode),
    })
}

/// A card as a controller has it.
pub(super) fn row(card: &Card) -> Option<(u64, Row)> {
    let row = Row { from: day(card.from)?, to: day(card.to)?, doors: card.doors, pin: card.pin };
    Some((u64::from(card.number), row))
}

/// A time profile as a controller has it.
pub(super) fn profile(profile: &Profile) -> Option<(u8, profile::Profile)> {
    let window = |(from, until): &(u16, u16)| {
        (from != until).then_some(Window { from: *from, until: until.saturating_add(1) })
    };
    let found = profile::Profile {
        from: day(profile.from)?,
        to: day(profile.to)?,
        weekdays: profile.weekdays,
        segments: profile.segments.iter().filter_map(window).collect(),
        linked: profile.linked,
    };
    Some((profile.id, found))
}
