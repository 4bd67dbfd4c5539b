//! The task of one UHPPOTE controller. Each step asks a few questions and then looks whether somebody
//! waits at a door: orders go before everything else, then how doors are held, then the memory, then the
//! list.
//!
//! # Invariants
//! 1. Entries go to the engine in order and without a hole; the cursor is the journal's.
//! 2. An opening is sent once. What is not known to have been done is `unknown`, never tried again.
//! 3. The list that a controller has is what it said or confirmed, never what was only sent.

use super as uhppote;
use super::super::worker::{
    AWAY, CLOCK_OFF, Failed, Next, READ_BACK_EVERY, Step, Turn, Watch, Worker,
};
use super::super::{Pending, words};
use blockgate_drivers::door::uhppote::{Client, NoAnswer, Reply, Request, Status};
use blockgate_drivers::door::{Entry, Happened};
use blockgate_rules::access::event::{DoorAct, Hold, Told};
use blockgate_rules::access::{AccessSetup, Heard, List, Push, diff};
use blockgate_rules::event::Outcome;
use blockgate_types::{ClockState, Time};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Entries of one step.
const ENTRIES_A_STEP: u64 = 32;
/// Questions of one step while a list is read back.
const CARDS_A_STEP: u32 = 32;

/// The task of one controller.
pub(in crate::doors) struct Task {
    worker: Worker,
    serial: u32,
    host: String,
    port: u16,
}

/// The list of a controller, as far as it has been read back.
enum Have {
    /// Nothing is known.
    Nothing,
    /// Cards are read by their place: how many there are, the next place, what was found.
    Reading { count: u32, next: u32, list: Box<List> },
    /// As it said and confirmed.
    Known { list: Box<List>, at: Time },
}

/// What a worker remembers.
struct Memory {
    setup: Arc<AccessSetup>,
    zone: TimeZone,
    client: Option<Client>,
    cursor: Option<u64>,
    /// The entry at the cursor, where it was read since the start.
    last: Option<Entry>,
    have: Have,
    /// How doors were told to be held while the list was not known.
    held: BTreeMap<u8, (Hold, u8)>,
    watch: Watch,
    open: BTreeMap<u8, Time>,
    /// When the next change may be pushed.
    next_push: Instant,
    special: bool,
    fire: Option<bool>,
    /// Changes that the controller did not take, until the list changes.
    unable: BTreeMap<u64, String>,
}

impl From<NoAnswer> for Failed {
    fn from(fault: NoAnswer) -> Self {
        Self::Away(fault.to_string())
    }
}

impl Task {
    /// The task of a controller of this serial number.
    pub(in crate::doors) fn new(worker: Worker, serial: u32, host: String, port: u16) -> Self {
        Self { worker, serial, host, port }
    }

    /// Works until told to stop.
    pub(in crate::doors) async fn run(
        mut self,
        setup: Arc<AccessSetup>,
        zone: TimeZone,
        stop: CancellationToken,
    ) {
        let mut pace = self.worker.pace();
        let mut memory = Memory {
            setup,
            zone,
            client: None,
            cursor: self.worker.doors.state().cursor(&self.worker.id),
            last: None,
            have: Have::Nothing,
            held: BTreeMap::new(),
            watch: Watch::new(self.worker.clock.now()),
            open: BTreeMap::new(),
            next_push: Instant::now(),
            special: false,
            fire: None,
            unable: BTreeMap::new(),
        };
        loop {
            let done = match self.worker.turn(&mut pace, &stop).await {
                Turn::Over => return,
                Turn::Act(act) => self.carry_out(&mut memory, act).await,
                Turn::Look => self.step(&mut memory).await.map(|next| pace.after(&next)),
            };
            let over = match done {
                Ok(()) => false,
                Err(Failed::Away(fault)) => {
                    self.away(&mut memory, fault);
                    pace.away();
                    false
                }
                Err(Failed::Over) => true,
            };
            if over || self.worker.judge(&mut memory.watch).await.is_err() {
                return stop.cancelled().await;
            }
        }
    }

    async fn ask(&self, memory: &mut Memory, request: &Request) -> Result<Reply, NoAnswer> {
        if memory.client.is_none() {
            let wire = self.worker.connect.datagrams(&self.host, self.port).await;
            let wire = wire.map_err(NoAnswer::Io)?;
            let timeout = self.worker.config.timeout.into();
            let mut client = Client::new(self.serial, wire, timeout);
            // What was refused stays counted over a new socket.
            client.refused = self
                .worker
                .doors
                .boards()
                .get(&self.worker.id)
                .map_or_else(Default::default, |b| b.refused);
            memory.client = Some(client);
        }
        let Some(client) = &mut memory.client else { return Err(NoAnswer::Timeout) };
        let answered = client.ask(request).await;
        let refused = client.refused;
        if matches!(answered, Err(NoAnswer::Io(_))) {
            memory.client = None;
        }
        let now = self.worker.clock.now();
        if answered.is_ok() {
            memory.watch.last_good = Some(now);
        }
        self.worker.board(|board| {
            board.refused = refused;
            if answered.is_ok() {
                (board.heard, board.trouble) = (Some(now), None);
            }
        });
        answered
    }

    fn away(&self, memory: &mut Memory, fault: String) {
        self.worker.board(|board| {
            if board.trouble.is_none() {
                tracing::warn!(controller = %self.worker.id, why = %fault, "the door controller is away");
            }
            board.trouble = Some(fault);
        });
        let silent =
            self.worker.clock.now().since(memory.watch.last_good.unwrap_or(memory.watch.began));
        if silent.is_some_and(|span| span > AWAY) && matches!(memory.have, Have::Known { .. }) {
            memory.have = Have::Nothing;
            memory.special = false;
            self.worker.board(|board| board.read_back = false);
        }
    }

    /// One step: a few questions.
    async fn step(&mut self, memory: &mut Memory) -> Step<Next> {
        let status = match self.ask(memory, &Request::GetStatus).await? {
            Reply::Status(status) => *status,
            _ => return Ok(Next::Idle),
        };
        self.state_of(memory, &status).await?;
        // How doors are held waits for nothing.
        let pushed = self.push_doors(memory).await?;
        let more_entries = self.read_memory(memory, &status).await?;
        if !self.read_back(memory).await? {
            return Ok(Next::AtOnce);
        }
        let next = self.push_list(memory).await?;
        Ok(if more_entries || pushed { Next::AtOnce } else { next })
    }

    async fn state_of(&self, memory: &mut Memory, status: &Status) -> Step<()> {
        let now = self.worker.clock.now();
        if self.worker.clock.state() != ClockState::Unsynced {
            let theirs = status.clock.and_then(|civil| words::moment(civil, &memory.zone));
            let off = theirs.map(|theirs| theirs.as_millis().saturating_sub(now.as_millis()));
            self.worker.board(|board| board.clock_off_ms = off);
            if off.is_none_or(|off| off.saturating_abs() > CLOCK_OFF.as_millis()) {
                self.ask(memory, &Request::SetTime(words::civil(now, &memory.zone))).await?;
            }
        }
        if !memory.special {
            self.ask(memory, &Request::RecordSpecial(true)).await?;
            if let Reply::Device(_, version) = self.ask(memory, &Request::GetDevice).await? {
                self.worker.board(|board| board.version = Some(format!("{version:04x}")));
            }
            self.listened_to(memory).await?;
            memory.special = true;
        }
        if memory.fire != Some(status.fire) {
            memory.fire = Some(status.fire);
            let (controller, on) = (self.worker.id.clone(), status.fire);
            self.worker.tell(Heard::Fire { controller, now, on }).await?;
        }
        for (place, open) in status.open.into_iter().enumerate() {
            let number = u8::try_from(place + 1).unwrap_or(0);
            let since = memory.open.get(&number).copied();
            if open == since.is_some() {
                continue;
            }
            let since = open.then_some(now);
            match since {
                Some(since) => drop(memory.open.insert(number, since)),
                None => drop(memory.open.remove(&number)),
            }
            if let Some(door) = words::door_of(&memory.setup, &self.worker.id, number) {
                self.worker.lasts(&door, since, now).await?;
            }
        }
        let unlocked = status.unlocked.iter().zip(1_u8..).filter(|(on, _)| **on);
        let unlocked = unlocked.map(|(_, number)| number).collect();
        self.worker.board(|board| {
            board.open.clone_from(&memory.open);
            board.unlocked = unlocked;
            board.fire = status.fire;
        });
        Ok(())
    }

    /// Tells it where to push its events to, where the config says so.
    async fn listened_to(&self, memory: &mut Memory) -> Step<()> {
        let Some(at) = self.worker.doors.config().listener else { return Ok(()) };
        let reply = self.ask(memory, &Request::GetListener).await?;
        let there =
            matches!(reply, Reply::Listener(ip, port, _) if ip == *at.ip() && port == at.port());
        if !there {
            // 0: at once, and not again and again.
            self.ask(memory, &Request::SetListener(*at.ip(), at.port(), 0)).await?;
        }
        Ok(())
    }

    /// Reads the memory from the cursor on. Whether there is more.
    async fn read_memory(&self, memory: &mut Memory, status: &Status) -> Step<bool> {
        let newest = status.newest.as_ref().map_or(0, |entry| entry.index);
        self.worker.board(|board| (board.newest, board.index) = (newest, memory.cursor));
        let other = |last: &Entry| {
            status.newest.as_ref().is_some_and(|entry| entry.index == last.index && entry != last)
        };
        let changed = memory.last.as_ref().is_some_and(other);
        if let Some(cursor) = memory.cursor.filter(|cursor| newest < *cursor || changed) {
            return self.renumbered(memory, cursor).await;
        }
        let mut next = match memory.cursor {
            Some(cursor) => cursor.saturating_add(1),
            // Never read before: from the oldest that is there.
            None if newest == 0 => return Ok(false),
            None => match self.ask(memory, &Request::GetEvent(0)).await? {
                Reply::Event(oldest) => oldest.index,
                _ => return Ok(false),
            },
        };
        let (mut entries, mut last_read) = (Vec::new(), None);
        let last = newest.min(next.saturating_add(ENTRIES_A_STEP - 1));
        let mut restarted = false;
        while next <= last {
            let index = u32::try_from(next).unwrap_or(u32::MAX);
            let reply = match self.ask(memory, &Request::GetEvent(index)).await {
                Ok(reply) => reply,
                // What was read so far is not lost by what follows.
                Err(fault) if entries.is_empty() => return Err(fault.into()),
                Err(_) => break,
            };
            match reply {
                Reply::Event(told) if told.index == next => {
                    restarted |= told.what == Happened::PowerOn;
                    let now = self.worker.clock.now();
                    let entry =
                        words::entry(&told, &memory.setup, &self.worker.id, &memory.zone, now);
                    entries.push(entry);
                    last_read = Some(told);
                    next = next.saturating_add(1);
                }
                Reply::Overwritten if entries.is_empty() => return self.lost(memory).await,
                _ => break,
            }
        }
        if entries.is_empty() {
            return Ok(false);
        }
        let (controller, now) = (self.worker.id.clone(), self.worker.clock.now());
        self.worker.tell(Heard::Read { controller, now, entries }).await?;
        (memory.cursor, memory.last) = (Some(next.saturating_sub(1)), last_read);
        self.worker.board(|board| board.index = memory.cursor);
        if restarted {
            // It may have forgotten what it was told.
            (memory.have, memory.special) = (Have::Nothing, false);
        }
        Ok(next <= newest)
    }

    /// What stands behind the cursor was overwritten: it goes on with the oldest that is there.
    async fn lost(&self, memory: &mut Memory) -> Step<bool> {
        let Reply::Event(oldest) = self.ask(memory, &Request::GetEvent(0)).await? else {
            return Ok(false);
        };
        let to = oldest.index.saturating_sub(1);
        if memory.cursor.is_none_or(|cursor| cursor < to) {
            tracing::error!(controller = %self.worker.id, from = ?memory.cursor, to,
                "entries of the controller's memory were overwritten before they were read");
            let (controller, now) = (self.worker.id.clone(), self.worker.clock.now());
            self.worker.tell(Heard::Lost { controller, now, to }).await?;
            (memory.cursor, memory.last) = (Some(to), None);
        }
        Ok(true)
    }

    /// The newest entry lies before the cursor, or is another one than was read there: another
    /// controller, or one that was wiped. It is asked for the cursor's own entry first, so that one
    /// wrong packet does not begin everything anew.
    async fn renumbered(&self, memory: &mut Memory, cursor: u64) -> Step<bool> {
        let index = u32::try_from(cursor).unwrap_or(u32::MAX);
        if let Reply::Event(entry) = self.ask(memory, &Request::GetEvent(index)).await?
            && memory.last.as_ref().is_none_or(|last| *last == entry)
        {
            return Ok(false);
        }
        tracing::warn!(controller = %self.worker.id, cursor, "the controller counts anew");
        let (controller, now) = (self.worker.id.clone(), self.worker.clock.now());
        self.worker.tell(Heard::Renumbered { controller, now }).await?;
        (memory.cursor, memory.have, memory.special) = (Some(0), Have::Nothing, false);
        memory.last = None;
        Ok(true)
    }

    /// Reads the controller's list back, a step at a time. Whether it is known whole.
    async fn read_back(&self, memory: &mut Memory) -> Step<bool> {
        let now = self.worker.clock.now();
        if let Have::Known { at, .. } = &memory.have {
            if now.since(*at).is_none_or(|age| age < READ_BACK_EVERY) {
                return Ok(true);
            }
            memory.have = Have::Nothing;
        }
        if matches!(memory.have, Have::Nothing) {
            let Reply::Count(count) = self.ask(memory, &Request::CountCards).await? else {
                return Ok(false);
            };
            memory.unable.clear();
            memory.have = Have::Reading { count, next: 1, list: Box::default() };
        }
        let mut asked = 0;
        loop {
            let Have::Reading { count, next, list } = &memory.have else { return Ok(true) };
            let (place, found) = (*next, list.cards.len());
            // Places of deleted cards stay empty: it goes on until all were found.
            let whole = u32::try_from(found).unwrap_or(u32::MAX) >= *count;
            if whole || place > count.saturating_mul(4).saturating_add(64) {
                break;
            }
            if asked >= CARDS_A_STEP {
                return Ok(false);
            }
            asked += 1;
            let reply = self.ask(memory, &Request::GetCardAt(place)).await?;
            let Have::Reading { next, list, .. } = &mut memory.have else { return Ok(false) };
            *next = next.saturating_add(1);
            match reply {
                Reply::Card(Some(card)) => {
                    if let Some((number, row)) = uhppote::row(&card) {
                        list.cards.insert(number, row);
                    }
                }
                Reply::Card(None) => break,
                _ => {}
            }
        }
        let Have::Reading { list, .. } = std::mem::replace(&mut memory.have, Have::Nothing) else {
            return Ok(false);
        };
        let mut list = *list;
        let wanted = self.worker.wanted();
        for number in wanted.doors.keys() {
            let reply = self.ask(memory, &Request::GetControl(*number)).await?;
            if let Reply::Control(_, control, delay) = reply {
                list.doors.insert(*number, (words::hold(control), delay));
            }
        }
        for id in wanted.profiles.keys() {
            let reply = self.ask(memory, &Request::GetProfile(*id)).await?;
            if let Reply::Profile(Some(profile)) = reply
                && let Some((id, profile)) = uhppote::profile(&profile)
            {
                list.profiles.insert(id, profile);
            }
        }
        if let Reply::AntiPassback(mode) = self.ask(memory, &Request::GetAntiPassback).await? {
            list.anti_passback = mode;
        }
        memory.have = Have::Known { list: Box::new(list), at: now };
        memory.held.clear();
        self.worker.board(|board| board.read_back = true);
        Ok(true)
    }

    /// Pushes how doors are held. Whether anything was pushed.
    async fn push_doors(&self, memory: &mut Memory) -> Step<bool> {
        let wanted = self.worker.wanted();
        let doors: Vec<Push> = match &memory.have {
            Have::Known { list, .. } => {
                let is_door = |push: &Push| matches!(push, Push::Door(..));
                diff(list, &wanted).into_iter().filter(is_door).collect()
            }
            // A fire does not wait until thousands of cards are read back.
            Have::Nothing | Have::Reading { .. } => {
                let held = wanted.doors.iter().filter(|(number, held)| {
                    held.0 != Hold::Normal && memory.held.get(*number) != Some(*held)
                });
                held.map(|(number, (hold, unlock_s))| Push::Door(*number, *hold, *unlock_s))
                    .collect()
            }
        };
        for push in &doors {
            self.push(memory, push).await?;
        }
        Ok(!doors.is_empty())
    }

    /// Pushes what differs, within the rate, and says when it goes on.
    async fn push_list(&self, memory: &mut Memory) -> Step<Next> {
        let Have::Known { list, .. } = &memory.have else { return Ok(Next::AtOnce) };
        let wanted = self.worker.wanted();
        let pushes = diff(list, &wanted);
        let cards = list.cards.len();
        let able = |push: &&Push| !memory.unable.contains_key(&mark(push));
        let work: Vec<Push> = pushes.iter().filter(able).cloned().collect();
        self.worker.board(|board| {
            board.pending = Pending::of(&pushes);
            board.cards = cards;
        });
        if work.is_empty() {
            return Ok(Next::Idle);
        }
        let gap = self.worker.push_gap();
        let until = Instant::now() + self.worker.config.poll_every.into();
        for push in &work {
            if !self.worker.may_push(memory.next_push, until).await {
                break;
            }
            self.push(memory, push).await?;
            memory.next_push = Instant::now() + gap;
        }
        Ok(Next::At(memory.next_push))
    }

    /// Sends one change, and takes it in where the controller confirms it.
    async fn push(&self, memory: &mut Memory, push: &Push) -> Step<()> {
        let Some(request) = uhppote::request(push) else {
            memory.unable.insert(mark(push), "this controller cannot keep it".to_owned());
            return Ok(());
        };
        let reply = self.ask(memory, &request).await?;
        let taken = match (&request, reply) {
            (_, Reply::Done(true)) => true,
            // One that is not there need not be taken out.
            (Request::DeleteCard(card), Reply::Done(false)) => {
                let reply = self.ask(memory, &Request::GetCard(*card)).await?;
                matches!(reply, Reply::Card(None) | Reply::Deleted)
            }
            (Request::SetControl(_, asked, delay), Reply::Control(_, control, set)) => {
                control == *asked && set == *delay
            }
            _ => false,
        };
        if taken {
            match &mut memory.have {
                Have::Known { list, .. } => list.took(push),
                Have::Nothing | Have::Reading { .. } => {
                    if let Push::Door(number, hold, unlock_s) = push {
                        memory.held.insert(*number, (*hold, *unlock_s));
                    }
                }
            }
            self.worker.board(|board| {
                board.pushed += 1;
                board.pending.took(push);
            });
        } else {
            let why = format!("it did not take {}", word(push));
            memory.unable.insert(mark(push), why.clone());
            self.worker.board(|board| {
                board.refused_pushes += 1;
                board.last_refused = Some(why);
            });
        }
        Ok(())
    }

    /// Carries an order out, once, and reports.
    async fn carry_out(&self, memory: &mut Memory, act: DoorAct) -> Step<()> {
        let door = memory.setup.doors.get(&act.door).cloned();
        let (outcome, detail) = match (door, act.told) {
            (None, _) => (Outcome::Failed, "the config has no such door any more".to_owned()),
            (Some(_), Told::Open) if self.worker.is_late(&act) => {
                (Outcome::Expired, "it came too late: whoever waited is gone".to_owned())
            }
            (Some(door), Told::Open) => {
                match self.ask(memory, &Request::Open(door.number)).await {
                    Ok(Reply::Done(true)) => (Outcome::Done, String::new()),
                    Ok(_) => (Outcome::Failed, "the controller refused it".to_owned()),
                    // It may have been carried out; nobody knows.
                    Err(NoAnswer::Timeout) => (Outcome::Unknown, NoAnswer::Timeout.to_string()),
                    Err(fault) => (Outcome::Failed, fault.to_string()),
                }
            }
            (Some(door), Told::Hold(hold)) => {
                let push = Push::Door(door.number, hold, door.unlock_s);
                let Some(request) = uhppote::request(&push) else { return Ok(()) };
                match self.ask(memory, &request).await {
                    Ok(Reply::Control(_, control, _)) if control == words::control(hold) => {
                        if let Have::Known { list, .. } = &mut memory.have {
                            list.took(&push);
                        }
                        (Outcome::Done, String::new())
                    }
                    Ok(_) => (Outcome::Failed, "the controller refused it".to_owned()),
                    Err(fault) => {
                        let why = format!("{fault}; it is told as soon as it answers");
                        (Outcome::Failed, why)
                    }
                }
            }
        };
        self.worker.report(act, outcome, detail).await
    }
}

/// Names a change, to remember that it was not taken. Another content is another change.
fn mark(push: &Push) -> u64 {
    use std::hash::{Hash as _, Hasher as _};
    let mut hasher = std::hash::DefaultHasher::new();
    format!("{push:?}").hash(&mut hasher);
    hasher.finish()
}

fn word(push: &Push) -> &'static str {
    match push {
        Push::Door(..) => "how a door is held",
        Push::Delete(_) => "that a card goes",
        Push::Profile(..) => "a time profile",
        Push::Put(..) => "a card",
        Push::AntiPassback(_) => "anti-passback",
    }
}
