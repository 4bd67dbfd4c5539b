//! The waiting records of one class, in order of seq:
//!
//! ```text
//! flights   sent or acknowledged, in memory          (each at most OUTBOX_UNRECEIPTED_MAX)
//! ready     next to be sent, in memory
//! rows      in sled, from `loaded` to the outbox's `indexed`
//! recent    newer than `indexed`, in memory          (together at most OUTBOX_WINDOW)
//! ```
//!
//! A row in sled holds many records (see [`block`]) and stays until all of them are confirmed;
//! settled ones are passed over.

use super::OutboxError;
use super::block::{self, ENTRIES, Entry};
use super::cursor::Cursor;
use crate::limits::RECEIPT_TIMEOUT_MAX;
use crate::store::journal::Position;
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
    /// Records in sled that wait, as of the last [`Queue::count`] and what was spilled since.
    rows: u64,
    /// Whether some of them may be settled by now.
    uncounted: bool,
}

impl Queue {
    pub(super) fn new(tree: sled::Tree, through: u64) -> Self {
        let (flights, ready, recent) = Default::default();
        Self { tree, flights, ready, loaded: through, recent, rows: 0, uncounted: true }
    }

    /// Removes rows that begin after `indexed`: of a spill that did not come to its end.
    pub(super) fn forget_after(&mut self, indexed: u64) -> Result<(), OutboxError> {
        for key in self.tree.range(indexed.saturating_add(1).to_be_bytes()..).keys() {
            self.tree.remove(key?)?;
        }
        Ok(())
    }

    /// Counts the records in sled that wait, when some may have been settled.
    pub(super) fn count(&mut self, cursor: &Cursor) -> Result<(), OutboxError> {
        if std::mem::take(&mut self.uncounted) {
            self.rows = 0;
            for row in self.tree.iter() {
                let (key, row) = row?;
                let entries = block::unpack(&key, &row).unwrap_or_default();
                let waiting = entries.iter().filter(|(seq, _)| !cursor.settled(*seq)).count();
                self.rows += waiting as u64;
            }
        }
        Ok(())
    }

    /// The first row in sled that has an entry at or after `seq`, with those entries.
    fn row_from(&self, seq: u64) -> Result<Vec<Entry>, OutboxError> {
        let before = self.tree.range(..=seq.to_be_bytes()).next_back();
        let from = match before {
            Some(row) => row?.0.to_vec(),
            None => seq.to_be_bytes().to_vec(),
        };
        for row in self.tree.range(from..) {
            let (key, row) = row?;
            // A damaged row is passed over: what it held is found in the journal.
            let mut entries = block::unpack(&key, &row).unwrap_or_default();
            entries.retain(|(s, _)| *s >= seq);
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
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

    /// A record that was settled waits again. Where its row in sled is still to be read, it is found there.
    pub(super) fn revive(&mut self, seq: u64, position: Position, indexed: u64) {
        self.uncounted = true;
        if seq > indexed || seq <= self.loaded {
            self.ready.push_back((seq, position, 0));
            self.ready.make_contiguous().sort_unstable();
        }
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
            let entries = self.row_from(self.loaded + 1)?;
            self.loaded = entries.last().map_or(indexed, |(seq, _)| *seq).min(indexed);
            // What went ahead of its turn is on its way already.
            let flights = &self.flights;
            let waiting = entries
                .into_iter()
                .filter(|(s, _)| *s <= indexed && !cursor.settled(*s) && !flights.contains_key(s));
            self.ready.extend(waiting.map(|(seq, position)| (seq, position, 0)));
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

    /// The first one from `from` on that is in memory only, marked as sent, whatever waits before it.
    pub(super) fn send_live(&mut self, from: u64) -> Option<(u64, Position)> {
        let place = self.recent.partition_point(|(seq, _)| *seq < from);
        let (seq, position) = self.recent.remove(place)?;
        self.flights.insert(seq, Flight { position, tries: 1, acknowledged: None });
        Some((seq, position))
    }

    /// Where what is still to be sent begins, if it begins before `seq`; what is in sled is not looked at.
    pub(super) fn first_before(&self, seq: u64, indexed: u64) -> Option<u64> {
        let ready = self.ready.front().map(|(first, ..)| *first);
        let in_sled = (self.loaded < indexed).then_some(self.loaded + 1);
        let recent = self.recent.front().map(|(first, _)| *first);
        ready.into_iter().chain(in_sled).chain(recent).min().filter(|first| *first < seq)
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
        self.uncounted = true;
    }

    /// One record is settled; its row in sled is swept with its neighbours'.
    pub(super) fn drop_one(&mut self, seq: u64) {
        self.flights.remove(&seq);
        self.ready.retain(|(s, ..)| *s != seq);
        if let Ok(place) = self.recent.binary_search_by_key(&seq, |(s, _)| *s) {
            self.recent.remove(place);
        }
        self.uncounted = true;
    }

    /// Removes up to `most` rows whose records are all confirmed.
    pub(super) fn sweep(&mut self, through: u64, most: usize) -> Result<(), OutboxError> {
        let mut batch = sled::Batch::default();
        let mut any = false;
        for row in self.tree.range(..=through.to_be_bytes()).take(most) {
            let (key, row) = row?;
            let last = block::unpack(&key, &row).and_then(|entries| Some(entries.last()?.0));
            if last.is_some_and(|last| last > through) {
                break;
            }
            batch.remove(key);
            any = true;
        }
        if any {
            self.tree.apply_batch(batch)?;
        }
        Ok(())
    }

    /// Writes rows for everything after `indexed`, which is in memory, in small batches.
    pub(super) fn spill(&mut self, indexed: u64, last: u64) -> Result<(), OutboxError> {
        let flights = self.flights.range(indexed + 1..).map(|(seq, f)| (*seq, f.position));
        let ready = self.ready.iter().filter(|(s, ..)| *s > indexed).map(|(s, p, _)| (*s, *p));
        let mut rows: Vec<_> = flights.chain(ready).chain(self.recent.iter().copied()).collect();
        rows.sort_unstable();
        let mut batch = sled::Batch::default();
        for (key, row) in rows.chunks(ENTRIES).filter_map(block::pack) {
            batch.insert(&key[..], row);
        }
        self.tree.apply_batch(batch)?;
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
        Ok(self.row_from(seq)?.first().filter(|(s, _)| *s == seq).map(|(_, position)| *position))
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
        let entries = self.row_from(self.loaded + 1)?;
        let first = entries.into_iter().find(|(s, _)| *s <= indexed && !cursor.settled(*s));
        Ok(first.or(self.recent.front().copied()))
    }
}
