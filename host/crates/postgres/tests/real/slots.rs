//! Slot and publication over their life: made, changed, watched, lost, dropped.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use wasmgate_connector::SourceEvent;
use wasmgate_model::{Checkpoint, Fault, FaultKind};
use wasmgate_postgres::{
    Identity, Mismatch, OnWalLimit, PostgresSource, PublicationMode, Settings, Snapshot,
};
use wasmgate_services::postgres::{Options, Postgres};

use crate::harness::{Db, Run, skipped};

async fn refused(settings: &Settings, checkpoint: &Checkpoint) -> (FaultKind, String, String) {
    match Run::resume(settings, 10, checkpoint.clone()).await {
        Ok(_) => panic!("opened"),
        Err(fault) => (fault.kind, fault.code().to_owned(), fault.chain()),
    }
}

/// Opens, lets go, so that the next one finds the slot free.
async fn touch(settings: &Settings) {
    let mut run = Run::open(settings, 10).await;
    run.acker.close().await;
}

const PUBLISHED: &str =
    "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename)
                         FROM pg_publication_tables WHERE pubname = ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_publication_follows_the_tables() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY);
                 CREATE TABLE c(id int); CREATE UNIQUE INDEX c_id ON c(id);
                 ALTER TABLE c ALTER id SET NOT NULL; CREATE SCHEMA x; CREATE TABLE x.d(id int);
                 SELECT pg_create_logical_replication_slot('follows', 'pgoutput')";
    let db = Db::new("follows", setup);
    let published = |name: &str| db.sql(&format!("{PUBLISHED} '{name}'"));
    let mut settings = db.settings(&["public.a"]);
    settings.snapshot = Snapshot::Never;
    settings.slot_care.replica_identity = vec![
        (regex::Regex::new("^(?:x\\..*)$").unwrap(), Identity::Full),
        (regex::Regex::new("^(?:public\\.c)$").unwrap(), Identity::Index("c_id".into())),
    ];
    touch(&settings).await;
    assert_eq!(published("follows"), "public.a");
    let sql = "SELECT pubinsert, pubtruncate FROM pg_publication WHERE pubname = 'follows'";
    assert_eq!(db.sql(sql), "t|f", "skipped operations are not even sent");

    settings.tables = vec!["x.d".into(), "public.a".into(), "public.c".into()];
    touch(&settings).await;
    assert_eq!(published("follows"), "public.a public.c x.d");
    let sql = "SELECT string_agg(relreplident::text, '' ORDER BY relname) FROM pg_class
               WHERE relname IN ('c', 'd')";
    assert_eq!(db.sql(sql), "if");

    settings.tables = vec!["public.b".into()];
    settings.slot_care.drop_surplus = true;
    touch(&settings).await;
    assert_eq!(published("follows"), "public.b");

    settings.tables = vec!["public.a".into()];
    settings.slot_care.publication = PublicationMode::Disabled;
    let (kind, _, text) = refused(&settings, &Checkpoint::default()).await;
    assert_eq!(kind, FaultKind::SourceRefused);
    assert!(text.contains("ALTER PUBLICATION \"follows\" ADD TABLE \"public\".\"a\""), "{text}");
    assert_eq!(published("follows"), "public.b");
    settings.publication = "absent".into();
    let (_, _, text) = refused(&settings, &Checkpoint::default()).await;
    assert!(text.contains("run: CREATE PUBLICATION \"absent\" FOR TABLE"), "{text}");

    settings.publication = "empty".into();
    settings.slot_care.publication = PublicationMode::NoTables;
    let (_, _, text) = refused(&settings, &Checkpoint::default()).await;
    assert!(text.contains("ALTER PUBLICATION \"empty\" ADD TABLE"), "{text}");
    assert_eq!(db.sql("SELECT count(*) FROM pg_publication WHERE pubname = 'empty'"), "1");

    settings.publication = "whole".into();
    settings.tables = Vec::new();
    settings.slot_care.publication = PublicationMode::AllTables;
    let mut run = Run::open(&settings, 10).await;
    assert_eq!(published("whole"), "public.a public.b public.c x.d");
    db.sql("CREATE TABLE later(id int PRIMARY KEY); INSERT INTO later VALUES (7)");
    assert_eq!(run.count(1).await[0].topic, "srv.public.later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_goes_when_it_is_told_to() {
    if skipped() {
        return;
    }
    let db = Db::new("goes", "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'goes'";
    let mut settings = db.settings(&["public.t"]);
    settings.slot_care.drop_on_stop = true;
    let mut run = Run::open(&settings, 10).await;
    run.count(1).await;
    db.wait_for("SELECT active FROM pg_replication_slots WHERE slot_name = 'goes'", "t");
    run.acker.close().await;
    assert_eq!(db.sql(slots), "0");
    drop(run);

    settings.slot_care.drop_on_stop = false;
    let mut run = Run::open(&settings, 10).await;
    run.count(1).await;
    let source = PostgresSource::new(settings.clone());
    db.wait_for("SELECT active FROM pg_replication_slots WHERE slot_name = 'goes'", "t");
    let state = source.slot().await.unwrap().unwrap();
    assert!(state.reader.is_some() && state.health == "reserved", "{state:?}");
    // Whoever reads it is ended first.
    assert_eq!(source.drop_slot(true).await.unwrap(), ["slot goes", "publication goes"]);
    assert_eq!(db.sql(slots), "0");
    assert_eq!(source.slot().await.unwrap(), None);
    assert!(source.drop_slot(true).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_ahead_of_us_is_followed_only_when_told() {
    if skipped() {
        return;
    }
    let db = Db::new("ahead", "CREATE TABLE t(id int PRIMARY KEY)");
    let mut settings = db.settings(&["public.t"]);
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO t VALUES (1)");
    run.count(1).await;
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql(
        "INSERT INTO t VALUES (2);
         SELECT 1 FROM pg_replication_slot_advance('ahead', pg_current_wal_lsn())",
    );
    let (kind, code, text) = refused(&settings, &checkpoint).await;
    assert_eq!((kind, code.as_str()), (FaultKind::SourceLost, "slot-lost"), "{text}");
    settings.slot_care.mismatch = Mismatch::TrustGreater;
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    db.sql("INSERT INTO t VALUES (3)");
    assert_eq!(run.count(1).await[0].after()["id"], 3);
    assert_eq!(run.assigned.len(), 1, "the checkpoint is told");
}

/// A server whose log is cut short early.
fn small(more: &[(&str, &str)]) -> Postgres {
    let settings = [
        ("max_slot_wal_keep_size", "96MB"),
        ("max_wal_size", "32MB"),
        ("min_wal_size", "32MB"),
        ("wal_sender_timeout", "2s"),
    ];
    let settings = settings.iter().chain(more);
    let settings = settings.map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let server = Postgres::start(&Options { settings, ..Options::default() }).unwrap();
    server
        .psql("postgres", "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        .unwrap();
    server
}

fn settings_of(server: &Postgres) -> Settings {
    let mut settings = Settings {
        port: server.port(),
        database: "postgres".into(),
        user: "postgres".into(),
        topic_prefix: "srv".into(),
        tables: vec!["public.t".into()],
        slot: "small".into(),
        publication: "small".into(),
        heartbeat: Some(Duration::from_millis(100)),
        ..Settings::default()
    };
    settings.slot_care.watch_interval = Duration::from_millis(100);
    // The log is filled with messages.
    settings.stream.messages.off = true;
    settings
}

/// A segment of log that nobody wants.
fn fill(server: &Postgres) {
    let sql = "SELECT pg_logical_emit_message(false, 'filler', 'x'); SELECT pg_switch_wal();
               CHECKPOINT";
    server.psql("postgres", sql).unwrap();
}

/// The fault that the source ends with.
async fn ended(run: &mut Run) -> Fault {
    loop {
        if let Err(fault) = run.next().await {
            return fault;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_slot_is_seen_coming_and_is_no_gap() {
    if skipped() {
        return;
    }
    let server = small(&[]);
    let mut settings = settings_of(&server);
    let mut run = Run::open(&settings, 10).await;
    run.count(1).await;
    server.psql("postgres", "INSERT INTO t VALUES (2)").unwrap();
    // Nothing is settled from here on.
    let (status, checkpoint) = (std::sync::Arc::clone(&run.status), run.checkpoint.clone());
    let mut seen = std::collections::BTreeSet::new();
    let since = Instant::now();
    while !seen.contains(&3) {
        assert!(since.elapsed() < Duration::from_secs(60), "{seen:?}");
        let before = status.retained_bytes.load(Ordering::Acquire);
        fill(&server);
        // The next look.
        while status.retained_bytes.load(Ordering::Acquire) == before
            && !seen.contains(&3)
            && since.elapsed() < Duration::from_secs(60)
        {
            tokio::task::yield_now().await;
            seen.insert(status.place_health.load(Ordering::Relaxed));
        }
        seen.insert(status.place_health.load(Ordering::Relaxed));
    }
    assert!(seen.contains(&1) || seen.contains(&2), "no warning before: {seen:?}");
    let fault = ended(&mut run).await;
    assert!(["slot-lost", "source-unavailable"].contains(&fault.code()), "{}", fault.chain());
    drop(run);
    let (kind, code, text) = refused(&settings, &checkpoint).await;
    assert_eq!((kind, code.as_str()), (FaultKind::SourceLost, "slot-lost"), "{text}");
    assert!(text.contains("max_slot_wal_keep_size") && text.contains("when_needed"), "{text}");
    settings.snapshot = Snapshot::WhenNeeded;
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    assert!(run.count(2).await.iter().all(|e| e.op == "r"));
    server.psql("postgres", "INSERT INTO t VALUES (3)").unwrap();
    assert_eq!(run.count(1).await[0].op, "c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_limit_of_log() {
    if skipped() {
        return;
    }
    let server = small(&[("max_slot_wal_keep_size", "-1")]);
    let mut settings = settings_of(&server);
    settings.slot_care.wal_limit = Some(24 << 20);
    settings.slot_care.on_wal_limit = OnWalLimit::Pause;
    let mut run = Run::open(&settings, 10).await;
    run.count(1).await;
    server.psql("postgres", "INSERT INTO t VALUES (2)").unwrap();
    (0..3).for_each(|_| fill(&server));
    let fault = ended(&mut run).await;
    assert_eq!((fault.code(), fault.kind), ("wal-limit", FaultKind::SourceRefused));
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let slots = "SELECT count(*) FROM pg_replication_slots";
    assert_eq!(server.psql("postgres", slots).unwrap(), "1");
    // Resumed, it goes on where it was.
    settings.slot_care.on_wal_limit = OnWalLimit::Warn;
    let mut run = Run::resume(&settings, 10, checkpoint.clone()).await.unwrap();
    run.count(1).await;
    drop(run);
    settings.slot_care.on_wal_limit = OnWalLimit::Drop;
    server.psql("postgres", "INSERT INTO t VALUES (3)").unwrap();
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    (0..3).for_each(|_| fill(&server));
    let fault = ended(&mut run).await;
    assert!(["slot-lost", "source-unavailable"].contains(&fault.code()), "{}", fault.chain());
    let since = Instant::now();
    while server.psql("postgres", slots).unwrap() != "0" {
        assert!(since.elapsed() < Duration::from_secs(30), "the slot stays");
    }
}

/// The same data on a later timeline, as after a fail-over to a standby that has the slot.
fn promote(server: &mut Postgres) {
    server.stop().unwrap();
    server.make_standby().unwrap();
    server.start_again().unwrap();
    server.psql("postgres", "SELECT pg_promote()").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_is_refused_unless_the_slot_is_kept() {
    if skipped() {
        return;
    }
    let mut server = small(&[("hot_standby_feedback", "on")]);
    let mut settings = settings_of(&server);
    let version: u32 = server.psql("postgres", "SHOW server_version_num").unwrap().parse().unwrap();
    settings.slot_care.failover = true;
    if version < 170_000 {
        let (_, _, text) = refused(&settings, &Checkpoint::default()).await;
        assert!(text.contains("takes PostgreSQL 17 or newer"), "{text}");
        settings.slot_care.failover = false;
    }
    let mut run = Run::open(&settings, 10).await;
    run.count(1).await;
    server.psql("postgres", "INSERT INTO t VALUES (2)").unwrap();
    run.count(1).await;
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    promote(&mut server);
    if version >= 170_000 {
        let sql = "SELECT to_jsonb(s)->>'failover' FROM pg_replication_slots s";
        assert_eq!(server.psql("postgres", sql).unwrap(), "true");
        server.psql("postgres", "INSERT INTO t VALUES (3)").unwrap();
        let mut run = Run::resume(&settings, 10, checkpoint.clone()).await.unwrap();
        assert_eq!(run.count(1).await[0].after()["id"], 3);
        run.acker.close().await;
    }
    settings.slot_care.failover = false;
    let (kind, code, text) = refused(&settings, &checkpoint).await;
    assert_eq!((kind, code.as_str()), (FaultKind::SourceLost, "failed-over"), "{text}");
    assert!(text.contains("timeline 1, now 2"), "{text}");
}

/// A slot without a checkpoint is another reader's. So a first start stores that it will read
/// before it makes the slot, and one that is cut short there is simply begun again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_is_cut_short_is_begun_again() {
    if skipped() {
        return;
    }
    let db = Db::new("begun", "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1), (2)");
    let settings = db.settings(&["public.t"]);
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'begun'";
    let source = PostgresSource::new(settings.clone());
    let mut first = Run::of(&source, 10, Checkpoint::default()).await.unwrap();
    let mut stored = Checkpoint::default();
    for slot in ["0", "1"] {
        let event = first.reader.next().await.unwrap();
        let SourceEvent::Assigned { partition, at, state } = event else { panic!("{event:?}") };
        assert_eq!(db.sql(slots), slot, "{at:?}");
        if slot == "0" {
            stored.assign(partition, at, state);
        }
    }
    drop(first);
    let mut again = Run::resume(&settings, 10, stored).await.unwrap();
    let rows = again.count(2).await;
    assert!(rows.iter().all(|row| row.op == "r"), "{rows:?}");
    again.acker.close().await;
}
