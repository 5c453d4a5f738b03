//! The snapshot, and where it meets the stream.

use serde_json::Value;
use wasmgate_postgres::{DecimalMode, Snapshot};

use crate::harness::{Db, Event, Mirror, Run, events, skipped};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_and_stream_equal_the_table_under_writers() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, seq int, v text); CREATE TABLE stop(id int);
                 INSERT INTO t SELECT i, 0, 'old' FROM generate_series(1, 2000) i";
    let db = Db::new("writers", setup);
    // each round a transaction of its own, over keys that both writers touch
    let script = |seed: i32| {
        format!(
            "SELECT setseed(0.{seed});
             DO $$ DECLARE k int; i int := 0; BEGIN
             WHILE NOT EXISTS (SELECT FROM stop) LOOP
               i := i + 1; k := 1 + floor(random() * 3000);
               CASE i % 5 WHEN 0 THEN DELETE FROM t WHERE id = k;
                 WHEN 1 THEN UPDATE t SET id = k + {seed}0000 WHERE id = k
                   AND NOT EXISTS (SELECT FROM t WHERE id = k + {seed}0000);
                 ELSE INSERT INTO t VALUES (k, i, 'w') ON CONFLICT (id)
                   DO UPDATE SET seq = excluded.seq, v = t.v || 'x'; END CASE;
               COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$;"
        )
    };
    let settings = db.settings(&["public.t"]);
    std::thread::scope(|scope| {
        let writers = [1, 2].map(|seed| {
            let (db, sql) = (&db, script(seed));
            scope.spawn(move || db.sql(&sql))
        });
        db.wait_for("SELECT count(*) > 0 FROM t WHERE seq > 10", "t");
        let runtime = tokio::runtime::Handle::current();
        let scoped = tokio::task::block_in_place(|| {
            runtime.block_on(async {
                let mut run = Run::open(&settings, 64).await;
                let mut mirror = Mirror::default();
                let streamed = |all: &[Event]| all.iter().filter(|e| e.op != "r").count();
                let mut seen = run.until(|all| streamed(all) > 500).await;
                db.sql("INSERT INTO stop VALUES (1)");
                for writer in writers {
                    writer.join().unwrap();
                }
                db.sql("INSERT INTO t VALUES (-1, 0, 'end')");
                let end = |all: &[Event]| all.iter().any(|e| e.key["id"] == -1);
                if !end(&seen) {
                    seen.extend(run.until(end).await);
                }
                seen.iter().for_each(|event| mirror.apply(event));
                mirror
            })
        });
        let rows = db.sql("SELECT to_jsonb(t) FROM t");
        let mut want: Vec<Value> = rows.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let mut got: Vec<Value> = scoped.rows.into_values().collect();
        let id = |v: &Value| v["id"].as_i64().unwrap();
        got.sort_by_key(id);
        want.sort_by_key(id);
        assert_eq!(got, want);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_carry_the_recorded_markers() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE b(id int PRIMARY KEY); INSERT INTO b VALUES (1), (2), (3);
        CREATE TABLE a(id int PRIMARY KEY); INSERT INTO a VALUES (1), (2), (3);
        CREATE TABLE c(id int PRIMARY KEY); CREATE TABLE e(id int PRIMARY KEY);
        CREATE TABLE d(id int PRIMARY KEY); INSERT INTO d VALUES (1), (2)";
    let db = Db::new("markers", setup);
    let tables = ["public.e", "public.d", "public.c", "public.b", "public.a"];
    let mut settings = db.settings(&tables);
    settings.snapshot = Snapshot::InitialOnly;
    // a delivery per row: the last row has to wait for the next table
    let mut run = Run::open(&settings, 1).await;
    let all = run.until(|_| false).await;
    assert!(run.completed);
    let got: Vec<String> = all
        .iter()
        .map(|e| {
            let source = &e.value["source"];
            assert_eq!(e.op, "r");
            assert!(source["txId"].is_i64() && source["lsn"].is_i64(), "{source}");
            format!("{}{} {}", source["table"], e.key["id"], source["snapshot"]).replace('"', "")
        })
        .collect();
    // in the order of the settings
    let want = [
        "d1 first",
        "d2 last_in_data_collection",
        "b1 first_in_data_collection",
        "b2 true",
        "b3 last_in_data_collection",
        "a1 first_in_data_collection",
        "a2 true",
        "a3 last",
    ];
    assert_eq!(got, want);
    // and again: it is done
    let mut run = Run::resume(&settings, 1, run.checkpoint.clone()).await.unwrap();
    assert!(run.next().await.unwrap().is_none() && run.completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_and_stream_give_the_same_values() {
    if skipped() {
        return;
    }
    let setup = r#"CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN dom AS numeric(6,2);
        CREATE DOMAIN moods AS mood; CREATE EXTENSION hstore;
        CREATE TABLE t(id int PRIMARY KEY, i2 int2, i8 int8, f4 real, f8 float8, n numeric(10,2),
          nf numeric, b bool, tx text, vc varchar(10), ch char(5), by bytea, d date, ti time,
          ts timestamp(3), tz timestamptz, ttz timetz, iv interval, u uuid, j json, jb jsonb,
          e mood, dm dom, de moods, ia int[], ta text[], ea mood[], h hstore, x xml, m money,
          ip inet, r int4range, bt bit(1), bv bit varying(20), pt point, nul int);
        INSERT INTO t VALUES (1, -5, 1 << 40, 1.5, 0.1 + 0.2::float8, 1.10, 123.4500, true,
          E'tab\t nl\n bs\\ cr\r \\N é中', '', 'ab', '\x00ff5c', '0044-03-15 BC', '12:13:14.5',
          '2020-01-02 03:04:05.678', '2020-01-02 03:04:05+09', '12:00:00+03', '1 year 2 mons 3 days',
          '6f1a1b0e-6a6c-4d3e-8b1a-0c5d0a9b8c7d', '{"a": [1, null]}', '{"b": 1.50}', 'ok', 12.5,
          'sad', '{1,NULL,3}', '{"a,b","q\""}', '{ok,sad}', 'a=>1,b=>NULL', '<a/>', 12.34,
          '10.0.0.1/8', '[1,5)', B'1', B'1000000001', '(1,2)', NULL);
        ALTER DATABASE vals SET datestyle = 'SQL, DMY'; ALTER DATABASE vals SET timezone = 'Asia/Tokyo';
        ALTER DATABASE vals SET bytea_output = 'escape'; ALTER DATABASE vals SET intervalstyle = 'iso_8601';
        ALTER DATABASE vals SET extra_float_digits = 0"#;
    let db = Db::new("vals", setup);
    for decimal in [DecimalMode::Precise, DecimalMode::String, DecimalMode::Double] {
        let mut settings = db.settings(&["public.t"]);
        settings.shape.values = decimal.into();
        settings.snapshot = Snapshot::Always;
        let mut run = Run::open(&settings, 10).await;
        let read = run.count(1).await.remove(0);
        db.sql(
            "CREATE TEMP TABLE copy AS TABLE t; UPDATE copy SET id = 2;
                INSERT INTO t TABLE copy; DELETE FROM t WHERE id = 2",
        );
        let written = run.count(3).await.remove(0);
        let (mut read, mut written) = (read.after().clone(), written.after().clone());
        assert_eq!(read["f8"], 0.300_000_000_000_000_04);
        assert_eq!(read["d"], -735_160);
        assert_eq!(read["tx"], "tab\t nl\n bs\\ cr\r \\N é中");
        assert_eq!((&read["e"], &read["de"]), (&"ok".into(), &"sad".into()));
        assert_eq!(read.as_object().unwrap().len(), 36, "{read}");
        read["id"] = Value::Null;
        written["id"] = Value::Null;
        assert_eq!(read, written);
        run.acker.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_cut_short_is_taken_again_and_never_streamed_past() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, v int);
                 INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i";
    let db = Db::new("cut", setup);
    let settings = db.settings(&["public.t"]);
    let mut run = Run::open(&settings, 10).await;
    let delivery = run.next().await.unwrap().unwrap();
    assert_eq!(events(&delivery).len(), 10);
    run.settle(&delivery).await;
    let (checkpoint, first) = (run.checkpoint.clone(), run.assigned[0]);
    drop(run);
    db.sql("UPDATE t SET v = 1 WHERE id <= 5; DELETE FROM t WHERE id > 90");
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    let mut mirror = Mirror::default();
    run.count(90).await.iter().for_each(|e| mirror.apply(e));
    assert!(run.assigned[0] > first, "{:?} after {first:?}", run.assigned);
    assert_eq!(mirror.rows.values().filter(|r| r["v"] == 1).count(), 5);
    db.sql("INSERT INTO t VALUES (500, 5)");
    let next = run.count(1).await.remove(0);
    assert_eq!((next.op, &next.after()["id"]), ("c", &500.into()));
    let slots = "SELECT count(*) FROM pg_replication_slots WHERE database = 'cut'";
    assert_eq!(db.sql(slots), "1", "the temporary slot is gone");
}
