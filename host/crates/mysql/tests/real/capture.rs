//! Snapshot and stream on both servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Db, Event, FLAVORS, Mirror, Run, skipped};

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_then_stream() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY, v varchar(20)); \
                     INSERT INTO t VALUES (1, 'one'), (2, NULL)";
        let db = Db::new(flavor, "snapstream", setup);
        let mut run = Run::open(&db.settings(), 100).await;
        let mut all = run.count(2).await;
        db.sql(
            "INSERT INTO t VALUES (3, 'é'); UPDATE t SET v = 'x' WHERE id = 2; \
             UPDATE t SET id = 9 WHERE id = 1; DELETE FROM t WHERE id = 3",
        );
        all.extend(run.count(7).await);
        let want = [
            r#"r {"id":1} null {"id":1,"v":"one"}"#,
            r#"r {"id":2} null {"id":2,"v":null}"#,
            r#"c {"id":3} null {"id":3,"v":"é"}"#,
            r#"u {"id":2} {"id":2,"v":null} {"id":2,"v":"x"}"#,
            r#"d {"id":1} {"id":1,"v":"one"} null __debezium.newkey={"id":9}"#,
            r#"tombstone {"id":1} __debezium.newkey={"id":9}"#,
            r#"c {"id":9} null {"id":9,"v":"one"} __debezium.oldkey={"id":1}"#,
            r#"d {"id":3} {"id":3,"v":"é"} null"#,
            r#"tombstone {"id":3}"#,
        ];
        assert_eq!(lines(&all), want, "{flavor:?}");
        let marks: Vec<_> = all.iter().map(|e| e.value["source"]["snapshot"].clone()).collect();
        assert_eq!(marks[..3], ["first", "last", "false"], "{flavor:?}");
        let source = &all[2].value["source"];
        assert_eq!(source["server_id"], 1);
        assert!(source["gtid"].is_string() && source["pos"].is_number(), "{source}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_beside_writers_and_the_stream_make_the_table() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "beside", "CREATE TABLE t(id int PRIMARY KEY, n int)");
        let rows: Vec<String> = (0..2000).map(|i| format!("({i},0)")).collect();
        db.sql(&format!("INSERT INTO t VALUES {}", rows.join(",")));
        let (server, name) = (Arc::clone(&db.server), db.name.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            let mut i = 0;
            while !stopped.load(Ordering::Relaxed) {
                i += 1;
                let script = format!(
                    "UPDATE t SET n = n + 1 WHERE id % 50 = {m}; DELETE FROM t WHERE id = {i};
                     INSERT INTO t VALUES ({new}, 1); UPDATE t SET id = id + 100000 WHERE id = {new}",
                    m = i % 50,
                    new = 10_000 + i,
                );
                server.sql(&name, &script).unwrap();
            }
        });
        let mut run = Run::open(&db.settings(), 100).await;
        let mut mirror = Mirror::default();
        let mut seen = 0;
        while seen < 3000 {
            let some = run.count_some().await;
            seen += some.len();
            some.iter().for_each(|event| mirror.apply(event));
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        db.sql("INSERT INTO t VALUES (-1, -1)");
        while !mirror.rows.contains_key(r#"{"id":-1}"#) {
            run.count_some().await.iter().for_each(|event| mirror.apply(event));
        }
        let table = db.sql("SELECT id, n FROM t ORDER BY id");
        let mut got: Vec<(i64, i64)> = mirror
            .rows
            .values()
            .map(|row| (row["id"].as_i64().unwrap(), row["n"].as_i64().unwrap()))
            .collect();
        got.sort_unstable();
        let got: Vec<String> = got.iter().map(|(id, n)| format!("{id}\t{n}")).collect();
        assert_eq!(got.join("\n"), table, "{flavor:?}");
    }
}
