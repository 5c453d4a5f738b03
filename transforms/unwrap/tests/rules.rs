//! What the recorded cases do not show: typed schemas, and records that cannot be unwrapped.
#![allow(clippy::unwrap_used, reason = "tests")]

use unwrap::Unwrap;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::{Harness, Record, Value, json};

const MODES: [&str; 5] =
    ["drop", "tombstone", "delete-to-tombstone", "rewrite", "rewrite-with-tombstone"];

fn typed(config: Value) -> Harness<Unwrap> {
    let fields = [("id", Kind::Integer), ("a", Kind::Integer), ("b", Kind::Text)];
    Harness::<Unwrap>::new(&config.to_string()).unwrap().schema(&fields, &["id"])
}

fn event(op: &str, before: Value, after: Value) -> Record {
    let source = json!({ "table": "t", "lsn": 7 });
    let value = json!({
        "op": op, "before": before, "after": after, "source": source, "ts_ms": 9,
        "transaction": null,
    });
    Record::envelope(value).key(json!({ "id": 1 }))
}

fn row(b: Value) -> Value {
    json!({ "id": 1, "a": 2, "b": b })
}

#[test]
fn deletes_of_typed_rows_follow_the_mode() {
    let delete = || event("d", row(json!("x")), Value::Null);
    for mode in MODES {
        let mut rule = typed(json!({ "delete.tombstone.handling.mode": mode }));
        let run = rule.run_records(vec![delete(), Record::envelope(Value::Null)]).unwrap();
        match mode {
            "drop" => assert!(run.discarded(0)),
            "tombstone" | "delete-to-tombstone" => assert!(run.value(0).is_null(), "{mode}"),
            _ => {
                let expected = json!({ "id": 1, "a": 2, "b": "x", "__deleted": "true" });
                assert_eq!(run.value(0), &expected, "{mode}");
            }
        }
        assert_eq!(run.discarded(1), mode != "rewrite-with-tombstone", "{mode}");
    }
}

#[test]
fn a_delete_without_an_old_row_is_dropped_in_every_mode() {
    for mode in MODES {
        let config = json!({ "delete.tombstone.handling.mode": mode });
        let delete = event("d", Value::Null, Value::Null);
        let run = typed(config.clone()).run_records(vec![delete.clone()]).unwrap();
        assert!(run.discarded(0), "typed, {mode}");
        let mut open = Harness::<Unwrap>::new(&config.to_string()).unwrap();
        assert!(open.run_records(vec![delete]).unwrap().discarded(0), "open, {mode}");
    }
}

#[test]
fn a_delete_with_only_its_key_is_one_with_an_old_row() {
    let delete = event("d", json!({ "id": 1 }), Value::Null);
    let run = typed(json!({})).run_records(vec![delete]).unwrap();
    assert!(run.value(0).is_null());
}

#[test]
fn truncates_end_and_messages_are_not_lost() {
    let mut rule = typed(json!({}));
    let records = ["t", "m"].map(|op| event(op, Value::Null, Value::Null));
    let run = rule.run_records(records.into()).unwrap();
    assert!(run.discarded(0));
    assert_eq!(run.code(1), Some("no-row"));
}

#[test]
fn added_fields_that_the_schema_knows_are_null_and_others_are_not_added() {
    let fields = "before.b:old,before.nosuch,transaction.id,source.nosuch,after.a,lsn";
    let config = json!({ "add.fields": fields, "delete.tombstone.handling.mode": "rewrite" });
    let records = vec![
        event("c", Value::Null, row(json!("x"))),
        event("u", row(json!("x")), row(json!("y"))),
        event("d", row(json!("y")), Value::Null),
    ];
    let run = typed(config).run_records(records).unwrap();
    for (number, expected) in [
        json!({ "__old": null, "__after_a": 2, "__deleted": "false", "b": "x" }),
        json!({ "__old": "x", "__after_a": 2, "__deleted": "false", "b": "y" }),
        json!({ "__old": "y", "__after_a": null, "__deleted": "true", "b": "y" }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut expected = expected;
        for (name, value) in [("__transaction_id", json!(null)), ("__lsn", json!(7))] {
            expected.as_object_mut().unwrap().insert(name.to_owned(), value);
        }
        expected.as_object_mut().unwrap().insert("id".to_owned(), json!(1));
        expected.as_object_mut().unwrap().insert("a".to_owned(), json!(2));
        assert_eq!(run.value(number), &expected);
    }
}

#[test]
fn texts_with_escapes_route_and_head_as_plain_text() {
    let config = json!({ "route.by.field": "b", "add.headers": "after.b" });
    let record = event("c", Value::Null, row(json!("a\"\\ü\n")));
    let run = typed(config).run_records(vec![record]).unwrap();
    assert_eq!(run.record(0).topic, "a\"\\ü\n");
    assert_eq!(run.record(0).headers, [("__after_b".to_owned(), json!("a\"\\ü\n"))]);
}

#[test]
fn records_that_cannot_be_routed_are_dead_lettered() {
    let records = vec![
        event("c", Value::Null, json!({ "id": 1, "b": 5 })),
        event("c", Value::Null, json!({ "id": 1 })),
        event("d", json!({ "id": 1, "b": "x" }), Value::Null),
    ];
    let mut rule = Harness::<Unwrap>::new(r#"{ "route.by.field": "b" }"#).unwrap();
    let run = rule.run_records(records).unwrap();
    assert_eq!([run.code(0), run.code(1)], [Some("route-not-text"), Some("route-missing")]);
    assert_eq!(run.record(2).topic, "x");
}

#[test]
fn a_compatible_schema_keeps_required_fields() {
    let record =
        || event("c", Value::Null, row(json!("x"))).header("drop", json!(["id", "b", "nosuch"]));
    let config = |compatible: &str| {
        json!({
            "drop.fields.header.name": "drop",
            "drop.fields.from.key": "true",
            "drop.fields.keep.schema.compatible": compatible,
        })
    };
    let run = typed(config("true")).run_records(vec![record()]).unwrap();
    assert_eq!(run.value(0), &json!({ "id": 1, "a": 2 }));
    assert_eq!(run.record(0).key, json!({ "id": 1 }));
    let run = typed(config("FALSE")).run_records(vec![record()]).unwrap();
    assert_eq!(run.value(0), &json!({ "a": 2 }));
    assert_eq!(run.record(0).key, json!({}));
}

#[test]
fn flags_are_true_or_false() {
    for value in [json!("yes"), json!(1), json!(null)] {
        let config = json!({ "drop.fields.from.key": value });
        let refusal = Harness::<Unwrap>::new(&config.to_string()).err().unwrap();
        assert!(refusal.starts_with("drop.fields.from.key: found "), "{refusal}");
    }
}

#[test]
fn case_files_hold() {
    wasmgate_sdk::testkit::run_cases::<Unwrap>("cases").unwrap();
}
