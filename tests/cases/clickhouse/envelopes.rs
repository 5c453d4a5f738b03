//! Debezium's envelopes as JSON without a schema, from Kafka through unwrap into a table: creates,
//! snapshot rows, updates, deletes, a changed key, tombstones.

use serde_json::{Value, json};
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::topics::{Record, produce};
use wasmgate_tests::wait_for;

use super::super::servers::{kafka, unique};
use super::{engine, rows};

fn row(id: u32, name: &str, amount: &str) -> Value {
    json!({"id": id, "name": name, "amount": amount, "made": 1_714_979_289_500_000_i64})
}

/// A change, under the key of the row it is about.
fn change(op: &str, before: Value, after: Value) -> Record {
    let id = if after.is_null() { &before["id"] } else { &after["id"] };
    let source = json!({"connector": "postgresql", "db": "shop", "table": "orders", "lsn": 7});
    let value = json!({"before": before, "after": after, "source": source, "op": op, "ts_ms": 1});
    Record::new(&json!({"id": id}).to_string(), value.to_string())
}

fn tombstone(id: u32) -> Record {
    let key = json!({"id": id}).to_string().into_bytes();
    Record { key: Some(key), value: None, headers: Vec::new() }
}

#[test]
fn clickhouse_takes_envelopes_from_kafka() {
    let (Some(broker), Some(engine)) = (kafka(), engine()) else { return };
    let (bootstrap, name) = (broker.bootstrap(), unique("ch_envelopes"));
    broker.create_topic(&name, 1, &[]).unwrap();
    let rewritten = format!("{name}_rewritten");
    for table in [&name, &rewritten] {
        engine
            .query(&format!(
                "CREATE TABLE {table} (id UInt32, name LowCardinality(String), amount Nullable(Decimal(10, 2)), \
                 made DateTime64(6, 'UTC'), _version UInt128, _is_deleted UInt8) \
                 ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id \
                 SETTINGS non_replicated_deduplication_window = 1000"
            ))
            .unwrap();
    }
    let pipeline = |pipeline: &str, table: &str, unwrap: &str, own: &str| {
        format!(
            "  {pipeline}:\n    source:\n      kafka: {{ bootstrap_servers: '{bootstrap}', \
             topics: [{name}], group: {table}, format: debezium-json, bare_envelopes: true }}\n    \
             transforms:\n      - {{ module: unwrap, config: {{ {unwrap} }} }}\n    sinks:\n      \
             - topics: '.*'\n        clickhouse: {{ hosts: ['{url}'], database: default, \
             batch: {{ interval: 100ms }}, table: {{ name: {table}, create: false, evolve: false{own} }} }}\n    \
             dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
            url = engine.url(),
        )
    };
    let config = format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n{}{}",
        pipeline("envelopes", &name, "", ""),
        pipeline(
            "rewritten",
            &rewritten,
            "delete.tombstone.handling.mode: rewrite",
            ", exclude: [__deleted]"
        ),
    );
    let none = || Value::Null;
    let first = [
        change("r", none(), row(1, "a", "1.50")),
        change("r", none(), row(2, "b", "2.50")),
        change("c", none(), row(3, "c", "3.50")),
        change("u", row(1, "a", "1.50"), row(1, "a2", "-1.50")),
        change("d", row(2, "b", "2.50"), none()),
        tombstone(2),
        // Without the old row, as under replica identity DEFAULT.
        change("u", none(), row(3, "c2", "3.75")),
    ];
    produce(&bootstrap, &name, &first);
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    let state = |table: &str| {
        rows(&engine, &format!("SELECT id, name, amount, made FROM {table} FINAL ORDER BY id"))
    };
    let made = "2024-05-06 07:08:09.500000";
    let wait = |want: &[(u32, &str, &str)]| {
        let want: Vec<String> = want
            .iter()
            .map(|(id, name, amount)| format!("{id}\t{name}\t{amount}\t{made}"))
            .collect();
        for (table, pipeline) in [(&name, "envelopes"), (&rewritten, "rewritten")] {
            wait_for(
                &format!("{want:?}"),
                || (state(table) == want).then_some(()),
                || format!("{:?}\n{}", state(table), gateway.describe(pipeline)),
            );
        }
    };
    wait(&[(1, "a2", "-1.5"), (3, "c2", "3.75")]);
    let second = [
        // The key changes from 3 to 30; 2 comes back; 1 goes; one does not fit.
        change("d", row(3, "c2", "3.75"), none()),
        tombstone(3),
        change("c", none(), row(30, "c2", "3.75")),
        change("c", none(), row(2, "b3", "9.99")),
        change("d", row(1, "a2", "-1.50"), none()),
        tombstone(1),
        change("c", none(), row(4, "d", "12345678901.00")),
        // The row as Debezium has it under DEFAULT: the key, and nothing else.
        change("c", none(), row(5, "e", "5")),
        change("d", json!({"id": 5}), none()),
    ];
    produce(&bootstrap, &name, &second);
    wait(&[(2, "b3", "9.99"), (30, "c2", "3.75")]);
    let letters = wait_for(
        "the letter of the amount",
        || Some(lines(&dir.path().join("dlq/envelopes.jsonl"))).filter(|l| !l.is_empty()),
        || gateway.describe("envelopes"),
    );
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(letters[0].to_string().contains("out-of-range"), "{letters:?}");
    assert!(gateway.signal_and_wait("TERM").0.success());
}
