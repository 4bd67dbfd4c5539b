//! Who is in the car park: the fold of its events.

use super::event::{EndedHow, Means, Parking, Passed, Told};
use super::setup::{ParkingSetup, Permit, VehicleClass};
use crate::event::Text;
use crate::money::Fen;
use blockgate_types::{AreaId, CameraId, LaneId, PermitId, Plate, StayId, TariffId, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Most stays at once; a car park of this box is smaller.
pub const STAYS_MAX: usize = 20_000;
/// Most permits given by commands.
pub const PERMITS_MAX: usize = 20_000;
/// Events of one camera that are remembered to know a retransmission.
const SEEN_MAX: usize = 256;
/// Exits that are remembered for re-entries.
const EXITS_MAX: usize = 4_096;
/// Things that wait for a person.
const UNRESOLVED_MAX: usize = 2_000;

/// A vehicle inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// Its plate; none where it has a ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<Plate>,
    /// Its ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Whether it is a new-energy vehicle.
    #[serde(default)]
    pub new_energy: bool,
    /// Since when.
    pub entered: Time,
    /// By which lane.
    pub lane: LaneId,
    /// What it was at the entry.
    pub class: VehicleClass,
    /// By which permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<PermitId>,
    /// Where it was, from when on, by which tariff; never empty.
    pub areas: Vec<(Time, AreaId, TariffId)>,
    /// Whether it has free time.
    pub free: bool,
    /// What was paid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paid: Vec<PaidPart>,
    /// Minutes that merchants took off.
    #[serde(default)]
    pub off_minutes: u32,
    /// Money that merchants took off.
    #[serde(default)]
    pub off_fen: Fen,
    /// The last morning on which it had its statement.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::calendar::day_text_option"
    )]
    pub stated: Option<crate::calendar::Day>,
    /// At which exit it waits for its payment, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<(LaneId, Time)>,
}

/// A payment inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaidPart {
    /// When.
    pub at: Time,
    /// How much.
    pub amount_fen: Fen,
    /// Until when the way out is free.
    pub until: Time,
}

impl Stay {
    /// The area where it is.
    #[must_use]
    pub fn area(&self) -> Option<&AreaId> {
        self.areas.last().map(|(_, area, _)| area)
    }

    /// The sum of its payments.
    #[must_use]
    pub fn paid_fen(&self) -> Fen {
        Fen(self.paid.iter().fold(0_i64, |sum, part| sum.saturating_add(part.amount_fen.0)))
    }
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    /// Since when.
    pub at: Time,
    /// In which lane.
    pub lane: LaneId,
    /// What it is.
    pub why: Why,
    /// The plate, where one was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<Plate>,
    /// What was due and not charged.
    #[serde(default)]
    pub unpaid_fen: Fen,
    /// What is proposed: these stays, the likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<StayId>,
}

/// Kinds of unresolved things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// An exit without an entry: let it out, by one of the proposals or free.
    NoEntry,
    /// An entry of a plate that was inside: its exit was missed; proposed: closed without a charge.
    MissedExit,
    /// Matched although the plate was read otherwise; proposed: accept it.
    Misread,
    /// Let out although something was due; proposed: charge it to the account or waive it.
    LetGo,
    /// Nothing could be read.
    Unread,
}

impl Unresolved {
    /// The answer that is proposed to the person who looks at it.
    #[must_use]
    pub fn proposed(&self) -> Text {
        let (zh, en) = match (self.why, self.proposals.is_empty()) {
            (Why::NoEntry | Why::Unread, false) => (
                "对照抓拍图片：若是下列停留之一，更正其车牌后结束该停留；否则按无入场记录销项。",
                "Compare the pictures: if it was one of these stays, correct its plate and close it; otherwise settle it as without an entry.",
            ),
            (Why::NoEntry, true) => (
                "查无相近车牌的入场记录：按未见入场销项，不收费。",
                "No entry with a plate like it: settle it as an entry that was not seen, without a charge.",
            ),
            (Why::Unread, true) => (
                "车牌未识别：查看抓拍图片，若能辨认则更正停留，否则销项。",
                "No plate was read: look at the picture, correct the stay if it can be told, settle it otherwise.",
            ),
            (Why::MissedExit, _) => (
                "上次离场未被拍到，该停留已不收费结束：销项。",
                "The last exit was not seen and the stay has ended without a charge: settle it.",
            ),
            (Why::Misread, _) => (
                "进出场车牌相差一个字符，已按同一辆车处理：核对图片后销项。",
                "The plates at entry and exit differ by a character and were taken for one vehicle: compare the pictures and settle it.",
            ),
            (Why::LetGo, _) => (
                "有费用未收即放行：记入住户账户补收，或减免后销项。",
                "It went although something was due: charge it to the household's account, or waive it and settle it.",
            ),
        };
        Text { zh: zh.to_owned(), en: en.to_owned() }
    }
}

/// A passage that was seen, to know its repetitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    event: String,
    at: Time,
    plate: Option<Plate>,
    lane: LaneId,
}

/// The state of a car park.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkingState {
    stays: BTreeMap<StayId, Stay>,
    permits: BTreeMap<PermitId, Permit>,
    unresolved: BTreeMap<StayId, Unresolved>,
    exits: VecDeque<(Time, Plate)>,
    seen: BTreeMap<CameraId, VecDeque<Seen>>,
}

impl ParkingState {
    /// Who is inside.
    #[must_use]
    pub fn stays(&self) -> &BTreeMap<StayId, Stay> {
        &self.stays
    }

    /// Permits that were given by commands.
    #[must_use]
    pub fn permits(&self) -> &BTreeMap<PermitId, Permit> {
        &self.permits
    }

    /// What waits for a person, by the stay or the passage's id.
    #[must_use]
    pub fn unresolved(&self) -> &BTreeMap<StayId, Unresolved> {
        &self.unresolved
    }

    /// All permits with their ids, those of commands before those of the config.
    pub fn all_permits<'s>(
        &'s self,
        setup: &'s ParkingSetup,
    ) -> impl Iterator<Item = (&'s PermitId, &'s Permit)> {
        let config = setup.permits.iter().filter(|(id, _)| !self.permits.contains_key(*id));
        self.permits.iter().chain(config)
    }

    /// The permit of this id.
    #[must_use]
    pub fn permit<'s>(&'s self, setup: &'s ParkingSetup, id: &PermitId) -> Option<&'s Permit> {
        self.permits.get(id).or_else(|| setup.permits.get(id))
    }

    /// The permit that counts for a plate at a time: one that holds before one that does not, and of
    /// those the one that ended last.
    #[must_use]
    pub fn permit_of<'s>(
        &'s self,
        setup: &'s ParkingSetup,
        plate: &Plate,
        at: Time,
    ) -> Option<(&'s PermitId, &'s Permit)> {
        self.all_permits(setup)
            .filter(|(_, permit)| permit.plates.contains(plate))
            .max_by_key(|(_, permit)| (permit.holds(at), permit.until.unwrap_or(Time::MAX)))
    }

    /// The stay of a plate.
    #[must_use]
    pub fn stay_of(&self, plate: &Plate) -> Option<(&StayId, &Stay)> {
        self.stays.iter().find(|(_, stay)| stay.plate.as_ref() == Some(plate))
    }

    /// The stay of a ticket.
    #[must_use]
    pub fn stay_of_ticket(&self, ticket: &str) -> Option<(&StayId, &Stay)> {
        self.stays.iter().find(|(_, stay)| stay.ticket.as_deref() == Some(ticket))
    }

    /// When a plate left last, as far as is remembered.
    #[must_use]
    pub fn left_at(&self, plate: &Plate) -> Option<Time> {
        self.exits.iter().rev().find(|(_, left)| left == plate).map(|(at, _)| *at)
    }

    /// Vehicles in an area and those within it.
    #[must_use]
    pub fn occupied(&self, setup: &ParkingSetup, area: &AreaId) -> u32 {
        let inside = |stay: &&Stay| {
            let mut at = stay.area();
            // An area within itself is refused by the config; the bound is for a journal from elsewhere.
            for _ in 0..16 {
                match at {
                    Some(here) if here == area => return true,
                    Some(here) => at = setup.areas.get(here).and_then(|a| a.within.as_ref()),
                    None => return false,
                }
            }
            false
        };
        u32::try_from(self.stays.values().filter(inside).count()).unwrap_or(u32::MAX)
    }

    /// Whether a passage is one that was seen already: the same event of the same camera, or the same
    /// plate in the same direction within the setup's time.
    #[must_use]
    pub fn is_repeated(&self, setup: &ParkingSetup, passage: &blockgate_types::Passage) -> bool {
        let of_camera = self.seen.get(&passage.camera).into_iter().flatten();
        let mut same_event = of_camera.filter(|seen| {
            !passage.event.is_empty() && seen.event == passage.event && seen.at == passage.at
        });
        if same_event.next().is_some() {
            return true;
        }
        let Some(read) = &passage.plate else { return false };
        let way = |lane: &LaneId| setup.lanes.get(lane).map(|lane| (&lane.from, &lane.to));
        self.seen.values().flatten().any(|seen| {
            let apart = passage.at.as_millis().abs_diff(seen.at.as_millis());
            seen.plate.as_ref() == Some(&read.plate)
                && apart <= u64::try_from(setup.duplicate_within.as_millis()).unwrap_or(0)
                && way(&seen.lane) == way(&passage.lane)
        })
    }

    /// Folds an event in.
    pub fn apply(&mut self, event: &Parking) {
        match event {
            Parking::Passed(passed) => self.apply_passed(passed),
            Parking::Paid { at, stay, amount_fen, until, .. } => {
                if let Some(stay) = self.stays.get_mut(stay) {
                    let part = PaidPart { at: *at, amount_fen: *amount_fen, until: *until };
                    stay.paid.push(part);
                }
            }
            Parking::Discounted { stay, minutes, amount_fen, .. } => {
                if let Some(stay) = self.stays.get_mut(stay) {
                    stay.off_minutes = stay.off_minutes.saturating_add(*minutes);
                    stay.off_fen = Fen(stay.off_fen.0.saturating_add(amount_fen.0));
                }
            }
            Parking::Ended { at, stay, how, unpaid_fen, .. } => {
                let why = match how {
                    EndedHow::PaidAtBarrier => None,
                    EndedHow::LetOut => (!unpaid_fen.is_zero()).then_some(Why::LetGo),
                    EndedHow::MissedExit => None,
                };
                self.leave(stay, *at, why, *unpaid_fen);
            }
            Parking::Corrected { stay, plate, entered, .. } => {
                if let Some(stay) = self.stays.get_mut(stay) {
                    if let Some(plate) = plate {
                        stay.plate = Some(plate.clone());
                    }
                    if let Some(entered) = entered {
                        stay.entered = *entered;
                        if let Some((from, ..)) = stay.areas.first_mut() {
                            *from = *entered;
                        }
                    }
                }
                self.unresolved.remove(stay);
            }
            Parking::PermitSet { permit, terms, .. } => {
                self.permits.insert(permit.clone(), (**terms).clone());
            }
            Parking::PermitEnded { permit, .. } => {
                self.permits.remove(permit);
            }
            Parking::Settled { stay, .. } => {
                self.unresolved.remove(stay);
            }
            Parking::Stated(statement) => {
                if let Some(stay) = self.stays.get_mut(&statement.stay) {
                    stay.stated = crate::calendar::parse_day(&statement.day);
                }
            }
        }
    }

    fn apply_passed(&mut self, passed: &Passed) {
        let passage = &passed.passage;
        let plate = passage.plate.as_ref().map(|read| read.plate.clone());
        let seen = self.seen.entry(passage.camera.clone()).or_default();
        seen.push_back(Seen {
            event: passage.event.clone(),
            at: passage.at,
            plate: plate.clone(),
            lane: passage.lane.clone(),
        });
        while seen.len() > SEEN_MAX {
            seen.pop_front();
        }
        match &passed.means {
            Means::Entered { stay, class, permit, area, tariff, free, ticket, instead_of } => {
                if let Some(old) = instead_of {
                    self.leave(old, passage.at, None, Fen::ZERO);
                    self.note(old, passage, Why::MissedExit, Fen::ZERO, Vec::new());
                }
                let colour = passage.plate.as_ref().map(|read| read.colour);
                let new = Stay {
                    plate: if ticket.is_some() { None } else { plate },
                    ticket: ticket.clone(),
                    new_energy: colour.is_some_and(|colour| colour.is_new_energy()),
                    entered: passage.at,
                    lane: passage.lane.clone(),
                    class: *class,
                    permit: permit.clone(),
                    areas: vec![(passage.at, area.clone(), tariff.clone())],
                    free: *free,
                    paid: Vec::new(),
                    off_minutes: 0,
                    off_fen: Fen::ZERO,
                    stated: None,
                    waits: None,
                };
                if self.stays.len() < STAYS_MAX {
                    self.stays.insert(stay.clone(), new);
                }
            }
            Means::Moved { stay, area } => {
                if let Some(stay) = self.stays.get_mut(stay) {
                    let tariff = stay.areas.last().map(|(_, _, tariff)| tariff.clone());
                    if let Some(tariff) = tariff {
                        stay.areas.push((passage.at, area.clone(), tariff));
                    }
                }
            }
            Means::Left { stay, exact, unpaid_fen, .. } => {
                let why = match (unpaid_fen.is_zero(), exact) {
                    (false, _) => Some(Why::LetGo),
                    (true, false) => Some(Why::Misread),
                    (true, true) => None,
                };
                if let (Some(why), false) = (why, *exact) {
                    self.note(stay, passage, why, *unpaid_fen, Vec::new());
                    self.leave(stay, passage.at, None, Fen::ZERO);
                } else {
                    self.leave(stay, passage.at, why, *unpaid_fen);
                }
            }
            Means::Waits { stay } => {
                if let Some(stay) = self.stays.get_mut(stay) {
                    stay.waits = Some((passage.lane.clone(), passage.at));
                }
            }
            Means::LeftUnseen { .. } => {
                if let Some(id) = super::judge::stay_id(passage) {
                    self.note(&id, passage, Why::NoEntry, Fen::ZERO, Vec::new());
                }
            }
            Means::Unknown { proposals } => {
                if let Some(id) = super::judge::stay_id(passage) {
                    let why = if passage.plate.is_none() { Why::Unread } else { Why::NoEntry };
                    self.note(&id, passage, why, Fen::ZERO, proposals.clone());
                }
            }
            Means::Refused => {}
        }
        debug_assert!(
            passed.told != Told::Pay || matches!(passed.means, Means::Waits { .. }),
            "only a stay that is known can be asked to pay"
        );
    }

    fn note(
        &mut self,
        id: &StayId,
        passage: &blockgate_types::Passage,
        why: Why,
        unpaid_fen: Fen,
        proposals: Vec<StayId>,
    ) {
        let plate = passage.plate.as_ref().map(|read| read.plate.clone());
        let (at, lane) = (passage.at, passage.lane.clone());
        let entry = Unresolved { at, lane, why, plate, unpaid_fen, proposals };
        self.unresolved.insert(id.clone(), entry);
        self.bound_unresolved();
    }

    /// The list is for people: what nobody settled for longest goes first.
    fn bound_unresolved(&mut self) {
        while self.unresolved.len() > UNRESOLVED_MAX {
            let oldest = self.unresolved.iter().min_by_key(|(_, entry)| entry.at);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else { return };
            self.unresolved.remove(&oldest);
        }
    }

    fn leave(&mut self, id: &StayId, at: Time, why: Option<Why>, unpaid_fen: Fen) {
        let Some(stay) = self.stays.remove(id) else { return };
        if let Some(plate) = &stay.plate {
            self.exits.push_back((at, plate.clone()));
            while self.exits.len() > EXITS_MAX {
                self.exits.pop_front();
            }
        }
        if let Some(why) = why {
            let (lane, plate) = (stay.lane, stay.plate);
            let entry = Unresolved { at, lane, why, plate, unpaid_fen, proposals: Vec::new() };
            self.unresolved.insert(id.clone(), entry);
            self.bound_unresolved();
        }
    }

    /// Forgets plates of what ended before a time: exits, what cameras saw, the list of what nobody
    /// settled. Called at the close of a day, as a part of its event.
    pub fn forget_before(&mut self, before: Time) {
        self.exits.retain(|(at, _)| *at >= before);
        for seen in self.seen.values_mut() {
            seen.retain(|seen| seen.at >= before);
        }
        self.unresolved.retain(|_, entry| entry.at >= before);
    }
}
