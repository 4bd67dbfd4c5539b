//! The books as durable events left them, for page and API: a second ledger that follows the journal.
//! The engine's own ledger is ahead of the disk by what is on its way there; this one never is
//! (invariant 1). Derived; nothing decides by it.

use blockgate_rules::Block;
use blockgate_rules::event::{Audit, Event};
use blockgate_rules::ledger::{Fund, Ledger};
use blockgate_rules::setup::Setup;
use blockgate_types::TariffId;
use std::collections::BTreeMap;

/// The ledger by durable events, and what is needed to follow them.
#[derive(Debug, Clone, Default)]
pub struct Books {
    ledger: Ledger,
    funds: BTreeMap<TariffId, Fund>,
}

impl Books {
    /// The books of a Block whose events are all durable.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        Self { ledger: block.ledger().clone(), funds: funds(block.setup()) }
    }

    /// Follows a durable event.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Bill(bill) => self.ledger.bill(bill, self.fund(&bill.tariff)),
            Event::Payment(payment) => self.ledger.apply(&payment.account, &payment.movement),
            Event::Notice(notice) => self.ledger.notice(notice),
            Event::Audit(Audit::TariffSet { tariff, document, .. }) => {
                match document.fund {
                    Some(fund) => self.funds.insert(tariff.clone(), fund),
                    None => self.funds.remove(tariff),
                };
            }
            Event::Reading { .. }
            | Event::Ledger(_)
            | Event::Alarm(_)
            | Event::Gap(_)
            | Event::Audit(_) => {}
        }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The fund that a tariff's bills are credited to.
    #[must_use]
    pub fn fund(&self, tariff: &TariffId) -> Option<Fund> {
        self.funds.get(tariff).copied()
    }

    /// The funds of all tariffs that have one.
    #[must_use]
    pub fn funds(&self) -> &BTreeMap<TariffId, Fund> {
        &self.funds
    }
}

fn funds(setup: &Setup) -> BTreeMap<TariffId, Fund> {
    let with = |(id, tariff): (&TariffId, &blockgate_rules::tariff::Tariff)| {
        tariff.fund.map(|fund| (id.clone(), fund))
    };
    setup.tariffs.iter().filter_map(with).collect()
}
