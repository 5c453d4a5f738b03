//! Signs of life: records at an interval, between two transactions, and a statement that goes with
//! them. They also carry the position of an idle log to whoever reads the records.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use wasmgate_model::{Fault, Position, Schema};

use crate::assemble::{Assembler, now_us};
use crate::connect::{Connector, Session};
use crate::documents::{described, heartbeat_schemas};
use crate::settings::{Heartbeats, Settings};

/// Records that are due, and the task that runs the statement: a server that does not answer holds
/// up that task alone.
pub(crate) struct Heartbeat {
    schema: Arc<Schema>,
    name: String,
    interval: Interval,
    /// A record waits until no transaction is open.
    due: bool,
    /// Ends with this.
    _voice: JoinSet<()>,
}

impl Heartbeat {
    /// `None`: nobody asked for it.
    pub(crate) fn new(settings: &Settings, connector: &Connector) -> Option<Self> {
        let beats = settings.heartbeats.as_ref()?;
        let mut tasks = JoinSet::new();
        if let Some(query) = beats.query.clone() {
            let interval = every(beats);
            let connector = connector.clone();
            tasks.spawn(Voice { connector, query, interval, session: None, failing: false }.run());
        }
        let name = settings.topic_prefix.clone();
        let topic = format!("{}.{name}", beats.topic_prefix);
        let schema = described(&topic, heartbeat_schemas());
        Some(Self { schema, name, interval: every(beats), due: false, _voice: tasks })
    }

    /// Puts the record that waits; `at` is a place between two transactions, where there is one.
    pub(crate) fn flush(&mut self, at: Option<Position>, out: &mut Assembler) -> Result<(), Fault> {
        let Some(at) = at.filter(|_| self.due) else { return Ok(()) };
        self.due = false;
        let now = now_us();
        let key = json!({ "serverName": self.name }).to_string();
        let value = json!({ "ts_ms": now.div_euclid(1000) }).to_string();
        out.document(&self.schema, (&key, &value), now, at)
    }
}

/// Waits for the next beat, at which a record is due; for ever where there is none.
pub(crate) async fn tick(heartbeat: &mut Option<Heartbeat>) {
    match heartbeat {
        Some(heartbeat) => {
            heartbeat.interval.tick().await;
            heartbeat.due = true;
        }
        None => std::future::pending().await,
    }
}

fn every(beats: &Heartbeats) -> Interval {
    let mut interval = interval_at(Instant::now() + beats.interval, beats.interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Runs the statement.
struct Voice {
    connector: Connector,
    query: String,
    interval: Interval,
    session: Option<Session>,
    /// It failed last time.
    failing: bool,
}

impl Voice {
    async fn run(mut self) {
        loop {
            self.interval.tick().await;
            match self.ask().await {
                Ok(()) => self.failing = false,
                Err(fault) => {
                    self.session = None;
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(error = fault.chain(), "the heartbeat's statement fails");
                    }
                }
            }
        }
    }

    async fn ask(&mut self) -> Result<(), Fault> {
        let session = match &mut self.session {
            Some(session) => session,
            none => none.insert(self.connector.connect().await?),
        };
        session.run("cannot run `events.heartbeat_query`", &self.query).await
    }
}
