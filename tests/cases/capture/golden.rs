//! A recorded scenario: what is set up, what happens, and the records that Debezium gave. The
//! format is described in `tests/golden/debezium/README.md`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value};
use wasmgate_tests::root;

use super::normalise::normalise;

/// One file of `tests/golden/debezium`.
pub(super) struct Golden {
    pub(super) name: String,
    /// The database that the scenario runs in; it appears in the records.
    pub(super) database: String,
    /// Connector options that differ from Debezium's defaults.
    pub(super) config: Map<String, Value>,
    /// Scripts that run before the connector starts.
    pub(super) setup: Vec<String>,
    pub(super) steps: Vec<Step>,
    pub(super) expected: Vec<Value>,
    /// The whole file, for the normaliser's rules.
    pub(super) rules: Value,
}

/// What happens while the connector streams.
pub(super) enum Step {
    Sql {
        script: String,
        /// The server refuses it.
        fails: bool,
    },
    /// Everything written so far is to be captured first.
    Settle,
    /// Every record of the recording is to come.
    Expect,
    Kill,
    Start,
}

/// Folder of the recordings.
pub(super) fn folder() -> PathBuf {
    root().join("tests/golden/debezium")
}

impl Golden {
    /// Reads a scenario of `postgres` or `mysql`.
    pub(super) fn read(of: &str, name: &str) -> Self {
        let text = fs::read_to_string(folder().join(format!("{of}_{name}.json"))).unwrap();
        let rules: Value = serde_json::from_str(&text).unwrap();
        let list = |field: &str| rules[field].as_array().unwrap().clone();
        Self {
            name: name.to_owned(),
            database: text_of(&rules["database_name"]),
            config: rules["config"].as_object().unwrap().clone(),
            setup: list("setup").iter().map(text_of).collect(),
            steps: list("steps").iter().map(|s| step(s, rules["compare"] == "distinct")).collect(),
            expected: list("expected"),
            rules,
        }
    }

    /// The options of the recorded connector over those of `ours`.
    pub(super) fn over(&self, mut ours: Value) -> Value {
        let roles = ["key.converter", "value.converter", "header.converter"];
        for role in roles {
            ours[role] = "org.apache.kafka.connect.json.JsonConverter".into();
        }
        for (name, value) in &self.config {
            match name.strip_prefix("converter.") {
                // One option of the recordings for all three.
                Some(option) => {
                    for role in roles {
                        ours[format!("{role}.{option}")] = value.clone();
                    }
                }
                None => ours[name] = value.clone(),
            }
        }
        ours
    }

    /// Whether every recorded record is there, where they repeat by themselves.
    pub(super) fn is_complete(&self, records: &[Value]) -> bool {
        let got: Vec<Value> = records.iter().map(|r| normalise(r, &self.rules)).collect();
        self.expected.iter().all(|want| got.contains(want))
    }

    /// One of each, in an order of their own, where records repeat by themselves.
    pub(super) fn distinct(&self, mut records: Vec<Value>) -> Vec<Value> {
        if self.rules["compare"] == "distinct" {
            records.sort_by_key(ToString::to_string);
            records.dedup();
        }
        records
    }

    /// An option of the recorded connector, or its default.
    pub(super) fn option<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.config.get(name).map_or(default, |value| value.as_str().unwrap())
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// `distinct`: what happens by itself is recorded, with the time it takes.
fn step(step: &Value, distinct: bool) -> Step {
    if let Some(script) = step["sql"].as_str() {
        return Step::Sql { script: script.to_owned(), fails: step["fails"] == true };
    }
    match step["action"].as_str() {
        Some("kill") => Step::Kill,
        Some("start") => Step::Start,
        None if distinct && step["wait_ms"].is_number() => Step::Expect,
        // The recording had to wait for a time; here it is known when everything is captured.
        Some("wait_idle") => Step::Settle,
        None if step["wait_ms"].is_number() => Step::Settle,
        _ => panic!("an unknown step: {step}"),
    }
}
