//! The books as durable events left them, for page and API: a second ledger that follows the journal.
//! The engine's own ledger is ahead of the disk by what is on its way there; this one never is
//! (invariant 1). Derived; nothing decides by it.

use blockgate_rules::Block;
use blockgate_rules::calendar::Zone;
use blockgate_rules::event::{Audit, Event};
use blockgate_rules::ledger::Ledger;
use blockgate_rules::rulebook::{AppliedRules, fund_of};
use blockgate_rules::setup::Setup;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The ledger by durable events, and what is needed to follow them.
#[derive(Debug, Clone, Default)]
pub struct Books {
    ledger: Ledger,
    setup: Arc<Setup>,
    zone: Option<Zone>,
    applied: BTreeMap<String, AppliedRules>,
}

impl Books {
    /// The books of a Block whose events are all durable.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        Self {
            ledger: block.ledger().clone(),
            setup: Arc::new(block.setup().clone()),
            zone: Zone::new(&block.setup().zone).ok(),
            applied: block.applied_rules().clone(),
        }
    }

    /// Follows a durable event.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Bill(bill) => {
                let fund = fund_of(&self.setup, &bill.tariff);
                self.ledger.charge(bill, fund, self.zone.as_ref());
            }
            Event::Payment(payment) => self.ledger.pay(payment, self.zone.as_ref()),
            Event::Notice(notice) => self.ledger.notice(notice),
            Event::Audit(Audit::RulesApplied { file, rules, .. }) => {
                self.applied.insert(file.clone(), (**rules).clone());
            }
            Event::Audit(
                audit @ (Audit::BlockSet { .. }
                | Audit::MetersSet { .. }
                | Audit::AccountsSet { .. }
                | Audit::TariffSet { .. }
                | Audit::ApportionmentSet { .. }
                | Audit::Removed { .. }),
            ) => {
                Arc::make_mut(&mut self.setup).follow(audit);
                if matches!(audit, Audit::BlockSet { .. }) {
                    self.zone = Zone::new(&self.setup.zone).ok();
                }
            }
            _ => {}
        }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The block as it is set up, rule files that came by command over the config's.
    #[must_use]
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The rule files in force by command.
    #[must_use]
    pub fn applied(&self) -> &BTreeMap<String, AppliedRules> {
        &self.applied
    }
}
