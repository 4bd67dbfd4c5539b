//! The engine's part in doors: what a door is told is an intent in the journal, and goes to its
//! controller's task only when that is durable (invariant 1). Entries of a controller's memory are
//! shown when they are.

use super::Engine;
use crate::doors::Doors;
use blockgate_rules::Input;
use blockgate_rules::access::event::{DoorAct, DoorOutcome, Entry};
use blockgate_rules::access::{Access, AccessState, Heard};
use blockgate_rules::event::{Audit, Event, Outcome};
use blockgate_rules::input::{Command, OpenDoor, Order};
use blockgate_types::{ClockState, CommandId, ControllerId, Passage, Span, Time};
use std::sync::Arc;

/// A car that was seen longer ago than this is gone, or inside.
const PLATE_FRESH: Span = Span::from_secs(20);

/// What waits here for the next commit.
#[derive(Default)]
pub(super) struct Waiting {
    acts: Vec<DoorAct>,
    entries: Vec<(ControllerId, Vec<Entry>)>,
    state: Option<Arc<AccessState>>,
}

/// Doors as the engine sees them.
#[derive(Default)]
pub(super) struct AtDoors {
    doors: Option<Arc<Doors>>,
    waiting: Waiting,
    changed: bool,
    /// Acts that nobody carries out: their outcome is due.
    lost: Vec<DoorAct>,
}

impl Engine {
    /// Gives the engine its doors.
    pub fn with_doors(&mut self, doors: Arc<Doors>) {
        self.at_doors.changed = doors.setup().is_some();
        self.at_doors.doors = Some(doors);
    }

    /// Before an event is applied: what of it concerns doors.
    pub(super) fn see_doors(&mut self, event: &Event) {
        if self.at_doors.doors.is_none() {
            return;
        }
        match event {
            Event::Door(access) => {
                self.at_doors.changed = true;
                match &**access {
                    Access::Acting(act) => {
                        self.at_doors.waiting.acts.push(act.clone());
                        self.urgent = true;
                    }
                    Access::Read { controller, entries, .. } => {
                        // Somebody waits at a reader until this is durable; a memory that is read back
                        // has time.
                        let setup = self.at_doors.doors.as_ref().and_then(|doors| doors.setup());
                        let of = setup.and_then(|setup| setup.controllers.get(controller));
                        self.urgent |= of.is_some_and(|of| of.vendor == "osdp");
                        let shown = (controller.clone(), entries.clone());
                        self.at_doors.waiting.entries.push(shown);
                    }
                    Access::Emergency { .. } | Access::HoldSet { .. } => self.urgent = true,
                    Access::Lost { .. }
                    | Access::Renumbered { .. }
                    | Access::Acted(_)
                    | Access::Fire { .. }
                    | Access::Granted { .. }
                    | Access::Revoked { .. }
                    | Access::Restored { .. }
                    | Access::Extended { .. }
                    | Access::ArrearsConfirmed { .. } => {}
                }
            }
            Event::Audit(audit) => {
                let concerns = matches!(audit, Audit::AccessSet { .. } | Audit::MovedOut { .. });
                self.at_doors.changed |= concerns;
            }
            Event::Reading { .. }
            | Event::Bill(_)
            | Event::Ledger(_)
            | Event::Parking(_)
            | Event::Payment(_)
            | Event::Notice(_)
            | Event::Alarm(_)
            | Event::Gap(_) => {}
        }
    }

    /// A plate that was seen at a lane opens the lane's door where its holder may pass there now: an
    /// order as any other, with its record, its expiry and its one outcome. A car of the past opens
    /// nothing, and neither does the same passage a second time.
    pub(super) fn open_by_plate(&mut self, now: Time, passage: &Passage) -> anyhow::Result<()> {
        let Some(doors) = &self.at_doors.doors else { return Ok(()) };
        let fresh = now.since(passage.at).is_none_or(|age| age <= PLATE_FRESH);
        let Some(read) = passage.plate.as_ref().filter(|_| fresh && !passage.replayed) else {
            return Ok(());
        };
        let clock = self.shared.clock.state();
        let known = clock != ClockState::Unsynced;
        let Some(door) = doors.opened_by(&passage.lane, &read.plate, now, known) else {
            return Ok(());
        };
        let told = format!("{}|{}|{}|{}", passage.camera, passage.lane, passage.event, passage.at);
        let hash = ring::digest::digest(&ring::digest::SHA256, told.as_bytes());
        let digits: String =
            hash.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let order = OpenDoor { door, reason: "a plate that may pass".to_owned() };
        let command = Command {
            id: CommandId::new(&format!("plate-{digits}"))?,
            issued_at: now,
            expires_at: now.plus(PLATE_FRESH),
            actor: format!("lane/{}", passage.lane),
            order: Order::OpenDoor(order),
        };
        self.step(&Input::Command { now, clock, command })
    }

    /// What waits for the batch that is cut now.
    pub(super) fn cut_doors(&mut self) -> Waiting {
        if std::mem::take(&mut self.at_doors.changed) {
            self.at_doors.waiting.state = Some(self.block.access());
        }
        std::mem::take(&mut self.at_doors.waiting)
    }

    /// A batch is durable: controllers' tasks are told.
    pub(super) fn release_doors(&mut self, waiting: Waiting) {
        let Some(doors) = self.at_doors.doors.clone() else { return };
        for (controller, entries) in &waiting.entries {
            doors.show(controller, entries);
        }
        for act in waiting.acts {
            // Before the state is published: an order goes before the list.
            if let Err(act) = doors.act(act) {
                self.at_doors.lost.push(*act);
            }
        }
        if let Some(state) = waiting.state {
            doors.publish(state);
        }
    }

    /// Acts that were decided and that nobody could carry out have their outcome.
    pub(super) fn end_lost_door_acts(&mut self) -> anyhow::Result<()> {
        for act in std::mem::take(&mut self.at_doors.lost) {
            let done = DoorOutcome {
                action: act.action,
                door: act.door,
                at: self.shared.clock.now(),
                outcome: Outcome::Failed,
                detail: "its controller takes no more orders".to_owned(),
            };
            self.step(&Input::Door(Box::new(Heard::Acted(done))))?;
        }
        Ok(())
    }
}
