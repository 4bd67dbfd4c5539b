//! The JSON of the API: money as whole fen with its currency, quantities as `{"value","unit"}` with
//! decimal text, times as RFC 3339. Bills and alarms have the same form as in the journal and on
//! MQTT, so there is one schema for each.

use super::Shared;
use crate::board::{Alignment, MeterBoard};
use blockgate_drivers::meter::TestRead;
use blockgate_rules::event::{Hold, Verdict};
use blockgate_rules::setup::Setup;
use blockgate_types::{
    AccountId, Decimal, FaultClass, LineId, MeterId, ReadFault, RegisterName, Role, Span, Time,
    Unit, Values,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

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
    fn of(id: MeterId, board: MeterBoard, setup: &Setup, charged: &Charged<'_>, now: Time) -> Self {
        let (freshness, age) = freshness(&id, &board, setup, now);
        let accounts = charged.get(&id).into_iter().flatten().map(ToString::to_string).collect();
        Self { id, board, freshness, age, accounts }
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

/// A meter's freshness, and the age of its last good values.
fn freshness(
    id: &MeterId,
    board: &MeterBoard,
    setup: &Setup,
    now: Time,
) -> (Freshness, Option<Span>) {
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
    (freshness, age)
}

/// Accounts by the meter that they are charged by.
type Charged<'s> = BTreeMap<&'s MeterId, Vec<&'s AccountId>>;

/// Gathered once for all meters: looking through every account for each of them takes the product of both.
fn charged(setup: &Setup) -> Charged<'_> {
    let mut by = Charged::new();
    for (account, of) in &setup.accounts {
        for meter in of.charges.values().filter_map(|charge| charge.meter.as_ref()) {
            let accounts = by.entry(meter).or_default();
            if accounts.last() != Some(&account) {
                accounts.push(account);
            }
        }
    }
    by
}

/// Every meter of the config, and any that is polled without being there.
#[must_use]
pub fn meters(shared: &Shared) -> Vec<MeterView> {
    let (setup, now) = (shared.setup(), shared.clock.now());
    let charged = charged(&setup);
    let mut boards: BTreeMap<MeterId, MeterBoard> = shared.board.meters().clone();
    for id in setup.meters.keys() {
        boards.entry(id.clone()).or_default();
    }
    let view = |(id, board)| MeterView::of(id, board, &setup, &charged, now);
    boards.into_iter().map(view).collect()
}

/// One meter.
#[must_use]
pub fn meter(shared: &Shared, id: &MeterId) -> Option<MeterView> {
    let (setup, now) = (shared.setup(), shared.clock.now());
    let board = shared.board.meters().get(id).cloned();
    let known = board.is_some() || setup.meters.contains_key(id);
    known.then(|| {
        MeterView::of(id.clone(), board.unwrap_or_default(), &setup, &charged(&setup), now)
    })
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
    json!({
        "class": fault.class.text(),
        "what": fault.what,
        "check": what_to_check(Suspect::Class(fault.class)),
        "raw": hex_text(&fault.raw),
    })
}

/// What a line or a meter most likely suffers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspect {
    /// The cause of a class of faults.
    Class(FaultClass),
    /// The whole line is silent.
    Line,
}

fn what_to_check(suspect: Suspect) -> Value {
    let (zh, en) = super::page::what_to_check(suspect);
    json!({ "zh": zh, "en": en })
}

/// How the meters of a line do: the sums of their polls, and where to look.
#[derive(Debug, Clone, Default)]
struct LineHealth {
    meters: u64,
    good: u64,
    faults: [u64; FaultClass::ALL.len()],
    /// Meters whose last poll was a fault, by its class.
    ill: [u64; FaultClass::ALL.len()],
}

impl LineHealth {
    /// All lines with meters.
    fn of_all(shared: &Shared) -> BTreeMap<LineId, Self> {
        let mut all: BTreeMap<LineId, Self> = BTreeMap::new();
        for board in shared.board.meters().values() {
            let Some(line) = &board.line else { continue };
            let health = all.entry(line.clone()).or_default();
            health.meters += 1;
            health.good += board.good;
            for (sum, count) in health.faults.iter_mut().zip(board.faults) {
                *sum += count;
            }
            let fault = board.fault.as_ref().map(|(_, fault)| fault.class);
            for (sum, class) in health.ill.iter_mut().zip(FaultClass::ALL) {
                *sum += u64::from(fault == Some(class));
            }
        }
        all
    }

    /// Where an installer should look first: what most of the ill meters suffer from.
    fn suspect(&self) -> Option<Suspect> {
        let by_class = || FaultClass::ALL.into_iter().zip(self.ill);
        let silent = by_class().find(|(class, _)| *class == FaultClass::Timeout);
        // One silent meter is a meter's matter; several and nobody else is the line's.
        if self.meters > 1 && silent.is_some_and(|(_, count)| count == self.meters) {
            return Some(Suspect::Line);
        }
        let most = by_class().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count);
        most.map(|(class, _)| Suspect::Class(class))
    }
}

fn by_class(counts: [u64; FaultClass::ALL.len()]) -> Map<String, Value> {
    let counts = FaultClass::ALL.iter().zip(counts);
    counts.map(|(class, count)| (class.text().to_owned(), Value::from(count))).collect()
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

/// In whole milliseconds, rounded up: no answer takes none.
pub(super) fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_micros().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// A meter with everything that is known of it now.
#[must_use]
pub fn meter_json(view: &MeterView) -> Value {
    let board = &view.board;
    let counts = by_class(board.faults);
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
        "reply_ms": board.reply.map(|(shown, wait)| {
            json!({
                "last": shown.last().map(whole_ms),
                "longest": shown.longest().map(whole_ms),
                "waits": whole_ms(wait),
            })
        }),
        "verdicts": verdicts,
    })
}

/// The times by which a stream knows whether a meter has changed.
pub(super) type Stamp = (Option<Time>, Option<Time>, Freshness);

/// The live values of the meters that changed since `sent`, which is brought up to date; of all, or of
/// those that are `wanted`.
pub(super) fn changed_meters(
    shared: &Shared,
    wanted: Option<&BTreeSet<MeterId>>,
    sent: &mut BTreeMap<MeterId, Stamp>,
) -> Vec<Value> {
    let (setup, now) = (shared.setup(), shared.clock.now());
    let mut changed = Vec::new();
    {
        // The board is held for the comparison, not for writing anything out.
        let boards = shared.board.meters();
        let silent = MeterBoard::default();
        let every =
            || boards.keys().chain(setup.meters.keys().filter(|id| !boards.contains_key(id)));
        let known = |id: &&MeterId| boards.contains_key(id) || setup.meters.contains_key(id);
        let ids: Vec<&MeterId> = match wanted {
            Some(wanted) => wanted.iter().filter(known).collect(),
            None => every().collect(),
        };
        for id in ids {
            let board = boards.get(id).unwrap_or(&silent);
            let (fresh, _) = freshness(id, board, &setup, now);
            let at = board.last.as_ref().map(|(at, _)| *at);
            let stamp = (at, board.fault.as_ref().map(|(at, _)| *at), fresh);
            if sent.get(id) != Some(&stamp) {
                sent.insert(id.clone(), stamp);
                changed.push((id.clone(), stamp, board.last.clone()));
            }
        }
    }
    let told = |(id, (at, _, fresh), last): (MeterId, Stamp, Option<(Time, Values)>)| {
        json!({
            "id": id,
            "freshness": fresh.text(),
            "at": at,
            "values": last.map(|(_, values)| values_json(&values)),
        })
    };
    changed.into_iter().map(told).collect()
}

/// The numbers of the overview.
#[must_use]
pub fn overview(shared: &Shared) -> Value {
    let (setup, now) = (shared.setup(), shared.clock.now());
    let mut by = [0_u64; 3];
    {
        let boards = shared.board.meters();
        let never = setup.meters.keys().filter(|id| !boards.contains_key(id)).count();
        let read = boards.iter().map(|(id, board)| freshness(id, board, &setup, now).0);
        for freshness in read.chain(std::iter::repeat_n(Freshness::Silent, never)) {
            match freshness {
                Freshness::Good => by[0] += 1,
                Freshness::Late => by[1] += 1,
                Freshness::Silent => by[2] += 1,
            }
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

fn alignment_json(alignment: Alignment) -> Value {
    let last = (alignment.last.meters > 0).then_some(alignment.last);
    json!({
        "within_s": alignment.within.as_millis() / 1000,
        "edge": last.map(|edge| edge.at),
        "meters": last.map(|edge| edge.meters),
        "spread_ms": last.map(|edge| edge.spread.as_millis()),
        "is_within": last.map(|edge| edge.spread <= alignment.within),
    })
}

/// The gateway itself.
#[must_use]
pub fn status_json(shared: &Shared) -> Value {
    let status = &shared.status;
    let mqtt = shared.board.mqtt().clone();
    let healths = LineHealth::of_all(shared);
    let lines: Map<String, Value> = shared
        .board
        .lines()
        .iter()
        .map(|(id, line)| {
            let health = healths.get(id).cloned().unwrap_or_default();
            let json = json!({
                "what": line.what,
                "open": line.open,
                "trouble": line.trouble,
                "busy_permille": line.busy_permille,
                "meters": health.meters,
                "polls_good": health.good,
                "polls_failed": by_class(health.faults),
                "in_fault": by_class(health.ill),
                "check": health.suspect().map(what_to_check),
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
        "alignment": alignment_json(*shared.board.alignment()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_line_is_told_from_a_silent_meter_and_the_most_common_fault_comes_first() {
        let health = |meters, ill| LineHealth { meters, ill, ..LineHealth::default() };
        for (meters, ill, want) in [
            (3, [0, 0, 0, 0, 0], None),
            (3, [3, 0, 0, 0, 0], Some(Suspect::Line)),
            (1, [1, 0, 0, 0, 0], Some(Suspect::Class(FaultClass::Timeout))),
            (9, [1, 4, 0, 0, 0], Some(Suspect::Class(FaultClass::Checksum))),
            (9, [0, 0, 0, 1, 0], Some(Suspect::Class(FaultClass::WrongDevice))),
        ] {
            assert_eq!(health(meters, ill).suspect(), want);
        }
        let said = what_to_check(Suspect::Line);
        assert!(said["en"].as_str().is_some_and(|en| en.contains("A and B")), "{said}");
    }
}
