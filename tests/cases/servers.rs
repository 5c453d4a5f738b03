//! Real servers, shared by the tests that run at the same time; the last one stops them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};

use wasmgate_services::kafka::Kafka;
use wasmgate_services::postgres::{Options, Postgres};

static POSTGRES: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
static KAFKA: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A Postgres with `wal_level=logical`; `None` where there is none and it may be skipped.
pub(crate) fn postgres() -> Option<Arc<Postgres>> {
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return None;
    }
    let mut shared = POSTGRES.lock().unwrap_or_else(|e| e.into_inner());
    Some(shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Postgres::start(&Options::default()).unwrap());
        *shared = Arc::downgrade(&server);
        server
    }))
}

/// One Kafka broker; `None` where there is none and it may be skipped.
pub(crate) fn kafka() -> Option<Arc<Kafka>> {
    if wasmgate_tests::skipped(wasmgate_services::kafka::missing()) {
        return None;
    }
    let mut shared = KAFKA.lock().unwrap_or_else(|e| e.into_inner());
    Some(shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Kafka::start(1).unwrap());
        *shared = Arc::downgrade(&server);
        server
    }))
}

/// A name that no other test has.
pub(crate) fn unique(base: &str) -> String {
    format!("{base}_{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A database of its own, with this script run in it.
pub(crate) fn database(server: &Postgres, base: &str, sql: &str) -> String {
    let name = unique(base);
    server.psql("postgres", &format!("create database {name}")).unwrap();
    server.psql(&name, sql).unwrap();
    name
}
