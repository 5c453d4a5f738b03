//! Snapshots beside the stream: chunks against writers, signals and commands, restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use wasmgate_capture_kit as kit;
use wasmgate_capture_kit::beside::{self, Captured, ids, mirror, send, told};
use wasmgate_model::Checkpoint;
use wasmgate_postgres::{Settings, Snapshot, Watermarks};

use crate::harness::{Db, Event, Run, skipped};

/// A table that is captured and nothing read yet.
fn settings(db: &Db, tables: &[&str]) -> Settings {
    let mut settings = db.settings(tables);
    settings.snapshot = Snapshot::Never;
    settings.snapshots.chunk_rows = 50;
    settings
}

/// A database with what reads it.
struct Database {
    db: Db,
    settings: Settings,
}

impl Database {
    fn new(name: &str, setup: &str, tables: &[&str]) -> Self {
        let db = Db::new(name, setup);
        let mut settings = settings(&db, tables);
        settings.notifications.topic = Some("told".into());
        Self { db, settings }
    }
}

impl Captured for Database {
    type Run = Run;

    async fn open(&self, rows: usize, checkpoint: Checkpoint) -> Run {
        Run::resume(&self.settings, rows, checkpoint).await.unwrap()
    }

    fn sql(&self, script: &str) {
        self.db.sql(script);
    }

    fn name(&self, table: &str) -> String {
        format!("public.{table}")
    }
}

fn rows_of(db: &Db, table: &str) -> BTreeMap<i64, Value> {
    let text = db.sql(&format!("SELECT to_jsonb(t) FROM {table} t"));
    let each = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row["id"].as_i64().unwrap(), row)
    });
    each.collect()
}

/// Chunks while two writers insert, update, change keys and delete; whatever the marks.
async fn under_writers(watermarks: Watermarks, name: &str) {
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq bigint, v text);
        CREATE SEQUENCE s; INSERT INTO t SELECT i, nextval('s'), 'x' FROM generate_series(1, 2000) i;
        CREATE TABLE sig(id varchar(64) PRIMARY KEY, type varchar(32), data varchar(2048))";
    let Database { db, mut settings } = Database::new(name, setup, &["public.t"]);
    settings.snapshots.watermarks = watermarks;
    settings.signals.table = Some("public.sig".into());
    let mut run = Run::open(&settings, 200).await;
    let write = |writer: i64| {
        let first = 3000 * (writer + 1);
        db.sql(&format!(
            "DO $$ DECLARE k int; BEGIN FOR i IN 1..400 LOOP k := 1 + (random() * 1999)::int;
               CASE i % 4
               WHEN 0 THEN DELETE FROM t WHERE id = k;
               WHEN 1 THEN INSERT INTO t VALUES ({first} + i, nextval('s'), 'new');
               ELSE UPDATE t SET seq = nextval('s'), v = v || 'x' WHERE id = k; END CASE;
               COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$"
        ));
    };
    let signal = "INSERT INTO sig VALUES ('s1', 'execute-snapshot', \
                  '{\"data-collections\": [\"public.t\"]}')";
    let end = || drop(db.sql("INSERT INTO t VALUES (-1, nextval('s'), 'end')"));
    let all = beside::under_writers(&mut run, write, || drop(db.sql(signal)), end);
    let of_t: Vec<Event> = all.into_iter().filter(|e| e.topic == "srv.public.t").collect();
    assert!(ids(&of_t).len() > 500, "{} rows were read", ids(&of_t).len());
    let read = of_t.iter().find(|e| e.op == "r").unwrap();
    let source = &read.value["source"];
    assert_eq!((&source["snapshot"], &source["lsn"]), (&"incremental".into(), &Value::Null));
    assert_eq!(mirror(&of_t), rows_of(&db, "t"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_equal_the_table_under_writers_by_messages() {
    if !skipped() {
        under_writers(Watermarks::Message, "chunks_message").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_equal_the_table_under_writers_without_writing() {
    if !skipped() {
        under_writers(Watermarks::ReadOnly, "chunks_read_only").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_equal_the_table_under_writers_by_the_signal_table() {
    if !skipped() {
        under_writers(Watermarks::InsertDelete, "chunks_table").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_at_the_last_chunk_and_never_takes_a_transaction_for_settled() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq int);
        INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i";
    let mut database = Database::new("chunk_restart", setup, &["public.t"]);
    // Nothing is written: chunks stand at a place where the next commit may stand, too.
    database.settings.snapshots.watermarks = Watermarks::ReadOnly;
    beside::goes_on_at_the_last_chunk(&database).await;
}

/// What is written anew while a chunk waits for it looks empty to a view from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_rewritten_while_it_is_read_is_read_whole() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, v int);
        INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i";
    let Database { db, mut settings } = Database::new("rewritten", setup, &["public.t"]);
    settings.snapshots.chunk_rows = 5;
    let mut run = Run::open(&settings, 100).await;
    let data = json!({ "data-collections": ["public.t"] });
    let sent = send(&run.commands, "execute-snapshot", &data);
    let mut all = run.until(|all| !ids(all).is_empty()).await;
    sent.await.unwrap().unwrap();
    let mut writer = db.session();
    let rewriting = {
        let server = std::sync::Arc::clone(&db.server);
        tokio::task::spawn_blocking(move || {
            writer.run("BEGIN; ALTER TABLE t ALTER v TYPE bigint").unwrap();
            let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                 WHERE NOT granted AND datname = 'rewritten' AND mode = 'AccessShareLock'";
            kit::until(|| (server.psql("rewritten", waiting).unwrap() != "0").then_some(()));
            writer.run("COMMIT").unwrap();
        })
    };
    all.extend(run.until(|_| rewriting.is_finished()).await);
    rewriting.await.unwrap();
    let scanned = |all: &[Event]| told(all, "TABLE_SCAN_COMPLETED");
    if scanned(&all) == 0 {
        all.extend(run.until(|more| scanned(more) > 0).await);
    }
    assert_eq!(ids(&all), (1..=1000).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_pause_resume_and_stop_and_survive_a_restart() {
    if skipped() {
        return;
    }
    let setup =
        "CREATE TABLE a(id int PRIMARY KEY, seq int); CREATE TABLE b(id int PRIMARY KEY, seq int);
        CREATE TABLE nokey(id int); CREATE TABLE none(id int PRIMARY KEY);
        INSERT INTO a SELECT i, i FROM generate_series(1, 1000) i;
        INSERT INTO b SELECT i, i FROM generate_series(1, 120) i; INSERT INTO nokey VALUES (1)";
    let tables = ["public.a", "public.b", "public.nokey", "public.none"];
    let database = Database::new("chunk_commands", setup, &tables);
    let scans = beside::commands_survive_a_restart(&database).await;
    let want = ["public.b SUCCEEDED 120", "public.nokey NO_PRIMARY_KEY 0", "public.none EMPTY 0"];
    assert_eq!(scans, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_surrogate_keys_choose_rows_and_order() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int NOT NULL, v int NOT NULL, seq int);
        ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t SELECT i, (1000 - i) / 6, 0 FROM generate_series(1, 300) i";
    let database = Database::new("chunk_surrogate", setup, &["public.t"]);
    beside::surrogate_keys_choose_the_order(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_snapshot_is_whole_and_not_older_than_the_stream() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq bigint, v text); CREATE SEQUENCE s;
        INSERT INTO t SELECT i, nextval('s'), 'x' FROM generate_series(1, 3000) i";
    let db = Db::new("blocking", setup);
    let mut settings = settings(&db, &["public.t"]);
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 200).await;
    let script = "DO $$ BEGIN FOR i IN 1..400 LOOP
        UPDATE t SET seq = nextval('s') WHERE id = 1 + (random() * 2999)::int;
        COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$";
    let all = std::thread::scope(|scope| {
        let writer = scope.spawn(|| db.sql(script));
        let data = json!({ "data-collections": ["public.t"], "type": "blocking" });
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let taken = send(&run.commands, "execute-snapshot", &data);
                let mut seen = run.until(|all| told(all, "COMPLETED") == 1).await;
                assert_eq!(taken.await.unwrap(), Ok(()));
                writer.join().unwrap();
                db.sql("INSERT INTO t VALUES (-1, nextval('s'), 'end')");
                seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                seen
            })
        })
    });
    let all: Vec<Event> = all.into_iter().filter(|e| e.topic != "told").collect();
    let marks: Vec<&str> = all
        .iter()
        .filter(|e| e.op == "r")
        .filter_map(|e| e.value["source"]["snapshot"].as_str())
        .collect();
    assert_eq!((marks[0], marks[marks.len() - 1]), ("first", "last"));
    assert_eq!(mirror(&all), rows_of(&db, "t"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_given_up_and_the_stream_goes_on() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq int); INSERT INTO t VALUES (1, 1), (2, 2);
        CREATE TABLE u(id int PRIMARY KEY); INSERT INTO u VALUES (7)";
    let database = Database::new("refused_signals", setup, &["public.t", "public.u"]);
    let kinds = [("incremental", "COMPLETED"), ("blocking", "ABORTED")];
    beside::what_is_refused_is_given_up(&database, &kinds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_of_the_first_snapshot_are_read_in_chunks_and_resumed() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE large(id int PRIMARY KEY, seq int, pad text);
        INSERT INTO large SELECT i, 0, repeat('x', 500) FROM generate_series(1, 500) i;
        CREATE TABLE small(id int PRIMARY KEY); INSERT INTO small VALUES (1), (2)";
    let mut database = Database::new("chunk_first", setup, &["public.large", "public.small"]);
    database.settings.notifications.topic = None;
    database.settings.snapshot = Snapshot::Initial;
    database.settings.snapshots.chunked_above = Some(100 << 10);
    let (mut run, large) = beside::large_tables_go_on_at_the_last_chunk(&database).await;
    assert_eq!(mirror(&large), rows_of(&database.db, "large"));
    tokio::time::timeout(Duration::from_secs(1), run.acker.close()).await.unwrap();
}

/// A row of the signal table is a signal once: when it is inserted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_inserted_rows_are_signals() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1);
        CREATE TABLE u(id int PRIMARY KEY); INSERT INTO u VALUES (2);
        CREATE TABLE sig(id varchar(64) PRIMARY KEY, type varchar(32), data varchar(2048))";
    let db = Db::new("signal_rows", setup);
    let mut settings = settings(&db, &["public.t", "public.u"]);
    settings.signals.table = Some("public.sig".into());
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 10).await;
    let of = |table: &str| format!("{{\"data-collections\": [\"public.{table}\"]}}");
    db.sql(&format!(
        "INSERT INTO sig VALUES ('s1', 'log', '{{\"message\": \"x\"}}');
         UPDATE sig SET type = 'execute-snapshot', data = '{}';
         INSERT INTO sig VALUES ('s2', 'execute-snapshot', '{}')",
        of("t"),
        of("u")
    ));
    let all = run.until(|all| told(all, "COMPLETED") == 1).await;
    assert_eq!(ids(&all), [2]);
}
