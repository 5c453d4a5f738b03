//! The telecom system: five tables to five topics as flat rows; call records through the rules,
//! with dead letters as Kafka Connect writes them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wasmgate_tests::gateway::Gateway;
use wasmgate_tests::http;
use wasmgate_tests::topics::{Reader, Record, Stored, names, produce};

use super::servers::{database, kafka, postgres, unique};

const TABLES: [(&str, &str); 5] = [
    (
        "crm_schema.customer_profiles",
        "customer_id varchar(50) primary key, credit_score int, plan_type varchar(50), \
         monthly_spending decimal(10,2), payment_method varchar(50), avg_payment_delay int, \
         credit_limit integer",
    ),
    (
        "crm_schema.device_information",
        "device_id serial primary key, customer_id varchar(50) references \
         crm_schema.customer_profiles on delete cascade, imei varchar(20), device_status varchar(50)",
    ),
    (
        "billing_schema.payment_transactions",
        "transaction_id serial primary key, customer_id varchar(50), wallet_balance decimal(10,2), \
         failed_payment_attempts int",
    ),
    (
        "billing_schema.customer_behavior",
        "behavior_id serial primary key, customer_id varchar(50), churn_risk_score decimal(5,4), \
         customer_segment varchar(50)",
    ),
    (
        "care_schema.complaints_feedback",
        "complaint_id serial primary key, customer_id varchar(50), complaint_type varchar(100), \
         severity varchar(20)",
    ),
];

fn tables() -> String {
    let schemas =
        "create schema crm_schema; create schema billing_schema; create schema care_schema;";
    let tables: String =
        TABLES.iter().map(|(name, columns)| format!("create table {name} ({columns});")).collect();
    format!(
        "{schemas}{tables}
         alter table crm_schema.customer_profiles replica identity full;
         insert into crm_schema.customer_profiles values
             ('CUST001', 710, 'Basic', 350.10, 'card', 2, 1000), ('CUST002', null, null, null, null, null, null);
         insert into crm_schema.device_information (customer_id, imei, device_status) values ('CUST001', '35-1', 'active');
         insert into billing_schema.payment_transactions (customer_id, wallet_balance, failed_payment_attempts) values ('CUST001', 20.50, 0);
         insert into billing_schema.customer_behavior (customer_id, churn_risk_score, customer_segment) values ('CUST001', 0.1250, 'gold');
         insert into care_schema.complaints_feedback (customer_id, complaint_type, severity) values ('CUST001', 'billing', 'low');"
    )
}

const HEAD: &str = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\nmodules: { dir: '{modules}' }\npipelines:\n";

#[test]
fn telecom_tables_become_flat_rows_in_five_topics() {
    let (Some(server), Some(broker)) = (postgres(), kafka()) else { return };
    let database = database(&server, "telecom", &tables());
    let bootstrap = broker.bootstrap();
    let names_of_tables: Vec<&str> = TABLES.iter().map(|t| t.0).collect();
    let config = format!(
        "{HEAD}  telecom-tables:\n    source:\n      postgres: {{ host: 127.0.0.1, port: {port}, \
         database: {database}, user: postgres, topic_prefix: telecom, tables: [{tables}], \
         slot: {database}, publication: {database}, decimals: double }}\n    transforms:\n      \
         - {{ module: unwrap, config: {{ delete.tombstone.handling.mode: rewrite, add.fields: op }} }}\n    \
         sinks: [ {{ topics: 'telecom\\..*', kafka: {{ bootstrap_servers: '{bootstrap}' }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {{dir}}/dlq }} }}\n",
        port = server.port(),
        tables = names_of_tables.join(", "),
    );
    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &config);
    for (table, rows) in names_of_tables.iter().zip([2, 1, 1, 1, 1]) {
        let topic = format!("telecom.{table}");
        let records =
            Reader::open(&bootstrap, &topic).wait(rows, || gateway.describe("telecom-tables"));
        for record in records {
            assert_eq!(
                (&record.json()["__op"], &record.json()["__deleted"]),
                (&json!("r"), &json!("false"))
            );
        }
    }
    let wanted: BTreeSet<String> = names_of_tables.iter().map(|t| format!("telecom.{t}")).collect();
    let found: BTreeSet<String> =
        names(&bootstrap).into_iter().filter(|n| n.starts_with("telecom.")).collect();
    assert_eq!(found, wanted);
    gateway.wait_pipeline("telecom-tables", "the stream", |status| status["phase"] == "streaming");

    let mut profiles = Reader::open(&bootstrap, "telecom.crm_schema.customer_profiles");
    assert_eq!(profiles.all()[0].json()["monthly_spending"], 350.1, "decimals are numbers");
    assert_eq!(profiles.all()[1].json()["monthly_spending"], Value::Null);
    let update = "update crm_schema.customer_profiles set plan_type = 'Premium Plus', \
                  credit_limit = 2000 where customer_id = 'CUST001'";
    server.psql(&database, update).unwrap();
    let committed = Instant::now();
    let updated = profiles.wait(3, || gateway.describe("telecom-tables")).pop().unwrap();
    assert!(committed.elapsed() < Duration::from_secs(5), "{:?}", committed.elapsed());
    let row = |op: &str, deleted: &str| {
        json!({"customer_id": "CUST001", "credit_score": 710, "plan_type": "Premium Plus",
            "monthly_spending": 350.1, "payment_method": "card", "avg_payment_delay": 2,
            "credit_limit": 2000, "__op": op, "__deleted": deleted})
    };
    assert_eq!(updated.json(), row("u", "false"));
    assert_eq!(updated.key.as_deref(), Some(&br#"{"customer_id":"CUST001"}"#[..]));
    // A full identity: the whole row is there. Tombstones are taken away by `rewrite`.
    server
        .psql(&database, "delete from crm_schema.customer_profiles where customer_id = 'CUST001'; \
              insert into crm_schema.customer_profiles (customer_id, monthly_spending) values ('CUST003', 0.01)")
        .unwrap();
    let last = profiles.wait(5, || gateway.describe("telecom-tables"));
    assert_eq!(last[3].json(), row("d", "true"));
    assert_eq!(last[3].key, updated.key);
    assert_eq!(
        (&last[4].json()["__op"], &last[4].json()["monthly_spending"]),
        (&json!("c"), &json!(0.01))
    );
    assert_eq!(last.len(), 5);
    // The default identity: only the key of a deleted row is known.
    let mut devices = Reader::open(&bootstrap, "telecom.crm_schema.device_information");
    let deleted = devices.wait(2, || gateway.describe("telecom-tables")).pop().unwrap().json();
    assert_eq!(
        (&deleted["device_id"], &deleted["__op"], &deleted["__deleted"]),
        (&json!(1), &json!("d"), &json!("true"))
    );
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// A call record and where it ends: (customer, spending, score, duration, topic's last word, code).
const CALLS: [(&str, &str, &str, &str, &str, &str); 12] = [
    ("CUST001", "400.01", "599", "501", "alerts", ""),
    ("CUST002", "9000", "300", "86400", "alerts", ""),
    // The boundaries do not fire.
    ("CUST003", "400", "599", "501", "checked", ""),
    ("CUST004", "400.01", "600", "501", "checked", ""),
    ("CUST005", "400.01", "599", "500", "checked", ""),
    // Neither do nulls and missing fields.
    ("CUST006", "null", "300", "900", "checked", ""),
    ("CUST007", "900", "null", "900", "checked", ""),
    ("CUST008", "", "300", "900", "checked", ""),
    ("CUST009", "900", "300", "null", "dlq", "missing-field"),
    ("CUST010", "900", "300", "", "dlq", "missing-field"),
    ("CUST011", "900", "300", "-1", "dlq", "out-of-range"),
    ("nobody", "900", "300", "900", "dlq", "pattern-mismatch"),
];

fn call(fields: &(&str, &str, &str, &str, &str, &str)) -> Record {
    let mut value = format!(r#"{{ "customer_id": "{}""#, fields.0);
    let numbers = [
        ("monthly_spending", fields.1),
        ("credit_score", fields.2),
        ("monthly_call_duration", fields.3),
    ];
    for (name, number) in numbers.iter().filter(|n| !n.1.is_empty()) {
        value.push_str(&format!(r#", "{name}":{number}"#));
    }
    value.push_str(" , \"note\" :\"ä \\u00e4\" }");
    Record {
        key: Some(fields.0.into()),
        value: Some(value.into()),
        headers: vec![("trace".into(), fields.0.into())],
    }
}

fn rules(bootstrap: &str, name: &str) -> String {
    format!(
        "{HEAD}  cdr:\n    source:\n      kafka: {{ bootstrap_servers: '{bootstrap}', \
         topics: [{name}-cdr], group: {name}, format: json }}\n    transforms:\n      \
         - module: quality-check\n        config:\n          required: [customer_id, monthly_call_duration]\n          \
         ranges: {{ monthly_call_duration: {{ min: 0 }} }}\n          \
         patterns: {{ customer_id: '^CUST[0-9]+$' }}\n      \
         - {{ module: fraud-rule }}\n      \
         - module: route\n        config:\n          \
         fields: [ {{ field: is_fraud, equals: true, topic: {name}-alerts }} ]\n          \
         default: {name}-checked\n    \
         sinks: [ {{ topics: '.*', kafka: {{ bootstrap_servers: '{bootstrap}' }} }} ]\n    \
         dead_letters: {{ kafka: {{ topic: {name}-dlq }} }}\n"
    )
}

/// The record with this key.
fn find<'a>(records: &'a [Stored], key: &str) -> &'a Stored {
    let found = records.iter().find(|r| r.key.as_deref() == Some(key.as_bytes()));
    found.unwrap_or_else(|| panic!("{key} is not among {records:?}"))
}

#[test]
fn telecom_calls_are_judged_routed_and_dead_lettered() {
    let Some(broker) = kafka() else { return };
    let (bootstrap, name) = (broker.bootstrap(), unique("calls"));
    let topic = format!("{name}-cdr");
    let mut records: Vec<Record> = CALLS.iter().map(call).collect();
    let broken = [
        ("text", &b"not json"[..]),
        ("cut", b"{\"customer_id\":\"CUST001\",\"monthly_call_duration\":7"),
        ("bytes", b"{\"customer_id\":\"\xff\xfe\",\"monthly_call_duration\":7}"),
    ];
    records.extend(broken.iter().map(|(key, value)| Record::new(key, *value)));
    let headers = vec![("why".to_owned(), "deleted".to_owned())];
    records.push(Record { key: Some("gone".into()), value: None, headers });
    broker.create_topic(&topic, 2, &[]).unwrap();
    produce(&bootstrap, &topic, &records);

    let dir = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(dir.path(), &rules(&bootstrap, &name));
    let of = |word: &str| CALLS.iter().filter(|c| c.4 == word).count();
    let read = |word: &str, count: usize| {
        Reader::open(&bootstrap, &format!("{name}-{word}")).wait(count, || gateway.describe("cdr"))
    };
    let letters = read("dlq", of("dlq") + broken.len());
    let checked = read("checked", of("checked") + 1);
    let alerts = read("alerts", of("alerts"));
    assert_eq!((letters.len(), checked.len(), alerts.len()), (7, 7, 2));

    for (fields, sent) in CALLS.iter().zip(&records) {
        let passed = match fields.4 {
            "alerts" => find(&alerts, fields.0),
            "checked" => find(&checked, fields.0),
            _ => continue,
        };
        let mut expected: Value = serde_json::from_slice(sent.value.as_ref().unwrap()).unwrap();
        expected["is_fraud"] = json!(fields.4 == "alerts");
        assert_eq!(passed.json(), expected, "{}", fields.0);
        assert_eq!(passed.headers, [("trace".to_owned(), Some(fields.0.to_owned()))]);
    }
    let tombstone = find(&checked, "gone");
    assert_eq!(tombstone.value, None);
    assert_eq!(tombstone.header("why"), Some("deleted"));

    let (status, module) =
        http::request(gateway.address(), "GET", "/api/v1/modules/quality-check", b"").unwrap();
    assert_eq!(status, 200, "{module}");
    let module: Value = serde_json::from_str(&module).unwrap();
    for (fields, sent) in CALLS.iter().zip(&records).filter(|(c, _)| c.4 == "dlq") {
        let letter = find(&letters, fields.0);
        assert_eq!(letter.value, sent.value, "{}: the original bytes", fields.0);
        let mut expected = vec![
            ("trace", fields.0),
            ("__connect.errors.stage", "TRANSFORMATION"),
            ("__connect.errors.class.name", "quality-check"),
            ("__connect.errors.exception.class.name", fields.5),
            ("wasmgate.stage", "quality-check"),
            ("wasmgate.code", fields.5),
            ("wasmgate.module", "quality-check"),
        ];
        expected.push(("wasmgate.module.version", module["version"].as_str().unwrap()));
        expected.push(("wasmgate.module.sha256", module["sha256"].as_str().unwrap()));
        common(letter, &topic, &expected);
    }
    for (key, value) in broken {
        let letter = find(&letters, key);
        assert_eq!(letter.value.as_deref(), Some(value), "{key}: the original bytes");
        common(
            letter,
            &topic,
            &[("__connect.errors.stage", "VALUE_CONVERTER"), ("wasmgate.stage", "decode")],
        );
        assert_eq!(letter.header("wasmgate.module"), None);
    }
    let status = gateway.wait_pipeline("cdr", "the end of the topic", |s| s["in_flight"] == 0);
    assert_eq!((&status["records_in"], &status["dead_letters"]), (&json!(16), &json!(7)));
    let (_, metrics) = http::request(gateway.address(), "GET", "/metrics", b"").unwrap();
    let counted = metrics
        .lines()
        .filter(|l| l.contains("dead_letters") && l.contains("code=\"missing-field\""));
    assert!(counted.clone().any(|l| l.ends_with(" 2")), "{metrics}");
    assert!(gateway.signal_and_wait("TERM").0.success());
}

/// Headers that every dead letter has, and some more.
fn common(letter: &Stored, topic: &str, expected: &[(&str, &str)]) {
    let headers = &letter.headers;
    for (name, value) in expected {
        assert_eq!(letter.header(name), Some(*value), "{name} in {headers:?}");
    }
    assert_eq!(letter.header("__connect.errors.topic"), Some(topic), "{headers:?}");
    assert_eq!(letter.header("__connect.errors.connector.name"), Some("cdr"));
    assert_eq!(letter.header("__connect.errors.task.id"), Some("0"));
    for number in ["partition", "offset"] {
        let value = letter.header(&format!("__connect.errors.{number}"));
        assert!(value.is_some_and(|v| v.parse::<u64>().is_ok()), "{number} in {headers:?}");
    }
    for text in ["exception.message", "exception.class.name"] {
        let value = letter.header(&format!("__connect.errors.{text}"));
        assert!(value.is_some_and(|v| !v.is_empty()), "{text} in {headers:?}");
    }
}
