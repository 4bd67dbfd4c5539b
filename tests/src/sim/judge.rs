//! The judges. They look at what the cloud got and at what lies on the disk, and count for themselves in
//! plain whole numbers: nothing here asks the rules what is right.

use super::world::{Edge, METERS, PRICE, SharedCloud, counted, lock};
use blockgate::ports::Disk;
use blockgate::store::head;
use blockgate::store::journal::{Hash, Records, frame};
use blockgate::store::{Folder, Store, record};
use blockgate_rules::Block;
use blockgate_types::{Span, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// After every end of a process: what the cloud has is in the journal, byte for byte.
///
/// # Errors
/// What is not.
pub fn nothing_that_left_is_lost(folder: &Folder, cloud: &SharedCloud) -> Result<(), String> {
    let cloud = lock(cloud);
    let mut reader = Records::of(folder.disk.clone(), &folder.state.join("journal")).from(1);
    let mut last = 0;
    while let Some(item) = reader.read().map_err(|e| format!("the journal: {e}"))? {
        last = item.seq;
        if cloud.events.get(&item.seq).is_some_and(|known| known != item.payload) {
            return Err(format!("record {last} is not what the cloud got"));
        }
    }
    match cloud.events.last_key_value() {
        Some((newest, _)) if *newest > last => {
            Err(format!("the cloud has event {newest}, and the journal ends with {last}"))
        }
        Some(_) | None => Ok(()),
    }
}

/// At the end of the month, after a day of peace and an ordered stop. Gives the journal's head.
///
/// # Errors
/// What is wrong.
pub fn all_is_well(
    folder: &Folder,
    cloud: &SharedCloud,
    edge: Edge,
    until: Time,
) -> Result<String, String> {
    let (verdict, evidence) =
        head::examine(&*folder.disk, &folder.state.join("journal"), Vec::new(), None)
            .map_err(|e| e.to_string())?;
    if let Some(damage) = verdict.damage.first() {
        return Err(format!("the journal is damaged: {damage}"));
    }
    if !evidence.holds() || evidence.agreeing == 0 {
        return Err(format!("the signed heads: {evidence:?}"));
    }
    {
        let cloud = lock(cloud);
        if let Some(wrong) = cloud.wrong.first() {
            return Err(wrong.clone());
        }
        // The goodbye's own records come with the next start.
        if cloud.whole + 8 < verdict.last {
            return Err(format!(
                "not delivered: the cloud has everything up to {}, the journal goes to {}",
                cloud.whole, verdict.last
            ));
        }
        chain_of_the_cloud(&cloud.events, cloud.whole, folder)?;
        money(&cloud.events, edge, until)?;
        true_times(&cloud.events)?;
    }
    state_is_the_fold(folder, cloud)?;
    Ok(verdict.head)
}

/// The cloud computes the chain from what it got, and comes to the journal's.
fn chain_of_the_cloud(
    events: &BTreeMap<u64, Vec<u8>>,
    whole: u64,
    folder: &Folder,
) -> Result<(), String> {
    let mut hash = Hash::default();
    for (seq, payload) in events.range(1..=whole) {
        hash = frame::chain(*seq, &hash, payload);
    }
    let mut reader =
        Records::of(folder.disk.clone(), &folder.state.join("journal")).from(whole + 1);
    reader.skip_to_start().map_err(|e| e.to_string())?;
    if reader.hash() == hash { Ok(()) } else { Err("the cloud's chain is another one".to_owned()) }
}

/// A decimal text with at most two places, in hundredths.
fn hundredths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<2}");
    if part.len() != 2 {
        return None;
    }
    Some(whole.parse::<i64>().ok()? * 100 + part.parse::<i64>().ok()?)
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, String> {
    value[key].as_str().ok_or_else(|| format!("no {key} in {value}"))
}

struct Bill {
    from: i64,
    to: i64,
    to_reading: String,
    from_reading: String,
}

/// How often meters are polled.
const POLL: Span = Span::from_mins(60);

/// What was read on a clock that was not set, and has its true time since: that is when the meter showed it.
fn true_times(events: &BTreeMap<u64, Vec<u8>>) -> Result<u64, String> {
    let mut corrected: BTreeMap<String, Vec<(Time, Time, i64)>> = BTreeMap::new();
    let mut unsynced = Vec::new();
    for payload in events.values() {
        let event: Value = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
        let data = &event["data"];
        let time = |key: &str| text(data, key)?.parse::<Time>().map_err(|e| e.to_string());
        if data["what"] == "clock-corrected" {
            let span = (time("from")?, time("to")?, data["by_ms"].as_i64().ok_or("no by_ms")?);
            corrected.entry(text(data, "boot")?.to_owned()).or_default().push(span);
        }
        if data["kind"] == "reading" && event["clockstate"] == "unsynced" {
            unsynced.push(event);
        }
    }
    let mut checked = 0;
    for event in unsynced {
        let Some(spans) = corrected.get(text(&event, "bootid")?) else { continue };
        for reading in event["data"]["readings"].as_array().into_iter().flatten() {
            let at: Time = text(reading, "at")?.parse().map_err(|e| format!("{e}"))?;
            let meter = text(reading, "meter")?.trim_start_matches("m-").parse().unwrap_or(0);
            let value = hundredths(text(reading, "value")?).ok_or("a value")?;
            let by = spans.iter().find(|(from, to, _)| (*from..=*to).contains(&at));
            let Some((_, _, by)) = by else { continue };
            let right = Time::from_millis(at.as_millis() + by);
            // A meter in noise may give its answer of the poll before; one that is held may show anything.
            let (low, high) = (counted(meter, right.minus(POLL)), counted(meter, right));
            checked += 1;
            if reading["verdict"] != "held" && !(low - 2..=high + 2).contains(&value) {
                return Err(format!("{reading} was not shown {by} ms later, but {high}"));
            }
        }
    }
    Ok(checked)
}

/// Every reading is one that its meter could have shown, every bill the difference of two of them at the
/// price, each bill begins where the one before ended, and the month is billed once.
fn money(events: &BTreeMap<u64, Vec<u8>>, edge: Edge, until: Time) -> Result<(), String> {
    let mut readings: BTreeMap<String, (usize, i64)> = BTreeMap::new();
    let mut last = [0_i64; METERS];
    let mut bills: BTreeMap<usize, Vec<Bill>> = BTreeMap::new();
    let mut month = [0_u32; METERS];
    for (seq, payload) in events {
        let event: Value = serde_json::from_slice(payload).map_err(|e| e.to_string())?;
        let data = &event["data"];
        match data["kind"].as_str() {
            Some("reading") => {
                for (n, reading) in data["readings"].as_array().into_iter().flatten().enumerate() {
                    let name = text(reading, "meter")?;
                    let meter: usize =
                        name.trim_start_matches("m-").parse().map_err(|_| name.to_owned())?;
                    let value = hundredths(text(reading, "value")?).ok_or("a value")?;
                    if reading["verdict"] == "held" {
                        continue;
                    }
                    if value < last[meter] || value > counted(meter, until) {
                        return Err(format!("event {seq}: no meter showed {reading}"));
                    }
                    last[meter] = value;
                    readings.insert(format!("{seq}.{n}"), (meter, value));
                }
            }
            Some("bill") => {
                let account = text(data, "account")?;
                let meter: usize =
                    account.trim_start_matches("a-").parse().map_err(|_| account.to_owned())?;
                let evidence = &data["evidence"][0];
                let end = |key: &str| -> Result<(String, i64), String> {
                    let id = text(&evidence[key], "reading")?.to_owned();
                    match readings.get(&id) {
                        Some((of, value)) if *of == meter => Ok((id, *value)),
                        _ => Err(format!(
                            "event {seq}: the bill names {id}, which is no reading of it"
                        )),
                    }
                };
                let ((from_reading, from), (to_reading, to)) = (end("from")?, end("to")?);
                let total = data["total_fen"].as_i64().ok_or("no total")?;
                let right = ((to - from) * PRICE + 5_000) / 10_000;
                if total != right {
                    return Err(format!(
                        "event {seq}: {} hundredths of a kWh cost {right} fen, the bill says {total}",
                        to - from
                    ));
                }
                if data["period"]["to"] == edge.day {
                    month[meter] += 1;
                }
                bills.entry(meter).or_default().push(Bill { from, to, to_reading, from_reading });
            }
            _ => {}
        }
    }
    for (meter, bills) in &bills {
        for pair in bills.windows(2) {
            let [a, b] = pair else { continue };
            if a.to_reading != b.from_reading || a.to != b.from {
                return Err(format!("m-{meter}: a bill begins where none ended"));
            }
        }
        if bills.iter().any(|bill| bill.to < bill.from) {
            return Err(format!("m-{meter}: a negative charge"));
        }
    }
    if month != [1; METERS] {
        return Err(format!("bills to {} by account: {month:?}, not one each", edge.day));
    }
    Ok(())
}

/// The state that a start comes to is the fold of the journal from its first record, and its books sum to
/// what the cloud's bills sum to.
fn state_is_the_fold(folder: &Folder, cloud: &SharedCloud) -> Result<(), String> {
    let (store, state, found) =
        Store::open_at(folder, &mut |_, _| {}).map_err(|e| format!("no start: {e:?}"))?;
    let mut fold = Block::new();
    let mut reader = store.journal.records().from(1);
    while let Some(item) = reader.read().map_err(|e| e.to_string())? {
        let record = record::decode(item.payload).map_err(|e| e.to_string())?;
        fold.apply(item.seq, &record.data);
    }
    if fold != state {
        return Err(format!("the state is not the fold of the journal: {found:?}"));
    }
    let billed: i64 = lock(cloud)
        .events
        .values()
        .filter_map(|payload| serde_json::from_slice::<Value>(payload).ok())
        .filter(|event| event["data"]["kind"] == "bill")
        .filter_map(|event| event["data"]["total_fen"].as_i64())
        .sum();
    let totals = state.ledger().totals();
    if (state.ledger().trial_balance(), totals.receivable.0) != (0, billed) {
        return Err(format!("the books say {totals:?}, the bills sum to {billed}"));
    }
    Ok(())
}

/// A disk as the judges take it.
pub type AnyDisk = Arc<dyn Disk>;
