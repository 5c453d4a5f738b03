//! Snapshots beside the stream: chunks against writers, signals and commands, restarts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use wasmgate_connector::{Commands, Refusal};
use wasmgate_mysql::{Settings, Snapshot, Watermarks};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, Event, FLAVORS, Run, skipped};

const SIGNALS: &str = "CREATE TABLE sig(id varchar(64) PRIMARY KEY, type varchar(32), data text);";

/// Nothing is read yet.
fn settings(db: &Db) -> Settings {
    let mut settings = db.streaming();
    settings.snapshots.chunk_rows = 50;
    settings.signals.table = Some(format!("{}.sig", db.name));
    settings.notifications.topic = Some("told".into());
    settings
}

fn execute(db: &Db, tables: &[&str]) -> Value {
    let tables: Vec<String> = tables.iter().map(|t| format!("{}.{t}", db.name)).collect();
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

fn of(all: &[Event], db: &Db, table: &str) -> Vec<Event> {
    let topic = format!("srv.{}.{table}", db.name);
    all.iter().filter(|e| e.topic == topic).cloned().collect()
}

/// Rows numbered from 1: their id, 0.
fn insert(db: &Db, table: &str, rows: i64) {
    let values: Vec<String> = (1..=rows).map(|i| format!("({i},0)")).collect();
    db.sql(&format!("INSERT INTO {table}(id, seq) VALUES {}", values.join(",")));
}

/// Applies events as a sink with keys does; panics where a row that was read comes after a newer
/// change of it (`seq` tells).
fn mirror(all: &[Event]) -> BTreeMap<i64, i64> {
    let mut rows = BTreeMap::new();
    for event in all {
        let id = event.key["id"].as_i64().unwrap();
        match event.op {
            "r" | "c" | "u" => {
                let seq = event.after()["seq"].as_i64().unwrap();
                let old = rows.insert(id, seq);
                assert!(old.is_none_or(|old| old <= seq), "stale: {event:?} after {old:?}");
            }
            "d" => drop(rows.remove(&id)),
            _ => {}
        }
    }
    rows
}

fn rows_of(db: &Db, table: &str) -> BTreeMap<i64, i64> {
    let text = db.sql(&format!("SELECT id, seq FROM {table}"));
    let each = text.lines().map(|line| {
        let (id, seq) = line.split_once('\t').unwrap();
        (id.parse().unwrap(), seq.parse().unwrap())
    });
    each.collect()
}

/// Chunks while two writers insert, update, change keys and delete; whatever the marks.
async fn under_writers(db: &Db, watermarks: Watermarks) {
    insert(db, "t", 2000);
    let mut settings = settings(db);
    settings.snapshots.watermarks = watermarks;
    let mut run = Run::open(&settings, 200).await;
    let seq = AtomicI64::new(1);
    // Each has rows of its own, so that `seq` goes up row by row.
    let write = |writer: i64| {
        for i in 0..60 {
            let mut script = String::new();
            for j in 0..5 {
                let n = seq.fetch_add(1, Ordering::Relaxed);
                let id = (i * 5 + j) * 37 % 1000 * 2 + writer;
                let new = 10_000 + (i * 5 + j) * 2 + writer;
                script.push_str(&match j {
                    0 => format!("DELETE FROM t WHERE id = {id};"),
                    1 => format!("INSERT INTO t VALUES ({new}, {n});"),
                    2 => format!("UPDATE t SET id = {new}, seq = {n} WHERE id = {id};"),
                    _ => format!("UPDATE t SET seq = {n} WHERE id = {id};"),
                });
            }
            db.sql(&script);
        }
    };
    let signal =
        format!("INSERT INTO sig VALUES ('s1', 'execute-snapshot', '{}')", execute(db, &["t"]));
    let all = std::thread::scope(|scope| {
        let write = &write;
        let writers = [0, 1].map(|n| scope.spawn(move || write(n)));
        db.sql(&signal);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let mut seen = run.until(|all| told(all, "COMPLETED") == 1).await;
                for writer in writers {
                    writer.join().unwrap();
                }
                db.sql("INSERT INTO t VALUES (-1, 0)");
                seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                seen
            })
        })
    });
    let all: Vec<Event> = all;
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    let of_t = of(&all, db, "t");
    assert!(ids(&of_t).len() > 500, "{} rows were read", ids(&of_t).len());
    let read = of_t.iter().find(|e| e.op == "r").unwrap();
    let source = &read.value["source"];
    assert_eq!((&source["snapshot"], &source["gtid"]), (&"incremental".into(), &Value::Null));
    assert_eq!(mirror(&of_t), rows_of(db, "t"), "{:?} {watermarks:?}", db.name);
    let marks = of(&all, db, "sig").iter().filter(|e| e.op == "c").count() - 1;
    assert_eq!(marks > 0, watermarks != Watermarks::ReadOnly, "{marks} marks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_equal_the_table_under_writers_whatever_the_marks() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        for (watermarks, name) in [
            (Watermarks::ReadOnly, "chunks_read_only"),
            (Watermarks::InsertInsert, "chunks_insert"),
            (Watermarks::InsertDelete, "chunks_delete"),
        ] {
            let setup = format!("CREATE TABLE t(id int PRIMARY KEY, seq bigint); {SIGNALS}");
            under_writers(&Db::new(flavor, name, &setup), watermarks).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_gtids_takes_marks_in_the_signal_table() {
    if skipped(Flavor::MySql) {
        return;
    }
    let arguments = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned);
    let options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let server = Arc::new(MySql::start(Flavor::MySql, &options).unwrap());
    let setup = format!("CREATE TABLE t(id int PRIMARY KEY, seq bigint); {SIGNALS}");
    let db = Db::on(server, "chunks_no_gtids", &setup);
    let mut run = Run::open(&settings(&db), 10).await;
    let mut asked = send(&run.commands, "execute-snapshot", &execute(&db, &["t"]));
    // Nothing may come: it is the answer that is waited for.
    let answer = tokio::select! {
        answer = &mut asked => answer.unwrap(),
        _ = run.until(|_| false) => panic!("no answer"),
    };
    let Err(Refusal::Conflict(why)) = answer else { panic!("taken") };
    assert!(why.contains("gtid_mode") && why.contains("insert_insert"), "{why}");
    drop(run);
    under_writers(&db, Watermarks::InsertInsert).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_at_the_last_chunk_and_never_takes_a_transaction_for_settled() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "chunk_restart", "CREATE TABLE t(id int PRIMARY KEY, seq int)");
        insert(&db, "t", 1000);
        let mut settings = settings(&db);
        settings.transaction_metadata = true;
        let mut run = Run::open(&settings, 10).await;
        let answer = send(&run.commands, "execute-snapshot", &execute(&db, &["t"]));
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
            let done = |all: &[Event]| ids(all).len() >= 100 || ids(all).last() == Some(&1000);
            all.extend(run.until(done).await);
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
        assert_eq!(once, (1..=1000).collect::<Vec<_>>(), "{flavor:?}");
        // A restart reads at most two chunks again.
        assert!(read.len() <= 1000 + restarts as usize * 100, "{} rows read", read.len());
        let created = all.iter().filter(|e| e.op == "c").count();
        assert_eq!(created, restarts as usize, "every insert once");
        let begun: Vec<&Value> = all
            .iter()
            .filter(|e| e.topic == "srv.transaction" && e.value["status"] == "BEGIN")
            .map(|e| &e.value["id"])
            .collect();
        assert!(begun.len() >= restarts as usize, "{flavor:?} {begun:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_pause_resume_and_stop_and_survive_a_restart() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE a(id int PRIMARY KEY, seq int);
            CREATE TABLE b(id int PRIMARY KEY, seq int);
            CREATE TABLE nokey(id int); CREATE TABLE none(id int PRIMARY KEY);
            INSERT INTO nokey VALUES (1)";
        let db = Db::new(flavor, "chunk_commands", setup);
        insert(&db, "a", 1000);
        insert(&db, "b", 120);
        let settings = settings(&db);
        let mut run = Run::open(&settings, 10).await;
        let data = execute(&db, &["a", "(b|nokey|none)"]);
        let started = send(&run.commands, "execute-snapshot", &data);
        let mut all = run.until(|all| ids(all).len() >= 100).await;
        assert_eq!(started.await.unwrap(), Ok(()));
        let paused = send(&run.commands, "pause-snapshot", &json!({}));
        all.extend(run.until(|all| told(all, "PAUSED") == 1).await);
        all.extend(run.while_asked(&paused).await);
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
        let stop = json!({ "data-collections": [format!("{}.a", db.name)] });
        let stopped = send(&run.commands, "stop-snapshot", &stop);
        all.extend(run.while_asked(&stopped).await);
        let resumed = send(&run.commands, "resume-snapshot", &json!({}));
        all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
        all.extend(run.while_asked(&resumed).await);
        assert_eq!((stopped.await.unwrap(), resumed.await.unwrap()), (Ok(()), Ok(())));
        let read = |table: &str| ids(&of(&all, &db, table));
        assert!(read("a").len() < 1000, "{} rows of a stopped table", read("a").len());
        assert_eq!(read("b"), (1..=120).collect::<Vec<_>>());
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
        let want = ["b SUCCEEDED 120", "nokey NO_PRIMARY_KEY 0", "none EMPTY 0"];
        assert_eq!(statuses, want.map(|line| format!("{}.{line}", db.name)), "{flavor:?}");
        assert_eq!(told(&all, "RESUMED"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_surrogate_keys_choose_rows_and_order() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        // Three rows of each value; a chunk has 50 rows, and does not part them.
        let setup = "CREATE TABLE t(id int NOT NULL, v int NOT NULL)";
        let db = Db::new(flavor, "chunk_surrogate", setup);
        let rows: Vec<String> = (1..=300).map(|i| format!("({i},{})", (1000 - i) / 6)).collect();
        db.sql(&format!("INSERT INTO t VALUES {}", rows.join(",")));
        let mut run = Run::open(&settings(&db), 100).await;
        let mut data = execute(&db, &["t"]);
        data["surrogate-key"] = "v".into();
        data["additional-conditions"] =
            json!([{ "data-collection": format!("{}.t", db.name), "filter": "id % 2 = 0" }]);
        let taken = send(&run.commands, "execute-snapshot", &data);
        let all = run.until(|all| told(all, "COMPLETED") == 1).await;
        assert_eq!(taken.await.unwrap(), Ok(()));
        let mut read = ids(&all);
        let value = |id: &i64| (1000 - id) / 6;
        assert!(read.is_sorted_by_key(value), "in the order of the surrogate key: {read:?}");
        read.sort_unstable();
        assert_eq!(read, (1..=150).map(|n| n * 2).collect::<Vec<i64>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_type_are_gone_by() {
    let keys = [
        ("k varchar(20) COLLATE utf8mb4_bin", "concat('ä\\\\''-', i)"),
        ("k char(20) CHARACTER SET latin1", "concat('é', i)"),
        ("k varbinary(20)", "concat(x'00ff', i)"),
        ("k binary(8)", "concat(x'ff00', i)"),
        ("k bigint unsigned", "18446744073709551615 - i"),
        ("k decimal(30,10)", "i * 1.0000000001 - 100"),
        ("k double", "i / 7 - 20"),
        ("k float", "i / 7 - 20"),
        ("k date", "date'2000-01-01' + interval i day"),
        ("k datetime(6)", "timestamp'2000-01-01 00:00:00.000001' + interval i microsecond"),
        (
            "k timestamp(3) DEFAULT '2001-01-01'",
            "timestamp'2020-01-01 00:00:00' + interval i * 10 second",
        ),
        ("k time(2)", "sec_to_time(i * 100 - 9000)"),
        ("k enum('zz','b','a')", "1 + i % 3"),
        ("k bit(9)", "i"),
        ("k year", "1950 + i % 100"),
    ];
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "chunk_keys", "SET @x = 1");
        let mut settings = settings(&db);
        settings.snapshots.chunk_rows = 7;
        let numbers: Vec<String> = (1..=100).map(|i| format!("({i})")).collect();
        db.sql(&format!(
            "CREATE TABLE n(i int PRIMARY KEY); INSERT INTO n VALUES {}",
            numbers.join(",")
        ));
        for (number, (column, value)) in keys.iter().enumerate() {
            // A pair, as one column of some types has few values.
            db.sql(&format!(
                "CREATE TABLE k{number}({column}, id int, seq int, PRIMARY KEY (k, id));
                 INSERT INTO k{number} SELECT {value}, i, 0 FROM n"
            ));
        }
        let mut run = Run::open(&settings, 100).await;
        let taken = send(&run.commands, "execute-snapshot", &execute(&db, &["k.*"]));
        // The stream changes every row meanwhile: what it told is not told again as it was.
        for number in 0..keys.len() {
            db.sql(&format!("UPDATE k{number} SET seq = 1"));
        }
        let all = run.until(|all| told(all, "COMPLETED") == 1).await;
        assert_eq!(taken.await.unwrap(), Ok(()));
        for (number, (column, _)) in keys.iter().enumerate() {
            let of_k = of(&all, &db, &format!("k{number}"));
            let mut seen: BTreeMap<String, i64> = BTreeMap::new();
            for event in &of_k {
                let seq = event.after()["seq"].as_i64().unwrap();
                let old = seen.insert(event.key.to_string(), seq);
                assert!(old.is_none_or(|old| old <= seq), "{flavor:?} {column} {event:?}");
            }
            assert_eq!(seen.len(), 100, "{flavor:?} {column}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_given_up_and_the_stream_goes_on() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
            CREATE TABLE u(id int PRIMARY KEY); INSERT INTO u VALUES (7)";
        let db = Db::new(flavor, "refused_signals", setup);
        let mut run = Run::open(&settings(&db), 10).await;
        let mut wrong = execute(&db, &["t"]);
        wrong["additional-conditions"] =
            json!([{ "data-collection": format!("{}.t", db.name), "filter": "no sql at all" }]);
        let mut all = Vec::new();
        for data in [wrong, execute(&db, &["u"])] {
            let taken = send(&run.commands, "execute-snapshot", &data);
            all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
            assert_eq!(taken.await.unwrap(), Ok(()), "{data}");
        }
        assert_eq!(ids(&all), [7]);
        let status = |e: &Event| e.value["additional_data"]["status"].as_str().map(str::to_owned);
        let statuses: Vec<String> = all.iter().filter_map(status).collect();
        assert_eq!(statuses, ["SQL_EXCEPTION", "SUCCEEDED"], "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_may_be_altered_while_it_is_read() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY, seq int)";
        let db = Db::new(flavor, "chunk_altered", setup);
        insert(&db, "t", 1000);
        let mut settings = settings(&db);
        settings.snapshots.chunk_rows = 10;
        let mut run = Run::open(&settings, 10).await;
        let taken = send(&run.commands, "execute-snapshot", &execute(&db, &["t"]));
        let mut all = run.until(|all| ids(all).len() >= 50).await;
        db.sql("ALTER TABLE t ADD extra int NOT NULL DEFAULT 7, DROP seq");
        all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
        assert_eq!(taken.await.unwrap(), Ok(()));
        let mut read = ids(&all);
        read.sort_unstable();
        assert_eq!(read, (1..=1000).collect::<Vec<_>>(), "{flavor:?}");
        let last = all.iter().rfind(|e| e.op == "r").unwrap();
        assert_eq!(last.after(), &json!({ "id": 1000, "extra": 7 }), "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_of_the_first_snapshot_are_read_in_chunks_and_resumed() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE large(id int PRIMARY KEY, seq int, pad varchar(600));
            CREATE TABLE small(id int PRIMARY KEY); INSERT INTO small VALUES (1), (2)";
        let db = Db::new(flavor, "chunk_first", setup);
        insert(&db, "large", 500);
        db.sql("UPDATE large SET pad = repeat('x', 500); ANALYZE TABLE large");
        let mut settings = settings(&db);
        settings.snapshot = Snapshot::Initial;
        settings.snapshots.chunked_above = Some(100 << 10);
        let mut run = Run::open(&settings, 20).await;
        let mut all = run.until(|all| ids(all).len() > 150).await;
        let first = run.assigned.clone();
        let checkpoint = run.checkpoint.clone();
        drop(run);
        db.sql("UPDATE large SET seq = 1 WHERE id IN (1, 490); DELETE FROM large WHERE id = 495");
        let mut run = Run::resume(&settings, 20, checkpoint).await.unwrap();
        let done = |all: &[Event]| {
            all.iter().any(|e| e.op == "r" && e.key["id"] == 500) && all.iter().any(|e| e.op == "d")
        };
        all.extend(run.until(done).await);
        assert_eq!(first.len(), 1);
        assert!(run.assigned.is_empty(), "no snapshot from the start: {:?}", run.assigned);
        let large = of(&all, &db, "large");
        assert!(large.len() < 500 + 150, "{} rows: not from the last chunk on", large.len());
        assert_eq!(of(&all, &db, "small").len(), 2);
        assert_eq!(mirror(&large), rows_of(&db, "large"), "{flavor:?}");
    }
}
