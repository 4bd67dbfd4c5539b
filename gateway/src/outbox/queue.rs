//! The waiting records of one class, in order of seq:
//!
//! ```text
//! flights   sent or acknowledged, in memory          (each at most OUTBOX_UNRECEIPTED_MAX)
//! ready     next to be sent, in memory
//! rows      in sled, from `loaded` to the outbox's `indexed`
//! recent    newer than `indexed`, in memory          (together at most OUTBOX_WINDOW)
//! ```
//!
//! A row in sled stays until its receipt; rows of settled records are passed over and swept later.

use super::cursor::Cursor;
use super::{OutboxError, ROWS_AT_ONCE};
use crate::limits::RECEIPT_TIMEOUT_MAX;
use crate::store::journal::Position;
use crate::store::trees::{get_position, put_position};
use blockgate_types::{Span, Time};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy)]
struct Flight {
    position: Position,
    /// How often it was sent.
    tries: u32,
    acknowledged: Option<Time>,
}

pub(super) struct Queue {
    tree: sled::Tree,
    flights: BTreeMap<u64, Flight>,
    ready: VecDeque<(u64, Position, u32)>,
    /// Rows up to here were read, or are of settled records.
    loaded: u64,
    pub(super) recent: VecDeque<(u64, Position)>,
    /// Rows in sled; counted for bills only.
    rows: u64,
}

fn row_seq(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |b| u64::from_be_bytes(*b))
}

impl Queue {
    pub(super) fn new(tree: sled::Tree, through: u64) -> Self {
        let (flights, ready, recent) = Default::default();
        Self { tree, flights, ready, loaded: through, recent, rows: 0 }
    }

    /// Counts the rows that wait.
    pub(super) fn count(&mut self) -> Result<(), OutboxError> {
        self.rows = 0;
        for key in self.tree.iter().keys() {
            key?;
            self.rows += 1;
        }
        Ok(())
    }

    pub(super) fn waiting(&self, indexed: u64) -> u64 {
        let newer = |seq: &u64| *seq > indexed;
        let flights = self.flights.keys().filter(|s| newer(s)).count();
        let ready = self.ready.iter().filter(|(s, ..)| newer(s)).count();
        self.rows + (flights + ready + self.recent.len()) as u64
    }

    /// Nothing is known to wait.
    pub(super) fn idle(&self, indexed: u64) -> bool {
        let memory = self.flights.is_empty() && self.ready.is_empty() && self.recent.is_empty();
        memory && self.loaded >= indexed
    }

    /// Makes a record ready whose row was lost; called in order of seq.
    pub(super) fn put_back(&mut self, seq: u64, position: Position) {
        self.ready.push_back((seq, position, 0));
    }

    pub(super) fn flights(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.flights.values().filter(|f| f.acknowledged.is_some()).count() as u64
    }

    /// The next one, marked as sent.
    pub(super) fn send(
        &mut self,
        indexed: u64,
        cursor: &Cursor,
        _now: Time,
    ) -> Result<Option<(u64, Position)>, OutboxError> {
        while self.ready.is_empty() && self.loaded < indexed {
            let from = (self.loaded + 1).to_be_bytes();
            let mut read = 0;
            for row in self.tree.range(from..=indexed.to_be_bytes()).take(ROWS_AT_ONCE) {
                let (key, row) = row?;
                read += 1;
                self.loaded = row_seq(&key);
                if let Some(position) = get_position(&row).filter(|_| !cursor.settled(self.loaded))
                {
                    self.ready.push_back((self.loaded, position, 0));
                }
            }
            if read < ROWS_AT_ONCE {
                self.loaded = indexed;
            }
        }
        if self.ready.is_empty()
            && let Some((seq, position)) = self.recent.pop_front()
        {
            self.ready.push_back((seq, position, 0));
        }
        Ok(self.ready.pop_front().map(|(seq, position, tries)| {
            self.flights.insert(seq, Flight { position, tries: tries + 1, acknowledged: None });
            (seq, position)
        }))
    }

    /// True when it was on its way.
    pub(super) fn acknowledge(&mut self, seq: u64, now: Time) -> bool {
        let flight = self.flights.get_mut(&seq).filter(|f| f.acknowledged.is_none());
        flight.map(|f| f.acknowledged = Some(now)).is_some()
    }

    /// Makes the flights that `again` picks ready again, in order.
    fn again(&mut self, again: impl Fn(&Flight) -> bool) -> bool {
        let picked: Vec<_> =
            self.flights.iter().filter(|(_, f)| again(f)).map(|(s, _)| *s).collect();
        for seq in &picked {
            if let Some(flight) = self.flights.remove(seq) {
                self.ready.push_back((*seq, flight.position, flight.tries));
            }
        }
        if !picked.is_empty() {
            self.ready.make_contiguous().sort_unstable();
        }
        !picked.is_empty()
    }

    /// What was not acknowledged is sent again.
    pub(super) fn reset(&mut self) {
        self.again(|flight| flight.acknowledged.is_none());
    }

    /// What has waited too long for its receipt is sent again. True when something has.
    pub(super) fn overdue(&mut self, now: Time, first: Span) -> bool {
        self.again(|flight| {
            let doubled = 2_i64.saturating_pow(flight.tries.clamp(1, 16) - 1);
            let most = i64::try_from(RECEIPT_TIMEOUT_MAX.as_millis()).unwrap_or(i64::MAX);
            let most = most.max(first.as_millis());
            let wait = first.as_millis().saturating_mul(doubled).min(most);
            flight.acknowledged.is_some_and(|at| {
                // A clock that was set back must not hold a message for years.
                now < at || now.as_millis() - at.as_millis() >= wait
            })
        })
    }

    /// Everything up to `through` is confirmed.
    pub(super) fn drop_through(&mut self, through: u64) {
        self.flights = self.flights.split_off(&(through + 1));
        self.ready.retain(|(seq, ..)| *seq > through);
        while self.recent.front().is_some_and(|(seq, _)| *seq <= through) {
            self.recent.pop_front();
        }
        self.loaded = self.loaded.max(through);
    }

    /// One record is settled.
    pub(super) fn drop_one(&mut self, seq: u64, in_sled: bool) -> Result<(), OutboxError> {
        self.flights.remove(&seq);
        self.ready.retain(|(s, ..)| *s != seq);
        if let Ok(place) = self.recent.binary_search_by_key(&seq, |(s, _)| *s) {
            self.recent.remove(place);
        }
        if in_sled && self.tree.remove(seq.to_be_bytes())?.is_some() {
            self.rows = self.rows.saturating_sub(1);
        }
        Ok(())
    }

    /// Removes up to `most` rows of confirmed records.
    pub(super) fn sweep(&mut self, through: u64, most: usize) -> Result<(), OutboxError> {
        let mut batch = sled::Batch::default();
        let mut n = 0;
        for key in self.tree.range(..=through.to_be_bytes()).keys().take(most) {
            batch.remove(key?);
            n += 1;
        }
        if n > 0 {
            self.tree.apply_batch(batch)?;
            self.rows = self.rows.saturating_sub(n);
        }
        Ok(())
    }

    /// Writes rows for everything after `indexed`, which is in memory, in small batches.
    pub(super) fn spill(
        &mut self,
        indexed: u64,
        last: u64,
        at_once: usize,
    ) -> Result<(), OutboxError> {
        let flights = self.flights.range(indexed + 1..).map(|(seq, f)| (*seq, f.position));
        let ready = self.ready.iter().filter(|(s, ..)| *s > indexed).map(|(s, p, _)| (*s, *p));
        let mut rows: Vec<_> = flights.chain(ready).chain(self.recent.iter().copied()).collect();
        rows.sort_unstable();
        for some in rows.chunks(at_once) {
            let mut batch = sled::Batch::default();
            for (seq, position) in some {
                batch.insert(&seq.to_be_bytes()[..], &put_position(*position)[..]);
            }
            self.tree.apply_batch(batch)?;
        }
        self.rows += rows.len() as u64;
        // Entries that were sent or are ready stay in memory as well: reading goes on behind them.
        if self.loaded >= indexed {
            let ahead = self.recent.front().map_or(last, |(seq, _)| seq - 1);
            self.loaded = self.loaded.max(ahead);
        }
        self.recent.clear();
        Ok(())
    }

    pub(super) fn position(&self, seq: u64) -> Result<Option<Position>, OutboxError> {
        if let Some(flight) = self.flights.get(&seq) {
            return Ok(Some(flight.position));
        }
        if let Some((_, position, _)) = self.ready.iter().find(|(s, ..)| *s == seq) {
            return Ok(Some(*position));
        }
        if let Ok(place) = self.recent.binary_search_by_key(&seq, |(s, _)| *s) {
            return Ok(self.recent.get(place).map(|(_, position)| *position));
        }
        Ok(self.tree.get(seq.to_be_bytes())?.and_then(|row| get_position(&row)))
    }

    pub(super) fn oldest(
        &self,
        indexed: u64,
        cursor: &Cursor,
    ) -> Result<Option<(u64, Position)>, OutboxError> {
        let flight = self.flights.iter().next().map(|(seq, f)| (*seq, f.position));
        let ready = self.ready.front().map(|(seq, position, _)| (*seq, *position));
        let memory = flight.into_iter().chain(ready).min();
        if memory.is_some() || self.loaded >= indexed {
            return Ok(memory.or(self.recent.front().copied()));
        }
        let rows = self.tree.range((self.loaded + 1).to_be_bytes()..=indexed.to_be_bytes());
        for row in rows.take(ROWS_AT_ONCE) {
            let (key, row) = row?;
            if let Some(position) = get_position(&row).filter(|_| !cursor.settled(row_seq(&key))) {
                return Ok(Some((row_seq(&key), position)));
            }
        }
        Ok(self.recent.front().copied())
    }
}
