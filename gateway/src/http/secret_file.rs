//! Files that nobody else may read: written whole, 0600, durable before the old one goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Reads a secret; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read, or others could read it too.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let of =
        |fault: io::Error| io::Error::new(fault.kind(), format!("{}: {fault}", path.display()));
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(of(fault)),
    };
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(of(io::Error::other("others can read it: set its mode to 0600")));
    }
    fs::read_to_string(path).map(Some).map_err(of)
}

/// Writes a secret in place of the old one.
///
/// # Errors
/// When the disk or the directory does not take it; the old file is then still whole.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, 0o600)
}

/// Writes a file in place of the old one, with these permissions.
///
/// # Errors
/// As [`write`].
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let of =
        |fault: io::Error| io::Error::new(fault.kind(), format!("{}: {fault}", path.display()));
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&fresh)
        .map_err(of)?;
    // An old leftover keeps the mode it had.
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(of)?;
    own(&file, path).map_err(of)?;
    file.write_all(content).map_err(of)?;
    file.sync_all().map_err(of)?;
    fs::rename(&fresh, path).map_err(of)?;
    sync_dir(path)
}

/// Removes a secret; one that is not there is fine.
///
/// # Errors
/// When it stays.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(fault),
        Ok(()) => sync_dir(path),
    }
}

/// Gives a file to whoever owns its folder: root resets, the daemon reads.
fn own(file: &File, path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let (owner, had) = (fs::metadata(folder)?, file.metadata()?);
    if had.uid() != 0 || (had.uid(), had.gid()) == (owner.uid(), owner.gid()) {
        return Ok(()); // only root gives files away
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => File::open(dir)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}
