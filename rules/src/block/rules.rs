//! Rule files by command: checked whole, journaled whole, in force from their revisions' own dates.

use super::{Block, dunning::RULES_NOTICES_MAX};
use crate::calendar::Month;
use crate::event::{Audit, Event, NoticeReason, Text};
use crate::input::Command;
use crate::money::Fen;
use crate::rulebook::{self, AppliedRules};
use crate::setup::Setup;
use blockgate_types::{AccountId, TariffId, Time};
use std::collections::{BTreeMap, BTreeSet};

impl Block {
    /// The rule files that are in force by command, by name.
    #[must_use]
    pub fn applied_rules(&self) -> &BTreeMap<String, AppliedRules> {
        &self.state.applied
    }

    /// The block as a config wants it, with the rule files that came by command over it.
    pub(super) fn with_applied(&self, config: &Setup) -> Setup {
        rulebook::overlay(config, &self.state.applied)
    }

    /// What a rule file means, and a sentence about it.
    pub(super) fn rules_applied(
        &self,
        now: Time,
        command: &Command,
        (file, text, reason): (&str, &str, &str),
    ) -> Result<(Vec<Event>, String), String> {
        TariffId::new(file).map_err(|error| format!("file: {error}"))?;
        if reason.trim().is_empty() || reason.len() > 200 {
            return Err("a reason of 1 to 200 bytes is needed".to_owned());
        }
        let setup = &self.state.setup;
        let fitting = rulebook::check(setup, file, text).map_err(|faults| faults.join("\n"))?;
        let known = self.state.applied.get(file);
        if known.is_some_and(|known| known.text == text) {
            return Err("this version is in force already".to_owned());
        }
        if known.is_none() && self.state.applied.len() >= rulebook::FILES_MAX {
            return Err(format!("there are {} rule files by command", rulebook::FILES_MAX));
        }
        let ids: BTreeSet<&TariffId> = fitting.file.rules.iter().map(|rule| &rule.id).collect();
        let charged = |id: &TariffId| {
            let charges = fitting.setup.accounts.values().flat_map(|a| a.charges.values());
            charges.into_iter().any(|charge| charge.tariff == *id)
        };
        for old in known.iter().flat_map(|known| known.replaced.keys()) {
            if setup.tariffs.contains_key(old) && !ids.contains(old) && charged(old) {
                return Err(format!(
                    "this version leaves out rule {old}, which is charged: end it by \"to\"; \
                     nothing is undone by deleting"
                ));
            }
        }
        let elsewhere = |id: &TariffId| {
            let mut others = self.state.applied.iter().filter(|(name, _)| *name != file);
            others.find(|(_, rules)| rules.replaced.contains_key(id)).map(|(name, _)| name)
        };
        if let Some((id, other)) = ids.iter().find_map(|id| elsewhere(id).map(|name| (id, name))) {
            return Err(format!("rule {id} came by file {other}: bring a new version of that"));
        }
        let before = |id: &TariffId, now: Option<String>| {
            known.and_then(|known| known.replaced.get(id).cloned()).unwrap_or(now)
        };
        let mut replaced: BTreeMap<TariffId, Option<String>> = BTreeMap::new();
        for rule in &fitting.file.rules {
            let was = before(&rule.id, setup.tariffs.get(&rule.id).map(rulebook::hash_of));
            replaced.insert(rule.id.clone(), was);
        }
        for entry in &fitting.file.apportionments {
            let was = before(&entry.id, setup.apportionments.get(&entry.id).map(rulebook::hash_of));
            replaced.insert(entry.id.clone(), was);
        }
        let version = known.map_or(1, |known| known.version.saturating_add(1));
        let mut events = vec![Event::Audit(Audit::RulesApplied {
            at: now,
            id: command.id.clone(),
            file: file.to_owned(),
            rules: Box::new(AppliedRules {
                text: text.to_owned(),
                version,
                at: now,
                by: command.actor.clone(),
                reason: reason.to_owned(),
                replaced,
            }),
        })];
        self.setup_changes(now, &fitting.setup, &mut events);
        let mut detail = format!("{file} version {version}");
        let open =
            self.state.open_month.unwrap_or_else(|| Month::of(crate::calendar::Day::MIN).first());
        for rule in &fitting.file.rules {
            let old = setup.tariffs.get(&rule.id).map(|tariff| &tariff.revisions);
            let new = rule.tariff.revisions.iter();
            let fresh = new.filter(|r| old.is_none_or(|old| !old.contains(r)));
            if let Some(first) = fresh.map(|revision| revision.from).min() {
                detail.push_str(&format!("; {} from {first}", rule.id));
                if first < open {
                    detail.push_str(
                        " (bills of before were rated otherwise: order \"correct\" of this tariff)",
                    );
                }
            }
        }
        events.extend(self.rules_notices(now, &fitting, &ids));
        Ok((events, detail))
    }

    /// Every household that is charged by a changed rule is told, unless they are too many at once.
    fn rules_notices(
        &self,
        now: Time,
        fitting: &rulebook::Fitting,
        ids: &BTreeSet<&TariffId>,
    ) -> Vec<Event> {
        let charged = |id: &&AccountId| {
            let account = fitting.setup.accounts.get(*id);
            account.is_some_and(|a| a.charges.values().any(|c| ids.contains(&c.tariff)))
        };
        let accounts: Vec<&AccountId> = fitting.setup.accounts.keys().filter(charged).collect();
        if accounts.len() > RULES_NOTICES_MAX {
            return Vec::new();
        }
        let labels = |word: fn(&Text) -> &str| {
            let rules = fitting.file.rules.iter();
            let said = rules.map(|rule| {
                let from = rule.tariff.revisions.last().map(|r| r.from.to_string());
                format!("{} ({})", word(&rule.tariff.label), from.unwrap_or_default())
            });
            said.collect::<Vec<_>>().join(", ")
        };
        let text = Text {
            zh: format!("收费规则更新：{}。", labels(|text| &text.zh)),
            en: format!("Prices change: {}.", labels(|text| &text.en)),
        };
        let told = |account: &AccountId| {
            let text = text.clone();
            self.told(now, account, NoticeReason::Rules, text, Fen::ZERO, Vec::new())
        };
        accounts.into_iter().map(told).collect()
    }
}
