//! Signs of life: records at an interval, a statement that goes with them, and a logical message
//! where the database is idle and its server is not, so that the slot has something to move to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use wasmgate_model::{Fault, Schema};
use wasmgate_replication::Places as _;

use crate::assemble::{Assembler, now_us};
use crate::catalog::Catalog;
use crate::documents::{described, heartbeat_schemas};
use crate::lsn::Lsn;
use crate::pump::{every, tick};
use crate::session::text;
use crate::settings::Settings;

/// Prefix of our own logical messages, which never become records.
pub(crate) const PREFIX: &str = "wasmgate.heartbeat";
/// Log that others have to write before another message is: an idle server stays idle.
const ENOUGH: u64 = 64 << 10;

/// Records that are due, and the task that speaks to the server: a server that does not answer
/// holds up that task alone.
pub(crate) struct Heartbeat {
    schema: Arc<Schema>,
    prefix: String,
    pub(crate) interval: Option<Duration>,
    /// A record waits until no transaction is open.
    due: bool,
    /// Changes received so far.
    received: Arc<AtomicU64>,
    /// Ends with this.
    _voice: JoinSet<()>,
}

impl Heartbeat {
    pub(crate) fn new(settings: &Settings, catalog: Catalog) -> Self {
        let prefix = settings.topic_prefix.clone();
        let received = Arc::new(AtomicU64::new(0));
        let voice = Voice {
            catalog,
            query: settings.events.heartbeat_query.clone(),
            interval: settings.events.heartbeat,
            beat: settings.heartbeat.unwrap_or(settings.status_interval),
            failing: false,
            speak: settings.events.idle_message,
            received: Arc::clone(&received),
            seen: 0,
            spoken: Lsn(0),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(voice.run());
        Self {
            schema: described(&format!("__debezium-heartbeat.{prefix}"), heartbeat_schemas()),
            prefix,
            interval: settings.events.heartbeat,
            due: false,
            received,
            _voice: tasks,
        }
    }

    /// A record is due.
    pub(crate) fn strike(&mut self) {
        self.due = true;
    }

    /// Tells how many changes were received so far.
    pub(crate) fn received(&self, changes: u64) {
        self.received.store(changes, Ordering::Relaxed);
    }

    /// Puts the record that waits where no transaction is open.
    pub(crate) fn flush(&mut self, out: &mut Assembler) -> Result<(), Fault> {
        if !self.due || !out.is_free() {
            return Ok(());
        }
        self.due = false;
        let key = json!({ "serverName": self.prefix }).to_string();
        let value = json!({ "ts_ms": now_us() / 1000 }).to_string();
        out.add_document(&self.schema, key.as_bytes(), value.as_bytes())
    }
}

/// What is said to the server.
struct Voice {
    catalog: Catalog,
    query: Option<String>,
    interval: Option<Duration>,
    beat: Duration,
    /// The statement failed last time.
    failing: bool,
    /// Whether messages are written for an idle database.
    speak: bool,
    received: Arc<AtomicU64>,
    /// Changes received when it was last looked.
    seen: u64,
    /// The last message.
    spoken: Lsn,
}

impl Voice {
    async fn run(mut self) {
        let mut beat = every(self.beat);
        let mut strike = self.interval.filter(|_| self.query.is_some()).map(every);
        loop {
            tokio::select! {
                _ = beat.tick() => self.speak_when_idle().await,
                () = tick(&mut strike) => self.ask().await,
            }
        }
    }

    /// Runs the statement.
    async fn ask(&mut self) {
        let Some(query) = &self.query else { return };
        match self.catalog.query("cannot run `events.heartbeat_query`", query).await {
            Ok(_) => self.failing = false,
            Err(fault) if !self.failing => {
                self.failing = true;
                tracing::warn!(error = fault.chain(), "the heartbeat's statement fails");
            }
            Err(_) => {}
        }
    }

    /// Looks whether the database is idle beside a busy one.
    async fn speak_when_idle(&mut self) {
        let received = self.received.load(Ordering::Relaxed);
        let idle = std::mem::replace(&mut self.seen, received) == received;
        if !idle || !self.speak {
            return;
        }
        let sql = format!(
            "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() AND \
             pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '{}') > {ENOUGH} \
             THEN pg_catalog.pg_logical_emit_message(false, '{PREFIX}', '') END",
            self.spoken
        );
        match self.catalog.query("cannot write a logical message", &sql).await {
            Ok(rows) => {
                let written = rows.first().and_then(|row| Lsn::parse(text(row, 0)));
                self.spoken = written.unwrap_or(self.spoken);
            }
            Err(fault) if fault.retry() == wasmgate_model::Retry::Timed => {}
            Err(fault) => {
                self.speak = false;
                tracing::warn!(
                    error = fault.chain(),
                    "the slot of an idle database moves only when the server says how far it is; \
                     grant EXECUTE on pg_logical_emit_message, or set `events.idle_message: false`"
                );
            }
        }
    }
}
