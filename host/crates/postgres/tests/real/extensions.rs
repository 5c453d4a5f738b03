//! Types of extensions, on servers that have them: what records say equals what the server says.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_postgres::{Settings, WireFormat};
use wasmgate_services::postgres::{Options, Postgres, Release, missing_release};

use crate::harness::{Db, Event, Run};

/// A database with an extension; `None`: this server does not have it, and that is fine here.
fn with(release: Release, extension: &str, package: &str) -> Option<Db> {
    let skip = |reason: &str| {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
        eprintln!("skipped: {reason}");
    };
    if let Some(reason) = missing_release(release) {
        skip(&reason);
        return None;
    }
    let server = Postgres::start(&Options { release, ..Options::default() }).unwrap();
    let sql = format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{extension}'");
    if server.psql("postgres", &sql).unwrap() == "0" {
        skip(&format!("the server has no extension {extension}: install {package}"));
        return None;
    }
    server.psql("postgres", &format!("CREATE DATABASE {extension}")).unwrap();
    let db = Db { server: Arc::new(server), name: extension.into() };
    db.sql(&format!("CREATE EXTENSION {extension}"));
    Some(db)
}

/// Rows by the snapshot, and the same again by the stream, in each form that they can come in.
async fn twice(db: &Db, settings: &Settings, insert: &str, rows: usize) -> Vec<Vec<Event>> {
    let mut all = Vec::new();
    for format in [WireFormat::Auto, WireFormat::Text] {
        let mut settings = Settings { wire_format: format, ..settings.clone() };
        settings.slot = format!("{}_{format:?}", db.name).to_lowercase();
        db.sql("TRUNCATE t");
        all.extend(once(db, &settings, insert, rows).await);
    }
    all
}

async fn once(db: &Db, settings: &Settings, insert: &str, rows: usize) -> [Vec<Event>; 2] {
    db.sql(insert);
    let mut run = Run::open(settings, 50).await;
    let read = run.count(rows).await;
    db.sql(&format!("UPDATE t SET id = id + {rows}; DELETE FROM t WHERE id > {rows}"));
    run.until(|all| all.iter().filter(|e| e.op == "tombstone").count() >= 2 * rows).await;
    db.sql(insert);
    let told = run.count(rows).await;
    run.acker.close().await;
    [read, told]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgis_values_are_their_bytes_and_reference_system() {
    let Some(db) = with(Release::Installed, "postgis", "postgresql-15-postgis-3") else { return };
    db.sql(
        "CREATE TABLE t(id int PRIMARY KEY, g geometry, gp geometry(PointZ, 4326) NOT NULL,
           gg geography(Polygon), gs geometry[])",
    );
    let mut settings = db.settings(&["public.t"]);
    settings.shape.values.all_arrays = true;
    let insert = "INSERT INTO t VALUES
        (1, 'POINT(1 2)', 'SRID=4326;POINT Z(1 2 3)', 'POLYGON((0 0, 1 0, 1 1, 0 0))',
          ARRAY['POINT(1 2)', 'SRID=3857;LINESTRING(0 0, 1 1)']::geometry[]),
        (2, 'SRID=3857;MULTIPOINT M((1 2 3), (4 5 6))', 'SRID=4326;POINT Z EMPTY', NULL, '{}'),
        (3, ST_AsEWKB('SRID=4326;CIRCULARSTRING(0 0, 1 1, 2 0)'::geometry, 'XDR')::geometry,
          'SRID=4326;POINT Z(-180 90 0.1)', 'POLYGON((0 0, 1 0, 1 1, 0 0))', NULL),
        (4, NULL, 'SRID=4326;POINT Z(1e300 -0 1e-300)', NULL, ARRAY[NULL, 'POINT(1 2)']::geometry[])";
    let all = twice(&db, &settings, insert, 4).await;
    let one = |column: &str| {
        format!(
            "CASE WHEN {column} IS NOT NULL THEN jsonb_build_object('wkb', \
             translate(encode(ST_AsEWKB({column}::geometry), 'base64'), E'\\n', ''), \
             'srid', nullif(ST_SRID({column}::geometry), 0)) END"
        )
    };
    let sql = format!(
        "SELECT jsonb_build_object('id', id, 'g', {}, 'gp', {}, 'gg', {}, 'gs', \
         CASE WHEN gs IS NOT NULL THEN (SELECT coalesce(jsonb_agg({} ORDER BY n), '[]') \
         FROM unnest(gs) WITH ORDINALITY AS e(e, n)) END) FROM t ORDER BY id",
        one("g"),
        one("gp"),
        one("gg"),
        one("e")
    );
    let want: Vec<Value> =
        db.sql(&sql).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(want.len(), 4);
    for events in &all {
        let got: Vec<Value> = events.iter().map(|e| e.after().clone()).collect();
        assert_eq!(got, want);
    }
    assert_eq!(want[0]["g"], json!({ "wkb": "AQEAAAAAAAAAAADwPwAAAAAAAABA", "srid": null }));
    assert_eq!(want[0]["gg"]["srid"], 4326, "a geography has one, said or not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_are_their_numbers() {
    let Some(db) = with(Release::Vector, "vector", "pgvector") else { return };
    db.sql(
        "CREATE TABLE t(id int PRIMARY KEY, v vector, v3 vector(3) NOT NULL, h halfvec(3),
           s sparsevec(5), vs vector[])",
    );
    let mut settings = db.settings(&["public.t"]);
    settings.shape.values.all_arrays = true;
    let insert = "INSERT INTO t VALUES
        (1, '[1,2.5,-3e-20]', '[0,0,0]', '[1,0.1,65504]', '{1:1.5,5:-2e10}/5',
          ARRAY['[1,2]', '[3]']::vector[]),
        (2, NULL, '[1e38,-1e-38,0.1]', NULL, '{}/5', NULL),
        (3, '[16777217]', '[1,1,1]', '[-0.00006,0,1]', NULL, '{}')";
    let all = twice(&db, &settings, insert, 3).await;
    // vector is of doubles, halfvec of floats, sparsevec of pairs, as Debezium has them.
    let want = [
        json!({ "id": 1, "v": [1.0, 2.5, -3e-20], "v3": [0.0, 0.0, 0.0],
            "h": [1.0, 0.099_975_586, 65504.0],
            "s": { "dimensions": 5, "vector": [[1, 1.5], [5, -2e10]] }, "vs": [[1.0, 2.0], [3.0]] }),
        json!({ "id": 2, "v": null, "v3": [1e38, -1e-38, 0.1], "h": null,
            "s": { "dimensions": 5, "vector": [] }, "vs": null }),
        json!({ "id": 3, "v": [16_777_216.0], "v3": [1.0, 1.0, 1.0],
            "h": [-0.000_060_021_877, 0.0, 1.0], "s": null, "vs": [] }),
    ];
    for events in &all {
        let got: Vec<Value> = events.iter().map(|e| e.after().clone()).collect();
        assert_eq!(got, want);
    }
}
