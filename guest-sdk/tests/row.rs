//! `#[derive(Row)]` and `#[transform]`: every type and attribute, through the harness.
#![allow(clippy::unwrap_used, reason = "tests")]

use wasmgate_sdk::contract::{Read, Schema};
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::{Fate, Harness, Record, Value, json, set_time_us};

#[derive(Config)]
struct Limits {
    max: f64,
}

#[derive(Row)]
struct Everything<'a> {
    flag: bool,
    count: i64,
    amount: f64,
    name: &'a str,
    note: Option<&'a str>,
    bonus: Option<i64>,
    #[row(name = "before.amount")]
    old_amount: Option<f64>,
    #[row(kind = "timestamp-us")]
    at: Option<i64>,
    #[read_write]
    level: i64,
    #[write]
    label: String,
    #[write]
    copied: &'a str,
    #[write]
    maybe: Option<f64>,
    #[write]
    #[row(name = "$topic")]
    topic: Option<&'static str>,
}

/// Exercises every kind of field.
#[transform]
fn everything(row: &mut Everything<'_>, limits: &Limits) -> Verdict {
    if row.name == "skip" {
        return discard();
    }
    if row.amount > limits.max {
        return dead_letter("too-much", format!("{} is above {}", row.amount, limits.max));
    }
    row.level += row.count + row.bonus.unwrap_or_default() + row.at.unwrap_or_default();
    row.label = format!("{}{}", row.name, row.note.unwrap_or("-"));
    row.copied = row.name;
    row.maybe = row.old_amount;
    row.topic = row.flag.then_some("flagged");
    keep()
}

fn record(change: Value) -> Value {
    let mut record =
        json!({ "flag": false, "count": 1, "amount": 2, "name": "ä", "level": 10, "at": null });
    let members = record.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    record
}

fn harness() -> Harness<everything> {
    Harness::new(r#"{ "max": 100 }"#).unwrap()
}

#[test]
fn reads_and_writes_follow_the_fields() {
    let mut rule = everything::open(Limits { max: 1.0 }).unwrap();
    let schema = Schema {
        id: 1,
        source: "t".to_owned(),
        fields: Vec::new(),
        key: Vec::new(),
        defaults: Vec::new(),
        open: true,
        envelope: true,
    };
    let projection = rule.bind(&schema).unwrap().unwrap();
    let read = |name: &str, kind, optional| Read { name: name.to_owned(), kind, optional };
    let reads = [
        read("flag", Kind::Boolean, false),
        read("count", Kind::Integer, false),
        read("amount", Kind::Float, false),
        read("name", Kind::Text, false),
        read("note", Kind::Text, true),
        read("bonus", Kind::Integer, true),
        read("before.amount", Kind::Float, true),
        read("at", Kind::TimestampUs, true),
        read("level", Kind::Integer, false),
    ];
    assert_eq!(projection.reads, reads);
    let writes = projection.writes.iter().map(|field| (field.name.as_str(), field.kind));
    let expected = [
        ("level", Kind::Integer),
        ("label", Kind::Text),
        ("copied", Kind::Text),
        ("maybe", Kind::Float),
        ("$topic", Kind::Text),
    ];
    assert_eq!(writes.collect::<Vec<_>>(), expected);
}

#[test]
fn values_reach_the_rule_and_what_it_writes_reaches_the_record() {
    let run = harness()
        .run(json!([
            record(json!({ "note": "x", "bonus": 5 })),
            record(json!({ "flag": true, "at": 100, "note": null })),
        ]))
        .unwrap();
    let first = json!({ "level": 16, "label": "äx", "copied": "ä", "maybe": null });
    let second = json!({ "level": 111, "label": "ä-", "copied": "ä", "maybe": null });
    for (number, expected) in [first, second].iter().enumerate() {
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(run.value(number).get(name), Some(value), "{number} {name}");
        }
    }
    assert_eq!(run.record(0).topic, "test", "none leaves the topic");
    assert_eq!(run.record(1).topic, "flagged");
}

#[test]
fn old_values_come_from_the_envelope() {
    let envelope = json!({ "op": "u", "before": { "amount": 1.5 }, "after": record(json!({})) });
    let run = harness().run_records(vec![Record::envelope(envelope)]).unwrap();
    assert_eq!(run.value(0).pointer("/after/maybe"), Some(&json!(1.5)));
}

#[test]
fn a_row_that_ends_does_not_shift_its_neighbours() {
    let run = harness()
        .run(json!([
            record(json!({ "name": "a" })),
            record(json!({ "amount": null, "name": "b" })),
            record(json!({ "name": "skip" })),
            record(json!({ "amount": 101, "name": "d" })),
            record(json!({ "name": "e", "note": "!" })),
            record(json!({ "count": "1" })),
        ]))
        .unwrap();
    assert_eq!(run.value(0).get("label"), Some(&json!("a-")));
    assert_eq!(run.code(1), Some("null-field"));
    let message = "field `amount` is null, expected a value of kind float";
    assert_eq!(run.message(1), Some(message));
    assert_eq!(run.fates().get(2), Some(&Fate::Discarded));
    assert_eq!(run.message(3), Some("101 is above 100"));
    assert_eq!(run.value(4).get("label"), Some(&json!("e!")));
    assert_eq!(run.code(5), Some("wrong-kind"));
}

#[derive(Row)]
struct Ping {
    #[write]
    seen_us: i64,
}

#[transform]
fn stamp(row: &mut Ping) -> Verdict {
    row.seen_us = wasmgate_sdk::clock::now_us();
    log::info!("stamped {}", row.seen_us);
    metrics::add("stamped", 1);
    keep()
}

#[test]
fn the_host_functions_reach_the_collectors() {
    set_time_us(7);
    let run = Harness::<stamp>::new("").unwrap().run(json!([{}, {}])).unwrap();
    assert_eq!(run.value(1), &json!({ "seen_us": 7 }));
    assert_eq!(run.counter("stamped"), 2);
    let expected = (log::Level::Info, "stamped 7".to_owned());
    assert_eq!(run.logs(), [expected.clone(), expected]);
}

#[test]
fn state_and_lookups_answer_in_a_test() {
    use wasmgate_sdk::{lookup, state, testkit};
    let keys = ["a".to_owned(), "b".to_owned()];
    assert_eq!(state::add(&keys, &[2, 3], None), [2, 3]);
    assert_eq!(state::add(&keys, &[1, 1], None), [3, 4]);
    state::remove(&keys[..1]);
    assert_eq!(state::get(&keys), [None, Some(4_i64.to_le_bytes().to_vec())]);
    testkit::set_lookup_table("countries", "b", &[("name", "Benin")]);
    let field = Read { name: "name".to_owned(), kind: Kind::Text, optional: true };
    let columns = lookup::get("countries", &keys, std::slice::from_ref(&field)).unwrap();
    let cells: Vec<_> = columns.first().unwrap().texts().unwrap().collect();
    assert_eq!(cells, [Cell::Null, Cell::Value("Benin")]);
    assert_eq!(lookup::get("towns", &keys, &[field]).unwrap_err(), "no table `towns`");
}
