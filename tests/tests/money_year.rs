//! A year of a block's money against an independent, naive program (`tests/money/naive.py`, Python,
//! knows no code of ours): random moves, exchanged meters, misread meters put right months later, rate
//! changes, a rate that was wrong, payments, deposits that go back in instalments, refunds that are approved,
//! paid, called off or left to expire. To the fen, for each household, item, deposit and channel.
//!
//! `BLOCKGATE_HOUSEHOLDS` says how many (60), `BLOCKGATE_SEED` which year, `SEEDS` how many years (1).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use blockgate_rules::apportionment::Apportionment;
use blockgate_rules::calendar::{days_after, days_before, parse_day};
use blockgate_rules::correction::{Correction, Ground, What};
use blockgate_rules::event::{Bill, ReadingId};
use blockgate_rules::input::{Command, Order, RecordPayment, RequestRefund};
use blockgate_rules::late::LateRight;
use blockgate_rules::ledger::{Channel, Part, Release, Source, Toward};
use blockgate_rules::setup::{
    AccountSetup, BillingRegister, Charge, Dunning, MeterSetup, RefundLimits, Setup,
};
use blockgate_rules::tariff::TariffFile;
use blockgate_rules::{Block, Event, Fen, Input};
use blockgate_types::{
    AccountId, ClockState, Decimal, MeterId, Observation, RegisterName, RegisterSpec, Role, Span,
    Time, Unit, Values,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// xorshift64*: the same year for the same seed on every box.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const WATER: &str = r#"
[[tariff]]
id = "water"
label = { zh = "水", en = "Water" }
currency = "CNY"
notice = "example"
[[tariff.revision]]
from = "2026-01-01"
kind = "graduated"
unit = "kWh"
rounding = "per_line"
change_inside_period = "next_period"
tier_period = "year"
tier_reset = "01-01"
part_quota = "whole"
new_occupant = "inherit"
components = [ { name = "water", label = { zh = "水", en = "water" }, factor = "1" }, { name = "sewage", label = { zh = "污", en = "sewage" }, factor = "0.9" } ]
tiers = [
  { up_to = "180", prices = { water = "2.07", sewage = "1.36" } },
  { up_to = "260", prices = { water = "4.07", sewage = "1.36" } },
  { prices = { water = "6.07", sewage = "1.36" } },
]
[[tariff]]
id = "garbage"
label = { zh = "垃圾", en = "Garbage" }
currency = "CNY"
notice = "example"
[[tariff.revision]]
from = "2026-01-01"
kind = "fixed"
per = "household"
price = "7.50"
rounding = "per_line"
proration = "full_month"
change_inside_period = "next_period"
[[tariff]]
id = "lift"
label = { zh = "电梯", en = "Lift" }
currency = "CNY"
notice = "example"
[[tariff.revision]]
from = "2026-01-01"
kind = "flat"
unit = "kWh"
price = "0.5469"
rounding = "per_line"
change_inside_period = "next_period"
late_fee = { item = "late-fee", label = { zh = "违约金", en = "Late fee" }, percent_per_day = "0.3", grace_days = 0, days_from = "due", cap_percent = "12.5", rounding = "down" }
[[apportionment]]
id = "lift-share"
label = { zh = "电梯公摊", en = "Lift, shared" }
item = "lift-share"
direction = "cost"
among = { all = true, except = ["public"] }
parts = [ { percent = "100", by = "area" } ]
tie_break = "account"
"#;

fn property(changed: bool) -> String {
    let head = "[[tariff]]\nid = \"property\"\nlabel = { zh = \"物业\", en = \"Fee\" }\n\
                currency = \"CNY\"\nnotice = \"example\"\n";
    let revision = |from: &str, price: &str| {
        format!(
            "[[tariff.revision]]\nfrom = \"{from}\"\nkind = \"per_area\"\nprice = \"{price}\"\n\
             rounding = \"per_line\"\nproration = \"actual_days\"\nchange_inside_period = \"by_days\"\n\
             late_fee = {{ item = \"late-fee\", label = {{ zh = \"违约金\", en = \"Late fee\" }}, percent_per_day = \
             \"0.1\", grace_days = 5, days_from = \"due\", cap_percent = \"20\", rounding = \"half_up\" }}\n"
        )
    };
    let second = if changed { revision("2026-09-15", "2.35") } else { String::new() };
    format!("{head}{}{second}", revision("2026-01-01", "2.10"))
}

/// Electricity, with the price of the second half-year as it is known now.
fn electricity(second: Option<&str>) -> String {
    let head = "[[tariff]]\nid = \"electricity\"\nlabel = { zh = \"电\", en = \"Electricity\" }\n\
                currency = \"CNY\"\nnotice = \"example\"\n";
    let revision = |from: &str, first: &str| {
        format!(
            "[[tariff.revision]]\nfrom = \"{from}\"\nkind = \"graduated\"\nunit = \"kWh\"\n\
             rounding = \"per_line\"\nchange_inside_period = \"next_period\"\n\
             tier_period = \"month\"\ncatch_up = \"scale_quota\"\n\
             tiers = [ {{ up_to = \"200\", price = \"{first}\" }}, {{ up_to = \"400\", price = \
             \"0.5969\" }}, {{ price = \"0.8469\" }} ]\n\
             late_fee = {{ item = \"late-fee\", label = {{ zh = \"违约金\", en = \"Late fee\" }}, percent_per_day = \
             \"0.05\", grace_days = 10, days_from = \"grace\", cap_percent = \"30\", rounding = \"half_up\" }}\n"
        )
    };
    let later = second.map(|price| revision("2026-07-01", price)).unwrap_or_default();
    format!("{head}{}{later}", revision("2026-01-01", "0.5469"))
}

const DUE_DAYS: u32 = 15;
const DECIDE_DAYS: u32 = 45;
const WRONG_PRICE: &str = "0.5669";
const RIGHT_PRICE: &str = "0.5569";

fn tariffs(setup: &mut Setup, texts: &[String]) {
    for text in texts {
        let file = TariffFile::read(text, "year").unwrap_or_else(|e| panic!("{e:?}"));
        for rule in file.rules {
            setup.tariffs.insert(rule.id, rule.tariff);
        }
        let shared: Vec<(_, Apportionment)> =
            file.apportionments.into_iter().map(|entry| (entry.id, entry.rule)).collect();
        setup.apportionments.extend(shared);
    }
}

struct Year {
    block: Block,
    journal: Vec<Event>,
    inputs: Vec<Input>,
    dice: Dice,
    /// Of deposits and refunds.
    till: Dice,
    specs: Arc<[RegisterSpec]>,
    /// Of payments that are booked late, and of late fees that are put right.
    tardy: Dice,
    /// Bills whose late fee was waived; bills that were paid on an earlier day in fact.
    waived: Vec<Value>,
    paid_in_fact: BTreeMap<String, Value>,
    /// What each meter has really counted, in hundredths, and what its display is ahead of that.
    counted: BTreeMap<String, (i64, i64)>,
    facts: BTreeMap<String, Vec<Value>>,
    orders: u32,
}

fn at(date: &str, clock: &str) -> Time {
    format!("{date}T{clock}+08:00").parse().unwrap()
}

fn hundredths(n: i64) -> Decimal {
    Decimal::new(n, 2)
}

impl Year {
    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.block.decide(&input, &mut out);
        for event in out {
            self.journal.push(event);
            let seq = u64::try_from(self.journal.len()).unwrap();
            self.block.apply(seq, self.journal.last().unwrap());
            assert_eq!(self.block.ledger().trial_balance(), 0, "after record {seq}");
        }
        self.block.notice(&input);
        self.inputs.push(input);
    }

    fn tick(&mut self, date: &str, clock: &str) {
        let now = at(date, clock);
        self.feed(Input::Tick { now, clock: ClockState::Synced });
        while self.block.is_closing() {
            self.feed(Input::Tick { now, clock: ClockState::Synced });
        }
    }

    fn order(&mut self, now: Time, order: Order) {
        self.order_of(now, "desk", order);
    }

    fn order_of(&mut self, now: Time, actor: &str, order: Order) {
        self.orders += 1;
        let id = format!("o-{}", self.orders);
        let command = Command {
            id: id.parse().unwrap(),
            issued_at: now,
            expires_at: now.plus(Span::from_mins(5)),
            actor: actor.to_owned(),
            order: order.clone(),
        };
        self.feed(Input::Command { now, clock: ClockState::Synced, command });
        if let Order::Correct(correction) = order {
            let issued = self.bills();
            self.feed(Input::Correct { now, id: id.parse().unwrap(), correction, issued });
        }
        let Some(Event::Audit(last)) = self.journal.last() else { panic!("no outcome of {id}") };
        let last = serde_json::to_value(last).unwrap();
        assert_eq!(last["outcome"], "done", "{last}");
    }

    fn bills(&self) -> Vec<Bill> {
        let bill = |event: &Event| match event {
            Event::Bill(bill) => Some((**bill).clone()),
            _ => None,
        };
        self.journal.iter().filter_map(bill).collect()
    }

    /// Reads a meter, `wrong` hundredths beside the truth.
    fn read(&mut self, meter: &str, date: &str, wrong: i64) {
        let (counted, ahead) = self.counted[meter];
        let value = hundredths(counted + ahead + wrong);
        let specs = self.specs.clone();
        let outcome = Ok(Values { specs, values: vec![Some(value)] });
        let meter_id = MeterId::new(meter).unwrap();
        let observed = Observation { meter: meter_id, at: at(date, "00:00:00"), outcome };
        self.feed(Input::Observed(observed));
        let fact = json!({ "what": "read", "at": date, "value": value.to_string() });
        self.facts.get_mut(meter).unwrap().push(fact);
    }

    fn runs(&mut self, meter: &str, most: u64) -> i64 {
        let more = i64::try_from(self.dice.below(most)).unwrap() + 1;
        self.counted.get_mut(meter).unwrap().0 += more;
        more
    }
}

fn paid(account: &AccountId, fen: i64, channel: Channel, toward: Toward) -> Order {
    Order::RecordPayment(Box::new(RecordPayment {
        account: account.clone(),
        amount_fen: Fen(fen),
        channel,
        reference: String::new(),
        payer: None,
        toward,
        pending: false,
        tendered_fen: None,
        paid_on: None,
    }))
}

impl Year {
    /// Some late fees that were billed are waived, some counted to an earlier day.
    fn lenient(&mut self, date: &str) {
        let (now, bills) = (at(date, "12:30:00"), self.bills());
        let fees = bills.iter().filter_map(|bill| bill.late_fee.as_ref().map(|fee| &fee.of));
        let late: BTreeSet<_> = fees.cloned().collect();
        for of in late {
            let id = of.to_string();
            if self.waived.contains(&json!(id)) || self.paid_in_fact.contains_key(&id) {
                continue;
            }
            let right = match self.tardy.below(40) {
                0 => {
                    self.waived.push(json!(id));
                    LateRight::Waived
                }
                1 if self.block.ledger().open_bills().all(|(_, _, open)| open.bill != of) => {
                    let first = bills.iter().find(|bill| bill.bill == of).unwrap().due.unwrap();
                    let day = days_after(first, self.tardy.below(20) as u32).unwrap();
                    let day = day.min(parse_day(date).unwrap()).to_string();
                    self.paid_in_fact.insert(id, json!(day));
                    LateRight::PaidOn { day }
                }
                _ => continue,
            };
            let what = What::LateFee { bill: of, right };
            let since = "2026-01-01".to_owned();
            let correction = Correction { ground: ground(), since, threshold_fen: Fen(0), what };
            self.order(now, Order::Correct(Box::new(correction)));
        }
    }

    /// A month's deposits and refunds, after its bills were paid.
    fn till(&mut self, month: u32, accounts: &[AccountId]) {
        let day = first_of(month + 1);
        let noon = at(&day, "12:00:00");
        for account in accounts {
            if self.till.one_in(8) {
                let back = first_of((month + 2 + self.till.below(2) as u32).min(12));
                let parts = if self.till.one_in(3) {
                    vec![Part { after_days: 0, percent: 100 }]
                } else {
                    let first = 10 + self.till.below(70) as u32;
                    let last = Part { after_days: 40, percent: 100 - first };
                    vec![Part { after_days: 0, percent: first }, last]
                };
                let release = Release { on: parse_day(&back), parts };
                let deposit = Toward::Deposit {
                    deposit: format!("d-{month}-{account}").parse().unwrap(),
                    kind: "renovation".to_owned(),
                    contract: format!("c-{month}"),
                    condition: "the works are accepted".to_owned(),
                    release: Some(release),
                };
                let fen = 5_000 + self.till.below(90_000) as i64;
                self.order(noon, paid(account, fen, Channel::Wechat, deposit));
            }
            let free = self.block.ledger().prepaid_fen(account).0;
            let came = self.block.ledger().came(account).get(&Channel::Cash).map_or(0, |fen| fen.0);
            if free > 0 && self.till.one_in(3) {
                let fen = (1 + self.till.below(free.unsigned_abs()) as i64).min(came);
                let order = RequestRefund {
                    account: account.clone(),
                    source: Source::Prepaid,
                    amount_fen: Fen(fen),
                    channel: Channel::Cash,
                    reason: "asked for".to_owned(),
                };
                if fen > 0 {
                    self.order(noon, Order::RequestRefund(Box::new(order)));
                }
            }
        }
        let open: Vec<_> = self.block.ledger().refunds().values().cloned().collect();
        for refund in open {
            let id = refund.refund.clone();
            let room = self.block.ledger().refundable(&refund.account, &refund.source);
            match (refund.expires_at, self.till.below(4)) {
                (_, 0) => {
                    let reason = "called off".to_owned();
                    self.order(noon, Order::VoidRefund { refund: id, reason });
                }
                (None, 1 | 2) if refund.amount_fen <= room => {
                    self.order_of(noon, "manager", Order::ApproveRefund { refund: id });
                }
                (Some(_), 1 | 2) => {
                    let reference = format!("out-{id}");
                    self.order_of(noon, "cloud", Order::RefundPaid { refund: id, reference });
                }
                (_, _) => {}
            }
        }
    }
}

fn ground() -> Ground {
    let said = |text: &str| text.to_owned();
    Ground {
        reason: said("misread"),
        evidence: said("photograph"),
        approver: said("manager"),
        limit: said("24 months"),
    }
}

fn household(area: i64, n: usize) -> AccountSetup {
    let metered = |tariff: &str, meter: String| Charge {
        meter: Some(meter.parse().unwrap()),
        ..Charge::of(tariff.parse().unwrap())
    };
    AccountSetup {
        building: "1".to_owned(),
        area_m2: Some(hundredths(area)),
        charges: BTreeMap::from([
            ("electricity".parse().unwrap(), metered("electricity", format!("e-{n}"))),
            ("water".parse().unwrap(), metered("water", format!("w-{n}"))),
            ("property".parse().unwrap(), Charge::of("property".parse().unwrap())),
            ("garbage".parse().unwrap(), Charge::of("garbage".parse().unwrap())),
        ]),
        ..AccountSetup::default()
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn first_of(month: u32) -> String {
    if month > 12 { "2027-01-01".to_owned() } else { format!("2026-{month:02}-01") }
}

#[test]
fn a_year_of_moves_exchanges_misreads_and_rate_changes_agrees_with_an_independent_program() {
    let households = usize::try_from(number("BLOCKGATE_HOUSEHOLDS", 60)).unwrap();
    let seed = number("BLOCKGATE_SEED", 20_261_127);
    for n in 0..number("SEEDS", 1) {
        year(households, seed.wrapping_add(n * 7_919));
    }
}

fn year(households: usize, seed: u64) {
    let specs: Arc<[RegisterSpec]> = Arc::from([RegisterSpec {
        name: RegisterName::new("energy_import").unwrap(),
        unit: Unit::KilowattHour,
        role: Role::Billing,
        decimals: 2,
        rollover_digits: None,
    }]);
    let mut setup = Setup {
        zone: "Asia/Shanghai".to_owned(),
        close_grace: Span::from_hours(48),
        refund_alone_max_fen: Fen(30_000),
        refund_limits: RefundLimits { decide_days: Some(DECIDE_DAYS), ..RefundLimits::default() },
        dunning: Some(Dunning { due_days: DUE_DAYS, remind_days: 3, hour: 9 }),
        ..Setup::default()
    };
    tariffs(&mut setup, &[WATER.to_owned(), property(false), electricity(None)]);
    let mut dice = Dice(seed | 1);
    let mut names = vec!["m-lift".to_owned()];
    let mut lives: Vec<Value> = Vec::new();
    for n in 0..households {
        names.extend([format!("e-{n}"), format!("w-{n}")]);
        let area = 4_500 + i64::try_from(dice.below(9_000)).unwrap();
        let account = format!("a-{n:04}");
        setup.accounts.insert(account.parse().unwrap(), household(area, n));
        lives.push(json!({
            "account": account, "area": hundredths(area).to_string(), "from": "2026-01-01",
            "to": null, "electricity": format!("e-{n}"), "water": format!("w-{n}"),
        }));
    }
    let lift = Charge {
        meter: Some("m-lift".parse().unwrap()),
        share: Some("lift-share".parse().unwrap()),
        ..Charge::of("lift".parse().unwrap())
    };
    let public = AccountSetup {
        charges: BTreeMap::from([("lift".parse().unwrap(), lift)]),
        ..AccountSetup::default()
    };
    setup.accounts.insert("public".parse().unwrap(), public);
    let mut counted = BTreeMap::new();
    for name in &names {
        let register = BillingRegister {
            name: RegisterName::new("energy_import").unwrap(),
            unit: Unit::KilowattHour,
            decimals: 2,
            rollover_at: None,
            max_per_hour: Decimal::from(10_000),
        };
        let meter = MeterSetup {
            profile: "example".to_owned(),
            registers: vec![register],
            multiplier: Decimal::ONE,
            record_every: Span::ZERO,
            stuck_after: None,
            offline_after: Span::from_days(400),
            controls: BTreeSet::new(),
        };
        setup.meters.insert(name.parse().unwrap(), meter);
        counted.insert(name.clone(), (0, i64::try_from(dice.below(500_000)).unwrap()));
    }
    let facts = names.iter().map(|name| (name.clone(), Vec::new())).collect();
    let mut world = Year {
        block: Block::new(),
        journal: Vec::new(),
        inputs: Vec::new(),
        dice,
        till: Dice(seed.rotate_left(7) | 1),
        tardy: Dice(seed.rotate_left(13) | 1),
        waived: Vec::new(),
        paid_in_fact: BTreeMap::new(),
        specs,
        counted,
        facts,
        orders: 0,
    };
    let set = |world: &mut Year, now: Time, setup: &Setup| {
        world.feed(Input::Setup { now, setup: Box::new(setup.clone()) });
    };
    set(&mut world, at("2026-01-01", "00:00:00"), &setup);
    for name in &names {
        world.read(name, "2026-01-01", 0);
    }
    world.tick("2026-01-01", "00:00:01");

    let mut misreads: Vec<(String, String, Decimal, u32)> = Vec::new();
    let mut wrong_ahead: BTreeMap<String, i64> = BTreeMap::new();
    let (mut put_right, mut payments) = (Vec::new(), Vec::new());
    for month in 1..=12_u32 {
        let next = first_of(month + 1);
        if month == 6 {
            tariffs(&mut setup, &[electricity(Some(WRONG_PRICE))]);
            set(&mut world, at("2026-06-20", "08:00:00"), &setup);
        }
        if month == 9 {
            tariffs(&mut setup, &[property(true)]);
            set(&mut world, at("2026-09-03", "08:00:00"), &setup);
        }
        if month == 10 {
            // The price of July was wrong all the time.
            tariffs(&mut setup, &[electricity(Some(RIGHT_PRICE))]);
            set(&mut world, at("2026-10-02", "08:00:00"), &setup);
            let what = What::Tariff { tariff: "electricity".parse().unwrap() };
            let since = "2026-07-01".to_owned();
            let threshold_fen = Fen(0);
            let correction = Correction { ground: ground(), since, threshold_fen, what };
            world.order(at("2026-10-02", "09:00:00"), Order::Correct(Box::new(correction)));
        }
        // In the middle of the month: moves and exchanges.
        let day = format!("2026-{month:02}-{:02}", 5 + world.dice.below(20));
        let mut moved = false;
        for n in 0..households {
            for meter in [format!("e-{n}"), format!("w-{n}")] {
                let most = if meter.starts_with('e') { 30_000 } else { 1_500 };
                world.runs(&meter, most);
            }
            if world.dice.one_in(25) {
                let place = lives.iter().rposition(|l| l["electricity"] == format!("e-{n}"));
                let life = &mut lives[place.unwrap()];
                world.read(&format!("e-{n}"), &day, 0);
                world.read(&format!("w-{n}"), &day, 0);
                let old: AccountId = life["account"].as_str().unwrap().parse().unwrap();
                let account = setup.accounts.remove(&old).unwrap();
                life["to"] = json!(day);
                let new = format!("{old}-{month}");
                let mut came = life.clone();
                (came["account"], came["from"], came["to"]) = (json!(new), json!(day), Value::Null);
                lives.push(came);
                setup.accounts.insert(new.parse().unwrap(), account);
                moved = true;
            } else if world.dice.one_in(40) && !wrong_ahead.contains_key(&format!("e-{n}")) {
                let meter = format!("e-{n}");
                let (counted, ahead) = world.counted[&meter];
                let initial = i64::try_from(world.dice.below(100)).unwrap();
                let now = at(&day, "12:00:00");
                let exchange = Order::ExchangeMeter {
                    meter: meter.parse().unwrap(),
                    register: RegisterName::new("energy_import").unwrap(),
                    final_value: hundredths(counted + ahead),
                    initial_value: hundredths(initial),
                };
                world.order(now, exchange);
                let fact = json!({
                    "what": "exchanged", "final": hundredths(counted + ahead).to_string(),
                    "initial": hundredths(initial).to_string(),
                });
                world.facts.get_mut(&meter).unwrap().push(fact);
                world.counted.insert(meter, (counted, initial - counted));
            }
        }
        if moved {
            set(&mut world, at(&day, "00:00:01"), &setup);
            world.tick(&day, "00:00:02");
        }
        world.runs("m-lift", 200_000);
        wrong_ahead.clear();
        for name in &names {
            // Read too high by less than what will run until it is read again.
            let wrong = month < 11 && name != "m-lift" && world.dice.one_in(30);
            let by = i64::try_from(world.dice.below(40)).unwrap() + 1;
            let (counted, ahead) = world.counted[name];
            world.read(name, &next, if wrong { by } else { 0 });
            if wrong {
                let right = hundredths(counted + ahead);
                let found = month + 1 + u32::try_from(world.dice.below(3)).unwrap();
                misreads.push((name.clone(), next.clone(), right, found.min(12)));
                wrong_ahead.insert(name.clone(), by);
                // At least so much runs before anybody looks again.
                world.counted.get_mut(name).unwrap().0 += by;
            }
        }
        world.tick(&next, "00:00:01");
        let accounts: Vec<AccountId> = setup.accounts.keys().cloned().collect();
        for account in accounts.iter().filter(|a| a.as_str() != "public") {
            let owed = world.block.ledger().standing(account).owed_fen;
            if owed > Fen(0) && !world.dice.one_in(6) {
                let more = i64::try_from(world.dice.below(3_000)).unwrap() - 1_000;
                let fen = (owed.0 + more).max(1);
                let toward = Toward::Bills { items: vec![] };
                let mut order = paid(account, fen, Channel::Cash, toward);
                if let Order::RecordPayment(payment) = &mut order
                    && world.tardy.one_in(3)
                {
                    let days = 1 + world.tardy.below(40) as u32;
                    payment.paid_on = days_before(parse_day(&next).unwrap(), days);
                }
                world.order(at(&next, "10:00:00"), order);
                payments.push(json!({ "account": account, "fen": fen }));
            }
        }
        // Misread meters that were found out.
        let found: Vec<_> = misreads.iter().filter(|m| m.3 == month).cloned().collect();
        for (meter, date, right, _) in found {
            let reading: Option<ReadingId> = world.bills().iter().find_map(|bill| {
                let of = bill.evidence.iter().find(|e| e.meter.as_str() == meter);
                let ends = of.into_iter().flat_map(|e| [e.from.clone(), e.to.clone()]);
                let mut ends = ends.filter(|end| end.at == at(&date, "00:00:00"));
                ends.next().map(|end| end.reading)
            });
            let what = What::Reading {
                meter: meter.parse().unwrap(),
                register: RegisterName::new("energy_import").unwrap(),
                reading: reading.unwrap(),
                value: right,
            };
            let since = "2026-01-01".to_owned();
            let correction = Correction { ground: ground(), since, threshold_fen: Fen(0), what };
            world.order(at(&next, "11:00:00"), Order::Correct(Box::new(correction.clone())));
            // Ordered again it yields nothing.
            let bills = world.bills().len();
            world.order(at(&next, "11:00:01"), Order::Correct(Box::new(correction)));
            assert_eq!(world.bills().len(), bills, "a correction ordered twice bills once");
            put_right.push(json!({ "meter": meter, "at": date, "value": right.to_string() }));
        }
        let residents: Vec<AccountId> =
            accounts.into_iter().filter(|account| account.as_str() != "public").collect();
        world.till(month, &residents);
        world.lenient(&next);
        // Conditions whose day has come, then what they let go back.
        for second in ["13:00:00", "13:00:01", "13:00:02"] {
            world.tick(&next, second);
        }
    }
    // What falls due on the last day.
    for second in ["13:00:00", "13:00:01", "13:00:02"] {
        world.tick("2027-01-01", second);
    }
    compare(&world, &lives, &put_right, &payments, households);
    rebuilt(&world);
}

/// Runs the naive program and holds every household's items and balance against it.
fn compare(
    world: &Year,
    lives: &[Value],
    put_right: &[Value],
    payments: &[Value],
    households: usize,
) {
    let moved: Vec<&Event> =
        world.journal.iter().filter(|event| matches!(event, Event::Payment(_))).collect();
    let is_money = |event: &&Event| matches!(event, Event::Bill(_) | Event::Payment(_));
    let documents: Vec<&Event> = world.journal.iter().filter(is_money).collect();
    let late = |percent: &str, grace_days, days_from: &str, cap: &str, rounding: &str| {
        json!({ "percent_per_day": percent, "grace_days": grace_days, "days_from": days_from,
            "cap_percent": cap, "rounding": rounding })
    };
    let facts = json!({
        "documents": documents, "due_days": DUE_DAYS, "waived": world.waived,
        "paid_in_fact": world.paid_in_fact,
        "late": {
            "property": late("0.1", 5, "due", "20", "half_up"),
            "electricity": late("0.05", 10, "grace", "30", "half_up"),
            "lift-share": late("0.3", 0, "due", "12.5", "down"),
        },
        "from": "2026-01-01", "to": "2027-01-01", "households": lives, "moved": moved,
        "refund_alone_max_fen": 30_000, "refund_decide_days": DECIDE_DAYS, "meters": world.facts,
        "misreads": put_right, "payments": payments,
        "prices": {
            "electricity": [
                { "from": "2026-01-01", "tiers": [
                    { "up_to": "200", "price": "0.5469" }, { "up_to": "400", "price": "0.5969" },
                    { "price": "0.8469" } ] },
                { "from": "2026-07-01", "tiers": [
                    { "up_to": "200", "price": RIGHT_PRICE }, { "up_to": "400", "price": "0.5969" },
                    { "price": "0.8469" } ] },
            ],
            "water": [{ "from": "2026-01-01", "tiers": [
                { "up_to": "180", "water": "2.07", "sewage": "1.36" },
                { "up_to": "260", "water": "4.07", "sewage": "1.36" },
                { "water": "6.07", "sewage": "1.36" } ] }],
            "sewage_factor": "0.9",
            "property": [{ "from": "2026-01-01", "price": "2.10" },
                         { "from": "2026-09-15", "price": "2.35" }],
            "garbage": [{ "from": "2026-01-01", "price": "7.50" }],
            "lift": "0.5469",
        },
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("facts.json");
    std::fs::write(&file, facts.to_string()).unwrap();
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/money/naive.py");
    let run = std::process::Command::new("python3").arg(program).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let theirs: Value = serde_json::from_slice(&run.stdout).unwrap();
    let mut ours: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for bill in world.bills().iter().filter(|bill| bill.account.as_str() != "public") {
        let items = ours.entry(bill.account.to_string()).or_default();
        *items.entry(bill.item.to_string()).or_default() += bill.total_fen.0;
    }
    let accounts = theirs["accounts"].as_object().unwrap();
    let names: BTreeSet<&String> = accounts.keys().collect();
    assert_eq!(names, ours.keys().collect(), "the same households");
    for (account, theirs) in accounts {
        for (item, fen) in theirs["items"].as_object().unwrap() {
            let ours = ours[account].get(item).copied().unwrap_or_default();
            assert_eq!(json!(ours), *fen, "{account} {item}");
        }
        let standing = world.block.ledger().standing(&account.parse().unwrap());
        assert_eq!(json!(standing.owed_fen), theirs["owed_fen"], "{account} owes");
        assert_eq!(json!(standing.prepaid_fen), theirs["prepaid_fen"], "{account} has prepaid");
    }
    let ledger = world.block.ledger();
    for (channel, name) in [(Channel::Cash, "cash"), (Channel::Wechat, "wechat")] {
        assert_eq!(json!(ledger.clearing(channel)), theirs["clearing"][name], "{name}");
    }
    let left: BTreeMap<String, i64> =
        ledger.deposits().iter().map(|(id, deposit)| (id.to_string(), deposit.free().0)).collect();
    assert_eq!(json!(left), theirs["deposits"], "what is free of each deposit");
    let open: BTreeSet<String> = ledger.refunds().keys().map(ToString::to_string).collect();
    assert_eq!(json!(open), theirs["refunds"], "the refunds that are open");
    eprintln!(
        "{} deposits, {} refunds, {} of them paid out, {} expired, {} of these never approved",
        theirs["counts"]["deposits"],
        theirs["counts"]["asked"],
        theirs["counts"]["paid"],
        theirs["counts"]["expired"],
        theirs["counts"]["never_approved"],
    );
    eprintln!(
        "late fees of {} bills, {} fen, {} at their cap, {} waived, {} counted to an earlier day",
        theirs["late_fees"]["bills"],
        theirs["late_fees"]["fen"],
        theirs["late_fees"]["capped"],
        world.waived.len(),
        world.paid_in_fact.len(),
    );
    eprintln!(
        "{households} households, {} of them in all with moves, {} bills, {} misreads put right, {} \
         payments, {} fen billed: every balance as the naive program has it",
        accounts.len(),
        world.bills().len(),
        put_right.len(),
        payments.len(),
        theirs["billed_fen"],
    );
}

/// The state from the journal's bytes, and every bill decided again, byte for byte.
fn rebuilt(world: &Year) {
    let bytes: Vec<Vec<u8>> =
        world.journal.iter().map(|event| serde_json::to_vec(event).unwrap()).collect();
    let mut replayed = Block::new();
    for (seq, bytes) in (1..).zip(&bytes) {
        replayed.apply(seq, &serde_json::from_slice(bytes).unwrap());
    }
    assert!(replayed == world.block, "the journal's bytes give the same state");
    let (mut again, mut seq) = (Block::new(), 0);
    for input in &world.inputs {
        let mut out = Vec::new();
        again.decide(input, &mut out);
        for event in out {
            let place = usize::try_from(seq).unwrap();
            assert_eq!(serde_json::to_vec(&event).unwrap(), bytes[place], "record {}", seq + 1);
            seq += 1;
            again.apply(seq, &event);
        }
        again.notice(input);
    }
    assert_eq!(usize::try_from(seq).unwrap(), bytes.len());
}
