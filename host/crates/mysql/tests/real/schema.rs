//! Definitions of tables: with names in the log and without, changed while nobody read, and not
//! known at all.

use std::sync::Arc;

use wasmgate_services::mysql::{Flavor, MySql, Options};

use crate::harness::{Db, Event, FLAVORS, Run, skipped};

fn server(flavor: Flavor, metadata: &str) -> Arc<MySql> {
    let arguments = vec![format!("--binlog-row-metadata={metadata}")];
    let options = Options { arguments, ..Options::default() };
    Arc::new(MySql::start(flavor, &options).unwrap())
}

/// Changes between definitions, all made before the first is read.
const SCRIPT: &str = "
    INSERT INTO t VALUES (1, 'one', 'x', 4000000000);
    ALTER TABLE t ADD COLUMN b tinyint NOT NULL DEFAULT 3 AFTER id;
    INSERT INTO t VALUES (2, -1, 'zwei', 'y', 1);
    ALTER TABLE t CHANGE a c varchar(12) CHARACTER SET latin1;
    INSERT INTO t VALUES (3, 0, 'drü', 'y', 2);
    ALTER TABLE t MODIFY e enum('x','z','y'), DROP u;
    INSERT INTO t VALUES (4, 0, 'é', 'z');
    RENAME TABLE t TO t2;
    INSERT INTO t2 VALUES (5, 0, NULL, NULL);
    CREATE TABLE n LIKE t2;
    ALTER TABLE n ADD m mediumint, ADD d decimal(6,2), ADD f float;
    INSERT INTO n VALUES (6, 0, 'n', 'x', -8388608, -12.5, 1.5);
    CREATE TABLE k (a int NOT NULL, s set('p','q') NOT NULL, j json, bi bit(3), PRIMARY KEY (s, a));
    INSERT INTO k VALUES (7, 'p,q', '[1]', b'101');
    UPDATE k SET a = 8;
    DROP TABLE n, k";

async fn records(flavor: Flavor, metadata: &str) -> Vec<String> {
    let setup =
        "CREATE TABLE t(id int PRIMARY KEY, a varchar(10), e enum('x','y'), u int unsigned)";
    let db = Db::on(server(flavor, metadata), "lagging", setup);
    let settings = db.streaming();
    let mut run = Run::open(&settings, 100).await;
    db.sql("INSERT INTO t VALUES (0, '', 'x', 0)");
    run.count(1).await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql(SCRIPT);
    let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
    run.count(10).await.iter().map(|e: &Event| format!("{} {}", e.topic, e.line())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_the_log_make_no_difference() {
    for flavor in FLAVORS.into_iter().filter(|f| !skipped(*f)) {
        let (full, minimal) = tokio::join!(records(flavor, "FULL"), records(flavor, "MINIMAL"));
        assert_eq!(full, minimal, "{flavor:?}");
        let json = r#""j":"[1]""#;
        let want = [
            r#"srv.lagging.t c {"id":1} null {"id":1,"a":"one","e":"x","u":4000000000}"#.to_owned(),
            r#"srv.lagging.t c {"id":2} null {"id":2,"b":-1,"a":"zwei","e":"y","u":1}"#.into(),
            r#"srv.lagging.t c {"id":3} null {"id":3,"b":0,"c":"drü","e":"y","u":2}"#.into(),
            r#"srv.lagging.t c {"id":4} null {"id":4,"b":0,"c":"é","e":"z"}"#.into(),
            r#"srv.lagging.t2 c {"id":5} null {"id":5,"b":0,"c":null,"e":null}"#.into(),
            r#"srv.lagging.n c {"id":6} null {"id":6,"b":0,"c":"n","e":"x","m":-8388608,"d":"+x4=","f":1.5}"#.into(),
            format!(r#"srv.lagging.k c {{"s":"p,q","a":7}} null {{"a":7,"s":"p,q",{json},"bi":"BQ=="}}"#),
        ];
        assert_eq!(full[..7], want, "{flavor:?}");
        assert!(full[9].contains(r#"c {"s":"p,q","a":8}"#), "{flavor:?} {full:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_is_not_known_is_never_guessed() {
    let flavor = Flavor::MariaDb;
    if skipped(flavor) {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, a int, b int)";
    let db = Db::on(server(flavor, "MINIMAL"), "unknown", setup);
    let settings = db.streaming();
    let mut run = Run::open(&settings, 100).await;
    db.sql("INSERT INTO t VALUES (0, 0, 0)");
    run.count(1).await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql("INSERT INTO t VALUES (1, 1, 1); ALTER TABLE t DROP a");
    // The history is lost, and the server's present does not fit what was logged.
    for file in std::fs::read_dir(db.dir.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let mut run = Run::resume(&settings, 100, checkpoint).await.unwrap();
    // The table waits: what was logged becomes a dead letter, and nothing of it a record.
    let delivery = loop {
        let delivery = run.next().await.unwrap().unwrap();
        if delivery.rows() > 0 {
            break delivery;
        }
    };
    let letters: usize = delivery.batches.iter().map(|batch| batch.rejects.len()).sum();
    assert_eq!((delivery.rows(), letters), (1, 1));
    let held = run.status.quarantined();
    assert_eq!(held[0].table, "unknown.t");
    let text = &held[0].reason;
    assert!(text.contains("unknown.t") && text.contains("3 columns"), "{text}");
    assert!(text.contains("binlog_row_metadata"), "{text}");
}
