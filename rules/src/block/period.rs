//! The close of a period: charges begin, bills are made, the period is closed. Only by a clock that
//! can be believed (invariant 12), one month a tick, each bill once.

use super::{Block, SETUP_CHUNK, share};
use crate::alarm;
use crate::billing::{ChargeState, Closing, Counter, Due, EndedCharge, Terms};
use crate::calendar::{Day, Month, Zone};
use crate::event::{AlarmCode, Audit, Bill, ChargeId, Event, PeriodClosed, Unbilled};
use crate::money::Fen;
use crate::rounding_year::{RoundedYear, Years};
use crate::setup::{AccountSetup, Charge};
use blockgate_types::{AccountId, ItemId, Time};
use std::collections::BTreeMap;

/// Bills of one tick: the close of a large block goes on with the next, so that readings and orders
/// come in between. A sixteenth of all charges at least, so that looking for the place where it
/// stopped stays cheap.
pub(super) const CLOSE_AT_ONCE: usize = 4_000;

impl Block {
    pub(super) fn decide_period(&self, now: Time, out: &mut Vec<Event>) {
        let Some(zone) = &self.cache.zone else { return };
        // What is new waits until the close that has begun is done: looking for it takes as long as there
        // are charges, tick by tick.
        let closing = self.state.issued.closing;
        let new: Vec<ChargeId> =
            if closing { Vec::new() } else { self.charges_to_begin().collect() };
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
            && (closing
                || now >= end.plus(self.state.setup.close_grace)
                || self.all_ready(zone, end, now))
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
        for pending in &self.state.pending {
            for member in pending.open() {
                let bill = share::share_bill(&pending.bill, member, now);
                give_out(bill.map(Box::new), &mut closed, out);
            }
        }
        let made = out.len();
        let charges = self.state.charges.values().map(BTreeMap::len);
        let all = charges.fold(self.state.ended.len(), usize::saturating_add);
        let most = CLOSE_AT_ONCE.max(all.checked_div(16).unwrap_or(0));
        let full = |out: &Vec<Event>| out.len().saturating_sub(made) >= most;
        for bill in self.late_fees(&closing, to) {
            if full(out) {
                return;
            }
            give_out(Some(Box::new(bill)), &mut closed, out);
        }
        let mut standing = Standing::new(self);
        let mut shared: Vec<(&AccountId, &ItemId, Terms, &ChargeState, Day)> = Vec::new();
        for ended in &self.state.ended {
            if full(out) {
                return;
            }
            let (account, item) = (&ended.account, &ended.item);
            let (terms, state, to) = (&ended.terms, &ended.state, ended.to.min(to));
            if terms.charge.share.is_some() {
                shared.push((account, item, terms.clone(), state, to));
                continue;
            }
            let (counter, years) = standing.of(account, item);
            let due = Due { account, item, terms, state, counter, years, to };
            let after = issue(&closing, &due, &mut closed, out);
            standing.take((account, item), after);
        }
        let mut rest = self.to_bill(to).filter(|one| {
            if one.charge.share.is_some() {
                let terms = terms(one.setup, one.charge);
                shared.push((one.account, one.item, terms, one.state, to));
            }
            one.charge.share.is_none()
        });
        loop {
            let room = most.saturating_sub(out.len().saturating_sub(made));
            if room == 0 {
                return;
            }
            let batch: Vec<ToBill<'_>> = rest.by_ref().take(room).collect();
            if batch.is_empty() {
                break;
            }
            let bill = |one: &ToBill<'_>| {
                let ToBill { account, item, setup, charge, state } = *one;
                let (counter, years) = standing.of(account, item);
                let terms = terms(setup, charge);
                let due = Due { account, item, terms: &terms, state, counter, years, to };
                closing.bill(&due).map(|bill| bill.map(Box::new))
            };
            for (one, bill) in batch.iter().zip(side_by_side(&batch, &bill)) {
                match bill {
                    Ok(bill) => {
                        give_out(bill, &mut closed, out);
                    }
                    Err(why) => not_billed(one.account, one.item, why, &mut closed),
                }
            }
        }
        drop(rest);
        // Last, because what was billed can be a weight.
        let used = self.used_with(out.get(made..).unwrap_or_default());
        let mut losses = BTreeMap::new();
        for (account, item, terms, state, to) in shared {
            let (counter, years) = standing.of(account, item);
            let due = Due { account, item, terms: &terms, state, counter, years, to };
            match self.share_out(&closing, &due, &used, now) {
                Ok(bills) => {
                    for bill in bills {
                        let after = give_out(Some(Box::new(bill)), &mut closed, out);
                        standing.take((account, item), after);
                    }
                }
                Err(why) => {
                    if matches!(why, "negative-loss" | "loss-above-bound" | "skew") {
                        losses.insert(format!("{account}/{item}"), why.to_owned());
                    }
                    not_billed(account, item, why, &mut closed);
                }
            }
        }
        let facts = (!losses.is_empty()).then_some(&losses);
        let severity = alarm::severity(AlarmCode::Loss);
        self.set_alarm(now, AlarmCode::Loss, "block", severity, facts, out);
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

    /// The charges whose days before `to` are not billed yet, in the order of their accounts.
    fn to_bill(&self, to: Day) -> impl Iterator<Item = ToBill<'_>> {
        self.state.charges.iter().flat_map(move |(account, charges)| {
            let setup = self.state.setup.accounts.get(account);
            let open = charges.iter().filter(move |(_, state)| state.from < to);
            open.filter_map(move |(item, state)| {
                let setup = setup?;
                let charge = setup.charges.get(item)?;
                Some(ToBill { account, item, setup, charge, state })
            })
        })
    }

    pub(super) fn years(&self, account: &AccountId, item: &ItemId) -> Option<&Years> {
        self.state.rounding_years.get(account)?.get(item)
    }

    pub(super) fn counter(&self, account: &AccountId, item: &ItemId) -> Option<&Counter> {
        self.state.counters.get(account)?.get(item)
    }
}

/// Where accounts stand with items, the bills of this close included: an ended charge and a new one of
/// the same item go on from each other's counter and rounding years.
struct Standing<'b> {
    block: &'b Block,
    counters: BTreeMap<(&'b AccountId, &'b ItemId), Counter>,
    years: BTreeMap<(&'b AccountId, &'b ItemId), Years>,
}

impl<'b> Standing<'b> {
    fn new(block: &'b Block) -> Self {
        Self { block, counters: BTreeMap::new(), years: BTreeMap::new() }
    }

    fn of<'s>(
        &'s self,
        account: &'s AccountId,
        item: &'s ItemId,
    ) -> (Option<&'s Counter>, Option<&'s Years>) {
        let counter = self.counters.get(&(account, item));
        let years = self.years.get(&(account, item));
        (counter.or(self.block.counter(account, item)), years.or(self.block.years(account, item)))
    }

    fn take(&mut self, key: (&'b AccountId, &'b ItemId), after: Option<After>) {
        let Some(After { counter, years }) = after else { return };
        self.counters.extend(counter.map(|counter| (key, counter)));
        if !years.is_empty() {
            let known = || self.block.years(key.0, key.1).cloned().unwrap_or_default();
            self.years.entry(key).or_insert_with(known).fold(&years);
        }
    }
}

/// Where a bill left its account.
struct After {
    counter: Option<Counter>,
    years: Vec<RoundedYear>,
}

/// A charge to bill.
struct ToBill<'b> {
    account: &'b AccountId,
    item: &'b ItemId,
    setup: &'b AccountSetup,
    charge: &'b Charge,
    state: &'b ChargeState,
}

/// Fewer bills than this are made by the thread that asks for them.
const SIDE_BY_SIDE_MIN: usize = 500;

/// Makes bills on all processors, in the order of the charges: a bill depends on its own charge alone.
fn side_by_side<'c, T: Sync, R: Send>(all: &'c [T], make: &(dyn Fn(&'c T) -> R + Sync)) -> Vec<R> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    if workers < 2 || all.len() < SIDE_BY_SIDE_MIN {
        return all.iter().map(make).collect();
    }
    let (own, others) = all.split_at(all.len().div_ceil(workers));
    std::thread::scope(|scope| {
        let parts: Vec<_> = others
            .chunks(own.len())
            .map(|part| {
                let work = move || part.iter().map(make).collect::<Vec<R>>();
                (
                    part,
                    std::thread::Builder::new().name("bills".to_owned()).spawn_scoped(scope, work),
                )
            })
            .collect();
        let mut made: Vec<R> = own.iter().map(make).collect();
        for (part, worker) in parts {
            // Where there is no thread to be had, or it failed, this one makes them, or fails alike.
            match worker.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(of_part)) => made.extend(of_part),
                Ok(Err(_)) | Err(_) => made.extend(part.iter().map(make)),
            }
        }
        made
    })
}

/// Makes the bill of one charge, or writes down why there is none. Where it left its account.
fn issue(
    closing: &Closing<'_>,
    due: &Due<'_>,
    closed: &mut PeriodClosed,
    out: &mut Vec<Event>,
) -> Option<After> {
    match closing.bill(due) {
        Ok(bill) => give_out(bill.map(Box::new), closed, out),
        Err(why) => {
            not_billed(due.account, due.item, why, closed);
            None
        }
    }
}

/// Gives out a bill. Where it left its account.
fn give_out(
    bill: Option<Box<Bill>>,
    closed: &mut PeriodClosed,
    out: &mut Vec<Event>,
) -> Option<After> {
    let bill = bill?;
    // Saturates where a sum of 64 bits ends: the period's sum is for people, no account is kept by it.
    closed.total_fen = Fen(closed.total_fen.0.saturating_add(bill.total_fen.0));
    closed.bills = closed.bills.saturating_add(1);
    let counter = bill.tier_counter.as_ref().map(Counter::after);
    let after = After { counter, years: bill.rounded_years.clone() };
    out.push(Event::Bill(bill));
    Some(after)
}

fn not_billed(account: &AccountId, item: &ItemId, why: &str, closed: &mut PeriodClosed) {
    let (account, item) = (account.clone(), item.clone());
    closed.unbilled.push(Unbilled { account, item, why: why.to_owned() });
}

/// What a charge is priced by, as the setup says it now.
pub(crate) fn terms(setup: &AccountSetup, charge: &Charge) -> Terms {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_side_by_side_stands_in_the_order_of_its_charges() {
        for count in [0, 1, SIDE_BY_SIDE_MIN, 1_003] {
            let all: Vec<usize> = (0..count).collect();
            assert_eq!(
                side_by_side(&all, &|n| n * 7),
                all.iter().map(|n| n * 7).collect::<Vec<_>>()
            );
        }
    }
}
