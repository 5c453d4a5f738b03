//! Transactions that are sent before they are decided give what they would give if the server had
//! kept them: the same records at the same positions, whatever is rolled back on the way.

use std::path::Path;
use std::time::{Duration, Instant};

use wasmgate_model::Checkpoint;
use wasmgate_postgres::{InProgress, Origins, Settings, Snapshot, SpillLimits};
use wasmgate_services::proxy::Proxy;

use crate::harness::{Db, Event, Run, events, skipped};

/// The server sends what is larger than 64 KiB, so the streams of these rows come in many pieces.
const WIDE: &str = "repeat('x', 300)";

fn files(dir: &Path) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

/// Reads and settles, and keeps what came, until something is so.
async fn until(run: &mut Run, what: &str, done: impl Fn() -> bool) -> Vec<Event> {
    let since = Instant::now();
    let mut all = Vec::new();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        let next = tokio::time::timeout(Duration::from_millis(10), run.next());
        if let Ok(delivery) = next.await {
            let delivery = delivery.unwrap().unwrap();
            all.extend(events(&delivery));
            run.settle(&delivery).await;
        }
    }
    all
}

fn spilling(db: &Db, dir: &Path) -> Settings {
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.stream.limits = SpillLimits { memory: 64 << 10, disk: 1 << 30 };
    settings.stream.dir = Some(dir.to_owned());
    settings
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_records_at_the_same_positions_whenever_they_are_sent() {
    if skipped() {
        return;
    }
    let db = Db::new(
        "whenever",
        "CREATE TABLE t(id int PRIMARY KEY, v text);
        CREATE PUBLICATION whenever FOR TABLE t",
    );
    let dir = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    for (slot, mode) in
        [("one", InProgress::Off), ("two", InProgress::On), ("three", InProgress::Parallel)]
    {
        let mut settings = spilling(&db, &dir.path().join(slot));
        settings.slot = slot.into();
        settings.stream.in_progress = mode;
        runs.push(Run::open(&settings, 64).await);
    }
    let insert = |from: u32, to: u32| {
        format!("INSERT INTO t SELECT i, {WIDE} FROM generate_series({from}, {to}) i;")
    };
    // Rolled back whole; then savepoints kept, released into their parent and rolled back, a
    // change of the table, key changes, deletes, and a truncate.
    db.sql(&format!("BEGIN; {} ROLLBACK", insert(1, 2000)));
    db.sql(&format!(
        "BEGIN; {} SAVEPOINT a; {} SAVEPOINT b; {} RELEASE b; {} ROLLBACK TO a; {}
         SAVEPOINT c; {} RELEASE c; ALTER TABLE t ADD w int DEFAULT 5;
         UPDATE t SET id = id + 10000 WHERE id <= 300; SAVEPOINT d; ALTER TABLE t ADD y int; {}
         ROLLBACK TO d; {} DELETE FROM t WHERE id > 10100; COMMIT",
        insert(1, 600),
        insert(601, 1200),
        insert(1201, 1800),
        insert(1801, 2000),
        insert(601, 900),
        insert(901, 1500),
        insert(1501, 2000),
        insert(3001, 3400),
    ));
    db.sql("INSERT INTO t VALUES (5000, 'after', 6)");
    let want = 600 + 300 + 600 + 900 + 400 + 2 * 200 + 1;
    let mut all: Vec<Vec<Event>> = Vec::new();
    for run in &mut runs {
        all.push(run.count(want).await);
    }
    let lines = |events: &[Event]| -> Vec<String> {
        events.iter().map(|e| format!("{:?} {} {}", e.at, e.topic, e.line())).collect()
    };
    let kept = lines(&all[0]);
    for streamed in &all[1..] {
        for (streamed, kept) in lines(streamed).iter().zip(&kept) {
            assert_eq!(streamed, kept);
        }
        let mut both = streamed.iter().zip(&all[0]);
        let differs = both.find(|(s, k)| s.value["source"] != k.value["source"]);
        assert!(differs.is_none(), "{differs:?}");
    }
    for slot in ["two", "three"] {
        assert_eq!(files(&dir.path().join(slot)), 0, "a file stays");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_large_goes_to_disk_and_leaves_it_again() {
    if skipped() {
        return;
    }
    let db = Db::new("todisk", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("9.transaction"), "of an earlier run").unwrap();
    let settings = spilling(&db, dir.path());
    let mut run = Run::open(&settings, 512).await;
    until(&mut run, "the end of the earlier run's file", || files(dir.path()) == 0).await;
    let mut open = db.session();
    open.run(&format!("BEGIN; INSERT INTO t SELECT i, {WIDE} FROM generate_series(1, 3000) i"))
        .unwrap();
    // Others commit meanwhile and are not held up.
    db.sql("INSERT INTO t VALUES (-1, 'meanwhile')");
    assert_eq!(run.count(1).await[0].after()["id"], -1);
    until(&mut run, "a file of the open transaction", || files(dir.path()) == 1).await;
    open.run("ROLLBACK").unwrap();
    until(&mut run, "the end of its file", || files(dir.path()) == 0).await;
    open.run(&format!("BEGIN; INSERT INTO t SELECT i, {WIDE} FROM generate_series(1, 3000) i"))
        .unwrap();
    db.sql("INSERT INTO t VALUES (-2)");
    assert_eq!(run.count(1).await[0].after()["id"], -2);
    until(&mut run, "a file of the next one", || files(dir.path()) == 1).await;
    open.run("COMMIT").unwrap();
    let all = run.count(3000).await;
    assert!(all.iter().enumerate().all(|(n, e)| e.after()["id"] == n + 1));
    until(&mut run, "the end of its file", || files(dir.path()) == 0).await;
    // What the bound does not hold stops with advice.
    let mut bounded = settings.clone();
    bounded.stream.limits.disk = 100_000;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::resume(&bounded, 512, checkpoint).await.unwrap();
    open.run(&format!("BEGIN; UPDATE t SET v = {WIDE} || '!'")).unwrap();
    let fault = loop {
        match run.next().await {
            Ok(_) => {}
            Err(fault) => break fault.to_string(),
        }
    };
    assert!(fault.contains("stream.spill_max"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_inside_a_streamed_transaction_loses_and_repeats_nothing() {
    if skipped() {
        return;
    }
    let db = Db::new("insidestream", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let dir = tempfile::tempdir().unwrap();
    let settings = spilling(&db, dir.path());
    let mut run = Run::open(&settings, 101).await;
    db.sql(&format!(
        "BEGIN; INSERT INTO t SELECT i, {WIDE} FROM generate_series(1, 1000) i; SAVEPOINT s;
         UPDATE t SET v = 'gone' || {WIDE}; ROLLBACK TO s;
         UPDATE t SET id = id + 5000 WHERE id <= 100; COMMIT; INSERT INTO t VALUES (0)"
    ));
    let want = 1000 + 300 + 1;
    let (mut all, mut inside): (Vec<Event>, usize) = (Vec::new(), 0);
    while all.len() < want {
        let delivery = run.next().await.unwrap().unwrap();
        all.extend(events(&delivery));
        run.settle(&delivery).await;
        if all.len() < want {
            inside += usize::from(delivery.to.minor > 0);
            let checkpoint = run.checkpoint.clone();
            drop(run);
            run = Run::resume(&settings, 101, checkpoint).await.unwrap();
        }
    }
    assert_eq!(all.len(), want);
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    assert!(inside > 5, "no restart inside the transaction");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prepared_transactions_wait_for_their_second_phase_over_restarts() {
    if skipped() {
        return;
    }
    let db = Db::new("twophase", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.stream.two_phase = true;
    let mut run = Run::open(&settings, 512).await;
    let prepare = |id: i32, gid: &str| {
        db.sql(&format!("BEGIN; INSERT INTO t VALUES ({id}); PREPARE TRANSACTION '{gid}'"));
    };
    prepare(1, "kept");
    prepare(2, "dropped");
    // Large enough to be streamed before it is prepared.
    db.sql(&format!(
        "BEGIN; INSERT INTO t SELECT i, {WIDE} FROM generate_series(100, 599) i;
         PREPARE TRANSACTION 'large'"
    ));
    db.sql("INSERT INTO t VALUES (3)");
    assert_eq!(run.count(1).await[0].after()["id"], 3);
    // The slot stays before what is prepared, so a restart gets it again.
    let checkpoint = run.checkpoint.clone();
    run.acker.close().await;
    drop(run);
    let mut run = Run::resume(&settings, 512, checkpoint).await.unwrap();
    db.sql("ROLLBACK PREPARED 'dropped'");
    db.sql("INSERT INTO t VALUES (4)");
    assert_eq!(run.count(1).await[0].after()["id"], 4);
    db.sql("COMMIT PREPARED 'kept'; COMMIT PREPARED 'large'");
    let all = run.count(501).await;
    assert_eq!(all[0].after()["id"], 1);
    assert_eq!(all[500].after()["id"], 599);
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    db.wait_for("SELECT count(*) FROM pg_prepared_xacts WHERE database = 'twophase'", "0");
    let end = db.sql("SELECT pg_current_wal_lsn()");
    let moved = format!(
        "SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots WHERE slot_name = 'twophase'"
    );
    let since = Instant::now();
    while db.sql(&moved) != "t" {
        assert!(since.elapsed() < Duration::from_secs(60), "the slot stays");
        db.sql("SELECT pg_current_xact_id()");
        let delivery = run.next().await.unwrap().unwrap();
        run.settle(&delivery).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_by_replication_can_be_left_out() {
    if skipped() {
        return;
    }
    let db = Db::new(
        "origins",
        "CREATE TABLE t(id int PRIMARY KEY);
        SELECT pg_replication_origin_create('elsewhere')",
    );
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.stream.origins = Origins::None;
    let mut run = Run::resume(&settings, 64, Checkpoint::default()).await.unwrap();
    db.sql("SELECT pg_replication_origin_session_setup('elsewhere'); INSERT INTO t VALUES (1)");
    db.sql("INSERT INTO t VALUES (2)");
    assert_eq!(run.count(1).await[0].after()["id"], 2);
}

/// The connection breaks again and again, inside of transactions too: what a consumer settled is
/// not repeated, and nothing is missing.
async fn through_cuts(name: &str, in_progress: InProgress) {
    let db = Db::new(name, "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let proxy = Proxy::start(db.server.port()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut settings = spilling(&db, dir.path());
    settings.stream.in_progress = in_progress;
    let mut run = Run::open(&settings, 50).await;
    settings.port = proxy.port();
    for round in 0..2 {
        let (from, to) = (round * 1000 + 1, round * 1000 + 1000);
        db.sql(&format!(
            "BEGIN; INSERT INTO t SELECT i, {WIDE} FROM generate_series({from}, {to}) i; COMMIT"
        ));
    }
    let (mut all, mut cuts): (Vec<Event>, u32) = (Vec::new(), 0);
    while all.len() < 2000 {
        match run.next().await {
            Ok(delivery) => {
                let delivery = delivery.unwrap();
                all.extend(events(&delivery));
                run.settle(&delivery).await;
            }
            Err(fault) => {
                assert_eq!(fault.kind, wasmgate_model::FaultKind::SourceUnavailable, "{fault}");
                let checkpoint = run.checkpoint.clone();
                drop(run);
                // One that is cut while it still asks the catalog is followed by a later cut.
                run = loop {
                    cuts += 1;
                    proxy.cut_after(100_000 + cuts % 7 * 150_000);
                    if let Ok(run) = Run::resume(&settings, 50, checkpoint.clone()).await {
                        break run;
                    }
                };
            }
        }
        if cuts == 0 && all.len() > 100 {
            // From here on through the proxy.
            let checkpoint = run.checkpoint.clone();
            drop(run);
            proxy.cut_after(100_000);
            run = Run::resume(&settings, 50, checkpoint).await.unwrap();
            cuts = 1;
        }
    }
    assert!(all.is_sorted_by(|a, b| a.at < b.at), "something was repeated");
    let ids: Vec<_> = all.iter().map(|e| e.after()["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (1..=2000).collect::<Vec<_>>());
    assert!(cuts > 1, "{cuts} cuts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_and_repeat_nothing() {
    if skipped() {
        return;
    }
    through_cuts("cutkept", InProgress::Off).await;
    through_cuts("cutstreamed", InProgress::On).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_of_a_large_transaction_is_not_cut_off() {
    if skipped() {
        return;
    }
    let db = Db::new("slowlarge", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let dir = tempfile::tempdir().unwrap();
    let settings = spilling(&db, dir.path());
    let mut run = Run::open(&settings, 100).await;
    db.sql(&format!("INSERT INTO t SELECT i, {WIDE} FROM generate_series(1, 2000) i"));
    let mut all = Vec::new();
    while all.len() < 2000 {
        let delivery = run.next().await.unwrap().unwrap();
        all.extend(events(&delivery));
        run.settle(&delivery).await;
        if all.len() == 300 {
            // The server gives up on clients that say nothing for a second.
            let told = "SELECT reply_time FROM pg_stat_replication WHERE pid =
                        (SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'slowlarge')";
            let (since, mut replies) = (Instant::now(), std::collections::BTreeSet::new());
            while replies.len() < 6 || since.elapsed() < Duration::from_millis(2500) {
                assert!(since.elapsed() < Duration::from_secs(60), "{replies:?}");
                replies.insert(db.sql(told));
            }
        }
    }
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
}
