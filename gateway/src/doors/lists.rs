//! The lists that controllers are to have, kept until something changes that they depend on: what the
//! events say, the day, the moment at which a grant begins or ends, who is in arrears.

use crate::board::Board;
use crate::limits;
use blockgate_rules::access::desired::{Known, desired};
use blockgate_rules::access::people::People;
use blockgate_rules::access::{AccessSetup, AccessState, List};
use blockgate_rules::calendar::{Zone, days_between};
use blockgate_rules::setup::AccountSetup;
use blockgate_types::{AccountId, ControllerId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The lists by controller.
pub type Made = BTreeMap<ControllerId, Arc<List>>;

/// What the lists are made from.
pub struct Question<'a> {
    /// Controllers, doors, groups.
    pub setup: &'a AccessSetup,
    /// People.
    pub people: &'a People,
    /// What the events say.
    pub state: &'a AccessState,
    /// Households.
    pub accounts: &'a BTreeMap<AccountId, AccountSetup>,
    /// IANA zone.
    pub zone: &'a str,
    /// The books, for arrears.
    pub board: &'a Board,
}

/// The lists as they were made last.
#[derive(Debug, Default)]
pub struct Lists {
    made: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    revision: u64,
    from: Time,
    until: Time,
    lists: Arc<Made>,
}

impl Lists {
    /// The lists at a time; those of before where nothing changed.
    pub fn at(&mut self, question: &Question<'_>, now: Time) -> Arc<Made> {
        let revision = question.state.revision();
        if let Some(kept) = &self.made
            && kept.revision == revision
            && kept.from <= now
            && now < kept.until
        {
            return kept.lists.clone();
        }
        let Ok(zone) = Zone::new(question.zone) else { return Arc::default() };
        let today = zone.day(now);
        let overdue: BTreeSet<AccountId> = match &question.setup.arrears {
            None => BTreeSet::new(),
            Some(rule) => {
                let books = question.board.books();
                let all = books.ledger().overdue(today).into_iter();
                let late = |since| days_between(since, today) > rule.overdue_days;
                all.filter(|row| late(row.since)).map(|row| row.account).collect()
            }
        };
        let known = Known {
            setup: question.setup,
            people: question.people,
            state: question.state,
            accounts: question.accounts,
            overdue: &overdue,
            zone: &zone,
        };
        let lists: Made =
            desired(&known, now).into_iter().map(|(id, list)| (id, Arc::new(list))).collect();
        let midnight = zone.start_of(blockgate_rules::calendar::next_day(today));
        let change = question.state.next_change(now).unwrap_or(Time::MAX);
        let mut until = midnight.min(change);
        if question.setup.arrears.is_some() {
            until = until.min(now.plus(limits::ARREARS_LOOK_EVERY));
        }
        let lists = Arc::new(lists);
        self.made = Some(Kept { revision, from: now, until, lists: lists.clone() });
        lists
    }
}
