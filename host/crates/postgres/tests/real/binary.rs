//! Values in binary: the text that is made of them is the server's own, for every type and every
//! corner of it; records are the same either way; and what has no such form that is known comes
//! as text, from the start or from when it is met.

mod corners;

use std::sync::Arc;

use wasmgate_capture_kit::until;
use wasmgate_codec::pgvalue::{
    BinaryForm, ColumnType, DecimalMode, PgTypeKind, TypeInfo, ValueModes, binary_form,
    column_type, is_built_in, push_binary, push_text,
};
use wasmgate_connector::Source as _;
use wasmgate_model::Column;
use wasmgate_postgres::{PostgresSource, Snapshot, WireFormat};
use wasmgate_services::postgres::{Options, Postgres, Release, missing_release};

use self::corners::{CORNERS, EXTENSIONS};
use crate::harness::{Db, Run, skipped};
use crate::values::{COLUMNS, set_up};

/// Rows of which every beginning is looked at.
const CUT_ROWS: usize = 30;

/// What is written so that every session prints it as ours do.
const PLAIN: &str = "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'postgres';
    SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET extra_float_digits = 3;";

/// Every choice that changes what a value becomes, with all types in.
fn modes() -> Vec<ValueModes> {
    [DecimalMode::Precise, DecimalMode::String, DecimalMode::Double]
        .into_iter()
        .zip([false, true, false])
        .map(|(decimal, interval_text)| ValueModes {
            decimal,
            interval_text,
            unknown: true,
            all_arrays: true,
            ..ValueModes::default()
        })
        .collect()
}

/// What the catalog says of a type that is not built in.
fn info(db: &Db, oid: u32) -> Option<TypeInfo> {
    if is_built_in(oid) {
        return None;
    }
    let sql = format!(
        "SELECT typname, typtype, typelem, typcategory, typsend::regproc FROM pg_type \
         WHERE oid = {oid}"
    );
    let row = db.sql(&sql);
    let parts: Vec<&str> = row.split('|').collect();
    let element = parts[2].parse().unwrap();
    let kind = match (parts[1], parts[3]) {
        ("e", _) => PgTypeKind::Enum(Arc::from(["sad", "o,k", "ha\"ppy"].map(String::from))),
        ("b", "A") => PgTypeKind::Array { element, inner: info(db, element).map(Box::new) },
        ("d", _) => PgTypeKind::Domain { base: 23, typmod: -1 },
        _ => PgTypeKind::Base,
    };
    Some(TypeInfo { name: parts[0].into(), kind, sent: Some(parts[4].into()) })
}

/// Holds the values of an expression against the server's own text.
fn check(db: &Db, ty: &str, rows: &str) {
    let sql = format!(
        "SELECT t.oid, a.oid, t.typsend::regproc FROM pg_type t \
         JOIN pg_type a ON a.oid = t.typarray OR (t.typarray = 0 AND a.oid = t.oid) \
         WHERE t.oid = '{}'::regtype",
        ty.replace('\'', "''")
    );
    let row = db.sql(&sql);
    let parts: Vec<&str> = row.split('|').collect();
    let (oid, array): (u32, u32) = (parts[0].parse().unwrap(), parts[1].parse().unwrap());
    // Arrays of arrays are arrays.
    let (send, scalar) = (parts[2], array != oid && !ty.ends_with("[]"));
    let many = if scalar { "ARRAY[v, NULL, v]" } else { "NULL::int[]" };
    let sql = format!(
        "{PLAIN} SELECT encode({send}(v), 'hex'), encode(convert_to(format('%s', v), 'UTF8'), 'hex'),
           encode(array_send({many}), 'hex'),
           encode(convert_to(format('%s', {many}), 'UTF8'), 'hex')
         FROM (SELECT c::text::{ty} AS v FROM ({rows}) r(c)) x WHERE v IS NOT NULL",
    );
    let answer = db.sql(&sql);
    assert!(!answer.is_empty(), "{ty}: no values");
    let (one, many) = (Held::new(db, ty, oid), Held::new(db, ty, array));
    for (row, line) in answer.lines().enumerate() {
        let hex: Vec<Vec<u8>> = line.split('|').map(bytes).collect();
        one.hold(row, &hex[0], &hex[1]);
        if scalar {
            many.hold(row, &hex[2], &hex[3]);
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |i: usize| u8::from_str_radix(hex.get(i..i + 2).unwrap(), 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// A type that is held against the server.
struct Held {
    name: String,
    form: BinaryForm,
    types: Vec<ColumnType>,
}

impl Held {
    fn new(db: &Db, name: &str, oid: u32) -> Self {
        let said = info(db, oid);
        let form = binary_form(oid, said.as_ref()).unwrap_or_else(|| panic!("{name}: no form"));
        let types = modes().into_iter();
        let types = types.filter_map(|modes| column_type(oid, -1, said.as_ref(), &modes));
        Self { name: name.into(), form, types: types.collect() }
    }

    fn hold(&self, row: usize, binary: &[u8], text: &[u8]) {
        let Self { name, form, types } = self;
        let shown = String::from_utf8_lossy(text);
        let mut made = Vec::new();
        form.text(binary, &mut made).unwrap_or_else(|e| panic!("{name} {shown}: {e}"));
        assert_eq!(String::from_utf8_lossy(&made), shown, "{name}");
        for ty in types {
            let (mut by_text, mut by_binary) = (Column::new(ty.kind), Column::new(ty.kind));
            let from_text = push_text(&mut by_text, ty, text);
            let from_binary = push_binary(&mut by_binary, ty, form, binary);
            assert_eq!(from_text, from_binary, "{ty:?} {shown}");
            // As text, for no NaN is equal to another.
            assert_eq!(format!("{by_text:?}"), format!("{by_binary:?}"), "{ty:?} {shown}");
            if row >= CUT_ROWS {
                continue;
            }
            // What is cut off is no value, or another one; it is never a panic.
            for end in 0..binary.len() {
                let mut cut = Column::new(ty.kind);
                let fits = push_binary(&mut cut, ty, form, &binary[..end]).is_ok();
                assert_eq!(cut.len(), usize::from(fits), "{ty:?} {shown} cut at {end}");
            }
        }
    }
}

fn quoted(literal: &str) -> String {
    format!("E'{}'", literal.replace('\\', "\\\\").replace('\'', "''"))
}

fn all_of(list: &[&str]) -> String {
    let each: Vec<String> = list.iter().map(|v| format!("({})", quoted(v))).collect();
    format!("SELECT c FROM (VALUES {}) l(c)", each.join(", "))
}

fn check_all(db: &Db) {
    let version: u32 = db.sql("SELECT current_setting('server_version_num')").parse().unwrap();
    db.sql(&set_up(300));
    for (name, ty, ..) in COLUMNS {
        check(db, ty, &format!("SELECT {name} FROM t"));
    }
    let xml = db.server.psql(&db.name, "SELECT '<a/>'::xml").is_ok();
    for (ty, list) in CORNERS.iter().filter(|(ty, _)| xml || !ty.starts_with("xml")) {
        check(db, ty, &all_of(list));
    }
    // Where a float's neighbours are not equally far away.
    let powers = "SELECT m * 2::float8 ^ k FROM generate_series({}) k, unnest(ARRAY[1, 3, 5, 7]) m";
    check(db, "float8", &powers.replace("{}", "-1074, 1020"));
    check(db, "float4", &powers.replace("m *", "m::float4 *").replace("{}", "-149, 124"));
    if version >= 170_000 {
        check(db, "interval", &all_of(&["infinity", "-infinity"]));
    }
    if version >= 160_000 {
        check(db, "\"char\"", &all_of(&["\\200", "\\377"]));
    }
    for (extension, ty, list) in EXTENSIONS {
        let sql =
            format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{extension}'");
        if db.sql(&sql) == "0" {
            eprintln!("skipped: the server has no extension {extension}");
            continue;
        }
        db.sql(&format!("CREATE EXTENSION IF NOT EXISTS {extension}"));
        check(db, ty, &all_of(list));
    }
}

#[test]
fn text_made_of_binary_is_the_servers_own() {
    if skipped() {
        return;
    }
    check_all(&Db::new("binary_text", ""));
}

#[test]
fn text_made_of_binary_is_that_of_other_releases_and_of_vectors() {
    for release in Release::FETCHED.into_iter().chain([Release::Vector]) {
        if let Some(reason) = missing_release(release) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
            eprintln!("skipped: {reason}");
            continue;
        }
        let server = Postgres::start(&Options { release, ..Options::default() }).unwrap();
        server.psql("postgres", "CREATE DATABASE binary_text").unwrap();
        check_all(&Db { server: Arc::new(server), name: "binary_text".into() });
    }
}

/// What the server was asked for, once it was.
fn asked(db: &Db) -> String {
    let sql = format!(
        "SELECT query FROM pg_stat_activity JOIN pg_replication_slots ON pid = active_pid \
         WHERE slot_name = '{}'",
        db.name
    );
    until(|| Some(db.sql(&sql)).filter(|asked| asked.starts_with("START_REPLICATION")))
}

/// A type that is not known in binary, in a table of ours: from where it is met on the values come
/// as text, nothing is lost, and so it stays when the type is gone again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_without_a_known_form_turns_the_stream_to_text() {
    if skipped() {
        return;
    }
    let setup = "CREATE TYPE pair AS (a int, b text);
        CREATE TABLE t(id int PRIMARY KEY, v timestamptz DEFAULT '2024-02-01 01:02:03.5+00')";
    let db = Db::new("to_text", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.shape.values.unknown = true;
    let source = PostgresSource::new(settings.clone());
    let mut run = Run::of(&source, 10, Default::default()).await.unwrap();
    run.until_assigned().await.unwrap();
    run.streaming().await;
    db.sql("INSERT INTO t VALUES (1)");
    let mut all = run.count(1).await;
    assert!(asked(&db).contains("binary 'on'"), "{}", asked(&db));
    let found = async || {
        let findings = source.check().await;
        findings.into_iter().map(|f| f.what).find(|what| what.contains("values come")).unwrap()
    };
    assert_eq!(found().await, "the stream's values come in binary");
    db.sql(
        "INSERT INTO t VALUES (2); ALTER TABLE t ADD COLUMN p pair;
         INSERT INTO t VALUES (3, DEFAULT, ROW(1, 'x y')); INSERT INTO t VALUES (4)",
    );
    let fault = loop {
        match run.next().await {
            Ok(Some(delivery)) => {
                all.extend(crate::harness::events(&delivery));
                run.settle(&delivery).await;
            }
            Ok(None) => panic!("completed"),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.code(), fault.retry()), ("wire-format", wasmgate_model::Retry::Timed));
    assert!(fault.to_string().contains("column p of public.t"), "{fault}");
    let said = found().await;
    assert!(said.contains("as text") && said.contains("public.t.p (pair) is not known"), "{said}");
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut run = Run::of(&source, 10, checkpoint).await.unwrap();
    all.extend(run.count(4 - all.len()).await);
    assert!(!asked(&db).contains("binary"), "{}", asked(&db));
    let rows: Vec<String> = all.iter().map(|e| e.after().to_string()).collect();
    let row =
        |id: u32, rest: &str| format!(r#"{{"id":{id},"v":"2024-02-01T01:02:03.500000Z"{rest}}}"#);
    // (1,"x y") in base64
    let pair = r#","p":"KDEsInggeSIp""#;
    assert_eq!(rows, [row(1, ""), row(2, ""), row(3, pair), row(4, r#","p":null"#)]);
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql("ALTER TABLE t DROP COLUMN p; INSERT INTO t VALUES (5)");
    let mut run = Run::of(&source, 10, checkpoint.clone()).await.unwrap();
    run.count(1).await;
    assert!(!asked(&db).contains("binary"), "the log still has rows of that column");
    drop(run);
    // A process that does not know of it asks for binary, and needs no row of that time.
    settings.snapshot = Snapshot::Never;
    let mut run = Run::of(&PostgresSource::new(settings), 10, checkpoint).await.unwrap();
    run.count(1).await;
    assert!(asked(&db).contains("binary 'on'"), "{}", asked(&db));
}

/// What has no binary form at all stops the server itself, also in a table that is not ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_that_the_server_cannot_send_in_binary_is_no_obstacle() {
    if skipped() {
        return;
    }
    let setup = "CREATE EXTENSION isn; CREATE TABLE t(id int PRIMARY KEY);
        CREATE TABLE u(id int PRIMARY KEY, n isbn[]); CREATE TABLE copied(id int PRIMARY KEY, n isbn);
        INSERT INTO copied VALUES (1, '0-393-04002-X')";
    let db = Db::new("unsendable", setup);
    db.sql("CREATE PUBLICATION unsendable FOR TABLE t, copied");
    let mut settings = db.settings(&["public.t", "public.copied"]);
    settings.slot_care.publication = wasmgate_postgres::PublicationMode::Disabled;
    let source = PostgresSource::new(settings);
    let mut run = Run::of(&source, 10, Default::default()).await.unwrap();
    run.until_assigned().await.unwrap();
    assert_eq!(run.count(1).await[0].after()["n"], "0-393-04002-X");
    run.streaming().await;
    assert!(!asked(&db).contains("binary"), "a column of isbn is in the publication");
    db.sql("ALTER PUBLICATION unsendable DROP TABLE copied");
    let checkpoint = run.checkpoint.clone();
    drop(run);
    let mut settings = db.settings(&["public.t"]);
    settings.slot_care.publication = wasmgate_postgres::PublicationMode::Disabled;
    let source = PostgresSource::new(settings);
    let mut run = Run::of(&source, 10, checkpoint).await.unwrap();
    db.sql("INSERT INTO t VALUES (1)");
    run.count(1).await;
    assert!(asked(&db).contains("binary 'on'"), "{}", asked(&db));
    db.sql(
        "ALTER PUBLICATION unsendable ADD TABLE u; INSERT INTO u VALUES (1, '{0-393-04002-X}');
         INSERT INTO t VALUES (2)",
    );
    let fault = loop {
        match run.next().await {
            Ok(Some(delivery)) => run.settle(&delivery).await,
            Ok(None) => panic!("completed"),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.code(), fault.retry()), ("wire-format", wasmgate_model::Retry::Timed));
    let checkpoint = run.checkpoint.clone();
    drop(run);
    // The catalog says nothing of it any more, and the log has its row still.
    db.sql("DROP TABLE u");
    let mut run = Run::of(&source, 10, checkpoint).await.unwrap();
    assert_eq!(run.count(1).await[0].after()["id"], 2);
    assert!(!asked(&db).contains("binary"), "{}", asked(&db));
}

/// Copies that were asked for in a database whose statements are logged, of a table of its name.
fn copies(db: &Db) -> Vec<String> {
    let asked = db.server.logged("COPY ").into_iter();
    asked.filter(|statement| statement.contains(&db.name)).collect()
}

/// `wire_format: text` is text, in the stream, in copies and in chunks; without it all are binary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_can_be_asked_for() {
    for (format, chunks) in [
        (WireFormat::Text, false),
        (WireFormat::Text, true),
        (WireFormat::Auto, false),
        (WireFormat::Auto, true),
    ] {
        if skipped() {
            return;
        }
        let name = format!("as_{format:?}_{chunks}").to_lowercase();
        let setup = format!(
            "ALTER DATABASE {name} SET log_statement = 'all'; CREATE TABLE {name}(id int PRIMARY KEY);
             INSERT INTO {name} VALUES (1)"
        );
        let db = Db::new(&name, &setup);
        let mut settings = db.settings(&[&format!("public.{name}")]);
        settings.wire_format = format;
        settings.snapshots.chunked_above = chunks.then_some(0);
        let mut run = Run::open(&settings, 10).await;
        assert_eq!(run.count(1).await[0].after()["id"], 1);
        run.streaming().await;
        let binary = format == WireFormat::Auto;
        assert_eq!(asked(&db).contains("binary 'on'"), binary, "{}", asked(&db));
        let copies = copies(&db);
        assert!(!copies.is_empty(), "{}", db.server.log());
        for copy in copies {
            assert_eq!(copy.contains("(FORMAT binary)"), binary, "{copy}");
            assert_eq!(copy.contains("FETCH FIRST"), chunks, "{copy}");
        }
    }
}

/// A column that the publication does not send keeps nothing at text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_that_are_not_published_do_not_count() {
    if skipped() {
        return;
    }
    let setup = "CREATE TYPE pair AS (a int, b text); CREATE TABLE t(id int PRIMARY KEY, p pair);
        CREATE PUBLICATION listed FOR TABLE t (id)";
    let db = Db::new("listed", setup);
    let mut run = Run::open(&db.settings(&["public.t"]), 10).await;
    run.streaming().await;
    db.sql("INSERT INTO t VALUES (1, ROW(1, 'x'))");
    assert_eq!(run.count(1).await[0].after(), &serde_json::json!({ "id": 1 }));
    assert!(asked(&db).contains("binary 'on'"), "{}", asked(&db));
}

/// Types of other extensions have the names of well-known ones; their bytes are others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_is_known_by_what_writes_its_bytes() {
    if skipped() {
        return;
    }
    let like = |name: &str, function: &str| {
        format!(
            "CREATE TYPE {name}; CREATE FUNCTION {name}_in(cstring) RETURNS {name} IMMUTABLE STRICT
               LANGUAGE internal AS 'textin';
             CREATE FUNCTION {name}_out({name}) RETURNS cstring IMMUTABLE STRICT
               LANGUAGE internal AS 'textout';
             CREATE FUNCTION {function}({name}) RETURNS bytea IMMUTABLE STRICT
               LANGUAGE internal AS 'textsend';
             CREATE TYPE {name} (INPUT = {name}_in, OUTPUT = {name}_out, SEND = {function},
               LIKE = text);"
        )
    };
    let setup = format!(
        "{} CREATE TABLE t(id int PRIMARY KEY, v vector); INSERT INTO t VALUES (1, '[1,2]')",
        like("vector", "_own_vector_send")
    );
    let db = Db::new("namesake", &setup);
    let mut run = Run::open(&db.settings(&["public.t"]), 10).await;
    let read = run.count(1).await;
    run.streaming().await;
    db.sql("INSERT INTO t VALUES (2, '[1,2]')");
    for event in read.iter().chain(&run.count(1).await) {
        assert_eq!(event.after()["v"], serde_json::json!([1.0, 2.0]));
    }
    assert!(!asked(&db).contains("binary"), "{}", asked(&db));
}

/// An array has room for nulls or has not, whether there are any: it is the same array.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_arrays_of_other_bytes_are_no_change_of_a_key() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int[] PRIMARY KEY, v int); ALTER TABLE t REPLICA IDENTITY FULL";
    let db = Db::new("bitmaps", setup);
    let mut settings = db.settings(&["public.t"]);
    settings.shape.skip_unchanged = true;
    let mut run = Run::open(&settings, 10).await;
    run.streaming().await;
    db.sql(
        "INSERT INTO t VALUES ('{1,NULL}'); UPDATE t SET id[2] = 2; UPDATE t SET id = '{1,2}';
         UPDATE t SET id = '{1,2}', v = 1",
    );
    let ops: Vec<&str> = run.count(5).await.into_iter().map(|e| e.op).collect();
    assert_eq!(ops, ["c", "d", "tombstone", "c", "u"]);
    assert!(asked(&db).contains("binary 'on'"), "{}", asked(&db));
}

/// An hstore's lengths are those of the database's encoding, its text is that of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hstore_of_another_encoding_comes_as_text() {
    if skipped() {
        return;
    }
    let shared = Db::new("utf8_beside", "");
    shared.sql(
        "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let db = Db { server: Arc::clone(&shared.server), name: "latin".into() };
    db.sql(
        "CREATE EXTENSION hstore; CREATE TABLE t(id int PRIMARY KEY, h hstore);
         INSERT INTO t VALUES (1, hstore(chr(233), chr(233) || 'a'))",
    );
    let mut run = Run::open(&db.settings(&["public.t"]), 10).await;
    let read = run.count(1).await;
    run.streaming().await;
    db.sql("INSERT INTO t SELECT 2, h FROM t");
    for event in read.iter().chain(&run.count(1).await) {
        assert_eq!(event.after()["h"], "{\"é\":\"éa\"}");
    }
}
