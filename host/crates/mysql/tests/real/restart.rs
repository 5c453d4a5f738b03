//! Restarts: going on at the checkpoint, and telling when that is not possible.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_capture_kit::beside::send;
use wasmgate_capture_kit::restart::midway;
use wasmgate_connector::conformance::{self, SourceKit};
use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_mysql::{MySqlSource, Settings, Snapshot, Start};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, FLAVORS, Run, skipped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_inside_a_transaction_without_loss_or_repeat() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "midway", "CREATE TABLE t(id int PRIMARY KEY, v text)");
        let settings = db.streaming();
        let run = Run::open(&settings, 7).await;
        let rows = |from: i32, to: i32| {
            (from..=to).map(|i| format!("({i},'x')")).collect::<Vec<_>>().join(",")
        };
        // 40 inserts, 20 key changes of three records, 10 deletes of two, then another transaction
        db.sql(&format!(
            "BEGIN; INSERT INTO t VALUES {}; INSERT INTO t VALUES {};
             UPDATE t SET id = id + 100 WHERE id <= 20; DELETE FROM t WHERE id BETWEEN 21 AND 30;
             COMMIT; INSERT INTO t VALUES (-1, 'x')",
            rows(1, 20),
            rows(21, 40)
        ));
        let want = 40 + 60 + 20 + 1;
        let resume = async |checkpoint| Run::resume(&settings, 7, checkpoint).await.unwrap();
        let (all, inside) = midway(run, want, resume).await;
        assert!(inside > 2, "no restart inside the transaction");
        let ops = |op| all.iter().filter(|e| e.op == op).count();
        assert_eq!((ops("c"), ops("d"), ops("tombstone")), (40 + 20 + 1, 30, 30));
    }
}

/// A server of the test's own, with arguments.
fn own(flavor: Flavor, arguments: &[&str]) -> Arc<MySql> {
    let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    let options = Options { arguments, ..Options::default() };
    Arc::new(MySql::start(flavor, &options).unwrap())
}

async fn keeps_the_contract(flavor: Flavor, arguments: &[&str]) {
    let db = Db::on(own(flavor, arguments), "kit", "CREATE TABLE t(n bigint PRIMARY KEY)");
    let settings = Settings { start: Start::Earliest, ..db.streaming() };
    let source = MySqlSource::new(settings);
    let kit = SourceKit { source: &source, live: true, field: "n" };
    conformance::source(&kit, async |numbers| {
        let rows: Vec<String> = numbers.map(|n| format!("({n})")).collect();
        for some in rows.chunks(40) {
            db.sql(&format!("INSERT INTO t VALUES {}", some.join(",")));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_of_sources_by_gtid() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        keeps_the_contract(flavor, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_of_sources_by_file_and_position() {
    if !skipped(Flavor::MySql) {
        keeps_the_contract(Flavor::MySql, &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"])
            .await;
    }
}

/// What is stored of the log.
fn stored(checkpoint: &Checkpoint) -> Value {
    let (_, _, state) = checkpoint.iter().next().unwrap();
    serde_json::from_slice(state.unwrap()).unwrap()
}

/// The checkpoint of a file that is 4 GiB longer.
fn further(checkpoint: &Checkpoint) -> Checkpoint {
    let mut moved = Checkpoint::default();
    let mut state = stored(checkpoint);
    state["pos"] = json!(state["pos"].as_u64().unwrap() + (1 << 32));
    let (partition, at, _) = checkpoint.iter().next().unwrap();
    moved.assign(partition.clone(), at, Some(state.to_string().into_bytes().into()));
    moved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_beyond_4_gib_is_reached_from_the_beginning_of_its_file() {
    if skipped(Flavor::MySql) {
        return;
    }
    let server = own(Flavor::MySql, &["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]);
    let db = Db::on(server, "far", "CREATE TABLE t(id int PRIMARY KEY)");
    let settings = db.streaming();
    let mut run = Run::open(&settings, 10).await;
    for prepares in [false, true] {
        if prepares {
            db.sql("XA START 'x'; INSERT INTO t VALUES (5); XA END 'x'; XA PREPARE 'x'");
        }
        db.sql("INSERT INTO t VALUES (1)");
        run.count(1).await;
        // No file is as long here: everything in this one is before the place.
        let checkpoint = further(&run.checkpoint);
        drop(run);
        db.sql("INSERT INTO t VALUES (2)");
        run = Run::resume(&settings, 10, checkpoint.clone()).await.unwrap();
        // What is stored while the log is read again is where it was read to.
        let asked = send(&run.commands, "pause-snapshot", &json!({}));
        let mut all = run.while_asked(&asked).await;
        assert_eq!(asked.await.unwrap(), Ok(()));
        let (now, before) = (stored(&run.checkpoint), stored(&checkpoint));
        for part in ["file", "pos", "prepared"] {
            assert_eq!(now[part], before[part], "{part}");
        }
        assert_eq!(now["prepared"].as_array().unwrap().len(), usize::from(prepares));
        db.sql("FLUSH LOGS; INSERT INTO t VALUES (3)");
        all.extend(run.count(1).await);
        if prepares {
            db.sql("XA COMMIT 'x'");
            all.extend(run.count(1).await);
        }
        let ids: Vec<_> = all.iter().map(|e| e.key["id"].clone()).collect();
        assert_eq!(ids, [3, 5][..=usize::from(prepares)]);
        db.sql("DELETE FROM t");
        run.until(|all| all.iter().filter(|e| e.op == "d").count() >= 3).await;
    }
}

/// Opens with the checkpoint; the fault it ends in.
async fn refused(settings: &Settings, checkpoint: &Checkpoint) -> (FaultKind, String) {
    match Run::resume(settings, 10, checkpoint.clone()).await {
        Ok(_) => panic!("opened"),
        Err(fault) => (fault.kind, fault.chain()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_log_is_told_and_read_again_only_when_asked() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)";
        let db = Db::on(own(flavor, &[]), "purged", setup);
        let mut settings = db.settings();
        let mut run = Run::open(&settings, 10).await;
        run.count(1).await;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        // An idle checkpoint may be used again; a purged one may not.
        drop(Run::resume(&settings, 10, checkpoint.clone()).await.unwrap());
        db.sql("INSERT INTO t VALUES (2); FLUSH LOGS; INSERT INTO t VALUES (3); FLUSH LOGS");
        let file = db.server.sql("", "SHOW BINARY LOGS").unwrap();
        let file = file.lines().last().unwrap().split('\t').next().unwrap().to_owned();
        // MariaDB keeps files that a reader has open for a moment.
        crate::harness::until(|| {
            db.sql(&format!("PURGE BINARY LOGS TO '{file}'"));
            let left = db.server.sql("", "SHOW BINARY LOGS").unwrap();
            (left.lines().count() == 1).then_some(())
        });
        let (kind, text) = refused(&settings, &checkpoint).await;
        assert_eq!(kind, FaultKind::SourceLost, "{text}");
        assert!(text.contains("binlog-lost") && text.contains("when_needed"), "{text}");
        settings.snapshot = Snapshot::WhenNeeded;
        let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
        let again = run.count(3).await;
        assert!(again.iter().all(|e| e.op == "r"), "{flavor:?} {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_and_a_server_that_starts_anew_lose_nothing() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let mut server = own(flavor, &[]);
        let setup = "CREATE TABLE t(id int PRIMARY KEY)";
        let db = Db::on(Arc::clone(&server), "anew", setup);
        let settings = db.streaming();
        let mut run = Run::open(&settings, 10).await;
        db.sql("INSERT INTO t VALUES (1); FLUSH LOGS; INSERT INTO t VALUES (2); FLUSH LOGS");
        let mut ids: Vec<_> = run.count(2).await.iter().map(|e| e.key["id"].clone()).collect();
        let dir = db.dir;
        drop(db.server);
        Arc::get_mut(&mut server).unwrap().kill();
        let fault = loop {
            match run.next().await {
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.kind, FaultKind::SourceUnavailable, "{}", fault.chain());
        Arc::get_mut(&mut server).unwrap().start_again().unwrap();
        let checkpoint = run.checkpoint.clone();
        let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
        server.sql("anew", "INSERT INTO t VALUES (3)").unwrap();
        ids.extend(run.count(1).await.iter().map(|e| e.key["id"].clone()));
        assert_eq!(ids, [1, 2, 3], "{flavor:?}");
        drop(dir);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_of_the_topology_takes_over() {
    if skipped(Flavor::MySql) {
        return;
    }
    let first = own(Flavor::MySql, &[]);
    let second = own(Flavor::MySql, &["--server-id=2", "--log-replica-updates=ON"]);
    second
        .sql(
            "",
            &format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {},
                 SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1,
                 SOURCE_RETRY_COUNT = 1; START REPLICA",
                first.port()
            ),
        )
        .unwrap();
    first.sql("", "CREATE USER 'root'@'127.0.0.1'; GRANT ALL ON *.* TO 'root'@'127.0.0.1'").ok();
    let db = Db::on(Arc::clone(&first), "topology", "CREATE TABLE t(id int PRIMARY KEY)");
    let settings = db.streaming();
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO t VALUES (1)");
    let one = run.count(1).await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql("INSERT INTO t VALUES (2)");
    crate::harness::until(|| {
        second.sql("topology", "SELECT count(*) FROM t").ok().filter(|n| n == "2")
    });
    second.sql("", "STOP REPLICA").unwrap();
    second.sql("topology", "INSERT INTO t VALUES (3)").unwrap();
    let there = Settings { port: second.port(), ..settings.clone() };
    let mut run = Run::resume(&there, 10, checkpoint).await.unwrap();
    let rest = run.count(2).await;
    let ids: Vec<_> = one.iter().chain(&rest).map(|e| e.key["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert!(one[0].at < rest[0].at, "positions go on ascending");
    // The first server lacks what was read from the second.
    let (kind, text) = refused(&settings, &run.checkpoint.clone()).await;
    assert_eq!(kind, FaultKind::SourceLost);
    assert!(text.contains("has not all transactions"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_without_a_number_get_along() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "together", "CREATE TABLE t(id int PRIMARY KEY)");
        // As two pipelines that differ in nothing but their name.
        let settings = |name: &str| Settings {
            server_id: None,
            history_dir: db.dir.path().join(name),
            ..db.streaming()
        };
        let mut first = Run::open(&settings("a"), 10).await;
        let mut second = Run::open(&settings("b"), 10).await;
        for id in 1..=3 {
            db.sql(&format!("INSERT INTO t VALUES ({id})"));
            assert_eq!(first.count(1).await[0].key["id"], id, "{flavor:?}");
            assert_eq!(second.count(1).await[0].key["id"], id, "{flavor:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_reader_of_the_same_number_is_told_about() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "twice", "CREATE TABLE t(id int PRIMARY KEY)");
        let settings = db.streaming();
        let mut first = Run::open(&settings, 10).await;
        let mut second = Run::open(&settings, 10).await;
        let fault = loop {
            match first.next().await {
                Ok(_) => {}
                Err(fault) => break fault,
            }
        };
        // Not tried again: the two would throw each other out for ever.
        assert_eq!(fault.kind, FaultKind::SourceRefused, "{}", fault.chain());
        assert!(fault.chain().contains("`server_id` of its own"), "{}", fault.chain());
        db.sql("INSERT INTO t VALUES (1)");
        assert_eq!(second.count(1).await.len(), 1, "{flavor:?}");
    }
}
