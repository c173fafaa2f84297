//! Files: networks (safetensors, npz), chip models, and how all of them are written.

use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

pub mod arrays;
pub mod banks;
mod compare;
pub mod fixed;
pub mod foreign;
pub mod model;
pub mod network;
mod numpy;
pub mod paper;
pub mod plrnn;
pub mod reduced;
pub mod results;
pub mod settings;
pub mod torch;
pub mod trajectories;

/// The ending of a file's name in small letters, with its point; "no ending" without one.
#[must_use]
pub fn ending(path: &Path) -> String {
    let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy().to_lowercase()));
    ending.unwrap_or_else(|| "no ending".into())
}

/// Writes `bytes` to `path` so that the file is either the old one or the whole new one: to a
/// temporary file beside it, synced, then renamed. Missing folders are created.
///
/// # Errors
/// The folder or the file cannot be written; the old file is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(Error::file(folder, "create folder"))?;
    let written = || {
        let mut file = beside().tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(Error::file(path, "write"))
}

/// A temporary file that may be read like a plainly created one; it is otherwise private to its owner.
#[cfg(unix)]
fn beside() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

#[cfg(not(unix))]
fn beside() -> tempfile::Builder<'static, 'static> {
    tempfile::Builder::new()
}

/// As [`write_atomic`], for a value as indented JSON.
///
/// # Errors
/// As [`write_atomic`].
pub fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| {
        Error::input(path.display().to_string(), "values that JSON can hold", error.to_string())
    })?;
    text.push('\n');
    write_atomic(path, text.as_bytes())
}

/// Reads a file that holds something; `what`: what it should be, for the message.
///
/// # Errors
/// The file cannot be read, or is empty.
pub fn read_bytes(path: &Path, what: &str) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(Error::file(path, "read"))?;
    crate::error::require(!bytes.is_empty(), &path.display().to_string(), what, "an empty file")?;
    Ok(bytes)
}

/// Reads a JSON file.
///
/// # Errors
/// The file cannot be read, or is not what it should be: the message gives line and column.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    const WHAT: &str = "JSON of tinyfold";
    serde_json::from_slice(&read_bytes(path, WHAT)?)
        .map_err(|error| Error::input(path.display().to_string(), WHAT, error.to_string()))
}

/// FNV-1a of 64 bits: the same on every machine and in every version.
#[must_use]
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}
