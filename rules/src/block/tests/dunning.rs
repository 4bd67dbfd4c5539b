//! Due days, reminders, arrears, and the way of a household's money.

use super::correcting::{correction, year};
use super::*;
use crate::correction::What;
use crate::event::{Notice, NoticeReason};
use crate::input::{Command, Order, RecordPayment};
use crate::ledger::{Channel, Toward};
use crate::setup::{Dunning, NoticeTerms};
use crate::trail::trail;

fn account() -> AccountId {
    AccountId::new("a-1").unwrap()
}

/// March is billed on 1 April: electricity 48.83, property 188.01, due on 16 April.
fn billed(text: Option<&str>) -> World {
    let mut setup = small();
    setup.dunning = Some(Dunning { due_days: 15, remind_days: 3, hour: 9 });
    if let Some(text) = text {
        let terms = NoticeTerms { channel: "sms".into(), text: Some(text.into()) };
        setup.accounts.values_mut().for_each(|account| account.notice = Some(terms.clone()));
    }
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    world.read("2026-04-01T00:00:00+08:00", "1100");
    world.tick("2026-04-01T00:00:01+08:00");
    world
}

fn pay(world: &mut World, name: &str, fen: i64) {
    let now = t("2026-04-14T10:00:00+08:00");
    let said = world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: CommandId::new(name).unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "desk".into(),
            order: Order::RecordPayment(Box::new(RecordPayment {
                account: account(),
                amount_fen: Fen(fen),
                channel: Channel::Cash,
                reference: String::new(),
                payer: None,
                toward: Toward::Bills { items: vec![] },
                pending: false,
                tendered_fen: None,
                paid_on: None,
            })),
        },
    });
    assert!(shown(&said).last().unwrap().starts_with("outcome Done"));
}

fn notices(events: &[Event]) -> Vec<Notice> {
    let notice = |event: &Event| match event {
        Event::Notice(notice) => Some((**notice).clone()),
        Event::Reading { .. }
        | Event::Bill(_)
        | Event::Ledger(_)
        | Event::Payment(_)
        | Event::Alarm(_)
        | Event::Parking(_)
        | Event::Door(_)
        | Event::Gap(_)
        | Event::Audit(_) => None,
    };
    events.iter().filter_map(notice).collect()
}

#[test]
fn a_household_is_reminded_once_three_days_before_the_due_day_in_its_own_words() {
    let mut world = billed(Some("亲爱的{account}:{items} {amount}元,{due}前,还有{days}天"));
    assert!(notices(&world.tick("2026-04-12T12:00:00+08:00")).is_empty(), "four days before");
    assert!(notices(&world.tick("2026-04-13T08:59:00+08:00")).is_empty(), "before nine o'clock");
    let due = world.block.next_due().unwrap();
    assert!(due <= t("2026-04-13T09:00:00+08:00"), "{due}");
    let said = notices(&world.tick("2026-04-13T09:00:00+08:00"));
    assert_eq!(said.len(), 1, "one notice for all that it owes");
    let [notice] = said.as_slice() else { panic!() };
    assert_eq!((notice.channel.as_str(), notice.reason), ("sms", NoticeReason::Reminder));
    assert_eq!(notice.text.zh, "亲爱的a-1:electricity、property 236.84元,2026-04-16前,还有3天");
    assert_eq!((notice.amount_fen, notice.bills.len()), (Fen(23_684), 2));
    for later in ["2026-04-13T09:00:05+08:00", "2026-04-14T09:30:00+08:00"] {
        assert!(notices(&world.tick(later)).is_empty(), "{later}");
    }
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn who_has_paid_is_not_reminded_and_who_has_not_is_in_arrears_by_bill() {
    let mut world = billed(None);
    // The whole of electricity, items in the order of their ids, and a part of the property fee.
    pay(&mut world, "p-1", 5_883);
    let today = crate::calendar::parse_day("2026-04-16").unwrap();
    assert!(world.block.ledger().overdue(today).is_empty(), "the due day itself is in time");
    let said = notices(&world.tick("2026-04-17T09:00:00+08:00"));
    let [notice] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((notice.reason, notice.amount_fen), (NoticeReason::Overdue, Fen(17_801)));
    assert!(notice.text.en.contains("1 days overdue"), "{}", notice.text.en);
    let arrears = world.block.ledger().overdue(crate::calendar::next_day(today));
    assert_eq!((arrears.len(), arrears[0].overdue_fen, arrears[0].bills), (1, Fen(17_801), 1));
    assert!(notices(&world.tick("2026-04-18T09:00:00+08:00")).is_empty(), "warned once");
    pay(&mut world, "p-2", 17_801);
    assert!(world.block.ledger().overdue(crate::calendar::next_day(today)).is_empty());
    assert_eq!(world.block.ledger().open_bills().count(), 0);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn without_a_rule_nothing_is_due_and_nobody_is_told() {
    let mut world = begun();
    world.read("2026-04-01T00:00:00+08:00", "1100");
    world.tick("2026-04-01T00:00:01+08:00");
    assert_eq!(world.block.ledger().open_bills().count(), 2, "owed all the same");
    assert!(notices(&world.tick("2026-06-01T12:00:00+08:00")).is_empty());
}

#[test]
fn a_correction_tells_each_household_whose_bills_changed_and_why() {
    let mut world = year(correcting::by_month("1000"), &["0", "100", "200"]);
    let mut setup = world.block.setup().clone();
    let tariff = setup.tariffs.get_mut(&TariffId::new("tiered").unwrap()).unwrap();
    let Pricing::Metered(metered) = &mut tariff.revisions[0].pricing else { panic!() };
    metered.tiers[0].prices = BTreeMap::from([("charge".into(), d("1.000"))]);
    world.setup("2026-04-01T00:00:00+08:00", &setup);
    let before = world.journal.len();
    let what = What::Tariff { tariff: TariffId::new("tiered").unwrap() };
    correcting::correct(&mut world, "c-1", &correction(what));
    let said = notices(&world.journal[before..]);
    let [notice] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((notice.reason, notice.amount_fen), (NoticeReason::Correction, Fen(-2_220)));
    assert!(notice.text.zh.contains("应退 22.20 元") && notice.text.zh.contains("misread"));
}

#[test]
fn the_way_of_the_money_names_each_posting_and_ends_where_the_books_stand() {
    let mut world = billed(None);
    pay(&mut world, "p-1", 30_000);
    let events: Vec<(u64, Event)> = (1..).zip(world.journal.iter().cloned()).collect();
    let steps = trail(&account(), &events, |_| None);
    let last = steps.last().unwrap();
    let lines: Vec<String> = last
        .postings
        .iter()
        .map(|p| format!("{} <- {} {}", p.debit, p.credit, p.amount_fen))
        .collect();
    assert_eq!(
        lines,
        [
            "clearing/cash <- prepaid 300.00",
            "prepaid <- receivable/electricity 48.83",
            "prepaid <- receivable/property 188.01",
        ]
    );
    let standing = world.block.ledger().standing(&account());
    assert_eq!((last.owed_fen, last.prepaid_fen), (standing.owed_fen, standing.prepaid_fen));
    assert_eq!(last.prepaid_fen, Fen(6_316));
}
