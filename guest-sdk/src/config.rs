//! Configuration: a struct becomes a JSON Schema and a parser whose errors name the field, what
//! was found and what was expected. Unknown fields are refused.
//!
//! A type that has no JSON form is an error at the field:
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Config)]
//! struct Limits { pause: std::time::Duration } // cannot be a configuration field
//! ```
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! #[derive(Config)]
//! struct Limits { #[config(default = "none")] rows: i64 } // a text is no i64
//! ```
//! ```compile_fail,E0277
//! # use wasmgate_sdk::prelude::*;
//! # #[derive(Row)] struct Payment { amount: f64 }
//! struct Limits { max: f64 } // add `#[derive(Config)]`
//! #[transform]
//! fn rule(row: &mut Payment, limits: &Limits) -> Verdict { keep() }
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
pub use wasmgate_sdk_macros::Config;

/// A type that a configuration, or a field of one, can have. `#[derive(Config)]` implements it for
/// structs with named fields and for enums of unit variants (kebab-case words).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a configuration field",
    label = "not a type of a configuration field",
    note = "use bool, i64, u32, u64, usize, f64, String, Option<T>, Vec<T>, BTreeMap<String, T>, \
            or a type with `#[derive(Config)]`"
)]
pub trait Config: Sized {
    /// JSON Schema of the type.
    fn schema() -> Value;

    /// Reads a value. `path` is its dotted name, empty for the whole configuration.
    ///
    /// # Errors
    /// The value does not fit; the message names the field, the found and the expected.
    fn parse(value: &Value, path: &str) -> Result<Self, String>;

    /// The value as JSON, for defaults in the schema.
    fn show(&self) -> Value;

    /// What a field that is not given becomes; `None`: it must be given.
    #[must_use]
    fn missing() -> Option<Self> {
        None
    }
}

/// Reads the text that `open` got. No text at all stands for an empty object.
///
/// # Errors
/// It is no JSON, or does not fit `C`.
pub fn from_text<C: Config>(text: &str) -> Result<C, String> {
    if text.trim().is_empty() {
        return C::parse(&json!({}), "");
    }
    match serde_json::from_str(text) {
        Ok(Value::Null) => C::parse(&json!({}), ""),
        Ok(value) => C::parse(&value, ""),
        Err(error) => Err(format!("the configuration is not JSON: {error}")),
    }
}

/// The message for a value that does not fit.
#[must_use]
pub fn mismatch(path: &str, found: &Value, expected: &str) -> String {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => found.to_string(),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    let place = if path.is_empty() { "the configuration" } else { path };
    format!("{place}: found {found}, expected {expected}")
}

/// The configuration of a rule that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoConfig;

impl Config for NoConfig {
    fn schema() -> Value {
        object_schema("", &[])
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        Fields::open(value, path, &[]).map(|_| Self)
    }
    fn show(&self) -> Value {
        json!({})
    }
}

impl Config for bool {
    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| mismatch(path, value, "true or false"))
    }
    fn show(&self) -> Value {
        Value::Bool(*self)
    }
}

impl Config for f64 {
    fn schema() -> Value {
        json!({ "type": "number" })
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        value.as_f64().ok_or_else(|| mismatch(path, value, "a number"))
    }
    fn show(&self) -> Value {
        json!(self)
    }
}

impl Config for i64 {
    fn schema() -> Value {
        json!({ "type": "integer" })
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        value.as_i64().ok_or_else(|| mismatch(path, value, "an integer"))
    }
    fn show(&self) -> Value {
        json!(self)
    }
}

macro_rules! unsigned {
    ($($type:ty)*) => {$(
        impl Config for $type {
            fn schema() -> Value {
                json!({ "type": "integer", "minimum": 0, "maximum": <$type>::MAX })
            }
            fn parse(value: &Value, path: &str) -> Result<Self, String> {
                value.as_u64().and_then(|number| number.try_into().ok()).ok_or_else(|| {
                    mismatch(path, value, &format!("an integer from 0 to {}", <$type>::MAX))
                })
            }
            fn show(&self) -> Value {
                json!(self)
            }
        }
    )*};
}
unsigned!(u32 u64 usize);

impl Config for String {
    fn schema() -> Value {
        json!({ "type": "string" })
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        value.as_str().map(str::to_owned).ok_or_else(|| mismatch(path, value, "text"))
    }
    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

/// Any JSON value.
impl Config for Value {
    fn schema() -> Value {
        json!({})
    }
    fn parse(value: &Value, _path: &str) -> Result<Self, String> {
        Ok(value.clone())
    }
    fn show(&self) -> Value {
        self.clone()
    }
}

impl<T: Config> Config for Option<T> {
    fn schema() -> Value {
        let mut schema = T::schema();
        if let Some(kind) = schema.get_mut("type").filter(|kind| kind.is_string()) {
            *kind = json!([kind.take(), "null"]);
        }
        if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
        schema
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        if value.is_null() { Ok(None) } else { T::parse(value, path).map(Some) }
    }
    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }
    fn missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: Config> Config for Vec<T> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        let items = value.as_array().ok_or_else(|| mismatch(path, value, "a list"))?;
        let numbered = items.iter().enumerate();
        numbered.map(|(index, item)| T::parse(item, &format!("{path}[{index}]"))).collect()
    }
    fn show(&self) -> Value {
        Value::Array(self.iter().map(T::show).collect())
    }
}

impl<T: Config> Config for BTreeMap<String, T> {
    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        let members = value.as_object().ok_or_else(|| mismatch(path, value, "an object"))?;
        let parsed = members.iter().map(|(name, member)| {
            T::parse(member, &join(path, name)).map(|member| (name.clone(), member))
        });
        parsed.collect()
    }
    fn show(&self) -> Value {
        let shown = self.iter().map(|(name, member)| (name.clone(), member.show()));
        Value::Object(shown.collect())
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The members of an object, for `#[derive(Config)]`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields<'v> {
    members: &'v Map<String, Value>,
    path: &'v str,
}

#[doc(hidden)]
impl<'v> Fields<'v> {
    pub fn open(value: &'v Value, path: &'v str, known: &[&str]) -> Result<Self, String> {
        let members = value.as_object().ok_or_else(|| mismatch(path, value, "an object"))?;
        for name in members.keys() {
            if !known.contains(&name.as_str()) {
                let mut message = format!("{}: unknown field, expected ", join(path, name));
                if known.is_empty() {
                    message.push_str("none: there is nothing to configure");
                } else {
                    write!(message, "one of {}", known.join(", ")).unwrap_or_default();
                }
                return Err(message);
            }
        }
        Ok(Self { members, path })
    }

    pub fn take<T: Config>(&self, name: &str, default: Option<T>) -> Result<T, String> {
        match self.members.get(name) {
            Some(value) => T::parse(value, &join(self.path, name)),
            None => default.or_else(T::missing).ok_or_else(|| {
                format!("{}: not given, and there is no default", join(self.path, name))
            }),
        }
    }
}

/// One field of an object's schema, for `#[derive(Config)]`.
#[doc(hidden)]
pub type FieldSchema = (&'static str, &'static str, Value, Option<Value>, bool);

#[doc(hidden)]
#[must_use]
pub fn field_schema<T: Config>(
    name: &'static str,
    description: &'static str,
    default: Option<T>,
) -> FieldSchema {
    let required = default.is_none() && T::missing().is_none();
    (name, description, T::schema(), default.map(|value| value.show()), required)
}

#[doc(hidden)]
#[must_use]
pub fn object_schema(description: &str, fields: &[FieldSchema]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, description, schema, default, needed) in fields {
        let mut schema = schema.clone();
        if let Some(members) = schema.as_object_mut() {
            if !description.is_empty() {
                members.insert("description".to_owned(), json!(description));
            }
            if let Some(default) = default {
                members.insert("default".to_owned(), default.clone());
            }
        }
        if *needed {
            required.push(json!(name));
        }
        properties.insert((*name).to_owned(), schema);
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false });
    if let Some(members) = schema.as_object_mut() {
        if !description.is_empty() {
            members.insert("description".to_owned(), json!(description));
        }
        members.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            members.insert("required".to_owned(), Value::Array(required));
        }
    }
    schema
}

#[doc(hidden)]
#[must_use]
pub fn word_schema(description: &str, words: &[&str]) -> Value {
    let mut schema = json!({ "type": "string", "enum": words });
    if let (false, Some(members)) = (description.is_empty(), schema.as_object_mut()) {
        members.insert("description".to_owned(), json!(description));
    }
    schema
}

#[doc(hidden)]
pub fn word<'v>(value: &'v Value, path: &str, words: &[&str]) -> Result<&'v str, String> {
    match value.as_str() {
        Some(word) if words.contains(&word) => Ok(word),
        _ => Err(mismatch(path, value, &format!("one of {}", words.join(", ")))),
    }
}
