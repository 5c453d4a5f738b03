//! Partitioned tables, inheritance, several databases, and what a publication filters.

use wasmgate_postgres::Settings;

use crate::harness::{Db, Event, Run, skipped};

const PARTS: &str = "
    CREATE TABLE m(id int, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
    INSERT INTO m VALUES (1, '2024-05-05', 'a'), (2, '2025-05-05', 'b')";

fn told(all: &[Event]) -> Vec<String> {
    let line = |e: &Event| format!("{} {} {}", e.topic, e.op, e.after()["id"]);
    all.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_table_goes_under_its_own_name() {
    if skipped() {
        return;
    }
    let db = Db::new("by_root", PARTS);
    // Named, it is published by its root, without another word.
    let settings = db.settings(&["public.m"]);
    let mut run = Run::open(&settings, 10).await;
    let mut rows = told(&run.count(2).await);
    rows.sort();
    assert_eq!(rows, ["srv.public.m r 1", "srv.public.m r 2"]);
    db.sql("INSERT INTO m VALUES (3, '2025-06-06', 'c')");
    assert_eq!(told(&run.count(1).await), ["srv.public.m c 3"]);
    // From one partition into another: the server sends a delete and an insert.
    db.sql("UPDATE m SET at = '2024-07-07' WHERE id = 3");
    let moved = run.count(3).await;
    let ops: Vec<_> = moved.iter().map(|e| e.op).collect();
    assert_eq!(ops, ["d", "tombstone", "c"]);
    // Partitions that come, are taken in and are let go.
    db.sql(
        "CREATE TABLE m_3 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
         INSERT INTO m VALUES (4, '2026-02-02', 'd');
         ALTER TABLE m DETACH PARTITION m_1; INSERT INTO m_1 VALUES (5, '2024-01-02', 'gone');
         INSERT INTO m VALUES (6, '2025-03-03', 'e');
         ALTER TABLE m ATTACH PARTITION m_1 FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
         INSERT INTO m VALUES (7, '2024-03-03', 'f')",
    );
    let want = ["srv.public.m c 4", "srv.public.m c 6", "srv.public.m c 7"];
    assert_eq!(told(&run.count(3).await), want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_go_under_their_own_names() {
    if skipped() {
        return;
    }
    let db = Db::new("by_leaf", PARTS);
    let mut settings = db.settings(&["public.m_1", "public.m_2"]);
    let mut run = Run::open(&settings, 10).await;
    assert_eq!(told(&run.count(2).await), ["srv.public.m_1 r 1", "srv.public.m_2 r 2"]);
    db.sql("INSERT INTO m VALUES (3, '2024-06-06', 'c'), (4, '2025-06-06', 'd')");
    assert_eq!(told(&run.count(2).await), ["srv.public.m_1 c 3", "srv.public.m_2 c 4"]);
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    // A publication by partitions does not send the root; told so, it is changed to.
    db.sql("ALTER PUBLICATION by_leaf SET TABLE m");
    settings.tables = vec!["public.m".into()];
    let fault = Run::resume(&settings, 10, checkpoint.clone()).await.err().unwrap().chain();
    assert!(fault.contains("by its partitions"), "{fault}");
    assert!(fault.contains("SET (publish_via_partition_root = true)"), "{fault}");
    settings.slot_care.via_partition_root = Some(true);
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    db.sql("INSERT INTO m VALUES (5, '2024-06-06', 'e')");
    assert_eq!(told(&run.count(1).await), ["srv.public.m c 5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_inherit_are_tables_of_their_own() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE base(id int PRIMARY KEY, v text);
                 CREATE TABLE child(extra int, PRIMARY KEY (id)) INHERITS (base);
                 INSERT INTO base VALUES (1, 'a'); INSERT INTO child VALUES (2, 'b', 20)";
    let db = Db::new("inherits", setup);
    let mut settings = db.settings(&["public.base", "public.child"]);
    let mut run = Run::open(&settings, 10).await;
    // Each row once, under the table that it is in.
    assert_eq!(told(&run.count(2).await), ["srv.public.base r 1", "srv.public.child r 2"]);
    db.sql("INSERT INTO child VALUES (3, 'c', 30); INSERT INTO base VALUES (4, 'd')");
    let all = run.count(2).await;
    assert_eq!(told(&all), ["srv.public.child c 3", "srv.public.base c 4"]);
    assert_eq!(all[0].after()["extra"], 30);
    drop(run);
    // The parent alone: FOR TABLE takes what descends from it along, and it is not asked for.
    (settings.slot, settings.publication) = ("inherits_2".into(), "inherits_2".into());
    settings.tables = vec!["public.base".into()];
    let mut run = Run::open(&settings, 10).await;
    let rows = run.count(2).await;
    assert_eq!(told(&rows), ["srv.public.base r 1", "srv.public.base r 4"]);
    db.sql("INSERT INTO child VALUES (5, 'e', 50); INSERT INTO base VALUES (6, 'f')");
    assert_eq!(told(&run.count(1).await), ["srv.public.base c 6"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_one_server_do_not_meet() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES ";
    let one = Db::new("first_of", &format!("{setup} (1)"));
    let two = Db::new("second_of", &format!("{setup} (100)"));
    let open = async |db: &Db| {
        let settings = Settings { topic_prefix: db.name.clone(), ..db.settings(&["public.t"]) };
        Run::open(&settings, 10).await
    };
    let (mut a, mut b) = (open(&one).await, open(&two).await);
    assert_eq!(told(&a.count(1).await), ["first_of.public.t r 1"]);
    assert_eq!(told(&b.count(1).await), ["second_of.public.t r 100"]);
    for n in 2..5 {
        one.sql(&format!("INSERT INTO t VALUES ({n})"));
        two.sql(&format!("INSERT INTO t VALUES ({})", n * 100));
    }
    assert_eq!(a.count(3).await.last().unwrap().after()["id"], 4);
    assert_eq!(b.count(3).await.last().unwrap().after()["id"], 400);
}

/// Row filters and column lists of a publication hold for the snapshot as they do for the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_publication_filters_stays_out_from_the_first_row_on() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, live bool NOT NULL, secret text);
                 ALTER TABLE t REPLICA IDENTITY FULL;
                 INSERT INTO t VALUES (1, true, 'x'), (2, false, 'x');
                 CREATE TABLE u(id int PRIMARY KEY, shown text, secret text);
                 INSERT INTO u VALUES (1, 'a', 'x');
                 CREATE PUBLICATION filtered FOR TABLE t WHERE (live), u (id, shown)";
    let db = Db::new("filtered", setup);
    let settings = db.settings(&["public.t", "public.u"]);
    let mut run = Run::open(&settings, 10).await;
    let rows = run.count(2).await;
    assert_eq!(told(&rows), ["srv.public.t r 1", "srv.public.u r 1"]);
    assert_eq!(rows[1].after(), &serde_json::json!({ "id": 1, "shown": "a" }));
    // A row that leaves the filter is deleted, one that enters it is created.
    db.sql(
        "UPDATE t SET live = false WHERE id = 1; UPDATE t SET live = true WHERE id = 2;
         UPDATE u SET secret = 'y', shown = 'b'; INSERT INTO t VALUES (3, false, 'x')",
    );
    let all = run.count(4).await;
    let ops: Vec<_> = all.iter().map(|e| (e.topic.as_str(), e.op)).collect();
    let (t, u) = ("srv.public.t", "srv.public.u");
    assert_eq!(ops, [(t, "d"), (t, "tombstone"), (t, "c"), (u, "u")]);
    assert_eq!(all[3].after(), &serde_json::json!({ "id": 1, "shown": "b" }));
}
