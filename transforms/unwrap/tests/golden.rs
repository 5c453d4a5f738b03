//! Every recorded case of Debezium's ExtractNewRecordState, on the payload part.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use unwrap::Unwrap;
use wasmgate_sdk::testkit::{Fate, Harness, Record, Value, json};

const CASES: &str = include_str!("golden/extract_new_record_state.jsonl");

/// Defaults of the row's fields, from the schema part of an envelope.
fn defaults(input: &Value) -> Vec<(&str, Value)> {
    let members = input["value"]["schema"]["fields"].as_array().into_iter().flatten();
    let row = members.filter(|member| member["field"] == "after");
    let fields = row.flat_map(|row| row["fields"].as_array().into_iter().flatten());
    fields.filter_map(|f| Some((f["field"].as_str()?, f.get("default")?.clone()))).collect()
}

fn payload(document: &Value) -> Value {
    document.get("payload").filter(|_| document.get("schema").is_some()).unwrap_or(document).clone()
}

fn record(input: &Value, schemas: bool) -> Record {
    let value = &input["value"];
    let name = value["schema"]["name"].as_str().unwrap_or_default();
    let mut record = Record::new(payload(value));
    record.envelope = (schemas && value.is_null()) || name.ends_with(".Envelope");
    record.topic = input["topic"].as_str().unwrap().to_owned();
    record.key = payload(&input["key"]);
    for header in input["headers"].as_array().into_iter().flatten() {
        record = record.header(header[0].as_str().unwrap(), header[1].clone());
    }
    record
}

/// Headers cross as text.
fn header_text(value: &Value) -> Value {
    match payload(value) {
        Value::String(text) => Value::String(text),
        Value::Null => Value::Null,
        other => Value::String(other.to_string()),
    }
}

fn shown(record: &Record) -> Value {
    let headers = record.headers.iter().map(|(name, value)| json!([name, header_text(value)]));
    json!({
        "topic": record.topic,
        "key": record.key,
        "value": record.value,
        "headers": headers.collect::<Vec<_>>(),
    })
}

fn expected(output: &Value) -> Value {
    let headers = output["headers"].as_array().into_iter().flatten();
    json!({
        "topic": output["topic"],
        "key": payload(&output["key"]),
        "value": payload(&output["value"]),
        "headers": headers.map(|h| json!([h[0], header_text(&h[1])])).collect::<Vec<_>>(),
    })
}

#[test]
fn every_recorded_case_gives_the_recorded_payload() {
    let mut passed = 0;
    for line in CASES.lines() {
        let case: Value = wasmgate_sdk::json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let opened = Harness::<Unwrap>::new(&case["config"].to_string());
        if case.get("config_error").is_some() {
            assert!(opened.is_err(), "{name}: the configuration was accepted");
            passed += 1;
            continue;
        }
        let schemas = case["schemas"] == json!(true);
        let records = case["input"].as_array().unwrap().iter().map(|i| record(i, schemas));
        let mut rule = opened.unwrap().defaults(&defaults(&case["input"][0]));
        let run = rule.run_records(records.collect()).unwrap();
        let outputs = case["output"].as_array().unwrap();
        assert_eq!(run.fates().len(), outputs.len(), "{name}");
        for (fate, output) in run.fates().iter().zip(outputs) {
            match fate {
                Fate::Kept(record) => assert_eq!(shown(record), expected(output), "{name}"),
                Fate::Discarded => assert!(output.is_null(), "{name}: dropped, expected {output}"),
                Fate::DeadLettered { .. } => assert!(output.get("error").is_some(), "{name}"),
            }
        }
        passed += 1;
    }
    assert_eq!(passed, 66);
}
