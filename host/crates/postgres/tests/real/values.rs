//! What values become, against the server itself: what comes back to it is what it has, in the
//! snapshot and in the stream. And what is right where the recorded engine is wrong.

use std::sync::Arc;

use serde_json::{Value, json};
use wasmgate_postgres::{BinaryMode, DecimalMode, Snapshot, TimePrecision, ValueModes, WireFormat};
use wasmgate_services::postgres::{Options, Postgres, Release, missing_release};

use crate::harness::{Db, Event, Run, skipped};

/// Name, type, an expression of random values, and how the text of a record is read back: `$`
/// stands for it.
pub(crate) const COLUMNS: &[(&str, &str, &str, &str)] = &[
    ("b", "bool", "random() < 0.5", "$::bool"),
    ("i2", "int2", "(random() * 65535 - 32768)::int", "$::int2"),
    ("i4", "int4", "(random() * 4294967295 - 2147483648)::int8", "$::int4"),
    ("i8", "int8", "((random() - 0.5) * 18446744073709551614)::numeric::int8 / 3", "$::int8"),
    ("o", "oid", "(random() * 4294967295)::int8::oid", "$::oid"),
    ("f4", "float4", "((random() - 0.5) * 10 ^ (random() * 70 - 35))", "$::float4"),
    ("f8", "float8", "((random() - 0.5) * 10 ^ (random() * 600 - 300))", "$::float8"),
    ("n", "numeric", "((random() - 0.5) * 10 ^ (random() * 40 - 10))::numeric", "num($)"),
    ("n2", "numeric(12,3)", "((random() - 0.5) * 1e9)::numeric", "num($)"),
    ("m", "money", "((random() - 0.5) * 1e12)::numeric::money", "$::numeric::money"),
    ("t", "text", "soup(random())", "$"),
    ("vc", "varchar(8)", "left(soup(random()), 8)", "$"),
    ("ch", "char(8)", "left(soup(random()), 8)", "$::char(8)"),
    ("nm", "name", "left(soup(random()), 20)::name", "$::name"),
    ("by", "bytea", "convert_to(soup(random()), 'UTF8') || '\\x00ff'", "decode($, 'hex')"),
    ("d", "date", "'0001-01-01'::date - 700000 + (random() * 4e6)::int", "iso($)::date"),
    ("ti", "time", "'0:0'::time + random() * interval '24 h'", "replace($, 'Z', '')::time"),
    ("t2", "time(2)", "'0:0'::time + random() * interval '23 h'", "replace($, 'Z', '')::time"),
    (
        "tz",
        "timetz",
        "'0:0+00'::timetz + random() * interval '24 h'",
        "replace($, 'Z', '+00')::timetz",
    ),
    (
        "ts",
        "timestamp",
        "'0001-01-01'::timestamp + (random() - 0.4) * interval '9000 years'",
        "iso($)::timestamp",
    ),
    (
        "t3",
        "timestamp(3)",
        "'1970-01-01'::timestamp + (random() - 0.5) * interval '900 years'",
        "iso($)::timestamp",
    ),
    (
        "tt",
        "timestamptz",
        "'0001-01-01'::timestamptz + (random() - 0.4) * interval '9000 years'",
        "(iso($) || '+00')::timestamptz",
    ),
    (
        "iv",
        "interval",
        "make_interval((random() * 50 - 25)::int, (random() * 30)::int, 0, (random() * 60 - 30)::int, 0, 0, (random() - 0.5) * 99999)",
        "$::interval",
    ),
    ("u", "uuid", "gen_random_uuid()", "$::uuid"),
    ("j", "json", "json_build_object('a', soup(random()), 'n', random())", "$"),
    ("jb", "jsonb", "jsonb_build_object('a', soup(random()), 'n', random())", "$::jsonb"),
    ("ip", "inet", "('10.0.0.0'::inet + (random() * 99999)::int)", "$::inet"),
    ("mac", "macaddr", "substr(md5(random()::text), 1, 12)::macaddr", "$::macaddr"),
    ("r", "int4range", "int4range((random() * -9)::int, (random() * 9)::int)", "$::int4range"),
    (
        "tr",
        "tstzrange",
        "tstzrange('2000-01-01'::timestamptz - random() * interval '9 y', NULL)",
        "$::tstzrange",
    ),
    ("bt", "bit(1)", "(random() * 0.98)::int::bit(1)", "($::bool)::int::bit(1)"),
    ("e", "mood", "(ARRAY['sad', 'o,k', 'ha\"ppy'])[1 + (random() * 2)::int]::mood", "$::mood"),
    ("dm", "posint", "(random() * 99)::int", "$::int"),
    ("ai", "int[]", "ARRAY[(random() * 9)::int, NULL, -(random() * 9)::int]", "list($)::int[]"),
    ("at", "text[]", "ARRAY[soup(random()), NULL, '', 'NULL', soup(random())]", "list($)"),
    ("an", "numeric[]", "ARRAY[random()::numeric, 1e30, -0.50]", "list($)::numeric[]"),
    (
        "ad",
        "date[]",
        "ARRAY['1500-02-03'::date + (random() * 1e6)::int, NULL]",
        "translate(list($)::text, 'Z', '')::date[]",
    ),
    (
        "av",
        "int2vector",
        "((random() * 9)::int::text || ' 2')::int2vector",
        "translate($, '[],', '  ')::int2vector",
    ),
];

/// Rows of random values and how records are read back, on the server's side.
pub(crate) fn set_up(rows: usize) -> String {
    let types: Vec<String> = COLUMNS.iter().map(|(n, ty, ..)| format!("{n} {ty}")).collect();
    let values: Vec<String> = COLUMNS
        .iter()
        // every seventh value is null
        .map(|(.., random, _)| format!("CASE WHEN random() < 0.14 THEN NULL ELSE {random} END"))
        .collect();
    format!(
        r#"CREATE TYPE mood AS ENUM ('sad', 'o,k', 'ha"ppy'); CREATE DOMAIN posint AS int;
        CREATE FUNCTION soup(seed float8) RETURNS text LANGUAGE sql AS $$
          SELECT string_agg(chr((ARRAY[9, 10, 13, 32, 34, 39, 44, 65, 92, 123, 125, 127, 233, 8364,
            128512])[1 + floor(random() * 15)::int]), '') FROM generate_series(1, (seed * 12)::int) $$;
        CREATE FUNCTION num(t text) RETURNS numeric LANGUAGE sql AS $$
          SELECT CASE t WHEN 'NAN' THEN 'NaN' ELSE t END::numeric $$;
        CREATE FUNCTION list(t text) RETURNS text[] LANGUAGE sql AS $$
          SELECT array_agg(e ORDER BY n) FROM jsonb_array_elements_text(t::jsonb)
          WITH ORDINALITY AS x(e, n) $$;
        CREATE FUNCTION iso(t text) RETURNS text LANGUAGE sql AS $$
          SELECT CASE WHEN t LIKE '-%' OR t LIKE '0000-%' THEN
            lpad((1 - (regexp_match(t, '^-?\d+'))[1]::int)::text, 4, '0')
            || translate(regexp_replace(t, '^-?\d+', ''), 'TZ', ' ') || ' BC'
            ELSE translate(ltrim(t, '+'), 'TZ', ' ') END $$;
        CREATE TABLE t(id int PRIMARY KEY, {types}); CREATE TABLE back(id int, doc jsonb);
        SELECT setseed(0.5);
        INSERT INTO t SELECT i, {values} FROM generate_series(1, {rows}) i"#,
        types = types.join(", "),
        values = values.join(", "),
    )
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Columns whose values are not the server's once they are back.
fn differing(db: &Db, events: &[Event]) -> String {
    let rows: Vec<String> = events
        .iter()
        .map(|e| format!("({}, {}::jsonb)", e.after()["id"], literal(&e.after().to_string())))
        .collect();
    db.sql(&format!("TRUNCATE back; INSERT INTO back VALUES {}", rows.join(",")));
    let both = db.sql("SELECT count(*) FROM t JOIN back USING (id)");
    assert_eq!(both, events.len().to_string(), "every record is held against its row");
    let each = COLUMNS.iter().map(|(name, _, _, read)| {
        let text = format!("(doc->>'{name}')");
        let back = read.replace('$', &text);
        // json has no equality, a char's blanks count for nothing
        let (own, back) = match *name {
            "j" => ("j::text".to_owned(), back),
            "tt" => ("tt".to_owned(), back.replace(" BC+00", "+00 BC")),
            "bt" => ("bt".to_owned(), back),
            name => (name.to_owned(), back),
        };
        format!(
            "SELECT '{name} ' || id || ': ' || coalesce({own}::text, 'null') || ' is not ' ||
             coalesce({text}, 'null') FROM t JOIN back USING (id)
             WHERE ({own})::text IS DISTINCT FROM ({back})::text"
        )
    });
    let all: Vec<String> = each.collect();
    db.sql(&format!("SELECT * FROM ({}) x(wrong) LIMIT 20", all.join(" UNION ALL ")))
}

/// Random values of every type: the snapshot gives what the stream gives, and both give the
/// server what it has.
async fn check_against(db: &Db) {
    for format in [WireFormat::Auto, WireFormat::Text] {
        check_in(db, format).await;
    }
}

async fn check_in(db: &Db, format: WireFormat) {
    let mut settings = db.settings(&["public.t"]);
    settings.wire_format = format;
    let name = format!("{}_{format:?}", db.name).to_lowercase();
    (settings.slot, settings.publication) = (name.clone(), name);
    settings.shape.values = ValueModes {
        decimal: DecimalMode::String,
        time: TimePrecision::IsoString,
        binary: BinaryMode::Hex,
        interval_text: true,
        ..ValueModes::default()
    };
    const ROWS: usize = 150;
    let mut run = Run::open(&settings, 1000).await;
    let read = run.count(ROWS).await;
    db.sql("DROP TABLE IF EXISTS copy; CREATE TABLE copy AS TABLE t; DELETE FROM t; INSERT INTO t TABLE copy");
    let written = run.count(3 * ROWS).await.split_off(2 * ROWS);
    let after = |events: &[Event]| -> Vec<Value> {
        let mut rows: Vec<Value> = events.iter().map(|e| e.after().clone()).collect();
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    };
    assert_eq!(after(&read), after(&written));
    let wrong = differing(db, &written);
    assert!(wrong.is_empty(), "{wrong}");
    run.acker.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_values_of_every_type_come_back_as_they_are() {
    if skipped() {
        return;
    }
    check_against(&Db::new("oracle", &set_up(150))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_values_come_back_on_other_releases() {
    for release in Release::FETCHED {
        if let Some(reason) = missing_release(release) {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{reason}");
            eprintln!("skipped: {reason}");
            continue;
        }
        let server = Postgres::start(&Options { release, ..Options::default() }).unwrap();
        server.psql("postgres", "CREATE DATABASE oracle").unwrap();
        let db = Db { server: Arc::new(server), name: "oracle".into() };
        db.sql(&set_up(150));
        check_against(&db).await;
    }
}

/// (deviation, type, literal, decimal mode, what is right): PG-01 to PG-09, PG-23.
fn deviations() -> Vec<(&'static str, &'static str, &'static str, DecimalMode, Value)> {
    use DecimalMode::{Double, Precise, String};
    let variable = json!({ "scale": 1, "value": "Cw==" });
    vec![
        ("PG-01", "numeric(5,-2)", "12345", String, json!("12300")),
        ("PG-01", "numeric(5,-2)", "12345", Double, json!(12300.0)),
        ("PG-01", "numeric(5,-2)", "12345", Precise, json!("ew==")),
        ("PG-02", "name", "'Nm'", Precise, json!("Nm")),
        ("PG-03", "date", "'0044-03-15 BC'", Precise, json!(-735_160)),
        ("PG-03", "date", "'1582-10-10'", Precise, json!(-141_432)),
        ("PG-03", "date", "'infinity'", Precise, json!(-2_147_472_692)),
        (
            "PG-03",
            "date[]",
            "'{0044-03-15 BC,-infinity}'",
            Precise,
            json!([-735_160, -2_147_472_691]),
        ),
        ("PG-04", "timestamp", "'294276-12-31 23:59:59'", Precise, json!(i64::MAX)),
        ("PG-05", "time[]", "'{13:14:15.123456}'", Precise, json!([47_655_123_456_i64])),
        ("PG-05", "time(4)[]", "'{13:14:15.1234}'", Precise, json!([47_655_123_400_i64])),
        ("PG-06", "int[][]", "'{{1,2},{3,4}}'", Precise, json!([[1, 2], [3, 4]])),
        ("PG-07", "bit(3)[]", "'{101,110}'", Precise, json!(["BQ==", "Bg=="])),
        ("PG-07", "varbit[]", "'{}'", Precise, json!([])),
        ("PG-08", "int2vector", "'1 2'", Precise, json!([1, 2])),
        ("PG-08", "oidvector", "'3 4'", Precise, json!([3, 4])),
        ("PG-09", "numeric[]", "'{NaN,1.10}'", String, json!(["NAN", "1.10"])),
        ("PG-09", "numeric[]", "'{NaN,1.10}'", Double, json!(["NaN", 1.1])),
        ("PG-09", "numeric[]", "'{NaN,1.10}'", Precise, json!([null, variable])),
        ("PG-23", "kind_of_mood", "'ok'", Precise, json!("ok")),
    ]
}

/// PG-01 to PG-09, PG-23, and PG-20: whatever role and database set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_01_to_09_20_23_values_are_right_in_snapshot_and_stream() {
    if skipped() {
        return;
    }
    let columns = |decimal| {
        let cases = deviations().into_iter().enumerate();
        cases.filter(move |(_, case)| case.3 == decimal)
    };
    let mut setup = "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN kind_of_mood AS mood;
        ALTER DATABASE deviations SET datestyle = 'SQL, DMY';
        ALTER DATABASE deviations SET intervalstyle = 'iso_8601';
        ALTER DATABASE deviations SET bytea_output = 'escape';
        ALTER DATABASE deviations SET extra_float_digits = 0;
        ALTER DATABASE deviations SET timezone = 'Asia/Tokyo';"
        .to_owned();
    let all: Vec<String> =
        (deviations().iter().enumerate()).map(|(n, (_, ty, ..))| format!("c{n} {ty}")).collect();
    let values: Vec<&str> = deviations().iter().map(|case| case.2).collect();
    let (all, values) = (all.join(", "), values.join(", "));
    setup +=
        &format!("CREATE TABLE t(id int PRIMARY KEY, {all}); INSERT INTO t VALUES (1, {values})");
    let db = Db::new("deviations", &setup);
    for (n, decimal) in
        [DecimalMode::Precise, DecimalMode::String, DecimalMode::Double].into_iter().enumerate()
    {
        let mut settings = db.settings(&["public.t"]);
        settings.shape.values = decimal.into();
        settings.snapshot = Snapshot::Always;
        let mut run = Run::open(&settings, 10).await;
        let read = run.count(1 + n).await.remove(0);
        db.sql(&format!("INSERT INTO t VALUES ({}, {values})", n + 2));
        let written = run.count(1).await.remove(0);
        for (number, (id, ty, _, _, want)) in columns(decimal) {
            let name = format!("c{number}");
            for (phase, event) in [("snapshot", &read), ("stream", &written)] {
                assert_eq!(event.after()[&name], want, "{id}: {ty} in the {phase}, {decimal:?}");
            }
        }
        run.acker.close().await;
    }
}

/// PG-20: whatever the role sets, and the role in this database: no value and no connection
/// follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_20_settings_of_the_role_change_nothing() {
    if skipped() {
        return;
    }
    // The servers have no locale with money of its own but those of the C library.
    let settings_of = |target: &str| {
        let all = [
            "datestyle = 'SQL, DMY'",
            "intervalstyle = 'sql_standard'",
            "bytea_output = 'escape'",
            "extra_float_digits = -15",
            "timezone = 'America/St_Johns'",
            "lc_monetary = 'C.UTF-8'",
            "default_transaction_read_only = on",
            "statement_timeout = 1",
        ];
        all.map(|setting| format!("ALTER ROLE stubborn {target} SET {setting};")).concat()
    };
    let setup = format!(
        "CREATE ROLE stubborn LOGIN SUPERUSER; {} {}
         CREATE TABLE seen(setting text);
         CREATE TABLE t(id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, iv interval,
           b bytea, f float8, f4 float4, m money, r tstzrange, a timestamptz[])",
        settings_of(""),
        settings_of("IN DATABASE pg20")
    );
    let db = Db::new("pg20", &setup);
    let insert = |id: i32| {
        let values = "'2024-02-01', '2024-02-01 01:02:03.5', '2024-02-01 01:02:03+00',
            '1 mon -2 days 03:04:05.6', '\\x00ff5c', '0.1'::float8 + '0.2', 0.1, '1234.56',
            '[2024-02-01 00:00+00,)', '{2024-02-01 01:02:03+00}'";
        db.sql(&format!("INSERT INTO t VALUES ({id}, {values})"));
    };
    let mut settings = db.settings(&["public.t"]);
    settings.user = "stubborn".into();
    let shown = [
        "datestyle",
        "intervalstyle",
        "bytea_output",
        "extra_float_digits",
        "timezone",
        "lc_monetary",
        "default_transaction_read_only",
        "statement_timeout",
    ]
    .map(|name| format!("current_setting('{name}')"))
    .join(" || ' ' || ");
    settings.connection.initial_statements = vec![format!("INSERT INTO seen SELECT {shown}")];
    insert(1);
    let mut run = Run::open(&settings, 10).await;
    let read = run.count(1).await.remove(0);
    insert(2);
    let told = run.count(1).await.remove(0);
    for (phase, event) in [("snapshot", read), ("stream", told)] {
        let after = event.after();
        let want = json!({
            "d": 19_754, "ts": 1_706_749_323_500_000_i64, "tz": "2024-02-01T01:02:03.000000Z",
            "b": "AP9c", "f": 0.300_000_000_000_000_04, "f4": 0.1, "m": "AeJA",
            "r": "[\"2024-02-01 00:00:00+00\",)", "a": ["2024-02-01T01:02:03.000000Z"],
        });
        for (name, want) in want.as_object().unwrap() {
            assert_eq!(&after[name], want, "{name} in the {phase}");
        }
        let day = 86_400_000_000_f64;
        let month = (day * 365.25 / 12.0) as i64;
        let rest = -2 * 86_400_000_000_i64 + 11_045_600_000;
        assert_eq!(after["iv"], json!(month + rest), "iv in the {phase}");
    }
    let seen = "SELECT DISTINCT setting FROM seen";
    assert_eq!(db.sql(seen), "ISO, MDY postgres hex 3 UTC C off 0");
    db.sql("DROP OWNED BY stubborn");
}

/// PG-21: each row has the key of its own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_21_a_row_has_the_key_of_its_time() {
    if skipped() {
        return;
    }
    let db = Db::new("pg21", "CREATE TABLE t(id int PRIMARY KEY, a int NOT NULL UNIQUE)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO t VALUES (1, 2)");
    assert_eq!(run.count(1).await[0].key, json!({ "id": 1 }));
    run.acker.close().await;
    let checkpoint = run.checkpoint.clone();
    drop(run);
    db.sql(
        "INSERT INTO t VALUES (3, 4); ALTER TABLE t DROP CONSTRAINT t_pkey;
            ALTER TABLE t ADD PRIMARY KEY (a); INSERT INTO t VALUES (5, 6)",
    );
    let mut run = Run::resume(&settings, 10, checkpoint).await.unwrap();
    let keys: Vec<Value> = run.count(2).await.into_iter().map(|e| e.key).collect();
    assert_eq!(keys, [json!({ "id": 3 }), json!({ "a": 6 })]);
}

/// PG-22: with another index as identity no key is invented.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_22_no_key_is_invented() {
    if skipped() {
        return;
    }
    let setup = "CREATE TABLE t(id int PRIMARY KEY, u int NOT NULL UNIQUE);
                 ALTER TABLE t REPLICA IDENTITY USING INDEX t_u_key";
    let db = Db::new("pg22", setup);
    let mut run = Run::open(&db.settings(&["public.t"]), 10).await;
    db.sql("INSERT INTO t VALUES (1, 7); DELETE FROM t");
    let keys: Vec<Value> = run.count(3).await.into_iter().map(|e| e.key).collect();
    assert_eq!(keys, [json!({ "u": 7 }), json!({ "u": 7 }), json!({ "u": 7 })]);
}

/// PG-24: what has no precise form, in a column that takes no null, is a dead letter that names
/// table, column and mode; the rest goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pg_24_nan_without_a_form_is_told_apart() {
    if skipped() {
        return;
    }
    let db = Db::new("pg24", "CREATE TABLE t(id int PRIMARY KEY, n numeric NOT NULL)");
    let mut settings = db.settings(&["public.t"]);
    settings.snapshot = Snapshot::Never;
    let mut run = Run::open(&settings, 10).await;
    db.sql("INSERT INTO t VALUES (1, 'NaN'), (2, 1)");
    let mut rejects = Vec::new();
    let mut kept = 0;
    while rejects.is_empty() || kept == 0 {
        let delivery = run.next().await.unwrap().unwrap();
        for batch in &delivery.batches {
            kept += batch.sel.len();
            rejects.extend(batch.rejects.iter().map(|r| format!("{r:?}")));
        }
    }
    let text = &rejects[0];
    assert!(text.contains("srv.public.t") && text.contains("field n"), "{text}");
    assert!(text.contains("`precise`"), "{text}");
}

/// Columns, keys and changes by the rules of `columns` and `records`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_keys_and_changes_follow_their_rules() {
    if skipped() {
        return;
    }
    use wasmgate_postgres::{NameAdjustment, pattern};
    let setup = "CREATE TABLE t(id int PRIMARY KEY, \"a b\" int, secret text, c text);
                 CREATE TABLE other(id int PRIMARY KEY);
                 ALTER TABLE t REPLICA IDENTITY FULL; CREATE PUBLICATION rules FOR ALL TABLES";
    let db = Db::new("rules", setup);
    let mut settings = db.settings(&[]);
    settings.filters.tables.exclude = vec![pattern("public\\.OTHER").unwrap()];
    let rules = &mut settings.shape;
    rules.columns.filter.exclude = vec![pattern("public\\.t\\.(id|secret)").unwrap()];
    rules.names.fields = NameAdjustment::Avro;
    rules.skip_unchanged = true;
    rules.skipped.create = true;
    rules.context_headers = true;
    let mut run = Run::open(&settings, 10).await;
    db.sql(
        "INSERT INTO t VALUES (1, 2, 's', 'c'); INSERT INTO other VALUES (1);
            UPDATE t SET secret = 'x'; UPDATE t SET c = 'd'; DELETE FROM t",
    );
    let got: Vec<String> = run.count(3).await.iter().map(Event::line).collect();
    let want = [
        r#"u {"id":1} {"a_b":2,"c":"c"} {"a_b":2,"c":"d"}"#,
        r#"d {"id":1} {"a_b":2,"c":"d"} null"#,
        r#"tombstone {"id":1}"#,
    ];
    assert_eq!(got, want);
}

/// Types of extensions that do not come with Postgres, where they can be had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vectors_and_geometries_where_the_extensions_are() {
    if skipped() {
        return;
    }
    let db = Db::new("extensions", "");
    for (extension, columns, values, want) in [
        (
            "vector",
            "v vector(3), h halfvec(2), s sparsevec(5)",
            "'[1,2,3.5]', '[1,0.5]', '{1:1.5,3:2}/5'",
            json!({ "v": [1.0, 2.0, 3.5], "h": [1.0, 0.5],
                "s": { "dimensions": 5, "vector": [[1, 1.5], [3, 2.0]] } }),
        ),
        (
            "postgis",
            "g geometry, gg geography",
            "'SRID=4326;POINT(1 2)', 'POINT(1 2)'",
            json!({ "g": { "wkb": "AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==", "srid": 4326 },
                "gg": { "wkb": "AQEAACDmEAAAAAAAAAAA8D8AAAAAAAAAQA==", "srid": 4326 } }),
        ),
    ] {
        let there =
            format!("SELECT count(*) FROM pg_available_extensions WHERE name = '{extension}'");
        if db.sql(&there) == "0" {
            eprintln!("skipped: the server has no extension {extension}");
            continue;
        }
        db.sql(&format!(
            "CREATE EXTENSION {extension};
            CREATE TABLE t_{extension}(id int PRIMARY KEY, {columns});
            INSERT INTO t_{extension} VALUES (1, {values})"
        ));
        let mut settings = db.settings(&[&format!("public.t_{extension}")]);
        (settings.slot, settings.publication) = (extension.into(), extension.into());
        let mut run = Run::open(&settings, 10).await;
        let read = run.count(1).await.remove(0);
        for (name, value) in want.as_object().unwrap() {
            assert_eq!(&read.after()[name], value, "{name}");
        }
    }
}
