//! The orders system: one Postgres table to one topic as change envelopes, with the publication
//! that is there already, and without a gap while either side restarts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasmgate_services::postgres::{Mode, Options, Postgres};
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::ledger::{Ledger, checksum};
use wasmgate_tests::topics::Reader;
use wasmgate_tests::wait_for;

use super::servers::{database, kafka, postgres, unique};

const TABLE: &str = "
    create table orders (
        order_id serial primary key, customer_name varchar(255), product varchar(255),
        quantity integer, price numeric(10,2), status varchar(20),
        created_at timestamp default current_timestamp);
    create publication orders_pub for table orders;
    insert into orders (customer_name, product, quantity, price, status)
        values ('CDC Test', 'lamp', 1, 19.90, 'new');";

fn config(port: u16, database: &str, bootstrap: &str, prefix: &str) -> String {
    format!(
        "data_dir: {{dir}}/data\nhttp: {{ listen: 127.0.0.1:0 }}\nmodules: {{ dir: '{{modules}}' }}\n\
         pipelines:\n  orders:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: {prefix}, publication: orders_pub, \
         slot: {database}, decimals: double, heartbeat: 1s }}\n    \
         sinks: [ {{ topics: '{prefix}\\.public\\.orders', kafka: {{ bootstrap_servers: \
         '{bootstrap}' }} }} ]\n    dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n"
    )
}

/// The publication, to the transaction that made it.
fn publication(server: &Postgres, database: &str) -> String {
    let sql = "select xmin, * from pg_publication; select xmin, * from pg_publication_rel";
    server.psql(database, sql).unwrap()
}

#[test]
fn orders_change_by_change_under_a_second() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "orders", TABLE);
    let bootstrap = broker.bootstrap();
    let before = publication(&server, &database);
    let dir = tempfile::tempdir().unwrap();
    let config = config(server.port(), &database, &bootstrap, "orders_db");
    let gateway = Gateway::start(dir.path(), &config);
    let mut reader = Reader::open(&bootstrap, "orders_db.public.orders");
    reader.wait(1, || gateway.describe("orders"));
    gateway.wait_pipeline("orders", "the stream", |status| status["phase"] == "streaming");

    let mut times = Vec::new();
    let mut change = |sql: &str, records: usize| {
        let count = reader.all().len() + records;
        server.psql(&database, sql).unwrap();
        let committed = Instant::now();
        reader.wait(count, || gateway.describe("orders"));
        times.push(committed.elapsed());
    };
    change("insert into orders (customer_name, quantity, price) values ('Eve', 2, 0.10)", 1);
    for quantity in 3..20 {
        change(&format!("update orders set quantity = {quantity} where order_id = 2"), 1);
    }
    change("delete from orders where order_id = 2", 2);
    times.sort();
    let median = times[times.len() / 2];
    assert!(median < Duration::from_secs(1), "median {median:?}, longest {:?}", times.last());

    let records = reader.all();
    let (tombstone, envelopes) = records.split_last().unwrap();
    assert_eq!(tombstone.value, None, "a delete is followed by a tombstone");
    let ops: String =
        envelopes.iter().map(|r| r.json()["op"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ops, format!("rc{}d", "u".repeat(17)));
    for record in &records[1..] {
        let key: Value = serde_json::from_slice(record.key.as_ref().unwrap()).unwrap();
        assert_eq!(key, json!({"order_id": 2}));
    }
    envelope(&envelopes[0].json(), "first");
    envelope(&envelopes[1].json(), "false");
    let snapshot = &envelopes[0].json()["after"];
    assert_eq!(snapshot["customer_name"], "CDC Test");
    assert_eq!(snapshot["price"], 19.9);
    let (created, deleted) = (envelopes[1].json(), envelopes.last().unwrap().json());
    assert_eq!((&created["before"], &created["after"]["price"]), (&Value::Null, &json!(0.1)));
    assert_eq!((&deleted["before"]["order_id"], &deleted["after"]), (&json!(2), &Value::Null));
    let quantities: Vec<i64> =
        envelopes[1..19].iter().map(|r| r.json()["after"]["quantity"].as_i64().unwrap()).collect();
    assert_eq!(quantities, (2..20).collect::<Vec<_>>(), "the key's order");

    assert!(gateway.signal_and_wait("TERM").0.success());
    assert_eq!(publication(&server, &database), before, "the publication was altered");
}

/// The members of an envelope, and where it says it comes from.
fn envelope(value: &Value, snapshot: &str) {
    let members: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    for member in ["before", "after", "source", "op", "ts_ms"] {
        assert!(members.contains(&member), "no {member} in {members:?}");
    }
    let source = &value["source"];
    assert_eq!(source["connector"], "postgresql");
    assert_eq!(source["name"], "orders_db");
    assert_eq!((&source["schema"], &source["table"]), (&json!("public"), &json!("orders")));
    let said = source["snapshot"].as_str().unwrap();
    let snapshots = if snapshot == "false" { &["false"][..] } else { &["first", "last", "true"] };
    assert!(snapshots.contains(&said), "snapshot is {said}");
    assert!(source["lsn"].as_i64().unwrap() > 0 && source["ts_ms"].as_i64().unwrap() > 0);
}

/// Counts the quantity of 20 orders up; the product carries the checksum.
fn count_up(server: &Postgres, database: &str, last: &mut BTreeMap<i64, i64>) {
    let mut sql = String::new();
    for step in 0..400 {
        let key = 1 + step % 20;
        let seq = last.entry(key).and_modify(|s| *s += 1).or_insert(1);
        let sum = checksum(key, *seq);
        sql.push_str(&format!(
            "insert into orders (order_id, quantity, product) values ({key}, {seq}, '{sum}') on \
             conflict (order_id) do update set quantity = {seq}, product = '{sum}';"
        ));
    }
    server.psql(database, &sql).unwrap();
}

#[test]
fn orders_survive_restarts_of_either_side() {
    let Some(broker) = kafka() else { return };
    if wasmgate_tests::skipped(wasmgate_services::postgres::missing()) {
        return;
    }
    // A server of its own: it is restarted.
    let mut server = Postgres::start(&Options::default()).unwrap();
    let database = database(&server, "restarts", TABLE);
    server.psql(&database, "delete from orders").unwrap();
    let (bootstrap, prefix) = (broker.bootstrap(), unique("restarted"));
    let config = config(server.port(), &database, &bootstrap, &prefix);
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(dir.path(), &config);
    gateway.wait_pipeline("orders", "the stream", |status| status["phase"] == "streaming");
    let mut written = BTreeMap::new();
    let mut reader = Reader::open(&bootstrap, &format!("{prefix}.public.orders"));
    for mode in [Mode::Fast, Mode::Immediate] {
        count_up(&server, &database, &mut written);
        server.restart(mode).unwrap();
        count_up(&server, &database, &mut written);
        let total = written.values().sum::<i64>() as usize;
        let read = reader.wait(total, || gateway.describe("orders")).len();
        assert!(gateway.signal_and_wait("TERM").0.success());
        count_up(&server, &database, &mut written);
        gateway = Gateway::start(dir.path(), &config);
        reader.wait(read + 100, || gateway.describe("orders"));
        gateway.kill();
        count_up(&server, &database, &mut written);
        gateway = Gateway::start(dir.path(), &config);
    }
    let duplicates = wait_for(
        "the last quantity of every order",
        || {
            let mut ledger = Ledger::default();
            let mut last = BTreeMap::new();
            for record in reader.all() {
                let row = &record.json()["after"];
                let (key, seq) =
                    (row["order_id"].as_i64().unwrap(), row["quantity"].as_i64().unwrap());
                ledger.arrived(key, seq, row["product"].as_str().unwrap().parse().unwrap());
                last.insert(key, seq);
            }
            (last == written).then(|| ledger.check(&written))
        },
        || gateway.describe("orders"),
    );
    println!("{} records, {duplicates} of them twice", reader.all().len());
    assert!(gateway.signal_and_wait("TERM").0.success());
}
