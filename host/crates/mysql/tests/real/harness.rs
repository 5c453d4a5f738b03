//! Shared servers, a database per test, and a pipeline that settles what it reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use wasmgate_codec::encode::original;
use wasmgate_connector::{
    BatchLimits, BatchPool, Commands, PassThrough, Planner, Source as _, SourceAcker,
    SourceContext, SourceEvent, SourceReader, SourceStatus,
};
use wasmgate_model::{Batch, Checkpoint, Delivery, Delta, Fault, Op, Position, Schema};
use wasmgate_mysql::{MySqlSource, Settings, Snapshot};
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};

/// Nothing here takes a tenth of it on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// True: there is no server, and that is fine here.
pub(crate) fn skipped(flavor: Flavor) -> bool {
    let Some(reason) = missing(flavor) else { return false };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    eprintln!("skipped: {reason}");
    true
}

/// Both servers.
pub(crate) const FLAVORS: [Flavor; 2] = [Flavor::MySql, Flavor::MariaDb];

/// Looks until `found` answers something.
pub(crate) fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let since = std::time::Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "it did not come");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Removes every file of the log but a new one.
pub(crate) fn purge(db: &Db) {
    db.sql("FLUSH LOGS");
    let files = || db.server.sql("", "SHOW BINARY LOGS").unwrap();
    let last = files().lines().last().unwrap().split('\t').next().unwrap().to_owned();
    // MariaDB keeps files that a reader has open for a moment.
    until(|| {
        db.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
        (files().lines().count() == 1).then_some(())
    });
}

/// A database of a server.
pub(crate) struct Db {
    pub(crate) server: Arc<MySql>,
    pub(crate) name: String,
    /// The schema history.
    pub(crate) dir: TempDir,
}

impl Db {
    /// A new database on the shared server, set up by a script.
    pub(crate) fn new(flavor: Flavor, name: &str, setup: &str) -> Self {
        static SHARED: Mutex<BTreeMap<bool, Weak<MySql>>> = Mutex::new(BTreeMap::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let held = shared.entry(flavor == Flavor::MySql).or_default();
        let server = held.upgrade().unwrap_or_else(|| {
            let server = Arc::new(MySql::start(flavor, &Options::default()).unwrap());
            *held = Arc::downgrade(&server);
            server
        });
        drop(shared);
        Self::on(server, name, setup)
    }

    /// A new database on a server of the test's own.
    pub(crate) fn on(server: Arc<MySql>, name: &str, setup: &str) -> Self {
        let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
        server.sql("", &create).unwrap();
        let db = Self { server, name: name.into(), dir: tempfile::tempdir().unwrap() };
        db.sql(setup);
        db
    }

    /// A database on a server that no other test uses.
    pub(crate) fn alone(flavor: Flavor, name: &str, setup: &str) -> Self {
        let quiet = "--binlog-rows-query-log-events=OFF".to_owned();
        let arguments = (flavor == Flavor::MySql).then_some(quiet).into_iter().collect();
        let options = Options { arguments, ..Options::default() };
        Self::on(Arc::new(MySql::start(flavor, &options).unwrap()), name, setup)
    }

    pub(crate) fn sql(&self, script: &str) -> String {
        self.server.sql(&self.name, script).unwrap()
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            port: self.server.port(),
            user: "root".into(),
            topic_prefix: "srv".into(),
            databases: vec![self.name.clone()],
            server_id: Some(own_number()),
            heartbeat: Duration::from_millis(100),
            history_dir: self.dir.path().to_owned(),
            ..Settings::default()
        }
    }

    /// Without a snapshot.
    pub(crate) fn streaming(&self) -> Settings {
        Settings { snapshot: Snapshot::Never, ..self.settings() }
    }
}

/// Two readers of one number throw each other out.
fn own_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1000);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

pub(crate) fn secret(text: &str) -> Option<SecretString> {
    Some(SecretString::from(text))
}

/// A record as a sink would write it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) topic: String,
    pub(crate) op: &'static str,
    pub(crate) key: Value,
    pub(crate) value: Value,
    pub(crate) headers: Vec<(String, Value)>,
    pub(crate) at: Position,
    pub(crate) table: Arc<Schema>,
}

impl Event {
    pub(crate) fn before(&self) -> &Value {
        &self.value["before"]
    }

    pub(crate) fn after(&self) -> &Value {
        &self.value["after"]
    }

    /// `op key before after`, for comparisons that a person can read.
    pub(crate) fn line(&self) -> String {
        let headers: String = self.headers.iter().map(|(n, v)| format!(" {n}={v}")).collect();
        match self.op {
            "tombstone" => format!("tombstone {}{headers}", self.key),
            op => format!("{op} {} {} {}{headers}", self.key, self.before(), self.after()),
        }
    }
}

fn json(bytes: Option<Vec<u8>>) -> Value {
    bytes.map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap())
}

fn events_of(batch: &Batch) -> Vec<Event> {
    assert!(batch.positions.is_sorted_by(|a, b| a < b), "{:?}", batch.positions);
    let each = batch.sel.iter().map(|row| {
        let row = *row as usize;
        let (key, value) = original(batch, row);
        let op = match batch.ops[row] {
            Op::Tombstone => "tombstone",
            op => op.letter().unwrap_or("document"),
        };
        let header = |(name, value): (&str, Option<&[u8]>)| {
            (name.to_owned(), json(value.map(<[u8]>::to_vec)))
        };
        Event {
            topic: batch.schema.topic.to_string(),
            op,
            key: json(key),
            value: json(value),
            headers: batch.headers.row(row).map(header).collect(),
            at: batch.positions[row],
            table: Arc::clone(&batch.schema),
        }
    });
    each.collect()
}

/// Events of a delivery, in the order of the source.
pub(crate) fn events(delivery: &Delivery) -> Vec<Event> {
    let mut events: Vec<Event> = delivery.batches.iter().flat_map(events_of).collect();
    events.sort_by_key(|e| e.at);
    for event in &events {
        assert!(delivery.from < event.at && event.at <= delivery.to, "{event:?} outside");
    }
    events
}

/// Both halves of an open source, with the checkpoint they move.
pub(crate) struct Run {
    pub(crate) reader: Box<dyn SourceReader>,
    pub(crate) acker: Box<dyn SourceAcker>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) status: Arc<SourceStatus>,
    pub(crate) commands: Arc<Commands>,
    /// Positions that the source assigned by itself.
    pub(crate) assigned: Vec<Position>,
    pub(crate) completed: bool,
}

impl Run {
    pub(crate) async fn open(settings: &Settings, rows: usize) -> Self {
        Self::resume(settings, rows, Checkpoint::default()).await.unwrap()
    }

    pub(crate) async fn resume(
        settings: &Settings,
        rows: usize,
        checkpoint: Checkpoint,
    ) -> Result<Self, Fault> {
        Self::planned(settings, rows, checkpoint, Arc::new(PassThrough)).await
    }

    pub(crate) async fn planned(
        settings: &Settings,
        rows: usize,
        checkpoint: Checkpoint,
        planner: Arc<dyn Planner>,
    ) -> Result<Self, Fault> {
        let status = Arc::new(SourceStatus::default());
        let commands = Arc::<Commands>::default();
        let context = SourceContext {
            pipeline: "test".into(),
            checkpoint: checkpoint.clone(),
            planner,
            pool: Arc::new(BatchPool::default()),
            limits: BatchLimits { rows, ..BatchLimits::default() },
            status: Arc::clone(&status),
            commands: Arc::clone(&commands),
        };
        let (reader, acker) = MySqlSource::new(settings.clone()).open(context).await?;
        let (assigned, completed) = (Vec::new(), false);
        Ok(Self { reader, acker, checkpoint, status, commands, assigned, completed })
    }

    /// The next delivery, not settled. `None`: the source is completed.
    pub(crate) async fn next(&mut self) -> Result<Option<Delivery>, Fault> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.reader.next()).await;
            match next.expect("nothing came in time")? {
                SourceEvent::Delivery(delivery) => return Ok(Some(delivery)),
                SourceEvent::Assigned { partition, at, state } => {
                    self.assigned.push(at);
                    self.checkpoint.assign(partition, at, state);
                }
                SourceEvent::Completed => {
                    self.completed = true;
                    return Ok(None);
                }
                SourceEvent::Revoked { .. } => panic!("a log is never taken away politely"),
            }
        }
    }

    /// Settles a delivery; panics on a gap.
    pub(crate) async fn settle(&mut self, delivery: &Delivery) {
        let Delivery { partition, from, to, state, .. } = delivery;
        let delta =
            Delta { partition: partition.clone(), from: *from, to: *to, state: state.clone() };
        assert!(self.checkpoint.apply(&delta).unwrap());
        self.acker.settled(&self.checkpoint).await.unwrap();
    }

    /// Reads and settles until something is answered; nothing has to come for that.
    pub(crate) async fn while_asked<T>(
        &mut self,
        asked: &tokio::task::JoinHandle<T>,
    ) -> Vec<Event> {
        let mut all = Vec::new();
        while !asked.is_finished() {
            let short = Duration::from_millis(100);
            let Ok(next) = tokio::time::timeout(short, self.reader.next()).await else { continue };
            match next.unwrap() {
                SourceEvent::Delivery(delivery) => {
                    all.extend(events(&delivery));
                    self.settle(&delivery).await;
                }
                other => panic!("{other:?}"),
            }
        }
        all
    }

    /// Reads and settles until the events satisfy `done`, or the source is completed.
    pub(crate) async fn until(&mut self, done: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let mut all = Vec::new();
        while !done(&all) {
            let Some(delivery) = self.next().await.unwrap() else { break };
            all.extend(events(&delivery));
            self.settle(&delivery).await;
        }
        all
    }

    /// Reads and settles until the snapshot is over.
    pub(crate) async fn streaming(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while *self.status.phase.lock().unwrap() != "streaming" {
            let soon = Duration::from_millis(20);
            if let Ok(delivery) = tokio::time::timeout(soon, self.next()).await {
                let Some(delivery) = delivery.unwrap() else { break };
                all.extend(events(&delivery));
                self.settle(&delivery).await;
            }
        }
        all
    }

    /// The events of the next delivery, settled.
    pub(crate) async fn count_some(&mut self) -> Vec<Event> {
        self.until(|all| !all.is_empty()).await
    }

    pub(crate) async fn count(&mut self, n: usize) -> Vec<Event> {
        let all = self.until(|all| all.len() >= n).await;
        assert_eq!(all.len(), n, "{all:#?}");
        all
    }
}

/// The table as the events say it is. Panics where an event does not fit: a row created twice, a
/// change of a row that is not there.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    pub(crate) rows: BTreeMap<String, Value>,
}

impl Mirror {
    pub(crate) fn apply(&mut self, event: &Event) {
        let key = event.key.to_string();
        let old = match event.op {
            "r" | "c" | "u" => self.rows.insert(key, event.after().clone()),
            "d" => self.rows.remove(&key),
            _ => return,
        };
        assert_eq!(old.is_some(), matches!(event.op, "u" | "d"), "does not fit: {event:?}");
    }
}
