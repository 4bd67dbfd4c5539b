//! Estimated readings: where a bill is due and the meter gave none. The bill says that it is estimated;
//! the next real reading says what the estimate should have been, and the bills are put right by it
//! with an ordinary correction that the gateway orders itself.

use super::{Block, Estimate};
use crate::calendar;
use crate::correction::{Correction, Ground, What};
use crate::event::{Reading, Verdict};
use crate::input::{Command, Order};
use crate::metering;
use crate::money::{Fen, minus, plus, times};
use blockgate_types::{CommandId, Decimal, MeterId, RegisterName, Span, Time};

/// Who orders what puts estimates right.
const ACTOR: &str = "gateway";

impl Estimate {
    /// The id of the command that puts it right: always the same one, so that it is ordered once.
    pub(super) fn command(&self) -> Option<CommandId> {
        CommandId::new(&format!("estimate-{}", self.reading)).ok()
    }
}

impl Block {
    /// The reading of an estimate: the value that a person gives, or the mean use of a day since the
    /// first reading, over the days since the last one.
    pub(super) fn estimated(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        value: Option<Decimal>,
        reason: &str,
        now: Time,
    ) -> Result<Reading, &'static str> {
        if reason.trim().is_empty() || reason.len() > 200 {
            return Err("a reason of 1 to 200 bytes is needed");
        }
        let (setup, known) = self.known(meter, register)?;
        let last = &known.last;
        let gone = now.since(last.at).filter(|gone| !gone.is_zero());
        let gone = gone.ok_or("the clock is behind the last accepted reading")?;
        let multiplier = self.state.meters.get(meter).map_or(Decimal::ONE, |m| m.multiplier);
        let (value, why) = match value {
            Some(value) => (value, format!("by order: {reason}")),
            None => {
                let real = known.real.as_ref().map_or(last, |real| &real.point);
                let since = real.at.since(known.opened.at).filter(|span| !span.is_zero());
                let since = since.ok_or("one reading is no base for an estimate: give a value")?;
                let mean = minus(real.total, known.opened.total)
                    .and_then(|all| times(all, Decimal::from(gone.as_millis())))
                    .and_then(|all| all.checked_div(Decimal::from(since.as_millis())))
                    .and_then(|used| used.checked_div(multiplier))
                    .map(|used| used.trunc_with_scale(setup.decimals));
                let value = mean.and_then(|used| plus(last.value, used));
                let value = value.ok_or("the numbers are too large to be exact")?;
                (value, format!("mean use since {}: {reason}", known.opened.at))
            }
        };
        let used = minus(value, last.value).filter(|used| !used.is_sign_negative());
        let used = used.ok_or("an estimate is not below the last reading")?;
        if !metering::within_rate(setup, known.rate_from, now, used) {
            return Err("the meter cannot have counted so much since it was read");
        }
        let verdict = Verdict::Estimated { from: last.reading, used, why };
        Ok(metering::reading(meter, setup, now, value, verdict))
    }

    /// Whether estimates wait to be put right.
    #[must_use]
    pub fn has_estimates_to_settle(&self) -> bool {
        let seen = |id: &CommandId| self.state.commands_seen.has(id);
        let mut ids = self.state.estimates.iter().filter_map(Estimate::command);
        ids.any(|id| !seen(&id))
    }

    /// Whether a command was accepted and has no outcome yet.
    #[must_use]
    pub fn is_open(&self, id: &CommandId) -> bool {
        self.state.commands_open.contains_key(id)
    }

    /// The commands that put estimates right, for the gateway to order: each once.
    #[must_use]
    pub fn estimates_to_settle(&self, now: Time) -> Vec<Command> {
        let command = |estimate: &Estimate| {
            let id = estimate.command()?;
            if self.state.commands_seen.has(&id) {
                return None;
            }
            let zone = self.cache.zone.as_ref()?;
            let said = |text: &str| text.to_owned();
            let correction = Correction {
                ground: Ground {
                    reason: said("estimated"),
                    evidence: format!("reading {}", estimate.by),
                    approver: said("the rule for estimated readings"),
                    limit: said("back to the last real reading"),
                },
                // Bills before the estimate do not name it.
                since: calendar::days_before(zone.day(now), 3_660)?.to_string(),
                threshold_fen: Fen::ZERO,
                what: What::Reading {
                    meter: estimate.meter.clone(),
                    register: estimate.register.clone(),
                    reading: estimate.reading,
                    value: estimate.value,
                },
            };
            Some(Command {
                id,
                issued_at: now,
                expires_at: now.plus(Span::from_days(1)),
                actor: ACTOR.to_owned(),
                order: Order::Correct(Box::new(correction)),
            })
        };
        self.state.estimates.iter().filter_map(command).collect()
    }
}
