//! The engine's part in acts on meters: the intent is durable before the line hears of it (invariant 1),
//! and what nobody can carry out any more has its outcome.

use super::{Engine, Errand};
use blockgate_rules::Input;
use blockgate_rules::act::{Acted, Acting};
use blockgate_rules::event::{Audit, Event, Outcome};
use blockgate_types::ActResult;

/// Acts as the engine sees them.
#[derive(Default)]
pub(super) struct Acts {
    /// What waits here for the next commit.
    pub(super) waiting: Vec<Errand>,
    /// Acts that no line took: their outcome is due.
    lost: Vec<Acting>,
}

impl Engine {
    /// Before an event is applied: whether a meter is to be told something, or asked how it stands.
    pub(super) fn see_act(&mut self, event: &Event) {
        match event {
            Event::Audit(Audit::MeterActing(acting)) => {
                self.urgent = true;
                self.acts.waiting.push(Errand::Act(acting.clone()));
            }
            // Those whose meters were never asked since; this start's own follow one by one below.
            Event::Audit(Audit::Started { .. }) => {
                let unseen = self.block.acts_to_look_at().cloned().map(Errand::Look);
                self.acts.waiting.extend(unseen);
            }
            Event::Audit(Audit::MeterActed(done))
                if done.outcome == Outcome::Unknown && done.state.is_none() =>
            {
                let acting = self.block.acts().find(|acting| acting.action == done.action);
                self.acts.waiting.extend(acting.cloned().map(Errand::Look));
            }
            Event::Audit(_)
            | Event::Reading { .. }
            | Event::Bill(_)
            | Event::Ledger(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Payment(_)
            | Event::Notice(_)
            | Event::Alarm(_)
            | Event::Gap(_) => {}
        }
    }

    /// A batch is durable: the lines hear what it ordered.
    pub(super) fn release_acts(&mut self, waiting: Vec<Errand>) {
        for errand in waiting {
            match self.errands.try_send(errand) {
                Ok(()) => {}
                Err(error) => match error.into_inner() {
                    Errand::Act(acting) => self.acts.lost.push(acting),
                    // Asked again at the next start.
                    Errand::Look(_) | Errand::Read(_) => {}
                },
            }
        }
    }

    /// Acts that nobody could carry out have their outcome.
    pub(super) fn end_lost_acts(&mut self) -> anyhow::Result<()> {
        for acting in std::mem::take(&mut self.acts.lost) {
            self.step(&Input::MeterActed(Acted {
                action: acting.action,
                meter: acting.meter,
                at: self.shared.clock.now(),
                outcome: Outcome::Failed,
                result: ActResult::NotSent,
                state: None,
                detail: "too many orders wait".to_owned(),
            }))?;
        }
        Ok(())
    }
}
