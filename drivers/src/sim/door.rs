//! A simulated UHPPOTE controller: cards, time profiles, doors that are controlled, and an event memory
//! whose oldest entries are overwritten. It decides by its own list whether or not a gateway is there.

use super::SimClock;
use crate::door::uhppote::reply::{self, Reply, Status};
use crate::door::uhppote::{Card, DOORS, LEN, Profile, Request};
use crate::door::{Civil, CivilDate, Control, Denial, Entry, Happened};
use blockgate_types::{Span, Time};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that it keeps.
pub const MEMORY: usize = 20_000;

/// A controller's clock: as it was set, or in step with a simulated one.
#[derive(Debug, Clone, Copy)]
enum Clock {
    Still(Civil),
    Follows(SimClock, Span),
}

impl Clock {
    fn now(&self) -> Civil {
        match self {
            Self::Still(civil) => *civil,
            Self::Follows(clock, offset) => civil(clock.now().plus(*offset)),
        }
    }
}

/// A moment as it is written in UTC.
fn civil(at: Time) -> Civil {
    let text = at.to_string();
    let part = |from: usize, until: usize| text.get(from..until).and_then(|part| part.parse().ok());
    let two =
        |from: usize| part(from, from + 2).and_then(|n: u16| u8::try_from(n).ok()).unwrap_or(0);
    Civil {
        year: part(0, 4).unwrap_or(2000),
        month: two(5),
        day: two(8),
        hour: two(11),
        minute: two(14),
        second: two(17),
    }
}

struct Inner {
    serial: u32,
    cards: BTreeMap<u32, Card>,
    profiles: BTreeMap<u8, Profile>,
    control: [(Control, u8); DOORS],
    anti_passback: u8,
    special: bool,
    listener: (Ipv4Addr, u16, u8),
    events: VecDeque<Entry>,
    memory: usize,
    newest: u64,
    index: u32,
    open: [bool; DOORS],
    fire: bool,
    force_lock: bool,
    clock: Clock,
    plugged: bool,
    delay: Duration,
    opened: [u64; DOORS],
    requests: BTreeMap<u8, u64>,
    inside: BTreeMap<u32, bool>,
    wires: Vec<mpsc::Sender<(SocketAddr, Vec<u8>)>>,
}

/// A simulated controller; clones are the same one.
#[derive(Clone)]
pub struct SimController(Arc<Mutex<Inner>>);

impl std::fmt::Debug for SimController {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SimController").field(&self.lock().serial).finish()
    }
}

impl SimController {
    /// A controller as it comes from its box.
    #[must_use]
    pub fn new(serial: u32, clock: Civil) -> Self {
        Self::with(serial, Clock::Still(clock))
    }

    /// One whose clock follows a simulated one, at an offset from UTC.
    #[must_use]
    pub fn following(serial: u32, clock: SimClock, offset: Span) -> Self {
        Self::with(serial, Clock::Follows(clock, offset))
    }

    fn with(serial: u32, clock: Clock) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            serial,
            cards: BTreeMap::new(),
            profiles: BTreeMap::new(),
            control: [(Control::Normal, 3); DOORS],
            anti_passback: 0,
            special: false,
            listener: (Ipv4Addr::UNSPECIFIED, 0, 0),
            events: VecDeque::new(),
            memory: MEMORY,
            newest: 0,
            index: 0,
            open: [false; DOORS],
            fire: false,
            force_lock: false,
            clock,
            plugged: true,
            delay: Duration::ZERO,
            opened: [0; DOORS],
            requests: BTreeMap::new(),
            inside: BTreeMap::new(),
            wires: Vec::new(),
        })))
    }

    /// With another size of its event memory.
    #[must_use]
    pub fn with_memory(self, events: usize) -> Self {
        self.lock().memory = events.max(1);
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plugs its network cable in or out.
    pub fn plug(&self, plugged: bool) {
        self.lock().plugged = plugged;
    }

    /// How long it takes to answer, over a simulated network.
    pub fn answer_after(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// How long it takes to answer.
    pub(super) fn delay(&self) -> Duration {
        self.lock().delay
    }

    /// Sets its clock.
    pub fn set_clock(&self, clock: Civil) {
        self.lock().clock = Clock::Still(clock);
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Civil {
        self.lock().clock.now()
    }

    /// The fire input.
    pub fn fire(&self, on: bool) {
        let mut inner = self.lock();
        inner.fire = on;
        if on {
            inner.note(0, Happened::Fire, None);
        }
    }

    /// Somebody shows a card at a door, from 1. Whether it opens.
    pub fn swipe(&self, door: u8, card: u32, inward: bool) -> bool {
        let mut inner = self.lock();
        let what = inner.judge(door, card, inward);
        let at = inner.clock.now();
        inner.push(Entry {
            index: 0,
            at: Some(at),
            door,
            what,
            card: Some(u64::from(card)),
            inward: Some(inward),
        });
        let granted = what == Happened::Granted;
        if granted {
            inner.inside.insert(card, inward);
            inner.unlock(door);
        }
        granted
    }

    /// Something else happens at a door: a button, a door that is forced, a code under threat.
    pub fn happen(&self, door: u8, what: Happened, card: Option<u32>) {
        self.lock().note(door, what, card);
    }

    /// A door's contact opens or closes.
    pub fn contact(&self, door: u8, open: bool) {
        let mut inner = self.lock();
        if let Some(place) = inner.open.get_mut(usize::from(door.saturating_sub(1))) {
            *place = open;
        }
        if inner.special {
            let what = if open { Happened::Opened } else { Happened::Closed };
            inner.note(door, what, None);
        }
    }

    /// Everything is lost, as with a new controller in the old one's place.
    pub fn wipe(&self) {
        let mut inner = self.lock();
        inner.cards.clear();
        inner.profiles.clear();
        inner.events.clear();
        inner.newest = 0;
        inner.control = [(Control::Normal, 3); DOORS];
        inner.anti_passback = 0;
        inner.special = false;
    }

    /// Its cards.
    #[must_use]
    pub fn cards(&self) -> BTreeMap<u32, Card> {
        self.lock().cards.clone()
    }

    /// Its time profiles.
    #[must_use]
    pub fn profiles(&self) -> BTreeMap<u8, Profile> {
        self.lock().profiles.clone()
    }

    /// How a door is controlled.
    #[must_use]
    pub fn control(&self, door: u8) -> Option<Control> {
        self.lock().control.get(usize::from(door.saturating_sub(1))).map(|(control, _)| *control)
    }

    /// How often a door was opened by an order.
    #[must_use]
    pub fn opened(&self, door: u8) -> u64 {
        self.lock().opened.get(usize::from(door.saturating_sub(1))).copied().unwrap_or(0)
    }

    /// The number of its newest event.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// How often it was asked, by code.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<u8, u64> {
        self.lock().requests.clone()
    }

    /// Anti-passback as it is set.
    #[must_use]
    pub fn anti_passback(&self) -> u8 {
        self.lock().anti_passback
    }

    /// Sends a datagram to whoever is connected, as if from `whose`: a stranger's, or a recorded one.
    pub fn inject(&self, whose: SocketAddr, datagram: &[u8]) {
        for wire in &self.lock().wires {
            let _full = wire.try_send((whose, datagram.to_vec()));
        }
    }

    /// A gateway's channels to it.
    pub(super) fn wired(&self, wire: mpsc::Sender<(SocketAddr, Vec<u8>)>) {
        let mut inner = self.lock();
        inner.wires.retain(|wire| !wire.is_closed());
        inner.wires.push(wire);
    }

    /// Answers a datagram; `None` when it does not, because it is unplugged or it is not for it.
    #[must_use]
    pub fn answer(&self, datagram: &[u8]) -> Option<[u8; LEN]> {
        let mut inner = self.lock();
        if !inner.plugged {
            return None;
        }
        let (serial, request) = Request::read(datagram)?;
        if serial != inner.serial && serial != 0 {
            return None;
        }
        let times = inner.requests.entry(request.code()).or_default();
        *times = times.saturating_add(1);
        let reply = inner.reply(&request);
        Some(reply::write(request.code(), inner.serial, &reply))
    }
}

impl Inner {
    fn note(&mut self, door: u8, what: Happened, card: Option<u32>) {
        let at = Some(self.clock.now());
        self.push(Entry { index: 0, at, door, what, card: card.map(u64::from), inward: None });
    }

    fn push(&mut self, entry: Entry) {
        self.newest = self.newest.saturating_add(1);
        self.events.push_back(Entry { index: self.newest, ..entry });
        while self.events.len() > self.memory {
            self.events.pop_front();
        }
    }

    fn unlock(&mut self, door: u8) {
        if let Some(place) = self.opened.get_mut(usize::from(door.saturating_sub(1))) {
            *place = place.saturating_add(1);
        }
    }

    fn judge(&self, door: u8, number: u32, inward: bool) -> Happened {
        let place = usize::from(door.saturating_sub(1));
        if self.control.get(place).is_some_and(|(control, _)| *control == Control::Locked) {
            return Happened::Denied(Denial::Locked);
        }
        let Some(card) = self.cards.get(&number) else { return Happened::Denied(Denial::NoRight) };
        let today = self.clock.now().date();
        if today < card.from || today > card.to {
            return Happened::Denied(Denial::Other);
        }
        let right = card.doors.get(place).copied().unwrap_or(0);
        match right {
            0 => return Happened::Denied(Denial::NoRight),
            1 => {}
            id if self.in_profile(id) => {}
            _ => return Happened::Denied(Denial::Schedule),
        }
        if self.anti_passback != 0 && self.inside.get(&number) == Some(&inward) {
            return Happened::Denied(Denial::AntiPassback);
        }
        Happened::Granted
    }

    fn in_profile(&self, id: u8) -> bool {
        let (mut next, mut seen) = (id, 0);
        let now = self.clock.now();
        let minute = u16::from(now.hour).saturating_mul(60).saturating_add(u16::from(now.minute));
        let today = now.date();
        while let Some(profile) = self.profiles.get(&next).filter(|_| seen < 255) {
            let day = profile.weekdays.get(weekday(today)).copied().unwrap_or(false);
            let dates = profile.from <= today && today <= profile.to;
            let within =
                |(from, until): &(u16, u16)| from != until && (*from..=*until).contains(&minute);
            if day && dates && profile.segments.iter().any(within) {
                return true;
            }
            (next, seen) = (profile.linked, seen + 1);
        }
        false
    }

    fn control(&mut self, door: u8) -> Option<&mut (Control, u8)> {
        self.control.get_mut(usize::from(door.checked_sub(1)?))
    }

    fn reply(&mut self, request: &Request) -> Reply {
        match *request {
            Request::GetDevice => Reply::Device(Ipv4Addr::LOCALHOST, 0x0892),
            Request::GetStatus => Reply::Status(Box::new(self.status())),
            Request::GetTime => Reply::Time(Some(self.clock.now())),
            Request::SetTime(time) => {
                if let Clock::Still(clock) = &mut self.clock {
                    *clock = time;
                }
                Reply::Time(Some(time))
            }
            Request::Open(door) => {
                let known = usize::from(door) <= DOORS && door > 0;
                let locked = self.control(door).is_some_and(|c| c.0 == Control::Locked);
                if known && !locked {
                    self.unlock(door);
                    self.note(door, Happened::Remote, None);
                }
                Reply::Done(known && !locked)
            }
            Request::PutCard(card) => {
                self.cards.insert(card.number, card);
                Reply::Done(true)
            }
            Request::DeleteCard(number) => Reply::Done(self.cards.remove(&number).is_some()),
            Request::DeleteCards => {
                self.cards.clear();
                Reply::Done(true)
            }
            Request::CountCards => Reply::Count(u32::try_from(self.cards.len()).unwrap_or(0)),
            Request::GetCard(number) => Reply::Card(self.cards.get(&number).copied()),
            Request::GetCardAt(index) => {
                let place = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
                Reply::Card(place.and_then(|place| self.cards.values().nth(place)).copied())
            }
            Request::SetControl(door, control, delay) => match self.control(door) {
                Some(place) => {
                    *place = (control, delay);
                    Reply::Control(door, control, delay)
                }
                None => Reply::Control(door, Control::Normal, 0),
            },
            Request::GetControl(door) => match self.control(door) {
                Some((control, delay)) => Reply::Control(door, *control, *delay),
                None => Reply::Control(door, Control::Normal, 0),
            },
            Request::SetAntiPassback(mode) => {
                self.anti_passback = mode;
                Reply::Done(true)
            }
            Request::GetAntiPassback => Reply::AntiPassback(self.anti_passback),
            Request::SetProfile(profile) => {
                self.profiles.insert(profile.id, profile);
                Reply::Done(true)
            }
            Request::GetProfile(id) => Reply::Profile(self.profiles.get(&id).copied()),
            Request::ClearProfiles => {
                self.profiles.clear();
                Reply::Done(true)
            }
            Request::RecordSpecial(on) => {
                self.special = on;
                Reply::Done(true)
            }
            Request::SetListener(address, port, interval) => {
                self.listener = (address, port, interval);
                Reply::Done(true)
            }
            Request::GetListener => {
                let (address, port, interval) = self.listener;
                Reply::Listener(address, port, interval)
            }
            Request::GetEvent(index) => self.event(index),
            Request::SetIndex(index) => {
                self.index = index;
                Reply::Done(true)
            }
            Request::GetIndex => Reply::Index(self.index),
        }
    }

    fn event(&self, index: u32) -> Reply {
        let found = match index {
            0 => self.events.front(),
            u32::MAX => self.events.back(),
            _ => {
                let first = self.events.front().map_or(0, |entry| entry.index);
                let place = u64::from(index).checked_sub(first);
                if place.is_none() && first > 0 {
                    return Reply::Overwritten;
                }
                place.and_then(|place| self.events.get(usize::try_from(place).ok()?))
            }
        };
        found.map_or(Reply::NoEvent, |entry| Reply::Event(entry.clone()))
    }

    fn status(&self) -> Status {
        Status {
            newest: self.events.back().cloned(),
            open: self.open,
            buttons: [false; DOORS],
            unlocked: self.control.map(|(control, _)| control == Control::Open),
            error: 0,
            force_lock: self.force_lock,
            fire: self.fire,
            clock: Some(self.clock.now()),
            sequence: 0,
        }
    }
}

/// Monday is 0 (Zeller's congruence).
fn weekday(date: CivilDate) -> usize {
    let CivilDate { year, month, day } = date;
    let early = month < 3;
    let month = usize::from(if early { month.saturating_add(12) } else { month });
    let year = usize::from(if early { year.saturating_sub(1) } else { year });
    let (century, rest) = (year / 100, year % 100);
    let h = usize::from(day) + 13 * (month + 1) / 5 + rest + rest / 4 + century / 4 + 5 * century;
    // Zeller counts from Saturday.
    (h + 5) % 7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weekdays_are_those_of_the_calendar() {
        let day = |year, month, day| weekday(CivilDate { year, month, day });
        assert_eq!(day(2026, 11, 28), 5, "a Saturday");
        assert_eq!((day(2026, 3, 2), day(2024, 2, 29), day(2000, 1, 1)), (0, 3, 5));
    }

    #[test]
    fn its_memory_forgets_the_oldest_and_says_so() {
        let clock = Civil { year: 2026, month: 3, day: 1, hour: 8, minute: 0, second: 0 };
        let sim = SimController::new(7, clock).with_memory(3);
        for _ in 0..5 {
            assert!(!sim.swipe(1, 42, true), "nobody is in its list");
        }
        let ask = |index| {
            let asked = Request::GetEvent(index);
            reply::read(&asked, 7, &sim.answer(&asked.encode(7)).unwrap()).unwrap()
        };
        assert_eq!(ask(2), Reply::Overwritten);
        assert!(matches!(ask(0), Reply::Event(Entry { index: 3, .. })));
        assert!(matches!(ask(u32::MAX), Reply::Event(Entry { index: 5, .. })));
        assert_eq!(ask(6), Reply::NoEvent);
        assert_eq!(sim.answer(&Request::GetStatus.encode(8)), None, "another serial number");
        sim.plug(false);
        assert_eq!(sim.answer(&Request::GetStatus.encode(7)), None);
    }
}
