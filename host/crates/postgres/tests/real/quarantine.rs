//! Tables that are held back while all others go on.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_capture_kit::{self as kit, Reads};
use wasmgate_connector::Refusal;
use wasmgate_model::Checkpoint;
use wasmgate_postgres::{
    HeldEvents, PostgresSource, Quarantine, SchemaChanges, Settings, Snapshot,
};

use crate::harness::{Db, Event, Run, events, skipped};

/// A pipeline with what came of it.
struct Ledger {
    settings: Settings,
    of: kit::Ledger<Run>,
}

impl Deref for Ledger {
    type Target = kit::Ledger<Run>;

    fn deref(&self) -> &kit::Ledger<Run> {
        &self.of
    }
}

impl DerefMut for Ledger {
    fn deref_mut(&mut self) -> &mut kit::Ledger<Run> {
        &mut self.of
    }
}

impl Ledger {
    async fn open(settings: Settings) -> Self {
        let run = open(&settings, Checkpoint::default()).await;
        Self { settings, of: kit::Ledger::new(run, "srv.public.t".into()) }
    }

    /// Another process goes on at the checkpoint.
    async fn restart(self) -> Self {
        let Self { settings, of } = self;
        let kit::Ledger { run, topic, events, letters, rows } = of;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let run = open(&settings, checkpoint).await;
        Self { settings, of: kit::Ledger { run, topic, events, letters, rows } }
    }

    /// Waits until so many changes of the table are kept.
    async fn kept(&mut self, changes: u64) {
        let is = |l: &kit::Ledger<Run>| {
            let held = l.run.status.quarantined();
            held.first().and_then(|h| h.kept).is_some_and(|kept| kept.changes == changes)
        };
        self.until(is).await;
    }

    /// Asks for a table while the source goes on.
    async fn resume(&mut self, table: &str) -> Result<(), Refusal> {
        self.of.resume(json!({ "table": table })).await
    }

    /// Reads until the rows are those of the server.
    async fn equals(&mut self, db: &Db) {
        let text = db.sql("SELECT to_jsonb(t) FROM t");
        let each = text.lines().map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            (json!({ "id": row["id"] }).to_string(), row)
        });
        self.of.equals(&each.collect()).await;
    }
}

/// What was told of the table, in order, without its rows read anew.
fn told(ledger: &kit::Ledger<Run>) -> Vec<String> {
    let of_t = ledger.events.iter().filter(|e| e.topic == "srv.public.t" && e.op != "r");
    of_t.map(|e| format!("{} {}", e.op, e.key["id"])).collect()
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

/// Two tables; changes of a quarantined one are kept under `dir`.
fn keeping(db: &Db, dir: &std::path::Path) -> Settings {
    let dir = Some(dir.join("quarantine"));
    let quarantine =
        Quarantine { events: HeldEvents::Keep, dir, undecodable_rows: 3, ..Quarantine::default() };
    Settings { quarantine, ..db.settings(&["public.t", "public.other"]) }
}

const TWO: &str = "CREATE TABLE t(id int PRIMARY KEY, v text); \
                   CREATE TABLE other(id int PRIMARY KEY); \
                   INSERT INTO t SELECT i, 'x' FROM generate_series(1, 3) i";

fn files(dir: &std::path::Path) -> usize {
    let all = std::fs::read_dir(dir.join("quarantine")).unwrap();
    all.filter(|f| f.as_ref().unwrap().path().extension().is_some_and(|e| e == "kept")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_changes_come_in_their_order_before_the_rows_and_the_stream() {
    if skipped() {
        return;
    }
    let db = Db::new("kept", TWO);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = keeping(&db, dir.path());
    settings.schema_changes = SchemaChanges::DeadLetter;
    settings.events.transactions = true;
    let mut ledger = Ledger::open(settings).await;
    ledger.until(|l| l.events.len() >= 3).await;
    db.sql("INSERT INTO t VALUES (4, 'x')");
    ledger.until(|l| told(l) == ["c 4"]).await;
    db.sql(
        "ALTER TABLE t ADD w int; INSERT INTO t VALUES (5, 'x', 1); DELETE FROM t WHERE id = 1;
         UPDATE t SET id = 6 WHERE id = 2; INSERT INTO other VALUES (1)",
    );
    ledger.kept(3).await;
    assert_eq!((told(&ledger).len(), ledger.letters.len()), (1, 0), "{:?}", ledger.letters);
    let held = ledger.run.status.quarantined();
    assert!(held[0].reason.contains("column w is new"), "{held:?}");

    // What is read and not settled when the process ends comes again, once.
    db.sql("INSERT INTO t VALUES (7, 'x', 2); INSERT INTO other VALUES (2)");
    while ledger.run.status.quarantined()[0].kept.unwrap().changes < 4 {
        ledger.run.next().await.unwrap();
    }
    let mut ledger = ledger.restart().await;
    db.sql("ALTER TABLE t ADD x int; UPDATE t SET w = 3 WHERE id = 7");
    ledger.kept(5).await;
    let mut ledger = ledger.restart().await;
    ledger.kept(5).await;
    db.sql("TRUNCATE other; INSERT INTO other VALUES (3)");
    ledger.resume("public.t").await.unwrap();
    db.sql("INSERT INTO t VALUES (8, 'x', 4)");
    ledger.equals(&db).await;
    ledger.until(|l| told(l).last().is_some_and(|told| told == "c 8")).await;
    let told = told(&ledger);
    let want =
        ["c 4", "c 5", "d 1", "tombstone 1", "d 2", "tombstone 2", "c 6", "c 7", "u 7", "c 8"];
    assert_eq!(told, want);
    assert_eq!(ledger.letters.len(), 0, "{:?}", ledger.letters);
    let of_t: Vec<&Event> = ledger.events.iter().filter(|e| e.topic == "srv.public.t").collect();
    let five = of_t.iter().find(|e| e.line().starts_with("c {\"id\":5")).unwrap();
    assert_eq!(five.after(), &json!({ "id": 5, "v": "x", "w": 1 }), "as it was written");
    let seven = of_t.iter().find(|e| e.op == "u").unwrap();
    assert_eq!(seven.after(), &json!({ "id": 7, "v": "x", "w": 3, "x": null }));
    assert_eq!(seven.value["transaction"]["total_order"], json!(1));
    let lsn = |e: &&Event| e.value["source"]["lsn"].as_u64();
    let lsns: Vec<_> = of_t.iter().filter(|e| e.op != "r").filter_map(lsn).collect();
    assert!(lsns.is_sorted(), "{lsns:?}");
    assert_eq!((ledger.run.status.quarantined(), files(dir.path())), (Vec::new(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_changes_that_do_not_fit_are_not_delivered_and_can_be_given_up() {
    if skipped() {
        return;
    }
    let db = Db::new("kept_unfit", TWO);
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(keeping(&db, dir.path())).await;
    ledger.until(|l| l.events.len() == 3).await;
    db.sql(
        "ALTER TABLE t DROP v; INSERT INTO t VALUES (4); DELETE FROM t WHERE id = 1;
         ALTER TABLE t ADD v text; INSERT INTO t VALUES (5, 'y')",
    );
    ledger.kept(3).await;
    conflict(ledger.resume("public.t").await, "its kept changes: module rule");
    assert_eq!(ledger.run.status.quarantined()[0].kept.unwrap().changes, 3);
    let give_up = json!({ "table": "public.t", "kept": "dead_letter" });
    ledger.of.resume(give_up).await.unwrap();
    ledger.equals(&db).await;
    let ops: Vec<_> = ledger.letters.iter().map(|(v, _)| v["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["c", "d", "c"]);
    assert_eq!(ledger.letters[2].0["after"], json!({ "id": "5", "v": "y" }));
    assert_eq!(told(&ledger), ["d 1", "tombstone 1"], "what was removed is told");
    db.sql("INSERT INTO t VALUES (9, 'z')");
    ledger.equals(&db).await;
    assert_eq!((ledger.letters.len(), files(dir.path())), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_cut_short_goes_on_where_it_was() {
    if skipped() {
        return;
    }
    let db = Db::new("kept_cut", TWO);
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(keeping(&db, dir.path())).await;
    ledger.until(|l| l.events.len() == 3).await;
    // The chain reads v, and fits again before anything is written without it.
    db.sql(
        "ALTER TABLE t RENAME v TO u; INSERT INTO t SELECT i, 'x' FROM generate_series(4, 99) i",
    );
    ledger.kept(96).await;
    // A chain that fits takes its place.
    let checkpoint = ledger.run.checkpoint.clone();
    let mut settings = ledger.settings.clone();
    drop(ledger.of.run);
    let fits = |settings: &Settings, checkpoint| {
        let source = PostgresSource::new(settings.clone());
        async move {
            Run::planned(&source, 20, checkpoint, Arc::new(wasmgate_connector::PassThrough)).await
        }
    };
    ledger.of.run = fits(&settings, checkpoint).await.unwrap();
    let commands = Arc::clone(&ledger.run.commands);
    let asked = tokio::spawn(async move {
        let data = json!({ "table": "public.t" }).to_string();
        commands.send("s1".into(), "resume-table".into(), data).await
    });
    // Two pieces of twenty are settled, the third is delivered and lost.
    let mut pieces = 0;
    while pieces < 3 {
        let delivery = ledger.run.next().await.unwrap().unwrap();
        let told = events(&delivery).iter().any(|e| e.topic == "srv.public.t");
        pieces += usize::from(told);
        if pieces < 3 {
            ledger.take(&delivery);
            ledger.run.settle(&delivery).await;
        }
    }
    asked.await.unwrap().unwrap();
    let checkpoint = ledger.run.checkpoint.clone();
    drop(ledger.of.run);
    settings.quarantine.keep_max = 1 << 20;
    ledger.of.run = fits(&settings, checkpoint).await.unwrap();
    ledger.equals(&db).await;
    let told = told(&ledger);
    let want: Vec<String> = (4..=99).map(|id| format!("c {id}")).collect();
    assert_eq!(told, want);
    assert_eq!(ledger.run.status.quarantined(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fills_its_bound_stops_the_source_and_loses_nothing() {
    if skipped() {
        return;
    }
    let db = Db::new("kept_full", TWO);
    let dir = tempfile::tempdir().unwrap();
    let mut settings = keeping(&db, dir.path());
    settings.quarantine.keep_max = 4000;
    let mut ledger = Ledger::open(settings).await;
    ledger.until(|l| l.events.len() == 3).await;
    db.sql("ALTER TABLE t RENAME v TO u");
    for id in 4..40 {
        db.sql(&format!("INSERT INTO t VALUES ({id}, 'x')"));
    }
    let fault = loop {
        match ledger.run.next().await {
            Ok(delivery) => {
                let delivery = delivery.unwrap();
                ledger.take(&delivery);
                ledger.run.settle(&delivery).await;
            }
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.code(), "quarantine-full", "{}", fault.chain());
    assert_eq!(fault.retry(), wasmgate_model::Retry::Manual);
    ledger.settings.quarantine.keep_max = 1 << 20;
    let mut ledger = ledger.restart().await;
    ledger.kept(36).await;
    db.sql("ALTER TABLE t RENAME u TO v");
    conflict(ledger.resume("public.t").await, "its kept changes");
    assert_eq!((told(&ledger).len(), ledger.letters.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_rows_cannot_be_decoded_waits_alone() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, n numeric NOT NULL, v text); \
                 CREATE TABLE other(id int PRIMARY KEY)";
    let db = Db::new("undecodable", setup);
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(keeping(&db, dir.path())).await;
    db.sql(
        "INSERT INTO t VALUES (1, 1), (2, 'NaN'), (3, 'NaN'), (4, 1), (5, 'NaN');
         INSERT INTO other VALUES (1)",
    );
    ledger.until(|l| l.others() == 1).await;
    assert_eq!(ledger.letters.len(), 3);
    assert_eq!(ledger.run.status.quarantined(), [], "a good row is between them");
    db.sql(
        "INSERT INTO t VALUES (6, 'NaN'); INSERT INTO t VALUES (7, 'NaN'), (8, 'NaN');
         INSERT INTO t VALUES (9, 1), (10, 'NaN'); INSERT INTO other VALUES (2)",
    );
    ledger.until(|l| l.letters.len() == 5).await;
    ledger.kept(3).await;
    let held = ledger.run.status.quarantined();
    assert!(held[0].reason.contains("3 rows in a row cannot be decoded"), "{held:?}");
    assert!(held[0].reason.contains("field n"), "{held:?}");
    assert_eq!(ledger.letters.len(), 5);
    assert_eq!(&*ledger.letters[4].1.code, "bad-value");

    // The rows would be held back again, and were so by a copy of them.
    db.sql("UPDATE t SET v = 'y' WHERE id >= 5; UPDATE t SET v = 'z' WHERE id = 10");
    ledger.kept(10).await;
    conflict(ledger.resume("public.t").await, "rows in a row cannot be decoded");
    let give_up = json!({ "table": "public.t", "kept": "dead_letter" });
    ledger.of.resume(give_up).await.unwrap();
    let again = |l: &kit::Ledger<Run>| {
        let held = l.run.status.quarantined();
        let again =
            |h: &wasmgate_connector::Quarantined| !h.resuming && h.reason.contains("in a row");
        held.first().is_some_and(again) && l.letters.len() > 15
    };
    ledger.until(again).await;

    // Settings that decode them bring the table back.
    db.sql("INSERT INTO t VALUES (11, 'NaN')");
    ledger.until(|l| l.run.status.quarantined()[0].kept.is_some_and(|k| k.changes > 0)).await;
    ledger.settings.shape.values.decimal = wasmgate_postgres::DecimalMode::String;
    let letters = ledger.letters.len();
    let mut ledger = ledger.restart().await;
    ledger.resume("public.t").await.unwrap();
    let lines = |l: &kit::Ledger<Run>| {
        let each = l
            .rows
            .values()
            .map(|row| format!("{}|{}", row["id"], row["n"].as_str().unwrap_or_default()));
        each.collect::<std::collections::BTreeSet<_>>()
    };
    let want = db.sql("SELECT id, n FROM t");
    let want = want.replace("NaN", "NAN").lines().map(str::to_owned).collect();
    ledger.until(|l| lines(l) == want).await;
    assert_eq!(ledger.letters.len(), letters);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_snapshot_holds_a_table_back_whose_rows_cannot_be_decoded() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, n numeric NOT NULL, v text);
                 CREATE TABLE other(id int PRIMARY KEY);
                 INSERT INTO t SELECT i, 'NaN' FROM generate_series(1, 500) i;
                 INSERT INTO other SELECT generate_series(1, 50)";
    let db = Db::new("undecodable_rows", setup);
    let mut settings = db.settings(&["public.t", "public.other"]);
    settings.quarantine.undecodable_rows = 10;
    let mut ledger = Ledger::open(settings).await;
    ledger.until(|l| l.others() == 50).await;
    let held = ledger.run.status.quarantined();
    assert_eq!((held.len(), held[0].table.as_str()), (1, "public.t"));
    assert!(ledger.letters.len() < 100, "{} dead letters", ledger.letters.len());
    db.sql("UPDATE t SET n = 1");
    ledger.until(|l| l.letters.len() >= 500).await;
    ledger.resume("public.t").await.unwrap();
    ledger.until(|l| l.rows.len() == 500).await;
}

/// A chain that reads `v` gets it by the publication's column list only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_goes_on_by_the_columns_that_are_published_and_only_with_its_rows() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, v text, w text);
                 CREATE TABLE other(id int PRIMARY KEY);
                 CREATE PUBLICATION held_columns FOR TABLE t, other;
                 CREATE ROLE held_reader LOGIN REPLICATION;
                 GRANT SELECT ON t, other TO held_reader";
    let db = Db::new("held_columns", setup);
    let mut settings = db.settings(&["public.t", "public.other"]);
    settings.user = "held_reader".into();
    settings.slot_care.publication = wasmgate_postgres::PublicationMode::Disabled;
    let mut ledger = Ledger::open(settings).await;
    db.sql("INSERT INTO t VALUES (1, 'x', 'y')");
    ledger.until(|l| l.rows.len() == 1).await;
    db.sql(
        "ALTER PUBLICATION held_columns SET TABLE t (id, w), other;
         INSERT INTO t VALUES (2, 'x', 'y'); INSERT INTO other VALUES (1)",
    );
    ledger.until(|l| l.others() == 1).await;
    assert_eq!(ledger.letters.len(), 1);
    conflict(ledger.resume("public.t").await, "reads field \"v\"");
    db.sql("ALTER PUBLICATION held_columns SET TABLE t (v), other");
    conflict(ledger.resume("public.t").await, "does not list its key column id");
    db.sql("ALTER PUBLICATION held_columns SET TABLE t (id, v), other; REVOKE SELECT ON t FROM held_reader");
    ledger.resume("public.t").await.unwrap();
    let why = "could not be read anew";
    ledger.until(|l| l.run.status.quarantined().iter().any(|held| held.reason.contains(why))).await;
    let letters = ledger.letters.len();
    db.sql("INSERT INTO t VALUES (3, 'x', 'y'); INSERT INTO other VALUES (2)");
    ledger.until(|l| l.others() == 2).await;
    assert_eq!(ledger.letters.len(), letters + 1, "it waits again");
    db.sql("GRANT SELECT ON t TO held_reader");
    ledger.resume("public.t").await.unwrap();
    let row = |id: i32| (json!({ "id": id }).to_string(), json!({ "id": id, "v": "x" }));
    ledger.until(|l| l.rows == BTreeMap::from([row(1), row(2), row(3)])).await;
}
