//! Hikvision access terminals over ISAPI: how the doors stand, the event memory read back by serial
//! number, people, cards and schedules kept in step, orders.
//!
//! # Invariants
//! 1. Entries go to the engine in order and without a hole; the cursor is the journal's. What the
//!    terminal does not have any more is said to be lost.
//! 2. An opening is sent once, and done only when the lock showed it: a terminal whose door is locked by
//!    hand takes the order and moves nothing.
//! 3. What the terminal has is what it said or confirmed, never what was only sent.
//! 4. A password that was refused is not tried again and again: the terminal would lock its user.

use super::worker::{AWAY, CLOCK_OFF, Failed, Next, READ_BACK_EVERY, Step, Turn, Watch, Worker};
use super::{Pending, words};
use crate::config::secret;
use crate::lanes::client::{self, Answered, Login};
use crate::limits;
use blockgate_drivers::barrier::Request;
use blockgate_drivers::door::hikvision::{self, BadAnswer, Document, User, people, plan, state};
use blockgate_drivers::door::{Entry, Happened};
use blockgate_drivers::transport::Target;
use blockgate_rules::access::desired::{ALWAYS, NEVER};
use blockgate_rules::access::event::{DoorAct, Hold, Told};
use blockgate_rules::access::setup::{AccessSetup, Window};
use blockgate_rules::access::{Heard, List, Push, Row, diff, profile};
use blockgate_rules::event::Outcome;
use blockgate_types::{ClockState, Time};
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Pages of one step, of events or of people.
const PAGES_A_STEP: u32 = 4;
/// The clock is looked at this often.
const CLOCK_EVERY: Duration = Duration::from_secs(600);
/// How often and after which pause a lock is looked at that was told to open.
const LOOKS: u32 = 4;
const LOOK_AFTER: Duration = Duration::from_millis(250);
/// Runs of holidays that a terminal is told ahead; each schedule has room for so many.
const RUNS: usize = 4;
/// The first number of a schedule's holidays.
const HOLIDAYS_FROM: u16 = 1;

/// The task of one terminal.
pub(super) struct Task {
    worker: Worker,
    target: Target,
    user: String,
    password_file: PathBuf,
}

/// What the terminal has, as it said and confirmed.
#[derive(Default)]
struct Have {
    list: List,
    /// Everybody it knows by our numbers, with or without a card.
    people: BTreeSet<u64>,
    /// Whom somebody typed in at the terminal.
    strangers: BTreeSet<String>,
    /// Plans that say what they are to say.
    said: BTreeMap<String, Document>,
}

enum Reading {
    Nothing,
    People { position: u32, have: Box<Have> },
    Cards { position: u32, have: Box<Have> },
    Known { have: Box<Have>, at: Time },
}

struct Memory {
    setup: Arc<AccessSetup>,
    zone: TimeZone,
    cursor: Option<u64>,
    last: Option<Entry>,
    reading: Reading,
    watch: Watch,
    open: BTreeMap<u8, Time>,
    doors: state::Doors,
    next_push: Instant,
    next_clock: Instant,
    greeted: bool,
    /// What it did not take, until what is wanted changes.
    unable: BTreeSet<String>,
    /// The password that was refused, and until when it is not tried again.
    refused: Option<(String, Instant)>,
}

impl Task {
    /// The task of a terminal.
    pub(super) fn new(
        worker: Worker,
        target: Target,
        user: String,
        password_file: PathBuf,
    ) -> Self {
        Self { worker, target, user, password_file }
    }

    /// Works until told to stop.
    pub(super) async fn run(
        mut self,
        setup: Arc<AccessSetup>,
        zone: TimeZone,
        stop: CancellationToken,
    ) {
        let mut pace = self.worker.pace();
        let mut memory = Memory {
            setup,
            zone,
            cursor: self.worker.doors.state().cursor(&self.worker.id),
            last: None,
            reading: Reading::Nothing,
            watch: Watch::new(self.worker.clock.now()),
            open: BTreeMap::new(),
            doors: state::Doors::default(),
            next_push: Instant::now(),
            next_clock: Instant::now(),
            greeted: false,
            unable: BTreeSet::new(),
            refused: None,
        };
        loop {
            let done = match self.worker.turn(&mut pace, &stop).await {
                Turn::Over => return,
                Turn::Act(act) => self.carry_out(&mut memory, act).await.map(|()| Next::AtOnce),
                Turn::Look => self.step(&mut memory).await,
            };
            match done {
                Ok(next) => pace.after(&next),
                Err(Failed::Away(why)) => {
                    self.away(&mut memory, why);
                    pace.away();
                }
                Err(Failed::Over) => return stop.cancelled().await,
            }
            if self.worker.judge(&mut memory.watch).await.is_err() {
                return stop.cancelled().await;
            }
        }
    }

    fn away(&self, memory: &mut Memory, why: String) {
        self.worker.board(|board| {
            if board.trouble.is_none() {
                tracing::warn!(controller = %self.worker.id, %why, "the door controller is away");
            }
            board.trouble = Some(why);
        });
        let last = memory.watch.last_good.unwrap_or(memory.watch.began);
        let silent = self.worker.clock.now().since(last);
        if silent.is_some_and(|span| span > AWAY) {
            (memory.reading, memory.greeted) = (Reading::Nothing, false);
            self.worker.board(|board| board.read_back = false);
        }
    }

    /// One request and its answer; an answer of any kind but "who are you?" is a sign of life.
    async fn ask(&self, memory: &mut Memory, request: &Request) -> Step<Answered> {
        let password = secret::password(&self.password_file).map_err(Failed::Away)?;
        if let Some((refused, until)) = &memory.refused {
            if *refused == password && Instant::now() < *until {
                return Err(Failed::Away(BadAnswer::Credentials.to_string()));
            }
            memory.refused = None;
        }
        let login = Login { user: self.user.clone(), password };
        let connect = &*self.worker.connect;
        let answered = client::send(connect, &self.target, Some(&login), request).await;
        let answered = answered.map_err(|error| Failed::Away(error.to_string()))?;
        if answered.status == 401 {
            tracing::error!(controller = %self.worker.id, "the terminal refuses user or password");
            memory.refused = Some((login.password, Instant::now() + limits::TERMINAL_LOCKED_OUT));
            return Err(Failed::Away(BadAnswer::Credentials.to_string()));
        }
        let now = self.worker.clock.now();
        memory.watch.last_good = Some(now);
        self.worker.board(|board| (board.heard, board.trouble) = (Some(now), None));
        Ok(answered)
    }

    /// One step: a few questions.
    async fn step(&mut self, memory: &mut Memory) -> Step<Next> {
        self.look_at_doors(memory).await?;
        let pushed = self.push_doors(memory).await?;
        self.look_at_clock(memory).await?;
        let more = self.read_events(memory).await?;
        if !self.read_back(memory).await? {
            return Ok(Next::AtOnce);
        }
        let next = self.push_list(memory).await?;
        Ok(if more || pushed { Next::AtOnce } else { next })
    }

    async fn look_at_doors(&self, memory: &mut Memory) -> Step<()> {
        let answered = self.ask(memory, &state::ask_doors()).await?;
        let doors = read(state::doors(answered.status, &answered.body))?;
        let now = self.worker.clock.now();
        for (number, open) in (1_u8..).zip(doors.open.iter().copied()) {
            if open == memory.open.contains_key(&number) {
                continue;
            }
            let since = open.then_some(now);
            match since {
                Some(since) => drop(memory.open.insert(number, since)),
                None => drop(memory.open.remove(&number)),
            }
            if let Some(door) = self.worker.door(number) {
                self.worker.lasts(&door, since, now).await?;
            }
        }
        let unlocked = (1_u8..).zip(&doors.unlocked).filter(|(_, on)| **on);
        let unlocked = unlocked.map(|(number, _)| number).collect();
        self.worker.board(|board| {
            board.open.clone_from(&memory.open);
            board.unlocked = unlocked;
        });
        memory.doors = doors;
        Ok(())
    }

    async fn look_at_clock(&self, memory: &mut Memory) -> Step<()> {
        if memory.next_clock > Instant::now() || self.worker.clock.state() == ClockState::Unsynced {
            return Ok(());
        }
        memory.next_clock = Instant::now() + CLOCK_EVERY;
        if !memory.greeted {
            let answered = self.ask(memory, &state::ask_device()).await?;
            let version = state::firmware(&answered.body);
            self.worker.board(|board| board.version = version);
            memory.greeted = true;
        }
        let answered = self.ask(memory, &state::ask_time()).await?;
        let now = self.worker.clock.now();
        let theirs = state::time(&answered.body).and_then(|t| words::moment(t, &memory.zone));
        let off = theirs.map(|theirs| theirs.as_millis().saturating_sub(now.as_millis()));
        self.worker.board(|board| board.clock_off_ms = off);
        if off.is_none_or(|off| off.saturating_abs() > CLOCK_OFF.as_millis()) {
            let offset = memory.zone.to_offset(jiff::Timestamp::from(now)).seconds() / 60;
            let set = state::set_time(words::civil(now, &memory.zone), offset);
            let answered = self.ask(memory, &set).await?;
            if let Err(why) = hikvision::taken(answered.status, &answered.body) {
                self.not_taken(memory, "the clock".to_owned(), &why);
            }
        }
        Ok(())
    }

    /// Reads the event memory from the cursor on. Whether there is more. The entry at the cursor is read
    /// again: by it a terminal that counts anew is known.
    async fn read_events(&self, memory: &mut Memory) -> Step<bool> {
        let from = memory.cursor.unwrap_or(0).max(1);
        let mut page = self.page(memory, from, 0).await?;
        let Some(first) = page.entries.first() else {
            return self.nothing_behind(memory).await;
        };
        let at_cursor = memory.cursor.is_some_and(|cursor| cursor > 0 && first.index == cursor);
        if at_cursor && memory.last.as_ref().is_some_and(|last| last != first) {
            return self.renumbered(memory).await;
        }
        let mut position = 0;
        let (mut fresh, mut fire) = (Vec::new(), None);
        for turn in 0..PAGES_A_STEP {
            position += u32::try_from(page.entries.len()).unwrap_or(u32::MAX);
            let new = page.entries.drain(..).filter(|e| memory.cursor.is_none_or(|c| e.index > c));
            fresh.extend(new);
            if !page.more || turn + 1 == PAGES_A_STEP {
                break;
            }
            page = match self.page(memory, from, position).await {
                Ok(page) => page,
                // What was read so far is not lost by what follows.
                Err(Failed::Away(_)) if !fresh.is_empty() => break,
                Err(failed) => return Err(failed),
            };
        }
        let more = page.more;
        let (controller, now) = (self.worker.id.clone(), self.worker.clock.now());
        let mut expected = memory.cursor.map(|cursor| cursor.saturating_add(1));
        let mut entries = Vec::new();
        for told in fresh {
            if let Some(next) = expected.filter(|next| told.index > *next) {
                // What lies between is not there any more.
                self.read(memory, std::mem::take(&mut entries)).await?;
                let to = told.index.saturating_sub(1);
                tracing::error!(controller = %controller, from = next, to,
                    "entries of the terminal's memory are gone before they were read");
                let controller = controller.clone();
                self.worker.tell(Heard::Lost { controller, now, to }).await?;
                memory.cursor = Some(to);
            }
            expected = Some(told.index.saturating_add(1));
            match told.what {
                Happened::Fire => fire = Some(true),
                Happened::FireOver => fire = Some(false),
                Happened::PowerOn => memory.reading = Reading::Nothing,
                _ => {}
            }
            entries.push(told);
        }
        self.read(memory, entries).await?;
        if let Some(on) = fire {
            self.worker.tell(Heard::Fire { controller, now, on }).await?;
            self.worker.board(|board| board.fire = on);
        }
        Ok(more)
    }

    async fn page(&self, memory: &mut Memory, from: u64, position: u32) -> Step<hikvision::Page> {
        let answered = self.ask(memory, &hikvision::search(from, position)).await?;
        read(hikvision::page(answered.status, &answered.body))
    }

    /// Hands entries in; they stand behind the cursor without a hole.
    async fn read(&self, memory: &mut Memory, told: Vec<Entry>) -> Step<()> {
        let Some(last) = told.last().cloned() else { return Ok(()) };
        let (controller, now) = (self.worker.id.clone(), self.worker.clock.now());
        let entry = |told| words::entry(told, &memory.setup, &controller, &memory.zone, now);
        let entries = told.iter().map(entry).collect();
        self.worker.tell(Heard::Read { controller: controller.clone(), now, entries }).await?;
        memory.cursor = Some(last.index);
        self.worker.board(|board| {
            (board.index, board.newest) = (Some(last.index), board.newest.max(last.index));
        });
        memory.last = Some(last);
        Ok(())
    }

    /// Not even the entry at the cursor is there: the memory is empty, or counts anew.
    async fn nothing_behind(&self, memory: &mut Memory) -> Step<bool> {
        if memory.cursor.is_none_or(|cursor| cursor == 0) {
            return Ok(false);
        }
        let page = self.page(memory, 1, 0).await?;
        if page.entries.is_empty() { Ok(false) } else { self.renumbered(memory).await }
    }

    async fn renumbered(&self, memory: &mut Memory) -> Step<bool> {
        tracing::warn!(controller = %self.worker.id, cursor = ?memory.cursor, "the terminal counts anew");
        let (controller, now) = (self.worker.id.clone(), self.worker.clock.now());
        self.worker.tell(Heard::Renumbered { controller, now }).await?;
        (memory.cursor, memory.last, memory.reading) = (Some(0), None, Reading::Nothing);
        self.worker.board(|board| (board.index, board.newest) = (Some(0), 0));
        Ok(true)
    }

    /// Reads people, cards and plans back, a step at a time. Whether all is known.
    async fn read_back(&self, memory: &mut Memory) -> Step<bool> {
        let now = self.worker.clock.now();
        if let Reading::Known { at, .. } = &memory.reading {
            if now.since(*at).is_none_or(|age| age < READ_BACK_EVERY) {
                return Ok(true);
            }
            memory.reading = Reading::Nothing;
        }
        for _ in 0..PAGES_A_STEP {
            memory.reading = match std::mem::replace(&mut memory.reading, Reading::Nothing) {
                Reading::Nothing => {
                    memory.unable.clear();
                    Reading::People { position: 0, have: Box::default() }
                }
                Reading::People { mut position, mut have } => {
                    let answered = self.ask(memory, &people::search_users(position)).await?;
                    let page = read(people::users(answered.status, &answered.body))?;
                    position += page.rows;
                    for user in page.found {
                        have.knows(user);
                    }
                    if page.more && page.rows > 0 {
                        Reading::People { position, have }
                    } else {
                        Reading::Cards { position: 0, have }
                    }
                }
                Reading::Cards { mut position, mut have } => {
                    let answered = self.ask(memory, &people::search_cards(position)).await?;
                    let page = read(people::cards(answered.status, &answered.body))?;
                    position += page.rows;
                    for (whose, card) in page.found {
                        if whose == card.to_string() {
                            have.list.holders.insert(card, holder(card));
                        } else {
                            have.strangers.insert(whose);
                        }
                    }
                    if page.more && page.rows > 0 {
                        Reading::Cards { position, have }
                    } else {
                        // Who has no card of its number is there and opens nothing.
                        let Have { list, .. } = &mut *have;
                        list.cards.retain(|card, _| list.holders.contains_key(card));
                        for document in documents(&self.worker.wanted(), memory, now) {
                            let answered = self.ask(memory, &document.ask()).await?;
                            if document.is_said(answered.status, &answered.body) {
                                have.said.insert(document.name.clone(), document);
                            }
                        }
                        Reading::Known { have, at: now }
                    }
                }
                known @ Reading::Known { .. } => {
                    self.worker.board(|board| board.read_back = true);
                    memory.reading = known;
                    return Ok(true);
                }
            };
        }
        Ok(false)
    }

    /// Tells how doors are held, where the terminal says otherwise. Whether anything was told.
    async fn push_doors(&self, memory: &mut Memory) -> Step<bool> {
        let wanted = self.worker.wanted();
        let mut waits = 0;
        let mut told = false;
        let mut doors: Vec<(u8, Hold)> =
            wanted.doors.iter().map(|(n, (hold, _))| (*n, *hold)).collect();
        // One that is to stand open comes before one that is to be locked.
        doors.sort_by_key(|(_, hold)| *hold != Hold::Open);
        for (number, hold) in doors {
            let place = usize::from(number).saturating_sub(1);
            let Some(Some(is)) = memory.doors.control.get(place).copied() else { continue };
            let mark = format!("door {number} {hold:?}");
            if words::hold(is) == hold {
                continue;
            }
            waits += 1;
            if memory.unable.contains(&mark) {
                continue;
            }
            let order = hikvision::tell(number, hikvision::Told::Hold(words::control(hold)));
            let answered = self.ask(memory, &order).await?;
            match hikvision::taken(answered.status, &answered.body) {
                // Whether it is so, it says when it is asked next.
                Ok(()) => told = true,
                Err(why) => self.not_taken(memory, mark, &why),
            }
        }
        self.worker.board(|board| board.pending.doors = waits);
        Ok(told)
    }

    fn not_taken(&self, memory: &mut Memory, mark: String, why: &BadAnswer) {
        let said = format!("{}: {why}", mark.split(' ').next().unwrap_or_default());
        memory.unable.insert(mark);
        self.worker.board(|board| {
            board.refused_pushes += 1;
            board.last_refused = Some(said);
        });
    }

    /// Pushes what differs, within the rate, and says when it goes on.
    async fn push_list(&self, memory: &mut Memory) -> Step<Next> {
        let (wanted, now) = (self.worker.wanted(), self.worker.clock.now());
        let plans = documents(&wanted, memory, now);
        let Reading::Known { have, .. } = &memory.reading else { return Ok(Next::AtOnce) };
        let mut work = work(have, &wanted, plans);
        let mut pending = Pending::default();
        for item in &work {
            item.count(&mut pending);
        }
        self.worker.board(|board| {
            board.pending = Pending { doors: board.pending.doors, ..pending };
            board.cards = have.list.cards.len();
        });
        work.retain(|item| !memory.unable.contains(&item.mark()));
        if work.is_empty() {
            return Ok(Next::Idle);
        }
        let gap = self.worker.push_gap();
        let until = Instant::now() + self.worker.config.poll_every.into();
        for item in work {
            if !self.worker.may_push(memory.next_push, until).await {
                break;
            }
            self.push(memory, item).await?;
            memory.next_push = Instant::now() + gap;
        }
        Ok(Next::At(memory.next_push))
    }

    /// Sends one change, and takes it in where the terminal confirms it.
    async fn push(&self, memory: &mut Memory, item: Work) -> Step<()> {
        let mark = item.mark();
        let requests = {
            let Reading::Known { have, .. } = &memory.reading else { return Ok(()) };
            item.requests(have)
        };
        for (place, request) in requests.iter().enumerate() {
            let answered = self.ask(memory, request).await?;
            if let Err(why) = hikvision::taken(answered.status, &answered.body) {
                self.not_taken(memory, mark, &why);
                return Ok(());
            }
            // The person is there from the first of the two requests on, whatever comes of the card.
            if let (0, Work::Put(card, _), Reading::Known { have, .. }) =
                (place, &item, &mut memory.reading)
            {
                have.people.insert(*card);
            }
        }
        let mut pending = Pending::default();
        item.count(&mut pending);
        if let Reading::Known { have, .. } = &mut memory.reading {
            have.took(item);
        }
        self.worker.board(|board| {
            board.pushed += 1;
            let left = &mut board.pending;
            left.deletes = left.deletes.saturating_sub(pending.deletes);
            left.profiles = left.profiles.saturating_sub(pending.profiles);
            left.puts = left.puts.saturating_sub(pending.puts);
        });
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
            (Some(door), Told::Open) => self.open(memory, door.number).await?,
            (Some(door), Told::Hold(hold)) => {
                let order =
                    hikvision::tell(door.number, hikvision::Told::Hold(words::control(hold)));
                let later = |why: String| format!("{why}; it is told as soon as it answers");
                match self.ask(memory, &order).await {
                    Ok(answered) => match hikvision::taken(answered.status, &answered.body) {
                        Ok(()) => (Outcome::Done, String::new()),
                        Err(why) => (Outcome::Failed, why.to_string()),
                    },
                    Err(Failed::Away(why)) => (Outcome::Failed, later(why)),
                    Err(Failed::Over) => return Err(Failed::Over),
                }
            }
        };
        self.worker.report(act, outcome, detail).await
    }

    /// Opens once, and looks whether the lock did.
    async fn open(&self, memory: &mut Memory, number: u8) -> Step<(Outcome, String)> {
        // Nothing is sent to one that is known not to answer for its password.
        let order = hikvision::tell(number, hikvision::Told::Open);
        let barred = memory.refused.is_some();
        let answered = match self.ask(memory, &order).await {
            Ok(answered) => answered,
            Err(Failed::Away(why)) if barred || memory.refused.is_some() => {
                return Ok((Outcome::Failed, why));
            }
            // It may have been carried out; nobody knows.
            Err(Failed::Away(why)) => return Ok((Outcome::Unknown, why)),
            Err(Failed::Over) => return Err(Failed::Over),
        };
        if let Err(why) = hikvision::taken(answered.status, &answered.body) {
            return Ok((Outcome::Failed, why.to_string()));
        }
        let place = usize::from(number).saturating_sub(1);
        for _ in 0..LOOKS {
            match self.look_at_doors(memory).await {
                Ok(()) if memory.doors.unlocked.get(place) == Some(&true) => {
                    return Ok((Outcome::Done, String::new()));
                }
                Ok(()) | Err(Failed::Away(_)) => tokio::time::sleep(LOOK_AFTER).await,
                Err(Failed::Over) => return Err(Failed::Over),
            }
        }
        let why = "the terminal took the order, and its lock did not show that it opened";
        Ok((Outcome::Unknown, why.to_owned()))
    }
}

fn read<T>(answer: Result<T, BadAnswer>) -> Step<T> {
    answer.map_err(|why| Failed::Away(why.to_string()))
}

/// Marks a card as seen while it is read back; whose it is, the terminal does not know.
fn holder(card: u64) -> blockgate_rules::access::desired::Holder {
    let name = format!("card-{card}");
    let id = blockgate_types::PersonId::new(&name);
    // Digits behind letters are an id, always.
    let id = id.unwrap_or_else(|_| unreachable!("an id of digits"));
    blockgate_rules::access::desired::Holder::Person(id)
}

impl Have {
    /// Takes in somebody whom the terminal told.
    fn knows(&mut self, user: User) {
        let number = user.employee.parse::<u64>().ok().filter(|n| n.to_string() == user.employee);
        let Some(card) = number else {
            self.strangers.insert(user.employee);
            return;
        };
        self.people.insert(card);
        let mut doors = [NEVER; 4];
        for (door, plan) in &user.doors {
            let place = usize::from(*door).checked_sub(1).and_then(|place| doors.get_mut(place));
            if let Some(place) = place {
                *place = u8::try_from(*plan).unwrap_or(NEVER);
            }
        }
        let (from, to) = (words::day(user.from), words::day(user.to));
        // Days that are none differ from every day that is wanted.
        if let (Some(from), Some(to)) = (from, to) {
            self.list.cards.insert(card, Row { from, to, doors, pin: user.pin.unwrap_or(0) });
        }
    }

    /// Takes in what the terminal has confirmed.
    fn took(&mut self, item: Work) {
        match item {
            Work::Stranger(whose) => drop(self.strangers.remove(&whose)),
            Work::Delete(card) => {
                self.people.remove(&card);
                self.list.cards.remove(&card);
                self.list.holders.remove(&card);
            }
            Work::Plan(document) => drop(self.said.insert(document.name.clone(), document)),
            Work::Put(card, row) => {
                self.people.insert(card);
                self.list.cards.insert(card, row);
                self.list.holders.insert(card, holder(card));
            }
        }
    }
}

/// One thing that a terminal has to be told.
enum Work {
    /// Somebody whom it should not know.
    Stranger(String),
    /// A card that it should not have.
    Delete(u64),
    /// A plan.
    Plan(Document),
    /// A card with its rights.
    Put(u64, Row),
}

impl Work {
    /// Names it, to remember that it was not taken. Another content is another thing.
    fn mark(&self) -> String {
        match self {
            Self::Stranger(whose) => format!("delete stranger {whose}"),
            Self::Delete(card) => format!("delete {card}"),
            Self::Plan(document) => format!("plan {} {}", document.name, document.body),
            Self::Put(card, row) => format!("card {card} {row:?}"),
        }
    }

    fn count(&self, pending: &mut Pending) {
        let place = match self {
            Self::Stranger(_) | Self::Delete(_) => &mut pending.deletes,
            Self::Plan(_) => &mut pending.profiles,
            Self::Put(..) => &mut pending.puts,
        };
        *place += 1;
    }

    fn requests(&self, have: &Have) -> Vec<Request> {
        match self {
            Self::Stranger(whose) => vec![people::delete_user(whose)],
            Self::Delete(card) => vec![people::delete_user(&card.to_string())],
            Self::Plan(document) => vec![document.put()],
            Self::Put(card, row) => {
                let rights = (1_u8..).zip(row.doors).filter(|(_, right)| *right != NEVER);
                let user = User {
                    employee: card.to_string(),
                    from: words::date(row.from),
                    to: words::date(row.to),
                    doors: rights.map(|(door, right)| (door, u16::from(right))).collect(),
                    pin: (row.pin != 0).then_some(row.pin),
                };
                let mut requests = vec![people::put_user(&user, !have.people.contains(card))];
                if !have.list.holders.contains_key(card) {
                    requests.push(people::put_card(&user.employee, *card));
                }
                requests
            }
        }
    }
}

/// What a terminal has to be told, in the order in which it is safe: what is taken away, then plans
/// before the cards that refer to them.
fn work(have: &Have, wanted: &List, plans: Vec<Document>) -> Vec<Work> {
    let mut work: Vec<Work> = have.strangers.iter().cloned().map(Work::Stranger).collect();
    let orphans = have
        .people
        .iter()
        .filter(|card| !have.list.cards.contains_key(*card) && !wanted.cards.contains_key(*card));
    work.extend(orphans.map(|card| Work::Delete(*card)));
    let pushes = diff(&have.list, wanted);
    work.extend(pushes.iter().filter_map(|push| match push {
        Push::Delete(card) => Some(Work::Delete(*card)),
        Push::Put(..) | Push::Door(..) | Push::Profile(..) | Push::AntiPassback(_) => None,
    }));
    let fresh = |plan: &Document| have.said.get(&plan.name) != Some(plan);
    work.extend(plans.into_iter().filter(fresh).map(Work::Plan));
    work.extend(pushes.into_iter().filter_map(|push| match push {
        Push::Put(card, row) => Some(Work::Put(card, row)),
        Push::Delete(_) | Push::Door(..) | Push::Profile(..) | Push::AntiPassback(_) => None,
    }));
    work
}

/// The schedules of a list as a terminal's plans: what a template names before the template.
fn documents(list: &List, memory: &Memory, now: Time) -> Vec<Document> {
    let today = jiff::Timestamp::from(now).to_zoned(memory.zone.clone()).date();
    let runs = profile::runs(&memory.setup, today, RUNS);
    let windows = |of: &Vec<Window>| -> Vec<plan::Window> {
        of.iter().map(|window| (window.from, window.until)).collect()
    };
    let mut documents = Vec::new();
    for (right, schedule) in list.plans.iter().filter(|(right, _)| **right > ALWAYS) {
        let number = u16::from(*right);
        documents.push(plan::week(
            number,
            &std::array::from_fn(|day| schedule.week.get(day).map(windows).unwrap_or_default()),
        ));
        let first = HOLIDAYS_FROM + (number - 2) * u16::try_from(RUNS).unwrap_or(4);
        let numbers: Vec<u16> = (first..).take(runs.len()).collect();
        for ((from, to), place) in runs.iter().zip(&numbers) {
            let (from, to) = (words::date(*from), words::date(*to));
            documents.push(plan::holiday(*place, from, to, &windows(&schedule.holidays)));
        }
        let group = (!numbers.is_empty()).then_some(number);
        if group.is_some() {
            documents.push(plan::group(number, &numbers));
        }
        documents.push(plan::template(number, number, group));
    }
    documents
}
