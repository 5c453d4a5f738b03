//! Case files natively: verdicts, written fields, typed schemas, refusals, and that a wrong
//! expectation fails.
#![allow(clippy::unwrap_used, reason = "tests")]

use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::run_cases;

#[derive(Config)]
struct Limits {
    #[config(default = 100.0)]
    max: f64,
}

#[derive(Row)]
struct Payment<'a> {
    amount: f64,
    country: Option<&'a str>,
    #[write]
    fraud: bool,
    #[write]
    #[row(name = "$topic")]
    topic: Option<&'static str>,
}

/// Marks payments.
#[transform]
fn marks(row: &mut Payment<'_>, limits: &Limits) -> Verdict {
    match row.country {
        Some("drop") => return discard(),
        Some("panic") => panic!("no such country"),
        Some("dead") => return dead_letter("bad-country", "no such country"),
        _ => {}
    }
    row.fraud = row.amount > limits.max;
    row.topic = row.fraud.then_some("alerts");
    keep()
}

fn run(text: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("one.yaml"), text).unwrap();
    run_cases::<marks>(dir.path()).map_err(|failed| failed.to_string())
}

#[test]
fn verdicts_writes_and_topics_are_compared() {
    run("config: { max: 10 }\n\
         rows:\n\
         - { value: { amount: 11 }, expect: { write: { fraud: true }, topic: alerts } }\n\
         - { value: { amount: 10, country: x }, expect: { write: { fraud: false } } }\n\
         - { value: { amount: 1, country: drop }, expect: drop }\n\
         - { value: { amount: 1, country: dead }, expect: { dead-letter: bad-country } }\n\
         - { value: { amount: null }, expect: { dead-letter: null-field } }\n\
         - { value: { amount: x }, expect: { dead-letter: wrong-kind } }\n\
         - { value: 7, expect: { dead-letter: invalid-json, message: an object is expected } }\n\
         - { value: {}, expect: { dead-letter: missing-field, message: amount } }\n")
    .unwrap();
}

#[test]
fn a_panic_is_the_dead_letter_of_its_record_alone() {
    run("rows:\n\
         - { value: { amount: 1 }, expect: { write: { fraud: false } } }\n\
         - value: { amount: 1, country: panic }\n  \
           expect: { dead-letter: module-trap, message: no such country }\n\
         - { value: { amount: 1 }, expect: { write: { fraud: false } } }\n")
    .unwrap();
}

#[test]
fn a_wrong_expectation_fails_with_its_place() {
    let failed = run("about: what is wrong\nrows:\n\
                      - { value: { amount: 101 }, expect: { write: { fraud: false } } }\n\
                      - { value: { amount: 1 }, expect: drop }\n")
    .unwrap_err();
    for part in [
        "one.yaml:3 (what is wrong)",
        "  value.fraud: expected false, found true",
        "  topic: expected test, found alerts",
        "one.yaml:4",
        "  verdict: expected drop, found keep",
        "1 case, 2 records: 2 not as expected",
    ] {
        assert!(failed.contains(part), "{part:?} is not in\n{failed}");
    }
}

#[test]
fn typed_schemas_are_bound_as_the_gateway_binds_them() {
    let schema = "schema: { fields: { amount: decimal, country: text }, key: [] }\n";
    run(&format!(
        "{schema}rows:\n\
         - {{ value: {{ amount: '100.50' }}, expect: {{ write: {{ fraud: true }}, topic: alerts }} }}\n"
    ))
    .unwrap();
    run("schema: { fields: { country: text } }\n\
         refuses: 'reads field \"amount\", which test does not have'\n")
    .unwrap();
    run("schema: { fields: { amount: text } }\n\
         refuses: 'reads field \"amount\" of test as float; it is text'\n")
    .unwrap();
    run("config: { mxa: 1 }\nrefuses: 'mxa: unknown field'\n").unwrap();
    let taken = run("refuses: anything\n").unwrap_err();
    assert!(taken.contains("refusal: expected … anything …, found none"), "{taken}");
    let refused = run("config: { mxa: 1 }\nrows: [{ value: {}, expect: keep }]\n").unwrap_err();
    assert!(refused.contains("expected to run, found a refusal: mxa"), "{refused}");
}
