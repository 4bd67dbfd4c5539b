//! Files with a password in their first line: never in the config's text, never in a log.

use crate::http::secret_file;
use crate::telemetry::redact;
use std::path::Path;

/// Reads a password; others must not be able to read the file.
///
/// # Errors
/// A sentence for people, without anything of what the file holds.
pub fn password(file: &Path) -> Result<String, String> {
    let text = secret_file::read(file).map_err(|fault| format!("password_file {fault}"))?;
    let text =
        text.ok_or_else(|| format!("password_file {}: there is no such file", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(format!("password_file {}: its first line is empty", file.display()));
    }
    redact::remember(line);
    Ok(line.to_owned())
}
