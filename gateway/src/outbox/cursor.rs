//! What the cloud has confirmed, and what it refused for good. Small, and outside sled.
//!
//! ```text
//! <state>/receipts
//!   line 1   crc32c of line 2, 8 hexadecimal digits
//!   line 2   {"through":1042,"ranges":{"1050":1060},"dead":{"1044":"too large"}}
//! ```
//!
//! Losing the newest second of it makes duplicates, which the consumer knows by their id; it can
//! never lose a message.

use crate::limits::{DEAD_LETTERS_MAX, OUTBOX_RANGES_MAX};
use crate::ports::Disk;
use crate::store::checkpoint::read_file;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Longest reason that is kept.
const REASON_MAX: usize = 200;

/// The receipt cursor. See the module.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// Everything up to here is confirmed.
    pub through: u64,
    /// Confirmed above it: first to last seq.
    ranges: BTreeMap<u64, u64>,
    /// The last record of the backup that this state was restored from: what follows is another history, whose
    /// numbers the cloud may have seen on other events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// Refused for good, with the reason. Dead letters up to `through` stay too.
    pub dead: BTreeMap<u64, String>,
    #[serde(skip)]
    dirty: bool,
}

impl Cursor {
    /// Reads the file; none is an empty cursor.
    ///
    /// # Errors
    /// The disk's; `InvalidData` when the file is damaged.
    pub fn load(disk: &dyn Disk, file: &Path) -> io::Result<Self> {
        let bytes = match read_file(disk, file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let parsed = bytes.split_at_checked(9).and_then(|(crc, body)| {
            let good = crc == format!("{:08x}\n", crc32c::crc32c(body)).as_bytes();
            good.then(|| serde_json::from_slice(body).ok())?
        });
        parsed.ok_or_else(|| {
            let text = format!(
                "{} is damaged; remove it, and everything in the journal is sent again (the cloud \
                 knows duplicates by their id)",
                file.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// The file's bytes when something changed since the last call.
    pub fn to_save(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        let body = serde_json::to_vec(self).ok()?;
        Some([format!("{:08x}\n", crc32c::crc32c(&body)).into_bytes(), body].concat())
    }

    /// It must be saved (again).
    pub fn changed(&mut self) {
        self.dirty = true;
    }

    /// Whether a record needs no sending: confirmed or dead.
    #[must_use]
    pub fn settled(&self, seq: u64) -> bool {
        self.confirmed(seq) || self.dead.contains_key(&seq)
    }

    /// Whether a receipt covers a record, refused or not.
    #[must_use]
    pub fn confirmed(&self, seq: u64) -> bool {
        seq <= self.through || self.in_ranges(seq)
    }

    fn in_ranges(&self, seq: u64) -> bool {
        self.ranges.range(..=seq).next_back().is_some_and(|(_, end)| seq <= *end)
    }

    /// The first record from `from` on that no run of confirmed ones from there covers.
    #[must_use]
    pub fn open_from(&self, from: u64) -> u64 {
        let run = self.ranges.range(..=from).next_back().filter(|(_, end)| from <= **end);
        run.map_or(from, |(_, end)| end + 1).max(self.through + 1)
    }

    /// How many records above the cursor, up to `last`, are settled.
    #[must_use]
    pub fn above(&self, last: u64) -> u64 {
        let ranges: u64 = self.ranges.iter().map(|(from, to)| to - from + 1).sum();
        let dead = self.dead.range(self.through + 1..=last.max(self.through + 1));
        ranges + dead.filter(|(seq, _)| **seq <= last && !self.in_ranges(**seq)).count() as u64
    }

    /// Everything up to `through` is confirmed.
    pub fn confirm_through(&mut self, through: u64) {
        if through > self.through {
            (self.through, self.dirty) = (through, true);
        }
        while let Some((&from, &to)) = self.ranges.first_key_value() {
            if from > self.through + 1 {
                break;
            }
            self.through = self.through.max(to);
            self.ranges.remove(&from);
        }
    }

    /// One record is confirmed.
    pub fn confirm(&mut self, seq: u64) {
        if seq <= self.through || self.in_ranges(seq) {
            return;
        }
        self.dirty = true;
        let below = self.ranges.range(..seq).next_back().map(|(from, to)| (*from, *to));
        let from = below.filter(|(_, to)| to + 1 == seq).map_or(seq, |(from, _)| from);
        let to = self.ranges.remove(&(seq + 1)).unwrap_or(seq);
        self.ranges.insert(from, to);
        if self.ranges.len() > OUTBOX_RANGES_MAX {
            self.ranges.pop_last();
        }
        self.confirm_through(self.through);
    }

    /// A record cannot be delivered. False when there is no room for another dead letter.
    pub fn bury(&mut self, seq: u64, reason: &str) -> bool {
        if self.dead.len() >= DEAD_LETTERS_MAX {
            return false;
        }
        self.dead.insert(seq, reason.chars().take(REASON_MAX).collect());
        self.dirty = true;
        true
    }

    /// A record is no dead letter any more.
    pub fn unbury(&mut self, seq: u64) {
        self.dirty |= self.dead.remove(&seq).is_some();
    }
}
