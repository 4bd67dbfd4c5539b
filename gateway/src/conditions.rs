//! The gateway looks at itself: what is true about broker, certificates, dead letters and clock
//! becomes an input, and the Block raises or clears the alarm. Looked at every few seconds, told only
//! when it changed.

use crate::board::DiskBoard;
use crate::http::Shared;
use crate::limits;
use blockgate_rules::Input;
use blockgate_rules::event::AlarmCode;
use blockgate_types::{ClockState, Span, Time};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Less free space than this, or than a twentieth of a small disk, is an alarm.
const DISK_LEAST: u64 = 512 * 1024 * 1024;

type Facts = BTreeMap<String, String>;

/// A broker that is away for less than this is no alarm.
const BROKER_GRACE: Span = Span::from_mins(5);
/// How long before its end a certificate is an alarm.
const CERTIFICATE_EARLY: Span = Span::from_days(30);

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

    for (name, until) in &mqtt.certificates {
        let left = until.since(now);
        let soon = left.is_none_or(|left| left <= CERTIFICATE_EARLY);
        let facts = soon.then(|| Facts::from([("until".to_owned(), until.to_string())]));
        found.push((AlarmCode::Certificate, name.clone(), facts));
    }
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
    found
}

/// Asks the state folder's file system how much is left; one system call, which reads no disk.
fn look_at_disk(shared: &Shared, state: &Path) {
    let found = rustix::fs::statvfs(state).ok().map(|disk| DiskBoard {
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        total: disk.f_blocks.saturating_mul(disk.f_frsize),
    });
    *shared.board.disk() = found;
}

/// Looks until told to stop.
pub async fn run(
    shared: Arc<Shared>,
    state: PathBuf,
    hand: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    let mut told: BTreeMap<(AlarmCode, String), bool> = BTreeMap::new();
    loop {
        tokio::select! { biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limits::CONDITIONS_EVERY) => {}
        }
        let now = shared.clock.now();
        look_at_disk(&shared, &state);
        for (code, subject, facts) in look(&shared, now) {
            let active = facts.is_some();
            let key = (code, subject.clone());
            if told.get(&key).copied().unwrap_or(false) == active {
                continue;
            }
            told.insert(key, active);
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
