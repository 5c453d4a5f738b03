//! Records against the recording, field by field. Field order counts in keys, rows, the source
//! block and the envelope, not inside one column's value; numbers are compared as numbers.

use std::fmt;

use serde_json::{Map, Value};

/// A place where a record is not as recorded.
pub(super) struct Difference {
    /// Place of the record in the recording.
    record: usize,
    /// Name of the table, or last part of the topic.
    pub(super) table: String,
    /// `value.after.price`; `records` where their number differs.
    pub(super) path: String,
    want: String,
    got: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { record, table, path, want, got } = self;
        write!(f, "record {record} of {table}, {path}:\n  want {want}\n  got  {got}")
    }
}

/// Objects whose members are compared one by one, in their order.
const ORDERED: &[&str] = &["key", "value", "payload", "before", "after", "source", "transaction"];

/// Every difference, in the order of the records.
pub(super) fn differences(want: &[Value], got: &[Value]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (record, (want, got)) in want.iter().zip(got).enumerate() {
        let mut at = At { record, table: table(want), found: &mut found };
        at.value("", true, want, got);
    }
    if want.len() != got.len() {
        let first = want.get(got.len()).or_else(|| got.get(want.len())).unwrap();
        found.push(Difference {
            record: want.len().min(got.len()),
            table: table(first),
            path: "records".into(),
            want: want.len().to_string(),
            got: format!("{}; the first too many or too few is {first}", got.len()),
        });
    }
    found
}

fn table(record: &Value) -> String {
    let topic = record["topic"].as_str().unwrap_or_default();
    let last = topic.rsplit('.').next().unwrap_or_default();
    let value = record["value"].get("payload").unwrap_or(&record["value"]);
    value["source"]["table"].as_str().unwrap_or(last).to_owned()
}

struct At<'a> {
    record: usize,
    table: String,
    found: &'a mut Vec<Difference>,
}

impl At<'_> {
    fn value(&mut self, path: &str, ordered: bool, want: &Value, got: &Value) {
        match (want, got) {
            (Value::Object(want), Value::Object(got)) if ordered => self.members(path, want, got),
            _ if equal(want, got) => {}
            _ => self.differs(path, want.to_string(), got.to_string()),
        }
    }

    fn members(&mut self, path: &str, want: &Map<String, Value>, got: &Map<String, Value>) {
        let shared = |one: &Map<String, Value>, other: &Map<String, Value>| -> Vec<String> {
            one.keys().filter(|name| other.contains_key(*name)).cloned().collect()
        };
        let (wanted, order) = (shared(want, got), shared(got, want));
        if wanted != order {
            self.differs(path, format!("the order {wanted:?}"), format!("{order:?}"));
        }
        for (name, value) in want {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match got.get(name) {
                Some(got) => self.value(&path, ORDERED.contains(&name.as_str()), value, got),
                None => self.differs(&path, value.to_string(), "no such field".into()),
            }
        }
        for (name, value) in got.iter().filter(|(name, _)| !want.contains_key(*name)) {
            self.differs(&format!("{path}.{name}"), "no such field".into(), value.to_string());
        }
    }

    fn differs(&mut self, path: &str, want: String, got: String) {
        let (record, table) = (self.record, self.table.clone());
        self.found.push(Difference { record, table, path: path.to_owned(), want, got });
    }
}

/// Whether one value is the other, whatever the order of its fields.
fn equal(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::Number(want), Value::Number(got)) => {
            // Integers keep every digit; only a fraction is compared as a double.
            want == got || (want.is_f64() || got.is_f64()) && want.as_f64() == got.as_f64()
        }
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(a, b)| equal(a, b))
        }
        (Value::Object(want), Value::Object(got)) => {
            want.len() == got.len()
                && want.iter().all(|(name, a)| got.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => want == got,
    }
}

#[test]
fn capture_comparison_finds_each_kind_of_difference() {
    use serde_json::json;
    let record = json!({"topic": "p.s.t", "key": {"a": 1, "b": 2}, "value": {"after":
        {"n": 1, "big": 9_223_372_036_854_775_807_i64, "point": {"x": 1, "y": 2}}}});
    let changed = |path: &str, value: Value| {
        let mut changed = record.clone();
        *changed.pointer_mut(path).unwrap() = value;
        changed
    };
    let cases = [
        (record.clone(), None),
        (changed("/value/after/n", json!(1.0)), None),
        (changed("/value/after/point", json!({"y": 2, "x": 1.0})), None),
        (changed("/value/after/n", json!("1")), Some("value.after.n")),
        (changed("/value/after/n", json!(true)), Some("value.after.n")),
        (
            changed("/value/after/big", json!(9_223_372_036_854_775_806_i64)),
            Some("value.after.big"),
        ),
        (changed("/value/after/point", json!({"x": 1})), Some("value.after.point")),
        (changed("/key", json!({"b": 2, "a": 1})), Some("key")),
        (changed("/key", json!({"a": 1})), Some("key.b")),
        (changed("/key", json!({"a": 1, "b": 2, "c": 3})), Some("key.c")),
        (changed("/topic", json!("p.s.u")), Some("topic")),
        (changed("/value", json!(null)), Some("value")),
    ];
    for (got, path) in cases {
        let found = differences(std::slice::from_ref(&record), std::slice::from_ref(&got));
        let paths: Vec<&str> = found.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(paths, path.into_iter().collect::<Vec<_>>(), "{got}");
    }
    let twice = [record.clone(), record.clone()];
    assert_eq!(differences(&twice[..1], &twice)[0].path, "records");
    assert_eq!(differences(&twice, &twice[..1])[0].path, "records");
}
