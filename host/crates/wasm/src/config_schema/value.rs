//! JSON values: of which type, equal or not, and as they are named in messages.

use serde_json::Value;

use crate::host::log::clip;

/// Bytes of a text that are shown.
pub(super) const SHOWN_BYTES_MAX: usize = 64;
const WORDS_SHOWN_MAX: usize = 16;

/// A whole number, however it is written.
pub(super) fn integer(value: &Value) -> Option<i128> {
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 1e18).then_some(float as i128);
    let exact = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
    exact.or_else(|| value.as_f64().and_then(whole))
}

pub(super) fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether two values are one; `1.0` is `1`.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare(a, b) == Some(std::cmp::Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

pub(super) fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0)
        }
        _ => value.is_string(),
    }
}

/// A type as messages name it, in the words of the SDK.
pub(super) fn article(kind: &str) -> &'static str {
    match kind {
        "null" => "null",
        "boolean" => "true or false",
        "object" => "an object",
        "array" => "a list",
        "number" => "a number",
        "integer" => "an integer",
        _ => "text",
    }
}

/// What was found. Texts are not shown: the configuration may hold a secret.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Words that are expected, not all if there are many.
pub(super) fn words(words: &[Value]) -> String {
    let text = |word: &Value| word.as_str().map_or_else(|| word.to_string(), str::to_owned);
    let mut shown: Vec<String> =
        words.iter().take(WORDS_SHOWN_MAX).map(|word| clip(&text(word), SHOWN_BYTES_MAX)).collect();
    if words.len() > WORDS_SHOWN_MAX {
        shown.push(format!("{} more", words.len() - WORDS_SHOWN_MAX));
    }
    shown.join(", ")
}
