//! `#[derive(Config)]`: schema, defaults and errors.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use wasmgate_sdk::config::from_text;
use wasmgate_sdk::prelude::*;
use wasmgate_sdk::testkit::json;

/// Everything a configuration can hold.
#[derive(Config, Debug, PartialEq)]
struct Settings {
    /// Largest amount,
    /// in euros.
    max: f64,
    #[config(name = "max.rows", default = 10)]
    rows: i64,
    #[config(default)]
    strict: bool,
    #[config(default = "eu")]
    region: String,
    note: Option<String>,
    #[config(default = vec![1, 2])]
    levels: Vec<u32>,
    #[config(default)]
    topics: BTreeMap<String, Nested>,
    #[config(default = Mode::DropAll)]
    mode: Mode,
}

#[derive(Config, Debug, PartialEq)]
struct Nested {
    name: String,
}

/// What to do.
#[derive(Config, Debug, PartialEq, Clone, Copy)]
enum Mode {
    Keep,
    DropAll,
    #[config(name = "?")]
    Ask,
}

#[test]
fn defaults_fill_what_is_not_given() {
    let settings: Settings = from_text(r#"{ "max": 3 }"#).unwrap();
    let expected = Settings {
        max: 3.0,
        rows: 10,
        strict: false,
        region: "eu".to_owned(),
        note: None,
        levels: vec![1, 2],
        topics: BTreeMap::new(),
        mode: Mode::DropAll,
    };
    assert_eq!(settings, expected);
}

#[test]
fn every_field_is_read() {
    let text = r#"{ "max": 0.5, "max.rows": -1, "strict": true, "region": "us", "note": "n",
        "levels": [], "topics": { "a": { "name": "x" } }, "mode": "?" }"#;
    let settings: Settings = from_text(text).unwrap();
    let nested = Nested { name: "x".to_owned() };
    let expected = Settings {
        max: 0.5,
        rows: -1,
        strict: true,
        region: "us".to_owned(),
        note: Some("n".to_owned()),
        levels: Vec::new(),
        topics: BTreeMap::from([("a".to_owned(), nested)]),
        mode: Mode::Ask,
    };
    assert_eq!(settings, expected);
}

#[test]
fn errors_name_the_field_the_found_and_the_expected() {
    let known = "max, max.rows, strict, region, note, levels, topics, mode";
    for (text, expected) in [
        ("{", "the configuration is not JSON: EOF while parsing an object at line 1 column 1"),
        ("[]", "the configuration: found a list, expected an object"),
        ("{}", "max: not given, and there is no default"),
        ("", "max: not given, and there is no default"),
        (r#"{ "max": true }"#, "max: found true, expected a number"),
        (r#"{ "max": 1, "max.rows": 1.5 }"#, "max.rows: found 1.5, expected an integer"),
        (r#"{ "max": 1, "strict": null }"#, "strict: found null, expected true or false"),
        (r#"{ "max": 1, "region": 7 }"#, "region: found 7, expected text"),
        (r#"{ "max": 1, "levels": {} }"#, "levels: found an object, expected a list"),
        (
            r#"{ "max": 1, "levels": [1, -1] }"#,
            "levels[1]: found -1, expected an integer from 0 to 4294967295",
        ),
        (
            r#"{ "max": 1, "topics": { "a": {} } }"#,
            "topics.a.name: not given, and there is no default",
        ),
        (
            r#"{ "max": 1, "topics": { "a": { "nam": 1 } } }"#,
            "topics.a.nam: unknown field, expected one of name",
        ),
        (
            r#"{ "max": 1, "mode": "dropall" }"#,
            r#"mode: found the text "dropall", expected one of keep, drop-all, ?"#,
        ),
        (r#"{ "maxx": 1 }"#, &format!("maxx: unknown field, expected one of {known}")),
    ] {
        assert_eq!(from_text::<Settings>(text).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn the_schema_says_all_of_it() {
    let expected = json!({
        "type": "object",
        "description": "Everything a configuration can hold.",
        "additionalProperties": false,
        "required": ["max"],
        "properties": {
            "max": { "type": "number", "description": "Largest amount, in euros." },
            "max.rows": { "type": "integer", "default": 10 },
            "strict": { "type": "boolean", "default": false },
            "region": { "type": "string", "default": "eu" },
            "note": { "type": ["string", "null"] },
            "levels": {
                "type": "array",
                "items": { "type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32 },
                "default": [1, 2],
            },
            "topics": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "properties": { "name": { "type": "string" } },
                    "required": ["name"],
                },
                "default": {},
            },
            "mode": {
                "type": "string",
                "enum": ["keep", "drop-all", "?"],
                "description": "What to do.",
                "default": "drop-all",
            },
        },
    });
    assert_eq!(Settings::schema(), expected);
}

#[test]
fn the_description_carries_the_schema() {
    let description = wasmgate_sdk::export::describe::<NoConfig>("a", "1.0.0", " Sums up. ");
    assert_eq!(description.summary, "Sums up.");
    let schema: wasmgate_sdk::json::Value =
        wasmgate_sdk::json::from_str(&description.config_schema).unwrap();
    assert_eq!(
        schema,
        json!({ "type": "object", "additionalProperties": false, "properties": {} })
    );
}
