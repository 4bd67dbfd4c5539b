//! What may be given back in one day, by one clerk and in all: beside the second person above the bound, so that
//! many small refunds are no way around it. What is beyond waits for another day; nothing is paid out meanwhile.

use super::{Block, GATEWAY};
use crate::calendar::{Day, day_text_option};
use crate::event::Payment;
use crate::ledger::{Movement, Refund};
use crate::money::Fen;
use blockgate_types::{CommandId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The refunds that were approved in a day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct RefundDay {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    day: Option<Day>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    approved: BTreeMap<CommandId, Approved>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Approved {
    amount_fen: Fen,
    asked_by: String,
    by: String,
}

impl RefundDay {
    /// Whether there was none yet.
    pub(super) fn is_empty(&self) -> bool {
        self.approved.is_empty()
    }

    /// What was approved on a day of refunds in which somebody had a hand; of all without a name.
    fn sum(&self, day: Day, whose: Option<&str>) -> i64 {
        let mine = |one: &&Approved| whose.is_none_or(|who| one.asked_by == who || one.by == who);
        let all = self.approved.values().filter(|_| self.day == Some(day));
        all.filter(mine).fold(0, |sum, one| sum.saturating_add(one.amount_fen.0))
    }

    /// Counts one that is approved.
    fn count(&mut self, day: Day, refund: &Refund, by: &str) {
        if self.day != Some(day) {
            self.approved.clear();
            self.day = Some(day);
        }
        let (asked_by, by) = (refund.asked_by.clone(), by.to_owned());
        let approved = Approved { amount_fen: refund.amount_fen, asked_by, by };
        self.approved.insert(refund.refund.clone(), approved);
    }
}

impl Block {
    /// Why a refund may not be approved today by `by`, where `more` is approved by the same decision already.
    pub(super) fn day_has_room(
        &self,
        now: Time,
        refund: &Refund,
        by: &str,
        more: Fen,
    ) -> Result<(), &'static str> {
        let limits = self.state.setup.refund_limits;
        let Some(day) = self.cache.zone.as_ref().map(|zone| zone.day(now)) else { return Ok(()) };
        let with = |sum: i64| sum.saturating_add(more.0).saturating_add(refund.amount_fen.0);
        let above = |sum: i64, most: Option<Fen>| most.is_some_and(|most| with(sum) > most.0);
        let book = &self.state.refund_day;
        if above(book.sum(day, None), limits.day_max_fen) {
            return Err("more would be given back today than refund_day_max: approve it tomorrow");
        }
        let clerks = [refund.asked_by.as_str(), by].into_iter().filter(|who| *who != GATEWAY);
        for clerk in clerks {
            if above(book.sum(day, Some(clerk)), limits.clerk_day_max_fen) {
                return Err(
                    "a clerk would give back more today than refund_clerk_day_max: approve it tomorrow",
                );
            }
        }
        Ok(())
    }

    /// Counts a refund into its day as it is approved; takes it out again as it is voided.
    pub(super) fn apply_to_refund_day(&mut self, payment: &Payment) {
        let Some(zone) = &self.cache.zone else { return };
        if let Movement::RefundApproved { refund, by, .. } = &payment.movement
            && let Some(known) = self.state.ledger.refunds().get(refund)
        {
            self.state.refund_day.count(zone.day(payment.at), known, by);
        } else if let Movement::RefundVoided { refund, .. } = &payment.movement {
            self.state.refund_day.approved.remove(refund);
            if self.state.refund_day.is_empty() {
                self.state.refund_day = RefundDay::default(); // as a checkpoint has it
            }
        }
    }
}
