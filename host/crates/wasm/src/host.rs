//! What the host lends to a guest, one small file per interface. There is no network, file or
//! environment here. State and lookups belong to the contract already and are refused until a
//! store is configured behind them.

mod console;
pub(crate) mod log;
pub(crate) mod metrics;
mod stand_ins;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmgate_connector::ModuleIdentity;
use wasmtime::ResourceLimiter;

use crate::bindings::{clock, lookup, state, types};
use crate::host::console::Console;
use crate::host::log::LogBudget;
use crate::host::metrics::ModuleMetrics;
use crate::limits::MemoryGuard;

/// The host's side of one instance.
pub(crate) struct GuestContext {
    pub(crate) identity: Arc<ModuleIdentity>,
    pub(crate) metrics: Arc<ModuleMetrics>,
    log: Arc<LogBudget>,
    stdout: Console,
    stderr: Console,
    memory: MemoryGuard,
    /// Read when the call first asks: most never do.
    now_us: Option<i64>,
}

impl GuestContext {
    pub(crate) fn new(
        identity: Arc<ModuleIdentity>,
        metrics: Arc<ModuleMetrics>,
        log: Arc<LogBudget>,
        memory: MemoryGuard,
    ) -> Self {
        let (stdout, stderr) = (Console::default(), Console::default());
        Self { identity, metrics, log, stdout, stderr, memory, now_us: None }
    }

    /// A call begins: its time stands still once it has been asked for.
    pub(crate) fn begin_call(&mut self) {
        self.now_us = None;
    }

    pub(crate) fn memory_guard(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The guest asked for something that it was not given: a trap with this text.
#[derive(Debug)]
struct NotLent(&'static str);

impl fmt::Display for NotLent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NotLent {}

const NO_STATE: NotLent = NotLent("keyed state is not configured for this stage");
const NO_LOOKUPS: &str = "lookups are not configured";

impl types::Host for GuestContext {}

impl clock::Host for GuestContext {
    fn now_us(&mut self) -> wasmtime::Result<i64> {
        Ok(*self.now_us.get_or_insert_with(now_us))
    }
}

impl state::Host for GuestContext {
    fn get(&mut self, _keys: Vec<String>) -> wasmtime::Result<Vec<Option<Vec<u8>>>> {
        Err(NO_STATE.into())
    }

    fn put(
        &mut self,
        _entries: Vec<(String, Vec<u8>)>,
        _ttl_ms: Option<u64>,
    ) -> wasmtime::Result<()> {
        Err(NO_STATE.into())
    }

    fn remove(&mut self, _keys: Vec<String>) -> wasmtime::Result<()> {
        Err(NO_STATE.into())
    }

    fn add(
        &mut self,
        _keys: Vec<String>,
        _deltas: Vec<i64>,
        _ttl_ms: Option<u64>,
    ) -> wasmtime::Result<Vec<i64>> {
        Err(NO_STATE.into())
    }
}

impl lookup::Host for GuestContext {
    fn get(
        &mut self,
        _table: String,
        _keys: Vec<String>,
        _fields: Vec<types::Read>,
        _texts: types::TextForm,
    ) -> wasmtime::Result<Result<Vec<types::ColumnResult>, String>> {
        Ok(Err(NO_LOOKUPS.into()))
    }
}
