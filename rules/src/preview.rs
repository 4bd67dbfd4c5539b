//! A rule before it is applied: the bills of a month that is over, as they would have been by it. Who
//! pays how much more or less, bill by bill; nothing is changed.
//!
//! The newest revision of each rule in the file is taken as if it had held then, whatever its date:
//! the usage is what was really billed, the tier counters stand where they stood.

use crate::billing::{ChargeState, Closing, Due};
use crate::calendar::{Day, Zone, parse_day};
use crate::correction::{Correction, Ground, What, differences};
use crate::event::Bill;
use crate::money::Fen;
use crate::rounding_year::{AllYears, Years};
use crate::rulebook;
use crate::setup::Setup;
use crate::tariff::Tariff;
use blockgate_types::{AccountId, BillId, CommandId, ItemId, TariffId, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What one bill would have been.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Whose.
    pub account: AccountId,
    /// Which item.
    pub item: ItemId,
    /// The bill as it was issued; none for what was not charged then.
    pub bill: Option<BillId>,
    /// What was billed, corrections included.
    pub was_fen: Fen,
    /// What it would have been.
    pub now_fen: Fen,
    /// More, or less below zero.
    pub difference_fen: Fen,
}

/// What the rules of a file would have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// First day of the bills that were looked at.
    pub from: String,
    /// The day after the last.
    pub to: String,
    /// Rules of the file, with the revision that was taken.
    pub rules: BTreeMap<TariffId, String>,
    /// Bills that would have been others, the largest rise first.
    pub changed: Vec<Changed>,
    /// Bills by these rules that would have been the same.
    pub same: usize,
    /// Charges whose bill cannot be told: `account/item` with the reason.
    pub unknown: BTreeMap<String, String>,
    /// What was billed by these rules.
    pub was_fen: Fen,
    /// What it would have been.
    pub now_fen: Fen,
    /// Households that pay more, and by how much together.
    pub more: (usize, Fen),
    /// Households that pay less, and by how much together (below zero).
    pub less: (usize, Fen),
}

/// The tariff with its newest revision only, in force at all times.
fn as_if_always(tariff: &Tariff) -> Option<Tariff> {
    let always = Day::new(1970, 1, 1).ok()?;
    let mut newest = tariff.revisions.last()?.clone();
    (newest.from, newest.to) = (always, None);
    let mut tariff = Tariff { revisions: vec![newest], ..tariff.clone() };
    for adjustment in &mut tariff.adjustments {
        (adjustment.from, adjustment.to) = (always, None);
    }
    Some(tariff)
}

/// Where the rounding years stand by these bills alone.
fn years(bills: &[Bill]) -> AllYears {
    let mut years = AllYears::new();
    for bill in bills.iter().filter(|bill| !bill.rounded_years.is_empty()) {
        let items = years.entry(bill.account.clone()).or_default();
        items.entry(bill.item.clone()).or_default().fold(&bill.rounded_years);
    }
    years.values_mut().flat_map(BTreeMap::values_mut).for_each(Years::balance);
    years
}

/// Runs a rule file against the bills of `[from, to)`, first bills and corrections.
///
/// # Errors
/// Every fault of the file, or why the bills cannot be rated by it.
pub fn preview(
    setup: &Setup,
    zone: &Zone,
    (name, text): (&str, &str),
    bills: &[Bill],
    (from, to): (Day, Day),
    now: Time,
) -> Result<Preview, Vec<String>> {
    let one = |text: &str| vec![text.to_owned()];
    let fitting = rulebook::check(setup, name, text)?;
    let mut next = fitting.setup;
    let mut rules = BTreeMap::new();
    for rule in &fitting.file.rules {
        let newest = rule.tariff.revisions.last().map(crate::tariff::Revision::name);
        rules.insert(rule.id.clone(), newest.unwrap_or_default());
        let always = as_if_always(&rule.tariff).ok_or_else(|| one("a rule without a price"))?;
        next.tariffs.insert(rule.id.clone(), always);
    }
    let meters = BTreeMap::new();
    let closing = Closing::new(&next, zone, &meters, now, now);
    let command = CommandId::new("preview").map_err(|e| one(&e.to_string()))?;
    let said = || "preview".to_owned();
    let ground = Ground { reason: said(), evidence: said(), approver: said(), limit: said() };
    let mut was: BTreeMap<(&AccountId, &ItemId), (Fen, BillId)> = BTreeMap::new();
    let rated = |bill: &&Bill| rules.contains_key(&bill.tariff) && bill.late_fee.is_none();
    for bill in bills.iter().filter(rated) {
        let first = bill.corrects.as_ref().map_or(&bill.bill, |corrects| &corrects.bill);
        let known = was.entry((&bill.account, &bill.item));
        let (sum, _) = known.or_insert_with(|| (Fen::ZERO, first.clone()));
        *sum = Fen(sum.0.saturating_add(bill.total_fen.0));
    }
    let years = years(bills);
    let mut changed: BTreeMap<(AccountId, ItemId), Changed> = BTreeMap::new();
    for tariff in rules.keys() {
        let what = What::Tariff { tariff: tariff.clone() };
        let ground = ground.clone();
        let correction =
            Correction { ground, since: from.to_string(), threshold_fen: Fen::ZERO, what };
        for bill in
            differences(&closing, &command, &correction, bills, &years).map_err(|e| one(&e))?
        {
            let Some(corrects) = &bill.corrects else { continue };
            let (was_fen, now_fen) = (corrects.was_fen, corrects.now_fen);
            let difference_fen = Fen(now_fen.0.saturating_sub(was_fen.0));
            if difference_fen == Fen::ZERO {
                continue;
            }
            let (account, item) = (bill.account.clone(), bill.item.clone());
            let bill = Some(corrects.bill.clone());
            let key = (account.clone(), item.clone());
            let one = Changed { account, item, bill, was_fen, now_fen, difference_fen };
            changed.insert(key, one);
        }
    }
    let mut unknown = BTreeMap::new();
    let charged: BTreeSet<(&AccountId, &ItemId)> = was.keys().copied().collect();
    for (account, of) in &next.accounts {
        for (item, charge) in of.charges.iter().filter(|(_, c)| rules.contains_key(&c.tariff)) {
            if charged.contains(&(account, item)) || charge.share.is_some() {
                continue;
            }
            let metered = next.tariffs.get(&charge.tariff).is_some_and(Tariff::is_metered);
            let priced = if metered {
                Err("no bill of that month says what was used")
            } else {
                let terms = crate::block::terms(of, charge);
                let state = ChargeState { from, sources: Vec::new(), minus: Vec::new() };
                let (state, counter, years) = (&state, None, None);
                let due = Due { account, item, terms: &terms, state, counter, years, to };
                closing.price_again(&due, &[])
            };
            match priced {
                Ok(None) => {}
                Ok(Some(priced)) => {
                    let now_fen = priced.rated.total_fen;
                    let (account, item) = (account.clone(), item.clone());
                    let key = (account.clone(), item.clone());
                    let (was_fen, difference_fen) = (Fen::ZERO, now_fen);
                    let one =
                        Changed { account, item, bill: None, was_fen, now_fen, difference_fen };
                    changed.insert(key, one);
                }
                Err(why) => {
                    unknown.insert(format!("{account}/{item}"), why.to_owned());
                }
            }
        }
    }
    // What nobody is charged for any more.
    for ((account, item), (fen, bill)) in &was {
        let still = next.accounts.get(*account).is_some_and(|a| a.charges.contains_key(*item));
        let is_share = bills.iter().any(|b| b.bill == *bill && b.share.is_some());
        if !still && !is_share && *fen != Fen::ZERO {
            let key = ((*account).clone(), (*item).clone());
            changed.insert(
                key.clone(),
                Changed {
                    account: key.0,
                    item: key.1,
                    bill: Some(bill.clone()),
                    was_fen: *fen,
                    now_fen: Fen::ZERO,
                    difference_fen: Fen(fen.0.saturating_neg()),
                },
            );
        }
    }
    let old = Fen(was.values().fold(0_i64, |sum, (fen, _)| sum.saturating_add(fen.0)));
    let mut by_account: BTreeMap<&AccountId, i64> = BTreeMap::new();
    for one in changed.values() {
        let sum = by_account.entry(&one.account).or_default();
        *sum = sum.saturating_add(one.difference_fen.0);
    }
    let side = |more: bool| {
        let of = by_account.values().filter(|fen| if more { **fen > 0 } else { **fen < 0 });
        let (count, sum) = of.fold((0_usize, 0_i64), |(n, sum), fen| {
            (n.saturating_add(1), sum.saturating_add(*fen))
        });
        (count, Fen(sum))
    };
    let (more, less) = (side(true), side(false));
    let touched = changed.values().filter(|one| one.bill.is_some()).count();
    let delta = by_account.values().fold(0_i64, |sum, fen| sum.saturating_add(*fen));
    let mut changed: Vec<Changed> = changed.into_values().collect();
    changed.sort_by(|a, b| {
        let key = |one: &Changed| (one.account.clone(), one.item.clone());
        b.difference_fen.cmp(&a.difference_fen).then_with(|| key(a).cmp(&key(b)))
    });
    Ok(Preview {
        from: from.to_string(),
        to: to.to_string(),
        rules,
        same: was.len().saturating_sub(touched),
        changed,
        unknown,
        was_fen: old,
        now_fen: Fen(old.0.saturating_add(delta)),
        more,
        less,
    })
}

/// The day of a text, for callers that have it as one.
#[must_use]
pub fn day(text: &str) -> Option<Day> {
    parse_day(text)
}
