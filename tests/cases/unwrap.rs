//! unwrap against the recorded cases of Debezium's ExtractNewRecordState, through the component:
//! file source → module → file sink. The payload part is compared; the schema part is not ours yet.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wasmgate_tests::gateway::{Gateway, binary, expand, lines};
use wasmgate_tests::root;

fn cases() -> Vec<Value> {
    let path = root().join("tests/golden/smt/extract_new_record_state.jsonl");
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// What a `{"schema","payload"}` document says.
fn payload(value: &Value) -> Value {
    match value {
        Value::Object(o) if o.len() == 2 && o.contains_key("schema") => o["payload"].clone(),
        other => other.clone(),
    }
}

fn expected(record: &Value, input: &Value) -> Value {
    let headers: Vec<Value> = record["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|h| json!([h[0], payload(&h[1])]))
        .collect();
    let mut line = json!({
        "topic": record["topic"],
        "key": payload(&record["key"]),
        "value": payload(&record["value"]),
        "headers": headers,
    });
    if !record["partition"].is_null() {
        line["partition"] = record["partition"].clone();
    }
    if !input["timestamp"].is_null() {
        line["timestamp"] = record["timestamp"].clone();
    }
    line
}

fn pipeline(name: &str, dir: &Path, config: &Value) -> String {
    format!(
        "  {name}:\n    source: {{ file: {{ path: {dir}/{name}.in.jsonl, format: debezium-json }} }}\n    \
         transforms: [ {{ module: unwrap, config: {config} }} ]\n    \
         sinks: [ {{ topics: '.*', file: {{ path: {dir}/{name}.out.jsonl }} }} ]\n    \
         dead_letters: {{ file: {{ dir: {dir}/dlq }} }}\n",
        dir = dir.display()
    )
}

const HEAD: &str = "data_dir: {dir}/data\nhttp: { listen: 127.0.0.1:0 }\nmodules: { dir: '{modules}' }\npipelines:\n";

#[test]
fn golden_extract_new_record_state() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut config = HEAD.to_owned();
    let (run, refused): (Vec<Value>, Vec<Value>) =
        cases().into_iter().partition(|c| c.get("config_error").is_none());
    assert_eq!((run.len(), refused.len()), (65, 1));
    for case in &run {
        let name = case["name"].as_str().unwrap();
        let input: Vec<String> =
            case["input"].as_array().unwrap().iter().map(|r| format!("{r}\n")).collect();
        fs::write(dir.join(format!("{name}.in.jsonl")), input.concat()).unwrap();
        config.push_str(&pipeline(name, dir, &case["config"]));
    }
    let mut gateway = Gateway::spawn(dir, &config, &["--until-complete"]);
    assert!(gateway.wait().success(), "{}", gateway.log());
    let mut wrong = Vec::new();
    for case in &run {
        let name = case["name"].as_str().unwrap();
        let inputs = case["input"].as_array().unwrap();
        let outputs = case["output"].as_array().unwrap();
        let want: Vec<Value> = inputs
            .iter()
            .zip(outputs)
            .filter(|(_, o)| !o.is_null() && o.get("error").is_none())
            .map(|(i, o)| expected(o, i))
            .collect();
        let mut got = lines(&dir.join(format!("{name}.out.jsonl")));
        for (line, input) in got.iter_mut().zip(inputs) {
            if input["timestamp"].is_null() {
                line.as_object_mut().unwrap().remove("timestamp");
            }
        }
        let errors = outputs.iter().filter(|o| o.get("error").is_some()).count();
        let letters = lines(&dir.join(format!("dlq/{name}.jsonl"))).len();
        if got != want || errors != letters {
            wrong.push(format!(
                "{name}: {letters} dead letters, {errors} expected\n  got  {got:?}\n  want {want:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), run.len(), wrong.join("\n"));
    for case in &refused {
        let name = case["name"].as_str().unwrap();
        fs::write(dir.join(format!("{name}.in.jsonl")), "").unwrap();
        let text = format!("{HEAD}{}", pipeline(name, dir, &case["config"]));
        let file = dir.join("refused.yaml");
        fs::write(&file, expand(dir, &text)).unwrap();
        let done = std::process::Command::new(binary())
            .args(["validate", "-c"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(78), "{name}: {said}");
        assert!(said.contains("delete.tombstone.handling.mode"), "{name}: {said}");
    }
}
