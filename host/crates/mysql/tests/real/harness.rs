//! Shared servers, a database per test, and a pipeline that settles what it reads.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use secrecy::SecretString;
use tempfile::TempDir;
use wasmgate_capture_kit as kit;
pub(crate) use wasmgate_capture_kit::{Event, Mirror, until};
use wasmgate_connector::{PassThrough, Planner};
use wasmgate_model::{Checkpoint, Fault};
use wasmgate_mysql::{MySqlSource, Settings, Snapshot};
use wasmgate_services::mysql::{Flavor, MySql, Options, missing};

/// True: there is no server, and that is fine here.
pub(crate) fn skipped(flavor: Flavor) -> bool {
    kit::skipped(missing(flavor))
}

/// Both servers.
pub(crate) const FLAVORS: [Flavor; 2] = [Flavor::MySql, Flavor::MariaDb];

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

/// A procedure `busy` that runs a script with `i` from 1, without a pause in between, until the table
/// `stop` has a row; a test that fails does not wait for it for ever.
pub(crate) fn busy(script: &str) -> String {
    format!(
        "CREATE TABLE stop(id int PRIMARY KEY);
DELIMITER //
CREATE PROCEDURE busy() BEGIN
    DECLARE i int DEFAULT 1;
    WHILE i < 50000 AND NOT EXISTS (SELECT * FROM stop) DO
        {script}
        SET i = i + 1;
    END WHILE;
END//
DELIMITER ;"
    )
}

/// Two readers of one number throw each other out.
fn own_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1000);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
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

    pub(crate) async fn resume(
        settings: &Settings,
        rows: usize,
        checkpoint: Checkpoint,
    ) -> Result<Self, Fault> {
        Self::planned(settings, rows, checkpoint, Arc::new(PassThrough)).await
    }

    /// For a chain.
    pub(crate) async fn planned(
        settings: &Settings,
        rows: usize,
        checkpoint: Checkpoint,
        planner: Arc<dyn Planner>,
    ) -> Result<Self, Fault> {
        let source = MySqlSource::new(settings.clone());
        kit::Run::open(&source, rows, checkpoint, planner).await.map(Self)
    }
}
