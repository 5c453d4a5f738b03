//! Several connections, statements of one's own, and what is told of a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmgate_capture_kit::parallel::{ids, marks};
use wasmgate_mysql::{Settings, Snapshot};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, Event, FLAVORS, Mirror, Run, busy, secret, skipped, until};

/// The events of a snapshot that completes.
async fn copied(settings: &Settings, rows: usize) -> Vec<Event> {
    let settings = Settings { snapshot: Snapshot::InitialOnly, ..settings.clone() };
    let mut run = Run::open(&settings, rows).await;
    let all = run.until(|_| false).await;
    assert!(run.completed);
    let copies = run.status.copies();
    for copy in copies {
        assert_eq!(copy.percent(), Some(100.0), "{}", copy.table);
    }
    all
}

const SETUP: &str =
    "CREATE TABLE a(id int PRIMARY KEY, v int); INSERT INTO a VALUES (1,1),(2,2),(3,3);
    CREATE TABLE b(id int PRIMARY KEY, v int); INSERT INTO b VALUES (7,7);
    CREATE TABLE big(id int PRIMARY KEY, v int); CREATE TABLE c(id int PRIMARY KEY, v int)";

fn fill(db: &Db, table: &str, rows: i64) {
    let values: Vec<String> = (1..=rows).map(|i| format!("({i},0)")).collect();
    db.sql(&format!("INSERT INTO {table} VALUES {}", values.join(",")));
}

async fn every_row_once(db: &Db) {
    fill(db, "big", 3000);
    let mut settings = db.settings();
    settings.snapshots.threads = 3;
    settings.notifications.topic = Some("told".into());
    let all = copied(&settings, 1000).await;
    let found = ids(&all);
    assert_eq!(found["a"], [1, 2, 3]);
    assert_eq!(found["b"], [7]);
    assert_eq!(found["big"], (1..=3000).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|a, b| a.at < b.at));
    let marks = marks(&all);
    let count = |mark| marks.iter().filter(|m| **m == mark).count();
    assert_eq!((marks[0], marks[marks.len() - 1]), ("first", "last"));
    assert_eq!((count("first"), count("last")), (1, 1));
    assert!(count("last_in_data_collection") >= 1, "{marks:?}");
    let kinds: Vec<&str> =
        all.iter().filter(|e| e.topic == "told").filter_map(|e| e.value["type"].as_str()).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("STARTED", "COMPLETED"));
    let scans = all.iter().filter(|e| e.value["type"] == "TABLE_SCAN_COMPLETED");
    let scans: BTreeMap<&str, &str> = scans
        .map(|e| {
            let data = &e.value["additional_data"];
            let table = data["scanned_collection"].as_str().unwrap();
            (table.rsplit('.').next().unwrap(), data["total_rows_scanned"].as_str().unwrap())
        })
        .collect();
    assert_eq!(scans, BTreeMap::from([("a", "3"), ("b", "1"), ("big", "3000"), ("c", "0")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_read_every_row_once_and_mark_first_and_last() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        every_row_once(&Db::new(flavor, "parallel", SETUP)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_share_a_view_without_gtids_by_holding_writers_up() {
    if skipped(Flavor::MySql) {
        return;
    }
    let arguments = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned);
    let options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let server = Arc::new(MySql::start(Flavor::MySql, &options).unwrap());
    every_row_once(&Db::on(server, "parallel_locked", SETUP)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_go_on_once_the_views_are_opened() {
    if skipped(Flavor::MySql) {
        return;
    }
    let arguments = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"].map(str::to_owned);
    let options = Options { arguments: arguments.to_vec(), ..Options::default() };
    let server = Arc::new(MySql::start(Flavor::MySql, &options).unwrap());
    let db = Db::on(server, "parallel_go_on", SETUP);
    fill(&db, "big", 20_000);
    for threads in [1, 3] {
        let mut settings = db.settings();
        settings.snapshots.threads = threads;
        let mut run = Run::open(&settings, 10).await;
        let first = run.next().await.unwrap().unwrap();
        // Nobody takes more of it: the snapshot is not over, and holds nobody up.
        db.sql(&format!("SET lock_wait_timeout = 2; INSERT INTO c VALUES ({threads}, 0)"));
        assert!(!run.status.snapshot_done.load(Ordering::Relaxed));
        run.settle(&first).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_connections_and_the_stream_equal_the_tables_under_writers() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let tables = ["t1", "t2", "t3", "t4"];
        let setup = tables.map(|t| format!("CREATE TABLE {t}(id int PRIMARY KEY, n int);"));
        let db = Db::new(flavor, "parallel_writers", &setup.concat());
        tables.iter().for_each(|table| fill(&db, table, 1000));
        let mut settings = db.settings();
        settings.snapshots.threads = 4;
        let stop = AtomicBool::new(false);
        let mirrors = std::thread::scope(|scope| {
            let (db, stop) = (&db, &stop);
            let writer = scope.spawn(move || {
                let mut i = 0;
                while !stop.load(Ordering::Relaxed) {
                    i += 1;
                    // One transaction changes all: a view sees all of it or nothing.
                    let each = tables.map(|t| {
                        format!("UPDATE {t} SET n = n + 1 WHERE id % 50 = {}; ", i % 50)
                            + &format!("INSERT INTO {t} VALUES ({}, 0); ", 10_000 + i)
                    });
                    db.sql(&format!("BEGIN; {} COMMIT", each.concat()));
                }
            });
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    let mut run = Run::open(&settings, 500).await;
                    let mut seen = run.until(|all| all.iter().any(|e| e.op == "u")).await;
                    stop.store(true, Ordering::Relaxed);
                    writer.join().unwrap();
                    db.sql("INSERT INTO t1 VALUES (-1, 0)");
                    seen.extend(run.until(|all| all.iter().any(|e| e.key["id"] == -1)).await);
                    let mut mirrors: BTreeMap<String, Mirror> = BTreeMap::new();
                    for event in &seen {
                        mirrors.entry(event.topic.clone()).or_default().apply(event);
                    }
                    mirrors
                })
            })
        });
        for table in tables {
            let mirror = &mirrors[&format!("srv.{}.{table}", db.name)];
            let mut got: Vec<(i64, i64)> = mirror
                .rows
                .values()
                .map(|row| (row["id"].as_i64().unwrap(), row["n"].as_i64().unwrap()))
                .collect();
            got.sort_unstable();
            let got: Vec<String> = got.iter().map(|(id, n)| format!("{id}\t{n}")).collect();
            let want = db.sql(&format!("SELECT id, n FROM {table} ORDER BY id"));
            assert_eq!(got.join("\n"), want, "{flavor:?} {table}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_views_stand_at_one_point_where_commits_never_pause() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let tables: Vec<String> = (1..=32).map(|n| format!("t{n}")).collect();
        let each = |sql: &str| tables.iter().map(|t| sql.replace('?', t)).collect::<String>();
        let db = Db::new(flavor, "parallel_busy", &each("CREATE TABLE ?(id int PRIMARY KEY);"));
        let inserts = each("INSERT INTO ? VALUES (i);");
        db.sql(&busy(&inserts));
        let mut settings = db.settings();
        settings.snapshots.threads = 32;
        let all = std::thread::scope(|scope| {
            let db = &db;
            let writer = scope.spawn(move || db.sql("CALL busy()"));
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    until(|| (db.sql("SELECT count(*) FROM t1") != "0").then_some(()));
                    let mut run = Run::open(&settings, 1000).await;
                    let mut all = run.until(|all| all.iter().any(|e| e.op == "c")).await;
                    db.sql("INSERT INTO stop VALUES (1)");
                    writer.join().unwrap();
                    db.sql("INSERT INTO t1 VALUES (-1)");
                    let last = |e: &Event| e.key["id"] == -1;
                    if !all.iter().any(last) {
                        all.extend(run.until(|all| all.iter().any(last)).await);
                    }
                    all
                })
            })
        });
        for table in &tables {
            let of_table = all.iter().filter(|e| e.topic == format!("srv.{}.{table}", db.name));
            let mut rows: Vec<i64> = of_table.map(|e| e.key["id"].as_i64().unwrap()).collect();
            rows.sort_unstable();
            let rows: Vec<String> = rows.iter().map(i64::to_string).collect();
            let want = db.sql(&format!("SELECT id FROM {table} ORDER BY id"));
            // Another point would give rows twice, or leave some out.
            assert!(rows.join("\n") == want, "{flavor:?} {table}: {} rows", rows.len());
        }
    }
}

/// As where commits never pause: views between two transactions are not even tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_reads_where_no_point_is_found_and_writers_may_not_be_held_up() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::alone(flavor, "parallel_one", SETUP);
        fill(&db, "big", 3000);
        let monitor = match flavor {
            Flavor::MySql => "REPLICATION CLIENT",
            Flavor::MariaDb => "BINLOG MONITOR",
        };
        db.sql(&format!(
            "CREATE USER 'reads'@'%' IDENTIFIED BY 'p', 'holds'@'%' IDENTIFIED BY 'p';
             GRANT SELECT, REPLICATION SLAVE, {monitor} ON *.* TO 'reads'@'%', 'holds'@'%';
             GRANT RELOAD ON *.* TO 'holds'@'%'; {LOGGED}"
        ));
        for (user, views) in [("reads", "1"), ("holds", "3")] {
            let (user, password) = (user.to_owned(), secret("p"));
            let seen = format!(
                "SELECT count(DISTINCT thread_id) FROM mysql.general_log WHERE user_host LIKE
                 '{user}%' AND argument LIKE 'START TRANSACTION WITH CONSISTENT SNAPSHOT%'"
            );
            let mut settings = Settings { user, password, view_tries: 0, ..db.settings() };
            settings.snapshots.threads = 3;
            let found = ids(&copied(&settings, 1000).await);
            assert_eq!((&found["a"], &found["b"]), (&vec![1, 2, 3], &vec![7]), "{flavor:?}");
            assert_eq!(found["big"], (1..=3000).collect::<Vec<_>>(), "{flavor:?}");
            assert_eq!(db.sql(&seen), views, "{flavor:?} {}", settings.user);
        }
    }
}

/// Keys that crowd in two places far from each other, and a second column of the key.
const CROWDS: &str = "CREATE TABLE t(id bigint, part int, n int, PRIMARY KEY (id, part))
    STATS_AUTO_RECALC = 0; CREATE TABLE digits(d int); INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9);
    INSERT INTO t SELECT IF(i % 2, i, i - 9000000000000000000), i % 3, 0 FROM (SELECT a.d + b.d * 10
    + c.d * 100 + d.d * 1000 + e.d * 10000 i FROM digits a, digits b, digits c, digits d, digits e)
    numbers WHERE i < 30000; DROP TABLE digits; ANALYZE TABLE t";

/// From here on a server tells what it is asked.
const LOGGED: &str = "SET GLOBAL log_output = 'TABLE', GLOBAL general_log = ON";

/// In how many ranges of its key a table was read, and by how many connections.
fn ranges(db: &Db, table: &str) -> (u32, u32) {
    let found = db.sql(&format!(
        "SELECT count(DISTINCT argument), count(DISTINCT thread_id) FROM mysql.general_log WHERE
         argument LIKE 'SELECT %`{}`.`{table}` FORCE INDEX (PRIMARY) WHERE (`id` %' AND argument
         NOT LIKE '%general_log%'",
        db.name
    ));
    let (ranges, connections) = found.trim().split_once('\t').unwrap();
    (ranges.parse().unwrap(), connections.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_large_table_is_read_by_several_connections_under_writers() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::alone(flavor, "ranges", CROWDS);
        let mut settings = db.settings();
        settings.snapshots.threads = 3;
        db.sql(LOGGED);
        let stop = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let (db, stop) = (&db, &stop);
            let writer = scope.spawn(move || {
                let mut i = 0;
                while !stop.load(Ordering::Relaxed) {
                    i += 1;
                    // One transaction changes all ranges, and grows the table at both ends.
                    db.sql(&format!(
                        "BEGIN; UPDATE t SET n = n + 1 WHERE id % 997 = {0}; INSERT INTO t VALUES \
                         ({0} + 100000, 0, 0), (-{0} - 9100000000000000000, 0, 0); COMMIT",
                        i % 997
                    ));
                }
            });
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| {
                runtime.block_on(async {
                    let mut run = Run::open(&settings, 1000).await;
                    let mut seen = run.until(|all| all.iter().any(|e| e.op == "u")).await;
                    stop.store(true, Ordering::Relaxed);
                    writer.join().unwrap();
                    db.sql("INSERT INTO t VALUES (0, -1, 0)");
                    let last = |e: &Event| e.key["part"] == -1;
                    if !seen.iter().any(last) {
                        seen.extend(run.until(|all| all.iter().any(last)).await);
                    }
                    seen
                })
            })
        });
        let read = seen.iter().filter(|e| e.op == "r").count();
        assert!(read >= 30_000, "{flavor:?} {read}");
        let (ranges, connections) = ranges(&db, "t");
        assert!(ranges > 1 && connections > 1, "{flavor:?}: {ranges} by {connections}");
        let mut mirror = Mirror::default();
        seen.iter().for_each(|event| mirror.apply(event));
        let mut got: Vec<[i64; 3]> = mirror
            .rows
            .values()
            .map(|row| ["id", "part", "n"].map(|name| row[name].as_i64().unwrap()))
            .collect();
        got.sort_unstable();
        let got: Vec<String> = got.iter().map(|[id, p, n]| format!("{id}\t{p}\t{n}")).collect();
        let want = db.sql("SELECT id, part, n FROM t ORDER BY id, part");
        assert!(got.join("\n") == want, "{flavor:?}");
        assert_eq!(ends(&seen), ["first", "last"], "{flavor:?}");
    }
}

/// Tables: name, columns, the key of row `i`, whether several connections may read it.
const KEYS: &[(&str, &str, &str, bool)] = &[
    // All but one crowd in a tiny part of the numbers.
    ("crowd", "id bigint PRIMARY KEY", "IF(i = 1, 9000000000000000000, i)", true),
    ("high", "id bigint unsigned PRIMARY KEY", "18446744073709551615 - i", true),
    ("below", "id int PRIMARY KEY", "-i", true),
    ("words", "id varchar(20) PRIMARY KEY", "concat('k', i)", false),
    ("numerals", "id varchar(20) PRIMARY KEY", "i", false),
    ("exact", "id decimal(20,2) PRIMARY KEY", "i / 4", false),
    ("pair", "k char(1) DEFAULT 'k', id int, PRIMARY KEY (k, id)", "i", false),
    ("only_unique", "id int NOT NULL UNIQUE", "i", false),
    ("nokey", "id int", "i", false),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_tables_are_read_once_whatever_their_keys() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let digits = "CREATE TABLE digits(d int);
            INSERT INTO digits VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)";
        let db = Db::alone(flavor, "ranges_keys", digits);
        for (table, columns, key, _) in KEYS {
            db.sql(&format!(
                "CREATE TABLE {table}({columns}); INSERT INTO {table}(id) SELECT {key} FROM
                 (SELECT a.d + b.d * 10 + c.d * 100 + d.d * 1000 + e.d * 10000 + 1 i FROM digits a,
                 digits b, digits c, digits d, digits e) numbers WHERE i <= 25000;
                 ANALYZE TABLE {table}"
            ));
        }
        let mut settings = db.settings();
        settings.snapshots.threads = 3;
        settings.notifications.topic = Some("told".into());
        db.sql(LOGGED);
        let all = copied(&settings, 1000).await;
        for (table, _, _, several) in KEYS {
            let name = format!("{}.{table}", db.name);
            let of_table = all.iter().filter(|e| e.topic == format!("srv.{name}"));
            let mut read: Vec<String> = of_table.map(|e| e.after()["id"].to_string()).collect();
            let (ranges, connections) = ranges(&db, table);
            // How many there are depends on what the server believes of the table.
            assert!(*several || ranges == 0, "{flavor:?} {table}: {ranges} by {connections}");
            read.sort_unstable();
            let count = read.len();
            read.dedup();
            assert_eq!((count, read.len()), (25_000, 25_000), "{flavor:?} {table}");
            // It is told once that it ended, with all its rows.
            let data = all.iter().map(|e| &e.value["additional_data"]);
            let scans = data.filter(|data| data["scanned_collection"] == *name);
            let rows: Vec<_> =
                scans.filter_map(|data| data["total_rows_scanned"].as_str()).collect();
            assert_eq!(rows, ["25000"], "{flavor:?} {table}");
        }
    }
}

/// Marks of the first and the last row that was read.
fn ends(all: &[Event]) -> [&str; 2] {
    let read: Vec<&Event> = all.iter().filter(|e| e.op == "r").collect();
    [read[0], read[read.len() - 1]].map(|e| e.value["source"]["snapshot"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_ones_own_and_a_list_choose_what_is_read() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let db = Db::new(flavor, "chosen_rows", SETUP);
        let mut settings = db.settings();
        let name = |table: &str| format!("{}.{table}", db.name);
        let include = format!(r"\A(?:{}|{})\z", name("a"), name("b"));
        settings.snapshots.include = vec![regex::Regex::new(&include).unwrap()];
        let statement = format!("SELECT v, id FROM {} WHERE id >= 2;", name("a"));
        settings.snapshots.select.insert(name("a"), statement);
        fill(&db, "big", 10);
        let all = copied(&settings, 10).await;
        let want = BTreeMap::from([("a".to_owned(), vec![2, 3]), ("b".to_owned(), vec![7])]);
        assert_eq!(ids(&all), want, "{flavor:?}");
    }
}
