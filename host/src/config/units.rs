//! Typed text: sizes, durations, topic patterns, secrets.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// A number of bytes: `8MiB`, `64KB`, `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// A span of time: `10s`, `5ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// A regular expression that has to match a whole topic.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(pub(crate) regex::Regex);

/// Text that is never printed.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) SecretString);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

/// Splits `10s` into 10 and `s`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let factor: u64 = match unit {
            "" | "B" => 1,
            "KB" | "kB" => 1000,
            "MB" => 1000 * 1000,
            "GB" => 1000 * 1000 * 1000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (factor, unit) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl Time {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text)?;
        let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
        Some(Self(match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => seconds(1)?,
            "m" | "min" => seconds(60)?,
            "h" => seconds(3600)?,
            _ => return None,
        }))
    }
}

/// A visitor of text, and of bare whole numbers, which are shown to `parse` as text.
struct Parsed<T>(fn(&str) -> Option<T>, &'static str);

impl<T> Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.0(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a size such as `8MiB`, `64KB` or a number of bytes";
        deserializer.deserialize_str(Parsed(Self::parse, expected))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a duration with its unit (us, ms, s, m, h) such as `10s` or `5ms`";
        deserializer.deserialize_str(Parsed(Self::parse, expected))
    }
}

/// A visitor of text that has to be a regular expression.
struct PatternVisitor;

impl Visitor<'_> for PatternVisitor {
    type Value = Pattern;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a regular expression")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Pattern, E> {
        // Compiled alone first: `)(` would become valid inside the group that anchors it.
        let compiled =
            regex::Regex::new(text).and_then(|_| regex::Regex::new(&format!(r"\A(?:{text})\z")));
        compiled.map(Pattern).map_err(|error| {
            let why = error.to_string();
            let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            E::custom(format!("found `{text}`, expected a regular expression: {last}"))
        })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(PatternVisitor)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// Schemas of typed text are inlined where they are used.
macro_rules! schema {
    ($type:ty, $name:literal, $($json:tt)+) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($json)+)
            }
        }
    };
}

schema!(Size, "Size", {
    "type": ["string", "integer"], "pattern": "^[0-9]+ ?([kKMG]?B|[KMG]iB)?$", "minimum": 0
});
schema!(Time, "Time", { "type": "string", "pattern": "^[0-9]+ ?(us|ms|s|m|min|h)$" });
schema!(Pattern, "Pattern", { "type": "string", "format": "regex" });
schema!(Secret, "Secret", { "type": "string", "writeOnly": true });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("8MiB", Some(8 << 20)),
            ("64KB", Some(64_000)),
            ("1 GiB", Some(1 << 30)),
            ("512", Some(512)),
            ("0", Some(0)),
            ("8mib", None),
            ("-1", None),
            ("1.5MiB", None),
            ("MiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(Size::parse(text), want.map(Size), "{text}");
        }
        assert_eq!(Size(3 << 20).to_string(), "3MiB");
        assert_eq!(Size(1001).to_string(), "1001B");
    }

    #[test]
    fn durations() {
        for (text, want_us) in [
            ("250us", Some(250)),
            ("5ms", Some(5_000)),
            ("10s", Some(10_000_000)),
            ("2m", Some(120_000_000)),
            ("1h", Some(3_600_000_000)),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("10 days", None),
        ] {
            assert_eq!(
                Time::parse(text),
                want_us.map(|us| Time(Duration::from_micros(us))),
                "{text}"
            );
        }
    }
}
