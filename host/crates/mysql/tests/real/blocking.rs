//! Blocking snapshots: the stream waits, and goes on where the rows stand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde_json::{Value, json};
use wasmgate_capture_kit::beside::send;
use wasmgate_mysql::Settings;
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, Event, FLAVORS, Run, busy, secret, skipped, until};

const SETUP: &str = "CREATE TABLE t(id int PRIMARY KEY, seq bigint);
    CREATE TABLE nokey(id int, seq bigint); INSERT INTO nokey VALUES (1, 0), (1, 0), (2, 0);
    CREATE TABLE sig(id varchar(64) PRIMARY KEY, type varchar(32), data text)";

fn settings(db: &Db) -> Settings {
    let mut settings = db.streaming();
    settings.signals.table = Some(format!("{}.sig", db.name));
    settings.notifications.topic = Some("told".into());
    settings.snapshots.threads = 3;
    settings
}

fn fill(db: &Db, rows: i64) {
    let values: Vec<String> = (1..=rows).map(|i| format!("({i},0)")).collect();
    db.sql(&format!("INSERT INTO t VALUES {}", values.join(",")));
}

/// Asks by the signal table; `more` goes into the data.
fn ask(db: &Db, id: &str, tables: &[&str], more: Value) {
    let tables: Vec<String> = tables.iter().map(|t| format!("{}.{t}", db.name)).collect();
    let mut data = json!({ "data-collections": tables, "type": "blocking" });
    data.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let data = data.to_string().replace('\'', "''");
    db.sql(&format!("INSERT INTO sig VALUES ('{id}', 'execute-snapshot', '{data}')"));
}

fn told<'a>(all: &'a [Event], kind: &str) -> Vec<&'a Event> {
    all.iter().filter(|e| e.topic == "told" && e.value["type"] == kind).collect()
}

fn read<'a>(all: &'a [Event], table: &str) -> Vec<&'a Event> {
    all.iter().filter(|e| e.op == "r" && e.value["source"]["table"] == table).collect()
}

/// Applies events of `t` as a sink with keys does; panics where a row is older than what was told.
fn mirror(all: &[Event]) -> BTreeMap<i64, i64> {
    let mut rows = BTreeMap::new();
    for event in all.iter().filter(|e| e.value["source"]["table"] == "t") {
        let id = event.key["id"].as_i64().unwrap();
        match event.op {
            "r" | "c" | "u" => {
                let seq = event.after()["seq"].as_i64().unwrap();
                let old = rows.insert(id, seq);
                assert!(old.is_none_or(|old| old <= seq), "stale: {event:?} after {old:?}");
            }
            "d" => drop(rows.remove(&id)),
            _ => {}
        }
    }
    rows
}

fn rows_of(db: &Db) -> BTreeMap<i64, i64> {
    let text = db.sql("SELECT id, seq FROM t");
    let each = text.lines().map(|line| {
        let (id, seq) = line.split_once('\t').unwrap();
        (id.parse().unwrap(), seq.parse().unwrap())
    });
    each.collect()
}

/// Snapshots one after the other while two writers go on.
async fn under_writers(db: &Db) {
    fill(db, 2000);
    let mut run = Run::open(&settings(db), 200).await;
    let (seq, stop) = (AtomicI64::new(1), AtomicBool::new(false));
    // Each has rows of its own, so that `seq` goes up row by row.
    let write = |writer: i64| {
        for i in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
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
    let all = std::thread::scope(|scope| {
        let write = &write;
        let writers = [0, 1].map(|n| scope.spawn(move || write(n)));
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let mut seen = Vec::new();
                for n in 1..=3 {
                    ask(db, &format!("b{n}"), &["t", "nokey"], json!({}));
                    let done = |all: &[Event]| told(all, "COMPLETED").len() == 1;
                    seen.extend(run.until(done).await);
                }
                stop.store(true, Ordering::Relaxed);
                writers.into_iter().for_each(|writer| writer.join().unwrap());
                db.sql("INSERT INTO t VALUES (-1, 0)");
                seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                seen
            })
        })
    });
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    assert_eq!(mirror(&all), rows_of(db), "{}", db.name);
    // Whole tables, also those without a key; no row is left out because it was changed.
    assert_eq!(read(&all, "nokey").len(), 9);
    assert!(read(&all, "t").len() > 3 * 1000, "{}", read(&all, "t").len());
    let marks = |mark: &str| {
        all.iter().filter(|e| e.op == "r" && e.value["source"]["snapshot"] == mark).count()
    };
    assert_eq!((marks("first"), marks("last")), (3, 3));
    let scans = told(&all, "TABLE_SCAN_COMPLETED").len();
    assert_eq!((told(&all, "STARTED").len(), scans), (3, 6));
    // The stream waited: no change stands between the first and the last row.
    let place = |mark: &str| {
        all.iter().position(|e| e.op == "r" && e.value["source"]["snapshot"] == mark).unwrap()
    };
    let between = &all[place("first")..place("last")];
    assert!(between.iter().all(|e| e.op == "r" || e.topic == "told"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_snapshot_is_whole_and_not_older_than_the_stream() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        under_writers(&Db::new(flavor, "blocking", SETUP)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_gtids_it_needs_a_lock_or_is_given_up() {
    if skipped(Flavor::MySql) {
        return;
    }
    let arguments = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned);
    let options = Options { tls: true, arguments: arguments.to_vec() };
    let server = Arc::new(MySql::start(Flavor::MySql, &options).unwrap());
    let db = Db::on(server, "blocking_locked", SETUP);
    under_writers(&db).await;
    db.sql(
        "CREATE USER 'capture'@'%' IDENTIFIED BY 'p';
         GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'capture'@'%'",
    );
    let user = Settings { user: "capture".into(), password: secret("p"), ..settings(&db) };
    let mut run = Run::open(&user, 10).await;
    ask(&db, "refused", &["t"], json!({}));
    let all = run.until(|all| told(all, "ABORTED").len() == 1).await;
    assert!(read(&all, "t").is_empty());
    db.sql("INSERT INTO t VALUES (-2, 0)");
    run.until(|all| all.iter().any(|e| e.key["id"] == -2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_begins_it_again_and_statements_choose_rows() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "blocking_restart", SETUP);
        fill(&db, 500);
        let settings = settings(&db);
        let mut run = Run::open(&settings, 50).await;
        ask(&db, "b1", &["t"], json!({}));
        let first = run.until(|all| read(all, "t").len() >= 100).await;
        assert!(told(&first, "COMPLETED").is_empty());
        let checkpoint = run.checkpoint.clone();
        drop(run);
        db.sql("UPDATE t SET seq = 9 WHERE id <= 50");
        let mut run = Run::resume(&settings, 50, checkpoint).await.unwrap();
        let all = run.until(|all| told(all, "COMPLETED").len() == 1).await;
        assert_eq!(read(&all, "t").len(), 500, "{flavor:?}");
        assert_eq!(mirror(&[first, all].concat()), rows_of(&db));
        // An open XA transaction is executed for the server, and not told yet.
        db.sql("XA START 'x'; INSERT INTO t VALUES (1000, 1); XA END 'x'; XA PREPARE 'x'");
        let name = format!("{}.t", db.name);
        let chosen = |filter: &str| json!({ "additional-conditions": [{ "data-collection": name, "filter": filter }] });
        ask(&db, "wrong", &["t"], chosen("SELECT nonsense FROM nowhere"));
        ask(&db, "some", &["t"], chosen(&format!("SELECT * FROM {name} WHERE id <= 3")));
        ask(&db, "even", &["t"], chosen("id % 2 = 0 OR id = 1"));
        let all = run.until(|all| told(all, "COMPLETED").len() == 2).await;
        let aborted = &told(&all, "ABORTED")[0].value["id"];
        assert!(aborted.as_str().is_some() && told(&all, "ABORTED").len() == 1, "{aborted}");
        let ids: Vec<&Value> = read(&all, "t").into_iter().map(|e| &e.key["id"]).collect();
        let even = (1..=250).map(|n| n * 2);
        let want: Vec<i64> = (1..=3).chain([1]).chain(even).collect();
        assert_eq!(ids, want, "{flavor:?}");
        db.sql("XA COMMIT 'x'; INSERT INTO t VALUES (-1, 0)");
        let all = run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await;
        assert!(all.iter().any(|e| e.key["id"] == 1000), "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_read_one_large_table_under_a_condition() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "blocking_ranges", SETUP);
        fill(&db, 40_000);
        db.sql("ANALYZE TABLE t");
        let mut run = Run::open(&settings(&db), 1000).await;
        let name = format!("{}.t", db.name);
        let even = json!([{ "data-collection": name, "filter": "id % 2 = 0 OR id < 0" }]);
        ask(&db, "even", &["t"], json!({ "additional-conditions": even }));
        let all = run.until(|all| told(all, "COMPLETED").len() == 1).await;
        let ids = read(&all, "t").into_iter().map(|e| e.key["id"].as_i64().unwrap());
        let mut ids: Vec<i64> = ids.collect();
        // One connection reads in the order of the key.
        let steps = ids.windows(2).filter(|w| w[0] > w[1]).count();
        assert!(steps > 3, "{flavor:?}: {steps} ranges");
        ids.sort_unstable();
        assert!(ids == (1..=20_000).map(|n| n * 2).collect::<Vec<_>>(), "{flavor:?}");
        assert!(read(&all, "nokey").is_empty(), "{flavor:?}: nobody asked for it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_not_newer_than_the_stream_where_commits_never_pause() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "blocking_busy", SETUP);
        fill(&db, 20);
        db.sql(&busy("UPDATE t SET seq = i WHERE id = i % 20 + 1; DO SLEEP(0.0005);"));
        let settings = settings(&db);
        let mut run = Run::open(&settings, 200).await;
        let all = std::thread::scope(|scope| {
            let db = &db;
            let writer = scope.spawn(move || db.sql("CALL busy()"));
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    let mut all = run.until(|all| all.iter().any(|e| e.op == "u")).await;
                    for n in 1..=2 {
                        ask(db, &format!("b{n}"), &["t"], json!({}));
                        let done = |all: &[Event]| told(all, "COMPLETED").len() == 1;
                        all.extend(run.until(done).await);
                    }
                    db.sql("INSERT INTO stop VALUES (1)");
                    writer.join().unwrap();
                    db.sql("INSERT INTO t VALUES (-1, 0)");
                    all.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                    all
                })
            })
        });
        assert_eq!((mirror(&all), read(&all, "t").len()), (rows_of(&db), 40), "{flavor:?}");
        // A restart does not read what is read.
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let mut run = Run::resume(&settings, 200, checkpoint).await.unwrap();
        db.sql("INSERT INTO t VALUES (-2, 0)");
        let all = run.until(|all| all.iter().any(|e| e.key["id"] == -2)).await;
        assert!(read(&all, "t").is_empty() && told(&all, "STARTED").is_empty(), "{flavor:?}");
    }
}

/// What holds commits back between the log and the tables, and lets them go: an acknowledgement is
/// waited for that nobody gives.
fn semi_sync(flavor: Flavor) -> (Vec<String>, String, String) {
    let (source, replica) = match flavor {
        Flavor::MySql => ("source", "replica"),
        Flavor::MariaDb => ("master", "slave"),
    };
    let plugin = "--plugin-load-add=semisync_source.so".to_owned();
    let plugins = (flavor == Flavor::MySql).then_some(plugin).into_iter().collect();
    let name = |what: &str| format!("rpl_semi_sync_{source}_{what}");
    let hold = format!(
        "SET GLOBAL {} = 60000, GLOBAL {} = ON, GLOBAL {} = AFTER_SYNC, GLOBAL {} = ON",
        name("timeout"),
        name(&format!("wait_no_{replica}")),
        name("wait_point"),
        name("enabled")
    );
    (plugins, hold, format!("SET GLOBAL {} = OFF", name("enabled")))
}

/// A transaction that the stream has told and nobody sees yet: rows without it would be older.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wait_for_what_the_stream_has_told_and_the_tables_do_not_show() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let (arguments, hold, let_go) = semi_sync(flavor);
        let options = Options { arguments, ..Options::default() };
        let server = Arc::new(MySql::start(flavor, &options).unwrap());
        let db = Db::on(Arc::clone(&server), "blocking_ahead", SETUP);
        fill(&db, 3);
        let mut run = Run::open(&settings(&db), 10).await;
        run.until_assigned().await.unwrap();
        db.sql(&hold);
        let commit = tokio::task::spawn_blocking(move || {
            server.sql("blocking_ahead", "UPDATE t SET seq = 9 WHERE id = 2").unwrap();
        });
        let mut all = run.until(|all| all.iter().any(|e| e.op == "u")).await;
        assert_eq!(db.sql("SELECT seq FROM t WHERE id = 2"), "0", "{flavor:?}");
        let begun = || -> u32 {
            let status = db.sql("SHOW GLOBAL STATUS LIKE 'Com_begin'");
            status.split_once('\t').unwrap().1.parse().unwrap()
        };
        let before = begun();
        let data = json!({ "data-collections": ["blocking_ahead.t"], "type": "blocking" });
        let taken = send(&run.commands, "execute-snapshot", &data);
        all.extend(run.while_asked(&taken).await);
        // The views are opened again and again, and no table is read from them.
        until(|| (begun() > before + 3 || !run.status.copies().is_empty()).then_some(()));
        db.sql(&let_go);
        commit.await.unwrap();
        all.extend(run.until(|all| told(all, "COMPLETED").len() == 1).await);
        assert_eq!(read(&all, "t").len(), 3, "{flavor:?}");
        assert_eq!(mirror(&all), rows_of(&db), "{flavor:?}");
    }
}
