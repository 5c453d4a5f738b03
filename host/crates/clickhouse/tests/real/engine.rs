//! One engine for all tests of this program; tables have names of their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use wasmgate_services::clickhouse::{ClickHouse, missing};

static ENGINE: Mutex<Weak<ClickHouse>> = Mutex::new(Weak::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Whether a test is skipped; in CI nothing is.
pub(crate) fn skipped() -> bool {
    let Some(reason) = missing() else { return false };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
    eprintln!("SKIPPED: {reason}");
    true
}

/// The shared engine; `None` where there is none and it may be skipped.
pub(crate) fn engine() -> Option<Arc<ClickHouse>> {
    if skipped() {
        return None;
    }
    let mut shared = ENGINE.lock().unwrap_or_else(|e| e.into_inner());
    Some(shared.upgrade().unwrap_or_else(|| {
        let engine = Arc::new(ClickHouse::start().unwrap());
        *shared = Arc::downgrade(&engine);
        engine
    }))
}

/// A name that no other test has.
pub(crate) fn unique(base: &str) -> String {
    format!("{base}_{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}
