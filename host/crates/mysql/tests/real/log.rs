//! What the log can hold beside plain changes: compressed and prepared transactions, differences
//! of JSON, statements, partial rows. Each deviation MY-20 to MY-23 of the recordings has its test.

use std::sync::Arc;

use wasmgate_model::FaultKind;
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, FLAVORS, Run, purge, skipped};

fn after(run: &[crate::harness::Event]) -> Vec<String> {
    run.iter().map(|e| e.after().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_of_json_are_applied() {
    if skipped(Flavor::MySql) {
        return;
    }
    let setup = r#"CREATE TABLE t(id int PRIMARY KEY, j json, k json);
        INSERT INTO t VALUES (1, '{"a":1,"b":{"c":[1,2,3]},"long":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}', '[1]')"#;
    let db = Db::new(Flavor::MySql, "differences", setup);
    let mut run = Run::open(&db.streaming(), 100).await;
    db.sql(
        r#"SET binlog_row_value_options = PARTIAL_JSON;
        UPDATE t SET j = JSON_SET(j, '$.a', 2);
        UPDATE t SET j = JSON_SET(j, '$.b.c[1]', 'zwei', '$.new', cast(1.50 as decimal(4,2)));
        UPDATE t SET j = JSON_REMOVE(j, '$.b.c[0]', '$.a');
        UPDATE t SET j = JSON_ARRAY_INSERT(j, '$.b.c[0]', true), k = JSON_SET(k, '$[0]', 7);
        UPDATE t SET id = 2, j = JSON_REPLACE(j, '$.long', '')"#,
    );
    let all = run.count(7).await;
    let json =
        |e: &crate::harness::Event, name: &str| e.after()[name].as_str().unwrap_or("").to_owned();
    let long = r#""long":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#;
    let want = [
        format!(r#"{{"a":2,"b":{{"c":[1,2,3]}},{long}}}"#),
        format!(r#"{{"a":2,"b":{{"c":[1,"zwei",3]}},"new":1.50,{long}}}"#),
        format!(r#"{{"b":{{"c":["zwei",3]}},"new":1.50,{long}}}"#),
        format!(r#"{{"b":{{"c":[true,"zwei",3]}},"new":1.50,{long}}}"#),
    ];
    let got: Vec<_> = all.iter().take(4).map(|e| json(e, "j")).collect();
    assert_eq!(got, want);
    assert_eq!(json(&all[3], "k"), "[7]");
    // The server itself says what the document is.
    assert_eq!(json(&all[6], "j"), r#"{"b":{"c":[true,"zwei",3]},"new":1.50,"long":""}"#);
    let server: serde_json::Value = serde_json::from_str(&db.sql("SELECT j FROM t")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json(&all[6], "j")).unwrap(), server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_logged_whole_stand_beside_differences() {
    if skipped(Flavor::MySql) {
        return;
    }
    let long = "x".repeat(100);
    let setup = format!(
        r#"CREATE TABLE t(id int PRIMARY KEY, j json, v int, k json);
        INSERT INTO t VALUES (1, '{{"a":1,"long":"{long}"}}', 1, '{{"b":1,"long":"{long}"}}')"#
    );
    let db = Db::new(Flavor::MySql, "differences_whole", &setup);
    let mut run = Run::open(&db.streaming(), 100).await;
    // One column is given as differences and the other whole, either way round.
    db.sql(
        r#"SET binlog_row_value_options = PARTIAL_JSON;
        UPDATE t SET j = JSON_SET(j, '$.a', 2), k = '{"b":2}';
        UPDATE t SET j = '{"a":3}', v = 2, k = JSON_SET(k, '$.b', 3)"#,
    );
    let want =
        [format!(r#"{{"a":2,"long":"{long}"}} 1 {{"b":2}}"#), r#"{"a":3} 2 {"b":3}"#.to_owned()];
    let all = run.count(2).await;
    let text = |e: &crate::harness::Event| {
        let row = e.after();
        format!("{} {} {}", row["j"].as_str().unwrap(), row["v"], row["k"].as_str().unwrap())
    };
    assert_eq!(all.iter().map(text).collect::<Vec<_>>(), want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_transactions_are_held_until_their_end() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        // Readers that other tests open meanwhile would meet transactions prepared before them.
        let db = Db::alone(flavor, "prepared", "CREATE TABLE t(id int PRIMARY KEY)");
        let settings = db.streaming();
        let mut run = Run::open(&settings, 100).await;
        db.sql(
            "XA START 'a','b',7; INSERT INTO t VALUES (1), (2); XA END 'a','b',7;
             XA PREPARE 'a','b',7;",
        );
        db.sql("INSERT INTO t VALUES (10)");
        db.sql("XA START 'gone'; INSERT INTO t VALUES (3); XA END 'gone'; XA PREPARE 'gone'");
        db.sql("XA START 'one'; INSERT INTO t VALUES (4); XA END 'one'; XA COMMIT 'one' ONE PHASE");
        let first = run.count(2).await;
        assert_eq!(after(&first), [r#"{"id":10}"#, r#"{"id":4}"#], "{flavor:?}");
        // A restart in between: the prepared rows come back with their end, and only then.
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
        db.sql("INSERT INTO t VALUES (11)");
        db.sql("XA COMMIT 'a','b',7");
        db.sql("XA ROLLBACK 'gone'");
        db.sql("INSERT INTO t VALUES (12)");
        let second = run.count(4).await;
        let want = [r#"{"id":11}"#, r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":12}"#];
        assert_eq!(after(&second), want, "{flavor:?}");
    }
}

/// A prepared transaction with one row for a table.
fn prepare(db: &Db, name: &str, insert: &str) {
    db.sql(&format!("XA START '{name}'; {insert}; XA END '{name}'; XA PREPARE '{name}'"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_prepared_before_reading_began_come_with_their_commit() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1);
            CREATE DATABASE elsewhere; CREATE TABLE elsewhere.t(id int PRIMARY KEY)";
        let db = Db::alone(flavor, "earlier", setup);
        // A name that was used before, and ended otherwise.
        prepare(&db, "ours", "INSERT INTO t VALUES (90)");
        db.sql("XA ROLLBACK 'ours'");
        prepare(&db, "ours", "INSERT INTO t VALUES (2), (3)");
        prepare(&db, "foreign", "INSERT INTO elsewhere.t VALUES (7)");
        prepare(&db, "given up", "INSERT INTO t VALUES (91)");
        db.sql("FLUSH LOGS; INSERT INTO t VALUES (4); FLUSH LOGS");
        for settings in [db.settings(), db.streaming()] {
            let mut run = Run::open(&settings, 100).await;
            if settings.snapshot == wasmgate_mysql::Snapshot::Initial {
                assert_eq!(after(&run.count(2).await), [r#"{"id":1}"#, r#"{"id":4}"#]);
                db.sql("XA COMMIT 'foreign'; INSERT INTO t VALUES (5)");
                assert_eq!(after(&run.count(1).await), [r#"{"id":5}"#], "{flavor:?}");
                continue;
            }
            db.sql("XA COMMIT 'ours'; XA ROLLBACK 'given up'");
            let all = run.count(2).await;
            assert_eq!(after(&all), [r#"{"id":2}"#, r#"{"id":3}"#], "{flavor:?}");
            // Nothing before the end is read again.
            let checkpoint = run.checkpoint.clone();
            drop(run);
            let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
            db.sql("INSERT INTO t VALUES (6)");
            assert_eq!(after(&run.count(1).await), [r#"{"id":6}"#], "{flavor:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_prepared_before_reading_began_are_asked_for_where_the_log_is_purged() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::alone(flavor, "purged", "CREATE TABLE t(id int PRIMARY KEY)");
        prepare(&db, "ours", "INSERT INTO t VALUES (1)");
        purge(&db);
        let mut run = Run::open(&db.streaming(), 100).await;
        db.sql("XA COMMIT 'ours'");
        let fault = loop {
            match run.next().await {
                Ok(delivery) => run.settle(&delivery.unwrap()).await,
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.kind, FaultKind::SourceLost);
        let text = fault.chain();
        assert!(text.contains("6f757273") && text.contains("XA RECOVER"), "{flavor:?} {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_come_with_their_rows() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY, v varchar(20)); CREATE TABLE o(id int)";
        let db = Db::new(flavor, "annotated", setup);
        let settings = wasmgate_mysql::Settings { include_query: true, ..db.streaming() };
        let mut run = Run::open(&settings, 100).await;
        let told =
            if flavor == Flavor::MySql { "SET binlog_rows_query_log_events = ON;" } else { "" };
        let quiet = match flavor {
            Flavor::MySql => "SET binlog_rows_query_log_events = OFF",
            Flavor::MariaDb => "SET binlog_annotate_row_events = OFF",
        };
        let statements = [
            "INSERT INTO t VALUES (1, 'größer'), (2, 'x')",
            "UPDATE t, o SET t.v = 'y', o.id = 2 WHERE t.id = 1 AND o.id = 1",
            "DELETE FROM t WHERE id = 2",
        ];
        db.sql(&format!(
            "{told} INSERT INTO o VALUES (1); BEGIN; {}; COMMIT; FLUSH LOGS;
             XA START 'q'; INSERT INTO t VALUES (3, 'xa'); XA END 'q'; XA PREPARE 'q';
             XA COMMIT 'q'; {quiet}; INSERT INTO t VALUES (4, 'quiet')",
            statements.join(";")
        ));
        let all = run.count(9).await;
        let query = |e: &crate::harness::Event| {
            let table = e.topic.rsplit('.').next().unwrap().to_owned();
            let id = e.key["id"].clone();
            format!("{table} {id} {}", e.value["source"]["query"].as_str().unwrap_or("-"))
        };
        let got: Vec<String> = all.iter().filter(|e| e.op != "tombstone").map(query).collect();
        let [insert, update, delete] = statements;
        let mut want = vec![
            "o null INSERT INTO o VALUES (1)".to_owned(),
            format!("t 1 {insert}"),
            format!("t 2 {insert}"),
            format!("t 1 {update}"),
            format!("o null {update}"),
            format!("t 2 {delete}"),
            "t 3 INSERT INTO t VALUES (3, 'xa')".into(),
            "t 4 -".into(),
        ];
        if got.get(3) != want.get(3) {
            want.swap(3, 4);
        }
        assert_eq!(got, want, "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_logs_read_like_plain_ones() {
    let servers = [
        (Flavor::MySql, "--binlog-transaction-compression=ON"),
        (Flavor::MariaDb, "--log-bin-compress=ON"),
    ];
    for (flavor, argument) in servers.into_iter().filter(|(f, _)| !skipped(*f)) {
        let arguments = vec![argument.to_owned(), "--log-bin-compress-min-len=10".into()];
        let arguments = arguments.into_iter().take(if flavor == Flavor::MariaDb { 2 } else { 1 });
        let options = Options { arguments: arguments.collect(), ..Options::default() };
        let server = Arc::new(MySql::start(flavor, &options).unwrap());
        let db = Db::on(server, "packed", "CREATE TABLE t(id int PRIMARY KEY, v text)");
        let settings = db.streaming();
        let mut run = Run::open(&settings, 3).await;
        db.sql(
            "BEGIN; INSERT INTO t VALUES (1, repeat('x', 3000)), (2, repeat('y', 3000));
             UPDATE t SET v = concat(v, 'z'); DELETE FROM t WHERE id = 1; COMMIT;
             ALTER TABLE t ADD c int DEFAULT 5; INSERT INTO t(id) VALUES (3)",
        );
        let all = run.count(7).await;
        let ops: Vec<_> = all.iter().map(|e| e.op).collect();
        assert_eq!(ops, ["c", "c", "u", "u", "d", "tombstone", "c"], "{flavor:?}");
        assert_eq!(all[3].after()["v"], format!("{}z", "y".repeat(3000)));
        assert_eq!(all[6].after().to_string(), r#"{"id":3,"v":null,"c":5}"#);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_are_no_whole_rows_are_refused_never_lost() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        // Every reader of the log is refused.
        let db = Db::alone(flavor, "statements", "CREATE TABLE t(id int PRIMARY KEY, v int)");
        // Rows in part hold their table back, see `quarantine`.
        for (set, want) in [("SET SESSION binlog_format = 'STATEMENT'", "binlog_format = 'ROW'")] {
            let mut run = Run::open(&db.streaming(), 100).await;
            db.sql(&format!(
                "INSERT INTO t VALUES (1, 1); {set}; UPDATE t SET v = 2 WHERE id = 1;
                 SET SESSION binlog_format = 'ROW'; DELETE FROM t"
            ));
            let fault = loop {
                match run.next().await {
                    Ok(delivery) => run.settle(&delivery.unwrap()).await,
                    Err(fault) => break fault,
                }
            };
            assert_eq!(fault.kind, FaultKind::SourceRefused);
            assert!(fault.chain().contains(want), "{flavor:?} {}", fault.chain());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_logs_rows_in_part_is_refused_at_the_start() {
    for (setting, want) in [
        ("--binlog-row-image=MINIMAL", "binlog_row_image = 'FULL'"),
        ("--binlog-row-image=NOBLOB", "binlog_row_image = 'FULL'"),
        ("--binlog-format=STATEMENT", "binlog_format = 'ROW'"),
    ] {
        let flavor = Flavor::MariaDb;
        if skipped(flavor) {
            return;
        }
        let options = Options { arguments: vec![setting.into()], ..Options::default() };
        let server = Arc::new(MySql::start(flavor, &options).unwrap());
        let db = Db::on(server, "partly", "CREATE TABLE t(id int)");
        match Run::resume(&db.streaming(), 10, wasmgate_model::Checkpoint::default()).await {
            Ok(_) => panic!("opened with {setting}"),
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::SourceRefused);
                assert!(fault.chain().contains(want), "{}", fault.chain());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tagged_transactions_are_read_and_resumed() {
    if skipped(Flavor::MySql) {
        return;
    }
    let db = Db::new(Flavor::MySql, "tagged", "CREATE TABLE t(id int PRIMARY KEY)");
    let settings = db.streaming();
    let mut run = Run::open(&settings, 100).await;
    db.sql("SET gtid_next = 'AUTOMATIC:audit'; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
    let first = run.count(2).await;
    let gtid = first[0].value["source"]["gtid"].as_str().unwrap().to_owned();
    assert!(gtid.contains(":audit:"), "{gtid}");
    assert!(first[0].value["source"]["ts_us"].as_i64().unwrap() % 1_000_000 != 0);
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
    db.sql("SET gtid_next = 'AUTOMATIC:audit'; INSERT INTO t VALUES (3)");
    assert_eq!(after(&run.count(1).await), [r#"{"id":3}"#]);
}
