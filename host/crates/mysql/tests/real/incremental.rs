//! Snapshots beside the stream: chunks against writers, signals and commands, restarts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use wasmgate_capture_kit::beside::{self, Captured, ids, send, told};
use wasmgate_connector::Refusal;
use wasmgate_model::Checkpoint;
use wasmgate_mysql::{Settings, Snapshot, Watermarks};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, Event, FLAVORS, Run, skipped, until};

const SIGNALS: &str = "CREATE TABLE sig(id varchar(64) PRIMARY KEY, type varchar(32), data text);";

/// Nothing is read yet.
fn settings(db: &Db) -> Settings {
    let mut settings = db.streaming();
    settings.snapshots.chunk_rows = 50;
    settings.signals.table = Some(format!("{}.sig", db.name));
    settings.notifications.topic = Some("told".into());
    settings
}

/// A database with what reads it.
struct Database {
    db: Db,
    settings: Settings,
}

impl Database {
    fn new(flavor: Flavor, name: &str, setup: &str) -> Self {
        Self::of(Db::new(flavor, name, setup))
    }

    fn of(db: Db) -> Self {
        Self { settings: settings(&db), db }
    }
}

impl Captured for Database {
    type Run = Run;

    async fn open(&self, rows: usize, checkpoint: Checkpoint) -> Run {
        Run::resume(&self.settings, rows, checkpoint).await.unwrap()
    }

    fn sql(&self, script: &str) {
        self.db.sql(script);
    }

    fn name(&self, table: &str) -> String {
        format!("{}.{table}", self.db.name)
    }
}

/// Rows numbered from 1: their id, 0.
fn insert(db: &Db, table: &str, rows: i64) {
    let values: Vec<String> = (1..=rows).map(|i| format!("({i},0)")).collect();
    db.sql(&format!("INSERT INTO {table}(id, seq) VALUES {}", values.join(",")));
}

/// `seq` of every row by its id, as the events say it is.
fn mirror(all: &[Event]) -> BTreeMap<i64, i64> {
    let rows = beside::mirror(all).into_iter();
    rows.map(|(id, row)| (id, row["seq"].as_i64().unwrap())).collect()
}

fn rows_of(db: &Db, table: &str) -> BTreeMap<i64, i64> {
    let text = db.sql(&format!("SELECT id, seq FROM {table}"));
    let each = text.lines().map(|line| {
        let (id, seq) = line.split_once('\t').unwrap();
        (id.parse().unwrap(), seq.parse().unwrap())
    });
    each.collect()
}

/// Chunks while two writers insert, update, change keys and delete; whatever the marks.
async fn under_writers(mut database: Database, watermarks: Watermarks) {
    database.settings.snapshots.watermarks = watermarks;
    let db = &database.db;
    insert(db, "t", 2000);
    let mut run = Run::open(&database.settings, 200).await;
    let seq = AtomicI64::new(1);
    // Each has rows of its own, so that `seq` goes up row by row.
    let write = |writer: i64| {
        for i in 0..60 {
            let mut script = String::new();
            for j in 0..5 {
                let n = seq.fetch_add(1, Ordering::Relaxed);
                let id = (i * 5 + j) * 37 % 1000 * 2 + writer;
                let new = 10_000 + (i * 5 + j) * 2 + writer;
                script.push_str(&match j {
                    0 => format!("DELETE FROM t WHERE id = {id};"),
                    1 => format!("INSERT INTO t VALUES ({new}, {n});"),
                    2 => format!("UPDATE t SET id = {new}, seq = {n} WHERE id = {id};"),
                    _ => format!("UPDATE t SET seq = {n} WHERE id = {id};"),
                });
            }
            db.sql(&script);
        }
    };
    let data = database.execute(&["t"]);
    let signal = format!("INSERT INTO sig VALUES ('s1', 'execute-snapshot', '{data}')");
    let end = || drop(db.sql("INSERT INTO t VALUES (-1, 0)"));
    let all = beside::under_writers(&mut run, write, || drop(db.sql(&signal)), end);
    let of_t = database.of(&all, "t");
    assert!(ids(&of_t).len() > 500, "{} rows were read", ids(&of_t).len());
    let read = of_t.iter().find(|e| e.op == "r").unwrap();
    let source = &read.value["source"];
    assert_eq!((&source["snapshot"], &source["gtid"]), (&"incremental".into(), &Value::Null));
    assert_eq!(mirror(&of_t), rows_of(db, "t"), "{:?} {watermarks:?}", db.name);
    let marks = database.of(&all, "sig").iter().filter(|e| e.op == "c").count() - 1;
    assert_eq!(marks > 0, watermarks != Watermarks::ReadOnly, "{marks} marks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_equal_the_table_under_writers_whatever_the_marks() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        for (watermarks, name) in [
            (Watermarks::ReadOnly, "chunks_read_only"),
            (Watermarks::InsertInsert, "chunks_insert"),
            (Watermarks::InsertDelete, "chunks_delete"),
        ] {
            let setup = format!("CREATE TABLE t(id int PRIMARY KEY, seq bigint); {SIGNALS}");
            under_writers(Database::new(flavor, name, &setup), watermarks).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_gtids_takes_marks_in_the_signal_table() {
    if skipped(Flavor::MySql) {
        return;
    }
    let arguments = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned);
    let options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let server = Arc::new(MySql::start(Flavor::MySql, &options).unwrap());
    let setup = format!("CREATE TABLE t(id int PRIMARY KEY, seq bigint); {SIGNALS}");
    let database = Database::of(Db::on(server, "chunks_no_gtids", &setup));
    let mut run = Run::open(&database.settings, 10).await;
    let mut asked = send(&run.commands, "execute-snapshot", &database.execute(&["t"]));
    // Nothing may come: it is the answer that is waited for.
    let answer = tokio::select! {
        answer = &mut asked => answer.unwrap(),
        _ = run.until(|_| false) => panic!("no answer"),
    };
    let Err(Refusal::Conflict(why)) = answer else { panic!("taken") };
    assert!(why.contains("gtid_mode") && why.contains("insert_insert"), "{why}");
    drop(run);
    under_writers(database, Watermarks::InsertInsert).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_at_the_last_chunk_and_never_takes_a_transaction_for_settled() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY, seq int)";
        let mut database = Database::new(flavor, "chunk_restart", setup);
        insert(&database.db, "t", 1000);
        database.settings.transaction_metadata = true;
        let (all, restarts) = beside::goes_on_at_the_last_chunk(&database).await;
        let begun: Vec<&Value> = all
            .iter()
            .filter(|e| e.topic == "srv.transaction" && e.value["status"] == "BEGIN")
            .map(|e| &e.value["id"])
            .collect();
        assert!(begun.len() >= restarts, "{flavor:?} {begun:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_pause_resume_and_stop_and_survive_a_restart() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE a(id int PRIMARY KEY, seq int);
            CREATE TABLE b(id int PRIMARY KEY, seq int);
            CREATE TABLE nokey(id int); CREATE TABLE none(id int PRIMARY KEY);
            INSERT INTO nokey VALUES (1)";
        let database = Database::new(flavor, "chunk_commands", setup);
        insert(&database.db, "a", 1000);
        insert(&database.db, "b", 120);
        let scans = beside::commands_survive_a_restart(&database).await;
        let want = ["b SUCCEEDED 120", "nokey NO_PRIMARY_KEY 0", "none EMPTY 0"];
        assert_eq!(scans, want.map(|line| database.name(line)), "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_and_surrogate_keys_choose_rows_and_order() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int NOT NULL, v int NOT NULL)";
        let database = Database::new(flavor, "chunk_surrogate", setup);
        let rows: Vec<String> = (1..=300).map(|i| format!("({i},{})", (1000 - i) / 6)).collect();
        database.sql(&format!("INSERT INTO t VALUES {}", rows.join(",")));
        beside::surrogate_keys_choose_the_order(&database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_type_are_gone_by() {
    let keys = [
        ("k varchar(20) COLLATE utf8mb4_bin", "concat('ä\\\\''-', i)"),
        ("k char(20) CHARACTER SET latin1", "concat('é', i)"),
        ("k varbinary(20)", "concat(x'00ff', i)"),
        ("k binary(8)", "concat(x'ff00', i)"),
        ("k bigint unsigned", "18446744073709551615 - i"),
        ("k decimal(30,10)", "i * 1.0000000001 - 100"),
        ("k double", "i / 7 - 20"),
        ("k float", "i / 7 - 20"),
        ("k date", "date'2000-01-01' + interval i day"),
        ("k datetime(6)", "timestamp'2000-01-01 00:00:00.000001' + interval i microsecond"),
        (
            "k timestamp(3) DEFAULT '2001-01-01'",
            "timestamp'2020-01-01 00:00:00' + interval i * 10 second",
        ),
        ("k time(2)", "sec_to_time(i * 100 - 9000)"),
        ("k enum('zz','b','a')", "1 + i % 3"),
        ("k bit(9)", "i"),
        ("k year", "1950 + i % 100"),
    ];
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let mut database = Database::new(flavor, "chunk_keys", "SET @x = 1");
        database.settings.snapshots.chunk_rows = 7;
        let db = &database.db;
        let numbers: Vec<String> = (1..=100).map(|i| format!("({i})")).collect();
        db.sql(&format!(
            "CREATE TABLE n(i int PRIMARY KEY); INSERT INTO n VALUES {}",
            numbers.join(",")
        ));
        for (number, (column, value)) in keys.iter().enumerate() {
            // A pair, as one column of some types has few values.
            db.sql(&format!(
                "CREATE TABLE k{number}({column}, id int, seq int, PRIMARY KEY (k, id));
                 INSERT INTO k{number} SELECT {value}, i, 0 FROM n"
            ));
        }
        let mut run = Run::open(&database.settings, 100).await;
        let taken = send(&run.commands, "execute-snapshot", &database.execute(&["k.*"]));
        // The stream changes every row meanwhile: what it told is not told again as it was.
        for number in 0..keys.len() {
            db.sql(&format!("UPDATE k{number} SET seq = 1"));
        }
        let all = run.until(|all| told(all, "COMPLETED") == 1).await;
        assert_eq!(taken.await.unwrap(), Ok(()));
        for (number, (column, _)) in keys.iter().enumerate() {
            let of_k = database.of(&all, &format!("k{number}"));
            let mut seen: BTreeMap<String, i64> = BTreeMap::new();
            for event in &of_k {
                let seq = event.after()["seq"].as_i64().unwrap();
                let old = seen.insert(event.key.to_string(), seq);
                assert!(old.is_none_or(|old| old <= seq), "{flavor:?} {column} {event:?}");
            }
            assert_eq!(seen.len(), 100, "{flavor:?} {column}");
        }
    }
}

/// Holds the lock `moved` until the table `stop` has a row; whoever fails does not wait for it for
/// ever.
const HOLD: &str = "DELIMITER //
    CREATE PROCEDURE hold() BEGIN
        DECLARE i int DEFAULT GET_LOCK('moved', 0);
        WHILE i < 3000 AND NOT EXISTS (SELECT * FROM stop) DO SET i = i + 1 + SLEEP(0.01); END WHILE;
    END//
    DELIMITER ;
    CALL hold()";

/// The view of a chunk has the row under its old key, of which the stream tells while it is read that
/// there is no such row any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_whose_key_changes_while_it_is_read_does_not_come_back_under_the_old_one() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        // From the first mark on, whoever reads row 2 waits for the lock.
        let setup = format!(
            "CREATE TABLE t(id int PRIMARY KEY, seq int); CREATE TABLE stop(id int); {SIGNALS}
             CREATE TRIGGER arms AFTER INSERT ON sig FOR EACH ROW SET @armed = 1"
        );
        let mut database = Database::new(flavor, "chunk_moved", &setup);
        database.settings.snapshots.watermarks = Watermarks::InsertInsert;
        insert(&database.db, "t", 3);
        let (server, name) = (Arc::clone(&database.db.server), database.db.name.clone());
        let held = tokio::task::spawn_blocking(move || server.sql(&name, HOLD).unwrap());
        let wait = |sql: &str| until(|| (database.db.sql(sql) == "1").then_some(()));
        wait("SELECT IS_FREE_LOCK('moved') = 0");
        let mut run = Run::open(&database.settings, 10).await;
        run.until_assigned().await.unwrap();
        let mut data = database.execute(&["t"]);
        let filter = "id <> 2 OR @armed IS NULL OR GET_LOCK('moved', 60) = 1";
        data["additional-conditions"] =
            json!([{ "data-collection": database.name("t"), "filter": filter }]);
        let taken = send(&run.commands, "execute-snapshot", &data);
        let mut all = run.while_asked(&taken).await;
        let reads = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock'";
        wait(reads);
        database.sql("UPDATE t SET id = 20, seq = 1 WHERE id = 2");
        all.extend(run.until(|all| all.iter().any(|e| e.key["id"] == 20)).await);
        wait(reads);
        database.sql("INSERT INTO stop VALUES (1)");
        all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
        held.await.unwrap();
        assert_eq!(ids(&all), [1, 3], "{flavor:?}");
        assert_eq!(mirror(&database.of(&all, "t")), rows_of(&database.db, "t"), "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_is_given_up_and_the_stream_goes_on() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
            CREATE TABLE u(id int PRIMARY KEY); INSERT INTO u VALUES (7)";
        let database = Database::new(flavor, "refused_signals", setup);
        let kinds = [("incremental", "COMPLETED")];
        beside::what_is_refused_is_given_up(&database, &kinds).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_may_be_altered_while_it_is_read() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY, seq int)";
        let mut database = Database::new(flavor, "chunk_altered", setup);
        insert(&database.db, "t", 1000);
        database.settings.snapshots.chunk_rows = 10;
        let mut run = Run::open(&database.settings, 10).await;
        let taken = send(&run.commands, "execute-snapshot", &database.execute(&["t"]));
        let mut all = run.until(|all| ids(all).len() >= 50).await;
        database.sql("ALTER TABLE t ADD extra int NOT NULL DEFAULT 7, DROP seq");
        all.extend(run.until(|all| told(all, "COMPLETED") == 1).await);
        assert_eq!(taken.await.unwrap(), Ok(()));
        let mut read = ids(&all);
        read.sort_unstable();
        assert_eq!(read, (1..=1000).collect::<Vec<_>>(), "{flavor:?}");
        let last = all.iter().rfind(|e| e.op == "r").unwrap();
        assert_eq!(last.after(), &json!({ "id": 1000, "extra": 7 }), "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_of_the_first_snapshot_are_read_in_chunks_and_resumed() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE large(id int PRIMARY KEY, seq int, pad varchar(600));
            CREATE TABLE small(id int PRIMARY KEY); INSERT INTO small VALUES (1), (2)";
        let mut database = Database::new(flavor, "chunk_first", setup);
        insert(&database.db, "large", 500);
        database.sql("UPDATE large SET pad = repeat('x', 500); ANALYZE TABLE large");
        database.settings.snapshot = Snapshot::Initial;
        database.settings.snapshots.chunked_above = Some(100 << 10);
        let (_, large) = beside::large_tables_go_on_at_the_last_chunk(&database).await;
        assert_eq!(mirror(&large), rows_of(&database.db, "large"), "{flavor:?}");
    }
}
