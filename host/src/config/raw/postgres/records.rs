//! Which changes give records, and how topics, schemas and fields are named.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which changes give records, and what they are called.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Records {
    /// Changes that give no record (`skipped.operations`): `c`, `u`, `d`, `t`; `[]` for none. Not
    /// together with `skip_truncate`. Default `[t]`.
    pub(crate) skipped_operations: Option<Vec<Operation>>,
    /// An update that changes no column of the records gives no record; it takes replica identity
    /// FULL to know (`skip.messages.without.change`). Default false.
    pub(crate) skip_unchanged: bool,
    /// Every record carries Debezium's headers `__debezium.context.connectorLogicalName`,
    /// `taskId`, `connectorName` and `runId` (`extended.headers.enabled`). Default false.
    pub(crate) context_headers: bool,
    /// Between prefix, schema and table in a topic (`topic.delimiter`). Default `.`; letters,
    /// digits, `.`, `_` and `-`.
    pub(crate) topic_delimiter: Option<String>,
    /// What becomes of characters in schema names that Avro does not take
    /// (`schema.name.adjustment.mode`). Default `none`.
    pub(crate) schema_names: Adjustment,
    /// The same in field names (`field.name.adjustment.mode`). Default `none`.
    pub(crate) field_names: Adjustment,
}

/// A change.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(crate) enum Operation {
    /// Inserts.
    #[serde(rename = "c")]
    Create,
    /// Updates.
    #[serde(rename = "u")]
    Update,
    /// Deletes, with their tombstones.
    #[serde(rename = "d")]
    Delete,
    /// Truncates.
    #[serde(rename = "t")]
    Truncate,
}

/// What becomes of characters that Avro does not take in names.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Adjustment {
    /// They stay.
    #[default]
    None,
    /// `_` in their place.
    Avro,
    /// `_u` and the number in hexadecimal digits in their place, and for `_` itself.
    AvroUnicode,
}
