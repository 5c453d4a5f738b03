//! How values are written.

use schemars::JsonSchema;
use serde::Deserialize;

/// How values are written where their type leaves a choice.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Values {
    /// How dates, times and timestamps without zone are written (Debezium's
    /// `time.precision.mode`). Default `adaptive`.
    pub(crate) time_precision: TimePrecision,
    /// How `bytea` is written (`binary.handling.mode`). Default `bytes`.
    pub(crate) binary: Binary,
    /// How `hstore` is written (`hstore.handling.mode`). Default `json`.
    pub(crate) hstore: Hstore,
    /// How `interval` is written (`interval.handling.mode`). Default `numeric`.
    pub(crate) intervals: Intervals,
    /// Fraction digits of `money` (`money.fraction.digits`). Default 2, up to 9.
    pub(crate) money_digits: Option<u8>,
    /// Types without a form of their own (geometric types but points, composites, multiranges,
    /// `tsquery`, `pg_lsn`, ...) go out as bytes of their text, in place of not at all
    /// (`include.unknown.datatypes`). Default false.
    pub(crate) unknown_types: bool,
    /// Arrays of intervals, money, points, XML and domains go out too; Debezium leaves them out.
    /// Default false.
    pub(crate) all_arrays: bool,
    /// Stands for a large value that the server did not send (`unavailable.value.placeholder`);
    /// bytes in hexadecimal digits after `hex:`. Default `__debezium_unavailable_value`.
    pub(crate) unavailable: Option<String>,
}

/// How dates, times and timestamps without zone are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TimePrecision {
    /// Milliseconds for columns of at most three fraction digits, else microseconds.
    #[default]
    Adaptive,
    /// Times of day in microseconds, all else as `adaptive`.
    AdaptiveTimeMicroseconds,
    /// Milliseconds, under Kafka Connect's own types in schemas.
    Connect,
    /// ISO 8601 text in UTC.
    Isostring,
    Microseconds,
    /// Nanoseconds; what 64 bits do not hold becomes the nearest that they do.
    Nanoseconds,
}

/// How `bytea` is written.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Binary {
    /// Bytes, which JSON has in base64.
    #[default]
    Bytes,
    /// Text in base64.
    Base64,
    /// Text in base64 with `-` and `_` for `+` and `/`.
    Base64UrlSafe,
    /// Text of hexadecimal digits.
    Hex,
}

/// How `hstore` is written.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Hstore {
    /// JSON text.
    #[default]
    Json,
    /// An object.
    Map,
}

/// How `interval` is written.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Intervals {
    /// Microseconds; a month has 30.4375 days.
    #[default]
    Numeric,
    /// ISO 8601 text: `P1Y2M3DT4H5M6.5S`.
    String,
}
