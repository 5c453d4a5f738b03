//! Capture from a standby (16): nothing is written there, so chunks stand by their place in the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use wasmgate_model::Checkpoint;
use wasmgate_postgres::{PublicationMode, Settings, Snapshot};
use wasmgate_services::postgres::{Options, Postgres, Release, missing_release};

use crate::harness::{Event, Mirror, Run};

/// A primary server and its standby; `None`: that release is not here.
fn pair(setup: &str) -> Option<(Postgres, Postgres)> {
    if let Some(reason) = missing_release(Release::V16) {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
        eprintln!("skipped: {reason}");
        return None;
    }
    let release = Release::V16;
    let mut primary = Postgres::start(&Options { release, ..Options::default() }).unwrap();
    primary.psql("postgres", setup).unwrap();
    let settings = vec![("hot_standby_feedback".into(), "on".into())];
    let standby = primary.standby(&Options { release, settings, ..Options::default() }).unwrap();
    assert_eq!(standby.psql("postgres", "SELECT pg_is_in_recovery()").unwrap(), "t");
    Some((primary, standby))
}

/// A slot on a standby begins where the primary server writes down which transactions run: this
/// has it do so until the source is open.
async fn open(primary: &Arc<Postgres>, settings: &Settings, checkpoint: Checkpoint) -> Run {
    let opened = Arc::new(AtomicBool::new(false));
    let (server, done) = (Arc::clone(primary), Arc::clone(&opened));
    let telling = std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            server.psql("postgres", "SELECT pg_log_standby_snapshot()").unwrap();
        }
    });
    let run = Run::resume(settings, 100, checkpoint).await;
    opened.store(true, Ordering::Relaxed);
    telling.join().unwrap();
    run.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_of_a_standby_equal_the_table_under_writers() {
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq bigint); CREATE SEQUENCE s;
        INSERT INTO t SELECT i, nextval('s') FROM generate_series(1, 2000) i;
        CREATE PUBLICATION standby FOR TABLE t";
    let Some((primary, standby)) = pair(setup) else { return };
    let primary = Arc::new(primary);
    let mut settings = Settings {
        port: standby.port(),
        database: "postgres".into(),
        user: "postgres".into(),
        topic_prefix: "srv".into(),
        tables: vec!["public.t".into()],
        slot: "standby".into(),
        publication: "standby".into(),
        snapshot: Snapshot::Never,
        heartbeat: Some(Duration::from_millis(100)),
        ..Settings::default()
    };
    settings.slot_care.publication = PublicationMode::Disabled;
    settings.snapshots.chunk_rows = 50;
    settings.notifications.topic = Some("told".into());
    let mut run = open(&primary, &settings, Checkpoint::default()).await;
    let commands = Arc::clone(&run.commands);
    let asked = tokio::spawn(async move {
        let data = json!({ "data-collections": ["public.t"] }).to_string();
        commands.send("s1".into(), "execute-snapshot".into(), data).await
    });
    let script = "DO $$ DECLARE k int; BEGIN FOR i IN 1..400 LOOP k := 1 + (random() * 1999)::int;
        CASE i % 3 WHEN 0 THEN DELETE FROM t WHERE id = k;
        WHEN 1 THEN INSERT INTO t VALUES (3000 + i, nextval('s'));
        ELSE UPDATE t SET seq = nextval('s') WHERE id = k; END CASE;
        COMMIT; PERFORM pg_sleep(0.001); END LOOP; END $$";
    let server = Arc::clone(&primary);
    let writer = tokio::task::spawn_blocking(move || server.psql("postgres", script).unwrap());
    let completed =
        |all: &[Event]| all.iter().any(|e| e.topic == "told" && e.value["type"] == "COMPLETED");
    let mut all = run.until(completed).await;
    assert_eq!(asked.await.unwrap(), Ok(()));
    writer.await.unwrap();
    // Another process goes on at the checkpoint.
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
    primary.psql("postgres", "INSERT INTO t VALUES (-1, 0)").unwrap();
    all.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
    all.retain(|e| e.topic == "srv.public.t");
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    assert!(all.iter().filter(|e| e.op == "r").count() > 500);

    // A row that was read is never older than what the stream told of it.
    let mut rows = Mirror::default().rows;
    for event in &all {
        let key = event.key.to_string();
        let seq = |v: &Value| v["seq"].as_i64().unwrap();
        match event.op {
            "r" | "c" | "u" => {
                let new = event.after().clone();
                let stale = rows.get(&key).is_some_and(|old| seq(old) > seq(&new));
                assert!(!stale, "stale: {event:?}");
                rows.insert(key, new);
            }
            "d" => drop(rows.remove(&key)),
            _ => {}
        }
    }
    let text = primary.psql("postgres", "SELECT to_jsonb(t) FROM t").unwrap();
    let each = text.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        (json!({ "id": row["id"] }).to_string(), row)
    });
    assert_eq!(rows, each.collect());
}
