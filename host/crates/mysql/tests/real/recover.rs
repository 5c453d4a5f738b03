//! Places in the log: which transactions count, what each snapshot mode does where the place is
//! gone, and definitions that are taken from the server again.

use std::sync::Arc;

use regex::Regex;
use wasmgate_model::{Checkpoint, FaultKind};
use wasmgate_mysql::{Filter, Settings, Snapshot};
use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, FLAVORS, Run, purge, skipped};

fn only(pattern: &str) -> Filter {
    Filter { include: vec![Regex::new(&format!("^(?:{pattern})$")).unwrap()], ..Filter::default() }
}

fn server(flavor: Flavor, arguments: &[&str]) -> Arc<MySql> {
    let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    let options = Options { arguments, ..Options::default() };
    Arc::new(MySql::start(flavor, &options).unwrap())
}

async fn refused(settings: &Settings, checkpoint: &Checkpoint) -> (FaultKind, String) {
    match Run::resume(settings, 10, checkpoint.clone()).await {
        Ok(_) => panic!("opened"),
        Err(fault) => (fault.kind, fault.chain()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_other_servers_can_be_left_out() {
    if skipped(Flavor::MySql) {
        return;
    }
    let db = Db::on(server(Flavor::MySql, &[]), "sources", "CREATE TABLE t(id int PRIMARY KEY)");
    let other = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    let foreign = |n: u64, sql: &str| {
        // As a replica does with what comes from its source.
        db.sql(&format!("SET gtid_next = '{other}:{n}'; {sql}; SET gtid_next = 'AUTOMATIC'"));
    };
    let own = db.server.sql("", "SELECT @@server_uuid").unwrap();
    let settings = Settings { gtid_sources: only(&own), ..db.streaming() };
    let mut run = Run::open(&settings, 10).await;
    foreign(1, "INSERT INTO t VALUES (1)");
    db.sql("INSERT INTO t VALUES (2)");
    foreign(2, "ALTER TABLE t ADD v int");
    db.sql("INSERT INTO t VALUES (3, 4)");
    let rows: Vec<String> = run.count(2).await.iter().map(|e| e.after().to_string()).collect();
    assert_eq!(rows, [r#"{"id":2}"#, r#"{"id":3,"v":4}"#]);
    let checkpoint = run.checkpoint.clone();
    drop(run);
    // What nobody captures may be purged.
    foreign(3, "INSERT INTO t VALUES (5, 6)");
    purge(&db);
    db.sql("INSERT INTO t VALUES (7, 8)");
    let all = Settings { gtid_sources: Filter::default(), ..settings.clone() };
    let (kind, text) = refused(&all, &checkpoint).await;
    assert_eq!(kind, FaultKind::SourceLost, "{text}");
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    assert_eq!(run.count(1).await[0].after().to_string(), r#"{"id":7,"v":8}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_other_domains_can_be_left_out() {
    if skipped(Flavor::MariaDb) {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY)";
    let db = Db::alone(Flavor::MariaDb, "domains", setup);
    let settings = Settings { gtid_sources: only("7"), ..db.streaming() };
    let mut run = Run::open(&settings, 10).await;
    db.sql("SET SESSION gtid_domain_id = 8; INSERT INTO t VALUES (1)");
    db.sql("INSERT INTO t VALUES (2)");
    assert_eq!(run.count(1).await[0].after()["id"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_of_sources_needs_transactions_with_names() {
    if skipped(Flavor::MySql) {
        return;
    }
    let off = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"];
    let db = Db::on(server(Flavor::MySql, &off), "nameless", "CREATE TABLE t(id int)");
    let settings = Settings { gtid_sources: only("x"), ..db.streaming() };
    let (kind, text) = refused(&settings, &Checkpoint::default()).await;
    assert_eq!(kind, FaultKind::SourceRefused);
    assert!(text.contains("filters.gtid_sources"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_snapshot_mode_knows_what_to_do_where_its_place_is_gone() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1)";
        let db = Db::alone(flavor, "modes", setup);
        let mut run = Run::open(&db.settings(), 10).await;
        run.count(1).await;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        db.sql("INSERT INTO t VALUES (2)");
        purge(&db);
        for mode in [Snapshot::Initial, Snapshot::Never, Snapshot::Recovery] {
            let settings = Settings { snapshot: mode, ..db.settings() };
            let (kind, text) = refused(&settings, &checkpoint).await;
            assert_eq!(kind, FaultKind::SourceLost, "{flavor:?} {mode:?} {text}");
            assert!(text.contains("`snapshot: when_needed`"), "{flavor:?} {mode:?} {text}");
        }
        for mode in [Snapshot::WhenNeeded, Snapshot::Always] {
            let settings = Settings { snapshot: mode, ..db.settings() };
            let mut run = Run::resume(&settings, 10, checkpoint.clone()).await.unwrap();
            let all = run.count(2).await;
            assert!(all.iter().all(|e| e.op == "r"), "{flavor:?} {mode:?} {all:?}");
        }
        let settings = Settings { snapshot: Snapshot::InitialOnly, ..db.settings() };
        let mut run = Run::resume(&settings, 10, checkpoint.clone()).await.unwrap();
        assert!(run.next().await.unwrap().is_none() && run.completed, "{flavor:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_are_recovered_where_no_table_changed_since() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        // Without names in the log the history is all there is.
        let minimal = server(flavor, &["--binlog-row-metadata=MINIMAL"]);
        let setup = "CREATE TABLE t(id int PRIMARY KEY, v varchar(9))";
        let db = Db::on(minimal, "recovered", setup);
        let recovery = Settings { snapshot: Snapshot::Recovery, ..db.settings() };
        let (kind, text) = refused(&recovery, &Checkpoint::default()).await;
        assert_eq!(kind, FaultKind::SourceRefused);
        assert!(text.contains("`snapshot: initial`"), "{text}");

        let mut run = Run::open(&db.settings(), 10).await;
        db.sql("INSERT INTO t VALUES (1, 'a')");
        run.count(1).await;
        let checkpoint = run.checkpoint.clone();
        drop(run);
        let file = std::fs::read_dir(db.dir.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(&file).unwrap();
        db.sql(
            "INSERT INTO t VALUES (2, 'b'); CREATE DATABASE other_one;
             CREATE TABLE other_one.t(id int)",
        );
        let mut run = Run::resume(&recovery, 10, checkpoint.clone()).await.unwrap();
        assert_eq!(run.count(1).await[0].after().to_string(), r#"{"id":2,"v":"b"}"#);
        drop(run);
        // A column is renamed, and nobody knows any more what it was.
        db.sql("ALTER TABLE t CHANGE v w varchar(9); INSERT INTO t VALUES (3, 'c')");
        let (kind, text) = refused(&recovery, &checkpoint).await;
        assert_eq!(kind, FaultKind::SourceRefused);
        assert!(text.contains("recovered.t was changed"), "{flavor:?} {text}");
        let kept = std::fs::read_to_string(&file).unwrap();
        assert!(kept.contains(r#""name":"v""#) && !kept.contains(r#""name":"w""#), "{kept}");
        db.sql("DROP DATABASE other_one");
    }
}
