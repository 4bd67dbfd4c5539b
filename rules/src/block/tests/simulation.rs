//! Random lives of a small block: readings good and odd, silence, wrong clocks, commands, restarts,
//! households that come and go. Whatever happens, the invariants hold.

use super::*;
use crate::event::{Audit, Bill, Outcome};
use crate::input::{Command, HeldDecision, Order};
use proptest::prelude::*;

/// One thing that happens, drawn from small numbers so that it shrinks well.
type Act = (u8, u16);

fn live(acts: &[Act]) -> World {
    let mut world = World::default();
    let mut now = t("2026-01-20T00:00:00+08:00");
    let mut values = [100_000_i64, 500];
    let mut setup = small();
    let files = include_str!("../../../tariffs/electricity.toml");
    setup.tariffs.extend(TariffFile::parse(files, "").unwrap());
    let two = MeterId::new("m-2").unwrap();
    setup.meters.insert(two.clone(), MeterSetup { record_every: Span::ZERO, ..meter() });
    share_a_cost(&mut setup, &two);
    world.feed(&Input::Setup { now, setup: Box::new(setup.clone()) });
    for (n, (act, size)) in acts.iter().enumerate() {
        let size = i64::from(*size);
        let clock = match size % 7 {
            0 => ClockState::Unsynced,
            1 => ClockState::Holdover,
            _ => ClockState::Synced,
        };
        let which = usize::try_from(size % 2).unwrap();
        let name = ["m-1", "m-2"][which];
        match act % 16 {
            0..=4 => {
                now = now.plus(Span::from_hours(1 + size % 72));
                values[which] += size % 900;
                world.feed(&observed(name, now, Some(Decimal::new(values[which], 2))));
                world.feed(&Input::Tick { now, clock });
            }
            5 => {
                // A misread: it does not change what the meter counts.
                let odd = Decimal::new((values[which] - 5_000 + size * 7).max(0), 2);
                world.feed(&observed(name, now.plus(Span::from_mins(20)), Some(odd)));
            }
            6 => values[which] = (values[which] - size).max(0),
            7 => {
                world.feed(&observed(name, now, None));
            }
            8 => {
                now = now.plus(Span::from_days(size % 40));
                world.feed(&Input::Tick { now, clock });
            }
            9 => {
                let back = now.minus(Span::from_hours(size % 500));
                world.feed(&Input::Tick { now: back, clock });
                world.feed(&observed(name, back, Some(Decimal::new(values[which], 2))));
            }
            10 | 11 => {
                let meter = MeterId::new(name).unwrap();
                let register = RegisterName::new("energy_import").unwrap();
                let order = match size % 5 {
                    0 => Order::ExchangeMeter {
                        final_value: Decimal::new(values[which] + 10, 2),
                        initial_value: Decimal::ZERO,
                        meter,
                        register,
                    },
                    1 => Order::DecideHeld { meter, register, decision: HeldDecision::Accept },
                    2 => Order::DecideHeld { meter, register, decision: HeldDecision::Rollover },
                    3 => Order::DecideHeld { meter, register, decision: HeldDecision::Rebase },
                    _ => Order::ReadNow { meter, frozen: None },
                };
                let command = Command {
                    id: CommandId::new(&format!("c-{}", n / 2)).unwrap(),
                    issued_at: now,
                    expires_at: now.plus(Span::from_secs(size % 3)),
                    actor: "staff".into(),
                    order,
                };
                world.feed(&Input::Command { now, clock, command });
            }
            12 => {
                let id = CommandId::new(&format!("c-{}", size % 40)).unwrap();
                world.feed(&Input::CommandDone {
                    now,
                    id,
                    outcome: Outcome::Done,
                    detail: String::new(),
                });
            }
            13 => {
                let id = AccountId::new(&format!("a-{}", size % 3)).unwrap();
                let property = small().accounts.into_values().next().unwrap();
                match size % 4 {
                    0 => drop(setup.accounts.remove(&id)),
                    1 => {
                        let mut account = property;
                        let charge = account.charges.values_mut().next().unwrap();
                        charge.meter = Some(two.clone());
                        let by = ["electricity-tou", "electricity-tiered-tou", "tiered"];
                        let by = by[usize::try_from(size % 3).unwrap()];
                        charge.tariff = TariffId::new(by).unwrap();
                        setup.accounts.insert(id, account);
                    }
                    2 => {
                        let account = setup.accounts.values_mut().next();
                        account.into_iter().for_each(|a| a.area_m2 = Some(Decimal::from(size)));
                    }
                    _ => drop(setup.accounts.insert(id, property)),
                }
                world.feed(&Input::Setup { now, setup: Box::new(setup.clone()) });
            }
            14 => {
                // A crash in the middle of what was being decided: only a part was made durable.
                let mut out = Vec::new();
                let input = Input::Tick { now, clock };
                world.block.decide(&input, &mut out);
                out.truncate(usize::try_from(size % 4).unwrap());
                for event in out {
                    world.journal.push(event.clone());
                    let seq = u64::try_from(world.journal.len()).unwrap();
                    world.block.apply(seq, &event);
                }
                let json = serde_json::to_string(&world.block).unwrap();
                let back: Block = serde_json::from_str(&json).unwrap();
                assert_eq!(back, world.block);
                world.block = back;
                world.feed(&Input::Started {
                    now,
                    boot: "00000001".into(),
                    version: "0".into(),
                    config_hash: "0".into(),
                });
            }
            _ => {
                let active = size % 2 == 0;
                let code = crate::event::AlarmCode::BrokerDown;
                let facts = BTreeMap::from([("n".to_owned(), (size % 3).to_string())]);
                let subject = "mqtt".to_owned();
                world.feed(&Input::Condition { now, code, subject, active, facts });
            }
        }
    }
    world
}

/// A public light on a meter, shared by area and by the electricity that was billed.
fn share_a_cost(setup: &mut Setup, meter: &MeterId) {
    use crate::apportionment::*;
    let electricity = ItemId::new("electricity").unwrap();
    let (light, rule) = (ItemId::new("light").unwrap(), TariffId::new("light").unwrap());
    let part = |percent, by| Portion { percent: Decimal::from(percent), by };
    let document = Apportionment {
        label: text("light, shared"),
        item: ItemId::new("light-share").unwrap(),
        direction: Direction::Cost,
        among: Members { buildings: vec!["1".into()], ..Members::default() },
        parts: vec![part(60, Weighting::Area), part(40, Weighting::Usage { item: electricity })],
        borne_percent: Some(Decimal::from(7)),
        tie_break: TieBreak::LargerWeight,
        loss: None,
    };
    setup.apportionments.insert(rule.clone(), document);
    let tariff = TariffId::new("tiered").unwrap();
    let charge = Charge { meter: Some(meter.clone()), share: Some(rule), ..Charge::of(tariff) };
    let account = AccountSetup {
        building: "public".into(),
        charges: BTreeMap::from([(light, charge)]),
        ..AccountSetup::default()
    };
    setup.accounts.insert(AccountId::new("public").unwrap(), account);
}

/// For invariant 4: the shares of each cost are billed once each, and sum to what was shared.
fn check_shares(world: &World) {
    let all = bills(world);
    for cost in all.iter().filter(|bill| bill.apportioned.is_some()) {
        let of = |bill: &&&Bill| bill.share.as_ref().is_some_and(|share| share.bill == cost.bill);
        let shared = cost.apportioned.as_ref().unwrap();
        let sum: i64 = all.iter().filter(of).map(|bill| bill.total_fen.0).sum();
        let pending = world.block.state.pending.iter().any(|p| p.bill.bill == cost.bill);
        assert!(sum == shared.total_fen.0 || pending, "{} of {}", sum, shared.total_fen);
    }
}

fn bills(world: &World) -> Vec<&Bill> {
    let mut bills = Vec::new();
    for event in &world.journal {
        if let Event::Bill(bill) = event {
            bills.push(&**bill);
        }
    }
    bills
}

/// The journaled reading that an id names.
fn reading(world: &World, id: ReadingId) -> &Reading {
    let record = &world.journal[usize::try_from(id.seq).unwrap() - 1];
    let Event::Reading { readings } = record else { panic!("{id} is no reading") };
    &readings[usize::from(id.index)]
}

fn check(world: &World) {
    // For invariant 2: the fold of the journal is the state.
    assert_eq!(world.replayed(), world.block);
    let all = bills(world);
    let mut ids = BTreeSet::new();
    for bill in &all {
        // For invariant 4: the lines sum to the total.
        let sum = Fen::sum(bill.lines.iter().map(|line| line.amount_fen));
        assert_eq!(sum, Some(bill.total_fen));
        assert!(bill.total_fen >= Fen::ZERO && !bill.lines.is_empty());
        assert!(ids.insert(bill.bill.clone()), "{} was issued twice", bill.bill);
        check_evidence(world, bill);
    }
    for (n, bill) in all.iter().enumerate() {
        let same = |other: &&&Bill| other.account == bill.account && other.item == bill.item;
        if let Some(next) = all[n + 1..].iter().find(same) {
            assert!(next.period.from >= bill.period.to, "two bills for one day");
        }
    }
    check_periods(world);
    check_shares(world);
    check_commands(world);
}

/// For invariant 6: each quantity names two journaled readings, and is what passed between them.
fn check_evidence(world: &World, bill: &Bill) {
    let metered: Decimal =
        bill.lines.iter().filter(|l| l.unit == Unit::KilowattHour).map(|l| l.quantity).sum();
    let mut proven = Decimal::ZERO;
    for evidence in &bill.evidence {
        proven += evidence.used;
        let (mut passed, mut inside) = (Decimal::ZERO, false);
        for side in [&evidence.from, &evidence.to] {
            let kept = reading(world, side.reading);
            assert_eq!((kept.value, kept.at, &kept.meter), (side.value, side.at, &evidence.meter));
            assert!(!matches!(kept.verdict, Verdict::Held { .. }), "billed by a held reading");
        }
        // What passed between the two, counted again from the journal.
        for (n, event) in world.journal.iter().enumerate() {
            let Event::Reading { readings } = event else { continue };
            for (index, kept) in readings.iter().enumerate() {
                let seq = u64::try_from(n + 1).unwrap();
                let id = ReadingId { seq, index: u16::try_from(index).unwrap() };
                if inside && kept.meter == evidence.meter && id <= evidence.to.reading {
                    passed += match &kept.verdict {
                        Verdict::Accepted { used, .. }
                        | Verdict::Rollover { used, .. }
                        | Verdict::Exchanged { used, .. } => *used,
                        Verdict::Opened
                        | Verdict::Rebased { .. }
                        | Verdict::Estimated { .. }
                        | Verdict::Held { .. } => Decimal::ZERO,
                    };
                }
                inside |= id == evidence.from.reading;
            }
        }
        assert_eq!(passed, evidence.used);
        assert!(!passed.is_sign_negative());
    }
    proven -= bill.minus.iter().map(|evidence| evidence.used).sum::<Decimal>();
    assert_eq!(metered, proven, "the lines bill what the readings prove");
}

/// The periods follow each other without gap or overlap, and each record counts its bills.
fn check_periods(world: &World) {
    let (mut count, mut sum, mut last) = (0, 0, None);
    for event in &world.journal {
        match event {
            Event::Bill(bill) => {
                count += 1;
                sum += bill.total_fen.0;
            }
            Event::Ledger(closed) => {
                assert_eq!((closed.bills, closed.total_fen.0), (count, sum));
                assert!(last.is_none_or(|to| to == closed.period.from));
                last = Some(closed.period.to.clone());
                (count, sum) = (0, 0);
            }
            Event::Reading { .. }
            | Event::Payment(_)
            | Event::Alarm(_)
            | Event::Notice(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Gap(_)
            | Event::Audit(_) => {}
        }
    }
}

/// For invariant 7: one outcome for each command that was accepted.
fn check_commands(world: &World) {
    let (mut accepted, mut answered) = (BTreeMap::new(), BTreeMap::new());
    for event in &world.journal {
        match event {
            Event::Audit(Audit::CommandAccepted { id, .. }) => {
                *accepted.entry(id.clone()).or_insert(0) += 1;
            }
            Event::Audit(Audit::Command { id, outcome, .. }) if *outcome != Outcome::Duplicate => {
                *answered.entry(id.clone()).or_insert(0) += 1;
            }
            Event::Audit(_)
            | Event::Reading { .. }
            | Event::Bill(_)
            | Event::Ledger(_)
            | Event::Payment(_)
            | Event::Alarm(_)
            | Event::Notice(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Gap(_) => {}
        }
    }
    for (id, times) in &answered {
        assert_eq!(*times, 1, "{id} has more than one outcome");
    }
    for (id, times) in accepted {
        let open = i32::from(world.block.state.commands_open.contains_key(&id));
        assert_eq!((times, open + answered.get(&id).copied().unwrap_or(0)), (1, 1), "{id}");
    }
}

/// Every quantity of one charge is billed once: each bill opens with the reading that closed the one
/// before.
fn check_chain(world: &World) {
    let mut last: Option<ReadingId> = None;
    let mut billed = Decimal::ZERO;
    for bill in bills(world).into_iter().filter(|bill| bill.item.as_str() == "electricity") {
        let evidence = &bill.evidence[0];
        assert!(last.is_none_or(|last| last == evidence.from.reading), "a gap or an overlap");
        last = Some(evidence.to.reading);
        billed += evidence.used;
    }
    if let Some(last) = last {
        let mut accepted = Decimal::ZERO;
        for (n, event) in world.journal.iter().enumerate() {
            let Event::Reading { readings } = event else { continue };
            let ours = readings.iter().filter(|r| r.meter.as_str() == "m-1");
            for kept in ours.filter(|_| u64::try_from(n + 1).unwrap() <= last.seq) {
                if let Verdict::Accepted { used, .. }
                | Verdict::Rollover { used, .. }
                | Verdict::Exchanged { used, .. } = &kept.verdict
                {
                    accepted += *used;
                }
            }
        }
        let opened = bills(world)
            .into_iter()
            .find(|bill| bill.item.as_str() == "electricity")
            .map(|bill| bill.evidence[0].from.reading);
        // What was accepted before the charge began is nobody's.
        let before: Decimal = world
            .journal
            .iter()
            .take(usize::try_from(opened.unwrap().seq).unwrap())
            .filter_map(
                |event| if let Event::Reading { readings } = event { Some(readings) } else { None },
            )
            .flatten()
            .filter(|r| r.meter.as_str() == "m-1")
            .map(|r| match &r.verdict {
                Verdict::Accepted { used, .. }
                | Verdict::Rollover { used, .. }
                | Verdict::Exchanged { used, .. } => *used,
                Verdict::Opened
                | Verdict::Rebased { .. }
                | Verdict::Estimated { .. }
                | Verdict::Held { .. } => Decimal::ZERO,
            })
            .sum();
        assert_eq!(billed, accepted - before, "billed is what was accepted");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    // invariant 2, 4, 6, 7, 12
    #[test]
    fn whatever_happens_the_books_are_right(acts in proptest::collection::vec(any::<Act>(), 1..160)) {
        check(&live(&acts));
    }

    #[test]
    fn adjacent_periods_bill_every_accepted_use_once(acts in proptest::collection::vec(any::<Act>(), 1..160)) {
        // Without households that come and go there is one charge all along.
        let acts: Vec<Act> = acts.into_iter().filter(|(act, _)| act % 16 != 13).collect();
        check_chain(&live(&acts));
    }
}

#[test]
fn a_simulated_life_sees_bills_holds_and_outcomes() {
    let acts: Vec<Act> =
        (0..600_u16).map(|n| (u8::try_from(n * 7 % 61 % 16).unwrap(), n * 37 % 1_001)).collect();
    let world = live(&acts);
    check(&world);
    let seen: BTreeSet<String> = shown(&world.journal)
        .iter()
        .map(|line| line.split([' ', '=']).next().unwrap().to_owned())
        .collect();
    for word in ["bill", "closed", "held", "accepted", "opened", "alarm", "gap", "outcome"] {
        assert!(seen.contains(word), "{word} is missing: {seen:?}");
    }
    assert!(bills(&world).iter().any(|b| b.lines.iter().any(|l| l.window.is_some())));
    assert!(bills(&world).iter().any(|b| b.share.is_some()), "nothing was shared");
}
