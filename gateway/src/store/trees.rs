//! The sled trees: queries over what the journal says. Derived data only (invariant 3): they may be
//! deleted, damaged or behind at any time, and are then rebuilt. They must never be asked about money
//! that the journal or the Block can be asked about; a bill's row says only where its record lies.
//!
//! ```text
//! tree "derived"
//!   'm'                          version | applied seq | bills | alarm rows | movements | crc32c
//!   's' seq                      a bill, 'p' seq a movement, 'r' receipt: see money.rs
//!   'b' bill                     seq
//!   'a' account | 0 | seq        nothing; of bills and movements
//!   'l' seq                      position of an alarm's change
//! folder "history"               see history.rs
//! tree "telemetry"
//!   meter | 0 | minute, u32      JSON
//! position = segment, u64 | offset, u32. Numbers are big-endian.
//! ```
//!
//! `m` is written at [`Trees::durable`] only, after everything up to its seq. A start applies the
//! records after it again; every row is the same when it is written twice.

pub mod money;

use super::history::{self, Staged};
use super::journal::{JournalError, Position, Records};
use crate::limits::{
    ALARM_ROWS_MAX, HISTORY_STAGED_MAX, TELEMETRY_ROWS_PER_METER_MAX, TREES_CACHE_BYTES,
    TREES_VALUE_BYTES_MAX,
};
use blockgate_rules::Event;
use blockgate_rules::event::{Alarm, Bill};
use blockgate_types::{AccountId, BillId, Decimal, ItemId, MeterId, RegisterName, Time};
use bytes::Bytes;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Broken folders kept for a look; older ones are removed.
const BROKEN_KEPT: usize = 2;
/// The form of the rows; a folder of another form is built anew.
const VERSION: u64 = 2;
/// Rows written or removed at once.
const ROWS_AT_ONCE: usize = 256;

/// A durable record, as the trees take it in.
#[derive(Debug, Clone, Copy)]
pub struct Applied<'a> {
    /// Its seq.
    pub seq: u64,
    /// When it was journaled.
    pub time: Time,
    /// Its event.
    pub record: &'a Event,
    /// Where it lies in the journal.
    pub position: Position,
}

/// Which bills.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BillFilter {
    /// Of one account.
    pub account: Option<AccountId>,
    /// Of one item.
    pub item: Option<ItemId>,
    /// Of the service period that begins on this day, `2026-03-01`.
    pub period_from: Option<String>,
}

/// Why the trees cannot answer or take in. They can be rebuilt; the journal is not affected.
#[derive(Debug)]
pub enum TreesError {
    /// sled failed.
    Sled(sled::Error),
    /// Its folder failed.
    Io(std::io::Error),
    /// The journal failed.
    Journal(JournalError),
    /// A row or record cannot be read.
    Row(String),
}

impl std::fmt::Display for TreesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sled(_) => write!(f, "the sled trees failed"),
            Self::Io(_) => write!(f, "the folder of the sled trees cannot be used"),
            Self::Journal(_) => write!(f, "a record of the trees cannot be read from the journal"),
            Self::Row(what) => write!(f, "a row of the trees cannot be used: {what}"),
        }
    }
}

impl std::error::Error for TreesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Sled(e) => Some(e),
            Self::Io(e) => Some(e),
            Self::Journal(e) => Some(e),
            Self::Row(_) => None,
        }
    }
}

impl From<sled::Error> for TreesError {
    fn from(e: sled::Error) -> Self {
        Self::Sled(e)
    }
}

impl From<std::io::Error> for TreesError {
    fn from(e: std::io::Error) -> Self {
        Self::Io(e)
    }
}

#[derive(Default)]
struct State {
    applied: u64,
    bills: u64,
    alarms: u64,
    payments: u64,
    staged: Staged,
}

/// The trees, open. For any thread; one of them applies.
pub struct Trees {
    db: sled::Db,
    /// sled's own file: only a sync of it makes a flush durable.
    file: File,
    derived: sled::Tree,
    live: sled::Tree,
    history: history::Files,
    records: Records,
    state: Mutex<State>,
}

/// A position as the trees and the outbox keep it.
pub(crate) fn put_position(position: Position) -> [u8; 12] {
    let mut out = [0; 12];
    out[..8].copy_from_slice(&position.segment.to_be_bytes());
    out[8..].copy_from_slice(&position.offset.to_be_bytes());
    out
}

/// Reads [`put_position`]'s bytes from the front of a row.
pub(crate) fn get_position(row: &[u8]) -> Option<Position> {
    let (segment, rest) = row.split_first_chunk()?;
    let offset = rest.first_chunk()?;
    let (segment, offset) = (u64::from_be_bytes(*segment), u32::from_be_bytes(*offset));
    Some(Position { segment, offset })
}

fn wrong(what: &str) -> TreesError {
    TreesError::Row(what.to_owned())
}

fn seq_key(kind: u8, seq: u64) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&seq.to_be_bytes());
    key
}

fn index_key(kind: u8, text: &str, seq: u64) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(text.as_bytes());
    key.push(0);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

fn last_seq(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk()?))
}

/// Waits until nobody has sled's file. sled writes on threads of its own, which may hold the file for some
/// milliseconds after the database was closed; to sled itself that is an error, and its folder would be taken for
/// broken. Other processes are kept out by the lock of the state folder.
fn wait_for_the_last_user(dir: &Path) -> std::io::Result<()> {
    match File::open(dir.join("db")) {
        Ok(file) => file.lock(), // and given back with the file
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn open_sled(dir: &Path) -> Result<(sled::Db, sled::Tree, sled::Tree), TreesError> {
    wait_for_the_last_user(dir)?;
    let opened = catch_unwind(|| {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(TREES_CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::LowSpace);
        let db = config.open()?;
        let (derived, live) = (db.open_tree("derived")?, db.open_tree("telemetry")?);
        Ok((db, derived, live))
    });
    match opened {
        Ok(opened) => opened.map_err(TreesError::Sled),
        Err(_) => Err(wrong("sled panicked while opening")),
    }
}

/// sled's own segments; its write buffers have this size.
const SEGMENT_BYTES: usize = 128 * 1024;

/// Moves a broken folder out of the way and removes the oldest such ones.
fn set_aside(dir: &Path) -> std::io::Result<PathBuf> {
    let above = dir.parent().unwrap_or(dir);
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned() + ".broken-";
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(above)? {
        let found = entry?.file_name().to_string_lossy().into_owned();
        numbers.extend(found.strip_prefix(&name).and_then(|n| n.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    let aside = above.join(format!("{name}{}", numbers.last().map_or(1, |n| n + 1)));
    for old in numbers.iter().rev().skip(BROKEN_KEPT - 1) {
        std::fs::remove_dir_all(above.join(format!("{name}{old}")))?;
    }
    std::fs::rename(dir, &aside)?;
    Ok(aside)
}

impl Trees {
    /// Opens the trees in `<state>/sled`. `last` is the journal's last record. When they cannot be
    /// opened, or are not of this journal, the folder is set aside and empty ones are opened; the
    /// text says so. What is missing after [`Trees::applied`] must be applied again.
    ///
    /// # Errors
    /// [`TreesError`] when not even an empty folder can be opened: the disk may be full.
    pub fn open(
        state: &Path,
        records: Records,
        last: u64,
    ) -> Result<(Self, Option<String>), TreesError> {
        let dir = state.join("sled");
        let there = dir.exists();
        let whole = |records| Self::open_whole(&dir, records, last);
        match catch_unwind(AssertUnwindSafe(|| whole(records.clone()))) {
            Ok(Ok(trees)) => Ok((trees, None)),
            Ok(Err(why)) if !there => Err(why),
            broken => {
                let why = match broken {
                    Ok(Err(TreesError::Sled(e))) => e.to_string(),
                    Ok(Err(e)) => e.to_string(),
                    Ok(Ok(_)) | Err(_) => "sled panicked".to_owned(),
                };
                let aside = set_aside(&dir)?;
                let text = format!(
                    "the sled trees were set aside as {} and are rebuilt from the journal: {why}",
                    aside.display()
                );
                Ok((whole(records)?, Some(text)))
            }
        }
    }

    fn open_whole(dir: &Path, records: Records, last: u64) -> Result<Self, TreesError> {
        let (db, derived, live) = open_sled(dir)?;
        // What sled made itself is durable only with its folder (its flush never syncs names).
        for name in ["db", "conf"] {
            if let Ok(file) = File::open(dir.join(name)) {
                file.sync_all()?;
            }
        }
        File::open(dir)?.sync_all()?;
        if let Some(above) = dir.parent() {
            File::open(above)?.sync_all()?;
        }
        let file = File::open(dir.join("db"))?;
        let state = Mutex::default();
        let history = history::Files::new(dir.join("history"));
        let trees = Self { db, file, derived, live, history, records, state };
        trees.check(last)?;
        Ok(trees)
    }

    /// Reads the meta row and counts what it says. Flipped bits in sled's file can open without an
    /// error and with rows missing.
    fn check(&self, last: u64) -> Result<(), TreesError> {
        let Some(row) = self.derived.get(b"m")? else {
            if self.derived.scan_prefix(b"s").next().is_some() && last == 0 {
                return Err(wrong("it has bills, and the journal is empty"));
            }
            return Ok(self.history.clear()?);
        };
        let (numbers, crc) = row.split_at_checked(40).ok_or_else(|| wrong("of an older form"))?;
        if crc != crc32c::crc32c(numbers).to_be_bytes() {
            return Err(wrong("meta does not match its checksum"));
        }
        let number = |i| last_seq(&numbers[..i]).ok_or_else(|| wrong("meta"));
        let (applied, bills, alarms) = (number(16)?, number(24)?, number(32)?);
        let payments = number(40)?;
        if number(8)? != VERSION {
            return Err(wrong("of another form"));
        }
        if applied > last {
            return Err(wrong("it is ahead of the journal"));
        }
        if !self.history.exist() {
            return Err(wrong("the folder of the history is missing"));
        }
        let counted = |kind| -> Result<u64, TreesError> {
            let mut n = 0;
            for row in self.derived.range(seq_key(kind, 0)..=seq_key(kind, applied)) {
                row?;
                n += 1;
            }
            Ok(n)
        };
        if counted(b's')? != bills || counted(b'l')? != alarms || counted(b'p')? != payments {
            return Err(wrong("rows are missing"));
        }
        *self.state() = State { applied, bills, alarms, payments, staged: Staged::default() };
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database, for the outbox's own trees.
    pub(crate) fn db(&self) -> &sled::Db {
        &self.db
    }

    /// The last record that was applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.state().applied
    }

    /// Takes in a committed batch, in order. A seq that was applied before changes nothing.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn apply(&self, batch: &[Applied<'_>]) -> Result<(), TreesError> {
        let mut state = self.state();
        let mut rows = sled::Batch::default();
        let mut any = false;
        for Applied { seq, record, position, .. } in batch.iter().copied() {
            if seq <= state.applied {
                continue;
            }
            match record {
                Event::Reading { readings } => readings.iter().for_each(|r| state.staged.take(r)),
                Event::Bill(bill) => {
                    money::put_bill(&mut rows, seq, position, bill);
                    (state.bills, any) = (state.bills + 1, true);
                }
                Event::Alarm(_) => {
                    rows.insert(&seq_key(b'l', seq)[..], &put_position(position)[..]);
                    (state.alarms, any) = (state.alarms + 1, true);
                }
                Event::Payment(payment) => {
                    money::put_payment(&mut rows, seq, position, payment);
                    (state.payments, any) = (state.payments + 1, true);
                }
                Event::Audit(audit) => any |= money::put_audit(&mut rows, seq, position, audit),
                Event::Ledger(_)
                | Event::Notice(_)
                | Event::Parking(_)
                | Event::Door(_)
                | Event::Gap(_) => {}
            }
            state.applied = seq;
        }
        if any {
            self.derived.apply_batch(rows)?;
        }
        if state.staged.points > HISTORY_STAGED_MAX {
            self.write_staged(&mut state)?;
        }
        Ok(())
    }

    /// Writes the staged history to its files.
    fn write_staged(&self, state: &mut State) -> Result<(), TreesError> {
        for (meter, register, day) in state.staged.drain() {
            self.history.append(&meter, &register, &day)?;
        }
        Ok(())
    }

    /// Removes the oldest alarm rows above their bound, a few at a time.
    fn thin_alarms(&self, state: &mut State) -> Result<(), TreesError> {
        let over = state.alarms.saturating_sub(ALARM_ROWS_MAX).min(ROWS_AT_ONCE as u64);
        let mut batch = sled::Batch::default();
        for row in self.derived.scan_prefix(b"l").take(usize::try_from(over).unwrap_or(0)) {
            batch.remove(row?.0);
            state.alarms -= 1;
        }
        Ok(self.derived.apply_batch(batch)?)
    }

    /// Writes what is held back and makes everything durable. Blocks.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn durable(&self) -> Result<(), TreesError> {
        let mut state = self.state();
        self.write_staged(&mut state)?;
        self.thin_alarms(&mut state)?;
        let mut row = Vec::with_capacity(44);
        for number in [VERSION, state.applied, state.bills, state.alarms, state.payments] {
            row.extend_from_slice(&number.to_be_bytes());
        }
        row.extend_from_slice(&crc32c::crc32c(&row).to_be_bytes());
        self.history.sync()?; // before `m` says that it is complete
        self.derived.insert(b"m", row)?;
        drop(state);
        self.db.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// The newest `limit` durable records in order: seq and payload.
    ///
    /// # Errors
    /// [`TreesError::Journal`].
    pub fn newest(&self, limit: usize) -> Result<Vec<(u64, Bytes)>, TreesError> {
        let Some(last) = self.records.durable() else { return Ok(Vec::new()) };
        let mut reader = self.records.from(last.saturating_sub(limit as u64) + 1);
        let mut out = Vec::new();
        while let Some(item) = reader.read().map_err(TreesError::Journal)? {
            if item.seq > last {
                break;
            }
            out.push((item.seq, Bytes::copy_from_slice(item.payload)));
        }
        Ok(out)
    }

    fn record(&self, seq: u64, row: &[u8]) -> Result<Event, TreesError> {
        let position = get_position(row).ok_or_else(|| wrong("position"))?;
        let payload = self.records.read_at(seq, position).map_err(TreesError::Journal)?;
        let record = super::record::decode(&payload).map_err(|e| wrong(&e.to_string()))?;
        Ok(record.data)
    }

    fn bill_at(&self, seq: u64, row: &[u8]) -> Result<Bill, TreesError> {
        match self.record(seq, row)? {
            Event::Bill(bill) => Ok(*bill),
            other => Err(wrong(&format!("record {seq} is a {}, not a bill", other.kind()))),
        }
    }

    /// Bills in the order of their records, after record `after`.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn bills(
        &self,
        filter: &BillFilter,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Bill)>, TreesError> {
        let Some(first) = after.unwrap_or(0).checked_add(1) else { return Ok(Vec::new()) };
        let range = if let Some(account) = &filter.account {
            index_key(b'a', account.as_str(), first)..=index_key(b'a', account.as_str(), u64::MAX)
        } else {
            // No index of items or periods: a row more for each bill costs every month's close more
            // than passing over 100,000 rows costs the few who ask.
            seq_key(b's', first).to_vec()..=seq_key(b's', u64::MAX).to_vec()
        };
        let mut bills = Vec::new();
        for found in self.derived.range(range) {
            if bills.len() >= limit {
                break;
            }
            let (key, mut row) = found?;
            let seq = last_seq(&key).ok_or_else(|| wrong("key"))?;
            if filter.account.is_some() {
                let Some(of_seq) = self.derived.get(seq_key(b's', seq))? else { continue };
                row = of_seq;
            }
            let mut texts = row.get(money::BILL_TEXTS..).unwrap_or_default().split(|b| *b == 0);
            let mut fits = |wanted: Option<&str>| {
                let text = texts.next();
                wanted.is_none_or(|wanted| text == Some(wanted.as_bytes()))
            };
            let account = fits(filter.account.as_ref().map(AccountId::as_str));
            let item = fits(filter.item.as_ref().map(ItemId::as_str));
            if account & item & fits(filter.period_from.as_deref()) {
                bills.push((seq, self.bill_at(seq, &row)?));
            }
        }
        Ok(bills)
    }

    /// The seq of a bill's record.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn bill_seq(&self, id: &str) -> Result<Option<u64>, TreesError> {
        let row = self.derived.get([b"b", id.as_bytes()].concat())?;
        row.map(|row| last_seq(&row).ok_or_else(|| wrong("bill"))).transpose()
    }

    /// One bill and its record's seq.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn bill(&self, id: &BillId) -> Result<Option<(u64, Bill)>, TreesError> {
        let Some(seq) = self.bill_seq(id.as_str())? else { return Ok(None) };
        let Some(row) = self.derived.get(seq_key(b's', seq))? else { return Ok(None) };
        Ok(Some((seq, self.bill_at(seq, &row)?)))
    }

    /// Believed readings of a register, one a quarter hour (its last), `from` ≤ time < `to`, in order.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn history(
        &self,
        meter: &MeterId,
        register: &RegisterName,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<(Time, Decimal)>, TreesError> {
        let (first, last) = (history::split(from).0, history::split(to).0);
        if from >= to {
            return Ok(Vec::new());
        }
        let state = self.state(); // nothing moves from there into the files meanwhile
        let mut days = self.history.read(meter, register, first, last)?;
        for day in state.staged.days(meter, register) {
            let points = days.entry(day.day).or_default();
            for point in day.points {
                history::put(points, point);
            }
        }
        drop(state);
        let mut found = Vec::new();
        for (day, points) in days {
            if found.len() >= limit {
                break;
            }
            let day = history::Day { day, points };
            found.extend(history::within(&day, from, to));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The alarms' changes in the order of their records, after record `after`.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn alarms(
        &self,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Alarm)>, TreesError> {
        let Some(first) = after.unwrap_or(0).checked_add(1) else { return Ok(Vec::new()) };
        let range = self.derived.range(seq_key(b'l', first)..=seq_key(b'l', u64::MAX));
        let mut alarms = Vec::new();
        for row in range.take(limit) {
            let (key, row) = row?;
            let seq = last_seq(&key).ok_or_else(|| wrong("key"))?;
            match self.record(seq, &row)? {
                Event::Alarm(alarm) => alarms.push((seq, alarm)),
                other => return Err(wrong(&format!("record {seq} is a {}", other.kind()))),
            }
        }
        Ok(alarms)
    }

    /// Keeps a live row (JSON) of a meter; one a minute, the newest.
    ///
    /// # Errors
    /// [`TreesError`], also for a row of more than [`TREES_VALUE_BYTES_MAX`] bytes.
    pub fn keep_telemetry(&self, meter: &MeterId, at: Time, row: &[u8]) -> Result<(), TreesError> {
        if row.len() > TREES_VALUE_BYTES_MAX {
            return Err(wrong("a telemetry row is too long"));
        }
        let minute = minute(at);
        let oldest = minute.saturating_sub(TELEMETRY_ROWS_PER_METER_MAX as u32 - 1);
        let mut batch = sled::Batch::default();
        for key in self.live.range(live_key(meter, 0)..live_key(meter, oldest)).keys().take(8) {
            batch.remove(key?);
        }
        batch.insert(live_key(meter, minute), row);
        Ok(self.live.apply_batch(batch)?)
    }

    /// Live rows of a meter, `from` ≤ time < `to`, in order; a row's time is its minute.
    ///
    /// # Errors
    /// [`TreesError`].
    pub fn telemetry(
        &self,
        meter: &MeterId,
        from: Time,
        to: Time,
        limit: usize,
    ) -> Result<Vec<(Time, Bytes)>, TreesError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut rows = Vec::new();
        let range = live_key(meter, minute(from))..=live_key(meter, minute(to));
        for row in self.live.range(range) {
            let (key, row) = row?;
            let minute = u32::from_be_bytes(*key.last_chunk().ok_or_else(|| wrong("key"))?);
            let at = Time::from_millis(i64::from(minute) * 60_000);
            if at < to && at >= from && rows.len() < limit {
                rows.push((at, Bytes::copy_from_slice(&row)));
            }
        }
        Ok(rows)
    }
}

fn minute(at: Time) -> u32 {
    u32::try_from(at.as_millis() / 60_000).unwrap_or(u32::MAX)
}

fn live_key(meter: &MeterId, minute: u32) -> Vec<u8> {
    let mut key = meter.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend_from_slice(&minute.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_somebody_still_has_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        wait_for_the_last_user(dir.path()).unwrap();
        std::fs::write(dir.path().join("db"), "").unwrap();
        let last = File::open(dir.path().join("db")).unwrap();
        last.lock().unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                wait_for_the_last_user(dir.path()).unwrap();
                done.load(std::sync::atomic::Ordering::SeqCst)
            });
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            drop(last);
            assert!(waiting.join().unwrap(), "it went on while another had the file");
        });
    }
}
