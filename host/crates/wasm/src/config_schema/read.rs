//! Checks a schema before it is used: every keyword has a value of its form, every reference
//! leads somewhere, every pattern can be matched in linear time, and nothing asks for what is not
//! applied.

use std::collections::{BTreeMap, BTreeSet};

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::decoded;

/// Bytes of one pattern's compiled form, and how many patterns there may be.
const PATTERN_BYTES_MAX: usize = 256 << 10;
const PATTERNS_MAX: usize = 64;

const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];
/// Keywords whose value is a schema, a list of schemas, schemas by name.
const SCHEMA: [&str; 8] =
    ["not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames"];
const SCHEMAS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const NAMED_SCHEMAS: [&str; 5] =
    ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];
const NUMBERS: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
const COUNTS: [&str; 8] = [
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
];
/// Keywords that decide what fits, and are not applied here.
const UNKNOWN: [&str; 6] = [
    "$dynamicRef",
    "$recursiveRef",
    "unevaluatedProperties",
    "unevaluatedItems",
    "dependencies",
    "additionalItems",
];

/// Checks a whole schema, and answers its patterns.
pub(super) fn patterns(root: &Value) -> Result<BTreeMap<String, Regex>, String> {
    let mut reading = Reading::default();
    reading.schema(root, "#")?;
    let mut read = BTreeSet::new();
    // What is referred to may lie where no schema is looked for, and refer further.
    while let Some(reference) = reading.references.pop_first() {
        if read.insert(reference.clone()) {
            let target = root.pointer(&decoded(reference.trim_start_matches('#')));
            let target = target.ok_or_else(|| {
                format!("{reference}: a reference leads there, and there is nothing")
            })?;
            reading.schema(target, &reference)?;
        }
    }
    Ok(reading.patterns)
}

#[derive(Default)]
struct Reading {
    patterns: BTreeMap<String, Regex>,
    references: BTreeSet<String>,
}

impl Reading {
    fn schema(&mut self, schema: &Value, at: &str) -> Result<(), String> {
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(keywords) => {
                keywords.iter().try_for_each(|(keyword, value)| self.keyword(keyword, value, at))
            }
            _ => Err(format!("{at}: expected a schema, an object or true or false")),
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value, at: &str) -> Result<(), String> {
        let place = format!("{at}/{keyword}");
        let has = |names: &[&str]| names.contains(&keyword);
        let expect = |fits: bool, expected: &str| {
            if fits { Ok(()) } else { Err(format!("{place}: expected {expected}")) }
        };
        if has(&UNKNOWN) {
            return Err(format!("{place}: this gateway does not apply `{keyword}`"));
        }
        if has(&SCHEMA) {
            return self.schema(value, &place);
        }
        if has(&SCHEMAS) {
            let list = value.as_array().filter(|list| !list.is_empty());
            expect(list.is_some(), "a list of schemas")?;
            let mut numbered = list.into_iter().flatten().enumerate();
            return numbered
                .try_for_each(|(n, schema)| self.schema(schema, &format!("{place}/{n}")));
        }
        if has(&NAMED_SCHEMAS) {
            expect(value.is_object(), "schemas by name")?;
            let mut named = value.as_object().into_iter().flatten();
            return named.try_for_each(|(name, schema)| {
                if keyword == "patternProperties" {
                    self.pattern(name, &place)?;
                }
                self.schema(schema, &format!("{place}/{name}"))
            });
        }
        if has(&NUMBERS) {
            return expect(value.is_number(), "a number");
        }
        if has(&COUNTS) {
            return expect(value.as_u64().is_some(), "a whole number from 0");
        }
        match keyword {
            "type" => expect(is_type(value), &format!("one or a list of {}", TYPES.join(", "))),
            "enum" => expect(value.is_array(), "a list"),
            "required" => expect(is_names(value), "a list of names"),
            "dependentRequired" => {
                let lists = value.as_object().map(|lists| lists.values().all(is_names));
                expect(lists == Some(true), "lists of names by name")
            }
            "multipleOf" => {
                expect(value.as_f64().is_some_and(|step| step > 0.0), "a number above 0")
            }
            "uniqueItems" => expect(value.is_boolean(), "true or false"),
            "pattern" => {
                expect(value.is_string(), "a pattern")?;
                self.pattern(value.as_str().unwrap_or_default(), &place)
            }
            "$ref" => {
                let local = value.as_str().filter(|r| *r == "#" || r.starts_with("#/"));
                expect(local.is_some(), "a reference within the schema, such as #/$defs/name")?;
                self.references.extend(local.map(str::to_owned));
                Ok(())
            }
            // It would change what references in it mean.
            "$id" if at != "#" => Err(format!("{place}: only the whole schema may have an `$id`")),
            // Notes, and words that nobody has given a meaning.
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, pattern: &str, at: &str) -> Result<(), String> {
        if self.patterns.contains_key(pattern) {
            return Ok(());
        }
        if self.patterns.len() == PATTERNS_MAX {
            return Err(format!("{at}: there are more than {PATTERNS_MAX} patterns"));
        }
        let compiled = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
        let compiled = compiled.map_err(|error| {
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            format!("{at}: a pattern that cannot be matched in linear time or at all: {why}")
        })?;
        self.patterns.insert(pattern.to_owned(), compiled);
        Ok(())
    }
}

fn is_type(value: &Value) -> bool {
    let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    known(value) || value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(known))
}

fn is_names(value: &Value) -> bool {
    value.as_array().is_some_and(|names| names.iter().all(Value::is_string))
}
