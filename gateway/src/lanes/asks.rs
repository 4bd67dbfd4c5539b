//! What barriers asked and were answered: gathered, those that are alike in one row, and handed to the
//! journal a few times a second, so that a question costs no fsync and a thousand cost one.

use super::advice::Advice;
use crate::limits;
use crate::ports::Clock;
use blockgate_rules::gate::Asked;
use blockgate_rules::{Fen, Input};
use blockgate_types::{LaneId, Plate, Time};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    lane: LaneId,
    plate: Option<Plate>,
    by: Arc<str>,
    decision: &'static str,
    reason: String,
    amount_fen: i64,
}

/// Questions that are not in the journal yet.
#[derive(Debug, Default)]
pub struct Asks {
    waiting: Mutex<BTreeMap<Key, (Time, Time, u64)>>,
    /// Told when the first one waits: where no car comes, nobody wakes.
    first: Notify,
}

impl Asks {
    /// Notes a question; false when so many wait for the journal that it must not be answered.
    pub fn note(
        &self,
        lane: &LaneId,
        plate: Option<&Plate>,
        by: &str,
        advice: &Advice,
        at: Time,
    ) -> bool {
        let key = Key {
            lane: lane.clone(),
            plate: plate.cloned(),
            by: Arc::from(by),
            decision: advice.decision.text(),
            reason: advice.reason.clone(),
            amount_fen: advice.amount_fen,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, last, times)) = waiting.get_mut(&key) {
            (*last, *times) = (at, times.saturating_add(1));
            return true;
        }
        if waiting.len() >= limits::ASKS_MAX {
            return false;
        }
        waiting.insert(key, (at, at, 1));
        if waiting.len() == 1 {
            self.first.notify_one();
        }
        true
    }

    /// Takes what waits.
    #[must_use]
    pub fn take(&self) -> Vec<Asked> {
        let waiting = &self.waiting;
        let waiting = std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let rows = waiting.into_iter().map(|(key, (first, last, times))| Asked {
            lane: key.lane,
            // Who it was stands in the stay; this row shows that and what was asked.
            plate: key.plate.map(|plate| plate.masked()).unwrap_or_default(),
            by: key.by.to_string(),
            decision: key.decision.to_owned(),
            reason: key.reason,
            amount_fen: Fen(key.amount_fen),
            first,
            last,
            times,
        });
        rows.collect()
    }
}

/// Hands the questions to the engine until told to stop, and the last ones then.
pub async fn run(
    lanes: Arc<super::Lanes>,
    clock: Arc<dyn Clock>,
    hand: mpsc::Sender<Input>,
    stop: CancellationToken,
) {
    loop {
        let gathered = async {
            lanes.asks.first.notified().await;
            tokio::time::sleep(limits::ASKS_EVERY).await;
        };
        let stopping = tokio::select! { biased;
            () = stop.cancelled() => true,
            () = gathered => false,
        };
        let asks = lanes.asks.take();
        if !asks.is_empty() {
            let input = Input::GateAsked { now: clock.now(), asks };
            if hand.send(input).await.is_err() {
                // The engine has ended; whoever ended it stops us as well.
                stop.cancelled().await;
                return;
            }
        }
        if stopping {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::advice::Decision;

    #[test]
    fn questions_that_are_alike_are_one_row_and_no_row_has_a_whole_plate() {
        let asks = Asks::default();
        let lane = LaneId::new("n-in").unwrap();
        let plate = Plate::new("粤B12345").unwrap();
        let open = Advice::plain(Decision::Open, "resident", "", "");
        let at = |s: i64| Time::from_millis(s * 1000);
        for second in 0..5 {
            assert!(asks.note(&lane, Some(&plate), "gate", &open, at(second)));
        }
        assert!(asks.note(&lane, None, "gate", &open, at(9)));
        let rows = asks.take();
        assert_eq!(rows.len(), 2);
        let known = rows.iter().find(|row| row.times == 5).unwrap();
        assert_eq!((known.first, known.last), (at(0), at(4)));
        let text = format!("{rows:?}{}", serde_json::to_string(&rows).unwrap());
        assert!(!text.contains("12345"), "{text}");
        assert!(asks.take().is_empty());
        for n in 0..limits::ASKS_MAX {
            let lane = LaneId::new(&format!("l{n}")).unwrap();
            assert!(asks.note(&lane, None, "gate", &open, at(1)));
        }
        assert!(!asks.note(&lane, None, "other", &open, at(1)), "the rest must ask again");
    }
}
