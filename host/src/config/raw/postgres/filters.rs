//! Which tables take part, by patterns of their names.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which tables take part. Patterns are regular expressions of the whole name, whatever the case.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Filters {
    /// By the schema's name (`schema.include.list`, `schema.exclude.list`). Default: all.
    pub(crate) schemas: Filter,
    /// By `schema.table` (`table.include.list`, `table.exclude.list`). Default: all.
    pub(crate) tables: Filter,
}

/// Names that take part or stay out: at most one of the two lists.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Filter {
    /// Only names that one of these patterns matches. Default: all.
    pub(crate) include: Vec<String>,
    /// No name that one of these patterns matches. Default none.
    pub(crate) exclude: Vec<String>,
}
