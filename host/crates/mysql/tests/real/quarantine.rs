//! Tables that are held back while all others go on.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_capture_kit::beside::send;
use wasmgate_capture_kit::{self as kit, Reads};
use wasmgate_connector::Refusal;
use wasmgate_model::Checkpoint;
use wasmgate_mysql::Settings;
use wasmgate_services::mysql::Flavor;

use crate::harness::{Db, FLAVORS, Run, skipped};

const SETUP: &str = "CREATE TABLE t(id int PRIMARY KEY, v int);
    INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); CREATE TABLE other(id int PRIMARY KEY)";

/// A pipeline with what came of it.
struct Ledger<'d> {
    db: &'d Db,
    settings: Settings,
    of: kit::Ledger<Run>,
}

impl Deref for Ledger<'_> {
    type Target = kit::Ledger<Run>;

    fn deref(&self) -> &kit::Ledger<Run> {
        &self.of
    }
}

impl DerefMut for Ledger<'_> {
    fn deref_mut(&mut self) -> &mut kit::Ledger<Run> {
        &mut self.of
    }
}

impl<'d> Ledger<'d> {
    async fn open(db: &'d Db) -> Self {
        Self::open_as(db, db.settings()).await
    }

    async fn open_as(db: &'d Db, settings: Settings) -> Self {
        let run = open(&settings, Checkpoint::default()).await;
        Self { db, settings, of: kit::Ledger::new(run, format!("srv.{}.t", db.name)) }
    }

    /// Another process goes on at the checkpoint.
    async fn restart(self) -> Self {
        let Self { db, settings, of } = self;
        let kit::Ledger { run, topic, events, letters, rows } = of;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let run = open(&settings, checkpoint).await;
        Self { db, settings, of: kit::Ledger { run, topic, events, letters, rows } }
    }

    /// Asks for the table while the source goes on.
    async fn resume(&mut self) -> Result<(), Refusal> {
        let data = json!({ "table": format!("{}.t", self.db.name) });
        self.of.resume(data).await
    }

    /// Reads until the rows are those of the server.
    async fn equals(&mut self) {
        let text = self.db.sql("SELECT id, v FROM t");
        let each = text.lines().map(|line| {
            let (id, v) = line.split_once('\t').unwrap();
            let number = |text: &str| text.parse::<i64>().map_or(Value::Null, Value::from);
            let row = json!({ "id": number(id), "v": number(v) });
            (json!({ "id": number(id) }).to_string(), row)
        });
        self.of.equals(&each.collect()).await;
    }
}

async fn open(settings: &Settings, checkpoint: Checkpoint) -> Run {
    Run::planned(settings, 10, checkpoint, Arc::new(Reads)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_a_module_does_not_fit_waits_alone_and_is_read_anew() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "misfit", SETUP);
        let mut ledger = Ledger::open(&db).await;
        ledger.equals().await;
        db.sql(
            "ALTER TABLE t DROP v; INSERT INTO t VALUES (4); UPDATE t SET id = 9 WHERE id = 2;
             DELETE FROM t WHERE id = 1; INSERT INTO other VALUES (1)",
        );
        ledger.until(|l| l.others() == 1).await;
        let ops: Vec<&str> =
            ledger.letters.iter().map(|(v, _)| v["op"].as_str().unwrap()).collect();
        assert_eq!(ops, ["c", "d", "c", "d"], "{flavor:?}");
        let (_, cause) = &ledger.letters[0];
        assert_eq!((&*cause.stage, &*cause.code), ("quarantine", "table-quarantined"));
        assert!(cause.message.contains("reads field \"v\""), "{}", cause.message);
        // A restart changes nothing.
        let mut ledger = ledger.restart().await;
        let shown = ledger.run.status.quarantined();
        assert_eq!((shown.len(), &*shown[0].table), (1, &*format!("{}.t", db.name)));
        db.sql("INSERT INTO t VALUES (5); INSERT INTO other VALUES (2)");
        ledger.until(|l| l.others() == 2).await;
        assert_eq!(ledger.letters.len(), 5);
        let Err(Refusal::Conflict(why)) = ledger.resume().await else { panic!("resumed") };
        assert!(why.contains("stays quarantined") && why.contains("field \"v\""), "{why}");
        db.sql("ALTER TABLE t ADD v int; UPDATE t SET v = id * 10");
        assert_eq!(ledger.resume().await, Ok(()));
        ledger.equals().await;
        assert!(ledger.run.status.quarantined().is_empty());
        let gone: Vec<&Value> = ledger
            .events
            .iter()
            .filter(|e| e.op == "d" && e.value["source"]["snapshot"] == "incremental")
            .map(|e| &e.key["id"])
            .collect();
        assert_eq!(gone, [2, 1], "{flavor:?}: rows that were removed meanwhile");
        db.sql("INSERT INTO t VALUES (6, 6); DELETE FROM t WHERE id = 3");
        ledger.equals().await;
        assert!(ledger.events.iter().all(|e| e.op != "t"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_emptied_meanwhile_is_emptied_and_needs_a_key_to_go_on() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "emptied", SETUP);
        let mut ledger = Ledger::open(&db).await;
        ledger.equals().await;
        db.sql(
            "ALTER TABLE t DROP v; INSERT INTO t VALUES (4); TRUNCATE t; INSERT INTO t VALUES (5);
             ALTER TABLE t ADD v int, DROP PRIMARY KEY; INSERT INTO other VALUES (1)",
        );
        ledger.until(|l| l.others() == 1).await;
        let Err(Refusal::Conflict(why)) = ledger.resume().await else { panic!("resumed") };
        assert!(why.contains("stays quarantined") && why.contains("no key"), "{why}");
        db.sql("ALTER TABLE t ADD PRIMARY KEY (id)");
        assert_eq!(ledger.resume().await, Ok(()));
        ledger.equals().await;
        assert_eq!(ledger.rows.len(), 1, "{flavor:?}");
        assert!(ledger.run.status.quarantined().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_whose_rows_cannot_be_read_waits_alone_and_is_read_anew() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "unreadable", SETUP);
        let mut ledger = Ledger::open(&db).await;
        ledger.equals().await;
        db.sql(
            "SET SESSION binlog_row_image = 'MINIMAL'; UPDATE t SET v = 7 WHERE id = 2;
             DELETE FROM t WHERE id = 1; INSERT INTO other VALUES (1)",
        );
        ledger.until(|l| l.others() == 1 || !l.letters.is_empty()).await;
        db.sql("INSERT INTO other VALUES (2)");
        ledger.until(|l| l.others() >= 2 || l.run.status.quarantined().len() == 2).await;
        let reason = ledger.run.status.quarantined()[0].reason.clone();
        assert!(reason.contains("binlog_row_image = 'FULL'"), "{reason}");
        let ops: Vec<&str> =
            ledger.letters.iter().map(|(v, _)| v["op"].as_str().unwrap()).collect();
        assert_eq!(ops[..2], ["u", "d"], "{flavor:?}");
        assert_eq!(ledger.resume().await, Ok(()));
        ledger.equals().await;
        // Nobody could tell which rows were removed.
        assert!(ledger.events.iter().any(|e| e.op == "t"), "{flavor:?}");
        db.sql("INSERT INTO t VALUES (6, 6); DELETE FROM t WHERE id = 3");
        ledger.equals().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_goes_on_only_with_its_rows() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "unread", SETUP);
        let name = format!("reader_{}", db.name);
        let (reader, table) = (format!("'{name}'@'%'"), format!("`{}`.t", db.name));
        db.sql(&format!(
            "CREATE USER {reader} IDENTIFIED BY 'p';
             GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {reader};
             GRANT SELECT ON {table} TO {reader}; GRANT SELECT ON other TO {reader}"
        ));
        let settings = Settings { user: name, password: Some("p".into()), ..db.settings() };
        let mut ledger = Ledger::open_as(&db, settings).await;
        ledger.equals().await;
        db.sql("ALTER TABLE t DROP v; INSERT INTO t VALUES (4); INSERT INTO other VALUES (1)");
        ledger.until(|l| l.others() == 1).await;
        // The table is there to be seen and not to be read.
        db.sql(&format!(
            "ALTER TABLE t ADD v int; UPDATE t SET v = id; GRANT INSERT ON {table} TO {reader};
             REVOKE SELECT ON {table} FROM {reader}"
        ));
        ledger.resume().await.unwrap();
        let why = "could not be read anew";
        let waits = |l: &kit::Ledger<Run>| {
            l.run.status.quarantined().iter().any(|h| h.reason.contains(why))
        };
        ledger.until(waits).await;
        let letters = ledger.letters.len();
        db.sql("INSERT INTO t VALUES (5, 5); INSERT INTO other VALUES (2)");
        ledger.until(|l| l.others() == 2).await;
        assert_eq!(ledger.letters.len(), letters + 1, "{flavor:?}: it waits again");
        db.sql(&format!("GRANT SELECT ON {table} TO {reader}"));
        ledger.resume().await.unwrap();
        ledger.equals().await;
        assert!(ledger.run.status.quarantined().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_does_not_fit_is_not_read_by_the_first_snapshot() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1);
            CREATE TABLE other(id int PRIMARY KEY); INSERT INTO other VALUES (1)";
        let db = Db::new(flavor, "misfit_first", setup);
        let mut ledger = Ledger::open(&db).await;
        ledger.until(|l| l.others() == 1).await;
        db.sql("INSERT INTO t VALUES (2)");
        ledger.until(|l| l.letters.len() == 1).await;
        db.sql("ALTER TABLE t ADD v int");
        assert_eq!(ledger.resume().await, Ok(()));
        ledger.equals().await;
        assert_eq!(ledger.rows.len(), 2, "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_does_not_fit_is_not_read_by_a_blocking_snapshot() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1);
            CREATE TABLE other(id int PRIMARY KEY); INSERT INTO other VALUES (1)";
        let db = Db::new(flavor, "misfit_blocking", setup);
        let mut ledger = Ledger::open_as(&db, db.streaming()).await;
        let tables = ["t", "other"].map(|table| format!("{}.{table}", db.name));
        let data = json!({ "data-collections": tables, "type": "blocking" });
        // The chain is asked about it with the first one.
        for times in 1..=2 {
            let asked = send(&ledger.run.commands, "execute-snapshot", &data);
            ledger.until(|l| l.others() == times).await;
            assert_eq!(asked.await.unwrap(), Ok(()), "{flavor:?}");
            assert_eq!(ledger.run.status.quarantined().len(), 1, "{flavor:?}");
            assert!(ledger.events.iter().all(|e| e.topic != ledger.topic), "{flavor:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_compressed_columns_waits_until_they_are_stored_uncompressed() {
    let flavor = Flavor::MariaDb;
    if skipped(flavor) {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, v int, note text COMPRESSED);
        CREATE TABLE other(id int PRIMARY KEY)";
    let db = Db::new(flavor, "compressed", setup);
    let mut ledger = Ledger::open(&db).await;
    db.sql(
        "INSERT INTO t VALUES (1, 1, repeat('x', 1000)), (2, 2, 'y'); UPDATE t SET v = 3 WHERE \
         id = 2; DELETE FROM t WHERE id = 1; INSERT INTO other VALUES (1)",
    );
    ledger.until(|l| l.others() == 1).await;
    let ops = |l: &Ledger<'_>| -> Vec<String> {
        l.letters.iter().map(|(v, _)| v["op"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ops(&ledger), ["c", "u", "d"]);
    assert!(ledger.letters.iter().all(|(value, _)| value["rows"] == "unreadable"));
    let held = ledger.run.status.quarantined();
    assert!(held[0].reason.contains("COMPRESSED: note"), "{}", held[0].reason);
    // What is in the way is in the way after a restart, too.
    let mut ledger = ledger.restart().await;
    db.sql("UPDATE t SET v = 4; INSERT INTO other VALUES (2)");
    ledger.until(|l| l.others() == 2).await;
    assert_eq!(ops(&ledger), ["c", "u", "d", "u"]);
    let Err(Refusal::Conflict(why)) = ledger.resume().await else { panic!("resumed") };
    assert!(why.contains("stays quarantined") && why.contains("COMPRESSED: note"), "{why}");
    db.sql("ALTER TABLE t MODIFY note text; INSERT INTO t VALUES (3, 3, 'z')");
    assert_eq!(ledger.resume().await, Ok(()));
    ledger.until(|l| l.rows.len() == 2).await;
    let notes: Vec<&Value> = ledger.rows.values().map(|row| &row["note"]).collect();
    assert_eq!(notes, ["y", "z"]);
    assert!(ledger.run.status.quarantined().is_empty());
    db.sql("UPDATE t SET note = 'after' WHERE id = 3");
    ledger.until(|l| l.rows.values().any(|row| row["note"] == "after")).await;
    // What stands before the signal is a dead letter still, nothing after it.
    assert_eq!(ops(&ledger), ["c", "u", "d", "u", "c"]);
}
