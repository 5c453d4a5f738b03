//! Several connections, statements of one's own, and what is told of a snapshot.

use serde_json::Value;
use wasmgate_capture_kit::parallel::{ids, marks};
use wasmgate_postgres::{Settings, Snapshot};

use crate::harness::{Db, Event, Mirror, Run, skipped};

/// The events of a snapshot that completes.
async fn copied(settings: &Settings, rows: usize) -> Vec<Event> {
    let settings = Settings { snapshot: Snapshot::InitialOnly, ..settings.clone() };
    let mut run = Run::open(&settings, rows).await;
    let all = run.until(|_| false).await;
    assert!(run.completed);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_read_every_row_once_and_mark_first_and_last() {
    if skipped() {
        return;
    }
    // About 2,250 pages: three ranges; and a table after it that is empty.
    let setup = "CREATE TABLE big(id int PRIMARY KEY, v text);
        INSERT INTO big SELECT i, repeat('x', 1900) FROM generate_series(1, 9000) i;
        CREATE TABLE a(id int PRIMARY KEY, v text); INSERT INTO a SELECT i FROM generate_series(1, 3) i;
        CREATE TABLE c(id int PRIMARY KEY, v text); CREATE TABLE b(id int PRIMARY KEY, v text);
        INSERT INTO b VALUES (7)";
    let db = Db::new("parallel", setup);
    let mut settings = db.settings(&["public.a", "public.b", "public.big", "public.c"]);
    settings.snapshots.threads = 3;
    let all = copied(&settings, 1000).await;
    let found = ids(&all);
    assert_eq!(found["a"], [1, 2, 3]);
    assert_eq!(found["b"], [7]);
    assert_eq!(found["big"], (1..=9000).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    let marks = marks(&all);
    let count = |mark| marks.iter().filter(|m| **m == mark).count();
    assert_eq!((marks[0], marks[marks.len() - 1]), ("first", "last"));
    assert_eq!((count("first"), count("last")), (1, 1));
    // Three tables with rows; one has the first row of all, one the last, one a single row.
    assert!(count("last_in_data_collection") >= 1, "{marks:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_read_by_themselves_or_by_ranges_of_the_key() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE p(id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (MINVALUE) TO (100);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (MAXVALUE);
        INSERT INTO p SELECT i, 'v' FROM generate_series(-50, 500) i;
        CREATE PUBLICATION roots FOR TABLE p WITH (publish_via_partition_root = true);
        CREATE ROLE only_root LOGIN REPLICATION; GRANT SELECT ON p TO only_root";
    let db = Db::new("partitions", setup);
    let mut settings = db.settings(&["public.p"]);
    settings.publication = "roots".into();
    settings.snapshots.threads = 2;
    for user in [None, Some("only_root")] {
        if let Some(user) = user {
            settings.user = user.into();
            settings.slot = "only_root".into();
        }
        let found = ids(&copied(&settings, 100).await);
        assert_eq!(found["p"], (-50..=500).collect::<Vec<_>>(), "{user:?}");
    }
    db.sql("SELECT pg_drop_replication_slot('only_root'); DROP OWNED BY only_root; DROP ROLE only_root");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_and_the_stream_equal_the_table_under_writers() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, v int, pad text);
        INSERT INTO t SELECT i, 0, repeat('x', 1900) FROM generate_series(1, 6000) i";
    let db = Db::new("parallel_writers", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.snapshots.threads = 4;
    let script = "DO $$ BEGIN FOR i IN 1..300 LOOP
        UPDATE t SET v = v + 1 WHERE id = 1 + (random() * 5999)::int;
        DELETE FROM t WHERE id = 1 + (random() * 5999)::int;
        INSERT INTO t VALUES (6000 + i, i, 'new'); COMMIT; PERFORM pg_sleep(0.002);
        END LOOP; END $$";
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| db.sql(script));
        db.wait_for("SELECT count(*) > 0 FROM t WHERE id > 6010", "t");
        let runtime = tokio::runtime::Handle::current();
        let mirror = tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let mut run = Run::open(&settings, 500).await;
                let mut mirror = Mirror::default();
                let mut seen = run.until(|all| all.iter().any(|e| e.op != "r")).await;
                writer.join().unwrap();
                db.sql("INSERT INTO t VALUES (-1, 0, 'end')");
                seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                seen.iter().for_each(|event| mirror.apply(event));
                mirror
            })
        });
        let rows = db.sql("SELECT id, v FROM t ORDER BY id");
        let want: Vec<String> = rows.lines().map(str::to_owned).collect();
        let mut got: Vec<(i64, String)> = mirror
            .rows
            .values()
            .map(|r| (r["id"].as_i64().unwrap(), format!("{}|{}", r["id"], r["v"])))
            .collect();
        got.sort();
        let got: Vec<String> = got.into_iter().map(|(_, text)| text).collect();
        assert_eq!(got, want);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_by_a_statement_and_only_of_the_tables_that_are_asked_for() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i FROM generate_series(1, 4) i;
        CREATE TABLE u(id int PRIMARY KEY); INSERT INTO u VALUES (1)";
    let db = Db::new("chosen", setup);
    let mut settings = db.settings(&["public.t", "public.u"]);
    let statement = "SELECT v * 10 AS v, id FROM t WHERE id > 2 ORDER BY id DESC";
    settings.snapshots.select.insert("public.t".into(), statement.into());
    settings.snapshots.include = vec![regex::Regex::new("^public\\.t$").unwrap()];
    settings.notifications.topic = Some("told".into());
    let mut run = Run::open(&settings, 10).await;
    let all = run.count(6).await;
    let rows: Vec<String> = all
        .iter()
        .filter(|e| e.op == "r")
        .map(|e| format!("{} {}", e.after(), e.value["source"]["snapshot"]))
        .collect();
    assert_eq!(rows, [r#"{"id":4,"v":40} "first""#, r#"{"id":3,"v":30} "last""#]);
    let told: Vec<String> = all
        .iter()
        .filter(|e| e.topic == "told")
        .map(|e| {
            assert_eq!(e.key["id"], e.value["id"]);
            assert_eq!(e.value["aggregate_type"], "Initial Snapshot");
            assert!(e.value["timestamp"].is_i64());
            let Value::Object(mut data) = e.value["additional_data"].clone() else {
                panic!("{e:?}")
            };
            assert!(data.shift_remove("connector_name").is_some());
            format!("{} {}", e.value["type"].as_str().unwrap(), Value::Object(data))
        })
        .collect();
    let want = [
        "STARTED {}",
        r#"IN_PROGRESS {"current_collection_in_progress":"public.t","data_collections":"public.t"}"#,
        r#"TABLE_SCAN_COMPLETED {"scanned_collection":"public.t","total_rows_scanned":"2","status":"SUCCEEDED","data_collections":"public.t"}"#,
        "COMPLETED {}",
    ];
    assert_eq!(told, want);
    // Started again, it says that there is nothing to copy.
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    let again = run.count(1).await.remove(0);
    assert_eq!((again.topic.as_str(), &again.value["type"]), ("told", &"SKIPPED".into()));
}
