//! Documents in, settings and findings out.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value as Json, json};
use wasmgate_debezium::{
    Origin, Place, Property, Setting, Translation, Value, Verdict, known, translate,
};

/// A document that is right, with no more than it needs.
const LEAST: &[(&str, &str)] = &[
    ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
    ("database.hostname", "db"),
    ("database.user", "u"),
    ("database.dbname", "shop"),
    ("topic.prefix", "p"),
];

fn property((name, value): &(&str, &str)) -> Property {
    Property {
        name: (*name).to_owned(),
        written: (*value).to_owned(),
        resolved: None,
        origin: Origin::Document(Place::default()),
    }
}

/// The least document with these in it; an empty value takes a property out.
fn with(more: &[(&str, &str)]) -> Translation {
    let own = LEAST.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let more = more.iter().filter(|(name, value)| {
        !value.is_empty() || LEAST.iter().all(|(required, _)| required != name)
    });
    translate(own.chain(more).map(property).collect(), &[])
}

fn json(setting: &Setting) -> Json {
    match &setting.value {
        Value::Flag(flag) => json!(flag),
        Value::Whole(n) => json!(n),
        Value::Text(text) | Value::Any(text) => json!(text),
        Value::List(entries) => entries.iter().map(json).collect(),
        Value::Map(members) => {
            Json::Object(members.iter().map(|(name, s)| (name.clone(), json(s))).collect())
        }
    }
}

fn found(translation: &Translation, property: &str) -> (Verdict, String) {
    let finding = translation.findings.iter().find(|f| f.property == property).unwrap();
    let help = finding.help.as_deref().unwrap_or_default();
    (finding.verdict, format!("{} ({help})", finding.text))
}

#[test]
fn the_least_document_has_debeziums_defaults() {
    let translation = with(&[]);
    assert!(!translation.is_refused(), "{:?}", translation.findings);
    let source = json!({ "postgres": {
        "host": "db", "user": "u", "database": "shop", "topic_prefix": "p",
        "port": 5432, "sslmode": "prefer", "slot": "debezium", "publication": "dbz_publication",
        "slot_care": { "publication_mode": "all_tables" }, "records": { "context_headers": true },
    }});
    assert_eq!(json(&translation.pipeline), json!({ "source": source }));
}

#[test]
fn properties_become_settings() {
    for (name, value, path, want) in [
        ("database.port", " 6432 ", "source.postgres.port", json!(6432)),
        ("database.password", " p,w ", "source.postgres.password", json!(" p,w ")),
        ("database.sslmode", "VERIFY-FULL", "source.postgres.sslmode", json!("verify-full")),
        ("slot.name", "s", "source.postgres.slot", json!("s")),
        (
            "replica.identity.autoset.values",
            "s.t:FULL, s.u:INDEX u_key",
            "source.postgres.slot_care.replica_identity",
            json!({ "s.t": "FULL", "s.u": "INDEX u_key" }),
        ),
        ("slot.failover", "true", "source.postgres.slot_care.failover", json!(true)),
        (
            "publication.autocreate.mode",
            "disabled",
            "source.postgres.slot_care.publication_mode",
            json!("disabled"),
        ),
        ("slot.name", " ", "source.postgres.slot", json!("debezium")),
        ("snapshot.mode", "no_data", "source.postgres.snapshot", json!("never")),
        ("snapshot.mode", "schema_only", "source.postgres.snapshot", json!("never")),
        ("snapshot.mode", "when_needed", "source.postgres.snapshot", json!("when_needed")),
        ("status.update.interval.ms", "2500", "source.postgres.status_interval", json!("2500ms")),
        (
            "time.precision.mode",
            "ISOSTRING",
            "source.postgres.values.time_precision",
            json!("isostring"),
        ),
        (
            "skipped.operations",
            "u,d",
            "source.postgres.records.skipped_operations",
            json!(["u", "d"]),
        ),
        ("skipped.operations", "none", "source.postgres.records.skipped_operations", json!([])),
        (
            "column.exclude.list",
            "s.t.a, s.t.b",
            "source.postgres.columns.exclude",
            json!(["s.t.a", "s.t.b"]),
        ),
        (
            "table.include.list",
            "s.a_.*",
            "source.postgres.filters.tables.include",
            json!(["s.a_.*"]),
        ),
        (
            "message.key.columns",
            "s.t:b,a; s.u:c",
            "source.postgres.columns.keys",
            json!([{ "tables": "s.t", "columns": ["b", "a"] }, { "tables": "s.u", "columns": ["c"] }]),
        ),
        (
            "column.mask.hash.v2.SHA-256.with.salt.Ab.c",
            "s.t.a",
            "source.postgres.columns.masks",
            json!([{ "columns": ["s.t.a"], "hash": "SHA-256", "salt": "Ab.c", "version": 2 }]),
        ),
        (
            "column.truncate.to.3.chars",
            "s.t.a",
            "source.postgres.columns.masks",
            json!([{ "columns": ["s.t.a"], "truncate": 3 }]),
        ),
        ("tombstones.on.delete", "False", "source.postgres.tombstones_on_delete", json!(false)),
        (
            "wasmgate.source.postgres.read_ahead",
            " 1MiB ",
            "source.postgres.read_ahead",
            json!("1MiB"),
        ),
        ("wasmgate.lanes", "2", "lanes", json!("2")),
        ("max.batch.size", "4096", "batch.rows", json!(4096)),
        ("database.server.name", "old", "source.postgres.topic_prefix", json!("old")),
    ] {
        let translation = match name {
            "database.server.name" => with(&[("topic.prefix", ""), (name, value)]),
            _ => with(&[(name, value)]),
        };
        assert_eq!(found(&translation, name).0, Verdict::Honoured, "{name}");
        assert_eq!(json(translation.pipeline.get(path).unwrap()), want, "{name}={value}");
        let (_, property) =
            translation.origins.iter().find(|(p, _)| p.trim_end_matches("[0]") == path).unwrap();
        assert_eq!(property, if name == "database.server.name" { "topic.prefix" } else { name });
    }
}

const REFUSED: Verdict = Verdict::Unsupported { changes_data: true };
const LACKING: Verdict = Verdict::Unsupported { changes_data: false };

#[test]
fn every_property_has_its_answer() {
    for (name, value, verdict, want) in [
        ("connector.class", "io.debezium.connector.oracle.OracleConnector", REFUSED, "Oracle"),
        ("connector.class", "org.example.Own", REFUSED, "is not known"),
        ("connector.class", "PostgresConnector", Verdict::Honoured, "postgres"),
        ("tasks.max", "4", Verdict::Ignored, "one task"),
        ("plugin.name", "pgoutput", Verdict::Honoured, "pgoutput"),
        ("plugin.name", "wal2json_rds", REFUSED, "only `pgoutput`"),
        ("plugin.name", "mine", Verdict::Wrong, "found `mine`, expected `pgoutput`"),
        ("database.port", "54x2", Verdict::Wrong, "found `54x2`, expected a whole number from 1"),
        ("tombstones.on.delete", "yes", Verdict::Wrong, "expected `true` or `false`"),
        ("snapshot.mode", "custom", REFUSED, "no such mode"),
        ("snapshot.mode", "sometimes", Verdict::Wrong, "found `sometimes`"),
        ("slot.nam", "x", Verdict::Unknown, "did you mean `slot.name`?"),
        ("team", "blue", Verdict::Unknown, "nothing is done about it"),
        ("whatever.*", "x", Verdict::Unknown, "nothing is done about it"),
        ("topic.creation.default.partitions", "3", LACKING, "auto.create.topics.enable"),
        ("producer.override.acks", "all", LACKING, "kafka.properties"),
        ("exactly.once.support", "required", REFUSED, "at least once"),
        ("exactly.once.support", "requested", Verdict::Honoured, "anyway"),
        ("database.ApplicationName", "x", Verdict::Ignored, "JDBC"),
        ("database.history.kafka.topic", "x", Verdict::Ignored, "`schema.history.internal.kafka"),
        ("flush.lsn.source", "true", Verdict::Honoured, "now called `lsn.flush.mode`"),
        ("flush.lsn.source", "false", REFUSED, "found `false`"),
        ("converters", "isbn", REFUSED, "write a module"),
        ("openlineage.integration.enabled", "true", LACKING, "lineage"),
        ("skipped.operations", "x", Verdict::Wrong, "found `x`"),
        ("message.key.columns", "s.t", Verdict::Wrong, "names no columns"),
        ("column.mask.with.five.chars", "s.t.a", Verdict::Wrong, "column.mask.with.N.chars"),
        ("key.converter", "StringConverter", REFUSED, "Java's notation"),
        ("value.converter", "io.confluent.connect.avro.AvroConverter", REFUSED, "Avro"),
        ("value.converter", "io.confluent.connect.protobuf.ProtobufConverter", REFUSED, "Protobuf"),
        ("predicates.p.type", "x", Verdict::Ignored, "`predicates` does not name `p`"),
        ("transforms.t.type", "x", Verdict::Ignored, "`transforms` does not name `t`"),
    ] {
        let translation = with(&[(name, value)]);
        let (is, text) = found(&translation, name);
        assert_eq!(is, verdict, "{name}={value}: {text}");
        assert!(text.contains(want), "{name}={value}: {text}");
        assert_eq!(translation.is_refused(), verdict.is_error(), "{name}={value}");
    }
}

#[test]
fn what_is_missing_is_named_and_what_is_older_gives_way() {
    for name in ["database.hostname", "database.user", "database.dbname", "topic.prefix"] {
        let translation = with(&[(name, "")]);
        assert!(translation.is_refused(), "{name}");
        assert!(found(&translation, name).1.contains("is missing (add"), "{name}");
    }
    assert!(translate(Vec::new(), &[]).is_refused());
    let translation = with(&[("database.server.name", "old")]);
    assert_eq!(found(&translation, "database.server.name").0, Verdict::Ignored);
    let prefix = translation.pipeline.get("source.postgres.topic_prefix").unwrap();
    assert_eq!(json(prefix), json!("p"));
}

#[test]
fn messages_show_what_is_written_and_never_what_it_stands_for() {
    let mut properties: Vec<Property> = LEAST.iter().map(property).collect();
    for name in ["database.port", "tombstones.on.delete", "snapshot.mode", "skipped.operations"] {
        let mut secret = property(&(name, "${env:X}"));
        secret.resolved = Some("hunter2".to_owned());
        properties.push(secret);
    }
    let translation = translate(properties, &[]);
    assert!(translation.is_refused());
    let all = format!("{:?}", translation.findings);
    assert!(!all.contains("hunter2") && all.contains("${env:X}"), "{all}");
    assert!(!format!("{:?}", translation.properties).contains("hunter2"));
}

#[test]
fn defaults_count_as_a_workers_do() {
    let json_class = "org.apache.kafka.connect.json.JsonConverter";
    let defaults: Vec<Property> = [
        ("value.converter", "io.confluent.connect.avro.AvroConverter"),
        ("value.converter.schema.registry.url", "http://r"),
        ("database.user", "default"),
        ("topic.prefix", "default"),
    ]
    .iter()
    .map(|pair| Property { origin: Origin::Defaults, ..property(pair) })
    .collect();
    let run = |more: &[(&str, &str)]| {
        let all = LEAST.iter().chain(more).filter(|(name, _)| *name != "database.user");
        translate(all.map(property).collect(), &defaults)
    };
    let refused = run(&[]);
    assert_eq!(found(&refused, "value.converter").0, REFUSED);
    let own = run(&[("value.converter", json_class), ("value.converter.schemas.enable", "false")]);
    let want = json!({ "schemas": false, "key_schemas": false, "header_schemas": false,
        "replace_null_with_default": true, "decimals": "base64" });
    assert_eq!(json(&own.converters), want);
    let other = run(&[
        ("value.converter", json_class),
        ("value.converter.decimal.format", "numeric"),
        ("value.converter.replace.null.with.default", "false"),
        ("key.converter", json_class),
        ("key.converter.decimal.format", "numeric"),
        ("key.converter.replace.null.with.default", "false"),
        ("key.converter.schemas.enable", "false"),
        ("header.converter", json_class),
    ]);
    let want = json!({ "schemas": true, "key_schemas": false, "header_schemas": true,
        "replace_null_with_default": false, "decimals": "numeric" });
    assert_eq!(json(&other.converters), want);
    let unlike = [("key.converter", json_class), ("key.converter.decimal.format", "numeric")];
    let unlike = run(&[&unlike[..], &[("value.converter", json_class)]].concat());
    assert_eq!(found(&unlike, "key.converter").0, REFUSED);
    assert!(!own.is_refused(), "{:?}", own.findings);
    assert!(own.findings.iter().all(|f| f.property != "value.converter.schema.registry.url"));
    let source = own.pipeline.get("source.postgres").unwrap();
    assert_eq!(json(source.get("user").unwrap()), json!("default"));
    assert_eq!(json(source.get("topic_prefix").unwrap()), json!("p"));
}

#[test]
fn names_are_known_or_nearly() {
    assert_eq!(known("value.converter.schemas.enable"), Ok(()));
    assert_eq!(known("database.server.name"), Ok(()));
    assert_eq!(known("slot.nam"), Err(Some("slot.name")));
    assert_eq!(known("blue"), Err(None));
}

#[test]
fn a_mysql_connector_is_translated_by_its_own_rows() {
    let least = [
        ("connector.class", "io.debezium.connector.mysql.MySqlConnector"),
        ("database.hostname", "db"),
        ("database.user", "u"),
        ("topic.prefix", "p"),
    ];
    let run =
        |more: &[(&str, &str)]| translate(least.iter().chain(more).map(property).collect(), &[]);
    let translation = run(&[
        ("database.server.id", "5701"),
        ("database.include.list", "shop, hr"),
        ("table.include.list", "shop.o.*,hr.people"),
        ("column.mask.with.3.chars", "shop.a.b"),
        ("schema.history.internal.kafka.topic", "h"),
        ("bigint.unsigned.handling.mode", "precise"),
        ("snapshot.mode", "never"),
        ("skipped.operations", "none"),
        ("binary.handling.mode", "bytes"),
        ("gtid.source.includes", "3e11fa47-.*"),
        ("heartbeat.interval.ms", "1000"),
        ("heartbeat.action.query", "DO 1"),
        ("topic.heartbeat.prefix", "alive"),
    ]);
    assert!(!translation.is_refused(), "{:?}", translation.findings);
    let source = json!({ "mysql": {
        "host": "db", "user": "u", "topic_prefix": "p", "port": 3306, "server_id": 5701,
        "filters": {
            "databases": { "include": ["shop", "hr"] },
            "tables": { "include": ["shop.o.*", "hr.people"] },
            "gtid_sources": { "include": ["3e11fa47-.*"] },
        },
        "events": {
            "heartbeat": "1000ms", "heartbeat_query": "DO 1", "heartbeat_topic_prefix": "alive",
            "include_schema_changes": true,
        },
        "columns": { "masks": [{ "columns": ["shop.a.b"], "stars": 3 }] },
        "bigint_unsigned": "precise", "snapshot": "never", "start": "earliest",
        "skip_truncate": false, "binaries": "base64",
    }});
    assert_eq!(json(&translation.pipeline), json!({ "source": source }));
    for (name, value, verdict, want) in [
        ("table.include.list", "shop.(?!o).*", REFUSED, "look-around"),
        ("heartbeat.interval.ms", "1000", Verdict::Honoured, "source.mysql.events.heartbeat"),
        ("gtid.source.filter.dml.events", "false", REFUSED, "left out"),
        ("snapshot.mode", "recovery", Verdict::Honoured, "snapshot: recovery"),
        ("snapshot.mode", "custom", REFUSED, "no such mode"),
        ("time.precision.mode", "adaptive", Verdict::Wrong, "expected `adaptive_time_micro"),
        ("include.schema.changes", "false", Verdict::Honoured, "include_schema_changes"),
        ("include.schema.comments", "true", Verdict::Honoured, "include_schema_comments"),
        ("slot.name", "s", Verdict::Ignored, "Postgres"),
        ("database.dbname", "d", Verdict::Ignored, "JDBC"),
        ("tasks.max", "2", Verdict::Ignored, "one task"),
    ] {
        let translation = run(&[(name, value)]);
        let (is, text) = found(&translation, name);
        assert_eq!(is, verdict, "{name}={value}: {text}");
        assert!(text.contains(want), "{name}={value}: {text}");
    }
    assert!(run(&[("snapshot.mode", "schema_only")]).pipeline.get("source.mysql.start").is_none());
}
