//! How records are written as JSON, by sinks that write it.

use schemars::JsonSchema;
use serde::Deserialize;

/// How keys, values and headers are written as JSON: the options of Kafka Connect's JsonConverter.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Json {
    /// Values are `{"schema","payload"}` documents (`schemas.enable`). Default false.
    pub(crate) schemas: bool,
    /// Keys are. Default: as `schemas`.
    pub(crate) key_schemas: Option<bool>,
    /// Headers are. Default false.
    pub(crate) header_schemas: bool,
    /// The default of a column stands for null in it (`replace.null.with.default`). Default false;
    /// true for connector documents.
    pub(crate) replace_null_with_default: bool,
    /// How decimals with a scale are written (`decimal.format`). Default `base64`.
    pub(crate) decimals: DecimalFormat,
}

/// How decimals with a scale are written.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DecimalFormat {
    /// Base64 of the unscaled number.
    #[default]
    Base64,
    /// A JSON number with all its digits.
    Numeric,
}
