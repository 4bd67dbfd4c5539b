//! Rebuilding the sled trees and the outbox from the journal, for `blockgate rebuild`.

use super::{Found, Store, StoreError, io, take_lock};
use std::path::Path;

/// Removes the sled folder and builds it again from the journal; `progress` is told the record that
/// was replayed and the last one. The daemon must not run. The telemetry ring is lost.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Locked`] while the daemon runs.
pub fn rebuild(state: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Found, StoreError> {
    let lock = take_lock(state)?;
    let dir = state.join("sled");
    match std::fs::remove_dir_all(&dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io(&dir)(e)),
        Ok(()) | Err(_) => {}
    }
    drop(lock);
    let (store, _, found) = Store::open_at(&super::Folder::real(state), progress)?;
    store.outbox.index().map_err(StoreError::Outbox)?;
    store.trees.durable().map_err(StoreError::Trees)?;
    Ok(found)
}
