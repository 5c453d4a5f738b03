//! Snapshots beside the stream: chunks against writers, signals and commands, restarts.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wasmgate_connector::{Commands, Refusal};
use wasmgate_postgres::{Settings, Snapshot, Watermarks};

use crate::harness::{Db, Event, Run, skipped};

/// A table that is captured and nothing read yet.
fn settings(db: &Db, tables: &[&str]) -> Settings {
    let mut settings = db.settings(tables);
    settings.snapshot = Snapshot::Never;
    settings.snapshots.chunk_rows = 50;
    settings
}

fn execute(tables: &[&str]) -> Value {
    json!({ "data-collections": tables, "type": "incremental" })
}

/// Sends while the source goes on; the answer comes with the checkpoint.
fn send(
    commands: &Arc<Commands>,
    kind: &str,
    data: &Value,
) -> tokio::task::JoinHandle<Result<(), Refusal>> {
    let (commands, kind, data) = (Arc::clone(commands), kind.to_owned(), data.to_string());
    tokio::spawn(async move { commands.send("s1".into(), kind, data).await })
}

fn ids(all: &[Event]) -> Vec<i64> {
    let read = all.iter().filter(|e| e.op == "r");
    read.map(|e| e.after()["id"].as_i64().unwrap()).collect()
}

fn told(all: &[Event], kind: &str) -> usize {
    all.iter().filter(|e| e.topic == "told" && e.value["type"] == kind).count()
}

/// Applies events as a sink with keys does; panics where a row that was read comes after a newer
/// change of it (`seq` tells).
fn mirror(all: &[Event]) -> std::collections::BTreeMap<String, Value> {
    let mut rows = std::collections::BTreeMap::<String, Value>::new();
    for event in all {
        let key = event.key.to_string();
        match event.op {
            "r" | "c" | "u" => {
                let new = event.after().clone();
                if let Some(old) = rows.get(&key) {
                    let seq = |v: &Value| v["seq"].as_i64().unwrap();
                    assert!(seq(old) <= seq(&new), "stale: {event:?} after {old}");
                }
                rows.insert(key, new);
            }
            "d" => drop(rows.remove(&key)),
            _ => {}
        }
    }
    rows
}

fn rows_of(db: &Db, table: &str) -> std::collections::BTreeMap<String, Value> {
    let text = db.sql(&format!("SELECT to_jsonb(t) FROM {table} t"));
    let each = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        (json!({ "id": row["id"] }).to_string(), row)
    });
    each.collect()
}

/// Chunks while two writers insert, update, change keys and delete; whatever the marks.
async fn under_writers(watermarks: Watermarks, name: &str) {
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq bigint, v text);
        CREATE SEQUENCE s; INSERT INTO t SELECT i, nextval('s'), 'x' FROM generate_series(1, 2000) i;
        CREATE TABLE sig(id varchar(64) PRIMARY KEY, type varchar(32), data varchar(2048))";
    let db = Db::new(name, setup);
    let mut settings = settings(&db, &["public.t"]);
    settings.snapshots.watermarks = watermarks;
    settings.signals.table = Some("public.sig".into());
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 200).await;
    let script = |n: i64| {
        format!(
            "DO $$ DECLARE k int; BEGIN FOR i IN 1..400 LOOP k := 1 + (random() * 1999)::int;
               CASE i % 4
               WHEN 0 THEN DELETE FROM t WHERE id = k;
               WHEN 1 THEN INSERT INTO t VALUES (3000 * {n} + i, nextval('s'), 'new');
               ELSE UPDATE t SET seq = nextval('s'), v = v || 'x' WHERE id = k; END CASE;
               COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$"
        )
    };
    let signal = "INSERT INTO sig VALUES ('s1', 'execute-snapshot', \
                  '{\"data-collections\": [\"public.t\"]}')";
    let all = std::thread::scope(|scope| {
        let writers = [1, 2].map(|n| {
            let (db, sql) = (&db, script(n));
            scope.spawn(move || db.sql(&sql))
        });
        db.sql(signal);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let mut seen = run.until(|all| told(all, "COMPLETED") == 1).await;
                for writer in writers {
                    writer.join().unwrap();
                }
                db.sql("INSERT INTO t VALUES (-1, nextval('s'), 'end')");
                seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                seen
            })
        })
    });
    let all: Vec<Event> = all;
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
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
    let db = Db::new("chunk_restart", setup);
    let mut settings = settings(&db, &["public.t"]);
    // Nothing is written: chunks stand at a place where the next commit may stand, too.
    settings.snapshots.watermarks = Watermarks::ReadOnly;
    let mut run = Run::open(&settings, 10).await;
    let answer = send(&run.commands, "execute-snapshot", &execute(&["public.t"]));
    let mut all = run.until(|all| ids(all).len() >= 120).await;
    assert_eq!(answer.await.unwrap(), Ok(()), "stored with the first chunk at the latest");
    let mut restarts = 0;
    while ids(&all).last() != Some(&1000) {
        // Read on without settling, write, and crash.
        drop(run.next().await.unwrap());
        db.sql(&format!("INSERT INTO t VALUES ({}, 0)", 5000 + restarts));
        let checkpoint = run.checkpoint.clone();
        drop(run);
        run = Run::resume(&settings, 10, checkpoint).await.unwrap();
        let more = run.until(|all| ids(all).len() >= 100 || ids(all).last() == Some(&1000)).await;
        all.extend(more);
        restarts += 1;
    }
    let missing =
        |all: &[Event]| (0..restarts).any(|n| all.iter().all(|e| e.key["id"] != 5000 + n));
    if missing(&all) {
        all.extend(run.until(|more| !missing(&[all.clone(), more.to_vec()].concat())).await);
    }
    assert!(restarts > 3, "{restarts} restarts");
    let read = ids(&all);
    let mut once = read.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (1..=1000).collect::<Vec<_>>());
    // A restart reads at most two chunks again.
    assert!(read.len() <= 1000 + restarts as usize * 100, "{} rows read", read.len());
    let created = all.iter().filter(|e| e.op == "c").count();
    assert_eq!(created, restarts as usize, "every insert once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_pause_resume_and_stop_and_survive_a_restart() {
    if skipped() {
        return;
    }
    let setup =
        "CREATE TABLE a(id int PRIMARY KEY, seq int); CREATE TABLE b(id int PRIMARY KEY, seq int);
        CREATE TABLE nokey(id int); CREATE TABLE empty(id int PRIMARY KEY);
        INSERT INTO a SELECT i, i FROM generate_series(1, 1000) i;
        INSERT INTO b SELECT i, i FROM generate_series(1, 120) i; INSERT INTO nokey VALUES (1)";
    let db = Db::new("chunk_commands", setup);
    let mut settings = settings(&db, &["public.a", "public.b", "public.nokey", "public.empty"]);
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 10).await;
    let data = execute(&["public.a", "public.(b|nokey|empty)"]);
    let started = send(&run.commands, "execute-snapshot", &data);
    let mut all = run.until(|all| ids(all).len() >= 100).await;
    assert_eq!(started.await.unwrap(), Ok(()));
    let paused = send(&run.commands, "pause-snapshot", &json!({}));
    all.extend(run.until(|all| told(all, "PAUSED") == 1).await);
    assert_eq!(paused.await.unwrap(), Ok(()));
    // At most what was under way still came; after a restart it is still paused.
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    db.sql("INSERT INTO a VALUES (-1, 0)");
    let quiet = run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await;
    assert!(ids(&quiet).len() <= 100, "{}", ids(&quiet).len());
    all.extend(quiet);
    let wrong = send(&run.commands, "execute-snapshot", &json!({}));
    let unknown = send(&run.commands, "bogus", &json!({}));
    for answer in [wrong, unknown] {
        assert!(matches!(answer.await.unwrap(), Err(Refusal::Invalid(_))));
    }
    let stopped =
        send(&run.commands, "stop-snapshot", &json!({ "data-collections": ["public.a"] }));
    all.extend(run.while_asked(&stopped).await);
    let resumed = send(&run.commands, "resume-snapshot", &json!({}));
    all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
    assert_eq!((stopped.await.unwrap(), resumed.await.unwrap()), (Ok(()), Ok(())));
    let of = |table: &str| {
        let topic = format!("srv.public.{table}");
        ids(&all.iter().filter(|e| e.topic == topic).cloned().collect::<Vec<_>>())
    };
    assert!(of("a").len() < 1000, "{} rows of a stopped table", of("a").len());
    assert_eq!(of("b"), (1..=120).collect::<Vec<_>>());
    let statuses: Vec<String> = all
        .iter()
        .filter(|e| e.topic == "told" && e.value["type"] == "TABLE_SCAN_COMPLETED")
        .map(|e| {
            let data = &e.value["additional_data"];
            format!(
                "{} {} {}",
                data["scanned_collection"], data["status"], data["total_rows_scanned"]
            )
        })
        .map(|line| line.replace('"', ""))
        .collect();
    let want = ["public.b SUCCEEDED 120", "public.empty EMPTY 0", "public.nokey NO_PRIMARY_KEY 0"];
    assert_eq!(statuses, want);
    assert_eq!(told(&all, "RESUMED"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_surrogate_keys_choose_rows_and_order() {
    if skipped() {
        return;
    }
    // Three rows of each value; a chunk has 50 rows, and does not part them.
    let setup = "CREATE TABLE t(id int NOT NULL, v int NOT NULL, seq int);
        ALTER TABLE t REPLICA IDENTITY FULL;
        INSERT INTO t SELECT i, (1000 - i) / 6, 0 FROM generate_series(1, 300) i";
    let db = Db::new("chunk_surrogate", setup);
    let mut settings = settings(&db, &["public.t"]);
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 100).await;
    let data = json!({ "data-collections": ["public.t"], "surrogate-key": "v",
        "additional-conditions": [{ "data-collection": "public.t", "filter": "id % 2 = 0" }] });
    let taken = send(&run.commands, "execute-snapshot", &data);
    let all = run.until(|all| told(all, "COMPLETED") == 1).await;
    assert_eq!(taken.await.unwrap(), Ok(()));
    let mut read = ids(&all);
    let value = |id: &i64| (1000 - id) / 6;
    assert!(read.is_sorted_by_key(value), "in the order of the surrogate key: {read:?}");
    read.sort_unstable();
    assert_eq!(read, (1..=150).map(|n| n * 2).collect::<Vec<i64>>());
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
    let db = Db::new("refused_signals", setup);
    let mut settings = settings(&db, &["public.t", "public.u"]);
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 10).await;
    let wrong = |kind: &str| {
        json!({ "data-collections": ["public.t"], "type": kind,
            "additional-conditions": [{ "data-collection": "public.t", "filter": "no sql at all" }] })
    };
    let mut all = Vec::new();
    for (data, kind) in [
        (wrong("incremental"), "COMPLETED"),
        (wrong("blocking"), "ABORTED"),
        (execute(&["public.u"]), "COMPLETED"),
    ] {
        let taken = send(&run.commands, "execute-snapshot", &data);
        all.extend(run.until(|all| told(all, kind) == 1).await);
        assert_eq!(taken.await.unwrap(), Ok(()), "{data}");
    }
    assert_eq!(ids(&all), [7]);
    let status = |e: &Event| e.value["additional_data"]["status"].as_str().map(str::to_owned);
    let statuses: Vec<String> = all.iter().filter_map(status).collect();
    assert_eq!(statuses, ["SQL_EXCEPTION", "SUCCEEDED"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_of_the_first_snapshot_are_read_in_chunks_and_resumed() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE large(id int PRIMARY KEY, seq int, pad text);
        INSERT INTO large SELECT i, 0, repeat('x', 500) FROM generate_series(1, 500) i;
        CREATE TABLE small(id int PRIMARY KEY); INSERT INTO small VALUES (1), (2)";
    let db = Db::new("chunk_first", setup);
    let mut settings = settings(&db, &["public.large", "public.small"]);
    settings.snapshot = Snapshot::Initial;
    settings.snapshots.chunked_above = Some(100 << 10);
    let mut run = Run::open(&settings, 20).await;
    let mut all = run.until(|all| ids(all).len() > 150).await;
    let first = run.assigned.clone();
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql("UPDATE large SET seq = 1 WHERE id IN (1, 490); DELETE FROM large WHERE id = 495");
    let mut run = Run::resume(&settings, 20, checkpoint).await.unwrap();
    let large = |all: &[Event]| all.iter().filter(|e| e.topic == "srv.public.large").count();
    let done = |all: &[Event]| {
        all.iter().any(|e| e.op == "r" && e.key["id"] == 500) && all.iter().any(|e| e.op == "d")
    };
    all.extend(run.until(done).await);
    assert_eq!(first.len(), 1);
    assert!(run.assigned.is_empty(), "no snapshot from the start: {:?}", run.assigned);
    assert!(large(&all) < 500 + 150, "{} rows: it did not go on at the last chunk", large(&all));
    let small: Vec<_> = all.iter().filter(|e| e.topic == "srv.public.small").collect();
    assert_eq!(small.len(), 2);
    let of_large: Vec<Event> = all.into_iter().filter(|e| e.topic == "srv.public.large").collect();
    assert_eq!(mirror(&of_large), rows_of(&db, "large"));
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
