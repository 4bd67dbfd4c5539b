//! Whether this version could start on a store that another version wrote, without touching it: the
//! question of an upgrade, asked while the old daemon still runs on the very same folder.
//!
//! It reads what a start reads (format, newest checkpoint, the records after it) and folds it into a
//! Block, takes no lock and writes nothing. The sled folder is left out: it is derived and would be
//! rebuilt (invariant 3).

use super::journal::{self, Records};
use super::{Disk, FORMAT, StoreError, checkpoint, record};
use crate::ports::RealDisk;
use blockgate_rules::Block;
use std::path::Path;
use std::sync::Arc;

/// What a start on the store would find.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probe {
    /// The last record.
    pub last: u64,
    /// The checkpoint from which it would begin; 0 without one that this version can read.
    pub checkpoint: u64,
    /// Records understood after it.
    pub replayed: u64,
    /// Checkpoints that would be passed over, and why; the records behind them are read instead.
    pub passed_over: Vec<String>,
}

/// Reads the store in `state` as a start of this version would. `None` where there is none yet.
///
/// # Errors
/// What would keep this version from starting: [`StoreError`].
pub fn probe(state: &Path) -> Result<Option<Probe>, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let format = state.join("format");
    match checkpoint::read_file(&*disk, &format) {
        Ok(text) if text == FORMAT.as_bytes() => {}
        Ok(text) => {
            let found = String::from_utf8_lossy(&text).chars().take(80).collect::<String>();
            return Err(StoreError::Format(format, found.trim_end().to_owned()));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::Io(format, e)),
    }
    let records = Records::of(Arc::clone(&disk), &state.join("journal"));
    let hash_at = |seq: u64| -> Result<Option<journal::Hash>, StoreError> {
        let mut reader = records.from(seq.saturating_add(1));
        let reached = reader.skip_to_start().map_err(StoreError::Journal)?;
        Ok(reached.then(|| reader.hash()))
    };
    let checkpoints = state.join("checkpoints");
    let (start, passed) = if checkpoints.is_dir() {
        checkpoint::load::<Block, StoreError>(&*disk, &checkpoints, hash_at)?
    } else {
        (None, Vec::new())
    };
    let mut found = Probe {
        passed_over: passed.iter().map(|p| format!("{}: {}", p.file.display(), p.why)).collect(),
        ..Probe::default()
    };
    let mut block = Block::new();
    if let Some(start) = start {
        (found.checkpoint, found.last, block) = (start.seq, start.seq, start.state);
    }
    let mut reader = records.from(found.checkpoint + 1);
    while let Some(item) = reader.read().map_err(StoreError::Journal)? {
        let seq = item.seq;
        let read = record::decode(item.payload).map_err(|e| StoreError::Record(seq, e))?;
        block.apply(read.seq, &read.data);
        (found.last, found.replayed) = (seq, found.replayed + 1);
    }
    // A start would take the first checkpoint of this Block; it must be possible.
    serde_json::to_writer(std::io::sink(), &block)
        .map_err(|e| StoreError::Record(found.last, e))?;
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::tests::journal;

    #[test]
    fn a_probe_finds_what_a_start_would_find_and_touches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(probe(dir.path()).unwrap(), None, "no store yet");
        let (mut store, mut block, _) = Store::open(dir.path()).unwrap();
        journal(&mut store, &mut block, 25);
        store.saver().save(&store.checkpoint(&block).unwrap()).unwrap();
        journal(&mut store, &mut block, 5);
        let names = |folder: &str| {
            let mut names: Vec<_> = std::fs::read_dir(dir.path().join(folder))
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    (entry.file_name(), std::fs::read(entry.path()).unwrap_or_default())
                })
                .collect();
            names.sort();
            names
        };
        let before = [names(""), names("journal"), names("checkpoints")];
        // The store is open all the while: an upgrade asks beside the running daemon.
        let found = probe(dir.path()).unwrap().unwrap();
        assert_eq!((found.checkpoint, found.last, found.replayed), (25, 30, 5));
        assert_eq!(found.passed_over, Vec::<String>::new());
        assert_eq!(before, [names(""), names("journal"), names("checkpoints")]);
    }

    #[test]
    fn a_store_of_a_later_version_is_refused_with_its_format() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("format"), "blockgate-state 999\n").unwrap();
        let refused = probe(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("blockgate-state 999"), "{refused}");
    }
}
