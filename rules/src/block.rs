//! The Block: the state of a residential block as the fold of its events.

use crate::event::{Alarm, Event, Hold, ReadingId};
use crate::input::Input;
use blockgate_types::{AlarmId, Decimal, MeterId, RegisterName, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state. Serialised whole as a checkpoint; equal journals give equal Blocks (invariant 2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Block {
    setup: crate::setup::Setup,
    alarms: BTreeMap<AlarmId, Alarm>,
}

/// Where a register of a meter stands, for the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterView {
    /// The last accepted reading.
    pub reading: ReadingId,
    /// Its value.
    pub value: Decimal,
    /// When.
    pub at: Time,
    /// The value that is held for review, since when and why.
    pub held: Option<(Decimal, Time, Hold)>,
}

impl Block {
    /// An empty Block, before any event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides what an input means, on the present state. Pure: changes nothing. Events are pushed
    /// to `out`; the caller applies them, in order, before it decides the next input.
    pub fn decide(&self, input: &Input, out: &mut Vec<Event>) {
        let _ = (input, out);
    }

    /// Applies one event, as journaled under `seq`.
    pub fn apply(&mut self, seq: u64, event: &Event) {
        let _ = (seq, event);
    }

    /// The setup as applied.
    #[must_use]
    pub fn setup(&self) -> &crate::setup::Setup {
        &self.setup
    }

    /// Open alarms by id.
    #[must_use]
    pub fn alarms(&self) -> &BTreeMap<AlarmId, Alarm> {
        &self.alarms
    }

    /// Where a register stands; `None` before its first reading.
    #[must_use]
    pub fn register(&self, meter: &MeterId, register: &RegisterName) -> Option<RegisterView> {
        let _ = (meter, register);
        None
    }

    /// When a [`Input::Tick`] can next change something: the next period's end, the next silence
    /// alarm. `None` when nothing is set up.
    #[must_use]
    pub fn next_due(&self) -> Option<Time> {
        None
    }
}
