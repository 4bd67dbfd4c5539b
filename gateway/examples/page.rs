//! The maintenance page over invented data: for looking at it, for screenshots, and for measuring it. Nothing
//! is polled or billed; the bills, faults and alarms below are made up, and every meter is as if it was read
//! every two seconds.
//!
//! `cargo run -p blockgate --example page -- 127.0.0.1:8080 [METERS]`
#![allow(clippy::print_stdout)]

use blockgate::board::{Board, LineBoard, MeterBoard, MqttBoard, OutboxBoard};
use blockgate::command::{Answer, CommandDoor};
use blockgate::config::HttpConfig;
use blockgate::http::archive::{Archive, Fault};
use blockgate::http::{self, Shared, Status, auth::Accounts};
use blockgate::mqtt::trouble::Trouble;
use blockgate::ports::Clock;
use blockgate::store::Store;
use blockgate::store::trees::BillFilter;
use blockgate_rules::event::{Alarm, Audit, Bill, Event, Hold, Outcome, ReadingId, Verdict};
use blockgate_rules::setup::{AccountSetup, BillingRegister, Charge, MeterSetup, Setup};
use blockgate_types::{
    BillId, ClockState, Decimal, FaultClass, LineId, MeterId, ReadFault, RegisterName,
    RegisterSpec, Role, Span, Time, Unit, Values, parse_decimal,
};
use serde_json::json;
use std::sync::{Arc, RwLock};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

type Anyhow<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Wall;

impl Clock for Wall {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(Time::EPOCH, |s| Time::from_millis(s.as_millis().try_into().unwrap_or(0)))
    }
    fn state(&self) -> ClockState {
        ClockState::Synced
    }
}

struct Invented {
    bills: Vec<(u64, Bill)>,
    alarms: Vec<(u64, Alarm)>,
    now: Time,
}

impl Archive for Invented {
    fn bills(
        &self,
        filter: &BillFilter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Bill)>, Fault> {
        let fits = |(seq, bill): &&(u64, Bill)| {
            after.is_none_or(|after| *seq > after)
                && filter.account.as_ref().is_none_or(|a| bill.account == *a)
                && filter.item.as_ref().is_none_or(|i| bill.item == *i)
                && filter.period_from.as_ref().is_none_or(|p| bill.period.from == *p)
        };
        Ok(self.bills.iter().filter(fits).take(limit).cloned().collect())
    }

    fn bill(&self, id: &BillId) -> Result<Option<(u64, Bill)>, Fault> {
        Ok(self.bills.iter().find(|(_, bill)| bill.bill == *id).cloned())
    }

    fn history(
        &self,
        _: &MeterId,
        _: &RegisterName,
        from: Time,
        to: Time,
        _: usize,
    ) -> Result<Vec<(Time, Decimal)>, Fault> {
        let usage = [2, 1, 1, 1, 1, 2, 4, 7, 6, 3, 3, 4, 6, 5, 3, 3, 4, 8, 12, 14, 13, 9, 5, 3];
        let mut counter = Decimal::new(123_456, 2);
        let mut rows = Vec::new();
        for quarter in 0..110_u16 {
            let at = self.now.minus(Span::from_mins(15 * i64::from(110 - quarter)));
            counter += Decimal::new(usage[usize::from(quarter / 4) % usage.len()], 2);
            if at >= from && at < to && !(40..52).contains(&quarter) {
                rows.push((at, counter));
            }
        }
        Ok(rows)
    }

    fn alarms(&self, after: Option<u64>, limit: usize) -> Result<Vec<(u64, Alarm)>, Fault> {
        let later = |(seq, _): &&(u64, Alarm)| after.is_none_or(|after| *seq > after);
        Ok(self.alarms.iter().filter(later).take(limit).cloned().collect())
    }
}

fn spec(name: &str, unit: Unit, role: Role, decimals: u32) -> Anyhow<RegisterSpec> {
    Ok(RegisterSpec {
        name: RegisterName::new(name)?,
        unit,
        role,
        decimals,
        rollover_digits: Some(6),
    })
}

fn meters(board: &Board, now: Time, count: u16) -> Anyhow<()> {
    let specs: Arc<[RegisterSpec]> = Arc::from([
        spec("energy_import", Unit::KilowattHour, Role::Billing, 2)?,
        spec("voltage_l1", Unit::Volt, Role::Live, 1)?,
        spec("current_l1", Unit::Ampere, Role::Live, 2)?,
        spec("power_total", Unit::Watt, Role::Live, 0)?,
        spec("power_factor", Unit::One, Role::Live, 3)?,
    ]);
    for n in 0..count {
        let id = MeterId::new(&format!("m-{:02}{:02}", n / 4 + 1, n % 4 + 1))?;
        let values = Values {
            specs: specs.clone(),
            values: vec![
                Some(Decimal::new(123_456 + i64::from(n) * 7_319, 2)),
                Some(Decimal::new(2_304 + i64::from(n), 1)),
                Some(Decimal::new(312 + i64::from(n) * 11, 2)),
                Some(Decimal::new(716 + i64::from(n) * 9, 0)),
                (n != 5).then(|| Decimal::new(981, 3)),
            ],
        };
        let mut meter = MeterBoard {
            line: Some(LineId::new(if n < 8 { "stair-1" } else { "stair-2" })?),
            profile: "modbus/eastron-sdm120".to_owned(),
            address: u8::try_from(n % 247 + 1)?.into(),
            last: Some((now.minus(Span::from_secs(4 + i64::from(n) * 3)), values)),
            good: 4_312 - u64::from(n),
            took_us: 61_400,
            ..MeterBoard::default()
        };
        let register = RegisterName::new("energy_import")?;
        let from = ReadingId { seq: 1041, index: 3 };
        let used = parse_decimal("0.25")?;
        meter.verdicts.insert(register.clone(), (now, Verdict::Accepted { from, used }));
        match n {
            2 => {
                meter.faults = [14, 2, 0, 0, 0];
                meter.fault = Some((
                    now.minus(Span::from_secs(31)),
                    ReadFault {
                        class: FaultClass::Checksum,
                        what: "12 bytes and no undamaged reply within 500 ms".to_owned(),
                        raw: vec![3, 4, 8, 0x45, 0x9A, 0x52, 0x2B, 0, 0, 0x80, 0x1A, 0x2B],
                    },
                ));
            }
            6 => {
                meter.last = None;
                meter.good = 0;
                meter.faults = [977, 0, 0, 0, 0];
                meter.verdicts.clear();
                meter.fault = Some((
                    now.minus(Span::from_secs(12)),
                    ReadFault {
                        class: FaultClass::Timeout,
                        what: "no answer within 500 ms".to_owned(),
                        raw: Vec::new(),
                    },
                ));
            }
            9 => {
                let why = Hold::TooFast;
                meter.verdicts.insert(
                    register,
                    (now.minus(Span::from_mins(40)), Verdict::Held { from, why }),
                );
            }
            _ => {}
        }
        board.meters().insert(id, meter);
    }
    Ok(())
}

/// Every meter's household, charged for what it counts and for its floor.
fn households(board: &Board, now: Time) -> Anyhow<Setup> {
    let mut setup = Setup { zone: "Asia/Shanghai".to_owned(), ..Setup::default() };
    for meter in board.meters().keys() {
        let metered =
            Charge { meter: Some(meter.clone()), ..Charge::of("residential-tou".parse()?) };
        let charges = [
            ("electricity".parse()?, metered),
            ("property-fee".parse()?, Charge::of("property".parse()?)),
        ];
        let account = AccountSetup {
            building: "1".to_owned(),
            charges: charges.into(),
            ..AccountSetup::default()
        };
        setup.accounts.insert(meter.as_str().replacen('m', "a", 1).parse()?, account);
    }
    // What the block shares: two of the meters are the lifts'.
    let register = BillingRegister {
        name: RegisterName::new("energy_import")?,
        unit: Unit::KilowattHour,
        decimals: 2,
        rollover_at: None,
        max_per_hour: Decimal::ONE_HUNDRED,
    };
    let mut public = AccountSetup { building: "1".to_owned(), ..AccountSetup::default() };
    for (item, meter) in ["lift-north", "lift-south"].into_iter().zip(board.meters().keys()) {
        let of = MeterSetup {
            profile: "modbus/eastron-sdm120".to_owned(),
            registers: vec![register.clone()],
            multiplier: Decimal::ONE,
            record_every: Span::from_mins(15),
            stuck_after: None,
            offline_after: Span::from_hours(1),
            controls: Default::default(),
        };
        setup.meters.insert(meter.clone(), of);
        let charge = Charge {
            meter: Some(meter.clone()),
            share: Some("lifts".parse()?),
            ..Charge::of("residential-tou".parse()?)
        };
        public.charges.insert(item.parse()?, charge);
    }
    setup.accounts.insert("a-public".parse()?, public);
    // The books know the block as the journal would have told them.
    let at = now;
    let (meters, accounts) = (setup.meters.clone(), setup.accounts.clone());
    let mut books = board.books();
    for audit in [Audit::MetersSet { at, meters }, Audit::AccountsSet { at, accounts }] {
        books.take(&Event::Audit(audit));
    }
    Ok(setup)
}

fn rest_of_board(board: &Board, now: Time) -> Anyhow<Vec<(u64, Alarm)>> {
    for (id, what, open, trouble) in [
        ("stair-1", "rtu /dev/ttyUSB0 9600 8N1", true, None),
        ("stair-2", "rtu-over-tcp 192.168.10.41:4196", true, None),
        (
            "pump-room",
            "tcp 192.168.10.60:502",
            false,
            Some("cannot connect to 192.168.10.60:502: Connection refused (os error 111)"),
        ),
    ] {
        let line = LineBoard {
            what: what.to_owned(),
            open,
            trouble: trouble.map(str::to_owned),
            busy_permille: if open { 412 } else { 0 },
            polls: Default::default(),
        };
        board.lines().insert(LineId::new(id)?, line);
    }
    *board.mqtt() = MqttBoard {
        broker: "broker.example:8883".to_owned(),
        connected: false,
        since: Some(now.minus(Span::from_mins(7))),
        trouble: Some(Trouble::TlsExpired(Some(now.minus(Span::from_days(4))))),
        retry_at: Some(now.plus(Span::from_secs(41))),
        connects: 3,
        last_receipt: Some(now.minus(Span::from_mins(9))),
        published: 18_211,
        certificates: vec![("client".to_owned(), now.plus(Span::from_days(200)))],
        unfit: None,
    };
    *board.outbox() = OutboxBoard {
        waiting: 184,
        bills: 12,
        acknowledged: 6,
        dead: 1,
        oldest: Some(now.minus(Span::from_mins(9))),
        through: 18_027,
    };
    let alarm = |id: &str,
                 code: &str,
                 subject: &str,
                 severity: &str,
                 minutes: i64,
                 zh: [&str; 2],
                 en: [&str; 2]| {
        let at = now.minus(Span::from_mins(minutes));
        serde_json::from_value::<Alarm>(json!({
            "id": id, "change": "raised", "code": code, "subject": subject, "severity": severity,
            "at": at, "since": at,
            "text": { "zh": zh[0], "en": en[0] }, "next": { "zh": zh[1], "en": en[1] },
        }))
    };
    let open = [
        alarm(
            "al-1",
            "meter-offline",
            "meter/m-0203",
            "warning",
            190,
            [
                "电表 m-0203 已 3 小时没有应答。",
                "检查接线、地址和供电；从未应答过的表多半是地址不对。",
            ],
            [
                "Meter m-0203 has not answered for 3 hours.",
                "Check wiring, address and power; one that never answered most likely has the wrong address.",
            ],
        )?,
        alarm(
            "al-2",
            "reading-held",
            "meter/m-0302",
            "warning",
            40,
            [
                "电表 m-0302 的读数增长过快，已暂停计费，等待审核。",
                "打开电表页面，核对现场示数后作出决定。",
            ],
            [
                "A reading of meter m-0302 rose too fast; it is held and not billed.",
                "Compare with the meter's display, then decide on its page.",
            ],
        )?,
        alarm(
            "al-3",
            "broker-down",
            "mqtt",
            "critical",
            7,
            ["连不上云端：代理的证书已过期。", "请代理的运营方更换证书；期间数据都留在发件箱里。"],
            [
                "The cloud cannot be reached: the broker's certificate has expired.",
                "Ask the broker's operator to renew it; everything waits in the outbox meanwhile.",
            ],
        )?,
    ];
    let mut changes = Vec::new();
    for (seq, alarm) in (900_u64..).zip(open) {
        board.alarms().insert(alarm.id.clone(), alarm.clone());
        let mut past = alarm.clone();
        past.change = blockgate_rules::event::AlarmChange::Cleared;
        changes.push((seq, alarm));
        changes.push((seq + 10, past));
    }
    Ok(changes)
}

fn bills() -> Anyhow<Vec<(u64, Bill)>> {
    let mut all = Vec::new();
    for n in 0..12_u64 {
        let account = format!("a-{:02}{:02}", n / 4 + 1, n % 4 + 1);
        let electricity = json!({
            "bill": format!("bill-{account}-el-2026-03"), "account": account, "item": "electricity",
            "period": { "from": "2026-03-01", "to": "2026-04-01", "zone": "Asia/Shanghai" },
            "tariff": "residential-tou", "tariff_revision": "2026-01-01/3fa91c07", "revision": u64::from(n == 3),
            "currency": "CNY",
            "lines": [
                { "label": { "zh": "峰时电费", "en": "Electricity, peak" }, "quantity": "131.42", "unit": "kWh",
                  "unit_price": "0.5583", "exact": "73.371786", "amount_fen": 7337, "tier": 1, "window": "peak" },
                { "label": { "zh": "谷时电费", "en": "Electricity, valley" }, "quantity": "64.08", "unit": "kWh",
                  "unit_price": "0.3583", "exact": "22.959864", "amount_fen": 2296, "tier": 1, "window": "valley" },
                { "label": { "zh": "第二档加价", "en": "Second tier surcharge" }, "quantity": "12.50", "unit": "kWh",
                  "unit_price": "0.0500", "exact": "0.625", "amount_fen": 63, "tier": 2 },
            ],
            "total_fen": 9696,
            "evidence": [{
                "meter": format!("m-{}", &account[2..]), "register": "energy_import",
                "from": { "reading": "1042.3", "at": "2026-02-28T16:00:02Z", "value": "1039.06" },
                "to": { "reading": "2986.1", "at": "2026-03-31T16:00:04Z", "value": "1234.56" },
                "multiplier": "1", "used": "195.50", "unit": "kWh" }],
            "tier_counter": { "period": "2026", "before": "2147.50", "after": "2343.00" },
            "issued_at": "2026-03-31T16:20:00Z",
        });
        let fee = json!({
            "bill": format!("bill-{account}-pf-2026-03"), "account": account, "item": "property-fee",
            "period": { "from": "2026-03-01", "to": "2026-04-01", "zone": "Asia/Shanghai" },
            "tariff": "property", "tariff_revision": "2026-01-01/77ab0012", "revision": 0, "currency": "CNY",
            "lines": [{ "label": { "zh": "物业费", "en": "Property fee" }, "quantity": "89.60", "unit": "m2",
                "unit_price": "2.35", "exact": "210.56", "amount_fen": 21056 }],
            "total_fen": 21056, "issued_at": "2026-03-31T16:20:00Z",
        });
        all.push((2990 + 2 * n, serde_json::from_value(electricity)?));
        all.push((2991 + 2 * n, serde_json::from_value(fee)?));
    }
    Ok(all)
}

/// Every meter that answers is read once more, and has counted a little.
async fn count_on(board: Arc<Board>) {
    let mut every = tokio::time::interval(std::time::Duration::from_secs(2));
    loop {
        every.tick().await;
        for meter in board.meters().values_mut() {
            if let Some((at, values)) = &mut meter.last {
                *at = Wall.now();
                if let Some(Some(counter)) = values.values.first_mut() {
                    *counter += Decimal::new(1, 2);
                }
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Anyhow<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned()).parse()?;
    let dir = std::env::temp_dir().join(format!("blockgate-page-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let (store, ..) = Store::open(&dir)?;
    let now = Wall.now();
    let board = Arc::new(Board::default());
    let count = std::env::args().nth(2).map_or(Ok(12), |text| text.parse())?;
    meters(&board, now, count)?;
    let setup = households(&board, now)?;
    let alarms = rest_of_board(&board, now)?;
    let (door, mut orders) = CommandDoor::new();
    tokio::spawn(async move {
        while let Some(order) = orders.recv().await {
            let detail =
                json!({ "energy_import": { "value": "1234.61", "unit": "kWh" } }).to_string();
            let _ = order.reply.send(Answer { outcome: Outcome::Done, detail });
        }
    });
    tokio::spawn(count_on(board.clone()));
    let accounts = Accounts::open(&dir)?;
    let (user, password) = accounts.one_time_login().await?;
    let shared = Arc::new(Shared {
        board,
        trees: Arc::new(Invented { bills: bills()?, alarms, now }),
        outbox: store.outbox,
        door,
        clock: Arc::new(Wall),
        accounts: Arc::new(accounts),
        status: Status {
            version: env!("CARGO_PKG_VERSION"),
            boot: "5f0c12ab".to_owned(),
            config_hash: "3fa91c0777ab0012".to_owned(),
            head_key: ("5eed".repeat(16), "5eed5eed5eed5eed".to_owned()),
            started: now.minus(Span::from_hours(31)),
            tenant: "lakeside".to_owned(),
            gateway: "block-7".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
        },
        setup: RwLock::new(Arc::new(setup)),
        durable: broadcast::Sender::new(16),
        lanes: blockgate::lanes::Lanes::none(),
        doors: blockgate::doors::Doors::none(),
        reads: blockgate::run::Reads::default(),
        scans: Arc::new(
            blockgate::scans::Scans::new(std::collections::BTreeMap::new(), Arc::new(Wall)).0,
        ),
        upkeep: Arc::default(),
        hand: tokio::sync::mpsc::channel(16).0,
    });
    let config = HttpConfig {
        listen,
        cert: None,
        key: None,
        hosts: Vec::new(),
        lock_after: HttpConfig::LOCK_AFTER,
    };
    let listener = http::bind(&config).await?;
    println!("http://{} {user} {password}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        asked.cancel();
    });
    http::run(config, listener, &dir, shared, stop).await?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
