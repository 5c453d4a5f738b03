//! Applies a schema to a configuration, within bounds.

use serde_json::{Map, Value};

use super::ConfigSchema;
use super::value::{SHOWN_BYTES_MAX, article, compare, integer, is_a, same, shown, words};
use crate::host::log::clip;

/// Schemas inside each other; references count.
const DEPTH_MAX: u32 = 100;
/// Schemas applied, values compared, texts matched.
const STEPS_MAX: u32 = 100_000;

/// Why a value does not fit.
enum Unfit {
    /// Where, dotted, and what is wrong there.
    At(String, String),
    /// The schema cannot be applied within bounds.
    Unbounded(String),
}

type Fit = Result<(), Unfit>;

/// Whether a configuration fits a schema.
pub(super) fn fits(schema: &ConfigSchema, config: &Value) -> Result<(), String> {
    let mut applying = Applying { schema, depth: 0, steps: 0 };
    applying.schema(&schema.root, config, "").map_err(|unfit| match unfit {
        Unfit::At(path, what) if path.is_empty() => format!("the configuration: {what}"),
        Unfit::At(path, what) => format!("{path}: {what}"),
        Unfit::Unbounded(what) => format!("the config-schema cannot be applied: {what}"),
    })
}

struct Applying<'s> {
    schema: &'s ConfigSchema,
    depth: u32,
    steps: u32,
}

impl<'s> Applying<'s> {
    fn step(&mut self, steps: usize) -> Fit {
        self.steps = self.steps.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.steps > STEPS_MAX {
            return Err(Unfit::Unbounded(format!("it takes more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    fn schema(&mut self, schema: &'s Value, value: &Value, path: &str) -> Fit {
        let keywords = match schema {
            Value::Bool(false) => return at(path, "nothing may be here"),
            Value::Object(keywords) => keywords,
            _ => return Ok(()),
        };
        if self.depth == DEPTH_MAX {
            let what = format!("it goes more than {DEPTH_MAX} deep, or refers to itself");
            return Err(Unfit::Unbounded(what));
        }
        self.step(1)?;
        self.depth += 1;
        let fit = self.keywords(keywords, value, path);
        self.depth -= 1;
        fit
    }

    fn keywords(&mut self, schema: &'s Map<String, Value>, value: &Value, path: &str) -> Fit {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.schema.at(reference);
            target.map_or(Ok(()), |target| self.schema(target, value, path))?;
        }
        self.kind(schema, value, path)?;
        match value {
            Value::Object(members) => {
                self.object(schema, members, path)?;
                for (name, schema) in map(schema, "dependentSchemas") {
                    if members.contains_key(name) {
                        self.schema(schema, value, path)?;
                    }
                }
            }
            Value::Array(items) => self.array(schema, items, path)?,
            Value::String(text) => self.text(schema, text, path)?,
            Value::Number(_) => number(schema, value, path)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.alternatives(schema, value, path)
    }

    /// `type`, `enum`, `const`.
    fn kind(&mut self, schema: &'s Map<String, Value>, value: &Value, path: &str) -> Fit {
        if let Some(expected) = schema.get("type") {
            let names = names(expected);
            if !names.iter().any(|name| is_a(name, value)) {
                let names: Vec<&str> = names.iter().map(|name| article(name)).collect();
                return at(
                    path,
                    &format!("found {}, expected {}", shown(value), names.join(" or ")),
                );
            }
        }
        let many = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice);
        let one = schema.get("const").map(std::slice::from_ref);
        for expected in many.into_iter().chain(one) {
            self.step(expected.len())?;
            if !expected.iter().any(|word| same(word, value)) {
                let found = match value {
                    Value::String(text) => format!("the text {:?}", clip(text, SHOWN_BYTES_MAX)),
                    other => shown(other),
                };
                let what = format!("found {found}, expected one of {}", words(expected));
                return at(path, &what);
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        schema: &'s Map<String, Value>,
        members: &Map<String, Value>,
        path: &str,
    ) -> Fit {
        for name in schema.get("required").map(names).unwrap_or_default() {
            if !members.contains_key(name) {
                return at(&member(path, name), "not given, and there is no default");
            }
        }
        count(schema, members.len(), ["minProperties", "maxProperties"], "members", path)?;
        for (name, value) in members {
            self.member(schema, name, value, path)?;
        }
        for (name, needs) in map(schema, "dependentRequired") {
            let missing = names(needs).into_iter().find(|needed| !members.contains_key(*needed));
            if let Some(missing) = missing.filter(|_| members.contains_key(name)) {
                return at(&member(path, missing), &format!("not given, and `{name}` needs it"));
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        schema: &'s Map<String, Value>,
        name: &str,
        value: &Value,
        path: &str,
    ) -> Fit {
        let place = member(path, name);
        let known = schema.get("properties").and_then(Value::as_object);
        let mut other = true;
        if let Some(own) = known.and_then(|known| known.get(name)) {
            other = false;
            self.schema(own, value, &place)?;
        }
        for (pattern, schema) in map(schema, "patternProperties") {
            if self.matches(pattern, name)? {
                other = false;
                self.schema(schema, value, &place)?;
            }
        }
        if let Some(names) = schema.get("propertyNames") {
            self.schema(names, &Value::String(name.to_owned()), &place)?;
        }
        match schema.get("additionalProperties").filter(|_| other) {
            Some(Value::Bool(false)) => {
                let known: Vec<&str> =
                    known.into_iter().flatten().map(|(n, _)| n.as_str()).collect();
                let known = match known.is_empty() {
                    true => "none: there is nothing to configure".to_owned(),
                    false => format!("one of {}", known.join(", ")),
                };
                at(&place, &format!("unknown field, expected {known}"))
            }
            Some(others) => self.schema(others, value, &place),
            None => Ok(()),
        }
    }

    fn array(&mut self, schema: &'s Map<String, Value>, items: &[Value], path: &str) -> Fit {
        count(schema, items.len(), ["minItems", "maxItems"], "items", path)?;
        let first =
            schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let others = schema.get("items");
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or(others) {
                self.schema(schema, item, &format!("{path}[{index}]"))?;
            }
        }
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (index, item) in items.iter().enumerate() {
                self.step(index)?;
                if items.iter().take(index).any(|earlier| same(earlier, item)) {
                    return at(&format!("{path}[{index}]"), "is there twice");
                }
            }
        }
        let Some(contained) = schema.get("contains") else { return Ok(()) };
        let mut found = 0;
        for item in items {
            found += u64::from(self.would(contained, item)?);
        }
        let least = schema.get("minContains").and_then(Value::as_u64).unwrap_or(1);
        let most = schema.get("maxContains").and_then(Value::as_u64).unwrap_or(u64::MAX);
        match (least..=most).contains(&found) {
            true => Ok(()),
            false => {
                at(path, &format!("{found} of its items are of the kind that `contains` counts"))
            }
        }
    }

    fn text(&mut self, schema: &'s Map<String, Value>, text: &str, path: &str) -> Fit {
        let length = text.chars().count();
        count(schema, length, ["minLength", "maxLength"], "characters", path)?;
        match schema.get("pattern").and_then(Value::as_str) {
            Some(pattern) if !self.matches(pattern, text)? => {
                at(path, &format!("expected a text that matches {pattern}"))
            }
            _ => Ok(()),
        }
    }

    fn matches(&mut self, pattern: &str, text: &str) -> Result<bool, Unfit> {
        self.step(1 + text.len() / 64)?;
        Ok(self.schema.patterns.get(pattern).is_none_or(|pattern| pattern.is_match(text)))
    }

    /// `allOf`, `anyOf`, `oneOf`, `not`, `if`.
    fn alternatives(&mut self, schema: &'s Map<String, Value>, value: &Value, path: &str) -> Fit {
        let list = |keyword| schema.get(keyword).and_then(Value::as_array).map(Vec::as_slice);
        for all in list("allOf").unwrap_or_default() {
            self.schema(all, value, path)?;
        }
        if let Some(any) = list("anyOf") {
            self.fitting(any, value, path)?;
        }
        if let Some(one) = list("oneOf")
            && self.fitting(one, value, path)? > 1
        {
            return at(path, "fits more than one of the alternatives that exclude each other");
        }
        if let Some(not) = schema.get("not")
            && self.would(not, value)?
        {
            return at(path, "is what the schema excludes");
        }
        let Some(condition) = schema.get("if") else { return Ok(()) };
        let branch = if self.would(condition, value)? { "then" } else { "else" };
        schema.get(branch).map_or(Ok(()), |branch| self.schema(branch, value, path))
    }

    /// How many of some schemas a value fits. Where it fits none, what is wrong is said by the one
    /// that got furthest into the value.
    fn fitting(&mut self, schemas: &'s [Value], value: &Value, path: &str) -> Result<u32, Unfit> {
        let (mut fitting, mut nearest) = (0, None);
        for schema in schemas {
            match self.schema(schema, value, path) {
                Ok(()) => fitting += 1,
                Err(Unfit::At(path, what)) => match &nearest {
                    Some((other, _)) if path.len() <= String::len(other) => {}
                    _ => nearest = Some((path, what)),
                },
                Err(unbounded) => return Err(unbounded),
            }
        }
        match nearest.filter(|_| fitting == 0) {
            Some((path, what)) => Err(Unfit::At(path, what)),
            None => Ok(fitting),
        }
    }

    fn would(&mut self, schema: &'s Value, value: &Value) -> Result<bool, Unfit> {
        match self.schema(schema, value, "") {
            Ok(()) => Ok(true),
            Err(Unfit::At(..)) => Ok(false),
            Err(unbounded) => Err(unbounded),
        }
    }
}

fn at<T>(path: &str, what: &str) -> Result<T, Unfit> {
    Err(Unfit::At(path.to_owned(), what.to_owned()))
}

fn member(path: &str, name: &str) -> String {
    let name = clip(name, SHOWN_BYTES_MAX);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

fn map<'m>(
    schema: &'m Map<String, Value>,
    keyword: &str,
) -> impl Iterator<Item = (&'m String, &'m Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

/// One name, or a list of names.
fn names(value: &Value) -> Vec<&str> {
    let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Value::as_str).collect()
}

fn count(
    schema: &Map<String, Value>,
    found: usize,
    [least, most]: [&str; 2],
    what: &str,
    path: &str,
) -> Fit {
    let bound = |keyword| schema.get(keyword).and_then(Value::as_u64);
    let found = found as u64;
    if let Some(least) = bound(least).filter(|least| found < *least) {
        return at(path, &format!("found {found} {what}, expected at least {least}"));
    }
    if let Some(most) = bound(most).filter(|most| found > *most) {
        return at(path, &format!("found {found} {what}, expected at most {most}"));
    }
    Ok(())
}

fn number(schema: &Map<String, Value>, value: &Value, path: &str) -> Fit {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let bounds = [
        ("minimum", "at least", &[Equal, Greater][..]),
        ("maximum", "at most", &[Equal, Less]),
        ("exclusiveMinimum", "more than", &[Greater]),
        ("exclusiveMaximum", "less than", &[Less]),
    ];
    for (keyword, words, fitting) in bounds {
        let Some(bound) = schema.get(keyword) else { continue };
        if !compare(value, bound).is_some_and(|order| fitting.contains(&order)) {
            return at(path, &format!("found {value}, expected {words} {bound}"));
        }
    }
    let Some(step) = schema.get("multipleOf") else { return Ok(()) };
    let whole = match (integer(value), integer(step)) {
        (Some(value), Some(step)) => step != 0 && value % step == 0,
        _ => {
            let times = value.as_f64().unwrap_or(f64::NAN) / step.as_f64().unwrap_or(f64::NAN);
            (times - times.round()).abs() < 1e-9
        }
    };
    if whole { Ok(()) } else { at(path, &format!("found {value}, expected a multiple of {step}")) }
}
