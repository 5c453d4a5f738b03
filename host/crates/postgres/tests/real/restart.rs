//! Restarts: going on at the checkpoint, and telling when that is not possible.

use wasmgate_capture_kit::restart::midway;
use wasmgate_connector::conformance::{self, SourceKit};
use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_postgres::{PostgresSource, Settings, Snapshot};

use crate::harness::{Db, Run, skipped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goes_on_inside_a_transaction_without_loss_or_repeat() {
    if skipped() {
        return;
    }
    let db = Db::new("midway", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let run = Run::open(&settings, 7).await;
    // 40 inserts, 20 key changes of three records, 10 deletes of two, then another transaction
    db.sql(
        "BEGIN; INSERT INTO t SELECT i FROM generate_series(1, 40) i;
         UPDATE t SET id = id + 100 WHERE id <= 20; DELETE FROM t WHERE id BETWEEN 21 AND 30;
         COMMIT; INSERT INTO t VALUES (-1)",
    );
    let want = 40 + 60 + 20 + 1;
    let resume = async |checkpoint| Run::resume(&settings, 7, checkpoint).await.unwrap();
    let (all, inside) = midway(run, want, resume).await;
    assert!(inside > 10, "no restart inside the transaction");
    let ops = |op| all.iter().filter(|e| e.op == op).count();
    assert_eq!((ops("c"), ops("d"), ops("tombstone")), (40 + 20 + 1, 30, 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_of_sources() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(n bigint PRIMARY KEY); CREATE PUBLICATION kit FOR TABLE t;
                 SELECT pg_create_logical_replication_slot('kit', 'pgoutput')";
    let db = Db::new("kit", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let source = PostgresSource::new(settings);
    let kit = SourceKit { source: &source, live: true, field: "n" };
    conformance::source(&kit, async |numbers| {
        db.sql(&format!(
            "INSERT INTO t SELECT generate_series({}, {})",
            numbers.start,
            numbers.end - 1
        ));
    })
    .await;
}

/// Opens with the checkpoint; the fault it ends in.
async fn refused(settings: &Settings, checkpoint: &Checkpoint) -> (FaultKind, String) {
    match Run::resume(settings, 10, checkpoint.clone()).await {
        Ok(_) => panic!("opened"),
        Err(fault) => (fault.kind, fault.chain()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_place_is_told_and_read_again_only_when_asked() {
    if skipped() {
        return;
    }
    let db = Db::new("lost", "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let mut settings = db.settings(&["public.t"]);
    let mut run = Run::open(&settings, 10).await;
    run.count(1).await;
    db.sql("INSERT INTO t VALUES (2)");
    run.count(1).await;
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);

    // somebody else took changes from the slot
    db.sql(
        "INSERT INTO t VALUES (3);
            SELECT 1 FROM pg_replication_slot_advance('lost', pg_current_wal_lsn())",
    );
    let (kind, text) = refused(&settings, &checkpoint).await;
    assert_eq!(kind, FaultKind::SourceLost);
    assert!(text.contains("ahead of the checkpoint") && text.contains("when_needed"), "{text}");

    db.sql("SELECT pg_drop_replication_slot('lost')");
    let (kind, text) = refused(&settings, &checkpoint).await;
    assert_eq!(kind, FaultKind::SourceLost);
    assert!(text.contains("does not exist any more"), "{text}");

    // the same name on another server
    let (place, state) =
        checkpoint.iter().map(|(_, at, s)| (at, s.unwrap().to_vec())).next().unwrap();
    let other = String::from_utf8(state).unwrap().replace("\"system_id\":\"", "\"system_id\":\"9");
    let mut elsewhere = Checkpoint::default();
    let partition = checkpoint.iter().next().unwrap().0.clone();
    elsewhere.assign(partition, place, Some(other.into_bytes().into()));
    db.sql("SELECT pg_create_logical_replication_slot('lost', 'pgoutput')");
    let (kind, text) = refused(&settings, &elsewhere).await;
    assert_eq!(kind, FaultKind::SourceLost);
    assert!(text.contains("another server"), "{text}");

    settings.snapshot = Snapshot::WhenNeeded;
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    let got = run.count(3).await;
    assert!(got.iter().all(|e| e.op == "r"), "{got:?}");
    db.sql("INSERT INTO t VALUES (4)");
    assert_eq!(run.count(1).await[0].op, "c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slot_of_somebody_else_is_not_moved() {
    if skipped() {
        return;
    }
    let db = Db::new("other_slot", "CREATE TABLE t(id int PRIMARY KEY)");
    let mut settings = db.settings(&["public.t"]);
    // The server decodes with the publication as it was then: it has to be there first.
    db.sql(&format!("CREATE PUBLICATION {} FOR TABLE t", settings.publication));
    db.sql("SELECT pg_create_logical_replication_slot('other_slot', 'pgoutput')");
    let place = || {
        db.sql(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'other_slot'",
        )
    };
    let before = place();
    db.sql("INSERT INTO t VALUES (1)");
    let (kind, text) = refused(&settings, &Checkpoint::default()).await;
    assert_eq!(kind, FaultKind::SourceRefused);
    assert!(text.contains("pg_drop_replication_slot('other_slot')"), "{text}");
    assert_eq!(place(), before);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 10).await;
    assert_eq!(run.count(1).await[0].op, "c", "goes on where the slot stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_a_timed_fault() {
    if skipped() {
        return;
    }
    let db = Db::new("gone", "CREATE TABLE t(id int PRIMARY KEY)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO t VALUES (1)");
    run.count(1).await;
    let kill = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots
                WHERE slot_name = 'gone'";
    assert_eq!(db.sql(kill), "t");
    let fault = loop {
        if let Err(fault) = run.next().await {
            break fault;
        }
    };
    assert_eq!(fault.kind, FaultKind::SourceUnavailable, "{}", fault.chain());
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql("INSERT INTO t VALUES (2)");
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    assert_eq!(run.count(1).await[0].after()["id"], 2);
}
