//! Which accounts a rule is for, and what some of them pay otherwise.
//!
//! A rule without a meter can name its accounts itself, by building, by group or one by one:
//!
//! ```toml
//! [[tariff.bind]]
//! item = "mid-autumn-fair"
//! groups = ["fair-2026"]
//! except = ["a-0101"]
//! ```
//!
//! [`bind`] writes such bindings into the accounts as charges. A binding that is for nobody is a fault:
//! a price that is never charged is a mistake of whoever wrote it. A rule without a binding may stand
//! in a file unused; `blockgate check` names it.

use super::{RuleError, Tariff};
use crate::apportionment::{Apportionment, Members};
use crate::calendar::{Day, day_text, day_text_option};
use crate::event::Text;
use crate::setup::{AccountSetup, Charge, Setup};
use blockgate_types::{AccountId, Decimal, ItemId, TariffId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What some accounts pay otherwise, for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Adjustment {
    /// Whose charges.
    pub accounts: Vec<AccountId>,
    /// First day.
    #[serde(with = "day_text")]
    pub from: Day,
    /// The day after its last; none for good.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "day_text_option")]
    pub to: Option<Day>,
    /// Why, as the bill says it.
    pub reason: Text,
    /// What.
    pub change: Change,
}

/// A change of price for some accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Change {
    /// Less by so many percent of the lines, 0 to 100; 100 is an exemption.
    Discount {
        /// Percent.
        #[serde(with = "blockgate_types::decimal::text")]
        percent: Decimal,
    },
    /// A price of their own in place of the rule's one price.
    OwnPrice {
        /// In yuan, for what the rule's price is for.
        #[serde(with = "blockgate_types::decimal::text")]
        price: Decimal,
    },
}

impl Adjustment {
    /// Whether it holds for an account on a day.
    #[must_use]
    pub fn holds(&self, account: &AccountId, day: Day) -> bool {
        self.from <= day && self.to.is_none_or(|to| day < to) && self.accounts.contains(account)
    }
}

/// Whom a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Under which item it is charged.
    pub item: ItemId,
    /// For whom.
    pub to: Members,
    /// Where it stands in the file, both from 1.
    pub place: (usize, usize),
}

/// A rule of a file with its bindings and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleEntry {
    /// Its id.
    pub id: TariffId,
    /// The rule.
    pub tariff: Tariff,
    /// Whom it is for, where the file says so.
    pub bindings: Vec<Binding>,
    /// The file.
    pub file: String,
    /// Where it stands there, both from 1.
    pub place: (usize, usize),
}

/// A rule for sharing, of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApportionmentEntry {
    /// Its id.
    pub id: TariffId,
    /// The rule.
    pub rule: Apportionment,
    /// The file.
    pub file: String,
    /// Where it stands there, both from 1.
    pub place: (usize, usize),
}

/// Everything that a rule file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleFile {
    /// The tariffs.
    pub rules: Vec<RuleEntry>,
    /// How costs are shared.
    pub apportionments: Vec<ApportionmentEntry>,
    /// What parking costs.
    pub parking: Vec<(TariffId, crate::parking::ParkingTariff)>,
}

impl RuleEntry {
    fn fault(&self, place: (usize, usize), message: String) -> RuleError {
        RuleError { file: self.file.clone(), line: place.0, column: place.1, message }
    }
}

/// Writes the bindings of rules into accounts, as charges.
///
/// # Errors
/// Every binding that names nobody or an account that is not there, an item that an account has
/// twice, and each rule with bindings of which none holds. The accounts are then not to be used.
pub fn bind(
    rules: &[RuleEntry],
    accounts: &mut BTreeMap<AccountId, AccountSetup>,
) -> Result<(), Vec<RuleError>> {
    let mut faults = Vec::new();
    for rule in rules {
        for binding in &rule.bindings {
            for id in binding.to.accounts.iter().chain(&binding.to.except) {
                if !accounts.contains_key(id) {
                    faults.push(rule.fault(binding.place, format!("there is no account \"{id}\"")));
                }
            }
            let mut found = false;
            for (id, account) in accounts.iter_mut().filter(|(id, a)| binding.to.has(id, a)) {
                found = true;
                let charge = Charge::of(rule.id.clone());
                if account.charges.insert(binding.item.clone(), charge).is_some() {
                    let item = &binding.item;
                    let message = format!("account \"{id}\" has an item \"{item}\" already");
                    faults.push(rule.fault(binding.place, message));
                }
            }
            if !found {
                let message = format!("nobody is bound to rule \"{}\" by this", rule.id);
                faults.push(rule.fault(binding.place, message));
            }
        }
        for id in rule.tariff.adjustments.iter().flat_map(|adjustment| &adjustment.accounts) {
            if !accounts.contains_key(id) {
                faults.push(rule.fault(rule.place, format!("there is no account \"{id}\"")));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Checks rules for sharing against the accounts.
///
/// # Errors
/// Each rule that shares nothing, that names nobody or an account that is not there, or whose item
/// is an account's own already.
pub fn check_apportionments(
    rules: &[ApportionmentEntry],
    accounts: &BTreeMap<AccountId, AccountSetup>,
) -> Result<(), Vec<RuleError>> {
    let mut faults = Vec::new();
    for entry in rules {
        let rule = &entry.rule;
        let mut note = |message: String| {
            let (file, (line, column)) = (entry.file.clone(), entry.place);
            faults.push(RuleError { file, line, column, message });
        };
        let charges = || accounts.values().flat_map(|account| account.charges.values());
        if !charges().any(|charge| charge.share.as_ref() == Some(&entry.id)) {
            note(format!("nothing is shared by rule \"{}\"", entry.id));
        }
        for id in rule.among.accounts.iter().chain(&rule.among.except) {
            if !accounts.contains_key(id) {
                note(format!("there is no account \"{id}\""));
            }
        }
        let mut members = accounts.iter().filter(|(id, account)| rule.among.has(id, account));
        let Some(first) = members.next() else {
            note(format!("nobody is bound to rule \"{}\" by this", entry.id));
            continue;
        };
        for (id, account) in std::iter::once(first).chain(members) {
            if account.charges.contains_key(&rule.item) {
                note(format!("account \"{id}\" has an item \"{}\" already", rule.item));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Checks late fees against the block.
///
/// # Errors
/// Each rule with a late fee where nothing ever falls due, or whose item is charged otherwise already.
pub fn check_late_fees(rules: &[RuleEntry], setup: &Setup) -> Result<(), Vec<RuleError>> {
    let mut faults = Vec::new();
    for rule in rules {
        let late = rule.tariff.revisions.iter().filter_map(|r| r.late_fee.as_deref());
        let items: BTreeSet<&ItemId> = late.map(|late| &late.item).collect();
        if !items.is_empty() && setup.dunning.is_none() {
            let message = "a late fee needs a due day: the config has no [dunning]".to_owned();
            faults.push(rule.fault(rule.place, message));
        }
        for item in items {
            let charged = setup.accounts.iter().find(|(_, a)| a.charges.contains_key(item));
            if let Some((id, _)) = charged {
                let message = format!(
                    "account \"{id}\" has an item \"{item}\" already: a late fee has one of its own"
                );
                faults.push(rule.fault(rule.place, message));
            }
            if let Some((id, _)) = setup.apportionments.iter().find(|(_, a)| a.item == *item) {
                let message = format!(
                    "\"{id}\" shares costs under the item \"{item}\": a late fee has one of its own"
                );
                faults.push(rule.fault(rule.place, message));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
