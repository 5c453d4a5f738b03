//! Tables that change while they are read: every record has the schema and the key of its own
//! time; or, where that is asked for, the pipeline stops until somebody has looked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmgate_model::Retry;
use wasmgate_postgres::{PostgresSource, SchemaChanges, Snapshot};

use crate::harness::{Db, Event, Run, skipped};

/// Names of the fields of a record's image.
fn fields(event: &Event) -> BTreeSet<String> {
    let image = if event.after().is_object() { event.after() } else { event.before() };
    image.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_have_the_schema_of_their_time_while_tables_change_under_load() {
    if skipped() {
        return;
    }
    let db = Db::new("evolving", "CREATE TABLE t(id serial PRIMARY KEY, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 20).await;
    // Two writers that never stop; each statement between them is a transaction of its own.
    let changes = [
        "ALTER TABLE t ADD a int DEFAULT 7",
        "ALTER TABLE t RENAME v TO w",
        "ALTER TABLE t ALTER a TYPE text USING a::text || '!'",
        "ALTER TABLE t DROP a",
        "ALTER TABLE t ADD k int NOT NULL DEFAULT 1, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, k)",
        "ALTER TABLE t RENAME w TO v",
    ];
    let changed = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (server, name) = (Arc::clone(&db.server), db.name.clone());
            let changed = Arc::clone(&changed);
            std::thread::spawn(move || {
                let insert = "INSERT INTO t DEFAULT VALUES;";
                while !changed.load(Ordering::Relaxed) {
                    server.psql(&name, &insert.repeat(20)).unwrap();
                }
            })
        })
        .collect();
    let wait_for_rows = || {
        let before: u32 = db.sql("SELECT count(*) FROM t").parse().unwrap();
        db.wait_for(&format!("SELECT count(*) > {before} + 20 FROM t"), "t");
    };
    for change in changes {
        wait_for_rows();
        db.sql(change);
    }
    wait_for_rows();
    changed.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }
    let written: usize = db.sql("SELECT count(*) FROM t").parse().unwrap();
    let all = run.count(written).await;
    let ids: BTreeSet<i64> = all.iter().map(|e| e.after()["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), written, "rows are missing or doubled");
    let versions: &[&[&str]] = &[
        &["id", "v"],
        &["a", "id", "v"],
        &["a", "id", "w"],
        &["id", "w"],
        &["id", "k", "w"],
        &["id", "k", "v"],
    ];
    let mut at = 0;
    let mut seen = BTreeSet::new();
    for event in &all {
        let fields = fields(event);
        while !versions[at].iter().map(|f| (*f).to_owned()).eq(fields.iter().cloned()) {
            at += 1;
            assert!(at < versions.len(), "{fields:?} came out of its time");
        }
        seen.insert(at);
        let keyed = fields.contains("k");
        assert_eq!(event.key.as_object().unwrap().len(), if keyed { 2 } else { 1 }, "{event:?}");
        let a = &event.after()["a"];
        assert!(a.is_null() || *a == 7 || a == "7", "{a}");
    }
    assert_eq!(seen.len(), versions.len(), "a shape never came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_stops_the_source_until_it_is_opened_again() {
    if skipped() {
        return;
    }
    let db = Db::new("halting", "CREATE TABLE t(id int PRIMARY KEY, v text)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    settings.schema_changes = SchemaChanges::Halt;
    let mut run = Run::open(&settings, 20).await;
    db.sql("INSERT INTO t VALUES (1)");
    assert_eq!(run.count(1).await[0].after()["id"], 1);
    db.sql("ALTER TABLE t ADD w int; INSERT INTO t VALUES (2, 'x', 3)");
    stops(&mut run).await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    // Another process knows the table from the checkpoint.
    let source = PostgresSource::new(settings);
    let mut run = Run::of(&source, 20, checkpoint).await.unwrap();
    stops(&mut run).await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::of(&source, 20, checkpoint).await.unwrap();
    assert_eq!(run.count(1).await[0].after()["w"], 3);
    // From now on that is what the table is.
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::of(&source, 20, checkpoint).await.unwrap();
    db.sql("INSERT INTO t VALUES (4, 'x', 5)");
    assert_eq!(run.count(1).await[0].after()["w"], 5);
}

async fn stops(run: &mut Run) {
    let fault = loop {
        match run.next().await {
            Ok(delivery) => run.settle(&delivery.unwrap()).await,
            Err(fault) => break fault,
        }
    };
    assert!(fault.to_string().contains("column w is new"), "{fault}");
    assert_eq!((fault.code(), fault.retry()), ("SCHEMA_CHANGED", Retry::Manual));
}
