//! Into ClickHouse: captured tables end in the state that the source has, whatever dies on the
//! way, and call records from Kafka become rows by the schema of their table.

mod away;
mod envelopes;
mod kill;
mod systems;

use std::sync::{Arc, Mutex, Weak};

use wasmgate_services::clickhouse::{ClickHouse, missing};

static ENGINE: Mutex<Weak<ClickHouse>> = Mutex::new(Weak::new());

/// The engine that these tests share; `None` where there is none and it may be skipped.
fn engine() -> Option<Arc<ClickHouse>> {
    if wasmgate_tests::skipped(missing()) {
        return None;
    }
    let mut shared = ENGINE.lock().unwrap_or_else(|e| e.into_inner());
    Some(shared.upgrade().unwrap_or_else(|| {
        let engine = Arc::new(ClickHouse::start().unwrap());
        *shared = Arc::downgrade(&engine);
        engine
    }))
}

/// Rows of a query, as tab-separated lines; none while the table is not there.
fn rows(engine: &ClickHouse, sql: &str) -> Vec<String> {
    engine.query(sql).map(|t| t.lines().map(str::to_owned).collect()).unwrap_or_default()
}
