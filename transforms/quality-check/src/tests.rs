#![allow(clippy::unwrap_used, reason = "tests")]

use super::QualityCheck;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::{Harness, Record, Value, json};

const CONFIG: &str = r#"{
    "required": ["id"],
    "ranges": { "amount": { "min": 0, "max": 100 }, "age": { "min": 18 } },
    "allowed": { "currency": ["EUR", "USD"], "level": [1, 2] },
    "patterns": { "email": "^[^@]+@[^@]+$" }
}"#;

fn check(value: Value) -> Option<(String, String)> {
    let run = Harness::<QualityCheck>::new(CONFIG).unwrap().run(json!([value])).unwrap();
    Some((run.code(0)?.to_owned(), run.message(0)?.to_owned()))
}

#[test]
fn each_check_has_its_code_and_names_its_field() {
    for (value, code, message) in [
        (json!({}), "missing-field", "field `id` is missing"),
        (json!({ "id": null }), "missing-field", "field `id` is null, expected a value"),
        (json!({ "id": 1, "amount": -0.01 }), "out-of-range", "field `amount` is below 0"),
        (json!({ "id": 1, "amount": 100.5 }), "out-of-range", "field `amount` is above 100"),
        (json!({ "id": 1, "age": 17 }), "out-of-range", "field `age` is below 18"),
        (
            json!({ "id": 1, "currency": "eur" }),
            "not-allowed",
            "field `currency` has none of the allowed values",
        ),
        (
            json!({ "id": 1, "level": 3 }),
            "not-allowed",
            "field `level` has none of the allowed values",
        ),
        (
            json!({ "id": 1, "email": "nobody" }),
            "pattern-mismatch",
            "field `email` does not match ^[^@]+@[^@]+$",
        ),
        (json!({ "amount": -1 }), "missing-field", "field `id` is missing"),
    ] {
        let expected = Some((code.to_owned(), message.to_owned()));
        assert_eq!(check(value.clone()), expected, "{value}");
    }
}

#[test]
fn values_on_the_bounds_and_absent_optional_fields_pass() {
    for value in [
        json!({ "id": 0, "amount": 0, "age": 18, "currency": "EUR", "level": 2, "email": "a@b" }),
        json!({ "id": "", "amount": 100, "age": null, "currency": null }),
        json!({ "id": false }),
    ] {
        assert_eq!(check(value.clone()), None, "{value}");
    }
}

#[test]
fn only_records_with_a_row_are_checked() {
    let mut rule = Harness::<QualityCheck>::new(CONFIG).unwrap();
    let delete = json!({ "op": "d", "before": { "amount": -1 }, "after": null });
    let create = json!({ "op": "c", "before": null, "after": { "amount": 1 } });
    let records = [delete, Value::Null, create].map(Record::envelope);
    let run = rule.run_records(records.into()).unwrap();
    let codes = [run.code(0), run.code(1), run.code(2)];
    assert_eq!(codes, [None, None, Some("missing-field")]);
}

#[test]
fn a_typed_schema_is_held_against_the_required_fields() {
    let typed = |fields: &[(&str, Kind)]| {
        let config = r#"{ "required": ["id"], "ranges": { "price": { "max": 9.5 } } }"#;
        Harness::<QualityCheck>::new(config).unwrap().source("shop.items").schema(fields, &[])
    };
    let refusal = typed(&[("price", Kind::Decimal)]).run(json!([{ "price": "1" }])).unwrap_err();
    let expected = "required field `id` is not in the schema of shop.items: \
                    limit this stage to its topics with `when`";
    assert_eq!(refusal, expected);

    let mut rule = typed(&[("id", Kind::Integer), ("price", Kind::Decimal)]);
    let run = rule.run(json!([{ "price": "9.50" }, { "id": 1, "price": "9.51" }])).unwrap();
    let codes = [run.code(0), run.code(1)];
    assert_eq!(codes, [None, Some("out-of-range")], "an absent field is an unchanged one");
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_field() {
    for (config, expected) in [
        (r#"{ "ranges": { "a": { "min": 2, "max": 1 } } }"#, "ranges.a: min is above max"),
        (r#"{ "ranges": { "a": { "mim": 2 } } }"#, "ranges.a.mim: unknown field"),
        (r#"{ "patterns": { "a": "(" } }"#, "patterns.a: "),
        (r#"{ "required": "id" }"#, r#"required: found the text "id", expected a list"#),
    ] {
        let refusal = Harness::<QualityCheck>::new(config).err().unwrap();
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

#[test]
fn case_files_hold() {
    wasmgate_sdk::testkit::run_cases::<QualityCheck>("cases").unwrap();
}
