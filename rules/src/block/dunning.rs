//! Notices: who is reminded before a bill is due, who is told that it is overdue. Each household once
//! for each bill, in one notice for all that it owes then. A notice never moves money: there is no
//! late fee unless a tariff names one.

use super::Block;
use crate::calendar::{self, Day};
use crate::event::{Event, Notice, NoticeReason, Text};
use crate::ledger::OpenBill;
use crate::money::Fen;
use crate::setup::Dunning;
use blockgate_types::{AccountId, BillId, ItemId, Time};

/// Most notices of one tick; the next tick goes on.
const NOTICES_AT_ONCE: usize = 500;

/// More households than this are not told of a change of prices one by one.
pub(super) const RULES_NOTICES_MAX: usize = 2_000;

/// On which way a household is told things where it said nothing.
const CHANNEL: &str = "app";

/// What of a household's open bills it is to be told now.
struct Told<'a> {
    account: &'a AccountId,
    reason: NoticeReason,
    bills: Vec<(&'a ItemId, &'a OpenBill)>,
}

impl Block {
    /// The notices that are due: those of one tick.
    pub(super) fn decide_dunning(&self, now: Time, out: &mut Vec<Event>) {
        let Some(zone) = &self.cache.zone else { return };
        let Some(dunning) = self.state.setup.dunning else { return };
        let today = zone.day(now);
        if self.watch.told == Some(today) || hour(zone.minute_of_day(now)) < dunning.hour {
            return;
        }
        for told in self.to_tell(&dunning, today).into_iter().take(NOTICES_AT_ONCE) {
            out.push(Event::Notice(Box::new(self.notice_of(now, today, &told))));
        }
    }

    /// When notices are due next; never, where no rule makes them.
    pub(super) fn notices_due(&self) -> Option<Time> {
        let (zone, dunning) = (self.cache.zone.as_ref()?, self.state.setup.dunning?);
        let last = self.watch.last_tick?;
        let today = zone.day(last);
        let minute = u16::from(dunning.hour).saturating_mul(60);
        let day = if self.watch.told == Some(today) { calendar::next_day(today) } else { today };
        Some(zone.moment(day, minute))
    }

    /// Notes after a tick that nobody is left to be told today.
    pub(super) fn notices_are_out(&mut self, now: Time) {
        let Some(zone) = &self.cache.zone else { return };
        let Some(dunning) = self.state.setup.dunning else { return };
        let today = zone.day(now);
        if self.watch.told != Some(today)
            && hour(zone.minute_of_day(now)) >= dunning.hour
            && self.to_tell(&dunning, today).is_empty()
        {
            self.watch.told = Some(today);
        }
    }

    fn to_tell(&self, dunning: &Dunning, today: Day) -> Vec<Told<'_>> {
        let mut all: Vec<Told<'_>> = Vec::new();
        for (account, item, open) in self.state.ledger.open_bills() {
            let Some(due) = open.due else { continue };
            let overdue = due < today;
            let soon = calendar::days_before(due, dunning.remind_days).is_none_or(|d| d <= today);
            let tell = if overdue { !open.warned } else { soon && !open.reminded };
            if !tell {
                continue;
            }
            let reason = if overdue { NoticeReason::Overdue } else { NoticeReason::Reminder };
            let mine = all.iter().rposition(|t| t.account == account && t.reason == reason);
            // The open bills come household by household: one of two reasons is among the last two.
            match mine.and_then(|place| all.get_mut(place)) {
                Some(told) => told.bills.push((item, open)),
                None => {
                    if all.len() > NOTICES_AT_ONCE {
                        break;
                    }
                    all.push(Told { account, reason, bills: vec![(item, open)] });
                }
            }
        }
        all
    }

    fn notice_of(&self, now: Time, today: Day, told: &Told<'_>) -> Notice {
        let setup = self.state.setup.accounts.get(told.account);
        let terms = setup.and_then(|setup| setup.notice.as_ref());
        let amount = Fen(told.bills.iter().fold(0_i64, |s, (_, b)| s.saturating_add(b.left_fen.0)));
        let due = told.bills.iter().filter_map(|(_, open)| open.due).min();
        let mut items: Vec<&str> = told.bills.iter().map(|(item, _)| item.as_str()).collect();
        items.sort_unstable();
        items.dedup();
        let day = due.map(|due| due.to_string()).unwrap_or_default();
        let days = due.map_or(0, |due| {
            let (from, to) = (due.min(today), due.max(today));
            calendar::days_between(from, to)
        });
        let fill = |text: &str, join: &str| {
            text.replace("{account}", told.account.as_str())
                .replace("{amount}", &amount.to_string())
                .replace("{due}", &day)
                .replace("{items}", &items.join(join))
                .replace("{days}", &days.to_string())
        };
        let (zh, en) = match told.reason {
            NoticeReason::Overdue => (
                "{account} 户您好：{items} 共 {amount} 元已逾期 {days} 天（应于 {due} 前缴清），请尽快缴纳。",
                "Dear household {account}: {amount} yuan for {items} are {days} days overdue (due {due}). Please pay soon.",
            ),
            NoticeReason::Reminder
            | NoticeReason::Correction
            | NoticeReason::Refund
            | NoticeReason::Rules
            | NoticeReason::Parking => (
                "{account} 户您好：{items} 共 {amount} 元，请于 {due} 前缴清（还有 {days} 天）。",
                "Dear household {account}: please pay {amount} yuan for {items} by {due} ({days} days left).",
            ),
        };
        let own = terms.and_then(|terms| terms.text.as_deref());
        let own = own.filter(|_| told.reason == NoticeReason::Reminder);
        Notice {
            at: now,
            account: told.account.clone(),
            channel: terms.map_or(CHANNEL, |terms| terms.channel.as_str()).to_owned(),
            reason: told.reason,
            text: Text { zh: fill(own.unwrap_or(zh), "、"), en: fill(own.unwrap_or(en), ", ") },
            amount_fen: amount,
            due,
            bills: told.bills.iter().map(|(_, open)| open.bill.clone()).collect(),
        }
    }

    /// What a household is told of something that happened to its money.
    pub(super) fn told(
        &self,
        now: Time,
        account: &AccountId,
        reason: NoticeReason,
        text: Text,
        amount_fen: Fen,
        bills: Vec<BillId>,
    ) -> Event {
        let setup = self.state.setup.accounts.get(account);
        let terms = setup.and_then(|setup| setup.notice.as_ref());
        Event::Notice(Box::new(Notice {
            at: now,
            account: account.clone(),
            channel: terms.map_or(CHANNEL, |terms| terms.channel.as_str()).to_owned(),
            reason,
            text,
            amount_fen,
            due: None,
            bills,
        }))
    }

    pub(super) fn apply_notice(&mut self, notice: &Notice) {
        self.state.ledger.notice(notice);
    }
}

/// The hour of a minute of the day.
fn hour(minute: u16) -> u8 {
    u8::try_from(minute.checked_div(60).unwrap_or(0)).unwrap_or(23)
}
