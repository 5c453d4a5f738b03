#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::Route;
use wasmgate_sdk::testkit::{Harness, Record, Value, json};

const REGEX_ROUTER: &str = include_str!("../tests/golden/regex_router.jsonl");

fn routed(config: &Value, records: Vec<Record>) -> Vec<String> {
    let mut rule = Harness::<Route>::new(&config.to_string()).unwrap();
    let count = records.len();
    let run = rule.run_records(records).unwrap();
    (0..count).map(|number| run.record(number).topic.clone()).collect()
}

#[test]
fn topics_are_renamed_as_kafka_connect_renames_them() {
    let mut passed = 0;
    for line in REGEX_ROUTER.lines() {
        let case: Value = wasmgate_sdk::json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let settings = &case["config"];
        let route = json!({ "pattern": settings["regex"], "topic": settings["replacement"] });
        let config = json!({ "topics": [route] });
        if case.get("config_error").is_some() || case["output"][0].get("error").is_some() {
            assert!(Harness::<Route>::new(&config.to_string()).is_err(), "{name}");
        } else {
            let inputs = case["input"].as_array().unwrap();
            let topic = |record: &Value| record["topic"].as_str().unwrap().to_owned();
            let records = inputs.iter().map(|i| Record::new(json!({})).topic(&topic(i))).collect();
            let expected = case["output"].as_array().unwrap().iter().map(topic);
            assert_eq!(routed(&config, records), expected.collect::<Vec<_>>(), "{name}");
        }
        passed += 1;
    }
    assert_eq!(passed, 13);
}

#[test]
fn fields_decide_before_topics_and_the_default_comes_last() {
    let config = json!({
        "topics": [{ "pattern": "orders", "topic": "renamed" }],
        "fields": [
            { "field": "region", "equals": "eu", "topic": "orders.eu" },
            { "field": "level", "equals": 3, "topic": "orders.high" },
        ],
        "default": "rest",
    });
    let cases = [
        ("orders", json!({ "region": "eu", "level": 3 }), "orders.eu"),
        ("orders", json!({ "region": "us", "level": 3 }), "orders.high"),
        ("orders", json!({ "region": null }), "renamed"),
        ("orders", json!({}), "renamed"),
        ("orders-2", json!({ "region": "us" }), "rest"),
        ("orders-2", json!({ "region": "eu" }), "orders.eu"),
    ];
    let record = |(topic, value, _): &(&str, Value, &str)| Record::new(value.clone()).topic(topic);
    let expected: Vec<_> = cases.iter().map(|(_, _, topic)| *topic).collect();
    assert_eq!(routed(&config, cases.iter().map(record).collect()), expected);
}

#[test]
fn without_a_match_and_a_default_records_stay() {
    let config = json!({ "topics": [{ "pattern": "a", "topic": "b" }] });
    let records = ["ab", "a", "c"].map(|topic| Record::new(json!(1)).topic(topic));
    assert_eq!(routed(&config, records.into()), ["ab", "b", "c"]);
    assert_eq!(routed(&json!({}), vec![Record::new(json!(1)).topic("x")]), ["x"]);
}

#[test]
fn a_route_that_cannot_work_is_refused_by_its_place() {
    for (pattern, topic, expected) in [
        ("(", "x", "topics[0]: pattern \"(\": "),
        ("a(b)", "$2", "topics[0]: topic \"$2\": the pattern has no group 2"),
        ("a", "cost$", "topics[0]: topic \"cost$\": expected a group number after $"),
    ] {
        let config = json!({ "topics": [{ "pattern": pattern, "topic": topic }] });
        let refusal = Harness::<Route>::new(&config.to_string()).err().unwrap();
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn case_files_hold() {
    wasmgate_sdk::testkit::run_cases::<Route>("cases").unwrap();
}
