//! The network and the server between us and the log: cuts inside transactions, silence, resets,
//! restarts. Whatever happens, what is settled does not come again out of order, and nothing is
//! missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wasmgate_model::{Checkpoint, FaultKind, Retry};
use wasmgate_postgres::{Settings, Snapshot};
use wasmgate_services::postgres::{Mode, Options, Postgres};
use wasmgate_services::proxy::{Proxy, Weather};

use crate::harness::{Db, Event, Run, events, skipped};

/// Reads and settles until `done`, and opens again from the checkpoint after every fault that time
/// may heal, as the pipeline does. Answers the records and how often it was opened.
async fn through(settings: &Settings, done: impl Fn(&[Event]) -> bool) -> (Vec<Event>, usize) {
    let (mut all, mut opened) = (Vec::new(), 0);
    let mut checkpoint = Checkpoint::default();
    let since = Instant::now();
    while !done(&all) {
        assert!(since.elapsed() < Duration::from_secs(120), "{} records", all.len());
        let mut run = match Run::resume(settings, 50, checkpoint.clone()).await {
            Ok(run) => run,
            Err(fault) => {
                assert_eq!(fault.retry(), Retry::Timed, "{}", fault.chain());
                continue;
            }
        };
        opened += 1;
        while !done(&all) {
            match run.next().await {
                Ok(Some(delivery)) => {
                    all.extend(events(&delivery));
                    run.settle(&delivery).await;
                }
                Ok(None) => panic!("completed"),
                Err(fault) => {
                    assert_eq!(fault.retry(), Retry::Timed, "{}", fault.chain());
                    break;
                }
            }
        }
        checkpoint = run.checkpoint.clone();
    }
    (all, opened)
}

fn ids(all: &[Event]) -> Vec<i64> {
    all.iter().filter_map(|e| e.after()["id"].as_i64()).collect()
}

/// Slot and publication, so that every run starts at the same place.
async fn prepared(settings: &Settings) {
    let mut run = Run::open(settings, 10).await;
    run.acker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_inside_a_transaction_loses_and_repeats_nothing_settled() {
    if skipped() {
        return;
    }
    let db = Db::new("cuts", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    prepared(&settings).await;
    let proxy = Proxy::start(settings.port).unwrap();
    settings.port = proxy.port();
    let cutting = AtomicBool::new(true);
    let cut = async {
        let mut after = 3000;
        while cutting.load(Ordering::Relaxed) {
            // Each cut a bit later, so that it falls anywhere: into messages, between them, into
            // the login.
            after = after * 21 / 20 + 7;
            proxy.cut_after(after);
            while proxy.cut_is_due() && cutting.load(Ordering::Relaxed) {
                tokio::task::yield_now().await;
            }
        }
    };
    // Transactions of 400 rows of 300 bytes: each is cut several times.
    let sql = "BEGIN; INSERT INTO t SELECT i, repeat('x', 300) FROM generate_series(%, % + 399) i; COMMIT;";
    let script: String = (0..5).map(|n| sql.replace('%', &(n * 400 + 1).to_string())).collect();
    db.sql(&script);
    let read = async {
        let read = through(&settings, |all| all.len() >= 2000).await;
        cutting.store(false, Ordering::Relaxed);
        read
    };
    let ((all, opened), ()) = tokio::join!(read, cut);
    assert!(opened > 3, "opened {opened} times only");
    assert_eq!(ids(&all), (1..=2000).collect::<Vec<_>>(), "in order, each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_is_noticed() {
    if skipped() {
        return;
    }
    let db = Db::new("silent", "CREATE TABLE t(id int PRIMARY KEY)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let proxy = Proxy::start(settings.port).unwrap();
    settings.port = proxy.port();
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO t VALUES (1)");
    run.count(1).await;
    proxy.set(Weather::Silent);
    let since = Instant::now();
    let fault = loop {
        if let Err(fault) = run.next().await {
            break fault;
        }
    };
    assert_eq!(fault.kind, FaultKind::SourceUnavailable, "{}", fault.chain());
    assert!(fault.chain().contains("silent"), "{}", fault.chain());
    // 30 s, and what a busy machine adds.
    assert!(since.elapsed() < Duration::from_secs(45), "{:?}", since.elapsed());
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql("INSERT INTO t VALUES (2)");
    proxy.cut();
    proxy.set(Weather::Fair);
    // The server may hold the slot for the old connection until its own timeout.
    let since = Instant::now();
    let mut run = loop {
        match Run::resume(&settings, 10, checkpoint.clone()).await {
            Ok(run) => break run,
            Err(fault) => assert_eq!(fault.retry(), Retry::Timed, "{}", fault.chain()),
        }
        assert!(since.elapsed() < Duration::from_secs(60), "not again");
    };
    assert_eq!(run.count(1).await[0].after()["id"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_and_a_slow_link_only_delay() {
    if skipped() {
        return;
    }
    let db = Db::new("resets", "CREATE TABLE t(id int PRIMARY KEY)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    prepared(&settings).await;
    let proxy = Proxy::start(settings.port).unwrap();
    settings.port = proxy.port();
    // The next rows are written once those before were read, and the link is reset in between.
    let (seen, mut read) = tokio::sync::watch::channel(0);
    let storm = async {
        for n in 0..10 {
            db.sql(&format!("INSERT INTO t SELECT generate_series({0} + 1, {0} + 100)", n * 100));
            read.wait_for(|read| *read > n * 100).await.unwrap();
            proxy.reset();
        }
        proxy.set(Weather::Slow(Duration::from_millis(20)));
    };
    let read = through(&settings, |all| {
        seen.send_replace(all.len());
        all.len() >= 1000
    });
    let ((all, opened), ()) = tokio::join!(read, storm);
    assert!(opened > 2, "opened {opened} times only");
    assert_eq!(ids(&all), (1..=1000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_of_the_server_leave_no_gap() {
    if skipped() {
        return;
    }
    let mut server = Postgres::start(&Options::default()).unwrap();
    server.psql("postgres", "CREATE TABLE t(id int PRIMARY KEY)").unwrap();
    let settings = Settings {
        port: server.port(),
        database: "postgres".into(),
        user: "postgres".into(),
        topic_prefix: "srv".into(),
        tables: vec!["public.t".into()],
        snapshot: Snapshot::Never,
        heartbeat: Some(Duration::from_millis(100)),
        ..Settings::default()
    };
    prepared(&settings).await;
    let seen = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let reading = tokio::spawn(async move {
        through(&settings, |all| {
            counted.store(all.len(), Ordering::Relaxed);
            all.len() >= 600
        })
        .await
    });
    let work = tokio::task::spawn_blocking(move || {
        for (round, mode) in [Mode::Fast, Mode::Immediate, Mode::Fast].into_iter().enumerate() {
            let sql =
                format!("INSERT INTO t SELECT generate_series({0} + 1, {0} + 200)", round * 200);
            server.psql("postgres", &sql).unwrap();
            let since = Instant::now();
            // It is being read when the server goes.
            while seen.load(Ordering::Relaxed) <= round * 200 {
                assert!(since.elapsed() < Duration::from_secs(60), "nothing is read");
                std::thread::park_timeout(Duration::from_millis(1));
            }
            server.restart(mode).unwrap();
        }
        server
    });
    let server = work.await.unwrap();
    let (all, opened) = reading.await.unwrap();
    assert!(opened > 1, "opened {opened} times only");
    assert_eq!(ids(&all), (1..=600).collect::<Vec<_>>());
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_neighbour_does_not_hold_log_back() {
    if skipped() {
        return;
    }
    let db = Db::new("idle_one", "CREATE TABLE t(id int PRIMARY KEY)");
    let busy = Db::new("busy_one", "CREATE TABLE noise(id bigserial, filler text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.slot_care.watch_interval = Duration::from_millis(100);
    let mut run = Run::open(&settings, 10).await;
    let written = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')";
    let start: i64 = busy.sql(written).parse().unwrap();
    let mut most = 0;
    for _ in 0..8 {
        busy.sql(
            "INSERT INTO noise(filler) SELECT repeat('x', 1000) FROM generate_series(1, 8000)",
        );
        let end = busy.sql("SELECT pg_current_wal_lsn()");
        let confirmed = format!(
            "SELECT confirmed_flush_lsn >= '{end}' FROM pg_replication_slots \
             WHERE slot_name = 'idle_one'"
        );
        // What settles an idle database's position are deliveries without records.
        let since = Instant::now();
        while db.sql(&confirmed) != "t" {
            assert!(since.elapsed() < Duration::from_secs(60), "the slot stays behind");
            if let Ok(Ok(Some(delivery))) =
                tokio::time::timeout(Duration::from_millis(200), run.next()).await
            {
                run.settle(&delivery).await;
            }
        }
        db.sql("CHECKPOINT");
        most = most.max(run.status.retained_bytes.load(Ordering::Relaxed));
    }
    let all: i64 = busy.sql(written).parse::<i64>().unwrap() - start;
    assert!(all > 50 << 20 && most < all / 2, "{most} bytes kept of {all}");
}
