//! What is wrong is found, with its place; what is right comes out as settings.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::HashMap;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use wasmgate_pipeline::{GuardSpec, OnMisfit, Then};

use super::checked::{DeadLetters, SinkKind, Source};
use super::{checked, parse};

const ORDERS: &str = r"
pipelines:
  orders:
    source:
      postgres:
        database: sourcedb
        user: wasmgate
        password: ${env:PGPASSWORD}
        topic_prefix: orders_db
        tables: [public.orders]
    transforms:
      - { module: unwrap, config: { add.fields: op, n: 1.5, deep: [null, true, '${env:A}'] } }
      - { module: quality-check, when: { topics: ['orders_db\..*'] } }
    sinks:
      - { topics: '.*', kafka: { bootstrap_servers: 127.0.0.1:9092 } }
    dead_letters: { kafka: { topic: orders.dlq } }
    policy: { module: dlq-decision, config: { retries: 3 } }
    batch: { rows: 10, bytes: 2MiB, wait: 250us }
";

fn read(yaml: &str) -> Result<checked::Config, String> {
    let from = HashMap::from([("PGPASSWORD", "0123"), ("A", "x"), ("PORT", "6543")]);
    parse("f.yaml", yaml.to_owned(), &from).map(|(config, _)| config)
}

#[test]
fn a_whole_pipeline_is_read() {
    let config = read(ORDERS).unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data_dir.to_str(), Some("./data"));
    let pipeline = &config.pipelines[0];
    let Source::Postgres(source) = &pipeline.source else { panic!("{:?}", pipeline.source) };
    assert_eq!((source.host.as_str(), source.port), ("127.0.0.1", 5432));
    assert_eq!(source.password.as_ref().unwrap().expose_secret(), "0123");
    assert_eq!(source.tables, ["public.orders"]);
    let configs: Vec<&str> = pipeline.transforms.iter().map(|t| t.config.as_str()).collect();
    assert_eq!(configs, [r#"{"add.fields":"op","n":1.5,"deep":[null,true,"x"]}"#, "{}"]);
    let when = pipeline.transforms[1].topics.as_ref().unwrap();
    assert!(when[0].is_match("orders_db.public.orders") && !when[0].is_match("x.orders_db.y"));
    let DeadLetters::Kafka(letters) = &pipeline.dead_letters else { panic!() };
    assert_eq!(
        (letters.bootstrap_servers.as_str(), letters.topic.as_str()),
        ("127.0.0.1:9092", "orders.dlq")
    );
    assert_eq!(pipeline.policy.as_ref().unwrap().config, r#"{"retries":3}"#);
    assert_eq!(pipeline.limits.wait, Duration::from_micros(250));
    assert_eq!((pipeline.limits.rows, pipeline.limits.bytes), (10, 2 << 20));
}

#[test]
fn a_stage_says_how_its_failures_are_met() {
    let failures = "on_failures: { count: 3, window: 5m, then: dead-letter }";
    let more = format!("{failures}, on_misfit: dead-letter, record_version_header: true");
    let quality = "{ module: quality-check,";
    let yaml = ORDERS.replace(quality, &format!("{quality} {more},"));
    let config = read(&yaml).unwrap();
    let guards: Vec<GuardSpec> = config.pipelines[0].transforms.iter().map(|t| t.guard).collect();
    let written = GuardSpec {
        failures: 3,
        window: Duration::from_secs(300),
        then: Then::DeadLetter,
        on_misfit: OnMisfit::DeadLetter,
        stamp: true,
    };
    assert_eq!(guards, [GuardSpec::default(), written]);
    for (wrong, want) in [
        ("{ count: 0 }", "1 to 1000"),
        ("{ window: 10ms }", "`1000ms` to"),
        ("{ then: stop }", "`pause`"),
    ] {
        let problem = read(&yaml.replace(failures, &format!("on_failures: {wrong}"))).unwrap_err();
        assert!(problem.contains("on_failures") && problem.contains(want), "{problem}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let text = format!("{:?}", read(&ORDERS.replace("${env:PGPASSWORD}", "hunter2-hunter2")));
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn topics_match_as_a_whole() {
    let yaml = ORDERS.replace("topics: '.*'", "topics: 'a|ab'");
    let config = read(&yaml).unwrap();
    let sink = &config.pipelines[0].sinks[0];
    for (topic, want) in [("a", true), ("ab", true), ("b", false), ("ab.c", false)] {
        assert_eq!(sink.topics.is_match(topic), want, "{topic}");
    }
    assert!(matches!(sink.kind, SinkKind::Kafka(_)));
}

#[test]
fn numbers_come_from_references_too() {
    let config =
        read(&ORDERS.replace("database:", "port: ${env:PORT}\n        database:")).unwrap();
    let Source::Postgres(source) = &config.pipelines[0].source else { panic!() };
    assert_eq!(source.port, 6543);
}

/// `PG*` variables and files of the home folder stand in for what is not written.
#[test]
fn the_environment_of_libpq_counts_where_nothing_is_written() {
    let from = HashMap::from([
        ("PGHOST", "db.example"),
        ("PGPORT", "6543"),
        ("PGPASSWORD", "0123"),
        ("PGUSER", "somebody"),
        ("PGDATABASE", "elsewhere"),
        ("PGSSLMODE", "require"),
        ("PGCHANNELBINDING", "require"),
        ("HOME", "/home/me"),
        ("/home/me/.pgpass", ""),
        ("A", "x"),
    ]);
    let yaml = ORDERS.replace("        database: sourcedb\n        user: wasmgate\n", "");
    let yaml = yaml.replace("        password: ${env:PGPASSWORD}\n", "        sslmode: disable\n");
    let yaml =
        yaml.replace("topic_prefix:", "connection: { keepalives: false }\n        topic_prefix:");
    let (config, _) = parse("f.yaml", yaml.clone(), &from).unwrap();
    let Source::Postgres(source) = &config.pipelines[0].source else { panic!() };
    assert_eq!((source.host.as_str(), source.port), ("db.example", 6543));
    assert_eq!((source.user.as_str(), source.database.as_str()), ("somebody", "elsewhere"));
    assert_eq!(source.password.as_ref().unwrap().expose_secret(), "0123");
    assert_eq!(source.sslmode, wasmgate_postgres::SslMode::Disable, "what is written counts");
    let connection = &source.connection;
    assert_eq!(connection.channel_binding, wasmgate_postgres::ChannelBinding::Require);
    assert_eq!(connection.passfile.as_ref().unwrap().to_str(), Some("/home/me/.pgpass"));
    assert!(connection.keepalive.is_none());
    let wrong = HashMap::from([("PGPORT", "s3cret-port"), ("PGUSER", "u"), ("PGDATABASE", "d")]);
    let problem = parse("f.yaml", yaml.replace("${env:A}", ""), &wrong).unwrap_err();
    assert!(problem.contains("${env:PGPORT}") && !problem.contains("s3cret"), "{problem}");
}

#[test]
fn tls_options_that_contradict_each_other_are_refused() {
    for (options, want) in [
        ("sslmode: verify-ca", "without `ssl_root_cert`"),
        ("ssl_root_cert: system", "weaker `sslmode`"),
        ("sslmode: require, ssl_root_cert: /nope/root.crt", "`/nope/root.crt` is not there"),
        ("connection: { ssl_cert: Cargo.toml }", "go together"),
        ("connection: { ssl_negotiation: direct }", "may go without TLS"),
        ("connection: { further_hosts: [a, 'b:0'] }", "further_hosts[1]"),
        ("connection: { keepalives_count: 0 }", "1 to 100"),
    ] {
        let options = options.replace(", ", "\n        ").replace("a\n        'b:0'", "a, 'b:0'");
        let yaml = ORDERS.replace("topic_prefix:", &format!("{options}\n        topic_prefix:"));
        let problem = read(&yaml).unwrap_err();
        assert!(problem.contains(want), "{options}: {problem}");
    }
}

#[test]
fn dead_letters_stay_beside_the_data_by_default() {
    let yaml = ORDERS.replace("    dead_letters: { kafka: { topic: orders.dlq } }\n", "");
    let config = read(&format!("data_dir: /d\n{yaml}")).unwrap();
    let DeadLetters::File(letters) = &config.pipelines[0].dead_letters else { panic!() };
    assert_eq!(letters.dir.to_str(), Some("/d/dead-letters"));
}

/// Every key of the schema says what it is; words and lists of objects lead to keys that do.
#[test]
fn every_key_is_documented() {
    let schema = serde_json::to_value(super::schema()).unwrap();
    let mut keys = 0;
    let mut look = |owner: &str, object: &Value| {
        for (key, property) in object["properties"].as_object().into_iter().flatten() {
            let text = property["description"].as_str().unwrap_or_default();
            assert!(text.len() > 20 || text.ends_with('.'), "{owner}.{key}: {text:?}");
            keys += 1;
        }
    };
    look("config", &schema);
    for (name, object) in schema["$defs"].as_object().unwrap() {
        look(name, object);
    }
    assert!(keys > 60, "{keys} keys");
}

#[test]
fn what_records_look_like_is_read_and_checked() {
    let with = |groups: &str| {
        ORDERS.replace("tables: [public.orders]", &format!("tables: [public.orders]\n{groups}"))
    };
    let groups = r"
        decimals: string
        filters: { tables: { include: ['public\.o.*'] } }
        values: { time_precision: isostring, binary: base64-url-safe, money_digits: 3, unavailable: 'hex:00ff' }
        columns:
          exclude: ['public\.orders\.secret']
          masks: [ { columns: ['.*\.card'], hash: sha-256, salt: '${env:A}' }, { columns: [a], stars: 0 } ]
          keys: [ { tables: 'public\.orders', columns: [b, a] } ]
        records: { skipped_operations: [d], field_names: avro, topic_delimiter: _ }
";
    let config = read(&with(groups)).unwrap();
    let Source::Postgres(source) = &config.pipelines[0].source else { panic!() };
    let shape = &source.shape;
    assert_eq!(shape.unavailable.as_deref(), Some(&[0, 255][..]));
    assert_eq!((shape.values.money_digits, shape.columns.masks.len()), (3, 2));
    assert!(shape.skipped.delete && !shape.skipped.truncate && shape.names.delimiter == "_");
    assert!(!shape.columns.filter.wants("PUBLIC.orders.secret"));
    assert!(source.filters.tables.wants("public.orders"));
    assert!(!format!("{config:?}").contains("salt: \"x\""));
    for (wrong, field, want) in [
        ("columns: { include: [a], exclude: [b] }", "columns.exclude", "stands beside"),
        ("columns: { include: ['('] }", "columns.include[0]", "a regular expression"),
        ("columns: { masks: [ { columns: [a] } ] }", "columns.masks[0]", "names none"),
        ("columns: { masks: [ { columns: [a], hash: crc, salt: s } ] }", ".hash", "SHA-512/256"),
        ("columns: { masks: [ { columns: [a], hash: MD5 } ] }", ".salt", "is missing"),
        ("columns: { masks: [ { columns: [], stars: 1 } ] }", ".columns", "names no column"),
        ("columns: { masks: [ { columns: [a], truncate: 0 } ] }", ".truncate", "1 to"),
        ("columns: { keys: [ { tables: a, columns: [] } ] }", "keys[0].columns", "names no column"),
        ("values: { money_digits: 10 }", "values.money_digits", "0 to 9"),
        ("values: { unavailable: 'hex:zz' }", "values.unavailable", "hexadecimal"),
        ("values: { binary: utf8 }", "values.binary", "base64-url-safe"),
        ("records: { topic_delimiter: '/' }", "records.topic_delimiter", "letters"),
        ("skip_truncate: true\n        records: { skipped_operations: [] }", "records", "beside"),
        ("filters: { schemas: { exclude: ['['] } }", "schemas.exclude[0]", "regular expression"),
    ] {
        let problem = read(&with(&format!("        {wrong}"))).unwrap_err();
        assert!(problem.contains(field) && problem.contains(want), "{wrong}: {problem}");
    }
}
