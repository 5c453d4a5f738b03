//! The format: what it takes, what it refuses and where, what it says of a difference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::json;
use wasmgate_case_file::{
    CASE_BYTES_MAX, CaseFile, Expected, Found, Kept, Value, WantedValue, differences, load,
};

const FULL: &str = "\
about: everything at once
config: { max: 10, list: [a, 1, true] }
schema:
  name: shop.orders
  fields: { id: integer, amount: decimal, note: text not null }
  key: [id]
  defaults: { amount: '0.00' }
  envelope: false
rows:
  - value: { id: 1, amount: '9.50', nested: { a: 1 } }
    key: { id: 1 }
    topic: other
    partition: 3
    offset: 7
    timestamp-us: 1700000000000000
    headers: { a: x, b: null }
    expect: { write: { nested.b: 2, fraud: true }, remove: [amount], topic: alerts }
  - { value: null, expect: drop }
  - { value: 7, expect: { dead-letter: bad, message: why } }
  - { value: {}, expect: keep }
  - { value: {}, expect: { value: null, key: null, partition: 2, headers: { h: 1 } } }
";

#[test]
fn everything_that_can_be_said_is_read() {
    let case = CaseFile::parse("full", FULL).unwrap();
    assert_eq!(case.config, json!({ "max": 10, "list": ["a", 1, true] }));
    let kinds: Vec<_> = case.schema.fields.iter().map(|f| (f.kind, f.nullable)).collect();
    assert_eq!(kinds, [("integer", false), ("decimal", true), ("text", false)]);
    assert_eq!(case.schema.defaults, [("amount".to_owned(), json!("0.00"))]);
    let first = &case.rows[0];
    assert_eq!((first.line, first.input.topic.as_str(), first.input.partition), (10, "other", 3));
    assert_eq!((first.input.offset, first.input.timestamp_us), (7, 1_700_000_000_000_000));
    assert_eq!(first.input.headers[1], ("b".to_owned(), Value::Null));
    assert_eq!((case.rows[1].line, case.rows[1].input.topic.as_str()), (18, "shop.orders"));
    assert_eq!(case.rows[1].expected, Expected::Drop);
    let Expected::Keep(wanted) = &case.rows[4].expected else { panic!("kept") };
    assert_eq!(wanted.value, WantedValue::Whole(Value::Null));
    assert_eq!((wanted.key.clone(), wanted.partition), (Some(Value::Null), Some(2)));
}

#[test]
fn what_is_wrong_is_refused_with_its_line() {
    let row = |expect: &str| format!("rows:\n  - value: {{}}\n    expect: {expect}\n");
    for (text, line, part) in [
        ("rows: [".to_owned(), 1, "not valid YAML"),
        ("config: {}".to_owned(), 1, "a case has `rows`"),
        ("refuses: x\nrows: [{ value: 1, expect: keep }]".to_owned(), 1, "has no `rows`"),
        ("rows: []\nrow: []".to_owned(), 2, "there is no `row` here, expected one of about"),
        ("rows: {}".to_owned(), 1, "rows: found a mapping, expected a list"),
        ("config: 7\nrows: []".to_owned(), 1, "config: found 7, expected a mapping"),
        ("a: 1\na: 2".to_owned(), 2, "not valid YAML"),
        ("rows:\n  - value: 1".to_owned(), 2, "`expect` is missing"),
        ("rows:\n  - expect: keep".to_owned(), 2, "`value` is missing (null is a tombstone)"),
        (
            "rows:\n  - value: 1\n    valeu: 2\n    expect: keep".to_owned(),
            3,
            "there is no `valeu`",
        ),
        ("rows:\n  - { value: 1, expect: kept }".to_owned(), 2, "found the text \"kept\""),
        (row("{ write: { a: 1 }, wirte: {} }"), 3, "there is no `wirte` here"),
        (row("{ dead-letter: a, write: {} }"), 3, "take `write` out"),
        (row("{ message: a }"), 3, "belongs to `dead-letter`"),
        (row("{ value: 1, remove: [a] }"), 3, "the whole value"),
        (row("{ write: { $topic: a } }"), 3, "$topic is no field of the row"),
        (row("{ remove: [$key.id] }"), 3, "$key.id is no field of the row"),
        (row("{ partition: many }"), 3, "expected a whole number"),
        (
            "schema:\n  fields:\n    a: int\nrows: []".to_owned(),
            3,
            "schema.fields.a: found the text \"int\", expected a kind",
        ),
        ("schema: { open: true, fields: { a: text } }".to_owned(), 1, "has no `fields`"),
        ("schema: { open: false }".to_owned(), 1, "that is not open has `fields`"),
        ("schema: { key: [b], fields: { a: text } }".to_owned(), 1, "there is no field b"),
        ("schema: { envelop: true }".to_owned(), 1, "there is no `envelop`"),
        (
            "schema: { envelope: true }\nrows:\n  - { value: 7, expect: keep }".to_owned(),
            3,
            "a change envelope is a mapping",
        ),
    ] {
        let problem = CaseFile::parse("wrong", &text).unwrap_err();
        assert_eq!(problem.line, line, "{text}\n{problem}");
        assert!(problem.message.contains(part), "{text}\n{problem}");
    }
}

fn kept(value: Value) -> Kept {
    Kept { topic: "test".to_owned(), partition: None, key: Value::Null, value, headers: vec![] }
}

fn compared(row: &str, found: Found) -> Vec<String> {
    let envelope = row.contains("op: ");
    let text = format!("schema: {{ envelope: {envelope} }}\nrows:\n  - {row}\n");
    let case = CaseFile::parse("one", &text).unwrap();
    differences(&case, &case.rows[0], &found)
}

#[test]
fn differences_name_the_place_and_both_sides() {
    let found = |kept: Kept| Found::Kept(Box::new(kept));
    for (row, kept, expected) in [
        ("{ value: { a: 1 }, expect: keep }", kept(json!({ "a": 1.0 })), vec![]),
        (
            "{ value: { a: 1 }, expect: keep }",
            kept(json!({ "a": "1" })),
            vec!["value.a: expected 1, found \"1\""],
        ),
        (
            "{ value: { a: [1, 2] }, expect: { write: { a: [1, 3], b: x } } }",
            kept(json!({ "a": [1, 2], "c": null })),
            vec![
                "value.a[1]: expected 3, found 2",
                "value.b: expected \"x\", found nothing",
                "value.c: expected nothing, found null",
            ],
        ),
        (
            "{ value: { a: { b: 1, c: 2 } }, expect: { write: { a.b: 3 }, remove: [a.c] } }",
            kept(json!({ "a": { "b": 3 } })),
            vec![],
        ),
        (
            "{ value: { op: d, before: { a: 1 }, after: null }, expect: { write: { b: 2 } } }",
            kept(json!({ "op": "d", "before": { "a": 1, "b": 2 }, "after": null })),
            vec![],
        ),
        (
            "{ value: 1, key: 5, expect: { topic: t, partition: 4 } }",
            Kept { key: json!("5"), ..kept(json!(1)) },
            vec!["topic: expected t, found test", "partition: expected 4, found none asked for"],
        ),
        (
            "{ value: 1, headers: { a: 1 }, expect: { key: k, headers: { b: x } } }",
            Kept { headers: vec![("a".to_owned(), json!("1"))], ..kept(json!(1)) },
            vec!["key: expected \"k\", found null", "header 2: expected b: \"x\", found none"],
        ),
    ] {
        assert_eq!(compared(row, found(kept)), expected, "{row}");
    }
    let dead = |code: &str| Found::DeadLettered { code: code.to_owned(), message: "it is".into() };
    for (row, found, expected) in [
        ("{ value: 1, expect: drop }", Found::Dropped, None),
        ("{ value: 1, expect: keep }", Found::Dropped, Some("verdict: expected keep, found drop")),
        (
            "{ value: 1, expect: drop }",
            dead("bad"),
            Some("verdict: expected drop, found dead letter bad (it is)"),
        ),
        ("{ value: 1, expect: { dead-letter: bad, message: it } }", dead("bad"), None),
        (
            "{ value: 1, expect: { dead-letter: bad } }",
            dead("worse"),
            Some("code: expected bad, found worse"),
        ),
        (
            "{ value: 1, expect: { dead-letter: bad, message: not } }",
            dead("bad"),
            Some("message: expected … not …, found it is"),
        ),
    ] {
        let lines = compared(row, found);
        assert_eq!(lines.first().map(String::as_str), expected, "{row}");
    }
}

#[test]
fn a_folder_is_read_in_order_and_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let empty = load(dir.path()).unwrap_err();
    assert!(empty.contains("there is no case file"), "{empty}");
    let text = "rows: [{ value: 1, expect: keep }]";
    for name in ["b.yaml", "a.yml", "ignored.txt"] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let names: Vec<_> = load(dir.path()).unwrap().into_iter().map(|case| case.name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(load(&dir.path().join("b.yaml")).unwrap().len(), 1);

    let large = dir.path().join("c.yaml");
    std::fs::write(&large, " ".repeat(CASE_BYTES_MAX as usize + 1)).unwrap();
    assert!(load(dir.path()).unwrap_err().contains("c.yaml: larger than"));
    std::fs::write(&large, "rows: 7").unwrap();
    assert!(load(dir.path()).unwrap_err().contains("c.yaml:1: rows: found 7"));
    std::fs::remove_file(&large).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &large).unwrap();
    assert!(load(dir.path()).unwrap_err().contains("c.yaml: is no regular file"));
}
