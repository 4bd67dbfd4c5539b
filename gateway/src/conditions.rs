//! The gateway looks at itself: what is true about broker, certificates, dead letters and clock
//! becomes an input, and the Block raises or clears the alarm. Looked at every few seconds, told only
//! when it changed.

use crate::board::DiskBoard;
use crate::http::Shared;
use crate::limits;
use crate::ports::Disk;
use blockgate_rules::Input;
use blockgate_rules::event::AlarmCode;
use blockgate_types::{ClockState, Span, Time};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Less free space than this, or than a twentieth of a small disk, is an alarm.
const DISK_LEAST: u64 = 512 * 1024 * 1024;

type Facts = BTreeMap<String, String>;

/// A broker that is away for less than this is no alarm.
const BROKER_GRACE: Span = Span::from_mins(5);
/// How many days before its end a certificate is an alarm, and is one again.
const CERTIFICATE_DAYS: [i64; 3] = [3, 14, 30];

/// In which of these stages a certificate is with so much time left; 0 when it has ended.
fn stage(left: Option<Span>) -> Option<i64> {
    let Some(left) = left.filter(|left| *left > Span::ZERO) else { return Some(0) };
    CERTIFICATE_DAYS.into_iter().find(|days| left <= Span::from_days(*days))
}

/// What is true now: alarm code and subject, and the facts where it is active.
fn look(shared: &Shared, now: Time) -> Vec<(AlarmCode, String, Option<Facts>)> {
    let mqtt = shared.board.mqtt().clone();
    let outbox = *shared.board.outbox();
    let mut found = Vec::new();

    let down_for = (!mqtt.connected).then(|| mqtt.since.and_then(|since| now.since(since)));
    let down = mqtt.trouble.as_ref().filter(|_| down_for.flatten() >= Some(BROKER_GRACE));
    let facts = down.map(|trouble| {
        let (word, sentence) = (trouble.word().to_owned(), trouble.text().en);
        [("broker", mqtt.broker.clone()), ("trouble", word), ("detail", sentence)]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v))
            .collect()
    });
    found.push((AlarmCode::BrokerDown, "mqtt".to_owned(), facts));

    let mut ends: BTreeMap<&str, Time> = BTreeMap::new();
    for (name, until) in &mqtt.certificates {
        // Of several CAs, as they lie side by side while one follows another, the last one counts.
        let end = ends.entry(name).or_insert(*until);
        *end = (*end).max(*until);
    }
    for (name, until) in ends {
        let facts = stage(until.since(now)).map(|days| {
            let facts = [("until", until.to_string()), ("days", days.to_string())];
            facts.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
        });
        found.push((AlarmCode::Certificate, name.to_owned(), facts));
    }
    let unfit = mqtt.unfit.map(|why| Facts::from([("unfit".to_owned(), why)]));
    found.push((AlarmCode::Certificate, "files".to_owned(), unfit));
    let dead =
        (outbox.dead > 0).then(|| Facts::from([("dead".to_owned(), outbox.dead.to_string())]));
    found.push((AlarmCode::DeadLetter, "outbox".to_owned(), dead));
    let unsynced = match shared.clock.state() {
        ClockState::Unsynced => Some(Facts::new()),
        ClockState::Synced | ClockState::Holdover => None,
    };
    if let Some(disk) = *shared.board.disk() {
        let full = (disk.free < DISK_LEAST.min(disk.total / 20)).then(|| {
            let mib = |bytes: u64| (bytes / (1024 * 1024)).to_string();
            [("free_mib", mib(disk.free)), ("size_mib", mib(disk.total))]
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect()
        });
        found.push((AlarmCode::Store, "disk".to_owned(), full));
    }
    found.push((AlarmCode::ClockUnsynced, "clock".to_owned(), unsynced));
    look_at_lanes(shared, now, &mut found);
    found
}

/// Cameras that are silent, lanes that work by their fail-safe, and devices whose requests are replayed.
fn look_at_lanes(shared: &Shared, now: Time, found: &mut Vec<(AlarmCode, String, Option<Facts>)>) {
    let lanes = &shared.lanes;
    for (camera, silent) in lanes.silent(now, shared.status.started) {
        let lane = lanes.camera(&camera).map(|camera| camera.lane.to_string());
        let facts = silent.then(|| Facts::from([("lane".to_owned(), lane.unwrap_or_default())]));
        found.push((AlarmCode::CameraOffline, format!("camera/{camera}"), facts));
    }
    let trouble = lanes.disk_in_trouble();
    for (lane, barrier) in &lanes.config().barriers {
        let policy = match barrier.fail_safe {
            crate::config::lanes::FailSafe::Open => "open",
            crate::config::lanes::FailSafe::Ask => "ask",
            crate::config::lanes::FailSafe::Hold => "hold",
        };
        let facts = trouble.then(|| Facts::from([("policy".to_owned(), policy.to_owned())]));
        found.push((AlarmCode::LaneFailSafe, format!("lane/{lane}"), facts));
    }
    for (holder, last) in lanes.replays() {
        let fresh = now.since(last).is_none_or(|span| span <= limits::REPLAY_ALARM);
        let facts = fresh.then(|| Facts::from([("holder".to_owned(), holder.clone())]));
        found.push((AlarmCode::DeviceReplay, format!("token/{holder}"), facts));
    }
}

/// Asks the state folder's file system how much is left; one system call, which reads no disk.
fn look_at_disk(shared: &Shared, disk: &dyn Disk, state: &Path) {
    *shared.board.disk() = disk.space(state).map(|(free, total)| DiskBoard { free, total });
}

/// Looks until told to stop.
pub async fn run(
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    state: PathBuf,
    hand: mpsc::Sender<Input>,
    every: Duration,
    stop: CancellationToken,
) {
    let mut told: BTreeMap<(AlarmCode, String), Option<String>> = BTreeMap::new();
    loop {
        tokio::select! { biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let now = shared.clock.now();
        look_at_disk(&shared, &*disk, &state);
        for (code, subject, facts) in look(&shared, now) {
            let active = facts.is_some();
            let key = (code, subject.clone());
            // Told again when a certificate comes closer to its end, not when a number moves.
            let now_said = facts.as_ref().map(|f| f.get("days").cloned().unwrap_or_default());
            if told.get(&key).cloned().flatten() == now_said {
                continue;
            }
            told.insert(key, now_said);
            let facts = facts.unwrap_or_default();
            let input = Input::Condition { now, code, subject, active, facts };
            if hand.send(input).await.is_err() {
                // The engine has ended; whoever ended it stops us as well.
                stop.cancelled().await;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_an_alarm_at_thirty_fourteen_and_three_days_and_when_it_has_ended() {
        let days = Span::from_days;
        for (left, want) in [
            (Some(days(31)), None),
            (Some(days(30)), Some(30)),
            (Some(days(15)), Some(30)),
            (Some(days(14)), Some(14)),
            (Some(days(4)), Some(14)),
            (Some(days(3)), Some(3)),
            (Some(Span::from_secs(1)), Some(3)),
            (Some(Span::ZERO), Some(0)),
            (None, Some(0)),
        ] {
            assert_eq!(stage(left), want, "{left:?}");
        }
    }
}
