//! The configuration, under Debezium's option names. Values may be text, as in a connector's
//! properties: "true" is true, and an empty text is an option that is not given.

use wasmgate_sdk::config::{self, Config};
use wasmgate_sdk::json::{Value, json};

/// Options of io.debezium.transforms.ExtractNewRecordState.
#[derive(Config)]
pub struct Options {
    /// What becomes of deletes and of the tombstones that follow them.
    #[config(name = "delete.tombstone.handling.mode", default = Mode::Tombstone)]
    pub(crate) mode: Mode,
    /// Metadata added to the row: `op,source.ts_ms:alias,before.amount`.
    #[config(name = "add.fields", default = "")]
    pub(crate) add_fields: String,
    #[config(name = "add.fields.prefix", default = "__")]
    pub(crate) add_fields_prefix: String,
    /// Metadata added as headers, named like `add.fields`.
    #[config(name = "add.headers", default = "")]
    pub(crate) add_headers: String,
    #[config(name = "add.headers.prefix", default = "__")]
    pub(crate) add_headers_prefix: String,
    /// Text field of the row that names the topic.
    #[config(name = "route.by.field", default = "")]
    pub(crate) route_by_field: String,
    /// Header that lists the fields to drop from its record.
    #[config(name = "drop.fields.header.name", default = "")]
    pub(crate) drop_fields_header: String,
    /// Drop them from the key too.
    #[config(name = "drop.fields.from.key", default = Flag(false))]
    pub(crate) drop_fields_from_key: Flag,
    /// Drop only fields that may be missing under the schema.
    #[config(name = "drop.fields.keep.schema.compatible", default = Flag(true))]
    pub(crate) drop_fields_keep_compatible: Flag,
    /// Where the row is built anew (added fields, rewritten deletes), a null becomes the field's
    /// default, if the source says one.
    #[config(name = "replace.null.with.default", default = Flag(true))]
    pub(crate) replace_null_with_default: Flag,
}

/// What becomes of deletes and tombstones.
#[derive(Config, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Drop,
    Tombstone,
    DeleteToTombstone,
    Rewrite,
    RewriteWithTombstone,
}

impl Mode {
    /// Rows carry `__deleted`.
    pub(crate) fn rewrites(self) -> bool {
        matches!(self, Self::Rewrite | Self::RewriteWithTombstone)
    }
}

/// True or false, as JSON or as text.
#[derive(Clone, Copy)]
pub(crate) struct Flag(pub(crate) bool);

impl Config for Flag {
    fn schema() -> Value {
        json!({ "enum": [true, false, "true", "false"] })
    }

    fn parse(value: &Value, path: &str) -> Result<Self, String> {
        match value {
            Value::Bool(flag) => Ok(Self(*flag)),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Self(true)),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Self(false)),
            _ => Err(config::mismatch(path, value, "true or false")),
        }
    }

    fn show(&self) -> Value {
        Value::Bool(self.0)
    }
}
