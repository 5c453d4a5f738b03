//! Which columns records have, which of them are masked, and what makes a key. Patterns are
//! regular expressions of the whole name, whatever the case.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::units::Secret;

/// Rules for columns, which patterns name as `schema.table.column`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Columns {
    /// Only columns that one of these patterns names are in the records. Not together with
    /// `exclude`. Default: all. Keys have their columns all the same.
    pub(crate) include: Vec<String>,
    /// Columns that one of these patterns names are not in the records. Default none.
    pub(crate) exclude: Vec<String>,
    /// Text columns whose values leave masked; the first mask that names a column is its. Default
    /// none. Keys are not masked.
    pub(crate) masks: Vec<Mask>,
    /// Keys in place of the tables' own (`message.key.columns`); the first that names a table is
    /// its. Default none.
    pub(crate) keys: Vec<Key>,
    /// Columns whose type, length and scale stand in the schema's parameters
    /// (`column.propagate.source.type`). Default none.
    pub(crate) source_types: Vec<String>,
    /// The same for columns of these types, as `.*varchar` (`datatype.propagate.source.type`).
    /// Default none.
    pub(crate) source_datatypes: Vec<String>,
}

/// A mask: exactly one of `stars`, `truncate` and `hash`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    /// Patterns of the columns. Required.
    pub(crate) columns: Vec<String>,
    /// This many stars stand for every value, null too (`column.mask.with.N.chars`). Up to 1000.
    pub(crate) stars: Option<u16>,
    /// Values are cut to this many characters, of `bytea` bytes (`column.truncate.to.N.chars`).
    /// From 1.
    pub(crate) truncate: Option<u32>,
    /// The hexadecimal digits of this digest of salt and value, cut to the column's length
    /// (`column.mask.hash`): `MD5`, `SHA-1`, `SHA-224`, `SHA-256`, `SHA-384`, `SHA-512` or
    /// `SHA-512/256`.
    pub(crate) hash: Option<String>,
    /// What `hash` puts before each value. Required with `hash`. Write `${env:NAME}`.
    pub(crate) salt: Option<Secret>,
    /// 2 hashes the text in UTF-8, 1 the text as Java serialises it (what Debezium's
    /// `column.mask.hash` without `.v2` does). Default 2.
    pub(crate) version: Option<u8>,
}

/// A key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    /// Pattern of the tables, as `schema.table`. Required.
    pub(crate) tables: String,
    /// Columns, in the order of the key: at least one.
    pub(crate) columns: Vec<String>,
}
