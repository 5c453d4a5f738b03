//! What the end-to-end tests share: a gateway as a child process, its HTTP, topics read back,
//! the ledger. Everything waits on a condition and says what it saw when that does not come.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "tests"
)]

pub mod disk;
pub mod gateway;
pub mod guests;
pub mod http;
pub mod ledger;
pub mod topics;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The project's root folder.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Looks until `found` answers something.
///
/// # Panics
/// Nothing came within [`PATIENCE`]; the text is what `describe` says then.
pub fn wait_for<T>(
    what: &str,
    mut found: impl FnMut() -> Option<T>,
    describe: impl Fn() -> String,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not come: {}", describe());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a test that needs something missing is skipped; in CI it fails.
///
/// # Panics
/// It is missing and `CI=true`.
#[must_use]
pub fn skipped(missing: Option<String>) -> bool {
    let Some(reason) = missing else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
    eprintln!("SKIPPED: {reason}");
    true
}
