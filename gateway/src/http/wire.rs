//! The JSON of the API: money as whole fen with its currency, quantities as `{"value","unit"}` with
//! decimal text, times as RFC 3339. Bills and alarms have the same form as in the journal and on
//! MQTT, so there is one schema for each.

use super::Shared;
use crate::board::MeterBoard;
use blockgate_drivers::meter::TestRead;
use blockgate_rules::event::{Hold, Verdict};
use blockgate_rules::setup::Setup;
use blockgate_types::{
    Decimal, FaultClass, MeterId, ReadFault, RegisterName, Role, Span, Time, Unit, Values,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

/// How fresh a meter's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// The last poll was good.
    Good,
    /// The last poll failed, or the values are older than half of the meter's `offline_after`.
    Late,
    /// Nothing for longer than the meter's `offline_after`, or never.
    Silent,
}

impl Freshness {
    /// Its word on the wire and in metrics.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Late => "late",
            Self::Silent => "silent",
        }
    }
}

/// Where the meter's config says nothing.
const OFFLINE_AFTER: Span = Span::from_hours(1);

/// A meter as page and API show it.
#[derive(Debug, Clone)]
pub struct MeterView {
    /// Which.
    pub id: MeterId,
    /// What the board has.
    pub board: MeterBoard,
    /// How fresh.
    pub freshness: Freshness,
    /// Age of the last good values.
    pub age: Option<Span>,
    /// Accounts that are charged by it.
    pub accounts: Vec<String>,
}

impl MeterView {
    fn of(id: &MeterId, board: MeterBoard, setup: &Setup, now: Time) -> Self {
        let offline = setup.meters.get(id).map_or(OFFLINE_AFTER, |m| m.offline_after);
        // A clock that was set back makes an age of nothing, never a negative one.
        let age = board.last.as_ref().map(|(at, _)| now.since(*at).unwrap_or(Span::ZERO));
        let freshness = match age {
            Some(age) if age > offline => Freshness::Silent,
            None => Freshness::Silent,
            Some(age) if board.fault.is_some() || age.as_millis() > offline.as_millis() / 2 => {
                Freshness::Late
            }
            Some(_) => Freshness::Good,
        };
        let charged =
            |(account, a): (&blockgate_types::AccountId, &blockgate_rules::setup::AccountSetup)| {
                a.charges
                    .values()
                    .any(|c| c.meter.as_ref() == Some(id))
                    .then(|| account.to_string())
            };
        let accounts = setup.accounts.iter().filter_map(charged).collect();
        Self { id: id.clone(), board, freshness, age, accounts }
    }

    /// Registers that wait for a person's decision.
    #[must_use]
    pub fn held(&self) -> Vec<(&RegisterName, Time, Hold)> {
        let held = |(name, (at, verdict)): (_, &(Time, Verdict))| match verdict {
            Verdict::Held { why, .. } => Some((name, *at, *why)),
            Verdict::Opened
            | Verdict::Accepted { .. }
            | Verdict::Rollover { .. }
            | Verdict::Exchanged { .. }
            | Verdict::Estimated { .. }
            | Verdict::Rebased { .. } => None,
        };
        self.board.verdicts.iter().filter_map(held).collect()
    }
}

/// Every meter of the config, and any that is polled without being there.
#[must_use]
pub fn meters(shared: &Shared) -> Vec<MeterView> {
    let (setup, now) = (shared.setup(), shared.clock.now());
    let mut boards: BTreeMap<MeterId, MeterBoard> = shared.board.meters().clone();
    for id in setup.meters.keys() {
        boards.entry(id.clone()).or_default();
    }
    boards.into_iter().map(|(id, board)| MeterView::of(&id, board, &setup, now)).collect()
}

/// One meter.
#[must_use]
pub fn meter(shared: &Shared, id: &MeterId) -> Option<MeterView> {
    let (setup, now) = (shared.setup(), shared.clock.now());
    let board = shared.board.meters().get(id).cloned();
    let known = board.is_some() || setup.meters.contains_key(id);
    known.then(|| MeterView::of(id, board.unwrap_or_default(), &setup, now))
}

/// `{"value":"1234.56","unit":"kWh"}`.
#[must_use]
pub fn quantity(value: Decimal, unit: Unit) -> Value {
    json!({ "value": value.to_string(), "unit": unit.text() })
}

/// The values of one poll by register; null where the device says that it has none.
#[must_use]
pub fn values_json(values: &Values) -> Value {
    let fields = values.iter().map(|(spec, value)| {
        let json = value.map_or(Value::Null, |v| quantity(v, spec.unit));
        (spec.name.to_string(), json)
    });
    Value::Object(fields.collect())
}

/// The same as text, for the outcome of `read-now`.
#[must_use]
pub fn values_text(values: &Values) -> String {
    values_json(values).to_string()
}

/// Bytes as people write frames: `01 03 0A`.
#[must_use]
pub fn hex_text(bytes: &[u8]) -> String {
    bytes.iter().enumerate().fold(String::new(), |mut out, (n, byte)| {
        let _ = write!(out, "{}{byte:02X}", if n == 0 { "" } else { " " });
        out
    })
}

fn fault_json(fault: &ReadFault) -> Value {
    json!({ "class": fault.class.text(), "what": fault.what, "raw": hex_text(&fault.raw) })
}

/// A read for testing, with its frames.
#[must_use]
pub fn test_read_json(meter: &MeterId, read: &TestRead) -> Value {
    let exchanges: Vec<Value> = read
        .exchanges
        .iter()
        .map(|x| {
            json!({
                "request": hex_text(&x.request),
                "reply": hex_text(&x.reply),
                "round_trip_us": u64::try_from(x.round_trip.as_micros()).unwrap_or(u64::MAX),
            })
        })
        .collect();
    match &read.outcome {
        Ok(values) => {
            json!({ "meter": meter, "values": values_json(values), "exchanges": exchanges })
        }
        Err(fault) => json!({ "meter": meter, "fault": fault_json(fault), "exchanges": exchanges }),
    }
}

/// A meter with everything that is known of it now.
#[must_use]
pub fn meter_json(view: &MeterView) -> Value {
    let board = &view.board;
    let counts: Map<String, Value> = FaultClass::ALL
        .iter()
        .zip(board.faults)
        .map(|(class, count)| (class.text().to_owned(), Value::from(count)))
        .collect();
    let registers: Map<String, Value> = board
        .last
        .iter()
        .flat_map(|(_, values)| values.iter())
        .map(|(spec, _)| {
            let role = match spec.role {
                Role::Billing => "billing",
                Role::Live => "live",
                Role::Status => "status",
            };
            (spec.name.to_string(), Value::from(role))
        })
        .collect();
    let verdicts: Map<String, Value> = board
        .verdicts
        .iter()
        .map(|(name, (at, verdict))| (name.to_string(), json!({ "at": at, "judged": verdict })))
        .collect();
    json!({
        "id": view.id,
        "line": board.line,
        "profile": board.profile,
        "address": board.address,
        "accounts": view.accounts,
        "freshness": view.freshness.text(),
        "age_seconds": view.age.map(|age| age.as_millis() / 1000),
        "last": board.last.as_ref().map(|(at, values)| json!({ "at": at, "values": values_json(values) })),
        "roles": registers,
        "fault": board.fault.as_ref().map(|(at, fault)| json!({ "at": at, "fault": fault_json(fault) })),
        "polls_good": board.good,
        "polls_failed": counts,
        "round_trip_us": board.took_us,
        "verdicts": verdicts,
    })
}

/// The times by which a stream knows whether a meter has changed.
pub(super) type Stamp = (Option<Time>, Option<Time>, Freshness);

/// The live values of the meters that changed since `sent`, which is brought up to date.
pub(super) fn changed_meters(shared: &Shared, sent: &mut BTreeMap<MeterId, Stamp>) -> Vec<Value> {
    let mut changed = Vec::new();
    for view in meters(shared) {
        let last = view.board.last.as_ref();
        let stamp =
            (last.map(|(at, _)| *at), view.board.fault.as_ref().map(|(at, _)| *at), view.freshness);
        if sent.get(&view.id) == Some(&stamp) {
            continue;
        }
        changed.push(json!({
            "id": view.id,
            "freshness": view.freshness.text(),
            "at": stamp.0,
            "values": last.map(|(_, values)| values_json(values)),
        }));
        sent.insert(view.id, stamp);
    }
    changed
}

/// The numbers of the overview.
#[must_use]
pub fn overview(shared: &Shared) -> Value {
    let mut by = [0_u64; 3];
    for view in meters(shared) {
        match view.freshness {
            Freshness::Good => by[0] += 1,
            Freshness::Late => by[1] += 1,
            Freshness::Silent => by[2] += 1,
        }
    }
    let outbox = *shared.board.outbox();
    json!({
        "good": by[0],
        "late": by[1],
        "silent": by[2],
        "alarms": shared.board.alarms().len(),
        "connected": shared.board.mqtt().connected,
        "waiting": outbox.waiting,
        "dead": outbox.dead,
        "clock": shared.clock.state(),
    })
}

/// The outbox in numbers, with its dead letters.
#[must_use]
pub fn outbox_json(shared: &Shared) -> Value {
    let board = *shared.board.outbox();
    let letters = shared.outbox.dead(None, crate::limits::HTTP_ROWS_MAX).unwrap_or_else(|fault| {
        tracing::warn!(%fault, "dead letters");
        Vec::new()
    });
    let letters: Vec<Value> =
        letters.iter().map(|l| json!({ "seq": l.seq, "reason": l.reason })).collect();
    json!({
        "waiting": board.waiting,
        "waiting_bills": board.bills,
        "acknowledged": board.acknowledged,
        "dead": board.dead,
        "oldest": board.oldest,
        "through": board.through,
        "last_receipt": shared.board.mqtt().last_receipt,
        "dead_letters": letters,
    })
}

/// The gateway itself.
#[must_use]
pub fn status_json(shared: &Shared) -> Value {
    let status = &shared.status;
    let mqtt = shared.board.mqtt().clone();
    let lines: Map<String, Value> = shared
        .board
        .lines()
        .iter()
        .map(|(id, line)| {
            let json = json!({
                "what": line.what,
                "open": line.open,
                "trouble": line.trouble,
                "busy_permille": line.busy_permille,
            });
            (id.to_string(), json)
        })
        .collect();
    let certificates: Map<String, Value> =
        mqtt.certificates.iter().map(|(name, until)| (name.clone(), json!(until))).collect();
    json!({
        "version": status.version,
        "boot": status.boot,
        "config_hash": status.config_hash,
        "head": {
            "public_key": status.head_key.0,
            "key": status.head_key.1,
            "last": *shared.board.head(),
        },
        "tenant": status.tenant,
        "gateway": status.gateway,
        "zone": status.zone,
        "started": status.started,
        "now": shared.clock.now(),
        "clock": shared.clock.state(),
        "overview": overview(shared),
        "lines": lines,
        "mqtt": {
            "broker": mqtt.broker,
            "connected": mqtt.connected,
            "since": mqtt.since,
            "trouble": mqtt.trouble.map(|trouble| json!({
                "code": trouble.word(),
                "detail": trouble.text().en,
                "text": trouble.text(),
                "next": trouble.next(),
            })),
            "retry_at": mqtt.retry_at,
            "connects": mqtt.connects,
            "published": mqtt.published,
            "last_receipt": mqtt.last_receipt,
            "certificates": certificates,
        },
    })
}

impl Shared {
    /// The wanted setup, for names.
    #[must_use]
    pub fn setup(&self) -> Arc<Setup> {
        self.setup.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
