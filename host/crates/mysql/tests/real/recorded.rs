//! Against recordings of the real Debezium (`tests/golden/debezium/mysql_*.json`; the format is
//! described beside them): the same database, the same statements, the same records. Where the
//! recording is marked as wrong the value that is right stands in [`RIGHT`].

use regex::Regex;
use serde_json::{Value, json};
use wasmgate_codec::connect::of_field;
use wasmgate_codec::mask::Mask;
use wasmgate_model::{ConnectSchema, ConnectShape, Style};
use wasmgate_mysql::{BigintMode, DecimalMode, Settings, TimeMode};
use wasmgate_services::mysql::Flavor;

use crate::harness::{Db, Event, Run, skipped};

/// (deviation, value that is right).
fn right(id: &str, recorded: &Value) -> Value {
    match id {
        "MY-01" => json!(0),
        "MY-02" => json!("c,d"),
        "MY-03" if recorded == &json!(3.40282e38) => json!(3.402_823_5e38),
        "MY-03" => json!(16_777_216.0),
        "MY-04" => recorded.clone(),
        _ => panic!("{id} is no deviation of MySQL"),
    }
}

fn payload(value: &Value) -> Value {
    match value.get("payload") {
        Some(inner) if value.get("schema").is_some() => inner.clone(),
        _ => value.clone(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// The recorded connector's options as ours.
fn settings(db: &Db, config: &Value) -> Settings {
    let mut settings = db.settings();
    let option = |name: &str| config[name].as_str().unwrap_or("");
    settings.modes.time = match option("time.precision.mode") {
        "connect" => TimeMode::Connect,
        "isostring" => TimeMode::IsoString,
        _ => TimeMode::AdaptiveTimeMicroseconds,
    };
    settings.modes.decimal = match option("decimal.handling.mode") {
        "double" => DecimalMode::Double,
        "string" => DecimalMode::String,
        _ => DecimalMode::Precise,
    };
    if option("bigint.unsigned.handling.mode") == "precise" {
        settings.modes.bigint = BigintMode::Precise;
    }
    settings.modes.adjust_years = option("enable.time.adjuster") != "false";
    if option("binary.handling.mode") == "hex" {
        settings.modes.binary = Style::Hex;
    }
    if let Some(name) = config["column.mask.with.3.chars"].as_str() {
        let pattern = Regex::new(&format!("^{name}$")).unwrap();
        settings.columns.masks = vec![(vec![pattern], Mask::Stars(3))];
    }
    settings.transaction_metadata = option("provide.transaction.metadata") == "true";
    settings.skip_truncate = option("skipped.operations") != "none";
    settings.include_schema_changes = option("include.schema.changes") == "true";
    settings.include_query = option("include.query") == "true";
    settings
}

/// A record as recordings have it, without what differs from run to run.
fn normal(topic: &str, key: &Value, value: &Value, headers: Vec<Value>, golden: &Value) -> Value {
    let mut value = value.clone();
    let mut key = key.clone();
    let table = topic.rsplit('.').next().unwrap();
    let mark = |value: &mut Value, names: &[&str]| {
        for name in names {
            if value.get(*name).is_some_and(|v| !v.is_null()) {
                value[*name] = json!(format!("<{name}>"));
            }
        }
    };
    if let Some(source) = value.get_mut("source") {
        let names = ["version", "ts_ms", "ts_us", "ts_ns", "gtid", "file", "pos", "thread"];
        mark(source, &names);
        if source["server_id"] != json!(0) {
            source["server_id"] = json!("<server_id>");
        }
    }
    if value.is_object() {
        mark(&mut value, &["ts_ms", "ts_us", "ts_ns"]);
        if value.get("transaction").is_some_and(Value::is_object) {
            value["transaction"]["id"] = json!("<txn_id>");
        }
        if value.get("event_count").is_some() && value.get("status").is_some() {
            value["id"] = json!("<txn_id>");
            key["id"] = json!("<txn_id>");
        }
    }
    for image in ["before", "after"] {
        for (name, marker) in golden["volatile"].as_object().into_iter().flatten() {
            let Some((of, column)) = name.split_once('.') else { continue };
            let kept = golden["keep"][name].as_array();
            let Some(row) = value.get_mut(image).filter(|row| row.is_object()) else { continue };
            let keep = kept.is_some_and(|kept| kept.contains(&row[column]));
            if of == table && row.get(column).is_some_and(|v| !v.is_null()) && !keep {
                row[column] = marker.clone();
            }
        }
    }
    json!({ "topic": topic, "key": key, "value": value, "headers": headers })
}

/// Numbers by their value; JSON inside text by its meaning.
fn same(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, v), (l, w))| k == l && same(v, w))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(v, w)| same(v, w))
        }
        (Value::String(a), Value::String(b)) if a != b && a.starts_with(['{', '[', '"', '1']) => {
            let parsed = |t: &str| serde_json::from_str::<Value>(t).ok();
            matches!((parsed(a), parsed(b)), (Some(a), Some(b)) if same(&a, &b))
        }
        _ => want == got,
    }
}

fn expected(golden: &Value) -> Vec<Value> {
    let mut records: Vec<Value> = golden["expected"].as_array().unwrap().clone();
    for deviation in golden["deviations"].as_array().unwrap() {
        let at = usize::try_from(deviation["record"].as_u64().unwrap()).unwrap();
        let field = text(&deviation["field"]);
        let mut value = payload(&records[at]["value"]);
        let marked = value["after"][field].clone();
        let id = text(&deviation["id"]);
        value["after"][field] = match id {
            "MY-04" => {
                let time = r#""t":"-12:13:14.500000""#;
                assert!(text(&marked).contains(time) || text(&marked).contains("<deviation"));
                marked
            }
            id => right(id, &deviation["reference"]),
        };
        records[at]["value"] = value;
    }
    for record in &mut records {
        record["key"] = payload(&record["key"]);
        record["value"] = payload(&record["value"]);
        for header in record["headers"].as_array_mut().unwrap() {
            header[1] = payload(&header[1]);
        }
    }
    records
}

fn recorded(event: &Event, golden: &Value) -> Value {
    let headers = event.headers.iter().map(|(name, value)| json!([name, value])).collect();
    normal(&event.topic, &event.key, &event.value, headers, golden)
}

async fn check(name: &str) {
    if skipped(Flavor::MySql) {
        return;
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/debezium/mysql_");
    let file = std::fs::read_to_string(format!("{root}{name}.json")).unwrap();
    let golden: Value = serde_json::from_str(&file).unwrap();
    let setup: Vec<&str> = golden["setup"].as_array().unwrap().iter().map(text).collect();
    let database = text(&golden["database_name"]);
    let db = Db::alone(Flavor::MySql, database, &setup.join(";\n"));
    let want = expected(&golden);
    let streamed = |r: &&Value| {
        let snapshot = &r["value"]["source"]["snapshot"];
        snapshot.is_string() && snapshot != "false"
    };
    let before = want.iter().filter(streamed).count();
    let mut run = Run::open(&settings(&db, &golden["config"]), 1000).await;
    let mut got = run.streaming().await;
    let rest = before.saturating_sub(got.len());
    got.extend(run.until(|all| all.len() >= rest).await);
    for step in golden["steps"].as_array().unwrap() {
        db.sql(text(&step["sql"]));
    }
    let rest = want.len().saturating_sub(got.len());
    got.extend(run.until(|all| all.len() >= rest).await);
    let mut wrong = String::new();
    for (event, want) in got.iter().zip(golden["expected"].as_array().unwrap()) {
        // With schemas their row and source parts are compared too.
        let fields = want["value"]["schema"]["fields"].as_array();
        for want in fields.into_iter().flatten() {
            let got = match text(&want["field"]) {
                "before" | "after" => row_schema(event),
                "source" => source_schema(event),
                _ => continue,
            };
            if want["fields"] != got {
                let (field, topic) = (text(&want["field"]), &event.topic);
                wrong.push_str(&format!(
                    "schema of {field} in {topic}:\n  want {}\n  got  {got}\n",
                    want["fields"]
                ));
            }
        }
        if !wrong.is_empty() {
            break;
        }
    }
    for (i, want) in want.iter().enumerate() {
        let got = got.get(i).map_or(Value::Null, |event| recorded(event, &golden));
        if !same(want, &got) {
            let want = serde_json::to_string(want).unwrap();
            wrong.push_str(&format!("record {i}:\n  want {want}\n  got  {got}\n"));
        }
    }
    assert!(wrong.is_empty(), "{name}:\n{wrong}");
    assert_eq!(got.len(), want.len(), "{name}: {:?}", got.get(want.len()));
}

/// A schema as Connect's JSON converter writes it.
fn connect(schema: &ConnectSchema, name: Option<&str>) -> Value {
    let mut out = serde_json::Map::new();
    let mut fields = None;
    let ty = match &schema.shape {
        ConnectShape::Boolean => "boolean",
        ConnectShape::Int8 => "int8",
        ConnectShape::Int16 => "int16",
        ConnectShape::Int32 => "int32",
        ConnectShape::Int64 => "int64",
        ConnectShape::Float => "float",
        ConnectShape::Double => "double",
        ConnectShape::String => "string",
        ConnectShape::Bytes => "bytes",
        ConnectShape::Map(_) => "map",
        ConnectShape::Array(items) => {
            fields = Some(("items", connect(items, None)));
            "array"
        }
        ConnectShape::Struct(members) => {
            let members = members.iter().map(|(name, s)| connect(s, Some(name))).collect();
            fields = Some(("fields", Value::Array(members)));
            "struct"
        }
    };
    out.insert("type".into(), json!(ty));
    out.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    out.insert("optional".into(), json!(schema.optional));
    if let Some(name) = &schema.name {
        out.insert("name".into(), json!(**name));
    }
    if let Some(version) = schema.version {
        out.insert("version".into(), json!(version));
    }
    if let Some(doc) = &schema.doc {
        out.insert("doc".into(), json!(**doc));
    }
    if !schema.parameters.is_empty() {
        let parameters = schema.parameters.iter().map(|(n, v)| (n.to_string(), json!(**v)));
        out.insert("parameters".into(), Value::Object(parameters.collect()));
    }
    if let Some(default) = &schema.default {
        out.insert("default".into(), serde_json::from_str(default).unwrap());
    }
    if let Some(name) = name {
        out.insert("field".into(), json!(name));
    }
    Value::Object(out)
}

fn row_schema(event: &Event) -> Value {
    let fields = event.table.fields.iter();
    Value::Array(fields.map(|f| connect(&of_field(f), Some(&f.name))).collect())
}

fn source_schema(event: &Event) -> Value {
    connect(&event.table.connect.as_ref().unwrap().source, None)["fields"].clone()
}

macro_rules! recordings {
    ($($name:ident)*) => {
        const RUN: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                check(stringify!($name)).await;
            }
        )*
    };
}

recordings! {
    compression_rotation_charsets
    envelope_schema_changes_transactions
    key_types_and_case
    types_connect
    types_default
    types_isostring
}

#[test]
fn every_recording_is_run() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/golden/debezium");
    for entry in std::fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_prefix("mysql_").and_then(|n| n.strip_suffix(".json")) {
            assert!(RUN.contains(&name), "{name} is not run");
        }
    }
}
