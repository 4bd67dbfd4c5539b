//! What a passage means and what the barrier is told: a pure look at what is known. The answer `open` rests
//! on facts alone that are in the journal already (an entry, a payment, a permit), so that it can be given
//! from memory.

use super::event::{Means, Passed, Reason, Told};
use super::lines::{Stretch, off, settle, stay_lines, stretches};
use super::near::{Near, nearest};
use super::plan::{ClassChange, Exceeded, Plan, Reentry};
use super::price::{Minutes, price};
use super::setup::{Lane, ParkingSetup, Permit, VehicleClass};
use super::state::{ParkingState, Stay};
use crate::calendar::Zone;
use crate::event::{BillLine, Text};
use crate::money::{Fen, minus, plus};
use blockgate_types::{
    AccountId, Decimal, LaneId, Passage, PermitId, Plate, PlateColour, PlateRead, Span, StayId,
    Time,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Proposals for a vehicle that nobody knows.
const PROPOSALS_MAX: usize = 5;

/// Everything that an answer is made of; cheap to clone, and a picture of one moment.
#[derive(Debug, Clone)]
pub struct ParkingView {
    /// The car park.
    pub setup: Arc<ParkingSetup>,
    /// Who is inside.
    pub state: Arc<ParkingState>,
    /// What the accounts of stored-value cards have prepaid and not reserved.
    pub cards: Arc<BTreeMap<AccountId, Fen>>,
    /// The block's zone.
    pub zone: Zone,
}

/// What the barrier is told, and why (`POST /v1/payment-status`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub told: Told,
    /// What is due.
    pub amount_fen: Fen,
    /// ISO 4217.
    pub currency: String,
    /// Why.
    pub reason: Reason,
    /// The stay, where it is known.
    pub stay: Option<StayId>,
    /// For the display.
    pub display: Text,
    /// Until when this answer holds if nothing happens; none where that is open.
    pub valid_until: Option<Time>,
}

/// A stay's price at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The lines of everything from the entry on, discounts included.
    pub lines: Vec<BillLine>,
    /// Their sum.
    pub total_fen: Fen,
    /// What is due beyond what was paid.
    pub due_fen: Fen,
    /// For the diagram.
    pub diagram: Vec<Stretch>,
    /// Whether the grace after a payment was exceeded.
    pub exceeded: bool,
}

/// The id of the stay that a passage begins, or of the passage itself where it begins none.
#[must_use]
pub fn stay_id(passage: &Passage) -> Option<StayId> {
    let mut text = format!("{}|{}|{}|", passage.lane, passage.camera, passage.at.as_millis());
    text.push_str(&passage.event);
    if let Some(read) = &passage.plate {
        text.push('|');
        text.push_str(read.plate.text());
    }
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    StayId::new(&format!("stay-{}", crate::hex(hash.as_ref().get(..10)?))).ok()
}

impl ParkingView {
    /// What a vehicle at a lane would be told now. Changes nothing.
    #[must_use]
    pub fn payment_status(
        &self,
        lane: &LaneId,
        plate: Option<&Plate>,
        ticket: Option<&str>,
        at: Time,
    ) -> Decision {
        let read = plate.map(|plate| PlateRead {
            plate: plate.clone(),
            confidence: None,
            colour: PlateColour::Unknown,
        });
        let passed = self.judge(lane, read.as_ref(), ticket, at, None);
        let stay = match &passed.0 {
            Means::Entered { .. } | Means::LeftUnseen { .. } | Means::Refused => None,
            Means::Moved { stay, .. } | Means::Left { stay, .. } | Means::Waits { stay } => {
                Some(stay.clone())
            }
            Means::Unknown { proposals } => proposals.first().cloned(),
        };
        let (_, told, amount_fen, reason) = passed;
        let valid_until = stay.as_ref().and_then(|id| self.valid_until(id, at));
        Decision {
            told,
            amount_fen,
            currency: self.currency(),
            reason,
            stay,
            display: reason.display(amount_fen),
            valid_until,
        }
    }

    /// What a passage means, with what the barrier is told.
    #[must_use]
    pub fn passed(&self, passage: &Passage) -> Passed {
        let ticket = passage.ticket.as_deref();
        let (means, told, due_fen, reason) =
            self.judge(&passage.lane, passage.plate.as_ref(), ticket, passage.at, Some(passage));
        Passed { passage: passage.clone(), means, told, due_fen, reason }
    }

    /// The currency of the car park's tariffs.
    #[must_use]
    pub fn currency(&self) -> String {
        let first = self.setup.tariffs.values().next();
        first.map_or_else(|| "CNY".to_owned(), |tariff| tariff.currency.clone())
    }

    /// The next whole minute of the stay, or the end of the grace after its payment.
    fn valid_until(&self, id: &StayId, at: Time) -> Option<Time> {
        let stay = self.state.stays().get(id)?;
        let grace = stay.paid.last().map(|part| part.until).filter(|until| *until > at);
        let since = at.since(stay.entered)?.as_millis();
        let next = since.div_euclid(60_000).checked_add(1)?.checked_mul(60_000)?;
        Some(grace.unwrap_or(stay.entered.plus(Span::from_millis(next))))
    }

    fn judge(
        &self,
        lane_id: &LaneId,
        read: Option<&PlateRead>,
        ticket: Option<&str>,
        at: Time,
        passage: Option<&Passage>,
    ) -> (Means, Told, Fen, Reason) {
        let Some(lane) = self.setup.lanes.get(lane_id) else {
            return (Means::Refused, Told::Ask, Fen::ZERO, Reason::UnknownLane);
        };
        match (&lane.from, &lane.to) {
            (None, Some(_)) => self.entry(lane, read, ticket, at, passage),
            (Some(_), Some(to)) => self.between(to, read, ticket, at),
            (_, None) => self.exit(read, ticket, at),
        }
    }

    fn entry(
        &self,
        lane: &Lane,
        read: Option<&PlateRead>,
        ticket: Option<&str>,
        at: Time,
        passage: Option<&Passage>,
    ) -> (Means, Told, Fen, Reason) {
        let refused = |told, reason| (Means::Refused, told, Fen::ZERO, reason);
        let Some(area_id) = &lane.to else { return refused(Told::Ask, Reason::UnknownLane) };
        let Some(area) = self.setup.areas.get(area_id) else {
            return refused(Told::Ask, Reason::UnknownLane);
        };
        let id = passage.and_then(stay_id);
        let issued = id.as_ref().map(|id| id.as_str().trim_start_matches("stay-").to_owned());
        let (plate, ticket) = match (read, ticket) {
            (Some(read), _) => (Some(&read.plate), None),
            (None, Some(ticket)) => (None, Some(ticket.to_owned())),
            // A ticket's number is made from the passage.
            (None, None) if lane.tickets => {
                (None, Some(issued.unwrap_or_default().chars().take(8).collect()))
            }
            (None, None) => {
                let proposals = Vec::new();
                return (Means::Unknown { proposals }, Told::Ask, Fen::ZERO, Reason::Unread);
            }
        };
        let permit = plate.and_then(|plate| self.state.permit_of(&self.setup, plate, at));
        let (class, reason) = self.class_at_entry(permit, at);
        if class == VehicleClass::Blocked {
            return refused(Told::Deny, Reason::Blocked);
        }
        let inside = plate.and_then(|plate| self.state.stay_of(plate));
        let full = self.state.occupied(&self.setup, area_id) >= area.capacity;
        if full && class == VehicleClass::Temporary && inside.is_none() {
            return refused(Told::Deny, Reason::Full);
        }
        let Some(stay) = id.or_else(|| StayId::new("stay-0").ok()) else {
            return refused(Told::Ask, Reason::UnknownLane);
        };
        let free = plate.is_none_or(|plate| !self.came_back(plate, &area.tariff, at));
        let means = Means::Entered {
            stay,
            class,
            permit: permit.map(|(id, _)| id.clone()),
            area: area_id.clone(),
            tariff: area.tariff.clone(),
            free,
            ticket,
            instead_of: inside.map(|(id, _)| id.clone()),
        };
        (means, Told::Open, Fen::ZERO, reason)
    }

    /// What a vehicle is when it comes, and why the barrier opens.
    fn class_at_entry(
        &self,
        permit: Option<(&PermitId, &Permit)>,
        at: Time,
    ) -> (VehicleClass, Reason) {
        let Some((id, permit)) = permit else { return (VehicleClass::Temporary, Reason::Entry) };
        if permit.class == VehicleClass::Blocked && permit.holds(at) {
            return (VehicleClass::Blocked, Reason::Blocked);
        }
        let begun = permit.from.is_none_or(|from| from <= at);
        let free = permit.free_until(self.setup.expired_grace).is_none_or(|until| at < until);
        if !begun || !free || permit.class == VehicleClass::Blocked {
            let ended = if free { Reason::Entry } else { Reason::Expired };
            return (VehicleClass::Temporary, ended);
        }
        // A space that is taken: the next vehicle of the permit pays as a temporary one.
        let takes = |stay: &&Stay| stay.permit.as_ref() == Some(id) && !stay.class.pays();
        let taken = self.state.stays().values().filter(takes).count();
        if permit.spaces.is_some_and(|spaces| taken >= usize::try_from(spaces).unwrap_or(0)) {
            return (VehicleClass::Temporary, Reason::Entry);
        }
        let reason = if permit.holds(at) { Reason::Permit } else { Reason::ExpiredInGrace };
        (permit.class, reason)
    }

    /// Whether a plate comes back so soon that it has no free time again.
    fn came_back(&self, plate: &Plate, tariff: &blockgate_types::TariffId, at: Time) -> bool {
        let plan = self.plan(tariff, at);
        match (plan.map(|plan| plan.reentry), self.state.left_at(plate)) {
            (Some(Reentry::FreeNotAgain { within_min }), Some(left)) => {
                left.plus(Span::from_mins(i64::from(within_min))) >= at
            }
            _ => false,
        }
    }

    fn plan(&self, tariff: &blockgate_types::TariffId, entered: Time) -> Option<&Plan> {
        let tariff = self.setup.tariffs.get(tariff)?;
        tariff.revision_on(self.zone.day(entered)).map(|revision| &revision.plan)
    }

    fn between(
        &self,
        to: &blockgate_types::AreaId,
        read: Option<&PlateRead>,
        ticket: Option<&str>,
        at: Time,
    ) -> (Means, Told, Fen, Reason) {
        // Nobody is held between two areas: who is inside pays at the exit.
        let means = match self.find(read, ticket, at) {
            Found::Exact(id, _) | Found::Likely(id, _) => {
                Means::Moved { stay: id.clone(), area: to.clone() }
            }
            Found::None(proposals) => Means::Unknown { proposals },
        };
        (means, Told::Open, Fen::ZERO, Reason::Between)
    }

    fn exit(
        &self,
        read: Option<&PlateRead>,
        ticket: Option<&str>,
        at: Time,
    ) -> (Means, Told, Fen, Reason) {
        let plate = read.map(|read| &read.plate);
        let permit = plate.and_then(|plate| self.state.permit_of(&self.setup, plate, at));
        match self.find(read, ticket, at) {
            Found::Exact(id, stay) => self.leaves(id, stay, permit, true, plate, at),
            Found::Likely(id, stay) => self.leaves(id, stay, permit, false, plate, at),
            Found::None(proposals) => match permit.or_else(|| self.near_permit(plate, at, false)) {
                // A resident is let out although nobody saw the entry, or saw another plate.
                Some((id, permit)) if permit.class != VehicleClass::Blocked => {
                    if let Some(stay) = self.misread_stay(permit) {
                        let (stay, nothing) = (stay.clone(), Fen::ZERO);
                        let means = Means::Left {
                            stay,
                            exact: false,
                            charged_fen: nothing,
                            unpaid_fen: nothing,
                        };
                        return (means, Told::Open, nothing, Reason::Misread);
                    }
                    let means = Means::LeftUnseen { permit: id.clone() };
                    (means, Told::Open, Fen::ZERO, Reason::Permit)
                }
                // One of several residents: whoever it is goes, and a person says who it was.
                None if self.may_be_resident(plate, &proposals, at) => {
                    (Means::Unknown { proposals }, Told::Open, Fen::ZERO, Reason::Misread)
                }
                Some(_) | None => {
                    let unread = read.is_none() && ticket.is_none();
                    let reason = if unread { Reason::Unread } else { Reason::NoEntry };
                    (Means::Unknown { proposals }, Told::Ask, Fen::ZERO, reason)
                }
            },
        }
    }

    /// A stay that is at an exit.
    fn leaves(
        &self,
        id: &StayId,
        stay: &Stay,
        permit: Option<(&PermitId, &Permit)>,
        exact: bool,
        plate: Option<&Plate>,
        at: Time,
    ) -> (Means, Told, Fen, Reason) {
        let left = |charged_fen, unpaid_fen, exact| Means::Left {
            stay: id.clone(),
            exact,
            charged_fen,
            unpaid_fen,
        };
        let Some(due) = self.due(stay, at) else {
            // Numbers beyond what is exact: a matter for people.
            return (Means::Waits { stay: id.clone() }, Told::Ask, Fen::ZERO, Reason::Due);
        };
        if due.due_fen <= Fen::ZERO {
            let reason = self.why_nothing(stay, &due, at);
            let reason = if exact { reason } else { Reason::Misread };
            return (left(Fen::ZERO, Fen::ZERO, exact), Told::Open, Fen::ZERO, reason);
        }
        // Only a plate that was read alike at both ends is charged to an account.
        let own = permit.filter(|(_, permit)| permit.class != VehicleClass::Blocked);
        if let Some((_, permit)) = own.filter(|_| exact || stay.permit.is_some()) {
            if exact && permit.on_account && permit.account.is_some() {
                let charged = left(due.due_fen, Fen::ZERO, true);
                return (charged, Told::Open, Fen::ZERO, Reason::OnAccount);
            }
            if exact && self.card(permit).is_some_and(|balance| balance >= due.due_fen) {
                let taken = left(due.due_fen, Fen::ZERO, true);
                return (taken, Told::Open, Fen::ZERO, Reason::Card);
            }
            if permit.class == VehicleClass::Monthly && stay.class != VehicleClass::Temporary
                || self.ran_out_inside(stay, permit, at)
            {
                // The month ran out: never trapped. What is due goes on the list.
                let let_go = left(Fen::ZERO, due.due_fen, exact);
                return (let_go, Told::Open, Fen::ZERO, Reason::Expired);
            }
        }
        // A resident whose plate was misread at the entry, and is read right now, or misread twice.
        let resident = own.or_else(|| self.near_permit(plate, at, exact));
        if let Some((permit_id, permit)) = resident
            && stay.permit.as_ref() != Some(permit_id)
            && permit.free_until(self.setup.expired_grace).is_none_or(|until| at < until)
            && permit.class != VehicleClass::Temporary
            && !self.is_inside(permit)
        {
            return (left(Fen::ZERO, Fen::ZERO, false), Told::Open, Fen::ZERO, Reason::Misread);
        }
        let short = exact && own.is_some_and(|(_, permit)| self.card(permit).is_some());
        let reason = match (short, due.exceeded) {
            (true, _) => Reason::CardShort,
            (false, true) => Reason::GraceExceeded,
            (false, false) => Reason::Due,
        };
        (Means::Waits { stay: id.clone() }, Told::Pay, due.due_fen, reason)
    }

    /// What is on a permit's stored-value card; `None` where it is none.
    fn card(&self, permit: &Permit) -> Option<Fen> {
        let account = permit.account.as_ref().filter(|_| permit.prepaid)?;
        Some(self.cards.get(account).copied().unwrap_or_default())
    }

    /// Whether a monthly or visitor's permit ended while the vehicle was inside.
    fn ran_out_inside(&self, stay: &Stay, permit: &Permit, at: Time) -> bool {
        permit.class == VehicleClass::Monthly
            && permit.until.is_some_and(|until| stay.entered < until && until <= at)
    }

    /// Whether a vehicle of a permit is inside under its own plate.
    fn is_inside(&self, permit: &Permit) -> bool {
        permit.plates.iter().any(|plate| self.state.stay_of(plate).is_some())
    }

    /// The one stay that can be a permit's, read otherwise at its entry.
    fn misread_stay(&self, permit: &Permit) -> Option<&StayId> {
        let strangers = self.state.stays().iter().filter(|(_, stay)| stay.permit.is_none());
        let mut near = strangers.filter(|(_, stay)| {
            let plate = stay.plate.as_ref();
            plate.is_some_and(|plate| {
                permit.plates.iter().any(|own| super::near::near(plate, own).is_some())
            })
        });
        let (id, _) = near.next()?;
        near.next().is_none().then_some(id)
    }

    /// Whether one of the vehicles that a reading may be has a permit by which it does not pay.
    fn may_be_resident(&self, plate: Option<&Plate>, proposals: &[StayId], at: Time) -> bool {
        let inside = proposals.iter().filter_map(|id| self.state.stays().get(id));
        let mut resident = inside.filter(|stay| stay.permit.is_some() && !stay.class.pays());
        resident.next().is_some()
            || plate.is_some_and(|plate| {
                let (_, found) = nearest(plate, self.plates_of_permits(at));
                found.iter().any(|(_, permit)| !permit.class.pays())
            })
    }

    /// The plates of permits whose vehicles are not charged at a time, or pay as they come.
    fn plates_of_permits(&self, at: Time) -> impl Iterator<Item = (&Plate, (&PermitId, &Permit))> {
        let permits = self.state.all_permits(&self.setup);
        let holding = permits.filter(move |(_, permit)| {
            permit.from.is_none_or(|from| from <= at)
                && permit.free_until(self.setup.expired_grace).is_none_or(|until| at < until)
                && permit.class != VehicleClass::Blocked
        });
        holding
            .flat_map(|(id, permit)| permit.plates.iter().map(move |plate| (plate, (id, permit))))
    }

    /// The one permit whose plate a reading is near to. A plate that was read `alike` at both ends is what
    /// it is, unless the characters look alike.
    fn near_permit(
        &self,
        plate: Option<&Plate>,
        at: Time,
        alike: bool,
    ) -> Option<(&PermitId, &Permit)> {
        let plate = plate?;
        match nearest(plate, self.plates_of_permits(at)) {
            (Some(how), found) if found.len() == 1 && (!alike || how == Near::Confusable) => {
                found.into_iter().next()
            }
            _ => None,
        }
    }

    fn why_nothing(&self, stay: &Stay, due: &Due, at: Time) -> Reason {
        if stay.paid.last().is_some_and(|part| at <= part.until) {
            Reason::Paid
        } else if !stay.class.pays() {
            let permit = stay.permit.as_ref().and_then(|id| self.state.permit(&self.setup, id));
            match permit {
                Some(permit) if !permit.holds(at) => Reason::ExpiredInGrace,
                Some(_) | None => Reason::Permit,
            }
        } else if due.total_fen.is_zero() {
            Reason::FreeTime
        } else {
            Reason::NothingDue
        }
    }

    /// Finds the stay of a reading.
    fn find<'v>(&'v self, read: Option<&PlateRead>, ticket: Option<&str>, at: Time) -> Found<'v> {
        if let Some((id, stay)) = ticket.and_then(|ticket| self.state.stay_of_ticket(ticket)) {
            return Found::Exact(id, stay);
        }
        let Some(read) = read else { return Found::None(Vec::new()) };
        if let Some((id, stay)) = self.state.stay_of(&read.plate) {
            return Found::Exact(id, stay);
        }
        let inside = self.state.stays().iter();
        let plates = inside
            .filter(|(_, stay)| stay.entered <= at)
            .filter_map(|(id, stay)| Some((stay.plate.as_ref()?, (id, stay))));
        let (how, mut found) = nearest(&read.plate, plates);
        found.sort_by_key(|(_, stay)| std::cmp::Reverse(stay.entered));
        match (how, found.as_slice()) {
            // One that looks alike. A vehicle of a permit is known whatever was misread.
            (Some(how), [(id, stay)]) if self.may_be(how, stay) => Found::Likely(id, stay),
            _ => Found::None(
                found.into_iter().take(PROPOSALS_MAX).map(|(id, _)| id.clone()).collect(),
            ),
        }
    }

    fn may_be(&self, how: Near, stay: &Stay) -> bool {
        how.is_likely() || stay.permit.is_some()
    }

    /// What a stay costs until a time, and what of it is due.
    #[must_use]
    pub fn due(&self, stay: &Stay, at: Time) -> Option<Due> {
        let currency = self.currency();
        let (mut lines, mut diagram) = (Vec::new(), Vec::new());
        for part in self.parts(stay, at)? {
            let (own, priced) = part;
            diagram.extend(priced);
            lines.extend(own);
        }
        if !stay.off_fen.is_zero() {
            let sum = lines
                .iter()
                .try_fold(Decimal::ZERO, |sum, line: &BillLine| plus(sum, line.exact))?;
            let less = Decimal::new(stay.off_fen.0, 2).min(sum);
            if !less.is_zero() {
                let label = Text { zh: "优惠券".to_owned(), en: "Coupons".to_owned() };
                lines.push(off(label, less));
            }
        }
        let (_, total_fen) = settle(&mut lines, &currency)?;
        let mut due = Due { lines, total_fen, diagram, ..Due::default() };
        let Some(last) = stay.paid.last() else {
            due.due_fen = total_fen;
            return Some(due);
        };
        if at <= last.until {
            return Some(due);
        }
        let plan = stay.areas.first().and_then(|(_, _, tariff)| self.plan(tariff, stay.entered))?;
        due.due_fen = match plan.after_payment.exceeded {
            Exceeded::NewPart => Fen(total_fen.0.checked_sub(stay.paid_fen().0)?.max(0)),
            Exceeded::FromPayment => {
                let minutes = Minutes::between(&self.zone, last.at, at, plan.seconds)?;
                let exact = price(plan, &minutes, false, true)?.exact;
                super::lines::to_minor(exact, &currency)?
            }
        };
        due.exceeded = !due.due_fen.is_zero();
        Some(due)
    }

    /// The charged parts of a stay: cut where it changes its area, where its permit begins or ends.
    fn parts(&self, stay: &Stay, at: Time) -> Option<Vec<(Vec<BillLine>, Vec<Stretch>)>> {
        let begin = stay.entered.plus(Span::from_mins(i64::from(stay.off_minutes)));
        if begin >= at {
            return Some(Vec::new());
        }
        let (_, _, first) = stay.areas.first()?;
        let change = self.plan(first, stay.entered)?.class_change;
        let uncharged = self.uncharged(stay, change, at);
        let mut parts = Vec::new();
        let mut nth = 0_u32;
        for (index, (from, _, tariff)) in stay.areas.iter().enumerate() {
            let next = stay.areas.get(index.saturating_add(1)).map_or(at, |(next, ..)| *next);
            let (from, to) = ((*from).max(begin), next.min(at));
            let plan = self.plan(tariff, stay.entered)?;
            for (from, to) in without(from, to, uncharged) {
                let free = stay.free && (nth == 0 || plan.free_after_change);
                nth = nth.saturating_add(1);
                let minutes = Minutes::between(&self.zone, from, to, plan.seconds)?;
                let (lines, priced) = stay_lines(plan, &minutes, free, stay.new_energy)?;
                parts.push((lines, stretches(plan, &priced)));
            }
        }
        Some(parts)
    }

    /// The time `[from, to)` in which a stay is not charged by its permit.
    fn uncharged(&self, stay: &Stay, change: ClassChange, at: Time) -> Option<(Time, Time)> {
        let always = Some((Time::EPOCH, Time::MAX));
        let permit = stay.permit.as_ref().and_then(|id| self.state.permit(&self.setup, id));
        let permit = permit.or_else(|| {
            // Bought while the vehicle was inside.
            let plate = stay.plate.as_ref()?;
            self.state.permit_of(&self.setup, plate, at).map(|(_, permit)| permit)
        });
        let Some(permit) = permit else {
            return if stay.class.pays() { None } else { always };
        };
        if permit.class.pays()
            || (stay.permit.is_some() && stay.class.pays() && permit.spaces.is_some())
        {
            return None;
        }
        let from = permit.from.unwrap_or(Time::EPOCH);
        let until = permit.free_until(self.setup.expired_grace).unwrap_or(Time::MAX);
        match change {
            ClassChange::Split => (from < until).then_some((from, until)),
            ClassChange::AtEntry => {
                if (from..until).contains(&stay.entered) {
                    always
                } else {
                    None
                }
            }
            ClassChange::AtExit => {
                if (from..until).contains(&at) {
                    always
                } else {
                    None
                }
            }
        }
    }

    /// A bill's lines for a stay whose parts were paid before: what was paid already is taken off.
    #[must_use]
    pub fn rest_lines(&self, due: &Due, paid: Fen) -> Option<(Vec<BillLine>, Fen)> {
        let mut lines = due.lines.clone();
        let whole = lines.iter().try_fold(Decimal::ZERO, |sum, line| plus(sum, line.exact))?;
        // What was paid is not paid back where a block went on into a cheaper window.
        let less = Decimal::new(paid.0, 2).min(whole);
        if !less.is_zero() {
            let label = Text { zh: "已付".to_owned(), en: "Paid already".to_owned() };
            lines.push(off(label, less));
        }
        let sum = lines.iter().try_fold(Decimal::ZERO, |sum, line| plus(sum, line.exact))?;
        let wanted = Decimal::new(due.due_fen.0, 2);
        let rounding = minus(wanted, sum)?;
        let (_, total) = settle(&mut lines, "CNY")?;
        // Charged from the payment on, not as a difference: the line says so.
        if total != due.due_fen {
            let label = Text {
                zh: "缴费后超时重新计费".to_owned(),
                en: "Charged from the payment".to_owned(),
            };
            let mut line = off(label, Decimal::ZERO);
            (line.unit_price, line.exact) = (rounding, rounding);
            lines.push(line);
            settle(&mut lines, "CNY")?;
        }
        Some((lines, due.due_fen))
    }
}

/// What was found for a reading.
enum Found<'v> {
    /// This very plate or ticket.
    Exact(&'v StayId, &'v Stay),
    /// The only one that it can have been.
    Likely(&'v StayId, &'v Stay),
    /// Nothing that is sure enough; the likeliest first.
    None(Vec<StayId>),
}

/// `[from, to)` without a span.
fn without(from: Time, to: Time, span: Option<(Time, Time)>) -> Vec<(Time, Time)> {
    let Some((begin, end)) = span else {
        return if from < to { vec![(from, to)] } else { Vec::new() };
    };
    [(from, to.min(begin)), (from.max(end), to)].into_iter().filter(|(a, b)| a < b).collect()
}
