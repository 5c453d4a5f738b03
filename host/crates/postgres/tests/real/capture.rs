//! The stream: which records a change becomes, and what they hold.

use std::time::Duration;

use serde_json::{Value, json};
use wasmgate_model::Payload;
use wasmgate_postgres::Snapshot;

use crate::harness::{Db, Run, events, skipped};

/// (tables, statements, events as lines). Recorded from Debezium's connector.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_become_the_recorded_events() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE d(id int PRIMARY KEY, a int, n int NOT NULL, t text NOT NULL);
        CREATE TABLE f(id int PRIMARY KEY, a int); ALTER TABLE f REPLICA IDENTITY FULL;
        CREATE TABLE nokey(a int, b text); ALTER TABLE nokey REPLICA IDENTITY FULL;
        CREATE TABLE uq(a int NOT NULL UNIQUE, b text); ALTER TABLE uq REPLICA IDENTITY FULL;
        CREATE TABLE ck(a int, b text, c int, PRIMARY KEY (b, a));
        CREATE TABLE ix(id int PRIMARY KEY, u int NOT NULL UNIQUE, v text NOT NULL);
        ALTER TABLE ix REPLICA IDENTITY USING INDEX ix_u_key;
        CREATE TABLE \"My Tab.x\"(id int PRIMARY KEY);";
    let db = Db::new("shapes", setup);
    let tables = ["d", "f", "nokey", "uq", "ck", "ix", "My Tab.x"].map(|t| format!("public.{t}"));
    let mut settings = db.settings(&tables.each_ref().map(String::as_str));
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 1000).await;
    let cases: &[(&str, &[&str])] = &[
        (
            "INSERT INTO d VALUES (1, 1, 5, 'x'); UPDATE d SET a = 2; DELETE FROM d",
            &[
                r#"c {"id":1} null {"a":1,"id":1,"n":5,"t":"x"}"#,
                r#"u {"id":1} null {"a":2,"id":1,"n":5,"t":"x"}"#,
                r#"d {"id":1} {"a":null,"id":1,"n":0,"t":""} null"#,
                r#"tombstone {"id":1}"#,
            ],
        ),
        (
            "INSERT INTO f VALUES (1, 1); UPDATE f SET a = 2; DELETE FROM f",
            &[
                r#"c {"id":1} null {"a":1,"id":1}"#,
                r#"u {"id":1} {"a":1,"id":1} {"a":2,"id":1}"#,
                r#"d {"id":1} {"a":2,"id":1} null"#,
                r#"tombstone {"id":1}"#,
            ],
        ),
        (
            "INSERT INTO nokey VALUES (1, 'x'); UPDATE nokey SET a = 2; DELETE FROM nokey",
            &[
                r#"c null null {"a":1,"b":"x"}"#,
                r#"u null {"a":1,"b":"x"} {"a":2,"b":"x"}"#,
                r#"d null {"a":2,"b":"x"} null"#,
                "tombstone null",
            ],
        ),
        (
            "INSERT INTO uq VALUES (1, 'y'); UPDATE uq SET a = 2",
            &[
                r#"c {"a":1} null {"a":1,"b":"y"}"#,
                r#"d {"a":1} {"a":1,"b":"y"} null __debezium.newkey={"a":2}"#,
                r#"tombstone {"a":1} __debezium.newkey={"a":2}"#,
                r#"c {"a":2} null {"a":2,"b":"y"} __debezium.oldkey={"a":1}"#,
            ],
        ),
        (
            "INSERT INTO ck VALUES (1, 'k', 3); UPDATE ck SET a = 5",
            &[
                r#"c {"b":"k","a":1} null {"a":1,"b":"k","c":3}"#,
                r#"d {"b":"k","a":1} {"a":1,"b":"k","c":null} null __debezium.newkey={"b":"k","a":5}"#,
                r#"tombstone {"b":"k","a":1} __debezium.newkey={"b":"k","a":5}"#,
                r#"c {"b":"k","a":5} null {"a":5,"b":"k","c":3} __debezium.oldkey={"b":"k","a":1}"#,
            ],
        ),
        (
            "INSERT INTO ix VALUES (1, 7, 'v'); DELETE FROM ix",
            &[
                r#"c {"u":7} null {"id":1,"u":7,"v":"v"}"#,
                r#"d {"u":7} {"id":0,"u":7,"v":""} null"#,
                r#"tombstone {"u":7}"#,
            ],
        ),
        (r#"TRUNCATE d; INSERT INTO "My Tab.x" VALUES (1)"#, &[r#"c {"id":1} null {"id":1}"#]),
    ];
    // the lines above are written with sorted members, where order is not what is tested
    let sorted = |line: &str| {
        let mut c: Vec<char> = line.chars().collect();
        c.sort_unstable();
        c
    };
    for (sql, want) in cases {
        db.sql(sql);
        let got: Vec<String> = run.count(want.len()).await.iter().map(|e| e.line()).collect();
        for (got, want) in got.iter().zip(*want) {
            assert_eq!(sorted(got), sorted(want), "{sql}\n got {got}\nwant {want}");
        }
    }
    settings.shape.skipped.truncate = false;
    settings.tombstones_on_delete = false;
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::resume(&settings, 1000, checkpoint).await.unwrap();
    db.sql("DELETE FROM ck; TRUNCATE d, f");
    let got: Vec<_> = run.count(3).await.iter().map(|e| (e.op, e.key.clone())).collect();
    assert_eq!(got, [("d", json!({"b": "k", "a": 5})), ("t", Value::Null), ("t", Value::Null)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_block_and_topic_are_debeziums() {
    if skipped() {
        return;
    }
    let setup = "CREATE SCHEMA s; CREATE TABLE s.\"T é\"(id int PRIMARY KEY)";
    let db = Db::new("source_block", setup);
    let mut settings = db.settings(&["s.T é"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO s.\"T é\" VALUES (1); INSERT INTO s.\"T é\" VALUES (2)");
    let got = run.count(2).await;
    assert_eq!(got[0].topic, "srv.s.T__");
    let source = got[1].value["source"].as_object().unwrap();
    let names: Vec<&str> = source.keys().map(String::as_str).collect();
    let want = "version connector name ts_ms snapshot db sequence ts_us ts_ns schema table txId \
                lsn xmin origin origin_lsn";
    assert_eq!(names, want.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&source["snapshot"], &source["db"]), (&json!("false"), &json!("source_block")));
    assert_eq!((&source["schema"], &source["table"]), (&json!("s"), &json!("T é")));
    let us = source["ts_us"].as_i64().unwrap();
    assert_eq!(source["ts_ms"], us / 1000);
    assert_eq!(source["ts_ns"], us * 1000);
    let sequence: Vec<Value> = serde_json::from_str(source["sequence"].as_str().unwrap()).unwrap();
    assert_eq!(sequence[1], source["lsn"].to_string());
    assert!(sequence[0].is_string(), "the first transaction is the second's last commit");
    let first = got[0].value["source"]["sequence"].as_str().unwrap();
    assert!(first.starts_with("[null,"), "{first}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unchanged_large_values_are_absent_or_taken_from_the_old_row() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, n int, big text);
        ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
        CREATE TABLE f(id int PRIMARY KEY, n int, big text);
        ALTER TABLE f ALTER big SET STORAGE EXTERNAL; ALTER TABLE f REPLICA IDENTITY FULL;
        INSERT INTO t VALUES (1, 0, repeat('abc', 5000));
        INSERT INTO f VALUES (1, 0, repeat('abc', 5000));";
    let db = Db::new("toast", setup);
    let mut settings = db.settings(&["public.t", "public.f"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 10).await;
    db.sql("UPDATE t SET n = 1; UPDATE f SET n = 1");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let delivery = run.next().await.unwrap().unwrap();
        for batch in &delivery.batches {
            let Payload::Rows(rows) = &batch.payload else { panic!("documents") };
            let big = &rows.current[2];
            for row in 0..batch.len() {
                seen.push((
                    batch.schema.topic.to_string(),
                    big.is_absent(row),
                    big.bytes(row).map(<[u8]>::len),
                ));
            }
        }
        run.settle(&delivery).await;
    }
    let want =
        [("srv.public.t".to_owned(), true, None), ("srv.public.f".to_owned(), false, Some(15_000))];
    assert_eq!(seen, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_changes_gets_a_new_schema_in_place() {
    if skipped() {
        return;
    }
    let setup = "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t(id int PRIMARY KEY)";
    let db = Db::new("ddl", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 100).await;
    db.sql(
        "INSERT INTO t VALUES (1);
         BEGIN; INSERT INTO t VALUES (2); ALTER TABLE t ADD m mood DEFAULT 'ok';
         INSERT INTO t VALUES (3); COMMIT;
         ALTER TYPE mood ADD VALUE 'glad'; ALTER TABLE t RENAME m TO n;
         INSERT INTO t VALUES (4, 'glad')",
    );
    let got = run.count(4).await;
    let after: Vec<String> = got.iter().map(|e| e.after().to_string()).collect();
    assert_eq!(
        after,
        [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3,"m":"ok"}"#, r#"{"id":4,"n":"glad"}"#]
    );
    let same: Vec<bool> = got.windows(2).map(|w| w[0].table.id == w[1].table.id).collect();
    assert_eq!(same, [true, false, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_that_are_gone_when_their_rows_are_read_keep_their_values() {
    if skipped() {
        return;
    }
    let setup = "CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE t(id int PRIMARY KEY, m mood, e int NOT NULL)";
    let db = Db::new("lagging", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 100).await;
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql(
        "INSERT INTO t VALUES (1, 'ok', 2);
         ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (e); INSERT INTO t VALUES (2, 'ok', 3);
         ALTER TABLE t DROP m, DROP e",
    );
    let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
    let got = run.count(2).await;
    assert_eq!(got[0].after().to_string(), r#"{"id":1,"m":"ok","e":2}"#);
    // the key is that of the row's time, too
    let keys: Vec<String> = got.iter().map(|e| e.key.to_string()).collect();
    assert_eq!(keys, [r#"{"id":1}"#, r#"{"e":3}"#]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_without_a_form_is_rejected_where_null_is_not_allowed() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, n numeric, m numeric NOT NULL)";
    let db = Db::new("notfinite", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 3).await;
    db.sql("INSERT INTO t VALUES (1, 'NaN', 1), (2, 1, 'NaN'), (3, 1, 1)");
    let (mut rows, mut rejects) = (0, Vec::new());
    while rows < 3 {
        let delivery = run.next().await.unwrap().unwrap();
        rows += delivery.rows();
        for batch in &delivery.batches {
            rejects.extend(batch.rejects.iter().map(|r| format!("{r:?}")));
        }
        run.settle(&delivery).await;
    }
    let [reject] = &rejects[..] else { panic!("{rejects:?}") };
    for said in ["row: 1", "public.t", "field m", "`precise`"] {
        assert!(reject.contains(said), "{said}: {reject}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_answered_while_the_consumer_stalls() {
    if skipped() {
        return;
    }
    let db = Db::new("stall", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.read_ahead = 64 << 10;
    let mut run = Run::open(&settings, 100).await;
    // more than queue and socket buffers hold, so that the socket task has to stop reading
    db.sql("INSERT INTO t SELECT i, repeat('x', 4000) FROM generate_series(1, 5000) i");
    let first = run.next().await.unwrap().unwrap();
    let walsender = "FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
                     WHERE s.slot_name = 'stall'";
    let began = db.sql(&format!("SELECT r.reply_time {walsender}"));
    assert_ne!(began, "", "nobody reads the slot");
    // two and a half times the server's patience
    let stalled = format!("SELECT r.reply_time - '{began}' > interval '2.5 s' {walsender}");
    db.wait_for(&stalled, "t");
    let mut rows = events(&first).len();
    run.settle(&first).await;
    rows += run.until(|all| all.len() + rows >= 5000).await.len();
    assert_eq!(rows, 5000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_slot_moves_on_and_close_lets_go() {
    if skipped() {
        return;
    }
    let db = Db::new("idle", "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE other(id int)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 100).await;
    db.sql("INSERT INTO t VALUES (1)");
    run.count(1).await;
    db.sql("INSERT INTO other SELECT generate_series(1, 1000)");
    let target = db.sql("SELECT pg_current_wal_lsn()");
    let moved = format!(
        "SELECT confirmed_flush_lsn >= '{target}' FROM pg_replication_slots
         WHERE slot_name = 'idle'"
    );
    while db.sql(&moved) != "t" {
        // an empty delivery carries the place; only when it is settled the server is told
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(50), run.next()).await {
            let delivery = next.unwrap().unwrap();
            assert_eq!(delivery.rows(), 0);
            run.settle(&delivery).await;
        }
    }
    run.acker.close().await;
    assert_eq!(db.sql("SELECT active FROM pg_replication_slots WHERE slot_name = 'idle'"), "f");
}
