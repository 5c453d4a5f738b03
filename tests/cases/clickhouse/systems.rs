//! The examples as they are shipped, on servers of their own: orders from Postgres, call records
//! from Kafka.

use serde_json::Value;
use wasmgate_services::clickhouse::ClickHouse;
use wasmgate_tests::gateway::{Gateway, lines};
use wasmgate_tests::topics::{Record, produce};
use wasmgate_tests::{root, wait_for};

use super::super::servers::{database, kafka, postgres, unique};
use super::{engine, rows};

const ORDERS: &str = "
    create table orders (
        order_id serial primary key, customer_name varchar(255), product varchar(255),
        quantity integer, price numeric(10,2), status varchar(20),
        created_at timestamp default current_timestamp);
    create publication orders_pub for table orders;
    insert into orders (customer_name, product, quantity, price, status)
        values ('Ada', 'lamp', 1, 19.90, 'new'), ('Bob', 'desk', 2, 200, 'new');";

/// An example's file with these words in place of its variables, and a folder of its own.
fn example(name: &str, words: &[(&str, &str)]) -> String {
    let path = root().join("examples").join(name).join("pipeline.yaml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (name, value) in words {
        text = text.replace(&format!("${{env:{name}}}"), value);
    }
    text.replace("data_dir: ./data", "data_dir: '{dir}/data'")
        .replace("dir: ./dead-letters", "dir: '{dir}/dead-letters'")
        .replace("modules: { dir: ./transforms }", "modules: { dir: '{modules}' }")
        .replace("listen: 127.0.0.1:8080", "listen: 127.0.0.1:0")
}

/// Runs what the container's image runs on an empty volume: every script, in the order of names.
fn init_scripts(engine: &ClickHouse) {
    let folder = std::fs::read_dir(root().join("init-scripts/clickhouse")).unwrap();
    let mut scripts: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    for script in scripts {
        assert!(script.extension().is_some_and(|e| e == "sql"), "{}", script.display());
        let text = std::fs::read_to_string(&script).unwrap();
        let bare = |line: &&str| !line.trim_start().starts_with("--");
        let text = text.lines().filter(bare).collect::<Vec<_>>().join("\n");
        for statement in text.split(';').filter(|statement| !statement.trim().is_empty()) {
            engine.query(statement).unwrap_or_else(|e| panic!("{}: {e}", script.display()));
        }
    }
}

#[test]
fn clickhouse_orders_follow_the_table() {
    let (Some(server), Some(engine)) = (postgres(), engine()) else { return };
    let database = database(&server, "ch_orders", ORDERS);
    init_scripts(&engine);
    let (port, url) = (server.port().to_string(), engine.url());
    let config = example(
        "orders-clickhouse",
        &[
            ("WASMGATE_LISTEN", "127.0.0.1:0"),
            ("WASMGATE_TOKEN", "0123456789abcdef"),
            ("POSTGRES_HOST", "127.0.0.1"),
            ("POSTGRES_PORT", &port),
            ("POSTGRES_USER", "postgres"),
            ("POSTGRES_PASSWORD", "unused"),
            ("CLICKHOUSE_URL", &url),
            ("CLICKHOUSE_USER", "default"),
            ("CLICKHOUSE_PASSWORD", ""),
        ],
    );
    let config = config.replace("database: sourcedb", &format!("database: {database}"));
    let config = config.replace("slot: orders_clickhouse", &format!("slot: {database}"));
    let config = config.replace("  tokens: [\"0123456789abcdef\"]\n", "");
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    let state = "SELECT order_id, customer_name, quantity, price, status FROM orders.orders FINAL ORDER BY order_id";
    let wait = |want: &[&str]| {
        wait_for(
            &format!("{want:?}"),
            || (rows(&engine, state) == want).then_some(()),
            || format!("{:?}\n{}", rows(&engine, state), gateway.describe("orders")),
        );
    };
    wait(&["1\tAda\t1\t19.9\tnew", "2\tBob\t2\t200\tnew"]);
    gateway.wait_pipeline("orders", "the stream", |status| status["phase"] == "streaming");
    let changes = "update orders set status = 'shipped', price = 19.95 where order_id = 1;
        delete from orders where order_id = 2;
        insert into orders (customer_name, quantity, price) values ('Cyd', 3, 0.10), ('Mallory', -5, 1);
        update orders set order_id = 30 where customer_name = 'Cyd';";
    server.psql(&database, changes).unwrap();
    wait(&["1\tAda\t1\t19.95\tshipped", "30\tCyd\t3\t0.1\t\\N"]);
    let letters = wait_for(
        "Mallory's letter",
        || Some(lines(&dir.path().join("dead-letters/orders.jsonl"))).filter(|l| !l.is_empty()),
        || gateway.describe("orders"),
    );
    assert!(letters[0]["value"].to_string().contains("Mallory"), "{letters:?}");
    // A column more at the source is a column more here.
    let evolved =
        "alter table orders add column note text; update orders set note = 'hi' where order_id = 1";
    server.psql(&database, evolved).unwrap();
    let note = "SELECT note FROM orders.orders FINAL WHERE order_id = 1";
    wait_for(
        "the note",
        || (rows(&engine, note) == ["hi"]).then_some(()),
        || gateway.describe("orders"),
    );
    let (status, log) = gateway.signal_and_wait("TERM");
    assert!(status.success(), "{log}");
}

#[test]
fn clickhouse_calls_and_alerts_from_kafka() {
    let (Some(broker), Some(engine)) = (kafka(), engine()) else { return };
    init_scripts(&engine);
    // Once more, as on a volume that is used again.
    init_scripts(&engine);
    let compose = std::fs::read_to_string(root().join("docker-compose.yml")).unwrap();
    let healthy =
        compose.split("'exists ").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert_eq!(rows(&engine, &format!("EXISTS {healthy}")), ["1"], "{healthy}");
    let (bootstrap, url, group) = (broker.bootstrap(), engine.url(), unique("ch-calls"));
    let topic = unique("telecom-cdr");
    broker.create_topic(&topic, 1, &[]).unwrap();
    let config = example(
        "telecom-full",
        &[
            ("WASMGATE_LISTEN", "127.0.0.1:0"),
            ("WASMGATE_TOKEN", "0123456789abcdef"),
            ("KAFKA_BOOTSTRAP", &bootstrap),
            ("CLICKHOUSE_URL", &url),
            ("CLICKHOUSE_USER", "default"),
            ("CLICKHOUSE_PASSWORD", ""),
        ],
    );
    let config = config.replace("topics: [telecom-cdr]", &format!("topics: [{topic}]"));
    let config = config.replace("'telecom-cdr'", &format!("'{topic}'"));
    let config = config.replace("group: wasmgate-calls-clickhouse", &format!("group: {group}"));
    let config = config.replace("  tokens: [\"0123456789abcdef\"]\n", "");
    let call = |id: u32, spending: &str, score: &str, duration: u32| {
        format!(
            "{{\"call_id\":\"CDR{id}\",\"customer_id\":\"CUST1\",\"call_type\":\"voice\",\
             \"call_start\":\"2024-05-06T07:08:09.5Z\",\"call_duration_seconds\":840,\
             \"monthly_call_duration\":{duration},\"monthly_spending\":{spending},\"credit_score\":{score}}}"
        )
    };
    let calls = [
        call(1, "455.0", "540", 730),
        call(2, "400", "599", 501),
        call(3, "null", "null", 900),
        call(4, "401.10", "599", 501),
        "{\"call_id\":\"CDR5\",\"customer_id\":\"CUST1\",\"call_duration_seconds\":\"long\"}"
            .to_owned(),
    ];
    let records = calls
        .iter()
        .map(|value| Record { value: Some(value.clone().into_bytes()), ..Record::default() });
    produce(&bootstrap, &topic, &records.collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    let cdr = "SELECT call_id, monthly_spending, credit_score FROM telecom.enriched_cdr FINAL ORDER BY call_id";
    let want = ["CDR1\t455\t540", "CDR2\t400\t599", "CDR3\t\\N\t\\N", "CDR4\t401.1\t599"];
    wait_for(
        "call records",
        || (rows(&engine, cdr) == want).then_some(()),
        || format!("{:?}\n{}", rows(&engine, cdr), gateway.describe("calls")),
    );
    let alerts = "SELECT call_id FROM telecom.fraud_alerts FINAL ORDER BY call_id";
    wait_for(
        "alerts",
        || (rows(&engine, alerts) == ["CDR1", "CDR4"]).then_some(()),
        || format!("{:?}\n{}", rows(&engine, alerts), gateway.describe("calls")),
    );
    let letters: Vec<Value> = wait_for(
        "the letter of the record that does not fit",
        || Some(lines(&dir.path().join("dead-letters/calls.jsonl"))).filter(|l| !l.is_empty()),
        || gateway.describe("calls"),
    );
    assert_eq!(letters.len(), 1, "{letters:?}");
}
