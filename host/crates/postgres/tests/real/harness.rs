//! A shared server, a database per test, and a pipeline that settles what it reads.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::SecretString;
use wasmgate_capture_kit::{self as kit, PATIENCE};
pub(crate) use wasmgate_capture_kit::{Event, Mirror, events};
use wasmgate_connector::{PassThrough, Planner};
use wasmgate_model::{Checkpoint, Fault};
use wasmgate_postgres::{PostgresSource, Settings, Snapshot};
use wasmgate_services::postgres::{Options, Postgres, Session, missing};

/// True: there is no server, and that is fine here.
pub(crate) fn skipped() -> bool {
    kit::skipped(missing())
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

/// A source of ours in a pipeline that settles what it reads.
pub(crate) struct Run(pub(crate) kit::Run);

impl Deref for Run {
    type Target = kit::Run;

    fn deref(&self) -> &kit::Run {
        &self.0
    }
}

impl DerefMut for Run {
    fn deref_mut(&mut self) -> &mut kit::Run {
        &mut self.0
    }
}

impl Run {
    pub(crate) async fn open(settings: &Settings, rows: usize) -> Self {
        Self::resume(settings, rows, Checkpoint::default()).await.unwrap()
    }

    /// With a snapshot before it, its slot is there and its place is assigned.
    pub(crate) async fn resume(
        settings: &Settings,
        rows: usize,
        checkpoint: Checkpoint,
    ) -> Result<Self, Fault> {
        let first = settings.snapshot != Snapshot::Never && checkpoint == Checkpoint::default();
        let mut run = Self::of(&PostgresSource::new(settings.clone()), rows, checkpoint).await?;
        if first {
            run.until_assigned().await?;
        }
        Ok(run)
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
        kit::Run::open(source, rows, checkpoint, planner).await.map(Self)
    }
}
