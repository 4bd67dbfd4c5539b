//! A captured datagram, explained to a person.

use super::reply::{self, Reply, Status};
use super::request::Request;
use super::wire::Reader;
use super::{LEN, SOM, SOM_662};
use crate::Decoded;
use crate::door::Entry;

/// Explains a datagram. Requests and replies share their codes: one whose body is empty, or whose code
/// only a client sends with a body, is taken for a request.
#[must_use]
pub fn decode_frame(bytes: &[u8]) -> Decoded {
    let mut out = Decoded::of("UHPPOTE");
    if bytes.len() != LEN {
        out.wrong(format!("a datagram has 64 bytes, not {}", bytes.len()));
        return out;
    }
    let d = Reader(bytes);
    if !matches!(d.byte(0), SOM | SOM_662) {
        out.wrong(format!("begins with {:02X}, not 17 or 19", d.byte(0)));
        return out;
    }
    out.valid = true;
    out.field("som", format!("{:02X}", d.byte(0)));
    out.field("code", format!("{:02X}", d.byte(1)));
    out.field("serial", d.long(4).to_string());
    let asked = Request::read(bytes).map(|(_, request)| request);
    match asked {
        Some(request) if is_request(&request, bytes) => {
            out.kind = "request";
            request_fields(&mut out, &request);
        }
        _ => {
            let Some(asked) = question(d.byte(1), &d) else {
                out.wrong("a code that is not known here");
                return out;
            };
            let read = if d.byte(0) == SOM_662 {
                reply::read_sent(bytes).map(|(_, status)| Reply::Status(Box::new(status)))
            } else {
                reply::read(&asked, d.long(4), bytes)
            };
            match read {
                Ok(reply) => {
                    out.kind = "reply";
                    reply_fields(&mut out, &reply);
                }
                Err(why) => out.wrong(why.to_string()),
            }
        }
    }
    out
}

/// Whether a datagram of this form is asked by a client. What is put (cards, profiles, times) is
/// answered in another form or by the same; there the client's side is told.
fn is_request(request: &Request, bytes: &[u8]) -> bool {
    let body = bytes.get(8..).unwrap_or_default();
    let rest_is_empty = |from: usize| body.iter().skip(from).all(|byte| *byte == 0);
    match request {
        Request::GetDevice
        | Request::GetStatus
        | Request::GetTime
        | Request::CountCards
        | Request::GetAntiPassback
        | Request::GetListener
        | Request::GetIndex => rest_is_empty(0),
        Request::GetControl(_) | Request::GetProfile(_) => rest_is_empty(1),
        Request::GetCard(_) | Request::GetCardAt(_) | Request::GetEvent(_) => rest_is_empty(4),
        // An answer to these is one flag; number 1 looks like it and is taken for the question.
        Request::Open(_)
        | Request::DeleteCard(_)
        | Request::SetAntiPassback(_)
        | Request::RecordSpecial(_) => true,
        Request::PutCard(_)
        | Request::DeleteCards
        | Request::ClearProfiles
        | Request::SetProfile(_)
        | Request::SetTime(_)
        | Request::SetControl(..)
        | Request::SetIndex(_) => true,
        Request::SetListener(..) => !rest_is_empty(1),
    }
}

/// The question that a reply of a code answers, as far as its body tells.
fn question(code: u8, d: &Reader<'_>) -> Option<Request> {
    let first = d.byte(8);
    Some(match code {
        0x94 => Request::GetDevice,
        0x20 => Request::GetStatus,
        0x30 | 0x32 => Request::GetTime,
        0x40 => Request::Open(first),
        0x50 | 0x52 | 0x54 | 0x84 | 0x88 | 0x8A | 0x8E | 0x90 | 0xB2 => return flag_of(code),
        0x58 => Request::CountCards,
        0x5A => Request::GetCard(d.long(8)),
        0x5C => Request::GetCardAt(1),
        0x80 | 0x82 => Request::GetControl(first),
        0x86 => Request::GetAntiPassback,
        0x98 => Request::GetProfile(first),
        0x92 => Request::GetListener,
        0xB0 => Request::GetEvent(d.long(8)),
        0xB4 => Request::GetIndex,
        _ => return None,
    })
}

/// A request of a code whose answer is a flag.
fn flag_of(code: u8) -> Option<Request> {
    let card = super::Card {
        number: 1,
        from: crate::door::CivilDate::default(),
        to: crate::door::CivilDate::default(),
        doors: [0; 4],
        pin: 0,
    };
    let all = [
        Request::PutCard(card),
        Request::DeleteCard(1),
        Request::DeleteCards,
        Request::SetAntiPassback(0),
        Request::ClearProfiles,
        Request::RecordSpecial(true),
        Request::SetListener(std::net::Ipv4Addr::UNSPECIFIED, 0, 0),
        Request::SetIndex(0),
    ];
    all.into_iter().find(|request| request.code() == code)
}

fn request_fields(out: &mut Decoded, request: &Request) {
    match request {
        Request::GetDevice => out.field("asks", "who is there"),
        Request::GetStatus => out.field("asks", "status"),
        Request::GetTime => out.field("asks", "clock"),
        Request::CountCards => out.field("asks", "number of cards"),
        Request::GetAntiPassback => out.field("asks", "anti-passback"),
        Request::GetListener => out.field("asks", "listener"),
        Request::GetIndex => out.field("asks", "event index"),
        Request::DeleteCards => out.field("orders", "delete all cards"),
        Request::ClearProfiles => out.field("orders", "clear time profiles"),
        Request::SetTime(time) => out.field("timestamp", time.to_string()),
        Request::Open(door) | Request::GetControl(door) => out.field("door", door.to_string()),
        Request::PutCard(card) => card_fields(out, card),
        Request::DeleteCard(card) | Request::GetCard(card) => out.field("card", card.to_string()),
        Request::GetCardAt(index) | Request::GetEvent(index) | Request::SetIndex(index) => {
            out.field("index", index.to_string());
        }
        Request::SetControl(door, control, delay) => control_fields(out, *door, *control, *delay),
        Request::SetAntiPassback(mode) => out.field("antipassback", mode.to_string()),
        Request::SetProfile(profile) => profile_fields(out, profile),
        Request::GetProfile(id) => out.field("profile", id.to_string()),
        Request::RecordSpecial(on) => out.field("on", on.to_string()),
        Request::SetListener(address, port, interval) => {
            out.field("address", address.to_string());
            out.field("port", port.to_string());
            out.field("interval", interval.to_string());
        }
    }
}

fn control_fields(out: &mut Decoded, door: u8, control: crate::door::Control, delay: u8) {
    out.field("door", door.to_string());
    out.field("mode", super::request::mode(control).to_string());
    out.field("delay", delay.to_string());
}

fn card_fields(out: &mut Decoded, card: &super::Card) {
    out.field("card", card.number.to_string());
    out.field("from", card.from.to_string());
    out.field("to", card.to.to_string());
    out.field("doors", card.doors.map(|door| door.to_string()).join(" "));
    out.field("pin", card.pin.to_string());
}

fn profile_fields(out: &mut Decoded, profile: &super::Profile) {
    out.field("profile", profile.id.to_string());
    out.field("from", profile.from.to_string());
    out.field("to", profile.to.to_string());
    out.field("weekdays", flags(&profile.weekdays));
    let clock = |m: u16| format!("{:02}:{:02}", m / 60, m % 60);
    let segments =
        profile.segments.map(|(from, until)| format!("{}-{}", clock(from), clock(until)));
    out.field("segments", segments.join(" "));
    out.field("linked", profile.linked.to_string());
}

fn flags(all: &[bool]) -> String {
    let words: Vec<&str> = all.iter().map(|on| if *on { "true" } else { "false" }).collect();
    words.join(" ")
}

fn reply_fields(out: &mut Decoded, reply: &Reply) {
    match reply {
        Reply::Device(address, version) => {
            out.field("ip", address.to_string());
            out.field("version", format!("{version:04x}"));
        }
        Reply::Status(status) => status_fields(out, status),
        Reply::Time(time) => {
            let text = time.map_or_else(|| "none".to_owned(), |time| time.to_string());
            out.field("timestamp", text);
        }
        Reply::Done(done) => out.field("ok", done.to_string()),
        Reply::Card(Some(card)) => card_fields(out, card),
        Reply::Card(None) => out.field("card", "not found"),
        Reply::Deleted => out.field("card", "deleted"),
        Reply::Count(n) => out.field("cards", n.to_string()),
        Reply::Control(door, control, delay) => control_fields(out, *door, *control, *delay),
        Reply::AntiPassback(mode) => out.field("antipassback", mode.to_string()),
        Reply::Profile(Some(profile)) => profile_fields(out, profile),
        Reply::Profile(None) => out.field("profile", "not set"),
        Reply::Listener(address, port, interval) => {
            out.field("address", address.to_string());
            out.field("port", port.to_string());
            out.field("interval", interval.to_string());
        }
        Reply::Event(entry) => entry_fields(out, entry),
        Reply::NoEvent => out.field("event", "none"),
        Reply::Overwritten => out.field("event", "overwritten"),
        Reply::Index(n) => out.field("index", n.to_string()),
    }
}

fn entry_fields(out: &mut Decoded, entry: &Entry) {
    out.field("index", entry.index.to_string());
    out.field("what", format!("{:?}", entry.what).to_lowercase());
    out.field("door", entry.door.to_string());
    let none = || "none".to_owned();
    out.field("card", entry.card.map_or_else(none, |card| card.to_string()));
    out.field("timestamp", entry.at.map_or_else(none, |at| at.to_string()));
    if let Some(inward) = entry.inward {
        out.field("direction", if inward { "in" } else { "out" });
    }
}

fn status_fields(out: &mut Decoded, status: &Status) {
    if let Some(newest) = &status.newest {
        entry_fields(out, newest);
    }
    out.field("doors_open", flags(&status.open));
    out.field("buttons", flags(&status.buttons));
    out.field("unlocked", flags(&status.unlocked));
    out.field("system_error", status.error.to_string());
    out.field("sequence", status.sequence.to_string());
    out.field("force_lock", status.force_lock.to_string());
    out.field("fire", status.fire.to_string());
    let clock = status.clock.map_or_else(|| "none".to_owned(), |clock| clock.to_string());
    out.field("clock", clock);
}
