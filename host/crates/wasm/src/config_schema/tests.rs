#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ConfigSchema;

fn check(schema: &Value, config: &str) -> Result<(), String> {
    ConfigSchema::read(schema.clone()).unwrap().check(config)
}

/// Schema, configurations that fit, configurations that do not with what is said of them.
#[test]
fn configurations_fit_or_the_message_names_the_field() {
    let limits = json!({
        "type": "object",
        "properties": {
            "max": { "type": "number", "exclusiveMinimum": 0 },
            "mode": { "enum": ["keep", "drop", null] },
            "tags": { "type": "array", "items": { "type": "string", "minLength": 2 } },
            "window": { "$ref": "#/$defs/window" },
        },
        "required": ["max"],
        "additionalProperties": false,
        "$defs": { "window": {
            "type": ["object", "null"],
            "properties": { "rows": { "type": "integer", "maximum": 100, "multipleOf": 5 } },
            "required": ["rows"],
        } },
    });
    for fits in [
        r#"{"max":1}"#,
        r#"{"max":0.5,"mode":null,"tags":[],"window":null}"#,
        r#"{"max":1,"mode":"drop","tags":["ab","cd"],"window":{"rows":100,"other":1}}"#,
        r#"{"max":1,"window":{"rows":5.0}}"#,
    ] {
        assert_eq!(check(&limits, fits), Ok(()), "{fits}");
    }
    for (unfit, says) in [
        ("", "max: not given, and there is no default"),
        ("{}", "max: not given, and there is no default"),
        ("{", "the configuration is not JSON"),
        ("[]", "the configuration: found a list, expected an object"),
        (r#"{"max":"secret"}"#, "max: found a text, expected a number"),
        (r#"{"max":0}"#, "max: found 0, expected more than 0"),
        (r#"{"max":1,"mod":1}"#, "mod: unknown field, expected one of max, mode, tags, window"),
        (r#"{"max":1,"mode":"x"}"#, "mode: found the text \"x\", expected one of keep, drop, null"),
        (r#"{"max":1,"tags":["ab","c"]}"#, "tags[1]: found 1 characters, expected at least 2"),
        (r#"{"max":1,"tags":[7]}"#, "tags[0]: found 7, expected text"),
        (r#"{"max":1,"window":{}}"#, "window.rows: not given, and there is no default"),
        (r#"{"max":1,"window":{"rows":105}}"#, "window.rows: found 105, expected at most 100"),
        (r#"{"max":1,"window":{"rows":7}}"#, "window.rows: found 7, expected a multiple of 5"),
        (r#"{"max":1,"window":{"rows":5.5}}"#, "window.rows: found 5.5, expected an integer"),
        (r#"{"max":1,"window":7}"#, "window: found 7, expected an object or null"),
    ] {
        let said = check(&limits, unfit).unwrap_err();
        assert!(said.contains(says) && !said.contains("secret"), "{unfit}: {said}");
    }
}

/// Every keyword that decides, with what fits and what does not.
#[test]
fn every_keyword_is_applied() {
    let none = json!({ "additionalProperties": false });
    for (schema, fits, unfit) in [
        (json!({ "const": 1 }), "1.0", "2"),
        (json!({ "maximum": 3 }), "3", "3.5"),
        (json!({ "minimum": -2 }), "-2", "-2.1"),
        (json!({ "exclusiveMaximum": u64::MAX }), "18446744073709551614", "18446744073709551615"),
        (json!({ "multipleOf": 0.1 }), "0.3", "0.35"),
        (json!({ "maxLength": 3 }), r#""zoë""#, r#""abcd""#),
        (json!({ "pattern": "^a+$" }), r#""aa""#, r#""ab""#),
        (json!({ "minItems": 1 }), "[1]", "[]"),
        (json!({ "maxItems": 1 }), "[1]", "[1,2]"),
        (json!({ "uniqueItems": true }), "[1,2,[1]]", "[1,2,1.0]"),
        (json!({ "contains": { "const": 1 } }), "[2,1]", "[2]"),
        (json!({ "contains": { "const": 1 }, "maxContains": 1 }), "[1]", "[1,1]"),
        (json!({ "contains": { "const": 1 }, "minContains": 0 }), "[]", "nul"),
        (json!({ "prefixItems": [true, { "const": 1 }], "items": false }), "[0,1]", "[0,1,2]"),
        (json!({ "minProperties": 1 }), r#"{"a":1}"#, "{}"),
        (json!({ "maxProperties": 1 }), r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        (json!({ "propertyNames": { "maxLength": 1 } }), r#"{"a":1}"#, r#"{"ab":1}"#),
        (json!({ "patternProperties": { "^x": false } }), r#"{"a":1}"#, r#"{"xa":1}"#),
        (
            json!({ "patternProperties": { "^x": true }, "additionalProperties": false }),
            r#"{"xa":1}"#,
            r#"{"a":1}"#,
        ),
        (json!({ "dependentRequired": { "a": ["b"] } }), r#"{"a":1,"b":1}"#, r#"{"a":1}"#),
        (json!({ "dependentSchemas": { "a": { "required": ["b"] } } }), "{}", r#"{"a":1}"#),
        (json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }), "2", "3"),
        (json!({ "anyOf": [{ "minimum": 5 }, { "const": 0 }] }), "0", "3"),
        (json!({ "oneOf": [{ "minimum": 5 }, { "maximum": 7 }] }), "8", "6"),
        (json!({ "not": { "const": 1 } }), "2", "1"),
        (json!({ "if": { "const": 1 }, "then": false, "else": true }), "2", "1"),
        (json!({ "if": { "const": 1 }, "else": { "minimum": 5 } }), "1", "2"),
        (
            json!({ "$ref": "#/definitions/a~1b%20c", "definitions": { "a/b c": none } }),
            "{}",
            r#"{"a":1}"#,
        ),
        (
            json!({ "properties": { "a": { "$ref": "#" } }, "additionalProperties": false }),
            r#"{"a":{"a":{}}}"#,
            r#"{"a":{"b":1}}"#,
        ),
    ] {
        assert_eq!(check(&schema, fits), Ok(()), "{schema} {fits}");
        assert!(check(&schema, unfit).is_err(), "{schema} {unfit}");
    }
}

#[test]
fn of_alternatives_the_nearest_says_what_is_wrong() {
    let schema = json!({ "properties": { "to": { "anyOf": [
        { "type": "null" },
        { "type": "object", "properties": { "topic": { "type": "string" } } },
    ] } } });
    let said = check(&schema, r#"{"to":{"topic":1}}"#).unwrap_err();
    assert_eq!(said, "to.topic: found 1, expected text");
}

#[test]
fn schemas_that_cannot_be_applied_are_refused_where_they_are_wrong() {
    let many: Vec<Value> = (0..65).map(|n| json!({ "pattern": format!("a{n}") })).collect();
    for (schema, says) in [
        (json!({ "type": "map" }), "#/type: expected one or a list of null"),
        (json!({ "properties": { "a": { "minimum": "1" } } }), "#/properties/a/minimum: expected"),
        (json!({ "properties": [] }), "#/properties: expected schemas by name"),
        (json!({ "items": [{}] }), "#/items: expected a schema"),
        (json!({ "anyOf": [] }), "#/anyOf: expected a list of schemas"),
        (json!({ "anyOf": [true, 7] }), "#/anyOf/1: expected a schema"),
        (json!({ "required": "a" }), "#/required: expected a list of names"),
        (json!({ "dependentRequired": { "a": "b" } }), "#/dependentRequired: expected lists"),
        (json!({ "multipleOf": 0 }), "#/multipleOf: expected a number above 0"),
        (json!({ "maxLength": -1 }), "#/maxLength: expected a whole number from 0"),
        (json!({ "uniqueItems": 1 }), "#/uniqueItems: expected true or false"),
        (json!({ "$ref": "https://a.example/b" }), "#/$ref: expected a reference within"),
        (json!({ "$ref": "#name" }), "#/$ref: expected a reference within"),
        (json!({ "$ref": "#/$defs/a" }), "#/$defs/a: a reference leads there"),
        (json!({ "$ref": "#/x/a", "x": { "a": { "type": 1 } } }), "#/x/a/type: expected"),
        (json!({ "items": { "$id": "b" } }), "only the whole schema may have an `$id`"),
        (json!({ "unevaluatedProperties": false }), "does not apply `unevaluatedProperties`"),
        (json!({ "pattern": "(?=a)" }), "#/pattern: a pattern that cannot be matched"),
        (json!({ "pattern": "(a{1000}){1000}" }), "#/pattern: a pattern that cannot be matched"),
        (json!({ "allOf": many }), "there are more than 64 patterns"),
    ] {
        let said = ConfigSchema::read(schema.clone()).map(drop).unwrap_err();
        assert!(said.contains(says), "{schema}: {said}");
    }
}

/// Each of these keeps a general validator busy for ever, or takes all of its stack.
#[test]
fn schemas_that_mean_harm_end_soon() {
    let twice = |to: u32| {
        let next = json!({ "$ref": format!("#/$defs/d{to}") });
        json!({ "anyOf": [{ "allOf": [next, false] }, { "allOf": [next, false] }] })
    };
    let doubling: serde_json::Map<String, Value> =
        (0..80).map(|n| (format!("d{n}"), twice(n + 1))).collect();
    let mut doubling = Value::Object(doubling);
    doubling["d80"] = json!(true);
    let deep = (0..120).fold(json!({ "type": "object" }), |inner, _| json!({ "not": inner }));
    for (schema, says) in [
        (json!({ "$ref": "#/$defs/d0", "$defs": doubling }), "more than"),
        (json!({ "$ref": "#" }), "or refers to itself"),
        (json!({ "allOf": [{ "not": { "$ref": "#" } }] }), "or refers to itself"),
        (deep, "or refers to itself"),
    ] {
        let started = Instant::now();
        let said = check(&schema, "{}").unwrap_err();
        assert!(said.contains(says), "{said}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    let long = format!("{:?}", "a".repeat(1 << 20));
    assert!(check(&json!({ "pattern": "^(a+)+$" }), &long).is_ok());
}
