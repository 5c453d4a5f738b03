//! A shared server, a database per test, and a pipeline that settles what it reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use wasmgate_codec::encode::original;
use wasmgate_connector::{
    BatchLimits, BatchPool, Commands, PassThrough, Planner, Source as _, SourceAcker,
    SourceContext, SourceEvent, SourceReader, SourceStatus,
};
use wasmgate_model::{Batch, Checkpoint, Delivery, Delta, Fault, Op, Partition, Position};
use wasmgate_postgres::{PostgresSource, Settings, Snapshot};
use wasmgate_services::postgres::{Options, Postgres, Session, missing};

/// Nothing here takes a tenth of it on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// True: there is no server, and that is fine here.
pub(crate) fn skipped() -> bool {
    let Some(reason) = missing() else { return false };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
    eprintln!("skipped: {reason}");
    true
}

fn options() -> Options {
    let hba = [
        "host all scram_user 127.0.0.1/32 scram-sha-256",
        "host all md5_user 127.0.0.1/32 md5",
        "host all clear_user 127.0.0.1/32 password",
        "hostssl all tls_user 127.0.0.1/32 scram-sha-256",
        "hostnossl all tls_user 127.0.0.1/32 reject",
    ];
    Options {
        // A keep-alive that is not answered in a second shows in every test.
        // Whatever is larger than the least memory is sent while it runs.
        settings: [
            ("wal_sender_timeout", "1s"),
            ("logical_decoding_work_mem", "64kB"),
            ("max_prepared_transactions", "10"),
            // Every test leaves its slots.
            ("max_replication_slots", "100"),
            ("max_wal_senders", "100"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
        hba: hba.map(str::to_owned).into(),
        tls: true,
        ..Options::default()
    }
}

/// A server with the roles that the tests log in as.
fn start() -> Postgres {
    let server = Postgres::start(&options()).unwrap();
    let sql = "CREATE ROLE scram_user LOGIN SUPERUSER PASSWORD 'pass word';
               CREATE ROLE tls_user LOGIN SUPERUSER PASSWORD 'pass word';
               CREATE ROLE clear_user LOGIN SUPERUSER PASSWORD 'pass word';
               SET password_encryption = 'md5';
               CREATE ROLE md5_user LOGIN SUPERUSER PASSWORD 'pass word';
               CREATE ROLE plain_user LOGIN;";
    server.psql("postgres", sql).unwrap();
    server
}

/// A database of the shared server.
pub(crate) struct Db {
    pub(crate) server: Arc<Postgres>,
    pub(crate) name: String,
}

impl Db {
    /// A new database, set up by a script. `name` also names slot and publication.
    pub(crate) fn new(name: &str, setup: &str) -> Self {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(start());
            *shared = Arc::downgrade(&server);
            server
        });
        // Under the lock: the template may not be in use by another creation.
        server.psql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
        drop(shared);
        let db = Self { server, name: name.into() };
        db.sql(setup);
        db
    }

    pub(crate) fn sql(&self, script: &str) -> String {
        self.server.psql(&self.name, script).unwrap()
    }

    /// A connection that stays open.
    pub(crate) fn session(&self) -> Session {
        self.server.session(&self.name).unwrap()
    }

    pub(crate) fn settings(&self, tables: &[&str]) -> Settings {
        Settings {
            port: self.server.port(),
            database: self.name.clone(),
            user: "postgres".into(),
            topic_prefix: "srv".into(),
            tables: tables.iter().map(|t| (*t).to_owned()).collect(),
            slot: self.name.clone(),
            publication: self.name.clone(),
            heartbeat: Some(Duration::from_millis(100)),
            ..Settings::default()
        }
    }

    /// Asks until the answer is `want`.
    pub(crate) fn wait_for(&self, sql: &str, want: &str) {
        let since = std::time::Instant::now();
        loop {
            let got = self.sql(sql);
            if got == want {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{sql}: {got}, not {want}");
        }
    }
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
    pub(crate) schema: u64,
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
            schema: batch.schema.id,
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
        let first = settings.snapshot != Snapshot::Never && checkpoint == Checkpoint::default();
        let mut run = Self::of(&PostgresSource::new(settings.clone()), rows, checkpoint).await?;
        if first {
            run.begin().await?;
        }
        Ok(run)
    }

    /// Reads on until the slot is there and its place is assigned: what the test writes from then
    /// on comes by the stream.
    async fn begin(&mut self) -> Result<(), Fault> {
        while self.assigned.is_empty() {
            let event = self.reader.next().await?;
            let SourceEvent::Assigned { partition, at, state } = event else {
                panic!("no place is assigned: {event:?}");
            };
            self.assign(partition, at, state);
        }
        Ok(())
    }

    fn assign(&mut self, partition: Partition, at: Position, state: Option<Arc<[u8]>>) {
        // Before there is a slot, a source has no place yet.
        if at != Position::default() {
            self.assigned.push(at);
        }
        self.checkpoint.assign(partition, at, state);
    }

    /// Opens a source that was opened before, or not.
    pub(crate) async fn of(
        source: &PostgresSource,
        rows: usize,
        checkpoint: Checkpoint,
    ) -> Result<Self, Fault> {
        Self::planned(source, rows, checkpoint, Arc::new(PassThrough)).await
    }

    /// Opens a source for a chain.
    pub(crate) async fn planned(
        source: &PostgresSource,
        rows: usize,
        checkpoint: Checkpoint,
        planner: Arc<dyn Planner>,
    ) -> Result<Self, Fault> {
        let status = Arc::new(SourceStatus::default());
        let commands = Arc::new(Commands::default());
        let context = SourceContext {
            pipeline: "test".into(),
            checkpoint: checkpoint.clone(),
            planner,
            pool: Arc::new(BatchPool::default()),
            limits: BatchLimits { rows, ..BatchLimits::default() },
            status: Arc::clone(&status),
            commands: Arc::clone(&commands),
        };
        let (reader, acker) = source.open(context).await?;
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
                    self.assign(partition, at, state);
                }
                SourceEvent::Completed => {
                    self.completed = true;
                    return Ok(None);
                }
                SourceEvent::Revoked { .. } => panic!("a slot is never taken away politely"),
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
