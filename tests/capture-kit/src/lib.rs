//! What the tests of captures share, whatever the database: a pipeline that settles what it reads
//! (`run`), records as a sink would write them (`event`), what came of tables that are held back
//! (`ledger`), and what every database has to keep of snapshots (`beside`, `parallel`) and over
//! restarts (`restart`). Servers and their settings are each connector's own.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests: a failure is a panic"
)]

pub mod beside;
mod event;
mod ledger;
pub mod parallel;
pub mod restart;
mod run;

use std::time::{Duration, Instant};

pub use event::{Event, Mirror, events};
pub use ledger::{Ledger, Reads};
pub use run::Run;

/// Nothing here takes a tenth of it on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// True: what a test needs is missing, and that is fine here.
#[must_use]
pub fn skipped(missing: Option<String>) -> bool {
    let Some(reason) = missing else { return false };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    eprintln!("skipped: {reason}");
    true
}

/// Looks until `found` answers something.
pub fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "it did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
