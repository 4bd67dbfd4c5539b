//! OSDP readers on one wire. The gateway is their controller: it judges each credential by the list that
//! it would push to another kind, and switches the strike at the reader's output.
//!
//! # Invariants
//! 1. A strike is switched for a credential of the list, for a button inside, or for an order, once;
//!    never because of anything else that came over the wire.
//! 2. What was decided is in the journal before the strike is told. Where the disk is late a resident
//!    gets home all the same and the entry follows; a right that is counted does not open then.
//! 3. A reader with a key is never believed in the clear.

use super::worker::{Next, Step, Turn, Watch, Worker};
use super::{Pending, ReaderBoard, words};
use crate::config::doors::ReaderConfig;
use crate::config::reader_key;
use crate::limits;
use blockgate_drivers::door::Refused;
use blockgate_drivers::door::osdp::{
    Event, Fault, Key, Output, Panel, card_number, facility_number,
};
use blockgate_drivers::transport::{Stream, Target};
use blockgate_rules::access::desired::Holder;
use blockgate_rules::access::event::{Denial, DoorAct, Entry, Happened, Hold, Told};
use blockgate_rules::access::pass::{self, Moment, Verdict};
use blockgate_rules::access::setup::AccessSetup;
use blockgate_rules::access::{Heard, List};
use blockgate_rules::event::{AlarmCode, Outcome};
use blockgate_types::{ClockState, Time};
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A card that stays before the reader is told again and again.
const SAME_CARD: Duration = Duration::from_secs(1);
/// So long a reader waits for the PIN to a card.
const PIN_WITHIN: Duration = Duration::from_secs(15);
/// The most digits of a PIN.
const PIN_DIGITS: usize = 6;
/// After so many wrong PINs in a row …
const PIN_FAILS: u8 = 5;
/// … a reader takes none for so long: a million PINs are not tried through in an afternoon.
const PIN_BARRED: Duration = Duration::from_secs(60);
/// A wire that cannot be opened in this time is tried again later.
const WIRE_WITHIN: Duration = Duration::from_secs(5);
/// A door that opens within this time after it was locked again was not forced.
const STILL_OPENING: Duration = Duration::from_secs(2);
const RED: u8 = 1;
const GREEN: u8 = 2;

/// The task of one wire with its readers.
pub(super) struct Task {
    worker: Worker,
    target: Target,
    duress_pin: bool,
    setup: Arc<AccessSetup>,
    zone: TimeZone,
    wire: Option<Stream>,
    wire_again: Instant,
    wire_pause: Duration,
    readers: Vec<Reader>,
    doors: BTreeMap<u8, AtDoor>,
    /// The number of the last entry of this wire's journal.
    index: u64,
    watch: Watch,
}

/// A reader, as far as it is known.
struct Reader {
    config: ReaderConfig,
    panel: Panel,
    up: bool,
    heard: Option<Time>,
    again: Instant,
    pause: Duration,
    /// How its output was told to hold; none after it was away.
    held: Option<Hold>,
    shown: Option<(Vec<u8>, Instant)>,
    typing: Option<Typing>,
    wrong_pins: u8,
    barred: Option<Instant>,
    inputs: Vec<bool>,
    board: ReaderBoard,
}

/// A card that waits for its PIN.
struct Typing {
    card: u64,
    pin: u32,
    digits: String,
    until: Instant,
}

/// A door between its readers.
#[derive(Default)]
struct AtDoor {
    /// Unlocked for somebody until then.
    until: Option<Instant>,
    open: Option<Time>,
}

impl Task {
    /// The task of the readers of a controller.
    pub(super) fn new(
        worker: Worker,
        target: Target,
        readers: Vec<ReaderConfig>,
        duress_pin: bool,
        setup: Arc<AccessSetup>,
        zone: TimeZone,
    ) -> Self {
        let now = Instant::now();
        let reader = |config: ReaderConfig| Reader {
            panel: Panel::new(config.address),
            up: false,
            heard: None,
            again: now,
            pause: limits::CONTROLLER_AWAY_MIN,
            held: None,
            shown: None,
            typing: None,
            wrong_pins: 0,
            barred: None,
            inputs: Vec::new(),
            board: ReaderBoard {
                address: config.address,
                door: config.door,
                ..ReaderBoard::default()
            },
            config,
        };
        Self {
            target,
            duress_pin,
            setup,
            zone,
            wire: None,
            wire_again: now,
            wire_pause: limits::CONTROLLER_AWAY_MIN,
            readers: readers.into_iter().map(reader).collect(),
            doors: BTreeMap::new(),
            index: worker.doors.state().cursor(&worker.id).unwrap_or(0),
            watch: Watch::new(worker.clock.now()),
            worker,
        }
    }

    /// Works until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut pace = self.worker.pace();
        loop {
            let done = match self.worker.turn(&mut pace, &stop).await {
                Turn::Over => return,
                Turn::Act(act) => self.carry_out(act).await,
                Turn::Look => {
                    let done = self.round().await;
                    pace.after(&Next::Idle);
                    done
                }
            };
            // Nothing but the engine's end ends a wire's task: a fault of a reader is the reader's.
            if done.is_err() || self.judge().await.is_err() {
                return stop.cancelled().await;
            }
        }
    }

    /// Each reader's turn, then how doors are held.
    async fn round(&mut self) -> Step<()> {
        self.open_wire().await;
        for place in 0..self.readers.len() {
            if self.wire.is_none() {
                break;
            }
            if self
                .readers
                .get(place)
                .is_some_and(|reader| reader.up || reader.again <= Instant::now())
            {
                self.turn(place).await?;
            }
        }
        self.hold_doors().await;
        self.show();
        Ok(())
    }

    async fn open_wire(&mut self) {
        if self.wire.is_some() || self.wire_again > Instant::now() {
            return;
        }
        let opening = self.worker.connect.connect(&self.target);
        let why = match tokio::time::timeout(WIRE_WITHIN, opening).await {
            Ok(Ok(wire)) => {
                (self.wire, self.wire_pause) = (Some(wire), limits::CONTROLLER_AWAY_MIN);
                for reader in &mut self.readers {
                    reader.again = Instant::now();
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        self.wire_lost(&why);
    }

    /// The wire itself is gone: every reader on it is.
    fn wire_lost(&mut self, why: &str) {
        let why = format!("the wire {}: {why}", self.target);
        if self.readers.iter().any(|reader| reader.board.trouble.is_none()) {
            tracing::warn!(controller = %self.worker.id, %why, "the readers are away");
        }
        self.wire = None;
        self.wire_pause = (self.wire_pause * 2).min(limits::CONTROLLER_AWAY_MAX);
        self.wire_again = Instant::now() + self.wire_pause;
        for reader in &mut self.readers {
            reader.gone(why.clone());
        }
    }

    /// One reader is asked once: who it is where it was away, else what is new.
    async fn turn(&mut self, place: usize) -> Step<()> {
        let now = self.worker.clock.now();
        let (Some(wire), Some(reader)) = (self.wire.as_mut(), self.readers.get_mut(place)) else {
            return Ok(());
        };
        let events = if reader.up {
            reader.panel.poll(wire).await.map(|event| vec![event])
        } else {
            // The file is read each time: a key is changed there and at the reader, not by a restart.
            match reader.config.key_file.as_deref().map(reader_key::read).transpose() {
                Ok(key) => reader.greet(wire, key.as_ref()).await,
                Err(why) => {
                    reader.board.wrong_key = true;
                    reader.gone(why);
                    return Ok(());
                }
            }
        };
        match events {
            Ok(events) => {
                reader.here(now);
                self.watch.last_good = Some(now);
                for event in events {
                    self.heard(place, event).await?;
                }
            }
            Err(fault) => self.failed(place, &fault),
        }
        Ok(())
    }

    fn failed(&mut self, place: usize, fault: &Fault) {
        if let Fault::Io(error) = fault {
            let why = error.to_string();
            return self.wire_lost(&why);
        }
        let Some(reader) = self.readers.get_mut(place) else { return };
        if reader.board.trouble.is_none() {
            tracing::warn!(controller = %self.worker.id, reader = reader.config.address, why = %fault,
                "the reader is away");
        }
        reader.board.wrong_key = matches!(fault, Fault::WrongKey | Fault::NoSecureChannel);
        reader.gone(fault.to_string());
    }

    /// What a reader told.
    async fn heard(&mut self, place: usize, event: Event) -> Step<()> {
        match event {
            Event::Nothing | Event::Other(_) => Ok(()),
            Event::Card { bits, raw, .. } => self.card(place, bits, &raw).await,
            Event::Keys(keys) => self.keys(place, &keys).await,
            Event::State { tamper, power } => self.state(place, tamper, power).await,
            Event::Inputs(inputs) => self.inputs(place, inputs).await,
        }
    }

    async fn state(&mut self, place: usize, tamper: bool, power: bool) -> Step<()> {
        let Some(reader) = self.readers.get_mut(place) else { return Ok(()) };
        let opened = tamper && !reader.board.tamper;
        (reader.board.tamper, reader.board.power) = (tamper, power);
        let door = reader.config.door;
        if opened {
            self.entry(door, Happened::Tamper, None, None, None).await?;
        }
        Ok(())
    }

    /// The door's contact and the button inside.
    async fn inputs(&mut self, place: usize, inputs: Vec<bool>) -> Step<()> {
        let Some(reader) = self.readers.get_mut(place) else { return Ok(()) };
        let before = std::mem::replace(&mut reader.inputs, inputs);
        let is = |list: &[bool], input: Option<u8>| -> Option<bool> {
            list.get(usize::from(input?)).copied()
        };
        let (contact, button) = (reader.config.contact, reader.config.button);
        let door = reader.config.door;
        let pressed =
            is(&reader.inputs, button) == Some(true) && is(&before, button) == Some(false);
        let open = is(&reader.inputs, contact);
        let at = self.doors.entry(door).or_default();
        let changed = open.filter(|open| *open != at.open.is_some());
        let expected = at.until.is_some_and(|until| Instant::now() < until + STILL_OPENING);
        if pressed {
            self.entry(door, Happened::Button, None, None, None).await?;
            let _ = self.unlock(door).await;
        }
        let Some(open) = changed else { return Ok(()) };
        // How it stands when the reader comes up says nothing of what happened.
        let found = before.is_empty();
        let now = self.worker.clock.now();
        let since = open.then_some(now);
        self.doors.entry(door).or_default().open = since;
        let held =
            self.worker.wanted().doors.get(&door).is_some_and(|(hold, _)| *hold == Hold::Open);
        let what = match open {
            true if expected || pressed || held => Happened::Opened,
            true => Happened::Forced,
            false => Happened::Closed,
        };
        if !found {
            self.entry(door, what, None, None, None).await?;
        }
        match self.worker.door(door) {
            Some(id) => self.worker.lasts(&id, since, now).await,
            None => Ok(()),
        }
    }

    /// A card was shown.
    async fn card(&mut self, place: usize, bits: u16, raw: &[u8]) -> Step<()> {
        let Some(reader) = self.readers.get_mut(place) else { return Ok(()) };
        let again =
            reader.shown.as_ref().is_some_and(|(last, at)| last == raw && at.elapsed() < SAME_CARD);
        reader.shown = Some((raw.to_vec(), Instant::now()));
        if again {
            return Ok(());
        }
        reader.typing = None;
        let door = reader.config.door;
        let list = self.worker.wanted();
        // The number as other controllers write it, or the bits as they are: whichever is known here.
        let forms = [facility_number(bits, raw), card_number(bits, raw)];
        let known = forms.into_iter().flatten().find(|form| list.cards.contains_key(form));
        let Some(card) = known.or_else(|| forms.into_iter().flatten().next()) else {
            return self.refuse(place, None, Denial::NoRight).await;
        };
        match pass::card(&list, card, door, self.moment()) {
            Verdict::Opens => self.admit(place, &list, card, false).await,
            Verdict::Denied(why) => self.refuse(place, Some(card), why).await,
            Verdict::AsksPin(pin) => {
                let Some(reader) = self.readers.get_mut(place) else { return Ok(()) };
                if reader.barred.is_some_and(|until| Instant::now() < until) {
                    return self.refuse(place, Some(card), Denial::Pin).await;
                }
                let until = Instant::now() + PIN_WITHIN;
                reader.typing = Some(Typing { card, pin, digits: String::new(), until });
                self.signal(place, None).await;
                Ok(())
            }
        }
    }

    /// Keys were pressed.
    async fn keys(&mut self, place: usize, keys: &[u8]) -> Step<()> {
        for key in keys {
            let Some(reader) = self.readers.get_mut(place) else { return Ok(()) };
            let Some(typing) = reader.typing.as_mut().filter(|t| Instant::now() < t.until) else {
                reader.typing = None;
                return Ok(());
            };
            let mut ended = false;
            match key {
                b'0'..=b'9' => typing.digits.push(char::from(*key)),
                // * takes back what was typed.
                0x7F | b'*' => typing.digits.clear(),
                // # ends it.
                0x0D | b'#' => ended = true,
                _ => {}
            }
            let is = |pin: u32| typing.digits == pin.to_string();
            let duress = self.duress_pin && is(under_threat(typing.pin));
            let right = is(typing.pin) || duress;
            if !right && !ended && typing.digits.len() < PIN_DIGITS {
                continue;
            }
            let card = typing.card;
            // Whoever mistyped shows the card again at once.
            (reader.typing, reader.shown) = (None, None);
            if !right {
                reader.wrong_pins = reader.wrong_pins.saturating_add(1);
                if reader.wrong_pins >= PIN_FAILS {
                    (reader.wrong_pins, reader.barred) = (0, Some(Instant::now() + PIN_BARRED));
                }
                return self.refuse(place, Some(card), Denial::Pin).await;
            }
            reader.wrong_pins = 0;
            // While somebody typed, the right may have been taken away.
            let list = self.worker.wanted();
            let door = self.readers.get(place).map_or(0, |reader| reader.config.door);
            return match pass::card(&list, card, door, self.moment()) {
                Verdict::Opens | Verdict::AsksPin(_) => {
                    self.admit(place, &list, card, duress).await
                }
                Verdict::Denied(why) => self.refuse(place, Some(card), why).await,
            };
        }
        Ok(())
    }

    /// Lets somebody through: written down, then opened.
    async fn admit(&mut self, place: usize, list: &List, card: u64, duress: bool) -> Step<()> {
        let Some(reader) = self.readers.get(place) else { return Ok(()) };
        let (door, inward) = (reader.config.door, reader.config.inward);
        self.entry(door, Happened::Granted, None, Some(card), Some(inward)).await?;
        if duress {
            // Nothing at the reader shows it.
            self.entry(door, Happened::Duress, None, Some(card), Some(inward)).await?;
        }
        if !self.is_durable().await {
            let counted = match list.holders.get(&card) {
                Some(Holder::Grant(grant)) => {
                    let state = self.worker.doors.state();
                    state.grants().get(grant).is_none_or(|used| used.terms.count.is_some())
                }
                Some(Holder::Person(_)) | None => false,
            };
            tracing::error!(controller = %self.worker.id, opens = !counted,
                "the disk is late: what a reader decided is not written down yet");
            if counted {
                self.signal(place, Some(RED)).await;
                return Ok(());
            }
        }
        if let Err(why) = self.unlock(door).await {
            tracing::error!(controller = %self.worker.id, %why, "the strike was not switched");
        }
        self.signal(place, Some(GREEN)).await;
        Ok(())
    }

    async fn refuse(&mut self, place: usize, card: Option<u64>, why: Denial) -> Step<()> {
        let Some(reader) = self.readers.get(place) else { return Ok(()) };
        let (door, inward) = (reader.config.door, reader.config.inward);
        self.entry(door, Happened::Denied, Some(why), card, Some(inward)).await?;
        self.signal(place, Some(RED)).await;
        Ok(())
    }

    /// What somebody at the reader sees and hears. Not every reader can: that is no fault.
    async fn signal(&mut self, place: usize, colour: Option<u8>) {
        let (Some(wire), Some(reader)) = (self.wire.as_mut(), self.readers.get_mut(place)) else {
            return;
        };
        let buzzed = reader.panel.buzz(wire, if colour == Some(RED) { 3 } else { 1 }).await;
        let shown = match (&buzzed, colour) {
            (Ok(()) | Err(Fault::Refused(_)), Some(colour)) => {
                reader.panel.led(wire, colour, 20).await
            }
            (Ok(()) | Err(_), _) => buzzed,
        };
        match shown {
            Ok(()) | Err(Fault::Refused(_)) => {}
            Err(fault) => self.failed(place, &fault),
        }
    }

    /// Switches a door's strike for its time, at each reader that has one.
    async fn unlock(&mut self, door: u8) -> Result<(), NotSwitched> {
        let list = self.worker.wanted();
        let (hold, unlock_s) = list.doors.get(&door).copied().unwrap_or((Hold::Normal, 5));
        if hold == Hold::Open {
            return Ok(());
        }
        let until = Instant::now() + Duration::from_secs(unlock_s.into());
        self.doors.entry(door).or_default().until = Some(until);
        self.switch(door, Output::OnFor(u16::from(unlock_s).saturating_mul(10))).await
    }

    /// Switches a door's strikes.
    async fn switch(&mut self, door: u8, to: Output) -> Result<(), NotSwitched> {
        let mut told =
            Err(NotSwitched { sent: false, why: "no reader of this door answers".to_owned() });
        for place in 0..self.readers.len() {
            let (Some(wire), Some(reader)) = (self.wire.as_mut(), self.readers.get_mut(place))
            else {
                break;
            };
            let strike = reader.config.output.filter(|_| reader.up && reader.config.door == door);
            let Some(output) = strike else { continue };
            match reader.panel.output(wire, output, to).await {
                Ok(()) => told = Ok(()),
                Err(fault) => {
                    let sent = !matches!(fault, Fault::Refused(_));
                    let why = fault.to_string();
                    told = told.map_err(|before| NotSwitched { sent: sent || before.sent, why });
                    if sent {
                        self.failed(place, &fault);
                    }
                }
            }
        }
        told
    }

    /// Tells readers how their doors are held, where they were not told or were away.
    async fn hold_doors(&mut self) {
        let list = self.worker.wanted();
        for place in 0..self.readers.len() {
            let (Some(wire), Some(reader)) = (self.wire.as_mut(), self.readers.get_mut(place))
            else {
                break;
            };
            let hold = list.doors.get(&reader.config.door).map(|(hold, _)| *hold);
            let strike = reader.config.output.filter(|_| reader.up);
            let (Some(hold), Some(output)) = (hold.filter(|h| reader.held != Some(*h)), strike)
            else {
                continue;
            };
            let to = if hold == Hold::Open { Output::On } else { Output::Off };
            match reader.panel.output(wire, output, to).await {
                Ok(()) => reader.held = Some(hold),
                Err(fault @ Fault::Refused(_)) => {
                    // It has no such output: said once, not each round.
                    reader.held = Some(hold);
                    let why = format!("reader {}: {fault}", reader.config.address);
                    self.worker.board(|board| {
                        board.refused_pushes += 1;
                        board.last_refused = Some(why);
                    });
                }
                Err(fault) => self.failed(place, &fault),
            }
        }
        let waits = |reader: &&Reader| {
            let hold = list.doors.get(&reader.config.door).map(|(hold, _)| *hold);
            reader.config.output.is_some() && hold.is_some() && reader.held != hold
        };
        let doors = self.readers.iter().filter(waits).count();
        self.worker.board(|board| {
            board.pending = Pending { doors, ..Pending::default() };
            board.cards = list.cards.len();
            board.read_back = true;
        });
    }

    /// Carries an order out, once, and reports.
    async fn carry_out(&mut self, act: DoorAct) -> Step<()> {
        let door = self.setup.doors.get(&act.door).cloned();
        let (outcome, detail) = match (door, act.told) {
            (None, _) => (Outcome::Failed, "the config has no such door any more".to_owned()),
            (Some(_), Told::Open) if self.worker.is_late(&act) => {
                (Outcome::Expired, "it came too late: whoever waited is gone".to_owned())
            }
            (Some(door), Told::Open) => match self.unlock(door.number).await {
                Ok(()) => {
                    self.entry(door.number, Happened::Remote, None, None, None).await?;
                    (Outcome::Done, "the reader has switched its output".to_owned())
                }
                // It may have been carried out; nobody knows.
                Err(NotSwitched { sent: true, why }) => (Outcome::Unknown, why),
                Err(NotSwitched { sent: false, why }) => (Outcome::Failed, why),
            },
            (Some(door), Told::Hold(hold)) => {
                let to = if hold == Hold::Open { Output::On } else { Output::Off };
                match self.switch(door.number, to).await {
                    Ok(()) => {
                        let here =
                            |reader: &&mut Reader| reader.up && reader.config.door == door.number;
                        for reader in self.readers.iter_mut().filter(here) {
                            reader.held = Some(hold);
                        }
                        (Outcome::Done, String::new())
                    }
                    Err(NotSwitched { why, .. }) => {
                        (Outcome::Failed, format!("{why}; it is told as soon as it answers"))
                    }
                }
            }
        };
        self.worker.report(act, outcome, detail).await
    }

    /// Writes down what happened.
    async fn entry(
        &mut self,
        door: u8,
        event: Happened,
        denied: Option<Denial>,
        card: Option<u64>,
        inward: Option<bool>,
    ) -> Step<()> {
        self.index = self.index.saturating_add(1);
        let (index, now, door) = (self.index, self.worker.clock.now(), self.worker.door(door));
        let entry = Entry { index, at: now, door, event, denied, card, inward };
        let controller = self.worker.id.clone();
        self.worker.tell(Heard::Read { controller, now, entries: vec![entry] }).await
    }

    /// Waits until what was written down last is durable, as long as somebody at a door can wait.
    async fn is_durable(&mut self) -> bool {
        let (doors, id, index) = (&self.worker.doors, &self.worker.id, self.index);
        let mut changed = doors.changed.subscribe();
        let there = |_: &u64| doors.state().cursor(id) >= Some(index);
        let there = changed.wait_for(there);
        tokio::time::timeout(limits::READER_WAITS_FOR_DISK, there)
            .await
            .is_ok_and(|seen| seen.is_ok())
    }

    /// What the clock on the wall shows; none where ours was never set.
    fn moment(&self) -> Option<Moment> {
        let known = self.worker.clock.state() != ClockState::Unsynced;
        known.then(|| words::wall(self.worker.clock.now(), &self.zone))
    }

    fn show(&self) {
        let mut refused = Refused::default();
        self.readers.iter().for_each(|reader| refused.add(reader.panel.refused));
        let readers: Vec<ReaderBoard> =
            self.readers.iter().map(|reader| reader.board.clone()).collect();
        let trouble = self.readers.iter().find_map(|reader| {
            let why = reader.board.trouble.as_ref()?;
            Some(format!("reader {}: {why}", reader.config.address))
        });
        let open = self.doors.iter().filter_map(|(number, at)| Some((*number, at.open?))).collect();
        let now = Instant::now();
        let free = |(_, at): &(&u8, &AtDoor)| at.until.is_some_and(|until| now < until);
        let mut unlocked: Vec<u8> =
            self.doors.iter().filter(free).map(|(number, _)| *number).collect();
        let held = |reader: &&Reader| reader.held == Some(Hold::Open);
        unlocked.extend(self.readers.iter().filter(held).map(|reader| reader.config.door));
        unlocked.sort_unstable();
        unlocked.dedup();
        self.worker.board(|board| {
            (board.heard, board.trouble) = (self.watch.last_good, trouble);
            (board.index, board.newest) = (Some(self.index), self.index);
            (board.refused, board.readers) = (refused, readers);
            (board.open, board.unlocked) = (open, unlocked);
        });
    }

    /// Alarms of each reader and of the wire.
    async fn judge(&mut self) -> Step<()> {
        let (now, began) = (self.worker.clock.now(), self.watch.began);
        let mut all_away = true;
        for reader in &self.readers {
            let board = &reader.board;
            let subject = format!("reader/{}/{}", self.worker.id, reader.config.address);
            let silent = now.since(reader.heard.unwrap_or(began));
            let offline = silent.is_some_and(|span| span > self.worker.config.offline_after);
            all_away &= offline;
            let why = board.trouble.clone();
            for (code, active) in [
                (AlarmCode::ControllerOffline, offline && !board.wrong_key),
                (AlarmCode::ControllerKey, board.wrong_key),
                (AlarmCode::ControllerPower, board.power),
            ] {
                let why = why.clone();
                self.worker.condition(&mut self.watch, code, &subject, active, why).await?;
            }
        }
        self.worker.judge_list(&mut self.watch, all_away).await
    }
}

/// Why a strike was not switched, and whether the reader may have done it all the same.
struct NotSwitched {
    sent: bool,
    why: String,
}

impl std::fmt::Display for NotSwitched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl Reader {
    /// Begins with a reader that was away: who it is, the secure channel, how it stands.
    async fn greet(&mut self, wire: &mut Stream, key: Option<&Key>) -> Result<Vec<Event>, Fault> {
        self.panel.ask_once(true);
        self.panel.connect(wire, key, false).await?;
        self.panel.ask_once(false);
        let mut events = Vec::new();
        let mut told = vec![self.panel.state(wire).await];
        if self.config.contact.is_some() || self.config.button.is_some() {
            told.push(self.panel.inputs(wire).await);
        }
        for told in told {
            match told {
                Ok(event) => events.push(event),
                // Not every reader watches its housing or has inputs.
                Err(Fault::Refused(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(events)
    }

    fn here(&mut self, now: Time) {
        (self.up, self.heard, self.pause) = (true, Some(now), limits::CONTROLLER_AWAY_MIN);
        let board = &mut self.board;
        (board.online, board.secure, board.wrong_key) = (true, self.panel.is_secure(), false);
        board.trouble = None;
    }

    /// It is away, and is asked less and less often.
    fn gone(&mut self, why: String) {
        (self.up, self.held, self.typing) = (false, None, None);
        self.inputs.clear();
        self.again = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(limits::CONTROLLER_AWAY_MAX);
        self.board.trouble = Some(why);
        (self.board.online, self.board.secure) = (false, false);
    }
}

/// The PIN that says "under threat": its last digit one higher.
fn under_threat(pin: u32) -> u32 {
    let last = pin % 10;
    pin - last + (last + 1) % 10
}
