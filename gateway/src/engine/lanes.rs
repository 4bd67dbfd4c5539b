//! The engine's part in lanes: a car is decided like every other input, its opening is an intent in
//! the same batch, and both leave only when that batch is durable (invariant 1).

use super::Engine;
use crate::lanes::advice::{Advice, Advise, NoParking};
use crate::lanes::parking;
use crate::lanes::{Act, Crossed, Crossing, Lanes};
use blockgate_rules::Input;
use blockgate_rules::event::{Event, Outcome};
use blockgate_rules::gate::{ArmPosition, Opening, OpeningCause, OpeningOutcome};
use blockgate_rules::input::Command;
use blockgate_rules::parking::Parking;
use blockgate_rules::parking::event::EndedHow;
use blockgate_types::{ActionId, LaneId, Passage, Time};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What waits here for the next commit.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) crossed: Vec<(oneshot::Sender<Crossed>, Crossed)>,
    pub(super) acts: Vec<Act>,
    /// The state of parking as of this batch, where it changed.
    pub(super) view: Option<Arc<dyn Advise>>,
}

/// Lanes as the engine sees them.
#[derive(Default)]
pub(super) struct Barriers {
    pub(super) lanes: Option<Arc<Lanes>>,
    pub(super) crossings: Option<mpsc::Receiver<Crossing>>,
    pub(super) waiting: Waiting,
    pub(super) changed: bool,
    /// Openings that nobody carries out: their outcome is due.
    pub(super) lost: Vec<Opening>,
    /// Barriers at which a payment has come in.
    pub(super) paid: Vec<LaneId>,
}

/// The next car, for ever when there are no lanes.
pub(super) async fn next(crossings: &mut Option<mpsc::Receiver<Crossing>>) -> Option<Crossing> {
    match crossings {
        Some(crossings) => crossings.recv().await,
        None => std::future::pending().await,
    }
}

impl Engine {
    /// Gives the engine its lanes.
    pub fn with_lanes(&mut self, lanes: Arc<Lanes>, crossings: mpsc::Receiver<Crossing>) {
        // What was replayed is durable: a barrier that asks right after a start gets its answer.
        lanes.publish(self.parking_view());
        self.barriers.lanes = Some(lanes);
        self.barriers.crossings = Some(crossings);
        self.barriers.changed = true;
    }

    /// Decides a car at a barrier.
    pub(super) fn take_crossing(&mut self, crossing: Crossing) -> anyhow::Result<()> {
        let Crossing { passage, reply } = crossing;
        let now = self.shared.clock.now();
        let (lane, replayed) = (passage.lane.clone(), passage.replayed);
        let advice = self.decide_passage(now, passage)?;
        let mut opening = None;
        if advice.decision == crate::lanes::advice::Decision::Open && !replayed {
            let cause = OpeningCause::Passage { reason: advice.reason.clone() };
            opening = self.intend(now, lane, cause)?;
        }
        if let Some(lanes) = &self.barriers.lanes {
            lanes.passages.add(1);
        }
        self.urgent = true;
        self.barriers.waiting.crossed.push((reply, Crossed { advice, opening }));
        Ok(())
    }

    /// A person orders a barrier to open.
    pub(super) fn open_barrier(
        &mut self,
        command: &Command,
        lane: &LaneId,
        reason: &str,
    ) -> anyhow::Result<()> {
        let known = self.barriers.lanes.as_ref().map(|lanes| lanes.config());
        if !known.is_some_and(|config| config.barriers.contains_key(lane)) {
            let detail = format!("there is no [[barrier]] with lane = \"{lane}\"");
            return self.done(command, Outcome::Refused, detail);
        }
        let now = self.shared.clock.now();
        let (id, actor) = (command.id.clone(), command.actor.clone());
        let cause = OpeningCause::Command { id, actor, reason: reason.to_owned() };
        if let Some(opening) = self.intend(now, lane.clone(), cause)? {
            let command = Some(command.id.clone());
            self.barriers.waiting.acts.push(Act { opening, command, answered: false });
        }
        self.urgent = true;
        Ok(())
    }

    /// Writes an intent down; named by its record.
    fn intend(
        &mut self,
        at: Time,
        lane: LaneId,
        cause: OpeningCause,
    ) -> anyhow::Result<Option<Opening>> {
        self.close_record()?;
        let action = ActionId::new(&format!("open-{}", self.store.journal.next_seq()))?;
        let opening = Opening { action, lane, at, cause };
        self.step(&Input::GateOpening(opening.clone()))?;
        Ok(Some(opening))
    }

    /// What waits for the batch that is cut now.
    pub(super) fn cut_lanes(&mut self) -> Waiting {
        if std::mem::take(&mut self.barriers.changed) && self.barriers.lanes.is_some() {
            self.barriers.waiting.view = Some(self.parking_view());
        }
        if let Some(lanes) = &self.barriers.lanes {
            lanes.committing(true);
        }
        std::mem::take(&mut self.barriers.waiting)
    }

    /// Openings that were decided and that nobody could carry out have their outcome.
    pub(super) fn end_lost_openings(&mut self) -> anyhow::Result<()> {
        self.open_paid()?;
        for opening in std::mem::take(&mut self.barriers.lost) {
            let at = self.shared.clock.now();
            let done = OpeningOutcome {
                action: opening.action,
                lane: opening.lane,
                at,
                outcome: Outcome::Failed,
                position: ArmPosition::Unknown,
                detail: "nobody was left to carry it out".to_owned(),
            };
            self.step(&Input::GateOpened(done))?;
            if let OpeningCause::Command { id, .. } = opening.cause {
                let detail = "the barrier takes no more openings".to_owned();
                self.step(&Input::CommandDone { now: at, id, outcome: Outcome::Failed, detail })?;
            }
        }
        Ok(())
    }

    /// What a passage means, by the rules; a repetition means nothing new.
    fn decide_passage(&mut self, now: Time, passage: Passage) -> anyhow::Result<Advice> {
        let Some(view) = self.block.parking() else {
            self.open_by_plate(now, &passage)?;
            let plate = passage.plate.as_ref().map(|read| &read.plate);
            return Ok(NoParking.advise(&passage.lane, plate, passage.ticket.as_deref(), now));
        };
        if view.state.is_repeated(&view.setup, &passage) {
            return Ok(parking::repeated(&view, &passage, now));
        }
        let advice = parking::advice(&view.passed(&passage), view.currency());
        // What is applied next must not find the state shared: it would be copied.
        drop(view);
        self.step(&Input::Passed(passage.clone()))?;
        self.open_by_plate(now, &passage)?;
        Ok(advice)
    }

    /// The state of parking as applied.
    fn parking_view(&self) -> Arc<dyn Advise> {
        match self.block.parking() {
            Some(view) => Arc::new(view),
            None => Arc::new(NoParking),
        }
    }

    /// Before an event is applied: whether it concerns cars, and which barrier a payment opens.
    pub(super) fn see(&mut self, event: &Event) {
        match event {
            Event::Parking(parking) => {
                self.barriers.changed = true;
                let Parking::Ended { how: EndedHow::PaidAtBarrier, stay, .. } = &**parking else {
                    return;
                };
                let view = self.block.parking();
                let waits = view.and_then(|view| view.state.stays().get(stay)?.waits.clone());
                self.barriers.paid.extend(waits.map(|(lane, _)| lane));
            }
            // The setup, and permits that go with an account.
            Event::Audit(_) => self.barriers.changed = true,
            // Money of a stored-value card.
            Event::Bill(bill) => self.barriers.changed |= self.block.is_card(&bill.account),
            Event::Payment(paid) => self.barriers.changed |= self.block.is_card(&paid.account),
            Event::Reading { .. }
            | Event::Ledger(_)
            | Event::Notice(_)
            | Event::Door(_)
            | Event::Alarm(_)
            | Event::Gap(_) => {}
        }
    }

    /// Barriers at which a payment has come in.
    fn open_paid(&mut self) -> anyhow::Result<()> {
        for lane in std::mem::take(&mut self.barriers.paid) {
            let cause = OpeningCause::Passage { reason: "paid".to_owned() };
            let now = self.shared.clock.now();
            if let Some(opening) = self.intend(now, lane, cause)? {
                let act = Act { opening, command: None, answered: false };
                self.barriers.waiting.acts.push(act);
                self.urgent = true;
            }
        }
        Ok(())
    }

    /// A person opened a barrier: a stay that waited there ends with it.
    pub(super) fn hear(&mut self, input: &Input) -> anyhow::Result<()> {
        let Input::GateOpened(done) = input else { return Ok(()) };
        let found = self.block.openings().find(|opening| opening.action == done.action);
        let Some(OpeningCause::Command { reason, .. }) = found.map(|o| o.cause.clone()) else {
            return Ok(());
        };
        if done.outcome == Outcome::Done {
            for event in self.block.let_out(done.at, &done.lane, &reason) {
                self.append(event)?;
            }
        }
        Ok(())
    }

    /// A batch is durable: cars are answered, barriers told.
    pub(super) fn release_lanes(&mut self, waiting: Waiting) {
        let Some(lanes) = self.barriers.lanes.clone() else { return };
        lanes.committing(false);
        if let Some(view) = waiting.view {
            lanes.publish(view);
        }
        for (reply, crossed) in waiting.crossed {
            // A camera that hung up: its opening is carried out by nobody and has its outcome below.
            if let Err(Crossed { opening: Some(opening), .. }) = reply.send(crossed) {
                self.barriers.lost.push(opening);
            }
        }
        for act in waiting.acts {
            if let Err(act) = lanes.act(act) {
                self.barriers.lost.push(act.opening);
            }
        }
    }
}
