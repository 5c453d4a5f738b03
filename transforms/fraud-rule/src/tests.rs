#![allow(clippy::unwrap_used, reason = "tests")]

use super::Rule;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::{Harness, Value, json};

fn subscriber(spending: Value, score: Value, duration: Value) -> Value {
    json!({
        "monthly_spending": spending,
        "credit_score": score,
        "monthly_call_duration": duration,
    })
}

#[test]
fn the_reference_rule_is_strict_and_needs_every_operand() {
    let cases = [
        (subscriber(json!(400.01), json!(599), json!(501)), true),
        (subscriber(json!(400), json!(599), json!(501)), false),
        (subscriber(json!(401), json!(600), json!(501)), false),
        (subscriber(json!(401), json!(599), json!(500)), false),
        (subscriber(json!(null), json!(599), json!(501)), false),
        (subscriber(json!(401), json!(null), json!(501)), false),
        (json!({ "monthly_spending": 401, "credit_score": 1 }), false),
    ];
    let mut rule = Harness::<Rule>::new("{}").unwrap();
    let records = cases.iter().map(|(record, _)| record.clone()).collect();
    let run = rule.run(Value::Array(records)).unwrap();
    for (number, (record, fraud)) in cases.iter().enumerate() {
        assert_eq!(run.value(number).get("is_fraud"), Some(&json!(fraud)), "{record}");
    }
    assert_eq!(run.counter("hits"), 1);
}

#[test]
fn every_comparison_works() {
    for (op, expected) in [
        (">", [false, false, true]),
        (">=", [false, true, true]),
        ("<", [true, false, false]),
        ("<=", [true, true, false]),
        ("==", [false, true, false]),
        ("!=", [true, false, true]),
    ] {
        let config =
            json!({ "conditions": [{ "field": "n", "op": op, "value": 2 }], "write": "x" });
        let mut rule = Harness::<Rule>::new(&config.to_string()).unwrap();
        let run = rule.run(json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])).unwrap();
        for (number, hit) in expected.iter().enumerate() {
            assert_eq!(run.value(number).get("x"), Some(&json!(hit)), "{op} {number}");
        }
    }
}

#[test]
fn hits_go_to_their_topic_and_decimals_are_compared() {
    let config = r#"{ "conditions": [{ "field": "amount", "op": ">", "value": 99.5 }],
                      "topic": "alerts" }"#;
    let mut rule = Harness::<Rule>::new(config)
        .unwrap()
        .source("payments")
        .schema(&[("amount", Kind::Decimal)], &[]);
    let run = rule.run(json!([{ "amount": "100.00" }, { "amount": "99.50" }])).unwrap();
    assert_eq!(run.record(0).topic, "alerts");
    assert_eq!(run.record(1).topic, "payments");
    assert_eq!(run.value(0), &json!({ "amount": "100.00", "is_fraud": true }));
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_field() {
    for (config, expected) in [
        (r#"{ "conditions": [] }"#, "conditions: found an empty list, expected at least one"),
        (
            r#"{ "conditions": [{ "field": "a", "op": "=>", "value": 1 }] }"#,
            r#"conditions[0].op: found the text "=>", expected one of >, >=, <, <=, ==, !="#,
        ),
        (
            r#"{ "conditions": [{ "field": "a", "op": ">", "value": "1" }] }"#,
            r#"conditions[0].value: found the text "1", expected a number"#,
        ),
        (r#"{ "writes": "x" }"#, "writes: unknown field, expected one of conditions, write, topic"),
    ] {
        assert_eq!(Harness::<Rule>::new(config).err().unwrap(), expected);
    }
}

#[test]
fn case_files_hold() {
    wasmgate_sdk::testkit::run_cases::<Rule>("cases").unwrap();
}
