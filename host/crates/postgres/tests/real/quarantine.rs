//! Tables that are held back while all others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_connector::{Planner, Refusal};
use wasmgate_model::{Checkpoint, DeadLetterCause, Delivery, Fault, Plan, Schema, Verdict};
use wasmgate_postgres::{PostgresSource, SchemaChanges, Settings, Snapshot};

use crate::harness::{Db, Event, Run, events, skipped};

/// A chain that reads `v` of the topic `srv.public.t`.
struct Reads;

impl Planner for Reads {
    fn plan(&self, _: &Arc<Schema>) -> Result<Arc<Plan>, Fault> {
        Ok(Arc::new(Plan::default()))
    }

    fn refusal(&self, schema: &Arc<Schema>) -> Result<Option<String>, Fault> {
        let fits = &*schema.topic != "srv.public.t" || schema.field("v").is_some();
        Ok((!fits).then(|| "module rule 1.0.0 does not fit: it reads field \"v\"".to_owned()))
    }

    fn version(&self) -> u64 {
        1
    }
}

/// A pipeline with what came of it.
struct Ledger {
    settings: Settings,
    run: Run,
    events: Vec<Event>,
    letters: Vec<(Value, DeadLetterCause)>,
    rows: BTreeMap<String, Value>,
}

impl Ledger {
    async fn open(settings: Settings) -> Self {
        let run = open(&settings, Checkpoint::default()).await;
        let (events, letters, rows) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { settings, run, events, letters, rows }
    }

    /// Another process goes on at the checkpoint.
    async fn restart(self) -> Self {
        let Self { settings, run, events, letters, rows } = self;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let run = open(&settings, checkpoint).await;
        Self { settings, run, events, letters, rows }
    }

    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let delivery = self.run.next().await.unwrap().unwrap();
            self.take(&delivery);
            self.run.settle(&delivery).await;
        }
    }

    fn take(&mut self, delivery: &Delivery) {
        for event in events(delivery) {
            let of_t = event.topic == "srv.public.t";
            match event.op {
                "d" if of_t => drop(self.rows.remove(&event.key.to_string())),
                "t" if of_t => self.rows.clear(),
                "r" | "c" | "u" if of_t => {
                    self.rows.insert(event.key.to_string(), event.after().clone());
                }
                _ => {}
            }
            self.events.push(event);
        }
        for batch in &delivery.batches {
            for reject in &batch.rejects {
                let Verdict::DeadLetter(cause) = &reject.verdict else { panic!("a drop") };
                let (_, value) = wasmgate_codec::encode::original(batch, reject.row as usize);
                let value = serde_json::from_slice(&value.unwrap()).unwrap();
                self.letters.push((value, (**cause).clone()));
            }
        }
    }

    /// Events of the other table.
    fn others(&self) -> usize {
        self.events.iter().filter(|e| e.topic == "srv.public.other").count()
    }

    /// Asks for a table while the source goes on.
    async fn resume(&mut self, table: &str) -> Result<(), Refusal> {
        let (commands, data) = (Arc::clone(&self.run.commands), json!({ "table": table }));
        let asked = tokio::spawn(async move {
            commands.send("s1".into(), "resume-table".into(), data.to_string()).await
        });
        while !asked.is_finished() {
            let next = self.run.next();
            let short = std::time::Duration::from_millis(100);
            let Ok(next) = tokio::time::timeout(short, next).await else { continue };
            let delivery = next.unwrap().unwrap();
            self.take(&delivery);
            self.run.settle(&delivery).await;
        }
        asked.await.unwrap()
    }

    /// Reads until the rows are those of the server.
    async fn equals(&mut self, db: &Db) {
        let text = db.sql("SELECT to_jsonb(t) FROM t");
        let each = text.lines().map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            (json!({ "id": row["id"] }).to_string(), row)
        });
        let want: BTreeMap<String, Value> = each.collect();
        self.until(|l| l.rows == want).await;
    }
}

async fn open(settings: &Settings, checkpoint: Checkpoint) -> Run {
    let source = PostgresSource::new(settings.clone());
    Run::planned(&source, 20, checkpoint, Arc::new(Reads)).await.unwrap()
}

fn conflict(answer: Result<(), Refusal>, part: &str) {
    let Err(Refusal::Conflict(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains(part), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_a_module_does_not_fit_waits_alone_and_is_read_anew() {
    if skipped() {
        return;
    }
    let setup =
        "CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE other(id int PRIMARY KEY);
                 INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3) i";
    let db = Db::new("held", setup);
    let mut ledger = Ledger::open(db.settings(&["public.t", "public.other"])).await;
    ledger.until(|l| l.events.len() == 3).await;
    db.sql(
        "ALTER TABLE t DROP v; INSERT INTO t VALUES (4); DELETE FROM t WHERE id = 1;
            UPDATE t SET id = 5 WHERE id = 2; INSERT INTO other VALUES (1)",
    );
    ledger.until(|l| l.others() == 1).await;
    assert_eq!(ledger.events.len(), 4, "{:?}", ledger.events);
    let ops: Vec<_> = ledger.letters.iter().map(|(v, _)| v["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["c", "d", "u"]);
    let (value, cause) = &ledger.letters[0];
    assert_eq!((&value["table"], &value["after"]), (&json!("public.t"), &json!({ "id": "4" })));
    assert_eq!(&*cause.code, "table-quarantined");
    assert!(cause.message.contains("reads field \"v\""), "{}", cause.message);
    let held = ledger.run.status.quarantined();
    assert_eq!((held.len(), held[0].table.as_str()), (1, "public.t"));
    assert!(held[0].reason.contains("module rule 1.0.0"), "{held:?}");

    let mut ledger = ledger.restart().await;
    assert_eq!(ledger.run.status.quarantined(), held, "a restart forgets it");
    db.sql("INSERT INTO t VALUES (6); INSERT INTO other VALUES (2)");
    ledger.until(|l| l.others() == 2).await;
    assert_eq!((ledger.events.len(), ledger.letters.len()), (5, 4));
    conflict(ledger.resume("public.t").await, "reads field \"v\"");
    conflict(ledger.resume("public.other").await, "not quarantined");

    db.sql("ALTER TABLE t ADD v text; INSERT INTO t VALUES (7, 'before')");
    ledger.resume("public.t").await.unwrap();
    ledger.equals(&db).await;
    assert_eq!(ledger.letters.len(), 5, "what was written before it was resumed");
    assert_eq!(ledger.run.status.quarantined(), []);
    db.sql("INSERT INTO t VALUES (8, 'after'); DELETE FROM t WHERE id = 4");
    ledger.equals(&db).await;
    let mut ledger = ledger.restart().await;
    db.sql("INSERT INTO t VALUES (9, 'again')");
    ledger.equals(&db).await;
    assert_eq!(ledger.letters.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_truncated_while_it_waits_is_truncated_when_it_goes_on() {
    if skipped() {
        return;
    }
    let setup =
        "CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE other(id int PRIMARY KEY);
                 INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3) i";
    let db = Db::new("held_truncate", setup);
    let mut settings = db.settings(&["public.t", "public.other"]);
    settings.shape.skipped.truncate = false;
    let mut ledger = Ledger::open(settings).await;
    ledger.until(|l| l.events.len() == 3).await;
    db.sql(
        "ALTER TABLE t DROP v; TRUNCATE t; INSERT INTO t VALUES (3), (4);
            ALTER TABLE t ADD v text; INSERT INTO other VALUES (1)",
    );
    ledger.until(|l| l.others() == 1).await;
    assert_eq!(ledger.letters.len(), 3, "{:?}", ledger.letters);
    ledger.resume("public.t").await.unwrap();
    ledger.equals(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_changed_waits_alone_where_that_is_asked_for() {
    if skipped() {
        return;
    }
    let setup =
        "CREATE TABLE t(id int PRIMARY KEY, v text); CREATE TABLE other(id int PRIMARY KEY);
                 CREATE TABLE keyless(v text)";
    let db = Db::new("held_change", setup);
    let mut settings = db.settings(&["public.t", "public.other", "public.keyless"]);
    settings.snapshot = Snapshot::Never;
    settings.schema_changes = SchemaChanges::DeadLetter;
    let mut ledger = Ledger::open(settings).await;
    db.sql("INSERT INTO t VALUES (1, 'x'); INSERT INTO keyless VALUES ('x')");
    ledger.until(|l| l.events.len() == 2).await;
    db.sql(
        "ALTER TABLE t ADD w int; INSERT INTO t VALUES (2, 'x', 3);
            ALTER TABLE keyless ADD w int; INSERT INTO keyless VALUES ('y', 4);
            INSERT INTO other VALUES (1)",
    );
    ledger.until(|l| l.others() == 1).await;
    assert_eq!((ledger.events.len(), ledger.letters.len()), (3, 2));
    assert!(ledger.letters[0].1.message.contains("column w is new"), "{:?}", ledger.letters);
    let mut ledger = ledger.restart().await;
    conflict(ledger.resume("public.keyless").await, "no key");
    ledger.resume("public.t").await.unwrap();
    ledger.equals(&db).await;
    let held: Vec<_> = ledger.run.status.quarantined().into_iter().map(|q| q.table).collect();
    assert_eq!(held, ["public.keyless"]);
    // From now on that is what the table is.
    let mut ledger = ledger.restart().await;
    db.sql("INSERT INTO t VALUES (4, 'x', 5)");
    ledger.equals(&db).await;
    assert_eq!(ledger.letters.len(), 2);
}
