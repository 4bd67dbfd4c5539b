//! What a clerk orders: rule files, day closes, statements, move-outs, deposits by contract.

use super::*;
use crate::event::Audit;
use crate::input::{Command, Order, RecordPayment};
use crate::ledger::{Channel, Part, Release, Toward};
use crate::reconcile::Booked;
use crate::settlement::{Damage, MoveOut, Settlement};

fn account() -> AccountId {
    AccountId::new("a-1").unwrap()
}

fn command(at: &str, id: &str, order: Order) -> Input {
    let now = t(at);
    Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: CommandId::new(id).unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "desk".into(),
            order,
        },
    }
}

fn pay(fen: i64, channel: Channel, reference: &str, toward: Toward) -> Order {
    Order::RecordPayment(Box::new(RecordPayment {
        account: account(),
        amount_fen: Fen(fen),
        channel,
        reference: reference.into(),
        payer: None,
        toward,
        pending: false,
        tendered_fen: None,
        paid_on: None,
    }))
}

fn deposit(id: &str, release: Option<Release>) -> Toward {
    Toward::Deposit {
        deposit: CommandId::new(id).unwrap(),
        kind: "renovation".into(),
        contract: "r-7".into(),
        condition: "the works are accepted".into(),
        release,
    }
}

fn audits(events: &[Event], word: &str) -> Vec<Audit> {
    let named = |event: &Event| {
        let Event::Audit(audit) = event else { return None };
        let json = serde_json::to_value(audit).unwrap();
        (json["what"] == word).then(|| audit.clone())
    };
    events.iter().filter_map(named).collect()
}

const AREA: &str = r#"
[[tariff]]
id = "area"
label = { zh = "物业费", en = "Property fee" }
currency = "CNY"
notice = "meeting of owners"
[[tariff.revision]]
from = "2020-01-01"
kind = "per_area"
price = "2.10"
rounding = "per_line"
proration = "actual_days"
change_inside_period = "by_days"
"#;

fn next_price(from: &str, price: &str) -> String {
    format!(
        "{AREA}[[tariff.revision]]\nfrom = \"{from}\"\nkind = \"per_area\"\nprice = \"{price}\"\n\
         rounding = \"per_line\"\nproration = \"actual_days\"\nchange_inside_period = \"by_days\"\n"
    )
}

fn apply(world: &mut World, at: &str, id: &str, text: &str) -> Vec<Event> {
    let order = Order::ApplyRules { file: "fees".into(), text: text.into(), reason: "vote".into() };
    world.feed(&command(at, id, order))
}

fn last(events: &[Event]) -> String {
    shown(events).last().cloned().unwrap_or_default()
}

#[test]
fn a_rule_file_holds_from_its_own_date_and_is_undone_by_another_version() {
    let mut world = begun();
    let at = "2026-03-20T10:00:00+08:00";
    let said = apply(&mut world, at, "r-1", &next_price("2026-04-01", "3.00"));
    assert!(last(&said).starts_with("outcome Done fees version 1; area from"), "{}", last(&said));
    assert!(shown(&said).contains(&"audit tariff-set".to_owned()));
    assert!(shown(&said).iter().any(|line| line.starts_with("notice a-1 Rules")));
    // The config still says the old price: what came by command stays over it.
    assert!(world.setup("2026-03-21T00:00:00+08:00", &small()).is_empty());
    world.read("2026-04-01T00:00:00+08:00", "1100");
    let march = shown(&world.tick("2026-04-01T00:00:01+08:00"));
    assert!(march.contains(&"bill a-1 property 2026-03-01..2026-04-01 188.01".to_owned()));
    world.read("2026-05-01T00:00:00+08:00", "1200");
    let april = shown(&world.tick("2026-05-01T00:00:01+08:00"));
    assert!(
        april.contains(&"bill a-1 property 2026-04-01..2026-05-01 268.59".to_owned()),
        "{april:?}"
    );
    // Undone: another version, from the next month on.
    let back = format!("{}{}", next_price("2026-04-01", "3.00"), {
        let whole = next_price("2026-06-01", "2.10");
        whole[AREA.len()..].to_owned()
    });
    let said = apply(&mut world, "2026-05-10T00:00:00+08:00", "r-2", &back);
    assert!(last(&said).contains("version 2"), "{}", last(&said));
    let again = apply(&mut world, "2026-05-10T00:01:00+08:00", "r-3", &back);
    assert!(last(&again).contains("in force already"));
    // A config that says something new afterwards is the later word.
    let mut setup = small();
    let tariff = setup.tariffs.get_mut(&TariffId::new("area").unwrap()).unwrap();
    tariff.notice = "a newer notice".into();
    let said = shown(&world.setup("2026-05-11T00:00:00+08:00", &setup));
    assert_eq!(said, ["audit tariff-set"]);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_rule_file_with_a_fault_is_refused_whole_and_changes_nothing() {
    let rule = |body: &str| {
        format!(
            "[[tariff]]\nid = \"tiered\"\nlabel = {{ zh = \"电\", en = \"e\" }}\ncurrency = \"CNY\"\n\
             notice = \"n\"\n[[tariff.revision]]\nfrom = \"2026-01-01\"\nrounding = \"per_line\"\n\
             change_inside_period = \"by_days\"\n{body}"
        )
    };
    let flat = |unit: &str, price: &str| {
        rule(&format!("kind = \"flat\"\nunit = \"{unit}\"\nprice = \"{price}\"\n"))
    };
    let nobody = AREA.replace("id = \"area\"", "id = \"lift\"");
    let twice = format!("{AREA}{}", &AREA[AREA.find("[[tariff.revision]]").unwrap()..]);
    let ended = |to: &str| {
        let end = format!("from = \"2020-01-01\"\nto = \"{to}\"");
        next_price("2026-04-01", "3.00").replacen("from = \"2020-01-01\"", &end, 1)
    };
    let cases: [(&str, String, &str); 8] = [
        ("another unit", flat("m3", "1"), "the register counts kWh"),
        ("a negative price", flat("kWh", "-1"), "negative"),
        ("nobody", nobody, "nobody is bound to rule \"lift\""),
        ("the same date twice", twice, "2020-01-01"),
        ("an overlap", ended("2026-05-01"), "2026-05-01"),
        ("a gap", ended("2026-03-01"), "2026-03-01"),
        ("no TOML", "[[tariff]".into(), "fees:1"),
        (
            "an own tier below the one before",
            rule(
                "kind = \"graduated\"\nunit = \"kWh\"\ntier_period = \"month\"\ncatch_up = \"keep_quota\"\ntiers = [{ up_to = \"10\", price = \"1\" }, { up_to = \"5\", price = \"2\" }, { price = \"3\" }]\n",
            ),
            "must be more than 10",
        ),
    ];
    for (n, (what, text, why)) in cases.iter().enumerate() {
        let mut world = begun();
        let before = world.block.clone();
        let said = apply(&mut world, "2026-03-20T10:00:00+08:00", &format!("r-{n}"), text);
        let line = last(&said);
        assert!(line.starts_with("outcome Refused") && line.contains(why), "{what}: {line}");
        assert_eq!(world.block.setup(), before.setup(), "{what}");
        assert_eq!(said.len(), 1, "{what}");
    }
}

#[test]
fn a_day_is_closed_by_itself_with_its_receipts_and_cash_is_counted_against_it() {
    let mut world = begun();
    for (n, at, channel) in [
        (1, "2026-03-05T10:00:00+08:00", Channel::Cash),
        (2, "2026-03-05T11:00:00+08:00", Channel::Wechat),
        (3, "2026-03-06T09:00:00+08:00", Channel::Cash),
    ] {
        let order = pay(n * 100, channel, "", Toward::Prepaid);
        let said = world.feed(&command(at, &format!("p-{n}"), order));
        // The first payment of a day closes the one before, if no tick did.
        assert_eq!(audits(&said, "day-closed").len(), usize::from(n == 3), "{n}");
    }
    let closed = world.tick("2026-03-07T00:00:00+08:00");
    let found = audits(&closed, "day-closed");
    let [Audit::DayClosed { day, channels, first_receipt, last_receipt, .. }] = found.as_slice()
    else {
        panic!()
    };
    assert_eq!((day.as_str(), *first_receipt, *last_receipt), ("2026-03-06", 3, 3));
    assert_eq!(channels[&Channel::Cash].paid_fen, Fen(300));
    let count = |day: &str, fen: i64, note: &str| Order::CountCash {
        day: day.into(),
        counted_fen: Fen(fen),
        note: note.into(),
    };
    let at = "2026-03-07T09:00:00+08:00";
    let said = world.feed(&command(at, "k-1", count("2026-03-05", 100, "")));
    assert_eq!(last(&said), "outcome Done difference 0.00");
    let said = world.feed(&command(at, "k-2", count("2026-03-06", 250, "")));
    assert!(last(&said).contains("a note must say why"));
    let said = world.feed(&command(at, "k-3", count("2026-03-06", 250, "a torn note")));
    assert_eq!(last(&said), "outcome Done difference -0.50");
    let said = world.feed(&command(at, "k-4", count("2026-03-01", 0, "")));
    assert!(last(&said).contains("no money of that day"));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_statement_is_compared_with_what_the_gateway_hands_in_and_a_faulty_one_is_refused() {
    let mut world = begun();
    let at = "2026-03-06T09:00:00+08:00";
    let order = |statement: &str| Order::Reconcile {
        channel: Channel::Wechat,
        from: "2026-03-05".into(),
        to: "2026-03-06".into(),
        statement: statement.into(),
    };
    let books = vec![Booked {
        seq: 9,
        at: t(at),
        reference: "w1".into(),
        amount_fen: Fen(100),
        inside: true,
        pending: false,
    }];
    for (id, text, outcome) in [
        ("s-1", "流水号,金额\nw1,1.00\nw2,2.00\n", "\"is\":\"not-in-books\""),
        ("s-2", "流水号,金额\nw1,1.00\nw1,1.00\n", "line 3 repeats line 2"),
    ] {
        let Input::Command { now, command: ordered, .. } = command(at, id, order(text)) else {
            panic!()
        };
        let said = world.feed(&command(at, id, order(text)));
        assert_eq!(shown(&said), ["audit command-accepted"]);
        let input = Input::Reconcile { now, command: Box::new(ordered), books: books.clone() };
        let said = world.feed(&input);
        assert!(last(&said).contains(outcome), "{}", last(&said));
        assert_eq!(audits(&said, "reconciled").len(), usize::from(id == "s-1"));
        assert!(world.feed(&input).is_empty(), "one outcome is all there is");
    }
    let wrong = Order::Reconcile {
        channel: Channel::Wechat,
        from: "2026-03-06".into(),
        to: "2026-03-06".into(),
        statement: String::new(),
    };
    let said = world.feed(&command(at, "s-3", wrong));
    assert!(last(&said).starts_with("outcome Refused from and to are days"));
}

fn settled(events: &[Event]) -> Settlement {
    let found = audits(events, "moved-out");
    let [Audit::MovedOut { settlement }] = found.as_slice() else { panic!("{:?}", shown(events)) };
    (**settlement).clone()
}

#[test]
fn a_move_out_is_one_document_and_every_fen_of_it_is_in_the_books() {
    let mut setup = small();
    setup.refund_alone_max_fen = Fen(50_000);
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    let at = "2026-03-02T10:00:00+08:00";
    world.feed(&command(at, "p-1", pay(100_000, Channel::Alipay, "", deposit("d-1", None))));
    world.feed(&command(at, "p-2", pay(5_000, Channel::Wechat, "", Toward::Prepaid)));
    world.read("2026-03-15T18:00:00+08:00", "1050");
    let order = |deduct| {
        Order::MoveOut(Box::new(MoveOut {
            account: account(),
            until: "2026-03-16".into(),
            inspection: "protocol 12".into(),
            damages: vec![Damage {
                item: ItemId::new("damage").unwrap(),
                amount_fen: Fen(1_234),
                reason: "a broken tile".into(),
            }],
            deduct,
            channel: None,
        }))
    };
    let said = world.feed(&command("2026-03-15T19:00:00+08:00", "m-1", order(true)));
    let document = settled(&said);
    // 50 kWh at 0.4883; 15 of 31 days of 188.013; less 50.00 prepaid.
    let bills: Vec<i64> = document.bills.iter().map(|bill| bill.total_fen.0).collect();
    assert_eq!(bills, [2_442, 9_097, 1_234]);
    assert_eq!(document.readings.len(), 1);
    assert_eq!(document.owed_fen, Fen(2_442 + 9_097 + 1_234 - 5_000));
    let [deposit] = document.deposits.as_slice() else { panic!() };
    assert_eq!((deposit.deducted_fen, deposit.refund_fen), (Fen(7_773), Fen(92_227)));
    let [refund] = document.refunds.as_slice() else { panic!() };
    assert_eq!((refund.channel, refund.approved), (Channel::Alipay, false), "above the bound");
    assert_eq!(document.left_to_pay_fen, Fen(0));
    assert_eq!(world.block.ledger().standing(&account()).owed_fen, Fen(0));
    // A second person approves, the cloud pays out: the deposit is gone.
    let approve = |actor: &str, id: &str| {
        let Input::Command { now, clock, mut command } = command(
            "2026-03-15T19:10:00+08:00",
            id,
            Order::ApproveRefund { refund: refund.refund.clone() },
        ) else {
            panic!()
        };
        command.actor = actor.into();
        Input::Command { now, clock, command }
    };
    assert!(last(&world.feed(&approve("desk", "x-1"))).contains("another person"));
    assert_eq!(last(&world.feed(&approve("chief", "x-2"))), "outcome Done");
    let paid = Order::RefundPaid { refund: refund.refund.clone(), reference: "ali-9".into() };
    world.feed(&command("2026-03-15T19:20:00+08:00", "x-3", paid));
    assert!(world.block.ledger().deposits().is_empty());
    assert_eq!(world.block.ledger().clearing(Channel::Alipay), Fen(100_000 - 92_227));
    // The rest of March is billed from the 16th on, to the fen: 16 of 31 days.
    world.read("2026-04-01T00:00:00+08:00", "1050");
    let close = shown(&world.tick("2026-04-01T00:00:01+08:00"));
    assert!(
        close.contains(&"bill a-1 property 2026-03-16..2026-04-01 97.04".to_owned()),
        "{close:?}"
    );
    assert!(close.contains(&"bill a-1 electricity 2026-03-16..2026-04-01 0.00".to_owned()));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn prepaid_money_goes_back_on_the_ways_on_which_it_came() {
    let mut setup = small();
    setup.refund_alone_max_fen = Fen(50_000);
    setup.accounts.values_mut().for_each(|a| a.charges.clear());
    let tariffs = setup.tariffs.clone();
    setup.accounts.values_mut().for_each(|a| {
        let id = TariffId::new("area").unwrap();
        assert!(tariffs.contains_key(&id));
        a.charges.insert(ItemId::new("property").unwrap(), Charge::of(id));
    });
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.tick("2026-03-01T00:00:01+08:00");
    let at = "2026-03-02T10:00:00+08:00";
    world.feed(&command(at, "p-1", pay(3_000, Channel::Cash, "", Toward::Prepaid)));
    world.feed(&command(at, "p-2", pay(20_000, Channel::Wechat, "", Toward::Prepaid)));
    let order = Order::MoveOut(Box::new(MoveOut {
        account: account(),
        until: "2026-03-02".into(),
        inspection: String::new(),
        damages: vec![],
        deduct: false,
        channel: None,
    }));
    let document = settled(&world.feed(&command(at, "m-1", order)));
    let ways: Vec<(Channel, i64)> =
        document.refunds.iter().map(|r| (r.channel, r.amount_fen.0)).collect();
    // One day of 188.013 is 6.06.
    assert_eq!(ways, [(Channel::Wechat, 20_000), (Channel::Cash, 3_000 - 606)]);
    assert!(document.refunds.iter().all(|refund| refund.approved));
}

#[test]
fn a_move_out_that_cannot_be_settled_is_refused_with_the_reason() {
    let order = |until: &str, account: &str| {
        Order::MoveOut(Box::new(MoveOut {
            account: AccountId::new(account).unwrap(),
            until: until.into(),
            inspection: String::new(),
            damages: vec![],
            deduct: false,
            channel: None,
        }))
    };
    let mut world = begun();
    for (n, (at, until, account, why)) in [
        ("2026-03-15T19:00:00+08:00", "2026-03-20", "a-1", "today or tomorrow"),
        ("2026-03-15T19:00:00+08:00", "2026-03-16", "a-9", "no account"),
        ("2026-03-15T19:00:00+08:00", "soon", "a-1", "not a day"),
        ("2026-03-15T19:00:00+08:00", "2026-03-16", "a-1", "electricity cannot be billed"),
        ("2026-04-01T19:00:00+08:00", "2026-04-01", "a-1", "not closed yet"),
    ]
    .into_iter()
    .enumerate()
    {
        let said = world.feed(&command(at, &format!("m-{n}"), order(until, account)));
        assert!(last(&said).contains(why), "{}", last(&said));
        assert_eq!(said.len(), 1);
    }
}

#[test]
fn a_deposit_goes_back_by_its_contract_part_by_part_and_waits_where_something_is_owed() {
    let mut setup = small();
    setup.refund_alone_max_fen = Fen(60_000);
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    let parts = vec![Part { after_days: 0, percent: 50 }, Part { after_days: 30, percent: 50 }];
    let on = crate::calendar::parse_day("2026-03-10");
    let at = "2026-03-02T10:00:00+08:00";
    let release = Release { on, parts: parts.clone() };
    world.feed(&command(
        at,
        "p-1",
        pay(100_001, Channel::Wechat, "", deposit("d-1", Some(release))),
    ));
    let odd = Release { on: None, parts: vec![parts[0]] };
    let said =
        world.feed(&command(at, "p-2", pay(1, Channel::Wechat, "", deposit("d-2", Some(odd)))));
    assert!(last(&said).contains("sum to 100 percent"));
    let before = shown(&world.tick("2026-03-09T12:00:00+08:00"));
    assert_eq!(before, ["audit day-closed"], "its day has not come");
    assert!(world.block.next_due().unwrap() <= t("2026-03-10T00:00:00+08:00"));
    let met = shown(&world.tick("2026-03-10T00:00:00+08:00"));
    assert_eq!(met, ["payment a-1 condition"]);
    let first = shown(&world.tick("2026-03-10T00:00:01+08:00"));
    assert_eq!(
        first,
        ["payment a-1 refund-asked", "payment a-1 refund-approved", "notice a-1 Refund -500.00"]
    );
    assert!(world.tick("2026-03-15T00:00:00+08:00").is_empty());
    // Meanwhile March is billed and owed: the second part waits for a person.
    world.read("2026-04-01T00:00:00+08:00", "1100");
    world.tick("2026-04-01T00:00:01+08:00");
    let second = shown(&world.tick("2026-04-09T00:00:00+08:00"));
    assert_eq!(second, ["payment a-1 refund-asked", "notice a-1 Refund -500.01"]);
    let later = shown(&world.tick("2026-04-10T00:00:00+08:00"));
    assert_eq!(
        later,
        ["payment a-1 refund-voided", "notice a-1 Refund -500.00"],
        "asked once; the first was never paid out"
    );
    // Nobody approves the second either: it is due as before, with what the first had.
    let said = shown(&world.tick("2026-05-09T00:00:00+08:00"));
    assert_eq!(said[..2], ["payment a-1 refund-voided", "notice a-1 Refund -500.01"]);
    let said = shown(&world.tick("2026-05-09T00:00:01+08:00"));
    assert_eq!(said[..2], ["payment a-1 refund-asked", "notice a-1 Refund -1000.01"]);
    let open: Vec<String> =
        world.block.ledger().refunds().keys().map(ToString::to_string).collect();
    assert_eq!(open, ["d-1.2-1"], "under a number of its own");
    assert!(world.tick("2026-05-10T00:00:00+08:00").is_empty());
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_part_that_nobody_paid_out_goes_back_with_the_last_one() {
    let mut setup = small();
    setup.refund_alone_max_fen = Fen(60_000);
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    let parts = vec![Part { after_days: 0, percent: 50 }, Part { after_days: 30, percent: 50 }];
    let release = Release { on: crate::calendar::parse_day("2026-03-10"), parts };
    let paid = pay(100_001, Channel::Wechat, "", deposit("d-1", Some(release)));
    world.feed(&command("2026-03-02T10:00:00+08:00", "p-1", paid));
    world.tick("2026-03-10T00:00:00+08:00");
    world.tick("2026-03-10T00:00:01+08:00");
    // One tick sees the first part expire and the second fall due, as after a day without power.
    let late = shown(&world.tick("2026-04-09T12:00:00+08:00"));
    assert!(late.contains(&"payment a-1 refund-voided".to_owned()), "{late:?}");
    assert!(!late.contains(&"payment a-1 refund-asked".to_owned()), "{late:?}");
    let next = shown(&world.tick("2026-04-09T12:00:01+08:00"));
    assert!(next.contains(&"notice a-1 Refund -1000.01".to_owned()), "{next:?}");
}
