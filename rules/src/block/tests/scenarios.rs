//! Scenarios as text: what comes in, and under each line, after `>`, what the Block says.
//!
//! `TIME read VALUE`, `TIME silent`, `TIME tick [unsynced]`, `TIME accept|rollover|rebase`,
//! `TIME exchange FINAL INITIAL`, `TIME restart`, `TIME known FROM TO HOURS` (what was read from FROM to TO was
//! read so many hours later), `TIME settle`. Times are those of Asia/Shanghai.

use super::*;
use crate::input::{Command, HeldDecision, Order, UnsetSpan};

pub(super) fn play(world: &mut World, script: &str) {
    let mut transcript = String::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    for (n, line) in lines.filter(|line| !line.starts_with('>')).enumerate() {
        transcript.push_str(line);
        transcript.push('\n');
        for said in shown(&act(world, n, line)) {
            transcript.push_str(&format!("> {said}\n"));
        }
    }
    let wanted: Vec<&str> = script.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(transcript.trim_end().lines().collect::<Vec<_>>(), wanted, "\n{transcript}");
    // For invariant 2: the fold of the journal is the state.
    assert_eq!(world.replayed(), world.block);
}

pub(super) fn act(world: &mut World, n: usize, line: &str) -> Vec<Event> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let now = t(&format!("2026-{}:00+08:00", words[0]));
    let (meter, register) =
        (MeterId::new("m-1").unwrap(), RegisterName::new("energy_import").unwrap());
    let order = match words[1] {
        "read" => return world.feed(&observed("m-1", now, Some(d(words[2])))),
        "silent" => return world.feed(&observed("m-1", now, None)),
        "tick" => {
            let clock = if words.len() > 2 { ClockState::Unsynced } else { ClockState::Synced };
            return world.feed(&Input::Tick { now, clock });
        }
        "settle" => return world.feed(&Input::Settle { now }),
        "restart" => {
            let json = serde_json::to_string(&world.block).unwrap();
            world.block = serde_json::from_str(&json).unwrap();
            return world.feed(&Input::Started {
                now,
                boot: "00000001".into(),
                version: "0".into(),
                config_hash: "0".into(),
            });
        }
        "known" => {
            let time = |word: &str| t(&format!("2026-{word}:00+08:00"));
            let by_ms = words[4].parse::<i64>().unwrap() * 3_600_000;
            let span = UnsetSpan { from: time(words[2]), to: time(words[3]), by_ms };
            let boot = "00000001".to_owned();
            return world.feed(&Input::ClockKnown { now, boot, spans: vec![span] });
        }
        "accept" => Order::DecideHeld { meter, register, decision: HeldDecision::Accept },
        "rollover" => Order::DecideHeld { meter, register, decision: HeldDecision::Rollover },
        "rebase" => Order::DecideHeld { meter, register, decision: HeldDecision::Rebase },
        "exchange" => Order::ExchangeMeter {
            meter,
            register,
            final_value: d(words[2]),
            initial_value: d(words[3]),
        },
        other => panic!("{other}"),
    };
    let command = Command {
        id: CommandId::new(&format!("c-{n}")).unwrap(),
        issued_at: now,
        expires_at: now.plus(Span::from_mins(1)),
        actor: "staff".into(),
        order,
    };
    world.feed(&Input::Command { now, clock: ClockState::Synced, command })
}

/// A world with readings every 15 minutes and short spans of patience.
pub(super) fn watched() -> World {
    let mut setup = small();
    setup.meters.values_mut().for_each(|meter| {
        meter.offline_after = Span::from_hours(2);
        meter.stuck_after = Some(Span::from_hours(6));
    });
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world
}

#[test]
fn the_first_sight_of_a_register_bills_nothing() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 1000
        > opened 1000
        03-01T00:05 read 1000.10
        03-01T00:15 read 1001.25
        > accepted 1001.25 used 1.25
    ",
    );
}

#[test]
fn a_register_that_runs_backwards_is_held_for_review_and_clears_by_better_readings() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 1000
        > opened 1000
        03-01T00:15 read 900
        > held 900 Backwards
        > alarm reading-held Raised
        03-01T00:30 read 900
        03-01T00:45 read 901
        > held 901 Backwards
        03-01T01:00 read 1001
        > accepted 1001 used 1
        > alarm reading-held Cleared
    ",
    );
}

#[test]
fn a_series_that_goes_on_below_the_old_one_waits_for_a_person_even_when_it_reaches_the_old_one() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 3
        > opened 3
        03-01T00:15 read 0
        > held 0 Backwards
        > alarm reading-held Raised
        03-01T00:30 read 1
        > held 1 Backwards
        03-01T00:45 read 2
        > held 2 Backwards
        03-01T01:00 read 3.5
        > held 3.5 Backwards
        03-01T01:15 rebase
        > audit command-accepted
        > rebased 3.5
        > alarm reading-held Cleared
        > outcome Done
        03-01T01:30 read 4
        > gap 1
        > accepted 4 used 0.5
    ",
    );
}

#[test]
fn a_jump_does_not_become_true_by_waiting() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 1000
        > opened 1000
        03-01T00:15 read 1500
        > held 1500 TooFast
        > alarm reading-held Raised
        03-02T23:45 read 1501
        > held 1501 TooFast
        03-03T00:00 accept
        > audit command-accepted
        > accepted 1501 used 501
        > alarm reading-held Cleared
        > outcome Done
    ",
    );
}

#[test]
fn a_counter_that_passed_its_end_is_a_rollover_only_when_that_is_plausible() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 9999
        > opened 9999
        03-01T00:15 read 1.5
        > rollover 1.5 used 2.5
        03-01T00:30 read 1.48
        > held 1.48 Reverse
        > alarm reading-held Raised
        03-01T00:45 read 1.60
        > accepted 1.60 used 0.10
        > alarm reading-held Cleared
        03-01T01:00 read 0.10
        > held 0.10 Backwards
        > alarm reading-held Raised
        03-01T01:01 rollover
        > audit command-accepted
        > rollover 0.10 used 9998.50
        > alarm reading-held Cleared
        > outcome Done
    ",
    );
}

// invariant 12
#[test]
fn a_clock_that_is_years_ahead_makes_no_lower_value_a_rollover_and_no_jump_plausible() {
    let mut world = watched();
    let mut read = |at: &str, value: &str| {
        let events = world.feed(&observed("m-1", t(at), Some(d(value))));
        let readings = events.iter().find(|event| matches!(event, Event::Reading { .. }));
        shown(std::slice::from_ref(readings.unwrap())).remove(0)
    };
    assert_eq!(read("2026-03-01T00:00:00+08:00", "9000"), "opened 9000");
    // In twelve years a register may go round many times; in one reading it does not.
    assert_eq!(read("2038-01-19T03:00:00+08:00", "8990"), "held 8990 Backwards");
    assert_eq!(read("2038-01-19T04:00:00+08:00", "9000.5"), "accepted 9000.5 used 0.5");
}

#[test]
fn the_golden_meter_events_come_out_as_printed() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/golden/corrections_meter.json")).unwrap();
    let mut others = Vec::new();
    for case in cases.as_array().unwrap() {
        let (input, want) = (&case["input"], &case["expected"]["usage"]);
        let number = |key: &str| d(&input[key].to_string().replace('"', ""));
        let mut world = World::default();
        let mut setup = small();
        let meter = setup.meters.values_mut().next().unwrap();
        meter.record_every = Span::ZERO;
        meter.registers[0].rollover_at = Some(d("100000"));
        meter.registers[0].max_per_hour = d("1000");
        let (first, second, used) = match case["kind"].as_str().unwrap() {
            "rollover" => (number("prev"), number("curr"), want),
            "multiplier" => {
                meter.multiplier = number("ratio");
                (number("prev"), number("curr"), want)
            }
            "meter_replacement" => (number("old_prev"), number("new_curr"), want),
            other => {
                others.push(other.to_owned());
                continue;
            }
        };
        world.setup("2026-03-01T00:00:00+08:00", &setup);
        world.feed(&observed("m-1", t("2026-03-01T00:00:00+08:00"), Some(first)));
        if case["kind"] == "meter_replacement" {
            let script =
                format!("03-01T00:30 exchange {} {}", number("old_final"), number("new_initial"));
            act(&mut world, 0, &script);
        }
        let said = world.feed(&observed("m-1", t("2026-03-01T01:00:00+08:00"), Some(second)));
        let state = &world.block.state.meters[&MeterId::new("m-1").unwrap()];
        let register = state.registers.values().next().unwrap();
        if used.is_null() {
            assert!(shown(&said)[0].starts_with("held"), "{case}");
            assert_eq!(register.last.total, Decimal::ZERO, "{case}");
        } else {
            assert_eq!(register.last.total, d(&used.to_string().replace('"', "")), "{case}");
        }
    }
    // The others are `golden_corrections`.
    let corrections =
        ["meter_error", "rate_change", "rate_change", "prepayment", "difference_bill"];
    assert_eq!(others, corrections);
}

#[test]
fn an_exchanged_device_goes_on_where_the_old_one_ended() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 1000
        > opened 1000
        03-01T00:15 read 0.50
        > held 0.50 Backwards
        > alarm reading-held Raised
        03-01T00:16 exchange 999 0
        > outcome Refused final_value is lower than the last accepted reading
        03-01T00:16 exchange 2000 0
        > outcome Refused final_value is more than the meter can have counted since it was read
        03-01T00:16 exchange 1002 0
        > audit command-accepted
        > exchanged 0 used 2
        > alarm reading-held Cleared
        > outcome Done
        03-01T00:30 read 3
        > accepted 3 used 3
    ",
    );
}

#[test]
fn missing_slots_are_a_gap_silence_is_offline_and_a_still_register_is_stuck() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 1000
        > opened 1000
        03-01T00:01 tick
        > audit charges-began
        03-01T00:15 read 1000
        > accepted 1000 used 0
        03-01T02:14 silent
        03-01T02:14 tick
        03-01T02:15 tick
        > alarm meter-offline Raised
        03-01T03:00 tick
        03-01T03:05 read 1000
        > alarm meter-offline Cleared
        > gap 10
        > accepted 1000 used 0
        03-01T05:00 read 1000
        > gap 7
        > accepted 1000 used 0
        03-01T06:00 tick
        > alarm meter-stuck Raised
        03-01T06:30 read 1001
        > gap 5
        > accepted 1001 used 1
        > alarm meter-stuck Cleared
    ",
    );
}

#[test]
fn a_restart_gives_every_meter_its_time_again() {
    play(
        &mut watched(),
        "
        03-01T00:00 read 1000
        > opened 1000
        03-01T00:01 tick
        > audit charges-began
        03-01T05:00 restart
        > audit started
        03-01T06:59 tick
        > alarm meter-stuck Raised
        03-01T07:00 tick
        > alarm meter-offline Raised
    ",
    );
}

#[test]
fn a_month_is_billed_from_its_first_reading_to_the_first_of_the_next() {
    play(
        &mut begun(),
        "
        03-15T00:00 read 1100
        > gap 1343
        > accepted 1100 used 100
        03-31T23:59 tick
        04-01T00:00 tick
        04-01T00:05 read 1241
        > gap 1631
        > accepted 1241 used 141
        04-01T00:06 tick
        > bill a-1 electricity 2026-03-01..2026-04-01 117.73
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > closed 2 305.74
        04-01T00:07 tick
    ",
    );
}

#[test]
fn after_the_grace_the_last_reading_before_the_end_closes_and_the_rest_is_the_next_months() {
    play(
        &mut begun(),
        "
        03-31T23:45 read 1100
        > gap 2974
        > accepted 1100 used 100
        04-02T23:59 tick
        04-03T00:00 tick
        > bill a-1 electricity 2026-03-01..2026-04-01 48.83
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > closed 2 236.84
        05-01T00:00 read 1200
        > gap 2880
        > accepted 1200 used 100
        05-01T00:01 tick
        > bill a-1 electricity 2026-04-01..2026-05-01 48.83
        > bill a-1 property 2026-04-01..2026-05-01 188.01
        > closed 2 236.84
    ",
    );
}

#[test]
fn nothing_is_invented_where_nothing_was_read_and_the_next_close_covers_it() {
    play(
        &mut begun(),
        "
        04-03T00:00 tick
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > alarm unbilled Raised
        > closed 1 188.01 electricity=no-reading
        04-20T00:00 read 1400
        > gap 4799
        > accepted 1400 used 400
        05-01T00:00 read 1480
        > gap 1055
        > accepted 1480 used 80
        05-01T00:01 tick
        > bill a-1 electricity 2026-03-01..2026-05-01 234.38
        > bill a-1 property 2026-04-01..2026-05-01 188.01
        > alarm unbilled Cleared
        > closed 2 422.39
    ",
    );
}

#[test]
fn a_held_register_is_not_billed_until_somebody_decides() {
    play(
        &mut begun(),
        "
        03-31T00:00 read 1100
        > gap 2879
        > accepted 1100 used 100
        03-31T00:15 read 9000
        > held 9000 TooFast
        > alarm reading-held Raised
        04-03T00:00 tick
        > bill a-1 property 2026-03-01..2026-04-01 188.01
        > alarm unbilled Raised
        > closed 1 188.01 electricity=held
        04-03T00:01 rebase
        > audit command-accepted
        > rebased 9000
        > alarm reading-held Cleared
        > outcome Done
        05-01T00:00 read 9010
        > gap 2974
        > accepted 9010 used 10
        05-01T00:01 tick
        > bill a-1 electricity 2026-03-01..2026-05-01 53.71
        > bill a-1 property 2026-04-01..2026-05-01 188.01
        > alarm unbilled Cleared
        > closed 2 241.72
    ",
    );
}

// invariant 7
#[test]
fn every_accepted_command_has_exactly_one_outcome() {
    let mut world = begun();
    let now = t("2026-03-01T01:00:00+08:00");
    let command = |id: &str, order: Order| Input::Command {
        now,
        clock: ClockState::Synced,
        command: Command {
            id: CommandId::new(id).unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(1)),
            actor: "staff".into(),
            order,
        },
    };
    let read = |meter: &str| Order::ReadNow { meter: MeterId::new(meter).unwrap(), frozen: None };
    let done = |id: &str| Input::CommandDone {
        now,
        id: CommandId::new(id).unwrap(),
        outcome: crate::event::Outcome::Done,
        detail: String::new(),
    };
    let mut said = |input: &Input| shown(&world.feed(input)).join(", ");
    assert_eq!(said(&command("c-1", read("m-9"))), "outcome Refused there is no meter of this id");
    assert_eq!(said(&command("c-2", read("m-1"))), "audit command-accepted");
    assert_eq!(said(&command("c-2", read("m-1"))), "outcome Duplicate this id was answered before");
    // The duplicate did not take the answer from the one that is still open.
    assert_eq!(said(&done("c-2")), "outcome Done");
    assert_eq!(said(&done("c-2")), "", "a second report is not a second outcome");
    assert_eq!(said(&done("c-9")), "", "nobody ordered it");
    assert_eq!(
        said(&command("c-3", Order::Resend { from: 2, to: 1 })),
        "outcome Refused from lies after to"
    );
    let Input::Command { clock, mut command, .. } = command("c-4", read("m-1")) else { panic!() };
    command.expires_at = now;
    let late = Input::Command { now, clock, command };
    assert_eq!(said(&late), "outcome Expired it came after its expires_at");
}

#[test]
fn a_command_without_an_outcome_at_a_restart_is_unknown_and_is_not_repeated() {
    let mut world = begun();
    let now = t("2026-03-01T01:00:00+08:00");
    let command = Command {
        id: CommandId::new("c-1").unwrap(),
        issued_at: now,
        expires_at: now.plus(Span::from_mins(9)),
        actor: "staff".into(),
        order: Order::ReadNow { meter: MeterId::new("m-1").unwrap(), frozen: None },
    };
    let input = Input::Command { now, clock: ClockState::Synced, command };
    world.feed(&input);
    let said = shown(&act(&mut world, 0, "03-01T01:01 restart"));
    assert_eq!(
        said,
        ["audit started", "outcome Unknown the gateway was restarted before it was known"]
    );
    assert_eq!(shown(&world.feed(&input)), ["outcome Duplicate this id was answered before"]);
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_setup_that_says_nothing_new_is_no_event_and_an_unknown_zone_changes_nothing() {
    let mut world = begun();
    assert!(world.setup("2026-03-02T00:00:00+08:00", &small()).is_empty());
    let mut wrong = small();
    wrong.zone = "Asia/Nowhere".into();
    assert!(world.setup("2026-03-02T00:00:00+08:00", &wrong).is_empty());
    let mut other = small();
    other.meters.values_mut().next().unwrap().multiplier = d("30");
    assert_eq!(shown(&world.setup("2026-03-02T00:00:00+08:00", &other)), ["audit meters-set"]);
    assert_eq!(world.block.setup(), &other);
}

#[test]
fn a_charge_that_begins_or_ends_inside_a_month_pays_for_its_days() {
    let mut world = begun();
    let mut setup = small();
    let moved_in =
        AccountSetup { building: "1".into(), ..setup.accounts.values().next().unwrap().clone() };
    setup.accounts.insert(
        AccountId::new("a-2").unwrap(),
        AccountSetup {
            charges: moved_in
                .charges
                .iter()
                .filter(|(i, _)| i.as_str() == "property")
                .map(|(i, c)| (i.clone(), c.clone()))
                .collect(),
            area_m2: Some(d("100")),
            ..moved_in
        },
    );
    world.setup("2026-03-10T09:00:00+08:00", &setup);
    assert_eq!(shown(&world.tick("2026-03-10T09:00:01+08:00")), ["audit charges-began"]);
    // The first household leaves on the 21st: its last day is the 20th.
    setup.accounts.remove(&AccountId::new("a-1").unwrap());
    world.read("2026-03-21T08:00:00+08:00", "1100");
    world.setup("2026-03-21T09:00:00+08:00", &setup);
    world.read("2026-04-01T00:00:00+08:00", "1300");
    assert_eq!(
        shown(&world.tick("2026-04-01T00:01:00+08:00")),
        [
            "bill a-1 electricity 2026-03-01..2026-03-21 48.83",
            "bill a-1 property 2026-03-01..2026-03-21 121.30", // 89.53 × 2.10 × 20/31
            "bill a-2 property 2026-03-10..2026-04-01 149.03", // 100 × 2.10 × 22/31
            "closed 3 319.16",
        ]
    );
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_price_change_inside_a_period_is_split_by_days() {
    // 60 units, 12 days at 2.00 and 18 at 2.50: 138.00; the next period's price: 120.00.
    for (change, want) in [(PriceChange::ByDays, "138.00"), (PriceChange::NextPeriod, "120.00")] {
        let single = |price: &str, from: &str| {
            let mut tariff = tiered();
            let revision = &mut tariff.revisions[0];
            revision.from = crate::calendar::parse_day(from).unwrap();
            revision.change_inside_period = change;
            let Pricing::Metered(metered) = &mut revision.pricing else { panic!() };
            metered.tiering = Tiering::Single;
            metered.tiers.drain(1..);
            metered.tiers[0].up_to = None;
            metered.tiers[0].prices.insert("charge".into(), d(price));
            tariff.revisions.remove(0)
        };
        let mut setup = small();
        let tariff = setup.tariffs.get_mut(&TariffId::new("tiered").unwrap()).unwrap();
        tariff.revisions = vec![single("2.00", "2020-01-01"), single("2.50", "2026-04-13")];
        let mut world = World::default();
        world.setup("2026-04-01T00:00:00+08:00", &setup);
        world.read("2026-04-01T00:00:00+08:00", "1000");
        world.tick("2026-04-01T00:00:01+08:00");
        world.read("2026-05-01T00:00:00+08:00", "1060");
        let said = shown(&world.tick("2026-05-01T00:00:01+08:00"));
        assert_eq!(said[0], format!("bill a-1 electricity 2026-04-01..2026-05-01 {want}"));
    }
}

#[test]
fn time_of_use_splits_an_interval_over_a_windows_edge_by_time_and_loses_nothing() {
    let files = include_str!("../../../tariffs/electricity.toml");
    let tariffs = TariffFile::parse(files, "").unwrap();
    let mut setup = small();
    setup.tariffs.extend(tariffs);
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.retain(|item, _| item.as_str() == "electricity");
    account.charges.values_mut().next().unwrap().tariff = TariffId::new("electricity-tou").unwrap();
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    world.read("2026-03-01T05:00:00+08:00", "1010"); // valley 10
    world.read("2026-03-01T08:00:00+08:00", "1020"); // one hour valley, two hours peak
    world.read("2026-04-01T00:00:00+08:00", "1020");
    let events = world.tick("2026-04-01T00:00:01+08:00");
    let Event::Bill(bill) = &events[0] else { panic!() };
    let lines: Vec<String> = bill
        .lines
        .iter()
        .map(|l| format!("{} {} {}", l.window.as_deref().unwrap(), l.quantity, l.amount_fen))
        .collect();
    assert_eq!(lines, ["peak 6.666667 4.11", "valley 13.333333 4.09"]);
    assert_eq!(bill.evidence[0].used, d("20"));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_tier_year_goes_on_counting_from_bill_to_bill_and_begins_anew_at_its_reset() {
    let mut setup = small();
    let tariffs = TariffFile::parse(include_str!("../../../tariffs/electricity.toml"), "").unwrap();
    setup.tariffs.extend(tariffs);
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.retain(|item, _| item.as_str() == "electricity");
    let charge = account.charges.values_mut().next().unwrap();
    charge.tariff = TariffId::new("electricity-tiered-year").unwrap();
    let mut world = World::default();
    world.setup("2026-11-01T00:00:00+08:00", &setup);
    world.read("2026-11-01T00:00:00+08:00", "0");
    world.tick("2026-11-01T00:00:01+08:00");
    let mut counters = Vec::new();
    for (at, value) in [("2026-12-01", "2700"), ("2027-01-01", "2800"), ("2027-02-01", "2900")] {
        world.read(&format!("{at}T00:00:00+08:00"), value);
        for event in world.tick(&format!("{at}T00:00:01+08:00")) {
            if let Event::Bill(bill) = event {
                let c = bill.tier_counter.unwrap();
                counters.push(format!("{} {}..{} {}", c.period, c.before, c.after, bill.total_fen));
            }
        }
    }
    assert_eq!(
        counters,
        [
            "2026 0..2700 1452.60",
            "2026 2700..2800 55.80", // 60 at 0.538, 40 at 0.588
            "2027 0..100 53.80",
        ]
    );
}

#[test]
fn a_charge_that_moves_to_another_meter_is_billed_by_both() {
    let mut world = begun();
    let mut setup = small();
    let second = MeterId::new("m-2").unwrap();
    setup.meters.insert(second.clone(), meter());
    world.setup("2026-03-05T00:00:00+08:00", &setup);
    world.feed(&observed("m-2", t("2026-03-10T00:00:00+08:00"), Some(d("50"))));
    world.read("2026-03-10T00:00:00+08:00", "1100");
    let account = setup.accounts.values_mut().next().unwrap();
    account.charges.values_mut().next().unwrap().meter = Some(second);
    world.setup("2026-03-10T00:01:00+08:00", &setup);
    world.read("2026-03-20T00:00:00+08:00", "1900"); // the old meter is somebody else's now
    world.feed(&observed("m-2", t("2026-04-01T00:00:00+08:00"), Some(d("90"))));
    let events = world.tick("2026-04-01T00:00:01+08:00");
    let Event::Bill(bill) = &events[0] else { panic!("{:?}", shown(&events)) };
    let used: Vec<String> =
        bill.evidence.iter().map(|e| format!("{} {}", e.meter, e.used)).collect();
    assert_eq!(used, ["m-1 100", "m-2 40"]);
    assert_eq!(bill.lines.iter().map(|l| l.quantity).sum::<Decimal>(), d("140"));
    assert_eq!(world.replayed(), world.block);
}

#[test]
fn a_tick_is_due_at_the_periods_end_and_never_in_a_circle() {
    let mut world = World::default();
    assert_eq!(world.block.next_due(), None);
    world.setup("2026-03-01T00:00:00+08:00", &small());
    assert_eq!(world.block.next_due(), Some(Time::EPOCH), "charges are to begin");
    let now = t("2026-03-01T00:00:01+08:00");
    world.feed(&Input::Tick { now, clock: ClockState::Unsynced });
    assert_eq!(world.block.next_due(), Some(now.plus(Span::from_secs(10))), "not at once again");
    world.read("2026-03-01T00:00:02+08:00", "1000");
    world.tick("2026-03-01T00:00:12+08:00");
    assert_eq!(world.block.next_due(), Some(t("2026-04-01T00:00:00+08:00")));
    world.tick("2026-04-01T00:00:00+08:00");
    assert_eq!(world.block.next_due(), Some(t("2026-04-01T00:00:10+08:00")), "waits for a reading");
}

#[test]
fn a_charge_that_ends_and_begins_again_in_one_month_is_billed_for_each_day_once() {
    let mut world = begun();
    let id = AccountId::new("a-1").unwrap();
    let (whole, mut without) = (small(), small());
    without.accounts.remove(&id);
    world.setup("2026-03-11T09:00:00+08:00", &without);
    world.setup("2026-03-11T09:01:00+08:00", &whole);
    world.tick("2026-03-11T09:02:00+08:00");
    world.read("2026-04-01T00:00:00+08:00", "1000");
    let march = shown(&world.tick("2026-04-01T00:00:01+08:00"));
    assert!(
        march.contains(&"bill a-1 property 2026-03-01..2026-03-11 60.65".to_owned()),
        "{march:?}"
    );
    assert!(
        march.contains(&"bill a-1 property 2026-03-11..2026-04-01 127.36".to_owned()),
        "{march:?}"
    );
    world.read("2026-05-01T00:00:00+08:00", "1000");
    let april = shown(&world.tick("2026-05-01T00:00:01+08:00"));
    assert!(
        april.contains(&"bill a-1 property 2026-04-01..2026-05-01 188.01".to_owned()),
        "{april:?}"
    );
}

#[test]
fn the_close_of_a_large_block_goes_tick_by_tick_and_bills_each_charge_once() {
    let mut setup = small();
    let count = 2 * period::CLOSE_AT_ONCE + 10;
    let fixed = setup.accounts.values().next().unwrap().clone();
    let charge = fixed.charges[&ItemId::new("property").unwrap()].clone();
    for n in 0..count {
        let charges = BTreeMap::from([(ItemId::new("property").unwrap(), charge.clone())]);
        let account = AccountSetup { charges, ..fixed.clone() };
        setup.accounts.insert(AccountId::new(&format!("b-{n:05}")).unwrap(), account);
    }
    let mut world = World::default();
    world.setup("2026-03-01T00:00:00+08:00", &setup);
    world.read("2026-03-01T00:00:00+08:00", "1000");
    world.tick("2026-03-01T00:00:01+08:00");
    world.read("2026-04-01T00:00:00+08:00", "1100");
    let first = world.tick("2026-04-01T00:00:01+08:00");
    let bills = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::Bill(_))).count();
    assert_eq!(bills(&first), period::CLOSE_AT_ONCE);
    assert!(world.block.is_closing(), "it goes on");
    assert_eq!(world.block.next_due(), Some(t("2026-04-01T00:00:01+08:00")), "at once");
    // A restart in between goes on where it stopped; a reading in between changes no bill.
    world.block = world.replayed();
    world.read("2026-04-01T00:00:02+08:00", "1101");
    let second = world.tick("2026-04-01T00:00:02+08:00");
    assert_eq!(bills(&second), period::CLOSE_AT_ONCE);
    let third = world.tick("2026-04-01T00:00:03+08:00");
    assert_eq!(bills(&third), 12);
    let lines = shown(&third);
    assert!(lines.last().unwrap().starts_with(&format!("closed {} ", count + 2)), "{lines:?}");
    assert!(!world.block.is_closing());
    let all: BTreeSet<_> = world
        .journal
        .iter()
        .filter_map(|event| match event {
            Event::Bill(bill) => Some(bill.bill.clone()),
            Event::Reading { .. }
            | Event::Ledger(_)
            | Event::Payment(_)
            | Event::Notice(_)
            | Event::Alarm(_)
            | Event::Parking(_)
            | Event::Door(_)
            | Event::Gap(_)
            | Event::Audit(_) => None,
        })
        .collect();
    assert_eq!(all.len(), count + 2, "each once");
}
