//! The close of a period: charges begin, bills are made, the period is closed. Only by a clock that
//! can be believed (invariant 12), one month a tick, each bill once.

use super::{Block, SETUP_CHUNK};
use crate::alarm;
use crate::billing::{Closing, Counter, Due, EndedCharge, Terms};
use crate::calendar::{Day, Month, Zone};
use crate::event::{AlarmCode, Audit, ChargeId, Event, PeriodClosed, Unbilled};
use crate::money::Fen;
use crate::setup::{AccountSetup, Charge};
use blockgate_types::{AccountId, ItemId, Time};
use std::collections::BTreeMap;

impl Block {
    pub(super) fn decide_period(&self, now: Time, out: &mut Vec<Event>) {
        let Some(zone) = &self.cache.zone else { return };
        let new: Vec<ChargeId> = self.charges_to_begin().collect();
        if !new.is_empty() {
            // What is new never begins before the open month, nor on a day that an ended charge of
            // the same item pays for, whatever the clock said meanwhile.
            let today = self.state.open_month.map_or(zone.day(now), |open| open.max(zone.day(now)));
            let mut by_day: BTreeMap<Day, Vec<ChargeId>> = BTreeMap::new();
            for id in new {
                let same = |e: &&EndedCharge| e.account == id.account && e.item == id.item;
                let paid = self.state.ended.iter().filter(same).map(|ended| ended.to).max();
                by_day.entry(today.max(paid.unwrap_or(today))).or_default().push(id);
            }
            for (on, ids) in &by_day {
                out.extend(ids.chunks(SETUP_CHUNK).map(|charges| {
                    let (on, charges) = (on.to_string(), charges.to_vec());
                    Event::Audit(Audit::ChargesBegan { at: now, on, charges })
                }));
            }
            return; // the close needs them applied: the next tick
        }
        let Some(first) = self.state.open_month else { return };
        let month = Month::of(first);
        let end = zone.end_of(month);
        if now >= end
            && (now >= end.plus(self.state.setup.close_grace) || self.all_ready(zone, end, now))
        {
            self.close(zone, month, now, out);
        }
    }

    pub(super) fn has_charges_to_begin(&self) -> bool {
        self.cache.zone.is_some() && self.charges_to_begin().next().is_some()
    }

    fn charges_to_begin(&self) -> impl Iterator<Item = ChargeId> {
        self.state.setup.accounts.iter().flat_map(move |(account, setup)| {
            let begun = self.state.charges.get(account);
            let new = move |item: &&ItemId| begun.is_none_or(|begun| !begun.contains_key(*item));
            let id = |item: &ItemId| ChargeId { account: account.clone(), item: item.clone() };
            setup.charges.keys().filter(new).map(id)
        })
    }

    fn all_ready(&self, zone: &Zone, end: Time, now: Time) -> bool {
        let closing = Closing::new(&self.state.setup, zone, &self.state.meters, end, now);
        let begun = self.state.charges.values().flat_map(BTreeMap::values);
        let mut all = begun.chain(self.state.ended.iter().map(|ended| &ended.state));
        all.all(|state| closing.is_ready(state))
    }

    fn close(&self, zone: &Zone, month: Month, now: Time, out: &mut Vec<Event>) {
        let end = zone.end_of(month);
        let closing = Closing::new(&self.state.setup, zone, &self.state.meters, end, now);
        let to = month.next().first();
        let mut closed = PeriodClosed {
            period: month.period(zone),
            bills: self.state.issued.bills,
            total_fen: self.state.issued.total_fen,
            unbilled: Vec::new(),
            closed_at: now,
        };
        // An ended charge and a new one of the same item go on from each other's counter.
        let mut counted: BTreeMap<(&AccountId, &ItemId), Counter> = BTreeMap::new();
        for ended in &self.state.ended {
            let (account, item) = (&ended.account, &ended.item);
            let counter = counted.get(&(account, item)).or(self.counter(account, item));
            let (terms, state) = (&ended.terms, &ended.state);
            let due = Due { account, item, terms, state, counter, to: ended.to.min(to) };
            let after = issue(&closing, &due, &mut closed, out);
            counted.extend(after.map(|counter| ((account, item), counter)));
        }
        for (account, charges) in &self.state.charges {
            let Some(setup) = self.state.setup.accounts.get(account) else { continue };
            for (item, state) in charges {
                let Some(charge) = setup.charges.get(item) else { continue };
                let counter = counted.get(&(account, item)).or(self.counter(account, item));
                let terms = terms(setup, charge);
                let due = Due { account, item, terms: &terms, state, counter, to };
                issue(&closing, &due, &mut closed, out);
            }
        }
        let count = closed.unbilled.len();
        let facts = BTreeMap::from([
            ("charges".to_owned(), count.to_string()),
            ("period".to_owned(), month.to_string()),
        ]);
        let facts = (count > 0).then_some(&facts);
        let severity = alarm::severity(AlarmCode::Unbilled);
        self.set_alarm(now, AlarmCode::Unbilled, "block", severity, facts, out);
        out.push(Event::Ledger(closed));
    }

    fn counter(&self, account: &AccountId, item: &ItemId) -> Option<&Counter> {
        self.state.counters.get(account)?.get(item)
    }
}

/// Makes the bill of one charge, or writes down why there is none.
/// The tier counter after it.
fn issue(
    closing: &Closing<'_>,
    due: &Due<'_>,
    closed: &mut PeriodClosed,
    out: &mut Vec<Event>,
) -> Option<Counter> {
    let why = match closing.bill(due) {
        Ok(None) => return None,
        Ok(Some(bill)) => match closed.total_fen.plus(bill.total_fen) {
            Some(total) => {
                closed.total_fen = total;
                closed.bills = closed.bills.saturating_add(1);
                let after = bill.tier_counter.as_ref();
                let after = after.map(Counter::after);
                out.push(Event::Bill(Box::new(bill)));
                return after;
            }
            None => "overflow",
        },
        Err(why) => why,
    };
    closed.unbilled.push(Unbilled {
        account: due.account.clone(),
        item: due.item.clone(),
        why: why.to_owned(),
    });
    None
}

/// What a charge is priced by, as the setup says it now.
pub(super) fn terms(setup: &AccountSetup, charge: &Charge) -> Terms {
    Terms {
        charge: charge.clone(),
        area_m2: setup.area_m2,
        persons: setup.persons,
        spaces: setup.spaces,
        occupied_from: setup.occupied_from,
    }
}

/// Adds a bill to what the open period has issued.
pub(super) fn add_issued(issued: &mut super::Issued, total: Fen) {
    issued.bills = issued.bills.saturating_add(1);
    issued.total_fen = Fen(issued.total_fen.0.saturating_add(total.0));
}
