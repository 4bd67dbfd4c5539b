//! Payments, deposits and refunds in the Block.

use super::*;
use crate::input::{Command, Order, RecordPayment, RequestRefund};
use crate::ledger::{Channel, Fund, Source, Toward};
use crate::setup::RefundLimits;
use proptest::prelude::*;

fn id(text: &str) -> AccountId {
    AccountId::new(text).unwrap()
}

fn item(text: &str) -> ItemId {
    ItemId::new(text).unwrap()
}

fn command(text: &str) -> CommandId {
    CommandId::new(text).unwrap()
}

fn order(world: &mut World, name: &str, actor: &str, order: Order) -> Vec<String> {
    order_at(world, world.now(), name, actor, order)
}

fn order_at(world: &mut World, now: Time, name: &str, actor: &str, order: Order) -> Vec<String> {
    shown(&world.feed(&Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: command(name),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: actor.into(),
            order,
        },
    }))
}

fn pay(account: &str, fen: i64, toward: Toward) -> Order {
    Order::RecordPayment(Box::new(RecordPayment {
        account: id(account),
        amount_fen: Fen(fen),
        channel: Channel::Wechat,
        reference: String::new(),
        payer: None,
        toward,
        pending: false,
        tendered_fen: None,
        paid_on: None,
    }))
}

fn bills_of(items: &[&str]) -> Toward {
    Toward::Bills { items: items.iter().map(|text| item(text)).collect() }
}

fn deposit(name: &str) -> Toward {
    Toward::Deposit {
        deposit: command(name),
        kind: "renovation".into(),
        contract: "r-2026-7".into(),
        condition: "the works are accepted".into(),
        release: None,
    }
}

fn refund(account: &str, source: Source, fen: i64) -> Order {
    Order::RequestRefund(Box::new(RequestRefund {
        account: id(account),
        source,
        amount_fen: Fen(fen),
        channel: Channel::Wechat,
        reason: "moved out".into(),
    }))
}

impl World {
    fn now(&self) -> Time {
        t("2026-04-05T12:00:00+08:00")
    }
}

/// After March: electricity 48.83, property 188.01.
fn billed() -> World {
    let mut world = begun();
    world.read("2026-04-01T00:00:00+08:00", "1100");
    world.tick("2026-04-01T00:00:01+08:00");
    world
}

fn stands(world: &World) -> (i64, i64) {
    assert_eq!(world.replayed(), world.block);
    let standing = world.block.ledger().standing(&id("a-1"));
    (standing.owed_fen.0, standing.prepaid_fen.0)
}

fn done(said: &[String]) -> bool {
    said.last().is_some_and(|line| line == "outcome Done")
}

#[test]
fn a_bill_is_owed_and_paid_in_parts_and_what_is_more_is_prepaid() {
    let mut world = billed();
    assert_eq!(stands(&world), (23_684, 0));
    assert!(done(&order(&mut world, "p-1", "desk", pay("a-1", 10_000, bills_of(&["property"])))));
    let owed = world.block.ledger().standing(&id("a-1")).owed;
    assert_eq!((owed[&item("electricity")].0, owed[&item("property")].0), (4_883, 8_801));
    assert_eq!(world.block.ledger().arrears(10), [(id("a-1"), Fen(13_684))]);
    order(&mut world, "p-2", "desk", pay("a-1", 20_000, bills_of(&[])));
    assert_eq!(stands(&world), (0, 6_316));
    assert_eq!(world.block.ledger().clearing(Channel::Wechat), Fen(30_000));
    assert_eq!(world.block.ledger().income(&item("property")), Fen(18_801));
    // The next bill is paid from it at once.
    world.read("2026-05-01T00:00:00+08:00", "1200");
    world.tick("2026-05-01T00:00:01+08:00");
    assert_eq!(stands(&world), (23_684 - 6_316, 0));
}

#[test]
fn prepaid_money_pays_bills_in_the_order_in_which_they_come() {
    // 300.00 prepaid, bills of 188.01 and 127.44: 15.45 is still owed.
    let mut ledger = Ledger::default();
    let bill = |fen: i64| -> Bill {
        serde_json::from_value(serde_json::json!({
            "bill": "bill-1", "account": "a-1", "item": "x",
            "period": { "from": "2026-02-01", "to": "2026-03-01", "zone": "Asia/Shanghai" },
            "tariff": "t", "tariff_revision": "r", "revision": 0, "currency": "CNY",
            "lines": [], "total_fen": fen, "issued_at": "2026-03-01T00:00:00Z",
        }))
        .unwrap()
    };
    let paid = |ledger: &mut Ledger, fen: i64| {
        let paid = crate::ledger::Paid {
            payment: command("p-1"),
            amount_fen: Fen(fen),
            channel: Channel::Cash,
            reference: String::new(),
            payer: None,
            toward: Toward::Prepaid,
            pending: false,
            receipt: ledger.next_receipt(),
            change_fen: None,
            paid_on: None,
        };
        ledger.apply(&id("a-1"), &crate::ledger::Movement::Paid(paid));
    };
    paid(&mut ledger, 30_000);
    let mut seen = Vec::new();
    for fen in [18_801, 12_744] {
        ledger.bill(&bill(fen), None);
        let standing = ledger.standing(&id("a-1"));
        seen.push((standing.owed_fen.0, standing.prepaid_fen.0));
    }
    assert_eq!(seen, [(0, 11_199), (1_545, 0)]);
    // 510.00 billed and paid, 420.00 after a correction: 90.00 is the household's again.
    let mut ledger = Ledger::default();
    ledger.bill(&bill(51_000), None);
    paid(&mut ledger, 51_000);
    ledger.bill(&bill(-9_000), None);
    let standing = ledger.standing(&id("a-1"));
    assert_eq!(
        (standing.owed_fen.0, standing.prepaid_fen.0, ledger.trial_balance()),
        (0, 9_000, 0)
    );
    // Unpaid, the same correction lowers what is owed.
    let mut ledger = Ledger::default();
    ledger.bill(&bill(51_000), Some(Fund::Maintenance));
    ledger.bill(&bill(-9_000), Some(Fund::Maintenance));
    assert_eq!(ledger.standing(&id("a-1")).owed_fen, Fen(42_000));
    assert_eq!(ledger.fund(Fund::Maintenance), Fen(42_000));
}

#[test]
fn an_announced_payment_counts_when_it_is_in() {
    for (name, posted, want) in [("p-1", true, (0, 0)), ("p-2", false, (23_684, 0))] {
        let mut world = billed();
        let Order::RecordPayment(mut payment) = pay("a-1", 23_684, bills_of(&[])) else { panic!() };
        payment.pending = true;
        assert!(done(&order(&mut world, name, "desk", Order::RecordPayment(payment))));
        assert_eq!(stands(&world), (23_684, 0));
        let settle = Order::SettlePayment { payment: command(name), posted };
        assert!(done(&order(&mut world, "s-1", "desk", settle.clone())));
        assert_eq!(stands(&world), want);
        let again = order(&mut world, "s-2", "desk", settle);
        assert_eq!(again, ["outcome Refused no payment of this id waits"]);
    }
}

// invariant 5
#[test]
fn a_deposit_is_never_netted_and_leaves_by_a_deduction_or_a_refund_alone() {
    let mut world = billed();
    let mut setup = small();
    setup.refund_alone_max_fen = Fen(50_000);
    world.setup("2026-04-02T00:00:00+08:00", &setup);
    assert!(done(&order(&mut world, "p-1", "desk", pay("a-1", 100_000, deposit("d-1")))));
    // The household still owes all of it, and the deposit is all there.
    assert_eq!(stands(&world), (23_684, 0));
    let left = |world: &World| world.block.ledger().deposits()[&command("d-1")].free().0;
    assert_eq!(left(&world), 100_000);
    let deduct = |fen| Order::DeductDeposit {
        deposit: command("d-1"),
        item: item("property"),
        amount_fen: Fen(fen),
        reason: "signed by the tenant".into(),
    };
    assert!(!done(&order(&mut world, "x-1", "desk", deduct(18_802))));
    assert!(done(&order(&mut world, "x-2", "desk", deduct(18_801))));
    assert_eq!((stands(&world), left(&world)), ((4_883, 0), 81_199));
    // A refund waits for the condition, then for nobody up to the bound.
    let source = || Source::Deposit { deposit: command("d-1") };
    let asked = order(&mut world, "r-1", "desk", refund("a-1", source(), 40_000));
    assert_eq!(asked[1..], ["payment a-1 refund-asked", "outcome Done"]);
    let own = order(&mut world, "r-2", "desk", Order::ApproveRefund { refund: command("r-1") });
    assert!(own[0].contains("another person"), "{own:?}");
    let met = Order::DepositCondition {
        deposit: command("d-1"),
        met: true,
        evidence: "protocol 9".into(),
    };
    assert!(done(&order(&mut world, "m-1", "desk", met)));
    let auto = order(&mut world, "r-3", "desk", refund("a-1", source(), 41_199));
    assert_eq!(auto[1..3], ["payment a-1 refund-asked", "payment a-1 refund-approved"]);
    // What is reserved cannot be promised twice: only 40 000 are left for the first one.
    assert_eq!(left(&world), 40_000);
    let more = order(&mut world, "r-4", "desk", refund("a-1", source(), 40_001));
    assert_eq!(more, ["outcome Refused there is not so much to give back"]);
    let paid =
        |refund: &str| Order::RefundPaid { refund: command(refund), reference: "w-1".into() };
    assert!(done(&order(&mut world, "r-5", "cloud", paid("r-3"))));
    assert!(!done(&order(&mut world, "r-6", "cloud", paid("r-3"))), "paid out once");
    assert!(!done(&order(&mut world, "r-7", "cloud", paid("r-1"))), "not approved");
    let second = Order::ApproveRefund { refund: command("r-1") };
    assert!(done(&order(&mut world, "r-8", "manager", second)));
    assert!(done(&order(&mut world, "r-9", "cloud", paid("r-1"))));
    assert!(world.block.ledger().deposits().is_empty());
    assert_eq!(world.block.ledger().clearing(Channel::Wechat), Fen(100_000 - 81_199));
    assert_eq!(world.block.ledger().income(&item("property")), Fen(18_801));
}

#[test]
fn an_approved_refund_is_reserved_until_it_is_paid_voided_or_expired() {
    let mut world = billed();
    order(&mut world, "p-1", "desk", pay("a-1", 33_684, bills_of(&[])));
    assert_eq!(stands(&world), (0, 10_000));
    order(&mut world, "r-1", "desk", refund("a-1", Source::Prepaid, 10_000));
    let approve = |refund: &str| Order::ApproveRefund { refund: command(refund) };
    assert!(done(&order(&mut world, "a-1", "manager", approve("r-1"))));
    assert_eq!(stands(&world), (0, 0));
    // A bill cannot take what is promised, and takes it when the promise is off.
    world.read("2026-05-01T00:00:00+08:00", "1200");
    world.tick("2026-05-01T00:00:01+08:00");
    assert_eq!(stands(&world), (23_684, 0));
    assert_eq!(world.block.next_due().unwrap(), t("2026-05-05T12:00:00+08:00"));
    let said = shown(&world.tick("2026-05-05T12:00:00+08:00"));
    assert_eq!(said[0], "payment a-1 refund-voided");
    assert_eq!(stands(&world), (13_684, 0));
}

#[test]
fn a_refund_that_nobody_approves_expires_and_is_shown_as_such() {
    for (days, last, over) in [
        (None, "2026-05-05T11:59:59+08:00", "2026-05-05T12:00:00+08:00"),
        (Some(7), "2026-04-12T11:59:59+08:00", "2026-04-12T12:00:00+08:00"),
    ] {
        let mut world = billed();
        let mut setup = small();
        setup.refund_limits = RefundLimits { decide_days: days, ..RefundLimits::default() };
        world.setup("2026-04-02T00:00:00+08:00", &setup);
        order(&mut world, "p-1", "desk", pay("a-1", 33_684, bills_of(&[])));
        order(&mut world, "r-1", "desk", refund("a-1", Source::Prepaid, 10_000));
        assert_eq!(stands(&world), (0, 10_000), "nothing is reserved until it is approved");
        assert!(world.block.next_due().unwrap() <= t(over));
        assert!(shown(&world.tick(last)).iter().all(|line| !line.contains("refund")));
        // By a clock that was never set nothing expires.
        let (now, clock) = (t(over).plus(Span::from_days(90)), ClockState::Unsynced);
        let said = shown(&world.feed(&Input::Tick { now, clock }));
        assert!(said.iter().all(|line| !line.contains("refund")), "{said:?}");
        // Who comes too late, before the tick that voids it, is refused.
        let approve = Order::ApproveRefund { refund: command("r-1") };
        let late = order_at(&mut world, t(over), "x-1", "manager", approve.clone());
        assert!(late.last().unwrap().contains("in time: ask for it again"), "{late:?}");
        let said = shown(&world.tick(over));
        let voided = said.iter().position(|line| line == "payment a-1 refund-voided").unwrap();
        assert_eq!(said[voided + 1], "notice a-1 Refund -100.00");
        assert!(world.block.ledger().refunds().is_empty());
        let shown_as: Vec<_> = world.block.ledger().expired().map(|r| r.refund.clone()).collect();
        assert_eq!(shown_as, [command("r-1")]);
        let last =
            serde_json::to_value(world.journal.iter().rfind(|e| matches!(e, Event::Payment(_))))
                .unwrap();
        assert_eq!(
            (&last["reason"], &last["expired"]),
            (&"not approved in time".into(), &true.into())
        );
        assert_eq!(last["actor"], "gateway");
        let again =
            order_at(&mut world, t(over).plus(Span::from_secs(1)), "x-2", "manager", approve);
        assert!(again.last().unwrap().contains("no open refund of this id"), "{again:?}");
        assert_eq!(world.replayed(), world.block);
    }
}

#[test]
fn a_clock_that_is_set_back_lets_no_refund_expire_before_its_time() {
    let mut world = billed();
    order(&mut world, "p-1", "desk", pay("a-1", 33_684, bills_of(&[])));
    order(&mut world, "r-1", "desk", refund("a-1", Source::Prepaid, 10_000));
    for at in
        ["2026-05-04T12:00:00+08:00", "2026-03-04T12:00:00+08:00", "2026-05-05T11:59:00+08:00"]
    {
        world.tick(at);
        assert_eq!(world.block.ledger().refunds().len(), 1, "{at}");
    }
    world.tick("2026-05-05T12:00:00+08:00");
    assert!(world.block.ledger().refunds().is_empty());
    assert_eq!(world.replayed(), world.block);
    let saved = serde_json::to_string(&world.block).unwrap();
    assert_eq!(
        serde_json::from_str::<Block>(&saved).unwrap(),
        world.block,
        "as a checkpoint has it"
    );
}

#[test]
fn a_day_gives_back_no_more_than_its_bounds_by_one_clerk_and_in_all() {
    let mut world = billed();
    let mut setup = small();
    setup.refund_alone_max_fen = Fen(2_000);
    setup.refund_limits = RefundLimits {
        clerk_day_max_fen: Some(Fen(5_000)),
        day_max_fen: Some(Fen(8_000)),
        decide_days: None,
    };
    world.setup("2026-04-02T00:00:00+08:00", &setup);
    order(&mut world, "p-1", "desk", pay("a-1", 43_684, bills_of(&[])));
    assert_eq!(stands(&world), (0, 20_000));
    let back = |fen| refund("a-1", Source::Prepaid, fen);
    let approve = |refund: &str| Order::ApproveRefund { refund: command(refund) };
    let approved = |said: &[String]| said.contains(&"payment a-1 refund-approved".to_owned());
    // Small ones need nobody, until the clerk's day is full; then they wait.
    assert!(approved(&order(&mut world, "r-1", "desk", back(2_000))));
    assert!(approved(&order(&mut world, "r-2", "desk", back(2_000))));
    let third = order(&mut world, "r-3", "desk", back(2_000));
    assert!(!approved(&third) && done(&third), "{third:?}");
    // Neither can another person approve what this one asked for, beyond it.
    let said = order(&mut world, "x-1", "manager", approve("r-3"));
    assert!(said[0].contains("refund_clerk_day_max"), "{said:?}");
    // One that is called off makes room again.
    let off = Order::VoidRefund { refund: command("r-2"), reason: "mistyped".into() };
    assert!(done(&order(&mut world, "v-1", "desk", off)));
    assert!(done(&order(&mut world, "x-2", "manager", approve("r-3"))));
    // Another clerk has a day of his own, inside that of all: 4,000 are given back, 4,000 are left.
    order(&mut world, "r-4", "second", back(3_000));
    assert!(done(&order(&mut world, "x-3", "third", approve("r-4"))));
    order(&mut world, "r-5", "fourth", back(1_001));
    let said = order(&mut world, "x-4", "third", approve("r-5"));
    assert!(said[0].contains("refund_day_max"), "{said:?}");
    assert_eq!(stands(&world), (0, 13_000));
    // A day later there is room.
    let next = t("2026-04-06T00:00:00+08:00");
    assert!(done(&order_at(&mut world, next, "x-5", "third", approve("r-5"))));
    assert_eq!(stands(&world), (0, 11_999));
}

#[test]
fn a_payment_that_cannot_be_is_told_why_and_changes_nothing() {
    let mut world = billed();
    let with = |change: &dyn Fn(&mut RecordPayment)| {
        let Order::RecordPayment(mut payment) = pay("a-1", 100, bills_of(&[])) else { panic!() };
        change(&mut payment);
        Order::RecordPayment(payment)
    };
    let first = with(&|p| p.reference = "w-77".into());
    assert!(done(&order(&mut world, "p-1", "desk", first)));
    let before = world.block.ledger().clone();
    for (n, (wrong, want)) in [
        (with(&|p| p.reference = "w-77".into()), "recorded before"),
        (with(&|p| p.amount_fen = Fen(0)), "more than nothing"),
        (with(&|p| p.amount_fen = Fen(-5)), "more than nothing"),
        (with(&|p| p.account = id("a-9")), "no account"),
        (with(&|p| p.tendered_fen = Some(Fen(100))), "is for cash"),
        (
            with(&|p| {
                p.channel = Channel::Cash;
                p.tendered_fen = Some(Fen(99));
            }),
            "less was handed over",
        ),
        (with(&|p| p.reference = "x".repeat(201)), "longer than"),
        (refund("a-1", Source::Prepaid, 1), "not so much"),
        (Order::ApproveRefund { refund: command("r-9") }, "no open refund"),
    ]
    .into_iter()
    .enumerate()
    {
        let said = order(&mut world, &format!("w-{n}"), "desk", wrong);
        assert!(said.len() == 1 && said[0].contains(want), "{want}: {said:?}");
    }
    assert_eq!(*world.block.ledger(), before);
    let cash = with(&|p| {
        p.channel = Channel::Cash;
        p.tendered_fen = Some(Fen(500));
    });
    order(&mut world, "p-2", "desk", cash);
    let mut receipts = Vec::new();
    for event in &world.journal {
        if let Event::Payment(payment) = event
            && let crate::ledger::Movement::Paid(paid) = &payment.movement
        {
            receipts.push((paid.receipt, paid.change_fen));
        }
    }
    assert_eq!(receipts, [(1, None), (2, Some(Fen(400)))]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    // invariant 5
    #[test]
    fn every_debit_has_its_credit_whatever_is_ordered(
        acts in proptest::collection::vec((0_u8..9, 1_i64..30_000, any::<bool>()), 1..80),
    ) {
        let mut world = billed();
        let mut setup = small();
        setup.refund_alone_max_fen = Fen(5_000);
        world.setup("2026-04-02T00:00:00+08:00", &setup);
        let (mut value, mut month) = (1_100, 4);
        for (n, (act, fen, flag)) in acts.iter().enumerate() {
            let (name, fen) = (format!("c-{n}"), *fen);
            let near = |kind: &str| command(&format!("{kind}-{}", fen % 5));
            let source = || if *flag { Source::Prepaid } else { Source::Deposit { deposit: near("d") } };
            let earlier = command(&format!("c-{}", (n / 2).max(n.saturating_sub(1 + usize::try_from(fen % 4).unwrap()))));
            let next = match act {
                0 => pay("a-1", fen, bills_of(&["property"])),
                1 => pay("a-1", fen, deposit(near("d").as_str())),
                2 => refund("a-1", source(), fen % 7_000 + 1),
                3 => Order::ApproveRefund { refund: earlier },
                4 => Order::RefundPaid { refund: earlier, reference: "w".into() },
                5 => Order::VoidRefund { refund: earlier, reason: "changed".into() },
                6 => Order::DeductDeposit { deposit: near("d"), item: item("property"), amount_fen: Fen(fen), reason: "damage".into() },
                7 => Order::DepositCondition { deposit: near("d"), met: *flag, evidence: "e".into() },
                _ => {
                    if month < 12 {
                        month += 1;
                        value += fen % 300;
                        world.read(&format!("2026-{month:02}-01T00:00:00+08:00"), &value.to_string());
                        world.tick(&format!("2026-{month:02}-01T00:00:01+08:00"));
                    }
                    continue;
                }
            };
            // The balance is zero after every event: `World::feed` looks.
            order(&mut world, &name, if *flag { "desk" } else { "manager" }, next);
        }
        prop_assert_eq!(world.replayed(), world.block.clone());
        // Income is what was billed and nothing else: no deposit, no payment goes there.
        let mut sums: BTreeMap<ItemId, i64> = BTreeMap::new();
        for event in &world.journal {
            if let Event::Bill(bill) = event {
                *sums.entry(bill.item.clone()).or_insert(0) += bill.total_fen.0;
            }
        }
        for (item, fen) in sums {
            prop_assert_eq!(world.block.ledger().income(&item), Fen(fen));
        }
        prop_assert!(world.block.ledger().standing(&id("a-1")).owed.values().all(|fen| *fen > Fen::ZERO));
        let json = serde_json::to_string(&world.block).unwrap();
        prop_assert_eq!(serde_json::from_str::<Block>(&json).unwrap(), world.block);
    }
}
