//! Rule files that a command put in force: checked as a whole against the block, laid over what the
//! config says, and undone by another version of the same file, never by deleting.
//!
//! What was decided last holds. A rule that came by command goes before the config's rule of the same
//! id for as long as the config's is the one that it replaced; a config that says something new
//! afterwards holds again.

use crate::ledger::Fund;
use crate::setup::{AccountSetup, MeterSetup, Setup};
use crate::tariff::{
    BasePrice, Pricing, RuleFile, Tariff, TariffFile, bind, check_apportionments, check_late_fees,
};
use blockgate_types::{AccountId, TariffId, Time, Unit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest rule file that a command may bring, in bytes: it becomes one journal record.
pub const TEXT_MAX: usize = 48 * 1024;

/// Most rule files that were brought by command.
pub const FILES_MAX: usize = 256;

/// A rule file in force by command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppliedRules {
    /// Its text.
    pub text: String,
    /// Which version of it: from 1.
    pub version: u32,
    /// When it came.
    pub at: Time,
    /// Who brought it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The config's rules that it replaced, by their hash; none for one that the config did not have.
    pub replaced: BTreeMap<TariffId, Option<String>>,
}

/// The hash of a rule's content.
#[must_use]
pub fn hash_of<T: Serialize>(rule: &T) -> String {
    let bytes = serde_json::to_vec(rule).unwrap_or_default();
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    crate::hex(hash.as_ref().get(..8).unwrap_or_default())
}

/// Lays the rule files that came by command over the block as the config wants it.
#[must_use]
pub fn overlay(config: &Setup, applied: &BTreeMap<String, AppliedRules>) -> Setup {
    let mut setup = config.clone();
    let mut in_order: Vec<(&String, &AppliedRules)> = applied.iter().collect();
    in_order.sort_by(|a, b| a.1.at.cmp(&b.1.at).then_with(|| a.0.cmp(b.0)));
    for (name, rules) in in_order {
        // It was checked when it came.
        let Ok(mut file) = TariffFile::read(&rules.text, name) else { continue };
        let stands = |id: &TariffId, now: Option<String>| {
            rules.replaced.get(id).is_some_and(|replaced| *replaced == now)
        };
        file.rules.retain(|rule| stands(&rule.id, config.tariffs.get(&rule.id).map(hash_of)));
        file.apportionments
            .retain(|entry| stands(&entry.id, config.apportionments.get(&entry.id).map(hash_of)));
        lay(&mut setup, &file);
    }
    setup
}

/// Puts a file's rules into a setup. Charges that bindings of the rules made before are bound anew.
fn lay(setup: &mut Setup, file: &RuleFile) {
    for rule in &file.rules {
        setup.tariffs.insert(rule.id.clone(), rule.tariff.clone());
        if !rule.bindings.is_empty() {
            unbind(&mut setup.accounts, &rule.id);
        }
        // An account that has the item otherwise keeps it; whoever brought the file was told.
        for binding in &rule.bindings {
            let only = crate::tariff::RuleEntry { bindings: vec![binding.clone()], ..rule.clone() };
            let mut accounts = setup.accounts.clone();
            if bind(std::slice::from_ref(&only), &mut accounts).is_ok() {
                setup.accounts = accounts;
            }
        }
    }
    for entry in &file.apportionments {
        setup.apportionments.insert(entry.id.clone(), entry.rule.clone());
    }
}

/// Takes away the charges by a rule that need no meter: bindings make no others.
fn unbind(accounts: &mut BTreeMap<AccountId, AccountSetup>, id: &TariffId) {
    for account in accounts.values_mut() {
        account.charges.retain(|_, charge| charge.tariff != *id || charge.meter.is_some());
    }
}

/// A rule file that fits the block.
#[derive(Debug, Clone)]
pub struct Fitting {
    /// What the file says.
    pub file: RuleFile,
    /// The block with it.
    pub setup: Setup,
}

/// Checks a rule file against the block as it is: nothing is applied of a file with one fault.
///
/// # Errors
/// Every fault, each as `file:line:column: message`.
pub fn check(setup: &Setup, name: &str, text: &str) -> Result<Fitting, Vec<String>> {
    if text.len() > TEXT_MAX {
        return Err(vec![format!("{name}:1:1: the file is longer than {TEXT_MAX} bytes")]);
    }
    let texts = |errors: Vec<crate::tariff::RuleError>| -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    };
    let file = TariffFile::read(text, name).map_err(texts)?;
    let mut next = setup.clone();
    for rule in &file.rules {
        next.tariffs.insert(rule.id.clone(), rule.tariff.clone());
        if !rule.bindings.is_empty() {
            unbind(&mut next.accounts, &rule.id);
        }
    }
    for entry in &file.apportionments {
        next.apportionments.insert(entry.id.clone(), entry.rule.clone());
    }
    let mut faults = Vec::new();
    faults.extend(bind(&file.rules, &mut next.accounts).err().map(texts).into_iter().flatten());
    let shared = check_apportionments(&file.apportionments, &next.accounts);
    faults.extend(shared.err().map(texts).into_iter().flatten());
    let late = check_late_fees(&file.rules, &next);
    faults.extend(late.err().map(texts).into_iter().flatten());
    for rule in &file.rules {
        let (line, column) = rule.place;
        let mut note = |message: String| faults.push(format!("{name}:{line}:{column}: {message}"));
        let mut bound = false;
        for (id, account) in &next.accounts {
            for (item, charge) in account.charges.iter().filter(|(_, c)| c.tariff == rule.id) {
                bound = true;
                let meter = charge.meter.as_ref().and_then(|meter| next.meters.get(meter));
                if let Err(why) = fits(&rule.tariff, account, charge, meter) {
                    note(format!("rule \"{}\" for {item} of account {id}: {why}", rule.id));
                }
            }
        }
        if !bound {
            note(format!("nobody is bound to rule \"{}\"", rule.id));
        }
        if let Some(was) = setup.tariffs.get(&rule.id)
            && was.currency != rule.tariff.currency
        {
            note(format!("rule \"{}\" is in {} and stays so", rule.id, was.currency));
        }
    }
    if faults.is_empty() { Ok(Fitting { file, setup: next }) } else { Err(faults) }
}

/// Whether an account and its meter have what a tariff needs.
fn fits(
    tariff: &Tariff,
    account: &AccountSetup,
    charge: &crate::setup::Charge,
    meter: Option<&MeterSetup>,
) -> Result<(), String> {
    let has = |unit: Unit| -> Result<(), String> {
        let (there, key) = if unit == Unit::SquareMetre {
            (account.area_m2.is_some(), "area_m2")
        } else if unit == Unit::Person {
            (account.persons.is_some(), "persons")
        } else if unit == Unit::Space {
            (account.spaces.is_some(), "spaces")
        } else {
            (true, "")
        };
        if there { Ok(()) } else { Err(format!("the account has no {key}")) }
    };
    for revision in &tariff.revisions {
        match &revision.pricing {
            Pricing::PerArea(monthly) | Pricing::Fixed(monthly) => has(monthly.per)?,
            Pricing::Dated(dated) => has(dated.per)?,
            Pricing::Metered(metered) => {
                let meter = meter.ok_or("it needs a meter, and the charge has none")?;
                let register = match &charge.register {
                    Some(name) => meter.registers.iter().find(|r| r.name == *name),
                    None => meter.registers.first(),
                };
                let register = register.ok_or("the meter has no such register")?;
                if register.unit != metered.unit {
                    let (is, wants) = (register.unit, metered.unit);
                    return Err(format!("the tariff is per {wants}, the register counts {is}"));
                }
                if !metered.quota_shift.is_empty() {
                    has(Unit::Person)?;
                }
                match metered.base.as_ref().map(|base| &base.price) {
                    Some(BasePrice::Month(monthly)) => has(monthly.per)?,
                    Some(BasePrice::Season(dated)) => has(dated.per)?,
                    None => {}
                }
            }
        }
    }
    Ok(())
}

/// The fund that a tariff's bills go to, by the setup.
#[must_use]
pub fn fund_of(setup: &Setup, tariff: &TariffId) -> Option<Fund> {
    setup.tariffs.get(tariff).and_then(|tariff| tariff.fund)
}
