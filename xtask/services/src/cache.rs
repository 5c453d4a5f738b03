//! Where fetched servers are kept, and how one gets there: into a scratch folder, then renamed,
//! so that an interrupted fetch leaves nothing that looks whole.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

/// One fetch at a time: the second of the same thing finds it done.
static FETCHING: Mutex<()> = Mutex::new(());

/// `$WASMGATE_CACHE`, else `~/.cache/wasmgate`; for root `/var/cache/wasmgate`, because servers
/// then run as users who may not enter root's home.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(folder) = env::var_os("WASMGATE_CACHE") {
        return folder.into();
    }
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    match env::var_os("HOME") {
        Some(home) if !root => PathBuf::from(home).join(".cache/wasmgate"),
        _ => "/var/cache/wasmgate".into(),
    }
}

/// The cached folder `name`; `fill` makes its content in a scratch folder where it is missing.
///
/// # Errors
/// What `fill` said, or that the cache cannot be written.
pub fn filled(
    name: &str,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let _turn = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let target = folder().join(name);
    if target.is_dir() {
        return Ok(target);
    }
    let scratch = folder().join(format!("{name}.part-{}", std::process::id()));
    let error = |e: std::io::Error| format!("{}: {e}", scratch.display());
    fs::create_dir_all(&scratch).map_err(error)?;
    let done = fill(&scratch).and_then(|()| match fs::rename(&scratch, &target) {
        // somebody else was quicker with the same thing
        Err(_) if target.is_dir() => Ok(()),
        renamed => renamed.map_err(error),
    });
    if scratch.is_dir() {
        fs::remove_dir_all(&scratch).ok();
    }
    done.map(|()| target)
}
